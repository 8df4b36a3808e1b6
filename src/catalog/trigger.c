/* SPDX-License-Identifier: Apache-2.0
 *
 * Triggers: what calls a function without being asked by hand.
 */
#include <errno.h>
#include <string.h>

#include "catalog/catalog_internal.h"

static char *
text_of(const char *text)
{
    return (char *)(uintptr_t)(text == NULL ? "" : text);
}

static bool
is_same_request(const struct catalog_trigger *one, const struct catalog_trigger *other)
{
    return one->kind == CATALOG_HTTP && other->kind == CATALOG_HTTP &&
           strcmp(one->name, other->name) != 0 && strcmp(one->path, other->path) == 0 &&
           strcmp(one->method, other->method) == 0;
}

static int
check_free(const struct catalog_change *change, const struct catalog_trigger *trigger)
{
    const struct catalog_space *space = change->space;
    struct catalog_key key;
    size_t at;

    catalog_key_make(&key, change->tenant, CATALOG_RECORD_TRIGGER, "");
    at = catalog_space_lower(space, key.bytes, key.count);
    for (size_t i = 0; i < space->counts[CATALOG_RECORD_TRIGGER]; i++) {
        const struct catalog_item *item = space->items[at + i];

        if (is_same_request(trigger, &item->trigger))
            return diag_set(change->diag, -EEXIST, "trigger %s has this method and path",
                            item->name);
    }
    return 0;
}

static int
decide_put(struct catalog_change *change, void *context)
{
    const struct catalog_trigger *trigger = context;
    const struct catalog_item *item =
        catalog_change_find(change, CATALOG_RECORD_TRIGGER, trigger->name);
    Catalog__Trigger message = CATALOG__TRIGGER__INIT;
    struct catalog_key key;
    int err;

    if (item == NULL && change->space->counts[CATALOG_RECORD_TRIGGER] >= CATALOG_TRIGGERS_MAX)
        return diag_set(change->diag, -ENOSPC, "trigger %s: there are %u, the most there may be",
                        trigger->name, CATALOG_TRIGGERS_MAX);
    if (item != NULL)
        message = *(const Catalog__Trigger *)(const void *)item->message;
    message.kind = (uint32_t)trigger->kind;
    message.reference = text_of(trigger->reference);
    message.method = text_of(trigger->method);
    message.path = text_of(trigger->path);
    message.is_public = trigger->is_public;
    message.schedule = text_of(trigger->schedule);
    message.input = text_of(trigger->input);
    message.is_paused = trigger->is_paused;
    catalog_key_make(&key, change->tenant, CATALOG_RECORD_TRIGGER, trigger->name);
    err = catalog_change_put(change, &key, &message.base);
    /* What was just built has every text; what came may lack some. */
    return err != 0
               ? err
               : check_free(change, &change->delta.entries[change->delta.count - 1].item->trigger);
}

int
catalog_trigger_put(struct catalog *catalog, const struct catalog_trigger *trigger,
                    struct diag *diag)
{
    int err = catalog_check_name("trigger", trigger->name, diag);

    return err != 0 ? err
                    : catalog_change(catalog, trigger->tenant, decide_put,
                                     (void *)(uintptr_t)trigger, diag);
}

static int
decide_remove(struct catalog_change *change, void *context)
{
    const char *name = context;
    struct catalog_key key;

    if (catalog_change_find(change, CATALOG_RECORD_TRIGGER, name) == NULL)
        return diag_set(change->diag, -ENOENT, "there is no trigger %s", name);
    catalog_key_make(&key, change->tenant, CATALOG_RECORD_TRIGGER, name);
    return catalog_change_remove(change, &key);
}

int
catalog_trigger_remove(struct catalog *catalog, const char *tenant, const char *name,
                       struct diag *diag)
{
    int err = catalog_check_name("trigger", name, diag);

    return err != 0 ? err
                    : catalog_change(catalog, tenant, decide_remove, (void *)(uintptr_t)name, diag);
}

int
catalog_trigger_list(struct catalog *catalog, const char *tenant, catalog_trigger_fn visit,
                     void *context, struct diag *diag)
{
    struct catalog_items items;
    int err = catalog_index_collect(catalog, tenant, CATALOG_RECORD_TRIGGER, &items, diag);

    if (err != 0)
        return err;
    for (size_t i = 0; i < items.count && visit(context, &items.items[i]->trigger); i++)
        continue;
    catalog_items_fini(&items);
    return 0;
}

int
catalog_trigger_find(struct catalog *catalog, const char *tenant, const char *method,
                     const char *path, catalog_trigger_fn visit, void *context)
{
    const struct catalog_space *space;
    struct catalog_item *item = NULL;

    (void)pthread_rwlock_rdlock(&catalog->lock);
    space = catalog_space_find(catalog, tenant);
    if (space != NULL)
        item = catalog_space_match(space, method, path);
    if (item != NULL)
        (void)catalog_item_get(item);
    (void)pthread_rwlock_unlock(&catalog->lock);
    if (item == NULL)
        return -ENOENT;
    (void)visit(context, &item->trigger);
    catalog_item_put(item);
    return 0;
}
