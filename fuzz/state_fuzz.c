/* SPDX-License-Identifier: Apache-2.0
 *
 * Both ends of rpc/state.proto. A cell that says anything, to a tier with its store; a tier that
 * says anything, to the local tier of a cell that has asked for things. At the end of the one
 * an honest tenant has what it had, and nothing of the other waits; at the end of the other an
 * honest tier comes, and everything that was asked for is over. libFuzzer target.
 *
 *   input = (which end) steps: (what) choices...
 */
#include <stdatomic.h>

#include "state/state_testing.h"
#include "store/store_testing.h"

#include "base/assert.h"
#include "rpc/rpc.h"
#include "tier/tier.h"
#include "words.h"

#define STEPS_MAX  60u
#define OPS_MAX    12u
#define LEASE_NS   UINT64_C(30000000)
#define HONEST     "honest"
#define MAPPED     (2 * STATE_CHUNK_BYTES)
#define CLEAN_EACH 64u /* inputs after which what the one stored is removed */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static const char *const texts[] = {"", "a", "b", "m", "log", "a", "log", "\xc3\xa4", "b/c", "m"};
static const uint64_t numbers[] = {0,  1,  2,  3,  4,  5,  6,     7,       8,          9,
                                   10, 11, 12, 16, 64, 99, 65536, 1 << 20, UINT64_MAX, 131072};

/* -------------------------------------------------------------------------- the tier */

static struct tier *tier;
static struct tier_session *session;
static char directory[64], address[80];
static uint64_t inputs;
static atomic_uint_fast64_t serial; /* of the last take; 0: none that is not answered */

static void
hear_nothing(void *context, const Rpc__StateDown *down)
{
    (void)context;
    ASSERT(down->is_case != RPC__STATE_DOWN__IS__NOT_SET);
    if (down->is_case == RPC__STATE_DOWN__IS_TAKE)
        atomic_store(&serial, down->take->serial);
}

static void
open_session(void)
{
    int err;

    atomic_store(&serial, 0);
    err = tier_session_open(tier, "any", hear_nothing, NULL, &session);
    ASSERT(err == 0);
}

/* As the planner does it with what a worker passes on. */
static void
tell_tier(const void *bytes, size_t count)
{
    Rpc__StateUp *up = (void *)rpc_read(bytes, count, &rpc__state_up__descriptor);
    bool is_good = up != NULL && tier_session_hear(session, up);

    if (up != NULL)
        rpc__state_up__free_unpacked(up, NULL);
    if (is_good)
        return;
    tier_session_close(session, count % 2 == 0);
    open_session();
}

static void
yield(void)
{
    Rpc__StateUp up = RPC__STATE_UP__INIT;
    Rpc__StateYield word = RPC__STATE_YIELD__INIT;

    word.serial = atomic_exchange(&serial, 0);
    up.is_case = RPC__STATE_UP__IS_YIELD;
    up.yield = &word;
    if (word.serial != 0)
        ASSERT(tier_session_hear(session, &up));
}

/* Well formed, and of few keys: so that there is something to be wrong about. */
static void
ask_tier(struct words *words)
{
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;
    Rpc__StateUp up = RPC__STATE_UP__INIT;
    Rpc__StatePush push = RPC__STATE_PUSH__INIT;
    Rpc__StatePull pull = RPC__STATE_PULL__INIT;
    Rpc__StateLock lock = RPC__STATE_LOCK__INIT;
    uint8_t kind = words_byte(words), which = words_byte(words);

    ask.number = 100 + kind + inputs % 4;
    ask.key = (char *)(uintptr_t)texts[1 + which % (ARRAY_COUNT(texts) - 1)];
    if (kind % 3 == 0) {
        ask.is_case = RPC__STATE_ASK__IS_PUSH;
        ask.push = &push;
        push.may_create = true;
        push.size = which * UINT64_C(1000);
        push.hold = kind >= 128;
    } else if (kind % 3 == 1) {
        ask.is_case = RPC__STATE_ASK__IS_PULL;
        ask.pull = &pull;
        pull.count = which;
        pull.hold = kind >= 128;
    } else {
        ask.is_case = RPC__STATE_ASK__IS_LOCK;
        ask.lock = &lock;
        lock.mode = RPC__STATE_LOCK_MODE__STATE_LOCK_WRITE;
        lock.owner = which % 4u;
        lock.wait_ns = kind >= 128 ? UINT64_MAX : 0;
    }
    up.is_case = RPC__STATE_UP__IS_ASK;
    up.ask = &ask;
    if (tier_session_hear(session, &up))
        return;
    tier_session_close(session, false);
    open_session();
}

struct waiting {
    sem_t over;
    int err;
    uint64_t number;
};

static void
answered(void *context, const Rpc__StateAnswer *answer)
{
    struct waiting *waiting = context;

    waiting->err = answer->err;
    if (answer->bytes.len == sizeof(waiting->number))
        (void)memcpy(&waiting->number, answer->bytes.data, sizeof(waiting->number));
    (void)sem_post(&waiting->over);
}

static uint64_t
ask_honestly(Rpc__StateAsk *ask)
{
    struct waiting waiting = {.err = -1};
    int err;

    (void)sem_init(&waiting.over, 0, 0);
    ask->key = (char *)(uintptr_t)"a";
    err = tier_ask(tier, HONEST, ask, answered, &waiting);
    ASSERT(err == 0);
    while (sem_wait(&waiting.over) != 0)
        continue;
    ASSERT(waiting.err == 0);
    (void)sem_destroy(&waiting.over);
    return waiting.number;
}

static void
push_honestly(uint64_t number)
{
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;
    Rpc__StatePush push = RPC__STATE_PUSH__INIT;
    Rpc__StateRun run = RPC__STATE_RUN__INIT, *runs[] = {&run};

    run.count = push.size = push.bytes.len = sizeof(number);
    push.bytes.data = (uint8_t *)&number;
    push.runs = runs;
    push.n_runs = 1;
    push.may_create = push.replaces = true;
    ask.is_case = RPC__STATE_ASK__IS_PUSH;
    ask.push = &push;
    (void)ask_honestly(&ask);
}

static uint64_t
pull_honestly(void)
{
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;
    Rpc__StatePull pull = RPC__STATE_PULL__INIT;

    pull.count = sizeof(uint64_t);
    ask.is_case = RPC__STATE_ASK__IS_PULL;
    ask.pull = &pull;
    return ask_honestly(&ask);
}

static void
remove_all(void)
{
    testing_remove(directory);
}

static void
begin_tier(void)
{
    struct store_config store_config = {.records = address};
    struct tier_config config = {.lease_ns = LEASE_NS, .is_first = true, .cache_bytes = 1 << 20};
    int err;

    testing_directory(directory);
    (void)snprintf(address, sizeof(address), "dir:%s", directory);
    (void)atexit(remove_all);
    config.store = testing_open(&store_config);
    err = tier_create(&config, &tier, NULL);
    ASSERT(err == 0);
}

static void
say_to_tier(struct words *words)
{
    struct tier_usage usage;

    if (tier == NULL)
        begin_tier();
    push_honestly(++inputs);
    open_session();
    for (unsigned i = 0; i < STEPS_MAX && words->at < words->end; i++) {
        uint8_t what = words_byte(words);

        if (what % 8u < 4)
            words_say(words, &rpc__state_up__descriptor, tell_tier);
        else if (what % 8u < 6)
            ask_tier(words);
        else if (what % 8u == 6)
            words_say_any(words, tell_tier);
        else
            yield();
    }
    tier_session_close(session, true);
    tier_usage(tier, &usage);
    ASSERT(usage.waiting == 0 && usage.sessions == 0);
    ASSERT(pull_honestly() == inputs);
    if (inputs % CLEAN_EACH == 0)
        ASSERT(tier_forget_tenant(tier, "any", NULL) == 0);
}

/* -------------------------------------------------------------------- the local tier */

static struct fake fake;
static struct state *here;
static uint64_t ops[OPS_MAX];
static size_t op_count;
static bool was_broken;

/* What it cannot read is the end of the connection. */
static void
tell_here(const void *bytes, size_t count)
{
    Rpc__StateDown *down = (void *)rpc_read(bytes, count, &rpc__state_down__descriptor);
    bool is_good = down != NULL && state_hear(here, down);

    if (down != NULL)
        rpc__state_down__free_unpacked(down, NULL);
    if (is_good)
        return;
    state_lost(here);
    was_broken = true;
}

static void
welcome_again(void)
{
    Rpc__StateDown down = RPC__STATE_DOWN__INIT;
    Rpc__StateWelcome welcome = RPC__STATE_WELCOME__INIT;

    if (!was_broken)
        return;
    welcome.version = RPC__STATE_VERSION__STATE_VERSION;
    welcome.lease_ns = FAKE_LEASE_NS;
    down.is_case = RPC__STATE_DOWN__IS_WELCOME;
    down.welcome = &welcome;
    was_broken = !state_hear(here, &down);
}

static void
ask_here(struct words *words)
{
    static const char bytes[300] = "after";
    uint8_t kind = words_byte(words), which = words_byte(words);
    struct state_request request = {.kind = kind % (STATE_EXPIRE + 1),
                                    .key = texts[1 + which % (ARRAY_COUNT(texts) - 1)],
                                    .count = which,
                                    .bytes = bytes,
                                    .version = which < 128 ? UINT64_MAX : which % 8u,
                                    .number = 1 + which % 2u,
                                    .size = which % 64u,
                                    .is_write = which % 2 == 0,
                                    .wait_ns = which % 4 == 0 ? UINT64_MAX : 0,
                                    .owner = 1};
    struct state_result result = {0};
    uint64_t op = 0;

    if (op_count < OPS_MAX && state_start(here, &request, 1, &op, &result) == -EAGAIN)
        ops[op_count++] = op;
    else
        state_result_fini(&result);
}

static void
finish(uint64_t op)
{
    struct state_result result = {0};

    if (state_finish(here, op, &result) == -EAGAIN) {
        state_forget(here, op);
        fake_run(&fake);
    }
    state_result_fini(&result);
}

/* An honest tier: what waits on is for what never comes. */
static void
end_here(void)
{
    struct state_request request = {
        .kind = STATE_SET, .key = HONEST, .bytes = "12345678", .count = 8, .owner = 2};
    struct state_result result = {0};
    int err;

    fake_break(&fake, &fake.cells[0]);
    fake_welcome(&fake.cells[0]);
    fake_run(&fake);
    for (size_t i = 0; i < op_count; i++)
        finish(ops[i]);
    state_call_over(here, 1);
    fake_run(&fake);
    ASSERT(fake_try(&fake, 0, &request) == 0);
    request.kind = STATE_GET;
    err = fake_do(&fake, 0, &request, &result);
    ASSERT(err == 0 && result.count == 8 && memcmp(result.bytes, "12345678", 8) == 0);
    state_result_fini(&result);
}

static void
say_here(struct words *words)
{
    struct state_request mapped = {.key = "m", .count = MAPPED, .owner = 1};
    struct state_mapping mapping;

    fake_init(&fake, 0);
    here = fake.cells[0].state;
    op_count = 0;
    was_broken = false;
    fake_put(&fake, "m", NULL, MAPPED);
    ASSERT(fake_map(&fake, 0, &mapped, STATE_MAP_WRITE | STATE_MAP_LAZY, &mapping) == 0);
    for (unsigned i = 0; i < STEPS_MAX && words->at < words->end; i++) {
        uint8_t what = words_byte(words);

        welcome_again();
        if (what % 8u < 4)
            words_say(words, &rpc__state_down__descriptor, tell_here);
        else if (what % 8u < 6)
            ask_here(words);
        else if (what % 8u == 6)
            words_say_any(words, tell_here);
        else
            (void)!state_touch(here, mapping.entry, words_byte(words) * UINT64_C(512), 1);
    }
    end_here();
    mem_share_put(mapping.share);
    state_unmap(here, mapping.entry, mapping.is_writable);
    fake_fini(&fake);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct words words = {.at = bytes,
                          .end = bytes + count,
                          .numbers = numbers,
                          .number_count = ARRAY_COUNT(numbers),
                          .texts = texts,
                          .text_count = ARRAY_COUNT(texts)};
    static const uint8_t hashes[1][32];

    words.hashes = hashes;
    words.hash_count = 1;
    mem_prepare();
    if (words_byte(&words) % 2 == 0)
        say_to_tier(&words);
    else
        say_here(&words);
    return 0;
}
