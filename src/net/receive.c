/* SPDX-License-Identifier: Apache-2.0
 *
 * Receiving. Where no frame is begun, as much is read ahead as there is room; for one
 * that is begun, exactly what it lacks. So descriptors can only come while reading
 * ahead, once for the bytes that were read, or with the first byte of a header.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "net/net_internal.h"

static void
close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
}

void
connection_drop_received(struct net_connection *connection)
{
    close_all(connection->fds, connection->fd_count);
    connection->fd_count = 0;
    connection->is_short = false;
    free(connection->body);
    connection->body = NULL;
    connection->body_capacity = connection->body_count = 0;
    connection->header_count = 0;
    connection->ahead_first = connection->ahead_end = 0;
}

static uint32_t
header_read(const uint8_t header[HEADER_BYTES])
{
    uint32_t count = 0;

    for (unsigned i = 0; i < HEADER_BYTES; i++)
        count |= (uint32_t)header[i] << (8 * i);
    return count;
}

/* ------------------------------------------------------------------- the socket */

struct arrived {
    size_t count;
    int fds[NET_FRAME_FDS_MAX]; /* owned */
    size_t fd_count;
    bool is_short;
};

static bool
has_fds(const struct arrived *arrived)
{
    return arrived->fd_count > 0 || arrived->is_short;
}

/* All descriptors of a message, however many control messages they come in: the room
 * for them holds no more than NET_FRAME_FDS_MAX. */
static void
take_fds(struct msghdr *message, struct arrived *out)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        size_t count;

        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        ASSERT(count <= NET_FRAME_FDS_MAX - out->fd_count);
        (void)memcpy(out->fds + out->fd_count, CMSG_DATA(part), count * sizeof(int));
        out->fd_count += count;
    }
}

static int
receive_error(int err)
{
    if (err == EAGAIN)
        return -EAGAIN;
    return err == ENOMEM || err == ENOBUFS ? -ENOMEM : -EPIPE;
}

static int
socket_receive(struct net_connection *connection, uint8_t *bytes, size_t count, struct arrived *out)
{
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(NET_FRAME_FDS_MAX * sizeof(int))];
    struct iovec part = {bytes, count};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t got;
    int err = 0;

    do
        got = recvmsg(connection->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return receive_error(errno);
    out->fd_count = 0;
    take_fds(&message, out);
    /* Cut, though there was room for more numbers: no descriptor was left for them. */
    out->is_short = (message.msg_flags & MSG_CTRUNC) != 0;
    if ((out->is_short && out->fd_count == NET_FRAME_FDS_MAX) ||
        out->fd_count > connection->limits.frame_fds_max ||
        (out->is_short && connection->limits.frame_fds_max == 0))
        err = -EPROTO;
    else if (got == 0)
        err = -EPIPE;
    if (err != 0)
        close_all(out->fds, out->fd_count);
    out->count = (size_t)got;
    return err;
}

static int
arrive(struct net_connection *connection, uint8_t *bytes, size_t count, struct arrived *out)
{
    if (connection->carrier == NULL)
        return socket_receive(connection, bytes, count, out);
    out->fd_count = 0;
    out->is_short = false;
    return connection->carrier->receive(connection, bytes, count, &out->count);
}

static void
keep_fds(struct net_connection *connection, const struct arrived *arrived, uint32_t frames_before)
{
    ASSERT(connection->fd_count == 0 && !connection->is_short);
    (void)memcpy(connection->fds, arrived->fds, arrived->fd_count * sizeof(int));
    connection->fd_count = arrived->fd_count;
    connection->is_short = arrived->is_short;
    connection->frames_until_fds = frames_before;
}

/* ------------------------------------------------------------------ read ahead */

/* How many whole frames come before the last that begins in what was read ahead. One
 * that is too long counts as the last. */
static uint32_t
count_before_last(const struct net_connection *connection)
{
    size_t left = connection->ahead_end;
    const uint8_t *at = connection->ahead;
    uint32_t count = 0;

    while (left >= HEADER_BYTES) {
        size_t bytes = HEADER_BYTES + (size_t)header_read(at);

        if (bytes >= left)
            break;
        at += bytes;
        left -= bytes;
        count++;
    }
    return count;
}

static int
read_ahead(struct net_connection *connection)
{
    struct arrived arrived;
    int err = arrive(connection, connection->ahead, AHEAD_BYTES, &arrived);

    if (err != 0)
        return err;
    connection->ahead_first = 0;
    connection->ahead_end = arrived.count;
    if (has_fds(&arrived))
        keep_fds(connection, &arrived, count_before_last(connection));
    return 0;
}

/* Fills a place from what was read ahead, else from the socket. -EPROTO: descriptors
 * in the middle of a frame. */
static int
fill(struct net_connection *connection, uint8_t *place, size_t *count, size_t wanted)
{
    size_t ahead = connection->ahead_end - connection->ahead_first;
    size_t part = wanted - *count < ahead ? wanted - *count : ahead;
    struct arrived arrived;
    int err;

    if (part > 0) {
        (void)memcpy(place + *count, connection->ahead + connection->ahead_first, part);
        connection->ahead_first += part;
        *count += part;
        return 0;
    }
    err = arrive(connection, place + *count, wanted - *count, &arrived);
    if (err != 0)
        return err;
    *count += arrived.count;
    if (!has_fds(&arrived))
        return 0;
    close_all(arrived.fds, arrived.fd_count);
    return -EPROTO;
}

/* ----------------------------------------------------------------------- frames */

static int
fill_header(struct net_connection *connection)
{
    int err = 0;

    if (connection->header_count == 0 && connection->ahead_first == connection->ahead_end)
        err = read_ahead(connection);
    while (err == 0 && connection->header_count < HEADER_BYTES)
        err = fill(connection, connection->header, &connection->header_count, HEADER_BYTES);
    if (err == 0 && header_read(connection->header) > connection->limits.frame_bytes_max)
        err = -EPROTO;
    return err;
}

/* A length alone reserves little: room grows with what is there. */
static int
grow_body(struct net_connection *connection, size_t wanted)
{
    size_t capacity = connection->body_capacity > 0 ? 2 * connection->body_capacity : GROW_BYTES;
    uint8_t *body = NULL;

    if (connection->body_count < connection->body_capacity)
        return 0;
    if (capacity > wanted)
        capacity = wanted;
    if (fault_point("net.receive") == 0)
        body = realloc(connection->body, capacity > 0 ? capacity : 1);
    if (body == NULL)
        return -ENOMEM;
    connection->body = body;
    connection->body_capacity = capacity;
    return 0;
}

static int
fill_body(struct net_connection *connection)
{
    size_t wanted = header_read(connection->header);
    int err = 0;

    while (err == 0 && (connection->body == NULL || connection->body_count < wanted)) {
        err = grow_body(connection, wanted);
        if (err == 0 && wanted > 0)
            err = fill(connection, connection->body, &connection->body_count,
                       connection->body_capacity);
    }
    return err;
}

static void
hand_over(struct net_connection *connection, struct net_frame *out)
{
    out->bytes = connection->body;
    out->count = connection->body_count;
    out->fd_count = 0;
    out->is_short = false;
    connection->body = NULL;
    connection->body_capacity = connection->body_count = 0;
    connection->header_count = 0;
    if (connection->fd_count == 0 && !connection->is_short)
        return;
    if (connection->frames_until_fds > 0) {
        connection->frames_until_fds--;
        return;
    }
    (void)memcpy(out->fds, connection->fds, connection->fd_count * sizeof(int));
    out->fd_count = connection->fd_count;
    out->is_short = connection->is_short;
    connection->fd_count = 0;
    connection->is_short = false;
}

int
net_receive(struct net_connection *connection, struct net_frame *out)
{
    int err = connection->receive_err;

    if (err == 0 && connection->header_count < HEADER_BYTES)
        err = fill_header(connection);
    if (err == 0)
        err = fill_body(connection);
    if (err == 0) {
        hand_over(connection, out);
        return 0;
    }
    if (err != -EAGAIN && connection->receive_err == 0) {
        connection->receive_err = err;
        connection_drop_received(connection);
    }
    return err;
}
