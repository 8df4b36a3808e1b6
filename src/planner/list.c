/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls as they are listed, dead letters, and ends that nobody needs any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fault.h"
#include "planner/planner_internal.h"

static uint64_t
realtime_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

/* ------------------------------------------------------------------ what is in memory */

/* Numbers of synchronous calls, which the store has not. */
struct numbers {
    uint64_t *list; /* owned */
    size_t count, capacity;
    uint64_t after;
    bool is_short; /* no memory for all */
};

static bool
grow(struct numbers *numbers)
{
    size_t capacity = numbers->capacity > 0 ? 2 * numbers->capacity : 64;
    uint64_t *list =
        fault_point("planner.list") == 0 ? realloc(numbers->list, capacity * sizeof(*list)) : NULL;

    if (list == NULL)
        return false;
    numbers->list = list;
    numbers->capacity = capacity;
    return true;
}

static void
note_number(void *context, const struct core_call *core)
{
    const struct call *call = core_call_owner(core);
    struct numbers *numbers = context;

    if (call->is_async || call->id <= numbers->after || numbers->is_short)
        return;
    if (numbers->count == numbers->capacity && !grow(numbers))
        numbers->is_short = true;
    else
        numbers->list[numbers->count++] = call->id;
}

static int
compare(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

    return a < b ? -1 : a > b;
}

static int
collect_numbers(struct planner *planner, const char *tenant, struct numbers *numbers)
{
    const struct core_tenant *core;

    (void)pthread_mutex_lock(&planner->lock);
    core = planner_find_tenant(planner, tenant);
    if (core != NULL)
        core_tenant_visit(core, note_number, numbers);
    (void)pthread_mutex_unlock(&planner->lock);
    if (numbers->is_short)
        return -ENOMEM;
    if (numbers->count > 0)
        qsort(numbers->list, numbers->count, sizeof(*numbers->list), compare);
    return 0;
}

/* --------------------------------------------------------------------------- listing */

struct listing {
    struct planner *planner;
    const char *tenant;
    struct numbers numbers;
    size_t at; /* among them */
    uint32_t left;
    planner_visit_fn visit;
    void *context;
    bool is_over;
};

static void
show(struct listing *listing, const Ledger__Call *call)
{
    if (listing->is_over)
        return;
    listing->is_over = !listing->visit(listing->context, call) || --listing->left == 0;
}

/* Those of memory that come before this number; who has ended meanwhile is left out. */
static void
show_until(struct listing *listing, uint64_t id)
{
    struct planner *planner = listing->planner;

    while (!listing->is_over && listing->at < listing->numbers.count &&
           listing->numbers.list[listing->at] < id) {
        const struct call *call;
        Ledger__Call *copy = NULL;

        (void)pthread_mutex_lock(&planner->lock);
        call = planner_find_of(planner, listing->tenant, listing->numbers.list[listing->at++]);
        if (call != NULL)
            copy = planner_copy(call->record);
        (void)pthread_mutex_unlock(&planner->lock);
        if (copy == NULL)
            continue;
        show(listing, copy);
        ledger__call__free_unpacked(copy, NULL);
    }
}

/* ledger_visit_fn. */
static bool
show_durable(void *context, const Ledger__Call *call)
{
    struct listing *listing = context;

    show_until(listing, call->id);
    show(listing, call);
    return !listing->is_over;
}

int
planner_list(struct planner *planner, const char *tenant, uint64_t after, uint32_t count,
             planner_visit_fn visit, void *context, struct diag *diag)
{
    struct listing listing = {.planner = planner,
                              .tenant = tenant,
                              .numbers = {.after = after},
                              .left = count > 0 ? count : UINT32_MAX,
                              .visit = visit,
                              .context = context};
    int err = collect_numbers(planner, tenant, &listing.numbers);

    if (err != 0)
        err = diag_set(diag, err, "no memory to list the calls of tenant %s", tenant);
    if (err == 0)
        err = ledger_list(planner->ledger, tenant, after, count, show_durable, &listing, diag);
    if (err == 0)
        show_until(&listing, UINT64_MAX);
    free(listing.numbers.list);
    return err;
}

/* ---------------------------------------------------------------------- dead letters */

/* It could not be queued: it is the dead letter that it was, but for its result. */
static void
put_back(struct planner *planner, Ledger__Call *call, int err)
{
    Ledger__Result result = LEDGER__RESULT__INIT;

    result.kind = LEDGER__KIND__KIND_FAILED;
    result.err = err;
    result.message = (char *)(uintptr_t)"it could not be queued again";
    call->result = &result;
    (void)!ledger_end(planner->ledger, call, true, realtime_s(), NULL, NULL);
    call->result = NULL;
}

static bool
is_full(struct planner *planner, const char *tenant)
{
    const struct core_tenant *core;
    bool is_full;

    (void)pthread_mutex_lock(&planner->lock);
    core = planner_find_tenant(planner, tenant);
    is_full = core != NULL && core_tenant_is_full(core, 0);
    (void)pthread_mutex_unlock(&planner->lock);
    return is_full;
}

int
planner_retry(struct planner *planner, const char *tenant, uint64_t id, struct diag *diag)
{
    Ledger__Call *call;
    int err = planner->is_leading ? 0 : -ESHUTDOWN;

    if (err == 0 && is_full(planner, tenant))
        return diag_set(diag, -EAGAIN, "too many calls of the tenant wait already");
    if (err == 0)
        err = ledger_revive(planner->ledger, tenant, id, &call, diag);
    if (err == -ESTALE)
        planner_lose(planner);
    if (err == -ESTALE || err == -ESHUTDOWN)
        return diag_set(diag, -ESHUTDOWN, "this planner does not lead");
    if (err != 0)
        return err;
    (void)pthread_mutex_lock(&planner->lock);
    if (planner->is_ending || !planner->is_leading)
        err = -ESHUTDOWN; /* it is open in the store: who leads next goes on with it */
    else
        err = planner->call_count < PLANNER_CALLS_MAX ? planner_resume(planner, call) : -EAGAIN;
    planner_turn(planner);
    planner_unlock(planner);
    if (err != 0 && err != -ESHUTDOWN)
        put_back(planner, call, err);
    ledger__call__free_unpacked(call, NULL);
    return err == 0 ? 0
                    : diag_set(diag, err, "call %llu cannot be queued again: %s",
                               (unsigned long long)id, strerror(-err));
}

int
planner_bury(struct planner *planner, const char *tenant, uint64_t id, struct diag *diag)
{
    int err = planner->is_leading ? ledger_bury(planner->ledger, tenant, id, diag) : -ESHUTDOWN;

    if (err == -ESTALE)
        planner_lose(planner);
    if (err == -ESTALE || err == -ESHUTDOWN)
        return diag_set(diag, -ESHUTDOWN, "this planner does not lead");
    return err;
}

/* ------------------------------------------------------------------ removed tenants */

struct open_ones {
    uint64_t ids[LEDGER_COLLECT_MAX], seen;
    size_t count;
};

static bool
note_open(void *context, const Ledger__Call *call)
{
    struct open_ones *open = context;

    open->seen = call->id;
    if (call->state == LEDGER__STATE__STATE_OPEN)
        open->ids[open->count++] = call->id;
    return true;
}

static int
cancel_all(struct planner *planner, const char *tenant, struct diag *diag)
{
    struct open_ones open = {.seen = 0};
    uint64_t after;
    int err;

    do {
        after = open.seen;
        open.count = 0;
        err =
            ledger_list(planner->ledger, tenant, after, LEDGER_COLLECT_MAX, note_open, &open, diag);
        for (size_t i = 0; i < open.count; i++)
            (void)!planner_cancel(planner, tenant, open.ids[i]); /* else it is over by now */
    } while (err == 0 && open.seen != after);
    return err;
}

int
planner_forget(struct planner *planner, const char *tenant, struct diag *diag)
{
    size_t count = LEDGER_COLLECT_MAX;
    int err = planner->is_leading ? cancel_all(planner, tenant, diag) : -ESHUTDOWN;

    while (err == 0 && count == LEDGER_COLLECT_MAX)
        err = ledger_forget(planner->ledger, tenant, &count, diag);
    if (err == -ESTALE)
        planner_lose(planner);
    if (err == -ESTALE || err == -ESHUTDOWN)
        return diag_set(diag, -ESHUTDOWN, "this planner does not lead");
    return err;
}

int
planner_tenant_next(struct planner *planner, char tenant[PLANNER_TENANT_BYTES_MAX + 1],
                    struct diag *diag)
{
    return ledger_tenant_next(planner->ledger, tenant, diag);
}

/* ------------------------------------------------------------------------ collecting */

/* What fails is tried again the next time. */
void *
planner_collect(void *object)
{
    struct planner *planner = object;
    size_t count = 0;

    (void)pthread_mutex_lock(&planner->lock);
    while (!planner->is_ending) {
        uint64_t kept_ns = planner->config.kept_s * CLOCK_NS_PER_SECOND;
        uint64_t at_ns =
            clock_now_ns() + (kept_ns < PLANNER_COLLECT_NS ? kept_ns : PLANNER_COLLECT_NS);
        const struct timespec until = {.tv_sec = (time_t)(at_ns / CLOCK_NS_PER_SECOND),
                                       .tv_nsec = (long)(at_ns % CLOCK_NS_PER_SECOND)};

        if (count < LEDGER_COLLECT_MAX)
            (void)pthread_cond_timedwait(&planner->collecting, &planner->lock, &until);
        count = 0;
        if (planner->is_ending || !planner->is_leading)
            continue;
        (void)pthread_mutex_unlock(&planner->lock);
        if (ledger_collect(planner->ledger, realtime_s(), &count, NULL) == -ESTALE)
            planner_lose(planner);
        (void)pthread_mutex_lock(&planner->lock);
    }
    (void)pthread_mutex_unlock(&planner->lock);
    return NULL;
}
