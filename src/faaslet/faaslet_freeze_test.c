/* SPDX-License-Identifier: Apache-2.0 */
#include "../../tests/testing.h"

#include <pthread.h>

#include "base/fault.h"

#define CLONES 20u

/* A tree recursion with floating-point state on the stack and in memory; "ask"
 * is called in its middle, and says PENDING when `asked` runs out. */
static const char text[] =
    "(module\n"
    "  (import \"test\" \"ask\" (func $ask (param i64 f64) (result i64)))\n"
    "  (import \"test\" \"count\" (func $count (result i64)))\n"
    "  (memory (export \"memory\") 4 64)\n"
    "  (global $depth (export \"depth\") (mut i64) (i64.const 0))\n"
    "  (table 4 funcref)\n"
    "  (elem (i32.const 1) func $work)\n"
    "  (type $w (func (param f64 i32) (result f64)))\n"
    "  (func $work (type $w)\n"
    "    (f64.store (local.get 1) (f64.add (f64.load (local.get 1)) (local.get 0)))\n"
    "    (f64.mul (f64.load (local.get 1)) (f64.const 1.0001)))\n"
    "  (func $tree (param $n i64) (param $x f64) (param $at i32) (result f64)\n"
    "    (local $p f64) (local $q f64)\n"
    "    (local.set $p (call_indirect (type $w) (local.get $x) (local.get $at) (i32.const 1)))\n"
    "    (if (i64.eqz (local.get $n)) (then\n"
    "      (return (f64.add (local.get $p)\n"
    "        (f64.convert_i64_s (call $ask (local.get $n) (local.get $p)))))))\n"
    "    (global.set $depth (i64.add (global.get $depth) (i64.const 1)))\n"
    "    (local.set $q (call $tree (i64.sub (local.get $n) (i64.const 1))\n"
    "      (f64.add (local.get $x) (f64.const 0.25)) (i32.add (local.get $at) (i32.const 8))))\n"
    "    (local.set $q (f64.add (local.get $q) (call $tree (i64.sub (local.get $n) (i64.const 1))\n"
    "      (f64.sub (local.get $x) (f64.const 0.5)) (i32.add (local.get $at) (i32.const 4096)))))\n"
    "    (f64.add (f64.mul (local.get $p) (f64.const 0.1)) (local.get $q)))\n"
    "  (func (export \"tree\") (param i64) (result f64)\n"
    "    (drop (memory.grow (i32.const 2)))\n"
    "    (call $tree (local.get 0) (f64.const 1) (i32.const 64)))\n"
    "  (func (export \"count\") (result i64) (call $count))\n"
    ")\n";

struct record {
    uint64_t asks_left;
    uint64_t count;
    uint64_t leaks_left; /* calls of count that leave an address */
};

static enum faaslet_verdict
host_ask(struct faaslet_call *call)
{
    struct record *record = call->process;

    if (record->asks_left == 0) {
        record->asks_left = UINT64_MAX;
        return FAASLET_CALL_PENDING;
    }
    record->asks_left--;
    call->args[0] = call->args[0] + 3;
    return FAASLET_CALL_DONE;
}

static enum faaslet_verdict
host_count(struct faaslet_call *call)
{
    struct record *record = call->process;

    call->args[0] = ++record->count;
    if (record->leaks_left > 0) {
        record->leaks_left--;
        record->count = (uint64_t)call->memory;
    }
    return FAASLET_CALL_DONE;
}

static const struct faaslet_host_function functions[] = {
    {"ask", "IF:I", host_ask},
    {"count", ":I", host_count},
};

static const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    (void)module;
    (void)module_bytes;
    return faaslet_host_find(functions, ARRAY_COUNT(functions), name, name_bytes);
}

static int
record_freeze(void *process, struct buffer *out)
{
    buffer_append(out, process, sizeof(struct record));
    return out->err;
}

static unsigned thaws;

static int
record_thaw(const uint8_t *bytes, size_t count, void **out)
{
    thaws++;
    assert_int_equal(count, sizeof(struct record));
    *out = malloc(count);
    if (*out == NULL)
        return -ENOMEM;
    (void)memcpy(*out, bytes, count);
    return 0;
}

static const struct faaslet_process_ops ops = {
    .freeze = record_freeze, .thaw = record_thaw, .destroy = free};

static struct faaslet_image *image;
static struct record main_record;
static const struct faaslet_config config = {
    .resolve = resolve, .process = &main_record, .ops = &ops, .stack_bytes = 256 << 10};

TESTING_IMAGE_GROUP(text)

static struct faaslet *
start(void)
{
    struct faaslet *faaslet = testing_create(image, &config);

    main_record = (struct record){.asks_left = UINT64_MAX};
    testing_init(faaslet, 0);
    return faaslet;
}

/* In stress mode it has been thawed already. */
static struct record *
record_of(const struct faaslet *faaslet)
{
    return faaslet_process(faaslet);
}

/* A Faaslet that stands in the middle of the recursion. */
static struct faaslet *
stand_in_the_middle(void)
{
    struct faaslet *faaslet = start();

    record_of(faaslet)->asks_left = 37;
    assert_int_equal(testing_call(faaslet, "tree", (uint64_t[]){6}, 1).kind, FAASLET_PENDING);
    return faaslet;
}

static uint64_t
finish(struct faaslet *faaslet)
{
    struct faaslet_outcome outcome;
    uint64_t result = 0;

    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    if (outcome.kind != FAASLET_DONE || faaslet_results(faaslet, 0, &result, 1) != 0)
        return 0;
    return result;
}

static uint64_t
undisturbed(void)
{
    struct faaslet *faaslet = start();
    uint64_t result = testing_result(faaslet, "tree", (uint64_t[]){6}, 1);

    faaslet_destroy(faaslet);
    return result;
}

static void
test_frozen_destroyed_and_thawed_it_goes_on(void **state)
{
    uint64_t expected = undisturbed();
    struct faaslet *faaslet = stand_in_the_middle(), *thawed = NULL;
    struct faaslet_frozen *frozen = NULL;
    uint64_t depth[2];
    uint8_t type;

    (void)state;
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), 0);
    faaslet_destroy(faaslet);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(faaslet_thaw(frozen, &config, &thawed, NULL), 0);
        assert_int_equal(finish(thawed), expected);
        assert_int_equal(faaslet_global(thawed, 0, "depth", depth, &type), 0);
        assert_int_equal(depth[0], 63);
        faaslet_destroy(thawed);
    }
    faaslet_frozen_destroy(frozen);
    faaslet_frozen_destroy(NULL);
}

static void
test_freezing_changes_nothing(void **state)
{
    uint64_t expected = undisturbed();
    struct faaslet *faaslet = stand_in_the_middle();
    struct faaslet_frozen *frozen = NULL;

    (void)state;
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), 0);
    assert_int_equal(finish(faaslet), expected);
    faaslet_frozen_destroy(frozen);
    faaslet_destroy(faaslet);
}

static void *
finish_on_thread(void *argument)
{
    if (faaslet_thread_init() != 0)
        return NULL;
    return (void *)finish(argument);
}

static void
test_clones_in_mid_recursion_all_come_to_the_same(void **state)
{
    uint64_t expected = undisturbed();
    struct faaslet *faaslet = stand_in_the_middle();
    struct faaslet *clones[CLONES];
    pthread_t threads[CLONES];

    (void)state;
    for (unsigned i = 0; i < CLONES; i++)
        assert_int_equal(faaslet_clone(i == 0 ? faaslet : clones[i - 1], &config, &clones[i], NULL),
                         0);
    for (unsigned i = 0; i < CLONES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, finish_on_thread, clones[i]), 0);
    assert_int_equal(finish(faaslet), expected);
    for (unsigned i = 0; i < CLONES; i++) {
        void *result;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_int_equal((uintptr_t)result, expected);
        faaslet_destroy(clones[i]);
    }
    faaslet_destroy(faaslet);
}

static void
test_a_copy_has_a_record_of_its_own(void **state)
{
    struct faaslet *faaslet = start(), *copy = NULL;

    (void)state;
    assert_int_equal(testing_result(faaslet, "count", NULL, 0), 1);
    assert_int_equal(faaslet_clone(faaslet, &config, &copy, NULL), 0);
    assert_ptr_not_equal(faaslet_process(copy), &main_record);
    assert_int_equal(testing_result(copy, "count", NULL, 0), 2);
    assert_int_equal(testing_result(copy, "count", NULL, 0), 3);
    assert_int_equal(testing_result(faaslet, "count", NULL, 0), 2);
    faaslet_destroy(faaslet);
    faaslet_destroy(copy);
}

static void
test_moving_at_every_call_changes_nothing(void **state)
{
    uint64_t expected = undisturbed();
    struct faaslet *faaslet = start();
    uint64_t before = faaslet_stress_moves();

    (void)state;
    faaslet_stress(1);
    assert_int_equal(testing_result(faaslet, "tree", (uint64_t[]){6}, 1), expected);
    faaslet_stress(0);
    assert_int_equal(faaslet_stress_moves() - before, 1 + 64);
    faaslet_destroy(faaslet);
}

/* The checker must see what it is there for: 0 stands for an address in the slot. */
static void
run_with_address(uint64_t word)
{
    struct faaslet *faaslet = start();

    record_of(faaslet)->count = word;
    if (word == 0)
        record_of(faaslet)->leaks_left = 1;
    faaslet_stress(1);
    (void)testing_call(faaslet, "count", NULL, 0);
    (void)testing_call(faaslet, "count", NULL, 0);
    faaslet_stress(0);
    faaslet_destroy(faaslet);
}

static void
expect_abort(uint64_t word)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr);
        run_with_address(word);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void
test_a_frozen_address_is_a_broken_promise(void **state)
{
    static uint64_t target;

    (void)state;
    expect_abort((uint64_t)&target);
    expect_abort(0);
    run_with_address(12345);
}

static int
freeze_and_thaw(struct faaslet *faaslet, uint64_t expected)
{
    struct faaslet *copy = NULL;
    int err = faaslet_clone(faaslet, &config, &copy, NULL);

    if (err != 0) {
        assert_null(copy);
        return err;
    }
    assert_int_equal(finish(copy), expected);
    faaslet_destroy(copy);
    return 0;
}

static void
test_failed_copies_leave_the_original_whole(void **state)
{
    static const char *const points[] = {"faaslet.state", "mem.freeze", "mem.reserve",
                                         "mem.stack",     "mem.grow",   "mem.restore"};
    uint64_t expected = undisturbed();
    struct faaslet *faaslet = stand_in_the_middle();

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        unsigned failures = 0;

        for (;; failures++) {
            fault_arm(points[i], failures + 1, -ENOMEM);
            if (freeze_and_thaw(faaslet, expected) == 0)
                break;
            assert_true(fault_disarm());
        }
        (void)fault_disarm();
        assert_true(failures > 0);
    }
    assert_int_equal(finish(faaslet), expected);
    faaslet_destroy(faaslet);
}

static void
test_failed_creations_leave_nothing(void **state)
{
    static const char *const points[] = {"faaslet.create", "mem.reserve", "mem.stack", "mem.grow"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        struct faaslet *faaslet = NULL;

        fault_arm(points[i], 1, -ENOMEM);
        assert_int_equal(faaslet_create(image, &config, &faaslet, NULL), -ENOMEM);
        assert_null(faaslet);
        assert_true(fault_disarm());
    }
}

static void
test_a_record_that_is_given_is_used_and_none_is_made(void **state)
{
    uint64_t expected = undisturbed();
    struct faaslet *faaslet = stand_in_the_middle(), *thawed = NULL;
    struct record given = {.asks_left = UINT64_MAX};
    struct faaslet_config with = config;
    struct faaslet_frozen *frozen = NULL;

    (void)state;
    with.process = &given;
    with.process_is_given = true;
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), 0);
    faaslet_destroy(faaslet);
    thaws = 0;
    assert_int_equal(faaslet_thaw(frozen, &with, &thawed, NULL), 0);
    assert_int_equal(thaws, 0);
    assert_ptr_equal(faaslet_process(thawed), &given);
    assert_int_equal(finish(thawed), expected);
    faaslet_destroy(thawed); /* and does not free what was borrowed */
    faaslet_frozen_destroy(frozen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frozen_destroyed_and_thawed_it_goes_on),
        cmocka_unit_test(test_freezing_changes_nothing),
        cmocka_unit_test(test_clones_in_mid_recursion_all_come_to_the_same),
        cmocka_unit_test(test_a_copy_has_a_record_of_its_own),
        cmocka_unit_test(test_a_record_that_is_given_is_used_and_none_is_made),
        cmocka_unit_test(test_moving_at_every_call_changes_nothing),
        cmocka_unit_test(test_a_frozen_address_is_a_broken_promise),
        cmocka_unit_test(test_failed_copies_leave_the_original_whole),
        cmocka_unit_test(test_failed_creations_leave_nothing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
