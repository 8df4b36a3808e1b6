/* SPDX-License-Identifier: Apache-2.0
 *
 * gather: MPI_Gather, MPI_Gatherv and their non-blocking forms (MPI 3.1, 5.5). Small blocks come up
 * a binomial tree, where each member sends those of its subtree as one message; large ones, and
 * those of different sizes, go straight to the root.
 */
#include "collective.h"

#define TREE_BYTES   2048 /* of a block: more is not worth a copy on the way */
#define TREE_MEMBERS 4

/* ---------------------------------------------------------------------- algorithms */

static void
linear_root(const struct mpi_collective *call, struct mpi_schedule *schedule,
            const struct mpi_comm *comm)
{
    int peers = mpi_comm_peers(comm);

    for (int i = 0; i < peers; i++)
        if (comm->remote != NULL || i != comm->rank)
            mpi_write_receive_some(schedule, mpi_side_block(&call->receive, i), i);
    mpi_schedule_round(schedule);
}

static void
tree_inner(const struct mpi_collective *call, struct mpi_schedule *schedule,
           const struct mpi_tree *tree)
{
    struct mpi_block own = mpi_side_blocks(&call->send, 0, 1);
    int64_t part = mpi_block_bytes(own);
    struct mpi_block all = own;

    if (tree->places > 1) {
        all = mpi_write_bytes(schedule, part * tree->places);
        mpi_write_copy(schedule, own, mpi_block_part(all, 0, part));
        for (int distance = 1; distance < tree->places; distance *= 2)
            mpi_write_receive(
                schedule,
                mpi_block_part(all, part * distance, part * mpi_tree_below(tree, distance)),
                mpi_tree_child(tree, distance));
        mpi_schedule_round(schedule);
    }
    mpi_write_send(schedule, all, tree->parent);
    mpi_schedule_round(schedule);
}

/* A subtree's blocks follow one another in the receive buffer too, but for the one whose members
 * begin again at rank 0: that comes in two parts, through memory. */
struct wrapped {
    struct mpi_block bytes;
    int first, places; /* ranks; places == 0: there is none */
};

static void
tree_root_receive(const struct mpi_collective *call, struct mpi_schedule *schedule,
                  const struct mpi_tree *tree, int distance, struct wrapped *wrapped)
{
    int from = mpi_tree_child(tree, distance), places = mpi_tree_below(tree, distance);
    struct mpi_block blocks = mpi_side_blocks(&call->receive, from, places);

    if (from + places > tree->size) {
        wrapped->first = from;
        wrapped->places = places;
        wrapped->bytes = blocks = mpi_write_bytes(schedule, mpi_block_bytes(blocks));
    }
    mpi_write_receive(schedule, blocks, from);
}

static void
tree_root(const struct mpi_collective *call, struct mpi_schedule *schedule,
          const struct mpi_tree *tree)
{
    struct wrapped wrapped = {.places = 0};
    int first;
    int64_t part;

    for (int distance = 1; distance < tree->size; distance *= 2)
        tree_root_receive(call, schedule, tree, distance, &wrapped);
    mpi_schedule_round(schedule);
    if (wrapped.places == 0)
        return;
    first = tree->size - wrapped.first;
    part = wrapped.bytes.count / wrapped.places;
    mpi_write_copy(schedule, mpi_block_part(wrapped.bytes, 0, part * first),
                   mpi_side_blocks(&call->receive, wrapped.first, first));
    mpi_write_copy(schedule,
                   mpi_block_part(wrapped.bytes, part * first, part * (wrapped.places - first)),
                   mpi_side_blocks(&call->receive, 0, wrapped.places - first));
}

/* ------------------------------------------------------------------- arguments */

static bool
is_tree(const struct mpi_comm *comm, int64_t bytes)
{
    return comm->remote == NULL && comm->size >= TREE_MEMBERS && bytes <= TREE_BYTES;
}

static void
own_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
          const struct mpi_comm *comm)
{
    if (comm->remote == NULL && !mpi_is_in_place(&call->send))
        mpi_write_copy(schedule, mpi_side_blocks(&call->send, 0, 1),
                       mpi_side_block(&call->receive, comm->rank));
}

static void
leaf_write(const struct mpi_collective *call, struct mpi_schedule *schedule)
{
    mpi_write_send_some(schedule, mpi_side_blocks(&call->send, 0, 1), call->root);
}

static void
gatherv_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
              const struct mpi_comm *comm)
{
    if (call->root == MPI_PROC_NULL)
        return;
    if (!mpi_is_root(comm, call->root)) {
        leaf_write(call, schedule);
        return;
    }
    own_write(call, schedule, comm);
    linear_root(call, schedule, comm);
}

static void
gather_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
             const struct mpi_comm *comm)
{
    bool is_root = mpi_is_root(comm, call->root);
    const struct mpi_side *side = is_root ? &call->receive : &call->send;
    struct mpi_tree tree;

    if (call->root == MPI_PROC_NULL || side->count == 0 || side->type->size == 0)
        return;
    if (!is_tree(comm, side->count * side->type->size)) {
        gatherv_write(call, schedule, comm);
        return;
    }
    tree = mpi_tree_of(comm, call->root);
    if (!is_root) {
        tree_inner(call, schedule, &tree);
        return;
    }
    own_write(call, schedule, comm);
    tree_root(call, schedule, &tree);
}

static int
aliasing_check(const struct mpi_collective *call, const struct mpi_comm *comm)
{
    if (comm->remote != NULL || mpi_is_in_place(&call->send))
        return MPI_SUCCESS;
    return mpi_not_aliased(mpi_side_blocks(&call->send, 0, 1),
                           mpi_side_block(&call->receive, comm->rank));
}

static int
root_side_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    bool is_sender = comm->remote == NULL && !mpi_is_in_place(&call->send);
    int err = mpi_not_in_place(&call->receive);

    if (err == MPI_SUCCESS)
        err = mpi_sides_check(&call->receive, mpi_comm_peers(comm));
    if (err == MPI_SUCCESS && is_sender)
        err = mpi_side_check(&call->send);
    return err != MPI_SUCCESS ? err : aliasing_check(call, comm);
}

static int
gather_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    int err = mpi_root_check(comm, call->root);

    if (err != MPI_SUCCESS || call->root == MPI_PROC_NULL)
        return err;
    if (mpi_is_root(comm, call->root))
        return root_side_check(call, comm);
    err = mpi_not_in_place(&call->send);
    return err != MPI_SUCCESS ? err : mpi_side_check(&call->send);
}

static const struct mpi_collective_kind gather = {.check = gather_check, .write = gather_write};
static const struct mpi_collective_kind gatherv = {.check = gather_check, .write = gatherv_write};

int
PMPI_Gather(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf, int recvcount,
            MPI_Datatype recvtype, int root, MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
        .root = root,
    };

    return mpi_collective_run(&call, &gather, comm, "MPI_Gather");
}
MPI_NAMES(Gather);

int
PMPI_Igather(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
             int recvcount, MPI_Datatype recvtype, int root, MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side(recvbuf, recvcount, recvtype),
        .root = root,
    };

    return mpi_collective_begin(&call, &gather, comm, request, "MPI_Igather");
}
MPI_NAMES(Igather);

int
PMPI_Gatherv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
             const int recvcounts[], const int displs[], MPI_Datatype recvtype, int root,
             MPI_Comm comm)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side_v(recvbuf, recvcounts, displs, recvtype),
        .root = root,
    };

    return mpi_collective_run(&call, &gatherv, comm, "MPI_Gatherv");
}
MPI_NAMES(Gatherv);

int
PMPI_Igatherv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
              const int recvcounts[], const int displs[], MPI_Datatype recvtype, int root,
              MPI_Comm comm, MPI_Request *request)
{
    struct mpi_collective call = {
        .send = mpi_side(sendbuf, sendcount, sendtype),
        .receive = mpi_side_v(recvbuf, recvcounts, displs, recvtype),
        .root = root,
    };

    return mpi_collective_begin(&call, &gatherv, comm, request, "MPI_Igatherv");
}
MPI_NAMES(Igatherv);
