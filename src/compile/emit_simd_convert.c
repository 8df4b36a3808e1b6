/* SPDX-License-Identifier: Apache-2.0
 *
 * Vector instructions that change the width or the kind of lanes.
 */
#include "compile/emit_simd.h"

/* ------------------------------------------------------------ integers, wider */

static LLVMValueRef
widen(struct emitter *emitter, LLVMValueRef half, enum simd_shape shape, int width)
{
    LLVMTypeRef wide = emit_simd_type(emitter, shape + 1);
    LLVMOpcode extend = (width & SIMD_SIGNED) != 0 ? LLVMSExt : LLVMZExt;

    return LLVMBuildCast(emitter->builder, extend, half, wide, "");
}

/* The popped vector's lower or upper half, each lane twice as wide. */
static LLVMValueRef
pop_wide(struct emitter *emitter, enum simd_shape shape, int width)
{
    unsigned half = 64 / emit_simd_lane_bits(shape);
    LLVMValueRef x = emit_simd_pop(emitter, shape);

    x = emit_simd_half(emitter, x, (width & SIMD_HIGH) != 0 ? half : 0, 1);
    return widen(emitter, x, shape, width);
}

void
emit_simd_extend(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    emit_simd_push(emitter,
                   pop_wide(emitter, emit_simd_shape(argument), emit_simd_operation(argument)));
}

void
emit_simd_extmul(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    int width = emit_simd_operation(argument);
    LLVMValueRef y = pop_wide(emitter, shape, width);
    LLVMValueRef x = pop_wide(emitter, shape, width);

    (void)instr;
    emit_simd_push(emitter, LLVMBuildMul(emitter->builder, x, y, ""));
}

/* The processor multiplies pairs and adds them: times one is the sum of pairs. It
 * takes unsigned bytes first and signed ones second. */
static LLVMValueRef
add_byte_pairs(struct emitter *emitter, LLVMValueRef x, int width)
{
    LLVMValueRef ones = emit_simd_integers(emitter, SIMD_I8X16, 1);
    LLVMValueRef args[2] = {x, ones};

    if (width == SIMD_SIGNED) {
        args[0] = ones;
        args[1] = x;
    }
    return emit_simd_target(emitter, "llvm.x86.ssse3.pmadd.ub.sw.128", args, 2);
}

static LLVMValueRef
add_word_pairs(struct emitter *emitter, LLVMValueRef x, int width)
{
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef args[2] = {x, emit_simd_integers(emitter, SIMD_I16X8, 1)};
    LLVMValueRef even, odd;

    if (width == SIMD_SIGNED)
        return emit_simd_target(emitter, "llvm.x86.sse2.pmadd.wd", args, 2);
    x = LLVMBuildBitCast(builder, x, emitter->types->v4i32, "");
    even = LLVMBuildAnd(builder, x, emit_simd_integers(emitter, SIMD_I32X4, 0xffff), "");
    odd = LLVMBuildLShr(builder, x, emit_simd_integers(emitter, SIMD_I32X4, 16), "");
    return LLVMBuildAdd(builder, even, odd, "");
}

void
emit_simd_extadd(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    int width = emit_simd_operation(argument);
    LLVMValueRef x = emit_simd_pop(emitter, shape);

    (void)instr;
    if (shape == SIMD_I8X16)
        emit_simd_push(emitter, add_byte_pairs(emitter, x, width));
    else
        emit_simd_push(emitter, add_word_pairs(emitter, x, width));
}

/* --------------------------------------------------------- integers, narrower */

void
emit_simd_narrow(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    static const char *const names[2][2] = {
        {"llvm.x86.sse2.packuswb.128", "llvm.x86.sse2.packsswb.128"},
        {"llvm.x86.sse41.packusdw", "llvm.x86.sse2.packssdw.128"},
    };
    enum simd_shape shape = emit_simd_shape(argument);
    const char *name = names[shape == SIMD_I16X8][emit_simd_operation(argument) == SIMD_SIGNED];
    LLVMValueRef args[2];

    (void)instr;
    args[1] = emit_simd_pop(emitter, shape + 1);
    args[0] = emit_simd_pop(emitter, shape + 1);
    emit_simd_push(emitter, emit_simd_target(emitter, name, args, 2));
}

/* -------------------------------------------------------------- floating point */

void
emit_simd_convert(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMOpcode opcode = (LLVMOpcode)emit_simd_operation(argument);
    LLVMValueRef x = emit_simd_pop(emitter, SIMD_I32X4);

    (void)instr;
    emit_simd_push(emitter, LLVMBuildCast(emitter->builder, opcode, x, emitter->types->v4f32, ""));
}

void
emit_simd_convert_low(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMOpcode opcode = (LLVMOpcode)emit_simd_operation(argument);
    LLVMValueRef x = emit_simd_half(emitter, emit_simd_pop(emitter, SIMD_I32X4), 0, 1);

    (void)instr;
    emit_simd_push(emitter, LLVMBuildCast(emitter->builder, opcode, x, emitter->types->v2f64, ""));
}

void
emit_simd_promote_low(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef x = emit_simd_half(emitter, emit_simd_pop(emitter, SIMD_F32X4), 0, 1);

    (void)instr;
    (void)argument;
    emit_simd_push(emitter, LLVMBuildFPExt(emitter->builder, x, emitter->types->v2f64, ""));
}

/* Two lanes, and two zero lanes above them. */
static LLVMValueRef
add_zero_lanes(struct emitter *emitter, LLVMValueRef low)
{
    LLVMValueRef lanes[4];
    unsigned i;

    for (i = 0; i < 4; i++)
        lanes[i] = emit_i32(emitter, i);
    return LLVMBuildShuffleVector(emitter->builder, low, LLVMConstNull(LLVMTypeOf(low)),
                                  LLVMConstVector(lanes, 4), "");
}

/* Opaque, because LLVM would drop a promotion and a demotion together, and leave a
 * signalling NaN as it was. */
void
emit_simd_demote_zero(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef x = emit_opaque(emitter, emit_simd_pop(emitter, SIMD_F64X2));

    (void)instr;
    (void)argument;
    x = LLVMBuildFPTrunc(emitter->builder, x, LLVMVectorType(emitter->types->f32, 2), "");
    emit_simd_push(emitter, add_zero_lanes(emitter, x));
}

/* Truncation. The processor's conversion, unlike LLVM's, is defined everywhere: what
 * does not fit becomes 0x80000000. */

static LLVMValueRef
truncate_f32(struct emitter *emitter, LLVMValueRef x)
{
    return emit_simd_target(emitter, "llvm.x86.sse2.cvttps2dq", &x, 1);
}

/* x where the comparison with the bound is true, else the bound: a NaN becomes it. */
static LLVMValueRef
clamp(struct emitter *emitter, LLVMRealPredicate predicate, LLVMValueRef x, LLVMValueRef bound)
{
    LLVMValueRef is_x = LLVMBuildFCmp(emitter->builder, predicate, x, bound, "");

    return LLVMBuildSelect(emitter->builder, is_x, x, bound, "");
}

static LLVMValueRef
mask(struct emitter *emitter, LLVMRealPredicate predicate, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef truth = LLVMBuildFCmp(emitter->builder, predicate, x, y, "");

    return LLVMBuildSExt(emitter->builder, truth, emitter->types->v4i32, "");
}

/* NaN to 0; what is too large becomes 0x80000000, and its complement is the largest. */
void
emit_simd_trunc_f32_s(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef bound = emit_simd_reals(emitter, SIMD_F32X4, 0x1p31);
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef x = emit_simd_pop(emitter, SIMD_F32X4);
    LLVMValueRef is_number = LLVMBuildFCmp(builder, LLVMRealORD, x, x, "");
    LLVMValueRef is_large, result;

    (void)instr;
    (void)argument;
    is_large = mask(emitter, LLVMRealOGE, x, bound);
    x = LLVMBuildSelect(builder, is_number, x, LLVMConstNull(LLVMTypeOf(x)), "");
    result = LLVMBuildXor(builder, truncate_f32(emitter, x), is_large, "");
    emit_simd_push(emitter, result);
}

/* The sum of two signed conversions: of x, which is 0x80000000 from 2^31 on, and of
 * what x has above 2^31, which is 0 below and saturates as the signed one does. */
void
emit_simd_trunc_f32_u(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef bound = emit_simd_reals(emitter, SIMD_F32X4, 0x1p31);
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef x = emit_simd_pop(emitter, SIMD_F32X4);
    LLVMValueRef above, args[2];

    (void)instr;
    (void)argument;
    x = clamp(emitter, LLVMRealOGT, x, LLVMConstNull(LLVMTypeOf(x)));
    above = LLVMBuildFSub(builder, x, bound, "");
    args[0] = LLVMBuildXor(builder, truncate_f32(emitter, above),
                           mask(emitter, LLVMRealOGE, above, bound), "");
    args[1] = LLVMConstNull(emitter->types->v4i32);
    above = emit_intrinsic(emitter, "llvm.smax", emitter->types->v4i32, args, 2);
    emit_simd_push(emitter, LLVMBuildAdd(builder, truncate_f32(emitter, x), above, ""));
}

/* What is too small becomes 0x80000000 by itself; NaN meets a bound of 0. */
void
emit_simd_trunc_f64_s_zero(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef bound = emit_simd_reals(emitter, SIMD_F64X2, 2147483647.0);
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef x = emit_simd_pop(emitter, SIMD_F64X2);
    LLVMValueRef is_number = LLVMBuildFCmp(builder, LLVMRealORD, x, x, "");

    (void)instr;
    (void)argument;
    bound = LLVMBuildSelect(builder, is_number, bound, LLVMConstNull(LLVMTypeOf(x)), "");
    x = clamp(emitter, LLVMRealOLT, x, bound);
    emit_simd_push(emitter, emit_simd_target(emitter, "llvm.x86.sse2.cvttpd2dq", &x, 1));
}

/* A whole number below 2^52 is in the lower bits of its sum with 2^52. */
void
emit_simd_trunc_f64_u_zero(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef x = emit_simd_pop(emitter, SIMD_F64X2);

    (void)instr;
    (void)argument;
    x = clamp(emitter, LLVMRealOGT, x, LLVMConstNull(LLVMTypeOf(x)));
    x = clamp(emitter, LLVMRealOLT, x, emit_simd_reals(emitter, SIMD_F64X2, 4294967295.0));
    x = emit_intrinsic(emitter, "llvm.trunc", emitter->types->v2f64, &x, 1);
    x = LLVMBuildFAdd(builder, x, emit_simd_reals(emitter, SIMD_F64X2, 0x1p52), "");
    x = LLVMBuildBitCast(builder, x, emitter->types->v4i32, "");
    emit_simd_push(emitter, add_zero_lanes(emitter, emit_simd_half(emitter, x, 0, 2)));
}
