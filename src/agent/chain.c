/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that guests chain and that their cells have not: asked of the planner as the
 * worker's own numbers, and answered to the cells. A chain is in the table from its asking
 * to its end, its cancellation, or the loss of the connection: whoever takes it out ends it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_internal.h"
#include "base/assert.h"
#include "base/fault.h"

/* -------------------------------------------------------------------------------- table */

/* With the lock. */
static struct agent_chain *
take(struct agent *agent, uint64_t id)
{
    struct agent_chain **at = &agent->chains[id % AGENT_BUCKETS], *chain;

    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    chain = *at;
    if (chain == NULL)
        return NULL;
    *at = chain->next;
    agent->chain_count--;
    return chain;
}

static void
free_chain(struct agent_chain *chain)
{
    if (chain->down != NULL)
        protobuf_c_message_free_unpacked(&chain->down->base, NULL);
    free(chain);
}

/* --------------------------------------------------------------------------------- ends */

static enum worker_end_kind
kind_of(Rpc__HostEndKind kind)
{
    static const enum worker_end_kind kinds[] = {
        [RPC__HOST_END_KIND__HOST_END_NONE] = WORKER_FAILED,
        [RPC__HOST_END_KIND__HOST_END_DONE] = WORKER_DONE,
        [RPC__HOST_END_KIND__HOST_END_EXIT] = WORKER_EXIT,
        [RPC__HOST_END_KIND__HOST_END_TRAP] = WORKER_TRAP,
        [RPC__HOST_END_KIND__HOST_END_LIMIT] = WORKER_LIMIT,
        [RPC__HOST_END_KIND__HOST_END_CANCELLED] = WORKER_CANCELLED,
        [RPC__HOST_END_KIND__HOST_END_FAILED] = WORKER_FAILED,
        [RPC__HOST_END_KIND__HOST_END_LOST] = WORKER_LOST,
    };

    return kinds[kind];
}

static struct worker_end
end_of(const struct agent_chain *chain)
{
    struct worker_end end = {.kind = chain->kind,
                             .err = chain->err,
                             .message = chain->message,
                             .backtrace = "",
                             .saved_fd = -1};
    const Rpc__HostEnd *words = chain->down != NULL ? chain->down->chain_end->end : NULL;

    if (words == NULL)
        return end;
    end.kind = kind_of(words->kind);
    end.exit_code = words->exit_code;
    end.err = words->err;
    end.limit = words->limit;
    end.trap = words->trap;
    end.message = words->message;
    end.result = words->output.data;
    end.result_bytes = words->output.len;
    end.log = words->log.data;
    end.log_bytes = words->log.len;
    return end;
}

/* Out of the table, and freed where the cell has heard it, or is over. */
static void
answer(struct agent *agent, struct agent_chain *chain)
{
    const struct worker_end end = end_of(chain);
    int err = fault_point("agent.answer");

    if (err == 0)
        err = worker_chain_end(agent->worker, chain->id, &end);
    if (err != -EAGAIN) {
        free_chain(chain);
        return;
    }
    (void)pthread_mutex_lock(&agent->lock);
    chain->next = agent->late;
    agent->late = chain;
    (void)pthread_mutex_unlock(&agent->lock);
    agent_retry(agent);
}

static void
fail(struct agent *agent, struct agent_chain *chain, enum worker_end_kind kind, int err,
     const char *message)
{
    chain->kind = kind;
    chain->err = err;
    chain->message = message;
    answer(agent, chain);
}

void
agent_chain_retry(struct agent *agent)
{
    struct agent_chain *late;

    (void)pthread_mutex_lock(&agent->lock);
    late = agent->late;
    agent->late = NULL;
    (void)pthread_mutex_unlock(&agent->lock);
    while (late != NULL) {
        struct agent_chain *chain = late;

        late = chain->next;
        answer(agent, chain);
    }
}

void
agent_hear_chain_end(struct agent *agent, Rpc__HostDown *down)
{
    struct agent_chain *chain;

    (void)pthread_mutex_lock(&agent->lock);
    chain = take(agent, down->chain_end->number);
    (void)pthread_mutex_unlock(&agent->lock);
    if (chain == NULL) {
        protobuf_c_message_free_unpacked(&down->base, NULL);
        return;
    }
    chain->down = down;
    fail(agent, chain, WORKER_FAILED, -EPROTO, "the planner did not say how it ended");
}

void
agent_chain_lose_all(struct agent *agent)
{
    for (unsigned i = 0; i < AGENT_BUCKETS; i++)
        for (;;) {
            struct agent_chain *chain;

            (void)pthread_mutex_lock(&agent->lock);
            chain = agent->chains[i];
            if (chain != NULL)
                chain = take(agent, chain->id);
            (void)pthread_mutex_unlock(&agent->lock);
            if (chain == NULL)
                break;
            fail(agent, chain, WORKER_LOST, -ECONNRESET,
                 "the connection to the planner was lost, and with it what became of this call");
        }
}

void
agent_chain_free_all(struct agent *agent)
{
    for (unsigned i = 0; i < AGENT_BUCKETS; i++)
        while (agent->chains[i] != NULL)
            free_chain(take(agent, agent->chains[i]->id));
    while (agent->late != NULL) {
        struct agent_chain *chain = agent->late;

        agent->late = chain->next;
        free_chain(chain);
    }
}

/* ------------------------------------------------------------------------------- asking */

/* With the lock: where its parent is over. */
static const char *
tenant_of(const struct agent *agent, const struct worker_tenant *handle)
{
    for (const struct agent_function *function = agent->every_function; function != NULL;
         function = function->every_next)
        if (function->tenant != NULL && function->tenant->handle == handle)
            return function->tenant->name;
    return NULL;
}

struct origin {
    uint64_t parent, epoch;
    char tenant[AGENT_NAME_BYTES_MAX + 1];
};

/* With the lock; and the chain enters the table, if it can be asked for. */
static int
begin(struct agent *agent, const struct worker_chain *wanted, struct agent_chain *chain,
      struct origin *origin)
{
    struct agent_chain **head = &agent->chains[wanted->id % AGENT_BUCKETS];
    const char *tenant = NULL;

    origin->epoch = agent_epoch(agent);
    origin->parent = agent_run_parent(agent, wanted->parent, &tenant);
    if (tenant == NULL && wanted->parent != 0)
        return -ESRCH;
    if (tenant == NULL)
        tenant = tenant_of(agent, wanted->tenant);
    if (tenant == NULL || origin->epoch == 0)
        return -EHOSTUNREACH;
    if (agent->chain_count >= AGENT_CHAINS_MAX)
        return -EAGAIN;
    (void)snprintf(origin->tenant, sizeof(origin->tenant), "%s", tenant);
    chain->next = *head;
    *head = chain;
    agent->chain_count++;
    return 0;
}

/* A call that has just begun can be found as soon as the link is done with it. */
static int
begin_found(struct agent *agent, const struct worker_chain *wanted, struct agent_chain *chain,
            struct origin *origin)
{
    struct worker_chain orphan = *wanted;
    int err;

    (void)pthread_mutex_lock(&agent->lock);
    err = begin(agent, wanted, chain, origin);
    (void)pthread_mutex_unlock(&agent->lock);
    if (err != -ESRCH)
        return err;
    (void)pthread_mutex_lock(&agent->start_lock);
    (void)pthread_mutex_lock(&agent->lock);
    err = begin(agent, wanted, chain, origin);
    orphan.parent = 0;
    if (err == -ESRCH)
        err = begin(agent, &orphan, chain, origin);
    (void)pthread_mutex_unlock(&agent->lock);
    (void)pthread_mutex_unlock(&agent->start_lock);
    return err;
}

static int
ask(struct agent *agent, const struct worker_chain *wanted, const struct origin *origin)
{
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    Rpc__HostChain words = RPC__HOST_CHAIN__INIT;

    words.number = wanted->id;
    words.parent = origin->parent;
    words.tenant = (char *)(uintptr_t)origin->tenant;
    words.reference = (char *)(uintptr_t)wanted->reference;
    words.input = (ProtobufCBinaryData){wanted->input_bytes, (uint8_t *)(uintptr_t)wanted->input};
    words.wall_ns = wanted->wall_ns;
    words.depth = wanted->depth;
    words.is_detached = wanted->is_detached;
    up.is_case = RPC__HOST_UP__IS_CHAIN;
    up.chain = &words;
    return agent_send(agent, origin->epoch, &up);
}

static void
refuse(struct agent *agent, struct agent_chain *chain, int err)
{
    if (err == -EHOSTUNREACH || err == -EPIPE)
        fail(agent, chain, WORKER_FAILED, -EHOSTUNREACH,
             "the planner cannot be reached now, so no other function can");
    else
        fail(agent, chain, WORKER_FAILED, err == -ENOBUFS ? -EAGAIN : err,
             "this host cannot ask the planner for more calls now");
}

void
agent_chain_heard(void *context, const struct worker_chain *wanted)
{
    struct agent *agent = context;
    struct agent_chain *chain = fault_point("agent.chain") != 0 ? NULL : calloc(1, sizeof(*chain));
    struct origin origin;
    int err;

    if (chain == NULL) {
        const struct worker_end end = {
            .kind = WORKER_FAILED, .err = -ENOMEM, .message = "no memory", .saved_fd = -1};

        /* A cell that does not read so much waits until its call's time is up. */
        (void)!worker_chain_end(agent->worker, wanted->id, &end);
        return;
    }
    chain->id = wanted->id;
    err = begin_found(agent, wanted, chain, &origin);
    if (err != 0) {
        refuse(agent, chain, err);
        return;
    }
    err = ask(agent, wanted, &origin);
    if (err == 0)
        return;
    (void)pthread_mutex_lock(&agent->lock);
    chain = take(agent, wanted->id);
    (void)pthread_mutex_unlock(&agent->lock);
    if (chain != NULL)
        refuse(agent, chain, err);
}

void
agent_chain_cancelled(void *context, uint64_t id)
{
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    Rpc__HostChainCancel words = RPC__HOST_CHAIN_CANCEL__INIT;
    struct agent *agent = context;
    struct agent_chain *chain;
    uint64_t epoch;

    (void)pthread_mutex_lock(&agent->lock);
    chain = take(agent, id);
    epoch = agent_epoch(agent);
    (void)pthread_mutex_unlock(&agent->lock);
    if (chain == NULL)
        return;
    /* The worker keeps what it has of it until it is told an end. */
    fail(agent, chain, WORKER_CANCELLED, 0, "nobody waits for it any more");
    words.number = id;
    up.is_case = RPC__HOST_UP__IS_CHAIN_CANCEL;
    up.chain_cancel = &words;
    /* One that cannot be told costs the planner a call that nobody waits for. */
    (void)!agent_send(agent, epoch, &up);
}
