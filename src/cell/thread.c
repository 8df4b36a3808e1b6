/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads of a call: made, woken, stopped.
 *
 * A call ends by one of its threads. That one says how, under the lock, and stops the others:
 * those that are queued or wait at once, those that run when they have left; the last of these
 * goes on with the end. So no executor waits for another.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/fault.h"
#include "cell/cell_internal.h"

_Thread_local struct task *thread_here;

/* --------------------------------------------------------------------------- making */

/* With the lock. */
static int
enter(struct cell *cell, struct task *first, struct task *task)
{
    if (first->ending.how != ENDING_NONE)
        return -EAGAIN;
    if (task_enter(cell, task) != 0)
        return -ENOMEM;
    faaslet_mark_set(task->faaslet, task);
    task->next = first;
    task->previous = first->previous;
    first->previous->next = task;
    first->previous = task;
    if (!first->has_threads) /* others look at it without the lock, once it is so */
        first->has_threads = true;
    first->awake++;
    task_queue(cell, task);
    return 0;
}

/* With the lock. */
static void
leave(struct cell *cell, struct task *task)
{
    task->previous->next = task->next;
    task->next->previous = task->previous;
    task_leave(cell, task);
}

static int
add(struct cell *cell, struct task *first, struct faaslet *faaslet)
{
    int err = fault_point("cell.thread");
    struct task *task = err == 0 ? task_new(first->function, first) : NULL;

    if (task == NULL)
        return -ENOMEM;
    task->faaslet = faaslet;
    (void)pthread_mutex_lock(&cell->lock);
    err = enter(cell, first, task);
    (void)pthread_mutex_unlock(&cell->lock);
    if (err != 0)
        free(task);
    return err;
}

int
thread_enter_all(struct cell *cell, struct task *first)
{
    struct faaslet *faaslet;
    int err = 0;

    for (uint32_t i = 1; err == 0; i++) {
        faaslet = faaslet_thread(first->faaslet, i);
        if (faaslet == NULL)
            return 0;
        err = add(cell, first, faaslet);
    }
    return err;
}

static int
on_thread(struct faaslet *faaslet)
{
    struct task *task = thread_here;

    return task == NULL ? -EAGAIN : add(task->function->cell, task->first, faaslet);
}

/* By a thread of the same call. The one that is told of may have seen it itself, and have ended. */
static void
on_wake(struct faaslet *faaslet)
{
    struct cell *cell;
    struct task *task;

    if (thread_here == NULL)
        return;
    cell = thread_here->function->cell;
    (void)pthread_mutex_lock(&cell->lock);
    task = faaslet_mark(faaslet);
    if (task != NULL)
        task_wake(cell, task);
    (void)pthread_mutex_unlock(&cell->lock);
}

const struct faaslet_owner thread_owner = {on_thread, on_wake};

/* ------------------------------------------------------------------------- stopping */

/* With the lock: all but this one, which has. True: none of them runs. */
static bool
stop_others(struct cell *cell, struct task *task)
{
    struct task *first = task->first;

    task->state = TASK_STOPPED;
    for (struct task *other = task->next; other != task; other = other->next) {
        if (other->state == TASK_RUNNING) {
            first->running++;
            if (other->faaslet != NULL)
                faaslet_stand_still(other->faaslet);
            continue;
        }
        ASSERT(other->state == TASK_QUEUED || other->state == TASK_WAITING);
        list_remove(&other->link);
        wait_forget(cell, other);
        other->state = TASK_STOPPED;
    }
    return first->running == 0;
}

bool
thread_stops(struct task *task, bool *is_last)
{
    struct task *first = task->first;

    if (first->ending.how == ENDING_NONE)
        return false;
    task->state = TASK_STOPPED;
    *is_last = --first->running == 0;
    return true;
}

/* With the lock. What it came to while it was to be saved comes first. */
static bool
note_end(struct cell *cell, struct task *task, const struct ending *ending)
{
    struct task *first = task->first;
    bool is_begun = first->ending.how != ENDING_NONE, is_last = false;

    if (!is_begun || (first->ending.how == ENDING_SAVED && ending->how != ENDING_SAVED)) {
        first->ending = *ending;
        first->ending.task = task;
    }
    if (!is_begun)
        return stop_others(cell, task);
    (void)thread_stops(task, &is_last);
    return is_last;
}

void
end_begin(struct cell *cell, struct task *task, const struct ending *ending)
{
    struct task *first = task->first;
    bool is_last;

    if (!first->has_threads) {
        first->ending = *ending;
        first->ending.task = task;
        end_conclude(cell, first);
        return;
    }
    (void)pthread_mutex_lock(&cell->lock);
    is_last = note_end(cell, task, ending);
    (void)pthread_mutex_unlock(&cell->lock);
    if (is_last)
        thread_stopped(cell, first);
}

/* Those that are not plain where they stand run on for a moment. True: all are. */
static bool
are_plain(struct cell *cell, struct task *first)
{
    struct task *task = first;
    bool are_all = true;

    (void)pthread_mutex_lock(&cell->lock);
    do {
        faaslet_go_on(task->faaslet); /* also of what is frozen: its copies run */
        if (!faaslet_is_plain(task->faaslet)) {
            are_all = false;
            first->running++;
            task_queue(cell, task);
        }
        task = task->next;
    } while (task != first);
    (void)pthread_mutex_unlock(&cell->lock);
    return are_all;
}

void
thread_stopped(struct cell *cell, struct task *first)
{
    if (first->ending.how == ENDING_SAVED && !are_plain(cell, first))
        return;
    end_conclude(cell, first);
}

/* --------------------------------------------------------------------------- ending */

bool
thread_is_deadlocked(struct cell *cell, struct task *first)
{
    if (!faaslet_is_deadlocked(first->faaslet))
        return false;
    first->ending = (struct ending){.how = ENDING_DEADLOCK, .task = first};
    list_remove(&first->link);
    wait_forget(cell, first);
    (void)stop_others(cell, first);
    return true;
}

void
thread_done(struct cell *cell, struct task *task)
{
    struct task *first = task->first;
    struct faaslet *faaslet = task->faaslet;
    bool is_last = false;

    (void)pthread_mutex_lock(&cell->lock);
    task->faaslet = NULL; /* nobody stops it from here on, or wakes it */
    faaslet_mark_set(faaslet, NULL);
    (void)pthread_mutex_unlock(&cell->lock);
    faaslet_thread_end(faaslet);
    (void)pthread_mutex_lock(&cell->lock);
    leave(cell, task);
    if (!thread_stops(task, &is_last) && --first->awake == 0)
        is_last = thread_is_deadlocked(cell, first);
    (void)pthread_mutex_unlock(&cell->lock);
    free(task);
    if (is_last)
        thread_stopped(cell, first);
}

void
thread_fini_all(struct cell *cell, struct task *first)
{
    while (first->next != first) {
        struct task *task = first->next;

        wait_unwatch(cell, task);
        faaslet_mark_set(task->faaslet, NULL);
        faaslet_thread_end(task->faaslet);
        (void)pthread_mutex_lock(&cell->lock);
        leave(cell, task);
        (void)pthread_mutex_unlock(&cell->lock);
        free(task);
    }
    if (first->has_threads)
        faaslet_go_on(first->faaslet);
}
