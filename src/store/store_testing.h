/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of store: a store that all tests of a program share, servers on loopback,
 * directories that go away, threads, and what to put.
 */
#ifndef WEFT_STORE_STORE_TESTING_H
#define WEFT_STORE_STORE_TESTING_H

/* cmocka wants these first, in this order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "store/store.h"

#define TESTING_THREADS 8
#define TESTING_SKIPPED 77

/* What the suites work on. */
__attribute__((unused)) static struct store *testing_store;

static inline uint64_t
testing_random(void)
{
    static _Thread_local uint64_t state;
    static atomic_uint_fast64_t seeds = 1;

    if (state == 0)
        state = UINT64_C(0x9e3779b97f4a7c15) * (atomic_fetch_add(&seeds, 1) + 1);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* The exit status of a program, which talks where we do. */
static inline int
testing_run(const char *const *words)
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int
testing_shell(const char *command)
{
    const char *words[] = {"sh", "-c", command, NULL};

    return testing_run(words);
}

/* ------------------------------------------------------------------------ directories */

static inline void
testing_directory(char out[64])
{
    (void)snprintf(out, 64, "/tmp/weft-store-XXXXXX");
    assert_non_null(mkdtemp(out));
}

static inline void
testing_remove(const char *directory)
{
    const char *words[] = {"rm", "-rf", directory, NULL};

    assert_int_equal(strncmp(directory, "/tmp/weft-store-", 16), 0);
    assert_int_equal(testing_run(words), 0);
}

/* The only file below the directory whose name has so many letters and is not a lock. */
static inline bool
testing_find(const char *directory, size_t length, char *out, size_t out_size)
{
    DIR *names = opendir(directory);
    struct dirent *name;
    bool is_found = false;

    if (names == NULL)
        return false;
    while (!is_found && (name = readdir(names)) != NULL) {
        char path[512];

        if (name->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%.200s/%s", directory, name->d_name);
        if (strlen(name->d_name) == length && name->d_type == DT_REG) {
            (void)snprintf(out, out_size, "%s", path);
            is_found = true;
        } else if (name->d_type == DT_DIR) {
            is_found = testing_find(path, length, out, out_size);
        }
    }
    (void)closedir(names);
    return is_found;
}

/* ---------------------------------------------------------------------------- opening */

static inline struct store *
testing_open(const struct store_config *config)
{
    struct store *store = NULL;
    struct diag diag;

    diag_init(&diag);
    if (store_open(config, &store, &diag) != 0)
        fail_msg("cannot open: %s", diag_text(&diag));
    assert_false(diag.is_set);
    return store;
}

/* Must fail with err and a text. */
static inline void
testing_open_fails(const struct store_config *config, int err, const char *text)
{
    struct store *store = NULL;
    struct diag diag;

    diag_init(&diag);
    assert_int_equal(store_open(config, &store, &diag), err);
    assert_null(store);
    if (strstr(diag_text(&diag), text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", diag_text(&diag), text);
}

/* ---------------------------------------------------------------------------- servers */

/* A port that was free a moment ago. */
static inline unsigned
testing_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static inline bool
testing_is_listening(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    (void)close(fd);
    return is_there;
}

/* Starts a program that goes when this one does, with its output where nobody reads. */
static inline pid_t
testing_start(const char *const *words, int input, int output)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)dup2(input >= 0 ? input : open("/dev/null", O_RDONLY), 0);
    (void)dup2(output >= 0 ? output : open("/dev/null", O_WRONLY), 1);
    (void)execvp(words[0], (char *const *)(uintptr_t)words);
    _exit(127);
}

static inline void
testing_stop(pid_t pid)
{
    if (pid <= 0)
        return;
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

/* A Redis that appends and syncs; more words (NULL: none) come last. */
static inline pid_t
testing_redis_start(const char *directory, unsigned port, const char *const *more)
{
    char number[16];
    const char *words[32] = {
        "redis-server", "--port",        number,   "--bind",     "127.0.0.1",
        "--dir",        directory,       "--save", "",           "--appendonly",
        "yes",          "--appendfsync", "always", "--loglevel", "warning"};
    size_t count = 15;
    uint64_t deadline = clock_now_ns() + UINT64_C(20) * CLOCK_NS_PER_SECOND;
    pid_t pid;

    while (more != NULL && *more != NULL)
        words[count++] = *more++;
    (void)snprintf(number, sizeof(number), "%u", port);
    pid = testing_start(words, -1, -1);
    while (!testing_is_listening(port)) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            fail_msg("redis-server on port %u has ended", port);
        if (clock_now_ns() > deadline)
            fail_msg("redis-server does not listen");
        (void)usleep(2000);
    }
    return pid;
}

/* The S3 server of the tests; its port. It ends when input (kept by us) does. With a key
 * and its certificate (NULL: none) it speaks TLS. */
static inline unsigned
testing_s3_start_tls(const char *directory, unsigned port, const char *const tls[2], pid_t *pid)
{
    char number[16], line[32] = "";
    const char *words[] = {"node", "tests/store/s3.mjs",        directory,
                           number, tls == NULL ? NULL : tls[0], tls == NULL ? NULL : tls[1],
                           NULL};
    int input[2], output[2];
    ssize_t count;

    (void)snprintf(number, sizeof(number), "%u", port);
    assert_int_equal(pipe2(input, O_CLOEXEC), 0);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    *pid = testing_start(words, input[0], output[1]);
    (void)close(input[0]);
    (void)close(output[1]);
    count = read(output[0], line, sizeof(line) - 1);
    (void)close(output[0]);
    if (count <= 0)
        fail_msg("the S3 server does not start");
    return (unsigned)strtoul(line, NULL, 10);
}

static inline unsigned
testing_s3_start(const char *directory, unsigned port, pid_t *pid)
{
    return testing_s3_start_tls(directory, port, NULL, pid);
}

/* ------------------------------------------------------------------------------ proxy */

/* Passes bytes between a client and a server on loopback, and cuts connections: one
 * answer out of `cut_one_of` (0: none), after half of the bytes that came, so that the
 * request is done and the answer is lost. */
struct testing_proxy {
    int fd;
    unsigned port, to;
    pthread_t thread;
    atomic_uint cut_one_of;
    atomic_uint cuts;
    atomic_bool is_over;
};

struct testing_pipe {
    struct testing_proxy *proxy;
    int from, to;
    bool is_answers;
};

static inline void
testing_pipe_run(struct testing_pipe *pipe)
{
    uint8_t bytes[4096];
    ssize_t count;

    while ((count = read(pipe->from, bytes, sizeof(bytes))) > 0) {
        unsigned one_of = atomic_load(&pipe->proxy->cut_one_of);

        if (pipe->is_answers && one_of > 0 && testing_random() % one_of == 0) {
            (void)send(pipe->to, bytes, (size_t)count / 2, MSG_NOSIGNAL);
            atomic_fetch_add(&pipe->proxy->cuts, 1);
            break;
        }
        for (ssize_t sent = 0, now; sent < count; sent += now)
            if ((now = send(pipe->to, bytes + sent, (size_t)(count - sent), MSG_NOSIGNAL)) <= 0)
                goto out;
    }
out:
    (void)shutdown(pipe->from, SHUT_RDWR);
    (void)shutdown(pipe->to, SHUT_RDWR);
}

static inline void *
testing_pipe_thread(void *context)
{
    testing_pipe_run(context);
    return NULL;
}

/* One connection: this thread passes requests, another answers. */
static inline void *
testing_connection_thread(void *context)
{
    struct testing_pipe *requests = context;
    struct testing_pipe answers = {
        .proxy = requests->proxy, .from = requests->to, .to = requests->from, .is_answers = true};
    pthread_t thread;

    (void)pthread_create(&thread, NULL, testing_pipe_thread, &answers);
    testing_pipe_run(requests);
    (void)pthread_join(thread, NULL);
    (void)close(requests->from);
    (void)close(requests->to);
    free(requests);
    return NULL;
}

static inline void *
testing_proxy_thread(void *context)
{
    struct testing_proxy *proxy = context;
    int client;

    while ((client = accept4(proxy->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)proxy->to),
                                      .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
        int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct testing_pipe *pipe = calloc(1, sizeof(*pipe));
        pthread_t thread;

        if (atomic_load(&proxy->is_over) || pipe == NULL ||
            connect(server, (struct sockaddr *)&address, sizeof(address)) != 0) {
            (void)close(client);
            (void)close(server);
            free(pipe);
            continue;
        }
        *pipe = (struct testing_pipe){.proxy = proxy, .from = client, .to = server};
        (void)pthread_create(&thread, NULL, testing_connection_thread, pipe);
        (void)pthread_detach(thread);
    }
    return NULL;
}

static inline void
testing_proxy_start(struct testing_proxy *proxy, unsigned to)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);

    memset(proxy, 0, sizeof(*proxy));
    proxy->to = to;
    proxy->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(proxy->fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(proxy->fd, 64), 0);
    assert_int_equal(getsockname(proxy->fd, (struct sockaddr *)&address, &size), 0);
    proxy->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&proxy->thread, NULL, testing_proxy_thread, proxy), 0);
}

/* The clients have closed their connections. */
static inline void
testing_proxy_stop(struct testing_proxy *proxy)
{
    atomic_store(&proxy->is_over, true);
    (void)shutdown(proxy->fd, SHUT_RDWR);
    (void)pthread_join(proxy->thread, NULL);
    (void)close(proxy->fd);
}

/* ---------------------------------------------------------------------------- threads */

static inline void
testing_threads(void *(*run)(void *), void *contexts, size_t size)
{
    pthread_t threads[TESTING_THREADS];

    for (size_t i = 0; i < TESTING_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, (uint8_t *)contexts + i * size), 0);
    for (size_t i = 0; i < TESTING_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* ---------------------------------------------------------------------------- records */

static inline struct store_key
testing_key(const char *table, const char *key)
{
    return (struct store_key){.table = table, .bytes = key, .count = strlen(key)};
}

static inline struct store_change
testing_put(const char *table, const char *key, const char *value)
{
    return (struct store_change){
        .key = testing_key(table, key), .value = value, .count = strlen(value)};
}

/* Commits one change that must succeed; its version. */
static inline uint64_t
testing_commit(struct store *store, struct store_change change)
{
    uint64_t version = 0;
    struct diag diag;

    diag_init(&diag);
    if (store_commit(store, &change, 1, &version, NULL, &diag) != 0)
        fail_msg("cannot commit: %s", diag_text(&diag));
    assert_int_not_equal(version, 0);
    return version;
}

/* The value as a number, 0 where there is none, with its version. */
static inline long
testing_number(struct store *store, const char *table, const char *key, uint64_t *version)
{
    const struct store_key name = testing_key(table, key);
    struct buffer value = {0};
    struct diag diag;
    long number = 0;
    int err;

    diag_init(&diag);
    *version = 0;
    err = store_get(store, &name, &value, version, &diag);
    if (err != 0 && err != -ENOENT) {
        (void)fprintf(stderr, "cannot get: %s\n", diag_text(&diag));
        abort();
    }
    buffer_append(&value, "", 1);
    if (err == 0)
        number = strtol((const char *)value.bytes, NULL, 10);
    buffer_fini(&value);
    return number;
}

static inline void
testing_expect(struct store *store, const char *table, const char *key, const char *wanted)
{
    const struct store_key name = testing_key(table, key);
    struct buffer value = {0};
    uint64_t version = 0;
    int err = store_get(store, &name, &value, &version, NULL);

    if (wanted == NULL) {
        assert_int_equal(err, -ENOENT);
    } else {
        assert_int_equal(err, 0);
        assert_int_equal(value.count, strlen(wanted));
        if (value.count > 0)
            assert_memory_equal(value.bytes, wanted, value.count);
        assert_int_not_equal(version, 0);
    }
    buffer_fini(&value);
}

#endif
