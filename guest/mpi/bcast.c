/* SPDX-License-Identifier: Apache-2.0
 *
 * bcast: MPI_Bcast and MPI_Ibcast (MPI 3.1, 5.4). What is small goes straight to a few members, or
 * down a binomial tree to many. What is large is cut into a part for each member, which go down the
 * tree, and then round a ring: each member sends and receives twice the data at most, however many
 * there are.
 *
 * Which way it is must be the same for all, and the types of members differ: only bytes count.
 */
#include "collective.h"

#define FLAT_MEMBERS  4 /* as many messages that are sent as they are are soon gone */
#define LARGE_BYTES   (128 * 1024)
#define LARGE_MEMBERS 8

static void
flat(struct mpi_schedule *schedule, const struct mpi_comm *comm, struct mpi_block block, int root)
{
    if (comm->rank != root)
        mpi_write_receive(schedule, block, root);
    for (int i = 0; i < comm->size && comm->rank == root; i++)
        if (i != root)
            mpi_write_send(schedule, block, i);
    mpi_schedule_round(schedule);
}

static void
binomial(struct mpi_schedule *schedule, const struct mpi_comm *comm, struct mpi_block block,
         int root)
{
    struct mpi_tree tree = mpi_tree_of(comm, root);

    if (tree.parent >= 0) {
        mpi_write_receive(schedule, block, tree.parent);
        mpi_schedule_round(schedule);
    }
    for (int distance = tree.span / 2; distance > 0; distance /= 2)
        if (mpi_tree_below(&tree, distance) > 0)
            mpi_write_send(schedule, block, mpi_tree_child(&tree, distance));
    mpi_schedule_round(schedule);
}

/* The parts of so many places of the tree from one on. */
static struct mpi_block
parts(const struct mpi_tree *tree, struct mpi_block bytes, int place, int places)
{
    int64_t part = (bytes.count + tree->size - 1) / tree->size;
    int64_t from = part * place, to = part * ((int64_t)place + places);

    from = from < bytes.count ? from : bytes.count;
    to = to < bytes.count ? to : bytes.count;
    return mpi_block_part(bytes, from, to - from);
}

static void
parts_scatter(struct mpi_schedule *schedule, const struct mpi_tree *tree, struct mpi_block bytes)
{
    if (tree->parent >= 0) {
        mpi_write_receive_some(schedule, parts(tree, bytes, tree->place, tree->places),
                               tree->parent);
        mpi_schedule_round(schedule);
    }
    for (int distance = tree->span / 2; distance > 0; distance /= 2)
        if (mpi_tree_below(tree, distance) > 0)
            mpi_write_send_some(
                schedule,
                parts(tree, bytes, tree->place + distance, mpi_tree_below(tree, distance)),
                mpi_tree_child(tree, distance));
    mpi_schedule_round(schedule);
}

static void
parts_ring(struct mpi_schedule *schedule, const struct mpi_tree *tree, struct mpi_block bytes)
{
    int size = tree->size, place = tree->place + size;

    for (int i = 0; i < size - 1; i++) {
        mpi_write_receive_some(schedule, parts(tree, bytes, (place - i - 1) % size, 1),
                               mpi_tree_child(tree, size - 1));
        mpi_write_send_some(schedule, parts(tree, bytes, (place - i) % size, 1),
                            mpi_tree_child(tree, 1));
        mpi_schedule_round(schedule);
    }
}

/* The parts are of bytes, so data that is not one run is packed. */
static void
in_parts(struct mpi_schedule *schedule, const struct mpi_comm *comm, struct mpi_block block,
         int root)
{
    void *run = mpi_type_run(block.type, block.buffer, block.count);
    struct mpi_block bytes = {run, mpi_block_bytes(block), mpi_type_byte()};
    struct mpi_tree tree = mpi_tree_of(comm, root);

    if (run == NULL) {
        bytes = mpi_write_bytes(schedule, bytes.count);
        if (comm->rank == root)
            mpi_write_copy(schedule, block, bytes);
    }
    parts_scatter(schedule, &tree, bytes);
    parts_ring(schedule, &tree, bytes);
    if (run == NULL && comm->rank != root)
        mpi_write_copy(schedule, bytes, block);
}

void
mpi_write_bcast(struct mpi_schedule *schedule, const struct mpi_comm *comm, struct mpi_block block,
                int root)
{
    int64_t bytes = mpi_block_bytes(block);

    if (comm->size == 1 || bytes == 0)
        return;
    if (bytes <= MPI_EAGER_BYTES && comm->size <= FLAT_MEMBERS)
        flat(schedule, comm, block, root);
    else if (bytes >= LARGE_BYTES && comm->size >= LARGE_MEMBERS)
        in_parts(schedule, comm, block, root);
    else
        binomial(schedule, comm, block, root);
}

/* The root sends to the first member of the other group, which goes on. */
static void
bcast_write_inter(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                  struct mpi_block block, int root)
{
    if (root == MPI_PROC_NULL)
        return;
    if (root == MPI_ROOT) {
        mpi_write_send_some(schedule, block, 0);
        return;
    }
    if (comm->rank == 0) {
        mpi_write_receive_some(schedule, block, root);
        mpi_schedule_round(schedule);
    }
    mpi_schedule_use(schedule, comm->local);
    mpi_write_bcast(schedule, comm->local, block, 0);
}

static int
bcast_check(struct mpi_collective *call, const struct mpi_comm *comm)
{
    int err = mpi_root_check(comm, call->root);

    if (err == MPI_SUCCESS && comm->remote != NULL && call->root == MPI_PROC_NULL)
        return MPI_SUCCESS;
    if (err == MPI_SUCCESS)
        err = mpi_not_in_place(&call->send);
    if (err == MPI_SUCCESS)
        err = mpi_side_check(&call->send);
    return err;
}

static void
bcast_write(const struct mpi_collective *call, struct mpi_schedule *schedule,
            const struct mpi_comm *comm)
{
    struct mpi_block block = {mpi_at_byte(call->send.buffer, 0), call->send.count, call->send.type};

    if (comm->remote != NULL)
        bcast_write_inter(schedule, comm, block, call->root);
    else
        mpi_write_bcast(schedule, comm, block, call->root);
}

static const struct mpi_collective_kind bcast = {.check = bcast_check, .write = bcast_write};

int
PMPI_Bcast(void *buffer, int count, MPI_Datatype datatype, int root, MPI_Comm comm)
{
    struct mpi_collective call = {.send = mpi_side(buffer, count, datatype), .root = root};

    return mpi_collective_run(&call, &bcast, comm, "MPI_Bcast");
}
MPI_NAMES(Bcast);

int
PMPI_Ibcast(void *buffer, int count, MPI_Datatype datatype, int root, MPI_Comm comm,
            MPI_Request *request)
{
    struct mpi_collective call = {.send = mpi_side(buffer, count, datatype), .root = root};

    return mpi_collective_begin(&call, &bcast, comm, request, "MPI_Ibcast");
}
MPI_NAMES(Ibcast);
