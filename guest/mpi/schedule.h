/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule: collectives as steps (MPI 3.1, chapter 5). An algorithm (a file for each kind of
 * collective) writes what this member has to do, once: rounds of steps, where a round begins when
 * all steps of the one before are done. Within a round steps begin in the order in which they were
 * written, and those that are no messages are done before the next begins. The blocking form is the
 * schedule and a wait; the non-blocking one is the same schedule as a request.
 *
 * Where a message is not as long as was expected, this member has an error, and its messages from
 * there on have no data: who awaits some of it has the error too, so it comes to all that depend.
 */
#ifndef WEFT_MPI_SCHEDULE_H
#define WEFT_MPI_SCHEDULE_H

#include "message.h"

struct mpi_schedule;

/* Of the next collective on comm: its messages' tag. By all members in the same order. */
int mpi_collective_tag(struct mpi_comm *comm);
/* For one collective on comm; what: "MPI_Bcast". Draws the next tag (comm->collectives), so it is
 * called by all members in the same order, also where nothing is to be done. NULL: no memory. */
struct mpi_schedule *mpi_schedule_create(struct mpi_comm *comm, const char *what);
void mpi_schedule_destroy(struct mpi_schedule *schedule); /* one that was not started */

/* Steps from here on are messages of comm: that of create (so it begins), or its local one. */
void mpi_schedule_use(struct mpi_schedule *schedule, const struct mpi_comm *comm);

/* Steps of the current round. Types and operators are held until the schedule is over. A failure
 * (memory) is kept, and start returns it. */
void mpi_schedule_send(struct mpi_schedule *schedule, const void *buffer, int64_t count,
                       struct mpi_type *type, int to);
void mpi_schedule_receive(struct mpi_schedule *schedule, void *buffer, int64_t count,
                          struct mpi_type *type, int from);
/* inout = in op inout */
void mpi_schedule_reduce(struct mpi_schedule *schedule, const void *in, void *inout, int64_t count,
                         struct mpi_type *type, struct mpi_op *op);
void mpi_schedule_copy(struct mpi_schedule *schedule, const void *from, int64_t from_count,
                       struct mpi_type *from_type, void *to, int64_t to_count,
                       struct mpi_type *to_type);
/* A function of the library's own: contexts of MPI_Comm_idup and the like. An error class. */
typedef int (*mpi_schedule_fn)(void *context);
void mpi_schedule_call(struct mpi_schedule *schedule, mpi_schedule_fn function, void *context);
/* What follows begins when all before is done. */
void mpi_schedule_round(struct mpi_schedule *schedule);
/* Memory for it, gone with it; 16-byte aligned; NULL: kept as a failure. */
void *mpi_schedule_memory(struct mpi_schedule *schedule, uint64_t bytes);
/* The same for count elements of a type, as a buffer of that type: shifted by its lower bound. */
void *mpi_schedule_elements(struct mpi_schedule *schedule, int64_t count,
                            const struct mpi_type *type);

/* Begins; taken, also on failure. */
int mpi_schedule_start(struct mpi_schedule *schedule, struct mpi_request **out);
/* Begins, waits, and is gone. */
int mpi_schedule_run(struct mpi_schedule *schedule);

/* Collectives that other parts need. comm is an intra-communicator. */
int mpi_collective_barrier(struct mpi_comm *comm);
int mpi_collective_bcast(struct mpi_comm *comm, void *bytes, uint32_t count, int root);
int mpi_collective_allgather(struct mpi_comm *comm, const void *bytes, void *all, uint32_t count);
/* The largest of all values of all members: errors, agreement. */
int mpi_collective_max(struct mpi_comm *comm, int64_t *values, uint32_t count);

#endif
