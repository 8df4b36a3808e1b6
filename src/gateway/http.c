/* SPDX-License-Identifier: Apache-2.0
 *
 * Between libmicrohttpd and the handlers: a request from its first line to its answer.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "gateway/gateway_internal.h"

#define HEAD_NS          UINT64_C(30000000000)
#define KEPT_NS          UINT64_C(60000000000) /* idle, and then a head */
#define BODY_BYTES_PER_S (UINT64_C(128) << 10)
#define DRAIN_BYTES      (UINT64_C(64) << 20) /* read and forgotten before an error is told */
#define UNTOLD_BYTES     (UINT64_C(1) << 30)  /* the same, of a body without a length */
#define BEARER           "Bearer "

/* ---------------------------------------------------------------- suspend and resume */

bool
gateway_is_ending(const struct gateway *gateway)
{
    return atomic_load_explicit(&gateway->is_ending, memory_order_seq_cst);
}

void
gateway_suspend(struct gateway_request *request)
{
    ASSERT(!request->is_suspended);
    request->is_suspended = true;
    gateway_enter(request->gateway);
    MHD_suspend_connection(request->connection);
}

bool
gateway_is_gone(const struct gateway_request *request)
{
    struct pollfd connection = {.fd = request->client != NULL ? request->client->fd : -1,
                                .events = POLLRDHUP};

    return poll(&connection, 1, 0) > 0 && /* not of a descriptor that is none */
           (connection.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void
gateway_enter(struct gateway *gateway)
{
    (void)atomic_fetch_add_explicit(&gateway->under_way, 1, memory_order_seq_cst);
}

/* The gateway may be gone as soon as its end has seen the last one go. */
static void
count_down(struct gateway *gateway, _Atomic uint32_t *count)
{
    if (!gateway_is_ending(gateway)) {
        (void)atomic_fetch_sub_explicit(count, 1, memory_order_release);
        return;
    }
    (void)pthread_mutex_lock(&gateway->end_lock);
    (void)atomic_fetch_sub_explicit(count, 1, memory_order_release);
    (void)pthread_cond_signal(&gateway->end_change);
    (void)pthread_mutex_unlock(&gateway->end_lock);
}

void
gateway_leave(struct gateway *gateway)
{
    count_down(gateway, &gateway->under_way);
}

void
gateway_resume(struct gateway_request *request)
{
    struct gateway *gateway = request->gateway;

    ASSERT(request->response != NULL || request->then != NULL);
    request->is_suspended = false;
    gateway_server_resume(request->server, request->connection);
    gateway_leave(gateway);
}

enum gateway_next
gateway_defer(struct gateway_request *request, enum gateway_place place, gateway_handler handle)
{
    struct gateway *gateway = request->gateway;

    request->then = handle;
    if (gateway_work_push(place == GATEWAY_POOL ? gateway->pool : gateway->compilers, request) == 0)
        return GATEWAY_LATER;
    request->then = NULL;
    return gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "try again in a moment",
                        "too many requests wait already");
}

/* ---------------------------------------------------------------------------- asking */

const char *
gateway_query(const struct gateway_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *
gateway_header(const struct gateway_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

bool
gateway_query_number(struct gateway_request *request, const char *name, uint64_t max, uint64_t *out)
{
    const char *text = gateway_query(request, name);

    if (text == NULL || gateway_number_parse(text, max, out))
        return true;
    (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "query_invalid", "give it as decimal digits",
                       "%s must be a whole number from 0 to %llu", name, (unsigned long long)max);
    return false;
}

/* ---------------------------------------------------------------------- who is it */

int
gateway_identify(struct gateway_request *request)
{
    const char *value = gateway_header(request, MHD_HTTP_HEADER_AUTHORIZATION);

    if (value == NULL || strncasecmp(value, BEARER, strlen(BEARER)) != 0)
        return -EACCES;
    value += strlen(BEARER);
    return catalog_identify(request->gateway->config.catalog, value, strlen(value), &request->who);
}

static bool
is_any(void *context, const struct catalog_tenant *tenant)
{
    (void)context;
    (void)tenant;
    return true;
}

static bool
fail_tenant(struct gateway_request *request, const char *name)
{
    (void)gateway_fail(request, MHD_HTTP_NOT_FOUND, "tenant_unknown",
                       "look at the name, or ask whoever runs this cluster",
                       "there is no tenant %.63s", name);
    return false;
}

/* For whom: the token's tenant, or the one that an admin names. */
static bool
choose_tenant(struct gateway_request *request)
{
    const char *named = gateway_header(request, "Weft-Tenant");
    bool is_admin = (request->who.roles & CATALOG_ADMIN) != 0;

    if (request->route->scope == GATEWAY_ADMIN) /* nobody's: also the tenant is made so */
        return true;
    if (named == NULL)
        named = gateway_query(request, "tenant");
    if (named != NULL && strlen(named) > CATALOG_NAME_BYTES_MAX)
        return fail_tenant(request, "of so long a name");
    if (!is_admin && named != NULL && strcmp(named, request->who.tenant) != 0)
        return fail_tenant(request, named);
    if (is_admin && named == NULL && request->route->scope == GATEWAY_TENANT) {
        (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "tenant_needed",
                           "name one by the header Weft-Tenant or by ?tenant=",
                           "an admin's token acts for no tenant of its own");
        return false;
    }
    if (!is_admin)
        named = request->who.tenant;
    if (named == NULL ||
        (is_admin && (strcmp(named, "*") == 0 || request->route->scope == GATEWAY_ADMIN)))
        named = ""; /* what is the cluster's is no tenant's, whoever is named besides */
    (void)snprintf(request->tenant, sizeof(request->tenant), "%s", named);
    if (is_admin && request->tenant[0] != '\0' &&
        catalog_tenant_list(request->gateway->config.catalog, request->tenant, is_any, NULL,
                            NULL) != 0)
        return fail_tenant(request, request->tenant);
    return true;
}

static const char *
role_name(uint32_t roles)
{
    if (roles & CATALOG_READ)
        return "read";
    if (roles & CATALOG_INVOKE)
        return "invoke";
    if (roles & CATALOG_DEPLOY)
        return "deploy";
    return roles & CATALOG_MANAGE ? "manage" : "admin";
}

static bool
check_roles(struct gateway_request *request)
{
    const struct gateway_route *route = request->route;
    uint32_t wanted = route->scope == GATEWAY_ADMIN ? CATALOG_ADMIN : route->roles;

    if ((request->who.roles & CATALOG_ADMIN) != 0 || wanted == 0 ||
        (request->who.roles & wanted) != 0)
        return true;
    (void)gateway_fail(request, MHD_HTTP_FORBIDDEN, "role_needed",
                       "use a token that has the role, or have one made",
                       "this needs the role %s, which the token has not", role_name(wanted));
    return false;
}

static bool
count_request(struct gateway_request *request)
{
    struct gateway_space *space;

    if (request->tenant[0] == '\0')
        return true;
    space = gateway_space_get(request->gateway, request->tenant);
    if (space == NULL || atomic_fetch_add_explicit(&space->requests, 1, memory_order_relaxed) >=
                             GATEWAY_TENANT_CONNECTIONS_MAX) {
        if (space != NULL)
            (void)atomic_fetch_sub_explicit(&space->requests, 1, memory_order_relaxed);
        (void)gateway_fail(request, MHD_HTTP_TOO_MANY_REQUESTS, "too_many_requests",
                           "wait for some of them, or call asynchronously",
                           "%s has %u requests under way", request->tenant,
                           GATEWAY_TENANT_CONNECTIONS_MAX);
        return false;
    }
    request->space = space;
    return true;
}

static bool
fail_token(struct gateway_request *request, int err)
{
    if (err != -EACCES) {
        (void)gateway_refuse(request, err, "token_unknown", NULL);
        return false;
    }
    (void)gateway_fail(request, MHD_HTTP_UNAUTHORIZED, "token_needed",
                       "send the header Authorization: Bearer weft_...",
                       "no token was sent, or it is not valid");
    gateway_add_header(request->response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    return false;
}

bool
gateway_authenticate(struct gateway_request *request)
{
    int err;

    if (request->route->scope == GATEWAY_OPEN)
        return true;
    err = gateway_identify(request);
    if (err != 0)
        return fail_token(request, err);
    return check_roles(request) && choose_tenant(request) && count_request(request);
}

/* ------------------------------------------------------------------- the first visit */

static bool
find_route(struct gateway_request *request)
{
    char allowed[64];

    request->route = gateway_route_find(request, allowed, sizeof(allowed));
    if (request->route == NULL && strcmp(request->method, "HEAD") == 0) {
        request->method = "GET"; /* libmicrohttpd leaves the body out */
        request->route = gateway_route_find(request, allowed, sizeof(allowed));
    }
    if (request->route != NULL)
        return true;
    /* Without a token nobody is told what there is. */
    {
        int err = gateway_identify(request);

        if (err != 0)
            return fail_token(request, err);
    }
    if (allowed[0] != '\0') {
        (void)gateway_fail(request, MHD_HTTP_METHOD_NOT_ALLOWED, "method_unknown",
                           "see /openapi.json", "this path knows %s alone", allowed);
        gateway_add_header(request->response, MHD_HTTP_HEADER_ALLOW, allowed);
    } else {
        (void)gateway_fail(request, MHD_HTTP_NOT_FOUND, "path_unknown", "see /openapi.json",
                           "there is nothing at this path");
    }
    return false;
}

static bool
copy_path(struct gateway_request *request, const char *url)
{
    size_t count = strlen(url);

    if (count <= GATEWAY_PATH_BYTES_MAX && utf8_is_valid(url, count)) {
        (void)memcpy(request->path, url, count + 1);
        return true;
    }
    (void)gateway_fail(
        request, count > GATEWAY_PATH_BYTES_MAX ? MHD_HTTP_URI_TOO_LONG : MHD_HTTP_BAD_REQUEST,
        "path_invalid", "see /openapi.json", "the path is not UTF-8, or has more than %u bytes",
        GATEWAY_PATH_BYTES_MAX);
    return false;
}

/* Who unescapes cannot tell a path from a value that looks like one. */
static enum MHD_Result
unescape_value(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)context;
    (void)kind;
    (void)name;
    if (value != NULL && strncmp(value, GATEWAY_STATE_PATH, strlen(GATEWAY_STATE_PATH)) == 0)
        (void)gateway_unescape((char *)(uintptr_t)value); /* of the connection's memory */
    return MHD_YES;
}

static uint64_t
announced(const struct gateway_request *request)
{
    const char *length = gateway_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t count = 0;

    if (gateway_header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL)
        return UINT64_MAX;
    if (length != NULL && !gateway_number_parse(length, UINT64_MAX, &count))
        return UINT64_MAX;
    return count;
}

static enum MHD_Result
queue_answer(struct gateway_request *request)
{
    enum MHD_Result result;

    ASSERT(request->response != NULL);
    gateway_metrics_answered(request->gateway->metrics, request->status);
    result = MHD_queue_response(request->connection, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return result;
}

/* Until when all of it must be here. */
static void
set_due(const struct gateway_request *request, uint64_t count)
{
    uint64_t most =
        request->response != NULL && count > request->body.max ? DRAIN_BYTES : request->body.max;

    if (request->client != NULL)
        atomic_store_explicit(&request->client->due_ns,
                              clock_now_ns() + HEAD_NS +
                                  most / BODY_BYTES_PER_S * CLOCK_NS_PER_SECOND,
                              memory_order_relaxed);
}

/* An error that is known before the body is told after it, since who still sends may not
 * listen; at once, which ends the connection, where the body is very long, or where the
 * client asks before it sends it. */
static enum MHD_Result
begin(struct gateway_request *request, const char *url)
{
    uint64_t count = announced(request);

    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, unescape_value,
                                    NULL);
    if (copy_path(request, url) && find_route(request) && gateway_authenticate(request)) {
        gateway_body_begin(request);
        if (count != UINT64_MAX && count > request->body.max)
            request->body.is_too_large = true;
    }
    if (request->body.is_too_large)
        gateway_body_end(request);
    set_due(request, count);
    if (request->response != NULL &&
        ((count != UINT64_MAX && count > DRAIN_BYTES) ||
         (count > 0 && gateway_header(request, MHD_HTTP_HEADER_EXPECT) != NULL)))
        return queue_answer(request);
    return MHD_YES;
}

/* ------------------------------------------------------------------- the last visits */

/* Counted, so that none is suspended after the end has seen that none is. */
static enum gateway_next
dispatch(struct gateway_request *request)
{
    const struct gateway_route *route = request->route;
    struct gateway *gateway = request->gateway;
    enum gateway_next next;

    gateway_enter(gateway);
    if (gateway_is_ending(gateway))
        next = gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending", "try again",
                            "this gateway ends");
    else if (route->place == GATEWAY_HERE)
        next = route->handle(request);
    else
        next = gateway_defer(request, route->place, route->handle);
    gateway_leave(gateway);
    return next;
}

static enum MHD_Result
go_on(struct gateway_request *request)
{
    gateway_handler then = request->then;
    enum gateway_next next = GATEWAY_ANSWERED;

    if (request->client != NULL)
        atomic_store_explicit(&request->client->due_ns, 0, memory_order_relaxed);
    if (request->response == NULL)
        gateway_body_end(request);
    if (request->response == NULL) {
        request->then = NULL;
        next = then != NULL ? then(request) : dispatch(request);
    }
    return next == GATEWAY_LATER ? MHD_YES : queue_answer(request);
}

static struct gateway_request *
request_create(struct gateway_server *server, struct MHD_Connection *connection, const char *method)
{
    struct gateway *gateway = server->gateway;
    const union MHD_ConnectionInfo *info;
    struct gateway_request *request = malloc(sizeof(*request));

    if (request == NULL)
        return NULL;
    (void)memset(request, 0, offsetof(struct gateway_request, path));
    (void)memset(request->part, 0, sizeof(*request) - offsetof(struct gateway_request, part));
    (void)atomic_fetch_add_explicit(&gateway->requests, 1, memory_order_relaxed);
    request->gateway = gateway;
    request->server = server;
    request->connection = connection;
    request->method = method;
    request->body.fd = -1;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    request->client = info != NULL ? info->socket_context : NULL;
    return request;
}

enum MHD_Result
gateway_on_request(void *context, struct MHD_Connection *connection, const char *url,
                   const char *method, const char *version, const char *upload,
                   size_t *upload_count, void **own)
{
    struct gateway_request *request = *own;

    (void)version;
    if (request == NULL) {
        request = request_create(context, connection, method);
        *own = request;
        return request == NULL ? MHD_NO : begin(request, url);
    }
    if (*upload_count == 0)
        return go_on(request);
    if (request->response == NULL)
        gateway_body_append(request, upload, *upload_count);
    else
        request->body.count += *upload_count; /* read and forgotten */
    /* An answer cannot be sent before the body's end: one of a length was told at once. */
    if (request->body.count > request->body.max + UNTOLD_BYTES)
        return MHD_NO;
    *upload_count = 0;
    return MHD_YES;
}

void
gateway_on_completed(void *context, struct MHD_Connection *connection, void **own,
                     enum MHD_RequestTerminationCode code)
{
    struct gateway_request *request = *own;

    (void)connection;
    (void)code;
    if (request == NULL)
        return;
    if (request->client != NULL)
        atomic_store_explicit(&request->client->due_ns, clock_now_ns() + KEPT_NS,
                              memory_order_relaxed);
    if (request->space != NULL)
        (void)atomic_fetch_sub_explicit(&request->space->requests, 1, memory_order_relaxed);
    if (request->response != NULL)
        MHD_destroy_response(request->response);
    if (request->state != NULL)
        request->state_free(request->state);
    gateway_body_fini(request);
    free(request);
    *own = NULL;
    count_down(context, &((struct gateway *)context)->requests);
}
