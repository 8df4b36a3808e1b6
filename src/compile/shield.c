/* SPDX-License-Identifier: Apache-2.0
 *
 * Shields around what LLVM 19 is known to get wrong: values that pass one are the
 * same, but LLVM does not see where they come from.
 */
#include <string.h>

#include "compile/compile_internal.h"

typedef LLVMValueRef (*shield_fn)(LLVMBuilderRef builder, LLVMValueRef value);

/* Puts a shield between an instruction and all that use its result. */
static void
shield_result(LLVMBuilderRef builder, LLVMValueRef instruction, shield_fn make)
{
    LLVMValueRef shield;

    LLVMPositionBuilderBefore(builder, LLVMGetNextInstruction(instruction));
    shield = make(builder, instruction);
    LLVMReplaceAllUsesWith(instruction, shield);
    LLVMSetOperand(shield, 0, instruction);
}

/* --------------------------------------------------------------- converted floats */

/* InstCombine makes a minimum or maximum of a choice between a constant and a
 * converted number, and then chooses zero where the number is minus zero. It wants
 * the conversion itself to be chosen. Here: where a choice may follow, and the number
 * is compared with zero. (`weft cc` programs have none: clang has chosen before.) */

static LLVMValueRef
make_opaque(LLVMBuilderRef builder, LLVMValueRef value)
{
    LLVMTypeRef type = LLVMTypeOf(value);
    LLVMTypeRef function = LLVMFunctionType(type, &type, 1, 0);
    LLVMValueRef code =
        LLVMGetInlineAsm(function, "", 0, "=x,0", 4, 0, 0, LLVMInlineAsmDialectATT, 0);

    return LLVMBuildCall2(builder, function, code, &value, 1, "");
}

static bool
is_zero(LLVMValueRef value)
{
    LLVMBool is_inexact;

    return LLVMIsAConstantFP(value) != NULL && LLVMConstRealGetDouble(value, &is_inexact) == 0;
}

static bool
is_compared_with_zero(LLVMValueRef value)
{
    for (LLVMUseRef use = LLVMGetFirstUse(value); use != NULL; use = LLVMGetNextUse(use)) {
        LLVMValueRef user = LLVMGetUser(use);

        if (LLVMIsAFCmpInst(user) != NULL &&
            (is_zero(LLVMGetOperand(user, 0)) || is_zero(LLVMGetOperand(user, 1))))
            return true;
    }
    return false;
}

static bool
may_be_chosen(LLVMValueRef value)
{
    for (LLVMUseRef use = LLVMGetFirstUse(value); use != NULL; use = LLVMGetNextUse(use)) {
        LLVMValueRef user = LLVMGetUser(use);

        if (LLVMIsASelectInst(user) != NULL || LLVMIsAPHINode(user) != NULL)
            return true;
    }
    return false;
}

static void
shield_conversion(LLVMBuilderRef builder, LLVMValueRef instruction)
{
    if ((LLVMIsAFPExtInst(instruction) != NULL || LLVMIsAFPTruncInst(instruction) != NULL) &&
        may_be_chosen(instruction) && is_compared_with_zero(LLVMGetOperand(instruction, 0)))
        shield_result(builder, instruction, make_opaque);
}

void
unit_shield_conversions(struct unit *unit)
{
    unit_visit(unit, shield_conversion);
}

/* --------------------------------------------------------------------- atomics */

static LLVMValueRef
make_freeze(LLVMBuilderRef builder, LLVMValueRef value)
{
    return LLVMBuildFreeze(builder, value, "");
}

/* LLVM's x86 backend makes bit tests and flag arithmetic of an atomic operation
 * whose result is only tested or compared, and forgets the address space on the
 * way (emitBitTestAtomicRMWIntrinsic and emitCmpArithAtomicRMWIntrinsic of LLVM
 * 19): the guest's offset would become an address of the host. It looks at the
 * user of the result; a freeze is none that it knows. */
static void
shield_atomic(LLVMBuilderRef builder, LLVMValueRef instruction)
{
    /* Without anything that looks at the result it is a locked instruction. */
    if (LLVMIsAAtomicRMWInst(instruction) != NULL && LLVMGetFirstUse(instruction) != NULL)
        shield_result(builder, instruction, make_freeze);
}

void
unit_shield_atomics(struct unit *unit)
{
    unit_visit(unit, shield_atomic);
}
