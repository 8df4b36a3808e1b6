/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts the primes below a number, by a thousand calls of a function of this program.
 *
 *     weft cc -O2 examples/fanout.c -o fanout.wasm
 *     weft run --jail fanout.wasm [NUMBER [CALLS]]
 *
 * Each call is a Faaslet of its own: it sees none of main's variables, only its input, and
 * what it leaves is its result. main awaits all of them and adds up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

#define CALLS_MAX 4096u

struct range {
    uint32_t first, end;
};

static int
is_prime(uint32_t number)
{
    if (number < 4)
        return number > 1;
    if (number % 2 == 0)
        return 0;
    for (uint32_t i = 3; i * i <= number; i += 2)
        if (number % i == 0)
            return 0;
    return 1;
}

static void
count_primes(void)
{
    struct range range;
    uint32_t done, count = 0;

    if (weft_input_read(0, &range, sizeof(range), &done) != 0 || done != sizeof(range))
        exit(2);
    for (uint32_t i = range.first; i < range.end; i++)
        count += (uint32_t)is_prime(i);
    if (weft_output(&count, sizeof(count)) != 0)
        exit(3);
}

static void
fail(const char *what, int err)
{
    (void)fprintf(stderr, "fanout: %s: %s\n", what,
                  err == ENOSYS ? "not without a cell; run it with weft run --jail"
                                : strerror(err));
    exit(1);
}

int
main(int argc, char **argv)
{
    static weft_handle handles[CALLS_MAX];
    static struct weft_end ends[CALLS_MAX];
    uint32_t below = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 2000000;
    uint32_t calls = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000;
    uint32_t done, total = 0;
    int err;

    if (calls == 0 || calls > CALLS_MAX)
        fail("number of calls", EINVAL);
    for (uint32_t i = 0; i < calls; i++) {
        struct range range = {(uint32_t)((uint64_t)below * i / calls),
                              (uint32_t)((uint64_t)below * (i + 1) / calls)};

        err = weft_chain_pointer(count_primes, &range, sizeof(range), 0, 0, &handles[i]);
        if (err != 0)
            fail("cannot start a call", err);
    }
    err = weft_await_all(handles, calls, WEFT_FOR_EVER, ends, &done);
    if (err != 0)
        fail("cannot await the calls", err);
    for (uint32_t i = 0; i < calls; i++) {
        uint32_t count = 0;

        if (ends[i].status != WEFT_DONE ||
            weft_read(handles[i], WEFT_RESULT, 0, &count, sizeof(count), &done) != 0)
            fail("a call did not end well", ends[i].status == WEFT_FAILED ? ends[i].code : EIO);
        total += count;
    }
    (void)printf("%u primes below %u, counted by %u calls\n", total, below, calls);
    return 0;
}
