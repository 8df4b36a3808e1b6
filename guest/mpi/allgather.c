/* SPDX-License-Identifier: Apache-2.0
 *
 * allgather: MPI_Allgather, MPI_Allgatherv and their non-blocking forms (MPI 3.1, 5.7).
 *
 * Small blocks: each member doubles what it has with every message (recursive doubling where the
 * members are a power of two, or else Bruck's way, which needs memory in between). Large ones go
 * round a ring.
 */
#include "collective.h"

#define LARGE_BYTES (64 * 1024) /* of all blocks */

/* ---------------------------------------------------------------------- algorithms */

static void
doubling(struct mpi_schedule *schedule, const struct mpi_comm *comm, const struct mpi_side *side)
{
    for (int blocks = 1; blocks < comm->size; blocks *= 2) {
        int peer = comm->rank ^ blocks;

        mpi_write_receive(schedule, mpi_side_blocks(side, peer & ~(blocks - 1), blocks), peer);
        mpi_write_send(schedule, mpi_side_blocks(side, comm->rank & ~(blocks - 1), blocks), peer);
        mpi_schedule_round(schedule);
    }
}

static void
ring(struct mpi_schedule *schedule, const struct mpi_comm *comm, const struct mpi_side *side)
{
    int size = comm->size, rank = comm->rank + size;

    for (int i = 0; i < size - 1; i++) {
        mpi_write_receive_some(schedule, mpi_side_block(side, (rank - i - 1) % size),
                               (rank - 1) % size);
        mpi_write_send_some(schedule, mpi_side_block(side, (rank - i) % size), (rank + 1) % size);
        mpi_schedule_round(schedule);
    }
}

/* Bytes of so many blocks from a member's on. */
static int64_t
blocks_bytes(const struct mpi_side *side, int first, int blocks, int size)
{
    int64_t bytes = 0;

    for (int i = 0; i < blocks; i++)
        bytes += mpi_block_bytes(mpi_side_block(side, (first + i) % size));
    return bytes;
}

/* Bruck: packed blocks of the members from this one on; what is there goes to the one that many
 * before this, and comes from the one that many behind. */
static void
bruck(struct mpi_schedule *schedule, const struct mpi_comm *comm, const struct mpi_side *side)
{
    int size = comm->size, rank = comm->rank;
    struct mpi_block all = mpi_write_bytes(schedule, blocks_bytes(side, 0, size, size)), block;
    int64_t offset = 0;

    block = mpi_side_block(side, rank);
    mpi_write_copy(schedule, block, mpi_block_part(all, 0, mpi_block_bytes(block)));
    for (int blocks = 1; blocks < size; blocks *= 2) {
        int more = size - blocks < blocks ? size - blocks : blocks, from = (rank + blocks) % size;
        int64_t had = blocks_bytes(side, rank, blocks, size);

        mpi_write_receive_some(
            schedule, mpi_block_part(all, had, blocks_bytes(side, from, more, size)), from);
        mpi_write_send_some(schedule, mpi_block_part(all, 0, blocks_bytes(side, rank, more, size)),
                            (rank - blocks + size) % size);
        mpi_schedule_round(schedule);
    }
    for (int i = 0; i < size; i++) {
        block = mpi_side_block(side, (rank + i) % size);
        if (i > 0)
            mpi_write_copy(schedule, mpi_block_part(all, offset, mpi_block_bytes(block)), block);
        offset += mpi_block_bytes(block);
    }
}

void
mpi_write_allgatherv(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                     const struct mpi_side *receive)
{
    int64_t bytes = blocks_bytes(receive, 0, comm->size, comm->size);

    if (bytes == 0 || comm->size == 1)
        return;
    if (bytes >= LARGE_BYTES)
        ring(schedule, comm, receive);
    else
        bruck(schedule, comm, receive);
}

void
mpi_write_allgather(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                    const struct mpi_side *receive)
{
    int64_t bytes = (int64_t)receive->count * receive->type->size * comm->size;
    bool is_power = (comm->size & (comm->size - 1)) == 0;

    if (bytes == 0 || comm->size == 1)
        return;
    if (bytes >= LARGE_BYTES && comm->size > 2)
        ring(schedule, comm, receive);
    else if (is_power)
        doubling(schedule, comm, receive);
    else
        bruck(schedule, comm, receive);
}

/* -------------------------------------------------------------- inter-communicators
 *
 * The first member of each group gets all blocks of the other, and tells its own. */

static void
leader_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
             const struct mpi_comm *comm)
{
    if (comm->rank == 0)
        for (int i = 0; i < comm->remote->size; i++)
            mpi_write_receive_some(schedule, mpi_side_block(&call->receive, i), i);
    mpi_write_send_some(schedule, mpi_side_blocks(&call->send, 0, 1), 0);
    mpi_schedule_round(schedule);
    mpi_schedule_use(schedule, comm->local);
}

static void
allgather_write_inter(const struct mpi_collective *call, struct mpi_schedule *schedule,
                      const struct mpi_comm *comm)
{
    leader_write(call, schedule, comm);
    mpi_write_bcast(schedule, comm->local, mpi_side_blocks(&call->receive, 0, comm->remote->size),
                    0);
}

static void
allgatherv_write_inter(const struct mpi_collective *call, struct mpi_schedule *schedule,
                       const struct mpi_comm *comm)
{
    int size = comm->remote->size;
    struct mpi_block all, block, part;
    int64_t offset = 0;

    leader_write(call, schedule, comm);
    all = mpi_write_bytes(schedule, blocks_bytes(&call->receive, 0, size, size));
    if (comm->rank != 0)
        mpi_write_bcast(schedule, comm->local, all, 0);
    for (int i = 0; i < size; i++) {
        block = mpi_side_block(&call->receive, i);
        part = mpi_block_part(all, offset, mpi_block_bytes(block));
        offset += part.count;
        if (comm->rank == 0)
            mpi_write_copy(schedule, block, part);
        else
            mpi_write_copy(schedule, part, block);
    }
    if (comm->rank == 0)
        mpi_write_bcast(schedule, comm->local, all, 0);
}

/* ----------------------------------------------------------------------- arguments */

static void
own_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
          const struct mpi_comm *comm)
{
    if (!mpi_is_in_place(&call->send))
        mpi_write_copy(schedule, mpi_side_blocks(&call->send, 0, 1),
                       mpi_side_block(&call->receive, comm->rank));
}

static void
allgather_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
                const struct mpi_comm *comm)
{
    if (comm->remote != NULL) {
        allgather_write_inter(call, schedule, comm);
        return;
    }
    own_write(call, schedule, comm);
    mpi_write_allgather(schedule, comm, &call->receive);
}

static void
allgatherv_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
                 const struct mpi_comm *comm)
{
    if (comm->remote != NULL) {
        allgatherv_write_inter(call, schedule, comm);
        return;
    }
    own_write(call, schedule, comm);
    mpi_write_allgatherv(schedule, comm, &call->receive);
}

static int
allgather_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    bool is_in_place = mpi_is_in_place(&call->send);
    int err = mpi_not_in_place(&call->receive);

    if (err == MPI_SUCCESS && is_in_place && comm->remote != NULL)
        err = MPI_ERR_BUFFER;
    if (err == MPI_SUCCESS)
        err = mpi_sides_check(&call->receive, mpi_comm_peers(comm));
    if (err != MPI_SUCCESS || is_in_place)
        return err;
    err = mpi_side_check(&call->send);
    if (err != MPI_SUCCESS || comm->remote != NULL)
        return err;
    return mpi_not_aliased(mpi_side_blocks(&call->send, 0, 1),
                           mpi_side_block(&call->receive, comm->rank));
}

static struct mpi_block
own_of(const struct mpi_collective *call, const struct mpi_comm *comm)
{
    return mpi_is_in_place(&call->send) ? mpi_side_block(&call->receive, comm->rank)
                                        : mpi_side_blocks(&call->send, 0, 1);
}

static int64_t
allgather_part(const struct mpi_collective *call, const struct mpi_comm *comm)
{
    int64_t bytes = mpi_block_bytes(own_of(call, comm));

    return bytes > 0 ? bytes : -1;
}

static int
allgather_meet(const struct mpi_collective *call, const struct mpi_meeting *meeting)
{
    const struct mpi_comm *comm = meeting->comm;
    struct mpi_block own = own_of(call, comm);
    int64_t bytes = mpi_block_bytes(own);
    int err;

    mpi_type_pack(own.type, own.buffer, own.count, 0, mpi_meeting_part(meeting, comm->rank),
                  (uint64_t)bytes);
    err = mpi_meeting_hold(meeting, NULL, NULL, "MPI_Allgather");
    for (int i = 0; i < comm->size; i++) {
        struct mpi_block to = mpi_side_block(&call->receive, i);

        mpi_type_copy(mpi_type_byte(), mpi_meeting_part(meeting, i), bytes, to.type, to.buffer,
                      to.count);
    }
    return err;
}

static const struct mpi_collective_kind allgather = {.check = allgather_check,
                                                     .write = allgather_write,
                                                     .part = allgather_part,
                                                     .meet = allgather_meet};
static const struct mpi_collective_kind allgatherv = {.check = allgather_check,
                                                      .write = allgatherv_write};

int
PMPI_Allgather(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
               int recvcount, MPI_Datatype recvtype, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
    };

    return mpi_collective_run(&call, &allgather, comm, "MPI_Allgather");
}
MPI_NAMES(Allgather);

int
PMPI_Iallgather(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
                int recvcount, MPI_Datatype recvtype, MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
    };

    return mpi_collective_begin(&call, &allgather, comm, request, "MPI_Iallgather");
}
MPI_NAMES(Iallgather);

int
PMPI_Allgatherv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
                const int recvcounts[], const int displs[], MPI_Datatype recvtype, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side_v(recvbuf, recvcounts, displs, recvtype),
    };

    return mpi_collective_run(&call, &allgatherv, comm, "MPI_Allgatherv");
}
MPI_NAMES(Allgatherv);

int
PMPI_Iallgatherv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
                 const int recvcounts[], const int displs[], MPI_Datatype recvtype, MPI_Comm comm,
                 MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side_v(recvbuf, recvcounts, displs, recvtype),
    };

    return mpi_collective_begin(&call, &allgatherv, comm, request, "MPI_Iallgatherv");
}
MPI_NAMES(Iallgatherv);
