/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls on their way to workers and back: what is sent, what is told again after a lost
 * connection, what is taken back.
 */
#include "hosts/hosts_testing.h"

/* --------------------------------------------------------------------------- starts */

static bool
has_text(char **texts, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(texts[i], text) == 0)
            return true;
    return false;
}

static void
check_function(const struct world *w, const Rpc__HostFunction *function)
{
    assert_true(function->number > 0);
    assert_string_equal(function->tenant, "shop");
    assert_string_equal(function->name, "tea");
    assert_int_equal(function->version, 1);
    assert_int_equal(function->image.len, STORE_HASH_BYTES);
    assert_memory_equal(function->image.data, w->image.bytes, STORE_HASH_BYTES);
    assert_int_equal(function->proto.len, 0);
    assert_true(function->n_args == 1 && has_text(function->args, 1, "tea"));
    assert_int_equal(function->n_env, 2);
    assert_true(has_text(function->env, 2, "COLOUR=red"));
    assert_true(has_text(function->env, 2, "PASSWORD=swordfish"));
    assert_int_equal(function->n_files, world_files(w, "tea"));
    for (size_t i = 0; i < function->n_files; i++) {
        assert_string_equal(function->files[i]->path, "/data/model");
        assert_memory_equal(function->files[i]->hash.data, w->model.bytes, STORE_HASH_BYTES);
    }
    assert_non_null(function->limits);
    assert_int_equal(function->limits->wall_ns, 5 * SECOND);
}

/* The first words of a function: its number. */
static uint64_t
hear_function(const struct world *w, struct agent *a)
{
    Rpc__HostDown *down = agent_await(a, RPC__HOST_DOWN__IS_TENANT);
    uint64_t number;

    assert_string_equal(down->tenant->name, "shop");
    assert_true(down->tenant->memory_bytes == 1u << 30 && down->tenant->files == 9);
    rpc__host_down__free_unpacked(down, NULL);
    down = agent_await(a, RPC__HOST_DOWN__IS_FUNCTION);
    check_function(w, down->function);
    number = down->function->number;
    rpc__host_down__free_unpacked(down, NULL);
    return number;
}

static void
check_start(const Rpc__HostStart *start, uint64_t id, uint64_t number)
{
    assert_true(start->run->call == id && start->run->attempt == 1);
    assert_true(start->run->first_member == 0 && start->run->members == 1);
    assert_int_equal(start->function, number);
    assert_string_equal(start->entry, "pour");
    assert_string_equal(start->save_at, "");
    assert_true(start->n_args == 1 && has_text(start->args, 1, "--hot"));
    assert_true(start->input.len == 5 && start->wall_ns == 77);
    assert_int_equal(start->depth, 4);
}

static void
check_result(const Ledger__Result *result)
{
    assert_int_equal(result->kind, LEDGER__KIND__KIND_EXIT);
    assert_true(result->exit_code == 3 && result->cpu_ns == 7 && result->chained == 5);
    assert_true(result->trap == 2 && result->memory_bytes == 65536 && result->attempts == 1);
    assert_string_equal(result->host, "a");
    assert_string_equal(result->message, "as it was");
    assert_memory_equal(result->output.data, "output", 6);
    assert_memory_equal(result->log.data, "log", 3);
}

static Ledger__Call *
want_much(struct wanted *wanted)
{
    static char *args[1];

    args[0] = writable("--hot");
    (void)want(wanted, "tea", 1, 0);
    wanted->request.input = (ProtobufCBinaryData){5, (uint8_t *)writable("input")};
    wanted->request.n_args = 1;
    wanted->request.args = args;
    wanted->request.entry = writable("pour");
    wanted->request.wall_ns = 77;
    wanted->request.depth = 4;
    return &wanted->call;
}

static void
test_a_call_goes_out_with_its_tenant_and_function_once(void **state)
{
    uint64_t number, again, id;
    struct asked one, two;
    struct wanted wanted;
    Rpc__HostDown *down;
    struct agent a;
    struct world w;

    (void)state;
    world_init(&w);
    (void)world_deploy(&w, "shop", "tea", 0);
    (void)agent_up(&a, &w, "a", 4);
    id = ask_call(&w, &one, want_much(&wanted));
    number = hear_function(&w, &a);
    down = agent_await(&a, RPC__HOST_DOWN__IS_START);
    check_start(down->start, id, number);
    rpc__host_down__free_unpacked(down, NULL);
    assert_int_equal(look_for(&w, "a").view.used, 1);
    agent_end(&a, id, 1, RPC__HOST_END_KIND__HOST_END_EXIT);
    check_result(asked_await(&one));
    agent_sync(&a);
    assert_true(agent_was_heard(&a, id));
    assert_int_equal(look_for(&w, "a").view.used, 0);
    id = ask(&w, &two, "tea", 0); /* the second time only the start */
    assert_int_equal(agent_start(&a, NULL, &again), id);
    assert_int_equal(again, number);
    agent_end(&a, id, 1, RPC__HOST_END_KIND__HOST_END_DONE);
    (void)asked_await(&two);
    asked_fini(&one);
    asked_fini(&two);
    agent_hang_up(&a);
    world_fini(&w);
}

/* A call of a version that the worker does not know yet goes out with this name. */
static void
call_by_name(struct world *w, struct agent *a, uint32_t version, const char *name)
{
    struct wanted wanted;
    struct asked asked;
    Rpc__HostDown *down;
    uint64_t id = ask_call(w, &asked, want(&wanted, "tea", version, 0));

    down = agent_await(a, RPC__HOST_DOWN__IS_FUNCTION);
    assert_int_equal(down->function->version, version);
    assert_string_equal(down->function->name, name);
    rpc__host_down__free_unpacked(down, NULL);
    assert_int_equal(agent_start(a, NULL, NULL), id);
    agent_end(a, id, 1, RPC__HOST_END_KIND__HOST_END_DONE);
    (void)asked_await(&asked);
    asked_fini(&asked);
}

static void
test_a_name_that_is_split_or_older_is_not_the_function_s(void **state)
{
    const struct catalog_alias alias = {.tenant = "shop",
                                        .function = "tea",
                                        .name = "latest",
                                        .version = 1,
                                        .other = 2,
                                        .other_percent = 50};
    struct asked asked;
    struct agent a;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    (void)world_deploy(&w, "shop", "tea", 0);
    (void)world_deploy(&w, "shop", "milk", 0);
    assert_int_equal(world_deploy(&w, "shop", "tea", 0), 2);
    (void)agent_up(&a, &w, "a", 4);
    id = ask(&w, &asked, "milk", 0); /* so that the tenant is known */
    assert_int_equal(agent_first_start(&a, NULL), id);
    call_by_name(&w, &a, 1, "");
    call_by_name(&w, &a, 2, "tea");
    assert_int_equal(catalog_alias_put(w.catalog, &alias, NULL), 0);
    hosts_changed(w.hosts, "shop", "tea");
    agent_skip(&a, RPC__HOST_DOWN__IS_FUNCTION_GONE);
    agent_skip(&a, RPC__HOST_DOWN__IS_FUNCTION_GONE);
    call_by_name(&w, &a, 2, ""); /* from now on one of two */
    agent_hang_up(&a);
    world_fini(&w);
    asked_fini(&asked);
}

static void
hear_gone(struct agent *a, uint64_t number)
{
    Rpc__HostDown *down = agent_await(a, RPC__HOST_DOWN__IS_FUNCTION_GONE);

    assert_int_equal(down->function_gone->number, number);
    rpc__host_down__free_unpacked(down, NULL);
}

static void
test_what_has_changed_is_taken_back_and_told_anew(void **state)
{
    const struct catalog_tenant tenant = {.name = "shop", .files = 11};
    uint64_t number, again, id;
    struct asked one, two;
    Rpc__HostDown *down;
    struct agent a;
    struct world w;

    (void)state;
    world_init(&w);
    (void)world_deploy(&w, "shop", "tea", 0);
    (void)agent_up(&a, &w, "a", 4);
    id = ask(&w, &one, "tea", 0);
    assert_int_equal(agent_first_start(&a, &number), id);
    hosts_changed(w.hosts, "shop", "coffee"); /* nothing of it is known there */
    hosts_changed(w.hosts, "bank", NULL);
    agent_sync(&a);
    assert_int_equal(catalog_tenant_put(w.catalog, &tenant, NULL), 0);
    hosts_changed(w.hosts, "shop", NULL);
    hear_gone(&a, number);
    down = agent_await(&a, RPC__HOST_DOWN__IS_TENANT);
    assert_int_equal(down->tenant->files, 11);
    rpc__host_down__free_unpacked(down, NULL);
    agent_end(&a, id, 1, RPC__HOST_END_KIND__HOST_END_DONE); /* that ran on */
    assert_int_equal(asked_await(&one)->kind, LEDGER__KIND__KIND_DONE);
    id = ask(&w, &two, "tea", 0);
    agent_skip(&a, RPC__HOST_DOWN__IS_FUNCTION);
    assert_int_equal(agent_start(&a, NULL, &again), id);
    assert_true(again != number);
    agent_hang_up(&a);
    world_fini(&w);
    asked_fini(&one);
    asked_fini(&two);
}

static void
test_calls_of_what_is_gone_fail_and_say_why(void **state)
{
    struct asked asked;
    Rpc__HostDown *down;
    struct agent a;
    struct world w;
    uint64_t number, id;

    (void)state;
    world_init(&w);
    (void)world_deploy(&w, "shop", "tea", 0);
    (void)agent_up(&a, &w, "a", 4);
    id = ask(&w, &asked, "tea", 0);
    assert_int_equal(agent_first_start(&a, &number), id);
    agent_end(&a, id, 1, RPC__HOST_END_KIND__HOST_END_DONE);
    (void)asked_await(&asked);
    asked_fini(&asked);
    assert_int_equal(catalog_tenant_remove(w.catalog, "shop", NULL), 0);
    hosts_changed(w.hosts, "shop", NULL);
    hear_gone(&a, number);
    down = agent_await(&a, RPC__HOST_DOWN__IS_TENANT_GONE);
    assert_string_equal(down->tenant_gone->name, "shop");
    rpc__host_down__free_unpacked(down, NULL);
    (void)ask(&w, &asked, "tea", 0);
    assert_int_equal(asked_await(&asked)->kind, LEDGER__KIND__KIND_FAILED);
    assert_int_equal(asked.call->result->err, -ENOENT);
    assert_non_null(strstr(asked.call->result->message, "shop"));
    asked_fini(&asked);
    agent_sync(&a);
    agent_hang_up(&a);
    world_fini(&w);
}

static void
test_arguments_that_are_not_utf8_fail_the_call_and_not_the_connection(void **state)
{
    char *args[] = {writable("\xff")};
    struct wanted wanted;
    struct asked asked;
    struct agent a;
    struct world w;

    (void)state;
    world_init(&w);
    (void)world_deploy(&w, "shop", "tea", 0);
    (void)agent_up(&a, &w, "a", 4);
    (void)want(&wanted, "tea", 1, 0);
    wanted.request.n_args = 1;
    wanted.request.args = args;
    (void)ask_call(&w, &asked, &wanted.call);
    assert_int_equal(asked_await(&asked)->kind, LEDGER__KIND__KIND_FAILED);
    assert_int_equal(asked.call->result->err, -EINVAL);
    asked_fini(&asked);
    agent_sync(&a);
    agent_hang_up(&a);
    world_fini(&w);
}

/* ----------------------------------------------------------------------------- ends */

static void
test_a_run_that_its_host_lost_is_tried_again(void **state)
{
    struct asked asked;
    uint32_t attempt;
    struct agent a;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    (void)world_deploy(&w, "shop", "tea", 0);
    (void)agent_up(&a, &w, "a", 4);
    id = ask(&w, &asked, "tea", 1);
    assert_int_equal(agent_first_start(&a, NULL), id);
    agent_end(&a, id, 1, RPC__HOST_END_KIND__HOST_END_LOST);
    assert_int_equal(agent_start(&a, &attempt, NULL), id);
    assert_int_equal(attempt, 2);
    agent_end(&a, id, 1, RPC__HOST_END_KIND__HOST_END_DONE); /* of the older one: not listened to */
    agent_sync(&a);
    assert_int_equal(asked.ends, 0);
    agent_end(&a, id, 2, RPC__HOST_END_KIND__HOST_END_LOST);
    assert_int_equal(asked_await(&asked)->kind, LEDGER__KIND__KIND_LOST);
    assert_string_equal(asked.call->result->message, "as it was");
    assert_int_equal(asked.call->result->attempts, 2);
    asked_fini(&asked);
    agent_hang_up(&a);
    world_fini(&w);
}

static void
test_a_cancelled_call_is_stopped_there(void **state)
{
    struct asked asked;
    Rpc__HostDown *down;
    struct agent a;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    (void)world_deploy(&w, "shop", "tea", 0);
    (void)agent_up(&a, &w, "a", 4);
    id = ask(&w, &asked, "tea", 0);
    assert_int_equal(agent_first_start(&a, NULL), id);
    assert_int_equal(planner_cancel(w.planner, "shop", id), 0);
    down = agent_await(&a, RPC__HOST_DOWN__IS_STOP);
    assert_true(down->stop->run->call == id && down->stop->run->attempt == 1);
    rpc__host_down__free_unpacked(down, NULL);
    agent_end(&a, id, 1, RPC__HOST_END_KIND__HOST_END_CANCELLED);
    assert_int_equal(asked_await(&asked)->kind, LEDGER__KIND__KIND_CANCELLED);
    asked_fini(&asked);
    agent_hang_up(&a);
    world_fini(&w);
}

static void
test_long_logs_are_cut_and_long_outputs_of_asynchronous_calls_refused(void **state)
{
    Rpc__HostEnd end = RPC__HOST_END__INIT;
    static uint8_t bytes[PLANNER_OUTPUT_BYTES_MAX + 1];
    struct wanted wanted;
    struct asked asked;
    Rpc__HostRun run;
    struct agent a;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    (void)world_deploy(&w, "shop", "tea", 0);
    (void)agent_up(&a, &w, "a", 4);
    end.kind = RPC__HOST_END_KIND__HOST_END_DONE;
    end.output = (ProtobufCBinaryData){sizeof(bytes), bytes};
    bytes[HOSTS_LOG_BYTES_MAX + 9] = 'z';
    end.log = (ProtobufCBinaryData){HOSTS_LOG_BYTES_MAX + 10, bytes};
    end.run = &run;
    id = ask(&w, &asked, "tea", 0);
    assert_int_equal(agent_first_start(&a, NULL), id);
    run = run_of(id, 1);
    agent_say(&a, RPC__HOST_UP__IS_END, &end);
    assert_int_equal(asked_await(&asked)->kind, LEDGER__KIND__KIND_DONE);
    assert_int_equal(asked.call->result->output.len, sizeof(bytes));
    assert_int_equal(asked.call->result->log.len, HOSTS_LOG_BYTES_MAX);
    assert_int_equal(asked.call->result->log.data[HOSTS_LOG_BYTES_MAX - 1], 'z');
    asked_fini(&asked);
    id = ask_async(&w, &asked, want(&wanted, "tea", 1, 0));
    assert_int_equal(agent_start(&a, NULL, NULL), id);
    run = run_of(id, 1);
    agent_say(&a, RPC__HOST_UP__IS_END, &end);
    assert_int_equal(asked_await(&asked)->kind, LEDGER__KIND__KIND_LIMIT);
    assert_int_equal(asked.call->result->output.len, 0);
    assert_non_null(strstr(asked.call->result->message, "output"));
    asked_fini(&asked);
    agent_hang_up(&a);
    world_fini(&w);
}

/* ------------------------------------------------------------------------ coming back */

enum { KEPT, ENDED, GONE, STOPPED, LATE, FATES };

/* Calls that run when the connection breaks; the last one comes after that. */
struct breaking {
    struct world w;
    struct agent a;
    struct asked asked[FATES];
    uint64_t id[FATES], life, number;
};

static void
break_connection(struct breaking *b)
{
    world_init(&b->w);
    (void)world_deploy(&b->w, "shop", "tea", 0);
    b->life = agent_up(&b->a, &b->w, "a", 5);
    for (unsigned i = 0; i < LATE; i++) {
        b->id[i] = ask(&b->w, &b->asked[i], "tea", 0);
        assert_int_equal(i == 0 ? agent_first_start(&b->a, &b->number)
                                : agent_start(&b->a, NULL, NULL),
                         b->id[i]);
    }
    agent_hang_up(&b->a);
    await_host(&b->w, "a", 0);
    await_turn(&b->w); /* the planner knows it too: it starts nothing there */
    assert_int_equal(planner_cancel(b->w.planner, "shop", b->id[STOPPED]), 0);
    b->id[LATE] = ask(&b->w, &b->asked[LATE], "tea", 0); /* waits: no host is there */
}

static void
come_back(struct breaking *b)
{
    Rpc__HostRun run[3], *runs[3] = {&run[0], &run[1], &run[2]};
    Rpc__HostDown *down;

    agent_dial_as(&b->a, &b->w, testing_key, HOST_LABEL);
    assert_int_equal(agent_greet(&b->a, "a"), 0);
    run[0] = run_of(b->id[KEPT], 1);
    run[1] = run_of(b->id[ENDED], 1);
    run[2] = run_of(b->id[STOPPED], 1);
    down = agent_register(&b->a, b->life, 5, runs, 3);
    assert_int_equal(down->welcome->planner, b->life);
    assert_int_equal(down->welcome->n_keep, 2);
    assert_int_equal(down->welcome->keep[0]->call, b->id[KEPT]);
    assert_int_equal(down->welcome->keep[1]->call, b->id[ENDED]);
    rpc__host_down__free_unpacked(down, NULL);
    hear_gone(&b->a, b->number);
}

static void
test_runs_are_kept_lost_or_started_over_a_broken_connection(void **state)
{
    static const Ledger__Kind kinds[FATES] = {
        [KEPT] = LEDGER__KIND__KIND_DONE, [ENDED] = LEDGER__KIND__KIND_DONE,
        [GONE] = LEDGER__KIND__KIND_LOST, [STOPPED] = LEDGER__KIND__KIND_CANCELLED,
        [LATE] = LEDGER__KIND__KIND_DONE,
    };
    struct breaking b;

    (void)state;
    break_connection(&b);
    come_back(&b);
    agent_end(&b.a, b.id[ENDED], 1, RPC__HOST_END_KIND__HOST_END_DONE);
    agent_skip(&b.a, RPC__HOST_DOWN__IS_DRAIN);
    assert_int_equal(agent_first_start(&b.a, NULL), b.id[LATE]);
    agent_end(&b.a, b.id[LATE], 1, RPC__HOST_END_KIND__HOST_END_DONE);
    agent_end(&b.a, b.id[KEPT], 1, RPC__HOST_END_KIND__HOST_END_DONE);
    for (unsigned i = 0; i < FATES; i++) {
        assert_int_equal(asked_await(&b.asked[i])->kind, kinds[i]);
        asked_fini(&b.asked[i]);
    }
    agent_sync(&b.a);
    assert_true(agent_was_heard(&b.a, b.id[ENDED]));
    assert_int_equal(look_for(&b.w, "a").view.used, 0);
    agent_hang_up(&b.a);
    world_fini(&b.w);
}

static void
test_of_another_life_or_with_other_slots_nothing_is_kept(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        Rpc__HostRun run, *runs[] = {&run};
        struct asked asked;
        Rpc__HostDown *down;
        struct agent a;
        struct world w;
        uint64_t id, life;

        world_init(&w);
        (void)world_deploy(&w, "shop", "tea", 0);
        life = agent_up(&a, &w, "a", 5);
        id = ask(&w, &asked, "tea", 0);
        assert_int_equal(agent_first_start(&a, NULL), id);
        agent_hang_up(&a);
        await_host(&w, "a", 0);
        agent_dial_as(&a, &w, testing_key, HOST_LABEL);
        assert_int_equal(agent_greet(&a, "a"), 0);
        run = run_of(id, 1);
        down = agent_register(&a, i == 0 ? life + 1 : life, i == 0 ? 5 : 6, runs, 1);
        assert_int_equal(down->welcome->n_keep, 0);
        rpc__host_down__free_unpacked(down, NULL);
        assert_int_equal(asked_await(&asked)->kind, LEDGER__KIND__KIND_LOST);
        asked_fini(&asked);
        assert_int_equal(look_for(&w, "a").view.slots, i == 0 ? 5 : 6);
        agent_hang_up(&a);
        world_fini(&w);
    }
}

/* ---------------------------------------------------------------------------- faults */

static bool
is_over(struct asked *asked)
{
    bool is_over;

    (void)pthread_mutex_lock(&asked->lock);
    is_over = asked->ends > 0;
    (void)pthread_mutex_unlock(&asked->lock);
    return is_over;
}

/* One word, if there is one soon. False: the connection is over. */
static bool
serve_word(struct agent *a, uint64_t *life)
{
    struct pollfd watched = {.fd = net_fd(a->connection), .events = POLLIN};
    struct net_frame frame;
    Rpc__HostDown *down;
    int err = net_receive(a->connection, &frame);

    if (err == -EAGAIN) {
        (void)poll(&watched, 1, 10);
        return net_flush(a->connection) == 0;
    }
    if (err != 0)
        return false;
    down = (void *)rpc_read(frame.bytes, frame.count, &rpc__host_down__descriptor);
    net_frame_fini(&frame);
    assert_non_null(down);
    if (down->is_case == RPC__HOST_DOWN__IS_WELCOME)
        *life = down->welcome->planner;
    if (down->is_case == RPC__HOST_DOWN__IS_START)
        agent_end(a, down->start->run->call, down->start->run->attempt,
                  RPC__HOST_END_KIND__HOST_END_DONE);
    rpc__host_down__free_unpacked(down, NULL);
    return true;
}

/* Whatever fails at the n-th pass, the call comes to its one end: the worker comes back
 * where its connection is cut, and has lost what it ran. */
static void
serve_until_end(struct world *w, struct agent *a, struct asked *asked)
{
    Rpc__HostRegister message = RPC__HOST_REGISTER__INIT;

    message.slots = 1;
    while (!is_over(asked)) {
        if (a->connection != NULL && serve_word(a, &message.planner))
            continue;
        if (a->connection != NULL)
            agent_hang_up(a);
        agent_dial_as(a, w, testing_key, HOST_LABEL);
        if (agent_greet(a, "a") != 0)
            agent_hang_up(a);
        else
            agent_say(a, RPC__HOST_UP__IS_REGISTER, &message);
    }
}

static void
test_a_call_has_its_end_whatever_fails(void **state)
{
    static const char *const points[] = {"hosts.alloc", "hosts.send"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++)
        for (unsigned nth = 1;; nth++) {
            struct asked asked;
            struct agent a = {0};
            bool was_reached;
            struct world w;

            world_init(&w);
            (void)world_deploy(&w, "shop", "tea", 0);
            fault_arm(points[i], nth, i == 0 ? -ENOMEM : -ENOBUFS);
            (void)ask(&w, &asked, "tea", 3);
            serve_until_end(&w, &a, &asked);
            was_reached = fault_disarm();
            assert_int_equal(asked.call->result->kind, LEDGER__KIND__KIND_DONE);
            asked_fini(&asked);
            agent_hang_up(&a);
            world_fini(&w);
            if (!was_reached)
                break;
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_goes_out_with_its_tenant_and_function_once),
        cmocka_unit_test(test_a_name_that_is_split_or_older_is_not_the_function_s),
        cmocka_unit_test(test_what_has_changed_is_taken_back_and_told_anew),
        cmocka_unit_test(test_calls_of_what_is_gone_fail_and_say_why),
        cmocka_unit_test(test_arguments_that_are_not_utf8_fail_the_call_and_not_the_connection),
        cmocka_unit_test(test_a_run_that_its_host_lost_is_tried_again),
        cmocka_unit_test(test_a_cancelled_call_is_stopped_there),
        cmocka_unit_test(test_long_logs_are_cut_and_long_outputs_of_asynchronous_calls_refused),
        cmocka_unit_test(test_runs_are_kept_lost_or_started_over_a_broken_connection),
        cmocka_unit_test(test_of_another_life_or_with_other_slots_nothing_is_kept),
        cmocka_unit_test(test_a_call_has_its_end_whatever_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
