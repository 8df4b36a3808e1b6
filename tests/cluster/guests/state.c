/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cluster: "VERB KEY REST" of its input is done with state, in mapped memory
 * where that is possible.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>
#include <weft/state.h>

#define WAIT_NS INT64_C(60000000000)

static int
fail(const char *what, int err)
{
    (void)fprintf(stderr, "state: %s: %d (%s)\n", what, err, strerror(err));
    return 1;
}

static int
answer(const char *text, uint32_t count)
{
    return weft_output(text, count) == 0 ? 0 : 90;
}

static int
answer_number(int64_t number)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%lld", (long long)number);
    return answer(text, (uint32_t)strlen(text));
}

/* The whole value as memory. */
static int
map(const char *key, uint32_t flags, char **bytes, struct weft_state_info *info)
{
    int err = weft_state_stat(key, info);

    return err != 0 ? err : weft_state_map(key, 0, 0, flags, (void **)bytes);
}

static int
show(const char *key, uint32_t flags)
{
    struct weft_state_info info;
    char *bytes;
    int err = map(key, flags, &bytes, &info);

    return err != 0 ? fail("map", err) : answer(bytes, (uint32_t)info.size);
}

/* Over the value's first bytes. */
static int
write_over(const char *key, const char *text)
{
    struct weft_state_info info;
    char *bytes;
    int err = map(key, WEFT_STATE_WRITE, &bytes, &info);

    if (err != 0 || strlen(text) > info.size)
        return fail("map", err);
    (void)memcpy(bytes, text, strlen(text));
    err = weft_state_push(key);
    return err != 0 ? fail("push", err) : answer("pushed", 6);
}

/* Says that it is there by `KEY.here`, waits for a change, answers with what it sees then. */
static int
follow(const char *key)
{
    struct weft_state_info info;
    uint64_t version;
    char here[256], *bytes;
    int err = map(key, WEFT_STATE_READ, &bytes, &info);

    if (err != 0)
        return fail("map", err);
    (void)snprintf(here, sizeof(here), "%s.here", key);
    err = weft_state_set(here, bytes, (uint32_t)info.size);
    if (err == 0)
        err = weft_state_watch(key, info.version, WAIT_NS, &version);
    if (err == 0)
        err = weft_state_pull(key);
    return err != 0 ? fail("follow", err) : answer(bytes, (uint32_t)info.size);
}

/* Memory whose bytes have not come, of a value that there is no more. */
static int
vanish(const char *key)
{
    volatile char *bytes;
    int err = weft_state_map(key, 0, 0, WEFT_STATE_LAZY, (void **)(uintptr_t)&bytes);

    if (err == 0)
        err = weft_state_remove(key);
    return err != 0 ? fail("vanish", err) : answer_number(bytes[100000]);
}

static int
add(const char *key, int times)
{
    int64_t sum = 0;
    int err = 0;

    for (int i = 0; err == 0 && i < times; i++)
        err = weft_state_add(key, 0, 1, 8, &sum);
    return err != 0 ? fail("add", err) : answer_number(sum);
}

/* The same by memory: under a lock, so that nobody's is lost. */
static int
count(const char *key, int times)
{
    int64_t *number;
    int err = weft_state_map(key, 0, 8, WEFT_STATE_WRITE | WEFT_STATE_CREATE, (void **)&number);

    for (int i = 0; err == 0 && i < times; i++) {
        err = weft_state_lock(key, WEFT_STATE_LOCK_WRITE, WAIT_NS);
        if (err == 0)
            err = weft_state_pull(key);
        if (err == 0) {
            ++*number;
            err = weft_state_push(key);
        }
        if (err == 0)
            err = weft_state_unlock(key, WEFT_STATE_LOCK_WRITE);
    }
    return err != 0 ? fail("count", err) : answer_number(*number);
}

static int
append(const char *key, const char *text)
{
    uint64_t index;
    int err = weft_state_append(key, text, (uint32_t)strlen(text), &index);

    return err != 0 ? fail("append", err) : answer_number((int64_t)index);
}

int
main(void)
{
    static char line[4096];
    char verb[32] = "", key[256] = "";
    uint32_t done = 0;
    int at = 0;

    if (weft_input_read(0, line, sizeof(line) - 1, &done) != 0 ||
        sscanf(line, "%31s %255s %n", verb, key, &at) < 2)
        return fail("what to do?", 0);
    if (strcmp(verb, "show") == 0)
        return show(key, WEFT_STATE_READ);
    if (strcmp(verb, "lazy") == 0)
        return show(key, WEFT_STATE_LAZY);
    if (strcmp(verb, "write") == 0)
        return write_over(key, line + at);
    if (strcmp(verb, "follow") == 0)
        return follow(key);
    if (strcmp(verb, "vanish") == 0)
        return vanish(key);
    if (strcmp(verb, "add") == 0)
        return add(key, atoi(line + at));
    if (strcmp(verb, "count") == 0)
        return count(key, atoi(line + at));
    if (strcmp(verb, "append") == 0)
        return append(key, line + at);
    return fail("no such verb", 0);
}
