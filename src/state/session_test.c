/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases, connections that break, and a tier that breaks the rules.
 */
#include "state/state_testing.h"

static struct fake fake;
static _Atomic uint64_t test_ns;

static uint64_t
test_now(void)
{
    return test_ns;
}

static int
setup(void **state)
{
    (void)state;
    fake_init(&fake, 0);
    test_ns = UINT64_C(1000000000000);
    for (unsigned i = 0; i < FAKE_CELLS; i++) {
        fake.cells[i].state->now = test_now;
        fake_break(&fake, &fake.cells[i]);
        fake_welcome(&fake.cells[i]);
    }
    fake_run(&fake);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    fake_fini(&fake);
    return 0;
}

static struct state *
here(void)
{
    return fake.cells[0].state;
}

static int
do_kind(enum state_kind kind, uint64_t owner)
{
    struct state_request request = {.kind = kind,
                                    .key = "a",
                                    .bytes = "two",
                                    .count = 3,
                                    .owner = owner,
                                    .is_write = true,
                                    .version = UINT64_MAX};

    return fake_try(&fake, 0, &request);
}

static bool
is_current(void)
{
    char bytes[3];

    return state_read_current(here(), "a", 0, bytes, 3) == 0;
}

static uint64_t
start(enum state_kind kind, uint64_t owner)
{
    struct state_request request = {.kind = kind,
                                    .key = "a",
                                    .bytes = "two",
                                    .count = 3,
                                    .owner = owner,
                                    .is_write = true,
                                    .size = 8,
                                    .number = 1,
                                    .wait_ns = UINT64_MAX};
    struct state_result result;
    uint64_t op;

    assert_int_equal(state_start(here(), &request, 1, &op, &result), -EAGAIN);
    return op;
}

static int
finish(uint64_t op)
{
    struct state_result result = {0};
    int err = state_finish(here(), op, &result);

    state_result_fini(&result);
    return err;
}

/* ------------------------------------------------------------------------------- leases */

static void
test_nothing_is_current_when_the_lease_is_over(void **state)
{
    (void)state;
    fake_put(&fake, "a", "one", 3);
    assert_int_equal(do_kind(STATE_GET, 0), 0);
    assert_true(is_current());
    test_ns += FAKE_LEASE_NS - 1;
    assert_true(is_current());
    test_ns += 1;
    assert_false(is_current());
}

/* From when it was sent, not from when the answer came. */
static void
test_the_lease_counts_from_when_the_beat_was_sent(void **state)
{
    uint64_t next;

    (void)state;
    fake_put(&fake, "a", "one", 3);
    assert_int_equal(do_kind(STATE_GET, 0), 0);
    test_ns += FAKE_LEASE_NS / 2;
    next = state_tick(here(), test_ns);
    assert_int_equal(next, test_ns + FAKE_LEASE_NS / 4);
    test_ns += FAKE_LEASE_NS / 4;
    fake_run(&fake);
    test_ns += FAKE_LEASE_NS * 3 / 4 - 1;
    assert_true(is_current());
    test_ns += 1;
    assert_false(is_current());
}

static void
test_what_was_held_before_the_lease_was_over_counts_no_more(void **state)
{
    (void)state;
    fake_put(&fake, "a", "one", 3);
    assert_int_equal(do_kind(STATE_GET, 0), 0);
    test_ns += FAKE_LEASE_NS;
    (void)state_tick(here(), test_ns);
    fake_run(&fake);
    assert_false(is_current());
    assert_int_equal(do_kind(STATE_GET, 0), 0);
    assert_true(is_current());
}

static void
test_beats_come_four_times_in_a_lease(void **state)
{
    uint64_t beats = fake.beats;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        test_ns += FAKE_LEASE_NS / 100;
        (void)state_tick(here(), test_ns);
        fake_run(&fake);
    }
    assert_int_equal(fake.beats - beats, 4);
}

static void
test_a_beat_tells_what_is_here_and_was_done_since_the_last(void **state)
{
    (void)state;
    fake_put(&fake, "a", "12345678", 8);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(do_kind(STATE_GET, 0), 0); /* the first asks */
    test_ns += FAKE_LEASE_NS / 4;
    (void)state_tick(here(), test_ns);
    fake_run(&fake);
    assert_int_equal(fake.hits, 3);
    assert_int_equal(fake.entries, 1);
    test_ns += FAKE_LEASE_NS / 4;
    (void)state_tick(here(), test_ns);
    fake_run(&fake);
    assert_int_equal(fake.hits, 3);
}

/* -------------------------------------------------------------------------------- takes */

static void
test_a_take_while_it_is_read_in_pieces_is_seen(void **state)
{
    const uint64_t size = 3 * FAKE_PIECE;
    struct state_request request = {.kind = STATE_GET, .key = "a", .count = size};
    uint8_t *bytes = malloc(size);
    uint64_t sequence;

    (void)state;
    fake_put(&fake, "a", NULL, size);
    assert_int_equal(fake_try(&fake, 0, &request), 0);
    sequence = entry_find(here(), "a")->sequence;
    fake_take(&fake, fake_value(&fake, "a"), 0);
    fake_run(&fake);
    assert_true(entry_find(here(), "a")->sequence > sequence);
    assert_int_equal(state_read_current(here(), "a", 0, bytes, size), -EAGAIN);
    free(bytes);
}

static void
test_a_yield_goes_before_what_comes_later(void **state)
{
    uint64_t op;

    (void)state;
    fake_put(&fake, "a", "one", 3);
    assert_int_equal(do_kind(STATE_GET, 0), 0);
    fake_take(&fake, fake_value(&fake, "a"), 0);
    assert_true(fake_tell_one(&fake, NULL));
    op = start(STATE_SET, 0);
    assert_true(fake_hear_one(&fake));
    assert_int_equal(fake.yields, 1);
    assert_int_equal(fake.pushes, 0);
    fake_run(&fake);
    assert_int_equal(finish(op), 0);
}

/* A push that came between a pull's answer and its take: the answer may be heard after it. */
static void
test_an_answer_from_before_a_take_makes_nothing_current(void **state)
{
    struct fake_word *take;
    uint64_t op = 0;

    (void)state;
    fake_put(&fake, "a", "one", 3);
    op = start(STATE_GET, 0);
    fake_hear(&fake);
    fake_take(&fake, fake_value(&fake, "a"), 0);
    take = TAILQ_LAST(&fake.downs, fake_words);
    TAILQ_REMOVE(&fake.downs, take, next);
    TAILQ_INSERT_HEAD(&fake.downs, take, next);
    fake_run(&fake);
    assert_int_equal(finish(op), 0);
    assert_false(is_current());
}

/* The set waits for the other cell to let go; what is pulled meanwhile is over with it. */
static void
test_a_pull_beside_a_change_of_ours_makes_nothing_current(void **state)
{
    struct state_request request = {.kind = STATE_GET, .key = "a", .count = 3};
    uint64_t set, get;

    (void)state;
    fake_put(&fake, "a", "one", 3);
    assert_int_equal(fake_try(&fake, 1, &request), 0);
    set = start(STATE_SET, 0);
    get = start(STATE_GET, 0);
    fake_hear(&fake);
    assert_true(fake_tell_one(&fake, NULL)); /* the take, to the other */
    assert_true(fake_tell_one(&fake, NULL));
    assert_int_equal(finish(get), 0);
    assert_int_equal(finish(set), -EAGAIN);
    assert_false(is_current());
    fake_run(&fake);
    assert_int_equal(finish(set), 0);
    assert_true(is_current());
}

static void
test_a_pull_from_before_a_removal_makes_nothing_current(void **state)
{
    struct fake_word *removal;
    uint64_t get, removed;

    (void)state;
    fake_put(&fake, "a", "one", 3);
    get = start(STATE_GET, 0);
    removed = start(STATE_REMOVE, 0);
    fake_hear(&fake);
    removal = TAILQ_LAST(&fake.downs, fake_words);
    TAILQ_REMOVE(&fake.downs, removal, next);
    TAILQ_INSERT_HEAD(&fake.downs, removal, next);
    fake_run(&fake);
    assert_int_equal(finish(removed), 0);
    assert_int_equal(finish(get), 0);
    assert_false(is_current());
}

/* --------------------------------------------------------------------------------- lost */

static void
test_what_may_be_said_again_is_and_the_rest_ends(void **state)
{
    static const struct {
        enum state_kind kind;
        int err;
    } cases[] = {{STATE_GET, 0},    {STATE_SET, 0},     {STATE_PULL, 0},
                 {STATE_STAT, 0},   {STATE_ADD, -EIO},  {STATE_APPEND, -EIO},
                 {STATE_CAS, -EIO}, {STATE_LOCK, -EIO}, {STATE_REMOVE, 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint64_t op;

        fake_put(&fake, "a", "12345678", 8);
        fake_take(&fake, fake_value(&fake, "a"), 0);
        fake_run(&fake);
        op = start(cases[i].kind, 9);
        fake_break(&fake, &fake.cells[0]);
        assert_int_equal(finish(op), cases[i].err != 0 ? cases[i].err : -EAGAIN);
        fake_welcome(&fake.cells[0]);
        fake_run(&fake);
        if (cases[i].err == 0)
            assert_int_equal(finish(op), 0);
        assert_int_equal(here()->asks.count, 0);
        assert_int_equal(here()->locks.count, 0);
    }
}

static void
test_what_was_not_said_yet_is_said_with_the_welcome(void **state)
{
    uint64_t op;

    (void)state;
    fake_put(&fake, "a", "12345678", 8);
    fake_break(&fake, &fake.cells[0]);
    op = start(STATE_ADD, 0);
    fake_run(&fake);
    assert_int_equal(finish(op), -EAGAIN);
    fake_welcome(&fake.cells[0]);
    fake_run(&fake);
    assert_int_equal(finish(op), 0);
}

static void
test_who_waits_too_long_for_a_connection_is_told(void **state)
{
    uint64_t pull, add;

    (void)state;
    fake_break(&fake, &fake.cells[0]);
    pull = start(STATE_GET, 0);
    add = start(STATE_ADD, 0);
    assert_int_equal(state_tick(here(), test_ns), test_ns + STATE_PATIENCE_NS);
    test_ns += STATE_PATIENCE_NS - 1;
    (void)state_tick(here(), test_ns);
    assert_int_equal(finish(pull), -EAGAIN);
    test_ns += 1;
    (void)state_tick(here(), test_ns);
    assert_int_equal(finish(pull), -EIO);
    assert_int_equal(finish(add), -EIO);
}

/* Patience is counted from when somebody waits, not from when nobody was there. */
static void
test_who_asks_long_after_the_connection_was_lost_waits_as_long_as_others(void **state)
{
    uint64_t pull, again;

    (void)state;
    fake_put(&fake, "a", "12345678", 8);
    fake_break(&fake, &fake.cells[0]);
    test_ns += 3 * STATE_PATIENCE_NS;
    pull = start(STATE_GET, 0);
    assert_int_equal(state_tick(here(), test_ns), test_ns + STATE_PATIENCE_NS);
    assert_int_equal(finish(pull), -EAGAIN);
    test_ns += STATE_PATIENCE_NS;
    (void)state_tick(here(), test_ns);
    assert_int_equal(finish(pull), -EIO);
    test_ns += STATE_PATIENCE_NS;
    again = start(STATE_GET, 0);
    (void)state_tick(here(), test_ns);
    fake_welcome(&fake.cells[0]);
    fake_run(&fake);
    assert_int_equal(finish(again), 0);
}

static void
test_locks_are_lost_with_the_connection(void **state)
{
    (void)state;
    assert_int_equal(do_kind(STATE_LOCK, 3), 0);
    assert_int_equal(do_kind(STATE_SET, 3), 0);
    fake_break(&fake, &fake.cells[0]);
    fake_welcome(&fake.cells[0]);
    fake_run(&fake);
    assert_false(is_current());
    assert_int_equal(do_kind(STATE_SET, 3), -ESTALE);
    assert_int_equal(do_kind(STATE_PUSH, 3), -ESTALE);
    assert_int_equal(do_kind(STATE_SET, 4), 0);
    assert_int_equal(do_kind(STATE_UNLOCK, 3), -ESTALE);
    assert_int_equal(do_kind(STATE_LOCK, 3), 0);
    assert_int_equal(do_kind(STATE_SET, 3), 0);
}

static void
test_a_change_under_a_lock_is_not_said_twice(void **state)
{
    uint64_t op;

    (void)state;
    assert_int_equal(do_kind(STATE_LOCK, 3), 0);
    op = start(STATE_SET, 3);
    fake_break(&fake, &fake.cells[0]);
    assert_int_equal(finish(op), -EIO); /* it may have happened */
    assert_int_equal(do_kind(STATE_UNLOCK, 3), -ESTALE);
}

static void
test_a_pull_that_breaks_in_the_middle_is_pulled_whole(void **state)
{
    const uint64_t size = 4 * FAKE_PIECE;
    struct state_request request = {.kind = STATE_GET, .key = "a", .count = size};
    struct state_result result;
    uint8_t *bytes = malloc(size);
    uint64_t op;

    (void)state;
    (void)memset(bytes, 1, size);
    fake_put(&fake, "a", bytes, size);
    assert_int_equal(state_start(here(), &request, 1, &op, &result), -EAGAIN);
    fake_hear(&fake);
    assert_true(fake_tell_one(&fake, NULL));
    (void)memset(bytes, 2, size);
    fake_put(&fake, "a", bytes, size);
    fake_break(&fake, &fake.cells[0]);
    fake_welcome(&fake.cells[0]);
    fake_run(&fake);
    assert_int_equal(state_finish(here(), op, &result), 0);
    assert_memory_equal(result.bytes, bytes, size);
    state_result_fini(&result);
    free(bytes);
}

/* -------------------------------------------------------------------------- broken rules */

static bool
hear_answer_of(Rpc__StateAnswer *answer)
{
    Rpc__StateDown down = RPC__STATE_DOWN__INIT;

    down.is_case = RPC__STATE_DOWN__IS_ANSWER;
    down.answer = answer;
    return state_hear(here(), &down);
}

static void
test_answers_that_break_the_rules_change_nothing(void **state)
{
    uint8_t bytes[STATE_CHUNK_BYTES] = {0};
    const Rpc__StateAnswer init = RPC__STATE_ANSWER__INIT;
    Rpc__StateAnswer answer = init;
    uint64_t op, number;

    (void)state;
    answer.number = 12345;
    assert_false(hear_answer_of(&answer));
    fake_put(&fake, "a", "one", 3);
    op = start(STATE_GET, 0);
    number = TAILQ_FIRST(&here()->all)->by_number.key;
#define REFUSED(...) \
    do { \
        answer = init; \
        answer.number = number; \
        __VA_ARGS__; \
        assert_false(hear_answer_of(&answer)); \
        assert_int_equal(finish(op), -EAGAIN); \
    } while (0)
    REFUSED(answer.err = 5);
    REFUSED(answer.err = -5000);
    REFUSED(answer.err = -5, answer.has_more = true);
    REFUSED(answer.version = 0);
    REFUSED(answer.version = 1, answer.size = 3);
    REFUSED(answer.version = 1, answer.size = UINT64_C(1) << 50);
    REFUSED(answer.version = 1, answer.size = 3, answer.bytes.data = bytes, answer.bytes.len = 4);
    REFUSED(answer.version = 1, answer.size = 3, answer.bytes.data = bytes, answer.bytes.len = 3,
            answer.offset = 1);
    REFUSED(answer.version = 1, answer.size = sizeof(bytes), answer.bytes.data = bytes,
            answer.bytes.len = 100, answer.has_more = true);
    REFUSED(answer.version = 1, answer.size = 3, answer.has_more = true);
    assert_null(entry_find(here(), "a")->versions);
    fake_run(&fake);
    assert_int_equal(finish(op), 0);
}

static void
test_words_that_break_the_rules_are_refused(void **state)
{
    Rpc__StateDown down = RPC__STATE_DOWN__INIT;
    Rpc__StateWelcome welcome = RPC__STATE_WELCOME__INIT;
    Rpc__StateHeard heard = RPC__STATE_HEARD__INIT;
    Rpc__StateTake take = RPC__STATE_TAKE__INIT;

    (void)state;
    assert_false(state_hear(here(), &down));
    down.is_case = RPC__STATE_DOWN__IS_WELCOME;
    down.welcome = &welcome;
    welcome.version = RPC__STATE_VERSION__STATE_VERSION;
    welcome.lease_ns = FAKE_LEASE_NS;
    assert_false(state_hear(here(), &down)); /* a second one */
    down.is_case = RPC__STATE_DOWN__IS_HEARD;
    down.heard = &heard;
    heard.number = here()->beat + 1;
    assert_false(state_hear(here(), &down));
    heard.number = here()->heard;
    assert_false(state_hear(here(), &down));
    down.is_case = RPC__STATE_DOWN__IS_TAKE;
    down.take = &take;
    assert_false(state_hear(here(), &down));
    fake_break(&fake, &fake.cells[0]);
    take.key = (char *)(uintptr_t)"a";
    assert_false(state_hear(here(), &down)); /* before the welcome */
    down.is_case = RPC__STATE_DOWN__IS_WELCOME;
    down.welcome = &welcome;
    welcome.lease_ns = 5;
    assert_false(state_hear(here(), &down));
    welcome.lease_ns = FAKE_LEASE_NS;
    welcome.version = 77;
    assert_false(state_hear(here(), &down));
}

static uint64_t
next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* Words by chance, most of them about what is under way. */
static void
say_something(uint64_t *seed)
{
    static uint8_t bytes[FAKE_PIECE];
    static const uint64_t sizes[] = {
        0, 1, 3, 100, STATE_CHUNK_BYTES, 3 * STATE_CHUNK_BYTES, UINT64_C(1) << 50};
    Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;
    Rpc__StateTake take = RPC__STATE_TAKE__INIT;
    Rpc__StateDown down = RPC__STATE_DOWN__INIT;
    const struct ask *ask = TAILQ_FIRST(&here()->all);

    if (next_random(seed) % 8 == 0) {
        take.key = (char *)(uintptr_t)"a";
        take.serial = next_random(seed);
        down.is_case = RPC__STATE_DOWN__IS_TAKE;
        down.take = &take;
        assert_true(state_hear(here(), &down));
        return;
    }
    answer.number = ask != NULL ? ask->by_number.key : next_random(seed);
    answer.err = next_random(seed) % 4 == 0 ? -(int)(next_random(seed) % 200) : 0;
    answer.size = sizes[next_random(seed) % ARRAY_COUNT(sizes)];
    answer.version = next_random(seed) % 5;
    answer.result = next_random(seed) % 3;
    answer.has_more = next_random(seed) % 3 == 0;
    answer.is_held = next_random(seed) % 2 == 0;
    answer.offset = ask != NULL && ask->has_begun ? ask->answer_next : 0;
    answer.bytes.len = answer.size < sizeof(bytes) ? answer.size : 0;
    if (answer.has_more)
        answer.bytes.len = STATE_CHUNK_BYTES;
    answer.bytes.data = bytes;
    (void)hear_answer_of(&answer);
}

/* Something by chance, with whatever answers; it may be left alone, and the connection break. */
static void
ask_something(uint64_t *seed)
{
    static const enum state_kind kinds[] = {STATE_GET,    STATE_SET,  STATE_CAS,    STATE_ADD,
                                            STATE_APPEND, STATE_READ, STATE_REMOVE, STATE_LIST,
                                            STATE_PULL,   STATE_PUSH, STATE_LOCK,   STATE_UNLOCK,
                                            STATE_WATCH,  STATE_STAT, STATE_EXPIRE};
    struct state_request request = {.kind = kinds[next_random(seed) % ARRAY_COUNT(kinds)],
                                    .key = "a",
                                    .bytes = "x",
                                    .count = 1,
                                    .number = 1,
                                    .size = 8,
                                    .owner = next_random(seed) % 4,
                                    .version = UINT64_MAX};
    struct state_result result = {0};
    uint64_t op;
    int err = state_start(here(), &request, 1, &op, &result);

    state_result_fini(&result);
    for (unsigned n = 0; n < 4; n++)
        say_something(seed);
    if (err == -EAGAIN && next_random(seed) % 2 == 0)
        (void)finish(op);
    if (err == -EAGAIN)
        state_forget(here(), op);
    if (next_random(seed) % 50 == 0) {
        fake_break(&fake, &fake.cells[0]);
        fake_welcome(&fake.cells[0]);
        (void)fake_tell_one(&fake, NULL);
    }
    fake_drop_words(&fake.ups, NULL);
    fake_drop_words(&fake.downs, NULL);
}

static void
test_whatever_the_tier_says_nothing_breaks(void **state)
{
    struct state_request mapped = {.key = "a"};
    struct state_mapping mapping;
    struct fake_guest guest;
    uint64_t seed = 1;

    (void)state;
    fake_put(&fake, "a", NULL, 3 * STATE_CHUNK_BYTES);
    assert_int_equal(fake_map(&fake, 0, &mapped, STATE_MAP_WRITE, &mapping), 0);
    fake_guest_init(&fake, 0, &mapping, true, &guest);
    for (unsigned i = 0; i < 30000; i++) {
        guest.bytes[next_random(&seed) % (3 * STATE_CHUNK_BYTES)] = (uint8_t)i;
        ask_something(&seed);
    }
    fake_break(&fake, &fake.cells[0]);
    fake_welcome(&fake.cells[0]);
    fake_run(&fake);
    fake_guest_fini(&guest);
    assert_int_equal(here()->ops.count, 0);
    assert_int_equal(here()->asks.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_current_when_the_lease_is_over),
        TEST(test_the_lease_counts_from_when_the_beat_was_sent),
        TEST(test_what_was_held_before_the_lease_was_over_counts_no_more),
        TEST(test_beats_come_four_times_in_a_lease),
        TEST(test_a_beat_tells_what_is_here_and_was_done_since_the_last),
        TEST(test_a_take_while_it_is_read_in_pieces_is_seen),
        TEST(test_a_yield_goes_before_what_comes_later),
        TEST(test_an_answer_from_before_a_take_makes_nothing_current),
        TEST(test_a_pull_beside_a_change_of_ours_makes_nothing_current),
        TEST(test_a_pull_from_before_a_removal_makes_nothing_current),
        TEST(test_what_may_be_said_again_is_and_the_rest_ends),
        TEST(test_what_was_not_said_yet_is_said_with_the_welcome),
        TEST(test_who_waits_too_long_for_a_connection_is_told),
        TEST(test_who_asks_long_after_the_connection_was_lost_waits_as_long_as_others),
        TEST(test_locks_are_lost_with_the_connection),
        TEST(test_a_change_under_a_lock_is_not_said_twice),
        TEST(test_a_pull_that_breaks_in_the_middle_is_pulled_whole),
        TEST(test_answers_that_break_the_rules_change_nothing),
        TEST(test_words_that_break_the_rules_are_refused),
        TEST(test_whatever_the_tier_says_nothing_breaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
