/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of hosts: a planner with a store and a catalog, calls whose ends can be
 * awaited, and workers that are a connection in the hands of the test.
 */
#ifndef WEFT_HOSTS_HOSTS_TESTING_H
#define WEFT_HOSTS_HOSTS_TESTING_H

/* cmocka wants these first, in this order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "hosts/hosts_internal.h"

#define SECOND   UINT64_C(1000000000)
#define AWAIT_MS 300000 /* a test that waits longer has failed */

static const uint8_t testing_key[NET_SECRET_BYTES] = "a key that all tests share......";

static inline char *
writable(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* -------------------------------------------------------------------------- a world */

struct world {
    char directory[64];
    struct store *store;
    struct catalog *catalog;
    struct planner *planner;
    struct hosts *hosts;
    struct store_hash image, model;
    uint64_t silence_ns;
};

static inline void
world_start_planner(struct world *w)
{
    static unsigned count;
    char holder[32];
    struct planner_config planner = {
        .store = w->store, .holder = holder, .silence_ns = w->silence_ns};
    struct diag diag;

    (void)snprintf(holder, sizeof(holder), "holder-%d-%u", (int)getpid(), count++);
    diag_init(&diag);
    if (planner_create(&planner, &w->planner, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
}

static inline struct hosts_config
world_config(struct world *w)
{
    return (struct hosts_config){.planner = w->planner,
                                 .catalog = w->catalog,
                                 .store = w->store,
                                 .key = testing_key,
                                 .name = "the-planner",
                                 .address = "127.0.0.1:0",
                                 .silence_ns = w->silence_ns};
}

static inline void
world_start_hosts(struct world *w)
{
    const struct hosts_config config = world_config(w);
    struct diag diag;

    diag_init(&diag);
    if (hosts_create(&config, &w->hosts, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
}

static inline void
world_tenant(struct world *w, const char *name)
{
    const struct catalog_tenant tenant = {.name = name, .memory_bytes = 1u << 30, .files = 9};

    assert_int_equal(catalog_tenant_put(w->catalog, &tenant, NULL), 0);
}

static inline uint32_t
world_deploy(struct world *w, const char *tenant, const char *function, uint32_t attempts)
{
    static const char *const env[] = {"COLOUR=red"}, *const secrets[] = {"PASSWORD"};
    const struct catalog_file file = {"/data/model", w->model};
    const struct catalog_version version = {
        .tenant = tenant,
        .function = function,
        .kind = CATALOG_COMMAND,
        .language = "c",
        .module = w->image,
        .image = w->image,
        .limits = {.wall_ns = 5 * SECOND, .memory_bytes = 1u << 20},
        .retry = {.attempts = attempts, .pause_ns = 1},
        .env = env,
        .env_count = 1,
        .secrets = secrets,
        .secret_count = 1,
        .files = &file,
        .file_count = 1,
    };
    struct diag diag;
    uint32_t number;

    diag_init(&diag);
    assert_int_equal(catalog_variable_put(w->catalog, tenant, "PASSWORD", "swordfish", true, NULL),
                     0);
    if (catalog_version_put(w->catalog, &version, &number, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    return number;
}

/* Files that the catalog has of a function's version. */
static inline size_t
world_files(const struct world *w, const char *function)
{
    struct catalog_callable *callable;
    size_t count;

    assert_int_equal(catalog_resolve(w->catalog, "shop", function, 0, &callable, NULL), 0);
    count = catalog_callable_version(callable)->file_count;
    catalog_callable_put(callable);
    return count;
}

static inline void
world_open(struct world *w, uint64_t silence_ns)
{
    const char *folder = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    char address[80];
    const struct store_config config = {.records = address, .blobs = address, .bytes_max = 1 << 28};

    (void)memset(w, 0, sizeof(*w));
    w->silence_ns = silence_ns;
    (void)snprintf(w->directory, sizeof(w->directory), "%.30s/weft-hosts-%s", folder,
                   "XX"
                   "XX"
                   "XX");
    assert_non_null(mkdtemp(w->directory));
    (void)snprintf(address, sizeof(address), "dir:%s", w->directory);
    assert_int_equal(store_open(&config, &w->store, NULL), 0);
    assert_int_equal(store_blob_put_bytes(w->store, "image", 5, &w->image, NULL), 0);
    assert_int_equal(store_blob_put_bytes(w->store, "model", 5, &w->model, NULL), 0);
    assert_int_equal(catalog_open(w->store, testing_key, &w->catalog, NULL), 0);
    world_tenant(w, "shop");
    world_start_planner(w);
    world_start_hosts(w);
}

static inline void
world_init(struct world *w)
{
    world_open(w, 600 * SECOND);
}

static inline void
world_fini(struct world *w)
{
    pid_t pid;

    hosts_destroy(w->hosts);
    planner_destroy(w->planner);
    catalog_close(w->catalog);
    store_close(w->store);
    pid = fork();
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", w->directory, NULL);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0);
}

/* -------------------------------------------------------------------------- a worker */

#define HEARD_MAX 4096u

struct agent {
    struct net_secret *secret;
    struct net_connection *connection;
    uint64_t heard[HEARD_MAX]; /* calls whose ends were heard */
    unsigned heard_count, answers;
};

static inline void
agent_dial_as(struct agent *a, const struct world *w, const uint8_t *key, const char *label)
{
    int fd;

    (void)memset(a, 0, sizeof(*a));
    assert_int_equal(net_secret_create(key, label, &a->secret), 0);
    assert_int_equal(net_dial(hosts_address(w->hosts), 0, &fd, NULL), 0);
    assert_int_equal(
        net_connection_create_secret(fd, a->secret, false, &(struct net_limits){0}, &a->connection),
        0);
}

static inline void
agent_hang_up(struct agent *a)
{
    net_connection_destroy(a->connection);
    net_secret_destroy(a->secret);
    a->connection = NULL;
    a->secret = NULL;
}

/* The next frame, or why there is none. */
static inline int
agent_frame(struct agent *a, struct net_frame *frame)
{
    const uint64_t until_ns = clock_now_ns() + AWAIT_MS * UINT64_C(1000000);

    for (;;) {
        struct pollfd watched = {.fd = net_fd(a->connection), .events = POLLIN};
        int err;

        (void)!net_flush(a->connection);
        err = net_receive(a->connection, frame);
        if (err != -EAGAIN)
            return err;
        if (clock_now_ns() > until_ns)
            fail_msg("the planner says nothing");
        if (net_queued(a->connection) > 0)
            watched.events |= POLLOUT;
        (void)poll(&watched, 1, 1000);
    }
}

static inline int
agent_greet_as(struct agent *a, const char *name, const char *protocol, uint32_t version)
{
    const struct rpc_hello hello = {protocol, version, version, name};
    struct net_frame frame;
    struct rpc_peer peer;
    int err;

    if (rpc_hello_send(a->connection, &hello) != 0)
        return -EPIPE;
    err = agent_frame(a, &frame);
    if (err != 0)
        return err;
    err = rpc_hello_hear(a->connection, &frame, &hello, &peer, NULL);
    net_frame_fini(&frame);
    if (err == 0)
        assert_string_equal(peer.who, "the-planner");
    return err;
}

static inline int
agent_greet(struct agent *a, const char *name)
{
    return agent_greet_as(a, name, HOST_PROTOCOL, RPC__HOST_VERSION__HOST_VERSION);
}

static inline void
agent_say(struct agent *a, Rpc__HostUp__IsCase is, void *message)
{
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    int err;

    up.is_case = is;
    up.register_ = message;
    err = rpc_send(a->connection, &up.base, NULL, 0);
    assert_true(err == 0 || err == -EPIPE); /* that it is over is heard */
    while (net_is_open(a->connection) && net_queued(a->connection) > 0) {
        struct pollfd watched = {.fd = net_fd(a->connection), .events = POLLOUT};

        if (net_flush(a->connection) != 0)
            break; /* hearing tells */
        (void)poll(&watched, 1, 1000);
    }
}

static inline void
agent_note(struct agent *a, const Rpc__HostHeard *heard)
{
    a->answers++;
    for (size_t i = 0; i < heard->n_ends && a->heard_count < HEARD_MAX; i++)
        a->heard[a->heard_count++] = heard->ends[i]->call;
}

/* The next word that is no HEARD; freed by the caller. NULL: the connection is over. */
static inline Rpc__HostDown *
agent_hear(struct agent *a)
{
    for (;;) {
        struct net_frame frame;
        Rpc__HostDown *down;

        if (agent_frame(a, &frame) != 0)
            return NULL;
        down = (void *)rpc_read(frame.bytes, frame.count, &rpc__host_down__descriptor);
        net_frame_fini(&frame);
        assert_non_null(down);
        if (down->is_case != RPC__HOST_DOWN__IS_HEARD)
            return down;
        agent_note(a, down->heard);
        rpc__host_down__free_unpacked(down, NULL);
    }
}

static inline Rpc__HostDown *
agent_await(struct agent *a, Rpc__HostDown__IsCase is)
{
    Rpc__HostDown *down = agent_hear(a);

    assert_non_null(down);
    if (down->is_case != is)
        fail_msg("word %d came, not %d", (int)down->is_case, (int)is);
    return down;
}

static inline void
agent_skip(struct agent *a, Rpc__HostDown__IsCase is)
{
    rpc__host_down__free_unpacked(agent_await(a, is), NULL);
}

/* The planner has heard all that was said before: it answers a beat in order. */
static inline void
agent_sync(struct agent *a)
{
    Rpc__HostBeat beat = RPC__HOST_BEAT__INIT;
    unsigned answers = a->answers;

    agent_say(a, RPC__HOST_UP__IS_BEAT, &beat);
    while (a->answers == answers) {
        struct net_frame frame;
        Rpc__HostDown *down;

        assert_int_equal(agent_frame(a, &frame), 0);
        down = (void *)rpc_read(frame.bytes, frame.count, &rpc__host_down__descriptor);
        net_frame_fini(&frame);
        assert_non_null(down);
        if (down->is_case != RPC__HOST_DOWN__IS_HEARD)
            fail_msg("word %d came, not an answer", (int)down->is_case);
        agent_note(a, down->heard);
        rpc__host_down__free_unpacked(down, NULL);
    }
}

static inline bool
agent_was_heard(const struct agent *a, uint64_t call)
{
    for (unsigned i = 0; i < a->heard_count; i++)
        if (a->heard[i] == call)
            return true;
    return false;
}

static inline Rpc__HostRun
run_of(uint64_t call, uint32_t attempt)
{
    Rpc__HostRun run = RPC__HOST_RUN__INIT;

    run.call = call;
    run.attempt = attempt;
    run.members = 1;
    return run;
}

/* Registers; the welcome is the caller's to free. */
static inline Rpc__HostDown *
agent_register(struct agent *a, uint64_t life, uint32_t slots, Rpc__HostRun **runs, size_t count)
{
    Rpc__HostRegister message = RPC__HOST_REGISTER__INIT;
    char *missing[] = {writable("seccomp"), writable("cgroup")};

    message.slots = slots;
    message.memory_bytes = 1u << 30;
    message.cores = 2;
    message.zone = writable("cellar");
    message.version = writable("1.2.3");
    message.missing = missing;
    message.n_missing = ARRAY_COUNT(missing);
    message.planner = life;
    message.runs = runs;
    message.n_runs = count;
    agent_say(a, RPC__HOST_UP__IS_REGISTER, &message);
    return agent_await(a, RPC__HOST_DOWN__IS_WELCOME);
}

/* A worker with nothing, from the dial to the welcome; tells the planner's life. */
static inline uint64_t
agent_up(struct agent *a, const struct world *w, const char *name, uint32_t slots)
{
    Rpc__HostDown *down;
    uint64_t life;

    agent_dial_as(a, w, testing_key, HOST_LABEL);
    assert_int_equal(agent_greet(a, name), 0);
    down = agent_register(a, 0, slots, NULL, 0);
    life = down->welcome->planner;
    assert_int_equal(down->welcome->n_keep, 0);
    rpc__host_down__free_unpacked(down, NULL);
    return life;
}

static inline void
agent_end(struct agent *a, uint64_t call, uint32_t attempt, Rpc__HostEndKind kind)
{
    Rpc__HostEnd end = RPC__HOST_END__INIT;
    Rpc__HostRun run = run_of(call, attempt);

    end.run = &run;
    end.kind = kind;
    end.exit_code = 3;
    end.message = writable("as it was");
    end.output = (ProtobufCBinaryData){6, (uint8_t *)writable("output")};
    end.log = (ProtobufCBinaryData){3, (uint8_t *)writable("log")};
    end.cpu_ns = 7;
    end.chained = 5;
    end.trap = 2;
    end.memory_bytes = 65536;
    agent_say(a, RPC__HOST_UP__IS_END, &end);
}

/* A start comes: its call, and by the way its attempt and its function's number. */
static inline uint64_t
agent_start(struct agent *a, uint32_t *attempt, uint64_t *function)
{
    Rpc__HostDown *down = agent_await(a, RPC__HOST_DOWN__IS_START);
    uint64_t call = down->start->run->call;

    if (attempt != NULL)
        *attempt = down->start->run->attempt;
    if (function != NULL)
        *function = down->start->function;
    rpc__host_down__free_unpacked(down, NULL);
    return call;
}

/* The first start of a function on a connection: with its tenant and itself. */
static inline uint64_t
agent_first_start(struct agent *a, uint64_t *function)
{
    agent_skip(a, RPC__HOST_DOWN__IS_TENANT);
    agent_skip(a, RPC__HOST_DOWN__IS_FUNCTION);
    return agent_start(a, NULL, function);
}

/* --------------------------------------------------------------------------- a call */

struct asked {
    pthread_mutex_t lock;
    pthread_cond_t change;
    unsigned ends, accepted;
    uint64_t id;
    Ledger__Call *call; /* as it ended */
};

static inline void
asked_init(struct asked *asked)
{
    (void)memset(asked, 0, sizeof(*asked));
    (void)pthread_mutex_init(&asked->lock, NULL);
    (void)pthread_cond_init(&asked->change, NULL);
}

static inline Ledger__Call *
copy_call(const Ledger__Call *call)
{
    size_t count = ledger__call__get_packed_size(call);
    uint8_t *bytes = malloc(count + 1);
    Ledger__Call *copy;

    assert_non_null(bytes);
    copy = ledger__call__unpack(NULL, ledger__call__pack(call, bytes), bytes);
    free(bytes);
    return copy;
}

static inline void
asked_end(void *context, const Ledger__Call *call)
{
    struct asked *asked = context;

    (void)pthread_mutex_lock(&asked->lock);
    asked->ends++;
    asked->call = copy_call(call);
    (void)pthread_cond_broadcast(&asked->change);
    (void)pthread_mutex_unlock(&asked->lock);
}

static inline void
asked_accepted(void *context, int err, uint64_t id)
{
    struct asked *asked = context;

    (void)pthread_mutex_lock(&asked->lock);
    assert_int_equal(err, 0);
    asked->accepted++;
    asked->id = id;
    (void)pthread_cond_broadcast(&asked->change);
    (void)pthread_mutex_unlock(&asked->lock);
}

static inline const Ledger__Result *
asked_await(struct asked *asked)
{
    (void)pthread_mutex_lock(&asked->lock);
    while (asked->ends == 0)
        (void)pthread_cond_wait(&asked->change, &asked->lock);
    (void)pthread_mutex_unlock(&asked->lock);
    assert_int_equal(asked->ends, 1);
    assert_non_null(asked->call->result);
    return asked->call->result;
}

static inline void
asked_fini(struct asked *asked)
{
    if (asked->call != NULL)
        ledger__call__free_unpacked(asked->call, NULL);
    asked->call = NULL;
}

struct wanted {
    Ledger__Call call;
    Ledger__Request request;
};

static inline Ledger__Call *
want(struct wanted *wanted, const char *function, uint32_t version, uint32_t attempts)
{
    ledger__call__init(&wanted->call);
    ledger__request__init(&wanted->request);
    wanted->call.tenant = writable("shop");
    wanted->call.function = writable(function);
    wanted->call.version = version;
    wanted->call.request = &wanted->request;
    wanted->request.attempts = attempts;
    wanted->request.pause_ns = 1;
    return &wanted->call;
}

static inline uint64_t
ask_call(struct world *w, struct asked *asked, const Ledger__Call *call)
{
    asked_init(asked);
    assert_int_equal(planner_call(w->planner, call, asked_end, asked, &asked->id), 0);
    return asked->id;
}

static inline uint64_t
ask(struct world *w, struct asked *asked, const char *function, uint32_t attempts)
{
    struct wanted wanted;

    return ask_call(w, asked, want(&wanted, function, 1, attempts));
}

static inline uint64_t
ask_async(struct world *w, struct asked *asked, const Ledger__Call *call)
{
    asked_init(asked);
    assert_int_equal(planner_call_async(w->planner, call, asked_accepted, asked_end, asked), 0);
    (void)pthread_mutex_lock(&asked->lock);
    while (asked->accepted == 0)
        (void)pthread_cond_wait(&asked->change, &asked->lock);
    (void)pthread_mutex_unlock(&asked->lock);
    return asked->id;
}

/* ------------------------------------------------------------------------- looking */

struct looking {
    const char *name;
    bool is_there;
    struct hosts_view view;
};

static inline bool
look_at(void *context, const struct hosts_view *view)
{
    struct looking *looking = context;

    if (strcmp(view->name, looking->name) != 0)
        return true;
    looking->is_there = true;
    looking->view = *view; /* its texts are gone afterwards */
    return false;
}

static inline struct looking
look_for(struct world *w, const char *name)
{
    struct looking looking = {.name = name};

    hosts_list(w->hosts, look_at, &looking);
    return looking;
}

/* Waits until the host is connected, or not; or is not there (-1). */
static inline void
await_host(struct world *w, const char *name, int is_connected)
{
    for (;;) {
        struct looking looking = look_for(w, name);
        int now = !looking.is_there ? -1 : looking.view.is_connected;

        if (now == is_connected)
            return;
        (void)usleep(1000);
    }
}

/* The turn in which something was seen is over: a stranger is answered in a later one. */
static inline void
await_turn(struct world *w)
{
    struct agent stranger;

    agent_dial_as(&stranger, w, testing_key, HOST_LABEL);
    assert_int_equal(agent_greet(&stranger, "stranger"), 0);
    agent_hang_up(&stranger);
}

#endif
