/* SPDX-License-Identifier: Apache-2.0
 *
 * bytes: how fast a core finds what differs and merges it (mem_compare, mem_merge), beside
 * memcmp of the same memory, in turns. One row for each: bytes of one of the pieces a second.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mem/mem.h"

#define BYTES   (UINT64_C(64) << 20) /* more than the caches hold */
#define ROUNDS  9u
#define GAP     32u
#define SAMPLES ROUNDS

enum what { MEMCMP, COMPARE, MERGE, WHAT_COUNT };

static const char *const names[] = {"memcmp", "mem_compare", "mem_merge"};

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
measure(struct pieces *pieces, enum what what, uint64_t every)
{
    uint64_t begin;

    if (what == MERGE) {
        (void)memcpy(pieces->now, pieces->base, BYTES);
        change(pieces->theirs, pieces->base, every);
    } else {
        /* memcmp ends at the first difference, so it sees none. */
        change(pieces->now, pieces->base, what == MEMCMP ? 0 : every);
    }
    begin = clock_now_ns();
    if (what == MEMCMP)
        pieces->told += memcmp(pieces->now, pieces->base, BYTES) != 0;
    else if (what == COMPARE)
        mem_compare(pieces->now, pieces->base, BYTES, GAP, count_run, pieces);
    else
        mem_merge(pieces->now, pieces->base, pieces->theirs, BYTES);
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
            samples[what][i] = measure(pieces, (enum what)what, every);
    for (unsigned what = 0; what < WHAT_COUNT; what++) {
        qsort(samples[what], SAMPLES, sizeof(double), by_value);
        (void)printf("%-20s %-14s %6.2f GB/s (%.2f to %.2f)\n", changed, names[what],
                     samples[what][SAMPLES / 2], samples[what][0], samples[what][SAMPLES - 1]);
        (void)fprintf(rows,
                      "{\"bench\": \"bytes\", \"changed\": \"%s\", \"what\": \"%s\", "
                      "\"gb_per_s\": %.3f}\n",
                      changed, names[what], samples[what][SAMPLES / 2]);
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
