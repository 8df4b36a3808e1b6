/* SPDX-License-Identifier: Apache-2.0
 *
 * C = A B in single precision.
 */
#include "kernel.h"

#define NI 720
#define NJ 740
#define NK 760

static float a[NI][NK], b[NK][NJ], c[NI][NJ];

static void
init(void)
{
    for (int i = 0; i < NI; i++)
        for (int k = 0; k < NK; k++)
            a[i][k] = (float)bench_value(i, k);
    for (int k = 0; k < NK; k++)
        for (int j = 0; j < NJ; j++)
            b[k][j] = (float)bench_value(k, j + 1);
    for (int i = 0; i < NI; i++)
        for (int j = 0; j < NJ; j++)
            c[i][j] = 0;
}

KERNEL
kernel(void)
{
    for (int i = 0; i < NI; i++)
        for (int k = 0; k < NK; k++)
            for (int j = 0; j < NJ; j++)
                c[i][j] += a[i][k] * b[k][j];
}

static double
checksum(void)
{
    double sum = 0;

    for (int i = 0; i < NI; i++)
        for (int j = 0; j < NJ; j++)
            sum += (double)c[i][j] * (double)(1 + j % 5);
    return sum;
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 3);
}
