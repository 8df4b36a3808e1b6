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
#define SCAN_IS_FILE    (1u << 2)
#define SCAN_IS_PRESENT (1u << 3)
#define SCAN_IS_SWAPPED (1u << 4)
#define SCAN_IS_ZERO    (1u << 5)

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

int
mem_scan(const struct mem_slot *slot, int64_t first, int64_t end, struct mem_spans *out)
{
    struct scan_region regions[REGIONS_PER_CALL];
    uintptr_t origin = (uintptr_t)slot->origin;
    struct scan_args args = {
        .size = sizeof(args),
        .start = origin + (uint64_t)first,
        .end = origin + (uint64_t)end,
        .vec = (uintptr_t)regions,
        .vec_len = REGIONS_PER_CALL,
        .category_inverted = SCAN_IS_FILE | SCAN_IS_ZERO,
        .category_mask = SCAN_IS_FILE | SCAN_IS_ZERO,
        .category_anyof_mask = SCAN_IS_PRESENT | SCAN_IS_SWAPPED,
        .return_mask = SCAN_IS_PRESENT,
    };
    int err = 0;

    (void)pthread_once(&pagemap_once, open_once);
    while (args.start < args.end && err == 0) {
        int count = ioctl(pagemap_fd, SCAN_REQUEST, &args);

        if (count < 0)
            return mem_scan_pagemap(slot, (int64_t)(args.start - origin), end, out);
        for (int i = 0; i < count && err == 0; i++)
            err = mem_spans_append(out, (int64_t)(regions[i].start - origin),
                                   (int64_t)(regions[i].end - origin));
        args.start = args.walk_end;
    }
    return err;
}
