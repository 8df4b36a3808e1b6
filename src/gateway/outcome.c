/* SPDX-License-Identifier: Apache-2.0
 *
 * What calls came to: as the answer of a synchronous one, as JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "gateway/gateway_internal.h"

#define LIMIT_TIME 1u /* Result.limit, Result.refused: bits, as workers have them */
#define US_NS      UINT64_C(1000)

static const char *const kind_names[] = {
    [LEDGER__KIND__KIND_DONE] = "done",           [LEDGER__KIND__KIND_EXIT] = "exit",
    [LEDGER__KIND__KIND_TRAP] = "trap",           [LEDGER__KIND__KIND_LIMIT] = "limit",
    [LEDGER__KIND__KIND_CANCELLED] = "cancelled", [LEDGER__KIND__KIND_FAILED] = "failed",
    [LEDGER__KIND__KIND_LOST] = "lost",           [LEDGER__KIND__KIND_LATE] = "late",
    [LEDGER__KIND__KIND_MISFIT] = "misfit",
};

const char *
gateway_kind_name(Ledger__Kind kind)
{
    if (kind <= LEDGER__KIND__KIND_NONE || (size_t)kind >= ARRAY_COUNT(kind_names))
        return "failed";
    return kind_names[kind];
}

const char *
gateway_limit_name(uint32_t limit)
{
    static const char *const names[] = {"time",  "cpu",   "output", "memory",
                                        "files", "calls", "threads"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if ((limit >> i & 1) != 0)
            return names[i];
    return NULL;
}

bool
gateway_is_success(const Ledger__Result *result)
{
    return result != NULL && (result->kind == LEDGER__KIND__KIND_DONE ||
                              (result->kind == LEDGER__KIND__KIND_EXIT && result->exit_code == 0));
}

/* -------------------------------------------------------------------------- failures */

struct failure {
    unsigned status;
    const char *code, *hint;
};

static struct failure
failure_of(const Ledger__Result *result)
{
    static const struct failure failures[] = {
        [LEDGER__KIND__KIND_NONE] = {502, "function_failed", "try again"},
        [LEDGER__KIND__KIND_DONE] = {502, "function_failed", "try again"},
        [LEDGER__KIND__KIND_EXIT] = {502, "function_exit", "look at log: it says what it said"},
        [LEDGER__KIND__KIND_TRAP] = {502, "function_trap", "look at backtrace and log"},
        [LEDGER__KIND__KIND_LIMIT] = {502, "function_limit",
                                      "make it need less, or deploy it with a higher limit"},
        [LEDGER__KIND__KIND_CANCELLED] = {502, "cancelled", "call again"},
        [LEDGER__KIND__KIND_FAILED] = {502, "function_failed", "look at message"},
        [LEDGER__KIND__KIND_LOST] = {502, "function_lost",
                                     "call again, or deploy it with retry.attempts"},
        [LEDGER__KIND__KIND_LATE] = {504, "wait_over", "wait longer (wait_ms), or add hosts"},
        [LEDGER__KIND__KIND_MISFIT] = {503, "no_hosts", "add hosts, or deploy it to need less"},
    };
    struct failure failure =
        failures[(size_t)result->kind < ARRAY_COUNT(failures) ? result->kind : 0];

    if (result->kind == LEDGER__KIND__KIND_LIMIT && (result->limit & LIMIT_TIME) != 0)
        failure.status = MHD_HTTP_GATEWAY_TIMEOUT;
    return failure;
}

/* What it was refused is often why it failed. */
static const char *
sentence_of(const Ledger__Result *result, char *out, size_t size)
{
    const char *limit =
        result->kind == LEDGER__KIND__KIND_LIMIT ? NULL : gateway_limit_name(result->refused);
    int length;

    if (result->message[0] != '\0' && limit == NULL)
        return result->message;
    if (result->message[0] != '\0')
        length = snprintf(out, size, "%.*s", (int)size / 2, result->message);
    else if (result->kind == LEDGER__KIND__KIND_EXIT)
        length = snprintf(out, size, "the function ended with exit code %d", result->exit_code);
    else
        length = snprintf(out, size, "the call ended as %s", gateway_kind_name(result->kind));
    if (limit != NULL && length > 0)
        (void)snprintf(out + length, size - (size_t)length, "; it was refused more by its %s limit",
                       limit);
    return out;
}

/* A stranger is not shown what the function says to its owner. */
static unsigned
write_failure(struct buffer *out, const Ledger__Call *call, bool is_foreign)
{
    static Ledger__Result none = LEDGER__RESULT__INIT;
    const Ledger__Result *result = call->result != NULL ? call->result : &none;
    struct failure failure = failure_of(result);
    char text[DIAG_TEXT_MAX];

    gateway_error_open(out, failure.code, sentence_of(result, text, sizeof(text)), failure.hint);
    gateway_json_id(out, "call", call->id);
    if (result->kind == LEDGER__KIND__KIND_EXIT)
        gateway_json_integer(out, "exit_code", result->exit_code);
    if (gateway_limit_name(result->limit) != NULL)
        gateway_json_text(out, "limit", gateway_limit_name(result->limit));
    if (!is_foreign && result->backtrace[0] != '\0')
        gateway_json_text(out, "backtrace", result->backtrace);
    if (!is_foreign && result->log.len > 0)
        gateway_json_bytes(out, "log", result->log.data, result->log.len);
    gateway_json_close(out, '}');
    gateway_json_close(out, '}');
    buffer_append(out, "\n", 1);
    return failure.status;
}

/* -------------------------------------------------------------------------- outcomes */

static void
take_numbers(struct gateway_outcome *outcome, const Ledger__Call *call)
{
    const Ledger__Result *result = call->result;

    outcome->id = call->id;
    outcome->version = call->version;
    if (result == NULL)
        return;
    outcome->kind = result->kind;
    outcome->exit_code = result->exit_code;
    outcome->queue_ns = result->queue_ns;
    outcome->start_ns = result->start_ns;
    outcome->wall_ns = result->wall_ns;
    outcome->cpu_ns = result->cpu_ns;
    outcome->was_cold = result->was_cold;
    (void)snprintf(outcome->host, sizeof(outcome->host), "%s", result->host);
}

void
gateway_outcome_set(struct gateway_outcome *outcome, const Ledger__Call *call, bool is_foreign)
{
    struct buffer out = {0};

    take_numbers(outcome, call);
    outcome->status = MHD_HTTP_OK;
    if (gateway_is_success(call->result))
        buffer_append(&out, call->result->output.data, call->result->output.len);
    else
        outcome->status = write_failure(&out, call, is_foreign);
    if (out.err != 0) {
        buffer_fini(&out);
        outcome->status = MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    outcome->bytes = out.bytes;
    outcome->count = out.bytes != NULL ? out.count : 0;
}

void
gateway_outcome_fini(struct gateway_outcome *outcome)
{
    free(outcome->bytes);
    outcome->bytes = NULL;
}

static const char *
type_of(const struct gateway_outcome *outcome)
{
    if (outcome->status != MHD_HTTP_OK || gateway_json_is_valid(outcome->bytes, outcome->count))
        return "application/json";
    return utf8_is_valid(outcome->bytes, outcome->count) ? "text/plain; charset=utf-8"
                                                         : "application/octet-stream";
}

static void
add_headers(struct MHD_Response *response, const struct gateway_outcome *outcome)
{
    gateway_add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type_of(outcome));
    gateway_add_header(response, "X-Content-Type-Options", "nosniff");
    gateway_add_number(response, "Weft-Call", outcome->id);
    if (outcome->host[0] != '\0')
        gateway_add_header(response, "Weft-Host", outcome->host);
    gateway_add_number(response, "Weft-Version", outcome->version);
    gateway_add_number(response, "Weft-Queue-Us", outcome->queue_ns / US_NS);
    gateway_add_number(response, "Weft-Start-Us", outcome->start_ns / US_NS);
    gateway_add_number(response, "Weft-Run-Us", outcome->wall_ns / US_NS);
    gateway_add_number(response, "Weft-Cpu-Us", outcome->cpu_ns / US_NS);
    gateway_add_header(response, "Weft-Cold", outcome->was_cold ? "1" : "0");
    if (outcome->status == MHD_HTTP_SERVICE_UNAVAILABLE)
        gateway_add_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

/* The bytes go to the response, which frees them. */
enum gateway_next
gateway_render_result(struct gateway_request *request, struct gateway_outcome *outcome)
{
    static char nothing[] = "";
    struct MHD_Response *response =
        outcome->bytes == NULL ? MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT)
                               : MHD_create_response_from_buffer(outcome->count, outcome->bytes,
                                                                 MHD_RESPMEM_MUST_FREE);

    if (response == NULL)
        return gateway_refuse(request, -ENOMEM, "", NULL);
    add_headers(response, outcome);
    outcome->bytes = NULL;
    return gateway_answer(request, outcome->status, response);
}

/* ------------------------------------------------------------------------------ JSON */

static void
put_time(struct buffer *out, const char *key, uint64_t ns)
{
    if (ns == 0)
        gateway_json_null(out, key);
    else
        gateway_json_decimal(out, key, (double)(ns / 1000000) / 1e3);
}

static void
put_result(struct buffer *out, const Ledger__Result *result)
{
    gateway_json_text(out, "kind", gateway_kind_name(result->kind));
    put_time(out, "ended", result->ended_ns);
    gateway_json_text(out, "host", result->host);
    gateway_json_integer(out, "exit_code", result->exit_code);
    if (gateway_limit_name(result->limit) != NULL)
        gateway_json_text(out, "limit", gateway_limit_name(result->limit));
    else
        gateway_json_null(out, "limit");
    gateway_json_text(out, "message", result->message);
    gateway_json_text(out, "backtrace", result->backtrace);
    gateway_json_number(out, "queue_us", result->queue_ns / US_NS);
    gateway_json_number(out, "start_us", result->start_ns / US_NS);
    gateway_json_number(out, "run_us", result->wall_ns / US_NS);
    gateway_json_number(out, "cpu_us", result->cpu_ns / US_NS);
    gateway_json_bool(out, "cold", result->was_cold);
    gateway_json_number(out, "attempts", result->attempts);
    gateway_json_number(out, "memory_bytes", result->memory_bytes);
    gateway_json_number(out, "output_bytes", result->output.len);
}

void
gateway_call_json(struct buffer *out, const char *key, const Ledger__Call *call)
{
    static const char *const states[] = {"open", "open", "over", "dead"};

    gateway_json_open(out, key, '{');
    gateway_json_id(out, "id", call->id);
    gateway_json_text(out, "function", call->function);
    gateway_json_number(out, "version", call->version);
    gateway_json_text(out, "state",
                      states[(size_t)call->state < ARRAY_COUNT(states) ? call->state : 0]);
    put_time(out, "created", call->created_ns);
    if (call->parent != 0)
        gateway_json_id(out, "parent", call->parent);
    else
        gateway_json_null(out, "parent");
    gateway_json_text(out, "token", call->token);
    if (call->result != NULL && call->state != LEDGER__STATE__STATE_OPEN)
        put_result(out, call->result);
    else
        gateway_json_null(out, "kind");
    gateway_json_close(out, '}');
}
