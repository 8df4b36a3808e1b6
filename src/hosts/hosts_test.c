/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may become a host, and how it stays one.
 */
#include "hosts/hosts_testing.h"

/* --------------------------------------------------------------------------- coming */

static bool
show_one(void *context, const struct hosts_view *view)
{
    unsigned *count = context;

    if ((*count)++ > 0)
        return true;
    assert_string_equal(view->name, "a");
    assert_string_equal(view->zone, "cellar");
    assert_string_equal(view->version, "1.2.3");
    assert_string_equal(view->missing, "seccomp, cgroup");
    assert_true(strncmp(view->address, "127.0.0.1:", 10) == 0);
    assert_true(view->slots == 4 && view->used == 0 && view->cores == 2);
    assert_int_equal(view->memory_bytes, 1u << 30);
    assert_true(view->is_connected && !view->is_draining && !view->is_leaving);
    return true;
}

static bool
name_one(void *context, const struct hosts_view *view)
{
    char *names = context;

    names[strlen(names)] = view->name[0];
    return names[1] == '\0';
}

static void
test_workers_register_and_are_listed_in_order_of_names(void **state)
{
    struct agent a, b, c;
    unsigned count = 0;
    char names[8] = "";
    struct world w;

    (void)state;
    world_init(&w);
    assert_true(agent_up(&a, &w, "c", 4) != 0);
    assert_true(agent_up(&b, &w, "a", 4) != 0);
    assert_true(agent_up(&c, &w, "b", 4) != 0);
    hosts_list(w.hosts, show_one, &count);
    assert_int_equal(count, 3);
    hosts_list(w.hosts, name_one, names);
    assert_string_equal(names, "ab");
    agent_hang_up(&a);
    agent_hang_up(&b);
    agent_hang_up(&c);
    world_fini(&w);
}

static void
test_a_beat_is_answered_and_its_numbers_are_shown(void **state)
{
    Rpc__HostBeat beat = RPC__HOST_BEAT__INIT;
    struct hosts_view view;
    struct agent a;
    struct world w;

    (void)state;
    world_init(&w);
    (void)agent_up(&a, &w, "a", 4);
    beat.cpu_ns = 1;
    beat.memory_bytes = 2;
    beat.cells = 3;
    beat.ready_cells = 4;
    beat.cells_lost = 5;
    beat.busy_percent = 6;
    beat.is_leaving = true;
    agent_say(&a, RPC__HOST_UP__IS_BEAT, &beat);
    while (a.answers == 0) {
        struct net_frame frame;
        Rpc__HostDown *down;

        assert_int_equal(agent_frame(&a, &frame), 0);
        down = (void *)rpc_read(frame.bytes, frame.count, &rpc__host_down__descriptor);
        net_frame_fini(&frame);
        assert_int_equal(down->is_case, RPC__HOST_DOWN__IS_HEARD);
        agent_note(&a, down->heard);
        rpc__host_down__free_unpacked(down, NULL);
    }
    view = look_for(&w, "a").view;
    assert_true(view.cpu_ns == 1 && view.memory_used == 2 && view.cells == 3);
    assert_true(view.ready_cells == 4 && view.cells_lost == 5 && view.busy_percent == 6);
    assert_true(view.is_leaving);
    agent_hang_up(&a);
    world_fini(&w);
}

static void
test_who_has_another_key_or_label_never_becomes_a_host(void **state)
{
    uint8_t other[NET_SECRET_BYTES];
    struct agent a;
    struct world w;

    (void)state;
    world_init(&w);
    (void)memcpy(other, testing_key, sizeof(other));
    other[0] ^= 1;
    agent_dial_as(&a, &w, other, HOST_LABEL);
    assert_int_equal(agent_greet(&a, "a"), -EACCES);
    agent_hang_up(&a);
    agent_dial_as(&a, &w, testing_key, "weft-other");
    assert_int_equal(agent_greet(&a, "a"), -EACCES);
    agent_hang_up(&a);
    assert_false(look_for(&w, "a").is_there);
    world_fini(&w);
}

static void
test_another_version_protocol_or_a_bad_name_is_refused_with_a_reason(void **state)
{
    char name[RPC_WHO_MAX + 1];
    struct agent a;
    struct world w;

    (void)state;
    world_init(&w);
    agent_dial_as(&a, &w, testing_key, HOST_LABEL);
    assert_int_equal(agent_greet_as(&a, "a", HOST_PROTOCOL, 77), -ECONNREFUSED);
    agent_hang_up(&a);
    agent_dial_as(&a, &w, testing_key, HOST_LABEL);
    assert_int_equal(agent_greet_as(&a, "a", "toast", 1), -ECONNREFUSED);
    agent_hang_up(&a);
    agent_dial_as(&a, &w, testing_key, HOST_LABEL);
    assert_int_equal(agent_greet(&a, "the-planner"), -ECONNREFUSED);
    agent_hang_up(&a);
    (void)memset(name, 'n', sizeof(name));
    name[RPC_WHO_MAX] = '\0';
    agent_dial_as(&a, &w, testing_key, HOST_LABEL);
    assert_int_equal(agent_greet(&a, name), -ECONNREFUSED);
    agent_hang_up(&a);
    world_fini(&w);
}

static void
test_who_says_nothing_is_cut(void **state)
{
    struct agent silent, greeted, host;
    struct net_frame frame;
    struct world w;
    int err;

    (void)state;
    world_init(&w);
    agent_dial_as(&silent, &w, testing_key, HOST_LABEL);
    agent_dial_as(&greeted, &w, testing_key, HOST_LABEL);
    assert_int_equal(agent_greet(&greeted, "a"), 0);
    (void)agent_up(&host, &w, "b", 1);
    err = agent_frame(&silent, &frame);
    assert_true(err == -EPIPE || err == -ECONNRESET);
    assert_int_equal(agent_frame(&greeted, &frame), -EPIPE);
    assert_false(look_for(&w, "a").is_there);
    assert_true(look_for(&w, "b").view.is_connected);
    agent_hang_up(&silent);
    agent_hang_up(&greeted);
    agent_hang_up(&host);
    world_fini(&w);
}

static void
test_strangers_are_bounded_and_the_oldest_makes_room(void **state)
{
    static int fds[HOSTS_STRANGERS_MAX + 8];
    struct pollfd watched;
    struct agent a;
    struct world w;
    char byte;

    (void)state;
    world_init(&w);
    for (unsigned i = 0; i < ARRAY_COUNT(fds); i++)
        assert_int_equal(net_dial(hosts_address(w.hosts), 0, &fds[i], NULL), 0);
    watched = (struct pollfd){.fd = fds[0], .events = POLLIN};
    assert_int_equal(poll(&watched, 1, 4000), 1); /* before its time as a stranger is over */
    assert_int_equal(read(fds[0], &byte, 1), 0);
    (void)agent_up(&a, &w, "a", 1);
    for (unsigned i = 0; i < ARRAY_COUNT(fds); i++)
        (void)close(fds[i]);
    agent_hang_up(&a);
    world_fini(&w);
}

static void
test_a_name_that_is_connected_is_not_given_twice(void **state)
{
    struct agent a, b;
    struct world w;

    (void)state;
    world_init(&w);
    (void)agent_up(&a, &w, "a", 1);
    agent_dial_as(&b, &w, testing_key, HOST_LABEL);
    assert_int_equal(agent_greet(&b, "a"), -ECONNREFUSED);
    agent_hang_up(&b);
    agent_hang_up(&a);
    await_host(&w, "a", 0);
    (void)agent_up(&b, &w, "a", 1);
    assert_true(look_for(&w, "a").view.is_connected);
    agent_hang_up(&b);
    world_fini(&w);
}

static void
test_a_connection_that_is_silent_is_replaced(void **state)
{
    struct hosts_config config;
    struct net_frame frame;
    struct agent a, b;
    struct world w;

    (void)state;
    world_init(&w);
    hosts_destroy(w.hosts);
    config = world_config(&w);
    config.beat_ns = 1000000;
    assert_int_equal(hosts_create(&config, &w.hosts, NULL), 0);
    (void)agent_up(&a, &w, "a", 1);
    for (;;) { /* refused as long as three beats have not been missed */
        agent_dial_as(&b, &w, testing_key, HOST_LABEL);
        if (agent_greet(&b, "a") == 0)
            break;
        agent_hang_up(&b);
    }
    rpc__host_down__free_unpacked(agent_register(&b, 0, 1, NULL, 0), NULL);
    assert_int_equal(agent_frame(&a, &frame), -EPIPE);
    agent_hang_up(&a);
    agent_hang_up(&b);
    world_fini(&w);
}

/* ---------------------------------------------------------------------------- going */

static void
test_a_host_that_is_silent_for_too_long_is_down(void **state)
{
    struct agent a, b;
    struct asked asked;
    struct world w;
    uint64_t id;

    (void)state;
    world_open(&w, SECOND / 5);
    (void)world_deploy(&w, "shop", "tea", 1);
    (void)agent_up(&a, &w, "a", 1);
    id = ask(&w, &asked, "tea", 1);
    assert_int_equal(agent_first_start(&a, NULL), id);
    assert_null(agent_hear(&a)); /* it says nothing, and is cut */
    await_host(&w, "a", -1);
    agent_hang_up(&a);
    (void)agent_up(&b, &w, "a", 1);
    assert_int_equal(agent_first_start(&b, NULL), id); /* tried again */
    agent_end(&b, id, 2, RPC__HOST_END_KIND__HOST_END_DONE);
    assert_int_equal(asked_await(&asked)->kind, LEDGER__KIND__KIND_DONE);
    asked_fini(&asked);
    agent_hang_up(&b);
    world_fini(&w);
}

static void
test_what_breaks_the_rules_is_the_end_of_the_connection(void **state)
{
    static const uint8_t garbage[] = {0xff, 0xff, 0xff, 0xff, 0x01};
    Rpc__HostRegister message = RPC__HOST_REGISTER__INIT;
    Rpc__HostEnd end = RPC__HOST_END__INIT;
    Rpc__HostBeat beat = RPC__HOST_BEAT__INIT;
    struct agent a;
    struct world w;

    (void)state;
    world_init(&w);
    for (unsigned i = 0; i < 6; i++) {
        agent_dial_as(&a, &w, testing_key, HOST_LABEL);
        if (i > 0)
            assert_int_equal(agent_greet(&a, "a"), 0);
        if (i > 2)
            rpc__host_down__free_unpacked(agent_register(&a, 0, 1, NULL, 0), NULL);
        message.slots = i == 5;
        if (i == 1) /* a beat before it has registered */
            agent_say(&a, RPC__HOST_UP__IS_BEAT, &beat);
        else if (i == 2 || i == 5) /* no slots; registered twice */
            agent_say(&a, RPC__HOST_UP__IS_REGISTER, &message);
        else if (i == 4) /* an end of nothing */
            agent_say(&a, RPC__HOST_UP__IS_END, &end);
        else
            assert_int_equal(net_send(a.connection, garbage, sizeof(garbage), NULL, 0), 0);
        if (i == 0)
            assert_true(agent_greet(&a, "a") != 0);
        else
            assert_null(agent_hear(&a));
        agent_hang_up(&a);
        if (i > 2)
            await_host(&w, "a", 0);
    }
    world_fini(&w);
}

/* ------------------------------------------------------------------------- draining */

static void
test_a_drained_host_gets_no_calls_until_it_is_undone(void **state)
{
    struct asked asked;
    struct agent a;
    Rpc__HostDown *down;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    (void)world_deploy(&w, "shop", "tea", 0);
    assert_int_equal(hosts_drain(w.hosts, "a", true), -ENOENT);
    (void)agent_up(&a, &w, "a", 1);
    assert_int_equal(hosts_drain(w.hosts, "a", true), 0);
    down = agent_await(&a, RPC__HOST_DOWN__IS_DRAIN);
    assert_true(down->drain->is_draining);
    rpc__host_down__free_unpacked(down, NULL);
    assert_true(look_for(&w, "a").view.is_draining);
    agent_sync(&a); /* the planner knows, too */
    id = ask(&w, &asked, "tea", 0);
    agent_sync(&a);
    agent_hang_up(&a);
    await_host(&w, "a", 0);
    (void)agent_up(&a, &w, "a", 1); /* as a new one */
    agent_skip(&a, RPC__HOST_DOWN__IS_DRAIN);
    agent_sync(&a);
    assert_int_equal(hosts_drain(w.hosts, "a", false), 0);
    agent_skip(&a, RPC__HOST_DOWN__IS_DRAIN);
    assert_int_equal(agent_first_start(&a, NULL), id);
    agent_end(&a, id, 1, RPC__HOST_END_KIND__HOST_END_DONE);
    (void)asked_await(&asked);
    asked_fini(&asked);
    agent_hang_up(&a);
    world_fini(&w);
}

/* ---------------------------------------------------------------------- start and end */

static void
test_a_name_or_address_that_cannot_be_is_refused(void **state)
{
    char name[RPC_WHO_MAX + 2];
    struct hosts_config config;
    struct hosts *hosts = NULL;
    struct diag diag;
    struct world w;

    (void)state;
    world_init(&w);
    (void)memset(name, 'n', sizeof(name));
    name[RPC_WHO_MAX + 1] = '\0';
    diag_init(&diag);
    config = world_config(&w);
    config.name = "";
    assert_int_equal(hosts_create(&config, &hosts, NULL), -EINVAL);
    config.name = name;
    assert_int_equal(hosts_create(&config, &hosts, NULL), -EINVAL);
    config.name = "other";
    config.address = "nowhere";
    assert_int_equal(hosts_create(&config, &hosts, NULL), -EINVAL);
    config.address = hosts_address(w.hosts);
    assert_int_equal(hosts_create(&config, &hosts, &diag), -EADDRINUSE);
    assert_true(diag.is_set);
    assert_null(hosts);
    hosts_destroy(NULL);
    world_fini(&w);
}

static void
test_a_start_that_fails_anywhere_leaves_nothing(void **state)
{
    static const char *const points[] = {"hosts.alloc", "hosts.open", "hosts.thread"};
    struct hosts_config config;
    struct hosts *hosts;
    struct world w;

    (void)state;
    world_init(&w);
    config = world_config(&w);
    for (size_t i = 0; i < ARRAY_COUNT(points); i++)
        for (unsigned nth = 1;; nth++) {
            int err;

            hosts = NULL;
            fault_arm(points[i], nth, -ENOMEM);
            err = hosts_create(&config, &hosts, NULL);
            if (!fault_disarm()) {
                assert_int_equal(err, 0);
                hosts_destroy(hosts);
                break;
            }
            if (err != 0)
                assert_null(hosts);
            hosts_destroy(hosts);
        }
    world_fini(&w);
}

static void
test_it_can_end_at_every_stage_of_a_worker(void **state)
{
    (void)state;
    for (unsigned stage = 0; stage < 6; stage++) {
        struct asked asked;
        struct agent a;
        struct world w;

        world_init(&w);
        (void)world_deploy(&w, "shop", "tea", 0);
        asked_init(&asked);
        agent_dial_as(&a, &w, testing_key, HOST_LABEL);
        if (stage > 0)
            assert_int_equal(agent_greet(&a, "a"), 0);
        if (stage > 1)
            rpc__host_down__free_unpacked(agent_register(&a, 0, 1, NULL, 0), NULL);
        if (stage > 2)
            (void)ask(&w, &asked, "tea", 0);
        if (stage > 3)
            (void)agent_first_start(&a, NULL);
        if (stage > 4) {
            agent_hang_up(&a);
            await_host(&w, "a", 0);
        }
        hosts_destroy(w.hosts);
        w.hosts = NULL;
        if (stage > 3) /* its host is gone */
            assert_int_equal(asked_await(&asked)->kind, LEDGER__KIND__KIND_LOST);
        if (stage < 5)
            agent_hang_up(&a);
        world_fini(&w);
        asked_fini(&asked);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_register_and_are_listed_in_order_of_names),
        cmocka_unit_test(test_a_beat_is_answered_and_its_numbers_are_shown),
        cmocka_unit_test(test_who_has_another_key_or_label_never_becomes_a_host),
        cmocka_unit_test(test_another_version_protocol_or_a_bad_name_is_refused_with_a_reason),
        cmocka_unit_test(test_who_says_nothing_is_cut),
        cmocka_unit_test(test_strangers_are_bounded_and_the_oldest_makes_room),
        cmocka_unit_test(test_a_name_that_is_connected_is_not_given_twice),
        cmocka_unit_test(test_a_connection_that_is_silent_is_replaced),
        cmocka_unit_test(test_a_host_that_is_silent_for_too_long_is_down),
        cmocka_unit_test(test_what_breaks_the_rules_is_the_end_of_the_connection),
        cmocka_unit_test(test_a_drained_host_gets_no_calls_until_it_is_undone),
        cmocka_unit_test(test_a_name_or_address_that_cannot_be_is_refused),
        cmocka_unit_test(test_a_start_that_fails_anywhere_leaves_nothing),
        cmocka_unit_test(test_it_can_end_at_every_stage_of_a_worker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
