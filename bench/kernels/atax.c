/* SPDX-License-Identifier: Apache-2.0
 *
 * y = A^T (A x).
 */
#include "kernel.h"

#define M 1300
#define N 1500

static double a[M][N], x[N], y[N];

static void
init(void)
{
    for (int j = 0; j < N; j++)
        x[j] = bench_value(j, 0);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++)
            a[i][j] = bench_value(i, j);
}

KERNEL
kernel(void)
{
    for (int pass = 0; pass < 40; pass++) {
        for (int j = 0; j < N; j++)
            y[j] = 0;
        for (int i = 0; i < M; i++) {
            double row = 0;

            for (int j = 0; j < N; j++)
                row += a[i][j] * x[j];
            for (int j = 0; j < N; j++)
                y[j] += a[i][j] * row;
        }
        x[pass] = y[pass] / ((double)M * N);
    }
}

static double
checksum(void)
{
    return bench_sum(y, N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
