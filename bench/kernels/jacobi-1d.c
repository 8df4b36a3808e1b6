/* SPDX-License-Identifier: Apache-2.0
 *
 * Repeated averaging of three neighbours on a line.
 */
#include "kernel.h"

#define N     4000
#define STEPS 30000

static double a[N], b[N];

static void
init(void)
{
    for (int i = 0; i < N; i++) {
        a[i] = bench_value(i, 2);
        b[i] = bench_value(i, 3);
    }
}

KERNEL
kernel(void)
{
    for (int t = 0; t < STEPS; t++) {
        for (int i = 1; i < N - 1; i++)
            b[i] = 0.33333 * (a[i - 1] + a[i] + a[i + 1]);
        for (int i = 1; i < N - 1; i++)
            a[i] = 0.33333 * (b[i - 1] + b[i] + b[i + 1]);
    }
}

static double
checksum(void)
{
    return bench_sum(a, N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
