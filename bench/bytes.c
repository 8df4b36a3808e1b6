/* SPDX-License-Identifier: Apache-2.0
 *
 * bytes: how fast a core finds what differs and merges it (mem_compare, mem_merge), beside
 * memcmp of the same memory, in turns; by units of 1, 4 and 8 bytes, and merging what was added
 * (mem_merge_sums). One row for each: bytes of one of the pieces a second.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mem/mem.h"

#define BYTES   (UINT64_C(64) << 20) /* more than the caches hold */
#define ROUNDS  9u
#define SAMPLES ROUNDS

enum way { MEMCMP, COMPARE, MERGE, SUMS };

static const struct what {
    const char *name;
    enum way way;
    uint32_t unit;
} whats[] = {
    {"memcmp", MEMCMP, 1},     {"compare 1", COMPARE, 1}, {"compare 4", COMPARE, 4},
    {"compare 8", COMPARE, 8}, {"merge 1", MERGE, 1},     {"merge 4", MERGE, 4},
    {"merge 8", MERGE, 8},     {"merge sums", SUMS, 8},
};
#define WHAT_COUNT ARRAY_COUNT(whats)

struct pieces {
    uint8_t *now, *base, *theirs;
    uint64_t told;
};

static void
count_run(void *context, uint64_t offset, uint64_t bytes)
{
    struct pieces *pieces = context;

    (void)offset;
    pieces->told += bytes;
}

/* Every so many words are others in `to`. 0: none. */
static void
change(uint8_t *to, const uint8_t *from, uint64_t every)
{
    (void)memcpy(to, from, BYTES);
    for (uint64_t i = 0; every != 0 && i < BYTES / 8; i += every)
        ((uint64_t *)(void *)to)[i] ^= UINT64_C(0x0123456789abcdef) * (i + 1) | 1;
}

static double
measure(struct pieces *pieces, const struct what *what, uint64_t every)
{
    uint64_t begin;

    if (what->way >= MERGE) {
        (void)memcpy(pieces->now, pieces->base, BYTES);
        change(pieces->theirs, pieces->base, every);
    } else {
        /* memcmp ends at the first difference, so it sees none. */
        change(pieces->now, pieces->base, what->way == MEMCMP ? 0 : every);
    }
    begin = clock_now_ns();
    if (what->way == MEMCMP)
        pieces->told += memcmp(pieces->now, pieces->base, BYTES) != 0;
    else if (what->way == COMPARE)
        mem_compare(pieces->now, pieces->base, BYTES, what->unit, count_run, pieces);
    else if (what->way == MERGE)
        mem_merge(pieces->now, pieces->base, pieces->theirs, BYTES, what->unit);
    else
        mem_merge_sums(pieces->now, pieces->base, pieces->theirs, BYTES, ELEMENT_INT64);
    return (double)BYTES / (double)(clock_now_ns() - begin);
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
bench(struct pieces *pieces, const char *changed, uint64_t every, FILE *rows)
{
    double samples[WHAT_COUNT][SAMPLES];

    for (unsigned i = 0; i < ROUNDS; i++)
        for (unsigned what = 0; what < WHAT_COUNT; what++)
            samples[what][i] = measure(pieces, &whats[what], every);
    for (unsigned what = 0; what < WHAT_COUNT; what++) {
        qsort(samples[what], SAMPLES, sizeof(double), by_value);
        (void)printf("%-20s %-14s %6.2f GB/s (%.2f to %.2f)\n", changed, whats[what].name,
                     samples[what][SAMPLES / 2], samples[what][0], samples[what][SAMPLES - 1]);
        (void)fprintf(rows,
                      "{\"bench\": \"bytes\", \"changed\": \"%s\", \"what\": \"%s\", "
                      "\"gb_per_s\": %.3f}\n",
                      changed, whats[what].name, samples[what][SAMPLES / 2]);
    }
}

int
main(int argc, char **argv)
{
    struct pieces pieces = {malloc(BYTES), malloc(BYTES), malloc(BYTES), 0};
    FILE *rows = argc == 3 && strcmp(argv[1], "--out") == 0 ? fopen(argv[2], "we") : NULL;

    if (rows == NULL || pieces.now == NULL || pieces.base == NULL || pieces.theirs == NULL) {
        (void)fprintf(stderr, "usage: bytes --out FILE\n");
        return 2;
    }
    for (uint64_t i = 0; i < BYTES; i++)
        pieces.base[i] = (uint8_t)(i * 31 >> 3);
    bench(&pieces, "nothing", 0, rows);
    bench(&pieces, "a word of 100", 100, rows);
    bench(&pieces, "a word of 8", 8, rows);
    bench(&pieces, "every word", 1, rows);
    free(pieces.now);
    free(pieces.base);
    free(pieces.theirs);
    return fclose(rows) == 0 ? 0 : 1;
}
