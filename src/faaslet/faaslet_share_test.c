/* SPDX-License-Identifier: Apache-2.0 */
#include "faaslet/faaslet_share_testing.h"

#include <pthread.h>

#include "base/fault.h"

#define TICK_NS 2000000u
#define LOOKS   300u

/* ThreadSanitizer keeps signals back until host code runs. */
#ifdef __SANITIZE_THREAD__
#define MUST_PREEMPT false
#else
#define MUST_PREEMPT true
#endif

/* --------------------------------------------------------------------- being shared */

static void
test_two_guests_see_each_others_writes(void **state)
{
    struct faaslet *a = start(), *b = start();
    uint64_t at_a, at_b;

    (void)state;
    make_share(0, false);
    at_a = map(a, 0, true);
    (void)testing_result(b, "grow", (uint64_t[]){1}, 1);
    at_b = map(b, 0, true);
    assert_int_not_equal(at_a, at_b);
    (void)testing_call(a, "store", (uint64_t[]){at_a + 70000, 5}, 2);
    assert_int_equal(testing_result(b, "load", (uint64_t[]){at_b + 70000}, 1), 5);
    assert_int_equal(testing_result(b, "add", (uint64_t[]){at_b + 70000, 6}, 2) & 0xff, 5);
    assert_int_equal(testing_result(a, "load", (uint64_t[]){at_a + 70000}, 1), 11);
    assert_int_equal(testing_result(a, "sum", (uint64_t[]){at_a, 1000}, 2), sum_of(source, 1000));
    assert_int_equal(testing_result(a, "put", (uint64_t[]){at_a, 200, 0}, 3), 0);
    assert_int_equal(testing_result(b, "load", (uint64_t[]){at_b}, 1), 200);
    faaslet_destroy(a);
    faaslet_destroy(b);
}

static void
test_memory_grows_for_a_share(void **state)
{
    struct faaslet *faaslet = start();
    struct faaslet_share share;
    uint64_t first, second;

    (void)state;
    make_share(0, false);
    make_share(1, true);
    first = map(faaslet, 0, true);
    assert_int_equal(first, FIRST_AT);
    assert_int_equal(testing_result(faaslet, "size", NULL, 0), 4); /* 80 KiB are two pages */
    second = map(faaslet, 1, false);
    assert_int_equal(second, first + 2 * ABI_PAGE_BYTES);
    assert_int_equal(testing_result(faaslet, "size", NULL, 0), 6);
    assert_true(faaslet_share_get(faaslet, 0, &share));
    assert_ptr_equal(share.share, shares[0]);
    assert_int_equal(share.offset, first);
    assert_int_equal(share.bytes, SHARE_BYTES);
    assert_true(share.is_writable);
    assert_true(faaslet_share_get(faaslet, 1, &share));
    assert_ptr_equal(share.share, shares[1]);
    assert_int_equal(share.offset, second);
    assert_false(share.is_writable);
    assert_false(faaslet_share_get(faaslet, 2, &share));
    faaslet_destroy(faaslet);
}

static void
test_what_is_given_back_is_used_again(void **state)
{
    struct faaslet *faaslet = start();
    uint64_t first, second;

    (void)state;
    make_share(0, false);
    make_share(1, true);
    first = map(faaslet, 0, true);
    second = map(faaslet, 1, false);
    assert_int_equal(testing_result(faaslet, "unmap", (uint64_t[]){first + PAGE}, 1), EINVAL);
    assert_int_equal(testing_result(faaslet, "unmap", (uint64_t[]){first}, 1), 0);
    assert_int_equal(testing_result(faaslet, "load", (uint64_t[]){first + 9}, 1), 0);
    (void)testing_call(faaslet, "store", (uint64_t[]){first + 9, 5}, 2);
    assert_int_equal(mem_share_bytes(shares[0])[9], source[9]);
    assert_int_equal(map(faaslet, 0, true), first);
    assert_int_equal(testing_result(faaslet, "load", (uint64_t[]){first + 9}, 1), source[9]);
    assert_int_equal(testing_result(faaslet, "unmap", (uint64_t[]){second}, 1), 0);
    assert_int_equal(testing_result(faaslet, "unmap", (uint64_t[]){first}, 1), 0);
    assert_int_equal(faaslet->stand.given_back_count, 1); /* they are one now */
    assert_int_equal(map(faaslet, 0, true), first);
    assert_int_equal(map(faaslet, 0, true), second); /* the same share twice */
    assert_int_equal(testing_result(faaslet, "size", NULL, 0), 6);
    faaslet_destroy(faaslet);
}

static void
test_ranges_that_come_back_in_any_order_are_not_lost(void **state)
{
    struct faaslet *faaslet = start();
    uint64_t at[9];

    (void)state;
    make_share(0, false);
    for (unsigned i = 0; i < 9; i++)
        at[i] = map(faaslet, 0, true);
    assert_int_equal(testing_result(faaslet, "size", NULL, 0), 20);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(testing_result(faaslet, "unmap", (uint64_t[]){at[i * 4 % 9]}, 1), 0);
    assert_int_equal(faaslet->stand.given_back_count, 1);
    for (unsigned i = 0; i < 9; i++)
        assert_int_not_equal(map(faaslet, 0, true), 0);
    assert_int_equal(faaslet->stand.given_back_count, 0);
    faaslet_destroy(faaslet);
}

static void
test_memory_that_may_not_grow_is_noted_as_refused(void **state)
{
    struct faaslet_config small = {.resolve = resolve, .memory_bytes_max = 3 * ABI_PAGE_BYTES};
    struct faaslet *faaslet = testing_create(image, &small);

    (void)state;
    testing_init(faaslet, 0);
    make_share(0, false);
    assert_int_equal(map(faaslet, 0, true), 0);
    assert_int_equal(map_err, -ENOMEM);
    assert_int_equal(faaslet_refused(faaslet), 1u << FAASLET_LIMIT_MEMORY);
    assert_int_equal(testing_result(faaslet, "size", NULL, 0), 2);
    faaslet_destroy(faaslet);
}

static void
test_a_mapping_that_fails_leaves_no_share(void **state)
{
    static const char *const points[] = {"mem.grow", "mem.share.map", "mem.share.attach"};
    struct faaslet *faaslet = start();
    struct faaslet_share share;
    unsigned every = stress_every;

    (void)state;
    faaslet_stress(0); /* a move passes there too */
    make_share(0, true);
    for (unsigned i = 0; i < ARRAY_COUNT(points); i++) {
        fault_arm(points[i], 1, -ENOMEM);
        assert_int_equal(map(faaslet, 0, true), 0);
        assert_true(fault_disarm());
        assert_false(faaslet_share_get(faaslet, 0, &share));
        assert_int_equal(testing_result(faaslet, "size", NULL, 0), i == 0 ? 2 : 4);
    }
    assert_int_equal(map(faaslet, 0, true), FIRST_AT); /* the range of the others */
    faaslet_stress(every);
    assert_int_equal(testing_result(faaslet, "size", NULL, 0), 4);
    faaslet_destroy(faaslet);
}

static void
test_a_write_to_what_is_read_only_traps_and_says_so(void **state)
{
    struct faaslet *faaslet = start();
    uint64_t at;

    (void)state;
    make_share(0, false);
    make_share(1, true);
    at = map(faaslet, 0, false);
    assert_int_equal(testing_result(faaslet, "load", (uint64_t[]){at + 3}, 1), source[3]);
    expect_read_only(faaslet, "store", (uint64_t[]){at + 3, 1}, 2);
    expect_read_only(faaslet, "add", (uint64_t[]){at + 4, 1}, 2);
    expect_read_only(faaslet, "fill", (uint64_t[]){at - 1, 1, 2}, 3);
    expect_read_only(faaslet, "copy", (uint64_t[]){at + SHARE_BYTES - 1, 0, 2}, 3);
    expect_read_only(faaslet, "init", (uint64_t[]){at, 0, 4}, 3);
    assert_int_equal(testing_result(faaslet, "load", (uint64_t[]){at - 1}, 1), 0);
    /* Nothing is written there; what is outside is outside first. */
    (void)testing_call(faaslet, "fill", (uint64_t[]){at, 1, 0}, 3);
    assert_int_equal(testing_call(faaslet, "init", (uint64_t[]){at, 0, 400}, 3).kind, FAASLET_TRAP);
    (void)testing_call(faaslet, "copy", (uint64_t[]){100, at, 50}, 3);
    assert_int_equal(testing_result(faaslet, "sum", (uint64_t[]){100, 50}, 2), sum_of(source, 50));
    assert_int_equal(testing_result(faaslet, "put", (uint64_t[]){at, 1, 0}, 3), 1);
    assert_int_equal(testing_result(faaslet, "sum", (uint64_t[]){at, 50}, 2), sum_of(source, 50));
    assert_memory_equal(mem_share_bytes(shares[0]), source, SHARE_BYTES);
    at = map(faaslet, 1, false); /* absent too: that is not looked at */
    expect_read_only(faaslet, "store", (uint64_t[]){at + 3, 1}, 2);
    expect_read_only(faaslet, "fill", (uint64_t[]){at + 3, 1, 1}, 3);
    faaslet_destroy(faaslet);
}

/* --------------------------------------------------------------------------- absent */

static void
test_code_goes_on_at_the_instruction_that_touched_what_is_absent(void **state)
{
    struct faaslet *faaslet = start(), *other = start();
    struct faaslet_frozen *frozen = NULL;
    uint64_t at, expected, walk[3];
    struct faaslet_outcome outcome;
    unsigned count;

    (void)state;
    make_share(0, false);
    make_share(1, true);
    walk[0] = map(other, 0, false);
    walk[1] = SHARE_BYTES;
    walk[2] = 1001;
    expected = testing_result(other, "walk", walk, 3);
    at = map(faaslet, 1, true);
    walk[0] = at;
    assert_int_equal(result_filling(faaslet, "walk", walk, 3, &count), expected);
    assert_int_equal(count, SHARE_PAGES);
    assert_int_equal(result_filling(faaslet, "walk", walk, 3, &count), expected);
    assert_int_equal(count, 0);
    mem_share_put(shares[1]);
    make_share(1, true);
    at = map(faaslet, 1, true);
    outcome = testing_call(faaslet, "store", (uint64_t[]){at + 5 * PAGE + 7, 9}, 2);
    assert_int_equal(outcome.kind, FAASLET_ABSENT);
    assert_ptr_equal(outcome.absent.share, shares[1]);
    assert_int_equal(outcome.absent.offset, 5 * PAGE);
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), -EBUSY);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome); /* still not there */
    assert_int_equal(outcome.kind, FAASLET_ABSENT);
    assert_int_equal(outcome.absent.offset, 5 * PAGE);
    assert_int_equal(run_filling(faaslet, &count).kind, FAASLET_DONE);
    assert_int_equal(mem_share_bytes(shares[1])[5 * PAGE + 7], 9);
    assert_int_equal(mem_share_bytes(shares[1])[5 * PAGE + 8], source[5 * PAGE + 8]);
    faaslet_destroy(faaslet);
    faaslet_destroy(other);
}

static void
test_vector_loads_over_two_absent_pages(void **state)
{
    struct faaslet *faaslet = start();
    uint64_t at, words[4], expected;
    unsigned count;

    (void)state;
    make_share(0, true);
    at = map(faaslet, 0, true);
    (void)memcpy(words, source + PAGE - 8, 16);
    (void)memcpy(words + 2, source + 5 * PAGE - 5, 16);
    expected = words[0] + words[1] + words[2] + words[3] + 6;
    assert_int_equal(
        result_filling(faaslet, "lanes", (uint64_t[]){at + PAGE - 8, at + 5 * PAGE - 5}, 2, &count),
        expected);
    assert_int_equal(count, 4);
    assert_int_equal(result_filling(faaslet, "add", (uint64_t[]){at + 8 * PAGE, 1}, 2, &count) &
                         0xff,
                     source[8 * PAGE]);
    assert_int_equal(count, 1);
    assert_int_equal(result_filling(faaslet, "notify", (uint64_t[]){at + 9 * PAGE}, 1, &count), 0);
    assert_int_equal(count, 1);
    faaslet_destroy(faaslet);
}

static void
test_memory_instructions_touch_absent_pages(void **state)
{
    struct faaslet *faaslet = start();
    uint64_t at;
    unsigned count;

    (void)state;
    make_share(0, true);
    at = map(faaslet, 0, true);
    assert_int_equal(
        call_filling(faaslet, "copy", (uint64_t[]){10, at + PAGE - 1, PAGE + 2}, 3, &count).kind,
        FAASLET_DONE);
    assert_int_equal(count, 1); /* it says how much it wants */
    assert_int_equal(mem_share_absent(shares[0], 0, 3 * PAGE), UINT64_MAX);
    assert_int_equal(mem_share_absent(shares[0], 0, SHARE_BYTES), 3 * PAGE);
    assert_int_equal(testing_result(faaslet, "sum", (uint64_t[]){10, PAGE + 2}, 2),
                     sum_of(source + PAGE - 1, PAGE + 2));
    /* Both ends in it. */
    (void)call_filling(faaslet, "copy", (uint64_t[]){at + 5 * PAGE + 3, at + 8 * PAGE, 100}, 3,
                       &count);
    assert_int_equal(count, 2);
    assert_memory_equal(mem_share_bytes(shares[0]) + 5 * PAGE + 3, source + 8 * PAGE, 100);
    assert_int_equal(mem_share_bytes(shares[0])[5 * PAGE + 2], source[5 * PAGE + 2]);
    (void)call_filling(faaslet, "fill", (uint64_t[]){at + 10 * PAGE - 1, 9, 2}, 3, &count);
    assert_int_equal(count, 1);
    assert_int_equal(mem_share_bytes(shares[0])[10 * PAGE - 1], 9);
    assert_int_equal(mem_share_bytes(shares[0])[10 * PAGE], 9);
    assert_int_equal(mem_share_bytes(shares[0])[10 * PAGE + 1], source[10 * PAGE + 1]);
    (void)call_filling(faaslet, "init", (uint64_t[]){at + 12 * PAGE, 4, 5}, 3, &count);
    assert_int_equal(count, 1);
    assert_memory_equal(mem_share_bytes(shares[0]) + 12 * PAGE, "bytes", 5);
    /* What is outside is outside first. */
    assert_int_equal(
        call_filling(faaslet, "copy", (uint64_t[]){at, at + 15 * PAGE, 300000}, 3, &count).kind,
        FAASLET_TRAP);
    assert_int_equal(count, 0);
    faaslet_destroy(faaslet);
}

static void
test_a_copy_that_waits_for_a_page_can_be_frozen_and_cloned(void **state)
{
    struct faaslet *faaslet = start(), *copy = NULL;
    struct faaslet_outcome outcome;
    struct faaslet_share share;
    uint64_t at, result = 0;
    unsigned count;

    (void)state;
    make_share(0, true);
    at = map(faaslet, 0, true);
    outcome = testing_call(faaslet, "stand_and_copy", (uint64_t[]){64, at + PAGE, 2 * PAGE}, 3);
    assert_int_equal(outcome.kind, FAASLET_ABSENT);
    assert_int_equal(outcome.absent.bytes, 2 * PAGE);
    assert_int_equal(faaslet_clone(faaslet, &config, &copy, NULL), 0);
    assert_false(faaslet_share_get(copy, 0, &share));
    assert_true(faaslet_share_get(faaslet, 0, &share));
    assert_int_equal(faaslet_share_at(copy, &share), 0);
    assert_int_equal(faaslet_share_at(copy, &share), -EINVAL); /* it is there */
    faaslet_run(copy, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_ABSENT);
    assert_int_equal(run_filling(copy, &count).kind, FAASLET_DONE);
    assert_int_equal(count, 1);
    assert_int_equal(faaslet_results(copy, 0, &result, 1), 0);
    assert_int_equal(result, sum_of(source + PAGE, 2 * PAGE));
    assert_int_equal(run_filling(faaslet, &count).kind, FAASLET_DONE);
    assert_int_equal(count, 0);
    assert_int_equal(faaslet_results(faaslet, 0, &result, 1), 0);
    assert_int_equal(result, sum_of(source + PAGE, 2 * PAGE));
    faaslet_destroy(copy);
    faaslet_destroy(faaslet);
}

static void
test_a_host_function_that_comes_upon_absent_pages_is_called_again(void **state)
{
    struct faaslet *faaslet = start();
    uint64_t at;
    unsigned count;

    (void)state;
    make_share(0, true);
    at = map(faaslet, 0, true);
    assert_int_equal(result_filling(faaslet, "sum", (uint64_t[]){at + 100, 3 * PAGE}, 2, &count),
                     sum_of(source + 100, 3 * PAGE));
    assert_int_equal(count, 1);
    assert_int_equal(sum_calls, 2);
    assert_int_equal(sum_scratch, 0);
    for (unsigned way = 0; way < 2; way++) {
        uint64_t to = at + (8 + way) * PAGE;

        assert_int_equal(result_filling(faaslet, "put", (uint64_t[]){to, 9, way}, 3, &count), 0);
        assert_int_equal(count, 1);
        assert_int_equal(mem_share_bytes(shares[0])[(8 + way) * PAGE], 9);
    }
    assert_int_equal(testing_call(faaslet, "sum", (uint64_t[]){at + 15 * PAGE, 1}, 2).kind,
                     FAASLET_ABSENT);
    faaslet_kill(faaslet); /* while it waits */
    assert_int_equal(run_filling(faaslet, &count).kind, FAASLET_KILLED);
    faaslet_destroy(faaslet);
}

static void
test_it_can_be_killed_while_its_code_waits_for_a_page(void **state)
{
    struct faaslet *faaslet = start();
    unsigned count;
    uint64_t at;

    (void)state;
    make_share(0, true);
    at = map(faaslet, 0, true);
    assert_int_equal(testing_call(faaslet, "load", (uint64_t[]){at}, 1).kind, FAASLET_ABSENT);
    faaslet_kill(faaslet);
    assert_int_equal(run_filling(faaslet, &count).kind, FAASLET_KILLED);
    assert_int_equal(count, 0);
    faaslet_destroy(faaslet);
}

static void
test_without_memory_for_its_registers_it_traps(void **state)
{
    struct faaslet *faaslet = start();
    struct faaslet_outcome outcome;
    uint64_t at;

    (void)state;
    make_share(0, true);
    at = map(faaslet, 0, true);
    /* Takes what this thread has. */
    assert_int_equal(testing_call(faaslet, "load", (uint64_t[]){at}, 1).kind, FAASLET_ABSENT);
    fault_arm("faaslet.preempt", 1, -ENOMEM);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    assert_true(fault_disarm());
    assert_int_equal(outcome.kind, FAASLET_TRAP);
    assert_int_equal(outcome.trap, ABI_TRAP_HOST);
    assert_non_null(strstr(outcome.message, "no memory"));
    assert_int_equal(testing_result(faaslet, "size", NULL, 0), 4); /* it can be called on */
    faaslet_destroy(faaslet);
}

/* Where the guest stack ends within the few words of leaving from a helper. */
static void
test_a_helper_that_leaves_at_the_end_of_the_stack_traps(void **state)
{
    struct faaslet_config small = {.resolve = resolve, .stack_bytes = 65536};
    struct faaslet *faaslet = testing_create(image, &small);
    struct faaslet_frozen *frozen = NULL;
    struct faaslet_outcome outcome;
    uint32_t fits = 1, exhausts = 65536;
    uint64_t at;

    (void)state;
    testing_init(faaslet, 0);
    make_share(0, true);
    at = map(faaslet, 0, true);
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), 0);
    while (exhausts - fits > 1) {
        uint32_t depth = fits + (exhausts - fits) / 2;
        struct faaslet_share share = {
            .share = shares[0], .offset = at, .bytes = SHARE_BYTES, .is_writable = true};

        assert_int_equal(faaslet_reset(faaslet, frozen, NULL, NULL), 0);
        assert_int_equal(faaslet_share_at(faaslet, &share), 0);
        outcome = testing_call(faaslet, "deep", (uint64_t[]){depth, at}, 2);
        if (outcome.kind == FAASLET_ABSENT) {
            fits = depth;
            continue;
        }
        assert_int_equal(outcome.kind, FAASLET_TRAP);
        assert_int_equal(outcome.trap, ABI_TRAP_STACK_EXHAUSTED);
        exhausts = depth;
    }
    assert_true(fits > 100);
    faaslet_destroy(faaslet);
    faaslet_frozen_destroy(frozen);
}

/* ----------------------------------------------------------------------- preemption */

struct run {
    struct faaslet *faaslet;
    struct faaslet_outcome outcome;
};

static void *
run_once(void *object)
{
    struct run *run = object;

    assert_int_equal(faaslet_thread_init(), 0);
    assert_int_equal(faaslet_thread_tick(TICK_NS), 0);
    faaslet_run(run->faaslet, CLOCK_NEVER_NS, &run->outcome);
    assert_int_equal(faaslet_thread_tick(0), 0);
    return NULL;
}

static void
test_preempted_and_absent_in_turns_on_any_thread(void **state)
{
    struct faaslet *faaslet = start(), *other = start();
    struct run run = {.faaslet = faaslet};
    unsigned absent = 0, preempted = 0;
    uint64_t args[4] = {0, SHARE_BYTES, 1, LOOKS}, expected, result = 0;

    (void)state;
    make_share(0, false);
    make_share(1, true);
    args[0] = map(other, 0, false);
    expected = testing_result(other, "walks", args, 4);
    args[0] = map(faaslet, 1, true);
    assert_int_equal(faaslet_invoke(faaslet, 0, "walks", args, 4), 0);
    for (;;) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, run_once, &run), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        if (run.outcome.kind == FAASLET_ABSENT) {
            absent++;
            assert_int_equal(mem_share_fill(shares[1], run.outcome.absent.offset,
                                            source + run.outcome.absent.offset, PAGE),
                             0);
        } else if (run.outcome.kind == FAASLET_PREEMPTED) {
            preempted++;
        } else {
            break;
        }
    }
    assert_int_equal(run.outcome.kind, FAASLET_DONE);
    assert_int_equal(absent, SHARE_PAGES);
    assert_true(preempted > 0 || !MUST_PREEMPT);
    assert_int_equal(faaslet_results(faaslet, 0, &result, 1), 0);
    assert_int_equal(result, expected);
    faaslet_destroy(faaslet);
    faaslet_destroy(other);
}

/* Guests of several threads meet at the same pages of one share. */
struct reader {
    struct faaslet *faaslet;
    uint64_t args[3], result;
    unsigned absent;
};

static void *
read_all(void *object)
{
    struct reader *reader = object;
    struct faaslet_outcome outcome;

    assert_int_equal(faaslet_thread_init(), 0);
    assert_int_equal(faaslet_invoke(reader->faaslet, 0, "walk", reader->args, 3), 0);
    for (;;) {
        faaslet_run(reader->faaslet, CLOCK_NEVER_NS, &outcome);
        if (outcome.kind != FAASLET_ABSENT)
            break;
        reader->absent++;
        assert_int_equal(mem_share_fill(outcome.absent.share, outcome.absent.offset,
                                        source + outcome.absent.offset, outcome.absent.bytes),
                         0);
    }
    assert_int_equal(outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(reader->faaslet, 0, &reader->result, 1), 0);
    return NULL;
}

static void
test_guests_of_several_threads_fill_one_share(void **state)
{
    struct reader readers[4] = {0};
    struct faaslet *other = start();
    pthread_t threads[4];
    uint64_t expected;

    (void)state;
    make_share(0, false);
    expected = testing_result(other, "walk", (uint64_t[]){map(other, 0, false), SHARE_BYTES, 7}, 3);
    for (unsigned round = 0; round < 10; round++) {
        make_share(1, true);
        for (unsigned i = 0; i < 4; i++) {
            readers[i] = (struct reader){.faaslet = start()};
            readers[i].args[0] = map(readers[i].faaslet, 1, i % 2 == 0);
            readers[i].args[1] = SHARE_BYTES;
            readers[i].args[2] = 7;
        }
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(readers[i].result, expected);
            assert_true(readers[i].absent <= SHARE_PAGES);
            faaslet_destroy(readers[i].faaslet);
        }
        mem_share_put(shares[1]);
        shares[1] = NULL;
    }
    faaslet_destroy(other);
}

/* ---------------------------------------------------------------------------- table */

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        SHARE_TEST(test_two_guests_see_each_others_writes),
        SHARE_TEST(test_memory_grows_for_a_share),
        SHARE_TEST(test_what_is_given_back_is_used_again),
        SHARE_TEST(test_ranges_that_come_back_in_any_order_are_not_lost),
        SHARE_TEST(test_memory_that_may_not_grow_is_noted_as_refused),
        SHARE_TEST(test_a_mapping_that_fails_leaves_no_share),
        SHARE_TEST(test_a_write_to_what_is_read_only_traps_and_says_so),
        SHARE_TEST(test_code_goes_on_at_the_instruction_that_touched_what_is_absent),
        SHARE_TEST(test_vector_loads_over_two_absent_pages),
        SHARE_TEST(test_memory_instructions_touch_absent_pages),
        SHARE_TEST(test_a_copy_that_waits_for_a_page_can_be_frozen_and_cloned),
        SHARE_TEST(test_a_host_function_that_comes_upon_absent_pages_is_called_again),
        SHARE_TEST(test_it_can_be_killed_while_its_code_waits_for_a_page),
        SHARE_TEST(test_without_memory_for_its_registers_it_traps),
        SHARE_TEST(test_a_helper_that_leaves_at_the_end_of_the_stack_traps),
        SHARE_TEST(test_preempted_and_absent_in_turns_on_any_thread),
        SHARE_TEST(test_guests_of_several_threads_fill_one_share),
    };

    return run_in_both_ways(tests, ARRAY_COUNT(tests));
}
