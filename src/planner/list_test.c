/* SPDX-License-Identifier: Apache-2.0
 *
 * What is told of calls beside their ends: lists, dead letters, what is over.
 */
#include "planner/planner_testing.h"

/* --------------------------------------------------------------------------- listing */

struct listed {
    uint64_t ids[64];
    Ledger__State states[64];
    unsigned count, most;
};

static bool
note_listed(void *context, const Ledger__Call *call)
{
    struct listed *listed = context;

    assert_string_equal(call->tenant, "t");
    listed->ids[listed->count] = call->id;
    listed->states[listed->count++] = call->state;
    return listed->most == 0 || listed->count < listed->most;
}

static struct listed
list(struct world *w, uint64_t after, uint32_t count)
{
    struct listed listed = {.count = 0};

    assert_int_equal(planner_list(w->planner, "t", after, count, note_listed, &listed, NULL), 0);
    return listed;
}

#define MIXED 6u

/* Every other one asynchronous. */
static void
ask_mixed(struct world *w, struct asked asked[MIXED], uint64_t ids[MIXED])
{
    for (unsigned i = 0; i < MIXED; i++)
        ids[i] = i % 2 == 0 ? ask(w, &asked[i], 0) : ask_async(w, &asked[i], "", 0);
}

static void
test_open_calls_are_listed_in_order_be_they_in_the_store_or_not(void **state)
{
    struct asked asked[MIXED];
    struct listed listed;
    uint64_t ids[MIXED];
    struct world w;

    (void)state;
    world_init(&w);
    ask_mixed(&w, asked, ids);
    listed = list(&w, 0, 0);
    assert_int_equal(listed.count, MIXED);
    for (unsigned i = 0; i < MIXED; i++)
        assert_true(listed.ids[i] == ids[i] && listed.states[i] == LEDGER__STATE__STATE_OPEN);
    listed = list(&w, ids[0], 3);
    assert_int_equal(listed.count, 3);
    assert_true(listed.ids[0] == ids[1] && listed.ids[2] == ids[3]);
    assert_int_equal(list(&w, ids[MIXED - 2], MIXED).count, 1);
    assert_int_equal(list(&w, ids[MIXED - 1], 0).count, 0);
    listed = (struct listed){.most = 2};
    assert_int_equal(planner_list(w.planner, "t", 0, 0, note_listed, &listed, NULL), 0);
    assert_int_equal(listed.count, 2);
    listed = (struct listed){.count = 0};
    assert_int_equal(planner_list(w.planner, "u", 0, 0, note_listed, &listed, NULL), 0);
    assert_int_equal(planner_list(w.planner, "", 0, 0, note_listed, &listed, NULL), -EINVAL);
    assert_int_equal(listed.count, 0);
    world_fini(&w);
}

static void
test_of_calls_that_are_over_those_of_the_store_are_listed(void **state)
{
    static struct host host;
    struct asked asked[MIXED];
    struct planner_run run;
    struct listed listed;
    uint64_t ids[MIXED];
    struct world w;

    (void)state;
    world_init(&w);
    ask_mixed(&w, asked, ids);
    host_up(&host, w.planner, "a", MIXED);
    for (unsigned i = 0; i < MIXED; i++) {
        assert_true(host_take(&host, &run));
        host_end_run(&host, &run, LEDGER__KIND__KIND_DONE, 0);
    }
    for (unsigned i = 0; i < MIXED; i++)
        await_end(&asked[i]);
    listed = list(&w, 0, 0);
    assert_int_equal(listed.count, MIXED / 2);
    for (unsigned i = 0; i < MIXED / 2; i++) {
        assert_int_equal(listed.ids[i], ids[2 * i + 1]);
        assert_int_equal(listed.states[i], LEDGER__STATE__STATE_OVER);
    }
    world_fini(&w);
}

static void
test_a_list_without_memory_is_refused(void **state)
{
    struct listed listed = {.count = 0};
    struct asked asked;
    struct diag diag;
    struct world w;

    (void)state;
    world_init(&w);
    (void)ask(&w, &asked, 0);
    diag_init(&diag);
    fault_arm("planner.list", 1, -ENOMEM);
    assert_int_equal(planner_list(w.planner, "t", 0, 0, note_listed, &listed, &diag), -ENOMEM);
    assert_true(fault_disarm() && diag.is_set);
    assert_int_equal(listed.count, 0);
    world_fini(&w);
}

/* ---------------------------------------------------------------------- dead letters */

static void
fail_once(struct host *host, uint64_t id, uint32_t attempt)
{
    struct planner_run run;

    assert_true(host_take(host, &run));
    assert_true(run.call == id && run.attempt == attempt);
    host_end_run(host, &run, LEDGER__KIND__KIND_TRAP, 0);
}

static void
await_state(struct world *w, uint64_t id, Ledger__State wanted)
{
    while (state_of(w, id) != wanted)
        (void)usleep(1000);
}

static void
test_a_dead_letter_is_tried_again_with_all_its_attempts_or_buried(void **state)
{
    static struct host host;
    struct planner_run run;
    struct asked asked;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    host_up(&host, w.planner, "a", 1);
    id = ask_async(&w, &asked, "", 1);
    assert_int_equal(planner_retry(w.planner, "t", id, NULL), -ENOENT); /* it is none yet */
    for (unsigned round = 0; round < 2; round++) {
        fail_once(&host, id, 1);
        fail_once(&host, id, 2);
        await_state(&w, id, LEDGER__STATE__STATE_DEAD);
        assert_int_equal(planner_retry(w.planner, "u", id, NULL), -ENOENT);
        if (round == 0)
            assert_int_equal(planner_retry(w.planner, "t", id, NULL), 0);
    }
    assert_int_equal(planner_retry(w.planner, "t", id, NULL), 0);
    assert_int_equal(planner_bury(w.planner, "t", id, NULL), -ENOENT); /* it lives */
    assert_true(host_take(&host, &run));
    host_end_run(&host, &run, LEDGER__KIND__KIND_DONE, 0);
    await_state(&w, id, LEDGER__STATE__STATE_OVER);
    id = ask_async(&w, &asked, "", 1);
    fail_once(&host, id, 1);
    fail_once(&host, id, 2);
    await_state(&w, id, LEDGER__STATE__STATE_DEAD);
    assert_int_equal(planner_bury(w.planner, "t", id, NULL), 0);
    assert_int_equal(state_of(&w, id), LEDGER__STATE__STATE_NONE);
    assert_int_equal(planner_bury(w.planner, "t", id, NULL), -ENOENT);
    world_fini(&w);
}

static void
test_of_a_removed_tenant_nothing_is_left(void **state)
{
    char tenant[PLANNER_TENANT_BYTES_MAX + 1] = "";
    static struct host host;
    struct asked asked, open;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    host_up(&host, w.planner, "a", 1);
    id = ask_async(&w, &asked, "", 1);
    fail_once(&host, id, 1);
    fail_once(&host, id, 2);
    await_state(&w, id, LEDGER__STATE__STATE_DEAD);
    planner_host_down(host.planner);
    (void)ask_async(&w, &open, "", 0);
    assert_int_equal(planner_forget(w.planner, "t", NULL), 0);
    assert_int_equal(state_of(&w, id), LEDGER__STATE__STATE_NONE);
    await_end(&open); /* nobody runs it: it was cancelled */
    assert_int_equal(open.kind, LEDGER__KIND__KIND_CANCELLED);
    while (planner_tenant_next(w.planner, tenant, NULL) == 0) {
        assert_string_equal(tenant, "t");
        assert_int_equal(planner_forget(w.planner, tenant, NULL), 0);
        tenant[0] = '\0';
    }
    world_fini(&w);
}

/* Without a limit of its own it does not have the whole queue. */
static void
test_a_tenant_without_a_limit_leaves_room_for_others(void **state)
{
    const struct planner_share none = {.weight = 1};
    struct wanted wanted;
    struct asked *asked = calloc(1, sizeof(*asked)), other;
    struct world w;
    uint64_t id;

    (void)state;
    assert_non_null(asked);
    world_init(&w);
    asked_init(asked);
    asked_init(&other);
    assert_int_equal(planner_tenant_set(w.planner, "t", &none), 0);
    (void)wanted_init(&wanted, "t", "", 0);
    for (unsigned i = 0; i < PLANNER_WAITING_DEFAULT; i++)
        assert_int_equal(planner_call(w.planner, &wanted.call, on_end, asked, &id), 0);
    assert_int_equal(planner_call(w.planner, &wanted.call, on_end, asked, &id), -EAGAIN);
    (void)wanted_init(&wanted, "u", "", 0);
    assert_int_equal(planner_call(w.planner, &wanted.call, on_end, &other, &id), 0);
    world_fini(&w);
    free(asked);
}

static void
test_a_dead_letter_that_cannot_be_queued_stays_one(void **state)
{
    static struct host host;
    struct asked asked, waiting;
    struct world w;
    struct diag diag;
    uint64_t id;

    (void)state;
    world_init(&w);
    host_up(&host, w.planner, "a", 1);
    id = ask_async(&w, &asked, "", 1);
    fail_once(&host, id, 1);
    fail_once(&host, id, 2);
    await_state(&w, id, LEDGER__STATE__STATE_DEAD);
    planner_host_down(host.planner);
    assert_int_equal(planner_tenant_set(w.planner, "t", &(struct planner_share){.waiting_max = 1}),
                     0);
    (void)ask(&w, &waiting, 0);
    diag_init(&diag);
    assert_int_equal(planner_retry(w.planner, "t", id, &diag), -EAGAIN);
    assert_true(diag.is_set);
    await_state(&w, id, LEDGER__STATE__STATE_DEAD);
    world_stop(&w);
    world_start(&w, "second");
    assert_int_equal(state_of(&w, id), LEDGER__STATE__STATE_DEAD);
    world_fini(&w);
}

static void
test_an_end_is_removed_when_it_was_kept_for_long_enough(void **state)
{
    static struct host host;
    struct planner_run run;
    struct asked asked;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    world_stop(&w);
    w.kept_s = 1;
    world_start(&w, "forgetful");
    host_up(&host, w.planner, "a", 1);
    id = ask_async(&w, &asked, "", 0);
    assert_true(host_take(&host, &run));
    host_end_run(&host, &run, LEDGER__KIND__KIND_DONE, 0);
    await_end(&asked);
    await_state(&w, id, LEDGER__STATE__STATE_NONE);
    world_fini(&w);
}

/* -------------------------------------------------------------------- what is over */

struct overs {
    pthread_mutex_t lock;
    unsigned count, ends; /* ends: that asked knew of before */
    struct asked *asked;
    Ledger__Kind kind;
    uint32_t attempts;
};

static void
note_overs(void *context, const Ledger__Call *call)
{
    struct overs *overs = context;

    (void)pthread_mutex_lock(&overs->lock);
    overs->count++;
    overs->kind = call->result->kind;
    overs->attempts = call->result->attempts;
    overs->ends += overs->asked != NULL ? overs->asked->ends : 0;
    (void)pthread_mutex_unlock(&overs->lock);
}

static unsigned
count_overs(struct overs *overs)
{
    unsigned count;

    (void)pthread_mutex_lock(&overs->lock);
    count = overs->count;
    (void)pthread_mutex_unlock(&overs->lock);
    return count;
}

static void
test_each_call_that_is_over_is_told_of_once_after_its_end(void **state)
{
    struct overs overs = {.lock = PTHREAD_MUTEX_INITIALIZER};
    static struct host host;
    struct planner_run run;
    struct asked asked[3];
    struct world w;

    (void)state;
    world_init(&w);
    w.on_over = note_overs;
    w.over_context = &overs;
    host_up(&host, w.planner, "a", 1);
    for (unsigned i = 0; i < 2; i++) {
        overs.asked = &asked[i];
        if (i == 0)
            (void)ask(&w, &asked[i], 1);
        else
            (void)ask_async(&w, &asked[i], "", 1);
        assert_true(host_take(&host, &run));
        planner_run_lost(host.planner, &run, "its cell died");
        assert_true(host_take(&host, &run));
        host_end_run(&host, &run, LEDGER__KIND__KIND_DONE, 0);
        await_end(&asked[i]);
        while (count_overs(&overs) < i + 1)
            (void)usleep(1000);
        assert_int_equal(overs.ends, i + 1);
        assert_true(overs.kind == LEDGER__KIND__KIND_DONE && overs.attempts == 2);
    }
    overs.asked = NULL;
    (void)ask(&w, &asked[2], 0);
    world_stop(&w);
    assert_int_equal(overs.count, 3);
    assert_int_equal(overs.kind, LEDGER__KIND__KIND_CANCELLED);
    world_start(&w, "second");
    world_fini(&w);
}

/* A call that is open in the store is not over, whatever its host says. */
static void
test_an_end_that_the_store_refuses_is_written_later_and_told_then(void **state)
{
    struct overs overs = {.lock = PTHREAD_MUTEX_INITIALIZER};
    static struct host host;
    Ledger__Call *call = NULL;
    struct planner_run run;
    struct asked asked;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w);
    w.on_over = note_overs;
    w.over_context = &overs;
    host_up(&host, w.planner, "a", 1);
    id = ask_async(&w, &asked, "", 0);
    assert_true(host_take(&host, &run));
    fault_arm("ledger.commit", 1, -EIO);
    host_end_run(&host, &run, LEDGER__KIND__KIND_DONE, 0);
    await_end(&asked);
    assert_true(fault_disarm());
    while (count_overs(&overs) == 0)
        (void)usleep(1000);
    assert_int_equal(planner_get(w.planner, "t", id, &call, NULL), 0);
    assert_int_equal(call->state, LEDGER__STATE__STATE_OVER);
    ledger__call__free_unpacked(call, NULL);
    world_stop(&w);
    assert_int_equal(overs.count, 1);
    world_start(&w, "second");
    host_up(&host, w.planner, "a", 1);
    assert_int_equal(host.first, host.end); /* it does not run again */
    world_fini(&w);
}

static void
test_a_full_queue_refuses_before_the_store_has_it(void **state)
{
    const struct planner_share narrow = {.waiting_max = 2};
    struct asked asked[3];
    struct wanted wanted;
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(planner_tenant_set(w.planner, "t", &narrow), 0);
    (void)ask_async(&w, &asked[0], "", 0);
    (void)ask_async(&w, &asked[1], "", 0);
    asked_init(&asked[2]);
    assert_int_equal(planner_call_async(w.planner, &wanted_init(&wanted, "t", "", 0)->call,
                                        on_accepted, on_end, &asked[2]),
                     -EAGAIN);
    world_stop(&w);
    world_start(&w, "second"); /* what was accepted is not refused again */
    world_fini(&w);
    assert_int_equal(asked[2].ends, 0);
}

static void
test_a_pause_is_slept_through_by_a_timer_that_is_woken_for_it(void **state)
{
    static struct host host;
    struct planner_run run;
    struct asked asked;
    struct world w;

    (void)state;
    world_init(&w);
    host_up(&host, w.planner, "a", 1);
    for (unsigned i = 0; i < 200; i++) { /* a second each, were it not woken */
        struct wanted wanted;
        uint64_t id;

        (void)wanted_init(&wanted, "t", "", 1);
        wanted.request.pause_ns = 1000000;
        asked_init(&asked);
        assert_int_equal(planner_call(w.planner, &wanted.call, on_end, &asked, &id), 0);
        fail_once(&host, id, 1);
        assert_true(host_take(&host, &run));
        host_end_run(&host, &run, LEDGER__KIND__KIND_DONE, 0);
        await_end(&asked);
    }
    world_fini(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_calls_are_listed_in_order_be_they_in_the_store_or_not),
        cmocka_unit_test(test_of_calls_that_are_over_those_of_the_store_are_listed),
        cmocka_unit_test(test_a_list_without_memory_is_refused),
        cmocka_unit_test(test_a_dead_letter_is_tried_again_with_all_its_attempts_or_buried),
        cmocka_unit_test(test_of_a_removed_tenant_nothing_is_left),
        cmocka_unit_test(test_a_tenant_without_a_limit_leaves_room_for_others),
        cmocka_unit_test(test_a_dead_letter_that_cannot_be_queued_stays_one),
        cmocka_unit_test(test_an_end_is_removed_when_it_was_kept_for_long_enough),
        cmocka_unit_test(test_each_call_that_is_over_is_told_of_once_after_its_end),
        cmocka_unit_test(test_an_end_that_the_store_refuses_is_written_later_and_told_then),
        cmocka_unit_test(test_a_full_queue_refuses_before_the_store_has_it),
        cmocka_unit_test(test_a_pause_is_slept_through_by_a_timer_that_is_woken_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
