/* SPDX-License-Identifier: Apache-2.0
 *
 * Shares in linear memories, and pages of them that are not there.
 *
 * Guest code may touch an absent page anywhere: the fault takes it off as a preemption does
 * (faaslet_signal.c). Host code must not: host functions ask for every range before they use
 * it, so a function that comes upon an absent page has done nothing yet that cannot be done
 * again; what it returned is forgotten and it is called again. Helpers leave as if they were
 * host calls. A page that is there stays there, so looking before touching is enough.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "faaslet/faaslet_internal.h"

const char share_read_only[] = "it writes to a share that is mapped to be read only";

static const struct abi_memory *
memory_of_caller(const struct faaslet *faaslet)
{
    return memory_of(faaslet, context_at(faaslet, faaslet->stand.stop_context));
}

/* -------------------------------------------------------------------------- touching */

/* What of [offset, offset + bytes) of a window is of this share from `at` on. */
static uint64_t
wanted_bytes(const struct faaslet *faaslet, unsigned window, uint64_t end,
             const struct mem_share *share, uint64_t at)
{
    struct mem_place place;

    for (unsigned i = 0; mem_slot_share(faaslet->slot, i, &place); i++) {
        uint64_t first = place.offset + (at - place.share_offset), place_end;

        if (place.window != window || place.share != share || at < place.share_offset ||
            at >= place.share_offset + place.bytes || first >= end)
            continue;
        place_end = place.offset + place.bytes;
        return ROUND_UP((end < place_end ? end : place_end) - first, (uint64_t)ABI_HOST_PAGE_BYTES);
    }
    return ABI_HOST_PAGE_BYTES;
}

static bool
may_touch(struct faaslet *faaslet, const struct abi_memory *memory, uint64_t offset, uint64_t bytes,
          bool is_write)
{
    struct mem_share *share;
    unsigned window;
    uint64_t at;

    if (bytes == 0) /* there may be no memory */
        return true;
    window = window_of(memory);
    if (is_write && !mem_window_is_writable(faaslet->slot, window, offset, bytes))
        return false;
    at = mem_window_absent(faaslet->slot, window, offset, bytes, &share);
    if (at == UINT64_MAX)
        return true;
    faaslet->absent = (struct faaslet_absent){
        .share = share,
        .offset = at,
        .bytes = wanted_bytes(faaslet, window, offset + bytes, share, at),
    };
    return false;
}

bool
share_may_touch(struct faaslet *faaslet, const struct abi_memory *memory, uint64_t offset,
                uint64_t bytes, bool is_write)
{
    bool may;

    space_hold(faaslet->space);
    may = may_touch(faaslet, memory, offset, bytes, is_write);
    space_release(faaslet->space);
    return may;
}

bool
faaslet_call_may_touch(const struct faaslet_call *call, uint64_t offset, uint64_t bytes,
                       bool is_write)
{
    return share_may_touch(call->faaslet, memory_of_caller(call->faaslet), offset, bytes, is_write);
}

const void *
faaslet_call_view(const struct faaslet_call *call, uint64_t offset, uint64_t bytes)
{
    if (offset > call->memory_bytes || bytes > call->memory_bytes - offset ||
        (call->may_lack && !faaslet_call_may_touch(call, offset, bytes, false)))
        return NULL;
    return call->memory + offset;
}

bool
faaslet_call_absent(struct faaslet_call *call, uint64_t offset, uint64_t bytes)
{
    if (!call->may_lack || offset > call->memory_bytes || bytes > call->memory_bytes - offset)
        return false;
    return !faaslet_call_may_touch(call, offset, bytes, false);
}

void
share_keep_call(struct faaslet *faaslet, const struct abi_context *context)
{
    faaslet->absent = (struct faaslet_absent){0};
    (void)memcpy(faaslet->kept->args, context->args, sizeof(faaslet->kept->args));
    (void)memcpy(faaslet->kept->scratch, faaslet->stand.scratch, sizeof(faaslet->kept->scratch));
}

bool
share_undo_call(struct faaslet *faaslet, struct abi_context *context)
{
    if (faaslet->absent.share == NULL)
        return false;
    (void)memcpy(context->args, faaslet->kept->args, sizeof(faaslet->kept->args));
    (void)memcpy(faaslet->stand.scratch, faaslet->kept->scratch, sizeof(faaslet->kept->scratch));
    return true;
}

/* ----------------------------------------------------------------------------- ranges */

static void
remove_range(struct stand *stand, uint32_t number)
{
    stand->given_back[number] = stand->given_back[--stand->given_back_count];
    stand->given_back[stand->given_back_count] = (struct given_back){0};
}

/* Where there are too many the smallest is lost to shares; the guest has it all the same. */
static void
give_back(struct stand *stand, struct given_back range)
{
    uint32_t i = 0;

    while (i < stand->given_back_count) {
        struct given_back *other = &stand->given_back[i];

        if (other->window == range.window && (other->page + other->page_count == range.page ||
                                              range.page + range.page_count == other->page)) {
            range.page = other->page < range.page ? other->page : range.page;
            range.page_count += other->page_count;
            remove_range(stand, i);
            i = 0; /* it may touch one that was passed */
            continue;
        }
        i++;
    }
    if (stand->given_back_count == FAASLET_GIVEN_BACK_MAX) {
        for (uint32_t k = i = 0; k < FAASLET_GIVEN_BACK_MAX; k++)
            if (stand->given_back[k].page_count < stand->given_back[i].page_count)
                i = k;
        if (stand->given_back[i].page_count >= range.page_count)
            return;
        remove_range(stand, i);
    }
    stand->given_back[stand->given_back_count++] = range;
}

/* The tightest of those that are large enough. */
static bool
take_given_back(struct stand *stand, uint32_t window, uint64_t page_count, uint64_t *page)
{
    struct given_back *best = NULL;

    for (uint32_t i = 0; i < stand->given_back_count; i++) {
        struct given_back *range = &stand->given_back[i];

        if (range->window == window && range->page_count >= page_count &&
            (best == NULL || range->page_count < best->page_count))
            best = range;
    }
    if (best == NULL)
        return false;
    *page = best->page;
    best->page += (uint32_t)page_count;
    best->page_count -= (uint32_t)page_count;
    if (best->page_count == 0)
        remove_range(stand, (uint32_t)(best - stand->given_back));
    return true;
}

/* ---------------------------------------------------------------------------- mapping */

/* What a Faaslet with shares needs: where calls are kept, and where this thread saves a guest
 * that comes upon an absent page. */
static int
prepare(struct faaslet *faaslet)
{
    bool is_ready = runner_can_preempt(runner_here());

    space_hold(faaslet->space);
    for (uint32_t i = 0; is_ready && i < thread_count(faaslet); i++) {
        struct faaslet *thread = faaslet_thread(faaslet, i);

        if (thread->kept == NULL)
            thread->kept = calloc(1, sizeof(*thread->kept));
        is_ready = thread->kept != NULL;
    }
    space_release(faaslet->space);
    return is_ready ? 0 : -ENOMEM;
}

/* From now on all its threads look before they touch, where something may be missing. */
static void
set_has_shares(struct faaslet *faaslet, const struct mem_share *share, bool is_writable)
{
    bool may_lack = mem_share_is_lazy(share) || !is_writable;

    space_hold(faaslet->space);
    for (uint32_t i = 0; i < thread_count(faaslet); i++) {
        struct faaslet_call *call = &faaslet_thread(faaslet, i)->call;

        call->has_shares = true;
        call->may_lack |= may_lack;
    }
    space_release(faaslet->space);
}

/* bytes and what they map are checked. */
static int
map_somewhere(struct faaslet *faaslet, struct abi_memory *memory, const struct mem_place *place,
              uint64_t *offset)
{
    uint64_t page_count = ROUND_UP(place->bytes, (uint64_t)ABI_PAGE_BYTES) / ABI_PAGE_BYTES;
    unsigned window = window_of(memory);
    uint64_t page;
    int err;

    if (!take_given_back(&first_of(faaslet)->stand, window, page_count, &page))
        page = memory_grow(faaslet, memory, page_count);
    if (page == UINT64_MAX)
        return -ENOMEM;
    space_hold(faaslet->space);
    err = mem_window_share(faaslet->slot, window, page * ABI_PAGE_BYTES, place->bytes, place->share,
                           place->share_offset, place->is_writable);
    space_release(faaslet->space);
    if (err != 0)
        give_back(&first_of(faaslet)->stand,
                  (struct given_back){window, (uint32_t)page, (uint32_t)page_count});
    else
        *offset = page * ABI_PAGE_BYTES;
    return err;
}

int
faaslet_call_share(struct faaslet_call *call, struct mem_share *share, uint64_t share_offset,
                   uint64_t bytes, bool is_writable, uint64_t *offset)
{
    struct faaslet *faaslet = call->faaslet;
    struct abi_memory *memory =
        memory_of(faaslet, context_at(faaslet, faaslet->stand.stop_context));
    struct mem_place place = {.share = share,
                              .share_offset = share_offset,
                              .bytes = ROUND_UP(bytes, (uint64_t)ABI_HOST_PAGE_BYTES),
                              .is_writable = is_writable};
    uint64_t size = mem_share_size(share);
    int err;

    if (memory == NULL || bytes == 0 || share_offset % ABI_HOST_PAGE_BYTES != 0 ||
        share_offset > size || bytes > size - share_offset)
        return -EINVAL;
    err = prepare(faaslet);
    if (err == 0)
        err = map_somewhere(faaslet, memory, &place, offset);
    call->memory_bytes = pages_of(memory) * ABI_PAGE_BYTES;
    if (err == 0)
        set_has_shares(faaslet, share, is_writable);
    return err;
}

int
faaslet_call_unshare(struct faaslet_call *call, uint64_t offset)
{
    struct faaslet *faaslet = call->faaslet;
    const struct abi_memory *memory = memory_of_caller(faaslet);
    struct mem_place place;
    int err;

    for (unsigned i = 0; memory != NULL && mem_slot_share(faaslet->slot, i, &place); i++) {
        if (place.window != window_of(memory) || place.offset != offset)
            continue;
        space_hold(faaslet->space);
        err = mem_window_unshare(faaslet->slot, place.window, offset, place.bytes);
        space_release(faaslet->space);
        if (err == 0 && offset % ABI_PAGE_BYTES == 0)
            give_back(&first_of(faaslet)->stand,
                      (struct given_back){
                          place.window, (uint32_t)(offset / ABI_PAGE_BYTES),
                          (uint32_t)(ROUND_UP(place.bytes, ABI_PAGE_BYTES) / ABI_PAGE_BYTES)});
        return err;
    }
    return -EINVAL;
}

/* --------------------------------------------------------------------- from the outside */

/* Whose memory a window is. */
static uint32_t
instance_of(const struct faaslet *faaslet, unsigned window)
{
    for (uint32_t i = 0; i < faaslet->instance_count; i++)
        if (faaslet->instances[i]->window == (int)window)
            return i;
    return 0;
}

bool
faaslet_share_get(const struct faaslet *faaslet, unsigned number, struct faaslet_share *out)
{
    struct mem_place place;

    if (!mem_slot_share(faaslet->slot, number, &place))
        return false;
    *out = (struct faaslet_share){
        .share = place.share,
        .share_offset = place.share_offset,
        .offset = place.offset,
        .bytes = place.bytes,
        .is_writable = place.is_writable,
        .instance = instance_of(faaslet, place.window),
    };
    return true;
}

int
faaslet_share_at(struct faaslet *faaslet, const struct faaslet_share *share)
{
    const struct abi_memory *memory;
    int err;

    ASSERT(atomic_load(&faaslet->runner) == 0);
    if (share->instance >= faaslet->instance_count)
        return -EINVAL;
    memory = memory_of(faaslet, context_at(faaslet, faaslet->contexts[share->instance]));
    if (memory == NULL)
        return -EINVAL;
    err = prepare(faaslet);
    if (err == 0)
        err = mem_window_share(faaslet->slot, window_of(memory), share->offset, share->bytes,
                               share->share, share->share_offset, share->is_writable);
    if (err == 0)
        set_has_shares(faaslet, share->share, share->is_writable);
    return err;
}

int
share_move(struct faaslet *faaslet, const struct mem_slot *from)
{
    struct mem_place place;
    int err = 0;

    for (unsigned i = 0; err == 0 && mem_slot_share(from, i, &place); i++)
        err = mem_window_share(faaslet->slot, place.window, place.offset, place.bytes, place.share,
                               place.share_offset, place.is_writable);
    return err;
}

void
share_forget(struct faaslet *faaslet)
{
    faaslet->call.has_shares = false;
    faaslet->call.may_lack = false;
    faaslet->absent = (struct faaslet_absent){0};
    free(faaslet->kept);
    faaslet->kept = NULL;
}
