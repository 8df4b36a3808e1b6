/* SPDX-License-Identifier: Apache-2.0
 *
 * What a frame costs from one process to another: round trips of 100 bytes, and the
 * throughput of 1 MiB frames, over a unix socket, over TCP on loopback, and over TCP
 * with a secret.
 *
 *      net [--out FILE]
 *
 * The other process echoes what is short and swallows what is long, with one short
 * frame back for each, so that a few long ones are on their way at a time. Both on one
 * CPU, and on one each: where they are decides more than how they speak, for an idle
 * CPU takes its time to wake up. Ways are measured in turns, round by round, for
 * machines change from minute to minute.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "latency.h"
#include "net/net.h"

#define ROUNDS      4u
#define TRIPS       3000u /* in a round */
#define WARM        200u
#define SHORT_BYTES 100u
#define LONG_BYTES  (1u << 20)
#define LONGS       300u /* in a round */
#define ON_THE_WAY  8u

enum way { WAY_UNIX, WAY_TCP, WAY_SECRET, WAYS };

static const char *const way_names[WAYS] = {"unix", "TCP", "TCP with a secret"};
static const uint8_t key[NET_SECRET_BYTES] = {1, 2, 3};
static const struct net_limits limits = {0, 0, 0};
static uint8_t bytes[LONG_BYTES];

static void
require(bool is_well, const char *what)
{
    if (is_well)
        return;
    (void)fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

/* ---------------------------------------------------------------------- two processes */

static void
wait_for(struct net_connection *connection)
{
    struct pollfd ready = {.fd = net_fd(connection),
                           .events = (short)(POLLIN | (net_queued(connection) > 0 ? POLLOUT : 0))};

    (void)poll(&ready, 1, 10000);
    require(net_flush(connection) == 0, "flush");
}

static int
receive(struct net_connection *connection)
{
    struct net_frame frame;
    int err;

    while ((err = net_receive(connection, &frame)) == -EAGAIN)
        wait_for(connection);
    if (err == 0)
        net_frame_fini(&frame);
    return err;
}

static void
send_frame(struct net_connection *connection, size_t count)
{
    require(net_send(connection, bytes, count, NULL, 0) == 0, "send");
}

static struct net_connection *
connect_side(int fd, enum way way, bool is_server)
{
    struct net_connection *connection = NULL;
    struct net_secret *secret;

    if (way != WAY_SECRET) {
        require(net_connection_create(fd, &limits, &connection) == 0, "connection");
        return connection;
    }
    require(net_secret_create(key, "bench", &secret) == 0, "secret");
    require(net_connection_create_secret(fd, secret, is_server, &limits, &connection) == 0,
            "connection");
    net_secret_destroy(secret);
    return connection;
}

static void
echo_until_end(struct net_connection *connection)
{
    while (receive(connection) == 0)
        send_frame(connection, SHORT_BYTES);
    _exit(EXIT_SUCCESS); /* what is buffered is the parent's to write */
}

static void
open_ends(enum way way, int ends[2])
{
    char address[NET_ADDRESS_MAX];
    struct pollfd ready = {.events = POLLIN};
    int listening;

    if (way == WAY_UNIX) {
        require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
        return;
    }
    require(net_listen("127.0.0.1:0", &listening, NULL) == 0, "listen");
    require(net_address_of(listening, address) == 0, "address");
    require(net_dial(address, 0, &ends[0], NULL) == 0, "dial");
    ready.fd = listening;
    (void)poll(&ready, 1, 1000);
    require(net_accept(listening, &ends[1]) == 0, "accept");
    (void)close(listening);
}

static void
pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    require(sched_setaffinity(0, sizeof(set), &set) == 0, "affinity");
}

static struct net_connection *
start_other(enum way way, int cpu, pid_t *other)
{
    int ends[2];

    open_ends(way, ends);
    *other = fork();
    require(*other >= 0, "fork");
    if (*other == 0) {
        (void)close(ends[0]);
        pin(cpu);
        echo_until_end(connect_side(ends[1], way, true));
    }
    (void)close(ends[1]);
    return connect_side(ends[0], way, false);
}

/* -------------------------------------------------------------------------- measuring */

static void
measure_trips(struct net_connection *connection, double *us)
{
    for (unsigned i = 0; i < WARM + TRIPS; i++) {
        uint64_t start = clock_now_ns();

        send_frame(connection, SHORT_BYTES);
        require(receive(connection) == 0, "receive");
        if (i >= WARM)
            us[i - WARM] = (double)(clock_now_ns() - start) / 1e3;
    }
}

/* MiB a second. */
static double
measure_longs(struct net_connection *connection)
{
    uint64_t start = clock_now_ns();
    unsigned sent = 0, answered = 0;

    while (answered < LONGS) {
        while (sent < LONGS && sent - answered < ON_THE_WAY) {
            send_frame(connection, LONG_BYTES);
            sent++;
        }
        require(receive(connection) == 0, "receive");
        answered++;
    }
    return LONGS * 1e9 / (double)(clock_now_ns() - start);
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct figures {
    double us[ROUNDS * TRIPS], rates[ROUNDS];
};

static void
row(FILE *rows, const char *what, const char *where, double value, const char *unit)
{
    char name[100];

    (void)snprintf(name, sizeof(name), "%s, %s", what, where);
    (void)printf("%-60s %10.2f %s\n", name, value, unit);
    if (rows != NULL)
        (void)fprintf(rows,
                      "{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"peer\":null,"
                      "\"peer_value\":null,\"ratio\":null}\n",
                      name, value, unit);
}

static void
report(FILE *rows, struct figures *figures, enum way way, unsigned cpus)
{
    char where[60];

    (void)snprintf(where, sizeof(where), "%s, %s", way_names[way],
                   cpus == 1 ? "one CPU" : "two CPUs");
    qsort(figures->us, ROUNDS * TRIPS, sizeof(double), by_value);
    qsort(figures->rates, ROUNDS, sizeof(double), by_value);
    row(rows, "round trip of 100 bytes p50", where, figures->us[ROUNDS * TRIPS / 2], "us");
    row(rows, "round trip of 100 bytes p99", where, figures->us[ROUNDS * TRIPS / 100 * 99], "us");
    row(rows, "frames of 1 MiB", where, figures->rates[ROUNDS / 2], "MiB/s");
}

static void
measure_all(FILE *rows, int other_cpu, unsigned cpus)
{
    static struct figures figures[WAYS];

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned way = 0; way < WAYS; way++) {
            pid_t other;
            struct net_connection *connection = start_other(way, other_cpu, &other);

            measure_trips(connection, figures[way].us + (size_t)round * TRIPS);
            figures[way].rates[round] = measure_longs(connection);
            net_connection_destroy(connection);
            (void)waitpid(other, NULL, 0);
        }
    }
    for (unsigned way = 0; way < WAYS; way++)
        report(rows, &figures[way], way, cpus);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"out", required_argument, NULL, 'o'}, {0}};
    struct latency latency = latency_measure();
    FILE *rows = NULL;

    while (getopt_long(argc, argv, "", options, NULL) == 'o') {
        rows = fopen(optarg, "we");
        require(rows != NULL, optarg);
    }
    latency_print(&latency);
    if (rows != NULL)
        latency_write(&latency, rows);
    pin(latency.cpus[0]);
    measure_all(rows, latency.cpus[0], 1);
    if (latency.ns > 0)
        measure_all(rows, latency.cpus[1], 2);
    if (rows != NULL)
        require(fclose(rows) == 0, "rows");
    return EXIT_SUCCESS;
}
