/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls as the cell keeps them: lists, the table by id, waking.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/apart.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "cell/cell_internal.h"

#define TABLE_MIN 64u

/* With the lock, which those who change it have: no other writer, so no other operation. */
static void
count(struct list *list, size_t more)
{
    size_t before = atomic_load_explicit(&list->count, memory_order_relaxed);

    atomic_store_explicit(&list->count, before + more, memory_order_relaxed);
}

void
list_append(struct list *list, struct link *link)
{
    count(list, 1);
    *link = (struct link){.previous = list->last, .list = list};
    if (list->last != NULL)
        list->last->next = link;
    else
        list->first = link;
    list->last = link;
}

void
list_prepend(struct list *list, struct link *link)
{
    count(list, 1);
    *link = (struct link){.next = list->first, .list = list};
    if (list->first != NULL)
        list->first->previous = link;
    else
        list->last = link;
    list->first = link;
}

void
list_remove(struct link *link)
{
    struct list *list = link->list;

    if (list == NULL)
        return;
    count(list, (size_t)-1);
    if (link->previous != NULL)
        link->previous->next = link->next;
    else
        list->first = link->next;
    if (link->next != NULL)
        link->next->previous = link->previous;
    else
        list->last = link->previous;
    *link = (struct link){0};
}

/* --------------------------------------------------------------------------- table */

struct task *
task_find(struct cell *cell, uint64_t id)
{
    struct task *task = cell->table_size > 0 ? cell->table[id & (cell->table_size - 1)] : NULL;

    while (task != NULL && task->id != id)
        task = task->chain;
    return task;
}

static int
grow_table(struct cell *cell)
{
    size_t size = cell->table_size > 0 ? 2 * cell->table_size : TABLE_MIN;
    struct task **table = calloc(size, sizeof(struct task *));

    if (table == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < cell->table_size; i++)
        while (cell->table[i] != NULL) {
            struct task *task = cell->table[i];

            cell->table[i] = task->chain;
            task->chain = table[task->id & (size - 1)];
            table[task->id & (size - 1)] = task;
        }
    free(cell->table);
    cell->table = table;
    cell->table_size = size;
    return 0;
}

int
task_enter(struct cell *cell, struct task *task)
{
    if (cell->task_count >= cell->table_size && grow_table(cell) != 0)
        return -ENOMEM;
    task->id = ++cell->next_id;
    task->chain = cell->table[task->id & (cell->table_size - 1)];
    cell->table[task->id & (cell->table_size - 1)] = task;
    cell->task_count++;
    return 0;
}

void
task_leave(struct cell *cell, struct task *task)
{
    struct task **at = &cell->table[task->id & (cell->table_size - 1)];

    while (*at != task)
        at = &(*at)->chain;
    *at = task->chain;
    if (--cell->task_count == 0)
        (void)pthread_cond_broadcast(&cell->empty);
}

/* -------------------------------------------------------------------------- waking */

uint64_t
task_run_ns(const struct task *task)
{
    return atomic_load_explicit(&task->function->run_ns, memory_order_relaxed);
}

void
task_rouse(struct cell *cell)
{
    if (cell->idle == 0 || cell->is_waking)
        return;
    cell->is_waking = true;
    (void)pthread_cond_signal(&cell->work);
}

void
task_queue(struct cell *cell, struct task *task)
{
    list_remove(&task->link);
    task->state = TASK_QUEUED;
    list_append(&cell->queue, &task->link);
    if (cell->is_lent && (cell->lent_ns += task_run_ns(task)) <= CELL_LENT_NS)
        return;
    task_rouse(cell);
}

void
task_wake(struct cell *cell, struct task *task)
{
    if (task->state == TASK_WAITING) {
        wait_forget(cell, task);
        task->first->awake++;
        task_queue(cell, task);
    } else {
        task->is_woken = true; /* queued ones look anyway */
    }
}

void
cell_feed(struct cell *cell)
{
    struct link *link = cell->starved.first;

    if (link == NULL)
        return;
    list_remove(link);
    list_prepend(&cell->queue, link);
    task_rouse(cell);
}

int
cell_wake(struct cell *cell, uint64_t id)
{
    struct task *task;

    (void)pthread_mutex_lock(&cell->lock);
    task = task_find(cell, id);
    for (struct task *each = task; each != NULL; each = each->next != task ? each->next : NULL)
        task_wake(cell, each); /* who waits for another thing looks, and waits on */
    (void)pthread_mutex_unlock(&cell->lock);
    return task != NULL ? 0 : -ESRCH;
}

void
task_cancel(struct cell *cell, struct task *task)
{
    task->is_cancelled = true;
    if (task->state == TASK_RUNNING && task->faaslet != NULL)
        faaslet_kill(task->faaslet);
    task_wake(cell, task);
    if (task->has_threads && task->link.list == &cell->queue) { /* not behind all of its own */
        list_remove(&task->link);
        list_prepend(&cell->queue, &task->link);
    }
}

int
cell_cancel(struct cell *cell, uint64_t id)
{
    struct task *task;

    (void)pthread_mutex_lock(&cell->lock);
    task = task_find(cell, id);
    if (task != NULL)
        task_cancel(cell, task);
    (void)pthread_mutex_unlock(&cell->lock);
    return task != NULL ? 0 : -ESRCH;
}

/* ------------------------------------------------------------------- begin and end */

static void
task_free(struct task *task)
{
    free(task->entry);
    free(task->save_at);
    free(task);
}

struct task *
task_new(struct cell_function *function, struct task *first)
{
    struct task *task = apart_calloc(sizeof(*task));

    if (task == NULL)
        return NULL;
    task->function = function;
    task->first = first != NULL ? first : task;
    task->next = task->previous = task;
    task->awake = 1;
    task->is_begun = first != NULL;
    return task;
}

static struct task *
task_create(struct cell_function *function, const struct cell_call *call)
{
    struct task *task = task_new(function, NULL);
    uint64_t now = clock_now_ns();

    if (task == NULL)
        return NULL;
    task->entry = call->entry != NULL ? strdup(call->entry) : NULL;
    task->save_at = call->save_at != NULL ? strdup(call->save_at) : NULL;
    if ((call->entry != NULL && task->entry == NULL) ||
        (call->save_at != NULL && task->save_at == NULL)) {
        task_free(task);
        return NULL;
    }
    task->begin_ns = now;
    task->deadline_ns = call->deadline_ns != 0 ? call->deadline_ns : CLOCK_NEVER_NS;
    if (function->wall_ns_max != 0 && task->deadline_ns > now &&
        function->wall_ns_max < task->deadline_ns - now)
        task->deadline_ns = now + function->wall_ns_max;
    if (call->slot_count > 0)
        (void)memcpy(task->args, call->args, call->slot_count * sizeof(*task->args));
    task->slot_count = call->slot_count;
    task->result_slots = call->result_slots;
    task->process = call->process;
    task->keeps_seat = call->keeps_seat;
    task->on_end = call->on_end;
    task->context = call->context;
    return task;
}

static int
accept_task(struct cell *cell, struct cell_function *function, struct task *task)
{
    if (cell->is_ending || function->is_dropped)
        return -ESHUTDOWN;
    if (cell->calls_max != 0 && cell->usage.calls >= cell->calls_max)
        return -EAGAIN;
    if (task_enter(cell, task) != 0)
        return -ENOMEM;
    function->references++;
    cell->usage.calls++;
    task_queue(cell, task);
    return 0;
}

int
cell_start(struct cell_function *function, const struct cell_call *call, uint64_t *id)
{
    struct cell *cell = function->cell;
    struct task *task;
    int err;

    if (call->slot_count > CELL_RESULTS_MAX || call->result_slots > CELL_RESULTS_MAX ||
        call->on_end == NULL || (call->entry == NULL) != function->is_mid_run)
        return -EINVAL;
    err = fault_point("cell.start");
    if (err != 0)
        return err;
    task = task_create(function, call);
    if (task == NULL)
        return -ENOMEM;
    (void)pthread_mutex_lock(&cell->lock);
    err = accept_task(cell, function, task);
    if (err == 0)
        *id = task->id; /* before anybody can end it */
    (void)pthread_mutex_unlock(&cell->lock);
    if (err != 0)
        task_free(task);
    return err;
}

/* The record of host functions in use: stress mode and restarts replace the call's. */
static void *
process_now(const struct task *task)
{
    if (task->faaslet != NULL)
        return faaslet_process(task->faaslet);
    if (task->parked != NULL)
        return faaslet_parked_process(task->parked);
    return task->own_process != NULL ? task->own_process : task->process;
}

void
task_end(struct cell *cell, struct task *task, struct cell_end *end)
{
    struct cell_function *function = task->function;

    end->id = task->id;
    end->process = process_now(task);
    end->wall_ns = clock_now_ns() - task->begin_ns;
    end->memory_bytes = task->memory_bytes;
    if (task->faaslet != NULL) {
        end->cpu_ns = faaslet_cpu_ns(task->faaslet);
        end->refused = faaslet_refused(task->faaslet);
    }
    /* From here on nobody finds the Faaslet by the task: cancelling must not. */
    (void)pthread_mutex_lock(&cell->lock);
    wait_forget(cell, task);
    cell->usage.calls--;
    if (task->parked != NULL) {
        cell->usage.parked--;
        cell->usage.parked_bytes -= faaslet_parked_bytes(task->parked);
    }
    task->state = TASK_OVER;
    (void)pthread_mutex_unlock(&cell->lock);
    wait_unwatch(cell, task);
    task->on_end(task->context, end);
    thread_fini_all(cell, task);
    if (task->faaslet != NULL)
        function_return(cell, function, task->faaslet);
    if (task->own_process != NULL)
        function->config.ops->destroy(task->own_process);
    faaslet_parked_destroy(task->parked);
    (void)pthread_mutex_lock(&cell->lock);
    task_leave(cell, task);
    (void)pthread_mutex_unlock(&cell->lock);
    function_put(function);
    task_free(task);
}
