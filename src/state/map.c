/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as memory.
 *
 * A mapping is an op like a pull, with the value made first where that is asked for; when it is
 * over, state_map is called again, and looks whether what it was promised is there still.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "state/state_internal.h"

/* ------------------------------------------------------------------- the value is made */

static int
ask_create_value(struct state *state, struct op *op)
{
    struct ask *ask;
    int err = ask_create(state, RPC__STATE_ASK__IS_PUSH, op->entry->key, &ask);

    if (err != 0)
        return err;
    ask->entry = entry_pin(op->entry);
    ask->size = op->map_size;
    ask->may_create = ask->has_condition = ask->hold = ask->may_repeat = true;
    ask->is_creation = true;
    ask->op = op;
    op->ask = ask;
    change_begin(ask);
    ask_queue(state, ask);
    return 0;
}

bool
map_pulled(struct state *state, struct op *op, int *err)
{
    if (*err != -ENOENT || (op->flags & STATE_MAP_CREATE) == 0 || op->tries++ >= STATE_MAP_TRIES)
        return false;
    *err = ask_create_value(state, op);
    return *err == 0;
}

/* What was made is zero; where it is mapped already its bytes are pulled. */
static void
have_zeros(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct entry *entry = ask->entry;
    bool is_written = ask->op != NULL && (ask->op->flags & STATE_MAP_WRITE) != 0;
    struct bytes_wanted wanted = {true, is_written, true};

    if (entry->versions != NULL && entry->mappings == 0 && entry->push == NULL)
        entry_drop_bytes(state, entry);
    if (entry->versions == NULL && answer->version > entry->version) {
        entry->size = ask->size;
        entry->version = answer->version;
        entry->is_mismatched = false;
        ask->err = bytes_make(state, entry, wanted);
    }
    hold_heard(state, ask, answer);
}

void
map_created(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer)
{
    struct op *op = ask->op;
    int err = answer->err;

    change_end(ask);
    if (err == 0)
        have_zeros(state, ask, answer);
    if (op == NULL)
        return;
    op->ask = NULL;
    if (err == 0)
        err = ask->err;
    if (err != 0 && err != -EAGAIN) { /* EAGAIN: somebody else has made it */
        op_end(state, op, err);
        return;
    }
    (void)entry_wait(state, op, ask->key);
}

/* ----------------------------------------------------------------------------- mapping */

/* Like the pull's, but an offset outside is told here. */
static int
check(const struct op *op, const struct entry *entry)
{
    if (entry->is_mismatched)
        return -EMSGSIZE;
    if ((op->flags & STATE_MAP_CREATE) != 0 && entry->size != op->map_size)
        return -EMSGSIZE;
    if (op->map_offset >= entry->size || op->map_count > entry->size - op->map_offset)
        return -EMSGSIZE;
    return 0;
}

/* Bytes of other versions than the entry's are forgotten, so that they come as they are. Not where
 * somebody has them as memory, or has not pushed what he wrote. */
static void
forget_old(struct state *state, struct entry *entry)
{
    bool has_old = false;

    for (uint64_t i = 0; i < chunk_count(entry->size) && !has_old; i++)
        has_old = entry->versions[i] != 0 && entry->versions[i] != entry->version;
    if (has_old && elements_are_free(entry))
        bytes_free(state, entry);
}

static bool
is_there(const struct op *op, const struct entry *entry)
{
    uint64_t end = op->map_count == 0 ? entry->size : op->map_offset + op->map_count;

    if (entry->versions == NULL)
        return false;
    for (uint64_t i = op->map_offset; i < end && (op->flags & STATE_MAP_LAZY) == 0;
         i += STATE_CHUNK_BYTES)
        if (entry->versions[i / STATE_CHUNK_BYTES] == 0)
            return false;
    return true;
}

int
map_entry(struct state *state, struct entry *entry, uint32_t flags, struct state_mapping *out)
{
    const struct bytes_wanted wanted = {true, (flags & STATE_MAP_WRITE) != 0, false};
    int err = bytes_make(state, entry, wanted);

    if (err == 0)
        err = elements_take(entry, flags);
    if (err != 0)
        return err;
    entry->mappings++;
    *out = (struct state_mapping){.share = mem_share_get(entry->share),
                                  .size = entry->size,
                                  .entry = entry->by_number.key,
                                  .elements = elements_flags(entry)};
    return 0;
}

/* -EAGAIN: what it waited for is gone again. */
static int
map_now(struct state *state, struct op *op, struct state_mapping *out)
{
    struct entry *entry = op->entry;
    int err = op->err;

    if (err != 0) /* an offset outside */
        return err == -EINVAL ? -EMSGSIZE : err;
    if (entry->versions == NULL)
        return -EAGAIN;
    err = check(op, entry);
    if (err == 0 && !is_there(op, entry))
        return -EAGAIN;
    if (err == 0)
        err = elements_check(entry, op->flags);
    if (err == 0 && (op->flags & STATE_MAP_LAZY) != 0)
        forget_old(state, entry);
    return err != 0 ? err : map_entry(state, entry, op->flags, out);
}

static int
check_elements(const struct state_request *request, uint32_t flags)
{
    uint32_t element = (flags & STATE_MAP_ELEMENTS) >> STATE_MAP_SHIFT;
    uint64_t size = request->size != 0 ? request->size : request->offset + request->count;

    if (element > ELEMENT_LAST || ((flags & STATE_MAP_SUM) != 0 && element == ELEMENT_BYTE))
        return -EINVAL;
    if ((flags & STATE_MAP_SUM) != 0 && (flags & STATE_MAP_CREATE) != 0 &&
        size % element_bytes((enum element)element) != 0)
        return -EMSGSIZE;
    return 0;
}

static int
check_request(const struct state_request *request, uint32_t flags)
{
    const uint32_t all =
        STATE_MAP_WRITE | STATE_MAP_LAZY | STATE_MAP_CREATE | STATE_MAP_SUM | STATE_MAP_ELEMENTS;
    struct state_request pull = *request;

    pull.kind = STATE_PULL;
    if (request->offset % STATE_CHUNK_BYTES != 0 || (flags & ~all) != 0)
        return -EINVAL;
    if (request->count > STATE_VALUE_BYTES_MAX || request->size > STATE_VALUE_BYTES_MAX)
        return -EMSGSIZE;
    if ((flags & STATE_MAP_CREATE) != 0 && request->size == 0 && request->count == 0)
        return -EINVAL;
    if (check_elements(request, flags) != 0)
        return check_elements(request, flags);
    return request_check(&pull);
}

/* Before anything is made for who may not map it. */
static int
check_entry(const struct state *state, const char *key, uint32_t flags)
{
    struct entry *entry = entry_find(state, key);

    return entry == NULL || elements_check(entry, flags) != -EINVAL ? 0 : -EINVAL;
}

static int
begin(struct state *state, const struct state_request *request, uint32_t flags, uint64_t waiter,
      struct op **out)
{
    struct op *op;
    int err = check_request(request, flags);

    if (err == 0)
        err = check_entry(state, request->key, flags);
    if (err == 0)
        err = op_create(state, request, waiter, &op);
    if (err != 0)
        return err;
    op->kind = STATE_PULL;
    op->is_map = true;
    op->flags = flags;
    op->map_size = request->size != 0 ? request->size : request->offset + request->count;
    op->map_offset = request->offset;
    op->map_count = request->count;
    if (request->count == 0)
        op->count = STATE_VALUE_BYTES_MAX - request->offset;
    if ((flags & STATE_MAP_LAZY) != 0)
        op->offset = op->count = 0;
    err = entry_wait(state, op, request->key);
    if (err != -EINPROGRESS) {
        op_free(state, op);
        return err;
    }
    *out = op;
    return 0;
}

/* What was over and is gone again waits once more. */
static int
again(struct state *state, struct op *op)
{
    if (op->tries++ >= STATE_MAP_TRIES)
        return -EIO;
    op->is_over = false;
    if (op->is_waking)
        TAILQ_REMOVE(&state->wakes, op, waking);
    op->is_waking = false;
    (void)entry_wait(state, op, op->entry->key);
    return op->is_over ? 0 : -EINPROGRESS;
}

static int
finish_map(struct state *state, struct op *op, struct state_mapping *out)
{
    int err;

    if (!op->is_over)
        return -EINPROGRESS;
    err = map_now(state, op, out);
    while (err == -EAGAIN) {
        err = again(state, op);
        if (err == 0)
            err = map_now(state, op, out);
    }
    return err;
}

int
state_map(struct state *state, const struct state_request *request, uint32_t flags, uint64_t waiter,
          uint64_t *op_number, struct state_mapping *out)
{
    struct op *op = NULL;
    int err = 0;

    state_enter(state);
    if (*op_number == 0)
        err = begin(state, request, flags, waiter, &op);
    else
        op = op_find(state, *op_number);
    if (err == 0 && (op == NULL || !op->is_map || op->is_left))
        err = -EBADF;
    if (err == 0) {
        uint64_t number = op->by_number.key;

        err = finish_map(state, op, out);
        op->is_started = true;
        *op_number = err == -EINPROGRESS ? number : 0;
        if (err == -EINPROGRESS)
            err = -EAGAIN;
        else
            op_free(state, op);
    }
    state_leave(state);
    return err;
}

/* ---------------------------------------------------------------------------- touching */

static struct op *
find_touch(const struct state *state, const struct entry *entry, uint64_t offset, uint64_t waiter)
{
    struct item *item = table_find(&state->touches, entry->by_number.key);

    for (; item != NULL; item = table_next(item)) {
        struct op *op = (struct op *)((char *)item - offsetof(struct op, by_entry));

        if (op->waiter == waiter && op->offset == offset)
            return op;
    }
    return NULL;
}

/* Those that failed and that nobody asked for again. */
static void
drop_touches(struct state *state, const struct entry *entry)
{
    struct item *item = table_find(&state->touches, entry->by_number.key), *next;

    for (; item != NULL; item = next) {
        struct op *op = (struct op *)((char *)item - offsetof(struct op, by_entry));

        next = table_next(item);
        if (op->is_over)
            op_free(state, op);
    }
}

void
state_unmap(struct state *state, uint64_t number)
{
    struct entry *entry;

    state_enter(state);
    entry = entry_by_number(state, number);
    ASSERT(entry != NULL && entry->mappings > 0);
    (void)entry_pin(entry);
    if (--entry->mappings == 0)
        drop_touches(state, entry);
    entry_put(state, entry);
    state_leave(state);
}

static int
begin_touch(struct state *state, struct entry *entry, uint64_t offset, uint64_t waiter)
{
    struct state_request request = {.kind = STATE_PULL, .key = entry->key, .offset = offset};
    struct op *op;
    int err;

    request.count = STATE_CHUNK_BYTES;
    err = op_create(state, &request, waiter, &op);
    if (err != 0)
        return err;
    op->is_touch = true;
    table_add(&state->touches, &op->by_entry, entry->by_number.key);
    err = entry_wait(state, op, entry->key);
    if (err == -EINPROGRESS && !op->is_over) {
        op->is_started = true;
        return -EINPROGRESS;
    }
    if (err == -EINPROGRESS)
        err = op->err;
    op_free(state, op);
    return err;
}

static int
touch(struct state *state, struct entry *entry, uint64_t offset, uint64_t waiter)
{
    struct op *op;
    int err;

    if (entry == NULL || entry->mappings == 0 || offset >= entry->size)
        return -EINVAL;
    offset -= offset % STATE_CHUNK_BYTES;
    if (entry->versions[offset / STATE_CHUNK_BYTES] != 0)
        return 0;
    op = find_touch(state, entry, offset, waiter);
    if (op == NULL)
        return begin_touch(state, entry, offset, waiter);
    if (!op->is_over)
        return -EINPROGRESS;
    err = op->err;
    op_free(state, op);
    return err != 0 ? err : begin_touch(state, entry, offset, waiter);
}

int
state_touch(struct state *state, uint64_t number, uint64_t offset, uint64_t waiter)
{
    int err;

    state_enter(state);
    err = touch(state, entry_by_number(state, number), offset, waiter);
    state_leave(state);
    return err == -EINPROGRESS ? -EAGAIN : err;
}
