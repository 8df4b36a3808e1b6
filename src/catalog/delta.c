/* SPDX-License-Identifier: Apache-2.0
 *
 * What is to change in the index, all of it together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "catalog/catalog_internal.h"

static const void *
key_of_item(const void *value, size_t *count)
{
    const struct catalog_item *item = value;

    *count = item->key_count;
    return item->key;
}

void
catalog_delta_fini(struct catalog_delta *delta)
{
    for (size_t i = 0; i < delta->count; i++) {
        catalog_item_put(delta->entries[i].item);
        buffer_fini(&delta->entries[i].value);
    }
    free(delta->entries);
    *delta = (struct catalog_delta){0};
}

int
catalog_delta_add(struct catalog_delta *delta, const struct catalog_key *key,
                  struct catalog_item *item)
{
    if (delta->count == delta->capacity) {
        size_t capacity = delta->capacity == 0 ? 8 : 2 * delta->capacity;
        struct catalog_entry *entries = realloc(delta->entries, capacity * sizeof(*entries));

        if (entries == NULL) {
            catalog_item_put(item);
            return -ENOMEM;
        }
        delta->entries = entries;
        delta->capacity = capacity;
    }
    delta->entries[delta->count++] = (struct catalog_entry){.key = *key, .item = item};
    return 0;
}

static int
link_function(struct catalog *catalog, const struct catalog_delta *delta,
              const struct catalog_map *fresh, struct catalog_item *item, struct diag *diag)
{
    const Catalog__Function *function = catalog_function_of(item);
    struct catalog_item *callable;
    struct catalog_key key;

    for (size_t i = 0; i < function->n_versions; i++) {
        catalog_key_make_version(&key, item->tenant, item->name, function->versions[i]);
        callable = catalog_map_get(fresh, key.bytes, key.count);
        if (callable == NULL && !delta->is_whole)
            callable = catalog_map_get(&catalog->items, key.bytes, key.count);
        if (callable == NULL)
            return diag_set(diag, -EBADMSG,
                            "table " CATALOG_TABLE ", record of function %s of %s: "
                            "its version %u is missing",
                            item->name, item->tenant, function->versions[i]);
        ASSERT(item->callables[i] == NULL);
        item->callables[i] = catalog_item_get(callable);
    }
    return 0;
}

int
catalog_delta_link(struct catalog *catalog, struct catalog_delta *delta, struct diag *diag)
{
    struct catalog_map fresh;
    int err;

    catalog_map_init(&fresh, catalog->items.seed, key_of_item);
    err = fault_point("catalog.link");
    if (err == 0)
        err = catalog_map_reserve(&fresh, delta->count);
    for (size_t i = 0; err == 0 && i < delta->count; i++)
        if (delta->entries[i].item != NULL &&
            delta->entries[i].item->kind == CATALOG_RECORD_VERSION)
            catalog_map_set(&fresh, delta->entries[i].item);
    for (size_t i = 0; err == 0 && i < delta->count; i++)
        if (delta->entries[i].item != NULL &&
            delta->entries[i].item->kind == CATALOG_RECORD_FUNCTION)
            err = link_function(catalog, delta, &fresh, delta->entries[i].item, diag);
    catalog_map_fini(&fresh);
    return err;
}
