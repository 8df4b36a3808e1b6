/* SPDX-License-Identifier: Apache-2.0
 *
 * State: sessions of cells with the global tier, over the connections of their workers. A worker
 * is believed whose cell it is, where it was told of that tenant; the cell is believed nothing.
 *
 * The table is the loop's. The tier says things on threads of its own: a session says them on
 * its peer's connection, with the lock, and not after hosts_state_end_all has returned.
 */
#include "hosts/hosts_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS_MAX 16384u /* of one worker */

struct session {
    struct session *next; /* of the bucket */
    struct peer *peer;    /* a reference */
    uint64_t number;
    struct tier_session *tier;
};

static struct session **
place(struct peer *peer, uint64_t number)
{
    struct session **at = &peer->sessions[number % HOSTS_SESSION_BUCKETS];

    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

/* tier_say_fn. What cannot be sent is a word lost, and the end of the connection. */
static void
say(void *context, const Rpc__StateDown *down)
{
    struct session *session = context;
    struct peer *peer = session->peer;
    Rpc__HostState state = RPC__HOST_STATE__INIT;
    size_t count = rpc__state_down__get_packed_size(down);
    uint8_t *bytes = hosts_alloc(count + 1);

    state.session = session->number;
    if (bytes != NULL)
        state.frame = (ProtobufCBinaryData){rpc__state_down__pack(down, bytes), bytes};
    (void)pthread_mutex_lock(&peer->hosts->lock);
    if (!peer->is_over && bytes == NULL)
        hosts_peer_fail(peer);
    else if (!peer->is_over)
        hosts_say(peer, RPC__HOST_DOWN__IS_STATE, &state);
    (void)pthread_mutex_unlock(&peer->hosts->lock);
    free(bytes);
}

static void
end(struct session *session, bool is_gone)
{
    struct peer *peer = session->peer;
    struct session **at = place(peer, session->number);

    *at = session->next;
    peer->session_count--;
    tier_session_close(session->tier, is_gone);
    (void)pthread_mutex_lock(&peer->hosts->lock);
    hosts_peer_put(peer);
    (void)pthread_mutex_unlock(&peer->hosts->lock);
    free(session);
}

/* The cell may begin anew. */
static void
refuse(struct peer *peer, uint64_t number)
{
    Rpc__HostState state = RPC__HOST_STATE__INIT;

    state.session = number;
    state.is_over = true;
    (void)pthread_mutex_lock(&peer->hosts->lock);
    hosts_say(peer, RPC__HOST_DOWN__IS_STATE, &state);
    (void)pthread_mutex_unlock(&peer->hosts->lock);
}

/* Of a tenant that the worker was told of. */
static int
open_session(struct peer *peer, const Rpc__HostState *words)
{
    struct hosts *hosts = peer->hosts;
    struct session *session;
    bool may;
    int err;

    (void)pthread_mutex_lock(&hosts->lock);
    may = hosts_function_has_tenant(peer->host, words->tenant);
    (void)pthread_mutex_unlock(&hosts->lock);
    if (!may || hosts->config.tier == NULL || peer->session_count >= SESSIONS_MAX)
        return -EPERM;
    session = hosts_alloc(sizeof(*session));
    if (session == NULL)
        return -ENOMEM;
    session->peer = peer;
    session->number = words->session;
    (void)pthread_mutex_lock(&hosts->lock);
    peer->references++;
    (void)pthread_mutex_unlock(&hosts->lock);
    session->next = *place(peer, words->session);
    *place(peer, words->session) = session;
    peer->session_count++;
    err = tier_session_open(hosts->config.tier, words->tenant, say, session, &session->tier);
    if (err != 0)
        end(session, true);
    return err;
}

void
hosts_state_hear(struct peer *peer, const Rpc__HostState *words)
{
    struct session *session = *place(peer, words->session);
    Rpc__StateUp *up;
    bool is_good;

    if (session != NULL && (words->is_over || words->frame.len == 0)) {
        end(session, words->is_over);
        session = NULL;
    }
    if (words->is_over)
        return;
    if (words->frame.len == 0) {
        if (open_session(peer, words) != 0)
            refuse(peer, words->session);
        return;
    }
    if (session == NULL) /* words from before it was refused */
        return;
    up = (void *)rpc_read(words->frame.data, words->frame.len, &rpc__state_up__descriptor);
    is_good = up != NULL && tier_session_hear(session->tier, up);
    if (up != NULL)
        rpc__state_up__free_unpacked(up, NULL);
    if (is_good)
        return;
    end(session, false);
    refuse(peer, words->session);
}

void
hosts_state_end_all(struct peer *peer)
{
    for (size_t i = 0; i < HOSTS_SESSION_BUCKETS; i++)
        while (peer->sessions[i] != NULL)
            end(peer->sessions[i], false);
}
