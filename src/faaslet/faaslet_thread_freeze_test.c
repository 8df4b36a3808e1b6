/* SPDX-License-Identifier: Apache-2.0
 *
 * A process with several threads is plain data: frozen, cloned, saved, reset.
 */
#include "faaslet/faaslet_internal.h"
#include "faaslet/faaslet_thread_testing.h"

static struct faaslet_image *image;

TESTING_IMAGE_GROUP(crew_text)

/* All threads stop where they are and are nobody's: their host threads are gone. */
static void
stop_crew(struct faaslet *faaslet)
{
    atomic_store(&crew.is_leaving, true);
    for (uint32_t i = 0; faaslet_thread(faaslet, i) != NULL; i++)
        faaslet_stand_still(faaslet_thread(faaslet, i));
    (void)pthread_mutex_lock(&crew.lock);
    for (unsigned i = 0; i < crew.count; i++)
        (void)pthread_cond_signal(&crew.members[i].woken);
    (void)pthread_mutex_unlock(&crew.lock);
    for (unsigned i = 1; i < crew.count; i++)
        (void)pthread_join(crew.members[i].host, NULL);
    for (uint32_t i = 0; faaslet_thread(faaslet, i) != NULL; i++)
        faaslet_go_on(faaslet_thread(faaslet, i));
}

/* A crew of its own runs all threads but the first. */
static void
start_crew(struct faaslet *faaslet)
{
    crew_begin(faaslet, CREW_MAX);
    for (uint32_t i = 1; faaslet_thread(faaslet, i) != NULL; i++)
        assert_int_equal(crew_on_thread(faaslet_thread(faaslet, i)), 0);
}

/* One that was stopped in the middle of its code may have to run on for a moment. */
static struct faaslet_frozen *
freeze(struct faaslet *faaslet)
{
    struct faaslet_frozen *frozen;
    int err;

    while ((err = faaslet_freeze(faaslet, &frozen, NULL)) == -EBUSY) {
        start_crew(faaslet);
        stop_crew(faaslet);
    }
    assert_int_equal(err, 0);
    return frozen;
}

/* A process with threads that spin, wait, and such that have not begun. */
static struct faaslet *
make_process(void)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);

    (void)crew_spawn(DO_SPIN, 2);
    crew_wait_began(2);
    (void)crew_spawn(DO_WAIT, 3);
    crew_wait_began(5);
    stop_crew(faaslet);
    return faaslet;
}

static void
expect_process_to_end(struct faaslet *faaslet)
{
    uint64_t all = 100;

    start_crew(faaslet);
    (void)crew_call("raise", &all, 1);
    assert_int_equal(crew_call("join", NULL, 0), 25);
    while (faaslet_thread(faaslet, 1) != NULL) /* they are about to end */
        (void)sched_yield();
    crew_end();
}

static void
test_a_frozen_process_goes_on_with_all_threads(void **state)
{
    struct faaslet *faaslet = make_process(), *copies[3];
    struct faaslet_frozen *frozen = freeze(faaslet);

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(copies); i++)
        assert_int_equal(faaslet_thaw(frozen, &crew_config, &copies[i], NULL), 0);
    faaslet_frozen_destroy(frozen);
    expect_process_to_end(faaslet);
    faaslet_destroy(faaslet);
    for (unsigned i = 0; i < ARRAY_COUNT(copies); i++) {
        expect_process_to_end(copies[i]);
        faaslet_destroy(copies[i]);
    }
}

/* Distance from the top of its stack of what its context says of those in the middle of code. */
static unsigned
look_at_preempted(struct faaslet *faaslet, uint64_t set, uint64_t wanted)
{
    struct faaslet *thread;
    unsigned count = 0;

    for (uint32_t i = 0; (thread = faaslet_thread(faaslet, i)) != NULL; i++) {
        struct abi_context *context = context_at(thread, thread->stand.stop_context);

        if (thread->machine == NULL)
            continue;
        count++;
        if (set != 0)
            context->guest_sp = thread->stack.top - set;
        assert_int_equal(thread->stack.top - context->guest_sp, wanted);
    }
    return count;
}

/* Preempted between writing its stack pointer and taking the host's: the first is looked at when
 * it goes on. */
static void
test_who_was_about_to_leave_has_its_stack_pointer_after_a_thaw(void **state)
{
    struct faaslet *faaslet = make_process(), *copy;
    struct faaslet_frozen *frozen;
    unsigned count;

    (void)state;
    faaslet_frozen_destroy(freeze(faaslet));
    count = look_at_preempted(faaslet, 64, 64);
    assert_int_not_equal(count, 0);
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), 0);
    assert_int_equal(faaslet_thaw(frozen, &crew_config, &copy, NULL), 0);
    faaslet_frozen_destroy(frozen);
    assert_int_equal(look_at_preempted(copy, 0, 64), count);
    assert_int_equal(look_at_preempted(faaslet, 0, 64), count);
    expect_process_to_end(copy);
    faaslet_destroy(copy);
    expect_process_to_end(faaslet);
    faaslet_destroy(faaslet);
}

static void
test_a_process_with_more_threads_than_allowed_is_not_thawed(void **state)
{
    struct faaslet *faaslet = make_process(), *copy;
    struct faaslet_frozen *frozen = freeze(faaslet);
    struct faaslet_config few = crew_config;
    struct diag diag = {0};

    (void)state;
    few.threads_max = 5; /* it has six */
    assert_int_equal(faaslet_thaw(frozen, &few, &copy, &diag), -EAGAIN);
    assert_non_null(strstr(diag_text(&diag), "6 threads"));
    few.threads_max = 6;
    assert_int_equal(faaslet_thaw(frozen, &few, &copy, &diag), 0);
    faaslet_frozen_destroy(frozen);
    expect_process_to_end(copy);
    faaslet_destroy(copy);
    expect_process_to_end(faaslet);
    faaslet_destroy(faaslet);
}

static void
test_a_process_is_cloned_with_its_threads(void **state)
{
    struct faaslet *faaslet = make_process(), *copy;

    (void)state;
    faaslet_frozen_destroy(freeze(faaslet)); /* stops where it can be */
    assert_int_equal(faaslet_clone(faaslet, &crew_config, &copy, NULL), 0);
    assert_int_equal(faaslet_thread_id(faaslet_thread(copy, 5)), 5);
    assert_null(faaslet_thread(copy, 6));
    expect_process_to_end(copy);
    faaslet_destroy(copy);
    expect_process_to_end(faaslet);
    faaslet_destroy(faaslet);
}

static void
test_a_process_is_saved_and_loaded_with_its_threads(void **state)
{
    struct faaslet *faaslet = make_process(), *copy;
    struct faaslet_frozen *frozen = freeze(faaslet), *loaded;
    struct faaslet_load load = {.images = &image, .image_count = 1, .resolve = crew_resolve};
    struct buffer bytes = {0};

    (void)state;
    assert_int_equal(faaslet_frozen_save(frozen, &bytes, NULL), 0);
    faaslet_frozen_destroy(frozen);
    faaslet_destroy(faaslet);
    assert_int_equal(faaslet_frozen_load(bytes.bytes, bytes.count, &load, &loaded, NULL), 0);
    buffer_fini(&bytes);
    assert_int_equal(faaslet_thaw(loaded, &crew_config, &copy, NULL), 0);
    faaslet_frozen_destroy(loaded);
    expect_process_to_end(copy);
    faaslet_destroy(copy);
}

static void
test_a_process_is_reset_to_one_with_more_or_fewer_threads(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config), *copy;
    struct faaslet_frozen *alone = freeze(faaslet), *several;

    (void)state;
    faaslet_destroy(faaslet);
    faaslet = make_process();
    several = freeze(faaslet);
    faaslet_destroy(faaslet);
    assert_int_equal(faaslet_thaw(several, &crew_config, &copy, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        expect_process_to_end(copy);
        assert_int_equal(faaslet_reset(copy, several, NULL, NULL), 0);
        assert_non_null(faaslet_thread(copy, 5));
    }
    assert_int_equal(faaslet_reset(copy, alone, NULL, NULL), 0);
    assert_null(faaslet_thread(copy, 1));
    crew_begin(copy, CREW_MAX);
    assert_int_equal(crew_spawn(DO_ADD, 3), 3); /* numbers too */
    assert_int_equal(crew_call("join", NULL, 0), 15);
    crew_end();
    faaslet_destroy(copy);
    faaslet_frozen_destroy(alone);
    faaslet_frozen_destroy(several);
}

static void
test_a_process_with_threads_is_not_parked(void **state)
{
    struct faaslet *faaslet = crew_create(image, &crew_config);
    struct faaslet_parked *parked = NULL;
    struct faaslet_frozen *frozen;

    (void)state;
    (void)crew_spawn(DO_FOREVER, 1);
    crew_wait_began(1);
    stop_crew(faaslet);
    frozen = freeze(faaslet);
    assert_int_equal(faaslet_park(faaslet, frozen, &parked, NULL), -EBUSY);
    faaslet_frozen_destroy(frozen);
    faaslet_destroy(faaslet);
}

static struct faaslet *lately_woken;

static int
take_no_notice(struct faaslet *thread)
{
    (void)thread;
    return 0;
}

static void
note_woken(struct faaslet *thread)
{
    lately_woken = thread;
}

/* All on this host thread, so that the order is known. */
static void
test_who_waited_first_is_woken_first_also_after_a_thaw(void **state)
{
    static const struct faaslet_owner owner = {take_no_notice, note_woken};
    static const uint32_t order[] = {3, 1, 4, 2};
    const uint64_t spawn[] = {DO_FOREVER, 4}, one[] = {28, 1};
    struct faaslet_config config = crew_config;
    struct faaslet_outcome outcome;
    struct faaslet *faaslet, *copy;

    (void)state;
    config.owner = &owner;
    faaslet = testing_create(image, &config);
    testing_init(faaslet, 0);
    assert_int_equal(testing_result(faaslet, "spawn", spawn, 2), 4);
    for (unsigned i = 0; i < ARRAY_COUNT(order); i++) {
        faaslet_run(faaslet_thread(faaslet, order[i]), CLOCK_NEVER_NS, &outcome);
        assert_int_equal(outcome.kind, FAASLET_PENDING);
        assert_int_equal(outcome.wait.deadline_ns, CLOCK_NEVER_NS);
    }
    assert_int_equal(testing_result(faaslet, "notify", one, 2), 1);
    assert_ptr_equal(lately_woken, faaslet_thread(faaslet, 3)); /* and does not run yet */
    assert_int_equal(faaslet_clone(faaslet, &config, &copy, NULL), 0);
    for (unsigned i = 1; i < ARRAY_COUNT(order); i++) {
        assert_int_equal(testing_result(copy, "notify", one, 2), 1);
        assert_ptr_equal(lately_woken, faaslet_thread(copy, order[i]));
    }
    assert_int_equal(testing_result(copy, "notify", one, 2), 0);
    for (uint32_t i = 1; i <= 4; i++) {
        faaslet_run(faaslet_thread(copy, i), CLOCK_NEVER_NS, &outcome);
        assert_int_equal(outcome.kind, FAASLET_DONE);
    }
    faaslet_destroy(copy);
    assert_int_equal(testing_result(faaslet, "notify", one, 2), 1);
    assert_ptr_equal(lately_woken, faaslet_thread(faaslet, 1));
    faaslet_destroy(faaslet);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_frozen_process_goes_on_with_all_threads),
        cmocka_unit_test(test_who_was_about_to_leave_has_its_stack_pointer_after_a_thaw),
        cmocka_unit_test(test_a_process_with_more_threads_than_allowed_is_not_thawed),
        cmocka_unit_test(test_a_process_is_cloned_with_its_threads),
        cmocka_unit_test(test_a_process_is_saved_and_loaded_with_its_threads),
        cmocka_unit_test(test_a_process_is_reset_to_one_with_more_or_fewer_threads),
        cmocka_unit_test(test_a_process_with_threads_is_not_parked),
        cmocka_unit_test(test_who_waited_first_is_woken_first_also_after_a_thaw),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
