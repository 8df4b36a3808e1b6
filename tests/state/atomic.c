/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled with -matomics: many calls of all hosts add to the same elements, and sync meanwhile.
 * Not one addition is lost, neither between hosts nor on one.
 */
#include "check.h"

#define ELEMENTS 8u
#define ADDS     20000u

static void
add(uint32_t self)
{
    struct weft_array array;
    double *items;

    (void)self;
    OK(weft_hogwild_open(&array, "atomic/array", WEFT_DOUBLE, ELEMENTS));
    items = array.items;
    OK(weft_barrier_wait("atomic/barrier", MANY, PATIENCE));
    for (uint32_t i = 0; i < ADDS; i++) {
        weft_hogwild_add(&items[i % ELEMENTS], 0.5);
        if (i % 500 == 0)
            OK(weft_hogwild_sync(&array));
    }
    OK(weft_hogwild_sync(&array));
    weft_array_close(&array);
}

static void
all(void)
{
    struct weft_array array;

    forget_all("atomic/");
    fan("add", MANY);
    OK(weft_hogwild_open(&array, "atomic/array", WEFT_DOUBLE, ELEMENTS));
    OK(weft_hogwild_sync(&array));
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        double found = ((double *)array.items)[i];

        if (found != MANY * (ADDS / ELEMENTS) * 0.5) {
            (void)fprintf(stderr, "element %u is %g\n", (unsigned)i, found);
            exit(1);
        }
    }
}

int
main(void)
{
    static const struct part parts[] = {{"add", add}};

    return run_parts(parts, 1, all);
}
