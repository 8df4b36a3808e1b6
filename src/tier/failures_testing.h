/* SPDX-License-Identifier: Apache-2.0
 *
 * What fails, and who asks from this process; on testing_tier.
 */
#ifndef WEFT_TIER_FAILURES_TESTING_H
#define WEFT_TIER_FAILURES_TESTING_H

#include "tier/sessions_testing.h"

/* ---------------------------------------------------------------------------- failures */

static void
test_what_the_store_refuses_is_told_and_has_not_happened(void **state)
{
    struct cell cell;

    (void)state;
    cell_open_for(&cell, testing_tier, "fails");
    assert_int_equal(PUSH(&cell, "fails", "old", .count = 3, .creates = true), 0);
    fault_arm("tier.commit", 1, -ENOSPC);
    assert_int_equal(PUSH(&cell, "fails", "new", .count = 3), -EIO);
    assert_true(fault_disarm());
    cell_expect(&cell, "fails", "old", 3);
    assert_int_equal(cell.version, 1);
    fault_arm("tier.commit", 1, -EIO);
    assert_int_equal(PUSH(&cell, "fails", "new", .count = 3), -EIO);
    assert_true(fault_disarm());
    cell_expect(&cell, "fails", "old", 3);
    fault_arm("tier.commit", 1, -EIO);
    assert_int_equal(REMOVE(&cell, "fails", .fence = 0), -EIO);
    assert_true(fault_disarm());
    cell_expect(&cell, "fails", "old", 3);
    assert_int_equal(PUSH(&cell, "fails", "new", .count = 3), 0);
    assert_int_equal(cell.version, 2);
    cell_close(&cell, true);
}

static void
test_an_answer_that_was_lost_leaves_no_doubt_behind(void **state)
{
    struct tenant *tenant;
    struct cell cell;

    (void)state;
    cell_open_for(&cell, testing_tier, "doubt");
    fault_arm("tier.committed", 1, -ETIMEDOUT);
    assert_int_equal(PUSH(&cell, "doubt", "new", .count = 3, .creates = true), -EIO);
    assert_true(fault_disarm());
    cell_expect(&cell, "doubt", "new", 3); /* it has happened */
    assert_int_equal(cell.version, 1);
    fault_arm("tier.committed", 1, -ETIMEDOUT);
    assert_int_equal(PUSH(&cell, "doubt", "longer", .count = 6, .replaces = true), -EIO);
    assert_true(fault_disarm());
    fault_arm("tier.read", 1, -EIO);
    assert_int_equal(PULL(&cell, "doubt", .count = 9), -EIO);
    assert_true(fault_disarm());
    cell_expect(&cell, "doubt", "longer", 6);
    tenant = tier_tenant(testing_tier, "doubt");
    assert_int_equal(tenant->bytes, 6);
    assert_int_equal(tenant->keys, 1);
    fault_arm("tier.committed", 1, -ETIMEDOUT);
    assert_int_equal(APPEND(&cell, "doubt too", "x", 1), -EIO);
    assert_true(fault_disarm());
    assert_int_equal(APPEND(&cell, "doubt too", "x", 1), 0);
    assert_int_equal(cell.result, 1);
    assert_int_equal(tenant->bytes, 8);
    assert_int_equal(tenant->keys, 2);
    cell_close(&cell, true);
}

static void
test_a_pull_that_fails_holds_nothing(void **state)
{
    uint8_t *bytes = some_bytes(600000, 3);
    struct cell cell, other;

    (void)state;
    cell_open(&cell, testing_tier);
    assert_int_equal(PUSH(&cell, "pull", bytes, .count = 600000, .creates = true), 0);
    cell_close(&cell, true);
    for (unsigned nth = 1; nth <= 11; nth++) { /* the head, and ten chunks */
        assert_int_equal(tier_again(), 0);
        cell_open(&cell, testing_tier);
        cell_open(&other, testing_tier);
        fault_arm("tier.read", nth, -EIO);
        assert_int_equal(PULL(&cell, "pull", .count = 600000, .hold = true), -EIO);
        assert_true(fault_disarm());
        assert_false(cell.is_held);
        assert_int_equal(PUSH(&other, "pull", "x", .count = 1, .size = 600000), 0);
        assert_int_equal(atomic_load(&cell.takes), 0);
        assert_int_equal(PULL(&cell, "pull", .count = 600000, .hold = true), 0);
        assert_int_equal(cell.bytes.count, 600000);
        assert_int_equal(memcmp(cell.bytes.bytes + 1, bytes + 1, 599999), 0);
        cell_close(&cell, true);
        cell_close(&other, true);
    }
    free(bytes);
}

/* No memory, wherever: the ask says so or is done, and nothing is half changed. */
static void
test_without_memory_nothing_is_half_done(void **state)
{
    uint8_t *bytes = some_bytes(200000, 5), *more = some_bytes(200000, 6);
    struct cell cell;
    unsigned nth = 1;
    bool was_reached = true;

    (void)state;
    cell_open_for(&cell, testing_tier, "memory");
    assert_int_equal(PUSH(&cell, "memory", bytes, .count = 200000, .creates = true), 0);
    for (; was_reached; nth++) {
        struct put put = {.bytes = more, .count = 200000};
        uint64_t number = cell.number + 1;
        int err;

        /* The first is the ask itself, which then breaks off. */
        fault_arm("tier.alloc", nth + 1, -ENOMEM);
        assert_int_equal(push_send(&cell, "memory", put), number);
        err = cell_answer(&cell, number);
        was_reached = fault_disarm();
        assert_true(err == 0 || err == -ENOMEM);
        cell_expect(&cell, "memory", err == 0 ? more : bytes, 200000);
        if (err == 0)
            assert_int_equal(PUSH(&cell, "memory", bytes, .count = 200000), 0);
    }
    assert_true(nth > 5);
    free(bytes);
    free(more);
    cell_close(&cell, true);
}

/* ------------------------------------------------------------------------ in this process */

static void
ask_done(void *context, const Rpc__StateAnswer *answer)
{
    struct cell *cell = context;

    (void)pthread_mutex_lock(&cell->lock);
    cell_note(cell, answer);
    cell->is_welcome = true;
    (void)pthread_cond_broadcast(&cell->change);
    (void)pthread_mutex_unlock(&cell->lock);
}

static int
ask_here(struct cell *cell, Rpc__StateAsk *ask)
{
    cell->is_welcome = false;
    cell->bytes.count = 0;
    cell->items = 0;
    assert_int_equal(tier_ask(testing_tier, "here", ask, ask_done, cell), 0);
    (void)pthread_mutex_lock(&cell->lock);
    while (!cell->is_welcome)
        if (!cell_wait(cell))
            abort();
    (void)pthread_mutex_unlock(&cell->lock);
    return cell->err;
}

static void
here_init(struct cell *cell)
{
    (void)pthread_mutex_init(&cell->lock, NULL);
    (void)pthread_cond_init(&cell->change, NULL);
}

static void
test_who_is_in_this_process_asks_without_a_session(void **state)
{
    uint8_t *bytes = some_bytes(700000, 2);
    struct cell cell = {.last = &cell.first};
    Rpc__StateRun run = RPC__STATE_RUN__INIT, *runs[] = {&run};
    Rpc__StatePush push = RPC__STATE_PUSH__INIT;
    Rpc__StatePull pull = RPC__STATE_PULL__INIT;
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;

    (void)state;
    here_init(&cell);
    run.count = push.size = push.bytes.len = 700000;
    push.may_create = true;
    push.n_runs = 1;
    push.runs = runs;
    push.bytes.data = bytes;
    ask.key = (char *)(uintptr_t)"here";
    ask.is_case = RPC__STATE_ASK__IS_PUSH;
    ask.push = &push;
    assert_int_equal(ask_here(&cell, &ask), 0);
    ask.has_more = true;
    assert_int_equal(ask_here(&cell, &ask), -EINVAL);
    ask.has_more = false;
    push.hold = true;
    assert_int_equal(ask_here(&cell, &ask), -EINVAL);
    ask.is_case = RPC__STATE_ASK__IS_PULL;
    ask.pull = &pull;
    pull.count = UINT64_MAX;
    assert_int_equal(ask_here(&cell, &ask), 0);
    assert_int_equal(cell.bytes.count, 700000);
    assert_int_equal(memcmp(cell.bytes.bytes, bytes, 700000), 0);
    buffer_fini(&cell.bytes);
    free(bytes);
}

static void
test_who_is_in_this_process_can_have_no_lock(void **state)
{
    struct cell cell = {.last = &cell.first};
    Rpc__StateLock lock = RPC__STATE_LOCK__INIT;
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;

    (void)state;
    here_init(&cell);
    ask.key = (char *)(uintptr_t)"here";
    ask.is_case = RPC__STATE_ASK__IS_LOCK;
    ask.lock = &lock;
    lock.mode = WRITING;
    assert_int_equal(ask_here(&cell, &ask), -EINVAL);
    fault_arm("tier.alloc", 1, -ENOMEM);
    assert_int_equal(tier_ask(testing_tier, "here", &ask, ask_done, &cell), -ENOMEM);
    assert_true(fault_disarm());
    buffer_fini(&cell.bytes);
}

static void
test_bytes_that_are_under_way_have_a_limit_in_this_process_too(void **state)
{
    struct cell cell = {.last = &cell.first};
    Rpc__StateRun run = RPC__STATE_RUN__INIT, *runs[] = {&run};
    Rpc__StatePush push = RPC__STATE_PUSH__INIT;
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;

    (void)state;
    (void)pthread_mutex_init(&cell.lock, NULL);
    (void)pthread_cond_init(&cell.change, NULL);
    run.count = push.size = push.bytes.len = 3;
    push.bytes.data = (uint8_t *)(uintptr_t)"abc";
    push.may_create = true;
    push.n_runs = 1;
    push.runs = runs;
    ask.key = (char *)(uintptr_t)"limited";
    ask.is_case = RPC__STATE_ASK__IS_PUSH;
    ask.push = &push;
    testing_tier->gathered += TIER_GATHER_BYTES_MAX;
    assert_int_equal(ask_here(&cell, &ask), -ENOMEM);
    assert_int_equal(testing_tier->gathered, TIER_GATHER_BYTES_MAX);
    testing_tier->gathered -= TIER_GATHER_BYTES_MAX;
    assert_int_equal(ask_here(&cell, &ask), 0);
    buffer_fini(&cell.bytes);
}

static void
test_a_tenant_s_name_has_an_end(void **state)
{
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;
    Rpc__StateStat stat = RPC__STATE_STAT__INIT;
    char name[1000];

    (void)state;
    (void)memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    ask.key = (char *)(uintptr_t)"key";
    ask.is_case = RPC__STATE_ASK__IS_STAT;
    ask.stat = &stat;
    assert_int_equal(tier_ask(testing_tier, name, &ask, ask_done, NULL), -EINVAL);
    assert_int_equal(tier_forget_tenant(testing_tier, name, NULL), -EINVAL);
    name[TIER_TENANT_BYTES_MAX] = '\0';
    assert_int_equal(tier_forget_tenant(testing_tier, name, NULL), 0);
}

static void
test_what_waits_at_the_end_is_told(void **state)
{
    struct cell cell = {.last = &cell.first};
    Rpc__StateWatch watch = RPC__STATE_WATCH__INIT;
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;

    (void)state;
    here_init(&cell);
    watch.wait_ns = UINT64_MAX;
    ask.key = (char *)(uintptr_t)"nobody makes it";
    ask.is_case = RPC__STATE_ASK__IS_WATCH;
    ask.watch = &watch;
    assert_int_equal(tier_ask(testing_tier, "here", &ask, ask_done, &cell), 0);
    settle();
    assert_false(cell.is_welcome);
    assert_int_equal(tier_again(), 0);
    assert_true(cell.is_welcome);
    assert_int_equal(cell.err, -ESHUTDOWN);
    buffer_fini(&cell.bytes);
}

static void
watch_here(struct cell *cell, const char *key, uint64_t version)
{
    Rpc__StateWatch watch = RPC__STATE_WATCH__INIT;
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;

    cell->is_welcome = false;
    watch.wait_ns = UINT64_MAX;
    watch.version = version;
    ask.key = (char *)(uintptr_t)key;
    ask.is_case = RPC__STATE_ASK__IS_WATCH;
    ask.watch = &watch;
    assert_int_equal(tier_ask(testing_tier, "here", &ask, ask_done, cell), 0);
}

static void
test_who_is_in_this_process_can_stop_watching(void **state)
{
    struct cell one = {.last = &one.first}, other = {.last = &other.first};
    struct tier_usage usage;

    (void)state;
    here_init(&one);
    here_init(&other);
    watch_here(&one, "stop", 0);
    watch_here(&other, "stop", 0);
    settle();
    tier_ask_cancel(testing_tier, &usage); /* none is of this */
    tier_usage(testing_tier, &usage);
    assert_int_equal(usage.waiting, 2);
    tier_ask_cancel(testing_tier, &one);
    assert_true(one.is_welcome);
    assert_int_equal(one.err, -ECANCELED);
    assert_false(other.is_welcome);
    tier_ask_cancel(testing_tier, &one); /* it is over */
    tier_ask_cancel(testing_tier, &other);
    tier_usage(testing_tier, &usage);
    assert_int_equal(usage.waiting, 0);
    assert_int_equal(other.err, -ECANCELED);
}

/* A push waits for a holder, and the watch behind it has not begun to wait. */
static void
test_what_is_cancelled_before_it_waits_does_not_wait(void **state)
{
    struct cell holder, pusher, here = {.last = &here.first};
    uint64_t push, watch;

    (void)state;
    here_init(&here);
    cell_open_for(&holder, testing_tier, "here");
    cell_open_for(&pusher, testing_tier, "here");
    atomic_store(&holder.yields, false);
    assert_int_equal(PUSH(&pusher, "early", "old", .count = 3, .creates = true), 0);
    assert_int_equal(PULL(&holder, "early", .count = 3, .hold = true), 0);
    push = push_send(&pusher, "early", (struct put){.bytes = "new", .count = 3});
    cell_await_take(&holder, 1);
    watch_here(&here, "early", UINT64_MAX - 1);
    watch = SEND_WATCH(&pusher, "early", .version = UINT64_MAX - 1, .wait_ns = UINT64_MAX);
    tier_ask_cancel(testing_tier, &here);
    cell_cancel(&pusher, watch);
    cell_yield(&holder, holder.serial);
    assert_int_equal(cell_answer(&pusher, push), 0);
    assert_int_equal(cell_answer(&pusher, watch), -ECANCELED);
    settle();
    assert_true(here.is_welcome);
    assert_int_equal(here.err, -ECANCELED);
    cell_close(&holder, true);
    cell_close(&pusher, true);
}

static void
test_a_tenant_is_forgotten_as_a_whole(void **state)
{
    struct cell cell, other;

    (void)state;
    cell_open_for(&cell, testing_tier, "forget");
    cell_open_for(&other, testing_tier, "forget it not");
    for (unsigned i = 0; i < 600; i++) {
        char key[16];

        (void)snprintf(key, sizeof(key), "%u", i);
        assert_int_equal(PUSH(&cell, key, "x", .count = 1, .creates = true, .hold = i < 3), 0);
    }
    assert_int_equal(APPEND(&cell, "log", "x", 1), 0);
    assert_int_equal(APPEND(&other, "log", "x", 1), 0);
    fault_arm("tier.commit", 9, -EIO);
    assert_int_equal(tier_forget_tenant(testing_tier, "forget", NULL), -EIO);
    assert_true(fault_disarm());
    assert_int_equal(tier_forget_tenant(testing_tier, "forget", NULL), 0);
    assert_int_equal(tier_forget_tenant(testing_tier, "forget", NULL), 0);
    assert_int_equal(atomic_load(&cell.takes), 3);
    assert_int_equal(LIST(&cell, "", "", 0), 0);
    assert_int_equal(cell.items, 0);
    assert_int_equal(LIST(&other, "", "", 0), 0);
    assert_int_equal(other.items, 1);
    cell_close(&cell, true);
    cell_close(&other, true);
}

#define FAILURES_TESTS \
    VALUES_TEST(test_what_the_store_refuses_is_told_and_has_not_happened), \
        VALUES_TEST(test_an_answer_that_was_lost_leaves_no_doubt_behind), \
        VALUES_TEST(test_a_pull_that_fails_holds_nothing), \
        VALUES_TEST(test_who_is_in_this_process_can_stop_watching), \
        VALUES_TEST(test_what_is_cancelled_before_it_waits_does_not_wait), \
        VALUES_TEST(test_without_memory_nothing_is_half_done), \
        VALUES_TEST(test_who_is_in_this_process_asks_without_a_session), \
        VALUES_TEST(test_who_is_in_this_process_can_have_no_lock), \
        VALUES_TEST(test_bytes_that_are_under_way_have_a_limit_in_this_process_too), \
        VALUES_TEST(test_a_tenant_s_name_has_an_end), \
        VALUES_TEST(test_what_waits_at_the_end_is_told), \
        VALUES_TEST(test_a_tenant_is_forgotten_as_a_whole)

#endif
