/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker whose cells are the double: pool, tenants, calls, and their ends. What a
 * hostile cell does is in hostile_test.c.
 */
#include "worker/worker_testing.h"

#include <sys/stat.h>

static void
test_a_call_comes_back_with_what_the_cell_said(void **state)
{
    const char *args[] = {"program", "one", "two"};
    const uint64_t values[] = {7, UINT64_C(1) << 63};
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = testing_function(tenant);
    struct testing_end end;

    (void)state;
    testing_ask_with(function,
                     (struct worker_call){.entry = "echo",
                                          .args = args,
                                          .arg_count = 3,
                                          .values = values,
                                          .value_count = 2,
                                          .result_slots = 2,
                                          .input = (const uint8_t *)"input",
                                          .input_bytes = 5},
                     &end);
    assert_int_equal(end.end.kind, WORKER_DONE);
    assert_int_equal(end.end.result_slots, 2);
    assert_true(end.results[0] == 7 && end.results[1] == UINT64_C(1) << 63);
    assert_string_equal(end.output, "input");
    assert_string_equal(end.log, "program;one;two;");
    assert_true(end.end.total_ns > 0);
    worker_destroy(worker);
}

static void
test_a_tenant_has_no_process_until_its_first_call(void **state)
{
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = testing_function(tenant);
    struct testing_end end;
    pid_t pid;

    (void)state;
    testing_await_ready(worker);
    assert_int_equal(testing_usage(tenant).pid, 0);
    assert_int_equal(testing_usage(tenant).cells, 0);
    assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
    pid = testing_usage(tenant).pid;
    assert_true(pid > 0);
    /* The next one takes the same. */
    assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
    assert_int_equal(testing_usage(tenant).pid, pid);
    assert_int_equal(testing_usage(tenant).cells, 1);
    assert_int_equal(testing_usage(tenant).calls, 0);
    worker_destroy(worker);
}

static void
test_the_pool_is_filled_again(void **state)
{
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = 2}, "test/worker/double");
    struct worker_tenant *tenants[3];
    struct testing_end end;
    char name[8];

    (void)state;
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "t%d", i);
        tenants[i] = testing_tenant(worker, name);
        testing_await_ready(worker);
        assert_int_equal(testing_ask(testing_function(tenants[i]), "echo", &end), WORKER_DONE);
    }
    testing_await_ready(worker);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < i; j++)
            assert_int_not_equal(testing_usage(tenants[i]).pid, testing_usage(tenants[j]).pid);
    worker_destroy(worker);
}

#define TENANTS 40u

static void
test_many_tenants_have_a_cell_each_at_the_same_time(void **state)
{
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = 2}, "test/worker/double");
    struct worker_tenant *tenants[TENANTS];
    struct testing_end ends[TENANTS];

    (void)state;
    for (unsigned i = 0; i < TENANTS; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "t%u", i);
        tenants[i] = testing_tenant(worker, name);
        testing_begin(testing_function(tenants[i]), (struct worker_call){.entry = "echo"},
                      &ends[i]);
    }
    for (unsigned i = 0; i < TENANTS; i++) {
        testing_await(&ends[i]);
        assert_int_equal(ends[i].end.kind, WORKER_DONE);
        assert_int_equal(testing_usage(tenants[i]).cells, 1);
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(testing_usage(tenants[i]).pid, testing_usage(tenants[j]).pid);
    }
    /* Each goes without the others. */
    for (unsigned i = 0; i < TENANTS; i += 2)
        worker_tenant_remove(tenants[i]);
    for (unsigned i = 1; i < TENANTS; i += 2)
        assert_int_equal(testing_usage(tenants[i]).cells_lost, 0);
    worker_destroy(worker);
}

static void
test_without_a_pool_calls_start_cells(void **state)
{
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = WORKER_NO_POOL}, "test/worker/double");
    struct testing_end end;

    (void)state;
    testing_await_ready(worker);
    assert_int_equal(testing_ask(testing_function(testing_tenant(worker, "a")), "echo", &end),
                     WORKER_DONE);
    worker_destroy(worker);
}

/* So much time that what it waits for its cell does not fit any more. */
static void
test_a_call_with_nearly_all_the_time_there_is_is_not_late(void **state)
{
    const uint64_t stubborn_ns = UINT64_C(10000000000), margin_ns = 2000000;
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = WORKER_NO_POOL}, "test/worker/double");
    struct worker_function *function = testing_function(testing_tenant(worker, "a"));
    struct testing_end end, other;

    (void)state;
    testing_begin(
        function,
        (struct worker_call){.entry = "nothing",
                             .wall_ns = CLOCK_NEVER_NS - clock_now_ns() - stubborn_ns - margin_ns},
        &end);
    assert_int_equal(testing_ask(function, "echo", &other), WORKER_DONE);
    assert_int_equal(testing_ask(function, "echo", &other), WORKER_DONE);
    assert_int_equal(worker_cancel(worker, end.id), 0);
    testing_await(&end);
    assert_int_equal(end.end.kind, WORKER_CANCELLED);
    worker_destroy(worker);
}

static void
test_an_idle_cell_ends_and_the_next_call_takes_another(void **state)
{
    struct worker *worker = testing_worker_with(
        (struct worker_config){.ready = 1, .idle_ns = 1000000}, "test/worker/double");
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = testing_function(tenant);
    struct testing_end end;
    uint64_t until_ns = clock_now_ns() + TESTING_PATIENCE_NS;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
        while (testing_usage(tenant).pid != 0)
            assert_true(clock_now_ns() < until_ns);
        assert_int_equal(testing_usage(tenant).cells, i + 1);
        assert_int_equal(testing_usage(tenant).cells_lost, 0);
    }
    worker_destroy(worker);
}

/* ------------------------------------------------------------------------- many at once */

#define CALLERS 4u
#define EACH    200u

struct caller {
    struct worker_function *function;
    unsigned good;
};

static void *
call_many(void *context)
{
    struct caller *caller = context;
    struct testing_end end;

    for (uint64_t i = 0; i < EACH; i++) {
        testing_ask_with(caller->function,
                         (struct worker_call){
                             .entry = "echo", .values = &i, .value_count = 1, .result_slots = 1},
                         &end);
        caller->good += end.end.kind == WORKER_DONE && end.results[0] == i;
    }
    return NULL;
}

static void
test_many_threads_call_many_tenants(void **state)
{
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = 2}, "test/worker/double");
    struct worker_tenant *tenants[2] = {testing_tenant(worker, "a"), testing_tenant(worker, "b")};
    struct caller callers[CALLERS];
    pthread_t threads[CALLERS];

    (void)state;
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){testing_function(tenants[i % 2]), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, call_many, &callers[i]), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(callers[i].good, EACH);
    }
    worker_destroy(worker);
}

static void
test_large_inputs_come_back_whole_and_in_order(void **state)
{
    size_t bytes = WORKER_INPUT_BYTES_MAX / 4;
    struct worker *worker = testing_worker();
    struct worker_function *function = testing_function(testing_tenant(worker, "a"));
    uint8_t *input = malloc(bytes);
    struct testing_end ends[8];

    (void)state;
    assert_non_null(input);
    (void)memset(input, 'x', bytes);
    for (unsigned i = 0; i < 8; i++)
        testing_begin(function,
                      (struct worker_call){.entry = "echo", .input = input, .input_bytes = bytes},
                      &ends[i]);
    for (unsigned i = 0; i < 8; i++) {
        testing_await(&ends[i]);
        assert_int_equal(ends[i].end.kind, WORKER_DONE);
        assert_int_equal(ends[i].end.output_bytes, bytes);
    }
    free(input);
    worker_destroy(worker);
}

/* --------------------------------------------------------------------- cancel, remove, end */

static void
test_cancel_ends_a_call_that_runs(void **state)
{
    struct worker *worker = testing_worker();
    struct worker_function *function = testing_function(testing_tenant(worker, "a"));
    struct testing_end end, other;

    (void)state;
    testing_begin(function, (struct worker_call){.entry = "nothing"}, &end);
    assert_int_equal(testing_ask(function, "echo", &other), WORKER_DONE);
    assert_int_equal(worker_cancel(worker, end.id), 0);
    testing_await(&end);
    assert_int_equal(end.end.kind, WORKER_CANCELLED);
    assert_int_equal(worker_cancel(worker, end.id), -ESRCH);
    assert_int_equal(worker_cancel(worker, 0), -ESRCH);
    worker_destroy(worker);
}

static void
test_cancel_ends_a_call_that_waits_for_a_cell(void **state)
{
    struct worker *worker;
    struct worker_function *function;
    struct testing_end end;

    (void)state;
    (void)setenv("WEFT_STRESS", "mute", 1);
    worker = testing_worker();
    function = testing_function(testing_tenant(worker, "a"));
    (void)setenv("WEFT_STRESS", "", 1);
    testing_begin(function, (struct worker_call){.entry = "nothing"}, &end);
    assert_int_equal(worker_cancel(worker, end.id), 0);
    testing_await(&end);
    assert_int_equal(end.end.kind, WORKER_CANCELLED);
    (void)unsetenv("WEFT_STRESS");
    worker_destroy(worker);
}

static void
test_removing_a_tenant_ends_its_calls_and_its_cell(void **state)
{
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = testing_function(tenant);
    struct testing_end ends[5];
    pid_t pid;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        testing_begin(function, (struct worker_call){.entry = "nothing"}, &ends[i]);
    assert_int_equal(testing_ask(function, "echo", &ends[4]), WORKER_DONE);
    pid = testing_usage(tenant).pid;
    assert_int_equal(kill(pid, 0), 0);
    worker_tenant_remove(tenant);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(ends[i].count, 1); /* before remove returns */
        assert_int_equal(ends[i].end.kind, WORKER_CANCELLED);
    }
    /* Its name is free again. */
    assert_int_equal(testing_ask(testing_function(testing_tenant(worker, "a")), "echo", &ends[0]),
                     WORKER_DONE);
    worker_destroy(worker);
    assert_int_not_equal(kill(pid, 0), 0);
}

static void
test_destroy_ends_calls_that_run_and_calls_that_wait(void **state)
{
    struct worker *worker = testing_worker();
    struct testing_end ends[6];

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "t%u", i);
        testing_begin(testing_function(testing_tenant(worker, name)),
                      (struct worker_call){.entry = "nothing"}, &ends[i]);
    }
    worker_destroy(worker);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(ends[i].count, 1);
        assert_int_equal(ends[i].end.kind, WORKER_CANCELLED);
    }
}

/* On the worker's thread: what may be done there. */
struct chain {
    struct testing_end last;
    struct worker_function *function;
    unsigned left;
};

static void
call_again(void *context, const struct worker_end *end)
{
    struct chain *chain = context;
    struct worker_call call = {.entry = "echo", .on_end = call_again, .context = chain};
    uint64_t id;

    if (end->kind == WORKER_DONE && chain->left-- > 0)
        assert_int_equal(worker_call(chain->function, &call, &id), 0);
    else
        testing_on_end(&chain->last, end);
}

static void
test_on_end_may_start_calls(void **state)
{
    struct worker *worker = testing_worker();
    struct chain chain = {.function = testing_function(testing_tenant(worker, "a")), .left = 100};
    struct worker_call call = {.entry = "echo", .on_end = call_again, .context = &chain};
    uint64_t id;

    (void)state;
    testing_end_init(&chain.last);
    assert_int_equal(worker_call(chain.function, &call, &id), 0);
    testing_await_told(&chain.last);
    assert_int_equal(chain.last.end.kind, WORKER_DONE);
    worker_destroy(worker);
}

struct remover {
    struct testing_end told;
    struct worker_tenant *tenant;
};

static void
remove_tenant(void *context, const struct worker_end *end)
{
    struct remover *remover = context;

    worker_tenant_remove(remover->tenant);
    testing_on_end(&remover->told, end);
}

static void
test_on_end_may_remove_its_tenant(void **state)
{
    struct worker *worker = testing_worker();
    struct remover remover = {.tenant = testing_tenant(worker, "a")};
    struct worker_function *function = testing_function(remover.tenant);
    struct worker_call call = {.entry = "echo", .on_end = remove_tenant, .context = &remover};
    struct testing_end other;

    (void)state;
    testing_end_init(&remover.told);
    testing_begin(function, (struct worker_call){.entry = "nothing"}, &other);
    assert_int_equal(worker_call(function, &call, &remover.told.id), 0);
    testing_await(&remover.told);
    testing_await(&other);
    assert_int_equal(other.end.kind, WORKER_CANCELLED);
    worker_destroy(worker);
}

/* ------------------------------------------------------------------------------ refusals */

static void
test_tenants_and_functions_that_are_wrong_are_refused(void **state)
{
    static const struct worker_function_config bad[] = {
        {.image_fd = -1, .proto_fd = -1},
        {.image_fd = 1000, .proto_fd = -1},
        {.image_fd = STDIN_FILENO, .proto_fd = -1, .entry = "\xff"},
        {.image_fd = STDIN_FILENO, .proto_fd = -1, .directory_count = WORKER_DIRECTORIES_MAX + 1},
    };
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a"), *second = NULL;
    struct worker_tenant_config config = {.name = "a"};
    struct worker_function *other = NULL;

    (void)state;
    assert_int_equal(worker_tenant_add(worker, &config, &second, NULL), -EEXIST);
    config.name = "a/b";
    assert_int_equal(worker_tenant_add(worker, &config, &second, NULL), -EINVAL);
    config.name = "a23456789-b23456789_c23456789-d23456789-e23456789-f23456789-g234";
    assert_int_equal(worker_tenant_add(worker, &config, &second, NULL), -EINVAL);
    config.name = "b";
    config.executors = 100000;
    assert_int_equal(worker_tenant_add(worker, &config, &second, NULL), -EINVAL);
    assert_null(second);
    (void)testing_tenant(worker, "a23456789-b23456789_c23456789-d23456789-e23456789-f23456789-g23");
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(worker_function_add(tenant, &bad[i], &other, NULL), -EINVAL);
    assert_null(other);
    worker_destroy(worker);
}

static void
test_calls_that_are_wrong_are_refused(void **state)
{
    const char *bad_text[] = {"\xff\xfe"};
    const struct {
        int err;
        struct worker_call call;
    } bad[] = {
        {-EINVAL, {.on_end = NULL}},
        {-EINVAL, {.value_count = WORKER_VALUES_MAX + 1}},
        {-EINVAL, {.result_slots = WORKER_VALUES_MAX + 1}},
        {-EINVAL, {.args = bad_text, .arg_count = 1}},
        {-EINVAL, {.env = bad_text, .env_count = 1}},
        {-EINVAL, {.entry = bad_text[0]}},
        {-EINVAL, {.stdio = (const int[]){0, 1, -1}}},
        {-EINVAL, {.stdio = (const int[]){0, 1, 1000}}},
        {-E2BIG, {.input = (const uint8_t *)"", .input_bytes = WORKER_INPUT_BYTES_MAX + 1u}},
    };
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = testing_function(tenant);
    struct testing_end end;
    uint64_t id;

    (void)state;
    /* Without a cell, and with one: not the same way. */
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
            struct worker_call call = bad[i].call;

            call.on_end = i == 0 ? NULL : testing_on_end;
            assert_int_equal(worker_call(function, &call, &id), bad[i].err);
        }
        assert_int_equal(testing_usage(tenant).calls, 0);
        assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
    }
    worker_destroy(worker);
}

static void
test_more_calls_than_the_tenant_may_have_are_refused(void **state)
{
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant =
        testing_tenant_with(worker, &(struct worker_tenant_config){.name = "a", .calls_max = 2});
    struct worker_function *function = testing_function(tenant);
    struct worker_call third = {.entry = "echo", .on_end = testing_on_end};
    struct testing_end ends[2];
    uint64_t id;

    (void)state;
    for (int i = 0; i < 2; i++)
        testing_begin(function, (struct worker_call){.entry = "nothing"}, &ends[i]);
    assert_int_equal(worker_call(function, &third, &id), -EAGAIN);
    assert_int_equal(worker_cancel(worker, ends[0].id), 0);
    testing_await(&ends[0]);
    assert_int_equal(testing_ask(function, "echo", &ends[0]), WORKER_DONE);
    worker_destroy(worker);
}

static void
test_a_program_that_is_none_is_refused(void **state)
{
    struct worker_config config = {.name = "w", .cell_program = "/nonexistent/cell"};
    struct worker *worker = NULL;
    struct diag diag;

    (void)state;
    diag_init(&diag);
    assert_int_equal(worker_create(&config, &worker, &diag), -ENOENT);
    assert_non_null(strstr(diag_text(&diag), "/nonexistent/cell"));
    config.cell_program = "/etc/passwd";
    diag_init(&diag);
    assert_int_equal(worker_create(&config, &worker, &diag), -ENOEXEC);
    config.name = "no name";
    assert_int_equal(worker_create(&config, &worker, NULL), -EINVAL);
    assert_null(worker);
}

static void
test_strict_refuses_where_the_machine_lacks_a_protection(void **state)
{
    struct worker_config config = {
        .name = "w", .cell_program = testing_program("test/worker/double"), .is_strict = true};
    uint32_t missing = JAIL_FEATURES_ALL & ~(uint32_t)JAIL_NETWORK_RATE & ~jail_features();
    struct worker *worker = NULL;
    struct diag diag;
    int err;

    (void)state;
    diag_init(&diag);
    err = worker_create(&config, &worker, &diag);
    assert_int_equal(err, missing != 0 ? -EPERM : 0);
    for (uint32_t bit = 1; missing != 0; bit <<= 1)
        if ((missing & bit) != 0) {
            assert_non_null(strstr(diag_text(&diag), jail_feature_name((enum jail_feature)bit)));
            break;
        }
    worker_destroy(worker);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_comes_back_with_what_the_cell_said),
        cmocka_unit_test(test_a_tenant_has_no_process_until_its_first_call),
        cmocka_unit_test(test_the_pool_is_filled_again),
        cmocka_unit_test(test_many_tenants_have_a_cell_each_at_the_same_time),
        cmocka_unit_test(test_without_a_pool_calls_start_cells),
        cmocka_unit_test(test_a_call_with_nearly_all_the_time_there_is_is_not_late),
        cmocka_unit_test(test_an_idle_cell_ends_and_the_next_call_takes_another),
        cmocka_unit_test(test_many_threads_call_many_tenants),
        cmocka_unit_test(test_large_inputs_come_back_whole_and_in_order),
        cmocka_unit_test(test_cancel_ends_a_call_that_runs),
        cmocka_unit_test(test_cancel_ends_a_call_that_waits_for_a_cell),
        cmocka_unit_test(test_removing_a_tenant_ends_its_calls_and_its_cell),
        cmocka_unit_test(test_destroy_ends_calls_that_run_and_calls_that_wait),
        cmocka_unit_test(test_on_end_may_start_calls),
        cmocka_unit_test(test_on_end_may_remove_its_tenant),
        cmocka_unit_test(test_tenants_and_functions_that_are_wrong_are_refused),
        cmocka_unit_test(test_calls_that_are_wrong_are_refused),
        cmocka_unit_test(test_more_calls_than_the_tenant_may_have_are_refused),
        cmocka_unit_test(test_a_program_that_is_none_is_refused),
        cmocka_unit_test(test_strict_refuses_where_the_machine_lacks_a_protection),
    };

    /* The double takes it for its mood. */
    (void)unsetenv("WEFT_STRESS");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
