/* SPDX-License-Identifier: Apache-2.0
 *
 * type_array: parts of arrays: subarray and darray (MPI 3.1, 4.1.3 and 4.1.4). Each dimension is a
 * type of its own over the one within it, whose extent is that of the whole dimension.
 */
#include <stdlib.h>

#include "type_internal.h"

/* What is taken of a dimension of `size` elements: count blocks, and last of one more. */
struct dimension {
    int64_t size;
    int64_t start, count, stride, block;
    int64_t last; /* a block that is shorter */
};

/* A dimension over inner, whose reference it takes, also on failure. */
static int
make_dimension(struct mpi_type *inner, const struct dimension *dimension, struct mpi_type **out)
{
    const __int128 whole = (__int128)dimension->size * inner->extent;
    const int64_t extent = inner->extent;
    struct mpi_type_loop loop;
    struct mpi_type *blocks = NULL, *type = NULL;
    int err = whole < INT64_MAX && whole > INT64_MIN ? 0 : MPI_ERR_COUNT;

    if (err == 0) {
        loop = (struct mpi_type_loop){dimension->start * extent, dimension->count,
                                      dimension->stride * extent, dimension->block};
        err = mpi_type_make_loop(inner, &loop, &type);
    }
    if (err == 0 && dimension->last > 0) {
        const int64_t end = dimension->start + dimension->count * dimension->stride;
        const struct mpi_type_piece pieces[] = {{0, dimension->count > 0, type},
                                                {end * extent, dimension->last, inner}};

        blocks = type;
        err = mpi_type_make_list(pieces, 2, false, &type);
        mpi_type_put(blocks);
    }
    mpi_type_put(inner);
    if (err != 0)
        return err;
    err = mpi_type_bound(type, 0, (int64_t)whole);
    if (err != 0)
        mpi_type_put(type);
    else
        *out = type;
    return err;
}

/* All dimensions, the innermost first: of C the last. */
static int
make_array(struct mpi_type *old, int count, const struct dimension *dimensions, int order,
           struct mpi_type **out)
{
    struct mpi_type *type = mpi_type_get(old);
    int err = 0;

    for (int i = 0; i < count && err == 0; i++)
        err = make_dimension(type, &dimensions[order == MPI_ORDER_C ? count - 1 - i : i], &type);
    if (err == 0)
        *out = type;
    return err;
}

static bool
is_order(int order)
{
    return order == MPI_ORDER_C || order == MPI_ORDER_FORTRAN;
}

/* ---------------------------------------------------------------------- subarray */

static int
subarray_dimension(int size, int subsize, int start, struct dimension *dimension)
{
    if (size < 1 || subsize < 1 || subsize > size || start < 0 || start > size - subsize)
        return MPI_ERR_ARG;
    *dimension = (struct dimension){.size = size, .start = start, .count = 1, .block = subsize};
    return 0;
}

struct subarray {
    int count, order;
    const int *sizes, *subsizes, *starts;
};

static int
make_subarray(const struct subarray *of, struct mpi_type *old, MPI_Datatype *out)
{
    const struct mpi_type_contents contents = {.combiner = MPI_COMBINER_SUBARRAY,
                                               .integers = {{&of->count, 1},
                                                            {of->sizes, of->count},
                                                            {of->subsizes, of->count},
                                                            {of->starts, of->count},
                                                            {&of->order, 1}},
                                               .types = &old,
                                               .types_count = 1};
    struct dimension *dimensions = calloc((size_t)of->count, sizeof(*dimensions));
    struct mpi_type *type;
    int err = dimensions != NULL ? 0 : MPI_ERR_NO_MEM;

    for (int i = 0; i < of->count && err == 0; i++)
        err = subarray_dimension(of->sizes[i], of->subsizes[i], of->starts[i], &dimensions[i]);
    if (err == 0)
        err = make_array(old, of->count, dimensions, of->order, &type);
    free(dimensions);
    return err != 0 ? err : mpi_type_export(type, &contents, out);
}

static int
subarray_check(const struct subarray *of, const MPI_Datatype *out)
{
    if (of->count < 1 || of->sizes == NULL || of->subsizes == NULL || of->starts == NULL ||
        !is_order(of->order) || out == NULL)
        return MPI_ERR_ARG;
    return 0;
}

int
PMPI_Type_create_subarray(int ndims, const int sizes[], const int subsizes[], const int starts[],
                          int order, MPI_Datatype oldtype, MPI_Datatype *newtype)
{
    const struct subarray of = {ndims, order, sizes, subsizes, starts};
    struct mpi_type *old;
    int err;

    mpi_lock();
    err = subarray_check(&of, newtype);
    if (err == 0)
        err = mpi_type_find(oldtype, &old);
    if (err == 0)
        err = make_subarray(&of, old, newtype);
    return mpi_leave(NULL, "MPI_Type_create_subarray", err);
}
MPI_NAMES(Type_create_subarray);

/* ------------------------------------------------------------------------ darray */

struct darray {
    int size, rank, count, order;
    const int *sizes, *distributions, *arguments, *places; /* of each dimension */
};

/* How many elements in a row a place has at a time; MPI_ERR_ARG. */
static int
darray_block(int size, int distribution, int argument, int places, int64_t *block)
{
    const bool is_default = argument == MPI_DISTRIBUTE_DFLT_DARG;

    if (distribution == MPI_DISTRIBUTE_NONE) {
        *block = size;
        return places == 1 ? 0 : MPI_ERR_ARG;
    }
    if (!is_default && argument <= 0)
        return MPI_ERR_ARG;
    if (distribution == MPI_DISTRIBUTE_CYCLIC) {
        *block = is_default ? 1 : argument;
        return 0;
    }
    *block = is_default ? ((int64_t)size + places - 1) / places : argument;
    return distribution == MPI_DISTRIBUTE_BLOCK && *block * places >= size ? 0 : MPI_ERR_ARG;
}

/* Blocks place, place + places, ... of a dimension; the last of all may be shorter. */
static void
darray_dimension(int64_t size, int64_t block, int64_t place, int64_t places,
                 struct dimension *dimension)
{
    const int64_t whole = size / block, rest = size % block;

    *dimension = (struct dimension){
        .size = size, .start = place * block, .stride = places * block, .block = block};
    if (whole > place)
        dimension->count = (whole - place + places - 1) / places;
    if (whole % places == place)
        dimension->last = rest;
    /* What is not used may be too large to be multiplied. */
    if (dimension->count == 0 && dimension->last == 0)
        dimension->start = 0;
    if (dimension->count == 0 || (dimension->count == 1 && dimension->last == 0))
        dimension->stride = 0;
}

/* Places are numbered as in C, whatever the order of the array. */
static int
darray_dimensions(const struct darray *of, struct dimension *dimensions)
{
    int left = of->size, rank = of->rank;

    for (int i = 0; i < of->count; i++) {
        int64_t block;
        int err;

        if (of->sizes[i] < 1 || of->places[i] < 1 || left % of->places[i] != 0)
            return MPI_ERR_ARG;
        err = darray_block(of->sizes[i], of->distributions[i], of->arguments[i], of->places[i],
                           &block);
        if (err != 0)
            return err;
        left /= of->places[i];
        darray_dimension(of->sizes[i], block, rank / left, of->places[i], &dimensions[i]);
        rank %= left;
    }
    return left == 1 ? 0 : MPI_ERR_ARG;
}

static int
make_darray(const struct darray *of, struct mpi_type *old, MPI_Datatype *out)
{
    const int head[] = {of->size, of->rank, of->count};
    const struct mpi_type_contents contents = {.combiner = MPI_COMBINER_DARRAY,
                                               .integers = {{head, 3},
                                                            {of->sizes, of->count},
                                                            {of->distributions, of->count},
                                                            {of->arguments, of->count},
                                                            {of->places, of->count},
                                                            {&of->order, 1}},
                                               .types = &old,
                                               .types_count = 1};
    struct dimension *dimensions = calloc((size_t)of->count, sizeof(*dimensions));
    struct mpi_type *type;
    int err = dimensions != NULL ? 0 : MPI_ERR_NO_MEM;

    if (err == 0)
        err = darray_dimensions(of, dimensions);
    if (err == 0)
        err = make_array(old, of->count, dimensions, of->order, &type);
    free(dimensions);
    return err != 0 ? err : mpi_type_export(type, &contents, out);
}

static int
darray_check(const struct darray *of, const MPI_Datatype *out)
{
    if (of->size < 1 || of->rank < 0 || of->rank >= of->size || of->count < 1 ||
        of->sizes == NULL || of->distributions == NULL || of->arguments == NULL ||
        of->places == NULL || !is_order(of->order) || out == NULL)
        return MPI_ERR_ARG;
    return 0;
}

int
PMPI_Type_create_darray(int size, int rank, int ndims, const int gsizes[], const int distribs[],
                        const int dargs[], const int psizes[], int order, MPI_Datatype oldtype,
                        MPI_Datatype *newtype)
{
    const struct darray of = {size, rank, ndims, order, gsizes, distribs, dargs, psizes};
    struct mpi_type *old;
    int err;

    mpi_lock();
    err = darray_check(&of, newtype);
    if (err == 0)
        err = mpi_type_find(oldtype, &old);
    if (err == 0)
        err = make_darray(&of, old, newtype);
    return mpi_leave(NULL, "MPI_Type_create_darray", err);
}
MPI_NAMES(Type_create_darray);
