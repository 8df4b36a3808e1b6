/* SPDX-License-Identifier: Apache-2.0
 *
 * A handler in Python or JavaScript through a worker: its engine is saved at its first read of
 * standard input by a cell, and calls of it go through the worker to the cell and back, one at
 * a time. Before that, as often, from a tenant that has no cell yet.
 *
 *      handler --image FILE --source FILE.py|FILE.js --cell PROGRAM [--name TEXT] [--out FILE]
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "worker/worker.h"

#define ROUNDS 3000u
#define COLD   50u /* tenants */
#define WARM   50u

/* Of src/cmd/python.c and source.c, which are linked to this. */
int cmd_python_source(const char *path, struct buffer *out, struct diag *diag) MUST_CHECK;
int cmd_source_read(const char *path, struct buffer *source, struct diag *diag) MUST_CHECK;

static const char *image, *source, *cell, *name = "Python handler through a worker";
static FILE *rows;
static int proto_fd = -1;

static void
require(int err, const char *what, const struct diag *diag)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "bench: %s: %s\n", what,
                  diag != NULL && diag->is_set ? diag->text : strerror(-err));
    exit(EXIT_FAILURE);
}

/* The caller sleeps until it hears. */
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool is_told;
};

static void
on_end(void *context, const struct worker_end *end)
{
    struct waiter *waiter = context;

    if (!(end->kind == WORKER_DONE || (end->kind == WORKER_EXIT && end->exit_code == 0))) {
        (void)fprintf(stderr, "bench: a call ended as %d: %s\n%.*s", (int)end->kind, end->message,
                      (int)end->log_bytes, (const char *)end->log);
        exit(EXIT_FAILURE);
    }
    if (end->saved_fd >= 0)
        proto_fd = fcntl(end->saved_fd, F_DUPFD_CLOEXEC, 0);
    (void)pthread_mutex_lock(&waiter->lock);
    waiter->is_told = true;
    (void)pthread_cond_signal(&waiter->told);
    (void)pthread_mutex_unlock(&waiter->lock);
}

static double
call_once(struct worker_function *function, struct worker_call call)
{
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};
    uint64_t id, begin_ns = clock_now_ns();

    call.on_end = on_end;
    call.context = &waiter;
    require(worker_call(function, &call, &id), "call", NULL);
    (void)pthread_mutex_lock(&waiter.lock);
    while (!waiter.is_told)
        (void)pthread_cond_wait(&waiter.told, &waiter.lock);
    (void)pthread_mutex_unlock(&waiter.lock);
    return (double)(clock_now_ns() - begin_ns) / 1000;
}

static struct worker_function *
add(struct worker_tenant *tenant, int image_fd, int proto)
{
    const struct worker_function_config config = {
        .image_fd = image_fd, .proto_fd = proto, .name = proto < 0 ? NULL : "handler"};
    struct worker_function *out;
    struct diag diag;

    diag_init(&diag);
    require(worker_function_add(tenant, &config, &out, &diag), "function", &diag);
    return out;
}

static struct worker_tenant *
add_tenant(struct worker *worker, const char *name_of)
{
    const struct worker_tenant_config config = {.name = name_of, .executors = 1};
    struct worker_tenant *tenant;
    struct diag diag;

    diag_init(&diag);
    require(worker_tenant_add(worker, &config, &tenant, &diag), "tenant", &diag);
    return tenant;
}

static struct worker_function *
make_function(struct worker *worker, int image_fd)
{
    bool is_python = strstr(source, ".py") != NULL;
    struct worker_tenant *tenant = add_tenant(worker, "bench");
    struct buffer text = {0};
    const char *args[3];
    struct diag diag;
    int err;

    diag_init(&diag);
    err =
        is_python ? cmd_python_source(source, &text, &diag) : cmd_source_read(source, &text, &diag);
    require(err, source, &diag);
    buffer_append(&text, "", 1);
    args[0] = "engine";
    args[1] = is_python ? "-c" : "handler.js";
    args[2] = (const char *)text.bytes;
    (void)call_once(add(tenant, image_fd, -1),
                    (struct worker_call){.args = args, .arg_count = 3, .save_at = "fd_read:0"});
    buffer_fini(&text);
    return add(tenant, image_fd, proto_fd);
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
report(double *times_us, size_t count, const char *what)
{
    static const unsigned percents[] = {50, 99};

    qsort(times_us, count, sizeof(*times_us), by_value);
    for (size_t i = 0; i < ARRAY_COUNT(percents); i++) {
        double value = times_us[(count - 1) * percents[i] / 100];

        (void)printf("%s%s p%u %22.1f us\n", name, what, percents[i], value);
        if (rows != NULL)
            (void)fprintf(rows,
                          "{\"name\":\"%s%s p%u\",\"value\":%.6g,\"unit\":\"us\",\"peer\":null,"
                          "\"peer_value\":null,\"ratio\":null}\n",
                          name, what, percents[i], value);
    }
}

static void
parse(int argc, char **argv)
{
    const char *out = NULL;
    const struct {
        const char *flag;
        const char **value;
    } flags[] = {{"--image", &image},
                 {"--source", &source},
                 {"--cell", &cell},
                 {"--name", &name},
                 {"--out", &out}};

    for (int i = 1; i + 1 < argc; i += 2)
        for (size_t k = 0; k < ARRAY_COUNT(flags); k++)
            if (strcmp(argv[i], flags[k].flag) == 0)
                *flags[k].value = argv[i + 1];
    if (image == NULL || source == NULL || cell == NULL)
        require(-EINVAL, "usage: handler --image FILE --source FILE.py --cell PROGRAM", NULL);
    rows = out != NULL ? fopen(out, "ae") : NULL;
}

/* The first call of a tenant: a ready cell becomes its own, gets image and Proto-Faaslet, and
 * runs it. */
static void
measure_cold(struct worker *worker, int image_fd, const struct worker_call *call)
{
    static double times_us[COLD];
    struct diag diag;

    diag_init(&diag);
    for (unsigned i = 0; i < COLD; i++) {
        char tenant_name[32];
        struct worker_tenant *tenant;

        (void)snprintf(tenant_name, sizeof(tenant_name), "cold-%u", i);
        tenant = add_tenant(worker, tenant_name);
        require(worker_await_ready(worker, clock_now_ns() + 10 * CLOCK_NS_PER_SECOND, &diag),
                "ready cells", &diag);
        times_us[i] = call_once(add(tenant, image_fd, proto_fd), *call);
        worker_tenant_remove(tenant);
    }
    report(times_us, COLD, ", first call of a tenant");
}

int
main(int argc, char **argv)
{
    static double times_us[ROUNDS];
    const struct worker_call call = {.args = (const char *const[]){"engine"},
                                     .arg_count = 1,
                                     .input = (const uint8_t *)"weft",
                                     .input_bytes = 4};
    struct worker_function *function;
    struct worker_config config = {.ready = 1, .name = "bench"};
    struct worker *worker;
    struct diag diag;
    int image_fd;

    parse(argc, argv);
    diag_init(&diag);
    config.cell_program = cell;
    require(worker_create(&config, &worker, &diag), "worker", &diag);
    image_fd = open(image, O_RDONLY | O_CLOEXEC);
    require(image_fd < 0 ? -errno : 0, image, NULL);
    function = make_function(worker, image_fd);
    for (unsigned i = 0; i < WARM; i++)
        (void)call_once(function, call);
    for (unsigned i = 0; i < ROUNDS; i++)
        times_us[i] = call_once(function, call);
    report(times_us, ROUNDS, "");
    measure_cold(worker, image_fd, &call);
    worker_destroy(worker);
    if (rows != NULL)
        (void)fclose(rows);
    return EXIT_SUCCESS;
}
