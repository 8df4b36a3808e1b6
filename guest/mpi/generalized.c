/* SPDX-License-Identifier: Apache-2.0
 *
 * Generalized requests (MPI 3.1, 12.2): the program completes them. Its functions are called
 * without the lock.
 */
#include <stdlib.h>

#include "message_internal.h"

struct generalized {
    struct mpi_request request;
    MPI_Grequest_query_function *query;
    MPI_Grequest_free_function *free;
    MPI_Grequest_cancel_function *cancel;
    void *extra;
};

static void
cancel(struct mpi_request *request)
{
    struct generalized *generalized = (struct generalized *)request;

    mpi_unlock();
    (void)generalized->cancel(generalized->extra, request->is_complete);
    mpi_lock();
}

static int
query(struct mpi_request *request, MPI_Status *status)
{
    struct generalized *generalized = (struct generalized *)request;
    int err;

    mpi_unlock();
    err = generalized->query(generalized->extra, status);
    mpi_lock();
    return err;
}

static int
release(struct mpi_request *request)
{
    struct generalized *generalized = (struct generalized *)request;
    int err;

    mpi_unlock();
    err = generalized->free(generalized->extra);
    mpi_lock();
    free(generalized);
    return err;
}

static void
destroy(struct mpi_request *request)
{
    (void)release(request);
}

static const struct mpi_request_ops ops = {
    .cancel = cancel, .query = query, .destroy = destroy, .release = release};

int
PMPI_Grequest_start(MPI_Grequest_query_function *query_fn, MPI_Grequest_free_function *free_fn,
                    MPI_Grequest_cancel_function *cancel_fn, void *extra_state,
                    MPI_Request *request)
{
    struct generalized *generalized;
    int err = MPI_ERR_ARG;

    mpi_lock();
    if (query_fn == NULL || free_fn == NULL || cancel_fn == NULL || request == NULL)
        goto leave;
    err = MPI_ERR_NO_MEM;
    generalized = malloc(sizeof(*generalized));
    if (generalized == NULL)
        goto leave;
    *generalized = (struct generalized){.request = {.ops = &ops, .what = "MPI_Grequest_start"},
                                        .query = query_fn,
                                        .free = free_fn,
                                        .cancel = cancel_fn,
                                        .extra = extra_state};
    err = mpi_request_export(&generalized->request, request);
    if (err != MPI_SUCCESS)
        free(generalized);
leave:
    return mpi_leave(NULL, "MPI_Grequest_start", err);
}
MPI_NAMES(Grequest_start);

int
PMPI_Grequest_complete(MPI_Request request)
{
    struct mpi_request *object;
    int err;

    mpi_lock();
    err = mpi_request_find(request, &object);
    if (err == MPI_SUCCESS && object->ops != &ops)
        err = MPI_ERR_REQUEST;
    if (err == MPI_SUCCESS)
        mpi_request_complete(object);
    return mpi_leave(NULL, "MPI_Grequest_complete", err);
}
MPI_NAMES(Grequest_complete);
