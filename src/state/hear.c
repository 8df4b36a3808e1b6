/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tier says: all of it is checked before any of it is believed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "state/state_internal.h"

#define ERRNO_MAX      4095
#define READ_BYTES_MAX (8u << 20)

/* ----------------------------------------------------------------------------- checking */

/* From its start to its end, or nothing where the version was known. */
static bool
check_pull(const struct ask *ask, const Rpc__StateAnswer *answer)
{
    uint64_t end = ask->offset, next = ask->has_begun ? ask->answer_next : ask->offset;
    uint64_t count = answer->bytes.len;
    bool is_known = ask->version != 0 && answer->version == ask->version;

    if (answer->version == 0 || answer->version == STATE_VERSION_OLD ||
        answer->size > STATE_VALUE_BYTES_MAX || ask->offset > answer->size)
        return false;
    if (ask->has_begun &&
        (answer->size != ask->answer_size || answer->version != ask->answer_version))
        return false;
    if (!is_known)
        end = ask->count < answer->size - ask->offset ? ask->offset + ask->count : answer->size;
    if (count > STATE_PIECE_BYTES || count > end - next || (count > 0 && answer->offset != next))
        return false;
    if (answer->has_more)
        return count > 0 && count % STATE_CHUNK_BYTES == 0;
    return next + count == end;
}

static bool
check_read(const struct ask *ask, const Rpc__StateAnswer *answer)
{
    uint64_t bytes = 0;

    if (answer->bytes.len > READ_BYTES_MAX - ask->gathered.count ||
        answer->n_counts > ask->count_max - ask->item_count)
        return false;
    for (size_t i = 0; i < answer->n_counts; i++)
        bytes += answer->counts[i];
    return bytes == answer->bytes.len;
}

static bool
check_list(const struct ask *ask, const Rpc__StateAnswer *answer)
{
    if (answer->n_items > ask->count_max - ask->item_count)
        return false;
    for (size_t i = 0; i < answer->n_items; i++)
        if (!state_key_is_valid(answer->items[i]->key))
            return false;
    return true;
}

static bool
check_change(const struct ask *ask, const Rpc__StateAnswer *answer)
{
    if (ask->is == RPC__STATE_ASK__IS_REMOVE)
        return true;
    return answer->version != 0 && answer->version != STATE_VERSION_OLD;
}

static bool
check_answer(const struct ask *ask, const Rpc__StateAnswer *answer)
{
    if (!ask->is_all_said || answer->err > 0 || answer->err < -ERRNO_MAX)
        return false;
    if (answer->err != 0)
        return !answer->has_more;
    switch (ask->is) {
    case RPC__STATE_ASK__IS_PULL:
        return check_pull(ask, answer);
    case RPC__STATE_ASK__IS_READ:
        return check_read(ask, answer);
    case RPC__STATE_ASK__IS_LIST:
        return check_list(ask, answer);
    case RPC__STATE_ASK__IS_PUSH:
    case RPC__STATE_ASK__IS_ADD:
    case RPC__STATE_ASK__IS_REMOVE:
        return !answer->has_more && check_change(ask, answer);
    case RPC__STATE_ASK__IS_LOCK:
        return !answer->has_more && answer->result != 0;
    default:
        return !answer->has_more;
    }
}

/* ------------------------------------------------------------------------------ settling */

static void
settle_change(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    if (ask->is_creation)
        map_created(state, ask, answer);
    else if (ask->is_push_of_entry)
        push_heard(state, ask, answer);
    else
        change_heard(state, ask, answer);
}

void
ask_settle(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    ask->refs++;
    ask_end(state, ask);
    if (ask->is == RPC__STATE_ASK__IS_PULL)
        pull_heard(state, ask, answer);
    else if (ask->is_change)
        settle_change(state, ask, answer);
    else if (ask->is == RPC__STATE_ASK__IS_LOCK || ask->is == RPC__STATE_ASK__IS_UNLOCK)
        lock_heard(state, ask, answer);
    else
        simple_heard(state, ask, answer);
    ask_put(state, ask);
}

bool
hear_answer(struct state *state, const Rpc__StateAnswer *answer)
{
    struct ask *ask = (struct ask *)table_find(&state->asks, answer->number);

    if (ask == NULL || !ask->is_said || !check_answer(ask, answer))
        return false;
    if (answer->err == 0 && ask->is == RPC__STATE_ASK__IS_PULL)
        pull_piece(state, ask, answer);
    else if (answer->err == 0)
        simple_piece(ask, answer);
    if (!answer->has_more)
        ask_settle(state, ask, answer);
    return true;
}

/* ------------------------------------------------------------------------------- taking */

static bool
hear_take(struct state *state, const Rpc__StateTake *take)
{
    struct yield *yield;
    struct entry *entry;

    if (!state_key_is_valid(take->key) || state->yield_count >= STATE_YIELDS_MAX)
        return false;
    yield = malloc(sizeof(*yield));
    if (yield == NULL)
        return false;
    yield->serial = take->serial;
    STAILQ_INSERT_TAIL(&state->yields, yield, next);
    state->yield_count++;
    entry = entry_find(state, take->key);
    if (entry != NULL) {
        entry->takes++;
        entry_let_go(entry);
    }
    return true;
}

static bool
hear(struct state *state, const Rpc__StateDown *down)
{
    if (down->is_case == RPC__STATE_DOWN__IS_WELCOME)
        return hear_welcome(state, down->welcome);
    if (!state->is_welcome)
        return false;
    switch (down->is_case) {
    case RPC__STATE_DOWN__IS_HEARD:
        return hear_heard(state, down->heard);
    case RPC__STATE_DOWN__IS_ANSWER:
        return hear_answer(state, down->answer);
    case RPC__STATE_DOWN__IS_TAKE:
        return hear_take(state, down->take);
    default:
        return false;
    }
}

bool
state_hear(struct state *state, const Rpc__StateDown *down)
{
    bool is_fine;

    state_enter(state);
    is_fine = hear(state, down);
    state_leave(state);
    return is_fine;
}
