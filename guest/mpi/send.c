/* SPDX-License-Identifier: Apache-2.0
 *
 * Sends (MPI 3.1, 3.2, 3.4 and 3.7): as it is where it is small (eager), else as an offer to be
 * fetched from where it lies.
 */
#include <stdlib.h>
#include <string.h>

#include "message_internal.h"

static uint64_t sequence; /* names of messages, so that one can be taken back */

static inline struct mpi_message_head
head_of(const struct mpi_part *part, uint32_t kind, uint64_t bytes)
{
    return (struct mpi_message_head){.context = part->context,
                                     .tag = part->tag,
                                     .source = part->comm->rank,
                                     .kind = kind,
                                     .bytes = bytes};
}

/* Sends at once what is small. False: there is no room. */
static inline bool
send_now(uint32_t to, const struct mpi_part *part, const struct mpi_message_head *head)
{
    unsigned char packed[MPI_EAGER_BYTES];
    const void *body = mpi_type_run(part->type, part->buffer, part->count);

    if (mpi_outboxes[to].first != NULL)
        return false;
    if (body == NULL && head->bytes > 0) {
        mpi_type_pack(part->type, part->buffer, part->count, 0, packed, head->bytes);
        body = packed;
    }
    return mpi_net_send(to, head, sizeof(*head), body, (uint32_t)head->bytes);
}

/* ------------------------------------------------------------------------- to oneself */

/* Without a receive for it: what is small is copied, so that nobody has to wait for it. */
static void
keep_for_self(struct mpi_transfer *send, const struct mpi_message_head *head)
{
    const struct mpi_part *part = &send->part;
    bool is_copied = head->bytes <= MPI_EAGER_BYTES && send->mode != MPI_SEND_SYNCHRONOUS;
    struct mpi_arrival *arrival = mpi_arrival_create(is_copied ? (uint32_t)head->bytes : 0);

    arrival->head = *head;
    arrival->from = send->peer;
    if (is_copied) {
        arrival->head.address = send->sequence;
        mpi_type_pack(part->type, part->buffer, part->count, 0, arrival->body, head->bytes);
    } else {
        arrival->head.id = (uintptr_t)send;
        arrival->sender = send;
        send->awaits |= MPI_AWAITS_DONE;
    }
    mpi_match_keep(arrival);
}

static void
send_to_self(struct mpi_transfer *send)
{
    const struct mpi_message_head head =
        head_of(&send->part, MPI_MESSAGE_EAGER, mpi_part_bytes(&send->part));
    struct mpi_transfer *receive = mpi_match_take_posted(&head);

    if (receive != NULL)
        mpi_receive_from_self(receive, send);
    else
        keep_for_self(send, &head);
    mpi_transfer_settle(send, 0);
}

/* -------------------------------------------------------------------------- to others */

static void
outgoing_gone(struct mpi_outgoing *outgoing)
{
    struct mpi_transfer *send =
        (struct mpi_transfer *)((char *)outgoing - offsetof(struct mpi_transfer, outgoing));

    mpi_transfer_settle(send, MPI_AWAITS_ROOM);
}

static void
queue(struct mpi_transfer *send, const struct mpi_message_head *head, uint32_t body_bytes)
{
    const struct mpi_part *part = &send->part;

    send->awaits |= MPI_AWAITS_ROOM;
    send->outgoing = (struct mpi_outgoing){
        .head = *head,
        .body = body_bytes > 0 ? mpi_type_run(part->type, part->buffer, part->count) : NULL,
        .part = part,
        .body_bytes = body_bytes,
        .gone = outgoing_gone};
    mpi_outbox_add(send->peer, &send->outgoing);
}

static void
send_eager(struct mpi_transfer *send, uint64_t bytes)
{
    struct mpi_message_head head = head_of(&send->part, MPI_MESSAGE_EAGER, bytes);

    head.address = send->sequence;
    if (send->mode == MPI_SEND_SYNCHRONOUS) {
        head.id = (uintptr_t)send;
        send->awaits |= MPI_AWAITS_DONE;
    }
    if (!send_now(send->peer, &send->part, &head))
        queue(send, &head, (uint32_t)bytes);
    mpi_transfer_settle(send, 0);
}

static int
send_offer(struct mpi_transfer *send, uint64_t bytes)
{
    const struct mpi_part *part = &send->part;
    struct mpi_message_head head = head_of(part, MPI_MESSAGE_OFFER, bytes);
    const void *run = mpi_type_run(part->type, part->buffer, part->count);

    if (run == NULL) {
        if (bytes <= SIZE_MAX)
            run = send->packed = malloc((size_t)bytes);
        if (run == NULL)
            return MPI_ERR_NO_MEM;
        mpi_type_pack(part->type, part->buffer, part->count, 0, send->packed, bytes);
    }
    head.address = (uintptr_t)run;
    head.id = (uintptr_t)send;
    send->awaits |= MPI_AWAITS_DONE;
    if (!mpi_outbox_try(send->peer, &head, NULL, 0))
        queue(send, &head, 0);
    return MPI_SUCCESS;
}

int
mpi_send_begin(struct mpi_transfer *send)
{
    uint64_t bytes = mpi_part_bytes(&send->part);

    send->awaits = 0;
    if (mpi_part_is_null(&send->part)) {
        mpi_transfer_settle(send, 0);
        return MPI_SUCCESS;
    }
    send->sequence = ++sequence;
    send->peer = mpi_comm_member(send->part.comm, send->part.rank);
    if (send->peer == mpi_member())
        send_to_self(send);
    else if (bytes <= MPI_EAGER_BYTES)
        send_eager(send, bytes);
    else
        return send_offer(send, bytes);
    return MPI_SUCCESS;
}

/* ---------------------------------------------------------------- within the library */

int
mpi_message_send(const struct mpi_part *part, enum mpi_send_mode mode, struct mpi_request **out)
{
    struct mpi_transfer *send;
    int err = mpi_transfer_start(part, mode, "MPI_Isend", &send);

    if (err == MPI_SUCCESS)
        *out = &send->request;
    return err;
}

/* One that has to wait. Another thread may free the type and the communicator meanwhile. */
static int
send_slowly(const struct mpi_part *part, enum mpi_send_mode mode, const char *what)
{
    struct mpi_transfer *send;
    int err = mpi_transfer_start(part, mode, what, &send);

    return err == MPI_SUCCESS ? mpi_request_finish(&send->request) : err;
}

int
mpi_send(const struct mpi_part *part, enum mpi_send_mode mode, const char *what)
{
    uint64_t bytes = mpi_part_bytes(part);
    uint32_t to;

    if (mpi_part_is_null(part))
        return MPI_SUCCESS;
    to = mpi_comm_member(part->comm, part->rank);
    if (bytes <= MPI_EAGER_BYTES && (mode == MPI_SEND_STANDARD || mode == MPI_SEND_READY) &&
        to != mpi_member()) {
        const struct mpi_message_head head = head_of(part, MPI_MESSAGE_EAGER, bytes);

        if (send_now(to, part, &head))
            return MPI_SUCCESS;
    }
    return send_slowly(part, mode, what);
}

int
mpi_message_send_bytes(struct mpi_comm *comm, uint32_t context, int to, int tag, const void *bytes,
                       uint32_t count)
{
    const struct mpi_part part = {.comm = comm,
                                  .context = context,
                                  .rank = to,
                                  .tag = tag,
                                  .buffer = bytes,
                                  .count = count,
                                  .type = mpi_type_byte()};

    return mpi_send(&part, MPI_SEND_STANDARD, "a message of the library");
}

/* -------------------------------------------------------------------- of the program */

static int
send_blocking(const struct mpi_arguments *arguments, enum mpi_send_mode mode, const char *name)
{
    struct mpi_part part;
    int err;

    mpi_lock();
    err = mpi_part_to(&part, arguments);
    if (err == MPI_SUCCESS)
        err = mpi_send(&part, mode, name);
    return mpi_leave(part.comm, name, err);
}

int
PMPI_Send(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_blocking(&arguments, MPI_SEND_STANDARD, "MPI_Send");
}
MPI_NAMES(Send);

int
PMPI_Ssend(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_blocking(&arguments, MPI_SEND_SYNCHRONOUS, "MPI_Ssend");
}
MPI_NAMES(Ssend);

int
PMPI_Rsend(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_blocking(&arguments, MPI_SEND_READY, "MPI_Rsend");
}
MPI_NAMES(Rsend);

int
PMPI_Bsend(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_blocking(&arguments, MPI_SEND_BUFFERED, "MPI_Bsend");
}
MPI_NAMES(Bsend);

static int
send_begun(const struct mpi_arguments *arguments, enum mpi_send_mode mode, const char *name,
           MPI_Request *request)
{
    struct mpi_transfer *send;
    struct mpi_part part;
    int err;

    mpi_lock();
    err = mpi_part_to(&part, arguments);
    if (err == MPI_SUCCESS && request == NULL)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS)
        err = mpi_transfer_start(&part, mode, name, &send);
    if (err == MPI_SUCCESS)
        err = mpi_request_give(&send->request, request);
    return mpi_leave(part.comm, name, err);
}

int
PMPI_Isend(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
           MPI_Request *request)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_begun(&arguments, MPI_SEND_STANDARD, "MPI_Isend", request);
}
MPI_NAMES(Isend);

int
PMPI_Issend(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
            MPI_Request *request)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_begun(&arguments, MPI_SEND_SYNCHRONOUS, "MPI_Issend", request);
}
MPI_NAMES(Issend);

int
PMPI_Irsend(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
            MPI_Request *request)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_begun(&arguments, MPI_SEND_READY, "MPI_Irsend", request);
}
MPI_NAMES(Irsend);

int
PMPI_Ibsend(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
            MPI_Request *request)
{
    const struct mpi_arguments arguments = {buf, count, datatype, dest, tag, comm};

    return send_begun(&arguments, MPI_SEND_BUFFERED, "MPI_Ibsend", request);
}
MPI_NAMES(Ibsend);
