/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of its own functions, from wherever it is started: what the library behind weft.h
 * does in a guest.
 */
#include <weft.h>

#include <cstdio>

/* Constructors have run in the child, too. */
struct number {
    int value;
    number() : value(40)
    {
    }
};

static number global;

static void
child()
{
    char text[8];
    uint32_t count = 0;
    int result = global.value + 2;

    weft_input_read(0, text, sizeof(text), &count);
    weft_output(&result, sizeof(result));
    weft_log(WEFT_WARNING, text, count);
    std::printf("child %.*s", (int)count, text); /* is written at the end */
}

static void
broken()
{
    __builtin_trap();
}

static void
show(weft_handle call, uint32_t which)
{
    char text[200];
    uint32_t count = 0;

    if (weft_read(call, which, 0, text, sizeof(text), &count) == 0)
        std::printf("%.*s\n", (int)count, text);
}

int
main()
{
    int starts = weft_snapshot(), result = 0, err;
    weft_handle calls[2];
    weft_end ends[2];
    uint32_t count;

    global.value = 1; /* nobody else's */
    err = weft_chain_pointer(child, "abc", 3, 0, 0, &calls[0]);
    if (err != 0) {
        std::printf("error %d\n", err);
        return err;
    }
    weft_chain_pointer(broken, nullptr, 0, 0, 0, &calls[1]);
    weft_await_all(calls, 2, WEFT_FOR_EVER, ends, &count);
    weft_read(calls[0], WEFT_RESULT, 0, &result, sizeof(result), &count);
    std::printf("%s, status %u %u, result %d\n", starts != 0 ? "again" : "first", ends[0].status,
                ends[1].status, result);
    show(calls[0], WEFT_STDOUT);
    show(calls[0], WEFT_STDERR);
    show(calls[1], WEFT_MESSAGE);
    return weft_chain("nobody", nullptr, 0, 0, 0, &calls[0]) != 0 ||
           weft_await(calls[0], WEFT_FOR_EVER, ends) != 0 || ends[0].status != WEFT_FAILED;
}
