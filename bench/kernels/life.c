/* SPDX-License-Identifier: Apache-2.0
 *
 * Conway's game of life on a torus, a byte a cell.
 */
#include "kernel.h"

#define N     768
#define STEPS 100

static uint8_t cells[2][N + 2][N + 2];

static void
init(void)
{
    uint32_t state = 9;

    for (int y = 0; y < N + 2; y++)
        for (int x = 0; x < N + 2; x++)
            cells[0][y][x] = bench_random(&state) % 3 == 0;
}

/* The edge shows the opposite side. */
static void
wrap(uint8_t grid[N + 2][N + 2])
{
    for (int y = 1; y <= N; y++) {
        grid[y][0] = grid[y][N];
        grid[y][N + 1] = grid[y][1];
    }
    for (int x = 0; x < N + 2; x++) {
        grid[0][x] = grid[N][x];
        grid[N + 1][x] = grid[1][x];
    }
}

static void
step(uint8_t to[N + 2][N + 2], uint8_t from[N + 2][N + 2])
{
    for (int y = 1; y <= N; y++)
        for (int x = 1; x <= N; x++) {
            uint8_t around = (uint8_t)(from[y - 1][x - 1] + from[y - 1][x] + from[y - 1][x + 1] +
                                       from[y][x - 1] + from[y][x + 1] + from[y + 1][x - 1] +
                                       from[y + 1][x] + from[y + 1][x + 1]);

            to[y][x] = (around == 3) | ((around == 2) & from[y][x]);
        }
}

KERNEL
kernel(void)
{
    for (int t = 0; t < STEPS; t++) {
        wrap(cells[t & 1]);
        step(cells[(t + 1) & 1], cells[t & 1]);
    }
}

static int64_t
checksum(void)
{
    uint64_t sum = 0;

    for (int y = 1; y <= N; y++)
        for (int x = 1; x <= N; x++)
            sum = sum * 3 + cells[STEPS & 1][y][x];
    return (int64_t)sum;
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 12);
}
