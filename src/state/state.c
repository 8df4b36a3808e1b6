/* SPDX-License-Identifier: Apache-2.0
 *
 * The door: what comes in goes under the lock, and what came of it out again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "state/state_internal.h"

#define TABLE_SIZE  1024u
#define COPY_BYTES  (16u << 10) /* at one time with the lock */
#define HASH_FACTOR UINT64_C(0x9e3779b97f4a7c15)

void
state_enter(struct state *state)
{
    (void)pthread_mutex_lock(&state->lock);
}

/* Eight bytes at a time: a read of what is current takes no longer for it. */
uint64_t
state_hash(const struct state *state, const char *key, size_t count)
{
    uint64_t hash = state->seed ^ count, word = 0;

    for (; count >= sizeof(word); key += sizeof(word), count -= sizeof(word)) {
        (void)memcpy(&word, key, sizeof(word));
        hash = (hash ^ word) * HASH_FACTOR;
        hash ^= hash >> 32;
    }
    word = 0;
    (void)memcpy(&word, key, count);
    hash = (hash ^ word) * HASH_FACTOR;
    return hash ^ hash >> 29;
}

bool
state_key_is_valid(const char *key)
{
    size_t count = strnlen(key, STATE_KEY_BYTES_MAX + 1);

    return count > 0 && count <= STATE_KEY_BYTES_MAX && utf8_is_valid(key, count);
}

/* -------------------------------------------------------------------------------- life */

static int
init_tables(struct state *state)
{
    struct table *tables[] = {&state->keys,    &state->entry_numbers, &state->ops,
                              &state->asks,    &state->locks,         &state->heres,
                              &state->holders, &state->touches};

    for (size_t i = 0; i < ARRAY_COUNT(tables); i++)
        if (table_init(tables[i], TABLE_SIZE) != 0)
            return -ENOMEM;
    state->piece = ask_piece_create();
    return state->piece == NULL ? -ENOMEM : 0;
}

static void
fini(struct state *state)
{
    table_fini(&state->keys);
    table_fini(&state->entry_numbers);
    table_fini(&state->ops);
    table_fini(&state->asks);
    table_fini(&state->locks);
    table_fini(&state->heres);
    table_fini(&state->holders);
    table_fini(&state->touches);
    heap_fini(&state->deadlines);
    free(state->piece);
    (void)pthread_cond_destroy(&state->quiet);
    (void)pthread_mutex_destroy(&state->lock);
    free(state);
}

int
state_create(const struct state_config *config, struct state **out)
{
    struct state *state = calloc(1, sizeof(*state));

    if (state == NULL)
        return -ENOMEM;
    state->config = *config;
    if (state->config.bytes_max == 0)
        state->config.bytes_max = STATE_BYTES_DEFAULT;
    state->now = clock_now_ns;
    state->session = 1;
    (void)pthread_mutex_init(&state->lock, NULL);
    (void)pthread_cond_init(&state->quiet, NULL);
    TAILQ_INIT(&state->by_use);
    TAILQ_INIT(&state->idle);
    TAILQ_INIT(&state->all);
    TAILQ_INIT(&state->queue);
    TAILQ_INIT(&state->cancels);
    TAILQ_INIT(&state->wakes);
    STAILQ_INIT(&state->yields);
    if (init_tables(state) != 0) {
        fini(state);
        return -ENOMEM;
    }
    if (getrandom(&state->seed, sizeof(state->seed), 0) != (ssize_t)sizeof(state->seed))
        state->seed = (uintptr_t)state;
    *out = state;
    return 0;
}

static void
free_yields(struct state *state)
{
    struct yield *yield;

    while ((yield = STAILQ_FIRST(&state->yields)) != NULL) {
        STAILQ_REMOVE_HEAD(&state->yields, next);
        free(yield);
    }
    state->yield_count = 0;
}

void
state_destroy(struct state *state)
{
    if (state == NULL)
        return;
    ASSERT(!state->is_saying);
    op_free_all(state);
    ask_free_all(state);
    lock_free_all(state);
    here_free_all(state);
    entry_free_all(state);
    free_yields(state);
    fini(state);
}

void
state_result_fini(struct state_result *result)
{
    free(result->bytes);
    free(result->counts);
    *result = (struct state_result){0};
}

/* ---------------------------------------------------------------------------- requests */

static int
check_key(const struct state_request *request)
{
    size_t count = strnlen(request->key, STATE_KEY_BYTES_MAX + 1);

    if (count > STATE_KEY_BYTES_MAX)
        return -ENAMETOOLONG;
    if (count == 0 && request->kind == STATE_LIST)
        return 0;
    return count > 0 && utf8_is_valid(request->key, count) ? 0 : -EINVAL;
}

static int
check_bytes(const struct state_request *request)
{
    bool has_bytes =
        request->kind == STATE_SET || request->kind == STATE_CAS || request->kind == STATE_APPEND;

    if (!has_bytes)
        return 0;
    if (request->count > 0 && request->bytes == NULL)
        return -EINVAL;
    if (request->count > STATE_VALUE_BYTES_MAX ||
        (request->kind == STATE_APPEND && request->count > STATE_RECORD_BYTES))
        return -E2BIG;
    return 0;
}

int
request_check(const struct state_request *request)
{
    bool is_part = request->kind == STATE_GET || request->kind == STATE_PULL ||
                   request->kind == STATE_PUSH || request->kind == STATE_ADD;
    int err = check_key(request);

    if (err == 0)
        err = check_bytes(request);
    if (err == 0 && is_part && request->offset > STATE_VALUE_BYTES_MAX)
        err = -EINVAL;
    if (err == 0 && request->kind == STATE_ADD &&
        request->number != RPC__STATE_NUMBER__STATE_NUMBER_I64 &&
        request->number != RPC__STATE_NUMBER__STATE_NUMBER_F64)
        err = -EINVAL;
    return err;
}

static int
dispatch(struct state *state, struct op *op, const struct state_request *request)
{
    switch (request->kind) {
    case STATE_GET:
    case STATE_PULL:
    case STATE_PUSH:
        return entry_wait(state, op, request->key);
    case STATE_SET:
    case STATE_CAS:
    case STATE_ADD:
    case STATE_REMOVE:
        return change_start(state, op, request);
    case STATE_LOCK:
        return lock_start(state, op, request);
    case STATE_UNLOCK:
        return unlock_start(state, op, request);
    case STATE_LOCK_HERE:
        return here_start(state, op, request);
    case STATE_UNLOCK_HERE:
        return here_unlock(state, request->key, request->owner);
    default:
        return simple_start(state, op, request);
    }
}

/* A handler says that it waits, or the error; what ended meanwhile has it in the op. */
static int
outcome(struct state *state, struct op *op, int err, struct state_result *result)
{
    if (err == -EINPROGRESS && !op->is_over) {
        op->is_started = true;
        return -EAGAIN;
    }
    if (err == -EINPROGRESS)
        err = op->err;
    if (err == -EAGAIN)
        err = -STATE_EREFUSED;
    if (err == 0 && result != NULL) {
        *result = op->result;
        op->result = (struct state_result){0};
    }
    op_free(state, op);
    return err;
}

int
state_start(struct state *state, const struct state_request *request, uint64_t waiter,
            uint64_t *op_out, struct state_result *result)
{
    struct op *op;
    int err = request_check(request);

    if (err != 0)
        return err;
    state_enter(state);
    err = op_create(state, request, waiter, &op);
    if (err == 0) {
        uint64_t number = op->by_number.key;

        *result = (struct state_result){0};
        err = outcome(state, op, dispatch(state, op, request), result);
        if (err == -EAGAIN)
            *op_out = number;
    }
    state_leave(state);
    return err;
}

int
state_finish(struct state *state, uint64_t number, struct state_result *result)
{
    struct op *op;
    int err;

    state_enter(state);
    op = op_find(state, number);
    if (op == NULL || op->is_map || op->is_touch || op->is_left) {
        err = -EBADF;
    } else if (!op->is_over) {
        err = -EAGAIN;
    } else {
        err = op->err;
        if (err == 0) {
            *result = op->result;
            op->result = (struct state_result){0};
        }
        op_free(state, op);
    }
    state_leave(state);
    return err;
}

void
state_forget(struct state *state, uint64_t number)
{
    struct op *op;

    state_enter(state);
    op = op_find(state, number);
    if (op != NULL && !op->is_left)
        op_forget(state, op);
    state_leave(state);
}

void
state_call_over(struct state *state, uint64_t owner)
{
    state_enter(state);
    lock_call_over(state, owner);
    here_call_over(state, owner);
    state_leave(state);
}

/* ----------------------------------------------------------------------------- reading */

/* With the lock, as much as is copied in no time. The bytes first, then whether they were
 * current. */
static int
read_some(struct state *state, struct entry *entry, uint64_t offset, void *to, size_t count)
{
    if (entry == NULL || !entry->is_held || entry->versions == NULL || entry->is_mismatched)
        return -EAGAIN;
    if (offset > entry->size || count > entry->size - offset)
        return entry_is_held(state, entry) ? -EINVAL : -EAGAIN;
    if (count > 0 && entry->versions[offset / STATE_CHUNK_BYTES] == 0)
        return -EAGAIN; /* pages of a share that are absent are not to be touched */
    if (count > 0 && entry->versions[(offset + count - 1) / STATE_CHUNK_BYTES] == 0)
        return -EAGAIN;
    if (count > 0)
        (void)memcpy(to, bytes_of(entry) + offset, count);
    return entry_is_current(state, entry, offset, count) ? 0 : -EAGAIN;
}

/* In pieces; the entry's sequence tells whether it was let go or changed in between. */
static int
read_much(struct state *state, const char *key, uint64_t offset, uint8_t *to, size_t count)
{
    uint64_t number = 0, sequence = 0;

    for (size_t done = 0; done < count;) {
        size_t left = count - done, now = left < COPY_BYTES ? left : COPY_BYTES;
        struct entry *entry = entry_find(state, key);
        int err = read_some(state, entry, offset + done, to + done, now);

        if (err != 0)
            return err;
        if (done > 0 && (entry->by_number.key != number || entry->sequence != sequence))
            return -EAGAIN;
        number = entry->by_number.key;
        sequence = entry->sequence;
        done += now;
        if (done < count) {
            (void)pthread_mutex_unlock(&state->lock);
            (void)pthread_mutex_lock(&state->lock);
        } else if (!entry_is_current(state, entry, offset, count)) {
            return -EAGAIN;
        }
    }
    return 0;
}

int
state_read_current(struct state *state, const char *key, uint64_t offset, void *to, size_t count)
{
    struct entry *entry;
    int err;

    (void)pthread_mutex_lock(&state->lock);
    entry = entry_find(state, key);
    if (count <= COPY_BYTES)
        err = read_some(state, entry, offset, to, count);
    else if (entry != NULL && (offset > entry->size || count > entry->size - offset))
        err = read_some(state, entry, offset, to, count); /* says so */
    else
        err = read_much(state, key, offset, to, count);
    if (err == 0) {
        state->usage.hits++;
        entry = count <= COPY_BYTES ? entry : entry_find(state, key);
        entry_use(state, entry);
    }
    (void)pthread_mutex_unlock(&state->lock);
    return err;
}

/* ------------------------------------------------------------------------------- usage */

void
state_usage(struct state *state, struct state_usage *out)
{
    state_enter(state);
    *out = state->usage;
    out->bytes = state->bytes;
    out->locks = state->locks.count + state->holders.count;
    state_leave(state);
}
