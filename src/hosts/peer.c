/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections: from a stranger who has proved the key, by its hello and its register, to a
 * host's words.
 */
#include "hosts/hosts_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"

/* -------------------------------------------------------------------------- sending */

int
hosts_send(struct peer *peer, Rpc__HostDown__IsCase is, void *message)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    int err = peer->is_over ? -EPIPE : fault_point("hosts.send");

    down.is_case = is;
    down.welcome = message; /* of a union of pointers */
    return err != 0 ? err : rpc_send(peer->connection, &down.base, NULL, 0);
}

void
hosts_peer_fail(struct peer *peer)
{
    peer->is_failed = true;
    hosts_wake(peer->hosts);
}

void
hosts_say(struct peer *peer, Rpc__HostDown__IsCase is, void *message)
{
    if (hosts_send(peer, is, message) != 0)
        hosts_peer_fail(peer);
}

/* That a beat was heard is told at once. That ends were, so that the worker forgets them, is in
 * no hurry: each word would wake it. */
static bool
is_answer_due(const struct peer *peer, uint64_t now_ns)
{
    return peer->is_beat_due || peer->end_count >= HOSTS_ENDS_HEARD ||
           (peer->end_count > 0 && now_ns >= peer->answer_at_ns);
}

/* What it said, and that it was heard, in one word. */
void
hosts_peer_answer(struct peer *peer, uint64_t now_ns)
{
    Rpc__HostHeard heard = RPC__HOST_HEARD__INIT;
    Rpc__HostRun **list = NULL;

    if (!is_answer_due(peer, now_ns))
        return;
    if (peer->end_count > 0)
        list = hosts_alloc(peer->end_count * sizeof(*list));
    for (size_t i = 0; list != NULL && i < peer->end_count; i++)
        list[i] = &peer->ends[i];
    heard.n_ends = list != NULL ? peer->end_count : 0; /* else it says them again, some time */
    heard.ends = list;
    (void)pthread_mutex_lock(&peer->hosts->lock);
    hosts_say(peer, RPC__HOST_DOWN__IS_HEARD, &heard);
    (void)pthread_mutex_unlock(&peer->hosts->lock);
    free(list);
    peer->end_count = 0;
    peer->is_beat_due = false;
}

/* ------------------------------------------------------------------ from start to end */

static void
stranger_leave(struct peer *peer)
{
    if (peer->link == NULL)
        return;
    *peer->link = peer->next;
    if (peer->next != NULL)
        peer->next->link = peer->link;
    peer->link = NULL;
    peer->hosts->stranger_count--;
}

static void
stranger_enter(struct hosts *hosts, struct peer *peer)
{
    peer->next = hosts->strangers;
    peer->link = &hosts->strangers;
    if (peer->next != NULL)
        peer->next->link = &peer->next;
    hosts->strangers = peer;
    hosts->stranger_count++;
    if (peer->deadline_ns < hosts->look_at_ns)
        hosts->look_at_ns = peer->deadline_ns;
}

/* Who came first and has not said who it is makes room for who comes now. */
static void
make_room(struct hosts *hosts)
{
    struct peer *oldest = hosts->strangers;

    if (hosts->stranger_count < HOSTS_STRANGERS_MAX)
        return;
    while (oldest->next != NULL)
        oldest = oldest->next;
    hosts_peer_close(oldest);
}

void
hosts_peer_accept(struct hosts *hosts, int fd)
{
    struct peer *peer = hosts_alloc(sizeof(*peer));

    if (peer == NULL) {
        (void)close(fd);
        return;
    }
    if (net_connection_create_secret(fd, hosts->secret, true, &(struct net_limits){0},
                                     &peer->connection) != 0) {
        free(peer);
        return;
    }
    if (net_watch(peer->connection, hosts->epoll, (uint64_t)(uintptr_t)peer) != 0) {
        net_connection_destroy(peer->connection);
        free(peer);
        return;
    }
    peer->hosts = hosts;
    peer->references = 1;
    peer->deadline_ns = clock_now_ns() + HOSTS_STRANGER_NS;
    make_room(hosts);
    stranger_enter(hosts, peer);
}

void
hosts_peer_put(struct peer *peer)
{
    ASSERT(peer->references > 0);
    if (--peer->references > 0)
        return;
    net_connection_destroy(peer->connection);
    free(peer->ends);
    free(peer);
}

/* It is not freed before the turn is over: an event of it may still be in the loop's hands. */
void
hosts_peer_close(struct peer *peer)
{
    struct hosts *hosts = peer->hosts;
    struct host *host = peer->host;

    if (peer->state == PEER_OVER)
        return;
    peer->state = PEER_OVER;
    (void)epoll_ctl(hosts->epoll, EPOLL_CTL_DEL, net_fd(peer->connection), NULL);
    stranger_leave(peer);
    (void)pthread_mutex_lock(&hosts->lock);
    peer->is_over = true;
    hosts_sending_end_all(peer);
    if (host != NULL)
        host->peer = NULL;
    (void)pthread_mutex_unlock(&hosts->lock);
    hosts_upload_end_all(peer);
    hosts_chain_end_all(peer);
    hosts_state_end_all(peer);
    if (host != NULL)
        hosts_host_drain(host);
    peer->next = hosts->ended;
    hosts->ended = peer;
}

void
hosts_peer_forget(struct hosts *hosts)
{
    while (hosts->ended != NULL) {
        struct peer *peer = hosts->ended;

        hosts->ended = peer->next;
        (void)pthread_mutex_lock(&hosts->lock);
        hosts_peer_put(peer);
        (void)pthread_mutex_unlock(&hosts->lock);
    }
}

/* -------------------------------------------------------------------------- hearing */

/* This side says its hello after it has heard the other's, so that a refusal is the first
 * word that the other side hears. */
static bool
greet(struct peer *peer, const struct net_frame *frame)
{
    const struct rpc_hello mine = {HOST_PROTOCOL, RPC__HOST_VERSION__HOST_VERSION,
                                   RPC__HOST_VERSION__HOST_VERSION, peer->hosts->name};
    struct rpc_peer theirs;
    struct diag why;

    diag_init(&why);
    if (rpc_hello_hear(peer->connection, frame, &mine, &theirs, NULL) != 0)
        return false;
    if (strlen(theirs.who) > HOSTS_NAME_BYTES_MAX) {
        rpc_refuse(peer->connection, "a host's name has at most 63 bytes");
        return false;
    }
    if (!hosts_host_may_come(peer->hosts, theirs.who, &why)) {
        rpc_refuse(peer->connection, diag_text(&why));
        return false;
    }
    (void)memcpy(peer->name, theirs.who, strlen(theirs.who) + 1);
    peer->state = PEER_GREETED;
    return rpc_hello_send(peer->connection, &mine) == 0;
}

static bool
enter(struct peer *peer, const Rpc__HostUp *up)
{
    if (up->is_case != RPC__HOST_UP__IS_REGISTER)
        return false;
    if (!hosts_host_register(peer, up->register_))
        return false;
    stranger_leave(peer);
    peer->state = PEER_UP;
    return true;
}

static bool
obey(struct peer *peer, const Rpc__HostUp *up)
{
    switch (up->is_case) {
    case RPC__HOST_UP__IS_BEAT:
        hosts_host_beat(peer->host, up->beat);
        peer->is_beat_due = true;
        return true;
    case RPC__HOST_UP__IS_END:
        if (up->end->run == NULL)
            return false;
        hosts_run_end(peer, up->end);
        return true;
    case RPC__HOST_UP__IS_CHAIN:
        hosts_chain_start(peer, up->chain);
        return true;
    case RPC__HOST_UP__IS_CHAIN_CANCEL:
        hosts_chain_cancel(peer, up->chain_cancel->number);
        return true;
    case RPC__HOST_UP__IS_WANT_BLOB:
        hosts_sending_start(peer, &up->want_blob->hash);
        return true;
    case RPC__HOST_UP__IS_BLOB:
        hosts_upload_hear(peer, up->blob);
        return true;
    case RPC__HOST_UP__IS_STATE:
        hosts_state_hear(peer, up->state);
        return true;
    default: /* a second register, or nothing */
        return false;
    }
}

/* False: it broke the rules, or is not wanted. */
static bool
hear(struct peer *peer, const struct net_frame *frame)
{
    Rpc__HostUp *up;
    bool goes_on;

    if (peer->state == PEER_NEW)
        return greet(peer, frame);
    up = (void *)rpc_read(frame->bytes, frame->count, &rpc__host_up__descriptor);
    if (up == NULL)
        return false;
    goes_on = peer->state == PEER_GREETED ? enter(peer, up) : obey(peer, up);
    rpc__host_up__free_unpacked(up, NULL);
    return goes_on;
}

/* Those that have much to say take turns. */
void
hosts_peer_event(struct peer *peer)
{
    struct net_frame frame;
    unsigned count = 0;
    int err = 0;

    if (peer->state == PEER_OVER)
        return;
    (void)!net_flush(peer->connection); /* where it is over, reading says so */
    hosts_sending_go_on(peer);
    while (err == 0 && peer->state != PEER_OVER && count++ < HOSTS_FRAMES_A_TURN) {
        err = net_receive(peer->connection, &frame);
        if (err != 0)
            break;
        peer->is_heard = true;
        if (!hear(peer, &frame))
            err = -EPROTO;
        net_frame_fini(&frame);
    }
    peer->is_unread = err == 0;
    if (err != 0 && err != -EAGAIN)
        hosts_peer_close(peer);
}
