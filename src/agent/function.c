/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenants and functions, as the planner says them: checked, prepared by the disk, waited
 * for by starts, forgotten. All on the link, but for references.
 *
 *   PREPARING --blobs are missing--> FETCHING --all came--> PREPARING -> READY
 *       \---------------------------------\---one cannot be had---> BROKEN
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"

/* ----------------------------------------------------------------------------- tenants */

static struct agent_tenant *
find_tenant(const struct agent *agent, const char *name)
{
    struct agent_tenant *tenant = agent->tenants;

    while (tenant != NULL && strcmp(tenant->name, name) != 0)
        tenant = tenant->next;
    return tenant;
}

/* With the lock. */
static void
put_tenant(struct agent_tenant *tenant)
{
    ASSERT(tenant->references > 0);
    if (--tenant->references == 0)
        free(tenant);
}

static struct agent_tenant *
add_tenant(struct agent *agent, const char *name)
{
    struct agent_tenant *tenant;

    if (name[0] == '\0' || strlen(name) > AGENT_NAME_BYTES_MAX ||
        agent->tenant_count >= AGENT_TENANTS_MAX)
        return NULL;
    tenant = fault_point("agent.tenant") != 0 ? NULL : calloc(1, sizeof(*tenant));
    if (tenant == NULL)
        return NULL;
    (void)memcpy(tenant->name, name, strlen(name));
    tenant->references = 1;
    tenant->next = agent->tenants;
    agent->tenants = tenant;
    agent->tenant_count++;
    return tenant;
}

/* One that cannot be kept is not known: its functions say so. */
void
agent_hear_tenant(struct agent *agent, const Rpc__HostTenant *words)
{
    struct agent_tenant *tenant = find_tenant(agent, words->name);
    bool is_new = tenant == NULL, is_due;

    if (is_new)
        tenant = add_tenant(agent, words->name);
    if (tenant == NULL)
        return;
    tenant->is_stale = false;
    (void)pthread_mutex_lock(&agent->lock);
    tenant->limits = (struct jail_limits){.cpu_share = words->cpu_share,
                                          .cpu_percent = words->cpu_percent,
                                          .memory_bytes = words->memory_bytes,
                                          .files = words->files,
                                          .network_rate = words->network_rate};
    is_due = !is_new && !tenant->is_limit_queued;
    tenant->is_limit_queued |= is_due;
    (void)pthread_mutex_unlock(&agent->lock);
    if (is_due)
        agent_disk_push(agent, &tenant->limit_job, JOB_LIMIT, tenant);
}

static void forget_with_calls(struct agent *agent, struct agent_function *function,
                              enum worker_end_kind kind, const char *reason);

/* Its removal ends its functions, too: their handles are not used from here on. */
static void
remove_tenant(struct agent *agent, struct agent_tenant *tenant)
{
    struct agent_tenant **at = &agent->tenants;

    tenant->is_gone = true;
    for (unsigned i = 0; i < AGENT_BUCKETS; i++)
        for (struct agent_function *function = agent->functions[i], *next; function != NULL;
             function = next) {
            next = function->next;
            if (function->tenant == tenant)
                forget_with_calls(agent, function, WORKER_CANCELLED, "its tenant was removed");
        }
    while (*at != tenant)
        at = &(*at)->next;
    *at = tenant->next;
    agent->tenant_count--;
    agent_disk_push(agent, &tenant->remove_job, JOB_REMOVE, tenant);
}

void
agent_hear_tenant_gone(struct agent *agent, const char *name)
{
    struct agent_tenant *tenant = find_tenant(agent, name);

    if (tenant != NULL)
        remove_tenant(agent, tenant);
}

void
agent_tenant_removed(struct agent *agent, struct agent_tenant *tenant)
{
    (void)pthread_mutex_lock(&agent->lock);
    put_tenant(tenant);
    (void)pthread_mutex_unlock(&agent->lock);
}

/* Another planner's tenants that this one has not named, and of which nothing runs. */
void
agent_tenant_sweep(struct agent *agent, uint64_t now_ns)
{
    struct agent_tenant *next;

    if (now_ns - agent->welcome_ns < AGENT_STALE_NS)
        return;
    for (struct agent_tenant *tenant = agent->tenants; tenant != NULL; tenant = next) {
        bool is_idle;

        next = tenant->next;
        (void)pthread_mutex_lock(&agent->lock);
        is_idle = tenant->references == 1;
        (void)pthread_mutex_unlock(&agent->lock);
        if (tenant->is_stale && is_idle)
            remove_tenant(agent, tenant);
    }
}

/* -------------------------------------------------------------------------- references */

static struct agent_function **
bucket(const struct agent *agent, uint64_t number)
{
    return (struct agent_function **)(uintptr_t)&agent->functions[number % AGENT_BUCKETS];
}

struct agent_function *
agent_function_find(const struct agent *agent, uint64_t number)
{
    struct agent_function *function = *bucket(agent, number);

    while (function != NULL && function->number != number)
        function = function->next;
    return function;
}

void
agent_function_get(struct agent_function *function)
{
    ASSERT(function->references > 0);
    function->references++;
}

/* What it has on the disk goes there; then it comes back once more. */
void
agent_function_put(struct agent *agent, struct agent_function *function)
{
    ASSERT(function->references > 0);
    if (--function->references == 0)
        agent_disk_push(agent, &function->drop_job, JOB_DROP, function);
}

/* Its environment may have secrets. */
static void
wipe(Rpc__HostFunction *words)
{
    for (size_t i = 0; i < words->n_env; i++)
        explicit_bzero(words->env[i], strlen(words->env[i]));
}

/* When nobody else knows it. */
void
agent_function_free(struct agent_function *function)
{
    wipe(function->down->function);
    *function->every_link = function->every_next;
    if (function->every_next != NULL)
        function->every_next->every_link = function->every_link;
    protobuf_c_message_free_unpacked(&function->down->base, NULL);
    free(function->lacks);
    free(function);
}

void
agent_function_dropped(struct agent *agent, struct agent_function *function)
{
    struct agent_tenant *tenant = function->tenant;

    (void)pthread_mutex_lock(&agent->lock);
    agent_function_free(function);
    if (tenant != NULL)
        put_tenant(tenant);
    (void)pthread_mutex_unlock(&agent->lock);
}

void
agent_function_free_all(struct agent *agent)
{
    while (agent->every_function != NULL)
        agent_function_free(agent->every_function);
    while (agent->tenants != NULL) {
        struct agent_tenant *tenant = agent->tenants;

        agent->tenants = tenant->next;
        free(tenant);
    }
}

/* -------------------------------------------------------------------------- what is said */

static bool
are_files(const Rpc__HostFunction *words)
{
    struct store_hash hash;

    for (size_t i = 0; i < words->n_files; i++)
        if (!agent_files_is_path(words->files[i]->path) ||
            !agent_hash_of(&words->files[i]->hash, &hash))
            return false;
    return words->n_files <= AGENT_FILES_MAX;
}

static const char *
wrong_with(const Rpc__HostFunction *words)
{
    struct store_hash hash;

    if (!agent_hash_of(&words->image, &hash))
        return "its image has no hash of 32 bytes";
    if (words->proto.len != 0 && !agent_hash_of(&words->proto, &hash))
        return "its Proto-Faaslet has no hash of 32 bytes";
    if (words->n_args > AGENT_STRINGS_MAX || words->n_env > AGENT_STRINGS_MAX)
        return "it has too many arguments or variables";
    if (!are_files(words))
        return "it has too many files, or a path or a hash of one is wrong";
    return NULL;
}

/* Takes the message. */
static struct agent_function *
make_function(struct agent *agent, Rpc__HostDown *down)
{
    struct agent_function *function =
        fault_point("agent.function") != 0 ? NULL : calloc(1, sizeof(*function));
    struct agent_function **head = bucket(agent, down->function->number);

    if (function == NULL)
        return NULL;
    function->down = down;
    function->number = down->function->number;
    function->serial = agent->next_serial++;
    function->references = 1;
    function->is_known = true;
    function->cells = UINT64_MAX;
    function->waiting_end = &function->waiting;
    function->next = *head;
    *head = function;
    agent->function_count++;
    (void)pthread_mutex_lock(&agent->lock);
    function->every_next = agent->every_function;
    function->every_link = &agent->every_function;
    if (function->every_next != NULL)
        function->every_next->every_link = &function->every_next;
    agent->every_function = function;
    agent->view_functions = agent->function_count;
    (void)pthread_mutex_unlock(&agent->lock);
    return function;
}

static void
settle(struct agent *agent, struct agent_function *function)
{
    bool is_broken = function->reason[0] != '\0';

    function->state = is_broken ? FUNCTION_BROKEN : FUNCTION_READY;
    agent_run_release(agent, function, WORKER_FAILED, is_broken ? function->reason : NULL);
}

/* The job has a reference. */
static void
prepare(struct agent *agent, struct agent_function *function)
{
    function->state = FUNCTION_PREPARING;
    (void)pthread_mutex_lock(&agent->lock);
    agent_function_get(function);
    (void)pthread_mutex_unlock(&agent->lock);
    agent_disk_push(agent, &function->job, JOB_PREPARE, function);
}

/* What is wrong with it is told by its calls. A number that is known is another word for
 * the same. */
void
agent_hear_function(struct agent *agent, Rpc__HostDown *down)
{
    const Rpc__HostFunction *words = down->function;
    const char *wrong = wrong_with(words);
    struct agent_function *function = NULL;

    if (words->number != 0 && agent_function_find(agent, words->number) == NULL &&
        agent->function_count < AGENT_FUNCTIONS_MAX)
        function = make_function(agent, down);
    if (function == NULL) {
        protobuf_c_message_free_unpacked(&down->base, NULL);
        return;
    }
    function->tenant = find_tenant(agent, words->tenant);
    if (function->tenant == NULL) {
        agent_reason(function->reason, "its tenant is not known here");
    } else {
        (void)pthread_mutex_lock(&agent->lock);
        function->tenant->references++;
        (void)pthread_mutex_unlock(&agent->lock);
    }
    if (wrong != NULL)
        agent_reason(function->reason, "%s", wrong);
    if (function->reason[0] != '\0')
        settle(agent, function);
    else
        prepare(agent, function);
}

/* Removing a tenant removes its functions. */
static void
drop_handle(struct agent_function *function)
{
    if (function->handle != NULL && !function->tenant->is_gone)
        worker_function_remove(function->handle);
    function->handle = NULL;
}

/* No new calls; those that run go on. */
static void
forget(struct agent *agent, struct agent_function *function)
{
    struct agent_function **at = bucket(agent, function->number);

    while (*at != function)
        at = &(*at)->next;
    *at = function->next;
    function->is_known = false;
    agent->function_count--;
    drop_handle(function);
    (void)pthread_mutex_lock(&agent->lock);
    agent->view_functions = agent->function_count;
    agent_function_put(agent, function);
    (void)pthread_mutex_unlock(&agent->lock);
}

/* What waits for it is not to be begun any more. */
static void
forget_with_calls(struct agent *agent, struct agent_function *function, enum worker_end_kind kind,
                  const char *reason)
{
    agent_run_release(agent, function, kind, reason);
    forget(agent, function);
}

void
agent_hear_function_gone(struct agent *agent, uint64_t number)
{
    struct agent_function *function = agent_function_find(agent, number);

    if (function != NULL)
        forget(agent, function);
}

void
agent_function_forget_all(struct agent *agent)
{
    for (unsigned i = 0; i < AGENT_BUCKETS; i++)
        while (agent->functions[i] != NULL)
            forget_with_calls(agent, agent->functions[i], WORKER_LOST, "it was another planner's");
    for (struct agent_tenant *tenant = agent->tenants; tenant != NULL; tenant = tenant->next)
        tenant->is_stale = true;
}

/* ----------------------------------------------------------------- what the disk found */

/* By its planner, or by calls that came before it was taken back. */
static bool
is_wanted(const struct agent_function *function)
{
    return function->is_known || function->waiting != NULL;
}

/* Waits for all that it lacks. */
static void
fetch(struct agent *agent, struct agent_function *function)
{
    function->state = FUNCTION_FETCHING;
    function->was_fetched = true;
    if (++function->rounds > AGENT_FETCH_ROUNDS_MAX) {
        agent_reason(function->reason, "its blobs are damaged as often as they come");
        settle(agent, function);
        return;
    }
    function->missing = 1; /* until all have been added */
    for (size_t i = 0; i < function->lack_count; i++) {
        (void)pthread_mutex_lock(&agent->lock);
        agent_function_get(function);
        (void)pthread_mutex_unlock(&agent->lock);
        function->missing++;
        if (agent_want_add(agent, &function->lacks[i], function) != 0)
            agent_function_supplied(agent, function, -ENOMEM, "no memory to ask for its blobs");
    }
    (void)pthread_mutex_lock(&agent->lock);
    agent_function_get(function);
    (void)pthread_mutex_unlock(&agent->lock);
    agent_function_supplied(agent, function, 0, NULL);
}

void
agent_function_supplied(struct agent *agent, struct agent_function *function, int err,
                        const char *reason)
{
    ASSERT(function->missing > 0);
    function->missing--;
    if (err != 0 && function->reason[0] == '\0')
        agent_reason(function->reason, "%s", reason[0] != '\0' ? reason : strerror(-err));
    if (is_wanted(function) && function->state == FUNCTION_FETCHING) {
        if (function->reason[0] != '\0')
            settle(agent, function);
        else if (function->missing == 0)
            prepare(agent, function);
    }
    (void)pthread_mutex_lock(&agent->lock);
    agent_function_put(agent, function);
    (void)pthread_mutex_unlock(&agent->lock);
}

void
agent_function_prepared(struct agent *agent, struct agent_function *function)
{
    if (is_wanted(function) && (function->handle != NULL || function->reason[0] != '\0'))
        settle(agent, function);
    else if (is_wanted(function))
        fetch(agent, function);
    if (!function->is_known)
        drop_handle(function);
    (void)pthread_mutex_lock(&agent->lock);
    agent_function_put(agent, function);
    (void)pthread_mutex_unlock(&agent->lock);
}
