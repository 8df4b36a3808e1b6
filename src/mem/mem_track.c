/* SPDX-License-Identifier: Apache-2.0
 *
 * What was written since when.
 *
 * MEM_TRACK_SCAN: the kernel write-protects pages and takes the protection away by
 * itself at the first write (userfaultfd, WP_ASYNC); PAGEMAP_SCAN tells where it is
 * gone. Pages that were only read from a file count as written there and are sorted
 * out by not being private.
 *
 * MEM_TRACK_FAULT: pages are read-only, a write faults, and the handler notes it.
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

#include "base/assert.h"
#include "base/fault.h"
#include "mem/mem_internal.h"

/* From headers newer than the oldest system we build on. */
#define TRACK_FEATURE_WP_SHMEM (UINT64_C(1) << 12)
#define TRACK_FEATURE_WP_ASYNC (UINT64_C(1) << 15)
#define TRACK_USER_MODE_ONLY   1
#define BITS                   64u

struct mem_tracker {
    struct mem_tracker *next; /* registry, MEM_TRACK_FAULT only */
    struct mem_slot *slot;
    uint64_t window_bytes[MEM_WINDOWS_MAX]; /* when it was started: what is protected */
    _Atomic uint64_t *written;              /* owned; a bit a page of what is protected */
    size_t page_count;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int fault_fd = -1;
static enum mem_track_way way;

/* Written under the lock, read by signal handlers without. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct mem_tracker *) registry;

static int
open_userfault(void)
{
    struct uffdio_api api = {
        .api = UFFD_API,
        .features =
            TRACK_FEATURE_WP_ASYNC | TRACK_FEATURE_WP_SHMEM | UFFD_FEATURE_PAGEFAULT_FLAG_WP,
    };
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | TRACK_USER_MODE_ONLY);

    if (fd < 0)
        return -ENOSYS;
    if (ioctl(fd, UFFDIO_API, &api) != 0) {
        (void)close(fd);
        return -ENOSYS;
    }
    return fd;
}

static void
choose_once(void)
{
    fault_fd = open_userfault();
    way = fault_fd >= 0 && mem_scan_is_quick() ? MEM_TRACK_SCAN : MEM_TRACK_FAULT;
}

enum mem_track_way
mem_track_way(void)
{
    (void)pthread_once(&once, choose_once);
    return way;
}

int
mem_track_choose(enum mem_track_way wanted)
{
    (void)pthread_once(&once, choose_once);
    if (wanted == MEM_TRACK_SCAN && (fault_fd < 0 || !mem_scan_is_quick()))
        return -ENOSYS;
    way = wanted;
    return 0;
}

/* ------------------------------------------------------------------- by the kernel */

static int
register_part(const struct mem_slot *slot, int64_t first, int64_t end)
{
    struct uffdio_register part = {
        .range = {(uintptr_t)slot->origin + (uint64_t)first,
                  ROUND_UP((uint64_t)(end - first), MEM_PAGE_BYTES)},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };

    return ioctl(fault_fd, UFFDIO_REGISTER, &part) == 0 ? 0 : -errno;
}

/* Shares are registered elsewhere. */
static int
start_scan(struct mem_slot *slot)
{
    int64_t at = slot->reservation - slot->origin, end = at + (int64_t)slot->reserved_bytes;
    struct mem_span own;
    int err = 0;

    while (err == 0 && mem_next_own(slot, &at, end, &own))
        err = register_part(slot, own.first, own.end);
    return err != 0 ? err : mem_scan_protect(slot);
}

static void
stop_scan(struct mem_slot *slot)
{
    int64_t at = slot->reservation - slot->origin, end = at + (int64_t)slot->reserved_bytes;
    struct mem_span own;

    while (mem_next_own(slot, &at, end, &own)) {
        struct uffdio_range part = {(uintptr_t)slot->origin + (uint64_t)own.first,
                                    ROUND_UP((uint64_t)(own.end - own.first), MEM_PAGE_BYTES)};

        (void)ioctl(fault_fd, UFFDIO_UNREGISTER, &part);
    }
}

/* -------------------------------------------------------------------- by the faults */

/* Pages that are protected are numbered: below, then each window's. */
static bool
page_number(const struct mem_tracker *tracker, int64_t offset, size_t *number)
{
    size_t before = tracker->slot->below_bytes / MEM_PAGE_BYTES;

    if (offset < 0 && offset >= -(int64_t)tracker->slot->below_bytes) {
        *number = (size_t)(offset + (int64_t)tracker->slot->below_bytes) / MEM_PAGE_BYTES;
        return true;
    }
    for (unsigned i = 0; i < tracker->slot->window_count; i++) {
        int64_t in = offset - mem_window_offset(i);

        if (in >= 0 && (uint64_t)in < tracker->window_bytes[i]) {
            *number = before + (size_t)in / MEM_PAGE_BYTES;
            return true;
        }
        before += tracker->window_bytes[i] / MEM_PAGE_BYTES;
    }
    return false;
}

static int
protect(const struct mem_slot *slot, int protection)
{
    int err = 0;

    for (unsigned i = 0; i < slot->window_count && err == 0; i++) {
        int64_t at = mem_window_offset(i) - (i == 0 ? (int64_t)slot->below_bytes : 0);
        int64_t end = mem_window_offset(i) + (int64_t)slot->window_bytes[i];
        struct mem_span own;

        while (err == 0 && mem_next_own(slot, &at, end, &own))
            err = mprotect(slot->origin + own.first, (size_t)(own.end - own.first), protection);
    }
    return err == 0 ? 0 : -errno;
}

static void
enlist(struct mem_tracker *tracker)
{
    (void)pthread_mutex_lock(&registry_lock);
    tracker->next = atomic_load(&registry);
    atomic_store(&registry, tracker);
    (void)pthread_mutex_unlock(&registry_lock);
}

/* The slot is not running, so no handler looks for it; others walk past it. */
static void
delist(struct mem_tracker *tracker)
{
    struct mem_tracker *at;

    (void)pthread_mutex_lock(&registry_lock);
    at = atomic_load(&registry);
    if (at == tracker) {
        atomic_store(&registry, tracker->next);
    } else {
        while (at != NULL && at->next != tracker)
            at = at->next;
        if (at != NULL)
            at->next = tracker->next;
    }
    (void)pthread_mutex_unlock(&registry_lock);
}

static int
start_fault(struct mem_tracker *tracker)
{
    const struct mem_slot *slot = tracker->slot;
    size_t pages = slot->below_bytes / MEM_PAGE_BYTES;
    _Atomic uint64_t *bits;

    for (unsigned i = 0; i < slot->window_count; i++)
        pages += slot->window_bytes[i] / MEM_PAGE_BYTES;
    bits = calloc(pages / BITS + 1, sizeof(*bits));
    if (bits == NULL)
        return -ENOMEM;
    free((void *)tracker->written);
    tracker->written = bits;
    tracker->page_count = pages;
    (void)memcpy(tracker->window_bytes, slot->window_bytes, sizeof(tracker->window_bytes));
    return protect(slot, PROT_READ);
}

static bool
note(struct mem_tracker *tracker, int64_t offset)
{
    uint8_t *page =
        tracker->slot->origin + offset / (int64_t)MEM_PAGE_BYTES * (int64_t)MEM_PAGE_BYTES;
    size_t number;

    if (!page_number(tracker, offset, &number) || mem_has_share(tracker->slot, offset, offset + 1))
        return false;
    if (offset < 0) /* division rounds towards zero */
        page = tracker->slot->origin - ROUND_UP((uint64_t)-offset, MEM_PAGE_BYTES);
    (void)atomic_fetch_or(&tracker->written[number / BITS], UINT64_C(1) << number % BITS);
    if (mprotect(page, MEM_PAGE_BYTES, PROT_READ | PROT_WRITE) == 0)
        return true;
    /* Too many mappings: all counts as written from here on. */
    for (size_t i = 0; i <= tracker->page_count / BITS; i++)
        atomic_store(&tracker->written[i], UINT64_MAX);
    return protect(tracker->slot, PROT_READ | PROT_WRITE) == 0;
}

bool
mem_track_fault(uintptr_t address)
{
    for (struct mem_tracker *t = atomic_load(&registry); t != NULL; t = t->next) {
        uintptr_t first = (uintptr_t)t->slot->reservation;

        if (address >= first && address < first + t->slot->reserved_bytes)
            return note(t, (int64_t)(address - (uintptr_t)t->slot->origin));
    }
    return false;
}

/* It is zero now, so it counts as written where the pages were noted by faults; the
 * kernel tells of it when it is written. */
void
mem_track_renew(struct mem_slot *slot, int64_t first, int64_t end)
{
    if (slot->track == NULL)
        return;
    if (slot->track->written == NULL)
        (void)register_part(slot, first, end);
    else
        mem_track_touch(slot, slot->origin + first, (size_t)(end - first));
}

void
mem_track_touch(struct mem_slot *slot, const void *address, size_t bytes)
{
    uintptr_t page = (uintptr_t)address / MEM_PAGE_BYTES * MEM_PAGE_BYTES;

    if (slot->track == NULL || slot->track->written == NULL || bytes == 0)
        return;
    for (; page < (uintptr_t)address + bytes; page += MEM_PAGE_BYTES)
        (void)note(slot->track, (int64_t)(page - (uintptr_t)slot->origin));
}

static void
visit_noted(const struct mem_tracker *tracker, int64_t first, uint64_t bytes, size_t number,
            struct mem_spans *out, int *err)
{
    for (uint64_t at = 0; at < bytes && *err == 0; at += MEM_PAGE_BYTES, number++)
        if ((atomic_load(&tracker->written[number / BITS]) >> number % BITS & 1) != 0)
            *err =
                mem_spans_append(out, first + (int64_t)at, first + (int64_t)(at + MEM_PAGE_BYTES));
}

/* What grew since counts where it is private. */
static int
find_noted(const struct mem_tracker *tracker, struct mem_spans *out)
{
    const struct mem_slot *slot = tracker->slot;
    size_t number = slot->below_bytes / MEM_PAGE_BYTES;
    int err = 0;

    visit_noted(tracker, -(int64_t)slot->below_bytes, slot->below_bytes, 0, out, &err);
    for (unsigned i = 0; i < slot->window_count && err == 0; i++) {
        int64_t first = mem_window_offset(i);
        uint64_t old = tracker->window_bytes[i];

        visit_noted(tracker, first, old, number, out, &err);
        number += old / MEM_PAGE_BYTES;
        if (err == 0 && slot->window_bytes[i] > old)
            err = mem_scan(slot, first + (int64_t)old, first + (int64_t)slot->window_bytes[i], out);
    }
    return err;
}

/* ------------------------------------------------------------------------- the door */

int
mem_track_start(struct mem_slot *slot)
{
    bool is_new = slot->track == NULL;
    int err = fault_point("mem.track");

    if (err != 0)
        return err;
    if (is_new)
        slot->track = calloc(1, sizeof(*slot->track));
    if (slot->track == NULL)
        return -ENOMEM;
    slot->track->slot = slot;
    if (mem_track_way() == MEM_TRACK_SCAN) {
        err = start_scan(slot);
    } else {
        err = start_fault(slot->track);
        if (is_new && err == 0)
            enlist(slot->track);
    }
    if (err != 0)
        mem_track_stop(slot);
    return err;
}

void
mem_track_stop(struct mem_slot *slot)
{
    struct mem_tracker *tracker = slot->track;

    if (tracker == NULL)
        return;
    if (tracker->written != NULL) {
        delist(tracker);
        (void)protect(slot, PROT_READ | PROT_WRITE);
    } else {
        stop_scan(slot);
    }
    free((void *)tracker->written);
    free(tracker);
    slot->track = NULL;
}

int
mem_track_written(struct mem_slot *slot, mem_visit_fn visit, void *context)
{
    struct mem_spans spans = {0};
    int err;

    if (slot->track == NULL)
        return -EINVAL;
    if (slot->track->written != NULL)
        err = find_noted(slot->track, &spans);
    else
        err = mem_scan_unprotected(slot, &spans);
    for (size_t i = 0; i < spans.count && err == 0; i++)
        visit(context, spans.spans[i].first, (uint64_t)(spans.spans[i].end - spans.spans[i].first));
    mem_spans_fini(&spans);
    return err;
}
