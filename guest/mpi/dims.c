/* SPDX-License-Identifier: Apache-2.0
 *
 * dims: MPI_Dims_create (MPI 3.1, 7.5.2): dimensions as close to one another as can be. All ways to
 * write the number as a product, largest factor first, are tried, but for those that cannot be
 * better than the best so far: its largest less its smallest factor, then its
 * smallest, then their sum. Of equal ones the last is it, whose first factors are the largest.
 */
#include <stdlib.h>
#include <string.h>

#include "core.h"

#define DIMS_MAX     64   /* that are searched: others are 1, a number has at most 30 factors */
#define DIVISORS_MAX 1536 /* of a number below 2^31 */

struct search {
    int divisors[DIVISORS_MAX]; /* ascending */
    int count;
    int dims;
    int now[DIMS_MAX], best[DIMS_MAX];
    int64_t spread, sum; /* of the best */
};

static void
divisors_find(struct search *search, int number)
{
    int high = 0, large[DIVISORS_MAX];

    for (int64_t i = 1; i * i <= number; i++) {
        if (number % i != 0)
            continue;
        search->divisors[search->count++] = (int)i;
        if (i * i != number)
            large[high++] = (int)(number / i);
    }
    while (high > 0)
        search->divisors[search->count++] = large[--high];
}

/* Whether factors that large are enough: factor^dims >= number. */
static bool
is_enough(int factor, int dims, int number)
{
    int64_t product = 1;

    for (int i = 0; i < dims && product < number; i++)
        product *= factor;
    return product >= number;
}

/* The largest smallest factor that dims of them can have: none is above the number's root. */
static int
smallest_most(int dims, int number)
{
    int factor = 1;

    while (factor < 46341 && !is_enough(factor, dims, number))
        factor++;
    return factor;
}

/* Whether what is there now is worse than the best so far. */
static bool
is_worse(const struct search *search, int64_t spread, int64_t sum)
{
    int at = search->dims - 1;

    if (spread != search->spread)
        return spread > search->spread;
    if (search->now[at] != search->best[at])
        return search->now[at] < search->best[at];
    return sum > search->sum;
}

static void
search_end(struct search *search, int last)
{
    int64_t spread, sum = 0;

    search->now[search->dims - 1] = last;
    spread = (int64_t)search->now[0] - last;
    for (int i = 0; i < search->dims; i++)
        sum += search->now[i];
    if (is_worse(search, spread, sum))
        return;
    search->spread = spread;
    search->sum = sum;
    memcpy(search->best, search->now, sizeof(search->best));
}

/* Dimensions from `at` on are to have the product number, none larger than most. */
static void
search_from(struct search *search, int at, int number, int most)
{
    int left = search->dims - at;

    if (left == 1) {
        if (number <= most)
            search_end(search, number);
        return;
    }
    for (int i = 0; i < search->count; i++) {
        int factor = search->divisors[i];

        if (factor > most || factor > number)
            return;
        if (number % factor != 0 || !is_enough(factor, left, number))
            continue;
        if (at == 0 && factor - smallest_most(search->dims, number) > search->spread)
            return;
        search->now[at] = factor;
        search_from(search, at + 1, number / factor, factor);
    }
}

static int
factors(int number, int dims, int *out)
{
    struct search *search = calloc(1, sizeof(*search));

    if (search == NULL)
        return MPI_ERR_NO_MEM;
    search->dims = dims < DIMS_MAX ? dims : DIMS_MAX;
    search->spread = INT64_MAX;
    divisors_find(search, number);
    search_from(search, 0, number, number);
    for (int i = 0; i < dims; i++)
        out[i] = i < search->dims ? search->best[i] : 1;
    free(search);
    return MPI_SUCCESS;
}

/* What is left for those that are not given; MPI_ERR_DIMS. */
static int
rest_of(int nnodes, int ndims, const int *dims, int *rest, int *unset)
{
    *rest = nnodes;
    *unset = 0;
    for (int i = 0; i < ndims; i++) {
        if (dims[i] < 0 || (dims[i] > 0 && *rest % dims[i] != 0))
            return MPI_ERR_DIMS;
        if (dims[i] > 0)
            *rest /= dims[i];
        else
            ++*unset;
    }
    return *unset > 0 || *rest == 1 ? MPI_SUCCESS : MPI_ERR_DIMS;
}

static int
dims_create(int nnodes, int ndims, int *dims)
{
    int rest, unset, err, *found;

    if (nnodes < 1)
        return MPI_ERR_ARG;
    if (ndims < 0 || (ndims > 0 && dims == NULL))
        return MPI_ERR_DIMS;
    if (ndims == 0)
        return nnodes == 1 ? MPI_SUCCESS : MPI_ERR_DIMS;
    err = rest_of(nnodes, ndims, dims, &rest, &unset);
    if (err != MPI_SUCCESS || unset == 0)
        return err;
    found = malloc((size_t)unset * sizeof(*found));
    err = found != NULL ? factors(rest, unset, found) : MPI_ERR_NO_MEM;
    for (int i = 0, next = 0; i < ndims && err == MPI_SUCCESS; i++)
        if (dims[i] == 0)
            dims[i] = found[next++];
    free(found);
    return err;
}

int
PMPI_Dims_create(int nnodes, int ndims, int dims[])
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Dims_create", dims_create(nnodes, ndims, dims));
}
MPI_NAMES(Dims_create);
