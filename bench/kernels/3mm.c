/* SPDX-License-Identifier: Apache-2.0
 *
 * G = (A B)(C D), by three dense products.
 */
#include "kernel.h"

#define NI 320
#define NJ 340
#define NK 360
#define NL 380
#define NM 400

static double a[NI][NK], b[NK][NJ], c[NJ][NM], d[NM][NL];
static double left[NI][NJ], right[NJ][NL], g[NI][NL];

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
        for (int m = 0; m < NM; m++)
            c[j][m] = bench_value(j + 3, m);
    for (int m = 0; m < NM; m++)
        for (int l = 0; l < NL; l++)
            d[m][l] = bench_value(m, l + 2);
}

KERNEL
kernel(void)
{
    for (int i = 0; i < NI; i++)
        for (int j = 0; j < NJ; j++) {
            left[i][j] = 0;
            for (int k = 0; k < NK; k++)
                left[i][j] += a[i][k] * b[k][j];
        }
    for (int j = 0; j < NJ; j++)
        for (int l = 0; l < NL; l++) {
            right[j][l] = 0;
            for (int m = 0; m < NM; m++)
                right[j][l] += c[j][m] * d[m][l];
        }
    for (int i = 0; i < NI; i++)
        for (int l = 0; l < NL; l++) {
            g[i][l] = 0;
            for (int j = 0; j < NJ; j++)
                g[i][l] += left[i][j] * right[j][l];
        }
}

static double
checksum(void)
{
    return bench_sum(&g[0][0], NI * NL);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
