/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "mem/mem_internal.h"

#define PAGE   4096u
#define BELOW  (4u * PAGE)
#define WINDOW (UINT64_C(64) * PAGE)

static struct mem_slot *
create(unsigned windows)
{
    struct mem_slot *slot = NULL;

    assert_int_equal(mem_slot_create(BELOW, windows, true, &slot), 0);
    return slot;
}

static uint8_t *
window(const struct mem_slot *slot, unsigned number)
{
    return mem_slot_origin(slot) + mem_window_offset(number);
}

static unsigned
count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

/* Whether touching the byte kills a process. */
static bool
is_guarded(volatile uint8_t *byte)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct sigaction ends = {.sa_handler = SIG_DFL};

        (void)sigaction(SIGSEGV, &ends, NULL);
        (void)*byte;
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void
test_a_slot_is_zero_where_usable_and_guarded_elsewhere(void **state)
{
    struct mem_slot *slot = create(2);
    uint8_t *origin = mem_slot_origin(slot);

    (void)state;
    assert_int_equal(origin[-(int)BELOW], 0);
    origin[-1] = 1;
    assert_true(is_guarded(origin));
    assert_true(is_guarded(origin - BELOW - 1));
    assert_int_equal(mem_window_grow(slot, 1, WINDOW), 0);
    assert_int_equal(window(slot, 1)[WINDOW - 1], 0);
    assert_true(is_guarded(window(slot, 1) + WINDOW));
    assert_true(is_guarded(window(slot, 1) - 1));
    assert_true(is_guarded((uint8_t *)mem_slot_end(slot) - 1));
    mem_slot_destroy(slot);
}

static void
test_bad_sizes_are_refused(void **state)
{
    struct mem_slot *slot = NULL;
    struct mem_stack stack;

    (void)state;
    assert_int_equal(mem_slot_create(1, 1, false, &slot), -EINVAL);
    assert_int_equal(mem_slot_create(BELOW, 0, false, &slot), -EINVAL);
    assert_int_equal(mem_slot_create(BELOW, MEM_WINDOWS_MAX + 1, false, &slot), -EINVAL);
    assert_int_equal(mem_stack_create(0, false, &stack), -EINVAL);
    slot = create(1);
    assert_int_equal(mem_window_grow(slot, 1, WINDOW), -EINVAL);
    assert_int_equal(mem_window_grow(slot, 0, WINDOW + 1), -EINVAL);
    assert_int_equal(mem_window_grow(slot, 0, MEM_WINDOW_BYTES + PAGE), -EINVAL);
    assert_int_equal(mem_window_grow(slot, 0, WINDOW), 0);
    assert_int_equal(mem_window_grow(slot, 0, PAGE), 0);
    assert_int_equal(mem_window_bytes(slot, 0), WINDOW);
    assert_int_equal(mem_window_map(slot, 0, WINDOW, PAGE, 0, 0), -EINVAL);
    assert_int_equal(mem_window_map(slot, 0, 1, PAGE, 0, 0), -EINVAL);
    assert_int_equal(mem_below_map(slot, 0, PAGE, 0, 0), -EINVAL);
    assert_int_equal(mem_below_map(slot, -(int64_t)BELOW - PAGE, PAGE, 0, 0), -EINVAL);
    mem_slot_destroy(slot);
    mem_slot_destroy(NULL);
}

static void
test_a_stack_has_a_guard_below(void **state)
{
    struct mem_stack stack = {0};

    (void)state;
    mem_stack_destroy(&stack);
    assert_int_equal(mem_stack_create(10000, false, &stack), 0);
    assert_int_equal(stack.top % 16, 0);
    assert_true(stack.top - stack.first >= 10000);
    ((uint8_t *)stack.first)[0] = 1;
    ((uint8_t *)stack.top)[-1] = 1;
    assert_true(is_guarded((uint8_t *)stack.first - 1));
    assert_true(is_guarded((uint8_t *)stack.guard_first));
    mem_stack_destroy(&stack);
    assert_int_equal(stack.top, 0);
}

static void
test_a_restored_slot_is_equal_and_apart(void **state)
{
    struct mem_slot *slot = create(2), *copy = create(2);
    struct mem_snapshot *snapshot = NULL;

    (void)state;
    assert_int_equal(mem_window_grow(slot, 0, WINDOW), 0);
    assert_int_equal(mem_window_grow(slot, 1, 2 * PAGE), 0);
    mem_slot_origin(slot)[-5] = 11;
    window(slot, 0)[0] = 12;
    window(slot, 0)[40 * PAGE + 7] = 13;
    window(slot, 1)[PAGE] = 14;
    assert_int_equal(mem_freeze(slot, &snapshot), 0);
    window(slot, 0)[0] = 99;
    assert_int_equal(mem_restore(copy, snapshot), 0);
    assert_int_equal(mem_slot_origin(copy)[-5], 11);
    assert_int_equal(window(copy, 0)[0], 12);
    assert_int_equal(window(copy, 0)[40 * PAGE + 7], 13);
    assert_int_equal(window(copy, 0)[39 * PAGE], 0);
    assert_int_equal(window(copy, 1)[PAGE], 14);
    assert_int_equal(mem_window_bytes(copy, 1), 2 * PAGE);
    window(copy, 1)[PAGE] = 15;
    assert_int_equal(window(slot, 1)[PAGE], 14);
    assert_int_equal(mem_snapshot_window_count(snapshot), 2);
    assert_int_equal(mem_snapshot_below_bytes(snapshot), BELOW);
    mem_slot_destroy(slot);
    mem_slot_destroy(copy);
    mem_snapshot_destroy(snapshot);
    mem_snapshot_destroy(NULL);
}

static void
test_zero_pages_are_not_stored(void **state)
{
    struct mem_slot *slot = create(1);
    struct mem_snapshot *snapshot = NULL;

    (void)state;
    assert_int_equal(mem_window_grow(slot, 0, WINDOW), 0);
    (void)memset(window(slot, 0), 0, 32 * PAGE); /* present, and zero */
    window(slot, 0)[3 * PAGE] = 1;
    assert_int_equal(mem_freeze(slot, &snapshot), 0);
    assert_int_equal(mem_snapshot_stored_bytes(snapshot), PAGE);
    mem_snapshot_destroy(snapshot);
    mem_slot_destroy(slot);
}

static void
test_a_slot_of_another_shape_is_refused(void **state)
{
    struct mem_slot *slot = create(1), *other = create(2), *larger = create(1);
    struct mem_snapshot *snapshot = NULL;

    (void)state;
    assert_int_equal(mem_window_grow(larger, 0, WINDOW), 0);
    assert_int_equal(mem_freeze(slot, &snapshot), 0);
    assert_int_equal(mem_restore(other, snapshot), -EINVAL);
    assert_int_equal(mem_restore(larger, snapshot), -EINVAL);
    mem_snapshot_destroy(snapshot);
    mem_slot_destroy(slot);
    mem_slot_destroy(other);
    mem_slot_destroy(larger);
}

static void
test_restore_forgets_the_grown_tail(void **state)
{
    struct mem_slot *slot = create(1), *copy = create(1);
    struct mem_snapshot *snapshot = NULL;

    (void)state;
    assert_int_equal(mem_window_grow(slot, 0, 2 * PAGE), 0);
    (void)memset(window(slot, 0), 7, 2 * PAGE);
    assert_int_equal(mem_freeze(slot, &snapshot), 0);
    assert_int_equal(mem_window_grow(slot, 0, 8 * PAGE), 0);
    (void)memset(window(slot, 0), 9, 8 * PAGE);
    assert_int_equal(mem_restore(copy, snapshot), 0);
    assert_int_equal(mem_window_bytes(copy, 0), 2 * PAGE);
    assert_true(is_guarded(window(copy, 0) + 2 * PAGE));
    assert_int_equal(mem_window_grow(copy, 0, 8 * PAGE), 0);
    assert_int_equal(window(copy, 0)[2 * PAGE - 1], 7);
    for (unsigned i = 2 * PAGE; i < 8 * PAGE; i++)
        assert_int_equal(window(copy, 0)[i], 0);
    mem_slot_destroy(slot);
    mem_slot_destroy(copy);
    mem_snapshot_destroy(snapshot);
}

/* Fills and clears pages, freezes, goes on in the copy: many times, compared with
 * a plain picture of what should be there. */
static void
test_a_chain_of_copies_keeps_every_byte(void **state)
{
    static uint8_t expected[WINDOW];
    struct mem_slot *slot = create(1);
    uint32_t random = 12345;

    (void)state;
    (void)memset(expected, 0, sizeof(expected));
    assert_int_equal(mem_window_grow(slot, 0, WINDOW), 0);
    for (unsigned round = 0; round < 300; round++) {
        struct mem_snapshot *snapshot = NULL;
        struct mem_slot *next = create(1);

        for (unsigned i = 0; i < 5; i++) {
            size_t at;

            random = random * 1664525 + 1013904223;
            at = (random >> 8) % (sizeof(expected) / PAGE) * PAGE;
            (void)memset(expected + at, (int)(random & 3), PAGE);
            (void)memset(window(slot, 0) + at, (int)(random & 3), PAGE);
        }
        assert_int_equal(mem_freeze(slot, &snapshot), 0);
        mem_slot_destroy(slot);
        assert_int_equal(mem_restore(next, snapshot), 0);
        mem_snapshot_destroy(snapshot);
        slot = next;
        assert_memory_equal(window(slot, 0), expected, sizeof(expected));
    }
    mem_slot_destroy(slot);
}

static void
test_freezing_again_stores_only_what_changed(void **state)
{
    struct mem_slot *slot = create(1), *copy = create(1);
    struct mem_snapshot *first = NULL, *second = NULL;

    (void)state;
    assert_int_equal(mem_window_grow(slot, 0, WINDOW), 0);
    (void)memset(window(slot, 0), 5, WINDOW);
    assert_int_equal(mem_freeze(slot, &first), 0);
    assert_int_equal(mem_restore(copy, first), 0);
    window(copy, 0)[9 * PAGE] = 6;
    assert_int_equal(mem_freeze(copy, &second), 0);
    assert_int_equal(mem_snapshot_stored_bytes(first), WINDOW);
    assert_int_equal(mem_snapshot_stored_bytes(second), PAGE);
    mem_slot_destroy(slot);
    mem_slot_destroy(copy);
    mem_snapshot_destroy(first); /* the second lives on the first one's file */
    copy = create(1);
    assert_int_equal(mem_restore(copy, second), 0);
    assert_int_equal(window(copy, 0)[8 * PAGE], 5);
    assert_int_equal(window(copy, 0)[9 * PAGE], 6);
    mem_slot_destroy(copy);
    mem_snapshot_destroy(second);
}

static void
test_mapped_file_bytes_are_copied_on_write_and_frozen(void **state)
{
    struct mem_slot *slot = create(1), *copy = create(1);
    struct mem_snapshot *snapshot = NULL;
    uint8_t page[PAGE];
    int fd = memfd_create("test", MFD_CLOEXEC);

    (void)state;
    (void)memset(page, 3, sizeof(page));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(write(fd, page, sizeof(page)), PAGE);
    assert_int_equal(mem_window_grow(slot, 0, WINDOW), 0);
    assert_int_equal(mem_window_map(slot, 0, 2 * PAGE, 4 * PAGE, fd, 0), 0);
    assert_int_equal(mem_below_map(slot, -(int64_t)BELOW, PAGE, fd, PAGE), 0);
    window(slot, 0)[3 * PAGE] = 4;
    (void)memset(window(slot, 0) + 4 * PAGE, 0, PAGE);
    assert_int_equal(mem_freeze(slot, &snapshot), 0);
    mem_slot_destroy(slot);
    (void)close(fd);
    assert_int_equal(mem_restore(copy, snapshot), 0);
    assert_int_equal(window(copy, 0)[2 * PAGE], 3);
    assert_int_equal(window(copy, 0)[3 * PAGE], 4);
    assert_int_equal(window(copy, 0)[3 * PAGE + 1], 3);
    assert_int_equal(window(copy, 0)[4 * PAGE], 0);
    assert_int_equal(window(copy, 0)[5 * PAGE], 3);
    assert_int_equal(window(copy, 0)[6 * PAGE], 0);
    assert_int_equal((mem_slot_origin(copy) - BELOW)[0], 3);
    mem_slot_destroy(copy);
    mem_snapshot_destroy(snapshot);
}

static void
test_old_kernels_find_the_same_pages(void **state)
{
    struct mem_slot *slot = create(1);
    struct mem_spans fast = {0}, slow = {0};

    (void)state;
    assert_int_equal(mem_window_grow(slot, 0, WINDOW), 0);
    window(slot, 0)[0] = 1;
    window(slot, 0)[5 * PAGE] = 1;
    window(slot, 0)[6 * PAGE] = 1;
    window(slot, 0)[WINDOW - 1] = 1;
    assert_int_equal(mem_scan(slot, 0, (int64_t)WINDOW, &fast), 0);
    assert_int_equal(mem_scan_pagemap(slot, 0, (int64_t)WINDOW, &slow), 0);
    assert_int_equal(fast.count, 3);
    assert_int_equal(slow.count, 3);
    assert_memory_equal(fast.spans, slow.spans, 3 * sizeof(struct mem_span));
    mem_spans_fini(&fast);
    mem_spans_fini(&slow);
    mem_slot_destroy(slot);
}

static int
whole_life(void)
{
    struct mem_slot *slot, *copy = NULL;
    struct mem_snapshot *snapshot = NULL;
    struct mem_stack stack = {0};
    int err = mem_slot_create(BELOW, 1, false, &slot);

    if (err != 0)
        return err;
    err = mem_window_grow(slot, 0, WINDOW);
    if (err == 0) {
        window(slot, 0)[0] = 1;
        err = mem_stack_create(PAGE, false, &stack);
    }
    if (err == 0)
        err = mem_freeze(slot, &snapshot);
    if (err == 0)
        err = mem_slot_create(BELOW, 1, false, &copy);
    if (err == 0)
        err = mem_restore(copy, snapshot);
    mem_slot_destroy(slot);
    mem_slot_destroy(copy);
    mem_stack_destroy(&stack);
    mem_snapshot_destroy(snapshot);
    return err;
}

static void
test_failures_leave_nothing_behind(void **state)
{
    static const char *const points[] = {"mem.reserve", "mem.grow", "mem.stack", "mem.freeze",
                                         "mem.restore"};
    unsigned before;

    (void)state;
    assert_int_equal(whole_life(), 0);
    before = count_descriptors();
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        unsigned failures = 0;

        for (;; failures++) {
            fault_arm(points[i], failures + 1, -ENOMEM);
            if (whole_life() == 0)
                break;
            assert_true(fault_disarm());
        }
        assert_false(fault_disarm());
        assert_true(failures > 0);
        assert_int_equal(count_descriptors(), before);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_slot_is_zero_where_usable_and_guarded_elsewhere),
        cmocka_unit_test(test_bad_sizes_are_refused),
        cmocka_unit_test(test_a_stack_has_a_guard_below),
        cmocka_unit_test(test_a_restored_slot_is_equal_and_apart),
        cmocka_unit_test(test_zero_pages_are_not_stored),
        cmocka_unit_test(test_a_slot_of_another_shape_is_refused),
        cmocka_unit_test(test_restore_forgets_the_grown_tail),
        cmocka_unit_test(test_a_chain_of_copies_keeps_every_byte),
        cmocka_unit_test(test_freezing_again_stores_only_what_changed),
        cmocka_unit_test(test_mapped_file_bytes_are_copied_on_write_and_frozen),
        cmocka_unit_test(test_old_kernels_find_the_same_pages),
        cmocka_unit_test(test_failures_leave_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
