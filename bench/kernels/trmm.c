/* SPDX-License-Identifier: Apache-2.0
 *
 * B = alpha A^T B where A is unit lower triangular.
 */
#include "kernel.h"

#define M 520
#define N 560

static double a[M][M], b[M][N];
static const double alpha = 1.5;

static void
init(void)
{
    for (int i = 0; i < M; i++)
        for (int k = 0; k < M; k++)
            a[i][k] = i == k ? 1.0 : bench_value(i, k);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++)
            b[i][j] = bench_value(i, j + 1);
}

KERNEL
kernel(void)
{
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            for (int k = i + 1; k < M; k++)
                b[i][j] += a[k][i] * b[k][j];
            b[i][j] *= alpha;
        }
}

static double
checksum(void)
{
    return bench_sum(&b[0][0], M * N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
