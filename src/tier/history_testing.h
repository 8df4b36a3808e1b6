/* SPDX-License-Identifier: Apache-2.0
 *
 * Random histories of several cells, and whether there is an order of all that was done in which
 * each could have seen what it saw, and that contradicts no clock (linearizability).
 *
 * What an ask came to says its place: an addition its sum, an append its index, a lock its fence,
 * a push its version, and a pull the version that it saw (after the push of it). So there is one
 * order to be checked: none may have been over before one that stands before it had begun.
 */
#ifndef WEFT_TIER_HISTORY_TESTING_H
#define WEFT_TIER_HISTORY_TESTING_H

#include "../tests/order.h"
#include "tier/failures_testing.h"

#define HISTORY_CELLS 6
#define HISTORY_STEPS 250
#define HISTORY_KINDS 4

enum history_kind { HISTORY_ADD, HISTORY_APPEND, HISTORY_LOCK, HISTORY_VALUE };

struct events {
    struct event list[HISTORY_CELLS * HISTORY_STEPS * 2];
    size_t count;
};

struct historian {
    struct cell cell;
    unsigned number;
    uint64_t seed;
    uint64_t local; /* version of the copy that is current; 0: none */
    uint64_t local_bytes;
    size_t local_reads;
};

static struct events history[HISTORY_KINDS];
static pthread_mutex_t history_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint_fast64_t history_clock, history_inside;
static uint64_t history_values[HISTORY_CELLS * HISTORY_STEPS + 2]; /* by version */

static uint64_t
history_now(void)
{
    return atomic_fetch_add(&history_clock, 1);
}

static void
history_note(enum history_kind kind, uint64_t place, uint64_t begun)
{
    uint64_t over = history_now();
    struct events *events = &history[kind];

    (void)pthread_mutex_lock(&history_lock);
    events->list[events->count++] = (struct event){place, begun, over};
    (void)pthread_mutex_unlock(&history_lock);
}

/* True: it is in order. */
static bool
events_check(struct events *events, bool is_once)
{
    return order_is_fine(events->list, events->count, is_once);
}

static void
test_the_checker_finds_what_is_wrong(void **state)
{
    struct events fine = {{{1, 0, 5}, {2, 1, 3}, {3, 4, 9}}, 3};
    struct events late = {{{1, 6, 8}, {2, 1, 3}, {3, 4, 9}}, 3};
    struct events twice = {{{1, 0, 5}, {1, 1, 3}}, 2};

    (void)state;
    assert_true(events_check(&fine, true));
    assert_false(events_check(&late, true));
    assert_false(events_check(&twice, true));
    assert_true(events_check(&twice, false));
}

static bool
is_fine_register(const struct register_op *ops, size_t count)
{
    struct register_op copy[REGISTER_OPS_MAX];
    bool is_tired, is_fine;

    memcpy(copy, ops, count * sizeof(*ops));
    is_fine = register_is_fine(copy, count, &is_tired);
    assert_false(is_tired);
    return is_fine;
}

static void
test_the_search_finds_what_no_order_explains(void **state)
{
    const struct register_op twice[] = {{0, 9, 7, 0, REGISTER_WRITE, false},
                                        {1, 2, 7, 0, REGISTER_READ, false},
                                        {3, 4, 8, 0, REGISTER_WRITE, false},
                                        {5, 6, 7, 0, REGISTER_READ, false}};
    const struct register_op old[] = {{0, 1, 7, 0, REGISTER_WRITE, false},
                                      {2, 3, 8, 0, REGISTER_WRITE, false},
                                      {4, 5, 7, 0, REGISTER_READ, false}};
    const struct register_op swaps[] = {{0, 1, 7, 0, REGISTER_SWAP, false},
                                        {2, 8, 8, 1, REGISTER_SWAP, false},
                                        {3, 9, 9, 1, REGISTER_SWAP, false}};
    const struct register_op miss[] = {{0, 1, 7, 0, REGISTER_WRITE, false},
                                       {2, 3, 8, 1, REGISTER_MISS, false}};
    const struct register_op maybe[] = {{0, UINT64_MAX, 7, 0, REGISTER_WRITE, false},
                                        {1, UINT64_MAX, 8, 0, REGISTER_SWAP, true},
                                        {2, 3, 0, 1, REGISTER_VERSION, false},
                                        {4, 5, 8, 0, REGISTER_READ, false},
                                        {6, 7, 7, 0, REGISTER_READ, false}};
    struct register_op late[3];

    (void)state;
    assert_false(is_fine_register(twice, ARRAY_COUNT(twice)));
    assert_true(is_fine_register(twice, 3)); /* read, then written over */
    assert_false(is_fine_register(old, ARRAY_COUNT(old)));
    memcpy(late, old, sizeof(late));
    late[1].over = 6;
    assert_true(is_fine_register(late, 3)); /* the read may be before the second write */
    assert_false(is_fine_register(swaps, ARRAY_COUNT(swaps)));
    assert_true(is_fine_register(swaps, 2));
    assert_false(is_fine_register(miss, ARRAY_COUNT(miss)));
    assert_true(is_fine_register(maybe, ARRAY_COUNT(maybe)));
    assert_true(is_fine_register(maybe + 1, 3)); /* the first may be left out */
    assert_false(is_fine_register(maybe + 1, 4));
}

/* ------------------------------------------------------------------------------- steps */

static void
need(bool is_true, const char *what, int err)
{
    if (is_true)
        return;
    (void)fprintf(stderr, "%s: %d\n", what, err);
    abort();
}

static void
step_add(struct historian *one)
{
    uint64_t begun = history_now();

    need(ADD(&one->cell, "h/add", .number = I64, .operand = 1, .size = 8) == 0, "add",
         one->cell.err);
    history_note(HISTORY_ADD, one->cell.result, begun);
}

static void
step_append(struct historian *one)
{
    uint64_t begun = history_now();
    uint32_t number = one->number;

    need(APPEND(&one->cell, "h/log", &number, sizeof(number)) == 0, "append", one->cell.err);
    history_note(HISTORY_APPEND, one->cell.result, begun);
}

static void
step_lock(struct historian *one)
{
    uint64_t begun = history_now(), fence;

    need(LOCK(&one->cell, "h/lock", .mode = WRITING, .owner = 1, .wait_ns = UINT64_MAX) == 0,
         "lock", one->cell.err);
    history_note(HISTORY_LOCK, one->cell.result, begun);
    fence = one->cell.result;
    need(atomic_fetch_add(&history_inside, 1) == 0, "two have the lock", 0);
    need(PUSH(&one->cell, "h/lock", &fence, .count = 8, .creates = true, .fence = fence) == 0,
         "push with a fence", one->cell.err);
    (void)atomic_fetch_sub(&history_inside, 1);
    need(UNLOCK(&one->cell, "h/lock", fence) == 0, "unlock", one->cell.err);
}

/* The copy of a cell goes when it is told, before it says so. Words take their time, so that a
 * tier that does not wait for it is found out. */
static void
historian_said(void *context, const Rpc__StateDown *down)
{
    struct historian *one = context;

    if (down->is_case == RPC__STATE_DOWN__IS_TAKE)
        (void)usleep((useconds_t)(testing_random() % 500));
    (void)pthread_mutex_lock(&one->cell.lock);
    if (down->is_case == RPC__STATE_DOWN__IS_TAKE && strcmp(down->take->key, "h/value") == 0) {
        one->local = 0;
    } else if (down->is_case == RPC__STATE_DOWN__IS_ANSWER && down->answer->is_held &&
               down->answer->bytes.len == 8) {
        one->local = down->answer->version;
        memcpy(&one->local_bytes, down->answer->bytes.data, 8);
    }
    (void)pthread_mutex_unlock(&one->cell.lock);
    cell_said(&one->cell, down);
}

static void
saw(struct historian *one, uint64_t version, uint64_t bytes, uint64_t begun)
{
    history_note(HISTORY_VALUE, 2 * version + 1, begun);
    (void)pthread_mutex_lock(&history_lock);
    /* The pusher may not have noted it yet. */
    need(history_values[version] == 0 || history_values[version] == bytes, "other bytes", 0);
    history_values[version] = bytes;
    (void)pthread_mutex_unlock(&history_lock);
    (void)one;
}

static void
step_look(struct historian *one)
{
    uint64_t begun = history_now(), bytes, version;

    (void)pthread_mutex_lock(&one->cell.lock);
    version = one->local;
    bytes = one->local_bytes;
    if (version != 0) /* its place is here: with the lock no yield has been said */
        saw(one, version, bytes, begun);
    (void)pthread_mutex_unlock(&one->cell.lock);
    if (version != 0) {
        one->local_reads++;
        return;
    }
    need(PULL(&one->cell, "h/value", .count = 8, .hold = one->seed % 3 != 0) == 0, "pull",
         one->cell.err);
    memcpy(&bytes, one->cell.bytes.bytes, 8);
    saw(one, one->cell.version, bytes, begun);
}

static void
step_swap(struct historian *one)
{
    uint64_t begun, bytes = one->seed | 1, version;
    int err;

    need(STAT(&one->cell, "h/value") == 0, "stat", one->cell.err);
    version = one->cell.version;
    (void)pthread_mutex_lock(&one->cell.lock);
    one->local = 0;
    (void)pthread_mutex_unlock(&one->cell.lock);
    begun = history_now();
    err = PUSH(&one->cell, "h/value", &bytes, .count = 8, .has_condition = true, .version = version,
               .hold = one->seed % 2 != 0);
    need(err == 0 || err == -EAGAIN, "swap", err);
    if (err != 0)
        return;
    need(one->cell.version == version + 1, "version", 0);
    history_note(HISTORY_VALUE, 2 * one->cell.version, begun);
    (void)pthread_mutex_lock(&history_lock);
    need(history_values[version + 1] == 0 || history_values[version + 1] == bytes, "bytes", 0);
    history_values[version + 1] = bytes;
    (void)pthread_mutex_unlock(&history_lock);
}

static void *
historian_run(void *context)
{
    static void (*const steps[])(struct historian *) = {
        step_add, step_append, step_lock, step_look, step_look, step_look, step_swap};
    struct historian *one = context;

    for (unsigned i = 0; i < HISTORY_STEPS; i++) {
        one->seed = one->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        steps[(one->seed >> 33) % ARRAY_COUNT(steps)](one);
    }
    return NULL;
}

/* ------------------------------------------------------------------------------ history */

static void
historians_run(uint64_t seed)
{
    static struct historian all[HISTORY_CELLS];
    pthread_t threads[HISTORY_CELLS];
    size_t local = 0;

    for (unsigned i = 0; i < HISTORY_CELLS; i++) {
        struct historian *one = &all[i];

        *one = (struct historian){.number = i, .seed = seed * 1000 + i};
        one->cell = (struct cell){.yields = true};
        (void)pthread_mutex_init(&one->cell.lock, NULL);
        (void)pthread_cond_init(&one->cell.change, NULL);
        one->cell.last = &one->cell.first;
        assert_int_equal(
            tier_session_open(testing_tier, "history", historian_said, one, &one->cell.session), 0);
    }
    for (unsigned i = 0; i < HISTORY_CELLS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, historian_run, &all[i]), 0);
    for (unsigned i = 0; i < HISTORY_CELLS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        local += all[i].local_reads;
    }
    assert_true(local > 0); /* some looked at what they held */
    for (unsigned i = 0; i < HISTORY_CELLS; i++)
        cell_close(&all[i].cell, true);
}

static void
test_random_histories_have_an_order(void **state)
{
    uint64_t seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000, bytes = 1;
    struct cell cell;

    (void)state;
    (void)printf("seed %llu\n", (unsigned long long)seed);
    assert_int_equal(tier_forget_tenant(testing_tier, "history", NULL), 0);
    cell_open_for(&cell, testing_tier, "history");
    for (unsigned i = 0; i < HISTORY_KINDS; i++)
        history[i].count = 0;
    memset(history_values, 0, sizeof(history_values));
    assert_int_equal(PUSH(&cell, "h/value", &bytes, .count = 8, .creates = true), 0);
    assert_int_equal(cell.version, 1);
    history_values[1] = 1;
    historians_run(seed);
    for (unsigned i = 0; i < HISTORY_KINDS; i++) {
        assert_true(history[i].count > 0);
        assert_true(events_check(&history[i], i != HISTORY_VALUE));
    }
    assert_int_equal(ADD(&cell, "h/add", .number = I64), 0);
    assert_int_equal(cell.result, history[HISTORY_ADD].count);
    assert_int_equal(STAT(&cell, "h/log"), 0);
    assert_int_equal(cell.version, history[HISTORY_APPEND].count);
    cell_close(&cell, true);
}

#define HISTORY_TESTS \
    VALUES_TEST(test_the_checker_finds_what_is_wrong), \
        VALUES_TEST(test_the_search_finds_what_no_order_explains), \
        VALUES_TEST(test_random_histories_have_an_order)

#endif
