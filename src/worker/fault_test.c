/* SPDX-License-Identifier: Apache-2.0
 *
 * Each step of a worker fails in turn: nothing leaks, no call is lost, and once it
 * does not fail any more all is well.
 */
#include "base/fault.h"

#include "worker/worker_testing.h"

#define PASSES_MAX 200u

static int
create(struct worker **worker)
{
    const struct worker_config config = {
        .name = "fault", .cell_program = testing_program("test/worker/double"), .ready = 1};

    return worker_create(&config, worker, NULL);
}

static void
test_a_worker_that_cannot_be_created_leaves_nothing(void **state)
{
    unsigned before = testing_count_fds(), passes = 0;
    struct worker *worker = NULL;
    int err = -ENOMEM;

    (void)state;
    for (; err != 0 && passes < PASSES_MAX; passes++) {
        fault_arm("worker.create", passes + 1, -ENOMEM);
        err = create(&worker);
        if (fault_disarm())
            assert_true(err == -ENOMEM && worker == NULL);
        if (err != 0)
            assert_int_equal(testing_count_fds(), before);
    }
    assert_int_equal(err, 0);
    assert_true(passes > 4);
    worker_destroy(worker);
    assert_int_equal(testing_count_fds(), before);
}

static void
test_tenants_and_functions_that_cannot_be_added_leave_nothing(void **state)
{
    const struct worker_tenant_config config = {
        .name = "a", .network = {"weft-f0", "10.250.8.2/30", "10.250.8.1/30"}};
    const struct worker_directory folder = {STDIN_FILENO, "/data", true};
    const struct worker_function_config function_config = {.image_fd = STDIN_FILENO,
                                                           .proto_fd = STDIN_FILENO,
                                                           .directories = &folder,
                                                           .directory_count = 1};
    struct worker *worker = testing_worker();
    struct worker_tenant *tenant = NULL;
    struct worker_function *function = NULL;
    unsigned before, passes = 0;
    int err = -ENOMEM;

    (void)state;
    testing_await_ready(worker);
    before = testing_count_fds();
    for (; err != 0 && passes < PASSES_MAX; passes++) {
        fault_arm("worker.tenant", passes + 1, -ENOMEM);
        err = worker_tenant_add(worker, &config, &tenant, NULL);
        assert_true(fault_disarm() ? err == -ENOMEM && tenant == NULL : err == 0);
    }
    assert_int_equal(passes, 5);
    for (err = -ENOMEM, passes = 0; err != 0 && passes < PASSES_MAX; passes++) {
        assert_int_equal(testing_count_fds(), before);
        fault_arm("worker.function", passes + 1, -EMFILE);
        err = worker_function_add(tenant, &function_config, &function, NULL);
        assert_true(fault_disarm() ? err < 0 && function == NULL : err == 0);
    }
    assert_int_equal(passes, 6);
    worker_function_remove(function);
    assert_int_equal(testing_count_fds(), before);
    worker_destroy(worker);
}

/* While the pool is not filled, calls are queued: the long way. */
static void
test_calls_that_cannot_be_started_are_as_if_they_had_never_been(void **state)
{
    const int stdio[] = {0, 1, 2};
    struct worker *worker;
    struct worker_tenant *tenant;
    struct worker_function *function;
    struct testing_end end;
    unsigned passes = 0;
    int err = -ENOMEM;

    (void)state;
    (void)setenv("WEFT_STRESS", "mute", 1);
    worker = testing_worker();
    tenant = testing_tenant(worker, "a");
    function = testing_function(tenant);
    for (; err != 0 && passes < PASSES_MAX; passes++) {
        const struct worker_call call = {
            .entry = "echo", .stdio = stdio, .on_end = testing_on_end, .context = &end};

        testing_end_init(&end);
        fault_arm("worker.call", passes + 1, -ENOMEM);
        err = worker_call(function, &call, &end.id);
        if (fault_disarm()) {
            assert_int_equal(err, -ENOMEM);
            assert_int_equal(testing_usage(tenant).calls, 0);
        }
    }
    assert_int_equal(err, 0);
    assert_int_equal(passes, 6);
    (void)unsetenv("WEFT_STRESS");
    worker_destroy(worker);
    assert_int_equal(end.count, 1);
}

/* Begun on the loop, so that both wait when their cell is opened there. */
struct pair {
    struct testing_end ends[2], first;
    struct worker *worker;
    struct worker_function *function;
};

/* Who has two calls and hears that one failed may want none. */
static void
cancel_other(void *context, const struct worker_end *end)
{
    struct pair *pair = context;

    assert_int_equal(worker_cancel(pair->worker, pair->ends[0].id), 0);
    testing_on_end(&pair->ends[1], end);
}

static void
begin_pair(void *context, const struct worker_end *end)
{
    struct pair *pair = context;
    struct worker_call calls[2] = {
        {.entry = "nothing", .on_end = testing_on_end, .context = &pair->ends[0]},
        {.entry = "nothing", .on_end = cancel_other, .context = pair}};

    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(worker_call(pair->function, &calls[i], &pair->ends[i].id), 0);
    /* After setup, function and first call. */
    fault_arm("net.queue", 4, -ENOMEM);
    testing_on_end(&pair->first, end);
}

static void
test_on_end_of_a_call_that_cannot_be_sent_may_cancel_another(void **state)
{
    struct worker *worker = testing_worker();
    struct pair pair = {.worker = worker,
                        .function = testing_function(testing_tenant(worker, "a"))};
    struct worker_call call = {.entry = "echo", .on_end = begin_pair, .context = &pair};

    (void)state;
    testing_end_init(&pair.first);
    for (unsigned i = 0; i < 2; i++)
        testing_end_init(&pair.ends[i]);
    assert_int_equal(
        worker_call(testing_function(testing_tenant(worker, "b")), &call, &pair.first.id), 0);
    testing_await(&pair.first);
    testing_await(&pair.ends[1]);
    assert_true(fault_disarm());
    assert_int_equal(pair.ends[1].end.kind, WORKER_FAILED);
    testing_await(&pair.ends[0]);
    assert_int_equal(pair.ends[0].end.kind, WORKER_CANCELLED);
    worker_destroy(worker);
}

/* On the starter's thread and on the loop, so the first call may end as FAILED with
 * the reason; the next ones, after the pause, do not. */
static void
expect_recovery(const char *name, unsigned nth)
{
    struct worker *worker;
    struct worker_function *function;
    struct testing_end end;
    uint64_t until_ns = clock_now_ns() + TESTING_PATIENCE_NS;

    fault_arm(name, nth, -ENOMEM);
    worker = testing_worker();
    function = testing_function(testing_tenant(worker, "a"));
    while (testing_ask(function, "echo", &end) != WORKER_DONE) {
        if (end.end.kind != WORKER_FAILED)
            fail_msg("%s %u: ended as %d: %s", name, nth, (int)end.end.kind, end.message);
        assert_true(end.message[0] != '\0');
        assert_true(clock_now_ns() < until_ns);
    }
    (void)fault_disarm();
    worker_destroy(worker);
}

static void
test_starts_that_fail_are_told_and_tried_again(void **state)
{
    unsigned before;

    (void)state;
    expect_recovery("nothing", 1);
    before = testing_count_fds();
    for (unsigned nth = 1; nth <= 4; nth++)
        expect_recovery("worker.start", nth);
    for (unsigned nth = 1; nth <= 3; nth++)
        expect_recovery("worker.open", nth);
    for (unsigned nth = 1; nth <= 12; nth++)
        expect_recovery("jail.start", nth);
    for (unsigned nth = 1; nth <= 3; nth++)
        expect_recovery("jail.limit", nth);
    assert_int_equal(testing_count_fds(), before);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_that_cannot_be_created_leaves_nothing),
        cmocka_unit_test(test_tenants_and_functions_that_cannot_be_added_leave_nothing),
        cmocka_unit_test(test_calls_that_cannot_be_started_are_as_if_they_had_never_been),
        cmocka_unit_test(test_on_end_of_a_call_that_cannot_be_sent_may_cancel_another),
        cmocka_unit_test(test_starts_that_fail_are_told_and_tried_again),
    };

    (void)unsetenv("WEFT_STRESS");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
