/* SPDX-License-Identifier: Apache-2.0
 *
 * Cells that die, lie, or say nothing: their own tenant's calls end with the reason,
 * the next call has another cell, and nobody else notices.
 */
#include "worker/worker_testing.h"

/* What each says, and a part of the message with which its calls end. */
static const struct {
    const char *entry, *message;
} hostile[] = {
    {"crash", "its cell was killed by signal"},
    {"leave", "its cell ended with code 7"},
    {"close", "its cell closed its connection"},
    {"garbage", "rules of its connection"},
    {"length", "rules of its connection"},
    {"empty", "rules of its connection"},
    {"half", "its cell ended with code 0"},
    {"unknown", "a call that it does not have"},
    {"no-kind", "as no call ends"},
    {"results", "as no call ends"},
    {"lost", "as no call ends"},
    {"fds", "rules of its connection"},
    {"ready", "twice that it is ready"},
    {"usage", "what nobody asked"},
    {"function", "a function that is not"},
};

/* Another tenant, whose calls are under way and go on all the time. */
struct neighbour {
    struct worker_tenant *tenant;
    struct worker_function *function;
    struct testing_end waiting;
    pid_t pid;
};

static void
neighbour_start(struct neighbour *neighbour, struct worker *worker)
{
    struct testing_end end;

    neighbour->tenant = testing_tenant(worker, "neighbour");
    neighbour->function = testing_function(neighbour->tenant);
    testing_begin(neighbour->function, (struct worker_call){.entry = "nothing"},
                  &neighbour->waiting);
    assert_int_equal(testing_ask(neighbour->function, "echo", &end), WORKER_DONE);
    neighbour->pid = testing_usage(neighbour->tenant).pid;
}

static void
neighbour_is_well(struct neighbour *neighbour)
{
    struct testing_end end;

    assert_int_equal(neighbour->waiting.count, 0);
    assert_int_equal(testing_ask(neighbour->function, "echo", &end), WORKER_DONE);
    assert_int_equal(testing_usage(neighbour->tenant).pid, neighbour->pid);
    assert_int_equal(testing_usage(neighbour->tenant).cells_lost, 0);
}

static void
test_a_cell_that_breaks_the_rules_harms_only_itself(void **state)
{
    struct worker *worker = testing_worker();
    struct neighbour neighbour;

    (void)state;
    neighbour_start(&neighbour, worker);
    for (size_t i = 0; i < ARRAY_COUNT(hostile); i++) {
        struct worker_tenant *tenant = testing_tenant(worker, "hostile");
        struct worker_function *function = testing_function(tenant);
        struct testing_end ends[3], next;

        testing_begin(function, (struct worker_call){.entry = "nothing"}, &ends[0]);
        testing_begin(function, (struct worker_call){.entry = "nothing"}, &ends[1]);
        testing_begin(function, (struct worker_call){.entry = hostile[i].entry}, &ends[2]);
        for (unsigned j = 0; j < 3; j++) {
            testing_await(&ends[j]);
            if (ends[j].end.kind != WORKER_LOST ||
                strstr(ends[j].message, hostile[i].message) == NULL)
                fail_msg("%s: kind %d: %s", hostile[i].entry, (int)ends[j].end.kind,
                         ends[j].message);
        }
        assert_int_equal(testing_ask(function, "echo", &next), WORKER_DONE);
        assert_int_equal(testing_usage(tenant).cells, 2);
        assert_int_equal(testing_usage(tenant).cells_lost, 1);
        neighbour_is_well(&neighbour);
        worker_tenant_remove(tenant);
    }
    worker_destroy(worker);
    assert_int_equal(neighbour.waiting.end.kind, WORKER_CANCELLED);
}

static void
test_a_call_is_not_ended_twice(void **state)
{
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = testing_function(tenant);
    struct testing_end other, end;

    (void)state;
    testing_begin(function, (struct worker_call){.entry = "nothing"}, &other);
    assert_int_equal(testing_ask(function, "twice", &end), WORKER_EXIT);
    testing_await(&other);
    assert_int_equal(other.end.kind, WORKER_LOST);
    worker_destroy(worker);
    assert_int_equal(end.count, 1);
}

static void
test_a_cell_cannot_end_calls_of_another_tenant(void **state)
{
    struct worker *worker = testing_worker();
    struct worker_function *function = testing_function(testing_tenant(worker, "a"));
    struct neighbour neighbour;
    struct testing_end end;

    (void)state;
    neighbour_start(&neighbour, worker);
    testing_ask_with(
        function,
        (struct worker_call){.entry = "others", .values = &neighbour.waiting.id, .value_count = 1},
        &end);
    assert_int_equal(end.end.kind, WORKER_LOST);
    neighbour_is_well(&neighbour);
    worker_destroy(worker);
}

static void
test_descriptors_that_a_cell_sends_are_closed(void **state)
{
    static const uint64_t counts[] = {1, 2, 71};
    struct worker *worker = testing_worker();
    struct testing_end end;
    unsigned before;

    (void)state;
    testing_await_ready(worker);
    before = testing_count_fds();
    for (unsigned i = 0; i < ARRAY_COUNT(counts); i++) {
        struct worker_tenant *tenant = testing_tenant(worker, "a");

        testing_ask_with(
            testing_function(tenant),
            (struct worker_call){.entry = "fds", .values = &counts[i], .value_count = 1}, &end);
        assert_int_equal(end.end.kind, WORKER_LOST);
        worker_tenant_remove(tenant);
    }
    worker_destroy(worker);
    assert_true(testing_count_fds() < before);
}

static void
test_a_cell_that_talks_for_ever_does_not_stop_others(void **state)
{
    struct worker *worker = testing_worker();
    struct worker_function *function = testing_function(testing_tenant(worker, "a"));
    struct neighbour neighbour;
    struct testing_end end;

    (void)state;
    neighbour_start(&neighbour, worker);
    testing_begin(function, (struct worker_call){.entry = "flood"}, &end);
    for (int i = 0; i < 50; i++)
        neighbour_is_well(&neighbour);
    worker_destroy(worker);
    assert_int_equal(end.end.kind, WORKER_CANCELLED);
}

static void
test_calls_to_a_cell_that_does_not_read_are_refused_in_the_end(void **state)
{
    size_t bytes = WORKER_INPUT_BYTES_MAX / 2;
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = testing_function(tenant);
    uint8_t *input = calloc(1, bytes);
    struct testing_end ends[16];
    struct neighbour neighbour;
    unsigned count = 0;
    int err = 0;

    (void)state;
    assert_non_null(input);
    neighbour_start(&neighbour, worker);
    assert_int_equal(testing_ask(function, "echo", &ends[0]), WORKER_DONE);
    testing_begin(function, (struct worker_call){.entry = "deaf"}, &ends[0]);
    while (err == 0 && ++count < ARRAY_COUNT(ends)) {
        const struct worker_call call = {.entry = "echo",
                                         .input = input,
                                         .input_bytes = bytes,
                                         .on_end = testing_on_end,
                                         .context = &ends[count]};

        testing_end_init(&ends[count]);
        err = worker_call(function, &call, &ends[count].id);
    }
    assert_int_equal(err, -EAGAIN);
    assert_int_equal(testing_usage(tenant).calls, count);
    neighbour_is_well(&neighbour);
    testing_kill_cell(tenant);
    for (unsigned i = 0; i < count; i++) {
        testing_await(&ends[i]);
        assert_int_equal(ends[i].end.kind, WORKER_LOST);
    }
    neighbour_is_well(&neighbour);
    free(input);
    worker_destroy(worker);
}

/* ---------------------------------------------------------------------------- killed */

static void
test_calls_of_a_killed_cell_end_with_the_signal(void **state)
{
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = testing_function(tenant);
    struct testing_end ends[100], end;
    struct neighbour neighbour;

    (void)state;
    neighbour_start(&neighbour, worker);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
        for (unsigned i = 0; i < ARRAY_COUNT(ends); i++)
            testing_begin(function, (struct worker_call){.entry = "nothing"}, &ends[i]);
        testing_kill_cell(tenant);
        for (unsigned i = 0; i < ARRAY_COUNT(ends); i++) {
            testing_await(&ends[i]);
            assert_int_equal(ends[i].end.kind, WORKER_LOST);
            assert_string_equal(ends[i].message, "its cell was killed by signal 9");
        }
        neighbour_is_well(&neighbour);
    }
    assert_int_equal(testing_usage(tenant).cells_lost, 5);
    worker_destroy(worker);
}

static void
test_a_tenant_at_its_memory_limit_is_stopped_and_told(void **state)
{
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = testing_tenant_with(
        worker, &(struct worker_tenant_config){.name = "a", .limits.memory_bytes = 64 << 20});
    struct worker_function *function = testing_function(tenant);
    struct neighbour neighbour;
    struct testing_end end;

    (void)state;
    if ((jail_features() & JAIL_MEMORY) == 0) {
        worker_destroy(worker);
        print_message("skipped: no control group for memory\n");
        skip();
    }
    neighbour_start(&neighbour, worker);
    assert_int_equal(testing_ask(function, "memory", &end), WORKER_LOST);
    assert_string_equal(end.message, "the tenant's memory limit of 64 MiB was reached");
    neighbour_is_well(&neighbour);
    assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
    worker_destroy(worker);
}

static void
test_limits_change_while_a_cell_runs(void **state)
{
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = testing_function(tenant);
    const struct jail_limits limits = {.memory_bytes = 48 << 20};
    struct testing_end end;

    (void)state;
    assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
    assert_int_equal(worker_tenant_limit(tenant, &limits, NULL), 0);
    if ((jail_features() & JAIL_MEMORY) != 0) {
        assert_int_equal(testing_ask(function, "memory", &end), WORKER_LOST);
        assert_string_equal(end.message, "the tenant's memory limit of 48 MiB was reached");
    } else {
        assert_int_equal(testing_usage(tenant).missing & JAIL_MEMORY, JAIL_MEMORY);
    }
    worker_destroy(worker);
}

/* ----------------------------------------------------------------------- that start badly */

static void
test_cells_that_die_at_once_are_not_started_for_ever(void **state)
{
    struct worker *worker;
    struct worker_tenant *tenant;
    struct worker_function *function;
    struct testing_end end;
    unsigned failed = 0;

    (void)state;
    (void)setenv("WEFT_STRESS", "die-set-up", 1);
    worker = testing_worker();
    tenant = testing_tenant(worker, "a");
    function = testing_function(tenant);
    for (int i = 0; i < 1000; i++)
        if (testing_ask(function, "echo", &end) == WORKER_FAILED) {
            failed++;
            assert_non_null(strstr(end.message, "its cell ended with code 5"));
        }
    assert_true(failed > 900);
    assert_true(testing_usage(tenant).cells < 100);
    (void)unsetenv("WEFT_STRESS");
    worker_destroy(worker);
}

static void
expect_start_failure(const char *mood, const char *message)
{
    struct worker *worker;
    struct testing_end end;
    struct diag diag;

    (void)setenv("WEFT_STRESS", mood, 1);
    worker = testing_worker();
    diag_init(&diag);
    assert_int_equal(worker_await_ready(worker, clock_now_ns() + TESTING_PATIENCE_NS, &diag), -EIO);
    if (strstr(diag_text(&diag), message) == NULL)
        fail_msg("%s: %s", mood, diag_text(&diag));
    assert_int_equal(testing_ask(testing_function(testing_tenant(worker, "a")), "echo", &end),
                     WORKER_FAILED);
    if (strstr(end.message, message) == NULL)
        fail_msg("%s: %s", mood, end.message);
    (void)unsetenv("WEFT_STRESS");
    worker_destroy(worker);
}

static void
test_cells_that_cannot_start_are_told_to_callers(void **state)
{
    (void)state;
    expect_start_failure("gone", "its cell ended with code 4");
    expect_start_failure("version", "of another version");
    expect_start_failure("useless", "this kernel is too old");
    expect_start_failure("early", "a call that it does not have");
}

static void
test_a_cell_that_cannot_be_set_up_says_why(void **state)
{
    struct worker *worker;
    struct testing_end end;

    (void)state;
    (void)setenv("WEFT_STRESS", "no-set-up", 1);
    worker = testing_worker();
    assert_int_equal(testing_ask(testing_function(testing_tenant(worker, "a")), "nothing", &end),
                     WORKER_FAILED);
    assert_non_null(strstr(end.message, "too few threads"));
    (void)unsetenv("WEFT_STRESS");
    worker_destroy(worker);
}

static void
test_what_a_cell_has_not_saved_or_holds_on_to_is_nobodys(void **state)
{
    static const char *const entries[] = {"echo", "hold", "lock"};
    struct worker *worker = testing_worker();
    struct worker_function *function = testing_function(testing_tenant(worker, "a"));
    unsigned fds = 0;
    struct testing_end end;

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
            testing_ask_with(
                function, (struct worker_call){.entry = entries[i], .save_at = "fd_read:0"}, &end);
            assert_int_equal(end.end.kind, WORKER_FAILED);
            assert_non_null(strstr(end.message, "not saved it, or does not let go"));
            assert_int_equal(end.end.saved_fd, -1);
        }
        assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
        testing_await_ready(worker);
        if (round == 0)
            fds = testing_count_fds();
    }
    assert_int_equal(testing_count_fds(), fds);
    worker_destroy(worker);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cell_that_breaks_the_rules_harms_only_itself),
        cmocka_unit_test(test_a_call_is_not_ended_twice),
        cmocka_unit_test(test_a_cell_cannot_end_calls_of_another_tenant),
        cmocka_unit_test(test_descriptors_that_a_cell_sends_are_closed),
        cmocka_unit_test(test_a_cell_that_talks_for_ever_does_not_stop_others),
        cmocka_unit_test(test_calls_to_a_cell_that_does_not_read_are_refused_in_the_end),
        cmocka_unit_test(test_calls_of_a_killed_cell_end_with_the_signal),
        cmocka_unit_test(test_a_tenant_at_its_memory_limit_is_stopped_and_told),
        cmocka_unit_test(test_limits_change_while_a_cell_runs),
        cmocka_unit_test(test_cells_that_die_at_once_are_not_started_for_ever),
        cmocka_unit_test(test_cells_that_cannot_start_are_told_to_callers),
        cmocka_unit_test(test_a_cell_that_cannot_be_set_up_says_why),
        cmocka_unit_test(test_what_a_cell_has_not_saved_or_holds_on_to_is_nobodys),
    };

    (void)unsetenv("WEFT_STRESS");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
