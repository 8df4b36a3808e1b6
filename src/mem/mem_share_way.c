/* SPDX-License-Identifier: Apache-2.0
 *
 * How absent pages fault and how writes are found.
 *
 * MEM_SHARE_UFFD: every mapping is registered with one userfaultfd. MISSING with SIGBUS: a page
 * that the file does not have is a signal and no message to anybody; it is put there with
 * UFFDIO_COPY, at once and whole. Writable mappings are write-protected asynchronously, also
 * where nothing is mapped yet (markers): the kernel takes the protection away by itself at the
 * first write and PAGEMAP_SCAN tells where it is gone. Protection is of a mapping and not of
 * the share, so each one is asked.
 *
 * MEM_SHARE_PROTECT: absent pages have no access in any mapping but the share's own view. Every
 * page that is mapped writable counts as written: who asks compares anyway.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "mem/mem_share_internal.h"

/* From headers newer than the oldest system we build on. */
#define FEATURE_MISSING_SHMEM (UINT64_C(1) << 5)
#define FEATURE_SIGBUS        (UINT64_C(1) << 7)
#define FEATURE_WP_SHMEM      (UINT64_C(1) << 12)
#define FEATURE_WP_ASYNC      (UINT64_C(1) << 15)
#define USER_MODE_ONLY        1
#define POPULATE_READ         22

/* Mapping what is there at once costs a fourth of the faults that it saves. Not for large
 * ones, of which a call may touch little. */
#define POPULATE_BYTES_MAX (UINT64_C(2) << 20)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int fault_fd = -1;
static enum mem_share_way way;

/* -------------------------------------------------------------------------- which way */

static int
open_userfault(void)
{
    struct uffdio_api api = {
        .api = UFFD_API,
        .features = FEATURE_MISSING_SHMEM | FEATURE_SIGBUS | FEATURE_WP_SHMEM | FEATURE_WP_ASYNC |
                    UFFD_FEATURE_PAGEFAULT_FLAG_WP,
    };
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);

    if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* Of a whole process, as WEFT_STRESS=move=1 is. */
static bool
is_protection_wanted(void)
{
    const char *stress = getenv("WEFT_STRESS");

    return stress != NULL && strstr(stress, "share=protect") != NULL;
}

static void
choose(void)
{
    fault_fd = open_userfault();
    if (is_protection_wanted()) {
        way = MEM_SHARE_PROTECT;
        return;
    }
    way = fault_fd >= 0 && mem_scan_is_quick() ? MEM_SHARE_UFFD : MEM_SHARE_PROTECT;
}

/* The descriptor is of the parent's memory. */
static void
forget(void)
{
    fault_fd = -1;
    once = (pthread_once_t)PTHREAD_ONCE_INIT;
}

static void
choose_once(void)
{
    choose();
    (void)pthread_atfork(NULL, NULL, forget);
}

enum mem_share_way
mem_share_way(void)
{
    (void)pthread_once(&once, choose_once);
    return way;
}

int
mem_share_choose(enum mem_share_way wanted)
{
    (void)pthread_once(&once, choose_once);
    if (wanted == MEM_SHARE_UFFD && (fault_fd < 0 || !mem_scan_is_quick()))
        return -ENOSYS;
    way = wanted;
    return 0;
}

/* ---------------------------------------------------------------------------- mapping */

static int
register_range(const uint8_t *place, uint64_t bytes, uint64_t mode)
{
    struct uffdio_register range = {.range = {(uintptr_t)place, bytes}, .mode = mode};

    return ioctl(fault_fd, UFFDIO_REGISTER, &range) == 0 ? 0 : -errno;
}

int
share_way_view(const struct mem_share *share)
{
    if (mem_share_way() == MEM_SHARE_PROTECT)
        return 0;
    return register_range(share->view, share->bytes, UFFDIO_REGISTER_MODE_MISSING);
}

int
share_way_protection(const struct mem_share *share, bool is_writable)
{
    if (mem_share_way() == MEM_SHARE_PROTECT && share->present != NULL)
        return PROT_NONE;
    return is_writable ? PROT_READ | PROT_WRITE : PROT_READ;
}

static int
attach_registered(const struct mem_map *map, uint8_t *place)
{
    uint64_t mode = map->is_writable ? UFFDIO_REGISTER_MODE_WP : 0;
    int err;

    if (map->share->present != NULL)
        mode |= UFFDIO_REGISTER_MODE_MISSING;
    if (mode == 0)
        return 0;
    err = register_range(place, map->bytes, mode);
    if (err != 0 || !map->is_writable)
        return err;
    if (map->bytes <= POPULATE_BYTES_MAX)
        (void)madvise(place, map->bytes, POPULATE_READ); /* as far as it goes */
    return mem_scan_protect_all(place, map->bytes);
}

/* Gives access to the pages of [first, end) that are there, where the map has them. */
static int
open_pages(const struct mem_map *map, uint64_t first, uint64_t end)
{
    uint64_t map_first = map->share_offset / MEM_PAGE_BYTES;
    uint64_t map_end = map_first + map->bytes / MEM_PAGE_BYTES;
    int protection = map->is_writable ? PROT_READ | PROT_WRITE : PROT_READ;
    uint8_t *place = map->origin + map->offset;

    first = first > map_first ? first : map_first;
    end = end < map_end ? end : map_end;
    if (first >= end)
        return 0;
    return mprotect(place + (first - map_first) * MEM_PAGE_BYTES, (end - first) * MEM_PAGE_BYTES,
                    protection) == 0
               ? 0
               : -errno;
}

static int
attach_protected(const struct mem_map *map)
{
    uint64_t at = map->share_offset / MEM_PAGE_BYTES;
    uint64_t end = at + map->bytes / MEM_PAGE_BYTES;
    int err = 0;

    if (map->share->present == NULL)
        return 0;
    for (;;) {
        uint64_t first = share_find(map->share, at, end, true);

        if (first == end || err != 0)
            return err;
        at = share_find(map->share, first, end, false);
        err = open_pages(map, first, at);
    }
}

int
share_way_attach(const struct mem_map *map)
{
    int err = fault_point("mem.share.attach");

    if (err != 0)
        return err;
    return mem_share_way() == MEM_SHARE_UFFD ? attach_registered(map, map->origin + map->offset)
                                             : attach_protected(map);
}

/* --------------------------------------------------------------------------- written */

static void
note_all_present(const struct mem_map *map, uint64_t at, uint64_t end)
{
    if (map->share->present == NULL) {
        share_note_written(map->share, at, end);
        return;
    }
    for (;;) {
        uint64_t first = share_find(map->share, at, end, true);

        if (first == end)
            return;
        at = share_find(map->share, first, end, false);
        share_note_written(map->share, first, at);
    }
}

void
share_way_collect(const struct mem_map *map, int64_t first, int64_t end)
{
    uint64_t page = (map->share_offset + (uint64_t)(first - map->offset)) / MEM_PAGE_BYTES;
    struct mem_spans spans = {0};
    int err = -ENOSYS;

    if (!map->is_writable)
        return;
    if (mem_share_way() == MEM_SHARE_UFFD)
        err = mem_scan_take(map->origin + first, (uint64_t)(end - first), &spans);
    if (err != 0)
        note_all_present(map, page, page + (uint64_t)(end - first) / MEM_PAGE_BYTES);
    for (size_t i = 0; i < spans.count && err == 0; i++)
        share_note_written(map->share, page + (uint64_t)spans.spans[i].first / MEM_PAGE_BYTES,
                           page + (uint64_t)spans.spans[i].end / MEM_PAGE_BYTES);
    mem_spans_fini(&spans);
}

/* ---------------------------------------------------------------------------- filling */

/* *done: bytes that are there now, by us. -EEXIST: the first page is there already. */
static int
copy_pages(uint8_t *to, const uint8_t *from, uint64_t bytes, uint64_t *done)
{
    struct uffdio_copy copy = {
        .dst = (uintptr_t)to,
        .src = (uintptr_t)from,
        .len = bytes,
        .mode = UFFDIO_COPY_MODE_DONTWAKE, /* nobody waits */
    };
    int err = ioctl(fault_fd, UFFDIO_COPY, &copy) == 0 ? 0 : -errno;

    *done = copy.copy > 0 ? (uint64_t)copy.copy : 0;
    if (*done > 0 || err == -EAGAIN)
        return 0;
    return err;
}

static int
fill_registered(struct mem_share *share, uint64_t offset, const uint8_t *bytes, uint64_t count)
{
    uint64_t at = offset / MEM_PAGE_BYTES, end = at + count / MEM_PAGE_BYTES;

    for (;;) {
        uint64_t first = share_find(share, at, end, false), done;
        uint64_t last;
        int err;

        if (first == end)
            return 0;
        /* By now somebody may have put the first one there: it is asked for all the same. */
        last = share_find(share, first + 1, end, true);
        err = copy_pages(share->view + first * MEM_PAGE_BYTES,
                         bytes + (first * MEM_PAGE_BYTES - offset), (last - first) * MEM_PAGE_BYTES,
                         &done);
        if (err == -EEXIST) /* somebody else's, who has not noted it yet */
            done = MEM_PAGE_BYTES;
        else if (err != 0)
            return err == -EFAULT ? err : -ENOMEM;
        at = first + done / MEM_PAGE_BYTES;
        share_note_present(share, first, at);
    }
}

static int
open_everywhere(struct mem_share *share, uint64_t first, uint64_t end)
{
    int err = 0;

    for (struct mem_map *map = share->users; map != NULL && err == 0; map = map->next_user)
        err = open_pages(map, first, end);
    return err == 0 ? 0 : -ENOMEM;
}

/* Where opening fails in the middle, who has access sees the bytes, and the pages count as
 * absent still: filling them again leaves them alone for it. */
static int
fill_protected(struct mem_share *share, uint64_t offset, const uint8_t *bytes, uint64_t count)
{
    uint64_t at = offset / MEM_PAGE_BYTES, end = at + count / MEM_PAGE_BYTES;
    int err = 0;

    (void)pthread_mutex_lock(&share->lock);
    while (err == 0) {
        uint64_t first = share_find(share, at, end, false);

        if (first == end)
            break;
        at = share_find(share, first, end, true);
        (void)memcpy(share->view + first * MEM_PAGE_BYTES,
                     bytes + (first * MEM_PAGE_BYTES - offset), (at - first) * MEM_PAGE_BYTES);
        err = open_everywhere(share, first, at);
        if (err == 0)
            share_note_present(share, first, at);
    }
    (void)pthread_mutex_unlock(&share->lock);
    return err;
}

int
share_way_fill(struct mem_share *share, uint64_t offset, const uint8_t *bytes, uint64_t count)
{
    return mem_share_way() == MEM_SHARE_UFFD ? fill_registered(share, offset, bytes, count)
                                             : fill_protected(share, offset, bytes, count);
}
