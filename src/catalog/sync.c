/* SPDX-License-Identifier: Apache-2.0
 *
 * What others changed, into the index.
 *
 * Claim: a space in memory is what the store had at one moment: the one in which its
 * generation was written.
 *
 * Argument: every commit to a tenant's records puts its generation, on condition that it
 * is still the one that the commit was made from. So while the generation stays, nothing
 * of the tenant changes; what was read between two looks at the same generation is of
 * that generation. A generation tells which keys the last commits changed: whoever has
 * seen one of these reads only the keys since then, and otherwise all. Where the second
 * look finds another generation, the keys since the first are read again, and no others
 * have changed: so what was read is of the second, if a third look still finds that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "catalog/catalog_internal.h"

#define ATTEMPTS_MAX 64u

void
catalog_generation_key(struct catalog_key *out, const char *tenant)
{
    out->count = strlen(tenant) + 1;
    ASSERT(out->count <= CATALOG_NAME_BYTES_MAX + 1);
    memcpy(out->bytes, tenant, out->count);
}

static int
read_generation(struct catalog *catalog, const char *tenant, Catalog__Generation **out,
                uint64_t *version, struct diag *diag)
{
    struct buffer raw = {0};
    struct catalog_key key;
    int err;

    catalog_generation_key(&key, tenant);
    err = store_get(catalog->store,
                    &(struct store_key){CATALOG_TABLE_GENERATION, key.bytes, key.count}, &raw,
                    version, diag);
    if (err == 0 && out != NULL)
        err = catalog_generation_decode(raw.bytes, raw.count, out);
    if (err == -EBADMSG)
        (void)diag_set(diag, err, "table " CATALOG_TABLE_GENERATION ", record %s: no generation",
                       tenant);
    buffer_fini(&raw);
    return err;
}

/* -------------------------------------------------------------------------- by key */

static bool
tells_since(const Catalog__Generation *generation, const Catalog__Generation *seen)
{
    size_t count = generation->n_log;

    if (seen == NULL || seen->is_removed || generation->is_removed || count == 0 ||
        seen->incarnation != generation->incarnation || seen->number >= generation->number ||
        generation->log[0]->number > seen->number + 1 ||
        generation->log[count - 1]->number != generation->number)
        return false;
    for (size_t i = 1; i < count; i++)
        if (generation->log[i]->number != generation->log[i - 1]->number + 1)
            return false;
    return true;
}

/* In place of what the delta has under the key. Takes the item. */
static int
put_newer(struct catalog_delta *delta, const struct catalog_key *key, struct catalog_item *item)
{
    for (size_t i = 0; i < delta->count; i++) {
        struct catalog_entry *entry = &delta->entries[i];

        if (entry->key.count == key->count &&
            memcmp(entry->key.bytes, key->bytes, key->count) == 0) {
            catalog_item_put(entry->item);
            entry->item = item;
            return 0;
        }
    }
    return catalog_delta_add(delta, key, item);
}

static int
read_key(struct catalog *catalog, const char *tenant, const ProtobufCBinaryData *data,
         struct catalog_delta *delta, struct diag *diag)
{
    size_t tenant_count = strlen(tenant) + 1;
    struct catalog_item *item = NULL;
    struct buffer raw = {0};
    struct catalog_key key;
    int err;

    if (data->len <= tenant_count || data->len > sizeof(key.bytes) ||
        memcmp(data->data, tenant, tenant_count) != 0)
        return diag_set(diag, -EBADMSG,
                        "table " CATALOG_TABLE_GENERATION
                        ", record %s: its log has the key of another",
                        tenant);
    key.count = data->len;
    memcpy(key.bytes, data->data, data->len);
    err = store_get(catalog->store, &(struct store_key){CATALOG_TABLE, key.bytes, key.count}, &raw,
                    NULL, diag);
    if (err == 0)
        err = catalog_item_decode(key.bytes, key.count, raw.bytes, raw.count, &item, diag);
    else if (err == -ENOENT)
        err = 0;
    buffer_fini(&raw);
    return err != 0 ? err : put_newer(delta, &key, item);
}

/* What the log says that was changed after a number. */
static int
read_since(struct catalog *catalog, const char *tenant, uint64_t number,
           const Catalog__Generation *generation, struct catalog_delta *delta, struct diag *diag)
{
    int err = 0;

    for (size_t i = 0; i < generation->n_log; i++) {
        const Catalog__Commit *commit = generation->log[i];

        for (size_t k = 0; err == 0 && commit->number > number && k < commit->n_keys; k++)
            err = read_key(catalog, tenant, &commit->keys[k], delta, diag);
    }
    return err;
}

/* ------------------------------------------------------------------------------- all */

struct reading {
    struct catalog_delta *delta;
    struct diag *diag;
    int err;
};

static bool
read_one(void *context, const struct store_record *record)
{
    struct reading *reading = context;
    struct catalog_item *item;
    struct catalog_key key;

    reading->err = catalog_item_decode(record->key, record->key_count, record->value,
                                       record->value_count, &item, reading->diag);
    if (reading->err != 0)
        return false;
    key.count = record->key_count;
    memcpy(key.bytes, record->key, record->key_count);
    reading->err = catalog_delta_add(reading->delta, &key, item);
    return reading->err == 0;
}

/* What the space has and the delta, which is in order so far, has not. */
static int
add_removals(const struct catalog_space *space, struct catalog_delta *delta)
{
    size_t at = 0, end = delta->count;
    int err = 0;

    for (size_t i = 0; err == 0 && i < space->count; i++) {
        const struct catalog_item *item = space->items[i];
        struct catalog_key key = {.count = item->key_count};
        int order = 1;

        memcpy(key.bytes, item->key, item->key_count);
        while (at < end && order > 0) {
            const struct catalog_key *other = &delta->entries[at].key;
            size_t common = other->count < key.count ? other->count : key.count;

            order = memcmp(key.bytes, other->bytes, common);
            if (order == 0 && key.count != other->count)
                order = key.count > other->count ? 1 : -1;
            at += order > 0;
        }
        if (at == end || order < 0)
            err = catalog_delta_add(delta, &key, NULL);
    }
    return err;
}

static int
read_all(struct catalog *catalog, const char *tenant, bool is_removed, struct catalog_delta *delta,
         struct diag *diag)
{
    struct catalog_space *space = catalog_space_find(catalog, tenant);
    struct reading reading = {delta, diag, 0};
    struct store_range range = {
        .table = CATALOG_TABLE, .prefix = tenant, .prefix_count = strlen(tenant) + 1};
    int err = 0;

    delta->is_whole = true;
    if (!is_removed)
        err = store_list(catalog->store, &range, read_one, &reading, diag);
    if (err == 0)
        err = reading.err;
    if (err == 0 && space != NULL)
        err = add_removals(space, delta);
    return err;
}

/* ------------------------------------------------------------------------------ sync */

/* What is being read of one tenant. */
struct view {
    struct catalog *catalog;
    const char *tenant;
    Catalog__Generation *generation; /* owned */
    uint64_t version;
    struct catalog_delta delta;
    struct diag *diag;
};

static int
take_in(struct view *view)
{
    struct catalog_space *space;
    int err = catalog_delta_link(view->catalog, &view->delta, view->diag);

    if (err == 0)
        err = catalog_space_make(view->catalog, view->tenant, &space);
    if (err == 0)
        err = catalog_index_reserve(view->catalog, space, &view->delta);
    if (err != 0)
        return err;
    catalog_index_apply(view->catalog, space, &view->delta, view->generation, view->version);
    view->generation = NULL;
    return 0;
}

/* Reads what was changed while the rest was read, until nothing was: that is little each
 * time, so it ends also where others change all the time. -EAGAIN: it did not. */
static int
catch_up(struct view *view)
{
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
        Catalog__Generation *newer = NULL;
        uint64_t version;
        int err = read_generation(view->catalog, view->tenant, &newer, &version, view->diag);

        if (err != 0)
            return err == -ENOENT ? -EAGAIN : err;
        if (version == view->version) {
            catalog__generation__free_unpacked(newer, NULL);
            return 0;
        }
        err = -EAGAIN;
        if (tells_since(newer, view->generation))
            err = read_since(view->catalog, view->tenant, view->generation->number, newer,
                             &view->delta, view->diag);
        catalog__generation__free_unpacked(view->generation, NULL);
        view->generation = newer;
        view->version = version;
        if (err != 0)
            return err;
    }
    return -EAGAIN;
}

static int
read_changed(struct view *view, const struct catalog_space *space)
{
    int err =
        read_generation(view->catalog, view->tenant, &view->generation, &view->version, view->diag);

    if (err != 0)
        return err == -ENOENT ? -EAGAIN : err;
    if (space != NULL && tells_since(view->generation, space->generation))
        err = read_since(view->catalog, view->tenant, space->generation->number, view->generation,
                         &view->delta, view->diag);
    else
        err = read_all(view->catalog, view->tenant, view->generation->is_removed, &view->delta,
                       view->diag);
    return err != 0 ? err : catch_up(view);
}

/* -EAGAIN: it was changed meanwhile. */
static int
sync_once(struct catalog *catalog, const char *tenant, struct diag *diag)
{
    struct view view = {.catalog = catalog, .tenant = tenant, .diag = diag};
    struct catalog_space *space = catalog_space_find(catalog, tenant);
    uint64_t version;
    int err = read_generation(catalog, tenant, NULL, &version, diag);

    if (err == -ENOENT && space != NULL)
        catalog_space_drop(catalog, space);
    if (err == -ENOENT)
        return 0;
    if (err != 0 || (space != NULL && space->version == version))
        return err;
    err = read_changed(&view, space);
    if (err == 0)
        err = take_in(&view);
    if (view.generation != NULL)
        catalog__generation__free_unpacked(view.generation, NULL);
    catalog_delta_fini(&view.delta);
    return err;
}

int
catalog_sync(struct catalog *catalog, const char *tenant, struct diag *diag)
{
    struct diag attempt;
    int err = -EAGAIN;

    for (unsigned i = 0; i < ATTEMPTS_MAX && err == -EAGAIN; i++) {
        diag_init(&attempt);
        err = fault_point("catalog.sync");
        if (err == 0)
            err = sync_once(catalog, tenant, &attempt);
    }
    if (err == -EAGAIN)
        return diag_set(diag, err, "tenant %s changes all the time: try again", tenant);
    return err == 0
               ? 0
               : diag_set(diag, err, "%s", attempt.is_set ? diag_text(&attempt) : strerror(-err));
}
