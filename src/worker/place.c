/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a cell, from its start to the starter that takes it down.
 *
 * All but worker_place_add, worker_place_rearm and the references is done
 * on the loop, so a cell that the loop looks at stays.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "worker/worker_internal.h"

#define PROCESS_EVENTS (EPOLLIN | EPOLLONESHOT)

/* ------------------------------------------------------------------------- references */

void
worker_place_get(struct worker_cell *cell)
{
    ASSERT(cell->references > 0);
    cell->references++;
}

void
worker_place_put(struct worker_cell *cell)
{
    ASSERT(cell->references > 0);
    if (--cell->references > 0)
        return;
    ASSERT(cell->state == CELL_DOWN);
    cell->next = cell->worker->down;
    cell->worker->down = cell;
    (void)pthread_cond_signal(&cell->worker->work);
}

void
worker_place_destroy(struct worker_cell *cell)
{
    ASSERT(cell->references == 0 && cell->calls == NULL && cell->tenant == NULL);
    net_connection_destroy(cell->connection);
    (void)pthread_mutex_destroy(&cell->send_lock);
    (void)pthread_mutex_destroy(&cell->jail_lock);
    free(cell);
}

static void
unlink_from(struct worker_cell **list, struct worker_cell *cell)
{
    while (*list != cell)
        list = &(*list)->next;
    *list = cell->next;
    cell->next = NULL;
}

/* --------------------------------------------------------------------------- watching */

/* The two descriptors of a cell are told apart by the pointer's lowest bit. */
static int
watch_process(struct worker_cell *cell, int operation)
{
    struct epoll_event event = {.events = PROCESS_EVENTS,
                                .data.u64 = (uint64_t)(uintptr_t)cell | 1};

    return epoll_ctl(cell->worker->epoll_fd, operation, cell->pidfd, &event) == 0 ? 0 : -errno;
}

static int
watch(struct worker_cell *cell)
{
    int err = fault_point("worker.start");

    if (err == 0)
        err = net_watch(cell->connection, cell->worker->epoll_fd, (uint64_t)(uintptr_t)cell);
    if (err == 0)
        err = watch_process(cell, EPOLL_CTL_ADD);
    return err;
}

void
worker_place_rearm(struct worker_cell *cell)
{
    if (cell->state != CELL_DOWN)
        (void)watch_process(cell, EPOLL_CTL_MOD);
}

/* --------------------------------------------------------------------------- starting */

static struct worker_cell *
allocate(struct worker *worker, struct jail *jail, int socket)
{
    static const struct net_limits limits = {.queue_bytes_max = WORKER_QUEUE_BYTES};
    struct worker_cell *cell = fault_point("worker.start") != 0 ? NULL : calloc(1, sizeof(*cell));

    if (cell == NULL || net_connection_create(socket, &limits, &cell->connection) != 0) {
        if (cell == NULL)
            (void)close(socket);
        free(cell);
        return NULL;
    }
    cell->worker = worker;
    cell->jail = jail;
    cell->pid = jail_pid(jail);
    cell->pidfd = jail_pidfd(jail);
    (void)pthread_mutex_init(&cell->send_lock, NULL);
    (void)pthread_mutex_init(&cell->jail_lock, NULL);
    return cell;
}

int
worker_place_add(struct worker *worker, struct worker_tenant *tenant, struct jail *jail, int socket)
{
    struct worker_cell *cell = allocate(worker, jail, socket);
    int err;

    if (cell == NULL) {
        jail_destroy(jail);
        return -ENOMEM;
    }
    (void)pthread_mutex_lock(&worker->lock);
    cell->serial = worker->next_serial++;
    /* A worker that ends has no loop any more that would watch it; and the loop has ended
     * all cells already of a tenant that is being removed, and looks for no more. */
    err = worker->is_stopping || (tenant != NULL && tenant->is_removed) ? -ECANCELED : 0;
    if (err == 0) {
        cell->references = 1;
        cell->is_own = tenant != NULL;
        cell->tenant = tenant;
        cell->owner = tenant;
        if (tenant != NULL) {
            tenant->references += 2;
            tenant->own_cells++;
        }
        /* One that cannot be watched is late at once: the loop may know it by now. */
        cell->deadline_ns = watch(cell) == 0 ? clock_now_ns() + WORKER_READY_NS_MAX : 0;
        worker_look_at(worker, cell->deadline_ns);
        cell->next = worker->cells;
        worker->cells = cell;
    }
    (void)pthread_mutex_unlock(&worker->lock);
    if (err != 0) {
        jail_destroy(jail);
        worker_place_destroy(cell);
    }
    return err;
}

void
worker_place_ready(struct worker_cell *cell)
{
    struct worker *worker = cell->worker;

    (void)pthread_mutex_lock(&worker->lock);
    ASSERT(cell->state == CELL_GREETING);
    cell->state = CELL_READY;
    if (cell->is_own) {
        cell->tenant->is_starting = false;
    } else {
        worker->greeting--;
        worker->ready++;
        worker->failures = 0;
    }
    (void)pthread_cond_broadcast(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);
}

/* ----------------------------------------------------------------------------- ending */

/* With the lock: nobody's from now on, and LEAVING. Its calls stay with it. */
static void
detach(struct worker_cell *cell)
{
    struct worker *worker = cell->worker;
    struct worker_tenant *tenant = cell->tenant;

    if (cell->state == CELL_LEAVING)
        return;
    if (cell->state == CELL_GREETING && !cell->is_own)
        worker->greeting--;
    if (cell->state == CELL_GREETING && cell->is_own)
        tenant->is_starting = false;
    if (cell->state == CELL_READY && !cell->is_own)
        worker->ready--;
    if (tenant != NULL && tenant->cell == cell) {
        tenant->cell = NULL;
        if (tenant->queue != NULL)
            worker_tenant_wait(tenant);
    }
    unlink_from(&worker->cells, cell);
    cell->next = worker->leaving;
    worker->leaving = cell;
    cell->state = CELL_LEAVING;
    (void)pthread_cond_broadcast(&worker->changed);
    (void)pthread_cond_signal(&worker->work);
}

/* With the lock: one that has left, to the starter. */
static void
hand_over(struct worker_cell *cell)
{
    struct worker *worker = cell->worker;
    struct worker_tenant *tenant = cell->tenant;

    ASSERT(cell->state == CELL_LEAVING && cell->calls == NULL && cell->chains == NULL);
    (void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, net_fd(cell->connection), NULL);
    (void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, cell->pidfd, NULL);
    unlink_from(&worker->leaving, cell);
    cell->state = CELL_DOWN;
    cell->tenant = NULL;
    cell->next = worker->gone;
    worker->gone = cell;
    if (tenant != NULL)
        worker_tenant_put(tenant);
}

/* Until here an event of the same turn may name it. */
void
worker_place_forget(struct worker *worker)
{
    if (worker->gone == NULL)
        return;
    (void)pthread_mutex_lock(&worker->lock);
    while (worker->gone != NULL) {
        struct worker_cell *cell = worker->gone;

        worker->gone = cell->next;
        worker->unread -= cell->is_unread ? 1 : 0;
        worker_place_put(cell);
    }
    (void)pthread_mutex_unlock(&worker->lock);
}

/* With the lock: what its death means for who wants another. */
static void
note_death(struct worker_cell *cell, const char *reason)
{
    struct worker *worker = cell->worker;
    struct worker_tenant *tenant = cell->tenant;
    uint64_t now_ns = clock_now_ns();

    if (tenant == NULL) {
        worker->failures++;
        worker->retry_at_ns = now_ns + worker_retry_ns(worker->failures);
        worker_reason(worker->reason, "%s", reason);
        (void)pthread_cond_broadcast(&worker->changed);
        return;
    }
    worker_reason(tenant->reason, "%s", reason);
    if (cell->given_ns == 0) { /* as one that could not be started */
        tenant->early_deaths++;
        tenant->retry_at_ns = now_ns + worker_retry_ns(tenant->early_deaths);
        return;
    }
    tenant->cells_lost++;
    if (cell->has_ended_call || now_ns - cell->given_ns > WORKER_EARLY_NS)
        tenant->early_deaths = 0;
    else if (++tenant->early_deaths >= WORKER_EARLY_DEATHS)
        tenant->retry_at_ns =
            now_ns + worker_retry_ns(tenant->early_deaths - WORKER_EARLY_DEATHS + 1);
}

static void
kill_process(const struct worker_cell *cell)
{
    (void)syscall(SYS_pidfd_send_signal, cell->pidfd, SIGKILL, NULL, 0);
}

/* Its calls end before it goes: until then the tenant's memory is held by it. */
static void
finish(struct worker_cell *cell, enum worker_end_kind kind, const char *reason)
{
    struct worker *worker = cell->worker;

    worker_call_end_all_of(cell, kind, reason);
    worker_chain_cancel_all_of(cell);
    worker_state_end(cell);
    (void)pthread_mutex_lock(&worker->lock);
    hand_over(cell);
    (void)pthread_mutex_unlock(&worker->lock);
}

void
worker_place_close(struct worker_cell *cell, enum worker_end_kind kind, const char *reason)
{
    struct worker *worker = cell->worker;

    kill_process(cell);
    (void)pthread_mutex_lock(&worker->lock);
    detach(cell);
    note_death(cell, reason);
    (void)pthread_mutex_unlock(&worker->lock);
    finish(cell, kind, reason);
}

void
worker_place_dismiss(struct worker_cell *cell, const char *reason)
{
    struct worker *worker = cell->worker;

    kill_process(cell);
    (void)pthread_mutex_lock(&worker->lock);
    detach(cell);
    (void)pthread_mutex_unlock(&worker->lock);
    finish(cell, WORKER_CANCELLED, reason);
}

void
worker_place_retire(struct worker_cell *cell)
{
    struct worker *worker = cell->worker;
    bool is_idle;

    (void)pthread_mutex_lock(&worker->lock);
    is_idle = cell->tenant->calls == 0;
    if (is_idle)
        detach(cell);
    (void)pthread_mutex_unlock(&worker->lock);
    if (is_idle)
        worker_place_dismiss(cell, "idle");
}

void
worker_place_leave(struct worker_cell *cell)
{
    struct worker *worker = cell->worker;

    (void)pthread_mutex_lock(&worker->lock);
    detach(cell);
    cell->deadline_ns = clock_now_ns() + WORKER_LEAVE_NS_MAX;
    worker_look_at(worker, cell->deadline_ns);
    (void)pthread_mutex_unlock(&worker->lock);
    if (cell->is_ended)
        worker_place_end(cell);
}

static void
describe(const struct worker_cell *cell, const struct jail_end *end, char reason[WORKER_REASON_MAX])
{
    uint64_t bytes = cell->tenant != NULL ? cell->tenant->limits.memory_bytes : 0;

    if (end->kind == JAIL_RUNNING)
        worker_reason(reason, "its cell closed its connection");
    else if (end->kind == JAIL_EXITED)
        worker_reason(reason, "its cell ended with code %d", end->code);
    else if (end->kind == JAIL_SIGNALLED)
        worker_reason(reason, "its cell was killed by signal %d", end->code);
    else if (bytes % (1 << 20) == 0)
        worker_reason(reason, "the tenant's memory limit of %" PRIu64 " MiB was reached",
                      bytes >> 20);
    else
        worker_reason(reason, "the tenant's memory limit of %" PRIu64 " bytes was reached", bytes);
}

void
worker_place_end(struct worker_cell *cell)
{
    struct worker *worker = cell->worker;
    char reason[WORKER_REASON_MAX];
    struct jail_end end = {0};

    /* Who holds it says so when he is done (worker_place_rearm). */
    if (pthread_mutex_trylock(&cell->jail_lock) != 0)
        return;
    if (jail_poll(cell->jail, &end) != 0)
        end = (struct jail_end){.kind = JAIL_SIGNALLED, .code = SIGKILL};
    (void)pthread_mutex_unlock(&cell->jail_lock);
    (void)pthread_mutex_lock(&worker->lock);
    describe(cell, &end, reason);
    (void)pthread_mutex_unlock(&worker->lock);
    worker_place_close(cell, WORKER_LOST, reason);
}
