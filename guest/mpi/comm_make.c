/* SPDX-License-Identifier: Apache-2.0
 *
 * New communicators of old ones (MPI 3.1, 6.4.2 and 6.4.3). Those that one call makes for disjoint
 * groups have the same context: none of their messages goes from one to the other.
 */
#include <stdlib.h>
#include <string.h>

#include "comm.h"
#include "net.h"
#include "topology.h"

/* ------------------------------------------------------------------------ duplicates */

/* A copy of it in all but the context, which is to come. */
static int
duplicate(struct mpi_comm *comm, struct mpi_comm **out)
{
    struct mpi_group *remote = comm->remote != NULL ? mpi_group_get(comm->remote) : NULL;
    struct mpi_comm *copy;
    int err = mpi_comm_create(0, mpi_group_get(comm->group), remote, comm, &copy);

    if (err != 0)
        return err;
    err = mpi_topology_copy(comm->topology, &copy->topology);
    if (err == 0)
        err =
            mpi_attributes_copy(MPI_KIND_COMM, comm->handle, &comm->attributes, &copy->attributes);
    if (err != 0)
        mpi_comm_put(copy);
    else
        *out = copy;
    return err;
}

/* hints: the program's, instead of comm's own; is_given: they are. */
static int
set_hints(struct mpi_comm *copy, const struct mpi_comm *comm, const struct mpi_info *hints,
          bool is_given)
{
    const struct mpi_info *from = is_given ? hints : comm->info;

    copy->info = mpi_info_copy(from);
    return copy->info != NULL || from == NULL ? 0 : MPI_ERR_NO_MEM;
}

/* The steps by which the copy gets its context. */
static struct mpi_schedule *
write_contexts(struct mpi_comm *comm, struct mpi_comm *copy, const char *what)
{
    struct mpi_schedule *schedule = mpi_schedule_create(comm, what);

    if (schedule != NULL)
        mpi_context_write(schedule, comm, &copy->context);
    return schedule;
}

/* The schedule is made even where hints cannot be kept: all others make one, and wait for us. */
static int
dup(struct mpi_comm *comm, const struct mpi_info *hints, bool is_given, struct mpi_comm **out)
{
    struct mpi_comm *copy;
    struct mpi_schedule *schedule;
    int err = duplicate(comm, &copy);
    int64_t worst;

    if (comm->remote == NULL) { /* callbacks may fail on one member */
        worst = err;
        if (mpi_collective_max(comm, &worst, 1) == 0 && worst != 0 && err == 0) {
            mpi_comm_put(copy);
            return (int)worst;
        }
    }
    if (err != 0)
        return err;
    err = set_hints(copy, comm, hints, is_given);
    schedule = write_contexts(comm, copy, "MPI_Comm_dup");
    if (err == 0)
        err = schedule != NULL ? mpi_schedule_run(schedule) : MPI_ERR_NO_MEM;
    if (err == 0 && comm->remote != NULL)
        err = mpi_comm_clone(comm->local, &copy->local);
    if (err != 0)
        mpi_comm_put(copy);
    else
        *out = copy;
    return err;
}

int
PMPI_Comm_dup(MPI_Comm comm, MPI_Comm *newcomm)
{
    struct mpi_comm *c = NULL, *copy;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = newcomm != NULL ? dup(c, NULL, false, &copy) : MPI_ERR_ARG;
    if (err == 0)
        *newcomm = copy->handle;
    return mpi_leave(c, "MPI_Comm_dup", err);
}
MPI_NAMES(Comm_dup);

int
PMPI_Comm_dup_with_info(MPI_Comm comm, MPI_Info info, MPI_Comm *newcomm)
{
    struct mpi_comm *c = NULL, *copy;
    struct mpi_info *hints = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = mpi_info_find(info, &hints);
    if (err == 0)
        err = dup(c, hints, true, &copy);
    if (err == 0)
        *newcomm = copy->handle;
    return mpi_leave(c, "MPI_Comm_dup_with_info", err);
}
MPI_NAMES(Comm_dup_with_info);

/* The copy of an inter-communicator has one of its own group, too, with the context after its own:
 * whoever chose it kept that free (comm_agree.c). */
struct idup {
    struct mpi_comm *copy;
};

static int
end_idup(void *context)
{
    struct idup *idup = context;

    if (idup->copy->local != NULL)
        idup->copy->local->context = idup->copy->context + 2;
    mpi_comm_put(idup->copy);
    return 0;
}

static int
begin_local(struct mpi_comm *comm, struct mpi_comm *copy)
{
    int err = mpi_comm_create(0, mpi_group_get(comm->group), NULL, comm, &copy->local);

    if (err != 0)
        return err;
    mpi_handle_free(MPI_KIND_COMM, copy->local->handle);
    copy->local->handle = NULL;
    return 0;
}

static int
idup(struct mpi_comm *comm, const struct mpi_info *hints, bool is_given, MPI_Comm *newcomm,
     MPI_Request *request)
{
    struct mpi_schedule *schedule;
    struct mpi_request *made;
    struct mpi_comm *copy;
    struct idup *state;
    int err = duplicate(comm, &copy);

    if (err == 0)
        err = set_hints(copy, comm, hints, is_given);
    if (err != 0)
        return err;
    schedule = write_contexts(comm, copy, "MPI_Comm_idup");
    state = schedule != NULL ? mpi_schedule_memory(schedule, sizeof(*state)) : NULL;
    if (state == NULL)
        return MPI_ERR_NO_MEM;
    *state = (struct idup){mpi_comm_get(copy)};
    if (comm->remote != NULL)
        err = begin_local(comm, copy);
    mpi_schedule_call(schedule, end_idup, state);
    if (err == 0)
        err = mpi_schedule_start(schedule, &made);
    else
        mpi_schedule_destroy(schedule);
    if (err == 0)
        err = mpi_request_export(made, request);
    if (err == 0)
        *newcomm = copy->handle;
    return err;
}

int
PMPI_Comm_idup(MPI_Comm comm, MPI_Comm *newcomm, MPI_Request *request)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = idup(c, NULL, false, newcomm, request);
    return mpi_leave(c, "MPI_Comm_idup", err);
}
MPI_NAMES(Comm_idup);

int
PMPI_Comm_idup_with_info(MPI_Comm comm, MPI_Info info, MPI_Comm *newcomm, MPI_Request *request)
{
    struct mpi_comm *c = NULL;
    struct mpi_info *hints = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = mpi_info_find(info, &hints);
    if (err == 0)
        err = idup(c, hints, true, newcomm, request);
    return mpi_leave(c, "MPI_Comm_idup_with_info", err);
}
MPI_NAMES(Comm_idup_with_info);

/* ------------------------------------------------------------------------ by groups */

/* One intra-communicator of a group that this member is in; takes the group. */
static int
make_intra(uint32_t context, struct mpi_group *group, const struct mpi_comm *parent,
           MPI_Comm *newcomm)
{
    struct mpi_comm *made;
    int err = mpi_comm_create(context, group, NULL, parent, &made);

    if (err == 0)
        *newcomm = made->handle;
    return err;
}

/* An inter-communicator of this side's group, where this member is in it, and the other's. The own
 * group's communicator comes first, for all of the old one's that are in it. Takes both groups. */
static int
make_inter(uint32_t context, struct mpi_group *group, struct mpi_group *remote,
           struct mpi_comm *parent, MPI_Comm *newcomm)
{
    struct mpi_comm *own = NULL, *made;
    uint32_t local;
    int err = mpi_context_agree(parent->local, &local); /* all of the old group */

    if (err == 0 && group->rank != MPI_UNDEFINED && remote->size > 0)
        err = mpi_comm_create(local, mpi_group_get(group), NULL, parent, &own);
    if (err != 0 || own == NULL) {
        mpi_group_put(group);
        mpi_group_put(remote);
        return err;
    }
    mpi_handle_free(MPI_KIND_COMM, own->handle);
    own->handle = NULL;
    err = mpi_comm_create(context, group, remote, parent, &made);
    if (err != 0) {
        mpi_comm_put(own);
        return err;
    }
    made->local = own;
    *newcomm = made->handle;
    return 0;
}

/* The other side's group, which only it was given. NULL and *err. */
static struct mpi_group *
learn_group(struct mpi_comm *comm, const struct mpi_group *ours, int *err)
{
    int32_t count = ours->size, theirs = 0;
    struct mpi_group *group;

    *err = mpi_comm_exchange(comm, &count, sizeof(count), &theirs, sizeof(theirs));
    group = *err == 0 ? mpi_group_create(theirs) : NULL;
    if (group == NULL) {
        *err = *err != 0 ? *err : MPI_ERR_NO_MEM;
        return NULL;
    }
    *err = mpi_comm_exchange(comm, ours->members, (uint32_t)count * 4, group->members,
                             (uint32_t)theirs * 4);
    mpi_group_finish(group);
    return group;
}

static int
create(struct mpi_comm *comm, struct mpi_group *group, MPI_Comm *newcomm)
{
    struct mpi_group *remote;
    uint32_t context;
    int err = mpi_context_agree(comm, &context);

    *newcomm = MPI_COMM_NULL;
    if (err != 0)
        return err;
    if (comm->remote == NULL)
        return group->rank != MPI_UNDEFINED
                   ? make_intra(context, mpi_group_get(group), comm, newcomm)
                   : 0;
    remote = learn_group(comm, group, &err);
    if (err != 0) {
        mpi_group_put(remote);
        return err;
    }
    return make_inter(context, mpi_group_get(group), remote, comm, newcomm);
}

static bool
is_within(const struct mpi_group *group, const struct mpi_group *all)
{
    for (int i = 0; i < group->size; i++)
        if (mpi_group_place(all, group->members[i]) == MPI_UNDEFINED)
            return false;
    return true;
}

int
PMPI_Comm_create(MPI_Comm comm, MPI_Group group, MPI_Comm *newcomm)
{
    struct mpi_comm *c = NULL;
    struct mpi_group *g;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = mpi_group_find(group, &g);
    if (err == 0 && !is_within(g, c->group))
        err = MPI_ERR_GROUP;
    if (err == 0)
        err = newcomm != NULL ? create(c, g, newcomm) : MPI_ERR_ARG;
    return mpi_leave(c, "MPI_Comm_create", err);
}
MPI_NAMES(Comm_create);

/* Tags of the program on a context of collectives, apart from theirs. */
#define GROUP_TAG(tag) ((tag) | 0x40000000)

/* Only the group's members call: their first one tells the others, along a binomial tree. */
static int
agree_in_group(struct mpi_comm *comm, const struct mpi_group *group, int tag, uint32_t *context)
{
    int bit = 1, err = 0, rank = group->rank;

    if (rank == 0)
        *context = mpi_context_new();
    while (bit < group->size && (rank & bit) == 0)
        bit <<= 1;
    if (rank != 0)
        err = mpi_message_receive_bytes(comm, comm->context + 1,
                                        mpi_group_place(comm->group, group->members[rank - bit]),
                                        GROUP_TAG(tag), context, sizeof(*context));
    for (bit >>= 1; err == 0 && bit > 0; bit >>= 1)
        if (rank + bit < group->size)
            err = mpi_message_send_bytes(comm, comm->context + 1,
                                         mpi_group_place(comm->group, group->members[rank + bit]),
                                         GROUP_TAG(tag), context, sizeof(*context));
    return err == 0 && *context == 0 ? MPI_ERR_OTHER : err;
}

int
PMPI_Comm_create_group(MPI_Comm comm, MPI_Group group, int tag, MPI_Comm *newcomm)
{
    struct mpi_comm *c = NULL;
    struct mpi_group *g = NULL;
    uint32_t context = 0;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = c->remote == NULL ? mpi_group_find(group, &g) : MPI_ERR_COMM;
    if (err == 0 && !is_within(g, c->group))
        err = MPI_ERR_GROUP;
    if (err == 0 && (tag < 0 || tag > MPI_TAG_MAX))
        err = MPI_ERR_TAG;
    if (err == 0)
        *newcomm = MPI_COMM_NULL;
    if (err == 0 && g->rank != MPI_UNDEFINED) {
        err = agree_in_group(c, g, tag, &context);
        if (err == 0)
            err = make_intra(context, mpi_group_get(g), c, newcomm);
    }
    return mpi_leave(c, "MPI_Comm_create_group", err);
}
MPI_NAMES(Comm_create_group);

/* ------------------------------------------------------------------------ by colours */

struct paint {
    int32_t color, key, rank;
    uint32_t member;
};

static int
by_key(const void *a, const void *b)
{
    const struct paint *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->rank - y->rank;
}

/* Those of one colour, by key, then rank. NULL: no memory. */
static struct mpi_group *
group_of(struct paint *paints, int count, int color)
{
    struct mpi_group *group;
    int size = 0;

    for (int i = 0; i < count; i++)
        if (paints[i].color == color) {
            struct paint swap = paints[size];

            paints[size++] = paints[i];
            paints[i] = swap;
        }
    qsort(paints, (size_t)size, sizeof(*paints), by_key);
    group = mpi_group_create(size);
    for (int i = 0; group != NULL && i < size; i++)
        group->members[i] = paints[i].member;
    if (group != NULL)
        mpi_group_finish(group);
    return group;
}

/* What each of this side, and of the other, chose: one after the other; freed by the caller. */
static int
gather_paint(struct mpi_comm *comm, int color, int key, struct paint **out)
{
    struct mpi_comm *own = comm->remote != NULL ? comm->local : comm;
    int theirs = comm->remote != NULL ? comm->remote->size : 0;
    const struct paint mine = {color, key, comm->rank, mpi_member()};
    struct paint *all = calloc((size_t)(comm->size + theirs), sizeof(*all));
    int err =
        all != NULL ? mpi_collective_allgather(own, &mine, all, sizeof(mine)) : MPI_ERR_NO_MEM;

    if (err == 0 && theirs > 0)
        err = mpi_comm_exchange(comm, all, (uint32_t)((size_t)comm->size * sizeof(*all)),
                                all + comm->size, (uint32_t)((size_t)theirs * sizeof(*all)));
    *out = all;
    return err;
}

static int
split(struct mpi_comm *comm, int color, int key, MPI_Comm *newcomm)
{
    struct paint *all = NULL;
    struct mpi_group *group, *remote;
    uint32_t context;
    int err = mpi_context_agree(comm, &context);

    *newcomm = MPI_COMM_NULL;
    if (err == 0)
        err = gather_paint(comm, color, key, &all);
    if (err != 0) {
        free(all);
        return err;
    }
    group = color != MPI_UNDEFINED ? group_of(all, comm->size, color) : mpi_group_create(0);
    if (comm->remote == NULL && color == MPI_UNDEFINED) {
        mpi_group_put(group);
    } else if (comm->remote == NULL) {
        err = make_intra(context, group, comm, newcomm);
    } else {
        remote = color != MPI_UNDEFINED ? group_of(all + comm->size, comm->remote->size, color)
                                        : mpi_group_create(0);
        err = group != NULL && remote != NULL ? make_inter(context, group, remote, comm, newcomm)
                                              : MPI_ERR_NO_MEM;
    }
    free(all);
    return err;
}

int
PMPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm *newcomm)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0 && ((color < 0 && color != MPI_UNDEFINED) || newcomm == NULL))
        err = MPI_ERR_ARG;
    if (err == 0)
        err = split(c, color, key, newcomm);
    return mpi_leave(c, "MPI_Comm_split", err);
}
MPI_NAMES(Comm_split);

/* Who can share memory: all that are near one another, by the first of them. */
static int
color_of_near(const struct mpi_comm *comm)
{
    int first = 0;

    while (!mpi_net_is_near(comm->group->members[first]))
        first++;
    return first;
}

int
PMPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm *newcomm)
{
    struct mpi_comm *c = NULL;
    struct mpi_info *hints = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = mpi_info_find(info, &hints);
    if (err == 0 && type != MPI_COMM_TYPE_SHARED && type != MPI_UNDEFINED)
        err = MPI_ERR_ARG;
    if (err == 0)
        err = split(c, type == MPI_UNDEFINED ? MPI_UNDEFINED : color_of_near(c), key, newcomm);
    return mpi_leave(c, "MPI_Comm_split_type", err);
}
MPI_NAMES(Comm_split_type);
