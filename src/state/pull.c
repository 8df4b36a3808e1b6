/* SPDX-License-Identifier: Apache-2.0
 *
 * Pulls, and whose turn it is at an entry.
 *
 * Who wants bytes that are not current waits in line at the entry, with a pull of them that is
 * under way, or is asked now. One who came after a pull was said is content with its answer only
 * if the entry is current with it: a push that was over before he came would have taken the hold.
 * Else he has one said of his own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "state/state_internal.h"

/* ----------------------------------------------------------------------------- results */

int
get_copy(struct op *op, const struct entry *entry)
{
    uint64_t left, count;

    if (op->offset > entry->size)
        return -EINVAL;
    left = entry->size - op->offset;
    count = op->count < left ? op->count : left;
    op->result.bytes = fault_point("state.result") != 0 ? NULL : malloc(count > 0 ? count : 1);
    if (op->result.bytes == NULL)
        return -ENOMEM;
    if (count > 0)
        (void)memcpy(op->result.bytes, bytes_of(entry) + op->offset, count);
    op->result.count = count;
    return 0;
}

/* -------------------------------------------------------------------------- what to ask */

/* By chunks, what an op wants of its entry. */
static void
range_of(const struct op *op, uint64_t *offset, uint64_t *count)
{
    uint64_t end = op->count < STATE_VALUE_BYTES_MAX - op->offset ? op->offset + op->count
                                                                  : STATE_VALUE_BYTES_MAX;
    bool is_all = op->count == 0 && op->kind == STATE_PULL && !op->is_map;

    if (is_all)
        end = STATE_VALUE_BYTES_MAX;
    *offset = op->offset / STATE_CHUNK_BYTES * STATE_CHUNK_BYTES;
    *count = ROUND_UP(end, (uint64_t)STATE_CHUNK_BYTES) - *offset;
    if (op->count == 0 && !is_all)
        *count = 0;
}

/* The version that all of it is of; 0: not all is of one. */
static uint64_t
known_version(const struct entry *entry, uint64_t offset, uint64_t count)
{
    uint64_t first = offset / STATE_CHUNK_BYTES, end = chunk_count(entry->size), version;

    if (entry->versions == NULL || entry->is_mismatched || first >= end || count == 0)
        return 0;
    if (count / STATE_CHUNK_BYTES < end - first)
        end = first + count / STATE_CHUNK_BYTES;
    version = entry->versions[first];
    for (uint64_t i = first; i < end; i++)
        if (entry->versions[i] != version)
            return 0;
    return version == STATE_VERSION_OLD ? 0 : version;
}

static struct ask *
find_covering(const struct entry *entry, uint64_t offset, uint64_t count)
{
    struct ask *ask;

    TAILQ_FOREACH(ask, &entry->pulls, pull)
    if (ask->offset <= offset && offset + count <= ask->offset + ask->count)
        return ask;
    return NULL;
}

static int
ask_pull(struct state *state, struct entry *entry, uint64_t offset, uint64_t count,
         struct ask **out)
{
    struct ask *ask;
    int err = ask_create(state, RPC__STATE_ASK__IS_PULL, entry->key, &ask);

    if (err != 0)
        return err;
    ask->entry = entry_pin(entry);
    ask->offset = offset;
    ask->count = count;
    ask->version = known_version(entry, offset, count);
    ask->hold = ask->is_of_entry = ask->may_repeat = true;
    TAILQ_INSERT_TAIL(&entry->pulls, ask, pull);
    state->usage.pulls++;
    ask_queue(state, ask);
    *out = ask;
    return 0;
}

/* Of a value that is mapped here with another size. */
static int
ask_direct(struct state *state, struct op *op)
{
    uint64_t offset, count;
    struct ask *ask;
    int err = ask_create(state, RPC__STATE_ASK__IS_PULL, op->entry->key, &ask);

    if (err != 0)
        return err;
    range_of(op, &offset, &count);
    ask->offset = offset;
    ask->count = count;
    ask->may_repeat = true;
    ask->op = op;
    op->ask = ask;
    state->usage.pulls++;
    ask_queue(state, ask);
    return 0;
}

/* ------------------------------------------------------------------------------- turns */

static void
out_of_line(struct op *op)
{
    TAILQ_REMOVE(&op->entry->waiting, op, waiting);
    op->is_waiting = false;
    op->ask = NULL;
}

/* What it waited for is here, or is not to be had. */
static void
pull_over(struct state *state, struct op *op, int err)
{
    struct entry *entry = op->entry;

    out_of_line(op);
    if (err == 0 && entry->is_mismatched) {
        if (op->kind == STATE_GET)
            err = ask_direct(state, op);
        else
            err = -EMSGSIZE;
        if (err == 0)
            return;
    }
    if (err == 0 && op->kind == STATE_GET)
        err = get_copy(op, entry);
    op->result.size = entry->size;
    op->result.version = entry->version;
    if (op->is_map && map_pulled(state, op, &err))
        return;
    op_end(state, op, err);
}

void
pull_begin(struct state *state, struct op *op)
{
    struct entry *entry = op->entry;
    struct ask *ask;
    uint64_t offset, count;
    int err = 0;

    range_of(op, &offset, &count);
    if (entry_is_current(state, entry, offset, count)) {
        state->usage.hits++;
        pull_over(state, op, 0);
        return;
    }
    ask = find_covering(entry, offset, count);
    if (ask == NULL)
        err = ask_pull(state, entry, offset, count, &ask);
    if (err != 0) {
        pull_over(state, op, err);
        return;
    }
    op->ask = ask;
    op->is_asked = !ask->is_said;
}

static struct op *
next_of(const struct entry *entry)
{
    struct op *op;

    TAILQ_FOREACH(op, &entry->waiting, waiting)
    {
        if (entry->push != NULL)
            return NULL;
        if (op->kind == STATE_PUSH) {
            bool is_turn = op == TAILQ_FIRST(&entry->waiting) && TAILQ_EMPTY(&entry->pulls);

            return is_turn ? op : NULL;
        }
        if (op->ask == NULL)
            return op;
    }
    return NULL;
}

void
entry_run(struct state *state, struct entry *entry)
{
    struct op *op;

    (void)entry_pin(entry);
    while ((op = next_of(entry)) != NULL) {
        if (op->kind == STATE_PUSH) {
            out_of_line(op);
            push_begin(state, op);
        } else {
            pull_begin(state, op);
        }
    }
    entry_put(state, entry);
}

int
entry_wait(struct state *state, struct op *op, const char *key)
{
    int err = op->entry == NULL ? entry_get(state, key, &op->entry) : 0;

    if (err != 0)
        return err;
    op->is_waiting = true;
    TAILQ_INSERT_TAIL(&op->entry->waiting, op, waiting);
    entry_run(state, op->entry);
    return -EINPROGRESS;
}

/* ------------------------------------------------------------------------------ answers */

/* The value has this size. Where it is mapped here with another, what comes is not kept. */
static void
learn_size(struct state *state, struct entry *entry, uint64_t size)
{
    bool is_other = entry->versions != NULL && entry->size != size;

    if (is_other && entry->mappings == 0 && entry->push == NULL)
        entry_drop_bytes(state, entry);
    if (entry->versions == NULL)
        entry->size = size;
    entry->is_mismatched = entry->size != size;
    if (entry->is_mismatched)
        entry_let_go(entry);
}

/* Into what the bytes go: that of who waits to map them, so that they need not be copied. */
static int
make_place(struct state *state, struct entry *entry)
{
    bool is_mapped = false, is_written = false;
    struct op *op;

    if (entry->versions != NULL)
        return 0;
    TAILQ_FOREACH(op, &entry->waiting, waiting)
    {
        is_mapped = is_mapped || (op->is_map && entry->size > 0);
        is_written = is_written || (op->is_map && (op->flags & STATE_MAP_WRITE) != 0);
    }
    return bytes_make(state, entry,
                      (struct bytes_wanted){is_mapped, !is_mapped || is_written, false});
}

int
entry_learn(struct state *state, struct entry *entry, uint64_t size)
{
    learn_size(state, entry, size);
    return entry->is_mismatched ? 0 : make_place(state, entry);
}

/* There is none: what is mapped stays, as the bytes of no version. */
void
entry_is_gone(struct state *state, struct entry *entry)
{
    entry_let_go(entry);
    if (entry->mappings == 0 && entry->push == NULL)
        entry_drop_bytes(state, entry);
    else
        bytes_renew(entry, 0, STATE_VERSION_OLD);
}

/* It is said once more: who waits for it has come before that. Some of what is known may be of
 * another version by now. */
void
pull_again(struct ask *ask)
{
    struct op *op;

    if (ask->has_begun)
        ask->version = 0;
    ask->is_late = false;
    ask->err = 0;
    if (!ask->is_of_entry)
        return;
    TAILQ_FOREACH(op, &ask->entry->waiting, waiting)
    if (op->ask == ask)
        op->is_asked = true;
}

/* A version that is lower than ours: it was answered before a change of ours; or the tier has
 * gone back in time, and what is here is of no version any more. */
static void
begin_answer(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct entry *entry = ask->entry;

    if (answer->version < entry->version && ask->version_before < entry->version) {
        ask->is_late = true;
        return;
    }
    if (answer->version < entry->version) {
        entry_let_go(entry);
        bytes_renew(entry, 0, STATE_VERSION_OLD);
        entry->version = 0;
    }
    ask->err = entry_learn(state, entry, answer->size);
}

/* A piece of a pull, which was checked. */
void
pull_piece(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct entry *entry = ask->entry;
    bool is_first = !ask->has_begun;

    if (is_first)
        ask->answer_next = ask->offset;
    ask->has_begun = true;
    ask->answer_size = answer->size;
    ask->answer_version = answer->version;
    state->usage.bytes_pulled += answer->bytes.len;
    if (!ask->is_of_entry) {
        buffer_append(&ask->gathered, answer->bytes.data, answer->bytes.len);
    } else if (is_first) {
        begin_answer(state, ask, answer);
    } else if (answer->version < entry->version) {
        ask->is_late = true;
    }
    ask->answer_next += answer->bytes.len;
    if (ask->is_of_entry && !ask->is_late && ask->err == 0 && entry->versions != NULL &&
        entry->size == answer->size && answer->bytes.len > 0)
        ask->err = bytes_hear(state, entry, ask->answer_next - answer->bytes.len,
                              answer->bytes.data, answer->bytes.len, answer->version);
}

static void
direct_over(struct state *state, struct ask *ask, int err)
{
    struct op *op = ask->op;
    uint64_t skip, count;

    if (op == NULL)
        return;
    skip = op->offset - ask->offset;
    if (err == 0)
        err = ask->gathered.err;
    if (err == 0 && op->offset > ask->answer_size)
        err = -EINVAL;
    if (err == 0) {
        count = ask->gathered.count > skip ? ask->gathered.count - skip : 0;
        op->result.count = op->count < count ? op->count : count;
        if (skip > 0 && op->result.count > 0)
            (void)memmove(ask->gathered.bytes, ask->gathered.bytes + skip, op->result.count);
        op->result.bytes = ask->gathered.bytes;
        op->result.size = ask->answer_size;
        op->result.version = ask->answer_version;
        ask->gathered = (struct buffer){0};
    }
    op_end(state, op, err);
}

void
hold_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct entry *entry = ask->entry;

    if (answer->version > entry->version)
        entry->version = answer->version;
    if (!answer->is_held || answer->version < entry->version || entry->is_mismatched)
        return;
    /* A take, a lease that was over, a change of ours since it was asked: the hold is another,
     * or is not any more. */
    if (ask->takes != entry->takes || ask->epoch != state->hold_epoch || entry->changing != 0 ||
        (!ask->is_change && ask->changes != entry->changes))
        return;
    entry->is_held = true;
    entry->hold_epoch = state->hold_epoch;
}

/* Whether all that an op wants is there, of whatever version. */
static bool
is_there(const struct entry *entry, const struct op *op)
{
    uint64_t offset, count, end;

    if (entry->is_mismatched)
        return true;
    if (entry->versions == NULL)
        return false;
    range_of(op, &offset, &count);
    end = chunk_count(entry->size);
    for (uint64_t i = 0; i < count / STATE_CHUNK_BYTES; i++) {
        uint64_t chunk = offset / STATE_CHUNK_BYTES + i;

        if (chunk >= end)
            break;
        if (entry->versions[chunk] == 0)
            return false;
    }
    return true;
}

/* One who came late and finds nothing current asks again. */
static void
go_on(struct state *state, struct ask *ask, int err)
{
    struct entry *entry = ask->entry;
    struct op *op = TAILQ_FIRST(&entry->waiting), *next;

    for (; op != NULL; op = next) {
        next = TAILQ_NEXT(op, waiting);
        if (op->ask != ask)
            continue;
        op->ask = NULL;
        if (op->is_asked && (err != 0 || (!ask->is_late && is_there(entry, op))))
            pull_over(state, op, err);
    }
}

/* There was no room for all: what came is in nobody's way, unless somebody has it. */
static void
give_back(struct state *state, struct entry *entry)
{
    if (entry->mappings == 0 && entry->push == NULL && TAILQ_EMPTY(&entry->pulls) &&
        !bytes_has_unpushed(entry))
        entry_drop_bytes(state, entry);
}

void
pull_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct entry *entry = ask->entry;
    int err = answer->err;

    if (!ask->is_of_entry) {
        direct_over(state, ask, err);
        return;
    }
    TAILQ_REMOVE(&entry->pulls, ask, pull);
    if (err == -ENOENT)
        entry_is_gone(state, entry);
    if (err == 0)
        err = ask->err;
    if (err == 0)
        hold_heard(state, ask, answer);
    else if (err == ask->err)
        give_back(state, entry);
    go_on(state, ask, err);
    entry_run(state, entry);
}
