/* SPDX-License-Identifier: Apache-2.0
 *
 * Collectives between two groups (MPI 3.1, 5.2.2), and of neighbours (7.6 and 7.7): in both forms,
 * and called wrongly.
 */
#include <stdbool.h>

#include "check.h"

#define MEMBERS_MAX    64
#define NEIGHBOURS_MAX 3

static bool is_later; /* the form that is used now */
#define RUN(name, iname, ...) \
    do { \
        if (is_later) { \
            MPI_Request run_request; \
            OK(MPI_##iname(__VA_ARGS__, &run_request)); \
            OK(MPI_Wait(&run_request, MPI_STATUS_IGNORE)); \
        } else { \
            OK(MPI_##name(__VA_ARGS__)); \
        } \
    } while (0)
#define WRONG(error, name, iname, ...) \
    do { \
        MPI_Request wrong_request = MPI_REQUEST_NULL; \
        REFUSED(MPI_##name(__VA_ARGS__), error); \
        REFUSED(MPI_##iname(__VA_ARGS__, &wrong_request), error); \
        CHECK(wrong_request == MPI_REQUEST_NULL); \
    } while (0)

static int
value(int from, int to, int i)
{
    return (from * MEMBERS_MAX + to) * 1000 + i % 1000;
}

static int *
area(int count)
{
    int *at = malloc(((size_t)count + 1) * sizeof(int));

    CHECK(at != NULL);
    for (int i = 0; i <= count; i++)
        at[i] = -1;
    return at;
}

static void
fill(int *at, int from, int to, int count)
{
    for (int i = 0; i < count; i++)
        at[i] = value(from, to, i);
}

static void
check_values(const int *at, int from, int to, int count)
{
    for (int i = 0; i < count; i++)
        CHECK(at[i] == value(from, to, i));
}

static void
release(int *at, int count)
{
    CHECK(at[count] == -1);
    free(at);
}

/* -------------------------------------------------------------------------- two groups
 *
 * Members with even ranks, and those with odd ones. Values are named by ranks in the world. */

static MPI_Comm inter;
static int mine, theirs, own; /* members of the groups, and the rank in one */

static int
other(int remote) /* the rank in the world */
{
    return 2 * remote + 1 - rank % 2;
}

/* What a member of either group is called with as the root: one of the even ones has the part. */
static int
root_of(int root)
{
    if (rank % 2 == 1)
        return root;
    return own == root ? MPI_ROOT : MPI_PROC_NULL;
}

static int
world_root(int root)
{
    return 2 * root;
}

static void
check_bcast(int count, int root)
{
    int *data = area(count);

    if (rank == world_root(root))
        fill(data, rank, 0, count);
    RUN(Bcast, Ibcast, data, count, MPI_INT, root_of(root), inter);
    if (rank % 2 == 1)
        check_values(data, world_root(root), 0, count);
    release(data, count);
}

static void
check_gather(int count, int root)
{
    int *in = area(count), *out = area(count * theirs);
    int counts[MEMBERS_MAX], displs[MEMBERS_MAX];

    fill(in, rank, 1, count);
    RUN(Gather, Igather, in, count, MPI_INT, out, count, MPI_INT, root_of(root), inter);
    for (int i = 0; i < theirs && rank == world_root(root); i++)
        check_values(out + i * count, other(i), 1, count);
    for (int i = 0; i < theirs; i++) {
        counts[i] = i % 2 * count;
        displs[i] = (theirs - 1 - i) * count;
    }
    RUN(Gatherv, Igatherv, in, own % 2 * count, MPI_INT, out, counts, displs, MPI_INT,
        root_of(root), inter);
    for (int i = 0; i < theirs && rank == world_root(root); i++)
        check_values(out + displs[i], other(i), 1, counts[i]);
    release(in, count);
    release(out, count * theirs);
}

static void
check_scatter(int count, int root)
{
    int *in = area(count * theirs), *out = area(count);
    int counts[MEMBERS_MAX], displs[MEMBERS_MAX];

    for (int i = 0; i < theirs; i++) {
        fill(in + i * count, rank, other(i), count);
        counts[i] = i % 2 * count;
        displs[i] = i * count;
    }
    RUN(Scatter, Iscatter, in, count, MPI_INT, out, count, MPI_INT, root_of(root), inter);
    if (rank % 2 == 1)
        check_values(out, world_root(root), rank, count);
    release(out, count);
    out = area(count);
    RUN(Scatterv, Iscatterv, in, counts, displs, MPI_INT, out, own % 2 * count, MPI_INT,
        root_of(root), inter);
    if (rank % 2 == 1)
        check_values(out, world_root(root), rank, own % 2 * count);
    release(in, count * theirs);
    release(out, count);
}

static void
check_allgather(int count)
{
    int *in = area(count), *out = area(count * theirs);
    int counts[MEMBERS_MAX], displs[MEMBERS_MAX];

    fill(in, rank, 2, count);
    RUN(Allgather, Iallgather, in, count, MPI_INT, out, count, MPI_INT, inter);
    for (int i = 0; i < theirs; i++) {
        check_values(out + i * count, other(i), 2, count);
        counts[i] = (i + 1) % 2 * count;
        displs[i] = (theirs - 1 - i) * count;
    }
    RUN(Allgatherv, Iallgatherv, in, (own + 1) % 2 * count, MPI_INT, out, counts, displs, MPI_INT,
        inter);
    for (int i = 0; i < theirs; i++)
        check_values(out + displs[i], other(i), 2, counts[i]);
    release(in, count);
    release(out, count * theirs);
}

static void
check_received(const int *out, int count)
{
    for (int i = 0; i < theirs; i++)
        check_values(out + i * count, other(i), rank, count);
}

static void
check_alltoall(int count)
{
    int *in = area(count * theirs), *out = area(count * theirs);
    int counts[MEMBERS_MAX], places[MEMBERS_MAX], offsets[MEMBERS_MAX];
    MPI_Datatype types[MEMBERS_MAX];

    for (int i = 0; i < theirs; i++) {
        fill(in + i * count, rank, other(i), count);
        counts[i] = count;
        places[i] = i * count;
        offsets[i] = i * count * (int)sizeof(int);
        types[i] = MPI_INT;
    }
    RUN(Alltoall, Ialltoall, in, count, MPI_INT, out, count, MPI_INT, inter);
    check_received(out, count);
    memset(out, 0, (size_t)count * theirs * sizeof(int));
    RUN(Alltoallv, Ialltoallv, in, counts, places, MPI_INT, out, counts, places, MPI_INT, inter);
    check_received(out, count);
    memset(out, 0, (size_t)count * theirs * sizeof(int));
    RUN(Alltoallw, Ialltoallw, in, counts, offsets, types, out, counts, offsets, types, inter);
    check_received(out, count);
    release(in, count * theirs);
    release(out, count * theirs);
}

/* What all of the other group have, added up. */
static int
their_sum(int to, int i)
{
    int sum = 0;

    for (int member = 0; member < theirs; member++)
        sum += value(other(member), to, i);
    return sum;
}

static void
check_reduce(int count, int root)
{
    int *in = area(count), *out = area(count);

    fill(in, rank, 3, count);
    RUN(Reduce, Ireduce, in, out, count, MPI_INT, MPI_SUM, root_of(root), inter);
    for (int i = 0; i < count; i++)
        CHECK(out[i] == (rank == world_root(root) ? their_sum(3, i) : -1));
    RUN(Allreduce, Iallreduce, in, out, count, MPI_INT, MPI_SUM, inter);
    for (int i = 0; i < count; i++)
        CHECK(out[i] == their_sum(3, i));
    release(in, count);
    release(out, count);
}

/* Both groups have vectors of the same length, each cut for its own members. */
static void
check_reduce_scatter(int count)
{
    const int all = count * mine * theirs, part = count * theirs;
    int *in = area(all), *out = area(part), counts[MEMBERS_MAX];

    fill(in, rank, 4, all);
    RUN(Reduce_scatter_block, Ireduce_scatter_block, in, out, part, MPI_INT, MPI_SUM, inter);
    for (int i = 0; i < part; i++)
        CHECK(out[i] == their_sum(4, own * part + i));
    for (int i = 0; i < mine; i++)
        counts[i] = part;
    memset(out, 0, (size_t)part * sizeof(int));
    RUN(Reduce_scatter, Ireduce_scatter, in, out, counts, MPI_INT, MPI_SUM, inter);
    for (int i = 0; i < part; i++)
        CHECK(out[i] == their_sum(4, own * part + i));
    release(in, all);
    release(out, part);
}

static void
check_wrong_between(void)
{
    int a[MEMBERS_MAX] = {0}, b[MEMBERS_MAX];

    WRONG(MPI_ERR_ROOT, Bcast, Ibcast, a, 1, MPI_INT, theirs, inter);
    WRONG(MPI_ERR_ROOT, Gather, Igather, a, 1, MPI_INT, b, 1, MPI_INT, theirs, inter);
    WRONG(MPI_ERR_ROOT, Reduce, Ireduce, a, b, 1, MPI_INT, MPI_SUM, -9, inter);
    WRONG(MPI_ERR_BUFFER, Allgather, Iallgather, MPI_IN_PLACE, 1, MPI_INT, b, 1, MPI_INT, inter);
    WRONG(MPI_ERR_BUFFER, Alltoall, Ialltoall, MPI_IN_PLACE, 1, MPI_INT, b, 1, MPI_INT, inter);
    WRONG(MPI_ERR_BUFFER, Allreduce, Iallreduce, MPI_IN_PLACE, b, 1, MPI_INT, MPI_SUM, inter);
    WRONG(MPI_ERR_COMM, Scan, Iscan, a, b, 1, MPI_INT, MPI_SUM, inter);
    WRONG(MPI_ERR_COMM, Exscan, Iexscan, a, b, 1, MPI_INT, MPI_SUM, inter);
    WRONG(MPI_ERR_OP, Allreduce, Iallreduce, a, b, 1, MPI_INT, MPI_REPLACE, inter);
}

static void
check_between(void)
{
    static const int counts[] = {0, 1, 300, 5000};
    MPI_Comm half;

    OK(MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half));
    OK(MPI_Comm_rank(half, &own));
    OK(MPI_Comm_size(half, &mine));
    theirs = size - mine;
    OK(MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - rank % 2, 7, &inter));
    OK(MPI_Comm_set_errhandler(inter, MPI_ERRORS_RETURN));
    for (int form = 0; form < 2; form++) {
        is_later = form == 1;
        for (int c = 0; c < 4; c++) {
            for (int root = 0; root < (size + 1) / 2; root++) {
                check_bcast(counts[c], root);
                check_gather(counts[c], root);
                check_scatter(counts[c], root);
                check_reduce(counts[c], root);
            }
            check_allgather(counts[c]);
            check_alltoall(counts[c]);
            check_reduce_scatter(counts[c] / 10);
        }
        RUN(Barrier, Ibarrier, inter);
    }
    check_wrong_between();
    OK(MPI_Comm_free(&inter));
    OK(MPI_Comm_free(&half));
}

/* ------------------------------------------------------------------------- neighbours */

/* Whom values come from and go to, by rank in the world; MPI_PROC_NULL: nobody. */
struct neighbours {
    MPI_Comm comm;
    int sources, destinations;
    int from[NEIGHBOURS_MAX], to[NEIGHBOURS_MAX];
};

static void
check_neighbour_gathers(const struct neighbours *n, int count)
{
    int *in = area(count), *out = area(count * n->sources);
    int counts[NEIGHBOURS_MAX], displs[NEIGHBOURS_MAX];

    fill(in, rank, 5, count);
    RUN(Neighbor_allgather, Ineighbor_allgather, in, count, MPI_INT, out, count, MPI_INT, n->comm);
    for (int i = 0; i < n->sources; i++) {
        if (n->from[i] != MPI_PROC_NULL)
            check_values(out + i * count, n->from[i], 5, count);
        else
            CHECK(out[i * count] == -1);
        counts[i] = count;
        displs[i] = (n->sources - 1 - i) * count;
    }
    release(out, count * n->sources);
    out = area(count * n->sources);
    RUN(Neighbor_allgatherv, Ineighbor_allgatherv, in, count, MPI_INT, out, counts, displs, MPI_INT,
        n->comm);
    for (int i = 0; i < n->sources; i++)
        if (n->from[i] != MPI_PROC_NULL)
            check_values(out + displs[i], n->from[i], 5, count);
    release(in, count);
    release(out, count * n->sources);
}

static void
check_from_neighbours(const struct neighbours *n, int *out, int count)
{
    for (int i = 0; i < n->sources; i++) {
        if (n->from[i] != MPI_PROC_NULL)
            check_values(out + i * count, n->from[i], rank, count);
        else
            CHECK(out[i * count] == -1);
    }
    for (int i = 0; i < count * n->sources; i++)
        out[i] = -1;
}

static void
check_neighbour_exchanges(const struct neighbours *n, int count)
{
    int *in = area(count * n->destinations), *out = area(count * n->sources);
    int counts[NEIGHBOURS_MAX], places[NEIGHBOURS_MAX];
    MPI_Aint offsets[NEIGHBOURS_MAX];
    MPI_Datatype types[NEIGHBOURS_MAX];

    for (int i = 0; i < NEIGHBOURS_MAX; i++) {
        counts[i] = count;
        places[i] = i * count;
        offsets[i] = i * count * (MPI_Aint)sizeof(int);
        types[i] = MPI_INT;
    }
    for (int i = 0; i < n->destinations; i++)
        fill(in + i * count, rank, n->to[i], count);
    RUN(Neighbor_alltoall, Ineighbor_alltoall, in, count, MPI_INT, out, count, MPI_INT, n->comm);
    check_from_neighbours(n, out, count);
    RUN(Neighbor_alltoallv, Ineighbor_alltoallv, in, counts, places, MPI_INT, out, counts, places,
        MPI_INT, n->comm);
    check_from_neighbours(n, out, count);
    RUN(Neighbor_alltoallw, Ineighbor_alltoallw, in, counts, offsets, types, out, counts, offsets,
        types, n->comm);
    check_from_neighbours(n, out, count);
    release(in, count * n->destinations);
    release(out, count * n->sources);
}

static void
check_wrong_neighbours(MPI_Comm comm)
{
    int a[8] = {0}, b[8], few[NEIGHBOURS_MAX] = {-1, -1, -1};
    MPI_Aint places[NEIGHBOURS_MAX] = {0};
    MPI_Datatype none[NEIGHBOURS_MAX] = {0};

    WRONG(MPI_ERR_COUNT, Neighbor_allgather, Ineighbor_allgather, a, -1, MPI_INT, b, 1, MPI_INT,
          comm);
    WRONG(MPI_ERR_COUNT, Neighbor_allgatherv, Ineighbor_allgatherv, a, 1, MPI_INT, b, few, few,
          MPI_INT, comm);
    WRONG(MPI_ERR_TYPE, Neighbor_alltoall, Ineighbor_alltoall, a, 1, MPI_INT, b, 1,
          MPI_DATATYPE_NULL, comm);
    WRONG(MPI_ERR_COUNT, Neighbor_alltoallv, Ineighbor_alltoallv, a, few, a, MPI_INT, b, few, a,
          MPI_INT, comm);
    WRONG(MPI_ERR_TYPE, Neighbor_alltoallw, Ineighbor_alltoallw, a, a, places, none, b, a, places,
          none, comm);
    WRONG(MPI_ERR_TOPOLOGY, Neighbor_allgather, Ineighbor_allgather, a, 1, MPI_INT, b, 1, MPI_INT,
          MPI_COMM_WORLD);
    WRONG(MPI_ERR_COMM, Neighbor_alltoallw, Ineighbor_alltoallw, a, a, places, none, b, a, places,
          none, MPI_COMM_NULL);
    WRONG(MPI_ERR_TOPOLOGY, Neighbor_alltoallv, Ineighbor_alltoallv, a, a, a, MPI_INT, b, a, a,
          MPI_INT, MPI_COMM_WORLD);
    WRONG(MPI_ERR_TOPOLOGY, Neighbor_allgatherv, Ineighbor_allgatherv, a, 1, MPI_INT, b, a, a,
          MPI_INT, MPI_COMM_WORLD);
}

/* The end of its communicator. */
static void
check_neighbours(struct neighbours *n)
{
    static const int counts[] = {1, 300, 5000};

    OK(MPI_Comm_set_errhandler(n->comm, MPI_ERRORS_RETURN));
    for (int form = 0; form < 2; form++) {
        is_later = form == 1;
        for (int c = 0; c < 3; c++) {
            check_neighbour_gathers(n, counts[c]);
            check_neighbour_exchanges(n, counts[c]);
        }
    }
    check_wrong_neighbours(n->comm);
    OK(MPI_Comm_free(&n->comm));
}

/* A row, whose ends have no neighbour, and a ring: with less than three members a ring's
 * neighbours are one and the same. */
static void
check_rows(void)
{
    struct neighbours n = {.sources = 2, .destinations = 2};

    for (int is_ring = 0; is_ring < (size < 3 ? 1 : 2); is_ring++) {
        n.from[0] = rank > 0 ? rank - 1 : is_ring ? size - 1 : MPI_PROC_NULL;
        n.from[1] = rank < size - 1 ? rank + 1 : is_ring ? 0 : MPI_PROC_NULL;
        memcpy(n.to, n.from, sizeof(n.to));
        OK(MPI_Cart_create(MPI_COMM_WORLD, 1, &size, &is_ring, 0, &n.comm));
        check_neighbours(&n);
    }
}

/* Each one has up to three behind it that it sends to. */
static void
check_graph(void)
{
    struct neighbours n = {.sources = size < NEIGHBOURS_MAX ? size : NEIGHBOURS_MAX};

    n.destinations = n.sources;
    for (int i = 0; i < n.sources; i++) {
        n.from[i] = (rank - i + size) % size;
        n.to[i] = (rank + i) % size;
    }
    OK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, n.sources, n.from, MPI_UNWEIGHTED,
                                      n.destinations, n.to, MPI_UNWEIGHTED, MPI_INFO_NULL, 0,
                                      &n.comm));
    check_neighbours(&n);
}

int
main(int argc, char **argv)
{
    begin(&argc, &argv);
    if (size > 1)
        check_between();
    check_rows();
    check_graph();
    return end();
}
