/* SPDX-License-Identifier: Apache-2.0
 *
 * mem: the memory of one guest, and frozen copies of it.
 *
 * A slot is one reservation that never moves; parts of it are made usable:
 *
 *   base_of_reservation                 origin (GS)
 *   |  below: usable from `below` down   |  windows: 4 GiB + guard each  |
 *
 * "below" holds what compiled code keeps beside its memory (abi.h); a window
 * holds one linear memory, whose usable bytes grow from its start. Slots of
 * Faaslets with one memory have one window.
 *
 * A snapshot is immutable: a sealed memfd of the usable, non-zero pages. Any
 * number of slots, in any thread, may be restored from the same one.
 *
 *      slot --mem_freeze--> snapshot --mem_restore--> slot, at another address
 */
#ifndef WEFT_MEM_H
#define WEFT_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define MEM_WINDOWS_MAX 64u

struct mem_slot;     /* owned by one Faaslet; not thread-safe */
struct mem_snapshot; /* immutable once made; may be shared */

/* Reserves below_bytes under the origin (all usable, zero, read-write) and
 * window_count windows (nothing usable yet). below_bytes is a multiple of the
 * host page. With random_place the reservation goes to a random address
 * (stress mode). -EINVAL, -ENOMEM. */
int mem_slot_create(size_t below_bytes, unsigned window_count, bool random_place,
                    struct mem_slot **out) MUST_CHECK;
void mem_slot_destroy(struct mem_slot *slot); /* NULL is fine; unmaps everything */

/* The origin: GS of the guest. */
uint8_t *mem_slot_origin(const struct mem_slot *slot);

/* First and one-past-last address of the whole reservation. */
uintptr_t mem_slot_first(const struct mem_slot *slot);
uintptr_t mem_slot_end(const struct mem_slot *slot);

/* GS offset of a window's first byte. */
int64_t mem_window_offset(unsigned window);

/* Makes the first `bytes` (a multiple of the host page) of a window usable; what
 * is new is zero. Never shrinks. -EINVAL, -ENOMEM; unchanged then. */
int mem_window_grow(struct mem_slot *slot, unsigned window, uint64_t bytes) MUST_CHECK;
uint64_t mem_window_bytes(const struct mem_slot *slot, unsigned window);

/* Maps page-aligned file bytes copy-on-write over usable bytes of a window.
 * -EINVAL where they are not inside; after another failure those bytes are
 * undefined. The file must never change; fd stays open as long as the slot. */
int mem_window_map(struct mem_slot *slot, unsigned window, uint64_t offset, uint64_t bytes, int fd,
                   uint64_t file_offset) MUST_CHECK;

/* The same for bytes below the origin; offset is negative. */
int mem_below_map(struct mem_slot *slot, int64_t offset, uint64_t bytes, int fd,
                  uint64_t file_offset) MUST_CHECK;

/* A stack for guest code with a guard below: touching it is "exhausted". */
struct mem_stack {
    uintptr_t first; /* lowest usable address */
    uintptr_t top;   /* one past the highest; 16-byte aligned */
    uintptr_t guard_first;
};
int mem_stack_create(size_t bytes, bool random_place, struct mem_stack *out) MUST_CHECK;
void mem_stack_destroy(struct mem_stack *stack); /* leaves it zeroed; zeroed is fine */

/* Copies what is usable into a new snapshot that the caller owns. The slot is
 * unchanged, also on failure. Pages that are all zero are not stored.
 * -ENOMEM, -EMFILE. */
int mem_freeze(const struct mem_slot *slot, struct mem_snapshot **out) MUST_CHECK;

/* Makes a freshly created slot of the same shape equal to the snapshot, by
 * copy-on-write mapping. -EINVAL if the shapes differ; after another failure
 * only mem_slot_destroy may follow. */
int mem_restore(struct mem_slot *slot, const struct mem_snapshot *snapshot) MUST_CHECK;

size_t mem_snapshot_below_bytes(const struct mem_snapshot *snapshot);
unsigned mem_snapshot_window_count(const struct mem_snapshot *snapshot);
uint64_t mem_snapshot_stored_bytes(const struct mem_snapshot *snapshot);
void mem_snapshot_destroy(struct mem_snapshot *snapshot);

#endif
