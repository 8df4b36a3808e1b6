/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions: what there is of them, and all changes but deploying.
 */
#include <errno.h>
#include <string.h>

#include "gateway/gateway_internal.h"

#define MS_NS UINT64_C(1000000)

static const char *const kinds[] = {"command", "library", "snapshot"};

/* ------------------------------------------------------------------------------ look */

static bool
put_short(void *context, const struct catalog_version *version)
{
    struct buffer *out = context;

    gateway_json_open(out, NULL, '{');
    gateway_json_text(out, "name", version->function);
    gateway_json_number(out, "version", version->version);
    gateway_json_text(out, "language", version->language);
    gateway_json_text(out, "kind", kinds[version->kind]);
    gateway_json_number(out, "created", version->created_s);
    gateway_json_text(out, "created_by", version->created_by);
    gateway_json_text(out, "note", version->note);
    gateway_json_close(out, '}');
    return out->err == 0;
}

static int
list_functions(struct gateway_request *request, struct buffer *out, struct diag *diag)
{
    return catalog_version_list(request->gateway->config.catalog, request->tenant, NULL, put_short,
                                out, diag);
}

enum gateway_next
gateway_function_list(struct gateway_request *request)
{
    return gateway_answer_list(request, "functions", list_functions);
}

static void
put_limits(struct buffer *out, const struct catalog_version *version)
{
    const struct catalog_limits *limits = &version->limits;

    gateway_json_open(out, "limits", '{');
    gateway_json_number(out, "wall_ms", limits->wall_ns / MS_NS);
    gateway_json_number(out, "cpu_ms", limits->cpu_ns / MS_NS);
    gateway_json_number(out, "memory_bytes", limits->memory_bytes);
    gateway_json_number(out, "output_bytes", limits->output_bytes);
    gateway_json_number(out, "files", limits->files);
    gateway_json_number(out, "threads", limits->threads);
    gateway_json_close(out, '}');
    gateway_json_open(out, "retry", '{');
    gateway_json_number(out, "attempts", version->retry.attempts);
    gateway_json_number(out, "pause_ms", version->retry.pause_ns / MS_NS);
    gateway_json_bool(out, "only_if_lost", version->retry.only_if_lost);
    gateway_json_close(out, '}');
}

static void
put_texts(struct buffer *out, const char *key, const char *const *texts, size_t count)
{
    gateway_json_open(out, key, '[');
    for (size_t i = 0; i < count; i++)
        gateway_json_text(out, NULL, texts[i]);
    gateway_json_close(out, ']');
}

static void
put_environment(struct buffer *out, const struct catalog_version *version)
{
    gateway_json_open(out, "env", '{');
    for (size_t i = 0; i < version->env_count; i++) {
        char name[256];
        size_t count = strcspn(version->env[i], "=");

        if (count >= sizeof(name))
            continue;
        (void)memcpy(name, version->env[i], count);
        name[count] = '\0';
        gateway_json_text(out, name,
                          version->env[i] + count + (version->env[i][count] == '=' ? 1 : 0));
    }
    gateway_json_close(out, '}');
    put_texts(out, "secrets", version->secrets, version->secret_count);
    gateway_json_open(out, "files", '{');
    for (size_t i = 0; i < version->file_count; i++)
        gateway_json_hash(out, version->files[i].path, version->files[i].hash.bytes);
    gateway_json_close(out, '}');
}

static bool
put_full(void *context, const struct catalog_version *version)
{
    struct buffer *out = context;

    gateway_json_open(out, NULL, '{');
    gateway_json_number(out, "version", version->version);
    gateway_json_text(out, "kind", kinds[version->kind]);
    gateway_json_text(out, "entry", version->entry);
    gateway_json_text(out, "language", version->language);
    gateway_json_hash(out, "module", version->module.bytes);
    gateway_json_hash(out, "image", version->image.bytes);
    if (version->has_proto)
        gateway_json_hash(out, "proto", version->proto.bytes);
    else
        gateway_json_null(out, "proto");
    put_limits(out, version);
    gateway_json_number(out, "ranks", version->ranks);
    gateway_json_number(out, "threads", version->threads);
    put_texts(out, "args", version->args, version->arg_count);
    put_environment(out, version);
    gateway_json_text(out, "note", version->note);
    gateway_json_number(out, "created", version->created_s);
    gateway_json_text(out, "created_by", version->created_by);
    gateway_json_close(out, '}');
    return out->err == 0;
}

static bool
put_alias(void *context, const struct catalog_alias *alias)
{
    struct buffer *out = context;

    gateway_json_open(out, NULL, '{');
    gateway_json_text(out, "name", alias->name);
    gateway_json_number(out, "version", alias->version);
    gateway_json_number(out, "other", alias->other);
    gateway_json_number(out, "other_percent", alias->other_percent);
    gateway_json_close(out, '}');
    return out->err == 0;
}

static bool
put_grant(void *context, const char *caller)
{
    gateway_json_text(context, NULL, caller);
    return true;
}

enum gateway_next
gateway_function_get(struct gateway_request *request)
{
    struct catalog *catalog = request->gateway->config.catalog;
    const char *tenant = request->tenant, *name = request->part[0];
    struct buffer out = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    gateway_json_open(&out, NULL, '{');
    gateway_json_text(&out, "name", name);
    gateway_json_open(&out, "versions", '[');
    err = catalog_version_list(catalog, tenant, name, put_full, &out, &diag);
    gateway_json_close(&out, ']');
    gateway_json_open(&out, "aliases", '[');
    if (err == 0)
        err = catalog_alias_list(catalog, tenant, name, put_alias, &out, &diag);
    gateway_json_close(&out, ']');
    gateway_json_open(&out, "grants", '[');
    if (err == 0)
        err = catalog_grant_list(catalog, tenant, name, put_grant, &out, &diag);
    gateway_json_close(&out, ']');
    gateway_json_close(&out, '}');
    if (err == 0)
        return gateway_answer_json(request, MHD_HTTP_OK, &out);
    buffer_fini(&out);
    return gateway_refuse(request, err, "function_unknown", &diag);
}

/* ---------------------------------------------------------------------------- change */

static enum gateway_next
changed(struct gateway_request *request, int err, const char *missing, const struct diag *diag)
{
    if (err != 0)
        return gateway_refuse(request, err, missing, diag);
    hosts_changed(request->gateway->config.hosts, request->tenant, request->part[0]);
    return gateway_answer_ok(request);
}

enum gateway_next
gateway_function_delete(struct gateway_request *request)
{
    struct diag diag;

    diag_init(&diag);
    return changed(request,
                   catalog_function_remove(request->gateway->config.catalog, request->tenant,
                                           request->part[0], &diag),
                   "function_unknown", &diag);
}

enum gateway_next
gateway_version_delete(struct gateway_request *request)
{
    uint64_t number = 0;
    struct diag diag;

    diag_init(&diag);
    if (!gateway_number_parse(request->part[1], UINT32_MAX, &number) || number == 0)
        return gateway_fail(request, MHD_HTTP_NOT_FOUND, "version_unknown",
                            "look at GET /v1/functions/NAME", "there is no version %.24s",
                            request->part[1]);
    return changed(request,
                   catalog_version_remove(request->gateway->config.catalog, request->tenant,
                                          request->part[0], (uint32_t)number, &diag),
                   "version_unknown", &diag);
}

enum gateway_next
gateway_alias_put(struct gateway_request *request)
{
    struct catalog_alias alias = {
        .tenant = request->tenant, .function = request->part[0], .name = request->part[1]};
    const struct gateway_field fields[] = {
        {"version", GATEWAY_SMALL, true, &alias.version},
        {"other", GATEWAY_SMALL, false, &alias.other},
        {"other_percent", GATEWAY_SMALL, false, &alias.other_percent},
    };
    json_t *body = gateway_body_fields(request, fields, ARRAY_COUNT(fields));
    struct diag diag;

    if (body == NULL)
        return GATEWAY_ANSWERED;
    json_decref(body);
    diag_init(&diag);
    return changed(request, catalog_alias_put(request->gateway->config.catalog, &alias, &diag),
                   "version_unknown", &diag);
}

enum gateway_next
gateway_alias_delete(struct gateway_request *request)
{
    struct diag diag;

    diag_init(&diag);
    return changed(request,
                   catalog_alias_remove(request->gateway->config.catalog, request->tenant,
                                        request->part[0], request->part[1], &diag),
                   "alias_unknown", &diag);
}

/* -------------------------------------------------------------------------- rollback */

struct before {
    uint32_t latest, found;
};

static bool
find_latest(void *context, const struct catalog_alias *alias)
{
    struct before *before = context;

    if (strcmp(alias->name, "latest") == 0)
        before->latest = alias->version;
    return true;
}

/* Versions come newest first: the first below the latest. */
static bool
find_before(void *context, const struct catalog_version *version)
{
    struct before *before = context;

    if (version->version < before->latest)
        before->found = version->version;
    return before->found == 0;
}

static int
choose_version(struct gateway_request *request, struct before *before, struct diag *diag)
{
    struct catalog *catalog = request->gateway->config.catalog;
    int err =
        catalog_alias_list(catalog, request->tenant, request->part[0], find_latest, before, diag);

    if (err == 0)
        err = catalog_version_list(catalog, request->tenant, request->part[0], find_before, before,
                                   diag);
    if (err == 0 && before->found == 0)
        err = diag_set(diag, -ENOENT, "%s has no version before %u", request->part[0],
                       before->latest);
    return err;
}

enum gateway_next
gateway_rollback(struct gateway_request *request)
{
    struct before before = {0};
    const struct gateway_field fields[] = {{"to", GATEWAY_SMALL, false, &before.found}};
    struct catalog_alias alias = {.tenant = request->tenant,
                                  .function = request->part[0],
                                  .name = "latest",
                                  .moves_on = true};
    json_t *body = gateway_body_fields(request, fields, ARRAY_COUNT(fields));
    struct buffer out = {0};
    struct diag diag;
    int err = 0;

    if (body == NULL)
        return GATEWAY_ANSWERED;
    json_decref(body);
    diag_init(&diag);
    if (before.found == 0)
        err = choose_version(request, &before, &diag);
    alias.version = before.found;
    if (err == 0)
        err = catalog_alias_put(request->gateway->config.catalog, &alias, &diag);
    if (err != 0)
        return gateway_refuse(request, err, "version_unknown", &diag);
    hosts_changed(request->gateway->config.hosts, request->tenant, request->part[0]);
    gateway_json_open(&out, NULL, '{');
    gateway_json_number(&out, "version", alias.version);
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}

/* ---------------------------------------------------------------------------- grants */

static enum gateway_next
grant(struct gateway_request *request, bool is_granted)
{
    struct diag diag;

    diag_init(&diag);
    return changed(request,
                   catalog_grant(request->gateway->config.catalog, request->tenant,
                                 request->part[0], request->part[1], is_granted, &diag),
                   "function_unknown", &diag);
}

enum gateway_next
gateway_grant_put(struct gateway_request *request)
{
    return grant(request, true);
}

enum gateway_next
gateway_grant_delete(struct gateway_request *request)
{
    return grant(request, false);
}
