/* SPDX-License-Identifier: Apache-2.0
 *
 * C = alpha A B + beta C, row by row, so that the inner loop is a vector.
 */
#include "kernel.h"

#define NI 600
#define NJ 620
#define NK 640

static double a[NI][NK], b[NK][NJ], c[NI][NJ];
static const double alpha = 1.5, beta = 1.2;

static void
init(void)
{
    for (int i = 0; i < NI; i++)
        for (int k = 0; k < NK; k++)
            a[i][k] = bench_value(i, k);
    for (int k = 0; k < NK; k++)
        for (int j = 0; j < NJ; j++)
            b[k][j] = bench_value(k, j + 1);
    for (int i = 0; i < NI; i++)
        for (int j = 0; j < NJ; j++)
            c[i][j] = bench_value(i, j + 2);
}

KERNEL
kernel(void)
{
    for (int i = 0; i < NI; i++) {
        for (int j = 0; j < NJ; j++)
            c[i][j] *= beta;
        for (int k = 0; k < NK; k++)
            for (int j = 0; j < NJ; j++)
                c[i][j] += alpha * a[i][k] * b[k][j];
    }
}

static double
checksum(void)
{
    return bench_sum(&c[0][0], NI * NJ);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
