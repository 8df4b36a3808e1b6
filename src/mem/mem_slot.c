/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/fault.h"
#include "mem/mem_internal.h"

#define RESERVE_FLAGS     (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
#define RANDOM_TRIES      64u
#define RANDOM_FIRST      UINT64_C(0x6b0000000000) /* few integers of guests look like this */
#define RANDOM_END        UINT64_C(0x6d0000000000)
#define STACK_GUARD_BYTES (UINT64_C(1) << 20) /* more than one frame; probes touch each page */
#define STACK_BYTES_MAX   (UINT64_C(1) << 30)

void *
mem_reserve_random(size_t bytes)
{
    for (unsigned i = 0; i < RANDOM_TRIES; i++) {
        uint64_t random;
        void *place, *hint;

        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
            break;
        hint = (void *)(RANDOM_FIRST +
                        random % (RANDOM_END - RANDOM_FIRST) / MEM_PAGE_BYTES * MEM_PAGE_BYTES);
        place = mmap(hint, bytes, PROT_NONE, RESERVE_FLAGS | MAP_FIXED_NOREPLACE, -1, 0);
        if (place != MAP_FAILED && place != hint) {
            (void)munmap(place, bytes);
            continue;
        }
        if (place != MAP_FAILED)
            return place;
    }
    /* Little is free there: any other place will do. */
    return mmap(NULL, bytes, PROT_NONE, RESERVE_FLAGS, -1, 0);
}

static void *
reserve(size_t bytes, bool random_place)
{
    if (random_place)
        return mem_reserve_random(bytes);
    return mmap(NULL, bytes, PROT_NONE, RESERVE_FLAGS, -1, 0);
}

int64_t
mem_window_offset(unsigned window)
{
    return (int64_t)((MEM_WINDOW_BYTES + MEM_GUARD_BYTES) * window);
}

int
mem_slot_create(size_t below_bytes, unsigned window_count, bool random_place, struct mem_slot **out)
{
    struct mem_slot *slot;
    int err;

    if (below_bytes % MEM_PAGE_BYTES != 0 || below_bytes > MEM_WINDOW_BYTES || window_count == 0 ||
        window_count > MEM_WINDOWS_MAX)
        return -EINVAL;
    slot = calloc(1, sizeof(*slot));
    if (slot == NULL)
        return -ENOMEM;
    slot->below_bytes = below_bytes;
    slot->window_count = window_count;
    slot->reserved_bytes =
        MEM_LOW_GUARD_BYTES + below_bytes + (size_t)mem_window_offset(window_count);
    err = fault_point("mem.reserve");
    if (err != 0)
        goto free_slot;
    err = -ENOMEM;
    slot->reservation = reserve(slot->reserved_bytes, random_place);
    if (slot->reservation == MAP_FAILED)
        goto free_slot;
    slot->origin = slot->reservation + MEM_LOW_GUARD_BYTES + below_bytes;
    if (below_bytes > 0 &&
        mprotect(slot->origin - below_bytes, below_bytes, PROT_READ | PROT_WRITE) != 0)
        goto unmap;
    *out = slot;
    return 0;

unmap:
    (void)munmap(slot->reservation, slot->reserved_bytes);
free_slot:
    free(slot);
    return err;
}

void
mem_slot_destroy(struct mem_slot *slot)
{
    int err;

    if (slot == NULL)
        return;
    mem_track_stop(slot);
    mem_maps_drop(slot);
    err = munmap(slot->reservation, slot->reserved_bytes);
    ASSERT(err == 0);
    mem_runs_fini(&slot->base);
    mem_spans_fini(&slot->scratch);
    free(slot);
}

uint8_t *
mem_slot_origin(const struct mem_slot *slot)
{
    return slot->origin;
}

uintptr_t
mem_slot_first(const struct mem_slot *slot)
{
    return (uintptr_t)slot->reservation;
}

uintptr_t
mem_slot_end(const struct mem_slot *slot)
{
    return (uintptr_t)slot->reservation + slot->reserved_bytes;
}

int
mem_window_grow(struct mem_slot *slot, unsigned window, uint64_t bytes)
{
    uint64_t old;
    int err;

    if (window >= slot->window_count || bytes % MEM_PAGE_BYTES != 0 || bytes > MEM_WINDOW_BYTES)
        return -EINVAL;
    old = slot->window_bytes[window];
    if (bytes <= old)
        return 0;
    err = fault_point("mem.grow");
    if (err != 0)
        return err;
    if (mprotect(slot->origin + mem_window_offset(window) + old, bytes - old,
                 PROT_READ | PROT_WRITE) != 0)
        return -ENOMEM;
    slot->window_bytes[window] = bytes;
    return 0;
}

uint64_t
mem_window_bytes(const struct mem_slot *slot, unsigned window)
{
    return window < slot->window_count ? slot->window_bytes[window] : 0;
}

static int
map_run(struct mem_slot *slot, int64_t offset, uint64_t bytes, int fd, uint64_t file_offset)
{
    struct mem_run run = {.offset = offset, .bytes = bytes, .fd = fd, .file_offset = file_offset};
    void *place;
    int err;

    if (bytes == 0)
        return 0;
    if (mem_has_share(slot, offset, offset + (int64_t)bytes))
        return -EINVAL;
    err = fault_point("mem.map");
    if (err != 0)
        return err;
    slot->restored_from = 0;
    err = mem_runs_insert(&slot->base, &run);
    if (err != 0)
        return err;
    place = mmap(slot->origin + offset, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
                 (off_t)file_offset);
    return place == MAP_FAILED ? -errno : 0;
}

int
mem_window_map(struct mem_slot *slot, unsigned window, uint64_t offset, uint64_t bytes, int fd,
               uint64_t file_offset)
{
    uint64_t usable = mem_window_bytes(slot, window);

    if (offset % MEM_PAGE_BYTES != 0 || bytes % MEM_PAGE_BYTES != 0 ||
        file_offset % MEM_PAGE_BYTES != 0 || offset > usable || bytes > usable - offset)
        return -EINVAL;
    return map_run(slot, mem_window_offset(window) + (int64_t)offset, bytes, fd, file_offset);
}

int
mem_below_map(struct mem_slot *slot, int64_t offset, uint64_t bytes, int fd, uint64_t file_offset)
{
    if (offset % (int64_t)MEM_PAGE_BYTES != 0 || bytes % MEM_PAGE_BYTES != 0 ||
        file_offset % MEM_PAGE_BYTES != 0 || offset >= 0 || offset < -(int64_t)slot->below_bytes ||
        bytes > (uint64_t)-offset)
        return -EINVAL;
    return map_run(slot, offset, bytes, fd, file_offset);
}

/* ---------------------------------------------------------------------- stacks */

int
mem_stack_create(size_t bytes, bool random_place, struct mem_stack *out)
{
    size_t total;
    uint8_t *place;
    int err;

    if (bytes == 0 || bytes > STACK_BYTES_MAX)
        return -EINVAL;
    bytes = ROUND_UP(bytes, (size_t)MEM_PAGE_BYTES);
    total = STACK_GUARD_BYTES + bytes;
    err = fault_point("mem.stack");
    if (err != 0)
        return err;
    place = reserve(total, random_place);
    if (place == MAP_FAILED)
        return -ENOMEM;
    if (mprotect(place + STACK_GUARD_BYTES, bytes, PROT_READ | PROT_WRITE) != 0) {
        (void)munmap(place, total);
        return -ENOMEM;
    }
    out->guard_first = (uintptr_t)place;
    out->first = out->guard_first + STACK_GUARD_BYTES;
    out->top = out->guard_first + total;
    return 0;
}

void
mem_stack_destroy(struct mem_stack *stack)
{
    if (stack->top != 0) {
        int err = munmap((void *)stack->guard_first, stack->top - stack->guard_first);

        ASSERT(err == 0);
    }
    *stack = (struct mem_stack){0};
}
