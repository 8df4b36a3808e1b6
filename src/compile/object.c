/* SPDX-License-Identifier: Apache-2.0
 *
 * From a partition's IR to its object: optimise, let the bases become null,
 * generate.
 */
#include <errno.h>
#include <stdio.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "compile/compile_internal.h"

static int
run_passes(struct unit *unit, const char *passes, struct diag *diag)
{
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error;
    char *text;
    int err = 0;

    LLVMPassBuilderOptionsSetLoopInterleaving(options, 1);
    LLVMPassBuilderOptionsSetLoopVectorization(options, 1);
    LLVMPassBuilderOptionsSetSLPVectorization(options, 1);
    LLVMPassBuilderOptionsSetLoopUnrolling(options, 1);
    error = LLVMRunPasses(unit->llvm, passes, unit->machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (error != NULL) {
        text = LLVMGetErrorMessage(error);
        err = diag_set(diag, -EIO, "LLVM cannot run %s: %s", passes, text);
        LLVMDisposeErrorMessage(text);
    }
    return err;
}

/* Every address was an offset from one of two opaque bases, which the optimiser
 * could not see into. Now they become what they are: offset 0 of the segment. */
static void
lower_base(struct unit *unit, const char *name)
{
    LLVMValueRef base = LLVMGetNamedFunction(unit->llvm, name);
    LLVMValueRef null = LLVMConstNull(unit->types.guest);
    LLVMUseRef use;

    if (base == NULL)
        return; /* never used: the optimiser has removed it */
    while ((use = LLVMGetFirstUse(base)) != NULL) {
        LLVMValueRef call = LLVMGetUser(use);

        LLVMReplaceAllUsesWith(call, null);
        LLVMInstructionEraseFromParent(call);
    }
    LLVMDeleteFunction(base);
}

int
unit_object(struct unit *unit, LLVMMemoryBufferRef *out, struct diag *diag)
{
    /* -O0 too gives locals to registers: on the guest stack their addresses
     * would be absolute (law 1). */
    static const char *const passes[] = {"function(sroa)", "default<O1>", "default<O2>",
                                         "default<O3>"};
    bool is_optimised = unit->plan->options->level > 0;
    char *error = NULL;
    int err = 0;

    if (is_optimised) {
        err = run_passes(unit, passes[0], diag);
        if (unit->has_conversions)
            unit_shield_conversions(unit);
        unit_mark_disjoint(unit);
    }
    if (err == 0 && unit->plan->mode == ABI_THREADED)
        unit_keep_spins(unit);
    if (err == 0)
        err = run_passes(unit, passes[unit->plan->options->level], diag);
    if (err != 0)
        return err;
    unit_split_sums(unit);
    lower_base(unit, UNIT_BASE);
    lower_base(unit, UNIT_FRAME);
    /* Addresses that were an opaque base and a constant are constants now, and
     * additions of nothing go. */
    err = run_passes(unit, "function(instsimplify)", diag);
    if (err != 0)
        return err;
    unit_shield_atomics(unit);
    if (LLVMTargetMachineEmitToMemoryBuffer(unit->machine, unit->llvm, LLVMObjectFile, &error,
                                            out)) {
        err = diag_set(diag, -EIO, "LLVM cannot generate code: %s", error);
        LLVMDisposeMessage(error);
    }
    return err;
}
