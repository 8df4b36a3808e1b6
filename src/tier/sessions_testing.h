/* SPDX-License-Identifier: Apache-2.0
 *
 * Holds, locks, fences, watches, leases, quotas; on testing_tier.
 */
#ifndef WEFT_TIER_SESSIONS_TESTING_H
#define WEFT_TIER_SESSIONS_TESTING_H

#include "tier/values_testing.h"

/* Nothing is to come: what was begun has had time to go wrong. */
static void
settle(void)
{
    struct cell cell;

    cell_open_for(&cell, testing_tier, "settle");
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(APPEND(&cell, "settle", "x", 1), 0);
    cell_close(&cell, true);
}

/* ------------------------------------------------------------------------------- holds */

static void
test_a_push_waits_until_the_others_have_let_go(void **state)
{
    struct cell holder, pusher, reader;
    uint64_t push, pull;

    (void)state;
    cell_open(&holder, testing_tier);
    cell_open(&pusher, testing_tier);
    cell_open(&reader, testing_tier);
    atomic_store(&holder.yields, false);
    assert_int_equal(PUSH(&pusher, "hold", "old", .count = 3, .creates = true), 0);
    assert_int_equal(PULL(&holder, "hold", .count = 3, .hold = true), 0);
    assert_true(holder.is_held);
    push = push_send(&pusher, "hold", (struct put){.bytes = "new", .count = 3});
    cell_await_take(&holder, 1);
    pull = SEND_PULL(&reader, "hold", .count = 3);
    settle();
    assert_false(cell_has_answer(&pusher, push));
    assert_false(cell_has_answer(&reader, pull)); /* it would see what must not be seen yet */
    cell_yield(&holder, holder.serial);
    assert_int_equal(cell_answer(&pusher, push), 0);
    assert_int_equal(cell_answer(&reader, pull), 0);
    assert_memory_equal(reader.bytes.bytes, "new", 3);
    /* Nobody holds it now: nobody is asked. */
    assert_int_equal(PUSH(&pusher, "hold", "abc", .count = 3), 0);
    assert_int_equal(atomic_load(&holder.takes), 1);
    cell_close(&holder, true);
    cell_close(&pusher, true);
    cell_close(&reader, true);
}

static void
test_who_does_not_let_go_delays_until_his_lease_is_over_and_no_longer(void **state)
{
    struct cell holder, pusher;
    uint64_t push;

    (void)state;
    cell_open(&holder, testing_tier);
    cell_open(&pusher, testing_tier);
    atomic_store(&holder.yields, false);
    assert_int_equal(PUSH(&pusher, "silent", "old", .count = 3, .creates = true), 0);
    assert_int_equal(PULL(&holder, "silent", .count = 3, .hold = true), 0);
    testing_pass(testing_tier, LEASE / 2);
    assert_true(cell_beat(&holder, 1));
    assert_true(cell_beat(&pusher, 1));
    push = push_send(&pusher, "silent", (struct put){.bytes = "new", .count = 3});
    cell_await_take(&holder, 1);
    testing_pass(testing_tier, LAPSE - 1);
    settle();
    assert_false(cell_has_answer(&pusher, push));
    testing_pass(testing_tier, 1);
    assert_int_equal(cell_answer(&pusher, push), 0);
    /* It may come back, but what it had is not current, and it is told of what it holds. */
    assert_true(cell_beat(&holder, 2));
    assert_int_equal(PULL(&holder, "silent", .count = 3, .hold = true), 0);
    assert_true(holder.is_held);
    testing_pass(testing_tier, LAPSE);
    cell_await_take(&holder, 2);
    assert_int_equal(PULL(&holder, "silent", .count = 3, .hold = true), 0);
    assert_false(holder.is_held); /* no beat since */
    assert_true(cell_beat(&holder, 3));
    cell_yield(&holder, holder.serial); /* too late is no matter */
    cell_close(&holder, true);
    cell_close(&pusher, true);
}

static void
test_a_cell_that_is_gone_lets_go_at_once_and_another_with_its_lease(void **state)
{
    struct cell holder, pusher;
    uint64_t push;

    (void)state;
    cell_open(&pusher, testing_tier);
    assert_int_equal(PUSH(&pusher, "gone", "old", .count = 3, .creates = true), 0);
    for (int is_gone = 0; is_gone < 2; is_gone++) {
        cell_open(&holder, testing_tier);
        atomic_store(&holder.yields, false);
        assert_int_equal(PULL(&holder, "gone", .count = 3, .hold = true), 0);
        push = push_send(&pusher, "gone", (struct put){.bytes = "new", .count = 3});
        cell_await_take(&holder, 1);
        cell_close(&holder, is_gone);
        settle();
        if (!is_gone) {
            assert_false(cell_has_answer(&pusher, push));
            testing_pass(testing_tier, LAPSE);
        }
        assert_int_equal(cell_answer(&pusher, push), 0);
        assert_true(cell_beat(&pusher, 1));
    }
    cell_close(&pusher, true);
}

static void
test_who_pushes_with_hold_holds_what_he_pushed(void **state)
{
    struct cell one, other;

    (void)state;
    cell_open(&one, testing_tier);
    cell_open(&other, testing_tier);
    assert_int_equal(PUSH(&one, "mine", "old", .count = 3, .creates = true, .hold = true), 0);
    assert_true(one.is_held);
    assert_int_equal(PUSH(&one, "mine", "new", .count = 3, .hold = true), 0);
    assert_int_equal(atomic_load(&one.takes), 0); /* he has let go before */
    assert_int_equal(ADD(&other, "mine", .number = I64), -EINVAL);
    assert_int_equal(atomic_load(&one.takes), 1);
    assert_int_equal(PUSH(&other, "mine", "abc", .count = 3), 0);
    assert_int_equal(atomic_load(&one.takes), 1);
    /* One that failed leaves nobody with a hold. */
    assert_int_equal(PUSH(&one, "mine", "abc", .count = 3, .hold = true), 0);
    assert_int_equal(PUSH(&one, "mine", "abc", .count = 3, .size = 9, .hold = true), -EMSGSIZE);
    assert_false(one.is_held);
    assert_int_equal(PUSH(&other, "mine", "abc", .count = 3), 0);
    assert_int_equal(atomic_load(&one.takes), 1);
    /* A time to live changes no byte. */
    assert_int_equal(PULL(&one, "mine", .hold = true), 0);
    assert_int_equal(EXPIRE(&other, "mine", .lives_ns = UINT64_MAX), 0);
    assert_int_equal(atomic_load(&one.takes), 1);
    assert_int_equal(REMOVE(&other, "mine", .fence = 0), 0);
    assert_int_equal(atomic_load(&one.takes), 2);
    cell_close(&one, true);
    cell_close(&other, true);
}

/* ------------------------------------------------------------------------------- locks */

static void
test_locks_are_given_in_order_and_readers_share(void **state)
{
    struct cell a, b;
    uint64_t fence, reader, writer, late, try;

    (void)state;
    cell_open(&a, testing_tier);
    cell_open(&b, testing_tier);
    assert_int_equal(LOCK(&a, "lock", .mode = READING, .owner = 1), 0);
    fence = a.result;
    assert_int_equal(LOCK(&b, "lock", .mode = READING, .owner = 1), 0);
    assert_true(b.result > fence);
    writer = SEND_LOCK(&b, "lock", .mode = WRITING, .owner = 2, .wait_ns = UINT64_MAX);
    reader = SEND_LOCK(&a, "lock", .mode = READING, .owner = 3, .wait_ns = UINT64_MAX);
    late = SEND_LOCK(&a, "lock", .mode = READING, .owner = 4, .wait_ns = 1000);
    try = SEND_LOCK(&a, "lock", .mode = READING, .owner = 5);
    assert_int_equal(cell_answer(&a, try), -EAGAIN);
    assert_int_equal(LOCK(&a, "lock", .mode = WRITING, .owner = 1), -EINVAL);
    assert_int_equal(LOCK(&a, "lock", .mode = 9, .owner = 9), -EINVAL);
    assert_int_equal(UNLOCK(&b, "lock", fence), -ESTALE); /* it is not his */
    assert_int_equal(UNLOCK(&b, "lock", b.result), -ESTALE);
    testing_pass(testing_tier, 1000);
    assert_int_equal(cell_answer(&a, late), -ETIMEDOUT);
    assert_int_equal(UNLOCK(&a, "lock", fence), 0);
    assert_int_equal(UNLOCK(&a, "lock", fence), -ESTALE);
    assert_false(cell_has_answer(&b, writer));
    assert_int_equal(UNLOCK(&b, "lock", fence + 1), 0);
    assert_int_equal(cell_answer(&b, writer), 0);
    fence = b.result;
    assert_false(cell_has_answer(&a, reader));
    assert_int_equal(UNLOCK(&b, "lock", fence), 0);
    assert_int_equal(cell_answer(&a, reader), 0);
    assert_true(a.result > fence);
    cell_close(&a, true);
    cell_close(&b, true);
}

static bool
note_tenant(void *context, const struct tier_tenant_usage *usage)
{
    *(struct tier_tenant_usage *)context = *usage;
    return true;
}

static struct tier_local
local_of(const char *tenant)
{
    struct tier_tenant_usage usage = {0};

    tier_usage_tenants(testing_tier, tenant, note_tenant, &usage);
    return usage.local;
}

static void
beat_with(struct cell *cell, uint64_t entries, uint64_t hits)
{
    Rpc__StateBeat beat = RPC__STATE_BEAT__INIT;
    Rpc__StateUp up = RPC__STATE_UP__INIT;

    beat.entries = entries;
    beat.bytes = 100 * entries;
    beat.hits = hits;
    beat.bytes_pushed = 7;
    up.is_case = RPC__STATE_UP__IS_BEAT;
    up.beat = &beat;
    assert_true(tier_session_hear(cell->session, &up));
}

static void
test_beats_tell_what_the_cells_of_a_tenant_have(void **state)
{
    struct cell one, other, stranger;

    (void)state;
    cell_open_for(&one, testing_tier, "beats");
    cell_open_for(&other, testing_tier, "beats");
    cell_open_for(&stranger, testing_tier, "stranger");
    beat_with(&one, 3, 10);
    beat_with(&other, 2, 1);
    beat_with(&stranger, UINT64_MAX, UINT64_MAX);
    assert_int_equal(local_of("beats").entries, 5);
    assert_int_equal(local_of("beats").bytes, 500);
    assert_int_equal(local_of("beats").hits, 11);
    beat_with(&one, 1, 5);
    assert_int_equal(local_of("beats").entries, 3);
    assert_int_equal(local_of("beats").hits, 16);
    assert_int_equal(local_of("beats").bytes_pushed, 21);
    cell_close(&one, false); /* what it had is no more; what it did was done */
    assert_int_equal(local_of("beats").entries, 2);
    assert_int_equal(local_of("beats").hits, 16);
    cell_close(&other, true);
    cell_close(&stranger, true);
    assert_int_equal(local_of("beats").bytes, 0);
    assert_int_equal(local_of("stranger").entries, 0);
}

static void
test_a_wait_is_cancelled_and_frees_who_stands_behind_it(void **state)
{
    struct tier_usage usage;
    struct cell a, b;
    uint64_t writer, reader;

    (void)state;
    cell_open(&a, testing_tier);
    cell_open(&b, testing_tier);
    assert_int_equal(LOCK(&a, "cancel", .mode = READING, .owner = 1), 0);
    writer = SEND_LOCK(&b, "cancel", .mode = WRITING, .owner = 1, .wait_ns = UINT64_MAX);
    reader = SEND_LOCK(&a, "cancel", .mode = READING, .owner = 2, .wait_ns = UINT64_MAX);
    cell_cancel(&b, writer);
    cell_cancel(&b, writer);
    cell_cancel(&b, 12345);
    assert_int_equal(cell_answer(&b, writer), -ECANCELED);
    assert_int_equal(cell_answer(&a, reader), 0);
    writer = SEND_LOCK(&b, "cancel", .mode = WRITING, .owner = 1, .wait_ns = UINT64_MAX);
    tier_usage(testing_tier, &usage);
    assert_int_equal(usage.waiting, 1);
    assert_int_equal(usage.locks, 3);
    cell_close(&b, false);
    cell_close(&a, true);
    tier_usage(testing_tier, &usage);
    assert_int_equal(usage.waiting, 0);
    assert_int_equal(usage.locks, 0);
}

static void
test_an_expired_fence_is_refused_and_the_next_is_not(void **state)
{
    struct cell dead, next;
    uint64_t fence, lock;

    (void)state;
    cell_open(&dead, testing_tier);
    cell_open(&next, testing_tier);
    assert_int_equal(LOCK(&dead, "fence", .mode = WRITING, .owner = 1), 0);
    fence = dead.result;
    assert_int_equal(
        PUSH(&dead, "fence", "old\0\0\0\0", .count = 8, .size = 8, .creates = true, .fence = fence),
        0);
    lock = SEND_LOCK(&next, "fence", .mode = WRITING, .owner = 1, .wait_ns = UINT64_MAX);
    testing_pass(testing_tier, LEASE);
    assert_true(cell_beat(&next, 1));
    assert_false(cell_has_answer(&next, lock));
    testing_pass(testing_tier, LEASE / 10);
    assert_int_equal(cell_answer(&next, lock), 0);
    assert_true(next.result > fence);
    assert_int_equal(PUSH(&next, "fence", "new\0\0\0\0", .count = 8, .fence = next.result), 0);
    /* It was cut off, and comes back. */
    assert_true(cell_beat(&dead, 2));
    assert_int_equal(PUSH(&dead, "fence", "bad\0\0\0\0", .count = 8, .fence = fence), -ESTALE);
    assert_int_equal(ADD(&dead, "fence", .number = I64, .operand = 1, .fence = fence), -ESTALE);
    assert_int_equal(REMOVE(&dead, "fence", .fence = fence), -ESTALE);
    assert_int_equal(UNLOCK(&dead, "fence", fence), -ESTALE);
    cell_expect(&next, "fence", "new\0\0\0\0", 8);
    /* Without a beat since, no lock is to be had. */
    testing_pass(testing_tier, LAPSE);
    assert_int_equal(LOCK(&dead, "fence", .mode = WRITING, .owner = 1, .wait_ns = 5), -ESTALE);
    /* A fence to read does not allow to write. */
    assert_true(cell_beat(&dead, 3));
    assert_int_equal(LOCK(&dead, "fence", .mode = READING, .owner = 1), 0);
    assert_int_equal(PUSH(&dead, "fence", "bad\0\0\0\0", .count = 8, .fence = dead.result),
                     -ESTALE);
    cell_close(&dead, true);
    cell_close(&next, true);
}

static void
test_a_lock_outlives_a_connection_until_its_lease_is_over(void **state)
{
    struct cell one, other;
    uint64_t lock;

    (void)state;
    cell_open(&one, testing_tier);
    cell_open(&other, testing_tier);
    assert_int_equal(LOCK(&one, "cut", .mode = WRITING, .owner = 1), 0);
    lock = SEND_LOCK(&other, "cut", .mode = WRITING, .owner = 1, .wait_ns = UINT64_MAX);
    cell_close(&one, false);
    testing_pass(testing_tier, LEASE);
    assert_true(cell_beat(&other, 1));
    assert_false(cell_has_answer(&other, lock));
    testing_pass(testing_tier, LEASE / 10);
    assert_int_equal(cell_answer(&other, lock), 0);
    cell_open(&one, testing_tier);
    lock = SEND_LOCK(&one, "cut", .mode = WRITING, .owner = 1, .wait_ns = UINT64_MAX);
    cell_close(&other, true);
    assert_int_equal(cell_answer(&one, lock), 0);
    cell_close(&one, true);
}

/* ----------------------------------------------------------------------------- watches */

static void
test_a_watch_is_answered_when_there_is_something_to_see(void **state)
{
    struct cell a, b;
    uint64_t made, changed, gone, late;

    (void)state;
    cell_open_for(&a, testing_tier, "watches");
    cell_open_for(&b, testing_tier, "watches");
    made = SEND_WATCH(&a, "watch", .version = 0, .wait_ns = UINT64_MAX);
    settle();
    assert_false(cell_has_answer(&a, made));
    assert_int_equal(PUSH(&b, "watch", "abc", .count = 3, .creates = true), 0);
    assert_int_equal(cell_answer(&a, made), 0);
    assert_int_equal(a.version, 1);
    assert_int_equal(WATCH(&a, "watch", .version = 0, .wait_ns = 1), 0);
    assert_int_equal(WATCH(&a, "watch", .version = 1), -EAGAIN);
    assert_int_equal(WATCH(&a, "not there", .version = 1, .wait_ns = 1), -ENOENT);
    changed = SEND_WATCH(&a, "watch", .version = 1, .wait_ns = UINT64_MAX);
    gone = SEND_WATCH(&a, "watch", .version = 2, .wait_ns = UINT64_MAX);
    late = SEND_WATCH(&a, "watch", .version = 3, .wait_ns = 1000);
    testing_pass(testing_tier, 1000);
    assert_int_equal(cell_answer(&a, late), -ETIMEDOUT);
    assert_int_equal(PUSH(&b, "watch", "abc", .count = 3), 0);
    assert_int_equal(cell_answer(&a, changed), 0);
    assert_int_equal(a.version, 2);
    assert_int_equal(REMOVE(&b, "watch", .fence = 0), 0);
    assert_int_equal(cell_answer(&a, gone), -ENOENT);
    cell_close(&a, false);
    cell_close(&b, true);
}

static void
test_a_watch_of_a_log_sees_records_and_ends_with_its_session(void **state)
{
    struct cell a, b;
    uint64_t late;

    (void)state;
    cell_open_for(&a, testing_tier, "watches");
    cell_open_for(&b, testing_tier, "watches");
    assert_int_equal(WATCH(&a, "log", .version = 1, .wait_ns = UINT64_MAX), -ENOENT);
    assert_int_equal(APPEND(&b, "log", "x", 1), 0);
    late = SEND_WATCH(&a, "log", .version = 1, .wait_ns = UINT64_MAX);
    assert_int_equal(APPEND(&b, "log", "x", 1), 0);
    assert_int_equal(cell_answer(&a, late), 0);
    assert_int_equal(a.version, 2);
    late = SEND_WATCH(&a, "log", .version = 2, .wait_ns = UINT64_MAX);
    cell_cancel(&a, late);
    assert_int_equal(cell_answer(&a, late), -ECANCELED);
    (void)SEND_WATCH(&a, "log", .version = 2, .wait_ns = UINT64_MAX);
    cell_close(&a, false);
    cell_close(&b, true);
}

/* ------------------------------------------------------------------------------ limits */

static struct tier_limits testing_limits;

static void
limits_of(void *context, const char *tenant, struct tier_limits *out)
{
    (void)context;
    if (strcmp(tenant, "poor") == 0)
        *out = testing_limits;
}

static int
limited_begin(void **state)
{
    const struct tier_config config = {
        .store = testing_store, .is_first = true, .limits = limits_of};

    (void)state;
    testing_tier = testing_tier_create(&config);
    return 0;
}

/* Closes the watcher. */
static void
expect_limits(struct cell *cell, struct cell *watcher)
{
    assert_int_equal(LOCK(cell, "a", .mode = READING, .owner = 1), 0);
    assert_int_equal(LOCK(cell, "a", .mode = READING, .owner = 2), 0);
    assert_int_equal(LOCK(cell, "a", .mode = READING, .owner = 3), -ENOLCK);
    (void)SEND_WATCH(watcher, "d", .wait_ns = UINT64_MAX);
    assert_int_equal(WATCH(watcher, "d", .wait_ns = 7), -EDQUOT);
    cell_close(watcher, true);
    assert_int_equal(LOCK(cell, "a", .mode = READING, .owner = 3), -ENOLCK);
}

static void
test_a_tenant_has_what_it_may_and_not_one_more(void **state)
{
    struct cell cell, watcher;

    (void)state;
    testing_limits = (struct tier_limits){.keys = 3, .bytes = 100, .locks = 2, .watches = 1};
    for (int again = 0; again < 2; again++) {
        cell_open_for(&cell, testing_tier, "poor");
        cell_open_for(&watcher, testing_tier, "poor");
        if (again == 0) {
            assert_int_equal(PUSH(&cell, "a", "", .size = 101, .creates = true), -EDQUOT);
            assert_int_equal(PUSH(&cell, "a", "", .size = 50, .creates = true), 0);
            assert_int_equal(APPEND(&cell, "b", "12345678901234567890", 20), 0);
        }
        assert_int_equal(ADD(&cell, "c", .number = I64, .size = 31), -EDQUOT);
        assert_int_equal(ADD(&cell, "c", .number = I64, .size = 30), 0);
        assert_int_equal(APPEND(&cell, "b", "x", 1), -EDQUOT);
        assert_int_equal(APPEND(&cell, "d", "", 0), -EDQUOT);
        assert_int_equal(PUSH(&cell, "a", "", .size = 51, .replaces = true), -EDQUOT);
        assert_int_equal(PUSH(&cell, "a", "", .size = 49, .replaces = true), 0);
        assert_int_equal(PUSH(&cell, "a", "x", .count = 1, .size = 49), 0);
        assert_int_equal(APPEND(&cell, "b", "x", 1), 0);
        assert_int_equal(REMOVE(&cell, "b", .before = 1), 0);
        assert_int_equal(PUSH(&cell, "a", "", .size = 69, .replaces = true), 0);
        assert_int_equal(PUSH(&cell, "a", "", .size = 70, .replaces = true), -EDQUOT);
        assert_int_equal(REMOVE(&cell, "b", .before = 0), 0);
        assert_int_equal(PUSH(&cell, "a", "", .size = 50, .replaces = true), 0);
        assert_int_equal(REMOVE(&cell, "c", .before = 0), 0);
        assert_int_equal(APPEND(&cell, "b", "12345678901234567890", 20), 0);
        expect_limits(&cell, &watcher);
        cell_close(&cell, true);
        tier_destroy(testing_tier);
        limited_begin(NULL);
    }
    assert_int_equal(tier_forget_tenant(testing_tier, "poor", NULL), 0);
    assert_int_equal(tier_tenant(testing_tier, "poor")->keys, 0);
    assert_int_equal(tier_tenant(testing_tier, "poor")->bytes, 0);
}

/* ------------------------------------------------------------------------- the beginning */

static void
test_a_tier_that_begins_promises_nothing_for_a_lease(void **state)
{
    struct tier_config config = {.store = testing_store};
    struct cell cell;
    uint64_t push, lock, fence;

    (void)state;
    cell_open(&cell, testing_tier);
    assert_int_equal(PUSH(&cell, "begin", "old", .count = 3, .creates = true), 0);
    assert_int_equal(LOCK(&cell, "begin", .mode = WRITING, .owner = 1), 0);
    fence = cell.result;
    cell_close(&cell, true);
    tier_destroy(testing_tier);
    testing_tier = testing_tier_create(&config);
    cell_open(&cell, testing_tier);
    cell_expect(&cell, "begin", "old", 3);
    assert_int_equal(LOCK(&cell, "begin", .mode = READING, .owner = 2), -EAGAIN);
    push = push_send(&cell, "begin", (struct put){.bytes = "new", .count = 3});
    lock = SEND_LOCK(&cell, "begin", .mode = WRITING, .owner = 1, .wait_ns = UINT64_MAX);
    testing_pass(testing_tier, LAPSE - 1);
    assert_true(cell_beat(&cell, 1));
    assert_false(cell_has_answer(&cell, push));
    assert_false(cell_has_answer(&cell, lock));
    testing_pass(testing_tier, 1);
    assert_int_equal(cell_answer(&cell, push), 0);
    assert_int_equal(cell_answer(&cell, lock), 0);
    assert_true(cell.result > fence);
    assert_int_equal(cell.result >> TIER_FENCE_BITS, (fence >> TIER_FENCE_BITS) + 1);
    assert_int_equal(PUSH(&cell, "begin", "bad", .count = 3, .fence = fence), -ESTALE);
    cell_close(&cell, true);
}

static atomic_uint lost;

static void
on_lost(void *context)
{
    (void)context;
    atomic_fetch_add(&lost, 1);
}

static uint64_t
lead(const char *who)
{
    uint64_t term = 0;

    assert_int_equal(
        store_lease(testing_store, "leader", who, UINT64_C(3600000000000), &term, NULL), 0);
    return term;
}

static atomic_bool leads;

static bool
is_leading(void *context)
{
    (void)context;
    return atomic_load(&leads);
}

/* Its process was stopped for longer than its lease: another may have changed what it reads. */
static void
test_a_tier_that_may_not_be_the_one_answers_nothing_of_values(void **state)
{
    const struct tier_config config = {
        .store = testing_store, .is_first = true, .is_leading = is_leading};
    struct cell cell;

    (void)state;
    atomic_store(&leads, true);
    tier_destroy(testing_tier);
    testing_tier = testing_tier_create(&config);
    cell_open(&cell, testing_tier);
    assert_int_equal(PUSH(&cell, "leads", "old", .count = 3, .creates = true), 0);
    cell_expect(&cell, "leads", "old", 3);
    atomic_store(&leads, false);
    assert_int_equal(PULL(&cell, "leads", .count = 3), -ESHUTDOWN);
    assert_int_equal(LOCK(&cell, "leads", .mode = WRITING, .owner = 1), -ESHUTDOWN);
    atomic_store(&leads, true);
    cell_expect(&cell, "leads", "old", 3);
    cell_close(&cell, true);
}

static void
test_a_tier_that_lost_the_term_writes_nothing_and_says_so(void **state)
{
    struct tier_config config = {
        .store = testing_store, .lease = "leader", .is_first = true, .on_lost = on_lost};
    struct tier *old, *again = NULL;
    struct cell cell, other;
    uint64_t fence;

    (void)state;
    atomic_store(&lost, 0);
    config.term = lead("one");
    old = testing_tier_create(&config);
    cell_open(&cell, old);
    assert_int_equal(PUSH(&cell, "term", "old", .count = 3, .creates = true), 0);
    assert_int_equal(LOCK(&cell, "term", .mode = WRITING, .owner = 1), 0);
    fence = cell.result;
    assert_int_equal(store_release(testing_store, "leader", "one", NULL), 0);
    config.term = lead("two");
    assert_int_equal(PUSH(&cell, "term", "bad", .count = 3), -ESHUTDOWN);
    assert_int_equal(PUSH(&cell, "term", "bad", .count = 3), -ESHUTDOWN);
    assert_int_equal(PULL(&cell, "term", .count = 3), -ESHUTDOWN);
    assert_int_equal(atomic_load(&lost), 1);
    tier_destroy(testing_tier);
    testing_tier = testing_tier_create(&config);
    cell_open(&other, testing_tier);
    cell_expect(&other, "term", "old", 3);
    assert_int_equal(LOCK(&other, "term", .mode = WRITING, .owner = 1), 0);
    assert_true(other.result > fence);
    cell_close(&other, true);
    cell_close(&cell, true);
    tier_destroy(old);
    /* And one that has it no more does not begin. */
    config.term--;
    config.on_lost = NULL;
    assert_int_equal(tier_create_clocked(&config, &testing_clock, &again, NULL), -ESHUTDOWN);
    assert_null(again);
}

#define SESSIONS_TESTS \
    VALUES_TEST(test_a_push_waits_until_the_others_have_let_go), \
        VALUES_TEST(test_who_does_not_let_go_delays_until_his_lease_is_over_and_no_longer), \
        VALUES_TEST(test_a_cell_that_is_gone_lets_go_at_once_and_another_with_its_lease), \
        VALUES_TEST(test_who_pushes_with_hold_holds_what_he_pushed), \
        VALUES_TEST(test_locks_are_given_in_order_and_readers_share), \
        VALUES_TEST(test_beats_tell_what_the_cells_of_a_tenant_have), \
        VALUES_TEST(test_a_wait_is_cancelled_and_frees_who_stands_behind_it), \
        VALUES_TEST(test_an_expired_fence_is_refused_and_the_next_is_not), \
        VALUES_TEST(test_a_lock_outlives_a_connection_until_its_lease_is_over), \
        VALUES_TEST(test_a_watch_is_answered_when_there_is_something_to_see), \
        VALUES_TEST(test_a_watch_of_a_log_sees_records_and_ends_with_its_session), \
        cmocka_unit_test_setup_teardown(test_a_tenant_has_what_it_may_and_not_one_more, \
                                        limited_begin, tier_end), \
        VALUES_TEST(test_a_tier_that_begins_promises_nothing_for_a_lease), \
        VALUES_TEST(test_a_tier_that_may_not_be_the_one_answers_nothing_of_values), \
        VALUES_TEST(test_a_tier_that_lost_the_term_writes_nothing_and_says_so)

#endif
