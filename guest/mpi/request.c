/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests of all kinds: handles, completion, and their end.
 */
#include "message_internal.h"

uint32_t mpi_orphan_sends;

int
mpi_request_export(struct mpi_request *request, MPI_Request *out)
{
    MPI_Request handle = mpi_handle_make(MPI_KIND_REQUEST, request);

    if (handle == NULL)
        return MPI_ERR_NO_MEM;
    request->handle = handle;
    *out = handle;
    return MPI_SUCCESS;
}

int
mpi_request_give(struct mpi_request *request, MPI_Request *out)
{
    int err = mpi_request_export(request, out);

    if (err != MPI_SUCCESS)
        mpi_request_orphan(request);
    return err;
}

int
mpi_request_find(MPI_Request handle, struct mpi_request **out)
{
    struct mpi_request *request = mpi_handle_find(MPI_KIND_REQUEST, handle);

    if (request == NULL)
        return MPI_ERR_REQUEST;
    *out = request;
    return MPI_SUCCESS;
}

int
mpi_request_active(MPI_Request handle, struct mpi_request **out)
{
    struct mpi_request *request;
    int err;

    *out = NULL;
    if (handle == MPI_REQUEST_NULL)
        return MPI_SUCCESS;
    err = mpi_request_find(handle, &request);
    if (err == MPI_SUCCESS && (!request->is_persistent || request->is_active))
        *out = request;
    return err;
}

void
mpi_request_complete(struct mpi_request *request)
{
    request->is_complete = true;
    if (request->noticed != NULL)
        *request->noticed = true;
    mpi_progress_wake();
    if (request->is_orphan)
        request->ops->destroy(request);
}

void
mpi_request_wait(struct mpi_request *request)
{
    mpi_await(&request->is_complete, request->what);
}

int
mpi_request_status(struct mpi_request *request, MPI_Status *status)
{
    if (request->ops->query != NULL) {
        mpi_status_empty(status);
        return request->ops->query(request, status);
    }
    mpi_status_set(status, request->source, request->tag, request->bytes, request->is_cancelled);
    return request->error;
}

int
mpi_request_finish(struct mpi_request *request)
{
    MPI_Status status;
    int err;

    mpi_request_wait(request);
    err = mpi_request_status(request, &status);
    request->ops->destroy(request);
    return err;
}

void
mpi_request_orphan(struct mpi_request *request)
{
    if (request->is_complete) {
        request->ops->destroy(request);
        return;
    }
    request->is_orphan = true;
    if (request->ops == &mpi_transfer_ops && ((struct mpi_transfer *)request)->is_send)
        mpi_orphan_sends++;
}

static int
end(MPI_Request *handle, struct mpi_request *request)
{
    if (request->is_persistent) {
        request->is_active = false;
        return MPI_SUCCESS;
    }
    mpi_handle_free(MPI_KIND_REQUEST, request->handle);
    request->handle = NULL;
    *handle = MPI_REQUEST_NULL;
    if (request->ops->release != NULL)
        return request->ops->release(request);
    request->ops->destroy(request);
    return MPI_SUCCESS;
}

int
mpi_request_take(MPI_Request *handle, struct mpi_request *request, MPI_Status *status,
                 struct mpi_comm **failed)
{
    MPI_Status ignored;
    int err = mpi_request_status(request, status != MPI_STATUS_IGNORE ? status : &ignored);
    int end_err;

    if (err != MPI_SUCCESS && request->comm != NULL && *failed == NULL)
        *failed = mpi_comm_get(request->comm);
    end_err = end(handle, request);
    return err != MPI_SUCCESS ? err : end_err;
}

int
mpi_request_leave(struct mpi_comm *failed, const char *name, int err)
{
    int result = mpi_leave(failed, name, err);

    if (failed != NULL) {
        mpi_lock();
        mpi_comm_put(failed);
        mpi_unlock();
    }
    return result;
}

int
PMPI_Request_free(MPI_Request *request)
{
    struct mpi_request *object = NULL;
    int err;

    mpi_lock();
    err = request != NULL ? mpi_request_find(*request, &object) : MPI_ERR_ARG;
    if (err == MPI_SUCCESS) {
        mpi_handle_free(MPI_KIND_REQUEST, *request);
        object->handle = NULL;
        *request = MPI_REQUEST_NULL;
        mpi_request_orphan(object);
    }
    return mpi_leave(NULL, "MPI_Request_free", err);
}
MPI_NAMES(Request_free);

int
PMPI_Cancel(MPI_Request *request)
{
    struct mpi_request *object = NULL;
    int err;

    mpi_lock();
    err = request != NULL ? mpi_request_find(*request, &object) : MPI_ERR_ARG;
    if (err == MPI_SUCCESS && object->is_persistent && !object->is_active)
        err = MPI_ERR_REQUEST;
    if (err == MPI_SUCCESS && object->ops->cancel != NULL)
        object->ops->cancel(object);
    return mpi_leave(object != NULL ? object->comm : NULL, "MPI_Cancel", err);
}
MPI_NAMES(Cancel);
