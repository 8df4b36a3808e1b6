/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions of cells with the tier, over their worker's connection: whose they may be, what ends
 * them, and what a worker that says anything comes to.
 */
#include "hosts/hosts_testing.h"

#define LEASE_NS (UINT64_C(600) * SECOND) /* longer than the tests take */

/* A worker that runs one call of shop's tea: so it was told of shop. */
struct scene {
    struct world w;
    struct tier *tier;
    struct agent a;
    struct asked asked[2];
};

static void
come(struct scene *s, const char *name, struct asked *asked)
{
    (void)agent_up(&s->a, &s->w, name, 8);
    (void)ask(&s->w, asked, "tea", 0);
    (void)agent_first_start(&s->a, NULL);
}

static int
setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    struct tier_config config = {.lease_ns = LEASE_NS, .is_first = true};
    struct hosts_config hosts;

    assert_non_null(s);
    world_init(&s->w);
    hosts_destroy(s->w.hosts);
    config.store = s->w.store;
    assert_int_equal(tier_create(&config, &s->tier, NULL), 0);
    hosts = world_config(&s->w);
    hosts.tier = s->tier;
    assert_int_equal(hosts_create(&hosts, &s->w.hosts, NULL), 0);
    (void)world_deploy(&s->w, "shop", "tea", 0);
    world_tenant(&s->w, "bakery");
    come(s, "a", &s->asked[0]);
    *state = s;
    return 0;
}

static int
teardown(void **state)
{
    struct scene *s = *state;

    if (s->a.connection != NULL)
        agent_hang_up(&s->a);
    hosts_destroy(s->w.hosts);
    s->w.hosts = NULL;
    tier_destroy(s->tier);
    world_fini(&s->w);
    asked_fini(&s->asked[0]);
    asked_fini(&s->asked[1]);
    free(s);
    return 0;
}

/* -------------------------------------------------------------------------------- words */

struct words {
    uint64_t session;
    const char *tenant;
    const void *bytes;
    size_t count;
    bool is_over;
};

static void
say(struct scene *s, const struct words *words)
{
    Rpc__HostState message = RPC__HOST_STATE__INIT;

    message.session = words->session;
    message.tenant = writable(words->tenant != NULL ? words->tenant : "");
    message.frame = (ProtobufCBinaryData){words->count, (uint8_t *)(uintptr_t)words->bytes};
    message.is_over = words->is_over;
    agent_say(&s->a, RPC__HOST_UP__IS_STATE, &message);
}
#define SAY(s, ...) say(s, &(struct words){__VA_ARGS__})

/* What comes is of this session. NULL: that it is over. */
static Rpc__StateDown *
hear(struct scene *s, uint64_t session)
{
    Rpc__HostDown *down = agent_await(&s->a, RPC__HOST_DOWN__IS_STATE);
    Rpc__StateDown *word = NULL;

    assert_int_equal(down->state->session, session);
    if (!down->state->is_over) {
        word = (void *)rpc_read(down->state->frame.data, down->state->frame.len,
                                &rpc__state_down__descriptor);
        assert_non_null(word);
    }
    rpc__host_down__free_unpacked(down, NULL);
    return word;
}

static void
expect_refusal(struct scene *s, uint64_t session)
{
    assert_null(hear(s, session));
}

static void
expect_welcome(struct scene *s, uint64_t session)
{
    Rpc__StateDown *word = hear(s, session);

    assert_non_null(word);
    assert_int_equal(word->is_case, RPC__STATE_DOWN__IS_WELCOME);
    rpc__state_down__free_unpacked(word, NULL);
}

static void
say_ask(struct scene *s, uint64_t session, Rpc__StateAsk *ask)
{
    Rpc__StateUp up = RPC__STATE_UP__INIT;
    uint8_t bytes[512];

    up.is_case = RPC__STATE_UP__IS_ASK;
    up.ask = ask;
    assert_true(rpc__state_up__get_packed_size(&up) <= sizeof(bytes));
    SAY(s, .session = session, .bytes = bytes, .count = rpc__state_up__pack(&up, bytes));
}

/* The error of its answer. */
static int
answer(struct scene *s, uint64_t session)
{
    Rpc__StateDown *word = hear(s, session);
    int err;

    assert_non_null(word);
    assert_int_equal(word->is_case, RPC__STATE_DOWN__IS_ANSWER);
    err = word->answer->err;
    rpc__state_down__free_unpacked(word, NULL);
    return err;
}

static int
stat_of(struct scene *s, uint64_t session, const char *key)
{
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;
    Rpc__StateStat message = RPC__STATE_STAT__INIT;

    ask.number = 1;
    ask.key = writable(key);
    ask.is_case = RPC__STATE_ASK__IS_STAT;
    ask.stat = &message;
    say_ask(s, session, &ask);
    return answer(s, session);
}

static void
say_append(struct scene *s, uint64_t session, const char *key)
{
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;
    Rpc__StateAppend append = RPC__STATE_APPEND__INIT;

    ask.number = 2;
    ask.key = writable(key);
    ask.is_case = RPC__STATE_ASK__IS_APPEND;
    ask.append = &append;
    say_ask(s, session, &ask);
}

static void
say_lock(struct scene *s, uint64_t session)
{
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;
    Rpc__StateLock lock = RPC__STATE_LOCK__INIT;

    lock.mode = RPC__STATE_LOCK_MODE__STATE_LOCK_WRITE;
    lock.wait_ns = UINT64_MAX;
    lock.owner = 1;
    ask.number = 3;
    ask.key = writable("lock");
    ask.is_case = RPC__STATE_ASK__IS_LOCK;
    ask.lock = &lock;
    say_ask(s, session, &ask);
}

static struct tier_usage
usage(struct scene *s)
{
    struct tier_usage out;

    tier_usage(s->tier, &out);
    return out;
}

static void
await_sessions(struct scene *s, uint64_t count)
{
    while (usage(s).sessions != count)
        (void)usleep(1000);
}

/* -------------------------------------------------------------------------------- tests */

static void
test_a_cell_of_a_tenant_that_its_worker_was_told_of_has_a_session(void **state)
{
    struct scene *s = *state;

    SAY(s, .session = 7, .tenant = "shop");
    expect_welcome(s, 7);
    assert_int_equal(stat_of(s, 7, "none"), -ENOENT);
    SAY(s, .session = 8, .tenant = "shop");
    expect_welcome(s, 8);
    say_append(s, 7, "log");
    assert_int_equal(answer(s, 7), 0);
    assert_int_equal(stat_of(s, 8, "log"), 0);
    assert_int_equal(usage(s).sessions, 2);
}

static void
test_other_tenants_are_refused(void **state)
{
    static const char *const names[] = {"bakery", "nobody", "", "\xc3\xa4"};
    struct scene *s = *state;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        SAY(s, .session = 7, .tenant = names[i]);
        expect_refusal(s, 7);
    }
    assert_int_equal(usage(s).sessions, 0);
}

/* Its words before that are not the new one's. */
static void
test_a_session_that_begins_anew_is_another_and_one_of_another_tenant_is_refused(void **state)
{
    struct scene *s = *state;

    SAY(s, .session = 7, .tenant = "shop");
    expect_welcome(s, 7);
    SAY(s, .session = 7, .tenant = "shop");
    expect_welcome(s, 7);
    assert_int_equal(usage(s).sessions, 1);
    SAY(s, .session = 7, .tenant = "bakery");
    expect_refusal(s, 7);
    assert_int_equal(usage(s).sessions, 0);
    say_append(s, 7, "log"); /* nobody hears it */
    agent_sync(&s->a);
    SAY(s, .session = 7, .tenant = "shop");
    expect_welcome(s, 7);
    assert_int_equal(stat_of(s, 7, "log"), -ENOENT);
}

static void
test_words_of_no_session_are_not_heard(void **state)
{
    struct scene *s = *state;

    say_append(s, 99, "log");
    SAY(s, .session = 99, .is_over = true);
    SAY(s, .session = 99, .tenant = "shop", .is_over = true);
    agent_sync(&s->a); /* nothing was said but the answer to this */
    SAY(s, .session = 1, .tenant = "shop");
    expect_welcome(s, 1);
    assert_int_equal(stat_of(s, 1, "log"), -ENOENT);
}

static void
test_who_breaks_the_rules_is_refused_and_the_others_go_on(void **state)
{
    static const uint8_t nothing[] = {0x12, 0x00}, garbage[] = {0xff, 0xff, 0xff};
    struct scene *s = *state;

    SAY(s, .session = 1, .tenant = "shop");
    expect_welcome(s, 1);
    SAY(s, .session = 2, .tenant = "shop");
    expect_welcome(s, 2);
    SAY(s, .session = 2, .bytes = garbage, .count = sizeof(garbage));
    expect_refusal(s, 2);
    SAY(s, .session = 2, .tenant = "shop");
    expect_welcome(s, 2);
    SAY(s, .session = 2, .bytes = nothing, .count = sizeof(nothing)); /* an ask of nothing */
    expect_refusal(s, 2);
    assert_int_equal(usage(s).sessions, 1);
    assert_int_equal(stat_of(s, 1, "none"), -ENOENT);
}

static void
test_a_cell_that_ends_leaves_its_locks_at_once(void **state)
{
    struct scene *s = *state;

    SAY(s, .session = 1, .tenant = "shop");
    expect_welcome(s, 1);
    SAY(s, .session = 2, .tenant = "shop");
    expect_welcome(s, 2);
    say_lock(s, 1);
    assert_int_equal(answer(s, 1), 0);
    say_lock(s, 2);
    agent_sync(&s->a); /* it waits */
    assert_int_equal(usage(s).waiting, 1);
    SAY(s, .session = 1, .is_over = true);
    assert_int_equal(answer(s, 2), 0);
}

/* The cell may live, so its lock is its until its lease is over. */
static void
test_a_connection_that_breaks_ends_its_sessions_and_only_their_leases_their_locks(void **state)
{
    struct scene *s = *state;

    SAY(s, .session = 1, .tenant = "shop");
    expect_welcome(s, 1);
    say_lock(s, 1);
    assert_int_equal(answer(s, 1), 0);
    agent_hang_up(&s->a);
    await_sessions(s, 0);
    assert_int_equal(usage(s).locks, 1);
    come(s, "b", &s->asked[1]);
    SAY(s, .session = 1, .tenant = "shop");
    expect_welcome(s, 1);
    say_lock(s, 1);
    agent_sync(&s->a);
    assert_int_equal(usage(s).waiting, 1);
}

static void
test_a_session_for_which_there_is_no_memory_is_refused(void **state)
{
    struct scene *s = *state;

    fault_arm("tier.alloc", 1, -ENOMEM);
    SAY(s, .session = 1, .tenant = "shop");
    expect_refusal(s, 1);
    assert_true(fault_disarm());
    SAY(s, .session = 1, .tenant = "shop");
    expect_welcome(s, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_cell_of_a_tenant_that_its_worker_was_told_of_has_a_session),
        TEST(test_other_tenants_are_refused),
        TEST(test_a_session_that_begins_anew_is_another_and_one_of_another_tenant_is_refused),
        TEST(test_words_of_no_session_are_not_heard),
        TEST(test_who_breaks_the_rules_is_refused_and_the_others_go_on),
        TEST(test_a_cell_that_ends_leaves_its_locks_at_once),
        TEST(test_a_connection_that_breaks_ends_its_sessions_and_only_their_leases_their_locks),
        TEST(test_a_session_for_which_there_is_no_memory_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
