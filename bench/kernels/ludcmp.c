/* SPDX-License-Identifier: Apache-2.0
 *
 * Solves A x = b by L U decomposition, forward and backward substitution.
 */
#include "kernel.h"

#define N 560

static double a[N][N], b[N], x[N], y[N];

static void
init(void)
{
    for (int i = 0; i < N; i++) {
        b[i] = bench_value(i, 1);
        for (int j = 0; j < N; j++)
            a[i][j] = bench_value(i, j);
        a[i][i] += N;
    }
}

static void
decompose(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < i; j++) {
            double w = a[i][j];

            for (int k = 0; k < j; k++)
                w -= a[i][k] * a[k][j];
            a[i][j] = w / a[j][j];
        }
        for (int j = i; j < N; j++) {
            double w = a[i][j];

            for (int k = 0; k < i; k++)
                w -= a[i][k] * a[k][j];
            a[i][j] = w;
        }
    }
}

KERNEL
kernel(void)
{
    decompose();
    for (int i = 0; i < N; i++) {
        double w = b[i];

        for (int j = 0; j < i; j++)
            w -= a[i][j] * y[j];
        y[i] = w;
    }
    for (int i = N - 1; i >= 0; i--) {
        double w = y[i];

        for (int j = i + 1; j < N; j++)
            w -= a[i][j] * x[j];
        x[i] = w / a[i][i];
    }
}

static double
checksum(void)
{
    return bench_sum(x, N) + bench_sum(&a[0][0], N * N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 4);
}
