/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent and its planner say to each other; its cells are doubles.
 */
#include "agent/agent_testing.h"

enum {
    DONE = RPC__HOST_END_KIND__HOST_END_DONE,
    CANCELLED = RPC__HOST_END_KIND__HOST_END_CANCELLED,
    FAILED = RPC__HOST_END_KIND__HOST_END_FAILED,
    LOST = RPC__HOST_END_KIND__HOST_END_LOST,
};

static const char double_program[] = "test/worker/double";

static bool
is_registered(const struct agent_view *view)
{
    return view->is_registered;
}

static bool
is_quiet(const struct agent_view *view)
{
    return view->calls == 0 && view->unheard == 0;
}

/* With tenant "a" and function 1. */
static void
open_with_function(struct planner *planner)
{
    struct store_hash image;

    planner_open(planner, double_program);
    image = planner_put(planner, "an image", 8);
    planner_tenant(planner, "a");
    planner_function_of(planner, 1, &image);
}

/* ----------------------------------------------------------------------- registration */

static void
test_it_registers_and_is_welcome(void **state)
{
    struct planner planner;
    struct agent_view view;
    Rpc__HostUp *up;

    (void)state;
    planner_start(&planner);
    planner_start_agent(&planner, double_program);
    up = planner_greet(&planner);
    assert_int_equal(up->register_->slots, 8);
    assert_true(up->register_->memory_bytes > 0);
    assert_true(up->register_->cores > 0);
    assert_int_equal(up->register_->planner, 0);
    assert_int_equal(up->register_->n_runs, 0);
    agent_look(planner.agent, &view);
    assert_false(view.is_registered);
    planner_welcome(&planner, NULL, 0);
    rpc__host_up__free_unpacked(up, NULL);
    rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_BEAT), NULL);
    view = testing_look_until(planner.agent, is_registered);
    assert_string_equal(view.reason, "");
    planner_stop(&planner);
}

static void
test_a_call_runs_and_its_end_is_told_until_it_is_heard(void **state)
{
    struct planner planner;
    struct agent_view view;
    Rpc__HostUp *up;

    (void)state;
    open_with_function(&planner);
    planner_call(&planner, 5, 1, "echo");
    up = planner_hear_end(&planner, 5);
    assert_int_equal(up->end->kind, DONE);
    assert_int_equal(up->end->output.len, 4);
    assert_memory_equal(up->end->output.data, "ping", 4);
    assert_int_equal(up->end->run->attempt, 1);
    assert_int_equal(up->end->run->members, 1);
    assert_true(up->end->was_cold);
    assert_true(up->end->start_ns > 0);
    rpc__host_up__free_unpacked(up, NULL);
    agent_look(planner.agent, &view);
    assert_int_equal(view.unheard, 1);
    assert_int_equal(view.functions, 1);
    planner_heard(&planner, 5);
    (void)testing_look_until(planner.agent, is_quiet);
    planner_call(&planner, 6, 1, "echo");
    up = planner_hear_end(&planner, 6);
    assert_false(up->end->was_cold);
    rpc__host_up__free_unpacked(up, NULL);
    planner_stop(&planner);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_registers_and_is_welcome),
        cmocka_unit_test(test_a_call_runs_and_its_end_is_told_until_it_is_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
