/* SPDX-License-Identifier: Apache-2.0
 *
 * C = A B in 32-bit integers.
 */
#include "kernel.h"

#define N 700

static int32_t a[N][N], b[N][N], c[N][N];

static void
init(void)
{
    uint32_t state = 1;

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (int32_t)(bench_random(&state) % 201) - 100;
            b[i][j] = (int32_t)(bench_random(&state) % 201) - 100;
            c[i][j] = 0;
        }
}

KERNEL
kernel(void)
{
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++)
                c[i][j] += a[i][k] * b[k][j];
}

static int64_t
checksum(void)
{
    return bench_sum_int(&c[0][0], N * N);
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 2);
}
