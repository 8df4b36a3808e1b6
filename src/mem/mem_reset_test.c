/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "mem/mem_internal.h"

#define PAGE   4096u
#define BELOW  (4u * PAGE)
#define WINDOW (UINT64_C(64) * PAGE)

static uint64_t seed;

static uint64_t
next(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return seed >> 33;
}

static struct mem_slot *
create(unsigned windows, uint64_t bytes)
{
    struct mem_slot *slot = NULL;

    assert_int_equal(mem_slot_create(BELOW, windows, true, &slot), 0);
    for (unsigned i = 0; i < windows; i++)
        assert_int_equal(mem_window_grow(slot, i, bytes), 0);
    return slot;
}

/* Writes a few words anywhere usable. */
static void
scribble(struct mem_slot *slot, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned window = (unsigned)(next() % slot->window_count);
        uint64_t bytes = slot->window_bytes[window];
        uint8_t *place = slot->origin + mem_window_offset(window) + next() % (bytes / 8) * 8;
        uint64_t value = next() % 4 == 0 ? 0 : next();

        if (next() % 8 == 0)
            place = slot->origin - BELOW + next() % (BELOW / 8) * 8;
        (void)memcpy(place, &value, sizeof(value));
    }
}

/* Everything usable, as bytes. */
static uint8_t *
copy_of(const struct mem_slot *slot, size_t *bytes)
{
    uint8_t *copy;

    *bytes = BELOW;
    for (unsigned i = 0; i < slot->window_count; i++)
        *bytes += slot->window_bytes[i];
    copy = malloc(*bytes);
    assert_non_null(copy);
    (void)memcpy(copy, slot->origin - BELOW, BELOW);
    *bytes = BELOW;
    for (unsigned i = 0; i < slot->window_count; i++) {
        (void)memcpy(copy + *bytes, slot->origin + mem_window_offset(i), slot->window_bytes[i]);
        *bytes += slot->window_bytes[i];
    }
    return copy;
}

static void
assert_is_copy(const struct mem_slot *slot, const uint8_t *copy, size_t bytes)
{
    size_t now_bytes;
    uint8_t *now = copy_of(slot, &now_bytes);

    assert_int_equal(now_bytes, bytes);
    assert_memory_equal(now, copy, bytes);
    free(now);
}

struct world {
    struct mem_slot *origin, *slot;
    struct mem_snapshot *snapshot;
    uint8_t *copy;
    size_t bytes;
};

static void
world_init(struct world *w, unsigned windows, uint64_t bytes, unsigned words)
{
    seed = 42 + windows;
    w->origin = create(windows, bytes);
    scribble(w->origin, words);
    assert_int_equal(mem_freeze(w->origin, &w->snapshot), 0);
    w->copy = copy_of(w->origin, &w->bytes);
    assert_int_equal(mem_slot_create(BELOW, windows, true, &w->slot), 0);
    assert_int_equal(mem_restore(w->slot, w->snapshot), 0);
}

static void
world_fini(struct world *w)
{
    mem_slot_destroy(w->slot);
    mem_slot_destroy(w->origin);
    mem_snapshot_destroy(w->snapshot);
    free(w->copy);
}

static void
test_nothing_that_was_written_is_left_after_a_reset(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 2, WINDOW, 40);
    for (unsigned round = 0; round < 200; round++) {
        if (round % 3 == 0)
            assert_int_equal(mem_window_grow(w.slot, round % 2, WINDOW + (round % 5) * PAGE), 0);
        scribble(w.slot, round % 60);
        assert_int_equal(mem_reset(w.slot, w.snapshot), 0);
        assert_is_copy(w.slot, w.copy, w.bytes);
        if (round % 4 == 0) { /* what grew again is zero, also where it was written before */
            uint8_t *end = w.slot->origin + WINDOW;

            assert_int_equal(mem_window_grow(w.slot, 0, WINDOW + PAGE), 0);
            for (unsigned i = 0; i < PAGE; i++)
                assert_int_equal(end[i], 0);
            (void)memset(end, 7, PAGE);
        }
    }
    world_fini(&w);
}

static void
test_many_pages_are_dropped_and_few_are_kept(void **state)
{
    const uint64_t bytes = (MEM_RESET_COPY_PAGES_MAX + 100u) * UINT64_C(4096);
    struct world w;
    uint64_t pages;

    (void)state;
    world_init(&w, 1, bytes, 1000);
    (void)memset(w.slot->origin, 9, bytes);
    assert_int_equal(mem_private_pages(w.slot, &pages), 0);
    assert_true(pages > MEM_RESET_COPY_PAGES_MAX);
    assert_int_equal(mem_reset(w.slot, w.snapshot), 0);
    assert_int_equal(mem_private_pages(w.slot, &pages), 0);
    assert_int_equal(pages, 0);
    assert_is_copy(w.slot, w.copy, w.bytes);
    world_fini(&w);
    /* Anew: an older kernel takes pages of zeros that were only read for written. */
    world_init(&w, 1, bytes, 1000);
    (void)memset(w.slot->origin, 9, 10 * PAGE);
    assert_int_equal(mem_reset(w.slot, w.snapshot), 0);
    assert_int_equal(mem_private_pages(w.slot, &pages), 0);
    assert_true(pages >= 10 && pages < 20);
    assert_is_copy(w.slot, w.copy, w.bytes);
    world_fini(&w);
}

static void
test_a_reset_to_another_snapshot_is_refused(void **state)
{
    struct mem_snapshot *other;
    struct world w;

    (void)state;
    world_init(&w, 1, WINDOW, 10);
    assert_int_equal(mem_freeze(w.slot, &other), 0);
    assert_int_equal(mem_reset(w.slot, other), -EINVAL);
    assert_int_equal(mem_reset(w.origin, w.snapshot), -EINVAL);
    fault_arm("mem.reset", 1, -ENOMEM);
    assert_int_equal(mem_reset(w.slot, w.snapshot), -ENOMEM);
    assert_true(fault_disarm());
    mem_snapshot_destroy(other);
    world_fini(&w);
}

static void
test_a_reset_works_for_a_snapshot_of_a_snapshot(void **state)
{
    struct mem_snapshot *second;
    struct mem_slot *slot;
    struct world w;
    uint8_t *copy;
    size_t bytes;

    (void)state;
    world_init(&w, 2, WINDOW, 60);
    scribble(w.slot, 20);
    assert_int_equal(mem_freeze(w.slot, &second), 0);
    copy = copy_of(w.slot, &bytes);
    assert_int_equal(mem_slot_create(BELOW, 2, true, &slot), 0);
    assert_int_equal(mem_restore(slot, second), 0);
    mem_snapshot_destroy(mem_snapshot_get(second));
    for (unsigned round = 0; round < 20; round++) {
        scribble(slot, 50);
        assert_int_equal(mem_reset(slot, second), 0);
        assert_is_copy(slot, copy, bytes);
    }
    mem_slot_destroy(slot);
    mem_snapshot_destroy(second);
    free(copy);
    world_fini(&w);
}

static void
test_a_delta_makes_another_slot_equal(void **state)
{
    struct mem_slot *other;
    struct world w;

    (void)state;
    world_init(&w, 2, WINDOW, 40);
    assert_int_equal(mem_slot_create(BELOW, 2, true, &other), 0);
    assert_int_equal(mem_restore(other, w.snapshot), 0);
    for (unsigned round = 0; round < 50; round++) {
        struct mem_delta *delta;
        uint8_t *copy;
        size_t bytes;

        if (round % 7 == 3)
            assert_int_equal(mem_window_grow(w.slot, 1, WINDOW + 3 * PAGE), 0);
        scribble(w.slot, round);
        copy = copy_of(w.slot, &bytes);
        assert_int_equal(mem_delta_take(w.slot, w.snapshot, &delta), 0);
        assert_true(mem_delta_bytes(delta) <
                    128 + round * 96); /* for windows it has not, nothing */
        scribble(other, 30);
        assert_int_equal(mem_reset(other, w.snapshot), 0);
        assert_int_equal(mem_delta_apply(other, delta), 0);
        assert_is_copy(other, copy, bytes);
        assert_int_equal(mem_delta_apply(w.origin, delta), -EINVAL);
        mem_delta_destroy(delta);
        free(copy);
        assert_int_equal(mem_reset(w.slot, w.snapshot), 0);
    }
    mem_slot_destroy(other);
    world_fini(&w);
}

static void
test_a_snapshot_survives_as_bytes(void **state)
{
    struct mem_snapshot *loaded;
    struct buffer bytes = {0};
    struct mem_slot *slot;
    struct diag diag = {0};
    struct world w;
    size_t used;

    (void)state;
    world_init(&w, 2, WINDOW, 100);
    assert_int_equal(mem_snapshot_save(w.snapshot, &bytes), 0);
    if (mem_snapshot_load(bytes.bytes, bytes.count, &loaded, &used, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    assert_int_equal(used, bytes.count);
    assert_int_equal(mem_slot_create(BELOW, 2, true, &slot), 0);
    assert_int_equal(mem_restore(slot, loaded), 0);
    assert_is_copy(slot, w.copy, w.bytes);
    mem_slot_destroy(slot);
    mem_snapshot_destroy(loaded);
    for (size_t i = 0; i < bytes.count; i += 1 + i / 64) { /* every kind of damage */
        bytes.bytes[i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(mem_snapshot_load(bytes.bytes, bytes.count, &loaded, &used, &diag),
                         -EINVAL);
        bytes.bytes[i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(mem_snapshot_load(bytes.bytes, i, &loaded, &used, &diag), -EINVAL);
    }
    fault_arm("mem.load", 1, -ENOMEM);
    assert_int_equal(mem_snapshot_load(bytes.bytes, bytes.count, &loaded, &used, &diag), -ENOMEM);
    assert_true(fault_disarm());
    buffer_fini(&bytes);
    world_fini(&w);
}

/* ------------------------------------------------------------------------ tracking */

static uint8_t seen[2][WINDOW / PAGE + 8];

static void
see(void *context, int64_t offset, uint64_t bytes)
{
    (void)context;
    for (uint64_t at = 0; at < bytes; at += PAGE) {
        int64_t place = offset + (int64_t)at;

        if (place >= 0)
            seen[place / mem_window_offset(1)][place % mem_window_offset(1) / PAGE] = 1;
    }
}

static void
on_fault(int number, siginfo_t *info, void *machine)
{
    (void)machine;
    if (!mem_track_fault((uintptr_t)info->si_addr))
        (void)signal(number, SIG_DFL);
}

static void
track_and_compare(enum mem_track_way way)
{
    struct world w;

    if (mem_track_choose(way) != 0)
        skip();
    world_init(&w, 2, WINDOW, 40);
    for (unsigned round = 0; round < 30; round++) {
        uint8_t wanted[2][WINDOW / PAGE + 8] = {{0}};
        unsigned sum = 0;

        (void)memset(seen, 0, sizeof(seen));
        assert_int_equal(mem_track_start(w.slot), 0);
        for (unsigned i = 0; i < WINDOW / PAGE; i++) /* reading is not writing */
            sum += w.slot->origin[i * PAGE];
        assert_true(sum < UINT32_MAX);
        for (unsigned i = 0; i < round; i++) {
            unsigned window = (unsigned)next() % 2;
            uint64_t page = next() % (WINDOW / PAGE);

            w.slot->origin[mem_window_offset(window) + (int64_t)(page * PAGE) + 5]++;
            wanted[window][page] = 1;
        }
        if (round == 7) { /* what grew and was written counts */
            assert_int_equal(mem_window_grow(w.slot, 1, WINDOW + 2 * PAGE), 0);
            w.slot->origin[mem_window_offset(1) + (int64_t)WINDOW + PAGE] = 1;
            wanted[1][WINDOW / PAGE + 1] = 1;
        }
        assert_int_equal(mem_track_written(w.slot, see, NULL), 0);
        assert_memory_equal(seen, wanted, sizeof(seen));
    }
    mem_track_stop(w.slot);
    w.slot->origin[0] = 1;
    assert_int_equal(mem_track_written(w.slot, see, NULL), -EINVAL);
    world_fini(&w);
}

static void
test_the_kernel_tells_what_was_written(void **state)
{
    (void)state;
    track_and_compare(MEM_TRACK_SCAN);
}

static void
test_faults_tell_what_was_written(void **state)
{
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct sigaction before;

    (void)state;
    assert_int_equal(sigaction(SIGSEGV, &ours, &before), 0);
    track_and_compare(MEM_TRACK_FAULT);
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_that_was_written_is_left_after_a_reset),
        cmocka_unit_test(test_many_pages_are_dropped_and_few_are_kept),
        cmocka_unit_test(test_a_reset_to_another_snapshot_is_refused),
        cmocka_unit_test(test_a_reset_works_for_a_snapshot_of_a_snapshot),
        cmocka_unit_test(test_a_delta_makes_another_slot_equal),
        cmocka_unit_test(test_a_snapshot_survives_as_bytes),
        cmocka_unit_test(test_the_kernel_tells_what_was_written),
        cmocka_unit_test(test_faults_tell_what_was_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
