/* SPDX-License-Identifier: Apache-2.0
 *
 * All registers of a guest that was taken off in the middle of its code.
 *
 * The kernel has written them for the signal handler: a struct ucontext, which
 * points at the floating point part (XSAVE area). Going on is rt_sigreturn with a
 * copy of both, on any thread: only the place of the floating point part and the
 * signal stack are the thread's.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>

#include "base/assert.h"
#include "faaslet/faaslet_internal.h"

#define XSAVE_ALIGN  64u
#define LEGACY_BYTES 512u
#define MAGIC1       0x46505853u /* FP_XSTATE_MAGIC1, in the legacy part's reserved bytes */
#define MAGIC1_AT    464u

/* From the kernel's view: ucontext_t of the C library is longer. */
struct kernel_ucontext {
    unsigned long flags;
    struct kernel_ucontext *link;
    stack_t stack;
    mcontext_t machine; /* the kernel's sigcontext: 23 registers, pointer, 8 words */
};

struct machine {
    uint8_t registers[sizeof(struct kernel_ucontext) + sizeof(uint64_t)]; /* and the mask */
    size_t float_bytes;
    uint32_t call; /* context.call, which leaving overwrites */
    size_t room;
    uint8_t *floats; /* inside this allocation */
};

struct machine *
machine_new(void)
{
    size_t room = getauxval(AT_MINSIGSTKSZ);
    struct machine *machine;

    room = ROUND_UP(room > 4096 ? room : 4096, (size_t)XSAVE_ALIGN);
    machine = aligned_alloc(XSAVE_ALIGN, ROUND_UP(sizeof(*machine), (size_t)XSAVE_ALIGN) + room);
    if (machine == NULL)
        return NULL;
    machine->room = room;
    machine->floats = (uint8_t *)machine + ROUND_UP(sizeof(*machine), (size_t)XSAVE_ALIGN);
    return machine;
}

/* Bytes of the floating point part: what the kernel says in its reserved words. */
static size_t
float_bytes_of(const uint8_t *floats)
{
    uint32_t words[2];

    (void)memcpy(words, floats + MAGIC1_AT, sizeof(words));
    return words[0] == MAGIC1 ? words[1] : LEGACY_BYTES;
}

bool
machine_save(struct machine *machine, const void *ucontext, uint32_t call)
{
    const ucontext_t *from = ucontext;
    const uint8_t *floats = (const uint8_t *)from->uc_mcontext.fpregs;

    machine->call = call;
    machine->float_bytes = floats == NULL ? 0 : float_bytes_of(floats);
    if (machine->float_bytes > machine->room)
        return false;
    (void)memcpy(machine->registers, ucontext, sizeof(machine->registers));
    if (floats != NULL)
        (void)memcpy(machine->floats, floats, machine->float_bytes);
    return true;
}

const void *
machine_ready(struct machine *machine, struct abi_context *context)
{
    ucontext_t *to = (ucontext_t *)machine->registers;
    int err = sigaltstack(NULL, &to->uc_stack);

    ASSERT(err == 0);
    to->uc_mcontext.fpregs =
        machine->float_bytes > 0 ? (struct _libc_fpstate *)machine->floats : NULL;
    context->call = machine->call;
    return machine->registers;
}
