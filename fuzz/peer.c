/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "peer.h"

static void
run_node(const struct peer *peer, int from, int to)
{
    const char *option = peer->option != NULL ? peer->option : "--stack-size=3900";

    (void)dup2(from, STDIN_FILENO);
    (void)dup2(to, STDOUT_FILENO);
    (void)execlp("node", "node", "--stack-size=3900", option, peer->program, (char *)NULL);
    perror("node");
    _exit(127);
}

static int
start(struct peer *peer)
{
    int request[2], answer[2];

    if (pipe2(request, O_CLOEXEC) != 0)
        return -errno;
    if (pipe2(answer, O_CLOEXEC) != 0)
        goto close_request;
    peer->pid = fork();
    if (peer->pid < 0)
        goto close_answer;
    if (peer->pid == 0)
        run_node(peer, request[0], answer[1]);
    (void)close(request[0]);
    (void)close(answer[1]);
    peer->to = request[1];
    peer->from = answer[0];
    peer->requests = 0;
    (void)signal(SIGPIPE, SIG_IGN);
    return 0;

close_answer:
    (void)close(answer[0]);
    (void)close(answer[1]);
    peer->pid = 0;
close_request:
    (void)close(request[0]);
    (void)close(request[1]);
    return -EAGAIN;
}

void
peer_stop(struct peer *peer)
{
    if (peer->pid == 0)
        return;
    (void)close(peer->to);
    (void)close(peer->from);
    (void)kill(peer->pid, SIGKILL);
    (void)waitpid(peer->pid, NULL, 0);
    peer->pid = 0;
}

static bool
is_whole(const struct buffer *log, size_t first)
{
    size_t count = log->count - first;

    return count >= 4 && memcmp(log->bytes + log->count - 4, "end\n", 4) == 0 &&
           (count == 4 || log->bytes[log->count - 5] == '\n');
}

static int
read_answer(struct peer *peer, struct buffer *log)
{
    size_t first = log->count;
    struct pollfd poll_fd = {.fd = peer->from, .events = POLLIN};
    char bytes[65536];

    while (!is_whole(log, first)) {
        ssize_t count;

        if (poll(&poll_fd, 1, PEER_SECONDS * 1000) <= 0)
            return -ETIMEDOUT;
        count = read(peer->from, bytes, sizeof(bytes));
        if (count <= 0)
            return -EIO;
        buffer_append(log, bytes, (size_t)count);
        if (log->err != 0)
            return log->err;
    }
    log->count -= 4;
    return 0;
}

static int
ask(struct peer *peer, const struct buffer *request, struct buffer *log)
{
    size_t before = log->count;
    int err = 0;

    if (peer->requests++ >= PEER_REQUESTS_MAX)
        peer_stop(peer);
    if (peer->pid == 0)
        err = start(peer);
    if (err != 0)
        return err;
    err = file_write_all(peer->to, request->bytes, request->count);
    if (err == 0)
        err = read_answer(peer, log);
    if (err != 0) {
        peer_stop(peer);
        log->count = before;
    }
    return err;
}

int
peer_run(struct peer *peer, const char *const *paths, const char *script, struct buffer *log)
{
    struct buffer request = {0};
    int err;

    for (; *paths != NULL; paths++)
        buffer_append_format(&request, "module %s\n", *paths);
    buffer_append(&request, script, strlen(script));
    buffer_append(&request, "end\n", 4);
    err = request.err;
    if (err == 0)
        err = ask(peer, &request, log);
    if (err == -EIO || err == -EPIPE) /* it died; perhaps not of this */
        err = ask(peer, &request, log);
    buffer_fini(&request);
    return err;
}
