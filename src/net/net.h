/* SPDX-License-Identifier: Apache-2.0
 *
 * net: frames over stream sockets, between processes of a host and between hosts.
 *
 *   frame = length (4 bytes, little-endian) + that many bytes; on a unix socket,
 *           descriptors may go with it
 *
 *   unix    net_connection_create(fd)                          worker <-> cell
 *   hosts   net_dial, net_accept -> net_connection_create_secret(fd, secret)
 *
 * A connection never waits: what the socket does not take now is queued, what has
 * not arrived whole is kept. Whoever owns it has it watched (net_watch), and at each
 * event calls net_flush, and net_receive until -EAGAIN.
 *
 * Descriptors go with the first byte of their frame, which then has a sendmsg of its
 * own: so each is told apart, however many frames one recvmsg brings.
 *
 * Frames come whole and in order, or the connection is over. The other side is not
 * trusted: a frame that is too long, or descriptors that nobody announced, end it.
 *
 * With a secret, both sides prove that they have it and everything is encrypted
 * (docs/net.md). Sending and receiving are the same: what is sent before the proof
 * waits in the queue.
 */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"

/* ----------------------------------------------------------------- addresses
 *
 * "host:port", "[v6]:port" or "unix:/path"; a host is a name or a number. Names are
 * looked up with getaddrinfo in the caller's thread, which waits for it: whoever must
 * not wait gives numbers. Bad addresses: -EINVAL. All descriptors are close-on-exec
 * and non-blocking; those of TCP have TCP_NODELAY, keep-alive and TCP_USER_TIMEOUT, so
 * that a host that vanished is noticed within NET_SILENCE_MS. */
#define NET_ADDRESS_MAX 320u /* as text, with its end */
#define NET_SILENCE_MS  25000u

/* Port 0: any that is free (net_address_of tells). Listens at the first address of a
 * name. A socket file that nobody listens on any more is replaced. -EADDRINUSE,
 * -EACCES, -EHOSTUNREACH (no such name), ... */
int net_listen(const char *address, int *fd, struct diag *diag) MUST_CHECK;

/* The next connection. -EAGAIN: none. -EMFILE, -ENFILE, -ENOMEM: one waits that could
 * not be taken; no event will tell of it again. */
int net_accept(int listening, int *fd) MUST_CHECK;

/* Begins to connect. Of a name with several addresses, the one at place `attempt`
 * (modulo their count) is tried, or the next that does not fail at once: whoever dials
 * again counts up. -EAGAIN: not now (resolver, a unix socket's backlog).
 * -ECONNREFUSED, -EHOSTUNREACH, ...: why not. */
int net_dial(const char *address, unsigned attempt, int *fd, struct diag *diag) MUST_CHECK;

/* Whether a descriptor of net_dial is connected: asked when it becomes writable
 * (EPOLLOUT). 0: it is. -EAGAIN: not yet. Else why not; the reason is told once, after
 * that it is -ENOTCONN. A connection may be made of the descriptor before, and queues
 * then; but whoever sends or receives on it may be the one who is told. */
int net_dialled(int fd, struct diag *diag) MUST_CHECK;

/* The socket's own address and the other side's, such that net_dial understands it
 * ("unix:" alone where a unix socket has no name). -ENOTCONN, -EBADF, -ENOTSOCK. */
int net_address_of(int fd, char text[NET_ADDRESS_MAX]) MUST_CHECK;
int net_peer_address_of(int fd, char text[NET_ADDRESS_MAX]) MUST_CHECK;

/* -------------------------------------------------------------------- dialling again
 *
 * Delays that double from base to max; of each, a part of up to `jitter` percent is
 * taken off at random, so that those who lost the same host do not come back as one. */
struct net_backoff {
    uint64_t base_ns, max_ns;
    uint32_t jitter;   /* percent, at most 100 */
    uint32_t attempts; /* delays given since the last reset: net_dial's attempt */
    uint64_t random;
};

/* The seed makes the delays; whoever wants them to differ between hosts gives another
 * one on each. base_ns > 0. */
void net_backoff_init(struct net_backoff *backoff, uint64_t base_ns, uint64_t max_ns,
                      uint32_t jitter, uint64_t seed);
uint64_t net_backoff_next(struct net_backoff *backoff);
/* After what was tried has worked. */
void net_backoff_reset(struct net_backoff *backoff);

/* ------------------------------------------------------------------------ secrets */

#define NET_SECRET_BYTES     32u
#define NET_SECRET_LABEL_MAX 64u

struct net_secret; /* any thread */

/* What both sides must have: the key, and what it is used for here. Keys of different
 * labels are independent of each other; the label itself goes over the wire in
 * clear. 1 to NET_SECRET_LABEL_MAX printable characters of ASCII, else -EINVAL. -ENOMEM.
 * The key is borrowed; it is not kept, but what is derived from it. */
int net_secret_create(const uint8_t key[NET_SECRET_BYTES], const char *label,
                      struct net_secret **out) MUST_CHECK;
/* Connections that have it keep it. NULL is fine. */
void net_secret_destroy(struct net_secret *secret);

/* --------------------------------------------------------------------- connections */

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

/* The same, with a secret that the other side must have too; one of the two is the
 * server. The secret is borrowed. limits->frame_fds_max must be 0, else -EINVAL. */
int net_connection_create_secret(int fd, struct net_secret *secret, bool is_server,
                                 const struct net_limits *limits,
                                 struct net_connection **out) MUST_CHECK;

/* Whether the other side has proved that it has the secret; without one, always. Any
 * thread. Whoever waits for it sets a deadline: a side that says nothing is not an error. */
bool net_is_open(struct net_connection *connection);

/* Closes it; what was queued is lost, but what a turn has gathered is tried once. It is no
 * longer watched. NULL is fine. */
void net_connection_destroy(struct net_connection *connection);

/* The connection's own. */
int net_fd(const struct net_connection *connection);

/* Once: has this epoll tell of it, by its edges, with these data: what comes, its end, and,
 * only while something waits for the socket, that it takes more. The epoll is borrowed until
 * the connection is destroyed. -ENOMEM, -ENOSPC, -EEXIST. */
int net_watch(struct net_connection *connection, int epoll, uint64_t data) MUST_CHECK;

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
 * is queued is copied. -EMSGSIZE: over NET_FRAME_BYTES_MAX or NET_FRAME_FDS_MAX, or
 * descriptors with a secret.
 * -ENOBUFS: the queue is full (nothing of the frame is sent). -EPIPE: it is over.
 * -ENOMEM, -EMFILE, -EBADF: nothing of the frame is sent. */
int net_send(struct net_connection *connection, const void *bytes, size_t count, const int *fds,
             size_t fd_count) MUST_CHECK;

/* Sends what is queued, as far as the socket takes it. -EPIPE. */
int net_flush(struct net_connection *connection) MUST_CHECK;

/* Between net_turn_begin and net_turn_end what this thread sends without descriptors is
 * gathered, and goes out at the end: many frames with one system call, after the locks that
 * the sender had are free. A thread ends its turn before it waits or computes for long;
 * net_turn_flush sends what is gathered so far. That the socket refuses it is heard by who
 * receives, as of what is queued. Turns do not nest. */
void net_turn_begin(void);
void net_turn_flush(void);
void net_turn_end(void);

/* Bytes that are queued. */
uint64_t net_queued(struct net_connection *connection);

/* The next whole frame, which the caller owns. One thread. -EAGAIN: none yet.
 * -EPIPE: the other side closed, between two frames or not. -EPROTO: it broke the
 * rules above. -ENOMEM. -EACCES: the secrets differ; nothing of a frame was sent or
 * is given out. After any but -EAGAIN there is nothing more to receive. */
int net_receive(struct net_connection *connection, struct net_frame *out) MUST_CHECK;

#endif
