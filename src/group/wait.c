/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting, and being woken.
 */
#include <string.h>

#include "base/clock.h"
#include "group/group_internal.h"

#define LOOKS_PER_TIME 32u /* at the clock, and at the owner's wish */

/* Of those that end its waiting at one time, one does. It does not wait anew before it is out of
 * the count, else it were counted twice. */
static bool
end_waiting(struct group *group, struct member *member)
{
    uint32_t waiting = atomic_load(&member->waiting);

    while (waiting == WAITING || waiting == WAITING_COUNTED) {
        if (!atomic_compare_exchange_weak(&member->waiting, &waiting, WAITING_ENDS))
            continue;
        if (waiting == WAITING_COUNTED)
            (void)atomic_fetch_sub(&group->idle, 1);
        atomic_store(&member->waiting, WAITING_NOT);
        return true;
    }
    return false;
}

void
member_wake(struct group *group, uint32_t number)
{
    if (end_waiting(group, &group->members[number]))
        group->owner.wake(group->owner.context, number);
}

void
group_poke(struct group *group, uint32_t me)
{
    member_wake(group, me);
}

static bool
has_news(const struct group *group, uint32_t me)
{
    return atomic_load(&group->members[me].has_room) != 0 || atomic_load(&group->is_over) != 0;
}

static bool
is_ready(struct group *group, uint32_t me)
{
    return member_has_message(group, me) || has_news(group, me);
}

static bool
may_spin(const struct group *group, uint32_t me)
{
    return group->owner.may_spin != NULL && group->owner.may_spin(group->owner.context, me);
}

bool
group_may_look(struct group *group, uint32_t me)
{
    return !is_ready(group, me) && may_spin(group, me);
}

/* Looks for a moment, and no longer than it may. True: it is ready. */
static bool
spin(struct group *group, uint32_t me)
{
    uint64_t end_ns = 0, now_ns;

    while (may_spin(group, me)) {
        for (uint32_t i = 0; i < LOOKS_PER_TIME; i++) {
            if (is_ready(group, me))
                return true;
            __builtin_ia32_pause();
        }
        now_ns = clock_now_ns();
        if (end_ns == 0)
            end_ns = now_ns + GROUP_SPIN_NS;
        else if (now_ns >= end_ns)
            return false;
    }
    return false;
}

static void
note_what(struct member *member, const struct group_wait *wait)
{
    uint32_t bytes = wait->bytes < GROUP_TEXT_BYTES_MAX ? wait->bytes : GROUP_TEXT_BYTES_MAX;

    if (bytes > 0)
        (void)memcpy(member->what, wait->what, bytes);
    member->what[bytes] = '\0';
}

/* From the first store on it may be woken, which takes it out of the count. That may be before it
 * is counted, so the count may be too small for a moment; it is never too large, as what came
 * before it began to wait is seen first. */
static void
begin_waiting(struct group *group, uint32_t me, const struct group_wait *wait)
{
    struct member *member = &group->members[me];
    uint32_t counted = WAITING_COUNTED;

    note_what(member, wait);
    if (!wait->is_alone) {
        atomic_store(&member->waiting, WAITING);
        return;
    }
    atomic_store(&member->waiting, WAITING_COUNTED);
    if (atomic_load(&member->pending) == 0 && !has_news(group, me))
        group_count_idle(group, me);
    else if (!atomic_compare_exchange_strong(&member->waiting, &counted, WAITING_NOT))
        (void)atomic_fetch_add(&group->idle, 1); /* who woke it took out what was never in */
}

/* What there is for it. It writes nothing that those who send read, unless it has to. */
static bool
end_ready(struct group *group, struct member *member)
{
    (void)end_waiting(group, member);
    if (atomic_load(&member->has_room) != 0)
        atomic_store(&member->has_room, 0);
    return true;
}

bool
group_wait(struct group *group, uint32_t me, const struct group_wait *wait)
{
    struct member *member = &group->members[me];

    if (is_ready(group, me))
        return end_ready(group, member);
    if (atomic_load(&member->waiting) == WAITING_NOT) {
        if (wait->is_alone && spin(group, me))
            return end_ready(group, member);
        if (!member_looks_again(group, me) && !has_news(group, me))
            begin_waiting(group, me, wait);
    }
    if (atomic_load(&member->pending) == 0 && !has_news(group, me) &&
        atomic_load(&member->waiting) != WAITING_ENDS)
        return false;
    return end_ready(group, member);
}
