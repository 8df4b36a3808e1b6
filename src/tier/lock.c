/* SPDX-License-Identifier: Apache-2.0
 *
 * Locks, in the order in which they were asked for, and watches.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "tier/tier_internal.h"

static uint32_t
limit(uint32_t of)
{
    return of == 0 ? TIER_COUNT_DEFAULT : of;
}

bool
tier_lock_is_fence(const struct key *key, uint64_t fence)
{
    const struct lock *lock;

    TAILQ_FOREACH(lock, &key->locked, of_key)
    if (lock->is_write && lock->fence == fence)
        return true;
    return false;
}

static void
forget(struct tier *tier, struct lock *lock)
{
    struct key *key = lock->key;

    LIST_REMOVE(lock, of_session);
    key->tenant->locks--;
    tier->usage.locks--;
    tier_session_put(lock->session);
    tier_key_put(tier, key);
}

static bool
may_have(const struct tier *tier, const struct key *key, const struct lock *lock)
{
    const struct lock *held = TAILQ_FIRST(&key->locked);

    if (tier->is_paused)
        return false;
    return held == NULL || (!held->is_write && !lock->is_write);
}

static void
give(struct tier *tier, struct key *key, struct lock *lock)
{
    lock->fence = ++tier->fence;
    lock->op = NULL;
    TAILQ_INSERT_TAIL(&key->locked, lock, of_key);
}

static void
stop_waiting(struct tier *tier, struct op *op)
{
    op->is_waiting = false;
    tier->usage.waiting--;
    tier_timer_release(tier, &op->timer);
}

void
tier_lock_grant(struct tier *tier, struct key *key)
{
    struct lock *lock;

    while ((lock = TAILQ_FIRST(&key->waiting)) != NULL && may_have(tier, key, lock)) {
        struct op *op = lock->op;

        TAILQ_REMOVE(&key->waiting, lock, of_key);
        give(tier, key, lock);
        op->lock = NULL;
        op->result = lock->fence;
        stop_waiting(tier, op);
        tier_op_answer(tier, op, NULL);
    }
}

void
tier_lock_drop(struct tier *tier, struct lock *lock)
{
    struct key *key = lock->key;

    key->refs++;
    TAILQ_REMOVE(&key->locked, lock, of_key);
    forget(tier, lock);
    free(lock);
    tier_lock_grant(tier, key);
    tier_key_put(tier, key);
}

/* -------------------------------------------------------------------------- waiting */

static void
wait_over(struct tier *tier, struct timer *timer)
{
    struct op *op = (struct op *)((char *)timer - offsetof(struct op, timer));

    tier_wait_cancel(tier, op, -ETIMEDOUT);
}

void
tier_wait_cancel(struct tier *tier, struct op *op, int err)
{
    struct key *key = op->key;
    struct lock *lock = op->lock;

    if (!op->is_waiting)
        return;
    key->refs++;
    stop_waiting(tier, op);
    if (lock != NULL) {
        TAILQ_REMOVE(&key->waiting, lock, of_key);
        forget(tier, lock); /* the op has the memory */
    } else {
        TAILQ_REMOVE(&key->watches, op, next);
        key->tenant->watches--;
    }
    tier_op_fail(tier, op, err, err == -ETIMEDOUT ? "it has waited for so long" : NULL);
    tier_lock_grant(tier, key); /* who stood behind it */
    tier_key_put(tier, key);
}

static int
start_waiting(struct tier *tier, struct op *op)
{
    uint64_t now = tier_now(tier);
    int err = op->is_cancelled ? -ECANCELED : tier_timer_reserve(tier);

    if (err != 0)
        return err;
    op->is_waiting = true;
    tier->usage.waiting++;
    op->timer.fire = wait_over;
    if (op->wait_ns < CLOCK_NEVER_NS - now)
        tier_timer_set(tier, &op->timer, now + op->wait_ns);
    return 0;
}

/* ----------------------------------------------------------------------------- asking */

static bool
has_one(const struct tier_session *session, const struct key *key, uint64_t owner)
{
    const struct lock *lock;

    LIST_FOREACH(lock, &session->locks, of_session)
    if (lock->key == key && lock->owner == owner)
        return true;
    return false;
}

static int
check(const struct tier *tier, const struct op *op, const char **why)
{
    const struct tenant *tenant = op->tenant;

    if (!op->session->is_alive) {
        *why = "the session's lease is over";
        return -ESTALE;
    }
    if (has_one(op->session, op->key, op->owner)) {
        *why = "this owner has a lock of the key, or waits for it";
        return -EINVAL;
    }
    if (tenant->locks >= limit(op->limits.locks)) {
        *why = "the tenant has as many locks as it may";
        return -ENOLCK;
    }
    if (op->wait_ns == 0 && (tier->is_paused || !TAILQ_EMPTY(&op->key->waiting))) {
        *why = "others wait for it";
        return -EAGAIN;
    }
    return 0;
}

static struct lock *
lock_new(struct tier *tier, struct op *op)
{
    struct lock *lock = tier_alloc(sizeof(*lock));

    if (lock == NULL)
        return NULL;
    *lock = (struct lock){
        .key = op->key, .session = op->session, .owner = op->owner, .is_write = op->is_write};
    return lock;
    (void)tier;
}

static void
count(struct tier *tier, struct lock *lock)
{
    LIST_INSERT_HEAD(&lock->session->locks, lock, of_session);
    lock->session->refs++;
    lock->key->refs++;
    lock->key->tenant->locks++;
    tier->usage.locks++;
}

void
tier_lock_ask(struct tier *tier, struct op *op)
{
    struct key *key = op->key;
    const char *why = NULL;
    int err = check(tier, op, &why);
    struct lock *lock = err == 0 ? lock_new(tier, op) : NULL;

    if (err == 0 && lock == NULL)
        err = -ENOMEM;
    if (err == 0 && TAILQ_EMPTY(&key->waiting) && may_have(tier, key, lock)) {
        count(tier, lock);
        give(tier, key, lock);
        op->result = lock->fence;
        tier_op_answer(tier, op, NULL);
        return;
    }
    if (err == 0 && op->wait_ns == 0) {
        why = "the lock is taken";
        err = -EAGAIN;
    }
    if (err == 0)
        err = start_waiting(tier, op);
    if (err != 0) {
        free(lock);
        tier_op_fail(tier, op, err, why);
        return;
    }
    op->lock = lock;
    lock->op = op;
    count(tier, lock);
    TAILQ_INSERT_TAIL(&key->waiting, lock, of_key);
}

void
tier_lock_unlock(struct tier *tier, struct op *op)
{
    struct lock *lock;

    TAILQ_FOREACH(lock, &op->key->locked, of_key)
    if (lock->fence == op->fence && lock->session == op->session)
        break;
    if (lock == NULL) {
        tier_op_fail(tier, op, -ESTALE, "no lock with this fence is held here");
        return;
    }
    tier_lock_drop(tier, lock);
    tier_op_answer(tier, op, NULL);
}

/* ----------------------------------------------------------------------------- watches */

/* 1: it has been answered. */
static bool
watch_answer(struct tier *tier, struct op *op)
{
    const struct head *head = &op->key->head;

    op->head = *head;
    if (head->kind == TIER_NONE && op->version > 0)
        tier_op_fail(tier, op, -ENOENT, "it is gone");
    else if (head->version > op->version)
        tier_op_answer(tier, op, NULL);
    else
        return false;
    return true;
}

/* Its key's head is known. */
void
tier_watch_ask(struct tier *tier, struct op *op)
{
    int err = 0;
    const char *why = NULL;

    if (watch_answer(tier, op))
        return;
    if (op->wait_ns == 0) {
        err = -EAGAIN;
        why = "nothing has changed";
    } else if (op->tenant->watches >= limit(op->limits.watches)) {
        err = -EDQUOT;
        why = "the tenant has as many watches as it may";
    } else if (tier->is_ending || (op->session != NULL && op->session->is_closed)) {
        err = tier->is_ending ? -ESHUTDOWN : -ECANCELED;
    } else {
        err = start_waiting(tier, op);
    }
    if (err != 0) {
        tier_op_fail(tier, op, err, why);
        return;
    }
    op->tenant->watches++;
    TAILQ_INSERT_TAIL(&op->key->watches, op, next);
}

static bool
is_to_be_told(const struct key *key, const struct op *op)
{
    return key->head.kind == TIER_NONE ? op->version > 0 : key->head.version > op->version;
}

void
tier_watch_tell(struct tier *tier, struct key *key)
{
    struct op *op, *next;

    for (op = TAILQ_FIRST(&key->watches); op != NULL; op = next) {
        next = TAILQ_NEXT(op, next);
        if (!is_to_be_told(key, op))
            continue;
        stop_waiting(tier, op);
        TAILQ_REMOVE(&key->watches, op, next);
        key->tenant->watches--;
        (void)watch_answer(tier, op);
    }
}
