/* SPDX-License-Identifier: Apache-2.0
 *
 * Cells: from Proto-Faaslets to results, many that wait, and two that wake each other.
 *
 *      proto start|density|switch [--out FILE] [--image FILE] [--noop PROGRAM]
 *
 * start:    a no-op in a warm cell beside posix_spawn of a static no-op, in turns;
 *           resets; starts a second.
 * density:  Faaslets that wait, and what each costs; then all of them answer.
 * switch:   two Faaslets on one executor.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cell/cell.h"
#include "latency.h"

#define ROUNDS        2000u
#define SPAWN_ROUNDS  100u
#define CHAIN         200000u
#define SLEEPERS      50000u
#define SWITCHES      2000000u
#define DIRTY_PAGES   16u
#define NS_PER_US     1000.0
#define MEGABYTE      1048576.0
#define PAGES_PER_MIB 16u

extern char **environ;

static FILE *rows;
static const char *image_path, *noop_path;
static struct faaslet_image *image;
static uint32_t size_pages;

static void
require(int err, const char *what, const struct diag *diag)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "%s: %s %s\n", what, strerror(-err), diag != NULL ? diag_text(diag) : "");
    exit(EXIT_FAILURE);
}

static void
row(const char *name, double value, const char *unit, const char *peer, double peer_value)
{
    (void)printf("%-40s %12.3f %s", name, value, unit);
    if (peer != NULL)
        (void)printf("   %s %.3f, ratio %.4f", peer, peer_value, value / peer_value);
    (void)printf("\n");
    if (rows == NULL)
        return;
    (void)fprintf(rows, "{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"", name, value, unit);
    if (peer != NULL)
        (void)fprintf(rows, ",\"peer\":\"%s\",\"peer_value\":%.6g,\"ratio\":%.6g}\n", peer,
                      peer_value, value / peer_value);
    else
        (void)fprintf(rows, ",\"peer\":null,\"peer_value\":null,\"ratio\":null}\n");
}

static int
by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double
percentile(double *values, size_t count, unsigned percent)
{
    qsort(values, count, sizeof(*values), by_value);
    return values[(count - 1) * percent / 100];
}

/* ------------------------------------------------------------------ host functions */

static _Atomic bool may_go;
static _Atomic uint64_t pair[2];

static enum faaslet_verdict
host_size(struct faaslet_call *call)
{
    call->args[0] = size_pages;
    return FAASLET_CALL_DONE;
}

static enum faaslet_verdict
host_wait(struct faaslet_call *call)
{
    (void)call;
    return atomic_load(&may_go) ? FAASLET_CALL_DONE : FAASLET_CALL_PENDING;
}

static enum faaslet_verdict
host_pong(struct faaslet_call *call)
{
    if (call->scratch[0]++ != 0)
        return FAASLET_CALL_DONE;
    (void)cell_wake(cell_here(), atomic_load(&pair[1 - call->args[0]]));
    return FAASLET_CALL_PENDING;
}

static const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    static const struct faaslet_host_function functions[] = {
        {"size", ":i", host_size}, {"wait", ":", host_wait}, {"pong", "I:", host_pong}};

    (void)module;
    (void)module_bytes;
    return faaslet_host_find(functions, ARRAY_COUNT(functions), name, name_bytes);
}

/* --------------------------------------------------------------------------- cells */

struct world {
    struct cell *cell;
    struct cell_function *function;
};

static void
world_init(struct world *w, uint32_t slots, uint32_t mebibytes)
{
    const struct cell_config config = {.executors = 1, .slots_max = slots};
    const struct cell_function_config function = {
        .image = image, .faaslet = {.resolve = resolve, .stack_bytes = 256u << 10}};
    struct diag diag;

    diag_init(&diag);
    size_pages = mebibytes * PAGES_PER_MIB;
    require(cell_create(&config, &w->cell, &diag), "cell", &diag);
    require(cell_function_create(w->cell, &function, &w->function, &diag), "function", &diag);
}

static void
world_fini(struct world *w)
{
    cell_function_drop(w->function);
    cell_destroy(w->cell);
}

/* A chain of calls: the end of each starts the next, on the executor itself. */
struct chain {
    struct world *world;
    double *times_us;
    size_t count, left;
    uint64_t begin_ns;
    _Atomic bool is_over;
};

static void
link_end(void *context, const struct cell_end *end)
{
    struct chain *chain = context;
    struct cell_call call = {.entry = "noop",
                             .args = (uint64_t[]){7},
                             .slot_count = 1,
                             .result_slots = 1,
                             .on_end = link_end,
                             .context = chain};
    uint64_t now = clock_now_ns(), id;

    if (end != NULL && (end->kind != CELL_DONE || end->results[0] != 8))
        require(-EIO, "a call did not give its result", NULL);
    if (end != NULL && chain->times_us != NULL)
        chain->times_us[chain->count] = (double)(now - chain->begin_ns) / NS_PER_US;
    chain->count += end != NULL;
    if (chain->left-- == 0) {
        atomic_store(&chain->is_over, true);
        return;
    }
    chain->begin_ns = clock_now_ns();
    require(cell_start(chain->world->function, &call, &id), "start", NULL);
}

static void
run_chain(struct world *w, double *times_us, size_t count)
{
    struct chain chain = {.world = w, .times_us = times_us, .left = count};

    link_end(&chain, NULL);
    while (!atomic_load(&chain.is_over))
        (void)usleep(200);
}

static double
spawn_us(void)
{
    char *arguments[] = {(char *)(uintptr_t)noop_path, NULL};
    uint64_t begin = clock_now_ns();
    int status;
    pid_t child;

    require(-posix_spawn(&child, noop_path, NULL, NULL, arguments, environ), noop_path, NULL);
    if (waitpid(child, &status, 0) != child || status != 0)
        require(-EIO, noop_path, NULL);
    return (double)(clock_now_ns() - begin) / NS_PER_US;
}

/* ------------------------------------------------------------------------- measures */

static void
report_noop(uint32_t mebibytes, double *times, double spawn, double small)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "proto to result, %u MiB p50", mebibytes);
    row(name, percentile(times, ROUNDS, 50), "us", small == 0 ? "posix_spawn" : "1 MiB",
        small == 0 ? spawn : small);
    (void)snprintf(name, sizeof(name), "proto to result, %u MiB p99", mebibytes);
    row(name, percentile(times, ROUNDS, 99), "us", NULL, 0);
}

/* A process, a small Faaslet and a large one, in turns. */
static void
bench_noop(void)
{
    static double times[2][ROUNDS], spawns[SPAWN_ROUNDS];
    static const uint32_t mebibytes[2] = {1, 64};
    const unsigned turn = ROUNDS / SPAWN_ROUNDS;
    struct world worlds[2];
    uint64_t begin;

    for (unsigned k = 0; k < 2; k++) {
        world_init(&worlds[k], 0, mebibytes[k]);
        run_chain(&worlds[k], NULL, 100);
    }
    for (unsigned i = 0; i < SPAWN_ROUNDS; i++) {
        spawns[i] = spawn_us();
        for (unsigned k = 0; k < 2; k++)
            run_chain(&worlds[k], &times[k][i * turn], turn);
    }
    report_noop(1, times[0], percentile(spawns, SPAWN_ROUNDS, 50), 0);
    report_noop(64, times[1], 0, percentile(times[0], ROUNDS, 50));
    begin = clock_now_ns();
    run_chain(&worlds[0], NULL, CHAIN);
    row("starts a second on one core",
        CHAIN / ((double)(clock_now_ns() - begin) / (double)CLOCK_NS_PER_SECOND), "/s", NULL, 0);
    for (unsigned k = 0; k < 2; k++)
        world_fini(&worlds[k]);
}

/* Dirties so many pages and resets, many times; the time of both and of the reset. */
static void
dirty_and_reset(struct faaslet *faaslet, const struct faaslet_frozen *proto, uint64_t pages,
                double both_us[ROUNDS], double reset_us[ROUNDS])
{
    struct faaslet_outcome outcome;

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t begin = clock_now_ns(), middle, end;

        require(faaslet_invoke(faaslet, 0, "dirty", &pages, 1), "dirty", NULL);
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
        middle = clock_now_ns();
        require(faaslet_reset(faaslet, proto, NULL, NULL), "reset", NULL);
        end = clock_now_ns();
        both_us[i] = (double)(end - begin) / NS_PER_US;
        reset_us[i] = (double)(end - middle) / NS_PER_US;
    }
}

/* Up to MEM_RESET_COPY_PAGES_MAX (4096) they are copied back, beyond dropped. */
static void
bench_reset(void)
{
    static const uint64_t counts[] = {DIRTY_PAGES, 1000, 4000, 6000};
    static double both[ROUNDS], reset[ROUNDS];
    const struct faaslet_config config = {.resolve = resolve, .stack_bytes = 256u << 10};
    struct faaslet *faaslet;
    char name[64];
    struct world w;

    world_init(&w, 0, 64);
    require(faaslet_thread_init(), "thread", NULL);
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        require(faaslet_thaw(cell_function_proto(w.function), &config, &faaslet, NULL), "thaw",
                NULL);
        dirty_and_reset(faaslet, cell_function_proto(w.function), counts[i], both, reset);
        faaslet_destroy(faaslet);
        (void)snprintf(name, sizeof(name), "reset of %u dirty pages p50", (unsigned)counts[i]);
        row(name, percentile(reset, ROUNDS, 50), "us", NULL, 0);
        (void)snprintf(name, sizeof(name), "dirty and reset %u pages p50", (unsigned)counts[i]);
        row(name, percentile(both, ROUNDS, 50), "us", NULL, 0);
    }
    world_fini(&w);
}

/* ------------------------------------------------------------------------- density */

static _Atomic uint32_t answers;

static void
sleeper_end(void *context, const struct cell_end *end)
{
    uint64_t number = (uint64_t)(uintptr_t)context;

    if (end->kind == CELL_DONE && end->results[0] == 2 * number)
        (void)atomic_fetch_add(&answers, 1);
}

/* Proportional set size of this process, in bytes. */
static double
proportional_bytes(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    char line[256];
    double kib = 0;

    require(file == NULL ? -errno : 0, "smaps_rollup", NULL);
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "Pss: %lf kB", &kib) == 1)
            break;
    (void)fclose(file);
    return kib * 1024;
}

static void
start_sleepers(struct world *w, uint64_t ids[SLEEPERS])
{
    struct cell_usage usage;

    for (uintptr_t i = 0; i < SLEEPERS; i++) {
        const struct cell_call call = {.entry = "sleep",
                                       .args = (uint64_t[]){i},
                                       .slot_count = 1,
                                       .result_slots = 1,
                                       .on_end = sleeper_end,
                                       .context = (void *)i};

        require(cell_start(w->function, &call, &ids[i]), "start", NULL);
    }
    do {
        (void)usleep(10000);
        cell_usage(w->cell, &usage);
    } while (usage.parked + usage.slots < SLEEPERS);
}

static void
bench_density(void)
{
    static uint64_t ids[SLEEPERS];
    struct cell_usage usage;
    double before, bytes;
    uint64_t begin;
    struct world w;

    world_init(&w, 1024, 1);
    before = proportional_bytes();
    start_sleepers(&w, ids);
    bytes = proportional_bytes();
    cell_usage(w.cell, &usage);
    row("suspended Faaslets", SLEEPERS, "", NULL, 0);
    row("all of the process", bytes / MEGABYTE, "MiB", NULL, 0);
    row("each", (bytes - before) / SLEEPERS / 1024, "KiB", NULL, 0);
    row("each that is parked", (double)usage.parked_bytes / (double)usage.parked / 1024, "KiB",
        NULL, 0);
    begin = clock_now_ns();
    atomic_store(&may_go, true);
    for (uintptr_t i = 0; i < SLEEPERS; i++)
        (void)cell_wake(w.cell, ids[i]);
    do {
        (void)usleep(10000);
        cell_usage(w.cell, &usage);
    } while (usage.calls > 0);
    row("that answered rightly", atomic_load(&answers), "", NULL, 0);
    row("all woken and over in", (double)(clock_now_ns() - begin) / 1e9, "s", NULL, 0);
    if (atomic_load(&answers) != SLEEPERS)
        require(-EIO, "not all answered", NULL);
    world_fini(&w);
}

/* -------------------------------------------------------------------------- switch */

static void
pong_end(void *context, const struct cell_end *end)
{
    (void)context;
    (void)end;
    (void)atomic_fetch_add(&answers, 1);
}

static void
bench_switch(void)
{
    struct world w;
    uint64_t begin, took;

    world_init(&w, 2, 1);
    begin = clock_now_ns();
    for (uint64_t i = 0; i < 2; i++) {
        const struct cell_call call = {.entry = "pong",
                                       .args = (uint64_t[]){i, SWITCHES / 2},
                                       .slot_count = 2,
                                       .result_slots = 1,
                                       .on_end = pong_end};
        uint64_t id;

        require(cell_start(w.function, &call, &id), "start", NULL);
        atomic_store(&pair[i], id);
    }
    /* The first may have looked before it knew the second. */
    while (atomic_load(&answers) == 0) {
        (void)usleep(1000);
        (void)cell_wake(w.cell, atomic_load(&pair[1]));
    }
    took = clock_now_ns() - begin;
    while (atomic_load(&answers) < 2) {
        (void)usleep(100);
        for (unsigned i = 0; i < 2; i++)
            (void)cell_wake(w.cell, atomic_load(&pair[i]));
    }
    row("a switch between two Faaslets", (double)took / SWITCHES, "ns", NULL, 0);
    world_fini(&w);
}

/* ---------------------------------------------------------------------------- main */

static void
load_image(void)
{
    struct diag diag;
    int fd = open(image_path, O_RDONLY | O_CLOEXEC);

    diag_init(&diag);
    require(fd < 0 ? -errno : 0, image_path, NULL);
    require(faaslet_image_load(fd, &image, &diag), image_path, &diag);
    (void)close(fd);
}

int
main(int argc, char **argv)
{
    struct latency latency = latency_measure();

    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--out") == 0)
            rows = fopen(argv[i + 1], "ae");
        else if (strcmp(argv[i], "--image") == 0)
            image_path = argv[i + 1];
        else if (strcmp(argv[i], "--noop") == 0)
            noop_path = argv[i + 1];
    }
    if (argc < 2 || image_path == NULL) {
        (void)fprintf(stderr, "usage: proto start|density|switch --image FILE ...\n");
        return EXIT_FAILURE;
    }
    latency_print(&latency);
    if (rows != NULL)
        latency_write(&latency, rows);
    load_image();
    if (strcmp(argv[1], "start") == 0) {
        bench_noop();
        bench_reset();
    } else if (strcmp(argv[1], "density") == 0) {
        bench_density();
    } else {
        bench_switch();
    }
    faaslet_image_put(image);
    return rows == NULL || fclose(rows) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
