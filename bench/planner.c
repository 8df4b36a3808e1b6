/* SPDX-License-Identifier: Apache-2.0
 *
 * What a synchronous call costs in the planner, beside what runs it.
 *
 *      planner [ROUNDS]
 *
 * In process: planner_call, the start of a host that does nothing, planner_run_ended, on_end,
 * by one thread. Over hosts: the same with a worker at the other end of a connection, which
 * answers each start with an end; one call at a time, and 64.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "hosts/hosts.h"
#include "planner/planner.h"
#include "rpc/rpc.h"

#define ROUNDS  200000u
#define AT_ONCE 64u
#define INPUT   100u

static const uint8_t key[NET_SECRET_BYTES] = "a key for a measurement........";
static char directory[] = "/tmp/weft-bench-XX"
                          "XXXX";
static struct store *store;
static struct planner *planner;
static struct planner_run last;
static unsigned ends;
static sem_t ended;

/* Of this thread: others use the machine. */
static uint64_t
cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static void
require(int err, const char *what)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "bench: %s: %s\n", what, strerror(-err));
    exit(1);
}

static void
open_planner(void)
{
    char address[64];
    const struct store_config records = {
        .records = address, .blobs = address, .bytes_max = 1u << 30};
    const struct planner_config config = {.holder = "bench", .silence_ns = UINT64_C(1) << 40};
    struct planner_config with_store = config;

    if (mkdtemp(directory) == NULL)
        require(-errno, directory);
    (void)snprintf(address, sizeof(address), "dir:%s", directory);
    require(store_open(&records, &store, NULL), "store");
    with_store.store = store;
    require(planner_create(&with_store, &planner, NULL), "planner");
}

/* ------------------------------------------------------------------------ in process */

static void
start(void *context, const struct planner_run *run, const Ledger__Call *call)
{
    (void)context;
    (void)call;
    last = *run;
}

static void
stop(void *context, const struct planner_run *run)
{
    (void)context;
    (void)run;
}

static void
on_end(void *context, const Ledger__Call *call)
{
    (void)context;
    (void)call;
    ends++;
}

static void
wish(Ledger__Call *call, Ledger__Request *request)
{
    static uint8_t input[INPUT];

    ledger__call__init(call);
    ledger__request__init(request);
    call->tenant = (char *)(uintptr_t)"tenant";
    call->function = (char *)(uintptr_t)"function";
    call->version = 1;
    call->request = request;
    request->input = (ProtobufCBinaryData){sizeof(input), input};
    request->wall_ns = 1000000000;
}

static void
measure_core(unsigned hosts, unsigned rounds)
{
    static const struct planner_host_ops ops = {start, stop};
    struct planner_host *list[1024];
    Ledger__Result result = LEDGER__RESULT__INIT;
    uint8_t output[INPUT] = {0};
    Ledger__Request request;
    Ledger__Call call;
    uint64_t begin, id;
    char name[16];

    for (unsigned i = 0; i < hosts; i++) {
        const struct planner_host_config config = {
            .name = name, .slots = 64, .memory = 1 << 30, .ops = &ops};

        (void)snprintf(name, sizeof(name), "h%u", i);
        require(planner_host_up(planner, &config, &list[i], NULL), "host");
    }
    wish(&call, &request);
    result.kind = LEDGER__KIND__KIND_DONE;
    result.output = (ProtobufCBinaryData){sizeof(output), output};
    begin = cpu_ns();
    for (unsigned i = 0; i < rounds; i++) {
        require(planner_call(planner, &call, on_end, NULL, &id), "call");
        planner_run_ended(list[0], &last, &result);
    }
    (void)printf("%4u hosts in process: %6.0f ns of a processor a call\n", hosts,
                 (double)(cpu_ns() - begin) / rounds);
    if (ends != rounds)
        require(-EIO, "ends");
    ends = 0;
    for (unsigned i = 0; i < hosts; i++)
        planner_host_down(list[i]);
}

/* ------------------------------------------------------------------------ over hosts */

static int
next_frame(struct net_connection *connection, struct net_frame *frame)
{
    for (;;) {
        struct pollfd watched = {.fd = net_fd(connection), .events = POLLIN};
        int err;

        (void)!net_flush(connection);
        err = net_receive(connection, frame);
        if (err != -EAGAIN)
            return err;
        (void)poll(&watched, 1, -1);
    }
}

static void
answer(struct net_connection *connection, const struct net_frame *frame)
{
    static uint8_t output[INPUT];
    Rpc__HostDown *down = (void *)rpc_read(frame->bytes, frame->count, &rpc__host_down__descriptor);
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    Rpc__HostEnd end = RPC__HOST_END__INIT;

    if (down == NULL)
        require(-EPROTO, "word");
    if (down->is_case == RPC__HOST_DOWN__IS_START) {
        up.is_case = RPC__HOST_UP__IS_END;
        up.end = &end;
        end.run = down->start->run;
        end.kind = RPC__HOST_END_KIND__HOST_END_DONE;
        end.output = (ProtobufCBinaryData){sizeof(output), output};
        require(rpc_send(connection, &up.base, NULL, 0), "send");
    }
    rpc__host_down__free_unpacked(down, NULL);
}

static void *
serve(void *object)
{
    const struct rpc_hello hello = {HOST_PROTOCOL, 1, 1, "worker"};
    Rpc__HostRegister message = RPC__HOST_REGISTER__INIT;
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    struct net_connection *connection;
    struct net_secret *secret;
    struct net_frame frame;
    struct rpc_peer peer;
    int fd;

    require(net_secret_create(key, HOST_LABEL, &secret), "secret");
    require(net_dial(object, 0, &fd, NULL), "dial");
    require(net_connection_create_secret(fd, secret, false, &(struct net_limits){0}, &connection),
            "connection");
    require(rpc_hello_send(connection, &hello), "hello");
    require(next_frame(connection, &frame), "hello");
    require(rpc_hello_hear(connection, &frame, &hello, &peer, NULL), "hello");
    net_frame_fini(&frame);
    message.slots = AT_ONCE;
    up.is_case = RPC__HOST_UP__IS_REGISTER;
    up.register_ = &message;
    require(rpc_send(connection, &up.base, NULL, 0), "register");
    while (next_frame(connection, &frame) == 0) {
        answer(connection, &frame);
        net_frame_fini(&frame);
    }
    net_connection_destroy(connection);
    net_secret_destroy(secret);
    return NULL;
}

static void
on_end_far(void *context, const Ledger__Call *call)
{
    (void)context;
    (void)call;
    (void)sem_post(&ended);
}

static void
measure_far(unsigned at_once, unsigned rounds)
{
    Ledger__Request request;
    Ledger__Call call;
    unsigned started = 0;
    uint64_t begin, id;

    wish(&call, &request);
    begin = clock_now_ns();
    for (; started < at_once; started++)
        require(planner_call(planner, &call, on_end_far, NULL, &id), "call");
    for (unsigned i = 0; i < rounds; i++) {
        while (sem_wait(&ended) != 0)
            continue;
        if (started++ < rounds)
            require(planner_call(planner, &call, on_end_far, NULL, &id), "call");
    }
    (void)printf("over a connection, %2u at a time: %6.0f ns a call\n", at_once,
                 (double)(clock_now_ns() - begin) / rounds);
}

static void
deploy(struct catalog *catalog)
{
    const struct catalog_tenant tenant = {.name = "tenant"};
    struct catalog_version version = {.tenant = "tenant", .function = "function"};
    uint32_t number;

    require(store_blob_put_bytes(store, "image", 5, &version.module, NULL), "blob");
    version.image = version.module;
    require(catalog_tenant_put(catalog, &tenant, NULL), "tenant");
    require(catalog_version_put(catalog, &version, &number, NULL), "version");
}

int
main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : ROUNDS;
    struct hosts_config config = {
        .key = key, .name = "planner", .address = "127.0.0.1:0", .silence_ns = UINT64_C(1) << 40};
    struct catalog *catalog;
    struct hosts *hosts;
    pthread_t thread;

    (void)sem_init(&ended, 0, 0);
    open_planner();
    for (unsigned hosts_count = 1; hosts_count <= 1000; hosts_count *= 10)
        measure_core(hosts_count, hosts_count <= 10 ? rounds : rounds / 10);
    require(catalog_open(store, key, &catalog, NULL), "catalog");
    deploy(catalog);
    config.planner = planner;
    config.catalog = catalog;
    config.store = store;
    require(hosts_create(&config, &hosts, NULL), "hosts");
    require(-pthread_create(&thread, NULL, serve, (void *)(uintptr_t)hosts_address(hosts)),
            "thread");
    measure_far(1, rounds / 10);
    measure_far(AT_ONCE, rounds / 2);
    hosts_destroy(hosts);
    (void)pthread_join(thread, NULL);
    planner_destroy(planner);
    catalog_close(catalog);
    store_close(store);
    (void)fflush(stdout);
    (void)execlp("rm", "rm", "-rf", directory, NULL);
    return 1;
}
