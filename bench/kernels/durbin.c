/* SPDX-License-Identifier: Apache-2.0
 *
 * Solves a symmetric Toeplitz system with the Levinson-Durbin recursion.
 */
#include "kernel.h"

#define N 4000

static double r[N], y[N], z[N];

static void
init(void)
{
    for (int i = 0; i < N; i++)
        r[i] = 1.0 / (i + 2.0);
}

KERNEL
kernel(void)
{
    for (int pass = 0; pass < 4; pass++) {
        double alpha = -r[0], beta = 1;

        y[0] = -r[0];
        for (int k = 1; k < N; k++) {
            double sum = 0;

            beta *= 1 - alpha * alpha;
            for (int i = 0; i < k; i++)
                sum += r[k - i - 1] * y[i];
            alpha = -(r[k] + sum) / beta;
            for (int i = 0; i < k; i++)
                z[i] = y[i] + alpha * y[k - i - 1];
            for (int i = 0; i < k; i++)
                y[i] = z[i];
            y[k] = alpha;
        }
        r[pass] *= 1.0001;
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
    return bench_float(init, kernel, checksum, 5);
}
