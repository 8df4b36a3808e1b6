/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEFT_MEM_INTERNAL_H
#define WEFT_MEM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "mem/mem.h"

#define MEM_PAGE_BYTES      UINT64_C(4096)
#define MEM_WINDOW_BYTES    (UINT64_C(4) << 30)
#define MEM_GUARD_BYTES     ((UINT64_C(4) << 30) + 65536)
#define MEM_LOW_GUARD_BYTES 65536u

/* More runs than this are joined by copying: each one is a mapping. */
#define MEM_RUNS_MAX 512u

/* A sealed file that runs of any number of slots and snapshots are mapped from. */
struct mem_file {
    atomic_uint references;
    int fd;                        /* owned */
    _Atomic(const uint8_t *) view; /* owned; NULL until something is copied from it */
    atomic_size_t view_bytes;      /* the same, whoever of several came first */
};

/* Bytes of a slot that come from a file until they are written. Sorted by
 * offset, not overlapping. */
struct mem_run {
    int64_t offset; /* from the origin; pages */
    uint64_t bytes;
    struct mem_file *file; /* a reference; NULL: fd is borrowed */
    int fd;
    uint64_t file_offset;
};

struct mem_runs {
    struct mem_run *runs; /* owned */
    size_t count, capacity;
};

/* A span of a slot, by offset from the origin. */
struct mem_span {
    int64_t first, end;
};

struct mem_spans {
    struct mem_span *spans; /* owned */
    size_t count, capacity;
};

struct mem_map;

struct mem_slot {
    uint8_t *reservation;
    size_t reserved_bytes;
    uint8_t *origin;
    size_t below_bytes;
    unsigned window_count;
    uint64_t window_bytes[MEM_WINDOWS_MAX];
    struct mem_runs base;      /* what is mapped from files */
    uint64_t restored_from;    /* id of that snapshot, or 0 */
    struct mem_spans scratch;  /* of mem_reset: its memory is used again */
    struct mem_tracker *track; /* owned, or NULL */
    struct mem_map *shares;    /* owned; by offset, not overlapping */
};

struct mem_snapshot {
    uint64_t id; /* of this process, never 0 */
    atomic_uint references;
    size_t below_bytes;
    unsigned window_count;
    uint64_t window_bytes[MEM_WINDOWS_MAX];
    uint64_t stored_bytes;
    struct mem_runs runs;
};

/* Takes over the run's reference only on success. Runs must come in order. */
int mem_runs_append(struct mem_runs *runs, const struct mem_run *run) MUST_CHECK;
/* The part of a run in [first, end), with a reference of its own; none is fine. */
int mem_runs_append_part(struct mem_runs *runs, const struct mem_run *run, int64_t first,
                         int64_t end) MUST_CHECK;
void mem_runs_fini(struct mem_runs *runs);

/* Puts the run where it belongs; what it covers of others is cut off. */
int mem_runs_insert(struct mem_runs *runs, const struct mem_run *run) MUST_CHECK;

/* Those outside [first, end), with references of their own. *out is empty before. */
int mem_runs_copy_outside(const struct mem_runs *runs, int64_t first, int64_t end,
                          struct mem_runs *out) MUST_CHECK;

int mem_spans_append(struct mem_spans *spans, int64_t first, int64_t end) MUST_CHECK;
void mem_spans_fini(struct mem_spans *spans);

/* Appends the written pages of all usable parts. */
int mem_find_written(const struct mem_slot *slot, struct mem_spans *out) MUST_CHECK;

/* An empty snapshot of that shape, with one reference. */
struct mem_snapshot *mem_snapshot_new(size_t below_bytes, unsigned window_count);

int mem_file_create(struct mem_file **out) MUST_CHECK;
int mem_file_seal(const struct mem_file *file, uint64_t bytes) MUST_CHECK;
int mem_file_write(const struct mem_file *file, const uint8_t *bytes, uint64_t count,
                   uint64_t offset) MUST_CHECK;

/* Makes the bytes of a snapshot's files readable here. */
int mem_snapshot_view(const struct mem_snapshot *snapshot) MUST_CHECK;
/* What a viewed snapshot has at an offset, and how far that goes (at most to end);
 * NULL: zeros. Offsets must not go down from one call to the next with one cursor,
 * which begins as 0. */
const uint8_t *mem_snapshot_at(const struct mem_snapshot *snapshot, size_t *cursor, int64_t offset,
                               int64_t end, uint64_t *bytes);
bool mem_is_page_zero(const uint8_t *page);

/* Appends the pages in [first, end) that were written: present or swapped, and
 * not from a file. In order; some may be zero all the same. */
int mem_scan(const struct mem_slot *slot, int64_t first, int64_t end,
             struct mem_spans *out) MUST_CHECK;
/* The way of kernels before 6.7, for tests. */
int mem_scan_pagemap(const struct mem_slot *slot, int64_t first, int64_t end,
                     struct mem_spans *out) MUST_CHECK;

/* Whether PAGEMAP_SCAN works here. */
bool mem_scan_is_quick(void);
/* Write-protects what is private now, asynchronously; the slot is registered. */
int mem_scan_protect(const struct mem_slot *slot) MUST_CHECK;
/* Appends the private pages without that protection. */
int mem_scan_unprotected(const struct mem_slot *slot, struct mem_spans *out) MUST_CHECK;

/* What was written at [place, place + bytes) since it was looked at last, by distance from
 * place; it is protected again. The range is registered as shares are. */
int mem_scan_take(const uint8_t *place, uint64_t bytes, struct mem_spans *out) MUST_CHECK;
/* Protects all of it, also where nothing is yet. */
int mem_scan_protect_all(const uint8_t *place, uint64_t bytes) MUST_CHECK;

/* ---------------------------------------------------------------------- shares */

/* The next part of [*at, end) that no share covers; *at goes behind it. False: no more. */
bool mem_next_own(const struct mem_slot *slot, int64_t *at, int64_t end, struct mem_span *own);
/* Whether any share covers some of [first, end). */
bool mem_has_share(const struct mem_slot *slot, int64_t first, int64_t end);
/* Lets go of all: the addresses are still mapped, and are to be mapped over or unmapped. */
void mem_maps_drop(struct mem_slot *slot);
/* Zeros of the slot's own where the shares were. */
int mem_maps_reset(struct mem_slot *slot) MUST_CHECK;

/* For a tracker: this part of the slot is anonymous memory again. */
void mem_track_renew(struct mem_slot *slot, int64_t first, int64_t end);

struct mem_file *mem_file_get(struct mem_file *file);
void mem_file_put(struct mem_file *file); /* NULL is fine */

/* For tests: bytes are compared and merged without the processor's vectors from here on. */
void mem_bytes_choose_plain(void);

/* A place for a reservation that nobody could guess. */
void *mem_reserve_random(size_t bytes);

#endif
