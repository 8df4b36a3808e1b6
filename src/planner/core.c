/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls and hosts, and how the one comes to the other.
 */
#include "planner/core.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/macros.h"

#define NEVER UINT64_MAX

enum call_state { CALL_QUEUED, CALL_RUNNING, CALL_OVER };

/* Members of a call on one host. */
struct part {
    struct part *next, **link; /* of the host */
    struct core_call *call;
    struct core_host *host; /* NULL: over */
    uint32_t first, members, left;
};

struct core_call {
    struct queue_item item;         /* first */
    struct core_call *next, **link; /* of the tenant */
    struct core_tenant *tenant;
    struct core_submit submit;
    enum call_state state;
    uint32_t attempt, left;
    bool is_cancelled, is_lost, has_failed;
    struct part *parts; /* owned */
    uint32_t part_count;
    struct heap_item due; /* while it is queued */
};

struct core_host {
    struct core *core;
    struct core_capacity capacity;
    void *owner;
    uint32_t used, used_short;
    uint64_t memory_used, heard_ns;
    bool is_draining, is_leaving;
    struct part *parts;
};

struct core_tenant {
    struct core *core;
    struct core_tenant *next;
    struct queue_tenant *queue;
    struct core_call *calls;
    bool is_removed;
};

struct core {
    struct core_config config;
    place_fn place;
    struct queue *queue;
    struct core_host **hosts; /* owned */
    size_t host_count, host_capacity;
    struct core_tenant *tenants;
    struct heap due; /* queued calls; room for all calls */
    size_t call_count;
    uint64_t room;            /* free slots of hosts that do not drain */
    uint64_t used_short;      /* on all hosts, by members of short calls */
    uint64_t silent_ns;       /* before this no host is silent for too long */
    bool has_strangers;       /* the policy looks at them */
    struct place_host *table; /* scratch of a placement, as many as hosts */
    uint32_t *members;
    uint64_t now_ns; /* of the event */
    core_act_fn act;
    void *act_context;
    core_near_fn near;
    void *near_context;
};

static void
tell(struct core *core, enum core_action_kind kind, struct core_call *call, const struct part *part,
     enum core_end end)
{
    struct core_action action = {.kind = kind, .call = call, .attempt = call->attempt, .end = end};

    if (part != NULL) {
        action.host = part->host;
        action.first_member = part->first;
        action.members = part->members;
    }
    core->act(core->act_context, &action);
}

/* -------------------------------------------------------------- deadlines and pauses */

static struct core_call *
call_of(struct heap_item *due)
{
    return (struct core_call *)(void *)((char *)due - offsetof(struct core_call, due));
}

/* While it is queued it is in the heap by what happens to it first by itself: its pause or
 * its time to start is over. There is room: see core_submit. */
static void
set_due(struct core *core, struct core_call *call)
{
    uint64_t due_ns = call->submit.deadline_ns;

    if (call->item.not_before_ns > core->now_ns && call->item.not_before_ns < due_ns)
        due_ns = call->item.not_before_ns;
    heap_remove(&core->due, &call->due);
    if (due_ns != NEVER)
        heap_add(&core->due, &call->due, due_ns);
}

/* ------------------------------------------------------------------------ core itself */

int
core_create(const struct core_config *config, struct core **out)
{
    struct core *core = calloc(1, sizeof(*core));
    int err;

    if (core == NULL)
        return -ENOMEM;
    core->config = *config;
    core->silent_ns = NEVER;
    err = core_set_policy(core, config->policy);
    if (err == 0)
        err = queue_create(config->hold_ns, &core->queue);
    if (err != 0) {
        free(core);
        return err;
    }
    *out = core;
    return 0;
}

static void
call_free(struct core_call *call)
{
    *call->link = call->next;
    if (call->next != NULL)
        call->next->link = call->link;
    call->tenant->core->call_count--;
    free(call->parts);
    free(call);
}

void
core_destroy(struct core *core)
{
    if (core == NULL)
        return;
    while (core->tenants != NULL) {
        struct core_tenant *tenant = core->tenants;

        while (tenant->calls != NULL) {
            queue_remove(&tenant->calls->item);
            call_free(tenant->calls);
        }
        core->tenants = tenant->next;
        free(tenant);
    }
    for (size_t i = 0; i < core->host_count; i++)
        free(core->hosts[i]);
    queue_destroy(core->queue);
    free(core->hosts);
    heap_fini(&core->due);
    free(core->table);
    free(core->members);
    free(core);
}

int
core_set_policy(struct core *core, const char *policy)
{
    place_fn place = place_policy(policy);

    if (place == NULL)
        return -EINVAL;
    core->place = place;
    core->has_strangers = place == place_policy("compact"); /* to count them takes time */
    return 0;
}

void
core_set_actor(struct core *core, core_act_fn act, void *context)
{
    core->act = act;
    core->act_context = context;
}

void
core_set_near(struct core *core, core_near_fn near, void *context)
{
    core->near = near;
    core->near_context = context;
}

/* -------------------------------------------------------------------------- tenants */

int
core_tenant_add(struct core *core, const struct queue_share *share, struct core_tenant **out)
{
    struct core_tenant *tenant = calloc(1, sizeof(*tenant));
    int err = tenant == NULL ? -ENOMEM : queue_tenant_add(core->queue, share, &tenant->queue);

    if (err != 0) {
        free(tenant);
        return err;
    }
    tenant->core = core;
    tenant->next = core->tenants;
    core->tenants = tenant;
    *out = tenant;
    return 0;
}

bool
core_tenant_is_full(const struct core_tenant *tenant, size_t arriving)
{
    return queue_is_full(tenant->queue, arriving);
}

void
core_tenant_change(struct core_tenant *tenant, const struct queue_share *share)
{
    queue_tenant_change(tenant->queue, share);
}

static void
tenant_free_if_over(struct core_tenant *tenant)
{
    struct core_tenant **at = &tenant->core->tenants;

    if (!tenant->is_removed || tenant->calls != NULL)
        return;
    while (*at != tenant)
        at = &(*at)->next;
    *at = tenant->next;
    queue_tenant_remove(tenant->queue);
    free(tenant);
}

void
core_tenant_remove(struct core_tenant *tenant, uint64_t now_ns)
{
    struct core_call *next;

    for (struct core_call *call = tenant->calls; call != NULL; call = next) {
        next = call->next; /* a call that ends frees itself only */
        core_cancel(call, now_ns);
    }
    tenant->is_removed = true;
    tenant_free_if_over(tenant);
}

void
core_tenant_visit(const struct core_tenant *tenant,
                  void (*visit)(void *context, const struct core_call *call), void *context)
{
    for (const struct core_call *call = tenant->calls; call != NULL; call = call->next)
        visit(context, call);
}

/* ------------------------------------------------------------------- end and retries */

static void
over(struct core_call *call, enum core_end end)
{
    struct core_tenant *tenant = call->tenant;

    ASSERT(call->left == 0);
    call->state = CALL_OVER;
    tell(tenant->core, CORE_OVER, call, NULL, end);
    call_free(call);
    tenant_free_if_over(tenant);
}

/* Doubled for each attempt, and up to a quarter less, so that what failed together does
 * not come back together. */
static uint64_t
pause_ns(const struct core *core, const struct core_call *call)
{
    uint64_t most = core->config.retry_ns_max, pause = call->submit.pause_ns, dice;

    for (uint32_t i = 1; i < call->attempt && pause < most; i++)
        pause *= 2;
    pause = pause < most ? pause : most;
    dice = (call->submit.dice ^ call->submit.id) * UINT64_C(0x9e3779b97f4a7c15) + call->attempt;
    return pause - (dice >> 32) % (pause / 4 + 1);
}

static bool
may_try_again(const struct core_call *call)
{
    if (call->is_cancelled || call->tenant->is_removed || call->attempt > call->submit.attempts)
        return false;
    return call->is_lost || (call->has_failed && !call->submit.only_if_lost);
}

/* All its members are over. */
static void
attempt_over(struct core_call *call)
{
    struct core *core = call->tenant->core;

    free(call->parts);
    call->parts = NULL;
    call->part_count = 0;
    if (may_try_again(call)) {
        call->state = CALL_QUEUED;
        call->item.not_before_ns = core->now_ns + pause_ns(core, call);
        call->is_lost = call->has_failed = false;
        queue_push_back(call->tenant->queue, &call->item);
        set_due(core, call);
        return;
    }
    over(call, call->is_cancelled ? CORE_CANCELLED : call->is_lost ? CORE_LOST : CORE_ENDED);
}

/* So many slots of a host are taken. */
static void
host_take(struct core_host *host, const struct core_call *call, uint32_t members)
{
    struct core *core = host->core;

    host->used += members;
    host->memory_used += members * call->submit.memory_each;
    core->room -= host->is_draining ? 0 : members;
    if (call->item.is_short) {
        host->used_short += members;
        core->used_short += members;
    }
}

static void
host_give(struct core_host *host, const struct core_call *call, uint32_t members)
{
    struct core *core = host->core;

    host->used -= members;
    host->memory_used -= members * call->submit.memory_each;
    core->room += host->is_draining ? 0 : members;
    if (call->item.is_short) {
        host->used_short -= members;
        core->used_short -= members;
    }
}

/* Gives back so many members of a part. */
static void
part_release(struct part *part, uint32_t members)
{
    struct core_call *call = part->call;
    struct core_host *host = part->host;

    ASSERT(members <= part->left && members <= call->left);
    part->left -= members;
    call->left -= members;
    host_give(host, call, members);
    queue_finished(call->tenant->queue, members);
    if (part->left > 0)
        return;
    *part->link = part->next;
    if (part->next != NULL)
        part->next->link = part->link;
    part->host = NULL;
}

/* The members that still run are not wanted any more. */
static void
stop_rest(struct core_call *call)
{
    for (uint32_t i = 0; i < call->part_count; i++)
        if (call->parts[i].host != NULL)
            tell(call->tenant->core, CORE_STOP, call, &call->parts[i], CORE_ENDED);
}

static void
end_members(struct core_call *call, struct part *part, uint32_t members, bool is_bad)
{
    bool was_bad = call->is_lost || call->has_failed || call->is_cancelled;

    part_release(part, members);
    if (call->left > 0 && is_bad && !was_bad)
        stop_rest(call);
}

static struct part *
part_of(const struct core_call *call, const struct core_host *host, uint32_t attempt)
{
    if (call->state != CALL_RUNNING || call->attempt != attempt)
        return NULL;
    for (uint32_t i = 0; i < call->part_count; i++)
        if (call->parts[i].host == host)
            return &call->parts[i];
    return NULL;
}

void
core_ended(struct core_call *call, struct core_host *host, uint32_t attempt, uint32_t members,
           bool is_failure, uint64_t now_ns)
{
    struct part *part = part_of(call, host, attempt);

    call->tenant->core->now_ns = now_ns;
    if (part == NULL || members == 0)
        return;
    end_members(call, part, members < part->left ? members : part->left, is_failure);
    call->has_failed = call->has_failed || is_failure;
    if (call->left == 0)
        attempt_over(call);
}

void
core_lost(struct core_call *call, struct core_host *host, uint32_t attempt, uint64_t now_ns)
{
    struct part *part = part_of(call, host, attempt);

    call->tenant->core->now_ns = now_ns;
    if (part == NULL)
        return;
    end_members(call, part, part->left, true);
    call->is_lost = true;
    if (call->left == 0)
        attempt_over(call);
}

void
core_cancel(struct core_call *call, uint64_t now_ns)
{
    struct core *core = call->tenant->core;

    core->now_ns = now_ns;
    if (call->is_cancelled)
        return;
    call->is_cancelled = true;
    if (call->state == CALL_RUNNING) {
        stop_rest(call);
        return;
    }
    queue_remove(&call->item);
    heap_remove(&core->due, &call->due);
    over(call, CORE_CANCELLED);
}

/* ---------------------------------------------------------------------------- hosts */

static int
grow_hosts(struct core *core)
{
    size_t capacity = core->host_capacity > 0 ? 2 * core->host_capacity : 16;
    void *hosts, *table, *members;

    if (core->host_count < core->host_capacity)
        return 0;
    if (capacity > PLACE_HOSTS_MAX)
        return -EINVAL;
    hosts = realloc(core->hosts, capacity * sizeof(*core->hosts));
    core->hosts = hosts != NULL ? hosts : core->hosts;
    table = realloc(core->table, capacity * sizeof(*core->table));
    core->table = table != NULL ? table : core->table;
    members = realloc(core->members, capacity * sizeof(*core->members));
    core->members = members != NULL ? members : core->members;
    if (hosts == NULL || table == NULL || members == NULL)
        return -ENOMEM;
    core->host_capacity = capacity;
    return 0;
}

int
core_host_up(struct core *core, const struct core_capacity *capacity, void *owner, uint64_t now_ns,
             struct core_host **out)
{
    struct core_host *host;
    int err = grow_hosts(core);

    if (err != 0)
        return err;
    host = calloc(1, sizeof(*host));
    if (host == NULL)
        return -ENOMEM;
    *host =
        (struct core_host){.core = core, .capacity = *capacity, .owner = owner, .heard_ns = now_ns};
    core->hosts[core->host_count++] = host;
    core->room += capacity->slots;
    if (now_ns + core->config.silence_ns_max < core->silent_ns)
        core->silent_ns = now_ns + core->config.silence_ns_max;
    *out = host;
    return 0;
}

void *
core_host_owner(const struct core_host *host)
{
    return host->owner;
}

void
core_host_heard(struct core_host *host, uint64_t now_ns)
{
    host->heard_ns = now_ns;
}

void
core_host_drain(struct core_host *host, bool is_draining, uint64_t now_ns)
{
    struct core *core = host->core;
    uint32_t room = host->capacity.slots - host->used;

    core->now_ns = now_ns;
    if (is_draining && !host->is_draining)
        core->room -= room;
    if (!is_draining && host->is_draining)
        core->room += room;
    host->is_draining = is_draining;
}

void
core_host_leaving(struct core_host *host, bool is_leaving)
{
    host->is_leaving = is_leaving;
}

void
core_host_down(struct core_host *host, uint64_t now_ns)
{
    struct core *core = host->core;
    size_t at = 0;

    core->now_ns = now_ns;
    while (core->hosts[at] != host)
        at++;
    core->hosts[at] = core->hosts[--core->host_count];
    while (host->parts != NULL) {
        struct core_call *call = host->parts->call;

        core_lost(call, host, call->attempt, now_ns);
    }
    core->room -= host->is_draining ? 0 : host->capacity.slots;
    core->act(core->act_context, &(struct core_action){.kind = CORE_GONE, .host = host});
    free(host);
}

uint32_t
core_host_used(const struct core_host *host)
{
    return host->used;
}

/* ------------------------------------------------------------------------- placement */

static void
fill_table(struct core *core, const struct core_call *call, bool is_without_short)
{
    for (size_t i = 0; i < core->host_count; i++) {
        const struct core_host *host = core->hosts[i];
        struct core_nearness near = {0};

        if (core->near != NULL)
            core->near(core->near_context, call, host, &near);
        core->table[i] = (struct place_host){
            .slots = host->capacity.slots,
            .used = host->used - (is_without_short ? host->used_short : 0),
            .memory = host->capacity.memory,
            .memory_used =
                is_without_short && host->used == host->used_short ? 0 : host->memory_used,
            .is_draining = host->is_draining,
            .is_leaving = host->is_leaving,
            .has_cell = near.has_cell,
            .has_image = near.has_image,
            .warm = near.warm,
            .peers = near.peers,
            .state_bytes = near.state_bytes,
        };
        for (const struct part *part = core->has_strangers ? host->parts : NULL; part != NULL;
             part = part->next)
            core->table[i].strangers += part->call->tenant != call->tenant ? part->left : 0;
    }
}

static int
place_now(struct core *core, const struct core_call *call, bool is_without_short)
{
    const struct place_request request = {.members = call->submit.members,
                                          .memory_each = call->submit.memory_each,
                                          .hosts_max = call->submit.hosts_max};

    fill_table(core, call, is_without_short);
    return core->place(core->table, core->host_count, &request, core->members);
}

static void
take_part(struct core_call *call, struct core_host *host, uint32_t first, uint32_t members)
{
    struct part *part = &call->parts[call->part_count++];

    *part = (struct part){.next = host->parts,
                          .link = &host->parts,
                          .call = call,
                          .host = host,
                          .first = first,
                          .members = members,
                          .left = members};
    if (part->next != NULL)
        part->next->link = &part->next;
    host->parts = part;
    host_take(host, call, members);
}

static enum queue_try
begin(struct core *core, struct core_call *call)
{
    uint32_t count = 0, first = 0;

    for (size_t i = 0; i < core->host_count; i++)
        count += core->members[i] > 0;
    call->parts = calloc(count, sizeof(*call->parts));
    if (call->parts == NULL)
        return QUEUE_WAIT_LONG;
    heap_remove(&core->due, &call->due);
    call->state = CALL_RUNNING;
    call->attempt++;
    call->left = call->submit.members;
    for (size_t i = 0; i < core->host_count; i++)
        if (core->members[i] > 0) {
            take_part(call, core->hosts[i], first, core->members[i]);
            first += core->members[i];
        }
    for (uint32_t i = 0; i < call->part_count; i++)
        tell(core, CORE_START, call, &call->parts[i], CORE_ENDED);
    return QUEUE_STARTED;
}

static enum queue_try
misfit(struct core *core, struct core_call *call)
{
    if (core->now_ns - call->item.since_ns < core->config.misfit_ns)
        return QUEUE_WAIT_HOSTS;
    heap_remove(&core->due, &call->due);
    over(call, CORE_MISFIT);
    return QUEUE_DROPPED;
}

static enum queue_try
try_start(void *context, struct queue_item *item)
{
    struct core *core = context;
    struct core_call *call = (struct core_call *)item;
    int err = place_now(core, call, false);

    if (err == 0)
        return begin(core, call);
    if (err == -E2BIG)
        return misfit(core, call);
    if (core->used_short == 0)
        return QUEUE_WAIT_LONG;
    return place_now(core, call, true) == 0 ? QUEUE_WAIT_SHORT : QUEUE_WAIT_LONG;
}

/* ---------------------------------------------------------------------------- calls */

int
core_submit(struct core_tenant *tenant, const struct core_submit *submit, uint64_t now_ns,
            struct core_call **out)
{
    struct core *core = tenant->core;
    struct core_call *call;
    int err;

    if (submit->members == 0 || submit->members > CORE_MEMBERS_MAX ||
        submit->priority >= QUEUE_PRIORITIES || tenant->is_removed)
        return -EINVAL;
    err = heap_reserve(&core->due, core->call_count + 1);
    call = err == 0 ? calloc(1, sizeof(*call)) : NULL;
    if (call == NULL)
        return -ENOMEM;
    call->tenant = tenant;
    call->submit = *submit;
    call->attempt = submit->attempts_used;
    call->item.members = submit->members;
    call->item.priority = submit->priority;
    call->item.is_short = submit->wall_ns != 0 && submit->wall_ns <= core->config.short_ns;
    call->item.is_owed = submit->is_owed;
    err = queue_push(tenant->queue, &call->item, now_ns);
    if (err != 0) {
        free(call);
        return err;
    }
    core->now_ns = now_ns;
    core->call_count++;
    call->next = tenant->calls;
    call->link = &tenant->calls;
    if (call->next != NULL)
        call->next->link = &call->next;
    tenant->calls = call;
    set_due(core, call);
    *out = call;
    return 0;
}

uint64_t
core_call_id(const struct core_call *call)
{
    return call->submit.id;
}

void *
core_call_owner(const struct core_call *call)
{
    return call->submit.owner;
}

uint32_t
core_call_attempt(const struct core_call *call)
{
    return call->attempt;
}

void
core_count(const struct core *core, uint64_t *waiting, uint64_t *running)
{
    *waiting = *running = 0;
    for (const struct core_tenant *tenant = core->tenants; tenant != NULL; tenant = tenant->next)
        *waiting += queue_waiting(tenant->queue);
    *running = core->call_count - *waiting;
}

/* ----------------------------------------------------------------------------- time */

/* heard_ns only grows, so until the first of them could be silent nobody has to look. */
static void
end_silent_hosts(struct core *core)
{
    uint64_t silent_ns = NEVER;

    if (core->now_ns < core->silent_ns)
        return;
    for (size_t i = core->host_count; i-- > 0;) {
        uint64_t until_ns = core->hosts[i]->heard_ns + core->config.silence_ns_max;

        if (until_ns <= core->now_ns)
            core_host_down(core->hosts[i], core->now_ns);
        else if (until_ns < silent_ns)
            silent_ns = until_ns;
    }
    core->silent_ns = silent_ns;
}

/* Those whose pause is over are there for the queue again. */
static void
end_late_calls(struct core *core)
{
    struct heap_item *first;

    while ((first = heap_first(&core->due)) != NULL && first->key <= core->now_ns) {
        struct core_call *call = call_of(first);

        if (call->submit.deadline_ns > core->now_ns) {
            set_due(core, call);
            continue;
        }
        queue_remove(&call->item);
        heap_remove(&core->due, first);
        over(call, CORE_LATE);
    }
}

void
core_tick(struct core *core, uint64_t now_ns)
{
    core->now_ns = now_ns;
    end_silent_hosts(core);
    end_late_calls(core);
    /* Where no slot is free nobody need be tried; but who waits for hosts that are large
     * enough is told so when the time has come. */
    if (core->room == 0 && core->host_count > 0)
        return;
    while (queue_next(core->queue, now_ns, try_start, core))
        continue;
}

uint64_t
core_due_ns(const struct core *core)
{
    const struct heap_item *first = heap_first(&core->due);

    return first != NULL && first->key < core->silent_ns ? first->key : core->silent_ns;
}
