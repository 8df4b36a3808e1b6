/* SPDX-License-Identifier: Apache-2.0
 *
 * Locks among the calls of this cell: readers or one writer, in the order in which they came.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "state/state_internal.h"

struct here {
    struct item by_key; /* the first */
    uint32_t readers;
    bool has_writer;
    struct ops waiting;
    char key[STATE_KEY_BYTES_MAX + 1];
};

struct holder {
    struct item by_owner; /* the first */
    struct here *here;
    bool is_write;
};

static struct here *
here_find(const struct state *state, const char *key)
{
    struct item *item = table_find(&state->heres, state_hash(state, key, strlen(key)));

    while (item != NULL && strcmp(((struct here *)item)->key, key) != 0)
        item = table_next(item);
    return (struct here *)item;
}

static struct here *
here_create(struct state *state, const char *key)
{
    size_t count = strlen(key);
    struct here *here = fault_point("state.here") != 0 ? NULL : calloc(1, sizeof(*here));

    if (here == NULL)
        return NULL;
    (void)memcpy(here->key, key, count + 1);
    TAILQ_INIT(&here->waiting);
    table_add(&state->heres, &here->by_key, state_hash(state, key, count));
    return here;
}

static void
drop_if_idle(struct state *state, struct here *here)
{
    if (here->readers > 0 || here->has_writer || !TAILQ_EMPTY(&here->waiting))
        return;
    table_remove(&state->heres, &here->by_key);
    free(here);
}

static struct holder *
holder_find(const struct state *state, const struct here *here, uint64_t owner)
{
    struct item *item = table_find(&state->holders, owner);

    while (item != NULL && ((struct holder *)item)->here != here)
        item = table_next(item);
    return (struct holder *)item;
}

static bool
is_waiting(const struct here *here, uint64_t owner)
{
    const struct op *op;

    TAILQ_FOREACH(op, &here->waiting, here_next)
    if (op->owner == owner)
        return true;
    return false;
}

/* ----------------------------------------------------------------------------- granting */

static bool
can_have(const struct here *here, bool is_write)
{
    return !here->has_writer && (!is_write || here->readers == 0);
}

static void
give(struct state *state, struct here *here, struct op *op)
{
    struct holder *holder = op->holder;

    op->holder = NULL;
    holder->here = here;
    holder->is_write = op->is_write;
    here->has_writer = op->is_write;
    here->readers += !op->is_write;
    table_add(&state->holders, &holder->by_owner, op->owner);
}

static void
stop_waiting(struct op *op)
{
    TAILQ_REMOVE(&op->here->waiting, op, here_next);
    op->here = NULL;
}

static void
grant(struct state *state, struct here *here)
{
    struct op *op;

    while ((op = TAILQ_FIRST(&here->waiting)) != NULL && can_have(here, op->is_write)) {
        stop_waiting(op);
        give(state, here, op);
        op_end(state, op, 0);
    }
    drop_if_idle(state, here);
}

/* ------------------------------------------------------------------------------- doing */

static int
wait_or_have(struct state *state, struct here *here, struct op *op,
             const struct state_request *request)
{
    if (holder_find(state, here, request->owner) != NULL || is_waiting(here, request->owner))
        return -EDEADLK;
    if (TAILQ_EMPTY(&here->waiting) && can_have(here, request->is_write)) {
        give(state, here, op);
        return 0;
    }
    if (request->wait_ns == 0)
        return -EAGAIN;
    op->here = here;
    TAILQ_INSERT_TAIL(&here->waiting, op, here_next);
    op_set_deadline(state, op, request->wait_ns);
    return -EINPROGRESS;
}

int
here_start(struct state *state, struct op *op, const struct state_request *request)
{
    struct here *here;
    int err;

    if (state->holders.count >= STATE_OPS_MAX)
        return -ENOLCK;
    op->holder = fault_point("state.here") != 0 ? NULL : calloc(1, sizeof(*op->holder));
    if (op->holder == NULL)
        return -ENOMEM;
    here = here_find(state, request->key);
    if (here == NULL)
        here = here_create(state, request->key);
    if (here == NULL)
        return -ENOMEM;
    err = wait_or_have(state, here, op, request);
    drop_if_idle(state, here);
    return err;
}

static void
holder_free(struct state *state, struct holder *holder)
{
    struct here *here = holder->here;

    if (holder->is_write)
        here->has_writer = false;
    else
        here->readers--;
    table_remove(&state->holders, &holder->by_owner);
    free(holder);
    grant(state, here);
}

int
here_unlock(struct state *state, const char *key, uint64_t owner)
{
    struct here *here = here_find(state, key);
    struct holder *holder = here != NULL ? holder_find(state, here, owner) : NULL;

    if (holder == NULL)
        return -EINVAL;
    holder_free(state, holder);
    return 0;
}

/* Those behind it may be next. */
void
here_leave(struct state *state, struct op *op)
{
    struct here *here = op->here;

    stop_waiting(op);
    grant(state, here);
}

void
here_call_over(struct state *state, uint64_t owner)
{
    struct item *item;

    while ((item = table_find(&state->holders, owner)) != NULL)
        holder_free(state, (struct holder *)item);
}

void
here_free_all(struct state *state)
{
    for (size_t i = 0; i < state->holders.capacity; i++)
        while (state->holders.items[i] != NULL)
            holder_free(state, (struct holder *)state->holders.items[i]);
}
