/* SPDX-License-Identifier: Apache-2.0
 *
 * What a slot has beside its snapshot, in plain memory: runs of 8-byte words. Most
 * pages that a waiting guest has written differ in a few words, so this is both
 * smaller and faster than whole pages, packed or not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "mem/mem_internal.h"

#define WORDS_PER_PAGE (MEM_PAGE_BYTES / sizeof(uint64_t))
#define GAP_WORDS      2u /* equal words that cost less than a new run */

/* A run is this, then its words. */
struct run_head {
    int64_t offset; /* from the origin */
    uint64_t words;
};

struct mem_delta {
    uint64_t snapshot; /* its id */
    struct buffer runs;
    unsigned window_count;
    uint64_t window_bytes[];
};

static size_t
windows_bytes(unsigned count)
{
    return count * sizeof(uint64_t);
}

static void
append_run(struct buffer *out, const uint64_t *page, int64_t page_offset, size_t first, size_t end)
{
    struct run_head head = {
        .offset = page_offset + (int64_t)(first * sizeof(uint64_t)),
        .words = end - first,
    };

    buffer_append(out, &head, sizeof(head));
    buffer_append(out, page + first, (end - first) * sizeof(uint64_t));
}

static void
compare_page(struct buffer *out, const uint64_t *page, const uint64_t *base, int64_t offset)
{
    size_t at = 0;

    while (at < WORDS_PER_PAGE) {
        size_t first, end;

        while (at < WORDS_PER_PAGE && page[at] == base[at])
            at++;
        if (at == WORDS_PER_PAGE)
            return;
        first = at;
        for (end = at + 1; at < WORDS_PER_PAGE && at < end + GAP_WORDS; at++)
            if (page[at] != base[at])
                end = at + 1;
        append_run(out, page, offset, first, end);
    }
}

static void
compare_span(struct buffer *out, const struct mem_slot *slot, const struct mem_snapshot *snapshot,
             const struct mem_span *span, size_t *cursor)
{
    static const uint64_t zeros[WORDS_PER_PAGE];

    for (int64_t at = span->first; at < span->end; at += (int64_t)MEM_PAGE_BYTES) {
        uint64_t bytes;
        const uint8_t *base =
            mem_snapshot_at(snapshot, cursor, at, at + (int64_t)MEM_PAGE_BYTES, &bytes);

        compare_page(out, (const uint64_t *)(slot->origin + at),
                     base != NULL ? (const uint64_t *)base : zeros, at);
    }
}

int
mem_delta_take(const struct mem_slot *slot, const struct mem_snapshot *snapshot,
               struct mem_delta **out)
{
    struct mem_spans spans = {0};
    struct mem_delta *delta;
    size_t cursor = 0;
    int err;

    if (slot->restored_from != snapshot->id)
        return -EINVAL;
    delta = calloc(1, sizeof(*delta) + windows_bytes(slot->window_count));
    if (delta == NULL)
        return -ENOMEM;
    delta->snapshot = snapshot->id;
    delta->window_count = slot->window_count;
    (void)memcpy(delta->window_bytes, slot->window_bytes, windows_bytes(slot->window_count));
    err = fault_point("mem.delta");
    if (err == 0)
        err = mem_snapshot_view(snapshot);
    if (err == 0)
        err = mem_find_written(slot, &spans);
    for (size_t i = 0; i < spans.count && err == 0; i++)
        compare_span(&delta->runs, slot, snapshot, &spans.spans[i], &cursor);
    mem_spans_fini(&spans);
    buffer_trim(&delta->runs);
    if (err == 0)
        err = delta->runs.err;
    if (err != 0) {
        mem_delta_destroy(delta);
        return err;
    }
    *out = delta;
    return 0;
}

int
mem_delta_apply(struct mem_slot *slot, const struct mem_delta *delta)
{
    size_t at = 0;
    int err = slot->restored_from == delta->snapshot ? 0 : -EINVAL;

    for (unsigned i = 0; i < delta->window_count && err == 0; i++)
        err = mem_window_grow(slot, i, delta->window_bytes[i]);
    while (at < delta->runs.count && err == 0) {
        struct run_head head;

        (void)memcpy(&head, delta->runs.bytes + at, sizeof(head));
        at += sizeof(head);
        (void)memcpy(slot->origin + head.offset, delta->runs.bytes + at,
                     head.words * sizeof(uint64_t));
        at += head.words * sizeof(uint64_t);
    }
    return err;
}

uint64_t
mem_delta_bytes(const struct mem_delta *delta)
{
    return sizeof(*delta) + windows_bytes(delta->window_count) + delta->runs.capacity;
}

void
mem_delta_destroy(struct mem_delta *delta)
{
    if (delta == NULL)
        return;
    buffer_fini(&delta->runs);
    free(delta);
}
