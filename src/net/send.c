/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending: at once where nothing is queued and no turn is on, else behind what is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "net/net_internal.h"

static void
queued_free(struct queued *chunk)
{
    for (size_t i = 0; i < chunk->fd_count; i++)
        (void)close(chunk->fds[i]);
    slack_note(chunk->capacity);
    free(chunk);
}

void
connection_drop_queue(struct net_connection *connection)
{
    while (connection->first != NULL) {
        struct queued *chunk = connection->first;

        connection->first = chunk->next;
        queued_free(chunk);
    }
    connection->last = NULL;
    connection->queued_bytes = 0;
    connection->queued_chunks = 0;
}

static void
header_write(uint8_t header[HEADER_BYTES], size_t count)
{
    for (unsigned i = 0; i < HEADER_BYTES; i++)
        header[i] = (uint8_t)(count >> (8 * i));
}

/* Bytes that the socket took; -errno. */
static ssize_t
socket_send(int socket, const struct iovec *parts, size_t part_count, const int *fds,
            size_t fd_count)
{
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(NET_FRAME_FDS_MAX * sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = part_count};
    ssize_t sent;

    if (fd_count > 0) {
        struct cmsghdr *rights = (struct cmsghdr *)(void *)control;

        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        (void)memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    }
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

static bool
is_end(ssize_t err)
{
    return err == -EPIPE || err == -ECONNRESET || err == -ENOTCONN || err == -ESHUTDOWN;
}

/* ------------------------------------------------------------------------- queue */

void
connection_end(struct net_connection *connection)
{
    connection->is_over = true;
    connection_drop_queue(connection);
}

static ssize_t
carry(struct net_connection *connection, const struct iovec *parts, size_t part_count,
      const int *fds, size_t fd_count)
{
    if (connection->carrier != NULL)
        return connection->carrier->send(connection, parts, part_count);
    return socket_send(connection->fd, parts, part_count, fds, fd_count);
}

/* The other side may take more: whoever owns the connection hears of it by EPOLLOUT. */
static bool
is_stuck(const struct net_connection *connection)
{
    if (connection->is_over)
        return false;
    return connection->is_blocked ||
           (connection->carrier != NULL && connection->carrier->queued(connection) > 0);
}

int
connection_watch(struct net_connection *connection, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
                                .data.u64 = connection->watch_data};

    connection->is_watching_out = is_stuck(connection);
    if (connection->is_watching_out)
        event.events |= EPOLLOUT;
    return epoll_ctl(connection->watch, operation, connection->fd, &event) == 0 ? 0 : -errno;
}

void
connection_rewatch(struct net_connection *connection)
{
    if (connection->watch >= 0 && is_stuck(connection) != connection->is_watching_out)
        (void)!connection_watch(connection, EPOLL_CTL_MOD);
}

static void
drop_first(struct net_connection *connection)
{
    struct queued *chunk = connection->first;

    connection->first = chunk->next;
    if (connection->first == NULL)
        connection->last = NULL;
    connection->queued_chunks--;
    queued_free(chunk);
}

static int
flush_queue(struct net_connection *connection)
{
    connection->is_blocked = false;
    while (connection->first != NULL) {
        struct queued *chunk = connection->first;
        struct iovec part = {chunk->bytes + chunk->sent, chunk->count - chunk->sent};
        ssize_t sent = carry(connection, &part, 1, chunk->fds, chunk->fd_count);

        if (sent == -EAGAIN) {
            connection->is_blocked = true;
            return 0;
        }
        if (sent < 0) { /* a hole in what the other side hears is no way to go on */
            connection_end(connection);
            return -EPIPE;
        }
        for (size_t i = 0; i < chunk->fd_count; i++)
            (void)close(chunk->fds[i]);
        chunk->fd_count = 0;
        chunk->sent += (size_t)sent;
        connection->queued_bytes -= (size_t)sent;
        if (chunk->sent == chunk->count)
            drop_first(connection);
    }
    return 0;
}

int
connection_flush(struct net_connection *connection)
{
    int err = flush_queue(connection);

    connection_rewatch(connection);
    return err;
}

static int
copy_fds(struct queued *chunk, const int *fds, size_t fd_count)
{
    for (size_t i = 0; i < fd_count; i++) {
        int err = fault_point("net.dup");
        int fd = err == 0 ? fcntl(fds[i], F_DUPFD_CLOEXEC, 3) : -1;

        if (fd < 0)
            return err != 0 ? err : -errno;
        chunk->fds[chunk->fd_count++] = fd;
    }
    return 0;
}

/* Takes the chunk: a frame, of which some was sent already. */
static void
enqueue(struct net_connection *connection, struct queued *chunk)
{
    if (connection->last != NULL)
        connection->last->next = chunk;
    else
        connection->first = chunk;
    connection->last = chunk;
    connection->queued_bytes += chunk->count - chunk->sent;
    connection->queued_chunks++;
}

static void
chunk_append(struct queued *chunk, const void *bytes, size_t count)
{
    header_write(chunk->bytes + chunk->count, count);
    if (count > 0)
        (void)memcpy(chunk->bytes + chunk->count + HEADER_BYTES, bytes, count);
    chunk->count += HEADER_BYTES + count;
}

/* An empty one. */
static struct queued *
chunk_create(size_t capacity, size_t fd_count)
{
    size_t bytes = ROUND_UP(capacity, sizeof(int));
    struct queued *chunk = malloc(sizeof(*chunk) + bytes + fd_count * sizeof(int));

    if (chunk == NULL)
        return NULL;
    *chunk = (struct queued){.capacity = bytes, .fds = (int *)(void *)(chunk->bytes + bytes)};
    return chunk;
}

/* -------------------------------------------------------------------------- door */

struct outgoing {
    const void *bytes;
    size_t count;
    const int *fds;
    size_t fd_count;
};

/* With the lock; nothing is queued. What the socket did not take remains: sent says
 * how much it took. */
static int
send_now(struct net_connection *connection, const struct outgoing *out, size_t *sent)
{
    uint8_t header[HEADER_BYTES];
    const struct iovec parts[2] = {{header, HEADER_BYTES},
                                   {(void *)(uintptr_t)out->bytes, out->count}};
    ssize_t took;

    header_write(header, out->count);
    took = carry(connection, parts, 2, out->fds, out->fd_count);
    if (took >= 0)
        *sent = (size_t)took;
    if (took >= 0 || took == -EAGAIN)
        return 0;
    if (is_end(took)) {
        connection->is_over = true;
        return -EPIPE;
    }
    if (took == -ENOBUFS)
        return -ENOMEM;
    return took == -ETOOMANYREFS ? -EMFILE : (int)took; /* too many are on their way */
}

static int
check_room(const struct net_connection *connection, size_t count)
{
    if (connection->is_over)
        return -EPIPE;
    if (connection->queued_chunks >= QUEUE_CHUNKS_MAX ||
        connection->limits.queue_bytes_max - connection->queued_bytes < HEADER_BYTES + count)
        return -ENOBUFS;
    return fault_point("net.queue") != 0 ? -ENOMEM : 0;
}

/* With the lock: behind what is queued. */
static int
queue(struct net_connection *connection, const struct outgoing *out, size_t capacity)
{
    struct queued *last = connection->last;
    int err;

    if (out->fd_count == 0 && last != NULL && last->fd_count == 0 &&
        last->capacity - last->count >= HEADER_BYTES + out->count) {
        chunk_append(last, out->bytes, out->count);
        connection->queued_bytes += HEADER_BYTES + out->count;
        return 0;
    }
    last = chunk_create(capacity, out->fd_count);
    if (last == NULL)
        return -ENOMEM;
    err = copy_fds(last, out->fds, out->fd_count);
    if (err != 0) {
        queued_free(last);
        return err;
    }
    chunk_append(last, out->bytes, out->count);
    enqueue(connection, last);
    return 0;
}

/* With the lock; nothing is queued. Room for the rest is reserved before anything is sent, for a
 * frame of which a part was sent must not fail. */
static int
send_first(struct net_connection *connection, const struct outgoing *out)
{
    struct queued *chunk = chunk_create(HEADER_BYTES + out->count, out->fd_count);
    size_t sent = 0;
    int err;

    if (chunk == NULL)
        return -ENOMEM;
    err = send_now(connection, out, &sent);
    if (err == 0 && sent == 0)
        err = copy_fds(chunk, out->fds, out->fd_count);
    if (err != 0 || sent == HEADER_BYTES + out->count) {
        queued_free(chunk);
        return err;
    }
    chunk_append(chunk, out->bytes, out->count);
    chunk->sent = sent;
    connection->is_blocked = true;
    enqueue(connection, chunk);
    return 0;
}

/* With the lock. */
static int
send_at_once(struct net_connection *connection, const struct outgoing *out)
{
    int err;

    /* What a turn has gathered goes first. */
    if (connection->first != NULL && !connection->is_blocked)
        (void)!flush_queue(connection);
    err = check_room(connection, out->count);
    if (err == 0)
        err = connection->first == NULL ? send_first(connection, out)
                                        : queue(connection, out, HEADER_BYTES + out->count);
    return err;
}

/* With the lock: it goes out when the turn ends. */
static int
send_in_turn(struct net_connection *connection, const struct outgoing *out)
{
    size_t bytes = HEADER_BYTES + out->count;
    int err = check_room(connection, out->count);

    if (err == 0)
        err = queue(connection, out, bytes < TURN_CHUNK_BYTES ? TURN_CHUNK_BYTES : bytes);
    if (err == 0)
        turn_note(connection);
    if (err == 0 && connection->queued_bytes >= TURN_BYTES_MAX && !connection->is_blocked)
        (void)!flush_queue(connection);
    return err;
}

int
net_send(struct net_connection *connection, const void *bytes, size_t count, const int *fds,
         size_t fd_count)
{
    const struct outgoing out = {bytes, count, fds, fd_count};
    int err;

    if (count > NET_FRAME_BYTES_MAX || fd_count > NET_FRAME_FDS_MAX ||
        (fd_count > 0 && connection->carrier != NULL))
        return -EMSGSIZE;
    (void)pthread_mutex_lock(&connection->lock);
    if (fd_count == 0 && turn_is_on())
        err = send_in_turn(connection, &out);
    else
        err = send_at_once(connection, &out);
    connection_rewatch(connection);
    (void)pthread_mutex_unlock(&connection->lock);
    return err;
}

int
net_flush(struct net_connection *connection)
{
    int err;

    (void)pthread_mutex_lock(&connection->lock);
    err = connection->is_over ? -EPIPE : 0;
    if (err == 0 && connection->carrier != NULL)
        err = connection->carrier->advance(connection);
    if (err == 0)
        err = connection_flush(connection);
    (void)pthread_mutex_unlock(&connection->lock);
    return err;
}

uint64_t
net_queued(struct net_connection *connection)
{
    uint64_t bytes;

    (void)pthread_mutex_lock(&connection->lock);
    bytes = connection->queued_bytes;
    if (connection->carrier != NULL)
        bytes += connection->carrier->queued(connection);
    (void)pthread_mutex_unlock(&connection->lock);
    return bytes;
}
