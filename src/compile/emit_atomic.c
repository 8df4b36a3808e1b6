/* SPDX-License-Identifier: Apache-2.0
 *
 * Atomic instructions. All are sequentially consistent, and trap at addresses that
 * are not a multiple of their size. Waiting and waking leave the guest: the host
 * checks their address.
 */
#include "compile/compile_internal.h"

/* Argument: log2 of the bytes accessed, log2 of the value's bytes, operation. */
#define ATOMIC(value_bits, memory_bits, operation) \
    (LOG2_##memory_bits | LOG2_##value_bits << 2 | (int)(operation) << 4)
#define LOG2_8  0
#define LOG2_16 1
#define LOG2_32 2
#define LOG2_64 3

static unsigned
memory_bytes(int argument)
{
    return 1u << (argument & 3);
}

static LLVMTypeRef
integer_type(const struct emitter *emitter, int log2_bytes)
{
    const LLVMTypeRef types[4] = {
        emitter->types->i8,
        emitter->types->i16,
        emitter->types->i32,
        emitter->types->i64,
    };

    return types[log2_bytes & 3];
}

static LLVMTypeRef
memory_type(const struct emitter *emitter, int argument)
{
    return integer_type(emitter, argument);
}

static LLVMTypeRef
value_type(const struct emitter *emitter, int argument)
{
    return integer_type(emitter, argument >> 2);
}

/* The popped index with the offset, as an address that was checked to be aligned. The
 * lowest bits of the sum do not depend on its width. */
static LLVMValueRef
pop_address(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef index = emit_pop(emitter);
    uint32_t mask = memory_bytes(argument) - 1;
    LLVMValueRef low, is_unaligned;

    if (mask != 0) {
        low = LLVMBuildAdd(builder, index, emit_i32(emitter, instr->offset & mask), "");
        low = LLVMBuildAnd(builder, low, emit_i32(emitter, mask), "");
        is_unaligned = LLVMBuildICmp(builder, LLVMIntNE, low, emit_i32(emitter, 0), "");
        emit_trap_if(emitter, is_unaligned, ABI_TRAP_UNALIGNED_ATOMIC);
    }
    return emit_memory_address(emitter, index, instr->offset);
}

static LLVMValueRef
narrow(struct emitter *emitter, LLVMValueRef value, int argument)
{
    return LLVMBuildTrunc(emitter->builder, value, memory_type(emitter, argument), "");
}

static void
push_wide(struct emitter *emitter, LLVMValueRef value, int argument)
{
    emit_push(emitter, LLVMBuildZExt(emitter->builder, value, value_type(emitter, argument), ""));
}

/* Strict traps: also one whose value does not matter, and which changes nothing. */
static void
set_strict(struct emitter *emitter, LLVMValueRef access)
{
    if (emitter->unit->plan->options->strict_traps)
        LLVMSetVolatile(access, 1);
}

static void
emit_atomic_load(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef address = pop_address(emitter, instr, argument);
    LLVMValueRef load;

    load = LLVMBuildLoad2(emitter->builder, memory_type(emitter, argument), address, "");
    LLVMSetOrdering(load, LLVMAtomicOrderingSequentiallyConsistent);
    set_strict(emitter, load);
    LLVMSetAlignment(load, memory_bytes(argument));
    push_wide(emitter, load, argument);
}

static void
emit_atomic_store(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef value = narrow(emitter, emit_pop(emitter), argument);
    LLVMValueRef address = pop_address(emitter, instr, argument);
    LLVMValueRef store = LLVMBuildStore(emitter->builder, value, address);

    LLVMSetOrdering(store, LLVMAtomicOrderingSequentiallyConsistent);
    set_strict(emitter, store);
    LLVMSetAlignment(store, memory_bytes(argument));
}

static void
emit_atomic_rmw(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMAtomicRMWBinOp operation = (LLVMAtomicRMWBinOp)(argument >> 4);
    LLVMValueRef value = narrow(emitter, emit_pop(emitter), argument);
    LLVMValueRef address = pop_address(emitter, instr, argument);
    LLVMValueRef old;

    old = LLVMBuildAtomicRMW(emitter->builder, operation, address, value,
                             LLVMAtomicOrderingSequentiallyConsistent, false);
    LLVMSetAlignment(old, memory_bytes(argument));
    set_strict(emitter, old);
    push_wide(emitter, old, argument);
}

/* A narrow one compares the lower bits of the expected value, whatever the others
 * are (the specification since 2023; the proposal's own tests say nothing). */
static void
emit_atomic_cmpxchg(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef replacement = narrow(emitter, emit_pop(emitter), argument);
    LLVMValueRef expected = narrow(emitter, emit_pop(emitter), argument);
    LLVMValueRef address = pop_address(emitter, instr, argument);
    LLVMValueRef old;

    old = LLVMBuildAtomicCmpXchg(emitter->builder, address, expected, replacement,
                                 LLVMAtomicOrderingSequentiallyConsistent,
                                 LLVMAtomicOrderingSequentiallyConsistent, false);
    LLVMSetAlignment(old, memory_bytes(argument));
    set_strict(emitter, old);
    push_wide(emitter, LLVMBuildExtractValue(emitter->builder, old, 0, ""), argument);
}

static void
emit_atomic_fence(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    (void)argument;
    LLVMBuildFence(emitter->builder, LLVMAtomicOrderingSequentiallyConsistent, false, "");
}

/* ----------------------------------------------------------- waiting and waking */

static LLVMValueRef
slot_address(struct emitter *emitter, unsigned slot)
{
    return emit_context_address(emitter, offsetof(struct abi_context, args) + 8u * slot);
}

static void
store_slot(struct emitter *emitter, unsigned slot, LLVMValueRef value)
{
    value = LLVMBuildZExt(emitter->builder, value, emitter->types->i64, "");
    emit_store(emitter, value, slot_address(emitter, slot), ALIAS_CONTEXT, 8);
}

/* Address, then the operands, of which wait has two and notify one. */
static void
emit_atomic_leave(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    unsigned operands = argument == ABI_CALL_NOTIFY ? 1 : 2;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef address, result;
    unsigned i;

    for (i = operands; i > 0; i--)
        store_slot(emitter, i, emit_pop(emitter));
    address = LLVMBuildZExt(builder, emit_pop(emitter), emitter->types->i64, "");
    address = LLVMBuildAdd(builder, address, emit_i64(emitter, instr->offset), "");
    store_slot(emitter, 0, address);
    emit_leave(emitter, (uint32_t)argument);
    result = emit_load(emitter, emitter->types->i32, slot_address(emitter, 0), ALIAS_CONTEXT, 8);
    emit_push(emitter, result);
}

#define RULE(name, function, value_bits, memory_bits, operation) \
    {WASM_##name, emit_atomic_##function, ATOMIC(value_bits, memory_bits, operation)}

/* clang-format off */
const struct emit_rule emit_rules_atomic[] = {
    {WASM_MEMORY_ATOMIC_NOTIFY, emit_atomic_leave, ABI_CALL_NOTIFY},
    {WASM_MEMORY_ATOMIC_WAIT32, emit_atomic_leave, ABI_CALL_WAIT32},
    {WASM_MEMORY_ATOMIC_WAIT64, emit_atomic_leave, ABI_CALL_WAIT64},
    {WASM_ATOMIC_FENCE, emit_atomic_fence, 0},
    RULE(I32_ATOMIC_LOAD, load, 32, 32, 0),
    RULE(I64_ATOMIC_LOAD, load, 64, 64, 0),
    RULE(I32_ATOMIC_LOAD8_U, load, 32, 8, 0),
    RULE(I32_ATOMIC_LOAD16_U, load, 32, 16, 0),
    RULE(I64_ATOMIC_LOAD8_U, load, 64, 8, 0),
    RULE(I64_ATOMIC_LOAD16_U, load, 64, 16, 0),
    RULE(I64_ATOMIC_LOAD32_U, load, 64, 32, 0),
    RULE(I32_ATOMIC_STORE, store, 32, 32, 0),
    RULE(I64_ATOMIC_STORE, store, 64, 64, 0),
    RULE(I32_ATOMIC_STORE8, store, 32, 8, 0),
    RULE(I32_ATOMIC_STORE16, store, 32, 16, 0),
    RULE(I64_ATOMIC_STORE8, store, 64, 8, 0),
    RULE(I64_ATOMIC_STORE16, store, 64, 16, 0),
    RULE(I64_ATOMIC_STORE32, store, 64, 32, 0),
    RULE(I32_ATOMIC_RMW_ADD, rmw, 32, 32, LLVMAtomicRMWBinOpAdd),
    RULE(I64_ATOMIC_RMW_ADD, rmw, 64, 64, LLVMAtomicRMWBinOpAdd),
    RULE(I32_ATOMIC_RMW8_ADD_U, rmw, 32, 8, LLVMAtomicRMWBinOpAdd),
    RULE(I32_ATOMIC_RMW16_ADD_U, rmw, 32, 16, LLVMAtomicRMWBinOpAdd),
    RULE(I64_ATOMIC_RMW8_ADD_U, rmw, 64, 8, LLVMAtomicRMWBinOpAdd),
    RULE(I64_ATOMIC_RMW16_ADD_U, rmw, 64, 16, LLVMAtomicRMWBinOpAdd),
    RULE(I64_ATOMIC_RMW32_ADD_U, rmw, 64, 32, LLVMAtomicRMWBinOpAdd),
    RULE(I32_ATOMIC_RMW_SUB, rmw, 32, 32, LLVMAtomicRMWBinOpSub),
    RULE(I64_ATOMIC_RMW_SUB, rmw, 64, 64, LLVMAtomicRMWBinOpSub),
    RULE(I32_ATOMIC_RMW8_SUB_U, rmw, 32, 8, LLVMAtomicRMWBinOpSub),
    RULE(I32_ATOMIC_RMW16_SUB_U, rmw, 32, 16, LLVMAtomicRMWBinOpSub),
    RULE(I64_ATOMIC_RMW8_SUB_U, rmw, 64, 8, LLVMAtomicRMWBinOpSub),
    RULE(I64_ATOMIC_RMW16_SUB_U, rmw, 64, 16, LLVMAtomicRMWBinOpSub),
    RULE(I64_ATOMIC_RMW32_SUB_U, rmw, 64, 32, LLVMAtomicRMWBinOpSub),
    RULE(I32_ATOMIC_RMW_AND, rmw, 32, 32, LLVMAtomicRMWBinOpAnd),
    RULE(I64_ATOMIC_RMW_AND, rmw, 64, 64, LLVMAtomicRMWBinOpAnd),
    RULE(I32_ATOMIC_RMW8_AND_U, rmw, 32, 8, LLVMAtomicRMWBinOpAnd),
    RULE(I32_ATOMIC_RMW16_AND_U, rmw, 32, 16, LLVMAtomicRMWBinOpAnd),
    RULE(I64_ATOMIC_RMW8_AND_U, rmw, 64, 8, LLVMAtomicRMWBinOpAnd),
    RULE(I64_ATOMIC_RMW16_AND_U, rmw, 64, 16, LLVMAtomicRMWBinOpAnd),
    RULE(I64_ATOMIC_RMW32_AND_U, rmw, 64, 32, LLVMAtomicRMWBinOpAnd),
    RULE(I32_ATOMIC_RMW_OR, rmw, 32, 32, LLVMAtomicRMWBinOpOr),
    RULE(I64_ATOMIC_RMW_OR, rmw, 64, 64, LLVMAtomicRMWBinOpOr),
    RULE(I32_ATOMIC_RMW8_OR_U, rmw, 32, 8, LLVMAtomicRMWBinOpOr),
    RULE(I32_ATOMIC_RMW16_OR_U, rmw, 32, 16, LLVMAtomicRMWBinOpOr),
    RULE(I64_ATOMIC_RMW8_OR_U, rmw, 64, 8, LLVMAtomicRMWBinOpOr),
    RULE(I64_ATOMIC_RMW16_OR_U, rmw, 64, 16, LLVMAtomicRMWBinOpOr),
    RULE(I64_ATOMIC_RMW32_OR_U, rmw, 64, 32, LLVMAtomicRMWBinOpOr),
    RULE(I32_ATOMIC_RMW_XOR, rmw, 32, 32, LLVMAtomicRMWBinOpXor),
    RULE(I64_ATOMIC_RMW_XOR, rmw, 64, 64, LLVMAtomicRMWBinOpXor),
    RULE(I32_ATOMIC_RMW8_XOR_U, rmw, 32, 8, LLVMAtomicRMWBinOpXor),
    RULE(I32_ATOMIC_RMW16_XOR_U, rmw, 32, 16, LLVMAtomicRMWBinOpXor),
    RULE(I64_ATOMIC_RMW8_XOR_U, rmw, 64, 8, LLVMAtomicRMWBinOpXor),
    RULE(I64_ATOMIC_RMW16_XOR_U, rmw, 64, 16, LLVMAtomicRMWBinOpXor),
    RULE(I64_ATOMIC_RMW32_XOR_U, rmw, 64, 32, LLVMAtomicRMWBinOpXor),
    RULE(I32_ATOMIC_RMW_XCHG, rmw, 32, 32, LLVMAtomicRMWBinOpXchg),
    RULE(I64_ATOMIC_RMW_XCHG, rmw, 64, 64, LLVMAtomicRMWBinOpXchg),
    RULE(I32_ATOMIC_RMW8_XCHG_U, rmw, 32, 8, LLVMAtomicRMWBinOpXchg),
    RULE(I32_ATOMIC_RMW16_XCHG_U, rmw, 32, 16, LLVMAtomicRMWBinOpXchg),
    RULE(I64_ATOMIC_RMW8_XCHG_U, rmw, 64, 8, LLVMAtomicRMWBinOpXchg),
    RULE(I64_ATOMIC_RMW16_XCHG_U, rmw, 64, 16, LLVMAtomicRMWBinOpXchg),
    RULE(I64_ATOMIC_RMW32_XCHG_U, rmw, 64, 32, LLVMAtomicRMWBinOpXchg),
    RULE(I32_ATOMIC_RMW_CMPXCHG, cmpxchg, 32, 32, 0),
    RULE(I64_ATOMIC_RMW_CMPXCHG, cmpxchg, 64, 64, 0),
    RULE(I32_ATOMIC_RMW8_CMPXCHG_U, cmpxchg, 32, 8, 0),
    RULE(I32_ATOMIC_RMW16_CMPXCHG_U, cmpxchg, 32, 16, 0),
    RULE(I64_ATOMIC_RMW8_CMPXCHG_U, cmpxchg, 64, 8, 0),
    RULE(I64_ATOMIC_RMW16_CMPXCHG_U, cmpxchg, 64, 16, 0),
    RULE(I64_ATOMIC_RMW32_CMPXCHG_U, cmpxchg, 64, 32, 0),
    EMIT_RULES_END,
};
/* clang-format on */
