/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop: events, what other threads left to be done, and deadlines.
 */
#include "hosts/hosts_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

#define EVENTS_MAX      64
#define ACCEPTS_A_TURN  64u
#define LISTEN_PAUSE_NS UINT64_C(1000000000) /* where there are no descriptors left */
#define NS_PER_MS       UINT64_C(1000000)

/* ------------------------------------------------------------------------ listening */

static void
watch_listening(struct hosts *hosts, bool is_on)
{
    struct epoll_event event = {.events = is_on ? EPOLLIN : 0, .data.ptr = &hosts->listening};

    (void)epoll_ctl(hosts->epoll, EPOLL_CTL_MOD, hosts->listening, &event);
    hosts->listen_at_ns = is_on ? CLOCK_NEVER_NS : clock_now_ns() + LISTEN_PAUSE_NS;
}

static void
accept_some(struct hosts *hosts)
{
    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd, err = net_accept(hosts->listening, &fd);

        if (err == -EAGAIN)
            return;
        if (err != 0) { /* it would be told of at once, again and again */
            watch_listening(hosts, false);
            return;
        }
        hosts_peer_accept(hosts, fd);
    }
}

/* ------------------------------------------------------------------------- deadlines */

static void
end_strangers(struct hosts *hosts, uint64_t now_ns)
{
    struct peer *next;

    for (struct peer *peer = hosts->strangers; peer != NULL; peer = next) {
        next = peer->next;
        if (peer->deadline_ns <= now_ns)
            hosts_peer_close(peer);
        else if (peer->deadline_ns < hosts->look_at_ns)
            hosts->look_at_ns = peer->deadline_ns;
    }
}

/* Only the loop changes the list and heard_ns, so it may look at both without the lock. */
static void
end_silent(struct hosts *hosts, uint64_t now_ns)
{
    struct host *next;

    for (struct host *host = hosts->hosts; host != NULL; host = next) {
        uint64_t until_ns = host->heard_ns + hosts->config.silence_ns;

        next = host->next;
        if (until_ns <= now_ns)
            hosts_host_down(host);
        else if (until_ns < hosts->look_at_ns)
            hosts->look_at_ns = until_ns;
        if (until_ns > now_ns && host->peer != NULL && host->peer->end_count > 0 &&
            host->peer->answer_at_ns < hosts->look_at_ns)
            hosts->look_at_ns = host->peer->answer_at_ns;
    }
}

static void
look(struct hosts *hosts)
{
    uint64_t now_ns = clock_now_ns();

    if (now_ns >= hosts->listen_at_ns)
        watch_listening(hosts, true);
    if (now_ns < hosts->look_at_ns)
        return;
    hosts->look_at_ns = CLOCK_NEVER_NS;
    end_strangers(hosts, now_ns);
    end_silent(hosts, now_ns);
}

/* ---------------------------------------------------------------------------- chores */

/* The planner is told that a host is heard, now and then. */
static void
tell_heard(struct host *host, uint64_t now_ns)
{
    struct hosts *hosts = host->hosts;

    host->peer->is_heard = false;
    (void)pthread_mutex_lock(&hosts->lock);
    host->heard_ns = now_ns;
    (void)pthread_mutex_unlock(&hosts->lock);
    if (now_ns - host->told_ns < hosts->config.beat_ns / 4)
        return;
    host->told_ns = now_ns;
    if (!planner_host_heard(host->planner))
        hosts_host_down(host); /* it was silent for too long; it may come anew */
}

/* What others have noted of it. False: it is down. */
static bool
do_noted(struct host *host)
{
    bool is_hopeless, is_failed;

    (void)pthread_mutex_lock(&host->hosts->lock);
    is_hopeless = host->is_hopeless;
    is_failed = host->peer != NULL && host->peer->is_failed;
    (void)pthread_mutex_unlock(&host->hosts->lock);
    if (is_hopeless) {
        hosts_host_down(host);
        return false;
    }
    if (is_failed)
        hosts_peer_close(host->peer);
    hosts_run_tell_fates(host);
    hosts_host_drain(host);
    return true;
}

static void
do_chores_of(struct host *host, bool has_chores, uint64_t now_ns)
{
    if (has_chores && !do_noted(host))
        return;
    if (host->peer == NULL)
        return;
    hosts_peer_answer(host->peer, now_ns);
    if (host->peer->is_heard)
        tell_heard(host, now_ns);
}

static bool
do_chores(struct hosts *hosts)
{
    const uint64_t now_ns = clock_now_ns();
    bool has_chores, is_ending;
    struct host *next;

    (void)pthread_mutex_lock(&hosts->lock);
    has_chores = hosts->has_chores;
    is_ending = hosts->is_ending;
    hosts->has_chores = false;
    (void)pthread_mutex_unlock(&hosts->lock);
    if (is_ending)
        return false;
    if (has_chores)
        hosts_upload_done(hosts);
    for (struct host *host = hosts->hosts; host != NULL; host = next) {
        next = host->next;
        do_chores_of(host, has_chores, now_ns);
    }
    look(hosts);
    return true;
}

/* ---------------------------------------------------------------------------- events */

static void
handle(struct hosts *hosts, const struct epoll_event *events, int count)
{
    uint64_t value;

    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == &hosts->event)
            (void)!read(hosts->event, &value, sizeof(value));
        else if (events[i].data.ptr == &hosts->listening)
            accept_some(hosts);
        else
            hosts_peer_event(events[i].data.ptr);
    }
}

/* Those that had more to say than a turn's share. */
static bool
hear_rest(struct hosts *hosts)
{
    bool is_any = false;
    struct peer *next;

    for (struct peer *peer = hosts->strangers; peer != NULL; peer = next) {
        next = peer->next;
        if (peer->is_unread)
            hosts_peer_event(peer);
        is_any = is_any || peer->is_unread;
    }
    for (struct host *host = hosts->hosts; host != NULL; host = host->next) {
        struct peer *peer = host->peer;

        if (peer != NULL && peer->is_unread)
            hosts_peer_event(peer);
        is_any = is_any || (host->peer != NULL && host->peer->is_unread);
    }
    return is_any;
}

static int
timeout_ms(const struct hosts *hosts)
{
    uint64_t at_ns = hosts->look_at_ns, now_ns;

    if (hosts->listen_at_ns < at_ns)
        at_ns = hosts->listen_at_ns;
    if (at_ns == CLOCK_NEVER_NS)
        return -1;
    now_ns = clock_now_ns();
    if (at_ns <= now_ns)
        return 0;
    at_ns = (at_ns - now_ns) / NS_PER_MS + 1;
    return at_ns < 3600000 ? (int)at_ns : 3600000;
}

void *
hosts_loop(void *object)
{
    struct epoll_event events[EVENTS_MAX];
    struct hosts *hosts = object;
    bool is_any_unread = false;

    net_turn_begin();
    while (do_chores(hosts)) {
        int count;

        hosts_peer_forget(hosts); /* no event is in hand now */
        net_turn_end();
        count = epoll_wait(hosts->epoll, events, EVENTS_MAX, is_any_unread ? 0 : timeout_ms(hosts));
        net_turn_begin();
        is_any_unread = hear_rest(hosts);
        handle(hosts, events, count > 0 ? count : 0);
    }
    net_turn_end();
    return NULL;
}
