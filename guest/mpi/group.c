/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups (MPI 3.1, 6.3): lists of members, immutable.
 */
#include <stdlib.h>
#include <string.h>

#include "core.h"

static struct mpi_group empty = {.handle = MPI_GROUP_EMPTY, .references = 1, .rank = MPI_UNDEFINED};

struct mpi_group *
mpi_group_create(int size)
{
    struct mpi_group *group = calloc(1, sizeof(*group) + (size_t)size * sizeof(*group->members));

    if (group != NULL)
        *group = (struct mpi_group){.references = 1, .size = size, .rank = MPI_UNDEFINED};
    return group;
}

int
mpi_group_place(const struct mpi_group *group, uint32_t member)
{
    if (member < (uint32_t)group->size && group->members[member] == member)
        return (int)member; /* of the world's, mostly */
    for (int i = 0; i < group->size; i++)
        if (group->members[i] == member)
            return i;
    return MPI_UNDEFINED;
}

void
mpi_group_finish(struct mpi_group *group)
{
    group->rank = mpi_group_place(group, mpi_member());
}

struct mpi_group *
mpi_group_get(struct mpi_group *group)
{
    group->references++;
    return group;
}

void
mpi_group_put(struct mpi_group *group)
{
    if (group == NULL || --group->references > 0 || group == &empty)
        return;
    if (group->handle != NULL)
        mpi_handle_free(MPI_KIND_GROUP, group->handle);
    free(group);
}

int
mpi_group_find(MPI_Group handle, struct mpi_group **out)
{
    mpi_handle_define(MPI_KIND_GROUP, MPI_GROUP_EMPTY, &empty);
    *out = mpi_handle_find(MPI_KIND_GROUP, handle);
    return *out != NULL ? 0 : MPI_ERR_GROUP;
}

int
mpi_group_export(struct mpi_group *group, MPI_Group *out)
{
    if (group == NULL)
        return MPI_ERR_NO_MEM;
    if (group->size == 0) {
        mpi_group_put(group);
        *out = MPI_GROUP_EMPTY;
        return 0;
    }
    if (group->handle == NULL)
        group->handle = mpi_handle_make(MPI_KIND_GROUP, group);
    if (group->handle == NULL) {
        mpi_group_put(group);
        return MPI_ERR_NO_MEM;
    }
    *out = group->handle;
    return 0;
}

/* -------------------------------------------------------------------------- asking */

int
PMPI_Group_size(MPI_Group group, int *size)
{
    struct mpi_group *g;
    int err;

    mpi_lock();
    err = mpi_group_find(group, &g);
    if (err == 0)
        *size = g->size;
    return mpi_leave(NULL, "MPI_Group_size", err);
}
MPI_NAMES(Group_size);

int
PMPI_Group_rank(MPI_Group group, int *rank)
{
    struct mpi_group *g;
    int err;

    mpi_lock();
    err = mpi_group_find(group, &g);
    if (err == 0)
        *rank = g->rank;
    return mpi_leave(NULL, "MPI_Group_rank", err);
}
MPI_NAMES(Group_rank);

int
PMPI_Group_translate_ranks(MPI_Group group1, int n, const int ranks1[], MPI_Group group2,
                           int ranks2[])
{
    struct mpi_group *from, *to;
    int err;

    mpi_lock();
    err = mpi_group_find(group1, &from);
    if (err == 0)
        err = mpi_group_find(group2, &to);
    if (err == 0 && n < 0)
        err = MPI_ERR_ARG;
    for (int i = 0; err == 0 && i < n; i++)
        if (ranks1[i] == MPI_PROC_NULL)
            ranks2[i] = MPI_PROC_NULL;
        else if (ranks1[i] >= 0 && ranks1[i] < from->size)
            ranks2[i] = mpi_group_place(to, from->members[ranks1[i]]);
        else
            err = MPI_ERR_RANK;
    return mpi_leave(NULL, "MPI_Group_translate_ranks", err);
}
MPI_NAMES(Group_translate_ranks);

/* MPI_IDENT, MPI_SIMILAR or MPI_UNEQUAL. */
static int
compare(const struct mpi_group *a, const struct mpi_group *b)
{
    if (a->size != b->size)
        return MPI_UNEQUAL;
    if (a->size == 0 || memcmp(a->members, b->members, (size_t)a->size * sizeof(*a->members)) == 0)
        return MPI_IDENT;
    for (int i = 0; i < a->size; i++)
        if (mpi_group_place(b, a->members[i]) == MPI_UNDEFINED)
            return MPI_UNEQUAL;
    return MPI_SIMILAR;
}

int
PMPI_Group_compare(MPI_Group group1, MPI_Group group2, int *result)
{
    struct mpi_group *a, *b;
    int err;

    mpi_lock();
    err = mpi_group_find(group1, &a);
    if (err == 0)
        err = mpi_group_find(group2, &b);
    if (err == 0)
        *result = compare(a, b);
    return mpi_leave(NULL, "MPI_Group_compare", err);
}
MPI_NAMES(Group_compare);

/* --------------------------------------------------------------------- sets of members */

/* Those of a that are in b, or are not, after what out has already. */
static void
append(struct mpi_group *out, const struct mpi_group *a, const struct mpi_group *b, bool in)
{
    for (int i = 0; i < a->size; i++)
        if ((mpi_group_place(b, a->members[i]) != MPI_UNDEFINED) == in)
            out->members[out->size++] = a->members[i];
}

enum set { SET_UNION, SET_INTERSECTION, SET_DIFFERENCE };

static int
combine(enum set set, MPI_Group group1, MPI_Group group2, MPI_Group *newgroup)
{
    struct mpi_group *a, *b, *out;
    int err = mpi_group_find(group1, &a);

    if (err == 0)
        err = mpi_group_find(group2, &b);
    if (err != 0)
        return err;
    out = mpi_group_create(a->size + b->size);
    if (out == NULL)
        return MPI_ERR_NO_MEM;
    out->size = 0;
    if (set == SET_UNION)
        append(out, a, &empty, false);
    if (set == SET_UNION)
        append(out, b, a, false);
    else
        append(out, a, b, set == SET_INTERSECTION);
    mpi_group_finish(out);
    return mpi_group_export(out, newgroup);
}

int
PMPI_Group_union(MPI_Group group1, MPI_Group group2, MPI_Group *newgroup)
{
    int err;

    mpi_lock();
    err = combine(SET_UNION, group1, group2, newgroup);
    return mpi_leave(NULL, "MPI_Group_union", err);
}
MPI_NAMES(Group_union);

int
PMPI_Group_intersection(MPI_Group group1, MPI_Group group2, MPI_Group *newgroup)
{
    int err;

    mpi_lock();
    err = combine(SET_INTERSECTION, group1, group2, newgroup);
    return mpi_leave(NULL, "MPI_Group_intersection", err);
}
MPI_NAMES(Group_intersection);

int
PMPI_Group_difference(MPI_Group group1, MPI_Group group2, MPI_Group *newgroup)
{
    int err;

    mpi_lock();
    err = combine(SET_DIFFERENCE, group1, group2, newgroup);
    return mpi_leave(NULL, "MPI_Group_difference", err);
}
MPI_NAMES(Group_difference);

/* --------------------------------------------------------------------- lists of ranks */

/* Chosen ranks, in the order in which they were chosen; each once. */
struct choice {
    const struct mpi_group *from;
    int count;
    int *ranks;
    bool *is_chosen;
};

static int
choice_init(struct choice *choice, const struct mpi_group *from)
{
    size_t size = (size_t)from->size + 1;

    *choice = (struct choice){
        .from = from, .ranks = malloc(size * sizeof(int)), .is_chosen = calloc(size, sizeof(bool))};
    return choice->ranks != NULL && choice->is_chosen != NULL ? 0 : MPI_ERR_NO_MEM;
}

static int
choose(struct choice *choice, int64_t rank)
{
    if (rank < 0 || rank >= choice->from->size || choice->is_chosen[rank])
        return MPI_ERR_RANK;
    choice->is_chosen[rank] = true;
    choice->ranks[choice->count++] = (int)rank;
    return 0;
}

static int
choose_range(struct choice *choice, const int range[3])
{
    int64_t stride = range[2];
    int err = stride != 0 ? 0 : MPI_ERR_ARG;

    for (int64_t rank = range[0]; err == 0 && (stride > 0 ? rank <= range[1] : rank >= range[1]);
         rank += stride)
        err = choose(choice, rank);
    return err;
}

/* The chosen ones, or all others in their order. */
static struct mpi_group *
make(const struct choice *choice, bool others)
{
    const struct mpi_group *from = choice->from;
    struct mpi_group *out = mpi_group_create(from->size);

    if (out == NULL)
        return NULL;
    out->size = 0;
    for (int i = 0; !others && i < choice->count; i++)
        out->members[out->size++] = from->members[choice->ranks[i]];
    for (int i = 0; others && i < from->size; i++)
        if (!choice->is_chosen[i])
            out->members[out->size++] = from->members[i];
    mpi_group_finish(out);
    return out;
}

static int
select_ranks(MPI_Group group, int n, const int *ranks, int (*ranges)[3], bool others,
             MPI_Group *newgroup)
{
    struct choice choice = {0};
    struct mpi_group *g;
    int err = mpi_group_find(group, &g);

    if (err == 0 && n < 0)
        err = MPI_ERR_ARG;
    if (err == 0)
        err = choice_init(&choice, g);
    for (int i = 0; err == 0 && i < n; i++)
        err = ranges != NULL ? choose_range(&choice, ranges[i]) : choose(&choice, ranks[i]);
    if (err == 0)
        err = mpi_group_export(make(&choice, others), newgroup);
    free(choice.ranks);
    free(choice.is_chosen);
    return err;
}

int
PMPI_Group_incl(MPI_Group group, int n, const int ranks[], MPI_Group *newgroup)
{
    int err;

    mpi_lock();
    err = select_ranks(group, n, ranks, NULL, false, newgroup);
    return mpi_leave(NULL, "MPI_Group_incl", err);
}
MPI_NAMES(Group_incl);

int
PMPI_Group_excl(MPI_Group group, int n, const int ranks[], MPI_Group *newgroup)
{
    int err;

    mpi_lock();
    err = select_ranks(group, n, ranks, NULL, true, newgroup);
    return mpi_leave(NULL, "MPI_Group_excl", err);
}
MPI_NAMES(Group_excl);

int
PMPI_Group_range_incl(MPI_Group group, int n, int ranges[][3], MPI_Group *newgroup)
{
    int err;

    mpi_lock();
    err = select_ranks(group, n, NULL, ranges, false, newgroup);
    return mpi_leave(NULL, "MPI_Group_range_incl", err);
}
MPI_NAMES(Group_range_incl);

int
PMPI_Group_range_excl(MPI_Group group, int n, int ranges[][3], MPI_Group *newgroup)
{
    int err;

    mpi_lock();
    err = select_ranks(group, n, NULL, ranges, true, newgroup);
    return mpi_leave(NULL, "MPI_Group_range_excl", err);
}
MPI_NAMES(Group_range_excl);

/* The object lives on where communicators have it. */
int
PMPI_Group_free(MPI_Group *group)
{
    struct mpi_group *g;
    int err = MPI_ERR_ARG;

    mpi_lock();
    if (group != NULL)
        err = mpi_group_find(*group, &g);
    if (err == 0) {
        if (g != &empty)
            mpi_group_put(g);
        *group = MPI_GROUP_NULL;
    }
    return mpi_leave(NULL, "MPI_Group_free", err);
}
MPI_NAMES(Group_free);
