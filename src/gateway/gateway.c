/* SPDX-License-Identifier: Apache-2.0
 *
 * A gateway from its start to its end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "compile/compile.h"
#include "gateway/gateway_internal.h"

#define PEM_BYTES_MAX (1u << 20)
#define BACKLOG       4096
#define COMPILES_MAX  256u
#define HALF_NS       UINT64_C(500000000)

/* ---------------------------------------------------------------------------- listen */

/* "127.0.0.1:8080", "[::1]:0" */
static int
parse_address(const char *text, struct addrinfo **out)
{
    static const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                          .ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(text, ':');
    char host[64];
    size_t count = colon != NULL ? (size_t)(colon - text) : sizeof(host);

    if (count >= sizeof(host) || count == 0)
        return -EINVAL;
    if (text[0] == '[' && colon[-1] == ']') {
        text++;
        count -= 2;
    }
    (void)memcpy(host, text, count);
    host[count] = '\0';
    return getaddrinfo(host, colon + 1, &hints, out) == 0 ? 0 : -EINVAL;
}

static void
write_address(struct gateway *gateway, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    char host[64], port[8];

    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    (void)snprintf(gateway->address, sizeof(gateway->address),
                   address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int
open_socket(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1, err = fd < 0 ? -errno : 0;

    if (err == 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
                     bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0))
        err = -errno;
    if (err == 0)
        return fd;
    file_close(&fd);
    return err;
}

static int
start_http(struct gateway *gateway, struct diag *diag)
{
    struct addrinfo *info = NULL;
    int fd, err = parse_address(gateway->config.listen, &info);

    if (err != 0)
        return diag_set(diag, err, "%s is no address to listen at: 127.0.0.1:8080, [::1]:0",
                        gateway->config.listen);
    fd = open_socket(info);
    freeaddrinfo(info);
    if (fd < 0)
        return diag_set(diag, fd, "cannot listen at %s: %s", gateway->config.listen, strerror(-fd));
    write_address(gateway, fd);
    return gateway_serve_start(gateway, fd, diag);
}

/* ----------------------------------------------------------------------------- start */

static int
read_pem(const char *path, char **out, struct diag *diag)
{
    struct buffer bytes = {0};
    int err = file_read_all(path, PEM_BYTES_MAX, &bytes, diag);

    buffer_append(&bytes, "", 1);
    if (err == 0 && bytes.err != 0)
        err = diag_set(diag, bytes.err, "%s: no memory", path);
    if (err == 0)
        *out = (char *)bytes.bytes;
    else
        buffer_fini(&bytes);
    return err;
}

static int
read_tls(struct gateway *gateway, struct diag *diag)
{
    const struct gateway_config *config = &gateway->config;
    int err;

    if ((config->certificate == NULL) != (config->key == NULL))
        return diag_set(diag, -EINVAL, "TLS needs both, a certificate and its key");
    if (config->certificate == NULL)
        return 0;
    err = read_pem(config->certificate, &gateway->certificate, diag);
    return err != 0 ? err : read_pem(config->key, &gateway->key, diag);
}

static int
copy_text(const char **text)
{
    if (*text == NULL)
        return 0;
    *text = strdup(*text);
    return *text == NULL ? -ENOMEM : 0;
}

static unsigned
cores(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count > 0 ? (unsigned)count : 1;
}

static struct gateway *
gateway_new(const struct gateway_config *config)
{
    struct gateway *gateway = calloc(1, sizeof(*gateway));
    pthread_condattr_t attributes;
    int err;

    if (gateway == NULL)
        return NULL;
    gateway->config = *config;
    if (config->cache == NULL)
        gateway->config.cache = compile_cache_directory();
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&gateway->end_lock, NULL);
    (void)pthread_cond_init(&gateway->end_change, &attributes);
    (void)pthread_mutex_init(&gateway->client_lock, NULL);
    (void)pthread_mutex_init(&gateway->tick_lock, NULL);
    (void)pthread_mutex_init(&gateway->cron_lock, NULL);
    (void)pthread_cond_init(&gateway->tick, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    for (size_t i = 0; i < GATEWAY_LOCKS; i++)
        (void)pthread_mutex_init(&gateway->ticket_locks[i], NULL);
    if (config->threads == 0)
        gateway->config.threads = cores();
    if (config->compilers == 0)
        gateway->config.compilers = cores();
    err = copy_text(&gateway->config.listen) | copy_text(&gateway->config.certificate) |
          copy_text(&gateway->config.key) | copy_text(&gateway->config.compiler) |
          copy_text(&gateway->config.cache);
    if (err == 0)
        return gateway;
    gateway_destroy(gateway);
    return NULL;
}

int
gateway_create(const struct gateway_config *config, struct gateway **out, struct diag *diag)
{
    struct gateway *gateway = gateway_new(config);
    int err;

    if (gateway == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a gateway");
    err = gateway_metrics_create(&gateway->metrics);
    if (err == 0)
        err = read_tls(gateway, diag);
    if (err == 0)
        err = gateway_compiler_name(gateway, diag);
    if (err == 0)
        err =
            gateway_work_create(GATEWAY_POOL_THREADS, GATEWAY_POOL_QUEUE_MAX, &gateway->pool, diag);
    if (err == 0)
        err =
            gateway_work_create(gateway->config.compilers, COMPILES_MAX, &gateway->compilers, diag);
    if (err == 0) {
        gateway_shares(gateway, NULL);
        err = gateway_watch_start(gateway, diag);
    }
    if (err == 0)
        err = gateway_collect_start(gateway, diag);
    if (err == 0)
        err = start_http(gateway, diag);
    if (err != 0) {
        gateway_destroy(gateway);
        return diag_set(diag, err, "cannot start a gateway: %s", strerror(-err));
    }
    *out = gateway;
    return 0;
}

const char *
gateway_address(const struct gateway *gateway)
{
    return gateway->address;
}

/* ------------------------------------------------------------------------------- end */

/* With the end's lock: until something changed, or for so long. */
static void
await_change(struct gateway *gateway, uint64_t until_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_SECOND),
                                   .tv_nsec = (long)(until_ns % CLOCK_NS_PER_SECOND)};

    (void)pthread_cond_timedwait(&gateway->end_change, &gateway->end_lock, &until);
}

/* Every request that is suspended is another's, who gives it back: pools, planner, sweep. */
static void
await_requests(struct gateway *gateway)
{
    (void)pthread_mutex_lock(&gateway->end_lock);
    while (atomic_load_explicit(&gateway->under_way, memory_order_acquire) > 0) {
        (void)pthread_mutex_unlock(&gateway->end_lock);
        gateway_park_sweep(gateway, UINT64_MAX, false);
        (void)pthread_mutex_lock(&gateway->end_lock);
        if (atomic_load_explicit(&gateway->under_way, memory_order_acquire) > 0)
            await_change(gateway, clock_now_ns() + HALF_NS);
    }
    (void)pthread_mutex_unlock(&gateway->end_lock);
}

/* Those who are answered hear of it, unless they take their time. */
static void
await_answers(struct gateway *gateway)
{
    uint64_t until_ns = clock_now_ns() + 2 * HALF_NS;

    (void)pthread_mutex_lock(&gateway->end_lock);
    while (atomic_load_explicit(&gateway->requests, memory_order_acquire) > 0 &&
           clock_now_ns() < until_ns)
        await_change(gateway, until_ns);
    (void)pthread_mutex_unlock(&gateway->end_lock);
}

static void
stop_http(struct gateway *gateway)
{
    if (gateway->server_count == 0)
        return;
    gateway_serve_close(gateway);
    await_requests(gateway);
    gateway_stream_sweep(gateway, true);
    await_answers(gateway);
    gateway_serve_stop(gateway);
}

static void
free_key(char *key)
{
    if (key != NULL)
        explicit_bzero(key, strlen(key));
    free(key);
}

void
gateway_destroy(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    atomic_store_explicit(&gateway->is_ending, true, memory_order_seq_cst);
    gateway_watch_stop(gateway);
    gateway_collect_stop(gateway);
    stop_http(gateway);
    gateway_work_destroy(gateway->pool);
    gateway_work_destroy(gateway->compilers);
    gateway_spaces_destroy(gateway);
    gateway_metrics_destroy(gateway->metrics);
    for (size_t i = 0; i < GATEWAY_LOCKS; i++)
        (void)pthread_mutex_destroy(&gateway->ticket_locks[i]);
    (void)pthread_mutex_destroy(&gateway->end_lock);
    (void)pthread_cond_destroy(&gateway->end_change);
    (void)pthread_mutex_destroy(&gateway->client_lock);
    (void)pthread_mutex_destroy(&gateway->tick_lock);
    (void)pthread_mutex_destroy(&gateway->cron_lock);
    (void)pthread_cond_destroy(&gateway->tick);
    free_key(gateway->key);
    free(gateway->certificate);
    free((char *)(uintptr_t)gateway->config.listen);
    free((char *)(uintptr_t)gateway->config.certificate);
    free((char *)(uintptr_t)gateway->config.key);
    free((char *)(uintptr_t)gateway->config.compiler);
    free((char *)(uintptr_t)gateway->config.cache);
    free(gateway);
}

void
gateway_over(struct gateway *gateway, const Ledger__Call *call)
{
    gateway_metrics_over(gateway->metrics, call);
    gateway_recent_add(gateway, call);
    gateway_stream_tell(gateway, call);
    gateway_park_wake(gateway, call->id);
}
