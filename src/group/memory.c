/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of members' memory. A guard counts those who copy; its highest bit says that the memory
 * is away. Who copies counts first and then looks at the bit; who takes the memory away sets the
 * bit first and then looks at the count.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/assert.h"
#include "group/group_internal.h"

#define COPY_BYTES_MAX (UINT64_C(1) << 20) /* with the guard: who moves a member waits so long */

void
group_grown(struct group *group, uint32_t me, uint64_t bytes)
{
    struct member *member = &group->members[me];

    if (atomic_load_explicit(&member->bytes, memory_order_relaxed) != bytes)
        atomic_store(&member->bytes, bytes);
}

void
group_away(struct group *group, uint32_t me)
{
    struct member *member = &group->members[me];

    (void)atomic_fetch_or(&member->guard, GUARD_AWAY);
    while ((atomic_load(&member->guard) & ~GUARD_AWAY) != 0)
        (void)sched_yield();
}

void
group_settle(struct group *group, uint32_t me, uint8_t *base, uint64_t bytes)
{
    struct member *member = &group->members[me];

    if (group_presence(group, me) != GROUP_ENTERED)
        return;
    ASSERT((atomic_load(&member->guard) & GUARD_AWAY) != 0);
    member->base = base;
    atomic_store(&member->bytes, bytes);
    (void)atomic_fetch_and(&member->guard, ~GUARD_AWAY);
}

/* ----------------------------------------------------------------------------- copying */

struct copying {
    uint64_t address;
    uint8_t *to;         /* the copier's; or */
    const uint8_t *from; /* the copier's */
};

/* Guarded. */
static int
copy_some(struct member *member, const struct copying *copying, uint64_t done, uint64_t bytes)
{
    uint64_t size = atomic_load(&member->bytes), address = copying->address;

    if (member->base == NULL || address > size || done + bytes > size - address)
        return -EFAULT;
    if (bytes == 0)
        return 0;
    if (copying->to != NULL)
        (void)memmove(copying->to + done, member->base + address + done, bytes);
    else
        (void)memmove(member->base + address + done, copying->from + done, bytes);
    return 0;
}

static int
copy(struct group *group, uint32_t whose, const struct copying *copying, uint64_t bytes)
{
    struct member *member = &group->members[whose];
    uint64_t done = 0;
    int err = 0;

    if (bytes > UINT64_MAX / 2)
        return -EFAULT;
    do {
        uint64_t some = bytes - done < COPY_BYTES_MAX ? bytes - done : COPY_BYTES_MAX;

        if ((atomic_fetch_add(&member->guard, 1) & GUARD_AWAY) == 0)
            err = copy_some(member, copying, done, some);
        else
            err = group_presence(group, whose) == GROUP_ENTERED ? -EAGAIN : -ESRCH;
        (void)atomic_fetch_sub(&member->guard, 1);
        done += some;
    } while (err == 0 && done < bytes);
    return err;
}

int
group_get(struct group *group, uint32_t from, uint64_t address, void *to, uint64_t bytes)
{
    const struct copying copying = {.address = address, .to = to};

    return copy(group, from, &copying, bytes);
}

int
group_put(struct group *group, uint32_t to, uint64_t address, const void *from, uint64_t bytes)
{
    const struct copying copying = {.address = address, .from = from};

    return copy(group, to, &copying, bytes);
}

/* ---------------------------------------------------------------------------- changes */

static uint64_t
change_word(_Atomic uint32_t *word, const struct group_change *change)
{
    uint32_t old = (uint32_t)change->expected;

    if (change->kind == GROUP_SET)
        return atomic_exchange(word, (uint32_t)change->value);
    if (change->kind == GROUP_ADD)
        return atomic_fetch_add(word, (uint32_t)change->value);
    (void)atomic_compare_exchange_strong(word, &old, (uint32_t)change->value);
    return old;
}

static uint64_t
change_long(_Atomic uint64_t *word, const struct group_change *change)
{
    uint64_t old = change->expected;

    if (change->kind == GROUP_SET)
        return atomic_exchange(word, change->value);
    if (change->kind == GROUP_ADD)
        return atomic_fetch_add(word, change->value);
    (void)atomic_compare_exchange_strong(word, &old, change->value);
    return old;
}

/* Guarded. */
static int
change_some(const struct member *member, const struct group_change *change, uint64_t *old)
{
    uint64_t size = atomic_load(&member->bytes);
    uint8_t *at = member->base + change->address;

    if (member->base == NULL || size < change->bytes || change->address > size - change->bytes)
        return -EFAULT;
    *old = change->bytes == sizeof(uint32_t) ? change_word((_Atomic uint32_t *)(void *)at, change)
                                             : change_long((_Atomic uint64_t *)(void *)at, change);
    return 0;
}

int
group_change(struct group *group, uint32_t member, const struct group_change *change, uint64_t *old)
{
    struct member *whose = &group->members[member];
    int err;

    if ((change->bytes != sizeof(uint32_t) && change->bytes != sizeof(uint64_t)) ||
        change->address % change->bytes != 0 || change->kind > GROUP_SET_IF)
        return -EINVAL;
    if ((atomic_fetch_add(&whose->guard, 1) & GUARD_AWAY) == 0)
        err = change_some(whose, change, old);
    else
        err = group_presence(group, member) == GROUP_ENTERED ? -EAGAIN : -ESRCH;
    (void)atomic_fetch_sub(&whose->guard, 1);
    return err;
}
