/* SPDX-License-Identifier: Apache-2.0
 *
 * The heat equation in two dimensions by alternating direction implicit steps.
 */
#include "kernel.h"

#define N     420
#define STEPS 12

static double u[N][N], v[N][N], p[N][N], q[N][N];

/* The tridiagonal system of a half step: a x[j-1] + b x[j] + c x[j+1] = rhs,
 * where the right side takes d and f from the other direction. */
struct half {
    double a, b, c, d, f;
};

static void
init(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            u[i][j] = (double)(i + N - j) / N;
}

static void
sweep_columns(const struct half *h)
{
    for (int i = 1; i < N - 1; i++) {
        v[0][i] = 1;
        p[i][0] = 0;
        q[i][0] = v[0][i];
        for (int j = 1; j < N - 1; j++) {
            p[i][j] = -h->c / (h->a * p[i][j - 1] + h->b);
            q[i][j] = (-h->d * u[j][i - 1] + (1 + 2 * h->d) * u[j][i] - h->f * u[j][i + 1] -
                       h->a * q[i][j - 1]) /
                      (h->a * p[i][j - 1] + h->b);
        }
        v[N - 1][i] = 1;
        for (int j = N - 2; j >= 1; j--)
            v[j][i] = p[i][j] * v[j + 1][i] + q[i][j];
    }
}

static void
sweep_rows(const struct half *h)
{
    for (int i = 1; i < N - 1; i++) {
        u[i][0] = 1;
        p[i][0] = 0;
        q[i][0] = u[i][0];
        for (int j = 1; j < N - 1; j++) {
            p[i][j] = -h->c / (h->a * p[i][j - 1] + h->b);
            q[i][j] = (-h->d * v[i - 1][j] + (1 + 2 * h->d) * v[i][j] - h->f * v[i + 1][j] -
                       h->a * q[i][j - 1]) /
                      (h->a * p[i][j - 1] + h->b);
        }
        u[i][N - 1] = 1;
        for (int j = N - 2; j >= 1; j--)
            u[i][j] = p[i][j] * u[i][j + 1] + q[i][j];
    }
}

KERNEL
kernel(void)
{
    double along = 2.0 * N * N / STEPS / 2, across = 1.0 * N * N / STEPS / 2;
    struct half columns = {-along, 1 + 2 * along, -along, -across, -across};
    struct half rows = {-across, 1 + 2 * across, -across, -along, -along};

    for (int t = 0; t < STEPS; t++) {
        sweep_columns(&columns);
        sweep_rows(&rows);
    }
}

static double
checksum(void)
{
    return bench_sum(&u[0][0], N * N);
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 4);
}
