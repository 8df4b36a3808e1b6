/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks that change nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tier/tier_internal.h"

static bool
is_expired(const struct tier *tier, const struct head *head)
{
    return head->kind != TIER_NONE && head->expires_ns != 0 && head->expires_ns <= tier_real(tier);
}

static int
told(int err)
{
    return err == -ENOMEM ? err : -EIO;
}

static void
answer(struct tier *tier, struct op *op, int err, const char *why)
{
    tier_lock(tier);
    if (tier->is_lost && err == 0) {
        err = -ESHUTDOWN;
        why = "this tier is not the one any more";
    }
    tier_op_fail(tier, op, err, why);
    tier_unlock(tier);
}

/* ------------------------------------------------------------------------------- pull */

static int
copy(struct tier *tier, struct key *key, uint64_t offset, uint64_t count, struct buffer *out,
     struct diag *diag)
{
    while (count > 0) {
        uint64_t at = offset % TIER_CHUNK_BYTES;
        uint64_t now = TIER_CHUNK_BYTES - at < count ? TIER_CHUNK_BYTES - at : count, there = 0;
        struct chunk *chunk;
        int err = tier_chunk_load(tier, key, offset / TIER_CHUNK_BYTES, &chunk, diag);

        if (err != 0)
            return err;
        if (chunk->count > at)
            there = chunk->count - at < now ? chunk->count - at : now;
        if (there > 0)
            buffer_append(out, chunk->bytes + at, there);
        buffer_append(out, NULL, now - there);
        tier_cache_release(&tier->cache, chunk);
        if (out->err != 0)
            return out->err;
        offset += now;
        count -= now;
    }
    return 0;
}

/* All pieces but the last. */
static int
send_pieces(struct tier *tier, struct op *op, uint64_t *offset, uint64_t end, struct diag *diag)
{
    int err = 0;

    while (err == 0 && op->session != NULL && end - *offset > TIER_PIECE_BYTES) {
        struct buffer bytes = {0};

        err = copy(tier, op->key, *offset, TIER_PIECE_BYTES, &bytes, diag);
        if (err != 0) {
            buffer_fini(&bytes);
            return err;
        }
        tier_lock(tier);
        while (op->session->word_bytes > TIER_UNSAID_BYTES_MAX && op->session->is_saying)
            (void)pthread_cond_wait(&tier->quiet, &tier->lock);
        tier_op_piece(tier, op, &op->head, *offset, &bytes);
        err = op->err;
        tier_unlock(tier);
        *offset += TIER_PIECE_BYTES;
    }
    return err;
}

static int
check_pull(const struct op *op, uint64_t *end, const char **why)
{
    const struct head *head = &op->head;

    *end = 0;
    if (head->kind == TIER_NONE || head->kind == TIER_LOG) {
        *why = head->kind == TIER_LOG ? "it is a log" : "there is no such value";
        return head->kind == TIER_LOG ? -EISDIR : -ENOENT;
    }
    if (op->offset > head->size) {
        *why = "an offset outside of the value";
        return -EINVAL;
    }
    *end = head->size - op->offset < op->size ? head->size : op->offset + op->size;
    if (op->version != 0 && op->version == head->version)
        *end = op->offset;
    if (op->session == NULL && *end - op->offset > TIER_WHOLE_BYTES_MAX) {
        *why = "too many bytes for one answer";
        return -E2BIG;
    }
    return 0;
}

/* Whether it holds it now and did not before. */
static bool
start_hold(struct tier *tier, struct op *op)
{
    bool is_new;

    if (!op->hold)
        return false;
    tier_lock(tier);
    is_new = tier_hold_find(op->key, op->session) == NULL;
    op->word.answer.is_held = tier_hold_add(tier, op->key, op->session);
    is_new &= (bool)op->word.answer.is_held;
    tier_unlock(tier);
    return is_new;
}

static void
end_hold(struct tier *tier, struct op *op)
{
    struct hold *hold;

    tier_lock(tier);
    hold = tier_hold_find(op->key, op->session);
    if (hold != NULL)
        tier_hold_drop(tier, hold);
    op->word.answer.is_held = false;
    tier_unlock(tier);
}

static void
pull(struct tier *tier, struct op *op)
{
    uint64_t offset = op->offset, end;
    struct buffer bytes = {0};
    const char *why = NULL;
    bool is_new = false;
    struct diag diag;
    int err = check_pull(op, &end, &why);

    diag_init(&diag);
    if (err == 0) {
        is_new = start_hold(tier, op);
        err = send_pieces(tier, op, &offset, end, &diag);
        if (err == 0)
            err = copy(tier, op->key, offset, end - offset, &bytes, &diag);
        if (err != 0) {
            err = told(err);
            why = diag_text(&diag);
        }
    }
    if (err != 0) {
        buffer_fini(&bytes);
        if (is_new)
            end_hold(tier, op);
    }
    op->word.owned = bytes.bytes;
    op->word.answer.bytes = (ProtobufCBinaryData){bytes.count, bytes.bytes};
    op->word.answer.offset = offset;
    answer(tier, op, err, why);
}

/* ------------------------------------------------------------------------------- read */

struct reading {
    struct op *op;
    struct buffer bytes;
    uint32_t *counts;
    size_t count, capacity;
    uint64_t first;
    uint32_t bytes_max;
    int err;
};

static bool
read_one(void *context, const struct store_record *record)
{
    struct reading *reading = context;
    uint64_t index;

    if (record->key_count < sizeof(index))
        return false;
    index = tier_number_read((const uint8_t *)record->key + record->key_count - sizeof(index));
    if (reading->count == 0)
        reading->first = index;
    else if (record->value_count > reading->bytes_max - reading->bytes.count)
        return false;
    if (reading->count == reading->capacity) {
        size_t capacity = reading->capacity == 0 ? 16 : 2 * reading->capacity;
        uint32_t *counts = realloc(reading->counts, capacity * sizeof(*counts));

        if (counts == NULL) {
            reading->err = -ENOMEM;
            return false;
        }
        reading->counts = counts;
        reading->capacity = capacity;
    }
    reading->counts[reading->count++] = (uint32_t)record->value_count;
    buffer_append(&reading->bytes, record->value, record->value_count);
    return reading->bytes.count < reading->bytes_max;
}

static int
read_records(struct tier *tier, struct reading *reading, struct diag *diag)
{
    const struct op *op = reading->op;
    struct folder folder, after;
    struct store_range range;
    int err;

    tier_folder(op->key, &folder);
    after = folder;
    range = (struct store_range){.table = tier_table_record,
                                 .prefix = folder.bytes,
                                 .prefix_count = folder.count,
                                 .count_max = op->count_max == 0 ? TIER_LIST_MAX : op->count_max};
    if (op->offset > 0) {
        tier_folder_number(&after, op->offset - 1);
        range.after = after.bytes;
        range.after_count = after.count;
    }
    err = store_list(tier->config.store, &range, read_one, reading, diag);
    if (err == 0)
        err = reading->err != 0 ? reading->err : reading->bytes.err;
    return err;
}

static void
read_log(struct tier *tier, struct op *op)
{
    struct reading reading = {.op = op, .first = op->offset, .bytes_max = op->bytes_max};
    const char *why = NULL;
    struct diag diag;
    int err = 0;

    diag_init(&diag);
    if (op->head.kind != TIER_LOG) {
        err = op->head.kind == TIER_NONE ? -ENOENT : -ENOTDIR;
        why = err == -ENOENT ? "there is no such log" : "it is a value";
    }
    if (err == 0 && op->head.first > op->offset)
        reading.first = op->head.first; /* also where no record is left */
    if (reading.bytes_max == 0 || reading.bytes_max > TIER_READ_BYTES_MAX)
        reading.bytes_max = TIER_READ_BYTES_MAX;
    if (err == 0 && op->offset < op->head.version) {
        err = read_records(tier, &reading, &diag);
        if (err != 0) {
            err = told(err);
            why = diag_text(&diag);
        }
    }
    if (err != 0 || reading.count == 0) {
        buffer_fini(&reading.bytes);
        free(reading.counts);
        reading.counts = NULL;
        reading.count = 0;
    }
    op->result = op->word.answer.offset = reading.first;
    op->word.owned = reading.bytes.bytes;
    op->word.answer.bytes = (ProtobufCBinaryData){reading.bytes.count, reading.bytes.bytes};
    op->word.answer.counts = reading.counts;
    op->word.answer.n_counts = reading.count;
    answer(tier, op, err, why);
}

/* --------------------------------------------------------------------------- a key's */

static void
count_pull(struct tier *tier, const struct op *op)
{
    uint64_t left = op->head.size - op->offset;

    if (op->head.kind != TIER_VALUE || op->offset > op->head.size)
        return;
    tier->usage.pulls++;
    if (op->version != op->head.version)
        tier->usage.bytes_pulled += left < op->size ? left : op->size;
}

static void
run_one(struct tier *tier, struct op *op)
{
    Rpc__StateAsk__IsCase is = op->is;

    tier_lock(tier);
    op->head = op->key->head;
    if (is == RPC__STATE_ASK__IS_PULL)
        count_pull(tier, op);
    if (is == RPC__STATE_ASK__IS_WATCH)
        tier_watch_ask(tier, op); /* the op may be gone */
    tier_unlock(tier);
    if (is == RPC__STATE_ASK__IS_PULL)
        pull(tier, op);
    else if (is == RPC__STATE_ASK__IS_READ)
        read_log(tier, op);
    else if (is == RPC__STATE_ASK__IS_STAT)
        answer(tier, op, op->head.kind == TIER_NONE ? -ENOENT : 0, "there is no such key");
}

/* What is due is removed before anybody reads that it is not there. */
static bool
put_back(struct tier *tier, struct key *key, struct ops *reads)
{
    struct op *due = tier_op_new(RPC__STATE_ASK__IS__NOT_SET), *op;

    if (due == NULL)
        return false;
    while ((op = TAILQ_LAST(reads, ops)) != NULL) {
        TAILQ_REMOVE(reads, op, next);
        TAILQ_INSERT_HEAD(&key->queue, op, next);
    }
    key->refs++;
    tier->sweeping++;
    due->key = key;
    due->tenant = key->tenant;
    TAILQ_INSERT_HEAD(&key->queue, due, next);
    return true;
}

static void
fail_all(struct tier *tier, struct ops *reads, int err, const char *why)
{
    struct op *op;

    while ((op = TAILQ_FIRST(reads)) != NULL) {
        TAILQ_REMOVE(reads, op, next);
        answer(tier, op, err, why);
    }
}

static void
run_all(struct tier *tier, struct key *key, struct ops *reads)
{
    struct diag diag;
    struct op *op;
    bool is_back = false;
    int err;

    diag_init(&diag);
    err = tier_head_load(tier, key, &diag);
    if (err != 0) {
        fail_all(tier, reads, told(err), diag_text(&diag));
        return;
    }
    tier_lock(tier);
    tier_watch_tell(tier, key); /* it may have been in doubt */
    if (is_expired(tier, &key->head)) {
        is_back = put_back(tier, key, reads);
        err = is_back ? 0 : -ENOMEM;
    }
    tier_unlock(tier);
    if (err != 0)
        fail_all(tier, reads, err, NULL);
    while ((op = TAILQ_FIRST(reads)) != NULL) {
        TAILQ_REMOVE(reads, op, next);
        run_one(tier, op);
    }
}

void
tier_read_run(struct tier *tier, struct key *key)
{
    struct ops reads = TAILQ_HEAD_INITIALIZER(reads);
    struct op *op;

    while ((op = TAILQ_FIRST(&key->queue)) != NULL && !tier_op_is_change(op)) {
        TAILQ_REMOVE(&key->queue, op, next);
        TAILQ_INSERT_TAIL(&reads, op, next);
    }
    if (!TAILQ_EMPTY(&reads)) {
        key->reading++;
        tier_unlock(tier);
        run_all(tier, key, &reads);
        tier_lock(tier);
        key->reading--;
    }
    tier_key_poke(tier, key);
}

bool
tier_read_inline(struct tier *tier, struct op *op)
{
    struct key *key = op->key;
    bool is_pull = op->is == RPC__STATE_ASK__IS_PULL;
    uint64_t count = op->size;
    struct chunk *chunk = NULL;

    if ((!is_pull && op->is != RPC__STATE_ASK__IS_STAT && op->is != RPC__STATE_ASK__IS_WATCH) ||
        key->is_changing || !key->is_known || !TAILQ_EMPTY(&key->queue) ||
        is_expired(tier, &key->head))
        return false;
    if (is_pull && key->head.kind == TIER_VALUE && op->offset < key->head.size) {
        if (count > key->head.size - op->offset)
            count = key->head.size - op->offset;
        if (count > TIER_INLINE_BYTES_MAX)
            return false;
        /* Where the first is at hand, the others most probably are. */
        chunk = tier_cache_get(&tier->cache, key, op->offset / TIER_CHUNK_BYTES);
        if (chunk == NULL)
            return false;
        tier_cache_release(&tier->cache, chunk);
    }
    key->reading++;
    key->refs++;
    tier_unlock(tier);
    run_one(tier, op);
    tier_lock(tier);
    key->reading--;
    tier_key_poke(tier, key);
    tier_key_put(tier, key);
    return true;
}
