/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-start: what it costs to create a Faaslet, to call the host, to freeze,
 * to thaw and to clone.
 *
 *      start [--out FILE]
 *
 * The module is a small one, written here. Creation ends at the first
 * instruction of the guest: the small module's first act is a host call that
 * takes the time. Page faults that the guest causes later are its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "compile/compile.h"
#include "faaslet/faaslet.h"
#include "latency.h"

#define ROUNDS         2000u
#define WARM_ROUNDS    50u
#define CALLS          4000000u
#define DIRTY_PAGES    256u
#define NS_PER_US      1000.0
#define CREATE_GOAL_US 20.0
#define CALL_GOAL_NS   15.0

/* (module (import "b" "now" (func)) (import "b" "nop" (func (param i64) (result i64)))
 *   (memory 1024) (func (export "first") call 0)
 *   (func (export "calls") (param i64) (loop call 1 with the counter, br_if))
 *   (func (export "dirty") (param i32) (loop store one byte a page)))
 * assembled by hand, so that the benchmark needs no tool. */
static const uint8_t small_module[] = {
    0x00,
    0x61,
    0x73,
    0x6d,
    0x01,
    0x00,
    0x00,
    0x00,
    /* types: ()->(), (i64)->(i64), (i64)->(), (i32)->() */
    0x01,
    0x11,
    0x04,
    0x60,
    0x00,
    0x00,
    0x60,
    0x01,
    0x7e,
    0x01,
    0x7e,
    0x60,
    0x01,
    0x7e,
    0x00,
    0x60,
    0x01,
    0x7f,
    0x00,
    /* imports b.now, b.nop */
    0x02,
    0x11,
    0x02,
    0x01,
    0x62,
    0x03,
    0x6e,
    0x6f,
    0x77,
    0x00,
    0x00,
    0x01,
    0x62,
    0x03,
    0x6e,
    0x6f,
    0x70,
    0x00,
    0x01,
    /* functions */
    0x03,
    0x04,
    0x03,
    0x00,
    0x02,
    0x03,
    /* memory 1024 */
    0x05,
    0x04,
    0x01,
    0x00,
    0x80,
    0x08,
    /* exports first, calls, dirty */
    0x07,
    0x19,
    0x03,
    0x05,
    0x66,
    0x69,
    0x72,
    0x73,
    0x74,
    0x00,
    0x02,
    0x05,
    0x63,
    0x61,
    0x6c,
    0x6c,
    0x73,
    0x00,
    0x03,
    0x05,
    0x64,
    0x69,
    0x72,
    0x74,
    0x79,
    0x00,
    0x04,
    /* code */
    0x0a,
    0x31,
    0x03,
    /* first: call 0 */
    0x04,
    0x00,
    0x10,
    0x00,
    0x0b,
    /* calls: loop; local.get 0; call 1; local.tee 0; i64.const 0; i64.ne; br_if 0 */
    0x10,
    0x00,
    0x03,
    0x40,
    0x20,
    0x00,
    0x10,
    0x01,
    0x22,
    0x00,
    0x42,
    0x00,
    0x52,
    0x0d,
    0x00,
    0x0b,
    0x0b,
    /* dirty: loop; local.get 0; i32.const 1; i32.store8; local.get 0; i32.const 4096;
     * i32.sub; local.tee 0; i32.const 0; i32.gt_s; br_if 0 */
    0x19,
    0x00,
    0x03,
    0x40,
    0x20,
    0x00,
    0x41,
    0x01,
    0x3a,
    0x00,
    0x00,
    0x20,
    0x00,
    0x41,
    0x80,
    0x20,
    0x6b,
    0x22,
    0x00,
    0x41,
    0x00,
    0x4a,
    0x0d,
    0x00,
    0x0b,
    0x0b,
};

static uint64_t first_ns;

static enum faaslet_verdict
host_now(struct faaslet_call *call)
{
    (void)call;
    first_ns = clock_now_ns();
    return FAASLET_CALL_DONE;
}

static enum faaslet_verdict
host_nop(struct faaslet_call *call)
{
    call->args[0]--;
    return FAASLET_CALL_DONE;
}

static const struct faaslet_host_function now = {"now", ":", host_now};
static const struct faaslet_host_function nop = {"nop", "I:I", host_nop};

static const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    (void)module;
    (void)module_bytes;
    (void)name_bytes;
    return name[2] == 'w' ? &now : &nop;
}

/* The times of what was done ROUNDS times. */
struct series {
    uint64_t all_ns[ROUNDS], undisturbed_ns[ROUNDS];
    unsigned count, undisturbed;
    uint64_t begin_ns;
    long switches;
};

static const struct faaslet_config config = {.resolve = resolve};
static FILE *rows;

static void
require(int err, const char *what, const struct diag *diag)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "bench-start: %s: %s\n", what,
                  diag != NULL && diag->is_set ? diag->text : strerror(-err));
    exit(EXIT_FAILURE);
}

/* A row; the peer of a figure with a goal is the goal. */
static void
row(const char *name, double value, const char *unit, double goal)
{
    (void)printf("%-28s %10.3f %s", name, value, unit);
    if (goal > 0)
        (void)printf("   (goal %.0f)", goal);
    (void)printf("\n");
    if (rows == NULL)
        return;
    (void)fprintf(rows, "{\"name\":\"%s\",\"value\":%.4f,\"unit\":\"%s\",", name, value, unit);
    if (goal > 0)
        (void)fprintf(rows, "\"peer\":\"goal\",\"peer_value\":%.4f,\"ratio\":%.4f}\n", goal,
                      value / goal);
    else
        (void)fprintf(rows, "\"peer\":null,\"peer_value\":null,\"ratio\":null}\n");
}

/* How often the kernel has taken this thread's core for other work. */
static long
switches(void)
{
    struct rusage usage;

    require(getrusage(RUSAGE_THREAD, &usage) == 0 ? 0 : -errno, "getrusage", NULL);
    return usage.ru_nivcsw;
}

static void
series_begin(struct series *series)
{
    series->switches = switches();
    series->begin_ns = clock_now_ns();
}

static void
series_end(struct series *series, uint64_t end_ns)
{
    uint64_t time_ns = end_ns - series->begin_ns;

    ASSERT(series->count < ROUNDS && series->undisturbed < ROUNDS);
    series->all_ns[series->count++] = time_ns;
    if (switches() == series->switches)
        series->undisturbed_ns[series->undisturbed++] = time_ns;
}

static int
compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void
percentile(const char *name, const char *suffix, uint64_t *times_ns, unsigned count,
           unsigned percent, double goal_us)
{
    char text[64];

    if (count == 0)
        return;
    qsort(times_ns, count, sizeof(*times_ns), compare);
    (void)snprintf(text, sizeof(text), "%s p%u%s", name, percent, suffix);
    row(text, (double)times_ns[count * percent / 100] / NS_PER_US, "us", goal_us);
}

/* A core that is taken away in the middle of a round comes back a time slice
 * later (4 ms at 250 Hz). That is a figure of the machine, not of Weft, so the
 * tail is told with and without such rounds. */
static void
report(struct series *series, const char *name, double goal_us)
{
    unsigned disturbed = series->count - series->undisturbed;
    char text[64];

    percentile(name, "", series->all_ns, series->count, 50, goal_us);
    percentile(name, "", series->all_ns, series->count, 90, 0);
    percentile(name, "", series->all_ns, series->count, 99, 0);
    if (disturbed == 0)
        return;
    percentile(name, " undisturbed", series->undisturbed_ns, series->undisturbed, 99, 0);
    (void)snprintf(text, sizeof(text), "%s lost the core", name);
    row(text, 100.0 * disturbed / series->count, "% of rounds", 0);
}

static struct faaslet_image *
load(const uint8_t *bytes, size_t count, uint64_t address)
{
    int fd = memfd_create("bench-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct compile_options options;
    struct faaslet_image *image;
    struct diag diag;

    diag_init(&diag);
    compile_options_init(&options);
    options.address = address;
    require(compile_image(bytes, count, &options, fd, &diag), "compile", &diag);
    require(faaslet_image_load(fd, &image, &diag), "load", &diag);
    (void)close(fd);
    return image;
}

static void
run(struct faaslet *faaslet)
{
    struct faaslet_outcome outcome;

    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    require(outcome.kind == FAASLET_DONE ? 0 : -1, "run", NULL);
}

static struct faaslet *
create(struct faaslet_image *image)
{
    struct faaslet *faaslet;
    struct diag diag;

    diag_init(&diag);
    require(faaslet_create(image, &config, &faaslet, &diag), "create", &diag);
    return faaslet;
}

static void
bench_create(struct faaslet_image *image)
{
    static struct series starts, ends;

    for (unsigned i = 0; i < ROUNDS + WARM_ROUNDS; i++) {
        struct faaslet *faaslet;

        if (i == WARM_ROUNDS)
            starts.count = starts.undisturbed = ends.count = ends.undisturbed = 0;
        series_begin(&starts);
        faaslet = create(image);
        require(faaslet_invoke_init(faaslet, 0), "init", NULL);
        run(faaslet);
        require(faaslet_invoke(faaslet, 0, "first", NULL, 0), "first", NULL);
        run(faaslet);
        series_end(&starts, first_ns);
        series_begin(&ends);
        faaslet_destroy(faaslet);
        series_end(&ends, clock_now_ns());
    }
    report(&starts, "create to first instruction", CREATE_GOAL_US);
    report(&ends, "destroy", 0);
}

static void
bench_calls(struct faaslet_image *image)
{
    struct faaslet *faaslet = create(image);
    const uint64_t count = CALLS;
    double best = 0;

    for (unsigned round = 0; round < 9; round++) {
        uint64_t begin;
        double each;

        require(faaslet_invoke(faaslet, 0, "calls", &count, 1), "calls", NULL);
        begin = clock_now_ns();
        run(faaslet);
        each = (double)(clock_now_ns() - begin) / (double)CALLS;
        best = round == 0 || each < best ? each : best;
    }
    row("host call round trip", best, "ns", CALL_GOAL_NS);
    faaslet_destroy(faaslet);
}

/* A Faaslet of 64 MiB of which a megabyte is in use. */
static void
bench_copies(struct faaslet_image *image)
{
    static struct series freezes, thaws, clones;
    const uint64_t dirty = DIRTY_PAGES * UINT64_C(4096);
    struct faaslet *faaslet = create(image);

    require(faaslet_invoke(faaslet, 0, "dirty", &dirty, 1), "dirty", NULL);
    run(faaslet);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct faaslet_frozen *frozen;
        struct faaslet *copy;

        series_begin(&freezes);
        require(faaslet_freeze(faaslet, &frozen, NULL), "freeze", NULL);
        series_end(&freezes, clock_now_ns());
        series_begin(&thaws);
        require(faaslet_thaw(frozen, &config, &copy, NULL), "thaw", NULL);
        series_end(&thaws, clock_now_ns());
        faaslet_destroy(copy);
        faaslet_frozen_destroy(frozen);
        series_begin(&clones);
        require(faaslet_clone(faaslet, &config, &copy, NULL), "clone", NULL);
        series_end(&clones, clock_now_ns());
        faaslet_destroy(copy);
    }
    report(&freezes, "freeze 1 MiB", 0);
    report(&thaws, "thaw 1 MiB", 0);
    report(&clones, "clone 1 MiB", 0);
    faaslet_destroy(faaslet);
}

int
main(int argc, char **argv)
{
    struct faaslet_image *image;
    struct latency latency = latency_measure();

    if (argc == 3 && strcmp(argv[1], "--out") == 0) {
        rows = fopen(argv[2], "we");
        require(rows != NULL ? 0 : -errno, argv[2], NULL);
        latency_write(&latency, rows);
    }
    latency_print(&latency);
    require(faaslet_thread_init(), "thread", NULL);
    image = load(small_module, sizeof(small_module), ABI_IMAGE_ADDRESS_FIRST);
    bench_create(image);
    bench_calls(image);
    bench_copies(image);
    faaslet_image_put(image);
    if (rows != NULL)
        require(fclose(rows) == 0 ? 0 : -errno, argv[2], NULL);
    return EXIT_SUCCESS;
}
