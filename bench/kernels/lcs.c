/* SPDX-License-Identifier: Apache-2.0
 *
 * The length of the longest common subsequence of two strings. One is long: of a
 * few thousand letters, met again in each row, some processors learn every
 * branch, and whether they do depends on where the code lies.
 */
#include "kernel.h"

#define N 400
#define M 96000

static uint8_t first[N], second[M];
static int32_t rows[2][M + 1];
static int32_t length;

static void
init(void)
{
    uint32_t state = 3;

    for (int i = 0; i < N; i++)
        first[i] = (uint8_t)('a' + bench_random(&state) % 6);
    for (int j = 0; j < M; j++)
        second[j] = (uint8_t)('a' + bench_random(&state) % 6);
}

KERNEL
kernel(void)
{
    for (int j = 0; j <= M; j++)
        rows[0][j] = rows[1][j] = 0;
    for (int i = 1; i <= N; i++) {
        const int32_t *above = rows[(i - 1) & 1];
        int32_t *row = rows[i & 1];

        for (int j = 1; j <= M; j++) {
            int32_t skip = above[j] > row[j - 1] ? above[j] : row[j - 1];

            row[j] = first[i - 1] == second[j - 1] ? above[j - 1] + 1 : skip;
        }
    }
    length = rows[N & 1][M];
}

static int64_t
checksum(void)
{
    return length * 1000003LL + bench_sum_int(rows[0], M + 1) % 1000003;
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 6);
}
