/* SPDX-License-Identifier: Apache-2.0
 *
 * A planner from its start to its end: lease, store, timer, hosts, tenants.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "planner/planner_internal.h"

#define HOLD_NS   UINT64_C(2000000000)
#define SHORT_NS  UINT64_C(1000000000)
#define MISFIT_NS UINT64_C(30000000000)
#define RETRY_NS  UINT64_C(60000000000)
#define LOOK_NS   UINT64_C(1000000000) /* the timer looks at least so often */

void
planner_lose(struct planner *planner)
{
    bool expected = true;

    if (atomic_compare_exchange_strong(&planner->is_leading, &expected, false) &&
        planner->config.on_lost != NULL)
        planner->config.on_lost(planner->config.context);
}

uint64_t
planner_term(const struct planner *planner)
{
    return planner->term;
}

bool
planner_is_leading(const struct planner *planner)
{
    return planner->is_leading &&
           clock_now_ns() - atomic_load(&planner->renewed_ns) < planner->config.lease_ns;
}

/* Where this process stood still, so did its hearing: nobody is silent for that. */
static void
note_standstill(struct planner *planner, uint64_t now_ns)
{
    if (planner->asleep_until_ns == 0 ||
        now_ns < planner->asleep_until_ns + planner->config.silence_ns / 2)
        return;
    for (struct planner_host *host = planner->hosts; host != NULL; host = host->next)
        if (host->core != NULL)
            core_host_heard(host->core, now_ns);
}

/* Nothing starts when the lease may be over: another may lead by then. */
void
planner_turn(struct planner *planner)
{
    uint64_t now_ns = clock_now_ns();

    if (!planner->is_leading || planner->is_ending)
        return;
    note_standstill(planner, now_ns);
    if (now_ns - atomic_load(&planner->renewed_ns) >= planner->config.lease_ns)
        return;
    core_tick(planner->core, now_ns);
    if (core_due_ns(planner->core) < planner->asleep_until_ns) {
        planner->asleep_until_ns = 0;
        (void)pthread_cond_signal(&planner->timer);
    }
}

/* ---------------------------------------------------------------------------- timer */

static void
renew(struct planner *planner)
{
    uint64_t now_ns = clock_now_ns(), term;
    int err = store_lease(planner->config.store, planner->lease, planner->holder,
                          planner->config.lease_ns, &term, NULL);

    if (err == 0 && term == planner->term)
        atomic_store(&planner->renewed_ns, now_ns);
    else if (err == 0 || err == -EBUSY ||
             clock_now_ns() - atomic_load(&planner->renewed_ns) >= planner->config.lease_ns)
        planner_lose(planner);
}

static struct timespec
timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / CLOCK_NS_PER_SECOND),
                             .tv_nsec = (long)(ns % CLOCK_NS_PER_SECOND)};
}

/* With the lock, which is let go meanwhile: until something is due, at most for a while. */
static void
sleep_until_due(struct planner *planner)
{
    uint64_t now_ns = clock_now_ns(), until_ns = core_due_ns(planner->core);
    uint64_t most_ns = planner->config.lease_ns / 6;
    struct timespec until;

    most_ns = now_ns + (most_ns < LOOK_NS ? most_ns : LOOK_NS);
    if (until_ns > most_ns || !planner->is_leading)
        until_ns = most_ns;
    until = timespec_of(until_ns);
    planner->asleep_until_ns = until_ns;
    (void)pthread_cond_timedwait(&planner->timer, &planner->lock, &until);
    planner->asleep_until_ns = 0;
}

static void *
timer_main(void *object)
{
    struct planner *planner = object;

    (void)pthread_mutex_lock(&planner->lock);
    while (!planner->is_ending) {
        if (planner->is_leading &&
            clock_now_ns() - atomic_load(&planner->renewed_ns) >= planner->config.lease_ns / 3) {
            (void)pthread_mutex_unlock(&planner->lock);
            renew(planner);
            (void)pthread_mutex_lock(&planner->lock);
        }
        planner_turn(planner);
        planner_unlock(planner);
        planner_write_again(planner);
        (void)pthread_mutex_lock(&planner->lock);
        if (!planner->is_ending)
            sleep_until_due(planner);
    }
    (void)pthread_mutex_unlock(&planner->lock);
    return NULL;
}

/* ------------------------------------------------------------------- start and end */

struct resuming {
    struct planner *planner;
    int err;
};

static bool
resume_one(void *context, const Ledger__Call *call)
{
    struct resuming *resuming = context;

    resuming->err = planner_resume(resuming->planner, call);
    return resuming->err == 0;
}

/* Numbers go on above those of all calls there are, and above those of the planner before,
 * which may have given some to synchronous calls: the clock, in microseconds. */
static int
restore(struct planner *planner, struct diag *diag)
{
    struct resuming resuming = {planner, 0};
    struct timespec now;
    uint64_t last = 0, clock;
    int err = ledger_restore(planner->ledger, resume_one, &resuming, &last, diag);

    if (err == 0 && resuming.err != 0)
        err = diag_set(diag, resuming.err, "cannot go on with call %llu: %s",
                       (unsigned long long)last, strerror(-resuming.err));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    clock = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    planner->next_id = last + 1 > clock ? last + 1 : clock;
    return err;
}

static int
open_core(struct planner *planner, struct diag *diag)
{
    const char *policy = planner->config.policy != NULL ? planner->config.policy : "binpack";
    const struct core_config config = {.policy = policy,
                                       .hold_ns = HOLD_NS,
                                       .short_ns = SHORT_NS,
                                       .silence_ns_max = planner->config.silence_ns,
                                       .misfit_ns = MISFIT_NS,
                                       .retry_ns_max = RETRY_NS};
    int err = core_create(&config, &planner->core);

    if (err == -EINVAL)
        return diag_set(diag, err, "there is no policy %s", policy);
    if (err != 0)
        return diag_set(diag, err, "no memory for a planner");
    core_set_actor(planner->core, planner_act, planner);
    return 0;
}

static int
open_ledger(struct planner *planner, struct diag *diag)
{
    struct ledger_config config = {
        .store = planner->config.store, .lease = planner->lease, .kept_s = planner->config.kept_s};
    uint64_t now_ns = clock_now_ns();
    int err = store_lease(planner->config.store, planner->lease, planner->holder,
                          planner->config.lease_ns, &planner->term, diag);

    if (err != 0)
        return err;
    atomic_store(&planner->renewed_ns, now_ns);
    planner->is_leading = true;
    config.term = planner->term;
    return ledger_open(&config, &planner->ledger, diag);
}

static int
start_threads(struct planner *planner, struct diag *diag)
{
    int err = -pthread_create(&planner->thread, NULL, timer_main, planner);

    planner->has_thread = err == 0;
    if (err == 0) {
        err = -pthread_create(&planner->collector, NULL, planner_collect, planner);
        planner->has_collector = err == 0;
    }
    return err == 0 ? 0 : diag_set(diag, err, "cannot start a thread: %s", strerror(-err));
}

static struct planner *
planner_new(const struct planner_config *config)
{
    struct planner *planner = calloc(1, sizeof(*planner));
    pthread_condattr_t attributes;

    if (planner == NULL)
        return NULL;
    planner->config = *config;
    if (config->lease_ns == 0)
        planner->config.lease_ns = PLANNER_LEASE_NS;
    if (config->silence_ns == 0)
        planner->config.silence_ns = PLANNER_SILENCE_NS;
    if (config->kept_s == 0)
        planner->config.kept_s = PLANNER_KEPT_S;
    planner->over_end = &planner->over;
    (void)pthread_mutex_init(&planner->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&planner->timer, &attributes);
    (void)pthread_cond_init(&planner->collecting, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    planner->lease = strdup(config->lease != NULL ? config->lease : "planner");
    planner->holder = strdup(config->holder);
    return planner;
}

int
planner_create(const struct planner_config *config, struct planner **out, struct diag *diag)
{
    struct planner *planner = planner_new(config);
    int err;

    if (planner == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a planner");
    err = planner->lease == NULL || planner->holder == NULL
              ? diag_set(diag, -ENOMEM, "no memory for a planner")
              : open_core(planner, diag);
    if (err == 0)
        err = open_ledger(planner, diag);
    if (err == 0)
        err = restore(planner, diag);
    if (err == 0)
        err = start_threads(planner, diag);
    if (err != 0) {
        planner_destroy(planner);
        return err;
    }
    *out = planner;
    return 0;
}

/* Those that nobody will end any more. */
static void
end_calls(struct planner *planner)
{
    for (size_t i = 0; i < PLANNER_BUCKETS; i++)
        while (planner->calls[i] != NULL) {
            struct call *call = planner->calls[i];
            Ledger__Result result = LEDGER__RESULT__INIT;

            planner->calls[i] = call->chain;
            result.kind = LEDGER__KIND__KIND_CANCELLED;
            result.message = (char *)(uintptr_t)"the planner ends";
            if (!call->is_async) {
                Ledger__Result *old = call->record->result;

                call->record->result = &result;
                call->on_end(call->context, call->record);
                if (planner->config.on_over != NULL)
                    planner->config.on_over(planner->config.context, call->record);
                call->record->result = old;
            }
            planner_call_free(call);
        }
}

void
planner_destroy(struct planner *planner)
{
    if (planner == NULL)
        return;
    (void)pthread_mutex_lock(&planner->lock);
    planner->is_ending = true;
    (void)pthread_cond_signal(&planner->timer);
    (void)pthread_cond_signal(&planner->collecting);
    (void)pthread_mutex_unlock(&planner->lock);
    if (planner->has_thread)
        (void)pthread_join(planner->thread, NULL);
    if (planner->has_collector)
        (void)pthread_join(planner->collector, NULL);
    ledger_close(planner->ledger); /* tells of all that is on its way into the store */
    end_calls(planner);
    core_destroy(planner->core);
    if (planner->is_leading)
        (void)!store_release(planner->config.store, planner->lease, planner->holder, NULL);
    while (planner->hosts != NULL) {
        struct planner_host *host = planner->hosts;

        planner->hosts = host->next;
        free(host->name);
        free(host);
    }
    while (planner->tenants != NULL) {
        struct tenant *tenant = planner->tenants;

        planner->tenants = tenant->next;
        free(tenant);
    }
    (void)pthread_mutex_destroy(&planner->lock);
    (void)pthread_cond_destroy(&planner->timer);
    (void)pthread_cond_destroy(&planner->collecting);
    free(planner->lease);
    free(planner->holder);
    free(planner);
}

/* -------------------------------------------------------------------------- tenants */

static struct tenant *
find_tenant(const struct planner *planner, const char *name)
{
    struct tenant *tenant = planner->tenants;

    while (tenant != NULL && strcmp(tenant->name, name) != 0)
        tenant = tenant->next;
    return tenant;
}

struct core_tenant *
planner_find_tenant(const struct planner *planner, const char *name)
{
    const struct tenant *tenant = find_tenant(planner, name);

    return tenant != NULL ? tenant->core : NULL;
}

static int
add_tenant(struct planner *planner, const char *name, const struct queue_share *share,
           struct tenant **out)
{
    struct tenant *tenant = calloc(1, sizeof(*tenant));
    int err = tenant == NULL ? -ENOMEM : core_tenant_add(planner->core, share, &tenant->core);

    if (err != 0) {
        free(tenant);
        return err;
    }
    (void)memcpy(tenant->name, name, strlen(name));
    tenant->next = planner->tenants;
    planner->tenants = tenant;
    *out = tenant;
    return 0;
}

int
planner_tenant(struct planner *planner, const char *name, struct tenant **out)
{
    static const struct queue_share usual = {.weight = PLANNER_WEIGHT_DEFAULT,
                                             .waiting_max = PLANNER_WAITING_DEFAULT};
    struct tenant *tenant = find_tenant(planner, name);
    int err = tenant != NULL ? 0 : add_tenant(planner, name, &usual, &tenant);

    if (err == 0)
        *out = tenant;
    return err;
}

int
planner_tenant_set(struct planner *planner, const char *name, const struct planner_share *share)
{
    const struct queue_share what = {
        .weight = share->weight != 0 ? share->weight : PLANNER_WEIGHT_DEFAULT,
        .running_max = share->running_max,
        .waiting_max = share->waiting_max != 0 ? share->waiting_max : PLANNER_WAITING_DEFAULT};
    struct tenant *tenant;
    int err = 0;

    if (name[0] == '\0' || strlen(name) > PLANNER_TENANT_BYTES_MAX)
        return -EINVAL;
    (void)pthread_mutex_lock(&planner->lock);
    tenant = find_tenant(planner, name);
    if (tenant != NULL)
        core_tenant_change(tenant->core, &what);
    else
        err = add_tenant(planner, name, &what, &tenant);
    planner_turn(planner);
    planner_unlock(planner);
    return err;
}

/* ---------------------------------------------------------------------------- hosts */

static bool
has_host(const struct planner *planner, const char *name)
{
    for (const struct planner_host *host = planner->hosts; host != NULL; host = host->next)
        if (host->core != NULL && strcmp(host->name, name) == 0)
            return true;
    return false;
}

int
planner_host_up(struct planner *planner, const struct planner_host_config *config,
                struct planner_host **out, struct diag *diag)
{
    const struct core_capacity capacity = {config->slots, config->memory};
    struct planner_host *host = calloc(1, sizeof(*host));
    int err = 0;

    if (host != NULL)
        *host = (struct planner_host){.planner = planner,
                                      .name = strdup(config->name),
                                      .slots = config->slots,
                                      .is_draining = config->is_draining,
                                      .ops = *config->ops,
                                      .context = config->context};
    if (host == NULL || host->name == NULL) {
        free(host);
        return diag_set(diag, -ENOMEM, "no memory for host %s", config->name);
    }
    (void)pthread_mutex_lock(&planner->lock);
    if (has_host(planner, config->name))
        err = diag_set(diag, -EEXIST, "there is a host %s already", config->name);
    if (err == 0)
        err = core_host_up(planner->core, &capacity, host, clock_now_ns(), &host->core);
    if (err == 0) {
        host->next = planner->hosts;
        planner->hosts = host;
        *out = host;
        core_host_drain(host->core, config->is_draining, clock_now_ns());
        planner_turn(planner);
    }
    planner_unlock(planner);
    if (err != 0) {
        free(host->name);
        free(host);
    }
    return err == 0 ? 0 : diag_set(diag, err, "cannot add host %s", config->name);
}

bool
planner_host_heard(struct planner_host *host)
{
    bool is_up;

    (void)pthread_mutex_lock(&host->planner->lock);
    is_up = host->core != NULL;
    if (is_up)
        core_host_heard(host->core, clock_now_ns());
    (void)pthread_mutex_unlock(&host->planner->lock);
    return is_up;
}

void
planner_host_drain(struct planner_host *host, bool is_draining)
{
    (void)pthread_mutex_lock(&host->planner->lock);
    host->is_draining = is_draining;
    if (host->core != NULL)
        core_host_drain(host->core, is_draining, clock_now_ns());
    planner_turn(host->planner);
    planner_unlock(host->planner);
}

void
planner_host_leaving(struct planner_host *host, bool is_leaving)
{
    (void)pthread_mutex_lock(&host->planner->lock);
    host->is_leaving = is_leaving;
    if (host->core != NULL)
        core_host_leaving(host->core, is_leaving);
    (void)pthread_mutex_unlock(&host->planner->lock);
}

void
planner_host_down(struct planner_host *host)
{
    struct planner *planner = host->planner;
    struct planner_host **at = &planner->hosts;

    (void)pthread_mutex_lock(&planner->lock);
    while (*at != host)
        at = &(*at)->next;
    *at = host->next;
    if (host->core != NULL)
        core_host_down(host->core, clock_now_ns());
    planner_turn(planner);
    planner_unlock(planner);
    free(host->name);
    free(host);
}

void
planner_host_list(struct planner *planner, planner_host_fn visit, void *context)
{
    (void)pthread_mutex_lock(&planner->lock);
    for (const struct planner_host *host = planner->hosts; host != NULL; host = host->next) {
        const struct planner_host_view view = {
            .name = host->name,
            .slots = host->slots,
            .used = host->core != NULL ? core_host_used(host->core) : 0,
            .is_draining = host->is_draining,
            .is_leaving = host->is_leaving,
            .is_down = host->core == NULL,
        };

        if (!visit(context, &view))
            break;
    }
    (void)pthread_mutex_unlock(&planner->lock);
}

void
planner_usage(struct planner *planner, struct planner_usage *out)
{
    (void)pthread_mutex_lock(&planner->lock);
    *out = planner->usage;
    core_count(planner->core, &out->waiting, &out->running);
    (void)pthread_mutex_unlock(&planner->lock);
}
