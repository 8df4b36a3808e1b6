/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of bench-http. Input "NAME COUNT PAUSE_MS": after the pause it calls the function of
 * that name so many times, one after the other, and answers with "p50 p99" of what they took
 * from weft_chain until the result was read, in nanoseconds of its own clock. The name "leaf"
 * is the program's own function, by pointer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weft.h>

#define COUNT_MAX 20000
#define WARM      100

static uint64_t times[COUNT_MAX];

static uint64_t
now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
leaf(void)
{
    char bytes[8];
    uint32_t count = 0;

    if (weft_input_read(0, bytes, sizeof(bytes), &count) != 0 || weft_output(bytes, count) != 0)
        exit(1);
}

static uint64_t
chain_once(const char *name)
{
    uint64_t begin_ns = now_ns(), value = begin_ns, answer = 0;
    struct weft_end end;
    weft_handle call;
    uint32_t done = 0;
    int err = strcmp(name, "leaf") == 0
                  ? weft_chain_pointer(leaf, &value, sizeof(value), 0, 0, &call)
                  : weft_chain(name, &value, sizeof(value), 0, 0, &call);

    if (err != 0 || weft_await(call, WEFT_FOR_EVER, &end) != 0 || end.status != WEFT_DONE ||
        weft_read(call, WEFT_RESULT, 0, &answer, sizeof(answer), &done) != 0 ||
        weft_forget(call) != 0)
        exit(2);
    return now_ns() - begin_ns;
}

static int
by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

int
main(void)
{
    char line[128] = "", name[64] = "", text[64];
    unsigned count = 0, pause_ms = 0;
    uint32_t done;

    if (weft_input_read(0, line, sizeof(line) - 1, &done) != 0)
        return 3;
    if (sscanf(line, "%63s %u %u", name, &count, &pause_ms) != 3 || count == 0 ||
        count > COUNT_MAX) {
        leaf(); /* it is what is called */
        return 0;
    }
    (void)usleep(pause_ms * 1000);
    for (unsigned i = 0; i < WARM; i++)
        (void)chain_once(name);
    for (unsigned i = 0; i < count; i++)
        times[i] = chain_once(name);
    qsort(times, count, sizeof(times[0]), by_value);
    (void)snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)times[(count - 1) / 2],
                   (unsigned long long)times[(count - 1) * 99 / 100]);
    return weft_output(text, (uint32_t)strlen(text)) == 0 ? 0 : 4;
}
