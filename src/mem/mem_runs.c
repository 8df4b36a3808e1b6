/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of runs and spans.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "mem/mem_internal.h"

#define CAPACITY_MIN 16u

struct mem_file *
mem_file_get(struct mem_file *file)
{
    if (file != NULL)
        (void)atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
    return file;
}

void
mem_file_put(struct mem_file *file)
{
    /* Pairs with the other puts: the last one sees what all did before. */
    if (file == NULL || atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) != 1)
        return;
    if (atomic_load(&file->view) != NULL)
        (void)munmap((void *)(uintptr_t)atomic_load(&file->view), file->view_bytes);
    (void)close(file->fd);
    free(file);
}

static int
reserve_entries(void **entries, size_t *capacity, size_t count, size_t unit)
{
    size_t wanted = *capacity < CAPACITY_MIN ? CAPACITY_MIN : *capacity * 2;
    void *grown;

    if (count <= *capacity)
        return 0;
    grown = realloc(*entries, wanted * unit);
    if (grown == NULL)
        return -ENOMEM;
    *entries = grown;
    *capacity = wanted;
    return 0;
}

int
mem_runs_append(struct mem_runs *runs, const struct mem_run *run)
{
    struct mem_run *last = runs->count > 0 ? &runs->runs[runs->count - 1] : NULL;
    int err;

    if (run->bytes == 0) {
        mem_file_put(run->file);
        return 0;
    }
    ASSERT(last == NULL || last->offset + (int64_t)last->bytes <= run->offset);
    if (last != NULL && last->file == run->file && last->fd == run->fd &&
        last->offset + (int64_t)last->bytes == run->offset &&
        last->file_offset + last->bytes == run->file_offset) {
        last->bytes += run->bytes;
        mem_file_put(run->file);
        return 0;
    }
    err = reserve_entries((void **)&runs->runs, &runs->capacity, runs->count + 1, sizeof(*run));
    if (err != 0)
        return err;
    runs->runs[runs->count++] = *run;
    return 0;
}

void
mem_runs_fini(struct mem_runs *runs)
{
    for (size_t i = 0; i < runs->count; i++)
        mem_file_put(runs->runs[i].file);
    free(runs->runs);
    *runs = (struct mem_runs){0};
}

int
mem_runs_append_part(struct mem_runs *out, const struct mem_run *run, int64_t first, int64_t end)
{
    struct mem_run part = *run;
    int64_t run_end = run->offset + (int64_t)run->bytes;
    int err;

    first = first > run->offset ? first : run->offset;
    end = end < run_end ? end : run_end;
    if (first >= end)
        return 0;
    part.offset = first;
    part.bytes = (uint64_t)(end - first);
    part.file_offset += (uint64_t)(first - run->offset);
    (void)mem_file_get(part.file);
    err = mem_runs_append(out, &part);
    if (err != 0)
        mem_file_put(part.file);
    return err;
}

int
mem_runs_copy_outside(const struct mem_runs *runs, int64_t first, int64_t end, struct mem_runs *out)
{
    int err = 0;

    for (size_t i = 0; i < runs->count && err == 0; i++) {
        err = mem_runs_append_part(out, &runs->runs[i], INT64_MIN, first);
        if (err == 0)
            err = mem_runs_append_part(out, &runs->runs[i], end, INT64_MAX);
    }
    if (err != 0)
        mem_runs_fini(out);
    return err;
}

int
mem_runs_insert(struct mem_runs *runs, const struct mem_run *run)
{
    struct mem_runs joined = {0};
    int64_t end = run->offset + (int64_t)run->bytes;
    size_t i;
    int err = 0;

    if (runs->count == 0 ||
        runs->runs[runs->count - 1].offset + (int64_t)runs->runs[runs->count - 1].bytes <=
            run->offset)
        return mem_runs_append(runs, run);
    for (i = 0; i < runs->count && err == 0; i++)
        err = mem_runs_append_part(&joined, &runs->runs[i], INT64_MIN, run->offset);
    if (err == 0)
        err = mem_runs_append_part(&joined, run, INT64_MIN, INT64_MAX);
    for (i = 0; i < runs->count && err == 0; i++)
        err = mem_runs_append_part(&joined, &runs->runs[i], end, INT64_MAX);
    if (err != 0) {
        mem_runs_fini(&joined);
        return err;
    }
    mem_file_put(run->file); /* joined has its own */
    mem_runs_fini(runs);
    *runs = joined;
    return 0;
}

int
mem_spans_append(struct mem_spans *spans, int64_t first, int64_t end)
{
    int err;

    if (first >= end)
        return 0;
    if (spans->count > 0 && spans->spans[spans->count - 1].end == first) {
        spans->spans[spans->count - 1].end = end;
        return 0;
    }
    err = reserve_entries((void **)&spans->spans, &spans->capacity, spans->count + 1,
                          sizeof(struct mem_span));
    if (err != 0)
        return err;
    spans->spans[spans->count++] = (struct mem_span){first, end};
    return 0;
}

void
mem_spans_fini(struct mem_spans *spans)
{
    free(spans->spans);
    *spans = (struct mem_spans){0};
}
