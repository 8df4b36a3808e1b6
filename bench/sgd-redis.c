/* SPDX-License-Identifier: Apache-2.0
 *
 * The peer of bench-sgd: examples/sgd.c itself, compiled for the host and linked with this: what it
 * asks of weft.h and weft/state.h, done by processes with Redis, as one does without Weft.
 *
 *      sgd-redis SOCKET EXAMPLES FEATURES CALLS EPOCHS SYNC
 *
 * A call is a process of its own, which is started once and stays: it keeps the connection and
 * what it has read for its later calls. Weights are merged as Weft's are, element by element, by
 * optimistic transactions: WATCH, GET, then SET in MULTI. Nothing is written to disk.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weft/state.h"

#define WORKERS_MAX 256u
#define VALUES_MAX  16u

int guest_main(int argc, char **argv);

static redisContext *redis;
static const char *socket_path;

/* ---------------------------------------------------------------------------- values */

/* What this process has of a value. */
static struct value {
    char key[256];
    size_t bytes;
    uint8_t *here;
    double *base; /* of one that is summed */
} values[VALUES_MAX];

static redisReply *
ask(redisReply *reply)
{
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        (void)fprintf(stderr, "sgd-redis: %s\n", reply == NULL ? redis->errstr : reply->str);
        exit(EXIT_FAILURE);
    }
    return reply;
}

static long long
ask_number(redisReply *reply)
{
    long long number = ask(reply)->integer;

    freeReplyObject(reply);
    return number;
}

static struct value *
find_value(const char *key)
{
    for (unsigned i = 0; i < VALUES_MAX; i++)
        if (strcmp(values[i].key, key) == 0)
            return &values[i];
    return NULL;
}

static void *
allocate(size_t bytes)
{
    void *all =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, (off_t)0);

    if (all == MAP_FAILED)
        exit(EXIT_FAILURE);
    return all;
}

static void
fetch(struct value *value, void *to)
{
    redisReply *reply = ask(redisCommand(redis, "GET %s", value->key));

    if (reply->type != REDIS_REPLY_STRING || reply->len != value->bytes)
        exit(EXIT_FAILURE);
    memcpy(to, reply->str, value->bytes);
    freeReplyObject(reply);
}

static struct value *
add_value(const char *key, bool is_summed)
{
    size_t bytes = (size_t)ask_number(redisCommand(redis, "STRLEN %s", key));
    struct value *value = find_value("");

    if (value == NULL || bytes == 0)
        exit(EXIT_FAILURE);
    *value = (struct value){.bytes = bytes, .here = allocate(bytes)};
    memcpy(value->key, key, strlen(key) + 1);
    fetch(value, value->here);
    if (is_summed) {
        value->base = allocate(bytes);
        memcpy(value->base, value->here, bytes);
    }
    return value;
}

int
weft_state_map(const char *key, uint64_t offset, uint64_t bytes, uint32_t flags, void **to)
{
    struct value *value = find_value(key);

    if ((flags & WEFT_STATE_CREATE) && value == NULL &&
        ask_number(redisCommand(redis, "EXISTS %s", key)) == 0)
        freeReplyObject(ask(
            redisCommand(redis, "SETRANGE %s %llu %b", key, offset + bytes - 1, "", (size_t)1)));
    if (value == NULL)
        value = add_value(key, flags & WEFT_STATE_WRITE);
    *to = value->here + offset;
    return 0;
}

int
weft_state_unmap(void *at)
{
    (void)at;
    return 0;
}

/* Here and in the base: what others have added. */
static void
take(struct value *value, const double *theirs)
{
    double *here = (double *)(void *)value->here;

    for (size_t i = 0; i < value->bytes / sizeof(double); i++)
        if (theirs[i] != value->base[i]) {
            here[i] += theirs[i] - value->base[i];
            value->base[i] = theirs[i];
        }
}

int
weft_state_pull_part(const char *key, uint64_t offset, uint64_t bytes)
{
    struct value *value = find_value(key);
    void *theirs = value == NULL ? NULL : malloc(value->bytes);

    (void)offset;
    (void)bytes;
    if (theirs == NULL)
        return ENOMEM;
    fetch(value, theirs);
    take(value, theirs);
    free(theirs);
    return 0;
}

/* As it is there, with what was added here: if nobody else is in between. */
static bool
try_push(struct value *value, double *theirs)
{
    redisReply *reply;
    bool is_done;

    freeReplyObject(ask(redisCommand(redis, "WATCH %s", value->key)));
    fetch(value, theirs);
    take(value, theirs);
    (void)redisAppendCommand(redis, "MULTI");
    (void)redisAppendCommand(redis, "SET %s %b", value->key, value->here, value->bytes);
    (void)redisAppendCommand(redis, "EXEC");
    for (unsigned i = 0; i < 2; i++) {
        if (redisGetReply(redis, (void **)&reply) != REDIS_OK)
            exit(EXIT_FAILURE);
        freeReplyObject(ask(reply));
    }
    if (redisGetReply(redis, (void **)&reply) != REDIS_OK)
        exit(EXIT_FAILURE);
    is_done = ask(reply)->type == REDIS_REPLY_ARRAY;
    freeReplyObject(reply);
    if (is_done)
        memcpy(value->base, value->here, value->bytes);
    return is_done;
}

int
weft_state_push_part(const char *key, uint64_t offset, uint64_t bytes)
{
    struct value *value = find_value(key);
    double *theirs = value == NULL ? NULL : malloc(value->bytes);

    (void)offset;
    (void)bytes;
    if (theirs == NULL)
        return ENOMEM;
    while (!try_push(value, theirs))
        ;
    free(theirs);
    return 0;
}

int
weft_state_stat(const char *key, struct weft_state_info *info)
{
    *info = (struct weft_state_info){0};
    info->size = (uint64_t)ask_number(redisCommand(redis, "STRLEN %s", key));
    return info->size == 0 ? ENOENT : 0;
}

int
weft_state_get(const char *key, uint64_t offset, void *to, uint32_t count)
{
    redisReply *reply = ask(
        redisCommand(redis, "GETRANGE %s %llu %llu", key, offset, offset + (uint64_t)count - 1));
    size_t had = reply->len;

    memcpy(to, reply->str, had < count ? had : count);
    freeReplyObject(reply);
    return had == 0 ? ENOENT : had < count ? EMSGSIZE : 0;
}

int
weft_state_cas(const char *key, uint64_t expected, const void *bytes, uint32_t count,
               uint64_t *version)
{
    long long is_new = ask_number(redisCommand(redis, "SETNX %s %b", key, bytes, (size_t)count));

    if (version != NULL)
        *version = expected + 1;
    return is_new ? 0 : EAGAIN;
}

int
weft_state_remove(const char *key)
{
    return ask_number(redisCommand(redis, "DEL %s", key)) == 0 ? ENOENT : 0;
}

/* ----------------------------------------------------------------------------- calls */

static struct worker {
    int to, from;
    bool is_running;
} workers[WORKERS_MAX];

static uint8_t input[64];
static uint32_t input_bytes;

uint32_t
weft_input_size(void)
{
    return input_bytes;
}

int
weft_input_read(uint32_t offset, void *to, uint32_t count, uint32_t *done)
{
    (void)offset;
    *done = count < input_bytes ? count : input_bytes;
    memcpy(to, input, *done);
    return 0;
}

int
weft_identity(uint32_t which, char *to, uint32_t count, uint32_t *length)
{
    (void)which;
    (void)to;
    (void)count;
    *length = 0;
    return 0;
}

/* A worker's whole life. */
static void
serve(void)
{
    char *arguments[] = {"sgd", NULL};
    uint8_t failed;

    while (read(STDIN_FILENO, &input_bytes, sizeof(input_bytes)) == sizeof(input_bytes)) {
        if (input_bytes > sizeof(input) || read(STDIN_FILENO, input, input_bytes) != input_bytes)
            exit(EXIT_FAILURE);
        failed = guest_main(1, arguments) != 0;
        if (write(STDOUT_FILENO, &failed, 1) != 1)
            exit(EXIT_FAILURE);
    }
    exit(EXIT_SUCCESS);
}

static void
start_worker(struct worker *worker)
{
    int to[2], from[2];

    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        exit(EXIT_FAILURE);
    if (fork() == 0) {
        if (dup2(to[0], STDIN_FILENO) >= 0 && dup2(from[1], STDOUT_FILENO) >= 0)
            (void)execl("/proc/self/exe", "sgd-redis", socket_path, (char *)NULL);
        _exit(EXIT_FAILURE);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    *worker = (struct worker){.to = to[1], .from = from[0]};
}

int
weft_chain_bytes(const char *function, uint32_t function_count, const void *bytes, uint32_t count,
                 uint32_t flags, uint64_t timeout_ns, weft_handle *call)
{
    struct worker *worker = workers;

    (void)function;
    (void)function_count;
    (void)flags;
    (void)timeout_ns;
    while (worker->is_running && worker < workers + WORKERS_MAX - 1)
        worker++;
    if (worker->to == 0)
        start_worker(worker);
    worker->is_running = true;
    *call = (uint64_t)(worker - workers) + 1;
    if (write(worker->to, &count, sizeof(count)) != sizeof(count) ||
        write(worker->to, bytes, count) != count)
        return EIO;
    return 0;
}

int
weft_await_many(const weft_handle *calls, uint32_t count, uint32_t is_all, int64_t timeout_ns,
                struct weft_end *ends, uint32_t *place)
{
    (void)is_all;
    (void)timeout_ns;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t failed = 1;

        if (read(workers[calls[i] - 1].from, &failed, 1) != 1)
            failed = 1;
        ends[i] = (struct weft_end){.status = failed ? WEFT_EXIT : WEFT_DONE};
    }
    *place = count;
    return 0;
}

int
weft_forget(weft_handle call)
{
    workers[call - 1].is_running = false;
    return 0;
}

int
main(int argc, char **argv)
{
    socket_path = argc > 1 ? argv[1] : "";
    redis = redisConnectUnix(socket_path);
    if (redis == NULL || redis->err != 0) {
        (void)fprintf(stderr, "usage: sgd-redis SOCKET [EXAMPLES FEATURES CALLS EPOCHS SYNC]\n");
        return EXIT_FAILURE;
    }
    if (argc == 2)
        serve();
    return guest_main(argc - 1, argv + 1);
}
