/* SPDX-License-Identifier: Apache-2.0
 *
 * Counter, barrier, semaphore and lock, each by many calls on all hosts at one time.
 */
#include "check.h"

#define ROUNDS  5u
#define ADDS    40u
#define PERMITS 3u
#define TURNS   5u

static void
count(uint32_t self)
{
    int64_t sum = 0;

    (void)self;
    (void)weft_map_put("meet/hosts", host_number() == 1 ? "one" : "other", "", 0);
    for (uint32_t i = 0; i < ADDS; i++)
        OK(weft_counter_add("meet/counter", i % 2 == 0 ? 3 : -1, &sum));
}

static void
test_a_counter_is_exact(void)
{
    uint32_t length = 0;
    int64_t value = 7;

    OK(weft_counter_get("meet/counter", &value));
    SAME(0, value);
    fan("count", MANY);
    OK(weft_map_get("meet/hosts", "one", NULL, 0, &length));
    OK(weft_map_get("meet/hosts", "other", NULL, 0, &length)); /* else nothing here is tested */
    OK(weft_counter_get("meet/counter", &value));
    SAME(MANY * ADDS, value);
}

/* Each says that it came, and when it may go on all must have said so. */
static void
gather(uint32_t self)
{
    char key[64];
    int64_t came;

    (void)self;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        (void)snprintf(key, sizeof(key), "meet/came%u", (unsigned)round);
        OK(weft_counter_add(key, 1, NULL));
        OK(weft_barrier_wait("meet/barrier", MANY, PATIENCE));
        OK(weft_counter_get(key, &came));
        SAME(MANY, came);
    }
}

static void
test_a_barrier_lets_nobody_through_early(void)
{
    int64_t ticket;

    fan("gather", MANY);
    OK(weft_barrier_come("meet/alone", 2, &ticket));
    SAME(ETIMEDOUT, weft_barrier_pass("meet/alone", ticket, 20000000));
    SAME(ETIMEDOUT, weft_barrier_pass("meet/alone", ticket, 0));
    OK(weft_barrier_wait("meet/alone", 2, 0));
    OK(weft_barrier_pass("meet/alone", ticket, 0));
    SAME(EINVAL, weft_barrier_wait("meet/alone", 0, 0));
}

static void
enter(uint32_t self)
{
    int64_t inside;

    (void)self;
    for (uint32_t i = 0; i < TURNS; i++) {
        OK(weft_semaphore_acquire("meet/semaphore", PATIENCE));
        OK(weft_counter_add("meet/inside", 1, &inside));
        CHECK(inside >= 1 && inside <= PERMITS);
        OK(weft_counter_add("meet/inside", -1, NULL));
        OK(weft_semaphore_release("meet/semaphore"));
    }
}

static void
test_a_semaphore_lets_no_more_in(void)
{
    int64_t value;

    SAME(ENOENT, weft_semaphore_acquire("meet/semaphore", 0));
    SAME(ENOENT, weft_semaphore_release("meet/semaphore"));
    OK(weft_semaphore_create("meet/semaphore", PERMITS));
    OK(weft_semaphore_create("meet/semaphore", PERMITS + 5));
    fan("enter", MANY);
    OK(weft_counter_get("meet/semaphore", &value));
    SAME(PERMITS, value);
    for (uint32_t i = 0; i < PERMITS; i++)
        OK(weft_semaphore_acquire("meet/semaphore", 0));
    SAME(ETIMEDOUT, weft_semaphore_acquire("meet/semaphore", 0));
    SAME(ETIMEDOUT, weft_semaphore_acquire("meet/semaphore", 20000000));
}

/* Read and written apart: without the lock, or without what it promises, some get lost. */
static void
take_turns(uint32_t self)
{
    int64_t value;

    (void)self;
    for (uint32_t i = 0; i < TURNS; i++) {
        OK(weft_lock_take("meet/locked", PATIENCE));
        OK(weft_counter_get("meet/locked", &value));
        value++;
        OK(weft_state_set("meet/locked", &value, sizeof(value)));
        OK(weft_lock_drop("meet/locked"));
    }
}

static void
test_a_lock_is_one_calls(void)
{
    int64_t value;

    fan("turns", MANY);
    OK(weft_counter_get("meet/locked", &value));
    SAME(MANY * TURNS, value);
    SAME(EINVAL, weft_lock_drop("meet/locked"));
    OK(weft_lock_take("meet/locked", 0));
    SAME(EDEADLK, weft_lock_take("meet/locked", 0));
    OK(weft_lock_drop("meet/locked"));
}

/* The same in memory: pull after the lock, push before it is let go. */
static void
add_in_memory(uint32_t self)
{
    struct weft_array array;

    OK(weft_array_open(&array, "meet/memory", WEFT_INT64, 4, WEFT_STATE_WRITE | WEFT_STATE_CREATE));
    for (uint32_t i = 0; i < TURNS; i++) {
        OK(weft_lock_take("meet/memory", PATIENCE));
        OK(weft_array_pull(&array));
        ((int64_t *)array.items)[self % 4] += 1000003;
        OK(weft_array_push(&array));
        OK(weft_lock_drop("meet/memory"));
    }
}

static void
test_a_lock_gives_consistent_memory(void)
{
    struct weft_array array;

    fan("memory", MANY);
    OK(weft_array_open(&array, "meet/memory", WEFT_INT64, 0, 0));
    SAME(4, array.length);
    for (uint32_t i = 0; i < 4; i++)
        SAME(INT64_C(1000003) * MANY * TURNS / 4, ((int64_t *)array.items)[i]);
}

static void
all(void)
{

    forget_all("meet/");
    test_a_counter_is_exact();
    test_a_barrier_lets_nobody_through_early();
    test_a_semaphore_lets_no_more_in();
    test_a_lock_is_one_calls();
    test_a_lock_gives_consistent_memory();
}

int
main(void)
{
    static const struct part parts[] = {{"count", count},
                                        {"gather", gather},
                                        {"enter", enter},
                                        {"turns", take_turns},
                                        {"memory", add_in_memory}};

    return run_parts(parts, sizeof(parts) / sizeof(parts[0]), all);
}
