/* SPDX-License-Identifier: Apache-2.0
 *
 * Receives (MPI 3.1, 3.2 and 3.7): a message that finds its receive goes straight to where the
 * program wants it, also from the memory of its sender; one that does not is kept.
 */
#include <string.h>

#include "message_internal.h"

#define FETCH_BYTES 16384u /* at a time, of what is to be unpacked */

/* The data ends within an element of a type that is unpacked, so it was sent as another one. */
static bool
is_torn(const struct mpi_type *type, uint64_t bytes)
{
    return !type->is_dense && type->element != NULL && bytes % (uint64_t)type->element->size != 0;
}

/* What the receive says of the message: the bytes that it takes of it. */
static uint64_t
accept(struct mpi_transfer *receive, const struct mpi_message_head *head)
{
    struct mpi_request *request = &receive->request;
    uint64_t room = mpi_part_bytes(&receive->part);
    uint64_t bytes = head->bytes <= room ? head->bytes : room;

    request->source = head->source;
    request->tag = head->tag;
    request->bytes = (int64_t)bytes;
    request->error = head->bytes > room                         ? MPI_ERR_TRUNCATE
                     : is_torn(receive->part.type, head->bytes) ? MPI_ERR_TYPE
                                                                : MPI_SUCCESS;
    return bytes;
}

static void
unpack(const struct mpi_part *part, const void *packed, uint64_t bytes)
{
    void *run = mpi_type_run(part->type, part->buffer, part->count);

    if (bytes == 0)
        return;
    if (run != NULL)
        (void)memcpy(run, packed, (size_t)bytes);
    else
        mpi_type_unpack(part->type, (void *)(uintptr_t)part->buffer, part->count, 0, packed, bytes);
}

/* From the sender's memory. */
static void
fetch(const struct mpi_part *part, uint32_t from, uint64_t address, uint64_t bytes)
{
    static unsigned char packed[FETCH_BYTES];
    void *run = mpi_type_run(part->type, part->buffer, part->count);

    if (run != NULL && bytes > 0)
        mpi_net_get(from, address, run, bytes);
    for (uint64_t at = 0; run == NULL && at < bytes;) {
        uint64_t count = bytes - at < FETCH_BYTES ? bytes - at : FETCH_BYTES;

        mpi_net_get(from, address + at, packed, count);
        mpi_type_unpack(part->type, (void *)(uintptr_t)part->buffer, part->count, at, packed,
                        count);
        at += count;
    }
}

static void
tell_done(uint32_t to, uint64_t id)
{
    const struct mpi_message_head head = {.kind = MPI_MESSAGE_DONE, .id = id};

    mpi_message_tell(to, &head);
}

void
mpi_message_done(uint32_t from, const struct mpi_message_head *head, uint32_t body_bytes)
{
    (void)from;
    (void)body_bytes;
    mpi_net_take(NULL, 0);
    mpi_transfer_settle((struct mpi_transfer *)(uintptr_t)head->id, MPI_AWAITS_DONE);
}

/* ---------------------------------------------------------------- of what has just come */

/* The body is in the net still. */
static void
take_body(const struct mpi_part *part, uint32_t bytes)
{
    unsigned char packed[MPI_EAGER_BYTES];
    void *run = mpi_type_run(part->type, part->buffer, part->count);

    if (run != NULL || bytes == 0) {
        mpi_net_take(run, bytes);
        return;
    }
    mpi_net_take(packed, bytes);
    mpi_type_unpack(part->type, (void *)(uintptr_t)part->buffer, part->count, 0, packed, bytes);
}

static void
receive_now(struct mpi_transfer *receive, uint32_t from, const struct mpi_message_head *head)
{
    uint64_t bytes = accept(receive, head);

    if (head->kind == MPI_MESSAGE_EAGER) {
        take_body(&receive->part, (uint32_t)bytes);
    } else {
        mpi_net_take(NULL, 0);
        fetch(&receive->part, from, head->address, bytes);
    }
    if (head->id != 0)
        tell_done(from, head->id);
    mpi_request_complete(&receive->request);
}

void
mpi_message_arrive(uint32_t from, const struct mpi_message_head *head, uint32_t body_bytes)
{
    struct mpi_transfer *receive;
    struct mpi_arrival *arrival;

    if (head->kind == MPI_MESSAGE_EAGER &&
        (head->bytes != body_bytes || body_bytes > MPI_EAGER_BYTES))
        mpi_net_abort(MPI_ERR_INTERN, "a message that is not as long as it says");
    receive = mpi_match_take_posted(head);
    if (receive != NULL) {
        receive_now(receive, from, head);
        return;
    }
    arrival = mpi_arrival_create(body_bytes);
    arrival->head = *head;
    arrival->from = from;
    mpi_net_take(arrival->body, body_bytes);
    mpi_match_keep(arrival);
}

/* -------------------------------------------------------------------- of what was kept */

void
mpi_receive_from_self(struct mpi_transfer *receive, struct mpi_transfer *send)
{
    const struct mpi_part *from = &send->part, *to = &receive->part;
    const struct mpi_message_head head = {
        .source = from->comm->rank, .tag = from->tag, .bytes = mpi_part_bytes(from)};

    if (accept(receive, &head) > 0)
        mpi_type_copy(from->type, from->buffer, from->count, to->type,
                      (void *)(uintptr_t)to->buffer, to->count);
    mpi_request_complete(&receive->request);
}

void
mpi_receive_arrival(struct mpi_transfer *receive, struct mpi_arrival *arrival)
{
    const struct mpi_message_head *head = &arrival->head;

    if (arrival->sender != NULL) {
        mpi_receive_from_self(receive, arrival->sender);
        mpi_transfer_settle(arrival->sender, MPI_AWAITS_DONE);
        mpi_arrival_destroy(arrival);
        return;
    }
    if (head->kind == MPI_MESSAGE_EAGER)
        unpack(&receive->part, arrival->body, accept(receive, head));
    else
        fetch(&receive->part, arrival->from, head->address, accept(receive, head));
    if (head->id != 0)
        tell_done(arrival->from, head->id);
    mpi_arrival_destroy(arrival);
    mpi_request_complete(&receive->request);
}

int
mpi_receive_begin(struct mpi_transfer *receive)
{
    const struct mpi_part *part = &receive->part;
    struct mpi_arrival *arrival;

    if (mpi_part_is_null(part)) {
        receive->request.source = MPI_PROC_NULL;
        mpi_request_complete(&receive->request);
        return MPI_SUCCESS;
    }
    arrival = mpi_match_find((struct mpi_match_key){part->context, part->rank, part->tag});
    if (arrival == NULL)
        return mpi_match_post(receive);
    mpi_match_remove(arrival);
    mpi_receive_arrival(receive, arrival);
    return MPI_SUCCESS;
}

/* ---------------------------------------------------------------- within the library */

static int
receive_start(const struct mpi_part *part, const char *what, struct mpi_transfer **out)
{
    struct mpi_transfer *receive = mpi_transfer_create(part, false, what);
    int err;

    if (receive == NULL)
        return MPI_ERR_NO_MEM;
    err = mpi_transfer_begin(receive);
    if (err != MPI_SUCCESS)
        mpi_transfer_destroy(receive);
    else
        *out = receive;
    return err;
}

int
mpi_message_receive(const struct mpi_part *part, struct mpi_request **out)
{
    struct mpi_transfer *receive;
    int err = receive_start(part, "MPI_Irecv", &receive);

    if (err == MPI_SUCCESS)
        *out = &receive->request;
    return err;
}

int
mpi_receive(const struct mpi_part *part, MPI_Status *status, const char *what)
{
    struct mpi_transfer *receive;
    const struct mpi_request *request;
    int err = receive_start(part, what, &receive);

    if (err != MPI_SUCCESS)
        return err;
    request = &receive->request;
    mpi_await(&request->is_complete, what);
    if (status != MPI_STATUS_IGNORE)
        mpi_status_set(status, request->source, request->tag, request->bytes, false);
    err = request->error;
    mpi_transfer_destroy(receive);
    return err;
}

int
mpi_message_receive_bytes(struct mpi_comm *comm, uint32_t context, int from, int tag, void *bytes,
                          uint32_t count)
{
    const struct mpi_part part = {.comm = comm,
                                  .context = context,
                                  .rank = from,
                                  .tag = tag,
                                  .buffer = bytes,
                                  .count = count,
                                  .type = mpi_type_byte()};

    return mpi_receive(&part, MPI_STATUS_IGNORE, "a message of the library");
}

/* -------------------------------------------------------------------- of the program */

int
PMPI_Recv(void *buf, int count, MPI_Datatype datatype, int source, int tag, MPI_Comm comm,
          MPI_Status *status)
{
    const struct mpi_arguments arguments = {buf, count, datatype, source, tag, comm};
    struct mpi_part part;
    int err;

    mpi_lock();
    err = mpi_part_from(&part, &arguments);
    if (err == MPI_SUCCESS)
        err = mpi_receive(&part, status, "MPI_Recv");
    return mpi_leave(part.comm, "MPI_Recv", err);
}
MPI_NAMES(Recv);

int
PMPI_Irecv(void *buf, int count, MPI_Datatype datatype, int source, int tag, MPI_Comm comm,
           MPI_Request *request)
{
    const struct mpi_arguments arguments = {buf, count, datatype, source, tag, comm};
    struct mpi_transfer *receive;
    struct mpi_part part;
    int err;

    mpi_lock();
    err = mpi_part_from(&part, &arguments);
    if (err == MPI_SUCCESS && request == NULL)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS)
        err = receive_start(&part, "MPI_Irecv", &receive);
    if (err == MPI_SUCCESS)
        err = mpi_request_give(&receive->request, request);
    return mpi_leave(part.comm, "MPI_Irecv", err);
}
MPI_NAMES(Irecv);
