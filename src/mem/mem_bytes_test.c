/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mem/mem.h"

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

/* Byte by byte, as the door says it. */
static void
compare_simply(const uint8_t *now, const uint8_t *base, uint64_t bytes, uint64_t gap,
               struct runs *runs)
{
    for (uint64_t i = 0; i < bytes; i++) {
        uint64_t *end = runs->count > 0 ? &runs->end[runs->count - 1] : NULL;

        if (now[i] == base[i])
            continue;
        if (end != NULL && (i == *end || i - *end < gap))
            *end = i + 1;
        else
            note(runs, i, 1);
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
    static const uint64_t gaps[] = {0, 1, 2, 8, 16, 63, 64, 65, 200};
    uint8_t now[BYTES_MAX + 8], base[BYTES_MAX + 8];

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct runs found = {.count = 0}, wanted = {.count = 0};
        uint64_t skip = next() % 8, bytes = next() % BYTES_MAX;
        uint64_t gap = gaps[next() % ARRAY_COUNT(gaps)];

        for (unsigned i = 0; i < sizeof(now); i++)
            now[i] = base[i] = (uint8_t)(next() % 2);
        change(now + skip, bytes);
        mem_compare(now + skip, base + skip, bytes, gap, note, &found);
        compare_simply(now + skip, base + skip, bytes, gap, &wanted);
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
    mem_compare(bytes, bytes, sizeof(bytes), 8, note, &runs);
    mem_compare(bytes, bytes, 0, 8, note, &runs);
    assert_int_equal(runs.count, 0);
}

/* Words of 4 bytes in what is aligned to 8; bytes before and after it. */
static void
merge_slowly(uint8_t *wanted, const uint8_t *base, const uint8_t *theirs, uint64_t count)
{
    uint64_t first = -(uintptr_t)wanted % 8 < count ? -(uintptr_t)wanted % 8 : count;
    uint64_t end = first + (count - first) / 8 * 8, unit;

    for (uint64_t i = 0; i < count; i += unit) {
        unit = first <= i && i < end ? 4 : 1;
        if (memcmp(wanted + i, base + i, unit) == 0)
            (void)memcpy(wanted + i, theirs + i, unit);
    }
}

static void
test_a_merge_takes_theirs_where_nothing_was_written_here(void **state)
{
    _Alignas(8) uint8_t now[BYTES_MAX + 8], wanted[BYTES_MAX + 8];
    uint8_t base[BYTES_MAX + 8], theirs[BYTES_MAX + 8];

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t skip = next() % 8, bytes = next() % BYTES_MAX;

        for (unsigned i = 0; i < sizeof(base); i++)
            base[i] = (uint8_t)next();
        (void)memcpy(now, base, sizeof(now));
        (void)memcpy(theirs, base, sizeof(now));
        change(now + skip, bytes);
        change(theirs + skip, bytes);
        (void)memcpy(wanted, now, sizeof(now));
        merge_slowly(wanted + skip, base + skip, theirs + skip, bytes);
        mem_merge(now + skip, base + skip, theirs + skip, bytes);
        assert_memory_equal(now, wanted, sizeof(now));
        assert_memory_equal(base + skip, theirs + skip, bytes);
    }
}

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
    assert_int_equal(pthread_create(&thread, NULL, count_up, &neighbour), 0);
    for (unsigned round = 0; round < 3000; round++) {
        for (unsigned i = 0; i < sizeof(theirs); i += 8)
            theirs[i] = (uint8_t)(round + 1 + i / 64);
        mem_merge(now, base, theirs, sizeof(now));
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
        cmocka_unit_test(test_words_that_are_written_beside_a_merge_are_not_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
