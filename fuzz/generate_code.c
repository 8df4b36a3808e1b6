/* SPDX-License-Identifier: Apache-2.0
 *
 * generate: expressions, statements, and control.
 *
 * Every expression leaves one value of its type above what was there, every
 * statement nothing; so any of them may stand anywhere, and a branch always
 * finds its values on top.
 */
#include <string.h>

#include "base/assert.h"
#include "generate_internal.h"

#define DEPTH_MAX 12u

static const uint8_t value_types[] = {WASM_I32, WASM_I64,     WASM_F32,       WASM_F64,
                                      WASM_I32, WASM_FUNCREF, WASM_EXTERNREF, WASM_V128};

static uint8_t
choose_type(struct generator *g)
{
    return value_types[generate_choose(g, ARRAY_COUNT(value_types) - !g->options.has_simd)];
}

static void
put_expressions(struct generator *g, const uint8_t *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        generate_expression(g, types[i]);
}

/* ------------------------------------------------------------------------- labels */

static void
push_label(struct generator *g, enum label_kind kind, const uint8_t *types, uint32_t count)
{
    struct label *label = &g->labels[g->label_count++];

    ASSERT(g->label_count <= LABELS_MAX && count <= VALUES_MAX);
    label->kind = kind;
    label->count = count;
    if (count > 0)
        (void)memcpy(label->types, types, count);
}

/* A block's type: one value or none in place, else an index of its own. The type
 * section is written before the code, so only types that are there can be used. */
static void
put_block_type(struct generator *g, const uint8_t *results, uint32_t count)
{
    ASSERT(count <= 1);
    generate_byte(g->code, count == 0 ? 0x40 : results[0]);
}

/* What a branch to a label this far out takes; the last is the function. */
static const uint8_t *
target_types(const struct generator *g, uint32_t relative, uint32_t *count)
{
    if (relative == g->label_count) {
        *count = g->type->result_count;
        return g->type->results;
    }
    *count = g->labels[g->label_count - 1 - relative].count;
    return g->labels[g->label_count - 1 - relative].types;
}

static bool
same_types(const struct generator *g, uint32_t a, uint32_t b)
{
    uint32_t a_count, b_count;
    const uint8_t *a_types = target_types(g, a, &a_count);
    const uint8_t *b_types = target_types(g, b, &b_count);

    return a_count == b_count && memcmp(a_types, b_types, a_count) == 0;
}

/* A label with the same types as `like`, perhaps the same. */
static uint32_t
similar_label(struct generator *g, uint32_t like)
{
    uint32_t relative = generate_choose(g, g->label_count + 1);

    return same_types(g, relative, like) ? relative : like;
}

/* -------------------------------------------------------------------- going away */

static void
put_br_table(struct generator *g, uint32_t relative)
{
    uint32_t count = generate_choose(g, 6), types;

    (void)target_types(g, relative, &types);
    if (generate_one_in(g, 2))
        generate_masked(g, 7);
    else
        generate_expression(g, WASM_I32);
    generate_byte(g->code, WASM_BR_TABLE);
    generate_u32(g->code, count);
    for (uint32_t i = 0; i <= count; i++)
        generate_u32(g->code, similar_label(g, relative));
}

static bool
put_rethrow(struct generator *g)
{
    for (uint32_t i = 0; i < g->label_count; i++) {
        if (g->labels[g->label_count - 1 - i].kind != LABEL_CATCH)
            continue;
        generate_indexed(g, WASM_RETHROW, i);
        return true;
    }
    return false;
}

/* Anything after which nothing follows. */
static void
put_departure(struct generator *g)
{
    uint32_t relative = generate_choose(g, g->label_count + 1), count;
    const uint8_t *types = target_types(g, relative, &count);

    switch (generate_choose(g, 10)) {
    case 0:
    case 1:
        put_expressions(g, g->type->results, g->type->result_count);
        generate_byte(g->code, WASM_RETURN);
        break;
    case 2:
    case 3:
        put_expressions(g, types, count);
        put_br_table(g, relative);
        break;
    case 4:
        if (g->options.has_tail) {
            generate_tail_call(g);
            break;
        }
        /* FALLTHROUGH */
    case 5:
        if (put_rethrow(g))
            break;
        if (g->tag_count > 0) {
            generate_throw(g);
            break;
        }
        /* FALLTHROUGH */
    default:
        if (generate_one_in(g, 40)) {
            generate_byte(g->code, WASM_UNREACHABLE);
            break;
        }
        put_expressions(g, types, count);
        generate_indexed(g, WASM_BR, relative);
    }
}

/* Every loop and function burns fuel, and returns when there is none. */
static void
put_fuel_check(struct generator *g)
{
    generate_indexed(g, WASM_GLOBAL_GET, 0);
    buffer_append(g->code, (const uint8_t[]){WASM_I32_EQZ, WASM_IF, 0x40}, 3);
    for (uint32_t i = 0; i < g->type->result_count; i++)
        generate_const(g, g->type->results[i]);
    buffer_append(g->code, (const uint8_t[]){WASM_RETURN, WASM_END}, 2);
    generate_indexed(g, WASM_GLOBAL_GET, 0);
    generate_i32(g, 1);
    generate_byte(g->code, WASM_I32_SUB);
    generate_indexed(g, WASM_GLOBAL_SET, 0);
}

/* --------------------------------------------------------------------- structure */

/* Statements, then the results; or a departure. */
static void
put_block_body(struct generator *g, const uint8_t *results, uint32_t count)
{
    uint32_t statements = generate_choose(g, 4);

    for (uint32_t i = 0; i < statements && g->budget > 0; i++)
        generate_statement(g);
    if (g->budget > 0 && generate_one_in(g, 8))
        put_departure(g);
    else
        put_expressions(g, results, count);
}

static void
put_block(struct generator *g, const uint8_t *results, uint32_t count)
{
    generate_byte(g->code, WASM_BLOCK);
    put_block_type(g, results, count);
    push_label(g, LABEL_BLOCK, results, count);
    put_block_body(g, results, count);
    g->label_count--;
    generate_byte(g->code, WASM_END);
}

static void
put_loop(struct generator *g, const uint8_t *results, uint32_t count)
{
    generate_byte(g->code, WASM_LOOP);
    put_block_type(g, results, count);
    push_label(g, LABEL_LOOP, NULL, 0);
    put_fuel_check(g);
    if (generate_one_in(g, 2)) {
        generate_statement(g);
        generate_expression(g, WASM_I32);
        generate_indexed(g, WASM_BR_IF, 0);
    }
    put_block_body(g, results, count);
    g->label_count--;
    generate_byte(g->code, WASM_END);
}

static void
put_if(struct generator *g, const uint8_t *results, uint32_t count)
{
    generate_expression(g, WASM_I32);
    generate_byte(g->code, WASM_IF);
    put_block_type(g, results, count);
    push_label(g, LABEL_BLOCK, results, count);
    put_block_body(g, results, count);
    if (count > 0 || generate_one_in(g, 2)) {
        generate_byte(g->code, WASM_ELSE);
        put_block_body(g, results, count);
    }
    g->label_count--;
    generate_byte(g->code, WASM_END);
}

/* Takes values off the stack, into locals or nowhere. */
static void
take_values(struct generator *g, const uint8_t *types, uint32_t count)
{
    while (count > 0) {
        count--;
        if (generate_one_in(g, 3))
            generate_byte(g->code, WASM_DROP);
        else
            generate_indexed(g, WASM_LOCAL_SET, generate_local(g, types[count]));
    }
}

/* A block, loop or if with the parameters and results of one of the module's
 * types. All of its results are taken but one of type `wanted`, if any. */
static bool
put_typed_block(struct generator *g, uint8_t wanted)
{
    static const uint8_t openers[] = {WASM_BLOCK, WASM_LOOP, WASM_IF};
    uint32_t index = generate_choose(g, g->type_count);
    const struct plan_type *type = &g->types[index];
    uint8_t opener = openers[generate_choose(g, 3)];

    if (wanted != 0 && (type->result_count == 0 || type->results[0] != wanted))
        return false;
    put_expressions(g, type->params, type->param_count);
    if (opener == WASM_IF)
        generate_expression(g, WASM_I32);
    generate_byte(g->code, opener);
    generate_s64(g->code, index);
    if (opener == WASM_LOOP)
        push_label(g, LABEL_LOOP, type->params, type->param_count);
    else
        push_label(g, LABEL_BLOCK, type->results, type->result_count);
    if (opener == WASM_LOOP)
        put_fuel_check(g);
    take_values(g, type->params, type->param_count);
    put_block_body(g, type->results, type->result_count);
    if (opener == WASM_IF) {
        generate_byte(g->code, WASM_ELSE);
        take_values(g, type->params, type->param_count);
        put_block_body(g, type->results, type->result_count);
    }
    g->label_count--;
    generate_byte(g->code, WASM_END);
    take_values(g, type->results + (wanted != 0), type->result_count - (wanted != 0));
    return true;
}

/* ------------------------------------------------------------------- exceptions */

static void
put_catches(struct generator *g, const uint8_t *results, uint32_t count)
{
    uint32_t catches = generate_choose(g, 3);
    bool has_all = catches == 0 || generate_one_in(g, 2);

    for (uint32_t i = 0; i < catches; i++) {
        uint32_t tag = generate_choose(g, g->tag_count);

        generate_indexed(g, WASM_CATCH, tag);
        push_label(g, LABEL_CATCH, results, count);
        take_values(g, g->types[g->tags[tag]].params, g->types[g->tags[tag]].param_count);
        put_block_body(g, results, count);
        g->label_count--;
    }
    if (has_all) {
        generate_byte(g->code, WASM_CATCH_ALL);
        push_label(g, LABEL_CATCH, results, count);
        put_block_body(g, results, count);
        g->label_count--;
    }
}

static void
put_try(struct generator *g, const uint8_t *results, uint32_t count)
{
    generate_byte(g->code, WASM_TRY);
    put_block_type(g, results, count);
    push_label(g, LABEL_BLOCK, results, count);
    if (generate_one_in(g, 3)) { /* something to catch, perhaps */
        generate_expression(g, WASM_I32);
        buffer_append(g->code, (const uint8_t[]){WASM_IF, 0x40}, 2);
        push_label(g, LABEL_BLOCK, NULL, 0);
        generate_throw(g);
        g->label_count--;
        generate_byte(g->code, WASM_END);
    }
    put_block_body(g, results, count);
    g->label_count--;
    if (generate_one_in(g, 4)) {
        generate_indexed(g, WASM_DELEGATE, generate_choose(g, g->label_count + 1));
        return;
    }
    put_catches(g, results, count);
    generate_byte(g->code, WASM_END);
}

/* Any structure that leaves these values (one or none). */
static void
put_structure(struct generator *g, const uint8_t *results, uint32_t count)
{
    switch (generate_choose(g, 6)) {
    case 0:
        put_block(g, results, count);
        break;
    case 1:
        put_loop(g, results, count);
        break;
    case 2:
        if (put_typed_block(g, count > 0 ? results[0] : 0))
            break;
        /* FALLTHROUGH */
    case 3:
        if (g->tag_count > 0) {
            put_try(g, results, count);
            break;
        }
        /* FALLTHROUGH */
    default:
        put_if(g, results, count);
    }
}

/* ------------------------------------------------------------------- expressions */

static void
put_leaf(struct generator *g, uint8_t type)
{
    uint32_t index = 1 + generate_choose(g, g->global_count - 1);

    if (g->globals[index].type == type && generate_one_in(g, 2)) {
        generate_indexed(g, WASM_GLOBAL_GET, index);
        return;
    }
    if (generate_one_in(g, 3))
        generate_const(g, type);
    else
        generate_indexed(g, WASM_LOCAL_GET, generate_local(g, type));
}

static void
put_select(struct generator *g, uint8_t type)
{
    bool is_plain = type != WASM_FUNCREF && type != WASM_EXTERNREF && generate_one_in(g, 2);

    generate_expression(g, type);
    generate_expression(g, type);
    generate_expression(g, WASM_I32);
    if (is_plain)
        generate_byte(g->code, WASM_SELECT);
    else
        buffer_append(g->code, (const uint8_t[]){WASM_SELECT_T, 1, type}, 3);
}

/* A value that a conditional branch may take along. */
static bool
put_branching(struct generator *g, uint8_t type)
{
    uint32_t relative = generate_choose(g, g->label_count + 1), count;
    const uint8_t *types = target_types(g, relative, &count);

    if (count != 1 || types[0] != type)
        return false;
    generate_expression(g, type);
    generate_expression(g, WASM_I32);
    generate_indexed(g, WASM_BR_IF, relative);
    return true;
}

static void
put_size(struct generator *g)
{
    uint32_t table = generate_choose(g, g->table_count);

    switch (generate_choose(g, 5)) {
    case 0: /* may fail: where it does, it does everywhere, for there is a maximum */
        generate_masked(g, 3);
        generate_byte(g->code, WASM_MEMORY_GROW);
        generate_byte(g->code, 0);
        break;
    case 1:
        if (g->tables[table].has_max) {
            generate_expression(g, g->tables[table].type);
            generate_masked(g, 3);
            generate_indexed(g, WASM_TABLE_GROW, table);
            break;
        }
        /* FALLTHROUGH */
    case 2:
        generate_indexed(g, WASM_TABLE_SIZE, table);
        break;
    case 3:
        generate_expression(g, g->tables[table].type);
        generate_byte(g->code, WASM_REF_IS_NULL);
        break;
    default:
        generate_byte(g->code, WASM_MEMORY_SIZE);
        generate_byte(g->code, 0);
    }
}

static void
put_inner(struct generator *g, uint8_t type)
{
    bool is_reference = type == WASM_FUNCREF || type == WASM_EXTERNREF;

    switch (generate_choose(g, 16)) {
    case 0:
        put_structure(g, &type, 1);
        break;
    case 1:
        if (generate_call_giving(g, type))
            break;
        /* FALLTHROUGH */
    case 2:
        put_select(g, type);
        break;
    case 3:
        if (put_branching(g, type))
            break;
        /* FALLTHROUGH */
    case 4:
        generate_expression(g, type);
        generate_indexed(g, WASM_LOCAL_TEE, generate_local(g, type));
        break;
    case 5:
        if (type == WASM_I32) {
            put_size(g);
            break;
        }
        /* FALLTHROUGH */
    default:
        if (is_reference)
            generate_reference(g, type);
        else
            generate_operator(g, type);
    }
}

void
generate_expression(struct generator *g, uint8_t type)
{
    uint32_t node = g->node++;
    size_t first = g->code->count;

    g->budget--;
    if (g->budget <= 0 || g->depth >= DEPTH_MAX || generate_choose(g, 4) == 0) {
        put_leaf(g, type);
    } else {
        g->depth++;
        put_inner(g, type);
        g->depth--;
    }
    if (generate_is_cut(g, node)) {
        g->code->count = first;
        generate_zero(g, type);
    }
}

/* -------------------------------------------------------------------- statements */

static void
put_assignment(struct generator *g)
{
    uint32_t global = 1 + generate_choose(g, g->global_count - 1);
    uint8_t type = choose_type(g);

    if (g->globals[global].is_mutable && generate_one_in(g, 3)) {
        generate_expression(g, g->globals[global].type);
        generate_indexed(g, WASM_GLOBAL_SET, global);
        return;
    }
    generate_expression(g, type);
    generate_indexed(g, WASM_LOCAL_SET, generate_local(g, type));
}

static void
put_conditional_branch(struct generator *g)
{
    uint32_t relative = generate_choose(g, g->label_count + 1), count;
    const uint8_t *types = target_types(g, relative, &count);

    put_expressions(g, types, count);
    generate_expression(g, WASM_I32);
    generate_indexed(g, WASM_BR_IF, relative);
    take_values(g, types, count);
}

static void
put_any_statement(struct generator *g)
{
    switch (generate_choose(g, 16)) {
    case 0:
    case 1:
    case 2:
        generate_store(g);
        break;
    case 3:
        put_structure(g, NULL, 0);
        break;
    case 4:
        generate_call(g);
        break;
    case 5:
        put_conditional_branch(g);
        break;
    case 6:
        generate_bulk(g);
        break;
    case 7:
        generate_log(g);
        break;
    case 8:
        generate_kernel(g);
        break;
    case 9:
        generate_expression(g, choose_type(g));
        generate_byte(g->code, WASM_DROP);
        break;
    case 10:
        put_if(g, NULL, 0);
        break;
    default:
        put_assignment(g);
    }
}

void
generate_statement(struct generator *g)
{
    uint32_t node = g->node++;
    size_t first = g->code->count;

    g->budget--;
    if (g->depth >= DEPTH_MAX || g->budget <= 0) {
        generate_byte(g->code, WASM_NOP);
        return;
    }
    g->depth++;
    put_any_statement(g);
    g->depth--;
    if (generate_is_cut(g, node))
        g->code->count = first;
}

void
generate_body(struct generator *g)
{
    put_fuel_check(g);
    while (g->budget > (int)g->options.size / 8) {
        generate_statement(g);
        if (g->options.bytes != NULL && g->position >= g->options.count)
            break;
    }
    put_expressions(g, g->type->results, g->type->result_count);
    generate_byte(g->code, WASM_END);
}
