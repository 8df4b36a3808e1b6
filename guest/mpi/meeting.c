/* SPDX-License-Identifier: Apache-2.0
 *
 * meeting: places, who comes last, and the word that it is done: a message without a body, of
 * whoever was last. A communicator gets its places at its first meeting.
 */
#include "meeting.h"

#include "message_internal.h"
#include "schedule.h"

#define PLACES      2u
#define LINE        64u
#define PART_BYTES  (8u * 1024u)   /* room for each member, */
#define PARTS_BYTES (256u * 1024u) /* but for all together not more than this */

/* Fewer exchange a message as quickly. */
#define MEMBERS_MIN 3

/* Communicators of one context have no member in common, nor have their shares. The odd ones: even
 * ones are those of windows. */
static uint64_t
key_of(const struct mpi_comm *comm)
{
    return (uint64_t)comm->group->members[0] << 32 | (comm->context + 1);
}

static bool
are_near(const struct mpi_group *group)
{
    for (int rank = 0; rank < group->size; rank++)
        if (!mpi_net_is_near(group->members[rank]))
            return false;
    return true;
}

static uint64_t
parts_bytes(const struct mpi_comm *comm)
{
    uint64_t bytes = (uint64_t)comm->size * PART_BYTES;

    return bytes < PARTS_BYTES ? bytes : PARTS_BYTES;
}

static void
give_back(struct mpi_comm *comm)
{
    if (comm->meetings.places != NULL)
        mpi_net_unshare(key_of(comm), comm->meetings.places);
    comm->meetings.places = NULL;
}

/* All have them, or none. Who is near to one member is so to all that are. */
static void
open_places(struct mpi_comm *comm)
{
    int64_t is_missing;

    comm->meetings.is_open = true;
    if (!are_near(comm->group))
        return;
    comm->meetings.places = mpi_net_share(key_of(comm), PLACES * (LINE + parts_bytes(comm)));
    is_missing = comm->meetings.places == NULL;
    if (mpi_collective_max(comm, &is_missing, 1) != MPI_SUCCESS || is_missing != 0)
        give_back(comm);
}

void
mpi_meetings_end(struct mpi_comm *comm)
{
    give_back(comm);
    comm->meetings.is_open = false;
}

bool
mpi_meeting_begin(struct mpi_comm *comm, int64_t bytes, struct mpi_meeting *out)
{
    struct mpi_meetings *meetings = &comm->meetings;
    uint64_t room = parts_bytes(comm), part_bytes = ((uint64_t)bytes + LINE - 1) / LINE * LINE;
    unsigned char *place;

    if (comm->remote != NULL || comm->size < MEMBERS_MIN || bytes < 0 || part_bytes > room ||
        part_bytes * (uint64_t)comm->size > room)
        return false;
    if (!meetings->is_open)
        open_places(comm);
    if (meetings->places == NULL)
        return false;
    place = meetings->places + meetings->held++ % PLACES * (LINE + room);
    *out = (struct mpi_meeting){.comm = comm,
                                .come = (uint32_t *)(void *)place,
                                .parts = place + LINE,
                                .part_bytes = part_bytes,
                                .tag = mpi_collective_tag(comm)};
    return true;
}

static void
tell_others(const struct mpi_meeting *meeting)
{
    struct mpi_comm *comm = meeting->comm;
    const struct mpi_message_head head = {.context = comm->context + 1,
                                          .tag = meeting->tag,
                                          .source = comm->rank,
                                          .kind = MPI_MESSAGE_EAGER};

    for (int i = 1; i < comm->size; i++)
        mpi_message_tell(mpi_comm_member(comm, (comm->rank + i) % comm->size), &head);
}

static int
await_last(const struct mpi_meeting *meeting, const char *what)
{
    const struct mpi_part part = {.comm = meeting->comm,
                                  .context = meeting->comm->context + 1,
                                  .rank = MPI_ANY_SOURCE,
                                  .tag = meeting->tag,
                                  .type = mpi_type_byte()};

    return mpi_receive(&part, MPI_STATUS_IGNORE, what);
}

/* Nobody comes here again before all were told. */
int
mpi_meeting_hold(const struct mpi_meeting *meeting, mpi_meeting_fn together, const void *context,
                 const char *what)
{
    uint32_t others = (uint32_t)meeting->comm->size - 1;
    int err = MPI_SUCCESS;

    if (__atomic_fetch_add(meeting->come, 1, __ATOMIC_SEQ_CST) != others)
        return await_last(meeting, what);
    __atomic_store_n(meeting->come, 0, __ATOMIC_SEQ_CST);
    if (together != NULL)
        err = together(meeting, context);
    tell_others(meeting);
    return err;
}
