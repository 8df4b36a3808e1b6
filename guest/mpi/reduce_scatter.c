/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_scatter: MPI_Reduce_scatter, MPI_Reduce_scatter_block and their non-blocking forms (MPI
 * 3.1, 5.10). A short vector with a commutative operator is halved among a power of two members.
 * Else each member gets its own part of all others, one distance after the other, and reduces it:
 * what comes from below grows downwards from the own value, and what comes from above downwards
 * from the last member's, so order is kept.
 */
#include "collective.h"

#define HALVING_BYTES   (64 * 1024)
#define HALVING_MEMBERS 4
#define WINDOW          8           /* parts that are under way at once */
#define WINDOW_BYTES    (64 * 1024) /* and not more than these */

/* ---------------------------------------------------------------------- algorithms */

struct pairwise {
    const struct mpi_comm *comm;
    const struct mpi_reduction *reduction; /* of the whole vector; to: this member's part */
    struct mpi_parts parts;                /* its vector is that of the program */
    struct mpi_block own;
    void *low, *high; /* reduced values of this member and those below, and of those above */
    void *come[WINDOW];
};

static int
window_of(const struct pairwise *pairwise)
{
    int64_t bytes = mpi_block_bytes(pairwise->own), window = WINDOW;

    if (bytes > 0 && window > WINDOW_BYTES / bytes)
        window = WINDOW_BYTES / bytes;
    return window < 1 ? 1 : (int)window;
}

/* In place the result lies where others' values do: it grows elsewhere. */
static void
pairwise_memory(struct mpi_schedule *schedule, struct pairwise *pairwise, int window)
{
    struct mpi_block own = pairwise->own;

    pairwise->low = pairwise->reduction->to;
    if (pairwise->reduction->from == pairwise->low)
        pairwise->low = mpi_schedule_elements(schedule, own.count, own.type);
    if (pairwise->comm->rank < pairwise->comm->size - 1)
        pairwise->high = mpi_schedule_elements(schedule, own.count, own.type);
    for (int i = 0; i < window; i++)
        pairwise->come[i] = mpi_schedule_elements(schedule, own.count, own.type);
    mpi_write_copy(schedule, own, (struct mpi_block){pairwise->low, own.count, own.type});
}

static void
pairwise_round(struct mpi_schedule *schedule, const struct pairwise *pairwise, int first, int count)
{
    int size = pairwise->comm->size, rank = pairwise->comm->rank;
    struct mpi_block own = pairwise->own;

    for (int i = first; i < first + count; i++) {
        int from = (rank - i + size) % size, to = (rank + i) % size;
        bool is_last = from == size - 1;

        own.buffer = is_last ? pairwise->high : pairwise->come[i - first];
        mpi_write_receive_some(schedule, own, from);
        mpi_write_send_some(schedule,
                            mpi_parts_block(&pairwise->parts, pairwise->reduction, to, to + 1), to);
    }
    mpi_schedule_round(schedule);
    for (int i = first; i < first + count && mpi_block_bytes(own) > 0; i++)
        if ((rank - i + size) % size != size - 1)
            mpi_schedule_reduce(schedule, pairwise->come[i - first],
                                i <= rank ? pairwise->low : pairwise->high, own.count, own.type,
                                pairwise->reduction->op);
}

static void
pairwise_write(struct mpi_schedule *schedule, struct pairwise *pairwise)
{
    int size = pairwise->comm->size, window = window_of(pairwise);
    struct mpi_block own = pairwise->own, to = own;
    void *result;

    pairwise_memory(schedule, pairwise, window);
    for (int i = 1; i < size; i += window)
        pairwise_round(schedule, pairwise, i, size - i < window ? size - i : window);
    if (mpi_block_bytes(own) == 0)
        return;
    result = pairwise->low;
    if (pairwise->high != NULL) {
        mpi_schedule_reduce(schedule, pairwise->low, pairwise->high, own.count, own.type,
                            pairwise->reduction->op);
        result = pairwise->high;
    }
    own.buffer = result;
    to.buffer = pairwise->reduction->to;
    if (own.buffer != to.buffer)
        mpi_write_copy(schedule, own, to);
}

static void
halving(struct mpi_schedule *schedule, const struct mpi_comm *comm,
        const struct mpi_reduction *reduction, const struct mpi_parts *parts)
{
    struct mpi_power power = mpi_power_of(comm);
    struct mpi_parts copies = *parts;
    struct mpi_block own;

    copies.vector = mpi_schedule_elements(schedule, reduction->count, reduction->type);
    mpi_schedule_copy(schedule, reduction->from, reduction->count, reduction->type, copies.vector,
                      reduction->count, reduction->type);
    mpi_write_halving(schedule, &power, &copies, reduction, comm->rank);
    own = mpi_parts_block(&copies, reduction, comm->rank, comm->rank + 1);
    mpi_write_copy(schedule, own, (struct mpi_block){reduction->to, own.count, own.type});
}

static void
intra_write(struct mpi_schedule *schedule, const struct mpi_comm *comm,
            const struct mpi_reduction *reduction, const struct mpi_parts *parts)
{
    bool is_power = (comm->size & (comm->size - 1)) == 0;
    struct pairwise pairwise = {.comm = comm, .reduction = reduction, .parts = *parts};

    if (is_power && comm->size >= HALVING_MEMBERS && reduction->op->is_commutative &&
        reduction->count * reduction->type->size < HALVING_BYTES) {
        halving(schedule, comm, reduction, parts);
        return;
    }
    pairwise.own = mpi_parts_block(parts, reduction, comm->rank, comm->rank + 1);
    pairwise_write(schedule, &pairwise);
}

/* The first member of each group has its result, and scatters the other's. */
static void
inter_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
            const struct mpi_comm *comm, struct mpi_reduction *reduction,
            const struct mpi_parts *parts)
{
    struct mpi_block whole = {NULL, reduction->count, reduction->type}, own;
    int64_t part = parts->starts[comm->rank + 1] - parts->starts[comm->rank];
    struct mpi_side side = call->receive;
    int *displs = NULL;

    own = (struct mpi_block){reduction->to, part, reduction->type};
    if (comm->rank == 0) {
        reduction->to = mpi_schedule_elements(schedule, reduction->count, reduction->type);
        whole.buffer = mpi_schedule_elements(schedule, reduction->count, reduction->type);
        displs = mpi_schedule_memory(schedule, (uint64_t)comm->size * sizeof(*displs));
    }
    mpi_schedule_use(schedule, comm->local);
    mpi_write_reduce(schedule, comm->local, reduction, 0);
    for (int i = 0; displs != NULL && i < comm->size; i++)
        displs[i] = (int)parts->starts[i];
    if (displs != NULL) {
        mpi_schedule_use(schedule, comm);
        mpi_write_receive(schedule, whole, 0);
        mpi_schedule_send(schedule, reduction->to, whole.count, whole.type, 0);
        mpi_schedule_round(schedule);
        mpi_schedule_use(schedule, comm->local);
    }
    side.buffer = whole.buffer;
    side.displs = displs;
    side.type = reduction->type;
    mpi_write_scatter(schedule, comm->local, &side, own, 0);
}

/* ----------------------------------------------------------------------- arguments */

static void
vector_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
             const struct mpi_comm *comm, const struct mpi_parts *parts)
{
    struct mpi_reduction reduction = {
        .from = parts->vector,
        .to = mpi_at_byte(call->receive.buffer, 0),
        .count = parts->starts[comm->size],
        .type = call->send.type,
        .op = call->op,
    };

    if (reduction.count * reduction.type->size == 0)
        return;
    if (comm->remote != NULL)
        inter_write(call, schedule, comm, &reduction, parts);
    else
        intra_write(schedule, comm, &reduction, parts);
}

static void
reduce_scatter_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
                     const struct mpi_comm *comm)
{
    int64_t *starts = mpi_schedule_memory(schedule, ((uint64_t)comm->size + 1) * sizeof(*starts));
    const void *from = mpi_is_in_place(&call->send) ? call->receive.buffer : call->send.buffer;
    struct mpi_parts parts = {.vector = mpi_at_byte(from, 0), .starts = starts};

    if (starts == NULL)
        return;
    starts[0] = 0;
    for (int i = 0; i < comm->size; i++)
        starts[i + 1] = starts[i] + (call->receive.counts != NULL ? call->receive.counts[i]
                                                                  : call->receive.count);
    vector_write(call, schedule, comm, &parts);
}

static int
vector_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    int err = mpi_reduction_check(call);

    return err != MPI_SUCCESS ? err : mpi_reduction_buffers_check(call, comm);
}

static int
reduce_scatter_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    int most = 0;

    if (call->receive.counts == NULL)
        return MPI_ERR_ARG;
    for (int i = 0; i < comm->size; i++) {
        if (call->receive.counts[i] < 0)
            return MPI_ERR_COUNT;
        most = call->receive.counts[i] > most ? call->receive.counts[i] : most;
    }
    call->send.count = most;
    return vector_check(call, comm);
}

static int
reduce_scatter_block_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    call->send.count = call->receive.count;
    return vector_check(call, comm);
}

static const struct mpi_collective_kind reduce_scatter = {.check = reduce_scatter_check,
                                                          .write = reduce_scatter_write};
static const struct mpi_collective_kind reduce_scatter_block = {.check = reduce_scatter_block_check,
                                                                .write = reduce_scatter_write};

int
PMPI_Reduce_scatter(const void *sendbuf, void *recvbuf, const int recvcounts[],
                    MPI_Datatype datatype, MPI_Op op, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, 0, datatype),
        .receive.buffer = recvbuf,
        .receive.counts = recvcounts,
        .operator= op,
    };

    return mpi_collective_run(&call, &reduce_scatter, comm, "MPI_Reduce_scatter");
}
MPI_NAMES(Reduce_scatter);

int
PMPI_Ireduce_scatter(const void *sendbuf, void *recvbuf, const int recvcounts[],
                     MPI_Datatype datatype, MPI_Op op, MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, 0, datatype),
        .receive.buffer = recvbuf,
        .receive.counts = recvcounts,
        .operator= op,
    };

    return mpi_collective_begin(&call, &reduce_scatter, comm, request, "MPI_Ireduce_scatter");
}
MPI_NAMES(Ireduce_scatter);

int
PMPI_Reduce_scatter_block(const void *sendbuf, void *recvbuf, int recvcount, MPI_Datatype datatype,
                          MPI_Op op, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, 0, datatype),
        .receive.buffer = recvbuf,
        .receive.count = recvcount,
        .operator= op,
    };

    return mpi_collective_run(&call, &reduce_scatter_block, comm, "MPI_Reduce_scatter_block");
}
MPI_NAMES(Reduce_scatter_block);

int
PMPI_Ireduce_scatter_block(const void *sendbuf, void *recvbuf, int recvcount, MPI_Datatype datatype,
                           MPI_Op op, MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, 0, datatype),
        .receive.buffer = recvbuf,
        .receive.count = recvcount,
        .operator= op,
    };

    return mpi_collective_begin(&call, &reduce_scatter_block, comm, request,
                                "MPI_Ireduce_scatter_block");
}
MPI_NAMES(Ireduce_scatter_block);
