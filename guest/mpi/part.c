/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments of sends, receives and probes, and what is wrong with them.
 */
#include "message_internal.h"

static int
find_comm(struct mpi_part *part, MPI_Comm handle)
{
    int err;

    part->comm = NULL;
    err = mpi_comm_find(handle, &part->comm);
    if (err == MPI_SUCCESS)
        part->context = part->comm->context;
    return err;
}

static inline bool
is_rank(const struct mpi_comm *comm, int rank)
{
    return (unsigned)rank < (unsigned)mpi_comm_peers(comm) || rank == MPI_PROC_NULL;
}

static inline bool
is_tag(int tag)
{
    return (unsigned)tag <= MPI_TAG_MAX;
}

int
mpi_part_data(struct mpi_part *part, const void *buffer, int count, MPI_Datatype type)
{
    int err = mpi_type_use(type, count, &part->type);

    if (err != MPI_SUCCESS)
        return err;
    part->buffer = buffer;
    part->count = count;
    /* MPI_BOTTOM is no other address: only types that were made may mean it. */
    if (buffer == NULL && count > 0 && part->type->size > 0 && part->type->is_predefined)
        return MPI_ERR_BUFFER;
    return MPI_SUCCESS;
}

int
mpi_part_to(struct mpi_part *part, const struct mpi_arguments *arguments)
{
    int err = find_comm(part, arguments->comm);

    if (err != MPI_SUCCESS)
        return err;
    part->rank = arguments->rank;
    part->tag = arguments->tag;
    if (arguments->count < 0)
        return MPI_ERR_COUNT;
    if (!is_rank(part->comm, part->rank))
        return MPI_ERR_RANK;
    if (!is_tag(part->tag))
        return MPI_ERR_TAG;
    return mpi_part_data(part, arguments->buffer, arguments->count, arguments->type);
}

int
mpi_part_probed(struct mpi_part *part, int source, int tag, MPI_Comm comm)
{
    int err = find_comm(part, comm);

    if (err != MPI_SUCCESS)
        return err;
    part->rank = source;
    part->tag = tag;
    if (!is_rank(part->comm, source) && source != MPI_ANY_SOURCE)
        return MPI_ERR_RANK;
    return is_tag(tag) || tag == MPI_ANY_TAG ? MPI_SUCCESS : MPI_ERR_TAG;
}

int
mpi_part_from(struct mpi_part *part, const struct mpi_arguments *arguments)
{
    int err = mpi_part_probed(part, arguments->rank, arguments->tag, arguments->comm);

    if (err != MPI_SUCCESS)
        return err;
    if (arguments->count < 0)
        return MPI_ERR_COUNT;
    return mpi_part_data(part, arguments->buffer, arguments->count, arguments->type);
}

struct mpi_type *
mpi_type_byte(void)
{
    static struct mpi_type *byte;

    if (byte == NULL)
        (void)mpi_type_find(MPI_BYTE, &byte);
    return byte;
}
