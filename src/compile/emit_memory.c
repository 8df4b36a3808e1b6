/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear memory: loads, stores, size, grow, and the bulk instructions.
 */
#include <stddef.h>

#include "compile/compile_internal.h"

/* What is in memory, and how it becomes the value. */
enum access {
    ACCESS_I32,
    ACCESS_I64,
    ACCESS_F32,
    ACCESS_F64,
    ACCESS_S8_I32,
    ACCESS_U8_I32,
    ACCESS_S16_I32,
    ACCESS_U16_I32,
    ACCESS_S8_I64,
    ACCESS_U8_I64,
    ACCESS_S16_I64,
    ACCESS_U16_I64,
    ACCESS_S32_I64,
    ACCESS_U32_I64,
};

struct access_shape {
    unsigned bits;        /* of the integer in memory; 0: the value's own type */
    unsigned result_bits; /* 32 or 64 */
    bool is_signed;
};

static const struct access_shape shapes[] = {
    [ACCESS_S8_I32] = {8, 32, true},   [ACCESS_U8_I32] = {8, 32, false},
    [ACCESS_S16_I32] = {16, 32, true}, [ACCESS_U16_I32] = {16, 32, false},
    [ACCESS_S8_I64] = {8, 64, true},   [ACCESS_U8_I64] = {8, 64, false},
    [ACCESS_S16_I64] = {16, 64, true}, [ACCESS_U16_I64] = {16, 64, false},
    [ACCESS_S32_I64] = {32, 64, true}, [ACCESS_U32_I64] = {32, 64, false},
};

static LLVMTypeRef
access_type(struct emitter *emitter, int access)
{
    switch (access) {
    case ACCESS_I32:
        return emitter->types->i32;
    case ACCESS_I64:
        return emitter->types->i64;
    case ACCESS_F32:
        return emitter->types->f32;
    case ACCESS_F64:
        return emitter->types->f64;
    default:
        return LLVMIntTypeInContext(emitter->unit->context, shapes[access].bits);
    }
}

static void
emit_plain_load(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef address = emit_memory_address(emitter, emit_pop(emitter), instr->offset);
    LLVMValueRef value = emit_memory_load(emitter, access_type(emitter, argument), address);
    LLVMTypeRef type;

    if (argument >= ACCESS_S8_I32) {
        type = LLVMIntTypeInContext(emitter->unit->context, shapes[argument].result_bits);
        value = shapes[argument].is_signed ? LLVMBuildSExt(emitter->builder, value, type, "")
                                           : LLVMBuildZExt(emitter->builder, value, type, "");
    }
    emit_push(emitter, value);
}

static void
emit_plain_store(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef value = emit_pop(emitter);
    LLVMValueRef address = emit_memory_address(emitter, emit_pop(emitter), instr->offset);

    if (argument >= ACCESS_S8_I32)
        value = LLVMBuildTrunc(emitter->builder, value, access_type(emitter, argument), "");
    emit_memory_store(emitter, value, address);
}

/* The struct abi_memory in use: own, or where a LINKED context says. */
static LLVMValueRef
memory_record_address(struct emitter *emitter, uint64_t field)
{
    LLVMValueRef record;

    if (emitter->unit->plan->mode != ABI_LINKED)
        return emit_process_address(emitter, offsetof(struct abi_context, own_memory) + field);
    record = emit_load(emitter, emitter->types->i64,
                       emit_context_address(emitter, offsetof(struct abi_context, memory)),
                       ALIAS_CONSTANT, 8);
    record = LLVMBuildAdd(emitter->builder, record, emit_i64(emitter, field), "");
    return emit_guest_address(emitter, record);
}

static void
emit_size(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef pages = emit_load(
        emitter, emitter->types->i64,
        memory_record_address(emitter, offsetof(struct abi_memory, pages)), ALIAS_CONTEXT, 8);

    (void)instr;
    (void)argument;
    if (emitter->unit->plan->mode == ABI_THREADED) /* another thread may grow it */
        LLVMSetOrdering(pages, LLVMAtomicOrderingSequentiallyConsistent);
    emit_push(emitter, LLVMBuildTrunc(emitter->builder, pages, emitter->types->i32, ""));
}

static LLVMValueRef
pop_wide(struct emitter *emitter)
{
    return LLVMBuildZExt(emitter->builder, emit_pop(emitter), emitter->types->i64, "");
}

static void
emit_grow(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef delta = pop_wide(emitter);
    LLVMValueRef pages = emit_helper(emitter, ABI_HELPER_MEMORY_GROW, &delta, 1);

    (void)instr;
    (void)argument;
    emit_push(emitter, LLVMBuildTrunc(emitter->builder, pages, emitter->types->i32, ""));
}

static void
trap_if_refused(struct emitter *emitter, LLVMValueRef refused)
{
    emit_trap_if(emitter,
                 LLVMBuildICmp(emitter->builder, LLVMIntNE, refused, emit_i64(emitter, 0), ""),
                 ABI_TRAP_MEMORY_BOUNDS);
}

/* argument: enum abi_helper; memory.copy and memory.fill take the same three. */
static void
emit_bulk(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef args[3];

    (void)instr;
    for (int i = 2; i >= 0; i--)
        args[i] = pop_wide(emitter);
    trap_if_refused(emitter, emit_helper(emitter, (enum abi_helper)argument, args, 3));
}

static void
emit_init(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef args[4];

    (void)argument;
    for (int i = 3; i >= 1; i--)
        args[i] = pop_wide(emitter);
    args[0] = emit_i64(emitter, instr->index);
    trap_if_refused(emitter, emit_helper(emitter, ABI_HELPER_MEMORY_INIT, args, 4));
}

static void
emit_data_drop(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    uint64_t at = emitter->unit->plan->layout.data_bytes + instr->index * 4u;

    (void)argument;
    (void)emit_store(emitter, emit_i32(emitter, 0), emit_process_address(emitter, at),
                     ALIAS_CONTEXT, 4);
}

const struct emit_rule emit_rules_memory[] = {
    {WASM_I32_LOAD, emit_plain_load, ACCESS_I32},
    {WASM_I64_LOAD, emit_plain_load, ACCESS_I64},
    {WASM_F32_LOAD, emit_plain_load, ACCESS_F32},
    {WASM_F64_LOAD, emit_plain_load, ACCESS_F64},
    {WASM_I32_LOAD8_S, emit_plain_load, ACCESS_S8_I32},
    {WASM_I32_LOAD8_U, emit_plain_load, ACCESS_U8_I32},
    {WASM_I32_LOAD16_S, emit_plain_load, ACCESS_S16_I32},
    {WASM_I32_LOAD16_U, emit_plain_load, ACCESS_U16_I32},
    {WASM_I64_LOAD8_S, emit_plain_load, ACCESS_S8_I64},
    {WASM_I64_LOAD8_U, emit_plain_load, ACCESS_U8_I64},
    {WASM_I64_LOAD16_S, emit_plain_load, ACCESS_S16_I64},
    {WASM_I64_LOAD16_U, emit_plain_load, ACCESS_U16_I64},
    {WASM_I64_LOAD32_S, emit_plain_load, ACCESS_S32_I64},
    {WASM_I64_LOAD32_U, emit_plain_load, ACCESS_U32_I64},
    {WASM_I32_STORE, emit_plain_store, ACCESS_I32},
    {WASM_I64_STORE, emit_plain_store, ACCESS_I64},
    {WASM_F32_STORE, emit_plain_store, ACCESS_F32},
    {WASM_F64_STORE, emit_plain_store, ACCESS_F64},
    {WASM_I32_STORE8, emit_plain_store, ACCESS_U8_I32},
    {WASM_I32_STORE16, emit_plain_store, ACCESS_U16_I32},
    {WASM_I64_STORE8, emit_plain_store, ACCESS_U8_I64},
    {WASM_I64_STORE16, emit_plain_store, ACCESS_U16_I64},
    {WASM_I64_STORE32, emit_plain_store, ACCESS_U32_I64},
    {WASM_MEMORY_SIZE, emit_size, 0},
    {WASM_MEMORY_GROW, emit_grow, 0},
    {WASM_MEMORY_COPY, emit_bulk, ABI_HELPER_MEMORY_COPY},
    {WASM_MEMORY_FILL, emit_bulk, ABI_HELPER_MEMORY_FILL},
    {WASM_MEMORY_INIT, emit_init, 0},
    {WASM_DATA_DROP, emit_data_drop, 0},
    EMIT_RULES_END,
};
