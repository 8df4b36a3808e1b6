/* SPDX-License-Identifier: Apache-2.0
 *
 * meeting: what near members do at one place, memory that they share (net.h): each leaves its part
 * there, and the last one that comes does what is to be done with all of them and tells the others.
 *
 *      place: [ how many have come | part of rank 0 | part of rank 1 | ... ]
 *
 * So a member waits once, however many they are. Where members are more than cores a wait costs as
 * much as many words, and where they are not, those that come last are the ones that count.
 *
 * A communicator has two places, in turn. Who comes to a place again has been told that all had
 * come to the other one, and they had left this one before: what is there was read by all. That
 * holds for blocking collectives alone, of which a member is in one at a time.
 */
#ifndef WEFT_MPI_MEETING_H
#define WEFT_MPI_MEETING_H

#include "core.h"

struct mpi_meeting {
    struct mpi_comm *comm;
    uint32_t *come;
    unsigned char *parts;
    uint64_t part_bytes;
    int tag;
};

/* A blocking collective of an intra-communicator, to which each member brings so many bytes, as
 * many as all others do. False, for all of them: no meeting: they are too few or too far from each
 * other, it is too much, or (bytes negative) they do not want one. */
bool mpi_meeting_begin(struct mpi_comm *comm, int64_t bytes, struct mpi_meeting *out);
/* A rank's part: the own one before, and all of them after hold; 64-byte aligned. */
static inline void *
mpi_meeting_part(const struct mpi_meeting *meeting, int rank)
{
    return meeting->parts + (uint64_t)rank * meeting->part_bytes;
}
/* The own part is there. Returns when those of all are, and the last member to come has called
 * together (NULL: nothing) with its own context. what: "MPI_Barrier". An error class. */
typedef int (*mpi_meeting_fn)(const struct mpi_meeting *meeting, const void *context);
int mpi_meeting_hold(const struct mpi_meeting *meeting, mpi_meeting_fn together,
                     const void *context, const char *what);
/* Of a communicator that ends. */
void mpi_meetings_end(struct mpi_comm *comm);

#endif
