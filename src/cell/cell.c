/* SPDX-License-Identifier: Apache-2.0
 *
 * The cell itself, and its executors.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/apart.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "cell/cell_internal.h"
#include "net/net.h"

#define BRIEF_NS   UINT64_C(50000)
#define GATHER_MAX 32u /* tasks whose words wait for each other */

static _Thread_local struct cell *cell_of_thread;

uint64_t
cell_self(void)
{
    return thread_here != NULL ? thread_here->first->id : 0;
}

struct cell *
cell_here(void)
{
    return cell_of_thread;
}

bool
cell_is_idle(const struct cell *cell)
{
    return atomic_load_explicit(&cell->queue.count, memory_order_relaxed) == 0 &&
           cell->executor_count > 1;
}

/* ----------------------------------------------------------------------- executors */

static void
end_failed(struct cell *cell, struct task *task, int err, const char *message)
{
    const struct ending ending = {.how = ENDING_FAILED, .err = err, .message = message};

    end_begin(cell, task, &ending);
}

static void
end_stopped(struct cell *cell, struct task *task, enum cell_end_kind kind)
{
    const struct ending ending = {.how = ENDING_STOPPED, .stopped = kind};

    end_begin(cell, task, &ending);
}

static void
end_with(struct cell *cell, struct task *task, const struct faaslet_outcome *outcome)
{
    const struct ending ending = {.how = ENDING_OUTCOME,
                                  .kind = outcome->kind,
                                  .exit_code = outcome->exit_code,
                                  .trap = outcome->trap,
                                  .limit = outcome->limit,
                                  .message = outcome->message};

    end_begin(cell, task, &ending);
}

static void
end_saved(struct cell *cell, struct task *task)
{
    const struct ending ending = {.how = ENDING_SAVED};

    end_begin(cell, task, &ending);
}

/* It waits; or, where what it waits for was there already, it is queued again. */
static void
wait_for(struct cell *cell, struct task *task, const struct faaslet_wait *wait)
{
    bool is_ready = wait_watch(cell, task, wait), is_last = false;
    bool is_bound = wait->fd_count > 0 || wait->deadline_ns != CLOCK_NEVER_NS;
    struct task *first = task->first;

    (void)pthread_mutex_lock(&cell->lock);
    if (thread_stops(task, &is_last)) {
        /* nothing more */
    } else if (is_ready || !wait_begin(cell, task, wait)) {
        task_queue(cell, task);
    } else if (first->awake == 0 && !is_bound) {
        is_last = thread_is_deadlocked(cell, first);
    }
    if (task->state == TASK_WAITING) {
        if (!first->has_threads && !first->keeps_seat)
            list_append(&cell->waiting, &task->link);
        cell_feed(cell);
    }
    (void)pthread_mutex_unlock(&cell->lock);
    if (is_last)
        thread_stopped(cell, first);
}

static void
again(struct cell *cell, struct task *task)
{
    struct task *first = task->first;
    bool is_last = false;

    (void)pthread_mutex_lock(&cell->lock);
    if (!thread_stops(task, &is_last))
        task_queue(cell, task);
    (void)pthread_mutex_unlock(&cell->lock);
    if (is_last)
        thread_stopped(cell, first);
}

/* It goes on after those that are queued. This executor takes the first of them next, so nobody is
 * roused for it: an idle one would take it away, and with it what is in this core's cache. True:
 * nobody else was queued. */
static bool
stay(struct cell *cell, struct task *task)
{
    struct task *first = task->first;
    bool is_last = false, is_alone;

    (void)pthread_mutex_lock(&cell->lock);
    is_alone = cell->queue.first == NULL;
    if (!thread_stops(task, &is_last)) {
        task->state = TASK_QUEUED;
        list_append(&cell->queue, &task->link);
    }
    (void)pthread_mutex_unlock(&cell->lock);
    if (is_last)
        thread_stopped(cell, first);
    return is_alone;
}

/* What it touches is brought, while it waits without a thread. */
static void
fetch(struct cell *cell, struct task *task, struct faaslet_outcome *outcome)
{
    int err = cell->on_absent == NULL
                  ? -EFAULT
                  : cell->on_absent(faaslet_process(task->faaslet), outcome->absent.share,
                                    outcome->absent.offset);

    if (err == 0) {
        again(cell, task);
    } else if (err == -EINPROGRESS) {
        outcome->wait = (struct faaslet_wait){.deadline_ns = CLOCK_NEVER_NS};
        wait_for(cell, task, &outcome->wait);
    } else {
        end_failed(cell, task, err, "a part of state that it touched is not to be had");
    }
}

static int
begin(struct task *task)
{
    int err = 0;

    if (task->is_begun)
        return 0;
    if (!task->function->is_mid_run)
        err = faaslet_invoke(task->faaslet, 0, task->entry, task->args, task->slot_count);
    task->is_begun = true;
    return err;
}

static void
run_quantum(struct task *task, struct faaslet_outcome *outcome)
{
    uint64_t began_ns = clock_now_ns();

    thread_here = task;
    faaslet_run(task->faaslet, task->first->deadline_ns, outcome);
    thread_here = NULL;
    atomic_store_explicit(&task->function->run_ns, clock_now_ns() - began_ns, memory_order_relaxed);
}

/* It has run. */
static void
go_on(struct cell *cell, struct task *task, struct faaslet_outcome *outcome)
{
    switch (outcome->kind) {
    case FAASLET_PENDING:
        if (outcome->wait.deadline_ns != 0 || outcome->wait.fd_count != 0)
            wait_for(cell, task, &outcome->wait);
        else if (stay(cell, task)) /* it yields, maybe to others of the host */
            (void)sched_yield();
        return;
    case FAASLET_ABSENT:
        fetch(cell, task, outcome);
        return;
    case FAASLET_PREEMPTED:
        (void)stay(cell, task);
        return;
    case FAASLET_SNAPSHOT:
        again(cell, task);
        return;
    case FAASLET_DONE:
        if (task != task->first) {
            thread_done(cell, task);
            return;
        }
        break;
    default:
        break;
    }
    end_with(cell, task, outcome);
}

/* One quantum of a task that has a Faaslet. */
static void
run(struct cell *cell, struct task *task)
{
    bool is_saved = task->first->save_at != NULL;
    struct faaslet_outcome outcome;
    int err = begin(task);

    if (err != 0) {
        end_failed(cell, task, err,
                   err == -ENOENT ? "there is no exported function of this name"
                                  : "the arguments do not fit the function's type");
        return;
    }
    if (is_saved && save_arm(task) != 0) {
        end_failed(cell, task, -ENOENT, "it does not import what it is to be saved at");
        return;
    }
    run_quantum(task, &outcome);
    if (!task->first->has_threads) /* else others may change it now */
        task->memory_bytes = faaslet_memory_bytes(task->faaslet);
    if (is_saved && save_is_there(task, &outcome))
        end_saved(cell, task);
    else
        go_on(cell, task, &outcome);
}

/* A call that begins, or goes on after it was parked. False: not now, or not at all. */
static bool
seat(struct cell *cell, struct task *task)
{
    struct diag diag;
    int err;

    diag_init(&diag);
    err = task_seat(cell, task, &diag);
    if (err == 0 && !task->is_begun && task->function->is_mid_run) {
        err = thread_enter_all(cell, task);
        if (err != 0)
            (void)diag_set(&diag, err, "no memory for its threads");
    }
    if (err != 0 && err != -EAGAIN)
        end_failed(cell, task, err,
                   task->has_threads ? "no memory for its threads" : diag_text(&diag));
    return err == 0;
}

/* CELL_DONE: it is not ended from outside. */
static enum cell_end_kind
is_ended(const struct task *first)
{
    if (first->is_cancelled)
        return CELL_CANCELLED;
    return first->deadline_ns != CLOCK_NEVER_NS && clock_now_ns() >= first->deadline_ns
               ? CELL_KILLED
               : CELL_DONE;
}

static void
serve(struct cell *cell, struct task *task)
{
    enum cell_end_kind kind = is_ended(task->first);

    if (task->watches != NULL)
        wait_unwatch(cell, task);
    if (task->has_returned)
        end_leave(cell, task, kind);
    else if (kind != CELL_DONE)
        end_stopped(cell, task, kind);
    else if (task->faaslet != NULL || seat(cell, task))
        run(cell, task);
}

static void
tick(struct executor *executor, uint64_t tick_ns)
{
    if (executor->tick_ns == tick_ns)
        return;
    /* Without memory for it guests are not taken off, but their deadlines hold; it is
     * tried again after the next pause. */
    if (faaslet_thread_tick(tick_ns) == 0)
        executor->tick_ns = tick_ns;
}

/* With the lock. Each tick costs, and where there is nobody else it is for nothing: they become
 * fewer then, but not so few that who comes waits for long. */
static void
be_calm(struct executor *executor, const struct task *task)
{
    bool is_alone = executor->last == task && executor->cell->queue.first == NULL;

    if (!is_alone)
        executor->calm = 1;
    else if (executor->calm < CELL_CALM_MAX)
        executor->calm *= 2;
    executor->last = task;
}

/* With the lock. */
static void
take(struct executor *executor, struct task *task)
{
    list_remove(&task->link);
    be_calm(executor, task);
    tick(executor, executor->cell->tick_ns * executor->calm);
    task->state = TASK_RUNNING;
    task->is_woken = false;
}

/* With the lock, which it lets go of. What calls have said is gathered (net_turn_begin) until
 * there is nothing to do, or something that may last: a quantum at most. */
static void
flush(struct executor *executor)
{
    if (executor->unflushed == 0)
        return;
    executor->unflushed = 0;
    (void)pthread_mutex_unlock(&executor->cell->lock);
    net_turn_flush();
    (void)pthread_mutex_lock(&executor->cell->lock);
}

/* With the lock. */
static void
await_task(struct executor *executor)
{
    struct cell *cell = executor->cell;

    tick(executor, 0);
    cell->idle++;
    while (cell->queue.first == NULL && !cell->is_over) {
        (void)pthread_cond_wait(&cell->work, &cell->lock);
        cell->is_waking = false;
    }
    cell->idle--;
}

/* With the lock. Waits for work; NULL: it is over. */
static struct task *
next_task(struct executor *executor)
{
    struct cell *cell = executor->cell;
    struct task *task = (struct task *)cell->queue.first;

    if (task == NULL || task_run_ns(task) > BRIEF_NS || executor->unflushed >= GATHER_MAX)
        flush(executor);
    if (cell->queue.first == NULL)
        await_task(executor);
    task = (struct task *)cell->queue.first;
    if (task == NULL)
        return NULL;
    take(executor, task);
    if (cell->queue.first != NULL)
        task_rouse(cell);
    return task;
}

void *
executor_main(void *object)
{
    struct executor *executor = object;
    struct cell *cell = executor->cell;
    struct task *task;
    int err = faaslet_thread_init();

    ASSERT(err == 0);
    cell_of_thread = cell;
    net_turn_begin();
    (void)pthread_mutex_lock(&cell->lock);
    while ((task = next_task(executor)) != NULL) {
        (void)pthread_mutex_unlock(&cell->lock);
        serve(cell, task);
        executor->unflushed++;
        (void)pthread_mutex_lock(&cell->lock);
    }
    (void)pthread_mutex_unlock(&cell->lock);
    net_turn_end();
    return NULL;
}

/* --------------------------------------------------------------------- a lent thread */

void
cell_lend_begin(struct cell *cell)
{
    (void)pthread_mutex_lock(&cell->lock);
    ASSERT(!cell->is_lent);
    cell->is_lent = true;
    cell->lent_ns = 0;
    (void)pthread_mutex_unlock(&cell->lock);
}

void
cell_lend_end(struct cell *cell)
{
    uint64_t until_ns = clock_now_ns() + 2 * CELL_LENT_NS;
    struct task *task;

    cell_of_thread = cell;
    cell->lender.cell = cell;
    (void)pthread_mutex_lock(&cell->lock);
    while ((task = (struct task *)cell->queue.first) != NULL && task_run_ns(task) <= BRIEF_NS &&
           clock_now_ns() < until_ns) {
        take(&cell->lender, task);
        (void)pthread_mutex_unlock(&cell->lock);
        serve(cell, task);
        (void)pthread_mutex_lock(&cell->lock);
    }
    cell->is_lent = false;
    tick(&cell->lender, 0);
    if (task != NULL)
        task_rouse(cell);
    (void)pthread_mutex_unlock(&cell->lock);
    cell_of_thread = NULL;
}

/* ------------------------------------------------------------------------ the cell */

static unsigned
count_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static int
open_watcher(struct cell *cell)
{
    struct epoll_event event = {.events = EPOLLIN};

    if (cell->epoll <= 0)
        cell->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (cell->event <= 0)
        cell->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cell->epoll < 0 || cell->event < 0 ||
        epoll_ctl(cell->epoll, EPOLL_CTL_ADD, cell->event, &event) != 0)
        return -errno;
    return 0;
}

static int
start_threads(struct cell *cell, unsigned wanted)
{
    int err = fault_point("cell.threads");

    if (err == 0)
        err = -pthread_create(&cell->watcher, NULL, wait_main, cell);
    cell->has_watcher = err == 0;
    while (err == 0 && cell->executor_count < wanted) {
        struct executor *executor = &cell->executors[cell->executor_count];

        executor->cell = cell;
        err = -pthread_create(&executor->thread, NULL, executor_main, executor);
        cell->executor_count += err == 0;
    }
    return err;
}

static void
stop_threads(struct cell *cell)
{
    const uint64_t one = 1;
    ssize_t done;

    (void)pthread_mutex_lock(&cell->lock);
    cell->is_over = true;
    (void)pthread_cond_broadcast(&cell->work);
    (void)pthread_mutex_unlock(&cell->lock);
    done = cell->event > 0 ? write(cell->event, &one, sizeof(one)) : 0;
    (void)done;
    if (cell->has_watcher)
        (void)pthread_join(cell->watcher, NULL);
    for (unsigned i = 0; i < cell->executor_count; i++)
        (void)pthread_join(cell->executors[i].thread, NULL);
}

static void
close_given(int fd)
{
    if (fd > 0)
        (void)close(fd);
}

static void
free_cell(struct cell *cell)
{
    stop_threads(cell);
    close_given(cell->epoll);
    close_given(cell->event);
    (void)pthread_mutex_destroy(&cell->lock);
    (void)pthread_cond_destroy(&cell->work);
    (void)pthread_cond_destroy(&cell->empty);
    free(cell->executors);
    free(cell->table);
    heap_fini(&cell->times);
    free(cell);
}

int
cell_create(const struct cell_config *config, struct cell **out, struct diag *diag)
{
    unsigned executors = config->executors != 0 ? config->executors : count_cores();
    struct cell *cell = apart_calloc(sizeof(*cell));
    int err;

    if (cell == NULL) {
        close_given(config->epoll);
        close_given(config->event);
        return diag_set(diag, -ENOMEM, "no memory for a cell");
    }
    cell->epoll = config->epoll;
    cell->event = config->event;
    cell->slots_max = config->slots_max != 0 ? config->slots_max : CELL_SLOTS_DEFAULT;
    cell->tick_ns = config->tick_ns != 0 ? config->tick_ns : CELL_TICK_NS;
    cell->calls_max = config->calls_max;
    cell->on_absent = config->on_absent;
    cell->on_done = config->on_done;
    cell->on_attach = config->on_attach;
    cell->watcher_until_ns = CLOCK_NEVER_NS;
    (void)pthread_mutex_init(&cell->lock, NULL);
    (void)pthread_cond_init(&cell->work, NULL);
    (void)pthread_cond_init(&cell->empty, NULL);
    cell->executors = apart_calloc(executors * sizeof(*cell->executors));
    err = cell->executors == NULL ? -ENOMEM : open_watcher(cell);
    if (err == 0)
        err = start_threads(cell, executors);
    if (err != 0) {
        free_cell(cell);
        return diag_set(diag, err, "cannot start a cell: %s", strerror(-err));
    }
    *out = cell;
    return 0;
}

static void
cancel_all(struct cell *cell)
{
    for (size_t i = 0; i < cell->table_size; i++)
        for (struct task *task = cell->table[i]; task != NULL; task = task->chain)
            if (task->first == task)
                task_cancel(cell, task);
    while (cell->starved.first != NULL)
        cell_feed(cell);
}

void
cell_destroy(struct cell *cell)
{
    if (cell == NULL)
        return;
    (void)pthread_mutex_lock(&cell->lock);
    cell->is_ending = true;
    cancel_all(cell);
    while (cell->task_count > 0)
        (void)pthread_cond_wait(&cell->empty, &cell->lock);
    while (cell->warm.first != NULL) {
        struct warm *warm = function_take_warm(((struct warm *)cell->warm.first)->function);

        (void)pthread_mutex_unlock(&cell->lock);
        warm_destroy(warm);
        (void)pthread_mutex_lock(&cell->lock);
    }
    (void)pthread_mutex_unlock(&cell->lock);
    free_cell(cell);
}

void
cell_usage(struct cell *cell, struct cell_usage *out)
{
    (void)pthread_mutex_lock(&cell->lock);
    *out = cell->usage;
    out->slots = cell->slots_in_use;
    (void)pthread_mutex_unlock(&cell->lock);
}
