/* SPDX-License-Identifier: Apache-2.0
 *
 * share: what shared memory costs a Faaslet: mapping and letting go, reading, a page that is
 * not there (fault, fill, go on), and finding what was written.
 *
 *      share --image FILE --out ROWS
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "faaslet/faaslet.h"
#include "mem/mem.h"

#define PAGE     4096u
#define CHUNK    65536u
#define SMALL    (UINT64_C(384) << 10) /* weights of 47,000 features */
#define LARGE    (UINT64_C(64) << 20)
#define ROUNDS   200u
#define READS    1000000u
#define PER_CENT 100u

static FILE *rows;
static struct mem_share *share;
static uint64_t mapped_at;

static void
require(bool is_done, const char *what)
{
    if (is_done)
        return;
    (void)fprintf(stderr, "share: cannot %s\n", what);
    exit(EXIT_FAILURE);
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
row(const char *name, double *samples, unsigned count, const char *unit)
{
    qsort(samples, count, sizeof(*samples), by_value);
    (void)printf("%-44s %10.3f %s\n", name, samples[count / 2], unit);
    (void)fprintf(rows, "{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name,
                  samples[count / 2], unit);
}

static double
us_since(uint64_t begin)
{
    return (double)(clock_now_ns() - begin) / 1000;
}

/* ------------------------------------------------------------------------ of a slot */

static void
ignore(void *context, int64_t offset, uint64_t bytes)
{
    (void)offset;
    *(uint64_t *)context += bytes;
}

static void
bench_mapping(uint64_t bytes, bool is_writable, const char *name)
{
    double samples[ROUNDS];
    struct mem_slot *slot = NULL;

    require(mem_slot_create(PAGE, 1, false, &slot) == 0 && mem_window_grow(slot, 0, bytes) == 0 &&
                mem_share_create(bytes, false, &share) == 0,
            "make a slot and a share");
    (void)memset(mem_share_bytes(share), 1, bytes);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t begin = clock_now_ns();

        require(mem_window_share(slot, 0, 0, bytes, share, 0, is_writable) == 0 &&
                    mem_window_unshare(slot, 0, 0, bytes) == 0,
                "map");
        samples[i] = us_since(begin);
    }
    row(name, samples, ROUNDS, "us");
    mem_slot_destroy(slot);
    mem_share_put(share);
}

static void
bench_written(void)
{
    double samples[ROUNDS];
    struct mem_slot *slot = NULL;
    uint64_t found = 0;

    require(mem_slot_create(PAGE, 1, false, &slot) == 0 && mem_window_grow(slot, 0, LARGE) == 0 &&
                mem_share_create(LARGE, false, &share) == 0,
            "make a slot and a share");
    (void)memset(mem_share_bytes(share), 1, LARGE);
    require(mem_window_share(slot, 0, 0, LARGE, share, 0, true) == 0, "map");
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t begin;

        for (uint64_t at = 0; at < LARGE; at += PER_CENT * PAGE)
            mem_slot_origin(slot)[at] = (uint8_t)i;
        begin = clock_now_ns();
        require(mem_share_written(share, ignore, &found) == 0, "ask what was written");
        samples[i] = us_since(begin);
    }
    row("find a page of 100 written in 64 MiB", samples, ROUNDS, "us");
    mem_slot_destroy(slot);
    mem_share_put(share);
}

/* --------------------------------------------------------------------- of a Faaslet */

static enum faaslet_verdict
host_map(struct faaslet_call *call)
{
    require(faaslet_call_share(call, share, 0, mem_share_size(share), call->args[0] != 0,
                               &mapped_at) == 0,
            "map in a Faaslet");
    call->args[0] = mapped_at;
    return FAASLET_CALL_DONE;
}

static const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    static const struct faaslet_host_function functions[] = {{"map", "i:i", host_map}};

    (void)module;
    (void)module_bytes;
    return faaslet_host_find(functions, 1, name, name_bytes);
}

/* Runs a call; *absent: how often it came upon what was not there. */
static void
call(struct faaslet *faaslet, const char *name, const uint64_t *args, size_t count, uint64_t fill,
     unsigned *absent)
{
    static uint8_t bytes[CHUNK];
    struct faaslet_outcome outcome;

    require(faaslet_invoke(faaslet, 0, name, args, count) == 0, "call");
    for (*absent = 0;; (*absent)++) {
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
        if (outcome.kind != FAASLET_ABSENT)
            break;
        require(mem_share_fill(outcome.absent.share, outcome.absent.offset / fill * fill, bytes,
                               fill) == 0,
                "fill");
    }
    require(outcome.kind == FAASLET_DONE, "end a call");
}

static struct faaslet *
start(struct faaslet_image *image, uint64_t bytes, bool is_lazy)
{
    struct faaslet_config config = {.resolve = resolve};
    struct faaslet_outcome outcome;
    struct faaslet *faaslet = NULL;
    unsigned absent;

    require(mem_share_create(bytes, is_lazy, &share) == 0 &&
                faaslet_create(image, &config, &faaslet, NULL) == 0 &&
                faaslet_invoke_init(faaslet, 0) == 0,
            "create a Faaslet");
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    call(faaslet, "map", (uint64_t[]){1}, 1, PAGE, &absent);
    return faaslet;
}

static void
bench_reading(struct faaslet_image *image)
{
    struct faaslet *faaslet = start(image, SMALL, false);
    double samples[9];
    unsigned absent;

    for (unsigned i = 0; i < ARRAY_COUNT(samples); i++) {
        uint64_t begin = clock_now_ns();

        call(faaslet, "read", (uint64_t[]){mapped_at, READS}, 2, PAGE, &absent);
        samples[i] = us_since(begin) * 1000 / READS;
    }
    row("read a mapped value", samples, ARRAY_COUNT(samples), "ns");
    faaslet_destroy(faaslet);
    mem_share_put(share);
}

static void
bench_absent(struct faaslet_image *image, uint64_t fill, const char *name)
{
    double samples[9];

    for (unsigned i = 0; i < ARRAY_COUNT(samples); i++) {
        struct faaslet *faaslet = start(image, LARGE / 8, true);
        unsigned absent;
        uint64_t begin = clock_now_ns();

        call(faaslet, "touch", (uint64_t[]){mapped_at, LARGE / 8}, 2, fill, &absent);
        samples[i] = us_since(begin) / absent;
        faaslet_destroy(faaslet);
        mem_share_put(share);
    }
    row(name, samples, ARRAY_COUNT(samples), "us");
}

int
main(int argc, char **argv)
{
    struct faaslet_image *image = NULL;
    int fd;

    if (argc != 5 || strcmp(argv[1], "--image") != 0 || strcmp(argv[3], "--out") != 0) {
        (void)fprintf(stderr, "usage: share --image FILE --out ROWS\n");
        return 2;
    }
    fd = open(argv[2], O_RDONLY | O_CLOEXEC);
    rows = fopen(argv[4], "we");
    require(fd >= 0 && rows != NULL, "open its files");
    require(faaslet_thread_init() == 0 && faaslet_image_load(fd, &image, NULL) == 0, "load");
    bench_mapping(SMALL, false, "map and unmap 384 KiB to read");
    bench_mapping(SMALL, true, "map and unmap 384 KiB to write");
    bench_mapping(LARGE, false, "map and unmap 64 MiB to read");
    bench_mapping(LARGE, true, "map and unmap 64 MiB to write");
    bench_written();
    bench_reading(image);
    bench_absent(image, PAGE, "touch an absent page, filled with one page");
    bench_absent(image, CHUNK, "touch an absent page, filled with 64 KiB");
    faaslet_image_put(image);
    (void)close(fd);
    return fclose(rows) == 0 ? 0 : 1;
}
