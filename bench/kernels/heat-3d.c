/* SPDX-License-Identifier: Apache-2.0
 *
 * The heat equation in three dimensions, explicit steps.
 */
#include "kernel.h"

#define N     90
#define STEPS 70

static double a[N][N][N], b[N][N][N];

static void
init(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++) {
                a[i][j][k] = (double)(i + j + (N - k)) * 10 / N;
                b[i][j][k] = a[i][j][k];
            }
}

static void
step(double to[N][N][N], double from[N][N][N])
{
    for (int i = 1; i < N - 1; i++)
        for (int j = 1; j < N - 1; j++)
            for (int k = 1; k < N - 1; k++) {
                double here = from[i][j][k];

                to[i][j][k] = 0.125 * (from[i + 1][j][k] - 2 * here + from[i - 1][j][k]) +
                              0.125 * (from[i][j + 1][k] - 2 * here + from[i][j - 1][k]) +
                              0.125 * (from[i][j][k + 1] - 2 * here + from[i][j][k - 1]) + here;
            }
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
    return bench_sum(&a[0][0][0], (size_t)N * N * N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
