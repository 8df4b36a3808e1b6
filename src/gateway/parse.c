/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptions of versions, answers of triggers, escapes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "gateway/json.h"
#include "gateway/parse.h"

#define MS_NS      UINT64_C(1000000)
#define MS_MAX     (UINT64_MAX / 1000000u)
#define STATUS_MIN 200u
#define STATUS_MAX 599u

/* --------------------------------------------------------------------------- escapes */

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t
gateway_unescape(char *text)
{
    const char *from = text;
    char *to = text;

    while (*from != '\0') {
        int high = *from == '%' ? hex_value(from[1]) : -1;
        int low = high >= 0 ? hex_value(from[2]) : -1;

        if (low < 0) {
            *to++ = *from++;
            continue;
        }
        *to = (char)(high << 4 | low);
        if (*to == '\0')
            *to = (char)0xff;
        to++;
        from += 3;
    }
    *to = '\0';
    return (size_t)(to - text);
}

bool
gateway_path_is_good(const char *path)
{
    size_t count = strlen(path);

    if (count == 0 || count > CATALOG_PATH_BYTES_MAX || !utf8_is_valid(path, count))
        return false;
    for (size_t i = 0; i < count; i++)
        if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f)
            return false;
    while (*path != '\0') {
        size_t name = strcspn(path, "/");

        if (name == 0 || (name == 1 && path[0] == '.') ||
            (name == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        path += name;
        if (*path == '/' && *++path == '\0')
            return false;
    }
    return true;
}

/* -------------------------------------------------------------------------- versions */

static int
no_memory(struct diag *diag)
{
    return diag_set(diag, -ENOMEM, "no memory for a description");
}

static int
to_ns(uint64_t *ms)
{
    if (*ms > MS_MAX)
        return -EINVAL;
    *ms *= MS_NS;
    return 0;
}

static int
read_limits(const json_t *json, struct catalog_limits *limits, struct diag *diag)
{
    const struct gateway_field fields[] = {
        {"wall_ms", GATEWAY_NUMBER, false, &limits->wall_ns},
        {"cpu_ms", GATEWAY_NUMBER, false, &limits->cpu_ns},
        {"memory_bytes", GATEWAY_NUMBER, false, &limits->memory_bytes},
        {"output_bytes", GATEWAY_NUMBER, false, &limits->output_bytes},
        {"files", GATEWAY_SMALL, false, &limits->files},
        {"threads", GATEWAY_SMALL, false, &limits->threads},
    };
    int err = json == NULL ? 0 : gateway_fields(json, fields, ARRAY_COUNT(fields), diag);

    if (err == 0 && (to_ns(&limits->wall_ns) != 0 || to_ns(&limits->cpu_ns) != 0))
        err = diag_set(diag, -EINVAL, "a limit of time is too large");
    return err;
}

static int
read_retry(const json_t *json, struct catalog_retry *retry, struct diag *diag)
{
    const struct gateway_field fields[] = {
        {"attempts", GATEWAY_SMALL, false, &retry->attempts},
        {"pause_ms", GATEWAY_NUMBER, false, &retry->pause_ns},
        {"only_if_lost", GATEWAY_BOOL, false, &retry->only_if_lost},
    };
    int err = json == NULL ? 0 : gateway_fields(json, fields, ARRAY_COUNT(fields), diag);

    if (err == 0 && to_ns(&retry->pause_ns) != 0)
        err = diag_set(diag, -EINVAL, "field \"pause_ms\" is too large");
    return err;
}

/* The texts of an array; the array of pointers is the caller's to free. */
static int
read_texts(const json_t *json, size_t max, const char *const **out, size_t *count)
{
    const char **texts;
    size_t index;
    json_t *value;

    if (json == NULL)
        return 0;
    if (json_array_size(json) > max)
        return -E2BIG;
    texts = calloc(json_array_size(json) + 1, sizeof(char *));
    if (texts == NULL)
        return -ENOMEM;
    json_array_foreach(json, index, value)
    {
        texts[index] = json_string_value(value);
        if (texts[index] == NULL) {
            free(texts);
            return -EINVAL;
        }
    }
    *out = texts;
    *count = json_array_size(json);
    return 0;
}

static int
explain_list(int err, const char *name, size_t max, struct diag *diag)
{
    if (err == -ENOMEM)
        return no_memory(diag);
    return err == 0 ? 0
                    : diag_set(diag, -EINVAL, "field \"%s\" must be an array of at most %zu texts",
                               name, max);
}

static int
read_env(const json_t *json, struct catalog_version *version, struct diag *diag)
{
    const char **texts;
    const char *name;
    json_t *value;

    if (json == NULL)
        return 0;
    if (json_object_size(json) > GATEWAY_SPEC_ENV_MAX)
        return diag_set(diag, -EINVAL, "field \"env\" may have %u names", GATEWAY_SPEC_ENV_MAX);
    texts = calloc(json_object_size(json) + 1, sizeof(char *));
    if (texts == NULL)
        return no_memory(diag);
    version->env = texts;
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        struct buffer text = {0};

        if (!json_is_string(value) || strchr(name, '=') != NULL)
            return diag_set(diag, -EINVAL, "field \"env\" must have names and texts");
        buffer_append(&text, name, strlen(name));
        buffer_append(&text, "=", 1);
        buffer_append(&text, json_string_value(value), json_string_length(value) + 1);
        if (text.err != 0) {
            buffer_fini(&text);
            return no_memory(diag);
        }
        texts[version->env_count++] = (char *)text.bytes;
    }
    return 0;
}

static int
read_files(const json_t *json, struct catalog_version *version, struct diag *diag)
{
    struct catalog_file *files;
    const char *path;
    json_t *value;

    if (json == NULL)
        return 0;
    if (json_object_size(json) > CATALOG_FILES_MAX)
        return diag_set(diag, -EINVAL, "field \"files\" may have %u paths", CATALOG_FILES_MAX);
    files = calloc(json_object_size(json) + 1, sizeof(*files));
    if (files == NULL)
        return no_memory(diag);
    version->files = files;
    json_object_foreach((json_t *)(uintptr_t)json, path, value)
    {
        struct catalog_file *file = &files[version->file_count++];

        file->path = path;
        if (!json_is_string(value) ||
            !gateway_hash_parse(json_string_value(value), file->hash.bytes))
            return diag_set(diag, -EINVAL, "field \"files\": %.200s must have the hash of a blob",
                            path);
    }
    return 0;
}

static int
read_kind(const char *kind, struct gateway_spec *spec, struct diag *diag)
{
    static const char *const kinds[] = {"command", "library", "snapshot"};

    for (unsigned i = 0; kind != NULL && i < ARRAY_COUNT(kinds); i++)
        if (strcmp(kind, kinds[i]) == 0) {
            spec->version.kind = (enum catalog_kind)i;
            spec->has_kind = true;
        }
    if (kind != NULL && !spec->has_kind)
        return diag_set(diag, -EINVAL,
                        "field \"kind\" must be \"command\", \"library\" or \"snapshot\"");
    if (spec->snapshot != NULL && strlen(spec->snapshot) > GATEWAY_SNAPSHOT_BYTES_MAX)
        return diag_set(diag, -EINVAL, "field \"snapshot\" names a host call: \"fd_read:0\"");
    if (spec->has_kind && (spec->version.kind == CATALOG_SNAPSHOT) != (spec->snapshot != NULL))
        return diag_set(diag, -EINVAL,
                        "kind \"snapshot\" and field \"snapshot\" belong to each other");
    if (spec->snapshot != NULL) {
        spec->version.kind = CATALOG_SNAPSHOT;
        spec->has_kind = true;
    }
    return 0;
}

struct parts {
    const char *module, *kind;
    json_t *args, *limits, *retry, *env, *secrets, *files;
};

static int
read_parts(const struct parts *parts, struct gateway_spec *spec, struct diag *diag)
{
    struct catalog_version *version = &spec->version;
    int err = read_kind(parts->kind, spec, diag);

    spec->has_module = parts->module != NULL;
    if (err == 0 && parts->module != NULL &&
        !gateway_hash_parse(parts->module, version->module.bytes))
        err = diag_set(diag, -EINVAL, "field \"module\" must be the hash of a blob");
    if (err == 0)
        err = read_limits(parts->limits, &version->limits, diag);
    if (err == 0)
        err = read_retry(parts->retry, &version->retry, diag);
    if (err == 0)
        err = explain_list(
            read_texts(parts->args, CATALOG_ARGS_MAX, &version->args, &version->arg_count), "args",
            CATALOG_ARGS_MAX, diag);
    if (err == 0)
        err = explain_list(read_texts(parts->secrets, CATALOG_VARIABLES_MAX, &version->secrets,
                                      &version->secret_count),
                           "secrets", CATALOG_VARIABLES_MAX, diag);
    if (err == 0)
        err = read_env(parts->env, version, diag);
    return err != 0 ? err : read_files(parts->files, version, diag);
}

static int
read_spec(struct gateway_spec *spec, struct diag *diag)
{
    struct catalog_version *version = &spec->version;
    struct parts parts = {0};
    const struct gateway_field fields[] = {
        {"module", GATEWAY_TEXT, false, &parts.module},
        {"kind", GATEWAY_TEXT, false, &parts.kind},
        {"snapshot", GATEWAY_TEXT, false, &spec->snapshot},
        {"entry", GATEWAY_TEXT, false, &version->entry},
        {"language", GATEWAY_TEXT, false, &version->language},
        {"note", GATEWAY_TEXT, false, &version->note},
        {"ranks", GATEWAY_SMALL, false, &version->ranks},
        {"threads", GATEWAY_SMALL, false, &version->threads},
        {"limits", GATEWAY_OBJECT, false, &parts.limits},
        {"retry", GATEWAY_OBJECT, false, &parts.retry},
        {"args", GATEWAY_ARRAY, false, &parts.args},
        {"secrets", GATEWAY_ARRAY, false, &parts.secrets},
        {"env", GATEWAY_OBJECT, false, &parts.env},
        {"files", GATEWAY_OBJECT, false, &parts.files},
    };
    int err;

    if (!json_is_object(spec->json))
        return diag_set(diag, -EINVAL, "the body must be an object");
    err = gateway_fields(spec->json, fields, ARRAY_COUNT(fields), diag);
    return err != 0 ? err : read_parts(&parts, spec, diag);
}

int
gateway_spec_read(const void *bytes, size_t count, struct gateway_spec *out, struct diag *diag)
{
    struct gateway_spec spec = {0};
    int err = gateway_json_load(bytes, count, &spec.json, diag);

    if (err == 0)
        err = read_spec(&spec, diag);
    if (err == 0)
        *out = spec;
    else
        gateway_spec_fini(&spec);
    return err;
}

void
gateway_spec_fini(struct gateway_spec *spec)
{
    for (size_t i = 0; i < spec->version.env_count; i++)
        free((char *)(uintptr_t)spec->version.env[i]);
    free((void *)(uintptr_t)spec->version.env);
    free((void *)(uintptr_t)spec->version.args);
    free((void *)(uintptr_t)spec->version.secrets);
    free((void *)(uintptr_t)spec->version.files);
    json_decref(spec->json);
    *spec = (struct gateway_spec){0};
}

/* --------------------------------------------------------------- answers of triggers */

static bool
is_header(const char *name, const char *value)
{
    /* What is the connection's own matter. */
    static const char *const ours[] = {"connection",       "content-length", "transfer-encoding",
                                       "keep-alive",       "upgrade",        "date",
                                       "proxy-connection", "trailer",        "te"};
    size_t count = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

    if (count == 0 || name[count] != '\0' || count > 128)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(ours); i++)
        if (strcasecmp(name, ours[i]) == 0)
            return false;
    for (; *value != '\0'; value++)
        if ((unsigned char)*value < 0x20 || *value == 0x7f)
            return false;
    return true;
}

static int
read_headers(const json_t *json, struct gateway_reply *reply, struct diag *diag)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        if (reply->header_count == GATEWAY_ANSWER_HEADERS_MAX)
            return diag_set(diag, -EINVAL, "there may be %u headers", GATEWAY_ANSWER_HEADERS_MAX);
        if (!json_is_string(value) || !is_header(name, json_string_value(value)))
            return diag_set(diag, -EINVAL, "header \"%.64s\" is none that may be set", name);
        reply->headers[reply->header_count].name = name;
        reply->headers[reply->header_count++].value = json_string_value(value);
    }
    return 0;
}

static int
read_reply(struct gateway_reply *reply, struct diag *diag)
{
    const char *body = NULL, *body_base64 = NULL;
    json_t *headers = NULL;
    uint32_t status = 0;
    const struct gateway_field fields[] = {
        {"status", GATEWAY_SMALL, true, &status},
        {"body", GATEWAY_TEXT, false, &body},
        {"body_base64", GATEWAY_TEXT, false, &body_base64},
        {"headers", GATEWAY_OBJECT, false, &headers},
    };
    int err = gateway_fields(reply->json, fields, ARRAY_COUNT(fields), diag);

    if (err == 0 && (status < STATUS_MIN || status > STATUS_MAX))
        err = diag_set(diag, -EINVAL, "status must be from %u to %u", STATUS_MIN, STATUS_MAX);
    if (err == 0 && (body == NULL) == (body_base64 == NULL))
        err = diag_set(diag, -EINVAL, "either body or body_base64 is wanted");
    if (err == 0 && headers != NULL)
        err = read_headers(headers, reply, diag);
    if (err != 0)
        return err;
    reply->status = status;
    if (body != NULL)
        buffer_append(&reply->body, body, strlen(body));
    else
        err = gateway_base64_decode(body_base64, strlen(body_base64), &reply->body);
    if (err == -EINVAL)
        return diag_set(diag, err, "body_base64 is no base64");
    return reply->body.err;
}

int
gateway_reply_read(const void *bytes, size_t count, struct gateway_reply *out, struct diag *diag)
{
    struct gateway_reply reply = {0};
    json_t *json = NULL;
    int err;

    if (gateway_json_load(bytes, count, &json, NULL) != 0)
        return -ENOENT;
    if (!json_is_object(json) || json_object_get(json, "status") == NULL ||
        (json_object_get(json, "body") == NULL && json_object_get(json, "body_base64") == NULL)) {
        json_decref(json);
        return -ENOENT;
    }
    reply.json = json;
    err = read_reply(&reply, diag);
    if (err == 0)
        *out = reply;
    else
        gateway_reply_fini(&reply);
    return err;
}

void
gateway_reply_fini(struct gateway_reply *reply)
{
    buffer_fini(&reply->body);
    json_decref(reply->json);
    *reply = (struct gateway_reply){0};
}
