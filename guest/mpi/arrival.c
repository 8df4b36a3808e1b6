/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for messages that nobody has received yet, of a few sizes, used again and again.
 */
#include <stdlib.h>

#include "message_internal.h"

static const uint32_t sizes[] = {64, 256, MPI_EAGER_BYTES};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))
static struct mpi_arrival *free_arrivals[SIZES];

static uint32_t
size_at(uint32_t body_bytes)
{
    uint32_t at = 0;

    while (at < SIZES && body_bytes > sizes[at])
        at++;
    if (at == SIZES)
        mpi_net_abort(MPI_ERR_INTERN, "an eager message that is too large");
    return at;
}

struct mpi_arrival *
mpi_arrival_create(uint32_t body_bytes)
{
    uint32_t at = size_at(body_bytes);
    struct mpi_arrival *arrival = free_arrivals[at];

    if (arrival != NULL)
        free_arrivals[at] = arrival->next;
    else
        arrival = malloc(sizeof(*arrival) + sizes[at]);
    if (arrival == NULL)
        mpi_message_no_memory();
    arrival->body_max = sizes[at];
    arrival->sender = NULL;
    arrival->comm = NULL;
    return arrival;
}

void
mpi_arrival_destroy(struct mpi_arrival *arrival)
{
    uint32_t at = size_at(arrival->body_max);

    arrival->next = free_arrivals[at];
    free_arrivals[at] = arrival;
}

void
mpi_arrivals_fini(void)
{
    for (uint32_t at = 0; at < SIZES; at++) {
        while (free_arrivals[at] != NULL) {
            struct mpi_arrival *arrival = free_arrivals[at];

            free_arrivals[at] = arrival->next;
            free(arrival);
        }
    }
}
