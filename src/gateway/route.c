/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of routes (docs/openapi.json has the same), and finding one.
 */
#include <stdio.h>
#include <string.h>

#include "gateway/gateway_internal.h"

#define READ   CATALOG_READ
#define INVOKE CATALOG_INVOKE
#define LOOK   (CATALOG_READ | CATALOG_INVOKE)
#define DEPLOY CATALOG_DEPLOY
#define MANAGE CATALOG_MANAGE
#define CHANGE (CATALOG_INVOKE | CATALOG_DEPLOY) /* whose calls do the same */

/* What is called most often comes first. */
const struct gateway_route gateway_routes[] = {
#define ROUTE(method, pattern, scope, roles, place, intake, handle) \
    {method, pattern, GATEWAY_##scope, roles, GATEWAY_##place, GATEWAY_##intake, gateway_##handle},
    /* clang-format off */
    ROUTE("POST", "/v1/invoke/{reference*}", TENANT, INVOKE, HERE, INPUT, invoke_post)
    ROUTE("GET", "/health", OPEN, 0, HERE, NOTHING, health)
    ROUTE("GET", "/ready", OPEN, 0, HERE, NOTHING, ready)
    ROUTE("GET", "/openapi.json", EITHER, 0, HERE, NOTHING, openapi)
    ROUTE("GET", "/metrics", EITHER, READ, POOL, NOTHING, metrics_get)
    ROUTE("GET", "/v1/functions", TENANT, READ, POOL, NOTHING, function_list)
    ROUTE("GET", "/v1/functions/{name}", TENANT, READ, POOL, NOTHING, function_get)
    ROUTE("PUT", "/v1/functions/{name}", TENANT, DEPLOY, HERE, UPLOAD, function_put)
    ROUTE("DELETE", "/v1/functions/{name}", TENANT, DEPLOY, POOL, NOTHING, function_delete)
    ROUTE("DELETE", "/v1/functions/{name}/versions/{version}", TENANT, DEPLOY, POOL, NOTHING,
          version_delete)
    ROUTE("PUT", "/v1/functions/{name}/aliases/{alias}", TENANT, DEPLOY, POOL, JSON, alias_put)
    ROUTE("DELETE", "/v1/functions/{name}/aliases/{alias}", TENANT, DEPLOY, POOL, NOTHING,
          alias_delete)
    ROUTE("POST", "/v1/functions/{name}/rollback", TENANT, DEPLOY, POOL, JSON, rollback)
    ROUTE("PUT", "/v1/functions/{name}/grants/{tenant}", TENANT, DEPLOY, POOL, JSON, grant_put)
    ROUTE("DELETE", "/v1/functions/{name}/grants/{tenant}", TENANT, DEPLOY, POOL, NOTHING,
          grant_delete)
    ROUTE("POST", "/v1/blobs", TENANT, DEPLOY, POOL, UPLOAD, blob_post)
    ROUTE("HEAD", "/v1/blobs/{hash}", TENANT, READ | DEPLOY, POOL, NOTHING, blob_get)
    ROUTE("GET", "/v1/files", TENANT, READ, POOL, NOTHING, file_list)
    ROUTE("GET", "/v1/files/{path*}", TENANT, READ, POOL, NOTHING, file_get)
    ROUTE("PUT", "/v1/files/{path*}", TENANT, DEPLOY, POOL, UPLOAD, file_put)
    ROUTE("DELETE", "/v1/files/{path*}", TENANT, DEPLOY, POOL, NOTHING, file_delete)
    ROUTE("GET", "/v1/state", TENANT, READ, POOL, NOTHING, state_keys)
    ROUTE("GET", "/v1/state/{key}", TENANT, READ, POOL, NOTHING, state_get)
    ROUTE("HEAD", "/v1/state/{key}", TENANT, READ, POOL, NOTHING, state_head)
    ROUTE("PUT", "/v1/state/{key}", TENANT, CHANGE, POOL, UPLOAD, state_put)
    ROUTE("DELETE", "/v1/state/{key}", TENANT, CHANGE, POOL, NOTHING, state_delete)
    ROUTE("POST", "/v1/state/{key}/add", TENANT, CHANGE, POOL, JSON, state_add)
    ROUTE("POST", "/v1/state/{key}/append", TENANT, CHANGE, POOL, INPUT, state_append)
    ROUTE("POST", "/v1/state/{key}/expire", TENANT, CHANGE, POOL, JSON, state_expire)
    ROUTE("GET", "/v1/state/{key}/records", TENANT, READ, POOL, NOTHING, state_records)
    ROUTE("GET", "/v1/state/{key}/watch", TENANT, READ, POOL, NOTHING, state_watch)
    ROUTE("POST", "/v1/batch", TENANT, INVOKE, POOL, BATCH, batch_post)
    ROUTE("GET", "/v1/calls", TENANT, LOOK, POOL, NOTHING, call_list)
    ROUTE("GET", "/v1/calls/{id}", TENANT, LOOK, POOL, NOTHING, call_get)
    ROUTE("DELETE", "/v1/calls/{id}", TENANT, INVOKE, POOL, NOTHING, call_bury)
    ROUTE("GET", "/v1/calls/{id}/result", TENANT, LOOK, POOL, NOTHING, call_result)
    ROUTE("GET", "/v1/calls/{id}/log", TENANT, LOOK, POOL, NOTHING, call_log)
    ROUTE("GET", "/v1/calls/{id}/events", TENANT, LOOK, POOL, NOTHING, call_events)
    ROUTE("POST", "/v1/calls/{id}/cancel", TENANT, INVOKE, POOL, JSON, call_cancel)
    ROUTE("POST", "/v1/calls/{id}/retry", TENANT, INVOKE, POOL, JSON, call_retry)
    ROUTE("GET", "/v1/logs", TENANT, READ, POOL, NOTHING, log_list)
    ROUTE("GET", "/v1/variables", TENANT, READ, POOL, NOTHING, variable_list)
    ROUTE("PUT", "/v1/variables/{name}", TENANT, DEPLOY, POOL, JSON, variable_put)
    ROUTE("DELETE", "/v1/variables/{name}", TENANT, DEPLOY, POOL, NOTHING, variable_delete)
    ROUTE("PUT", "/v1/secrets/{name}", TENANT, MANAGE, POOL, JSON, secret_put)
    ROUTE("DELETE", "/v1/secrets/{name}", TENANT, MANAGE, POOL, NOTHING, secret_delete)
    ROUTE("GET", "/v1/triggers", TENANT, READ, POOL, NOTHING, trigger_list)
    ROUTE("PUT", "/v1/triggers/{name}", TENANT, DEPLOY, POOL, JSON, trigger_put)
    ROUTE("DELETE", "/v1/triggers/{name}", TENANT, DEPLOY, POOL, NOTHING, trigger_delete)
    ROUTE("GET", "/v1/tokens", EITHER, MANAGE, POOL, NOTHING, token_list)
    ROUTE("POST", "/v1/tokens", EITHER, MANAGE, POOL, JSON, token_post)
    ROUTE("DELETE", "/v1/tokens/{name}", EITHER, MANAGE, POOL, NOTHING, token_delete)
    ROUTE("GET", "/v1/tenants", ADMIN, 0, POOL, NOTHING, tenant_list)
    ROUTE("PUT", "/v1/tenants/{name}", ADMIN, 0, POOL, JSON, tenant_put)
    ROUTE("DELETE", "/v1/tenants/{name}", ADMIN, 0, POOL, NOTHING, tenant_delete)
    ROUTE("GET", "/v1/hosts", ADMIN, 0, POOL, NOTHING, host_list)
    ROUTE("POST", "/v1/hosts/{name}/drain", ADMIN, 0, POOL, JSON, host_drain)
    ROUTE("GET", "/v1/cluster", ADMIN, 0, POOL, NOTHING, cluster)
    ROUTE("GET", "/v1/usage", EITHER, READ, POOL, NOTHING, usage)
    ROUTE("*", "/t/{tenant}/{path*}", OPEN, 0, HERE, INPUT, trigger_call)
/* clang-format on */
#undef ROUTE
};
const size_t gateway_route_count = ARRAY_COUNT(gateway_routes);

struct cut {
    size_t first[GATEWAY_PARTS_MAX], end[GATEWAY_PARTS_MAX], count;
};

static bool
matches(const char *pattern, const char *path, struct cut *cut)
{
    const char *at = path;

    cut->count = 0;
    while (*pattern != '\0') {
        size_t length = strcspn(pattern, "}"), taken;

        if (*pattern != '{') {
            if (*pattern++ != *at++)
                return false;
            continue;
        }
        taken = pattern[length - 1] == '*' ? strlen(at) : strcspn(at, "/");
        if (taken == 0 && pattern[length - 1] != '*')
            return false;
        cut->first[cut->count] = (size_t)(at - path);
        cut->end[cut->count++] = (size_t)(at - path) + taken;
        at += taken;
        pattern += length + 1;
    }
    return *at == '\0';
}

static void
note_method(const char *method, char *allowed, size_t size)
{
    size_t count = strlen(allowed);

    (void)snprintf(allowed + count, size - count, "%s%s", count > 0 ? ", " : "", method);
}

const struct gateway_route *
gateway_route_find(struct gateway_request *request, char *allowed, size_t size)
{
    struct cut cut;

    allowed[0] = '\0';
    for (size_t i = 0; i < gateway_route_count; i++) {
        const struct gateway_route *route = &gateway_routes[i];

        if (!matches(route->pattern, request->path, &cut))
            continue;
        if (route->method[0] != '*' && strcmp(route->method, request->method) != 0) {
            note_method(route->method, allowed, size);
            continue;
        }
        for (size_t k = 0; k < cut.count; k++) {
            request->part[k] = request->path + cut.first[k];
            request->path[cut.end[k]] = '\0';
        }
        return route;
    }
    return NULL;
}
