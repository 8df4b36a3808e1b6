/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls: direct, imported, indirect, and their tail forms.
 *
 * The first result comes back in a register, the others are left in the argument
 * area of the caller's context by the callee just before it returns.
 */
#include <stddef.h>
#include <stdlib.h>

#include "base/assert.h"
#include "compile/compile_internal.h"

/* What is called, and with which hidden context. */
struct callee {
    LLVMTypeRef llvm_type;
    LLVMValueRef code;
    LLVMValueRef context; /* i64; not of STANDALONE */
    const struct wasm_func_type *type;
};

LLVMValueRef
emit_call(struct emitter *emitter, LLVMTypeRef type, LLVMValueRef code, LLVMValueRef *args,
          unsigned count)
{
    LLVMBasicBlockRef landing = emit_landing(emitter);
    LLVMBasicBlockRef next;
    LLVMValueRef call;

    if (landing == NULL) {
        call = LLVMBuildCall2(emitter->builder, type, code, args, count, "");
    } else {
        next = emit_block(emitter, "called");
        call = LLVMBuildInvoke2(emitter->builder, type, code, args, count, next, landing, "");
        LLVMPositionBuilderAtEnd(emitter->builder, next);
    }
    unit_set_call_convention(emitter->unit, call);
    return call;
}

/* Leaves the arguments that have no register where the callee looks for them. */
static void
pass_in_context(struct emitter *emitter, const struct callee *callee, uint32_t first,
                LLVMValueRef *args)
{
    LLVMValueRef context = callee->context != NULL ? callee->context : emitter->context;
    LLVMValueRef offset = emit_i64(emitter, offsetof(struct abi_context, args));

    emit_slots_store(emitter, LLVMBuildAdd(emitter->builder, context, offset, ""),
                     callee->type->params, first, callee->type->param_count, args);
}

/* Pops the arguments. The array holds the hidden ones first; the caller frees it. */
static LLVMValueRef *
pop_arguments(struct emitter *emitter, const struct callee *callee, LLVMValueRef results,
              unsigned *count)
{
    uint32_t hidden = unit_hidden_count(emitter->unit, callee->type);
    uint32_t params = callee->type->param_count;
    uint32_t in_registers = unit_register_params(emitter->unit, callee->type);
    LLVMValueRef *args = emit_allocate(params + hidden, sizeof(LLVMValueRef));

    if (hidden > 0)
        args[0] = callee->context;
    if (hidden > 1)
        args[1] = results;
    for (uint32_t i = params; i-- > 0;)
        args[i + hidden] = emit_pop(emitter);
    if (in_registers < params)
        pass_in_context(emitter, callee, in_registers, args + hidden);
    *count = in_registers + hidden;
    return args;
}

static void
push_results(struct emitter *emitter, const struct wasm_func_type *type, LLVMValueRef call)
{
    LLVMValueRef *values;

    if (type->result_count == 0)
        return;
    emit_push(emitter, call);
    if (type->result_count == 1)
        return;
    values = emit_allocate(type->result_count, sizeof(LLVMValueRef));
    emit_slots_load(emitter, emit_area(emitter, offsetof(struct abi_context, args)), type->results,
                    1, type->result_count, values);
    for (uint32_t i = 1; i < type->result_count; i++)
        emit_push(emitter, values[i]);
    free(values);
}

static void
call_callee(struct emitter *emitter, const struct callee *callee)
{
    unsigned count;
    LLVMValueRef *args = pop_arguments(
        emitter, callee, emit_area(emitter, offsetof(struct abi_context, args)), &count);
    LLVMValueRef call = emit_call(emitter, callee->llvm_type, callee->code, args, count);

    free(args);
    push_results(emitter, callee->type, call);
}

/* A tail call: the frame is gone when the callee begins. The results beyond the
 * first go right to where our own caller looks for them. */
static void
tail_call_callee(struct emitter *emitter, const struct callee *callee)
{
    unsigned count;
    LLVMValueRef *args = pop_arguments(emitter, callee, emitter->results, &count);
    LLVMValueRef call =
        LLVMBuildCall2(emitter->builder, callee->llvm_type, callee->code, args, count, "");

    free(args);
    unit_set_call_convention(emitter->unit, call);
    LLVMSetTailCallKind(call, LLVMTailCallKindMustTail);
    if (callee->type->result_count == 0)
        (void)LLVMBuildRetVoid(emitter->builder);
    else
        (void)LLVMBuildRet(emitter->builder, call);
    emit_unreachable_rest(emitter);
}

/* Code and context of the function behind a reference. */
static void
open_reference(struct emitter *emitter, LLVMValueRef reference, struct callee *callee)
{
    LLVMBuilderRef b = emitter->builder;
    LLVMValueRef at = emit_guest_address(emitter, reference);
    LLVMValueRef context;

    callee->code = emit_load(emitter, emitter->types->pointer, at, ALIAS_CONSTANT, 8);
    callee->context = emitter->context; /* a thread takes its own along */
    if (emitter->unit->plan->mode != ABI_LINKED)
        return;
    at = emit_guest_address(
        emitter,
        LLVMBuildAdd(b, reference, emit_i64(emitter, offsetof(struct abi_function, context)), ""));
    context = emit_load(emitter, emitter->types->i32, at, ALIAS_CONSTANT, 4);
    callee->context = LLVMBuildSExt(b, context, emitter->types->i64, "");
}

static struct callee
direct_callee(struct emitter *emitter, uint32_t index)
{
    struct unit *unit = emitter->unit;
    uint32_t type = emitter->module->functions[index].type;
    struct callee callee = {.llvm_type = unit_signature(unit, type),
                            .type = &emitter->module->types[type]};

    if (unit->plan->mode == ABI_LINKED && index < emitter->module->imported_function_count) {
        open_reference(emitter, emit_function_reference(emitter, index), &callee);
        return callee;
    }
    callee.code = unit_function(unit, index);
    callee.context = emitter->context;
    return callee;
}

static LLVMValueRef
type_number(struct emitter *emitter, uint32_t type)
{
    const struct compile_plan *plan = emitter->unit->plan;

    if (plan->mode != ABI_LINKED)
        return emit_i32(emitter, emitter->module->types[type].canonical + 1);
    return emit_load(emitter, emitter->types->i32,
                     emit_context_address(emitter, plan->layout.type_ids + type * 4u),
                     ALIAS_CONSTANT, 4);
}

/* The reference has another type: null, or really another. */
static void
trap_on_type(struct emitter *emitter, LLVMValueRef reference, LLVMValueRef is_wrong)
{
    LLVMBasicBlockRef wrong = emit_block(emitter, "wrong");
    LLVMBasicBlockRef next = emit_block(emitter, "ok");
    LLVMValueRef branch = LLVMBuildCondBr(emitter->builder, is_wrong, wrong, next);
    LLVMValueRef is_null;

    LLVMSetMetadata(branch, emitter->unit->prof_kind, emitter->unit->unlikely);
    LLVMPositionBuilderAtEnd(emitter->builder, wrong);
    is_null = LLVMBuildICmp(emitter->builder, LLVMIntEQ, reference,
                            emit_i64(emitter, (uint64_t)ABI_REF_NULL), "");
    emit_trap_if(emitter, is_null, ABI_TRAP_UNINITIALIZED_ELEMENT);
    emit_trap(emitter, ABI_TRAP_INDIRECT_CALL_TYPE);
    LLVMPositionBuilderAtEnd(emitter->builder, next);
}

static struct callee
indirect_callee(struct emitter *emitter, const struct wasm_instr *instr)
{
    LLVMBuilderRef b = emitter->builder;
    struct callee callee = {.llvm_type = unit_signature(emitter->unit, instr->index),
                            .type = &emitter->module->types[instr->index]};
    LLVMValueRef index = emit_fixed(emitter, emit_pop(emitter));
    LLVMValueRef at, reference, type;

    emit_trap_if(emitter,
                 LLVMBuildICmp(b, LLVMIntUGE, index, emit_table_count(emitter, instr->index2), ""),
                 ABI_TRAP_UNDEFINED_ELEMENT);
    at = LLVMBuildZExt(b, index, emitter->types->i64, "");
    at = LLVMBuildShl(b, at, emit_i64(emitter, 3), "");
    at = LLVMBuildAdd(b, at, emit_table_base(emitter, instr->index2), "");
    reference =
        emit_load(emitter, emitter->types->i64, emit_guest_address(emitter, at), ALIAS_TABLE, 8);
    reference = emit_fixed(emitter, reference);
    at = LLVMBuildAdd(b, reference, emit_i64(emitter, offsetof(struct abi_function, type)), "");
    type =
        emit_load(emitter, emitter->types->i32, emit_guest_address(emitter, at), ALIAS_CONSTANT, 4);
    trap_on_type(emitter, reference,
                 LLVMBuildICmp(b, LLVMIntNE, type, type_number(emitter, instr->index), ""));
    open_reference(emitter, reference, &callee);
    return callee;
}

/* argument: whether a tail call. */
static void
emit_direct(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    struct callee callee = direct_callee(emitter, instr->index);

    if (argument)
        tail_call_callee(emitter, &callee);
    else
        call_callee(emitter, &callee);
}

static void
emit_indirect(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    struct callee callee = indirect_callee(emitter, instr);

    if (argument)
        tail_call_callee(emitter, &callee);
    else
        call_callee(emitter, &callee);
}

const struct emit_rule emit_rules_call[] = {
    {WASM_CALL, emit_direct, 0},
    {WASM_CALL_INDIRECT, emit_indirect, 0},
    {WASM_RETURN_CALL, emit_direct, 1},
    {WASM_RETURN_CALL_INDIRECT, emit_indirect, 1},
    EMIT_RULES_END,
};
