/* SPDX-License-Identifier: Apache-2.0
 *
 * All of it in both ways (mem_share_way), where the kernel has both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/fault.h"
#include "mem/mem_share_internal.h"

#define PAGE    4096u
#define BELOW   (4u * PAGE)
#define PAGES   32u
#define WINDOW  ((uint64_t)PAGES * PAGE)
#define THREADS 4u

/* ------------------------------------------------------------------------ touching */

/* cmocka installs handlers of faults around every test, with this function; those of this
 * test must stay. */
__sighandler_t
signal(int number, __sighandler_t handler)
{
    (void)number;
    (void)handler;
    return SIG_DFL;
}

static _Thread_local volatile uintptr_t fault_address;

/* One instruction each that may fault, and what is there to return with then. */
int probe_read(const uint8_t *place);
int probe_write(uint8_t *place, int value);
void probe_return(void);
__asm__(".text\n"
        "probe_read: movzbl (%rdi), %eax\n"
        "probe_return: ret\n"
        "probe_write: movb %sil, (%rdi)\n"
        "movl $1, %eax\n"
        "ret\n");

static void
on_fault(int number, siginfo_t *info, void *machine)
{
    greg_t *r = ((ucontext_t *)machine)->uc_mcontext.gregs;

    (void)number;
    if (r[REG_RIP] != (greg_t)probe_read && r[REG_RIP] != (greg_t)probe_write)
        abort();
    fault_address = (uintptr_t)info->si_addr;
    r[REG_RAX] = -1;
    r[REG_RIP] = (greg_t)probe_return;
}

static void
catch_faults(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
    assert_int_equal(sigaction(SIGBUS, &action, NULL), 0);
}

/* What is there, or -1 where it faulted. */
static int
peek(const uint8_t *place)
{
    return probe_read(place);
}

static bool
poke(uint8_t *place, uint8_t value)
{
    return probe_write(place, value) == 1;
}

/* ------------------------------------------------------------------------- helpers */

static struct mem_slot *
create(uint64_t bytes)
{
    struct mem_slot *slot = NULL;

    assert_int_equal(mem_slot_create(BELOW, 2, false, &slot), 0);
    assert_int_equal(mem_window_grow(slot, 0, bytes), 0);
    assert_int_equal(mem_window_grow(slot, 1, bytes), 0);
    return slot;
}

static struct mem_share *
create_share(uint64_t pages, bool is_lazy)
{
    struct mem_share *share = NULL;

    assert_int_equal(mem_share_create(pages * PAGE, is_lazy, &share), 0);
    return share;
}

static void
map(struct mem_slot *slot, uint64_t page, uint64_t count, struct mem_share *share, uint64_t from,
    bool is_writable)
{
    assert_int_equal(
        mem_window_share(slot, 0, page * PAGE, count * PAGE, share, from * PAGE, is_writable), 0);
}

static uint8_t *
at(const struct mem_slot *slot, uint64_t page)
{
    return mem_slot_origin(slot) + page * PAGE;
}

static void
fill(struct mem_share *share, uint64_t page, uint64_t count, uint8_t value)
{
    uint8_t *bytes = malloc(count * PAGE);

    assert_non_null(bytes);
    (void)memset(bytes, value, count * PAGE);
    assert_int_equal(mem_share_fill(share, page * PAGE, bytes, count * PAGE), 0);
    free(bytes);
}

static void
note_page(void *context, int64_t offset, uint64_t bytes)
{
    uint64_t *pages = context;

    assert_int_equal(offset % PAGE, 0);
    assert_int_equal(bytes % PAGE, 0);
    for (uint64_t i = 0; i < bytes / PAGE; i++)
        *pages |= UINT64_C(1) << ((uint64_t)offset / PAGE + i);
}

static uint64_t
written(struct mem_share *share)
{
    uint64_t pages = 0;

    assert_int_equal(mem_share_written(share, note_page, &pages), 0);
    return pages;
}

/* With PROTECT there is more. */
static void
expect_written(struct mem_share *share, uint64_t pages)
{
    uint64_t told = written(share);

    assert_int_equal(told & pages, pages);
    if (mem_share_way() == MEM_SHARE_UFFD)
        assert_int_equal(told, pages);
}

/* --------------------------------------------------------------------------- tests */

static void
test_slots_see_each_others_writes(void **state)
{
    struct mem_share *share = create_share(4, false);
    struct mem_slot *a = create(WINDOW), *b = create(WINDOW);

    (void)state;
    map(a, 8, 4, share, 0, true);
    map(b, 1, 2, share, 2, true);
    mem_share_put(share); /* the slots hold it */
    at(a, 10)[5] = 7;
    assert_int_equal(at(b, 1)[5], 7);
    at(b, 2)[6] = 9;
    assert_int_equal(at(a, 11)[6], 9);
    assert_int_equal(mem_share_bytes(share)[3 * PAGE + 6], 9);
    assert_int_equal(at(a, 12)[0], 0);
    mem_slot_destroy(a);
    assert_int_equal(at(b, 1)[5], 7);
    mem_slot_destroy(b);
}

static void
test_what_is_mapped_read_only_is_not_written(void **state)
{
    struct mem_share *share = create_share(4, false);
    struct mem_slot *slot = create(WINDOW);

    (void)state;
    mem_share_bytes(share)[1] = 3;
    map(slot, 2, 2, share, 0, false);
    map(slot, 4, 2, share, 2, true);
    assert_int_equal(peek(at(slot, 2) + 1), 3);
    assert_false(poke(at(slot, 2) + 1, 4));
    assert_true(poke(at(slot, 4) + 1, 4));
    assert_int_equal(mem_share_bytes(share)[1], 3);
    assert_false(mem_window_is_writable(slot, 0, 4 * PAGE - 1, 1));
    assert_true(mem_window_is_writable(slot, 0, 4 * PAGE, 10 * PAGE));
    assert_true(mem_window_is_writable(slot, 0, 0, 2 * PAGE));
    assert_false(mem_window_is_writable(slot, 0, 0, 2 * PAGE + 1));
    mem_slot_destroy(slot);
    mem_share_put(share);
}

static void
test_unusable_ranges_are_refused(void **state)
{
    struct mem_share *share = create_share(4, false), *none = NULL;
    struct mem_slot *slot = create(WINDOW);

    (void)state;
    at(slot, 1)[0] = 5;
    assert_int_equal(mem_window_share(slot, 0, 1, PAGE, share, 0, true), -EINVAL);
    assert_int_equal(mem_window_share(slot, 0, PAGE, 1, share, 0, true), -EINVAL);
    assert_int_equal(mem_window_share(slot, 0, PAGE, PAGE, share, 1, true), -EINVAL);
    assert_int_equal(mem_window_share(slot, 0, PAGE, 0, share, 0, true), -EINVAL);
    assert_int_equal(mem_window_share(slot, 0, PAGE, 5 * PAGE, share, 0, true), -EINVAL);
    assert_int_equal(mem_window_share(slot, 0, PAGE, 2 * PAGE, share, 3 * PAGE, true), -EINVAL);
    assert_int_equal(mem_window_share(slot, 0, WINDOW, PAGE, share, 0, true), -EINVAL);
    assert_int_equal(mem_window_share(slot, 2, 0, PAGE, share, 0, true), -EINVAL);
    assert_int_equal(at(slot, 1)[0], 5);
    map(slot, 1, 4, share, 0, true);
    assert_int_equal(mem_window_share(slot, 0, 4 * PAGE, 2 * PAGE, share, 0, true), -EINVAL);
    assert_int_equal(mem_window_unshare(slot, 0, 4 * PAGE, 2 * PAGE), -EINVAL);
    assert_int_equal(mem_window_unshare(slot, 0, 9 * PAGE, PAGE), -EINVAL);
    assert_int_equal(mem_share_create(0, false, &none), -EINVAL);
    assert_int_equal(mem_share_create(UINT64_MAX, false, &none), -EINVAL);
    mem_slot_destroy(slot);
    mem_share_put(share);
}

static void
test_absent_pages_fault_until_they_are_filled(void **state)
{
    struct mem_share *share = create_share(8, true), *found = NULL;
    struct mem_slot *a = create(WINDOW), *b = create(WINDOW);
    uint64_t offset = 0;

    (void)state;
    map(a, 4, 8, share, 0, true);
    map(b, 0, 4, share, 4, false);
    assert_int_equal(mem_share_absent(share, 0, 8 * PAGE), 0);
    assert_int_equal(peek(at(a, 5) + 9), -1);
    assert_int_equal(fault_address, (uintptr_t)at(a, 5) + 9);
    assert_true(mem_share_fault(a, fault_address, &found, &offset));
    assert_ptr_equal(found, share);
    assert_int_equal(offset, PAGE);
    assert_false(mem_share_fault(a, (uintptr_t)at(a, 12), &found, &offset));
    assert_false(mem_share_fault(a, (uintptr_t)at(a, 4) - 1, &found, &offset));
    fill(share, 1, 1, 11);
    assert_int_equal(peek(at(a, 5) + 9), 11);
    assert_false(poke(at(a, 4), 1));
    assert_int_equal(peek(at(b, 0)), -1);
    fill(share, 0, 6, 12);
    assert_int_equal(peek(at(a, 4)), 12);
    assert_int_equal(peek(at(a, 5)), 11); /* it was there */
    assert_int_equal(peek(at(b, 1)), 12);
    assert_false(poke(at(b, 1), 1));
    assert_int_equal(peek(at(b, 2)), -1);
    assert_int_equal(mem_share_absent(share, 0, 6 * PAGE), UINT64_MAX);
    assert_int_equal(mem_share_absent(share, PAGE, 5 * PAGE + 1), 6 * PAGE);
    assert_int_equal(mem_window_absent(b, 0, 0, 2 * PAGE, &found), UINT64_MAX);
    assert_int_equal(mem_window_absent(b, 0, 2 * PAGE - 1, 2, &found), 6 * PAGE);
    assert_int_equal(mem_window_absent(b, 1, 0, WINDOW, &found), UINT64_MAX);
    assert_int_equal(mem_window_absent(b, 0, 0, 0, &found), UINT64_MAX);
    mem_slot_destroy(a);
    mem_slot_destroy(b);
    mem_share_put(share);
}

static void
test_pages_that_are_there_are_there_for_who_comes_later(void **state)
{
    struct mem_share *share = create_share(8, true);
    struct mem_slot *slot = create(WINDOW);

    (void)state;
    fill(share, 0, 1, 1);
    fill(share, 3, 2, 2);
    map(slot, 10, 8, share, 0, true);
    assert_int_equal(peek(at(slot, 10)), 1);
    assert_int_equal(peek(at(slot, 11)), -1);
    assert_int_equal(peek(at(slot, 13)), 2);
    assert_int_equal(peek(at(slot, 14) + PAGE - 1), 2);
    assert_int_equal(peek(at(slot, 15)), -1);
    expect_written(share, 0);
    mem_slot_destroy(slot);
    mem_share_put(share);
}

static void
test_only_the_last_page_may_be_filled_in_part(void **state)
{
    struct mem_share *share = NULL;
    uint8_t bytes[3 * PAGE];

    (void)state;
    (void)memset(bytes, 5, sizeof(bytes));
    assert_int_equal(mem_share_create(2 * PAGE + 100, true, &share), 0);
    assert_int_equal(mem_share_size(share), 3 * PAGE);
    assert_int_equal(mem_share_fill(share, 0, bytes, 100), -EINVAL);
    assert_int_equal(mem_share_fill(share, 1, bytes, PAGE), -EINVAL);
    assert_int_equal(mem_share_fill(share, 2 * PAGE, bytes, 2 * PAGE), -EINVAL);
    assert_int_equal(mem_share_absent(share, 0, 3 * PAGE), 0);
    assert_int_equal(mem_share_fill(share, PAGE, bytes, PAGE + 100), 0);
    assert_int_equal(mem_share_bytes(share)[2 * PAGE + 99], 5);
    assert_int_equal(mem_share_bytes(share)[2 * PAGE + 100], 0);
    assert_int_equal(mem_share_absent(share, PAGE, 2 * PAGE), UINT64_MAX);
    assert_int_equal(mem_share_absent(share, 0, 3 * PAGE), 0);
    mem_share_put(share);
}

static void
test_the_kernel_says_efault_of_absent_pages_and_notes_its_writes(void **state)
{
    struct mem_share *share = create_share(4, true);
    struct mem_slot *slot = create(WINDOW);
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    map(slot, 0, 4, share, 0, true);
    assert_int_equal(write(ends[1], "abc", 3), 3);
    assert_int_equal(read(ends[0], at(slot, 1), 3), -1);
    assert_int_equal(errno, EFAULT);
    fill(share, 0, 4, 0);
    expect_written(share, 0);
    assert_int_equal(read(ends[0], at(slot, 1), 3), 3);
    expect_written(share, 2);
    (void)close(ends[0]);
    (void)close(ends[1]);
    mem_slot_destroy(slot);
    mem_share_put(share);
}

static void
test_writes_through_every_mapping_are_told_once(void **state)
{
    struct mem_share *share = create_share(16, true);
    struct mem_slot *a = create(WINDOW), *b = create(WINDOW), *reader = create(WINDOW);

    (void)state;
    map(a, 0, 16, share, 0, true);
    map(b, 8, 8, share, 8, true);
    map(reader, 0, 16, share, 0, false);
    fill(share, 0, 16, 1);
    expect_written(share, 0);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(peek(at(a, i)) + peek(at(reader, i)), 2);
    expect_written(share, 0); /* reading is no writing */
    at(a, 3)[0] = 9;
    at(a, 9)[0] = 9;
    at(b, 9)[1] = 9;
    at(b, 15)[1] = 9;
    expect_written(share, 1u << 3 | 1u << 9 | 1u << 15);
    expect_written(share, 0);
    at(a, 3)[0] = 10;
    expect_written(share, 1u << 3);
    mem_slot_destroy(a);
    mem_slot_destroy(b);
    mem_slot_destroy(reader);
    mem_share_put(share);
}

static void
test_what_was_written_is_told_after_the_mapping_is_gone(void **state)
{
    struct mem_share *share = create_share(16, false);
    struct mem_slot *a = create(WINDOW), *b = create(WINDOW);

    (void)state;
    map(a, 0, 16, share, 0, true);
    map(b, 0, 16, share, 0, true);
    at(a, 3)[0] = 1;
    at(b, 5)[0] = 1;
    at(b, 12)[0] = 1;
    mem_slot_destroy(a);
    assert_int_equal(mem_window_unshare(b, 0, 4 * PAGE, 4 * PAGE), 0);
    expect_written(share, 1u << 3 | 1u << 5 | 1u << 12);
    if (mem_share_way() == MEM_SHARE_PROTECT)
        assert_int_equal(written(share) & 0xf0, 0); /* nobody can write there now */
    mem_slot_destroy(b);
    (void)written(share);
    assert_int_equal(written(share), 0);
    mem_share_put(share);
}

static void
test_a_part_that_is_unshared_is_zero_and_the_slots_own(void **state)
{
    struct mem_share *share = create_share(8, true);
    struct mem_slot *slot = create(WINDOW);

    (void)state;
    map(slot, 4, 8, share, 0, true);
    fill(share, 0, 7, 6);
    assert_int_equal(mem_window_unshare(slot, 0, 6 * PAGE, 2 * PAGE), 0);  /* the middle */
    assert_int_equal(mem_window_unshare(slot, 0, 4 * PAGE, PAGE), 0);      /* the first */
    assert_int_equal(mem_window_unshare(slot, 0, 10 * PAGE, 2 * PAGE), 0); /* the last */
    for (unsigned i = 0; i < PAGES; i++) {
        bool is_shared = i == 5 || i == 8 || i == 9;

        assert_int_equal(peek(at(slot, i)), is_shared ? 6 : 0);
        assert_true(poke(at(slot, i), (uint8_t)i));
    }
    assert_int_equal(mem_share_bytes(share)[0], 6);
    assert_int_equal(mem_share_bytes(share)[PAGE], 5);
    assert_int_equal(mem_share_bytes(share)[2 * PAGE], 6);
    assert_int_equal(mem_share_bytes(share)[4 * PAGE], 8);
    assert_int_equal(mem_share_bytes(share)[6 * PAGE], 6);
    fill(share, 7, 1, 6);
    assert_int_equal(peek(at(slot, 11)), 11);
    expect_written(share, 1u << 1 | 1u << 4 | 1u << 5);
    assert_int_equal(mem_window_unshare(slot, 0, 8 * PAGE, 2 * PAGE), 0);
    assert_int_equal(mem_window_unshare(slot, 0, 5 * PAGE, PAGE), 0);
    assert_null(slot->shares);
    assert_null(share->users);
    mem_slot_destroy(slot);
    mem_share_put(share);
}

static void
test_frozen_it_is_zero_and_what_is_around_it_is_kept(void **state)
{
    struct mem_share *share = create_share(4, false);
    struct mem_slot *slot = create(WINDOW), *other = NULL;
    struct mem_snapshot *first = NULL, *second = NULL;

    (void)state;
    for (unsigned i = 0; i < PAGES; i++)
        at(slot, i)[1] = (uint8_t)(i + 1);
    assert_int_equal(mem_freeze(slot, &first), 0);
    mem_slot_destroy(slot);
    assert_int_equal(mem_slot_create(BELOW, 2, false, &slot), 0);
    assert_int_equal(mem_restore(slot, first), 0);
    map(slot, 10, 4, share, 0, true);
    at(slot, 11)[1] = 99;
    at(slot, 2)[1] = 100;
    assert_int_equal(mem_freeze(slot, &second), 0);
    assert_int_equal(mem_slot_create(BELOW, 2, false, &other), 0);
    assert_int_equal(mem_restore(other, second), 0);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(at(other, i)[1], i == 2 ? 100 : i >= 10 && i < 14 ? 0 : i + 1);
    at(other, 12)[0] = 1;
    assert_int_equal(mem_share_bytes(share)[2 * PAGE], 0);
    assert_int_equal(mem_reset(slot, first), -EINVAL); /* what was there is gone */
    mem_slot_destroy(slot);
    mem_slot_destroy(other);
    mem_snapshot_destroy(first);
    mem_snapshot_destroy(second);
    mem_share_put(share);
}

static void
test_a_reset_takes_shares_away(void **state)
{
    struct mem_share *share = create_share(8, true);
    struct mem_slot *slot = create(WINDOW);
    struct mem_snapshot *snapshot = NULL;
    uint64_t pages = 77;

    (void)state;
    at(slot, 3)[0] = 33;
    assert_int_equal(mem_freeze(slot, &snapshot), 0);
    mem_slot_destroy(slot);
    assert_int_equal(mem_slot_create(BELOW, 2, false, &slot), 0);
    assert_int_equal(mem_restore(slot, snapshot), 0);
    fill(share, 0, 4, 44);
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(mem_window_grow(slot, 0, 2 * WINDOW), 0);
        map(slot, PAGES, 8, share, 0, true); /* where it grew */
        map(slot, 20, 2, share, 2, true);    /* zero in the snapshot */
        at(slot, PAGES)[1] = 45;
        at(slot, 20)[1] = 46;
        at(slot, 3)[0] = 34;
        assert_int_equal(mem_private_pages(slot, &pages), 0);
        assert_int_equal(pages, 1);
        assert_int_equal(mem_reset(slot, snapshot), 0);
        assert_null(slot->shares);
        assert_int_equal(mem_window_bytes(slot, 0), WINDOW);
        assert_int_equal(peek(at(slot, PAGES)), -1);
        for (unsigned i = 0; i < PAGES; i++)
            assert_int_equal(at(slot, i)[0] + at(slot, i)[1], i == 3 ? 33 : 0);
        assert_int_equal(mem_window_grow(slot, 0, 2 * WINDOW), 0);
        assert_int_equal(at(slot, PAGES)[1], 0);
        assert_int_equal(mem_reset(slot, snapshot), 0);
    }
    expect_written(share, 1u << 0 | 1u << 2);
    mem_slot_destroy(slot);
    mem_snapshot_destroy(snapshot);
    mem_share_put(share);
}

static void
test_a_delta_has_nothing_of_a_share(void **state)
{
    struct mem_share *share = create_share(4, false);
    struct mem_slot *slot = create(WINDOW);
    struct mem_snapshot *snapshot = NULL;
    struct mem_delta *delta = NULL;

    (void)state;
    assert_int_equal(mem_freeze(slot, &snapshot), 0);
    mem_slot_destroy(slot);
    assert_int_equal(mem_slot_create(BELOW, 2, false, &slot), 0);
    assert_int_equal(mem_restore(slot, snapshot), 0);
    (void)memset(at(slot, 8), 1, 4 * PAGE); /* gone with the mapping */
    map(slot, 8, 4, share, 0, true);
    (void)memset(at(slot, 8), 2, 4 * PAGE);
    at(slot, 1)[0] = 3;
    assert_int_equal(mem_delta_take(slot, snapshot, &delta), 0);
    assert_true(mem_delta_bytes(delta) < PAGE);
    assert_int_equal(mem_reset(slot, snapshot), 0);
    assert_int_equal(mem_delta_apply(slot, delta), 0);
    assert_int_equal(at(slot, 1)[0], 3);
    assert_int_equal(at(slot, 9)[0], 0);
    mem_delta_destroy(delta);
    mem_slot_destroy(slot);
    mem_snapshot_destroy(snapshot);
    mem_share_put(share);
}

static void
test_tracking_passes_over_it(void **state)
{
    static const enum mem_track_way ways[] = {MEM_TRACK_SCAN, MEM_TRACK_FAULT};
    enum mem_track_way before = mem_track_way();

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct mem_share *share = create_share(4, true);
        struct mem_slot *slot = create(WINDOW);
        uint64_t pages = 0;

        if (mem_track_choose(ways[i]) != 0)
            continue;
        (void)memset(at(slot, 0), 1, WINDOW);
        fill(share, 0, 2, 1);
        map(slot, 4, 4, share, 0, true);
        assert_int_equal(mem_track_start(slot), 0);
        assert_true(poke(at(slot, 4), 2));
        assert_int_equal(peek(at(slot, 7)), -1);
        assert_false(mem_track_fault((uintptr_t)at(slot, 7)));
        if (ways[i] == MEM_TRACK_FAULT)
            mem_track_touch(slot, at(slot, 9), 1);
        at(slot, 9)[0] = 2;
        assert_int_equal(mem_track_written(slot, note_page, &pages), 0);
        assert_int_equal(pages, 1u << 9);
        assert_int_equal(mem_window_unshare(slot, 0, 4 * PAGE, 4 * PAGE), 0);
        if (ways[i] == MEM_TRACK_FAULT)
            mem_track_touch(slot, at(slot, 5), 1);
        assert_true(poke(at(slot, 5), 2));
        pages = 0;
        assert_int_equal(mem_track_written(slot, note_page, &pages), 0);
        assert_true((pages & 1u << 5) != 0);
        assert_true((pages & 1u << 9) != 0);
        mem_track_stop(slot);
        expect_written(share, 1);
        mem_slot_destroy(slot);
        mem_share_put(share);
    }
    assert_int_equal(mem_track_choose(before), 0);
}

static void
test_a_failure_changes_nothing(void **state)
{
    static const char *const points[] = {"mem.share.map", "mem.share.attach"};
    struct mem_share *share = create_share(4, true), *none = NULL;
    struct mem_slot *slot = create(WINDOW);
    uint64_t pages = 0;

    (void)state;
    at(slot, 4)[0] = 9;
    for (unsigned i = 0; i < 2; i++) {
        fault_arm(points[i], 1, -ENOMEM);
        assert_int_equal(mem_window_share(slot, 0, 4 * PAGE, 4 * PAGE, share, 0, true), -ENOMEM);
        assert_true(fault_disarm());
        assert_int_equal(peek(at(slot, 4)), i == 0 ? 9 : 0);
        assert_true(poke(at(slot, 5), 1));
        assert_null(slot->shares);
        assert_null(share->users);
    }
    map(slot, 4, 4, share, 0, true);
    fault_arm("mem.share.unmap", 1, -ENOMEM);
    assert_int_equal(mem_window_unshare(slot, 0, 4 * PAGE, 4 * PAGE), -ENOMEM);
    assert_true(fault_disarm());
    fault_arm("mem.share.fill", 1, -ENOMEM);
    assert_int_equal(mem_share_fill(share, 0, at(slot, 0), PAGE), -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(peek(at(slot, 4)), -1);
    fill(share, 0, 1, 1);
    at(slot, 4)[0] = 2;
    fault_arm("mem.share.written", 1, -ENOMEM);
    assert_int_equal(mem_share_written(share, note_page, &pages), -ENOMEM);
    assert_true(fault_disarm());
    expect_written(share, 1);
    fault_arm("mem.share.create", 1, -EMFILE);
    assert_int_equal(mem_share_create(PAGE, true, &none), -EMFILE);
    assert_true(fault_disarm());
    assert_null(none);
    mem_slot_destroy(slot);
    mem_share_put(share);
}

/* ------------------------------------------------------------------------- threads */

#define SHARE_PAGES 64u
#define ROUNDS      40u

struct crowd {
    struct mem_share *share;
    uint64_t number;
    _Atomic uint64_t *told; /* by whoever asks */
};

static void
note_told(void *context, int64_t offset, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / PAGE; i++)
        (void)atomic_fetch_add((_Atomic uint64_t *)context + (uint64_t)offset / PAGE + i, 1);
}

/* Maps, touches, fills what is absent, and writes one byte of each page: its own. */
static void *
one_of_many(void *context)
{
    const struct crowd *crowd = context;
    uint8_t page[PAGE];

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct mem_slot *slot = create((uint64_t)SHARE_PAGES * PAGE);

        map(slot, 0, SHARE_PAGES, crowd->share, 0, true);
        for (uint64_t i = 0; i < SHARE_PAGES; i++) {
            uint8_t *place = at(slot, i) + crowd->number;

            (void)memset(page, (int)(i + 1), sizeof(page));
            if (mem_window_absent(slot, 0, i * PAGE, 1, &(struct mem_share *){NULL}) != UINT64_MAX)
                assert_int_equal(mem_share_fill(crowd->share, i * PAGE, page, PAGE), 0);
            assert_int_equal(peek(at(slot, i) + PAGE - 1), (int)(i + 1)); /* whole */
            assert_int_equal(peek(place), (int)(round == 0 ? i + 1 : (round + i) % 256));
            assert_true(poke(place, (uint8_t)(round + 1 + i)));
        }
        if (round % 4 == crowd->number)
            assert_int_equal(mem_share_written(crowd->share, note_told, (void *)crowd->told), 0);
        if (round % 2 == 0)
            assert_int_equal(mem_window_unshare(slot, 0, 0, (uint64_t)SHARE_PAGES * PAGE), 0);
        mem_slot_destroy(slot);
    }
    return NULL;
}

static void
test_many_threads_map_fill_and_write_one_share(void **state)
{
    struct mem_share *share = create_share(SHARE_PAGES, true);
    _Atomic uint64_t told[SHARE_PAGES] = {0};
    struct crowd crowds[THREADS];
    pthread_t threads[THREADS];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){share, i, told};
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_many, &crowds[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(mem_share_written(share, note_told, (void *)told), 0);
    for (uint64_t i = 0; i < SHARE_PAGES; i++) {
        assert_true(atomic_load(&told[i]) > 0);
        for (unsigned t = 0; t < THREADS; t++)
            assert_int_equal(mem_share_bytes(share)[i * PAGE + t], (ROUNDS + i) % 256);
    }
    assert_null(share->users);
    mem_share_put(share);
}

/* All fill the same pages at the same moment, page by page and all at once: each page is one
 * filler's, whole, and all say that it is there. */
#define FILL_ROUNDS 300u

struct fillers {
    struct mem_share *share[FILL_ROUNDS];
    pthread_barrier_t together;
};

struct filler {
    struct fillers *all;
    uint8_t number;
    int err;
};

static void *
fill_with_others(void *context)
{
    static _Thread_local uint8_t bytes[SHARE_PAGES * PAGE];
    struct filler *filler = context;

    (void)memset(bytes, filler->number + 1, sizeof(bytes));
    for (unsigned round = 0; round < FILL_ROUNDS; round++) {
        struct mem_share *share = filler->all->share[round];
        uint64_t step = round % 2 == 0 ? PAGE : sizeof(bytes);

        (void)pthread_barrier_wait(&filler->all->together);
        for (uint64_t offset = 0; offset < sizeof(bytes) && filler->err == 0; offset += step)
            filler->err = mem_share_fill(share, offset, bytes, step);
        if (filler->err == 0 && mem_share_absent(share, 0, sizeof(bytes)) != UINT64_MAX)
            filler->err = -EAGAIN;
    }
    return NULL;
}

static void
test_several_threads_fill_the_same_pages(void **state)
{
    struct filler fillers[THREADS];
    pthread_t threads[THREADS];
    struct fillers all;

    (void)state;
    assert_int_equal(pthread_barrier_init(&all.together, NULL, THREADS), 0);
    for (unsigned i = 0; i < FILL_ROUNDS; i++)
        all.share[i] = create_share(SHARE_PAGES, true);
    for (unsigned i = 0; i < THREADS; i++) {
        fillers[i] = (struct filler){&all, (uint8_t)i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, fill_with_others, &fillers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(fillers[i].err, 0);
    for (unsigned i = 0; i < FILL_ROUNDS; i++) {
        const uint8_t *bytes = mem_share_bytes(all.share[i]);

        for (unsigned page = 0; page < SHARE_PAGES; page++, bytes += PAGE) {
            assert_in_range(bytes[0], 1, THREADS);
            assert_memory_equal(bytes, bytes + 1, PAGE - 1); /* all the same */
        }
        mem_share_put(all.share[i]);
    }
    (void)pthread_barrier_destroy(&all.together);
}

/* Every write is told after it was made: now or the next time. */
struct writer {
    struct mem_slot *slot;
    _Atomic uint64_t done[SHARE_PAGES]; /* what was written last there */
    atomic_bool is_over;
};

static void *
write_on(void *context)
{
    struct writer *writer = context;

    for (uint64_t n = 1; n <= 20000; n++) {
        uint64_t page = n * 7 % SHARE_PAGES;

        *(volatile uint64_t *)(void *)at(writer->slot, page) = n;
        atomic_store(&writer->done[page], n);
    }
    atomic_store(&writer->is_over, true);
    return NULL;
}

struct reading {
    const struct mem_share *share;
    uint64_t seen[SHARE_PAGES];
};

static void
note_seen(void *context, int64_t offset, uint64_t bytes)
{
    struct reading *reading = context;

    for (uint64_t i = (uint64_t)offset / PAGE; i < ((uint64_t)offset + bytes) / PAGE; i++)
        reading->seen[i] =
            *(volatile uint64_t *)(void *)(mem_share_bytes(reading->share) + i * PAGE);
}

static void
test_no_write_is_missed_while_it_looks(void **state)
{
    struct mem_share *share = create_share(SHARE_PAGES, false);
    struct writer writer = {.slot = create((uint64_t)SHARE_PAGES * PAGE)};
    struct reading reading = {.share = share};
    bool is_over = false;
    pthread_t thread;

    (void)state;
    map(writer.slot, 0, SHARE_PAGES, share, 0, true);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    while (!is_over) {
        is_over = atomic_load(&writer.is_over);
        assert_int_equal(mem_share_written(share, note_seen, &reading), 0);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (unsigned i = 0; i < SHARE_PAGES; i++)
        assert_int_equal(reading.seen[i], atomic_load(&writer.done[i]));
    mem_slot_destroy(writer.slot);
    mem_share_put(share);
}

/* --------------------------------------------------------------------------- table */

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_slots_see_each_others_writes),
    cmocka_unit_test(test_what_is_mapped_read_only_is_not_written),
    cmocka_unit_test(test_unusable_ranges_are_refused),
    cmocka_unit_test(test_absent_pages_fault_until_they_are_filled),
    cmocka_unit_test(test_pages_that_are_there_are_there_for_who_comes_later),
    cmocka_unit_test(test_only_the_last_page_may_be_filled_in_part),
    cmocka_unit_test(test_the_kernel_says_efault_of_absent_pages_and_notes_its_writes),
    cmocka_unit_test(test_writes_through_every_mapping_are_told_once),
    cmocka_unit_test(test_what_was_written_is_told_after_the_mapping_is_gone),
    cmocka_unit_test(test_a_part_that_is_unshared_is_zero_and_the_slots_own),
    cmocka_unit_test(test_frozen_it_is_zero_and_what_is_around_it_is_kept),
    cmocka_unit_test(test_a_reset_takes_shares_away),
    cmocka_unit_test(test_a_delta_has_nothing_of_a_share),
    cmocka_unit_test(test_tracking_passes_over_it),
    cmocka_unit_test(test_a_failure_changes_nothing),
    cmocka_unit_test(test_many_threads_map_fill_and_write_one_share),
    cmocka_unit_test(test_several_threads_fill_the_same_pages),
    cmocka_unit_test(test_no_write_is_missed_while_it_looks),
};

static int
run(enum mem_share_way way, const char *name)
{
    if (mem_share_choose(way) != 0) {
        (void)fprintf(stderr, "%s: this kernel does not have it\n", name);
        return 0;
    }
    return _cmocka_run_group_tests(name, tests, ARRAY_COUNT(tests), NULL, NULL);
}

/* As tests of whole processes choose it. A child chooses anew. */
static void
test_the_environment_chooses_protection(void **state)
{
    int status = 1;
    pid_t pid;

    (void)state;
    assert_int_equal(setenv("WEFT_STRESS", "move=1,share=protect", 1), 0);
    pid = fork();
    if (pid == 0)
        _exit(mem_share_way() == MEM_SHARE_PROTECT ? 0 : 1);
    assert_int_equal(unsetenv("WEFT_STRESS"), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int
main(void)
{
    static const struct CMUnitTest of_processes[] = {
        cmocka_unit_test(test_the_environment_chooses_protection),
    };
    int failed;

    catch_faults();
    failed = cmocka_run_group_tests(of_processes, NULL, NULL);
    failed += run(MEM_SHARE_UFFD, "shares by userfaultfd");

    return failed + run(MEM_SHARE_PROTECT, "shares by protection") != 0;
}
