/* SPDX-License-Identifier: Apache-2.0
 *
 * Completion of one, any, some or all requests (MPI 3.1, 3.7.3 to 3.7.6). Requests that are null,
 * and persistent ones that are not active, are as if they were not there.
 */
#include <stdlib.h>

#include "message_internal.h"

static void
set_empty(MPI_Status *status)
{
    if (status != MPI_STATUS_IGNORE)
        mpi_status_empty(status);
}

static MPI_Status *
status_at(MPI_Status *statuses, int at)
{
    return statuses != MPI_STATUSES_IGNORE ? &statuses[at] : MPI_STATUS_IGNORE;
}

int
PMPI_Wait(MPI_Request *request, MPI_Status *status)
{
    struct mpi_comm *failed = NULL;
    struct mpi_request *object = NULL;
    int err;

    mpi_lock();
    err = request != NULL ? mpi_request_active(*request, &object) : MPI_ERR_ARG;
    if (object != NULL) {
        mpi_request_wait(object);
        err = mpi_request_take(request, object, status, &failed);
    } else if (err == MPI_SUCCESS) {
        set_empty(status);
    }
    return mpi_request_leave(failed, "MPI_Wait", err);
}
MPI_NAMES(Wait);

static bool
is_complete_now(const struct mpi_request *request)
{
    if (!request->is_complete)
        (void)mpi_progress();
    return request->is_complete;
}

int
PMPI_Test(MPI_Request *request, int *flag, MPI_Status *status)
{
    struct mpi_comm *failed = NULL;
    struct mpi_request *object = NULL;
    int err;

    mpi_lock();
    err = request != NULL && flag != NULL ? mpi_request_active(*request, &object) : MPI_ERR_ARG;
    if (object != NULL) {
        *flag = is_complete_now(object);
        if (*flag)
            err = mpi_request_take(request, object, status, &failed);
    } else if (err == MPI_SUCCESS) {
        *flag = 1;
        set_empty(status);
    }
    return mpi_request_leave(failed, "MPI_Test", err);
}
MPI_NAMES(Test);

/* ------------------------------------------------------------------ what many of them do */

struct many {
    int active, complete;
    int first; /* that is complete; MPI_UNDEFINED */
};

/* An error of the arguments. */
static int
count_many(int count, const MPI_Request *requests, struct many *out)
{
    *out = (struct many){.first = MPI_UNDEFINED};
    if (count < 0 || (count > 0 && requests == NULL))
        return MPI_ERR_ARG;
    for (int i = 0; i < count; i++) {
        struct mpi_request *request;
        int err = mpi_request_active(requests[i], &request);

        if (err != MPI_SUCCESS)
            return err;
        if (request == NULL)
            continue;
        out->active++;
        if (!request->is_complete)
            continue;
        if (out->complete++ == 0)
            out->first = i;
    }
    return MPI_SUCCESS;
}

/* The same after some progress, where there are not enough of them yet. */
static int
count_with_progress(int count, const MPI_Request *requests, bool is_all, struct many *out)
{
    int err = count_many(count, requests, out);

    if (err != MPI_SUCCESS || out->complete >= (is_all ? out->active : 1))
        return err;
    if (out->active > 0 && mpi_progress())
        err = count_many(count, requests, out);
    return err;
}

static void
set_noticed(int count, const MPI_Request *requests, bool *noticed)
{
    for (int i = 0; i < count; i++) {
        struct mpi_request *request;

        if (mpi_request_active(requests[i], &request) == MPI_SUCCESS && request != NULL)
            request->noticed = noticed;
    }
}

/* The same when at least one is complete, or none is active. */
static int
await_any(int count, const MPI_Request *requests, const char *what, struct many *out)
{
    bool is_noticed = false;
    int err = count_many(count, requests, out);

    if (err != MPI_SUCCESS || out->active == 0 || out->complete > 0)
        return err;
    set_noticed(count, requests, &is_noticed);
    mpi_await(&is_noticed, what);
    set_noticed(count, requests, NULL);
    return count_many(count, requests, out);
}

/* Ends one of many, and keeps their statuses as 3.7.5 has it: errors are in all of them as soon as
 * there is one. *failed_count: so far, at other places before this one. */
static void
take_of_many(MPI_Request *request, struct mpi_request *object, MPI_Status *statuses, int at,
             struct mpi_comm **failed, bool *has_failed)
{
    int err = mpi_request_take(request, object, status_at(statuses, at), failed);

    if (statuses != MPI_STATUSES_IGNORE && err != MPI_SUCCESS && !*has_failed)
        for (int i = 0; i < at; i++)
            statuses[i].MPI_ERROR = MPI_SUCCESS;
    *has_failed = *has_failed || err != MPI_SUCCESS;
    if (statuses != MPI_STATUSES_IGNORE && *has_failed)
        statuses[at].MPI_ERROR = err;
}

/* Ends all, which are complete or (is_wait) are waited for. MPI_ERR_IN_STATUS. */
static int
take_all(int count, MPI_Request *requests, MPI_Status *statuses, struct mpi_comm **failed)
{
    bool has_failed = false;

    for (int i = 0; i < count; i++) {
        struct mpi_request *request;

        (void)mpi_request_active(requests[i], &request);
        if (request == NULL) {
            set_empty(status_at(statuses, i));
            continue;
        }
        mpi_request_wait(request);
        take_of_many(&requests[i], request, statuses, i, failed, &has_failed);
    }
    return has_failed ? MPI_ERR_IN_STATUS : MPI_SUCCESS;
}

static int
take_some(int count, MPI_Request *requests, int *indices, MPI_Status *statuses,
          struct mpi_comm **failed)
{
    bool has_failed = false;
    int taken = 0;

    for (int i = 0; i < count; i++) {
        struct mpi_request *request;

        (void)mpi_request_active(requests[i], &request);
        if (request == NULL || !request->is_complete)
            continue;
        take_of_many(&requests[i], request, statuses, taken, failed, &has_failed);
        indices[taken++] = i;
    }
    return has_failed ? MPI_ERR_IN_STATUS : MPI_SUCCESS;
}

static int
take_at(MPI_Request *requests, int at, MPI_Status *status, struct mpi_comm **failed)
{
    struct mpi_request *request;

    if (at == MPI_UNDEFINED) {
        set_empty(status);
        return MPI_SUCCESS;
    }
    (void)mpi_request_active(requests[at], &request);
    return mpi_request_take(&requests[at], request, status, failed);
}

/* ------------------------------------------------------------------------------- all */

int
PMPI_Waitall(int count, MPI_Request array_of_requests[], MPI_Status *array_of_statuses)
{
    struct mpi_comm *failed = NULL;
    struct many many;
    int err;

    mpi_lock();
    err = count_many(count, array_of_requests, &many);
    if (err == MPI_SUCCESS)
        err = take_all(count, array_of_requests, array_of_statuses, &failed);
    return mpi_request_leave(failed, "MPI_Waitall", err);
}
MPI_NAMES(Waitall);

int
PMPI_Testall(int count, MPI_Request array_of_requests[], int *flag, MPI_Status *array_of_statuses)
{
    struct mpi_comm *failed = NULL;
    struct many many;
    int err;

    mpi_lock();
    err = count_with_progress(count, array_of_requests, true, &many);
    if (err == MPI_SUCCESS) {
        *flag = many.complete == many.active;
        if (*flag)
            err = take_all(count, array_of_requests, array_of_statuses, &failed);
    }
    return mpi_request_leave(failed, "MPI_Testall", err);
}
MPI_NAMES(Testall);

/* ------------------------------------------------------------------------------- any */

int
PMPI_Waitany(int count, MPI_Request array_of_requests[], int *indx, MPI_Status *status)
{
    struct mpi_comm *failed = NULL;
    struct many many;
    int err;

    mpi_lock();
    err = await_any(count, array_of_requests, "MPI_Waitany", &many);
    if (err == MPI_SUCCESS) {
        *indx = many.first;
        err = take_at(array_of_requests, many.first, status, &failed);
    }
    return mpi_request_leave(failed, "MPI_Waitany", err);
}
MPI_NAMES(Waitany);

int
PMPI_Testany(int count, MPI_Request array_of_requests[], int *indx, int *flag, MPI_Status *status)
{
    struct mpi_comm *failed = NULL;
    struct many many;
    int err;

    mpi_lock();
    err = count_with_progress(count, array_of_requests, false, &many);
    if (err == MPI_SUCCESS) {
        *indx = many.first;
        *flag = many.complete > 0 || many.active == 0;
        if (*flag)
            err = take_at(array_of_requests, many.first, status, &failed);
    }
    return mpi_request_leave(failed, "MPI_Testany", err);
}
MPI_NAMES(Testany);

/* ------------------------------------------------------------------------------ some */

int
PMPI_Waitsome(int incount, MPI_Request array_of_requests[], int *outcount, int array_of_indices[],
              MPI_Status *array_of_statuses)
{
    struct mpi_comm *failed = NULL;
    struct many many;
    int err;

    mpi_lock();
    err = await_any(incount, array_of_requests, "MPI_Waitsome", &many);
    if (err == MPI_SUCCESS) {
        *outcount = many.active > 0 ? many.complete : MPI_UNDEFINED;
        err = take_some(incount, array_of_requests, array_of_indices, array_of_statuses, &failed);
    }
    return mpi_request_leave(failed, "MPI_Waitsome", err);
}
MPI_NAMES(Waitsome);

int
PMPI_Testsome(int incount, MPI_Request array_of_requests[], int *outcount, int array_of_indices[],
              MPI_Status *array_of_statuses)
{
    struct mpi_comm *failed = NULL;
    struct many many;
    int err;

    mpi_lock();
    err = count_with_progress(incount, array_of_requests, false, &many);
    if (err == MPI_SUCCESS) {
        *outcount = many.active > 0 ? many.complete : MPI_UNDEFINED;
        err = take_some(incount, array_of_requests, array_of_indices, array_of_statuses, &failed);
    }
    return mpi_request_leave(failed, "MPI_Testsome", err);
}
MPI_NAMES(Testsome);
