/* SPDX-License-Identifier: Apache-2.0
 *
 * The correlation matrix of M attributes from N observations.
 */
#include <math.h>

#include "kernel.h"

#define M 440
#define N 520

static double data[N][M], correlation[M][M], mean[M], deviation[M];

static void
init(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++)
            data[i][j] = bench_value(i * j, i + j);
}

static void
normalise(void)
{
    for (int j = 0; j < M; j++) {
        mean[j] = 0;
        for (int i = 0; i < N; i++)
            mean[j] += data[i][j];
        mean[j] /= N;
    }
    for (int j = 0; j < M; j++) {
        deviation[j] = 0;
        for (int i = 0; i < N; i++)
            deviation[j] += (data[i][j] - mean[j]) * (data[i][j] - mean[j]);
        deviation[j] = sqrt(deviation[j] / N);
        /* A constant attribute would divide by nothing. */
        deviation[j] = deviation[j] <= 0.1 ? 1.0 : deviation[j];
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++)
            data[i][j] = (data[i][j] - mean[j]) / (sqrt((double)N) * deviation[j]);
}

KERNEL
kernel(void)
{
    normalise();
    for (int i = 0; i < M; i++) {
        correlation[i][i] = 1;
        for (int j = i + 1; j < M; j++) {
            correlation[i][j] = 0;
            for (int k = 0; k < N; k++)
                correlation[i][j] += data[k][i] * data[k][j];
            correlation[j][i] = correlation[i][j];
        }
    }
}

static double
checksum(void)
{
    return bench_sum(&correlation[0][0], M * M);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 4);
}
