/* SPDX-License-Identifier: Apache-2.0
 *
 * What waiting calls wait for: times, in a heap, and descriptors, in epoll. One
 * thread watches both.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "cell/cell_internal.h"

#define EVENTS_PER_CALL 64
#define NS_PER_MS       UINT64_C(1000000)
#define WAIT_MS_MAX     60000

/* --------------------------------------------------------------------------- times */

static struct task *
task_of(struct heap_item *item)
{
    return (struct task *)(void *)((char *)item - offsetof(struct task, wake));
}

void
wait_forget(struct cell *cell, struct task *task)
{
    heap_remove(&cell->times, &task->wake);
}

static void
call_watcher(struct cell *cell)
{
    const uint64_t one = 1;
    ssize_t done = write(cell->event, &one, sizeof(one));

    (void)done; /* full is as good */
}

int
wait_until(struct cell *cell, struct task *task, uint64_t when_ns)
{
    if (when_ns == CLOCK_NEVER_NS)
        return 0;
    if (heap_reserve(&cell->times, cell->times.count + 1) != 0)
        return -ENOMEM;
    heap_add(&cell->times, &task->wake, when_ns);
    if (when_ns < cell->watcher_until_ns)
        call_watcher(cell);
    return 0;
}

bool
wait_begin(struct cell *cell, struct task *task, const struct faaslet_wait *wait)
{
    struct task *first = task->first;
    uint64_t until = wait->deadline_ns;

    if (task == first && first->deadline_ns < until)
        until = first->deadline_ns; /* it is not told to the others, which end with it */
    if (task->is_woken || first->is_cancelled || wait_until(cell, task, until) != 0)
        return false;
    task->state = TASK_WAITING;
    first->awake--;
    return true;
}

/* --------------------------------------------------------------------- descriptors */

static int
watch_own(struct cell *cell, struct watch *watch, int fd, struct epoll_event *event)
{
    watch->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    watch->is_own = true;
    return watch->fd < 0 || epoll_ctl(cell->epoll, EPOLL_CTL_ADD, watch->fd, event) != 0 ? errno
                                                                                         : 0;
}

/* Where other threads may close it meanwhile, a duplicate is watched: its number is not given to
 * another file, of which the watch would be taken away in the end. */
static int
watch_one(struct cell *cell, struct task *task, const struct faaslet_wait_fd *wanted)
{
    struct epoll_event event = {.data.u64 = task->id};
    struct watch *watch = &task->watches[task->watch_count];
    int err = EEXIST;

    event.events = EPOLLONESHOT;
    if ((wanted->events & POLLIN) != 0)
        event.events |= EPOLLIN | EPOLLRDHUP;
    if ((wanted->events & POLLOUT) != 0)
        event.events |= EPOLLOUT;
    *watch = (struct watch){.fd = wanted->fd};
    if (!task->first->has_threads)
        err = epoll_ctl(cell->epoll, EPOLL_CTL_ADD, watch->fd, &event) != 0 ? errno : 0;
    if (err == EEXIST) /* or for another task already */
        err = watch_own(cell, watch, wanted->fd, &event);
    if (err == 0)
        task->watch_count++;
    else if (watch->is_own && watch->fd >= 0)
        (void)close(watch->fd);
    return err;
}

bool
wait_watch(struct cell *cell, struct task *task, const struct faaslet_wait *wait)
{
    if (wait->fd_count == 0)
        return false;
    task->watches = calloc(wait->fd_count, sizeof(*task->watches));
    if (task->watches == NULL)
        return true; /* it asks again, which is slow but right */
    for (uint32_t i = 0; i < wait->fd_count; i++)
        if (watch_one(cell, task, &wait->fds[i]) != 0)
            return true; /* a file, which is always ready; or gone, which it will see */
    return false;
}

void
wait_unwatch(struct cell *cell, struct task *task)
{
    for (size_t i = 0; i < task->watch_count; i++) {
        (void)epoll_ctl(cell->epoll, EPOLL_CTL_DEL, task->watches[i].fd, NULL);
        if (task->watches[i].is_own)
            (void)close(task->watches[i].fd);
    }
    free(task->watches);
    task->watches = NULL;
    task->watch_count = 0;
}

/* ------------------------------------------------------------------------- watcher */

static void
wake_due(struct cell *cell)
{
    uint64_t now = clock_now_ns();
    struct heap_item *first;

    while ((first = heap_first(&cell->times)) != NULL && first->key <= now) {
        struct task *task = task_of(first);

        wait_forget(cell, task);
        task_wake(cell, task);
    }
}

static int
timeout_ms(struct cell *cell)
{
    const struct heap_item *first = heap_first(&cell->times);
    uint64_t now, wait;

    cell->watcher_until_ns = first != NULL ? first->key : CLOCK_NEVER_NS;
    if (first == NULL)
        return WAIT_MS_MAX;
    now = clock_now_ns();
    if (cell->watcher_until_ns <= now)
        return 0;
    wait = (cell->watcher_until_ns - now + NS_PER_MS - 1) / NS_PER_MS;
    return wait < WAIT_MS_MAX ? (int)wait : WAIT_MS_MAX;
}

static void
wake_events(struct cell *cell, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        struct task *task;
        uint64_t value;

        if (events[i].data.u64 == 0) {
            ssize_t done = read(cell->event, &value, sizeof(value));

            (void)done;
            continue;
        }
        task = task_find(cell, events[i].data.u64);
        if (task != NULL)
            task_wake(cell, task);
    }
}

void *
wait_main(void *object)
{
    struct epoll_event events[EVENTS_PER_CALL];
    struct cell *cell = object;

    (void)pthread_mutex_lock(&cell->lock);
    while (!cell->is_over) {
        int count, timeout;

        wake_due(cell);
        timeout = timeout_ms(cell);
        (void)pthread_mutex_unlock(&cell->lock);
        count = epoll_wait(cell->epoll, events, EVENTS_PER_CALL, timeout);
        (void)pthread_mutex_lock(&cell->lock);
        wake_events(cell, events, count);
    }
    (void)pthread_mutex_unlock(&cell->lock);
    return NULL;
}
