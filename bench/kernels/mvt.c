/* SPDX-License-Identifier: Apache-2.0
 *
 * x1 += A y1 and x2 += A^T y2.
 */
#include "kernel.h"

#define N 1200

static double a[N][N], x1[N], x2[N], y1[N], y2[N];

static void
init(void)
{
    for (int i = 0; i < N; i++) {
        x1[i] = bench_value(i, 0);
        x2[i] = bench_value(i, 1);
        y1[i] = bench_value(i, 2);
        y2[i] = bench_value(i, 3);
        for (int j = 0; j < N; j++)
            a[i][j] = bench_value(i, j);
    }
}

KERNEL
kernel(void)
{
    for (int pass = 0; pass < 16; pass++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                x1[i] += a[i][j] * y1[j];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                x2[i] += a[j][i] * y2[j];
    }
}

static double
checksum(void)
{
    return bench_sum(x1, N) + bench_sum(x2, N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 3);
}
