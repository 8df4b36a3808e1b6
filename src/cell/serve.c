/* SPDX-License-Identifier: Apache-2.0
 *
 * A cell that is a process of its own: the worker's socket.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "cell/serve_internal.h"

#define EXECUTORS_MAX      1024u
#define OUTPUT_BYTES_SMALL 65536u
#define QUEUE_BYTES_FULL   (NET_QUEUE_BYTES_MAX / 4 * 3)

/* --------------------------------------------------------------------- replies */

static void
give_up(struct serve *serve, int err)
{
    const uint64_t one = 1;
    int none = 0;
    ssize_t done;

    (void)atomic_compare_exchange_strong(&serve->lost, &none, err);
    done = write(serve->event, &one, sizeof(one));
    (void)done; /* full is as good */
}

/* Where the worker does not listen, outputs must not fill the queue to its end: that
 * there was one can still be told then. */
static int
check_room(struct serve *serve, const Rpc__CellReply *reply)
{
    int err = fault_point("serve.reply");

    if (err == 0 && reply->is_case == RPC__CELL_REPLY__IS_END &&
        reply->end->output.len + reply->end->log.len + reply->end->result.len >
            OUTPUT_BYTES_SMALL &&
        net_queued(serve->connection) > QUEUE_BYTES_FULL)
        err = -ENOBUFS;
    return err;
}

void
serve_reply(struct serve *serve, Rpc__CellReply *reply)
{
    int err = check_room(serve, reply);

    if (err == 0)
        err = rpc_send(serve->connection, &reply->base, NULL, 0);
    if ((err == -ENOMEM || err == -ENOBUFS || err == -EMSGSIZE) &&
        reply->is_case == RPC__CELL_REPLY__IS_END) {
        Rpc__CellEnd small = RPC__CELL_END__INIT;

        small.call = reply->end->call;
        small.kind = RPC__CELL_END_KIND__CELL_END_FAILED;
        small.err = err;
        small.message = (char *)(uintptr_t)"what it came to could not be sent: no memory";
        reply->end = &small;
        err = rpc_send(serve->connection, &reply->base, NULL, 0);
    }
    if (err != 0)
        give_up(serve, err);
}

static void
reply_ready(struct serve *serve, bool is_set_up, const char *error)
{
    Rpc__CellReady ready = RPC__CELL_READY__INIT;
    Rpc__CellReply reply = RPC__CELL_REPLY__INIT;
    char *text = rpc_text(error);

    ready.version = RPC__CELL_VERSION__CELL_VERSION;
    ready.is_set_up = is_set_up;
    ready.error = text != NULL ? text : (char *)(uintptr_t)"no memory";
    reply.is_case = RPC__CELL_REPLY__IS_READY;
    reply.ready = &ready;
    serve_reply(serve, &reply);
    free(text);
}

static void
reply_usage(struct serve *serve)
{
    Rpc__CellUsage message = RPC__CELL_USAGE__INIT;
    Rpc__CellReply reply = RPC__CELL_REPLY__INIT;
    struct cell_usage usage;

    cell_usage(serve->cell, &usage);
    message.calls = usage.calls;
    message.slots = usage.slots;
    message.parked = usage.parked;
    message.warm = usage.warm;
    message.parked_bytes = usage.parked_bytes;
    message.starts_warm = usage.starts_warm;
    message.starts_cold = usage.starts_cold;
    reply.is_case = RPC__CELL_REPLY__IS_USAGE;
    reply.usage = &message;
    serve_reply(serve, &reply);
}

/* -------------------------------------------------------------------- requests */

/* A failure leaves serve->cell NULL, and is the end. */
static int
set_up(struct serve *serve, const Rpc__CellSetup *setup, struct diag *diag)
{
    struct cell_config config = {
        .executors = setup->executors != 0 ? setup->executors : serve->processors,
        .slots_max = setup->slots_max,
        .tick_ns = setup->tick_ns,
        .on_absent = serve_state_absent,
        .on_attach = serve_state_attach,
        .on_done = serve_state_done,
        .epoll = serve->cell_epoll,
        .event = serve->cell_event,
    };
    int err;

    if (setup->version != RPC__CELL_VERSION__CELL_VERSION)
        return diag_set(diag, -EPROTO, "the worker is of another version: %u, this cell is of %u",
                        setup->version, RPC__CELL_VERSION__CELL_VERSION);
    if (config.executors > EXECUTORS_MAX)
        return diag_set(diag, -EPROTO, "%u executors: at most %u", config.executors, EXECUTORS_MAX);
    serve->executors = config.executors;
    serve->cell_epoll = serve->cell_event = -1;
    err = cell_create(&config, &serve->cell, diag);
    if (err != 0)
        return err;
    err = serve_state_start(serve);
    if (err != 0)
        return diag_set(diag, err, "no memory for state");
    serve->slots_max = setup->slots_max != 0 ? setup->slots_max : CELL_SLOTS_DEFAULT;
    serve->tenant = strdup(setup->tenant);
    serve->calls_max = setup->calls_max != 0 ? setup->calls_max : SERVE_CALLS_MAX;
    reply_ready(serve, true, "");
    return 0;
}

/* Descriptors with a request that has none. */
static int
check_no_fds(const Rpc__CellRequest *request, const struct net_frame *frame, struct diag *diag)
{
    if (request->is_case == RPC__CELL_REQUEST__IS_PUT ||
        request->is_case == RPC__CELL_REQUEST__IS_CALL || frame->fd_count == 0)
        return 0;
    return diag_set(diag, -EPROTO, "%zu descriptors with a request that has none", frame->fd_count);
}

static int
obey(struct serve *serve, Rpc__CellRequest **request, struct net_frame *frame, struct diag *diag)
{
    int err = check_no_fds(*request, frame, diag);

    if (err != 0)
        return err;
    if ((serve->cell == NULL) != ((*request)->is_case == RPC__CELL_REQUEST__IS_SETUP))
        return diag_set(diag, -EPROTO, "a setup comes first, and once");
    switch ((*request)->is_case) {
    case RPC__CELL_REQUEST__IS_SETUP:
        return set_up(serve, (*request)->setup, diag);
    case RPC__CELL_REQUEST__IS_PUT:
        return serve_put(serve, request, frame, diag);
    case RPC__CELL_REQUEST__IS_DROP:
        return serve_drop(serve, (*request)->drop->function, diag);
    case RPC__CELL_REQUEST__IS_CALL:
        return serve_call(serve, request, frame, diag);
    case RPC__CELL_REQUEST__IS_STATE:
        serve_state_hear(serve, &(*request)->state);
        return 0;
    case RPC__CELL_REQUEST__IS_CHAIN_END:
        return serve_chain_end(serve, (*request)->chain_end, diag);
    case RPC__CELL_REQUEST__IS_CANCEL:
        serve_cancel(serve, (*request)->cancel->call);
        return 0;
    default:
        reply_usage(serve);
        return 0;
    }
}

static int
handle(struct serve *serve, struct net_frame *frame, struct diag *diag)
{
    Rpc__CellRequest *request = rpc_cell_request(frame);
    int err;

    if (request == NULL)
        return diag_set(diag, -EPROTO, "a frame of %zu bytes is no request", frame->count);
    err = obey(serve, &request, frame, diag);
    if (err != 0 && serve->cell == NULL)
        reply_ready(serve, false, diag_text(diag));
    if (request != NULL)
        protobuf_c_message_free_unpacked(&request->base, NULL);
    return err;
}

/* All that came; 0: no more now. */
static int
take_all(struct serve *serve, struct diag *diag)
{
    struct net_frame frame;
    int err;

    for (;;) {
        err = net_flush(serve->connection);
        if (err == 0)
            err = net_receive(serve->connection, &frame);
        if (err != 0)
            return err == -EAGAIN ? 0 : err;
        err = handle(serve, &frame, diag);
        net_frame_fini(&frame);
        if (err != 0)
            return err;
    }
}

/* What comes, and what of it is brief. */
static int
take_turn(struct serve *serve, struct diag *diag)
{
    bool is_lent = serve->cell != NULL;
    int err;

    net_turn_begin();
    if (is_lent)
        cell_lend_begin(serve->cell);
    err = take_all(serve, diag);
    if (is_lent)
        cell_lend_end(serve->cell);
    net_turn_end();
    return err;
}

static int
listen_to_worker(struct serve *serve, struct diag *diag)
{
    struct epoll_event events[2];
    uint64_t value;
    int err;

    do {
        int count = epoll_wait(serve->epoll, events, 2, serve_state_timeout_ms(serve));
        ssize_t done = read(serve->event, &value, sizeof(value));

        (void)count; /* interrupted is as good: it looks at everything */
        (void)done;
        err = atomic_load(&serve->lost);
        if (err == 0)
            err = take_turn(serve, diag);
    } while (err == 0);
    if (err == -EPIPE)
        return 0;
    return diag_set(diag, err, "the worker's socket: %s", strerror(-err));
}

/* ----------------------------------------------------------------- begin and end */

static int
watch(struct serve *serve, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};

    return epoll_ctl(serve->epoll, EPOLL_CTL_ADD, fd, &event) != 0 ? -errno : 0;
}

/* All that a sealed process cannot open. */
static int
prepare(struct serve *serve)
{
    cpu_set_t set;
    int err = fault_point("serve.prepare");

    if (err != 0)
        return err;
    serve->processors =
        sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
    serve->epoll = epoll_create1(EPOLL_CLOEXEC);
    serve->cell_epoll = epoll_create1(EPOLL_CLOEXEC);
    serve->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    serve->cell_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (serve->epoll < 0 || serve->cell_epoll < 0 || serve->event < 0 || serve->cell_event < 0)
        return -errno;
    err = watch(serve, serve->event);
    if (err == 0)
        err = net_watch(serve->connection, serve->epoll, 0);
    if (err == 0)
        err = hostcall_chain_register(&serve->chain);
    return err == 0 ? faaslet_prepare() : err;
}

static struct serve *
serve_create(int socket)
{
    static const struct net_limits limits = {0, NET_FRAME_FDS_MAX, 0};
    struct serve *serve = calloc(1, sizeof(*serve));

    if (serve == NULL) {
        (void)close(socket);
        return NULL;
    }
    if (net_connection_create(socket, &limits, &serve->connection) != 0) {
        free(serve);
        return NULL;
    }
    serve->chain.ops = &serve_chain_ops;
    serve->chain.context = serve;
    serve->epoll = serve->event = serve->cell_epoll = serve->cell_event = -1;
    (void)pthread_mutex_init(&serve->lock, NULL);
    (void)pthread_cond_init(&serve->quiet, NULL);
    return serve;
}

static void
close_one(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

/* In this order: calls that wait for a put are the puts' to end, and functions are gone
 * before the cell is. */
static void
serve_destroy(struct serve *serve)
{
    serve_stop_functions(serve);
    cell_destroy(serve->cell);
    ASSERT(serve->call_count == 0 && serve->function_count == 0);
    serve_chain_fini(serve);
    state_destroy(serve->chain.state);
    free(serve->tenant);
    close_one(serve->epoll);
    close_one(serve->cell_epoll);
    close_one(serve->cell_event);
    close_one(serve->event);
    net_connection_destroy(serve->connection);
    (void)pthread_mutex_destroy(&serve->lock);
    (void)pthread_cond_destroy(&serve->quiet);
    free(serve);
}

int
cell_serve(int socket, int (*seal)(struct diag *diag), struct diag *diag)
{
    struct serve *serve = serve_create(socket);
    struct diag own;
    int err;

    diag_init(&own);
    if (serve == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a cell");
    err = prepare(serve);
    if (err != 0)
        (void)diag_set(&own, err, "cannot prepare a cell: %s", strerror(-err));
    if (err == 0 && seal != NULL)
        err = seal(&own);
    reply_ready(serve, false, diag_text(&own));
    if (err == 0)
        err = listen_to_worker(serve, &own);
    if (err != 0)
        (void)diag_set(diag, err, "%s", diag_text(&own));
    serve_destroy(serve);
    return err;
}
