/* SPDX-License-Identifier: Apache-2.0
 *
 * alltoall: MPI_Alltoall, MPI_Alltoallv, MPI_Alltoallw and their non-blocking forms (MPI 3.1, 5.8).
 * Small blocks among many members go Bruck's way: in log2 of the members messages, each block on
 * its way through others. All else goes straight, to one distance after the other, some at a time.
 */
#include "collective.h"

#include <string.h>

#define BRUCK_BYTES   256 /* of a block */
#define BRUCK_MEMBERS 8

#define LARGE_BYTES  (32 * 1024) /* of a block */
#define WINDOW       32          /* messages that are under way at once */
#define WINDOW_LARGE 4

/* ---------------------------------------------------------------------- algorithms */

/* Members a window apart cannot wait for one another in a circle: the one that is least far has
 * posted all that others need to come so far. */
static void
straight(struct mpi_schedule *schedule, const struct mpi_comm *comm, const struct mpi_side *send,
         const struct mpi_side *receive, int window)
{
    int size = comm->size, rank = comm->rank, to, from;

    mpi_write_copy(schedule, mpi_side_block(send, rank), mpi_side_block(receive, rank));
    for (int i = 1; i < size; i++) {
        from = (rank - i + size) % size;
        to = (rank + i) % size;
        mpi_write_receive_some(schedule, mpi_side_block(receive, from), from);
        mpi_write_send_some(schedule, mpi_side_block(send, to), to);
        if (i % window == 0)
            mpi_schedule_round(schedule);
    }
    mpi_schedule_round(schedule);
}

/* The block at place i goes i members on, by the bits of i. Many blocks are moved in one step, so
 * that a world of many needs no memory for steps. In the memory of the schedule. */
struct bruck {
    int size, rank;
    size_t part; /* bytes of a block */
    unsigned char *all;
    unsigned char *some; /* those that go now */
    unsigned char *come; /* and that come */
};

struct bruck_round {
    const struct bruck *bruck;
    int bit;
};

/* Places with the bit: into some; or what came for them back. Bytes. */
static size_t
bruck_move(const struct bruck *bruck, int bit, bool is_back)
{
    size_t moved = 0;

    for (int place = bit; place < bruck->size; place += 2 * bit) {
        int places = bruck->size - place < bit ? bruck->size - place : bit;
        size_t bytes = bruck->part * (size_t)places;
        unsigned char *part = bruck->all + bruck->part * (size_t)place;

        if (is_back)
            memcpy(part, bruck->come + moved, bytes);
        else
            memcpy(bruck->some + moved, part, bytes);
        moved += bytes;
    }
    return moved;
}

static int
bruck_collect(void *context)
{
    const struct bruck_round *round = context;

    (void)bruck_move(round->bruck, round->bit, false);
    return MPI_SUCCESS;
}

static int
bruck_return(void *context)
{
    const struct bruck_round *round = context;

    (void)bruck_move(round->bruck, round->bit, true);
    return MPI_SUCCESS;
}

/* Blocks in the order of the ranks from which they came: into some. */
static int
bruck_sort(void *context)
{
    const struct bruck *bruck = context;

    for (int place = 0; place < bruck->size; place++) {
        int from = (bruck->rank - place + bruck->size) % bruck->size;

        memcpy(bruck->some + bruck->part * (size_t)from, bruck->all + bruck->part * (size_t)place,
               bruck->part);
    }
    return MPI_SUCCESS;
}

static int
bruck_places(int size, int bit)
{
    int rest = size % (2 * bit) - bit;

    return size / (2 * bit) * bit + (rest > 0 ? rest : 0);
}

/* Each round brings what is to be sent in the next. */
static void
bruck_rounds(struct mpi_schedule *schedule, const struct bruck *bruck)
{
    for (int bit = 1; bit < bruck->size; bit *= 2) {
        struct bruck_round *round = mpi_schedule_memory(schedule, sizeof(*round));
        int64_t bytes = (int64_t)bruck->part * bruck_places(bruck->size, bit);

        if (round == NULL)
            return;
        *round = (struct bruck_round){bruck, bit};
        mpi_schedule_call(schedule, bruck_collect, round);
        mpi_schedule_receive(schedule, bruck->come, bytes, mpi_type_byte(),
                             (bruck->rank - bit + bruck->size) % bruck->size);
        mpi_schedule_send(schedule, bruck->some, bytes, mpi_type_byte(),
                          (bruck->rank + bit) % bruck->size);
        mpi_schedule_round(schedule);
        mpi_schedule_call(schedule, bruck_return, round);
    }
}

/* NULL: no memory, a failure of the schedule. */
static struct bruck *
bruck_of(struct mpi_schedule *schedule, const struct mpi_comm *comm, int64_t part)
{
    struct bruck *bruck = mpi_schedule_memory(schedule, sizeof(*bruck));
    uint64_t bytes = (uint64_t)part * (uint64_t)comm->size;

    if (bruck == NULL)
        return NULL;
    *bruck = (struct bruck){.size = comm->size, .rank = comm->rank, .part = (size_t)part};
    bruck->all = mpi_schedule_memory(schedule, bytes);
    bruck->some = mpi_schedule_memory(schedule, bytes);
    bruck->come = mpi_schedule_memory(schedule, bytes);
    return bruck->all != NULL && bruck->some != NULL && bruck->come != NULL ? bruck : NULL;
}

static void
bruck_write(struct mpi_schedule *schedule, const struct mpi_comm *comm, const struct mpi_side *send,
            const struct mpi_side *receive)
{
    int size = comm->size, rank = comm->rank, more = size - rank;
    int64_t part = mpi_block_bytes(mpi_side_blocks(send, 0, 1));
    struct bruck *bruck = bruck_of(schedule, comm, part);
    struct mpi_block all = {NULL, part * size, mpi_type_byte()}, some = all;

    if (bruck == NULL)
        return;
    all.buffer = bruck->all;
    some.buffer = bruck->some;
    mpi_write_copy(schedule, mpi_side_blocks(send, rank, more),
                   mpi_block_part(all, 0, part * more));
    mpi_write_copy(schedule, mpi_side_blocks(send, 0, rank),
                   mpi_block_part(all, part * more, part * rank));
    bruck_rounds(schedule, bruck);
    mpi_schedule_call(schedule, bruck_sort, bruck);
    mpi_write_copy(schedule, some, mpi_side_blocks(receive, 0, size));
}

/* ----------------------------------------------------------------------- arguments */

/* In place: what is sent is what is in the receive buffer before, so it is packed away, each block
 * as the receiver's type has it. */
struct packed {
    struct mpi_side side;
    int *counts;
    MPI_Aint *offsets;
};

static bool
packed_memory(struct mpi_schedule *schedule, int size, struct packed *packed)
{
    packed->counts = mpi_schedule_memory(schedule, (uint64_t)size * sizeof(int));
    packed->offsets = mpi_schedule_memory(schedule, (uint64_t)size * sizeof(MPI_Aint));
    if (packed->counts == NULL || packed->offsets == NULL)
        return false;
    packed->side = (struct mpi_side){
        .counts = packed->counts, .long_offsets = packed->offsets, .type = mpi_type_byte()};
    return true;
}

/* False: no memory (a failure of the schedule). */
static bool
pack(struct mpi_schedule *schedule, const struct mpi_side *receive, int size, struct packed *packed)
{
    int64_t bytes = 0;
    struct mpi_block all;

    if (!packed_memory(schedule, size, packed))
        return false;
    for (int i = 0; i < size; i++) {
        packed->counts[i] = (int)mpi_block_bytes(mpi_side_block(receive, i));
        packed->offsets[i] = (MPI_Aint)bytes;
        bytes += packed->counts[i];
    }
    all = mpi_write_bytes(schedule, bytes);
    packed->side.buffer = all.buffer;
    for (int i = 0; i < size; i++)
        mpi_write_copy(schedule, mpi_side_block(receive, i),
                       mpi_block_part(all, packed->offsets[i], packed->counts[i]));
    return true;
}

static void
inter_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
            const struct mpi_comm *comm)
{
    for (int i = 0; i < comm->remote->size; i++)
        mpi_write_receive_some(schedule, mpi_side_block(&call->receive, i), i);
    for (int i = 0; i < comm->remote->size; i++)
        mpi_write_send_some(schedule, mpi_side_block(&call->send, i), i);
}

static void
straight_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
               const struct mpi_comm *comm, int window)
{
    struct packed packed;

    if (!mpi_is_in_place(&call->send))
        straight(schedule, comm, &call->send, &call->receive, window);
    else if (pack(schedule, &call->receive, comm->size, &packed))
        straight(schedule, comm, &packed.side, &call->receive, window);
}

static void
alltoallv_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
                const struct mpi_comm *comm)
{
    if (comm->remote != NULL)
        inter_write(call, schedule, comm);
    else
        straight_write(call, schedule, comm, WINDOW);
}

static const struct mpi_side *
sent(const struct mpi_collective *call)
{
    return mpi_is_in_place(&call->send) ? &call->receive : &call->send;
}

static void
alltoall_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
               const struct mpi_comm *comm)
{
    const struct mpi_side *send = sent(call);
    int64_t bytes = send->count * send->type->size;

    if (comm->remote != NULL)
        inter_write(call, schedule, comm);
    else if (bytes > 0 && bytes <= BRUCK_BYTES && comm->size >= BRUCK_MEMBERS)
        bruck_write(schedule, comm, send, &call->receive);
    else if (bytes > 0)
        straight_write(call, schedule, comm, bytes >= LARGE_BYTES ? WINDOW_LARGE : WINDOW);
}

static int
alltoall_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    bool is_in_place = mpi_is_in_place(&call->send);
    int err = mpi_not_in_place(&call->receive);

    if (err == MPI_SUCCESS && is_in_place && comm->remote != NULL)
        err = MPI_ERR_BUFFER;
    if (err == MPI_SUCCESS)
        err = mpi_sides_check(&call->receive, mpi_comm_peers(comm));
    if (err == MPI_SUCCESS && !is_in_place)
        err = mpi_sides_check(&call->send, mpi_comm_peers(comm));
    if (err != MPI_SUCCESS || is_in_place)
        return err;
    return call->send.buffer == call->receive.buffer && comm->remote == NULL
               ? mpi_not_aliased(mpi_side_block(&call->send, comm->rank),
                                 mpi_side_block(&call->receive, comm->rank))
               : MPI_SUCCESS;
}

static int64_t
alltoall_part(const struct mpi_collective *call, const struct mpi_comm *comm)
{
    int64_t bytes = mpi_block_bytes(mpi_side_blocks(sent(call), 0, comm->size));

    return bytes > 0 ? bytes : -1;
}

/* Each brings what it has for all, and takes from each what is for it. */
static int
alltoall_meet(const struct mpi_collective *call, const struct mpi_meeting *meeting)
{
    int size = meeting->comm->size, rank = meeting->comm->rank, err;
    struct mpi_block all = mpi_side_blocks(sent(call), 0, size);
    int64_t bytes = mpi_block_bytes(all);

    mpi_type_pack(all.type, all.buffer, all.count, 0, mpi_meeting_part(meeting, rank),
                  (uint64_t)bytes);
    err = mpi_meeting_hold(meeting, NULL, NULL, "MPI_Alltoall");
    for (int i = 0; i < size; i++) {
        const void *from = mpi_at_byte(mpi_meeting_part(meeting, i), bytes / size * rank);
        struct mpi_block to = mpi_side_block(&call->receive, i);

        mpi_type_copy(mpi_type_byte(), from, bytes / size, to.type, to.buffer, to.count);
    }
    return err;
}

static const struct mpi_collective_kind alltoall = {
    .check = alltoall_check, .write = alltoall_write, .part = alltoall_part, .meet = alltoall_meet};
static const struct mpi_collective_kind alltoallv = {.check = alltoall_check,
                                                     .write = alltoallv_write};

int
PMPI_Alltoall(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
              int recvcount, MPI_Datatype recvtype, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
    };

    return mpi_collective_run(&call, &alltoall, comm, "MPI_Alltoall");
}
MPI_NAMES(Alltoall);

int
PMPI_Ialltoall(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
               int recvcount, MPI_Datatype recvtype, MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
    };

    return mpi_collective_begin(&call, &alltoall, comm, request, "MPI_Ialltoall");
}
MPI_NAMES(Ialltoall);

int
PMPI_Alltoallv(const void *sendbuf, const int sendcounts[], const int sdispls[],
               MPI_Datatype sendtype, void *recvbuf, const int recvcounts[], const int rdispls[],
               MPI_Datatype recvtype, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side_v(sendbuf, sendcounts, sdispls, sendtype),
        .receive = mpi_side_v(recvbuf, recvcounts, rdispls, recvtype),
    };

    return mpi_collective_run(&call, &alltoallv, comm, "MPI_Alltoallv");
}
MPI_NAMES(Alltoallv);

int
PMPI_Ialltoallv(const void *sendbuf, const int sendcounts[], const int sdispls[],
                MPI_Datatype sendtype, void *recvbuf, const int recvcounts[], const int rdispls[],
                MPI_Datatype recvtype, MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side_v(sendbuf, sendcounts, sdispls, sendtype),
        .receive = mpi_side_v(recvbuf, recvcounts, rdispls, recvtype),
    };

    return mpi_collective_begin(&call, &alltoallv, comm, request, "MPI_Ialltoallv");
}
MPI_NAMES(Ialltoallv);

int
PMPI_Alltoallw(const void *sendbuf, const int sendcounts[], const int sdispls[],
               const MPI_Datatype sendtypes[], void *recvbuf, const int recvcounts[],
               const int rdispls[], const MPI_Datatype recvtypes[], MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side_w(sendbuf, sendcounts, sdispls, sendtypes),
        .receive = mpi_side_w(recvbuf, recvcounts, rdispls, recvtypes),
    };

    return mpi_collective_run(&call, &alltoallv, comm, "MPI_Alltoallw");
}
MPI_NAMES(Alltoallw);

int
PMPI_Ialltoallw(const void *sendbuf, const int sendcounts[], const int sdispls[],
                const MPI_Datatype sendtypes[], void *recvbuf, const int recvcounts[],
                const int rdispls[], const MPI_Datatype recvtypes[], MPI_Comm comm,
                MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side_w(sendbuf, sendcounts, sdispls, sendtypes),
        .receive = mpi_side_w(recvbuf, recvcounts, rdispls, recvtypes),
    };

    return mpi_collective_begin(&call, &alltoallv, comm, request, "MPI_Ialltoallw");
}
MPI_NAMES(Ialltoallw);
