/* SPDX-License-Identifier: Apache-2.0
 *
 * How long single calls over HTTP take, as a client sees it.
 *
 *      http --port PORT --token TOKEN --out FILE one [--peer PORT] REFERENCE
 *           one at a time on one connection, in turns with the peer
 *      http ... rate PER_SECOND REFERENCE
 *           so many in a second on several connections; a call's time begins when it was due
 *      http ... first WARM REFERENCE...
 *           the first calls of functions that were never called, each after one of WARM
 *      http ... says REFERENCE INPUT NAME
 *           what a function has measured itself: "p50 p99" in nanoseconds
 */
#include <arpa/inet.h>
#include <assert.h>
#include <getopt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "latency.h"

#define ROUNDS      9u
#define ROUND_CALLS 1000u
#define CALLS       9000u /* in all rounds */
#define WARM        500u
#define CONNECTIONS 32u
#define RATE_S      10u
#define FIRSTS_MAX  200u
#define ANSWER_MAX  16384u

struct target {
    unsigned port;
    const char *token, *reference, *input;
};

struct connection {
    int fd;
    char request[1024], answer[ANSWER_MAX];
    size_t count;     /* of the request */
    const char *body; /* of the last answer */
};

static_assert(CALLS == ROUNDS * ROUND_CALLS, "all of them");

static FILE *rows;

static void
require(bool is_fine, const char *what)
{
    if (is_fine)
        return;
    (void)fprintf(stderr, "bench: %s\n", what);
    exit(EXIT_FAILURE);
}

static void
row(const char *name, double value, const char *unit, double peer)
{
    (void)printf("%-52s %10.1f %s", name, value, unit);
    if (peer > 0)
        (void)printf("   bare server %.1f", peer);
    (void)printf("\n");
    if (rows == NULL)
        return;
    if (peer > 0)
        (void)fprintf(rows,
                      "{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"peer\":\"bare "
                      "libmicrohttpd\",\"peer_value\":%.6g,\"ratio\":%.4g}\n",
                      name, value, unit, peer, value / peer);
    else
        (void)fprintf(rows,
                      "{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"peer\":null,"
                      "\"peer_value\":null,\"ratio\":null}\n",
                      name, value, unit);
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
percentile(double *times, size_t count, unsigned percent)
{
    qsort(times, count, sizeof(*times), by_value);
    return times[(count - 1) * percent / 100];
}

/* -------------------------------------------------------------------------------- http */

static void
connect_to(struct connection *connection, const struct target *target)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)target->port),
                                        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const char *input = target->input != NULL ? target->input : "";

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(connect(connection->fd, (const struct sockaddr *)&address, sizeof(address)) == 0,
            "nobody listens");
    connection->count =
        (size_t)snprintf(connection->request, sizeof(connection->request),
                         "POST /v1/invoke/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                         "Content-Length: %zu\r\n\r\n%s",
                         target->reference, target->token, strlen(input), input);
}

/* The next answer; it must be a good one. */
static void
receive(struct connection *connection)
{
    size_t count = 0, wanted = 0;
    char *end = NULL, *length;

    while (end == NULL || count < wanted) {
        ssize_t more = recv(connection->fd, connection->answer + count, ANSWER_MAX - 1 - count, 0);

        require(more > 0, "the connection ended");
        count += (size_t)more;
        connection->answer[count] = '\0';
        if (end == NULL && (end = strstr(connection->answer, "\r\n\r\n")) != NULL) {
            length = strcasestr(connection->answer, "Content-Length:");
            require(length != NULL && length < end, "an answer without a length");
            wanted = (size_t)(end + 4 - connection->answer) + strtoul(length + 15, NULL, 10);
        }
    }
    connection->body = end + 4;
    if (strncmp(connection->answer, "HTTP/1.1 200", 12) != 0)
        require(false, connection->answer);
}

/* In microseconds. */
static double
ask(struct connection *connection)
{
    uint64_t begin_ns = clock_now_ns();

    require(send(connection->fd, connection->request, connection->count, MSG_NOSIGNAL) ==
                (ssize_t)connection->count,
            "cannot send");
    receive(connection);
    return (double)(clock_now_ns() - begin_ns) / 1e3;
}

/* --------------------------------------------------------------------------------- one */

static void
measure_one(const struct target *target, const struct target *peer)
{
    static double times[2][CALLS];
    static struct connection connections[2];
    const struct target *const targets[2] = {target, peer};
    size_t sides = peer->port > 0 ? 2 : 1;

    for (size_t side = 0; side < sides; side++) {
        connect_to(&connections[side], targets[side]);
        for (unsigned i = 0; i < WARM; i++)
            (void)ask(&connections[side]);
    }
    for (unsigned round = 0; round < ROUNDS; round++)
        for (size_t side = 0; side < sides; side++)
            for (unsigned i = 0; i < ROUND_CALLS; i++)
                times[side][round * ROUND_CALLS + i] = ask(&connections[side]);
    for (unsigned percent = 50; percent <= 99; percent += 49) {
        char name[64];

        (void)snprintf(name, sizeof(name), "warm call over HTTP, one at a time, p%u", percent);
        row(name, percentile(times[0], CALLS, percent), "us",
            sides > 1 ? percentile(times[1], CALLS, percent) : 0);
    }
}

/* -------------------------------------------------------------------------------- rate */

/* One thread for all connections, so that the load is the calls and not who makes them. A call
 * that is due while the one before it is not answered waits for it, and its time counts from when
 * it was due. */
struct pace {
    struct connection connection;
    uint64_t due_ns, sent_due_ns;
    size_t left;
    bool is_asking;
};

struct pacing {
    struct pace paces[CONNECTIONS];
    uint64_t interval_ns;
    int epoll;
    double *times;
    size_t count, wanted;
};

/* What is due; returns when the next is. */
static uint64_t
ask_due(struct pacing *pacing, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct pace *pace = &pacing->paces[i];
        struct connection *connection = &pace->connection;

        if (pace->is_asking || pace->left == 0)
            continue;
        if (pace->due_ns > now_ns) {
            next_ns = pace->due_ns < next_ns ? pace->due_ns : next_ns;
            continue;
        }
        require(send(connection->fd, connection->request, connection->count, MSG_NOSIGNAL) ==
                    (ssize_t)connection->count,
                "cannot send");
        pace->is_asking = true;
        pace->sent_due_ns = pace->due_ns;
        pace->due_ns += pacing->interval_ns;
        pace->left--;
    }
    return next_ns;
}

static void
await_answers(struct pacing *pacing, uint64_t until_ns)
{
    uint64_t now_ns = clock_now_ns(), left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    const struct timespec left = {(time_t)(left_ns / CLOCK_NS_PER_SECOND),
                                  (long)(left_ns % CLOCK_NS_PER_SECOND)};
    struct epoll_event events[CONNECTIONS];
    int count = epoll_pwait2(pacing->epoll, events, CONNECTIONS,
                             until_ns == UINT64_MAX ? NULL : &left, NULL);

    for (int i = 0; i < count; i++) {
        struct pace *pace = events[i].data.ptr;

        receive(&pace->connection); /* it is small: what has begun to come is there */
        pace->is_asking = false;
        pacing->times[pacing->count++] = (double)(clock_now_ns() - pace->sent_due_ns) / 1e3;
    }
}

static void
open_paces(struct pacing *pacing, const struct target *target, size_t each)
{
    uint64_t begin_ns = clock_now_ns() + CLOCK_NS_PER_SECOND / 2;

    pacing->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct pace *pace = &pacing->paces[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = pace};

        connect_to(&pace->connection, target);
        (void)ask(&pace->connection);
        pace->due_ns = begin_ns + i * pacing->interval_ns / CONNECTIONS;
        pace->left = each;
        require(epoll_ctl(pacing->epoll, EPOLL_CTL_ADD, pace->connection.fd, &event) == 0,
                "no epoll");
    }
}

/* In microseconds; the caller frees them. */
static double *
times_at(const struct target *target, double rate, size_t *count)
{
    static struct pacing pacing;
    size_t each = (size_t)(rate * RATE_S / CONNECTIONS);

    pacing = (struct pacing){.interval_ns = (uint64_t)(CONNECTIONS * 1e9 / rate),
                             .wanted = each * CONNECTIONS};
    pacing.times = calloc(pacing.wanted + 1, sizeof(*pacing.times));
    require(pacing.times != NULL && each > 0, "no such rate");
    open_paces(&pacing, target, each);
    while (pacing.count < pacing.wanted)
        await_answers(&pacing, ask_due(&pacing, clock_now_ns()));
    for (size_t i = 0; i < CONNECTIONS; i++)
        (void)close(pacing.paces[i].connection.fd);
    (void)close(pacing.epoll);
    *count = pacing.count;
    return pacing.times;
}

/* The peer at the same rate tells what the machine does to everybody. */
static void
measure_rate(const struct target *target, const struct target *peer, double rate)
{
    size_t count, peer_count = 0;
    double *times, *peer_times = NULL;

    (void)prctl(PR_SET_TIMERSLACK, 1000); /* ns */
    times = times_at(target, rate, &count);
    if (peer->port > 0)
        peer_times = times_at(peer, rate, &peer_count);
    row("half load, calls in a second", rate, "1/s", 0);
    for (unsigned percent = 50; percent <= 99; percent += 49) {
        char name[64];

        (void)snprintf(name, sizeof(name), "warm call over HTTP at half load, p%u", percent);
        row(name, percentile(times, count, percent), "us",
            peer_count > 0 ? percentile(peer_times, peer_count, percent) : 0);
    }
    free(times);
    free(peer_times);
}

/* ------------------------------------------------------------------------------- first */

static void
measure_first(struct target target, char **references, size_t count)
{
    static double warm[FIRSTS_MAX], first[FIRSTS_MAX], more[FIRSTS_MAX];
    static struct connection one, other;

    require(count > 1 && count <= FIRSTS_MAX, "how many?");
    target.reference = references[0];
    connect_to(&one, &target);
    for (unsigned i = 0; i < WARM; i++)
        (void)ask(&one);
    for (size_t i = 1; i < count; i++) {
        target.reference = references[i];
        connect_to(&other, &target);
        warm[i - 1] = ask(&one);
        first[i - 1] = ask(&other);
        more[i - 1] = first[i - 1] - warm[i - 1];
        (void)close(other.fd);
    }
    row("first call of a function, p50", percentile(first, count - 1, 50), "us", 0);
    row("first call of a function, more than a warm one, p50", percentile(more, count - 1, 50),
        "us", 0);
    row("first call of a function, more than a warm one, p90", percentile(more, count - 1, 90),
        "us", 0);
}

/* -------------------------------------------------------------------------------- says */

static void
measure_says(struct target target, const char *name)
{
    static struct connection connection;
    double p50 = 0, p99 = 0;
    char text[128];

    connect_to(&connection, &target);
    (void)ask(&connection);
    require(sscanf(connection.body, "%lf %lf", &p50, &p99) == 2, connection.body);
    (void)snprintf(text, sizeof(text), "%s, p50", name);
    row(text, p50 / 1e3, "us", 0);
    (void)snprintf(text, sizeof(text), "%s, p99", name);
    row(text, p99 / 1e3, "us", 0);
}

static void
measure(struct target *target, const struct target *peer, char **words, int count)
{
    struct latency latency;

    if (count == 2 && strcmp(words[0], "one") == 0) {
        latency = latency_measure();
        latency_print(&latency);
        if (rows != NULL)
            latency_write(&latency, rows);
        target->reference = words[1];
        measure_one(target, peer);
    } else if (count == 3 && strcmp(words[0], "rate") == 0) {
        target->reference = words[2];
        measure_rate(target, peer, strtod(words[1], NULL));
    } else if (count > 2 && strcmp(words[0], "first") == 0) {
        measure_first(*target, words + 1, (size_t)count - 1);
    } else if (count == 4 && strcmp(words[0], "says") == 0) {
        target->reference = words[1];
        target->input = words[2];
        measure_says(*target, words[3]);
    } else {
        require(false, "one, rate, first or says");
    }
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"token", required_argument, NULL, 't'},
                                            {"peer", required_argument, NULL, 'b'},
                                            {"out", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    struct target target = {.token = ""}, peer = {.token = "", .reference = "noop"};
    int option;

    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (option == 'p')
            target.port = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 't')
            target.token = peer.token = optarg;
        else if (option == 'b')
            peer.port = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'o')
            require((rows = fopen(optarg, "ae")) != NULL, "cannot write the rows");
        else
            return 2;
    }
    measure(&target, &peer, argv + optind, argc - optind);
    if (rows != NULL)
        require(fclose(rows) == 0, "cannot write the rows");
    return EXIT_SUCCESS;
}
