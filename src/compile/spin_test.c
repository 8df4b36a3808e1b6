/* SPDX-License-Identifier: Apache-2.0
 *
 * Which loads of a loop are made each time, seen in what LLVM made of it.
 */
#include "../../tests/testing.h"

#include "compile/compile_internal.h"

#define SHARED "(memory 1 1 shared)"
#define ALONE  "(memory 1 1)"

/* The module's code behind all optimisation; the caller disposes of it. */
static char *
optimised(const char *memory, const char *function, unsigned level)
{
    struct wasm_module *module = NULL;
    struct compile_plan *plan = NULL;
    struct compile_options options;
    LLVMMemoryBufferRef object;
    struct buffer bytes = {0};
    struct unit *unit = NULL;
    char text[2048], *code;
    struct diag diag;

    diag_init(&diag);
    compile_options_init(&options);
    options.level = level;
    (void)snprintf(text, sizeof(text), "(module %s (func (export \"f\") %s))", memory, function);
    testing_assemble(text, &bytes);
    assert_int_equal(wasm_module_create(bytes.bytes, bytes.count, &module, NULL, &diag), 0);
    assert_int_equal(compile_plan_create(module, &options, &plan, &diag), 0);
    assert_int_equal(unit_create(plan, 0, &unit, &diag), 0);
    assert_int_equal(unit_emit(unit, &diag), 0);
    assert_int_equal(unit_object(unit, &object, &diag), 0);
    code = LLVMPrintModuleToString(unit->llvm);
    LLVMDisposeMemoryBuffer(object);
    unit_destroy(unit);
    compile_plan_destroy(plan);
    wasm_module_destroy(module);
    buffer_fini(&bytes);
    return code;
}

static bool
has(const char *memory, const char *function, const char *text)
{
    char *code = optimised(memory, function, 3);
    bool found = strstr(code, text) != NULL;

    LLVMDisposeMessage(code);
    return found;
}

/* How many loads of the optimised code are made each time. */
static unsigned
kept(const char *function)
{
    char *code = optimised(SHARED, function, 1);
    unsigned count = 0;

    for (const char *at = code; (at = strstr(at, "load volatile")) != NULL; at++)
        count++;
    LLVMDisposeMessage(code);
    return count;
}

static const char waits[] = "(param $flag i32)"
                            "(loop $again (br_if $again (i32.eqz (i32.load (local.get $flag)))))";

static void
test_a_load_that_a_loop_waits_for_is_kept(void **state)
{
    (void)state;
    assert_int_equal(kept(waits), 1);
    assert_int_equal(kept("(param $flag i32) (param $n i32) (result i32)" /* with another end */
                          "(loop $again"
                          "  (if (i32.load (local.get $flag)) (then (return (i32.const 1))))"
                          "  (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
                          "  (br_if $again (local.get $n)))"
                          "(i32.const 0)"),
                     1);
    assert_int_equal(kept("(param $flag i32)" /* through a pointer, which may change, too */
                          "(loop $again (br_if $again"
                          "  (i32.eqz (i32.load8_u offset=9 (i32.load (local.get $flag))))))"),
                     2);
}

static void
test_what_a_waiting_loop_also_looks_at_is_kept(void **state)
{
    (void)state;
    assert_int_equal(kept("(param $flag i32) (param $other i32)"
                          "(loop $again"
                          "  (if (i32.load (local.get $other)) (then"
                          "    (i32.atomic.store (i32.const 64) (i32.const 1))))"
                          "  (br_if $again (i32.eqz (i32.load (local.get $flag)))))"),
                     2);
}

static void
test_memory_that_is_not_shared_has_nobody_to_wait_for(void **state)
{
    (void)state;
    assert_true(has(SHARED, waits, "load volatile"));
    assert_false(has(ALONE, waits, "load volatile"));
}

static void
test_a_loop_that_goes_through_memory_waits_for_nobody(void **state)
{
    (void)state;
    assert_int_equal(kept("(param $text i32) (result i32)" /* strlen */
                          "(loop $again (if (i32.load8_u (local.get $text)) (then"
                          "  (local.set $text (i32.add (local.get $text) (i32.const 1)))"
                          "  (br $again))))"
                          "(local.get $text)"),
                     0);
}

/* What a counted loop loads, no matter from where, is no reason to leave it. */
static const char sum[] = "(param $at i32) (param $n i32) (result i32) (local $sum i32)"
                          "(loop $again"
                          "  (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $at))))"
                          "  (local.set $at (i32.add (local.get $at) (i32.const 4)))"
                          "  (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
                          "  (br_if $again (local.get $n)))"
                          "(local.get $sum)";
static const char scale[] = "(param $at i32) (param $n i32) (param $factor i32)"
                            "(loop $again"
                            "  (i32.store (local.get $at) (i32.mul (i32.load (local.get $at))"
                            "    (i32.load (local.get $factor))))"
                            "  (local.set $at (i32.add (local.get $at) (i32.const 4)))"
                            "  (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
                            "  (br_if $again (local.get $n)))";

static void
test_counted_loops_keep_nothing_and_sums_become_vectors(void **state)
{
    (void)state;
    assert_int_equal(kept(sum), 0);
    assert_int_equal(kept(scale), 0);
    assert_true(has(SHARED, sum, "add <8 x i32>"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_load_that_a_loop_waits_for_is_kept),
        cmocka_unit_test(test_what_a_waiting_loop_also_looks_at_is_kept),
        cmocka_unit_test(test_memory_that_is_not_shared_has_nobody_to_wait_for),
        cmocka_unit_test(test_a_loop_that_goes_through_memory_waits_for_nobody),
        cmocka_unit_test(test_counted_loops_keep_nothing_and_sums_become_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
