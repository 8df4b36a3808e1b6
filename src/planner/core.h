/* SPDX-License-Identifier: Apache-2.0
 *
 * core: what the planner decides, as a machine: events in, actions out. It has no clock,
 * no threads and no I/O, so a test can be its world: hosts that die, words that are late.
 *
 *   submit -> QUEUED -> (placed) -> RUNNING -> all members ended -> over
 *                ^                     |
 *                +---- a retry's pause +-- lost, or failed and to be tried again
 *
 * A run of a call is named by (call, attempt). What is heard of an older attempt is not
 * listened to: a call has one end, whatever late hosts say.
 */
#ifndef WEFT_PLANNER_CORE_H
#define WEFT_PLANNER_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "planner/place.h"
#include "planner/queue.h"

#define CORE_MEMBERS_MAX 65536u
#define CORE_PARTS_MAX   256u /* hosts of one gang */

struct core;
struct core_host;
struct core_tenant;
struct core_call;

struct core_config {
    const char *policy;      /* of place.h */
    uint64_t hold_ns;        /* of queue.h */
    uint64_t short_ns;       /* calls with such a time limit or less are short */
    uint64_t silence_ns_max; /* after which a host that says nothing is taken for dead */
    uint64_t misfit_ns;      /* how long a call waits for hosts that are large enough */
    uint64_t retry_ns_max;   /* longest pause before a retry */
};

/* -EINVAL: no such policy. */
int core_create(const struct core_config *config, struct core **out) MUST_CHECK;
void core_destroy(struct core *core); /* with all it has; NULL is fine */
int core_set_policy(struct core *core, const char *policy) MUST_CHECK;

/* -------------------------------------------------------------------------- actions */

enum core_end {
    CORE_ENDED, /* as its members said; the worst of them */
    CORE_CANCELLED,
    CORE_LATE,   /* its deadline passed before it could start */
    CORE_LOST,   /* its host died, and it is not to be tried again */
    CORE_MISFIT, /* no host, or set of hosts, is large enough */
};

enum core_action_kind {
    CORE_START, /* these members of the call, on this host, as this attempt */
    CORE_STOP,  /* the same are not wanted any more; the host ends them */
    CORE_OVER,  /* the call has come to its end: tell who asked; it is freed afterwards */
    CORE_GONE,  /* the host is down, also of silence, and all it ran was lost; it is freed too */
};

struct core_action { /* valid until the next event */
    enum core_action_kind kind;
    struct core_call *call;
    struct core_host *host;
    uint32_t attempt, first_member, members;
    enum core_end end;
};

/* Called in order, from inside of the events below; must not call core_* but the functions
 * that only look. */
typedef void (*core_act_fn)(void *context, const struct core_action *action);
void core_set_actor(struct core *core, core_act_fn act, void *context);

/* ---------------------------------------------------------------------------- hosts */

struct core_capacity {
    uint32_t slots;
    uint64_t memory;
};
/* A host has come, with nothing running. owner: the caller's, for actions. */
int core_host_up(struct core *core, const struct core_capacity *capacity, void *owner,
                 uint64_t now_ns, struct core_host **out) MUST_CHECK;
void *core_host_owner(const struct core_host *host);
/* It said something. */
void core_host_heard(struct core_host *host, uint64_t now_ns);
void core_host_drain(struct core_host *host, bool is_draining, uint64_t now_ns);
void core_host_leaving(struct core_host *host, bool is_leaving);
/* It is dead: all it ran is lost. */
void core_host_down(struct core_host *host, uint64_t now_ns);
uint32_t core_host_used(const struct core_host *host);

/* -------------------------------------------------------------------------- tenants */

int core_tenant_add(struct core *core, const struct queue_share *share,
                    struct core_tenant **out) MUST_CHECK;
void core_tenant_change(struct core_tenant *tenant, const struct queue_share *share);
/* Whether its queue takes no more, with so many that are on their way. */
bool core_tenant_is_full(const struct core_tenant *tenant, size_t arriving);
/* Its calls end as CANCELLED; gone when the last one is over. */
void core_tenant_remove(struct core_tenant *tenant, uint64_t now_ns);

/* Each call that is not over, in no order. */
void core_tenant_visit(const struct core_tenant *tenant,
                       void (*visit)(void *context, const struct core_call *call), void *context);

/* ---------------------------------------------------------------------------- calls */

/* What a host has for a call: for locality. */
struct core_nearness {
    bool has_cell, has_image;
    uint32_t warm, peers;
    uint64_t state_bytes;
};
typedef void (*core_near_fn)(void *context, const struct core_call *call,
                             const struct core_host *host, struct core_nearness *out);
void core_set_near(struct core *core, core_near_fn near, void *context);

struct core_submit {
    uint64_t id; /* the caller's; told in nothing but actions */
    void *owner;
    uint32_t members, priority, hosts_max;
    uint64_t memory_each;
    uint64_t wall_ns;       /* its time limit; 0: none */
    uint64_t deadline_ns;   /* by which it must have started; UINT64_MAX: none */
    uint32_t attempts;      /* beside the first */
    uint32_t attempts_used; /* before a restart of the planner */
    uint64_t pause_ns;      /* before the second attempt; doubled for each later one */
    bool only_if_lost;
    bool is_owed;  /* not to be refused for the length of the queue */
    uint64_t dice; /* for jitter of pauses */
};
/* -EAGAIN: the tenant's queue is full. -EINVAL, -ENOMEM. */
int core_submit(struct core_tenant *tenant, const struct core_submit *submit, uint64_t now_ns,
                struct core_call **out) MUST_CHECK;
uint64_t core_call_id(const struct core_call *call);
void *core_call_owner(const struct core_call *call);
uint32_t core_call_attempt(const struct core_call *call);

/* A host says that so many members of an attempt are over; is_failure: so that the call is
 * to be tried again where it may. Of an older attempt, or of a call that is not there: the
 * caller does not ask (it finds calls by id), or nothing happens. */
void core_ended(struct core_call *call, struct core_host *host, uint32_t attempt, uint32_t members,
                bool is_failure, uint64_t now_ns);
/* Members that a host could not keep (its cell died). */
void core_lost(struct core_call *call, struct core_host *host, uint32_t attempt, uint64_t now_ns);
void core_cancel(struct core_call *call, uint64_t now_ns);

/* Calls that wait, and that run. */
void core_count(const struct core *core, uint64_t *waiting, uint64_t *running);

/* Time has passed: hosts that were silent are down, deadlines and pauses are over, what fits
 * is started. To be called after other events too (they only note what became possible). */
void core_tick(struct core *core, uint64_t now_ns);
/* When something happens by itself next, or earlier; UINT64_MAX: nothing. */
uint64_t core_due_ns(const struct core *core);

#endif
