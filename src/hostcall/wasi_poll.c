/* SPDX-License-Identifier: Apache-2.0
 *
 * poll_oneoff.
 *
 * A relative time counts from the first call: its moment is kept in scratch[0],
 * so that calling again neither prolongs nor shortens it. It is kept inverted: a
 * time in nanoseconds could look like a host address to the checker of law 3.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "hostcall/hostcall_internal.h"

#define SUBSCRIPTIONS_MAX 4096u
#define FILE_ROOM_BYTES   65536u             /* said of a file open for writing */
#define POLL_AGAIN_NS     UINT64_C(10000000) /* where not all can be waited for */

typedef void (*subscription_fn)(const uint8_t *bytes, struct wasi_subscription *out);

struct layout {
    size_t bytes;
    subscription_fn read;
};

struct polling {
    struct faaslet_call *call;
    struct wasi_subscription *subscriptions;
    struct wasi_event *events;
    struct pollfd *fds; /* per subscription; fd -1: none */
    uint32_t count, event_count;
    uint64_t start_ns, deadline_ns;
};

static void
subscription_read(const uint8_t *bytes, struct wasi_subscription *out)
{
    (void)memcpy(out, bytes, sizeof(*out));
}

static void
subscription_read_unstable(const uint8_t *bytes, struct wasi_subscription *out)
{
    struct wasi_unstable_subscription from;

    (void)memcpy(&from, bytes, sizeof(from));
    *out = (struct wasi_subscription){.userdata = from.userdata, .type = from.type};
    if (from.type != WASI_EVENT_CLOCK) {
        out->fd = from.fd;
        return;
    }
    out->clock.id = from.clock.id;
    out->clock.timeout = from.clock.timeout;
    out->clock.precision = from.clock.precision;
    out->clock.flags = from.clock.flags;
}

static struct wasi_event *
event_add(struct polling *polling, const struct wasi_subscription *subscription, int err)
{
    struct wasi_event *event = &polling->events[polling->event_count++];

    *event = (struct wasi_event){
        .userdata = subscription->userdata, .error = wasi_errno(err), .type = subscription->type};
    return event;
}

/* ------------------------------------------------------------------------ clocks */

static uint64_t
saturating_add(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? CLOCK_NEVER_NS : sum;
}

static uint64_t
realtime_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* When it is due, on the monotonic clock. */
static uint64_t
clock_deadline(const struct polling *polling, const struct wasi_subscription *subscription)
{
    uint64_t timeout = subscription->clock.timeout, now;

    if ((subscription->clock.flags & WASI_SUBCLOCK_ABSTIME) == 0)
        return saturating_add(polling->start_ns, timeout);
    if (subscription->clock.id == WASI_MONOTONIC)
        return timeout;
    now = realtime_ns();
    return timeout <= now ? 0 : saturating_add(clock_now_ns(), timeout - now);
}

static void
clock_look(struct polling *polling, const struct wasi_subscription *subscription)
{
    uint64_t deadline;

    if (subscription->clock.id > WASI_THREAD_CPUTIME ||
        (subscription->clock.flags & ~WASI_SUBCLOCK_ABSTIME) != 0) {
        (void)event_add(polling, subscription, -EINVAL);
        return;
    }
    if (subscription->clock.id > WASI_MONOTONIC) { /* CPU time stands still meanwhile */
        (void)event_add(polling, subscription, -EOPNOTSUPP);
        return;
    }
    deadline = clock_deadline(polling, subscription);
    if (deadline <= clock_now_ns())
        (void)event_add(polling, subscription, 0);
    else if (deadline < polling->deadline_ns)
        polling->deadline_ns = deadline;
}

/* ------------------------------------------------------------------- descriptors */

static const struct files_entry *
fd_entry(const struct polling *polling, const struct wasi_subscription *subscription, int *err)
{
    enum wasi_right right = subscription->type == WASI_EVENT_FD_READ ? WASI_FD_READ : WASI_FD_WRITE;
    const struct files_entry *entry =
        wasi_descriptor(polling->call, subscription->fd, WASI_POLL_FD_READWRITE, err);

    /* A listening socket is polled for reading before sock_accept. */
    if (*err == 0 && entry->kind != FILES_DIRECTORY)
        entry = wasi_descriptor(polling->call, subscription->fd, right, err);
    if (*err == 0 && entry->fd < 0 && entry->kind != FILES_MEMORY)
        *err = -EIO;
    return entry;
}

/* Files, directories and memory never keep anyone waiting. */
static void
file_ready(struct polling *polling, const struct wasi_subscription *subscription,
           const struct files_entry *entry)
{
    struct wasi_event *event = event_add(polling, subscription, 0);
    struct stat stat;
    uint64_t offset = entry->offset;
    off_t at;

    if (subscription->type == WASI_EVENT_FD_WRITE) {
        event->nbytes = FILE_ROOM_BYTES;
        return;
    }
    if (entry->kind == FILES_MEMORY) {
        const struct hostcall_process *process = wasi_process(polling->call);

        event->nbytes = process->streams[0].count - process->input_at;
        return;
    }
    if (entry->kind != FILES_REGULAR || files_stat(entry, &stat) != 0)
        return;
    if (!entry->is_own_offset) {
        at = lseek(entry->fd, 0, SEEK_CUR);
        offset = at < 0 ? 0 : (uint64_t)at;
    }
    if ((uint64_t)stat.st_size > offset)
        event->nbytes = (uint64_t)stat.st_size - offset;
}

static void
fd_look(struct polling *polling, uint32_t index)
{
    const struct wasi_subscription *subscription = &polling->subscriptions[index];
    int err;
    const struct files_entry *entry = fd_entry(polling, subscription, &err);

    if (err != 0)
        (void)event_add(polling, subscription, err);
    else if (entry->kind == FILES_REGULAR || entry->kind == FILES_DIRECTORY ||
             entry->kind == FILES_MEMORY)
        file_ready(polling, subscription, entry);
    else
        polling->fds[index] = (struct pollfd){
            .fd = entry->fd, .events = subscription->type == WASI_EVENT_FD_READ ? POLLIN : POLLOUT};
}

static void
fd_ready(struct polling *polling, uint32_t index)
{
    const struct wasi_subscription *subscription = &polling->subscriptions[index];
    short events = polling->fds[index].revents;
    struct wasi_event *event;
    int available = 0;

    if ((events & POLLNVAL) != 0) {
        (void)event_add(polling, subscription, -EBADF);
        return;
    }
    event = event_add(polling, subscription, 0);
    if ((events & (POLLHUP | POLLERR)) != 0)
        event->flags = WASI_EVENT_HANGUP;
    if (subscription->type == WASI_EVENT_FD_WRITE)
        event->nbytes = (events & POLLOUT) != 0 ? PIPE_BUF : 0;
    else if (ioctl(polling->fds[index].fd, FIONREAD, &available) == 0 && available > 0)
        event->nbytes = (uint64_t)available;
}

/* ------------------------------------------------------------------------ the call */

static void
polling_look(struct polling *polling)
{
    for (uint32_t i = 0; i < polling->count; i++) {
        polling->fds[i] = (struct pollfd){.fd = -1};
        if (polling->subscriptions[i].type == WASI_EVENT_CLOCK)
            clock_look(polling, &polling->subscriptions[i]);
        else if (polling->subscriptions[i].type <= WASI_EVENT_FD_WRITE)
            fd_look(polling, i);
        else
            (void)event_add(polling, &polling->subscriptions[i], -EINVAL);
    }
    if (poll(polling->fds, polling->count, 0) <= 0)
        return;
    for (uint32_t i = 0; i < polling->count; i++)
        if (polling->fds[i].fd >= 0 && polling->fds[i].revents != 0)
            fd_ready(polling, i);
}

static enum faaslet_verdict
polling_wait(const struct polling *polling)
{
    struct faaslet_wait *wait = polling->call->wait;

    wait->deadline_ns = polling->deadline_ns;
    wait->fd_count = 0;
    for (uint32_t i = 0; i < polling->count; i++) {
        if (polling->fds[i].fd < 0)
            continue;
        if (wait->fd_count == FAASLET_WAIT_FDS_MAX) {
            uint64_t again = saturating_add(clock_now_ns(), POLL_AGAIN_NS);

            if (again < wait->deadline_ns)
                wait->deadline_ns = again;
            break;
        }
        wait->fds[wait->fd_count++] =
            (struct faaslet_wait_fd){polling->fds[i].fd, polling->fds[i].events};
    }
    return FAASLET_CALL_PENDING;
}

static enum faaslet_verdict
polling_run(struct polling *polling)
{
    struct faaslet_call *call = polling->call;

    if (call->scratch[0] == 0)
        call->scratch[0] = ~clock_now_ns();
    polling->start_ns = ~call->scratch[0];
    polling->deadline_ns = CLOCK_NEVER_NS;
    polling_look(polling);
    if (polling->event_count == 0)
        return polling_wait(polling);
    wasi_store(call, wasi_arg(call, 1), polling->events,
               polling->event_count * sizeof(*polling->events));
    wasi_store_u32(call, wasi_arg(call, 3), polling->event_count);
    return wasi_done(call, 0);
}

static enum faaslet_verdict
poll_oneoff(struct faaslet_call *call, const struct layout *layout)
{
    uint32_t count = wasi_arg(call, 2);
    const uint8_t *from = faaslet_call_view(call, wasi_arg(call, 0), count * layout->bytes);
    struct polling polling = {.call = call, .count = count};
    enum faaslet_verdict verdict;

    if (from == NULL || wasi_check(call, wasi_arg(call, 1), count * sizeof(*polling.events)) != 0 ||
        wasi_check(call, wasi_arg(call, 3), 4) != 0)
        return wasi_done(call, -EFAULT);
    if (count == 0 || count > SUBSCRIPTIONS_MAX)
        return wasi_done(call, -EINVAL);
    polling.subscriptions = calloc(count, sizeof(*polling.subscriptions));
    polling.events = calloc(count, sizeof(*polling.events));
    polling.fds = calloc(count, sizeof(*polling.fds));
    if (polling.subscriptions == NULL || polling.events == NULL || polling.fds == NULL) {
        verdict = wasi_done(call, -ENOMEM);
    } else {
        for (uint32_t i = 0; i < count; i++)
            layout->read(from + i * layout->bytes, &polling.subscriptions[i]);
        verdict = polling_run(&polling);
    }
    free(polling.subscriptions);
    free(polling.events);
    free(polling.fds);
    return verdict;
}

enum faaslet_verdict
wasi_poll_oneoff(struct faaslet_call *call)
{
    static const struct layout layout = {sizeof(struct wasi_subscription), subscription_read};

    return poll_oneoff(call, &layout);
}

enum faaslet_verdict
wasi_poll_oneoff_unstable(struct faaslet_call *call)
{
    static const struct layout layout = {sizeof(struct wasi_unstable_subscription),
                                         subscription_read_unstable};

    return poll_oneoff(call, &layout);
}
