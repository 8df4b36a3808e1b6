/* SPDX-License-Identifier: Apache-2.0
 *
 * topology: what a communicator knows of its grid or graph (MPI 3.1, 7.5).
 */
#include "topology.h"

#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------- life */

struct mpi_topology *
mpi_topology_create(int kind, int count)
{
    struct mpi_topology *topology =
        calloc(1, sizeof(*topology) + (size_t)count * sizeof(topology->values[0]));

    if (topology == NULL)
        return NULL;
    topology->kind = kind;
    topology->count = count;
    return topology;
}

int
mpi_topology_copy(const struct mpi_topology *topology, struct mpi_topology **out)
{
    struct mpi_topology *copy = NULL;

    if (topology != NULL) {
        copy = mpi_topology_create(topology->kind, topology->count);
        if (copy == NULL)
            return MPI_ERR_NO_MEM;
        memcpy(copy, topology,
               sizeof(*topology) + (size_t)topology->count * sizeof(topology->values[0]));
    }
    *out = copy;
    return MPI_SUCCESS;
}

void
mpi_topology_destroy(struct mpi_topology *topology)
{
    free(topology);
}

/* --------------------------------------------------------------------------- grids */

static const int *
periods_of(const struct mpi_topology *grid)
{
    return grid->values + grid->dims;
}

static const int *
coords_of(const struct mpi_topology *grid)
{
    return grid->values + 2 * grid->dims;
}

int
mpi_topology_place(const struct mpi_topology *grid, const int *coords)
{
    int rank = 0;

    for (int i = 0; i < grid->dims; i++) {
        int size = grid->values[i], at = coords[i];

        if (periods_of(grid)[i])
            at = (at % size + size) % size;
        else if (at < 0 || at >= size)
            return MPI_PROC_NULL;
        rank = rank * size + at;
    }
    return rank;
}

void
mpi_topology_coords(const struct mpi_topology *grid, int rank, int *coords)
{
    for (int i = grid->dims - 1; i >= 0; i--) {
        coords[i] = rank % grid->values[i];
        rank /= grid->values[i];
    }
}

/* The rank that many further in a direction. */
static int
shifted(const struct mpi_topology *grid, int direction, int distance)
{
    int size = grid->values[direction], at = coords_of(grid)[direction], stride = 1;
    int64_t to = (int64_t)at + distance;

    if (periods_of(grid)[direction])
        to = (to % size + size) % size;
    else if (to < 0 || to >= size)
        return MPI_PROC_NULL;
    for (int i = direction + 1; i < grid->dims; i++)
        stride *= grid->values[i];
    return mpi_topology_place(grid, coords_of(grid)) + (int)(to - at) * stride;
}

struct mpi_topology *
mpi_topology_grid(int ndims, const int *dims, const int *periods, int rank)
{
    struct mpi_topology *grid = mpi_topology_create(MPI_CART, 5 * ndims);
    int *neighbors;

    if (grid == NULL)
        return NULL;
    grid->dims = ndims;
    for (int i = 0; i < ndims; i++) {
        grid->values[i] = dims[i];
        grid->values[ndims + i] = periods[i] != 0;
    }
    mpi_topology_coords(grid, rank, grid->values + 2 * ndims);
    neighbors = grid->values + 3 * ndims;
    for (int i = 0; i < ndims; i++) {
        neighbors[2 * i] = shifted(grid, i, -1);
        neighbors[2 * i + 1] = shifted(grid, i, 1);
    }
    return grid;
}

/* ------------------------------------------------------------------------- asking */

int
mpi_topology_find(MPI_Comm comm, int kind, struct mpi_comm **out)
{
    int err = mpi_comm_find(comm, out);

    if (err != MPI_SUCCESS)
        return err;
    return (*out)->topology != NULL && (*out)->topology->kind == kind ? MPI_SUCCESS
                                                                      : MPI_ERR_TOPOLOGY;
}

/* Neighbours of a rank in a graph: from the index of the rank before. */
static int
graph_neighbors(const struct mpi_topology *graph, int rank, const int **out)
{
    int begin = rank > 0 ? graph->values[rank - 1] : 0;

    *out = graph->values + graph->nodes + begin;
    return graph->values[rank] - begin;
}

int
mpi_topology_neighbors(const struct mpi_comm *comm, struct mpi_neighbors *out)
{
    const struct mpi_topology *topology = comm->topology;

    if (topology == NULL)
        return MPI_ERR_TOPOLOGY;
    if (topology->kind == MPI_DIST_GRAPH) {
        *out = (struct mpi_neighbors){topology->in, topology->out, topology->values,
                                      topology->values + 2 * topology->in};
        return MPI_SUCCESS;
    }
    if (topology->kind == MPI_CART) {
        out->in = 2 * topology->dims;
        out->sources = topology->values + 3 * topology->dims;
    } else {
        out->in = graph_neighbors(topology, comm->rank, &out->sources);
    }
    out->out = out->in;
    out->destinations = out->sources;
    return MPI_SUCCESS;
}

static void
copy(int *to, const int *from, int count)
{
    if (count > 0)
        memcpy(to, from, (size_t)count * sizeof(*to));
}

static int
least(int one, int other)
{
    return one < other ? one : other;
}

int
PMPI_Topo_test(MPI_Comm comm, int *status)
{
    struct mpi_comm *found = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &found);
    if (err == MPI_SUCCESS)
        *status = found->topology != NULL ? found->topology->kind : MPI_UNDEFINED;
    return mpi_leave(found, "MPI_Topo_test", err);
}
MPI_NAMES(Topo_test);

int
PMPI_Cartdim_get(MPI_Comm comm, int *ndims)
{
    struct mpi_comm *found = NULL;
    int err;

    mpi_lock();
    err = mpi_topology_find(comm, MPI_CART, &found);
    if (err == MPI_SUCCESS)
        *ndims = found->topology->dims;
    return mpi_leave(found, "MPI_Cartdim_get", err);
}
MPI_NAMES(Cartdim_get);

int
PMPI_Cart_get(MPI_Comm comm, int maxdims, int dims[], int periods[], int coords[])
{
    struct mpi_comm *found = NULL;
    const struct mpi_topology *grid;
    int err;

    mpi_lock();
    err = mpi_topology_find(comm, MPI_CART, &found);
    if (err == MPI_SUCCESS && maxdims < found->topology->dims)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS) {
        grid = found->topology;
        copy(dims, grid->values, grid->dims);
        copy(periods, periods_of(grid), grid->dims);
        copy(coords, coords_of(grid), grid->dims);
    }
    return mpi_leave(found, "MPI_Cart_get", err);
}
MPI_NAMES(Cart_get);

int
PMPI_Cart_rank(MPI_Comm comm, const int coords[], int *rank)
{
    struct mpi_comm *found = NULL;
    int err, place = 0;

    mpi_lock();
    err = mpi_topology_find(comm, MPI_CART, &found);
    if (err == MPI_SUCCESS && coords == NULL && found->topology->dims > 0)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS)
        place = mpi_topology_place(found->topology, coords);
    if (place == MPI_PROC_NULL)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS)
        *rank = place;
    return mpi_leave(found, "MPI_Cart_rank", err);
}
MPI_NAMES(Cart_rank);

int
PMPI_Cart_coords(MPI_Comm comm, int rank, int maxdims, int coords[])
{
    struct mpi_comm *found = NULL;
    int err;

    mpi_lock();
    err = mpi_topology_find(comm, MPI_CART, &found);
    if (err == MPI_SUCCESS && (rank < 0 || rank >= found->size))
        err = MPI_ERR_RANK;
    if (err == MPI_SUCCESS && maxdims < found->topology->dims)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS)
        mpi_topology_coords(found->topology, rank, coords);
    return mpi_leave(found, "MPI_Cart_coords", err);
}
MPI_NAMES(Cart_coords);

int
PMPI_Cart_shift(MPI_Comm comm, int direction, int disp, int *rank_source, int *rank_dest)
{
    struct mpi_comm *found = NULL;
    int err;

    mpi_lock();
    err = mpi_topology_find(comm, MPI_CART, &found);
    if (err == MPI_SUCCESS && (direction < 0 || direction >= found->topology->dims))
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS && disp == INT32_MIN)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS) {
        *rank_source = shifted(found->topology, direction, -disp);
        *rank_dest = shifted(found->topology, direction, disp);
    }
    return mpi_leave(found, "MPI_Cart_shift", err);
}
MPI_NAMES(Cart_shift);

int
PMPI_Graphdims_get(MPI_Comm comm, int *nnodes, int *nedges)
{
    struct mpi_comm *found = NULL;
    int err;

    mpi_lock();
    err = mpi_topology_find(comm, MPI_GRAPH, &found);
    if (err == MPI_SUCCESS) {
        *nnodes = found->topology->nodes;
        *nedges = found->topology->edges;
    }
    return mpi_leave(found, "MPI_Graphdims_get", err);
}
MPI_NAMES(Graphdims_get);

int
PMPI_Graph_get(MPI_Comm comm, int maxindex, int maxedges, int indx[], int edges[])
{
    struct mpi_comm *found = NULL;
    const struct mpi_topology *graph;
    int err;

    mpi_lock();
    err = mpi_topology_find(comm, MPI_GRAPH, &found);
    if (err == MPI_SUCCESS && (maxindex < 0 || maxedges < 0))
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS) {
        graph = found->topology;
        copy(indx, graph->values, least(maxindex, graph->nodes));
        copy(edges, graph->values + graph->nodes, least(maxedges, graph->edges));
    }
    return mpi_leave(found, "MPI_Graph_get", err);
}
MPI_NAMES(Graph_get);

static int
graph_find(MPI_Comm comm, int rank, struct mpi_comm **out)
{
    int err = mpi_topology_find(comm, MPI_GRAPH, out);

    if (err != MPI_SUCCESS)
        return err;
    return rank >= 0 && rank < (*out)->size ? MPI_SUCCESS : MPI_ERR_RANK;
}

int
PMPI_Graph_neighbors_count(MPI_Comm comm, int rank, int *nneighbors)
{
    struct mpi_comm *found = NULL;
    const int *neighbors;
    int err;

    mpi_lock();
    err = graph_find(comm, rank, &found);
    if (err == MPI_SUCCESS)
        *nneighbors = graph_neighbors(found->topology, rank, &neighbors);
    return mpi_leave(found, "MPI_Graph_neighbors_count", err);
}
MPI_NAMES(Graph_neighbors_count);

int
PMPI_Graph_neighbors(MPI_Comm comm, int rank, int maxneighbors, int neighbors[])
{
    struct mpi_comm *found = NULL;
    const int *from;
    int err, count;

    mpi_lock();
    err = graph_find(comm, rank, &found);
    if (err == MPI_SUCCESS && maxneighbors < 0)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS) {
        count = graph_neighbors(found->topology, rank, &from);
        copy(neighbors, from, least(maxneighbors, count));
    }
    return mpi_leave(found, "MPI_Graph_neighbors", err);
}
MPI_NAMES(Graph_neighbors);

int
PMPI_Dist_graph_neighbors_count(MPI_Comm comm, int *indegree, int *outdegree, int *weighted)
{
    struct mpi_comm *found = NULL;
    int err;

    mpi_lock();
    err = mpi_topology_find(comm, MPI_DIST_GRAPH, &found);
    if (err == MPI_SUCCESS) {
        *indegree = found->topology->in;
        *outdegree = found->topology->out;
        *weighted = found->topology->is_weighted;
    }
    return mpi_leave(found, "MPI_Dist_graph_neighbors_count", err);
}
MPI_NAMES(Dist_graph_neighbors_count);

/* ranks has those of all edges, then their weights. */
static void
edges_copy(const struct mpi_topology *graph, const int *ranks, int edges, int max, int *to,
           int *weights)
{
    copy(to, ranks, least(edges, max));
    if (graph->is_weighted && weights != MPI_UNWEIGHTED && weights != MPI_WEIGHTS_EMPTY)
        copy(weights, ranks + edges, least(edges, max));
}

int
PMPI_Dist_graph_neighbors(MPI_Comm comm, int maxindegree, int sources[], int sourceweights[],
                          int maxoutdegree, int destinations[], int destweights[])
{
    struct mpi_comm *found = NULL;
    const struct mpi_topology *graph;
    int err;

    mpi_lock();
    err = mpi_topology_find(comm, MPI_DIST_GRAPH, &found);
    if (err == MPI_SUCCESS && (maxindegree < 0 || maxoutdegree < 0))
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS) {
        graph = found->topology;
        edges_copy(graph, graph->values, graph->in, maxindegree, sources, sourceweights);
        edges_copy(graph, graph->values + 2 * graph->in, graph->out, maxoutdegree, destinations,
                   destweights);
    }
    return mpi_leave(found, "MPI_Dist_graph_neighbors", err);
}
MPI_NAMES(Dist_graph_neighbors);
