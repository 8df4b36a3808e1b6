/* SPDX-License-Identifier: Apache-2.0
 *
 * Cancelling (MPI 3.1, 3.8.4): a receive that is posted is taken out; of a send that has gone out
 * its receiver is asked whether it can give it back, and answers. A small send counts as complete
 * as soon as it has gone, but may be taken back until the program has asked for it.
 */
#include "message_internal.h"

static struct mpi_message_head
cancel_of(const struct mpi_transfer *send)
{
    const struct mpi_part *part = &send->part;

    return (struct mpi_message_head){.kind = MPI_MESSAGE_CANCEL,
                                     .context = part->context,
                                     .tag = part->tag,
                                     .source = part->comm->rank,
                                     .address = send->sequence,
                                     .id = (uintptr_t)send};
}

/* Gives a message back that nobody has received. */
static bool
give_back(uint32_t from, const struct mpi_message_head *cancel)
{
    struct mpi_arrival *arrival = mpi_match_find_sent(from, cancel);

    if (arrival == NULL)
        return false;
    mpi_match_remove(arrival);
    mpi_arrival_destroy(arrival);
    return true;
}

static void
is_cancelled(struct mpi_transfer *send)
{
    send->request.is_cancelled = true;
    mpi_transfer_settle(send, MPI_AWAITS_ROOM | MPI_AWAITS_DONE | MPI_AWAITS_ANSWER);
}

static void
await_answer(struct mpi_transfer *send)
{
    send->awaits |= MPI_AWAITS_ANSWER;
    send->request.is_complete = false;
}

static void
cancel_at_receiver(struct mpi_transfer *send)
{
    const struct mpi_message_head head = cancel_of(send);

    if (send->peer == mpi_member()) {
        if (give_back(send->peer, &head))
            is_cancelled(send);
        return;
    }
    await_answer(send);
    mpi_message_tell(send->peer, &head);
}

/* Complete, and not only since it has gone. */
static bool
is_received(const struct mpi_transfer *send)
{
    return send->request.is_complete &&
           (send->mode == MPI_SEND_SYNCHRONOUS || mpi_part_bytes(&send->part) > MPI_EAGER_BYTES);
}

static void
cancel_send(struct mpi_transfer *send)
{
    if (mpi_part_is_null(&send->part) || (send->awaits & MPI_AWAITS_ANSWER) != 0)
        return;
    if (send->carrier != NULL) { /* and hears of it when that one ends */
        await_answer(send);
        cancel_send(send->carrier);
    } else if ((send->awaits & MPI_AWAITS_ROOM) != 0 &&
               mpi_outbox_remove(send->peer, &send->outgoing)) {
        is_cancelled(send);
    } else if (!is_received(send)) {
        cancel_at_receiver(send);
    }
}

void
mpi_transfer_cancel(struct mpi_request *request)
{
    struct mpi_transfer *transfer = (struct mpi_transfer *)request;

    if (transfer->is_send) {
        cancel_send(transfer);
    } else if (mpi_match_unpost(transfer)) {
        request->is_cancelled = true;
        mpi_request_complete(request);
    }
}

void
mpi_message_cancel(uint32_t from, const struct mpi_message_head *head, uint32_t body_bytes)
{
    struct mpi_message_head answer = {.kind = MPI_MESSAGE_ANSWER, .id = head->id};

    (void)body_bytes;
    mpi_net_take(NULL, 0);
    answer.bytes = give_back(from, head);
    mpi_message_tell(from, &answer);
}

void
mpi_message_answer(uint32_t from, const struct mpi_message_head *head, uint32_t body_bytes)
{
    struct mpi_transfer *send = (struct mpi_transfer *)(uintptr_t)head->id;

    (void)from;
    (void)body_bytes;
    mpi_net_take(NULL, 0);
    if (head->bytes != 0)
        is_cancelled(send);
    else
        mpi_transfer_settle(send, MPI_AWAITS_ANSWER);
}
