/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker that has the cluster's key and says anything: to a planner with a store, a catalog
 * and calls of its own, through a real connection. After each word the planner still answers
 * a beat, or has closed the connection. At the end an honest worker comes by the same name,
 * and all calls are over. libFuzzer target.
 *
 *   input = steps: (what) choices...
 */
#include "hosts/hosts_testing.h"

#include "base/assert.h"
#include "words.h"

#define CALLS_MAX   6u /* of one input */
#define NUMBERS_MAX 24u
#define STEPS_MAX   60u
#define COMES_MAX   4u /* handshakes take most of the time */
#define SLOTS       4u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static const char *const texts[] = {
    "",         "shop",      "bakery",    "square", "prepare",
    "square:1", "bakery/f",  "square@x",  "nobody", "square:99999",
    "f",        "fd_read:0", "it failed", "cellar", "\xc3\xa4\xe2\x82\xac",
};

static struct world world;
static struct agent worker;
static uint8_t hashes[3][32];
static uint64_t numbers[NUMBERS_MAX];
static size_t number_count;
static uint64_t life;
static bool is_up;
static unsigned comes; /* of this input, beside the first */
static struct asked asked[CALLS_MAX];
static unsigned asked_count;

static void
remember(uint64_t number)
{
    if (number_count < NUMBERS_MAX)
        numbers[number_count++] = number;
    else
        numbers[number % NUMBERS_MAX] = number;
}

/* ------------------------------------------------------------------------------ hearing */

static void
take_word(const Rpc__HostDown *down)
{
    if (down->is_case == RPC__HOST_DOWN__IS_START) {
        remember(down->start->run->call);
        remember(down->start->function);
    } else if (down->is_case == RPC__HOST_DOWN__IS_CHAIN_END) {
        ASSERT(down->chain_end->end != NULL);
    } else if (down->is_case == RPC__HOST_DOWN__IS_WELCOME) {
        life = down->welcome->planner;
    }
}

static void
hang_up(void)
{
    if (worker.connection != NULL)
        agent_hang_up(&worker);
    is_up = false;
}

/* Until it has said this; false: it has closed the connection. */
static bool
hear_until(Rpc__HostDown__IsCase is)
{
    for (;;) {
        Rpc__HostDown__IsCase said;
        struct net_frame frame;
        Rpc__HostDown *down;

        if (agent_frame(&worker, &frame) != 0)
            return false;
        down = (void *)rpc_read(frame.bytes, frame.count, &rpc__host_down__descriptor);
        net_frame_fini(&frame);
        if (down == NULL)
            return false; /* a refusal */
        said = down->is_case;
        take_word(down);
        rpc__host_down__free_unpacked(down, NULL);
        if (said == is)
            return true;
    }
}

/* It has heard all that was said before. */
static void
settle(void)
{
    Rpc__HostBeat beat = RPC__HOST_BEAT__INIT;

    if (!is_up)
        return;
    agent_say(&worker, RPC__HOST_UP__IS_BEAT, &beat);
    if (!hear_until(RPC__HOST_DOWN__IS_HEARD))
        hang_up();
}

/* ------------------------------------------------------------------------------- coming */

/* A connection that was closed may not have been noticed yet: then the name is taken. */
static bool
greet(void)
{
    hang_up();
    agent_dial_as(&worker, &world, testing_key, HOST_LABEL);
    if (agent_greet(&worker, "host") == 0)
        return true;
    hang_up();
    return false;
}

static void
come(uint64_t planner)
{
    for (;;) {
        Rpc__HostRegister message = RPC__HOST_REGISTER__INIT;

        while (!greet())
            continue;
        message.slots = SLOTS;
        message.memory_bytes = 1u << 30;
        message.planner = planner;
        agent_say(&worker, RPC__HOST_UP__IS_REGISTER, &message);
        if (hear_until(RPC__HOST_DOWN__IS_WELCOME))
            break;
    }
    is_up = true;
}

/* --------------------------------------------------------------------------------- steps */

static void
say_bytes(const void *bytes, size_t count)
{
    int err = net_send(worker.connection, bytes, count, NULL, 0);

    ASSERT(err == 0 || err == -EPIPE);
    while (net_is_open(worker.connection) && net_queued(worker.connection) > 0)
        if (net_flush(worker.connection) != 0)
            break;
}

static void
say_word(struct words *words)
{
    words_say(words, &rpc__host_up__descriptor, say_bytes);
}

static void
say_any(struct words *words)
{
    words_say_any(words, say_bytes);
}

/* An end of what runs here, well formed: so more calls come. */
static void
say_end(struct words *words)
{
    uint64_t call = number_count > 0 ? numbers[words_byte(words) % number_count] : 1;

    agent_end(&worker, call, words_byte(words) % 3u,
              (Rpc__HostEndKind)(words_byte(words) % (RPC__HOST_END_KIND__HOST_END_LOST + 1)));
}

/* A call of a call that runs here, well formed. */
static void
say_chain(struct words *words)
{
    static const char *const references[] = {"square", "square:1", "bakery/f", "nobody"};
    Rpc__HostChain chain = RPC__HOST_CHAIN__INIT;
    uint8_t kind = words_byte(words);

    chain.number = kind % 4u;
    chain.parent = number_count > 0 ? numbers[words_byte(words) % number_count] : 1;
    chain.tenant = writable("shop");
    chain.reference = writable(references[kind / 4u % 4u]);
    chain.is_detached = kind >= 128;
    agent_say(&worker, RPC__HOST_UP__IS_CHAIN, &chain);
}

static void
register_any(struct words *words)
{
    struct buffer packed = {0}, up = {0};
    uint8_t head[] = {0x0a, 0, 0};

    words_message(words, &rpc__host_register__descriptor, &packed);
    packed.count = packed.count < 16383 ? packed.count : 0;
    head[1] = (uint8_t)(packed.count | 0x80);
    head[2] = (uint8_t)(packed.count >> 7);
    buffer_append(&up, head, sizeof(head));
    if (packed.count > 0)
        buffer_append(&up, packed.bytes, packed.count);
    if (greet()) {
        say_bytes(up.bytes, up.count);
        is_up = hear_until(RPC__HOST_DOWN__IS_WELCOME);
    }
    if (!is_up)
        hang_up();
    buffer_fini(&packed);
    buffer_fini(&up);
}

static void
call(struct words *words)
{
    uint8_t kind = words_byte(words);
    struct wanted wanted;
    Ledger__Prepare prepare = LEDGER__PREPARE__INIT;

    if (asked_count == CALLS_MAX)
        return;
    (void)want(&wanted, kind % 2 == 0 ? "square" : "prepare", 1, 1 + kind % 3u);
    if (kind % 2 == 1) {
        prepare.image = (ProtobufCBinaryData){32, world.image.bytes};
        prepare.save_at = writable("fd_read:0");
        wanted.request.prepare = &prepare;
    }
    remember(kind >= 192 ? ask_async(&world, &asked[asked_count], &wanted.call)
                         : ask_call(&world, &asked[asked_count], &wanted.call));
    asked_count++;
}

static void
cancel(struct words *words)
{
    if (asked_count > 0)
        (void)!planner_cancel(world.planner, "shop", asked[words_byte(words) % asked_count].id);
}

static void
change(struct words *words)
{
    switch (words_byte(words) % 4u) {
    case 0:
        hosts_changed(world.hosts, "shop", "square");
        break;
    case 1:
        hosts_changed(world.hosts, "shop", NULL);
        break;
    case 2:
        (void)!hosts_drain(world.hosts, "host", true);
        break;
    default:
        (void)!hosts_drain(world.hosts, "host", false);
        break;
    }
}

static void
step(struct words *words)
{
    static void (*const of_planner[])(struct words *words) = {call, call, cancel, change};
    static void (*const of_worker[])(struct words *words) = {
        say_word, say_word, say_word, say_end, say_chain, say_any,
    };
    uint8_t what = words_byte(words);

    if (!is_up || (what >= 244 && comes < COMES_MAX)) {
        comes++;
        if (what >= 250)
            register_any(words);
        else
            come(what % 2 == 0 ? life : 0);
    } else if (what >= 64) {
        of_worker[what % ARRAY_COUNT(of_worker)](words);
    } else {
        of_planner[what % ARRAY_COUNT(of_planner)](words);
    }
    settle();
}

/* ------------------------------------------------------------------------------ the end */

static bool
cancel_one(void *tenant, const Ledger__Call *one)
{
    (void)!planner_cancel(world.planner, tenant, one->id);
    return true;
}

static bool
is_idle(void)
{
    struct planner_usage usage;

    planner_usage(world.planner, &usage);
    return usage.waiting == 0 && usage.running == 0;
}

/* What a worker that has nothing does not name is lost, and what is cancelled is not tried
 * again. */
static void
end_all(void)
{
    static const char *const tenants[] = {"shop", "bakery"};

    (void)!hosts_drain(world.hosts, "host", false);
    do {
        for (size_t i = 0; i < ARRAY_COUNT(tenants); i++)
            (void)!planner_list(world.planner, tenants[i], 0, 0, cancel_one, writable(tenants[i]),
                                NULL);
        come(life);
        settle();
    } while (!is_idle());
    for (unsigned i = 0; i < asked_count; i++) {
        (void)asked_await(&asked[i]);
        asked_fini(&asked[i]);
    }
    asked_count = 0;
    number_count = 0;
}

static void
begin(void)
{
    world_init(&world);
    world_tenant(&world, "bakery");
    (void)world_deploy(&world, "shop", "square", 2);
    (void)world_deploy(&world, "bakery", "f", 1);
    (void)memcpy(hashes[0], world.image.bytes, 32);
    (void)memcpy(hashes[1], world.model.bytes, 32);
    (void)memset(hashes[2], 7, 32);
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

    if (world.hosts == NULL)
        begin();
    come(0);
    remember(life);
    comes = 0;
    for (unsigned i = 0; i < STEPS_MAX && comes <= COMES_MAX && words.at < words.end; i++) {
        words.number_count = number_count;
        step(&words);
    }
    end_all();
    return 0;
}
