/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending: at once where nothing is queued, else behind what is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "net/net_internal.h"

static void
queued_free(struct queued *frame)
{
    for (size_t i = 0; i < frame->fd_count; i++)
        (void)close(frame->fds[i]);
    free(frame);
}

void
connection_drop_queue(struct net_connection *connection)
{
    while (connection->first != NULL) {
        struct queued *frame = connection->first;

        connection->first = frame->next;
        queued_free(frame);
    }
    connection->last = NULL;
    connection->queued_bytes = 0;
    connection->queued_frames = 0;
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

int
connection_flush(struct net_connection *connection)
{
    while (connection->first != NULL) {
        struct queued *frame = connection->first;
        struct iovec part = {frame->bytes + frame->sent, frame->count - frame->sent};
        ssize_t sent = carry(connection, &part, 1, frame->fds, frame->fd_count);

        if (sent == -EAGAIN)
            return 0;
        if (sent < 0) { /* a hole in what the other side hears is no way to go on */
            connection_end(connection);
            return -EPIPE;
        }
        for (size_t i = 0; i < frame->fd_count; i++)
            (void)close(frame->fds[i]);
        frame->fd_count = 0;
        frame->sent += (size_t)sent;
        connection->queued_bytes -= (size_t)sent;
        if (frame->sent < frame->count)
            continue;
        connection->first = frame->next;
        if (connection->first == NULL)
            connection->last = NULL;
        connection->queued_frames--;
        queued_free(frame);
    }
    return 0;
}

static int
copy_fds(struct queued *frame, const int *fds, size_t fd_count)
{
    for (size_t i = 0; i < fd_count; i++) {
        int err = fault_point("net.dup");
        int fd = err == 0 ? fcntl(fds[i], F_DUPFD_CLOEXEC, 3) : -1;

        if (fd < 0)
            return err != 0 ? err : -errno;
        frame->fds[frame->fd_count++] = fd;
    }
    return 0;
}

/* Takes the frame; what of it was sent already is not copied. */
static void
enqueue(struct net_connection *connection, struct queued *frame, const void *bytes)
{
    header_write(frame->bytes, frame->count - HEADER_BYTES);
    if (frame->count > HEADER_BYTES)
        (void)memcpy(frame->bytes + HEADER_BYTES, bytes, frame->count - HEADER_BYTES);
    if (connection->last != NULL)
        connection->last->next = frame;
    else
        connection->first = frame;
    connection->last = frame;
    connection->queued_bytes += frame->count - frame->sent;
    connection->queued_frames++;
}

/* Room for it in the queue is reserved before anything is sent, for a frame of which
 * a part was sent must not fail. */
static struct queued *
queued_reserve(size_t count, size_t fd_count)
{
    size_t bytes = ROUND_UP(HEADER_BYTES + count, sizeof(int));
    struct queued *frame = NULL;

    if (fault_point("net.queue") == 0)
        frame = malloc(sizeof(*frame) + bytes + fd_count * sizeof(int));
    if (frame == NULL)
        return NULL;
    frame->next = NULL;
    frame->count = HEADER_BYTES + count;
    frame->sent = frame->fd_count = 0;
    frame->fds = (int *)(void *)(frame->bytes + bytes);
    return frame;
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

/* With the lock. */
static int
send_or_queue(struct net_connection *connection, const struct outgoing *out, struct queued *frame)
{
    int err = 0;

    if (connection->is_over)
        err = -EPIPE;
    else if (connection->queued_frames >= QUEUE_FRAMES_MAX ||
             connection->limits.queue_bytes_max - connection->queued_bytes < frame->count)
        err = -ENOBUFS;
    else if (connection->first == NULL)
        err = send_now(connection, out, &frame->sent);
    if (err == 0 && frame->sent == 0)
        err = copy_fds(frame, out->fds, out->fd_count);
    if (err != 0 || frame->sent == frame->count)
        queued_free(frame);
    else
        enqueue(connection, frame, out->bytes);
    return err;
}

int
net_send(struct net_connection *connection, const void *bytes, size_t count, const int *fds,
         size_t fd_count)
{
    const struct outgoing out = {bytes, count, fds, fd_count};
    struct queued *frame;
    int err;

    if (count > NET_FRAME_BYTES_MAX || fd_count > NET_FRAME_FDS_MAX ||
        (fd_count > 0 && connection->carrier != NULL))
        return -EMSGSIZE;
    frame = queued_reserve(count, fd_count);
    if (frame == NULL)
        return -ENOMEM;
    (void)pthread_mutex_lock(&connection->lock);
    err = send_or_queue(connection, &out, frame);
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
