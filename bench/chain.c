/* SPDX-License-Identifier: Apache-2.0
 *
 * What a chained call costs in a cell: from weft_chain to the result that was read, on
 * the guest's own clock.
 *
 *      chain --image FILE [--out FILE]
 *
 * The cell is cell_serve on a thread of this process, as weft-cell has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cell/cell.h"
#include "rpc/rpc.h"

#define ROUNDS 20000u
#define WARM   200u
#define FAN    1000u
#define FANS   40u

static FILE *rows;
static struct net_connection *connection;
static uint64_t calls;

static void
require(bool is_fine, const char *what)
{
    if (is_fine)
        return;
    (void)fprintf(stderr, "bench: %s\n", what);
    exit(EXIT_FAILURE);
}

static void
row(const char *name, double value, const char *unit)
{
    (void)printf("%-44s %12.3f %s\n", name, value, unit);
    if (rows != NULL)
        (void)fprintf(rows,
                      "{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"peer\":null,"
                      "\"peer_value\":null,\"ratio\":null}\n",
                      name, value, unit);
}

/* ------------------------------------------------------------------- a cell to talk to */

static void *
serve_main(void *socket)
{
    struct diag diag;

    diag_init(&diag);
    if (cell_serve((int)(intptr_t)socket, NULL, &diag) != 0)
        (void)fprintf(stderr, "bench: %s\n", diag_text(&diag));
    return NULL;
}

static Rpc__CellReply *
hear(Rpc__CellReply__IsCase kind)
{
    struct net_frame frame;
    Rpc__CellReply *reply;
    int err;

    while ((err = net_receive(connection, &frame)) == -EAGAIN) {
        struct pollfd fd = {.fd = net_fd(connection), .events = POLLIN};

        (void)poll(&fd, 1, -1);
    }
    require(err == 0, "the cell is gone");
    reply = rpc_cell_reply(&frame);
    require(reply != NULL && reply->is_case == kind, "the cell says something else");
    net_frame_fini(&frame);
    return reply;
}

static void
hear_and_free(Rpc__CellReply__IsCase kind)
{
    protobuf_c_message_free_unpacked(&hear(kind)->base, NULL);
}

static void
say(Rpc__CellRequest *request, const int *fd)
{
    require(rpc_send(connection, &request->base, fd, fd != NULL ? 1 : 0) == 0, "cannot send");
}

static void
put(uint64_t number, const char *name, int image)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    Rpc__CellReply *reply;

    put.function = number;
    put.name = put.entry = (char *)(uintptr_t)name;
    request.is_case = RPC__CELL_REQUEST__IS_PUT;
    request.put = &put;
    say(&request, &image);
    reply = hear(RPC__CELL_REPLY__IS_PUT_DONE);
    require(reply->put_done->err == 0, reply->put_done->message);
    protobuf_c_message_free_unpacked(&reply->base, NULL);
}

static const char *const names[] = {"leaf", "name", "pointer", "fan"};

static pthread_t
open_cell(uint32_t executors, int image)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    pthread_t thread;
    int ends[2];

    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "no sockets");
    require(net_connection_create(ends[0], &(struct net_limits){0, 0, 0}, &connection) == 0,
            "no connection");
    require(pthread_create(&thread, NULL, serve_main, (void *)(intptr_t)ends[1]) == 0, "no thread");
    hear_and_free(RPC__CELL_REPLY__IS_READY);
    setup.version = RPC__CELL_VERSION__CELL_VERSION;
    setup.executors = executors;
    request.is_case = RPC__CELL_REQUEST__IS_SETUP;
    request.setup = &setup;
    say(&request, NULL);
    hear_and_free(RPC__CELL_REPLY__IS_READY);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        put(i + 1, names[i], image);
    return thread;
}

/* The numbers that it answers, and how many; the caller frees them. */
static uint64_t *
ask(const char *name, uint32_t value, size_t *count)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    Rpc__CellReply *reply;
    uint64_t *numbers;

    call.call = ++calls;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            call.function = i + 1;
    call.input = (ProtobufCBinaryData){sizeof(value), (uint8_t *)&value};
    request.is_case = RPC__CELL_REQUEST__IS_CALL;
    request.call = &call;
    say(&request, NULL);
    reply = hear(RPC__CELL_REPLY__IS_END);
    require(reply->end->kind == RPC__CELL_END_KIND__CELL_END_DONE, reply->end->message);
    *count = reply->end->result.len / sizeof(*numbers);
    numbers = malloc(reply->end->result.len + 1);
    require(numbers != NULL, "no memory");
    (void)memcpy(numbers, reply->end->result.data, reply->end->result.len);
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return numbers;
}

/* ----------------------------------------------------------------------------- measuring */

static int
by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void
measure_one(const char *entry, const char *what, uint32_t executors)
{
    static const unsigned percents[] = {50, 99};
    size_t count;
    uint64_t *numbers;
    char text[96];

    free(ask(entry, WARM, &count));
    numbers = ask(entry, ROUNDS, &count);
    require(count == ROUNDS, "it answers less");
    qsort(numbers, count, sizeof(*numbers), by_value);
    for (size_t i = 0; i < ARRAY_COUNT(percents); i++) {
        (void)snprintf(text, sizeof(text), "%s, %u executor%s p%u", what, executors,
                       executors > 1 ? "s" : "", percents[i]);
        row(text, (double)numbers[(count - 1) * percents[i] / 100] / 1000, "us");
    }
    free(numbers);
}

static void
measure_fan(uint32_t executors)
{
    uint64_t times[FANS];
    char text[96];

    for (unsigned i = 0; i < FANS; i++) {
        size_t count;
        uint64_t *number = ask("fan", FAN, &count);

        times[i] = number[0];
        free(number);
    }
    qsort(times, FANS, sizeof(*times), by_value);
    (void)snprintf(text, sizeof(text), "fan-out of %u, %u executor%s, one call p50", FAN, executors,
                   executors > 1 ? "s" : "");
    row(text, (double)times[FANS / 2] / 1000 / FAN, "us");
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"image", required_argument, NULL, 'i'}, {"out", required_argument, NULL, 'o'}, {0}};
    int option, image = -1;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'i')
            image = open(optarg, O_RDONLY | O_CLOEXEC);
        else if (option == 'o')
            rows = fopen(optarg, "a");
    }
    require(image >= 0, "usage: chain --image FILE [--out FILE]");
    for (uint32_t executors = 1; executors <= 2; executors++) {
        pthread_t cell = open_cell(executors, image);

        measure_one("name", "chained by name", executors);
        measure_one("pointer", "chained by pointer", executors);
        measure_fan(executors);
        net_connection_destroy(connection);
        (void)pthread_join(cell, NULL);
    }
    (void)close(image);
    return rows != NULL && fclose(rows) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
