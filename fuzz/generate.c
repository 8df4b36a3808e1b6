/* SPDX-License-Identifier: Apache-2.0
 *
 * generate: decisions, the plan of a module, and its sections.
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

/* ---------------------------------------------------------------------- plan */

static uint8_t
choose_type(struct generator *g)
{
    static const uint8_t types[] = {WASM_I32, WASM_I64,  WASM_F64,     WASM_F32,      WASM_I32,
                                    WASM_I64, WASM_V128, WASM_FUNCREF, WASM_EXTERNREF};
    uint8_t type = types[generate_choose(g, ARRAY_COUNT(types))];

    return type == WASM_V128 && !g->options.has_simd ? WASM_I64 : type;
}

/* From "iI:F" with x for an external reference. */
static void
plan_fixed_type(struct generator *g, const char *text)
{
    struct plan_type *type = &g->types[g->type_count++];
    bool is_result = false;

    for (; *text != '\0'; text++) {
        uint8_t value = *text == 'i'   ? WASM_I32
                        : *text == 'I' ? WASM_I64
                        : *text == 'f' ? WASM_F32
                        : *text == 'F' ? WASM_F64
                                       : WASM_EXTERNREF;
        if (*text == ':')
            is_result = true;
        else if (is_result)
            type->results[type->result_count++] = value;
        else
            type->params[type->param_count++] = value;
    }
}

static void
plan_random_type(struct generator *g)
{
    static const uint8_t result_counts[] = {1, 1, 1, 0, 2, 3, 1, VALUES_MAX};
    struct plan_type *type = &g->types[g->type_count++];

    if (generate_one_in(g, 8)) { /* the same again: types are compared by structure */
        *type = g->types[generate_choose(g, g->type_count - 1)];
        return;
    }
    type->param_count = generate_choose(g, 5);
    if (generate_one_in(g, 10))
        type->param_count = VALUES_MAX;
    type->result_count = result_counts[generate_choose(g, ARRAY_COUNT(result_counts))];
    for (uint32_t i = 0; i < type->param_count; i++)
        type->params[i] = choose_type(g);
    for (uint32_t i = 0; i < type->result_count; i++)
        type->results[i] = choose_type(g);
}

/* The types of the imports have the imports' numbers. */
static void
plan_types(struct generator *g)
{
    static const char *const imports[IMPORT_COUNT] = {
        "i:", "I:", "f:", "F:", "x:", ":", "iIF:I", "i:i"};
    uint32_t count = 4 + generate_choose(g, 8);

    for (uint32_t i = 0; i < IMPORT_COUNT; i++)
        plan_fixed_type(g, imports[i]);
    for (uint32_t i = 0; i < count; i++)
        plan_random_type(g);
}

static void
plan_functions(struct generator *g)
{
    uint32_t count = 2 + generate_choose(g, 6);

    for (uint32_t i = 0; i < IMPORT_COUNT; i++)
        g->functions[i] = i;
    g->functions[OWN_FUEL] = g->functions[OWN_HASH] = IMPORT_HASH; /* () -> () */
    for (uint32_t i = 0; i < count; i++)
        g->functions[OWN_FIRST + i] = generate_choose(g, g->type_count);
    g->function_count = OWN_FIRST + count;
    for (uint32_t i = 0; i < SLOTS; i++)
        g->slots[i] = OWN_FIRST + generate_choose(g, count);
}

static void
plan_globals(struct generator *g)
{
    g->global_count = 2 + generate_choose(g, GLOBALS_MAX - 2);
    g->globals[0] = (struct plan_global){WASM_I32, true};
    for (uint32_t i = 1; i < g->global_count; i++)
        g->globals[i] = (struct plan_global){choose_type(g), generate_choose(g, 4) != 0};
}

static void
plan_rest(struct generator *g)
{
    g->table_count = 1 + generate_choose(g, TABLES_MAX);
    for (uint32_t i = 0; i < g->table_count; i++) {
        g->tables[i].type = i > 0 && generate_one_in(g, 2) ? WASM_EXTERNREF : WASM_FUNCREF;
        g->tables[i].has_max = generate_one_in(g, 2);
    }
    g->tag_count = g->options.has_try ? 1 + generate_choose(g, TAGS_MAX) : 0;
    for (uint32_t i = 0; i < g->tag_count; i++) {
        do
            g->tags[i] = generate_choose(g, g->type_count);
        while (g->types[g->tags[i]].result_count != 0 && g->options.bytes == NULL);
        if (g->types[g->tags[i]].result_count != 0)
            g->tags[i] = IMPORT_LOG_I64;
    }
    g->pages_min = 1 + generate_choose(g, 2);
    g->pages_max = g->pages_min + generate_choose(g, 3);
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
put_imports(struct generator *g, struct buffer *out)
{
    static const char *const names[IMPORT_COUNT] = {"log-i32", "log-i64", "log-f32", "log-f64",
                                                    "log-ref", "hash",    "mix",     "twist"};
    struct buffer content = {0};

    generate_u32(&content, IMPORT_COUNT);
    for (uint32_t i = 0; i < IMPORT_COUNT; i++) {
        put_name(&content, "fuzz");
        put_name(&content, names[i]);
        generate_byte(&content, WASM_KIND_FUNCTION);
        generate_u32(&content, i);
    }
    put_section(out, 2, &content);
    generate_u32(&content, g->function_count - IMPORT_COUNT);
    for (uint32_t i = IMPORT_COUNT; i < g->function_count; i++)
        generate_u32(&content, g->functions[i]);
    put_section(out, 3, &content);
}

static void
put_tables_and_memory(struct generator *g, struct buffer *out)
{
    struct buffer content = {0};

    generate_u32(&content, g->table_count);
    for (uint32_t i = 0; i < g->table_count; i++) {
        generate_byte(&content, g->tables[i].type);
        generate_byte(&content, g->tables[i].has_max);
        generate_u32(&content, SLOTS);
        if (g->tables[i].has_max)
            generate_u32(&content, SLOTS + 4);
    }
    put_section(out, 4, &content);
    generate_byte(&content, 1);
    generate_byte(&content, g->options.has_shared ? 3 : 1);
    generate_u32(&content, g->pages_min);
    generate_u32(&content, g->pages_max);
    put_section(out, 5, &content);
    if (g->tag_count > 0) {
        generate_u32(&content, g->tag_count);
        for (uint32_t i = 0; i < g->tag_count; i++) {
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
    generate_u32(&content, g->global_count);
    for (uint32_t i = 0; i < g->global_count; i++) {
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

/* Vectors cannot cross into JavaScript. */
static bool
is_embeddable(const struct plan_type *type)
{
    return memchr(type->params, WASM_V128, type->param_count) == NULL &&
           memchr(type->results, WASM_V128, type->result_count) == NULL;
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
    struct buffer content = {0}, list = {0};
    uint32_t count = 0;
    char name[16];

    count += put_export(&list, "fuel", WASM_KIND_FUNCTION, OWN_FUEL);
    count += put_export(&list, "memory", WASM_KIND_MEMORY, 0);
    for (uint32_t i = OWN_FIRST; i < g->function_count; i++) {
        if (!is_embeddable(&g->types[g->functions[i]]))
            continue;
        name[0] = 'f';
        name[1] = (char)('a' + (int)(i - OWN_FIRST));
        name[2] = '\0';
        count += put_export(&list, name, WASM_KIND_FUNCTION, i);
    }
    for (uint32_t i = 1; i < g->global_count; i++) {
        if (g->globals[i].type == WASM_V128)
            continue;
        name[0] = 'g';
        name[1] = (char)('a' + (int)i);
        name[2] = '\0';
        count += put_export(&list, name, WASM_KIND_GLOBAL, i);
    }
    count += put_export(&list, "hash", WASM_KIND_FUNCTION, OWN_HASH);
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

    for (start = OWN_FIRST; start < g->function_count; start++)
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
    generate_u32(&content, g->function_count - IMPORT_COUNT);
    put_fixed_functions(g, &content);
    for (uint32_t i = OWN_FIRST; i < g->function_count; i++)
        put_function(g, i, &content);
    put_section(out, 10, &content);
}

void
generate_module(const struct generate_options *options, struct buffer *out)
{
    struct generator g = {.options = *options, .state = options->seed};

    plan_types(&g);
    plan_functions(&g);
    plan_globals(&g);
    plan_rest(&g);
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
