/* SPDX-License-Identifier: Apache-2.0
 *
 * Several threads, two cells, one tier: what was acknowledged is seen, sums are exact, and what
 * was written while it was pushed is not lost.
 */
#include "state/state_testing.h"

#ifdef __SANITIZE_THREAD__
#define ROUNDS 300u
#else
#define ROUNDS 2000u
#endif
#define WORDS (4u * STATE_CHUNK_BYTES / 8u)

static struct fake fake;
static _Atomic bool is_over;
static _Atomic uint64_t acknowledged;
static _Atomic unsigned reads_current;

static int
setup(void **state)
{
    (void)state;
    fake_init(&fake, 0);
    is_over = false;
    acknowledged = 0;
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    fake_fini(&fake);
    return 0;
}

static void *
be_the_tier(void *context)
{
    while (!is_over) {
        (void)sem_wait(&fake.said);
        fake_run(&fake);
    }
    return context;
}

static int
do_and_wait(unsigned cell, unsigned waiter, const struct state_request *request,
            struct state_result *result)
{
    struct state *state = fake.cells[cell].state;
    uint64_t op;
    int err = state_start(state, request, waiter, &op, result);

    if (err != -EAGAIN)
        return err;
    do
        (void)sem_wait(&fake.cells[cell].woken[waiter]);
    while ((err = state_finish(state, op, result)) == -EAGAIN);
    return err;
}

static void *
set_often(void *context)
{
    unsigned cell = *(unsigned *)context;

    for (uint64_t i = 1; i <= ROUNDS; i++) {
        uint64_t value[2] = {i, ~i};
        struct state_request request = {
            .kind = STATE_SET, .key = "v", .bytes = value, .count = sizeof(value)};
        struct state_result result;

        assert_int_equal(do_and_wait(cell, 1, &request, &result), 0);
        acknowledged = i;
    }
    return NULL;
}

/* What was acknowledged before it began is what it sees, or newer; and never half of it. */
static void *
read_often(void *context)
{
    unsigned cell = *(unsigned *)context;
    struct state_request request = {.kind = STATE_GET, .key = "v", .count = 16};
    uint64_t last = 0;

    while (acknowledged < ROUNDS) {
        uint64_t floor = acknowledged, value[2];
        struct state_result result;
        int err = state_read_current(fake.cells[cell].state, "v", 0, value, sizeof(value));

        if (err == 0) {
            reads_current++;
        } else {
            err = do_and_wait(cell, 2, &request, &result);
            assert_true(err == 0 || (err == -ENOENT && floor == 0));
            if (err != 0)
                continue;
            (void)memcpy(value, result.bytes, sizeof(value));
            state_result_fini(&result);
        }
        assert_true(value[0] >= floor && value[0] >= last);
        assert_int_equal(value[1], ~value[0]);
        last = value[0];
    }
    return NULL;
}

static void
run_all(void *(*const bodies[])(void *), const unsigned *cells, size_t count)
{
    pthread_t threads[8], tier;

    assert_int_equal(pthread_create(&tier, NULL, be_the_tier, NULL), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], (void *)(uintptr_t)&cells[i]),
                         0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    is_over = true;
    (void)sem_post(&fake.said);
    assert_int_equal(pthread_join(tier, NULL), 0);
    fake_run(&fake);
}

static void
test_what_was_acknowledged_is_seen_by_all(void **state)
{
    static void *(*const bodies[])(void *) = {set_often, read_often, read_often};
    static const unsigned cells[] = {0, 0, 1};

    (void)state;
    run_all(bodies, cells, ARRAY_COUNT(bodies));
    assert_true(reads_current > 0);
    assert_true(fake.yields > 0);
}

static void *
add_often(void *context)
{
    unsigned cell = *(unsigned *)context;
    struct state_request request = {.kind = STATE_ADD,
                                    .key = "n",
                                    .number = RPC__STATE_NUMBER__STATE_NUMBER_I64,
                                    .operand = 1,
                                    .size = 8};
    static _Atomic unsigned waiters;
    unsigned waiter = waiters++ % FAKE_WAITERS;
    struct state_result result;

    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(do_and_wait(cell, waiter, &request, &result), 0);
    return NULL;
}

static void
test_sums_of_many_threads_are_exact(void **state)
{
    static void *(*const bodies[])(void *) = {add_often, add_often, add_often};
    static const unsigned cells[] = {0, 0, 1};
    struct state_request request = {.kind = STATE_GET, .key = "n", .count = 8};
    struct state_result result;
    uint64_t sum;

    (void)state;
    run_all(bodies, cells, ARRAY_COUNT(bodies));
    for (unsigned cell = 0; cell < FAKE_CELLS; cell++) {
        assert_int_equal(fake_do(&fake, cell, &request, &result), 0);
        (void)memcpy(&sum, result.bytes, 8);
        state_result_fini(&result);
        assert_int_equal(sum, 3 * ROUNDS);
    }
}

/* -------------------------------------------------------------------------------- memory */

static struct fake_guest guests[FAKE_CELLS];

/* As a guest does, of whom no sanitizer knows. Each cell has every second word. */
__attribute__((no_sanitize("thread"), noinline)) static void
write_word(volatile uint64_t *words, uint64_t place, uint64_t value)
{
    words[place] = value;
}

static void *
write_often(void *context)
{
    unsigned cell = *(unsigned *)context;
    volatile uint64_t *words = (volatile uint64_t *)(void *)guests[cell].bytes;

    for (uint64_t i = 0; i < ROUNDS * 50; i++)
        write_word(words, (i * 7919 * 4 + cell * 2) % WORDS, i + 1);
    return NULL;
}

static void *
push_and_pull_often(void *context)
{
    unsigned cell = *(unsigned *)context;
    struct state_request push = {.kind = STATE_PUSH, .key = "m", .version = UINT64_MAX};
    struct state_request pull = {.kind = STATE_PULL, .key = "m"};
    struct state_result result;

    for (unsigned i = 0; i < ROUNDS / 10; i++) {
        assert_int_equal(do_and_wait(cell, 3, &push, &result), 0);
        assert_int_equal(do_and_wait(cell, 3, &pull, &result), 0);
    }
    return NULL;
}

static void
test_what_is_written_while_it_is_pushed_is_not_lost(void **state)
{
    static void *(*const bodies[])(void *) = {write_often, push_and_pull_often, write_often,
                                              push_and_pull_often};
    static const unsigned cells[] = {0, 0, 1, 1};
    struct state_request map = {.key = "m", .count = WORDS * 8};
    struct state_request push = {.kind = STATE_PUSH, .key = "m", .version = UINT64_MAX};
    struct state_request pull = {.kind = STATE_PULL, .key = "m"};

    (void)state;
    for (unsigned cell = 0; cell < FAKE_CELLS; cell++) {
        struct state_mapping mapping;

        assert_int_equal(fake_map(&fake, cell, &map, STATE_MAP_WRITE | STATE_MAP_CREATE, &mapping),
                         0);
        fake_guest_init(&fake, cell, &mapping, true, &guests[cell]);
    }
    run_all(bodies, cells, ARRAY_COUNT(bodies));
    for (unsigned i = 0; i < 2 * FAKE_CELLS; i++) {
        assert_int_equal(fake_try(&fake, i % FAKE_CELLS, &push), 0);
        assert_int_equal(fake_try(&fake, i % FAKE_CELLS, &pull), 0);
    }
    assert_int_equal(fake_try(&fake, 0, &pull), 0);
    assert_memory_equal(guests[0].bytes, fake_value(&fake, "m")->bytes, WORDS * 8);
    assert_memory_equal(guests[1].bytes, fake_value(&fake, "m")->bytes, WORDS * 8);
    for (unsigned cell = 0; cell < FAKE_CELLS; cell++) {
        const uint64_t *words = (const uint64_t *)(const void *)guests[cell].bytes;
        uint64_t last = ROUNDS * 50 - 1;

        for (unsigned other = 0; other < FAKE_CELLS; other++)
            assert_int_equal(words[(last * 7919 * 4 + other * 2) % WORDS], last + 1);
    }
    for (unsigned cell = 0; cell < FAKE_CELLS; cell++)
        fake_guest_fini(&guests[cell]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_acknowledged_is_seen_by_all),
        TEST(test_sums_of_many_threads_are_exact),
        TEST(test_what_is_written_while_it_is_pushed_is_not_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
