/* SPDX-License-Identifier: Apache-2.0
 *
 * Persistent sends and receives (MPI 3.1, 3.9).
 */
#include "message_internal.h"

static int
init(const struct mpi_part *part, bool is_send, enum mpi_send_mode mode, const char *name,
     MPI_Request *request)
{
    struct mpi_transfer *transfer;

    if (request == NULL)
        return MPI_ERR_ARG;
    transfer = mpi_transfer_create(part, is_send, name);
    if (transfer == NULL)
        return MPI_ERR_NO_MEM;
    transfer->mode = mode;
    transfer->request.is_persistent = true;
    transfer->request.is_complete = true;
    return mpi_request_give(&transfer->request, request);
}

static int
send_init(const struct mpi_arguments *arguments, enum mpi_send_mode mode, const char *name,
          MPI_Request *request)
{
    struct mpi_part part;
    int err;

    mpi_lock();
    err = mpi_part_to(&part, arguments);
    if (err == MPI_SUCCESS)
        err = init(&part, true, mode, name, request);
    return mpi_leave(part.comm, name, err);
}

int
PMPI_Send_init(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
               MPI_Request *request)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_init(&arguments, MPI_SEND_STANDARD, "MPI_Send_init", request);
}
MPI_NAMES(Send_init);

int
PMPI_Bsend_init(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
                MPI_Request *request)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_init(&arguments, MPI_SEND_BUFFERED, "MPI_Bsend_init", request);
}
MPI_NAMES(Bsend_init);

int
PMPI_Ssend_init(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
                MPI_Request *request)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_init(&arguments, MPI_SEND_SYNCHRONOUS, "MPI_Ssend_init", request);
}
MPI_NAMES(Ssend_init);

int
PMPI_Rsend_init(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
                MPI_Request *request)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_init(&arguments, MPI_SEND_READY, "MPI_Rsend_init", request);
}
MPI_NAMES(Rsend_init);

int
PMPI_Recv_init(void *buf, int count, MPI_Datatype datatype, int source, int tag, MPI_Comm comm,
               MPI_Request *request)
{
    const struct mpi_arguments arguments = {buf, count, datatype, source, tag, comm};
    struct mpi_part part;
    int err;

    mpi_lock();
    err = mpi_part_from(&part, &arguments);
    if (err == MPI_SUCCESS)
        err = init(&part, false, MPI_SEND_STANDARD, "MPI_Recv_init", request);
    return mpi_leave(part.comm, "MPI_Recv_init", err);
}
MPI_NAMES(Recv_init);

/* -------------------------------------------------------------------------- starting */

static int
start(MPI_Request handle, struct mpi_request **out)
{
    struct mpi_request *request;
    int err = mpi_request_find(handle, &request);

    if (err != MPI_SUCCESS)
        return err;
    *out = request;
    if (!request->is_persistent || request->is_active)
        return MPI_ERR_REQUEST;
    request->is_active = true;
    err = request->ops->start(request);
    if (err != MPI_SUCCESS)
        request->is_active = false;
    return err;
}

int
PMPI_Start(MPI_Request *request)
{
    struct mpi_request *object = NULL;
    int err;

    mpi_lock();
    err = request != NULL ? start(*request, &object) : MPI_ERR_ARG;
    return mpi_leave(object != NULL ? object->comm : NULL, "MPI_Start", err);
}
MPI_NAMES(Start);

int
PMPI_Startall(int count, MPI_Request array_of_requests[])
{
    struct mpi_request *object = NULL;
    int err = MPI_SUCCESS;

    mpi_lock();
    if (count < 0 || (count > 0 && array_of_requests == NULL))
        err = MPI_ERR_ARG;
    for (int i = 0; i < count && err == MPI_SUCCESS; i++)
        err = start(array_of_requests[i], &object);
    return mpi_leave(object != NULL ? object->comm : NULL, "MPI_Startall", err);
}
MPI_NAMES(Startall);
