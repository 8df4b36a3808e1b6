/* SPDX-License-Identifier: Apache-2.0
 *
 * scan: MPI_Scan, MPI_Exscan and their non-blocking forms (MPI 3.1, 5.11). In round k each member
 * has the values of the 2^k members up to itself; it sends them to the one that many behind it, and
 * puts what comes from before in front of its own.
 */
#include "collective.h"

static void
scan_run(struct mpi_schedule *schedule, const struct mpi_comm *comm,
         const struct mpi_reduction *reduction)
{
    struct mpi_fold fold = mpi_fold_of(schedule, reduction, reduction->to);

    for (int distance = 1; distance < comm->size; distance *= 2) {
        bool has_before = comm->rank >= distance;
        void *come = has_before ? mpi_fold_place(&fold) : NULL;

        if (has_before)
            mpi_schedule_receive(schedule, come, reduction->count, reduction->type,
                                 comm->rank - distance);
        if (comm->rank + distance < comm->size)
            mpi_schedule_send(schedule, fold.have, reduction->count, reduction->type,
                              comm->rank + distance);
        mpi_schedule_round(schedule);
        if (has_before)
            mpi_fold_before(&fold, come);
    }
    mpi_fold_end(&fold);
}

/* What came is wanted without the own value too: that grows in `to`, by the same values. In place
 * the own value is there, so it is kept elsewhere first. */
static void
exscan_run(struct mpi_schedule *schedule, const struct mpi_comm *comm,
           const struct mpi_reduction *reduction)
{
    struct mpi_block have = {(void *)(uintptr_t)reduction->from, reduction->count, reduction->type};
    struct mpi_block own = have, come = have, to = have;

    own.buffer = mpi_schedule_elements(schedule, own.count, own.type);
    come.buffer = mpi_schedule_elements(schedule, come.count, come.type);
    to.buffer = reduction->to;
    mpi_write_copy(schedule, have, own);
    for (int distance = 1; distance < comm->size; distance *= 2) {
        if (comm->rank >= distance)
            mpi_write_receive(schedule, come, comm->rank - distance);
        if (comm->rank + distance < comm->size)
            mpi_write_send(schedule, own, comm->rank + distance);
        mpi_schedule_round(schedule);
        if (comm->rank < distance)
            continue;
        if (distance == 1)
            mpi_write_copy(schedule, come, to);
        else
            mpi_schedule_reduce(schedule, come.buffer, to.buffer, to.count, to.type, reduction->op);
        mpi_schedule_reduce(schedule, come.buffer, own.buffer, own.count, own.type, reduction->op);
    }
}

/* ----------------------------------------------------------------------- arguments */

static struct mpi_reduction
reduction_of(const struct mpi_collective *call)
{
    return (struct mpi_reduction){
        .from = mpi_is_in_place(&call->send) ? call->receive.buffer : call->send.buffer,
        .to = mpi_at_byte(call->receive.buffer, 0),
        .count = call->send.count,
        .type = call->send.type,
        .op = call->op,
    };
}

static void
scan_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
           const struct mpi_comm *comm)
{
    struct mpi_reduction reduction = reduction_of(call);

    if (reduction.count * reduction.type->size > 0)
        scan_run(schedule, comm, &reduction);
}

static void
exscan_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
             const struct mpi_comm *comm)
{
    struct mpi_reduction reduction = reduction_of(call);

    if (reduction.count * reduction.type->size > 0 && comm->size > 1)
        exscan_run(schedule, comm, &reduction);
}

static int
scan_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    int err;

    if (comm->remote != NULL)
        return MPI_ERR_COMM;
    err = mpi_reduction_check(call);
    return err != MPI_SUCCESS ? err : mpi_reduction_buffers_check(call, comm);
}

/* The first member's receive buffer means nothing: it may be none. */
static int
exscan_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    int err;

    if (comm->remote != NULL)
        return MPI_ERR_COMM;
    err = mpi_reduction_check(call);
    if (err != MPI_SUCCESS)
        return err;
    if (comm->rank == 0 && call->receive.buffer == NULL && !mpi_is_in_place(&call->send))
        return MPI_SUCCESS;
    return mpi_reduction_buffers_check(call, comm);
}

static const struct mpi_collective_kind scan = {.check = scan_check, .write = scan_write};
static const struct mpi_collective_kind exscan = {.check = exscan_check, .write = exscan_write};

int
PMPI_Scan(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
          MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, count, datatype),
        .receive.buffer = recvbuf,
        .operator= op,
    };

    return mpi_collective_run(&call, &scan, comm, "MPI_Scan");
}
MPI_NAMES(Scan);

int
PMPI_Iscan(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
           MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, count, datatype),
        .receive.buffer = recvbuf,
        .operator= op,
    };

    return mpi_collective_begin(&call, &scan, comm, request, "MPI_Iscan");
}
MPI_NAMES(Iscan);

int
PMPI_Exscan(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
            MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, count, datatype),
        .receive.buffer = recvbuf,
        .operator= op,
    };

    return mpi_collective_run(&call, &exscan, comm, "MPI_Exscan");
}
MPI_NAMES(Exscan);

int
PMPI_Iexscan(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
             MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, count, datatype),
        .receive.buffer = recvbuf,
        .operator= op,
    };

    return mpi_collective_begin(&call, &exscan, comm, request, "MPI_Iexscan");
}
MPI_NAMES(Iexscan);
