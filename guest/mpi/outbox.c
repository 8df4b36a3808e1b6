/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages for which a member had no room, in the order in which they were sent. Bodies stay where
 * they are: a send that is not complete keeps its buffer.
 */
#include <stdlib.h>
#include <string.h>

#include "message_internal.h"

struct mpi_outbox *mpi_outboxes;
static uint32_t *listed; /* members whose outbox may hold something */
static uint32_t listed_count;

void
mpi_outbox_init(void)
{
    mpi_outboxes = calloc(mpi_members(), sizeof(*mpi_outboxes));
    listed = calloc(mpi_members(), sizeof(*listed));
    listed_count = 0;
    if (mpi_outboxes == NULL || listed == NULL)
        mpi_message_no_memory();
}

void
mpi_outbox_fini(void)
{
    free(mpi_outboxes);
    free(listed);
    mpi_outboxes = NULL;
    listed = NULL;
}

bool
mpi_outbox_is_empty(void)
{
    for (uint32_t i = 0; i < listed_count; i++)
        if (mpi_outboxes[listed[i]].first != NULL)
            return false;
    return true;
}

static bool
send_outgoing(uint32_t to, const struct mpi_outgoing *outgoing)
{
    unsigned char packed[MPI_EAGER_BYTES];
    const struct mpi_part *part = outgoing->part;
    const void *body = outgoing->body;

    if (body == NULL && outgoing->body_bytes > 0) {
        mpi_type_pack(part->type, part->buffer, part->count, 0, packed, outgoing->body_bytes);
        body = packed;
    }
    return mpi_net_send(to, &outgoing->head, sizeof(outgoing->head), body, outgoing->body_bytes);
}

/* True: something went. */
static bool
flush(uint32_t to)
{
    struct mpi_outbox *outbox = &mpi_outboxes[to];
    bool went = false;

    while (outbox->first != NULL && send_outgoing(to, outbox->first)) {
        struct mpi_outgoing *outgoing = outbox->first;

        outbox->first = outgoing->next;
        outgoing->gone(outgoing);
        went = true;
    }
    return went;
}

bool
mpi_outbox_flush(void)
{
    bool went = false;

    for (uint32_t i = 0; i < listed_count;) {
        struct mpi_outbox *outbox = &mpi_outboxes[listed[i]];

        went = flush(listed[i]) || went;
        if (outbox->first != NULL) {
            i++;
        } else {
            outbox->is_listed = false;
            listed[i] = listed[--listed_count];
        }
    }
    return went;
}

void
mpi_outbox_add(uint32_t to, struct mpi_outgoing *outgoing)
{
    struct mpi_outbox *outbox = &mpi_outboxes[to];

    outgoing->next = NULL;
    if (outbox->first == NULL)
        outbox->first = outgoing;
    else
        outbox->last->next = outgoing;
    outbox->last = outgoing;
    if (!outbox->is_listed)
        listed[listed_count++] = to;
    outbox->is_listed = true;
    mpi_progress_wake();
}

bool
mpi_outbox_remove(uint32_t to, struct mpi_outgoing *outgoing)
{
    struct mpi_outbox *outbox = &mpi_outboxes[to];
    struct mpi_outgoing **at = &outbox->first, *before = NULL;

    while (*at != NULL && *at != outgoing) {
        before = *at;
        at = &before->next;
    }
    if (*at == NULL)
        return false;
    *at = outgoing->next;
    if (outbox->last == outgoing)
        outbox->last = before;
    return true;
}

/* ------------------------------------------------------------- messages of their own */

static void
free_outgoing(struct mpi_outgoing *outgoing)
{
    free(outgoing);
}

static int
say(uint32_t to, const struct mpi_message_head *head, const void *body, uint32_t bytes)
{
    struct mpi_outgoing *outgoing;

    if (mpi_outbox_try(to, head, body, bytes))
        return MPI_SUCCESS;
    outgoing = malloc(sizeof(*outgoing) + bytes);
    if (outgoing == NULL)
        return MPI_ERR_NO_MEM;
    *outgoing = (struct mpi_outgoing){
        .head = *head, .body = outgoing + 1, .body_bytes = bytes, .gone = free_outgoing};
    if (bytes > 0)
        (void)memcpy(outgoing + 1, body, bytes);
    mpi_outbox_add(to, outgoing);
    return MPI_SUCCESS;
}

void
mpi_message_tell(uint32_t to, const struct mpi_message_head *head)
{
    if (say(to, head, NULL, 0) != MPI_SUCCESS)
        mpi_message_no_memory();
}

int
mpi_message_say(uint32_t to, uint32_t kind, const void *body, uint32_t bytes)
{
    const struct mpi_message_head head = {.kind = kind};

    return say(to, &head, body, bytes);
}
