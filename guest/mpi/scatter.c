/* SPDX-License-Identifier: Apache-2.0
 *
 * scatter: MPI_Scatter, MPI_Scatterv and their non-blocking forms (MPI 3.1, 5.6). Small blocks go
 * down a binomial tree, those of a subtree as one message; large ones, and those of different
 * sizes, go straight from the root.
 */
#include "collective.h"

#define TREE_BYTES   2048 /* of a block: more is not worth a copy on the way */
#define TREE_MEMBERS 4

/* ---------------------------------------------------------------------- algorithms */

static void
linear_root(struct mpi_schedule *schedule, const struct mpi_comm *comm, const struct mpi_side *send)
{
    int peers = mpi_comm_peers(comm);

    for (int i = 0; i < peers; i++)
        if (comm->remote != NULL || i != comm->rank)
            mpi_write_send_some(schedule, mpi_side_block(send, i), i);
    mpi_schedule_round(schedule);
}

static void
linear_leaf(struct mpi_schedule *schedule, struct mpi_block block, int root)
{
    mpi_write_receive_some(schedule, block, root);
    mpi_schedule_round(schedule);
}

void
mpi_write_scatter(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                  const struct mpi_side *send, struct mpi_block block, int root)
{
    if (comm->rank != root) {
        linear_leaf(schedule, block, root);
        return;
    }
    mpi_write_copy(schedule, mpi_side_block(send, root), block);
    linear_root(schedule, comm, send);
}

static void
tree_inner(struct mpi_schedule *schedule, const struct mpi_tree *tree, struct mpi_block own)
{
    int64_t part = mpi_block_bytes(own);
    struct mpi_block all = own;

    if (tree->places > 1)
        all = mpi_write_bytes(schedule, part * tree->places);
    mpi_write_receive(schedule, all, tree->parent);
    mpi_schedule_round(schedule);
    for (int distance = tree->span / 2; distance > 0; distance /= 2)
        if (mpi_tree_below(tree, distance) > 0)
            mpi_write_send(
                schedule,
                mpi_block_part(all, part * distance, part * mpi_tree_below(tree, distance)),
                mpi_tree_child(tree, distance));
    if (tree->places > 1)
        mpi_write_copy(schedule, mpi_block_part(all, 0, part), own);
    mpi_schedule_round(schedule);
}

/* The blocks of a subtree: one run of the send buffer, unless its members begin again at rank 0. */
static struct mpi_block
tree_blocks(struct mpi_schedule *schedule, const struct mpi_side *send, int rank, int places,
            int size)
{
    struct mpi_block blocks = mpi_side_blocks(send, rank, places), bytes;
    int first = size - rank;
    int64_t part;

    if (places <= first)
        return blocks;
    part = mpi_block_bytes(blocks) / places;
    bytes = mpi_write_bytes(schedule, part * places);
    mpi_write_copy(schedule, mpi_side_blocks(send, rank, first),
                   mpi_block_part(bytes, 0, part * first));
    mpi_write_copy(schedule, mpi_side_blocks(send, 0, places - first),
                   mpi_block_part(bytes, part * first, part * (places - first)));
    return bytes;
}

static void
tree_root(struct mpi_schedule *schedule, const struct mpi_tree *tree, const struct mpi_side *send)
{
    for (int distance = tree->span / 2; distance > 0; distance /= 2) {
        int rank = mpi_tree_child(tree, distance), places = mpi_tree_below(tree, distance);

        if (places > 0)
            mpi_write_send(schedule, tree_blocks(schedule, send, rank, places, tree->size), rank);
    }
    mpi_schedule_round(schedule);
}

/* ----------------------------------------------------------------------- arguments */

static void
own_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
          const struct mpi_comm *comm)
{
    if (comm->remote == NULL && !mpi_is_in_place(&call->receive))
        mpi_write_copy(schedule, mpi_side_block(&call->send, comm->rank),
                       mpi_side_blocks(&call->receive, 0, 1));
}

static void
scatterv_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
               const struct mpi_comm *comm)
{
    if (call->root == MPI_PROC_NULL)
        return;
    if (!mpi_is_root(comm, call->root)) {
        linear_leaf(schedule, mpi_side_blocks(&call->receive, 0, 1), call->root);
        return;
    }
    own_write(call, schedule, comm);
    linear_root(schedule, comm, &call->send);
}

static bool
is_tree(const struct mpi_comm *comm, int64_t bytes)
{
    return comm->remote == NULL && comm->size >= TREE_MEMBERS && bytes <= TREE_BYTES;
}

static void
scatter_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
              const struct mpi_comm *comm)
{
    bool is_root = mpi_is_root(comm, call->root);
    const struct mpi_side *side = is_root ? &call->send : &call->receive;
    struct mpi_tree tree;

    if (call->root == MPI_PROC_NULL || side->count == 0 || side->type->size == 0)
        return;
    if (!is_tree(comm, side->count * side->type->size)) {
        scatterv_write(call, schedule, comm);
        return;
    }
    tree = mpi_tree_of(comm, call->root);
    if (!is_root) {
        tree_inner(schedule, &tree, mpi_side_blocks(&call->receive, 0, 1));
        return;
    }
    own_write(call, schedule, comm);
    tree_root(schedule, &tree, &call->send);
}

static int
aliasing_check(const struct mpi_collective *call, const struct mpi_comm *comm)
{
    if (comm->remote != NULL || mpi_is_in_place(&call->receive))
        return MPI_SUCCESS;
    return mpi_not_aliased(mpi_side_block(&call->send, comm->rank),
                           mpi_side_blocks(&call->receive, 0, 1));
}

static int
root_side_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    bool is_receiver = comm->remote == NULL && !mpi_is_in_place(&call->receive);
    int err = mpi_not_in_place(&call->send);

    if (err == MPI_SUCCESS)
        err = mpi_sides_check(&call->send, mpi_comm_peers(comm));
    if (err == MPI_SUCCESS && is_receiver)
        err = mpi_side_check(&call->receive);
    return err != MPI_SUCCESS ? err : aliasing_check(call, comm);
}

static int
scatter_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    int err = mpi_root_check(comm, call->root);

    if (err != MPI_SUCCESS || call->root == MPI_PROC_NULL)
        return err;
    if (mpi_is_root(comm, call->root))
        return root_side_check(call, comm);
    err = mpi_not_in_place(&call->receive);
    return err != MPI_SUCCESS ? err : mpi_side_check(&call->receive);
}

static const struct mpi_collective_kind scatter = {.check = scatter_check, .write = scatter_write};
static const struct mpi_collective_kind scatterv = {.check = scatter_check,
                                                    .write = scatterv_write};

int
PMPI_Scatter(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
             int recvcount, MPI_Datatype recvtype, int root, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
        .root = root,
    };

    return mpi_collective_run(&call, &scatter, comm, "MPI_Scatter");
}
MPI_NAMES(Scatter);

int
PMPI_Iscatter(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
              int recvcount, MPI_Datatype recvtype, int root, MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
        .root = root,
    };

    return mpi_collective_begin(&call, &scatter, comm, request, "MPI_Iscatter");
}
MPI_NAMES(Iscatter);

int
PMPI_Scatterv(const void *sendbuf, const int sendcounts[], const int displs[],
              MPI_Datatype sendtype, void *recvbuf, int recvcount, MPI_Datatype recvtype, int root,
              MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side_v(sendbuf, sendcounts, displs, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
        .root = root,
    };

    return mpi_collective_run(&call, &scatterv, comm, "MPI_Scatterv");
}
MPI_NAMES(Scatterv);

int
PMPI_Iscatterv(const void *sendbuf, const int sendcounts[], const int displs[],
               MPI_Datatype sendtype, void *recvbuf, int recvcount, MPI_Datatype recvtype, int root,
               MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side_v(sendbuf, sendcounts, displs, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
        .root = root,
    };

    return mpi_collective_begin(&call, &scatterv, comm, request, "MPI_Iscatterv");
}
MPI_NAMES(Iscatterv);
