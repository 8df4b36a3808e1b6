/* SPDX-License-Identifier: Apache-2.0
 *
 * What a call costs that goes through a worker to a cell, a confined process, and back.
 *
 *      worker --image FILE --cell PROGRAM [--out FILE]
 *
 * Beside the figures of a call inside a cell (bench/proto.c). One call at a time, from
 * worker_call until the caller's thread has heard of the end; then first calls of new
 * tenants, for which a cell stands ready; then many calls at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/worker.h"

#define ROUNDS  20000u
#define WARM    500u
#define FIRSTS  20u
#define MANY    100000u
#define AT_ONCE 32u
#define WAIT_NS (UINT64_C(30) * CLOCK_NS_PER_SECOND)

static FILE *rows;
static int image_fd = -1;

static void
require(int err, const char *what, const struct diag *diag)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "bench: %s: %s\n", what,
                  diag != NULL && diag->is_set ? diag->text : strerror(-err));
    exit(EXIT_FAILURE);
}

static void
row(const char *name, double value, const char *unit)
{
    (void)printf("%-40s %12.3f %s\n", name, value, unit);
    if (rows != NULL)
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

static void
report(const char *name, double *times_us, size_t count)
{
    static const unsigned percents[] = {50, 99};
    char text[64];

    qsort(times_us, count, sizeof(*times_us), by_value);
    for (size_t i = 0; i < ARRAY_COUNT(percents); i++) {
        (void)snprintf(text, sizeof(text), "%s p%u", name, percents[i]);
        row(text, times_us[(count - 1) * percents[i] / 100], "us");
    }
}

/* ------------------------------------------------------------------------- calls */

/* The caller sleeps until it hears: no core is kept busy by waiting. */
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool is_told;
    enum worker_end_kind kind;
};

static void
on_end(void *context, const struct worker_end *end)
{
    struct waiter *waiter = context;

    (void)pthread_mutex_lock(&waiter->lock);
    waiter->kind = end->kind;
    waiter->is_told = true;
    (void)pthread_cond_signal(&waiter->told);
    (void)pthread_mutex_unlock(&waiter->lock);
}

static double
call_once(struct worker_function *function, struct waiter *waiter)
{
    const uint64_t value = 41;
    const struct worker_call call = {.entry = "noop",
                                     .values = &value,
                                     .value_count = 1,
                                     .result_slots = 1,
                                     .on_end = on_end,
                                     .context = waiter};
    uint64_t id, begin_ns = clock_now_ns();

    waiter->is_told = false;
    require(worker_call(function, &call, &id), "call", NULL);
    (void)pthread_mutex_lock(&waiter->lock);
    while (!waiter->is_told)
        (void)pthread_cond_wait(&waiter->told, &waiter->lock);
    (void)pthread_mutex_unlock(&waiter->lock);
    require(waiter->kind == WORKER_DONE ? 0 : -EIO, "the call's end", NULL);
    return (double)(clock_now_ns() - begin_ns) / 1000;
}

static struct worker_function *
add(struct worker *worker, const char *name)
{
    const struct worker_tenant_config config = {.name = name, .executors = 1};
    const struct worker_function_config function = {.image_fd = image_fd, .proto_fd = -1};
    struct worker_function *out;
    struct worker_tenant *tenant;
    struct diag diag;

    diag_init(&diag);
    require(worker_tenant_add(worker, &config, &tenant, &diag), "tenant", &diag);
    require(worker_function_add(tenant, &function, &out, &diag), "function", &diag);
    return out;
}

static void
await_pool(struct worker *worker)
{
    struct diag diag;

    diag_init(&diag);
    require(worker_await_ready(worker, clock_now_ns() + WAIT_NS, &diag), "pool", &diag);
}

static void
bench_one(struct worker *worker, struct waiter *waiter)
{
    static double times[ROUNDS];
    struct worker_function *function = add(worker, "one");

    for (unsigned i = 0; i < WARM; i++)
        (void)call_once(function, waiter);
    for (unsigned i = 0; i < ROUNDS; i++)
        times[i] = call_once(function, waiter);
    report("call through a worker", times, ROUNDS);
}

static void
bench_first(struct worker *worker, struct waiter *waiter)
{
    double times[FIRSTS];
    char name[16];

    for (unsigned i = 0; i < FIRSTS; i++) {
        (void)snprintf(name, sizeof(name), "first-%u", i);
        struct worker_function *function = add(worker, name);

        await_pool(worker);
        times[i] = call_once(function, waiter);
    }
    report("first call of a tenant", times, FIRSTS);
}

/* ------------------------------------------------------------------------- many */

struct many {
    struct waiter waiter;
    struct worker_function *function;
    _Atomic int left, open;
};

static void many_call(struct many *many);

static void
many_end(void *context, const struct worker_end *end)
{
    struct many *many = context;

    if (atomic_fetch_sub(&many->left, 1) > 0)
        many_call(many);
    if (atomic_fetch_sub(&many->open, 1) == 1)
        on_end(&many->waiter, end);
}

static void
many_call(struct many *many)
{
    const uint64_t value = 41;
    const struct worker_call call = {.entry = "noop",
                                     .values = &value,
                                     .value_count = 1,
                                     .result_slots = 1,
                                     .on_end = many_end,
                                     .context = many};
    uint64_t id;

    (void)atomic_fetch_add(&many->open, 1);
    require(worker_call(many->function, &call, &id), "call", NULL);
}

static void
bench_many(struct worker *worker)
{
    static struct many many = {
        .waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, WORKER_DONE},
        .left = MANY - AT_ONCE,
        .open = 1};
    uint64_t begin_ns;

    many.function = add(worker, "many");
    begin_ns = clock_now_ns();
    for (unsigned i = 0; i < AT_ONCE; i++)
        many_call(&many);
    if (atomic_fetch_sub(&many.open, 1) > 1) {
        (void)pthread_mutex_lock(&many.waiter.lock);
        while (!many.waiter.is_told)
            (void)pthread_cond_wait(&many.waiter.told, &many.waiter.lock);
        (void)pthread_mutex_unlock(&many.waiter.lock);
    }
    row("calls through a worker, 32 at a time",
        MANY / ((double)(clock_now_ns() - begin_ns) / CLOCK_NS_PER_SECOND), "1/s");
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"image", required_argument, NULL, 'i'},
                                            {"cell", required_argument, NULL, 'c'},
                                            {"out", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false,
                            WORKER_DONE};
    struct worker_config config = {.name = "bench", .ready = 1};
    struct worker *worker;
    struct diag diag;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'i')
            image_fd = open(optarg, O_RDONLY | O_CLOEXEC);
        else if (option == 'c')
            config.cell_program = optarg;
        else if (option == 'o')
            rows = fopen(optarg, "ae");
        else
            return 2;
    }
    require(image_fd >= 0 ? 0 : -EINVAL, "--image", NULL);
    diag_init(&diag);
    require(worker_create(&config, &worker, &diag), "worker", &diag);
    bench_one(worker, &waiter);
    bench_first(worker, &waiter);
    bench_many(worker);
    worker_destroy(worker);
    return rows != NULL && fclose(rows) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
