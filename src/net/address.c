/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses as text and as the kernel has them.
 */
#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "net/address.h"

#define UNIX_PREFIX "unix:"
#define HOW         "write host:port, [v6]:port or unix:/path"

static int
refuse(const char *text, const char *why, struct diag *diag)
{
    return diag_set(diag, -EINVAL, "address \"%.100s\": %s; " HOW, text, why);
}

/* Digits alone, 0 to 65535. */
static bool
is_port(const char *text)
{
    size_t count = strspn(text, "0123456789");

    return count > 0 && count <= 5 && text[count] == '\0' && strtoul(text, NULL, 10) <= 65535;
}

static int
parse_unix(const char *text, struct address *out, struct diag *diag)
{
    const char *path = text + strlen(UNIX_PREFIX);

    if (path[0] != '/')
        return refuse(text, "the path does not begin with /", diag);
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return refuse(text, "the path is longer than a socket's may be (107 bytes)", diag);
    out->is_unix = true;
    (void)snprintf(out->host, sizeof(out->host), "%s", path);
    return 0;
}

/* The host is what is before the last colon, without the brackets of a v6 number. */
static int
parse_host(const char *text, struct address *out, struct diag *diag)
{
    const char *colon = strrchr(text, ':'), *host = text;
    size_t count;

    if (colon == NULL || !is_port(colon + 1))
        return refuse(text, "it does not end in a port of 0 to 65535", diag);
    count = (size_t)(colon - text);
    if (count >= 2 && host[0] == '[' && host[count - 1] == ']') {
        host++;
        count -= 2;
    } else if (memchr(host, ':', count) != NULL) {
        return refuse(text, "a v6 number stands in brackets", diag);
    }
    if (count == 0 || count >= sizeof(out->host))
        return refuse(text, count == 0 ? "there is no host" : "the host is too long", diag);
    out->is_unix = false;
    (void)memcpy(out->host, host, count);
    out->host[count] = '\0';
    (void)snprintf(out->port, sizeof(out->port), "%.5s", colon + 1);
    return 0;
}

int
address_parse(const char *text, struct address *out, struct diag *diag)
{
    *out = (struct address){.is_unix = false};
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return parse_unix(text, out, diag);
    return parse_host(text, out, diag);
}

static int
resolve_error(int code)
{
    switch (code) {
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno > 0 ? -errno : -EIO;
    default:
        return -EHOSTUNREACH;
    }
}

int
address_resolve(const struct address *address, bool is_passive, struct addrinfo **out,
                struct diag *diag)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | (is_passive ? AI_PASSIVE : 0)};
    int code = getaddrinfo(address->host, address->port, &hints, out);

    if (code == 0)
        return 0;
    return diag_set(diag, resolve_error(code),
                    "host \"%.100s\" has no address: %s; check its name and the resolver",
                    address->host, gai_strerror(code));
}

void
address_of_path(const struct address *address, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(out->sun_path, sizeof(out->sun_path), "%.*s", (int)sizeof(out->sun_path) - 1,
                   address->host);
}

/* ---------------------------------------------------------------------------- text */

static int
unix_text(const struct sockaddr_un *name, socklen_t bytes, char text[NET_ADDRESS_MAX])
{
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t count = bytes > start && name->sun_path[0] != '\0' ? bytes - start : 0;

    (void)snprintf(text, NET_ADDRESS_MAX, UNIX_PREFIX "%.*s", (int)count, name->sun_path);
    return 0;
}

static int
address_text(const struct sockaddr_storage *name, socklen_t bytes, char text[NET_ADDRESS_MAX])
{
    const struct sockaddr *any = (const struct sockaddr *)(const void *)name;
    char host[256], port[6];

    if (name->ss_family == AF_UNIX)
        return unix_text((const struct sockaddr_un *)(const void *)name, bytes, text);
    if (getnameinfo(any, bytes, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -EINVAL;
    (void)snprintf(text, NET_ADDRESS_MAX, name->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
                   port);
    return 0;
}

int
net_address_of(int fd, char text[NET_ADDRESS_MAX])
{
    struct sockaddr_storage name;
    socklen_t bytes = sizeof(name);

    if (getsockname(fd, (struct sockaddr *)(void *)&name, &bytes) != 0)
        return -errno;
    return address_text(&name, bytes, text);
}

int
net_peer_address_of(int fd, char text[NET_ADDRESS_MAX])
{
    struct sockaddr_storage name;
    socklen_t bytes = sizeof(name);

    if (getpeername(fd, (struct sockaddr *)(void *)&name, &bytes) != 0)
        return -errno;
    return address_text(&name, bytes, text);
}
