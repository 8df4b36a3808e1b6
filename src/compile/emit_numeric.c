/* SPDX-License-Identifier: Apache-2.0
 *
 * Integer and floating-point instructions, comparisons and conversions.
 *
 * LLVM's optimiser may treat a signalling NaN as quiet, and so folds x * 1.0,
 * x - 0.0 and the like to x; the specification wants a quiet NaN there. Where
 * an operand is such a constant it is made opaque.
 */
#include <string.h>

#include "compile/compile_internal.h"

static void
emit_binary(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef right = emit_pop(emitter);
    LLVMValueRef left = emit_pop(emitter);

    (void)instr;
    emit_push(emitter, LLVMBuildBinOp(emitter->builder, (LLVMOpcode)argument, left, right, ""));
}

/* Whether LLVM folds the operation with this constant to its other operand. */
static bool
is_identity(LLVMValueRef value, int opcode)
{
    LLVMBool is_inexact;
    double constant;

    if (LLVMIsAConstantFP(value) == NULL)
        return false;
    constant = LLVMConstRealGetDouble(value, &is_inexact);
    if (opcode == LLVMFMul || opcode == LLVMFDiv)
        return constant == 1.0 || constant == -1.0;
    return constant == 0.0;
}

static void
emit_float_binary(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef right = emit_pop(emitter);
    LLVMValueRef left = emit_pop(emitter);

    (void)instr;
    if (is_identity(right, argument))
        right = emit_opaque(emitter, right);
    else if (argument != LLVMFDiv && is_identity(left, argument))
        left = emit_opaque(emitter, left);
    emit_push(emitter, LLVMBuildBinOp(emitter->builder, (LLVMOpcode)argument, left, right, ""));
}

static void
emit_shift(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef count = emit_pop(emitter);
    LLVMValueRef value = emit_pop(emitter);
    LLVMTypeRef type = LLVMTypeOf(value);
    LLVMValueRef mask = LLVMConstInt(type, LLVMGetIntTypeWidth(type) - 1, 0);

    (void)instr;
    count = LLVMBuildAnd(emitter->builder, count, mask, "");
    emit_push(emitter, LLVMBuildBinOp(emitter->builder, (LLVMOpcode)argument, value, count, ""));
}

/* argument: whether to the left. */
static void
emit_rotate(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef args[3];

    (void)instr;
    args[2] = emit_pop(emitter);
    args[0] = args[1] = emit_pop(emitter);
    emit_push(emitter, emit_intrinsic(emitter, argument ? "llvm.fshl" : "llvm.fshr",
                                      LLVMTypeOf(args[0]), args, 3));
}

static void
emit_compare(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef right = emit_pop(emitter);
    LLVMValueRef left = emit_pop(emitter);
    LLVMValueRef bit = LLVMBuildICmp(emitter->builder, (LLVMIntPredicate)argument, left, right, "");

    (void)instr;
    emit_push(emitter, LLVMBuildZExt(emitter->builder, bit, emitter->types->i32, ""));
}

static void
emit_float_compare(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef right = emit_pop(emitter);
    LLVMValueRef left = emit_pop(emitter);
    LLVMValueRef bit =
        LLVMBuildFCmp(emitter->builder, (LLVMRealPredicate)argument, left, right, "");

    (void)instr;
    emit_push(emitter, LLVMBuildZExt(emitter->builder, bit, emitter->types->i32, ""));
}

static void
emit_eqz(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef value = emit_pop(emitter);
    LLVMValueRef bit = LLVMBuildICmp(emitter->builder, LLVMIntEQ, value,
                                     LLVMConstInt(LLVMTypeOf(value), 0, 0), "");

    (void)instr;
    (void)argument;
    emit_push(emitter, LLVMBuildZExt(emitter->builder, bit, emitter->types->i32, ""));
}

/* Division and remainder: LLVM's are undefined where the specification traps. */
static void
emit_divide(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef right = emit_pop(emitter);
    LLVMValueRef left = emit_pop(emitter);
    LLVMTypeRef type = LLVMTypeOf(left);
    LLVMValueRef minus_one = LLVMConstAllOnes(type);
    LLVMValueRef zero = LLVMConstInt(type, 0, 0);
    LLVMValueRef smallest = LLVMConstInt(type, UINT64_C(1) << (LLVMGetIntTypeWidth(type) - 1), 0);
    LLVMValueRef is_minus_one;

    (void)instr;
    emit_trap_if(emitter, LLVMBuildICmp(builder, LLVMIntEQ, right, zero, ""),
                 ABI_TRAP_INTEGER_DIVIDE_BY_ZERO);
    is_minus_one = LLVMBuildICmp(builder, LLVMIntEQ, right, minus_one, "");
    if (argument == LLVMSDiv)
        emit_trap_if(emitter,
                     LLVMBuildAnd(builder, is_minus_one,
                                  LLVMBuildICmp(builder, LLVMIntEQ, left, smallest, ""), ""),
                     ABI_TRAP_INTEGER_OVERFLOW);
    if (argument == LLVMSRem) /* x % -1 is 0, also for the smallest x */
        right = LLVMBuildSelect(builder, is_minus_one, LLVMConstInt(type, 1, 0), right, "");
    emit_push(emitter, LLVMBuildBinOp(builder, (LLVMOpcode)argument, left, right, ""));
}

enum { BITS_CLZ, BITS_CTZ, BITS_POPCNT };

static void
emit_bits(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    static const char *const names[] = {"llvm.ctlz", "llvm.cttz", "llvm.ctpop"};
    LLVMValueRef args[2];

    (void)instr;
    args[0] = emit_pop(emitter);
    args[1] = LLVMConstInt(emitter->types->i1, 0, 0);
    emit_push(emitter, emit_intrinsic(emitter, names[argument], LLVMTypeOf(args[0]), args,
                                      argument == BITS_POPCNT ? 1 : 2));
}

enum { FLOAT_ABS, FLOAT_CEIL, FLOAT_FLOOR, FLOAT_TRUNC, FLOAT_NEAREST, FLOAT_SQRT };

static void
emit_float_unary(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    static const char *const names[] = {"llvm.fabs",  "llvm.ceil",      "llvm.floor",
                                        "llvm.trunc", "llvm.roundeven", "llvm.sqrt"};
    LLVMValueRef value = emit_pop(emitter);

    (void)instr;
    emit_push(emitter, emit_intrinsic(emitter, names[argument], LLVMTypeOf(value), &value, 1));
}

static void
emit_negate(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    (void)instr;
    (void)argument;
    emit_push(emitter, LLVMBuildFNeg(emitter->builder, emit_pop(emitter), ""));
}

static void
emit_copysign(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef args[2];

    (void)instr;
    (void)argument;
    args[1] = emit_pop(emitter);
    args[0] = emit_pop(emitter);
    emit_push(emitter, emit_intrinsic(emitter, "llvm.copysign", LLVMTypeOf(args[0]), args, 2));
}

/* argument: whether the minimum. NaN: x + y is quiet and carries a payload.
 * Equal: the operands differ at most in the sign of zero, so their bits or'ed
 * are the smaller, and'ed the larger. */
static void
emit_min_max(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMBuilderRef b = emitter->builder;
    LLVMValueRef y = emit_pop(emitter);
    LLVMValueRef x = emit_pop(emitter);
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMTypeRef bits = type == emitter->types->f32 ? emitter->types->i32 : emitter->types->i64;
    LLVMValueRef x_bits = LLVMBuildBitCast(b, x, bits, "");
    LLVMValueRef y_bits = LLVMBuildBitCast(b, y, bits, "");
    LLVMValueRef both =
        argument ? LLVMBuildOr(b, x_bits, y_bits, "") : LLVMBuildAnd(b, x_bits, y_bits, "");
    LLVMValueRef less = LLVMBuildFCmp(b, LLVMRealOLT, x, y, "");
    LLVMValueRef greater = LLVMBuildFCmp(b, LLVMRealOGT, x, y, "");
    LLVMValueRef unordered = LLVMBuildFCmp(b, LLVMRealUNO, x, y, "");
    LLVMValueRef result = LLVMBuildBitCast(b, both, type, "");

    (void)instr;
    result = LLVMBuildSelect(b, greater, argument ? y : x, result, "");
    result = LLVMBuildSelect(b, less, argument ? x : y, result, "");
    result = LLVMBuildSelect(b, unordered, LLVMBuildFAdd(b, x, y, ""), result, "");
    emit_push(emitter, result);
}

/* ----------------------------------------------------------------- conversions */

static LLVMTypeRef
result_type(struct emitter *emitter, const struct wasm_instr *instr)
{
    const char *signature = wasm_opcode_info(instr->opcode)->signature;

    switch (strchr(signature, ':')[1]) {
    case 'i':
        return emitter->types->i32;
    case 'I':
        return emitter->types->i64;
    case 'f':
        return emitter->types->f32;
    default:
        return emitter->types->f64;
    }
}

/* argument: the LLVM cast. */
static void
emit_cast(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef value = emit_pop(emitter);

    /* Demoting what was promoted must still quieten a NaN. */
    if (argument == LLVMFPTrunc && LLVMIsAFPExtInst(value) != NULL)
        value = emit_opaque(emitter, value);
    if (argument == LLVMFPTrunc || argument == LLVMFPExt) {
        emitter->unit->has_conversions = true;
        if (LLVMIsConstant(value))
            value = emit_opaque(emitter, value);
    }
    emit_push(emitter, LLVMBuildCast(emitter->builder, (LLVMOpcode)argument, value,
                                     result_type(emitter, instr), ""));
}

/* Sign extension in place; argument: from how many bits. */
static void
emit_extend(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef value = emit_pop(emitter);
    LLVMTypeRef narrow = LLVMIntTypeInContext(emitter->unit->context, (unsigned)argument);
    LLVMTypeRef type = LLVMTypeOf(value);

    (void)instr;
    value = LLVMBuildTrunc(emitter->builder, value, narrow, "");
    emit_push(emitter, LLVMBuildSExt(emitter->builder, value, type, ""));
}

struct float_bounds { /* the float is representable when below < x < above */
    double below, above;
};

static struct float_bounds
bounds_of(bool is_signed, unsigned bits, bool is_f32)
{
    double power = bits == 32 ? 4294967296.0 : 18446744073709551616.0;

    if (!is_signed)
        return (struct float_bounds){-1.0, power};
    if (bits == 32 && !is_f32)
        return (struct float_bounds){-2147483649.0, 2147483648.0};
    /* -2^31 - 1 is no f32 and -2^63 - 1 no f64: the next one below is. */
    if (bits == 32)
        return (struct float_bounds){-2147483904.0, 2147483648.0};
    return (struct float_bounds){is_f32 ? -9223373136366403584.0 : -9223372036854777856.0,
                                 9223372036854775808.0};
}

/* argument: whether signed. */
static void
emit_truncate(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMBuilderRef b = emitter->builder;
    LLVMValueRef value = emit_pop(emitter);
    LLVMTypeRef from = LLVMTypeOf(value);
    LLVMTypeRef to = result_type(emitter, instr);
    struct float_bounds bounds =
        bounds_of(argument, LLVMGetIntTypeWidth(to), from == emitter->types->f32);
    LLVMValueRef is_nan = LLVMBuildFCmp(b, LLVMRealUNO, value, value, "");
    LLVMValueRef is_low, is_high;

    emit_trap_if(emitter, is_nan, ABI_TRAP_INVALID_CONVERSION);
    is_low = LLVMBuildFCmp(b, LLVMRealULE, value, LLVMConstReal(from, bounds.below), "");
    is_high = LLVMBuildFCmp(b, LLVMRealUGE, value, LLVMConstReal(from, bounds.above), "");
    emit_trap_if(emitter, LLVMBuildOr(b, is_low, is_high, ""), ABI_TRAP_INTEGER_OVERFLOW);
    emit_push(emitter,
              argument ? LLVMBuildFPToSI(b, value, to, "") : LLVMBuildFPToUI(b, value, to, ""));
}

static void
emit_truncate_saturating(struct emitter *emitter, const struct wasm_instr *instr, int argument)
{
    LLVMValueRef value = emit_pop(emitter);
    LLVMTypeRef types[2] = {result_type(emitter, instr), LLVMTypeOf(value)};
    LLVMValueRef function =
        unit_intrinsic(emitter->unit, argument ? "llvm.fptosi.sat" : "llvm.fptoui.sat", types, 2);

    emit_push(emitter, LLVMBuildCall2(emitter->builder, LLVMGlobalGetValueType(function), function,
                                      &value, 1, ""));
}

#define INTEGER_RULES(T) \
    {WASM_##T##_EQZ, emit_eqz, 0}, {WASM_##T##_EQ, emit_compare, LLVMIntEQ}, \
        {WASM_##T##_NE, emit_compare, LLVMIntNE}, {WASM_##T##_LT_S, emit_compare, LLVMIntSLT}, \
        {WASM_##T##_LT_U, emit_compare, LLVMIntULT}, {WASM_##T##_GT_S, emit_compare, LLVMIntSGT}, \
        {WASM_##T##_GT_U, emit_compare, LLVMIntUGT}, {WASM_##T##_LE_S, emit_compare, LLVMIntSLE}, \
        {WASM_##T##_LE_U, emit_compare, LLVMIntULE}, {WASM_##T##_GE_S, emit_compare, LLVMIntSGE}, \
        {WASM_##T##_GE_U, emit_compare, LLVMIntUGE}, {WASM_##T##_CLZ, emit_bits, BITS_CLZ}, \
        {WASM_##T##_CTZ, emit_bits, BITS_CTZ}, {WASM_##T##_POPCNT, emit_bits, BITS_POPCNT}, \
        {WASM_##T##_ADD, emit_binary, LLVMAdd}, {WASM_##T##_SUB, emit_binary, LLVMSub}, \
        {WASM_##T##_MUL, emit_binary, LLVMMul}, {WASM_##T##_DIV_S, emit_divide, LLVMSDiv}, \
        {WASM_##T##_DIV_U, emit_divide, LLVMUDiv}, {WASM_##T##_REM_S, emit_divide, LLVMSRem}, \
        {WASM_##T##_REM_U, emit_divide, LLVMURem}, {WASM_##T##_AND, emit_binary, LLVMAnd}, \
        {WASM_##T##_OR, emit_binary, LLVMOr}, {WASM_##T##_XOR, emit_binary, LLVMXor}, \
        {WASM_##T##_SHL, emit_shift, LLVMShl}, {WASM_##T##_SHR_S, emit_shift, LLVMAShr}, \
        {WASM_##T##_SHR_U, emit_shift, LLVMLShr}, {WASM_##T##_ROTL, emit_rotate, 1}, \
        {WASM_##T##_ROTR, emit_rotate, 0}

#define FLOAT_RULES(T) \
    {WASM_##T##_EQ, emit_float_compare, LLVMRealOEQ}, \
        {WASM_##T##_NE, emit_float_compare, LLVMRealUNE}, \
        {WASM_##T##_LT, emit_float_compare, LLVMRealOLT}, \
        {WASM_##T##_GT, emit_float_compare, LLVMRealOGT}, \
        {WASM_##T##_LE, emit_float_compare, LLVMRealOLE}, \
        {WASM_##T##_GE, emit_float_compare, LLVMRealOGE}, \
        {WASM_##T##_ABS, emit_float_unary, FLOAT_ABS}, {WASM_##T##_NEG, emit_negate, 0}, \
        {WASM_##T##_CEIL, emit_float_unary, FLOAT_CEIL}, \
        {WASM_##T##_FLOOR, emit_float_unary, FLOAT_FLOOR}, \
        {WASM_##T##_TRUNC, emit_float_unary, FLOAT_TRUNC}, \
        {WASM_##T##_NEAREST, emit_float_unary, FLOAT_NEAREST}, \
        {WASM_##T##_SQRT, emit_float_unary, FLOAT_SQRT}, \
        {WASM_##T##_ADD, emit_float_binary, LLVMFAdd}, \
        {WASM_##T##_SUB, emit_float_binary, LLVMFSub}, \
        {WASM_##T##_MUL, emit_float_binary, LLVMFMul}, \
        {WASM_##T##_DIV, emit_float_binary, LLVMFDiv}, {WASM_##T##_MIN, emit_min_max, 1}, \
        {WASM_##T##_MAX, emit_min_max, 0}, {WASM_##T##_COPYSIGN, emit_copysign, 0}

#define TRUNCATE_RULES(I, F) \
    {WASM_##I##_TRUNC_##F##_S, emit_truncate, 1}, {WASM_##I##_TRUNC_##F##_U, emit_truncate, 0}, \
        {WASM_##I##_TRUNC_SAT_##F##_S, emit_truncate_saturating, 1}, \
        {WASM_##I##_TRUNC_SAT_##F##_U, emit_truncate_saturating, 0}

const struct emit_rule emit_rules_numeric[] = {
    INTEGER_RULES(I32),
    INTEGER_RULES(I64),
    FLOAT_RULES(F32),
    FLOAT_RULES(F64),
    TRUNCATE_RULES(I32, F32),
    TRUNCATE_RULES(I32, F64),
    TRUNCATE_RULES(I64, F32),
    TRUNCATE_RULES(I64, F64),
    {WASM_I32_WRAP_I64, emit_cast, LLVMTrunc},
    {WASM_I64_EXTEND_I32_S, emit_cast, LLVMSExt},
    {WASM_I64_EXTEND_I32_U, emit_cast, LLVMZExt},
    {WASM_F32_CONVERT_I32_S, emit_cast, LLVMSIToFP},
    {WASM_F32_CONVERT_I32_U, emit_cast, LLVMUIToFP},
    {WASM_F32_CONVERT_I64_S, emit_cast, LLVMSIToFP},
    {WASM_F32_CONVERT_I64_U, emit_cast, LLVMUIToFP},
    {WASM_F32_DEMOTE_F64, emit_cast, LLVMFPTrunc},
    {WASM_F64_CONVERT_I32_S, emit_cast, LLVMSIToFP},
    {WASM_F64_CONVERT_I32_U, emit_cast, LLVMUIToFP},
    {WASM_F64_CONVERT_I64_S, emit_cast, LLVMSIToFP},
    {WASM_F64_CONVERT_I64_U, emit_cast, LLVMUIToFP},
    {WASM_F64_PROMOTE_F32, emit_cast, LLVMFPExt},
    {WASM_I32_REINTERPRET_F32, emit_cast, LLVMBitCast},
    {WASM_I64_REINTERPRET_F64, emit_cast, LLVMBitCast},
    {WASM_F32_REINTERPRET_I32, emit_cast, LLVMBitCast},
    {WASM_F64_REINTERPRET_I64, emit_cast, LLVMBitCast},
    {WASM_I32_EXTEND8_S, emit_extend, 8},
    {WASM_I32_EXTEND16_S, emit_extend, 16},
    {WASM_I64_EXTEND8_S, emit_extend, 8},
    {WASM_I64_EXTEND16_S, emit_extend, 16},
    {WASM_I64_EXTEND32_S, emit_extend, 32},
    EMIT_RULES_END,
};
