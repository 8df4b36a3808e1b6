/* SPDX-License-Identifier: Apache-2.0
 *
 * queue: whose turn it is. Pure: time is an argument, and who asks says what fits.
 *
 * Between tenants, stride scheduling: each has a pass, which grows by what its calls take,
 * divided by its weight; the one with the lowest pass is next. A tenant that comes back
 * after a pause starts at the pass of the queue, so it can neither save up nor owe. In a
 * tenant, higher priority first, then who came first.
 *
 * A call that does not fit lets others pass for a while (hold_ns); then it is held: what gets
 * free is kept for it, so that small calls cannot keep a gang waiting for ever. As long as
 * calls without a near end are in its way, short ones may go on passing: when it could start
 * but for them, they stop.
 */
#ifndef WEFT_PLANNER_QUEUE_H
#define WEFT_PLANNER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define QUEUE_PRIORITIES 10u
#define QUEUE_LOOK_MAX   8u /* calls of a tenant that are tried behind one that does not fit */

struct queue;
struct queue_tenant;

/* In the caller's memory; it stays there while it is queued. */
struct queue_item {
    struct queue_item *next, *previous; /* the queue's */
    struct queue_tenant *tenant;        /* NULL: not queued */
    uint32_t members, priority;         /* 0 to 9, higher first */
    bool is_short;                      /* its time limit ends it soon */
    bool is_owed;                       /* not to be refused: it was accepted before */
    uint64_t number;                    /* the queue's: in which order they came */
    uint64_t since_ns, not_before_ns;   /* when it came; a retry's pause */
};

int queue_create(uint64_t hold_ns, struct queue **out) MUST_CHECK;
void queue_destroy(struct queue *queue); /* items are the caller's; NULL is fine */

/* weight at least 1; running_max, waiting_max 0: no limit. */
struct queue_share {
    uint32_t weight, running_max, waiting_max;
};
int queue_tenant_add(struct queue *queue, const struct queue_share *share,
                     struct queue_tenant **out) MUST_CHECK;
void queue_tenant_change(struct queue_tenant *tenant, const struct queue_share *share);
/* Has no items, and none of its calls runs. */
void queue_tenant_remove(struct queue_tenant *tenant);

/* -EAGAIN: waiting_max, of what is not owed. */
int queue_push(struct queue_tenant *tenant, struct queue_item *item, uint64_t now_ns) MUST_CHECK;
/* Back where it was, after a start that failed: before those that came later. */
void queue_push_back(struct queue_tenant *tenant, struct queue_item *item);
void queue_remove(struct queue_item *item); /* not queued is fine */

/* Starts it where it fits. It is not queued during this. */
enum queue_try {
    QUEUE_STARTED,
    QUEUE_DROPPED,    /* never to be started; the caller's again */
    QUEUE_WAIT_SHORT, /* it would fit if all short calls were over */
    QUEUE_WAIT_LONG,  /* not even then */
    QUEUE_WAIT_HOSTS, /* not even on empty hosts: nothing is held for it */
};
typedef enum queue_try (*queue_try_fn)(void *context, struct queue_item *item);

/* Starts one call; false: none that waits can start. */
bool queue_next(struct queue *queue, uint64_t now_ns, queue_try_fn try_start, void *context);

/* A started call of the tenant is over: what it took is free. */
void queue_finished(struct queue_tenant *tenant, uint32_t members);

size_t queue_waiting(const struct queue_tenant *tenant);
/* Whether waiting_max is reached, with so many that are on their way. */
bool queue_is_full(const struct queue_tenant *tenant, size_t arriving);
uint32_t queue_running(const struct queue_tenant *tenant);

#endif
