/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/fault.h"
#include "catalog/catalog_internal.h"

#define LABEL_SEALING "weft catalog: sealing of secrets, 1"
#define LABEL_CHECK   "weft catalog: which cluster's key, 1"

static const void *
key_of_item(const void *value, size_t *count)
{
    const struct catalog_item *item = value;

    *count = item->key_count;
    return item->key;
}

static const void *
key_of_token(const void *value, size_t *count)
{
    const struct catalog_item *item = value;

    *count = CATALOG_HASH_BYTES;
    return ((const Catalog__Token *)(const void *)item->message)->hash.data;
}

static const void *
key_of_space(const void *value, size_t *count)
{
    const struct catalog_space *space = value;

    *count = strlen(space->name);
    return space->name;
}

/* ------------------------------------------------------------------------ whose key */

static const struct store_key check_key = {CATALOG_TABLE_KEY, "check", 5};

static int
put_check(struct catalog *catalog, const uint8_t check[CATALOG_KEY_BYTES], struct diag *diag)
{
    Catalog__Key message = CATALOG__KEY__INIT;
    struct store_change change = {.key = check_key, .condition = STORE_ABSENT};
    struct buffer value = {0};
    int err;

    message.check = (ProtobufCBinaryData){CATALOG_KEY_BYTES, (uint8_t *)(uintptr_t)check};
    err = catalog_message_pack(&message.base, &value);
    change.value = value.bytes;
    change.count = value.count;
    if (err == 0)
        err = store_commit(catalog->store, &change, 1, NULL, NULL, diag);
    buffer_fini(&value);
    return err;
}

static int
compare_check(const struct buffer *raw, const uint8_t check[CATALOG_KEY_BYTES], struct diag *diag)
{
    Catalog__Key *message = catalog__key__unpack(NULL, raw->count, raw->bytes);
    int err = 0;

    if (message == NULL || message->check.len != CATALOG_KEY_BYTES)
        err = diag_set(diag, -EBADMSG,
                       "table " CATALOG_TABLE_KEY ", record check: no check of a key");
    else if (CRYPTO_memcmp(message->check.data, check, CATALOG_KEY_BYTES) != 0)
        err = diag_set(diag, -EACCES,
                       "the store was made with another cluster's key: give the "
                       "key that it was made with, or another store");
    if (message != NULL)
        catalog__key__free_unpacked(message, NULL);
    return err;
}

/* The first process of a cluster puts what tells its key from others. */
static int
check_cluster(struct catalog *catalog, const uint8_t key[CATALOG_KEY_BYTES], struct diag *diag)
{
    uint8_t check[CATALOG_KEY_BYTES];
    struct buffer raw = {0};
    struct diag attempt;
    int err = catalog_derive(key, LABEL_CHECK, check);

    for (unsigned i = 0; err == 0 && i < 2; i++) {
        err = store_get(catalog->store, &check_key, &raw, NULL, diag);
        if (err != -ENOENT)
            break;
        diag_init(&attempt);
        err = put_check(catalog, check, &attempt);
        if (err == 0)
            return 0;
        err = err == -EAGAIN ? 0 : diag_set(diag, err, "%s", diag_text(&attempt));
    }
    if (err == 0)
        err = compare_check(&raw, check, diag);
    buffer_fini(&raw);
    return err;
}

/* ---------------------------------------------------------------------- open, close */

/* Calls ask all the time: a change must not wait until none does. Nobody reads twice. */
static void
init_locks(struct catalog *catalog)
{
    pthread_rwlockattr_t attributes;

    (void)pthread_mutex_init(&catalog->changing, NULL);
    (void)pthread_rwlockattr_init(&attributes);
    (void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(&catalog->lock, &attributes);
    (void)pthread_rwlockattr_destroy(&attributes);
}

static int
prepare(struct catalog *catalog, const uint8_t key[CATALOG_KEY_BYTES])
{
    uint64_t seed;
    int err = fault_point("catalog.open");

    if (err != 0)
        return err;
    if (RAND_bytes((unsigned char *)&seed, sizeof(seed)) != 1)
        return -EIO;
    catalog_map_init(&catalog->items, seed, key_of_item);
    catalog_map_init(&catalog->tokens, seed, key_of_token);
    catalog_map_init(&catalog->spaces, seed, key_of_space);
    catalog->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (catalog->sha256 == NULL)
        return -ENOMEM;
    return catalog_derive(key, LABEL_SEALING, catalog->sealing_key);
}

int
catalog_open(struct store *store, const uint8_t key[CATALOG_KEY_BYTES], struct catalog **out,
             struct diag *diag)
{
    struct catalog *catalog = calloc(1, sizeof(*catalog));
    int err;

    if (catalog == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a catalog");
    catalog->store = store;
    init_locks(catalog);
    err = prepare(catalog, key);
    if (err == 0)
        err = check_cluster(catalog, key, diag);
    if (err == 0)
        err = catalog_refresh(catalog, diag);
    if (err != 0) {
        catalog_close(catalog);
        return diag_set(diag, err, "cannot open the catalog: %s", strerror(-err));
    }
    *out = catalog;
    return 0;
}

void
catalog_close(struct catalog *catalog)
{
    struct catalog_space *space;
    size_t at;

    if (catalog == NULL)
        return;
    while (at = 0, (space = catalog_map_next(&catalog->spaces, &at)) != NULL)
        catalog_space_drop(catalog, space);
    catalog_map_fini(&catalog->items);
    catalog_map_fini(&catalog->tokens);
    catalog_map_fini(&catalog->spaces);
    EVP_MD_free(catalog->sha256);
    explicit_bzero(catalog->sealing_key, sizeof(catalog->sealing_key));
    (void)pthread_mutex_destroy(&catalog->changing);
    (void)pthread_rwlock_destroy(&catalog->lock);
    free(catalog);
}

/* --------------------------------------------------------------------------- refresh */

struct names { /* of tenants, each with a NUL */
    struct catalog *catalog;
    struct buffer changed;
};

static void
note(struct names *names, const char *tenant)
{
    buffer_append(&names->changed, tenant, strlen(tenant) + 1);
}

static bool
note_changed(void *context, const struct store_record *record)
{
    struct names *names = context;
    const char *tenant = record->key;
    struct catalog_space *space;

    if (record->key_count > CATALOG_NAME_BYTES_MAX + 1 || tenant[record->key_count - 1] != '\0' ||
        strlen(tenant) + 1 != record->key_count)
        return true; /* the mark */
    space = catalog_space_find(names->catalog, tenant);
    if (space != NULL)
        space->is_listed = true;
    if (space == NULL || space->version != record->version)
        note(names, tenant);
    return true;
}

/* Those that are there no more are among them. */
static int
find_changed(struct names *names, struct diag *diag)
{
    struct store_range range = {.table = CATALOG_TABLE_GENERATION};
    struct catalog_space *space;
    int err;

    for (size_t at = 0; (space = catalog_map_next(&names->catalog->spaces, &at)) != NULL;)
        space->is_listed = false;
    err = store_list(names->catalog->store, &range, note_changed, names, diag);
    for (size_t at = 0; (space = catalog_map_next(&names->catalog->spaces, &at)) != NULL;)
        if (!space->is_listed)
            note(names, space->name);
    return err != 0 ? err : names->changed.err;
}

/* One tenant's damage does not keep the others from being read. */
static int
sync_changed(struct catalog *catalog, const struct buffer *changed, struct diag *diag)
{
    int first = 0, err;

    for (size_t at = 0; at < changed->count; at += strlen((const char *)changed->bytes + at) + 1) {
        err = catalog_sync(catalog, (const char *)changed->bytes + at, diag);
        first = first != 0 ? first : err;
    }
    return first;
}

int
catalog_refresh(struct catalog *catalog, struct diag *diag)
{
    struct store_key mark = {CATALOG_TABLE_GENERATION, "*", 1};
    struct names names = {.catalog = catalog};
    struct buffer raw = {0};
    uint64_t version = 0;
    int err;

    (void)pthread_mutex_lock(&catalog->changing);
    err = store_get(catalog->store, &mark, &raw, &version, diag);
    err = err == -ENOENT ? 0 : err;
    if (err == 0 && version != catalog->seen) {
        err = find_changed(&names, diag);
        if (err == 0)
            err = sync_changed(catalog, &names.changed, diag);
        if (err == 0)
            catalog->seen = version;
    }
    (void)pthread_mutex_unlock(&catalog->changing);
    buffer_fini(&names.changed);
    buffer_fini(&raw);
    return err;
}
