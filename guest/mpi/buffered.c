/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffered sends (MPI 3.1, 3.6): the data is packed into the buffer that the program attached, in
 * segments in the order of their places, and sent from there by another transfer (the carrier),
 * which frees the segment at its end. What a segment takes besides data, and what alignment costs,
 * is less than MPI_BSEND_OVERHEAD.
 */
#include "message_internal.h"

#define ALIGNMENT 16u

struct segment {
    _Alignas(ALIGNMENT) struct segment *next;
    uint64_t bytes; /* with this head */
    unsigned char data[];
};

static struct {
    void *begin; /* as the program said; NULL: none */
    int bytes;
    struct segment *first; /* in use */
} attached;

/* -------------------------------------------------------------------------- segments */

static uintptr_t
aligned(uintptr_t address)
{
    return (address + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
}

/* A segment in the first gap that is large enough; NULL: there is none. */
static struct segment *
segment_create(uint64_t data_bytes)
{
    uint64_t bytes = (data_bytes + sizeof(struct segment) + ALIGNMENT - 1) & ~(ALIGNMENT - 1ull);
    uint64_t end = (uintptr_t)attached.begin + (uint64_t)attached.bytes;
    uint64_t at = aligned((uintptr_t)attached.begin);
    struct segment **link = &attached.first, *segment;

    if (attached.begin == NULL)
        return NULL;
    while (*link != NULL && (uintptr_t)*link - at < bytes) {
        at = (uintptr_t)*link + (*link)->bytes;
        link = &(*link)->next;
    }
    if (*link == NULL && (at > end || end - at < bytes))
        return NULL;
    segment = (struct segment *)(uintptr_t)at;
    *segment = (struct segment){.next = *link, .bytes = bytes};
    *link = segment;
    return segment;
}

static void
segment_destroy(struct segment *segment)
{
    struct segment **link = &attached.first;

    while (*link != segment)
        link = &(*link)->next;
    *link = segment->next;
}

/* ----------------------------------------------------------------------------- sends */

/* The data is with its receiver, or cancelled. */
static void
carrier_ended(struct mpi_transfer *carrier)
{
    struct mpi_transfer *send = carrier->owner;

    segment_destroy(
        (struct segment *)((uintptr_t)carrier->part.buffer - offsetof(struct segment, data)));
    if (send == NULL)
        return;
    send->carrier = NULL;
    if ((send->awaits & MPI_AWAITS_ANSWER) == 0)
        return;
    send->request.is_cancelled = carrier->request.is_cancelled;
    mpi_transfer_settle(send, MPI_AWAITS_ANSWER);
}

static int
carry(struct mpi_transfer *send, struct segment *segment, uint64_t bytes)
{
    struct mpi_part part = send->part;
    struct mpi_transfer *carrier;
    int err;

    part.buffer = segment->data;
    part.count = (int64_t)bytes;
    part.type = mpi_type_byte();
    err = mpi_transfer_start(&part, MPI_SEND_STANDARD, send->request.what, &carrier);
    if (err != MPI_SUCCESS)
        return err;
    send->sequence = carrier->sequence;
    send->peer = carrier->peer;
    send->carrier = carrier;
    carrier->owner = send;
    carrier->ended = carrier_ended;
    mpi_request_orphan(&carrier->request);
    return MPI_SUCCESS;
}

static void
disown(struct mpi_transfer *send)
{
    if (send->carrier != NULL)
        send->carrier->owner = NULL;
    send->carrier = NULL;
}

int
mpi_buffered_begin(struct mpi_transfer *send)
{
    const struct mpi_part *part = &send->part;
    uint64_t bytes = mpi_part_bytes(part);
    struct segment *segment;
    int err;

    send->awaits = 0;
    disown(send);
    if (mpi_part_is_null(part)) {
        mpi_transfer_settle(send, 0);
        return MPI_SUCCESS;
    }
    segment = segment_create(bytes);
    if (segment == NULL && mpi_progress())
        segment = segment_create(bytes);
    if (segment == NULL)
        return MPI_ERR_BUFFER;
    mpi_type_pack(part->type, part->buffer, part->count, 0, segment->data, bytes);
    err = carry(send, segment, bytes);
    if (err != MPI_SUCCESS)
        segment_destroy(segment);
    else
        mpi_transfer_settle(send, 0);
    return err;
}

/* -------------------------------------------------------------------- of the program */

int
PMPI_Buffer_attach(void *buffer, int size)
{
    int err = MPI_SUCCESS;

    mpi_lock();
    if (size < 0)
        err = MPI_ERR_ARG;
    else if (attached.begin != NULL || buffer == NULL)
        err = MPI_ERR_BUFFER;
    if (err == MPI_SUCCESS) {
        attached.begin = buffer;
        attached.bytes = size;
    }
    return mpi_leave(NULL, "MPI_Buffer_attach", err);
}
MPI_NAMES(Buffer_attach);

int
PMPI_Buffer_detach(void *buffer_addr, int *size)
{
    mpi_lock();
    while (attached.first != NULL)
        mpi_pause(NULL, "MPI_Buffer_detach");
    *(void **)buffer_addr = attached.begin;
    *size = attached.bytes;
    attached.begin = NULL;
    attached.bytes = 0;
    return mpi_leave(NULL, "MPI_Buffer_detach", MPI_SUCCESS);
}
MPI_NAMES(Buffer_detach);

void
mpi_buffered_fini(void)
{
    attached.begin = NULL;
    attached.bytes = 0;
}
