/* SPDX-License-Identifier: Apache-2.0
 *
 * The stress mode, which proves laws 1 to 3: a Faaslet is moved in the middle of
 * its host calls, and what is frozen is searched for addresses.
 *
 * Searched are the stack, the contexts and the process record: 8-byte words at
 * multiples of 8. Not linear memory: what a guest computes there is its own.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "faaslet/faaslet_internal.h"

#define MAPPINGS_MAX       4096u
#define MAPPING_BYTES_MAX  (UINT64_C(1) << 30) /* sanitizers' shadows are no data of ours */
#define MOVES_PER_MAPPINGS 256u                /* how often the list is made anew */
#define LINE_BYTES_MAX     512u
#define STAND_NS_MAX       20000000u /* for all threads of a process to stand */
#define MOMENT_NS          20000

unsigned stress_every;

static atomic_uint calls_seen;
static atomic_ullong moves_done, moves_skipped;

struct mapping {
    uint64_t first, end;
};

static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mapping mappings[MAPPINGS_MAX]; /* guarded by mappings_lock */
static unsigned mapping_count;                /* guarded by mappings_lock */
static unsigned mappings_age = MOVES_PER_MAPPINGS;

void
faaslet_stress(unsigned every_calls)
{
    stress_every = every_calls;
}

uint64_t
faaslet_stress_moves(void)
{
    return atomic_load(&moves_done);
}

uint64_t
faaslet_stress_skips(void)
{
    return atomic_load(&moves_skipped);
}

bool
stress_is_due(void)
{
    return (atomic_fetch_add_explicit(&calls_seen, 1, memory_order_relaxed) + 1) % stress_every ==
           0;
}

/* --------------------------------------------------------------------- checking */

/* Readable mappings of this process, but images and what is too large. */
static void
read_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    char line[LINE_BYTES_MAX];

    if (file == NULL)
        return;
    mapping_count = 0;
    while (fgets(line, sizeof(line), file) != NULL && mapping_count < MAPPINGS_MAX) {
        uint64_t first, end;
        char access[8];

        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &first, &end, access) != 3 ||
            access[0] != 'r' || end - first > MAPPING_BYTES_MAX ||
            (first >= ABI_IMAGE_ADDRESS_FIRST && end <= ABI_IMAGE_ADDRESS_END))
            continue;
        mappings[mapping_count++] = (struct mapping){first, end};
    }
    (void)fclose(file);
}

static bool
is_mapped(uint64_t word)
{
    unsigned first = 0, end = mapping_count;

    while (first < end) {
        unsigned middle = first + (end - first) / 2;

        if (mappings[middle].end <= word)
            first = middle + 1;
        else
            end = middle;
    }
    return first < mapping_count && word >= mappings[first].first;
}

/* Whether the word is an address of something in the slot, or less than a page past
 * it. Not of the whole reservation: that of 64 memories is so large that a counter of
 * the guest's beside a zero is soon an address in the middle of nothing. */
static bool
is_in_slot(const struct faaslet *faaslet, uint64_t word)
{
    const struct mem_slot *slot = faaslet->slot;
    uint64_t origin = (uint64_t)mem_slot_origin(slot);
    uint64_t window_bytes = (uint64_t)mem_window_offset(1);
    uint64_t below = faaslet->mode == ABI_LINKED ? (uint64_t)-faaslet->below_next
                                                 : origin - mem_slot_first(slot);

    if (word < origin - below || word >= mem_slot_end(slot))
        return false;
    return word < origin ||
           (word - origin) % window_bytes <
               mem_window_bytes(slot, (unsigned)((word - origin) / window_bytes)) + ABI_PAGE_BYTES;
}

/* What a word points into, or NULL. Nothing of a position-independent program is
 * below 4 GiB, except a page of AddressSanitizer's; the i32 values of guests are. */
static const char *
points_into(const struct faaslet *faaslet, uint64_t word)
{
    if (word >> 32 == 0 || word >> 47 != 0)
        return NULL;
    if (is_in_slot(faaslet, word))
        return "the slot";
    if (word >= faaslet->stack.guard_first && word < faaslet->stack.top)
        return "the stack";
    return is_mapped(word) ? "memory of the host" : NULL;
}

static void
check_words(const struct faaslet *faaslet, const char *what, const void *bytes, size_t count)
{
    for (size_t i = 0; i + sizeof(uint64_t) <= count; i += sizeof(uint64_t)) {
        const char *target;
        uint64_t word;

        (void)memcpy(&word, (const uint8_t *)bytes + i, sizeof(word));
        target = points_into(faaslet, word);
        if (target == NULL)
            continue;
        (void)fprintf(stderr,
                      "weft: broken promise: a frozen Faaslet holds an address: 0x%" PRIx64
                      " in its %s at byte %zu points into %s\n",
                      word, what, i, target);
        abort();
    }
}

/* Not looked at: the arrays of 32-bit counts and type numbers, two of which
 * beside each other may look like any address. */
static void
check_context(const struct faaslet *faaslet, uint32_t instance)
{
    const struct abi_layout *layout = &faaslet->instances[instance]->image->abi.meta->layout;
    const uint8_t *context = offset_at(faaslet, faaslet->contexts[instance]);
    size_t head = offsetof(struct abi_context, call);
    const size_t ranges[][2] = {{head, layout->tables}, /* stack pointers are before it */
                                {layout->functions, layout->type_ids},
                                {layout->tag_offsets, layout->context_bytes}};

    for (size_t i = 0; i < ARRAY_COUNT(ranges); i++)
        check_words(faaslet, "context", context + ranges[i][0], ranges[i][1] - ranges[i][0]);
}

static void
check_thread(const struct faaslet *thread, const struct buffer *stack)
{
    const struct abi_layout *layout = &thread->instances[0]->image->abi.meta->layout;
    const uint8_t *context = offset_at(thread, thread->stand.stop_context);
    size_t head = offsetof(struct abi_context, call);

    check_words(thread, "stack", stack->bytes, stack->count);
    check_words(thread, "scratch", thread->stand.scratch, sizeof(thread->stand.scratch));
    check_words(thread, "context", context + head, layout->tables - head);
}

static void
check_frozen(const struct faaslet *faaslet, const struct faaslet_frozen *frozen)
{
    (void)pthread_mutex_lock(&mappings_lock);
    if (++mappings_age >= MOVES_PER_MAPPINGS) {
        read_mappings();
        mappings_age = 0;
    }
    check_words(faaslet, "stack", frozen->stack.bytes, frozen->stack.count);
    check_words(faaslet, "process record", frozen->process.bytes, frozen->process.count);
    check_words(faaslet, "scratch", frozen->state.stand.scratch,
                sizeof(frozen->state.stand.scratch));
    for (uint32_t i = 0; i < faaslet->instance_count; i++)
        check_context(faaslet, i);
    for (uint32_t i = 0; i < frozen->thread_count; i++)
        check_thread(faaslet_thread(faaslet, i + 1), &frozen->threads[i].stack);
    (void)pthread_mutex_unlock(&mappings_lock);
}

/* ----------------------------------------------------------------------- moving */

static int
move_process(const struct faaslet_frozen *frozen, struct faaslet *faaslet)
{
    const struct faaslet_process_ops *ops = faaslet->config.ops;
    void *process;
    int err;

    if (!frozen->has_process)
        return 0;
    err = ops->thaw(frozen->process.bytes, frozen->process.count, &process);
    if (err != 0)
        return err;
    if (faaslet->process_is_own)
        ops->destroy(faaslet->config.process);
    faaslet->config.process = process;
    faaslet->process_is_own = true;
    return 0;
}

/* All of it: the first thread and those that stand beside it. */
static bool
move_all(struct faaslet *faaslet)
{
    struct mem_slot *old = faaslet->slot;
    struct faaslet_frozen *frozen;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = faaslet_freeze(faaslet, &frozen, &diag);
    /* Out of descriptors or memory, or in the middle of its code where it cannot be frozen: it
     * stays where it is. */
    if (err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EBUSY)
        return false;
    ASSERT(err == 0);
    check_frozen(faaslet, frozen);
    err = move_process(frozen, faaslet);
    ASSERT(err == 0);
    mem_stack_destroy(&faaslet->stack);
    faaslet->slot = NULL;
    err = frozen_restore(frozen, true, faaslet);
    ASSERT(err == 0);
    err = share_move(faaslet, old); /* nobody else knows that it moved */
    ASSERT(err == 0);
    mem_slot_destroy(old);
    faaslet_frozen_destroy(frozen);
    return true;
}

/* With nobody else at its memory meanwhile. */
static bool
move_unseen(struct faaslet *faaslet)
{
    const struct faaslet_process_ops *ops = faaslet->config.ops;
    bool is_seen = ops != NULL && ops->away != NULL && faaslet->config.process != NULL, is_done;

    if (is_seen)
        ops->away(faaslet->config.process);
    is_done = move_all(faaslet);
    if (is_seen)
        ops->settle(faaslet->config.process, faaslet);
    return is_done;
}

/* ------------------------------------------------------------------ several threads */

static void
wait_a_moment(void)
{
    const struct timespec moment = {.tv_nsec = MOMENT_NS};

    (void)nanosleep(&moment, NULL);
}

static bool
is_standing(const struct faaslet *thread)
{
    return (atomic_load(&thread->held) & HELD_BY_MOVE) != 0 && atomic_load(&thread->runner) == 0 &&
           faaslet_is_plain(thread);
}

/* Of the threads beside it, one that does not stand yet, or NULL. Under the lock. */
static struct faaslet *
find_moving(const struct space *space, const struct faaslet *me)
{
    for (uint32_t i = 0; i < atomic_load(&space->count); i++)
        if (space->threads[i] != me && !is_standing(space->threads[i]))
            return space->threads[i];
    return NULL;
}

/* True: all stand, and the lock is held. One that is off its host thread where it cannot be
 * frozen runs on for a moment. */
static bool
others_stand(struct space *space, const struct faaslet *me)
{
    uint64_t end = clock_now_ns() + STAND_NS_MAX;
    struct faaslet *thread;

    for (;;) {
        (void)pthread_mutex_lock(&space->lock);
        for (uint32_t i = 0; i < atomic_load(&space->count); i++)
            if (space->threads[i] != me &&
                (atomic_load(&space->threads[i]->held) & HELD_BY_MOVE) == 0)
                thread_hold(space->threads[i], HELD_BY_MOVE);
        thread = find_moving(space, me);
        if (thread == NULL)
            return true;
        if (atomic_load(&thread->runner) == 0)
            thread_release(thread, HELD_BY_MOVE);
        (void)pthread_mutex_unlock(&space->lock);
        if (clock_now_ns() > end)
            return false;
        wait_a_moment();
    }
}

static void
others_go_on(struct space *space, const struct faaslet *me)
{
    (void)pthread_mutex_lock(&space->lock);
    for (uint32_t i = 0; i < atomic_load(&space->count); i++)
        if (space->threads[i] != me)
            thread_release(space->threads[i], HELD_BY_MOVE);
    (void)pthread_mutex_unlock(&space->lock);
}

/* Two threads may want it at one time: one gives way. */
static bool
move_with_others(struct space *space, const struct faaslet *me)
{
    bool is_done;

    if (pthread_mutex_trylock(&space->move_lock) != 0)
        return false;
    is_done = others_stand(space, me);
    if (is_done) {
        is_done = move_unseen(space->threads[0]);
        (void)pthread_mutex_unlock(&space->lock);
    }
    others_go_on(space, me);
    (void)pthread_mutex_unlock(&space->move_lock);
    return is_done;
}

void
stress_move(struct faaslet *faaslet)
{
    bool is_done = thread_count(faaslet) > 1 ? move_with_others(faaslet->space, faaslet)
                                             : move_unseen(first_of(faaslet));

    if (!is_done) {
        (void)atomic_fetch_add(&moves_skipped, 1);
        return;
    }
    faaslet->call.process = faaslet_process(faaslet);
    runner_set_gs(faaslet->origin);
    (void)atomic_fetch_add(&moves_done, 1);
}
