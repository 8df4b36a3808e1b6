/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: what they hear and say, and how long they live.
 *
 * A session whose lease is over loses its holds and locks, and is told to let go of each copy
 * before anything else is said to it: where its beats were only late, and the lease seems not to
 * be over there when they are answered, its copies are not current any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "tier/tier_internal.h"

/* ------------------------------------------------------------------------------- words */

void
tier_word_init(struct word *word, Rpc__StateDown__IsCase is)
{
    rpc__state_down__init(&word->down);
    word->down.is_case = is;
    if (is == RPC__STATE_DOWN__IS_WELCOME)
        rpc__state_welcome__init(&word->welcome);
    else if (is == RPC__STATE_DOWN__IS_HEARD)
        rpc__state_heard__init(&word->heard);
    else if (is == RPC__STATE_DOWN__IS_TAKE)
        rpc__state_take__init(&word->take);
    else
        rpc__state_answer__init(&word->answer);
    word->down.answer = &word->answer; /* all are at the same place */
}

static void
free_items(struct word *word)
{
    if (word->down.is_case != RPC__STATE_DOWN__IS_ANSWER || word->items == NULL)
        return;
    for (size_t i = 0; i < word->answer.n_items; i++)
        free(word->items[i].key);
    free(word->items);
    free(word->answer.items);
}

void
tier_word_free(struct word *word)
{
    free_items(word);
    free(word->owned);
    free(word->text);
    if (word->down.is_case == RPC__STATE_DOWN__IS_ANSWER && word->answer.n_counts > 0)
        free(word->answer.counts);
    if (word->op != NULL)
        tier_op_free(word->op);
    else
        free(word);
}

void
tier_say(struct tier_session *session, struct word *word)
{
    struct tier *tier = session->tier;

    if (session->is_closed) {
        tier_word_free(word);
        return;
    }
    if (STAILQ_EMPTY(&session->words) && !session->is_saying) {
        session->refs++;
        STAILQ_INSERT_TAIL(&tier->unsaid, session, unsaid);
    }
    if (word->down.is_case == RPC__STATE_DOWN__IS_ANSWER)
        session->word_bytes += word->answer.bytes.len;
    STAILQ_INSERT_TAIL(&session->words, word, next);
}

/* -------------------------------------------------------------------------------- life */

static void
free_words(struct tier_session *session)
{
    struct word *word;

    while ((word = STAILQ_FIRST(&session->words)) != NULL) {
        STAILQ_REMOVE_HEAD(&session->words, next);
        tier_word_free(word);
    }
}

void
tier_session_put(struct tier_session *session)
{
    ASSERT(session->refs > 0);
    if (--session->refs > 0)
        return;
    free_words(session);
    tier_timer_release(session->tier, &session->lease);
    LIST_REMOVE(session, all);
    free(session);
}

/* A word that cannot be had ends the session's life there: it is not answered any more. */
static void
take_lost(struct tier_session *session, struct hold *hold)
{
    struct word *word = session->is_closed ? NULL : tier_alloc(sizeof(*word));

    if (word == NULL)
        return;
    tier_word_init(word, RPC__STATE_DOWN__IS_TAKE);
    word->owned = strdup(hold->key->name);
    word->take.key = word->owned == NULL ? (char *)protobuf_c_empty_string : word->owned;
    word->take.serial = ++session->serial;
    tier_say(session, word);
}

static void
drop_holds(struct tier_session *session, bool is_told)
{
    struct hold *hold;

    while ((hold = LIST_FIRST(&session->holds)) != NULL) {
        if (is_told)
            take_lost(session, hold);
        tier_hold_drop(session->tier, hold);
    }
    while ((hold = LIST_FIRST(&session->taken)) != NULL)
        tier_hold_drop(session->tier, hold);
}

static struct lock *
first_waiting(const struct tier_session *session)
{
    struct lock *lock;

    LIST_FOREACH(lock, &session->locks, of_session)
    if (lock->op != NULL)
        break;
    return lock;
}

void
tier_session_lapse(struct tier_session *session, bool is_told)
{
    struct lock *lock;

    session->refs++;
    session->is_alive = false;
    drop_holds(session, is_told);
    while ((lock = first_waiting(session)) != NULL)
        tier_wait_cancel(session->tier, lock->op, -ESTALE);
    while ((lock = LIST_FIRST(&session->locks)) != NULL)
        tier_lock_drop(session->tier, lock);
    tier_session_put(session);
}

static void
lease_over(struct tier *tier, struct timer *timer)
{
    struct tier_session *session =
        (struct tier_session *)((char *)timer - offsetof(struct tier_session, lease));

    (void)tier;
    tier_session_lapse(session, true);
    if (session->is_closed)
        tier_session_put(session); /* the lease's */
}

static void
live_on(struct tier_session *session)
{
    uint64_t lease = session->tier->config.lease_ns;

    session->is_alive = true;
    tier_timer_set(session->tier, &session->lease, tier_now(session->tier) + lease + lease / 10);
}

static bool
is_tenant(const char *name)
{
    size_t count = strnlen(name, TIER_TENANT_BYTES_MAX + 1);

    return count > 0 && count <= TIER_TENANT_BYTES_MAX && utf8_is_valid(name, count);
}

static void
init(struct tier_session *session, struct word *word)
{
    session->refs = 2; /* the owner's, the lease's */
    STAILQ_INIT(&session->words);
    LIST_INIT(&session->holds);
    LIST_INIT(&session->taken);
    LIST_INIT(&session->locks);
    session->lease.fire = lease_over;
    LIST_INSERT_HEAD(&session->tier->sessions, session, all);
    session->tier->usage.sessions++;
    live_on(session);
    tier_word_init(word, RPC__STATE_DOWN__IS_WELCOME);
    word->welcome.version = RPC__STATE_VERSION__STATE_VERSION;
    word->welcome.lease_ns = session->tier->config.lease_ns;
    tier_say(session, word);
}

int
tier_session_open(struct tier *tier, const char *tenant, tier_say_fn say, void *context,
                  struct tier_session **out)
{
    struct tier_session *session = tier_alloc(sizeof(*session));
    struct word *word = tier_alloc(sizeof(*word));
    int err = 0;

    if (!is_tenant(tenant))
        err = -EINVAL;
    tier_lock(tier);
    if (err == 0 && (session == NULL || word == NULL || tier_timer_reserve(tier) != 0))
        err = -ENOMEM;
    if (err == 0) {
        session->tier = tier;
        session->say = say;
        session->context = context;
        session->tenant = tier_tenant(tier, tenant);
        if (session->tenant == NULL) {
            tier_timer_release(tier, &session->lease);
            err = -ENOMEM;
        }
    }
    if (err == 0) {
        *out = session;
        init(session, word);
    }
    tier_unlock(tier);
    if (err != 0) {
        free(session);
        free(word);
    }
    return err;
}

static struct op *
first_to_drop(struct op *op)
{
    while (op != NULL && !op->is_gathering && !op->is_waiting)
        op = op->next_ask;
    return op;
}

/* What waits, or has not come as a whole, is nobody's any more. */
static void
drop_asks(struct tier_session *session)
{
    struct op *op;

    for (size_t i = 0; i < TIER_ASK_BUCKETS; i++)
        while ((op = first_to_drop(session->asks[i])) != NULL)
            if (op->is_gathering)
                tier_op_fail(session->tier, op, -ECANCELED, NULL);
            else
                tier_wait_cancel(session->tier, op, -ECANCELED);
}

/* What it has now, in the place of what it had. */
static void
note_local(struct tier_session *session, uint64_t entries, uint64_t bytes)
{
    struct tier_local *local = &session->tenant->local;

    local->entries += entries - session->local_entries;
    local->bytes += bytes - session->local_bytes;
    session->local_entries = entries;
    session->local_bytes = bytes;
}

void
tier_session_close(struct tier_session *session, bool is_gone)
{
    struct tier *tier;

    if (session == NULL)
        return;
    tier = session->tier;
    tier_lock(tier);
    session->is_closed = true;
    note_local(session, 0, 0);
    tier->usage.sessions--;
    free_words(session);
    while (session->is_saying)
        (void)pthread_cond_wait(&tier->quiet, &tier->lock);
    drop_asks(session);
    if (is_gone || !session->is_alive) {
        tier_session_lapse(session, false);
        tier_timer_clear(tier, &session->lease);
        tier_session_put(session);
    }
    tier_session_put(session);
    tier_unlock(tier);
}

/* At the end: those that were closed and whose lease is not over. */
void
tier_session_free_all(struct tier *tier)
{
    struct tier_session *session;

    while ((session = LIST_FIRST(&tier->sessions)) != NULL) {
        ASSERT(session->is_closed);
        tier_session_lapse(session, false);
        tier_timer_clear(tier, &session->lease);
        tier_session_put(session);
    }
}

/* ------------------------------------------------------------------------------ hearing */

struct op *
tier_session_find(struct tier_session *session, uint64_t number)
{
    struct op *op = session->asks[number % TIER_ASK_BUCKETS];

    while (op != NULL && op->number != number)
        op = op->next_ask;
    return op;
}

static void
note_usage(struct tier_session *session, const Rpc__StateBeat *beat)
{
    struct tier_local *local = &session->tenant->local;

    note_local(session, beat->entries, beat->bytes);
    local->hits += beat->hits;
    local->pulls += beat->pulls;
    local->pushes += beat->pushes;
    local->bytes_pulled += beat->bytes_pulled;
    local->bytes_pushed += beat->bytes_pushed;
}

static bool
hear_beat(struct tier_session *session, const Rpc__StateBeat *beat)
{
    struct word *word = tier_alloc(sizeof(*word));

    if (word == NULL)
        return true; /* as if it had been lost */
    tier_lock(session->tier);
    live_on(session);
    note_usage(session, beat);
    tier_word_init(word, RPC__STATE_DOWN__IS_HEARD);
    word->heard.number = beat->number;
    tier_say(session, word);
    tier_unlock(session->tier);
    return true;
}

static bool
hear_yield(struct tier_session *session, const Rpc__StateYield *yield)
{
    struct hold *hold;
    bool is_fine;

    tier_lock(session->tier);
    is_fine = yield->serial > 0 && yield->serial <= session->serial;
    LIST_FOREACH(hold, &session->taken, of_session)
    if (hold->serial == yield->serial) {
        tier_hold_drop(session->tier, hold);
        break;
    }
    tier_unlock(session->tier);
    return is_fine;
}

static bool
hear_cancel(struct tier_session *session, const Rpc__StateCancel *cancel)
{
    struct op *op;

    tier_lock(session->tier);
    op = tier_session_find(session, cancel->number);
    if (op != NULL) {
        op->is_cancelled = true; /* where it does not wait yet */
        tier_wait_cancel(session->tier, op, -ECANCELED);
    }
    tier_unlock(session->tier);
    return true;
}

/* A number is linked from its first piece to its answer. */
static void
link_op(struct tier_session *session, struct op *op)
{
    struct op **bucket = &session->asks[op->number % TIER_ASK_BUCKETS];

    op->session = session;
    op->tenant = session->tenant;
    op->next_ask = *bucket;
    *bucket = op;
    session->refs++;
    session->ask_count++;
    session->tier->under_way++;
}

/* Counts what it has gathered; too much of it is given up there and then. */
static void
count_gathered(struct tier *tier, struct op *op, int *err, const char **why)
{
    uint64_t now = op->bytes.capacity + op->run_capacity * sizeof(struct run);

    if (*err == 0 && tier->gathered - op->gathered + now > TIER_GATHER_BYTES_MAX) {
        *err = -EAGAIN;
        *why = "too many bytes of pushes are under way";
    }
    if (*err != 0) {
        buffer_fini(&op->bytes);
        free(op->runs);
        op->runs = NULL;
        op->run_count = op->run_capacity = 0;
        now = 0;
    }
    tier->gathered += now - op->gathered;
    op->gathered = now;
}

/* With the lock: an op whose piece was read, with what came of it. */
static void
go_on(struct tier_session *session, struct op *op, const Rpc__StateAsk *ask, int err,
      const char *why)
{
    struct tier *tier = session->tier;

    if (err == 0 && !op->is_refused && session->ask_count > TIER_ASKS_MAX) {
        err = -EAGAIN;
        why = "too many asks are under way";
    }
    if (err == 0 && ask->has_more && !op->is_gathering &&
        session->gather_count >= TIER_GATHERS_MAX) {
        err = -EAGAIN;
        why = "too many pushes are under way";
    }
    if (op->is == RPC__STATE_ASK__IS_PUSH && !op->is_refused)
        count_gathered(tier, op, &err, &why);
    if (err != 0 && !op->is_refused) {
        op->err = err;
        op->is_refused = true;
        op->word.answer.message = (char *)(uintptr_t)why;
    }
    session->gather_count -= op->is_gathering;
    op->is_gathering = ask->has_more && op->is == RPC__STATE_ASK__IS_PUSH;
    session->gather_count += op->is_gathering;
    if (op->is_gathering)
        return;
    if (op->is_refused)
        tier_op_fail(tier, op, op->err, op->word.answer.message);
    else
        tier_op_start(tier, op, ask->key, strlen(ask->key));
}

static int
last_piece(struct op *op, const Rpc__StateAsk *ask, const char **why)
{
    return ask->has_more || op->is != RPC__STATE_ASK__IS_PUSH ? 0 : tier_ask_end(op, why);
}

static bool
hear_next_piece(struct tier_session *session, struct op *op, const Rpc__StateAsk *ask)
{
    const char *why = NULL;
    int err = 0;

    if (!op->is_gathering || ask->is_case != RPC__STATE_ASK__IS_PUSH)
        return false; /* two asks of one number */
    if (!op->is_refused) {
        err = tier_ask_piece(op, ask, &why);
        if (err == 0)
            err = last_piece(op, ask, &why);
    }
    go_on(session, op, ask, err, why);
    return true;
}

static bool
hear_first_piece(struct tier_session *session, const Rpc__StateAsk *ask)
{
    struct tier *tier = session->tier;
    struct op *op = tier_op_new(ask->is_case);
    const char *why = NULL;
    int err;

    if (op == NULL)
        return false; /* nothing can be said */
    op->number = ask->number;
    err = tier_ask_read(op, ask, false, &why);
    if (err == 0)
        err = last_piece(op, ask, &why);
    if (tier->config.limits != NULL)
        tier->config.limits(tier->config.context, session->tenant->name, &op->limits);
    tier_lock(tier);
    link_op(session, op);
    go_on(session, op, ask, err, why);
    tier_unlock(tier);
    return true;
}

static bool
hear_ask(struct tier_session *session, const Rpc__StateAsk *ask)
{
    struct tier *tier = session->tier;
    struct op *op;
    bool is_fine;

    if (ask->is_case == RPC__STATE_ASK__IS__NOT_SET || ask->key == NULL)
        return false;
    tier_lock(tier);
    op = tier_session_find(session, ask->number);
    if (op == NULL) {
        tier_unlock(tier);
        return hear_first_piece(session, ask);
    }
    is_fine = hear_next_piece(session, op, ask);
    tier_unlock(tier);
    return is_fine;
}

bool
tier_session_hear(struct tier_session *session, const Rpc__StateUp *up)
{
    switch (up->is_case) {
    case RPC__STATE_UP__IS_BEAT:
        return hear_beat(session, up->beat);
    case RPC__STATE_UP__IS_ASK:
        return hear_ask(session, up->ask);
    case RPC__STATE_UP__IS_YIELD:
        return hear_yield(session, up->yield);
    case RPC__STATE_UP__IS_CANCEL:
        return hear_cancel(session, up->cancel);
    default:
        return false;
    }
}
