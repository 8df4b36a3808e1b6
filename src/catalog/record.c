/* SPDX-License-Identifier: Apache-2.0
 *
 * Records and what they become in memory. The checks here are the only ones: what a caller
 * gives is made a record first and then read back, so nothing is ever written that cannot
 * be read.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "catalog/catalog_internal.h"

/* A field of two bytes can take more than fifty in memory. */
#define BUDGET_BYTES    (1u << 20)
#define BUDGET_PER_BYTE 32u

#define ENTRY_BYTES_MAX    255u
#define THREADS_MAX        4096u
#define LANGUAGE_BYTES_MAX 32u
#define NOTE_BYTES_MAX     1024u

/* ------------------------------------------------------------------------------ keys */

static const char letters[CATALOG_RECORD_COUNT + 1] = "skfnvt";
static const char *const words[] = {
    [CATALOG_RECORD_SETTINGS] = "settings", [CATALOG_RECORD_TOKEN] = "token",
    [CATALOG_RECORD_FUNCTION] = "function", [CATALOG_RECORD_VERSION] = "version",
    [CATALOG_RECORD_VARIABLE] = "variable", [CATALOG_RECORD_TRIGGER] = "trigger",
};

void
catalog_key_make(struct catalog_key *out, const char *tenant, enum catalog_record kind,
                 const char *name)
{
    size_t tenant_count = strlen(tenant), count = strlen(name);

    ASSERT(tenant_count <= CATALOG_NAME_BYTES_MAX && count <= CATALOG_NAME_BYTES_MAX);
    memcpy(out->bytes, tenant, tenant_count + 1);
    out->bytes[tenant_count + 1] = (uint8_t)letters[kind];
    memcpy(out->bytes + tenant_count + 2, name, count);
    out->count = tenant_count + 2 + count;
}

void
catalog_key_make_version(struct catalog_key *out, const char *tenant, const char *function,
                         uint32_t number)
{
    uint32_t big = htobe32(number);

    catalog_key_make(out, tenant, CATALOG_RECORD_VERSION, function);
    out->bytes[out->count] = '\0';
    memcpy(out->bytes + out->count + 1, &big, sizeof(big));
    out->count += 1 + sizeof(big);
}

void
catalog_key_print(const void *key, size_t count, char out[CATALOG_KEY_TEXT_BYTES])
{
    const uint8_t *at = key;
    size_t used = 0;

    for (size_t i = 0; i < count && used + 5 < CATALOG_KEY_TEXT_BYTES; i++) {
        bool is_plain = at[i] > 0x20 && at[i] < 0x7f && at[i] != '\\';

        used += (size_t)snprintf(out + used, CATALOG_KEY_TEXT_BYTES - used,
                                 is_plain ? "%c" : "\\x%02x", at[i]);
    }
    out[used] = '\0';
}

/* Makes kind, tenant and name of the item's key. */
static int
parse_key(struct catalog_item *item, struct diag *diag)
{
    const char *key = (const char *)item->key, *letter;
    size_t tenant_count = strlen(key), name_count, rest;

    letter = item->key_count >= tenant_count + 2 && key[tenant_count + 1] != '\0'
                 ? strchr(letters, key[tenant_count + 1])
                 : NULL;
    if (letter == NULL)
        return diag_set(diag, -EINVAL, "key: no kind that is known");
    item->kind = (enum catalog_record)(letter - letters);
    item->tenant = key;
    item->name = key + tenant_count + 2;
    name_count = strlen(item->name);
    rest = item->key_count - tenant_count - 2 - name_count;
    if (rest != (item->kind == CATALOG_RECORD_VERSION ? 1 + sizeof(uint32_t) : 0))
        return diag_set(diag, -EINVAL, "key: its length is not that of its kind");
    if (tenant_count == 0 && item->kind == CATALOG_RECORD_TOKEN)
        return catalog_check_name("token", item->name, diag);
    if (catalog_check_name("tenant", item->tenant, diag) != 0)
        return -EINVAL;
    if (item->kind == CATALOG_RECORD_SETTINGS)
        return name_count == 0 ? 0 : diag_set(diag, -EINVAL, "key: settings with a name");
    if (item->kind == CATALOG_RECORD_VARIABLE)
        return catalog_check_variable("variable", item->name, diag);
    return catalog_check_name(words[item->kind], item->name, diag);
}

/* -------------------------------------------------------------------------- messages */

int
catalog_message_pack(const ProtobufCMessage *message, struct buffer *out)
{
    size_t count = protobuf_c_message_get_packed_size(message), old = out->count;

    if (count > CATALOG_RECORD_BYTES_MAX)
        return -E2BIG;
    buffer_append(out, NULL, count + 1); /* an empty value is one, too: its bytes are not NULL */
    if (out->err != 0)
        return out->err;
    out->count = old + protobuf_c_message_pack(message, out->bytes + old);
    ASSERT(out->count == old + count);
    return 0;
}

struct budget {
    size_t left;
    bool is_short; /* of memory: not the message's fault */
};

static void *
budget_alloc(void *context, size_t bytes)
{
    struct budget *budget = context;
    void *memory;

    if (bytes > budget->left)
        return NULL;
    budget->left -= bytes;
    memory = malloc(bytes);
    budget->is_short |= memory == NULL;
    return memory;
}

static void
budget_free(void *context, void *bytes)
{
    (void)context;
    free(bytes);
}

/* protobuf-c takes the field 0, which there is not, in some forms and refuses it in others:
 * what has one could not be read again once it is written anew. */
static bool
has_field_0(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        if (message->unknown_fields[i].tag == 0)
            return true;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const uint8_t *at = (const uint8_t *)message + field->offset;
        bool is_repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        const ProtobufCMessage *const *inner = (const void *)at;
        size_t count = 1;

        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (is_repeated) {
            inner = *(const ProtobufCMessage *const *const *)(const void *)at;
            memcpy(&count, (const uint8_t *)message + field->quantifier_offset, sizeof(count));
        }
        for (size_t k = 0; k < count; k++)
            if (inner[k] != NULL && has_field_0(inner[k]))
                return true;
    }
    return false;
}

static int
unpack(const ProtobufCMessageDescriptor *descriptor, const void *value, size_t count,
       ProtobufCMessage **out)
{
    struct budget budget = {.left = BUDGET_BYTES + count * BUDGET_PER_BYTE};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    int err = fault_point("catalog.unpack");

    if (err != 0)
        return err;
    if (count > CATALOG_RECORD_BYTES_MAX)
        return -EBADMSG;
    *out = protobuf_c_message_unpack(descriptor, &allocator, count, value);
    if (*out == NULL)
        return budget.is_short ? -ENOMEM : -EBADMSG;
    if (!has_field_0(*out))
        return 0;
    protobuf_c_message_free_unpacked(*out, NULL);
    *out = NULL;
    return -EBADMSG;
}

int
catalog_generation_decode(const void *value, size_t count, Catalog__Generation **out)
{
    ProtobufCMessage *message;
    int err = unpack(&catalog__generation__descriptor, value, count, &message);

    if (err == 0)
        *out = (Catalog__Generation *)(void *)message;
    return err;
}

/* ----------------------------------------------------------------------------- kinds */

static int
fill_settings(struct catalog_item *item, struct diag *diag)
{
    const Catalog__Tenant *message = (const Catalog__Tenant *)(const void *)item->message;

    item->settings = (struct catalog_tenant){
        .name = item->tenant,
        .cpu_share = message->cpu_share,
        .cpu_percent = message->cpu_percent,
        .memory_bytes = message->memory_bytes,
        .files = message->files,
        .network_rate = message->network_rate,
        .calls_max = message->calls_max,
        .queue_max = message->queue_max,
        .priority = message->priority,
        .storage_bytes = message->storage_bytes,
    };
    if (catalog_check_number("cpu_share", message->cpu_share, 10000, diag) != 0 ||
        catalog_check_number("cpu_percent", message->cpu_percent, 409600, diag) != 0)
        return -EINVAL;
    return catalog_check_number("priority", message->priority, 9, diag);
}

static int
fill_token(struct catalog_item *item, struct diag *diag)
{
    const uint32_t all =
        CATALOG_READ | CATALOG_INVOKE | CATALOG_DEPLOY | CATALOG_MANAGE | CATALOG_ADMIN;
    const Catalog__Token *message = (const Catalog__Token *)(const void *)item->message;

    item->token = (struct catalog_token){
        .tenant = item->tenant,
        .name = item->name,
        .roles = message->roles,
        .expires_s = message->expires_s,
    };
    if (message->hash.len != CATALOG_HASH_BYTES)
        return diag_set(diag, -EINVAL, "hash: %zu bytes", message->hash.len);
    if (message->roles == 0 || (message->roles & ~all) != 0)
        return diag_set(diag, -EINVAL, "roles: 0x%x: none, or one that is not known",
                        message->roles);
    if (((message->roles & CATALOG_ADMIN) != 0) != (item->tenant[0] == '\0'))
        return diag_set(diag, -EINVAL, "roles: admin is of the cluster, the others of a tenant");
    return 0;
}

static bool
has_version(const Catalog__Function *function, uint32_t number)
{
    for (size_t i = 0; i < function->n_versions; i++)
        if (function->versions[i] == number)
            return true;
    return false;
}

static int
check_alias(const Catalog__Function *function, const Catalog__Alias *alias, struct diag *diag)
{
    int err = catalog_check_name("alias", alias->name, diag);

    if (err != 0)
        return err;
    if (!has_version(function, alias->version))
        return diag_set(diag, -EINVAL, "alias %s: no version %u", alias->name, alias->version);
    if (alias->other != 0 && !has_version(function, alias->other))
        return diag_set(diag, -EINVAL, "alias %s: no version %u", alias->name, alias->other);
    if (alias->other_percent > 100 || (alias->other == 0 && alias->other_percent != 0))
        return diag_set(diag, -EINVAL, "alias %s: other_percent: %u: 0 to 100 of an other",
                        alias->name, alias->other_percent);
    return 0;
}

static int
fill_function(struct catalog_item *item, struct diag *diag)
{
    const Catalog__Function *message = catalog_function_of(item);
    int err = 0;

    if (message->n_versions > CATALOG_VERSIONS_KEPT + 2 * CATALOG_ALIASES_MAX)
        return diag_set(diag, -EINVAL, "versions: %zu of them", message->n_versions);
    for (size_t i = 0; i < message->n_versions; i++)
        if (message->versions[i] == 0 || message->versions[i] >= message->next ||
            (i > 0 && message->versions[i] <= message->versions[i - 1]))
            return diag_set(diag, -EINVAL, "versions: not from 1 to the next, growing");
    if (message->n_aliases > CATALOG_ALIASES_MAX || message->n_callers > CATALOG_GRANTS_MAX)
        return diag_set(diag, -EINVAL, "%zu aliases and %zu grants: at most %u and %u",
                        message->n_aliases, message->n_callers, CATALOG_ALIASES_MAX,
                        CATALOG_GRANTS_MAX);
    for (size_t i = 0; err == 0 && i < message->n_aliases; i++) {
        err = check_alias(message, message->aliases[i], diag);
        if (err == 0 && i > 0 &&
            strcmp(message->aliases[i - 1]->name, message->aliases[i]->name) >= 0)
            err = diag_set(diag, -EINVAL, "aliases: not in order");
    }
    for (size_t i = 0; err == 0 && i < message->n_callers; i++) {
        err = catalog_check_name("grant", message->callers[i], diag);
        if (err == 0 && i > 0 && strcmp(message->callers[i - 1], message->callers[i]) >= 0)
            err = diag_set(diag, -EINVAL, "grants: not in order");
    }
    if (err == 0 && message->n_versions > 0) {
        item->callables = calloc(message->n_versions, sizeof(struct catalog_item *));
        err = item->callables == NULL ? -ENOMEM : 0;
    }
    return err;
}

static int
fill_hash(const char *what, const ProtobufCBinaryData *data, struct store_hash *out,
          struct diag *diag)
{
    if (data->len != STORE_HASH_BYTES)
        return diag_set(diag, -EINVAL, "%s: a hash of %zu bytes", what, data->len);
    memcpy(out->bytes, data->data, STORE_HASH_BYTES);
    return 0;
}

static int
check_environment(const Catalog__Version *message, struct diag *diag)
{
    char name[CATALOG_NAME_BYTES_MAX + 1], what[CATALOG_NAME_BYTES_MAX + 32];
    int err = 0;

    if (message->n_env > CATALOG_VARIABLES_MAX || message->n_secrets > CATALOG_VARIABLES_MAX)
        return diag_set(diag, -EINVAL, "env, secrets: %zu and %zu: at most %u of each",
                        message->n_env, message->n_secrets, CATALOG_VARIABLES_MAX);
    for (size_t i = 0; err == 0 && i < message->n_env; i++) {
        size_t count = strcspn(message->env[i], "=");

        (void)snprintf(what, sizeof(what), "env: name %zu", i + 1);
        if (message->env[i][count] == '\0')
            return diag_set(diag, -EINVAL, "%s: no = behind it", what);
        if (count > CATALOG_NAME_BYTES_MAX)
            return diag_set(diag, -EINVAL, "%s: longer than %u bytes", what,
                            CATALOG_NAME_BYTES_MAX);
        memcpy(name, message->env[i], count);
        name[count] = '\0';
        err = catalog_check_variable(what, name, diag);
        (void)snprintf(what, sizeof(what), "env: %s", name);
        if (err == 0)
            err = catalog_check_value(what, message->env[i] + count + 1, CATALOG_VARIABLE_BYTES_MAX,
                                      diag);
    }
    for (size_t i = 0; err == 0 && i < message->n_secrets; i++) {
        (void)snprintf(what, sizeof(what), "secrets: name %zu", i + 1);
        err = catalog_check_variable(what, message->secrets[i], diag);
    }
    return err;
}

static int
check_args(const Catalog__Version *message, struct diag *diag)
{
    char what[32];
    int err = 0;

    if (message->n_args > CATALOG_ARGS_MAX)
        return diag_set(diag, -EINVAL, "args: %zu: at most %u", message->n_args, CATALOG_ARGS_MAX);
    for (size_t i = 0; err == 0 && i < message->n_args; i++) {
        (void)snprintf(what, sizeof(what), "args: %zu", i + 1);
        err = catalog_check_value(what, message->args[i], CATALOG_ARG_BYTES_MAX, diag);
    }
    return err;
}

/* In order of paths, so that none is there twice. */
static int
fill_files(struct catalog_item *item, const Catalog__Version *message, struct diag *diag)
{
    size_t count = message->n_files;
    int err = 0;

    if (count > CATALOG_FILES_MAX)
        return diag_set(diag, -EINVAL, "files: %zu: at most %u", count, CATALOG_FILES_MAX);
    item->files = count > 0 ? calloc(count, sizeof(*item->files)) : NULL;
    if (count > 0 && item->files == NULL)
        return -ENOMEM;
    for (size_t i = 0; err == 0 && i < count; i++) {
        const Catalog__File *file = message->files[i];

        err = catalog_check_file(file->path, diag);
        if (err == 0 && i > 0 && strcmp(item->files[i - 1].path, file->path) >= 0)
            err = diag_set(diag, -EINVAL, "files: %s: twice, or not in order", file->path);
        if (err == 0)
            err = fill_hash("files", &file->hash, &item->files[i].hash, diag);
        item->files[i].path = file->path;
    }
    item->version.files = item->files;
    item->version.file_count = count;
    return err;
}

static int
check_version(const struct catalog_version *version, struct diag *diag)
{
    if (version->version == 0)
        return diag_set(diag, -EINVAL, "version: 0 is none");
    if (catalog_check_number("kind", version->kind, CATALOG_SNAPSHOT, diag) != 0 ||
        catalog_check_text("entry", version->entry, ENTRY_BYTES_MAX, diag) != 0 ||
        catalog_check_text("language", version->language, LANGUAGE_BYTES_MAX, diag) != 0 ||
        catalog_check_value("note", version->note, NOTE_BYTES_MAX, diag) != 0 ||
        catalog_check_text("created_by", version->created_by, CATALOG_NAME_BYTES_MAX, diag) != 0 ||
        catalog_check_number("retry.attempts", version->retry.attempts, 1000, diag) != 0 ||
        catalog_check_number("ranks", version->ranks, 65536, diag) != 0 ||
        catalog_check_number("threads", version->threads, THREADS_MAX, diag) != 0 ||
        catalog_check_number("limits.threads", version->limits.threads, THREADS_MAX, diag) != 0)
        return -EINVAL;
    if ((version->kind == CATALOG_LIBRARY) != (version->entry[0] != '\0'))
        return diag_set(diag, -EINVAL,
                        version->kind == CATALOG_LIBRARY ? "entry: a library has a function to call"
                                                         : "entry: only a library has one");
    if (version->kind == CATALOG_SNAPSHOT && !version->has_proto)
        return diag_set(diag, -EINVAL, "proto: a snapshot has a Proto-Faaslet");
    return 0;
}

static void
view_version(struct catalog_version *view, const Catalog__Version *message)
{
    const Catalog__Limits *limits = message->limits;
    const Catalog__Retry *retry = message->retry;

    view->kind = (enum catalog_kind)message->kind;
    view->entry = message->entry;
    view->language = message->language;
    view->ranks = message->ranks;
    view->threads = message->threads;
    view->args = (const char *const *)message->args;
    view->arg_count = message->n_args;
    view->env = (const char *const *)message->env;
    view->env_count = message->n_env;
    view->secrets = (const char *const *)message->secrets;
    view->secret_count = message->n_secrets;
    view->note = message->note;
    view->created_s = message->created_s;
    view->created_by = message->created_by;
    if (limits != NULL)
        view->limits =
            (struct catalog_limits){limits->wall_ns,      limits->cpu_ns, limits->memory_bytes,
                                    limits->output_bytes, limits->files,  limits->threads};
    if (retry != NULL)
        view->retry = (struct catalog_retry){retry->attempts, retry->pause_ns, retry->only_if_lost};
}

static int
fill_version(struct catalog_item *item, struct diag *diag)
{
    const Catalog__Version *message = (const Catalog__Version *)(const void *)item->message;
    struct catalog_version *view = &item->version;
    uint32_t number;
    int err;

    memcpy(&number, item->key + item->key_count - sizeof(number), sizeof(number));
    view->tenant = item->tenant;
    view->function = item->name;
    view->version = be32toh(number);
    view->has_proto = message->proto.len > 0;
    view_version(view, message);
    if (fill_hash("module", &message->module, &view->module, diag) != 0 ||
        fill_hash("image", &message->image, &view->image, diag) != 0 ||
        (view->has_proto && fill_hash("proto", &message->proto, &view->proto, diag) != 0) ||
        check_version(view, diag) != 0 || check_args(message, diag) != 0)
        return -EINVAL;
    err = fill_files(item, message, diag);
    return err != 0 ? err : check_environment(message, diag);
}

static int
fill_variable(struct catalog_item *item, struct diag *diag)
{
    const Catalog__Variable *message = (const Catalog__Variable *)(const void *)item->message;
    const Catalog__Sealed *sealed = message->sealed;

    item->variable = (struct catalog_variable){
        .name = item->name,
        .value = sealed == NULL ? message->value : NULL,
        .changed_s = message->changed_s,
    };
    if (sealed == NULL)
        return catalog_check_value("value", message->value, CATALOG_VARIABLE_BYTES_MAX, diag);
    if (message->value[0] != '\0')
        return diag_set(diag, -EINVAL, "value: of a secret");
    if (sealed->scheme != CATALOG_SCHEME)
        return diag_set(diag, -EINVAL, "sealed: scheme %u is not known", sealed->scheme);
    if (sealed->box.len < CATALOG_NONCE_BYTES + CATALOG_TAG_BYTES ||
        sealed->box.len > CATALOG_NONCE_BYTES + CATALOG_TAG_BYTES + CATALOG_VARIABLE_BYTES_MAX)
        return diag_set(diag, -EINVAL, "sealed: %zu bytes", sealed->box.len);
    return 0;
}

static int
check_http(const struct catalog_trigger *view, struct diag *diag)
{
    int err = catalog_check_method(view->method, diag);

    if (err == 0)
        err = catalog_check_path(view->path, diag);
    if (err == 0 && (view->schedule[0] != '\0' || view->input[0] != '\0'))
        err = diag_set(diag, -EINVAL, "schedule, input: of an HTTP trigger");
    return err;
}

static int
check_cron(const struct catalog_trigger *view, struct diag *diag)
{
    uint64_t next;
    int err = catalog_schedule_next(view->schedule, 0, &next, diag);

    if (err == -ENOENT)
        return diag_set(diag, -EINVAL, "schedule: it is never due");
    if (err == 0)
        err = catalog_check_value("input", view->input, CATALOG_VARIABLE_BYTES_MAX, diag);
    if (err == 0 && (view->method[0] != '\0' || view->path[0] != '\0' || view->is_public))
        err = diag_set(diag, -EINVAL, "method, path, is_public: of a time table");
    return err;
}

static int
fill_trigger(struct catalog_item *item, struct diag *diag)
{
    const Catalog__Trigger *message = (const Catalog__Trigger *)(const void *)item->message;
    struct catalog_reference reference;
    int err = catalog_check_number("kind", message->kind, CATALOG_CRON, diag);

    item->trigger = (struct catalog_trigger){
        .tenant = item->tenant,
        .name = item->name,
        .kind = (enum catalog_trigger_kind)message->kind,
        .reference = message->reference,
        .method = message->method,
        .path = message->path,
        .is_public = message->is_public,
        .schedule = message->schedule,
        .input = message->input,
        .is_paused = message->is_paused,
    };
    if (err == 0)
        err = catalog_reference_parse(message->reference, &reference, diag);
    if (err == 0)
        err = message->kind == CATALOG_HTTP ? check_http(&item->trigger, diag)
                                            : check_cron(&item->trigger, diag);
    if (err != 0 || message->kind != CATALOG_HTTP)
        return err;
    item->stem_count = strlen(message->path);
    item->is_below = message->path[item->stem_count - 1] == '*';
    item->stem_count -= item->is_below ? 2 : 0; /* the * and the / before it */
    return 0;
}

static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    int (*fill)(struct catalog_item *item, struct diag *diag);
} kinds[CATALOG_RECORD_COUNT] = {
    [CATALOG_RECORD_SETTINGS] = {&catalog__tenant__descriptor, fill_settings},
    [CATALOG_RECORD_TOKEN] = {&catalog__token__descriptor, fill_token},
    [CATALOG_RECORD_FUNCTION] = {&catalog__function__descriptor, fill_function},
    [CATALOG_RECORD_VERSION] = {&catalog__version__descriptor, fill_version},
    [CATALOG_RECORD_VARIABLE] = {&catalog__variable__descriptor, fill_variable},
    [CATALOG_RECORD_TRIGGER] = {&catalog__trigger__descriptor, fill_trigger},
};

/* ----------------------------------------------------------------------------- items */

static int
build(struct catalog_item *item, const void *value, size_t count, struct diag *diag)
{
    int err = parse_key(item, diag);

    if (err != 0)
        return err;
    err = unpack(kinds[item->kind].descriptor, value, count, &item->message);
    if (err == -EBADMSG)
        return diag_set(diag, -EINVAL, "%zu bytes that are no message of this kind", count);
    return err != 0 ? err : kinds[item->kind].fill(item, diag);
}

static int
item_build(const void *key, size_t key_count, const void *value, size_t value_count,
           struct catalog_item **out, struct diag *diag)
{
    struct catalog_item *item;
    int err;

    if (key_count > CATALOG_RECORD_KEY_MAX)
        return diag_set(diag, -EINVAL, "key: %zu bytes", key_count);
    item = calloc(1, sizeof(*item) + key_count + 1);
    if (item == NULL)
        return -ENOMEM;
    atomic_init(&item->refs, 1);
    item->key_count = key_count;
    memcpy(item->key, key, key_count);
    err = build(item, value, value_count, diag);
    if (err == 0)
        *out = item;
    else
        catalog_item_put(item);
    return err;
}

int
catalog_item_build(const struct catalog_key *key, const void *value, size_t value_count,
                   struct catalog_item **out, struct diag *diag)
{
    return item_build(key->bytes, key->count, value, value_count, out, diag);
}

int
catalog_item_decode(const void *key, size_t key_count, const void *value, size_t value_count,
                    struct catalog_item **out, struct diag *diag)
{
    char text[CATALOG_KEY_TEXT_BYTES];
    struct diag why;
    int err;

    diag_init(&why);
    err = item_build(key, key_count, value, value_count, out, &why);
    if (err != -EINVAL)
        return err;
    catalog_key_print(key, key_count, text);
    return diag_set(diag, -EBADMSG, "table " CATALOG_TABLE ", record %s: %s", text,
                    diag_text(&why));
}

struct catalog_item *
catalog_item_get(struct catalog_item *item)
{
    unsigned refs = atomic_fetch_add_explicit(&item->refs, 1, memory_order_relaxed);

    ASSERT(refs > 0);
    return item;
}

void
catalog_item_put(struct catalog_item *item)
{
    size_t count;

    if (item == NULL || atomic_fetch_sub_explicit(&item->refs, 1, memory_order_acq_rel) != 1)
        return;
    count = item->callables == NULL ? 0 : catalog_function_of(item)->n_versions;
    for (size_t i = 0; i < count; i++)
        catalog_item_put(item->callables[i]);
    free(item->callables);
    free(item->files);
    if (item->message != NULL)
        protobuf_c_message_free_unpacked(item->message, NULL);
    free(item);
}
