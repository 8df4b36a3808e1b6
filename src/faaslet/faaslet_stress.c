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

#include "base/assert.h"
#include "faaslet/faaslet_internal.h"

#define MAPPINGS_MAX       4096u
#define MAPPING_BYTES_MAX  (UINT64_C(1) << 30) /* sanitizers' shadows are no data of ours */
#define MOVES_PER_MAPPINGS 256u                /* how often the list is made anew */
#define LINE_BYTES_MAX     512u

unsigned stress_every;

static atomic_uint calls_seen;
static atomic_ullong moves_done;

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
    faaslet->call.process = process;
    return 0;
}

void
stress_move(struct faaslet *faaslet)
{
    struct mem_slot *old = faaslet->slot;
    struct faaslet_frozen *frozen;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = faaslet_freeze(faaslet, &frozen, &diag);
    /* Out of descriptors or memory: it stays where it is. */
    if (err == -ENOMEM || err == -EMFILE || err == -ENFILE)
        return;
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
    runner_set_gs(faaslet->origin);
    (void)atomic_fetch_add(&moves_done, 1);
}
