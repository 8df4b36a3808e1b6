/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys in memory: who goes on when, and who holds copies.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tier/tier_internal.h"

static struct key **
bucket(struct tier *tier, const struct tenant *tenant, const char *name, size_t count)
{
    uint64_t hash = (uint64_t)(uintptr_t)tenant * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
    return &tier->keys[(hash ^ hash >> 32) % TIER_KEY_BUCKETS];
}

/* At the end, and where another leads. */
static void
refuse_all(struct tier *tier, struct key *key)
{
    static const char why[] = "this tier is not the one any more";
    struct op *op;

    while ((op = TAILQ_FIRST(&key->batch)) != NULL) {
        TAILQ_REMOVE(&key->batch, op, next);
        tier_op_fail(tier, op, -ESHUTDOWN, why);
    }
    while ((op = TAILQ_FIRST(&key->queue)) != NULL) {
        TAILQ_REMOVE(&key->queue, op, next);
        tier_op_fail(tier, op, -ESHUTDOWN, why);
    }
    key->is_changing = false;
}

static void
run(struct tier *tier, struct job *job)
{
    struct key *key = (struct key *)job;

    key->refs++;
    if (tier->is_ending || tier->is_lost)
        refuse_all(tier, key);
    else if (key->is_changing)
        tier_change_run(tier, key);
    else
        tier_read_run(tier, key);
    tier_key_put(tier, key);
}

static struct key *
key_new(struct tenant *tenant, const char *name, size_t count)
{
    struct key *key = tier_alloc(sizeof(*key) + count + 1);

    if (key == NULL)
        return NULL;
    key->job.run = run;
    key->tenant = tenant;
    key->count = count;
    TAILQ_INIT(&key->queue);
    TAILQ_INIT(&key->batch);
    TAILQ_INIT(&key->watches);
    TAILQ_INIT(&key->locked);
    TAILQ_INIT(&key->waiting);
    LIST_INIT(&key->holds);
    LIST_INIT(&key->chunks);
    memcpy(key->name, name, count);
    return key;
}

static void
key_free(struct tier *tier, struct key *key)
{
    struct key **link = bucket(tier, key->tenant, key->name, key->count);

    while (*link != key)
        link = &(*link)->next;
    *link = key->next;
    tier->key_count--;
    tier_cache_forget(&tier->cache, key);
    free(key);
}

struct key *
tier_key_get(struct tier *tier, struct tenant *tenant, const char *name, size_t count)
{
    struct key **first = bucket(tier, tenant, name, count);
    struct key *key = *first;

    while (key != NULL &&
           (key->tenant != tenant || key->count != count || memcmp(key->name, name, count) != 0))
        key = key->next;
    if (key == NULL) {
        key = key_new(tenant, name, count);
        if (key == NULL)
            return NULL;
        key->next = *first;
        *first = key;
        tier->key_count++;
    } else if (key->refs == 0) {
        TAILQ_REMOVE(&tier->idle, key, idle);
        tier->idle_count--;
    }
    key->refs++;
    return key;
}

/* One whose store is in doubt is kept: its tenant's counts are. */
static void
shrink(struct tier *tier)
{
    struct key *key = TAILQ_FIRST(&tier->idle), *next;

    for (; key != NULL && tier->idle_count > TIER_IDLE_KEYS_MAX; key = next) {
        next = TAILQ_NEXT(key, idle);
        if (key->is_uncertain)
            continue;
        TAILQ_REMOVE(&tier->idle, key, idle);
        tier->idle_count--;
        key_free(tier, key);
    }
}

void
tier_key_put(struct tier *tier, struct key *key)
{
    ASSERT(key->refs > 0);
    if (--key->refs > 0)
        return;
    TAILQ_INSERT_TAIL(&tier->idle, key, idle);
    tier->idle_count++;
    shrink(tier);
}

void
tier_key_free_all(struct tier *tier)
{
    struct op *op;

    for (size_t i = 0; i < TIER_KEY_BUCKETS; i++)
        for (struct key *key = tier->keys[i]; key != NULL; key = key->next) {
            key->refs++;
            while ((op = TAILQ_FIRST(&key->watches)) != NULL)
                tier_wait_cancel(tier, op, -ESHUTDOWN);
            ASSERT(TAILQ_EMPTY(&key->queue) && TAILQ_EMPTY(&key->batch));
        }
    tier_unlock(tier); /* says the answers */
    tier_lock(tier);
    tier_session_free_all(tier);
    for (size_t i = 0; i < TIER_KEY_BUCKETS; i++)
        while (tier->keys[i] != NULL)
            key_free(tier, tier->keys[i]);
}

/* ------------------------------------------------------------------------------- holds */

struct hold *
tier_hold_find(const struct key *key, const struct tier_session *session)
{
    struct hold *hold;

    LIST_FOREACH(hold, &key->holds, of_key)
    if (hold->session == session)
        break;
    return hold;
}

bool
tier_hold_add(struct tier *tier, struct key *key, struct tier_session *session)
{
    struct hold *hold;

    (void)tier;
    if (!session->is_alive || session->is_closed)
        return false;
    if (tier_hold_find(key, session) != NULL)
        return true;
    hold = session->hold_count < TIER_HOLDS_MAX ? tier_alloc(sizeof(*hold)) : NULL;
    if (hold == NULL)
        return false;
    session->hold_count++;
    hold->key = key;
    hold->session = session;
    key->refs++;
    session->refs++;
    LIST_INSERT_HEAD(&key->holds, hold, of_key);
    LIST_INSERT_HEAD(&session->holds, hold, of_session);
    return true;
}

void
tier_hold_drop(struct tier *tier, struct hold *hold)
{
    struct key *key = hold->key;

    LIST_REMOVE(hold, of_key);
    LIST_REMOVE(hold, of_session);
    if (hold->serial != 0 && --key->takes == 0)
        tier_job_add(tier, &key->job);
    hold->session->hold_count--;
    tier_session_put(hold->session);
    free(hold);
    tier_key_put(tier, key);
}

/* Whoever pushes has let go of his own copy before he said so. */
bool
tier_key_has_push(const struct key *key, const struct tier_session *session)
{
    const struct op *op;

    TAILQ_FOREACH(op, &key->batch, next)
    if (op->session == session && op->is == RPC__STATE_ASK__IS_PUSH)
        return true;
    return false;
}

static void
take(struct tier *tier, struct key *key, struct hold *hold)
{
    struct tier_session *session = hold->session;
    struct word *word;

    hold->serial = ++session->serial;
    key->takes++;
    tier->usage.takes++;
    LIST_REMOVE(hold, of_session);
    LIST_INSERT_HEAD(&session->taken, hold, of_session);
    if (session->is_closed)
        return; /* its lease ends it */
    word = tier_alloc(sizeof(*word));
    if (word == NULL)
        return; /* likewise */
    tier_word_init(word, RPC__STATE_DOWN__IS_TAKE);
    word->owned = strdup(key->name);
    if (word->owned == NULL) {
        free(word);
        return;
    }
    word->take.key = word->owned;
    word->take.serial = hold->serial;
    tier_say(session, word);
}

static bool
is_any_seen(const struct key *key)
{
    const struct op *op;

    TAILQ_FOREACH(op, &key->batch, next)
    if (op->is != RPC__STATE_ASK__IS_EXPIRE)
        return true;
    return false;
}

void
tier_key_take(struct tier *tier, struct key *key)
{
    struct hold *hold, *next;

    if (!is_any_seen(key))
        return;
    for (hold = LIST_FIRST(&key->holds); hold != NULL; hold = next) {
        next = LIST_NEXT(hold, of_key);
        if (!tier_key_has_push(key, hold->session))
            take(tier, key, hold);
    }
}

/* ------------------------------------------------------------------------- going on */

/* What of the chunks a change may touch. */
static uint64_t
weight(const struct op *op)
{
    if (op->is == RPC__STATE_ASK__IS_PUSH)
        return op->operand * TIER_CHUNK_BYTES;
    return op->is == RPC__STATE_ASK__IS_APPEND ? op->bytes.count : 16;
}

/* What may be too much for one commit, and is no bytes that could be copied. */
static bool
is_alone(const struct op *op)
{
    return op->is == RPC__STATE_ASK__IS_REMOVE;
}

void
tier_key_fill(struct key *key)
{
    struct op *op;
    uint64_t bytes = 0;
    uint32_t count = 0;

    TAILQ_FOREACH(op, &key->batch, next)
    {
        bytes += weight(op);
        count++;
        if (is_alone(op))
            return;
    }
    while ((op = TAILQ_FIRST(&key->queue)) != NULL && tier_op_is_change(op)) {
        bytes += weight(op);
        if (count > 0 &&
            (count >= TIER_BATCH_OPS_MAX || bytes > TIER_BATCH_BYTES_MAX || is_alone(op)))
            return;
        TAILQ_REMOVE(&key->queue, op, next);
        TAILQ_INSERT_TAIL(&key->batch, op, next);
        count++;
        if (is_alone(op))
            return;
    }
}

void
tier_key_poke(struct tier *tier, struct key *key)
{
    struct op *op = TAILQ_FIRST(&key->queue);

    if (op == NULL || key->is_changing || key->job.is_queued)
        return;
    if (!tier_op_is_change(op)) {
        tier_job_add(tier, &key->job);
        return;
    }
    if (key->reading > 0 || (tier->is_paused && !tier->is_ending))
        return;
    key->is_changing = true;
    tier_key_fill(key);
    tier_key_take(tier, key);
    if (key->takes == 0)
        tier_job_add(tier, &key->job);
}
