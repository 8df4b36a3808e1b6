/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense and sparse matrices, written and read by many calls on all hosts at one time.
 */
#include "check.h"

#define ROWS    600u
#define COLUMNS (MANY * 5u)
#define LEADING 610u
#define LINES   5000u
#define FILLED  7u /* elements of a line */

/* ---------------------------------------------------------------------------- dense */

/* Its own columns, then a block that crosses those of others. */
static void
write_dense(uint32_t self)
{
    struct weft_shape shape = {WEFT_DOUBLE, ROWS, COLUMNS, LEADING};
    struct weft_range columns = {self * 5, 5}, all_rows = {0, ROWS};
    struct weft_matrix matrix;

    OK(weft_matrix_create("grid/dense", &shape));
    OK(weft_matrix_open_columns(&matrix, "grid/dense", columns,
                                WEFT_STATE_WRITE | (self % 2) * WEFT_STATE_LAZY));
    for (uint64_t column = columns.first; column < columns.first + columns.count; column++)
        for (uint64_t row = 0; row < ROWS; row++)
            *(double *)weft_matrix_at(&matrix, row, column) = (double)(column * 1000 + row);
    OK(weft_matrix_push(&matrix));
    SAME(EINVAL, weft_matrix_push_block(&matrix, all_rows, (struct weft_range){columns.first, 6}));
    weft_matrix_close(&matrix);
    OK(weft_barrier_wait("grid/barrier", MANY, PATIENCE));
    OK(weft_matrix_open(&matrix, "grid/dense", WEFT_STATE_LAZY | WEFT_STATE_WRITE));
    OK(weft_matrix_pull_block(&matrix, (struct weft_range){self * 10, 10},
                              (struct weft_range){0, COLUMNS}));
    for (uint64_t column = 0; column < COLUMNS; column++)
        for (uint64_t row = self * 10; row < self * 10 + 10; row++) {
            double *at = weft_matrix_at(&matrix, row, column);

            CHECK(*at == (double)(column * 1000 + row));
            *at = -*at;
        }
    OK(weft_matrix_push_block(&matrix, (struct weft_range){self * 10, 10},
                              (struct weft_range){0, COLUMNS}));
}

static void
test_a_dense_matrix_is_everybodys(void)
{
    struct weft_shape shape = {WEFT_DOUBLE, ROWS, COLUMNS, LEADING};
    struct weft_matrix matrix;

    SAME(ENOENT, weft_matrix_open(&matrix, "grid/dense", 0));
    fan("dense", MANY);
    OK(weft_matrix_open(&matrix, "grid/dense", 0));
    SAME(ROWS, matrix.rows);
    SAME(COLUMNS, matrix.columns);
    SAME(LEADING, matrix.leading);
    OK(weft_matrix_pull(&matrix));
    for (uint64_t column = 0; column < COLUMNS; column++)
        for (uint64_t row = 0; row < ROWS; row++) {
            double wanted = (double)(column * 1000 + row);

            CHECK(*(double *)weft_matrix_at(&matrix, row, column) ==
                  (row < MANY * 10 ? -wanted : wanted));
        }
    SAME(EINVAL, weft_matrix_push(&matrix));
    shape.columns++;
    SAME(EMSGSIZE, weft_matrix_create("grid/dense", &shape));
    shape.leading = ROWS - 1;
    SAME(EINVAL, weft_matrix_create("grid/other", &shape));
    OK(weft_state_set("grid/other", "something else, and long enough to have a header in it", 54));
    SAME(EPROTO, weft_matrix_open(&matrix, "grid/other", 0));
    SAME(EPROTO, weft_matrix_create("grid/other", &(struct weft_shape){WEFT_INT32, 1, 1, 1}));
}

/* --------------------------------------------------------------------------- sparse */

static uint32_t
index_of(uint32_t line, uint32_t i)
{
    return (line * 13 + i * 701) % LINES;
}

static void
check_line(const struct weft_sparse *sparse, uint32_t line)
{
    const void *elements;
    const uint32_t *indices;
    uint32_t count = weft_sparse_line(sparse, line, &indices, &elements);
    double wanted = 0, found = 0;

    SAME(line % 50 == 0 ? 0 : FILLED, count);
    for (uint32_t i = 0; i < FILLED && count > 0; i++) {
        wanted += (double)index_of(line, i) * (line + i);
        found += (double)indices[i] * (sparse->shape.type == WEFT_FLOAT
                                           ? (double)((const float *)elements)[i]
                                           : ((const double *)elements)[i]);
        CHECK(i == 0 || indices[i] > indices[i - 1]);
    }
    CHECK(wanted == found);
}

/* Half of them read all of it, half only their lines. */
static void
read_sparse(uint32_t self)
{
    static const char *const keys[] = {"grid/csc", "grid/csr"};
    struct weft_range own = {self * LINES / MANY, LINES / MANY};
    struct weft_sparse sparse;

    for (uint32_t i = 0; i < 2; i++) {
        if (self % 2 == 0)
            OK(weft_sparse_open(&sparse, keys[i], (self / 2 % 2) * WEFT_STATE_LAZY));
        else
            OK(weft_sparse_open_lines(&sparse, keys[i], own, (self / 2 % 2) * WEFT_STATE_LAZY));
        SAME(LINES, sparse.lines);
        SAME(i == 0 ? WEFT_CSC : WEFT_CSR, sparse.shape.order);
        for (uint64_t line = own.first; line < own.first + own.count; line++)
            check_line(&sparse, (uint32_t)line);
        weft_sparse_close(&sparse);
    }
}

static void
build(const char *key, enum weft_order order, enum weft_type type)
{
    static struct weft_triplet triplets[LINES * (FILLED + 1)];
    struct weft_sparse_shape shape = {order, type, LINES, LINES};
    uint32_t count = 0;

    for (uint32_t i = 0; i <= FILLED; i++) /* the last is the first once more: added up */
        for (uint32_t line = LINES; line-- > 0;) {
            uint32_t index = index_of(line, i % FILLED);
            double value = i == 0 ? line - 1.0 : i == FILLED ? 1.0 : (double)line + i;

            if (line % 50 != 0)
                triplets[count++] = order == WEFT_CSC ? (struct weft_triplet){index, line, value}
                                                      : (struct weft_triplet){line, index, value};
        }
    OK(weft_sparse_build(key, &shape, triplets, count));
    SAME(EEXIST, weft_sparse_build(key, &shape, triplets, 1));
    triplets[0].row = LINES;
    SAME(ERANGE, weft_sparse_build("grid/other", &shape, triplets, 1));
}

static void
test_sparse_matrices_are_read_by_all(void)
{
    struct weft_sparse sparse;

    SAME(ENOENT, weft_sparse_open(&sparse, "grid/csc", 0));
    build("grid/csc", WEFT_CSC, WEFT_DOUBLE);
    build("grid/csr", WEFT_CSR, WEFT_FLOAT);
    fan("sparse", MANY);
    SAME(EPROTO, weft_sparse_open(&sparse, "grid/dense", 0));
    SAME(EMSGSIZE, weft_sparse_open_lines(&sparse, "grid/csc", (struct weft_range){LINES, 1}, 0));
}

static void
all(void)
{
    forget_all("grid/");
    test_a_dense_matrix_is_everybodys();
    test_sparse_matrices_are_read_by_all();
}

int
main(void)
{
    static const struct part parts[] = {{"dense", write_dense}, {"sparse", read_sparse}};

    return run_parts(parts, 2, all);
}
