/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent does where memory, descriptors or the disk fail: it says so, leaks nothing,
 * and goes on. Its cells are doubles.
 */
#include "agent/agent_testing.h"

#include "base/fault.h"

static const char double_program[] = "test/worker/double";

static void
test_create_fails_whole(void **state)
{
    struct planner planner;
    unsigned before, nth = 0;
    int err;

    (void)state;
    planner_start(&planner);
    before = testing_count_fds();
    do {
        const struct agent_config config = planner_config(&planner, double_program);
        struct diag diag;

        diag_init(&diag);
        fault_arm("agent.create", ++nth, -ENOMEM);
        err = agent_create(&config, &planner.agent, &diag);
        if (fault_disarm())
            assert_int_equal(err, -ENOMEM);
        if (err != 0) {
            assert_true(diag_text(&diag)[0] != '\0');
            assert_int_equal(testing_count_fds(), before);
        }
    } while (err != 0);
    assert_true(nth > 5);
    planner_stop(&planner);
}

/* A function whose image and file are fetched, with a call. Numbers make all of it new. */
static void
say_all(struct planner *planner, uint64_t number)
{
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    Rpc__HostFile file = RPC__HOST_FILE__INIT, *files[1] = {&file};
    const uint64_t words[2] = {number, number + 1000};
    struct store_hash image, model;

    image = planner_put(planner, words, 8);
    model = planner_put(planner, words, 16);
    planner_tenant(planner, "a");
    function.number = number;
    function.tenant = (char *)(uintptr_t)"a";
    function.image = testing_hash(&image);
    function.files = files;
    function.n_files = 1;
    file.path = (char *)(uintptr_t)"/data/model";
    file.hash = testing_hash(&model);
    planner_function(planner, &function);
    planner_call(planner, number, number, "echo");
}

/* Its end, over new connections if need be. */
static Rpc__HostEndKind
await_end(struct planner *planner, uint64_t call)
{
    for (;;) {
        Rpc__HostUp *up = planner_next(planner);
        Rpc__HostEndKind kind = RPC__HOST_END_KIND__HOST_END_NONE;

        if (up == NULL) {
            planner_register(planner, true);
            continue;
        }
        if (up->is_case == RPC__HOST_UP__IS_END && up->end->run->call == call)
            kind = up->end->kind;
        if (kind == RPC__HOST_END_KIND__HOST_END_FAILED ||
            kind == RPC__HOST_END_KIND__HOST_END_LOST)
            assert_true(up->end->message[0] != '\0');
        rpc__host_up__free_unpacked(up, NULL);
        if (kind != RPC__HOST_END_KIND__HOST_END_NONE)
            return kind;
    }
}

static bool
is_quiet(const struct agent_view *view)
{
    return view->calls == 0 && view->unheard == 0;
}

/* Until a pass has no failure. */
static void
fail_each(const char *point)
{
    const unsigned before = testing_count_fds();
    struct planner planner;
    bool was_reached = true;
    unsigned nth = 0;

    planner_open(&planner, double_program);
    while (was_reached && nth < 40) {
        uint64_t number = 2 * ++nth;

        fault_arm(point, nth, -ENOMEM);
        say_all(&planner, number);
        (void)await_end(&planner, number);
        was_reached = fault_disarm();
        planner_heard(&planner, number);
        say_all(&planner, number + 1);
        if (await_end(&planner, number + 1) != RPC__HOST_END_KIND__HOST_END_DONE)
            fail_msg("%s %u: it does not recover", point, nth);
        planner_heard(&planner, number + 1);
        (void)testing_look_until(planner.agent, is_quiet);
    }
    if (nth == 1)
        fail_msg("%s: nothing passes there", point);
    planner_stop(&planner);
    assert_int_equal(testing_count_fds(), before);
}

static void
test_each_failure_is_told_and_left_behind(void **state)
{
    static const char *const points[] = {
        "agent.function", "agent.prepare", "agent.cache", "agent.put", "agent.files", "agent.want",
        "agent.piece",    "agent.run",     "agent.start", "agent.end", "agent.send",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++)
        fail_each(points[i]);
}

/* The first word about a tenant is not kept: its functions say so, until it is said again. */
static void
test_a_tenant_that_cannot_be_kept_is_not_known(void **state)
{
    struct planner planner;

    (void)state;
    planner_open(&planner, double_program);
    fault_arm("agent.tenant", 1, -ENOMEM);
    say_all(&planner, 1);
    planner_expect(&planner, 1, RPC__HOST_END_KIND__HOST_END_FAILED, "tenant is not known");
    assert_true(fault_disarm());
    say_all(&planner, 2);
    planner_expect(&planner, 2, RPC__HOST_END_KIND__HOST_END_DONE, "");
    planner_stop(&planner);
}

static void
test_what_cannot_register_tries_again(void **state)
{
    struct planner planner;

    (void)state;
    planner_start(&planner);
    fault_arm("agent.register", 1, -ENOMEM);
    planner_start_agent(&planner, double_program);
    {
        struct net_frame frame;

        planner_accept(&planner);
        while (planner_frame(&planner, &frame))
            net_frame_fini(&frame);
    }
    assert_true(fault_disarm());
    planner_register(&planner, true);
    say_all(&planner, 2);
    planner_expect(&planner, 2, RPC__HOST_END_KIND__HOST_END_DONE, "");
    planner_stop(&planner);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_fails_whole),
        cmocka_unit_test(test_each_failure_is_told_and_left_behind),
        cmocka_unit_test(test_a_tenant_that_cannot_be_kept_is_not_known),
        cmocka_unit_test(test_what_cannot_register_tries_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
