/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent and its planner say to each other; its cells are doubles.
 */
#include "agent/agent_testing.h"

#define DONE      RPC__HOST_END_KIND__HOST_END_DONE
#define CANCELLED RPC__HOST_END_KIND__HOST_END_CANCELLED
#define FAILED    RPC__HOST_END_KIND__HOST_END_FAILED
#define LOST      RPC__HOST_END_KIND__HOST_END_LOST

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
    planner_open_function(&planner);
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

/* ------------------------------------------------------------------------ connections */

static void
test_another_key_is_refused_and_tried_again(void **state)
{
    struct planner planner;
    struct net_secret *right;
    struct agent_view view;
    struct net_frame frame;

    (void)state;
    planner_start(&planner);
    right = planner.secret;
    assert_int_equal(net_secret_create(testing_other_key, HOST_LABEL, &planner.secret), 0);
    planner_start_agent(&planner, double_program);
    for (int i = 0; i < 2; i++) {
        planner_accept(&planner);
        assert_false(planner_frame(&planner, &frame));
    }
    agent_look(planner.agent, &view);
    assert_false(view.is_registered);
    assert_non_null(strstr(view.reason, "another key"));
    net_secret_destroy(planner.secret);
    planner.secret = right;
    planner_register(&planner, true);
    (void)testing_look_until(planner.agent, is_registered);
    planner_stop(&planner);
}

static void
test_a_planner_that_refuses_says_why(void **state)
{
    struct planner planner;
    struct agent_view view;

    (void)state;
    planner_start(&planner);
    planner_start_agent(&planner, double_program);
    rpc__host_up__free_unpacked(planner_greet(&planner), NULL);
    rpc_refuse(planner.connection, "there is a host of this name");
    rpc__host_up__free_unpacked(planner_greet(&planner), NULL);
    agent_look(planner.agent, &view);
    assert_non_null(strstr(view.reason, "there is a host of this name"));
    planner_stop(&planner);
}

/* The first that is told does not listen. */
static void
test_several_addresses_are_tried_in_turn(void **state)
{
    struct agent_config config;
    struct planner planner;
    char addresses[2 * NET_ADDRESS_MAX + 64];

    (void)state;
    planner_start(&planner);
    config = planner_config(&planner, double_program);
    (void)snprintf(addresses, sizeof(addresses), "unix:%s/none, %s", planner.top, planner.address);
    config.planner = addresses;
    assert_int_equal(agent_create(&config, &planner.agent, NULL), 0);
    planner_register(&planner, true);
    (void)testing_look_until(planner.agent, is_registered);
    planner_stop(&planner);
}

static void
test_a_run_that_is_kept_goes_on_over_a_lost_connection(void **state)
{
    struct planner planner;
    struct agent_view view;
    Rpc__HostUp *up;

    (void)state;
    planner_open_function(&planner);
    planner_call(&planner, 5, 1, "nothing");
    planner_call(&planner, 6, 1, "echo");
    planner_expect(&planner, 6, DONE, "");
    planner_cut(&planner);
    up = planner_greet(&planner);
    assert_int_equal(up->register_->planner, planner.life);
    assert_int_equal(up->register_->n_runs, 1);
    assert_int_equal(up->register_->runs[0]->call, 5);
    planner_welcome(&planner, up->register_->runs, 1);
    rpc__host_up__free_unpacked(up, NULL);
    planner_expect_none(&planner, RPC__HOST_UP__IS_END);
    agent_look(planner.agent, &view);
    assert_int_equal(view.calls, 1);
    /* Its function is still known, and it can be stopped. */
    planner_call(&planner, 7, 1, "echo");
    planner_expect(&planner, 7, DONE, "");
    planner_say_stop(&planner, 5);
    planner_expect(&planner, 5, CANCELLED, "");
    (void)testing_look_until(planner.agent, is_quiet);
    planner_stop(&planner);
}

static void
test_a_run_that_is_not_kept_ends_and_is_not_told(void **state)
{
    struct planner planner;
    struct agent_view view;

    (void)state;
    planner_open_function(&planner);
    planner_call(&planner, 5, 1, "nothing");
    planner_call(&planner, 6, 1, "echo");
    rpc__host_up__free_unpacked(planner_hear_end(&planner, 6), NULL);
    planner_cut(&planner);
    planner_register(&planner, false);
    planner_call(&planner, 7, 1, "echo");
    planner_expect(&planner, 7, DONE, "");
    view = testing_look_until(planner.agent, is_quiet);
    assert_int_equal(view.ended, 3);
    planner_expect_none(&planner, RPC__HOST_UP__IS_END);
    planner_stop(&planner);
}

static void
test_ends_are_told_again_until_they_are_heard(void **state)
{
    struct planner planner;

    (void)state;
    planner_open_function(&planner);
    for (uint64_t call = 1; call <= 12; call++)
        planner_call(&planner, call, 1, "echo");
    for (int i = 0; i < 12; i++)
        rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_END), NULL);
    for (int round = 0; round < 2; round++) {
        planner_cut(&planner);
        planner_register(&planner, true);
        for (uint64_t call = 1; call <= 12; call++) {
            Rpc__HostUp *up = planner_hear(&planner, RPC__HOST_UP__IS_END);

            assert_int_equal(up->end->kind, DONE);
            assert_memory_equal(up->end->output.data, "ping", 4);
            if (round == 1)
                planner_heard(&planner, up->end->run->call);
            rpc__host_up__free_unpacked(up, NULL);
        }
    }
    (void)testing_look_until(planner.agent, is_quiet);
    planner_stop(&planner);
}

static void
test_a_silent_planner_loses_its_runs(void **state)
{
    struct planner planner;
    struct agent_view view;
    Rpc__HostUp *up;

    (void)state;
    planner_start(&planner);
    planner.silence_ns = UINT64_C(400000000);
    planner_start_agent(&planner, double_program);
    planner_register(&planner, true);
    {
        struct store_hash image = planner_put(&planner, "an image", 8);

        planner_tenant(&planner, "a");
        planner_function_of(&planner, 1, &image);
    }
    planner_call(&planner, 5, 1, "nothing");
    planner_call(&planner, 6, 1, "echo");
    rpc__host_up__free_unpacked(planner_hear_end(&planner, 6), NULL);
    /* It hangs up by itself; what has ended is still told. */
    while ((up = planner_next(&planner)) != NULL) {
        assert_int_equal(up->is_case, RPC__HOST_UP__IS_BEAT);
        rpc__host_up__free_unpacked(up, NULL);
    }
    up = planner_greet(&planner);
    assert_int_equal(up->register_->n_runs, 1);
    assert_int_equal(up->register_->runs[0]->call, 6);
    rpc__host_up__free_unpacked(up, NULL);
    agent_look(planner.agent, &view);
    assert_non_null(strstr(view.reason, "silent"));
    planner_stop(&planner);
}

/* Also where the connection is gone: the other end may be, too. */
static void
test_silence_counts_without_a_connection(void **state)
{
    struct planner planner;
    Rpc__HostUp *up;

    (void)state;
    planner_open_function(&planner);
    planner_cut(&planner);
    planner.silence_ns = UINT64_C(300000000);
    planner_register(&planner, true);
    planner_call(&planner, 5, 1, "nothing");
    planner_call(&planner, 6, 1, "echo");
    planner_expect(&planner, 6, DONE, "");
    planner_cut(&planner);
    (void)close(planner.listening);
    planner.listening = -1;
    (void)testing_look_until(planner.agent, is_quiet);
    assert_int_equal(net_listen(planner.address, &planner.listening, NULL), 0);
    up = planner_greet(&planner);
    assert_int_equal(up->register_->n_runs, 0);
    rpc__host_up__free_unpacked(up, NULL);
    planner_stop(&planner);
}

static void
test_another_planners_life_forgets_functions(void **state)
{
    struct store_hash image;
    struct planner planner;
    Rpc__HostUp *up;

    (void)state;
    planner_open_function(&planner);
    planner_call(&planner, 5, 1, "nothing");
    planner_call(&planner, 6, 1, "echo");
    planner_expect(&planner, 6, DONE, "");
    planner_cut(&planner);
    planner.life = 78;
    planner_register(&planner, true);
    planner_call(&planner, 7, 1, "echo");
    planner_expect(&planner, 7, FAILED, "not known");
    /* The new one's tenant goes on in the same cell, its numbers are new. */
    image = planner_put(&planner, "another", 7);
    planner_tenant(&planner, "a");
    planner_function_of(&planner, 1, &image);
    planner_call(&planner, 8, 1, "echo");
    planner_expect(&planner, 8, DONE, "");
    planner_say_stop(&planner, 5);
    planner_expect(&planner, 5, CANCELLED, "");
    planner_cut(&planner);
    up = planner_greet(&planner);
    assert_int_equal(up->register_->planner, 78);
    rpc__host_up__free_unpacked(up, NULL);
    planner_stop(&planner);
}

/* ------------------------------------------------------------------------------- starts */

static void
test_a_gang_ends_as_one(void **state)
{
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(5);
    struct planner planner;
    char *args[] = {(char *)(uintptr_t)"x"};
    Rpc__HostUp *up;

    (void)state;
    planner_open_function(&planner);
    run.first_member = 3;
    run.members = 4;
    start.run = &run;
    start.function = 1;
    start.entry = (char *)(uintptr_t)"echo";
    start.input = (ProtobufCBinaryData){4, (uint8_t *)(uintptr_t)"ping"};
    start.args = args;
    start.n_args = 1;
    planner_start_call(&planner, &start);
    up = planner_hear_end(&planner, 5);
    assert_int_equal(up->end->kind, DONE);
    assert_int_equal(up->end->run->first_member, 3);
    assert_int_equal(up->end->run->members, 4);
    assert_int_equal(up->end->output.len, 16);
    assert_memory_equal(up->end->output.data, "pingpingpingping", 16);
    assert_int_equal(up->end->log.len, 8);
    assert_memory_equal(up->end->log.data, "x;x;x;x;", 8);
    rpc__host_up__free_unpacked(up, NULL);
    planner_expect_none(&planner, RPC__HOST_UP__IS_END);
    planner_stop(&planner);
}

/* A cell that dies under them is the worst that can come of them. */
static void
test_the_worst_end_of_a_gang_counts(void **state)
{
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(5);
    struct planner planner;

    (void)state;
    planner_open_function(&planner);
    run.members = 3;
    start.run = &run;
    start.function = 1;
    start.entry = (char *)(uintptr_t)"leave";
    planner_start_call(&planner, &start);
    planner_expect(&planner, 5, LOST, "");
    start.entry = (char *)(uintptr_t)"nothing";
    run.call = 6;
    planner_start_call(&planner, &start);
    run.call = 7;
    start.entry = (char *)(uintptr_t)"echo";
    planner_start_call(&planner, &start);
    planner_expect(&planner, 7, DONE, "");
    {
        Rpc__HostDown down = RPC__HOST_DOWN__INIT;
        Rpc__HostStop stop = RPC__HOST_STOP__INIT;

        run.call = 6;
        stop.run = &run;
        down.is_case = RPC__HOST_DOWN__IS_STOP;
        down.stop = &stop;
        planner_send(&planner, &down);
    }
    planner_expect(&planner, 6, CANCELLED, "");
    planner_stop(&planner);
}

static void
test_what_cannot_be_started_says_why(void **state)
{
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(6);
    struct planner planner;

    (void)state;
    planner_open_function(&planner);
    planner_call(&planner, 5, 99, "echo");
    planner_expect(&planner, 5, FAILED, "not known");
    run.members = 9;
    start.run = &run;
    start.function = 1;
    planner_start_call(&planner, &start);
    planner_expect(&planner, 6, LOST, "more members");
    run.members = 2;
    start.has_save = true;
    start.save_at = (char *)(uintptr_t)"fd_read:0";
    planner_start_call(&planner, &start);
    planner_expect(&planner, 6, FAILED, "single");
    for (uint64_t call = 10; call < 26; call++)
        planner_call(&planner, call, 1, "nothing");
    planner_call(&planner, 30, 1, "echo");
    planner_expect(&planner, 30, LOST, "no slots");
    planner_stop(&planner);
}

static void
test_the_same_start_twice_is_one_run(void **state)
{
    struct planner planner;
    struct agent_view view;

    (void)state;
    planner_open_function(&planner);
    planner_call(&planner, 5, 1, "nothing");
    planner_call(&planner, 5, 1, "nothing");
    planner_call(&planner, 6, 1, "echo");
    rpc__host_up__free_unpacked(planner_hear_end(&planner, 6), NULL);
    agent_look(planner.agent, &view);
    assert_int_equal(view.calls, 1);
    planner_call(&planner, 6, 1, "echo"); /* it has ended: that is told again */
    planner_expect(&planner, 6, DONE, "");
    view = testing_look_until(planner.agent, is_registered);
    assert_int_equal(view.ended, 1);
    planner_stop(&planner);
}

static void
test_time_that_is_up_before_the_function_is_there(void **state)
{
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(6);
    struct planner planner;
    struct store_hash image;

    (void)state;
    planner_open(&planner, double_program);
    image = planner_put(&planner, "an image", 8);
    planner_tenant(&planner, "a");
    planner_function_of(&planner, 1, &image);
    start.run = &run;
    start.function = 1;
    start.wall_ns = 1;
    planner_start_call(&planner, &start);
    planner_expect(&planner, 6, RPC__HOST_END_KIND__HOST_END_LIMIT, "");
    planner_stop(&planner);
}

static void
test_a_result_that_is_too_large_for_a_frame_is_a_failure(void **state)
{
    enum { BYTES = 23 << 20 };
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(5);
    uint8_t *input = calloc(1, BYTES);
    struct planner planner;

    (void)state;
    assert_non_null(input);
    planner_open_function(&planner);
    run.members = 3;
    start.run = &run;
    start.function = 1;
    start.entry = (char *)(uintptr_t)"echo";
    start.input = (ProtobufCBinaryData){BYTES, input};
    planner_start_call(&planner, &start);
    planner_expect(&planner, 5, FAILED, "too large");
    run.members = 1;
    run.call = 6;
    planner_start_call(&planner, &start);
    planner_expect(&planner, 6, DONE, "");
    free(input);
    planner_stop(&planner);
}

/* ----------------------------------------------------------------- tenants, functions */

static void
test_a_tenant_that_goes_takes_its_calls_along(void **state)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostTenantGone gone = RPC__HOST_TENANT_GONE__INIT;
    struct planner planner;
    struct store_hash image;

    (void)state;
    planner_open_function(&planner);
    planner_call(&planner, 5, 1, "nothing");
    planner_call(&planner, 6, 1, "echo");
    planner_expect(&planner, 6, DONE, "");
    gone.name = (char *)(uintptr_t)"a";
    down.is_case = RPC__HOST_DOWN__IS_TENANT_GONE;
    down.tenant_gone = &gone;
    planner_send(&planner, &down);
    planner_send(&planner, &down);
    planner_expect(&planner, 5, CANCELLED, "");
    planner_call(&planner, 7, 1, "echo");
    planner_expect(&planner, 7, FAILED, "not known");
    /* Its name is free again. */
    image = planner_put(&planner, "an image", 8);
    planner_tenant(&planner, "a");
    planner_function_of(&planner, 2, &image);
    planner_call(&planner, 8, 2, "echo");
    planner_expect(&planner, 8, DONE, "");
    planner_stop(&planner);
}

static void
test_a_function_that_goes_lets_its_calls_end(void **state)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostFunctionGone gone = RPC__HOST_FUNCTION_GONE__INIT;
    struct planner planner;

    (void)state;
    planner_open_function(&planner);
    planner_call(&planner, 5, 1, "nothing");
    planner_call(&planner, 6, 1, "echo");
    planner_expect(&planner, 6, DONE, "");
    gone.number = 1;
    down.is_case = RPC__HOST_DOWN__IS_FUNCTION_GONE;
    down.function_gone = &gone;
    planner_send(&planner, &down);
    gone.number = 12345;
    planner_send(&planner, &down);
    planner_call(&planner, 7, 1, "echo");
    planner_expect(&planner, 7, FAILED, "not known");
    planner_expect_none(&planner, RPC__HOST_UP__IS_END);
    planner_say_stop(&planner, 5);
    planner_expect(&planner, 5, CANCELLED, "");
    planner_stop(&planner);
}

static void
test_a_tenant_gets_other_limits_while_it_runs(void **state)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostTenant tenant = RPC__HOST_TENANT__INIT;
    struct planner planner;

    (void)state;
    planner_open_function(&planner);
    planner_call(&planner, 5, 1, "echo");
    planner_expect(&planner, 5, DONE, "");
    tenant.name = (char *)(uintptr_t)"a";
    down.is_case = RPC__HOST_DOWN__IS_TENANT;
    down.tenant = &tenant;
    for (uint32_t share = 1; share < 20; share++) {
        tenant.cpu_share = share;
        planner_send(&planner, &down);
    }
    planner_call(&planner, 6, 1, "echo");
    planner_expect(&planner, 6, DONE, "");
    planner_stop(&planner);
}

/* --------------------------------------------------------------------- leaving, beating */

static void
test_leaving_is_told_at_once_and_again(void **state)
{
    struct planner planner;
    bool is_leaving = false;

    (void)state;
    planner_start(&planner);
    planner.beat_ns = planner.silence_ns; /* only leaving itself makes it speak */
    planner_start_agent(&planner, double_program);
    planner_register(&planner, true);
    rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_BEAT), NULL);
    agent_leave(planner.agent);
    for (int i = 0; i < 2; i++) {
        Rpc__HostUp *up = planner_hear(&planner, RPC__HOST_UP__IS_BEAT);

        is_leaving = up->beat->is_leaving;
        rpc__host_up__free_unpacked(up, NULL);
        assert_true(is_leaving);
        planner_cut(&planner);
        planner_register(&planner, true);
    }
    planner_stop(&planner);
}

static void
test_a_beat_tells_of_cells(void **state)
{
    struct planner planner;
    uint32_t cells = 0, ready = 0;

    (void)state;
    planner_open_function(&planner);
    planner_call(&planner, 5, 1, "echo");
    planner_expect(&planner, 5, DONE, "");
    for (int i = 0; i < 100 && (cells == 0 || ready == 0); i++) {
        Rpc__HostUp *up = planner_hear(&planner, RPC__HOST_UP__IS_BEAT);

        cells = up->beat->cells;
        ready = up->beat->ready_cells;
        assert_true(up->beat->busy_percent <= 100);
        rpc__host_up__free_unpacked(up, NULL);
    }
    assert_int_equal(cells, 1);
    assert_int_equal(ready, 1);
    planner_stop(&planner);
}

static void
test_draining_is_noted_and_calls_go_on(void **state)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostDrain drain = RPC__HOST_DRAIN__INIT;
    struct planner planner;

    (void)state;
    planner_open_function(&planner);
    drain.is_draining = true;
    down.is_case = RPC__HOST_DOWN__IS_DRAIN;
    down.drain = &drain;
    planner_send(&planner, &down);
    planner_call(&planner, 5, 1, "echo");
    planner_expect(&planner, 5, DONE, "");
    planner_stop(&planner);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_registers_and_is_welcome),
        cmocka_unit_test(test_a_call_runs_and_its_end_is_told_until_it_is_heard),
        cmocka_unit_test(test_another_key_is_refused_and_tried_again),
        cmocka_unit_test(test_a_planner_that_refuses_says_why),
        cmocka_unit_test(test_several_addresses_are_tried_in_turn),
        cmocka_unit_test(test_a_run_that_is_kept_goes_on_over_a_lost_connection),
        cmocka_unit_test(test_a_run_that_is_not_kept_ends_and_is_not_told),
        cmocka_unit_test(test_ends_are_told_again_until_they_are_heard),
        cmocka_unit_test(test_a_silent_planner_loses_its_runs),
        cmocka_unit_test(test_silence_counts_without_a_connection),
        cmocka_unit_test(test_another_planners_life_forgets_functions),
        cmocka_unit_test(test_a_gang_ends_as_one),
        cmocka_unit_test(test_the_worst_end_of_a_gang_counts),
        cmocka_unit_test(test_what_cannot_be_started_says_why),
        cmocka_unit_test(test_the_same_start_twice_is_one_run),
        cmocka_unit_test(test_time_that_is_up_before_the_function_is_there),
        cmocka_unit_test(test_a_result_that_is_too_large_for_a_frame_is_a_failure),
        cmocka_unit_test(test_a_tenant_that_goes_takes_its_calls_along),
        cmocka_unit_test(test_a_function_that_goes_lets_its_calls_end),
        cmocka_unit_test(test_a_tenant_gets_other_limits_while_it_runs),
        cmocka_unit_test(test_leaving_is_told_at_once_and_again),
        cmocka_unit_test(test_a_beat_tells_of_cells),
        cmocka_unit_test(test_draining_is_noted_and_calls_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
