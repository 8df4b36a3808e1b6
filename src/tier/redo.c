/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes that are too large for one commit.
 *
 *   1  the new chunks are written aside, as parts, in several commits
 *   2  one commit writes the redo record: what goes, and the head as it will be
 *   3  what goes is removed; then the redo record says that nothing goes
 *   4  parts become chunks, some in each commit
 *   5  one commit writes the head and removes the redo record
 *
 * Before 2 nothing has happened: parts without a redo record are removed when they are found.
 * From 2 on it will happen: 3 to 5 can be done again from their beginning by whoever comes next.
 * Nobody reads the key meanwhile, and 4 begins when 3 is over, so it removes nothing new. Parts
 * hold what chunks will be, not what is added to them: doing it again adds nothing twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "tier/tier_internal.h"

#define BYTES_MAX  (16u << 20)
#define REDO_BYTES (16u + 2u * TIER_HEAD_BYTES)

struct redo {
    bool is_chunks_gone, is_records_gone;
    uint64_t stored; /* of the head that was */
    struct head before, after;
};

/* ------------------------------------------------------------------------------ record */

static void
redo_pack(const struct redo *redo, uint8_t bytes[REDO_BYTES])
{
    tier_number_write(bytes, (redo->is_chunks_gone ? 1 : 0) | (redo->is_records_gone ? 2 : 0));
    tier_number_write(bytes + 8, redo->stored);
    tier_head_write(&redo->before, bytes + 16);
    tier_head_write(&redo->after, bytes + 16 + TIER_HEAD_BYTES);
}

static int
redo_read(struct tier *tier, const struct key *key, struct redo *out, struct diag *diag)
{
    struct buffer value = {0};
    struct folder name;
    uint64_t version;
    int err = fault_point("tier.redo");

    tier_name(key, &name);
    if (err == 0)
        err = store_get(tier->config.store,
                        &(struct store_key){tier_table_redo, name.bytes, name.count}, &value,
                        &version, diag);
    if (err == 0 && value.count != REDO_BYTES)
        err = diag_set(diag, -EBADMSG, "a redo record of state has %zu bytes", value.count);
    if (err == 0) {
        uint64_t flags = tier_number_read(value.bytes);

        *out = (struct redo){.is_chunks_gone = flags & 1, .is_records_gone = flags & 2};
        out->stored = tier_number_read(value.bytes + 8);
        err = tier_head_read(value.bytes + 16, TIER_HEAD_BYTES, &out->before);
        if (err == 0)
            err = tier_head_read(value.bytes + 16 + TIER_HEAD_BYTES, TIER_HEAD_BYTES, &out->after);
        out->before.stored = out->stored;
    }
    buffer_fini(&value);
    return err;
}

static void
redo_put(struct commit *commit, const struct key *key, uint8_t bytes[REDO_BYTES])
{
    struct store_change *one;
    struct folder name;

    tier_name(key, &name);
    one = tier_commit_add(commit, tier_table_redo, &name);
    one->value = bytes;
    one->count = REDO_BYTES;
}

/* ------------------------------------------------------------------------------- write */

/* Some parts from *at on, as many as a commit may have. */
static int
write_some(struct draft *draft, size_t *at, struct diag *diag)
{
    struct commit commit;
    struct folder name;
    size_t bytes = 0;
    int err = tier_commit_init(&commit, draft->tier, draft->tier->redo_changes_max + 1);

    if (err != 0)
        return err;
    for (; *at < draft->chunks.count && bytes < BYTES_MAX &&
           commit.count < draft->tier->redo_changes_max;
         ++*at) {
        const struct draft_chunk *chunk = &draft->chunks.list[*at];
        struct store_change *one;

        if (!chunk->is_changed)
            continue;
        tier_folder(draft->key, &name);
        tier_folder_number(&name, chunk->number);
        one = tier_commit_add(&commit, tier_table_part, &name);
        one->value = chunk->bytes;
        one->count = tier_significant(chunk->bytes, chunk->count);
        bytes += one->count;
    }
    err = commit.count == 0 ? 0 : tier_commit(&commit, NULL, NULL, diag);
    tier_commit_fini(&commit);
    return err;
}

/* The head is looked at, and stays: what is decided is the redo record. */
static int
decide(struct draft *draft, struct diag *diag)
{
    struct redo redo = {
        .is_chunks_gone = draft->is_fresh && draft->before.kind == TIER_VALUE,
        .is_records_gone = draft->is_fresh && draft->before.kind == TIER_LOG,
        .stored = draft->before.stored,
        .before = draft->before,
        .after = draft->after,
    };
    uint8_t bytes[REDO_BYTES];
    struct commit commit;
    struct store_change *one;
    struct folder name;
    int err = tier_commit_init(&commit, draft->tier, 3);

    if (err != 0)
        return err;
    redo_pack(&redo, bytes);
    redo_put(&commit, draft->key, bytes);
    tier_name(draft->key, &name);
    one = tier_commit_add(&commit, tier_table_head, &name);
    one->condition = draft->before.stored == 0 ? STORE_ABSENT : STORE_VERSION;
    one->version = draft->before.stored;
    err = tier_commit(&commit, NULL, NULL, diag);
    tier_commit_fini(&commit);
    return err;
}

int
tier_redo_write(struct draft *draft, struct diag *diag)
{
    uint64_t stored = 0;
    bool is_decided = false;
    int err = 0;

    ASSERT(draft->record_count == 0);
    for (size_t at = 0; at < draft->chunks.count && err == 0;)
        err = write_some(draft, &at, diag);
    if (err == 0)
        err = decide(draft, diag);
    is_decided = err == 0;
    if (err == 0)
        err = tier_redo_end(draft->tier, draft->key, &stored, diag);
    draft->after.stored = draft->after.kind == TIER_NONE ? 0 : stored;
    if (err == 0)
        return 0;
    /* It is in doubt now, and read anew before anybody is told. Once it was decided nobody may say
     * that nothing has happened: somebody will end it. */
    if (is_decided || (err != -ESHUTDOWN && err != -ENOMEM))
        err = -EIO;
    return diag_set(diag, err, "a large change of state could not be written");
}

/* --------------------------------------------------------------------------------- end */

/* Records of a key in a table, copied. */
struct page {
    struct {
        struct folder name;
        size_t at, count;
    } *list;
    size_t count, capacity;
    struct buffer bytes;
};

static bool
page_add(void *context, const struct store_record *record)
{
    struct page *page = context;

    if (record->key_count > sizeof(page->list->name.bytes) || page->count == page->capacity)
        return false;
    memcpy(page->list[page->count].name.bytes, record->key, record->key_count);
    page->list[page->count].name.count = record->key_count;
    page->list[page->count].at = page->bytes.count;
    page->list[page->count].count = record->value_count;
    page->count++;
    buffer_append(&page->bytes, record->value, record->value_count);
    return page->bytes.count < BYTES_MAX;
}

static void
page_fini(struct page *page)
{
    free(page->list);
    buffer_fini(&page->bytes);
}

static int
page_read(struct tier *tier, const struct key *key, const char *table, struct page *out,
          struct diag *diag)
{
    struct folder name;
    struct store_range range;
    int err;

    *out = (struct page){.capacity = tier->redo_changes_max / 2};
    out->list = tier_alloc(out->capacity * sizeof(*out->list));
    if (out->list == NULL)
        return -ENOMEM;
    tier_folder(key, &name);
    range = (struct store_range){.table = table,
                                 .prefix = name.bytes,
                                 .prefix_count = name.count,
                                 .count_max = (uint32_t)out->capacity};
    err = fault_point("tier.redo");
    if (err == 0)
        err = store_list(tier->config.store, &range, page_add, out, diag);
    if (err == 0)
        err = out->bytes.err;
    if (err != 0)
        page_fini(out);
    return err;
}

/* With parts becoming chunks, or nothing. */
static int
page_commit(struct tier *tier, const char *table, const struct page *page, bool is_filling,
            struct diag *diag)
{
    struct commit commit;
    int err = tier_commit_init(&commit, tier, tier->redo_changes_max + 1);

    if (err != 0)
        return err;
    for (size_t i = 0; i < page->count; i++) {
        struct store_change *one;

        tier_commit_add(&commit, table, &page->list[i].name)->is_removal = true;
        if (!is_filling)
            continue;
        one = tier_commit_add(&commit, tier_table_chunk, &page->list[i].name);
        one->is_removal = page->list[i].count == 0;
        if (!one->is_removal) {
            one->value = page->bytes.bytes + page->list[i].at;
            one->count = page->list[i].count;
        }
    }
    err = tier_commit(&commit, NULL, NULL, diag);
    tier_commit_fini(&commit);
    return err;
}

static int
empty(struct tier *tier, const struct key *key, const char *table, bool is_filling,
      struct diag *diag)
{
    struct page page;
    size_t count;
    int err;

    do {
        err = page_read(tier, key, table, &page, diag);
        if (err != 0)
            return err;
        count = page.count;
        if (count > 0)
            err = page_commit(tier, table, &page, is_filling, diag);
        page_fini(&page);
    } while (err == 0 && count > 0);
    return err;
}

static int
remove_gone(struct tier *tier, const struct key *key, struct redo *redo, struct diag *diag)
{
    uint8_t bytes[REDO_BYTES];
    struct commit commit;
    int err = 0;

    if (redo->is_chunks_gone)
        err = empty(tier, key, tier_table_chunk, false, diag);
    if (err == 0 && redo->is_records_gone)
        err = empty(tier, key, tier_table_record, false, diag);
    if (err != 0)
        return err;
    err = tier_commit_init(&commit, tier, 2);
    if (err != 0)
        return err;
    redo->is_chunks_gone = redo->is_records_gone = false;
    redo_pack(redo, bytes);
    redo_put(&commit, key, bytes);
    err = tier_commit(&commit, NULL, NULL, diag);
    tier_commit_fini(&commit);
    return err;
}

static int
finish(struct tier *tier, const struct key *key, const struct redo *redo, uint64_t *stored,
       struct diag *diag)
{
    uint8_t bytes[TIER_HEAD_BYTES];
    struct commit commit;
    struct folder name;
    int err = tier_commit_init(&commit, tier, 5);

    if (err != 0)
        return err;
    (void)tier_commit_head(&commit, key, &redo->before, &redo->after, bytes);
    tier_name(key, &name);
    tier_commit_add(&commit, tier_table_redo, &name)->is_removal = true;
    err = tier_commit(&commit, stored, NULL, diag);
    tier_commit_fini(&commit);
    return err;
}

int
tier_redo_end(struct tier *tier, struct key *key, uint64_t *stored, struct diag *diag)
{
    struct redo redo;
    int err = redo_read(tier, key, &redo, diag);

    if (err == -ENOENT)
        return empty(tier, key, tier_table_part, false, diag);
    if (err == 0 && (redo.is_chunks_gone || redo.is_records_gone))
        err = remove_gone(tier, key, &redo, diag);
    if (err == 0)
        err = empty(tier, key, tier_table_part, true, diag);
    if (err == 0)
        err = finish(tier, key, &redo, stored, diag);
    return err;
}

/* --------------------------------------------------------------------------- beginning */

static bool
first_name(void *context, const struct store_record *record)
{
    struct folder *name = context;

    name->count = record->key_count < sizeof(name->bytes) ? record->key_count : 0;
    memcpy(name->bytes, record->key, name->count);
    return false;
}

/* The first key in the table whose names end with so many bytes that are not its own. */
static int
first_key(struct tier *tier, const char *table, size_t tail, struct key **out, struct diag *diag)
{
    const struct store_range range = {.table = table, .count_max = 1};
    struct folder name = {0};
    struct tenant *tenant;
    const uint8_t *end;
    int err = store_list(tier->config.store, &range, first_name, &name, diag);

    *out = NULL;
    if (err != 0 || name.count == 0)
        return err;
    end = memchr(name.bytes, '\0', name.count);
    if (end == NULL || (size_t)(name.bytes + name.count - end) <= tail + 1)
        return diag_set(diag, -EBADMSG, "a name in table %s is none", table);
    tenant = tier_tenant(tier, (const char *)name.bytes);
    if (tenant != NULL)
        *out = tier_key_get(tier, tenant, (const char *)end + 1,
                            (size_t)(name.bytes + name.count - end) - 1 - tail);
    return *out == NULL ? -ENOMEM : 0;
}

int
tier_redo_end_all(struct tier *tier, struct diag *diag)
{
    const char *tables[] = {tier_table_redo, tier_table_part};
    struct key *key = NULL;
    int err = 0;

    for (size_t i = 0; i < ARRAY_COUNT(tables) && err == 0; i++)
        do {
            err = first_key(tier, tables[i], i == 0 ? 0 : 9, &key, diag);
            if (err != 0 || key == NULL)
                break;
            err = tier_redo_end(tier, key, NULL, diag);
            tier_key_put(tier, key);
        } while (err == 0);
    return err;
}
