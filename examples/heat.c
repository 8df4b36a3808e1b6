/* SPDX-License-Identifier: Apache-2.0
 *
 * Heat spreads over a plate: one edge is kept at 100 degrees, the others at 0, and each point
 * becomes the mean of its four neighbours until nothing changes any more. OpenMP's threads share
 * the rows.
 *
 *     weft cc -O2 -fopenmp examples/heat.c -o heat.wasm && weft run heat.wasm
 *     weft deploy examples/heat.c -O "-O2 -fopenmp" --threads 8
 *     weft invoke heat --arg 256                     points on each side (default 32)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SIDE_MAX   2048
#define ROUNDS_MAX 100000
#define STILL      1e-4 /* degrees */

static double plates[2][SIDE_MAX + 2][SIDE_MAX + 2];

/* The largest change of any point. */
static double
spread(double from[][SIDE_MAX + 2], double to[][SIDE_MAX + 2], int side)
{
    double most = 0;

#pragma omp parallel for reduction(max : most)
    for (int i = 1; i <= side; i++) {
        for (int j = 1; j <= side; j++) {
            double mean = (from[i - 1][j] + from[i + 1][j] + from[i][j - 1] + from[i][j + 1]) / 4;

            most = fmax(most, fabs(mean - from[i][j]));
            to[i][j] = mean;
        }
    }
    return most;
}

int
main(int argc, char **argv)
{
    int side = argc > 1 ? atoi(argv[1]) : 32, round = 0;
    double change = 100;

    if (side < 1 || side > SIDE_MAX) {
        (void)fprintf(stderr, "heat: %s: a side has 1 to %d points\n", argv[1], SIDE_MAX);
        return 2;
    }
    for (int j = 0; j <= side + 1; j++)
        plates[0][0][j] = plates[1][0][j] = 100;
    for (; change > STILL && round < ROUNDS_MAX; round++)
        change = spread(plates[round % 2], plates[1 - round % 2], side);
    (void)printf("%d by %d points are still after %d rounds; the middle has %.3f degrees\n", side,
                 side, round, plates[round % 2][(side + 1) / 2][(side + 1) / 2]);
    return 0;
}
