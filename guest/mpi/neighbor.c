/* SPDX-License-Identifier: Apache-2.0
 *
 * neighbor: collectives along the edges of a topology (MPI 3.1, 7.6 and 7.7). All that a member
 * receives and sends is one round.
 *
 * Where two edges join the same members, messages match in the order of the neighbours' lists. In a
 * grid that would join what went up with what came from above where a dimension has one or two
 * members: there the receive from above is posted first, for what was sent down.
 */
#include "collective.h"
#include "topology.h"

static void
receives_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
               const struct mpi_comm *comm, const struct mpi_neighbors *neighbors)
{
    int other = comm->topology->kind == MPI_CART ? 1 : 0;

    for (int i = 0; i < neighbors->in; i++) {
        int from = neighbors->sources[i ^ other];

        if (from != MPI_PROC_NULL)
            mpi_write_receive_some(schedule, mpi_side_block(&call->receive, i ^ other), from);
    }
}

static void
alltoall_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
               const struct mpi_comm *comm)
{
    struct mpi_neighbors neighbors = {0};

    (void)mpi_topology_neighbors(comm, &neighbors);
    receives_write(call, schedule, comm, &neighbors);
    for (int i = 0; i < neighbors.out; i++)
        if (neighbors.destinations[i] != MPI_PROC_NULL)
            mpi_write_send_some(schedule, mpi_side_block(&call->send, i),
                                neighbors.destinations[i]);
}

static void
allgather_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
                const struct mpi_comm *comm)
{
    struct mpi_neighbors neighbors = {0};

    (void)mpi_topology_neighbors(comm, &neighbors);
    receives_write(call, schedule, comm, &neighbors);
    for (int i = 0; i < neighbors.out; i++)
        if (neighbors.destinations[i] != MPI_PROC_NULL)
            mpi_write_send_some(schedule, mpi_side_blocks(&call->send, 0, 1),
                                neighbors.destinations[i]);
}

/* ----------------------------------------------------------------------- arguments */

static int
receive_check(struct mpi_collective *call, const struct mpi_comm *comm,
              struct mpi_neighbors *neighbors)
{
    int err = mpi_topology_neighbors(comm, neighbors);

    if (err == MPI_SUCCESS)
        err = mpi_not_in_place(&call->send);
    if (err == MPI_SUCCESS)
        err = mpi_not_in_place(&call->receive);
    if (err == MPI_SUCCESS)
        err = mpi_sides_check(&call->receive, neighbors->in);
    return err;
}

static int
allgather_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    struct mpi_neighbors neighbors;
    int err = receive_check(call, comm, &neighbors);

    return err != MPI_SUCCESS ? err : mpi_side_check(&call->send);
}

static int
alltoall_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    struct mpi_neighbors neighbors;
    int err = receive_check(call, comm, &neighbors);

    return err != MPI_SUCCESS ? err : mpi_sides_check(&call->send, neighbors.out);
}

static const struct mpi_collective_kind neighbor_allgather = {.check = allgather_check,
                                                              .write = allgather_write};
static const struct mpi_collective_kind neighbor_alltoall = {.check = alltoall_check,
                                                             .write = alltoall_write};

static struct mpi_side
side_w(const void *buffer, const int *counts, const MPI_Aint *offsets,
       const MPI_Datatype *datatypes)
{
    return (struct mpi_side){
        .buffer = buffer, .counts = counts, .long_offsets = offsets, .datatypes = datatypes};
}

int
PMPI_Neighbor_allgather(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
                        int recvcount, MPI_Datatype recvtype, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
    };

    return mpi_collective_run(&call, &neighbor_allgather, comm, "MPI_Neighbor_allgather");
}
MPI_NAMES(Neighbor_allgather);

int
PMPI_Ineighbor_allgather(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
                         int recvcount, MPI_Datatype recvtype, MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
    };

    return mpi_collective_begin(&call, &neighbor_allgather, comm, request,
                                "MPI_Ineighbor_allgather");
}
MPI_NAMES(Ineighbor_allgather);

int
PMPI_Neighbor_allgatherv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
                         const int recvcounts[], const int displs[], MPI_Datatype recvtype,
                         MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side_v(recvbuf, recvcounts, displs, recvtype),
    };

    return mpi_collective_run(&call, &neighbor_allgather, comm, "MPI_Neighbor_allgatherv");
}
MPI_NAMES(Neighbor_allgatherv);

int
PMPI_Ineighbor_allgatherv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
                          const int recvcounts[], const int displs[], MPI_Datatype recvtype,
                          MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side_v(recvbuf, recvcounts, displs, recvtype),
    };

    return mpi_collective_begin(&call, &neighbor_allgather, comm, request,
                                "MPI_Ineighbor_allgatherv");
}
MPI_NAMES(Ineighbor_allgatherv);

int
PMPI_Neighbor_alltoall(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
                       int recvcount, MPI_Datatype recvtype, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
    };

    return mpi_collective_run(&call, &neighbor_alltoall, comm, "MPI_Neighbor_alltoall");
}
MPI_NAMES(Neighbor_alltoall);

int
PMPI_Ineighbor_alltoall(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
                        int recvcount, MPI_Datatype recvtype, MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
    };

    return mpi_collective_begin(&call, &neighbor_alltoall, comm, request, "MPI_Ineighbor_alltoall");
}
MPI_NAMES(Ineighbor_alltoall);

int
PMPI_Neighbor_alltoallv(const void *sendbuf, const int sendcounts[], const int sdispls[],
                        MPI_Datatype sendtype, void *recvbuf, const int recvcounts[],
                        const int rdispls[], MPI_Datatype recvtype, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side_v(sendbuf, sendcounts, sdispls, sendtype),
        .receive = mpi_side_v(recvbuf, recvcounts, rdispls, recvtype),
    };

    return mpi_collective_run(&call, &neighbor_alltoall, comm, "MPI_Neighbor_alltoallv");
}
MPI_NAMES(Neighbor_alltoallv);

int
PMPI_Ineighbor_alltoallv(const void *sendbuf, const int sendcounts[], const int sdispls[],
                         MPI_Datatype sendtype, void *recvbuf, const int recvcounts[],
                         const int rdispls[], MPI_Datatype recvtype, MPI_Comm comm,
                         MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side_v(sendbuf, sendcounts, sdispls, sendtype),
        .receive = mpi_side_v(recvbuf, recvcounts, rdispls, recvtype),
    };

    return mpi_collective_begin(&call, &neighbor_alltoall, comm, request,
                                "MPI_Ineighbor_alltoallv");
}
MPI_NAMES(Ineighbor_alltoallv);

int
PMPI_Neighbor_alltoallw(const void *sendbuf, const int sendcounts[], const MPI_Aint sdispls[],
                        const MPI_Datatype sendtypes[], void *recvbuf, const int recvcounts[],
                        const MPI_Aint rdispls[], const MPI_Datatype recvtypes[], MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = side_w(sendbuf, sendcounts, sdispls, sendtypes),
        .receive = side_w(recvbuf, recvcounts, rdispls, recvtypes),
    };

    return mpi_collective_run(&call, &neighbor_alltoall, comm, "MPI_Neighbor_alltoallw");
}
MPI_NAMES(Neighbor_alltoallw);

int
PMPI_Ineighbor_alltoallw(const void *sendbuf, const int sendcounts[], const MPI_Aint sdispls[],
                         const MPI_Datatype sendtypes[], void *recvbuf, const int recvcounts[],
                         const MPI_Aint rdispls[], const MPI_Datatype recvtypes[], MPI_Comm comm,
                         MPI_Request *request)
{
    struct mpi_collective call = {
        .send = side_w(sendbuf, sendcounts, sdispls, sendtypes),
        .receive = side_w(recvbuf, recvcounts, rdispls, recvtypes),
    };

    return mpi_collective_begin(&call, &neighbor_alltoall, comm, request,
                                "MPI_Ineighbor_alltoallw");
}
MPI_NAMES(Ineighbor_alltoallw);
