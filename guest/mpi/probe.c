/* SPDX-License-Identifier: Apache-2.0
 *
 * Probes (MPI 3.1, 3.8): looks at messages that nobody has received, and takes one out of matching
 * for a receive of its own.
 */
#include "message_internal.h"

static struct mpi_arrival *
find(const struct mpi_part *part)
{
    return mpi_match_find((struct mpi_match_key){part->context, part->rank, part->tag});
}

static struct mpi_arrival *
find_or_progress(const struct mpi_part *part)
{
    struct mpi_arrival *arrival = find(part);

    if (arrival != NULL)
        return arrival;
    (void)mpi_progress();
    return find(part);
}

static struct mpi_arrival *
await_arrival(const struct mpi_part *part, const char *what)
{
    struct mpi_arrival *arrival;

    for (arrival = find(part); arrival == NULL; arrival = find(part)) {
        struct mpi_prober prober = {.key = {part->context, part->rank, part->tag}};

        mpi_prober_add(&prober);
        mpi_await(&prober.is_found, what);
        mpi_prober_remove(&prober);
    }
    return arrival;
}

/* NULL: of MPI_PROC_NULL. */
static void
tell(const struct mpi_arrival *arrival, MPI_Status *status)
{
    const struct mpi_message_head *head = arrival != NULL ? &arrival->head : NULL;

    if (status == MPI_STATUS_IGNORE)
        return;
    if (head == NULL)
        mpi_status_set(status, MPI_PROC_NULL, MPI_ANY_TAG, 0, false);
    else
        mpi_status_set(status, head->source, head->tag, (int64_t)head->bytes, false);
}

int
PMPI_Probe(int source, int tag, MPI_Comm comm, MPI_Status *status)
{
    struct mpi_part part;
    int err;

    mpi_lock();
    err = mpi_part_probed(&part, source, tag, comm);
    if (err == MPI_SUCCESS)
        tell(mpi_part_is_null(&part) ? NULL : await_arrival(&part, "MPI_Probe"), status);
    return mpi_leave(part.comm, "MPI_Probe", err);
}
MPI_NAMES(Probe);

int
PMPI_Iprobe(int source, int tag, MPI_Comm comm, int *flag, MPI_Status *status)
{
    const struct mpi_arrival *arrival = NULL;
    struct mpi_part part;
    int err;

    mpi_lock();
    err = mpi_part_probed(&part, source, tag, comm);
    if (err == MPI_SUCCESS && flag == NULL)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS) {
        if (!mpi_part_is_null(&part))
            arrival = find_or_progress(&part);
        *flag = arrival != NULL || mpi_part_is_null(&part);
        if (*flag)
            tell(arrival, status);
    }
    return mpi_leave(part.comm, "MPI_Iprobe", err);
}
MPI_NAMES(Iprobe);

/* --------------------------------------------------------------------------- matched */

/* Takes it out of matching. arrival NULL: of MPI_PROC_NULL. */
static int
give_message(const struct mpi_part *part, struct mpi_arrival *arrival, MPI_Message *message,
             MPI_Status *status)
{
    MPI_Message handle = MPI_MESSAGE_NO_PROC;

    if (arrival != NULL) {
        handle = mpi_handle_make(MPI_KIND_MESSAGE, arrival);
        if (handle == NULL)
            return MPI_ERR_NO_MEM;
        mpi_match_remove(arrival);
        arrival->comm = mpi_comm_get(part->comm);
        arrival->handle = handle;
    }
    *message = handle;
    tell(arrival, status);
    return MPI_SUCCESS;
}

int
PMPI_Mprobe(int source, int tag, MPI_Comm comm, MPI_Message *message, MPI_Status *status)
{
    struct mpi_arrival *arrival = NULL;
    struct mpi_part part;
    int err;

    mpi_lock();
    err = mpi_part_probed(&part, source, tag, comm);
    if (err == MPI_SUCCESS && message == NULL)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS) {
        if (!mpi_part_is_null(&part))
            arrival = await_arrival(&part, "MPI_Mprobe");
        err = give_message(&part, arrival, message, status);
    }
    return mpi_leave(part.comm, "MPI_Mprobe", err);
}
MPI_NAMES(Mprobe);

int
PMPI_Improbe(int source, int tag, MPI_Comm comm, int *flag, MPI_Message *message,
             MPI_Status *status)
{
    struct mpi_arrival *arrival = NULL;
    struct mpi_part part;
    int err;

    mpi_lock();
    err = mpi_part_probed(&part, source, tag, comm);
    if (err == MPI_SUCCESS && (flag == NULL || message == NULL))
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS) {
        if (!mpi_part_is_null(&part))
            arrival = find_or_progress(&part);
        *flag = arrival != NULL || mpi_part_is_null(&part);
        if (*flag)
            err = give_message(&part, arrival, message, status);
    }
    return mpi_leave(part.comm, "MPI_Improbe", err);
}
MPI_NAMES(Improbe);

/* What a message that was probed so is received with. *arrival NULL: of MPI_PROC_NULL. */
static int
find_message(MPI_Message message, struct mpi_part *part, struct mpi_arrival **arrival)
{
    *arrival = NULL;
    *part = (struct mpi_part){.comm = &mpi_world, .rank = MPI_PROC_NULL};
    if (message == MPI_MESSAGE_NO_PROC)
        return MPI_SUCCESS;
    *arrival = mpi_handle_find(MPI_KIND_MESSAGE, message);
    if (*arrival == NULL)
        return MPI_ERR_REQUEST;
    part->comm = (*arrival)->comm;
    part->rank = (*arrival)->head.source;
    part->tag = (*arrival)->head.tag;
    return MPI_SUCCESS;
}

/* Begins the receive, and ends the message. */
static int
receive_message(const struct mpi_part *part, struct mpi_arrival *arrival, MPI_Message *message,
                struct mpi_transfer **out)
{
    struct mpi_transfer *receive = mpi_transfer_create(part, false, "MPI_Imrecv");

    if (receive == NULL)
        return MPI_ERR_NO_MEM;
    *message = MPI_MESSAGE_NULL;
    *out = receive;
    if (arrival == NULL)
        return mpi_transfer_begin(receive);
    mpi_handle_free(MPI_KIND_MESSAGE, arrival->handle);
    mpi_comm_put(arrival->comm);
    mpi_receive_arrival(receive, arrival);
    return MPI_SUCCESS;
}

int
PMPI_Mrecv(void *buf, int count, MPI_Datatype datatype, MPI_Message *message, MPI_Status *status)
{
    struct mpi_comm *held;
    struct mpi_arrival *arrival;
    struct mpi_transfer *receive;
    struct mpi_part part;
    int err;

    mpi_lock();
    err = find_message(*message, &part, &arrival);
    if (err == MPI_SUCCESS)
        err = mpi_part_data(&part, buf, count, datatype);
    held = mpi_comm_get(part.comm);
    if (err == MPI_SUCCESS)
        err = receive_message(&part, arrival, message, &receive);
    if (err == MPI_SUCCESS) {
        const struct mpi_request *request = &receive->request;

        if (status != MPI_STATUS_IGNORE)
            mpi_status_set(status, request->source, request->tag, request->bytes, false);
        err = request->error;
        mpi_transfer_destroy(receive);
    }
    return mpi_request_leave(held, "MPI_Mrecv", err);
}
MPI_NAMES(Mrecv);

int
PMPI_Imrecv(void *buf, int count, MPI_Datatype datatype, MPI_Message *message, MPI_Request *request)
{
    struct mpi_arrival *arrival;
    struct mpi_transfer *receive;
    struct mpi_part part;
    int err;

    mpi_lock();
    err = find_message(*message, &part, &arrival);
    if (err == MPI_SUCCESS)
        err = mpi_part_data(&part, buf, count, datatype);
    if (err == MPI_SUCCESS)
        err = receive_message(&part, arrival, message, &receive);
    if (err == MPI_SUCCESS)
        err = mpi_request_give(&receive->request, request);
    return mpi_leave(part.comm, "MPI_Imrecv", err);
}
MPI_NAMES(Imrecv);
