/* SPDX-License-Identifier: Apache-2.0
 *
 * The planner around its core. Everything is under its one lock, but what is over: that is
 * taken off a list and told without it.
 */
#ifndef WEFT_PLANNER_INTERNAL_H
#define WEFT_PLANNER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "planner/core.h"
#include "planner/ledger.h"
#include "planner/planner.h"

#define PLANNER_BUCKETS        65536u
#define PLANNER_WEIGHT_DEFAULT 100u
#define PLANNER_LEASE_NS       UINT64_C(10000000000)
#define PLANNER_KEPT_S         86400u
#define PLANNER_COLLECT_NS     UINT64_C(10000000000)

struct tenant {
    struct tenant *next;
    struct core_tenant *core;
    size_t arriving; /* calls on their way into the store */
    char name[PLANNER_TENANT_BYTES_MAX + 1];
};

struct call {
    struct call *chain; /* of the table */
    struct call *next;  /* among those that are over */
    struct planner *planner;
    uint64_t id;
    struct core_call *core; /* NULL: not queued yet, or over */
    struct tenant *tenant;  /* on its way into the store; else NULL */
    Ledger__Call *record;   /* owned; with the result when it is over */
    bool is_async, is_cancelled;
    bool is_end_unknown;         /* the store may have its end, or not */
    uint32_t attempt;            /* whose results are in the record */
    uint64_t begin_ns, queue_ns; /* queue_ns: until its first start here */
    planner_accepted_fn accepted;
    planner_end_fn on_end;
    void *context;
};

struct planner_host {
    struct planner_host *next;
    struct planner *planner;
    struct core_host *core; /* NULL: it is down */
    char *name;
    uint32_t slots;
    bool is_draining, is_leaving;
    struct planner_host_ops ops;
    void *context;
};

struct planner {
    struct planner_config config;
    char *lease, *holder;
    uint64_t term;
    struct ledger *ledger;
    struct core *core;
    pthread_mutex_t lock;
    pthread_cond_t timer;
    pthread_t thread;
    pthread_t collector; /* removes ends that were kept for long enough */
    pthread_cond_t collecting;
    bool has_thread, has_collector, is_ending;
    _Atomic uint64_t renewed_ns; /* when the lease was last asked for with success */
    uint64_t asleep_until_ns;    /* the timer's; 0: it is awake */
    _Atomic bool is_leading;
    struct call *calls[PLANNER_BUCKETS];
    uint32_t call_count;
    uint64_t next_id;
    struct call *over, **over_end; /* to be told */
    struct call *unwritten;        /* over, but the store did not take it: the timer tries again */
    struct tenant *tenants;
    struct planner_host *hosts;
    struct planner_usage usage;
};

/* With the lock: the tenant, made where there is none. -ENOMEM. */
int planner_tenant(struct planner *planner, const char *name, struct tenant **out) MUST_CHECK;
/* With the lock. NULL: there is none. */
struct call *planner_find(const struct planner *planner, uint64_t id);
/* With the lock: time has passed, and something may be possible now. */
void planner_turn(struct planner *planner);
/* With the lock, which is let go: tells what is over. */
void planner_unlock(struct planner *planner);
/* Without the lock: ends that the store did not take. */
void planner_write_again(struct planner *planner);
/* core_act_fn. */
void planner_act(void *planner, const struct core_action *action);
/* With the lock: a call of the store goes on. */
int planner_resume(struct planner *planner, const Ledger__Call *record) MUST_CHECK;
void planner_call_free(struct call *call);
/* The lease is lost. */
void planner_lose(struct planner *planner);
/* With the lock: the tenant, if there is one. */
struct core_tenant *planner_find_tenant(const struct planner *planner, const char *name);
/* With the lock: one that is not over, of this tenant. */
struct call *planner_find_of(const struct planner *planner, const char *tenant, uint64_t id);
/* A message of its own; NULL: no memory. */
Ledger__Call *planner_copy(const Ledger__Call *from);
/* A thread that removes old ends, until is_ending. */
void *planner_collect(void *planner);

#endif
