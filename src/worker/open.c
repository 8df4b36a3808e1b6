/* SPDX-License-Identifier: Apache-2.0
 *
 * From a tenant that waits to its open cell: limits, setup, and what waited. All on
 * the loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "worker/worker_internal.h"

#define OPEN_A_TURN 64

/* ----------------------------------------------------------------- which cell to whom */

/* With the lock: a cell that is ready, its own or the pool's. */
static struct worker_cell *
find_ready(const struct worker *worker, const struct worker_tenant *tenant)
{
    for (struct worker_cell *cell = worker->cells; cell != NULL; cell = cell->next)
        if (cell->state == CELL_READY && cell->tenant == (tenant->is_own ? tenant : NULL))
            return cell;
    return NULL;
}

/* With the lock: whether there is none, and will not be soon; and why. */
static bool
is_hopeless(const struct worker *worker, const struct worker_tenant *tenant, uint64_t now_ns,
            char reason[WORKER_REASON_MAX])
{
    if (now_ns < tenant->retry_at_ns) {
        worker_reason(reason,
                      "%u cells of this tenant in a row did not last, the next one waits; "
                      "the last: %.*s",
                      tenant->early_deaths, WORKER_REASON_MAX - 100, tenant->reason);
        return true;
    }
    if (tenant->is_own || worker->greeting > 0 || now_ns >= worker->retry_at_ns)
        return false;
    worker_reason(reason, "no cell can be started: %.*s", WORKER_REASON_MAX - 50, worker->reason);
    return true;
}

struct gift {
    struct worker_tenant *tenant; /* with a reference; NULL: nobody can be served now */
    struct worker_cell *cell;     /* NULL: hopeless */
    char reason[WORKER_REASON_MAX];
};

/* With the lock: from now on callers see this cell, and queue until it is open. */
static void
give(struct worker *worker, struct gift *gift, uint64_t now_ns)
{
    struct worker_tenant *tenant = gift->tenant;
    struct worker_cell *cell = gift->cell;

    if (!cell->is_own) {
        worker->ready--;
        cell->tenant = tenant;
        tenant->references++;
    }
    cell->state = CELL_OPENING;
    cell->given_ns = now_ns;
    tenant->cell = cell;
    tenant->cells++;
    (void)pthread_cond_signal(&worker->work);
}

/* The first tenant for which something can be done. */
static void
choose(struct worker *worker, struct gift *gift)
{
    uint64_t now_ns;

    gift->tenant = NULL;
    gift->cell = NULL;
    (void)pthread_mutex_lock(&worker->lock);
    now_ns = worker->waiting != NULL ? clock_now_ns() : 0;
    for (struct worker_tenant *tenant = worker->waiting; tenant != NULL; tenant = tenant->waits) {
        if (is_hopeless(worker, tenant, now_ns, gift->reason))
            gift->cell = now_ns < tenant->retry_at_ns ? NULL : find_ready(worker, tenant);
        else if ((gift->cell = find_ready(worker, tenant)) == NULL)
            continue;
        gift->tenant = tenant;
        tenant->references++;
        worker_tenant_wait_over(tenant);
        if (gift->cell != NULL)
            give(worker, gift, now_ns);
        break;
    }
    (void)pthread_mutex_unlock(&worker->lock);
}

/* ------------------------------------------------------------------------- opening it */

/* The tenant's limits on its cell. A tenant without a limit of files has the pool's:
 * there is nothing to change then, which as root takes a right of its own. */
static int
limit(const struct gift *gift, struct diag *diag)
{
    struct worker_cell *cell = gift->cell;
    struct worker *worker = cell->worker;
    int err = fault_point("worker.open");
    struct jail_limits limits;

    if (err != 0)
        return diag_set(diag, err, "cannot set limits: %s", strerror(-err));
    (void)pthread_mutex_lock(&worker->lock);
    limits = gift->tenant->limits;
    (void)pthread_mutex_unlock(&worker->lock);
    if (limits.files == 0)
        limits.files = worker->files;
    (void)pthread_mutex_lock(&cell->jail_lock);
    err = jail_limit(cell->jail, &limits, diag);
    (void)pthread_mutex_lock(&worker->lock);
    gift->tenant->missing = jail_missing(cell->jail);
    (void)pthread_mutex_unlock(&worker->lock);
    (void)pthread_mutex_unlock(&cell->jail_lock);
    return err;
}

/* With the lock: a cell that nobody else has used goes back, or ends. */
static void
take_back(struct gift *gift, bool is_pools)
{
    struct worker_cell *cell = gift->cell;
    struct worker_tenant *tenant = gift->tenant;

    tenant->cell = NULL;
    tenant->cells--;
    cell->state = CELL_READY;
    (void)pthread_cond_broadcast(&cell->worker->changed);
    if (!is_pools)
        return;
    cell->tenant = NULL;
    cell->worker->ready++;
    worker_tenant_put(tenant);
}

/* A cell of the pool whose limit of open files cannot be changed, by this user or at
 * all, goes back: the tenant has one started with its limits. */
static bool
change_to_own(struct gift *gift, int err)
{
    struct worker *worker = gift->cell->worker;

    if (err != -EPERM || gift->cell->is_own || worker->is_strict)
        return false;
    (void)pthread_mutex_lock(&worker->lock);
    take_back(gift, true);
    gift->tenant->is_own = true;
    worker_tenant_wait(gift->tenant);
    (void)pthread_mutex_unlock(&worker->lock);
    return true;
}

static void
refuse(struct gift *gift, const char *reason)
{
    struct worker *worker = gift->cell->worker;
    bool is_own = gift->cell->is_own;

    (void)pthread_mutex_lock(&worker->lock);
    take_back(gift, !is_own);
    (void)pthread_mutex_unlock(&worker->lock);
    if (is_own)
        worker_place_dismiss(gift->cell, reason);
    worker_call_end_queue(gift->tenant, WORKER_FAILED, reason);
}

static int
send_setup(struct worker_cell *cell, const struct worker_tenant *tenant)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    int err = fault_point("worker.open");

    setup.version = RPC__CELL_VERSION__CELL_VERSION;
    setup.executors = tenant->executors;
    setup.slots_max = tenant->slots_max;
    setup.calls_max = tenant->calls_max;
    setup.tenant = (char *)(uintptr_t)tenant->name;
    request.is_case = RPC__CELL_REQUEST__IS_SETUP;
    request.setup = &setup;
    return err != 0 ? err : rpc_send(cell->connection, &request.base, NULL, 0);
}

/* With the lock: the next call that waited, now the cell's; else it is open. */
static struct worker_record *
next_waiting(struct gift *gift)
{
    struct worker_record *call = gift->tenant->queue;
    uint64_t waited_ns;

    if (call == NULL) {
        gift->cell->state = CELL_OPEN;
        if (gift->tenant->calls == 0) /* they were cancelled: none will end and say so */
            worker_look_at(gift->cell->worker, gift->tenant->idle_at_ns);
        (void)pthread_cond_broadcast(&gift->cell->worker->changed);
        return NULL;
    }
    worker_call_unqueue(call);
    call->cell = gift->cell;
    /* Its time begins now. */
    waited_ns = clock_now_ns() - call->begin_ns;
    call->deadline_ns = waited_ns < CLOCK_NEVER_NS - call->deadline_ns
                            ? call->deadline_ns + waited_ns
                            : CLOCK_NEVER_NS;
    worker_look_at(gift->cell->worker, call->deadline_ns);
    worker_call_link(call, &gift->cell->calls);
    return call;
}

/* Those that cannot be sent are put into the list. */
static void
send_waiting(struct gift *gift, struct worker_record **unsent)
{
    struct worker_cell *cell = gift->cell;
    struct worker *worker = cell->worker;
    struct worker_record *call;

    for (;;) {
        bool is_cancelled = false;
        int err;

        (void)pthread_mutex_lock(&worker->lock);
        call = next_waiting(gift);
        (void)pthread_mutex_unlock(&worker->lock);
        if (call == NULL)
            return;
        err = worker_call_begin_send(cell, call->id, &is_cancelled);
        if (err == 0)
            err = net_send(cell->connection, call->packed.bytes, call->packed.count, call->fds,
                           call->fd_count);
        if (err == 0)
            worker_call_sent(cell, call->id, is_cancelled);
        if (err == 0 || err == -EPIPE)
            continue; /* where it is over, reading says so */
        (void)pthread_mutex_lock(&worker->lock);
        worker_call_take(call);
        (void)pthread_mutex_unlock(&worker->lock);
        call->err = err;
        call->next = *unsent;
        *unsent = call;
    }
}

/* Without locks, and with the cell open: on_end may do what it likes. */
static void
end_unsent(struct worker_record *unsent)
{
    while (unsent != NULL) {
        struct worker_record *call = unsent;

        unsent = call->next;
        worker_call_end_as(call, WORKER_FAILED, call->err, "the call cannot be sent to its cell");
    }
}

static void
open_cell(struct gift *gift)
{
    struct worker_cell *cell = gift->cell;
    struct worker_record *unsent = NULL;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = limit(gift, &diag);
    if (err != 0 && change_to_own(gift, err))
        return;
    if (err != 0) {
        (void)diag_set(&diag, err, "the tenant's limits cannot be set: %s", strerror(-err));
        refuse(gift, diag_text(&diag));
        return;
    }
    (void)pthread_mutex_lock(&cell->send_lock);
    err = send_setup(cell, gift->tenant);
    if (err == 0 || err == -EPIPE)
        send_waiting(gift, &unsent);
    (void)pthread_mutex_unlock(&cell->send_lock);
    end_unsent(unsent);
    if (err != 0 && err != -EPIPE)
        worker_place_close(cell, WORKER_FAILED, "its cell cannot be set up");
}

void
worker_open_waiting(struct worker *worker)
{
    struct gift gift;

    /* on_end may call again and again where no cell can be had: others have turns. */
    for (unsigned i = 0; i <= OPEN_A_TURN; i++) {
        if (i == OPEN_A_TURN) {
            worker_wake(worker);
            return;
        }
        choose(worker, &gift);
        if (gift.tenant == NULL)
            return;
        if (gift.cell != NULL)
            open_cell(&gift);
        else
            worker_call_end_queue(gift.tenant, WORKER_FAILED, gift.reason);
        (void)pthread_mutex_lock(&worker->lock);
        worker_tenant_put(gift.tenant);
        (void)pthread_mutex_unlock(&worker->lock);
    }
}
