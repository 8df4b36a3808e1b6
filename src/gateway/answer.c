/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers, and errors: a status, a code for programs, a sentence and a hint for people.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "gateway/gateway_internal.h"

void
gateway_add_header(struct MHD_Response *response, const char *name, const char *value)
{
    (void)MHD_add_response_header(response, name, value);
}

void
gateway_add_number(struct MHD_Response *response, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    gateway_add_header(response, name, text);
}

enum gateway_next
gateway_answer(struct gateway_request *request, unsigned status, struct MHD_Response *response)
{
    static char nothing[] = "";

    if (response == NULL) /* without memory even for that the connection ends */
        response = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    if (request->response != NULL)
        MHD_destroy_response(request->response);
    request->status = status;
    request->response = response;
    return GATEWAY_ANSWERED;
}

enum gateway_next
gateway_answer_buffer(struct gateway_request *request, unsigned status, const char *type,
                      struct buffer *out)
{
    struct MHD_Response *response = NULL;

    if (out->err == 0)
        response = MHD_create_response_from_buffer(out->count, out->bytes, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        buffer_fini(out);
    else
        gateway_add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    *out = (struct buffer){0};
    return gateway_answer(request, response == NULL ? MHD_HTTP_SERVICE_UNAVAILABLE : status,
                          response);
}

enum gateway_next
gateway_answer_json(struct gateway_request *request, unsigned status, struct buffer *out)
{
    buffer_append(out, "\n", 1);
    return gateway_answer_buffer(request, status, "application/json", out);
}

enum gateway_next
gateway_answer_ok(struct gateway_request *request)
{
    struct buffer out = {0};

    buffer_append_format(&out, "{\"ok\":true}");
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}

void
gateway_error_open(struct buffer *out, const char *code, const char *message, const char *hint)
{
    gateway_json_open(out, NULL, '{');
    gateway_json_open(out, "error", '{');
    gateway_json_text(out, "code", code);
    gateway_json_text(out, "message", message);
    gateway_json_text(out, "hint", hint);
}

enum gateway_next
gateway_fail(struct gateway_request *request, unsigned status, const char *code, const char *hint,
             const char *format, ...)
{
    char message[DIAG_TEXT_MAX + 64];
    struct buffer out = {0};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    gateway_error_open(&out, code, message, hint);
    gateway_json_close(&out, '}');
    gateway_json_close(&out, '}');
    (void)gateway_answer_json(request, status, &out);
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE || status == MHD_HTTP_TOO_MANY_REQUESTS)
        gateway_add_header(request->response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    return GATEWAY_ANSWERED;
}

struct refusal {
    int err;
    unsigned status;
    const char *code, *hint, *message;
};

static const struct refusal refusals[] = {
    {-EINVAL, MHD_HTTP_BAD_REQUEST, "invalid", "change what the message names",
     "something in the request is not valid"},
    {-ENOTSUP, MHD_HTTP_BAD_REQUEST, "unsupported", "do without it", "that is not supported"},
    {-EEXIST, MHD_HTTP_CONFLICT, "exists", "choose another name", "it is there already"},
    {-EBUSY, MHD_HTTP_CONFLICT, "in_use", "change what uses it first", "it is in use"},
    {-ENOSPC, MHD_HTTP_CONFLICT, "limit_reached", "remove some first", "there are too many"},
    {-E2BIG, MHD_HTTP_CONTENT_TOO_LARGE, "too_large", "send less", "it is too large"},
    {-EAGAIN, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "try again in a moment",
     "others are doing the same at this moment"},
    {-ENOMEM, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "try again in a moment",
     "there is no memory for it at this moment"},
    {-ESHUTDOWN, MHD_HTTP_SERVICE_UNAVAILABLE, "not_leading", "try again: another planner leads",
     "this planner does not lead"},
    {-ETIMEDOUT, MHD_HTTP_SERVICE_UNAVAILABLE, "store_unreachable", "try again in a moment",
     "the store does not answer"},
};

enum gateway_next
gateway_refuse(struct gateway_request *request, int err, const char *missing,
               const struct diag *diag)
{
    bool has_text = diag != NULL && diag->is_set;

    if (err == -ENOENT)
        return gateway_fail(request, MHD_HTTP_NOT_FOUND, missing, "look at the name", "%s",
                            has_text ? diag_text(diag) : "there is none of this name");
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++)
        if (refusals[i].err == err)
            return gateway_fail(request, refusals[i].status, refusals[i].code, refusals[i].hint,
                                "%s", has_text ? diag_text(diag) : refusals[i].message);
    return gateway_fail(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal",
                        "ask whoever runs this cluster", "%s",
                        has_text ? diag_text(diag) : strerror(-err));
}

enum gateway_next
gateway_answer_list(struct gateway_request *request, const char *key, gateway_list_fn list)
{
    struct buffer out = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    gateway_json_open(&out, NULL, '{');
    gateway_json_open(&out, key, '[');
    err = list(request, &out, &diag);
    if (err != 0) {
        buffer_fini(&out);
        return gateway_refuse(request, err, "tenant_unknown", &diag);
    }
    gateway_json_close(&out, ']');
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}
