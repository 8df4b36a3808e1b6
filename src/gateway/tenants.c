/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenants and what they may have; variables and secrets.
 */
#include <errno.h>
#include <string.h>

#include "gateway/gateway_internal.h"

/* --------------------------------------------------------------------------- tenants */

static bool
put_tenant(void *context, const struct catalog_tenant *tenant)
{
    struct buffer *out = context;

    gateway_json_open(out, NULL, '{');
    gateway_json_text(out, "name", tenant->name);
    gateway_json_number(out, "cpu_share", tenant->cpu_share);
    gateway_json_number(out, "cpu_percent", tenant->cpu_percent);
    gateway_json_number(out, "memory_bytes", tenant->memory_bytes);
    gateway_json_number(out, "files", tenant->files);
    gateway_json_number(out, "network_rate", tenant->network_rate);
    gateway_json_number(out, "calls_max", tenant->calls_max);
    gateway_json_number(out, "queue_max", tenant->queue_max);
    gateway_json_number(out, "priority", tenant->priority);
    gateway_json_number(out, "storage_bytes", tenant->storage_bytes);
    gateway_json_close(out, '}');
    return out->err == 0;
}

static enum gateway_next
answer_tenant(struct gateway_request *request, const char *name)
{
    struct buffer out = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    err = catalog_tenant_list(request->gateway->config.catalog, name, put_tenant, &out, &diag);
    if (err == 0)
        return gateway_answer_json(request, MHD_HTTP_OK, &out);
    buffer_fini(&out);
    return gateway_refuse(request, err, "tenant_unknown", &diag);
}

static bool
is_any(void *context, const struct catalog_tenant *tenant)
{
    (void)context;
    (void)tenant;
    return true;
}

/* One that is new has nothing of who had its name before, also where that one's removal broke
 * off. */
static int
begin_empty(struct gateway *gateway, const char *name, struct diag *diag)
{
    int err = catalog_tenant_list(gateway->config.catalog, name, is_any, NULL, NULL);

    if (err != -ENOENT || gateway->config.tier == NULL || strlen(name) > CATALOG_NAME_BYTES_MAX)
        return err == -ENOENT ? 0 : err; /* a name that is none is refused by who keeps it */
    return tier_forget_tenant(gateway->config.tier, name, diag);
}

enum gateway_next
gateway_tenant_put(struct gateway_request *request)
{
    struct gateway *gateway = request->gateway;
    struct catalog_tenant tenant = {.name = request->part[0]};
    const struct gateway_field fields[] = {
        {"cpu_share", GATEWAY_SMALL, false, &tenant.cpu_share},
        {"cpu_percent", GATEWAY_SMALL, false, &tenant.cpu_percent},
        {"memory_bytes", GATEWAY_NUMBER, false, &tenant.memory_bytes},
        {"files", GATEWAY_SMALL, false, &tenant.files},
        {"network_rate", GATEWAY_NUMBER, false, &tenant.network_rate},
        {"calls_max", GATEWAY_SMALL, false, &tenant.calls_max},
        {"queue_max", GATEWAY_SMALL, false, &tenant.queue_max},
        {"priority", GATEWAY_SMALL, false, &tenant.priority},
        {"storage_bytes", GATEWAY_NUMBER, false, &tenant.storage_bytes},
    };
    json_t *body = gateway_body_fields(request, fields, ARRAY_COUNT(fields));
    struct diag diag;
    int err;

    if (body == NULL)
        return GATEWAY_ANSWERED;
    json_decref(body);
    diag_init(&diag);
    err = begin_empty(gateway, request->part[0], &diag);
    if (err == 0)
        err = catalog_tenant_put(gateway->config.catalog, &tenant, &diag);
    if (err != 0)
        return gateway_refuse(request, err, "tenant_unknown", &diag);
    gateway_shares(gateway, request->part[0]);
    hosts_changed(gateway->config.hosts, request->part[0], NULL);
    return answer_tenant(request, request->part[0]);
}

static int
list_tenants(struct gateway_request *request, struct buffer *out, struct diag *diag)
{
    return catalog_tenant_list(request->gateway->config.catalog, NULL, put_tenant, out, diag);
}

enum gateway_next
gateway_tenant_list(struct gateway_request *request)
{
    return gateway_answer_list(request, "tenants", list_tenants);
}

enum gateway_next
gateway_tenant_delete(struct gateway_request *request)
{
    struct gateway *gateway = request->gateway;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = catalog_tenant_remove(gateway->config.catalog, request->part[0], &diag);
    if (err == 0)
        err = gateway_files_forget(gateway, request->part[0], &diag);
    if (err == 0 && gateway->config.tier != NULL)
        err = tier_forget_tenant(gateway->config.tier, request->part[0], &diag);
    if (err != 0)
        return gateway_refuse(request, err, "tenant_unknown", &diag);
    gateway_tenant_forget(gateway, request->part[0]);
    /* What is left of its calls, also where this fails, is collected later. */
    (void)!planner_forget(gateway->config.planner, request->part[0], NULL);
    hosts_changed(gateway->config.hosts, request->part[0], NULL);
    return gateway_answer_ok(request);
}

/* --------------------------------------------------------------- variables and secrets */

static bool
put_variable(void *context, const struct catalog_variable *variable)
{
    struct buffer *out = context;

    gateway_json_open(out, NULL, '{');
    gateway_json_text(out, "name", variable->name);
    if (variable->value != NULL)
        gateway_json_text(out, "value", variable->value);
    else
        gateway_json_null(out, "value");
    gateway_json_bool(out, "secret", variable->value == NULL);
    gateway_json_number(out, "changed", variable->changed_s);
    gateway_json_close(out, '}');
    return out->err == 0;
}

static int
list_variables(struct gateway_request *request, struct buffer *out, struct diag *diag)
{
    return catalog_variable_list(request->gateway->config.catalog, request->tenant, put_variable,
                                 out, diag);
}

enum gateway_next
gateway_variable_list(struct gateway_request *request)
{
    return gateway_answer_list(request, "variables", list_variables);
}

static enum gateway_next
change(struct gateway_request *request, const char *value, bool is_secret)
{
    struct gateway *gateway = request->gateway;
    const char *code = is_secret ? "secret_unknown" : "variable_unknown";
    struct diag diag;
    int err;

    diag_init(&diag);
    err = catalog_variable_put(gateway->config.catalog, request->tenant, request->part[0], value,
                               is_secret, &diag);
    if (err != 0)
        return gateway_refuse(request, err, code, &diag);
    hosts_changed(gateway->config.hosts, request->tenant, NULL);
    return gateway_answer_ok(request);
}

/* The body's memory is wiped where it held a secret. */
static enum gateway_next
put_value(struct gateway_request *request, bool is_secret)
{
    const char *value = NULL;
    const struct gateway_field fields[] = {{"value", GATEWAY_TEXT, true, &value}};
    json_t *body = gateway_body_fields(request, fields, ARRAY_COUNT(fields));

    if (is_secret && request->body.bytes != NULL)
        explicit_bzero(request->body.bytes, request->body.count);
    if (body == NULL)
        return GATEWAY_ANSWERED;
    (void)change(request, value, is_secret);
    if (is_secret)
        explicit_bzero((char *)(uintptr_t)value, strlen(value));
    json_decref(body);
    return GATEWAY_ANSWERED;
}

enum gateway_next
gateway_variable_put(struct gateway_request *request)
{
    return put_value(request, false);
}

enum gateway_next
gateway_secret_put(struct gateway_request *request)
{
    return put_value(request, true);
}

enum gateway_next
gateway_variable_delete(struct gateway_request *request)
{
    return change(request, NULL, false);
}

enum gateway_next
gateway_secret_delete(struct gateway_request *request)
{
    return change(request, NULL, true);
}
