/* SPDX-License-Identifier: Apache-2.0
 *
 * The planner with hosts that are made of a queue and some threads.
 */
#include "planner/planner_testing.h"

/* --------------------------------------------------------------------------- tests */

static void
test_a_call_runs_on_a_host_and_is_told_of_once(void **state)
{
    static struct host host;
    struct planner_usage usage;
    struct planner_run run;
    struct asked asked;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    id = ask(&w, &asked, 0);
    assert_int_equal(state_of(&w, id), LEDGER__STATE__STATE_OPEN);
    host_up(&host, w.planner, "a", 1);
    assert_true(host_take(&host, &run));
    assert_int_equal(run.call, id);
    planner_usage(w.planner, &usage);
    assert_int_equal(usage.running, 1);
    host_end_run(&host, &run, LEDGER__KIND__KIND_EXIT, 3);
    await_end(&asked);
    host_end_run(&host, &run, LEDGER__KIND__KIND_EXIT, 4); /* said once more */
    assert_int_equal(asked.ends, 1);
    assert_int_equal(asked.exit_code, 3);
    assert_string_equal(asked.host, "a");
    assert_int_equal(state_of(&w, id), LEDGER__STATE__STATE_NONE);
    planner_usage(w.planner, &usage);
    assert_true(usage.running == 0 && usage.waiting == 0 && usage.ended == 1);
    world_fini(&w);
}

static void
test_an_asynchronous_call_is_in_the_store_from_its_acceptance_to_its_end(void **state)
{
    static struct host host;
    struct planner_run run;
    struct asked asked;
    Ledger__Call *call;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    id = ask_async(&w, &asked, "", 0);
    assert_int_equal(asked.err, 0);
    world_stop(&w); /* nobody has run it */
    assert_int_equal(asked.ends, 0);
    world_start(&w, "second");
    assert_int_equal(state_of(&w, id), LEDGER__STATE__STATE_OPEN);
    host_up(&host, w.planner, "a", 1);
    assert_true(host_take(&host, &run));
    world_stop(&w); /* while it runs */
    world_start(&w, "third");
    host_up(&host, w.planner, "a", 1);
    assert_true(host_take(&host, &run));
    assert_int_equal(run.call, id);
    host_end_run(&host, &run, LEDGER__KIND__KIND_EXIT, 5);
    while (state_of(&w, id) == LEDGER__STATE__STATE_OPEN)
        (void)usleep(1000);
    world_stop(&w);
    world_start(&w, "fourth");
    assert_int_equal(planner_get(w.planner, "t", id, &call, NULL), 0);
    assert_int_equal(call->state, LEDGER__STATE__STATE_OVER);
    assert_int_equal(call->result->exit_code, 5);
    assert_int_equal(call->result->output.len, 7);
    ledger__call__free_unpacked(call, NULL);
    assert_int_equal(planner_get(w.planner, "u", id, &call, NULL), -ENOENT);
    world_fini(&w);
}

static void
test_the_same_key_is_the_same_call(void **state)
{
    struct asked one, two;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    id = ask_async(&w, &one, "k", 0);
    assert_int_equal(one.err, 0);
    assert_int_equal(ask_async(&w, &two, "k", 0), id);
    assert_int_equal(two.err, -EEXIST);
    assert_int_equal(planner_cancel(w.planner, "t", id), 0);
    await_end(&one);
    assert_int_equal(one.kind, LEDGER__KIND__KIND_CANCELLED);
    assert_int_equal(two.ends, 0);
    world_fini(&w);
}

static void
test_what_a_host_loses_is_tried_again_where_it_may(void **state)
{
    static struct host a, b;
    struct asked once, twice;
    struct planner_run run;
    struct world w;

    (void)state;
    world_init(&w);
    host_up(&a, w.planner, "a", 2);
    (void)ask(&w, &once, 0);
    (void)ask(&w, &twice, 1);
    assert_true(host_take(&a, &run) && host_take(&a, &run));
    planner_host_down(a.planner);
    await_end(&once);
    assert_int_equal(once.kind, LEDGER__KIND__KIND_LOST);
    assert_int_equal(twice.ends, 0);
    host_up(&b, w.planner, "b", 2);
    assert_true(host_take(&b, &run));
    assert_int_equal(run.attempt, 2);
    planner_run_lost(b.planner, &run, "its cell was killed");
    await_end(&twice);
    assert_int_equal(twice.kind, LEDGER__KIND__KIND_LOST);
    assert_string_equal(twice.message, "its cell was killed");
    world_fini(&w);
}

static void
test_a_silent_host_is_down(void **state)
{
    static struct host host;
    struct planner_config config;
    struct asked asked;
    struct world w;

    (void)state;
    world_init(&w);
    planner_destroy(w.planner);
    config = config_of(&w, "quick");
    config.silence_ns = SECOND / 10;
    assert_int_equal(planner_create(&config, &w.planner, NULL), 0);
    host_up(&host, w.planner, "a", 2);
    (void)ask(&w, &asked, 0);
    await_end(&asked);
    assert_int_equal(asked.kind, LEDGER__KIND__KIND_LOST);
    assert_false(planner_host_heard(host.planner)); /* too late */
    planner_host_down(host.planner);
    host_up(&host, w.planner, "a", 2); /* its name is free again */
    world_fini(&w);
}

static void
test_cancelling_ends_what_waits_and_stops_what_runs(void **state)
{
    static struct host host;
    struct asked running, waiting;
    struct planner_run run;
    struct world w;
    uint64_t ids[2];

    (void)state;
    world_init(&w);
    host_up(&host, w.planner, "a", 1);
    ids[0] = ask(&w, &running, 3);
    ids[1] = ask_async(&w, &waiting, "", 3);
    assert_int_equal(planner_cancel(w.planner, "u", ids[0]), -ENOENT);
    assert_int_equal(planner_cancel(w.planner, "t", ids[1]), 0);
    await_end(&waiting);
    assert_int_equal(waiting.kind, LEDGER__KIND__KIND_CANCELLED);
    assert_int_equal(planner_cancel(w.planner, "t", ids[0]), 0);
    assert_true(host_take(&host, &run));
    assert_int_equal(host.stops, 1);
    assert_int_equal(running.ends, 0);
    host_end_run(&host, &run, LEDGER__KIND__KIND_CANCELLED, 0);
    await_end(&running);
    assert_int_equal(running.kind, LEDGER__KIND__KIND_CANCELLED);
    assert_int_equal(planner_cancel(w.planner, "t", ids[0]), -ENOENT);
    world_fini(&w);
}

static void
test_one_planner_leads(void **state)
{
    struct planner_config config;
    struct planner *other;
    struct wanted wanted;
    struct asked asked;
    struct world w;
    uint64_t term, id;

    (void)state;
    world_init(&w);
    config = config_of(&w, "other");
    assert_int_equal(planner_create(&config, &other, NULL), -EBUSY);
    assert_true(planner_is_leading(w.planner));
    /* The lease goes behind its back, as where the machine slept. */
    assert_int_equal(store_release(w.store, "planner", "first", NULL), 0);
    assert_int_equal(store_lease(w.store, "planner", "other", 60 * SECOND, &term, NULL), 0);
    asked_init(&asked);
    assert_int_equal(planner_call_async(w.planner, &wanted_init(&wanted, "t", "", 0)->call,
                                        on_accepted, on_end, &asked),
                     0);
    assert_int_equal(await_accepted(&asked), -ESTALE);
    assert_false(planner_is_leading(w.planner));
    assert_int_equal(w.lost, 1);
    assert_int_equal(
        planner_call(w.planner, &wanted_init(&wanted, "t", "", 0)->call, on_end, &asked, &id),
        -ESHUTDOWN);
    world_fini(&w);
}

static void
test_bad_calls_are_refused(void **state)
{
    const struct planner_share narrow = {.waiting_max = 1};
    struct planner_config config;
    struct planner *other;
    struct wanted wanted;
    struct asked asked, kept;
    struct diag diag;
    struct world w;
    uint64_t id = 77;

    (void)state;
    world_init(&w);
    asked_init(&asked);
    (void)wanted_init(&wanted, "", "", 0);
    assert_int_equal(planner_call(w.planner, &wanted.call, on_end, &asked, &id), -EINVAL);
    (void)wanted_init(&wanted, "t", "", 0);
    wanted.request.priority = 10;
    assert_int_equal(planner_call(w.planner, &wanted.call, on_end, &asked, &id), -EINVAL);
    (void)wanted_init(&wanted, "t", "", 0);
    assert_int_equal(planner_call(w.planner, &wanted.call, NULL, &asked, &id), -EINVAL);
    fault_arm("planner.copy", 1, -ENOMEM);
    assert_int_equal(planner_call(w.planner, &wanted.call, on_end, &asked, &id), -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(planner_tenant_set(w.planner, "t", &narrow), 0);
    (void)ask(&w, &kept, 0);
    assert_int_equal(planner_call(w.planner, &wanted.call, on_end, &asked, &id), -EAGAIN);
    assert_int_equal(id, 77);
    assert_int_equal(asked.ends, 0);
    config = config_of(&w, "first");
    config.policy = "best";
    diag_init(&diag);
    assert_int_equal(planner_create(&config, &other, &diag), -EINVAL);
    assert_non_null(strstr(diag_text(&diag), "best"));
    world_fini(&w);
    assert_int_equal(kept.kind, LEDGER__KIND__KIND_CANCELLED); /* as the planner ended */
}

/* ---------------------------------------------------------------------- many at once */

#define THREADS 4u
#define EACH    300u

struct crowd {
    struct world *w;
    struct asked asked[EACH];
    bool is_async;
    pthread_t thread;
};

static void *
crowd_main(void *object)
{
    struct crowd *crowd = object;

    for (unsigned i = 0; i < EACH; i++)
        if (crowd->is_async)
            (void)ask_async(crowd->w, &crowd->asked[i], "", 2);
        else
            (void)ask(crowd->w, &crowd->asked[i], 2);
    for (unsigned i = 0; i < EACH; i++)
        await_end(&crowd->asked[i]);
    return NULL;
}

static void
test_many_threads_and_hosts_that_lose_runs_end_every_call_once(void **state)
{
    static struct crowd crowds[THREADS];
    static struct host hosts[3];
    struct planner_usage usage;
    struct world w;

    (void)state;
    world_init(&w);
    for (unsigned i = 0; i < 3; i++) {
        host_up(&hosts[i], w.planner, (const char *[]){"a", "b", "c"}[i], 4 + i);
        hosts[i].fails = true;
        host_live(&hosts[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        crowds[i].w = &w;
        crowds[i].is_async = i % 2 == 0;
        assert_int_equal(pthread_create(&crowds[i].thread, NULL, crowd_main, &crowds[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(crowds[i].thread, NULL), 0);
    planner_usage(w.planner, &usage);
    assert_int_equal(usage.ended, THREADS * EACH);
    assert_true(usage.running == 0 && usage.waiting == 0 && usage.retried > 0);
    for (unsigned i = 0; i < 3; i++)
        host_die(&hosts[i]);
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned k = 0; k < EACH; k++)
            assert_int_equal(crowds[i].asked[k].ends, 1);
    world_fini(&w);
}

/* --------------------------------------------------------------------------- crashes */

/* To the parent: a call that was accepted, or one that was told to be over. */
struct word {
    uint64_t id;
    int32_t is_end, exit_code;
};

static int word_fd;

static void
say(const struct word *word)
{
    if (write(word_fd, word, sizeof(*word)) != sizeof(*word))
        _exit(1);
}

static void
say_accepted(void *context, int err, uint64_t id)
{
    const struct word word = {.id = id};

    (void)context;
    if (err == 0)
        say(&word);
}

static void
say_end(void *context, const Ledger__Call *call)
{
    const struct word word = {.id = call->id, .is_end = 1, .exit_code = call->result->exit_code};

    (void)context;
    say(&word);
}

static void
live_until_killed(struct world *w, const char *holder)
{
    static struct host hosts[2];

    world_start(w, holder);
    for (unsigned i = 0; i < 2; i++) {
        host_up(&hosts[i], w->planner, i == 0 ? "a" : "b", 2);
        host_live(&hosts[i]);
    }
    for (;;) {
        struct wanted wanted;

        (void)wanted_init(&wanted, "t", "", 0);
        if (planner_call_async(w->planner, &wanted.call, say_accepted, say_end, NULL) != 0)
            (void)usleep(200);
    }
}

#define WORDS 400000u

/* A child that leads for a while; what it said is appended. */
static unsigned
lead_and_be_killed(struct world *w, unsigned round, struct word words[WORDS], unsigned count)
{
    int ends[2];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        char holder[32];

        word_fd = ends[1];
        (void)snprintf(holder, sizeof(holder), "child %u", round);
        live_until_killed(w, holder);
    }
    (void)close(ends[1]);
    (void)usleep(1200000 + (unsigned)random() % 300000); /* the lease of the one before */
    assert_int_equal(kill(child, SIGKILL), 0);
    while (count < WORDS && read(ends[0], &words[count], sizeof(words[0])) == sizeof(words[0]))
        count++;
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ends[0]);
    return count;
}

static void
expect_one_end(struct world *w, const struct word *word)
{
    uint64_t until = clock_now_ns() + 60 * SECOND;
    Ledger__Call *call;

    while (state_of(w, word->id) == LEDGER__STATE__STATE_OPEN && clock_now_ns() < until)
        (void)usleep(1000);
    assert_int_equal(planner_get(w->planner, "t", word->id, &call, NULL), 0);
    assert_int_equal(call->state, LEDGER__STATE__STATE_OVER);
    assert_int_equal(call->result->exit_code, word->id % 2 == 0 ? TEST_CODE : 0);
    if (word->is_end)
        assert_int_equal(call->result->exit_code, word->exit_code);
    ledger__call__free_unpacked(call, NULL);
}

static void
test_after_a_kill_every_accepted_call_comes_to_one_end(void **state)
{
    static struct word words[WORDS];
    static struct host hosts[2];
    unsigned count = 0;
    struct world w;

    (void)state;
    srandom(3);
    world_init(&w);
    world_stop(&w);
    for (unsigned round = 0; round < 4; round++)
        count = lead_and_be_killed(&w, round, words, count);
    assert_true(count > 100 && count < WORDS);
    world_start(&w, "last");
    for (unsigned i = 0; i < 2; i++) {
        host_up(&hosts[i], w.planner, i == 0 ? "a" : "b", 4);
        host_live(&hosts[i]);
    }
    for (unsigned i = 0; i < count; i++)
        expect_one_end(&w, &words[i]);
    for (unsigned i = 0; i < 2; i++)
        host_die(&hosts[i]);
    world_fini(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_runs_on_a_host_and_is_told_of_once),
        cmocka_unit_test(test_an_asynchronous_call_is_in_the_store_from_its_acceptance_to_its_end),
        cmocka_unit_test(test_the_same_key_is_the_same_call),
        cmocka_unit_test(test_what_a_host_loses_is_tried_again_where_it_may),
        cmocka_unit_test(test_a_silent_host_is_down),
        cmocka_unit_test(test_cancelling_ends_what_waits_and_stops_what_runs),
        cmocka_unit_test(test_one_planner_leads),
        cmocka_unit_test(test_bad_calls_are_refused),
        cmocka_unit_test(test_many_threads_and_hosts_that_lose_runs_end_every_call_once),
        cmocka_unit_test(test_after_a_kill_every_accepted_call_comes_to_one_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
