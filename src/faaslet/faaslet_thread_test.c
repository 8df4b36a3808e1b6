/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads of one process that run.
 */
#include "faaslet/faaslet_thread_testing.h"

static struct faaslet_image *image;

/* ThreadSanitizer keeps signals back while guest code runs: what spins is never taken off. */
#ifdef __SANITIZE_THREAD__
#define NEEDS_SIGNALS skip()
#else
#define NEEDS_SIGNALS (void)0
#endif

/* A thousand, but where all of them move at every host call. */
static uint32_t
many(void)
{
    return getenv("WEFT_STRESS") != NULL ? 50 : 1000;
}

TESTING_IMAGE_GROUP(crew_text)

static uint64_t
crew_load(uint64_t cell)
{
    return crew_call("load", &cell, 1);
}

static void
finish(struct faaslet *faaslet)
{
    crew_end();
    faaslet_destroy(faaslet);
}

static void
test_threads_have_their_own_globals_and_share_memory(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);

    (void)state;
    assert_int_equal(crew_spawn(DO_ADD, 3), 3); /* numbers count from 1 */
    assert_int_equal(crew_call("join", NULL, 0), 15);
    assert_int_equal(crew_spawn(DO_ADD, 4), 7);
    assert_int_equal(crew_call("join", NULL, 0), 35); /* each began with a global of 5 */
    finish(faaslet);
}

static void
test_a_thousand_threads_come_and_go(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);

    (void)state;
    assert_int_equal(crew_spawn(DO_ADD, many()), many());
    assert_int_equal(crew_call("join", NULL, 0), 5 * many());
    while (faaslet_thread(faaslet, 1) != NULL) /* they are about to end */
        (void)sched_yield();
    crew_end();
    assert_ptr_equal(faaslet_thread(faaslet, 0), faaslet);
    faaslet_destroy(faaslet);
}

static void
test_a_thousand_threads_wait_and_are_woken(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);
    uint64_t all = UINT32_MAX;

    (void)state;
    (void)crew_spawn(DO_WAIT, many());
    crew_wait_began(many());
    assert_non_null(faaslet_thread(faaslet, many()));
    assert_null(faaslet_thread(faaslet, many() + 1));
    assert_ptr_equal(faaslet_first(faaslet_thread(faaslet, 7)), faaslet);
    assert_true(crew_call("raise", &all, 1) <= many());
    assert_int_equal(crew_call("join", NULL, 0), 5 * many());
    finish(faaslet);
}

static void
test_two_threads_take_turns(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);

    (void)state;
    (void)crew_spawn(DO_PINGPONG, 2);
    assert_int_equal(crew_call("join", NULL, 0), 10);
    finish(faaslet);
}

/* The guest's loop has an end, but a far one; made once before it, its load never sees the flag. */
static void
test_a_loop_sees_a_flag_by_plain_loads(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);
    uint64_t all = UINT32_MAX;

    (void)state;
    (void)crew_spawn(DO_SPIN_PLAINLY, 4);
    crew_wait_began(4);
    (void)crew_call("raise", &all, 1);
    assert_int_equal(crew_call("join", NULL, 0), 5 * 4);
    finish(faaslet);
}

static void
test_a_wait_ends_by_its_time(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);

    (void)state;
    (void)crew_spawn(DO_SLEEP, 5);
    assert_int_equal(crew_call("join", NULL, 0), 10); /* 2: its time came */
    finish(faaslet);
}

static void
wait_for_deadlock(struct faaslet *faaslet)
{
    while (!faaslet_is_deadlocked(faaslet))
        (void)sched_yield();
}

static void
test_notify_wakes_no_more_than_it_says(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);
    const uint64_t two[] = {28, 2}, elsewhere[] = {32, 100};
    uint64_t total = 0;

    (void)state;
    (void)crew_spawn(DO_FOREVER, 5);
    crew_wait_began(5);
    while (total < 5) {
        uint64_t woken = crew_call("notify", two, 2);

        assert_true(woken <= 2);
        total += woken;
        assert_int_equal(crew_call("notify", elsewhere, 2), 0);
    }
    assert_int_equal(total, 5);
    (void)crew_call("join", NULL, 0);
    finish(faaslet);
}

static void
test_a_process_that_waits_for_itself_is_seen(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);
    struct faaslet_outcome *outcome = &crew.members[0].outcome;

    (void)state;
    assert_false(faaslet_is_deadlocked(faaslet));
    (void)crew_spawn(DO_FOREVER, 5);
    assert_false(faaslet_is_deadlocked(faaslet));
    assert_int_equal(faaslet_invoke(faaslet, 0, "join", NULL, 0), 0);
    do /* others want all to stop when they are moved */
        faaslet_run(faaslet, CLOCK_NEVER_NS, outcome);
    while (outcome->kind == FAASLET_PREEMPTED);
    assert_int_equal(outcome->kind, FAASLET_PENDING);
    wait_for_deadlock(faaslet);
    faaslet_kill(faaslet);
    assert_false(faaslet_is_deadlocked(faaslet)); /* it will end */
    faaslet_run(faaslet, CLOCK_NEVER_NS, outcome);
    assert_int_equal(outcome->kind, FAASLET_KILLED);
    finish(faaslet);
}

static void
test_host_functions_are_called_one_at_a_time(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);

    (void)state;
    atomic_store(&hosts_together, 0);
    (void)crew_spawn(DO_HOST, 4);
    (void)crew_call("join", NULL, 0);
    assert_int_equal(crew_load(CELL_HOSTS), 4000);
    assert_int_equal(atomic_load(&hosts_together), 0);
    finish(faaslet);
}

static void
test_memory_grows_while_others_write(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);

    (void)state;
    (void)crew_spawn(DO_GROW, 200);
    assert_int_equal(crew_call("join", NULL, 0), 200);
    assert_int_equal(crew_call("size", NULL, 0), 202);
    finish(faaslet);
}

static struct faaslet_outcome
first_failure(void)
{
    struct faaslet_outcome outcome;
    bool has;

    do {
        (void)pthread_mutex_lock(&crew.lock);
        has = crew.has_failed;
        outcome = crew.failed;
        (void)pthread_mutex_unlock(&crew.lock);
        if (!has)
            (void)sched_yield();
    } while (!has);
    return outcome;
}

static void
test_a_trap_of_a_thread_is_its_own_with_its_backtrace(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);
    struct faaslet_outcome outcome;
    struct buffer text = {0};

    (void)state;
    (void)crew_spawn(DO_TRAP, 1);
    outcome = first_failure();
    assert_int_equal(outcome.kind, FAASLET_TRAP);
    assert_int_equal(outcome.trap, ABI_TRAP_UNREACHABLE);
    faaslet_backtrace(faaslet_thread(faaslet, 1), &text);
    buffer_append(&text, "", 1);
    assert_non_null(strstr((const char *)text.bytes, "trap"));
    assert_non_null(strstr((const char *)text.bytes, "wasi_thread_start"));
    buffer_fini(&text);
    assert_int_equal(crew_load(8), 1); /* the first can still run */
    finish(faaslet);
}

static void
test_a_thread_may_exit_for_all(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);
    struct faaslet_outcome outcome;

    (void)state;
    (void)crew_spawn(DO_EXIT, 1);
    outcome = first_failure();
    assert_int_equal(outcome.kind, FAASLET_EXIT);
    assert_int_equal(outcome.exit_code, 7);
    finish(faaslet);
}

static void
test_threads_that_spin_and_wait_are_killed(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);

    (void)state;
    NEEDS_SIGNALS;
    (void)crew_spawn(DO_SPIN, 2);
    crew_wait_began(2);
    (void)crew_spawn(DO_FOREVER, 3);
    crew_wait_began(5);
    crew_end();
    assert_non_null(faaslet_thread(faaslet, 5)); /* killed, and the owner's to end */
    while (faaslet_thread(faaslet, 1) != NULL)
        faaslet_thread_end(faaslet_thread(faaslet, 1));
    atomic_store(&crew.is_ending, false);
    assert_int_equal(crew_call("began", NULL, 0), 5);
    faaslet_destroy(faaslet);
}

static void
test_too_many_threads_are_refused(void **state)
{
    struct faaslet_config few = crew_config;
    struct faaslet *faaslet;

    (void)state;
    few.threads_max = 4;
    faaslet = crew_create(image, &few);
    assert_int_equal((int32_t)crew_spawn(DO_WAIT, 4), -EAGAIN);
    crew_wait_began(3);
    finish(faaslet);
    faaslet = crew_create(image, &crew_config);
    crew.limit = 3; /* of the owner's, itself included */
    assert_int_equal((int32_t)crew_spawn(DO_WAIT, 3), -EAGAIN);
    crew_wait_began(2);
    assert_null(faaslet_thread(faaslet, 3));
    finish(faaslet);
    few.owner = NULL;
    faaslet = crew_create(image, &few);
    assert_int_equal((int32_t)crew_spawn(DO_WAIT, 1), -EAGAIN);
    finish(faaslet);
}

static void
test_a_module_without_shared_memory_has_no_threads(void **state)
{
    static const char text[] =
        "(module (import \"wasi\" \"thread-spawn\" (func $s (param i32) (result i32)))\n"
        "  (memory 1)\n"
        "  (func (export \"spawn\") (param i32 i32) (result i32) (call $s (i32.const 0)))\n"
        "  (func (export \"wasi_thread_start\") (param i32 i32)))";
    static const char no_start[] =
        "(module (import \"wasi\" \"thread-spawn\" (func $s (param i32) (result i32)))\n"
        "  (memory 1 2 shared)\n"
        "  (func (export \"spawn\") (param i32 i32) (result i32) (call $s (i32.const 0))))";
    const char *const texts[] = {text, no_start};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct faaslet_image *other = testing_image(texts[i], ABI_STANDALONE);
        struct faaslet *faaslet = crew_create(other, &crew_config);

        assert_int_equal((int32_t)crew_spawn(DO_ADD, 1), -ENOENT);
        finish(faaslet);
        faaslet_image_put(other);
    }
}

static void
test_a_thread_stands_still_and_goes_on(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);
    struct faaslet *spinning;
    uint64_t all = 1;

    (void)state;
    NEEDS_SIGNALS;
    (void)crew_spawn(DO_SPIN, 1);
    crew_wait_began(1);
    spinning = faaslet_thread(faaslet, 1);
    faaslet_stand_still(spinning);
    (void)crew_call("raise", &all, 1);
    for (int i = 0; i < 1000; i++)
        (void)sched_yield();
    assert_int_equal(crew_load(CELL_SUM), 0);
    faaslet_go_on(spinning);
    assert_int_equal(crew_call("join", NULL, 0), 5);
    finish(faaslet);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_have_their_own_globals_and_share_memory),
        cmocka_unit_test(test_a_thousand_threads_come_and_go),
        cmocka_unit_test(test_a_thousand_threads_wait_and_are_woken),
        cmocka_unit_test(test_two_threads_take_turns),
        cmocka_unit_test(test_a_loop_sees_a_flag_by_plain_loads),
        cmocka_unit_test(test_a_wait_ends_by_its_time),
        cmocka_unit_test(test_notify_wakes_no_more_than_it_says),
        cmocka_unit_test(test_a_process_that_waits_for_itself_is_seen),
        cmocka_unit_test(test_host_functions_are_called_one_at_a_time),
        cmocka_unit_test(test_memory_grows_while_others_write),
        cmocka_unit_test(test_a_trap_of_a_thread_is_its_own_with_its_backtrace),
        cmocka_unit_test(test_a_thread_may_exit_for_all),
        cmocka_unit_test(test_threads_that_spin_and_wait_are_killed),
        cmocka_unit_test(test_too_many_threads_are_refused),
        cmocka_unit_test(test_a_module_without_shared_memory_has_no_threads),
        cmocka_unit_test(test_a_thread_stands_still_and_goes_on),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
