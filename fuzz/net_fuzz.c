/* SPDX-License-Identifier: Apache-2.0
 *
 * A side that says anything, in any pieces, with descriptors anywhere: what comes whole
 * out of net is read as a cell's reply and as a worker's request. What is valid is
 * walked in full. No descriptor may be left. libFuzzer target.
 *
 *   input = pieces: (count, fds) bytes...
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "rpc/rpc.h"

#define PIECE_FDS_MAX 3u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static volatile uint64_t sink;

static void
walk_text(const char *text)
{
    ASSERT(text != NULL);
    sink += strlen(text);
}

static void
walk_end(const Rpc__CellEnd *end)
{
    walk_text(end->message);
    walk_text(end->backtrace);
    for (size_t i = 0; i < end->n_results; i++)
        sink += end->results[i];
    for (size_t i = 0; i < end->output.len; i++)
        sink += end->output.data[i];
    ASSERT(end->kind <= RPC__CELL_END_KIND__CELL_END_LOST);
}

static void
walk_reply(const Rpc__CellReply *reply)
{
    switch (reply->is_case) {
    case RPC__CELL_REPLY__IS_READY:
        walk_text(reply->ready->error);
        break;
    case RPC__CELL_REPLY__IS_PUT_DONE:
        walk_text(reply->put_done->message);
        break;
    case RPC__CELL_REPLY__IS_END:
        walk_end(reply->end);
        break;
    case RPC__CELL_REPLY__IS_CHAIN:
        walk_text(reply->chain->reference);
        for (size_t i = 0; i < reply->chain->input.len; i++)
            sink += reply->chain->input.data[i];
        break;
    case RPC__CELL_REPLY__IS_CHAIN_CANCEL:
        sink += reply->chain_cancel->chain;
        break;
    case RPC__CELL_REPLY__IS_STATE:
        for (size_t i = 0; i < reply->state.len; i++)
            sink += reply->state.data[i];
        break;
    default:
        ASSERT(reply->is_case == RPC__CELL_REPLY__IS_USAGE);
        sink += reply->usage->calls;
        break;
    }
}

static void
walk_request(const Rpc__CellRequest *request)
{
    ASSERT(request->is_case != RPC__CELL_REQUEST__IS__NOT_SET);
    if (request->is_case == RPC__CELL_REQUEST__IS_PUT) {
        for (size_t i = 0; i < request->put->n_directories; i++)
            walk_text(request->put->directories[i]->guest_path);
        for (size_t i = 0; i < request->put->n_env; i++)
            walk_text(request->put->env[i]);
    } else if (request->is_case == RPC__CELL_REQUEST__IS_CALL) {
        for (size_t i = 0; i < request->call->n_args; i++)
            walk_text(request->call->args[i]);
        for (size_t i = 0; i < request->call->input.len; i++)
            sink += request->call->input.data[i];
    } else if (request->is_case == RPC__CELL_REQUEST__IS_STATE) {
        for (size_t i = 0; i < request->state.len; i++)
            sink += request->state.data[i];
    }
}

static void
walk_frame(struct net_frame *frame)
{
    Rpc__CellReply *reply = rpc_cell_reply(frame);
    Rpc__CellRequest *request = rpc_cell_request(frame);

    for (size_t i = 0; i < frame->fd_count; i++)
        ASSERT(fcntl(frame->fds[i], F_GETFD) >= 0);
    if (reply != NULL) {
        walk_reply(reply);
        protobuf_c_message_free_unpacked(&reply->base, NULL);
    }
    if (request != NULL) {
        walk_request(request);
        protobuf_c_message_free_unpacked(&request->base, NULL);
    }
    net_frame_fini(frame);
}

static void
say(int socket, const uint8_t *bytes, size_t count, unsigned fd_count)
{
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(PIECE_FDS_MAX * sizeof(int))] = {0};
    struct iovec part = {(void *)(uintptr_t)bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *rights = (struct cmsghdr *)(void *)control;

    if (fd_count > 0) {
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        for (unsigned i = 0; i < fd_count; i++)
            (void)memcpy(CMSG_DATA(rights) + i * sizeof(int), &(int){2}, sizeof(int));
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    }
    (void)sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int
receive_all(struct net_connection *connection)
{
    struct net_frame frame;
    int err;

    while ((err = net_receive(connection, &frame)) == 0)
        walk_frame(&frame);
    return err;
}

static int
lowest_free(void)
{
    int fd = dup(2);

    (void)close(fd);
    return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct net_limits limits = {1u << 20, 2, 0};
    struct net_connection *connection;
    int ends[2], lowest = lowest_free();

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 ||
        net_connection_create(ends[0], &limits, &connection) != 0)
        abort();
    while (count >= 2) {
        size_t piece = bytes[0] < 255 ? bytes[0] : count;
        unsigned fds = bytes[1] < 250 ? 0 : (bytes[1] - 249u) % (PIECE_FDS_MAX + 1);

        bytes += 2;
        count -= 2;
        piece = piece < count ? piece : count;
        say(ends[1], bytes, piece, fds);
        bytes += piece;
        count -= piece;
        if (receive_all(connection) != -EAGAIN)
            break;
    }
    /* close() alone may take effect later: who looks into /proc/PID/fd keeps it open so long. */
    (void)shutdown(ends[1], SHUT_RDWR);
    (void)close(ends[1]);
    ASSERT(receive_all(connection) != -EAGAIN);
    net_connection_destroy(connection);
    ASSERT(lowest_free() == lowest);
    return 0;
}
