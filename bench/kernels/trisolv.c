/* SPDX-License-Identifier: Apache-2.0
 *
 * Solves L x = b by forward substitution.
 */
#include "kernel.h"

#define N 1800

static double l[N][N], x[N], b[N];

static void
init(void)
{
    for (int i = 0; i < N; i++) {
        b[i] = bench_value(i, 3);
        for (int j = 0; j <= i; j++)
            l[i][j] = bench_value(i, j) / N;
        l[i][i] += 2;
    }
}

KERNEL
kernel(void)
{
    for (int pass = 0; pass < 60; pass++) {
        for (int i = 0; i < N; i++) {
            x[i] = b[i];
            for (int j = 0; j < i; j++)
                x[i] -= l[i][j] * x[j];
            x[i] /= l[i][i];
        }
        b[pass] = x[pass];
    }
}

static double
checksum(void)
{
    return bench_sum(x, N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
