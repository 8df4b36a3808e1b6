/* SPDX-License-Identifier: Apache-2.0
 *
 * Additions that the guest compiler wrote as `or`.
 *
 *      c[i * 512 + j]      for j from 0 to 511 clang makes it (i << 9) | j, and knows that the two
 *                          have no bit in common. WebAssembly cannot say so.
 *
 * LLVM takes such an `or` for an addition only where it is marked; without the mark the address is
 * no progression, and the loop is not vectorised. It does not find out by itself, as the guest
 * compiler has made `j < 512` into `j != 512`. Here it is marked where one side is a multiple of a
 * power of two and the other is less than that, by what a counting loop says of its counter.
 *
 * Claim: a counter that starts at s and grows by d, in a loop that is left from the only block
 * that goes back when the next value is `limit`, is at most limit - d, if d divides limit - s and
 * s < limit. By induction: it is s at first; where it goes back the next value is one step
 * further and not the limit, so before it.
 */
#include "compile/compile_internal.h"

#define DEPTH_MAX 6u

struct condition {
    LLVMIntPredicate predicate;
    LLVMValueRef left, right;
};

static bool
is_constant(LLVMValueRef value, uint64_t *out)
{
    if (LLVMIsAConstantInt(value) == NULL || LLVMGetIntTypeWidth(LLVMTypeOf(value)) > 64)
        return false;
    *out = LLVMConstIntGetZExtValue(value);
    return true;
}

static bool
is_opcode(LLVMValueRef value, LLVMOpcode opcode)
{
    return LLVMIsAInstruction(value) != NULL && LLVMGetInstructionOpcode(value) == opcode;
}

static uint64_t
mask_of(LLVMValueRef value)
{
    return UINT64_MAX >> (64 - LLVMGetIntTypeWidth(LLVMTypeOf(value)));
}

static LLVMIntPredicate
invert(LLVMIntPredicate predicate)
{
    switch (predicate) {
    case LLVMIntEQ:
        return LLVMIntNE;
    case LLVMIntNE:
        return LLVMIntEQ;
    case LLVMIntUGE:
        return LLVMIntULT;
    case LLVMIntSGE:
        return LLVMIntSLT;
    default:
        return LLVMIntEQ; /* none that bounds anything */
    }
}

/* What holds where the value, a condition, is true or false. WebAssembly's conditions are numbers,
 * which are compared with zero once more. */
static bool
find_condition(LLVMValueRef value, bool is_true, struct condition *out)
{
    uint64_t zero;

    for (uint32_t depth = 0; depth < DEPTH_MAX && is_opcode(value, LLVMICmp); depth++) {
        LLVMValueRef left = LLVMGetOperand(value, 0);
        LLVMIntPredicate predicate = LLVMGetICmpPredicate(value);

        if (!is_opcode(left, LLVMZExt) || !is_constant(LLVMGetOperand(value, 1), &zero) ||
            zero != 0 || (predicate != LLVMIntEQ && predicate != LLVMIntNE)) {
            out->predicate = is_true ? predicate : invert(predicate);
            out->left = left;
            out->right = LLVMGetOperand(value, 1);
            return true;
        }
        if (predicate == LLVMIntEQ)
            is_true = !is_true;
        value = LLVMGetOperand(left, 0);
    }
    return false;
}

/* What holds of the edge from one block to another. */
static bool
find_condition_between(LLVMBasicBlockRef from, LLVMBasicBlockRef to, struct condition *out)
{
    LLVMValueRef end = LLVMGetBasicBlockTerminator(from);

    if (LLVMIsABranchInst(end) == NULL || !LLVMIsConditional(end) ||
        LLVMGetSuccessor(end, 0) == LLVMGetSuccessor(end, 1))
        return false;
    return find_condition(LLVMGetCondition(end), LLVMGetSuccessor(end, 0) == to, out);
}

/* The greatest value of a counter, from what holds where it goes back with its next value. */
static bool
bound(const struct condition *condition, uint64_t start, uint64_t step, uint64_t mask,
      uint64_t *out)
{
    uint64_t limit, sign = (mask >> 1) + 1;

    if (!is_constant(condition->right, &limit) || limit <= start || limit >= sign || step >= sign)
        return false;
    switch (condition->predicate) {
    case LLVMIntNE:
        *out = limit - step;
        return step != 0 && (limit - start) % step == 0;
    case LLVMIntSLT: /* the next value must not be negative */
        *out = limit - 1;
        return limit - 1 + step < sign;
    case LLVMIntULT:
        *out = limit - 1;
        return true;
    default:
        return false;
    }
}

static bool
find_counter_max(LLVMValueRef phi, uint64_t *out)
{
    struct condition condition;
    uint64_t start, step;

    if (LLVMCountIncoming(phi) != 2)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        LLVMValueRef next = LLVMGetIncomingValue(phi, i);

        if (is_opcode(next, LLVMAdd) && LLVMGetOperand(next, 0) == phi &&
            is_constant(LLVMGetOperand(next, 1), &step) &&
            is_constant(LLVMGetIncomingValue(phi, 1 - i), &start))
            return find_condition_between(LLVMGetIncomingBlock(phi, i),
                                          LLVMGetInstructionParent(phi), &condition) &&
                   condition.left == next && bound(&condition, start, step, mask_of(phi), out);
    }
    return false;
}

/* The least 2^n - 1 that is not less. */
static uint64_t
all_bits(uint64_t value)
{
    return value == 0 ? 0 : UINT64_MAX >> __builtin_clzll(value);
}

static bool find_max(LLVMValueRef value, uint32_t depth, uint64_t *out);

static bool
find_max_of_two(LLVMValueRef value, uint32_t depth, uint64_t *out)
{
    uint64_t left, right;

    if (!find_max(LLVMGetOperand(value, 0), depth + 1, &left) ||
        !find_max(LLVMGetOperand(value, 1), depth + 1, &right))
        return false;
    switch (LLVMGetInstructionOpcode(value)) {
    case LLVMOr:
        *out = all_bits(left | right);
        return true;
    case LLVMAdd:
        return !__builtin_add_overflow(left, right, out) && *out <= mask_of(value);
    default:
        if (right >= 64 || left > mask_of(value) >> right)
            return false;
        *out = left << right;
        return true;
    }
}

/* What a value is at most, where that is known. Also true of no other than unsigned numbers. */
static bool
find_max(LLVMValueRef value, uint32_t depth, uint64_t *out)
{
    if (depth == DEPTH_MAX)
        return false;
    if (LLVMIsAPHINode(value) != NULL)
        return find_counter_max(value, out);
    if (is_opcode(value, LLVMOr) || is_opcode(value, LLVMAdd) || is_opcode(value, LLVMShl))
        return find_max_of_two(value, depth, out);
    return is_constant(value, out);
}

/* Of how many low bits it is known that they are zero. */
static uint64_t
find_zeros(LLVMValueRef value)
{
    uint64_t count;

    return is_opcode(value, LLVMShl) && is_constant(LLVMGetOperand(value, 1), &count) &&
                   count < LLVMGetIntTypeWidth(LLVMTypeOf(value))
               ? count
               : 0;
}

static void
mark(LLVMBuilderRef builder, LLVMValueRef value)
{
    uint64_t max;

    (void)builder;
    if (!is_opcode(value, LLVMOr) || LLVMGetTypeKind(LLVMTypeOf(value)) != LLVMIntegerTypeKind)
        return;
    for (unsigned side = 0; side < 2; side++)
        if (find_zeros(LLVMGetOperand(value, side)) != 0 &&
            find_max(LLVMGetOperand(value, 1 - side), 0, &max) &&
            max >> find_zeros(LLVMGetOperand(value, side)) == 0)
            LLVMSetIsDisjoint(value, true);
}

void
unit_mark_disjoint(struct unit *unit)
{
    unit_visit(unit, mark);
}
