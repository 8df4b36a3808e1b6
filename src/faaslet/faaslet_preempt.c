/* SPDX-License-Identifier: Apache-2.0
 *
 * All registers of a guest that was taken off in the middle of its code.
 *
 * The kernel has written them for the signal handler: a struct ucontext, which
 * points at the floating point part (XSAVE area). Going on is rt_sigreturn with a
 * copy of both, on any thread: only the place of the floating point part and the
 * signal stack are the thread's.
 */
#include <errno.h>
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
#define RED_ZONE     128u /* below rsp compiled code may have something */

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

/* ---------------------------------------------------------------------- plain data */

/* What is kept of one: the registers as the kernel left them, without places of this process. */
struct frozen_machine {
    uint64_t sp; /* distance from the stack's top */
    uint32_t call, float_bytes;
    uint8_t registers[sizeof(((struct machine *)0)->registers)];
    /* then the floating point part */
};

static bool
is_inside(uint64_t word, uint64_t first, uint64_t end)
{
    return word >= first && word < end;
}

/* Law 1 says that code has no address of its slot. Of its stack it has one for a moment where
 * a large frame is probed; of the host's where a helper is about to be called. */
static bool
is_plain_word(const struct faaslet *faaslet, uint64_t word)
{
    return !is_inside(word, faaslet->stack.guard_first, faaslet->stack.top + 1) &&
           !is_inside(word, (uint64_t)faaslet_thunk_memory_grow, (uint64_t)faaslet_thunk_end);
}

bool
machine_is_plain(const struct faaslet *faaslet)
{
    const struct machine *machine = faaslet->machine;
    const ucontext_t *from = (const ucontext_t *)machine->registers;
    const greg_t *r = from->uc_mcontext.gregs;
    uint64_t word;

    if (faaslet_image_at(faaslet, (uint64_t)r[REG_RIP]) == NULL ||
        !is_inside((uint64_t)r[REG_RSP], faaslet->stack.first + RED_ZONE, faaslet->stack.top + 1))
        return false;
    for (int i = REG_R8; i <= REG_RCX; i++) /* all general ones but rsp, which is next */
        if (!is_plain_word(faaslet, (uint64_t)r[i]))
            return false;
    for (size_t i = 0; i + sizeof(word) <= machine->float_bytes; i += sizeof(word)) {
        (void)memcpy(&word, machine->floats + i, sizeof(word));
        if (!is_plain_word(faaslet, word))
            return false;
    }
    return true;
}

uint64_t
machine_stack_first(const struct machine *machine)
{
    const ucontext_t *from = (const ucontext_t *)machine->registers;

    return (uint64_t)from->uc_mcontext.gregs[REG_RSP] - RED_ZONE;
}

void
machine_freeze(const struct machine *machine, uint64_t top, struct buffer *out)
{
    struct frozen_machine frozen = {.call = machine->call,
                                    .float_bytes = (uint32_t)machine->float_bytes};
    struct kernel_ucontext kept;

    (void)memcpy(frozen.registers, machine->registers, sizeof(frozen.registers));
    (void)memcpy(&kept, machine->registers, sizeof(kept));
    frozen.sp = top - (uint64_t)kept.machine.gregs[REG_RSP];
    kept.machine.gregs[REG_RSP] = 0;
    kept.machine.gregs[REG_CR2] = 0;
    kept.machine.fpregs = NULL;
    kept.link = NULL;
    kept.stack = (stack_t){0};
    (void)memcpy(frozen.registers, &kept, sizeof(kept));
    buffer_append(out, &frozen, sizeof(frozen));
    buffer_append(out, machine->floats, machine->float_bytes);
}

int
machine_thaw(const struct buffer *bytes, uint64_t top, struct machine **out)
{
    struct frozen_machine frozen;
    struct machine *machine;
    ucontext_t *to;

    if (bytes->count < sizeof(frozen))
        return -EINVAL;
    (void)memcpy(&frozen, bytes->bytes, sizeof(frozen));
    machine = machine_new();
    if (machine == NULL)
        return -ENOMEM;
    if (frozen.float_bytes != bytes->count - sizeof(frozen) ||
        frozen.float_bytes > machine->room) { /* another processor's */
        free(machine);
        return -EINVAL;
    }
    machine->call = frozen.call;
    machine->float_bytes = frozen.float_bytes;
    (void)memcpy(machine->registers, frozen.registers, sizeof(machine->registers));
    (void)memcpy(machine->floats, bytes->bytes + sizeof(frozen), frozen.float_bytes);
    to = (ucontext_t *)machine->registers;
    to->uc_mcontext.gregs[REG_RSP] = (greg_t)(top - frozen.sp);
    *out = machine;
    return 0;
}
