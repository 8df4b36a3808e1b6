/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads of HTTP. Each has a daemon of libmicrohttpd of its own, which it drives itself:
 * so it knows when a turn ends, and what all requests of a turn say to workers goes out as
 * one (net_turn_begin). All of them listen at the same socket.
 *
 *   wait -> MHD_run: requests in, answers out -> end of the turn -> wait
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "gateway/gateway_internal.h"
#include "net/net.h"

#define MEMORY_OF_CONNECTION (32u << 10) /* the largest head of a request, about */
#define IDLE_SECONDS         30u
#define TIMEOUT_MS_MAX       1000

/* ------------------------------------------------------------------------ the thread */

static int
timeout_ms(const struct gateway_server *server)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (MHD_get_timeout(server->daemon, &ms) != MHD_YES || ms > TIMEOUT_MS_MAX)
        return TIMEOUT_MS_MAX;
    return (int)ms;
}

/* Who resumes a connection sees that this thread sleeps, or this thread sees what was resumed:
 * each writes its own flag before it reads the other's. */
static void
await(struct gateway_server *server)
{
    struct epoll_event event;
    uint64_t count;
    int ms;

    atomic_store_explicit(&server->is_asleep, true, memory_order_seq_cst);
    ms = atomic_load_explicit(&server->has_resumed, memory_order_seq_cst) ? 0 : timeout_ms(server);
    if (ms > 0 && epoll_wait(server->epoll, &event, 1, ms) > 0 && event.data.fd == server->event)
        (void)!read(server->event, &count, sizeof(count));
    atomic_store_explicit(&server->is_asleep, false, memory_order_seq_cst);
    atomic_store_explicit(&server->has_resumed, false, memory_order_seq_cst);
}

static void
wake(struct gateway_server *server)
{
    const uint64_t one = 1;

    (void)!write(server->event, &one, sizeof(one));
}

void
gateway_server_resume(struct gateway_server *server, struct MHD_Connection *connection)
{
    MHD_resume_connection(connection);
    atomic_store_explicit(&server->has_resumed, true, memory_order_seq_cst);
    if (atomic_exchange_explicit(&server->is_asleep, false, memory_order_seq_cst))
        wake(server);
}

static enum gateway_serving
wanted(const struct gateway_server *server)
{
    return atomic_load_explicit(&server->gateway->serving, memory_order_acquire);
}

static void
close_listening(struct gateway_server *server)
{
    struct gateway *gateway = server->gateway;

    server->is_closed = true;
    (void)MHD_quiesce_daemon(server->daemon);
    (void)pthread_mutex_lock(&gateway->end_lock);
    gateway->closed_count++;
    (void)pthread_cond_signal(&gateway->end_change);
    (void)pthread_mutex_unlock(&gateway->end_lock);
}

static void *
serve(void *object)
{
    struct gateway_server *server = object;

    while (wanted(server) != GATEWAY_STOP) {
        await(server);
        if (wanted(server) != GATEWAY_SERVE && !server->is_closed)
            close_listening(server);
        net_turn_begin();
        (void)MHD_run(server->daemon);
        net_turn_end();
    }
    return NULL;
}

/* ------------------------------------------------------------------------------ life */

/* %00 becomes a byte that no text of UTF-8 has, so that nothing is cut there unseen. A key of
 * state may have a / of its own: it stays as it came until it has been cut out of the path. */
static size_t
unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    if (strncmp(text, GATEWAY_STATE_PATH, strlen(GATEWAY_STATE_PATH)) == 0)
        return strlen(text);
    return gateway_unescape(text);
}

static void
ignore_log(void *context, const char *format, va_list args)
{
    (void)context;
    (void)format;
    (void)args;
}

static struct MHD_Daemon *
start_daemon(struct gateway_server *server)
{
    struct gateway *gateway = server->gateway;
    const bool is_tls = gateway->certificate != NULL;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, gateway->key},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, gateway->certificate},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

    return MHD_start_daemon(
        flags | (is_tls ? MHD_USE_TLS : 0), 0, NULL, NULL, gateway_on_request, server,
        MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL, MHD_OPTION_LISTEN_SOCKET, server->listening,
        MHD_OPTION_CONNECTION_LIMIT, GATEWAY_CONNECTIONS_MAX / gateway->config.threads,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)MEMORY_OF_CONNECTION, MHD_OPTION_NOTIFY_COMPLETED, gateway_on_completed, gateway,
        MHD_OPTION_NOTIFY_CONNECTION, gateway_client_notify, gateway, MHD_OPTION_UNESCAPE_CALLBACK,
        unescape, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, is_tls ? tls : &tls[2],
        MHD_OPTION_END);
}

static int
watch(struct gateway_server *server, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int
start_one(struct gateway_server *server, int fd)
{
    const union MHD_DaemonInfo *info;
    int err;

    server->listening = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->listening < 0 || server->epoll < 0 || server->event < 0)
        return -errno;
    server->daemon = start_daemon(server);
    info = server->daemon != NULL ? MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)
                                  : NULL;
    if (info == NULL)
        return -EIO;
    err = watch(server, server->event);
    if (err == 0)
        err = watch(server, info->epoll_fd);
    if (err == 0)
        err = -pthread_create(&server->thread, NULL, serve, server);
    server->has_thread = err == 0;
    return err;
}

static void
stop_one(struct gateway_server *server)
{
    if (server->has_thread)
        (void)pthread_join(server->thread, NULL);
    if (server->daemon != NULL) {
        if (!server->is_closed)
            (void)MHD_quiesce_daemon(server->daemon);
        MHD_stop_daemon(server->daemon);
    }
    file_close(&server->listening);
    file_close(&server->epoll);
    file_close(&server->event);
}

static void
ask(struct gateway *gateway, enum gateway_serving serving)
{
    atomic_store_explicit(&gateway->serving, serving, memory_order_release);
    for (unsigned i = 0; i < gateway->server_count; i++)
        wake(&gateway->servers[i]);
}

int
gateway_serve_start(struct gateway *gateway, int fd, struct diag *diag)
{
    const bool is_tls = gateway->certificate != NULL;
    int err = 0;

    gateway->servers = calloc(gateway->config.threads, sizeof(*gateway->servers));
    if (gateway->servers == NULL)
        err = -ENOMEM;
    while (err == 0 && gateway->server_count < gateway->config.threads) {
        struct gateway_server *server = &gateway->servers[gateway->server_count++];

        *server =
            (struct gateway_server){.gateway = gateway, .listening = -1, .epoll = -1, .event = -1};
        err = start_one(server, fd);
    }
    file_close(&fd);
    if (err == 0)
        return 0;
    return diag_set(diag, is_tls ? -EINVAL : err,
                    is_tls ? "cannot serve TLS: look at certificate %s and key %s"
                           : "cannot serve HTTP",
                    gateway->config.certificate, gateway->config.key);
}

void
gateway_serve_close(struct gateway *gateway)
{
    unsigned running = 0;

    for (unsigned i = 0; i < gateway->server_count; i++)
        running += gateway->servers[i].has_thread;
    ask(gateway, GATEWAY_CLOSE);
    (void)pthread_mutex_lock(&gateway->end_lock);
    while (gateway->closed_count < running)
        (void)pthread_cond_wait(&gateway->end_change, &gateway->end_lock);
    (void)pthread_mutex_unlock(&gateway->end_lock);
}

void
gateway_serve_stop(struct gateway *gateway)
{
    ask(gateway, GATEWAY_STOP);
    for (unsigned i = 0; i < gateway->server_count; i++)
        stop_one(&gateway->servers[i]);
    free(gateway->servers);
    gateway->servers = NULL;
    gateway->server_count = 0;
}
