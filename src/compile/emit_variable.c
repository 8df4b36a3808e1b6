/* SPDX-License-Identifier: Apache-2.0
 *
 * Constants, locals, globals, drop and select.
 */
#include <string.h>

#include "compile/compile_internal.h"

static void
emit_constant(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    struct unit_types *types = emitter->types;
    LLVMValueRef bits, lanes[2];
    uint64_t words[2];

    switch (argument) {
    case WASM_I32:
        emit_push(emitter, LLVMConstInt(types->i32, (uint32_t)instr->value.i32, 0));
        return;
    case WASM_I64:
        emit_push(emitter, LLVMConstInt(types->i64, (uint64_t)instr->value.i64, 0));
        return;
    case WASM_F32: /* by its bits: a NaN keeps its payload */
        bits = LLVMConstInt(types->i32, (uint32_t)instr->value.i32, 0);
        emit_push(emitter, LLVMConstBitCast(bits, types->f32));
        return;
    case WASM_F64:
        bits = LLVMConstInt(types->i64, (uint64_t)instr->value.i64, 0);
        emit_push(emitter, LLVMConstBitCast(bits, types->f64));
        return;
    default:
        (void)memcpy(words, instr->value.bytes, sizeof(words));
        lanes[0] = LLVMConstInt(types->i64, words[0], 0);
        lanes[1] = LLVMConstInt(types->i64, words[1], 0);
        emit_push(emitter, LLVMConstVector(lanes, 2));
        return;
    }
}

static void
emit_local_get(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    uint32_t index = instr->index;

    (void)argument;
    emit_push(emitter, LLVMBuildLoad2(emitter->builder,
                                      unit_type(emitter->unit, emitter->local_types[index]),
                                      emitter->locals[index], ""));
}

/* argument: whether the value stays (local.tee). */
static void
emit_local_set(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef value = emit_pop(emitter);

    (void)LLVMBuildStore(emitter->builder, value, emitter->locals[instr->index]);
    if (argument)
        emit_push(emitter, value);
}

LLVMValueRef
emit_global_address(struct emitter *emitter, uint32_t index)
{
    const struct abi_layout *layout = &emitter->unit->plan->layout;
    uint64_t at = layout->globals + index * ABI_GLOBAL_BYTES;
    LLVMValueRef offset;

    if (emitter->unit->plan->mode != ABI_LINKED && !emitter->module->globals[index].is_mutable)
        return emit_process_address(emitter, at); /* the same for all threads */
    if (emitter->unit->plan->mode != ABI_LINKED || index >= emitter->module->imported_global_count)
        return emit_context_address(emitter, at);
    offset = emit_load(emitter, emitter->types->i64,
                       emit_context_address(emitter, layout->global_offsets + index * 8u),
                       ALIAS_CONSTANT, 8);
    return emit_guest_address(emitter, offset);
}

static void
emit_global_get(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    uint8_t type = emitter->module->globals[instr->index].type;

    (void)argument;
    emit_push(emitter, emit_load(emitter, unit_type(emitter->unit, type),
                                 emit_global_address(emitter, instr->index), ALIAS_GLOBAL, 8));
}

static void
emit_global_set(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef value = emit_pop(emitter);

    (void)argument;
    (void)emit_store(emitter, value, emit_global_address(emitter, instr->index), ALIAS_GLOBAL, 8);
}

static void
emit_drop(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef value = emit_pop(emitter);

    (void)instr;
    (void)argument;
    /* A load that the program itself drops is there for its trap. */
    while (LLVMIsAInstruction(value) != NULL && LLVMGetNumOperands(value) == 1 &&
           LLVMIsACastInst(value) != NULL)
        value = LLVMGetOperand(value, 0);
    if (LLVMIsALoadInst(value) != NULL && LLVMIsAAllocaInst(LLVMGetOperand(value, 0)) == NULL)
        LLVMSetVolatile(value, 1);
}

static void
emit_select(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef condition = emit_pop(emitter);
    LLVMValueRef otherwise = emit_pop(emitter);
    LLVMValueRef value = emit_pop(emitter);

    (void)instr;
    (void)argument;
    condition = LLVMBuildICmp(emitter->builder, LLVMIntNE, condition, emit_i32(emitter, 0), "");
    emit_push(emitter, LLVMBuildSelect(emitter->builder, condition, value, otherwise, ""));
}

static void
emit_nop(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)emitter;
    (void)instr;
    (void)argument;
}

const struct emit_rule emit_rules_variable[] = {
    {WASM_I32_CONST, emit_constant, WASM_I32},
    {WASM_I64_CONST, emit_constant, WASM_I64},
    {WASM_F32_CONST, emit_constant, WASM_F32},
    {WASM_F64_CONST, emit_constant, WASM_F64},
    {WASM_V128_CONST, emit_constant, WASM_V128},
    {WASM_LOCAL_GET, emit_local_get, 0},
    {WASM_LOCAL_SET, emit_local_set, 0},
    {WASM_LOCAL_TEE, emit_local_set, 1},
    {WASM_GLOBAL_GET, emit_global_get, 0},
    {WASM_GLOBAL_SET, emit_global_set, 0},
    {WASM_DROP, emit_drop, 0},
    {WASM_SELECT, emit_select, 0},
    {WASM_SELECT_T, emit_select, 0},
    {WASM_NOP, emit_nop, 0},
    EMIT_RULES_END,
};
