/* SPDX-License-Identifier: Apache-2.0
 *
 * Worlds: calls that are members of one group. What the group needs of a cell (to wake a member, to
 * know whether there is something better to do), and what a member's end means for the others.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "cell/cell.h"
#include "group/group.h"
#include "hostcall/hostcall.h"

#define MEMBERS_TOLD_MAX 64u /* of those in a deadlock */

struct member {
    struct cell_world *world;
    uint32_t number;
    uint64_t id;        /* the cell's; 0: not started. Guarded by lock, but for wakes: those come
                         * of members that run */
    bool is_over;       /* guarded by lock */
    cell_end_fn on_end; /* of who started it */
    void *context;
};

struct cell_world {
    struct cell *cell;
    struct group *group; /* owned */
    struct hostcall_group member_of;
    pthread_mutex_t lock;
    bool has_wrong; /* one ended as it should not have: guarded by lock, as the next */
    bool is_cancelled;
    uint32_t count;
    struct member members[];
};

/* ------------------------------------------------------------------------ the group's owner */

static void
on_wake(void *context, uint32_t member)
{
    struct cell_world *world = context;

    (void)cell_wake(world->cell, world->members[member].id);
}

static bool
on_may_spin(void *context, uint32_t member)
{
    const struct cell_world *world = context;

    (void)member;
    return cell_is_idle(world->cell);
}

static int
make_group(struct cell_world *world)
{
    const struct group_owner owner = {on_wake, on_may_spin, world};
    int err = group_create(world->count, &owner, &world->group);

    world->member_of.group = world->group;
    return err == 0 ? hostcall_group_register(&world->member_of) : err;
}

int
cell_world_create(struct cell *cell, uint32_t count, struct cell_world **out)
{
    struct cell_world *world;
    int err;

    if (count == 0 || count > GROUP_MEMBERS_MAX)
        return -EINVAL;
    world = calloc(1, sizeof(*world) + count * sizeof(*world->members));
    if (world == NULL)
        return -ENOMEM;
    world->cell = cell;
    world->count = count;
    (void)pthread_mutex_init(&world->lock, NULL);
    for (uint32_t i = 0; i < count; i++)
        world->members[i] = (struct member){.world = world, .number = i};
    err = make_group(world);
    if (err != 0) {
        cell_world_destroy(world);
        return err;
    }
    *out = world;
    return 0;
}

void
cell_world_destroy(struct cell_world *world)
{
    if (world == NULL)
        return;
    hostcall_group_unregister(&world->member_of);
    group_destroy(world->group);
    (void)pthread_mutex_destroy(&world->lock);
    free(world);
}

const struct hostcall_group *
cell_world_group(const struct cell_world *world)
{
    return &world->member_of;
}

/* ------------------------------------------------------------------------------- its end */

/* It came to an end that it should not have come to. Those that end because another has are told
 * to (CELL_CANCELLED). One that is alone need not say that it has done. */
static bool
is_wrong(const struct cell_world *world, const struct cell_end *end, enum group_presence presence)
{
    if (end->kind == CELL_DONE || (end->kind == CELL_EXIT && end->exit_code == 0))
        return world->count > 1 && presence == GROUP_ENTERED;
    return end->kind != CELL_CANCELLED || group_ended(world->group, NULL) == GROUP_GOES_ON;
}

/* One that never began with MPI has nothing to end. One that has left may exit as it likes, but a
 * trap is the end of all. */
static void
leave_group(const struct member *member, const struct cell_end *end, bool is_bad,
            enum group_presence presence)
{
    const struct group_end lost = {.kind = GROUP_LOST, .member = member->number};
    struct group *group = member->world->group;

    if (presence == GROUP_ABSENT && !is_bad)
        group_leave(group, member->number);
    (void)group_gone(group, member->number, end->exit_code, "");
    if (is_bad && end->kind != CELL_EXIT && end->kind != CELL_DONE)
        (void)group_finish(group, &lost, "", 0);
}

/* With the world all its members end, also those that compute. Of a deadlock each hears by
 * itself. */
static void
cancel_all(struct cell_world *world)
{
    enum group_end_kind kind = group_ended(world->group, NULL);

    if (kind == GROUP_GOES_ON || kind == GROUP_DEADLOCK)
        return;
    (void)pthread_mutex_lock(&world->lock);
    for (uint32_t i = 0; i < world->count && !world->is_cancelled; i++)
        if (world->members[i].id != 0 && !world->members[i].is_over)
            (void)!cell_cancel(world->cell, world->members[i].id);
    world->is_cancelled = true;
    (void)pthread_mutex_unlock(&world->lock);
}

/* ------------------------------------------------------------------------ for people */

/* As many lines as people read. */
static void
tell_deadlock(const struct cell_world *world, struct buffer *story)
{
    uint32_t told = 0, waiting = 0;

    for (uint32_t i = 0; i < world->count; i++) {
        const char *what = group_waited_for(world->group, i);

        waiting += what != NULL;
        if (what == NULL || told >= MEMBERS_TOLD_MAX)
            continue;
        buffer_append_format(story, "  rank %u: %s\n", i, what);
        told++;
    }
    if (waiting > told)
        buffer_append_format(story, "  and %u more\n", waiting - told);
}

/* What its outcome does not say of it. */
static void
tell(const struct member *member, const struct cell_end *end, struct buffer *story)
{
    const struct cell_world *world = member->world;
    struct group_end how = {.kind = GROUP_GOES_ON};

    (void)group_ended(world->group, &how);
    if (how.kind == GROUP_DEADLOCK)
        tell_deadlock(world, story);
    if ((end->kind != CELL_EXIT && end->kind != CELL_DONE) || how.member != member->number)
        return;
    if (how.kind == GROUP_ABORTED)
        buffer_append_format(story, "aborted with %d: %s\n", how.code, how.reason);
    else if (how.kind == GROUP_LOST && end->exit_code != 0)
        buffer_append_format(story, "exited with %d before MPI_Finalize\n", end->exit_code);
    else if (how.kind == GROUP_LOST)
        buffer_append_format(story, "ended before MPI_Finalize\n");
}

/* ----------------------------------------------------------------------------- members */

/* It was ended with the world, or is in the same deadlock as the first. */
static bool
is_by_others(const struct cell_world *world, const struct cell_end *end)
{
    return (end->kind == CELL_KILLED && end->limit == FAASLET_LIMIT_KILL) ||
           (end->kind == CELL_TRAP && group_ended(world->group, NULL) == GROUP_DEADLOCK);
}

/* True: it is the first that did. */
static bool
note_over(struct member *member, bool is_bad)
{
    struct cell_world *world = member->world;
    bool is_first;

    (void)pthread_mutex_lock(&world->lock);
    member->is_over = true;
    is_first = is_bad && !world->has_wrong;
    world->has_wrong |= is_bad;
    (void)pthread_mutex_unlock(&world->lock);
    return is_first;
}

static void
on_end(void *context, const struct cell_end *from)
{
    struct member *member = context;
    struct cell_world *world = member->world;
    enum group_presence presence = group_presence(world->group, member->number);
    bool is_bad = is_wrong(world, from, presence), is_first = note_over(member, is_bad);
    struct cell_end end = *from;
    struct buffer story = {0};

    leave_group(member, from, is_bad, presence);
    cancel_all(world);
    if (!is_first && is_by_others(world, from))
        end.kind = CELL_CANCELLED;
    if (is_first)
        tell(member, from, &story);
    buffer_append(&story, "", 1);
    end.member = member->number;
    end.is_world_end = is_first;
    end.story = story.err == 0 ? (const char *)story.bytes : "";
    member->on_end(member->context, &end);
    buffer_fini(&story);
}

int
cell_world_start(struct cell_world *world, uint32_t number, struct cell_function *function,
                 const struct cell_call *call, uint64_t *id)
{
    struct member *member = &world->members[number];
    struct cell_call mine = *call;
    int err;

    member->on_end = call->on_end;
    member->context = call->context;
    mine.on_end = on_end;
    mine.context = member;
    mine.keeps_seat = true;
    (void)pthread_mutex_lock(&world->lock);
    err = cell_start(function, &mine, &member->id);
    *id = member->id;
    if (err == 0 && world->is_cancelled)
        (void)!cell_cancel(world->cell, member->id);
    (void)pthread_mutex_unlock(&world->lock);
    return err;
}
