/* SPDX-License-Identifier: Apache-2.0
 *
 * comm: how members of a communicator agree on what a new one is.
 */
#ifndef WEFT_MPI_COMM_H
#define WEFT_MPI_COMM_H

#include "schedule.h"

/* Steps by which all of comm (both groups of an inter-communicator) get a new context: *context. */
void mpi_context_write(struct mpi_schedule *schedule, struct mpi_comm *comm, uint32_t *context);
/* The same, done. An error class. */
int mpi_context_agree(struct mpi_comm *comm, uint32_t *context);

/* Of an inter-communicator: each side's bytes to all of the other. */
int mpi_comm_exchange(struct mpi_comm *comm, const void *ours, uint32_t our_bytes, void *theirs,
                      uint32_t their_bytes);

/* An intra-communicator of the same members and order, for the library: its name, attributes and
 * topology are not copied, it has no handle of the program's. Collective over comm. */
int mpi_comm_clone(struct mpi_comm *comm, struct mpi_comm **out);

/* Of an inter-communicator whose groups are known: takes both. local's members are group's; a clone
 * of it becomes the new one's. Collective over local; context is agreed already. */
int mpi_intercomm_create(uint32_t context, struct mpi_group *group, struct mpi_group *remote,
                         struct mpi_comm *local, struct mpi_comm **out);

/* What takes a communicator's handle away: attributes first. */
int mpi_comm_release(struct mpi_comm *comm);

#endif
