/* SPDX-License-Identifier: Apache-2.0 */
#include "../../tests/testing.h"

#include <pthread.h>
#include <stdatomic.h>

/* ----------------------------------------------------------------- host functions */

static unsigned pending_left;
static unsigned pending_calls;
static uint64_t pending_seen[16][2];

static enum faaslet_verdict
host_add(struct faaslet_call *call)
{
    call->args[0] = (uint32_t)(call->args[0] + call->args[1]);
    return FAASLET_CALL_DONE;
}

static enum faaslet_verdict
host_wait(struct faaslet_call *call)
{
    pending_seen[pending_calls][0] = call->args[0];
    pending_seen[pending_calls][1] = call->scratch[0];
    pending_calls++;
    call->scratch[0]++;
    call->wait->deadline_ns = 77;
    if (pending_left > 0) {
        pending_left--;
        return FAASLET_CALL_PENDING;
    }
    call->args[0] = 1000 + call->args[0];
    return FAASLET_CALL_DONE;
}

static enum faaslet_verdict
host_refuse(struct faaslet_call *call)
{
    call->message = "no such thing";
    return FAASLET_CALL_TRAP;
}

static const struct faaslet_host_function functions[] = {
    {"add", "ii:i", host_add},
    {"wait", "i:i", host_wait},
    {"refuse", ":", host_refuse},
    {"exit", "i:", testing_exit},
};

static const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    if (module_bytes != 4 || memcmp(module, "test", 4) != 0)
        return NULL;
    return faaslet_host_find(functions, ARRAY_COUNT(functions), name, name_bytes);
}

static const struct faaslet_config config = {.resolve = resolve};

static const char main_text[] =
    "(module\n"
    "  (import \"test\" \"add\" (func $add (param i32 i32) (result i32)))\n"
    "  (import \"test\" \"wait\" (func $wait (param i32) (result i32)))\n"
    "  (import \"test\" \"refuse\" (func $refuse))\n"
    "  (import \"test\" \"exit\" (func $exit (param i32)))\n"
    "  (memory (export \"memory\") 2 5)\n"
    "  (data (i32.const 65530) \"\\01\\02\\03\\04\")\n"
    "  (global $g (export \"g\") (mut i64) (i64.const 5))\n"
    "  (table 3 funcref)\n"
    "  (type $ii (func (param i32) (result i32)))\n"
    "  (elem (i32.const 0) func $twice $nothing)\n"
    "  (func $twice (type $ii) (i32.mul (local.get 0) (i32.const 2)))\n"
    "  (func $nothing)\n"
    "  (func (export \"sum\") (param i32 i32) (result i32)\n"
    "    (call $add (call $add (local.get 0) (local.get 1)) (i32.const 1)))\n"
    "  (func (export \"wait\") (param i32) (result i32)\n"
    "    (i32.add (call $wait (local.get 0)) (local.get 0)))\n"
    "  (func $refused (export \"refuse\") (call $refuse) (call $refuse))\n"
    "  (func (export \"exit\") (param i32) (call $exit (local.get 0)))\n"
    "  (func (export \"load\") (param i32) (result i32) (i32.load (local.get 0)))\n"
    "  (func (export \"load_far\") (param i32) (result i64)\n"
    "    (i64.load offset=4294967295 (local.get 0)))\n"
    "  (func (export \"store\") (param i32 i32) (i32.store (local.get 0) (local.get 1)))\n"
    "  (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0)))\n"
    "  (func (export \"size\") (result i32) (memory.size))\n"
    "  (func (export \"fill\") (param i32 i32 i32)\n"
    "    (memory.fill (local.get 0) (local.get 1) (local.get 2)))\n"
    "  (func (export \"unreachable\") (unreachable))\n"
    "  (func (export \"div\") (param i32 i32) (result i32)\n"
    "    (i32.div_s (local.get 0) (local.get 1)))\n"
    "  (func (export \"trunc\") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))\n"
    "  (func (export \"indirect\") (param i32 i32) (result i32)\n"
    "    (call_indirect (type $ii) (local.get 1) (local.get 0)))\n"
    "  (func (export \"table_get\") (param i32) (result i32)\n"
    "    (ref.is_null (table.get 0 (local.get 0))))\n"
    "  (func $deep (export \"deep\") (param i32) (result i32)\n"
    "    (if (result i32) (i32.eqz (local.get 0))\n"
    "      (then (call $add (i32.const 1) (i32.const 2)))\n"
    "      (else (call $add (i32.const 1)\n"
    "        (call $deep (i32.sub (local.get 0) (i32.const 1)))))))\n"
    "  (func (export \"spin\") (loop (br 0)))\n"
    "  (func (export \"spin_calls\") (loop (drop (call $add (i32.const 1) (i32.const 2))) (br "
    "0)))\n"
    "  (func (export \"two\") (result i32 i64) (i32.const 7) (i64.const 8))\n"
    "  (func (export \"set\") (param i64) (global.set $g (local.get 0)))\n"
    ")\n";

static struct faaslet_image *image;

TESTING_IMAGE_GROUP(main_text)

static struct faaslet *
start(const struct faaslet_config *with)
{
    struct faaslet *faaslet = testing_create(image, with);

    testing_init(faaslet, 0);
    return faaslet;
}

static void
expect_trap(struct faaslet *faaslet, const char *name, const uint64_t *args, size_t count,
            enum abi_trap trap)
{
    struct faaslet_outcome outcome = testing_call(faaslet, name, args, count);

    assert_int_equal(outcome.kind, FAASLET_TRAP);
    assert_string_equal(abi_trap_text(outcome.trap), abi_trap_text(trap));
}

/* --------------------------------------------------------------------------- tests */

static void
test_a_host_call_goes_there_and_back(void **state)
{
    struct faaslet *faaslet = start(&config);

    (void)state;
    assert_int_equal(testing_result(faaslet, "sum", (uint64_t[]){40, 1}, 2), 42);
    assert_int_equal(testing_result(faaslet, "deep", (uint64_t[]){1000}, 1), 1003);
    faaslet_destroy(faaslet);
}

static void
test_a_pending_call_is_made_again_with_the_same_arguments(void **state)
{
    struct faaslet *faaslet = start(&config);
    struct faaslet_outcome outcome;
    uint64_t result;

    (void)state;
    pending_left = 3;
    pending_calls = 0;
    outcome = testing_call(faaslet, "wait", (uint64_t[]){9}, 1);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(outcome.kind, FAASLET_PENDING);
        assert_int_equal(outcome.wait.deadline_ns, 77);
        assert_int_equal(pending_calls, i);
        assert_int_equal(faaslet_invoke(faaslet, 0, "size", NULL, 0), -EBUSY);
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    }
    assert_int_equal(outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(faaslet, 0, &result, 1), 0);
    assert_int_equal(result, 1018);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pending_seen[i][0], 9);
        assert_int_equal(pending_seen[i][1], i); /* scratch is kept */
    }
    faaslet_destroy(faaslet);
}

static void
test_scratch_is_zero_at_every_first_call(void **state)
{
    struct faaslet *faaslet = start(&config);

    (void)state;
    pending_left = 0;
    pending_calls = 0;
    (void)testing_result(faaslet, "wait", (uint64_t[]){1}, 1);
    pending_left = 0;
    (void)testing_result(faaslet, "wait", (uint64_t[]){1}, 1);
    assert_int_equal(pending_seen[0][1], 0);
    assert_int_equal(pending_seen[1][1], 0);
    faaslet_destroy(faaslet);
}

static void
test_every_trap_is_told_apart(void **state)
{
    struct faaslet *faaslet = start(&config);
    double huge = 1e30, nan = __builtin_nan("");
    uint64_t bits;

    (void)state;
    expect_trap(faaslet, "unreachable", NULL, 0, ABI_TRAP_UNREACHABLE);
    expect_trap(faaslet, "div", (uint64_t[]){1, 0}, 2, ABI_TRAP_INTEGER_DIVIDE_BY_ZERO);
    expect_trap(faaslet, "div", (uint64_t[]){0x80000000u, 0xffffffffu}, 2,
                ABI_TRAP_INTEGER_OVERFLOW);
    (void)memcpy(&bits, &huge, sizeof(bits));
    expect_trap(faaslet, "trunc", &bits, 1, ABI_TRAP_INTEGER_OVERFLOW);
    (void)memcpy(&bits, &nan, sizeof(bits));
    expect_trap(faaslet, "trunc", &bits, 1, ABI_TRAP_INVALID_CONVERSION);
    expect_trap(faaslet, "indirect", (uint64_t[]){3, 0}, 2, ABI_TRAP_UNDEFINED_ELEMENT);
    expect_trap(faaslet, "indirect", (uint64_t[]){2, 0}, 2, ABI_TRAP_UNINITIALIZED_ELEMENT);
    expect_trap(faaslet, "indirect", (uint64_t[]){1, 0}, 2, ABI_TRAP_INDIRECT_CALL_TYPE);
    expect_trap(faaslet, "table_get", (uint64_t[]){3}, 1, ABI_TRAP_TABLE_BOUNDS);
    expect_trap(faaslet, "fill", (uint64_t[]){131070, 1, 3}, 3, ABI_TRAP_MEMORY_BOUNDS);
    assert_int_equal(testing_result(faaslet, "indirect", (uint64_t[]){0, 21}, 2), 42);
    faaslet_destroy(faaslet);
}

static void
test_accesses_outside_memory_hit_the_guard(void **state)
{
    struct faaslet *faaslet = start(&config);

    (void)state;
    assert_int_equal(testing_result(faaslet, "load", (uint64_t[]){65530}, 1), 0x04030201);
    assert_int_equal(testing_result(faaslet, "load", (uint64_t[]){131068}, 1), 0);
    expect_trap(faaslet, "load", (uint64_t[]){131069}, 1, ABI_TRAP_MEMORY_BOUNDS);
    expect_trap(faaslet, "load", (uint64_t[]){131072}, 1, ABI_TRAP_MEMORY_BOUNDS);
    expect_trap(faaslet, "load", (uint64_t[]){0xffffffff}, 1, ABI_TRAP_MEMORY_BOUNDS);
    expect_trap(faaslet, "load_far", (uint64_t[]){0}, 1, ABI_TRAP_MEMORY_BOUNDS);
    expect_trap(faaslet, "load_far", (uint64_t[]){0xffffffff}, 1, ABI_TRAP_MEMORY_BOUNDS);
    expect_trap(faaslet, "store", (uint64_t[]){131069, 0xffffffff}, 2, ABI_TRAP_MEMORY_BOUNDS);
    assert_int_equal(testing_result(faaslet, "load", (uint64_t[]){131068}, 1), 0);
    faaslet_destroy(faaslet);
}

static void
test_endless_recursion_exhausts_the_stack_and_no_more(void **state)
{
    struct faaslet_config small = {.resolve = resolve, .stack_bytes = 65536};
    struct faaslet *faaslet = start(&small);

    (void)state;
    expect_trap(faaslet, "deep", (uint64_t[]){0x7fffffff}, 1, ABI_TRAP_STACK_EXHAUSTED);
    assert_int_equal(testing_result(faaslet, "deep", (uint64_t[]){100}, 1), 103);
    faaslet_destroy(faaslet);
}

static void
test_memory_grows_up_to_its_maximum(void **state)
{
    struct faaslet *faaslet = start(&config);

    (void)state;
    assert_int_equal(testing_result(faaslet, "grow", (uint64_t[]){2}, 1), 2);
    assert_int_equal(testing_result(faaslet, "size", NULL, 0), 4);
    assert_int_equal(testing_result(faaslet, "load", (uint64_t[]){4 * 65536 - 4}, 1), 0);
    assert_int_equal(testing_result(faaslet, "grow", (uint64_t[]){2}, 1), 0xffffffff);
    assert_int_equal(testing_result(faaslet, "grow", (uint64_t[]){1}, 1), 4);
    assert_int_equal(testing_result(faaslet, "size", NULL, 0), 5);
    faaslet_destroy(faaslet);
}

static void
test_the_memory_limit_holds(void **state)
{
    struct faaslet_config limited = {.resolve = resolve, .memory_bytes_max = 3 * 65536};
    struct faaslet_config tight = {.resolve = resolve, .memory_bytes_max = 65536};
    struct faaslet *faaslet = start(&limited), *none = NULL;
    struct diag diag;

    (void)state;
    assert_int_equal(testing_result(faaslet, "grow", (uint64_t[]){1u << 16}, 1), 0xffffffff);
    assert_int_equal(faaslet_refused(faaslet), 0); /* nobody may have so much */
    assert_int_equal(testing_result(faaslet, "grow", (uint64_t[]){2}, 1), 0xffffffff);
    assert_int_equal(testing_result(faaslet, "grow", (uint64_t[]){1}, 1), 2);
    assert_int_equal(faaslet_refused(faaslet), 1u << FAASLET_LIMIT_MEMORY);
    faaslet_destroy(faaslet);
    diag_init(&diag);
    assert_int_equal(faaslet_create(image, &tight, &none, &diag), -ENOMEM);
    assert_non_null(strstr(diag_text(&diag), "the limit is 65536"));
}

static void
test_exit_ends_it_with_its_code(void **state)
{
    struct faaslet *faaslet = start(&config);
    struct faaslet_outcome outcome = testing_call(faaslet, "exit", (uint64_t[]){17}, 1);

    (void)state;
    assert_int_equal(outcome.kind, FAASLET_EXIT);
    assert_int_equal(outcome.exit_code, 17);
    assert_int_equal(faaslet_invoke(faaslet, 0, "size", NULL, 0), -EBUSY);
    faaslet_destroy(faaslet);
}

static void
test_a_host_function_may_refuse(void **state)
{
    struct faaslet *faaslet = start(&config);
    struct faaslet_outcome outcome = testing_call(faaslet, "refuse", NULL, 0);

    (void)state;
    assert_int_equal(outcome.kind, FAASLET_TRAP);
    assert_int_equal(outcome.trap, ABI_TRAP_HOST);
    assert_string_equal(outcome.message, "no such thing");
    assert_int_equal(testing_result(faaslet, "sum", (uint64_t[]){1, 2}, 2), 4);
    faaslet_destroy(faaslet);
}

static void
test_results_and_globals_can_be_read(void **state)
{
    struct faaslet *faaslet = start(&config);
    uint64_t slots[2];
    uint32_t kind, type;
    uint8_t value_type;

    (void)state;
    assert_int_equal(testing_call(faaslet, "two", NULL, 0).kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(faaslet, 0, slots, 1), -EINVAL);
    assert_int_equal(faaslet_results(faaslet, 0, slots, 2), 0);
    assert_int_equal(slots[0], 7);
    assert_int_equal(slots[1], 8);
    assert_int_equal(testing_call(faaslet, "set", (uint64_t[]){99}, 1).kind, FAASLET_DONE);
    assert_int_equal(faaslet_global(faaslet, 0, "g", slots, &value_type), 0);
    assert_int_equal(slots[0], 99);
    assert_int_equal(value_type, 0x7e);
    assert_int_equal(faaslet_export_kind(faaslet, 0, "memory", &kind, &type), 0);
    assert_int_equal(kind, ABI_KIND_MEMORY);
    assert_int_equal(faaslet_invoke(faaslet, 0, "memory", NULL, 0), -ENOENT);
    assert_int_equal(faaslet_invoke(faaslet, 0, "none", NULL, 0), -ENOENT);
    assert_int_equal(faaslet_invoke(faaslet, 0, "sum", slots, 1), -EINVAL);
    faaslet_destroy(faaslet);
}

static void
test_a_deadline_stops_a_loop_without_calls(void **state)
{
    struct faaslet *faaslet = start(&config);
    struct faaslet_outcome outcome;

    (void)state;
    assert_int_equal(faaslet_invoke(faaslet, 0, "spin", NULL, 0), 0);
    faaslet_run(faaslet, clock_now_ns() + 5000000, &outcome);
    assert_int_equal(outcome.kind, FAASLET_KILLED);
    assert_int_equal(outcome.limit, FAASLET_LIMIT_TIME);
    faaslet_destroy(faaslet);
}

static void
test_a_deadline_stops_a_loop_of_calls(void **state)
{
    struct faaslet *faaslet = start(&config);
    struct faaslet_outcome outcome;

    (void)state;
    assert_int_equal(faaslet_invoke(faaslet, 0, "spin_calls", NULL, 0), 0);
    faaslet_run(faaslet, clock_now_ns() + 5000000, &outcome);
    assert_int_equal(outcome.kind, FAASLET_KILLED);
    assert_int_equal(outcome.limit, FAASLET_LIMIT_TIME);
    faaslet_destroy(faaslet);
}

static void *
run_killed(void *argument)
{
    struct faaslet *faaslet = argument;
    static _Thread_local struct faaslet_outcome outcome;

    assert_int_equal(faaslet_thread_init(), 0);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    return outcome.kind == FAASLET_KILLED && outcome.limit == FAASLET_LIMIT_KILL ? faaslet : NULL;
}

static void
kill_one(const char *name, bool is_early)
{
    struct faaslet *faaslet = start(&config);
    pthread_t thread;
    void *result;

    assert_int_equal(faaslet_invoke(faaslet, 0, name, NULL, 0), 0);
    if (is_early)
        faaslet_kill(faaslet);
    assert_int_equal(pthread_create(&thread, NULL, run_killed, faaslet), 0);
    if (!is_early)
        faaslet_kill(faaslet);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, faaslet);
    faaslet_destroy(faaslet);
}

static void
test_any_thread_may_kill_at_any_moment(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        kill_one("spin", i % 4 == 0);
        kill_one("spin_calls", i % 4 == 1);
    }
}

static void
test_two_run_by_turns_on_one_thread(void **state)
{
    struct faaslet *a = start(&config), *b = start(&config);
    struct faaslet_outcome outcome;
    uint64_t result;

    (void)state;
    pending_calls = 0;
    pending_left = 2;
    assert_int_equal(testing_call(a, "wait", (uint64_t[]){5}, 1).kind, FAASLET_PENDING);
    assert_int_equal(testing_call(b, "wait", (uint64_t[]){6}, 1).kind, FAASLET_PENDING);
    faaslet_run(a, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_DONE);
    faaslet_run(b, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(a, 0, &result, 1), 0);
    assert_int_equal(result, 1010);
    assert_int_equal(faaslet_results(b, 0, &result, 1), 0);
    assert_int_equal(result, 1012);
    faaslet_destroy(a);
    faaslet_destroy(b);
}

static void *
run_many(void *argument)
{
    uintptr_t good = 0;

    (void)argument;
    if (faaslet_thread_init() != 0)
        return NULL;
    for (uint64_t i = 0; i < 25; i++) {
        struct faaslet *faaslet = start(&config);

        good += testing_result(faaslet, "deep", &i, 1) == i + 3;
        good += testing_call(faaslet, "unreachable", NULL, 0).kind == FAASLET_TRAP;
        faaslet_destroy(faaslet);
    }
    return (void *)good;
}

static void
test_a_hundred_run_on_four_threads(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, NULL), 0);
    for (unsigned i = 0; i < 4; i++) {
        void *good;

        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_int_equal((uintptr_t)good, 50);
    }
}

static void
test_a_backtrace_names_the_functions(void **state)
{
    struct faaslet *faaslet = start(&config);
    struct buffer text = {0};

    (void)state;
    expect_trap(faaslet, "refuse", NULL, 0, ABI_TRAP_HOST);
    faaslet_backtrace(faaslet, &text);
    buffer_append(&text, "", 1);
    assert_non_null(strstr((char *)text.bytes, "  #0 refuse+"));
    assert_non_null(strstr((char *)text.bytes, "  #1 refused+"));
    text.count = 0;
    pending_left = 1;
    pending_calls = 0;
    assert_int_equal(testing_call(faaslet, "wait", (uint64_t[]){1}, 1).kind, FAASLET_PENDING);
    faaslet_backtrace(faaslet, &text);
    buffer_append(&text, "", 1);
    assert_non_null(strstr((char *)text.bytes, "#0 wait"));
    buffer_fini(&text);
    faaslet_destroy(faaslet);
}

static void
test_a_missing_import_is_named_with_its_type(void **state)
{
    static const char missing[] =
        "(module (import \"env\" \"foo\" (func (param i32 f64) (result i64))))";
    static const char different[] = "(module (import \"test\" \"add\" (func (param i32))))";
    struct faaslet *faaslet = NULL;
    struct faaslet_image *other;
    struct diag diag;

    (void)state;
    diag_init(&diag);
    other = testing_image(missing, ABI_STANDALONE);
    assert_int_equal(faaslet_create(other, &config, &faaslet, &diag), -ENOENT);
    assert_string_equal(diag_text(&diag), "import env.foo (function) of type (i32, f64)->(i64) "
                                          "is not provided");
    faaslet_image_put(other);
    diag_init(&diag);
    other = testing_image(different, ABI_STANDALONE);
    assert_int_equal(faaslet_create(other, &config, &faaslet, &diag), -ENOENT);
    assert_string_equal(diag_text(&diag), "import test.add (function) of type (i32)->() is "
                                          "provided with another type: (i32, i32)->(i32)");
    faaslet_image_put(other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_host_call_goes_there_and_back),
        cmocka_unit_test(test_a_pending_call_is_made_again_with_the_same_arguments),
        cmocka_unit_test(test_scratch_is_zero_at_every_first_call),
        cmocka_unit_test(test_every_trap_is_told_apart),
        cmocka_unit_test(test_accesses_outside_memory_hit_the_guard),
        cmocka_unit_test(test_endless_recursion_exhausts_the_stack_and_no_more),
        cmocka_unit_test(test_memory_grows_up_to_its_maximum),
        cmocka_unit_test(test_the_memory_limit_holds),
        cmocka_unit_test(test_exit_ends_it_with_its_code),
        cmocka_unit_test(test_a_host_function_may_refuse),
        cmocka_unit_test(test_results_and_globals_can_be_read),
        cmocka_unit_test(test_a_deadline_stops_a_loop_without_calls),
        cmocka_unit_test(test_a_deadline_stops_a_loop_of_calls),
        cmocka_unit_test(test_any_thread_may_kill_at_any_moment),
        cmocka_unit_test(test_two_run_by_turns_on_one_thread),
        cmocka_unit_test(test_a_hundred_run_on_four_threads),
        cmocka_unit_test(test_a_backtrace_names_the_functions),
        cmocka_unit_test(test_a_missing_import_is_named_with_its_type),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
