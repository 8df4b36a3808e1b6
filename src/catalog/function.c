/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions and their versions. A function's record has its versions' numbers, its aliases
 * and its grants, so what belongs together is one record; versions are records of their
 * own, which never change.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "catalog/catalog_internal.h"

/* ------------------------------------------------------------------------------ find */

struct catalog_item *
catalog_function_version(const struct catalog_item *function, uint32_t number)
{
    const Catalog__Function *message = catalog_function_of(function);
    size_t low = 0, high = message->n_versions;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (message->versions[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == message->n_versions || message->versions[low] != number)
        return NULL;
    return function->callables[low];
}

const Catalog__Alias *
catalog_function_alias(const struct catalog_item *function, const char *name)
{
    const Catalog__Function *message = catalog_function_of(function);

    for (size_t i = 0; i < message->n_aliases; i++)
        if (strcmp(message->aliases[i]->name, name) == 0)
            return message->aliases[i];
    return NULL;
}

int
catalog_function_find(const struct catalog_change *change, const char *name,
                      struct catalog_item **out)
{
    *out = catalog_change_find(change, CATALOG_RECORD_FUNCTION, name);
    if (*out != NULL)
        return 0;
    return diag_set(change->diag, -ENOENT, "there is no function %s/%s", change->tenant, name);
}

int
catalog_secrets_check(const struct catalog_change *change, const struct catalog_version *version)
{
    for (size_t i = 0; i < version->secret_count; i++) {
        const struct catalog_item *item =
            catalog_change_find(change, CATALOG_RECORD_VARIABLE, version->secrets[i]);

        if (item == NULL || item->variable.value != NULL)
            return diag_set(change->diag, -ENOENT, "secret %s: tenant %s has none of this name",
                            version->secrets[i], change->tenant);
    }
    return 0;
}

/* ------------------------------------------------------------------------------ edit */

void
catalog_edit_init(struct catalog_edit *edit, const struct catalog_item *function)
{
    Catalog__Function *message = &edit->message;

    catalog__function__init(message);
    message->next = 1;
    if (function != NULL)
        *message = *catalog_function_of(function);
    if (message->n_versions > 0)
        memcpy(edit->versions, message->versions, message->n_versions * sizeof(uint32_t));
    if (message->n_aliases > 0)
        memcpy(edit->aliases, message->aliases, message->n_aliases * sizeof(Catalog__Alias *));
    if (message->n_callers > 0)
        memcpy(edit->callers, message->callers, message->n_callers * sizeof(char *));
    message->versions = edit->versions;
    message->aliases = edit->aliases;
    message->callers = edit->callers;
}

bool
catalog_edit_find_alias(const struct catalog_edit *edit, const char *name, size_t *at)
{
    const Catalog__Function *message = &edit->message;

    for (*at = 0; *at < message->n_aliases; (*at)++) {
        int order = strcmp(message->aliases[*at]->name, name);

        if (order >= 0)
            return order == 0;
    }
    return false;
}

void
catalog_edit_point(struct catalog_edit *edit, const char *name, uint32_t version, bool is_automatic)
{
    Catalog__Function *message = &edit->message;
    size_t at;

    catalog__alias__init(&edit->made);
    if (catalog_edit_find_alias(edit, name, &at)) {
        edit->made = *edit->aliases[at];
    } else {
        memmove(&edit->aliases[at + 1], &edit->aliases[at],
                (message->n_aliases - at) * sizeof(Catalog__Alias *));
        message->n_aliases++;
    }
    ASSERT(message->n_aliases <= ARRAY_COUNT(edit->aliases));
    edit->aliases[at] = &edit->made;
    edit->made.name = (char *)(uintptr_t)name;
    edit->made.version = version;
    edit->made.other = edit->made.other_percent = 0;
    edit->made.is_automatic = is_automatic;
}

void
catalog_edit_drop_alias(struct catalog_edit *edit, size_t at)
{
    Catalog__Function *message = &edit->message;

    message->n_aliases--;
    memmove(&edit->aliases[at], &edit->aliases[at + 1],
            (message->n_aliases - at) * sizeof(Catalog__Alias *));
}

bool
catalog_edit_is_aliased(const struct catalog_edit *edit, uint32_t version, const char **alias)
{
    for (size_t i = 0; i < edit->message.n_aliases; i++)
        if (edit->aliases[i]->version == version || edit->aliases[i]->other == version) {
            *alias = edit->aliases[i]->name;
            return true;
        }
    return false;
}

int
catalog_edit_put(struct catalog_change *change, const char *function, struct catalog_edit *edit)
{
    struct catalog_key key;

    catalog_key_make(&key, change->tenant, CATALOG_RECORD_FUNCTION, function);
    return catalog_change_put(change, &key, &edit->message.base);
}

/* ------------------------------------------------------------------------ a new version */

struct deployment {
    const struct catalog_version *version;
    uint32_t number;
};

static char *
text_of(const char *text)
{
    return (char *)(uintptr_t)(text == NULL ? "" : text);
}

static ProtobufCBinaryData
data_of(const struct store_hash *hash)
{
    return (ProtobufCBinaryData){sizeof(hash->bytes), (uint8_t *)(uintptr_t)hash->bytes};
}

/* Both arrays are the caller's to free. */
static int
make_files(const struct catalog_version *version, Catalog__File **files, Catalog__File ***list)
{
    *files = calloc(version->file_count + 1, sizeof(**files));
    *list = calloc(version->file_count + 1, sizeof(**list));
    if (*files == NULL || *list == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < version->file_count; i++) {
        catalog__file__init(*files + i);
        (*files)[i].path = text_of(version->files[i].path);
        (*files)[i].hash = data_of(&version->files[i].hash);
        (*list)[i] = *files + i;
    }
    return 0;
}

static void
make_limits(const struct catalog_version *version, Catalog__Limits *limits, Catalog__Retry *retry)
{
    limits->wall_ns = version->limits.wall_ns;
    limits->cpu_ns = version->limits.cpu_ns;
    limits->memory_bytes = version->limits.memory_bytes;
    limits->output_bytes = version->limits.output_bytes;
    limits->files = version->limits.files;
    limits->threads = version->limits.threads;
    retry->attempts = version->retry.attempts;
    retry->pause_ns = version->retry.pause_ns;
    retry->only_if_lost = version->retry.only_if_lost;
}

static int
put_version(struct catalog_change *change, const struct catalog_version *version, uint32_t number)
{
    Catalog__Limits limits = CATALOG__LIMITS__INIT;
    Catalog__Retry retry = CATALOG__RETRY__INIT;
    Catalog__Version message = CATALOG__VERSION__INIT;
    Catalog__File *files, **list;
    struct catalog_key key;
    int err = make_files(version, &files, &list);

    make_limits(version, &limits, &retry);
    message.kind = (uint32_t)version->kind;
    message.entry = text_of(version->entry);
    message.language = text_of(version->language);
    message.module = data_of(&version->module);
    message.image = data_of(&version->image);
    if (version->has_proto)
        message.proto = data_of(&version->proto);
    message.limits = &limits;
    message.retry = &retry;
    message.ranks = version->ranks;
    message.threads = version->threads;
    message.args = (char **)(uintptr_t)version->args;
    message.n_args = version->arg_count;
    message.files = list;
    message.n_files = version->file_count;
    message.env = (char **)(uintptr_t)version->env;
    message.n_env = version->env_count;
    message.secrets = (char **)(uintptr_t)version->secrets;
    message.n_secrets = version->secret_count;
    message.note = text_of(version->note);
    message.created_s = catalog_now_s();
    message.created_by = text_of(version->created_by);
    catalog_key_make_version(&key, change->tenant, version->function, number);
    if (err == 0)
        err = catalog_change_put(change, &key, &message.base);
    free(files);
    free(list);
    return err;
}

/* Versions that are neither among the newest nor an alias's go. */
static int
prune(struct catalog_change *change, const char *function, struct catalog_edit *edit)
{
    Catalog__Function *message = &edit->message;
    size_t count = message->n_versions, kept = 0;
    struct catalog_key key;
    const char *alias;
    int err = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t number = edit->versions[i];

        if (err != 0 || i + CATALOG_VERSIONS_KEPT >= count ||
            catalog_edit_is_aliased(edit, number, &alias)) {
            edit->versions[kept++] = number;
            continue;
        }
        catalog_key_make_version(&key, change->tenant, function, number);
        err = catalog_change_remove(change, &key);
    }
    message->n_versions = kept;
    return err;
}

static int
decide_deploy(struct catalog_change *change, void *context)
{
    struct deployment *deployment = context;
    const char *name = deployment->version->function;
    struct catalog_item *item = catalog_change_find(change, CATALOG_RECORD_FUNCTION, name);
    struct catalog_edit edit;
    size_t at;
    int err;

    if (item == NULL && change->space->counts[CATALOG_RECORD_FUNCTION] >= CATALOG_FUNCTIONS_MAX)
        return diag_set(change->diag, -ENOSPC, "tenant %s has %u functions, the most there may be",
                        change->tenant, CATALOG_FUNCTIONS_MAX);
    catalog_edit_init(&edit, item);
    if (edit.message.next == UINT32_MAX)
        return diag_set(change->diag, -ENOSPC, "function %s: no more numbers for versions", name);
    deployment->number = edit.message.next++;
    edit.versions[edit.message.n_versions++] = deployment->number;
    if (!catalog_edit_find_alias(&edit, CATALOG_LATEST, &at) || edit.aliases[at]->is_automatic)
        catalog_edit_point(&edit, CATALOG_LATEST, deployment->number, true);
    err = put_version(change, deployment->version, deployment->number);
    if (err == 0)
        err = catalog_secrets_check(change, deployment->version);
    if (err == 0)
        err = prune(change, name, &edit);
    return err != 0 ? err : catalog_edit_put(change, name, &edit);
}

static int
check_blob(struct catalog *catalog, const char *what, const struct store_hash *hash,
           struct diag *diag)
{
    char text[2 * STORE_HASH_BYTES + 1];
    uint64_t bytes;
    int err = store_blob_stat(catalog->store, hash, &bytes, diag);

    if (err != -ENOENT)
        return err;
    for (size_t i = 0; i < STORE_HASH_BYTES; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", hash->bytes[i]);
    return diag_set(diag, err, "%s: there is no blob %s: put it first", what, text);
}

int
catalog_version_put(struct catalog *catalog, const struct catalog_version *version,
                    uint32_t *number, struct diag *diag)
{
    struct deployment deployment = {.version = version};
    int err = catalog_check_name("function", version->function, diag);

    for (size_t i = 0; err == 0 && i < version->secret_count; i++)
        err = catalog_check_variable("secrets", version->secrets[i], diag);
    if (err == 0)
        err = check_blob(catalog, "module", &version->module, diag);
    if (err == 0)
        err = check_blob(catalog, "image", &version->image, diag);
    if (err == 0 && version->has_proto)
        err = check_blob(catalog, "proto", &version->proto, diag);
    for (size_t i = 0; err == 0 && i < version->file_count; i++)
        err = check_blob(catalog, version->files[i].path, &version->files[i].hash, diag);
    if (err == 0)
        err = catalog_change(catalog, version->tenant, decide_deploy, &deployment, diag);
    if (err == 0)
        *number = deployment.number;
    return err;
}

/* --------------------------------------------------------------------------- removing */

struct named {
    const char *function;
    uint32_t version;
};

static int
decide_version_remove(struct catalog_change *change, void *context)
{
    const struct named *named = context;
    struct catalog_edit edit;
    struct catalog_item *item;
    struct catalog_key key;
    const char *alias;
    size_t kept = 0;
    int err = catalog_function_find(change, named->function, &item);

    if (err != 0)
        return err;
    if (catalog_function_version(item, named->version) == NULL)
        return diag_set(change->diag, -ENOENT, "function %s/%s has no version %u", change->tenant,
                        named->function, named->version);
    catalog_edit_init(&edit, item);
    if (catalog_edit_is_aliased(&edit, named->version, &alias))
        return diag_set(change->diag, -EBUSY,
                        "version %u of function %s: alias %s has it: point "
                        "it to another first",
                        named->version, named->function, alias);
    for (size_t i = 0; i < edit.message.n_versions; i++)
        if (edit.versions[i] != named->version)
            edit.versions[kept++] = edit.versions[i];
    edit.message.n_versions = kept;
    catalog_key_make_version(&key, change->tenant, named->function, named->version);
    err = catalog_change_remove(change, &key);
    return err != 0 ? err : catalog_edit_put(change, named->function, &edit);
}

int
catalog_version_remove(struct catalog *catalog, const char *tenant, const char *function,
                       uint32_t version, struct diag *diag)
{
    struct named named = {function, version};
    int err = catalog_check_name("function", function, diag);

    return err != 0 ? err : catalog_change(catalog, tenant, decide_version_remove, &named, diag);
}

static int
decide_function_remove(struct catalog_change *change, void *context)
{
    const char *name = context;
    const Catalog__Function *message;
    struct catalog_item *item;
    struct catalog_key key;
    int err = catalog_function_find(change, name, &item);

    if (err != 0)
        return err;
    message = catalog_function_of(item);
    catalog_key_make(&key, change->tenant, CATALOG_RECORD_FUNCTION, name);
    err = catalog_change_remove(change, &key);
    for (size_t i = 0; err == 0 && i < message->n_versions; i++) {
        catalog_key_make_version(&key, change->tenant, name, message->versions[i]);
        err = catalog_change_remove(change, &key);
    }
    return err;
}

int
catalog_function_remove(struct catalog *catalog, const char *tenant, const char *function,
                        struct diag *diag)
{
    int err = catalog_check_name("function", function, diag);

    return err != 0 ? err
                    : catalog_change(catalog, tenant, decide_function_remove,
                                     (void *)(uintptr_t)function, diag);
}

/* ------------------------------------------------------------------------------ lists */

static int
list_versions(struct catalog *catalog, const char *tenant, const char *function,
              catalog_version_fn visit, void *context, struct diag *diag)
{
    struct catalog_item *item;
    size_t count;
    int err = catalog_index_get(catalog, tenant, CATALOG_RECORD_FUNCTION, function, &item, diag);

    if (err != 0)
        return err;
    count = catalog_function_of(item)->n_versions;
    while (count > 0 && visit(context, &item->callables[count - 1]->version))
        count--;
    catalog_item_put(item);
    return 0;
}

int
catalog_version_list(struct catalog *catalog, const char *tenant, const char *function,
                     catalog_version_fn visit, void *context, struct diag *diag)
{
    struct catalog_items items;
    int err;

    if (function != NULL)
        return list_versions(catalog, tenant, function, visit, context, diag);
    err = catalog_index_collect(catalog, tenant, CATALOG_RECORD_FUNCTION, &items, diag);
    if (err != 0)
        return err;
    for (size_t i = 0; i < items.count; i++) {
        const Catalog__Alias *latest = catalog_function_alias(items.items[i], CATALOG_LATEST);

        if (latest == NULL)
            continue;
        if (!visit(context, &catalog_function_version(items.items[i], latest->version)->version))
            break;
    }
    catalog_items_fini(&items);
    return 0;
}
