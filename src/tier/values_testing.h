/* SPDX-License-Identifier: Apache-2.0
 *
 * What values and logs do, one use, misuse and failure each; on testing_tier.
 */
#ifndef WEFT_TIER_VALUES_TESTING_H
#define WEFT_TIER_VALUES_TESTING_H

#include "tier/tier_testing.h"

static int
tier_begin(void **state)
{
    const struct tier_config config = {.store = testing_store, .is_first = true};

    (void)state;
    testing_tier = testing_tier_create(&config);
    return 0;
}

static int
tier_end(void **state)
{
    struct tier_usage usage;

    (void)state;
    (void)fault_disarm();
    tier_usage(testing_tier, &usage);
    if (usage.sessions == 0) /* else the test has failed */
        tier_destroy(testing_tier);
    return 0;
}

static int
tier_again(void)
{
    tier_destroy(testing_tier);
    return tier_begin(NULL);
}

static uint8_t *
some_bytes(size_t count, unsigned seed)
{
    uint8_t *bytes = malloc(count + 1);

    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 9) + seed);
    return bytes;
}

static void
test_a_value_is_pushed_and_pulled_also_later(void **state)
{
    static const size_t sizes[] = {0, 1, 8, 65535, 65536, 65537, 262144, 262145, 1000000};
    struct cell cell;

    (void)state;
    for (int again = 0; again < 2; again++) {
        cell_open(&cell, testing_tier);
        assert_true(cell.is_welcome);
        for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
            uint8_t *bytes = some_bytes(sizes[i], 1);
            char key[32];

            (void)snprintf(key, sizeof(key), "whole/%zu", sizes[i]);
            if (again == 0) {
                assert_int_equal(PUSH(&cell, key, bytes, .count = sizes[i], .creates = true), 0);
                assert_int_equal(cell.version, 1);
                assert_int_equal(cell.size, sizes[i]);
            }
            cell_expect(&cell, key, bytes, sizes[i]);
            assert_int_equal(cell.version, 1);
            assert_int_equal(STAT(&cell, key), 0);
            assert_int_equal(cell.size, sizes[i]);
            free(bytes);
        }
        cell_close(&cell, true);
        assert_int_equal(tier_again(), 0);
    }
}

static void
test_runs_change_their_bytes_alone(void **state)
{
    uint8_t *bytes = some_bytes(300000, 1);
    struct cell cell;

    (void)state;
    cell_open(&cell, testing_tier);
    assert_int_equal(PUSH(&cell, "runs", bytes, .count = 300000, .creates = true), 0);
    memset(bytes + 65530, 0, 12);
    assert_int_equal(PUSH(&cell, "runs", bytes + 65530, 65530, 12, .size = 300000), 0);
    assert_int_equal(cell.version, 2);
    memset(bytes + 131072, 0, 65536);
    assert_int_equal(PUSH(&cell, "runs", bytes + 131072, 131072, 65536, .size = 300000), 0);
    cell_expect(&cell, "runs", bytes, 300000);
    assert_int_equal(PULL(&cell, "runs", .offset = 65535, .count = 2), 0);
    assert_int_equal(cell.bytes.count, 2);
    assert_int_equal(memcmp(cell.bytes.bytes, bytes + 65535, 2), 0);
    cell_close(&cell, true);
    assert_int_equal(tier_again(), 0);
    cell_open(&cell, testing_tier);
    cell_expect(&cell, "runs", bytes, 300000);
    /* Zeros are not kept. */
    assert_int_equal(PUSH(&cell, "runs", "x", 100000, 1, .size = 200000, .replaces = true), 0);
    memset(bytes, 0, 200000);
    bytes[100000] = 'x';
    cell_expect(&cell, "runs", bytes, 200000);
    assert_int_equal(cell.version, 4);
    free(bytes);
    cell_close(&cell, true);
}

static void
test_a_pull_of_what_is_known_has_no_bytes(void **state)
{
    struct cell cell;

    (void)state;
    cell_open(&cell, testing_tier);
    assert_int_equal(PUSH(&cell, "known", "abc", .count = 3, .creates = true), 0);
    assert_int_equal(PULL(&cell, "known", .count = 3, .known = 1), 0);
    assert_int_equal(cell.bytes.count, 0);
    assert_int_equal(cell.size, 3);
    assert_int_equal(PULL(&cell, "known", .count = 3, .known = 2), 0);
    assert_int_equal(cell.bytes.count, 3);
    assert_int_equal(PULL(&cell, "known", .offset = 4, .count = 3), -EINVAL);
    assert_int_equal(PULL(&cell, "known", .offset = 3, .count = 3), 0);
    assert_int_equal(cell.bytes.count, 0);
    assert_int_equal(PULL(&cell, "not known", .count = 3), -ENOENT);
    assert_true(strlen(cell.message) > 0);
    assert_int_equal(STAT(&cell, "not known"), -ENOENT);
    cell_close(&cell, true);
}

static void
test_a_push_that_may_not_be_changes_nothing(void **state)
{
    struct cell cell;

    (void)state;
    cell_open(&cell, testing_tier);
    assert_int_equal(PUSH(&cell, "may not", "abc", .count = 3), -ENOENT);
    assert_int_equal(PUSH(&cell, "may not", "abc", .count = 3, .has_condition = true, .version = 1,
                          .creates = true),
                     -EAGAIN);
    assert_int_equal(
        PUSH(&cell, "may not", "abc", .count = 3, .has_condition = true, .creates = true), 0);
    assert_int_equal(
        PUSH(&cell, "may not", "xyz", .count = 3, .has_condition = true, .creates = true), -EAGAIN);
    assert_int_equal(cell.version, 1);
    assert_int_equal(PUSH(&cell, "may not", "xyz", .count = 3, .size = 4), -EMSGSIZE);
    assert_int_equal(PUSH(&cell, "may not", "xyz", .count = 3, .fence = 77), -ESTALE);
    assert_int_equal(APPEND(&cell, "may not", "x", 1), -ENOTDIR);
    assert_int_equal(REMOVE(&cell, "may not", .has_condition = true, .version = 9), -EAGAIN);
    assert_int_equal(REMOVE(&cell, "may not", .before = 1), -ENOTDIR);
    assert_int_equal(REMOVE(&cell, "may not", .fence = 9), -ESTALE);
    cell_expect(&cell, "may not", "abc", 3);
    assert_int_equal(cell.version, 1);
    cell_close(&cell, true);
}

static void
test_versions_never_come_again(void **state)
{
    struct cell cell;
    uint64_t version;

    (void)state;
    cell_open_for(&cell, testing_tier, "versions");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(PUSH(&cell, "again", "abc", .count = 3, .creates = true), 0);
    assert_int_equal(cell.version, 3);
    assert_int_equal(REMOVE(&cell, "again", .has_condition = true, .version = 3), 0);
    assert_int_equal(REMOVE(&cell, "again", .has_condition = false), -ENOENT);
    assert_int_equal(PUSH(&cell, "again", "abc", .count = 3, .creates = true), 0);
    assert_int_equal(cell.version, 4);
    assert_int_equal(REMOVE(&cell, "again", .fence = 0), 0);
    cell_close(&cell, true);
    assert_int_equal(tier_again(), 0);
    cell_open_for(&cell, testing_tier, "versions");
    assert_int_equal(ADD(&cell, "again", .number = I64, .operand = 1, .size = 8), 0);
    version = cell.version;
    assert_true(version > 4);
    assert_int_equal(cell.result, 1);
    cell_close(&cell, true);
}

static void
test_numbers_are_added(void **state)
{
    double half = 0.5, sum;
    uint64_t bits;
    struct cell cell;

    (void)state;
    memcpy(&bits, &half, sizeof(bits));
    cell_open(&cell, testing_tier);
    assert_int_equal(ADD(&cell, "sum", .number = I64, .operand = 5), -ENOENT);
    assert_int_equal(ADD(&cell, "sum", .number = I64, .operand = 5, .size = 65540, .offset = 65532),
                     0);
    assert_int_equal(cell.result, 5);
    assert_int_equal(ADD(&cell, "sum", .number = I64, .operand = (uint64_t)-7, .offset = 65532), 0);
    assert_int_equal((int64_t)cell.result, -2);
    assert_int_equal(ADD(&cell, "sum", .number = F64, .operand = bits), 0);
    assert_int_equal(ADD(&cell, "sum", .number = F64, .operand = bits), 0);
    memcpy(&sum, &cell.result, sizeof(sum));
    assert_true(sum == 1.0);
    assert_int_equal(cell.version, 4);
    assert_int_equal(ADD(&cell, "sum", .number = I64, .offset = 65533), -EINVAL);
    assert_int_equal(ADD(&cell, "sum", .number = 7), -EINVAL);
    assert_int_equal(ADD(&cell, "sum", .number = I64, .size = 8), -EMSGSIZE);
    assert_int_equal(ADD(&cell, "sum", .number = I64, .fence = 8), -ESTALE);
    assert_int_equal(ADD(&cell, "sum", .number = I64, .offset = UINT64_MAX), -EINVAL);
    assert_int_equal(STAT(&cell, "sum"), 0);
    assert_int_equal(cell.version, 4);
    cell_close(&cell, true);
}

/* -------------------------------------------------------------------------------- logs */

static void
test_a_log_keeps_its_records_in_order(void **state)
{
    struct cell cell;

    (void)state;
    cell_open(&cell, testing_tier);
    for (unsigned i = 0; i < 20; i++) {
        char text[16];
        int count = snprintf(text, sizeof(text), "%u", i);

        assert_int_equal(APPEND(&cell, "log", text, (size_t)count), 0);
        assert_int_equal(cell.result, i);
        assert_int_equal(cell.version, i + 1);
    }
    assert_int_equal(APPEND(&cell, "log", "", 0), 0);
    cell_close(&cell, true);
    assert_int_equal(tier_again(), 0);
    cell_open(&cell, testing_tier);
    assert_int_equal(READ(&cell, "log", .index = 8, .count_max = 4), 0);
    assert_int_equal(cell.count, 4);
    assert_int_equal(cell.result, 8);
    assert_memory_equal(cell.bytes.bytes, "891011", 6);
    assert_int_equal(READ(&cell, "log", .index = 9, .bytes_max = 5), 0);
    assert_int_equal(cell.count, 3);
    assert_int_equal(READ(&cell, "log", .index = 10, .bytes_max = 1), 0);
    assert_int_equal(cell.count, 1);
    assert_int_equal(READ(&cell, "log", .index = 19), 0);
    assert_int_equal(cell.count, 2);
    assert_int_equal(cell.counts[1], 0);
    assert_int_equal(READ(&cell, "log", .index = 21), 0);
    assert_int_equal(cell.count, 0);
    assert_int_equal(READ(&cell, "no log", .index = 0), -ENOENT);
    assert_int_equal(PULL(&cell, "log", .count = 1), -EISDIR);
    assert_int_equal(PUSH(&cell, "log", "a", .count = 1, .creates = true), -EISDIR);
    assert_int_equal(ADD(&cell, "log", .number = I64, .size = 8), -EISDIR);
    cell_close(&cell, true);
}

static void
test_a_log_is_cut_at_its_beginning(void **state)
{
    struct cell cell;

    (void)state;
    cell_open_for(&cell, testing_tier, "cut");
    for (unsigned i = 0; i < 2500; i++)
        (void)append_send(&cell, "cut",
                          MESSAGE(append, Append, .bytes = {4, (uint8_t *)(uintptr_t)"abcd"}));
    assert_int_equal(APPEND(&cell, "cut", "last", 4), 0);
    assert_int_equal(cell.size, 4 * 2501);
    assert_int_equal(REMOVE(&cell, "cut", .before = 2400), 0);
    assert_int_equal(cell.version, 2501);
    assert_int_equal(cell.size, 4 * 101);
    assert_int_equal(READ(&cell, "cut", .index = 0, .count_max = 3), 0);
    assert_int_equal(cell.result, 2400);
    assert_int_equal(cell.count, 3);
    assert_int_equal(REMOVE(&cell, "cut", .before = 9999), 0);
    assert_int_equal(cell.size, 0);
    assert_int_equal(READ(&cell, "cut", .index = 7), 0);
    assert_int_equal(cell.count, 0);
    assert_int_equal(cell.result, 2501);
    assert_int_equal(APPEND(&cell, "cut", "x", 1), 0);
    assert_int_equal(cell.result, 2501);
    assert_int_equal(REMOVE(&cell, "cut", .has_condition = true, .version = 2502), 0);
    assert_int_equal(APPEND(&cell, "cut", "x", 1), 0);
    assert_int_equal(cell.result, 0);
    cell_close(&cell, true);
}

/* -------------------------------------------------------------------------------- list */

static void
test_a_list_comes_in_pages(void **state)
{
    struct cell cell;
    char last[TIER_KEY_BYTES_MAX + 1] = "";
    unsigned found = 0;

    (void)state;
    cell_open_for(&cell, testing_tier, "lists");
    for (unsigned i = 0; i < 700; i++) {
        char key[16];

        (void)snprintf(key, sizeof(key), "k/%04u", i);
        if (i == 699)
            assert_int_equal(PUSH(&cell, key, "x", .count = 1, .creates = true), 0);
        else
            (void)push_send(&cell, key, (struct put){.bytes = "x", .count = 1, .creates = true});
    }
    assert_int_equal(APPEND(&cell, "l", "x", 1), 0);
    for (unsigned i = 0; i < 699; i++)
        (void)cell_answer(&cell, i + 1);
    do {
        assert_int_equal(LIST(&cell, "k/", last, 60), 0);
        for (size_t i = 0; i < cell.items; i++) {
            assert_true(strcmp(cell.keys[i], last) > 0);
            (void)snprintf(last, sizeof(last), "%s", cell.keys[i]);
            found++;
        }
    } while (cell.items > 0);
    assert_int_equal(found, 700);
    assert_int_equal(LIST(&cell, "", "", 0), 0);
    assert_int_equal(cell.items, 701); /* in several pieces */
    assert_int_equal(LIST(&cell, "none", "", 0), 0);
    assert_int_equal(cell.items, 0);
    assert_int_equal(LIST(&cell, "k/", "\xff", 0), -EINVAL);
    fault_arm("tier.alloc", 2, -ENOMEM);
    assert_int_equal(LIST(&cell, "k/", "", 1), -ENOMEM);
    assert_true(fault_disarm());
    cell_close(&cell, true);
}

/* ---------------------------------------------------------------------------- to live */

static void
test_what_is_due_goes_and_nothing_else(void **state)
{
    struct tier_usage usage;
    struct cell cell;

    (void)state;
    cell_open_for(&cell, testing_tier, "due");
    assert_int_equal(PUSH(&cell, "short", "x", .count = 1, .creates = true, .lives_ns = 1000), 0);
    assert_int_equal(PUSH(&cell, "long", "x", .count = 1, .creates = true, .lives_ns = 5000), 0);
    assert_int_equal(APPEND(&cell, "log", "x", 1), 0);
    assert_int_equal(EXPIRE(&cell, "log", .lives_ns = 1000), 0);
    assert_int_equal(EXPIRE(&cell, "none", .lives_ns = 1000), -ENOENT);
    assert_int_equal(LIST(&cell, "log", "", 1), 0);
    assert_int_equal(cell.lives_ns, 1000);
    assert_int_equal(PUSH(&cell, "for ever", "x", .count = 1, .creates = true, .lives_ns = 1), 0);
    assert_int_equal(EXPIRE(&cell, "for ever", .lives_ns = 0), 0);
    testing_pass(testing_tier, 1000);
    assert_int_equal(STAT(&cell, "short"), -ENOENT);
    assert_int_equal(STAT(&cell, "log"), -ENOENT);
    assert_int_equal(STAT(&cell, "for ever"), 0);
    assert_int_equal(PUSH(&cell, "long", "y", .count = 1), 0); /* lives as long as it did */
    cell_close(&cell, true);
    assert_int_equal(tier_again(), 0);
    cell_open_for(&cell, testing_tier, "due");
    assert_int_equal(STAT(&cell, "long"), 0);
    testing_pass(testing_tier, 4000);
    /* The sweep or who asks, whoever is first. */
    assert_int_equal(PUSH(&cell, "long", "y", .count = 1), -ENOENT);
    assert_int_equal(LIST(&cell, "", "", 0), 0);
    assert_int_equal(cell.items, 1);
    tier_usage(testing_tier, &usage);
    assert_int_equal(usage.waiting, 0);
    cell_close(&cell, true);
}

static void
test_the_sweep_removes_what_nobody_asks_for(void **state)
{
    uint64_t deadline = clock_now_ns() + PATIENCE_S * UINT64_C(1000000000);
    struct cell cell, watcher;
    uint64_t number;

    (void)state;
    cell_open_for(&cell, testing_tier, "sweep");
    cell_open_for(&watcher, testing_tier, "sweep");
    for (unsigned i = 0; i < 600; i++) {
        char key[16];

        (void)snprintf(key, sizeof(key), "%u", i);
        number = push_send(&cell, key,
                           (struct put){.bytes = "x", .count = 1, .creates = true, .lives_ns = 10});
    }
    for (uint64_t i = 1; i <= number; i++)
        assert_int_equal(cell_answer(&cell, i), 0);
    number = SEND_WATCH(&watcher, "599", .version = 1, .wait_ns = UINT64_MAX);
    testing_pass(testing_tier, 10);
    assert_int_equal(cell_answer(&watcher, number), -ENOENT);
    for (;;) {
        struct tenant *tenant;
        uint64_t left;

        tier_lock(testing_tier);
        tenant = tier_tenant(testing_tier, "sweep");
        left = tenant->keys + tenant->bytes;
        tier_unlock(testing_tier);
        if (left == 0)
            break;
        if (clock_now_ns() > deadline)
            fail_msg("%llu are left", (unsigned long long)left);
        (void)usleep(1000);
    }
    assert_int_equal(LIST(&cell, "", "", 0), 0);
    assert_int_equal(cell.items, 0);
    cell_close(&cell, true);
    cell_close(&watcher, true);
}

/* --------------------------------------------------------------------------- bad input */

static void
test_a_key_that_is_none_is_refused(void **state)
{
    char key[TIER_KEY_BYTES_MAX + 2];
    struct cell cell;

    (void)state;
    cell_open(&cell, testing_tier);
    memset(key, 'k', sizeof(key));
    key[TIER_KEY_BYTES_MAX + 1] = '\0';
    assert_int_equal(STAT(&cell, key), -ENAMETOOLONG);
    assert_int_equal(LIST(&cell, key, "", 0), -ENAMETOOLONG);
    key[TIER_KEY_BYTES_MAX] = '\0';
    assert_int_equal(PUSH(&cell, key, "x", .count = 1, .creates = true, .lives_ns = 1 << 20), 0);
    cell_expect(&cell, key, "x", 1);
    assert_int_equal(REMOVE(&cell, key, .fence = 0), 0);
    assert_int_equal(STAT(&cell, ""), -EINVAL);
    assert_int_equal(PUSH(&cell, "a\xc0\x80", "x", .count = 1, .creates = true), -EINVAL);
    cell_close(&cell, true);
}

static int
push_runs(struct cell *cell, const uint64_t (*pairs)[2], size_t count, size_t bytes)
{
    static uint8_t zeros[TIER_PIECE_BYTES + 1];
    Rpc__StateRun runs[4], *list[4];
    Rpc__StatePush push = RPC__STATE_PUSH__INIT;
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;

    for (size_t i = 0; i < count; i++) {
        rpc__state_run__init(&runs[i]);
        runs[i].offset = pairs[i][0];
        runs[i].count = pairs[i][1];
        list[i] = &runs[i];
    }
    push.size = 100;
    push.may_create = true;
    push.n_runs = count;
    push.runs = list;
    push.bytes = (ProtobufCBinaryData){bytes, zeros};
    ask.is_case = RPC__STATE_ASK__IS_PUSH;
    ask.push = &push;
    return cell_answer(cell, cell_send(cell, "bad runs", &ask));
}

static void
test_runs_that_cannot_be_are_refused(void **state)
{
    static const uint64_t out[][2] = {{90, 11}}, over[][2] = {{UINT64_MAX, 2}},
                          order[][2] = {{10, 5}, {14, 5}}, empty[][2] = {{10, 0}},
                          fine[][2] = {{10, 5}, {15, 5}};
    struct cell cell;

    (void)state;
    cell_open(&cell, testing_tier);
    assert_int_equal(push_runs(&cell, out, 1, 11), -EINVAL);
    assert_int_equal(push_runs(&cell, over, 1, 2), -EINVAL);
    assert_int_equal(push_runs(&cell, order, 2, 10), -EINVAL);
    assert_int_equal(push_runs(&cell, empty, 1, 0), -EINVAL);
    assert_int_equal(push_runs(&cell, fine, 2, 9), -EINVAL);
    assert_int_equal(push_runs(&cell, fine, 2, 11), -EINVAL);
    assert_int_equal(push_runs(&cell, fine, 2, TIER_PIECE_BYTES + 1), -E2BIG);
    assert_int_equal(PUSH(&cell, "bad runs", "", .size = TIER_VALUE_BYTES_MAX + 1, .creates = true),
                     -E2BIG);
    assert_int_equal(STAT(&cell, "bad runs"), -ENOENT);
    assert_int_equal(push_runs(&cell, fine, 2, 10), 0);
    assert_int_equal(STAT(&cell, "bad runs"), 0);
    cell_close(&cell, true);
}

static void
piece(struct cell *cell, uint64_t number, const char *key, uint64_t size, bool has_more)
{
    Rpc__StatePush push = RPC__STATE_PUSH__INIT;
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;

    push.size = size;
    push.may_create = true;
    ask.number = number;
    ask.key = (char *)(uintptr_t)key;
    ask.is_case = RPC__STATE_ASK__IS_PUSH;
    ask.push = &push;
    ask.has_more = has_more;
    assert_true(cell_hear(cell, &ask));
}

static void
test_pieces_that_do_not_belong_together_are_refused_as_a_whole(void **state)
{
    Rpc__StateStat none = RPC__STATE_STAT__INIT;
    Rpc__StateAsk twice = RPC__STATE_ASK__INIT;
    Rpc__StateUp nothing = RPC__STATE_UP__INIT;
    struct tier_usage usage;
    struct cell cell;

    (void)state;
    cell_open(&cell, testing_tier);
    piece(&cell, 1000, "pieces", 10, true);
    piece(&cell, 1000, "others", 10, true);
    piece(&cell, 1000, "pieces", 10, false);
    assert_int_equal(cell_answer(&cell, 1000), -EINVAL);
    piece(&cell, 1000, "pieces", 10, true);
    piece(&cell, 1000, "pieces", 11, false);
    assert_int_equal(cell_answer(&cell, 1000), -EINVAL);
    for (unsigned i = 0; i <= TIER_GATHERS_MAX; i++)
        piece(&cell, 2000 + i, "pieces", 10, true);
    piece(&cell, 2000 + TIER_GATHERS_MAX, "pieces", 10, false);
    assert_int_equal(cell_answer(&cell, 2000 + TIER_GATHERS_MAX), -EAGAIN);
    piece(&cell, 2000, "pieces", 10, false);
    assert_int_equal(cell_answer(&cell, 2000), 0);
    /* Two asks of one number, and words that are none, break the rules. */
    twice.number = 2001;
    twice.key = (char *)(uintptr_t)"pieces";
    twice.is_case = RPC__STATE_ASK__IS_STAT;
    twice.stat = &none;
    assert_false(cell_hear(&cell, &twice));
    assert_false(tier_session_hear(cell.session, &nothing));
    cell_close(&cell, true);
    tier_usage(testing_tier, &usage);
    assert_int_equal(usage.sessions, 0);
    assert_int_equal(testing_tier->gathered, 0);
}

static void
test_tenants_are_apart_and_their_names_are_checked(void **state)
{
    static char long_name[TIER_TENANT_BYTES_MAX + 2];
    struct tier_session *session = NULL;
    struct cell one, other;

    (void)state;
    memset(long_name, 'x', sizeof(long_name) - 1);
    assert_int_equal(tier_session_open(testing_tier, "", cell_said, &one, &session), -EINVAL);
    assert_int_equal(tier_session_open(testing_tier, long_name, cell_said, &one, &session),
                     -EINVAL);
    for (unsigned i = 1; i <= 2; i++) {
        fault_arm("tier.alloc", i, -ENOMEM);
        assert_int_equal(tier_session_open(testing_tier, "a", cell_said, &one, &session), -ENOMEM);
        assert_true(fault_disarm());
    }
    assert_null(session);
    cell_open_for(&one, testing_tier, "a");
    cell_open_for(&other, testing_tier, "ab");
    assert_int_equal(PUSH(&one, "bc", "1", .count = 1, .creates = true), 0);
    assert_int_equal(STAT(&other, "c"), -ENOENT);
    assert_int_equal(STAT(&other, "bc"), -ENOENT);
    assert_int_equal(LIST(&other, "", "", 0), 0);
    assert_int_equal(other.items, 0);
    cell_close(&one, true);
    cell_close(&other, true);
}

#define VALUES_TEST(test) cmocka_unit_test_setup_teardown(test, tier_begin, tier_end)
#define VALUES_TESTS \
    VALUES_TEST(test_a_value_is_pushed_and_pulled_also_later), \
        VALUES_TEST(test_runs_change_their_bytes_alone), \
        VALUES_TEST(test_a_pull_of_what_is_known_has_no_bytes), \
        VALUES_TEST(test_a_push_that_may_not_be_changes_nothing), \
        VALUES_TEST(test_versions_never_come_again), VALUES_TEST(test_numbers_are_added), \
        VALUES_TEST(test_a_log_keeps_its_records_in_order), \
        VALUES_TEST(test_a_log_is_cut_at_its_beginning), VALUES_TEST(test_a_list_comes_in_pages), \
        VALUES_TEST(test_what_is_due_goes_and_nothing_else), \
        VALUES_TEST(test_the_sweep_removes_what_nobody_asks_for), \
        VALUES_TEST(test_a_key_that_is_none_is_refused), \
        VALUES_TEST(test_runs_that_cannot_be_are_refused), \
        VALUES_TEST(test_pieces_that_do_not_belong_together_are_refused_as_a_whole), \
        VALUES_TEST(test_tenants_are_apart_and_their_names_are_checked)

#endif
