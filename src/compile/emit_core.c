/* SPDX-License-Identifier: Apache-2.0
 *
 * The emitter's small words: value stack, addresses, loads and stores, traps,
 * argument slots, helpers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "compile/compile_internal.h"

void
emit_open(struct emitter *emitter, struct unit *unit, LLVMValueRef llvm)
{
    enum abi_mode mode = unit->plan->mode;
    LLVMTypeRef type = LLVMFunctionType(unit->types.guest, NULL, 0, 0);
    LLVMValueRef memory;

    *emitter = (struct emitter){
        .unit = unit, .module = unit->module, .types = &unit->types, .builder = unit->builder};
    emitter->llvm = llvm;
    LLVMPositionBuilderAtEnd(unit->builder,
                             LLVMAppendBasicBlockInContext(unit->context, llvm, "entry"));
    emitter->frame = LLVMBuildCall2(unit->builder, type, unit->frame, NULL, 0, "frame");
    emitter->memory = LLVMBuildCall2(unit->builder, type, unit->base, NULL, 0, "memory");
    emitter->process =
        mode == ABI_LINKED
            ? LLVMGetParam(llvm, 0)
            : emit_i64(emitter, (uint64_t)abi_main_context(unit->plan->layout.context_bytes));
    emitter->context = mode == ABI_STANDALONE ? emitter->process : LLVMGetParam(llvm, 0);
    if (mode != ABI_LINKED || unit->module->memory_count == 0)
        return;
    memory = emit_load(emitter, unit->types.i64,
                       emit_context_address(emitter, offsetof(struct abi_context, memory)),
                       ALIAS_CONSTANT, 8);
    memory =
        emit_load(emitter, unit->types.i64, emit_guest_address(emitter, memory), ALIAS_CONSTANT, 8);
    emitter->memory =
        LLVMBuildGEP2(unit->builder, unit->types.i8, emitter->memory, &memory, 1, "memory");
}

void
emit_close(struct emitter *emitter)
{
    while (emitter->frame_count > 0)
        emit_frame_pop(emitter);
    free(emitter->frames);
    free(emitter->stack);
    free(emitter->locals);
    free(emitter->local_types);
}

void *
emit_allocate(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);

    /* As LLVM does: this process compiles one module and its parent tells. */
    if (memory == NULL)
        abort();
    return memory;
}

void
emit_push(struct emitter *emitter, LLVMValueRef value)
{
    if (emitter->stack_count == emitter->stack_capacity) {
        uint32_t capacity = emitter->stack_capacity == 0 ? 64 : emitter->stack_capacity * 2;

        emitter->stack = realloc(emitter->stack, capacity * sizeof(LLVMValueRef));
        if (emitter->stack == NULL)
            abort();
        emitter->stack_capacity = capacity;
    }
    emitter->stack[emitter->stack_count++] = value;
}

LLVMValueRef
emit_pop(struct emitter *emitter)
{
    ASSERT(emitter->stack_count > 0);
    return emitter->stack[--emitter->stack_count];
}

LLVMValueRef
emit_i32(const struct emitter *emitter, uint32_t value)
{
    return LLVMConstInt(emitter->types->i32, value, 0);
}

LLVMValueRef
emit_i64(const struct emitter *emitter, uint64_t value)
{
    return LLVMConstInt(emitter->types->i64, value, 0);
}

LLVMBasicBlockRef
emit_block(struct emitter *emitter, const char *name)
{
    return LLVMAppendBasicBlockInContext(emitter->unit->context, emitter->llvm, name);
}

LLVMValueRef
emit_intrinsic(struct emitter *emitter, const char *name, LLVMTypeRef type, LLVMValueRef *args,
               unsigned count)
{
    LLVMValueRef function = unit_intrinsic(emitter->unit, name, &type, type == NULL ? 0 : 1);

    return LLVMBuildCall2(emitter->builder, LLVMGlobalGetValueType(function), function, args, count,
                          "");
}

void
emit_trap(struct emitter *emitter, enum abi_trap trap)
{
    struct unit *unit = emitter->unit;
    LLVMValueRef function = unit_intrinsic(unit, "llvm.ubsantrap", NULL, 0);
    LLVMValueRef kind = LLVMConstInt(unit->types.i8, (unsigned)trap, 0);
    LLVMValueRef call =
        LLVMBuildCall2(emitter->builder, LLVMGlobalGetValueType(function), function, &kind, 1, "");
    unsigned nomerge = LLVMGetEnumAttributeKindForName("nomerge", 7);

    /* Merged, two traps of a function would report the same place. */
    LLVMAddCallSiteAttribute(call, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                             LLVMCreateEnumAttribute(unit->context, nomerge, 0));
    (void)LLVMBuildUnreachable(emitter->builder);
}

void
emit_trap_if(struct emitter *emitter, LLVMValueRef condition, enum abi_trap trap)
{
    LLVMBasicBlockRef trap_block = emit_block(emitter, "trap");
    LLVMBasicBlockRef next = emit_block(emitter, "ok");
    LLVMValueRef branch = LLVMBuildCondBr(emitter->builder, condition, trap_block, next);

    LLVMSetMetadata(branch, emitter->unit->prof_kind, emitter->unit->unlikely);
    LLVMPositionBuilderAtEnd(emitter->builder, trap_block);
    emit_trap(emitter, trap);
    LLVMPositionBuilderAtEnd(emitter->builder, next);
}

LLVMValueRef
emit_fixed(struct emitter *emitter, LLVMValueRef value)
{
    if (emitter->unit->plan->mode != ABI_THREADED)
        return value;
    return LLVMBuildFreeze(emitter->builder, value, "");
}

LLVMValueRef
emit_opaque(struct emitter *emitter, LLVMValueRef value)
{
    LLVMTypeRef type = LLVMTypeOf(value);
    LLVMTypeRef function = LLVMFunctionType(type, &type, 1, 0);
    bool is_float = LLVMGetTypeKind(type) != LLVMIntegerTypeKind;
    const char *constraint = is_float ? "=x,0" : "=r,0";
    LLVMValueRef code = LLVMGetInlineAsm(function, "", 0, constraint, strlen(constraint), 0, 0,
                                         LLVMInlineAsmDialectATT, 0);

    return LLVMBuildCall2(emitter->builder, function, code, &value, 1, "");
}

LLVMValueRef
emit_guest_address(struct emitter *emitter, LLVMValueRef offset)
{
    return LLVMBuildGEP2(emitter->builder, emitter->types->i8, emitter->frame, &offset, 1, "");
}

LLVMValueRef
emit_context_address(struct emitter *emitter, uint64_t offset)
{
    LLVMValueRef at =
        LLVMBuildAdd(emitter->builder, emitter->context, emit_i64(emitter, offset), "");

    return emit_guest_address(emitter, at);
}

LLVMValueRef
emit_process_address(struct emitter *emitter, uint64_t offset)
{
    LLVMValueRef at =
        LLVMBuildAdd(emitter->builder, emitter->process, emit_i64(emitter, offset), "");

    return emit_guest_address(emitter, at);
}

LLVMValueRef
emit_memory_address(struct emitter *emitter, LLVMValueRef index, uint32_t offset)
{
    LLVMValueRef wide = LLVMBuildZExt(emitter->builder, index, emitter->types->i64, "");
    LLVMValueRef constant = emit_i64(emitter, offset);
    LLVMValueRef address =
        LLVMBuildGEP2(emitter->builder, emitter->types->i8, emitter->memory, &wide, 1, "");

    if (offset == 0)
        return address;
    return LLVMBuildGEP2(emitter->builder, emitter->types->i8, address, &constant, 1, "");
}

static void
set_alias(struct emitter *emitter, LLVMValueRef access, enum unit_alias alias)
{
    LLVMSetMetadata(access, emitter->unit->tbaa_kind, emitter->unit->alias[alias]);
}

LLVMValueRef
emit_load(struct emitter *emitter, LLVMTypeRef type, LLVMValueRef address, enum unit_alias alias,
          unsigned align)
{
    LLVMValueRef load = LLVMBuildLoad2(emitter->builder, type, address, "");

    LLVMSetAlignment(load, align);
    set_alias(emitter, load, alias);
    return load;
}

LLVMValueRef
emit_store(struct emitter *emitter, LLVMValueRef value, LLVMValueRef address, enum unit_alias alias,
           unsigned align)
{
    LLVMValueRef store = LLVMBuildStore(emitter->builder, value, address);

    LLVMSetAlignment(store, align);
    set_alias(emitter, store, alias);
    /* What can be looked at after a trap must be as it was then: a later store is
     * no reason to leave this one out. */
    if (emitter->unit->plan->options->strict_traps &&
        (alias == ALIAS_MEMORY || alias == ALIAS_GLOBAL || alias == ALIAS_TABLE))
        LLVMSetVolatile(store, 1);
    return store;
}

LLVMValueRef
emit_memory_load(struct emitter *emitter, LLVMTypeRef type, LLVMValueRef address)
{
    LLVMValueRef load = emit_load(emitter, type, address, ALIAS_MEMORY, 1);

    if (emitter->unit->plan->options->strict_traps)
        LLVMSetVolatile(load, 1);
    return load;
}

void
emit_memory_store(struct emitter *emitter, LLVMValueRef value, LLVMValueRef address)
{
    (void)emit_store(emitter, value, address, ALIAS_MEMORY, 1);
}

static uint32_t
slots_before(const uint8_t *value_types, uint32_t count)
{
    uint32_t slots = 0;

    for (uint32_t i = 0; i < count; i++)
        slots += abi_value_slots(value_types[i]);
    return slots;
}

LLVMValueRef
emit_area(struct emitter *emitter, uint64_t offset)
{
    return LLVMBuildAdd(emitter->builder, emitter->context, emit_i64(emitter, offset), "");
}

static LLVMValueRef
area_address(struct emitter *emitter, LLVMValueRef area, uint32_t slot)
{
    return emit_guest_address(
        emitter, LLVMBuildAdd(emitter->builder, area, emit_i64(emitter, slot * 8u), ""));
}

void
emit_slots_store(struct emitter *emitter, LLVMValueRef area, const uint8_t *value_types,
                 uint32_t first, uint32_t count, LLVMValueRef *values)
{
    uint32_t slot = slots_before(value_types, first);

    for (uint32_t i = first; i < count; i++) {
        LLVMValueRef value = values[i];

        if (value_types[i] == WASM_F32)
            value = LLVMBuildBitCast(emitter->builder, value, emitter->types->i32, "");
        if (value_types[i] == WASM_F32 || value_types[i] == WASM_I32)
            value = LLVMBuildZExt(emitter->builder, value, emitter->types->i64, "");
        (void)emit_store(emitter, value, area_address(emitter, area, slot), ALIAS_CONTEXT, 8);
        slot += abi_value_slots(value_types[i]);
    }
}

void
emit_slots_load(struct emitter *emitter, LLVMValueRef area, const uint8_t *value_types,
                uint32_t first, uint32_t count, LLVMValueRef *values)
{
    uint32_t slot = slots_before(value_types, first);

    for (uint32_t i = first; i < count; i++) {
        values[i] = emit_load(emitter, unit_type(emitter->unit, value_types[i]),
                              area_address(emitter, area, slot), ALIAS_CONTEXT, 8);
        slot += abi_value_slots(value_types[i]);
    }
}

LLVMValueRef
emit_helper(struct emitter *emitter, enum abi_helper helper, LLVMValueRef *args, unsigned count)
{
    LLVMTypeRef i64 = emitter->types->i64;
    LLVMTypeRef params[6] = {i64, i64, i64, i64, i64, i64};
    LLVMTypeRef type = LLVMFunctionType(i64, params, count + 1, 0);
    int64_t at = -(int64_t)ABI_HEADER_BYTES +
                 (int64_t)(offsetof(struct abi_header, helpers) + 8u * (unsigned)helper);
    LLVMValueRef values[6] = {emitter->context};
    LLVMValueRef code, call;

    ASSERT(count < 6);
    for (unsigned i = 0; i < count; i++)
        values[i + 1] = args[i];
    /* Loaded anew each time: a value kept across a host call would be an
     * absolute address on the guest stack. */
    code =
        emit_load(emitter, emitter->types->pointer,
                  emit_guest_address(emitter, emit_i64(emitter, (uint64_t)at)), ALIAS_CONTEXT, 8);
    LLVMSetVolatile(code, 1);
    call = LLVMBuildCall2(emitter->builder, type, code, values, count + 1, "");
    LLVMAddCallSiteAttribute(call, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                             LLVMCreateEnumAttribute(emitter->unit->context,
                                                     LLVMGetEnumAttributeKindForName("nounwind", 8),
                                                     0));
    return call;
}

void
emit_leave(struct emitter *emitter, uint32_t call)
{
    LLVMValueRef args[2] = {emitter->context, emit_i32(emitter, call)};

    (void)LLVMBuildCall2(emitter->builder, LLVMGlobalGetValueType(emitter->unit->call),
                         emitter->unit->call, args, 2, "");
}
