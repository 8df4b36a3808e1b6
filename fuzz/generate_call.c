/* SPDX-License-Identifier: Apache-2.0
 *
 * generate: calls, references, tables, bulk operations, exceptions, and what the
 * host gets to see.
 */
#include <string.h>

#include "base/assert.h"
#include "generate_internal.h"

#define DATA_PASSIVE_FIRST    1u
#define ELEMENT_PASSIVE_FIRST 2u

static void
put_arguments(struct generator *g, const struct plan_type *type)
{
    for (uint32_t i = 0; i < type->param_count; i++)
        generate_expression(g, type->params[i]);
}

/* Takes what a call left, from the last on, but for the first `kept`. */
static void
take_results(struct generator *g, const struct plan_type *type, uint32_t kept)
{
    for (uint32_t i = type->result_count; i > kept; i--)
        if (generate_one_in(g, 4))
            generate_byte(g->code, WASM_DROP);
        else
            generate_indexed(g, WASM_LOCAL_SET, generate_local(g, type->results[i - 1]));
}

static uint32_t
choose_function(struct generator *g)
{
    uint32_t index = generate_choose(g, g->function_count - IMPORT_MIX) + IMPORT_MIX;

    return index == OWN_FUEL || index == OWN_HASH ? (uint32_t)IMPORT_TWIST : index;
}

/* ---------------------------------------------------------------------- calls */

/* The entry of table 0 that the callee was in at first, as index. */
static void
put_slot(struct generator *g, uint32_t slot)
{
    if (generate_one_in(g, 20)) {
        generate_expression(g, WASM_I32);
        return;
    }
    generate_i32(g, (int32_t)slot);
    if (generate_one_in(g, 4)) { /* not a constant to the compiler */
        generate_indexed(g, WASM_GLOBAL_GET, 0);
        generate_i32(g, INT32_MIN);
        generate_byte(g->code, WASM_I32_AND);
        generate_byte(g->code, WASM_I32_OR);
    }
}

/* The call instruction after the arguments. */
static void
put_call(struct generator *g, uint32_t function, uint32_t slot, bool is_tail)
{
    if (slot == SLOTS) {
        generate_indexed(g, is_tail ? WASM_RETURN_CALL : WASM_CALL, function);
        return;
    }
    put_slot(g, slot);
    generate_indexed(g, is_tail ? WASM_RETURN_CALL_INDIRECT : WASM_CALL_INDIRECT,
                     g->functions[function]);
    generate_byte(g->code, 0);
}

void
generate_call(struct generator *g)
{
    uint32_t slot = generate_choose(g, 2) == 0 ? SLOTS : generate_choose(g, SLOTS - 2);
    uint32_t function = slot == SLOTS ? choose_function(g) : g->slots[slot];
    const struct plan_type *type = &g->types[g->functions[function]];

    put_arguments(g, type);
    put_call(g, function, slot, false);
    take_results(g, type, 0);
}

/* A call whose first result is of this type, if one is found soon. */
bool
generate_call_giving(struct generator *g, uint8_t type)
{
    for (unsigned tries = 0; tries < 4; tries++) {
        uint32_t slot = generate_choose(g, 2) == 0 ? SLOTS : generate_choose(g, SLOTS - 2);
        uint32_t function = slot == SLOTS ? choose_function(g) : g->slots[slot];
        const struct plan_type *callee = &g->types[g->functions[function]];

        if (callee->result_count == 0 || callee->results[0] != type)
            continue;
        put_arguments(g, callee);
        put_call(g, function, slot, false);
        take_results(g, callee, 1);
        return true;
    }
    return false;
}

static bool
same_results(const struct plan_type *a, const struct plan_type *b)
{
    return a->result_count == b->result_count &&
           memcmp(a->results, b->results, a->result_count) == 0;
}

/* Leaves the function, by a tail call where some function returns the same. */
void
generate_tail_call(struct generator *g)
{
    for (unsigned tries = 0; tries < 6; tries++) {
        uint32_t slot = generate_choose(g, 2) == 0 ? SLOTS : generate_choose(g, SLOTS - 2);
        uint32_t function = slot == SLOTS ? choose_function(g) : g->slots[slot];
        const struct plan_type *callee = &g->types[g->functions[function]];

        if (!same_results(callee, g->type))
            continue;
        put_arguments(g, callee);
        put_call(g, function, slot, true);
        return;
    }
    for (uint32_t i = 0; i < g->type->result_count; i++)
        generate_expression(g, g->type->results[i]);
    generate_byte(g->code, WASM_RETURN);
}

/* ----------------------------------------------------------- references, tables */

static uint32_t
table_of_type(struct generator *g, uint8_t type)
{
    uint32_t table = generate_choose(g, g->table_count);

    for (uint32_t i = 0; i < g->table_count; i++, table = (table + 1) % g->table_count)
        if (g->tables[table].type == type)
            return table;
    return g->table_count;
}

void
generate_reference(struct generator *g, uint8_t type)
{
    uint32_t table = table_of_type(g, type);

    if (table < g->table_count && generate_one_in(g, 2)) {
        generate_masked(g, SLOTS - 1);
        generate_indexed(g, WASM_TABLE_GET, table);
    } else if (type == WASM_FUNCREF && generate_one_in(g, 2)) {
        generate_indexed(g, WASM_REF_FUNC,
                         OWN_FIRST + generate_choose(g, g->function_count - OWN_FIRST));
    } else {
        generate_indexed(g, WASM_LOCAL_GET, generate_local(g, type));
    }
}

/* ------------------------------------------------------------- bulk operations */

static void
put_three(struct generator *g, uint32_t a, uint32_t b, uint32_t c)
{
    generate_masked(g, a);
    generate_masked(g, b);
    generate_masked(g, c);
}

static void
put_memory_bulk(struct generator *g)
{
    uint32_t segment = DATA_PASSIVE_FIRST + generate_choose(g, SEGMENTS_MAX - DATA_PASSIVE_FIRST);

    switch (generate_choose(g, 4)) {
    case 0:
        put_three(g, 0x3fff, 0x3fff, generate_one_in(g, 2) ? 0x3ff : 0x1f);
        generate_opcode(g->code, WASM_MEMORY_COPY);
        buffer_append(g->code, "\0\0", 2);
        break;
    case 1:
        put_three(g, 0x3fff, 0xff, generate_one_in(g, 2) ? 0x3ff : 0x1f);
        generate_opcode(g->code, WASM_MEMORY_FILL);
        generate_byte(g->code, 0);
        break;
    case 2:
        put_three(g, 0x3fff, 7, 7);
        generate_indexed(g, WASM_MEMORY_INIT, segment);
        generate_byte(g->code, 0);
        break;
    default: /* without may_trap, only what memory.init cannot miss is dropped */
        if (g->options.may_trap && generate_one_in(g, 4))
            generate_indexed(g, WASM_DATA_DROP, segment);
        else
            generate_indexed(g, WASM_DATA_DROP, 0);
    }
}

static void
put_table_bulk(struct generator *g)
{
    uint32_t table = generate_choose(g, g->table_count);
    uint32_t from = table_of_type(g, g->tables[table].type);

    switch (generate_choose(g, 5)) {
    case 0:
        put_three(g, 7, 7, 7);
        generate_indexed(g, WASM_TABLE_COPY, table);
        generate_u32(g->code, from);
        break;
    case 1:
        generate_masked(g, 7);
        generate_expression(g, g->tables[table].type);
        generate_masked(g, 3);
        generate_indexed(g, WASM_TABLE_FILL, table);
        break;
    case 2:
        generate_masked(g, SLOTS - 1);
        generate_expression(g, g->tables[table].type);
        generate_indexed(g, WASM_TABLE_SET, table);
        break;
    case 3:
        if (g->tables[table].type == WASM_FUNCREF) {
            put_three(g, 7, 1, 1);
            generate_indexed(g, WASM_TABLE_INIT,
                             ELEMENT_PASSIVE_FIRST + (uint32_t)generate_one_in(g, 6));
            generate_u32(g->code, table);
            break;
        }
        /* FALLTHROUGH */
    default:
        generate_indexed(g, WASM_ELEM_DROP, generate_one_in(g, 20) ? ELEMENT_PASSIVE_FIRST : 0);
    }
}

/* Waits do not wait: their time is zero. Nobody else is there to be woken. */
static void
put_wait(struct generator *g)
{
    bool is_wide = generate_one_in(g, 2);

    generate_masked(g, 0x3ff8);
    if (generate_one_in(g, 3)) {
        generate_expression(g, WASM_I32);
        generate_opcode(g->code, WASM_MEMORY_ATOMIC_NOTIFY);
        generate_byte(g->code, 2);
    } else {
        generate_expression(g, is_wide ? WASM_I64 : WASM_I32);
        generate_zero(g, WASM_I64);
        generate_opcode(g->code, is_wide ? WASM_MEMORY_ATOMIC_WAIT64 : WASM_MEMORY_ATOMIC_WAIT32);
        generate_byte(g->code, is_wide ? 3 : 2);
    }
    generate_byte(g->code, 8);
    generate_indexed(g, WASM_LOCAL_SET, generate_local(g, WASM_I32));
}

void
generate_bulk(struct generator *g)
{
    switch (generate_choose(g, 5)) {
    case 0:
        if (g->options.has_shared) {
            put_wait(g);
            break;
        }
        generate_opcode(g->code, WASM_ATOMIC_FENCE);
        generate_byte(g->code, 0);
        break;
    case 1:
    case 2:
        put_table_bulk(g);
        break;
    default:
        put_memory_bulk(g);
    }
}

/* --------------------------------------------------------- exceptions, the host */

void
generate_throw(struct generator *g)
{
    uint32_t tag = generate_choose(g, g->tag_count);

    put_arguments(g, &g->types[g->tags[tag]]);
    generate_indexed(g, WASM_THROW, tag);
}

static void
put_log_vector(struct generator *g)
{
    generate_expression(g, WASM_V128);
    for (unsigned lane = 0; lane < 2; lane++) {
        uint32_t local = generate_local(g, WASM_V128);

        if (lane == 0)
            generate_indexed(g, WASM_LOCAL_TEE, local);
        else
            generate_indexed(g, WASM_LOCAL_GET, local);
        generate_opcode(g->code, WASM_I64X2_EXTRACT_LANE);
        generate_byte(g->code, lane);
        generate_indexed(g, WASM_CALL, IMPORT_LOG_I64);
    }
}

void
generate_log(struct generator *g)
{
    static const uint8_t types[] = {WASM_I32, WASM_I64, WASM_F32, WASM_F64, WASM_EXTERNREF};
    uint32_t which = generate_choose(g, 7);

    if (which < ARRAY_COUNT(types)) {
        generate_expression(g, types[which]);
        generate_indexed(g, WASM_CALL, which);
    } else if (which == ARRAY_COUNT(types) && g->options.has_simd) {
        put_log_vector(g);
    } else {
        generate_indexed(g, WASM_CALL, IMPORT_HASH);
    }
}
