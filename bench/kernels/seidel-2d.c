/* SPDX-License-Identifier: Apache-2.0
 *
 * Averaging of nine neighbours in a plane, in place.
 */
#include "kernel.h"

#define N     400
#define STEPS 60

static double a[N][N];

static void
init(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i][j] = bench_value(i, j + 2);
}

KERNEL
kernel(void)
{
    for (int t = 0; t < STEPS; t++)
        for (int i = 1; i < N - 1; i++)
            for (int j = 1; j < N - 1; j++)
                a[i][j] = (a[i - 1][j - 1] + a[i - 1][j] + a[i - 1][j + 1] + a[i][j - 1] + a[i][j] +
                           a[i][j + 1] + a[i + 1][j - 1] + a[i + 1][j] + a[i + 1][j + 1]) /
                          9.0;
}

static double
checksum(void)
{
    return bench_sum(&a[0][0], N * N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
