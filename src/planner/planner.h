/* SPDX-License-Identifier: Apache-2.0
 *
 * planner: who runs where, and what must not be forgotten.
 *
 *   submit --(asynchronous: in the store first)--> queue -> hosts that have room -> end
 *
 * It decides with a machine without clock and I/O (core.h: a fair queue, policies, retries,
 * fencing of silent hosts) and keeps asynchronous calls in a store (ledger.h). Hosts are
 * given to it as functions to call: who connects them, in this process or over a wire, is
 * the caller's matter.
 *
 * One planner leads, by a lease of the store. One that has lost it ends by itself: it starts
 * and writes nothing any more, and its on_lost is called.
 *
 * All functions may be called from any thread, but not from the functions of a host, which
 * are called under the planner's lock.
 */
#ifndef WEFT_PLANNER_H
#define WEFT_PLANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "planner/ledger.pb-c.h"
#include "store/store.h"

#define PLANNER_TENANT_BYTES_MAX 63u
#define PLANNER_CALLS_MAX        (1u << 20)
#define PLANNER_WAITING_DEFAULT  (PLANNER_CALLS_MAX / 16) /* of a tenant */
#define PLANNER_ATTEMPTS_MAX     1000u
#define PLANNER_SILENCE_NS       UINT64_C(5000000000)
#define PLANNER_OUTPUT_BYTES_MAX (8u << 20) /* of an asynchronous call */

struct planner;
struct planner_host;

struct planner_config {
    struct store *store; /* borrowed */
    const char *lease;   /* NULL: "planner" */
    const char *holder;  /* a name that no other process ever has */
    const char *policy;  /* NULL: "binpack" */
    uint64_t lease_ns;   /* 0: 10 s */
    uint64_t silence_ns; /* after which a host that is not heard is dead; 0: the default */
    uint64_t kept_s;     /* how long ends of asynchronous calls are kept; 0: a day */
    void (*on_lost)(void *context); /* or NULL */
    /* Each call that is over (and recorded, where it is asynchronous), after its own on_end;
     * on some thread, without locks. Or NULL. */
    void (*on_over)(void *context, const Ledger__Call *call);
    void *context;
};

/* Takes the lease and goes on with what the store has. -EBUSY: another leads: try again
 * later (that is how one stands by). -EINVAL: the policy. */
int planner_create(const struct planner_config *config, struct planner **out,
                   struct diag *diag) MUST_CHECK;
/* Synchronous calls end as CANCELLED; asynchronous ones are in the store. Gives the lease
 * back. NULL is fine. */
void planner_destroy(struct planner *planner);
bool planner_is_leading(const struct planner *planner);
/* Of its lease (store.h): who writes beside it under the same lease says so in each commit. */
uint64_t planner_term(const struct planner *planner);

/* ---------------------------------------------------------------------------- hosts */

/* Members of one attempt of a call. */
struct planner_run {
    uint64_t call;
    uint32_t attempt, first_member, members;
};

/* Called under the planner's lock: they must not wait, and must not call it. What a start
 * cannot do is told by planner_run_lost, later. */
struct planner_host_ops {
    void (*start)(void *context, const struct planner_run *run, const Ledger__Call *call);
    void (*stop)(void *context, const struct planner_run *run);
};
struct planner_host_config {
    const char *name; /* unique: told in results */
    uint32_t slots;
    uint64_t memory;
    bool is_draining; /* takes no calls, from the first moment */
    const struct planner_host_ops *ops;
    void *context;
};

/* A host with nothing running. -EEXIST, -ENOMEM. */
int planner_host_up(struct planner *planner, const struct planner_host_config *config,
                    struct planner_host **out, struct diag *diag) MUST_CHECK;
/* False: it was silent for too long, and is down: planner_host_down, and it may come anew. */
bool planner_host_heard(struct planner_host *host);
void planner_host_drain(struct planner_host *host, bool is_draining);
void planner_host_leaving(struct planner_host *host, bool is_leaving);
/* It is gone: what it ran is lost. Its functions are not called any more. One that was
 * silent for too long is down already: this frees it. */
void planner_host_down(struct planner_host *host);

/* Some of a run's members are over. Of an attempt that is over it is ignored. The result is
 * copied; host, queue_ns, attempts and ended_ns are the planner's to say. */
void planner_run_ended(struct planner_host *host, const struct planner_run *run,
                       const Ledger__Result *result);
/* The host could not keep them. */
void planner_run_lost(struct planner_host *host, const struct planner_run *run, const char *reason);

struct planner_host_view {
    const char *name;
    uint32_t slots, used;
    bool is_draining, is_leaving, is_down;
};
typedef bool (*planner_host_fn)(void *context, const struct planner_host_view *host);
void planner_host_list(struct planner *planner, planner_host_fn visit, void *context);

/* -------------------------------------------------------------------------- tenants */

struct planner_share {
    uint32_t weight;      /* 0: 100 */
    uint32_t running_max; /* members at one time; 0: no limit */
    uint32_t waiting_max; /* calls; 0: PLANNER_WAITING_DEFAULT */
};
/* Tenants that nobody told of have the defaults. */
int planner_tenant_set(struct planner *planner, const char *tenant,
                       const struct planner_share *share) MUST_CHECK;

/* ---------------------------------------------------------------------------- calls */

/* The call with its result; valid during this. On some thread, without locks. */
typedef void (*planner_end_fn)(void *context, const Ledger__Call *call);
/* err: 0, or -EEXIST (id: the call that has this key), or the store's: it is not accepted. */
typedef void (*planner_accepted_fn)(void *context, int err, uint64_t id);

/* tenant, function, version, request, key (asynchronous), parent and token of the message
 * are what is wanted; it is copied. on_end is called if and only if this succeeds (and, for
 * an asynchronous call, accepted said 0 and this planner still is when it ends); NULL is fine
 * for asynchronous ones. -EINVAL, -ENOMEM, -EAGAIN (the tenant's queue, or all calls),
 * -ESHUTDOWN (it does not lead). */
int planner_call(struct planner *planner, const Ledger__Call *call, planner_end_fn on_end,
                 void *context, uint64_t *id) MUST_CHECK;
int planner_call_async(struct planner *planner, const Ledger__Call *call,
                       planner_accepted_fn accepted, planner_end_fn on_end,
                       void *context) MUST_CHECK;

/* -ENOENT: there is none, it is another tenant's, or over. */
int planner_cancel(struct planner *planner, const char *tenant, uint64_t id) MUST_CHECK;

/* How it stands: state OPEN while it waits or runs; freed with ledger__call__free_unpacked.
 * Synchronous ones as long as they last. -ENOENT. */
int planner_get(struct planner *planner, const char *tenant, uint64_t id, Ledger__Call **out,
                struct diag *diag) MUST_CHECK;

/* Those of a tenant with numbers above `after`, in order of numbers, at most count (0: all),
 * until visit says false: asynchronous ones as long as the store has them, and what is not
 * over of the others. visit may call the planner. -EINVAL, -ENOMEM, or the store's. */
typedef bool (*planner_visit_fn)(void *context, const Ledger__Call *call);
int planner_list(struct planner *planner, const char *tenant, uint64_t after, uint32_t count,
                 planner_visit_fn visit, void *context, struct diag *diag) MUST_CHECK;

/* A dead letter (state DEAD) is tried again, with all its attempts; or forgotten. They wait
 * for the disk. -ENOENT: it is none. -ESHUTDOWN; -EAGAIN, -ENOMEM: it stays one. */
int planner_retry(struct planner *planner, const char *tenant, uint64_t id,
                  struct diag *diag) MUST_CHECK;
int planner_bury(struct planner *planner, const char *tenant, uint64_t id,
                 struct diag *diag) MUST_CHECK;

/* Of a tenant that is removed: what is open is cancelled, all else is gone. What is cancelled
 * ends a moment later, and is gone when it is done again. Waits for the disk. -ESHUTDOWN. */
int planner_forget(struct planner *planner, const char *tenant, struct diag *diag) MUST_CHECK;
/* The next tenant that the store has calls of; after "": the first. -ENOENT: it was the last. */
int planner_tenant_next(struct planner *planner, char tenant[PLANNER_TENANT_BYTES_MAX + 1],
                        struct diag *diag) MUST_CHECK;

struct planner_usage {
    uint64_t waiting, running, started, ended, retried, lost; /* calls */
};
void planner_usage(struct planner *planner, struct planner_usage *out);

#endif
