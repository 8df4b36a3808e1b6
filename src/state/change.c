/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of whole values: set, compare-and-swap, add, remove.
 *
 * They are said at once, any number of them together. The entry is let go when one is said; it
 * is current again with the answer of the last, if that says so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "state/state_internal.h"

#define KEPT_BYTES_MAX (1u << 20) /* of what nobody has read or mapped here */
#define NUMBER_BYTES   8u

void
change_begin(struct ask *ask)
{
    ask->is_change = true;
    ask->entry->changing++;
    ask->entry->changes++;
    entry_let_go(ask->entry);
}

void
change_end(struct ask *ask)
{
    ASSERT(ask->entry->changing > 0);
    ask->entry->changing--;
}

/* ---------------------------------------------------------------------------- starting */

static int
keep_bytes(struct ask *ask, const void *bytes, uint64_t count)
{
    ask->size = ask->byte_count = count;
    if (count == 0)
        return 0;
    ask->bytes = fault_point("state.bytes") != 0 ? NULL : malloc(count);
    if (ask->bytes == NULL)
        return -ENOMEM;
    (void)memcpy(ask->bytes, bytes, count);
    return ask_add_run(ask, 0, count);
}

static int
fill_set(struct ask *ask, const struct state_request *request)
{
    ask->may_create = ask->replaces = ask->hold = true;
    ask->has_condition = request->kind == STATE_CAS;
    ask->version = ask->has_condition ? request->version : 0;
    ask->may_repeat = !ask->has_condition;
    return keep_bytes(ask, request->bytes, request->count);
}

static int
fill_add(struct ask *ask, const struct state_request *request)
{
    ask->offset = request->offset;
    ask->number = request->number;
    ask->operand = request->operand;
    ask->size = request->size;
    return 0;
}

static Rpc__StateAsk__IsCase
case_of(enum state_kind kind)
{
    if (kind == STATE_ADD)
        return RPC__STATE_ASK__IS_ADD;
    return kind == STATE_REMOVE ? RPC__STATE_ASK__IS_REMOVE : RPC__STATE_ASK__IS_PUSH;
}

static int
fill(struct ask *ask, const struct state_request *request)
{
    if (request->kind == STATE_ADD)
        return fill_add(ask, request);
    if (request->kind != STATE_REMOVE)
        return fill_set(ask, request);
    ask->may_repeat = true;
    return 0;
}

int
change_start(struct state *state, struct op *op, const struct state_request *request)
{
    struct ask *ask;
    uint64_t fence;
    int err = lock_fence(state, request->owner, request->key, &fence);

    if (err == 0)
        err = ask_create(state, case_of(request->kind), request->key, &ask);
    if (err != 0)
        return err;
    err = fill(ask, request);
    if (err == 0)
        err = entry_get(state, request->key, &ask->entry);
    if (err != 0) {
        ask_put(state, ask);
        return err;
    }
    ask->fence = fence;
    ask->op = op;
    op->ask = ask;
    state->usage.pushes++;
    state->usage.bytes_pushed += ask->byte_count;
    change_begin(ask);
    ask_queue(state, ask);
    return -EINPROGRESS;
}

/* ------------------------------------------------------------------------------ answers */

/* What was set is what there is, and is kept where somebody has some of it or it is small. */
static void
heard_set(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct entry *entry = ask->entry;
    int err = 0;

    if (entry->push == NULL && answer->version >= entry->version &&
        (entry->versions != NULL || ask->size <= KEPT_BYTES_MAX)) {
        err = entry_learn(state, entry, ask->size);
        if (err == 0 && entry->versions != NULL && !entry->is_mismatched)
            err = bytes_hear(state, entry, 0, ask->bytes, ask->byte_count, answer->version);
    }
    /* With no room its chunks are of older versions, or absent: they are asked for. */
    (void)err;
    hold_heard(state, ask, answer);
}

/* The sum is put where the version before it is, so that adding does not make it be pulled. */
static void
heard_add(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct entry *entry = ask->entry;
    uint64_t sum = answer->result, from = answer->version - 1, chunk, last;

    if (entry->push == NULL && entry->versions != NULL && !entry->is_mismatched &&
        entry->size >= NUMBER_BYTES && ask->offset <= entry->size - NUMBER_BYTES) {
        chunk = ask->offset / STATE_CHUNK_BYTES;
        last = (ask->offset + NUMBER_BYTES - 1) / STATE_CHUNK_BYTES;
        if (chunk == last && from != 0 && entry->versions[chunk] == from &&
            ask->offset % element_bytes(entry->element) == 0) {
            bytes_patch(entry, ask->offset, (const uint8_t *)&sum, sizeof(sum));
            bytes_renew(entry, from, answer->version);
        }
    }
    hold_heard(state, ask, answer);
}

void
change_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct op *op = ask->op;
    int err = answer->err;

    change_end(ask);
    if (ask->is == RPC__STATE_ASK__IS_REMOVE && (err == 0 || err == -ENOENT))
        entry_is_gone(state, ask->entry);
    else if (err == 0 && ask->is == RPC__STATE_ASK__IS_PUSH)
        heard_set(state, ask, answer);
    else if (err == 0)
        heard_add(state, ask, answer);
    if (op == NULL)
        return;
    op->result.size = answer->size;
    op->result.version = answer->version;
    op->result.value = answer->result;
    op_end(state, op, err);
}
