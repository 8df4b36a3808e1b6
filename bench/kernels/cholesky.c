/* SPDX-License-Identifier: Apache-2.0
 *
 * A = L L^T for a symmetric positive definite matrix, in place.
 */
#include <math.h>

#include "kernel.h"

#define N 900

static double a[N][N];

/* Symmetric with a heavy diagonal, which makes it positive definite. */
static void
init(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j <= i; j++) {
            a[i][j] = bench_value(i, j);
            a[j][i] = a[i][j];
        }
    for (int i = 0; i < N; i++)
        a[i][i] += N;
}

KERNEL
kernel(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < i; j++) {
            for (int k = 0; k < j; k++)
                a[i][j] -= a[i][k] * a[j][k];
            a[i][j] /= a[j][j];
        }
        for (int k = 0; k < i; k++)
            a[i][i] -= a[i][k] * a[i][k];
        a[i][i] = sqrt(a[i][i]);
    }
}

static double
checksum(void)
{
    double sum = 0;

    for (int i = 0; i < N; i++)
        for (int j = 0; j <= i; j++)
            sum += a[i][j] * (double)(1 + j % 13);
    return sum;
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
