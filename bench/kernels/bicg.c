/* SPDX-License-Identifier: Apache-2.0
 *
 * s = A^T r and q = A p in one pass, the kernel of the biconjugate gradient method.
 */
#include "kernel.h"

#define N 1300
#define M 1500

static double a[N][M], s[M], q[N], p[M], r[N];

static void
init(void)
{
    for (int j = 0; j < M; j++)
        p[j] = bench_value(j, 0);
    for (int i = 0; i < N; i++) {
        r[i] = bench_value(i, 1);
        for (int j = 0; j < M; j++)
            a[i][j] = bench_value(i, j);
    }
}

KERNEL
kernel(void)
{
    for (int pass = 0; pass < 50; pass++) {
        for (int j = 0; j < M; j++)
            s[j] = 0;
        for (int i = 0; i < N; i++) {
            q[i] = 0;
            for (int j = 0; j < M; j++) {
                s[j] += r[i] * a[i][j];
                q[i] += a[i][j] * p[j];
            }
        }
        p[pass] = q[pass] / M;
    }
}

static double
checksum(void)
{
    return bench_sum(s, M) + bench_sum(q, N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 2);
}
