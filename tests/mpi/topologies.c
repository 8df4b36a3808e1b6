/* SPDX-License-Identifier: Apache-2.0
 *
 * Topologies (MPI 3.1, chapter 7).
 */
#include "check.h"

#define DIMS_MAX 3

/* -------------------------------------------------------------------------- dimensions */

static void
check_dims_are(int nodes, int ndims, const int *given, const int *expected)
{
    int dims[DIMS_MAX];

    memcpy(dims, given, sizeof(dims));
    OK(MPI_Dims_create(nodes, ndims, dims));
    for (int i = 0; i < ndims; i++)
        CHECK(dims[i] == expected[i]);
}

static void
check_dims(void)
{
    static const int none[DIMS_MAX], three[DIMS_MAX] = {0, 3, 0}, whole[DIMS_MAX] = {4, 2, 3};
    int dims[DIMS_MAX];

    check_dims_are(6, 2, none, (const int[]){3, 2}); /* the examples of 7.5.2 */
    check_dims_are(7, 2, none, (const int[]){7, 1});
    check_dims_are(6, 3, three, (const int[]){2, 3, 1});
    memcpy(dims, three, sizeof(dims));
    REFUSED(MPI_Dims_create(7, 3, dims), MPI_ERR_DIMS);
    CHECK(memcmp(dims, three, sizeof(dims)) == 0);
    check_dims_are(24, 3, none, (const int[]){4, 3, 2});
    check_dims_are(64, 3, none, (const int[]){4, 4, 4});
    check_dims_are(1, 3, none, (const int[]){1, 1, 1});
    check_dims_are(24, 3, whole, whole);
    check_dims_are(1, 0, none, none);
    memcpy(dims, whole, sizeof(dims));
    REFUSED(MPI_Dims_create(25, 3, dims), MPI_ERR_DIMS);
    REFUSED(MPI_Dims_create(4, -1, dims), MPI_ERR_DIMS);
    REFUSED(MPI_Dims_create(0, 3, dims), MPI_ERR_ARG);
    dims[0] = -1;
    REFUSED(MPI_Dims_create(24, 3, dims), MPI_ERR_DIMS);
}

/* ------------------------------------------------------------------------------- grids */

/* Of two dimensions, the first of which is a ring. */
static MPI_Comm
make_grid(int dims[2])
{
    const int periods[2] = {1, 0};
    MPI_Comm grid;

    dims[0] = dims[1] = 0;
    OK(MPI_Dims_create(size, 2, dims));
    OK(MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &grid));
    return grid;
}

static void
check_places(MPI_Comm grid, const int dims[2])
{
    int got[2], periods[2], coords[2], place = -1, count = -1, kind = -1;

    OK(MPI_Topo_test(grid, &kind));
    CHECK(kind == MPI_CART);
    OK(MPI_Cartdim_get(grid, &count));
    CHECK(count == 2);
    OK(MPI_Cart_get(grid, 2, got, periods, coords));
    CHECK(got[0] == dims[0] && got[1] == dims[1] && periods[0] && !periods[1]);
    CHECK(coords[0] == rank / dims[1] && coords[1] == rank % dims[1]);
    for (int r = 0; r < size; r++) {
        OK(MPI_Cart_coords(grid, r, 2, coords));
        CHECK(coords[0] == r / dims[1] && coords[1] == r % dims[1]);
        coords[0] -= 2 * dims[0]; /* it is a ring */
        OK(MPI_Cart_rank(grid, coords, &place));
        CHECK(place == r);
    }
    coords[0] = 0;
    coords[1] = dims[1]; /* this is none */
    REFUSED(MPI_Cart_rank(grid, coords, &place), MPI_ERR_ARG);
    REFUSED(MPI_Cart_coords(grid, size, 2, coords), MPI_ERR_RANK);
    REFUSED(MPI_Cart_coords(grid, 0, 1, coords), MPI_ERR_ARG);
    REFUSED(MPI_Cart_get(grid, 1, got, periods, coords), MPI_ERR_ARG);
}

static void
check_shifts(MPI_Comm grid, const int dims[2])
{
    const int row = rank / dims[1], column = rank % dims[1];
    int from, to;

    OK(MPI_Cart_shift(grid, 0, 1, &from, &to));
    CHECK(to == (row + 1) % dims[0] * dims[1] + column);
    CHECK(from == (row + dims[0] - 1) % dims[0] * dims[1] + column);
    OK(MPI_Cart_shift(grid, 0, -dims[0] - 1, &from, &to));
    CHECK(from == (row + 1) % dims[0] * dims[1] + column);
    OK(MPI_Cart_shift(grid, 1, 1, &from, &to));
    CHECK(to == (column + 1 < dims[1] ? rank + 1 : MPI_PROC_NULL));
    CHECK(from == (column > 0 ? rank - 1 : MPI_PROC_NULL));
    OK(MPI_Cart_shift(grid, 1, 0, &from, &to));
    CHECK(from == rank && to == rank);
    OK(MPI_Cart_shift(grid, 1, dims[1], &from, &to));
    CHECK(from == MPI_PROC_NULL && to == MPI_PROC_NULL);
    REFUSED(MPI_Cart_shift(grid, 2, 1, &from, &to), MPI_ERR_ARG);
    REFUSED(MPI_Cart_shift(grid, -1, 1, &from, &to), MPI_ERR_ARG);
}

/* Each row by itself; a point. */
static void
check_sub(MPI_Comm grid, const int dims[2])
{
    MPI_Comm row, point;
    int keep[2] = {0, 1}, got, place, periods, coord, count, from, to;

    OK(MPI_Cart_sub(grid, keep, &row));
    OK(MPI_Comm_size(row, &count));
    OK(MPI_Comm_rank(row, &place));
    CHECK(count == dims[1] && place == rank % dims[1]);
    OK(MPI_Cart_get(row, 1, &got, &periods, &coord));
    CHECK(got == dims[1] && !periods && coord == place);
    OK(MPI_Cart_shift(row, 0, 1, &from, &to));
    CHECK(to == (place + 1 < count ? place + 1 : MPI_PROC_NULL));
    OK(MPI_Comm_free(&row));
    keep[1] = 0;
    OK(MPI_Cart_sub(grid, keep, &point));
    CHECK((point == MPI_COMM_NULL) == (rank != 0)); /* as MPI_Cart_create makes it */
    if (point != MPI_COMM_NULL) {
        OK(MPI_Cartdim_get(point, &count));
        CHECK(count == 0);
        OK(MPI_Cart_rank(point, NULL, &place));
        CHECK(place == 0);
        OK(MPI_Comm_free(&point));
    }
    REFUSED(MPI_Cart_sub(grid, NULL, &row), MPI_ERR_ARG);
    CHECK(row == MPI_COMM_NULL);
}

/* A copy has the topology of its original; a neighbour is who a shift says. */
static void
check_copy(MPI_Comm grid)
{
    MPI_Comm copy;
    int got[4] = {-2, -2, -2, -2}, from, to, kind;

    OK(MPI_Comm_dup(grid, &copy));
    OK(MPI_Topo_test(copy, &kind));
    CHECK(kind == MPI_CART);
    OK(MPI_Neighbor_allgather(&rank, 1, MPI_INT, got, 1, MPI_INT, copy));
    for (int i = 0; i < 2; i++) {
        OK(MPI_Cart_shift(copy, i, 1, &from, &to));
        CHECK(got[2 * i] == (from == MPI_PROC_NULL ? -2 : from));
        CHECK(got[2 * i + 1] == (to == MPI_PROC_NULL ? -2 : to));
    }
    OK(MPI_Comm_free(&copy));
}

static void
check_grid_misuse(void)
{
    int dims[2] = {size, 1}, periods[2] = {0, 0}, place;
    MPI_Comm grid;

    dims[1] = 2; /* more than there are */
    REFUSED(MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &grid), MPI_ERR_DIMS);
    CHECK(grid == MPI_COMM_NULL);
    dims[1] = 0;
    REFUSED(MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &grid), MPI_ERR_DIMS);
    dims[1] = -1;
    REFUSED(MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &grid), MPI_ERR_DIMS);
    REFUSED(MPI_Cart_create(MPI_COMM_WORLD, -1, dims, periods, 0, &grid), MPI_ERR_DIMS);
    REFUSED(MPI_Cart_create(MPI_COMM_WORLD, 2, NULL, periods, 0, &grid), MPI_ERR_ARG);
    REFUSED(MPI_Cart_create(MPI_COMM_NULL, 1, dims, periods, 0, &grid), MPI_ERR_COMM);
    REFUSED(MPI_Cart_map(MPI_COMM_WORLD, 2, dims, periods, &place), MPI_ERR_DIMS);
    /* Who is asked of what it is not. */
    REFUSED(MPI_Cartdim_get(MPI_COMM_WORLD, &place), MPI_ERR_TOPOLOGY);
    REFUSED(MPI_Cart_rank(MPI_COMM_WORLD, dims, &place), MPI_ERR_TOPOLOGY);
    REFUSED(MPI_Cart_shift(MPI_COMM_WORLD, 0, 1, &place, &place), MPI_ERR_TOPOLOGY);
    REFUSED(MPI_Cart_sub(MPI_COMM_WORLD, dims, &grid), MPI_ERR_TOPOLOGY);
    REFUSED(MPI_Topo_test(MPI_COMM_NULL, &place), MPI_ERR_COMM);
    OK(MPI_Topo_test(MPI_COMM_WORLD, &place));
    CHECK(place == MPI_UNDEFINED);
}

static void
check_grids(void)
{
    int dims[2], one = 1, place = -2;
    MPI_Comm grid = make_grid(dims), small;

    check_places(grid, dims);
    check_shifts(grid, dims);
    check_sub(grid, dims);
    check_copy(grid);
    OK(MPI_Comm_free(&grid));
    /* A grid of fewer than all. */
    OK(MPI_Cart_create(MPI_COMM_WORLD, 1, &one, &one, 1, &small));
    CHECK((small == MPI_COMM_NULL) == (rank != 0));
    OK(MPI_Cart_map(MPI_COMM_WORLD, 1, &one, &one, &place));
    CHECK(place == (rank == 0 ? 0 : MPI_UNDEFINED));
    if (small != MPI_COMM_NULL)
        OK(MPI_Comm_free(&small));
    OK(MPI_Cart_create(MPI_COMM_WORLD, 0, NULL, NULL, 0, &small));
    CHECK((small == MPI_COMM_NULL) == (rank != 0));
    if (small != MPI_COMM_NULL)
        OK(MPI_Comm_free(&small));
    check_grid_misuse();
}

/* ------------------------------------------------------------------------------ graphs */

/* Rank 0 is next to all others, and they to it. */
static void
make_star(int *indices, int *edges)
{
    indices[0] = size - 1;
    for (int r = 1; r < size; r++) {
        indices[r] = indices[r - 1] + 1;
        edges[r - 1] = r;
        edges[size - 2 + r] = 0;
    }
}

static void
check_star(MPI_Comm star, const int *indices, const int *edges)
{
    const int all = 2 * (size - 1);
    int *got = calloc((size_t)all + 1, sizeof(int)), nodes, count, kind;

    OK(MPI_Topo_test(star, &kind));
    CHECK(kind == MPI_GRAPH);
    OK(MPI_Graphdims_get(star, &nodes, &count));
    CHECK(nodes == size && count == all);
    OK(MPI_Graph_neighbors_count(star, 0, &count));
    CHECK(count == size - 1);
    OK(MPI_Graph_neighbors(star, 0, count, got));
    CHECK(memcmp(got, edges, (size_t)count * sizeof(int)) == 0);
    OK(MPI_Graph_neighbors_count(star, size - 1, &count));
    CHECK(count == (size > 1));
    REFUSED(MPI_Graph_neighbors_count(star, size, &count), MPI_ERR_RANK);
    REFUSED(MPI_Graph_neighbors(star, -1, 1, got), MPI_ERR_RANK);
    OK(MPI_Graph_get(star, 0, all, NULL, got));
    CHECK(memcmp(got, edges, (size_t)all * sizeof(int)) == 0);
    got[0] = -1;
    OK(MPI_Graph_get(star, 1, 0, got, NULL));
    CHECK(got[0] == indices[0]);
    REFUSED(MPI_Cartdim_get(star, &count), MPI_ERR_TOPOLOGY);
    free(got);
}

static void
check_graphs(void)
{
    int *indices = calloc((size_t)size, sizeof(int)), place = -2;
    int *edges = calloc(2 * (size_t)size, sizeof(int)), wrong[2] = {2, 1};
    MPI_Comm star;

    make_star(indices, edges);
    OK(MPI_Graph_create(MPI_COMM_WORLD, size, indices, edges, 0, &star));
    check_star(star, indices, edges);
    OK(MPI_Comm_free(&star));
    OK(MPI_Graph_map(MPI_COMM_WORLD, 1, (const int[]){0}, edges, &place));
    CHECK(place == (rank == 0 ? 0 : MPI_UNDEFINED));
    REFUSED(MPI_Graph_create(MPI_COMM_WORLD, size + 1, indices, edges, 0, &star), MPI_ERR_ARG);
    CHECK(star == MPI_COMM_NULL);
    REFUSED(MPI_Graph_create(MPI_COMM_WORLD, -1, indices, edges, 0, &star), MPI_ERR_ARG);
    if (size > 1)
        REFUSED(MPI_Graph_create(MPI_COMM_WORLD, 2, wrong, edges, 0, &star), MPI_ERR_ARG);
    edges[0] = size; /* of nobody */
    indices[0] = 1;
    REFUSED(MPI_Graph_create(MPI_COMM_WORLD, 1, indices, edges, 0, &star), MPI_ERR_ARG);
    REFUSED(MPI_Graphdims_get(MPI_COMM_WORLD, &place, &place), MPI_ERR_TOPOLOGY);
    free(indices);
    free(edges);
}

/* --------------------------------------------------- graphs of which each knows its own */

/* From the rank before, with its number as weight; to the next one. */
static void
check_ring(MPI_Comm ring)
{
    int in, out, is_weighted, from = -1, to = -1, in_weight = -1, out_weight = -1, kind, got = -1;

    OK(MPI_Topo_test(ring, &kind));
    CHECK(kind == MPI_DIST_GRAPH);
    OK(MPI_Dist_graph_neighbors_count(ring, &in, &out, &is_weighted));
    CHECK(in == 1 && out == 1 && is_weighted);
    OK(MPI_Dist_graph_neighbors(ring, 1, &from, &in_weight, 1, &to, &out_weight));
    CHECK(from == (rank + size - 1) % size && to == (rank + 1) % size);
    CHECK(in_weight == from && out_weight == rank);
    OK(MPI_Neighbor_allgather(&rank, 1, MPI_INT, &got, 1, MPI_INT, ring));
    CHECK(got == from);
    REFUSED(MPI_Dist_graph_neighbors(ring, -1, &from, &in_weight, 1, &to, &out_weight),
            MPI_ERR_ARG);
    REFUSED(MPI_Graphdims_get(ring, &in, &out), MPI_ERR_TOPOLOGY);
}

static void
check_rings(void)
{
    const int last = (rank + size - 1) % size, next = (rank + 1) % size, one = 1;
    int *sources = calloc((size_t)size, sizeof(int)), *degrees = calloc((size_t)size, sizeof(int));
    int *nexts = calloc((size_t)size, sizeof(int));
    MPI_Comm ring;

    OK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, &last, &last, 1, &next, &rank,
                                      MPI_INFO_NULL, 0, &ring));
    check_ring(ring);
    OK(MPI_Comm_free(&ring));
    /* Each tells of its own edge; rank 0 of all; each of somebody else's. */
    OK(MPI_Dist_graph_create(MPI_COMM_WORLD, 1, &rank, &one, &next, &rank, MPI_INFO_NULL, 0,
                             &ring));
    check_ring(ring);
    OK(MPI_Comm_free(&ring));
    for (int r = 0; r < size; r++) {
        sources[r] = r;
        degrees[r] = 1;
        nexts[r] = (r + 1) % size;
    }
    OK(MPI_Dist_graph_create(MPI_COMM_WORLD, rank == 0 ? size : 0, sources, degrees, nexts, sources,
                             MPI_INFO_NULL, 0, &ring));
    check_ring(ring);
    OK(MPI_Comm_free(&ring));
    OK(MPI_Dist_graph_create(MPI_COMM_WORLD, 1, &last, &one, &rank, &last, MPI_INFO_NULL, 0,
                             &ring));
    check_ring(ring);
    OK(MPI_Comm_free(&ring));
    free(sources);
    free(degrees);
    free(nexts);
}

static void
check_unweighted(void)
{
    int in = -1, out = -1, is_weighted = -1, zero = 0, none = -1, *all;
    MPI_Comm graph;

    /* All tell rank 0, which tells nobody. */
    OK(MPI_Dist_graph_create(MPI_COMM_WORLD, rank != 0, &rank, (const int[]){1}, &zero,
                             MPI_UNWEIGHTED, MPI_INFO_NULL, 1, &graph));
    OK(MPI_Dist_graph_neighbors_count(graph, &in, &out, &is_weighted));
    CHECK(in == (rank == 0 ? size - 1 : 0) && out == (rank != 0) && !is_weighted);
    all = calloc((size_t)size, sizeof(int));
    OK(MPI_Dist_graph_neighbors(graph, in, all, MPI_UNWEIGHTED, out, &none, MPI_UNWEIGHTED));
    CHECK(out == 0 || none == 0);
    for (int i = 0, sum = 0; i < in; i++) {
        sum += all[i];
        CHECK(i < in - 1 || sum == size * (size - 1) / 2);
    }
    free(all);
    OK(MPI_Comm_free(&graph));
    /* Nobody has anybody. */
    OK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 0, NULL, MPI_WEIGHTS_EMPTY, 0, NULL,
                                      MPI_WEIGHTS_EMPTY, MPI_INFO_NULL, 0, &graph));
    OK(MPI_Dist_graph_neighbors_count(graph, &in, &out, &is_weighted));
    CHECK(in == 0 && out == 0 && is_weighted);
    OK(MPI_Comm_free(&graph));
}

static void
check_dist_misuse(void)
{
    const int outside = size, negative = -1, zero = 0, one = 1;
    MPI_Comm graph;
    int count;

    REFUSED(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, &outside, &one, 0, NULL, &one,
                                           MPI_INFO_NULL, 0, &graph),
            MPI_ERR_RANK);
    CHECK(graph == MPI_COMM_NULL);
    REFUSED(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, &zero, &negative, 0, NULL, &one,
                                           MPI_INFO_NULL, 0, &graph),
            MPI_ERR_ARG);
    REFUSED(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, -1, &zero, &one, 0, NULL, &one,
                                           MPI_INFO_NULL, 0, &graph),
            MPI_ERR_ARG);
    REFUSED(MPI_Dist_graph_create(MPI_COMM_WORLD, 1, &outside, &one, &zero, &one, MPI_INFO_NULL, 0,
                                  &graph),
            MPI_ERR_RANK);
    REFUSED(MPI_Dist_graph_create(MPI_COMM_WORLD, 1, &zero, &negative, &zero, &one, MPI_INFO_NULL,
                                  0, &graph),
            MPI_ERR_ARG);
    REFUSED(MPI_Dist_graph_create(MPI_COMM_WORLD, 1, &zero, &one, &outside, &one, MPI_INFO_NULL, 0,
                                  &graph),
            MPI_ERR_RANK);
    REFUSED(MPI_Dist_graph_neighbors_count(MPI_COMM_WORLD, &count, &count, &count),
            MPI_ERR_TOPOLOGY);
    REFUSED(MPI_Neighbor_allgather(&zero, 1, MPI_INT, &count, 1, MPI_INT, MPI_COMM_WORLD),
            MPI_ERR_TOPOLOGY);
}

int
main(int argc, char **argv)
{
    begin(&argc, &argv);
    check_dims();
    check_grids();
    check_graphs();
    check_rings();
    check_unweighted();
    check_dist_misuse();
    return end();
}
