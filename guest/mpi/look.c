/* SPDX-License-Identifier: Apache-2.0
 *
 * MPI_Request_get_status (MPI 3.1, 3.7.6) and its forms for many (MPI 4.1): looks at requests, and
 * leaves them as they are.
 */
#include "message_internal.h"

/* Whether it is complete, or not there; then its status. */
static int
look(MPI_Request handle, bool *is_complete, MPI_Status *status)
{
    struct mpi_request *request;
    MPI_Status ignored;
    int err = mpi_request_active(handle, &request);

    if (err != MPI_SUCCESS)
        return err;
    if (status == MPI_STATUS_IGNORE)
        status = &ignored;
    *is_complete = request == NULL || request->is_complete;
    if (request == NULL)
        mpi_status_empty(status);
    else if (request->is_complete)
        (void)mpi_request_status(request, status);
    return MPI_SUCCESS;
}

static MPI_Status *
status_at(MPI_Status *statuses, int at)
{
    return statuses != MPI_STATUSES_IGNORE ? &statuses[at] : MPI_STATUS_IGNORE;
}

int
PMPI_Request_get_status(MPI_Request request, int *flag, MPI_Status *status)
{
    bool is_complete = false;
    int err;

    mpi_lock();
    err = flag != NULL ? look(request, &is_complete, status) : MPI_ERR_ARG;
    if (err == MPI_SUCCESS && !is_complete && mpi_progress())
        err = look(request, &is_complete, status);
    if (err == MPI_SUCCESS)
        *flag = is_complete;
    return mpi_leave(NULL, "MPI_Request_get_status", err);
}
MPI_NAMES(Request_get_status);

int
PMPI_Request_get_status_all(int count, const MPI_Request array_of_requests[], int *flag,
                            MPI_Status *array_of_statuses)
{
    int err = count < 0 ? MPI_ERR_ARG : MPI_SUCCESS;
    bool is_complete = true;

    mpi_lock();
    (void)mpi_progress();
    for (int i = 0; i < count && err == MPI_SUCCESS && is_complete; i++)
        err = look(array_of_requests[i], &is_complete, MPI_STATUS_IGNORE);
    for (int i = 0; i < count && err == MPI_SUCCESS && is_complete; i++)
        err = look(array_of_requests[i], &is_complete, status_at(array_of_statuses, i));
    if (err == MPI_SUCCESS)
        *flag = is_complete;
    return mpi_leave(NULL, "MPI_Request_get_status_all", err);
}
MPI_NAMES(Request_get_status_all);

int
PMPI_Request_get_status_any(int count, const MPI_Request array_of_requests[], int *indx, int *flag,
                            MPI_Status *status)
{
    int err = count < 0 ? MPI_ERR_ARG : MPI_SUCCESS;
    struct mpi_request *request = NULL;
    bool is_complete = false, is_any = false;
    int at = MPI_UNDEFINED;

    mpi_lock();
    (void)mpi_progress();
    for (int i = 0; i < count && err == MPI_SUCCESS && !is_complete; i++) {
        err = mpi_request_active(array_of_requests[i], &request);
        is_any = is_any || request != NULL;
        is_complete = request != NULL && request->is_complete;
        if (is_complete)
            at = i;
    }
    if (err == MPI_SUCCESS) {
        *indx = at;
        *flag = is_complete || !is_any;
        if (*flag)
            err =
                look(is_complete ? array_of_requests[at] : MPI_REQUEST_NULL, &is_complete, status);
    }
    return mpi_leave(NULL, "MPI_Request_get_status_any", err);
}
MPI_NAMES(Request_get_status_any);

int
PMPI_Request_get_status_some(int incount, const MPI_Request array_of_requests[], int *outcount,
                             int array_of_indices[], MPI_Status *array_of_statuses)
{
    int err = incount < 0 ? MPI_ERR_ARG : MPI_SUCCESS;
    bool is_any = false, is_complete;
    int found = 0;

    mpi_lock();
    (void)mpi_progress();
    for (int i = 0; i < incount && err == MPI_SUCCESS; i++) {
        struct mpi_request *request = NULL;

        err = mpi_request_active(array_of_requests[i], &request);
        is_any = is_any || request != NULL;
        if (request == NULL || !request->is_complete)
            continue;
        err = look(array_of_requests[i], &is_complete, status_at(array_of_statuses, found));
        array_of_indices[found++] = i;
    }
    if (err == MPI_SUCCESS)
        *outcount = is_any ? found : MPI_UNDEFINED;
    return mpi_leave(NULL, "MPI_Request_get_status_some", err);
}
MPI_NAMES(Request_get_status_some);
