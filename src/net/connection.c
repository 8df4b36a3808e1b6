/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections: life and limits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "net/net_internal.h"

static int
connection_init(struct net_connection *connection, const struct net_limits *limits)
{
    int flags = fcntl(connection->fd, F_GETFL);

    if (flags < 0 || fcntl(connection->fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return -errno;
    connection->limits = *limits;
    if (limits->frame_bytes_max == 0 || limits->frame_bytes_max > NET_FRAME_BYTES_MAX)
        connection->limits.frame_bytes_max = NET_FRAME_BYTES_MAX;
    if (limits->frame_fds_max > NET_FRAME_FDS_MAX)
        connection->limits.frame_fds_max = NET_FRAME_FDS_MAX;
    if (limits->queue_bytes_max == 0)
        connection->limits.queue_bytes_max = NET_QUEUE_BYTES_MAX;
    return -pthread_mutex_init(&connection->lock, NULL);
}

int
net_connection_create(int fd, const struct net_limits *limits, struct net_connection **out)
{
    struct net_connection *connection;
    int err = fault_point("net.create");

    connection = err == 0 ? malloc(sizeof(*connection)) : NULL;
    if (connection == NULL) {
        (void)close(fd);
        return -ENOMEM;
    }
    *connection = (struct net_connection){.fd = fd, .references = 1, .watch = -1};
    err = connection_init(connection, limits);
    if (err != 0) {
        (void)close(fd);
        free(connection);
        return err;
    }
    *out = connection;
    return 0;
}

void
connection_put(struct net_connection *connection)
{
    if (atomic_fetch_sub_explicit(&connection->references, 1, memory_order_acq_rel) != 1)
        return;
    connection_drop_queue(connection);
    connection_drop_received(connection);
    if (connection->carrier != NULL)
        connection->carrier->destroy(connection);
    (void)close(connection->fd);
    (void)pthread_mutex_destroy(&connection->lock);
    free(connection);
}

/* A turn that has it noted finds it over; the other side hears of the end now, whoever still
 * has a reference. */
void
net_connection_destroy(struct net_connection *connection)
{
    if (connection == NULL)
        return;
    (void)pthread_mutex_lock(&connection->lock);
    if (connection->is_in_turn && !connection->is_over)
        (void)!connection_flush(connection);
    connection_end(connection);
    if (connection->watch >= 0)
        (void)epoll_ctl(connection->watch, EPOLL_CTL_DEL, connection->fd, NULL);
    connection->watch = -1;
    if (connection->is_in_turn)
        (void)shutdown(connection->fd, SHUT_RDWR);
    (void)pthread_mutex_unlock(&connection->lock);
    connection_put(connection);
}

int
net_watch(struct net_connection *connection, int epoll, uint64_t data)
{
    int err;

    (void)pthread_mutex_lock(&connection->lock);
    ASSERT(connection->watch < 0);
    connection->watch = epoll;
    connection->watch_data = data;
    err = connection_watch(connection, EPOLL_CTL_ADD);
    if (err != 0)
        connection->watch = -1;
    (void)pthread_mutex_unlock(&connection->lock);
    return err;
}

int
net_fd(const struct net_connection *connection)
{
    return connection->fd;
}

bool
net_is_open(struct net_connection *connection)
{
    bool is_open;

    if (connection->carrier == NULL)
        return true;
    (void)pthread_mutex_lock(&connection->lock);
    is_open = connection->carrier->is_open(connection);
    (void)pthread_mutex_unlock(&connection->lock);
    return is_open;
}

void
net_frame_fini(struct net_frame *frame)
{
    for (size_t i = 0; i < frame->fd_count; i++)
        if (frame->fds[i] >= 0)
            (void)close(frame->fds[i]);
    free(frame->bytes);
    slack_note(frame->count);
    *frame = (struct net_frame){.bytes = NULL};
}
