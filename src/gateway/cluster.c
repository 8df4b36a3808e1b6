/* SPDX-License-Identifier: Apache-2.0
 *
 * What whoever runs the cluster looks at: health, hosts, totals; and the description of
 * this interface.
 */
#include <errno.h>
#include <string.h>

#include "gateway/gateway_internal.h"

#define MS_NS UINT64_C(1000000)

extern const char gateway_openapi_begin[], gateway_openapi_end[];

enum gateway_next
gateway_health(struct gateway_request *request)
{
    struct buffer out = {0};

    buffer_append_format(&out, "{\"status\":\"ok\"}");
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}

enum gateway_next
gateway_ready(struct gateway_request *request)
{
    struct buffer out = {0};

    if (!planner_is_leading(request->gateway->config.planner))
        return gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "not_leading",
                            "ask another planner", "this planner does not lead");
    buffer_append_format(&out, "{\"status\":\"ready\"}");
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}

enum gateway_next
gateway_openapi(struct gateway_request *request)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        (size_t)(gateway_openapi_end - gateway_openapi_begin),
        (void *)(uintptr_t)gateway_openapi_begin, MHD_RESPMEM_PERSISTENT);

    if (response == NULL)
        return gateway_refuse(request, -ENOMEM, "", NULL);
    gateway_add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    return gateway_answer(request, MHD_HTTP_OK, response);
}

/* ----------------------------------------------------------------------------- hosts */

static bool
put_host(void *context, const struct hosts_view *host)
{
    struct buffer *out = context;

    gateway_json_open(out, NULL, '{');
    gateway_json_text(out, "name", host->name);
    gateway_json_text(out, "address", host->address);
    gateway_json_text(out, "zone", host->zone);
    gateway_json_text(out, "version", host->version);
    gateway_json_text(out, "missing", host->missing);
    gateway_json_number(out, "slots", host->slots);
    gateway_json_number(out, "used", host->used);
    gateway_json_number(out, "cores", host->cores);
    gateway_json_number(out, "memory_bytes", host->memory_bytes);
    gateway_json_number(out, "memory_used", host->memory_used);
    gateway_json_number(out, "cpu_ms", host->cpu_ns / MS_NS);
    gateway_json_number(out, "cells", host->cells);
    gateway_json_number(out, "ready_cells", host->ready_cells);
    gateway_json_number(out, "cells_lost", host->cells_lost);
    gateway_json_number(out, "busy_percent", host->busy_percent);
    gateway_json_number(out, "heard_ms_ago", host->heard_ns_ago / MS_NS);
    gateway_json_bool(out, "draining", host->is_draining);
    gateway_json_bool(out, "leaving", host->is_leaving);
    gateway_json_bool(out, "connected", host->is_connected);
    gateway_json_close(out, '}');
    return out->err == 0;
}

enum gateway_next
gateway_host_list(struct gateway_request *request)
{
    struct buffer out = {0};

    gateway_json_open(&out, NULL, '{');
    gateway_json_open(&out, "hosts", '[');
    hosts_list(request->gateway->config.hosts, put_host, &out);
    gateway_json_close(&out, ']');
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}

enum gateway_next
gateway_host_drain(struct gateway_request *request)
{
    bool is_draining = true;
    const struct gateway_field fields[] = {{"drain", GATEWAY_BOOL, false, &is_draining}};
    json_t *body = gateway_body_fields(request, fields, ARRAY_COUNT(fields));
    struct buffer out = {0};
    int err;

    if (body == NULL)
        return GATEWAY_ANSWERED;
    json_decref(body);
    err = hosts_drain(request->gateway->config.hosts, request->part[0], is_draining);
    if (err != 0)
        return gateway_refuse(request, err, "host_unknown", NULL);
    gateway_json_open(&out, NULL, '{');
    gateway_json_text(&out, "host", request->part[0]);
    gateway_json_bool(&out, "draining", is_draining);
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}

struct totals {
    uint64_t hosts, slots, used;
};

static bool
add_host(void *context, const struct planner_host_view *host)
{
    struct totals *totals = context;

    totals->hosts += !host->is_down;
    totals->slots += host->is_down ? 0 : host->slots;
    totals->used += host->is_down ? 0 : host->used;
    return true;
}

enum gateway_next
gateway_cluster(struct gateway_request *request)
{
    struct planner *planner = request->gateway->config.planner;
    struct totals totals = {0};
    struct planner_usage usage;
    struct buffer out = {0};

    planner_host_list(planner, add_host, &totals);
    planner_usage(planner, &usage);
    gateway_json_open(&out, NULL, '{');
    gateway_json_bool(&out, "leading", planner_is_leading(planner));
    gateway_json_number(&out, "hosts", totals.hosts);
    gateway_json_number(&out, "slots", totals.slots);
    gateway_json_number(&out, "used", totals.used);
    gateway_json_number(&out, "waiting", usage.waiting);
    gateway_json_number(&out, "running", usage.running);
    gateway_json_number(&out, "started", usage.started);
    gateway_json_number(&out, "ended", usage.ended);
    gateway_json_number(&out, "retried", usage.retried);
    gateway_json_number(&out, "lost", usage.lost);
    gateway_json_text(&out, "version", GATEWAY_VERSION);
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}
