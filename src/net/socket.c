/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets that listen, are accepted, and connect.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "net/address.h"

#define BACKLOG         1024
#define KEEP_IDLE_S     10
#define KEEP_INTERVAL_S 5
#define KEEP_COUNT      3 /* idle + count * interval is NET_SILENCE_MS */
#define SOCKET_FLAGS    (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
#define ADDRESSES_MAX   64u /* of a name; the others are not tried */

struct option {
    int level, name, value;
};

static int
set_options(int fd, const struct option *options, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                       sizeof(options[i].value)) != 0)
            return -errno;
    return 0;
}

static int
tune(int fd)
{
    static const struct option options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, NET_SILENCE_MS},
    };

    return set_options(fd, options, ARRAY_COUNT(options));
}

static int
open_socket(int family, int *out)
{
    int err = fault_point("net.socket");
    int fd = err == 0 ? socket(family, SOCKET_FLAGS, 0) : -1;

    if (fd < 0)
        return err != 0 ? err : -errno;
    *out = fd;
    return 0;
}

/* ------------------------------------------------------------------------ listening */

static int
listen_at(const struct sockaddr *name, socklen_t bytes, int *out)
{
    static const struct option reuse = {SOL_SOCKET, SO_REUSEADDR, 1},
                               both = {IPPROTO_IPV6, IPV6_V6ONLY, 0};
    int fd, err = open_socket(name->sa_family, &fd);

    if (err != 0)
        return err;
    if (name->sa_family != AF_UNIX)
        err = set_options(fd, &reuse, 1);
    if (err == 0 && name->sa_family == AF_INET6)
        err = set_options(fd, &both, 1);
    if (err == 0 && (bind(fd, name, bytes) != 0 || listen(fd, BACKLOG) != 0))
        err = -errno;
    if (err != 0) {
        (void)close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

/* A socket file outlives the process that listened on it. */
static bool
is_abandoned(const struct sockaddr_un *name)
{
    struct stat stat;
    bool is_refused;
    int fd;

    if (lstat(name->sun_path, &stat) != 0 || !S_ISSOCK(stat.st_mode) ||
        open_socket(AF_UNIX, &fd) != 0)
        return false;
    is_refused = connect(fd, (const struct sockaddr *)(const void *)name, sizeof(*name)) != 0 &&
                 errno == ECONNREFUSED;
    (void)close(fd);
    return is_refused;
}

static int
listen_unix(const struct address *address, int *fd)
{
    struct sockaddr_un name;
    const struct sockaddr *any = (const struct sockaddr *)(const void *)&name;
    int err;

    address_of_path(address, &name);
    err = listen_at(any, sizeof(name), fd);
    if (err == -EADDRINUSE && is_abandoned(&name) && unlink(name.sun_path) == 0)
        err = listen_at(any, sizeof(name), fd);
    return err;
}

static int
listen_tcp(const struct address *address, int *fd, struct diag *diag)
{
    struct addrinfo *list;
    int err = address_resolve(address, true, &list, diag);

    if (err != 0)
        return err;
    err = listen_at(list->ai_addr, list->ai_addrlen, fd);
    freeaddrinfo(list);
    return err;
}

int
net_listen(const char *address, int *fd, struct diag *diag)
{
    struct address read;
    int err = address_parse(address, &read, diag);

    if (err != 0)
        return err;
    err = read.is_unix ? listen_unix(&read, fd) : listen_tcp(&read, fd, diag);
    if (err != 0)
        return diag_set(diag, err, "cannot listen at %.200s: %s%s", address, strerror(-err),
                        err == -EADDRINUSE ? "; another process does, or give port 0" : "");
    return 0;
}

/* What was wrong with one connection that nobody took yet is no reason to stop. */
static bool
is_others_failure(int err)
{
    return err == EINTR || err == ECONNABORTED || err == EPROTO || err == ENETDOWN ||
           err == ENOPROTOOPT || err == EHOSTDOWN || err == ENONET || err == EHOSTUNREACH ||
           err == ENETUNREACH || err == ETIMEDOUT;
}

static bool
is_tcp(int fd)
{
    int domain = AF_UNIX;
    socklen_t bytes = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) == 0 && domain != AF_UNIX;
}

int
net_accept(int listening, int *out)
{
    int fd, err = fault_point("net.accept");

    if (err != 0)
        return err;
    do
        fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (fd < 0 && is_others_failure(errno));
    if (fd < 0)
        return -errno;
    /* One that is over already says so when it is read. */
    if (is_tcp(fd))
        (void)tune(fd);
    *out = fd;
    return 0;
}

/* ------------------------------------------------------------------------- dialling */

static int
dial_at(const struct sockaddr *name, socklen_t bytes, int *out)
{
    int fd, err = open_socket(name->sa_family, &fd);

    if (err != 0)
        return err;
    if (name->sa_family != AF_UNIX)
        err = tune(fd);
    if (err == 0 && connect(fd, name, bytes) != 0 && errno != EINPROGRESS)
        err = -errno;
    if (err != 0) {
        (void)close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

static int
dial_unix(const struct address *address, int *fd)
{
    struct sockaddr_un name;

    address_of_path(address, &name);
    return dial_at((const struct sockaddr *)(const void *)&name, sizeof(name), fd);
}

static const struct addrinfo *
address_at(const struct addrinfo *list, unsigned place)
{
    for (; place > 0; place--)
        list = list->ai_next;
    return list;
}

static int
dial_tcp(const struct address *address, unsigned attempt, int *fd, struct diag *diag)
{
    struct addrinfo *list;
    unsigned count = 0;
    int err = address_resolve(address, false, &list, diag);

    if (err != 0)
        return err;
    for (const struct addrinfo *at = list; at != NULL && count < ADDRESSES_MAX; at = at->ai_next)
        count++;
    for (unsigned i = 0; i < count; i++) {
        const struct addrinfo *at = address_at(list, (attempt % count + i) % count);

        err = dial_at(at->ai_addr, at->ai_addrlen, fd);
        if (err == 0)
            break;
    }
    freeaddrinfo(list);
    return err;
}

int
net_dial(const char *address, unsigned attempt, int *fd, struct diag *diag)
{
    struct address read;
    int err = address_parse(address, &read, diag);

    if (err != 0)
        return err;
    if (!read.is_unix && strtoul(read.port, NULL, 10) == 0)
        return diag_set(diag, -EINVAL, "cannot connect to %.200s: port 0 is for listening",
                        address);
    err = read.is_unix ? dial_unix(&read, fd) : dial_tcp(&read, attempt, fd, diag);
    if (err != 0)
        return diag_set(diag, err, "cannot connect to %.200s: %s", address, strerror(-err));
    return 0;
}

static int
dial_failed(int err, struct diag *diag)
{
    return diag_set(diag, err, "cannot connect: %s", strerror(-err));
}

int
net_dialled(int fd, struct diag *diag)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    struct sockaddr_storage name;
    socklen_t bytes = sizeof(int), name_bytes = sizeof(name);
    int err = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &bytes) != 0)
        err = errno;
    if (err != 0)
        return dial_failed(-err, diag);
    if (getpeername(fd, (struct sockaddr *)(void *)&name, &name_bytes) == 0)
        return 0;
    if (errno == ENOTCONN && poll(&ready, 1, 0) == 0)
        return -EAGAIN;
    return dial_failed(-ENOTCONN, diag);
}
