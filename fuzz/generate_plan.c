/* SPDX-License-Identifier: Apache-2.0
 *
 * generate: what a module has, before any code.
 */
#include "base/assert.h"
#include "generate_internal.h"

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
    static const uint8_t result_counts[] = {1, 1, 1, 0, 2, 3, 1, 5, 0, 1, 1, VALUES_MAX};
    struct plan_type *type = &g->types[g->type_count++];

    if (generate_one_in(g, 8)) { /* the same again: types are compared by structure */
        *type = g->types[generate_choose(g, g->type_count - 1)];
        return;
    }
    type->param_count = generate_choose(g, 5);
    /* More than registers: what an exception must find its way past. */
    if (generate_one_in(g, g->options.has_tail && g->options.has_try ? 3 : 10))
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
    uint32_t first = g->own + OWN_FIRST;

    g->functions[g->own + OWN_FUEL] = g->functions[g->own + OWN_HASH] = IMPORT_HASH; /* () -> () */
    for (uint32_t i = 0; i < count; i++)
        g->functions[first + i] = generate_choose(g, g->type_count);
    g->function_count = first + count;
    for (uint32_t i = 0; i < SLOTS; i++)
        g->slots[i] = first + generate_choose(g, count);
}

static void
plan_globals(struct generator *g)
{
    uint32_t count = 2 + generate_choose(g, 10);

    if (!g->is_importer)
        g->globals[g->global_count++] = (struct plan_global){WASM_I32, true}; /* the fuel */
    for (; count > 0; count--)
        g->globals[g->global_count++] =
            (struct plan_global){choose_type(g), generate_choose(g, 4) != 0};
}

static void
plan_rest(struct generator *g)
{
    uint32_t first = g->is_importer ? 1 : 0;

    g->table_count = 1 + generate_choose(g, TABLES_MAX);
    for (uint32_t i = first; i < g->table_count; i++) {
        g->tables[i].type = i > 0 && generate_one_in(g, 2) ? WASM_EXTERNREF : WASM_FUNCREF;
        g->tables[i].has_max = generate_one_in(g, 2);
    }
    if (g->options.has_try)
        g->tag_count += 1 + generate_choose(g, 3);
    for (uint32_t i = g->imported_tags; i < g->tag_count; i++) {
        g->tags[i] = generate_choose(g, g->type_count);
        if (g->types[g->tags[i]].result_count != 0 ||
            g->types[g->tags[i]].param_count > PAYLOAD_MAX)
            g->tags[i] = generate_choose(g, IMPORT_MIX); /* these have no results */
    }
    if (g->is_importer)
        return;
    g->pages_min = 1 + generate_choose(g, 2);
    g->pages_max = g->pages_min + generate_choose(g, 3);
}

/* What another module exports becomes the first of every index space. */
static void
plan_imports(struct generator *g)
{
    struct generator from = {.options = *g->options.from, .state = g->options.from->seed};

    generate_plan(&from);
    g->is_importer = true;
    for (uint32_t i = from.own + OWN_FIRST; i < from.function_count; i++) {
        g->types[g->type_count] = from.types[from.functions[i]];
        g->functions[g->own++] = g->type_count++;
    }
    for (; g->imported_globals < from.global_count; g->imported_globals++)
        g->globals[g->global_count++] = from.globals[g->imported_globals];
    for (; g->imported_tags < from.tag_count; g->imported_tags++) {
        g->types[g->type_count] = from.types[from.tags[g->imported_tags]];
        g->tags[g->tag_count++] = g->type_count++;
    }
    g->tables[0] = from.tables[0];
    g->pages_min = from.pages_min;
    g->pages_max = from.pages_max;
    g->options.has_shared = from.options.has_shared;
}

void
generate_plan(struct generator *g)
{
    plan_types(g);
    for (g->own = 0; g->own < IMPORT_COUNT; g->own++)
        g->functions[g->own] = g->own;
    if (g->options.from != NULL)
        plan_imports(g);
    plan_functions(g);
    plan_globals(g);
    plan_rest(g);
    ASSERT(g->type_count <= TYPES_MAX && g->function_count <= FUNCTIONS_MAX &&
           g->global_count <= GLOBALS_MAX && g->tag_count <= TAGS_MAX);
}
