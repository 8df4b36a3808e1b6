/* SPDX-License-Identifier: Apache-2.0
 *
 * Multiplies matrices of state by divide and conquer: a call for a block of the result starts
 * four for its quarters, on whatever host, until a block is small enough to be done.
 *
 *     weft deploy examples/matmul.c
 *     weft invoke matmul                             256 x 256, in blocks of 64
 *     weft invoke matmul --arg 512 --arg 128         SIZE BLOCK
 *
 * The left matrix is kept transposed, so that what a block needs of both are columns, and only
 * those come to the host that works on it. The result is compared with a direct product.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/objects.h>

#define LARGEST 2048u

#define KEY_LEFT   "matmul/left" /* transposed */
#define KEY_RIGHT  "matmul/right"
#define KEY_RESULT "matmul/result"

struct block { /* input of a call: of the result, a square */
    uint32_t row, column, size, smallest;
};

static void
must(int err, const char *what)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "matmul: %s: %s\n", what, strerror(err));
    exit(1);
}

static double
dot(const double *a, const double *b, uint64_t count)
{
    double sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* ----------------------------------------------------------------------------- calls */

static void
multiply(const struct block *block)
{
    struct weft_range rows = {block->row, block->size}, columns = {block->column, block->size};
    struct weft_matrix left, right, result;

    must(weft_matrix_open_columns(&left, KEY_LEFT, rows, WEFT_FIXED), "left");
    must(weft_matrix_open_columns(&right, KEY_RIGHT, columns, WEFT_FIXED), "right");
    must(weft_matrix_open_columns(&result, KEY_RESULT, columns, WEFT_STATE_WRITE), "result");
    for (uint64_t j = block->column; j < block->column + block->size; j++)
        for (uint64_t i = block->row; i < block->row + block->size; i++)
            *(double *)weft_matrix_at(&result, i, j) =
                dot(weft_matrix_at(&left, 0, i), weft_matrix_at(&right, 0, j), left.rows);
    must(weft_matrix_push_block(&result, rows, columns), "push");
    weft_matrix_close(&left);
    weft_matrix_close(&right);
    weft_matrix_close(&result);
}

static void
divide(const struct block *block)
{
    uint32_t half = block->size / 2, length = 0, done = 0;
    weft_handle calls[4];
    struct weft_end ends[4];
    char function[128];

    must(weft_identity(WEFT_FUNCTION, function, sizeof(function) - 8, &length), "name");
    memcpy(function + length, ":latest", 8);
    for (uint32_t i = 0; i < 4; i++) {
        struct block quarter = {block->row + i / 2 * half, block->column + i % 2 * half, half,
                                block->smallest};

        must(weft_chain(function, &quarter, sizeof(quarter), 0, 0, &calls[i]), "chain");
    }
    must(weft_await_all(calls, 4, WEFT_FOR_EVER, ends, &done), "await");
    for (uint32_t i = 0; i < 4; i++) {
        must(ends[i].status == WEFT_DONE ? 0 : EIO, "a call");
        must(weft_forget(calls[i]), "forget");
    }
}

static void
work(const struct block *block)
{
    if (block->size <= block->smallest || block->size % 2 != 0)
        multiply(block);
    else
        divide(block);
}

/* --------------------------------------------------------------------------- the main */

static void
make(const char *key, uint32_t size, uint32_t seed)
{
    struct weft_shape shape = {WEFT_DOUBLE, size, size, 0};
    struct weft_matrix matrix;

    must(weft_matrix_create(key, &shape), "making a matrix");
    if (seed == 0)
        return;
    must(weft_matrix_open(&matrix, key, WEFT_STATE_WRITE), "opening a matrix");
    for (uint64_t column = 0; column < size; column++)
        for (uint64_t row = 0; row < size; row++) {
            seed = seed * 1664525u + 1013904223u;
            *(double *)weft_matrix_at(&matrix, row, column) = (double)(seed >> 8) * 0x1p-24 - 0.5;
        }
    must(weft_matrix_push(&matrix), "push");
    weft_matrix_close(&matrix);
}

static void
forget_all(void)
{
    static const char *const keys[] = {KEY_LEFT, KEY_RIGHT, KEY_RESULT};

    for (uint32_t i = 0; i < 3; i++) {
        int err = weft_state_remove(keys[i]);

        must(err == ENOENT ? 0 : err, "removing what was there");
    }
}

/* The largest difference to a direct product. */
static double
compare(void)
{
    struct weft_matrix left, right, result;
    double largest = 0;

    must(weft_matrix_open(&left, KEY_LEFT, 0), "left");
    must(weft_matrix_open(&right, KEY_RIGHT, 0), "right");
    must(weft_matrix_open(&result, KEY_RESULT, 0), "result");
    must(weft_matrix_pull(&result), "pull");
    for (uint64_t j = 0; j < result.columns; j++)
        for (uint64_t i = 0; i < result.rows; i++) {
            double sum = 0;

            for (uint64_t k = left.rows; k-- > 0;)
                sum += *(double *)weft_matrix_at(&left, k, i) *
                       *(double *)weft_matrix_at(&right, k, j);
            largest = fmax(largest, fabs(sum - *(double *)weft_matrix_at(&result, i, j)));
        }
    weft_matrix_close(&left);
    weft_matrix_close(&right);
    weft_matrix_close(&result);
    return largest;
}

static double
now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
    struct block block = {0, 0, 256, 64};
    double begun, took, difference;
    uint32_t done = 0;

    if (weft_input_size() == sizeof(block)) {
        must(weft_input_read(0, &block, sizeof(block), &done), "input");
        work(&block);
        return 0;
    }
    if (argc > 1)
        block.size = (uint32_t)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        block.smallest = (uint32_t)strtoul(argv[2], NULL, 10);
    must(block.size == 0 || block.size > LARGEST || block.smallest == 0 ? EINVAL : 0, "SIZE BLOCK");
    forget_all();
    make(KEY_LEFT, block.size, 1);
    make(KEY_RIGHT, block.size, 2);
    make(KEY_RESULT, block.size, 0);
    begun = now_s();
    work(&block);
    took = now_s() - begun;
    difference = compare();
    forget_all();
    must(difference < 1e-9 ? 0 : ERANGE, "the product differs from the direct one");
    (void)printf("%u x %u in blocks of %u: %.2f s, differs by at most %.1e\n", block.size,
                 block.size, block.smallest, took, difference);
    return 0;
}
