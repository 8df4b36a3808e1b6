/* SPDX-License-Identifier: Apache-2.0
 *
 * D = alpha A B C + beta D, by two dense products.
 */
#include "kernel.h"

#define NI 360
#define NJ 380
#define NK 420
#define NL 440

static double a[NI][NK], b[NK][NJ], c[NJ][NL], d[NI][NL], product[NI][NJ];
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
    for (int j = 0; j < NJ; j++)
        for (int l = 0; l < NL; l++)
            c[j][l] = bench_value(j, l + 3);
    for (int i = 0; i < NI; i++)
        for (int l = 0; l < NL; l++)
            d[i][l] = bench_value(i, l + 2);
}

KERNEL
kernel(void)
{
    for (int i = 0; i < NI; i++)
        for (int j = 0; j < NJ; j++) {
            product[i][j] = 0;
            for (int k = 0; k < NK; k++)
                product[i][j] += alpha * a[i][k] * b[k][j];
        }
    for (int i = 0; i < NI; i++)
        for (int l = 0; l < NL; l++) {
            d[i][l] *= beta;
            for (int j = 0; j < NJ; j++)
                d[i][l] += product[i][j] * c[j][l];
        }
}

static double
checksum(void)
{
    return bench_sum(&d[0][0], NI * NL);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
