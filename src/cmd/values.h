/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments and results of --invoke as text.
 */
#ifndef WEFT_CMD_VALUES_H
#define WEFT_CMD_VALUES_H

#include <stdio.h>

#include "base/diag.h"
#include "faaslet/faaslet.h"

struct values {
    uint64_t *slots; /* owned */
    size_t slot_count;
    const uint8_t *results; /* types; the image's */
    uint32_t result_count;
};

/* Reads the texts as the function's parameters: i32 and i64 in decimal or 0x,
 * f32 and f64 as C has them. -ENOENT, -EINVAL: diag says which. */
int values_parse(const struct faaslet *faaslet, const char *function, char **texts, size_t count,
                 struct values *out, struct diag *diag) MUST_CHECK;

/* Prints the results of the finished call, one a line. */
int values_print(const struct faaslet *faaslet, const struct values *values, FILE *out) MUST_CHECK;
/* So many slots do its results take. */
size_t values_result_slots(const struct values *values);
int values_print_slots(const uint64_t *slots, const struct values *values, FILE *out) MUST_CHECK;
void values_fini(struct values *values);

#endif
