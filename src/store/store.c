/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "store/store_internal.h"

struct store {
    struct store_records records;
    struct store_blobs blobs;
};

static int
open_records(struct store *store, const struct store_config *config, struct diag *diag)
{
    struct store_address *address = malloc(sizeof(*address));
    int err;

    if (address == NULL)
        return -ENOMEM;
    err = store_address_parse(config->records, address, diag);
    if (err == 0 && address->scheme == STORE_S3)
        err = diag_set(diag, -EINVAL, "%s: records are in dir: or redis://", address->name);
    if (err == 0)
        err = address->scheme == STORE_DIR
                  ? store_lmdb_open(config, address, &store->records, diag)
                  : store_redis_open(config, address, &store->records, diag);
    free(address);
    return err;
}

static int
open_blobs(struct store *store, const struct store_config *config, struct diag *diag)
{
    struct store_address *address = malloc(sizeof(*address));
    int err;

    if (address == NULL)
        return -ENOMEM;
    err = store_address_parse(config->blobs, address, diag);
    if (err == 0 && address->scheme == STORE_REDIS)
        err = diag_set(diag, -EINVAL, "%s: blobs are in dir: or s3+http[s]://", address->name);
    if (err == 0)
        err = address->scheme == STORE_DIR ? store_files_open(config, address, &store->blobs, diag)
                                           : store_s3_open(config, address, &store->blobs, diag);
    free(address);
    return err;
}

int
store_open(const struct store_config *config, struct store **out, struct diag *diag)
{
    struct store_config filled = *config;
    struct store *store;
    int err;

    if (config->records == NULL && config->blobs == NULL)
        return diag_set(diag, -EINVAL, "a store needs an address of records or of blobs");
    if (filled.patience_ns == 0)
        filled.patience_ns = STORE_PATIENCE_NS;
    if (filled.bytes_max == 0)
        filled.bytes_max = STORE_LMDB_BYTES_MAX;
    store = calloc(1, sizeof(*store));
    if (store == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a store");
    err = config->records == NULL ? 0 : open_records(store, &filled, diag);
    if (err == 0 && config->blobs != NULL)
        err = open_blobs(store, &filled, diag);
    if (err != 0) {
        store_close(store);
        return diag_set(diag, err, "cannot open the store: %s", strerror(-err));
    }
    *out = store;
    return 0;
}

void
store_close(struct store *store)
{
    if (store == NULL)
        return;
    if (store->blobs.ops != NULL)
        store->blobs.ops->close(store->blobs.self);
    if (store->records.ops != NULL)
        store->records.ops->close(store->records.self);
    free(store);
}

/* ---------------------------------------------------------------------------- blobs */

static int
need_blobs(const struct store *store, struct diag *diag)
{
    if (store->blobs.ops != NULL)
        return 0;
    return diag_set(diag, -EINVAL, "this store was opened without an address of blobs");
}

int
store_blob_put(struct store *store, int fd, struct store_hash *out, struct diag *diag)
{
    struct store_hash hash = {0};
    int err = need_blobs(store, diag);

    if (err == 0)
        err = store->blobs.ops->put(store->blobs.self, fd, &hash, diag);
    if (err == 0)
        *out = hash;
    return err;
}

int
store_blob_put_bytes(struct store *store, const void *bytes, size_t count, struct store_hash *out,
                     struct diag *diag)
{
    int fd = -1;
    int err;

    if (count > STORE_BLOB_BYTES_MAX)
        return diag_set(diag, -E2BIG, "a blob of %zu bytes: 4 GiB are the most", count);
    err = store_spool_create(count, &fd);
    if (err == 0)
        err = file_write_all(fd, bytes, count);
    if (err == 0 && lseek(fd, 0, SEEK_SET) != 0)
        err = -errno;
    if (err == 0)
        err = store_blob_put(store, fd, out, diag);
    file_close(&fd);
    return err == 0 ? 0 : diag_set(diag, err, "cannot put a blob: %s", strerror(-err));
}

int
store_blob_get(struct store *store, const struct store_hash *hash, int *fd, struct diag *diag)
{
    int err = need_blobs(store, diag);

    return err != 0 ? err : store->blobs.ops->get(store->blobs.self, hash, fd, diag);
}

int
store_blob_stat(struct store *store, const struct store_hash *hash, uint64_t *bytes,
                struct diag *diag)
{
    int err = need_blobs(store, diag);

    return err != 0 ? err : store->blobs.ops->stat(store->blobs.self, hash, bytes, diag);
}

int
store_blob_remove(struct store *store, const struct store_hash *hash, struct diag *diag)
{
    int err = need_blobs(store, diag);

    return err != 0 ? err : store->blobs.ops->remove(store->blobs.self, hash, diag);
}

int
store_blob_remove_old(struct store *store, const struct store_hash *hash, uint64_t before_ns,
                      struct diag *diag)
{
    int err = need_blobs(store, diag);

    return err != 0 ? err : store->blobs.ops->remove_old(store->blobs.self, hash, before_ns, diag);
}

int
store_blob_list(struct store *store, store_blob_visit_fn visit, void *context, struct diag *diag)
{
    int err = need_blobs(store, diag);

    return err != 0 ? err : store->blobs.ops->list(store->blobs.self, visit, context, diag);
}

/* -------------------------------------------------------------------------- records */

static int
check_table(const struct store *store, const char *table, struct diag *diag)
{
    size_t count = table == NULL ? 0 : strnlen(table, STORE_TABLE_BYTES_MAX + 1);

    if (store->records.ops == NULL)
        return diag_set(diag, -EINVAL, "this store was opened without an address of records");
    if (count == 0 || count > STORE_TABLE_BYTES_MAX ||
        table[strspn(table, "abcdefghijklmnopqrstuvwxyz-")] != '\0')
        return diag_set(diag, -EINVAL, "a table is named by 1 to %u lower-case letters and -",
                        STORE_TABLE_BYTES_MAX);
    return 0;
}

static int
check_key(const struct store *store, const struct store_key *key, struct diag *diag)
{
    int err = check_table(store, key->table, diag);

    if (err != 0)
        return err;
    if (key->bytes == NULL || key->count == 0 || key->count > STORE_KEY_BYTES_MAX)
        return diag_set(diag, -EINVAL, "table %s: a key of %zu bytes: 1 to %u are allowed",
                        key->table, key->count, STORE_KEY_BYTES_MAX);
    return 0;
}

int
store_get(struct store *store, const struct store_key *key, struct buffer *out, uint64_t *version,
          struct diag *diag)
{
    int err = check_key(store, key, diag);

    if (err != 0)
        return err;
    return store->records.ops->get(store->records.self, key, out, version, diag);
}

int
store_list(struct store *store, const struct store_range *range, store_visit_fn visit,
           void *context, struct diag *diag)
{
    int err = check_table(store, range->table, diag);

    if (err != 0)
        return err;
    if (range->prefix_count > STORE_KEY_BYTES_MAX || range->after_count > STORE_KEY_BYTES_MAX)
        return diag_set(diag, -EINVAL, "table %s: a prefix or key of more than %u bytes",
                        range->table, STORE_KEY_BYTES_MAX);
    return store->records.ops->list(store->records.self, range, visit, context, diag);
}

static int
compare_changes(const void *one, const void *other)
{
    const struct store_key *a = &(*(const struct store_change *const *)one)->key;
    const struct store_key *b = &(*(const struct store_change *const *)other)->key;
    int order = strcmp(a->table, b->table);

    if (order != 0)
        return order;
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    return memcmp(a->bytes, b->bytes, a->count);
}

/* Whether a key is there twice. */
static int
check_once(const struct store_change *changes, size_t count, struct diag *diag)
{
    const struct store_change **sorted;
    int err = 0;

    if (count == 1)
        return 0;
    sorted = malloc(count * sizeof(const struct store_change *));
    if (sorted == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &changes[i];
    qsort(sorted, count, sizeof(const struct store_change *), compare_changes);
    for (size_t i = 1; i < count && err == 0; i++)
        if (compare_changes(&sorted[i - 1], &sorted[i]) == 0)
            err = diag_set(diag, -EINVAL, "table %s: a key twice in one commit",
                           sorted[i]->key.table);
    free(sorted);
    return err;
}

static int
check_change(const struct store *store, const struct store_change *change, struct diag *diag)
{
    int err = check_key(store, &change->key, diag);

    if (err != 0)
        return err;
    if (change->condition > STORE_VERSION ||
        (change->condition == STORE_VERSION && change->version == 0))
        return diag_set(diag, -EINVAL, "table %s: a condition that cannot be", change->key.table);
    if (change->is_removal ? change->value != NULL || change->count != 0
                           : change->value == NULL && change->count != 0)
        return diag_set(diag, -EINVAL, "table %s: a removal with a value, or bytes without",
                        change->key.table);
    if (change->count > STORE_VALUE_BYTES_MAX)
        return diag_set(diag, -E2BIG, "table %s: a value of %zu bytes: %u are the most",
                        change->key.table, change->count, STORE_VALUE_BYTES_MAX);
    return 0;
}

int
store_commit(struct store *store, const struct store_change *changes, size_t count,
             uint64_t *version, size_t *failed, struct diag *diag)
{
    uint64_t bytes = 0, version_told = 0;
    size_t failed_told = 0;
    int err = 0;

    if (count == 0)
        return diag_set(diag, -EINVAL, "a commit of no changes");
    if (count > STORE_CHANGES_MAX)
        return diag_set(diag, -E2BIG, "a commit of %zu changes: %u are the most", count,
                        STORE_CHANGES_MAX);
    for (size_t i = 0; i < count && err == 0; i++) {
        err = check_change(store, &changes[i], diag);
        bytes += changes[i].count;
    }
    if (err == 0 && bytes > STORE_COMMIT_BYTES_MAX)
        err = diag_set(diag, -E2BIG, "a commit of %zu bytes: %u are the most", (size_t)bytes,
                       STORE_COMMIT_BYTES_MAX);
    if (err == 0)
        err = check_once(changes, count, diag);
    if (err != 0)
        return err;
    err = store->records.ops->commit(store->records.self, changes, count, &version_told,
                                     &failed_told, diag);
    if (err == 0 && version != NULL)
        *version = version_told;
    if (err == -EAGAIN && failed != NULL)
        *failed = failed_told;
    return err;
}

int
store_now(struct store *store, uint64_t *ns, struct diag *diag)
{
    if (store->records.ops == NULL)
        return diag_set(diag, -EINVAL, "this store was opened without an address of records");
    return store->records.ops->now(store->records.self, ns, diag);
}
