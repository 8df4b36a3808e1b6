/* SPDX-License-Identifier: Apache-2.0
 *
 * For wasi_fuzz: a local tier of eight keys that is only pretended, which sometimes lets wait and
 * sometimes refuses; and of faaslet what hostcall uses.
 */
#ifndef WASI_STATE_H
#define WASI_STATE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "faaslet/faaslet.h"
#include "state/state.h"

enum { FEW_KEYS = 8, FEW_OPS = 64, FEW_BYTES = 8192 };

struct keys_value {
    char key[STATE_KEY_BYTES_MAX + 1]; /* "": none */
    bool is_log;
    uint64_t version;
    size_t count;
    uint8_t bytes[FEW_BYTES];
};

struct keys_pending {
    bool is_used;
    uint8_t asked;
    int err;
    struct state_result result;
};

struct state {
    struct keys_value values[FEW_KEYS];
    struct keys_pending ops[FEW_OPS];
    uint32_t turn;
};

static void
keys_reset(struct state *state)
{
    for (size_t i = 0; i < FEW_OPS; i++)
        state_result_fini(&state->ops[i].result);
    (void)memset(state, 0, sizeof(*state));
}

static struct keys_value *
keys_find(struct state *state, const char *key)
{
    for (size_t i = 0; i < FEW_KEYS; i++)
        if (strcmp(state->values[i].key, key) == 0)
            return &state->values[i];
    return NULL;
}

static struct keys_value *
keys_make(struct state *state, const char *key)
{
    struct keys_value *value = keys_find(state, key);

    if (value == NULL) {
        value = keys_find(state, "");
        if (value == NULL)
            return NULL;
        (void)memcpy(value->key, key, strlen(key) + 1);
        value->count = 0;
        value->version = 0;
        value->is_log = false;
    }
    return value;
}

static int
keys_set(struct state *state, const struct state_request *request, struct state_result *result)
{
    struct keys_value *value = keys_find(state, request->key);

    if (request->kind == STATE_CAS && (value == NULL ? 0 : value->version) != request->version)
        return -STATE_EREFUSED;
    if (request->count > FEW_BYTES)
        return -EDQUOT;
    if (value != NULL && value->is_log)
        return -EISDIR;
    value = keys_make(state, request->key);
    if (value == NULL)
        return -EDQUOT;
    if (request->count > 0)
        (void)memcpy(value->bytes, request->bytes, request->count);
    value->count = request->count;
    result->version = ++value->version;
    return 0;
}

static int
keys_append(struct state *state, const struct state_request *request, struct state_result *result)
{
    struct keys_value *value = keys_make(state, request->key);

    if (value == NULL || request->count > FEW_BYTES - value->count)
        return -EDQUOT;
    if (value->version > 0 && !value->is_log)
        return -ENOTDIR;
    value->is_log = true;
    if (request->count > 0)
        (void)memcpy(value->bytes + value->count, request->bytes, request->count);
    value->count += request->count;
    result->value = value->version++;
    return 0;
}

static int
keys_copy(const void *bytes, size_t count, struct state_result *result)
{
    result->bytes = malloc(count > 0 ? count : 1);
    ASSERT(result->bytes != NULL);
    if (count > 0)
        (void)memcpy(result->bytes, bytes, count);
    result->count = count;
    return 0;
}

static int
keys_read(struct state *state, const struct state_request *request, struct state_result *result)
{
    const struct keys_value *value = keys_find(state, request->key);

    if (value == NULL)
        return -ENOENT;
    result->size = value->count;
    result->version = value->version;
    result->is_log = value->is_log;
    if (request->kind == STATE_STAT)
        return 0;
    if (value->is_log != (request->kind == STATE_READ))
        return value->is_log ? -EISDIR : -ENOTDIR;
    if (value->is_log && request->offset == 0) { /* all in one */
        result->counts = calloc(1, sizeof(uint32_t));
        ASSERT(result->counts != NULL);
        result->counts[0] = (uint32_t)value->count;
        result->item_count = 1;
        return keys_copy(value->bytes, value->count, result);
    }
    if (value->is_log || request->offset > value->count)
        return value->is_log ? 0 : -EINVAL;
    return keys_copy(value->bytes + request->offset,
                     value->count - request->offset < request->count
                         ? value->count - (size_t)request->offset
                         : (size_t)request->count,
                     result);
}

/* The least that is after. */
static int
keys_list(struct state *state, const struct state_request *request, struct state_result *result)
{
    const char *after = request->bytes != NULL ? request->bytes : "", *least = NULL;

    ASSERT(strlen(after) <= STATE_KEY_BYTES_MAX && utf8_is_valid(after, strlen(after)));
    for (size_t i = 0; i < FEW_KEYS; i++) {
        const char *key = state->values[i].key;

        if (key[0] != '\0' && strncmp(key, request->key, strlen(request->key)) == 0 &&
            strcmp(key, after) > 0 && (least == NULL || strcmp(key, least) < 0))
            least = key;
    }
    result->item_count = least != NULL;
    return least != NULL ? keys_copy(least, strlen(least) + 1, result) : 0;
}

static int
keys_do(struct state *state, const struct state_request *request, struct state_result *result)
{
    struct keys_value *value = keys_find(state, request->key);

    switch (request->kind) {
    case STATE_SET:
    case STATE_CAS:
        return keys_set(state, request, result);
    case STATE_APPEND:
        return keys_append(state, request, result);
    case STATE_STAT:
    case STATE_GET:
    case STATE_READ:
        return keys_read(state, request, result);
    case STATE_LIST:
        return keys_list(state, request, result);
    case STATE_REMOVE:
        if (value == NULL)
            return -ENOENT;
        value->key[0] = '\0';
        return 0;
    default:
        return state->turn % 7 == 0 ? -STATE_EREFUSED : 0;
    }
}

int
state_start(struct state *state, const struct state_request *request, uint64_t waiter, uint64_t *op,
            struct state_result *result)
{
    uint64_t slot = 0;

    (void)waiter;
    ASSERT(strlen(request->key) <= STATE_KEY_BYTES_MAX + 1);
    if (strlen(request->key) > STATE_KEY_BYTES_MAX)
        return -ENAMETOOLONG;
    if (request->key[0] == '\0' && request->kind != STATE_LIST)
        return -EINVAL;
    state->turn++;
    if (state->turn % 11 == 0)
        return -EDQUOT;
    if (state->turn % 3 != 0)
        return keys_do(state, request, result);
    while (slot < FEW_OPS && state->ops[slot].is_used)
        slot++;
    if (slot == FEW_OPS)
        return -ENOMEM;
    state->ops[slot] = (struct keys_pending){.is_used = true};
    state->ops[slot].err =
        state->turn % 17 == 0 ? -EIO : keys_do(state, request, &state->ops[slot].result);
    *op = slot + 1;
    return -EAGAIN;
}

int
state_finish(struct state *state, uint64_t op, struct state_result *result)
{
    struct keys_pending *pending = op - 1 < FEW_OPS ? &state->ops[op - 1] : NULL;

    ASSERT(op != 0);
    if (pending == NULL || !pending->is_used)
        return -EBADF;
    if (pending->asked++ == 0 && op % 4 == 0)
        return -EAGAIN;
    *result = pending->result;
    pending->is_used = false;
    pending->result = (struct state_result){0};
    return pending->err;
}

void
state_result_fini(struct state_result *result)
{
    free(result->bytes);
    free(result->counts);
    *result = (struct state_result){0};
}

int
state_read_current(struct state *state, const char *key, uint64_t offset, void *to, size_t count)
{
    (void)state;
    (void)key;
    (void)offset;
    (void)to;
    (void)count;
    return -EAGAIN;
}

/* ------------------------------------------------------- what no WASI function comes to */

int
state_map(struct state *state, const struct state_request *request, uint32_t flags, uint64_t waiter,
          uint64_t *op, struct state_mapping *out)
{
    (void)state;
    (void)request;
    (void)flags;
    (void)waiter;
    (void)op;
    (void)out;
    return -ENOMEM;
}

int
state_map_again(struct state *state, const char *key, uint64_t size, uint32_t flags,
                struct state_mapping *out)
{
    (void)state;
    (void)key;
    (void)size;
    (void)flags;
    (void)out;
    return -ENOMEM;
}

void
state_unmap(struct state *state, uint64_t entry, bool is_writable)
{
    (void)state;
    (void)entry;
    (void)is_writable;
}

int
state_touch(struct state *state, uint64_t entry, uint64_t offset, uint64_t waiter)
{
    (void)state;
    (void)entry;
    (void)offset;
    (void)waiter;
    return -EIO;
}

int
mem_share_create(uint64_t bytes, bool is_lazy, struct mem_share **out)
{
    (void)bytes;
    (void)is_lazy;
    (void)out;
    return -ENOMEM;
}

void
mem_share_put(struct mem_share *share)
{
    (void)share;
}

/* It is in no group, so nobody asks where its memory is. */
uint8_t *
faaslet_memory(const struct faaslet *faaslet)
{
    (void)faaslet;
    return NULL;
}

uint64_t
faaslet_memory_bytes(const struct faaslet *faaslet)
{
    (void)faaslet;
    return 0;
}

struct faaslet *
faaslet_thread(const struct faaslet *faaslet, uint32_t number)
{
    (void)faaslet;
    (void)number;
    return NULL;
}

int
faaslet_share_at(struct faaslet *faaslet, const struct faaslet_share *share)
{
    (void)faaslet;
    (void)share;
    return -EINVAL;
}

int
faaslet_call_share(struct faaslet_call *call, struct mem_share *share, uint64_t share_offset,
                   uint64_t bytes, bool is_writable, uint64_t *offset)
{
    (void)call;
    (void)share;
    (void)share_offset;
    (void)bytes;
    (void)is_writable;
    (void)offset;
    return -ENOMEM;
}

int
faaslet_call_unshare(struct faaslet_call *call, uint64_t offset)
{
    (void)call;
    (void)offset;
    return -EINVAL;
}

/* There are no shares. */
bool
faaslet_call_may_touch(const struct faaslet_call *call, uint64_t offset, uint64_t bytes,
                       bool is_write)
{
    (void)call;
    (void)offset;
    (void)bytes;
    (void)is_write;
    return true;
}

const void *
faaslet_call_view(const struct faaslet_call *call, uint64_t offset, uint64_t bytes)
{
    return faaslet_call_range(call, offset, bytes);
}

bool
faaslet_call_absent(struct faaslet_call *call, uint64_t offset, uint64_t bytes)
{
    (void)call;
    (void)offset;
    (void)bytes;
    return false;
}

/* It has one thread. */
int
faaslet_call_spawn(struct faaslet_call *call, uint32_t argument, uint32_t *id)
{
    (void)call;
    (void)argument;
    (void)id;
    return -EAGAIN;
}

const struct faaslet_host_function *
faaslet_host_find(const struct faaslet_host_function *functions, size_t count, const char *name,
                  size_t name_bytes)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(functions[i].name) == name_bytes &&
            memcmp(functions[i].name, name, name_bytes) == 0)
            return &functions[i];
    return NULL;
}

#endif
