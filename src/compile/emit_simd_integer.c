/* SPDX-License-Identifier: Apache-2.0
 *
 * Vector instructions on integer lanes and on bits, and the words that all
 * vector families share.
 */
#include "compile/emit_simd.h"

#include "base/assert.h"

/* ----------------------------------------------------------------- small words */

LLVMTypeRef
emit_simd_type(const struct emitter *emitter, enum simd_shape shape)
{
    const struct unit_types *types = emitter->types;
    const LLVMTypeRef by_shape[SIMD_SHAPE_COUNT] = {
        types->v16i8, types->v8i16, types->v4i32, types->v2i64, types->v4f32, types->v2f64,
    };

    ASSERT(shape < SIMD_SHAPE_COUNT);
    return by_shape[shape];
}

LLVMTypeRef
emit_simd_integer_type(const struct emitter *emitter, enum simd_shape shape)
{
    if (shape == SIMD_F32X4)
        return emitter->types->v4i32;
    if (shape == SIMD_F64X2)
        return emitter->types->v2i64;
    return emit_simd_type(emitter, shape);
}

unsigned
emit_simd_lane_bits(enum simd_shape shape)
{
    static const unsigned bits[SIMD_SHAPE_COUNT] = {8, 16, 32, 64, 32, 64};

    ASSERT(shape < SIMD_SHAPE_COUNT);
    return bits[shape];
}

/* A v128 constant as lanes of another width, which LLVM's builder leaves to later:
 * emit_simd_float.c must see what they are. */
static LLVMValueRef
constant_lanes(const struct emitter *emitter, const uint64_t halves[2], enum simd_shape shape)
{
    LLVMTypeRef type = emit_simd_integer_type(emitter, shape);
    unsigned bits = emit_simd_lane_bits(shape);
    LLVMValueRef lanes[16];
    unsigned i;

    for (i = 0; i < 128 / bits; i++) {
        uint64_t lane = halves[i * bits / 64] >> (i * bits % 64);

        if (bits < 64)
            lane &= (UINT64_C(1) << bits) - 1;
        lanes[i] = LLVMConstInt(LLVMGetElementType(type), lane, false);
    }
    return LLVMConstBitCast(LLVMConstVector(lanes, 128 / bits), emit_simd_type(emitter, shape));
}

LLVMValueRef
emit_simd_pop(struct emitter *emitter, enum simd_shape shape)
{
    LLVMValueRef value = emit_pop(emitter);
    uint64_t halves[2];
    unsigned i;

    if (LLVMIsAConstantDataVector(value) == NULL)
        return LLVMBuildBitCast(emitter->builder, value, emit_simd_type(emitter, shape), "");
    ASSERT(LLVMTypeOf(value) == emitter->types->v128);
    for (i = 0; i < 2; i++)
        halves[i] = LLVMConstIntGetZExtValue(LLVMGetAggregateElement(value, i));
    return constant_lanes(emitter, halves, shape);
}

void
emit_simd_push(struct emitter *emitter, LLVMValueRef value)
{
    emit_push(emitter, LLVMBuildBitCast(emitter->builder, value, emitter->types->v128, ""));
}

static LLVMValueRef
constant_splat(LLVMValueRef lane, unsigned count)
{
    LLVMValueRef lanes[16];
    unsigned i;

    ASSERT(count <= 16);
    for (i = 0; i < count; i++)
        lanes[i] = lane;
    return LLVMConstVector(lanes, count);
}

LLVMValueRef
emit_simd_integers(const struct emitter *emitter, enum simd_shape shape, uint64_t value)
{
    LLVMTypeRef lane = LLVMGetElementType(emit_simd_integer_type(emitter, shape));

    return constant_splat(LLVMConstInt(lane, value, false), 128 / emit_simd_lane_bits(shape));
}

LLVMValueRef
emit_simd_reals(const struct emitter *emitter, enum simd_shape shape, double value)
{
    LLVMTypeRef lane = LLVMGetElementType(emit_simd_type(emitter, shape));

    return constant_splat(LLVMConstReal(lane, value), 128 / emit_simd_lane_bits(shape));
}

LLVMValueRef
emit_simd_broadcast(struct emitter *emitter, LLVMValueRef scalar, unsigned count)
{
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(scalar), count);
    LLVMValueRef none = LLVMGetPoison(type);
    LLVMValueRef zeros = constant_splat(emit_i32(emitter, 0), count);
    LLVMValueRef first;

    first = LLVMBuildInsertElement(emitter->builder, none, scalar, emit_i32(emitter, 0), "");
    return LLVMBuildShuffleVector(emitter->builder, first, none, zeros, "");
}

LLVMValueRef
emit_simd_half(struct emitter *emitter, LLVMValueRef vector, unsigned first, unsigned step)
{
    LLVMTypeRef type = LLVMTypeOf(vector);
    unsigned count = LLVMGetVectorSize(type) / 2;
    LLVMValueRef lanes[8];
    unsigned i;

    ASSERT(count <= 8 && first + (count - 1) * step < 2 * count);
    for (i = 0; i < count; i++)
        lanes[i] = emit_i32(emitter, first + i * step);
    return LLVMBuildShuffleVector(emitter->builder, vector, LLVMGetPoison(type),
                                  LLVMConstVector(lanes, count), "");
}

LLVMValueRef
emit_simd_target(struct emitter *emitter, const char *name, LLVMValueRef *args, unsigned count)
{
    LLVMValueRef function = unit_intrinsic(emitter->unit, name, NULL, 0);

    return LLVMBuildCall2(emitter->builder, LLVMGlobalGetValueType(function), function, args, count,
                          "");
}

/* ------------------------------------------------------------------- lane by lane */

void
emit_simd_binary(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMOpcode opcode = (LLVMOpcode)emit_simd_operation(argument);
    LLVMValueRef y = emit_simd_pop(emitter, shape);
    LLVMValueRef x = emit_simd_pop(emitter, shape);

    (void)instr;
    emit_simd_push(emitter, LLVMBuildBinOp(emitter->builder, opcode, x, y, ""));
}

static const char *
intrinsic_name(int argument)
{
    static const char *const names[SIMD_INTRINSIC_COUNT] = {
        [SIMD_ADD_SAT_S] = "llvm.sadd.sat", [SIMD_ADD_SAT_U] = "llvm.uadd.sat",
        [SIMD_SUB_SAT_S] = "llvm.ssub.sat", [SIMD_SUB_SAT_U] = "llvm.usub.sat",
        [SIMD_MIN_S] = "llvm.smin",         [SIMD_MIN_U] = "llvm.umin",
        [SIMD_MAX_S] = "llvm.smax",         [SIMD_MAX_U] = "llvm.umax",
        [SIMD_POPCNT] = "llvm.ctpop",       [SIMD_FABS] = "llvm.fabs",
        [SIMD_SQRT] = "llvm.sqrt",          [SIMD_CEIL] = "llvm.ceil",
        [SIMD_FLOOR] = "llvm.floor",        [SIMD_TRUNC] = "llvm.trunc",
        [SIMD_NEAREST] = "llvm.roundeven",
    };
    int operation = emit_simd_operation(argument);

    ASSERT(operation >= 0 && operation < SIMD_INTRINSIC_COUNT);
    return names[operation];
}

void
emit_simd_unary_intrinsic(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMValueRef x = emit_simd_pop(emitter, shape);

    (void)instr;
    emit_simd_push(emitter, emit_intrinsic(emitter, intrinsic_name(argument),
                                           emit_simd_type(emitter, shape), &x, 1));
}

void
emit_simd_binary_intrinsic(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMValueRef args[2];

    (void)instr;
    args[1] = emit_simd_pop(emitter, shape);
    args[0] = emit_simd_pop(emitter, shape);
    emit_simd_push(emitter, emit_intrinsic(emitter, intrinsic_name(argument),
                                           emit_simd_type(emitter, shape), args, 2));
}

void
emit_simd_compare(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMIntPredicate predicate = (LLVMIntPredicate)emit_simd_operation(argument);
    LLVMValueRef y = emit_simd_pop(emitter, shape);
    LLVMValueRef x = emit_simd_pop(emitter, shape);
    LLVMValueRef truth = LLVMBuildICmp(emitter->builder, predicate, x, y, "");

    (void)instr;
    emit_simd_push(emitter,
                   LLVMBuildSExt(emitter->builder, truth, emit_simd_type(emitter, shape), ""));
}

/* The count is taken modulo the lanes' width. */
void
emit_simd_shift(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMOpcode opcode = (LLVMOpcode)emit_simd_operation(argument);
    unsigned bits = emit_simd_lane_bits(shape);
    LLVMTypeRef lane = LLVMGetElementType(emit_simd_type(emitter, shape));
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef count = LLVMBuildAnd(builder, emit_pop(emitter), emit_i32(emitter, bits - 1), "");
    LLVMValueRef x = emit_simd_pop(emitter, shape);

    (void)instr;
    count = LLVMBuildIntCast2(builder, count, lane, false, "");
    count = emit_simd_broadcast(emitter, count, 128 / bits);
    emit_simd_push(emitter, LLVMBuildBinOp(builder, opcode, x, count, ""));
}

void
emit_simd_abs(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMValueRef args[2];

    (void)instr;
    args[0] = emit_simd_pop(emitter, shape);
    args[1] = LLVMConstInt(emitter->types->i1, 0, false); /* the smallest stays itself */
    emit_simd_push(emitter,
                   emit_intrinsic(emitter, "llvm.abs", emit_simd_type(emitter, shape), args, 2));
}

void
emit_simd_neg(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef x = emit_simd_pop(emitter, emit_simd_shape(argument));

    (void)instr;
    emit_simd_push(emitter, LLVMBuildNeg(emitter->builder, x, ""));
}

void
emit_simd_avgr(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    const char *name = shape == SIMD_I8X16 ? "llvm.x86.sse2.pavg.b" : "llvm.x86.sse2.pavg.w";
    LLVMValueRef args[2];

    (void)instr;
    args[1] = emit_simd_pop(emitter, shape);
    args[0] = emit_simd_pop(emitter, shape);
    emit_simd_push(emitter, emit_simd_target(emitter, name, args, 2));
}

/* -------------------------------------------------------------------- products */

/* The processor's product differs in one case only: -1 times -1 is 0x8000, and
 * must be 0x7fff. No other product is 0x8000. */
void
emit_simd_q15mulr(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef overflow = emit_simd_integers(emitter, SIMD_I16X8, 0x8000);
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef args[2];
    LLVMValueRef product, is_overflow;

    (void)instr;
    args[1] = emit_simd_pop(emitter, SIMD_I16X8);
    args[0] = emit_simd_pop(emitter, SIMD_I16X8);
    product = emit_simd_target(emitter, "llvm.x86.ssse3.pmul.hr.sw.128", args, 2);
    if (emit_simd_operation(argument) == 0) {
        is_overflow = LLVMBuildICmp(builder, LLVMIntEQ, product, overflow, "");
        is_overflow = LLVMBuildSExt(builder, is_overflow, emitter->types->v8i16, "");
        product = LLVMBuildXor(builder, product, is_overflow, "");
    }
    emit_simd_push(emitter, product);
}

void
emit_simd_dot(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef args[2];

    (void)instr;
    (void)argument;
    args[1] = emit_simd_pop(emitter, SIMD_I16X8);
    args[0] = emit_simd_pop(emitter, SIMD_I16X8);
    emit_simd_push(emitter, emit_simd_target(emitter, "llvm.x86.sse2.pmadd.wd", args, 2));
}

/* Pairs of signed bytes times bytes below 128, which the processor wants first. */
static LLVMValueRef
relaxed_dot(struct emitter *emitter)
{
    LLVMValueRef args[2];

    args[0] = emit_simd_pop(emitter, SIMD_I8X16);
    args[1] = emit_simd_pop(emitter, SIMD_I8X16);
    return emit_simd_target(emitter, "llvm.x86.ssse3.pmadd.ub.sw.128", args, 2);
}

void
emit_simd_relaxed_dot(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    (void)argument;
    emit_simd_push(emitter, relaxed_dot(emitter));
}

void
emit_simd_relaxed_dot_add(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef sum = emit_simd_pop(emitter, SIMD_I32X4);
    LLVMValueRef args[2];
    LLVMValueRef product;

    (void)instr;
    (void)argument;
    args[0] = relaxed_dot(emitter);
    args[1] = emit_simd_integers(emitter, SIMD_I16X8, 1);
    product = emit_simd_target(emitter, "llvm.x86.sse2.pmadd.wd", args, 2);
    emit_simd_push(emitter, LLVMBuildAdd(emitter->builder, product, sum, ""));
}

/* ------------------------------------------------------------------------ bits */

void
emit_simd_not(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    (void)argument;
    emit_push(emitter, LLVMBuildNot(emitter->builder, emit_pop(emitter), ""));
}

void
emit_simd_andnot(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef not_y = LLVMBuildNot(emitter->builder, emit_pop(emitter), "");

    (void)instr;
    (void)argument;
    emit_push(emitter, LLVMBuildAnd(emitter->builder, emit_pop(emitter), not_y, ""));
}

void
emit_simd_bitselect(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef mask = emit_pop(emitter);
    LLVMValueRef y = emit_pop(emitter);
    LLVMValueRef x = emit_pop(emitter);

    (void)instr;
    (void)argument;
    x = LLVMBuildAnd(builder, x, mask, "");
    y = LLVMBuildAnd(builder, y, LLVMBuildNot(builder, mask, ""), "");
    emit_push(emitter, LLVMBuildOr(builder, x, y, ""));
}

/* The i1 of each lane, as one integer of so many bits. */
static LLVMValueRef
lane_bits(struct emitter *emitter, enum simd_shape shape, LLVMIntPredicate predicate)
{
    LLVMTypeRef type =
        LLVMIntTypeInContext(emitter->unit->context, 128 / emit_simd_lane_bits(shape));
    LLVMValueRef x = emit_simd_pop(emitter, shape);
    LLVMValueRef zero = LLVMConstNull(emit_simd_type(emitter, shape));

    x = LLVMBuildICmp(emitter->builder, predicate, x, zero, "");
    return LLVMBuildBitCast(emitter->builder, x, type, "");
}

static void
push_is_zero(struct emitter *emitter, LLVMIntPredicate predicate, LLVMValueRef bits)
{
    LLVMValueRef truth;

    truth = LLVMBuildICmp(emitter->builder, predicate, bits, LLVMConstNull(LLVMTypeOf(bits)), "");
    emit_push(emitter, LLVMBuildZExt(emitter->builder, truth, emitter->types->i32, ""));
}

void
emit_simd_any_true(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMTypeRef i128 = LLVMInt128TypeInContext(emitter->unit->context);
    LLVMValueRef bits = LLVMBuildBitCast(emitter->builder, emit_pop(emitter), i128, "");

    (void)instr;
    (void)argument;
    push_is_zero(emitter, LLVMIntNE, bits);
}

void
emit_simd_all_true(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    push_is_zero(emitter, LLVMIntEQ, lane_bits(emitter, emit_simd_shape(argument), LLVMIntEQ));
}

void
emit_simd_bitmask(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef bits = lane_bits(emitter, emit_simd_shape(argument), LLVMIntSLT);

    (void)instr;
    emit_push(emitter, LLVMBuildZExt(emitter->builder, bits, emitter->types->i32, ""));
}
