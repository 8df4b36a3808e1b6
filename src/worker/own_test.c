/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenants whose cells are not from the pool, but started for them alone: with a network.
 */
#include "worker/worker_testing.h"

#include <sched.h>

#include "base/fault.h"

#define ROUNDS   8u
#define PAUSE_NS UINT64_C(400000000) /* after the third failure in a row */

/* Where something waits for ever, the signal ends the program. */
#define SECONDS_MAX 100u

static struct worker_tenant *
own_tenant(struct worker *worker)
{
    const struct worker_tenant_config config = {
        .name = "own", .network = {"weft-own0", "10.250.10.2/30", "10.250.10.1/30"}};

    return testing_tenant_with(worker, &config);
}

static void
test_a_tenant_has_a_cell_of_its_own(void **state)
{
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = WORKER_NO_POOL}, "test/worker/double");
    struct worker_tenant *tenant = own_tenant(worker);
    struct worker_function *function = testing_function(tenant);
    struct testing_end end;

    (void)state;
    assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
    assert_int_equal(testing_ask(function, "leave", &end), WORKER_LOST);
    assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
    assert_int_equal(testing_usage(tenant).cells, 2);
    worker_destroy(worker);
}

/* The starter is at it, and brings a cell for nobody. */
static void
test_a_tenant_may_be_removed_while_its_cell_starts(void **state)
{
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = WORKER_NO_POOL}, "test/worker/double");

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct worker_tenant *tenant = own_tenant(worker);
        struct testing_end end;

        testing_begin(testing_function(tenant), (struct worker_call){.entry = "nothing"}, &end);
        (void)usleep(i * 500); /* another moment of the start each time */
        worker_tenant_remove(tenant);
        assert_int_equal(end.count, 1);
        assert_int_equal(end.end.kind, WORKER_CANCELLED);
    }
    worker_destroy(worker);
}

static unsigned
count_children(void)
{
    char list[4096] = "";
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    unsigned count = 0;

    assert_true(fd >= 0);
    (void)!read(fd, list, sizeof(list) - 1);
    (void)close(fd);
    for (const char *at = list; (at = strchr(at, ' ')) != NULL; at++)
        count++;
    return count;
}

static void
test_a_cell_that_came_for_a_cancelled_call_goes_when_it_is_idle(void **state)
{
    struct worker *worker = testing_worker_with(
        (struct worker_config){.ready = WORKER_NO_POOL, .idle_ns = 1000000}, "test/worker/double");
    struct worker_function *function = testing_function(own_tenant(worker));
    /* After 30 s the loop looks at it in any case. */
    uint64_t until_ns = clock_now_ns() + UINT64_C(20) * CLOCK_NS_PER_SECOND;
    struct testing_end end;

    (void)state;
    testing_begin(function, (struct worker_call){.entry = "nothing"}, &end);
    while (count_children() == 0)
        assert_true(clock_now_ns() < until_ns);
    assert_int_equal(worker_cancel(worker, end.id), 0);
    testing_await(&end);
    while (count_children() > 0)
        assert_true(clock_now_ns() < until_ns);
    assert_int_equal(testing_ask(function, "echo", &end), WORKER_DONE);
    worker_destroy(worker);
}

static void
expect_failure(const char *mood, const char *message)
{
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = WORKER_NO_POOL}, "test/worker/double");
    struct worker_function *function;
    struct testing_end end;
    uint64_t until_ns = clock_now_ns() + TESTING_PATIENCE_NS;

    (void)setenv("WEFT_STRESS", mood, 1);
    function = testing_function(own_tenant(worker));
    assert_int_equal(testing_ask(function, "echo", &end), WORKER_FAILED);
    if (strstr(end.message, message) == NULL)
        fail_msg("%s: %s", mood, end.message);
    /* And once they do not die any more, after the pause. */
    (void)unsetenv("WEFT_STRESS");
    while (testing_ask(function, "echo", &end) != WORKER_DONE)
        assert_true(end.end.kind == WORKER_FAILED && clock_now_ns() < until_ns);
    worker_destroy(worker);
}

static void
test_calls_of_a_tenant_whose_cells_die_at_once_are_told_why(void **state)
{
    (void)state;
    expect_failure("gone", "its cell ended with code 4");
    expect_failure("useless", "this kernel is too old");
}

/* However many calls come in the pause after a start that failed: each ends at once. */
static void
test_calls_in_a_pause_start_no_cells(void **state)
{
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = WORKER_NO_POOL}, "test/worker/double");
    struct worker_function *function = testing_function(own_tenant(worker));
    uint64_t before_ns = 0;
    struct testing_end end;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        do {
            before_ns = clock_now_ns();
            fault_arm("worker.start", 1, -ENOMEM);
            assert_int_equal(testing_ask(function, "echo", &end), WORKER_FAILED);
        } while (!fault_disarm());
    fault_arm("worker.start", 1, -ENOMEM);
    while (clock_now_ns() < before_ns + PAUSE_NS / 4 * 3)
        assert_int_equal(testing_ask(function, "echo", &end), WORKER_FAILED);
    assert_true(!fault_disarm() || clock_now_ns() >= before_ns + PAUSE_NS);
    worker_destroy(worker);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tenant_has_a_cell_of_its_own),
        cmocka_unit_test(test_a_tenant_may_be_removed_while_its_cell_starts),
        cmocka_unit_test(test_a_cell_that_came_for_a_cancelled_call_goes_when_it_is_idle),
        cmocka_unit_test(test_calls_of_a_tenant_whose_cells_die_at_once_are_told_why),
        cmocka_unit_test(test_calls_in_a_pause_start_no_cells),
    };

    (void)unsetenv("WEFT_STRESS");
    /* Links of tests are not for the machine's own network. */
    (void)unshare(CLONE_NEWNET);
    (void)alarm(SECONDS_MAX);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
