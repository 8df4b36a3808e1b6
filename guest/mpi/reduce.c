/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce: MPI_Reduce and MPI_Ireduce (MPI 3.1, 5.9). Values come up a binomial tree, each those of
 * a run of members, so their order is kept; where it matters the tree's root is member 0, which
 * sends the result on. Long vectors are halved among members until each has a part reduced, and
 * these go to the root.
 */
#include "collective.h"

#define LARGE_BYTES   (16 * 1024)
#define LARGE_MEMBERS 4

/* ---------------------------------------------------------------------- algorithms */

/* to: NULL: nobody's; the tree's root has it. */
static void
tree_reduce(struct mpi_schedule *schedule, const struct mpi_tree *tree,
            const struct mpi_reduction *reduction, void *to)
{
    struct mpi_fold fold = {.have = reduction->from};

    if (tree->places > 1 || tree->parent < 0)
        fold = mpi_fold_of(schedule, reduction, to);
    for (int distance = 1; distance < tree->places; distance *= 2) {
        void *come = mpi_fold_place(&fold);

        mpi_schedule_receive(schedule, come, reduction->count, reduction->type,
                             mpi_tree_child(tree, distance));
        mpi_schedule_round(schedule);
        mpi_fold_behind(&fold, come);
    }
    if (tree->parent < 0) {
        mpi_fold_end(&fold);
        return;
    }
    mpi_schedule_send(schedule, fold.have, reduction->count, reduction->type, tree->parent);
    mpi_schedule_round(schedule);
}

static void
in_order(struct mpi_schedule *schedule, const struct mpi_comm *comm,
         const struct mpi_reduction *reduction, int root)
{
    int top = reduction->op->is_commutative ? root : 0;
    struct mpi_tree tree = mpi_tree_of(comm, top);
    void *to = comm->rank == root ? reduction->to : NULL;

    if (top == root || comm->rank != top) {
        tree_reduce(schedule, &tree, reduction, top == root ? to : NULL);
    } else {
        to = mpi_schedule_elements(schedule, reduction->count, reduction->type);
        tree_reduce(schedule, &tree, reduction, to);
        mpi_schedule_send(schedule, to, reduction->count, reduction->type, root);
    }
    if (top != root && comm->rank == root)
        mpi_schedule_receive(schedule, to, reduction->count, reduction->type, top);
    mpi_schedule_round(schedule);
}

static void
parts_gather(struct mpi_schedule *schedule, const struct mpi_comm *comm,
             const struct mpi_parts *parts, const struct mpi_reduction *reduction, int root)
{
    struct mpi_power power = mpi_power_of(comm);

    if (comm->rank != root) {
        if (power.rank >= 0)
            mpi_write_send_some(
                schedule, mpi_parts_block(parts, reduction, power.rank, power.rank + 1), root);
    } else {
        for (int i = 0; i < power.ranks; i++)
            if (i != power.rank)
                mpi_write_receive_some(schedule, mpi_parts_block(parts, reduction, i, i + 1),
                                       mpi_power_member(&power, i));
    }
    mpi_schedule_round(schedule);
}

static void
in_halves(struct mpi_schedule *schedule, const struct mpi_comm *comm,
          const struct mpi_reduction *reduction, int root)
{
    struct mpi_power power = mpi_power_of(comm);
    void *vector = comm->rank == root
                       ? reduction->to
                       : mpi_schedule_elements(schedule, reduction->count, reduction->type);
    struct mpi_parts parts = mpi_parts_of(schedule, reduction, power.ranks, vector);

    if (parts.starts == NULL)
        return;
    if (vector != reduction->from)
        mpi_schedule_copy(schedule, reduction->from, reduction->count, reduction->type, vector,
                          reduction->count, reduction->type);
    mpi_write_halving(schedule, &power, &parts, reduction, comm->rank);
    parts_gather(schedule, comm, &parts, reduction, root);
}

void
mpi_write_reduce(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                 const struct mpi_reduction *reduction, int root)
{
    int64_t bytes = reduction->count * reduction->type->size;

    if (bytes == 0)
        return;
    if (bytes >= LARGE_BYTES && comm->size >= LARGE_MEMBERS && reduction->count >= comm->size &&
        reduction->op->is_commutative)
        in_halves(schedule, comm, reduction, root);
    else
        in_order(schedule, comm, reduction, root);
}

/* The sending group's first member has its result, and tells the root. */
static void
reduce_write_inter(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                   struct mpi_reduction *reduction, int root)
{
    struct mpi_block block = {reduction->to, reduction->count, reduction->type};

    if (root == MPI_PROC_NULL || mpi_block_bytes(block) == 0)
        return;
    if (root == MPI_ROOT) {
        mpi_write_receive(schedule, block, 0);
        return;
    }
    if (comm->rank == 0)
        block.buffer = mpi_schedule_elements(schedule, block.count, block.type);
    reduction->to = block.buffer;
    mpi_schedule_use(schedule, comm->local);
    mpi_write_reduce(schedule, comm->local, reduction, 0);
    mpi_schedule_use(schedule, comm);
    if (comm->rank == 0)
        mpi_write_send(schedule, block, root);
}

/* ----------------------------------------------------------------------- arguments */

static void
reduce_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
             const struct mpi_comm *comm)
{
    bool is_in_place = mpi_is_in_place(&call->send);
    struct mpi_reduction reduction = {
        .from = is_in_place ? call->receive.buffer : call->send.buffer,
        .to = mpi_at_byte(call->receive.buffer, 0),
        .count = call->send.count,
        .type = call->send.type,
        .op = call->op,
    };

    if (call->root == MPI_PROC_NULL)
        return;
    if (comm->remote != NULL)
        reduce_write_inter(schedule, comm, &reduction, call->root);
    else
        mpi_write_reduce(schedule, comm, &reduction, call->root);
}

static int
reduce_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    bool is_root = mpi_is_root(comm, call->root);
    int err = mpi_root_check(comm, call->root);

    if (err == MPI_SUCCESS && call->root == MPI_PROC_NULL)
        return MPI_SUCCESS;
    if (err == MPI_SUCCESS)
        err = mpi_reduction_check(call);
    if (err != MPI_SUCCESS)
        return err;
    if (is_root && comm->remote == NULL)
        return mpi_reduction_buffers_check(call, comm);
    return mpi_not_in_place(is_root ? &call->receive : &call->send);
}

static const struct mpi_collective_kind reduce = {.check = reduce_check, .write = reduce_write};

int
PMPI_Reduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
            int root, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, count, datatype),
        .receive.buffer = recvbuf,
        .operator= op,
        .root = root,
    };

    return mpi_collective_run(&call, &reduce, comm, "MPI_Reduce");
}
MPI_NAMES(Reduce);

int
PMPI_Ireduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
             int root, MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, count, datatype),
        .receive.buffer = recvbuf,
        .operator= op,
        .root = root,
    };

    return mpi_collective_begin(&call, &reduce, comm, request, "MPI_Ireduce");
}
MPI_NAMES(Ireduce);
