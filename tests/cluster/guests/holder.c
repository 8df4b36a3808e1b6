/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cluster/crash: calls that have the lock of a value of two words, "VERB KEY MS".
 *
 *   hold    has the lock, says so by KEY.here, sleeps; then changes the first word by a push, and
 *           by set: answers with the errors of both
 *   take    has the lock, changes the first word: answers with what it was before
 *   touch   has the lock, pulls, sees the first word, changes the second, pushes: answers with
 *           the first
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>
#include <weft/state.h>

#define WAIT_NS INT64_C(60000000000)
#define HELD    111
#define TAKEN   222
#define TOUCHED 333

static char key[128], here[160];

static int
fail(const char *what, int err)
{
    (void)fprintf(stderr, "holder: %s: %d (%s)\n", what, err, strerror(err));
    return 1;
}

static int
answer(long long first, long long second)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%lld %lld", first, second);
    return weft_output(text, (uint32_t)strlen(text)) == 0 ? 0 : 90;
}

/* Mapped, locked and pulled. */
static int
begin(int64_t **words)
{
    int err = weft_state_map(key, 0, 16, WEFT_STATE_WRITE | WEFT_STATE_CREATE, (void **)words);

    if (err == 0)
        err = weft_state_lock(key, WEFT_STATE_LOCK_WRITE, WAIT_NS);
    return err != 0 ? err : weft_state_pull(key);
}

static int
hold(unsigned ms)
{
    const int64_t both[2] = {HELD, HELD};
    int64_t *words;
    int err = begin(&words), pushed;

    if (err == 0)
        err = weft_state_set(here, "", 0);
    if (err != 0)
        return fail("hold", err);
    (void)usleep(ms * 1000);
    words[0] = HELD;
    pushed = weft_state_push(key);
    return answer(pushed, weft_state_set(key, both, sizeof(both)));
}

/* One word is changed under the lock; what the first was. */
static int
change(unsigned which, int64_t to)
{
    int64_t *words, first;
    int err = begin(&words);

    if (err != 0)
        return fail("change", err);
    first = words[0];
    words[which] = to;
    err = weft_state_push(key);
    if (err == 0)
        err = weft_state_unlock(key, WEFT_STATE_LOCK_WRITE);
    return err != 0 ? fail("change", err) : answer(first, 0);
}

int
main(void)
{
    static char line[512];
    char verb[32] = "";
    uint32_t done = 0;
    unsigned ms = 0;

    if (weft_input_read(0, line, sizeof(line) - 1, &done) != 0 ||
        sscanf(line, "%31s %127s %u", verb, key, &ms) != 3)
        return fail("what to do?", 0);
    (void)snprintf(here, sizeof(here), "%s.here", key);
    if (strcmp(verb, "hold") == 0)
        return hold(ms);
    if (strcmp(verb, "take") == 0)
        return change(0, TAKEN);
    return strcmp(verb, "touch") == 0 ? change(1, TOUCHED) : fail("no such verb", 0);
}
