/* SPDX-License-Identifier: Apache-2.0
 *
 * The covariance matrix of M attributes from N observations.
 */
#include "kernel.h"

#define M 440
#define N 520

static double data[N][M], covariance[M][M], mean[M];

static void
init(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++)
            data[i][j] = bench_value(i * j, i + j) * 10;
}

KERNEL
kernel(void)
{
    for (int j = 0; j < M; j++) {
        mean[j] = 0;
        for (int i = 0; i < N; i++)
            mean[j] += data[i][j];
        mean[j] /= N;
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++)
            data[i][j] -= mean[j];
    for (int i = 0; i < M; i++)
        for (int j = i; j < M; j++) {
            covariance[i][j] = 0;
            for (int k = 0; k < N; k++)
                covariance[i][j] += data[k][i] * data[k][j];
            covariance[i][j] /= N - 1;
            covariance[j][i] = covariance[i][j];
        }
}

static double
checksum(void)
{
    return bench_sum(&covariance[0][0], M * M);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 4);
}
