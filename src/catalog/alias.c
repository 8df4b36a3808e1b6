/* SPDX-License-Identifier: Apache-2.0
 *
 * Aliases, grants, and what a reference resolves to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "catalog/catalog_internal.h"

/* --------------------------------------------------------------------------- aliases */

static int
check_target(const struct catalog_change *change, const struct catalog_item *function,
             uint32_t number)
{
    const struct catalog_item *version = catalog_function_version(function, number);

    if (version == NULL)
        return diag_set(change->diag, -ENOENT, "function %s/%s has no version %u", change->tenant,
                        function->name, number);
    return catalog_secrets_check(change, &version->version);
}

static int
decide_put(struct catalog_change *change, void *context)
{
    const struct catalog_alias *alias = context;
    struct catalog_edit edit;
    struct catalog_item *item;
    size_t at;
    int err = catalog_function_find(change, alias->function, &item);

    if (err == 0)
        err = check_target(change, item, alias->version);
    if (err == 0 && alias->other != 0)
        err = check_target(change, item, alias->other);
    if (err != 0)
        return err;
    catalog_edit_init(&edit, item);
    if (!catalog_edit_find_alias(&edit, alias->name, &at) &&
        edit.message.n_aliases >= CATALOG_ALIASES_MAX)
        return diag_set(change->diag, -ENOSPC, "function %s has %u aliases, the most there may be",
                        alias->function, CATALOG_ALIASES_MAX);
    catalog_edit_point(&edit, alias->name, alias->version, alias->moves_on);
    edit.made.other = alias->other;
    edit.made.other_percent = alias->other_percent;
    return catalog_edit_put(change, alias->function, &edit);
}

int
catalog_alias_put(struct catalog *catalog, const struct catalog_alias *alias, struct diag *diag)
{
    int err = catalog_check_name("function", alias->function, diag);

    if (err == 0)
        err = catalog_check_name("alias", alias->name, diag);
    return err != 0
               ? err
               : catalog_change(catalog, alias->tenant, decide_put, (void *)(uintptr_t)alias, diag);
}

struct named {
    const char *function, *name;
    bool is_granted;
};

/* "latest" goes back to the newest. */
static int
decide_remove(struct catalog_change *change, void *context)
{
    const struct named *named = context;
    struct catalog_edit edit;
    struct catalog_item *item;
    uint32_t newest;
    size_t at;
    int err = catalog_function_find(change, named->function, &item);

    if (err != 0)
        return err;
    catalog_edit_init(&edit, item);
    if (!catalog_edit_find_alias(&edit, named->name, &at))
        return diag_set(change->diag, -ENOENT, "function %s/%s has no alias %s", change->tenant,
                        named->function, named->name);
    if (strcmp(named->name, CATALOG_LATEST) != 0) {
        catalog_edit_drop_alias(&edit, at);
    } else {
        newest = edit.versions[edit.message.n_versions - 1];
        err = check_target(change, item, newest);
        catalog_edit_point(&edit, CATALOG_LATEST, newest, true);
    }
    return err != 0 ? err : catalog_edit_put(change, named->function, &edit);
}

int
catalog_alias_remove(struct catalog *catalog, const char *tenant, const char *function,
                     const char *name, struct diag *diag)
{
    struct named named = {.function = function, .name = name};
    int err = catalog_check_name("function", function, diag);

    if (err == 0)
        err = catalog_check_name("alias", name, diag);
    return err != 0 ? err : catalog_change(catalog, tenant, decide_remove, &named, diag);
}

int
catalog_alias_list(struct catalog *catalog, const char *tenant, const char *function,
                   catalog_alias_fn visit, void *context, struct diag *diag)
{
    const Catalog__Function *message;
    struct catalog_item *item;
    int err = catalog_index_get(catalog, tenant, CATALOG_RECORD_FUNCTION, function, &item, diag);

    if (err != 0)
        return err;
    message = catalog_function_of(item);
    for (size_t i = 0; i < message->n_aliases; i++) {
        const Catalog__Alias *alias = message->aliases[i];
        struct catalog_alias view = {
            .tenant = item->tenant,
            .function = item->name,
            .name = alias->name,
            .version = alias->version,
            .other = alias->other,
            .other_percent = alias->other_percent,
            .moves_on = alias->is_automatic,
        };

        if (!visit(context, &view))
            break;
    }
    catalog_item_put(item);
    return 0;
}

/* ---------------------------------------------------------------------------- grants */

/* Where the name is among the callers, or would be. */
static bool
find_caller(const Catalog__Function *function, const char *name, size_t *at)
{
    size_t low = 0, high = function->n_callers;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(function->callers[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return low < function->n_callers && strcmp(function->callers[low], name) == 0;
}

static int
decide_grant(struct catalog_change *change, void *context)
{
    const struct named *named = context;
    struct catalog_edit edit;
    struct catalog_item *item;
    size_t at, after;
    int err = catalog_function_find(change, named->function, &item);

    if (err != 0)
        return err;
    catalog_edit_init(&edit, item);
    if (find_caller(&edit.message, named->name, &at) == named->is_granted)
        return 0;
    if (named->is_granted && edit.message.n_callers >= CATALOG_GRANTS_MAX)
        return diag_set(change->diag, -ENOSPC, "function %s has %u grants, the most there may be",
                        named->function, CATALOG_GRANTS_MAX);
    after = edit.message.n_callers - at;
    if (named->is_granted) {
        memmove(&edit.callers[at + 1], &edit.callers[at], after * sizeof(char *));
        edit.callers[at] = (char *)(uintptr_t)named->name;
        edit.message.n_callers++;
    } else {
        memmove(&edit.callers[at], &edit.callers[at + 1], (after - 1) * sizeof(char *));
        edit.message.n_callers--;
    }
    return catalog_edit_put(change, named->function, &edit);
}

int
catalog_grant(struct catalog *catalog, const char *tenant, const char *function, const char *caller,
              bool is_granted, struct diag *diag)
{
    struct named named = {function, caller, is_granted};
    int err = catalog_check_name("function", function, diag);

    if (err == 0)
        err = catalog_check_name("caller", caller, diag);
    return err != 0 ? err : catalog_change(catalog, tenant, decide_grant, &named, diag);
}

int
catalog_grant_list(struct catalog *catalog, const char *tenant, const char *function,
                   catalog_grant_fn visit, void *context, struct diag *diag)
{
    const Catalog__Function *message;
    struct catalog_item *item;
    int err = catalog_index_get(catalog, tenant, CATALOG_RECORD_FUNCTION, function, &item, diag);

    if (err != 0)
        return err;
    message = catalog_function_of(item);
    for (size_t i = 0; i < message->n_callers && visit(context, message->callers[i]); i++)
        continue;
    catalog_item_put(item);
    return 0;
}

/* --------------------------------------------------------------------------- resolve */

/* It is an item of a version. */
static struct catalog_callable *
callable_of(struct catalog_item *item)
{
    ASSERT(item->kind == CATALOG_RECORD_VERSION);
    return (struct catalog_callable *)(void *)item;
}

static struct catalog_item *
item_of(const struct catalog_callable *callable)
{
    return (struct catalog_item *)(uintptr_t)callable;
}

/* With the lock. NULL: there is none, or none that this tenant may see. */
static const struct catalog_item *
find_function(const struct catalog *catalog, const char *tenant,
              const struct catalog_reference *reference)
{
    bool is_own = reference->tenant[0] == '\0' || strcmp(reference->tenant, tenant) == 0;
    const struct catalog_item *function = catalog_index_find(
        catalog, is_own ? tenant : reference->tenant, CATALOG_RECORD_FUNCTION, reference->function);
    size_t at;

    if (function == NULL || is_own)
        return function;
    return find_caller(catalog_function_of(function), tenant, &at) ? function : NULL;
}

static struct catalog_item *
find_version(const struct catalog_item *function, const struct catalog_reference *reference,
             unsigned dice)
{
    const Catalog__Alias *alias;

    if (reference->alias[0] == '\0')
        return catalog_function_version(function, reference->version);
    alias = catalog_function_alias(function, reference->alias);
    if (alias == NULL)
        return NULL;
    return catalog_function_version(function,
                                    dice < alias->other_percent ? alias->other : alias->version);
}

static int
say_none(const char *tenant, const struct catalog_reference *reference, bool has_function,
         struct diag *diag)
{
    const char *owner = reference->tenant[0] == '\0' ? tenant : reference->tenant;

    if (!has_function)
        return diag_set(diag, -ENOENT, "there is no function %s/%s", owner, reference->function);
    if (reference->alias[0] == '\0')
        return diag_set(diag, -ENOENT, "function %s/%s has no version %u", owner,
                        reference->function, reference->version);
    return diag_set(diag, -ENOENT, "function %s/%s has no alias %s", owner, reference->function,
                    reference->alias);
}

int
catalog_resolve(struct catalog *catalog, const char *tenant, const char *reference, unsigned dice,
                struct catalog_callable **out, struct diag *diag)
{
    struct catalog_reference parsed;
    const struct catalog_item *function;
    struct catalog_item *version = NULL;
    int err = catalog_check_name("tenant", tenant, diag);

    if (err == 0)
        err = catalog_reference_parse(reference, &parsed, diag);
    if (err != 0)
        return err;
    (void)pthread_rwlock_rdlock(&catalog->lock);
    function = find_function(catalog, tenant, &parsed);
    if (function != NULL)
        version = find_version(function, &parsed, dice);
    if (version != NULL)
        *out = callable_of(catalog_item_get(version));
    (void)pthread_rwlock_unlock(&catalog->lock);
    return version != NULL ? 0 : say_none(tenant, &parsed, function != NULL, diag);
}

const struct catalog_version *
catalog_callable_version(const struct catalog_callable *callable)
{
    return &item_of(callable)->version;
}

struct catalog_callable *
catalog_callable_get(struct catalog_callable *callable)
{
    return callable_of(catalog_item_get(item_of(callable)));
}

void
catalog_callable_put(struct catalog_callable *callable)
{
    catalog_item_put(item_of(callable));
}
