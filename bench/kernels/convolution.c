/* SPDX-License-Identifier: Apache-2.0
 *
 * A 5 by 5 integer convolution of a grey image, with clamping.
 */
#include "kernel.h"

#define WIDTH  1024
#define HEIGHT 768
#define SIZE   5

static uint8_t in[HEIGHT][WIDTH], out[HEIGHT][WIDTH];
static const int16_t weights[SIZE][SIZE] = {
    {-1, -2, 1, -2, -1}, {-2, 4, 9, 4, -2},   {1, 9, 30, 9, 1},
    {-2, 4, 9, 4, -2},   {-1, -2, 1, -2, -1},
};

static void
init(void)
{
    uint32_t state = 11;

    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            in[y][x] = (uint8_t)bench_random(&state);
}

static uint8_t
clamp(int32_t value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

KERNEL
kernel(void)
{
    for (int y = 0; y < HEIGHT - SIZE + 1; y++)
        for (int x = 0; x < WIDTH - SIZE + 1; x++) {
            int32_t sum = 0;

            for (int dy = 0; dy < SIZE; dy++)
                for (int dx = 0; dx < SIZE; dx++)
                    sum += weights[dy][dx] * in[y + dy][x + dx];
            out[y + SIZE / 2][x + SIZE / 2] = clamp(sum >> 6);
        }
}

static int64_t
checksum(void)
{
    uint64_t sum = 0;

    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            sum = sum * 31 + out[y][x];
    return (int64_t)sum;
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 80);
}
