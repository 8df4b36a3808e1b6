/* SPDX-License-Identifier: Apache-2.0
 *
 * Deriche edge smoothing: a recursive filter over rows, then over columns.
 */
#include <math.h>

#include "kernel.h"

#define WIDTH  1500
#define HEIGHT 1100

static float in[WIDTH][HEIGHT], out[WIDTH][HEIGHT], first[WIDTH][HEIGHT], second[WIDTH][HEIGHT];

/* The filter's coefficients: k scales, a weighs input, b weighs output. */
struct filter {
    float a1, a2, a3, a4, b1, b2;
};

static void
init(void)
{
    for (int i = 0; i < WIDTH; i++)
        for (int j = 0; j < HEIGHT; j++)
            in[i][j] = (float)((313 * i + 991 * j) % 65536) / 65535.0f;
}

static struct filter
filter_of(float alpha)
{
    float k =
        (1 - expf(-alpha)) * (1 - expf(-alpha)) / (1 + 2 * alpha * expf(-alpha) - expf(2 * alpha));
    struct filter filter = {
        .a1 = k,
        .a2 = k * expf(-alpha) * (alpha - 1),
        .a3 = k * expf(-alpha) * (alpha + 1),
        .a4 = -k * expf(-2 * alpha),
        .b1 = powf(2, -alpha),
        .b2 = -expf(-2 * alpha),
    };
    return filter;
}

static void
filter_rows(const struct filter *f)
{
    for (int i = 0; i < WIDTH; i++) {
        float y1 = 0, y2 = 0, x1 = 0;

        for (int j = 0; j < HEIGHT; j++) {
            first[i][j] = f->a1 * in[i][j] + f->a2 * x1 + f->b1 * y1 + f->b2 * y2;
            x1 = in[i][j];
            y2 = y1;
            y1 = first[i][j];
        }
    }
    for (int i = 0; i < WIDTH; i++) {
        float y1 = 0, y2 = 0, x1 = 0, x2 = 0;

        for (int j = HEIGHT - 1; j >= 0; j--) {
            second[i][j] = f->a3 * x1 + f->a4 * x2 + f->b1 * y1 + f->b2 * y2;
            x2 = x1;
            x1 = in[i][j];
            y2 = y1;
            y1 = second[i][j];
        }
    }
    for (int i = 0; i < WIDTH; i++)
        for (int j = 0; j < HEIGHT; j++)
            out[i][j] = first[i][j] + second[i][j];
}

static void
filter_columns(const struct filter *f)
{
    for (int j = 0; j < HEIGHT; j++) {
        float y1 = 0, y2 = 0, x1 = 0;

        for (int i = 0; i < WIDTH; i++) {
            first[i][j] = f->a1 * out[i][j] + f->a2 * x1 + f->b1 * y1 + f->b2 * y2;
            x1 = out[i][j];
            y2 = y1;
            y1 = first[i][j];
        }
    }
    for (int j = 0; j < HEIGHT; j++) {
        float y1 = 0, y2 = 0, x1 = 0, x2 = 0;

        for (int i = WIDTH - 1; i >= 0; i--) {
            second[i][j] = f->a3 * x1 + f->a4 * x2 + f->b1 * y1 + f->b2 * y2;
            x2 = x1;
            x1 = out[i][j];
            y2 = y1;
            y1 = second[i][j];
        }
    }
    for (int i = 0; i < WIDTH; i++)
        for (int j = 0; j < HEIGHT; j++)
            out[i][j] = first[i][j] + second[i][j];
}

KERNEL
kernel(void)
{
    struct filter filter = filter_of(0.25f);

    filter_rows(&filter);
    filter_columns(&filter);
}

static double
checksum(void)
{
    double sum = 0;

    for (int i = 0; i < WIDTH; i++)
        for (int j = 0; j < HEIGHT; j++)
            sum += (double)out[i][j];
    return sum;
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 3);
}
