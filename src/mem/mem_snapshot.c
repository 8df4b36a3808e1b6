/* SPDX-License-Identifier: Apache-2.0
 *
 * Freezing and restoring.
 *
 * A slot is its base runs (bytes of immutable files, mapped copy-on-write) and
 * the pages that were written since. Freezing stores the written pages in a new
 * file and keeps the base runs for the rest, so it costs what changed since the
 * last freeze. Where that would make too many runs, everything is stored anew.
 *
 * A file holds a page at the place that the page has in the slot, counted from
 * the lowest usable byte; what is not stored is a hole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/file.h"
#include "mem/mem_internal.h"

#define GAP_BYTES_FIRST (INT64_C(16) * 4096)

static _Atomic uint64_t last_id;

bool
mem_is_page_zero(const uint8_t *page)
{
    const uint64_t *words = (const uint64_t *)page;
    uint64_t any = 0;

    for (size_t i = 0; i < MEM_PAGE_BYTES / sizeof(uint64_t) && any == 0; i += 8)
        any = words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] | words[i + 5] |
              words[i + 6] | words[i + 7];
    return any == 0;
}

int
mem_file_write(const struct mem_file *file, const uint8_t *bytes, uint64_t count, uint64_t offset)
{
    while (count > 0) {
        ssize_t done = pwrite(file->fd, bytes, count, (off_t)offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -ENOMEM;
        bytes += done;
        offset += (uint64_t)done;
        count -= (uint64_t)done;
    }
    return 0;
}

/* Writes the span's pages that are not zero and appends them to stored. */
static int
store_span(const struct mem_slot *slot, struct mem_span span, const struct mem_file *file,
           struct mem_spans *stored)
{
    int64_t page = (int64_t)MEM_PAGE_BYTES;
    int64_t at = span.first;

    while (at < span.end) {
        int64_t first;
        int err;

        while (at < span.end && mem_is_page_zero(slot->origin + at))
            at += page;
        first = at;
        while (at < span.end && !mem_is_page_zero(slot->origin + at))
            at += page;
        if (first == at)
            continue;
        err = mem_file_write(file, slot->origin + first, (uint64_t)(at - first),
                             (uint64_t)(first + (int64_t)slot->below_bytes));
        if (err == 0)
            err = mem_spans_append(stored, first, at);
        if (err != 0)
            return err;
    }
    return 0;
}

static int
find_written(const struct mem_slot *slot, int64_t first, int64_t end, struct mem_spans *out)
{
    struct mem_span own;
    int err = 0;

    while (err == 0 && mem_next_own(slot, &first, end, &own))
        err = mem_scan(slot, own.first, own.end, out);
    return err;
}

/* Below and the first window lie side by side. */
int
mem_find_written(const struct mem_slot *slot, struct mem_spans *out)
{
    int err = find_written(slot, -(int64_t)slot->below_bytes, (int64_t)slot->window_bytes[0], out);

    for (unsigned i = 1; i < slot->window_count && err == 0; i++) {
        int64_t first = mem_window_offset(i);

        err = find_written(slot, first, first + (int64_t)slot->window_bytes[i], out);
    }
    return err;
}

/* The union of written pages and base runs, both in order. */
static int
join_spans(const struct mem_spans *written, const struct mem_runs *base, struct mem_spans *out)
{
    size_t i = 0, k = 0;
    int64_t end = INT64_MIN;
    int err = 0;

    while ((i < written->count || k < base->count) && err == 0) {
        struct mem_span next;

        if (k == base->count ||
            (i < written->count && written->spans[i].first < base->runs[k].offset)) {
            next = written->spans[i++];
        } else {
            next.first = base->runs[k].offset;
            next.end = next.first + (int64_t)base->runs[k++].bytes;
        }
        next.first = next.first > end ? next.first : end;
        if (next.end <= next.first)
            continue;
        end = next.end;
        err = mem_spans_append(out, next.first, next.end);
    }
    return err;
}

static int
append_stored(struct mem_runs *out, struct mem_file *file, const struct mem_slot *slot,
              int64_t first, int64_t end)
{
    struct mem_run run = {
        .offset = first,
        .bytes = (uint64_t)(end - first),
        .file = mem_file_get(file),
        .fd = file->fd,
        .file_offset = (uint64_t)(first + (int64_t)slot->below_bytes),
    };
    int err = mem_runs_append(out, &run);

    if (err != 0)
        mem_file_put(file);
    return err;
}

/* Whether the hole between two stored spans may become part of a run: it must be
 * zero in the slot, and inside one window or below. */
static bool
is_gap_joinable(const struct mem_slot *slot, int64_t first, int64_t end, int64_t gap_max)
{
    int64_t stride = mem_window_offset(1);

    if (end - first > gap_max || (first <= 0) != (end <= 0))
        return false;
    (void)slot;
    return first <= 0 || first / stride == end / stride;
}

/* Runs of everything: gaps are widened until there are few enough. */
static int
make_full_runs(const struct mem_slot *slot, struct mem_file *file, const struct mem_spans *stored,
               struct mem_runs *out)
{
    for (int64_t gap = GAP_BYTES_FIRST;; gap *= 4) {
        int err = 0;
        size_t i = 0;

        while (i < stored->count && err == 0) {
            int64_t first = stored->spans[i].first;
            int64_t end = stored->spans[i].end;

            for (i++; i < stored->count && is_gap_joinable(slot, end, stored->spans[i].first, gap);
                 i++)
                end = stored->spans[i].end;
            err = append_stored(out, file, slot, first, end);
        }
        if (err != 0 || out->count <= MEM_RUNS_MAX || gap > (int64_t)MEM_WINDOW_BYTES)
            return err;
        mem_runs_fini(out);
    }
}

/* Appends stored spans that begin before `end` from *index on. */
static int
append_stored_before(struct mem_runs *out, struct mem_file *file, const struct mem_slot *slot,
                     const struct mem_spans *stored, size_t *index, int64_t end)
{
    int err = 0;

    while (*index < stored->count && stored->spans[*index].first < end && err == 0) {
        const struct mem_span *span = &stored->spans[(*index)++];

        err = append_stored(out, file, slot, span->first, span->end);
    }
    return err;
}

/* Base runs with the written pages cut out, and the stored ones of those. */
static int
make_delta_runs(const struct mem_slot *slot, const struct mem_runs *base, struct mem_file *file,
                const struct mem_spans *written, const struct mem_spans *stored,
                struct mem_runs *out)
{
    size_t next_stored = 0, w = 0;
    int err = 0;

    for (size_t i = 0; i < base->count && err == 0; i++) {
        const struct mem_run *run = &base->runs[i];
        int64_t at = run->offset;
        int64_t end = run->offset + (int64_t)run->bytes;

        while (at < end && err == 0) {
            int64_t cut;

            while (w < written->count && written->spans[w].end <= at)
                w++;
            cut =
                w < written->count && written->spans[w].first < end ? written->spans[w].first : end;
            if (cut > at) {
                err = append_stored_before(out, file, slot, stored, &next_stored, at);
                if (err == 0)
                    err = mem_runs_append_part(out, run, at, cut);
                at = cut;
            } else {
                at = written->spans[w].end;
            }
        }
    }
    if (err == 0)
        err = append_stored_before(out, file, slot, stored, &next_stored, INT64_MAX);
    return err;
}

/* Base runs whose files are borrowed get one of their own, as the snapshot may
 * outlive the slot. */
static int
own_base(const struct mem_runs *base, struct mem_runs *out)
{
    struct mem_file *last = NULL;
    int last_fd = -1;
    int err = 0;

    for (size_t i = 0; i < base->count && err == 0; i++) {
        struct mem_run run = base->runs[i];

        if (run.file == NULL && run.fd != last_fd) {
            struct mem_file *file = calloc(1, sizeof(*file));

            if (file == NULL)
                return -ENOMEM;
            file->fd = fcntl(run.fd, F_DUPFD_CLOEXEC, 0);
            if (file->fd < 0) {
                free(file);
                return -EMFILE;
            }
            file->references = 0; /* the runs' are counted below */
            last = file;
            last_fd = run.fd;
        }
        if (run.file == NULL) {
            run.file = last;
            run.fd = last->fd;
        }
        (void)mem_file_get(run.file);
        err = mem_runs_append(out, &run);
        if (err != 0)
            mem_file_put(run.file);
    }
    return err;
}

int
mem_file_create(struct mem_file **out)
{
    struct mem_file *file = calloc(1, sizeof(*file));

    if (file == NULL)
        return -ENOMEM;
    file->references = 1;
    file->fd = memfd_create("weft-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file->fd < 0) {
        int err = -errno;

        free(file);
        return err;
    }
    *out = file;
    return 0;
}

int
mem_file_seal(const struct mem_file *file, uint64_t bytes)
{
    return ftruncate(file->fd, (off_t)bytes) != 0 ? -errno : file_seal(file->fd);
}

/* What one freezing works with. */
struct freezing {
    const struct mem_slot *slot;
    struct mem_runs base;
    struct mem_spans written, all, stored;
    struct mem_file *file;
};

static int
store(struct freezing *f, const struct mem_spans *spans)
{
    int64_t end = 0;
    int err = 0;

    for (size_t i = 0; i < spans->count && err == 0; i++)
        err = store_span(f->slot, spans->spans[i], f->file, &f->stored);
    if (err != 0)
        return err;
    if (f->stored.count > 0)
        end = f->stored.spans[f->stored.count - 1].end;
    return mem_file_seal(f->file, (uint64_t)(end + (int64_t)f->slot->below_bytes));
}

static int
freeze_pages(struct freezing *f, struct mem_snapshot *snapshot)
{
    bool is_delta;
    int err = own_base(&f->slot->base, &f->base);

    if (err == 0)
        err = mem_find_written(f->slot, &f->written);
    if (err != 0)
        return err;
    is_delta = f->base.count > 0 && f->base.count + 2 * f->written.count < MEM_RUNS_MAX;
    if (!is_delta)
        err = join_spans(&f->written, &f->base, &f->all);
    if (err == 0)
        err = mem_file_create(&f->file);
    if (err == 0)
        err = fault_point("mem.freeze");
    if (err == 0)
        err = store(f, is_delta ? &f->written : &f->all);
    if (err != 0)
        return err;
    return is_delta ? make_delta_runs(f->slot, &f->base, f->file, &f->written, &f->stored,
                                      &snapshot->runs)
                    : make_full_runs(f->slot, f->file, &f->stored, &snapshot->runs);
}

struct mem_snapshot *
mem_snapshot_new(size_t below_bytes, unsigned window_count)
{
    struct mem_snapshot *snapshot = calloc(1, sizeof(*snapshot));

    if (snapshot == NULL)
        return NULL;
    snapshot->id = atomic_fetch_add(&last_id, 1) + 1;
    atomic_init(&snapshot->references, 1);
    snapshot->below_bytes = below_bytes;
    snapshot->window_count = window_count;
    return snapshot;
}

int
mem_freeze(const struct mem_slot *slot, struct mem_snapshot **out)
{
    struct freezing f = {.slot = slot};
    struct mem_snapshot *snapshot = mem_snapshot_new(slot->below_bytes, slot->window_count);
    int err;

    if (snapshot == NULL)
        return -ENOMEM;
    (void)memcpy(snapshot->window_bytes, slot->window_bytes, sizeof(slot->window_bytes));
    err = freeze_pages(&f, snapshot);
    for (size_t i = 0; i < f.stored.count; i++)
        snapshot->stored_bytes += (uint64_t)(f.stored.spans[i].end - f.stored.spans[i].first);
    mem_runs_fini(&f.base);
    mem_spans_fini(&f.written);
    mem_spans_fini(&f.all);
    mem_spans_fini(&f.stored);
    mem_file_put(f.file);
    if (err != 0) {
        mem_snapshot_destroy(snapshot);
        return err;
    }
    *out = snapshot;
    return 0;
}

static int
restore_run(struct mem_slot *slot, const struct mem_run *run)
{
    struct mem_run copy = *run;
    void *place;
    int err = fault_point("mem.restore");

    if (err != 0)
        return err;
    (void)mem_file_get(copy.file);
    err = mem_runs_append(&slot->base, &copy);
    if (err != 0) {
        mem_file_put(copy.file);
        return err;
    }
    place = mmap(slot->origin + run->offset, run->bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_FIXED, run->fd, (off_t)run->file_offset);
    return place == MAP_FAILED ? -errno : 0;
}

int
mem_restore(struct mem_slot *slot, const struct mem_snapshot *snapshot)
{
    int err = 0;

    if (slot->below_bytes != snapshot->below_bytes ||
        slot->window_count != snapshot->window_count || slot->base.count != 0)
        return -EINVAL;
    for (unsigned i = 0; i < slot->window_count; i++)
        if (slot->window_bytes[i] > snapshot->window_bytes[i])
            return -EINVAL;
    for (unsigned i = 0; i < slot->window_count && err == 0; i++)
        err = mem_window_grow(slot, i, snapshot->window_bytes[i]);
    for (size_t i = 0; i < snapshot->runs.count && err == 0; i++)
        err = restore_run(slot, &snapshot->runs.runs[i]);
    if (err == 0)
        slot->restored_from = snapshot->id;
    return err;
}

size_t
mem_snapshot_below_bytes(const struct mem_snapshot *snapshot)
{
    return snapshot->below_bytes;
}

unsigned
mem_snapshot_window_count(const struct mem_snapshot *snapshot)
{
    return snapshot->window_count;
}

uint64_t
mem_snapshot_stored_bytes(const struct mem_snapshot *snapshot)
{
    return snapshot->stored_bytes;
}

struct mem_snapshot *
mem_snapshot_get(struct mem_snapshot *snapshot)
{
    (void)atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    return snapshot;
}

void
mem_snapshot_destroy(struct mem_snapshot *snapshot)
{
    if (snapshot == NULL ||
        atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) != 1)
        return;
    mem_runs_fini(&snapshot->runs);
    free(snapshot);
}
