/* SPDX-License-Identifier: Apache-2.0
 *
 * What was started and is not finished.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "state/state_internal.h"

int
op_create(struct state *state, const struct state_request *request, uint64_t waiter,
          struct op **out)
{
    struct op *op;

    if (fault_point("state.op") != 0 || state->ops.count >= STATE_OPS_MAX ||
        heap_reserve(&state->deadlines, state->ops.count + 1) != 0)
        return -ENOMEM;
    op = calloc(1, sizeof(*op));
    if (op == NULL)
        return -ENOMEM;
    op->kind = request->kind;
    op->waiter = waiter;
    op->owner = request->owner;
    op->offset = request->offset;
    op->count = request->count;
    op->version = request->version;
    op->is_write = request->is_write;
    table_add(&state->ops, &op->by_number, ++state->numbers);
    state->usage.ops++;
    *out = op;
    return 0;
}

struct op *
op_find(const struct state *state, uint64_t number)
{
    return (struct op *)table_find(&state->ops, number);
}

void
op_free(struct state *state, struct op *op)
{
    ASSERT(!op->is_waiting && op->here == NULL);
    heap_remove(&state->deadlines, &op->deadline);
    if (op->is_waking)
        TAILQ_REMOVE(&state->wakes, op, waking);
    if (op->is_touch)
        table_remove(&state->touches, &op->by_entry);
    table_remove(&state->ops, &op->by_number);
    state->usage.ops--;
    entry_put(state, op->entry);
    free(op->holder);
    state_result_fini(&op->result);
    free(op);
}

/* Numbers of tier.h are told on, but for the one that means "not yet" here. */
void
op_end(struct state *state, struct op *op, int err)
{
    ASSERT(!op->is_over && !op->is_waiting);
    op->is_over = true;
    op->err = err == -EAGAIN ? -STATE_EREFUSED : err;
    op->ask = NULL;
    heap_remove(&state->deadlines, &op->deadline);
    if (err != 0)
        state_result_fini(&op->result);
    if (op->is_left) {
        op_free(state, op);
    } else if (op->is_started) {
        op->is_waking = true;
        TAILQ_INSERT_TAIL(&state->wakes, op, waking);
    }
}

void
op_set_deadline(struct state *state, struct op *op, uint64_t wait_ns)
{
    uint64_t now = state->now();

    if (wait_ns < UINT64_MAX - now)
        heap_add(&state->deadlines, &op->deadline, now + wait_ns);
}

/* Out of its entry's line, which goes on without it. */
static void
leave_entry(struct state *state, struct op *op)
{
    struct entry *entry = entry_pin(op->entry);

    TAILQ_REMOVE(&entry->waiting, op, waiting);
    op->is_waiting = false;
    op_free(state, op);
    entry_run(state, entry);
    entry_put(state, entry);
}

void
op_forget(struct state *state, struct op *op)
{
    if (op->is_over) {
        op_free(state, op);
    } else if (op->here != NULL) {
        here_leave(state, op);
        op_free(state, op);
    } else if (op->is_waiting) {
        leave_entry(state, op);
    } else if (op->kind == STATE_LOCK) {
        lock_forget(state, op);
        op_free(state, op);
    } else if (op->ask == NULL) { /* it looks for what was written */
        op->is_left = true;
    } else if (op->ask->is_push_of_entry) { /* its entry is to hear of it */
        op->is_left = true;
    } else {
        ask_leave(state, op->ask);
        op_free(state, op);
    }
}

void
op_free_all(struct state *state)
{
    for (size_t i = 0; i < state->ops.capacity; i++)
        while (state->ops.items[i] != NULL) {
            struct op *op = (struct op *)state->ops.items[i];

            if (op->is_waiting)
                TAILQ_REMOVE(&op->entry->waiting, op, waiting);
            op->is_waiting = false;
            if (op->here != NULL)
                here_leave(state, op);
            op_free(state, op);
        }
}
