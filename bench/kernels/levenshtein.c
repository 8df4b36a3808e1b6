/* SPDX-License-Identifier: Apache-2.0
 *
 * The edit distance between many pairs of words.
 */
#include "kernel.h"

#define WORDS  900
#define LENGTH 24

static uint8_t words[WORDS][LENGTH];
static int32_t total[LENGTH + 1];

static void
init(void)
{
    uint32_t state = 5;

    for (int i = 0; i < WORDS; i++)
        for (int j = 0; j < LENGTH; j++)
            words[i][j] = (uint8_t)('a' + bench_random(&state) % 5);
    for (int i = 0; i <= LENGTH; i++)
        total[i] = 0;
}

static inline int32_t
lesser(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t
distance(const uint8_t *from, const uint8_t *to)
{
    int32_t row[LENGTH + 1];

    for (int j = 0; j <= LENGTH; j++)
        row[j] = j;
    for (int i = 0; i < LENGTH; i++) {
        int32_t diagonal = row[0];

        row[0] = i + 1;
        for (int j = 0; j < LENGTH; j++) {
            int32_t replaced = diagonal + (from[i] != to[j]);

            diagonal = row[j + 1];
            row[j + 1] = lesser(replaced, lesser(row[j], diagonal) + 1);
        }
    }
    return row[LENGTH];
}

KERNEL
kernel(void)
{
    for (int i = 0; i < WORDS; i++)
        for (int j = i % 7; j < i; j += 3)
            total[distance(words[i], words[j])]++;
}

static int64_t
checksum(void)
{
    return bench_sum_int(total, COUNT(total));
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 1);
}
