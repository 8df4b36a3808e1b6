/* SPDX-License-Identifier: Apache-2.0
 *
 * Vector instructions on floating-point lanes.
 */
#include "compile/emit_simd.h"

#include <string.h>

/* Whether LLVM may drop an operation with this constant and return the other
 * operand, or its negation: then a signalling NaN would not become quiet. */
static bool
is_neutral(LLVMValueRef constant, unsigned count)
{
    LLVMBool loses;
    LLVMValueRef lane;
    double value;
    unsigned i;

    for (i = 0; i < count; i++) {
        lane = LLVMGetAggregateElement(constant, i);
        if (lane == NULL || LLVMIsAConstantFP(lane) == NULL)
            continue;
        value = LLVMConstRealGetDouble(lane, &loses);
        if (value >= -1.0 && value <= 1.0 && value == (double)(int)value)
            return true;
    }
    return false;
}

static LLVMValueRef
pop_operand(struct emitter *emitter, enum simd_shape shape)
{
    LLVMValueRef value = emit_simd_pop(emitter, shape);

    if (LLVMIsConstant(value) && is_neutral(value, 128 / emit_simd_lane_bits(shape)))
        return emit_opaque(emitter, value);
    return value;
}

void
emit_simd_float_binary(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMOpcode opcode = (LLVMOpcode)emit_simd_operation(argument);
    LLVMValueRef y = pop_operand(emitter, shape);
    LLVMValueRef x = pop_operand(emitter, shape);

    (void)instr;
    emit_simd_push(emitter, LLVMBuildBinOp(emitter->builder, opcode, x, y, ""));
}

void
emit_simd_float_compare(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMRealPredicate predicate = (LLVMRealPredicate)emit_simd_operation(argument);
    LLVMValueRef y = emit_simd_pop(emitter, shape);
    LLVMValueRef x = emit_simd_pop(emitter, shape);
    LLVMValueRef truth = LLVMBuildFCmp(emitter->builder, predicate, x, y, "");

    (void)instr;
    emit_simd_push(emitter, LLVMBuildSExt(emitter->builder, truth,
                                          emit_simd_integer_type(emitter, shape), ""));
}

void
emit_simd_float_neg(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef x = emit_simd_pop(emitter, emit_simd_shape(argument));

    (void)instr;
    emit_simd_push(emitter, LLVMBuildFNeg(emitter->builder, x, ""));
}

/* x if x is less (or greater), else y, also where they are equal or one is NaN. As a
 * comparison and a selection LLVM would lose it between lanes of i64 and f64. */
static LLVMValueRef
choose(struct emitter *emitter, LLVMRealPredicate predicate, LLVMValueRef x, LLVMValueRef y)
{
    bool is_single = LLVMTypeOf(x) == emitter->types->v4f32;
    LLVMValueRef args[2] = {x, y};
    const char *name;

    if (predicate == LLVMRealOLT)
        name = is_single ? "llvm.x86.sse.min.ps" : "llvm.x86.sse2.min.pd";
    else
        name = is_single ? "llvm.x86.sse.max.ps" : "llvm.x86.sse2.max.pd";
    return emit_simd_target(emitter, name, args, 2);
}

/* Both orders differ only where the operands are equal or one is NaN. Equal ones
 * differ only as zeros, where the sign bits are joined: by or for the minimum, by
 * and for the maximum. With a NaN the sum is the quiet NaN. */
static void
min_or_max(struct emitter *emitter, enum simd_shape shape, LLVMRealPredicate predicate,
           LLVMOpcode join)
{
    LLVMTypeRef bits = emit_simd_integer_type(emitter, shape);
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef y = emit_simd_pop(emitter, shape);
    LLVMValueRef x = emit_simd_pop(emitter, shape);
    LLVMValueRef one = choose(emitter, predicate, x, y);
    LLVMValueRef other = choose(emitter, predicate, y, x);
    LLVMValueRef result, is_nan;

    one = LLVMBuildBitCast(builder, one, bits, "");
    other = LLVMBuildBitCast(builder, other, bits, "");
    result = LLVMBuildBinOp(builder, join, one, other, "");
    result = LLVMBuildBitCast(builder, result, emit_simd_type(emitter, shape), "");
    is_nan = LLVMBuildFCmp(builder, LLVMRealUNO, x, y, "");
    result = LLVMBuildSelect(builder, is_nan, LLVMBuildFAdd(builder, x, y, ""), result, "");
    emit_simd_push(emitter, result);
}

void
emit_simd_float_min(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    min_or_max(emitter, emit_simd_shape(argument), LLVMRealOLT, LLVMOr);
}

void
emit_simd_float_max(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    min_or_max(emitter, emit_simd_shape(argument), LLVMRealOGT, LLVMAnd);
}

static void
pseudo(struct emitter *emitter, enum simd_shape shape, LLVMRealPredicate predicate)
{
    LLVMValueRef y = emit_simd_pop(emitter, shape);
    LLVMValueRef x = emit_simd_pop(emitter, shape);

    emit_simd_push(emitter, choose(emitter, predicate, y, x));
}

void
emit_simd_pmin(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    pseudo(emitter, emit_simd_shape(argument), LLVMRealOLT);
}

void
emit_simd_pmax(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    pseudo(emitter, emit_simd_shape(argument), LLVMRealOGT);
}

/* --------------------------------------------------------------------- relaxed */

/* One instruction of the processor: which operand a NaN or an equal one yields is
 * free, and here it is the second. */
static void
relaxed(struct emitter *emitter, enum simd_shape shape, LLVMRealPredicate predicate)
{
    LLVMValueRef y = emit_simd_pop(emitter, shape);
    LLVMValueRef x = emit_simd_pop(emitter, shape);

    emit_simd_push(emitter, choose(emitter, predicate, x, y));
}

void
emit_simd_relaxed_min(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    relaxed(emitter, emit_simd_shape(argument), LLVMRealOLT);
}

void
emit_simd_relaxed_max(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    relaxed(emitter, emit_simd_shape(argument), LLVMRealOGT);
}

static bool
has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    const char *place;

    for (place = strstr(list, word); place != NULL; place = strstr(place + 1, word))
        if (place[length] == ',' || place[length] == '\0')
            return true;
    return false;
}

/* Without it a fused product would become a call of the C library. A CPU that is
 * not known to have it gets the two instructions, which are always right. */
static bool
has_fma(const struct emitter *emitter)
{
    char *cpu = LLVMGetTargetMachineCPU(emitter->unit->machine);
    char *features = LLVMGetTargetMachineFeatureString(emitter->unit->machine);
    bool has = has_word(features, "+fma");

    if (strcmp(cpu, "x86-64-v3") == 0 || strcmp(cpu, "x86-64-v4") == 0)
        has = !has_word(features, "-fma");
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(features);
    return has;
}

void
emit_simd_relaxed_madd(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    enum simd_shape shape = emit_simd_shape(argument);
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef args[3];
    bool is_negated = emit_simd_operation(argument) != 0;
    LLVMValueRef result;

    (void)instr;
    args[2] = pop_operand(emitter, shape);
    args[1] = pop_operand(emitter, shape);
    args[0] = pop_operand(emitter, shape);
    if (is_negated)
        args[0] = LLVMBuildFNeg(builder, args[0], "");
    /* Either rounding is allowed; the proposal's tests of 2022 know the negated
     * form only with two roundings. */
    if (has_fma(emitter) && !is_negated) {
        result = emit_intrinsic(emitter, "llvm.fma", emit_simd_type(emitter, shape), args, 3);
    } else {
        result = LLVMBuildFMul(builder, args[0], args[1], "");
        result = LLVMBuildFAdd(builder, result, args[2], "");
    }
    emit_simd_push(emitter, result);
}
