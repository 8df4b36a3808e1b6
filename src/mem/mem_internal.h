/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEFT_MEM_INTERNAL_H
#define WEFT_MEM_INTERNAL_H

#include <stdatomic.h>

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
    int fd; /* owned */
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

struct mem_slot {
    uint8_t *reservation;
    size_t reserved_bytes;
    uint8_t *origin;
    size_t below_bytes;
    unsigned window_count;
    uint64_t window_bytes[MEM_WINDOWS_MAX];
    struct mem_runs base; /* what is mapped from files */
};

struct mem_snapshot {
    size_t below_bytes;
    unsigned window_count;
    uint64_t window_bytes[MEM_WINDOWS_MAX];
    uint64_t stored_bytes;
    struct mem_runs runs;
};

/* Takes over the run's reference only on success. Runs must come in order. */
int mem_runs_append(struct mem_runs *runs, const struct mem_run *run) MUST_CHECK;
void mem_runs_fini(struct mem_runs *runs);

/* Puts the run where it belongs; what it covers of others is cut off. */
int mem_runs_insert(struct mem_runs *runs, const struct mem_run *run) MUST_CHECK;

int mem_spans_append(struct mem_spans *spans, int64_t first, int64_t end) MUST_CHECK;
void mem_spans_fini(struct mem_spans *spans);

/* Appends the pages in [first, end) that were written: present or swapped, and
 * not from a file. In order; some may be zero all the same. */
int mem_scan(const struct mem_slot *slot, int64_t first, int64_t end,
             struct mem_spans *out) MUST_CHECK;
/* The way of kernels before 6.7, for tests. */
int mem_scan_pagemap(const struct mem_slot *slot, int64_t first, int64_t end,
                     struct mem_spans *out) MUST_CHECK;

struct mem_file *mem_file_get(struct mem_file *file);
void mem_file_put(struct mem_file *file); /* NULL is fine */

/* A place for a reservation that nobody could guess. */
void *mem_reserve_random(size_t bytes);

#endif
