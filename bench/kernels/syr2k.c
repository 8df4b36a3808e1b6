/* SPDX-License-Identifier: Apache-2.0
 *
 * C = alpha (A B^T + B A^T) + beta C, lower triangle.
 */
#include "kernel.h"

#define N 480
#define M 420

static double a[N][M], b[N][M], c[N][N];
static const double alpha = 1.5, beta = 1.2;

static void
init(void)
{
    for (int i = 0; i < N; i++)
        for (int k = 0; k < M; k++) {
            a[i][k] = bench_value(i, k);
            b[i][k] = bench_value(i + 5, k);
        }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            c[i][j] = bench_value(i, j + 2);
}

KERNEL
kernel(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j <= i; j++)
            c[i][j] *= beta;
        for (int k = 0; k < M; k++)
            for (int j = 0; j <= i; j++)
                c[i][j] += alpha * (a[j][k] * b[i][k] + b[j][k] * a[i][k]);
    }
}

static double
checksum(void)
{
    return bench_sum(&c[0][0], N * N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 3);
}
