/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers of an ordinary user: with what the kernel gives such a one, calls come back,
 * cells die and come again, and what is missing is named. Run by root, the whole
 * program becomes an ordinary user first.
 */
#include "worker/worker_testing.h"

#include <grp.h>
#include <sys/prctl.h>

#define OUR_USER 65534

/* As another user, who may not go through the folders that lead to it. */
static char cell_program[32];

static struct worker *
start_worker(bool is_strict, int wanted)
{
    struct worker_config config = {
        .name = "user", .cell_program = cell_program, .ready = 1, .is_strict = is_strict};
    struct worker *worker = NULL;
    struct diag diag;

    diag_init(&diag);
    if (worker_create(&config, &worker, &diag) != wanted)
        fail_msg("no worker: %s", diag_text(&diag));
    return worker;
}

static void
test_calls_come_back_and_cells_come_again(void **state)
{
    struct worker *worker = start_worker(false, 0);
    struct worker_tenant *tenants[2] = {testing_tenant(worker, "a"), testing_tenant(worker, "b")};
    struct worker_function *functions[2];
    struct testing_end end;

    (void)state;
    assert_int_not_equal(geteuid(), 0);
    for (int i = 0; i < 2; i++) {
        functions[i] = testing_function(tenants[i]);
        assert_int_equal(testing_ask(functions[i], "echo", &end), WORKER_DONE);
    }
    assert_int_equal(testing_ask(functions[0], "leave", &end), WORKER_LOST);
    assert_int_equal(testing_ask(functions[0], "echo", &end), WORKER_DONE);
    testing_begin(functions[0], (struct worker_call){.entry = "nothing"}, &end);
    testing_kill_cell(tenants[0]);
    testing_await(&end);
    assert_string_equal(end.message, "its cell was killed by signal 9");
    for (int i = 0; i < 2; i++)
        assert_int_equal(testing_ask(functions[i], "echo", &end), WORKER_DONE);
    assert_int_equal(testing_usage(tenants[1]).cells, 1);
    worker_destroy(worker);
}

static void
test_limits_that_are_missing_are_named(void **state)
{
    const struct worker_tenant_config config = {
        .name = "a", .limits = {.memory_bytes = 64 << 20, .cpu_percent = 50, .files = 50}};
    const uint32_t asked = JAIL_MEMORY | JAIL_CPU | JAIL_FILES;
    struct worker *worker = start_worker(false, 0);
    struct worker_tenant *tenant = testing_tenant_with(worker, &config);
    struct testing_end end;

    (void)state;
    assert_int_equal(testing_ask(testing_function(tenant), "look", &end), WORKER_DONE);
    assert_int_equal(testing_usage(tenant).missing & asked, asked & ~jail_features());
    assert_non_null(strstr(end.output, " of 50\n"));
    if ((jail_features() & JAIL_PID_NAMESPACE) != 0)
        assert_non_null(strstr(end.output, "pid 1, processes 1\n"));
    worker_destroy(worker);
}

static void
test_strict_refuses(void **state)
{
    uint32_t missing = JAIL_FEATURES_ALL & ~(uint32_t)JAIL_NETWORK_RATE & ~jail_features();

    (void)state;
    worker_destroy(start_worker(true, missing != 0 ? -EPERM : 0));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_come_back_and_cells_come_again),
        cmocka_unit_test(test_limits_that_are_missing_are_named),
        cmocka_unit_test(test_strict_refuses),
    };
    int fd = open(testing_program("test/worker/double"), O_RDONLY | O_CLOEXEC);

    (void)unsetenv("WEFT_STRESS");
    (void)snprintf(cell_program, sizeof(cell_program), "/proc/self/fd/%d", fd);
    if (geteuid() == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(OUR_USER, OUR_USER, OUR_USER) != 0 ||
            setresuid(OUR_USER, OUR_USER, OUR_USER) != 0)
            return 1;
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
