/* SPDX-License-Identifier: Apache-2.0 */
#include "../../tests/testing.h"

static enum faaslet_verdict
host_twice(struct faaslet_call *call)
{
    call->args[0] = (uint32_t)call->args[0] * 2u;
    return FAASLET_CALL_DONE;
}

static const struct faaslet_host_function twice = {"twice", "i:i", host_twice};

static const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    (void)module;
    (void)module_bytes;
    return name_bytes == 5 && memcmp(name, "twice", 5) == 0 ? &twice : NULL;
}

static const struct faaslet_config config = {.resolve = resolve};

static const char exporter[] =
    "(module\n"
    "  (import \"host\" \"twice\" (func $twice (param i32) (result i32)))\n"
    "  (tag $t (export \"tag\") (param i32))\n"
    "  (memory (export \"memory\") 1 4)\n"
    "  (table (export \"table\") 4 8 funcref)\n"
    "  (global $g (export \"g\") (mut i32) (i32.const 7))\n"
    "  (elem (i32.const 1) func $bump)\n"
    "  (func $bump (export \"bump\") (param i32) (result i32)\n"
    "    (global.set $g (i32.add (global.get $g) (call $twice (local.get 0))))\n"
    "    (global.get $g))\n"
    "  (func (export \"throw\") (param i32) (throw $t (local.get 0)))\n"
    "  (func (export \"poke\") (param i32 i32) (i32.store (local.get 0) (local.get 1))))\n";

static const char importer[] =
    "(module\n"
    "  (import \"m\" \"bump\" (func $bump (param i32) (result i32)))\n"
    "  (import \"m\" \"throw\" (func $throw (param i32)))\n"
    "  (import \"m\" \"tag\" (tag $t (param i32)))\n"
    "  (import \"m\" \"memory\" (memory 1))\n"
    "  (import \"m\" \"table\" (table 2 funcref))\n"
    "  (import \"m\" \"g\" (global $g (mut i32)))\n"
    "  (export \"again\" (func $bump))\n"
    "  (type $f (func (param i32) (result i32)))\n"
    "  (tag $other)\n"
    "  (elem (i32.const 2) func $mine)\n"
    "  (func $mine (type $f) (i32.add (local.get 0) (i32.const 1000)))\n"
    "  (func (export \"call\") (param i32) (result i32) (call $bump (local.get 0)))\n"
    "  (func (export \"indirect\") (param i32 i32) (result i32)\n"
    "    (call_indirect (type $f) (local.get 1) (local.get 0)))\n"
    "  (func (export \"peek\") (param i32) (result i32) (i32.load (local.get 0)))\n"
    "  (func (export \"g\") (result i32) (global.get $g))\n"
    "  (func (export \"catch\") (param i32) (result i32)\n"
    "    (try (result i32)\n"
    "      (do (try (result i32)\n"
    "            (do (call $throw (local.get 0)) (i32.const 1))\n"
    "            (catch $other (i32.const 2))))\n"
    "      (catch $t (i32.const 1) (i32.add))\n"
    "      (catch_all (i32.const 3))))\n"
    "  (func (export \"uncaught\") (call $throw (i32.const 5))))\n";

static struct faaslet_image *images[2];

static int
setup(void **state)
{
    (void)state;
    assert_int_equal(faaslet_thread_init(), 0);
    images[0] = testing_image(exporter, ABI_LINKED);
    images[1] = testing_image(importer, ABI_LINKED);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    faaslet_image_put(images[0]);
    faaslet_image_put(images[1]);
    return 0;
}

static struct faaslet *
link_both(void)
{
    struct faaslet *faaslet = NULL;
    struct diag diag;
    uint32_t instance;

    diag_init(&diag);
    assert_int_equal(faaslet_create_empty(&config, &faaslet), 0);
    assert_int_equal(faaslet_add(faaslet, images[0], &instance, &diag), 0);
    assert_int_equal(instance, 0);
    testing_init(faaslet, 0);
    assert_int_equal(faaslet_register(faaslet, 0, "m"), 0);
    if (faaslet_add(faaslet, images[1], &instance, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    assert_int_equal(instance, 1);
    testing_init(faaslet, 1);
    return faaslet;
}

static struct faaslet_outcome
call(struct faaslet *faaslet, uint32_t instance, const char *name, const uint64_t *args,
     size_t count)
{
    struct faaslet_outcome outcome;

    assert_int_equal(faaslet_invoke(faaslet, instance, name, args, count), 0);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    return outcome;
}

static uint64_t
result_of(struct faaslet *faaslet, const char *name, const uint64_t *args, size_t count)
{
    uint64_t result = 0;

    assert_int_equal(call(faaslet, 1, name, args, count).kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(faaslet, 1, &result, 1), 0);
    return result;
}

static void
test_instances_share_what_they_import(void **state)
{
    struct faaslet *faaslet = link_both();

    (void)state;
    assert_int_equal(result_of(faaslet, "call", (uint64_t[]){10}, 1), 27);
    assert_int_equal(result_of(faaslet, "g", NULL, 0), 27);
    assert_int_equal(result_of(faaslet, "indirect", (uint64_t[]){1, 1}, 2), 29);
    assert_int_equal(result_of(faaslet, "indirect", (uint64_t[]){2, 1}, 2), 1001);
    assert_int_equal(result_of(faaslet, "again", (uint64_t[]){0}, 1), 29);
    assert_int_equal(call(faaslet, 0, "poke", (uint64_t[]){100, 77}, 2).kind, FAASLET_DONE);
    assert_int_equal(result_of(faaslet, "peek", (uint64_t[]){100}, 1), 77);
    faaslet_destroy(faaslet);
}

static void
test_exceptions_cross_instances(void **state)
{
    struct faaslet *faaslet = link_both();
    struct faaslet_outcome outcome;

    (void)state;
    assert_int_equal(result_of(faaslet, "catch", (uint64_t[]){41}, 1), 42);
    outcome = call(faaslet, 1, "uncaught", NULL, 0);
    assert_int_equal(outcome.kind, FAASLET_TRAP);
    assert_int_equal(outcome.trap, ABI_TRAP_UNCAUGHT_EXCEPTION);
    assert_int_equal(result_of(faaslet, "catch", (uint64_t[]){1}, 1), 2);
    faaslet_destroy(faaslet);
}

static void
test_linked_instances_freeze_together(void **state)
{
    struct faaslet *faaslet = link_both(), *copy = NULL;

    (void)state;
    assert_int_equal(result_of(faaslet, "call", (uint64_t[]){10}, 1), 27);
    assert_int_equal(faaslet_clone(faaslet, &config, &copy, NULL), 0);
    assert_int_equal(result_of(copy, "call", (uint64_t[]){1}, 1), 29);
    assert_int_equal(result_of(faaslet, "call", (uint64_t[]){2}, 1), 31);
    assert_int_equal(result_of(copy, "catch", (uint64_t[]){5}, 1), 6);
    faaslet_destroy(copy);
    faaslet_destroy(faaslet);
}

static void
expect_unlinkable(const char *text, const char *words)
{
    struct faaslet_image *image = testing_image(text, ABI_LINKED);
    struct faaslet *faaslet = link_both();
    struct diag diag;
    uint32_t instance;

    diag_init(&diag);
    assert_int_equal(faaslet_add(faaslet, image, &instance, &diag), -ENOENT);
    if (strstr(diag_text(&diag), words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, diag_text(&diag));
    assert_int_equal(result_of(faaslet, "call", (uint64_t[]){0}, 1), 7); /* nothing changed */
    faaslet_destroy(faaslet);
    faaslet_image_put(image);
}

static void
test_imports_must_match(void **state)
{
    (void)state;
    expect_unlinkable("(module (import \"m\" \"none\" (func)))",
                      "import m.none (function) of type ()->() is not provided");
    expect_unlinkable("(module (import \"m\" \"bump\" (func)))", "another type");
    expect_unlinkable("(module (import \"m\" \"bump\" (global i32)))", "another type");
    expect_unlinkable("(module (import \"m\" \"g\" (global i32)))", "another type");
    expect_unlinkable("(module (import \"m\" \"memory\" (memory 2)))", "another type");
    expect_unlinkable("(module (import \"m\" \"memory\" (memory 1 3)))", "another type");
    expect_unlinkable("(module (import \"m\" \"table\" (table 5 funcref)))", "another type");
    expect_unlinkable("(module (import \"m\" \"tag\" (tag (param i64))))", "another type");
    expect_unlinkable("(module (import \"m\" \"gone\" (memory 1)))", "(memory) is not provided");
}

static void
test_an_instance_whose_start_traps_cannot_be_linked_to(void **state)
{
    struct faaslet_image *image =
        testing_image("(module (func $s unreachable) (start $s))", ABI_LINKED);
    struct faaslet *faaslet = link_both();
    struct faaslet_outcome outcome;
    uint32_t instance;

    (void)state;
    assert_int_equal(faaslet_add(faaslet, image, &instance, NULL), 0);
    assert_int_equal(faaslet_invoke_init(faaslet, instance), 0);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_TRAP);
    assert_int_equal(faaslet_register(faaslet, instance, "dead"), -ENOENT);
    faaslet_destroy(faaslet);
    faaslet_image_put(image);
}

/* -------------------------------------------------------- exceptions and waiting */

static const char alone[] =
    "(module\n"
    "  (import \"host\" \"twice\" (func $twice (param i32) (result i32)))\n"
    "  (tag $t (param i32 i64))\n"
    "  (memory 1 1 shared)\n"
    "  (func $deep (param i32) (result i32)\n"
    "    (if (i32.eqz (local.get 0)) (then (throw $t (i32.const 6) (i64.const 7))))\n"
    "    (i32.add (call $twice (call $deep (i32.sub (local.get 0) (i32.const 1))))\n"
    "             (i32.const 1)))\n"
    "  (func (export \"catch\") (param i32) (result i32)\n"
    "    (local $kept i32)\n"
    "    (local.set $kept (call $twice (i32.const 50)))\n"
    "    (try (result i32)\n"
    "      (do (call $deep (local.get 0)))\n"
    "      (catch $t (i32.wrap_i64) (i32.mul) (i32.add (local.get $kept)))))\n"
    "  (func (export \"wait\") (param i32 i32 i64) (result i32)\n"
    "    (memory.atomic.wait32 (local.get 0) (local.get 1) (local.get 2)))\n"
    "  (func (export \"notify\") (param i32) (result i32)\n"
    "    (memory.atomic.notify (local.get 0) (i32.const 1))))\n";

static void
test_an_exception_unwinds_many_frames(void **state)
{
    struct faaslet_image *image = testing_image(alone, ABI_STANDALONE);
    struct faaslet *faaslet = testing_create(image, &config);

    (void)state;
    testing_init(faaslet, 0);
    assert_int_equal(testing_result(faaslet, "catch", (uint64_t[]){0}, 1), 142);
    assert_int_equal(testing_result(faaslet, "catch", (uint64_t[]){1000}, 1), 142);
    faaslet_destroy(faaslet);
    faaslet_image_put(image);
}

static void
test_a_wait_ends_by_its_time(void **state)
{
    struct faaslet_image *image = testing_image(alone, ABI_STANDALONE);
    struct faaslet *faaslet = testing_create(image, &config);
    struct faaslet_outcome outcome;
    uint64_t result;

    (void)state;
    testing_init(faaslet, 0);
    assert_int_equal(testing_result(faaslet, "wait", (uint64_t[]){8, 1, 0}, 3), 1);
    assert_int_equal(testing_result(faaslet, "wait", (uint64_t[]){8, 0, 0}, 3), 2);
    assert_int_equal(testing_result(faaslet, "notify", (uint64_t[]){8}, 1), 0);
    outcome = testing_call(faaslet, "wait", (uint64_t[]){8, 0, 1000000}, 3);
    assert_int_equal(outcome.kind, FAASLET_PENDING);
    while (outcome.kind == FAASLET_PENDING) {
        assert_true(outcome.wait.deadline_ns < CLOCK_NEVER_NS);
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    }
    assert_int_equal(outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(faaslet, 0, &result, 1), 0);
    assert_int_equal(result, 2);
    outcome = testing_call(faaslet, "wait", (uint64_t[]){9, 0, 0}, 3);
    assert_int_equal(outcome.trap, ABI_TRAP_UNALIGNED_ATOMIC);
    outcome = testing_call(faaslet, "wait", (uint64_t[]){65536, 0, 0}, 3);
    assert_int_equal(outcome.trap, ABI_TRAP_MEMORY_BOUNDS);
    faaslet_destroy(faaslet);
    faaslet_image_put(image);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instances_share_what_they_import),
        cmocka_unit_test(test_exceptions_cross_instances),
        cmocka_unit_test(test_linked_instances_freeze_together),
        cmocka_unit_test(test_imports_must_match),
        cmocka_unit_test(test_an_instance_whose_start_traps_cannot_be_linked_to),
        cmocka_unit_test(test_an_exception_unwinds_many_frames),
        cmocka_unit_test(test_a_wait_ends_by_its_time),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
