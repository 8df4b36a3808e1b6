/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of bench-state. Input "WHAT": answers with "p50 p99" in nanoseconds of its own clock, or
 * for "push" with the bytes of the value and the microseconds that it took.
 *
 *      read      a word of a mapped value, in turns over 64 KiB: each of many
 *      get8      weft_state_get of 8 bytes that nobody changes
 *      get1m     the same of 1 MiB
 *      fresh8    of 8 bytes that were set anew before each: set and get
 *      push      1 % of 64 MiB, in runs of 64 bytes, pushed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/state.h>

#define COUNT 2000
#define MIB   (1u << 20)

static uint64_t times[COUNT];
static char bytes[MIB];

static uint64_t
now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
require(int err, const char *what)
{
    if (err == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(err));
    exit(1);
}

static int
by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void
answer(uint64_t a, uint64_t b)
{
    char text[64];
    int count =
        snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)a, (unsigned long long)b);

    require(weft_output(text, (uint32_t)count), "output");
}

static void
measure_get(const char *key, uint32_t size, unsigned count)
{
    require(weft_state_set(key, bytes, size), "set");
    require(weft_state_get(key, 0, bytes, size), "get");
    for (unsigned i = 0; i < count; i++) {
        uint64_t begin_ns = now_ns();

        require(weft_state_get(key, 0, bytes, size), "get");
        times[i] = now_ns() - begin_ns;
    }
    qsort(times, count, sizeof(times[0]), by_value);
    answer(times[count / 2], times[count * 99 / 100]);
}

static void
measure_fresh(void)
{
    for (unsigned i = 0; i < 200; i++) {
        uint64_t begin_ns = now_ns();

        require(weft_state_set("bench-fresh", &i, 8), "set");
        require(weft_state_get("bench-fresh", 0, bytes, 8), "get");
        times[i] = now_ns() - begin_ns;
    }
    qsort(times, 200, sizeof(times[0]), by_value);
    answer(times[100], times[198]);
}

static void
measure_read(void)
{
    volatile uint64_t *words;
    uint64_t begin_ns, sum = 0;
    const unsigned rounds = 1000, count = 65536 / 8;

    require(weft_state_map("bench-map", 0, 65536, WEFT_STATE_WRITE | WEFT_STATE_CREATE,
                           (void **)(uintptr_t)&words),
            "map");
    begin_ns = now_ns();
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned i = 0; i < count; i++)
            sum += words[i];
    /* Picoseconds of each. */
    answer((now_ns() - begin_ns) * 1000 / (rounds * count), sum & 0);
}

static void
measure_push(void)
{
    const uint64_t size = 64 * (uint64_t)MIB;
    uint64_t begin_ns;
    uint8_t *at;

    require(
        weft_state_map("bench-push", 0, size, WEFT_STATE_WRITE | WEFT_STATE_CREATE, (void **)&at),
        "map");
    for (uint64_t i = 0; i < size; i += 6400)
        for (unsigned k = 0; k < 64; k++)
            at[i + k]++;
    begin_ns = now_ns();
    require(weft_state_push("bench-push"), "push");
    answer(size, (now_ns() - begin_ns) / 1000);
}

int
main(void)
{
    char what[32] = "";
    uint32_t count;

    require(weft_input_read(0, what, sizeof(what) - 1, &count), "input");
    if (strcmp(what, "read") == 0)
        measure_read();
    else if (strcmp(what, "get8") == 0)
        measure_get("bench-get8", 8, COUNT);
    else if (strcmp(what, "get1m") == 0)
        measure_get("bench-get1m", MIB, 200);
    else if (strcmp(what, "fresh8") == 0)
        measure_fresh();
    else if (strcmp(what, "push") == 0)
        measure_push();
    else
        return 2;
    return 0;
}
