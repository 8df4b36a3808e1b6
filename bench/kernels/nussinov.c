/* SPDX-License-Identifier: Apache-2.0
 *
 * The largest number of base pairs in the fold of an RNA sequence.
 */
#include "kernel.h"

#define N 1000

static int8_t sequence[N];
static int32_t table[N][N];

static void
init(void)
{
    for (int i = 0; i < N; i++)
        sequence[i] = (int8_t)((i * i + i / 3 + 1) % 4);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            table[i][j] = 0;
}

static inline int32_t
larger(int32_t a, int32_t b)
{
    return a >= b ? a : b;
}

static inline int32_t
pairs(int i, int j)
{
    return sequence[i] + sequence[j] == 3;
}

KERNEL
kernel(void)
{
    for (int i = N - 1; i >= 0; i--)
        for (int j = i + 1; j < N; j++) {
            int32_t best = larger(table[i][j - 1], i + 1 < N ? table[i + 1][j] : 0);

            if (i + 1 < N) {
                int32_t inner = table[i + 1][j - 1];

                /* Neighbours are too close to pair. */
                best = larger(best, i < j - 1 ? inner + pairs(i, j) : inner);
            }
            for (int k = i + 1; k < j; k++)
                best = larger(best, table[i][k] + table[k + 1][j]);
            table[i][j] = best;
        }
}

static int64_t
checksum(void)
{
    return bench_sum_int(&table[0][0], N * N);
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 1);
}
