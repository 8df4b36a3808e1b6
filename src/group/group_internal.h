/* SPDX-License-Identifier: Apache-2.0
 *
 * Rings, members, and who writes what of them.
 *
 * Claim: no message and no wake-up is lost. The argument is twice the same, of two sides that each
 * write one word and then read the other's, all in one order (sequentially consistent):
 *
 *   sender: tail, then is the bit there?      receiver: clears the bit, then is tail still there?
 *   sender: tail, bit, then does it wait?     receiver: waits, then is a bit there?
 *   sender: wants room, then is there some?   receiver: head, then does somebody want room?
 *
 * Whichever is second in the order sees what the first wrote, so at least one of them acts.
 */
#ifndef WEFT_GROUP_INTERNAL_H
#define WEFT_GROUP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "group/group.h"

#define ELEMENT_BYTES 64u
#define RING_BYTES    32768u /* a power of two: positions go round */
#define RING_ELEMENTS (RING_BYTES / ELEMENT_BYTES)
#define LANES         16u
#define WANT_WORDS    (GROUP_MEMBERS_MAX / LANES / 64u)
#define LINE          64u

/* Before each message, in its first element. */
struct message_mark {
    uint32_t from, bytes;
};

/* Positions count elements, and go round at 2^32. */
struct ring {
    /* the sender's */
    _Alignas(LINE) _Atomic uint32_t tail;
    uint32_t seen_head;   /* guarded by lock, where senders share it */
    pthread_mutex_t lock; /* of a lane: one sender at a time */
    /* the receiver's */
    _Alignas(LINE) _Atomic uint32_t head;
    uint32_t seen_tail;
    /* of senders that found no room, and those of one lane by their place in it */
    _Alignas(LINE) _Atomic uint32_t is_wanted;
    _Atomic uint64_t wants[WANT_WORDS];
};

enum { WAITING_NOT, WAITING, WAITING_COUNTED, WAITING_ENDS };

#define GUARD_AWAY 0x80000000u /* beside how many copy */

struct member {
    /* Read by whoever sends, so written as seldom as can be. pending: the rings in which there may
     * be something: those that had something since the member last waited. */
    _Alignas(LINE) _Atomic uint64_t pending;
    _Atomic uint32_t waiting;
    _Atomic uint32_t has_room; /* since it found none */
    _Atomic uint32_t presence;
    /* its own */
    _Alignas(LINE) uint32_t turn; /* the ring to look at first */
    bool is_peeked;
    uint32_t peeked, peeked_bytes;       /* ring, and bytes of its first message */
    bool was_stuck;                      /* guarded by the group's lock until it has ended */
    char what[GROUP_TEXT_BYTES_MAX + 1]; /* of others while it waits */
    /* copies of its memory */
    _Alignas(LINE) _Atomic uint32_t guard;
    uint8_t *base; /* guarded by it */
    _Atomic uint64_t bytes;
};

struct group {
    uint32_t count;
    uint32_t lanes; /* rings of each receiver; a sender's is its number modulo this */
    bool is_shared; /* several senders use one */
    struct group_owner owner;
    struct member *members; /* these three in one mapping */
    struct ring *rings;
    uint8_t *elements;
    size_t mapped_bytes;
    _Alignas(LINE) _Atomic uint32_t is_over;
    _Alignas(LINE) _Atomic int32_t idle; /* members that wait, all of them, or have left */
    _Atomic uint32_t left;
    pthread_mutex_t lock;
    struct group_end end;       /* guarded by lock */
    struct group_share *shares; /* guarded by lock */
};

static inline uint32_t
ring_number(const struct group *group, uint32_t to, uint32_t lane)
{
    return to * group->lanes + lane;
}

/* All that are left. */
void group_shares_destroy(struct group *group);

/* Whether there is a message. */
bool member_has_message(struct group *group, uint32_t me);
/* The same; those of its rings that are empty are not pending any more. */
bool member_looks_again(struct group *group, uint32_t me);
/* Those who found no room in its rings look again. */
void member_tell_of_room(struct group *group, uint32_t me);
/* Whatever it waits for may be there. */
void member_wake(struct group *group, uint32_t member);
/* One more waits or has left: where all do, the group is over. */
void group_count_idle(struct group *group, uint32_t me);

#endif
