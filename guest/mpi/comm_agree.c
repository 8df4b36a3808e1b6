/* SPDX-License-Identifier: Apache-2.0
 *
 * How a new communicator's context becomes known. One member chooses it, unlike all others that
 * were ever chosen, and says it to all: there is nothing to negotiate.
 *
 *   intra: rank 0, as MPI_Bcast does
 *   inter: rank 0 of the group that has the first members; it tells the other group, whose rank 0
 *          tells the first group
 */
#include "collective.h"
#include "comm.h"

static int
choose(void *context)
{
    *(uint32_t *)context = mpi_context_new();
    return *(uint32_t *)context != 0 ? 0 : MPI_ERR_OTHER;
}

/* And the one after it, which is free for what the two groups, that never meet, make of their own.
 */
static int
choose_two(void *context)
{
    int err = choose(context);

    return err == 0 && mpi_context_new() == 0 ? MPI_ERR_OTHER : err;
}

static void
write_tree(struct mpi_schedule *schedule, struct mpi_comm *comm, uint32_t *context)
{
    const struct mpi_block block = {context, sizeof(*context), mpi_type_byte()};

    if (comm->rank == 0)
        mpi_schedule_call(schedule, choose, context);
    mpi_schedule_round(schedule);
    mpi_write_bcast(schedule, comm, block, 0);
}

/* The first: members are in one group or the other, so the first ones differ. */
static bool
is_first(const struct mpi_comm *comm)
{
    return comm->group->members[0] < comm->remote->members[0];
}

static void
write_across(struct mpi_schedule *schedule, struct mpi_comm *comm, uint32_t *context)
{
    struct mpi_type *bytes = mpi_type_byte();
    bool is_chooser = is_first(comm) && comm->rank == 0;

    if (is_chooser)
        mpi_schedule_call(schedule, choose_two, context);
    else
        mpi_schedule_receive(schedule, context, sizeof(*context), bytes, 0);
    mpi_schedule_round(schedule);
    if (comm->rank == 0) /* the chooser knows it already */
        for (int rank = is_chooser ? 0 : 1; rank < comm->remote->size; rank++)
            mpi_schedule_send(schedule, context, sizeof(*context), bytes, rank);
}

void
mpi_context_write(struct mpi_schedule *schedule, struct mpi_comm *comm, uint32_t *context)
{
    if (comm->remote == NULL)
        write_tree(schedule, comm, context);
    else
        write_across(schedule, comm, context);
    mpi_schedule_round(schedule);
}

int
mpi_context_agree(struct mpi_comm *comm, uint32_t *context)
{
    struct mpi_schedule *schedule = mpi_schedule_create(comm, "a new communicator");

    if (schedule == NULL)
        return MPI_ERR_NO_MEM;
    mpi_context_write(schedule, comm, context);
    return mpi_schedule_run(schedule);
}

int
mpi_comm_exchange(struct mpi_comm *comm, const void *ours, uint32_t our_bytes, void *theirs,
                  uint32_t their_bytes)
{
    struct mpi_schedule *schedule = mpi_schedule_create(comm, "a new communicator");
    struct mpi_type *bytes = mpi_type_byte();

    if (schedule == NULL)
        return MPI_ERR_NO_MEM;
    mpi_schedule_receive(schedule, theirs, their_bytes, bytes, 0);
    if (comm->rank == 0)
        for (int rank = 0; rank < comm->remote->size; rank++)
            mpi_schedule_send(schedule, ours, our_bytes, bytes, rank);
    return mpi_schedule_run(schedule);
}

int
mpi_comm_clone(struct mpi_comm *comm, struct mpi_comm **out)
{
    struct mpi_comm *clone;
    uint32_t context;
    int err = mpi_context_agree(comm, &context);

    if (err == 0)
        err = mpi_comm_create(context, mpi_group_get(comm->group), NULL, comm, &clone);
    if (err != 0)
        return err;
    mpi_handle_free(MPI_KIND_COMM, clone->handle);
    clone->handle = NULL;
    *out = clone;
    return 0;
}

int
mpi_intercomm_create(uint32_t context, struct mpi_group *group, struct mpi_group *remote,
                     struct mpi_comm *local, struct mpi_comm **out)
{
    struct mpi_comm *clone = NULL;
    int err = mpi_comm_clone(local, &clone);

    if (err != 0 || group == NULL || remote == NULL) {
        mpi_comm_put(clone);
        mpi_group_put(group);
        mpi_group_put(remote);
        return err != 0 ? err : MPI_ERR_NO_MEM;
    }
    err = mpi_comm_create(context, group, remote, local, out);
    if (err == 0)
        (*out)->local = clone;
    else
        mpi_comm_put(clone);
    return err;
}
