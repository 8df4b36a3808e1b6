/* SPDX-License-Identifier: Apache-2.0
 *
 * topology_make: communicators with a grid or graph (MPI 3.1, 7.5). Ranks stay as they are: the new
 * one's members are the first of the old, or some in the same order. Where nothing is known of how
 * members lie, reordering has nothing to win.
 */
#include <stdlib.h>
#include <string.h>

#include "collective.h"
#include "comm.h"
#include "topology.h"

/* A new communicator: takes group and topology, NULL where this member is not in it. Members agree
 * on the context also where one of them had no memory (err), for the others wait for it. */
static int
make(struct mpi_comm *comm, struct mpi_group *group, struct mpi_topology *topology, int err,
     MPI_Comm *out)
{
    uint32_t context = 0;
    struct mpi_comm *made;
    int agreed = mpi_context_agree(comm, &context);

    *out = MPI_COMM_NULL;
    if (err == MPI_SUCCESS)
        err = agreed;
    if (err != MPI_SUCCESS || group == NULL) {
        mpi_group_put(group);
        mpi_topology_destroy(topology);
        return err;
    }
    err = mpi_comm_create(context, group, NULL, comm, &made);
    if (err != MPI_SUCCESS) {
        mpi_topology_destroy(topology);
        return err;
    }
    made->topology = topology;
    *out = made->handle;
    return MPI_SUCCESS;
}

/* The same for the first members, of which this is one if it has a topology. */
static int
make_first(struct mpi_comm *comm, int members, struct mpi_topology *topology, MPI_Comm *out)
{
    bool is_in = comm->rank < members;
    struct mpi_group *group = is_in ? mpi_group_create(members) : NULL;
    int err = is_in && (group == NULL || topology == NULL) ? MPI_ERR_NO_MEM : MPI_SUCCESS;

    if (group != NULL) {
        memcpy(group->members, comm->group->members, (size_t)members * sizeof(group->members[0]));
        mpi_group_finish(group);
    }
    return make(comm, group, topology, err, out);
}

static int
intra_find(MPI_Comm comm, struct mpi_comm **out)
{
    int err = mpi_comm_find(comm, out);

    return err == MPI_SUCCESS && (*out)->remote != NULL ? MPI_ERR_COMM : err;
}

/* --------------------------------------------------------------------------- grids */

/* The members of a grid, at most `most`. */
static int
grid_check(int ndims, const int *dims, const int *periods, int most, int *members)
{
    int64_t product = 1;

    if (ndims < 0)
        return MPI_ERR_DIMS;
    if (ndims > 0 && (dims == NULL || periods == NULL))
        return MPI_ERR_ARG;
    for (int i = 0; i < ndims; i++) {
        if (dims[i] <= 0)
            return MPI_ERR_DIMS;
        product *= dims[i];
        if (product > most)
            return MPI_ERR_DIMS;
    }
    *members = (int)product;
    return MPI_SUCCESS;
}

int
PMPI_Cart_create(MPI_Comm comm_old, int ndims, const int dims[], const int periods[], int reorder,
                 MPI_Comm *comm_cart)
{
    struct mpi_comm *comm = NULL;
    struct mpi_topology *grid = NULL;
    int err, members = 0;

    (void)reorder;
    mpi_lock();
    *comm_cart = MPI_COMM_NULL;
    err = intra_find(comm_old, &comm);
    if (err == MPI_SUCCESS)
        err = grid_check(ndims, dims, periods, comm->size, &members);
    if (err == MPI_SUCCESS) {
        if (comm->rank < members)
            grid = mpi_topology_grid(ndims, dims, periods, comm->rank);
        err = make_first(comm, members, grid, comm_cart);
    }
    return mpi_leave(comm, "MPI_Cart_create", err);
}
MPI_NAMES(Cart_create);

int
PMPI_Cart_map(MPI_Comm comm, int ndims, const int dims[], const int periods[], int *newrank)
{
    struct mpi_comm *found = NULL;
    int err, members = 0;

    mpi_lock();
    err = intra_find(comm, &found);
    if (err == MPI_SUCCESS && periods == NULL)
        periods = dims; /* they do not matter here */
    if (err == MPI_SUCCESS)
        err = grid_check(ndims, dims, periods, found->size, &members);
    if (err == MPI_SUCCESS)
        *newrank = found->rank < members ? found->rank : MPI_UNDEFINED;
    return mpi_leave(found, "MPI_Cart_map", err);
}
MPI_NAMES(Cart_map);

/* What of a grid remains, and who is at the same place in the dimensions that do not. */
struct slice {
    const struct mpi_comm *comm;
    const int *remain;
    int dims, members, rank;
    int *values; /* owned: dims and periods of the slice; then the coordinates of one member */
};

static bool
is_in_slice(const struct slice *slice, int rank)
{
    const struct mpi_topology *grid = slice->comm->topology;
    int *coords = slice->values + 2 * grid->dims;

    mpi_topology_coords(grid, rank, coords);
    for (int i = 0; i < grid->dims; i++)
        if (!slice->remain[i] && coords[i] != grid->values[2 * grid->dims + i])
            return false;
    return true;
}

static int
slice_find(const struct mpi_comm *comm, const int *remain, struct slice *slice)
{
    const struct mpi_topology *grid = comm->topology;

    *slice = (struct slice){.comm = comm, .remain = remain, .members = 1};
    slice->values = malloc((3 * (size_t)grid->dims + 1) * sizeof(int));
    if (slice->values == NULL)
        return MPI_ERR_NO_MEM;
    for (int i = 0; i < grid->dims; i++) {
        if (!remain[i])
            continue;
        slice->values[slice->dims] = grid->values[i];
        slice->values[grid->dims + slice->dims] = grid->values[grid->dims + i];
        slice->members *= grid->values[i];
        slice->dims++;
    }
    return MPI_SUCCESS;
}

static struct mpi_group *
slice_group(struct slice *slice)
{
    struct mpi_group *group = mpi_group_create(slice->members);
    int count = 0;

    for (int i = 0; group != NULL && i < slice->comm->size; i++)
        if (is_in_slice(slice, i))
            group->members[count++] = slice->comm->group->members[i];
    if (group != NULL)
        mpi_group_finish(group);
    return group;
}

/* A slice without dimensions is a point, as MPI_Cart_create makes it: the first member's. */
static int
cart_sub(struct mpi_comm *comm, const int *remain, MPI_Comm *out)
{
    int dims = comm->topology->dims;
    struct mpi_topology *grid = NULL;
    struct mpi_group *group = NULL;
    struct slice slice;
    int err = slice_find(comm, remain, &slice);

    if (err == MPI_SUCCESS && (slice.dims > 0 || comm->rank == 0)) {
        group = slice_group(&slice);
        if (group != NULL)
            grid = mpi_topology_grid(slice.dims, slice.values, slice.values + dims, group->rank);
        if (grid == NULL)
            err = MPI_ERR_NO_MEM;
    }
    free(slice.values);
    return make(comm, group, grid, err, out);
}

int
PMPI_Cart_sub(MPI_Comm comm, const int remain_dims[], MPI_Comm *newcomm)
{
    struct mpi_comm *found = NULL;
    int err;

    mpi_lock();
    *newcomm = MPI_COMM_NULL;
    err = mpi_topology_find(comm, MPI_CART, &found);
    if (err == MPI_SUCCESS && remain_dims == NULL && found->topology->dims > 0)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS)
        err = cart_sub(found, remain_dims, newcomm);
    return mpi_leave(found, "MPI_Cart_sub", err);
}
MPI_NAMES(Cart_sub);

/* -------------------------------------------------------------------------- graphs */

static int
graph_check(int nodes, const int *indx, const int *edges, int most)
{
    int before = 0;

    if (nodes < 0 || nodes > most || (nodes > 0 && indx == NULL))
        return MPI_ERR_ARG;
    for (int i = 0; i < nodes; i++) {
        if (indx[i] < before)
            return MPI_ERR_ARG;
        before = indx[i];
    }
    if (before > 0 && edges == NULL)
        return MPI_ERR_ARG;
    for (int i = 0; i < before; i++)
        if (edges[i] < 0 || edges[i] >= nodes)
            return MPI_ERR_ARG;
    return MPI_SUCCESS;
}

static struct mpi_topology *
graph_create(int nodes, const int *indx, const int *edges)
{
    int count = indx[nodes - 1];
    struct mpi_topology *graph = mpi_topology_create(MPI_GRAPH, nodes + count);

    if (graph == NULL)
        return NULL;
    graph->nodes = nodes;
    graph->edges = count;
    memcpy(graph->values, indx, (size_t)nodes * sizeof(int));
    if (count > 0)
        memcpy(graph->values + nodes, edges, (size_t)count * sizeof(int));
    return graph;
}

int
PMPI_Graph_create(MPI_Comm comm_old, int nnodes, const int indx[], const int edges[], int reorder,
                  MPI_Comm *comm_graph)
{
    struct mpi_comm *comm = NULL;
    struct mpi_topology *graph = NULL;
    int err;

    (void)reorder;
    mpi_lock();
    *comm_graph = MPI_COMM_NULL;
    err = intra_find(comm_old, &comm);
    if (err == MPI_SUCCESS)
        err = graph_check(nnodes, indx, edges, comm->size);
    if (err == MPI_SUCCESS && nnodes > 0) {
        if (comm->rank < nnodes)
            graph = graph_create(nnodes, indx, edges);
        err = make_first(comm, nnodes, graph, comm_graph);
    }
    return mpi_leave(comm, "MPI_Graph_create", err);
}
MPI_NAMES(Graph_create);

int
PMPI_Graph_map(MPI_Comm comm, int nnodes, const int indx[], const int edges[], int *newrank)
{
    struct mpi_comm *found = NULL;
    int err;

    mpi_lock();
    err = intra_find(comm, &found);
    if (err == MPI_SUCCESS && nnodes < 1)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS)
        err = graph_check(nnodes, indx, edges, found->size);
    if (err == MPI_SUCCESS)
        *newrank = found->rank < nnodes ? found->rank : MPI_UNDEFINED;
    return mpi_leave(found, "MPI_Graph_map", err);
}
MPI_NAMES(Graph_map);

/* ---------------------------------------------------- graphs of which each knows its own */

static bool
has_weights(const int *weights)
{
    return weights != MPI_UNWEIGHTED;
}

/* Some edges of one member, as the program has them. */
static int
edges_check(const struct mpi_comm *comm, int count, const int *ranks, const int *weights)
{
    if (count < 0)
        return MPI_ERR_ARG;
    if (count > 0 && (ranks == NULL || weights == NULL || weights == MPI_WEIGHTS_EMPTY))
        return MPI_ERR_ARG;
    for (int i = 0; i < count; i++) {
        if (ranks[i] < 0 || ranks[i] >= comm->size)
            return MPI_ERR_RANK;
        if (has_weights(weights) && weights[i] < 0)
            return MPI_ERR_ARG;
    }
    return MPI_SUCCESS;
}

static void
edges_set(int *to, int count, const int *ranks, const int *weights)
{
    for (int i = 0; i < count; i++) {
        to[i] = ranks[i];
        to[count + i] = has_weights(weights) ? weights[i] : 1;
    }
}

static struct mpi_topology *
dist_graph_create(int in, int out, bool is_weighted)
{
    struct mpi_topology *graph = mpi_topology_create(MPI_DIST_GRAPH, 2 * (in + out));

    if (graph == NULL)
        return NULL;
    graph->in = in;
    graph->out = out;
    graph->is_weighted = is_weighted;
    return graph;
}

int
PMPI_Dist_graph_create_adjacent(MPI_Comm comm_old, int indegree, const int sources[],
                                const int sourceweights[], int outdegree, const int destinations[],
                                const int destweights[], MPI_Info info, int reorder,
                                MPI_Comm *comm_dist_graph)
{
    struct mpi_topology *graph;
    struct mpi_comm *comm = NULL;
    struct mpi_info *hints;
    int err;

    (void)reorder;
    mpi_lock();
    *comm_dist_graph = MPI_COMM_NULL;
    err = intra_find(comm_old, &comm);
    if (err == MPI_SUCCESS)
        err = mpi_info_find(info, &hints);
    if (err == MPI_SUCCESS)
        err = edges_check(comm, indegree, sources, sourceweights);
    if (err == MPI_SUCCESS)
        err = edges_check(comm, outdegree, destinations, destweights);
    if (err == MPI_SUCCESS) {
        graph = dist_graph_create(indegree, outdegree,
                                  has_weights(sourceweights) && has_weights(destweights));
        if (graph != NULL) {
            edges_set(graph->values, indegree, sources, sourceweights);
            edges_set(graph->values + 2 * indegree, outdegree, destinations, destweights);
        }
        err = make_first(comm, comm->size, graph, comm_dist_graph);
    }
    return mpi_leave(comm, "MPI_Dist_graph_create_adjacent", err);
}
MPI_NAMES(Dist_graph_create_adjacent);

/* Any member may name any edge: all are told to all, and each keeps its own. */
struct edge {
    int from, to, weight;
};

struct edges {
    struct edge *edges; /* owned */
    int count;
};

static int
named_check(const struct mpi_comm *comm, int n, const int *sources, const int *degrees, int *count)
{
    int64_t sum = 0;

    if (n < 0 || (n > 0 && (sources == NULL || degrees == NULL)))
        return MPI_ERR_ARG;
    for (int i = 0; i < n; i++) {
        if (sources[i] < 0 || sources[i] >= comm->size)
            return MPI_ERR_RANK;
        if (degrees[i] < 0)
            return MPI_ERR_ARG;
        sum += degrees[i];
    }
    *count = (int)sum;
    return sum < INT32_MAX / (int)sizeof(struct edge) ? MPI_SUCCESS : MPI_ERR_ARG;
}

struct named {
    int n, count; /* sources; edges of them all */
    const int *sources, *degrees, *destinations, *weights;
};

static void
named_set(const struct named *named, struct edge *edges)
{
    int at = 0;

    for (int i = 0; i < named->n; i++)
        for (int end = at + named->degrees[i]; at < end; at++)
            edges[at] = (struct edge){named->sources[i], named->destinations[at],
                                      has_weights(named->weights) ? named->weights[at] : 1};
}

/* counts: of each member's edges; then where they begin. In bytes. */
static int
edges_gather(struct mpi_comm *comm, const struct named *named, int *counts, struct edges *all)
{
    int *displs = counts + comm->size;
    struct mpi_side side = mpi_side_v(NULL, counts, displs, MPI_BYTE);
    struct mpi_schedule *schedule;
    int bytes = 0;

    for (int i = 0; i < comm->size; i++) {
        displs[i] = bytes;
        bytes += counts[i];
    }
    all->count = bytes / (int)sizeof(struct edge);
    all->edges = malloc((size_t)bytes + 1);
    schedule = mpi_schedule_create(comm, "MPI_Dist_graph_create");
    if (all->edges == NULL || schedule == NULL) {
        if (schedule != NULL)
            mpi_schedule_destroy(schedule);
        return MPI_ERR_NO_MEM;
    }
    named_set(named, all->edges + displs[comm->rank] / (int)sizeof(struct edge));
    side.buffer = all->edges;
    side.type = mpi_type_byte();
    mpi_write_allgatherv(schedule, comm, &side);
    return mpi_schedule_run(schedule);
}

static struct mpi_topology *
own_edges(const struct mpi_comm *comm, const struct edges *all, bool is_weighted)
{
    struct mpi_topology *graph;
    int in = 0, out = 0, *sources, *destinations;

    for (int i = 0; i < all->count; i++) {
        in += all->edges[i].to == comm->rank;
        out += all->edges[i].from == comm->rank;
    }
    graph = dist_graph_create(in, out, is_weighted);
    if (graph == NULL)
        return NULL;
    sources = graph->values;
    destinations = graph->values + 2 * in;
    for (int i = 0; i < all->count; i++) {
        const struct edge *edge = &all->edges[i];

        if (edge->to == comm->rank) {
            sources[in] = edge->weight;
            *sources++ = edge->from;
        }
        if (edge->from == comm->rank) {
            destinations[out] = edge->weight;
            *destinations++ = edge->to;
        }
    }
    return graph;
}

static int
dist_graph_make(struct mpi_comm *comm, const struct named *named, MPI_Comm *out)
{
    int *counts = malloc(2 * (size_t)comm->size * sizeof(*counts));
    int own = named->count * (int)sizeof(struct edge);
    struct mpi_topology *graph = NULL;
    struct edges all = {0};
    int err = MPI_ERR_NO_MEM;

    if (counts != NULL)
        err = mpi_collective_allgather(comm, &own, counts, sizeof(own));
    if (err == MPI_SUCCESS)
        err = edges_gather(comm, named, counts, &all);
    if (err == MPI_SUCCESS)
        graph = own_edges(comm, &all, has_weights(named->weights));
    free(counts);
    free(all.edges);
    return err != MPI_SUCCESS ? err : make_first(comm, comm->size, graph, out);
}

int
PMPI_Dist_graph_create(MPI_Comm comm_old, int n, const int sources[], const int degrees[],
                       const int destinations[], const int weights[], MPI_Info info, int reorder,
                       MPI_Comm *comm_dist_graph)
{
    struct named named = {n, 0, sources, degrees, destinations, weights};
    struct mpi_comm *comm = NULL;
    struct mpi_info *hints;
    int err;

    (void)reorder;
    mpi_lock();
    *comm_dist_graph = MPI_COMM_NULL;
    err = intra_find(comm_old, &comm);
    if (err == MPI_SUCCESS)
        err = mpi_info_find(info, &hints);
    if (err == MPI_SUCCESS)
        err = named_check(comm, n, sources, degrees, &named.count);
    if (err == MPI_SUCCESS)
        err = edges_check(comm, named.count, destinations, weights);
    if (err == MPI_SUCCESS)
        err = dist_graph_make(comm, &named, comm_dist_graph);
    return mpi_leave(comm, "MPI_Dist_graph_create", err);
}
MPI_NAMES(Dist_graph_create);
