/* SPDX-License-Identifier: Apache-2.0
 *
 * A send and a receive in one (MPI 3.1, 3.10; as a request: MPI 4.0).
 */
#include <stdlib.h>

#include "message_internal.h"

struct exchange {
    struct mpi_part send, receive;
    void *packed; /* owned: what is sent, of MPI_Sendrecv_replace; or NULL */
};

static int
exchange_of(struct exchange *exchange, const struct mpi_arguments *send,
            const struct mpi_arguments *receive)
{
    int err = mpi_part_to(&exchange->send, send);

    exchange->packed = NULL;
    return err == MPI_SUCCESS ? mpi_part_from(&exchange->receive, receive) : err;
}

/* What is sent is a copy. MPI_ERR_NO_MEM. */
static int
pack(struct exchange *exchange)
{
    struct mpi_part *part = &exchange->send;
    uint64_t bytes = mpi_part_bytes(part);

    if (mpi_part_is_null(part))
        return MPI_SUCCESS;
    exchange->packed = bytes < SIZE_MAX ? malloc((size_t)bytes + 1) : NULL;
    if (exchange->packed == NULL)
        return MPI_ERR_NO_MEM;
    mpi_type_pack(part->type, part->buffer, part->count, 0, exchange->packed, bytes);
    part->buffer = exchange->packed;
    part->count = (int64_t)bytes;
    part->type = mpi_type_byte();
    return MPI_SUCCESS;
}

/* The send failed before it began: nor shall the receive have been. */
static void
take_back(struct mpi_request *receive)
{
    (void)mpi_match_unpost((struct mpi_transfer *)receive);
    receive->ops->destroy(receive);
}

static int
run(const struct exchange *exchange, MPI_Status *status, const char *name)
{
    struct mpi_request *receive;
    MPI_Status ignored;
    int err = mpi_message_receive(&exchange->receive, &receive);

    if (err != MPI_SUCCESS)
        return err;
    err = mpi_send(&exchange->send, MPI_SEND_STANDARD, name);
    if (err != MPI_SUCCESS) {
        take_back(receive);
        return err;
    }
    mpi_await(&receive->is_complete, name);
    err = mpi_request_status(receive, status != MPI_STATUS_IGNORE ? status : &ignored);
    receive->ops->destroy(receive);
    return err;
}

int
PMPI_Sendrecv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, int dest, int sendtag,
              void *recvbuf, int recvcount, MPI_Datatype recvtype, int source, int recvtag,
              MPI_Comm comm, MPI_Status *status)
{
    const struct mpi_arguments send = {sendbuf, sendcount, sendtype, dest, sendtag, comm};
    const struct mpi_arguments receive = {recvbuf, recvcount, recvtype, source, recvtag, comm};
    struct exchange exchange;
    int err;

    mpi_lock();
    err = exchange_of(&exchange, &send, &receive);
    if (err == MPI_SUCCESS)
        err = run(&exchange, status, "MPI_Sendrecv");
    return mpi_leave(exchange.send.comm, "MPI_Sendrecv", err);
}
MPI_NAMES(Sendrecv);

int
PMPI_Sendrecv_replace(void *buf, int count, MPI_Datatype datatype, int dest, int sendtag,
                      int source, int recvtag, MPI_Comm comm, MPI_Status *status)
{
    const struct mpi_arguments send = {buf, count, datatype, dest, sendtag, comm};
    const struct mpi_arguments receive = {buf, count, datatype, source, recvtag, comm};
    struct exchange exchange;
    int err;

    mpi_lock();
    err = exchange_of(&exchange, &send, &receive);
    if (err == MPI_SUCCESS)
        err = pack(&exchange);
    if (err == MPI_SUCCESS)
        err = run(&exchange, status, "MPI_Sendrecv_replace");
    free(exchange.packed);
    return mpi_leave(exchange.send.comm, "MPI_Sendrecv_replace", err);
}
MPI_NAMES(Sendrecv_replace);

/* ---------------------------------------------------------------------- as a request */

struct both {
    struct mpi_request request;
    unsigned pending;
    void *packed;
};

static void
both_destroy(struct mpi_request *request)
{
    struct both *both = (struct both *)request;

    mpi_comm_put(request->comm);
    free(both->packed);
    free(both);
}

static const struct mpi_request_ops both_ops = {.destroy = both_destroy};

static void
both_settle(struct both *both)
{
    if (--both->pending == 0)
        mpi_request_complete(&both->request);
}

/* One of the two has ended; the status is that of the receive. */
static void
one_ended(struct mpi_transfer *transfer)
{
    struct both *both = transfer->owner;

    if (!transfer->is_send) {
        both->request.source = transfer->request.source;
        both->request.tag = transfer->request.tag;
        both->request.bytes = transfer->request.bytes;
    }
    if (both->request.error == MPI_SUCCESS)
        both->request.error = transfer->request.error;
    both_settle(both);
}

static void
follow(struct both *both, struct mpi_request *request)
{
    struct mpi_transfer *transfer = (struct mpi_transfer *)request;

    both->pending++;
    transfer->ended = one_ended;
    transfer->owner = both;
    mpi_request_orphan(request);
}

/* Takes exchange->packed on success. */
static int
begin(struct exchange *exchange, const char *name, MPI_Request *request)
{
    struct both *both = malloc(sizeof(*both));
    struct mpi_request *receive, *send;
    int err = both != NULL ? MPI_SUCCESS : MPI_ERR_NO_MEM;

    if (err == MPI_SUCCESS)
        err = mpi_message_receive(&exchange->receive, &receive);
    if (err != MPI_SUCCESS)
        goto free_both;
    err = mpi_message_send(&exchange->send, MPI_SEND_STANDARD, &send);
    if (err != MPI_SUCCESS)
        goto end_receive;
    *both = (struct both){
        .request = {.ops = &both_ops, .comm = mpi_comm_get(exchange->send.comm), .what = name},
        .pending = 1,
        .packed = exchange->packed};
    exchange->packed = NULL;
    follow(both, receive);
    follow(both, send);
    both_settle(both);
    return mpi_request_give(&both->request, request);

end_receive:
    take_back(receive);
free_both:
    free(both);
    return err;
}

int
PMPI_Isendrecv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, int dest, int sendtag,
               void *recvbuf, int recvcount, MPI_Datatype recvtype, int source, int recvtag,
               MPI_Comm comm, MPI_Request *request)
{
    const struct mpi_arguments send = {sendbuf, sendcount, sendtype, dest, sendtag, comm};
    const struct mpi_arguments receive = {recvbuf, recvcount, recvtype, source, recvtag, comm};
    struct exchange exchange;
    int err;

    mpi_lock();
    err = exchange_of(&exchange, &send, &receive);
    if (err == MPI_SUCCESS && request == NULL)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS)
        err = begin(&exchange, "MPI_Isendrecv", request);
    return mpi_leave(exchange.send.comm, "MPI_Isendrecv", err);
}
MPI_NAMES(Isendrecv);

int
PMPI_Isendrecv_replace(void *buf, int count, MPI_Datatype datatype, int dest, int sendtag,
                       int source, int recvtag, MPI_Comm comm, MPI_Request *request)
{
    const struct mpi_arguments send = {buf, count, datatype, dest, sendtag, comm};
    const struct mpi_arguments receive = {buf, count, datatype, source, recvtag, comm};
    struct exchange exchange;
    int err;

    mpi_lock();
    err = exchange_of(&exchange, &send, &receive);
    if (err == MPI_SUCCESS && request == NULL)
        err = MPI_ERR_ARG;
    if (err == MPI_SUCCESS)
        err = pack(&exchange);
    if (err == MPI_SUCCESS)
        err = begin(&exchange, "MPI_Isendrecv_replace", request);
    free(exchange.packed);
    return mpi_leave(exchange.send.comm, "MPI_Isendrecv_replace", err);
}
MPI_NAMES(Isendrecv_replace);
