/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that guests chain: whose they are, what they may name, how they end.
 */
#include "hosts/hosts_testing.h"

/* A worker that runs one call of shop's tea. */
struct scene {
    struct world w;
    struct agent a;
    struct asked parent;
    uint64_t id;
};

static void
scene_init(struct scene *s)
{
    world_init(&s->w);
    (void)world_deploy(&s->w, "shop", "tea", 0);
    (void)agent_up(&s->a, &s->w, "a", 8);
    s->id = ask(&s->w, &s->parent, "tea", 0);
    assert_int_equal(agent_first_start(&s->a, NULL), s->id);
}

static void
scene_fini(struct scene *s)
{
    if (s->a.connection != NULL)
        agent_hang_up(&s->a);
    world_fini(&s->w);
    asked_fini(&s->parent);
}

static Rpc__HostChain
chain_of(const struct scene *s, uint64_t number, const char *reference)
{
    Rpc__HostChain chain = RPC__HOST_CHAIN__INIT;

    chain.number = number;
    chain.parent = s->id;
    chain.tenant = writable("shop");
    chain.reference = writable(reference);
    chain.input = (ProtobufCBinaryData){4, (uint8_t *)writable("milk")};
    chain.depth = 1;
    return chain;
}

static void
chain(struct scene *s, uint64_t number, const char *reference)
{
    Rpc__HostChain message = chain_of(s, number, reference);

    agent_say(&s->a, RPC__HOST_UP__IS_CHAIN, &message);
}

static Rpc__HostDown *
await_chain(struct scene *s, uint64_t number, Rpc__HostEndKind kind)
{
    Rpc__HostDown *down = agent_await(&s->a, RPC__HOST_DOWN__IS_CHAIN_END);

    assert_int_equal(down->chain_end->number, number);
    assert_non_null(down->chain_end->end);
    assert_null(down->chain_end->end->run);
    if (down->chain_end->end->kind != kind)
        fail_msg("kind %d: %s", (int)down->chain_end->end->kind, down->chain_end->end->message);
    return down;
}

static void
await_refusal(struct scene *s, uint64_t number, int err)
{
    Rpc__HostDown *down = await_chain(s, number, RPC__HOST_END_KIND__HOST_END_FAILED);

    assert_int_equal(down->chain_end->end->err, err);
    assert_string_not_equal(down->chain_end->end->message, "");
    rpc__host_down__free_unpacked(down, NULL);
}

static void
test_a_function_of_the_same_tenant_is_called_and_its_end_told(void **state)
{
    Rpc__HostDown *down;
    struct scene s;
    uint64_t child;

    (void)state;
    scene_init(&s);
    chain(&s, 77, "tea:1");
    down = agent_await(&s.a, RPC__HOST_DOWN__IS_START);
    child = down->start->run->call;
    assert_true(child != s.id);
    assert_true(down->start->depth == 1 && down->start->wall_ns == 5 * SECOND);
    assert_memory_equal(down->start->input.data, "milk", 4);
    rpc__host_down__free_unpacked(down, NULL);
    agent_end(&s.a, child, 1, RPC__HOST_END_KIND__HOST_END_EXIT);
    down = await_chain(&s, 77, RPC__HOST_END_KIND__HOST_END_EXIT);
    assert_int_equal(down->chain_end->end->exit_code, 3);
    assert_string_equal(down->chain_end->end->message, "as it was");
    assert_memory_equal(down->chain_end->end->output.data, "output", 6);
    assert_memory_equal(down->chain_end->end->log.data, "log", 3);
    assert_true(down->chain_end->end->trap == 2 && down->chain_end->end->cpu_ns == 7);
    rpc__host_down__free_unpacked(down, NULL);
    chain(&s, 77, "tea"); /* the number may come again */
    child = agent_start(&s.a, NULL, NULL);
    agent_end(&s.a, child, 1, RPC__HOST_END_KIND__HOST_END_DONE);
    rpc__host_down__free_unpacked(await_chain(&s, 77, RPC__HOST_END_KIND__HOST_END_DONE), NULL);
    scene_fini(&s);
}

static void
test_another_tenant_s_function_needs_a_grant_and_runs_as_that_tenant_s(void **state)
{
    Rpc__HostDown *down;
    struct scene s;
    uint64_t child;

    (void)state;
    scene_init(&s);
    world_tenant(&s.w, "bank");
    (void)world_deploy(&s.w, "bank", "pay", 0);
    chain(&s, 1, "bank/pay");
    await_refusal(&s, 1, -ENOENT);
    chain(&s, 2, "bank/nothing");
    await_refusal(&s, 2, -ENOENT);
    assert_int_equal(catalog_grant(s.w.catalog, "bank", "pay", "shop", true, NULL), 0);
    chain(&s, 3, "bank/pay");
    down = agent_await(&s.a, RPC__HOST_DOWN__IS_TENANT);
    assert_string_equal(down->tenant->name, "bank");
    rpc__host_down__free_unpacked(down, NULL);
    down = agent_await(&s.a, RPC__HOST_DOWN__IS_FUNCTION);
    assert_string_equal(down->function->tenant, "bank");
    rpc__host_down__free_unpacked(down, NULL);
    child = agent_start(&s.a, NULL, NULL);
    agent_end(&s.a, child, 1, RPC__HOST_END_KIND__HOST_END_DONE);
    rpc__host_down__free_unpacked(await_chain(&s, 3, RPC__HOST_END_KIND__HOST_END_DONE), NULL);
    scene_fini(&s);
}

static void
test_what_may_not_be_chained_is_refused(void **state)
{
    Rpc__HostChain message;
    struct scene s;

    (void)state;
    scene_init(&s);
    chain(&s, 1, "nothing");
    await_refusal(&s, 1, -ENOENT);
    chain(&s, 2, "a b\n");
    await_refusal(&s, 2, -EINVAL);
    message = chain_of(&s, 3, "tea");
    message.parent = s.id + 1000; /* no such call */
    agent_say(&s.a, RPC__HOST_UP__IS_CHAIN, &message);
    await_refusal(&s, 3, -ESRCH);
    message = chain_of(&s, 4, "tea");
    message.tenant = writable("bank"); /* not the tenant of that call */
    agent_say(&s.a, RPC__HOST_UP__IS_CHAIN, &message);
    await_refusal(&s, 4, -ESRCH);
    message = chain_of(&s, 5, "tea");
    message.depth = HOSTS_DEPTH_MAX + 1;
    agent_say(&s.a, RPC__HOST_UP__IS_CHAIN, &message);
    await_refusal(&s, 5, -ELOOP);
    agent_end(&s.a, s.id, 1, RPC__HOST_END_KIND__HOST_END_DONE);
    (void)asked_await(&s.parent);
    chain(&s, 6, "tea"); /* its parent is over */
    await_refusal(&s, 6, -ESRCH);
    scene_fini(&s);
}

static void
test_a_cancelled_chain_is_stopped_and_ends(void **state)
{
    Rpc__HostChainCancel cancel = RPC__HOST_CHAIN_CANCEL__INIT;
    struct scene s;
    uint64_t child;

    (void)state;
    scene_init(&s);
    cancel.number = 999; /* none of that number */
    agent_say(&s.a, RPC__HOST_UP__IS_CHAIN_CANCEL, &cancel);
    chain(&s, 9, "tea");
    child = agent_start(&s.a, NULL, NULL);
    cancel.number = 9;
    agent_say(&s.a, RPC__HOST_UP__IS_CHAIN_CANCEL, &cancel);
    agent_skip(&s.a, RPC__HOST_DOWN__IS_STOP);
    agent_end(&s.a, child, 1, RPC__HOST_END_KIND__HOST_END_CANCELLED);
    rpc__host_down__free_unpacked(await_chain(&s, 9, RPC__HOST_END_KIND__HOST_END_CANCELLED), NULL);
    scene_fini(&s);
}

/* Two workers: the one that chained goes, the other runs the chained calls. */
static void
test_chains_of_a_broken_connection_are_cancelled_but_detached_ones(void **state)
{
    Rpc__HostChain message;
    uint64_t child, detached;
    struct planner_usage usage;
    Rpc__HostDown *down;
    struct agent other;
    struct scene s;

    (void)state;
    scene_init(&s);
    assert_int_equal(hosts_drain(s.w.hosts, "a", true), 0);
    agent_skip(&s.a, RPC__HOST_DOWN__IS_DRAIN);
    agent_sync(&s.a);
    (void)agent_up(&other, &s.w, "b", 8);
    chain(&s, 1, "tea");
    child = agent_first_start(&other, NULL);
    message = chain_of(&s, 2, "tea");
    message.is_detached = true;
    agent_say(&s.a, RPC__HOST_UP__IS_CHAIN, &message);
    detached = agent_start(&other, NULL, NULL);
    agent_hang_up(&s.a);
    down = agent_await(&other, RPC__HOST_DOWN__IS_STOP);
    assert_int_equal(down->stop->run->call, child);
    rpc__host_down__free_unpacked(down, NULL);
    agent_end(&other, child, 1, RPC__HOST_END_KIND__HOST_END_CANCELLED);
    agent_sync(&other);
    agent_end(&other, detached, 1, RPC__HOST_END_KIND__HOST_END_DONE);
    agent_sync(&other);
    planner_usage(s.w.planner, &usage);
    assert_int_equal(usage.ended, 2);
    (void)pthread_mutex_lock(&s.w.hosts->lock);
    assert_null(s.w.hosts->chains);
    (void)pthread_mutex_unlock(&s.w.hosts->lock);
    agent_hang_up(&other);
    scene_fini(&s);
}

static void
test_the_end_of_all_does_not_wait_for_detached_calls(void **state)
{
    Rpc__HostChain message;
    struct scene s;

    (void)state;
    scene_init(&s);
    for (uint64_t i = 0; i < 20; i++) { /* some run, some wait */
        message = chain_of(&s, i, "tea");
        message.is_detached = i % 2 == 0;
        agent_say(&s.a, RPC__HOST_UP__IS_CHAIN, &message);
    }
    for (unsigned i = 0; i < 7; i++)
        (void)agent_start(&s.a, NULL, NULL);
    agent_sync(&s.a);
    scene_fini(&s);
}

/* A fan-out: each end goes to who asked. */
static void
test_many_chains_at_once_come_to_their_own_ends(void **state)
{
    enum { COUNT = 500 };
    static unsigned ends[COUNT];
    unsigned started = 0, ended = 0;
    struct scene s;

    (void)state;
    scene_init(&s);
    (void)memset(ends, 0, sizeof(ends));
    for (uint64_t i = 0; i < COUNT; i++)
        chain(&s, i, "tea");
    while (ended < COUNT) {
        Rpc__HostDown *down = agent_hear(&s.a);

        assert_non_null(down);
        if (down->is_case == RPC__HOST_DOWN__IS_START) {
            started++;
            agent_end(&s.a, down->start->run->call, 1, RPC__HOST_END_KIND__HOST_END_DONE);
        } else {
            assert_int_equal(down->is_case, RPC__HOST_DOWN__IS_CHAIN_END);
            assert_int_equal(down->chain_end->end->kind, RPC__HOST_END_KIND__HOST_END_DONE);
            assert_true(down->chain_end->number < COUNT);
            assert_int_equal(ends[down->chain_end->number]++, 0);
            ended++;
        }
        rpc__host_down__free_unpacked(down, NULL);
    }
    assert_int_equal(started, COUNT);
    scene_fini(&s);
}

static void
test_without_memory_a_chain_is_refused(void **state)
{
    bool was_reached = true;

    (void)state;
    for (unsigned nth = 1; was_reached; nth++) {
        struct scene s;
        Rpc__HostDown *down = NULL;

        scene_init(&s);
        agent_sync(&s.a);
        fault_arm("hosts.alloc", nth, -ENOMEM);
        chain(&s, 1, "tea");
        down = agent_hear(&s.a);
        was_reached = fault_disarm();
        if (down != NULL && down->is_case == RPC__HOST_DOWN__IS_CHAIN_END) {
            assert_true(was_reached);
            assert_int_equal(down->chain_end->end->kind, RPC__HOST_END_KIND__HOST_END_FAILED);
        } else if (down != NULL) {
            assert_int_equal(down->is_case, RPC__HOST_DOWN__IS_START);
        } /* else nothing could be noted of its start, and all of the host is lost */
        if (down != NULL)
            rpc__host_down__free_unpacked(down, NULL);
        scene_fini(&s);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_function_of_the_same_tenant_is_called_and_its_end_told),
        cmocka_unit_test(test_another_tenant_s_function_needs_a_grant_and_runs_as_that_tenant_s),
        cmocka_unit_test(test_what_may_not_be_chained_is_refused),
        cmocka_unit_test(test_a_cancelled_chain_is_stopped_and_ends),
        cmocka_unit_test(test_chains_of_a_broken_connection_are_cancelled_but_detached_ones),
        cmocka_unit_test(test_the_end_of_all_does_not_wait_for_detached_calls),
        cmocka_unit_test(test_many_chains_at_once_come_to_their_own_ends),
        cmocka_unit_test(test_without_memory_a_chain_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
