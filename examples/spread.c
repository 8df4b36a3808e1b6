/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts the primes below a number by calls of another function, all over the cluster:
 *
 *     weft deploy examples/primes.c
 *     weft deploy examples/spread.c
 *     weft invoke spread --arg 2000000 --arg 1000
 *     weft calls primes            where each of them ran
 *
 * A function that is named with an alias ("primes:latest") is found a place by the planner;
 * by its bare name ("primes") it runs in this cell where the cell has it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

#define CALLS_MAX 4096u

static weft_handle handles[CALLS_MAX];
static struct weft_end ends[CALLS_MAX];

static int
start(uint32_t below, uint32_t calls)
{
    char range[64];

    for (uint32_t i = 0; i < calls; i++) {
        int count = snprintf(range, sizeof(range), "%u %u", (uint32_t)((uint64_t)below * i / calls),
                             (uint32_t)((uint64_t)below * (i + 1) / calls));
        int err = weft_chain("primes:latest", range, (uint32_t)count, 0, 0, &handles[i]);

        if (err != 0)
            return err;
    }
    return 0;
}

static int
add_up(uint32_t calls, unsigned *total)
{
    char text[256];
    uint32_t done;

    for (uint32_t i = 0; i < calls; i++) {
        /* What it gave with weft_output; else what it printed. */
        (void)weft_read(handles[i], WEFT_RESULT, 0, text, sizeof(text) - 1, &done);
        if (done == 0)
            (void)weft_read(handles[i], ends[i].status == WEFT_DONE ? WEFT_STDOUT : WEFT_MESSAGE, 0,
                            text, sizeof(text) - 1, &done);
        text[done] = '\0';
        if (ends[i].status != WEFT_DONE) {
            (void)fprintf(stderr, "spread: a call did not end well (%u): %s\n", ends[i].status,
                          text);
            return 1;
        }
        *total += (unsigned)strtoul(text, NULL, 10);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    uint32_t below = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 2000000;
    uint32_t calls = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000;
    unsigned total = 0;
    uint32_t done;
    int err;

    if (calls == 0 || calls > CALLS_MAX)
        return 2;
    err = start(below, calls);
    if (err == 0)
        err = weft_await_all(handles, calls, WEFT_FOR_EVER, ends, &done);
    if (err != 0) {
        (void)fprintf(stderr, "spread: %s\n", strerror(err));
        return 1;
    }
    if (add_up(calls, &total) != 0)
        return 1;
    (void)printf("%u primes below %u, counted by %u calls\n", total, below, calls);
    return 0;
}
