/* SPDX-License-Identifier: Apache-2.0
 *
 * Variables and secrets. The plain text of a secret is in the caller's hands alone: going
 * in, it is sealed from there; coming out, it is opened where it is to be read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "catalog/catalog_internal.h"

struct setting {
    const char *name, *value;
    bool is_secret;
};

static bool
needs(const struct catalog_item *version, const char *secret)
{
    for (size_t i = 0; version != NULL && i < version->version.secret_count; i++)
        if (strcmp(version->version.secrets[i], secret) == 0)
            return true;
    return false;
}

static int
check_function(const struct catalog_item *function, const char *secret, struct diag *diag)
{
    const Catalog__Function *message = catalog_function_of(function);

    for (size_t i = 0; i < message->n_aliases; i++) {
        const Catalog__Alias *alias = message->aliases[i];

        if (needs(catalog_function_version(function, alias->version), secret) ||
            needs(catalog_function_version(function, alias->other), secret))
            return diag_set(diag, -EBUSY, "secret %s: alias %s of function %s needs it", secret,
                            alias->name, function->name);
    }
    return 0;
}

/* -EBUSY: a version that an alias has needs the secret. */
static int
check_unused(const struct catalog_change *change, const char *secret)
{
    const struct catalog_space *space = change->space;
    struct catalog_key key;
    size_t at;
    int err = 0;

    catalog_key_make(&key, change->tenant, CATALOG_RECORD_FUNCTION, "");
    at = catalog_space_lower(space, key.bytes, key.count);
    for (size_t i = 0; err == 0 && i < space->counts[CATALOG_RECORD_FUNCTION]; i++)
        err = check_function(space->items[at + i], secret, change->diag);
    return err;
}

static int
put_value(struct catalog_change *change, const struct catalog_key *key,
          const struct catalog_item *item, const struct setting *setting)
{
    Catalog__Variable message = CATALOG__VARIABLE__INIT;
    Catalog__Sealed sealed = CATALOG__SEALED__INIT;
    struct buffer box = {0};
    int err = 0;

    if (item != NULL)
        message = *(const Catalog__Variable *)(const void *)item->message;
    message.value = (char *)(uintptr_t)(setting->is_secret ? "" : setting->value);
    message.sealed = NULL;
    message.changed_s = catalog_now_s();
    if (setting->is_secret) {
        err = catalog_seal(change->catalog, key, setting->value, strlen(setting->value), &box);
        sealed.scheme = CATALOG_SCHEME;
        sealed.box = (ProtobufCBinaryData){box.count, box.bytes};
        message.sealed = &sealed;
    }
    if (err == 0)
        err = catalog_change_put(change, key, &message.base);
    buffer_fini(&box);
    return err;
}

static int
decide_put(struct catalog_change *change, void *context)
{
    const struct setting *setting = context;
    const struct catalog_item *item =
        catalog_change_find(change, CATALOG_RECORD_VARIABLE, setting->name);
    struct catalog_key key;
    int err = 0;

    if (item == NULL && setting->value == NULL)
        return diag_set(change->diag, -ENOENT, "there is no variable %s", setting->name);
    if (item == NULL && change->space->counts[CATALOG_RECORD_VARIABLE] >= CATALOG_VARIABLES_MAX)
        return diag_set(change->diag, -ENOSPC, "variable %s: there are %u, the most there may be",
                        setting->name, CATALOG_VARIABLES_MAX);
    if (item != NULL && item->variable.value == NULL &&
        (setting->value == NULL || !setting->is_secret))
        err = check_unused(change, setting->name);
    if (err != 0)
        return err;
    catalog_key_make(&key, change->tenant, CATALOG_RECORD_VARIABLE, setting->name);
    return setting->value == NULL ? catalog_change_remove(change, &key)
                                  : put_value(change, &key, item, setting);
}

int
catalog_variable_put(struct catalog *catalog, const char *tenant, const char *name,
                     const char *value, bool is_secret, struct diag *diag)
{
    struct setting setting = {name, value, is_secret};
    int err = catalog_check_name("tenant", tenant, diag);

    if (err == 0)
        err = catalog_check_variable("variable", name, diag);
    if (err == 0 && value != NULL)
        err = catalog_check_value(name, value, CATALOG_VARIABLE_BYTES_MAX, diag);
    return err != 0 ? err : catalog_change(catalog, tenant, decide_put, &setting, diag);
}

int
catalog_variable_list(struct catalog *catalog, const char *tenant, catalog_variable_fn visit,
                      void *context, struct diag *diag)
{
    struct catalog_items items;
    int err = catalog_index_collect(catalog, tenant, CATALOG_RECORD_VARIABLE, &items, diag);

    if (err != 0)
        return err;
    for (size_t i = 0; i < items.count && visit(context, &items.items[i]->variable); i++)
        continue;
    catalog_items_fini(&items);
    return 0;
}

/* ----------------------------------------------------------------------- environment */

struct entry {
    const char *name;
    size_t name_count, order;
    const char *value;         /* plain */
    struct catalog_item *item; /* or a secret */
};

struct environment {
    struct catalog_items variables;
    struct entry *entries; /* owned */
    size_t count;
};

static struct catalog_item *
find_secret(const struct catalog_items *variables, const char *name)
{
    for (size_t i = 0; i < variables->count; i++)
        if (strcmp(variables->items[i]->name, name) == 0)
            return variables->items[i]->variable.value == NULL ? variables->items[i] : NULL;
    return NULL;
}

static void
add(struct environment *environment, const char *name, size_t name_count, const char *value,
    struct catalog_item *item)
{
    environment->entries[environment->count] =
        (struct entry){name, name_count, environment->count, value, item};
    environment->count++;
}

static int
gather(struct environment *environment, const struct catalog_version *version, struct diag *diag)
{
    const struct catalog_items *variables = &environment->variables;

    environment->entries = calloc(variables->count + version->env_count + version->secret_count + 1,
                                  sizeof(struct entry));
    if (environment->entries == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < variables->count; i++) {
        const struct catalog_variable *variable = &variables->items[i]->variable;

        if (variable->value != NULL)
            add(environment, variable->name, strlen(variable->name), variable->value, NULL);
    }
    for (size_t i = 0; i < version->env_count; i++) {
        size_t count = strcspn(version->env[i], "=");

        add(environment, version->env[i], count, version->env[i] + count + 1, NULL);
    }
    for (size_t i = 0; i < version->secret_count; i++) {
        struct catalog_item *item = find_secret(variables, version->secrets[i]);

        if (item == NULL)
            return diag_set(diag, -ENOENT, "secret %s: tenant %s has none of this name",
                            version->secrets[i], version->tenant);
        add(environment, item->name, strlen(item->name), NULL, item);
    }
    return 0;
}

static int
compare_names(const struct entry *a, const struct entry *b)
{
    size_t common = a->name_count < b->name_count ? a->name_count : b->name_count;
    int order = memcmp(a->name, b->name, common);

    if (order != 0 || a->name_count == b->name_count)
        return order;
    return a->name_count < b->name_count ? -1 : 1;
}

static int
compare_entries(const void *one, const void *other)
{
    const struct entry *a = one, *b = other;
    int order = compare_names(a, b);

    return order != 0 ? order : a->order < b->order ? -1 : 1;
}

/* In order of names; of entries with one name the last stays. */
static void
settle(struct environment *environment)
{
    struct entry *entries = environment->entries;
    size_t kept = 0;

    if (environment->count == 0)
        return;
    qsort(entries, environment->count, sizeof(*entries), compare_entries);
    for (size_t i = 0; i < environment->count; i++)
        if (i + 1 == environment->count || compare_names(&entries[i], &entries[i + 1]) != 0)
            entries[kept++] = entries[i];
    environment->count = kept;
}

static size_t
value_count(const struct entry *entry)
{
    return entry->item != NULL ? catalog_sealed_count(entry->item) : strlen(entry->value);
}

/* Room for all is made before the first secret is there: memory that grew would leave a
 * copy behind. */
static int
write_all(const struct catalog *catalog, const struct environment *environment, struct buffer *out,
          struct diag *diag)
{
    size_t start = out->count, total = 0;
    uint8_t *at;
    int err = fault_point("catalog.environment");

    for (size_t i = 0; i < environment->count; i++)
        total += environment->entries[i].name_count + value_count(&environment->entries[i]) + 2;
    if (err == 0) {
        buffer_append(out, NULL, total);
        err = out->err;
    }
    at = err != 0 ? NULL : out->bytes + start;
    for (size_t i = 0; err == 0 && i < environment->count; i++) {
        const struct entry *entry = &environment->entries[i];
        size_t count = value_count(entry);

        memcpy(at, entry->name, entry->name_count);
        at += entry->name_count;
        *at++ = '=';
        if (entry->item != NULL)
            err = catalog_unseal(catalog, entry->item, at, diag);
        else
            memcpy(at, entry->value, count);
        at += count;
        *at++ = '\0';
    }
    if (err != 0 && out->count > start) {
        explicit_bzero(out->bytes + start, out->count - start);
        out->count = start;
    }
    return err;
}

int
catalog_environment(struct catalog *catalog, const struct catalog_version *version,
                    struct buffer *out, size_t *count, struct diag *diag)
{
    struct environment environment = {0};
    int err = catalog_index_collect(catalog, version->tenant, CATALOG_RECORD_VARIABLE,
                                    &environment.variables, diag);

    if (err != 0)
        return err;
    err = gather(&environment, version, diag);
    if (err == 0) {
        settle(&environment);
        err = write_all(catalog, &environment, out, diag);
    }
    if (err == 0)
        *count = environment.count;
    free(environment.entries);
    catalog_items_fini(&environment.variables);
    return err;
}
