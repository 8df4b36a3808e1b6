/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of workers: one with the double (tests/worker/double.c) or weft-cell as
 * its cells, calls that are waited for.
 */
#ifndef WEFT_WORKER_WORKER_TESTING_H
#define WEFT_WORKER_WORKER_TESTING_H

/* cmocka wants these first, in this order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/worker.h"

#define TESTING_PATIENCE_NS (UINT64_C(60) * CLOCK_NS_PER_SECOND)

/* A program that was built beside this test. */
static inline const char *
testing_program(const char *name)
{
    static char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *end;

    assert_true(length > 0);
    path[length] = '\0';
    /* Tests are in test/ROOM/ or test/tests/ROOM/ of the folder of all that is built, or
     * were all copied into one folder (tests/jail/in-qemu). */
    end = strstr(path, "/test/");
    if (end == NULL) {
        end = strrchr(path, '/');
        name = strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name;
    }
    (void)snprintf(end, sizeof(path) - (size_t)(end - path), "/%s", name);
    return path;
}

static inline struct worker *
testing_worker_with(struct worker_config config, const char *program)
{
    struct worker *worker = NULL;
    struct diag diag;

    diag_init(&diag);
    config.cell_program = testing_program(program);
    config.name = config.name != NULL ? config.name : "test";
    if (worker_create(&config, &worker, &diag) != 0)
        fail_msg("no worker: %s", diag_text(&diag));
    return worker;
}

static inline struct worker *
testing_worker(void)
{
    return testing_worker_with((struct worker_config){.ready = 1}, "test/worker/double");
}

static inline struct worker_tenant *
testing_tenant_with(struct worker *worker, const struct worker_tenant_config *config)
{
    struct worker_tenant *tenant = NULL;
    struct diag diag;

    diag_init(&diag);
    if (worker_tenant_add(worker, config, &tenant, &diag) != 0)
        fail_msg("no tenant: %s", diag_text(&diag));
    return tenant;
}

static inline struct worker_tenant *
testing_tenant(struct worker *worker, const char *name)
{
    return testing_tenant_with(worker, &(struct worker_tenant_config){.name = name});
}

static inline struct worker_function *
testing_function_with(struct worker_tenant *tenant, const struct worker_function_config *config)
{
    struct worker_function *function = NULL;
    struct diag diag;

    diag_init(&diag);
    if (worker_function_add(tenant, config, &function, &diag) != 0)
        fail_msg("no function: %s", diag_text(&diag));
    return function;
}

/* For the double, which looks at no image. */
static inline struct worker_function *
testing_function(struct worker_tenant *tenant)
{
    const struct worker_function_config config = {.image_fd = STDIN_FILENO, .proto_fd = -1};

    return testing_function_with(tenant, &config);
}

/* ---------------------------------------------------------------------------- one call */

struct testing_end {
    pthread_mutex_t lock;
    pthread_cond_t told;
    unsigned count; /* of on_end: more than one is a broken promise */
    uint64_t id;
    struct worker_end end; /* with copies of what it points to */
    uint64_t results[WORKER_VALUES_MAX];
    char message[1024], backtrace[4096], output[8192], log[4096], result[1024];
};

static inline void
testing_end_init(struct testing_end *end)
{
    (void)memset(end, 0, sizeof(*end));
    (void)pthread_mutex_init(&end->lock, NULL);
    (void)pthread_cond_init(&end->told, NULL);
}

static inline void
testing_copy(char *to, size_t size, const void *from, size_t count)
{
    count = count < size ? count : size - 1;
    if (count > 0)
        (void)memcpy(to, from, count);
    to[count] = '\0';
}

static inline void
testing_on_end(void *context, const struct worker_end *end)
{
    struct testing_end *told = context;

    (void)pthread_mutex_lock(&told->lock);
    told->count++;
    told->end = *end;
    for (size_t i = 0; i < end->result_slots; i++)
        told->results[i] = end->results[i];
    testing_copy(told->message, sizeof(told->message), end->message, strlen(end->message));
    testing_copy(told->backtrace, sizeof(told->backtrace), end->backtrace, strlen(end->backtrace));
    testing_copy(told->output, sizeof(told->output), end->output, end->output_bytes);
    testing_copy(told->log, sizeof(told->log), end->log, end->log_bytes);
    testing_copy(told->result, sizeof(told->result), end->result, end->result_bytes);
    (void)pthread_cond_broadcast(&told->told);
    (void)pthread_mutex_unlock(&told->lock);
}

static inline void
testing_begin(struct worker_function *function, struct worker_call call, struct testing_end *end)
{
    testing_end_init(end);
    call.on_end = testing_on_end;
    call.context = end;
    assert_int_equal(worker_call(function, &call, &end->id), 0);
    assert_int_not_equal(end->id, 0);
}

static inline void
testing_await_told(struct testing_end *end)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(TESTING_PATIENCE_NS / CLOCK_NS_PER_SECOND);
    (void)pthread_mutex_lock(&end->lock);
    while (end->count == 0)
        if (pthread_cond_timedwait(&end->told, &end->lock, &until) != 0)
            fail_msg("the call does not end");
    (void)pthread_mutex_unlock(&end->lock);
}

static inline void
testing_await(struct testing_end *end)
{
    testing_await_told(end);
    assert_int_equal(end->count, 1);
    assert_true(end->end.id == end->id);
}

static inline void
testing_ask_with(struct worker_function *function, struct worker_call call, struct testing_end *end)
{
    testing_begin(function, call, end);
    testing_await(end);
}

static inline enum worker_end_kind
testing_ask(struct worker_function *function, const char *entry, struct testing_end *end)
{
    testing_ask_with(function, (struct worker_call){.entry = entry}, end);
    return end->end.kind;
}

static inline struct worker_usage
testing_usage(struct worker_tenant *tenant)
{
    struct worker_usage usage;

    worker_tenant_usage(tenant, &usage);
    return usage;
}

static inline void
testing_kill_cell(struct worker_tenant *tenant)
{
    pid_t pid = testing_usage(tenant).pid;

    assert_true(pid > 0); /* 0 would be us */
    assert_int_equal(kill(pid, SIGKILL), 0);
}

static inline void
testing_await_ready(struct worker *worker)
{
    struct diag diag;

    diag_init(&diag);
    if (worker_await_ready(worker, clock_now_ns() + TESTING_PATIENCE_NS, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
}

static inline unsigned
testing_count_fds(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

#endif
