/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether there is an order of all that was done in which each could have seen what it saw, and
 * that contradicts no clock (linearizability).
 *
 * Where what was answered says its place (a sum, an index, a fence, a version) there is one order
 * to be looked at: order_is_fine. Of a register that is written without a word of its place it
 * is searched for (Wing and Gong, with a memory of where it was before): register_is_fine.
 */
#ifndef WEFT_TESTS_ORDER_H
#define WEFT_TESTS_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------- by places */

struct event {
    uint64_t place, begun, over;
};

static inline int
event_order(const void *one, const void *other)
{
    const struct event *a = one, *b = other;

    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    return a->begun < b->begun ? -1 : a->begun > b->begun;
}

/* None was over before one that stands before it had begun; is_once: no two have one place.
 * Sorts them. */
static inline bool
order_is_fine(struct event *events, size_t count, bool is_once)
{
    uint64_t over = UINT64_MAX;

    qsort(events, count, sizeof(events[0]), event_order);
    for (size_t i = count; i-- > 0;) {
        if (over < events[i].begun)
            return false;
        if (events[i].over < over)
            over = events[i].over;
        if (is_once && i > 0 && events[i].place == events[i - 1].place)
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------------- of a register */

#define REGISTER_OPS_MAX    256u
#define REGISTER_STATES_MAX (1u << 18) /* looked at, at most */

/* A value and its version, which every write makes one larger; both are 0 at first. The first
 * write's version is not known, but no other has any number. */
enum register_kind {
    REGISTER_WRITE,  /* of value */
    REGISTER_SWAP,   /* to value, was done: the version was this */
    REGISTER_MISS,   /* a swap that was not done: the version was not this */
    REGISTER_READ,   /* of value */
    REGISTER_VERSION /* was this */
};

struct register_op {
    uint64_t begun, over; /* over UINT64_MAX: never answered, so it may be left out */
    uint64_t value, version;
    enum register_kind kind;
    bool is_any; /* swap: of whichever version */
};

struct register_state {
    uint64_t done[REGISTER_OPS_MAX / 64];
    uint64_t value, version;
};

struct register_search {
    const struct register_op *ops;
    size_t count, definite;
    uint64_t first;              /* the first write's version */
    struct register_state *seen; /* open addressing; version + 1 of none is 0 */
    bool *is_seen;
    size_t seen_count;
    bool is_tired; /* too many */
};

static inline int
register_op_order(const void *one, const void *other)
{
    const struct register_op *a = one, *b = other;

    return a->begun < b->begun ? -1 : a->begun > b->begun;
}

static inline bool
register_has(const struct register_state *state, size_t i)
{
    return (state->done[i / 64] >> i % 64 & 1) != 0;
}

/* True: it is new. */
static inline bool
register_note(struct register_search *search, const struct register_state *state)
{
    uint64_t hash = state->value * UINT64_C(0x9e3779b97f4a7c15) + state->version;

    for (size_t i = 0; i < REGISTER_OPS_MAX / 64; i++)
        hash = (hash ^ state->done[i] ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    for (size_t at = hash >> 32;; at++) {
        at %= 2 * REGISTER_STATES_MAX;
        if (!search->is_seen[at]) {
            search->is_tired = ++search->seen_count >= REGISTER_STATES_MAX;
            search->is_seen[at] = true;
            search->seen[at] = *state;
            return true;
        }
        if (memcmp(&search->seen[at], state, sizeof(*state)) == 0)
            return false;
    }
}

/* What it does to the register; false: it cannot have seen what it saw. */
static inline bool
register_apply(const struct register_search *search, struct register_state *state,
               const struct register_op *op)
{
    uint64_t next = state->version == 0 ? search->first : state->version + 1;

    switch (op->kind) {
    case REGISTER_SWAP:
        if (!op->is_any && state->version != op->version)
            return false;
        state->value = op->value;
        state->version = next;
        return true;
    case REGISTER_WRITE:
        state->value = op->value;
        state->version = next;
        return true;
    case REGISTER_MISS:
        return state->version != op->version;
    case REGISTER_READ:
        return state->value == op->value;
    case REGISTER_VERSION:
        return state->version == op->version;
    }
    return false;
}

/* Each that may be next: it began before any other that is left was over. */
static inline bool
register_go(struct register_search *search, const struct register_state *state, size_t definite)
{
    uint64_t over = UINT64_MAX;

    if (definite == search->definite)
        return true;
    for (size_t i = 0; i < search->count; i++)
        if (!register_has(state, i) && search->ops[i].over < over)
            over = search->ops[i].over;
    for (size_t i = 0; i < search->count && !search->is_tired; i++) {
        const struct register_op *op = &search->ops[i];
        struct register_state next = *state;

        if (op->begun > over)
            break;
        if (register_has(state, i) || !register_apply(search, &next, op))
            continue;
        next.done[i / 64] |= UINT64_C(1) << i % 64;
        if (register_note(search, &next) &&
            register_go(search, &next, definite + (op->over != UINT64_MAX)))
            return true;
    }
    return false;
}

/* With this as the first write's version. */
static inline bool
register_try(const struct register_op *ops, size_t count, uint64_t first, bool *is_tired)
{
    struct register_search search = {.ops = ops, .count = count, .first = first};
    const struct register_state empty = {.value = 0};
    bool is_fine;

    search.seen = calloc(2 * (size_t)REGISTER_STATES_MAX, sizeof(*search.seen));
    search.is_seen = calloc(2 * (size_t)REGISTER_STATES_MAX, sizeof(*search.is_seen));
    if (search.seen == NULL || search.is_seen == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        search.definite += ops[i].over != UINT64_MAX;
    is_fine = register_go(&search, &empty, 0);
    *is_tired = search.is_tired;
    free(search.seen);
    free(search.is_seen);
    return is_fine;
}

/* Sorts them. *is_tired: it was given up, and nothing is known. */
static inline bool
register_is_fine(struct register_op *ops, size_t count, bool *is_tired)
{
    uint64_t least = UINT64_MAX, writes = 1;
    bool is_fine = false, was_tired = false;

    *is_tired = count > REGISTER_OPS_MAX;
    if (*is_tired)
        return true;
    qsort(ops, count, sizeof(ops[0]), register_op_order);
    for (size_t i = 0; i < count; i++) {
        writes += ops[i].kind == REGISTER_WRITE || ops[i].kind == REGISTER_SWAP;
        if ((ops[i].kind == REGISTER_VERSION || ops[i].kind == REGISTER_SWAP) && !ops[i].is_any &&
            ops[i].version > 0 && ops[i].version < least)
            least = ops[i].version;
    }
    if (least == UINT64_MAX) /* nobody saw any */
        return register_try(ops, count, 1, is_tired) || *is_tired;
    for (uint64_t back = 0; back < writes && back < least && !is_fine; back++) {
        is_fine = register_try(ops, count, least - back, is_tired);
        was_tired = was_tired || *is_tired;
    }
    *is_tired = was_tired && !is_fine;
    return is_fine || was_tired;
}

#endif
