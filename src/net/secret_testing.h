/* SPDX-License-Identifier: Apache-2.0
 *
 * Two connections with a secret, and a wire between them that the test holds in its
 * hands: it may cut, delay, repeat and change what goes over it.
 *
 *      client <--socket--> wire[0]   wire[1] <--socket--> server
 */
#ifndef WEFT_NET_SECRET_TESTING_H
#define WEFT_NET_SECRET_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "net/net.h"

static const struct net_limits plain_limits = {0, 0, 0};
static const uint8_t good_key[NET_SECRET_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static const uint8_t bad_key[NET_SECRET_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8, 8};

struct wired {
    struct net_connection *client, *server;
    int wire[2];           /* -1: the two are connected directly */
    struct buffer said[2]; /* all that the client said, and the server */
    size_t gone[2];        /* of it, what the other side has got */
};

static inline unsigned
open_count(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

static inline void
open_sockets(int ends[2], int bytes)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    for (int i = 0; i < 2 && bytes > 0; i++)
        assert_int_equal(setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

static inline struct net_connection *
secret_side(int fd, const uint8_t *key, const char *label, bool is_server)
{
    struct net_connection *connection;
    struct net_secret *secret;

    assert_int_equal(net_secret_create(key, label, &secret), 0);
    assert_int_equal(
        net_connection_create_secret(fd, secret, is_server, &plain_limits, &connection), 0);
    net_secret_destroy(secret); /* the connection keeps it */
    return connection;
}

/* Directly connected; bytes: the sockets' room, 0: the usual. */
static inline struct wired
pair_open(int bytes)
{
    struct wired pair = {.wire = {-1, -1}};
    int ends[2];

    open_sockets(ends, bytes);
    pair.client = secret_side(ends[0], good_key, "test", false);
    pair.server = secret_side(ends[1], good_key, "test", true);
    return pair;
}

static inline struct wired
wired_open(const uint8_t *client_key, const char *client_label)
{
    struct wired wired = {.client = NULL};
    int near[2], far[2];

    open_sockets(near, 0);
    open_sockets(far, 0);
    wired.client = secret_side(near[0], client_key, client_label, false);
    wired.server = secret_side(far[0], good_key, "test", true);
    wired.wire[0] = near[1];
    wired.wire[1] = far[1];
    return wired;
}

static inline void
wired_close(struct wired *wired)
{
    net_connection_destroy(wired->client);
    net_connection_destroy(wired->server);
    for (int i = 0; i < 2; i++) {
        if (wired->wire[i] >= 0)
            (void)close(wired->wire[i]);
        buffer_fini(&wired->said[i]);
    }
}

/* Hears what a side has said by now. Returns false at its end. */
static inline bool
wire_hear(struct wired *wired, int side)
{
    uint8_t bytes[4096];
    ssize_t got;

    while ((got = read(wired->wire[side], bytes, sizeof(bytes))) > 0)
        buffer_append(&wired->said[side], bytes, (size_t)got);
    return got < 0 && errno == EAGAIN;
}

/* Lets up to count bytes of a side through to the other. */
static inline size_t
wire_pass(struct wired *wired, int side, size_t count)
{
    size_t left;
    ssize_t went;

    (void)wire_hear(wired, side);
    left = wired->said[side].count - wired->gone[side];
    went = send(wired->wire[1 - side], wired->said[side].bytes + wired->gone[side],
                left < count ? left : count, MSG_NOSIGNAL | MSG_DONTWAIT);
    went = went > 0 ? went : 0;
    wired->gone[side] += (size_t)went;
    return (size_t)went;
}

static inline void
receive_nothing(struct net_connection *connection)
{
    struct net_frame frame;

    (void)!net_flush(connection);
    assert_int_equal(net_receive(connection, &frame), -EAGAIN);
}

/* Until neither has more to say before there is a frame. */
static inline void
make_known(struct wired *wired)
{
    for (unsigned i = 0; i < 20; i++) {
        receive_nothing(wired->client);
        if (wired->wire[0] >= 0)
            (void)wire_pass(wired, 0, SIZE_MAX);
        receive_nothing(wired->server);
        if (wired->wire[0] >= 0)
            (void)wire_pass(wired, 1, SIZE_MAX);
    }
    assert_true(net_is_open(wired->client));
    assert_true(net_is_open(wired->server));
}

static inline void
fill_pattern(uint8_t *bytes, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

static inline void
assert_pattern(const struct net_frame *frame, size_t count, unsigned seed)
{
    uint8_t *expected = malloc(count + 1);

    assert_int_equal(frame->count, count);
    fill_pattern(expected, count, seed);
    assert_memory_equal(frame->bytes, expected, count);
    free(expected);
}

static inline void
send_pattern(struct net_connection *connection, size_t count, unsigned seed)
{
    uint8_t *bytes = malloc(count + 1);

    fill_pattern(bytes, count, seed);
    assert_int_equal(net_send(connection, bytes, count, NULL, 0), 0);
    free(bytes);
}

#endif
