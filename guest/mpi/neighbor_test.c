/* SPDX-License-Identifier: Apache-2.0
 *
 * Neighbourhood collectives in grids and graphs, against what each neighbour is known to send.
 */
#include "testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mpi.h"

#define NEIGHBORS_MAX 16
#define COUNT         300

static int rank, size, in, out;
static int sources[NEIGHBORS_MAX], destinations[NEIGHBORS_MAX];
static int from[NEIGHBORS_MAX * COUNT], to[NEIGHBORS_MAX * COUNT];
static MPI_Comm comm;

static void
begin(void)
{
    CHECK(MPI_Init(NULL, NULL) == 0);
    CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank) == 0);
    CHECK(MPI_Comm_size(MPI_COMM_WORLD, &size) == 0);
    CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN) == 0);
}

static void
end(void)
{
    if (comm != MPI_COMM_NULL)
        CHECK(MPI_Comm_free(&comm) == 0);
    CHECK(MPI_Finalize() == 0);
}

static void
wait_for(MPI_Request request)
{
    CHECK(MPI_Wait(&request, MPI_STATUS_IGNORE) == 0);
}

/* Element i of what a member sends along an edge. */
static int
value(int member, int edge, int i)
{
    return member * 100000 + edge * 1000 + i;
}

static void
fill(int count)
{
    for (int edge = 0; edge < out; edge++)
        for (int i = 0; i < count; i++)
            from[edge * count + i] = value(rank, edge, i);
    for (int i = 0; i < NEIGHBORS_MAX * COUNT; i++)
        to[i] = -77;
}

/* edges: which of its edges each source sent along; every: all the same. */
static void
check(int count, const int *edges, bool is_same)
{
    for (int edge = 0; edge < in; edge++)
        for (int i = 0; i < count; i++) {
            int got = to[edge * count + i];

            if (sources[edge] == MPI_PROC_NULL)
                CHECK(got == -77);
            else
                CHECK(got == value(sources[edge], is_same ? 0 : edges[edge], i));
        }
}

static void
uniform(int count, const int *edges, bool is_later)
{
    MPI_Request request;

    fill(count);
    if (is_later) {
        CHECK(MPI_Ineighbor_alltoall(from, count, MPI_INT, to, count, MPI_INT, comm, &request) ==
              0);
        wait_for(request);
    } else {
        CHECK(MPI_Neighbor_alltoall(from, count, MPI_INT, to, count, MPI_INT, comm) == 0);
    }
    check(count, edges, false);
    fill(count);
    for (int i = 0; i < count; i++)
        from[i] = value(rank, 0, i);
    if (is_later) {
        CHECK(MPI_Ineighbor_allgather(from, count, MPI_INT, to, count, MPI_INT, comm, &request) ==
              0);
        wait_for(request);
    } else {
        CHECK(MPI_Neighbor_allgather(from, count, MPI_INT, to, count, MPI_INT, comm) == 0);
    }
    check(count, edges, true);
}

/* The forms with arrays: blocks of the same size and place. */
struct arrays {
    int counts[NEIGHBORS_MAX], displs[NEIGHBORS_MAX];
    MPI_Aint offsets[NEIGHBORS_MAX];
    MPI_Datatype types[NEIGHBORS_MAX];
};

static struct arrays
arrays_of(int count)
{
    struct arrays a;

    for (int i = 0; i < NEIGHBORS_MAX; i++) {
        a.counts[i] = count;
        a.displs[i] = i * count;
        a.offsets[i] = (MPI_Aint)sizeof(int) * i * count;
        a.types[i] = MPI_INT;
    }
    return a;
}

static void
varied(int count, const int *edges, bool is_later)
{
    struct arrays a = arrays_of(count);
    MPI_Request request;

    fill(count);
    if (is_later) {
        CHECK(MPI_Ineighbor_alltoallv(from, a.counts, a.displs, MPI_INT, to, a.counts, a.displs,
                                      MPI_INT, comm, &request) == 0);
        wait_for(request);
    } else {
        CHECK(MPI_Neighbor_alltoallv(from, a.counts, a.displs, MPI_INT, to, a.counts, a.displs,
                                     MPI_INT, comm) == 0);
    }
    check(count, edges, false);
    fill(count);
    if (is_later) {
        CHECK(MPI_Ineighbor_alltoallw(from, a.counts, a.offsets, a.types, to, a.counts, a.offsets,
                                      a.types, comm, &request) == 0);
        wait_for(request);
    } else {
        CHECK(MPI_Neighbor_alltoallw(from, a.counts, a.offsets, a.types, to, a.counts, a.offsets,
                                     a.types, comm) == 0);
    }
    check(count, edges, false);
    fill(count);
    for (int i = 0; i < count; i++)
        from[i] = value(rank, 0, i);
    if (is_later) {
        CHECK(MPI_Ineighbor_allgatherv(from, count, MPI_INT, to, a.counts, a.displs, MPI_INT, comm,
                                       &request) == 0);
        wait_for(request);
    } else {
        CHECK(MPI_Neighbor_allgatherv(from, count, MPI_INT, to, a.counts, a.displs, MPI_INT,
                                      comm) == 0);
    }
    check(count, edges, true);
}

static void
all_forms(const int *edges)
{
    static const int counts[] = {0, 1, 20, COUNT};

    for (int i = 0; i < 4; i++)
        for (int form = 0; form < 2; form++) {
            uniform(counts[i], edges, form);
            varied(counts[i], edges, form);
        }
}

/* ---------------------------------------------------------------------------- grids */

/* What comes from above was sent down, also where both neighbours are the same member, or this
 * one. */
static void
grid_edges(int dims)
{
    int edges[NEIGHBORS_MAX];

    in = out = 2 * dims;
    for (int i = 0; i < dims; i++) {
        CHECK(MPI_Cart_shift(comm, i, 1, &sources[2 * i], &sources[2 * i + 1]) == 0);
        edges[2 * i] = 2 * i + 1;
        edges[2 * i + 1] = 2 * i;
    }
    all_forms(edges);
}

static void
grid_body(void)
{
    begin();
    for (int form = 0; form < 4; form++) {
        int dims[3] = {0, 0, 1}, periods[3] = {form & 1, form >> 1, form & 1};

        CHECK(MPI_Dims_create(size, 2, dims) == 0);
        CHECK(MPI_Cart_create(MPI_COMM_WORLD, 3, dims, periods, 0, &comm) == 0);
        grid_edges(3);
        CHECK(MPI_Comm_free(&comm) == 0);
    }
    end();
}

static void
test_members_of_a_grid_hear_from_both_sides(void **state)
{
    static const uint32_t members[] = {1, 2, 3, 4, 7, 16};

    (void)state;
    for (int i = 0; i < 6; i++)
        assert_true(mpi_testing_run(members[i], grid_body));
}

/* --------------------------------------------------------------------------- graphs */

/* Each member tells the next, and twice the one behind that: edges 0; 1 and 2, in this order. */
static void
dist_graph_body(void)
{
    int edges[3] = {0, 1, 2};

    begin();
    in = out = 3;
    for (int i = 0; i < 3; i++) {
        int distance = i == 0 ? 1 : 2;

        destinations[i] = (rank + distance) % size;
        sources[i] = (rank - distance + 2 * size) % size;
    }
    CHECK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, in, sources, MPI_UNWEIGHTED, out,
                                         destinations, MPI_UNWEIGHTED, MPI_INFO_NULL, 0,
                                         &comm) == 0);
    all_forms(edges);
    end();
}

/* A star: the first member and each other one are neighbours. */
static void
graph_body(void)
{
    int index[16], star[32], edges[NEIGHBORS_MAX] = {0};

    begin();
    for (int i = 0; i < size; i++) {
        index[i] = size - 1 + i;
        star[i < size - 1 ? i : 2 * (size - 1)] = i + 1;
        star[size - 1 + i] = 0;
    }
    CHECK(MPI_Graph_create(MPI_COMM_WORLD, size, index, star, 0, &comm) == 0);
    in = out = rank == 0 ? size - 1 : 1;
    for (int i = 0; i < in; i++) {
        sources[i] = rank == 0 ? i + 1 : 0;
        edges[i] = rank == 0 ? 0 : rank - 1;
    }
    all_forms(edges);
    end();
}

static void
test_members_of_a_graph_hear_from_its_edges(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(3, dist_graph_body));
    assert_true(mpi_testing_run(7, dist_graph_body));
    assert_true(mpi_testing_run(2, graph_body));
    assert_true(mpi_testing_run(4, graph_body));
    assert_true(mpi_testing_run(16, graph_body));
}

static void
misuse_body(void)
{
    int dims[1] = {1}, periods[1] = {1}, data[4] = {0}, minus[2] = {-1, 1}, err;
    MPI_Comm duplicate;

    begin();
    dims[0] = size;
    CHECK(MPI_Cart_create(MPI_COMM_WORLD, 1, dims, periods, 0, &comm) == 0);
    err = MPI_Neighbor_allgather(MPI_IN_PLACE, 1, MPI_INT, data, 1, MPI_INT, comm);
    CHECK(err == MPI_ERR_BUFFER);
    err = MPI_Neighbor_alltoall(data, -1, MPI_INT, data, 1, MPI_INT, comm);
    CHECK(err == MPI_ERR_COUNT);
    err = MPI_Neighbor_alltoallv(data, minus, minus, MPI_INT, data, minus, minus, MPI_INT, comm);
    CHECK(err == MPI_ERR_COUNT);
    CHECK(MPI_Neighbor_alltoall(data, 1, MPI_INT, data, 1, MPI_INT, MPI_COMM_WORLD) ==
          MPI_ERR_TOPOLOGY);
    CHECK(MPI_Comm_dup(comm, &duplicate) == 0);
    CHECK(MPI_Neighbor_allgather(&rank, 1, MPI_INT, data, 1, MPI_INT, duplicate) == 0);
    CHECK(data[0] == (rank + size - 1) % size && data[1] == (rank + 1) % size);
    CHECK(MPI_Comm_free(&duplicate) == 0);
    end();
}

static void
test_a_duplicate_has_the_neighbours_and_what_is_wrong_is_refused(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(3, misuse_body));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_of_a_grid_hear_from_both_sides),
        cmocka_unit_test(test_members_of_a_graph_hear_from_its_edges),
        cmocka_unit_test(test_a_duplicate_has_the_neighbours_and_what_is_wrong_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
