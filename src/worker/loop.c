/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop: one thread that hears all cells, and looks at the clock where something
 * has a deadline.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "worker/worker_internal.h"

#define EVENTS_MAX 64

/* ------------------------------------------------------------------------- one event */

/* What it said before its end counts. */
static void
process_ended(struct worker_cell *cell)
{
    cell->is_ended = true;
    while (cell->state < CELL_LEAVING && worker_hear_cell(cell))
        continue;
    if (cell->state < CELL_LEAVING)
        worker_place_leave(cell);
    else if (cell->state == CELL_LEAVING)
        worker_place_end(cell);
}

static void
hear_some(struct worker_cell *cell)
{
    bool was_unread = cell->is_unread;

    cell->is_unread = worker_hear_cell(cell);
    cell->worker->unread += cell->is_unread ? 1 : 0;
    cell->worker->unread -= was_unread ? 1 : 0;
}

static void
socket_event(struct worker_cell *cell, uint32_t events)
{
    if ((events & EPOLLOUT) != 0)
        (void)!net_flush(cell->connection); /* where it is over, reading says so */
    hear_some(cell);
}

static void
handle(const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        struct worker_cell *cell = (void *)(uintptr_t)(events[i].data.u64 & ~UINT64_C(1));

        if (cell == NULL || cell->state == CELL_DOWN)
            continue;
        if ((events[i].data.u64 & 1) != 0)
            process_ended(cell);
        else if (cell->state < CELL_LEAVING)
            socket_event(cell, events[i].events);
    }
}

/* Those that have more to say take turns. Only the loop takes cells off the list. */
static void
hear_rest(struct worker *worker)
{
    struct worker_cell *cell, *next;

    if (worker->unread == 0)
        return;
    (void)pthread_mutex_lock(&worker->lock);
    cell = worker->cells;
    (void)pthread_mutex_unlock(&worker->lock);
    for (; cell != NULL; cell = next) {
        next = cell->next;
        if (cell->is_unread)
            hear_some(cell);
    }
}

/* --------------------------------------------------------------------------- deadlines */

/* The next moment at which something is to be done about this cell. */
static uint64_t
cell_deadline(const struct worker_cell *cell)
{
    uint64_t at_ns = CLOCK_NEVER_NS;

    if (cell->state == CELL_GREETING || cell->state == CELL_LEAVING)
        return cell->deadline_ns;
    if (cell->state != CELL_OPEN)
        return at_ns;
    if (cell->tenant->calls == 0)
        return cell->tenant->idle_at_ns;
    for (const struct worker_record *call = cell->calls; call != NULL; call = call->next)
        at_ns = call->deadline_ns < at_ns ? call->deadline_ns : at_ns;
    return at_ns;
}

/* With the lock: the first cell whose moment has come, else NULL and when to look. */
static struct worker_cell *
find_due(struct worker *worker, uint64_t now_ns)
{
    struct worker_cell *const lists[] = {worker->cells, worker->leaving};

    worker->look_at_ns = worker->refuse_at_ns;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        for (struct worker_cell *cell = lists[i]; cell != NULL; cell = cell->next) {
            uint64_t at_ns = cell_deadline(cell);

            if (at_ns <= now_ns)
                return cell;
            worker->look_at_ns = at_ns < worker->look_at_ns ? at_ns : worker->look_at_ns;
        }
    return NULL;
}

static void
act(struct worker_cell *cell, bool is_idle)
{
    if (cell->state == CELL_GREETING)
        worker_place_close(cell, WORKER_FAILED,
                           "a new cell did not say that it is ready, or cannot be watched");
    else if (cell->state == CELL_OPEN && is_idle)
        worker_place_retire(cell);
    else if (cell->state == CELL_OPEN)
        worker_place_close(cell, WORKER_LOST, "its cell did not end a call in its time");
    else
        worker_place_end(cell);
}

/* Where somebody else uses the jail of a cell that leaves, its turn comes again. */
static void
look(struct worker *worker)
{
    uint64_t now_ns = clock_now_ns();
    struct worker_cell *cell;
    bool is_idle;

    for (;;) {
        (void)pthread_mutex_lock(&worker->lock);
        cell = now_ns < worker->look_at_ns ? NULL : find_due(worker, now_ns);
        if (cell != NULL)
            worker->look_at_ns = 0;
        is_idle = cell != NULL && cell->state == CELL_OPEN && cell->tenant->calls == 0;
        if (cell != NULL && cell->state == CELL_LEAVING)
            cell->deadline_ns = now_ns + WORKER_LEAVE_NS_MAX;
        (void)pthread_mutex_unlock(&worker->lock);
        if (cell == NULL)
            return;
        act(cell, is_idle);
    }
}

/* --------------------------------------------------------------------------- the loop */

/* What there is to be done besides hearing; read at once, so that the lock, which who
 * has just heard of an end may want, is taken once a turn. */
struct chores {
    bool is_stopping, is_any;
    uint64_t look_at_ns;
};

static struct chores
chores_of(struct worker *worker)
{
    struct chores chores;

    (void)pthread_mutex_lock(&worker->lock);
    chores.is_stopping = worker->is_stopping;
    chores.look_at_ns = worker->look_at_ns;
    chores.is_any = worker->is_removal_due || worker->is_cancel_due || worker->waiting != NULL;
    (void)pthread_mutex_unlock(&worker->lock);
    return chores;
}

static int
timeout_ms(const struct worker *worker, uint64_t at_ns)
{
    uint64_t now_ns;

    if (worker->unread > 0)
        return 0;
    if (at_ns == CLOCK_NEVER_NS)
        return -1;
    now_ns = clock_now_ns();
    if (at_ns <= now_ns)
        return 0;
    at_ns = (at_ns - now_ns) / 1000000 + 1;
    return at_ns < 3600000 ? (int)at_ns : 3600000;
}

/* What happens meanwhile, on_end included, wakes the loop or is seen by a later step. */
static struct chores
do_chores(struct worker *worker)
{
    struct chores chores = chores_of(worker);

    if (chores.is_stopping || (!chores.is_any && (chores.look_at_ns == CLOCK_NEVER_NS ||
                                                  clock_now_ns() < chores.look_at_ns)))
        return chores;
    worker_chain_refuse_due(worker);
    look(worker);
    worker_tenant_remove_due(worker);
    worker_call_end_cancelled(worker);
    worker_open_waiting(worker);
    worker_place_forget(worker);
    return chores_of(worker);
}

/* on_end may remove tenants, but adds no calls any more. */
static void
end_all(struct worker *worker)
{
    worker_tenant_remove_due(worker);
    while (worker->cells != NULL)
        worker_place_dismiss(worker->cells, "the worker ends");
    while (worker->leaving != NULL)
        worker_place_dismiss(worker->leaving, "the worker ends");
    (void)pthread_mutex_lock(&worker->lock);
    while (worker->waiting != NULL) {
        struct worker_tenant *tenant = worker->waiting;

        tenant->references++;
        worker_tenant_wait_over(tenant);
        (void)pthread_mutex_unlock(&worker->lock);
        worker_call_end_queue(tenant, WORKER_CANCELLED, "the worker ends");
        (void)pthread_mutex_lock(&worker->lock);
        worker_tenant_put(tenant);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    worker_tenant_remove_due(worker);
    worker_place_forget(worker);
    (void)pthread_mutex_lock(&worker->lock);
    worker->is_loop_over = true;
    (void)pthread_mutex_unlock(&worker->lock);
}

void *
worker_loop_run(void *context)
{
    struct epoll_event events[EVENTS_MAX];
    struct worker *worker = context;

    worker_set_loop(worker);
    net_turn_begin();
    for (;;) {
        struct chores chores = do_chores(worker);
        int count;

        if (chores.is_stopping)
            break;
        net_turn_end();
        count =
            epoll_wait(worker->epoll_fd, events, EVENTS_MAX, timeout_ms(worker, chores.look_at_ns));
        net_turn_begin();
        handle(events, count > 0 ? count : 0);
        hear_rest(worker);
        worker_place_forget(worker);
    }
    end_all(worker);
    net_turn_end();
    return NULL;
}
