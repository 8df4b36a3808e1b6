/* SPDX-License-Identifier: Apache-2.0
 *
 * Exceptions: from the throwing frame outwards to the first landing pad. The code
 * there compares tags itself, and throws again what it does not catch.
 */
#include <string.h>

#include "faaslet/faaslet_internal.h"

#define FRAMES_MAX (1u << 22) /* more than a stack holds */

void
registers_of_frame(const struct faaslet *faaslet, int64_t context, struct guest_registers *out)
{
    uint64_t sp = context_at(faaslet, context)->guest_sp;
    const struct abi_frame *frame = (const struct abi_frame *)sp;

    *out = (struct guest_registers){0};
    if (sp < faaslet->stack.first || sp > faaslet->stack.top - sizeof(*frame))
        return;
    *out = (struct guest_registers){
        .pc = frame->pc,
        .sp = sp + sizeof(*frame),
        .rbp = frame->rbp,
        .rbx = frame->rbx,
        .r12 = frame->r12,
        .r13 = frame->r13,
        .r14 = frame->r14,
        .r15 = frame->r15,
    };
}

/* The catching frame may be another instance's; each looks into its own context. */
static void
share_exception(struct faaslet *faaslet, const struct abi_context *from)
{
    for (uint32_t i = 0; i < faaslet->instance_count; i++) {
        struct abi_context *to = context_at(faaslet, faaslet->contexts[i]);

        if (to == from)
            continue;
        to->exception_tag = from->exception_tag;
        (void)memcpy(to->exception_args, from->exception_args, sizeof(to->exception_args));
    }
}

static void
resume_at(struct faaslet *faaslet, int64_t context, const struct guest_registers *registers,
          uint64_t landing)
{
    uint64_t sp = registers->sp - sizeof(struct abi_frame);

    *(struct abi_frame *)sp = (struct abi_frame){
        .r15 = registers->r15,
        .r14 = registers->r14,
        .r13 = registers->r13,
        .r12 = registers->r12,
        .rbx = registers->rbx,
        .rbp = registers->rbp,
        .pc = landing,
    };
    context_at(faaslet, context)->guest_sp = sp;
}

bool
throw_exception(struct faaslet *faaslet, int64_t context)
{
    struct guest_registers registers;

    registers_of_frame(faaslet, context, &registers);
    for (unsigned i = 0; i < FRAMES_MAX; i++) {
        uint64_t args_bytes = 0;
        uint64_t landing = unwind_landing(faaslet, &registers, &args_bytes);

        if (landing != 0 && faaslet_image_at(faaslet, landing) != NULL) {
            registers.sp += args_bytes;
            share_exception(faaslet, context_at(faaslet, context));
            resume_at(faaslet, context, &registers, landing);
            return true;
        }
        if (!unwind_step(faaslet, &registers))
            return false;
    }
    return false;
}
