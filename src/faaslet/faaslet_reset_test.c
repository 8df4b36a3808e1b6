/* SPDX-License-Identifier: Apache-2.0 */
#include "../../tests/testing.h"

#include <pthread.h>
#include <time.h>

#include "base/fault.h"

#define TICK_NS       UINT64_C(1000000)
#define BRIEF_TICK_NS 20000 /* less than a move takes */
#define MOVES_MAX     1000
#define SPIN_ROUNDS   UINT64_C(60000000)
#define PARKED        64u
#define BURNT_NS      (20 * TICK_NS)

/* spin mixes integers, floats and memory, in a loop without host calls. work waits
 * in its middle; snap is a snapshot point; bad traps; grow grows and fills. */
static const char text[] =
    "(module\n"
    "  (import \"test\" \"ask\" (func $ask (param i64) (result i64)))\n"
    "  (import \"test\" \"snap\" (func $snap (result i64)))\n"
    "  (memory (export \"memory\") 4 64)\n"
    "  (global $calls (mut i64) (i64.const 0))\n"
    "  (func (export \"spin\") (param $n i64) (result i64)\n"
    "    (local $x i64) (local $f f64)\n"
    "    (local.set $x (i64.const 88172645463325252)) (local.set $f (f64.const 1))\n"
    "    (loop $again\n"
    "      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))\n"
    "      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))\n"
    "      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))\n"
    "      (local.set $f (f64.add (f64.mul (local.get $f) (f64.const 0.999999))\n"
    "        (f64.convert_i64_u (i64.and (local.get $x) (i64.const 1023)))))\n"
    "      (i64.store (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 0x1fff8)) (local.get $x))\n"
    "      (br_if $again (i64.ne (i64.const 0)\n"
    "        (local.tee $n (i64.sub (local.get $n) (i64.const 1))))))\n"
    "    (i64.add (local.get $x) (i64.reinterpret_f64 (local.get $f))))\n"
    "  (func (export \"work\") (param $n i64) (result i64) (local $i i32)\n"
    "    (i64.store (i32.const 8) (local.get $n))\n"
    "    (global.set $calls (i64.add (global.get $calls) (i64.const 1)))\n"
    "    (loop $fill\n"
    "      (i64.store offset=65536 (local.get $i) (i64.add (local.get $n)\n"
    "         (i64.load offset=65536 (local.get $i))))\n"
    "      (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4096)))\n"
    "        (i32.const 65536))))\n"
    "    (local.set $n (i64.mul (call $ask (local.get $n)) (i64.const 3)))\n"
    "    (i64.add (i64.add (local.get $n) (i64.mul (global.get $calls) (i64.const 1000000)))\n"
    "      (i64.add (i64.load (i32.const 8)) (i64.load offset=65536 (i32.const 4096)))))\n"
    "  (func (export \"snap\") (param $n i64) (result i64)\n"
    "    (i64.store (i32.const 16) (local.get $n))\n"
    "    (i64.add (call $snap) (i64.load (i32.const 16))))\n"
    "  (func (export \"grow\") (param i64) (result i64)\n"
    "    (drop (memory.grow (i32.const 7)))\n"
    "    (memory.fill (i32.const 0) (i32.const 171) (i32.shl (memory.size) (i32.const 16)))\n"
    "    (i64.extend_i32_u (memory.size)))\n"
    "  (func (export \"sum\") (result i64) (local $at i32) (local $sum i64)\n"
    "    (loop $next\n"
    "      (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31))\n"
    "        (i64.load (local.get $at))))\n"
    "      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8)))\n"
    "        (i32.shl (memory.size) (i32.const 16)))))\n"
    "    (i64.add (local.get $sum) (global.get $calls)))\n"
    "  (func (export \"bad\") (param i64) (result i64)\n"
    "    (i64.store (i32.const 64) (local.get 0)) unreachable)\n"
    ")\n";

struct record {
    bool waits;
};

static enum faaslet_verdict
host_ask(struct faaslet_call *call)
{
    struct record *record = call->process;

    if (record->waits && call->scratch[0]++ == 0)
        return FAASLET_CALL_PENDING;
    call->args[0] += 5;
    return FAASLET_CALL_DONE;
}

static enum faaslet_verdict
host_snap(struct faaslet_call *call)
{
    call->args[0] = 7;
    return call->scratch[0]++ == 0 ? FAASLET_CALL_SNAPSHOT : FAASLET_CALL_DONE;
}

static const struct faaslet_host_function functions[] = {
    {"ask", "I:I", host_ask},
    {"snap", ":I", host_snap},
};

static const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    (void)module;
    (void)module_bytes;
    return faaslet_host_find(functions, ARRAY_COUNT(functions), name, name_bytes);
}

static struct faaslet_image *image;
static struct record record = {true};
static const struct faaslet_config config = {
    .resolve = resolve, .process = &record, .stack_bytes = 256 << 10};
static struct faaslet_frozen *proto;

static int
setup(void **state)
{
    struct faaslet *faaslet;

    (void)state;
    assert_int_equal(faaslet_thread_init(), 0);
    image = testing_image(text, ABI_STANDALONE);
    faaslet = testing_create(image, &config);
    testing_init(faaslet, 0);
    record.waits = false;
    (void)testing_result(faaslet, "work", (uint64_t[]){9}, 1);
    record.waits = true;
    assert_int_equal(faaslet_freeze(faaslet, &proto, NULL), 0);
    faaslet_destroy(faaslet);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    faaslet_frozen_destroy(proto);
    faaslet_image_put(image);
    return 0;
}

static struct faaslet *
start(void)
{
    struct faaslet *faaslet = NULL;

    assert_int_equal(faaslet_thaw(proto, &config, &faaslet, NULL), 0);
    return faaslet;
}

/* ---------------------------------------------------------------------- preemption */

struct run {
    struct faaslet *faaslet;
    struct faaslet_outcome outcome;
};

/* One quantum, on a thread of its own. */
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
run_on_a_thread(struct run *run)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, run_once, run), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
test_a_preempted_guest_goes_on_where_it_was_on_any_thread(void **state)
{
    struct faaslet *faaslet = start();
    uint64_t expected = testing_result(faaslet, "spin", (uint64_t[]){SPIN_ROUNDS}, 1);
    uint64_t result = 0;
    struct run run = {.faaslet = faaslet};
    unsigned count = 0, moved = 0;

    (void)state;
    assert_int_equal(faaslet_invoke(faaslet, 0, "spin", (uint64_t[]){SPIN_ROUNDS}, 1), 0);
    for (;;) {
        run_on_a_thread(&run);
        if (run.outcome.kind != FAASLET_PREEMPTED)
            break;
        if (count++ % 8 == 0) {
            struct faaslet_frozen *frozen;
            int err = faaslet_freeze(faaslet, &frozen, NULL);

            if (!faaslet_is_plain(faaslet)) {
                assert_int_equal(err, -EBUSY);
                continue;
            }
            assert_int_equal(err, 0);
            faaslet_destroy(faaslet);
            assert_int_equal(faaslet_thaw(frozen, &config, &faaslet, NULL), 0);
            faaslet_frozen_destroy(frozen);
            run.faaslet = faaslet;
            moved++;
        }
    }
    assert_int_equal(run.outcome.kind, FAASLET_DONE);
    assert_true(count > 3 && moved > 0);
    assert_int_equal(faaslet_results(faaslet, 0, &result, 1), 0);
    assert_int_equal(result, expected);
    faaslet_destroy(faaslet);
}

/* In stress mode it moves before it begins, and a move may last longer than a quantum. */
static void
test_ticks_that_come_during_a_move_take_nothing_from_the_guest(void **state)
{
    struct faaslet *faaslet = start();
    uint64_t expected = testing_result(faaslet, "spin", (uint64_t[]){1}, 1), result = 0;
    struct faaslet_outcome outcome = {.kind = FAASLET_PREEMPTED};

    (void)state;
    faaslet_stress(1);
    assert_int_equal(faaslet_thread_tick(BRIEF_TICK_NS), 0);
    assert_int_equal(faaslet_invoke(faaslet, 0, "spin", (uint64_t[]){1}, 1), 0);
    for (unsigned i = 0; i < MOVES_MAX && outcome.kind == FAASLET_PREEMPTED; i++)
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(faaslet_thread_tick(0), 0);
    faaslet_stress(0);
    assert_int_equal(outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(faaslet, 0, &result, 1), 0);
    assert_int_equal(result, expected);
    faaslet_destroy(faaslet);
}

static void
test_two_guests_share_a_thread(void **state)
{
    struct faaslet *pair[2] = {start(), start()};
    uint64_t expected = testing_result(pair[0], "spin", (uint64_t[]){SPIN_ROUNDS / 2}, 1);
    unsigned over = 0, switches = 0;

    (void)state;
    assert_int_equal(faaslet_thread_tick(TICK_NS), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(faaslet_invoke(pair[i], 0, "spin", (uint64_t[]){SPIN_ROUNDS / 2}, 1), 0);
    while (over < 2) {
        struct faaslet_outcome outcome;
        uint64_t result = 0;

        faaslet_run(pair[over], CLOCK_NEVER_NS, &outcome);
        if (outcome.kind == FAASLET_PREEMPTED) {
            struct faaslet *other = pair[1];

            switches++;
            if (over == 0) {
                pair[1] = pair[0];
                pair[0] = other;
            }
            continue;
        }
        assert_int_equal(outcome.kind, FAASLET_DONE);
        assert_int_equal(faaslet_results(pair[over++], 0, &result, 1), 0);
        assert_int_equal(result, expected);
    }
    assert_true(switches > 2);
    assert_int_equal(faaslet_thread_tick(0), 0);
    faaslet_destroy(pair[0]);
    faaslet_destroy(pair[1]);
}

static void
test_time_and_processor_time_end_a_guest_with_ticks_too(void **state)
{
    struct faaslet_config limited = config;
    struct faaslet *faaslet = start();
    struct faaslet_outcome outcome;

    (void)state;
    assert_int_equal(faaslet_thread_tick(TICK_NS), 0);
    assert_int_equal(faaslet_invoke(faaslet, 0, "spin", (uint64_t[]){UINT64_MAX}, 1), 0);
    do
        faaslet_run(faaslet, clock_now_ns() + 1, &outcome);
    while (outcome.kind == FAASLET_PREEMPTED);
    assert_int_equal(outcome.kind, FAASLET_KILLED);
    assert_int_equal(outcome.limit, FAASLET_LIMIT_TIME);
    faaslet_destroy(faaslet);
    limited.cpu_ns_max = 20 * TICK_NS;
    assert_int_equal(faaslet_thaw(proto, &limited, &faaslet, NULL), 0);
    assert_int_equal(faaslet_invoke(faaslet, 0, "spin", (uint64_t[]){UINT64_MAX}, 1), 0);
    do
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    while (outcome.kind == FAASLET_PREEMPTED);
    assert_int_equal(outcome.kind, FAASLET_KILLED);
    assert_int_equal(outcome.limit, FAASLET_LIMIT_CPU);
    assert_int_equal(faaslet_thread_tick(0), 0);
    faaslet_destroy(faaslet);
}

/* Makes this thread use processor time. */
static void
burn(uint64_t ns)
{
    struct timespec now;
    uint64_t end = 0;

    do {
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        if (end == 0)
            end = ns + (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
    } while ((uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec < end);
}

/* What a guest is charged that runs for one quantum, which is two ticks at most. */
static uint64_t
charge_of_one_quantum(void)
{
    struct faaslet *faaslet = start();
    struct faaslet_outcome outcome;
    uint64_t cpu_ns;

    assert_int_equal(faaslet_invoke(faaslet, 0, "spin", (uint64_t[]){UINT64_MAX}, 1), 0);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_PREEMPTED);
    cpu_ns = faaslet_cpu_ns(faaslet);
    faaslet_destroy(faaslet);
    return cpu_ns;
}

static void *
burn_and_run(void *object)
{
    uint64_t *charged = object;

    assert_int_equal(faaslet_thread_init(), 0);
    burn(BURNT_NS);
    assert_int_equal(faaslet_thread_tick(TICK_NS), 0);
    charged[0] = charge_of_one_quantum();
    burn(BURNT_NS);
    charged[1] = charge_of_one_quantum();
    assert_int_equal(faaslet_thread_tick(0), 0);
    return NULL;
}

static void
test_a_guest_is_not_charged_what_its_thread_used_before(void **state)
{
    uint64_t charged[2];
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, burn_and_run, charged), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_in_range(charged[0], 1, BURNT_NS - 1); /* before there were ticks */
    assert_in_range(charged[1], 1, BURNT_NS - 1); /* with ticks, but without a guest */
}

struct tickless {
    struct faaslet_outcome outcome;
    int err;
};

static void *
run_where_ticks_fail(void *object)
{
    struct tickless *tickless = object;
    struct faaslet *faaslet = start();

    assert_int_equal(faaslet_thread_init(), 0);
    fault_arm("faaslet.preempt", 1, -ENOMEM);
    tickless->err = faaslet_thread_tick(TICK_NS);
    (void)fault_disarm();
    assert_int_equal(faaslet_invoke(faaslet, 0, "spin", (uint64_t[]){UINT64_MAX}, 1), 0);
    faaslet_run(faaslet, clock_now_ns() + 3 * TICK_NS, &tickless->outcome);
    faaslet_destroy(faaslet);
    return NULL;
}

/* A thread that counted on ticks would set no timer, and the guest would never end. */
static void
test_deadlines_hold_where_ticks_could_not_be_had(void **state)
{
    struct tickless tickless;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, run_where_ticks_fail, &tickless), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(tickless.err, -ENOMEM);
    assert_int_equal(tickless.outcome.kind, FAASLET_KILLED);
    assert_int_equal(tickless.outcome.limit, FAASLET_LIMIT_TIME);
}

/* --------------------------------------------------------------------------- reset */

/* Brings the Faaslet into some state that is not the proto's. */
static void
disturb(struct faaslet *faaslet, unsigned how)
{
    static const char *const names[] = {"work", "bad", "grow", "snap", "spin"};
    static const enum faaslet_outcome_kind ends[] = {FAASLET_PENDING, FAASLET_TRAP, FAASLET_DONE,
                                                     FAASLET_SNAPSHOT, FAASLET_PREEMPTED};
    struct faaslet_outcome outcome;

    assert_int_equal(faaslet_invoke(faaslet, 0, names[how], (uint64_t[]){UINT64_MAX - how}, 1), 0);
    assert_int_equal(faaslet_thread_tick(how == 4 ? TICK_NS : 0), 0);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(faaslet_thread_tick(0), 0);
    assert_int_equal(outcome.kind, ends[how]);
}

static void
test_after_a_reset_nothing_of_what_it_did_is_left(void **state)
{
    struct faaslet *faaslet = start();
    uint64_t expected = testing_result(faaslet, "sum", NULL, 0);

    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        disturb(faaslet, i % 5);
        assert_int_equal(faaslet_reset(faaslet, proto, &record, NULL), 0);
        assert_int_equal(testing_result(faaslet, "sum", NULL, 0), expected);
    }
    fault_arm("faaslet.reset", 1, -ENOMEM);
    assert_int_equal(faaslet_reset(faaslet, proto, &record, NULL), -ENOMEM);
    assert_true(fault_disarm());
    faaslet_destroy(faaslet);
}

/* ------------------------------------------------------------------------- parking */

static void
test_parked_faaslets_go_on_in_any_slot(void **state)
{
    struct faaslet_parked *parked[PARKED];
    struct faaslet *faaslet = start();

    (void)state;
    for (uint64_t i = 0; i < PARKED; i++) {
        assert_int_equal(testing_call(faaslet, "work", (uint64_t[]){i}, 1).kind, FAASLET_PENDING);
        assert_int_equal(faaslet_park(faaslet, proto, &parked[i], NULL), 0);
        assert_true(faaslet_parked_bytes(parked[i]) < 4096 || getenv("WEFT_STRESS") != NULL);
        assert_int_equal(faaslet_reset(faaslet, proto, &record, NULL), 0);
    }
    for (uint64_t k = PARKED; k-- > 0;) {
        uint64_t i = k * 37 % PARKED, result = 0;
        struct faaslet_outcome outcome;

        assert_int_equal(faaslet_reset(faaslet, proto, &record, NULL), 0);
        assert_int_equal(faaslet_unpark(faaslet, parked[i], NULL), 0);
        faaslet_parked_destroy(parked[i]);
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
        assert_int_equal(outcome.kind, FAASLET_DONE);
        assert_int_equal(faaslet_results(faaslet, 0, &result, 1), 0);
        /* (i + 5) * 3, two calls, i, and 9 + i */
        assert_int_equal(result, (i + 5) * 3 + 2000000 + i + 9 + i);
    }
    faaslet_destroy(faaslet);
}

/* ------------------------------------------------------------------ snapshot points */

static void
test_a_snapshot_point_ends_the_run_and_copies_go_on(void **state)
{
    struct faaslet *faaslet = start(), *copy = NULL;
    struct faaslet_outcome outcome;
    uint64_t result = 0;

    (void)state;
    assert_int_equal(testing_call(faaslet, "snap", (uint64_t[]){100}, 1).kind, FAASLET_SNAPSHOT);
    assert_int_equal(faaslet_clone(faaslet, &config, &copy, NULL), 0);
    faaslet_destroy(faaslet);
    faaslet_run(copy, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(copy, 0, &result, 1), 0);
    assert_int_equal(result, 107);
    faaslet_destroy(copy);
}

static void
test_it_stops_at_the_import_that_was_named(void **state)
{
    struct faaslet *faaslet = start();
    struct faaslet_outcome outcome;

    (void)state;
    assert_int_equal(faaslet_stop_at(faaslet, "test", "nothing"), -ENOENT);
    assert_int_equal(faaslet_stop_at(faaslet, "test", "ask"), 0);
    outcome = testing_call(faaslet, "snap", (uint64_t[]){1}, 1);
    assert_int_equal(outcome.kind, FAASLET_SNAPSHOT);
    assert_false(outcome.at_named); /* by itself */
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    outcome = testing_call(faaslet, "work", (uint64_t[]){1}, 1);
    assert_int_equal(outcome.kind, FAASLET_SNAPSHOT);
    assert_true(outcome.at_named);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_PENDING);
    assert_false(outcome.at_named);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_DONE);
    faaslet_destroy(faaslet);
}

/* ------------------------------------------------------------------------- at rest */

static void
test_as_bytes_it_is_the_same_and_damage_is_refused(void **state)
{
    const struct faaslet_load load = {&image, 1, resolve};
    struct faaslet *faaslet = start(), *thawed = NULL;
    struct faaslet_frozen *frozen, *loaded;
    struct faaslet_outcome outcome;
    struct buffer bytes = {0};
    uint64_t result = 0;

    (void)state;
    assert_int_equal(testing_call(faaslet, "work", (uint64_t[]){4}, 1).kind, FAASLET_PENDING);
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), 0);
    faaslet_destroy(faaslet);
    assert_int_equal(faaslet_frozen_save(frozen, &bytes, NULL), 0);
    faaslet_frozen_destroy(frozen);
    assert_int_equal(faaslet_frozen_load(bytes.bytes, bytes.count, &load, &loaded, NULL), 0);
    assert_int_equal(faaslet_thaw(loaded, &config, &thawed, NULL), 0);
    faaslet_run(thawed, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(thawed, 0, &result, 1), 0);
    assert_int_equal(result, 9 * 3 + 2000000 + 4 + 13);
    faaslet_destroy(thawed);
    faaslet_frozen_destroy(loaded);
    for (size_t i = 0; i < bytes.count; i += 1 + i / 64) {
        bytes.bytes[i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(faaslet_frozen_load(bytes.bytes, bytes.count, &load, &loaded, NULL),
                         -EINVAL);
        bytes.bytes[i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(faaslet_frozen_load(bytes.bytes, i, &load, &loaded, NULL), -EINVAL);
    }
    buffer_fini(&bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_preempted_guest_goes_on_where_it_was_on_any_thread),
        cmocka_unit_test(test_ticks_that_come_during_a_move_take_nothing_from_the_guest),
        cmocka_unit_test(test_two_guests_share_a_thread),
        cmocka_unit_test(test_time_and_processor_time_end_a_guest_with_ticks_too),
        cmocka_unit_test(test_a_guest_is_not_charged_what_its_thread_used_before),
        cmocka_unit_test(test_deadlines_hold_where_ticks_could_not_be_had),
        cmocka_unit_test(test_after_a_reset_nothing_of_what_it_did_is_left),
        cmocka_unit_test(test_parked_faaslets_go_on_in_any_slot),
        cmocka_unit_test(test_a_snapshot_point_ends_the_run_and_copies_go_on),
        cmocka_unit_test(test_it_stops_at_the_import_that_was_named),
        cmocka_unit_test(test_as_bytes_it_is_the_same_and_damage_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
