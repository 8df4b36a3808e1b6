/* SPDX-License-Identifier: Apache-2.0
 *
 * Histogram, prefix sum and scatter: a radix sort of 32-bit keys.
 */
#include "kernel.h"

#define N       1000000
#define BUCKETS 256

static uint32_t keys[2][N];

static void
init(void)
{
    uint32_t state = 13;

    for (int i = 0; i < N; i++)
        keys[0][i] = bench_random(&state) << 8 ^ bench_random(&state);
}

static void
sort_by_digit(uint32_t *to, const uint32_t *from, int shift)
{
    static uint32_t at[BUCKETS];
    uint32_t sum = 0;

    for (int b = 0; b < BUCKETS; b++)
        at[b] = 0;
    for (int i = 0; i < N; i++)
        at[from[i] >> shift & (BUCKETS - 1)]++;
    for (int b = 0; b < BUCKETS; b++) {
        uint32_t count = at[b];

        at[b] = sum;
        sum += count;
    }
    for (int i = 0; i < N; i++)
        to[at[from[i] >> shift & (BUCKETS - 1)]++] = from[i];
}

KERNEL
kernel(void)
{
    for (int digit = 0; digit < 4; digit++)
        sort_by_digit(keys[(digit + 1) & 1], keys[digit & 1], digit * 8);
}

static int64_t
checksum(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < N; i++)
        sum = sum * 31 + keys[0][i];
    for (int i = 1; i < N; i++)
        if (keys[0][i - 1] > keys[0][i])
            return -1;
    return (int64_t)sum;
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 18);
}
