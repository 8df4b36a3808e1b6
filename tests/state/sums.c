/* SPDX-License-Identifier: Apache-2.0
 *
 * What hosts add is added up: the first call of each host adds to the same elements, pushes and
 * pulls as it likes, and no addition of any host is lost.
 */
#include "check.h"

#define INTEGERS (UINT64_C(3) * 16384 + 5) /* of 4 bytes: several pieces of 64 KiB */
#define NUMBERS  64u
#define ROUNDS   20u

static bool
is_first_here(void)
{
    char key[64];
    int64_t place;

    (void)snprintf(key, sizeof(key), "sums/host%u", (unsigned)host_number());
    OK(weft_counter_add(key, 1, &place));
    if (place == 1)
        OK(weft_counter_add("sums/hosts", 1, NULL));
    return place == 1;
}

static int32_t *
map_integers(uint32_t flags)
{
    int32_t *integers;

    OK(weft_state_map("sums/integers", 0, INTEGERS * sizeof(*integers),
                      WEFT_STATE_WRITE | WEFT_STATE_SUM | WEFT_STATE_OF(WEFT_INT32) | flags,
                      (void **)&integers));
    return integers;
}

static void
add_integers(int32_t *integers)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint64_t i = round % 3; i < INTEGERS; i += 3)
            integers[i] += (int32_t)i + 1;
        if (round % 4 == 1)
            OK(weft_state_push("sums/integers"));
        if (round % 5 == 2)
            OK(weft_state_pull("sums/integers"));
    }
    OK(weft_state_push("sums/integers"));
}

static void
add_numbers(struct weft_array *numbers)
{
    double *items = numbers->items;

    for (uint32_t round = 0; round < 10 * ROUNDS; round++) {
        for (uint32_t i = 0; i < NUMBERS; i++)
            weft_hogwild_add(&items[i], 0.25 * i);
        OK(weft_hogwild_sync(numbers));
    }
}

static void
add(uint32_t self)
{
    bool is_first = is_first_here();
    int32_t *integers = map_integers((self % 2) * WEFT_STATE_LAZY);
    struct weft_array numbers, other;
    int64_t hosts = 0;

    OK(weft_hogwild_open(&numbers, "sums/numbers", WEFT_DOUBLE, NUMBERS));
    SAME(EINVAL, weft_array_open(&other, "sums/numbers", WEFT_DOUBLE, 0, WEFT_STATE_WRITE));
    OK(weft_barrier_wait("sums/barrier", MANY, PATIENCE));
    if (is_first) {
        add_integers(integers);
        add_numbers(&numbers);
    }
    OK(weft_barrier_wait("sums/barrier", MANY, PATIENCE));
    OK(weft_state_pull("sums/integers"));
    OK(weft_array_pull(&numbers));
    OK(weft_counter_get("sums/hosts", &hosts));
    for (uint64_t i = 0; i < INTEGERS; i++)
        SAME((int32_t)(hosts * (ROUNDS / 3 + (i % 3 < ROUNDS % 3)) * (i + 1)), integers[i]);
    for (uint32_t i = 0; i < NUMBERS; i++)
        CHECK(((double *)numbers.items)[i] == (double)hosts * 10 * ROUNDS * 0.25 * i);
}

static void
all(void)
{
    int64_t hosts = 0;

    forget_all("sums/");
    (void)map_integers(WEFT_STATE_CREATE);
    fan("add", MANY);
    OK(weft_counter_get("sums/hosts", &hosts));
    CHECK(hosts == 2); /* else nothing here is tested */
}

int
main(void)
{
    static const struct part parts[] = {{"add", add}};

    return run_parts(parts, 1, all);
}
