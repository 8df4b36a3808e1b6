/* SPDX-License-Identifier: Apache-2.0
 *
 * Shares and what becomes of a Faaslet: frozen, thawed, parked, reset, moved, linked.
 */
#include "faaslet/faaslet_share_testing.h"

/* ------------------------------------------------------------- frozen, parked, reset */

/* A guest that stands before a copy from its share, with a range given back; at FIRST_AT. */
static struct faaslet_frozen *
freeze_standing(struct faaslet_share *share)
{
    struct faaslet *faaslet = start();
    struct faaslet_frozen *frozen = NULL;
    uint64_t at = map(faaslet, 0, true), second = map(faaslet, 0, true);

    assert_int_equal(testing_result(faaslet, "unmap", (uint64_t[]){second}, 1), 0);
    pending_left = 1;
    assert_int_equal(
        testing_call(faaslet, "stand_and_copy", (uint64_t[]){64, at + 5, 1000}, 3).kind,
        FAASLET_PENDING);
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), 0);
    assert_true(faaslet_share_get(faaslet, 0, share));
    faaslet_destroy(faaslet);
    return frozen;
}

static void
expect_to_go_on(const struct faaslet_frozen *frozen, const struct faaslet_share *share)
{
    struct faaslet *thawed = NULL;
    struct faaslet_outcome outcome;
    uint64_t result = 0;

    assert_int_equal(faaslet_thaw(frozen, &config, &thawed, NULL), 0);
    if (share != NULL)
        assert_int_equal(faaslet_share_at(thawed, share), 0);
    faaslet_run(thawed, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(thawed, 0, &result, 1), 0);
    assert_int_equal(result, share != NULL ? sum_of(source + 5, 1000) : 0);
    (void)testing_call(thawed, "store", (uint64_t[]){FIRST_AT, 33}, 2);
    assert_int_equal(mem_share_bytes(shares[0])[0], share != NULL ? 33 : source[0]);
    mem_share_bytes(shares[0])[0] = source[0];
    /* What was given back is known there too. */
    assert_int_equal(map(thawed, 0, true), FIRST_AT + 2 * ABI_PAGE_BYTES);
    faaslet_destroy(thawed);
}

static void
test_thawed_it_has_zeros_until_it_is_mapped_again(void **state)
{
    struct faaslet_load load = {&image, 1, resolve};
    struct faaslet_frozen *frozen, *loaded = NULL;
    struct faaslet_share share;
    struct buffer bytes = {0};

    (void)state;
    make_share(0, false);
    frozen = freeze_standing(&share);
    assert_int_equal(faaslet_frozen_save(frozen, &bytes, NULL), 0);
    assert_true(bytes.count < SHARE_BYTES);
    assert_int_equal(faaslet_frozen_load(bytes.bytes, bytes.count, &load, &loaded, NULL), 0);
    expect_to_go_on(frozen, &share);
    expect_to_go_on(frozen, NULL);
    expect_to_go_on(loaded, &share);
    expect_to_go_on(loaded, NULL);
    buffer_fini(&bytes);
    faaslet_frozen_destroy(frozen);
    faaslet_frozen_destroy(loaded);
}

static void
test_a_place_where_it_cannot_be_mapped_again_is_refused(void **state)
{
    static const struct faaslet_share wrong[] = {
        {.offset = 1, .bytes = SHARE_BYTES},
        {.offset = UINT64_C(1) << 32, .bytes = SHARE_BYTES},
        {.offset = FIRST_AT - PAGE, .bytes = SHARE_BYTES}, /* ends outside */
        {.offset = 0, .bytes = SHARE_BYTES + PAGE},        /* more than it has */
        {.offset = 0, .bytes = 0},
        {.offset = 0, .bytes = PAGE, .share_offset = SHARE_BYTES},
        {.offset = 0, .bytes = PAGE, .instance = 1},
    };
    struct faaslet *faaslet = start();

    (void)state;
    make_share(0, false);
    for (unsigned i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct faaslet_share share = wrong[i];

        share.share = shares[0];
        assert_int_equal(faaslet_share_at(faaslet, &share), -EINVAL);
        assert_false(faaslet_share_get(faaslet, 0, &share));
    }
    faaslet_destroy(faaslet);
}

static void
test_parked_it_is_mapped_again_where_it_was(void **state)
{
    struct faaslet *origin = start(), *faaslet = NULL;
    struct faaslet_frozen *frozen = NULL;
    struct faaslet_parked *parked = NULL;
    struct faaslet_outcome outcome;
    struct faaslet_share share;
    uint64_t at, result = 0;
    unsigned count;

    (void)state;
    assert_int_equal(faaslet_freeze(origin, &frozen, NULL), 0);
    assert_int_equal(faaslet_thaw(frozen, &config, &faaslet, NULL), 0);
    make_share(0, true);
    at = map(faaslet, 0, true);
    pending_left = 1;
    outcome = testing_call(faaslet, "stand_and_copy", (uint64_t[]){64, at, 5000}, 3);
    assert_int_equal(outcome.kind, FAASLET_PENDING);
    assert_true(faaslet_share_get(faaslet, 0, &share));
    share.share = mem_share_get(share.share);
    assert_int_equal(faaslet_park(faaslet, frozen, &parked, NULL), 0);
    assert_true(faaslet_parked_bytes(parked) < 2 * PAGE);
    assert_int_equal(faaslet_reset(faaslet, frozen, NULL, NULL), 0);
    assert_int_equal(testing_call(faaslet, "load", (uint64_t[]){at}, 1).kind, FAASLET_TRAP);
    assert_int_equal(faaslet_reset(faaslet, frozen, NULL, NULL), 0);
    assert_int_equal(faaslet_unpark(faaslet, parked, NULL), 0);
    assert_int_equal(faaslet_share_at(faaslet, &share), 0);
    assert_int_equal(run_filling(faaslet, &count).kind, FAASLET_DONE);
    assert_int_equal(count, 1);
    assert_int_equal(faaslet_results(faaslet, 0, &result, 1), 0);
    assert_int_equal(result, sum_of(source, 5000));
    mem_share_put(share.share);
    faaslet_parked_destroy(parked);
    faaslet_destroy(origin);
    faaslet_destroy(faaslet);
    faaslet_frozen_destroy(frozen);
}

/* What a call does with shares before it is over, in several ways. */
static void
use_shares(struct faaslet *faaslet, unsigned round)
{
    uint64_t at = map(faaslet, 0, true), lazy = map(faaslet, 1, true);

    assert_int_equal(at, FIRST_AT);
    (void)testing_call(faaslet, "store", (uint64_t[]){at + PAGE, 0x40 + round}, 2);
    if (round == 1)
        assert_int_equal(testing_result(faaslet, "unmap", (uint64_t[]){at}, 1), 0);
    if (round == 2)
        assert_int_equal(testing_call(faaslet, "load", (uint64_t[]){lazy}, 1).kind, FAASLET_ABSENT);
    if (round == 3)
        assert_int_equal(testing_call(faaslet, "fill", (uint64_t[]){lazy + 9 * PAGE, 1, 9}, 3).kind,
                         FAASLET_ABSENT);
}

static void
expect_nothing_shared(struct faaslet *faaslet)
{
    struct faaslet_share share;
    unsigned count;

    assert_false(faaslet_share_get(faaslet, 0, &share));
    assert_int_equal(faaslet->stand.given_back_count, 0);
    assert_int_equal(testing_result(faaslet, "size", NULL, 0), 2);
    assert_int_equal(testing_call(faaslet, "load", (uint64_t[]){FIRST_AT}, 1).trap,
                     ABI_TRAP_MEMORY_BOUNDS);
    assert_int_equal(testing_result(faaslet, "grow", (uint64_t[]){8}, 1), 2);
    assert_int_equal(testing_result(faaslet, "sum", (uint64_t[]){FIRST_AT, 4 * ABI_PAGE_BYTES}, 2),
                     0);
    assert_int_equal(
        call_filling(faaslet, "fill", (uint64_t[]){FIRST_AT, 7, 4 * ABI_PAGE_BYTES}, 3, &count)
            .kind,
        FAASLET_DONE);
}

static void
test_a_reset_leaves_nothing_of_a_share_to_the_next_call(void **state)
{
    struct faaslet *origin = start(), *faaslet = NULL;
    struct faaslet_frozen *frozen = NULL;

    (void)state;
    assert_int_equal(faaslet_freeze(origin, &frozen, NULL), 0);
    assert_int_equal(faaslet_thaw(frozen, &config, &faaslet, NULL), 0);
    make_share(0, false);
    make_share(1, true);
    for (unsigned round = 0; round < 4; round++) {
        use_shares(faaslet, round);
        assert_int_equal(faaslet_reset(faaslet, frozen, NULL, NULL), 0);
        expect_nothing_shared(faaslet);
        assert_int_equal(mem_share_bytes(shares[0])[PAGE], 0x40 + round);
        assert_int_equal(mem_share_bytes(shares[0])[0], source[0]);
        assert_int_equal(faaslet_reset(faaslet, frozen, NULL, NULL), 0);
    }
    faaslet_destroy(origin);
    faaslet_destroy(faaslet);
    faaslet_frozen_destroy(frozen);
}

static void
test_moved_at_every_host_call_it_keeps_its_shares(void **state)
{
    struct faaslet *faaslet = start();
    uint64_t at, lazy, moves = faaslet_stress_moves();
    unsigned before = stress_every, count;

    (void)state;
    make_share(0, false);
    make_share(1, true);
    faaslet_stress(1);
    at = map(faaslet, 0, false);
    lazy = map(faaslet, 1, true);
    assert_int_equal(testing_result(faaslet, "sum", (uint64_t[]){at, SHARE_BYTES}, 2),
                     sum_of(source, SHARE_BYTES));
    assert_int_equal(result_filling(faaslet, "sum", (uint64_t[]){lazy + 100, 2 * PAGE}, 2, &count),
                     sum_of(source + 100, 2 * PAGE));
    assert_int_equal(count, 1);
    assert_int_equal(result_filling(faaslet, "stand_and_copy",
                                    (uint64_t[]){64, lazy + 4 * PAGE, 5 * PAGE}, 3, &count),
                     sum_of(source + 4 * PAGE, 5 * PAGE));
    assert_int_equal(count, 1);
    (void)call_filling(faaslet, "fill", (uint64_t[]){lazy + 15 * PAGE, 9, 2 * PAGE}, 3, &count);
    assert_int_equal(count, 1);
    assert_int_equal(mem_share_bytes(shares[1])[16 * PAGE], 9);
    assert_int_equal(result_filling(faaslet, "load", (uint64_t[]){lazy + 19 * PAGE}, 1, &count),
                     source[19 * PAGE]);
    expect_read_only(faaslet, "store", (uint64_t[]){at, 1}, 2);
    assert_true(faaslet_stress_moves() > moves + 8);
    faaslet_stress(before);
    faaslet_destroy(faaslet);
}

static void
test_instances_of_a_linked_one_have_shares_in_their_own_memories(void **state)
{
    struct faaslet_image *linked;
    struct faaslet *faaslet = NULL;
    struct faaslet_outcome outcome;
    struct faaslet_share share;
    uint64_t result = 0;
    uint32_t number = 0;
    unsigned count;

    (void)state;
    make_share(0, false);
    make_share(1, true);
    linked = testing_image(main_text, ABI_LINKED);
    assert_int_equal(faaslet_create_empty(&config, &faaslet), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(faaslet_add(faaslet, linked, &number, NULL), 0);
        assert_int_equal(number, i);
        testing_init(faaslet, i);
        assert_int_equal(faaslet_invoke(faaslet, i, "map", (uint64_t[]){i, true}, 2), 0);
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
        assert_int_equal(outcome.kind, FAASLET_DONE);
        assert_int_equal(faaslet_results(faaslet, i, &result, 1), 0);
        assert_int_equal(result, FIRST_AT);
        assert_true(faaslet_share_get(faaslet, i, &share));
        assert_int_equal(share.instance, i);
        assert_int_equal(share.offset, FIRST_AT);
    }
    assert_int_equal(
        faaslet_invoke(faaslet, 1, "stand_and_copy", (uint64_t[]){8, FIRST_AT + 1, 9000}, 3), 0);
    assert_int_equal(run_filling(faaslet, &count).kind, FAASLET_DONE);
    assert_int_equal(count, 1);
    assert_int_equal(faaslet_results(faaslet, 1, &result, 1), 0);
    assert_int_equal(result, sum_of(source + 1, 9000));
    assert_int_equal(testing_result(faaslet, "load", (uint64_t[]){FIRST_AT + 1}, 1), source[1]);
    faaslet_destroy(faaslet);
    faaslet_image_put(linked);
}

/* ---------------------------------------------------------------------------- table */

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        SHARE_TEST(test_thawed_it_has_zeros_until_it_is_mapped_again),
        SHARE_TEST(test_a_place_where_it_cannot_be_mapped_again_is_refused),
        SHARE_TEST(test_parked_it_is_mapped_again_where_it_was),
        SHARE_TEST(test_a_reset_leaves_nothing_of_a_share_to_the_next_call),
        SHARE_TEST(test_moved_at_every_host_call_it_keeps_its_shares),
        SHARE_TEST(test_instances_of_a_linked_one_have_shares_in_their_own_memories),
    };

    return run_in_both_ways(tests, ARRAY_COUNT(tests));
}
