/* SPDX-License-Identifier: Apache-2.0
 *
 * For the guests of tests/state: one program is the call from outside, which starts many calls
 * of itself all over the cluster, and those calls. What does not hold is printed, and the call
 * exits with 1.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>
#include <weft/objects.h>

#define MANY     16u
#define PATIENCE (INT64_C(60) * 1000000000)

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)
#define SAME(wanted, found) \
    do { \
        long long wanted_ = (long long)(wanted), found_ = (long long)(found); \
\
        if (wanted_ != found_) { \
            (void)fprintf(stderr, "%s:%d: %s is %lld, wanted %lld\n", __FILE__, __LINE__, #found, \
                          found_, wanted_); \
            exit(1); \
        } \
    } while (0)
#define OK(call) SAME(0, call)

static uint64_t run_id; /* the call from outside */

typedef void (*part_fn)(uint32_t self);
struct part {
    const char *name;
    part_fn run;
};

static inline void
show_failure(weft_handle call, const struct weft_end *end)
{
    char text[1024];
    uint32_t done = 0;

    for (uint32_t which = WEFT_STDOUT; which <= WEFT_MESSAGE; which++) {
        (void)weft_read(call, which, 0, text, sizeof(text), &done);
        (void)fprintf(stderr, "%.*s", (int)done, text);
    }
    (void)fprintf(stderr, "\na call ended with status %u, code %d\n", (unsigned)end->status,
                  (int)end->code);
    exit(1);
}

/* So many calls of a part at one time, and all of them end well. */
static inline void
fan(const char *part, uint32_t count)
{
    static weft_handle calls[256];
    static struct weft_end ends[256];
    char function[128], input[64];
    uint32_t length = 0, done = 0;

    OK(weft_identity(WEFT_FUNCTION, function, sizeof(function) - 8, &length));
    memcpy(function + length, ":latest", 8);
    for (uint32_t i = 0; i < count; i++) {
        int bytes = snprintf(input, sizeof(input), "%s %u %llu", part, (unsigned)i,
                             (unsigned long long)weft_call_id());

        OK(weft_chain(function, input, (uint32_t)bytes, 0, 0, &calls[i]));
    }
    OK(weft_await_all(calls, count, WEFT_FOR_EVER, ends, &done));
    for (uint32_t i = 0; i < count; i++) {
        if (ends[i].status != WEFT_DONE)
            show_failure(calls[i], &ends[i]);
        OK(weft_forget(calls[i]));
    }
}

/* All keys that begin so are removed. */
static inline void
forget_all(const char *prefix)
{
    char key[WEFT_KEY_BYTES];
    uint32_t count = 1;

    for (;;) {
        OK(weft_state_list(prefix, "", key, sizeof(key), &count));
        if (count == 0)
            return;
        OK(weft_state_remove(key));
    }
}

/* The number of this host in this run, from 1 on: in memory that is never pushed the first call
 * here notes what it counted. */
static inline uint32_t
host_number(void)
{
    const uint32_t how = WEFT_STATE_LOCK_WRITE | WEFT_STATE_LOCK_HERE;
    char here[64], count[64];
    int64_t *number;
    uint32_t found;

    (void)snprintf(here, sizeof(here), "hosts/here/%llu", (unsigned long long)run_id);
    (void)snprintf(count, sizeof(count), "hosts/count/%llu", (unsigned long long)run_id);
    OK(weft_state_map(here, 0, sizeof(*number), WEFT_STATE_WRITE | WEFT_STATE_CREATE,
                      (void **)&number));
    OK(weft_state_lock(here, how, PATIENCE));
    if (*number == 0)
        OK(weft_counter_add(count, 1, number));
    found = (uint32_t)*number;
    OK(weft_state_unlock(here, how));
    OK(weft_state_unmap(number));
    return found;
}

/* With an input "PART NUMBER RUN" that part; without one `all`. */
static inline int
run_parts(const struct part *parts, size_t count, void (*all)(void))
{
    char input[64] = "", name[32] = "";
    uint32_t done = 0;
    unsigned long long run = 0;
    unsigned self = 0;

    OK(weft_input_read(0, input, sizeof(input) - 1, &done));
    if (sscanf(input, "%31s %u %llu", name, &self, &run) != 3) {
        run_id = weft_call_id();
        all();
        (void)printf("all is well\n");
        return 0;
    }
    run_id = run;
    for (size_t i = 0; i < count; i++)
        if (strcmp(parts[i].name, name) == 0) {
            parts[i].run(self);
            return 0;
        }
    return 2;
}

#endif
