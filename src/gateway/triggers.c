/* SPDX-License-Identifier: Apache-2.0
 *
 * Triggers: their list, and requests to /t/TENANT/PATH, which call what the trigger names
 * with the request as JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "gateway/gateway_internal.h"

/* ------------------------------------------------------------------------ their list */

static bool
put_trigger(void *context, const struct catalog_trigger *trigger)
{
    struct buffer *out = context;

    gateway_json_open(out, NULL, '{');
    gateway_json_text(out, "name", trigger->name);
    gateway_json_text(out, "kind", trigger->kind == CATALOG_HTTP ? "http" : "cron");
    gateway_json_text(out, "function", trigger->reference);
    gateway_json_text(out, "method", trigger->method);
    gateway_json_text(out, "path", trigger->path);
    gateway_json_bool(out, "public", trigger->is_public);
    gateway_json_text(out, "schedule", trigger->schedule);
    gateway_json_text(out, "input", trigger->input);
    gateway_json_bool(out, "paused", trigger->is_paused);
    gateway_json_close(out, '}');
    return out->err == 0;
}

static int
list_triggers(struct gateway_request *request, struct buffer *out, struct diag *diag)
{
    return catalog_trigger_list(request->gateway->config.catalog, request->tenant, put_trigger, out,
                                diag);
}

enum gateway_next
gateway_trigger_list(struct gateway_request *request)
{
    return gateway_answer_list(request, "triggers", list_triggers);
}

enum gateway_next
gateway_trigger_put(struct gateway_request *request)
{
    struct catalog_trigger trigger = {.tenant = request->tenant,
                                      .name = request->part[0],
                                      .method = "",
                                      .path = "",
                                      .schedule = "",
                                      .input = ""};
    const char *kind = NULL;
    const struct gateway_field fields[] = {
        {"kind", GATEWAY_TEXT, true, &kind},
        {"function", GATEWAY_TEXT, true, &trigger.reference},
        {"method", GATEWAY_TEXT, false, &trigger.method},
        {"path", GATEWAY_TEXT, false, &trigger.path},
        {"public", GATEWAY_BOOL, false, &trigger.is_public},
        {"schedule", GATEWAY_TEXT, false, &trigger.schedule},
        {"input", GATEWAY_TEXT, false, &trigger.input},
        {"paused", GATEWAY_BOOL, false, &trigger.is_paused},
    };
    json_t *body = gateway_body_fields(request, fields, ARRAY_COUNT(fields));
    struct diag diag;
    int err;

    if (body == NULL)
        return GATEWAY_ANSWERED;
    diag_init(&diag);
    trigger.kind = strcmp(kind, "cron") == 0 ? CATALOG_CRON : CATALOG_HTTP;
    if (trigger.kind == CATALOG_HTTP && strcmp(kind, "http") != 0)
        err = diag_set(&diag, -EINVAL, "field \"kind\" must be \"http\" or \"cron\"");
    else
        err = catalog_trigger_put(request->gateway->config.catalog, &trigger, &diag);
    json_decref(body);
    return err == 0 ? gateway_answer_ok(request)
                    : gateway_refuse(request, err, "tenant_unknown", &diag);
}

enum gateway_next
gateway_trigger_delete(struct gateway_request *request)
{
    struct diag diag;
    int err;

    diag_init(&diag);
    err = catalog_trigger_remove(request->gateway->config.catalog, request->tenant,
                                 request->part[0], &diag);
    return err == 0 ? gateway_answer_ok(request)
                    : gateway_refuse(request, err, "trigger_unknown", &diag);
}

/* ------------------------------------------------------------------------ what it says */

static enum gateway_next
answer_reply(struct gateway_request *request, struct gateway_reply *reply,
             const struct gateway_outcome *outcome)
{
    bool has_type = false;

    (void)gateway_answer_buffer(request, reply->status, "text/plain; charset=utf-8", &reply->body);
    for (size_t i = 0; i < reply->header_count; i++)
        has_type |= strcasecmp(reply->headers[i].name, MHD_HTTP_HEADER_CONTENT_TYPE) == 0;
    if (has_type)
        (void)MHD_del_response_header(request->response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                      "text/plain; charset=utf-8");
    for (size_t i = 0; i < reply->header_count; i++)
        gateway_add_header(request->response, reply->headers[i].name, reply->headers[i].value);
    gateway_add_number(request->response, "Weft-Call", outcome->id);
    return GATEWAY_ANSWERED;
}

static enum gateway_next
render(struct gateway_request *request, struct gateway_outcome *outcome)
{
    struct gateway_reply reply;
    struct diag diag;
    int err = -ENOENT;

    diag_init(&diag);
    if (outcome->status == MHD_HTTP_OK)
        err = gateway_reply_read(outcome->bytes, outcome->count, &reply, &diag);
    if (err == -ENOENT)
        return gateway_render_result(request, outcome);
    if (err != 0)
        return gateway_fail(request, MHD_HTTP_BAD_GATEWAY, "answer_invalid",
                            "the function's result has status and body, but not as they must be",
                            "%s", diag_text(&diag));
    (void)answer_reply(request, &reply, outcome);
    gateway_reply_fini(&reply);
    return GATEWAY_ANSWERED;
}

/* ---------------------------------------------------------------------- what it is told */

static enum MHD_Result
put_value(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct buffer *out = context;

    (void)kind;
    /* The token is who calls' own. */
    if (strcasecmp(name, MHD_HTTP_HEADER_AUTHORIZATION) != 0)
        gateway_json_text(out, name, value != NULL ? value : "");
    return MHD_YES;
}

static void
write_input(struct gateway_request *request, const char *method, const char *path,
            struct buffer *out)
{
    const struct gateway_body *body = &request->body;

    gateway_json_open(out, NULL, '{');
    gateway_json_text(out, "method", method);
    gateway_json_text(out, "path", path);
    gateway_json_open(out, "query", '{');
    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, put_value, out);
    gateway_json_close(out, '}');
    gateway_json_open(out, "headers", '{');
    (void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND, put_value, out);
    gateway_json_close(out, '}');
    if (body->count > 0 && !utf8_is_valid(body->bytes, body->count))
        gateway_json_base64(out, "body_base64", body->bytes, body->count);
    else
        gateway_json_bytes(out, "body", body->bytes, body->count);
    gateway_json_close(out, '}');
}

/* ------------------------------------------------------------------------------ route */

struct found {
    char reference[2 * CATALOG_NAME_BYTES_MAX + 16 + CATALOG_NAME_BYTES_MAX];
    bool is_there, is_public;
};

static bool
take_trigger(void *context, const struct catalog_trigger *trigger)
{
    struct found *found = context;

    found->is_there = strlen(trigger->reference) < sizeof(found->reference);
    found->is_public = trigger->is_public;
    (void)snprintf(found->reference, sizeof(found->reference), "%s", trigger->reference);
    return true;
}

/* Who may: anybody where it is public, else who could call for the tenant. To nobody else
 * does it show whether there is one. */
static bool
may_call(struct gateway_request *request, const struct found *found)
{
    bool is_known;

    if (found->is_there && found->is_public)
        return true;
    is_known = gateway_identify(request) == 0;
    if (!is_known) {
        (void)gateway_fail(request, MHD_HTTP_UNAUTHORIZED, "token_needed",
                           "send the header Authorization: Bearer weft_...",
                           "no token was sent, or it is not valid");
        gateway_add_header(request->response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
        return false;
    }
    if (found->is_there && ((request->who.roles & CATALOG_ADMIN) != 0 ||
                            strcmp(request->who.tenant, request->tenant) == 0)) {
        if ((request->who.roles & (CATALOG_INVOKE | CATALOG_ADMIN)) != 0)
            return true;
        (void)gateway_fail(request, MHD_HTTP_FORBIDDEN, "role_needed",
                           "use a token that has the role, or have one made",
                           "this needs the role invoke, which the token has not");
        return false;
    }
    (void)gateway_fail(request, MHD_HTTP_NOT_FOUND, "trigger_unknown", "look at the path",
                       "nothing answers there");
    return false;
}

static enum gateway_next
call(struct gateway_request *request)
{
    struct gateway_wish wish = {.trace = gateway_header(request, "traceparent")};
    struct buffer input = {0};
    struct found found = {0};
    char path[GATEWAY_PATH_BYTES_MAX + 2];
    enum gateway_next next;

    (void)snprintf(path, sizeof(path), "/%s", request->part[1]);
    if (catalog_trigger_find(request->gateway->config.catalog, request->tenant, request->method,
                             path, take_trigger, &found) != 0)
        found.is_there = false;
    if (!may_call(request, &found))
        return GATEWAY_ANSWERED;
    if (wish.trace != NULL && strlen(wish.trace) > 256)
        wish.trace = NULL;
    write_input(request, request->method, path, &input);
    if (input.err != 0) {
        buffer_fini(&input);
        return gateway_refuse(request, input.err, "", NULL);
    }
    if (request->who.token[0] == '\0')
        (void)snprintf(request->who.token, sizeof(request->who.token), "trigger");
    wish.reference = found.reference;
    wish.input = input.bytes;
    wish.input_count = input.count;
    next = gateway_invoke(request, &wish, render);
    buffer_fini(&input);
    return next;
}

/* Writing a long body as JSON takes its time. */
enum gateway_next
gateway_trigger_call(struct gateway_request *request)
{
    if (strlen(request->part[0]) > CATALOG_NAME_BYTES_MAX)
        request->part[0] = "";
    (void)snprintf(request->tenant, sizeof(request->tenant), "%s", request->part[0]);
    if (request->body.count > GATEWAY_LARGE_BYTES)
        return gateway_defer(request, GATEWAY_POOL, call);
    return call(request);
}
