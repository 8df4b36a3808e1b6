/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tier is asked, and the order in which it is said.
 *
 * One thread at a time says what is queued, without the lock. Yields, cancels and beats go
 * before asks, also between the pieces of one. An ask that is being said stays alive by a
 * reference; what it asks does not change from when it is queued.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "state/state_internal.h"

int
ask_create(struct state *state, Rpc__StateAsk__IsCase is, const char *key, struct ask **out)
{
    struct ask *ask;

    if (fault_point("state.ask") != 0 || state->asks.count >= 2 * STATE_OPS_MAX)
        return -ENOMEM;
    ask = calloc(1, sizeof(*ask));
    if (ask == NULL)
        return -ENOMEM;
    ask->is = is;
    ask->refs = 1;
    (void)memcpy(ask->key, key, strlen(key) + 1);
    *out = ask;
    return 0;
}

void
ask_put(struct state *state, struct ask *ask)
{
    if (ask == NULL || --ask->refs > 0)
        return;
    entry_put(state, ask->entry);
    buffer_fini(&ask->gathered);
    buffer_fini(&ask->counts);
    free(ask->bytes);
    free(ask->kept);
    free(ask->runs);
    free(ask->after);
    free(ask);
}

int
ask_add_run(struct ask *ask, uint64_t offset, uint64_t count)
{
    if (ask->run_count == ask->run_capacity) {
        size_t capacity = ask->run_capacity == 0 ? 4 : ask->run_capacity * 2;
        struct run *runs = realloc(ask->runs, capacity * sizeof(*runs));

        if (runs == NULL)
            return -ENOMEM;
        ask->runs = runs;
        ask->run_capacity = capacity;
    }
    ask->runs[ask->run_count++] = (struct run){offset, count};
    return 0;
}

static void
queue(struct state *state, struct ask *ask)
{
    ask->is_queued = true;
    ask->is_said = false;
    ask->has_begun = false;
    ask->is_all_said = false;
    ask->gathered.count = 0;
    ask->counts.count = 0;
    TAILQ_INSERT_TAIL(&state->queue, ask, queued);
}

void
ask_queue(struct state *state, struct ask *ask)
{
    if (!state->is_welcome && TAILQ_EMPTY(&state->all))
        state->lost_ns = state->now(); /* nobody has waited for a connection until now */
    table_add(&state->asks, &ask->by_number, ++state->numbers);
    TAILQ_INSERT_TAIL(&state->all, ask, all);
    ask->settled = state->session;
    queue(state, ask);
}

static void
dequeue(struct state *state, struct ask *ask)
{
    if (ask->is_queued)
        TAILQ_REMOVE(&state->queue, ask, queued);
    if (ask->is_cancelling)
        TAILQ_REMOVE(&state->cancels, ask, cancelling);
    ask->is_queued = ask->is_cancelling = false;
}

void
ask_end(struct state *state, struct ask *ask)
{
    dequeue(state, ask);
    TAILQ_REMOVE(&state->all, ask, all);
    table_remove(&state->asks, &ask->by_number);
    ask_put(state, ask);
}

static bool
can_wait(const struct ask *ask)
{
    return ask->is == RPC__STATE_ASK__IS_LOCK || ask->is == RPC__STATE_ASK__IS_WATCH;
}

/* A change is still made; what waits is cancelled. */
void
ask_leave(struct state *state, struct ask *ask)
{
    ask->op = NULL;
    if (ask->is_queued && !ask->is_change && ask->is != RPC__STATE_ASK__IS_UNLOCK) {
        ask_end(state, ask);
    } else if (ask->is_said && can_wait(ask) && !ask->is_cancelling) {
        ask->is_cancelling = true;
        TAILQ_INSERT_TAIL(&state->cancels, ask, cancelling);
    }
}

/* ------------------------------------------------------------------------------ pieces */

struct piece { /* of a push, as it is said */
    Rpc__StatePush push;
    Rpc__StateRun runs[STATE_PIECE_RUNS];
    Rpc__StateRun *list[STATE_PIECE_RUNS];
};

struct piece *
ask_piece_create(void)
{
    return calloc(1, sizeof(struct piece));
}

/* Where in the runs and the bytes the next piece begins. */
struct place {
    size_t run;
    uint64_t in_run, in_bytes;
};

/* True: there is more. */
static bool
fill_piece(const struct ask *ask, struct place *at, struct piece *piece)
{
    uint64_t count = 0;
    size_t n = 0;

    piece->push.bytes.data = ask->bytes == NULL ? NULL : ask->bytes + at->in_bytes;
    while (at->run < ask->run_count && n < STATE_PIECE_RUNS && count < STATE_PIECE_BYTES) {
        const struct run *run = &ask->runs[at->run];
        uint64_t left = run->count - at->in_run, room = STATE_PIECE_BYTES - count;
        uint64_t now = left < room ? left : room;

        rpc__state_run__init(&piece->runs[n]);
        piece->runs[n].offset = run->offset + at->in_run;
        piece->runs[n].count = now;
        piece->list[n] = &piece->runs[n];
        n++;
        count += now;
        at->in_run = now < left ? at->in_run + now : 0;
        at->run += now == left;
    }
    at->in_bytes += count;
    piece->push.n_runs = n;
    piece->push.runs = piece->list;
    piece->push.bytes.len = count;
    return at->run < ask->run_count;
}

static void
init_piece(const struct ask *ask, struct piece *piece)
{
    rpc__state_push__init(&piece->push);
    piece->push.size = ask->size;
    piece->push.may_create = ask->may_create;
    piece->push.replaces = ask->replaces;
    piece->push.has_condition = ask->has_condition;
    piece->push.version = ask->version;
    piece->push.fence = ask->fence;
    piece->push.hold = ask->hold;
    piece->push.adds = (Rpc__StateElement)ask->adds;
}

/* ------------------------------------------------------------------------------- words */

union body {
    Rpc__StateStat stat;
    Rpc__StatePull pull;
    Rpc__StateAdd add;
    Rpc__StateAppend append;
    Rpc__StateRead read;
    Rpc__StateRemove remove;
    Rpc__StateList list;
    Rpc__StateLock lock;
    Rpc__StateUnlock unlock;
    Rpc__StateWatch watch;
    Rpc__StateExpire expire;
};

static void
build_pull(const struct ask *ask, union body *body)
{
    rpc__state_pull__init(&body->pull);
    body->pull.offset = ask->offset;
    body->pull.count = ask->count;
    body->pull.known = ask->version;
    body->pull.hold = ask->hold;
}

static void
build_add(const struct ask *ask, union body *body)
{
    rpc__state_add__init(&body->add);
    body->add.offset = ask->offset;
    body->add.number = (Rpc__StateNumber)ask->number;
    body->add.operand = ask->operand;
    body->add.size = ask->size;
    body->add.fence = ask->fence;
}

static void
build_append(const struct ask *ask, union body *body)
{
    rpc__state_append__init(&body->append);
    body->append.bytes = (ProtobufCBinaryData){ask->byte_count, ask->bytes};
}

static void
build_read(const struct ask *ask, union body *body)
{
    rpc__state_read__init(&body->read);
    body->read.index = ask->offset;
    body->read.count_max = ask->count_max;
    body->read.bytes_max = ask->bytes_max;
}

static void
build_remove(const struct ask *ask, union body *body)
{
    rpc__state_remove__init(&body->remove);
    body->remove.before = ask->offset;
    body->remove.fence = ask->fence;
}

static void
build_list(const struct ask *ask, union body *body)
{
    rpc__state_list__init(&body->list);
    body->list.after = ask->after;
    body->list.count_max = ask->count_max;
}

static void
build_lock(const struct ask *ask, union body *body)
{
    rpc__state_lock__init(&body->lock);
    body->lock.mode = ask->is_write ? RPC__STATE_LOCK_MODE__STATE_LOCK_WRITE
                                    : RPC__STATE_LOCK_MODE__STATE_LOCK_READ;
    body->lock.wait_ns = ask->wait_ns;
    body->lock.owner = ask->owner;
}

static void
build_wait(const struct ask *ask, union body *body)
{
    if (ask->is == RPC__STATE_ASK__IS_WATCH) {
        rpc__state_watch__init(&body->watch);
        body->watch.version = ask->version;
        body->watch.wait_ns = ask->wait_ns;
    } else if (ask->is == RPC__STATE_ASK__IS_EXPIRE) {
        rpc__state_expire__init(&body->expire);
        body->expire.lives_ns = ask->wait_ns;
    } else {
        ASSERT(ask->is == RPC__STATE_ASK__IS_STAT);
        rpc__state_stat__init(&body->stat);
    }
}

static void
build_body(const struct ask *ask, union body *body)
{
    switch (ask->is) {
    case RPC__STATE_ASK__IS_PULL:
        build_pull(ask, body);
        break;
    case RPC__STATE_ASK__IS_ADD:
        build_add(ask, body);
        break;
    case RPC__STATE_ASK__IS_APPEND:
        build_append(ask, body);
        break;
    case RPC__STATE_ASK__IS_READ:
        build_read(ask, body);
        break;
    case RPC__STATE_ASK__IS_REMOVE:
        build_remove(ask, body);
        break;
    case RPC__STATE_ASK__IS_LIST:
        build_list(ask, body);
        break;
    case RPC__STATE_ASK__IS_LOCK:
        build_lock(ask, body);
        break;
    case RPC__STATE_ASK__IS_UNLOCK:
        rpc__state_unlock__init(&body->unlock);
        body->unlock.fence = ask->fence;
        break;
    default:
        build_wait(ask, body);
    }
}

/* Without the lock, which is let go for it. */
static void
say(struct state *state, const Rpc__StateUp *up)
{
    state->is_in_say = true;
    state->sayer = pthread_self();
    (void)pthread_mutex_unlock(&state->lock);
    state->config.say(state->config.context, up);
    (void)pthread_mutex_lock(&state->lock);
    state->is_in_say = false;
    (void)pthread_cond_broadcast(&state->quiet);
}

static void
tell_usage(struct state *state, Rpc__StateBeat *beat)
{
    const struct state_usage *now = &state->usage;
    struct state_usage *told = &state->usage_told;

    beat->entries = now->entries;
    beat->bytes = state->bytes;
    beat->hits = now->hits - told->hits;
    beat->pulls = now->pulls - told->pulls;
    beat->pushes = now->pushes - told->pushes;
    beat->bytes_pulled = now->bytes_pulled - told->bytes_pulled;
    beat->bytes_pushed = now->bytes_pushed - told->bytes_pushed;
    *told = *now;
}

static bool
say_beat(struct state *state)
{
    Rpc__StateUp up = RPC__STATE_UP__INIT;
    Rpc__StateBeat beat = RPC__STATE_BEAT__INIT;

    if (!state->is_beat_due)
        return false;
    state->is_beat_due = false;
    beat.number = ++state->beat;
    tell_usage(state, &beat);
    /* The lease counts from before it goes. */
    state->beat_sent_ns[beat.number % STATE_BEATS] = state->now();
    up.is_case = RPC__STATE_UP__IS_BEAT;
    up.beat = &beat;
    say(state, &up);
    return true;
}

static bool
say_yield(struct state *state)
{
    struct yield *first = STAILQ_FIRST(&state->yields);
    Rpc__StateUp up = RPC__STATE_UP__INIT;
    Rpc__StateYield yield = RPC__STATE_YIELD__INIT;

    if (first == NULL)
        return false;
    STAILQ_REMOVE_HEAD(&state->yields, next);
    state->yield_count--;
    yield.serial = first->serial;
    free(first);
    up.is_case = RPC__STATE_UP__IS_YIELD;
    up.yield = &yield;
    say(state, &up);
    return true;
}

static bool
say_cancel(struct state *state)
{
    struct ask *ask = TAILQ_FIRST(&state->cancels);
    Rpc__StateUp up = RPC__STATE_UP__INIT;
    Rpc__StateCancel cancel = RPC__STATE_CANCEL__INIT;

    if (ask == NULL)
        return false;
    TAILQ_REMOVE(&state->cancels, ask, cancelling);
    ask->is_cancelling = false;
    cancel.number = ask->by_number.key;
    up.is_case = RPC__STATE_UP__IS_CANCEL;
    up.cancel = &cancel;
    say(state, &up);
    return true;
}

static bool
say_urgent(struct state *state)
{
    return state->is_welcome && (say_yield(state) || say_cancel(state) || say_beat(state));
}

static void
say_push(struct state *state, struct ask *ask, Rpc__StateUp *up)
{
    struct piece *piece = state->piece;
    uint64_t session = state->session;
    struct place at = {0};
    bool has_more = true;

    init_piece(ask, piece);
    up->ask->push = &piece->push;
    while (has_more && state->session == session) {
        has_more = fill_piece(ask, &at, piece);
        up->ask->has_more = has_more;
        ask->is_all_said = !has_more; /* its answer may come from here on */
        say(state, up);
        while (has_more && say_urgent(state))
            ;
    }
}

/* What may be different with its answer, and then makes that it holds nothing. */
static void
note_said(const struct state *state, struct ask *ask)
{
    ask->epoch = state->hold_epoch;
    if (ask->entry == NULL)
        return;
    ask->takes = ask->entry->takes;
    ask->changes = ask->entry->changes;
    if (ask->is == RPC__STATE_ASK__IS_PULL)
        ask->version_before = ask->entry->version;
}

static void
say_ask(struct state *state, struct ask *ask)
{
    Rpc__StateUp up = RPC__STATE_UP__INIT;
    Rpc__StateAsk message = RPC__STATE_ASK__INIT;
    union body body;

    TAILQ_REMOVE(&state->queue, ask, queued);
    ask->is_queued = false;
    ask->is_said = true;
    note_said(state, ask);
    ask->refs++;
    up.is_case = RPC__STATE_UP__IS_ASK;
    up.ask = &message;
    message.number = ask->by_number.key;
    message.key = ask->key;
    message.is_case = ask->is;
    if (ask->is == RPC__STATE_ASK__IS_PUSH) {
        say_push(state, ask, &up);
    } else {
        build_body(ask, &body);
        message.stat = &body.stat; /* all are at the same place */
        ask->is_all_said = true;
        say(state, &up);
    }
    ask_put(state, ask);
}

static void
wake_all(struct state *state)
{
    struct op *op;

    while ((op = TAILQ_FIRST(&state->wakes)) != NULL) {
        uint64_t waiter = op->waiter;

        TAILQ_REMOVE(&state->wakes, op, waking);
        op->is_waking = false;
        if (op->is_touch && op->err == 0)
            op_free(state, op); /* it is seen by what is there */
        (void)pthread_mutex_unlock(&state->lock);
        state->config.wake(state->config.context, waiter);
        (void)pthread_mutex_lock(&state->lock);
    }
}

/* Not more often than so: who is refused would ask again at once. */
static bool
want_session(struct state *state)
{
    uint64_t now = state->now();

    if (state->is_welcome || now < state->want_at_ns || state->config.want == NULL)
        return false;
    state->want_at_ns = now + STATE_WANT_NS;
    (void)pthread_mutex_unlock(&state->lock);
    state->config.want(state->config.context);
    (void)pthread_mutex_lock(&state->lock);
    return true;
}

static void
say_all(struct state *state)
{
    struct ask *ask;

    if (state->is_saying)
        return;
    state->is_saying = true;
    for (;;) {
        if (say_urgent(state))
            continue;
        ask = TAILQ_FIRST(&state->queue);
        if (ask != NULL && want_session(state))
            continue;
        if (ask == NULL || !state->is_welcome)
            break;
        say_ask(state, ask);
        wake_all(state);
    }
    state->is_saying = false;
}

void
state_leave(struct state *state)
{
    say_all(state);
    wake_all(state);
    (void)pthread_mutex_unlock(&state->lock);
}

/* -------------------------------------------------------------------------------- lost */

/* What must not be said twice and was said has happened once or not at all; what was not said
 * has not, and its lock is lost. */
static int
lost_error(const struct ask *ask)
{
    return ask->is == RPC__STATE_ASK__IS_UNLOCK || !ask->is_said ? -ESTALE : -EIO;
}

static void
settle_lost(struct state *state, struct ask *ask)
{
    Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;

    if (ask->is_said && ask->may_repeat && ask->fence == 0) {
        if (ask->is == RPC__STATE_ASK__IS_PULL)
            pull_again(ask);
        dequeue(state, ask);
        queue(state, ask);
    } else if (ask->is_said || ask->fence != 0) {
        answer.number = ask->by_number.key;
        answer.err = lost_error(ask);
        ask->is_unknown = true;
        ask_settle(state, ask, &answer);
    }
}

/* Each once: those that are settled go to the end, where new ones are. */
void
ask_settle_lost(struct state *state)
{
    struct ask *ask;

    while ((ask = TAILQ_FIRST(&state->all)) != NULL && ask->settled != state->session) {
        TAILQ_REMOVE(&state->all, ask, all);
        TAILQ_INSERT_TAIL(&state->all, ask, all);
        ask->settled = state->session;
        settle_lost(state, ask);
    }
}

void
ask_free_all(struct state *state)
{
    struct ask *ask;

    while ((ask = TAILQ_FIRST(&state->all)) != NULL) {
        if (ask->is_of_entry)
            TAILQ_REMOVE(&ask->entry->pulls, ask, pull);
        ask_end(state, ask);
    }
}
