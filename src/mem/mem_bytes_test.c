/* SPDX-License-Identifier: Apache-2.0
 *
 * All of it with the processor's vectors, where it has them, and without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mem/mem_internal.h"

#define BYTES_MAX 700u
#define ROUNDS    3000u

static uint64_t seed;

static uint64_t
next(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return seed >> 33;
}

struct runs {
    uint64_t first[BYTES_MAX], end[BYTES_MAX];
    unsigned count;
};

static void
note(void *context, uint64_t offset, uint64_t bytes)
{
    struct runs *runs = context;

    assert_true(runs->count < BYTES_MAX);
    assert_true(bytes > 0);
    runs->first[runs->count] = offset;
    runs->end[runs->count++] = offset + bytes;
}

static const uint32_t units[] = {1, 4, 8};

static uint64_t
least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Unit by unit, as the door says it. */
static void
compare_simply(const uint8_t *now, const uint8_t *base, uint64_t bytes, uint32_t unit,
               struct runs *runs)
{
    for (uint64_t i = 0; i < bytes; i += unit) {
        uint64_t *end = runs->count > 0 ? &runs->end[runs->count - 1] : NULL;
        uint64_t count = least(unit, bytes - i);

        if (memcmp(now + i, base + i, count) == 0)
            continue;
        if (end != NULL && i == *end)
            *end = i + count;
        else
            note(runs, i, count);
    }
}

/* Some bytes, in pieces: one, a few, many. */
static void
change(uint8_t *bytes, uint64_t count)
{
    unsigned pieces = (unsigned)(next() % 6);

    for (unsigned i = 0; i < pieces && count > 0; i++) {
        uint64_t at = next() % count, length = 1 + next() % (next() % 2 == 0 ? 9 : 200);

        for (; length > 0 && at < count; length--, at++)
            bytes[at] = (uint8_t)next();
    }
}

static void
test_runs_are_those_of_a_simple_comparison(void **state)
{
    uint8_t now[BYTES_MAX + 8], base[BYTES_MAX + 8];

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct runs found = {.count = 0}, wanted = {.count = 0};
        uint64_t skip = next() % 8, bytes = next() % BYTES_MAX;
        uint32_t unit = units[next() % ARRAY_COUNT(units)];

        for (unsigned i = 0; i < sizeof(now); i++)
            now[i] = base[i] = (uint8_t)(next() % 2);
        change(now + skip, bytes);
        mem_compare(now + skip, base + skip, bytes, unit, note, &found);
        compare_simply(now + skip, base + skip, bytes, unit, &wanted);
        assert_int_equal(found.count, wanted.count);
        assert_memory_equal(found.first, wanted.first, found.count * sizeof(uint64_t));
        assert_memory_equal(found.end, wanted.end, found.count * sizeof(uint64_t));
    }
}

static void
test_nothing_is_told_of_what_is_the_same(void **state)
{
    struct runs runs = {.count = 0};
    uint8_t bytes[300] = {1, 2, 3};

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(units); i++) {
        mem_compare(bytes, bytes, sizeof(bytes), units[i], note, &runs);
        mem_compare(bytes, bytes, 0, units[i], note, &runs);
    }
    assert_int_equal(runs.count, 0);
}

static void
merge_simply(uint8_t *wanted, const uint8_t *base, const uint8_t *theirs, uint64_t bytes,
             uint32_t unit)
{
    for (uint64_t i = 0; i < bytes; i += unit) {
        uint64_t count = least(unit, bytes - i);

        if (memcmp(wanted + i, base + i, count) == 0)
            (void)memcpy(wanted + i, theirs + i, count);
    }
}

static void
test_a_merge_takes_theirs_where_nothing_was_written_here(void **state)
{
    _Alignas(8) uint8_t now[BYTES_MAX + 8], wanted[BYTES_MAX + 8];
    uint8_t base[BYTES_MAX + 8], theirs[BYTES_MAX + 8];

    (void)state;
    for (unsigned round = 0; round < 3 * ROUNDS; round++) {
        uint32_t unit = units[round % ARRAY_COUNT(units)];
        uint64_t skip = next() % 8 / unit * unit, bytes = next() % BYTES_MAX;

        for (unsigned i = 0; i < sizeof(base); i++)
            base[i] = (uint8_t)(next() % 4);
        (void)memcpy(now, base, sizeof(now));
        (void)memcpy(theirs, base, sizeof(now));
        change(now + skip, bytes);
        change(theirs + skip, bytes);
        (void)memcpy(wanted, now, sizeof(now));
        merge_simply(wanted + skip, base + skip, theirs + skip, bytes, unit);
        mem_merge(now + skip, base + skip, theirs + skip, bytes, unit);
        assert_memory_equal(now, wanted, sizeof(now));
        assert_memory_equal(base + skip, theirs + skip, bytes);
    }
}

/* --------------------------------------------------------------------------------- sums */

static int32_t
sum_simply(int32_t now, int32_t base, int32_t theirs)
{
    return (int32_t)((uint32_t)now + (uint32_t)theirs - (uint32_t)base);
}

static void
test_sums_are_those_of_a_simple_addition(void **state)
{
    int32_t now[70], base[70], theirs[70], wanted[70];

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t first = next() % 3, count = next() % 67;

        for (unsigned i = 0; i < 70; i++) {
            now[i] = wanted[i] = (int32_t)next();
            base[i] = next() % 2 == 0 ? now[i] : (int32_t)next();
            theirs[i] = next() % 2 == 0 ? base[i] : (int32_t)next();
            if (i >= first && i < first + count)
                wanted[i] = sum_simply(now[i], base[i], theirs[i]);
        }
        mem_merge_sums((uint8_t *)(now + first), (uint8_t *)(base + first),
                       (const uint8_t *)(theirs + first), count * sizeof(int32_t), ELEMENT_INT32);
        assert_memory_equal(now, wanted, sizeof(now));
        assert_memory_equal(base + first, theirs + first, count * sizeof(int32_t));
    }
}

/* 1 + (1e-20 - 1) is 0. */
static void
test_a_number_that_nobody_changed_here_becomes_exactly_theirs(void **state)
{
    double now[3] = {1, 5, 7}, base[3] = {1, 1, 3}, theirs[3] = {1e-20, 2.5, 3};
    float small = 4, small_base = 3, small_theirs = 5;
    int64_t large = 10, large_base = INT64_MAX, large_theirs = INT64_MIN;

    (void)state;
    mem_merge_sums((uint8_t *)now, (uint8_t *)base, (uint8_t *)theirs, sizeof(now), ELEMENT_DOUBLE);
    assert_true(now[0] == 1e-20 && now[1] == 6.5 && now[2] == 7);
    mem_merge_sums((uint8_t *)&small, (uint8_t *)&small_base, (uint8_t *)&small_theirs, 4,
                   ELEMENT_FLOAT);
    assert_true(small == 6);
    mem_merge_sums((uint8_t *)&large, (uint8_t *)&large_base, (uint8_t *)&large_theirs, 8,
                   ELEMENT_INT64);
    assert_int_equal(large, 11);
}

struct adder {
    _Alignas(8) uint8_t bytes[4096];
    atomic_bool is_over;
    uint64_t added;
};

static void *
add_up(void *context)
{
    struct adder *a = context;

    while (!atomic_load(&a->is_over)) {
        for (uint64_t i = 0; i < sizeof(a->bytes); i += 8)
            (void)__atomic_fetch_add((uint64_t *)(void *)(a->bytes + i), 1, __ATOMIC_RELAXED);
        a->added++;
    }
    return NULL;
}

static void
test_no_atomic_addition_beside_a_merge_of_sums_is_lost(void **state)
{
    static struct adder adder;
    static uint8_t base[sizeof(adder.bytes)], theirs[sizeof(adder.bytes)];
    uint64_t merged = 0, value;
    pthread_t thread;

    (void)state;
    adder = (struct adder){.added = 0};
    (void)memset(base, 0, sizeof(base));
    assert_int_equal(pthread_create(&thread, NULL, add_up, &adder), 0);
    for (unsigned round = 0; round < 2000; round++) {
        merged += 1000;
        for (unsigned i = 0; i < sizeof(theirs); i += 8)
            (void)memcpy(theirs + i, &merged, 8);
        mem_merge_sums(adder.bytes, base, theirs, sizeof(base), ELEMENT_INT64);
    }
    atomic_store(&adder.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (unsigned i = 0; i < sizeof(base); i += 8) {
        (void)memcpy(&value, adder.bytes + i, 8);
        assert_int_equal(value, merged + adder.added);
    }
}

static void
test_a_copy_has_all_bytes(void **state)
{
    _Alignas(8) uint8_t from[64], to[64];

    (void)state;
    for (uint64_t count = 0; count <= 40; count++)
        for (unsigned u = 0; u < ARRAY_COUNT(units); u++) {
            for (unsigned i = 0; i < sizeof(from); i++)
                from[i] = (uint8_t)next();
            (void)memset(to, 0, sizeof(to));
            mem_read(to, from + 8, count, units[u]);
            assert_memory_equal(to, from + 8, count);
            assert_int_equal(to[count], 0);
        }
}

/* ---------------------------------------------------------------------------- neighbours */

/* Words that are written here while others are merged beside them. */
struct neighbour {
    uint8_t *bytes;
    uint64_t count;
    atomic_bool is_over;
};

static void *
count_up(void *context)
{
    struct neighbour *n = context;
    uint32_t value = 0;

    while (!atomic_load(&n->is_over)) {
        value++;
        for (uint64_t i = 4; i < n->count; i += 8) {
            uint32_t *word = (uint32_t *)(void *)(n->bytes + i);

            __atomic_store_n(word, value, __ATOMIC_RELAXED);
            if (__atomic_load_n(word, __ATOMIC_RELAXED) != value)
                return n; /* somebody wrote over it */
        }
    }
    return NULL;
}

static void
test_words_that_are_written_beside_a_merge_are_not_lost(void **state)
{
    static _Alignas(64) uint8_t now[4096], base[4096], theirs[4096];
    struct neighbour neighbour = {.bytes = now, .count = sizeof(now)};
    pthread_t thread;
    void *lost;

    (void)state;
    (void)memset(now, 0, sizeof(now));
    (void)memset(base, 0, sizeof(base));
    assert_int_equal(pthread_create(&thread, NULL, count_up, &neighbour), 0);
    for (unsigned round = 0; round < 3000; round++) {
        for (unsigned i = 0; i < sizeof(theirs); i += 8)
            theirs[i] = (uint8_t)(round + 1 + i / 64);
        mem_merge(now, base, theirs, sizeof(now), round % 2 == 0 ? 1 : 4);
    }
    atomic_store(&neighbour.is_over, true);
    assert_int_equal(pthread_join(thread, &lost), 0);
    assert_null(lost);
    for (unsigned i = 0; i < sizeof(now); i += 8)
        assert_int_equal(now[i], theirs[i]);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_are_those_of_a_simple_comparison),
        cmocka_unit_test(test_nothing_is_told_of_what_is_the_same),
        cmocka_unit_test(test_a_merge_takes_theirs_where_nothing_was_written_here),
        cmocka_unit_test(test_sums_are_those_of_a_simple_addition),
        cmocka_unit_test(test_a_number_that_nobody_changed_here_becomes_exactly_theirs),
        cmocka_unit_test(test_no_atomic_addition_beside_a_merge_of_sums_is_lost),
        cmocka_unit_test(test_a_copy_has_all_bytes),
        cmocka_unit_test(test_words_that_are_written_beside_a_merge_are_not_lost),
    };
    int failed = cmocka_run_group_tests_name("as the processor can", tests, NULL, NULL);

    mem_bytes_choose_plain();
    return failed + cmocka_run_group_tests_name("without vectors", tests, NULL, NULL) != 0;
}
