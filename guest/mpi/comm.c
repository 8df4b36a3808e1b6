/* SPDX-License-Identifier: Apache-2.0
 *
 * Communicators as objects (MPI 3.1, 6.4.1, 6.8): their life, names and info; MPI_COMM_WORLD and
 * MPI_COMM_SELF.
 */
#include "comm.h"

#include <stdlib.h>
#include <string.h>

#include "env.h"
#include "errhandler.h"
#include "meeting.h"
#include "topology.h"

/* A context: [ member who chose it, 12 bits | its count, 19 bits | 0 or 1 ]. Member 0's counts 0
 * and 1 are the world and each one's self, which never meets another's. */
#define COUNT_BITS  19u
#define COUNT_FIRST 2u

struct mpi_comm mpi_world, mpi_self;
static uint32_t next_count = COUNT_FIRST;

uint32_t
mpi_context_new(void)
{
    if (next_count >> COUNT_BITS != 0)
        return 0;
    return (mpi_member() << COUNT_BITS | next_count++) << 1;
}

/* ---------------------------------------------------------------------------- life */

static void
init(struct mpi_comm *comm, MPI_Comm handle, uint32_t context, struct mpi_group *group,
     const char *name)
{
    *comm = (struct mpi_comm){.handle = handle,
                              .references = 1,
                              .context = context,
                              .rank = group->rank,
                              .size = group->size,
                              .group = group,
                              .errhandler = &mpi_errors_are_fatal};
    (void)memcpy(comm->name, name, strlen(name) + 1);
    mpi_handle_define(MPI_KIND_COMM, handle, comm);
}

int
mpi_comms_init(void)
{
    struct mpi_group *all = mpi_group_create((int)mpi_members()), *self = mpi_group_create(1);

    if (all == NULL || self == NULL) {
        mpi_group_put(all);
        mpi_group_put(self);
        return MPI_ERR_NO_MEM;
    }
    for (uint32_t i = 0; i < mpi_members(); i++)
        all->members[i] = i;
    self->members[0] = mpi_member();
    mpi_group_finish(all);
    mpi_group_finish(self);
    init(&mpi_world, MPI_COMM_WORLD, 0, all, "MPI_COMM_WORLD");
    init(&mpi_self, MPI_COMM_SELF, 2, self, "MPI_COMM_SELF");
    mpi_errhandlers_init();
    return 0;
}

static void
fini(struct mpi_comm *comm)
{
    mpi_handle_define(MPI_KIND_COMM, comm->handle, NULL);
    mpi_meetings_end(comm);
    mpi_group_put(comm->group);
    mpi_info_destroy(comm->info);
    mpi_errhandler_put(comm->errhandler);
    comm->group = NULL;
    comm->info = NULL;
    comm->errhandler = NULL;
}

void
mpi_comms_fini(void)
{
    fini(&mpi_world);
    fini(&mpi_self);
}

int
mpi_comm_find(MPI_Comm handle, struct mpi_comm **out)
{
    struct mpi_comm *found = mpi_handle_find(MPI_KIND_COMM, handle);

    if (found == NULL)
        return MPI_ERR_COMM;
    *out = found;
    return 0;
}

int
mpi_comm_create(uint32_t context, struct mpi_group *group, struct mpi_group *remote,
                const struct mpi_comm *parent, struct mpi_comm **out)
{
    struct mpi_comm *comm = group != NULL ? calloc(1, sizeof(*comm)) : NULL;
    struct mpi_errhandler *errhandler =
        parent != NULL && parent->errhandler != NULL ? parent->errhandler : &mpi_errors_are_fatal;

    if (comm != NULL)
        comm->handle = mpi_handle_make(MPI_KIND_COMM, comm);
    if (comm == NULL || comm->handle == NULL) {
        free(comm);
        mpi_group_put(group);
        mpi_group_put(remote);
        return MPI_ERR_NO_MEM;
    }
    comm->references = 1;
    comm->context = context;
    comm->group = group;
    comm->remote = remote;
    comm->rank = group->rank;
    comm->size = group->size;
    comm->errhandler = mpi_errhandler_get(errhandler);
    *out = comm;
    return 0;
}

struct mpi_comm *
mpi_comm_get(struct mpi_comm *comm)
{
    comm->references++;
    return comm;
}

void
mpi_comm_put(struct mpi_comm *comm)
{
    if (comm == NULL || --comm->references > 0)
        return;
    if (comm->handle != NULL)
        mpi_handle_free(MPI_KIND_COMM, comm->handle);
    mpi_meetings_end(comm);
    mpi_comm_put(comm->local);
    mpi_group_put(comm->group);
    mpi_group_put(comm->remote);
    mpi_errhandler_put(comm->errhandler);
    mpi_topology_destroy(comm->topology);
    mpi_info_destroy(comm->info);
    free(comm);
}

int
mpi_comm_release(struct mpi_comm *comm)
{
    int err;

    if (comm == &mpi_world || comm == &mpi_self)
        return MPI_ERR_COMM;
    err = mpi_attributes_delete(MPI_KIND_COMM, comm->handle, &comm->attributes);
    if (err != 0)
        return err;
    mpi_handle_free(MPI_KIND_COMM, comm->handle);
    comm->handle = NULL;
    mpi_comm_put(comm);
    return 0;
}

int
PMPI_Comm_free(MPI_Comm *comm)
{
    struct mpi_comm *c = NULL;
    int err = MPI_ERR_ARG;

    mpi_lock();
    if (comm != NULL)
        err = mpi_comm_find(*comm, &c);
    if (err == 0)
        err = mpi_comm_release(c);
    if (err == 0)
        *comm = MPI_COMM_NULL;
    return mpi_leave(err == 0 ? NULL : c, "MPI_Comm_free", err);
}
MPI_NAMES(Comm_free);

/* ------------------------------------------------------------------------- what it is */

int
PMPI_Comm_size(MPI_Comm comm, int *size)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0 && size == NULL)
        err = MPI_ERR_ARG;
    if (err == 0)
        *size = c->size;
    return mpi_leave(c, "MPI_Comm_size", err);
}
MPI_NAMES(Comm_size);

int
PMPI_Comm_rank(MPI_Comm comm, int *rank)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0 && rank == NULL)
        err = MPI_ERR_ARG;
    if (err == 0)
        *rank = c->rank;
    return mpi_leave(c, "MPI_Comm_rank", err);
}
MPI_NAMES(Comm_rank);

int
PMPI_Comm_test_inter(MPI_Comm comm, int *flag)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        *flag = c->remote != NULL;
    return mpi_leave(c, "MPI_Comm_test_inter", err);
}
MPI_NAMES(Comm_test_inter);

int
PMPI_Comm_remote_size(MPI_Comm comm, int *size)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0 && c->remote == NULL)
        err = MPI_ERR_COMM;
    if (err == 0)
        *size = c->remote->size;
    return mpi_leave(c, "MPI_Comm_remote_size", err);
}
MPI_NAMES(Comm_remote_size);

int
PMPI_Comm_group(MPI_Comm comm, MPI_Group *group)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0 && group == NULL)
        err = MPI_ERR_ARG;
    if (err == 0)
        err = mpi_group_export(mpi_group_get(c->group), group);
    return mpi_leave(c, "MPI_Comm_group", err);
}
MPI_NAMES(Comm_group);

int
PMPI_Comm_remote_group(MPI_Comm comm, MPI_Group *group)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0 && c->remote == NULL)
        err = MPI_ERR_COMM;
    if (err == 0)
        err = mpi_group_export(mpi_group_get(c->remote), group);
    return mpi_leave(c, "MPI_Comm_remote_group", err);
}
MPI_NAMES(Comm_remote_group);

static bool
is_same_set(const struct mpi_group *a, const struct mpi_group *b)
{
    for (int i = 0; i < a->size; i++)
        if (mpi_group_place(b, a->members[i]) == MPI_UNDEFINED)
            return false;
    return a->size == b->size;
}

static int
compare_groups(const struct mpi_group *a, const struct mpi_group *b)
{
    if (!is_same_set(a, b))
        return MPI_UNEQUAL;
    return memcmp(a->members, b->members, (size_t)a->size * sizeof(*a->members)) == 0
               ? MPI_CONGRUENT
               : MPI_SIMILAR;
}

static int
compare(const struct mpi_comm *a, const struct mpi_comm *b)
{
    int local, remote;

    if (a == b)
        return MPI_IDENT;
    if ((a->remote != NULL) != (b->remote != NULL))
        return MPI_UNEQUAL;
    local = compare_groups(a->group, b->group);
    remote = a->remote != NULL ? compare_groups(a->remote, b->remote) : local;
    return local > remote ? local : remote; /* UNEQUAL is the largest, CONGRUENT the least */
}

int
PMPI_Comm_compare(MPI_Comm comm1, MPI_Comm comm2, int *result)
{
    struct mpi_comm *a = NULL, *b = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm1, &a);
    if (err == 0)
        err = mpi_comm_find(comm2, &b);
    if (err == 0)
        *result = compare(a, b);
    return mpi_leave(a, "MPI_Comm_compare", err);
}
MPI_NAMES(Comm_compare);

/* -------------------------------------------------------------------- names and info */

int
PMPI_Comm_set_name(MPI_Comm comm, const char *name)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0 && name == NULL)
        err = MPI_ERR_ARG;
    if (err == 0) {
        (void)strncpy(c->name, name, sizeof(c->name) - 1);
        c->name[sizeof(c->name) - 1] = '\0';
    }
    return mpi_leave(c, "MPI_Comm_set_name", err);
}
MPI_NAMES(Comm_set_name);

int
PMPI_Comm_get_name(MPI_Comm comm, char *name, int *length)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0) {
        *length = (int)strlen(c->name);
        (void)memcpy(name, c->name, (size_t)*length + 1);
    }
    return mpi_leave(c, "MPI_Comm_get_name", err);
}
MPI_NAMES(Comm_get_name);

int
PMPI_Comm_set_info(MPI_Comm comm, MPI_Info info)
{
    struct mpi_comm *c = NULL;
    struct mpi_info *hints = NULL, *copy = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = mpi_info_find(info, &hints);
    if (err == 0) {
        copy = mpi_info_copy(hints);
        err = copy != NULL || hints == NULL ? 0 : MPI_ERR_NO_MEM;
    }
    if (err == 0) {
        mpi_info_destroy(c->info);
        c->info = copy;
    }
    return mpi_leave(c, "MPI_Comm_set_info", err);
}
MPI_NAMES(Comm_set_info);

int
PMPI_Comm_get_info(MPI_Comm comm, MPI_Info *info)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = mpi_info_export(c->info, info);
    return mpi_leave(c, "MPI_Comm_get_info", err);
}
MPI_NAMES(Comm_get_info);
