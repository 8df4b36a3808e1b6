/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenants. Removing one is a commit that takes its settings, from which on nobody sees
 * anything of it; then its other records go, as many at a time as a commit takes. Where
 * that was cut short, it goes on when the tenant is removed or made again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "catalog/catalog_internal.h"

#define PURGE_KEYS   1024u
#define ATTEMPTS_MAX 16u /* to make a tenant that others remove */

/* ----------------------------------------------------------------------------- purge */

struct purge {
    struct catalog_key *keys; /* owned: PURGE_KEYS */
    struct store_change changes[PURGE_KEYS + 2];
    size_t count;
};

static bool
note_key(void *context, const struct store_record *record)
{
    struct purge *purge = context;
    struct catalog_key *key = &purge->keys[purge->count];

    if (record->key_count > sizeof(key->bytes))
        return true; /* nobody has ever read it as a record of ours */
    key->count = record->key_count;
    memcpy(key->bytes, record->key, record->key_count);
    purge->changes[purge->count++] =
        (struct store_change){.key = {CATALOG_TABLE, key->bytes, key->count}, .is_removal = true};
    return purge->count < PURGE_KEYS;
}

/* One commit. -ENOENT: there is nothing more. */
static int
purge_some(struct catalog *catalog, const char *tenant, struct purge *purge, struct diag *diag)
{
    const struct catalog_space *space;
    struct catalog_key key;
    struct store_range range = {
        .table = CATALOG_TABLE, .prefix = tenant, .prefix_count = strlen(tenant) + 1};
    bool is_last;
    int err = catalog_sync(catalog, tenant, diag);

    space = catalog_space_find(catalog, tenant);
    if (err != 0)
        return err;
    if (space == NULL || !space->generation->is_removed)
        return -ENOENT;
    purge->count = 0;
    err = store_list(catalog->store, &range, note_key, purge, diag);
    if (err != 0)
        return err;
    is_last = purge->count < PURGE_KEYS;
    catalog_generation_key(&key, tenant);
    purge->changes[purge->count++] = (struct store_change){
        .key = {CATALOG_TABLE_GENERATION, key.bytes, key.count},
        .condition = STORE_VERSION,
        .version = space->version,
        .is_removal = is_last,
    };
    if (is_last)
        purge->changes[purge->count++] = (struct store_change){
            .key = {CATALOG_TABLE_GENERATION, "*", 1}, .value = "", .count = 0};
    return store_commit(catalog->store, purge->changes, purge->count, NULL, NULL, diag);
}

/* What a removed tenant has left. */
static int
purge(struct catalog *catalog, const char *tenant, struct diag *diag)
{
    struct purge *purge = calloc(1, sizeof(*purge));
    struct diag attempt;
    int err = fault_point("catalog.purge");

    if (purge != NULL)
        purge->keys = calloc(PURGE_KEYS, sizeof(struct catalog_key));
    if (err == 0 && (purge == NULL || purge->keys == NULL))
        err = -ENOMEM;
    (void)pthread_mutex_lock(&catalog->changing);
    while (err == 0 || err == -EAGAIN) {
        diag_init(&attempt);
        err = purge_some(catalog, tenant, purge, &attempt);
    }
    (void)pthread_mutex_unlock(&catalog->changing);
    if (purge != NULL)
        free(purge->keys);
    free(purge);
    if (err == -ENOENT)
        return 0;
    return diag_set(diag, err, "tenant %s is removed, but not all that it had: remove it again: %s",
                    tenant, strerror(-err));
}

/* ---------------------------------------------------------------------------- change */

static int
decide_put(struct catalog_change *change, void *context)
{
    const struct catalog_tenant *tenant = context;
    const struct catalog_item *item = catalog_change_find(change, CATALOG_RECORD_SETTINGS, "");
    Catalog__Tenant message = CATALOG__TENANT__INIT;
    struct catalog_key key;
    size_t count;

    if (change->space != NULL && change->space->generation != NULL &&
        change->space->generation->is_removed)
        return -ESTALE; /* what it had goes first */
    count = change->catalog->spaces.count - (catalog_space_find(change->catalog, "") != NULL);
    if (item == NULL && count >= CATALOG_TENANTS_MAX)
        return diag_set(change->diag, -ENOSPC, "tenant %s: there are %u, the most there may be",
                        tenant->name, CATALOG_TENANTS_MAX);
    if (item != NULL)
        message = *(const Catalog__Tenant *)(const void *)item->message;
    message.cpu_share = tenant->cpu_share;
    message.cpu_percent = tenant->cpu_percent;
    message.memory_bytes = tenant->memory_bytes;
    message.files = tenant->files;
    message.network_rate = tenant->network_rate;
    message.calls_max = tenant->calls_max;
    message.queue_max = tenant->queue_max;
    message.priority = tenant->priority;
    message.storage_bytes = tenant->storage_bytes;
    catalog_key_make(&key, change->tenant, CATALOG_RECORD_SETTINGS, "");
    return catalog_change_put(change, &key, &message.base);
}

int
catalog_tenant_put(struct catalog *catalog, const struct catalog_tenant *tenant, struct diag *diag)
{
    struct diag attempt;
    int err = catalog_check_name("tenant", tenant->name, diag);

    if (err != 0)
        return err;
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
        diag_init(&attempt);
        err = catalog_change_any(catalog, tenant->name, decide_put, (void *)(uintptr_t)tenant,
                                 &attempt);
        if (err == 0)
            return 0;
        if (err != -ESTALE)
            return diag_set(diag, err, "%s", diag_text(&attempt));
        err = purge(catalog, tenant->name, diag);
        if (err != 0)
            return err;
    }
    return diag_set(diag, -EAGAIN, "tenant %s is removed all the time: try again", tenant->name);
}

static int
decide_remove(struct catalog_change *change, void *context)
{
    struct catalog_key key;

    (void)context;
    if (change->space != NULL && change->space->generation != NULL &&
        change->space->generation->is_removed)
        return 0; /* then there may be something left to purge */
    if (catalog_change_find(change, CATALOG_RECORD_SETTINGS, "") == NULL)
        return diag_set(change->diag, -ENOENT, "there is no tenant %s", change->tenant);
    change->is_removal = true;
    catalog_key_make(&key, change->tenant, CATALOG_RECORD_SETTINGS, "");
    return catalog_change_remove(change, &key);
}

int
catalog_tenant_remove(struct catalog *catalog, const char *name, struct diag *diag)
{
    int err = catalog_check_name("tenant", name, diag);

    if (err == 0)
        err = catalog_change_any(catalog, name, decide_remove, NULL, diag);
    return err != 0 ? err : purge(catalog, name, diag);
}

int
catalog_tenant_list(struct catalog *catalog, const char *name, catalog_tenant_fn visit,
                    void *context, struct diag *diag)
{
    struct catalog_items items;
    struct catalog_item *item;
    int err;

    if (name != NULL) {
        err = catalog_index_get(catalog, name, CATALOG_RECORD_SETTINGS, "", &item, diag);
        if (err != 0)
            return err;
        (void)visit(context, &item->settings);
        catalog_item_put(item);
        return 0;
    }
    err = catalog_index_collect(catalog, NULL, CATALOG_RECORD_SETTINGS, &items, diag);
    if (err != 0)
        return err;
    for (size_t i = 0; i < items.count && visit(context, &items.items[i]->settings); i++)
        continue;
    catalog_items_fini(&items);
    return 0;
}
