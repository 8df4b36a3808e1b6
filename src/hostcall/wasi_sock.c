/* SPDX-License-Identifier: Apache-2.0
 *
 * sock_*. Every transfer says MSG_DONTWAIT, whatever the socket's own flags.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "hostcall/hostcall_internal.h"

enum faaslet_verdict
wasi_sock_accept(struct faaslet_call *call)
{
    struct files_table *files = &wasi_process(call)->files;
    uint32_t flags = wasi_arg(call, 1), number;
    struct files_entry *entry;
    int err = wasi_check(call, wasi_arg(call, 2), 4);

    if (err != 0)
        return wasi_done(call, err);
    entry = wasi_descriptor(call, wasi_arg(call, 0), WASI_SOCK_ACCEPT, &err);
    if (err == 0 && (flags & ~(uint32_t)FILES_NONBLOCK) != 0)
        err = -EINVAL;
    if (err != 0)
        return wasi_done(call, err);
    err = files_accept(files, wasi_arg(call, 0), (uint16_t)flags, &number);
    wasi_note_refusal(call, err);
    entry = files_table_get(files, wasi_arg(call, 0)); /* the table may have moved */
    if (err == 0) {
        wasi_rights_adopted(files_table_get(files, number));
        wasi_store_u32(call, wasi_arg(call, 2), number);
    }
    return wasi_done_or_wait(call, err, entry, POLLIN);
}

/* Drops the first bytes of the buffers: what an earlier call has filled. */
static void
buffers_advance(struct wasi_buffers *buffers, uint64_t bytes)
{
    for (size_t i = 0; i < buffers->count && bytes > 0; i++) {
        struct iovec *iov = &buffers->iov[i];
        size_t part = bytes < iov->iov_len ? (size_t)bytes : iov->iov_len;

        iov->iov_base = (uint8_t *)iov->iov_base + part;
        iov->iov_len -= part;
        bytes -= part;
    }
}

static int
receive(const struct files_entry *entry, struct wasi_buffers *buffers, int flags, size_t *done,
        uint32_t *result_flags)
{
    struct msghdr message = {.msg_iov = buffers->iov, .msg_iovlen = buffers->count};
    ssize_t got;

    if (entry->fd < 0)
        return -EIO;
    do
        got = recvmsg(entry->fd, &message, flags | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    *done = (size_t)got;
    *result_flags = (message.msg_flags & MSG_TRUNC) != 0 ? WASI_ROFLAG_DATA_TRUNCATED : 0;
    return 0;
}

static void
receive_store(struct faaslet_call *call, uint64_t bytes, uint32_t flags)
{
    uint16_t result_flags = (uint16_t)flags;

    wasi_store_u32(call, wasi_arg(call, 4), (uint32_t)bytes);
    wasi_store(call, wasi_arg(call, 5), &result_flags, sizeof(result_flags));
}

/* "Wait for all" collects over several calls; scratch[0] counts what is there. An
 * end or an error after some bytes hands those over. */
static enum faaslet_verdict
receive_all(struct faaslet_call *call, const struct files_entry *entry,
            struct wasi_buffers *buffers)
{
    size_t done = 0;
    uint32_t flags = 0;
    int err = 0;

    buffers_advance(buffers, call->scratch[0]);
    while (call->scratch[0] < buffers->total) {
        err = receive(entry, buffers, 0, &done, &flags);
        if (err != 0 || done == 0)
            break;
        call->scratch[0] += done;
        buffers_advance(buffers, done);
    }
    if (err == -EAGAIN && (entry->flags & FILES_NONBLOCK) == 0)
        return wasi_wait_fd(call, entry->fd, POLLIN);
    if (err != 0 && call->scratch[0] == 0)
        return wasi_done(call, err);
    receive_store(call, call->scratch[0], flags);
    return wasi_done(call, 0);
}

static int
receive_check(const struct faaslet_call *call, struct wasi_buffers *buffers)
{
    int err = wasi_check(call, wasi_arg(call, 4), 4);

    if (err == 0)
        err = wasi_check(call, wasi_arg(call, 5), 2);
    if (err == 0)
        err = wasi_buffers_read(call, wasi_arg(call, 1), wasi_arg(call, 2), false, buffers);
    if (err == 0 && wasi_arg(call, 3) > (WASI_RIFLAG_PEEK | WASI_RIFLAG_WAITALL))
        err = -EINVAL;
    return err;
}

static const struct files_entry *
socket_of(const struct faaslet_call *call, enum wasi_right right, int *err)
{
    const struct files_entry *entry = wasi_descriptor(call, wasi_arg(call, 0), right, err);

    if (*err == 0 && entry->kind != FILES_SOCKET)
        *err = -ENOTSOCK;
    return entry;
}

enum faaslet_verdict
wasi_sock_recv(struct faaslet_call *call)
{
    uint32_t flags = wasi_arg(call, 3), result_flags = 0;
    struct wasi_buffers buffers;
    const struct files_entry *entry;
    size_t done = 0;
    int err = receive_check(call, &buffers);

    if (err != 0)
        return wasi_done(call, err);
    entry = socket_of(call, WASI_FD_READ, &err);
    if (err != 0)
        return wasi_done(call, err);
    if (flags == WASI_RIFLAG_WAITALL && entry->socket_type == SOCK_STREAM)
        return receive_all(call, entry, &buffers);
    err = receive(entry, &buffers, (flags & WASI_RIFLAG_PEEK) != 0 ? MSG_PEEK : 0, &done,
                  &result_flags);
    if (err == 0)
        receive_store(call, done, result_flags);
    return wasi_done_or_wait(call, err, entry, POLLIN);
}

static int
send_buffers(const struct files_entry *entry, struct wasi_buffers *buffers, size_t *done)
{
    struct msghdr message = {.msg_iov = buffers->iov, .msg_iovlen = buffers->count};
    ssize_t got;

    if (entry->fd < 0)
        return -EIO;
    do
        got = sendmsg(entry->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    *done = (size_t)got;
    return 0;
}

enum faaslet_verdict
wasi_sock_send(struct faaslet_call *call)
{
    struct wasi_buffers buffers;
    const struct files_entry *entry;
    size_t done = 0;
    int err = wasi_check(call, wasi_arg(call, 4), 4);

    if (err == 0)
        err = wasi_buffers_read(call, wasi_arg(call, 1), wasi_arg(call, 2), true, &buffers);
    if (err == 0 && wasi_arg(call, 3) != 0)
        err = -EINVAL;
    if (err != 0)
        return wasi_done(call, err);
    entry = socket_of(call, WASI_FD_WRITE, &err);
    if (err != 0)
        return wasi_done(call, err);
    if (!wasi_output_allows(call, entry, buffers.total))
        return FAASLET_CALL_LIMIT;
    err = send_buffers(entry, &buffers, &done);
    wasi_output_count(call, entry, done);
    if (err == 0)
        wasi_store_u32(call, wasi_arg(call, 4), (uint32_t)done);
    return wasi_done_or_wait(call, err, entry, POLLOUT);
}

enum faaslet_verdict
wasi_sock_shutdown(struct faaslet_call *call)
{
    static const int hows[] = {
        [WASI_SDFLAG_RD] = SHUT_RD,
        [WASI_SDFLAG_WR] = SHUT_WR,
        [WASI_SDFLAG_RD | WASI_SDFLAG_WR] = SHUT_RDWR,
    };
    uint32_t how = wasi_arg(call, 1);
    int err;
    const struct files_entry *entry = socket_of(call, WASI_SOCK_SHUTDOWN, &err);

    if (err == 0 && (how == 0 || how >= ARRAY_COUNT(hows)))
        err = -EINVAL;
    if (err == 0 && shutdown(entry->fd, hows[how]) != 0)
        err = -errno;
    return wasi_done(call, err);
}
