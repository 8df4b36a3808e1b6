/* SPDX-License-Identifier: Apache-2.0
 *
 * Pushes that add, and pushes of very many runs; on testing_tier.
 */
#ifndef WEFT_TIER_ELEMENTS_TESTING_H
#define WEFT_TIER_ELEMENTS_TESTING_H

#include "tier/values_testing.h"

#define ADDS_I32 RPC__STATE_ELEMENT__STATE_ELEMENT_INT32
#define ADDS_I64 RPC__STATE_ELEMENT__STATE_ELEMENT_INT64
#define ADDS_F32 RPC__STATE_ELEMENT__STATE_ELEMENT_FLOAT
#define ADDS_F64 RPC__STATE_ELEMENT__STATE_ELEMENT_DOUBLE

static void
test_what_is_pushed_is_added_to_what_is_there(void **state)
{
    const double numbers[3] = {0.5, -1, 3}, more[2] = {10, 0.25}, sums[3] = {0.5, 9, 3.25};
    const int32_t small[2] = {INT32_MAX, 1}, one[2] = {1, 1}, wrapped[2] = {INT32_MIN, 2};
    const float f = 1.5f, twice = 3;
    const int64_t large = -7, zero = 0;
    struct cell cell;

    (void)state;
    cell_open_for(&cell, testing_tier, "elements");
    assert_int_equal(PUSH(&cell, "f64", numbers, .count = 24, .creates = true), 0);
    assert_int_equal(
        PUSH(&cell, "f64", more, .count = 16, .offset = 8, .size = 24, .adds = ADDS_F64), 0);
    cell_expect(&cell, "f64", sums, sizeof(sums));
    assert_int_equal(PUSH(&cell, "i32", small, .count = 8, .creates = true), 0);
    assert_int_equal(PUSH(&cell, "i32", one, .count = 8, .adds = ADDS_I32), 0);
    cell_expect(&cell, "i32", wrapped, sizeof(wrapped));
    assert_int_equal(PUSH(&cell, "f32", &f, .count = 4, .creates = true, .adds = ADDS_F32), 0);
    assert_int_equal(PUSH(&cell, "f32", &f, .count = 4, .adds = ADDS_F32), 0);
    cell_expect(&cell, "f32", &twice, sizeof(twice));
    assert_int_equal(PUSH(&cell, "i64", &zero, .count = 8, .creates = true), 0);
    assert_int_equal(PUSH(&cell, "i64", &large, .count = 8, .adds = ADDS_I64), 0);
    cell_close(&cell, true);
    assert_int_equal(tier_again(), 0);
    cell_open_for(&cell, testing_tier, "elements");
    cell_expect(&cell, "i64", &large, sizeof(large));
    cell_expect(&cell, "f64", sums, sizeof(sums));
    cell_close(&cell, true);
}

static void
test_additions_in_pieces_are_one_change(void **state)
{
    const size_t count = 700000 / 8;
    uint64_t *numbers = calloc(count, 8), first = 0;
    struct cell cell;

    (void)state;
    for (size_t i = 0; i < count; i++)
        numbers[i] = i * 77;
    cell_open_for(&cell, testing_tier, "elements");
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(
            PUSH(&cell, "m", numbers, .count = count * 8, .creates = true, .adds = ADDS_I64), 0);
        first = i == 1 ? cell.version : first;
        assert_int_equal(cell.version, first + i - 1);
    }
    for (size_t i = 0; i < count; i++)
        numbers[i] *= 3;
    cell_expect(&cell, "m", numbers, count * 8);
    cell_close(&cell, true);
    free(numbers);
}

/* With the conditions of any push. */
static void
test_an_addition_that_may_not_be_changes_nothing(void **state)
{
    const int64_t number[2] = {5, 6};
    uint64_t version;
    struct cell cell;

    (void)state;
    cell_open_for(&cell, testing_tier, "elements");
    assert_int_equal(PUSH(&cell, "a", number, .count = 8, .adds = ADDS_I64), -ENOENT);
    assert_int_equal(PUSH(&cell, "a", number, .count = 16, .creates = true), 0);
    version = cell.version;
    assert_int_equal(PUSH(&cell, "a", number, .count = 8, .adds = ADDS_I64), -EMSGSIZE);
    assert_int_equal(PUSH(&cell, "a", number, .count = 16, .has_condition = true,
                          .version = version + 1, .adds = ADDS_I64),
                     -EAGAIN);
    assert_int_equal(PUSH(&cell, "a", number, .count = 16, .fence = 99, .adds = ADDS_I64), -ESTALE);
    assert_int_equal(PUSH(&cell, "a", number, .count = 16, .replaces = true, .adds = ADDS_I64),
                     -EINVAL);
    assert_int_equal(
        PUSH(&cell, "a", number, .count = 8, .offset = 4, .size = 16, .adds = ADDS_I64), -EINVAL);
    assert_int_equal(
        PUSH(&cell, "a", number, .count = 4, .offset = 8, .size = 16, .adds = ADDS_I64), -EINVAL);
    assert_int_equal(PUSH(&cell, "a", number, .count = 8, .size = 12, .adds = ADDS_I64), -EINVAL);
    assert_int_equal(PUSH(&cell, "a", number, .count = 16, .adds = (Rpc__StateElement)5), -EINVAL);
    cell_expect(&cell, "a", number, sizeof(number));
    assert_int_equal(PUSH(&cell, "a", number, .count = 16, .has_condition = true,
                          .version = version, .adds = ADDS_I64),
                     0);
    cell_close(&cell, true);
}

#define MANY_BYTES (UINT64_C(3) << 20)
#define PIECE_RUNS 8192u

/* Every second byte is one of its own. */
static uint64_t
many_send(struct cell *cell, const uint8_t *bytes)
{
    static Rpc__StateRun runs[PIECE_RUNS], *list[PIECE_RUNS];
    uint64_t number = ++cell->number, at = 0;
    uint8_t piece[PIECE_RUNS];

    while (at < MANY_BYTES) {
        Rpc__StatePush push = RPC__STATE_PUSH__INIT;
        Rpc__StateAsk ask = RPC__STATE_ASK__INIT;

        for (push.n_runs = 0; push.n_runs < PIECE_RUNS && at < MANY_BYTES; at += 2) {
            rpc__state_run__init(&runs[push.n_runs]);
            runs[push.n_runs].offset = at;
            runs[push.n_runs].count = 1;
            piece[push.n_runs] = bytes[at];
            list[push.n_runs] = &runs[push.n_runs];
            push.n_runs++;
        }
        push.size = MANY_BYTES;
        push.runs = list;
        push.bytes = (ProtobufCBinaryData){push.n_runs, piece};
        ask.number = number;
        ask.key = (char *)(uintptr_t)"many";
        ask.is_case = RPC__STATE_ASK__IS_PUSH;
        ask.push = &push;
        ask.has_more = at < MANY_BYTES;
        assert_true(cell_hear(cell, &ask));
    }
    return number;
}

static void
test_a_push_has_more_than_a_million_runs(void **state)
{
    uint8_t *bytes = some_bytes(MANY_BYTES, 3);
    struct cell cell;

    (void)state;
    cell_open_for(&cell, testing_tier, "elements");
    assert_int_equal(PUSH(&cell, "many", "", .size = MANY_BYTES, .creates = true), 0);
    for (uint64_t i = 1; i < MANY_BYTES; i += 2)
        bytes[i] = 0;
    assert_int_equal(cell_answer(&cell, many_send(&cell, bytes)), 0);
    cell_expect(&cell, "many", bytes, MANY_BYTES);
    cell_close(&cell, true);
    free(bytes);
}

#define ELEMENTS_TESTS \
    VALUES_TEST(test_what_is_pushed_is_added_to_what_is_there), \
        VALUES_TEST(test_additions_in_pieces_are_one_change), \
        VALUES_TEST(test_an_addition_that_may_not_be_changes_nothing), \
        VALUES_TEST(test_a_push_has_more_than_a_million_runs)

#endif
