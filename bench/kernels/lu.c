/* SPDX-License-Identifier: Apache-2.0
 *
 * A = L U without pivoting, in place.
 */
#include "kernel.h"

#define N 560

static double a[N][N];

static void
init(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++)
            a[i][j] = bench_value(i, j);
        a[i][i] += N;
    }
}

KERNEL
kernel(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < i; j++) {
            for (int k = 0; k < j; k++)
                a[i][j] -= a[i][k] * a[k][j];
            a[i][j] /= a[j][j];
        }
        for (int j = i; j < N; j++)
            for (int k = 0; k < i; k++)
                a[i][j] -= a[i][k] * a[k][j];
    }
}

static double
checksum(void)
{
    return bench_sum(&a[0][0], N * N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 4);
}
