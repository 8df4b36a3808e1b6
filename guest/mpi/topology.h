/* SPDX-License-Identifier: Apache-2.0
 *
 * topology: what a communicator has of chapter 7 of MPI 3.1: a grid, a graph that all members know,
 * or one of which each knows its own edges. topology.c asks, topology_make.c makes communicators
 * that have one, neighbor.c sends along the edges.
 */
#ifndef WEFT_MPI_TOPOLOGY_H
#define WEFT_MPI_TOPOLOGY_H

#include "core.h"

/* One allocation: all lists are in values, one after the other. */
struct mpi_topology {
    int kind;         /* MPI_CART, MPI_GRAPH, MPI_DIST_GRAPH */
    int dims;         /* grid: dims, periods, coords; then neighbours: 2 * dims */
    int nodes, edges; /* graph: index, edges */
    int in, out;      /* own edges: sources, their weights, destinations, their weights */
    bool is_weighted;
    int count;
    int values[];
};

/* NULL: no memory. */
struct mpi_topology *mpi_topology_create(int kind, int count);
/* NULL of NULL. MPI_ERR_NO_MEM. */
int mpi_topology_copy(const struct mpi_topology *topology, struct mpi_topology **out);
void mpi_topology_destroy(struct mpi_topology *topology); /* NULL is fine */

/* A new one for a grid in which this member has a rank; dims and periods as MPI_Cart_create has
 * them. NULL: no memory. */
struct mpi_topology *mpi_topology_grid(int ndims, const int *dims, const int *periods, int rank);
/* Where a rank is: one number for each dimension. */
void mpi_topology_coords(const struct mpi_topology *grid, int rank, int *coords);
/* The rank at coordinates; MPI_PROC_NULL: beyond an edge. */
int mpi_topology_place(const struct mpi_topology *grid, const int *coords);

/* A communicator that has one of a kind: MPI_ERR_COMM, MPI_ERR_TOPOLOGY. */
int mpi_topology_find(MPI_Comm comm, int kind, struct mpi_comm **out);

/* Whom a member hears and tells, in the order of its buffers; may be MPI_PROC_NULL. */
struct mpi_neighbors {
    int in, out;
    const int *sources, *destinations;
};
/* MPI_ERR_TOPOLOGY: it has none. */
int mpi_topology_neighbors(const struct mpi_comm *comm, struct mpi_neighbors *out);

#endif
