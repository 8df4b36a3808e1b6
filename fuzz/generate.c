/* SPDX-License-Identifier: Apache-2.0
 *
 * generate: decisions, and the sections of a module.
 */
#include <string.h>

#include "base/assert.h"
#include "generate_internal.h"

/* ----------------------------------------------------------------- decisions */

static uint64_t
random_next(struct generator *g)
{
    uint64_t z = g->state += 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t
take_bytes(struct generator *g, unsigned count)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < count && g->position < g->options.count; i++)
        value = value << 8 | g->options.bytes[g->position++];
    return value;
}

uint32_t
generate_choose(struct generator *g, uint32_t count)
{
    ASSERT(count > 0);
    if (g->options.bytes == NULL)
        return (uint32_t)(random_next(g) >> 32) % count;
    return (uint32_t)take_bytes(g, count > 255 ? 4 : 1) % count;
}

bool
generate_one_in(struct generator *g, uint32_t count)
{
    return generate_choose(g, count) == count - 1;
}

uint64_t
generate_bits(struct generator *g)
{
    return g->options.bytes == NULL ? random_next(g) : take_bytes(g, 8);
}

bool
generate_is_cut(const struct generator *g, uint32_t node)
{
    return g->options.cuts != NULL && node < g->options.cut_count && g->options.cuts[node] != 0;
}

/* ------------------------------------------------------------------ encoding */

void
generate_byte(struct buffer *out, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    buffer_append(out, &byte, 1);
}

void
generate_u32(struct buffer *out, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        generate_byte(out, (value & 0x7f) | 0x80);
    generate_byte(out, value);
}

void
generate_s64(struct buffer *out, int64_t value)
{
    while (value < -64 || value > 63) {
        generate_byte(out, (unsigned)(value & 0x7f) | 0x80);
        value >>= 7;
    }
    generate_byte(out, (unsigned)value & 0x7f);
}

void
generate_opcode(struct buffer *out, uint32_t opcode)
{
    if (opcode < 0x100) {
        generate_byte(out, opcode);
        return;
    }
    generate_byte(out, opcode >> 16);
    generate_u32(out, opcode & 0xffff);
}

static void
put_section(struct buffer *out, unsigned id, struct buffer *content)
{
    generate_byte(out, id);
    generate_u32(out, (uint32_t)content->count);
    buffer_append(out, content->bytes, content->count);
    if (content->err != 0)
        out->err = content->err;
    buffer_fini(content);
    *content = (struct buffer){0};
}

static void
put_name(struct buffer *out, const char *name)
{
    generate_u32(out, (uint32_t)strlen(name));
    buffer_append(out, name, strlen(name));
}

/* ------------------------------------------------------------------ sections */

static void
put_values(struct buffer *out, const uint8_t *types, uint32_t count)
{
    generate_u32(out, count);
    buffer_append(out, types, count);
}

static void
put_types(struct generator *g, struct buffer *out)
{
    struct buffer content = {0};

    generate_u32(&content, g->type_count);
    for (uint32_t i = 0; i < g->type_count; i++) {
        generate_byte(&content, 0x60);
        put_values(&content, g->types[i].params, g->types[i].param_count);
        put_values(&content, g->types[i].results, g->types[i].result_count);
    }
    put_section(out, 1, &content);
}

static void
put_import(struct buffer *out, const char *module, const char *name, unsigned kind)
{
    put_name(out, module);
    put_name(out, name);
    generate_byte(out, kind);
}

static void
put_memory_type(const struct generator *g, struct buffer *out)
{
    generate_byte(out, g->options.has_shared ? 3 : 1);
    generate_u32(out, g->pages_min);
    generate_u32(out, g->pages_max);
}

static void
put_table_type(const struct generator *g, uint32_t table, struct buffer *out)
{
    generate_byte(out, g->tables[table].type);
    generate_byte(out, g->tables[table].has_max);
    generate_u32(out, SLOTS);
    if (g->tables[table].has_max)
        generate_u32(out, SLOTS + 4);
}

/* "fa", "gb": kind and number of an export. */
static const char *
export_name(char name[3], char kind, uint32_t number)
{
    name[0] = kind;
    name[1] = (char)('a' + (int)number);
    name[2] = '\0';
    return name;
}

/* Everything of the other module, in the order of its index spaces. */
static uint32_t
put_linked_imports(const struct generator *g, struct buffer *out)
{
    char name[3];

    for (uint32_t i = IMPORT_COUNT; i < g->own; i++) {
        put_import(out, "a", export_name(name, 'f', i - IMPORT_COUNT), WASM_KIND_FUNCTION);
        generate_u32(out, g->functions[i]);
    }
    put_import(out, "a", "table", WASM_KIND_TABLE);
    put_table_type(g, 0, out);
    put_import(out, "a", "memory", WASM_KIND_MEMORY);
    put_memory_type(g, out);
    for (uint32_t i = 0; i < g->imported_globals; i++) {
        put_import(out, "a", i == 0 ? "left" : export_name(name, 'g', i), WASM_KIND_GLOBAL);
        generate_byte(out, g->globals[i].type);
        generate_byte(out, g->globals[i].is_mutable);
    }
    for (uint32_t i = 0; i < g->imported_tags; i++) {
        put_import(out, "a", export_name(name, 'e', i), WASM_KIND_TAG);
        generate_byte(out, 0);
        generate_u32(out, g->tags[i]);
    }
    return g->own - IMPORT_COUNT + 2 + g->imported_globals + g->imported_tags;
}

static void
put_imports(struct generator *g, struct buffer *out)
{
    static const char *const names[IMPORT_COUNT] = {"log-i32", "log-i64", "log-f32", "log-f64",
                                                    "log-ref", "hash",    "mix",     "twist"};
    struct buffer content = {0}, list = {0};
    uint32_t count = IMPORT_COUNT;

    for (uint32_t i = 0; i < IMPORT_COUNT; i++) {
        put_import(&list, "fuzz", names[i], WASM_KIND_FUNCTION);
        generate_u32(&list, i);
    }
    if (g->is_importer)
        count += put_linked_imports(g, &list);
    generate_u32(&content, count);
    buffer_append(&content, list.bytes, list.count);
    buffer_fini(&list);
    put_section(out, 2, &content);
    generate_u32(&content, g->function_count - g->own);
    for (uint32_t i = g->own; i < g->function_count; i++)
        generate_u32(&content, g->functions[i]);
    put_section(out, 3, &content);
}

static void
put_tables_and_memory(struct generator *g, struct buffer *out)
{
    struct buffer content = {0};
    uint32_t first = g->is_importer ? 1 : 0;

    generate_u32(&content, g->table_count - first);
    for (uint32_t i = first; i < g->table_count; i++)
        put_table_type(g, i, &content);
    put_section(out, 4, &content);
    if (!g->is_importer) {
        generate_byte(&content, 1);
        put_memory_type(g, &content);
        put_section(out, 5, &content);
    }
    if (g->tag_count > g->imported_tags) {
        generate_u32(&content, g->tag_count - g->imported_tags);
        for (uint32_t i = g->imported_tags; i < g->tag_count; i++) {
            generate_byte(&content, 0);
            generate_u32(&content, g->tags[i]);
        }
        put_section(out, 13, &content);
    }
}

static void
put_globals(struct generator *g, struct buffer *out)
{
    struct buffer content = {0};

    g->code = &content;
    generate_u32(&content, g->global_count - g->imported_globals);
    for (uint32_t i = g->imported_globals; i < g->global_count; i++) {
        generate_byte(&content, g->globals[i].type);
        generate_byte(&content, g->globals[i].is_mutable);
        if (i == 0)
            generate_i32(g, (int32_t)GENERATE_FUEL); /* the start function burns it too */
        else if (g->globals[i].type == WASM_FUNCREF && generate_one_in(g, 2))
            generate_indexed(g, WASM_REF_FUNC, g->slots[generate_choose(g, SLOTS)]);
        else
            generate_const(g, g->globals[i].type);
        generate_byte(&content, WASM_END);
    }
    g->code = NULL;
    put_section(out, 6, &content);
}

static uint32_t
put_export(struct buffer *out, const char *name, unsigned kind, uint32_t index)
{
    put_name(out, name);
    generate_byte(out, kind);
    generate_u32(out, index);
    return 1;
}

static void
put_exports(struct generator *g, struct buffer *out)
{
    uint32_t functions = g->function_count - g->own - OWN_FIRST;
    struct buffer content = {0}, list = {0};
    uint32_t count = 0;
    char name[3];

    count += put_export(&list, "fuel", WASM_KIND_FUNCTION, g->own + OWN_FUEL);
    count += put_export(&list, "left", WASM_KIND_GLOBAL, 0);
    count += put_export(&list, "memory", WASM_KIND_MEMORY, 0);
    count += put_export(&list, "table", WASM_KIND_TABLE, 0);
    for (uint32_t i = 0; i < functions; i++)
        count += put_export(&list, export_name(name, 'f', i), WASM_KIND_FUNCTION,
                            g->own + OWN_FIRST + i);
    for (uint32_t i = 1; i < g->global_count; i++)
        count += put_export(&list, export_name(name, 'g', i), WASM_KIND_GLOBAL, i);
    for (uint32_t i = 0; i < g->tag_count; i++)
        count += put_export(&list, export_name(name, 'e', i), WASM_KIND_TAG, i);
    count += put_export(&list, "hash", WASM_KIND_FUNCTION, g->own + OWN_HASH);
    generate_u32(&content, count);
    buffer_append(&content, list.bytes, list.count);
    buffer_fini(&list);
    put_section(out, 7, &content);
}

/* Segment 0 fills table 0; 1 declares every function; 2 is passive; 3 has
 * expressions. */
static void
put_elements(struct generator *g, struct buffer *out)
{
    struct buffer content = {0};
    uint32_t start;

    for (start = g->own + OWN_FIRST; start < g->function_count; start++)
        if (g->functions[start] == IMPORT_HASH && generate_one_in(g, 2))
            break;
    if (start < g->function_count) {
        generate_u32(&content, start);
        put_section(out, 8, &content);
    }
    buffer_append(&content, "\4\0\101\0\13", 5); /* 4 segments; i32.const 0, end */
    generate_u32(&content, SLOTS - 2);           /* two entries stay null */
    for (uint32_t i = 0; i < SLOTS - 2; i++)
        generate_u32(&content, g->slots[i]);
    buffer_append(&content, "\3\0", 2);
    generate_u32(&content, g->function_count);
    for (uint32_t i = 0; i < g->function_count; i++)
        generate_u32(&content, i);
    buffer_append(&content, "\1\0", 2);
    generate_u32(&content, SLOTS);
    for (uint32_t i = 0; i < SLOTS; i++)
        generate_u32(&content, g->slots[i]);
    buffer_append(&content, "\5\160\2", 3); /* passive funcref: ref.null, ref.func */
    buffer_append(&content, "\320\160\13\322", 4);
    generate_u32(&content, g->slots[0]);
    generate_byte(&content, WASM_END);
    put_section(out, 9, &content);
}

/* Segment 0 is active, 1 to 3 are passive. */
static void
put_data(struct generator *g, struct buffer *out)
{
    struct buffer content = {0};

    generate_u32(&content, SEGMENTS_MAX);
    for (uint32_t i = 0; i < SEGMENTS_MAX; i++) {
        uint32_t count = i == 0 ? 256 : 16 + generate_choose(g, 48);

        generate_byte(&content, i == 0 ? 0 : 1);
        if (i == 0) {
            generate_byte(&content, WASM_I32_CONST);
            generate_s64(&content, (int64_t)generate_choose(g, 0x4000));
            generate_byte(&content, WASM_END);
        }
        generate_u32(&content, count);
        for (uint32_t k = 0; k < count; k += 8) {
            uint64_t bits = generate_bits(g);

            buffer_append(&content, &bits, count - k < 8 ? count - k : 8);
        }
    }
    put_section(out, 11, &content);
}

/* ---------------------------------------------------------------------- code */

static void
put_body(struct buffer *out, struct buffer *body)
{
    generate_u32(out, (uint32_t)body->count);
    buffer_append(out, body->bytes, body->count);
    if (body->err != 0)
        out->err = body->err;
    buffer_fini(body);
    *body = (struct buffer){0};
}

/* Parameters, then locals of every type, so that each can be kept somewhere. */
static void
plan_locals(struct generator *g, struct buffer *body)
{
    static const uint8_t types[] = {WASM_I32, WASM_F64,     WASM_I64,      WASM_F32,
                                    WASM_I32, WASM_FUNCREF, WASM_EXTERNREF};
    struct buffer list = {0};
    uint32_t groups = 0;

    (void)memcpy(g->locals, g->type->params, g->type->param_count);
    g->local_count = g->type->param_count;
    for (uint32_t i = 0; i <= ARRAY_COUNT(types); i++) {
        uint32_t count = 2 + generate_choose(g, 3);

        if (i == ARRAY_COUNT(types) && !g->options.has_simd)
            break;
        generate_u32(&list, count);
        generate_byte(&list, i == ARRAY_COUNT(types) ? WASM_V128 : types[i]);
        for (; count > 0; count--)
            g->locals[g->local_count++] = i == ARRAY_COUNT(types) ? WASM_V128 : types[i];
        groups++;
    }
    g->kernel_local = g->local_count;
    generate_u32(body, groups + 1);
    buffer_append(body, list.bytes, list.count);
    generate_u32(body, KERNEL_DEPTH);
    generate_byte(body, WASM_I32);
    buffer_fini(&list);
}

static void
put_function(struct generator *g, uint32_t index, struct buffer *out)
{
    struct buffer body = {0};

    g->type = &g->types[g->functions[index]];
    g->code = &body;
    g->label_count = 0;
    g->kernel_depth = 0;
    g->depth = 0;
    g->budget = (int)(g->options.size / 4 + generate_choose(g, g->options.size));
    plan_locals(g, &body);
    generate_body(g);
    put_body(out, &body);
}

static void
put_fixed_functions(struct generator *g, struct buffer *out)
{
    struct buffer body = {0};

    g->code = &body;
    generate_byte(&body, 0);
    generate_i32(g, (int32_t)GENERATE_FUEL);
    generate_indexed(g, WASM_GLOBAL_SET, 0);
    generate_byte(&body, WASM_END);
    put_body(out, &body);
    generate_byte(&body, 0);
    generate_indexed(g, WASM_CALL, IMPORT_HASH);
    generate_byte(&body, WASM_END);
    put_body(out, &body);
}

static void
put_code(struct generator *g, struct buffer *out)
{
    struct buffer content = {0};

    generate_u32(&content, SEGMENTS_MAX);
    put_section(out, 12, &content); /* how many data segments there are */
    generate_u32(&content, g->function_count - g->own);
    put_fixed_functions(g, &content);
    for (uint32_t i = g->own + OWN_FIRST; i < g->function_count; i++)
        put_function(g, i, &content);
    put_section(out, 10, &content);
}

void
generate_module(const struct generate_options *options, struct buffer *out)
{
    struct generator g = {.options = *options, .state = options->seed};

    generate_plan(&g);
    buffer_append(out, "\0asm\1\0\0", 8);
    put_types(&g, out);
    put_imports(&g, out);
    put_tables_and_memory(&g, out);
    put_globals(&g, out);
    put_exports(&g, out);
    put_elements(&g, out);
    put_code(&g, out);
    put_data(&g, out);
    if (options->node_count != NULL)
        *options->node_count = g.node;
}
