/* SPDX-License-Identifier: Apache-2.0
 *
 * A value that is removed and made again begins with zeros, on hosts that had the old one, too.
 */
#include "check.h"

#define COUNT (UINT64_C(5) * 8192 + 100) /* doubles */

static void
look(uint32_t self)
{
    struct weft_array array;
    double *items;

    OK(weft_array_open(&array, "again/array", WEFT_DOUBLE, 0, WEFT_STATE_WRITE));
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
}

int
main(void)
{
    static const struct part parts[] = {{"look", look}};

    return run_parts(parts, 1, all);
}
