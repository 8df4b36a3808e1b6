/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables and references. An entry, like a reference on the stack, is a 64-bit
 * GS offset; null is ABI_REF_NULL.
 */
#include <stddef.h>

#include "base/assert.h"
#include "compile/compile_internal.h"

/* Where the struct abi_table is: own, or where a LINKED context says. */
static LLVMValueRef
table_record_address(struct emitter *emitter, uint32_t index, uint64_t field)
{
    const struct abi_layout *layout = &emitter->unit->plan->layout;
    LLVMValueRef record;

    if (emitter->unit->plan->mode != ABI_LINKED)
        return emit_process_address(emitter,
                                    layout->tables + index * sizeof(struct abi_table) + field);
    record = emit_load(emitter, emitter->types->i64,
                       emit_context_address(emitter, layout->table_offsets + index * 8u),
                       ALIAS_CONSTANT, 8);
    record = LLVMBuildAdd(emitter->builder, record, emit_i64(emitter, field), "");
    return emit_guest_address(emitter, record);
}

LLVMValueRef
emit_table_base(struct emitter *emitter, uint32_t index)
{
    const struct compile_plan *plan = emitter->unit->plan;

    if (plan->mode != ABI_LINKED)
        return emit_i64(emitter, (uint64_t)plan->table_base[index]);
    return emit_load(emitter, emitter->types->i64,
                     table_record_address(emitter, index, offsetof(struct abi_table, base)),
                     ALIAS_CONSTANT, 8);
}

LLVMValueRef
emit_table_count(struct emitter *emitter, uint32_t index)
{
    const struct wasm_table *table = &emitter->module->tables[index];

    if (!table->is_imported && table->limits.has_max && table->limits.max == table->limits.min)
        return emit_i32(emitter, (uint32_t)table->limits.min); /* it can never grow */
    return emit_load(emitter, emitter->types->i32,
                     table_record_address(emitter, index, offsetof(struct abi_table, count)),
                     ALIAS_TABLE, 4);
}

static LLVMValueRef
entry_address(struct emitter *emitter, uint32_t table, LLVMValueRef index)
{
    LLVMBuilderRef b = emitter->builder;
    LLVMValueRef at = LLVMBuildZExt(b, index, emitter->types->i64, "");

    at = LLVMBuildShl(b, at, emit_i64(emitter, 3), "");
    at = LLVMBuildAdd(b, at, emit_table_base(emitter, table), "");
    return emit_guest_address(emitter, at);
}

static void
check_index(struct emitter *emitter, uint32_t table, LLVMValueRef index)
{
    emit_trap_if(
        emitter,
        LLVMBuildICmp(emitter->builder, LLVMIntUGE, index, emit_table_count(emitter, table), ""),
        ABI_TRAP_TABLE_BOUNDS);
}

static void
emit_get(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef index = emit_fixed(emitter, emit_pop(emitter));

    (void)argument;
    check_index(emitter, instr->index, index);
    emit_push(emitter, emit_load(emitter, emitter->types->i64,
                                 entry_address(emitter, instr->index, index), ALIAS_TABLE, 8));
}

static void
emit_set(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef reference = emit_pop(emitter);
    LLVMValueRef index = emit_fixed(emitter, emit_pop(emitter));

    (void)argument;
    check_index(emitter, instr->index, index);
    (void)emit_store(emitter, reference, entry_address(emitter, instr->index, index), ALIAS_TABLE,
                     8);
}

static void
emit_table_size(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)argument;
    emit_push(emitter, emit_table_count(emitter, instr->index));
}

static LLVMValueRef
pop_wide(struct emitter *emitter)
{
    LLVMValueRef value = emit_pop(emitter);

    return LLVMBuildZExt(emitter->builder, value, emitter->types->i64, "");
}

static void
trap_if_refused(struct emitter *emitter, LLVMValueRef refused)
{
    emit_trap_if(emitter,
                 LLVMBuildICmp(emitter->builder, LLVMIntNE, refused, emit_i64(emitter, 0), ""),
                 ABI_TRAP_TABLE_BOUNDS);
}

static void
emit_table_grow(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef args[3], count;

    (void)argument;
    args[2] = pop_wide(emitter);
    args[1] = emit_pop(emitter);
    args[0] = emit_i64(emitter, instr->index);
    count = emit_helper(emitter, ABI_HELPER_TABLE_GROW, args, 3);
    emit_push(emitter, LLVMBuildTrunc(emitter->builder, count, emitter->types->i32, ""));
}

static void
emit_table_fill(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef args[4];

    (void)argument;
    args[3] = pop_wide(emitter);
    args[2] = emit_pop(emitter);
    args[1] = pop_wide(emitter);
    args[0] = emit_i64(emitter, instr->index);
    trap_if_refused(emitter, emit_helper(emitter, ABI_HELPER_TABLE_FILL, args, 4));
}

/* table.copy (destination, source) and table.init (segment, table): the helper
 * wants the destination table in the upper half. */
static void
emit_table_bulk(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    uint64_t table = argument == ABI_HELPER_TABLE_COPY ? instr->index : instr->index2;
    uint64_t source = argument == ABI_HELPER_TABLE_COPY ? instr->index2 : instr->index;
    LLVMValueRef args[4];

    for (int i = 3; i >= 1; i--)
        args[i] = pop_wide(emitter);
    args[0] = emit_i64(emitter, table << 32 | source);
    trap_if_refused(emitter, emit_helper(emitter, (enum abi_helper)argument, args, 4));
}

static void
emit_elem_drop(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    uint64_t at = emitter->unit->plan->layout.element_counts + instr->index * 4u;

    (void)argument;
    (void)emit_store(emitter, emit_i32(emitter, 0), emit_process_address(emitter, at),
                     ALIAS_CONTEXT, 4);
}

/* ------------------------------------------------------------------ references */

LLVMValueRef
emit_function_reference(struct emitter *emitter, uint32_t index)
{
    const struct compile_plan *plan = emitter->unit->plan;
    uint64_t at;

    ASSERT(plan->references[index] != PLAN_NO_REFERENCE);
    if (plan->mode == ABI_LINKED && index < emitter->module->imported_function_count)
        return emit_load(emitter, emitter->types->i64,
                         emit_context_address(emitter, plan->layout.import_functions + index * 8u),
                         ALIAS_CONSTANT, 8);
    at = plan->layout.functions + plan->references[index] * sizeof(struct abi_function);
    return LLVMBuildAdd(emitter->builder, emitter->process, emit_i64(emitter, at), "");
}

static void
emit_ref_func(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)argument;
    emit_push(emitter, emit_function_reference(emitter, instr->index));
}

static void
emit_ref_null(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    (void)argument;
    emit_push(emitter, emit_i64(emitter, (uint64_t)ABI_REF_NULL));
}

static void
emit_ref_is_null(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef bit = LLVMBuildICmp(emitter->builder, LLVMIntEQ, emit_pop(emitter),
                                     emit_i64(emitter, (uint64_t)ABI_REF_NULL), "");

    (void)instr;
    (void)argument;
    emit_push(emitter, LLVMBuildZExt(emitter->builder, bit, emitter->types->i32, ""));
}

const struct emit_rule emit_rules_table[] = {
    {WASM_TABLE_GET, emit_get, 0},
    {WASM_TABLE_SET, emit_set, 0},
    {WASM_TABLE_SIZE, emit_table_size, 0},
    {WASM_TABLE_GROW, emit_table_grow, 0},
    {WASM_TABLE_FILL, emit_table_fill, 0},
    {WASM_TABLE_COPY, emit_table_bulk, ABI_HELPER_TABLE_COPY},
    {WASM_TABLE_INIT, emit_table_bulk, ABI_HELPER_TABLE_INIT},
    {WASM_ELEM_DROP, emit_elem_drop, 0},
    {WASM_REF_FUNC, emit_ref_func, 0},
    {WASM_REF_NULL, emit_ref_null, 0},
    {WASM_REF_IS_NULL, emit_ref_is_null, 0},
    EMIT_RULES_END,
};
