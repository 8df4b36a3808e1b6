/* SPDX-License-Identifier: Apache-2.0
 *
 * The session: its beats, its lease, its end.
 *
 * The lease is counted from before the answered beat was said. Where an answer comes when it was
 * over already, nothing that is held from before counts any more: the tier may have thought so
 * too, in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "state/state_internal.h"

#define BEATS_PER_LEASE 4u
#define LEASE_NS_MIN    UINT64_C(1000000)
#define LEASE_NS_MAX    UINT64_C(3600000000000)

bool
hear_welcome(struct state *state, const Rpc__StateWelcome *welcome)
{
    if (state->is_welcome || welcome->version != RPC__STATE_VERSION__STATE_VERSION ||
        welcome->lease_ns < LEASE_NS_MIN || welcome->lease_ns > LEASE_NS_MAX)
        return false;
    state->is_welcome = true;
    state->lease_ns = welcome->lease_ns;
    state->lease_until_ns = 0;
    state->hold_epoch++;
    state->heard = state->beat;
    state->is_beat_due = true;
    state->beat_next_ns = state->now() + state->lease_ns / BEATS_PER_LEASE;
    return true;
}

bool
hear_heard(struct state *state, const Rpc__StateHeard *heard)
{
    uint64_t until;

    if (heard->number > state->beat || heard->number <= state->heard)
        return false;
    state->heard = heard->number;
    if (state->now() >= state->lease_until_ns)
        state->hold_epoch++;
    if (state->beat - heard->number >= STATE_BEATS)
        return true; /* so late that it is not known any more when it was sent */
    until = state->beat_sent_ns[heard->number % STATE_BEATS] + state->lease_ns;
    if (until > state->lease_until_ns)
        state->lease_until_ns = until;
    return true;
}

static void
drop_words(struct state *state)
{
    struct yield *yield;
    struct ask *ask;

    while ((yield = STAILQ_FIRST(&state->yields)) != NULL) {
        STAILQ_REMOVE_HEAD(&state->yields, next);
        free(yield);
    }
    state->yield_count = 0;
    while ((ask = TAILQ_FIRST(&state->cancels)) != NULL) {
        TAILQ_REMOVE(&state->cancels, ask, cancelling);
        ask->is_cancelling = false;
    }
    state->is_beat_due = false;
}

/* What is just being said would go to the next connection. */
static void
wait_until_said(struct state *state)
{
    while (state->is_in_say && !pthread_equal(state->sayer, pthread_self()))
        (void)pthread_cond_wait(&state->quiet, &state->lock);
}

void
state_lost(struct state *state)
{
    state_enter(state);
    state->is_welcome = false;
    state->session++;
    wait_until_said(state);
    state->lost_ns = state->now();
    state->lease_until_ns = 0;
    state->hold_epoch++;
    drop_words(state);
    lock_lose_all(state);
    ask_settle_lost(state);
    state_leave(state);
}

/* -------------------------------------------------------------------------------- time */

/* Those that wait for a lock here. */
static void
end_late(struct state *state, uint64_t now)
{
    struct heap_item *first;

    while ((first = heap_first(&state->deadlines)) != NULL && first->key <= now) {
        struct op *op = (struct op *)((char *)first - offsetof(struct op, deadline));

        ASSERT(op->here != NULL);
        here_leave(state, op);
        op_end(state, op, -ETIMEDOUT);
    }
}

/* Nobody is there, and has not been for long. */
static void
give_up(struct state *state)
{
    struct ask *ask;

    while ((ask = TAILQ_FIRST(&state->all)) != NULL) {
        Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;

        answer.number = ask->by_number.key;
        answer.err = -EIO;
        ask_settle(state, ask, &answer);
    }
}

static void
beat(struct state *state, uint64_t now)
{
    if (now < state->beat_next_ns)
        return;
    state->is_beat_due = true;
    state->beat_next_ns = now + state->lease_ns / BEATS_PER_LEASE;
}

static uint64_t
next_tick(const struct state *state)
{
    const struct heap_item *first = heap_first(&state->deadlines);
    uint64_t next = first != NULL ? first->key : CLOCK_NEVER_NS;
    uint64_t other = state->is_welcome ? state->beat_next_ns : state->lost_ns + STATE_PATIENCE_NS;

    if (!state->is_welcome && TAILQ_EMPTY(&state->all))
        return next;
    if (!state->is_welcome && state->config.want != NULL && state->want_at_ns < other)
        other = state->want_at_ns;
    return next < other ? next : other;
}

uint64_t
state_tick(struct state *state, uint64_t now_ns)
{
    uint64_t next;

    state_enter(state);
    end_late(state, now_ns);
    idle_tick(state, now_ns);
    if (state->is_welcome)
        beat(state, now_ns);
    else if (now_ns - state->lost_ns >= STATE_PATIENCE_NS && now_ns > state->lost_ns)
        give_up(state);
    next = next_tick(state);
    state_leave(state);
    return next;
}
