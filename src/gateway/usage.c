/* SPDX-License-Identifier: Apache-2.0
 *
 * What tenants have used: rows of the meter, and their sum.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/gateway_internal.h"

#define DAY_MAX 99991231u

struct rows {
    struct buffer *out;
    struct meter_usage total;
};

static void
put_numbers(struct buffer *out, const struct meter_usage *usage)
{
    gateway_json_number(out, "calls", usage->calls);
    gateway_json_number(out, "failed", usage->failed);
    gateway_json_number(out, "cold", usage->starts_cold);
    gateway_json_number(out, "retries", usage->retries);
    gateway_json_number(out, "chained", usage->chained);
    gateway_json_decimal(out, "cpu_s", (double)usage->cpu_ns / 1e9);
    gateway_json_decimal(out, "wall_s", (double)usage->wall_ns / 1e9);
    gateway_json_decimal(out, "queue_s", (double)usage->queue_ns / 1e9);
    gateway_json_decimal(out, "gb_s", (double)usage->memory_byte_ms / 1e12);
    gateway_json_number(out, "bytes_in", usage->bytes_in);
    gateway_json_number(out, "bytes_out", usage->bytes_out);
}

static void
add(struct meter_usage *total, const struct meter_usage *usage)
{
    total->calls += usage->calls;
    total->failed += usage->failed;
    total->starts_cold += usage->starts_cold;
    total->retries += usage->retries;
    total->chained += usage->chained;
    total->cpu_ns += usage->cpu_ns;
    total->wall_ns += usage->wall_ns;
    total->queue_ns += usage->queue_ns;
    total->memory_byte_ms += usage->memory_byte_ms;
    total->bytes_in += usage->bytes_in;
    total->bytes_out += usage->bytes_out;
}

static bool
put_row(void *context, const struct meter_usage *usage)
{
    struct rows *rows = context;

    gateway_json_open(rows->out, NULL, '{');
    gateway_json_text(rows->out, "tenant", usage->tenant);
    gateway_json_text(rows->out, "function", usage->function);
    gateway_json_number(rows->out, "day", usage->day);
    put_numbers(rows->out, usage);
    gateway_json_close(rows->out, '}');
    add(&rows->total, usage);
    return rows->out->err == 0;
}

static uint64_t
today(void)
{
    time_t now = time(NULL);
    struct tm day;

    (void)gmtime_r(&now, &day);
    return (uint64_t)(day.tm_year + 1900) * 10000 + (uint64_t)(day.tm_mon + 1) * 100 +
           (uint64_t)day.tm_mday;
}

/* Without days: this month so far. An admin without a tenant, or with *, sees all. */
enum gateway_next
gateway_usage(struct gateway_request *request)
{
    uint64_t to = today(), from = to / 100 * 100 + 1;
    struct buffer out = {0};
    struct rows rows = {.out = &out};
    struct diag diag;
    int err;

    if (!gateway_query_number(request, "from", DAY_MAX, &from) ||
        !gateway_query_number(request, "to", DAY_MAX, &to))
        return GATEWAY_ANSWERED;
    diag_init(&diag);
    gateway_json_open(&out, NULL, '{');
    gateway_json_open(&out, "usage", '[');
    err = meter_list(request->gateway->config.meter,
                     request->tenant[0] != '\0' ? request->tenant : NULL, (uint32_t)from,
                     (uint32_t)to, put_row, &rows, &diag);
    if (err != 0) {
        buffer_fini(&out);
        return gateway_refuse(request, err, "tenant_unknown", &diag);
    }
    gateway_json_close(&out, ']');
    gateway_json_open(&out, "total", '{');
    put_numbers(&out, &rows.total);
    gateway_json_close(&out, '}');
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}
