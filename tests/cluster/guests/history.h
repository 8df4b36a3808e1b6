/* SPDX-License-Identifier: Apache-2.0
 *
 * What the guest "history" is asked for, and what it answers: random operations on the state of a
 * group, each with its times by this machine's clock. Which operations a call does follows from
 * its seed, so that who asked knows what a call that was lost may have done.
 *
 *   GROUP/count   a number: additions of 1
 *   GROUP/log     records: the marks of those who appended
 *   GROUP/reg0, 1 registers that hold the mark of who wrote last
 *   GROUP/locked  a number: read and written under its lock
 *   GROUP/mapped  the same as memory: mapped, pulled and pushed under its lock
 *   GROUP/call-N  that the call began
 *
 * And the objects of weft/objects.h: the number is a counter, the log a list, and
 *
 *   GROUP/queue   marks that are pushed and popped
 *   GROUP/meet    a barrier for two
 *   GROUP/permit  a semaphore of two
 *   GROUP/map     with entries a and b: registers that can be removed
 */
#ifndef WEFT_TESTS_HISTORY_CALL_H
#define WEFT_TESTS_HISTORY_CALL_H

#include <stdint.h>

#define HISTORY_OPS_MAX 16u
#define HISTORY_KEY     "%s/%s"
#define HISTORY_AGAIN   "it ran before" /* the answer of a run that is not the first */

enum history_kind {
    HISTORY_ADD,
    HISTORY_APPEND,
    HISTORY_LOCKED,
    HISTORY_MAPPED,
    HISTORY_PUSH,
    HISTORY_POP,
    HISTORY_MEET,
    HISTORY_PERMIT,
    HISTORY_SET, /* from here on: of registers */
    HISTORY_GET,
    HISTORY_STAT,
    HISTORY_SWAP,
    HISTORY_PUT, /* from here on: of the map */
    HISTORY_TAKE,
    HISTORY_DROP,
    HISTORY_KINDS
};

struct history_call {
    uint64_t number; /* from 1; of all calls */
    uint64_t seed;
    uint32_t ops, pause_us_max;
    char group[24];
};

/* value: add: the sum; append: the index; locked, mapped: what was written; set, swap, put: the
 * mark; pop, get, take: the mark that was seen (0: there is none); meet: what waiting for the
 * others ended with; drop: whether there was one. version: stat: the version (0: there is none);
 * swap: what it expected; meet: the ticket. */
struct history_op {
    uint64_t begun, over;
    uint64_t entered, leaving; /* after a lock or permit was had, before the change or its end */
    uint64_t value, version;
    uint32_t kind, reg;
    int32_t err; /* of errno.h as wasi-libc numbers them */
    uint32_t unused;
};

static inline uint64_t
history_mark(const struct history_call *call, uint32_t op)
{
    return call->number << 8 | op;
}

/* A mix of the seed and the number. */
static inline uint64_t
history_random(const struct history_call *call, uint32_t op)
{
    uint64_t mixed = call->seed + (op + 1) * UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static inline void
history_pick(const struct history_call *call, uint32_t op, struct history_op *out)
{
    uint64_t random = history_random(call, op);

    *out = (struct history_op){.kind = (uint32_t)(random % HISTORY_KINDS),
                               .reg = (uint32_t)(random >> 32) % 2};
}

#endif
