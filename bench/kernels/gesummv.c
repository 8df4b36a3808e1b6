/* SPDX-License-Identifier: Apache-2.0
 *
 * y = alpha A x + beta B x: two matrix-vector products in one pass.
 */
#include "kernel.h"

#define N 1300

static double a[N][N], b[N][N], x[N], y[N];
static const double alpha = 1.5, beta = 1.2;

static void
init(void)
{
    for (int i = 0; i < N; i++) {
        x[i] = bench_value(i, 0);
        for (int j = 0; j < N; j++) {
            a[i][j] = bench_value(i, j);
            b[i][j] = bench_value(i, j + 1);
        }
    }
}

KERNEL
kernel(void)
{
    for (int pass = 0; pass < 40; pass++) {
        for (int i = 0; i < N; i++) {
            double first = 0, second = 0;

            for (int j = 0; j < N; j++) {
                first += a[i][j] * x[j];
                second += b[i][j] * x[j];
            }
            y[i] = alpha * first + beta * second;
        }
        x[pass] = y[pass] / N;
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
    return bench_float(init, kernel, checksum, 3);
}
