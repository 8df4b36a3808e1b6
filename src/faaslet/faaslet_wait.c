/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.atomic.wait and notify.
 *
 * A thread that waits is PENDING and in a list by address, first come first served. Comparing
 * and entering the list are one under wait_lock, which notify takes: no wake is lost. Where it
 * stands is in its scratch, as plain data: what it waits for (its arguments) and whether it was
 * woken already, so that a thawed process makes its lists anew.
 */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "faaslet/faaslet_internal.h"

enum {
    WAIT_WOKEN = 0,
    WAIT_NOT_EQUAL = 1,
    WAIT_TIMED_OUT = 2,
};

/* scratch[0]; scratch[1]: until when. */
enum {
    STANDS_NEW = 0,
    STANDS_WAITING = 1,
    STANDS_WOKEN = 2,
};

#define WOKEN_AT_ONCE 64u

/* ----------------------------------------------------------------------------- lists */

static struct wait_bucket *
bucket_of(struct space *space, uint64_t address)
{
    return &space->buckets[(address >> 2 ^ address >> 8) % WAIT_BUCKETS];
}

static void
enter_list(struct space *space, struct faaslet *faaslet)
{
    struct wait_bucket *bucket = bucket_of(space, faaslet->wait_address);

    ASSERT(!faaslet->is_listed);
    faaslet->wait_next = NULL;
    faaslet->wait_previous = bucket->last;
    if (bucket->last != NULL)
        bucket->last->wait_next = faaslet;
    else
        bucket->first = faaslet;
    bucket->last = faaslet;
    faaslet->is_listed = true;
}

static void
leave_list(struct space *space, struct faaslet *faaslet)
{
    struct wait_bucket *bucket = bucket_of(space, faaslet->wait_address);

    if (faaslet->wait_previous != NULL)
        faaslet->wait_previous->wait_next = faaslet->wait_next;
    else
        bucket->first = faaslet->wait_next;
    if (faaslet->wait_next != NULL)
        faaslet->wait_next->wait_previous = faaslet->wait_previous;
    else
        bucket->last = faaslet->wait_previous;
    faaslet->wait_next = faaslet->wait_previous = NULL;
    faaslet->is_listed = false;
}

void
waiter_forget(struct faaslet *faaslet)
{
    struct space *space = faaslet->space;

    if (space == NULL)
        return;
    (void)pthread_mutex_lock(&space->wait_lock);
    if (faaslet->is_listed)
        leave_list(space, faaslet);
    (void)pthread_mutex_unlock(&space->wait_lock);
}

/* ----------------------------------------------------------------------------- asking */

static bool
is_in_wait(const struct faaslet *faaslet)
{
    uint32_t call;

    if (faaslet->stand.state != STATE_CALLING)
        return false;
    call = context_at(faaslet, faaslet->stand.stop_context)->call;
    return call == ABI_CALL_WAIT32 || call == ABI_CALL_WAIT64;
}

bool
waiter_is_for_ever(const struct faaslet *faaslet)
{
    unsigned stop = atomic_load(&faaslet->stop);

    if (stop != STOP_NONE && stop != STOP_PREEMPT)
        return false;
    /* In the list, under its lock: only then what it stands in is not its own business. */
    if (faaslet->space != NULL)
        return faaslet->is_listed && faaslet->stand.scratch[1] == CLOCK_NEVER_NS;
    return is_in_wait(faaslet) && faaslet->stand.scratch[0] == STANDS_WAITING &&
           faaslet->stand.scratch[1] == CLOCK_NEVER_NS;
}

/* Who came first of those that wait and are in no list yet; NULL: none. */
static struct faaslet *
longest_waiting(const struct space *space)
{
    struct faaslet *best = NULL;

    for (uint32_t i = 0; i < atomic_load(&space->count); i++) {
        struct faaslet *thread = space->threads[i];

        if (!thread->is_listed && is_in_wait(thread) &&
            thread->stand.scratch[0] == STANDS_WAITING &&
            (best == NULL || thread->stand.wait_order < best->stand.wait_order))
            best = thread;
    }
    return best;
}

void
waiter_list_all(struct space *space)
{
    struct faaslet *thread;

    (void)pthread_mutex_lock(&space->wait_lock);
    while ((thread = longest_waiting(space)) != NULL) {
        if (thread->stand.wait_order > space->wait_order)
            space->wait_order = thread->stand.wait_order;
        thread->wait_address = context_at(thread, thread->stand.stop_context)->args[0];
        enter_list(space, thread);
    }
    (void)pthread_mutex_unlock(&space->wait_lock);
}

/* ---------------------------------------------------------------------------- waiting */

static bool
is_equal(const void *place, uint32_t number, uint64_t expected)
{
    if (number == ABI_CALL_WAIT64)
        return __atomic_load_n((const uint64_t *)place, __ATOMIC_SEQ_CST) == expected;
    return __atomic_load_n((const uint32_t *)place, __ATOMIC_SEQ_CST) == (uint32_t)expected;
}

static uint64_t
deadline_after(uint64_t now, int64_t timeout_ns)
{
    if (timeout_ns < 0 || (uint64_t)timeout_ns > CLOCK_NEVER_NS - 1 - now)
        return CLOCK_NEVER_NS;
    return now + (uint64_t)timeout_ns;
}

/* Under wait_lock where there may be other threads. */
static enum faaslet_verdict
wait_value(struct faaslet *faaslet, const void *place, uint32_t number)
{
    struct faaslet_call *call = &faaslet->call;
    struct space *space = faaslet->space;
    uint64_t now = clock_now_ns();
    uint64_t result = WAIT_WOKEN;

    if (call->scratch[0] == STANDS_NEW) {
        if (!is_equal(place, number, call->args[1])) {
            call->args[0] = WAIT_NOT_EQUAL;
            return FAASLET_CALL_DONE;
        }
        call->scratch[0] = STANDS_WAITING;
        call->scratch[1] = deadline_after(now, (int64_t)call->args[2]);
        if (space != NULL) {
            faaslet->stand.wait_order = ++space->wait_order;
            faaslet->wait_address = call->args[0];
            enter_list(space, faaslet);
        }
    }
    if (call->scratch[0] == STANDS_WAITING) {
        if (now < call->scratch[1]) {
            call->wait->deadline_ns = call->scratch[1];
            return FAASLET_CALL_PENDING;
        }
        if (faaslet->is_listed)
            leave_list(space, faaslet);
        result = WAIT_TIMED_OUT;
    }
    call->args[0] = result;
    return FAASLET_CALL_DONE;
}

/* ----------------------------------------------------------------------------- waking */

/* At most so many of them, first come first. */
static uint32_t
take_waiting(struct space *space, uint64_t address, uint32_t count, struct faaslet **woken)
{
    struct faaslet *next;
    uint32_t taken = 0;

    (void)pthread_mutex_lock(&space->wait_lock);
    for (struct faaslet *f = bucket_of(space, address)->first; f != NULL && taken < count;
         f = next) {
        next = f->wait_next;
        if (f->wait_address != address)
            continue;
        leave_list(space, f);
        f->stand.scratch[0] = STANDS_WOKEN;
        woken[taken++] = f;
    }
    (void)pthread_mutex_unlock(&space->wait_lock);
    return taken;
}

/* The owner is told without locks: by then the thread may have found out itself, and ended. */
static uint32_t
notify(struct faaslet *faaslet, uint64_t address, uint32_t count)
{
    const struct faaslet_owner *owner = faaslet->config.owner;
    struct faaslet *woken[WOKEN_AT_ONCE];
    uint32_t total = 0, taken;

    if (faaslet->space == NULL)
        return 0;
    do {
        uint32_t wanted = count - total < WOKEN_AT_ONCE ? count - total : WOKEN_AT_ONCE;

        taken = take_waiting(faaslet->space, address, wanted, woken);
        for (uint32_t i = 0; i < taken && owner != NULL; i++)
            owner->on_wake(woken[i]);
        total += taken;
    } while (taken == WOKEN_AT_ONCE && total < count);
    return total;
}

static enum faaslet_verdict
wait_or_wake(struct faaslet *faaslet, const void *place, uint32_t number)
{
    struct faaslet_call *call = &faaslet->call;
    enum faaslet_verdict verdict;

    if (number == ABI_CALL_NOTIFY) {
        call->args[0] = notify(faaslet, call->args[0], (uint32_t)call->args[1]);
        return FAASLET_CALL_DONE;
    }
    if (faaslet->space == NULL)
        return wait_value(faaslet, place, number);
    (void)pthread_mutex_lock(&faaslet->space->wait_lock);
    verdict = wait_value(faaslet, place, number);
    (void)pthread_mutex_unlock(&faaslet->space->wait_lock);
    return verdict;
}

enum faaslet_verdict
wait_call(struct faaslet *faaslet, uint32_t number)
{
    struct abi_context *context = context_at(faaslet, faaslet->stand.stop_context);
    const struct abi_memory *memory = memory_of(faaslet, context);
    struct faaslet_call *call = &faaslet->call;
    uint64_t size = number == ABI_CALL_WAIT64 ? sizeof(uint64_t) : sizeof(uint32_t);
    const void *place;

    call->trap = ABI_TRAP_HOST;
    call->message = "unknown call";
    if (memory == NULL || number < ABI_CALL_WAIT32 || number > ABI_CALL_NOTIFY)
        return FAASLET_CALL_TRAP;
    call->message = NULL;
    call->args = context->args;
    call->memory = base_of(faaslet, memory);
    call->memory_bytes = pages_of(memory) * ABI_PAGE_BYTES;
    call->wait->fd_count = 0;
    call->trap = ABI_TRAP_MEMORY_BOUNDS;
    place = faaslet_call_view(call, call->args[0], size);
    if (place == NULL)
        return faaslet->absent.share != NULL ? FAASLET_CALL_ABSENT : FAASLET_CALL_TRAP;
    call->trap = ABI_TRAP_UNALIGNED_ATOMIC;
    if (call->args[0] % size != 0)
        return FAASLET_CALL_TRAP;
    call->trap = ABI_TRAP_EXPECTED_SHARED_MEMORY;
    if (!memory->is_shared && number != ABI_CALL_NOTIFY)
        return FAASLET_CALL_TRAP;
    return wait_or_wake(faaslet, place, number);
}
