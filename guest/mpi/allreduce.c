/* SPDX-License-Identifier: Apache-2.0
 *
 * allreduce: MPI_Allreduce and MPI_Iallreduce (MPI 3.1, 5.9.6). Short vectors: members exchange
 * what they have with one that is twice as far each time, which keeps the order; two members
 * exchange one message. Long ones are cut into parts, each is reduced at one member, and goes to
 * all: by halves and doubles among a power of two, or round a ring.
 *
 * Each part is computed once, or in the same order by all, so all have the same result to the bit.
 */
#include "collective.h"

#define LARGE_BYTES (8 * 1024)
#define RING_BYTES  (64 * 1024) /* where members are no power of two */

/* ---------------------------------------------------------------------- algorithms */

static void
exchange(struct mpi_fold *fold, int peer, bool is_before)
{
    const struct mpi_reduction *reduction = fold->reduction;
    void *come = mpi_fold_place(fold);

    mpi_schedule_receive(fold->schedule, come, reduction->count, reduction->type, peer);
    mpi_schedule_send(fold->schedule, fold->have, reduction->count, reduction->type, peer);
    mpi_schedule_round(fold->schedule);
    if (is_before)
        mpi_fold_before(fold, come);
    else
        mpi_fold_behind(fold, come);
}

/* Those that wait send theirs to the next, and get the result from it. */
static void
extra_wait(struct mpi_schedule *schedule, const struct mpi_reduction *reduction, int peer)
{
    mpi_schedule_send(schedule, reduction->from, reduction->count, reduction->type, peer);
    mpi_schedule_round(schedule);
    mpi_schedule_receive(schedule, reduction->to, reduction->count, reduction->type, peer);
    mpi_schedule_round(schedule);
}

static void
extra_tell(struct mpi_schedule *schedule, const struct mpi_power *power,
           const struct mpi_reduction *reduction, int rank)
{
    if (power->rank >= 0 && rank < 2 * power->extra)
        mpi_schedule_send(schedule, reduction->to, reduction->count, reduction->type, rank - 1);
    mpi_schedule_round(schedule);
}

static void
doubling(struct mpi_schedule *schedule, const struct mpi_comm *comm,
         const struct mpi_reduction *reduction)
{
    struct mpi_power power = mpi_power_of(comm);
    struct mpi_fold fold = mpi_fold_of(schedule, reduction, reduction->to);

    if (power.rank < 0) {
        extra_wait(schedule, reduction, comm->rank + 1);
        return;
    }
    if (comm->rank < 2 * power.extra) {
        void *come = mpi_fold_place(&fold);

        mpi_schedule_receive(schedule, come, reduction->count, reduction->type, comm->rank - 1);
        mpi_schedule_round(schedule);
        mpi_fold_before(&fold, come);
    }
    for (int distance = 1; distance < power.ranks; distance *= 2)
        exchange(&fold, mpi_power_member(&power, power.rank ^ distance),
                 (power.rank & distance) != 0);
    mpi_fold_end(&fold);
    extra_tell(schedule, &power, reduction, comm->rank);
}

static bool
vector_write(struct mpi_schedule *schedule, const struct mpi_reduction *reduction, int count,
             struct mpi_parts *parts)
{
    *parts = mpi_parts_of(schedule, reduction, count, reduction->to);
    if (reduction->to != reduction->from)
        mpi_schedule_copy(schedule, reduction->from, reduction->count, reduction->type,
                          reduction->to, reduction->count, reduction->type);
    return parts->starts != NULL;
}

static void
halves_and_doubles(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                   const struct mpi_reduction *reduction)
{
    struct mpi_power power = mpi_power_of(comm);
    struct mpi_parts parts;

    if (!vector_write(schedule, reduction, power.ranks, &parts))
        return;
    mpi_write_halving(schedule, &power, &parts, reduction, comm->rank);
    for (int span = 1; span < power.ranks && power.rank >= 0; span *= 2) {
        int own = power.rank & ~(span - 1), other = own ^ span;
        int peer = mpi_power_member(&power, power.rank ^ span);

        mpi_write_receive_some(schedule, mpi_parts_block(&parts, reduction, other, other + span),
                               peer);
        mpi_write_send_some(schedule, mpi_parts_block(&parts, reduction, own, own + span), peer);
        mpi_schedule_round(schedule);
    }
    if (power.rank < 0)
        mpi_schedule_receive(schedule, reduction->to, reduction->count, reduction->type,
                             comm->rank + 1);
    extra_tell(schedule, &power, reduction, comm->rank);
}

/* Part i begins at member i, and is whole when it comes to member i - 1; then it goes round once
 * more. */
static void
ring(struct mpi_schedule *schedule, const struct mpi_comm *comm,
     const struct mpi_reduction *reduction)
{
    int size = comm->size, rank = comm->rank, next = (rank + 1) % size;
    void *come = mpi_schedule_elements(schedule, reduction->count / size + 1, reduction->type);
    struct mpi_parts parts;

    if (!vector_write(schedule, reduction, size, &parts))
        return;
    for (int i = 0; i < 2 * (size - 1); i++) {
        int out = (rank - i + 2 * size) % size, in = (out - 1 + size) % size;
        struct mpi_block block = mpi_parts_block(&parts, reduction, in, in + 1);
        void *to = i < size - 1 ? come : block.buffer;

        mpi_schedule_receive(schedule, to, block.count, block.type, (rank - 1 + size) % size);
        mpi_write_send(schedule, mpi_parts_block(&parts, reduction, out, out + 1), next);
        mpi_schedule_round(schedule);
        if (i < size - 1)
            mpi_schedule_reduce(schedule, come, block.buffer, block.count, block.type,
                                reduction->op);
    }
}

void
mpi_write_allreduce(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                    const struct mpi_reduction *reduction)
{
    int64_t bytes = reduction->count * reduction->type->size;
    bool is_power = (comm->size & (comm->size - 1)) == 0;
    bool is_long = comm->size > 2 && reduction->count >= comm->size &&
                   reduction->op->is_commutative && bytes >= LARGE_BYTES;

    if (bytes == 0)
        return;
    if (is_long && !is_power && bytes >= RING_BYTES)
        ring(schedule, comm, reduction);
    else if (is_long)
        halves_and_doubles(schedule, comm, reduction);
    else
        doubling(schedule, comm, reduction);
}

/* Each group's first member has its result, and gets the other's for all. */
static void
allreduce_write_inter(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                      const struct mpi_reduction *reduction)
{
    struct mpi_reduction own = *reduction;
    struct mpi_block result = {reduction->to, own.count, own.type};

    if (mpi_block_bytes(result) == 0)
        return;
    if (comm->rank == 0)
        own.to = mpi_schedule_elements(schedule, own.count, own.type);
    mpi_schedule_use(schedule, comm->local);
    mpi_write_reduce(schedule, comm->local, &own, 0);
    if (comm->rank == 0) {
        mpi_schedule_use(schedule, comm);
        mpi_write_receive(schedule, result, 0);
        mpi_schedule_send(schedule, own.to, own.count, own.type, 0);
        mpi_schedule_round(schedule);
        mpi_schedule_use(schedule, comm->local);
    }
    mpi_write_bcast(schedule, comm->local, result, 0);
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
allreduce_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
                const struct mpi_comm *comm)
{
    struct mpi_reduction reduction = reduction_of(call);

    if (comm->remote != NULL)
        allreduce_write_inter(schedule, comm, &reduction);
    else
        mpi_write_allreduce(schedule, comm, &reduction);
}

static int
allreduce_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    int err = mpi_reduction_check(call);

    return err != MPI_SUCCESS ? err : mpi_reduction_buffers_check(call, comm);
}

/* Types that were made could lie in memory in another way elsewhere. */
static int64_t
allreduce_part(const struct mpi_collective *call, const struct mpi_comm *comm)
{
    const struct mpi_type *type = call->send.type;

    (void)comm;
    return type->is_predefined && call->send.count > 0 ? call->send.count * type->extent : -1;
}

/* In the order of ranks, into the last one's part. */
static int
allreduce_all(const struct mpi_meeting *meeting, const void *context)
{
    const struct mpi_collective *call = context;
    int last = meeting->comm->size - 1;

    for (int rank = last - 1; rank >= 0; rank--)
        mpi_op_apply(call->op, call->send.type, mpi_meeting_part(meeting, rank),
                     mpi_meeting_part(meeting, last), call->send.count);
    return MPI_SUCCESS;
}

static int
allreduce_meet(const struct mpi_collective *call, const struct mpi_meeting *meeting)
{
    struct mpi_reduction reduction = reduction_of(call);
    const struct mpi_comm *comm = meeting->comm;
    int err;

    mpi_type_copy(reduction.type, reduction.from, reduction.count, reduction.type,
                  mpi_meeting_part(meeting, comm->rank), reduction.count);
    err = mpi_meeting_hold(meeting, allreduce_all, call, "MPI_Allreduce");
    mpi_type_copy(reduction.type, mpi_meeting_part(meeting, comm->size - 1), reduction.count,
                  reduction.type, reduction.to, reduction.count);
    return err;
}

static const struct mpi_collective_kind allreduce = {.check = allreduce_check,
                                                     .write = allreduce_write,
                                                     .part = allreduce_part,
                                                     .meet = allreduce_meet};

int
PMPI_Allreduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
               MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, count, datatype),
        .receive.buffer = recvbuf,
        .operator= op,
    };

    return mpi_collective_run(&call, &allreduce, comm, "MPI_Allreduce");
}
MPI_NAMES(Allreduce);

int
PMPI_Iallreduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
                MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, count, datatype),
        .receive.buffer = recvbuf,
        .operator= op,
    };

    return mpi_collective_begin(&call, &allreduce, comm, request, "MPI_Iallreduce");
}
MPI_NAMES(Iallreduce);
