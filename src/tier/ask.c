/* SPDX-License-Identifier: Apache-2.0
 *
 * What was asked, checked as far as it can be without looking at what is there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tier/tier_internal.h"

static int
refuse(int err, const char *text, const char **why)
{
    *why = text;
    return err;
}

static int
check_key(const Rpc__StateAsk *ask, const char **why)
{
    size_t count = strnlen(ask->key, TIER_KEY_BYTES_MAX + 1);

    if (count > TIER_KEY_BYTES_MAX)
        return refuse(-ENAMETOOLONG, "a key has at most 255 bytes", why);
    if (count == 0 && ask->is_case != RPC__STATE_ASK__IS_LIST)
        return refuse(-EINVAL, "a key has at least one byte", why);
    if (!utf8_is_valid(ask->key, count))
        return refuse(-EINVAL, "a key is UTF-8", why);
    return 0;
}

static int
read_pull(struct op *op, const Rpc__StatePull *pull, bool is_whole, const char **why)
{
    if (is_whole && pull->hold)
        return refuse(-EINVAL, "only a session can hold a copy", why);
    op->offset = pull->offset;
    op->size = pull->count;
    op->version = pull->known;
    op->hold = pull->hold;
    return 0;
}

static int
read_add(struct op *op, const Rpc__StateAdd *add, const char **why)
{
    if (add->number != RPC__STATE_NUMBER__STATE_NUMBER_I64 &&
        add->number != RPC__STATE_NUMBER__STATE_NUMBER_F64)
        return refuse(-EINVAL, "what is added is neither an integer nor a float", why);
    if (add->size > TIER_VALUE_BYTES_MAX)
        return refuse(-E2BIG, "a value has at most 1 TiB", why);
    if (add->offset > TIER_VALUE_BYTES_MAX - 8)
        return refuse(-EINVAL, "an offset outside of any value", why);
    op->offset = add->offset;
    op->is_float = add->number == RPC__STATE_NUMBER__STATE_NUMBER_F64;
    op->operand = add->operand;
    op->size = add->size;
    op->fence = add->fence;
    return 0;
}

static int
read_append(struct op *op, const Rpc__StateAppend *append, const char **why)
{
    if (append->bytes.len > TIER_RECORD_BYTES_MAX)
        return refuse(-E2BIG, "a record has at most 1 MiB", why);
    buffer_append(&op->bytes, append->bytes.data, append->bytes.len);
    return op->bytes.err;
}

static int
read_lock(struct op *op, const Rpc__StateLock *lock, bool is_whole, const char **why)
{
    if (is_whole)
        return refuse(-EINVAL, "only a session can have a lock", why);
    if (lock->mode != RPC__STATE_LOCK_MODE__STATE_LOCK_READ &&
        lock->mode != RPC__STATE_LOCK_MODE__STATE_LOCK_WRITE)
        return refuse(-EINVAL, "a lock is to read or to write", why);
    op->is_write = lock->mode == RPC__STATE_LOCK_MODE__STATE_LOCK_WRITE;
    op->wait_ns = lock->wait_ns;
    op->owner = lock->owner;
    return 0;
}

static int
read_list(struct op *op, const Rpc__StateList *list, const char **why)
{
    size_t count = strnlen(list->after, TIER_KEY_BYTES_MAX + 1);

    if (count > TIER_KEY_BYTES_MAX)
        return refuse(-ENAMETOOLONG, "a key has at most 255 bytes", why);
    if (!utf8_is_valid(list->after, count))
        return refuse(-EINVAL, "a key is UTF-8", why);
    op->count_max = list->count_max;
    if (op->count_max == 0 || op->count_max > TIER_LIST_MAX)
        op->count_max = TIER_LIST_MAX;
    op->after = strdup(list->after);
    return op->after == NULL ? -ENOMEM : 0;
}

static_assert((int)ELEMENT_LAST == (int)RPC__STATE_ELEMENT__STATE_ELEMENT_DOUBLE, "state.proto");

static int
read_adds(struct op *op, const Rpc__StatePush *push, const char **why)
{
    if (push->adds == RPC__STATE_ELEMENT__STATE_ELEMENT_NONE)
        return 0;
    if (push->adds < 0 || (unsigned)push->adds > ELEMENT_LAST)
        return refuse(-EINVAL, "elements of a type that is none", why);
    if (push->replaces)
        return refuse(-EINVAL, "what is added does not replace what is there", why);
    op->adds = (enum element)push->adds;
    if (push->size % element_bytes(op->adds) != 0)
        return refuse(-EINVAL, "a value that is not whole elements", why);
    return 0;
}

static int
read_push(struct op *op, const Rpc__StateAsk *ask, bool is_whole, const char **why)
{
    const Rpc__StatePush *push = ask->push;
    int err;

    if (is_whole && push->hold)
        return refuse(-EINVAL, "only a session can hold a copy", why);
    if (push->size > TIER_VALUE_BYTES_MAX)
        return refuse(-E2BIG, "a value has at most 1 TiB", why);
    op->size = push->size;
    op->may_create = push->may_create;
    op->replaces = push->replaces;
    op->has_condition = push->has_condition;
    op->version = push->version;
    op->fence = push->fence;
    op->lives_ns = push->lives_ns;
    op->hold = push->hold;
    if (!is_whole && push->bytes.len > TIER_PIECE_BYTES)
        return refuse(-E2BIG, "a piece has at most 256 KiB", why);
    err = read_adds(op, push, why);
    return err != 0 ? err : tier_ask_piece(op, ask, why);
}

static int
reserve_runs(struct op *op, size_t more)
{
    size_t capacity = op->run_capacity == 0 ? 4 : op->run_capacity;
    struct run *runs;

    if (more <= op->run_capacity - op->run_count)
        return 0;
    while (capacity < op->run_count + more)
        capacity *= 2;
    runs = realloc(op->runs, capacity * sizeof(*runs));
    if (runs == NULL)
        return -ENOMEM;
    op->runs = runs;
    op->run_capacity = capacity;
    return 0;
}

static int
add_runs(struct op *op, const Rpc__StatePush *push, const char **why)
{
    uint64_t end = op->run_count == 0
                       ? 0
                       : op->runs[op->run_count - 1].offset + op->runs[op->run_count - 1].count;
    uint64_t unit = element_bytes(op->adds);

    for (size_t i = 0; i < push->n_runs; i++) {
        const Rpc__StateRun *run = push->runs[i];

        if (run->offset < end || run->count == 0)
            return refuse(-EINVAL, "runs that are empty or not in order", why);
        if (run->offset > op->size || run->count > op->size - run->offset)
            return refuse(-EINVAL, "a run outside of the value", why);
        if (run->offset % unit != 0 || run->count % unit != 0)
            return refuse(-EINVAL, "a run that is not whole elements", why);
        end = run->offset + run->count;
        op->runs[op->run_count++] = (struct run){run->offset, run->count};
    }
    return 0;
}

int
tier_ask_piece(struct op *op, const Rpc__StateAsk *ask, const char **why)
{
    const Rpc__StatePush *push = ask->push;
    int err;

    if (op->prefix == NULL) {
        op->prefix = strdup(ask->key);
        if (op->prefix == NULL)
            return -ENOMEM;
    } else {
        if (strcmp(op->prefix, ask->key) != 0)
            return refuse(-EINVAL, "pieces of one push with several keys", why);
        if (push->size != 0 && push->size != op->size)
            return refuse(-EINVAL, "pieces of one push with several sizes", why);
        if (push->adds != 0 && (int)push->adds != (int)op->adds)
            return refuse(-EINVAL, "pieces of one push with several elements", why);
        if (push->bytes.len > TIER_PIECE_BYTES)
            return refuse(-E2BIG, "a piece has at most 256 KiB", why);
    }
    if (push->n_runs > TIER_RUNS_MAX - op->run_count ||
        push->bytes.len > TIER_PUSH_BYTES_MAX - op->bytes.count)
        return refuse(-E2BIG, "a push of more than 1 GiB or 64 million runs", why);
    err = reserve_runs(op, push->n_runs);
    if (err == 0)
        err = add_runs(op, push, why);
    if (err == 0) {
        buffer_append(&op->bytes, push->bytes.data, push->bytes.len);
        err = op->bytes.err;
    }
    return err;
}

int
tier_ask_end(struct op *op, const char **why)
{
    uint64_t bytes = 0, chunks = 0, next = 0;

    for (size_t i = 0; i < op->run_count; i++) {
        uint64_t first = op->runs[i].offset / TIER_CHUNK_BYTES;
        uint64_t last = (op->runs[i].offset + op->runs[i].count - 1) / TIER_CHUNK_BYTES;

        if (first < next)
            first = next;
        chunks += last + 1 - first;
        next = last + 1;
        bytes += op->runs[i].count; /* below 2^40 */
    }
    if (bytes != op->bytes.count)
        return refuse(-EINVAL, "a push with more or fewer bytes than its runs", why);
    if (chunks > TIER_PUSH_BYTES_MAX / TIER_CHUNK_BYTES)
        return refuse(-E2BIG, "a push that touches more than 1 GiB of chunks", why);
    op->operand = chunks;
    return 0;
}

/* What has no more to check. */
static int
read_other(struct op *op, const Rpc__StateAsk *ask, const char **why)
{
    switch (ask->is_case) {
    case RPC__STATE_ASK__IS_STAT:
        return 0;
    case RPC__STATE_ASK__IS_READ:
        op->offset = ask->read->index;
        op->count_max = ask->read->count_max;
        op->bytes_max = ask->read->bytes_max;
        return 0;
    case RPC__STATE_ASK__IS_REMOVE:
        op->offset = ask->remove->before;
        op->has_condition = ask->remove->has_condition;
        op->version = ask->remove->version;
        op->fence = ask->remove->fence;
        return 0;
    case RPC__STATE_ASK__IS_UNLOCK:
        op->fence = ask->unlock->fence;
        return 0;
    case RPC__STATE_ASK__IS_WATCH:
        op->version = ask->watch->version;
        op->wait_ns = ask->watch->wait_ns;
        return 0;
    case RPC__STATE_ASK__IS_EXPIRE:
        op->lives_ns = ask->expire->lives_ns;
        return 0;
    default:
        return refuse(-EINVAL, "an ask that is none", why);
    }
}

int
tier_ask_read(struct op *op, const Rpc__StateAsk *ask, bool is_whole, const char **why)
{
    int err = check_key(ask, why);

    if (err == 0 && ask->has_more && ask->is_case != RPC__STATE_ASK__IS_PUSH)
        err = refuse(-EINVAL, "only a push comes in pieces", why);
    if (err != 0)
        return err;
    switch (ask->is_case) {
    case RPC__STATE_ASK__IS_PULL:
        return read_pull(op, ask->pull, is_whole, why);
    case RPC__STATE_ASK__IS_PUSH:
        return read_push(op, ask, is_whole, why);
    case RPC__STATE_ASK__IS_ADD:
        return read_add(op, ask->add, why);
    case RPC__STATE_ASK__IS_APPEND:
        return read_append(op, ask->append, why);
    case RPC__STATE_ASK__IS_LIST:
        return read_list(op, ask->list, why);
    case RPC__STATE_ASK__IS_LOCK:
        return read_lock(op, ask->lock, is_whole, why);
    default:
        return read_other(op, ask, why);
    }
}
