/* SPDX-License-Identifier: Apache-2.0
 *
 * A = Q R by the modified Gram-Schmidt method.
 */
#include <math.h>

#include "kernel.h"

#define M 320
#define N 280

static double a[M][N], q[M][N], r[N][N];

static void
init(void)
{
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++)
            a[i][j] = bench_value(i * i, j) + (i == j ? 20 : 0);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            r[i][j] = 0;
}

KERNEL
kernel(void)
{
    for (int k = 0; k < N; k++) {
        double norm = 0;

        for (int i = 0; i < M; i++)
            norm += a[i][k] * a[i][k];
        r[k][k] = sqrt(norm);
        for (int i = 0; i < M; i++)
            q[i][k] = a[i][k] / r[k][k];
        for (int j = k + 1; j < N; j++) {
            for (int i = 0; i < M; i++)
                r[k][j] += q[i][k] * a[i][j];
            for (int i = 0; i < M; i++)
                a[i][j] -= q[i][k] * r[k][j];
        }
    }
}

static double
checksum(void)
{
    return bench_sum(&r[0][0], N * N) + bench_sum(&q[0][0], M * N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 6);
}
