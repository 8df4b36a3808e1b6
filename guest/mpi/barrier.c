/* SPDX-License-Identifier: Apache-2.0
 *
 * barrier: MPI_Barrier and MPI_Ibarrier (MPI 3.1, 5.3). In round k each member tells the one 2^k
 * behind it that it and those it heard of are there: after log2 of the members all know of all, and
 * two members exchange one message.
 */
#include "collective.h"

static void
tell(struct mpi_schedule *schedule, int from, int to)
{
    struct mpi_block nothing = {NULL, 0, mpi_type_byte()};

    if (from != MPI_PROC_NULL)
        mpi_write_receive(schedule, nothing, from);
    if (to != MPI_PROC_NULL)
        mpi_write_send(schedule, nothing, to);
    mpi_schedule_round(schedule);
}

void
mpi_write_barrier(struct mpi_schedule *schedule, const struct mpi_comm *comm)
{
    int size = comm->size, rank = comm->rank;

    for (int distance = 1; distance < size; distance *= 2)
        tell(schedule, (rank - distance + size) % size, (rank + distance) % size);
}

/* The own group is there; the other one is, says its first member; then all may go. */
static void
barrier_write_inter(struct mpi_schedule *schedule, const struct mpi_comm *comm)
{
    const struct mpi_comm *local = comm->local;

    mpi_schedule_use(schedule, local);
    mpi_write_barrier(schedule, local);
    if (local->rank == 0) {
        mpi_schedule_use(schedule, comm);
        tell(schedule, 0, 0);
        mpi_schedule_use(schedule, local);
    }
    for (int distance = 1; distance < local->size; distance *= 2) {
        if (local->rank < distance && local->rank + distance < local->size)
            tell(schedule, MPI_PROC_NULL, local->rank + distance);
        else if (local->rank >= distance && local->rank < 2 * distance)
            tell(schedule, local->rank - distance, MPI_PROC_NULL);
    }
}

static int
barrier_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    (void)call;
    (void)comm;
    return MPI_SUCCESS;
}

static void
barrier_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
              const struct mpi_comm *comm)
{
    (void)call;
    if (comm->remote != NULL)
        barrier_write_inter(schedule, comm);
    else
        mpi_write_barrier(schedule, comm);
}

static int64_t
barrier_part(const struct mpi_collective *call, const struct mpi_comm *comm)
{
    (void)call;
    (void)comm;
    return 0;
}

static int
barrier_meet(const struct mpi_collective *call, const struct mpi_meeting *meeting)
{
    (void)call;
    return mpi_meeting_hold(meeting, NULL, NULL, "MPI_Barrier");
}

static const struct mpi_collective_kind barrier = {
    .check = barrier_check, .write = barrier_write, .part = barrier_part, .meet = barrier_meet};

int
PMPI_Barrier(MPI_Comm comm)
{
    struct mpi_collective call = {0};

    return mpi_collective_run(&call, &barrier, comm, "MPI_Barrier");
}
MPI_NAMES(Barrier);

int
PMPI_Ibarrier(MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {0};

    return mpi_collective_begin(&call, &barrier, comm, request, "MPI_Ibarrier");
}
MPI_NAMES(Ibarrier);
