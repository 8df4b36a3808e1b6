/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of guests with shares: a guest, its host functions, and who fills what is absent.
 * They run in both ways (mem_share_way), where the kernel has both.
 */
#ifndef WEFT_FAASLET_SHARE_TESTING_H
#define WEFT_FAASLET_SHARE_TESTING_H

#include "../../tests/testing.h"

#include "faaslet/faaslet_internal.h"

#define PAGE        4096u
#define SHARE_PAGES 20u /* more than a WebAssembly page */
#define SHARE_BYTES (SHARE_PAGES * PAGE)
#define FIRST_AT    (2u * ABI_PAGE_BYTES) /* where the first share comes to */

/* ----------------------------------------------------------------- host functions */

static struct mem_share *shares[2];
static uint8_t source[SHARE_BYTES]; /* what absent pages are filled from */
static unsigned sum_calls;
static uint64_t sum_scratch;
static int map_err;
static unsigned pending_left;

static inline enum faaslet_verdict
host_map(struct faaslet_call *call)
{
    struct mem_share *share = shares[call->args[0]];
    bool is_writable = call->args[1] != 0;
    uint64_t offset = 0;

    map_err = faaslet_call_share(call, share, 0, mem_share_size(share), is_writable, &offset);
    if (map_err == 0) {
        assert_true(offset <= call->memory_bytes &&
                    mem_share_size(share) <= call->memory_bytes - offset);
    }
    call->args[0] = map_err == 0 ? offset : 0;
    return FAASLET_CALL_DONE;
}

static inline enum faaslet_verdict
host_unmap(struct faaslet_call *call)
{
    call->args[0] = (uint32_t)-faaslet_call_unshare(call, (uint32_t)call->args[0]);
    return FAASLET_CALL_DONE;
}

/* As a host function should: all ranges first. What it does to its arguments and scratch
 * before it fails must be undone. */
static inline enum faaslet_verdict
host_sum(struct faaslet_call *call)
{
    uint64_t at = call->args[0], bytes = call->args[1], sum = 0;
    const uint8_t *from = faaslet_call_view(call, at, bytes);

    sum_calls++;
    sum_scratch = call->scratch[0]++;
    if (from == NULL) {
        call->args[0] = call->args[1] = 77;
        return FAASLET_CALL_DONE;
    }
    for (uint64_t i = 0; i < bytes; i++)
        sum += from[i];
    call->args[0] = (uint32_t)sum;
    return FAASLET_CALL_DONE;
}

static inline enum faaslet_verdict
host_put(struct faaslet_call *call)
{
    uint8_t *to;

    if (call->args[2] != 0 && faaslet_call_absent(call, call->args[0], 1))
        return FAASLET_CALL_ABSENT;
    to = faaslet_call_range(call, call->args[0], 1);
    if (to == NULL) {
        call->args[0] = 1;
        return FAASLET_CALL_DONE;
    }
    *to = (uint8_t)call->args[1];
    call->args[0] = 0;
    return FAASLET_CALL_DONE;
}

static inline enum faaslet_verdict
host_stand(struct faaslet_call *call)
{
    call->wait->deadline_ns = 1;
    if (pending_left > 0) {
        pending_left--;
        return FAASLET_CALL_PENDING;
    }
    return FAASLET_CALL_DONE;
}

static const struct faaslet_host_function functions[] = {
    {"map", "ii:i", host_map},  {"unmap", "i:i", host_unmap}, {"sum", "ii:i", host_sum},
    {"put", "iii:i", host_put}, {"stand", ":", host_stand},
};

static inline const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    if (module_bytes != 4 || memcmp(module, "test", 4) != 0)
        return NULL;
    return faaslet_host_find(functions, ARRAY_COUNT(functions), name, name_bytes);
}

static const struct faaslet_config config = {.resolve = resolve};

static const char main_text[] =
    "(module\n"
    "  (import \"test\" \"map\" (func $map (param i32 i32) (result i32)))\n"
    "  (import \"test\" \"unmap\" (func $unmap (param i32) (result i32)))\n"
    "  (import \"test\" \"sum\" (func $sum (param i32 i32) (result i32)))\n"
    "  (import \"test\" \"put\" (func $put (param i32 i32 i32) (result i32)))\n"
    "  (import \"test\" \"stand\" (func $stand))\n"
    "  (memory (export \"memory\") 2 20)\n"
    "  (data $text \"the bytes of a passive segment\")\n"
    "  (func (export \"map\") (param i32 i32) (result i32)\n"
    "    (call $map (local.get 0) (local.get 1)))\n"
    "  (func (export \"unmap\") (param i32) (result i32) (call $unmap (local.get 0)))\n"
    "  (func (export \"sum\") (param i32 i32) (result i32)\n"
    "    (call $sum (local.get 0) (local.get 1)))\n"
    "  (func (export \"put\") (param i32 i32 i32) (result i32)\n"
    "    (call $put (local.get 0) (local.get 1) (local.get 2)))\n"
    "  (func (export \"load\") (param i32) (result i32) (i32.load8_u (local.get 0)))\n"
    "  (func (export \"load64\") (param i32) (result i64) (i64.load (local.get 0)))\n"
    "  (func (export \"store\") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))\n"
    "  (func (export \"size\") (result i32) (memory.size))\n"
    "  (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0)))\n"
    "  (func (export \"copy\") (param i32 i32 i32)\n"
    "    (memory.copy (local.get 0) (local.get 1) (local.get 2)))\n"
    "  (func (export \"fill\") (param i32 i32 i32)\n"
    "    (memory.fill (local.get 0) (local.get 1) (local.get 2)))\n"
    "  (func (export \"init\") (param i32 i32 i32)\n"
    "    (memory.init $text (local.get 0) (local.get 1) (local.get 2)))\n"
    "  (func (export \"add\") (param i32 i32) (result i32)\n"
    "    (i32.atomic.rmw.add (local.get 0) (local.get 1)))\n"
    "  (func (export \"notify\") (param i32) (result i32)\n"
    "    (memory.atomic.notify (local.get 0) (i32.const 1)))\n"
    /* Lanes of two loads, so that vector registers live over the second one's fault. */
    "  (func (export \"lanes\") (param i32 i32) (result i64)\n"
    "    (local $a v128)\n"
    "    (local.set $a (i64x2.add (v128.load (local.get 0))\n"
    "      (i64x2.splat (i64.const 3))))\n"
    "    (local.set $a (i64x2.add (local.get $a) (v128.load (local.get 1))))\n"
    "    (i64.add (i64x2.extract_lane 0 (local.get $a)) (i64x2.extract_lane 1 (local.get $a))))\n"
    /* Much that lives over each load: integers, a float and the loop's own. */
    "  (func $walk (export \"walk\") (param $at i32) (param $bytes i32) (param $step i32)\n"
    "    (result i64) (local $end i32) (local $sum i64) (local $mix i64) (local $f f64)\n"
    "    (local.set $end (i32.add (local.get $at) (local.get $bytes)))\n"
    "    (local.set $f (f64.const 1))\n"
    "    (block $out (loop $again\n"
    "      (br_if $out (i32.ge_u (local.get $at) (local.get $end)))\n"
    "      (local.set $sum (i64.add (local.get $sum) (i64.load8_u (local.get $at))))\n"
    "      (local.set $mix (i64.add (i64.mul (local.get $mix) (i64.const 31))\n"
    "        (local.get $sum)))\n"
    "      (local.set $f (f64.add (local.get $f) (f64.convert_i64_u (local.get $sum))))\n"
    "      (local.set $at (i32.add (local.get $at) (local.get $step)))\n"
    "      (br $again)))\n"
    "    (i64.add (local.get $mix) (i64.trunc_f64_s (local.get $f))))\n"
    "  (func (export \"walks\") (param i32 i32 i32 i32) (result i64) (local $r i64)\n"
    "    (loop $again\n"
    "      (local.set $r (i64.add (i64.mul (local.get $r) (i64.const 3))\n"
    "        (call $walk (local.get 0) (local.get 1) (local.get 2))))\n"
    "      (local.set 3 (i32.sub (local.get 3) (i32.const 1)))\n"
    "      (br_if $again (local.get 3)))\n"
    "    (local.get $r))\n"
    /* Stands in between; then copies from the share. */
    "  (func (export \"stand_and_copy\") (param i32 i32 i32) (result i32)\n"
    "    (call $stand)\n"
    "    (memory.copy (local.get 0) (local.get 1) (local.get 2))\n"
    "    (call $sum (local.get 0) (local.get 2)))\n"
    "  (func $deep (export \"deep\") (param i32 i32) (result i32)\n"
    "    (if (i32.eqz (local.get 0))\n"
    "      (then (memory.fill (local.get 1) (i32.const 1) (i32.const 1)) (return (i32.const 1))))\n"
    "    (i32.add (i32.const 1)\n"
    "      (call $deep (i32.sub (local.get 0) (i32.const 1)) (local.get 1))))\n"
    ")\n";

static struct faaslet_image *image;

static inline struct faaslet *
start(void)
{
    struct faaslet *faaslet = testing_create(image, &config);

    testing_init(faaslet, 0);
    return faaslet;
}

static inline void
make_share(unsigned number, bool is_lazy)
{
    assert_int_equal(mem_share_create(SHARE_BYTES, is_lazy, &shares[number]), 0);
    if (!is_lazy)
        (void)memcpy(mem_share_bytes(shares[number]), source, SHARE_BYTES);
}

static inline int
setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SHARE_BYTES; i++)
        source[i] = (uint8_t)(i * 7 + i / PAGE);
    sum_calls = 0;
    pending_left = 0;
    return 0;
}

static inline int
teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(shares); i++) {
        mem_share_put(shares[i]);
        shares[i] = NULL;
    }
    return 0;
}

static inline uint64_t
map(struct faaslet *faaslet, unsigned number, bool is_writable)
{
    return testing_result(faaslet, "map", (uint64_t[]){number, is_writable}, 2);
}

static inline uint32_t
sum_of(const uint8_t *bytes, size_t count)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += bytes[i];
    return sum;
}

/* Runs and fills what is asked for until something else is said; *count: how often. */
static inline struct faaslet_outcome
run_filling(struct faaslet *faaslet, unsigned *count)
{
    struct faaslet_outcome outcome;

    for (*count = 0;; (*count)++) {
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
        if (outcome.kind != FAASLET_ABSENT)
            return outcome;
        assert_int_equal(mem_share_absent(outcome.absent.share, outcome.absent.offset, 1),
                         outcome.absent.offset);
        assert_true(outcome.absent.bytes > 0);
        assert_int_equal(mem_share_fill(outcome.absent.share, outcome.absent.offset,
                                        source + outcome.absent.offset, outcome.absent.bytes),
                         0);
    }
}

static inline struct faaslet_outcome
call_filling(struct faaslet *faaslet, const char *name, const uint64_t *args, size_t slots,
             unsigned *count)
{
    assert_int_equal(faaslet_invoke(faaslet, 0, name, args, slots), 0);
    return run_filling(faaslet, count);
}

static inline uint64_t
result_filling(struct faaslet *faaslet, const char *name, const uint64_t *args, size_t slots,
               unsigned *count)
{
    struct faaslet_outcome outcome = call_filling(faaslet, name, args, slots, count);
    uint64_t result = 0;

    assert_int_equal(outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(faaslet, 0, &result, 1), 0);
    return result;
}

static inline void
expect_read_only(struct faaslet *faaslet, const char *name, const uint64_t *args, size_t slots)
{
    struct faaslet_outcome outcome = testing_call(faaslet, name, args, slots);

    assert_int_equal(outcome.kind, FAASLET_TRAP);
    assert_int_equal(outcome.trap, ABI_TRAP_MEMORY_BOUNDS);
    assert_non_null(strstr(outcome.message, "read only"));
}

#define SHARE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* All of main: the tests in both ways. */
static inline int
run_in_both_ways(const struct CMUnitTest *tests, size_t count)
{
    static const char *const names[] = {"shares by userfaultfd", "shares by protection"};
    int failed = 0;

    if (faaslet_thread_init() != 0)
        return 1;
    image = testing_image(main_text, ABI_STANDALONE);
    for (unsigned way = 0; way < ARRAY_COUNT(names); way++) {
        if (mem_share_choose((enum mem_share_way)way) != 0)
            (void)fprintf(stderr, "%s: this kernel does not have it\n", names[way]);
        else
            failed += _cmocka_run_group_tests(names[way], tests, count, NULL, NULL);
    }
    faaslet_image_put(image);
    return failed != 0;
}

#endif
