/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cluster: its input "FUNCTION COUNT" says which function it calls how often,
 * all at a time, each with "echo NUMBER"; answers with the sum of what they answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

#define CALLS_MAX 1000

static weft_handle calls[CALLS_MAX];
static struct weft_end ends[CALLS_MAX];

static int
fail(const char *what, int number)
{
    (void)fprintf(stderr, "fan: %s: %d\n", what, number);
    return 1;
}

static long
answer_of(weft_handle call)
{
    char text[32] = "";
    uint32_t done = 0;

    if (weft_read(call, WEFT_RESULT, 0, text, sizeof(text) - 1, &done) != 0)
        exit(fail("no answer", 0));
    return strtol(text, NULL, 10);
}

int
main(void)
{
    char line[128] = "", name[64] = "", text[64];
    uint32_t done = 0;
    long sum = 0;
    int count = 0, err;

    if (weft_input_read(0, line, sizeof(line) - 1, &done) != 0 ||
        sscanf(line, "%63s %d", name, &count) != 2 || count < 1 || count > CALLS_MAX)
        return fail("what to do?", 0);
    for (int i = 0; i < count; i++) {
        (void)snprintf(text, sizeof(text), "echo %d", i);
        err = weft_chain(name, text, (uint32_t)strlen(text), 0, 0, &calls[i]);
        if (err != 0)
            return fail("chain", err);
    }
    err = weft_await_all(calls, (uint32_t)count, WEFT_FOR_EVER, ends, &done);
    if (err != 0)
        return fail("await", err);
    for (int i = 0; i < count; i++) {
        if (ends[i].status != WEFT_DONE)
            return fail("a call ended badly", (int)ends[i].status * 1000 + ends[i].code);
        sum += answer_of(calls[i]);
    }
    (void)snprintf(text, sizeof(text), "%ld", sum);
    return weft_output(text, (uint32_t)strlen(text)) == 0 ? 0 : 2;
}
