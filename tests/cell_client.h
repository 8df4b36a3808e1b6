/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of cells that are served: the worker's side, plain and trusting, and guests.
 * Who includes it says how a cell is started (client_begin) and how it ended.
 */
#ifndef WEFT_TESTS_CELL_CLIENT_H
#define WEFT_TESTS_CELL_CLIENT_H

#include "testing.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "rpc/rpc.h"

#define CLIENT_WAIT_MS   60000
#define CLIENT_CALLS_MAX 1024u
#define MS               UINT64_C(1000000)

struct client {
    struct net_connection *connection;
    uint64_t calls;                         /* begun so far; they are numbered from 1 */
    Rpc__CellReply *ends[CLIENT_CALLS_MAX]; /* owned; by number, of those not asked for yet */
    void *cell;                             /* how it was started */
};

/* Starts a cell with this end of a socket pair, which it takes. */
static void client_begin(struct client *client, int socket);
/* Waits for the end of the cell, whose socket is closed or will be: 0, or another. */
static int client_finish(struct client *client);

/* memory; output; input; time; computing; ends of all kinds; what is left of before. */
static const char client_guest[] =
    "(module\n"
    "  (import \"wasi_snapshot_preview1\" \"fd_write\"\n"
    "    (func $write (param i32 i32 i32 i32) (result i32)))\n"
    "  (import \"wasi_snapshot_preview1\" \"fd_read\"\n"
    "    (func $read (param i32 i32 i32 i32) (result i32)))\n"
    "  (import \"wasi_snapshot_preview1\" \"poll_oneoff\"\n"
    "    (func $poll (param i32 i32 i32 i32) (result i32)))\n"
    "  (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))\n"
    "  (import \"wasi_snapshot_preview1\" \"clock_res_get\"\n"
    "    (func $resolution (param i32 i32) (result i32)))\n"
    "  (import \"weft\" \"snapshot\" (func $snapshot (result i32)))\n"
    "  (memory (export \"memory\") 1)\n"
    "  (data (i32.const 1024) \"started\\0a\")\n"
    "  (func $out (param $fd i32) (param $at i32) (param $count i32)\n"
    "    (i32.store (i32.const 0) (local.get $at))\n"
    "    (i32.store (i32.const 4) (local.get $count))\n"
    "    (if (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))\n"
    "      (then (call $exit (i32.const 99)))))\n"
    "  (func (export \"_initialize\") (i64.store (i32.const 512) (i64.const 77)))\n"
    "  (func (export \"_start\") (call $out (i32.const 1) (i32.const 1024) (i32.const 8)))\n"
    "  (func (export \"add\") (param i64 i64) (result i64)\n"
    "    (i64.add (local.get 0) (local.get 1)))\n"
    "  (func (export \"leave\") (result i64) (local $old i64)\n"
    "    (local.set $old (i64.add (i64.load (i32.const 512)) (i64.load (i32.const 520))))\n"
    "    (i64.store (i32.const 520) (i64.const 1000)) (local.get $old))\n"
    "  (func (export \"spin\") (loop (br 0)))\n"
    "  (func (export \"bad\") unreachable)\n"
    "  (func (export \"exit\") (param i32) (call $exit (local.get 0)))\n"
    "  (func (export \"log\") (call $out (i32.const 2) (i32.const 1024) (i32.const 7)))\n"
    "  (func (export \"flood\") (loop (call $out (i32.const 1) (i32.const 4096)\n"
    "    (i32.const 60000)) (br 0)))\n"
    "  (func (export \"pour\") (param i32) (loop $more\n"
    "    (call $out (i32.const 1) (i32.const 4096) (i32.const 60000))\n"
    "    (br_if $more (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))\n"
    "  (func (export \"grow\") (param i32) (result i32) (local $old i32)\n"
    "    (local.set $old (memory.grow (local.get 0)))\n"
    "    (if (i32.ne (local.get $old) (i32.const -1)) (then\n"
    "      (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4))\n"
    "        (i32.const 1))))\n"
    "    (local.get $old))\n"
    "  (func $echo (export \"echo\") (result i32) (local $total i32)\n"
    "    (loop $more\n"
    "      (i32.store (i32.const 16) (i32.const 4096))\n"
    "      (i32.store (i32.const 20) (i32.const 1000))\n"
    "      (if (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24))\n"
    "        (then (call $exit (i32.const 98))))\n"
    "      (if (i32.load (i32.const 24)) (then\n"
    "        (call $out (i32.const 1) (i32.const 4096) (i32.load (i32.const 24)))\n"
    "        (local.set $total (i32.add (local.get $total) (i32.load (i32.const 24))))\n"
    "        (br $more))))\n"
    "    (local.get $total))\n"
    "  (func (export \"sleep\") (param i64) (result i32)\n"
    "    (i32.store (i32.const 2048) (i32.const 0))\n"
    "    (i32.store (i32.const 2064) (i32.const 1))\n"
    "    (i64.store (i32.const 2072) (local.get 0))\n"
    "    (call $poll (i32.const 2048) (i32.const 2128) (i32.const 1) (i32.const 2200)))\n"
    "  (func (export \"resolution\") (param i32) (result i64)\n"
    "    (if (call $resolution (local.get 0) (i32.const 2304)) (then (call $exit (i32.const "
    "97))))\n"
    "    (i64.load (i32.const 2304)))\n"
    "  (func (export \"resume\") (i64.store (i32.const 520) (i64.const 5))\n"
    "    (drop (call $snapshot))\n"
    "    (call $out (i32.const 1) (i32.const 1024) (i32.const 5))\n"
    "    (call $exit (i32.add (i32.wrap_i64 (i64.load (i32.const 520)))\n"
    "      (i32.wrap_i64 (i64.load (i32.const 512))))))\n"
    ")\n";

/* Compiled once. Borrowed. */
static inline int
client_image(void)
{
    static int fd = -1;

    if (fd < 0)
        fd = testing_compile(client_guest, ABI_STANDALONE, 1);
    return fd;
}

/* ----------------------------------------------------------------------- talking */

static inline void
client_say(struct client *client, Rpc__CellRequest *request, const int *fds, size_t fd_count)
{
    assert_int_equal(rpc_send(client->connection, &request->base, fds, fd_count), 0);
}

/* The next reply; NULL: the cell has closed. */
static inline Rpc__CellReply *
client_hear(struct client *client)
{
    struct net_frame frame;
    Rpc__CellReply *reply;
    int err;

    while ((err = net_receive(client->connection, &frame)) == -EAGAIN) {
        struct pollfd fd = {.fd = net_fd(client->connection), .events = POLLIN};

        (void)!net_flush(client->connection);
        if (net_queued(client->connection) > 0)
            fd.events |= POLLOUT;
        if (poll(&fd, 1, CLIENT_WAIT_MS) <= 0)
            fail_msg("the cell says nothing");
    }
    if (err == -EPIPE)
        return NULL;
    assert_int_equal(err, 0);
    assert_int_equal(frame.fd_count, 0);
    reply = rpc_cell_reply(&frame);
    assert_non_null(reply);
    net_frame_fini(&frame);
    return reply;
}

static inline void
reply_free(Rpc__CellReply *reply)
{
    protobuf_c_message_free_unpacked(&reply->base, NULL);
}

/* The next reply of this kind; ends of calls before it are kept. */
static inline Rpc__CellReply *
client_await(struct client *client, Rpc__CellReply__IsCase kind)
{
    for (;;) {
        Rpc__CellReply *reply = client_hear(client);

        if (reply == NULL)
            fail_msg("the cell is gone");
        if (reply->is_case == kind)
            return reply;
        assert_int_equal(reply->is_case, RPC__CELL_REPLY__IS_END);
        assert_in_range(reply->end->call, 1, client->calls);
        assert_null(client->ends[reply->end->call]);
        client->ends[reply->end->call] = reply;
    }
}

/* The end of one call, which the caller frees. */
static inline Rpc__CellReply *
client_end(struct client *client, uint64_t call)
{
    while (client->ends[call] == NULL) {
        Rpc__CellReply *reply = client_await(client, RPC__CELL_REPLY__IS_END);

        assert_in_range(reply->end->call, 1, client->calls);
        assert_null(client->ends[reply->end->call]);
        client->ends[reply->end->call] = reply;
    }
    Rpc__CellReply *reply = client->ends[call];

    client->ends[call] = NULL;
    return reply;
}

/* -------------------------------------------------------------------- life of one */

static inline void
client_expect_ready(struct client *client, bool is_set_up)
{
    Rpc__CellReply *reply = client_await(client, RPC__CELL_REPLY__IS_READY);

    assert_string_equal(reply->ready->error, "");
    assert_int_equal(reply->ready->version, RPC__CELL_VERSION__CELL_VERSION);
    assert_int_equal(reply->ready->is_set_up, is_set_up);
    reply_free(reply);
}

static inline void
client_connect(struct client *client)
{
    static const struct net_limits limits = {0, 0, 0};
    int ends[2];

    (void)memset(client, 0, sizeof(*client));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(net_connection_create(ends[0], &limits, &client->connection), 0);
    client_begin(client, ends[1]);
    client_expect_ready(client, false);
}

static inline void
client_setup(struct client *client, Rpc__CellSetup setup)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;

    setup.version = RPC__CELL_VERSION__CELL_VERSION;
    request.is_case = RPC__CELL_REQUEST__IS_SETUP;
    request.setup = &setup;
    client_say(client, &request, NULL, 0);
    client_expect_ready(client, true);
}

/* A cell with so many executors, and the default of everything else. */
static inline void
client_open(struct client *client, uint32_t executors)
{
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;

    client_connect(client);
    setup.executors = executors;
    client_setup(client, setup);
}

static inline int
client_close(struct client *client)
{
    int code;

    net_connection_destroy(client->connection);
    code = client_finish(client);
    for (size_t i = 0; i < CLIENT_CALLS_MAX; i++)
        if (client->ends[i] != NULL)
            reply_free(client->ends[i]);
    return code;
}

/* ---------------------------------------------------------------- requests of it */

static inline void
client_put(struct client *client, Rpc__CellPut put, const int *fds, size_t fd_count)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;

    request.is_case = RPC__CELL_REQUEST__IS_PUT;
    request.put = &put;
    client_say(client, &request, fds, fd_count);
}

static inline void
client_expect_put(struct client *client, uint64_t function)
{
    Rpc__CellReply *reply = client_await(client, RPC__CELL_REPLY__IS_PUT_DONE);

    assert_int_equal(reply->put_done->function, function);
    assert_string_equal(reply->put_done->message, "");
    assert_int_equal(reply->put_done->err, 0);
    reply_free(reply);
}

/* The guest of above as a function with these limits. */
static inline void
client_put_guest(struct client *client, uint64_t function, Rpc__CellLimits *limits)
{
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    int image = client_image();

    put.function = function;
    put.limits = limits;
    client_put(client, put, &image, 1);
    client_expect_put(client, function);
}

/* Its number. stdio: three descriptors, or NULL. */
static inline uint64_t
client_call(struct client *client, Rpc__CellCall call, const int *stdio)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;

    call.call = ++client->calls;
    assert_true(call.call < CLIENT_CALLS_MAX);
    call.has_stdio = stdio != NULL;
    request.is_case = RPC__CELL_REQUEST__IS_CALL;
    request.call = &call;
    client_say(client, &request, stdio, stdio != NULL ? 3 : 0);
    return call.call;
}

static inline uint64_t
client_call_entry(struct client *client, uint64_t function, const char *entry, uint64_t value)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;

    call.function = function;
    call.entry = (char *)(uintptr_t)entry;
    call.values = &value;
    call.n_values = value != UINT64_MAX ? 1 : 0;
    return client_call(client, call, NULL);
}
#define NO_VALUE UINT64_MAX

static inline void
client_number(struct client *client, Rpc__CellRequest__IsCase kind, uint64_t number)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellDrop drop = RPC__CELL_DROP__INIT;
    Rpc__CellCancel cancel = RPC__CELL_CANCEL__INIT;

    request.is_case = kind;
    drop.function = cancel.call = number;
    if (kind == RPC__CELL_REQUEST__IS_DROP)
        request.drop = &drop;
    else
        request.cancel = &cancel;
    client_say(client, &request, NULL, 0);
}

static inline Rpc__CellUsage
client_usage(struct client *client)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellAsk ask = RPC__CELL_ASK__INIT;
    Rpc__CellReply *reply;
    Rpc__CellUsage usage;

    request.is_case = RPC__CELL_REQUEST__IS_ASK;
    request.ask = &ask;
    client_say(client, &request, NULL, 0);
    reply = client_await(client, RPC__CELL_REPLY__IS_USAGE);
    usage = *reply->usage;
    reply_free(reply);
    return usage;
}

/* The call ends so, with these words in its message. */
static inline void
expect_end(struct client *client, uint64_t call, Rpc__CellEndKind kind, const char *words)
{
    Rpc__CellReply *reply = client_end(client, call);

    if (reply->end->kind != kind || strstr(reply->end->message, words) == NULL)
        fail_msg("call %llu: kind %d, error %d, exit code %d: %s", (unsigned long long)call,
                 (int)reply->end->kind, reply->end->err, reply->end->exit_code,
                 reply->end->message);
    reply_free(reply);
}

static inline void
expect_result(struct client *client, uint64_t call, uint64_t result)
{
    Rpc__CellReply *reply = client_end(client, call);

    if (reply->end->kind != RPC__CELL_END_KIND__CELL_END_DONE)
        fail_msg("call %llu: kind %d: %s", (unsigned long long)call, (int)reply->end->kind,
                 reply->end->message);
    assert_int_equal(reply->end->n_results, 1);
    assert_int_equal(reply->end->results[0], result);
    reply_free(reply);
}

#endif
