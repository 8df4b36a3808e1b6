/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of agents: a planner in the test's own thread, which says what the test wants,
 * has blobs in a store of its own, and waits for words.
 */
#ifndef WEFT_AGENT_AGENT_TESTING_H
#define WEFT_AGENT_AGENT_TESTING_H

#include "worker/worker_testing.h"

#include <ftw.h>
#include <poll.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "rpc/rpc.h"
#include "store/store.h"

#define PLANNER_KEPT_MAX 256u

static const uint8_t testing_key[NET_SECRET_BYTES] = {1, 2, 3};
static const uint8_t testing_other_key[NET_SECRET_BYTES] = {1, 2, 4};

struct planner {
    int listening;
    char address[NET_ADDRESS_MAX];
    char top[64]; /* its directory, and the agent's */
    char data[80];
    struct net_secret *secret;
    struct net_connection *connection;
    struct store *store;
    struct agent *agent;
    uint64_t life, beat_ns, silence_ns;
    bool serves_blobs;
    unsigned asked; /* for blobs */
    Rpc__HostUp *kept[PLANNER_KEPT_MAX];
    unsigned kept_count;
};

static inline int
testing_remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void
planner_start(struct planner *planner)
{
    struct diag diag;
    char blobs[96];

    (void)memset(planner, 0, sizeof(*planner));
    diag_init(&diag);
    /* Stores make many directories: in memory, where there is such a file system. */
    (void)snprintf(planner->top, sizeof(planner->top), "%s/weft-agent-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(planner->top));
    (void)snprintf(planner->data, sizeof(planner->data), "%s/agent", planner->top);
    (void)snprintf(blobs, sizeof(blobs), "dir:%s/planner", planner->top);
    if (store_open(&(struct store_config){.blobs = blobs}, &planner->store, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    if (net_listen("127.0.0.1:0", &planner->listening, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    assert_int_equal(net_address_of(planner->listening, planner->address), 0);
    assert_int_equal(net_secret_create(testing_key, HOST_LABEL, &planner->secret), 0);
    planner->life = 77;
    planner->beat_ns = UINT64_C(100000000);
    planner->silence_ns = TESTING_PATIENCE_NS;
    planner->serves_blobs = true;
}

static inline void
planner_forget(struct planner *planner)
{
    for (unsigned i = 0; i < planner->kept_count; i++)
        rpc__host_up__free_unpacked(planner->kept[i], NULL);
    planner->kept_count = 0;
}

static inline void
planner_cut(struct planner *planner)
{
    net_connection_destroy(planner->connection);
    planner->connection = NULL;
    planner_forget(planner);
}

static inline void
planner_stop(struct planner *planner)
{
    agent_destroy(planner->agent);
    planner->agent = NULL;
    planner_cut(planner);
    if (planner->listening >= 0)
        (void)close(planner->listening);
    net_secret_destroy(planner->secret);
    store_close(planner->store);
    assert_int_equal(nftw(planner->top, testing_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline struct agent_config
planner_config(const struct planner *planner, const char *program)
{
    return (struct agent_config){.planner = planner->address,
                                 .key = testing_key,
                                 .name = "host-1",
                                 .data = planner->data,
                                 .slots = 8,
                                 .cell_program = testing_program(program),
                                 .ready = 1};
}

static inline void
planner_start_agent(struct planner *planner, const char *program)
{
    const struct agent_config config = planner_config(planner, program);
    struct diag diag;

    diag_init(&diag);
    if (agent_create(&config, &planner->agent, &diag) != 0)
        fail_msg("no agent: %s", diag_text(&diag));
}

/* ------------------------------------------------------------------------------- hearing */

static inline void
planner_poll(int fd, short events)
{
    struct pollfd wanted = {.fd = fd, .events = events};
    int count;

    do
        count = poll(&wanted, 1, (int)(TESTING_PATIENCE_NS / 1000000));
    while (count < 0 && errno == EINTR); /* a fuzzer's alarm */
    if (count != 1)
        fail_msg("the agent says nothing");
}

/* The next frame, whatever it is. false: the connection is over. */
static inline bool
planner_frame(struct planner *planner, struct net_frame *frame)
{
    int err;

    for (;;) {
        (void)!net_flush(planner->connection);
        err = net_receive(planner->connection, frame);
        if (err == 0)
            return true;
        if (err != -EAGAIN)
            return false;
        planner_poll(net_fd(planner->connection),
                     (short)(POLLIN | (net_queued(planner->connection) > 0 ? POLLOUT : 0)));
    }
}

static inline void
planner_send(struct planner *planner, Rpc__HostDown *down)
{
    assert_int_equal(rpc_send(planner->connection, &down->base, NULL, 0), 0);
}

static inline void
planner_send_blob(struct planner *planner, const ProtobufCBinaryData *name,
                  const ProtobufCBinaryData *bytes, bool is_last, const char *error)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostBlob blob = RPC__HOST_BLOB__INIT;
    int err;

    blob.hash = *name;
    blob.bytes = *bytes;
    blob.is_last = is_last;
    blob.error = (char *)(uintptr_t)error;
    down.is_case = RPC__HOST_DOWN__IS_BLOB;
    down.blob = &blob;
    err = rpc_send(planner->connection, &down.base, NULL, 0);
    assert_true(err == 0 || err == -EPIPE); /* that it is over is heard */
}

/* In pieces of 64 KiB. */
static inline void
planner_serve(struct planner *planner, const ProtobufCBinaryData *name)
{
    struct store_hash hash;
    uint8_t room[65536];
    ssize_t count;
    int fd;

    assert_int_equal(name->len, sizeof(hash));
    (void)memcpy(&hash, name->data, sizeof(hash));
    if (store_blob_get(planner->store, &hash, &fd, NULL) != 0) {
        planner_send_blob(planner, name, &(ProtobufCBinaryData){0, NULL}, false, "no such blob");
        return;
    }
    do {
        count = read(fd, room, sizeof(room));
        assert_true(count >= 0);
        planner_send_blob(planner, name, &(ProtobufCBinaryData){(size_t)count, room},
                          count < (ssize_t)sizeof(room), "");
    } while (count == (ssize_t)sizeof(room));
    (void)close(fd);
}

/* The next word; NULL: the connection is over. */
static inline Rpc__HostUp *
planner_next(struct planner *planner)
{
    struct net_frame frame;
    Rpc__HostUp *up;

    if (!planner_frame(planner, &frame))
        return NULL;
    up = (void *)rpc_read(frame.bytes, frame.count, &rpc__host_up__descriptor);
    net_frame_fini(&frame);
    assert_non_null(up);
    if (up->is_case == RPC__HOST_UP__IS_WANT_BLOB) {
        planner->asked++;
        if (planner->serves_blobs)
            planner_serve(planner, &up->want_blob->hash);
    }
    return up;
}

/* The next of this kind; others are kept, but for beats. */
static inline Rpc__HostUp *
planner_hear(struct planner *planner, Rpc__HostUp__IsCase kind)
{
    for (unsigned i = 0; i < planner->kept_count; i++)
        if (planner->kept[i]->is_case == kind) {
            Rpc__HostUp *up = planner->kept[i];

            (void)memmove(&planner->kept[i], &planner->kept[i + 1],
                          (--planner->kept_count - i) * sizeof(planner->kept[0]));
            return up;
        }
    for (;;) {
        Rpc__HostUp *up = planner_next(planner);

        if (up == NULL)
            fail_msg("the agent closed the connection");
        if (up->is_case == kind)
            return up;
        if (up->is_case == RPC__HOST_UP__IS_BEAT) {
            rpc__host_up__free_unpacked(up, NULL);
            continue;
        }
        assert_true(planner->kept_count < PLANNER_KEPT_MAX);
        planner->kept[planner->kept_count++] = up;
    }
}

static inline Rpc__HostUp *
planner_hear_end(struct planner *planner, uint64_t call)
{
    Rpc__HostUp *up = planner_hear(planner, RPC__HOST_UP__IS_END);

    assert_non_null(up->end->run);
    assert_int_equal(up->end->run->call, call);
    return up;
}

/* That all the agent had to say by now has been said: nothing of this kind was. */
static inline void
planner_expect_none(struct planner *planner, Rpc__HostUp__IsCase kind)
{
    for (unsigned beats = 0; beats < 2;) {
        Rpc__HostUp *up = planner_next(planner);

        assert_non_null(up);
        assert_int_not_equal(up->is_case, kind);
        beats += up->is_case == RPC__HOST_UP__IS_BEAT;
        rpc__host_up__free_unpacked(up, NULL);
    }
    for (unsigned i = 0; i < planner->kept_count; i++)
        assert_int_not_equal(planner->kept[i]->is_case, kind);
}

/* ------------------------------------------------------------------------- first words */

static inline void
planner_accept(struct planner *planner)
{
    static const struct net_limits limits = {0};
    const struct rpc_hello hello = {
        .protocol = HOST_PROTOCOL, .version_min = 1, .version_max = 1, .who = "planner"};
    int fd;

    planner_cut(planner);
    planner_poll(planner->listening, POLLIN);
    assert_int_equal(net_accept(planner->listening, &fd), 0);
    assert_int_equal(
        net_connection_create_secret(fd, planner->secret, true, &limits, &planner->connection), 0);
    assert_int_equal(rpc_hello_send(planner->connection, &hello), 0);
}

/* What it registers with. */
static inline Rpc__HostUp *
planner_greet(struct planner *planner)
{
    const struct rpc_hello hello = {
        .protocol = HOST_PROTOCOL, .version_min = 1, .version_max = 1, .who = "planner"};
    struct net_frame frame;
    struct rpc_peer peer;
    struct diag diag;

    diag_init(&diag);
    planner_accept(planner);
    assert_true(planner_frame(planner, &frame));
    if (rpc_hello_hear(planner->connection, &frame, &hello, &peer, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    net_frame_fini(&frame);
    assert_string_equal(peer.who, "host-1");
    return planner_hear(planner, RPC__HOST_UP__IS_REGISTER);
}

static inline void
planner_welcome(struct planner *planner, Rpc__HostRun **keep, size_t count)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostWelcome welcome = RPC__HOST_WELCOME__INIT;

    welcome.planner = planner->life;
    welcome.beat_ns = planner->beat_ns;
    welcome.silence_ns = planner->silence_ns;
    welcome.keep = keep;
    welcome.n_keep = count;
    down.is_case = RPC__HOST_DOWN__IS_WELCOME;
    down.welcome = &welcome;
    planner_send(planner, &down);
}

/* All that it has is kept, or nothing. */
static inline void
planner_register(struct planner *planner, bool keeps)
{
    Rpc__HostUp *up = planner_greet(planner);

    planner_welcome(planner, up->register_->runs, keeps ? up->register_->n_runs : 0);
    rpc__host_up__free_unpacked(up, NULL);
}

/* A planner, and an agent that is registered. */
static inline void
planner_open(struct planner *planner, const char *program)
{
    planner_start(planner);
    planner_start_agent(planner, program);
    planner_register(planner, true);
}

/* ----------------------------------------------------------------------------- words */

static inline Rpc__HostRun
testing_run(uint64_t call)
{
    Rpc__HostRun run = RPC__HOST_RUN__INIT;

    run.call = call;
    run.attempt = 1;
    run.members = 1;
    return run;
}

static inline void
planner_tenant(struct planner *planner, const char *name)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostTenant tenant = RPC__HOST_TENANT__INIT;

    tenant.name = (char *)(uintptr_t)name;
    down.is_case = RPC__HOST_DOWN__IS_TENANT;
    down.tenant = &tenant;
    planner_send(planner, &down);
}

static inline struct store_hash
planner_put(struct planner *planner, const void *bytes, size_t count)
{
    struct store_hash hash;

    assert_int_equal(store_blob_put_bytes(planner->store, bytes, count, &hash, NULL), 0);
    return hash;
}

static inline ProtobufCBinaryData
testing_hash(struct store_hash *hash)
{
    return (ProtobufCBinaryData){sizeof(hash->bytes), hash->bytes};
}

static inline void
planner_function(struct planner *planner, Rpc__HostFunction *function)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;

    down.is_case = RPC__HOST_DOWN__IS_FUNCTION;
    down.function = function;
    planner_send(planner, &down);
}

/* Of tenant "a", with this blob as its image: enough for the double. */
static inline void
planner_function_of(struct planner *planner, uint64_t number, struct store_hash *image)
{
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;

    function.number = number;
    function.tenant = (char *)(uintptr_t)"a";
    function.image = testing_hash(image);
    planner_function(planner, &function);
}

/* A planner, an agent with doubles, tenant "a" and its function 1. */
static inline void
planner_open_function(struct planner *planner)
{
    struct store_hash image;

    planner_open(planner, "test/worker/double");
    image = planner_put(planner, "an image", 8);
    planner_tenant(planner, "a");
    planner_function_of(planner, 1, &image);
}

static inline void
planner_start_call(struct planner *planner, Rpc__HostStart *start)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;

    down.is_case = RPC__HOST_DOWN__IS_START;
    down.start = start;
    planner_send(planner, &down);
}

static inline void
planner_call(struct planner *planner, uint64_t call, uint64_t function, const char *entry)
{
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(call);

    start.run = &run;
    start.function = function;
    start.entry = (char *)(uintptr_t)entry;
    start.input = (ProtobufCBinaryData){4, (uint8_t *)(uintptr_t)"ping"};
    planner_start_call(planner, &start);
}

static inline void
planner_say_stop(struct planner *planner, uint64_t call)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostStop stop = RPC__HOST_STOP__INIT;
    Rpc__HostRun run = testing_run(call);

    stop.run = &run;
    down.is_case = RPC__HOST_DOWN__IS_STOP;
    down.stop = &stop;
    planner_send(planner, &down);
}

static inline void
planner_heard(struct planner *planner, uint64_t call)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostHeard heard = RPC__HOST_HEARD__INIT;
    Rpc__HostRun run = testing_run(call), *runs[1] = {&run};

    heard.ends = runs;
    heard.n_ends = call != 0 ? 1 : 0;
    down.is_case = RPC__HOST_DOWN__IS_HEARD;
    down.heard = &heard;
    planner_send(planner, &down);
}

/* The end of this call, which must be of this kind. */
static inline void
planner_expect(struct planner *planner, uint64_t call, Rpc__HostEndKind kind, const char *message)
{
    Rpc__HostUp *up = planner_hear_end(planner, call);

    if (up->end->kind != kind || strstr(up->end->message, message) == NULL)
        fail_msg("call %u ended as %d: %s", (unsigned)call, (int)up->end->kind, up->end->message);
    rpc__host_up__free_unpacked(up, NULL);
    planner_heard(planner, call);
}

/* Until it says so of itself. */
static inline struct agent_view
testing_look_until(struct agent *agent, bool (*is_so)(const struct agent_view *view))
{
    uint64_t until_ns = clock_now_ns() + TESTING_PATIENCE_NS;
    struct agent_view view;

    for (;;) {
        agent_look(agent, &view);
        if (is_so(&view))
            return view;
        if (clock_now_ns() > until_ns)
            fail_msg("the agent does not come so far: %s", view.reason);
        (void)usleep(1000);
    }
}

#endif
