/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that guests chain to functions which their cells have not. Each is a call of the
 * planner's, with the rights of the tenant whose call it comes from; it belongs to the
 * connection, for the worker takes it for lost when that breaks.
 */
#include "hosts/hosts_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two references: of who started it, while it does, and of its end that is to come. */
struct chain {
    struct chain *next;          /* of the bucket */
    struct chain *later, **link; /* of all */
    struct hosts *hosts;
    struct peer *peer; /* NULL: nobody waits for it; with the lock */
    uint64_t number;   /* the worker's */
    uint64_t id;       /* the planner's; 0: not known yet */
    uint32_t references;
    bool is_detached, is_cancelled;
    char tenant[PLANNER_TENANT_BYTES_MAX + 1];
};

/* --------------------------------------------------------------------------- table */

static struct chain **
find(struct peer *peer, uint64_t number)
{
    struct chain **at = &peer->chains[number % HOSTS_CHAIN_BUCKETS];

    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

/* With the lock. */
static void
leave(struct chain *chain)
{
    struct peer *peer = chain->peer;

    if (peer == NULL)
        return;
    *find(peer, chain->number) = chain->next;
    peer->chain_count--;
    chain->peer = NULL;
}

static void
put(struct chain *chain)
{
    struct hosts *hosts = chain->hosts;

    (void)pthread_mutex_lock(&hosts->lock);
    if (--chain->references == 0) {
        leave(chain);
        *chain->link = chain->later;
        if (chain->later != NULL)
            chain->later->link = chain->link;
        if (hosts->chains == NULL)
            (void)pthread_cond_broadcast(&hosts->chains_over);
        free(chain);
    }
    (void)pthread_mutex_unlock(&hosts->lock);
}

/* ----------------------------------------------------------------------------- ends */

/* With the lock. */
static void
say_end(struct peer *peer, uint64_t number, Rpc__HostEnd *end)
{
    Rpc__HostChainEnd message = RPC__HOST_CHAIN_END__INIT;
    int err;

    message.number = number;
    message.end = end;
    err = hosts_send(peer, RPC__HOST_DOWN__IS_CHAIN_END, &message);
    if (err == -EMSGSIZE) {
        rpc__host_end__init(end);
        end->kind = RPC__HOST_END_KIND__HOST_END_LIMIT;
        end->limit = RPC__CELL_LIMIT__CELL_LIMIT_OUTPUT;
        end->message = (char *)(uintptr_t)"its output is larger than can be sent";
        err = hosts_send(peer, RPC__HOST_DOWN__IS_CHAIN_END, &message);
    }
    if (err != 0)
        hosts_peer_fail(peer);
}

static void
refuse(struct peer *peer, uint64_t number, int err, const char *reason)
{
    Rpc__HostEnd end = RPC__HOST_END__INIT;
    char *text = rpc_text(reason); /* it may repeat what the guest wrote */

    end.kind = RPC__HOST_END_KIND__HOST_END_FAILED;
    end.err = err;
    if (text != NULL)
        end.message = text;
    (void)pthread_mutex_lock(&peer->hosts->lock);
    say_end(peer, number, &end);
    (void)pthread_mutex_unlock(&peer->hosts->lock);
    free(text);
}

/* What the ledger knows beside a worker's ends has failed, for who waits. */
static void
fill_kind(Rpc__HostEnd *end, const Ledger__Result *result)
{
    end->err = result->err;
    switch (result->kind) {
    case LEDGER__KIND__KIND_LATE:
        end->kind = RPC__HOST_END_KIND__HOST_END_FAILED;
        end->err = -ETIMEDOUT;
        break;
    case LEDGER__KIND__KIND_MISFIT:
        end->kind = RPC__HOST_END_KIND__HOST_END_FAILED;
        end->err = -ENOSPC;
        break;
    case LEDGER__KIND__KIND_NONE:
        end->kind = RPC__HOST_END_KIND__HOST_END_FAILED;
        end->err = -EIO;
        break;
    default:
        end->kind = (Rpc__HostEndKind)result->kind;
    }
}

static void
fill_end(Rpc__HostEnd *end, const Ledger__Result *result)
{
    rpc__host_end__init(end);
    fill_kind(end, result);
    end->exit_code = result->exit_code;
    end->limit = result->limit;
    end->refused = result->refused;
    end->trap = result->trap;
    end->message = result->message;
    end->backtrace = result->backtrace;
    end->output = result->output;
    end->log = result->log;
    end->start_ns = result->start_ns;
    end->wall_ns = result->wall_ns;
    end->cpu_ns = result->cpu_ns;
    end->memory_bytes = result->memory_bytes;
    end->chained = result->chained;
    end->was_cold = result->was_cold;
}

/* planner_end_fn. */
static void
on_end(void *context, const Ledger__Call *call)
{
    struct chain *chain = context;
    struct hosts *hosts = chain->hosts;
    Rpc__HostEnd end = RPC__HOST_END__INIT;

    end.kind = RPC__HOST_END_KIND__HOST_END_FAILED;
    end.err = -ENOMEM;
    if (call->result != NULL)
        fill_end(&end, call->result);
    (void)pthread_mutex_lock(&hosts->lock);
    if (chain->peer != NULL)
        say_end(chain->peer, chain->number, &end);
    leave(chain);
    (void)pthread_mutex_unlock(&hosts->lock);
    put(chain);
}

/* --------------------------------------------------------------------------- starts */

/* Who asks: the run that the worker names, if it is there. A call's tenant is the planner's
 * word, not the worker's. */
static int
find_parent(struct peer *peer, const Rpc__HostChain *message, uint32_t *priority)
{
    const struct run *run;
    int err = 0;

    (void)pthread_mutex_lock(&peer->hosts->lock);
    run = hosts_run_find(peer->host, message->parent, 0);
    if (run == NULL || strcmp(run->tenant, message->tenant) != 0)
        err = -ESRCH;
    else
        *priority = run->priority;
    if (err == 0 && peer->chain_count >= HOSTS_CHAINS_MAX)
        err = -EAGAIN;
    if (err == 0 && *find(peer, message->number) != NULL)
        err = -EEXIST;
    (void)pthread_mutex_unlock(&peer->hosts->lock);
    return err;
}

static uint64_t
shorter(uint64_t one, uint64_t other) /* 0: none */
{
    if (one == 0 || other == 0)
        return one + other;
    return one < other ? one : other;
}

static void
fill_request(Ledger__Request *request, const Rpc__HostChain *message,
             const struct catalog_version *version, uint32_t priority)
{
    ledger__request__init(request);
    request->input = message->input;
    request->wall_ns = shorter(message->wall_ns, version->limits.wall_ns);
    request->priority = priority;
    request->members = version->ranks > 0 ? version->ranks : 1;
    request->hosts_max = 1; /* a group is in one cell */
    request->memory_each = version->limits.memory_bytes;
    request->attempts = version->retry.attempts;
    request->pause_ns = version->retry.pause_ns;
    request->only_if_lost = version->retry.only_if_lost;
    request->depth = message->depth;
}

static struct chain *
enter(struct peer *peer, const Rpc__HostChain *message, const char *tenant)
{
    struct chain *chain = hosts_alloc(sizeof(*chain)), **at;

    if (chain == NULL)
        return NULL;
    chain->hosts = peer->hosts;
    chain->peer = peer;
    chain->number = message->number;
    chain->is_detached = message->is_detached;
    chain->references = 2;
    (void)strncpy(chain->tenant, tenant, sizeof(chain->tenant) - 1);
    (void)pthread_mutex_lock(&peer->hosts->lock);
    at = find(peer, chain->number);
    *at = chain;
    peer->chain_count++;
    chain->later = peer->hosts->chains;
    chain->link = &peer->hosts->chains;
    if (chain->later != NULL)
        chain->later->link = &chain->later;
    peer->hosts->chains = chain;
    (void)pthread_mutex_unlock(&peer->hosts->lock);
    return chain;
}

/* The call is of the function's tenant: it runs in that tenant's cell, with its secrets and
 * on its account, also where another was granted to call it. */
static int
call_version(struct peer *peer, const Rpc__HostChain *message,
             const struct catalog_version *version, uint32_t priority)
{
    Ledger__Call call = LEDGER__CALL__INIT;
    Ledger__Request request;
    struct chain *chain = enter(peer, message, version->tenant);
    uint64_t id = 0;
    int err;

    if (chain == NULL)
        return -ENOMEM;
    fill_request(&request, message, version, priority);
    call.tenant = (char *)(uintptr_t)version->tenant;
    call.function = (char *)(uintptr_t)version->function;
    call.version = version->version;
    call.parent = message->parent;
    call.request = &request;
    err = planner_call(peer->hosts->config.planner, &call, on_end, chain, &id);
    (void)pthread_mutex_lock(&peer->hosts->lock);
    chain->id = id;
    if (err != 0)
        chain->references--; /* no end will come */
    (void)pthread_mutex_unlock(&peer->hosts->lock);
    put(chain);
    return err;
}

static const char *
reason_of(int err)
{
    switch (err) {
    case -ESRCH:
        return "the call that chained it is over";
    case -ELOOP:
        return "calls that chain calls are too deep";
    case -EAGAIN:
        return "too many calls wait";
    case -ESHUTDOWN:
        return "the planner ends";
    default:
        return strerror(-err);
    }
}

void
hosts_chain_start(struct peer *peer, const Rpc__HostChain *message)
{
    static _Atomic unsigned dice; /* in turn is as good as at random */
    struct catalog_callable *callable = NULL;
    uint32_t priority = 0;
    struct diag why;
    int err = message->depth > HOSTS_DEPTH_MAX ? -ELOOP : find_parent(peer, message, &priority);

    diag_init(&why);
    if (err == 0)
        err = catalog_resolve(peer->hosts->config.catalog, message->tenant, message->reference,
                              (dice++ * 37) % 100, &callable, &why);
    if (err == 0)
        err = call_version(peer, message, catalog_callable_version(callable), priority);
    catalog_callable_put(callable);
    if (err != 0)
        refuse(peer, message->number, err, why.is_set ? diag_text(&why) : reason_of(err));
}

/* --------------------------------------------------------------------- cancellation */

void
hosts_chain_cancel(struct peer *peer, uint64_t number)
{
    char tenant[PLANNER_TENANT_BYTES_MAX + 1];
    const struct chain *chain;
    uint64_t id = 0;

    (void)pthread_mutex_lock(&peer->hosts->lock);
    chain = *find(peer, number);
    if (chain != NULL) {
        id = chain->id;
        (void)memcpy(tenant, chain->tenant, sizeof(tenant));
    }
    (void)pthread_mutex_unlock(&peer->hosts->lock);
    if (id != 0)
        (void)!planner_cancel(peer->hosts->config.planner, tenant, id);
}

/* With the lock. */
static struct chain *
any_of(const struct peer *peer)
{
    for (size_t i = 0; i < HOSTS_CHAIN_BUCKETS; i++)
        if (peer->chains[i] != NULL)
            return peer->chains[i];
    return NULL;
}

/* Its worker is gone. */
void
hosts_chain_end_all(struct peer *peer)
{
    struct hosts *hosts = peer->hosts;

    for (;;) {
        char tenant[PLANNER_TENANT_BYTES_MAX + 1];
        struct chain *chain;
        uint64_t id = 0;

        (void)pthread_mutex_lock(&hosts->lock);
        chain = any_of(peer);
        if (chain != NULL) {
            id = chain->is_detached ? 0 : chain->id;
            (void)memcpy(tenant, chain->tenant, sizeof(tenant));
            leave(chain);
        }
        (void)pthread_mutex_unlock(&hosts->lock);
        if (chain == NULL)
            return;
        if (id != 0)
            (void)!planner_cancel(hosts->config.planner, tenant, id);
    }
}

/* At the end of all, detached calls are nobody's either. */
static bool
cancel_one(struct hosts *hosts)
{
    char tenant[PLANNER_TENANT_BYTES_MAX + 1];
    struct chain *chain;
    uint64_t id = 0;

    (void)pthread_mutex_lock(&hosts->lock);
    chain = hosts->chains;
    while (chain != NULL && chain->is_cancelled)
        chain = chain->later;
    if (chain != NULL) {
        chain->is_cancelled = true;
        id = chain->id;
        (void)memcpy(tenant, chain->tenant, sizeof(tenant));
    }
    (void)pthread_mutex_unlock(&hosts->lock);
    if (id != 0)
        (void)!planner_cancel(hosts->config.planner, tenant, id);
    return chain != NULL;
}

void
hosts_chain_await(struct hosts *hosts)
{
    while (cancel_one(hosts))
        continue;
    (void)pthread_mutex_lock(&hosts->lock);
    while (hosts->chains != NULL)
        (void)pthread_cond_wait(&hosts->chains_over, &hosts->lock);
    (void)pthread_mutex_unlock(&hosts->lock);
}
