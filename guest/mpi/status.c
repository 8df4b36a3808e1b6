/* SPDX-License-Identifier: Apache-2.0
 *
 * Status (MPI 3.1, 3.2.5): what is said of a message. Its bytes are in the first two of the words
 * that are the library's, whether it was cancelled in the third.
 */
#include "message_internal.h"

enum { WORD_LOW, WORD_HIGH, WORD_CANCELLED };

void
mpi_status_set(MPI_Status *status, int source, int tag, int64_t bytes, bool is_cancelled)
{
    status->MPI_SOURCE = source;
    status->MPI_TAG = tag;
    status->MPI_internal[WORD_LOW] = (int)(uint32_t)bytes;
    status->MPI_internal[WORD_HIGH] = (int)(uint32_t)((uint64_t)bytes >> 32);
    status->MPI_internal[WORD_CANCELLED] = is_cancelled;
}

void
mpi_status_empty(MPI_Status *status)
{
    mpi_status_set(status, MPI_ANY_SOURCE, MPI_ANY_TAG, 0, false);
    status->MPI_ERROR = MPI_SUCCESS;
}

int64_t
mpi_status_bytes(const MPI_Status *status)
{
    return (int64_t)((uint64_t)(uint32_t)status->MPI_internal[WORD_HIGH] << 32 |
                     (uint32_t)status->MPI_internal[WORD_LOW]);
}

int
PMPI_Test_cancelled(const MPI_Status *status, int *flag)
{
    *flag = status->MPI_internal[WORD_CANCELLED] != 0;
    return MPI_SUCCESS;
}
MPI_NAMES(Test_cancelled);

int
PMPI_Status_set_cancelled(MPI_Status *status, int flag)
{
    status->MPI_internal[WORD_CANCELLED] = flag != 0;
    return MPI_SUCCESS;
}
MPI_NAMES(Status_set_cancelled);

int
PMPI_Status_get_error(const MPI_Status *status, int *error)
{
    *error = status->MPI_ERROR;
    return MPI_SUCCESS;
}
MPI_NAMES(Status_get_error);

int
PMPI_Status_get_source(const MPI_Status *status, int *source)
{
    *source = status->MPI_SOURCE;
    return MPI_SUCCESS;
}
MPI_NAMES(Status_get_source);

int
PMPI_Status_get_tag(const MPI_Status *status, int *tag)
{
    *tag = status->MPI_TAG;
    return MPI_SUCCESS;
}
MPI_NAMES(Status_get_tag);

int
PMPI_Status_set_error(MPI_Status *status, int error)
{
    status->MPI_ERROR = error;
    return MPI_SUCCESS;
}
MPI_NAMES(Status_set_error);

int
PMPI_Status_set_source(MPI_Status *status, int source)
{
    status->MPI_SOURCE = source;
    return MPI_SUCCESS;
}
MPI_NAMES(Status_set_source);

int
PMPI_Status_set_tag(MPI_Status *status, int tag)
{
    status->MPI_TAG = tag;
    return MPI_SUCCESS;
}
MPI_NAMES(Status_set_tag);
