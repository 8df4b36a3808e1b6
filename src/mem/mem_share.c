/* SPDX-License-Identifier: Apache-2.0
 *
 * Shares: what is there, what is not yet, what was written.
 *
 * Pages are filled through the share's own view, one step for everybody: a page is absent or
 * it is there with all its bytes. A page that is there never becomes absent again, so whoever
 * has looked (mem_share_absent) may touch.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "mem/mem_share_internal.h"

#define BITS        64u
#define BYTES_MAX   MEM_WINDOW_BYTES
#define FULL(count) ((count) == BITS ? UINT64_MAX : (UINT64_C(1) << (count)) - 1)

static size_t
words_of(const struct mem_share *share)
{
    return (size_t)ROUND_UP(share->bytes / MEM_PAGE_BYTES, (uint64_t)BITS) / BITS;
}

static int
make_bits(struct mem_share *share, bool is_lazy)
{
    size_t words = words_of(share);

    share->written = calloc(words, sizeof(*share->written));
    if (share->written == NULL)
        return -ENOMEM;
    if (!is_lazy)
        return 0;
    share->present = calloc(words, sizeof(*share->present));
    if (share->present == NULL)
        return -ENOMEM;
    atomic_init(&share->absent, share->bytes / MEM_PAGE_BYTES);
    return 0;
}

static int
make_file(struct mem_share *share)
{
    void *view;

    share->fd = memfd_create("weft-share", MFD_CLOEXEC);
    if (share->fd < 0 || ftruncate(share->fd, (off_t)share->bytes) != 0)
        return -errno;
    view =
        mmap(NULL, share->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, share->fd, 0);
    if (view == MAP_FAILED)
        return -ENOMEM;
    share->view = view;
    return share->present != NULL ? share_way_view(share) : 0;
}

static void
destroy(struct mem_share *share)
{
    ASSERT(share->users == NULL);
    if (share->view != NULL)
        (void)munmap(share->view, share->bytes);
    if (share->fd >= 0)
        (void)close(share->fd);
    free((void *)share->present);
    free(share->written);
    (void)pthread_mutex_destroy(&share->lock);
    free(share);
}

int
mem_share_create(uint64_t bytes, bool is_lazy, struct mem_share **out)
{
    struct mem_share *share;
    int err;

    if (bytes == 0 || bytes > BYTES_MAX)
        return -EINVAL;
    share = calloc(1, sizeof(*share));
    if (share == NULL)
        return -ENOMEM;
    atomic_init(&share->references, 1);
    (void)pthread_mutex_init(&share->lock, NULL);
    share->fd = -1;
    share->bytes = ROUND_UP(bytes, MEM_PAGE_BYTES);
    err = fault_point("mem.share.create");
    if (err == 0)
        err = make_bits(share, is_lazy);
    if (err == 0)
        err = make_file(share);
    if (err != 0) {
        destroy(share);
        return err;
    }
    *out = share;
    return 0;
}

bool
mem_share_is_lazy(const struct mem_share *share)
{
    return share->present != NULL;
}

struct mem_share *
mem_share_get(struct mem_share *share)
{
    (void)atomic_fetch_add_explicit(&share->references, 1, memory_order_relaxed);
    return share;
}

void
mem_share_put(struct mem_share *share)
{
    /* Pairs with the other puts: the last one sees what all did before. */
    if (share != NULL &&
        atomic_fetch_sub_explicit(&share->references, 1, memory_order_acq_rel) == 1)
        destroy(share);
}

uint8_t *
mem_share_bytes(const struct mem_share *share)
{
    return share->view;
}

uint64_t
mem_share_size(const struct mem_share *share)
{
    return share->bytes;
}

/* ----------------------------------------------------------------------- what is there */

void
share_note_present(struct mem_share *share, uint64_t first, uint64_t end)
{
    while (first < end) {
        uint64_t left = end - first, in = BITS - first % BITS;
        uint64_t count = left < in ? left : in;
        uint64_t mask = FULL(count) << first % BITS;
        /* Pairs with the looks: who sees the bit finds the page. */
        uint64_t old =
            atomic_fetch_or_explicit(&share->present[first / BITS], mask, memory_order_acq_rel);

        (void)atomic_fetch_sub(&share->absent, (uint64_t)__builtin_popcountll(mask & ~old));
        first += count;
    }
}

/* The first page in [first, end) that is there, or is not; else end. */
uint64_t
share_find(const struct mem_share *share, uint64_t first, uint64_t end, bool is_present)
{
    while (first < end) {
        uint64_t word = atomic_load_explicit(&share->present[first / BITS], memory_order_acquire);
        uint64_t wanted = (is_present ? word : ~word) >> first % BITS;

        if (wanted != 0) {
            first += (uint64_t)__builtin_ctzll(wanted);
            return first < end ? first : end;
        }
        first += BITS - first % BITS;
    }
    return end;
}

/* Pages that [offset, offset + bytes) touches, cut to the share. */
static void
pages_of(const struct mem_share *share, uint64_t offset, uint64_t bytes, uint64_t *first,
         uint64_t *end)
{
    uint64_t last =
        offset < share->bytes && bytes < share->bytes - offset ? offset + bytes : share->bytes;

    *first = offset / MEM_PAGE_BYTES;
    *end = bytes == 0 ? *first : ROUND_UP(last, MEM_PAGE_BYTES) / MEM_PAGE_BYTES;
}

uint64_t
mem_share_absent(const struct mem_share *share, uint64_t offset, uint64_t bytes)
{
    uint64_t first, end, page;

    if (share->present == NULL || atomic_load_explicit(&share->absent, memory_order_acquire) == 0)
        return UINT64_MAX;
    pages_of(share, offset, bytes, &first, &end);
    page = share_find(share, first, end, false);
    return page < end ? page * MEM_PAGE_BYTES : UINT64_MAX;
}

int
mem_share_fill(struct mem_share *share, uint64_t offset, const void *bytes, uint64_t count)
{
    const uint8_t *from = bytes;
    uint64_t whole, rest = count % MEM_PAGE_BYTES;
    uint8_t last[MEM_PAGE_BYTES];
    int err = fault_point("mem.share.fill");

    if (offset % MEM_PAGE_BYTES != 0 || offset > share->bytes || count > share->bytes - offset ||
        (rest != 0 && share->bytes - offset - count >= MEM_PAGE_BYTES))
        return -EINVAL;
    if (share->present == NULL || count == 0)
        return 0;
    whole = count - rest;
    if (err == 0 && whole > 0)
        err = share_way_fill(share, offset, from, whole);
    if (err != 0 || rest == 0)
        return err;
    (void)memcpy(last, from + whole, rest);
    (void)memset(last + rest, 0, MEM_PAGE_BYTES - rest);
    return share_way_fill(share, offset + whole, last, MEM_PAGE_BYTES);
}

/* ---------------------------------------------------------------------- what was written */

void
share_note_written(struct mem_share *share, uint64_t first, uint64_t end)
{
    while (first < end) {
        uint64_t left = end - first, in = BITS - first % BITS;
        uint64_t count = left < in ? left : in;

        share->written[first / BITS] |= FULL(count) << first % BITS;
        first += count;
    }
}

static uint64_t
find_bit(const uint64_t *bits, uint64_t first, uint64_t end, bool is_set)
{
    while (first < end) {
        uint64_t word = bits[first / BITS];
        uint64_t wanted = (is_set ? word : ~word) >> first % BITS;

        if (wanted != 0) {
            first += (uint64_t)__builtin_ctzll(wanted);
            return first < end ? first : end;
        }
        first += BITS - first % BITS;
    }
    return end;
}

static void
visit_runs(const uint64_t *bits, uint64_t pages, mem_visit_fn visit, void *context)
{
    uint64_t first = find_bit(bits, 0, pages, true);

    while (first < pages) {
        uint64_t end = find_bit(bits, first, pages, false);

        visit(context, (int64_t)(first * MEM_PAGE_BYTES), (end - first) * MEM_PAGE_BYTES);
        first = find_bit(bits, end, pages, true);
    }
}

int
mem_share_written(struct mem_share *share, mem_visit_fn visit, void *context)
{
    uint64_t *fresh, *told;

    if (fault_point("mem.share.written") != 0)
        return -ENOMEM;
    fresh = calloc(words_of(share), sizeof(*fresh));
    if (fresh == NULL)
        return -ENOMEM;
    (void)pthread_mutex_lock(&share->lock);
    for (struct mem_map *map = share->users; map != NULL; map = map->next_user)
        share_way_collect(map, map->offset, map->offset + (int64_t)map->bytes);
    told = share->written;
    share->written = fresh;
    (void)pthread_mutex_unlock(&share->lock);
    visit_runs(told, share->bytes / MEM_PAGE_BYTES, visit, context);
    free(told);
    return 0;
}
