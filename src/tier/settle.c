/* SPDX-License-Identifier: Apache-2.0
 *
 * A draft becomes what is there: in one commit, or by a redo record where it is too much for one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tier/tier_internal.h"

#define FLOOR_STEP   (UINT64_C(1) << 20)
#define HEAD_CHANGES 4u /* the term, the head, what was due, what is */
#define TRIM_AT_ONCE 1000u

int
tier_commit_head(struct commit *commit, const struct key *key, const struct head *before,
                 const struct head *after, uint8_t bytes[TIER_HEAD_BYTES])
{
    struct store_change *one;
    struct folder name;
    int index = (int)commit->count;

    tier_name(key, &name);
    one = tier_commit_add(commit, tier_table_head, &name);
    one->condition = before->stored == 0 ? STORE_ABSENT : STORE_VERSION;
    one->version = before->stored;
    if (after->kind != TIER_NONE) {
        tier_head_write(after, bytes);
        one->value = bytes;
        one->count = TIER_HEAD_BYTES;
    } else {
        one->is_removal = true;
    }
    if (before->expires_ns != 0 && before->expires_ns != after->expires_ns) {
        tier_due(key, before->expires_ns, &name);
        tier_commit_add(commit, tier_table_due, &name)->is_removal = true;
    }
    if (after->expires_ns != 0 && before->expires_ns != after->expires_ns) {
        tier_due(key, after->expires_ns, &name);
        tier_commit_add(commit, tier_table_due, &name)->value = "";
    }
    return index;
}

/* ------------------------------------------------------------------------------ floor */

static int
store_floor(struct tier *tier, struct tenant *tenant, uint64_t floor, struct diag *diag)
{
    struct folder name = {.count = strlen(tenant->name)};
    struct commit commit;
    struct store_change *one;
    uint8_t bytes[8];
    int err = tier_commit_init(&commit, tier, 2);

    if (err != 0)
        return err;
    memcpy(name.bytes, tenant->name, name.count);
    tier_number_write(bytes, floor);
    one = tier_commit_add(&commit, tier_table_tenant, &name);
    one->value = bytes;
    one->count = sizeof(bytes);
    err = tier_commit(&commit, NULL, NULL, diag);
    tier_commit_fini(&commit);
    return err;
}

/* A value of this version is to be removed: no later one of its key may have a version that it
 * had. The floor is in the store before the removal is, in steps, so seldom. */
static int
raise_floor(struct tier *tier, struct tenant *tenant, uint64_t version, struct diag *diag)
{
    int err = 0;

    (void)pthread_mutex_lock(&tier->floor_lock);
    if (tenant->floor_stored < version) {
        err = store_floor(tier, tenant, version + FLOOR_STEP, diag);
        if (err == 0)
            tenant->floor_stored = version + FLOOR_STEP;
    }
    (void)pthread_mutex_unlock(&tier->floor_lock);
    if (err != 0)
        return err;
    tier_lock(tier);
    if (tenant->floor < version)
        tenant->floor = version;
    tier_unlock(tier);
    return 0;
}

/* ----------------------------------------------------------------------------- commit */

static uint64_t
chunk_end(uint64_t size)
{
    return (size + TIER_CHUNK_BYTES - 1) / TIER_CHUNK_BYTES;
}

/* Records or chunks that go. */
static uint64_t
count_gone(const struct draft *draft)
{
    if (!draft->is_fresh)
        return 0;
    if (draft->before.kind == TIER_LOG)
        return draft->before.version - draft->before.first;
    return chunk_end(draft->before.size);
}

static bool
is_too_large(const struct draft *draft)
{
    uint64_t bytes = 0, parts = count_gone(draft) + draft->record_count + draft->chunks.count;

    if (parts > draft->tier->commit_parts_max)
        return true;
    for (size_t i = 0; i < draft->chunks.count; i++)
        bytes += draft->chunks.list[i].count;
    for (size_t i = 0; i < draft->record_count; i++)
        bytes += draft->records[i]->bytes.count;
    return bytes > TIER_COMMIT_BYTES_MAX;
}

static void
add_chunks(struct commit *commit, const struct draft *draft)
{
    struct folder name;

    for (size_t i = 0; i < draft->chunks.count; i++) {
        const struct draft_chunk *one = &draft->chunks.list[i];
        size_t count = tier_significant(one->bytes, one->count);
        struct store_change *change;

        if (!one->is_changed)
            continue;
        tier_folder(draft->key, &name);
        tier_folder_number(&name, one->number);
        change = tier_commit_add(commit, tier_table_chunk, &name);
        if (count > 0) {
            change->value = one->bytes;
            change->count = count;
        } else {
            change->is_removal = true;
        }
    }
}

static bool
is_written(const struct draft *draft, uint64_t number)
{
    if (draft->before.kind == TIER_LOG)
        return draft->record_count > 0 && number < draft->after.version;
    for (size_t i = 0; i < draft->chunks.count; i++)
        if (draft->chunks.list[i].number == number)
            return draft->chunks.list[i].is_changed;
    return false;
}

static void
add_gone(struct commit *commit, const struct draft *draft)
{
    bool is_log = draft->before.kind == TIER_LOG;
    uint64_t first = is_log ? draft->before.first : 0;
    struct folder name;

    for (uint64_t i = 0; i < count_gone(draft); i++) {
        if (is_written(draft, first + i))
            continue;
        tier_folder(draft->key, &name);
        tier_folder_number(&name, first + i);
        tier_commit_add(commit, is_log ? tier_table_record : tier_table_chunk, &name)->is_removal =
            true;
    }
}

static void
add_records(struct commit *commit, const struct draft *draft)
{
    uint64_t first = draft->after.version - draft->record_count;
    struct folder name;

    for (size_t i = 0; i < draft->record_count; i++) {
        const struct buffer *bytes = &draft->records[i]->bytes;
        struct store_change *one;

        tier_folder(draft->key, &name);
        tier_folder_number(&name, first + i);
        one = tier_commit_add(commit, tier_table_record, &name);
        one->value = bytes->count > 0 ? (const void *)bytes->bytes : "";
        one->count = bytes->count;
    }
}

static int
commit_at_once(struct draft *draft, struct diag *diag)
{
    struct commit commit;
    uint8_t head[TIER_HEAD_BYTES];
    uint64_t version = 0;
    int err = tier_commit_init(&commit, draft->tier,
                               HEAD_CHANGES + count_gone(draft) + draft->chunks.count +
                                   draft->record_count);

    if (err != 0)
        return err;
    (void)tier_commit_head(&commit, draft->key, &draft->before, &draft->after, head);
    add_chunks(&commit, draft);
    add_gone(&commit, draft);
    add_records(&commit, draft);
    err = tier_commit(&commit, &version, NULL, diag);
    tier_commit_fini(&commit);
    draft->after.stored = draft->after.kind == TIER_NONE ? 0 : version;
    return err;
}

/* What readers will ask for is at hand. */
static void
fill_cache(struct draft *draft)
{
    struct cache *cache = &draft->tier->cache;

    if (draft->is_fresh)
        tier_cache_forget(cache, draft->key);
    for (size_t i = 0; i < draft->chunks.count; i++) {
        struct draft_chunk *one = &draft->chunks.list[i];

        if (one->is_changed)
            tier_cache_release(
                cache, tier_cache_put(cache, draft->key, one->number, one->bytes, one->count));
        else
            free(one->bytes);
        one->bytes = NULL;
    }
}

int
tier_draft_commit(struct draft *draft, struct diag *diag)
{
    int err = 0;

    if (!draft->is_changed || (draft->before.kind == TIER_NONE && draft->after.kind == TIER_NONE))
        return 0;
    if (draft->floor > 0)
        err = raise_floor(draft->tier, draft->key->tenant, draft->floor, diag);
    if (err != 0)
        return err;
    draft->is_large = is_too_large(draft);
    if (draft->is_large) {
        tier_cache_forget(&draft->tier->cache, draft->key);
        return tier_redo_write(draft, diag);
    }
    err = commit_at_once(draft, diag);
    if (err == 0)
        fill_cache(draft);
    return err;
}

/* ------------------------------------------------------------------------------- trim */

/* Some of the records that go, and how many bytes they have. */
struct trimming {
    uint64_t before, first, bytes;
    uint32_t count;
};

static bool
trim_one(void *context, const struct store_record *record)
{
    struct trimming *trimming = context;
    uint64_t index;

    if (record->key_count < sizeof(index))
        return false;
    index = tier_number_read((const uint8_t *)record->key + record->key_count - sizeof(index));
    if (index >= trimming->before)
        return false;
    trimming->bytes += record->value_count;
    trimming->first = index + 1;
    trimming->count++;
    return true;
}

static int
commit_trim(struct tier *tier, struct key *key, const struct head *before, struct head *after,
            struct diag *diag)
{
    struct commit commit;
    uint8_t bytes[TIER_HEAD_BYTES];
    struct folder name;
    int err = tier_commit_init(&commit, tier, HEAD_CHANGES + TRIM_AT_ONCE);

    if (err != 0)
        return err;
    (void)tier_commit_head(&commit, key, before, after, bytes);
    for (uint64_t index = before->first; index < after->first; index++) {
        tier_folder(key, &name);
        tier_folder_number(&name, index);
        tier_commit_add(&commit, tier_table_record, &name)->is_removal = true;
    }
    err = tier_commit(&commit, &after->stored, NULL, diag);
    tier_commit_fini(&commit);
    return err;
}

static int
trim_some(struct tier *tier, struct key *key, uint64_t index, struct diag *diag)
{
    struct trimming trimming = {.before = index, .first = key->head.first};
    struct head before = key->head, after = before;
    struct folder name;
    struct store_range range;
    int err;

    tier_folder(key, &name);
    range = (struct store_range){.table = tier_table_record,
                                 .prefix = name.bytes,
                                 .prefix_count = name.count,
                                 .count_max = TRIM_AT_ONCE};
    err = store_list(tier->config.store, &range, trim_one, &trimming, diag);
    if (err == 0 && (trimming.count == 0 || trimming.first - before.first != trimming.count ||
                     trimming.bytes > before.size))
        err = diag_set(diag, -EBADMSG, "a log of state lacks records");
    if (err != 0)
        return err;
    after.first = trimming.first;
    after.size -= trimming.bytes;
    err = commit_trim(tier, key, &before, &after, diag);
    if (err != 0)
        return err;
    tier_lock(tier);
    key->tenant->bytes -= trimming.bytes;
    key->counted = after.size;
    key->head = after;
    tier_unlock(tier);
    return 0;
}

/* In steps, each of them a state that may be seen. */
int
tier_trim(struct tier *tier, struct key *key, struct op *op, struct diag *diag)
{
    uint64_t before = op->offset < key->head.version ? op->offset : key->head.version;
    int err = 0;

    while (err == 0 && key->head.first < before)
        err = trim_some(tier, key, before, diag);
    op->head = key->head;
    return err;
}
