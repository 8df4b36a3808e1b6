/* SPDX-License-Identifier: Apache-2.0
 *
 * A draft: what a batch of changes makes of a key, before any of it is in the store. Each change
 * sees those before it. One that cannot be done leaves the draft as it was: all that may fail
 * comes first, then the bytes are written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "tier/tier_internal.h"

void
tier_draft_init(struct draft *draft, struct tier *tier, struct key *key)
{
    memset(draft, 0, offsetof(struct draft, records));
    draft->record_count = 0;
    draft->floor = draft->bytes_reserved = draft->keys_reserved = 0;
    draft->tier = tier;
    draft->key = key;
    draft->before = draft->after = key->head;
}

static void
chunks_fini(struct draft_chunks *chunks)
{
    for (size_t i = 0; i < chunks->count; i++)
        free(chunks->list[i].bytes);
    free(chunks->list);
    *chunks = (struct draft_chunks){0};
}

void
tier_draft_fini(struct draft *draft)
{
    chunks_fini(&draft->chunks);
}

size_t
tier_significant(const uint8_t *bytes, size_t count)
{
    while (count >= 8) {
        uint64_t word;

        memcpy(&word, bytes + count - 8, 8);
        if (word != 0)
            break;
        count -= 8;
    }
    while (count > 0 && bytes[count - 1] == 0)
        count--;
    return count;
}

/* -------------------------------------------------------------------------- counting */

/* Room for what it will be, in what the tenant may have. */
static int
reserve(struct draft *draft, const struct op *op, uint64_t size, const char **why)
{
    struct tenant *tenant = draft->key->tenant;
    uint64_t has = draft->before.size + draft->bytes_reserved;
    uint64_t bytes = size > has ? size - has : 0;
    uint64_t keys = draft->before.kind == TIER_NONE && draft->keys_reserved == 0;
    int err = 0;

    tier_lock(draft->tier);
    if (keys > 0 && op->limits.keys > 0 && tenant->keys + keys > op->limits.keys) {
        *why = "the tenant has as many keys of state as it may";
        err = -EDQUOT;
    } else if (bytes > 0 && op->limits.bytes > 0 &&
               (bytes > op->limits.bytes || tenant->bytes > op->limits.bytes - bytes)) {
        *why = "the tenant has as many bytes of state as it may";
        err = -EDQUOT;
    } else {
        tenant->keys += keys;
        tenant->bytes += bytes;
        draft->keys_reserved += keys;
        draft->bytes_reserved += bytes;
    }
    tier_unlock(draft->tier);
    return err;
}

void
tier_draft_settle(struct draft *draft, bool is_done)
{
    struct key *key = draft->key;
    struct tenant *tenant = key->tenant;

    tenant->bytes -= draft->bytes_reserved;
    tenant->keys -= draft->keys_reserved;
    draft->bytes_reserved = draft->keys_reserved = 0;
    if (!is_done)
        return;
    tenant->bytes += draft->after.size - draft->before.size;
    tenant->keys +=
        (uint64_t)(draft->after.kind != TIER_NONE) - (uint64_t)(draft->before.kind != TIER_NONE);
    key->counted = draft->after.size;
    key->is_counted = draft->after.kind != TIER_NONE;
}

/* ---------------------------------------------------------------------------- chunks */

static uint32_t
extent(uint64_t size, uint64_t number)
{
    uint64_t left = size - number * TIER_CHUNK_BYTES;

    return left < TIER_CHUNK_BYTES ? (uint32_t)left : TIER_CHUNK_BYTES;
}

/* Where it is, or would be. */
static size_t
place(const struct draft_chunks *chunks, uint64_t number)
{
    size_t low = 0, high = chunks->count;

    if (high > 0 && chunks->list[high - 1].number < number)
        return high;
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (chunks->list[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct draft_chunk *
find(const struct draft_chunks *chunks, uint64_t number)
{
    size_t at = place(chunks, number);

    return at < chunks->count && chunks->list[at].number == number ? &chunks->list[at] : NULL;
}

/* One more, of zeros. */
static int
insert(struct draft_chunks *chunks, uint64_t number, uint32_t count)
{
    size_t at = place(chunks, number);
    uint8_t *bytes;

    if (chunks->count == chunks->capacity) {
        size_t capacity = chunks->capacity == 0 ? 4 : 2 * chunks->capacity;
        struct draft_chunk *list = realloc(chunks->list, capacity * sizeof(*list));

        if (list == NULL)
            return -ENOMEM;
        chunks->list = list;
        chunks->capacity = capacity;
    }
    bytes = tier_alloc(count);
    if (bytes == NULL)
        return -ENOMEM;
    memmove(chunks->list + at + 1, chunks->list + at, (chunks->count - at) * sizeof(*chunks->list));
    chunks->list[at] = (struct draft_chunk){.number = number, .count = count, .bytes = bytes};
    chunks->count++;
    return 0;
}

/* There is one, with the bytes that are in the store. */
static int
need(struct draft *draft, uint64_t number, struct diag *diag)
{
    struct draft_chunk *one;
    struct chunk *chunk = NULL;
    int err;

    if (find(&draft->chunks, number) != NULL)
        return 0;
    if (!draft->is_fresh && draft->before.kind == TIER_VALUE) {
        err = tier_chunk_load(draft->tier, draft->key, number, &chunk, diag);
        if (err != 0)
            return err;
    }
    err = insert(&draft->chunks, number, extent(draft->after.size, number));
    if (err == 0 && chunk != NULL && chunk->count > 0) {
        one = find(&draft->chunks, number);
        memcpy(one->bytes, chunk->bytes, chunk->count < one->count ? chunk->count : one->count);
    }
    tier_cache_release(&draft->tier->cache, chunk);
    return err;
}

/* Elements are whole in chunks. */
static void
write_bytes(struct draft_chunks *chunks, uint64_t offset, const uint8_t *bytes, uint64_t count,
            enum element adds)
{
    while (count > 0) {
        struct draft_chunk *one = find(chunks, offset / TIER_CHUNK_BYTES);
        uint64_t at = offset % TIER_CHUNK_BYTES;
        uint64_t now = TIER_CHUNK_BYTES - at < count ? TIER_CHUNK_BYTES - at : count;

        ASSERT(one != NULL && at + now <= one->count);
        if (adds == ELEMENT_BYTE)
            memcpy(one->bytes + at, bytes, now);
        else
            element_add(adds, one->bytes + at, bytes, now);
        one->is_changed = true;
        offset += now;
        bytes += now;
        count -= now;
    }
}

static void
read_bytes(const struct draft_chunks *chunks, uint64_t offset, uint8_t *bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct draft_chunk *one = find(chunks, (offset + i) / TIER_CHUNK_BYTES);

        bytes[i] = one->bytes[(offset + i) % TIER_CHUNK_BYTES];
    }
}

/* --------------------------------------------------------------------------- changes */

static int
refuse(int err, const char *text, const char **why)
{
    *why = text;
    return err;
}

static uint64_t
version_of(const struct head *head)
{
    return head->kind == TIER_NONE ? 0 : head->version;
}

static int
check(struct draft *draft, const struct op *op, const char **why)
{
    bool is_holder = true;

    if (op->has_condition && version_of(&draft->after) != op->version)
        return refuse(-EAGAIN, "it has another version", why);
    if (op->fence == 0)
        return 0;
    tier_lock(draft->tier);
    is_holder = tier_lock_is_fence(draft->key, op->fence);
    tier_unlock(draft->tier);
    return is_holder ? 0 : refuse(-ESTALE, "the fence is not the present holder's", why);
}

/* Of a value that is made now: higher than any that this key had. */
static uint64_t
first_version(struct draft *draft)
{
    uint64_t floor;

    tier_lock(draft->tier);
    floor = draft->key->tenant->floor;
    tier_unlock(draft->tier);
    return (floor > draft->floor ? floor : draft->floor) + 1;
}

void
tier_draft_remove(struct draft *draft)
{
    if (draft->after.kind == TIER_VALUE && draft->after.version > draft->floor)
        draft->floor = draft->after.version;
    chunks_fini(&draft->chunks);
    draft->record_count = 0;
    draft->after = (struct head){.stored = draft->after.stored};
    draft->is_fresh = draft->is_changed = true;
}

static void
made(struct draft *draft, uint64_t size)
{
    draft->after.version = first_version(draft);
    draft->after.kind = TIER_VALUE;
    draft->after.size = size;
}

static uint64_t
expiry(const struct draft *draft, uint64_t lives_ns)
{
    uint64_t now = tier_real(draft->tier);

    if (lives_ns == 0)
        return 0;
    return lives_ns < UINT64_MAX - now ? now + lives_ns : UINT64_MAX;
}

/* A whole new value: its chunks are made aside. */
static int
make_chunks(struct draft_chunks *chunks, const struct op *op)
{
    int err = 0;

    for (size_t i = 0; i < op->run_count && err == 0; i++) {
        const struct run *run = &op->runs[i];
        uint64_t last = (run->offset + run->count - 1) / TIER_CHUNK_BYTES;

        for (uint64_t n = run->offset / TIER_CHUNK_BYTES; n <= last && err == 0; n++)
            if (find(chunks, n) == NULL)
                err = insert(chunks, n, extent(op->size, n));
    }
    if (err != 0)
        chunks_fini(chunks);
    return err;
}

static int
need_chunks(struct draft *draft, const struct op *op, struct diag *diag)
{
    int err = 0;

    for (size_t i = 0; i < op->run_count && err == 0; i++) {
        const struct run *run = &op->runs[i];
        uint64_t last = (run->offset + run->count - 1) / TIER_CHUNK_BYTES;

        for (uint64_t n = run->offset / TIER_CHUNK_BYTES; n <= last && err == 0; n++)
            err = need(draft, n, diag);
    }
    return err;
}

static void
write_runs(struct draft *draft, const struct op *op)
{
    const uint8_t *bytes = op->bytes.bytes;

    for (size_t i = 0; i < op->run_count; i++) {
        write_bytes(&draft->chunks, op->runs[i].offset, bytes, op->runs[i].count, op->adds);
        bytes += op->runs[i].count;
    }
    if (op->lives_ns > 0)
        draft->after.expires_ns = expiry(draft, op->lives_ns);
}

static int
push_anew(struct draft *draft, struct op *op, const char **why)
{
    struct draft_chunks chunks = {0};
    int err = reserve(draft, op, op->size, why);

    if (err == 0)
        err = make_chunks(&chunks, op);
    if (err != 0)
        return err;
    chunks_fini(&draft->chunks);
    draft->chunks = chunks;
    if (draft->after.kind == TIER_NONE) {
        made(draft, op->size);
    } else {
        draft->after.size = op->size;
        draft->after.version++;
    }
    draft->is_fresh = true;
    write_runs(draft, op);
    return 0;
}

static int
push(struct draft *draft, struct op *op, const char **why, struct diag *diag)
{
    int err;

    if (draft->after.kind == TIER_LOG)
        return refuse(-EISDIR, "it is a log", why);
    err = check(draft, op, why);
    if (err != 0)
        return err;
    if (draft->after.kind == TIER_NONE && !op->may_create)
        return refuse(-ENOENT, "there is no such value", why);
    if (draft->after.kind == TIER_NONE || op->replaces)
        return push_anew(draft, op, why);
    if (draft->after.size != op->size)
        return refuse(-EMSGSIZE, "the value has another size", why);
    err = need_chunks(draft, op, diag);
    if (err != 0)
        return err;
    draft->after.version++;
    write_runs(draft, op);
    return 0;
}

static uint64_t
sum(uint64_t bits, const struct op *op)
{
    double number, more;

    if (!op->is_float)
        return bits + op->operand;
    memcpy(&number, &bits, sizeof(number));
    memcpy(&more, &op->operand, sizeof(more));
    number += more;
    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

static int
add(struct draft *draft, struct op *op, const char **why, struct diag *diag)
{
    bool is_made = draft->after.kind == TIER_NONE;
    uint64_t size = is_made ? op->size : draft->after.size, bits;
    int err;

    if (draft->after.kind == TIER_LOG)
        return refuse(-EISDIR, "it is a log", why);
    if (is_made && size == 0)
        return refuse(-ENOENT, "there is no such value", why);
    if (op->size != 0 && op->size != size)
        return refuse(-EMSGSIZE, "the value has another size", why);
    if (size < 8 || op->offset > size - 8)
        return refuse(-EINVAL, "an offset outside of the value", why);
    err = check(draft, op, why);
    if (err == 0)
        err = reserve(draft, op, size, why);
    if (err != 0)
        return err;
    draft->after.size = size; /* chunks are made for it; of no matter where it is none */
    err = need(draft, op->offset / TIER_CHUNK_BYTES, diag);
    if (err == 0)
        err = need(draft, (op->offset + 7) / TIER_CHUNK_BYTES, diag);
    if (err != 0) {
        draft->after.size = is_made ? 0 : size;
        if (is_made)
            chunks_fini(&draft->chunks);
        return err;
    }
    if (is_made)
        made(draft, size);
    else
        draft->after.version++;
    read_bytes(&draft->chunks, op->offset, (uint8_t *)&bits, sizeof(bits));
    bits = op->result = sum(bits, op);
    write_bytes(&draft->chunks, op->offset, (const uint8_t *)&bits, sizeof(bits), ELEMENT_BYTE);
    return 0;
}

static int
append(struct draft *draft, struct op *op, const char **why)
{
    int err;

    if (draft->after.kind == TIER_VALUE)
        return refuse(-ENOTDIR, "it is a value", why);
    err = reserve(draft, op, draft->after.size + op->bytes.count, why);
    if (err != 0)
        return err;
    ASSERT(draft->record_count < TIER_BATCH_OPS_MAX);
    draft->records[draft->record_count++] = op;
    draft->after.kind = TIER_LOG;
    draft->after.size += op->bytes.count;
    op->result = draft->after.version++;
    return 0;
}

static int
removal(struct draft *draft, struct op *op, const char **why)
{
    int err;

    if (draft->after.kind == TIER_NONE)
        return refuse(-ENOENT, "there is no such key", why);
    if (op->offset > 0 && draft->after.kind == TIER_VALUE)
        return refuse(-ENOTDIR, "it is a value, which has no records", why);
    err = check(draft, op, why);
    if (err == 0 && op->offset == 0)
        tier_draft_remove(draft);
    return err;
}

static int
expire(struct draft *draft, struct op *op, const char **why)
{
    if (draft->after.kind == TIER_NONE)
        return refuse(-ENOENT, "there is no such key", why);
    draft->after.expires_ns = expiry(draft, op->lives_ns);
    return 0;
}

static int
apply(struct draft *draft, struct op *op, const char **why, struct diag *diag)
{
    switch (op->is) {
    case RPC__STATE_ASK__IS_PUSH:
        return push(draft, op, why, diag);
    case RPC__STATE_ASK__IS_ADD:
        return add(draft, op, why, diag);
    case RPC__STATE_ASK__IS_APPEND:
        return append(draft, op, why);
    case RPC__STATE_ASK__IS_REMOVE:
        return removal(draft, op, why);
    case RPC__STATE_ASK__IS_EXPIRE:
        return expire(draft, op, why);
    default:
        return 0; /* what is due has been removed */
    }
}

void
tier_draft_apply(struct draft *draft, struct op *op, const char **why)
{
    struct diag diag;

    diag_init(&diag);
    op->err = apply(draft, op, why, &diag);
    op->is_changed = op->err == 0 && op->is != RPC__STATE_ASK__IS__NOT_SET;
    draft->is_changed |= op->is_changed;
    op->head = draft->after;
    if (diag.is_set && op->err != 0)
        op->word.text = rpc_text(diag_text(&diag));
}
