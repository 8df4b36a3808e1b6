/* SPDX-License-Identifier: Apache-2.0
 *
 * Pushes of what was written to a share: the runs that differ from its base.
 *
 * The kernel tells which pages were written since it was last asked; then their bytes are looked
 * at. What is written after that is told the next time. Bytes are copied when they are found, and
 * with the answer the base becomes what was sent, not what is there by then. Pages stay dirty
 * until then, so a push that is refused is found again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "state/state_internal.h"

#define BREATH_BYTES (1u << 20) /* looked at with the lock, at one time */

struct scan {
    struct entry *entry;
    struct ask *ask;
    uint64_t at; /* of what is compared */
    uint64_t capacity;
    bool has_found;
    int err;
};

static int
grow(uint8_t **bytes, uint64_t capacity)
{
    uint8_t *grown = fault_point("state.push") != 0 ? NULL : realloc(*bytes, capacity);

    if (grown == NULL)
        return -ENOMEM;
    *bytes = grown;
    return 0;
}

static int
reserve(struct scan *scan, uint64_t more)
{
    struct ask *ask = scan->ask;
    uint64_t capacity = scan->capacity;
    int err;

    if (more <= scan->capacity - ask->byte_count)
        return 0;
    capacity = capacity * 2 > ask->byte_count + more ? capacity * 2 : ask->byte_count + more;
    err = grow(&ask->bytes, capacity);
    if (err == 0 && scan->entry->is_sum)
        err = grow(&ask->kept, capacity);
    if (err == 0)
        scan->capacity = capacity;
    return err;
}

/* What is there; or what was added to it, and what it has become. */
static void
copy_run(const struct scan *scan, uint64_t at, uint64_t count)
{
    const struct entry *entry = scan->entry;
    uint8_t *to = scan->ask->bytes + scan->ask->byte_count, *kept;

    mem_read(to, mem_share_bytes(entry->share) + at, count, element_bytes(entry->element));
    if (entry->is_sum) {
        kept = scan->ask->kept + scan->ask->byte_count;
        (void)memcpy(kept, to, count);
        element_subtract(entry->element, to, kept, entry->base + at, count);
    }
    scan->ask->byte_count += count;
}

/* Whole elements. Those of neighbouring pages that touch are one run. */
static void
found(void *context, uint64_t offset, uint64_t count)
{
    struct scan *scan = context;
    struct ask *ask = scan->ask;
    struct run *last = ask->run_count > 0 ? &ask->runs[ask->run_count - 1] : NULL;
    uint64_t at = scan->at + offset;

    scan->has_found = true;
    if (scan->err == 0)
        scan->err = reserve(scan, count);
    if (scan->err == 0 && last != NULL && last->offset + last->count == at)
        last->count += count;
    else if (scan->err == 0)
        scan->err = ask_add_run(ask, at, count);
    if (scan->err == 0)
        copy_run(scan, at, count);
}

/* The part of a page that is meant; a page that is as it was is clean, if all of it was. */
static void
look_at(struct scan *scan, uint64_t page, uint64_t from, uint64_t to)
{
    struct entry *entry = scan->entry;
    uint64_t first = page * STATE_PAGE_BYTES, last = first + STATE_PAGE_BYTES;
    bool is_whole;

    last = last < entry->size ? last : entry->size;
    is_whole = from <= first && last <= to;
    if (entry->versions[first / STATE_CHUNK_BYTES] == 0) {
        bytes_clean(entry, page);
        return;
    }
    first = first > from ? first : from;
    last = last < to ? last : to;
    scan->at = first;
    scan->has_found = false;
    mem_compare(mem_share_bytes(entry->share) + first, entry->base + first, last - first,
                element_bytes(entry->element), found, scan);
    if (!scan->has_found && is_whole)
        bytes_clean(entry, page);
}

static void
range_of(const struct op *op, const struct entry *entry, uint64_t *from, uint64_t *to)
{
    uint64_t left = op->offset < entry->size ? entry->size - op->offset : 0;

    *from = op->offset;
    *to = op->count != 0 && op->count < left ? op->offset + op->count : op->offset + left;
}

/* The lock is let go between, and nobody else touches what is looked at: the entry has a push. */
static int
scan_range(struct state *state, struct scan *scan, uint64_t from, uint64_t to)
{
    uint64_t page = from / STATE_PAGE_BYTES, end = ROUND_UP(to, STATE_PAGE_BYTES);
    uint64_t looked = 0;

    end /= STATE_PAGE_BYTES;
    while (from < to && scan->err == 0) {
        page = bytes_next_dirty(scan->entry, page, end);
        if (page >= end)
            break;
        look_at(scan, page++, from, to);
        looked += STATE_PAGE_BYTES;
        if (looked % BREATH_BYTES == 0) {
            (void)pthread_mutex_unlock(&state->lock);
            (void)pthread_mutex_lock(&state->lock);
        }
    }
    return scan->err;
}

static int
find_written(struct state *state, struct op *op, struct ask *ask)
{
    struct entry *entry = op->entry;
    struct scan scan = {.entry = entry, .ask = ask};
    uint32_t unit = element_bytes(entry->element);
    uint64_t from, to;
    int err;

    if (entry->dirty == NULL)
        return 0; /* nobody may write */
    range_of(op, entry, &from, &to);
    if (from % unit != 0 || (to != entry->size && to % unit != 0))
        return -EINVAL; /* some of an element */
    ask->adds = entry->is_sum ? entry->element : ELEMENT_BYTE;
    err = bytes_note_written(entry);
    return err != 0 ? err : scan_range(state, &scan, from, to);
}

static void
end_push(struct state *state, struct op *op, int err)
{
    struct entry *entry = entry_pin(op->entry);

    entry->push = NULL;
    op->result.size = entry->size;
    op_end(state, op, err);
    entry_run(state, entry);
    entry_put(state, entry);
}

/* What can be said without the tier. True: it is over. */
static bool
decide_here(struct state *state, struct op *op, const struct ask *ask, int *err)
{
    const struct entry *entry = op->entry;
    bool has_condition = op->version != UINT64_MAX;

    op->result.version = entry->version;
    *err = 0;
    if (entry->version == 0) { /* nothing is known of it: nothing was mapped */
        *err = has_condition ? -ENOENT : 0;
        return true;
    }
    if (has_condition && entry_is_held(state, entry) && entry->version != op->version) {
        *err = -EAGAIN;
        return true;
    }
    if (ask->run_count > 0)
        return false;
    return !has_condition || entry_is_held(state, entry);
}

static void
say_push(struct state *state, struct op *op, struct ask *ask)
{
    struct entry *entry = op->entry;

    ask->op = op;
    ask->entry = entry_pin(entry);
    ask->size = entry->size;
    ask->has_condition = op->version != UINT64_MAX;
    ask->version = ask->has_condition ? op->version : 0;
    ask->fence = op->fence;
    ask->may_repeat = !ask->has_condition && !entry->is_sum;
    ask->hold = ask->is_push_of_entry = true;
    ask->version_before = entry->version;
    op->ask = ask;
    state->usage.pushes++;
    state->usage.bytes_pushed += ask->byte_count;
    change_begin(ask);
    ask_queue(state, ask);
}

/* What was written under a lock that is lost must not go with the next push of another call: it
 * is as it was pulled last, until it is pulled. */
static void
take_back(struct entry *entry, const struct ask *ask)
{
    for (size_t i = 0; i < ask->run_count; i++)
        (void)memcpy(mem_share_bytes(entry->share) + ask->runs[i].offset,
                     entry->base + ask->runs[i].offset, ask->runs[i].count);
    entry->sequence++;
}

void
push_begin(struct state *state, struct op *op)
{
    struct entry *entry = op->entry;
    struct ask *ask = NULL;
    bool is_over = true;
    int err = ask_create(state, RPC__STATE_ASK__IS_PUSH, entry->key, &ask);

    entry->push = op;
    if (err == 0)
        err = find_written(state, op, ask);
    if (err == 0) /* it may have been lost meanwhile */
        err = lock_fence(state, op->owner, entry->key, &op->fence);
    if (err == -ESTALE)
        take_back(entry, ask);
    if (err == 0)
        is_over = decide_here(state, op, ask, &err);
    if (is_over) {
        ask_put(state, ask);
        end_push(state, op, err);
    } else {
        say_push(state, op, ask);
    }
}

/* ------------------------------------------------------------------------------ answers */

/* Pages of a run that were looked at as a whole have nothing left to be pushed. */
static void
clean_run(struct entry *entry, const struct op *op, const struct run *run)
{
    uint64_t from, to, end = run->offset + run->count;

    range_of(op, entry, &from, &to);
    for (uint64_t page = run->offset / STATE_PAGE_BYTES; page * STATE_PAGE_BYTES < end; page++) {
        uint64_t last = (page + 1) * STATE_PAGE_BYTES;

        last = last < entry->size ? last : entry->size;
        if (from <= page * STATE_PAGE_BYTES && last <= to)
            bytes_clean(entry, page);
    }
}

/* What was sent is what there is; is_next: and nothing else has changed since we had it. */
static void
take_over(struct entry *entry, const struct op *op, struct ask *ask, bool is_next)
{
    const uint8_t *bytes = ask->bytes;

    if (entry->is_sum)
        elements_added(entry, ask, is_next);
    for (size_t i = 0; i < ask->run_count; i++) {
        const struct run *run = &ask->runs[i];

        if (!entry->is_sum)
            (void)memcpy(entry->base + run->offset, bytes, run->count);
        bytes += run->count;
        clean_run(entry, op, run);
    }
    entry->sequence++;
}

/* What was added and may have been: to add it again could be once too often. It counts as done,
 * and the next pull tells what is. */
static bool
may_be_added(const struct ask *ask, const Rpc__StateAnswer *answer)
{
    return ask->adds != ELEMENT_BYTE && ask->is_all_said &&
           (ask->is_unknown || answer->err == -EIO);
}

void
push_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct entry *entry = ask->entry;
    struct op *op = ask->op;
    bool is_next = answer->version == ask->version_before + 1;

    ASSERT(op != NULL && entry->push == op);
    change_end(ask);
    if (answer->err == 0) {
        take_over(entry, op, ask, is_next);
        if (is_next)
            bytes_renew(entry, ask->version_before, answer->version);
        hold_heard(state, ask, answer);
        op->result.version = answer->version;
    } else if (may_be_added(ask, answer)) {
        take_over(entry, op, ask, false);
    } else if (answer->err == -ESTALE || (answer->err == -EIO && ask->fence != 0)) {
        take_back(entry, ask);
    }
    end_push(state, op, answer->err);
}
