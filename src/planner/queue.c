/* SPDX-License-Identifier: Apache-2.0
 *
 * Fair shares by stride scheduling (Waldspurger and Weihl, 1995), in memory.
 */
#include "planner/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

#define STRIDE UINT64_C(1048576) /* of one member at weight 1 */

struct line {
    struct queue_item *first, *last;
};

struct queue_tenant {
    struct queue_tenant *next;
    struct queue *queue;
    struct queue_share share;
    struct line lines[QUEUE_PRIORITIES];
    size_t waiting;
    uint32_t running;
    uint64_t pass;
    bool is_tried; /* in this round of queue_next */
};

struct queue {
    struct queue_tenant *tenants;
    uint64_t hold_ns, pass; /* pass: of who started last */
    uint64_t pushed;
    struct queue_item *held;
};

int
queue_create(uint64_t hold_ns, struct queue **out)
{
    struct queue *queue = calloc(1, sizeof(*queue));

    if (queue == NULL)
        return -ENOMEM;
    queue->hold_ns = hold_ns;
    *out = queue;
    return 0;
}

void
queue_destroy(struct queue *queue)
{
    if (queue == NULL)
        return;
    while (queue->tenants != NULL) {
        struct queue_tenant *tenant = queue->tenants;

        queue->tenants = tenant->next;
        free(tenant);
    }
    free(queue);
}

/* -------------------------------------------------------------------------- tenants */

int
queue_tenant_add(struct queue *queue, const struct queue_share *share, struct queue_tenant **out)
{
    struct queue_tenant *tenant = calloc(1, sizeof(*tenant));

    ASSERT(share->weight > 0);
    if (tenant == NULL)
        return -ENOMEM;
    tenant->queue = queue;
    tenant->share = *share;
    tenant->pass = queue->pass;
    tenant->next = queue->tenants;
    queue->tenants = tenant;
    *out = tenant;
    return 0;
}

void
queue_tenant_change(struct queue_tenant *tenant, const struct queue_share *share)
{
    ASSERT(share->weight > 0);
    tenant->share = *share;
}

void
queue_tenant_remove(struct queue_tenant *tenant)
{
    struct queue_tenant **at = &tenant->queue->tenants;

    ASSERT(tenant->waiting == 0 && tenant->running == 0);
    while (*at != tenant)
        at = &(*at)->next;
    *at = tenant->next;
    free(tenant);
}

size_t
queue_waiting(const struct queue_tenant *tenant)
{
    return tenant->waiting;
}

bool
queue_is_full(const struct queue_tenant *tenant, size_t arriving)
{
    return tenant->share.waiting_max != 0 &&
           tenant->waiting + arriving >= tenant->share.waiting_max;
}

uint32_t
queue_running(const struct queue_tenant *tenant)
{
    return tenant->running;
}

/* ---------------------------------------------------------------------------- lines */

static struct line *
line_of(struct queue_tenant *tenant, const struct queue_item *item)
{
    ASSERT(item->priority < QUEUE_PRIORITIES);
    return &tenant->lines[item->priority];
}

/* Behind `after`; NULL: in front of all. */
static void
enter(struct queue_tenant *tenant, struct queue_item *item, struct queue_item *after)
{
    struct line *line = line_of(tenant, item);

    /* Who comes back starts with the others. */
    if (tenant->waiting == 0 && tenant->running == 0 && tenant->pass < tenant->queue->pass)
        tenant->pass = tenant->queue->pass;
    item->tenant = tenant;
    item->previous = after;
    item->next = after != NULL ? after->next : line->first;
    if (item->next != NULL)
        item->next->previous = item;
    else
        line->last = item;
    if (after != NULL)
        after->next = item;
    else
        line->first = item;
    tenant->waiting++;
}

int
queue_push(struct queue_tenant *tenant, struct queue_item *item, uint64_t now_ns)
{
    ASSERT(item->tenant == NULL && item->members > 0);
    if (!item->is_owed && queue_is_full(tenant, 0))
        return -EAGAIN;
    item->since_ns = now_ns;
    item->number = tenant->queue->pushed++;
    enter(tenant, item, line_of(tenant, item)->last);
    return 0;
}

void
queue_push_back(struct queue_tenant *tenant, struct queue_item *item)
{
    struct queue_item *after = line_of(tenant, item)->last;

    ASSERT(item->tenant == NULL);
    while (after != NULL && after->number > item->number)
        after = after->previous;
    enter(tenant, item, after);
}

void
queue_remove(struct queue_item *item)
{
    struct queue_tenant *tenant = item->tenant;
    struct line *line;

    if (tenant == NULL)
        return;
    line = line_of(tenant, item);
    if (item->previous != NULL)
        item->previous->next = item->next;
    else
        line->first = item->next;
    if (item->next != NULL)
        item->next->previous = item->previous;
    else
        line->last = item->previous;
    if (tenant->queue->held == item)
        tenant->queue->held = NULL;
    item->tenant = NULL;
    item->next = item->previous = NULL;
    tenant->waiting--;
}

/* ----------------------------------------------------------------------------- next */

static bool
is_within_limit(const struct queue_tenant *tenant, const struct queue_item *item)
{
    uint32_t most = tenant->share.running_max;

    /* A gang larger than the limit runs alone; else it would never. */
    return most == 0 || tenant->running == 0 ||
           (tenant->running < most && item->members <= most - tenant->running);
}

static void
account(struct queue_tenant *tenant, uint32_t members)
{
    tenant->running += members;
    if (tenant->queue->pass < tenant->pass)
        tenant->queue->pass = tenant->pass;
    tenant->pass += members * STRIDE / tenant->share.weight;
}

/* It leaves the line first: try_start may end it, and free it. */
static enum queue_try
start(struct queue_item *item, queue_try_fn try_start, void *context)
{
    struct queue_tenant *tenant = item->tenant;
    struct queue_item *after = item->previous;
    struct queue *queue = tenant->queue;
    bool was_held = queue->held == item;
    uint32_t members = item->members;
    enum queue_try result;

    queue_remove(item);
    result = try_start(context, item);
    if (result == QUEUE_STARTED)
        account(tenant, members);
    if (result == QUEUE_STARTED || result == QUEUE_DROPPED)
        return result;
    enter(tenant, item, after);
    if (was_held && result != QUEUE_WAIT_HOSTS)
        queue->held = item;
    return result;
}

/* The first of a tenant's calls that starts; of the short ones only, where one is held. */
static bool
start_one_of(struct queue_tenant *tenant, uint64_t now_ns, queue_try_fn try_start, void *context)
{
    struct queue *queue = tenant->queue;
    unsigned looked = 0;

    for (unsigned priority = QUEUE_PRIORITIES; priority-- > 0;) {
        struct queue_item *item = tenant->lines[priority].first, *next;

        for (; item != NULL && looked < QUEUE_LOOK_MAX; item = next) {
            enum queue_try result;

            next = item->next;
            if (item->not_before_ns > now_ns || item == queue->held)
                continue;
            if (!is_within_limit(tenant, item)) {
                /* Its tenant's own calls pass it only for a while, too. */
                if (now_ns - item->since_ns >= queue->hold_ns)
                    return false;
                continue;
            }
            if (queue->held != NULL && !item->is_short)
                continue;
            result = start(item, try_start, context);
            if (result == QUEUE_STARTED)
                return true;
            looked += result != QUEUE_DROPPED;
            if ((result == QUEUE_WAIT_SHORT || result == QUEUE_WAIT_LONG) && queue->held == NULL &&
                now_ns - item->since_ns >= queue->hold_ns) {
                queue->held = item;
                if (result == QUEUE_WAIT_SHORT)
                    return false;
            }
        }
    }
    return false;
}

static struct queue_tenant *
lowest_pass(const struct queue *queue)
{
    struct queue_tenant *best = NULL;

    for (struct queue_tenant *tenant = queue->tenants; tenant != NULL; tenant = tenant->next)
        if (!tenant->is_tried && tenant->waiting > 0 && (best == NULL || tenant->pass < best->pass))
            best = tenant;
    return best;
}

bool
queue_next(struct queue *queue, uint64_t now_ns, queue_try_fn try_start, void *context)
{
    struct queue_tenant *tenant;

    /* What would be kept for it is not what it lacks. */
    if (queue->held != NULL && !is_within_limit(queue->held->tenant, queue->held))
        queue->held = NULL;
    if (queue->held != NULL) {
        enum queue_try result = start(queue->held, try_start, context);

        if (result == QUEUE_STARTED || result == QUEUE_WAIT_SHORT)
            return result == QUEUE_STARTED;
    }
    for (tenant = queue->tenants; tenant != NULL; tenant = tenant->next)
        tenant->is_tried = false;
    while ((tenant = lowest_pass(queue)) != NULL) {
        bool had_held = queue->held != NULL;

        if (start_one_of(tenant, now_ns, try_start, context))
            return true;
        if (!had_held && queue->held != NULL) /* from now on with its rules */
            return queue_next(queue, now_ns, try_start, context);
        tenant->is_tried = true;
    }
    return false;
}

void
queue_finished(struct queue_tenant *tenant, uint32_t members)
{
    ASSERT(tenant->running >= members);
    tenant->running -= members;
}
