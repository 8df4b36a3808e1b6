/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEFT_MEM_SHARE_INTERNAL_H
#define WEFT_MEM_SHARE_INTERNAL_H

#include "mem/mem_internal.h"

/* A share where a slot has it. The slot's own thread changes it, under the share's lock;
 * others read it under that lock. */
struct mem_map {
    struct mem_map *next;      /* in the slot, by offset */
    struct mem_map *next_user; /* in the share; guarded by its lock */
    struct mem_share *share;   /* a reference */
    uint8_t *origin;           /* of the slot */
    int64_t offset;            /* from the origin */
    uint64_t bytes;
    uint64_t share_offset;
    bool is_writable;
};

struct mem_share {
    atomic_uint references;
    int fd;        /* owned */
    uint8_t *view; /* owned; pages are filled in it */
    uint64_t bytes;
    _Atomic uint64_t *present; /* owned; a bit a page; NULL: not lazy, all there */
    _Atomic uint64_t absent;   /* pages that are not there */
    pthread_mutex_t lock;
    struct mem_map *users; /* guarded by lock */
    uint64_t *written;     /* owned; a bit a page: found, not told yet; guarded by lock */
};

/* By pages. Whole ranges, end excluded. */
void share_note_present(struct mem_share *share, uint64_t first, uint64_t end);
uint64_t share_find(const struct mem_share *share, uint64_t first, uint64_t end, bool is_present);
void share_note_written(struct mem_share *share, uint64_t first, uint64_t end);

/* The kernel's part, of the way that was chosen (mem_share_way.c).
 *
 * view: prepares the view of a lazy share.
 * attach: the share's pages are mapped at the map's place, with share_way_protection: makes
 * absent pages fault and writes be found. Under the share's lock.
 * collect: notes what was written through [first, end) of a map since the last time.
 * Under the share's lock.
 * fill: whole pages. */
int share_way_view(const struct mem_share *share) MUST_CHECK;
int share_way_protection(const struct mem_share *share, bool is_writable);
int share_way_attach(const struct mem_map *map) MUST_CHECK;
void share_way_collect(const struct mem_map *map, int64_t first, int64_t end);
int share_way_fill(struct mem_share *share, uint64_t offset, const uint8_t *bytes,
                   uint64_t count) MUST_CHECK;

#endif
