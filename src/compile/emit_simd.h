/* SPDX-License-Identifier: Apache-2.0
 *
 * compile, inside: vector instructions.
 *
 * A v128 on the value stack is <2 x i64>. Each function here pops it as the
 * lanes it works on and pushes it back: bitcasts cost nothing. The rules of all
 * families are one table in emit_simd.c; a rule's argument is a shape and, where
 * one function serves several instructions, an operation: EMIT_SIMD().
 *
 * Code is for x86-64-v2 and above: SSSE3 and SSE4.1 are there.
 */
#ifndef WEFT_COMPILE_EMIT_SIMD_H
#define WEFT_COMPILE_EMIT_SIMD_H

#include "compile/compile_internal.h"

/* Wider integers follow narrower ones: shape + 1 has lanes of twice the width. */
enum simd_shape {
    SIMD_I8X16,
    SIMD_I16X8,
    SIMD_I32X4,
    SIMD_I64X2,
    SIMD_F32X4,
    SIMD_F64X2,
    SIMD_SHAPE_COUNT
};

#define EMIT_SIMD(shape, operation) ((int)(shape) | (int)(operation) << 4)

static inline enum simd_shape
emit_simd_shape(int argument)
{
    return (enum simd_shape)(argument & 15);
}

static inline int
emit_simd_operation(int argument)
{
    return argument >> 4;
}

/* Bits of the operation where lanes change their width. */
enum simd_width {
    SIMD_UNSIGNED = 0,
    SIMD_SIGNED = 1,
    SIMD_HIGH = 2, /* the upper half of the lanes */
};

/* Operations that are one generic intrinsic of LLVM. */
enum simd_intrinsic {
    SIMD_ADD_SAT_S,
    SIMD_ADD_SAT_U,
    SIMD_SUB_SAT_S,
    SIMD_SUB_SAT_U,
    SIMD_MIN_S,
    SIMD_MIN_U,
    SIMD_MAX_S,
    SIMD_MAX_U,
    SIMD_POPCNT,
    SIMD_FABS,
    SIMD_SQRT,
    SIMD_CEIL,
    SIMD_FLOOR,
    SIMD_TRUNC,
    SIMD_NEAREST,
    SIMD_INTRINSIC_COUNT
};

/* ----------------------------------------------------------------- small words */

LLVMTypeRef emit_simd_type(const struct emitter *emitter, enum simd_shape shape);
LLVMTypeRef emit_simd_integer_type(const struct emitter *emitter, enum simd_shape shape);
unsigned emit_simd_lane_bits(enum simd_shape shape);
LLVMValueRef emit_simd_pop(struct emitter *emitter, enum simd_shape shape);
void emit_simd_push(struct emitter *emitter, LLVMValueRef value);
/* The same constant in every lane. */
LLVMValueRef emit_simd_integers(const struct emitter *emitter, enum simd_shape shape,
                                uint64_t value);
LLVMValueRef emit_simd_reals(const struct emitter *emitter, enum simd_shape shape, double value);
/* The same value in each of count lanes. */
LLVMValueRef emit_simd_broadcast(struct emitter *emitter, LLVMValueRef scalar, unsigned count);
/* Lanes first, first + step, ... of a vector: half as many as it has. */
LLVMValueRef emit_simd_half(struct emitter *emitter, LLVMValueRef vector, unsigned first,
                            unsigned step);
/* Calls an intrinsic of the target, which has no overloads. */
LLVMValueRef emit_simd_target(struct emitter *emitter, const char *name, LLVMValueRef *args,
                              unsigned count);

/* -------------------------------------------------------------------- families */

/* Any lanes: emit_simd_integer.c. */
void emit_simd_binary(struct emitter *, const struct wasm_instr *, int); /* LLVMOpcode */
void emit_simd_unary_intrinsic(struct emitter *, const struct wasm_instr *, int);
void emit_simd_binary_intrinsic(struct emitter *, const struct wasm_instr *, int);
void emit_simd_compare(struct emitter *, const struct wasm_instr *, int); /* LLVMIntPredicate */
void emit_simd_shift(struct emitter *, const struct wasm_instr *, int);   /* LLVMOpcode */
void emit_simd_abs(struct emitter *, const struct wasm_instr *, int);
void emit_simd_neg(struct emitter *, const struct wasm_instr *, int);
void emit_simd_avgr(struct emitter *, const struct wasm_instr *, int);
void emit_simd_q15mulr(struct emitter *, const struct wasm_instr *, int); /* 1: relaxed */
void emit_simd_dot(struct emitter *, const struct wasm_instr *, int);
void emit_simd_relaxed_dot(struct emitter *, const struct wasm_instr *, int);
void emit_simd_relaxed_dot_add(struct emitter *, const struct wasm_instr *, int);
void emit_simd_not(struct emitter *, const struct wasm_instr *, int);
void emit_simd_andnot(struct emitter *, const struct wasm_instr *, int);
void emit_simd_bitselect(struct emitter *, const struct wasm_instr *, int);
void emit_simd_any_true(struct emitter *, const struct wasm_instr *, int);
void emit_simd_all_true(struct emitter *, const struct wasm_instr *, int);
void emit_simd_bitmask(struct emitter *, const struct wasm_instr *, int);

/* Floating point: emit_simd_float.c. */
void emit_simd_float_binary(struct emitter *, const struct wasm_instr *, int);  /* LLVMOpcode */
void emit_simd_float_compare(struct emitter *, const struct wasm_instr *, int); /* predicate */
void emit_simd_float_neg(struct emitter *, const struct wasm_instr *, int);
void emit_simd_float_min(struct emitter *, const struct wasm_instr *, int);
void emit_simd_float_max(struct emitter *, const struct wasm_instr *, int);
void emit_simd_pmin(struct emitter *, const struct wasm_instr *, int);
void emit_simd_pmax(struct emitter *, const struct wasm_instr *, int);
void emit_simd_relaxed_min(struct emitter *, const struct wasm_instr *, int);
void emit_simd_relaxed_max(struct emitter *, const struct wasm_instr *, int);
void emit_simd_relaxed_madd(struct emitter *, const struct wasm_instr *, int); /* 1: negated */

/* Lanes: emit_simd_lane.c. */
void emit_simd_splat(struct emitter *, const struct wasm_instr *, int);
void emit_simd_extract(struct emitter *, const struct wasm_instr *, int); /* enum simd_width */
void emit_simd_replace(struct emitter *, const struct wasm_instr *, int);
void emit_simd_shuffle(struct emitter *, const struct wasm_instr *, int);
void emit_simd_swizzle(struct emitter *, const struct wasm_instr *, int); /* 1: relaxed */
void emit_simd_laneselect(struct emitter *, const struct wasm_instr *, int);

/* Width and kind of lanes: emit_simd_convert.c. The shape is that of the
 * narrower integers, or of the source where floating point is involved. */
void emit_simd_extend(struct emitter *, const struct wasm_instr *, int);  /* enum simd_width */
void emit_simd_extmul(struct emitter *, const struct wasm_instr *, int);  /* enum simd_width */
void emit_simd_extadd(struct emitter *, const struct wasm_instr *, int);  /* enum simd_width */
void emit_simd_narrow(struct emitter *, const struct wasm_instr *, int);  /* enum simd_width */
void emit_simd_convert(struct emitter *, const struct wasm_instr *, int); /* LLVMOpcode */
void emit_simd_convert_low(struct emitter *, const struct wasm_instr *, int);
void emit_simd_promote_low(struct emitter *, const struct wasm_instr *, int);
void emit_simd_demote_zero(struct emitter *, const struct wasm_instr *, int);
void emit_simd_trunc_f32_s(struct emitter *, const struct wasm_instr *, int);
void emit_simd_trunc_f32_u(struct emitter *, const struct wasm_instr *, int);
void emit_simd_trunc_f64_s_zero(struct emitter *, const struct wasm_instr *, int);
void emit_simd_trunc_f64_u_zero(struct emitter *, const struct wasm_instr *, int);

/* Memory: emit_simd_memory.c. */
void emit_simd_load(struct emitter *, const struct wasm_instr *, int);
void emit_simd_store(struct emitter *, const struct wasm_instr *, int);
void emit_simd_load_extend(struct emitter *, const struct wasm_instr *, int); /* simd_width */
void emit_simd_load_splat(struct emitter *, const struct wasm_instr *, int);
void emit_simd_load_zero(struct emitter *, const struct wasm_instr *, int);
void emit_simd_load_lane(struct emitter *, const struct wasm_instr *, int);
void emit_simd_store_lane(struct emitter *, const struct wasm_instr *, int);

#endif
