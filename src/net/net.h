/* SPDX-License-Identifier: Apache-2.0
 *
 * net: frames over stream sockets.
 *
 *   frame = length (4 bytes, little-endian) + that many bytes; on a unix socket,
 *           descriptors may go with it
 *
 * A connection never waits: what the socket does not take now is queued, what has
 * not arrived whole is kept. Whoever owns it watches net_fd with EPOLLIN |
 * EPOLLOUT | EPOLLET, and at each event calls net_flush, and net_receive until
 * -EAGAIN.
 *
 * Descriptors go with the first byte of their frame, which then has a sendmsg of its
 * own: so each is told apart, however many frames one recvmsg brings.
 *
 * Frames come whole and in order, or the connection is over. The other side is not
 * trusted: a frame that is too long, or descriptors that nobody announced, end it.
 */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define NET_FRAME_BYTES_MAX (64u << 20)
#define NET_FRAME_FDS_MAX   72u
#define NET_QUEUE_BYTES_MAX (UINT64_C(256) << 20)

struct net_connection;

struct net_limits {
    uint32_t frame_bytes_max; /* of what is received; 0: NET_FRAME_BYTES_MAX */
    uint32_t frame_fds_max;   /* descriptors of a received frame; 0: none */
    uint64_t queue_bytes_max; /* waiting to be sent; 0: NET_QUEUE_BYTES_MAX */
};

/* Takes the socket, also on failure, and makes it non-blocking. -ENOMEM, -EBADF. */
int net_connection_create(int fd, const struct net_limits *limits,
                          struct net_connection **out) MUST_CHECK;
/* Closes it; what was queued is lost. NULL is fine. */
void net_connection_destroy(struct net_connection *connection);

/* To watch; the connection's own. */
int net_fd(const struct net_connection *connection);

struct net_frame {
    uint8_t *bytes; /* owned */
    size_t count;
    int fds[NET_FRAME_FDS_MAX]; /* owned, close-on-exec */
    size_t fd_count;
    bool is_short; /* more were sent, which this process had no room for (RLIMIT_NOFILE) */
};

/* Closes the descriptors that are still there (>= 0) and frees the bytes. */
void net_frame_fini(struct net_frame *frame);

/* Sends or queues one frame; any thread. Bytes and descriptors are borrowed: what
 * is queued is copied. -EMSGSIZE: over NET_FRAME_BYTES_MAX or NET_FRAME_FDS_MAX.
 * -ENOBUFS: the queue is full (nothing of the frame is sent). -EPIPE: it is over.
 * -ENOMEM, -EMFILE, -EBADF: nothing of the frame is sent. */
int net_send(struct net_connection *connection, const void *bytes, size_t count, const int *fds,
             size_t fd_count) MUST_CHECK;

/* Sends what is queued, as far as the socket takes it. -EPIPE. */
int net_flush(struct net_connection *connection) MUST_CHECK;

/* Bytes that are queued. */
uint64_t net_queued(struct net_connection *connection);

/* The next whole frame, which the caller owns. One thread. -EAGAIN: none yet.
 * -EPIPE: the other side closed, between two frames or not. -EPROTO: it broke the
 * rules above. -ENOMEM. After any but -EAGAIN there is nothing more
 * to receive. */
int net_receive(struct net_connection *connection, struct net_frame *out) MUST_CHECK;

#endif
