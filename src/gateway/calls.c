/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that there are and were: durable ones from the planner, synchronous ones while they
 * last and from the ring of recent ends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway_internal.h"

int
gateway_call_find(struct gateway *gateway, const char *tenant, uint64_t id, Ledger__Call **out,
                  struct diag *diag)
{
    int err = planner_get(gateway->config.planner, tenant, id, out, diag);

    return err == -ENOENT ? gateway_recent_find(gateway, tenant, id, out) : err;
}

static enum gateway_next
fail_unknown(struct gateway_request *request)
{
    return gateway_fail(request, MHD_HTTP_NOT_FOUND, "call_unknown",
                        "look at the number; ends of synchronous calls are kept for a short time",
                        "there is no call %.24s", request->part[0]);
}

static bool
read_id(struct gateway_request *request, uint64_t *id)
{
    if (gateway_number_parse(request->part[0], UINT64_MAX, id) && *id != 0)
        return true;
    (void)fail_unknown(request);
    return false;
}

/* ------------------------------------------------------------------------- long poll */

/* Answers with the call as it stands. */
typedef enum gateway_next (*show_fn)(struct gateway_request *request, const Ledger__Call *call);

static enum gateway_next
show(struct gateway_request *request, Ledger__Call *call, int err, const struct diag *diag,
     show_fn answer)
{
    if (err == -ENOENT)
        return fail_unknown(request);
    if (err != 0)
        return gateway_refuse(request, err, "call_unknown", diag);
    (void)answer(request, call);
    ledger__call__free_unpacked(call, NULL);
    return GATEWAY_ANSWERED;
}

static enum gateway_next
wake(struct gateway_request *request)
{
    request->is_woken = true;
    return gateway_defer(request, GATEWAY_POOL, request->route->handle);
}

/* The ticket is there before the look, so that an end between both is not missed. */
static enum gateway_next
look(struct gateway_request *request, show_fn answer)
{
    struct gateway_ticket *ticket = NULL;
    Ledger__Call *call = NULL;
    uint64_t id, wait_ms = 0;
    bool is_open;
    struct diag diag;
    int err;

    if (!read_id(request, &id) ||
        !gateway_query_number(request, "wait_ms", GATEWAY_WAIT_MS_MAX, &wait_ms))
        return GATEWAY_ANSWERED;
    if (wait_ms > 0 && !request->is_woken) {
        ticket = gateway_park(request, id, wait_ms, wake);
        if (ticket == NULL)
            return gateway_refuse(request, -ENOMEM, "", NULL);
    }
    diag_init(&diag);
    err = gateway_call_find(request->gateway, ticket != NULL ? ticket->tenant : request->tenant, id,
                            &call, &diag);
    is_open = err == 0 && call->state == LEDGER__STATE__STATE_OPEN;
    if (ticket != NULL && (is_open || !gateway_ticket_take(ticket))) {
        gateway_ticket_put(ticket);
        if (err == 0)
            ledger__call__free_unpacked(call, NULL);
        return GATEWAY_LATER;
    }
    if (ticket != NULL)
        gateway_ticket_put(ticket);
    return show(request, call, err, &diag, answer);
}

/* ---------------------------------------------------------------------------- one */

static enum gateway_next
show_call(struct gateway_request *request, const Ledger__Call *call)
{
    struct buffer out = {0};

    gateway_call_json(&out, NULL, call);
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}

enum gateway_next
gateway_call_get(struct gateway_request *request)
{
    return look(request, show_call);
}

static enum gateway_next
show_result(struct gateway_request *request, const Ledger__Call *call)
{
    struct gateway_outcome outcome = {0};
    struct buffer out = {0};
    enum gateway_next next;

    if (call->state == LEDGER__STATE__STATE_OPEN || call->result == NULL) {
        gateway_call_json(&out, NULL, call);
        return gateway_answer_json(request, MHD_HTTP_ACCEPTED, &out);
    }
    if (call->result->output.len > 0 && call->result->output.data == NULL)
        return gateway_fail(request, MHD_HTTP_GONE, "result_gone",
                            "call asynchronously for results that are to be asked for later",
                            "the result of this synchronous call was too large to be kept");
    gateway_outcome_set(&outcome, call, false);
    next = gateway_render_result(request, &outcome);
    gateway_outcome_fini(&outcome);
    return next;
}

enum gateway_next
gateway_call_result(struct gateway_request *request)
{
    return look(request, show_result);
}

static enum gateway_next
show_log(struct gateway_request *request, const Ledger__Call *call)
{
    struct buffer out = {0};

    buffer_append(&out, "", 0);
    if (call->result != NULL)
        buffer_append(&out, call->result->log.data, call->result->log.len);
    return gateway_answer_buffer(request, MHD_HTTP_OK, "text/plain; charset=utf-8", &out);
}

enum gateway_next
gateway_call_log(struct gateway_request *request)
{
    return look(request, show_log);
}

enum gateway_next
gateway_call_events(struct gateway_request *request)
{
    struct gateway *gateway = request->gateway;
    Ledger__Call *call = NULL;
    struct diag diag;
    uint64_t id;
    int err;

    if (!read_id(request, &id))
        return GATEWAY_ANSWERED;
    diag_init(&diag);
    err = gateway_call_find(gateway, request->tenant, id, &call, &diag);
    if (err == -ENOENT)
        return fail_unknown(request);
    if (err != 0)
        return gateway_refuse(request, err, "call_unknown", &diag);
    ledger__call__free_unpacked(call, NULL);
    return gateway_stream_answer(request, id, NULL);
}

/* ---------------------------------------------------------------------------- change */

static enum gateway_next
change(struct gateway_request *request,
       int (*act)(struct planner *, const char *, uint64_t, struct diag *), unsigned status)
{
    struct buffer out = {0};
    struct diag diag;
    uint64_t id;
    int err;

    if (!read_id(request, &id))
        return GATEWAY_ANSWERED;
    diag_init(&diag);
    err = act(request->gateway->config.planner, request->tenant, id, &diag);
    if (err == -ENOENT)
        return fail_unknown(request);
    if (err != 0)
        return gateway_refuse(request, err, "call_unknown", &diag);
    gateway_json_open(&out, NULL, '{');
    gateway_json_id(&out, "call", id);
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, status, &out);
}

static int
cancel(struct planner *planner, const char *tenant, uint64_t id, struct diag *diag)
{
    (void)diag;
    return planner_cancel(planner, tenant, id);
}

enum gateway_next
gateway_call_cancel(struct gateway_request *request)
{
    return change(request, cancel, MHD_HTTP_OK);
}

enum gateway_next
gateway_call_retry(struct gateway_request *request)
{
    return change(request, planner_retry, MHD_HTTP_ACCEPTED);
}

enum gateway_next
gateway_call_bury(struct gateway_request *request)
{
    enum gateway_next next = change(request, planner_bury, MHD_HTTP_OK);
    uint64_t id;

    /* It may have come there a moment ago. */
    if (request->status == MHD_HTTP_OK && read_id(request, &id))
        gateway_recent_remove(request->gateway, request->tenant, id);
    return next;
}

/* ----------------------------------------------------------------------------- list */

struct listing {
    const char *function;
    uint64_t after, count, limit;
    Ledger__State state; /* NONE: any */
    bool is_over;        /* there may be more */
    struct entry *entries;
    size_t entry_count, capacity;
    uint64_t seen; /* number of the last that was looked at */
};
struct entry {
    uint64_t id;
    char *text; /* owned */
    size_t count;
};

static bool
fits(const struct listing *listing, const Ledger__Call *call)
{
    return call->id > listing->after &&
           (listing->function == NULL || strcmp(call->function, listing->function) == 0) &&
           (listing->state == LEDGER__STATE__STATE_NONE || call->state == listing->state);
}

static bool
add_entry(struct listing *listing, const Ledger__Call *call)
{
    struct buffer out = {0};

    if (listing->entry_count == listing->capacity)
        return false;
    gateway_call_json(&out, NULL, call);
    if (out.err != 0) {
        buffer_fini(&out);
        return false;
    }
    listing->entries[listing->entry_count++] =
        (struct entry){call->id, (char *)out.bytes, out.count};
    return true;
}

static bool
take_durable(void *context, const Ledger__Call *call)
{
    struct listing *listing = context;

    listing->seen = call->id;
    if (fits(listing, call)) {
        if (!add_entry(listing, call))
            return false;
        listing->count++;
    }
    listing->is_over = listing->count >= listing->limit;
    return !listing->is_over;
}

static bool
take_recent(void *context, const Ledger__Call *call)
{
    struct listing *listing = context;

    if (listing->is_over && call->id > listing->seen)
        return true; /* of the next page */
    for (size_t i = 0; i < listing->count; i++)
        if (listing->entries[i].id == call->id)
            return true;
    if (fits(listing, call))
        (void)add_entry(listing, call);
    return true;
}

static int
compare_entries(const void *one, const void *other)
{
    const struct entry *a = one, *b = other;

    return a->id < b->id ? -1 : a->id > b->id;
}

static bool
read_listing(struct gateway_request *request, struct listing *listing)
{
    const char *state = gateway_query(request, "state");

    *listing =
        (struct listing){.function = gateway_query(request, "function"), .limit = GATEWAY_PAGE};
    if (!gateway_query_number(request, "after", UINT64_MAX, &listing->after) ||
        !gateway_query_number(request, "count", GATEWAY_PAGE_MAX, &listing->limit))
        return false;
    if (listing->limit == 0)
        listing->limit = GATEWAY_PAGE;
    if (state == NULL)
        return true;
    if (strcmp(state, "open") == 0)
        listing->state = LEDGER__STATE__STATE_OPEN;
    else if (strcmp(state, "over") == 0)
        listing->state = LEDGER__STATE__STATE_OVER;
    else if (strcmp(state, "dead") == 0)
        listing->state = LEDGER__STATE__STATE_DEAD;
    else
        (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "query_invalid",
                           "leave it out for all of them", "state must be open, over or dead");
    return listing->state != LEDGER__STATE__STATE_NONE;
}

static enum gateway_next
answer_listing(struct gateway_request *request, struct listing *listing)
{
    size_t count = listing->entry_count;
    struct buffer out = {0};

    if (count > listing->limit)
        count = listing->limit;
    gateway_json_open(&out, NULL, '{');
    gateway_json_open(&out, "calls", '[');
    for (size_t i = 0; i < count; i++) {
        buffer_append(&out, ",", i > 0);
        buffer_append(&out, listing->entries[i].text, listing->entries[i].count);
    }
    gateway_json_close(&out, ']');
    if (count > 0 && (listing->is_over || count < listing->entry_count))
        gateway_json_id(&out, "next", listing->entries[count - 1].id);
    else
        gateway_json_null(&out, "next");
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}

/* Durable ones a page at a time, until so many fit; then the recent ones between them. */
enum gateway_next
gateway_call_list(struct gateway_request *request)
{
    struct planner *planner = request->gateway->config.planner;
    struct listing listing;
    struct diag diag;
    uint64_t after;
    int err = 0;

    if (!read_listing(request, &listing))
        return GATEWAY_ANSWERED;
    listing.capacity = listing.limit + GATEWAY_RECENT_MAX;
    listing.entries = calloc(listing.capacity, sizeof(struct entry));
    if (listing.entries == NULL)
        return gateway_refuse(request, -ENOMEM, "", NULL);
    diag_init(&diag);
    listing.seen = listing.after;
    do {
        after = listing.seen;
        err = planner_list(planner, request->tenant, after, GATEWAY_PAGE_MAX, take_durable,
                           &listing, &diag);
    } while (err == 0 && !listing.is_over && listing.seen != after);
    if (err == 0) {
        gateway_recent_list(request->gateway, request->tenant, take_recent, &listing);
        qsort(listing.entries, listing.entry_count, sizeof(struct entry), compare_entries);
        (void)answer_listing(request, &listing);
    } else {
        (void)gateway_refuse(request, err, "call_unknown", &diag);
    }
    for (size_t i = 0; i < listing.entry_count; i++)
        free(listing.entries[i].text);
    free(listing.entries);
    return GATEWAY_ANSWERED;
}
