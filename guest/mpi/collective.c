/* SPDX-License-Identifier: Apache-2.0
 *
 * collective: arguments of collectives and their checks, and how each begins and ends.
 */
#include "collective.h"

/* ---------------------------------------------------------------------- beginning */

static int
write_for(struct mpi_collective *call, const struct mpi_collective_kind *kind,
          struct mpi_comm *comm, const char *name, struct mpi_schedule **out)
{
    *out = mpi_schedule_create(comm, name);
    if (*out == NULL)
        return MPI_ERR_NO_MEM;
    kind->write(call, *out, comm);
    return MPI_SUCCESS;
}

/* At a meeting, or in steps. */
static int
run(struct mpi_collective *call, const struct mpi_collective_kind *kind, struct mpi_comm *comm,
    const char *name)
{
    struct mpi_schedule *schedule = NULL;
    struct mpi_meeting meeting;
    int err = kind->check(call, comm);

    if (err != MPI_SUCCESS)
        return err;
    if (kind->meet != NULL && mpi_meeting_begin(comm, kind->part(call, comm), &meeting))
        return kind->meet(call, &meeting);
    err = write_for(call, kind, comm, name, &schedule);
    return err == MPI_SUCCESS ? mpi_schedule_run(schedule) : err;
}

int
mpi_collective_run(struct mpi_collective *call, const struct mpi_collective_kind *kind,
                   MPI_Comm comm, const char *name)
{
    struct mpi_comm *found = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &found);
    if (err == MPI_SUCCESS)
        err = run(call, kind, found, name);
    return mpi_leave(found, name, err);
}

static int
schedule_begin(struct mpi_schedule *schedule, MPI_Request *out)
{
    struct mpi_request *request;
    MPI_Request handle;
    int err = mpi_schedule_start(schedule, &request);

    if (err != MPI_SUCCESS)
        return err;
    err = mpi_request_export(request, &handle);
    if (err != MPI_SUCCESS) {
        /* Others count on it, so it is done all the same. */
        (void)mpi_request_finish(request);
        return err;
    }
    *out = handle;
    return MPI_SUCCESS;
}

int
mpi_collective_begin(struct mpi_collective *call, const struct mpi_collective_kind *kind,
                     MPI_Comm comm, MPI_Request *request, const char *name)
{
    struct mpi_schedule *schedule = NULL;
    struct mpi_comm *found = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &found);
    if (err == MPI_SUCCESS && request == NULL)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS)
        err = kind->check(call, found);
    if (err == MPI_SUCCESS)
        err = write_for(call, kind, found, name, &schedule);
    if (err == MPI_SUCCESS)
        err = schedule_begin(schedule, request);
    return mpi_leave(found, name, err);
}

/* -------------------------------------------------------------------------- blocks */

static struct mpi_type *
side_type(const struct mpi_side *side, int index)
{
    struct mpi_type *type = side->type;

    if (side->datatypes != NULL)
        (void)mpi_type_find(side->datatypes[index], &type);
    return type;
}

struct mpi_block
mpi_side_block(const struct mpi_side *side, int index)
{
    struct mpi_type *type = side_type(side, index);
    int64_t count = side->counts != NULL ? side->counts[index] : side->count;
    int64_t offset;

    if (side->offsets != NULL)
        offset = side->offsets[index];
    else if (side->long_offsets != NULL)
        offset = side->long_offsets[index];
    else if (side->displs != NULL)
        offset = side->displs[index] * type->extent;
    else
        offset = (int64_t)index * side->count * type->extent;
    return (struct mpi_block){mpi_at_byte(side->buffer, offset), count, type};
}

struct mpi_block
mpi_side_blocks(const struct mpi_side *side, int index, int count)
{
    struct mpi_block block = mpi_side_block(side, index);

    block.count = (int64_t)side->count * count;
    return block;
}

/* -------------------------------------------------------------------------- checks */

/* MPI_BOTTOM is a buffer for types with addresses in them, which begin elsewhere. */
static bool
has_buffer(const struct mpi_side *side, int64_t count, const struct mpi_type *type)
{
    return side->buffer != NULL || count == 0 || type->size == 0 || type->true_lb != 0 ||
           side->displs != NULL || side->offsets != NULL || side->long_offsets != NULL;
}

int
mpi_side_check(struct mpi_side *side)
{
    int err = mpi_type_use(side->datatype, side->count, &side->type);

    if (err != MPI_SUCCESS)
        return err;
    return has_buffer(side, side->count, side->type) ? MPI_SUCCESS : MPI_ERR_BUFFER;
}

static int
block_check(struct mpi_side *side, int index)
{
    MPI_Datatype datatype = side->datatypes != NULL ? side->datatypes[index] : side->datatype;
    int err = mpi_type_use(datatype, side->counts[index], &side->type);

    if (err != MPI_SUCCESS)
        return err;
    return has_buffer(side, side->counts[index], side->type) ? MPI_SUCCESS : MPI_ERR_BUFFER;
}

/* No block, or no element in it, needs no array of places. */
static bool
has_places(const struct mpi_side *side)
{
    return side->displs != NULL || side->offsets != NULL || side->long_offsets != NULL;
}

int
mpi_sides_check(struct mpi_side *side, int blocks)
{
    int err = MPI_SUCCESS;

    if (side->counts == NULL && !has_places(side))
        return mpi_side_check(side);
    if (blocks == 0)
        return MPI_SUCCESS;
    if (side->counts == NULL || !has_places(side))
        return MPI_ERR_ARG;
    for (int i = 0; i < blocks && err == MPI_SUCCESS; i++)
        err = block_check(side, i);
    return err;
}

int
mpi_reduction_check(struct mpi_collective *call)
{
    int err = mpi_type_use(call->send.datatype, call->send.count, &call->send.type);

    if (err == MPI_SUCCESS)
        err = mpi_op_find(call->operator, & call->op);
    if (err == MPI_SUCCESS)
        err = call->op->is_of_windows ? MPI_ERR_OP : mpi_op_check(call->op, call->send.type);
    return err;
}

int
mpi_reduction_buffers_check(const struct mpi_collective *call, const struct mpi_comm *comm)
{
    const struct mpi_side *send = &call->send;
    const void *to = call->receive.buffer;
    struct mpi_side receive = {.buffer = to};

    if (mpi_is_in_place(&call->receive) || (mpi_is_in_place(send) && comm->remote != NULL))
        return MPI_ERR_BUFFER;
    if (send->count == 0 || send->type->size == 0)
        return MPI_SUCCESS;
    if (!has_buffer(send, send->count, send->type) ||
        !has_buffer(&receive, send->count, send->type))
        return MPI_ERR_BUFFER;
    return send->buffer == to && to != MPI_BOTTOM ? MPI_ERR_BUFFER : MPI_SUCCESS;
}

int
mpi_root_check(const struct mpi_comm *comm, int root)
{
    if (comm->remote != NULL && (root == MPI_ROOT || root == MPI_PROC_NULL))
        return MPI_SUCCESS;
    return root >= 0 && root < mpi_comm_peers(comm) ? MPI_SUCCESS : MPI_ERR_ROOT;
}

int
mpi_not_in_place(const struct mpi_side *side)
{
    return mpi_is_in_place(side) ? MPI_ERR_BUFFER : MPI_SUCCESS;
}

int
mpi_not_aliased(struct mpi_block one, struct mpi_block other)
{
    bool is_same = one.buffer == other.buffer && one.buffer != MPI_BOTTOM;

    return is_same && mpi_block_bytes(one) > 0 && mpi_block_bytes(other) > 0 ? MPI_ERR_BUFFER
                                                                             : MPI_SUCCESS;
}

/* ------------------------------------------------------------------------- writing */

void
mpi_write_send_some(struct mpi_schedule *schedule, struct mpi_block block, int to)
{
    if (mpi_block_bytes(block) > 0)
        mpi_write_send(schedule, block, to);
}

void
mpi_write_receive_some(struct mpi_schedule *schedule, struct mpi_block block, int from)
{
    if (mpi_block_bytes(block) > 0)
        mpi_write_receive(schedule, block, from);
}

struct mpi_block
mpi_write_bytes(struct mpi_schedule *schedule, int64_t bytes)
{
    void *memory = mpi_schedule_memory(schedule, (uint64_t)bytes);

    return (struct mpi_block){memory, bytes, mpi_type_byte()};
}

struct mpi_tree
mpi_tree_of(const struct mpi_comm *comm, int root)
{
    struct mpi_tree tree = {.size = comm->size, .root = root, .parent = -1, .span = 1};

    tree.place = (comm->rank - root + comm->size) % comm->size;
    while (tree.span < tree.size && (tree.place & tree.span) == 0)
        tree.span *= 2;
    if (tree.place != 0)
        tree.parent = mpi_tree_child(&tree, -tree.span);
    tree.places = tree.size - tree.place;
    if (tree.places > tree.span)
        tree.places = tree.span;
    return tree;
}

/* ------------------------------------------------------------- for the library's own */

int
mpi_collective_barrier(struct mpi_comm *comm)
{
    struct mpi_schedule *schedule = mpi_schedule_create(comm, "barrier");

    if (schedule == NULL)
        return MPI_ERR_NO_MEM;
    mpi_write_barrier(schedule, comm);
    return mpi_schedule_run(schedule);
}

int
mpi_collective_bcast(struct mpi_comm *comm, void *bytes, uint32_t count, int root)
{
    struct mpi_schedule *schedule = mpi_schedule_create(comm, "bcast");

    if (schedule == NULL)
        return MPI_ERR_NO_MEM;
    mpi_write_bcast(schedule, comm, (struct mpi_block){bytes, count, mpi_type_byte()}, root);
    return mpi_schedule_run(schedule);
}

int
mpi_collective_allgather(struct mpi_comm *comm, const void *bytes, void *all, uint32_t count)
{
    struct mpi_schedule *schedule = mpi_schedule_create(comm, "allgather");
    struct mpi_type *byte = mpi_type_byte();
    struct mpi_side receive = {.buffer = all, .count = (int)count, .type = byte};
    struct mpi_block own;

    if (schedule == NULL)
        return MPI_ERR_NO_MEM;
    own = mpi_side_block(&receive, comm->rank);
    if (own.buffer != bytes)
        mpi_schedule_copy(schedule, bytes, count, byte, own.buffer, count, byte);
    mpi_write_allgather(schedule, comm, &receive);
    return mpi_schedule_run(schedule);
}

int
mpi_collective_max(struct mpi_comm *comm, int64_t *values, uint32_t count)
{
    struct mpi_reduction reduction = {.from = values, .to = values, .count = count};
    struct mpi_schedule *schedule;
    int err = mpi_type_find(MPI_INT64_T, &reduction.type);

    if (err == MPI_SUCCESS)
        err = mpi_op_find(MPI_MAX, &reduction.op);
    if (err != MPI_SUCCESS)
        return err;
    schedule = mpi_schedule_create(comm, "agreement");
    if (schedule == NULL)
        return MPI_ERR_NO_MEM;
    mpi_write_allreduce(schedule, comm, &reduction);
    return mpi_schedule_run(schedule);
}
