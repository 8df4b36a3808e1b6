/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages in rings.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "group/group_internal.h"

/* ------------------------------------------------------------------------ bytes of a ring */

static uint8_t *
elements_of(const struct group *group, uint32_t number)
{
    return group->elements + (size_t)number * RING_BYTES;
}

static uint32_t
elements_for(uint32_t bytes)
{
    return (uint32_t)((sizeof(struct message_mark) + bytes + ELEMENT_BYTES - 1) / ELEMENT_BYTES);
}

/* at counts bytes from the ring's begin, and may be past its end. */
static void
copy_in(uint8_t *elements, uint32_t at, const void *from, uint32_t bytes)
{
    uint32_t begin = at % RING_BYTES, straight = RING_BYTES - begin;

    if (bytes == 0)
        return;
    if (bytes <= straight) {
        (void)memcpy(elements + begin, from, bytes);
        return;
    }
    (void)memcpy(elements + begin, from, straight);
    (void)memcpy(elements, (const uint8_t *)from + straight, bytes - straight);
}

static void
copy_out(const uint8_t *elements, uint32_t at, void *to, uint32_t bytes)
{
    uint32_t begin = at % RING_BYTES, straight = RING_BYTES - begin;

    if (bytes == 0)
        return;
    if (bytes <= straight) {
        (void)memcpy(to, elements + begin, bytes);
        return;
    }
    (void)memcpy(to, elements + begin, straight);
    (void)memcpy((uint8_t *)to + straight, elements, bytes - straight);
}

/* ----------------------------------------------------------------------------- sending */

/* With the lane's lock, if it has one. */
static bool
has_room(struct ring *ring, uint32_t tail, uint32_t wanted)
{
    if (RING_ELEMENTS - (tail - ring->seen_head) >= wanted)
        return true;
    ring->seen_head = atomic_load(&ring->head);
    return RING_ELEMENTS - (tail - ring->seen_head) >= wanted;
}

/* The same. Room that is made after it was said that some is wanted is told of. */
static bool
find_room(const struct group *group, struct ring *ring, uint32_t me, uint32_t wanted)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint32_t place = me / group->lanes;

    if (has_room(ring, tail, wanted))
        return true;
    (void)atomic_fetch_or(&ring->wants[place / 64], UINT64_C(1) << place % 64);
    atomic_store(&ring->is_wanted, 1);
    return has_room(ring, tail, wanted);
}

/* The same. */
static int
append(const struct group *group, uint32_t number, uint32_t me, const struct group_message *message)
{
    const struct message_mark mark = {.from = me,
                                      .bytes = message->head_bytes + message->body_bytes};
    uint32_t wanted = elements_for(mark.bytes), tail, at;
    struct ring *ring = &group->rings[number];
    uint8_t *elements = elements_of(group, number);

    if (!find_room(group, ring, me, wanted))
        return -EAGAIN;
    tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    at = tail % RING_ELEMENTS * ELEMENT_BYTES;
    (void)memcpy(elements + at, &mark, sizeof(mark));
    at += (uint32_t)sizeof(mark);
    copy_in(elements, at, message->head, message->head_bytes);
    copy_in(elements, at + message->head_bytes, message->body, message->body_bytes);
    atomic_store(&ring->tail, tail + wanted);
    return 0;
}

int
group_send(struct group *group, uint32_t me, uint32_t to, const struct group_message *message)
{
    uint32_t lane = me % group->lanes, number = ring_number(group, to, lane);
    struct member *receiver = &group->members[to];
    uint64_t bit = UINT64_C(1) << lane;
    int err;

    ASSERT(message->head_bytes + message->body_bytes <= GROUP_MESSAGE_BYTES_MAX);
    if (atomic_load_explicit(&receiver->presence, memory_order_relaxed) == GROUP_LEFT)
        return 0;
    if (group->is_shared)
        (void)pthread_mutex_lock(&group->rings[number].lock);
    err = append(group, number, me, message);
    if (group->is_shared)
        (void)pthread_mutex_unlock(&group->rings[number].lock);
    if (err != 0) /* one that has left makes no room: pairs with group_leave */
        return atomic_load(&receiver->presence) == GROUP_LEFT ? 0 : err;
    if ((atomic_load(&receiver->pending) & bit) == 0)
        (void)atomic_fetch_or(&receiver->pending, bit);
    member_wake(group, to);
    return 0;
}

/* --------------------------------------------------------------------------- receiving */

static bool
has_message(struct ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (ring->seen_tail == head)
        ring->seen_tail = atomic_load(&ring->tail);
    return ring->seen_tail != head;
}

static bool
lane_has_message(struct group *group, uint32_t me, uint32_t lane)
{
    return has_message(&group->rings[ring_number(group, me, lane)]);
}

/* A ring that had something stays pending until its member has nothing to do: who sends again finds
 * the bit, which it has in its cache. */
bool
member_has_message(struct group *group, uint32_t me)
{
    uint64_t bits = atomic_load(&group->members[me].pending);

    for (; bits != 0; bits &= bits - 1)
        if (lane_has_message(group, me, (uint32_t)__builtin_ctzll(bits)))
            return true;
    return false;
}

bool
member_looks_again(struct group *group, uint32_t me)
{
    _Atomic uint64_t *pending = &group->members[me].pending;
    uint64_t before = atomic_exchange(pending, 0);

    for (uint64_t bits = before; bits != 0; bits &= bits - 1) {
        if (!lane_has_message(group, me, (uint32_t)__builtin_ctzll(bits)))
            continue;
        (void)atomic_fetch_or(pending, before);
        return true;
    }
    return atomic_load(pending) != 0;
}

static bool
find_in(struct group *group, uint32_t me, uint64_t bits)
{
    struct member *member = &group->members[me];

    for (; bits != 0; bits &= bits - 1) {
        uint32_t lane = (uint32_t)__builtin_ctzll(bits);

        if (!lane_has_message(group, me, lane))
            continue;
        member->turn = lane + 1;
        member->peeked = ring_number(group, me, lane);
        return true;
    }
    return false;
}

/* From `turn` on, going round. */
static bool
find(struct group *group, uint32_t me)
{
    const struct member *member = &group->members[me];
    uint64_t bits = atomic_load(&member->pending);
    uint64_t later = member->turn < 64 ? bits >> member->turn << member->turn : 0;

    return bits != 0 && (find_in(group, me, later) || find_in(group, me, bits & ~later));
}

static uint32_t
head_of(const struct group *group, uint32_t number)
{
    return atomic_load_explicit(&group->rings[number].head, memory_order_relaxed) % RING_ELEMENTS *
           ELEMENT_BYTES;
}

bool
group_peek(struct group *group, uint32_t me, uint32_t *from, uint32_t *bytes)
{
    struct member *member = &group->members[me];
    struct message_mark mark;

    if (!member->is_peeked && !find(group, me))
        return false;
    (void)memcpy(&mark, elements_of(group, member->peeked) + head_of(group, member->peeked),
                 sizeof(mark));
    member->is_peeked = true;
    member->peeked_bytes = mark.bytes;
    *from = mark.from;
    *bytes = mark.bytes;
    return true;
}

void
group_read(const struct group *group, uint32_t me, uint32_t offset, void *to, uint32_t bytes)
{
    const struct member *member = &group->members[me];

    ASSERT(member->is_peeked && offset <= member->peeked_bytes &&
           bytes <= member->peeked_bytes - offset);
    copy_out(elements_of(group, member->peeked),
             head_of(group, member->peeked) + (uint32_t)sizeof(struct message_mark) + offset, to,
             bytes);
}

/* Those who found no room are told; they look again, and some may find none again. */
static void
tell_of_room(struct group *group, struct ring *ring, uint32_t lane)
{
    atomic_store(&ring->is_wanted, 0);
    for (uint32_t word = 0; word < WANT_WORDS; word++) {
        uint64_t wants = atomic_load(&ring->wants[word]);

        if (wants != 0)
            wants = atomic_exchange(&ring->wants[word], 0);
        for (; wants != 0; wants &= wants - 1) {
            uint32_t place = word * 64 + (uint32_t)__builtin_ctzll(wants);
            uint32_t sender = place * group->lanes + lane;

            atomic_store(&group->members[sender].has_room, 1);
            member_wake(group, sender);
        }
    }
}

void
member_tell_of_room(struct group *group, uint32_t me)
{
    for (uint32_t lane = 0; lane < group->lanes; lane++) {
        struct ring *ring = &group->rings[ring_number(group, me, lane)];

        if (atomic_load(&ring->is_wanted) != 0)
            tell_of_room(group, ring, lane);
    }
}

bool
group_drop(struct group *group, uint32_t me)
{
    struct member *member = &group->members[me];
    struct ring *ring = &group->rings[member->peeked];
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (!member->is_peeked)
        return false;
    member->is_peeked = false;
    atomic_store(&ring->head, head + elements_for(member->peeked_bytes));
    if (atomic_load(&ring->is_wanted) != 0)
        tell_of_room(group, ring, member->peeked % group->lanes);
    return true;
}
