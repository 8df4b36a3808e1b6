/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of state: get, put, delete, add.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "gateway/state.h"

/* ------------------------------------------------------------------------------ bytes */

/* Of an answer that is sent; counted with the bodies. */
struct content {
    struct gateway *gateway;
    size_t count;
    uint8_t bytes[];
};

static void
content_free(void *object)
{
    struct content *content = object;

    (void)atomic_fetch_sub_explicit(&content->gateway->heap_bytes, content->count,
                                    memory_order_relaxed);
    free(content);
}

/* NULL: no memory, or too much is sent at this moment. */
static struct MHD_Response *
response_of(struct gateway *gateway, const ProtobufCBinaryData *data)
{
    struct content *content = malloc(sizeof(*content) + data->len);
    struct MHD_Response *response = NULL;

    if (content == NULL)
        return NULL;
    content->gateway = gateway;
    content->count = data->len;
    if (atomic_fetch_add_explicit(&gateway->heap_bytes, data->len, memory_order_relaxed) +
            data->len <=
        GATEWAY_HEAP_BYTES_MAX) {
        if (data->len > 0)
            (void)memcpy(content->bytes, data->data, data->len);
        response = MHD_create_response_from_buffer_with_free_callback_cls(data->len, content->bytes,
                                                                          content_free, content);
    }
    if (response == NULL)
        content_free(content);
    return response;
}

static ssize_t
read_nothing(void *context, uint64_t offset, char *to, size_t max)
{
    (void)context;
    (void)offset;
    (void)to;
    (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* -------------------------------------------------------------------------------- get */

static enum gateway_next
answer_bytes(struct gateway_request *request, const struct gateway_state *state,
             const Rpc__StateAnswer *answer, struct MHD_Response *response)
{
    bool is_part = state->is_range && answer->bytes.len < answer->size;
    char range[80];

    (void)gateway_answer(request, is_part ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response);
    if (is_part) {
        (void)snprintf(range, sizeof(range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                       state->pull.offset, state->pull.offset + answer->bytes.len - 1,
                       answer->size);
        gateway_add_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, range);
    }
    gateway_state_version(request, answer->version);
    gateway_add_number(response, "Weft-Size", answer->size);
    gateway_add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    gateway_add_header(response, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    gateway_add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    gateway_add_header(response, "X-Content-Type-Options", "nosniff");
    return GATEWAY_ANSWERED;
}

static enum gateway_next
fail_range(struct gateway_request *request, uint64_t size)
{
    char range[40];

    (void)gateway_fail(request, MHD_HTTP_RANGE_NOT_SATISFIABLE, "range_invalid",
                       "look at Weft-Size of HEAD", "the value has %" PRIu64 " bytes", size);
    (void)snprintf(range, sizeof(range), "bytes */%" PRIu64, size);
    gateway_add_header(request->response, MHD_HTTP_HEADER_CONTENT_RANGE, range);
    return GATEWAY_ANSWERED;
}

static enum gateway_next
render_bytes(struct gateway_request *request, const struct gateway_state *state,
             const Rpc__StateAnswer *answer)
{
    static char nothing[] = "";
    struct MHD_Response *response;

    if (state->pull.known != 0 && state->pull.known == answer->version) {
        response = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
        if (response == NULL)
            return gateway_refuse(request, -ENOMEM, "", NULL);
        (void)gateway_answer(request, MHD_HTTP_NOT_MODIFIED, response);
        gateway_state_version(request, answer->version);
        return GATEWAY_ANSWERED;
    }
    if (state->is_range && answer->bytes.len == 0)
        return fail_range(request, answer->size);
    response = response_of(request->gateway, &answer->bytes);
    if (response == NULL)
        return gateway_refuse(request, -ENOMEM, "", NULL);
    return answer_bytes(request, state, answer, response);
}

static enum gateway_next
fail_bytes(struct gateway_request *request, const struct gateway_state *state,
           const Rpc__StateAnswer *answer)
{
    if (answer->err == -EINVAL && state->pull.offset > answer->size)
        return fail_range(request, answer->size);
    return gateway_state_fail(request, state, answer);
}

/* "bytes=5-9", "bytes=5-". Others may be answered by the whole, and are. */
static bool
read_range(const char *text, uint64_t *offset, uint64_t *count)
{
    char first[24], last[24];
    uint64_t from, to = UINT64_MAX;
    int end = 0;

    if (sscanf(text, "bytes=%20[0-9]-%n", first, &end) != 1 || end == 0 ||
        !gateway_number_parse(first, UINT64_MAX, &from))
        return false;
    if (text[end] != '\0') {
        (void)snprintf(last, sizeof(last), "%s", text + end);
        if (!gateway_number_parse(last, UINT64_MAX, &to) || to < from)
            return false;
    }
    *offset = from;
    *count = to == UINT64_MAX ? UINT64_MAX : to - from + 1;
    return true;
}

enum gateway_next
gateway_state_get(struct gateway_request *request)
{
    struct gateway_state *state = gateway_state_begin(request, RPC__STATE_ASK__IS_PULL);
    const char *known = gateway_header(request, MHD_HTTP_HEADER_IF_NONE_MATCH);
    const char *range = gateway_header(request, MHD_HTTP_HEADER_RANGE);

    if (state == NULL)
        return GATEWAY_ANSWERED;
    state->pull.count = UINT64_MAX;
    if (!gateway_query_number(request, "offset", TIER_VALUE_BYTES_MAX, &state->pull.offset) ||
        !gateway_query_number(request, "count", TIER_VALUE_BYTES_MAX, &state->pull.count))
        return GATEWAY_ANSWERED;
    if (range != NULL && gateway_query(request, "offset") == NULL &&
        gateway_query(request, "count") == NULL)
        state->is_range = read_range(range, &state->pull.offset, &state->pull.count);
    if (known != NULL)
        (void)gateway_state_tag(known, &state->pull.known);
    state->render = render_bytes;
    state->fail = fail_bytes;
    return gateway_state_ask(request);
}

/* Its size as Content-Length, without a byte. */
static enum gateway_next
render_head(struct gateway_request *request, const struct gateway_state *state,
            const Rpc__StateAnswer *answer)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(answer->size, 1024, read_nothing, NULL, NULL);

    char lives[40];

    if (response == NULL)
        return gateway_refuse(request, -ENOMEM, "", NULL);
    (void)answer_bytes(request, state, answer, response);
    gateway_add_header(response, "Weft-Kind", answer->is_log ? "log" : "value");
    if (answer->lives_ns > 0) {
        (void)snprintf(lives, sizeof(lives), "%.3f", (double)answer->lives_ns / 1e9);
        gateway_add_header(response, "Weft-Lives", lives);
    }
    return GATEWAY_ANSWERED;
}

enum gateway_next
gateway_state_head(struct gateway_request *request)
{
    struct gateway_state *state = gateway_state_begin(request, RPC__STATE_ASK__IS_STAT);

    if (state == NULL)
        return GATEWAY_ANSWERED;
    state->render = render_head;
    return gateway_state_ask(request);
}

/* --------------------------------------------------------------------- put and delete */

static enum gateway_next
render_changed(struct gateway_request *request, const struct gateway_state *state,
               const Rpc__StateAnswer *answer)
{
    struct buffer out = {0};

    gateway_state_open(&out, state);
    gateway_json_number(&out, "bytes", answer->size);
    gateway_json_number(&out, "version", answer->version);
    (void)gateway_state_close(request, &out);
    gateway_state_version(request, answer->version);
    return GATEWAY_ANSWERED;
}

enum gateway_next
gateway_state_put(struct gateway_request *request)
{
    struct gateway_state *state = gateway_state_begin(request, RPC__STATE_ASK__IS_PUSH);
    struct gateway_condition condition;
    uint64_t lives_s = 0;

    if (state == NULL ||
        !gateway_query_number(request, "lives_s", GATEWAY_STATE_LIVES_S_MAX, &lives_s) ||
        !gateway_state_condition(request, &condition) ||
        !gateway_body_map(request, GATEWAY_BODY_BYTES_MAX))
        return GATEWAY_ANSWERED;
    state->push.size = request->body.count;
    state->push.replaces = true;
    state->push.may_create = !condition.must_exist || condition.is_there;
    state->push.has_condition = state->has_condition = condition.is_there;
    state->push.version = condition.version;
    state->push.lives_ns = lives_s * CLOCK_NS_PER_SECOND;
    state->must_exist = condition.must_exist;
    if (request->body.count > 0) {
        rpc__state_run__init(&state->run);
        state->run.count = request->body.count;
        state->runs[0] = &state->run;
        state->push.n_runs = 1;
        state->push.runs = state->runs;
        state->push.bytes = (ProtobufCBinaryData){request->body.count, request->body.bytes};
    }
    state->render = render_changed;
    return gateway_state_ask(request);
}

static enum gateway_next
render_removed(struct gateway_request *request, const struct gateway_state *state,
               const Rpc__StateAnswer *answer)
{
    (void)state;
    (void)answer;
    return gateway_answer_ok(request);
}

enum gateway_next
gateway_state_delete(struct gateway_request *request)
{
    struct gateway_state *state = gateway_state_begin(request, RPC__STATE_ASK__IS_REMOVE);
    struct gateway_condition condition;

    if (state == NULL ||
        !gateway_query_number(request, "before", UINT64_MAX, &state->remove.before) ||
        !gateway_state_condition(request, &condition))
        return GATEWAY_ANSWERED;
    state->remove.has_condition = state->has_condition = condition.is_there;
    state->remove.version = condition.version;
    state->must_exist = condition.must_exist;
    state->render = render_removed;
    return gateway_state_ask(request);
}

/* -------------------------------------------------------------------------------- add */

static enum gateway_next
render_sum(struct gateway_request *request, const struct gateway_state *state,
           const Rpc__StateAnswer *answer)
{
    struct buffer out = {0};
    double sum;

    (void)memcpy(&sum, &answer->result, sizeof(sum));
    gateway_state_open(&out, state);
    if (state->add.number == RPC__STATE_NUMBER__STATE_NUMBER_F64)
        gateway_json_double(&out, "sum", sum);
    else
        gateway_json_integer(&out, "sum", (int64_t)answer->result);
    gateway_json_number(&out, "version", answer->version);
    (void)gateway_state_close(request, &out);
    gateway_state_version(request, answer->version);
    return GATEWAY_ANSWERED;
}

/* False: answered. */
static bool
read_operand(struct gateway_request *request, const json_t *number, const char *as,
             Rpc__StateAdd *add)
{
    json_int_t integer = json_integer_value(number);
    double real = json_number_value(number);
    bool is_double = strcmp(as, "f64") == 0;

    add->number =
        is_double ? RPC__STATE_NUMBER__STATE_NUMBER_F64 : RPC__STATE_NUMBER__STATE_NUMBER_I64;
    if (is_double && json_is_number(number)) {
        (void)memcpy(&add->operand, &real, sizeof(real));
        return true;
    }
    if (!is_double && strcmp(as, "i64") == 0 && json_is_integer(number)) {
        (void)memcpy(&add->operand, &integer, sizeof(integer));
        return true;
    }
    (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "field_invalid",
                       "send {\"add\":1}, or {\"add\":0.5,\"as\":\"f64\"}",
                       "add must be a number of what as says: i64 (whole numbers) or f64");
    return false;
}

enum gateway_next
gateway_state_add(struct gateway_request *request)
{
    struct gateway_state *state = gateway_state_begin(request, RPC__STATE_ASK__IS_ADD);
    const json_t *number = NULL;
    const char *as = "i64";
    uint64_t offset = 0, size = UINT64_MAX;
    const struct gateway_field fields[] = {{"add", GATEWAY_ANY, true, &number},
                                           {"as", GATEWAY_TEXT, false, &as},
                                           {"offset", GATEWAY_NUMBER, false, &offset},
                                           {"size", GATEWAY_NUMBER, false, &size}};
    bool is_good;
    json_t *body;

    if (state == NULL)
        return GATEWAY_ANSWERED;
    body = gateway_body_fields(request, fields, ARRAY_COUNT(fields));
    if (body == NULL)
        return GATEWAY_ANSWERED;
    state->add.offset = offset;
    state->add.size = size != UINT64_MAX ? size : offset == 0 ? sizeof(uint64_t) : 0;
    is_good = read_operand(request, number, as, &state->add);
    json_decref(body);
    state->render = render_sum;
    return is_good ? gateway_state_ask(request) : GATEWAY_ANSWERED;
}
