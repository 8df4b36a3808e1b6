/* SPDX-License-Identifier: Apache-2.0
 *
 * Hosts: a worker that comes, comes back, is silent, goes.
 */
#include "hosts/hosts_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

#define SILENT_BEATS 3u /* after so many beats missed its connection is taken for broken */

/* ----------------------------------------------------------------------- who may come */

static bool
is_broken(const struct hosts *hosts, const struct host *host)
{
    return host->peer == NULL ||
           clock_now_ns() - host->heard_ns >= SILENT_BEATS * hosts->config.beat_ns;
}

bool
hosts_host_may_come(struct hosts *hosts, const char *name, struct diag *diag)
{
    const struct host *host;
    int err = 0;

    (void)pthread_mutex_lock(&hosts->lock);
    host = hosts_find(hosts, name);
    if (host != NULL && !is_broken(hosts, host))
        err = diag_set(diag, -EEXIST,
                       "there is a host %s already, at %s: each host needs its own name", name,
                       host->address);
    else if (host == NULL && hosts->host_count >= HOSTS_MAX)
        err = diag_set(diag, -ENOSPC, "there are %u hosts already, as many as may be", HOSTS_MAX);
    (void)pthread_mutex_unlock(&hosts->lock);
    return err == 0;
}

/* ---------------------------------------------------------------------------- draining */

/* One that is away gets nothing new: it would wait for it. */
void
hosts_host_drain(struct host *host)
{
    struct hosts *hosts = host->hosts;
    Rpc__HostDrain message = RPC__HOST_DRAIN__INIT;
    bool is_drained, was_drained;

    (void)pthread_mutex_lock(&hosts->lock);
    message.is_draining = hosts_is_drained(hosts, host->name);
    is_drained = message.is_draining || host->peer == NULL;
    was_drained = host->is_drained;
    host->is_drained = is_drained;
    if (host->peer != NULL && is_drained != was_drained)
        hosts_say(host->peer, RPC__HOST_DOWN__IS_DRAIN, &message);
    (void)pthread_mutex_unlock(&hosts->lock);
    if (is_drained != was_drained)
        planner_host_drain(host->planner, is_drained);
}

/* ------------------------------------------------------------------------- registering */

static void
copy_text(char out[HOSTS_TEXT_BYTES_MAX + 1], const char *text)
{
    size_t at = 0;

    while (text[at] != '\0') { /* whole characters */
        size_t bytes = utf8_character((const uint8_t *)text + at, strnlen(text + at, 4));

        if (bytes == 0 || at + bytes > HOSTS_TEXT_BYTES_MAX)
            break;
        at += bytes;
    }
    (void)memcpy(out, text, at);
    out[at] = '\0';
}

static void
copy_missing(struct host *host, const Rpc__HostRegister *message)
{
    char text[HOSTS_TEXT_BYTES_MAX + 1] = "";
    size_t used = 0;

    for (size_t i = 0; i < message->n_missing && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? ", " : "",
                                 message->missing[i]);
    copy_text(host->missing, text);
}

static void
describe(struct host *host, const struct peer *peer, const Rpc__HostRegister *message)
{
    copy_text(host->zone, message->zone);
    copy_text(host->version, message->version);
    copy_missing(host, message);
    host->cores = message->cores;
    if (net_peer_address_of(net_fd(peer->connection), host->address) != 0)
        host->address[0] = '\0';
}

/* In order of names. */
static void
enter(struct hosts *hosts, struct host *host)
{
    struct host **at = &hosts->hosts;

    while (*at != NULL && strcmp((*at)->name, host->name) < 0)
        at = &(*at)->next;
    host->next = *at;
    *at = host;
    hosts->host_count++;
}

static void
leave(struct hosts *hosts, struct host *host)
{
    struct host **at = &hosts->hosts;

    while (*at != host)
        at = &(*at)->next;
    *at = host->next;
    hosts->host_count--;
}

/* With the lock. The first word to a worker, with those of its runs that are wanted. */
static void
welcome(struct host *host, const Rpc__HostRegister *message)
{
    Rpc__HostWelcome word = RPC__HOST_WELCOME__INIT;
    Rpc__HostDrain drain = RPC__HOST_DRAIN__INIT;
    const struct hosts *hosts = host->hosts;

    word.planner = hosts->life;
    word.beat_ns = hosts->config.beat_ns;
    word.silence_ns = hosts->config.silence_ns;
    word.keep = hosts_alloc((message->n_runs + 1) * sizeof(*word.keep));
    for (size_t i = 0; word.keep != NULL && i < message->n_runs; i++) {
        Rpc__HostRun *theirs = message->runs[i];
        struct run *run = hosts_run_find(host, theirs->call, theirs->attempt);

        if (run == NULL || run->unsent != NULL || run->is_stopped || run->fate != FATE_NONE)
            continue;
        run->is_named = true;
        word.keep[word.n_keep++] = theirs;
    }
    hosts_say(host->peer, RPC__HOST_DOWN__IS_WELCOME, &word);
    free(word.keep);
    drain.is_draining = hosts_is_drained(hosts, host->name);
    if (drain.is_draining)
        hosts_say(host->peer, RPC__HOST_DOWN__IS_DRAIN, &drain);
}

/* With the lock. */
static void
attach(struct host *host, struct peer *peer)
{
    struct hosts *hosts = host->hosts;

    host->peer = peer;
    peer->host = host;
    host->heard_ns = host->told_ns = clock_now_ns();
    if (host->heard_ns + hosts->config.silence_ns < hosts->look_at_ns)
        hosts->look_at_ns = host->heard_ns + hosts->config.silence_ns;
}

static bool
come(struct peer *peer, const Rpc__HostRegister *message)
{
    struct hosts *hosts = peer->hosts;
    struct host *host = hosts_alloc(sizeof(*host));
    struct planner_host_config config = {.name = peer->name,
                                         .slots = message->slots,
                                         .memory = message->memory_bytes,
                                         .ops = &hosts_run_ops,
                                         .context = host};

    if (host == NULL)
        return false;
    host->hosts = hosts;
    (void)memcpy(host->name, peer->name, sizeof(host->name));
    host->slots = message->slots;
    host->memory_bytes = message->memory_bytes;
    describe(host, peer, message);
    (void)pthread_mutex_lock(&hosts->lock);
    attach(host, peer);
    welcome(host, message);
    enter(hosts, host);
    host->is_drained = config.is_draining = hosts_is_drained(hosts, host->name);
    (void)pthread_mutex_unlock(&hosts->lock);
    if (planner_host_up(hosts->config.planner, &config, &host->planner, NULL) == 0)
        return true;
    (void)pthread_mutex_lock(&hosts->lock);
    leave(hosts, host);
    peer->host = NULL;
    (void)pthread_mutex_unlock(&hosts->lock);
    free(host);
    return false;
}

static void
come_back(struct host *host, struct peer *peer, const Rpc__HostRegister *message)
{
    struct hosts *hosts = host->hosts;

    describe(host, peer, message);
    (void)pthread_mutex_lock(&hosts->lock);
    attach(host, peer);
    welcome(host, message);
    hosts_function_forget(host, true);
    hosts_run_resume(host);
    (void)pthread_mutex_unlock(&hosts->lock);
}

/* What the worker had for another planner, or with other room, is not this host's. */
static bool
is_same(const struct hosts *hosts, const struct host *host, const Rpc__HostRegister *message)
{
    return message->planner == hosts->life && message->slots == host->slots &&
           message->memory_bytes == host->memory_bytes;
}

bool
hosts_host_register(struct peer *peer, const Rpc__HostRegister *message)
{
    struct hosts *hosts = peer->hosts;
    struct host *host = hosts_find(hosts, peer->name);

    if (message->slots == 0 || (host == NULL && hosts->host_count >= HOSTS_MAX))
        return false;
    if (host != NULL && !is_broken(hosts, host))
        return false; /* another came by this name since the hello */
    if (host != NULL && host->peer != NULL)
        hosts_peer_close(host->peer);
    if (host != NULL && (!is_same(hosts, host, message) || !planner_host_heard(host->planner))) {
        hosts_host_down(host);
        host = NULL;
    }
    if (host == NULL)
        return come(peer, message);
    come_back(host, peer, message);
    hosts_host_drain(host);
    return true;
}

/* ------------------------------------------------------------------------ beat and end */

void
hosts_host_beat(struct host *host, const Rpc__HostBeat *beat)
{
    bool was_leaving = host->is_leaving;

    (void)pthread_mutex_lock(&host->hosts->lock);
    host->beat = *beat; /* numbers only */
    host->is_leaving = beat->is_leaving;
    (void)pthread_mutex_unlock(&host->hosts->lock);
    if (was_leaving != beat->is_leaving)
        planner_host_leaving(host->planner, beat->is_leaving);
}

void
hosts_host_down(struct host *host)
{
    struct hosts *hosts = host->hosts;

    (void)pthread_mutex_lock(&hosts->lock);
    leave(hosts, host);
    (void)pthread_mutex_unlock(&hosts->lock);
    if (host->peer != NULL)
        hosts_peer_close(host->peer);
    planner_host_down(host->planner); /* its functions are not called any more */
    hosts_function_forget(host, false);
    hosts_run_free_all(host);
    free(host);
}
