/* SPDX-License-Identifier: Apache-2.0
 *
 * The group itself: its memory, who is there, its end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/fault.h"
#include "group/group_internal.h"

#define PAGE_BYTES 4096u

static const char deadlock_text[] = "deadlock: every rank waits";

/* ---------------------------------------------------------------------------- its life */

/* Zero is how all of it begins, but for the guards: nobody has entered. */
static int
map(struct group *group)
{
    size_t rings = (size_t)group->count * group->lanes;
    size_t members_bytes = ROUND_UP(group->count * sizeof(struct member), (size_t)PAGE_BYTES);
    size_t rings_bytes = ROUND_UP(rings * sizeof(struct ring), (size_t)PAGE_BYTES);
    uint8_t *bytes;

    group->mapped_bytes = members_bytes + rings_bytes + rings * RING_BYTES;
    bytes = mmap(NULL, group->mapped_bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED)
        return -ENOMEM;
    group->members = (struct member *)(void *)bytes;
    group->rings = (struct ring *)(void *)(bytes + members_bytes);
    group->elements = bytes + members_bytes + rings_bytes;
    for (uint32_t i = 0; i < group->count; i++)
        atomic_init(&group->members[i].guard, GUARD_AWAY);
    return 0;
}

int
group_create(uint32_t count, const struct group_owner *owner, struct group **out)
{
    struct group *group;
    int err;

    if (count == 0 || count > GROUP_MEMBERS_MAX)
        return -EINVAL;
    group = fault_point("group.create") == 0 ? aligned_alloc(LINE, sizeof(*group)) : NULL;
    if (group == NULL)
        return -ENOMEM;
    (void)memset(group, 0, sizeof(*group));
    group->count = count;
    group->is_shared = count > GROUP_DIRECT_MAX;
    group->lanes = group->is_shared ? LANES : count;
    group->owner = *owner;
    err = map(group);
    if (err != 0) {
        free(group);
        return err;
    }
    (void)pthread_mutex_init(&group->lock, NULL);
    *out = group;
    return 0;
}

/* A mutex that is zero and was never contended has nothing to give back. */
void
group_destroy(struct group *group)
{
    if (group == NULL)
        return;
    group_shares_destroy(group);
    (void)munmap(group->members, group->mapped_bytes);
    (void)pthread_mutex_destroy(&group->lock);
    free(group);
}

uint32_t
group_count(const struct group *group)
{
    return group->count;
}

/* ----------------------------------------------------------------------------- members */

enum group_presence
group_presence(const struct group *group, uint32_t member)
{
    return (enum group_presence)atomic_load(&group->members[member].presence);
}

int
group_enter(struct group *group, uint32_t me, uint8_t *base, uint64_t bytes)
{
    struct member *member = &group->members[me];

    if (atomic_load(&member->presence) != GROUP_ABSENT)
        return -EALREADY;
    atomic_store(&member->presence, GROUP_ENTERED);
    group_settle(group, me, base, bytes);
    return 0;
}

void
group_leave(struct group *group, uint32_t me)
{
    struct member *member = &group->members[me];

    if (atomic_load(&member->presence) == GROUP_LEFT)
        return;
    group_away(group, me);
    atomic_store(&member->presence, GROUP_LEFT);
    member_tell_of_room(group, me);
    (void)atomic_fetch_add(&group->left, 1);
    group_count_idle(group, me);
}

bool
group_gone(struct group *group, uint32_t me, int code, const char *reason)
{
    const struct group_end end = {.kind = GROUP_LOST, .member = me, .code = code};
    struct member *member = &group->members[me];
    bool has_left = atomic_load(&member->presence) == GROUP_LEFT;

    group_away(group, me);
    atomic_store(&member->presence, GROUP_LEFT);
    return !has_left && group_finish(group, &end, reason, strlen(reason));
}

/* ----------------------------------------------------------------------------- the end */

static void
copy_printable(char to[GROUP_TEXT_BYTES_MAX + 1], const char *from, size_t bytes)
{
    size_t count = bytes < GROUP_TEXT_BYTES_MAX ? bytes : GROUP_TEXT_BYTES_MAX;

    for (size_t i = 0; i < count; i++)
        to[i] = (unsigned char)from[i] < ' ' || from[i] == 0x7f ? ' ' : from[i];
    to[count] = '\0';
}

/* With the lock. */
static bool
finish(struct group *group, const struct group_end *end, const char *reason, size_t bytes)
{
    if (group->end.kind != GROUP_GOES_ON)
        return false;
    group->end = *end;
    copy_printable(group->end.reason, reason, bytes);
    atomic_store(&group->is_over, 1);
    return true;
}

static void
wake_all(struct group *group)
{
    for (uint32_t i = 0; i < group->count; i++)
        member_wake(group, i);
}

bool
group_finish(struct group *group, const struct group_end *end, const char *reason, size_t bytes)
{
    bool is_first;

    ASSERT(end->kind != GROUP_GOES_ON);
    (void)pthread_mutex_lock(&group->lock);
    is_first = finish(group, end, reason, bytes);
    (void)pthread_mutex_unlock(&group->lock);
    if (is_first)
        wake_all(group);
    return is_first;
}

enum group_end_kind
group_ended(struct group *group, struct group_end *out)
{
    enum group_end_kind kind;

    if (atomic_load(&group->is_over) == 0)
        return GROUP_GOES_ON;
    (void)pthread_mutex_lock(&group->lock);
    kind = group->end.kind;
    if (out != NULL)
        *out = group->end;
    (void)pthread_mutex_unlock(&group->lock);
    return kind;
}

/* ---------------------------------------------------------------------------- deadlock */

/* Of each member that has not left is known that it waits, and that nothing is there for it: who
 * would put something there is a member, and does not wait while it does, and takes the other
 * out of the count before it waits itself. So the count is never too large. */
static bool
are_all_stuck(const struct group *group)
{
    return atomic_load(&group->idle) == (int32_t)group->count &&
           atomic_load(&group->left) < group->count;
}

/* The one by whom it is told: me, or where it has left the next that waits. */
static uint32_t
note_stuck(struct group *group, uint32_t me)
{
    for (uint32_t i = 0; i < group->count; i++)
        group->members[i].was_stuck = group_presence(group, i) != GROUP_LEFT;
    while (!group->members[me].was_stuck)
        me = (me + 1) % group->count;
    return me;
}

void
group_count_idle(struct group *group, uint32_t me)
{
    struct group_end end = {.kind = GROUP_DEADLOCK, .code = EDEADLK};
    bool is_first = false;

    if (atomic_fetch_add(&group->idle, 1) + 1 != (int32_t)group->count)
        return;
    (void)pthread_mutex_lock(&group->lock);
    if (group->end.kind == GROUP_GOES_ON && are_all_stuck(group)) {
        end.member = note_stuck(group, me);
        is_first = finish(group, &end, deadlock_text, strlen(deadlock_text));
    }
    (void)pthread_mutex_unlock(&group->lock);
    if (is_first)
        wake_all(group);
}

const char *
group_waited_for(const struct group *group, uint32_t member)
{
    const struct member *of = &group->members[member];

    return atomic_load(&group->is_over) != 0 && of->was_stuck ? of->what : NULL;
}
