/* SPDX-License-Identifier: Apache-2.0
 *
 * Short sums inside longer ones.
 *
 * The vectoriser starts a sum with its value so far in lane 0 of a vector. In a
 * loop of one step (sixteen bytes of a row, say) this puts a move into a vector
 * register and the whole horizontal sum on the path from one row to the next:
 *
 *      %v = add %terms, insertelement(<poison, 0, 0, ...>, %sum, 0)
 *      %s = vector.reduce.add(%v)
 *
 * The same, with only one scalar addition on that path:
 *
 *      %s = add %sum, vector.reduce.add(%terms)
 */
#include <string.h>

#include "compile/compile_internal.h"

#define DEPTH 8 /* additions looked through, from the sum towards its terms */

/* `vector` is zero but for lane `lane`, which does not matter. */
static bool
is_zero_beside(LLVMValueRef vector, unsigned lane)
{
    unsigned lanes = LLVMGetVectorSize(LLVMTypeOf(vector));

    for (unsigned i = 0; i < lanes; i++) {
        LLVMValueRef element = LLVMGetAggregateElement(vector, i);

        if (i != lane && (element == NULL || !LLVMIsNull(element)))
            return false;
    }
    return true;
}

/* The scalar of a vector that holds one scalar and zeros, or NULL. */
static LLVMValueRef
lone_scalar(LLVMValueRef value)
{
    LLVMValueRef lane;

    if (LLVMIsAInsertElementInst(value) == NULL)
        return NULL;
    lane = LLVMGetOperand(value, 2);
    if (LLVMIsAConstantInt(lane) == NULL || !LLVMIsConstant(LLVMGetOperand(value, 0)) ||
        !is_zero_beside(LLVMGetOperand(value, 0), (unsigned)LLVMConstIntGetZExtValue(lane)))
        return NULL;
    return LLVMGetOperand(value, 1);
}

static bool
is_used_once(LLVMValueRef value)
{
    LLVMUseRef use = LLVMGetFirstUse(value);

    return use != NULL && LLVMGetNextUse(use) == NULL;
}

static bool
is_addition(LLVMValueRef value)
{
    return LLVMIsABinaryOperator(value) != NULL && LLVMGetInstructionOpcode(value) == LLVMAdd &&
           is_used_once(value);
}

/* Takes the first lone scalar out of a tree of additions; NULL if there is none. */
static LLVMValueRef
take_scalar(LLVMValueRef sum)
{
    LLVMValueRef open[DEPTH + 1] = {sum};
    size_t count = 1;

    for (size_t at = 0; at < count; at++) {
        if (!is_addition(open[at]))
            continue;
        LLVMSetNSW(open[at], false); /* it was true of the sum with the scalar */
        LLVMSetNUW(open[at], false);
        for (unsigned side = 0; side < 2; side++) {
            LLVMValueRef scalar = lone_scalar(LLVMGetOperand(open[at], side));

            if (scalar != NULL) {
                LLVMSetOperand(open[at], side, LLVMConstNull(LLVMTypeOf(sum)));
                return scalar;
            }
            if (count < DEPTH)
                open[count++] = LLVMGetOperand(open[at], side);
        }
    }
    return NULL;
}

static bool
is_sum(LLVMValueRef instruction)
{
    static const char prefix[] = "llvm.vector.reduce.add.";
    LLVMValueRef callee =
        LLVMIsACallInst(instruction) != NULL ? LLVMGetCalledValue(instruction) : NULL;
    size_t size;

    return callee != NULL && LLVMIsAFunction(callee) != NULL &&
           strncmp(LLVMGetValueName2(callee, &size), prefix, strlen(prefix)) == 0;
}

static void
split(LLVMBuilderRef builder, LLVMValueRef sum)
{
    LLVMValueRef total, scalar;

    if (!is_sum(sum))
        return;
    scalar = take_scalar(LLVMGetOperand(sum, 0));
    if (scalar == NULL)
        return;
    /* Built as x + x: the total must not replace itself. */
    LLVMPositionBuilderBefore(builder, LLVMGetNextInstruction(sum));
    total = LLVMBuildAdd(builder, scalar, scalar, "");
    LLVMReplaceAllUsesWith(sum, total);
    LLVMSetOperand(total, 1, sum);
}

void
unit_split_sums(struct unit *unit)
{
    unit_visit(unit, split);
}
