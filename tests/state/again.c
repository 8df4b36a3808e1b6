/* SPDX-License-Identifier: Apache-2.0
 *
 * A value that is removed and made again begins with zeros, and a lazy one shows nothing that was
 * replaced before it was opened, on hosts that had the old one, too.
 */
#include "check.h"

#define COUNT (UINT64_C(5) * 8192 + 100) /* doubles */

static void
look(uint32_t self)
{
    struct weft_array array;
    double *items;

    OK(weft_array_open(&array, "again/array", WEFT_DOUBLE, 0,
                       WEFT_STATE_WRITE | (self % 2) * WEFT_STATE_LAZY));
    OK(weft_barrier_wait("again/barrier", MANY, PATIENCE));
    items = array.items;
    for (uint64_t i = 0; i < COUNT; i++)
        if (items[i] != 0) {
            (void)fprintf(stderr, "host %u: element %u is %g\n", (unsigned)host_number(),
                          (unsigned)i, items[i]);
            exit(1);
        }
    OK(weft_barrier_wait("again/barrier", MANY, PATIENCE));
    for (uint64_t i = self * COUNT / MANY; i < (self + 1) * COUNT / MANY; i++)
        items[i] = (double)i + 1;
    OK(weft_array_push(&array));
}

/* Nobody has it open when the call from outside sets it; then all have what it was set to. */
static void
see(uint32_t self)
{
    struct weft_array array;
    int64_t wanted = 0;
    const int64_t *items;

    (void)self;
    OK(weft_counter_get("again/round", &wanted));
    OK(weft_array_open(&array, "again/set", WEFT_INT64, 0, WEFT_STATE_LAZY));
    items = array.items;
    for (uint64_t i = 0; i < COUNT; i += 1000)
        SAME(wanted, items[i]);
}

static void
set_again(int64_t round)
{
    int64_t *items = malloc(COUNT * sizeof(*items));

    CHECK(items != NULL);
    for (uint64_t i = 0; i < COUNT; i++)
        items[i] = round;
    OK(weft_state_set("again/set", items, COUNT * sizeof(*items)));
    OK(weft_state_set("again/round", &round, sizeof(round)));
    free(items);
    fan("see", MANY);
}

static void
all(void)
{
    for (uint32_t round = 0; round < 4; round++) {
        struct weft_array array;

        forget_all("again/");
        OK(weft_array_open(&array, "again/array", WEFT_DOUBLE, COUNT,
                           WEFT_STATE_WRITE | WEFT_STATE_CREATE));
        fan("look", MANY);
        weft_array_close(&array);
    }
    for (int64_t round = 1; round <= 5; round++)
        set_again(round);
}

int
main(void)
{
    static const struct part parts[] = {{"look", look}, {"see", see}};

    return run_parts(parts, 2, all);
}
