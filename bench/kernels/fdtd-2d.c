/* SPDX-License-Identifier: Apache-2.0
 *
 * Maxwell's equations in two dimensions by finite differences in time.
 */
#include "kernel.h"

#define NX    500
#define NY    600
#define STEPS 200

static double ex[NX][NY], ey[NX][NY], hz[NX][NY];

static void
init(void)
{
    for (int i = 0; i < NX; i++)
        for (int j = 0; j < NY; j++) {
            ex[i][j] = (double)i * (j + 1) / NX;
            ey[i][j] = (double)i * (j + 2) / NY;
            hz[i][j] = (double)i * (j + 3) / NX;
        }
}

KERNEL
kernel(void)
{
    for (int t = 0; t < STEPS; t++) {
        for (int j = 0; j < NY; j++)
            ey[0][j] = t;
        for (int i = 1; i < NX; i++)
            for (int j = 0; j < NY; j++)
                ey[i][j] -= 0.5 * (hz[i][j] - hz[i - 1][j]);
        for (int i = 0; i < NX; i++)
            for (int j = 1; j < NY; j++)
                ex[i][j] -= 0.5 * (hz[i][j] - hz[i][j - 1]);
        for (int i = 0; i < NX - 1; i++)
            for (int j = 0; j < NY - 1; j++)
                hz[i][j] -= 0.7 * (ex[i][j + 1] - ex[i][j] + ey[i + 1][j] - ey[i][j]);
    }
}

static double
checksum(void)
{
    double sum = 0;

    for (int i = 0; i < NX; i++)
        for (int j = 0; j < NY; j++)
            sum += hz[i][j] * hz[i][j] + ex[i][j] * ex[i][j] + ey[i][j] * ey[i][j];
    return sum;
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 1);
}
