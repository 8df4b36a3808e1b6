/* SPDX-License-Identifier: Apache-2.0
 *
 * Vector instructions that read and write linear memory.
 */
#include "compile/emit_simd.h"

static LLVMValueRef
pop_address(struct emitter *emitter, const struct wasm_instr *instr)
{
    return emit_memory_address(emitter, emit_pop(emitter), instr->offset);
}

void
emit_simd_load(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef address = pop_address(emitter, instr);

    (void)argument;
    emit_push(emitter, emit_memory_load(emitter, emitter->types->v128, address));
}

void
emit_simd_store(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef value = emit_pop(emitter);

    (void)argument;
    emit_memory_store(emitter, value, pop_address(emitter, instr));
}

/* 64 bits of memory, each lane to twice its width. */
void
emit_simd_load_extend(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMTypeRef wide = emit_simd_type(emitter, shape + 1);
    LLVMTypeRef lane = LLVMGetElementType(emit_simd_type(emitter, shape));
    LLVMTypeRef type = LLVMVectorType(lane, 64 / emit_simd_lane_bits(shape));
    LLVMOpcode extend = emit_simd_operation(argument) == SIMD_SIGNED ? LLVMSExt : LLVMZExt;
    LLVMValueRef x = emit_memory_load(emitter, type, pop_address(emitter, instr));

    emit_simd_push(emitter, LLVMBuildCast(emitter->builder, extend, x, wide, ""));
}

static LLVMValueRef
load_lane(struct emitter *emitter, const struct wasm_instr *instr, enum simd_shape shape)
{
    LLVMTypeRef lane = LLVMGetElementType(emit_simd_type(emitter, shape));

    return emit_memory_load(emitter, lane, pop_address(emitter, instr));
}

void
emit_simd_load_splat(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMValueRef lane = load_lane(emitter, instr, shape);

    emit_simd_push(emitter, emit_simd_broadcast(emitter, lane, 128 / emit_simd_lane_bits(shape)));
}

void
emit_simd_load_zero(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMValueRef zero = LLVMConstNull(emit_simd_type(emitter, shape));
    LLVMValueRef lane = load_lane(emitter, instr, shape);

    emit_simd_push(emitter,
                   LLVMBuildInsertElement(emitter->builder, zero, lane, emit_i32(emitter, 0), ""));
}

void
emit_simd_load_lane(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMValueRef x = emit_simd_pop(emitter, shape);
    LLVMValueRef lane = load_lane(emitter, instr, shape);

    emit_simd_push(emitter, LLVMBuildInsertElement(emitter->builder, x, lane,
                                                   emit_i32(emitter, instr->lane), ""));
}

void
emit_simd_store_lane(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef x = emit_simd_pop(emitter, emit_simd_shape(argument));
    LLVMValueRef lane;

    lane = LLVMBuildExtractElement(emitter->builder, x, emit_i32(emitter, instr->lane), "");
    emit_memory_store(emitter, lane, pop_address(emitter, instr));
}
