/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums on their way into the store: see meter_internal.h for why nothing is counted twice.
 */
#include "meter/meter_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"

struct key {
    char bytes[METER_KEY_MAX + 1];
    size_t count;
};

static struct key
key_of(const struct meter_usage *usage)
{
    struct key key;
    int count = snprintf(key.bytes, sizeof(key.bytes), "%s%c%08u%c%s", usage->tenant, '\0',
                         usage->day, '\0', usage->function);

    ASSERT(count > 0 && (size_t)count <= METER_KEY_MAX);
    key.count = (size_t)count;
    return key;
}

/* -------------------------------------------------------------------------- records */

int
meter_read(const void *bytes, size_t count, struct meter_usage *usage, uint64_t *writer,
           uint64_t *commit)
{
    Meter__Usage *record = meter__usage__unpack(NULL, count, bytes);

    if (record == NULL)
        return -EBADMSG;
    usage->calls = record->calls;
    usage->failed = record->failed;
    usage->starts_cold = record->starts_cold;
    usage->retries = record->retries;
    usage->chained = record->chained;
    usage->cpu_ns = record->cpu_ns;
    usage->wall_ns = record->wall_ns;
    usage->queue_ns = record->queue_ns;
    usage->memory_byte_ms = record->memory_byte_ms;
    usage->bytes_in = record->bytes_in;
    usage->bytes_out = record->bytes_out;
    *writer = record->writer;
    *commit = record->commit;
    meter__usage__free_unpacked(record, NULL);
    return 0;
}

static void
append(struct buffer *out, const struct meter *meter, const struct meter_usage *usage)
{
    Meter__Usage record = METER__USAGE__INIT;
    uint8_t bytes[256]; /* thirteen numbers of at most eleven bytes with their tags */

    record.calls = usage->calls;
    record.failed = usage->failed;
    record.starts_cold = usage->starts_cold;
    record.retries = usage->retries;
    record.chained = usage->chained;
    record.cpu_ns = usage->cpu_ns;
    record.wall_ns = usage->wall_ns;
    record.queue_ns = usage->queue_ns;
    record.memory_byte_ms = usage->memory_byte_ms;
    record.bytes_in = usage->bytes_in;
    record.bytes_out = usage->bytes_out;
    record.writer = meter->writer;
    record.commit = meter->batch.commit;
    ASSERT(meter__usage__get_packed_size(&record) <= sizeof(bytes));
    buffer_append(out, bytes, meter__usage__pack(&record, bytes));
}

/* What the store has of a sum; zeros and version 0 where there is nothing. */
static int
look_up(const struct meter *meter, const struct sum *sum, struct meter_usage *usage,
        uint64_t *version, bool *is_mine, struct diag *diag)
{
    const struct key key = key_of(&sum->usage);
    const struct store_key at = {METER_TABLE, key.bytes, key.count};
    struct buffer value = {0};
    uint64_t writer = 0, commit = 0;
    int err = store_get(meter->store, &at, &value, version, diag);

    *usage = (struct meter_usage){.tenant = sum->tenant};
    if (err == 0)
        err = meter_read(value.bytes, value.count, usage, &writer, &commit);
    if (err == -EBADMSG)
        err = diag_set(diag, err, "usage of tenant %s on day %u is damaged", sum->tenant,
                       sum->usage.day);
    buffer_fini(&value);
    *is_mine = err == 0 && writer == meter->writer && commit == meter->batch.commit;
    if (err != -ENOENT)
        return err;
    *version = 0;
    return 0;
}

/* --------------------------------------------------------------------------- batches */

/* Sums out of the table, as many as a commit takes. */
static void
fill(struct meter *meter)
{
    struct batch *batch = &meter->batch;

    ASSERT(batch->count == 0);
    (void)pthread_mutex_lock(&meter->lock);
    for (uint32_t looked = 0; looked < METER_BUCKETS && batch->count < METER_BATCH_MAX; looked++) {
        struct sum **at = &meter->table[meter->cursor % METER_BUCKETS];

        while (*at != NULL && batch->count < METER_BATCH_MAX) {
            struct sum *sum = *at;

            *at = sum->next;
            batch->sums[batch->count++] = sum;
            meter->sum_count--;
        }
        meter->cursor += *at == NULL;
    }
    (void)pthread_mutex_unlock(&meter->lock);
    batch->commit++;
    batch->is_in_doubt = false;
}

static void
drop(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free(batch->sums[i]);
    batch->count = 0;
    batch->is_in_doubt = false;
}

/* What became of a commit without an answer: done, or not; else it cannot be known. */
static int
settle(struct meter *meter, struct diag *diag)
{
    struct batch *batch = &meter->batch;
    bool has_unchanged = false, has_mine = false;

    for (size_t i = 0; i < batch->count && !has_unchanged && !has_mine; i++) {
        struct meter_usage usage;
        uint64_t version;
        int err = look_up(meter, batch->sums[i], &usage, &version, &has_mine, diag);

        if (err == -EBADMSG)
            continue;
        if (err != 0)
            return err;
        has_unchanged = version == batch->versions[i];
    }
    batch->is_in_doubt = false;
    if (!has_unchanged)
        drop(batch);
    return 0;
}

struct changes {
    struct store_change list[METER_BATCH_MAX];
    struct key keys[METER_BATCH_MAX];
    size_t ends[METER_BATCH_MAX]; /* of values, in: */
    struct buffer values;
};

static int
read_batch(struct meter *meter, struct changes *changes, struct diag *diag)
{
    struct batch *batch = &meter->batch;

    changes->values.count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct meter_usage usage;
        bool is_mine;
        int err = look_up(meter, batch->sums[i], &usage, &batch->versions[i], &is_mine, diag);

        if (err == -EBADMSG) { /* it stays as it is, and keeps nobody else waiting */
            free(batch->sums[i]);
            batch->sums[i--] = batch->sums[--batch->count];
            continue;
        }
        if (err != 0)
            return err;
        meter_usage_add(&usage, &batch->sums[i]->usage);
        append(&changes->values, meter, &usage);
        changes->ends[i] = changes->values.count;
    }
    return changes->values.err;
}

static int
commit(struct meter *meter, struct changes *changes, struct diag *diag)
{
    const struct batch *batch = &meter->batch;
    size_t begin = 0, failed;
    int err = fault_point("meter.commit");

    for (size_t i = 0; i < batch->count; i++) {
        changes->keys[i] = key_of(&batch->sums[i]->usage);
        changes->list[i] = (struct store_change){
            .key = {METER_TABLE, changes->keys[i].bytes, changes->keys[i].count},
            .condition = batch->versions[i] != 0 ? STORE_VERSION : STORE_ABSENT,
            .version = batch->versions[i],
            .value = changes->values.bytes + begin,
            .count = changes->ends[i] - begin,
        };
        begin = changes->ends[i];
    }
    if (err == 0)
        err = store_commit(meter->store, changes->list, batch->count, NULL, &failed, diag);
    return err == 0 ? fault_point("meter.committed") : err;
}

/* -EAGAIN: others write the same all the time; it stays for the next second. */
static int
write_batch(struct meter *meter, struct changes *changes, struct diag *diag)
{
    struct batch *batch = &meter->batch;
    int err = batch->is_in_doubt ? settle(meter, diag) : 0;

    for (unsigned i = 0; err == 0 && i < METER_TRIES_MAX; i++) {
        if (batch->count == 0)
            return 0;
        err = read_batch(meter, changes, diag);
        if (err != 0 || batch->count == 0)
            return err;
        err = commit(meter, changes, diag);
        batch->is_in_doubt = err == -ETIMEDOUT || err == -EIO;
        if (err == 0)
            drop(batch);
        if (err == -EAGAIN && i + 1 < METER_TRIES_MAX)
            err = 0;
    }
    return err;
}

int
meter_write(struct meter *meter, struct diag *diag)
{
    struct changes *changes = fault_point("meter.alloc") == 0 ? calloc(1, sizeof(*changes)) : NULL;
    int err = changes != NULL ? 0 : -ENOMEM;

    while (err == 0) {
        if (meter->batch.count == 0)
            fill(meter);
        if (meter->batch.count == 0)
            break;
        err = write_batch(meter, changes, diag);
    }
    if (changes != NULL)
        buffer_fini(&changes->values);
    free(changes);
    return err;
}
