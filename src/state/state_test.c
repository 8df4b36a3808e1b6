/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/fault.h"
#include "state/state_testing.h"

static struct fake fake;

static int
setup(void **state)
{
    (void)state;
    fake_init(&fake, 0);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    fake_fini(&fake);
    return 0;
}

static int
set(unsigned cell, const char *key, const char *text)
{
    struct state_request request = {
        .kind = STATE_SET, .key = key, .bytes = text, .count = strlen(text)};

    return fake_try(&fake, cell, &request);
}

static int
get(unsigned cell, const char *key, uint64_t offset, uint64_t count, struct state_result *result)
{
    struct state_request request = {
        .kind = STATE_GET, .key = key, .offset = offset, .count = count};

    return fake_do(&fake, cell, &request, result);
}

static void
assert_is(unsigned cell, const char *key, const char *text)
{
    struct state_result result;

    assert_int_equal(get(cell, key, 0, 1000, &result), 0);
    assert_int_equal(result.count, strlen(text));
    assert_memory_equal(result.bytes, text, strlen(text));
    state_result_fini(&result);
}

static int
simple(unsigned cell, enum state_kind kind, const char *key, struct state_result *result)
{
    struct state_request request = {.kind = kind, .key = key};

    return fake_do(&fake, cell, &request, result);
}

/* ------------------------------------------------------------------------- set and get */

static void
test_what_was_set_is_read_everywhere(void **state)
{
    (void)state;
    assert_int_equal(set(0, "a", "one"), 0);
    assert_is(0, "a", "one");
    assert_is(1, "a", "one");
    assert_int_equal(set(1, "a", "twenty"), 0);
    assert_is(0, "a", "twenty");
    assert_int_equal(set(0, "a", ""), 0);
    assert_is(1, "a", "");
}

static void
test_what_is_current_is_read_without_asking(void **state)
{
    char bytes[4] = "";
    uint64_t pulls;

    (void)state;
    fake_put(&fake, "a", "value", 5);
    assert_int_equal(state_read_current(fake.cells[0].state, "a", 1, bytes, 3), -EAGAIN);
    assert_is(0, "a", "value");
    pulls = fake.pulls;
    assert_is(0, "a", "value");
    assert_int_equal(state_read_current(fake.cells[0].state, "a", 1, bytes, 3), 0);
    assert_string_equal(bytes, "alu");
    assert_int_equal(state_read_current(fake.cells[0].state, "a", 3, bytes, 3), -EINVAL);
    assert_int_equal(state_read_current(fake.cells[0].state, "b", 0, bytes, 1), -EAGAIN);
    assert_int_equal(fake.pulls, pulls);
}

static void
test_who_sets_is_current_with_the_answer(void **state)
{
    char bytes[3];

    (void)state;
    assert_int_equal(set(0, "a", "one"), 0);
    assert_int_equal(state_read_current(fake.cells[0].state, "a", 0, bytes, 3), 0);
    assert_memory_equal(bytes, "one", 3);
    assert_int_equal(fake.pulls, 0);
}

static void
test_a_push_elsewhere_takes_the_copy(void **state)
{
    char bytes[3];

    (void)state;
    assert_int_equal(set(0, "a", "one"), 0);
    assert_int_equal(set(1, "a", "two"), 0);
    assert_int_equal(fake.yields, 1);
    assert_int_equal(state_read_current(fake.cells[0].state, "a", 0, bytes, 3), -EAGAIN);
    assert_is(0, "a", "two");
}

static void
test_a_set_that_is_under_way_makes_nothing_current(void **state)
{
    struct state_request request = {.kind = STATE_SET, .key = "a", .bytes = "two", .count = 3};
    struct state_result result;
    char bytes[3];
    uint64_t op, other;

    (void)state;
    assert_int_equal(set(0, "a", "one"), 0);
    assert_int_equal(state_start(fake.cells[0].state, &request, 1, &op, &result), -EAGAIN);
    assert_int_equal(state_read_current(fake.cells[0].state, "a", 0, bytes, 3), -EAGAIN);
    assert_int_equal(state_finish(fake.cells[0].state, op, &result), -EAGAIN);
    /* A pull whose answer comes before the set's is no reason to believe in it either. */
    request = (struct state_request){.kind = STATE_GET, .key = "a", .count = 3};
    assert_int_equal(state_start(fake.cells[0].state, &request, 2, &other, &result), -EAGAIN);
    fake_run(&fake);
    assert_int_equal(state_finish(fake.cells[0].state, other, &result), 0);
    assert_memory_equal(result.bytes, "two", 3);
    state_result_fini(&result);
    assert_int_equal(state_finish(fake.cells[0].state, op, &result), 0);
    assert_int_equal(result.version, 2);
    assert_is(0, "a", "two");
}

static void
test_a_part_is_read_and_cut_at_the_end(void **state)
{
    struct state_result result;

    (void)state;
    fake_put(&fake, "a", "0123456789", 10);
    assert_int_equal(get(0, "a", 7, 100, &result), 0);
    assert_int_equal(result.count, 3);
    assert_int_equal(result.size, 10);
    assert_int_equal(result.version, 1);
    assert_memory_equal(result.bytes, "789", 3);
    state_result_fini(&result);
    assert_int_equal(get(0, "a", 10, 1, &result), 0);
    assert_int_equal(result.count, 0);
    state_result_fini(&result);
    assert_int_equal(get(0, "a", 11, 1, &result), -EINVAL);
    assert_int_equal(get(0, "none", 0, 1, &result), -ENOENT);
}

static void
test_only_chunks_that_are_wanted_are_pulled(void **state)
{
    const uint64_t size = 10 * STATE_CHUNK_BYTES + 5;
    uint8_t *bytes = calloc(1, size);
    struct state_result result;
    struct state_usage usage;

    (void)state;
    bytes[3 * STATE_CHUNK_BYTES] = 7;
    fake_put(&fake, "a", bytes, size);
    assert_int_equal(get(0, "a", 3 * STATE_CHUNK_BYTES, 1, &result), 0);
    assert_int_equal(result.bytes[0], 7);
    state_result_fini(&result);
    state_usage(fake.cells[0].state, &usage);
    assert_int_equal(usage.bytes_pulled, STATE_CHUNK_BYTES);
    assert_int_equal(get(0, "a", 0, size, &result), 0);
    assert_int_equal(result.count, size);
    assert_memory_equal(result.bytes, bytes, size);
    state_result_fini(&result);
    free(bytes);
}

static void
test_several_who_want_the_same_ask_once(void **state)
{
    struct state_request request = {.kind = STATE_GET, .key = "a", .count = 3};
    struct state_result result;
    uint64_t ops[5];

    (void)state;
    fake_put(&fake, "a", "one", 3);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(state_start(fake.cells[0].state, &request, i, &ops[i], &result), -EAGAIN);
    fake_run(&fake);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(state_finish(fake.cells[0].state, ops[i], &result), 0);
        state_result_fini(&result);
        assert_int_equal(state_finish(fake.cells[0].state, ops[i], &result), -EBADF);
    }
    assert_int_equal(fake.pulls, 1);
    assert_int_equal(fake.cells[0].wakes, 5);
}

/* The answer that is on its way is from before it began, and its hold was taken: it asks. */
static void
test_who_comes_late_does_not_get_what_was_overtaken(void **state)
{
    struct state_request request = {.kind = STATE_GET, .key = "a", .count = 3};
    struct state_result result;
    uint64_t op, late;

    (void)state;
    fake_put(&fake, "a", "one", 3);
    assert_int_equal(state_start(fake.cells[0].state, &request, 1, &op, &result), -EAGAIN);
    fake_hear(&fake);
    /* As if the lease had been over, another's push was acknowledged. */
    fake_value(&fake, "a")->holds[0] = false;
    fake_put(&fake, "a", "two", 3);
    fake_take(&fake, fake_value(&fake, "a"), 0);
    {
        struct fake_word *take = TAILQ_LAST(&fake.downs, fake_words);

        TAILQ_REMOVE(&fake.downs, take, next);
        TAILQ_INSERT_HEAD(&fake.downs, take, next);
    }
    assert_true(fake_tell_one(&fake, NULL)); /* the take */
    assert_int_equal(state_start(fake.cells[0].state, &request, 1, &late, &result), -EAGAIN);
    fake_run(&fake);
    assert_int_equal(state_finish(fake.cells[0].state, op, &result), 0);
    state_result_fini(&result);
    assert_int_equal(state_finish(fake.cells[0].state, late, &result), 0);
    assert_memory_equal(result.bytes, "two", 3);
    state_result_fini(&result);
}

static void
test_known_bytes_are_not_sent_again(void **state)
{
    struct state_usage usage;

    (void)state;
    fake_put(&fake, "a", "value", 5);
    assert_is(0, "a", "value");
    fake_take(&fake, fake_value(&fake, "a"), 0);
    fake_run(&fake);
    assert_is(0, "a", "value");
    assert_int_equal(fake.pulls, 2);
    state_usage(fake.cells[0].state, &usage);
    assert_int_equal(usage.bytes_pulled, 5);
}

static void
test_large_values_go_in_pieces(void **state)
{
    const uint64_t size = 3 * FAKE_PIECE + 100;
    uint8_t *bytes = malloc(size), *read = malloc(size);
    struct state_request request = {.kind = STATE_SET, .key = "a", .bytes = bytes, .count = size};
    struct state_result result;

    (void)state;
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(fake_try(&fake, 0, &request), 0);
    assert_int_equal(fake.pieces, 4);
    assert_memory_equal(fake_value(&fake, "a")->bytes, bytes, size);
    assert_int_equal(get(1, "a", 0, size, &result), 0);
    assert_memory_equal(result.bytes, bytes, size);
    state_result_fini(&result);
    assert_int_equal(state_read_current(fake.cells[1].state, "a", 0, read, size), 0);
    assert_memory_equal(read, bytes, size);
    assert_int_equal(state_read_current(fake.cells[1].state, "a", 1, read, size), -EINVAL);
    free(bytes);
    free(read);
}

/* -------------------------------------------------------------------- conditions, sums */

static void
test_a_condition_that_does_not_hold_is_refused(void **state)
{
    struct state_request request = {.kind = STATE_CAS, .key = "a", .bytes = "x", .count = 1};
    struct state_result result;

    (void)state;
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
    assert_int_equal(result.version, 1);
    assert_int_equal(fake_do(&fake, 1, &request, &result), -STATE_EREFUSED);
    request.version = 1;
    request.bytes = "y";
    assert_int_equal(fake_do(&fake, 1, &request, &result), 0);
    assert_int_equal(result.version, 2);
    assert_is(0, "a", "y");
}

static void
test_sums_are_exact_and_keep_the_copy(void **state)
{
    struct state_request request = {.kind = STATE_ADD,
                                    .key = "n",
                                    .number = RPC__STATE_NUMBER__STATE_NUMBER_I64,
                                    .operand = 5,
                                    .size = 16,
                                    .offset = 8};
    struct state_result result;
    uint64_t ops[3], sum;

    (void)state;
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
    assert_int_equal(result.value, 5);
    assert_int_equal(get(0, "n", 0, 16, &result), 0);
    state_result_fini(&result);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(state_start(fake.cells[0].state, &request, i, &ops[i], &result), -EAGAIN);
    fake_run(&fake);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(state_finish(fake.cells[0].state, ops[i], &result), 0);
        assert_int_equal(result.value, 10 + 5 * i);
    }
    assert_int_equal(state_read_current(fake.cells[0].state, "n", 8, &sum, 8), 0);
    assert_int_equal(sum, 20);
    request.number = 9;
    assert_int_equal(fake_do(&fake, 0, &request, &result), -EINVAL);
    request.number = RPC__STATE_NUMBER__STATE_NUMBER_I64;
    request.key = "none";
    request.size = 0;
    assert_int_equal(fake_do(&fake, 0, &request, &result), -ENOENT);
}

static void
test_what_is_removed_is_gone_everywhere(void **state)
{
    struct state_result result;

    (void)state;
    assert_int_equal(set(0, "a", "one"), 0);
    assert_is(1, "a", "one");
    assert_int_equal(simple(0, STATE_REMOVE, "a", &result), 0);
    assert_int_equal(get(0, "a", 0, 3, &result), -ENOENT);
    assert_int_equal(get(1, "a", 0, 3, &result), -ENOENT);
    assert_int_equal(simple(1, STATE_REMOVE, "a", &result), -ENOENT);
    assert_int_equal(set(1, "a", "two"), 0);
    assert_is(0, "a", "two");
}

/* -------------------------------------------------------------- logs, lists, and others */

static void
test_a_log_is_appended_and_read(void **state)
{
    struct state_request request = {.kind = STATE_APPEND, .key = "l", .bytes = "one", .count = 3};
    struct state_result result;

    (void)state;
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
    assert_int_equal(result.value, 0);
    request.bytes = "seven";
    request.count = 5;
    assert_int_equal(fake_do(&fake, 1, &request, &result), 0);
    assert_int_equal(result.value, 1);
    request = (struct state_request){.kind = STATE_READ, .key = "l"};
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
    assert_int_equal(result.item_count, 2);
    assert_int_equal(result.counts[0], 3);
    assert_int_equal(result.counts[1], 5);
    assert_memory_equal(result.bytes, "oneseven", 8);
    state_result_fini(&result);
    request = (struct state_request){.kind = STATE_TRIM, .key = "l"};
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0); /* nothing: not all of it */
    request =
        (struct state_request){.kind = STATE_APPEND, .key = "l", .bytes = "", .count = 2u << 20};
    assert_int_equal(fake_do(&fake, 0, &request, &result), -E2BIG);
}

static void
test_keys_are_listed_by_their_beginning(void **state)
{
    struct state_request request = {.kind = STATE_LIST, .key = "b"};
    struct state_result result;

    (void)state;
    fake_put(&fake, "a", "", 0);
    fake_put(&fake, "b1", "", 0);
    fake_put(&fake, "b2", "", 0);
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
    assert_int_equal(result.item_count, 2);
    assert_memory_equal(result.bytes, "b1\0b2", 6);
    state_result_fini(&result);
    request.bytes = "b1";
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
    assert_int_equal(result.item_count, 1);
    state_result_fini(&result);
    request.key = "";
    request.bytes = NULL;
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
    assert_int_equal(result.item_count, 3);
    state_result_fini(&result);
}

static void
test_stat_tells_whether_it_is_current(void **state)
{
    struct state_result result;

    (void)state;
    assert_int_equal(simple(0, STATE_STAT, "a", &result), -ENOENT);
    assert_int_equal(set(0, "a", "four"), 0);
    assert_int_equal(simple(0, STATE_STAT, "a", &result), 0);
    assert_int_equal(result.size, 4);
    assert_int_equal(result.version, 1);
    assert_true(result.is_current);
    assert_int_equal(simple(1, STATE_STAT, "a", &result), 0);
    assert_false(result.is_current);
}

static void
test_a_watch_waits_for_a_change_or_is_cancelled(void **state)
{
    struct state_request request = {.kind = STATE_WATCH, .key = "a", .version = 1, .wait_ns = 1000};
    struct state_result result;
    uint64_t op;

    (void)state;
    assert_int_equal(set(0, "a", "one"), 0);
    assert_int_equal(state_start(fake.cells[0].state, &request, 1, &op, &result), -EAGAIN);
    fake_run(&fake);
    assert_int_equal(state_finish(fake.cells[0].state, op, &result), -EAGAIN);
    assert_int_equal(set(1, "a", "two"), 0);
    assert_int_equal(state_finish(fake.cells[0].state, op, &result), 0);
    assert_int_equal(result.version, 2);
    request.version = 2;
    assert_int_equal(state_start(fake.cells[0].state, &request, 1, &op, &result), -EAGAIN);
    fake_run(&fake);
    state_forget(fake.cells[0].state, op);
    assert_false(TAILQ_EMPTY(&fake.waiting));
    fake_run(&fake);
    assert_true(TAILQ_EMPTY(&fake.waiting));
    assert_int_equal(state_finish(fake.cells[0].state, op, &result), -EBADF);
    assert_int_equal(fake.cells[0].state->asks.count, 0);
}

static void
test_bad_keys_are_refused_here(void **state)
{
    char key[300];
    struct state_request request = {.kind = STATE_GET, .key = key, .count = 1};
    struct state_result result;
    uint64_t says = fake.cells[0].says;

    (void)state;
    (void)memset(key, 'k', sizeof(key));
    key[256] = '\0';
    assert_int_equal(fake_do(&fake, 0, &request, &result), -ENAMETOOLONG);
    request.key = "";
    assert_int_equal(fake_do(&fake, 0, &request, &result), -EINVAL);
    request.key = "\xff";
    assert_int_equal(fake_do(&fake, 0, &request, &result), -EINVAL);
    assert_int_equal(fake.cells[0].says, says);
    key[255] = '\0';
    request.key = key;
    assert_int_equal(fake_do(&fake, 0, &request, &result), -ENOENT);
}

/* ------------------------------------------------------------------------------- locks */

static int
lock_or_unlock(unsigned cell, enum state_kind kind, uint64_t owner, uint64_t wait_ns)
{
    struct state_request request = {
        .kind = kind, .key = "a", .is_write = true, .owner = owner, .wait_ns = wait_ns};

    return fake_try(&fake, cell, &request);
}

static void
test_a_global_lock_is_one_callers(void **state)
{
    (void)state;
    assert_int_equal(lock_or_unlock(0, STATE_UNLOCK, 1, 0), -EINVAL);
    assert_int_equal(lock_or_unlock(0, STATE_LOCK, 1, 0), 0);
    assert_int_equal(lock_or_unlock(0, STATE_LOCK, 1, 0), -EDEADLK);
    assert_int_equal(lock_or_unlock(1, STATE_LOCK, 1, 0), -STATE_EREFUSED);
    assert_int_equal(lock_or_unlock(0, STATE_UNLOCK, 1, 0), 0);
    assert_int_equal(lock_or_unlock(1, STATE_LOCK, 1, 0), 0);
    state_call_over(fake.cells[1].state, 1);
    fake_run(&fake);
    assert_int_equal(lock_or_unlock(0, STATE_LOCK, 2, 0), 0);
}

static void
test_a_change_under_a_lock_carries_its_fence(void **state)
{
    struct state_request request = {
        .kind = STATE_SET, .key = "a", .bytes = "x", .count = 1, .owner = 3};

    (void)state;
    assert_int_equal(lock_or_unlock(0, STATE_LOCK, 3, 0), 0);
    assert_int_equal(fake_try(&fake, 0, &request), 0);
    fake_value(&fake, "a")->fence += 10; /* the lock was lost, and given to another */
    assert_int_equal(fake_try(&fake, 0, &request), -ESTALE);
    request.owner = 4;
    assert_int_equal(fake_try(&fake, 0, &request), 0);
    request.kind = STATE_REMOVE;
    request.owner = 3;
    assert_int_equal(fake_try(&fake, 0, &request), -ESTALE);
    assert_int_equal(lock_or_unlock(0, STATE_UNLOCK, 3, 0), -ESTALE);
}

static void
test_a_lock_that_nobody_waits_for_any_more_is_given_back(void **state)
{
    struct state_request request = {
        .kind = STATE_LOCK, .key = "a", .is_write = true, .owner = 1, .wait_ns = UINT64_MAX};
    struct state_result result;
    uint64_t op;

    (void)state;
    assert_int_equal(state_start(fake.cells[0].state, &request, 1, &op, &result), -EAGAIN);
    fake_hear(&fake); /* it has it; the answer is on its way */
    state_forget(fake.cells[0].state, op);
    fake_run(&fake);
    assert_null(fake_value(&fake, "a")->locker);
    assert_int_equal(fake.cells[0].state->locks.count, 0);
}

static void
test_locks_here_are_given_in_order(void **state)
{
    struct state *here = fake.cells[0].state;
    struct state_request request = {
        .kind = STATE_LOCK_HERE, .key = "a", .is_write = false, .owner = 1, .wait_ns = UINT64_MAX};
    struct state_result result;
    uint64_t writer, reader, op;

    (void)state;
    assert_int_equal(state_start(here, &request, 1, &op, &result), 0);
    request.owner = 2;
    assert_int_equal(state_start(here, &request, 2, &op, &result), 0);
    assert_int_equal(state_start(here, &request, 2, &op, &result), -EDEADLK);
    request.owner = 3;
    request.is_write = true;
    assert_int_equal(state_start(here, &request, 3, &writer, &result), -EAGAIN);
    request.owner = 4;
    request.is_write = false;
    assert_int_equal(state_start(here, &request, 4, &reader, &result), -EAGAIN);
    request.owner = 5;
    request.wait_ns = 0;
    assert_int_equal(state_start(here, &request, 5, &op, &result), -STATE_EREFUSED);
    state_call_over(here, 1);
    request = (struct state_request){.kind = STATE_UNLOCK_HERE, .key = "a", .owner = 2};
    assert_int_equal(state_start(here, &request, 2, &op, &result), 0);
    assert_int_equal(fake.cells[0].last_waker, 3);
    assert_int_equal(state_finish(here, writer, &result), 0);
    assert_int_equal(state_finish(here, reader, &result), -EAGAIN);
    request.owner = 3;
    assert_int_equal(state_start(here, &request, 3, &op, &result), 0);
    assert_int_equal(state_start(here, &request, 3, &op, &result), -EINVAL);
    assert_int_equal(state_finish(here, reader, &result), 0);
    state_call_over(here, 4);
    assert_int_equal(here->heres.count, 0);
}

static void
test_a_wait_for_a_lock_here_ends_in_time_or_is_forgotten(void **state)
{
    struct state *here = fake.cells[0].state;
    struct state_request request = {
        .kind = STATE_LOCK_HERE, .key = "a", .is_write = true, .owner = 1, .wait_ns = 1000000};
    struct state_result result;
    uint64_t op, forgotten, next;

    (void)state;
    assert_int_equal(state_start(here, &request, 1, &op, &result), 0);
    request.owner = 2;
    assert_int_equal(state_start(here, &request, 2, &op, &result), -EAGAIN);
    request.owner = 3;
    request.wait_ns = UINT64_MAX;
    assert_int_equal(state_start(here, &request, 3, &forgotten, &result), -EAGAIN);
    request.owner = 4;
    assert_int_equal(state_start(here, &request, 4, &next, &result), -EAGAIN);
    (void)state_tick(here, here->now() + 2000000);
    assert_int_equal(state_finish(here, op, &result), -ETIMEDOUT);
    state_forget(here, forgotten);
    state_call_over(here, 1);
    assert_int_equal(state_finish(here, next, &result), 0);
    state_call_over(here, 4);
}

/* ---------------------------------------------------------------------- room and faults */

static void
test_what_was_used_longest_ago_goes_first(void **state)
{
    struct state_result result;
    char key[8], byte;
    uint64_t pulls;
    uint8_t *bytes = calloc(1, STATE_CHUNK_BYTES);

    (void)state;
    fake_fini(&fake);
    fake_init(&fake, 4 * STATE_CHUNK_BYTES);
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        fake_put(&fake, key, bytes, STATE_CHUNK_BYTES);
        assert_int_equal(get(0, key, 0, 1, &result), 0);
        state_result_fini(&result);
    }
    assert_int_equal(state_read_current(fake.cells[0].state, "k0", 0, &byte, 1), 0);
    fake_put(&fake, "k3", bytes, STATE_CHUNK_BYTES);
    assert_int_equal(get(0, "k3", 0, 1, &result), 0);
    state_result_fini(&result);
    assert_int_equal(state_read_current(fake.cells[0].state, "k1", 0, &byte, 1), -EAGAIN);
    assert_int_equal(state_read_current(fake.cells[0].state, "k0", 0, &byte, 1), 0);
    assert_int_equal(state_read_current(fake.cells[0].state, "k2", 0, &byte, 1), 0);
    /* A take of what is not here any more is answered all the same. */
    pulls = fake.yields;
    fake_take(&fake, fake_value(&fake, "k1"), 0);
    fake_run(&fake);
    assert_int_equal(fake.yields, pulls + 1);
    free(bytes);
}

static void
test_every_failure_is_told_and_leaves_nothing(void **state)
{
    static const char *const points[] = {"state.op",   "state.ask",  "state.entry",
                                         "state.base", "state.here", "state.result",
                                         "state.lock", "state.bytes"};
    static const enum state_kind kinds[] = {STATE_GET,  STATE_SET,    STATE_LOCK,   STATE_LOCK_HERE,
                                            STATE_LIST, STATE_APPEND, STATE_REMOVE, STATE_PULL};
    struct state *here = fake.cells[0].state;

    (void)state;
    fake_put(&fake, "a", "value", 5);
    for (size_t p = 0; p < ARRAY_COUNT(points); p++)
        for (size_t k = 0; k < ARRAY_COUNT(kinds); k++)
            for (unsigned n = 1; n < 10; n++) {
                struct state_request request = {
                    .kind = kinds[k], .key = "a", .owner = 1, .bytes = "a", .count = 1};
                struct state_result result = {0};
                int err;

                fault_arm(points[p], n, -ENOMEM);
                err = fake_do(&fake, 0, &request, &result);
                if (!fault_disarm())
                    n = 10;
                state_result_fini(&result);
                assert_true(err == 0 || err == -ENOMEM || err == -ENOENT);
                state_call_over(here, 1);
                fake_run(&fake);
                fake_put(&fake, "a", "value", 5);
                fake_take(&fake, fake_value(&fake, "a"), 0);
                fake_run(&fake);
                assert_int_equal(here->ops.count, 0);
                assert_int_equal(here->asks.count, 0);
                assert_int_equal(here->locks.count + here->heres.count, 0);
            }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_set_is_read_everywhere),
        TEST(test_what_is_current_is_read_without_asking),
        TEST(test_who_sets_is_current_with_the_answer),
        TEST(test_a_push_elsewhere_takes_the_copy),
        TEST(test_a_set_that_is_under_way_makes_nothing_current),
        TEST(test_a_part_is_read_and_cut_at_the_end),
        TEST(test_only_chunks_that_are_wanted_are_pulled),
        TEST(test_several_who_want_the_same_ask_once),
        TEST(test_who_comes_late_does_not_get_what_was_overtaken),
        TEST(test_known_bytes_are_not_sent_again),
        TEST(test_large_values_go_in_pieces),
        TEST(test_a_condition_that_does_not_hold_is_refused),
        TEST(test_sums_are_exact_and_keep_the_copy),
        TEST(test_what_is_removed_is_gone_everywhere),
        TEST(test_a_log_is_appended_and_read),
        TEST(test_keys_are_listed_by_their_beginning),
        TEST(test_stat_tells_whether_it_is_current),
        TEST(test_a_watch_waits_for_a_change_or_is_cancelled),
        TEST(test_bad_keys_are_refused_here),
        TEST(test_a_global_lock_is_one_callers),
        TEST(test_a_change_under_a_lock_carries_its_fence),
        TEST(test_a_lock_that_nobody_waits_for_any_more_is_given_back),
        TEST(test_locks_here_are_given_in_order),
        TEST(test_a_wait_for_a_lock_here_ends_in_time_or_is_forgotten),
        TEST(test_what_was_used_longest_ago_goes_first),
        TEST(test_every_failure_is_told_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
