/* SPDX-License-Identifier: Apache-2.0
 *
 * A slot back to the snapshot that it was restored from.
 *
 * The pages that were written since the restore are private to the slot, and stay
 * so when their old content is copied back: the next call writes to them without a
 * page fault, and the next reset copies them again. Copying a page costs a
 * thirtieth of a fault, so nothing is write-protected to know less. Only where the
 * private pages have become many are they given back to the kernel.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "mem/mem_internal.h"

static int
view_file(struct mem_file *file)
{
    const uint8_t *none = NULL;
    struct stat stat;
    void *view;

    if (atomic_load_explicit(&file->view, memory_order_acquire) != NULL)
        return 0;
    if (fstat(file->fd, &stat) != 0)
        return -errno;
    if (stat.st_size == 0)
        return 0;
    view = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED | MAP_NORESERVE, file->fd, 0);
    if (view == MAP_FAILED)
        return -ENOMEM;
    file->view_bytes = (size_t)stat.st_size;
    if (!atomic_compare_exchange_strong(&file->view, &none, (const uint8_t *)view))
        (void)munmap(view, (size_t)stat.st_size);
    return 0;
}

int
mem_snapshot_view(const struct mem_snapshot *snapshot)
{
    int err = 0;

    for (size_t i = 0; i < snapshot->runs.count && err == 0; i++)
        err = view_file(snapshot->runs.runs[i].file);
    return err;
}

const uint8_t *
mem_snapshot_at(const struct mem_snapshot *snapshot, size_t *cursor, int64_t offset, int64_t end,
                uint64_t *bytes)
{
    const struct mem_runs *runs = &snapshot->runs;
    const struct mem_run *run;
    int64_t run_end;

    while (*cursor < runs->count &&
           runs->runs[*cursor].offset + (int64_t)runs->runs[*cursor].bytes <= offset)
        (*cursor)++;
    run = *cursor < runs->count ? &runs->runs[*cursor] : NULL;
    if (run == NULL || run->offset >= end) {
        *bytes = (uint64_t)(end - offset);
        return NULL;
    }
    if (run->offset > offset) {
        *bytes = (uint64_t)(run->offset - offset);
        return NULL;
    }
    run_end = run->offset + (int64_t)run->bytes;
    *bytes = (uint64_t)((run_end < end ? run_end : end) - offset);
    return atomic_load_explicit(&run->file->view, memory_order_acquire) + run->file_offset +
           (offset - run->offset);
}

/* What lies past the snapshot's end in a window goes, with what was in it. */
static int
shrink_windows(struct mem_slot *slot, const struct mem_snapshot *snapshot)
{
    for (unsigned i = 0; i < slot->window_count; i++) {
        uint64_t keep = snapshot->window_bytes[i], bytes = slot->window_bytes[i];
        void *place = slot->origin + mem_window_offset(i) + keep;

        if (bytes <= keep)
            continue;
        if (mmap(place, bytes - keep, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
            return -errno;
        slot->window_bytes[i] = keep;
    }
    return 0;
}

static void
copy_back(struct mem_slot *slot, const struct mem_snapshot *snapshot, const struct mem_spans *spans)
{
    size_t cursor = 0;

    for (size_t i = 0; i < spans->count; i++) {
        int64_t at = spans->spans[i].first;

        while (at < spans->spans[i].end) {
            uint64_t bytes;
            const uint8_t *source =
                mem_snapshot_at(snapshot, &cursor, at, spans->spans[i].end, &bytes);

            if (source != NULL)
                (void)memcpy(slot->origin + at, source, bytes);
            else
                (void)memset(slot->origin + at, 0, bytes);
            at += (int64_t)bytes;
        }
    }
}

/* Private pages of files and of nothing alike are gone at the next touch. */
static int
drop(struct mem_slot *slot)
{
    size_t first = slot->below_bytes + slot->window_bytes[0];
    int err = first > 0 ? madvise(slot->origin - slot->below_bytes, first, MADV_DONTNEED) : 0;

    for (unsigned i = 1; i < slot->window_count && err == 0; i++)
        if (slot->window_bytes[i] > 0)
            err =
                madvise(slot->origin + mem_window_offset(i), slot->window_bytes[i], MADV_DONTNEED);
    return err == 0 ? 0 : -errno;
}

static uint64_t
count_pages(const struct mem_spans *spans)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < spans->count; i++)
        bytes += (uint64_t)(spans->spans[i].end - spans->spans[i].first);
    return bytes / MEM_PAGE_BYTES;
}

int
mem_reset(struct mem_slot *slot, const struct mem_snapshot *snapshot)
{
    int err;

    if (slot->restored_from != snapshot->id)
        return -EINVAL;
    err = fault_point("mem.reset");
    if (err == 0)
        err = mem_maps_reset(slot);
    if (err == 0)
        err = shrink_windows(slot, snapshot);
    if (err == 0)
        err = mem_snapshot_view(snapshot);
    slot->scratch.count = 0;
    if (err == 0)
        err = mem_find_written(slot, &slot->scratch);
    if (err != 0)
        return err;
    if (count_pages(&slot->scratch) > MEM_RESET_COPY_PAGES_MAX)
        return drop(slot);
    copy_back(slot, snapshot, &slot->scratch);
    return 0;
}

int
mem_private_pages(const struct mem_slot *slot, uint64_t *pages)
{
    struct mem_spans spans = {0};
    int err = mem_find_written(slot, &spans);

    *pages = count_pages(&spans);
    mem_spans_fini(&spans);
    return err;
}
