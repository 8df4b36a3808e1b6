/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls: from who asks to the core, and from the core back to who asks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "planner/planner_internal.h"

static uint64_t
realtime_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* ---------------------------------------------------------------------------- table */

struct call *
planner_find(const struct planner *planner, uint64_t id)
{
    struct call *call = planner->calls[id % PLANNER_BUCKETS];

    while (call != NULL && call->id != id)
        call = call->chain;
    return call;
}

static void
enter(struct planner *planner, struct call *call)
{
    struct call **at = &planner->calls[call->id % PLANNER_BUCKETS];

    call->chain = *at;
    *at = call;
    planner->call_count++;
}

static void
leave(struct planner *planner, struct call *call)
{
    struct call **at = &planner->calls[call->id % PLANNER_BUCKETS];

    while (*at != call)
        at = &(*at)->chain;
    *at = call->chain;
    planner->call_count--;
}

void
planner_call_free(struct call *call)
{
    if (call->record != NULL)
        ledger__call__free_unpacked(call->record, NULL);
    free(call);
}

/* A message of its own, by the way of its bytes. */
Ledger__Call *
planner_copy(const Ledger__Call *from)
{
    size_t count = ledger__call__get_packed_size(from);
    uint8_t *bytes = fault_point("planner.copy") == 0 ? malloc(count + 1) : NULL;
    Ledger__Call *copy = NULL;

    if (bytes != NULL)
        copy = ledger__call__unpack(NULL, ledger__call__pack(from, bytes), bytes);
    free(bytes);
    return copy;
}

static Ledger__Result *
copy_result(const Ledger__Result *from)
{
    size_t count = ledger__result__get_packed_size(from);
    uint8_t *bytes = fault_point("planner.copy") == 0 ? malloc(count + 1) : NULL;
    Ledger__Result *copy = NULL;

    if (bytes != NULL)
        copy = ledger__result__unpack(NULL, ledger__result__pack(from, bytes), bytes);
    free(bytes);
    return copy;
}

static void
set_result(struct call *call, Ledger__Result *result)
{
    if (call->record->result != NULL)
        ledger__result__free_unpacked(call->record->result, NULL);
    call->record->result = result;
}

/* A result that no host gave; one without memory for its text has none. */
static void
set_end(struct call *call, Ledger__Kind kind, const char *message)
{
    Ledger__Result result = LEDGER__RESULT__INIT;

    result.kind = kind;
    result.message = (char *)(uintptr_t)message;
    set_result(call, copy_result(&result));
}

/* ------------------------------------------------------------------------- its end */

static void
tell_end(struct call *call, bool is_final)
{
    const struct planner_config *config = &call->planner->config;

    if (call->on_end != NULL)
        call->on_end(call->context, call->record);
    if (is_final && config->on_over != NULL)
        config->on_over(config->context, call->record);
    planner_call_free(call);
}

/* ledger_done_fn: its end is in the store, or it is not ours any more. Where the store
 * refused, it is tried again as long as this planner is: until then the call is open. */
static void
end_written(void *context, int err, uint64_t existing)
{
    struct call *call = context;
    struct planner *planner = call->planner;
    bool is_again;

    (void)existing;
    if (err == -ESTALE)
        planner_lose(planner);
    /* What may have been written was, if it is not open any more. */
    if (err == -ENOENT && call->is_end_unknown)
        err = 0;
    (void)pthread_mutex_lock(&planner->lock);
    is_again = err != 0 && err != -ESTALE && err != -ENOENT;
    if (is_again) {
        call->is_end_unknown = true;
        call->next = planner->unwritten;
        planner->unwritten = call;
    } else {
        leave(planner, call);
    }
    (void)pthread_mutex_unlock(&planner->lock);
    if (err == -ESTALE)
        planner_call_free(call);
    else if (!is_again)
        tell_end(call, err == 0);
}

static bool
is_failure(const Ledger__Result *result)
{
    return result->kind != LEDGER__KIND__KIND_DONE &&
           !(result->kind == LEDGER__KIND__KIND_EXIT && result->exit_code == 0);
}

/* Failed in all its attempts, of which there were to be several. */
static bool
is_dead_letter(const struct call *call)
{
    const Ledger__Call *record = call->record;

    return record->request != NULL && record->request->attempts > 0 && is_failure(record->result) &&
           record->result->kind != LEDGER__KIND__KIND_CANCELLED;
}

static void
write_end(struct call *call)
{
    struct planner *planner = call->planner;
    int err = ledger_end(planner->ledger, call->record, is_dead_letter(call),
                         realtime_ns() / CLOCK_NS_PER_SECOND, end_written, call);

    if (err != 0)
        end_written(call, err, 0);
}

void
planner_write_again(struct planner *planner)
{
    struct call *call, *next;

    (void)pthread_mutex_lock(&planner->lock);
    call = planner->unwritten;
    planner->unwritten = NULL;
    (void)pthread_mutex_unlock(&planner->lock);
    for (; call != NULL; call = next) {
        next = call->next;
        write_end(call);
    }
}

void
planner_unlock(struct planner *planner)
{
    struct call *call = planner->over, *next;

    planner->over = NULL;
    planner->over_end = &planner->over;
    (void)pthread_mutex_unlock(&planner->lock);
    for (; call != NULL; call = next) {
        next = call->next;
        if (call->is_async)
            write_end(call);
        else
            tell_end(call, true);
    }
}

static void
finish(struct planner *planner, struct call *call, enum core_end end)
{
    static const struct {
        Ledger__Kind kind;
        const char *message;
    } ends[] = {
        [CORE_CANCELLED] = {LEDGER__KIND__KIND_CANCELLED, "cancelled"},
        [CORE_LATE] = {LEDGER__KIND__KIND_LATE, "no host had room before its deadline"},
        [CORE_LOST] = {LEDGER__KIND__KIND_LOST, "its host died"},
        [CORE_MISFIT] = {LEDGER__KIND__KIND_MISFIT,
                         "no host, or set of hosts, has as much room as it needs"},
    };

    if (end == CORE_ENDED && call->record->result == NULL)
        set_end(call, LEDGER__KIND__KIND_FAILED, "no memory for what it came to");
    else if (end != CORE_ENDED && (end != CORE_LOST || call->record->result == NULL))
        set_end(call, ends[end].kind, ends[end].message);
    call->core = NULL;
    if (call->record->result != NULL) {
        call->record->result->ended_ns = realtime_ns();
        call->record->result->attempts = call->attempt;
        call->record->result->queue_ns = call->queue_ns;
    }
    call->record->state = LEDGER__STATE__STATE_OVER;
    if (!call->is_async)
        leave(planner, call);
    call->next = NULL;
    *planner->over_end = call;
    planner->over_end = &call->next;
    planner->usage.ended++;
    planner->usage.lost += end == CORE_LOST;
}

/* -------------------------------------------------------------------------- actions */

static void
start(struct planner *planner, struct call *call, const struct planner_host *host,
      const struct planner_run *run)
{
    if (call->attempt != run->attempt) { /* what earlier attempts came to is forgotten */
        set_result(call, NULL);
        planner->usage.retried += run->attempt > 1;
        planner->usage.started++;
        call->attempt = run->attempt;
        if (call->queue_ns == 0)
            call->queue_ns = clock_now_ns() - call->begin_ns;
        if (call->is_async && run->attempt > 1)
            (void)!ledger_attempt(planner->ledger, call->record, run->attempt, NULL, NULL);
    }
    host->ops.start(host->context, run, call->record);
}

void
planner_act(void *object, const struct core_action *action)
{
    struct planner *planner = object;
    struct planner_host *host = action->host != NULL ? core_host_owner(action->host) : NULL;
    struct call *call = action->call != NULL ? core_call_owner(action->call) : NULL;
    struct planner_run run;

    if (action->kind == CORE_GONE) {
        host->core = NULL;
        return;
    }
    run = (struct planner_run){call->id, action->attempt, action->first_member, action->members};
    if (action->kind == CORE_START)
        start(planner, call, host, &run);
    else if (action->kind == CORE_STOP)
        host->ops.stop(host->context, &run);
    else
        finish(planner, call, action->end);
}

/* --------------------------------------------------------------------------- asking */

/* With the lock. */
static int
submit(struct planner *planner, struct call *call)
{
    const Ledger__Request *request = call->record->request;
    uint64_t now_ns = clock_now_ns(), real_ns = realtime_ns();
    struct core_submit what = {
        .id = call->id,
        .owner = call,
        .members = request->members > 0 ? request->members : 1,
        .priority = request->priority,
        .hosts_max = request->hosts_max,
        .memory_each = request->memory_each,
        .wall_ns = request->wall_ns,
        .deadline_ns = UINT64_MAX,
        .attempts = request->attempts,
        .attempts_used = request->attempts_used,
        .pause_ns = request->pause_ns,
        .only_if_lost = request->only_if_lost,
        .is_owed = call->is_async,
        .dice = call->begin_ns,
    };
    struct tenant *tenant;
    int err = planner_tenant(planner, call->record->tenant, &tenant);

    if (request->start_by_ns != 0)
        what.deadline_ns =
            request->start_by_ns > real_ns ? now_ns + (request->start_by_ns - real_ns) : now_ns;
    return err != 0 ? err : core_submit(tenant->core, &what, now_ns, &call->core);
}

static bool
is_sound(const Ledger__Call *record)
{
    size_t tenant = strlen(record->tenant);

    return tenant > 0 && tenant <= PLANNER_TENANT_BYTES_MAX && record->request != NULL &&
           strlen(record->key) <= LEDGER_KEY_BYTES_MAX &&
           record->request->priority < QUEUE_PRIORITIES &&
           record->request->members <= CORE_MEMBERS_MAX &&
           record->request->attempts <= PLANNER_ATTEMPTS_MAX;
}

static struct call *
call_create(struct planner *planner, const Ledger__Call *record)
{
    struct call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    call->planner = planner;
    call->begin_ns = clock_now_ns();
    call->record = planner_copy(record);
    if (call->record == NULL) {
        free(call);
        return NULL;
    }
    return call;
}

/* With the lock: a number and a place in the table. */
static int
admit(struct planner *planner, struct call *call)
{
    if (!planner->is_leading || planner->is_ending)
        return -ESHUTDOWN;
    if (planner->call_count >= PLANNER_CALLS_MAX)
        return -EAGAIN;
    call->id = planner->next_id++;
    call->record->id = call->id;
    call->record->created_ns = realtime_ns();
    call->record->state = LEDGER__STATE__STATE_OPEN;
    enter(planner, call);
    return 0;
}

int
planner_call(struct planner *planner, const Ledger__Call *record, planner_end_fn on_end,
             void *context, uint64_t *id)
{
    struct call *call = is_sound(record) && on_end != NULL ? call_create(planner, record) : NULL;
    int err;

    if (call == NULL)
        return is_sound(record) && on_end != NULL ? -ENOMEM : -EINVAL;
    call->on_end = on_end;
    call->context = context;
    (void)pthread_mutex_lock(&planner->lock);
    err = admit(planner, call);
    if (err == 0) {
        err = submit(planner, call);
        if (err != 0)
            leave(planner, call);
    }
    if (err == 0) {
        *id = call->id;
        planner_turn(planner);
    }
    planner_unlock(planner);
    if (err != 0)
        planner_call_free(call);
    return err;
}

/* ledger_done_fn: it is in the store, and from now on this planner's to end. */
static void
accepted(void *context, int err, uint64_t existing)
{
    struct call *call = context;
    struct planner *planner = call->planner;
    planner_accepted_fn tell = call->accepted;
    void *owner = call->context;
    uint64_t id = err == -EEXIST ? existing : call->id;

    if (err == -ESTALE)
        planner_lose(planner);
    if (err == 0)
        tell(owner, 0, id); /* before its end is */
    (void)pthread_mutex_lock(&planner->lock);
    call->tenant->arriving--;
    call->tenant = NULL;
    if (err == 0 && submit(planner, call) != 0)
        finish(planner, call, CORE_MISFIT);
    else if (err == 0 && call->is_cancelled)
        core_cancel(call->core, clock_now_ns());
    else if (err != 0)
        leave(planner, call);
    planner_turn(planner);
    planner_unlock(planner);
    if (err == 0)
        return;
    planner_call_free(call);
    tell(owner, err, id);
}

int
planner_call_async(struct planner *planner, const Ledger__Call *record, planner_accepted_fn tell,
                   planner_end_fn on_end, void *context)
{
    struct call *call = is_sound(record) && tell != NULL ? call_create(planner, record) : NULL;
    int err;

    if (call == NULL)
        return is_sound(record) && tell != NULL ? -ENOMEM : -EINVAL;
    call->is_async = true;
    call->accepted = tell;
    call->on_end = on_end;
    call->context = context;
    (void)pthread_mutex_lock(&planner->lock);
    err = planner_tenant(planner, call->record->tenant, &call->tenant);
    if (err == 0 && core_tenant_is_full(call->tenant->core, call->tenant->arriving))
        err = -EAGAIN;
    if (err == 0)
        err = admit(planner, call);
    if (err == 0) {
        call->tenant->arriving++;
        err = ledger_accept(planner->ledger, call->record, accepted, call);
        if (err != 0) {
            call->tenant->arriving--;
            leave(planner, call);
        }
    }
    (void)pthread_mutex_unlock(&planner->lock);
    if (err != 0)
        planner_call_free(call);
    return err;
}

int
planner_resume(struct planner *planner, const Ledger__Call *record)
{
    struct call *call = is_sound(record) ? call_create(planner, record) : NULL;
    int err;

    if (call == NULL)
        return is_sound(record) ? -ENOMEM : -EBADMSG;
    call->is_async = true;
    call->id = record->id;
    call->record->state = LEDGER__STATE__STATE_OPEN;
    enter(planner, call);
    err = submit(planner, call);
    if (err != 0) {
        leave(planner, call);
        planner_call_free(call);
    }
    return err;
}

/* -------------------------------------------------------------------------- looking */

struct call *
planner_find_of(const struct planner *planner, const char *tenant, uint64_t id)
{
    struct call *call = planner_find(planner, id);

    if (call == NULL || strcmp(call->record->tenant, tenant) != 0 ||
        call->record->state != LEDGER__STATE__STATE_OPEN)
        return NULL;
    return call;
}

int
planner_cancel(struct planner *planner, const char *tenant, uint64_t id)
{
    struct call *call;

    (void)pthread_mutex_lock(&planner->lock);
    call = planner_find_of(planner, tenant, id);
    if (call != NULL && call->core != NULL)
        core_cancel(call->core, clock_now_ns());
    else if (call != NULL)
        call->is_cancelled = true; /* on its way into the store */
    planner_turn(planner);
    planner_unlock(planner);
    return call != NULL ? 0 : -ENOENT;
}

int
planner_get(struct planner *planner, const char *tenant, uint64_t id, Ledger__Call **out,
            struct diag *diag)
{
    Ledger__Call *copy = NULL;
    struct call *call;

    (void)pthread_mutex_lock(&planner->lock);
    call = planner_find_of(planner, tenant, id);
    if (call != NULL)
        copy = planner_copy(call->record);
    (void)pthread_mutex_unlock(&planner->lock);
    if (call == NULL)
        return ledger_get(planner->ledger, tenant, id, out, diag);
    if (copy == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a copy of call %llu", (unsigned long long)id);
    *out = copy;
    return 0;
}

/* ---------------------------------------------------------------------------- ended */

/* A record has a limit; who waits for a synchronous call has it in memory only. */
static void
cut_output(Ledger__Result *result)
{
    static const char message[] = "its output is larger than an asynchronous call may have";
    char *text = strdup(message);

    free(result->output.data);
    result->output = (ProtobufCBinaryData){0, NULL};
    result->kind = LEDGER__KIND__KIND_LIMIT;
    if (text == NULL)
        return;
    if (result->message != protobuf_c_empty_string)
        free(result->message);
    result->message = text;
}

/* With the lock. The worst of all members; of those that went well the first member's. */
static void
take_result(struct call *call, const struct planner_host *host, const struct planner_run *run,
            const Ledger__Result *result)
{
    Ledger__Result *mine = call->record->result, *copy;
    char *name;

    if (mine != NULL && (is_failure(mine) || (!is_failure(result) && run->first_member != 0)))
        return;
    copy = copy_result(result);
    if (copy == NULL)
        return;
    name = strdup(host->name);
    if (name != NULL) {
        if (copy->host != protobuf_c_empty_string)
            free(copy->host);
        copy->host = name;
    }
    if (call->is_async && copy->output.len > PLANNER_OUTPUT_BYTES_MAX)
        cut_output(copy);
    set_result(call, copy);
}

void
planner_run_ended(struct planner_host *host, const struct planner_run *run,
                  const Ledger__Result *result)
{
    struct planner *planner = host->planner;
    struct call *call;

    (void)pthread_mutex_lock(&planner->lock);
    call = planner_find(planner, run->call);
    if (host->core != NULL)
        core_host_heard(host->core, clock_now_ns());
    if (host->core != NULL && call != NULL && call->core != NULL &&
        core_call_attempt(call->core) == run->attempt) {
        take_result(call, host, run, result);
        core_ended(call->core, host->core, run->attempt, run->members, is_failure(result),
                   clock_now_ns());
    }
    planner_turn(planner);
    planner_unlock(planner);
}

void
planner_run_lost(struct planner_host *host, const struct planner_run *run, const char *reason)
{
    struct planner *planner = host->planner;
    struct call *call;

    (void)pthread_mutex_lock(&planner->lock);
    call = planner_find(planner, run->call);
    if (host->core != NULL && call != NULL && call->core != NULL &&
        core_call_attempt(call->core) == run->attempt) {
        set_end(call, LEDGER__KIND__KIND_LOST, reason);
        core_lost(call->core, host->core, run->attempt, clock_now_ns());
    }
    planner_turn(planner);
    planner_unlock(planner);
}
