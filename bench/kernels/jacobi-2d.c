/* SPDX-License-Identifier: Apache-2.0
 *
 * Repeated averaging of five neighbours in a plane.
 */
#include "kernel.h"

#define N     500
#define STEPS 250

static double a[N][N], b[N][N];

static void
init(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = bench_value(i, j + 2);
            b[i][j] = bench_value(i, j + 3);
        }
}

static void
step(double to[N][N], double from[N][N])
{
    for (int i = 1; i < N - 1; i++)
        for (int j = 1; j < N - 1; j++)
            to[i][j] = 0.2 * (from[i][j] + from[i][j - 1] + from[i][j + 1] + from[i + 1][j] +
                              from[i - 1][j]);
}

KERNEL
kernel(void)
{
    for (int t = 0; t < STEPS; t++) {
        step(b, a);
        step(a, b);
    }
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
