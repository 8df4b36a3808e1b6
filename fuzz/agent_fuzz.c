/* SPDX-License-Identifier: Apache-2.0
 *
 * A planner that has the cluster's key and says anything: to a worker with cells, a cache and
 * a directory of its own, through a real connection. After each word the worker still beats,
 * or has closed the connection and dials again. At the end an honest planner comes: nothing
 * of the other runs any more, and a call is answered. libFuzzer target.
 *
 *   input = steps: (what) choices...
 */
#include "agent/agent_testing.h"

#include "agent/link_testing.h"
#include "base/assert.h"
#include "words.h"

#define NUMBERS_MAX 16u
#define STEPS_MAX   40u
#define COMES_MAX   4u /* handshakes take most of the time */
#define HONEST_CALL UINT64_C(1234567)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* Tenants, entries, paths of files, places to freeze. */
static const char *const texts[] = {
    "",        "a",         "b",      "echo",    "chain", "save",
    "nothing", "exit",      "echo",   "results", "lost",  "chain-twice",
    "/data/a", "/data/a/b", "/../up", "a=b",     "crash", "fd_read:0",
};

static struct planner planner;
static uint8_t hashes[3][32];
static uint64_t numbers[NUMBERS_MAX];
static size_t number_count;
static bool is_up;
static unsigned comes; /* of this input, beside the first */

static void
remember(uint64_t number)
{
    if (number_count < NUMBERS_MAX)
        numbers[number_count++] = number;
    else
        numbers[number % NUMBERS_MAX] = number;
}

/* ------------------------------------------------------------------------------ hearing */

/* The next word; false: the connection is over. */
static bool
hear(Rpc__HostUp__IsCase *is)
{
    Rpc__HostUp *up = planner_next(&planner);

    if (up == NULL)
        return false;
    *is = up->is_case;
    if (up->is_case == RPC__HOST_UP__IS_CHAIN)
        remember(up->chain->number);
    rpc__host_up__free_unpacked(up, NULL);
    return true;
}

/* After two beats, of which one may have been under way, it has said, or begun, what it had to
 * say to what was said before. */
static void
settle(unsigned wanted)
{
    Rpc__HostUp__IsCase is;

    for (unsigned beats = 0; is_up && beats < wanted;) {
        is_up = hear(&is);
        beats += is_up && is == RPC__HOST_UP__IS_BEAT;
    }
}

/* ------------------------------------------------------------------------------- coming */

static void
come(bool keeps)
{
    planner_register(&planner, keeps);
    is_up = true;
}

static void
send_bytes(const void *bytes, size_t count)
{
    int err = net_send(planner.connection, bytes, count, NULL, 0);

    ASSERT(err == 0 || err == -EPIPE);
}

/* A welcome with anything in it, which may be refused. */
static void
come_any(struct words *words)
{
    Rpc__HostUp *up = planner_greet(&planner);
    struct buffer packed = {0}, down = {0};
    uint8_t head[] = {0x0a, 0, 0};
    Rpc__HostUp__IsCase is;

    rpc__host_up__free_unpacked(up, NULL);
    words_message(words, &rpc__host_welcome__descriptor, &packed);
    packed.count = packed.count < 16383 ? packed.count : 0;
    head[1] = (uint8_t)(packed.count | 0x80);
    head[2] = (uint8_t)(packed.count >> 7);
    buffer_append(&down, head, sizeof(head));
    if (packed.count > 0)
        buffer_append(&down, packed.bytes, packed.count);
    send_bytes(down.bytes, down.count);
    buffer_fini(&packed);
    buffer_fini(&down);
    /* It beats at once where it takes the welcome, and closes where not. How often it beats
     * after that is the welcome's to say: so it is not waited for. */
    (void)hear(&is);
    is_up = false;
}

/* --------------------------------------------------------------------------------- steps */

static void
say_word(struct words *words)
{
    words_say(words, &rpc__host_down__descriptor, send_bytes);
}

static void
say_any(struct words *words)
{
    words_say_any(words, send_bytes);
}

/* Well formed: so that there is something to be wrong about. */
static void
say_start(struct words *words)
{
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(numbers[words_byte(words) % number_count]);
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    uint8_t kind = words_byte(words);

    run.members = kind >= 224 ? 1 : 1 + kind % 3u;
    start.run = &run;
    start.function = 1 + kind % 2u;
    start.entry = (char *)(uintptr_t)texts[3 + words_byte(words) % 9u];
    start.has_save = kind >= 224;
    down.is_case = RPC__HOST_DOWN__IS_START;
    down.start = &start;
    (void)!rpc_send(planner.connection, &down.base, NULL, 0);
}

static void
say_function(struct words *words)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostTenant tenant = RPC__HOST_TENANT__INIT;
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    Rpc__HostFile file = RPC__HOST_FILE__INIT, *files[1] = {&file};
    uint8_t kind = words_byte(words);

    tenant.name = (char *)(uintptr_t)(kind % 2 == 0 ? "a" : "b");
    down.is_case = RPC__HOST_DOWN__IS_TENANT;
    down.tenant = &tenant;
    (void)!rpc_send(planner.connection, &down.base, NULL, 0);
    function.number = 1 + kind % 2u;
    function.tenant = tenant.name;
    function.image = (ProtobufCBinaryData){32, hashes[kind % 3]};
    file.path = (char *)(uintptr_t)texts[12 + kind % 3];
    file.hash = (ProtobufCBinaryData){32, hashes[1]};
    function.files = files;
    function.n_files = kind >= 128 ? 1 : 0;
    down.is_case = RPC__HOST_DOWN__IS_FUNCTION;
    down.function = &function;
    (void)!rpc_send(planner.connection, &down.base, NULL, 0);
}

/* Of a chain that a cell began, or of none. */
static void
say_chain_end(struct words *words)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostChainEnd words_of = RPC__HOST_CHAIN_END__INIT;
    Rpc__HostEnd end = RPC__HOST_END__INIT;

    end.kind = (Rpc__HostEndKind)(words_byte(words) % (RPC__HOST_END_KIND__HOST_END_LOST + 1));
    words_of.number = numbers[words_byte(words) % number_count];
    words_of.end = words_byte(words) % 8u != 0 ? &end : NULL;
    down.is_case = RPC__HOST_DOWN__IS_CHAIN_END;
    down.chain_end = &words_of;
    (void)!rpc_send(planner.connection, &down.base, NULL, 0);
}

static void
step(struct words *words)
{
    static void (*const steps[])(struct words *words) = {
        say_word, say_word, say_word, say_start, say_function, say_any, say_chain_end,
    };
    uint8_t what = words_byte(words);

    planner.serves_blobs = what % 2 == 0;
    if (!is_up || (what >= 244 && comes < COMES_MAX)) {
        comes++;
        if (what >= 250)
            come_any(words);
        else
            come(what % 3 != 0);
    } else {
        steps[what % ARRAY_COUNT(steps)](words);
    }
    settle(what % 32u == 0 ? 2 : what % 4u == 0);
}

/* ------------------------------------------------------------------------------ the end */

static bool
is_empty(const struct agent_view *view)
{
    return view->calls == 0 && view->unheard == 0 && view->blobs_wanted == 0;
}

static void
end_all(void)
{
    struct store_hash image;
    Rpc__HostUp *up;

    planner.life++;
    planner.serves_blobs = true;
    (void)memcpy(image.bytes, hashes[0], 32);
    come(false);
    (void)testing_look_until(planner.agent, is_empty);
    planner_tenant(&planner, "honest");
    {
        Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;

        function.number = 1;
        function.tenant = (char *)(uintptr_t)"honest";
        function.image = testing_hash(&image);
        planner_function(&planner, &function);
    }
    planner_call(&planner, HONEST_CALL, 1, "echo");
    up = planner_hear_end(&planner, HONEST_CALL);
    ASSERT(up->end->kind == RPC__HOST_END_KIND__HOST_END_DONE);
    rpc__host_up__free_unpacked(up, NULL);
    planner_heard(&planner, HONEST_CALL);
    planner_forget(&planner);
    settle(2);
    number_count = 0;
}

/* What it kept goes with it; its threads do not matter any more. */
static void
remove_all(void)
{
    (void)nftw(planner.top, testing_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
begin(void)
{
    struct store_hash hash;

    planner_start(&planner);
    (void)atexit(remove_all);
    planner.beat_ns = 1000000;
    hash = planner_put(&planner, "an image", 8);
    (void)memcpy(hashes[0], hash.bytes, 32);
    hash = planner_put(&planner, "a file", 6);
    (void)memcpy(hashes[1], hash.bytes, 32);
    (void)memset(hashes[2], 7, 32);
    planner_start_agent(&planner, "double");
    testing_dial_at_once(planner.agent);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct words words = {bytes,
                          bytes + count,
                          numbers,
                          0,
                          texts,
                          ARRAY_COUNT(texts),
                          (const uint8_t(*)[32])hashes,
                          ARRAY_COUNT(hashes)};

    if (planner.agent == NULL)
        begin();
    planner.life++;
    come(false);
    for (uint64_t number = 1; number < 6; number++)
        remember(number);
    remember(planner.life);
    comes = 0;
    for (unsigned i = 0; i < STEPS_MAX && comes <= COMES_MAX && words.at < words.end; i++) {
        words.number_count = number_count;
        step(&words);
    }
    end_all();
    return 0;
}
