/* SPDX-License-Identifier: Apache-2.0
 *
 * Topologies: what a program is told of them is what it said, and what it says wrongly is refused.
 */
#include "testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mpi.h"

static int rank, size;

static void
begin(void)
{
    CHECK(MPI_Init(NULL, NULL) == 0);
    CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank) == 0);
    CHECK(MPI_Comm_size(MPI_COMM_WORLD, &size) == 0);
    CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN) == 0);
}

static void
end(MPI_Comm *comm)
{
    if (*comm != MPI_COMM_NULL)
        CHECK(MPI_Comm_free(comm) == 0);
    CHECK(MPI_Finalize() == 0);
}

/* ---------------------------------------------------------------------- dimensions */

static void
dims_body(void)
{
    static const int cases[][6] = {
        /* nodes, dims, expected */
        {12, 2, 4, 3},
        {7, 2, 7, 1},
        {24, 3, 4, 3, 2},
        {1, 3, 1, 1, 1},
        {16, 4, 2, 2, 2, 2},
        {36, 3, 4, 3, 3},
        {1000000000, 3, 1000, 1000, 1000},
        {2310, 3, 15, 14, 11},
    };
    int dims[4];

    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(dims, 0, sizeof(dims));
        CHECK(MPI_Dims_create(cases[i][0], cases[i][1], dims) == 0);
        CHECK(memcmp(dims, cases[i] + 2, (size_t)cases[i][1] * sizeof(int)) == 0);
    }
    memcpy(dims, (int[]){0, 5, 0, 1}, sizeof(dims));
    CHECK(MPI_Dims_create(30, 4, dims) == 0);
    CHECK(dims[0] == 3 && dims[1] == 5 && dims[2] == 2 && dims[3] == 1);
    memcpy(dims, (int[]){0, 4, 0, 1}, sizeof(dims));
    CHECK(MPI_Dims_create(30, 4, dims) == MPI_ERR_DIMS);
    CHECK(dims[0] == 0 && dims[1] == 4);
    memcpy(dims, (int[]){2, 4, 1, 1}, sizeof(dims));
    CHECK(MPI_Dims_create(16, 4, dims) == MPI_ERR_DIMS);
    memcpy(dims, (int[]){0, -1, 1, 1}, sizeof(dims));
    CHECK(MPI_Dims_create(16, 4, dims) == MPI_ERR_DIMS);
    CHECK(MPI_Dims_create(16, -1, dims) == MPI_ERR_DIMS);
    CHECK(MPI_Dims_create(0, 2, dims) == MPI_ERR_ARG);
    CHECK(MPI_Dims_create(1, 0, NULL) == 0);
    CHECK(MPI_Finalize() == 0);
}

static void
test_dimensions_are_as_close_as_can_be(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, dims_body));
}

/* --------------------------------------------------------------------------- grids */

static void
grid_check(MPI_Comm comm)
{
    int dims[2], periods[2], coords[2], at, kind, source, target;

    CHECK(MPI_Topo_test(comm, &kind) == 0 && kind == MPI_CART);
    CHECK(MPI_Cartdim_get(comm, &at) == 0 && at == 2);
    CHECK(MPI_Cart_get(comm, 2, dims, periods, coords) == 0);
    CHECK(dims[0] == 3 && dims[1] == 2 && periods[0] == 1 && periods[1] == 0);
    CHECK(coords[0] == rank / 2 && coords[1] == rank % 2);
    CHECK(MPI_Cart_coords(comm, 5, 2, coords) == 0 && coords[0] == 2 && coords[1] == 1);
    CHECK(MPI_Cart_rank(comm, (int[]){-1, 1}, &at) == 0 && at == 5);
    CHECK(MPI_Cart_shift(comm, 0, 4, &source, &target) == 0);
    CHECK(source == (rank + 4) % 6 && target == (rank + 2) % 6);
    CHECK(MPI_Cart_shift(comm, 1, 1, &source, &target) == 0);
    CHECK(source == (rank % 2 == 0 ? MPI_PROC_NULL : rank - 1));
    CHECK(target == (rank % 2 == 1 ? MPI_PROC_NULL : rank + 1));
}

static void
grid_misuse(MPI_Comm comm)
{
    int at, coords[2];

    CHECK(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN) == 0);
    CHECK(MPI_Cart_rank(comm, (int[]){0, 2}, &at) == MPI_ERR_ARG);
    CHECK(MPI_Cart_coords(comm, 6, 2, coords) == MPI_ERR_RANK);
    CHECK(MPI_Cart_coords(comm, 0, 1, coords) == MPI_ERR_ARG);
    CHECK(MPI_Cart_shift(comm, 2, 1, &at, &at) == MPI_ERR_ARG);
    CHECK(MPI_Graphdims_get(comm, &at, &at) == MPI_ERR_TOPOLOGY);
    CHECK(MPI_Cart_rank(MPI_COMM_WORLD, coords, &at) == MPI_ERR_TOPOLOGY);
}

static void
slices_check(MPI_Comm comm)
{
    MPI_Comm slice;
    int at, dims[2], periods[2], coords[2], sum = 0;

    CHECK(MPI_Cart_sub(comm, (int[]){1, 0}, &slice) == 0);
    CHECK(MPI_Cart_get(slice, 2, dims, periods, coords) == 0);
    CHECK(dims[0] == 3 && periods[0] == 1 && coords[0] == rank / 2);
    CHECK(MPI_Comm_rank(slice, &at) == 0 && at == rank / 2);
    CHECK(MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, slice) == 0);
    CHECK(sum == (rank % 2 == 0 ? 0 + 2 + 4 : 1 + 3 + 5));
    CHECK(MPI_Comm_free(&slice) == 0);
    CHECK(MPI_Cart_sub(comm, (int[]){0, 0}, &slice) == 0);
    CHECK((slice != MPI_COMM_NULL) == (rank == 0));
    if (rank != 0)
        return;
    CHECK(MPI_Cartdim_get(slice, &at) == 0 && at == 0);
    CHECK(MPI_Comm_size(slice, &at) == 0 && at == 1);
    CHECK(MPI_Comm_free(&slice) == 0);
}

static void
grid_body(void)
{
    MPI_Comm comm, copy;
    int at;

    begin();
    CHECK(MPI_Cart_map(MPI_COMM_WORLD, 2, (int[]){3, 2}, (int[]){1, 0}, &at) == 0);
    CHECK(at == (rank < 6 ? rank : MPI_UNDEFINED));
    CHECK(MPI_Cart_create(MPI_COMM_WORLD, 2, (int[]){3, 2}, (int[]){1, 0}, 1, &comm) == 0);
    CHECK((comm == MPI_COMM_NULL) == (rank >= 6));
    if (rank < 6) {
        grid_check(comm);
        grid_misuse(comm);
        slices_check(comm);
        CHECK(MPI_Comm_dup(comm, &copy) == 0);
        grid_check(copy);
        CHECK(MPI_Comm_free(&copy) == 0);
    }
    end(&comm);
}

static void
test_a_grid_is_what_was_said(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(6, grid_body));
    assert_true(mpi_testing_run(7, grid_body));
}

static void
point_body(void)
{
    MPI_Comm comm, sub;
    int at = -1;

    begin();
    CHECK(MPI_Cart_create(MPI_COMM_WORLD, 0, NULL, NULL, 0, &comm) == 0);
    CHECK((comm != MPI_COMM_NULL) == (rank == 0));
    if (rank == 0) {
        CHECK(MPI_Cart_get(comm, 0, NULL, NULL, NULL) == 0);
        CHECK(MPI_Cart_rank(comm, NULL, &at) == 0 && at == 0);
        CHECK(MPI_Cart_coords(comm, 0, 0, NULL) == 0);
        CHECK(MPI_Cart_sub(comm, NULL, &sub) == 0);
        CHECK(MPI_Cartdim_get(sub, &at) == 0 && at == 0);
        CHECK(MPI_Comm_free(&sub) == 0);
    }
    end(&comm);
}

static void
create_misuse_body(void)
{
    MPI_Comm comm = MPI_COMM_WORLD;
    int at, one = 1, minus = -1, many = 99, ranks[2] = {0, 1};

    begin();
    CHECK(MPI_Cart_create(MPI_COMM_WORLD, 1, &many, &one, 0, &comm) == MPI_ERR_DIMS);
    CHECK(comm == MPI_COMM_NULL);
    CHECK(MPI_Cart_create(MPI_COMM_WORLD, -1, &one, &one, 0, &comm) == MPI_ERR_DIMS);
    CHECK(MPI_Cart_create(MPI_COMM_WORLD, 1, &minus, &one, 0, &comm) == MPI_ERR_DIMS);
    CHECK(MPI_Cart_create(MPI_COMM_NULL, 1, &one, &one, 0, &comm) == MPI_ERR_COMM);
    CHECK(MPI_Graph_create(MPI_COMM_WORLD, 2, (int[]){1, 0}, ranks, 0, &comm) == MPI_ERR_ARG);
    CHECK(MPI_Graph_create(MPI_COMM_WORLD, 1, &one, &many, 0, &comm) == MPI_ERR_ARG);
    CHECK(MPI_Graph_map(MPI_COMM_WORLD, 0, &one, ranks, &at) == MPI_ERR_ARG);
    CHECK(MPI_Dist_graph_create(MPI_COMM_WORLD, 1, &many, &one, ranks, MPI_UNWEIGHTED,
                                MPI_INFO_NULL, 0, &comm) == MPI_ERR_RANK);
    CHECK(MPI_Dist_graph_create(MPI_COMM_WORLD, 1, ranks, &one, ranks, &minus, MPI_INFO_NULL, 0,
                                &comm) == MPI_ERR_ARG);
    CHECK(MPI_Topo_test(MPI_COMM_WORLD, &at) == 0 && at == MPI_UNDEFINED);
    CHECK(MPI_Finalize() == 0);
}

static void
test_a_grid_may_be_a_point_and_not_be_too_large(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(3, point_body));
    assert_true(mpi_testing_run(3, create_misuse_body));
}

/* -------------------------------------------------------------------------- graphs */

static void
graph_body(void)
{
    /* 0: 1, 2, 2; 1: none; 2: 0, 2 */
    int index[] = {3, 3, 5}, edges[] = {1, 2, 2, 0, 2}, got[8], nodes, count, kind;
    MPI_Comm comm;

    begin();
    CHECK(MPI_Graph_create(MPI_COMM_WORLD, 3, index, edges, 0, &comm) == 0);
    CHECK((comm == MPI_COMM_NULL) == (rank >= 3));
    if (rank < 3) {
        CHECK(MPI_Topo_test(comm, &kind) == 0 && kind == MPI_GRAPH);
        CHECK(MPI_Graphdims_get(comm, &nodes, &count) == 0 && nodes == 3 && count == 5);
        CHECK(MPI_Graph_get(comm, 3, 5, got, got + 3) == 0);
        CHECK(memcmp(got, index, sizeof(index)) == 0 && memcmp(got + 3, edges, sizeof(edges)) == 0);
        CHECK(MPI_Graph_neighbors_count(comm, 0, &count) == 0 && count == 3);
        CHECK(MPI_Graph_neighbors_count(comm, 1, &count) == 0 && count == 0);
        CHECK(MPI_Graph_neighbors(comm, 2, 2, got) == 0 && got[0] == 0 && got[1] == 2);
        CHECK(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN) == 0);
        CHECK(MPI_Graph_neighbors_count(comm, 3, &count) == MPI_ERR_RANK);
    }
    if (comm != MPI_COMM_NULL)
        CHECK(MPI_Comm_free(&comm) == 0);
    CHECK(MPI_Graph_create(MPI_COMM_WORLD, 0, NULL, NULL, 0, &comm) == 0);
    CHECK(comm == MPI_COMM_NULL);
    end(&comm);
}

static void
test_a_graph_is_what_was_said(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(3, graph_body));
    assert_true(mpi_testing_run(4, graph_body));
}

/* Each member names the edges out of the next one: to itself and to the first. */
static void
dist_graph_body(void)
{
    int source, degree = 2, targets[] = {0, 0}, weights[] = {0, 100};
    int in, out, weighted, sources[32], in_weights[32], destinations[32], out_weights[32];
    MPI_Comm comm;

    begin();
    source = (rank + 1) % size;
    targets[0] = weights[0] = rank;
    CHECK(MPI_Dist_graph_create(MPI_COMM_WORLD, 1, &source, &degree, targets, weights,
                                MPI_INFO_NULL, 0, &comm) == 0);
    CHECK(MPI_Dist_graph_neighbors_count(comm, &in, &out, &weighted) == 0);
    CHECK(weighted && out == 2 && in == (rank == 0 ? size + 1 : 1));
    CHECK(MPI_Dist_graph_neighbors(comm, in, sources, in_weights, out, destinations, out_weights) ==
          0);
    CHECK(destinations[0] == (rank + size - 1) % size && out_weights[0] == destinations[0]);
    CHECK(destinations[1] == 0 && out_weights[1] == 100);
    for (int i = 0, firsts = 0; i < in; i++) {
        bool is_own = in_weights[i] == rank && sources[i] == (rank + 1) % size && firsts == 0;

        firsts += is_own;
        CHECK(is_own || (rank == 0 && in_weights[i] == 100));
    }
    end(&comm);
}

static void
adjacent_body(void)
{
    int next, before, in, out, weighted, weight = 7, got[4];
    MPI_Comm comm;

    begin();
    next = (rank + 1) % size;
    before = (rank + size - 1) % size;
    CHECK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, &before, &weight, 1, &next, &weight,
                                         MPI_INFO_NULL, 0, &comm) == 0);
    CHECK(MPI_Dist_graph_neighbors(comm, 1, got, got + 1, 1, got + 2, got + 3) == 0);
    CHECK(got[0] == before && got[1] == 7 && got[2] == next && got[3] == 7);
    CHECK(MPI_Comm_free(&comm) == 0);
    CHECK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 0, NULL, MPI_WEIGHTS_EMPTY, 0, NULL,
                                         MPI_WEIGHTS_EMPTY, MPI_INFO_NULL, 0, &comm) == 0);
    CHECK(MPI_Dist_graph_neighbors_count(comm, &in, &out, &weighted) == 0);
    CHECK(in == 0 && out == 0 && weighted);
    CHECK(MPI_Comm_free(&comm) == 0);
    CHECK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, &before, MPI_UNWEIGHTED, 1, &next,
                                         MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &comm) == 0);
    CHECK(MPI_Dist_graph_neighbors_count(comm, &in, &out, &weighted) == 0 && !weighted);
    CHECK(MPI_Dist_graph_neighbors(comm, 1, got, MPI_UNWEIGHTED, 1, got + 2, MPI_UNWEIGHTED) == 0);
    end(&comm);
}

static void
test_each_may_know_its_own_edges_or_name_those_of_others(void **state)
{
    static const uint32_t members[] = {1, 2, 4, 7, 16};

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_true(mpi_testing_run(members[i], dist_graph_body));
        assert_true(mpi_testing_run(members[i], adjacent_body));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dimensions_are_as_close_as_can_be),
        cmocka_unit_test(test_a_grid_is_what_was_said),
        cmocka_unit_test(test_a_grid_may_be_a_point_and_not_be_too_large),
        cmocka_unit_test(test_a_graph_is_what_was_said),
        cmocka_unit_test(test_each_may_know_its_own_edges_or_name_those_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
