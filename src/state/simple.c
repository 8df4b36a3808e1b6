/* SPDX-License-Identifier: Apache-2.0
 *
 * What is asked and answered, and changes nothing that is here: stat, logs, lists, watches.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "state/state_internal.h"

static int
fill_append(struct ask *ask, const struct state_request *request)
{
    ask->byte_count = request->count;
    if (request->count == 0)
        return 0;
    ask->bytes = fault_point("state.bytes") != 0 ? NULL : malloc(request->count);
    if (ask->bytes == NULL)
        return -ENOMEM;
    (void)memcpy(ask->bytes, request->bytes, request->count);
    return 0;
}

static uint32_t
at_most(uint64_t count, uint32_t max)
{
    return count == 0 || count > max ? max : (uint32_t)count;
}

static int
fill_read(struct ask *ask, const struct state_request *request)
{
    ask->offset = request->offset;
    ask->bytes_max = at_most(request->count, STATE_RECORD_BYTES);
    ask->count_max = at_most(request->size, STATE_LIST_MAX);
    ask->may_repeat = true;
    return 0;
}

/* Where to go on is text. */
static int
fill_list(struct ask *ask, const struct state_request *request)
{
    const char *after = request->bytes == NULL ? "" : request->bytes;

    if (strnlen(after, STATE_KEY_BYTES_MAX + 1) > STATE_KEY_BYTES_MAX)
        return -ENAMETOOLONG;
    if (after[0] != '\0' && !state_key_is_valid(after))
        return -EINVAL;
    ask->count_max = at_most(request->count, STATE_LIST_MAX);
    ask->may_repeat = true;
    ask->after = fault_point("state.bytes") != 0 ? NULL : strdup(after);
    return ask->after == NULL ? -ENOMEM : 0;
}

static int
fill(struct ask *ask, const struct state_request *request)
{
    switch (request->kind) {
    case STATE_APPEND:
        return fill_append(ask, request);
    case STATE_READ:
        return fill_read(ask, request);
    case STATE_LIST:
        return fill_list(ask, request);
    case STATE_TRIM:
        ask->offset = request->offset;
        break;
    case STATE_WATCH:
        ask->version = request->version;
        ask->wait_ns = request->wait_ns;
        break;
    case STATE_EXPIRE:
        ask->wait_ns = request->wait_ns;
        break;
    default:
        break;
    }
    ask->may_repeat = true;
    return 0;
}

static bool
case_of(enum state_kind kind, Rpc__StateAsk__IsCase *is)
{
    static const struct {
        enum state_kind kind;
        Rpc__StateAsk__IsCase is;
    } table[] = {
        {STATE_STAT, RPC__STATE_ASK__IS_STAT},     {STATE_APPEND, RPC__STATE_ASK__IS_APPEND},
        {STATE_READ, RPC__STATE_ASK__IS_READ},     {STATE_TRIM, RPC__STATE_ASK__IS_REMOVE},
        {STATE_LIST, RPC__STATE_ASK__IS_LIST},     {STATE_WATCH, RPC__STATE_ASK__IS_WATCH},
        {STATE_EXPIRE, RPC__STATE_ASK__IS_EXPIRE},
    };

    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        if (table[i].kind == kind) {
            *is = table[i].is;
            return true;
        }
    return false;
}

int
simple_start(struct state *state, struct op *op, const struct state_request *request)
{
    Rpc__StateAsk__IsCase is;
    struct ask *ask;
    int err;

    if (!case_of(request->kind, &is))
        return -EINVAL;
    if (request->kind == STATE_TRIM && request->offset == 0)
        return 0; /* to the tier that would be all of it */
    err = ask_create(state, is, request->key, &ask);
    if (err != 0)
        return err;
    err = fill(ask, request);
    if (err != 0) {
        ask_put(state, ask);
        return err;
    }
    ask->op = op;
    op->ask = ask;
    ask_queue(state, ask);
    return -EINPROGRESS;
}

/* ------------------------------------------------------------------------------ answers */

/* Of a log's records, or a list's page of keys, which were checked. */
void
simple_piece(struct ask *ask, const Rpc__StateAnswer *answer)
{
    for (size_t i = 0; i < answer->n_items; i++)
        buffer_append(&ask->gathered, answer->items[i]->key, strlen(answer->items[i]->key) + 1);
    ask->item_count += answer->n_items;
    if (ask->is != RPC__STATE_ASK__IS_READ)
        return;
    buffer_append(&ask->gathered, answer->bytes.data, answer->bytes.len);
    buffer_append(&ask->counts, answer->counts, answer->n_counts * sizeof(*answer->counts));
    ask->item_count += answer->n_counts;
}

static void
result_stat(struct state *state, const struct ask *ask, const Rpc__StateAnswer *answer,
            struct state_result *result)
{
    const struct entry *entry = entry_find(state, ask->key);

    result->lives_ns = answer->lives_ns;
    result->is_log = answer->is_log;
    result->is_current = entry != NULL && entry->version == answer->version &&
                         entry_is_current(state, entry, 0, UINT64_MAX);
}

void
simple_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct op *op = ask->op;
    int err = answer->err;

    if (op == NULL)
        return;
    if (err == 0)
        err = ask->gathered.err != 0 ? ask->gathered.err : ask->counts.err;
    if (err == 0) {
        op->result.size = answer->size;
        op->result.version = answer->version;
        op->result.value = answer->result;
        op->result.bytes = ask->gathered.bytes;
        op->result.count = ask->gathered.count;
        op->result.counts = (uint32_t *)(void *)ask->counts.bytes;
        op->result.item_count = ask->item_count;
        ask->gathered = ask->counts = (struct buffer){0};
        if (ask->is == RPC__STATE_ASK__IS_STAT)
            result_stat(state, ask, answer, &op->result);
    }
    op_end(state, op, err);
}
