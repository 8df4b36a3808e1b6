/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenants: their limits, and how they go.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "worker/worker_internal.h"

/* ---------------------------------------------------------------------------- waiting */

void
worker_tenant_wait(struct worker_tenant *tenant)
{
    struct worker *worker = tenant->worker;

    if (!tenant->is_waiting) {
        tenant->is_waiting = true;
        tenant->waits = NULL;
        *worker->waiting_end = tenant;
        worker->waiting_end = &tenant->waits;
        worker->waiting_pool += tenant->is_own ? 0 : 1;
        (void)pthread_cond_signal(&worker->work);
    }
    if (!worker_is_loop(worker))
        worker_wake(worker);
}

void
worker_tenant_wait_over(struct worker_tenant *tenant)
{
    struct worker *worker = tenant->worker;
    struct worker_tenant **at = &worker->waiting;

    if (!tenant->is_waiting)
        return;
    while (*at != tenant)
        at = &(*at)->waits;
    *at = tenant->waits;
    if (*at == NULL)
        worker->waiting_end = at;
    tenant->is_waiting = false;
    worker->waiting_pool -= tenant->is_own ? 0 : 1;
}

/* ------------------------------------------------------------------ adding and removing */

static void
free_tenant(struct worker_tenant *tenant)
{
    free((void *)(uintptr_t)tenant->network.name);
    free((void *)(uintptr_t)tenant->network.address);
    free((void *)(uintptr_t)tenant->network.host_address);
    (void)pthread_mutex_destroy(&tenant->limit_lock);
    free(tenant);
}

void
worker_tenant_put(struct worker_tenant *tenant)
{
    struct worker *worker = tenant->worker;
    struct worker_tenant **at = &worker->tenants;

    ASSERT(tenant->references > 0);
    tenant->references--;
    if (tenant->is_removed && tenant->has_waiter && tenant->references == 1)
        (void)pthread_cond_broadcast(&worker->changed);
    if (tenant->references > 0)
        return;
    ASSERT(tenant->is_removed && tenant->calls == 0 && tenant->cell == NULL);
    worker_tenant_wait_over(tenant);
    while (*at != tenant)
        at = &(*at)->next;
    *at = tenant->next;
    worker->tenant_count--;
    free_tenant(tenant);
}

static int
copy_text(const char *text, const char **out)
{
    int err = fault_point("worker.tenant");

    if (text == NULL)
        return 0;
    *out = err != 0 ? NULL : strdup(text);
    return *out != NULL ? 0 : -ENOMEM;
}

static int
make_tenant(struct worker *worker, const struct worker_tenant_config *config,
            struct worker_tenant **out)
{
    struct worker_tenant *tenant;
    int err = fault_point("worker.tenant");

    tenant = err != 0 ? NULL : calloc(1, sizeof(*tenant));
    if (tenant == NULL)
        return -ENOMEM;
    tenant->worker = worker;
    (void)snprintf(tenant->name, sizeof(tenant->name), "%s", config->name);
    (void)pthread_mutex_init(&tenant->limit_lock, NULL);
    tenant->limits = config->limits;
    tenant->executors = config->executors;
    tenant->slots_max = config->slots_max;
    tenant->calls_max = config->calls_max;
    tenant->is_own = config->network.address != NULL;
    tenant->references = 1;
    tenant->queue_end = &tenant->queue;
    err = copy_text(config->network.name, &tenant->network.name);
    if (err == 0)
        err = copy_text(config->network.address, &tenant->network.address);
    if (err == 0)
        err = copy_text(config->network.host_address, &tenant->network.host_address);
    if (err != 0)
        free_tenant(tenant);
    else
        *out = tenant;
    return err;
}

/* With the lock. */
static int
add(struct worker *worker, struct worker_tenant *tenant)
{
    if (worker->is_stopping)
        return -ESHUTDOWN;
    if (worker->tenant_count == WORKER_TENANTS_MAX)
        return -ENOSPC;
    for (struct worker_tenant *other = worker->tenants; other != NULL; other = other->next)
        if (!other->is_removed && strcmp(other->name, tenant->name) == 0)
            return -EEXIST;
    tenant->next = worker->tenants;
    worker->tenants = tenant;
    worker->tenant_count++;
    return 0;
}

int
worker_tenant_add(struct worker *worker, const struct worker_tenant_config *config,
                  struct worker_tenant **out, struct diag *diag)
{
    struct worker_tenant *tenant;
    int err;

    if (!worker_is_tenant_name(config->name))
        return diag_set(diag, -EINVAL, "a tenant's name is 1 to %u letters, digits, - and _",
                        WORKER_TENANT_NAME_MAX);
    if (config->executors > WORKER_EXECUTORS_MAX)
        return diag_set(diag, -EINVAL, "a cell has at most %u executors", WORKER_EXECUTORS_MAX);
    if (worker->is_strict && config->network.address != NULL &&
        (jail_features() & JAIL_NETWORK_RATE) == 0)
        return diag_set(diag, -EPERM, "tenant %s: missing on this machine: %s: %s", config->name,
                        jail_feature_name(JAIL_NETWORK_RATE),
                        jail_feature_advice(JAIL_NETWORK_RATE));
    err = make_tenant(worker, config, &tenant);
    if (err == 0) {
        (void)pthread_mutex_lock(&worker->lock);
        err = add(worker, tenant);
        (void)pthread_mutex_unlock(&worker->lock);
        if (err != 0)
            free_tenant(tenant);
    }
    if (err == -EEXIST)
        return diag_set(diag, err, "there is a tenant %s already", config->name);
    if (err != 0)
        return diag_set(diag, err, "cannot add the tenant %s: %s", config->name, strerror(-err));
    *out = tenant;
    return 0;
}

/* From on_end, which all ends of calls wait for, it is the loop that ends the rest. */
void
worker_tenant_remove(struct worker_tenant *tenant)
{
    struct worker *worker;

    if (tenant == NULL)
        return;
    worker = tenant->worker;
    (void)pthread_mutex_lock(&worker->lock);
    ASSERT(!tenant->is_removed);
    tenant->is_removed = true;
    while (tenant->functions != NULL)
        worker_function_dismiss(tenant->functions);
    tenant->has_waiter = !worker_is_loop(worker);
    worker->is_removal_due = true;
    worker_wake(worker);
    while (tenant->has_waiter && tenant->references > 1)
        (void)pthread_cond_wait(&worker->changed, &worker->lock);
    tenant->has_waiter = false;
    worker_tenant_put(tenant);
    (void)pthread_mutex_unlock(&worker->lock);
}

/* With the lock: a cell of a tenant that is being removed. */
static struct worker_cell *
find_cell_due(const struct worker *worker)
{
    struct worker_cell *const lists[] = {worker->cells, worker->leaving};

    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        for (struct worker_cell *cell = lists[i]; cell != NULL; cell = cell->next)
            if (cell->tenant != NULL && cell->tenant->is_removed)
                return cell;
    return NULL;
}

/* With the lock: such a tenant, with calls that wait for a cell; with a reference. */
static struct worker_tenant *
find_queue_due(const struct worker *worker)
{
    for (struct worker_tenant *tenant = worker->waiting; tenant != NULL; tenant = tenant->waits)
        if (tenant->is_removed) {
            tenant->references++;
            worker_tenant_wait_over(tenant);
            return tenant;
        }
    return NULL;
}

void
worker_tenant_remove_due(struct worker *worker)
{
    struct worker_tenant *tenant;
    struct worker_cell *cell;

    (void)pthread_mutex_lock(&worker->lock);
    while (worker->is_removal_due) {
        cell = find_cell_due(worker);
        tenant = cell == NULL ? find_queue_due(worker) : NULL;
        worker->is_removal_due = cell != NULL || tenant != NULL;
        (void)pthread_mutex_unlock(&worker->lock);
        if (cell != NULL)
            worker_place_dismiss(cell, "its tenant was removed");
        if (tenant != NULL)
            worker_call_end_queue(tenant, WORKER_CANCELLED, "its tenant was removed");
        (void)pthread_mutex_lock(&worker->lock);
        if (tenant != NULL)
            worker_tenant_put(tenant);
    }
    (void)pthread_mutex_unlock(&worker->lock);
}

/* ------------------------------------------------------------------------ limits, usage */

/* With the lock: its cell, if it has one, to be used without it. */
static struct worker_cell *
borrow_cell(struct worker_tenant *tenant)
{
    if (tenant->cell != NULL)
        worker_place_get(tenant->cell);
    return tenant->cell;
}

static void
give_back(struct worker_cell *cell)
{
    struct worker *worker = cell->worker;

    (void)pthread_mutex_lock(&worker->lock);
    worker_place_rearm(cell);
    worker_place_put(cell);
    (void)pthread_mutex_unlock(&worker->lock);
}

static int
limit_cell(struct worker_cell *cell, struct jail_limits limits, uint32_t *missing,
           struct diag *diag)
{
    int err;

    if (limits.files == 0)
        limits.files = cell->worker->files;
    (void)pthread_mutex_lock(&cell->jail_lock);
    err = jail_limit(cell->jail, &limits, diag);
    *missing = jail_missing(cell->jail);
    (void)pthread_mutex_unlock(&cell->jail_lock);
    return err;
}

int
worker_tenant_limit(struct worker_tenant *tenant, const struct jail_limits *limits,
                    struct diag *diag)
{
    struct worker *worker = tenant->worker;
    uint32_t missing = 0;
    struct worker_cell *cell;
    int err = 0;

    (void)pthread_mutex_lock(&tenant->limit_lock);
    (void)pthread_mutex_lock(&worker->lock);
    /* The loop sets the limits of a cell that it opens. */
    while (tenant->cell != NULL && tenant->cell->state == CELL_OPENING && !worker_is_loop(worker))
        (void)pthread_cond_wait(&worker->changed, &worker->lock);
    cell = borrow_cell(tenant);
    if (cell == NULL)
        tenant->limits = *limits;
    (void)pthread_mutex_unlock(&worker->lock);
    if (cell != NULL) {
        err = limit_cell(cell, *limits, &missing, diag);
        (void)pthread_mutex_lock(&worker->lock);
        if (err == 0) {
            tenant->limits = *limits;
            tenant->missing = missing;
        }
        (void)pthread_mutex_unlock(&worker->lock);
        give_back(cell);
    }
    (void)pthread_mutex_unlock(&tenant->limit_lock);
    return err;
}

void
worker_tenant_usage(struct worker_tenant *tenant, struct worker_usage *out)
{
    struct worker *worker = tenant->worker;
    struct worker_usage usage = {0};
    struct worker_cell *cell;

    (void)pthread_mutex_lock(&worker->lock);
    cell = borrow_cell(tenant);
    usage.pid = cell != NULL ? cell->pid : 0;
    usage.missing = tenant->missing;
    usage.cells = tenant->cells;
    usage.cells_lost = tenant->cells_lost;
    usage.calls = tenant->calls;
    (void)pthread_mutex_unlock(&worker->lock);
    if (cell != NULL) {
        (void)pthread_mutex_lock(&cell->jail_lock);
        (void)!jail_usage(cell->jail, &usage.now);
        (void)pthread_mutex_unlock(&cell->jail_lock);
        give_back(cell);
    }
    *out = usage;
}
