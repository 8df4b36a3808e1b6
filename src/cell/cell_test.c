/* SPDX-License-Identifier: Apache-2.0 */
#include "cell/cell_testing.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/fault.h"
#include "cell/cell_internal.h"

#define MANY 300u

/* add; wait (for a wake-up); sleep; spin; read a pipe; trap; touch memory of before. */
static const char text[] =
    "(module\n"
    "  (import \"t\" \"wait\" (func $wait (result i64)))\n"
    "  (import \"t\" \"sleep\" (func $sleep (param i64)))\n"
    "  (import \"t\" \"pipe\" (func $pipe (param i64) (result i64)))\n"
    "  (import \"t\" \"pong\" (func $pong (param i64) (result i64)))\n"
    "  (memory 1)\n"
    "  (global $inits (mut i64) (i64.const 0))\n"
    "  (func (export \"_initialize\") (i64.store (i32.const 8) (i64.const 77))\n"
    "    (global.set $inits (i64.add (global.get $inits) (i64.const 1))))\n"
    "  (func (export \"add\") (param i64 i64) (result i64)\n"
    "    (i64.add (local.get 0) (local.get 1)))\n"
    "  (func (export \"wait\") (param i64) (result i64)\n"
    "    (i64.store (i32.const 16) (local.get 0))\n"
    "    (i64.add (call $wait) (i64.load (i32.const 16))))\n"
    "  (func (export \"sleep\") (param i64) (call $sleep (local.get 0)))\n"
    "  (func (export \"pipe\") (param i64) (result i64) (call $pipe (local.get 0)))\n"
    "  (func (export \"spin\") (loop (br 0)))\n"
    "  (func (export \"bad\") unreachable)\n"
    "  (func (export \"pong\") (param i64) (result i64) (local $n i64)\n"
    "    (loop $more (drop (call $pong (local.get 0)))\n"
    "      (br_if $more (i64.ne (i64.const 2000)\n"
    "        (local.tee $n (i64.add (local.get $n) (i64.const 1))))))\n"
    "    (local.get $n))\n"
    "  (func (export \"leave\") (result i64) (local $old i64)\n"
    "    (local.set $old (i64.add (i64.load (i32.const 24)) (i64.load (i32.const 8))))\n"
    "    (i64.store (i32.const 24) (i64.const 1234)) (local.get $old))\n"
    ")\n";

static enum faaslet_verdict
host_wait(struct faaslet_call *call)
{
    _Atomic bool *may_go = call->process;

    if (!atomic_load(may_go))
        return FAASLET_CALL_PENDING;
    call->args[0] = 1000;
    return FAASLET_CALL_DONE;
}

static enum faaslet_verdict
host_sleep(struct faaslet_call *call)
{
    if (call->scratch[0] == 0)
        call->scratch[0] = clock_now_ns() + call->args[0];
    if (clock_now_ns() >= call->scratch[0])
        return FAASLET_CALL_DONE;
    call->wait->deadline_ns = call->scratch[0];
    return FAASLET_CALL_PENDING;
}

static enum faaslet_verdict
host_pipe(struct faaslet_call *call)
{
    int fd = (int)call->args[0];
    uint8_t byte;

    if (read(fd, &byte, 1) == 1) {
        call->args[0] = byte;
        return FAASLET_CALL_DONE;
    }
    call->wait->fds[0] = (struct faaslet_wait_fd){fd, POLLIN};
    call->wait->fd_count = 1;
    return FAASLET_CALL_PENDING;
}

/* Wakes the other and waits for being woken. */
static _Atomic uint64_t pair[2];

static enum faaslet_verdict
host_pong(struct faaslet_call *call)
{
    uint64_t me = call->args[0];

    if (call->scratch[0]++ != 0)
        return FAASLET_CALL_DONE;
    (void)cell_wake(cell_here(), atomic_load(&pair[1 - me]));
    return FAASLET_CALL_PENDING;
}

static const struct faaslet_host_function functions[] = {
    {"wait", ":I", host_wait},
    {"sleep", "I:", host_sleep},
    {"pipe", "I:I", host_pipe},
    {"pong", "I:I", host_pong},
};

static const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    (void)module;
    (void)module_bytes;
    return faaslet_host_find(functions, ARRAY_COUNT(functions), name, name_bytes);
}

/* ------------------------------------------------------------------------ a world */

static struct faaslet_image *image;

struct world {
    struct cell *cell;
    struct cell_function *function;
};

static cell_done_fn done_used; /* NULL: none */

static void
world_init(struct world *w, unsigned executors, uint32_t slots)
{
    const struct cell_config config = {
        .executors = executors, .slots_max = slots, .on_done = done_used};
    const struct cell_function_config function = {
        .image = image, .faaslet = {.resolve = resolve, .stack_bytes = 64 << 10}};
    struct diag diag = {0};

    if (cell_create(&config, &w->cell, &diag) != 0 ||
        cell_function_create(w->cell, &function, &w->function, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
}

static void
world_fini(struct world *w)
{
    cell_function_drop(w->function);
    cell_destroy(w->cell);
}

static uint64_t
start(struct world *w, struct cell_call call, struct answer *answer)
{
    uint64_t id = 0;

    call.on_end = on_end;
    call.context = answer;
    assert_int_equal(cell_start(w->function, &call, &id), 0);
    assert_true(id != 0);
    return id;
}

static void
test_many_calls_on_few_slots_all_give_their_results(void **state)
{
    static struct answer answers[MANY];
    struct cell_usage usage;
    struct world w;

    (void)state;
    world_init(&w, 2, 3);
    for (uint64_t i = 0; i < MANY; i++) {
        answer_init(&answers[i]);
        (void)start(
            &w,
            (struct cell_call){
                .entry = "add", .args = (uint64_t[]){i, 5}, .slot_count = 2, .result_slots = 1},
            &answers[i]);
    }
    for (uint64_t i = 0; i < MANY; i++) {
        answer_wait(&answers[i], 1);
        assert_int_equal(answers[i].end.kind, CELL_DONE);
        assert_int_equal(answers[i].result, i + 5);
    }
    cell_usage(w.cell, &usage);
    assert_true(usage.slots <= 3);
    assert_true(usage.starts_cold <= 3);
    world_fini(&w);
}

static void
test_more_calls_wait_than_there_are_slots_and_all_are_woken(void **state)
{
    static struct answer answers[MANY];
    static uint64_t ids[MANY];
    _Atomic bool may_go = false;
    struct cell_usage usage;
    struct world w;

    (void)state;
    world_init(&w, 2, 4);
    for (uint64_t i = 0; i < MANY; i++) {
        answer_init(&answers[i]);
        ids[i] = start(&w,
                       (struct cell_call){.entry = "wait",
                                          .args = (uint64_t[]){i},
                                          .slot_count = 1,
                                          .result_slots = 1,
                                          .process = &may_go},
                       &answers[i]);
    }
    do { /* until all but those with slots are parked */
        cell_usage(w.cell, &usage);
        (void)usleep(1000);
    } while (usage.parked < MANY - 4);
    assert_true(usage.parked_bytes / usage.parked < 16384 || getenv("WEFT_STRESS") != NULL);
    for (uint64_t i = 0; i < MANY; i++) /* woken too early, they wait on */
        assert_int_equal(cell_wake(w.cell, ids[i]), 0);
    atomic_store(&may_go, true);
    for (uint64_t i = 0; i < MANY; i++)
        (void)cell_wake(w.cell, ids[i]);
    for (uint64_t i = 0; i < MANY; i++) {
        answer_wait(&answers[i], 1);
        assert_int_equal(answers[i].end.kind, CELL_DONE);
        assert_int_equal(answers[i].result, 1000 + i);
        assert_ptr_equal(answers[i].end.process, &may_go);
    }
    while (cell_wake(w.cell, ids[0]) != -ESRCH) /* its end was told, soon it is gone */
        (void)sched_yield();
    world_fini(&w);
}

/* Two on one slot: the second parks the first, which goes on where the second was, and
 * that one in what the first has left. */
static void
test_going_on_after_being_parked_is_no_start(void **state)
{
    _Atomic bool may_go[2] = {false, false};
    struct answer answers[2];
    struct cell_usage usage;
    uint64_t ids[2];
    struct world w;

    (void)state;
    world_init(&w, 1, 1);
    for (uint64_t i = 0; i < 2; i++) {
        answer_init(&answers[i]);
        ids[i] = start(&w,
                       (struct cell_call){.entry = "wait",
                                          .args = (uint64_t[]){i},
                                          .slot_count = 1,
                                          .result_slots = 1,
                                          .process = &may_go[i]},
                       &answers[i]);
    }
    do {
        cell_usage(w.cell, &usage);
        (void)usleep(1000);
    } while (usage.parked == 0);
    for (uint64_t i = 0; i < 2; i++) {
        atomic_store(&may_go[i], true);
        (void)cell_wake(w.cell, ids[i]);
        answer_wait(&answers[i], 1);
        assert_int_equal(answers[i].result, 1000 + i);
    }
    cell_usage(w.cell, &usage);
    assert_int_equal(usage.starts_warm + usage.starts_cold, 2);
    world_fini(&w);
}

/* On one slot, which stays with the first although it waits: the second waits for its end. */
static void
test_who_keeps_its_seat_is_never_parked(void **state)
{
    _Atomic bool may_go[2] = {false, true};
    struct answer answers[2];
    struct cell_usage usage;
    uint64_t ids[2];
    struct world w;

    (void)state;
    world_init(&w, 2, 1);
    for (uint64_t i = 0; i < 2; i++) {
        answer_init(&answers[i]);
        ids[i] = start(&w,
                       (struct cell_call){.entry = "wait",
                                          .args = (uint64_t[]){i},
                                          .slot_count = 1,
                                          .result_slots = 1,
                                          .process = &may_go[i],
                                          .keeps_seat = true},
                       &answers[i]);
        do { /* the first has the slot before there is a second */
            cell_usage(w.cell, &usage);
            (void)sched_yield();
        } while (usage.slots == 0);
    }
    (void)usleep(50000);
    cell_usage(w.cell, &usage);
    assert_int_equal(usage.parked, 0);
    assert_int_equal(answer_count(&answers[1]), 0);
    atomic_store(&may_go[0], true);
    (void)cell_wake(w.cell, ids[0]);
    for (uint64_t i = 0; i < 2; i++) {
        answer_wait(&answers[i], 1);
        assert_int_equal(answers[i].result, 1000 + i);
    }
    world_fini(&w);
}

static void
test_a_cell_is_idle_while_nothing_is_queued_and_others_could_run(void **state)
{
    _Atomic bool may_go = false;
    struct answer answer;
    struct world w;
    uint64_t id;

    (void)state;
    world_init(&w, 2, 4);
    assert_true(cell_is_idle(w.cell));
    answer_init(&answer);
    id = start(&w,
               (struct cell_call){.entry = "wait",
                                  .args = (uint64_t[]){1},
                                  .slot_count = 1,
                                  .result_slots = 1,
                                  .process = &may_go},
               &answer);
    while (!cell_is_idle(w.cell)) /* it was taken, and waits */
        (void)sched_yield();
    atomic_store(&may_go, true);
    (void)cell_wake(w.cell, id);
    answer_wait(&answer, 1);
    world_fini(&w);
    world_init(&w, 1, 4);
    assert_false(cell_is_idle(w.cell));
    world_fini(&w);
}

static _Atomic unsigned leaves;
static _Atomic bool may_leave;

static int
on_done(void *process)
{
    (void)process;
    (void)atomic_fetch_add(&leaves, 1);
    return atomic_load(&may_leave) ? 0 : -EINPROGRESS;
}

static uint64_t
start_leaving(struct world *w, struct answer *answer)
{
    unsigned before = atomic_load(&leaves);
    uint64_t id;

    answer_init(answer);
    id = start(w,
               (struct cell_call){
                   .entry = "add", .args = (uint64_t[]){1, 2}, .slot_count = 2, .result_slots = 1},
               answer);
    while (atomic_load(&leaves) == before)
        (void)sched_yield();
    return id;
}

/* It keeps its slot: there is nothing of it that could be parked. */
static void
test_who_has_returned_waits_until_it_may_leave(void **state)
{
    struct answer answers[2];
    struct world w;
    uint64_t id;

    (void)state;
    done_used = on_done;
    world_init(&w, 1, 1);
    done_used = NULL;
    id = start_leaving(&w, &answers[0]);
    answer_init(&answers[1]);
    (void)start(&w,
                (struct cell_call){
                    .entry = "add", .args = (uint64_t[]){3, 4}, .slot_count = 2, .result_slots = 1},
                &answers[1]);
    assert_int_equal(cell_wake(w.cell, id), 0); /* too early */
    while (atomic_load(&leaves) < 2)
        (void)sched_yield();
    assert_int_equal(answer_count(&answers[0]) + answer_count(&answers[1]), 0);
    atomic_store(&may_leave, true);
    assert_int_equal(cell_wake(w.cell, id), 0);
    for (unsigned i = 0; i < 2; i++) {
        answer_wait(&answers[i], 1);
        assert_int_equal(answers[i].end.kind, CELL_DONE);
        assert_int_equal(answers[i].result, i == 0 ? 3 : 7);
    }
    atomic_store(&may_leave, false);
    id = start_leaving(&w, &answers[0]);
    assert_int_equal(cell_cancel(w.cell, id), 0);
    answer_wait(&answers[0], 1);
    assert_int_equal(answers[0].end.kind, CELL_CANCELLED);
    world_fini(&w);
}

static void
test_computing_guests_do_not_keep_others_from_running(void **state)
{
    struct answer spinning[3], answer;
    uint64_t ids[3];
    struct world w;

    (void)state;
    if (!HAS_PREEMPTION)
        skip();
    world_init(&w, 1, 8);
    for (unsigned i = 0; i < 3; i++) {
        answer_init(&spinning[i]);
        ids[i] = start(&w, (struct cell_call){.entry = "spin"}, &spinning[i]);
    }
    for (uint64_t i = 0; i < 5; i++) {
        answer_init(&answer);
        (void)start(
            &w,
            (struct cell_call){
                .entry = "add", .args = (uint64_t[]){i, 1}, .slot_count = 2, .result_slots = 1},
            &answer);
        answer_wait(&answer, 1);
        assert_int_equal(answer.result, i + 1);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(cell_cancel(w.cell, ids[i]), 0);
    for (unsigned i = 0; i < 3; i++) {
        answer_wait(&spinning[i], 1);
        assert_int_equal(spinning[i].end.kind, CELL_CANCELLED);
    }
    world_fini(&w);
}

static void
test_every_end_is_told(void **state)
{
    struct answer answer;
    struct world w;

    (void)state;
    world_init(&w, 1, 2);
    answer_init(&answer);
    (void)start(&w, (struct cell_call){.entry = "bad"}, &answer);
    answer_wait(&answer, 1);
    assert_int_equal(answer.end.kind, CELL_TRAP);
    assert_int_equal(answer.end.trap, ABI_TRAP_UNREACHABLE);
    assert_non_null(strstr(answer.backtrace, "#0"));
    (void)start(&w, (struct cell_call){.entry = "nothing"}, &answer);
    answer_wait(&answer, 2);
    assert_int_equal(answer.end.kind, CELL_FAILED);
    assert_int_equal(answer.end.err, -ENOENT);
    (void)start(&w, (struct cell_call){.entry = "add"}, &answer);
    answer_wait(&answer, 3);
    assert_int_equal(answer.end.err, -EINVAL);
    world_fini(&w);
}

static void
test_a_limit_that_is_reached_is_told(void **state)
{
    _Atomic bool never = false;
    struct answer answer;
    struct world w;

    (void)state;
    world_init(&w, 1, 2);
    answer_init(&answer);
    (void)start(&w,
                (struct cell_call){.entry = HAS_PREEMPTION ? "spin" : "wait",
                                   .deadline_ns = clock_now_ns() + 3000000,
                                   .args = (uint64_t[]){0},
                                   .slot_count = !HAS_PREEMPTION,
                                   .process = &never},
                &answer);
    answer_wait(&answer, 1);
    assert_int_equal(answer.end.kind, CELL_KILLED);
    assert_int_equal(answer.end.limit, FAASLET_LIMIT_TIME);
    (void)start(&w,
                (struct cell_call){.entry = "sleep",
                                   .args = (uint64_t[]){UINT64_C(3600000000000)},
                                   .slot_count = 1,
                                   .deadline_ns = clock_now_ns() + 3000000},
                &answer);
    answer_wait(&answer, 2);
    assert_int_equal(answer.end.kind, CELL_KILLED);
    fault_arm("faaslet.reset", 1, -ENOMEM); /* the Faaslet cannot be used again */
    (void)start(&w,
                (struct cell_call){
                    .entry = "add", .args = (uint64_t[]){2, 3}, .slot_count = 2, .result_slots = 1},
                &answer);
    answer_wait(&answer, 3);
    assert_int_equal(answer.result, 5);
    world_fini(&w);
    (void)fault_disarm();
}

static void
test_initialisation_that_does_not_end_is_an_error_that_names_the_limit(void **state)
{
    static const char *const texts[][2] = {
        {"(module (func (export \"_initialize\") (loop (br 0))))", "_initialize reached"},
        {"(module (func $spin (loop (br 0))) (start $spin))", "initialisation reached"},
    };
    struct cell_function_config config = {.init_ns_max = 30000000};
    struct cell_function *function = NULL;
    struct world w;

    (void)state;
    if (!HAS_PREEMPTION)
        skip();
    world_init(&w, 1, 2);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct diag diag;

        diag_init(&diag);
        config.image = testing_image(texts[i][0], ABI_STANDALONE);
        assert_int_equal(cell_function_create(w.cell, &config, &function, &diag), -EINVAL);
        assert_non_null(strstr(diag_text(&diag), texts[i][1]));
        assert_non_null(strstr(diag_text(&diag), "its time limit of 0.030 s"));
        faaslet_image_put(config.image);
    }
    assert_null(function);
    world_fini(&w);
}

static void
test_times_and_descriptors_wake(void **state)
{
    struct answer sleeper, readers[2];
    uint64_t begin = clock_now_ns();
    struct world w;
    int pipes[2];

    (void)state;
    world_init(&w, 1, 2);
    assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    answer_init(&sleeper);
    (void)start(
        &w, (struct cell_call){.entry = "sleep", .args = (uint64_t[]){20000000}, .slot_count = 1},
        &sleeper);
    for (unsigned i = 0; i < 2; i++) { /* both watch the same descriptor */
        answer_init(&readers[i]);
        (void)start(&w,
                    (struct cell_call){.entry = "pipe",
                                       .args = (uint64_t[]){(uint64_t)pipes[0]},
                                       .slot_count = 1,
                                       .result_slots = 1},
                    &readers[i]);
    }
    answer_wait(&sleeper, 1);
    assert_int_equal(sleeper.end.kind, CELL_DONE);
    assert_true(clock_now_ns() - begin >= 20000000);
    assert_int_equal(answer_count(&readers[0]) + answer_count(&readers[1]), 0);
    assert_int_equal(write(pipes[1], "ab", 2), 2);
    answer_wait(&readers[0], 1);
    answer_wait(&readers[1], 1);
    assert_int_equal(readers[0].result + readers[1].result, 'a' + 'b');
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    world_fini(&w);
}

static void
test_two_faaslets_wake_each_other(void **state)
{
    struct answer answers[2];
    struct world w;

    (void)state;
    for (unsigned executors = 1; executors <= 2; executors++) {
        world_init(&w, executors, 2);
        for (uint64_t i = 0; i < 2; i++) {
            atomic_store(&pair[i], 0);
            answer_init(&answers[i]);
        }
        for (uint64_t i = 0; i < 2; i++)
            atomic_store(&pair[i], start(&w,
                                         (struct cell_call){.entry = "pong",
                                                            .args = (uint64_t[]){i},
                                                            .slot_count = 1,
                                                            .result_slots = 1},
                                         &answers[i]));
        /* The first may have missed the other's number. */
        while (answer_count(&answers[0]) + answer_count(&answers[1]) < 2)
            for (unsigned i = 0; i < 2; i++)
                (void)cell_wake(w.cell, atomic_load(&pair[i]));
        assert_int_equal(answers[0].result, 2000);
        assert_int_equal(answers[1].result, 2000);
        world_fini(&w);
    }
}

static void
test_nothing_of_a_call_is_seen_by_the_next(void **state)
{
    struct answer answer;
    struct world w;

    (void)state;
    world_init(&w, 1, 1);
    answer_init(&answer);
    for (unsigned i = 1; i <= 20; i++) {
        (void)start(&w, (struct cell_call){.entry = "leave", .result_slots = 1}, &answer);
        answer_wait(&answer, i);
        assert_int_equal(answer.result, 77);
    }
    world_fini(&w);
}

static void
test_destroying_ends_everything(void **state)
{
    static struct answer answers[40];
    _Atomic bool may_go = false;
    struct world w;

    (void)state;
    world_init(&w, 2, 4);
    for (unsigned i = 0; i < 40; i++) {
        answer_init(&answers[i]);
        (void)start(&w,
                    i % 2 == 0 && HAS_PREEMPTION ? (struct cell_call){.entry = "spin"}
                                                 : (struct cell_call){.entry = "wait",
                                                                      .args = (uint64_t[]){1},
                                                                      .slot_count = 1,
                                                                      .result_slots = 1,
                                                                      .process = &may_go},
                    &answers[i]);
    }
    (void)usleep(10000);
    world_fini(&w);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(answers[i].count, 1);
        assert_int_equal(answers[i].end.kind, CELL_CANCELLED);
    }
}

/* ------------------------------------------------------------------ protos in mid-run */

static atomic_uint thaws, restarts;

static int
record_freeze(void *process, struct buffer *out)
{
    uint64_t may_go = atomic_load((_Atomic bool *)process);

    buffer_append(out, &may_go, sizeof(may_go));
    return out->err;
}

static int
record_make(bool may_go, void **out)
{
    _Atomic bool *record = malloc(sizeof(*record));

    if (record == NULL)
        return -ENOMEM;
    atomic_init(record, may_go);
    *out = record;
    return 0;
}

static int
record_thaw(const uint8_t *bytes, size_t count, void **out)
{
    assert_true(count == sizeof(uint64_t));
    (void)atomic_fetch_add(&thaws, 1);
    return record_make(bytes[0] != 0, out);
}

static int
record_restart(const uint8_t *bytes, size_t count, const void *fresh, void **out)
{
    (void)bytes;
    (void)count;
    (void)atomic_fetch_add(&restarts, 1);
    return record_make(atomic_load((const _Atomic bool *)fresh), out);
}

static const struct faaslet_process_ops ops = {
    .freeze = record_freeze, .thaw = record_thaw, .destroy = free, .restart = record_restart};

/* One that waits; the number that it waits with is 5. */
static struct faaslet_frozen *
freeze_in_mid_run(const struct faaslet_config *config)
{
    struct faaslet *faaslet = testing_create(image, config);
    struct faaslet_frozen *frozen = NULL;

    testing_init(faaslet, 0);
    assert_int_equal(testing_call(faaslet, "wait", (uint64_t[]){5}, 1).kind, FAASLET_PENDING);
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), 0);
    faaslet_destroy(faaslet);
    return frozen;
}

static void
test_a_proto_in_mid_run_goes_on_with_one_record_for_each_call(void **state)
{
    _Atomic bool may_go = false;
    struct cell_function_config config = {
        .faaslet = {.resolve = resolve, .process = &may_go, .ops = &ops, .stack_bytes = 64 << 10}};
    struct answer answer;
    struct world w;

    (void)state;
    assert_int_equal(faaslet_thread_init(), 0);
    config.frozen = freeze_in_mid_run(&config.faaslet);
    world_init(&w, 1, 4);
    cell_function_drop(w.function);
    assert_int_equal(cell_function_create(w.cell, &config, &w.function, NULL), 0);
    atomic_store(&may_go, true);
    atomic_store(&thaws, 0);
    atomic_store(&restarts, 0);
    answer_init(&answer);
    for (unsigned i = 1; i <= 3; i++) {
        (void)start(&w, (struct cell_call){.process = &may_go, .result_slots = 1}, &answer);
        answer_wait(&answer, i);
        assert_int_equal(answer.end.kind, CELL_DONE);
        assert_int_equal(answer.result, 1005);
    }
    assert_int_equal(atomic_load(&restarts), 3);
    assert_true(atomic_load(&thaws) == 0 || getenv("WEFT_STRESS") != NULL); /* moves thaw */
    world_fini(&w);
    faaslet_frozen_destroy(config.frozen);
}

/* ------------------------------------------------------------------- a lent thread */

static _Atomic pthread_t ended_on;

static void
on_end_here(void *context, const struct cell_end *end)
{
    atomic_store(&ended_on, pthread_self());
    on_end(context, end);
}

static void
start_here(struct world *w, const char *entry, struct answer *answer)
{
    const uint64_t args[2] = {3, 4};
    const bool adds = strcmp(entry, "add") == 0;
    const struct cell_call call = {.entry = entry,
                                   .args = args,
                                   .slot_count = adds ? 2 : 0,
                                   .result_slots = adds ? 1 : 0,
                                   .deadline_ns = clock_now_ns() + 2 * CLOCK_NS_PER_SECOND,
                                   .on_end = on_end_here,
                                   .context = answer};
    uint64_t id;

    assert_int_equal(cell_start(w->function, &call, &id), 0);
}

static void
test_a_lent_thread_runs_what_was_brief(void **state)
{
    struct answer answer;
    struct world w;

    (void)state;
    world_init(&w, 1, 4);
    answer_init(&answer);
    start_here(&w, "add", &answer); /* nobody knows yet how long it takes */
    answer_wait(&answer, 1);
    assert_false(pthread_equal(atomic_load(&ended_on), pthread_self()));
    for (unsigned i = 2; !pthread_equal(atomic_load(&ended_on), pthread_self()); i++) {
        atomic_store(&w.function->run_ns, 1); /* brief, on whatever machine */
        cell_lend_begin(w.cell);
        start_here(&w, "add", &answer);
        cell_lend_end(w.cell);
        answer_wait(&answer, i);
        assert_int_equal(answer.result, 7);
    }
    world_fini(&w);
}

/* It is taken off after a quantum, and the executors have it from then on. */
static void
test_a_lent_thread_is_given_back(void **state)
{
    struct answer answer;
    struct world w;

    (void)state;
    if (!HAS_PREEMPTION)
        skip();
    world_init(&w, 1, 4);
    answer_init(&answer);
    start_here(&w, "add", &answer);
    answer_wait(&answer, 1);
    cell_lend_begin(w.cell);
    start_here(&w, "spin", &answer);
    cell_lend_end(w.cell);
    answer_wait(&answer, 2);
    assert_int_equal(answer.end.kind, CELL_KILLED);
    assert_false(pthread_equal(atomic_load(&ended_on), pthread_self()));
    world_fini(&w);
}

TESTING_IMAGE_GROUP(text)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_calls_on_few_slots_all_give_their_results),
        cmocka_unit_test(test_more_calls_wait_than_there_are_slots_and_all_are_woken),
        cmocka_unit_test(test_going_on_after_being_parked_is_no_start),
        cmocka_unit_test(test_who_keeps_its_seat_is_never_parked),
        cmocka_unit_test(test_a_cell_is_idle_while_nothing_is_queued_and_others_could_run),
        cmocka_unit_test(test_who_has_returned_waits_until_it_may_leave),
        cmocka_unit_test(test_computing_guests_do_not_keep_others_from_running),
        cmocka_unit_test(test_every_end_is_told),
        cmocka_unit_test(test_a_limit_that_is_reached_is_told),
        cmocka_unit_test(test_initialisation_that_does_not_end_is_an_error_that_names_the_limit),
        cmocka_unit_test(test_times_and_descriptors_wake),
        cmocka_unit_test(test_two_faaslets_wake_each_other),
        cmocka_unit_test(test_nothing_of_a_call_is_seen_by_the_next),
        cmocka_unit_test(test_a_lent_thread_runs_what_was_brief),
        cmocka_unit_test(test_a_lent_thread_is_given_back),
        cmocka_unit_test(test_a_proto_in_mid_run_goes_on_with_one_record_for_each_call),
        cmocka_unit_test(test_destroying_ends_everything),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
