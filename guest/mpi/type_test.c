/* SPDX-License-Identifier: Apache-2.0
 *
 * Datatypes: what is predefined, what is made, what they say of themselves, and what is refused.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include "message.h"
#include "type_testing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct mpi_type *
object(MPI_Datatype handle)
{
    struct mpi_type *type;

    assert_int_equal(mpi_type_find(handle, &type), 0);
    return type;
}

static void
check_bounds(MPI_Datatype handle, int64_t size, int64_t lb, int64_t extent)
{
    const struct mpi_type *type = object(handle);

    assert_int_equal(type->size, size);
    assert_int_equal(type->lb, lb);
    assert_int_equal(type->extent, extent);
}

static void
check_name(MPI_Datatype type, const char *expected)
{
    char name[MPI_MAX_OBJECT_NAME];
    int length;

    assert_int_equal(MPI_Type_get_name(type, name, &length), 0);
    assert_string_equal(name, expected);
    assert_int_equal(length, strlen(expected));
}

/* --------------------------------------------------------------------- predefined */

struct short_int {
    short a;
    int b;
};
struct long_int {
    long a;
    int b;
};
struct long_double_int {
    long double a;
    int b;
};

static const struct {
    MPI_Datatype type;
    size_t size, extent;
    const char *name;
} predefined[] = {
    {MPI_INT, sizeof(int), sizeof(int), "MPI_INT"},
    {MPI_LONG, sizeof(long), sizeof(long), "MPI_LONG"},
    {MPI_AINT, sizeof(void *), sizeof(void *), "MPI_AINT"},
    {MPI_OFFSET, 8, 8, "MPI_OFFSET"},
    {MPI_LONG_DOUBLE, sizeof(long double), sizeof(long double), "MPI_LONG_DOUBLE"},
    {MPI_WCHAR, sizeof(wchar_t), sizeof(wchar_t), "MPI_WCHAR"},
    {MPI_C_BOOL, 1, 1, "MPI_C_BOOL"},
    {MPI_C_LONG_DOUBLE_COMPLEX, 32, 32, "MPI_C_LONG_DOUBLE_COMPLEX"},
    {MPI_PACKED, 1, 1, "MPI_PACKED"},
    {MPI_SHORT_INT, 6, sizeof(struct short_int), "MPI_SHORT_INT"},
    {MPI_LONG_INT, sizeof(long) + 4, sizeof(struct long_int), "MPI_LONG_INT"},
    {MPI_DOUBLE_INT, 12, 16, "MPI_DOUBLE_INT"},
    {MPI_LONG_DOUBLE_INT, 20, sizeof(struct long_double_int), "MPI_LONG_DOUBLE_INT"},
    {MPI_2REAL, 8, 8, "MPI_2REAL"},
    {MPI_INTEGER16, 16, 16, "MPI_INTEGER16"},
    {MPI_COMPLEX4, 4, 4, "MPI_COMPLEX4"},
};

static void
test_predefined_types_have_the_sizes_of_c(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(predefined); i++) {
        const struct mpi_type *type = object(predefined[i].type);

        check_bounds(predefined[i].type, (int64_t)predefined[i].size, 0,
                     (int64_t)predefined[i].extent);
        check_name(predefined[i].type, predefined[i].name);
        assert_true(type->is_committed);
        assert_ptr_equal(type->element, type);
    }
    check_name(MPI_DATATYPE_NULL, "MPI_DATATYPE_NULL");
    assert_true(object(MPI_2INT)->is_dense);
    assert_false(object(MPI_DOUBLE_INT)->is_dense);
}

static void
test_predefined_types_cannot_be_freed(void **state)
{
    MPI_Datatype type = MPI_INT, pair = MPI_DOUBLE_INT, null = MPI_DATATYPE_NULL;

    (void)state;
    assert_int_equal(MPI_Type_free(&type), MPI_ERR_TYPE);
    assert_ptr_equal(type, MPI_INT);
    assert_int_equal(MPI_Type_free(&pair), MPI_ERR_TYPE);
    assert_int_equal(MPI_Type_free(&null), MPI_ERR_TYPE);
    assert_int_equal(MPI_Type_free(NULL), MPI_ERR_ARG);
}

/* -------------------------------------------------------------------------- bounds */

static void
test_structs_are_padded_as_in_c(void **state)
{
    struct sample {
        double a;
        char b;
    };
    const int lengths[] = {1, 1};
    const MPI_Aint displacements[] = {0, 8};
    const MPI_Datatype types[] = {MPI_DOUBLE, MPI_CHAR};
    MPI_Datatype type, row;

    (void)state;
    assert_int_equal(MPI_Type_create_struct(2, lengths, displacements, types, &type), 0);
    check_bounds(type, 9, 0, sizeof(struct sample));
    assert_int_equal(object(type)->true_extent, 9);
    assert_int_equal(MPI_Type_contiguous(3, type, &row), 0);
    check_bounds(row, 27, 0, 48);
    assert_int_equal(object(row)->true_extent, 41);
    MPI_Type_free(&type);
    MPI_Type_free(&row);
}

static void
test_bounds_that_were_set_stay_where_the_type_is_used(void **state)
{
    const int lengths[] = {1, 1};
    const MPI_Aint displacements[] = {10, 100};
    MPI_Datatype resized, types[2], type, again;
    MPI_Aint lb, extent;

    (void)state;
    assert_int_equal(MPI_Type_create_resized(MPI_INT, -3, 9, &resized), 0);
    check_bounds(resized, 4, -3, 9);
    types[0] = resized;
    types[1] = MPI_INT;
    assert_int_equal(MPI_Type_create_struct(2, lengths, displacements, types, &type), 0);
    check_bounds(type, 8, 7, 9);
    assert_int_equal(MPI_Type_get_true_extent(type, &lb, &extent), 0);
    assert_int_equal(lb, 10);
    assert_int_equal(extent, 94);
    assert_int_equal(MPI_Type_create_resized(type, 0, 200, &again), 0);
    check_bounds(again, 8, 0, 200);
    assert_int_equal(MPI_Type_lb(resized, &lb), 0);
    assert_int_equal(lb, -3);
    assert_int_equal(MPI_Type_ub(resized, &lb), 0);
    assert_int_equal(lb, 6);
    assert_int_equal(MPI_Type_extent(resized, &extent), 0);
    assert_int_equal(extent, 9);
    MPI_Type_free(&resized);
    MPI_Type_free(&type);
    MPI_Type_free(&again);
}

static void
test_strides_may_go_backwards(void **state)
{
    MPI_Datatype vector, row;

    (void)state;
    assert_int_equal(MPI_Type_vector(3, 2, -4, MPI_INT, &vector), 0);
    check_bounds(vector, 24, -32, 40);
    assert_int_equal(MPI_Type_create_resized(MPI_INT, 0, -4, &row), 0);
    MPI_Type_free(&vector);
    assert_int_equal(MPI_Type_contiguous(3, row, &vector), 0);
    check_bounds(vector, 12, -8, 4);
    assert_int_equal(object(vector)->true_lb, -8);
    assert_int_equal(object(vector)->true_extent, 12);
    MPI_Type_free(&vector);
    MPI_Type_free(&row);
}

static void
test_types_of_nothing_are_types(void **state)
{
    MPI_Datatype all[6];
    int size = -1;

    (void)state;
    assert_int_equal(MPI_Type_contiguous(0, MPI_INT, &all[0]), 0);
    assert_int_equal(MPI_Type_vector(0, 1, 1, MPI_INT, &all[1]), 0);
    assert_int_equal(MPI_Type_vector(5, 0, 1, MPI_INT, &all[2]), 0);
    assert_int_equal(MPI_Type_indexed(0, NULL, NULL, MPI_INT, &all[3]), 0);
    assert_int_equal(MPI_Type_create_struct(0, NULL, NULL, NULL, &all[4]), 0);
    assert_int_equal(MPI_Type_contiguous(7, all[4], &all[5]), 0);
    for (size_t i = 0; i < COUNT(all); i++) {
        check_bounds(all[i], 0, 0, 0);
        assert_int_equal(MPI_Type_commit(&all[i]), 0);
        assert_int_equal(MPI_Type_size(all[i], &size), 0);
        assert_int_equal(size, 0);
        mpi_type_pack(object(all[i]), NULL, 5, 0, NULL, 0);
        assert_int_equal(MPI_Type_free(&all[i]), 0);
    }
}

static void
test_large_types_have_sizes_that_int_does_not_hold(void **state)
{
    MPI_Datatype large, larger, too_large;
    MPI_Count size;
    int small;

    (void)state;
    assert_int_equal(MPI_Type_contiguous(INT_MAX, MPI_DOUBLE, &large), 0);
    assert_int_equal(MPI_Type_size(large, &small), 0);
    assert_int_equal(small, MPI_UNDEFINED);
    assert_int_equal(MPI_Type_size_x(large, &size), 0);
    assert_true(size == 8 * (MPI_Count)INT_MAX);
    assert_int_equal(MPI_Type_vector(1 << 20, 1, 2, large, &larger), 0);
    assert_int_equal(MPI_Type_commit(&larger), 0);
    assert_int_equal(MPI_Type_contiguous(INT_MAX, larger, &too_large), MPI_ERR_COUNT);
    assert_int_equal(MPI_Type_vector(2, 1, INT_MAX, larger, &too_large), MPI_ERR_COUNT);
    MPI_Type_free(&large);
    MPI_Type_free(&larger);
}

static void
test_types_are_nested_to_a_limit(void **state)
{
    MPI_Datatype type, next;
    unsigned depth = 0;

    (void)state;
    assert_int_equal(MPI_Type_contiguous(1, MPI_INT, &type), 0);
    while (MPI_Type_vector(1, 1, 1, type, &next) == 0) {
        MPI_Type_free(&type);
        type = next;
        depth++;
        assert_true(depth <= MPI_TYPE_DEPTH_MAX);
    }
    assert_int_equal(MPI_Type_commit(&type), 0);
    assert_true(object(type)->is_dense);
    MPI_Type_free(&type);
}

/* ------------------------------------------------------------------------- layout */

static void
test_what_touches_is_one_run(void **state)
{
    const int lengths[] = {2, 1, 3}, places[] = {0, 2, 3}, backwards[] = {3, 2, 0};
    const int regular[] = {0, 4, 8};
    MPI_Datatype in_order, in_disorder, strided;

    (void)state;
    MPI_Type_indexed(3, lengths, places, MPI_INT, &in_order);
    MPI_Type_commit(&in_order);
    assert_true(object(in_order)->is_dense);
    assert_int_equal(object(in_order)->map->layout->kind, MPI_LAYOUT_RUN);
    MPI_Type_create_indexed_block(3, 1, backwards, MPI_INT, &in_disorder);
    MPI_Type_commit(&in_disorder);
    assert_false(object(in_disorder)->is_run);
    MPI_Type_create_indexed_block(3, 2, regular, MPI_INT, &strided);
    MPI_Type_commit(&strided);
    assert_int_equal(object(strided)->map->layout->kind, MPI_LAYOUT_STRIDED);
    MPI_Type_free(&in_order);
    MPI_Type_free(&in_disorder);
    MPI_Type_free(&strided);
}

static void
test_as_large_as_its_extent_is_not_yet_a_run(void **state)
{
    const int lengths[] = {1, 1, 1};
    const MPI_Aint twice[] = {0, 0, 8}; /* 12 bytes from 0 to 12, some of them twice */
    MPI_Datatype type;
    int buffer[3];

    (void)state;
    MPI_Type_create_hindexed(3, lengths, twice, MPI_INT, &type);
    MPI_Type_commit(&type);
    assert_int_equal(object(type)->size, object(type)->true_extent);
    assert_null(mpi_type_run(object(type), buffer, 1));
    MPI_Type_free(&type);
}

/* Rows of a matrix of which every second one is taken are as many strides as there are. */
static void
test_loops_in_a_row_become_one(void **state)
{
    MPI_Datatype vector, spaced, all;

    (void)state;
    MPI_Type_vector(4, 1, 2, MPI_INT, &vector);
    MPI_Type_create_resized(vector, 0, 32, &spaced);
    MPI_Type_contiguous(100, spaced, &all);
    MPI_Type_commit(&all);
    assert_int_equal(object(all)->map->layout->kind, MPI_LAYOUT_STRIDED);
    assert_int_equal(object(all)->map->layout->count, 400);
    MPI_Type_free(&vector);
    MPI_Type_free(&spaced);
    MPI_Type_free(&all);
}

static void
test_only_committed_types_are_used(void **state)
{
    MPI_Datatype type;
    struct mpi_type *found;

    (void)state;
    MPI_Type_contiguous(2, MPI_INT, &type);
    assert_int_equal(mpi_type_use(type, 1, &found), MPI_ERR_TYPE);
    MPI_Type_commit(&type);
    assert_int_equal(MPI_Type_commit(&type), 0);
    assert_int_equal(mpi_type_use(type, 1, &found), 0);
    assert_int_equal(mpi_type_use(type, -1, &found), MPI_ERR_COUNT);
    MPI_Type_free(&type);
    assert_ptr_equal(type, MPI_DATATYPE_NULL);
}

/* ------------------------------------------------------------------------ contents */

static void
check_contents(MPI_Datatype type, int combiner, const int *integers, int integers_count,
               int addresses_count, int types_count)
{
    int counts[3], found, values[32];
    MPI_Aint addresses[8];
    MPI_Datatype types[8];

    assert_int_equal(MPI_Type_get_envelope(type, &counts[0], &counts[1], &counts[2], &found), 0);
    assert_int_equal(found, combiner);
    assert_int_equal(counts[0], integers_count);
    assert_int_equal(counts[1], addresses_count);
    assert_int_equal(counts[2], types_count);
    assert_int_equal(MPI_Type_get_contents(type, 32, 8, 8, values, addresses, types), 0);
    for (int i = 0; i < integers_count; i++)
        assert_int_equal(values[i], integers[i]);
    for (int i = 0; i < types_count; i++)
        assert_ptr_equal(types[i], MPI_INT);
    if (integers_count > 0)
        assert_int_equal(
            MPI_Type_get_contents(type, integers_count - 1, 8, 8, values, addresses, types),
            MPI_ERR_ARG);
    assert_int_equal(MPI_Type_free(&type), 0);
}

static void
test_contents_are_what_a_type_was_made_with(void **state)
{
    const int lengths[] = {1, 2}, places[] = {3, 7};
    const MPI_Aint displacements[] = {0, 40};
    const MPI_Datatype ints[] = {MPI_INT, MPI_INT};
    MPI_Datatype type;

    (void)state;
    MPI_Type_contiguous(5, MPI_INT, &type);
    check_contents(type, MPI_COMBINER_CONTIGUOUS, (int[]){5}, 1, 0, 1);
    MPI_Type_vector(5, 2, 3, MPI_INT, &type);
    check_contents(type, MPI_COMBINER_VECTOR, (int[]){5, 2, 3}, 3, 0, 1);
    MPI_Type_create_hvector(5, 2, 30, MPI_INT, &type);
    check_contents(type, MPI_COMBINER_HVECTOR, (int[]){5, 2}, 2, 1, 1);
    MPI_Type_indexed(2, lengths, places, MPI_INT, &type);
    check_contents(type, MPI_COMBINER_INDEXED, (int[]){2, 1, 2, 3, 7}, 5, 0, 1);
    MPI_Type_create_hindexed(2, lengths, displacements, MPI_INT, &type);
    check_contents(type, MPI_COMBINER_HINDEXED, (int[]){2, 1, 2}, 3, 2, 1);
    MPI_Type_create_indexed_block(2, 9, places, MPI_INT, &type);
    check_contents(type, MPI_COMBINER_INDEXED_BLOCK, (int[]){2, 9, 3, 7}, 4, 0, 1);
    MPI_Type_create_hindexed_block(2, 9, displacements, MPI_INT, &type);
    check_contents(type, MPI_COMBINER_HINDEXED_BLOCK, (int[]){2, 9}, 2, 2, 1);
    MPI_Type_create_struct(2, lengths, displacements, ints, &type);
    check_contents(type, MPI_COMBINER_STRUCT, (int[]){2, 1, 2}, 3, 2, 2);
    MPI_Type_create_resized(MPI_INT, 1, 2, &type);
    check_contents(type, MPI_COMBINER_RESIZED, NULL, 0, 2, 1);
    MPI_Type_dup(MPI_INT, &type);
    check_contents(type, MPI_COMBINER_DUP, NULL, 0, 0, 1);
}

static void
test_contents_of_arrays_are_kept_too(void **state)
{
    const int sizes[] = {8, 9}, subsizes[] = {2, 3}, starts[] = {4, 5}, grid[] = {2, 3};
    const int how[] = {MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC};
    const int with[] = {MPI_DISTRIBUTE_DFLT_DARG, 2};
    MPI_Datatype type;

    (void)state;
    MPI_Type_create_subarray(2, sizes, subsizes, starts, MPI_ORDER_C, MPI_INT, &type);
    check_contents(type, MPI_COMBINER_SUBARRAY, (int[]){2, 8, 9, 2, 3, 4, 5, MPI_ORDER_C}, 8, 0, 1);
    MPI_Type_create_darray(6, 4, 2, sizes, how, with, grid, MPI_ORDER_FORTRAN, MPI_INT, &type);
    check_contents(type, MPI_COMBINER_DARRAY,
                   (int[]){6, 4, 2, 8, 9, MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC,
                           MPI_DISTRIBUTE_DFLT_DARG, 2, 2, 3, MPI_ORDER_FORTRAN},
                   12, 0, 1);
}

static void
test_types_of_contents_outlive_those_they_are_of(void **state)
{
    int integers[1];
    MPI_Aint addresses[1];
    MPI_Datatype inner, outer, found;

    (void)state;
    MPI_Type_vector(2, 1, 3, MPI_INT, &inner);
    MPI_Type_commit(&inner);
    MPI_Type_contiguous(4, inner, &outer);
    MPI_Type_free(&inner);
    assert_int_equal(MPI_Type_get_contents(outer, 1, 0, 1, integers, addresses, &found), 0);
    MPI_Type_free(&outer);
    check_bounds(found, 8, 0, 16);
    assert_true(object(found)->is_committed);
    check_contents(found, MPI_COMBINER_VECTOR, (int[]){2, 1, 3}, 3, 0, 1);
    assert_int_equal(MPI_Type_get_contents(MPI_INT, 1, 1, 1, integers, addresses, &found),
                     MPI_ERR_TYPE);
}

static void
test_duplicates_are_like_the_first_and_live_alone(void **state)
{
    MPI_Datatype first, second, failed = MPI_INT;

    (void)state;
    MPI_Type_create_resized(MPI_DOUBLE, 0, 24, &first);
    MPI_Type_commit(&first);
    MPI_Type_set_name(first, "a column");
    type_testing_copy_error = MPI_ERR_OTHER;
    assert_int_equal(MPI_Type_dup(first, &failed), MPI_ERR_OTHER);
    assert_ptr_equal(failed, MPI_INT);
    assert_int_equal(MPI_Type_dup(first, &second), 0);
    check_name(first, "a column");
    check_name(second, "");
    type_testing_delete_error = MPI_ERR_OTHER;
    assert_int_equal(MPI_Type_free(&first), MPI_ERR_OTHER);
    assert_int_equal(MPI_Type_free(&first), 0);
    check_bounds(second, 8, 0, 24);
    assert_true(object(second)->is_committed);
    MPI_Type_free(&second);
}

static void
test_names_are_cut_where_they_are_too_long(void **state)
{
    char name[2 * MPI_MAX_OBJECT_NAME];
    MPI_Datatype type;
    int length;

    (void)state;
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    MPI_Type_contiguous(2, MPI_INT, &type);
    assert_int_equal(MPI_Type_set_name(type, name), 0);
    assert_int_equal(MPI_Type_get_name(type, name, &length), 0);
    assert_int_equal(length, MPI_MAX_OBJECT_NAME - 1);
    assert_int_equal(MPI_Type_set_name(type, NULL), MPI_ERR_ARG);
    assert_int_equal(MPI_Type_set_name(MPI_DATATYPE_NULL, "x"), MPI_ERR_TYPE);
    MPI_Type_free(&type);
}

/* ------------------------------------------------------------------------- arrays */

struct seen {
    const int *owners;
    int rank, count;
};

static bool
owner_seen(void *context, int64_t offset, uint64_t bytes)
{
    struct seen *seen = context;

    for (uint64_t i = 0; i < bytes / 4; i++)
        assert_int_equal(seen->owners[offset / 4 + (int64_t)i], seen->rank);
    seen->count += (int)bytes / 4;
    return true;
}

/* Who has an element of a dimension, by the definition of the standard. */
static int
owner(int at, int size, int how, int with, int places)
{
    const int block = with == MPI_DISTRIBUTE_DFLT_DARG ? (size + places - 1) / places : with;

    if (how == MPI_DISTRIBUTE_NONE)
        return 0;
    if (how == MPI_DISTRIBUTE_BLOCK)
        return at / block;
    return at / (with == MPI_DISTRIBUTE_DFLT_DARG ? 1 : with) % places;
}

static void
check_distribution(const int *how, const int *with, int order)
{
    const int sizes[] = {7, 5, 11}, grid[] = {2, how[1] == MPI_DISTRIBUTE_NONE ? 1 : 3, 3};
    const int ranks = grid[0] * grid[1] * grid[2];
    int owners[7 * 5 * 11], all = 0;

    for (int i = 0; i < 7 * 5 * 11; i++) {
        const int c[] = {i / 55, i / 11 % 5, i % 11}, f[] = {i % 7, i / 7 % 5, i / 35};
        const int *at = order == MPI_ORDER_C ? c : f;

        owners[i] = 0;
        for (int d = 0; d < 3; d++)
            owners[i] = owners[i] * grid[d] + owner(at[d], sizes[d], how[d], with[d], grid[d]);
    }
    for (int rank = 0; rank < ranks; rank++) {
        struct seen seen = {owners, rank, 0};
        MPI_Datatype type;

        assert_int_equal(
            MPI_Type_create_darray(ranks, rank, 3, sizes, how, with, grid, order, MPI_INT, &type),
            0);
        MPI_Type_commit(&type);
        assert_int_equal(object(type)->extent, sizeof(owners));
        mpi_type_runs(object(type), 1, 0, (uint64_t)object(type)->size, owner_seen, &seen);
        all += seen.count;
        MPI_Type_free(&type);
    }
    assert_int_equal(all, 7 * 5 * 11);
}

static void
test_distributed_arrays_give_each_element_to_one(void **state)
{
    const int orders[] = {MPI_ORDER_C, MPI_ORDER_FORTRAN};
    const int usual = MPI_DISTRIBUTE_DFLT_DARG;
    const int kinds[] = {MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC, MPI_DISTRIBUTE_NONE};

    (void)state;
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 3; k++) {
            const int how[] = {MPI_DISTRIBUTE_CYCLIC, kinds[k], MPI_DISTRIBUTE_BLOCK};
            const int other[] = {MPI_DISTRIBUTE_BLOCK, kinds[k], MPI_DISTRIBUTE_CYCLIC};

            check_distribution(how, (int[]){usual, usual, usual}, orders[i]);
            check_distribution(how, (int[]){2, 4, 6}, orders[i]);
            check_distribution(other, (int[]){6, 3, 3}, orders[i]);
        }
    }
}

static void
test_arrays_that_cannot_be_are_refused(void **state)
{
    const int sizes[] = {4, 4}, good[] = {2, 2}, starts[] = {3, 0}, zero[] = {0, 0};
    const int how[] = {MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_BLOCK}, one[] = {1, 1};
    const int none[] = {MPI_DISTRIBUTE_NONE, MPI_DISTRIBUTE_NONE};
    MPI_Datatype type;

    (void)state;
    assert_int_equal(MPI_Type_create_subarray(2, sizes, good, starts, MPI_ORDER_C, MPI_INT, &type),
                     MPI_ERR_ARG);
    assert_int_equal(MPI_Type_create_subarray(2, sizes, good, zero, 7, MPI_INT, &type),
                     MPI_ERR_ARG);
    assert_int_equal(MPI_Type_create_subarray(2, sizes, zero, zero, MPI_ORDER_C, MPI_INT, &type),
                     MPI_ERR_ARG);
    assert_int_equal(MPI_Type_create_subarray(0, sizes, good, zero, MPI_ORDER_C, MPI_INT, &type),
                     MPI_ERR_ARG);
    assert_int_equal(
        MPI_Type_create_darray(4, 4, 2, sizes, how, good, good, MPI_ORDER_C, MPI_INT, &type),
        MPI_ERR_ARG);
    assert_int_equal(
        MPI_Type_create_darray(5, 0, 2, sizes, how, good, good, MPI_ORDER_C, MPI_INT, &type),
        MPI_ERR_ARG);
    assert_int_equal(
        MPI_Type_create_darray(4, 0, 2, sizes, how, one, good, MPI_ORDER_C, MPI_INT, &type),
        MPI_ERR_ARG);
    assert_int_equal(
        MPI_Type_create_darray(4, 0, 2, sizes, none, good, good, MPI_ORDER_C, MPI_INT, &type),
        MPI_ERR_ARG);
}

/* ---------------------------------------------------------------- bad arguments */

static void
test_bad_arguments_are_refused_and_nothing_is_made(void **state)
{
    const int minus[] = {-1};
    const MPI_Aint zero[] = {0};
    const MPI_Datatype null[] = {MPI_DATATYPE_NULL};
    MPI_Datatype type = MPI_CHAR;
    int size;

    (void)state;
    assert_int_equal(MPI_Type_contiguous(-1, MPI_INT, &type), MPI_ERR_COUNT);
    assert_int_equal(MPI_Type_contiguous(1, MPI_DATATYPE_NULL, &type), MPI_ERR_TYPE);
    assert_int_equal(MPI_Type_contiguous(1, MPI_INT, NULL), MPI_ERR_ARG);
    assert_int_equal(MPI_Type_contiguous(1, (MPI_Datatype)0x12345678, &type), MPI_ERR_TYPE);
    assert_int_equal(MPI_Type_vector(1, -1, 1, MPI_INT, &type), MPI_ERR_ARG);
    assert_int_equal(MPI_Type_indexed(1, minus, minus, MPI_INT, &type), MPI_ERR_ARG);
    assert_int_equal(MPI_Type_indexed(1, NULL, minus, MPI_INT, &type), MPI_ERR_ARG);
    assert_int_equal(MPI_Type_create_hindexed_block(1, -1, zero, MPI_INT, &type), MPI_ERR_ARG);
    assert_int_equal(MPI_Type_create_struct(1, minus, zero, null, &type), MPI_ERR_TYPE);
    assert_int_equal(MPI_Type_create_struct(-1, minus, zero, null, &type), MPI_ERR_COUNT);
    assert_int_equal(MPI_Type_size(MPI_DATATYPE_NULL, &size), MPI_ERR_TYPE);
    assert_int_equal(MPI_Type_size(MPI_INT, NULL), MPI_ERR_ARG);
    assert_int_equal(MPI_Type_extent(MPI_INT, NULL), MPI_ERR_ARG);
    assert_int_equal(MPI_Get_address(&size, NULL), MPI_ERR_ARG);
    assert_ptr_equal(type, MPI_CHAR);
}

/* ------------------------------------------------------------------------- Fortran */

static void
test_types_are_found_by_size(void **state)
{
    MPI_Datatype type;

    (void)state;
    assert_int_equal(MPI_Type_match_size(MPI_TYPECLASS_REAL, 8, &type), 0);
    assert_ptr_equal(type, MPI_REAL8);
    assert_int_equal(MPI_Type_match_size(MPI_TYPECLASS_COMPLEX, 8, &type), 0);
    assert_ptr_equal(type, MPI_COMPLEX8);
    assert_int_equal(MPI_Type_match_size(MPI_TYPECLASS_INTEGER, 3, &type), MPI_ERR_ARG);
    assert_int_equal(MPI_Type_match_size(7, 8, &type), MPI_ERR_ARG);
}

static void
test_types_are_found_by_precision_and_are_made_once(void **state)
{
    MPI_Datatype type, same, other;
    int counts[3], combiner, values[2];

    (void)state;
    assert_int_equal(MPI_Type_create_f90_real(15, 30, &type), 0);
    assert_int_equal(MPI_Type_create_f90_real(15, 30, &same), 0);
    assert_int_equal(MPI_Type_create_f90_real(15, 31, &other), 0);
    assert_ptr_equal(type, same);
    assert_ptr_not_equal(type, other);
    check_bounds(type, 8, 0, 8);
    MPI_Type_get_envelope(type, &counts[0], &counts[1], &counts[2], &combiner);
    assert_int_equal(combiner, MPI_COMBINER_F90_REAL);
    assert_int_equal(MPI_Type_get_contents(type, 2, 0, 0, values, NULL, NULL), 0);
    assert_int_equal(values[1], 30);
    assert_int_equal(MPI_Type_free(&type), MPI_ERR_TYPE);
    assert_int_equal(MPI_Type_create_f90_integer(9, &type), 0);
    check_bounds(type, 4, 0, 4);
    assert_int_equal(MPI_Type_create_f90_complex(MPI_UNDEFINED, 300, &type), 0);
    check_bounds(type, 16, 0, 16);
    assert_int_equal(MPI_Type_create_f90_real(40, 1, &type), MPI_ERR_ARG);
    assert_int_equal(MPI_Type_create_f90_integer(99, &type), MPI_ERR_ARG);
}

/* ------------------------------------------------------------------------- counts */

static MPI_Datatype
mixed(void)
{
    const int lengths[] = {2, 1, 1};
    const MPI_Aint displacements[] = {0, 8, 16};
    const MPI_Datatype types[] = {MPI_INT, MPI_DOUBLE, MPI_SHORT_INT};
    MPI_Datatype type;

    assert_int_equal(MPI_Type_create_struct(3, lengths, displacements, types, &type), 0);
    assert_int_equal(MPI_Type_commit(&type), 0);
    return type;
}

static void
test_counts_are_of_whole_types_and_elements_of_what_is_in_them(void **state)
{
    const struct {
        int64_t bytes;
        int count, elements;
    } all[] = {
        {0, 0, 0},
        {22, 1, 5},
        {44, 2, 10},
        {4, MPI_UNDEFINED, 1},
        {16, MPI_UNDEFINED, 3},
        {18, MPI_UNDEFINED, 4},
        {12, MPI_UNDEFINED, MPI_UNDEFINED},
        {22 + 8, MPI_UNDEFINED, 7},
    };
    MPI_Datatype type = mixed();

    (void)state;
    for (size_t i = 0; i < COUNT(all); i++) {
        MPI_Status status = type_testing_status(all[i].bytes);
        MPI_Count elements;
        int count;

        assert_int_equal(MPI_Get_count(&status, type, &count), 0);
        assert_int_equal(count, all[i].count);
        assert_int_equal(MPI_Get_elements_x(&status, type, &elements), 0);
        assert_int_equal(elements, all[i].elements);
        if (all[i].elements == MPI_UNDEFINED)
            continue;
        assert_int_equal(MPI_Status_set_elements(&status, type, all[i].elements), 0);
        assert_int_equal(mpi_status_bytes(&status), all[i].bytes);
        assert_int_equal(status.MPI_SOURCE, 3);
        assert_int_equal(status.MPI_internal[0], true);
    }
    MPI_Type_free(&type);
}

static void
test_counts_that_int_does_not_hold_are_undefined(void **state)
{
    MPI_Status status = type_testing_status(0);
    MPI_Count elements;
    int count;

    (void)state;
    assert_int_equal(MPI_Status_set_elements_x(&status, MPI_INT, 5000000000), 0);
    assert_int_equal(MPI_Get_elements_x(&status, MPI_INT, &elements), 0);
    assert_true(elements == 5000000000);
    assert_int_equal(MPI_Get_elements(&status, MPI_INT, &count), 0);
    assert_int_equal(count, MPI_UNDEFINED);
    assert_int_equal(MPI_Get_count(&status, MPI_INT, &count), 0);
    assert_int_equal(count, MPI_UNDEFINED);
    assert_int_equal(MPI_Status_set_elements_x(&status, MPI_INT, INT64_MAX), MPI_ERR_COUNT);
    assert_int_equal(MPI_Status_set_elements_x(&status, MPI_BYTE, INT64_MAX), 0);
    assert_int_equal(MPI_Get_elements_x(&status, MPI_BYTE, &elements), 0);
    assert_true(elements == INT64_MAX);
    assert_int_equal(MPI_Status_set_elements(&status, MPI_INT, -1), MPI_ERR_COUNT);
    assert_int_equal(MPI_Get_count(&status, MPI_DATATYPE_NULL, &count), MPI_ERR_TYPE);
    assert_int_equal(MPI_Get_count(&status, MPI_INT, NULL), MPI_ERR_ARG);
}

/* --------------------------------------------------------------------------- wire */

static void
test_types_go_as_bytes(void **state)
{
    MPI_Datatype type = mixed();
    uint8_t bytes[256];
    struct mpi_type *again;
    uint32_t n;

    (void)state;
    n = mpi_type_encode(object(MPI_DOUBLE_INT), bytes, sizeof(bytes));
    assert_true(n > 0 && n < 4);
    assert_ptr_equal(mpi_type_decode(bytes, n), object(MPI_DOUBLE_INT));
    n = mpi_type_encode(object(type), bytes, sizeof(bytes));
    assert_true(n > 0);
    assert_null(mpi_type_decode(bytes, n - 1));
    again = mpi_type_decode(bytes, n);
    assert_non_null(again);
    assert_int_equal(again->size, 22);
    assert_int_equal(again->extent, 24);
    assert_true(again->is_committed);
    mpi_type_put(again);
    assert_null(mpi_type_decode(bytes, 0));
    MPI_Type_free(&type);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predefined_types_have_the_sizes_of_c),
        cmocka_unit_test(test_predefined_types_cannot_be_freed),
        cmocka_unit_test(test_structs_are_padded_as_in_c),
        cmocka_unit_test(test_bounds_that_were_set_stay_where_the_type_is_used),
        cmocka_unit_test(test_strides_may_go_backwards),
        cmocka_unit_test(test_types_of_nothing_are_types),
        cmocka_unit_test(test_large_types_have_sizes_that_int_does_not_hold),
        cmocka_unit_test(test_types_are_nested_to_a_limit),
        cmocka_unit_test(test_what_touches_is_one_run),
        cmocka_unit_test(test_as_large_as_its_extent_is_not_yet_a_run),
        cmocka_unit_test(test_loops_in_a_row_become_one),
        cmocka_unit_test(test_only_committed_types_are_used),
        cmocka_unit_test(test_contents_are_what_a_type_was_made_with),
        cmocka_unit_test(test_contents_of_arrays_are_kept_too),
        cmocka_unit_test(test_types_of_contents_outlive_those_they_are_of),
        cmocka_unit_test(test_duplicates_are_like_the_first_and_live_alone),
        cmocka_unit_test(test_names_are_cut_where_they_are_too_long),
        cmocka_unit_test(test_distributed_arrays_give_each_element_to_one),
        cmocka_unit_test(test_arrays_that_cannot_be_are_refused),
        cmocka_unit_test(test_bad_arguments_are_refused_and_nothing_is_made),
        cmocka_unit_test(test_types_are_found_by_size),
        cmocka_unit_test(test_types_are_found_by_precision_and_are_made_once),
        cmocka_unit_test(test_counts_are_of_whole_types_and_elements_of_what_is_in_them),
        cmocka_unit_test(test_counts_that_int_does_not_hold_are_undefined),
        cmocka_unit_test(test_types_go_as_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
