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

#include "base/diag.h"
#include "base/element.h"
#include "base/macros.h"

#define MEM_WINDOWS_MAX 64u
#define MEM_SHARES_MAX  1024u /* mapped in one slot */

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

/* Makes a slot that was restored from this very snapshot equal to it again: what
 * was written since is copied back, or dropped where it is more than the switch
 * (MEM_RESET_COPY_PAGES_MAX, measured: docs/reset.md), and windows that grew shrink
 * again. Costs what was ever written since the restore, not the size, and no page
 * fault while it copies. -EINVAL: the slot is not of this snapshot; unchanged then.
 * After another failure only mem_slot_destroy may follow. */
#define MEM_RESET_COPY_PAGES_MAX 4096u
int mem_reset(struct mem_slot *slot, const struct mem_snapshot *snapshot) MUST_CHECK;

/* Pages that mem_reset would copy or drop now. */
int mem_private_pages(const struct mem_slot *slot, uint64_t *pages) MUST_CHECK;

/* What a slot has beside the snapshot that it was restored from: the words that
 * differ, in plain memory of the host. Costs no descriptor and no mapping, so there
 * may be many thousands. -EINVAL: the slot is not of this snapshot. */
struct mem_delta; /* immutable */
int mem_delta_take(const struct mem_slot *slot, const struct mem_snapshot *snapshot,
                   struct mem_delta **out) MUST_CHECK;
/* The slot is equal to the snapshot (restored or reset). After a failure only
 * mem_reset or mem_slot_destroy may follow. */
int mem_delta_apply(struct mem_slot *slot, const struct mem_delta *delta) MUST_CHECK;
uint64_t mem_delta_bytes(const struct mem_delta *delta); /* of host memory it takes */
void mem_delta_destroy(struct mem_delta *delta);         /* NULL is fine */

/* ------------------------------------------------------------ written since when
 *
 * A tracker tells which pages of a slot's usable part were written since the last
 * mem_track_start. Two ways, chosen once per process (mem_track_way): asynchronous
 * write protection by userfaultfd read with PAGEMAP_SCAN (kernel 6.7), else
 * protection faults, which the thread's fault handler must offer to
 * mem_track_fault first. */
enum mem_track_way {
    MEM_TRACK_SCAN,
    MEM_TRACK_FAULT,
};
enum mem_track_way mem_track_way(void);
int
mem_track_choose(enum mem_track_way way) MUST_CHECK; /* for tests; -ENOSYS; before any tracker */

int mem_track_start(struct mem_slot *slot) MUST_CHECK; /* again: forgets what was written */
void mem_track_stop(struct mem_slot *slot);
/* Calls visit for every run of written pages, in order, by offset from the origin. */
typedef void (*mem_visit_fn)(void *context, int64_t offset, uint64_t bytes);
int mem_track_written(struct mem_slot *slot, mem_visit_fn visit, void *context) MUST_CHECK;
/* Before the kernel writes to guest memory for the host (read(2) and the like): with
 * MEM_TRACK_FAULT it would only say EFAULT. */
void mem_track_touch(struct mem_slot *slot, const void *address, size_t bytes);
/* In a handler of SIGSEGV: true where the fault was a write to a tracked page,
 * which is now noted and writable: return and the write happens. */
bool mem_track_fault(uintptr_t address);

/* -------------------------------------------------------------------------- shares
 *
 * Pages that any number of slots see at one time: a memfd of the host's. Where one is mapped
 * into a window, freezing, deltas, resetting and tracking of the slot pass over it; what was
 * there is gone, and after mem_window_unshare it is zero and the slot's own again.
 *
 * Pages of a lazy share may be absent: a guest that touches one faults (mem_share_fault tells,
 * in a handler of SIGBUS or SIGSEGV), and goes on at the same instruction when it is there. The
 * host looks first (mem_share_absent). Two ways, chosen once (mem_share_way): userfaultfd with
 * UFFD_FEATURE_SIGBUS, else protection of the pages. */
struct mem_share;

/* Zeros, all there; lazy: all absent. bytes is rounded up to pages. -ENOMEM, -EMFILE. */
int mem_share_create(uint64_t bytes, bool is_lazy, struct mem_share **out) MUST_CHECK;
bool mem_share_is_lazy(const struct mem_share *share);
struct mem_share *mem_share_get(struct mem_share *share);
void mem_share_put(struct mem_share *share); /* NULL is fine */
/* The host's own view of it: absent pages are not to be touched. */
uint8_t *mem_share_bytes(const struct mem_share *share);
uint64_t mem_share_size(const struct mem_share *share);

/* Over usable bytes of a window that nothing is shared at yet; all multiples of the host page.
 * -EINVAL, -ENOSPC (MEM_SHARES_MAX of the slot), -ENOMEM; unchanged then, but after -ENOMEM the
 * bytes may be zero. */
int mem_window_share(struct mem_slot *slot, unsigned window, uint64_t offset, uint64_t bytes,
                     struct mem_share *share, uint64_t share_offset, bool is_writable) MUST_CHECK;
/* Any part of what is shared. -EINVAL: some of it is not, unchanged. -ENOMEM: of several
 * shares some may be gone. */
int mem_window_unshare(struct mem_slot *slot, unsigned window, uint64_t offset,
                       uint64_t bytes) MUST_CHECK;

/* What a slot has mapped, by its place: number 0 is the lowest. False: there are not so many. */
struct mem_place {
    struct mem_share *share; /* borrowed */
    uint64_t share_offset;
    unsigned window;
    uint64_t offset, bytes; /* in the window */
    bool is_writable;
};
bool mem_slot_share(const struct mem_slot *slot, unsigned number, struct mem_place *out);

/* These bytes are put where they are absent, for all who map it, and are there then. What is
 * there already is left alone. From a page's start, whole pages but for the share's last.
 * -EINVAL, -ENOMEM. */
int mem_share_fill(struct mem_share *share, uint64_t offset, const void *bytes,
                   uint64_t count) MUST_CHECK;
/* The first absent page in [offset, offset + bytes), by offset in the share; UINT64_MAX: none. */
uint64_t mem_share_absent(const struct mem_share *share, uint64_t offset, uint64_t bytes);
/* The same of what a slot has mapped at a window's offset; *share is borrowed. */
uint64_t mem_window_absent(const struct mem_slot *slot, unsigned window, uint64_t offset,
                           uint64_t bytes, struct mem_share **share);
/* Whether no part of it is a share that is mapped to be read only. */
bool mem_window_is_writable(const struct mem_slot *slot, unsigned window, uint64_t offset,
                            uint64_t bytes);
/* In a handler, for a fault that is no write to what is not writable: whether it is of a page
 * of a lazy share that the slot has mapped. It was absent; by now it may be there. */
bool mem_share_fault(const struct mem_slot *slot, uintptr_t address, struct mem_share **share,
                     uint64_t *offset);
/* Likewise: whether it is of a share that is mapped to be read only. */
bool mem_share_is_read_only(const struct mem_slot *slot, uintptr_t address);

/* Runs of pages that any slot has written since the last time, by offset in the share; may tell
 * of more, never of less. What is written while it looks is told now or the next time; what the
 * host writes through mem_share_bytes is not told. */
int mem_share_written(struct mem_share *share, mem_visit_fn visit, void *context) MUST_CHECK;

enum mem_share_way { MEM_SHARE_UFFD, MEM_SHARE_PROTECT };
enum mem_share_way mem_share_way(void);
/* For tests; before any share. WEFT_STRESS=share=protect chooses so for a process. */
int mem_share_choose(enum mem_share_way way) MUST_CHECK;

/* --------------------------------------------------------------------------- bytes */

/* Bytes are of units of 1, 4 or 8 bytes, which begin at multiples of their size from the pieces'
 * first byte; what is left behind the last is one of its own. A unit is the same in both or it
 * differs, is taken or left, always whole: no number becomes half of one and half of another. */

/* Runs in which two pieces of memory differ, in order, found with vector compares. */
typedef void (*mem_run_fn)(void *context, uint64_t offset, uint64_t bytes);
void mem_compare(const uint8_t *now, const uint8_t *base, uint64_t bytes, uint32_t unit,
                 mem_run_fn visit, void *context);
/* Three ways: where now is base still, both become `theirs`; elsewhere only base does. now is
 * aligned to the unit, and others may write to it: only what becomes another is written. */
void mem_merge(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes, uint32_t unit);
/* Elements that are added to: now becomes now + theirs - base where theirs is another than base
 * (exactly theirs where now is base), base becomes theirs. Each by compare-and-swap, so no atomic
 * addition of others at that moment is lost. Whole elements that can be added, now aligned. */
void mem_merge_sums(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes,
                    enum element element);
/* A copy of what others write at this moment, with no unit torn; from is aligned to it. */
void mem_read(uint8_t *to, const uint8_t *from, uint64_t bytes, uint32_t unit);

/* --------------------------------------------------------------------- at rest
 *
 * A snapshot as a byte stream: versioned, its pages compressed (zstd), checksummed
 * (SHA-256 over everything). Zero pages are not in it. */
struct buffer;
int mem_snapshot_save(const struct mem_snapshot *snapshot, struct buffer *out) MUST_CHECK;
/* *used: bytes consumed. -EINVAL with the reason (not a snapshot, another version,
 * cut short, damaged); nothing is kept. -ENOMEM. */
int mem_snapshot_load(const uint8_t *bytes, size_t count, struct mem_snapshot **out, size_t *used,
                      struct diag *diag) MUST_CHECK;

/* Another reference to the same immutable snapshot; destroy gives one back. */
struct mem_snapshot *mem_snapshot_get(struct mem_snapshot *snapshot);

size_t mem_snapshot_below_bytes(const struct mem_snapshot *snapshot);
unsigned mem_snapshot_window_count(const struct mem_snapshot *snapshot);
uint64_t mem_snapshot_stored_bytes(const struct mem_snapshot *snapshot);
void mem_snapshot_destroy(struct mem_snapshot *snapshot);

/* Opens what a process that is sealed later (jail_seal) cannot open any more. */
void mem_prepare(void);

#endif
