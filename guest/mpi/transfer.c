/* SPDX-License-Identifier: Apache-2.0
 *
 * One send or receive as a request, from a list of free ones.
 */
#include <stdlib.h>

#include "message_internal.h"

static struct mpi_transfer *free_transfers;

static int
start(struct mpi_request *request)
{
    return mpi_transfer_begin((struct mpi_transfer *)request);
}

static void
destroy(struct mpi_request *request)
{
    mpi_transfer_destroy((struct mpi_transfer *)request);
}

const struct mpi_request_ops mpi_transfer_ops = {
    .start = start, .cancel = mpi_transfer_cancel, .destroy = destroy};

void
mpi_transfer_init(struct mpi_transfer *transfer, const struct mpi_part *part, bool is_send,
                  const char *what)
{
    transfer->request =
        (struct mpi_request){.ops = &mpi_transfer_ops, .comm = part->comm, .what = what};
    transfer->part = *part;
    transfer->is_send = is_send;
    transfer->mode = MPI_SEND_STANDARD;
    transfer->awaits = 0;
    transfer->sequence = 0;
    transfer->packed = NULL;
    transfer->ended = NULL;
    transfer->owner = NULL;
    transfer->carrier = NULL;
    transfer->link.queue = NULL;
}

struct mpi_transfer *
mpi_transfer_create(const struct mpi_part *part, bool is_send, const char *what)
{
    struct mpi_transfer *transfer = free_transfers;

    if (transfer != NULL)
        free_transfers = transfer->next_free;
    else
        transfer = malloc(sizeof(*transfer));
    if (transfer == NULL)
        return NULL;
    mpi_transfer_init(transfer, part, is_send, what);
    (void)mpi_comm_get(part->comm);
    (void)mpi_type_get(part->type);
    return transfer;
}

void
mpi_transfer_destroy(struct mpi_transfer *transfer)
{
    if (transfer->request.is_orphan && transfer->is_send)
        mpi_orphan_sends--;
    if (transfer->carrier != NULL)
        transfer->carrier->owner = NULL;
    if (transfer->ended != NULL)
        transfer->ended(transfer);
    free(transfer->packed);
    mpi_comm_put(transfer->part.comm);
    mpi_type_put(transfer->part.type);
    transfer->next_free = free_transfers;
    free_transfers = transfer;
}

int
mpi_transfer_begin(struct mpi_transfer *transfer)
{
    struct mpi_request *request = &transfer->request;
    int err;

    request->is_complete = false;
    request->is_cancelled = false;
    request->error = MPI_SUCCESS;
    request->source = MPI_ANY_SOURCE;
    request->tag = MPI_ANY_TAG;
    request->bytes = 0;
    if (!transfer->is_send)
        err = mpi_receive_begin(transfer);
    else if (transfer->mode == MPI_SEND_BUFFERED)
        err = mpi_buffered_begin(transfer);
    else
        err = mpi_send_begin(transfer);
    if (err != MPI_SUCCESS)
        request->is_complete = true;
    return err;
}

void
mpi_transfer_settle(struct mpi_transfer *transfer, unsigned awaits)
{
    transfer->awaits &= ~awaits;
    if (transfer->awaits != 0)
        return;
    free(transfer->packed);
    transfer->packed = NULL;
    mpi_request_complete(&transfer->request);
}

int
mpi_transfer_start(const struct mpi_part *part, enum mpi_send_mode mode, const char *what,
                   struct mpi_transfer **out)
{
    struct mpi_transfer *transfer = mpi_transfer_create(part, true, what);
    int err;

    if (transfer == NULL)
        return MPI_ERR_NO_MEM;
    transfer->mode = mode;
    err = mpi_transfer_begin(transfer);
    if (err != MPI_SUCCESS)
        mpi_transfer_destroy(transfer);
    else
        *out = transfer;
    return err;
}

void
mpi_transfers_fini(void)
{
    while (free_transfers != NULL) {
        struct mpi_transfer *transfer = free_transfers;

        free_transfers = transfer->next_free;
        free(transfer);
    }
}
