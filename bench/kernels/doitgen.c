/* SPDX-License-Identifier: Apache-2.0
 *
 * A[r][q] = A[r][q] C for every r and q: a multi-resolution kernel.
 */
#include "kernel.h"

#define NR 100
#define NQ 110
#define NP 120

static double a[NR][NQ][NP], c[NP][NP], row[NP];

static void
init(void)
{
    for (int r = 0; r < NR; r++)
        for (int q = 0; q < NQ; q++)
            for (int p = 0; p < NP; p++)
                a[r][q][p] = bench_value(r * q, p);
    for (int s = 0; s < NP; s++)
        for (int p = 0; p < NP; p++)
            c[s][p] = bench_value(s, p);
}

KERNEL
kernel(void)
{
    for (int r = 0; r < NR; r++)
        for (int q = 0; q < NQ; q++) {
            for (int p = 0; p < NP; p++) {
                row[p] = 0;
                for (int s = 0; s < NP; s++)
                    row[p] += a[r][q][s] * c[s][p];
            }
            for (int p = 0; p < NP; p++)
                a[r][q][p] = row[p];
        }
}

static double
checksum(void)
{
    return bench_sum(&a[0][0][0], (size_t)NR * NQ * NP);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
