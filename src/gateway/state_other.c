/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys, logs and watches of state.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "gateway/state.h"

/* ------------------------------------------------------------------------------- keys */

static void
put_item(struct buffer *out, const Rpc__StateItem *item)
{
    gateway_json_open(out, NULL, '{');
    gateway_json_text(out, "key", item->key);
    gateway_json_text(out, "kind", item->is_log ? "log" : "value");
    gateway_json_number(out, "bytes", item->size);
    gateway_json_number(out, "version", item->version);
    if (item->lives_ns > 0)
        gateway_json_decimal(out, "lives_s", (double)item->lives_ns / CLOCK_NS_PER_SECOND);
    else
        gateway_json_null(out, "lives_s");
    gateway_json_close(out, '}');
}

static enum gateway_next
render_keys(struct gateway_request *request, const struct gateway_state *state,
            const Rpc__StateAnswer *answer)
{
    struct buffer out = {0};

    gateway_json_open(&out, NULL, '{');
    gateway_json_open(&out, "state", '[');
    for (size_t i = 0; i < answer->n_items; i++)
        put_item(&out, answer->items[i]);
    gateway_json_close(&out, ']');
    if (answer->n_items > 0 && answer->n_items == state->list.count_max)
        gateway_json_text(&out, "next", answer->items[answer->n_items - 1]->key);
    else
        gateway_json_null(&out, "next");
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}

enum gateway_next
gateway_state_keys(struct gateway_request *request)
{
    struct gateway_state *state = gateway_state_begin(request, RPC__STATE_ASK__IS_LIST);
    const char *prefix = gateway_query(request, "prefix"), *after = gateway_query(request, "after");
    uint64_t limit = GATEWAY_PAGE;

    if (state == NULL || !gateway_query_number(request, "limit", GATEWAY_PAGE_MAX, &limit))
        return GATEWAY_ANSWERED;
    /* Texts of the connection, which lives as long as the request. */
    if (prefix != NULL)
        state->ask.key = (char *)(uintptr_t)prefix;
    if (after != NULL)
        state->list.after = (char *)(uintptr_t)after;
    state->list.count_max = limit > 0 ? (uint32_t)limit : GATEWAY_PAGE;
    state->render = render_keys;
    return gateway_state_ask(request);
}

/* ------------------------------------------------------------------------------- logs */

static enum gateway_next
render_index(struct gateway_request *request, const struct gateway_state *state,
             const Rpc__StateAnswer *answer)
{
    struct buffer out = {0};

    gateway_state_open(&out, state);
    gateway_json_number(&out, "index", answer->result);
    return gateway_state_close(request, &out);
}

enum gateway_next
gateway_state_append(struct gateway_request *request)
{
    struct gateway_state *state = gateway_state_begin(request, RPC__STATE_ASK__IS_APPEND);

    if (state == NULL)
        return GATEWAY_ANSWERED;
    state->append.bytes = (ProtobufCBinaryData){request->body.count, request->body.bytes};
    state->render = render_index;
    return gateway_state_ask(request);
}

static enum gateway_next
render_one(struct gateway_request *request, const struct gateway_state *state,
           const Rpc__StateAnswer *answer)
{
    struct buffer out = {0};

    if (answer->n_counts == 0 || answer->result != state->read.index)
        return gateway_fail(
            request, MHD_HTTP_NOT_FOUND, "record_unknown", "look at GET /v1/state/KEY/records",
            "the log has no record %llu: it has had %llu, of which the first may "
            "have been forgotten",
            (unsigned long long)state->read.index, (unsigned long long)answer->version);
    buffer_append(&out, answer->bytes.data, answer->bytes.len);
    (void)gateway_answer_buffer(request, MHD_HTTP_OK, "application/octet-stream", &out);
    gateway_add_number(request->response, "Weft-Index", answer->result);
    gateway_add_header(request->response, "X-Content-Type-Options", "nosniff");
    return GATEWAY_ANSWERED;
}

static enum gateway_next
render_records(struct gateway_request *request, const struct gateway_state *state,
               const Rpc__StateAnswer *answer)
{
    const uint8_t *bytes = answer->bytes.data;
    struct buffer out = {0};

    gateway_state_open(&out, state);
    gateway_json_number(&out, "count", answer->version);
    gateway_json_open(&out, "records", '[');
    for (size_t i = 0; i < answer->n_counts; i++) {
        gateway_json_open(&out, NULL, '{');
        gateway_json_number(&out, "index", answer->result + i);
        gateway_json_base64(&out, "base64", bytes, answer->counts[i]);
        gateway_json_close(&out, '}');
        bytes += answer->counts[i];
    }
    gateway_json_close(&out, ']');
    gateway_json_number(&out, "next", answer->result + answer->n_counts);
    return gateway_state_close(request, &out);
}

enum gateway_next
gateway_state_records(struct gateway_request *request)
{
    struct gateway_state *state = gateway_state_begin(request, RPC__STATE_ASK__IS_READ);
    const char *raw = gateway_query(request, "raw");
    uint64_t limit = GATEWAY_PAGE;

    if (state == NULL || !gateway_query_number(request, "limit", GATEWAY_PAGE_MAX, &limit) ||
        !gateway_query_number(request, "from", UINT64_MAX - 1, &state->read.index))
        return GATEWAY_ANSWERED;
    state->is_raw = raw != NULL && strcmp(raw, "1") == 0;
    state->read.count_max = limit == 0 ? GATEWAY_PAGE : (uint32_t)limit;
    if (state->is_raw)
        state->read.count_max = 1;
    state->read.bytes_max = TIER_RECORD_BYTES_MAX;
    state->render = state->is_raw ? render_one : render_records;
    return gateway_state_ask(request);
}

/* --------------------------------------------------------------------------- lifetimes */

static enum gateway_next
render_lives(struct gateway_request *request, const struct gateway_state *state,
             const Rpc__StateAnswer *answer)
{
    uint64_t lives_s = (answer->lives_ns + CLOCK_NS_PER_SECOND - 1) / CLOCK_NS_PER_SECOND;
    struct buffer out = {0};

    gateway_state_open(&out, state);
    if (answer->lives_ns > 0)
        gateway_json_number(&out, "lives_s", lives_s);
    else
        gateway_json_null(&out, "lives_s");
    gateway_json_number(&out, "version", answer->version);
    return gateway_state_close(request, &out);
}

enum gateway_next
gateway_state_expire(struct gateway_request *request)
{
    struct gateway_state *state = gateway_state_begin(request, RPC__STATE_ASK__IS_EXPIRE);
    uint64_t lives_s = 0;
    const struct gateway_field fields[] = {{"lives_s", GATEWAY_NUMBER, true, &lives_s}};
    json_t *body;

    if (state == NULL)
        return GATEWAY_ANSWERED;
    body = gateway_body_fields(request, fields, ARRAY_COUNT(fields));
    if (body == NULL)
        return GATEWAY_ANSWERED;
    json_decref(body);
    if (lives_s > GATEWAY_STATE_LIVES_S_MAX)
        return gateway_fail(request, MHD_HTTP_BAD_REQUEST, "field_invalid",
                            "send {\"lives_s\":60}; 0: it is not removed by itself",
                            "lives_s is at most %llu",
                            (unsigned long long)GATEWAY_STATE_LIVES_S_MAX);
    state->expire.lives_ns = lives_s * CLOCK_NS_PER_SECOND;
    state->render = render_lives;
    return gateway_state_ask(request);
}

/* ------------------------------------------------------------------------------ watch */

static enum gateway_next
answer_watch(struct gateway_request *request, const struct gateway_state *state, uint64_t version,
             const char *what)
{
    struct buffer out = {0};

    gateway_state_open(&out, state);
    gateway_json_text(&out, "what", what);
    gateway_json_number(&out, "version", version);
    return gateway_state_close(request, &out);
}

static enum gateway_next
render_change(struct gateway_request *request, const struct gateway_state *state,
              const Rpc__StateAnswer *answer)
{
    return answer_watch(request, state, answer->version, "changed");
}

static enum gateway_next
fail_watch(struct gateway_request *request, const struct gateway_state *state,
           const Rpc__StateAnswer *answer)
{
    if (answer->err == -ENOENT)
        return answer_watch(request, state, 0, "gone");
    if (answer->err == -ETIMEDOUT || answer->err == -EAGAIN)
        return answer_watch(request, state, answer->version, "same");
    return gateway_state_fail(request, state, answer);
}

enum gateway_next
gateway_state_watch(struct gateway_request *request)
{
    struct gateway_state *state = gateway_state_begin(request, RPC__STATE_ASK__IS_WATCH);

    if (state == NULL)
        return GATEWAY_ANSWERED;
    state->wait_ms = GATEWAY_STATE_WAIT_MS;
    if (!gateway_query_number(request, "version", UINT64_MAX, &state->watch.version) ||
        !gateway_query_number(request, "wait_ms", GATEWAY_STATE_WAIT_MS_MAX, &state->wait_ms))
        return GATEWAY_ANSWERED;
    state->watch.wait_ns = state->wait_ms * (CLOCK_NS_PER_SECOND / 1000);
    state->render = render_change;
    state->fail = fail_watch;
    return gateway_state_ask(request);
}
