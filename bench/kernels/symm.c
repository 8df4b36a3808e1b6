/* SPDX-License-Identifier: Apache-2.0
 *
 * C = alpha A B + beta C where A is symmetric and only its lower half is read.
 */
#include "kernel.h"

#define M 420
#define N 480

static double a[M][M], b[M][N], c[M][N];
static const double alpha = 1.5, beta = 1.2;

static void
init(void)
{
    for (int i = 0; i < M; i++)
        for (int k = 0; k < M; k++)
            a[i][k] = bench_value(i, k);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            b[i][j] = bench_value(i, j + 1);
            c[i][j] = bench_value(i, j + 2);
        }
}

KERNEL
kernel(void)
{
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double above = 0;

            for (int k = 0; k < i; k++) {
                c[k][j] += alpha * b[i][j] * a[i][k];
                above += b[k][j] * a[i][k];
            }
            c[i][j] = beta * c[i][j] + alpha * (b[i][j] * a[i][i] + above);
        }
}

static double
checksum(void)
{
    return bench_sum(&c[0][0], M * N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 1);
}
