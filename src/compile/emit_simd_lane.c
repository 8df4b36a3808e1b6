/* SPDX-License-Identifier: Apache-2.0
 *
 * Vector instructions that make vectors and move their lanes.
 */
#include "compile/emit_simd.h"

#include "base/assert.h"

/* The i32 of an 8 or 16 bit lane, cut to the lane; other values are lanes already. */
static LLVMValueRef
to_lane(struct emitter *emitter, enum simd_shape shape, LLVMValueRef value)
{
    LLVMTypeRef lane = LLVMGetElementType(emit_simd_type(emitter, shape));

    if (shape == SIMD_I8X16 || shape == SIMD_I16X8)
        return LLVMBuildTrunc(emitter->builder, value, lane, "");
    return value;
}

void
emit_simd_splat(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMValueRef lane = to_lane(emitter, shape, emit_pop(emitter));

    (void)instr;
    emit_simd_push(emitter, emit_simd_broadcast(emitter, lane, 128 / emit_simd_lane_bits(shape)));
}

void
emit_simd_extract(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMValueRef x = emit_simd_pop(emitter, shape);
    LLVMValueRef lane;

    lane = LLVMBuildExtractElement(emitter->builder, x, emit_i32(emitter, instr->lane), "");
    if (shape == SIMD_I8X16 || shape == SIMD_I16X8)
        lane = LLVMBuildIntCast2(emitter->builder, lane, emitter->types->i32,
                                 emit_simd_operation(argument) == SIMD_SIGNED, "");
    emit_push(emitter, lane);
}

void
emit_simd_replace(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMValueRef lane = to_lane(emitter, shape, emit_pop(emitter));
    LLVMValueRef x = emit_simd_pop(emitter, shape);

    emit_simd_push(emitter, LLVMBuildInsertElement(emitter->builder, x, lane,
                                                   emit_i32(emitter, instr->lane), ""));
}

void
emit_simd_shuffle(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef y = emit_simd_pop(emitter, SIMD_I8X16);
    LLVMValueRef x = emit_simd_pop(emitter, SIMD_I8X16);
    LLVMValueRef lanes[16];
    unsigned i;

    (void)argument;
    for (i = 0; i < 16; i++) {
        ASSERT(instr->value.bytes[i] < 32);
        lanes[i] = emit_i32(emitter, instr->value.bytes[i]);
    }
    emit_simd_push(emitter,
                   LLVMBuildShuffleVector(emitter->builder, x, y, LLVMConstVector(lanes, 16), ""));
}

/* The processor gives 0 where an index has its top bit set and looks at the lower
 * four bits otherwise. Adding 0x70 sets the top bit of every index above 15. The
 * relaxed instruction takes the processor's result. */
void
emit_simd_swizzle(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef args[2];
    LLVMValueRef sum[2];

    (void)instr;
    args[1] = emit_simd_pop(emitter, SIMD_I8X16);
    args[0] = emit_simd_pop(emitter, SIMD_I8X16);
    if (emit_simd_operation(argument) == 0) {
        sum[0] = args[1];
        sum[1] = emit_simd_integers(emitter, SIMD_I8X16, 0x70);
        args[1] = emit_intrinsic(emitter, "llvm.uadd.sat", emitter->types->v16i8, sum, 2);
    }
    emit_simd_push(emitter, emit_simd_target(emitter, "llvm.x86.ssse3.pshuf.b.128", args, 2));
}

/* Lanes by the top bit of their mask: a blend of the processor. There is none for
 * 16 bits. */
void
emit_simd_laneselect(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMValueRef mask, x, y;

    if (shape == SIMD_I16X8) {
        emit_simd_bitselect(emitter, instr, argument);
        return;
    }
    mask = emit_simd_pop(emitter, shape);
    y = emit_simd_pop(emitter, shape);
    x = emit_simd_pop(emitter, shape);
    mask = LLVMBuildICmp(emitter->builder, LLVMIntSLT, mask, LLVMConstNull(LLVMTypeOf(mask)), "");
    emit_simd_push(emitter, LLVMBuildSelect(emitter->builder, mask, x, y, ""));
}
