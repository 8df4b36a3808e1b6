/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.atomic.wait and notify of a Faaslet with one thread: nobody else can
 * wake it, so a wait ends by its time.
 */
#include <string.h>

#include "base/clock.h"
#include "faaslet/faaslet_internal.h"

enum {
    WAIT_NOT_EQUAL = 1,
    WAIT_TIMED_OUT = 2,
};

/* scratch[0]: 1 once waiting; scratch[1]: until when. */
static enum faaslet_verdict
wait_value(struct faaslet *faaslet, bool is_equal)
{
    struct faaslet_call *call = &faaslet->call;
    int64_t timeout_ns = (int64_t)call->args[2];
    uint64_t now = clock_now_ns();

    if (call->scratch[0] == 0) {
        if (!is_equal) {
            call->args[0] = WAIT_NOT_EQUAL;
            return FAASLET_CALL_DONE;
        }
        call->scratch[0] = 1;
        call->scratch[1] = timeout_ns < 0 || (uint64_t)timeout_ns > CLOCK_NEVER_NS - 1 - now
                               ? CLOCK_NEVER_NS
                               : now + (uint64_t)timeout_ns;
    }
    if (now >= call->scratch[1]) {
        call->args[0] = WAIT_TIMED_OUT;
        return FAASLET_CALL_DONE;
    }
    call->wait->deadline_ns = call->scratch[1];
    return FAASLET_CALL_PENDING;
}

enum faaslet_verdict
wait_call(struct faaslet *faaslet, uint32_t number)
{
    struct abi_context *context = context_at(faaslet, faaslet->stand.stop_context);
    const struct abi_memory *memory = memory_of(faaslet, context);
    struct faaslet_call *call = &faaslet->call;
    uint64_t size = number == ABI_CALL_WAIT64 ? sizeof(uint64_t) : sizeof(uint32_t);
    uint64_t value = 0;
    const void *place;

    call->trap = ABI_TRAP_HOST;
    call->message = "unknown call";
    if (memory == NULL || number < ABI_CALL_WAIT32 || number > ABI_CALL_NOTIFY)
        return FAASLET_CALL_TRAP;
    call->message = NULL;
    call->args = context->args;
    call->memory = offset_at(faaslet, memory->base);
    call->memory_bytes = memory->pages * ABI_PAGE_BYTES;
    call->trap = ABI_TRAP_MEMORY_BOUNDS;
    place = faaslet_call_view(call, call->args[0], size);
    if (place == NULL)
        return faaslet->absent.share != NULL ? FAASLET_CALL_ABSENT : FAASLET_CALL_TRAP;
    call->trap = ABI_TRAP_UNALIGNED_ATOMIC;
    if (call->args[0] % size != 0)
        return FAASLET_CALL_TRAP;
    if (number == ABI_CALL_NOTIFY) {
        call->args[0] = 0;
        return FAASLET_CALL_DONE;
    }
    call->trap = ABI_TRAP_EXPECTED_SHARED_MEMORY;
    if (!memory->is_shared)
        return FAASLET_CALL_TRAP;
    (void)memcpy(&value, place, size);
    return wait_value(faaslet, size == sizeof(uint32_t) ? (uint32_t)value == (uint32_t)call->args[1]
                                                        : value == call->args[1]);
}
