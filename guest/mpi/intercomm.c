/* SPDX-License-Identifier: Apache-2.0
 *
 * Inter-communicators (MPI 3.1, 6.6): two groups become one communicator, and one group.
 */
#include <stdlib.h>

#include "comm.h"

#define BRIDGE_TAG(tag) ((tag) | 0x40000000)

/* What a leader tells the other, and then its own group. */
struct bridge {
    uint32_t context; /* that it would choose */
    int32_t size;
};

/* Both ways at once: neither waits for the other to receive. */
static int
swap(struct mpi_comm *peer, int to, int tag, const void *ours, uint32_t our_bytes, void *theirs,
     uint32_t their_bytes)
{
    struct mpi_part part = {.comm = peer,
                            .context = peer->context + 1,
                            .rank = to,
                            .tag = BRIDGE_TAG(tag),
                            .buffer = ours,
                            .count = our_bytes};
    struct mpi_request *sent;
    int err = mpi_type_find(MPI_BYTE, &part.type), end;

    if (err == 0)
        err = mpi_message_send(&part, MPI_SEND_STANDARD, &sent);
    if (err != 0)
        return err;
    err = mpi_message_receive_bytes(peer, part.context, to, part.tag, theirs, their_bytes);
    end = mpi_request_finish(sent);
    return err != 0 ? err : end;
}

struct leader {
    struct mpi_comm *peer;
    int rank, tag; /* of the other leader, in peer */
};

/* The other group, and the context. remote: NULL after a failure. leader NULL: this is none. */
static int
cross(struct mpi_comm *local, int root, const struct leader *leader, uint32_t *context,
      struct mpi_group **remote)
{
    struct bridge ours = {0, local->size}, theirs = {0, 0};
    struct mpi_group *group;
    int err = 0;

    if (leader != NULL) {
        ours.context = mpi_context_new();
        err = swap(leader->peer, leader->rank, leader->tag, &ours, sizeof(ours), &theirs,
                   sizeof(theirs));
        /* the lower one of both: each knows both */
        if (ours.context < theirs.context)
            theirs.context = ours.context;
        if (err != 0)
            theirs.size = 0;
    }
    if (mpi_collective_bcast(local, &theirs, sizeof(theirs), root) != 0 || theirs.size == 0)
        return err != 0 ? err : MPI_ERR_OTHER;
    group = mpi_group_create(theirs.size);
    if (group == NULL)
        return MPI_ERR_NO_MEM;
    if (leader != NULL)
        err = swap(leader->peer, leader->rank, leader->tag, local->group->members,
                   (uint32_t)local->size * 4, group->members, (uint32_t)theirs.size * 4);
    if (err == 0)
        err = mpi_collective_bcast(local, group->members, (uint32_t)theirs.size * 4, root);
    if (err == 0 && theirs.context == 0)
        err = MPI_ERR_OTHER;
    mpi_group_finish(group);
    if (err == 0 && group->rank != MPI_UNDEFINED)
        err = MPI_ERR_COMM; /* groups must not meet */
    *context = theirs.context;
    *remote = group;
    return err;
}

/* peer_comm and remote_leader mean something at the leader only. */
static int
find_leader(struct mpi_comm *local, int local_leader, MPI_Comm peer_comm, int remote_leader,
            struct leader *leader)
{
    int err;

    if (local->remote != NULL)
        return MPI_ERR_COMM;
    if (local_leader < 0 || local_leader >= local->size)
        return MPI_ERR_RANK;
    if (leader->tag < 0 || leader->tag > MPI_TAG_MAX)
        return MPI_ERR_TAG;
    if (local->rank != local_leader)
        return 0;
    err = mpi_comm_find(peer_comm, &leader->peer);
    if (err == 0 && (remote_leader < 0 || remote_leader >= mpi_comm_peers(leader->peer)))
        err = MPI_ERR_RANK;
    leader->rank = remote_leader;
    return err;
}

int
PMPI_Intercomm_create(MPI_Comm local_comm, int local_leader, MPI_Comm peer_comm, int remote_leader,
                      int tag, MPI_Comm *newintercomm)
{
    struct mpi_comm *local = NULL, *made;
    struct mpi_group *remote = NULL;
    struct leader leader = {.tag = tag};
    uint32_t context;
    int err;

    mpi_lock();
    err = mpi_comm_find(local_comm, &local);
    if (err == 0)
        err = newintercomm != NULL
                  ? find_leader(local, local_leader, peer_comm, remote_leader, &leader)
                  : MPI_ERR_ARG;
    if (err == 0)
        err = cross(local, local_leader, leader.peer != NULL ? &leader : NULL, &context, &remote);
    if (err == 0)
        err = mpi_intercomm_create(context, mpi_group_get(local->group), remote, local, &made);
    else
        mpi_group_put(remote);
    if (err == 0)
        *newintercomm = made->handle;
    return mpi_leave(local, "MPI_Intercomm_create", err);
}
MPI_NAMES(Intercomm_create);

/* Which group comes first (6.6.2): that which says low; the one with the first members, if both say
 * the same. */
static int
is_low(struct mpi_comm *comm, int high, bool *out)
{
    int32_t ours = high != 0, theirs = 0;
    int err = mpi_comm_exchange(comm, &ours, sizeof(ours), &theirs, sizeof(theirs));

    *out = ours != theirs ? ours == 0 : comm->group->members[0] < comm->remote->members[0];
    return err;
}

static int
merge(struct mpi_comm *comm, int high, struct mpi_comm **out)
{
    const struct mpi_group *first, *second;
    struct mpi_group *group;
    uint32_t context;
    bool low;
    int err = is_low(comm, high, &low);

    if (err == 0)
        err = mpi_context_agree(comm, &context);
    if (err != 0)
        return err;
    first = low ? comm->group : comm->remote;
    second = low ? comm->remote : comm->group;
    group = mpi_group_create(first->size + second->size);
    if (group == NULL)
        return MPI_ERR_NO_MEM;
    for (int i = 0; i < group->size; i++)
        group->members[i] = i < first->size ? first->members[i] : second->members[i - first->size];
    mpi_group_finish(group);
    return mpi_comm_create(context, group, NULL, comm, out);
}

int
PMPI_Intercomm_merge(MPI_Comm intercomm, int high, MPI_Comm *newintracomm)
{
    struct mpi_comm *c = NULL, *made;
    int err;

    mpi_lock();
    err = mpi_comm_find(intercomm, &c);
    if (err == 0 && c->remote == NULL)
        err = MPI_ERR_COMM;
    if (err == 0)
        err = newintracomm != NULL ? merge(c, high, &made) : MPI_ERR_ARG;
    if (err == 0)
        *newintracomm = made->handle;
    return mpi_leave(c, "MPI_Intercomm_merge", err);
}
MPI_NAMES(Intercomm_merge);
