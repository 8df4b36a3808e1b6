/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays: typed, HOGWILD, fixed, in parts.
 */
#include "check.h"

#define EACH   64u /* elements of a call */
#define ROUNDS 3u
#define LENGTH ((uint64_t)MANY * EACH)
#define WIDE   (UINT64_C(5) * 8192 + 100) /* doubles: more than five pieces of 64 KiB */
#define ADDS   200u

/* ------------------------------------------------------- neighbours of different calls */

/* Element i belongs to call i % MANY, so neighbours are written on different hosts. */
static void
write_between(uint32_t self)
{
    struct weft_array array;
    int64_t *items;

    OK(weft_array_open(&array, "mem/between", WEFT_INT64, LENGTH,
                       WEFT_STATE_WRITE | WEFT_STATE_CREATE));
    items = array.items;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        for (uint64_t i = self; i < LENGTH; i += MANY)
            items[i] = (int64_t)(i * 100 + round);
        OK(weft_array_push(&array));
        OK(weft_barrier_wait("mem/between.barrier", MANY, PATIENCE));
        OK(weft_array_pull(&array));
        for (uint64_t i = 0; i < LENGTH; i++)
            SAME(i * 100 + round, items[i]);
        OK(weft_barrier_wait("mem/between.barrier", MANY, PATIENCE));
    }
    weft_array_close(&array);
}

/* Bytes of 32 bits: the smallest elements. */
static void
write_small(uint32_t self)
{
    struct weft_array array;
    int32_t *items;

    OK(weft_array_open(&array, "mem/small", WEFT_INT32, LENGTH,
                       WEFT_STATE_WRITE | WEFT_STATE_CREATE));
    items = array.items;
    for (uint64_t i = self; i < LENGTH; i += MANY)
        items[i] = (int32_t)(i * 3 + 1);
    OK(weft_array_push(&array));
    OK(weft_barrier_wait("mem/small.barrier", MANY, PATIENCE));
    OK(weft_array_pull(&array));
    for (uint64_t i = 0; i < LENGTH; i++)
        SAME(i * 3 + 1, items[i]);
}

/* One host at a time, and each only a part. */
static void
write_parts(uint32_t self)
{
    struct weft_range range = {self * WIDE / MANY, (self + 1) * WIDE / MANY - self * WIDE / MANY};
    struct weft_array array;
    double *items;

    OK(weft_array_open_part(&array, "mem/parts", WEFT_DOUBLE, range,
                            WEFT_STATE_WRITE | (self % 2 == 0 ? WEFT_STATE_LAZY : 0)));
    SAME(range.first, array.first);
    SAME(WIDE, array.length);
    items = array.items;
    for (uint64_t i = 0; i < range.count; i++)
        items[i] += (double)(range.first + i) * 0.5;
    SAME(EINVAL, weft_array_push_part(&array, range.first + 1, range.count));
    OK(weft_array_push_part(&array, range.first, 10));
    OK(weft_array_push_part(&array, range.first + 10, range.count - 10));
    weft_array_close(&array);
}

static void
test_writers_of_different_elements_lose_nothing(void)
{
    struct weft_array array;

    fan("between", MANY);
    fan("small", MANY);
    OK(weft_array_open(&array, "mem/parts", WEFT_DOUBLE, WIDE,
                       WEFT_STATE_WRITE | WEFT_STATE_CREATE));
    fan("parts", MANY);
    OK(weft_array_pull(&array));
    for (uint64_t i = 0; i < WIDE; i++)
        CHECK(((double *)array.items)[i] == (double)i * 0.5);
    weft_array_close(&array);
}

/* -------------------------------------------------------------------------- HOGWILD */

/* Some elements are one call's alone: exact. One is everybody's: never what nobody wrote. */
static void
hogwild(uint32_t self)
{
    struct weft_array array;
    double *items;

    OK(weft_hogwild_open(&array, "mem/hogwild", WEFT_DOUBLE, MANY + 1));
    items = array.items;
    for (uint32_t i = 1; i <= ADDS; i++) {
        double all = weft_hogwild_get(&items[MANY]);

        CHECK(all >= 0 && all <= MANY * ADDS && all == (double)(int64_t)all);
        weft_hogwild_add(&items[self], 0.5);
        weft_hogwild_add(&items[MANY], 1);
        if (i % 10 == 0)
            OK(weft_hogwild_sync(&array));
    }
    OK(weft_hogwild_sync(&array));
    weft_array_close(&array);
}

static void
test_hogwild_keeps_its_promise(void)
{
    struct weft_array array;
    const double *items;

    fan("hogwild", MANY);
    OK(weft_hogwild_open(&array, "mem/hogwild", WEFT_DOUBLE, MANY + 1));
    OK(weft_hogwild_sync(&array));
    items = array.items;
    for (uint32_t i = 0; i < MANY; i++)
        CHECK(items[i] == ADDS * 0.5);
    (void)printf("hogwild: %g of %u additions to one element\n", items[MANY], MANY * ADDS);
    CHECK(items[MANY] >= ADDS && items[MANY] <= MANY * ADDS);
    weft_array_close(&array);
    SAME(EINVAL, weft_hogwild_open(&array, "mem/hogwild", WEFT_INT64, MANY + 1));
}

/* ---------------------------------------------------------------------------- fixed */

static void
read_fixed(uint32_t self)
{
    struct weft_array array;

    OK(weft_array_open(&array, "mem/fixed", WEFT_FLOAT, 0,
                       WEFT_FIXED | (self % 2) * WEFT_STATE_LAZY));
    SAME(WIDE, array.length);
    OK(weft_array_pull(&array));
    for (uint64_t i = 0; i < WIDE; i++)
        CHECK(((float *)array.items)[i] == (float)i);
    SAME(EINVAL, weft_array_push(&array));
}

static void
test_a_fixed_array_is_published_once(void)
{
    float *items = malloc(WIDE * sizeof(float));
    struct weft_array array;

    CHECK(items != NULL);
    for (uint64_t i = 0; i < WIDE; i++)
        items[i] = (float)i;
    OK(weft_array_publish("mem/fixed", WEFT_FLOAT, items, WIDE));
    SAME(EEXIST, weft_array_publish("mem/fixed", WEFT_FLOAT, items, 10));
    free(items);
    fan("fixed", MANY);
    SAME(EINVAL,
         weft_array_open(&array, "mem/fixed", WEFT_FLOAT, 0, WEFT_FIXED | WEFT_STATE_WRITE));
}

/* ----------------------------------------------------------------------- bad input */

static void
test_bad_input_has_a_name(void)
{
    struct weft_array array;
    char key[300];

    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    SAME(ENOENT, weft_array_open(&array, "mem/none", WEFT_INT64, 0, 0));
    SAME(ENAMETOOLONG, weft_array_open(&array, key, WEFT_INT64, 4, WEFT_STATE_CREATE));
    SAME(EINVAL, weft_array_open(&array, "", WEFT_INT64, 4, WEFT_STATE_CREATE));
    SAME(EINVAL, weft_array_open(&array, "mem/none", (enum weft_type)9, 4, WEFT_STATE_CREATE));
    SAME(EINVAL, weft_array_open(&array, "mem/none", WEFT_INT64, 0, WEFT_STATE_CREATE));
    SAME(EMSGSIZE, weft_array_open(&array, "mem/fixed", WEFT_FLOAT, WIDE + 1, 0));
    SAME(EMSGSIZE, weft_array_open(&array, "mem/fixed", WEFT_FLOAT, WIDE + 1, WEFT_STATE_CREATE));
    SAME(EMSGSIZE, weft_array_open_part(&array, "mem/fixed", WEFT_FLOAT,
                                        (struct weft_range){WIDE - 1, 2}, 0));
}

static void
all(void)
{
    forget_all("mem/");
    test_writers_of_different_elements_lose_nothing();
    test_hogwild_keeps_its_promise();
    test_a_fixed_array_is_published_once();
    test_bad_input_has_a_name();
}

int
main(void)
{
    static const struct part parts[] = {{"between", write_between},
                                        {"small", write_small},
                                        {"parts", write_parts},
                                        {"hogwild", hogwild},
                                        {"fixed", read_fixed}};

    return run_parts(parts, sizeof(parts) / sizeof(parts[0]), all);
}
