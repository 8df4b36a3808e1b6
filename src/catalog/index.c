/* SPDX-License-Identifier: Apache-2.0
 *
 * All records in memory. A space has its items in order of keys, for lists; maps over all
 * of them answer what calls ask.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "catalog/catalog_internal.h"

/* ------------------------------------------------------------------------------ find */

struct catalog_space *
catalog_space_find(const struct catalog *catalog, const char *tenant)
{
    return catalog_map_get(&catalog->spaces, tenant, strlen(tenant));
}

struct catalog_item *
catalog_index_find(const struct catalog *catalog, const char *tenant, enum catalog_record kind,
                   const char *name)
{
    struct catalog_key key;

    catalog_key_make(&key, tenant, kind, name);
    return catalog_map_get(&catalog->items, key.bytes, key.count);
}

static int
compare_key(const struct catalog_item *item, const void *key, size_t count)
{
    size_t common = item->key_count < count ? item->key_count : count;
    int order = memcmp(item->key, key, common);

    if (order != 0 || item->key_count == count)
        return order;
    return item->key_count < count ? -1 : 1;
}

size_t
catalog_space_lower(const struct catalog_space *space, const void *key, size_t count)
{
    size_t low = 0, high = space->count;

    /* What is loaded comes in order. */
    if (high > 0 && compare_key(space->items[high - 1], key, count) < 0)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_key(space->items[middle], key, count) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---------------------------------------------------------------------------- spaces */

int
catalog_space_make(struct catalog *catalog, const char *tenant, struct catalog_space **out)
{
    struct catalog_space *space = catalog_space_find(catalog, tenant);
    int err = 0;

    ASSERT(strlen(tenant) <= CATALOG_NAME_BYTES_MAX);
    if (space == NULL) {
        space = calloc(1, sizeof(*space));
        if (space == NULL)
            return -ENOMEM;
        memcpy(space->name, tenant, strlen(tenant) + 1);
        (void)pthread_rwlock_wrlock(&catalog->lock);
        err = catalog_map_reserve(&catalog->spaces, 1);
        if (err == 0)
            catalog_map_set(&catalog->spaces, space);
        (void)pthread_rwlock_unlock(&catalog->lock);
        if (err != 0)
            free(space);
    }
    if (err == 0)
        *out = space;
    return err;
}

static const uint8_t *
hash_of_token(const struct catalog_item *item)
{
    return ((const Catalog__Token *)(const void *)item->message)->hash.data;
}

static void
forget(struct catalog *catalog, const struct catalog_item *item)
{
    catalog_map_remove(&catalog->items, item->key, item->key_count);
    if (item->kind == CATALOG_RECORD_TOKEN)
        catalog_map_remove(&catalog->tokens, hash_of_token(item), CATALOG_HASH_BYTES);
}

void
catalog_space_drop(struct catalog *catalog, struct catalog_space *space)
{
    (void)pthread_rwlock_wrlock(&catalog->lock);
    for (size_t i = 0; i < space->count; i++)
        forget(catalog, space->items[i]);
    catalog_map_remove(&catalog->spaces, space->name, strlen(space->name));
    (void)pthread_rwlock_unlock(&catalog->lock);
    for (size_t i = 0; i < space->count; i++)
        catalog_item_put(space->items[i]);
    if (space->generation != NULL)
        catalog__generation__free_unpacked(space->generation, NULL);
    free(space->items);
    free(space->http);
    free(space);
}

/* ---------------------------------------------------------------------------- change */

static int
grow(struct catalog_item ***items, size_t *capacity, size_t need)
{
    struct catalog_item **grown;
    size_t next = *capacity == 0 ? 16 : *capacity;

    while (next < need)
        next *= 2;
    if (next == *capacity)
        return 0;
    grown = realloc(*items, next * sizeof(**items));
    if (grown == NULL)
        return -ENOMEM;
    *items = grown;
    *capacity = next;
    return 0;
}

int
catalog_index_reserve(struct catalog *catalog, struct catalog_space *space,
                      const struct catalog_delta *delta)
{
    size_t more = delta->count, triggers = space->counts[CATALOG_RECORD_TRIGGER] + more;
    int err = fault_point("catalog.reserve");

    if (err != 0)
        return err;
    (void)pthread_rwlock_wrlock(&catalog->lock);
    err = catalog_map_reserve(&catalog->items, more);
    if (err == 0)
        err = catalog_map_reserve(&catalog->tokens, more);
    if (err == 0)
        err = grow(&space->items, &space->capacity, space->count + more);
    if (err == 0)
        err = grow(&space->http, &space->http_capacity, triggers);
    (void)pthread_rwlock_unlock(&catalog->lock);
    return err;
}

static struct catalog_item *
take_out(struct catalog *catalog, struct catalog_space *space, const struct catalog_key *key)
{
    struct catalog_item *item = catalog_map_get(&catalog->items, key->bytes, key->count);
    size_t at;

    if (item == NULL)
        return NULL;
    forget(catalog, item);
    at = catalog_space_lower(space, key->bytes, key->count);
    ASSERT(at < space->count && space->items[at] == item);
    space->count--;
    memmove(&space->items[at], &space->items[at + 1],
            (space->count - at) * sizeof(struct catalog_item *));
    space->counts[item->kind]--;
    return item;
}

static void
put_in(struct catalog *catalog, struct catalog_space *space, struct catalog_item *item)
{
    size_t at = catalog_space_lower(space, item->key, item->key_count);

    ASSERT(space->count < space->capacity);
    memmove(&space->items[at + 1], &space->items[at],
            (space->count - at) * sizeof(struct catalog_item *));
    space->items[at] = item;
    space->count++;
    space->counts[item->kind]++;
    catalog_map_set(&catalog->items, item);
    if (item->kind == CATALOG_RECORD_TOKEN)
        catalog_map_set(&catalog->tokens, item);
}

static int
compare_stem(const struct catalog_item *item, const char *stem, size_t count)
{
    size_t common = item->stem_count < count ? item->stem_count : count;
    int order = common == 0 ? 0 : memcmp(item->trigger.path, stem, common);

    if (order != 0 || item->stem_count == count)
        return order;
    return item->stem_count < count ? -1 : 1;
}

static int
compare_http(const void *one, const void *other)
{
    const struct catalog_item *a = *(const struct catalog_item *const *)one;
    const struct catalog_item *b = *(const struct catalog_item *const *)other;

    return compare_stem(a, b->trigger.path, b->stem_count);
}

static void
sort_http(struct catalog_space *space)
{
    struct catalog_key key;
    size_t at, end;

    catalog_key_make(&key, space->name, CATALOG_RECORD_TRIGGER, "");
    at = catalog_space_lower(space, key.bytes, key.count);
    end = at + space->counts[CATALOG_RECORD_TRIGGER];
    space->http_count = space->stem_max = 0;
    for (; at < end; at++) {
        struct catalog_item *item = space->items[at];

        if (item->trigger.kind != CATALOG_HTTP || item->trigger.is_paused)
            continue;
        ASSERT(space->http_count < space->http_capacity);
        space->http[space->http_count++] = item;
        if (item->stem_count > space->stem_max)
            space->stem_max = item->stem_count;
    }
    if (space->http_count > 1)
        qsort(space->http, space->http_count, sizeof(struct catalog_item *), compare_http);
}

/* Old items take the place of the new ones in the delta, to be put when nobody waits. Says
 * whether triggers were among them. */
static bool
exchange(struct catalog *catalog, struct catalog_space *space, struct catalog_delta *delta)
{
    bool has_triggers = false;

    for (size_t i = 0; i < delta->count; i++) {
        struct catalog_entry *entry = &delta->entries[i];
        struct catalog_item *fresh = entry->item;

        entry->item = take_out(catalog, space, &entry->key);
        if (fresh != NULL)
            put_in(catalog, space, fresh);
        has_triggers |= (fresh != NULL && fresh->kind == CATALOG_RECORD_TRIGGER) ||
                        (entry->item != NULL && entry->item->kind == CATALOG_RECORD_TRIGGER);
    }
    return has_triggers;
}

void
catalog_index_apply(struct catalog *catalog, struct catalog_space *space,
                    struct catalog_delta *delta, Catalog__Generation *generation, uint64_t version)
{
    Catalog__Generation *old = space->generation;

    (void)pthread_rwlock_wrlock(&catalog->lock);
    if (exchange(catalog, space, delta))
        sort_http(space);
    space->generation = generation;
    space->version = version;
    (void)pthread_rwlock_unlock(&catalog->lock);
    if (old != NULL)
        catalog__generation__free_unpacked(old, NULL);
}

/* -------------------------------------------------------------------------- triggers */

static size_t
lower_stem(const struct catalog_space *space, const char *stem, size_t count)
{
    size_t low = 0, high = space->http_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_stem(space->http[middle], stem, count) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The best with this stem: the path itself before what is below, its method before any. */
static struct catalog_item *
match_stem(const struct catalog_space *space, const char *method, const char *path, size_t count)
{
    bool is_whole = path[count] == '\0';
    struct catalog_item *best = NULL;
    unsigned best_points = 0;

    if (count > space->stem_max)
        return NULL;
    for (size_t at = lower_stem(space, path, count);
         at < space->http_count && compare_stem(space->http[at], path, count) == 0; at++) {
        struct catalog_item *item = space->http[at];
        bool is_any = item->trigger.method[0] == '\0';
        unsigned points = 1u + (item->is_below ? 0 : 2) + (is_any ? 0 : 1);

        if ((item->is_below || is_whole) && points > best_points &&
            (is_any || strcmp(item->trigger.method, method) == 0)) {
            best = item;
            best_points = points;
        }
    }
    return best;
}

struct catalog_item *
catalog_space_match(const struct catalog_space *space, const char *method, const char *path)
{
    size_t count = strnlen(path, CATALOG_PATH_BYTES_MAX + 1);
    struct catalog_item *item;

    if (space->http_count == 0 || count > CATALOG_PATH_BYTES_MAX ||
        !catalog_path_is_normal(path, count))
        return NULL;
    item = match_stem(space, method, path, count);
    for (size_t i = count; item == NULL && i-- > 0;)
        if (path[i] == '/')
            item = match_stem(space, method, path, i);
    return item;
}

/* ----------------------------------------------------------------------------- lists */

static bool
is_there(const struct catalog_space *space)
{
    return space != NULL && (space->name[0] == '\0' || space->counts[CATALOG_RECORD_SETTINGS] > 0);
}

static void
collect_space(const struct catalog_space *space, enum catalog_record kind,
              struct catalog_items *out)
{
    struct catalog_key key;
    size_t at;

    catalog_key_make(&key, space->name, kind, "");
    at = catalog_space_lower(space, key.bytes, key.count);
    for (size_t i = 0; i < space->counts[kind]; i++)
        out->items[out->count++] = catalog_item_get(space->items[at + i]);
}

static int
collect(struct catalog *catalog, const struct catalog_space *one, enum catalog_record kind,
        struct catalog_items *out)
{
    const struct catalog_space *space;
    size_t need = 0;

    if (one != NULL)
        need = one->counts[kind];
    for (size_t at = 0; one == NULL && (space = catalog_map_next(&catalog->spaces, &at)) != NULL;)
        need += space->counts[kind];
    out->items = calloc(need + 1, sizeof(struct catalog_item *));
    if (out->items == NULL)
        return -ENOMEM;
    if (one != NULL)
        collect_space(one, kind, out);
    for (size_t at = 0; one == NULL && (space = catalog_map_next(&catalog->spaces, &at)) != NULL;)
        collect_space(space, kind, out);
    return 0;
}

static int
compare_items(const void *one, const void *other)
{
    const struct catalog_item *b = *(const struct catalog_item *const *)other;

    return compare_key(*(const struct catalog_item *const *)one, b->key, b->key_count);
}

int
catalog_index_collect(struct catalog *catalog, const char *tenant, enum catalog_record kind,
                      struct catalog_items *out, struct diag *diag)
{
    const struct catalog_space *space = NULL;
    int err = tenant == NULL || tenant[0] == '\0' ? 0 : catalog_check_name("tenant", tenant, diag);

    *out = (struct catalog_items){0};
    if (err != 0)
        return err;
    (void)pthread_rwlock_rdlock(&catalog->lock);
    if (tenant != NULL)
        space = catalog_space_find(catalog, tenant);
    if (tenant == NULL || is_there(space))
        err = collect(catalog, space, kind, out);
    else if (tenant[0] != '\0')
        err = diag_set(diag, -ENOENT, "there is no tenant %s", tenant);
    (void)pthread_rwlock_unlock(&catalog->lock);
    if (tenant == NULL && out->count > 1)
        qsort(out->items, out->count, sizeof(struct catalog_item *), compare_items);
    return err;
}

void
catalog_items_fini(struct catalog_items *items)
{
    for (size_t i = 0; i < items->count; i++)
        catalog_item_put(items->items[i]);
    free(items->items);
    *items = (struct catalog_items){0};
}

int
catalog_index_get(struct catalog *catalog, const char *tenant, enum catalog_record kind,
                  const char *name, struct catalog_item **out, struct diag *diag)
{
    struct catalog_item *item;
    int err = catalog_check_name("tenant", tenant, diag);

    if (err == 0 && kind == CATALOG_RECORD_FUNCTION)
        err = catalog_check_name("function", name, diag);
    if (err != 0)
        return err;
    (void)pthread_rwlock_rdlock(&catalog->lock);
    item = catalog_index_find(catalog, tenant, kind, name);
    if (item != NULL)
        *out = catalog_item_get(item);
    (void)pthread_rwlock_unlock(&catalog->lock);
    if (item != NULL)
        return 0;
    if (kind == CATALOG_RECORD_SETTINGS)
        return diag_set(diag, -ENOENT, "there is no tenant %s", tenant);
    return diag_set(diag, -ENOENT, "there is no function %s/%s", tenant, name);
}
