/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls from requests: synchronous ones, asynchronous ones, many at once.
 *
 *   connection: park, planner_call -> ... planner: on_end copies the result -> resume
 *   connection: render
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "gateway/gateway_internal.h"

#define MS_NS          UINT64_C(1000000)
#define ARGS_MAX       CATALOG_ARGS_MAX
#define ARGS_BYTES_MAX 65536u
#define KEY_BYTES_MAX  200u
#define TRACE_MAX      256u
#define PATIENCE_MS    10000u /* beside its limit: to wait for its turn, and to be told of it */
#define PRIORITY_MAX   9u

/* ---------------------------------------------------------------------- making calls */

static char *
text_of(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

/* 0 to 99; for aliases with two versions. */
static unsigned
throw_dice(void)
{
    static _Thread_local uint64_t state;

    if (state == 0 && getrandom(&state, sizeof(state), 0) != (ssize_t)sizeof(state))
        state = clock_now_ns();
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((state >> 33) % 100);
}

static void
fill_request(Ledger__Request *request, const struct catalog_version *version,
             const struct gateway_wish *wish)
{
    ledger__request__init(request);
    request->entry = text_of(wish->entry);
    request->n_args = wish->arg_count;
    request->args = (char **)(uintptr_t)wish->args;
    request->input.data = (uint8_t *)(uintptr_t)wish->input;
    request->input.len = wish->input_count;
    request->wall_ns = version->limits.wall_ns;
    request->members = version->ranks > 0 ? version->ranks : 1;
    request->hosts_max = 1; /* a group is in one cell */
    request->memory_each = version->limits.memory_bytes;
    request->attempts = version->retry.attempts;
    request->pause_ns = version->retry.pause_ns;
    request->only_if_lost = version->retry.only_if_lost;
    request->trace = text_of(wish->trace);
}

int
gateway_call_make(struct gateway *gateway, const char *tenant, const char *token,
                  const struct gateway_wish *wish, struct gateway_call *out, struct diag *diag)
{
    const struct catalog_version *version;
    struct gateway_space *space;
    int err = catalog_resolve(gateway->config.catalog, tenant, wish->reference, throw_dice(),
                              &out->callable, diag);

    if (err != 0)
        return err;
    version = catalog_callable_version(out->callable);
    fill_request(&out->request, version, wish);
    space = gateway_space_get(gateway, version->tenant);
    out->request.priority = wish->priority;
    if (!wish->has_priority && space != NULL)
        out->request.priority = atomic_load_explicit(&space->priority, memory_order_relaxed);
    /* A guest of another tenant is shown with its own. */
    if (strcmp(version->tenant, tenant) == 0)
        (void)snprintf(out->token, sizeof(out->token), "%s", token);
    else
        (void)snprintf(out->token, sizeof(out->token), "%s/%s", tenant, token);
    ledger__call__init(&out->call);
    out->call.tenant = text_of(version->tenant);
    out->call.function = text_of(version->function);
    out->call.version = version->version;
    out->call.request = &out->request;
    out->call.key = text_of(wish->key);
    out->call.token = out->token;
    return 0;
}

void
gateway_call_fini(struct gateway_call *call)
{
    catalog_callable_put(call->callable);
}

/* --------------------------------------------------------------------- synchronous */

struct pending { /* what the planner keeps; the request's state as well */
    struct gateway_ticket *ticket;
    gateway_render render;
    bool is_foreign;
    struct gateway_outcome outcome;
};

static void
pending_free(void *object)
{
    struct pending *pending = object;

    gateway_outcome_fini(&pending->outcome);
    free(pending);
}

static enum gateway_next
render_pending(struct gateway_request *request)
{
    struct pending *pending = request->state;

    return pending->render(request, &pending->outcome);
}

/* planner_end_fn: the ticket is what is surely there; the request, where it is won. */
static void
on_end(void *context, const Ledger__Call *call)
{
    struct gateway_ticket *ticket = context;
    struct gateway_request *request = ticket->request;

    if (gateway_ticket_take(ticket)) {
        struct pending *pending = request->state;

        /* Who is answered may ask for it at once. */
        gateway_recent_add_early(request->gateway, call);
        gateway_outcome_set(&pending->outcome, call, pending->is_foreign);
        request->then = render_pending;
        if (pending->outcome.count <= GATEWAY_LARGE_BYTES ||
            gateway_defer(request, GATEWAY_POOL, render_pending) == GATEWAY_ANSWERED)
            gateway_resume(request);
    }
    gateway_ticket_put(ticket);
}

static enum gateway_next
fail_late(struct gateway_request *request)
{
    if (gateway_is_ending(request->gateway))
        return gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending", "try again",
                            "this gateway ends");
    return gateway_fail(request, MHD_HTTP_GATEWAY_TIMEOUT, "wait_over",
                        "wait longer (wait_ms), or call with async=1 and ask for the result",
                        "the call did not end in time, and was cancelled");
}

static enum gateway_next
fail_call(struct gateway_request *request, int err)
{
    if (err == -EAGAIN)
        return gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "queue_full",
                            "try again in a moment, or have the tenant's queue_max raised",
                            "too many calls of the tenant wait already");
    return gateway_refuse(request, err, "function_unknown", NULL);
}

static uint64_t
realtime_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static uint64_t
wait_of(const struct gateway_wish *wish, const struct catalog_version *version)
{
    uint64_t wait_ms = wish->wait_ms;

    if (wait_ms == 0 && version->limits.wall_ns > 0)
        wait_ms = version->limits.wall_ns / MS_NS + PATIENCE_MS;
    if (wait_ms == 0)
        wait_ms = GATEWAY_WAIT_MS;
    return wait_ms < GATEWAY_WAIT_MS_MAX ? wait_ms : GATEWAY_WAIT_MS_MAX;
}

/* The call is the planner's, or the ticket is taken back and the answer says why not. */
static enum gateway_next
submit(struct gateway_request *request, struct gateway_call *call, uint64_t wait_ms)
{
    struct planner *planner = request->gateway->config.planner;
    struct gateway_ticket *ticket = gateway_park(request, 0, wait_ms, fail_late);
    uint64_t id = 0;
    int err;

    if (ticket == NULL)
        return gateway_refuse(request, -ENOMEM, "", NULL);
    (void)snprintf(ticket->tenant, sizeof(ticket->tenant), "%s", call->call.tenant);
    atomic_fetch_add_explicit(&ticket->references, 1, memory_order_relaxed);
    call->request.start_by_ns = realtime_ns() + wait_ms * MS_NS;
    err = planner_call(planner, &call->call, on_end, ticket, &id);
    if (err == 0) { /* from the number on the request may be another's */
        atomic_store_explicit(&ticket->id, id, memory_order_release);
    } else if (gateway_ticket_take(ticket)) {
        gateway_ticket_put(ticket);
        (void)fail_call(request, err);
        gateway_resume(request);
    }
    gateway_ticket_put(ticket);
    return GATEWAY_LATER;
}

enum gateway_next
gateway_invoke(struct gateway_request *request, const struct gateway_wish *wish,
               gateway_render render)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    const struct catalog_version *version;
    struct gateway_call call;
    enum gateway_next next;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = pending == NULL ? -ENOMEM
                          : gateway_call_make(request->gateway, request->tenant, request->who.token,
                                              wish, &call, &diag);
    if (err != 0) {
        free(pending);
        return gateway_refuse(request, err, "function_unknown", &diag);
    }
    version = catalog_callable_version(call.callable);
    pending->render = render;
    pending->is_foreign = strcmp(version->tenant, request->tenant) != 0;
    if (request->state != NULL)
        request->state_free(request->state);
    request->state = pending;
    request->state_free = pending_free;
    next = submit(request, &call, wait_of(wish, version));
    gateway_call_fini(&call);
    return next;
}

/* -------------------------------------------------------------------- asynchronous */

static enum gateway_next
answer_accepted(struct gateway_request *request, int err, uint64_t id)
{
    struct buffer out = {0};

    if (err != 0 && err != -EEXIST)
        return fail_call(request, err);
    gateway_json_open(&out, NULL, '{');
    gateway_json_id(&out, "call", id);
    if (err == -EEXIST)
        gateway_json_bool(&out, "existing", true);
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, err == 0 ? MHD_HTTP_ACCEPTED : MHD_HTTP_OK, &out);
}

static void
on_accepted(void *context, int err, uint64_t id)
{
    struct gateway_request *request = context;

    (void)answer_accepted(request, err, id);
    gateway_resume(request);
}

/* What is run for another tenant cannot be asked for afterwards: it is that one's call. */
static enum gateway_next
fail_foreign(struct gateway_request *request)
{
    return gateway_fail(request, MHD_HTTP_BAD_REQUEST, "sync_only", "call it without async=1",
                        "functions of other tenants are called synchronously");
}

static enum gateway_next
invoke_async(struct gateway_request *request, const struct gateway_wish *wish)
{
    struct gateway_call call;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = gateway_call_make(request->gateway, request->tenant, request->who.token, wish, &call,
                            &diag);
    if (err != 0)
        return gateway_refuse(request, err, "function_unknown", &diag);
    if (strcmp(call.call.tenant, request->tenant) != 0) {
        gateway_call_fini(&call);
        return fail_foreign(request);
    }
    gateway_suspend(request);
    err = planner_call_async(request->gateway->config.planner, &call.call, on_accepted, NULL,
                             request);
    if (err != 0)
        on_accepted(request, err, 0);
    gateway_call_fini(&call);
    return GATEWAY_LATER;
}

/* --------------------------------------------------------------------------- a wish */

struct args {
    const char *args[ARGS_MAX];
    size_t count, bytes;
};

static enum MHD_Result
take_arg(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct args *args = context;

    (void)kind;
    if (strcmp(name, "arg") != 0)
        return MHD_YES;
    args->bytes += value != NULL ? strlen(value) : 0;
    if (args->count < ARGS_MAX)
        args->args[args->count] = value != NULL ? value : "";
    args->count++;
    return MHD_YES;
}

static bool
fail_wish(struct gateway_request *request, const char *what)
{
    (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "query_invalid", "see /openapi.json", "%s",
                       what);
    return false;
}

static bool
is_text(const char *text, size_t max)
{
    return text == NULL || (strlen(text) <= max && utf8_is_valid(text, strlen(text)));
}

static bool
check_wish(struct gateway_request *request, const struct gateway_wish *wish,
           const struct args *args)
{
    if (args->count > ARGS_MAX || args->bytes > ARGS_BYTES_MAX)
        return fail_wish(request, "there may be 256 args of 64 KiB together");
    for (size_t i = 0; i < args->count; i++)
        if (!is_text(args->args[i], ARGS_BYTES_MAX))
            return fail_wish(request, "an arg is not UTF-8");
    if (!is_text(wish->entry, 255))
        return fail_wish(request, "entry must be the name of an exported function");
    if (!is_text(wish->key, KEY_BYTES_MAX))
        return fail_wish(request, "Idempotency-Key must be UTF-8 of at most 200 bytes");
    if (!is_text(wish->trace, TRACE_MAX))
        return fail_wish(request, "traceparent must have at most 256 bytes");
    return true;
}

static bool
is_one(const char *text)
{
    return text != NULL && strcmp(text, "1") == 0;
}

static bool
read_wish(struct gateway_request *request, struct gateway_wish *wish, struct args *args,
          bool *is_async)
{
    const char *prefer = gateway_header(request, "Prefer");
    uint64_t priority = 0;

    *wish = (struct gateway_wish){.reference = request->part[0],
                                  .entry = gateway_query(request, "entry"),
                                  .key = gateway_header(request, "Idempotency-Key"),
                                  .trace = gateway_header(request, "traceparent"),
                                  .input = request->body.bytes,
                                  .input_count = request->body.count,
                                  .has_priority = gateway_query(request, "priority") != NULL};
    *is_async = is_one(gateway_query(request, "async")) ||
                (prefer != NULL && strstr(prefer, "respond-async") != NULL);
    if (!*is_async)
        wish->key = NULL;
    if (!gateway_query_number(request, "wait_ms", GATEWAY_WAIT_MS_MAX, &wish->wait_ms) ||
        !gateway_query_number(request, "priority", PRIORITY_MAX, &priority))
        return false;
    wish->priority = (uint32_t)priority;
    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, take_arg, args);
    wish->args = args->args;
    wish->arg_count = args->count;
    return check_wish(request, wish, args);
}

enum gateway_next
gateway_invoke_post(struct gateway_request *request)
{
    struct gateway_wish wish;
    struct args args;
    bool is_async;

    args.count = args.bytes = 0;
    if (!read_wish(request, &wish, &args, &is_async))
        return GATEWAY_ANSWERED;
    return is_async ? invoke_async(request, &wish)
                    : gateway_invoke(request, &wish, gateway_render_result);
}
