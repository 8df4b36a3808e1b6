/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks of the global tier for requests, and what it refuses.
 *
 * The ticket of a parked request is in no sweep before the tier has copied the ask: it has no
 * number until then. Whoever takes it, the tier's answer or the sweep, owns the request.
 */
#include "gateway/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define ASK_MS    60000u /* of what does not wait by itself */
#define MARGIN_MS 5000u  /* the tier's clock is to be the first */

/* --------------------------------------------------------------------------- errors */

struct refusal {
    int err;
    unsigned status;
    const char *code, *hint, *message;
};

static const struct refusal refusals[] = {
    {-EINVAL, MHD_HTTP_BAD_REQUEST, "state_invalid", "change what the message names",
     "something in the request is not valid"},
    {-ENAMETOOLONG, MHD_HTTP_BAD_REQUEST, "key_invalid", "choose a shorter key",
     "a key has at most 255 bytes"},
    {-ENOENT, MHD_HTTP_NOT_FOUND, "state_unknown", "look at GET /v1/state", "there is no such key"},
    {-EMSGSIZE, MHD_HTTP_CONFLICT, "size_differs", "use its size, or put a whole new value",
     "the value has another size"},
    {-ESTALE, MHD_HTTP_CONFLICT, "lock_lost", "take the lock again", "the lock was lost"},
    {-EDQUOT, MHD_HTTP_CONFLICT, "limit_reached",
     "remove some, or have the tenant's storage_bytes raised",
     "the tenant has as much state as it may"},
    {-EISDIR, MHD_HTTP_CONFLICT, "state_is_log",
     "read it by GET /v1/state/KEY/records, add to it by POST /v1/state/KEY/append",
     "this key is a log, not a value"},
    {-ENOTDIR, MHD_HTTP_CONFLICT, "state_is_value",
     "read it by GET /v1/state/KEY, or choose another key", "this key is a value, not a log"},
    {-E2BIG, MHD_HTTP_CONTENT_TOO_LARGE, "too_large",
     "read or send less at a time: Range: bytes=0-1048575, or ?offset=&count=",
     "that is too large for one request"},
    {-EIO, MHD_HTTP_INTERNAL_SERVER_ERROR, "state_uncertain",
     "look whether it has happened before you do it again",
     "the store did not answer: it has happened, or not"},
    {-EAGAIN, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "try again in a moment",
     "too many do the same at this moment"},
    {-ENOMEM, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "try again in a moment",
     "there is no memory for it at this moment"},
    {-ESHUTDOWN, MHD_HTTP_SERVICE_UNAVAILABLE, "not_leading", "try again: another planner leads",
     "this planner does not lead"},
    {-ECANCELED, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "try again in a moment", "it was given up"},
};

enum gateway_next
gateway_state_fail(struct gateway_request *request, const struct gateway_state *state,
                   const Rpc__StateAnswer *answer)
{
    bool has_text = answer->message != NULL && answer->message[0] != '\0';

    if ((state->has_condition && answer->err == -EAGAIN) ||
        (state->must_exist && answer->err == -ENOENT)) {
        (void)gateway_fail(request, MHD_HTTP_PRECONDITION_FAILED, "version_differs",
                           "read it again: its ETag is what If-Match wants",
                           "it has version %llu (0: there is none)",
                           (unsigned long long)answer->version);
        gateway_add_number(request->response, "Weft-Version", answer->version);
        return GATEWAY_ANSWERED;
    }
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++)
        if (refusals[i].err == answer->err)
            return gateway_fail(request, refusals[i].status, refusals[i].code, refusals[i].hint,
                                "%s", has_text ? answer->message : refusals[i].message);
    return gateway_refuse(request, answer->err, "state_unknown", NULL);
}

static enum gateway_next
fail_late(struct gateway_request *request)
{
    if (gateway_is_ending(request->gateway))
        return gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending", "try again",
                            "this gateway ends: a change may have happened, or not");
    return gateway_fail(request, MHD_HTTP_GATEWAY_TIMEOUT, "state_uncertain",
                        "look whether it has happened before you do it again",
                        "the tier of state did not answer in time");
}

/* --------------------------------------------------------------------------- begin */

/* Which arm of the ask it is; all begin at the same place. */
static void
init_ask(struct gateway_state *state, Rpc__StateAsk__IsCase is)
{
    rpc__state_ask__init(&state->ask);
    state->ask.is_case = is;
    switch (is) {
    case RPC__STATE_ASK__IS_STAT:
        rpc__state_stat__init(&state->stat);
        break;
    case RPC__STATE_ASK__IS_PUSH:
        rpc__state_push__init(&state->push);
        break;
    case RPC__STATE_ASK__IS_ADD:
        rpc__state_add__init(&state->add);
        break;
    case RPC__STATE_ASK__IS_APPEND:
        rpc__state_append__init(&state->append);
        break;
    case RPC__STATE_ASK__IS_READ:
        rpc__state_read__init(&state->read);
        break;
    case RPC__STATE_ASK__IS_REMOVE:
        rpc__state_remove__init(&state->remove);
        break;
    case RPC__STATE_ASK__IS_LIST:
        rpc__state_list__init(&state->list);
        break;
    case RPC__STATE_ASK__IS_WATCH:
        rpc__state_watch__init(&state->watch);
        break;
    case RPC__STATE_ASK__IS_EXPIRE:
        rpc__state_expire__init(&state->expire);
        break;
    default:
        ASSERT(is == RPC__STATE_ASK__IS_PULL);
        rpc__state_pull__init(&state->pull);
        break;
    }
    state->ask.pull = &state->pull;
}

void
gateway_state_open(struct buffer *out, const struct gateway_state *state)
{
    gateway_json_open(out, NULL, '{');
    gateway_json_text(out, "key", state->key);
}

enum gateway_next
gateway_state_close(struct gateway_request *request, struct buffer *out)
{
    gateway_json_close(out, '}');
    return gateway_answer_json(request, MHD_HTTP_OK, out);
}

struct gateway_state *
gateway_state_begin(struct gateway_request *request, Rpc__StateAsk__IsCase is)
{
    struct gateway_state *state;

    if (request->gateway->config.tier == NULL) {
        (void)gateway_fail(request, MHD_HTTP_NOT_FOUND, "state_unavailable",
                           "ask whoever runs this cluster", "this cluster keeps no state");
        return NULL;
    }
    if (request->tenant[0] == '\0') {
        (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "tenant_needed",
                           "name one by the header Weft-Tenant or by ?tenant=",
                           "state is a tenant's, not the cluster's");
        return NULL;
    }
    state = calloc(1, sizeof(*state));
    if (state == NULL) {
        (void)gateway_refuse(request, -ENOMEM, "", NULL);
        return NULL;
    }
    request->state = state;
    request->state_free = free;
    init_ask(state, is);
    if (request->part[0] != NULL) { /* as it came: serve.c */
        (void)snprintf(state->key, sizeof(state->key), "%s", request->part[0]);
        (void)gateway_unescape(state->key);
    }
    state->ask.key = state->key;
    state->wait_ms = ASK_MS;
    return state;
}

/* --------------------------------------------------------------------------- asking */

static void
on_answer(void *context, const Rpc__StateAnswer *answer)
{
    struct gateway_ticket *ticket = context;

    if (gateway_ticket_take(ticket)) {
        struct gateway_request *request = ticket->request;
        const struct gateway_state *state = request->state;
        gateway_state_render render = answer->err == 0      ? state->render
                                      : state->fail != NULL ? state->fail
                                                            : gateway_state_fail;

        (void)render(request, state, answer);
        gateway_resume(request);
    }
    gateway_ticket_put(ticket);
}

/* The client has gone, or its time is over: a watch need not wait any longer. */
static void
stop_watching(struct gateway_ticket *ticket)
{
    tier_ask_cancel(ticket->gateway->config.tier, ticket);
}

enum gateway_next
gateway_state_ask(struct gateway_request *request)
{
    struct gateway_state *state = request->state;
    struct tier *tier = request->gateway->config.tier;
    struct gateway_ticket *ticket =
        gateway_park_other(request, state->wait_ms + MARGIN_MS, fail_late);
    int err;

    if (ticket == NULL)
        return gateway_refuse(request, -ENOMEM, "", NULL);
    ticket->cancel = stop_watching;
    (void)atomic_fetch_add_explicit(&ticket->references, 1, memory_order_relaxed);
    err = tier_ask(tier, request->tenant, &state->ask, on_answer, ticket);
    if (err == 0) { /* from now on the request is another's */
        gateway_park_begin(ticket);
        gateway_ticket_put(ticket);
        return GATEWAY_LATER;
    }
    if (!gateway_ticket_take(ticket))
        ASSERT(false); /* without a number it is in no sweep */
    gateway_ticket_put(ticket);
    gateway_ticket_put(ticket);
    return gateway_refuse(request, err, "state_unknown", NULL);
}

/* ------------------------------------------------------------------------- versions */

void
gateway_state_version(struct gateway_request *request, uint64_t version)
{
    char tag[32];

    (void)snprintf(tag, sizeof(tag), "\"%llu\"", (unsigned long long)version);
    gateway_add_header(request->response, MHD_HTTP_HEADER_ETAG, tag);
    gateway_add_number(request->response, "Weft-Version", version);
}

bool
gateway_state_tag(const char *text, uint64_t *version)
{
    char digits[24];
    size_t count = strlen(text);

    if (count >= 2 && text[0] == '"' && text[count - 1] == '"') {
        text++;
        count -= 2;
    }
    if (count >= sizeof(digits))
        return false;
    (void)memcpy(digits, text, count);
    digits[count] = '\0';
    return gateway_number_parse(digits, UINT64_MAX, version);
}

bool
gateway_state_condition(struct gateway_request *request, struct gateway_condition *out)
{
    const char *match = gateway_header(request, MHD_HTTP_HEADER_IF_MATCH);
    const char *none = gateway_header(request, MHD_HTTP_HEADER_IF_NONE_MATCH);

    *out = (struct gateway_condition){.is_there = none != NULL};
    if (match == NULL && none == NULL)
        return true;
    if (match != NULL && none == NULL) {
        out->must_exist = true;
        if (strcmp(match, "*") == 0)
            return true;
        out->is_there = gateway_state_tag(match, &out->version);
        if (out->is_there)
            return true;
    } else if (match == NULL && strcmp(none, "*") == 0) {
        return true;
    }
    (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "condition_invalid",
                       "send one of If-Match: \"VERSION\", If-Match: * and If-None-Match: *",
                       "the condition is none, or there are two");
    return false;
}
