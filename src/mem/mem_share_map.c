/* SPDX-License-Identifier: Apache-2.0
 *
 * Shares in windows of slots.
 *
 * What a slot has of its own (written pages, bytes from files) ends where a share begins, so
 * freezing, deltas, resetting and tracking walk over the parts between the shares
 * (mem_next_own) and know nothing else of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/fault.h"
#include "mem/mem_share_internal.h"

static int64_t
end_of(const struct mem_map *map)
{
    return map->offset + (int64_t)map->bytes;
}

/* ------------------------------------------------------------------------- looking */

bool
mem_next_own(const struct mem_slot *slot, int64_t *at, int64_t end, struct mem_span *own)
{
    for (const struct mem_map *map = slot->shares; map != NULL && *at < end; map = map->next) {
        int64_t first = *at;

        if (end_of(map) <= first)
            continue;
        if (map->offset >= end)
            break;
        *at = end_of(map);
        if (map->offset > first) {
            *own = (struct mem_span){first, map->offset};
            return true;
        }
    }
    if (*at >= end)
        return false;
    *own = (struct mem_span){*at, end};
    *at = end;
    return true;
}

/* The first map that reaches past an offset. */
static struct mem_map *
find_from(const struct mem_slot *slot, int64_t offset)
{
    struct mem_map *map = slot->shares;

    while (map != NULL && end_of(map) <= offset)
        map = map->next;
    return map;
}

bool
mem_has_share(const struct mem_slot *slot, int64_t first, int64_t end)
{
    const struct mem_map *map = find_from(slot, first);

    return map != NULL && map->offset < end;
}

uint64_t
mem_window_absent(const struct mem_slot *slot, unsigned window, uint64_t offset, uint64_t bytes,
                  struct mem_share **share)
{
    int64_t first = mem_window_offset(window) + (int64_t)offset, end = first + (int64_t)bytes;

    for (const struct mem_map *map = find_from(slot, first); map != NULL && map->offset < end;
         map = map->next) {
        int64_t from = first > map->offset ? first : map->offset;
        int64_t to = end < end_of(map) ? end : end_of(map);
        uint64_t absent = mem_share_absent(
            map->share, map->share_offset + (uint64_t)(from - map->offset), (uint64_t)(to - from));

        if (absent != UINT64_MAX) {
            *share = map->share;
            return absent;
        }
    }
    return UINT64_MAX;
}

bool
mem_window_is_writable(const struct mem_slot *slot, unsigned window, uint64_t offset,
                       uint64_t bytes)
{
    int64_t first = mem_window_offset(window) + (int64_t)offset, end = first + (int64_t)bytes;

    for (const struct mem_map *map = find_from(slot, first); map != NULL && map->offset < end;
         map = map->next)
        if (!map->is_writable)
            return false;
    return true;
}

bool
mem_share_fault(const struct mem_slot *slot, uintptr_t address, struct mem_share **share,
                uint64_t *offset)
{
    int64_t at = (int64_t)(address - (uintptr_t)slot->origin);
    const struct mem_map *map = find_from(slot, at);

    if (map == NULL || map->offset > at || map->share->present == NULL)
        return false;
    *share = map->share;
    *offset = (map->share_offset + (uint64_t)(at - map->offset)) / MEM_PAGE_BYTES * MEM_PAGE_BYTES;
    return true;
}

bool
mem_share_is_read_only(const struct mem_slot *slot, uintptr_t address)
{
    int64_t at = (int64_t)(address - (uintptr_t)slot->origin);
    const struct mem_map *map = find_from(slot, at);

    return map != NULL && map->offset <= at && !map->is_writable;
}

bool
mem_slot_share(const struct mem_slot *slot, unsigned number, struct mem_place *out)
{
    const struct mem_map *map = slot->shares;

    for (; map != NULL && number > 0; number--)
        map = map->next;
    if (map == NULL)
        return false;
    *out = (struct mem_place){
        .share = map->share,
        .share_offset = map->share_offset,
        .window = (unsigned)(map->offset / mem_window_offset(1)),
        .offset = (uint64_t)(map->offset % mem_window_offset(1)),
        .bytes = map->bytes,
        .is_writable = map->is_writable,
    };
    return true;
}

static bool
has_room(const struct mem_slot *slot)
{
    struct mem_place place;

    return !mem_slot_share(slot, MEM_SHARES_MAX - 1, &place);
}

/* ------------------------------------------------------------------------- mapping */

static bool
is_range(const struct mem_slot *slot, unsigned window, uint64_t offset, uint64_t bytes)
{
    uint64_t usable = mem_window_bytes(slot, window);

    return offset % MEM_PAGE_BYTES == 0 && bytes % MEM_PAGE_BYTES == 0 && bytes > 0 &&
           offset <= usable && bytes <= usable - offset;
}

static bool
map_zeros(const struct mem_slot *slot, int64_t first, int64_t end)
{
    return mmap(slot->origin + first, (size_t)(end - first), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static void
enlist(struct mem_slot *slot, struct mem_map *map)
{
    struct mem_map **at = &slot->shares;

    while (*at != NULL && (*at)->offset < map->offset)
        at = &(*at)->next;
    map->next = *at;
    *at = map;
    map->next_user = map->share->users;
    map->share->users = map;
}

static void
leave_users(struct mem_map *map)
{
    struct mem_map **at = &map->share->users;

    while (*at != map)
        at = &(*at)->next_user;
    *at = map->next_user;
}

/* Under the lock: no fill may come between looking at what is there and being known. */
static int
map_share(struct mem_slot *slot, struct mem_map *map, struct mem_runs *base)
{
    const struct mem_share *share = map->share;
    void *place =
        mmap(slot->origin + map->offset, map->bytes, share_way_protection(share, map->is_writable),
             MAP_SHARED | MAP_NORESERVE | MAP_FIXED, share->fd, (off_t)map->share_offset);
    int err;

    if (place == MAP_FAILED)
        return -ENOMEM;
    /* From here on the slot is not what it was. */
    if (base != NULL) {
        mem_runs_fini(&slot->base);
        slot->base = *base;
        *base = (struct mem_runs){0};
        slot->restored_from = 0;
    }
    err = share_way_attach(map);
    if (err == 0)
        enlist(slot, map);
    else
        ASSERT(map_zeros(slot, map->offset, end_of(map)));
    return err;
}

static bool
has_base(const struct mem_slot *slot, int64_t first, int64_t end)
{
    for (size_t i = 0; i < slot->base.count; i++) {
        const struct mem_run *run = &slot->base.runs[i];

        if (run->offset < end && run->offset + (int64_t)run->bytes > first)
            return true;
    }
    return false;
}

static int
share_range(struct mem_slot *slot, struct mem_map *map)
{
    bool has_files = has_base(slot, map->offset, end_of(map));
    struct mem_runs base = {0};
    int err = fault_point("mem.share.map");

    if (err == 0 && has_files)
        err = mem_runs_copy_outside(&slot->base, map->offset, end_of(map), &base);
    if (err != 0)
        return err;
    (void)pthread_mutex_lock(&map->share->lock);
    err = map_share(slot, map, has_files ? &base : NULL);
    (void)pthread_mutex_unlock(&map->share->lock);
    mem_runs_fini(&base);
    return err;
}

int
mem_window_share(struct mem_slot *slot, unsigned window, uint64_t offset, uint64_t bytes,
                 struct mem_share *share, uint64_t share_offset, bool is_writable)
{
    struct mem_map *map;
    int err;

    if (!is_range(slot, window, offset, bytes) || share_offset % MEM_PAGE_BYTES != 0 ||
        share_offset > share->bytes || bytes > share->bytes - share_offset)
        return -EINVAL;
    if (!has_room(slot))
        return -ENOSPC;
    map = calloc(1, sizeof(*map));
    if (map == NULL)
        return -ENOMEM;
    *map = (struct mem_map){
        .share = mem_share_get(share),
        .origin = slot->origin,
        .offset = mem_window_offset(window) + (int64_t)offset,
        .bytes = bytes,
        .share_offset = share_offset,
        .is_writable = is_writable,
    };
    err = mem_has_share(slot, map->offset, end_of(map)) ? -EINVAL : share_range(slot, map);
    if (err != 0) {
        mem_share_put(share);
        free(map);
    }
    return err;
}

/* ------------------------------------------------------------------------ letting go */

/* What is behind `end` of a map that loses its middle. */
static void
split(struct mem_map *map, int64_t end, struct mem_map *tail)
{
    *tail = *map;
    tail->share = mem_share_get(map->share);
    tail->share_offset += (uint64_t)(end - map->offset);
    tail->offset = end;
    tail->bytes = (uint64_t)(end_of(map) - end);
    map->next = tail;
    map->next_user = tail;
}

/* The map loses [first, end), some of it. *tail is taken (set to NULL) where it has a part on
 * either side. True: nothing is left, it is in no list. Under the lock. */
static bool
cut(struct mem_map **at, int64_t first, int64_t end, struct mem_map **tail)
{
    struct mem_map *map = *at;

    if (first <= map->offset && end >= end_of(map)) {
        *at = map->next;
        leave_users(map);
        return true;
    }
    if (first <= map->offset) {
        map->share_offset += (uint64_t)(end - map->offset);
        map->bytes -= (uint64_t)(end - map->offset);
        map->offset = end;
        return false;
    }
    if (end < end_of(map)) {
        split(map, end, *tail);
        *tail = NULL;
    }
    map->bytes = (uint64_t)(first - map->offset);
    return false;
}

/* [first, end) of the map at *at is the slot's own again. Under the lock in one, so that no
 * fill opens pages of what is not the share any more. *is_gone: nothing of it is left. */
static int
release(struct mem_slot *slot, struct mem_map **at, struct mem_span part, struct mem_map **tail,
        bool *is_gone)
{
    struct mem_map *map = *at;
    struct mem_share *share = map->share;
    int err = 0;

    (void)pthread_mutex_lock(&share->lock);
    share_way_collect(map, part.first, part.end);
    if (map_zeros(slot, part.first, part.end))
        *is_gone = cut(at, part.first, part.end, tail);
    else
        err = -ENOMEM;
    (void)pthread_mutex_unlock(&share->lock);
    if (err != 0)
        return err;
    mem_track_renew(slot, part.first, part.end);
    if (*is_gone) {
        free(map);
        mem_share_put(share);
    }
    return 0;
}

static int
release_range(struct mem_slot *slot, int64_t first, int64_t end, struct mem_map **tail)
{
    struct mem_map **at = &slot->shares;

    while (*at != NULL && (*at)->offset < end) {
        struct mem_map *map = *at;
        struct mem_span part = {first > map->offset ? first : map->offset,
                                end < end_of(map) ? end : end_of(map)};
        bool is_gone = false;
        int err = part.first < part.end ? release(slot, at, part, tail, &is_gone) : 0;

        if (err != 0)
            return err;
        if (!is_gone)
            at = &map->next;
    }
    return 0;
}

int
mem_window_unshare(struct mem_slot *slot, unsigned window, uint64_t offset, uint64_t bytes)
{
    int64_t first = mem_window_offset(window) + (int64_t)offset, end = first + (int64_t)bytes;
    struct mem_map *tail;
    int64_t at = first;
    struct mem_span own;
    int err;

    if (!is_range(slot, window, offset, bytes))
        return -EINVAL;
    /* All of it: what is the slot's own would be lost. */
    if (mem_next_own(slot, &at, end, &own))
        return -EINVAL;
    err = fault_point("mem.share.unmap");
    if (err != 0)
        return err;
    tail = calloc(1, sizeof(*tail));
    if (tail == NULL)
        return -ENOMEM;
    err = release_range(slot, first, end, &tail);
    free(tail);
    return err;
}

int
mem_maps_reset(struct mem_slot *slot)
{
    struct mem_map *none = NULL;

    return release_range(slot, INT64_MIN, INT64_MAX, &none);
}

void
mem_maps_drop(struct mem_slot *slot)
{
    while (slot->shares != NULL) {
        struct mem_map *map = slot->shares;
        struct mem_share *share = map->share;

        (void)pthread_mutex_lock(&share->lock);
        share_way_collect(map, map->offset, end_of(map));
        (void)cut(&slot->shares, INT64_MIN, INT64_MAX, NULL);
        (void)pthread_mutex_unlock(&share->lock);
        free(map);
        mem_share_put(share);
    }
}
