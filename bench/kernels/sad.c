/* SPDX-License-Identifier: Apache-2.0
 *
 * Motion search: for each block the displacement with the least sum of absolute differences.
 */
#include <stdlib.h>

#include "kernel.h"

#define WIDTH  320
#define HEIGHT 192
#define BLOCK  16
#define REACH  12

static uint8_t frame[HEIGHT][WIDTH], reference[HEIGHT + 2 * REACH][WIDTH + 2 * REACH];
static int32_t best_at[HEIGHT / BLOCK][WIDTH / BLOCK];

static void
init(void)
{
    uint32_t state = 7;

    for (int y = 0; y < HEIGHT + 2 * REACH; y++)
        for (int x = 0; x < WIDTH + 2 * REACH; x++)
            reference[y][x] = (uint8_t)((x * x + y * 3 + (int)(bench_random(&state) % 32)) & 255);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            frame[y][x] = (uint8_t)(reference[y + 5][x + 9] + bench_random(&state) % 4);
}

static int32_t
difference(int top, int left, int dy, int dx)
{
    int32_t sum = 0;

    for (int y = 0; y < BLOCK; y++)
        for (int x = 0; x < BLOCK; x++)
            sum += abs(frame[top + y][left + x] - reference[top + y + dy][left + x + dx]);
    return sum;
}

static int32_t
search(int top, int left)
{
    int32_t least = INT32_MAX, at = 0;

    for (int dy = 0; dy < 2 * REACH; dy++)
        for (int dx = 0; dx < 2 * REACH; dx++) {
            int32_t sum = difference(top, left, dy, dx);

            if (sum < least) {
                least = sum;
                at = dy * 100 + dx;
            }
        }
    return at * 65536 + least;
}

KERNEL
kernel(void)
{
    for (int y = 0; y < HEIGHT / BLOCK; y++)
        for (int x = 0; x < WIDTH / BLOCK; x++)
            best_at[y][x] = search(y * BLOCK, x * BLOCK);
}

static int64_t
checksum(void)
{
    return bench_sum_int(&best_at[0][0], sizeof(best_at) / sizeof(best_at[0][0]));
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 90);
}
