/* SPDX-License-Identifier: Apache-2.0
 *
 * Shortest paths between all pairs of a dense graph, in integers.
 */
#include "kernel.h"

#define N 520

static int32_t path[N][N];

static void
init(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            path[i][j] = i * j % 7 + 1;
            if ((i + j) % 13 == 0 || (i + j) % 7 == 0 || (i + j) % 11 == 0)
                path[i][j] = 999;
        }
}

KERNEL
kernel(void)
{
    for (int k = 0; k < N; k++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                path[i][j] =
                    path[i][j] < path[i][k] + path[k][j] ? path[i][j] : path[i][k] + path[k][j];
}

static int64_t
checksum(void)
{
    return bench_sum_int(&path[0][0], N * N);
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 2);
}
