/* SPDX-License-Identifier: Apache-2.0
 *
 * type_testing: what datatypes need of the rest of the library, in as little as tests need:
 * functions return their errors, and MPI_COMM_WORLD is the only communicator.
 */
#include <string.h>

#include "message.h"
#include "type_testing.h"

int type_testing_copy_error, type_testing_delete_error;
static struct mpi_comm world;

void
mpi_lock(void)
{
}

void
mpi_unlock(void)
{
}

int
mpi_leave(struct mpi_comm *comm, const char *name, int err)
{
    (void)comm;
    (void)name;
    return err;
}

int
mpi_comm_find(MPI_Comm handle, struct mpi_comm **out)
{
    if (handle != MPI_COMM_WORLD)
        return MPI_ERR_COMM;
    *out = &world;
    return 0;
}

static int
take(int *error)
{
    const int err = *error;

    *error = 0;
    return err;
}

int
mpi_attributes_copy(enum mpi_kind kind, void *from_handle, const struct mpi_attributes *from,
                    struct mpi_attributes *to)
{
    (void)kind;
    (void)from_handle;
    (void)from;
    (void)to;
    return take(&type_testing_copy_error);
}

int
mpi_attributes_delete(enum mpi_kind kind, void *handle, struct mpi_attributes *attributes)
{
    (void)kind;
    (void)handle;
    (void)attributes;
    return take(&type_testing_delete_error);
}

int64_t
mpi_status_bytes(const MPI_Status *status)
{
    int64_t bytes;

    memcpy(&bytes, &status->MPI_internal[1], sizeof(bytes));
    return bytes;
}

void
mpi_status_set(MPI_Status *status, int source, int tag, int64_t bytes, bool is_cancelled)
{
    status->MPI_SOURCE = source;
    status->MPI_TAG = tag;
    status->MPI_internal[0] = is_cancelled;
    memcpy(&status->MPI_internal[1], &bytes, sizeof(bytes));
}

int
PMPI_Test_cancelled(const MPI_Status *status, int *flag)
{
    *flag = status->MPI_internal[0];
    return MPI_SUCCESS;
}

MPI_Status
type_testing_status(int64_t bytes)
{
    MPI_Status status = {0};

    mpi_status_set(&status, 3, 4, bytes, true);
    return status;
}

uint32_t
type_testing_random(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*seed >> 33) % below);
}
