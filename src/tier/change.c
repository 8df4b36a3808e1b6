/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch of changes of one key, from the queue to the answers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tier/tier_internal.h"

/* What a batch came to. */
struct change {
    struct draft draft;
    struct diag diag;
    int err; /* of the store: none of it can be told as done */
};

static bool
is_expired(const struct tier *tier, const struct head *head)
{
    return head->expires_ns != 0 && head->expires_ns <= tier_real(tier);
}

/* What the store says is not what it says here: some codes have a meaning to who asks. */
static int
told(int err)
{
    return err == -ENOMEM || err == -ESHUTDOWN ? err : -EIO;
}

static void
forget_head(struct tier *tier, struct key *key)
{
    tier_cache_forget(&tier->cache, key);
    tier_lock(tier);
    key->is_known = false;
    key->is_uncertain = true;
    tier_unlock(tier);
}

/* The draft is there, or is not; its counts are settled. */
static int
commit(struct tier *tier, struct key *key, struct draft *draft, struct diag *diag)
{
    int err = tier_draft_commit(draft, diag);

    if (err != 0 && (draft->is_large || tier_is_unknown(err)))
        forget_head(tier, key);
    tier_lock(tier);
    tier_draft_settle(draft, err == 0);
    if (err == 0) {
        key->head = draft->after;
        if (draft->after.expires_ns != draft->before.expires_ns)
            tier_sweep_due(tier, draft->after.expires_ns);
    }
    tier_unlock(tier);
    return err;
}

static int
remove_expired(struct tier *tier, struct key *key, struct change *change)
{
    int err;

    if (!is_expired(tier, &key->head))
        return 0;
    tier_draft_init(&change->draft, tier, key);
    tier_draft_remove(&change->draft);
    err = commit(tier, key, &change->draft, &change->diag);
    tier_draft_fini(&change->draft);
    return err;
}

static int
apply_all(struct tier *tier, struct key *key, struct change *change)
{
    struct op *op;
    int err;

    tier_draft_init(&change->draft, tier, key);
    TAILQ_FOREACH(op, &key->batch, next)
    {
        const char *why = NULL;

        tier_draft_apply(&change->draft, op, &why);
        op->word.answer.message = (char *)(uintptr_t)why;
        if (op->err == 0 && op->is == RPC__STATE_ASK__IS_REMOVE && op->offset > 0) {
            err = tier_trim(tier, key, op, &change->diag);
            if (err != 0 && tier_is_unknown(err))
                forget_head(tier, key);
            return err; /* it was alone, and has changed nothing in the draft */
        }
    }
    err = commit(tier, key, &change->draft, &change->diag);
    tier_draft_fini(&change->draft);
    return err;
}

/* ------------------------------------------------------------------------------ answers */

/* The session that holds what there is now: the last change is its push. */
static struct op *
find_holder(const struct key *key)
{
    struct op *op, *last = NULL;

    TAILQ_FOREACH(op, &key->batch, next)
    if (op->is_changed && op->is != RPC__STATE_ASK__IS_EXPIRE)
        last = op;
    return last != NULL && last->hold && last->is == RPC__STATE_ASK__IS_PUSH ? last : NULL;
}

static void
settle_holds(struct tier *tier, struct key *key, bool is_done)
{
    struct op *op = is_done ? find_holder(key) : NULL;
    struct hold *hold, *next;

    for (hold = LIST_FIRST(&key->holds); hold != NULL; hold = next) {
        next = LIST_NEXT(hold, of_key);
        if (tier_key_has_push(key, hold->session) && (op == NULL || hold->session != op->session))
            tier_hold_drop(tier, hold);
    }
    if (op != NULL && op->session != NULL)
        op->word.answer.is_held = tier_hold_add(tier, key, op->session);
}

static void
count(struct tier *tier, const struct op *op)
{
    if (op->err != 0)
        return;
    if (op->is == RPC__STATE_ASK__IS_PUSH) {
        tier->usage.pushes++;
        tier->usage.bytes_pushed += op->bytes.count;
    } else if (op->is == RPC__STATE_ASK__IS_ADD) {
        tier->usage.adds++;
    } else if (op->is == RPC__STATE_ASK__IS_APPEND) {
        tier->usage.appends++;
    }
}

/* Where the store has failed, also who was refused for what came before it in the batch does
 * not know. */
static void
answer_all(struct tier *tier, struct key *key, struct change *change)
{
    struct op *op;
    bool is_failed = false;

    while ((op = TAILQ_FIRST(&key->batch)) != NULL) {
        const char *why = op->word.answer.message;

        TAILQ_REMOVE(&key->batch, op, next);
        is_failed |= change->err != 0 &&
                     (op->is_changed || op->is == RPC__STATE_ASK__IS__NOT_SET || op->err == 0);
        if (is_failed) {
            op->err = told(change->err);
            op->head = (struct head){0};
            op->word.answer.is_held = false;
            why = diag_text(&change->diag);
        } else if (op->err != 0 && op->word.text != NULL) {
            op->err = told(op->err); /* the store's, of a read */
        }
        count(tier, op);
        tier_op_answer(tier, op, why);
    }
}

static void
process(struct tier *tier, struct key *key, struct change *change)
{
    struct op *op;

    TAILQ_FOREACH(op, &key->batch, next)
    {
        op->is_changed = false;
        op->err = 0;
    }
    change->err = tier_head_load(tier, key, &change->diag);
    if (change->err == 0)
        change->err = remove_expired(tier, key, change);
    if (change->err == 0)
        change->err = apply_all(tier, key, change);
}

void
tier_change_run(struct tier *tier, struct key *key)
{
    struct change *change;

    if (key->takes > 0)
        return;
    tier_key_fill(key);
    tier_key_take(tier, key); /* of who came with what was added */
    if (key->takes > 0)
        return;
    tier_unlock(tier);
    change = tier_alloc(sizeof(*change));
    if (change != NULL)
        process(tier, key, change);
    tier_lock(tier);
    settle_holds(tier, key, change != NULL && change->err == 0);
    if (change != NULL) {
        answer_all(tier, key, change);
    } else {
        struct change none = {.err = -ENOMEM};

        answer_all(tier, key, &none);
    }
    if (key->is_known)
        tier_watch_tell(tier, key);
    key->is_changing = false;
    tier_key_poke(tier, key);
    free(change);
}
