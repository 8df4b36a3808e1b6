/* SPDX-License-Identifier: Apache-2.0
 *
 * A += u1 v1^T + u2 v2^T; x = beta A^T y + z; w = alpha A x.
 */
#include "kernel.h"

#define N 1300

static double a[N][N];
static double u1[N], v1[N], u2[N], v2[N], w[N], x[N], y[N], z[N];
static const double alpha = 1.5, beta = 1.2;

static void
init(void)
{
    for (int i = 0; i < N; i++) {
        u1[i] = bench_value(i, 0);
        u2[i] = bench_value(i, 1);
        v1[i] = bench_value(i, 2);
        v2[i] = bench_value(i, 3);
        y[i] = bench_value(i, 4);
        z[i] = bench_value(i, 5);
        x[i] = 0;
        w[i] = 0;
        for (int j = 0; j < N; j++)
            a[i][j] = bench_value(i, j);
    }
}

KERNEL
kernel(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i][j] += u1[i] * v1[j] + u2[i] * v2[j];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            x[i] += beta * a[j][i] * y[j];
    for (int i = 0; i < N; i++)
        x[i] += z[i];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            w[i] += alpha * a[i][j] * x[j];
}

static double
checksum(void)
{
    return bench_sum(w, N) + bench_sum(x, N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 32);
}
