/* SPDX-License-Identifier: Apache-2.0
 *
 * Global locks of the calls here: whose they are, and their fences.
 *
 * The ask that lets one go is made before the lock is asked for, so that a call that is over
 * always can.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "state/state_internal.h"

struct lock {
    struct item by_owner; /* the first */
    uint64_t fence;       /* 0: it is asked for */
    bool is_write, is_lost;
    struct ask *ask;    /* that asks for it; NULL: it was answered */
    struct ask *unlock; /* owned */
    char key[STATE_KEY_BYTES_MAX + 1];
};

static struct lock *
lock_find(const struct state *state, uint64_t owner, const char *key)
{
    struct item *item = table_find(&state->locks, owner);

    while (item != NULL && strcmp(((struct lock *)item)->key, key) != 0)
        item = table_next(item);
    return (struct lock *)item;
}

int
lock_fence(const struct state *state, uint64_t owner, const char *key, uint64_t *fence)
{
    const struct lock *lock = state->locks.count > 0 ? lock_find(state, owner, key) : NULL;

    *fence = 0;
    if (lock == NULL || !lock->is_write)
        return 0;
    if (lock->is_lost)
        return -ESTALE;
    *fence = lock->fence;
    return 0;
}

static void
lock_free(struct state *state, struct lock *lock)
{
    table_remove(&state->locks, &lock->by_owner);
    ask_put(state, lock->unlock);
    free(lock);
}

static int
create(struct state *state, const struct state_request *request, struct lock **out)
{
    struct lock *lock;
    int err;

    if (state->locks.count >= STATE_OPS_MAX)
        return -ENOLCK;
    lock = fault_point("state.lock") != 0 ? NULL : calloc(1, sizeof(*lock));
    if (lock == NULL)
        return -ENOMEM;
    err = ask_create(state, RPC__STATE_ASK__IS_UNLOCK, request->key, &lock->unlock);
    if (err == 0)
        err = ask_create(state, RPC__STATE_ASK__IS_LOCK, request->key, &lock->ask);
    if (err != 0) {
        ask_put(state, lock->unlock);
        free(lock);
        return err;
    }
    lock->is_write = request->is_write;
    (void)memcpy(lock->key, request->key, strlen(request->key) + 1);
    table_add(&state->locks, &lock->by_owner, request->owner);
    *out = lock;
    return 0;
}

int
lock_start(struct state *state, struct op *op, const struct state_request *request)
{
    struct lock *lock;
    int err;

    if (lock_find(state, request->owner, request->key) != NULL)
        return -EDEADLK;
    err = create(state, request, &lock);
    if (err != 0)
        return err;
    lock->ask->is_write = request->is_write;
    lock->ask->wait_ns = request->wait_ns;
    lock->ask->owner = request->owner;
    lock->ask->op = op;
    op->ask = lock->ask;
    ask_queue(state, lock->ask);
    return -EINPROGRESS;
}

/* Says that it is let go, to whom op waits for; the lock is no more. */
static void
let_go(struct state *state, struct lock *lock, struct op *op)
{
    struct ask *ask = lock->unlock;

    ask->op = op;
    ask->fence = lock->fence;
    if (op != NULL)
        op->ask = ask;
    lock->unlock = NULL;
    lock_free(state, lock);
    ask_queue(state, ask);
}

int
unlock_start(struct state *state, struct op *op, const struct state_request *request)
{
    struct lock *lock = lock_find(state, request->owner, request->key);

    if (lock == NULL || lock->ask != NULL)
        return -EINVAL;
    if (lock->is_lost) {
        lock_free(state, lock);
        return -ESTALE;
    }
    let_go(state, lock, op);
    return -EINPROGRESS;
}

/* Of one that nobody wants any more the fence may come still: it is let go then. */
static void
heard_lock(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct lock *lock = (struct lock *)table_find(&state->locks, ask->owner);
    struct op *op = ask->op;

    while (lock != NULL && lock->ask != ask)
        lock = (struct lock *)table_next(&lock->by_owner);
    ASSERT(lock != NULL);
    lock->ask = NULL;
    lock->fence = answer->result;
    if (answer->err != 0)
        lock_free(state, lock);
    else if (op == NULL)
        let_go(state, lock, NULL);
    if (op == NULL)
        return;
    op->result.value = answer->result;
    op->result.version = answer->version;
    op->result.size = answer->size;
    op_end(state, op, answer->err);
}

void
lock_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    if (ask->is == RPC__STATE_ASK__IS_LOCK)
        heard_lock(state, ask, answer);
    else if (ask->op != NULL)
        op_end(state, ask->op, answer->err);
}

/* One that was not said yet is not asked for at all. */
static void
abandon(struct state *state, struct lock *lock)
{
    if (lock->ask->is_queued) {
        struct ask *ask = lock->ask;

        lock_free(state, lock);
        ask->op = NULL;
        ask_end(state, ask);
    } else {
        ask_leave(state, lock->ask);
    }
}

void
lock_forget(struct state *state, struct op *op)
{
    struct lock *lock = (struct lock *)table_find(&state->locks, op->owner);

    while (lock != NULL && (lock->ask == NULL || lock->ask->op != op))
        lock = (struct lock *)table_next(&lock->by_owner);
    ASSERT(lock != NULL);
    abandon(state, lock);
}

void
lock_lose_all(struct state *state)
{
    for (size_t i = 0; i < state->locks.capacity; i++)
        for (struct item *item = state->locks.items[i]; item != NULL; item = item->next) {
            struct lock *lock = (struct lock *)item;

            lock->is_lost = lock->is_lost || lock->ask == NULL;
        }
}

static bool
end_one(struct state *state, struct lock *lock)
{
    struct op *op = lock->ask != NULL ? lock->ask->op : NULL;

    if (lock->ask != NULL && op == NULL)
        return false; /* it was abandoned before */
    if (lock->ask != NULL)
        abandon(state, lock);
    else if (lock->is_lost)
        lock_free(state, lock);
    else
        let_go(state, lock, NULL);
    if (op != NULL)
        op_end(state, op, -ECANCELED);
    return true;
}

void
lock_call_over(struct state *state, uint64_t owner)
{
    struct item *item = table_find(&state->locks, owner);

    while (item != NULL)
        item = end_one(state, (struct lock *)item) ? table_find(&state->locks, owner)
                                                   : table_next(item);
}

void
lock_free_all(struct state *state)
{
    for (size_t i = 0; i < state->locks.capacity; i++)
        while (state->locks.items[i] != NULL)
            lock_free(state, (struct lock *)state->locks.items[i]);
}
