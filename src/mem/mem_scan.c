/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pages of a slot were written. The kernel knows; kernels since 6.7 say it
 * in one call (PAGEMAP_SCAN), older ones page by page (/proc/self/pagemap).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mem/mem_internal.h"

#define REGIONS_PER_CALL 512u
#define ENTRIES_PER_READ 1024u

/* From linux/fs.h, which is newer than the oldest system we build on. */
#define SCAN_WP_MATCHING (1u << 0) /* flags */
#define SCAN_CHECK_ASYNC (1u << 1)
#define SCAN_IS_WRITTEN  (1u << 1) /* categories */
#define SCAN_IS_FILE     (1u << 2)
#define SCAN_IS_PRESENT  (1u << 3)
#define SCAN_IS_SWAPPED  (1u << 4)
#define SCAN_IS_ZERO     (1u << 5)

struct scan_region {
    uint64_t start, end, categories;
};

struct scan_args {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_REQUEST _IOWR('f', 16, struct scan_args)

#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)
#define ENTRY_FILE    (UINT64_C(1) << 61)

static pthread_once_t pagemap_once = PTHREAD_ONCE_INIT;
static int pagemap_fd = -1;

static void
open_pagemap(void)
{
    pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

static void
forget_pagemap(void)
{
    pagemap_fd = -1;
    pagemap_once = (pthread_once_t)PTHREAD_ONCE_INIT;
}

static void
open_once(void)
{
    open_pagemap();
    /* The file is of the process that opened it. */
    (void)pthread_atfork(NULL, NULL, forget_pagemap);
}

/* Appends [first, end) whole: what cannot be asked is taken as written. */
static int
scan_nothing_known(int64_t first, int64_t end, struct mem_spans *out)
{
    return mem_spans_append(out, first, end);
}

int
mem_scan_pagemap(const struct mem_slot *slot, int64_t first, int64_t end, struct mem_spans *out)
{
    uint64_t entries[ENTRIES_PER_READ];
    int64_t page = (int64_t)MEM_PAGE_BYTES;
    int err = 0;

    (void)pthread_once(&pagemap_once, open_once);
    while (first < end && err == 0) {
        uint64_t count = (uint64_t)(end - first) / MEM_PAGE_BYTES;
        off_t at = (off_t)((uintptr_t)(slot->origin + first) / MEM_PAGE_BYTES * sizeof(uint64_t));

        count = count < ENTRIES_PER_READ ? count : ENTRIES_PER_READ;
        if (pread(pagemap_fd, entries, count * sizeof(uint64_t), at) !=
            (ssize_t)(count * sizeof(uint64_t)))
            return scan_nothing_known(first, end, out);
        for (uint64_t i = 0; i < count && err == 0; i++, first += page)
            if ((entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED)) != 0 &&
                (entries[i] & ENTRY_FILE) == 0)
                err = mem_spans_append(out, first, first + page);
    }
    return err;
}

/* One request over [start, end) until it is through. *is_refused: the kernel does
 * not know the request; where it stopped is in args. */
static int
scan(struct scan_args *args, uintptr_t origin, struct mem_spans *out, bool *is_refused)
{
    struct scan_region regions[REGIONS_PER_CALL];
    int err = 0;

    args->size = sizeof(*args);
    args->vec = out != NULL ? (uintptr_t)regions : 0;
    args->vec_len = out != NULL ? REGIONS_PER_CALL : 0;
    (void)pthread_once(&pagemap_once, open_once);
    while (args->start < args->end && err == 0) {
        int count = ioctl(pagemap_fd, SCAN_REQUEST, args);

        *is_refused = count < 0;
        if (count < 0)
            return -errno;
        for (int i = 0; i < count && out != NULL && err == 0; i++)
            err = mem_spans_append(out, (int64_t)(regions[i].start - origin),
                                   (int64_t)(regions[i].end - origin));
        args->start = args->walk_end;
    }
    return err;
}

int
mem_scan(const struct mem_slot *slot, int64_t first, int64_t end, struct mem_spans *out)
{
    uintptr_t origin = (uintptr_t)slot->origin;
    struct scan_args args = {
        .start = origin + (uint64_t)first,
        .end = origin + (uint64_t)end,
        .category_inverted = SCAN_IS_FILE | SCAN_IS_ZERO,
        .category_mask = SCAN_IS_FILE | SCAN_IS_ZERO,
        .category_anyof_mask = SCAN_IS_PRESENT | SCAN_IS_SWAPPED,
        .return_mask = SCAN_IS_PRESENT,
    };
    bool is_refused = false;
    int err = scan(&args, origin, out, &is_refused);

    return is_refused ? mem_scan_pagemap(slot, (int64_t)(args.start - origin), end, out) : err;
}

bool
mem_scan_is_quick(void)
{
    static uint8_t page[2 * MEM_PAGE_BYTES];
    uintptr_t first = ROUND_UP((uintptr_t)page, MEM_PAGE_BYTES);
    struct scan_args args = {.start = first, .end = first + MEM_PAGE_BYTES};
    struct mem_spans none = {0};
    bool is_refused = false;
    int err = scan(&args, first, &none, &is_refused);

    mem_spans_fini(&none);
    return err == 0 && !is_refused;
}

/* Written and private: what was only read from a file has no protection either. */
static int
scan_unprotected(const struct mem_slot *slot, uint64_t flags, struct mem_spans *out)
{
    uintptr_t origin = (uintptr_t)slot->origin;
    bool is_refused = false;
    int err = 0;

    for (unsigned i = 0; i < slot->window_count && err == 0; i++) {
        int64_t at = mem_window_offset(i) - (i == 0 ? (int64_t)slot->below_bytes : 0);
        int64_t end = mem_window_offset(i) + (int64_t)slot->window_bytes[i];
        struct mem_span own;

        while (err == 0 && mem_next_own(slot, &at, end, &own)) {
            struct scan_args args = {
                .flags = flags,
                .start = origin + (uint64_t)own.first,
                .end = origin + (uint64_t)own.end,
                .category_inverted = SCAN_IS_FILE | SCAN_IS_ZERO,
                .category_mask = SCAN_IS_WRITTEN | SCAN_IS_FILE | SCAN_IS_ZERO,
                .category_anyof_mask = SCAN_IS_PRESENT | SCAN_IS_SWAPPED, /* what is there */
                .return_mask = SCAN_IS_WRITTEN,
            };

            err = scan(&args, origin, out, &is_refused);
        }
    }
    return err;
}

/* Only WRITTEN is asked for: then the kernel also tells of pages whose entry it has lost
 * (reclaimed since they were written), as all others have a protected one. */
int
mem_scan_take(const uint8_t *place, uint64_t bytes, struct mem_spans *out)
{
    bool is_refused = false;
    struct scan_args args = {
        .flags = SCAN_WP_MATCHING | SCAN_CHECK_ASYNC,
        .start = (uintptr_t)place,
        .end = (uintptr_t)place + bytes,
        .category_mask = SCAN_IS_WRITTEN,
        .return_mask = SCAN_IS_WRITTEN,
    };

    return scan(&args, (uintptr_t)place, out, &is_refused);
}

int
mem_scan_protect_all(const uint8_t *place, uint64_t bytes)
{
    bool is_refused = false;
    struct scan_args args = {
        .flags = SCAN_WP_MATCHING | SCAN_CHECK_ASYNC,
        .start = (uintptr_t)place,
        .end = (uintptr_t)place + bytes,
    };

    return scan(&args, (uintptr_t)place, NULL, &is_refused);
}

int
mem_scan_protect(const struct mem_slot *slot)
{
    return scan_unprotected(slot, SCAN_WP_MATCHING | SCAN_CHECK_ASYNC, NULL);
}

int
mem_scan_unprotected(const struct mem_slot *slot, struct mem_spans *out)
{
    return scan_unprotected(slot, 0, out);
}
