/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls with several threads.
 */
#include "cell/cell_testing.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>

#include "base/fault.h"
#include "hostcall/hostcall.h"

#define PONGS     500u
#define CALLS     24u
#define EXECUTORS ((const unsigned[]){1, 2, 4})

/* What a thread does; its argument is this and 256 times its number, from 1. */
enum kind {
    ADD,   /* its number to the sum */
    EXITS, /* with code 7 */
    TRAPS,
    SPINS,     /* for ever */
    WAITS,     /* for ever */
    GATE,      /* waits for the gate */
    SPIN_GATE, /* spins until the gate is open */
    YIELDS,    /* the same, with sched_yield */
    PONG,
    RETURNS,
    CHAIN, /* makes the next one */
    PIPE,  /* reads a byte of the pipe with its number, to the sum */
    SLEEP, /* for a millisecond */
    TIMED, /* waits for memory, for a millisecond */
    GROW,  /* memory by a page */
};

/* 64: sum, 68: how many have ended well, 72: gate, 76: turn, 80: pages grown; 4096: of each.
 * Exports (kind, n): run: makes n and waits for all. leave: makes them and returns 5. open: opens
 * the gate before it waits for all. hang: waits for ever. spin: spins. save: comes to a snapshot
 * point, and goes on as open. make: makes them one after the other, for ever. ping. */
static const char text[] =
    "(module\n"
    "  (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))\n"
    "  (import \"wasi_snapshot_preview1\" \"sched_yield\" (func $yield (result i32)))\n"
    "  (import \"t\" \"exit\" (func $exit (param i32)))\n"
    "  (import \"t\" \"snapshot\" (func $snapshot))\n"
    "  (import \"t\" \"sleep\" (func $sleep (param i64)))\n"
    "  (import \"t\" \"pipe\" (func $pipe (param i64) (result i64)))\n"
    "  (memory (export \"memory\") 2 64 shared)\n"
    "  (global $own (mut i32) (i32.const 5))\n"
    "  (func $await (param $at i32) (param $value i32) (local $now i32)\n"
    "    (loop $more\n"
    "      (local.set $now (i32.atomic.load (local.get $at)))\n"
    "      (if (i32.ne (local.get $now) (local.get $value)) (then\n"
    "        (drop (memory.atomic.wait32 (local.get $at) (local.get $now) (i64.const -1)))\n"
    "        (br $more)))))\n"
    "  (func $set (param $at i32) (param $value i32)\n"
    "    (i32.atomic.store (local.get $at) (local.get $value))\n"
    "    (drop (memory.atomic.notify (local.get $at) (i32.const -1))))\n"
    "  (func $add (param $n i32)\n"
    "    (drop (i32.atomic.rmw.add (i32.const 64) (local.get $n))))\n"
    "  (func $bump\n"
    "    (drop (i32.atomic.rmw.add (i32.const 68) (i32.const 1)))\n"
    "    (drop (memory.atomic.notify (i32.const 68) (i32.const -1))))\n"
    "  (func $forever (param $at i32) (drop\n"
    "    (memory.atomic.wait32 (local.get $at) (i32.const 0) (i64.const -1))))\n"
    "  (func $spins (loop (br 0)))\n"
    "  (func $traps unreachable)\n"
    "  (func $pong (local $n i32)\n"
    "    (loop $more\n"
    "      (call $await (i32.const 76) (i32.const 1))\n"
    "      (call $set (i32.const 76) (i32.const 0))\n"
    "      (br_if $more (i32.ne (i32.const 500)\n"
    "        (local.tee $n (i32.add (local.get $n) (i32.const 1)))))))\n"
    "  (func $timed (drop\n"
    "    (memory.atomic.wait32 (i32.const 84) (i32.const 0) (i64.const 1000000))))\n"
    "  (func $make (param $kind i32) (param $number i32) (result i32)\n"
    "    (call $spawn (i32.add (local.get $kind)\n"
    "      (i32.shl (local.get $number) (i32.const 8)))))\n"
    "  (func $next (param $n i32)\n"
    "    (if (i32.gt_u (local.get $n) (i32.const 1)) (then\n"
    "      (drop (call $make (i32.const 10) (i32.sub (local.get $n) (i32.const 1)))))))\n"
    "  (func $grow\n"
    "    (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then\n"
    "      (drop (i32.atomic.rmw.add (i32.const 80) (i32.const 1))))))\n"
    "  (func (export \"wasi_thread_start\") (param $id i32) (param $argument i32)\n"
    "    (local $n i32)\n"
    "    (local.set $n (i32.shr_u (local.get $argument) (i32.const 8)))\n"
    "    (if (i32.ne (global.get $own) (i32.const 5)) (then (unreachable)))\n"
    "    (global.set $own (local.get $n))\n"
    "    (block $done (block $grows (block $timed (block $sleeps (block $pipes (block $chains\n"
    "    (block $returns (block $pongs (block $yields (block $spingates (block $gates\n"
    "    (block $waits (block $spin (block $trap (block $exits (block $adds\n"
    "      (br_table $adds $exits $trap $spin $waits $gates $spingates $yields $pongs $returns\n"
    "        $chains $pipes $sleeps $timed $grows (i32.and (local.get $argument)\n"
    "        (i32.const 255))))\n"
    "      (call $add (local.get $n)) (br $done))\n"
    "      (call $exit (i32.const 7)))\n"
    "      (call $traps))\n"
    "      (call $spins))\n"
    "      (call $forever (i32.const 1024)))\n"
    "      (call $await (i32.const 72) (i32.const 1)) (br $done))\n"
    "      (loop $l (br_if $l (i32.eqz (i32.atomic.load (i32.const 72))))) (br $done))\n"
    "      (loop $l (drop (call $yield))\n"
    "        (br_if $l (i32.eqz (i32.atomic.load (i32.const 72))))) (br $done))\n"
    "      (call $pong) (br $done))\n"
    "      (return))\n"
    "      (call $next (local.get $n)) (br $done))\n"
    "      (call $add (i32.wrap_i64 (call $pipe (i64.extend_i32_u (local.get $n)))))\n"
    "      (br $done))\n"
    "      (call $sleep (i64.const 1000000)) (br $done))\n"
    "      (call $timed) (br $done))\n"
    "      (call $grow))\n"
    "    (if (i32.ne (global.get $own) (local.get $n)) (then (unreachable)))\n"
    "    (i32.atomic.store (i32.add (i32.const 4096) (i32.shl (local.get $n) (i32.const 2)))\n"
    "      (local.get $id))\n"
    "    (call $bump))\n"
    "  (func $all (param $kind i32) (param $n i32) (result i32) (local $i i32) (local $id i32)\n"
    "    (loop $more (result i32)\n"
    "      (if (i32.eq (local.get $i) (local.get $n)) (then (return (i32.const 0))))\n"
    "      (local.set $i (i32.add (local.get $i) (i32.const 1)))\n"
    "      (local.set $id (call $make (local.get $kind) (local.get $i)))\n"
    "      (br_if $more (i32.gt_s (local.get $id) (i32.const 0)))\n"
    "      (local.get $id)))\n"
    "  (func $begin (param i64 i64) (result i32)\n"
    "    (call $all (i32.wrap_i64 (local.get 0)) (i32.wrap_i64 (local.get 1))))\n"
    "  (func $finish (param i64 i64) (result i64)\n"
    "    (call $await (i32.const 68) (i32.wrap_i64 (local.get 1)))\n"
    "    (i64.load32_u (i32.const 64)))\n"
    "  (func $run (export \"run\") (param i64 i64) (result i64) (local $err i32)\n"
    "    (local.set $err (call $begin (local.get 0) (local.get 1)))\n"
    "    (if (i32.lt_s (local.get $err) (i32.const 0)) (then\n"
    "      (return (i64.extend_i32_s (local.get $err)))))\n"
    "    (call $finish (local.get 0) (local.get 1)))\n"
    "  (func (export \"leave\") (param i64 i64) (result i64)\n"
    "    (drop (call $begin (local.get 0) (local.get 1))) (i64.const 5))\n"
    "  (func $open (export \"open\") (param i64 i64) (result i64)\n"
    "    (drop (call $begin (local.get 0) (local.get 1)))\n"
    "    (call $set (i32.const 72) (i32.const 1))\n"
    "    (drop (call $finish (local.get 0) (local.get 1)))\n"
    "    (i64.load32_u (i32.const 68)))\n"
    "  (func (export \"chain\") (param i64 i64) (result i64)\n"
    "    (drop (call $make (i32.const 10) (i32.wrap_i64 (local.get 1))))\n"
    "    (drop (call $finish (local.get 0) (local.get 1)))\n"
    "    (i64.load32_u (i32.const 68)))\n"
    "  (func (export \"hang\") (param i64 i64) (result i64)\n"
    "    (drop (call $begin (local.get 0) (local.get 1)))\n"
    "    (call $forever (i32.const 1028)) (i64.const 0))\n"
    "  (func (export \"spin\") (param i64 i64) (result i64)\n"
    "    (drop (call $begin (local.get 0) (local.get 1)))\n"
    "    (call $spins) (i64.const 0))\n"
    "  (func (export \"make\") (param i64 i64) (result i64)\n"
    "    (loop $more (drop (call $begin (local.get 0) (local.get 1)))\n"
    "      (drop (call $yield)) (br $more)) (i64.const 0))\n"
    "  (func (export \"save\") (param i64 i64) (result i64)\n"
    "    (drop (call $begin (local.get 0) (local.get 1)))\n"
    "    (call $snapshot)\n"
    "    (call $set (i32.const 72) (i32.const 1))\n"
    "    (drop (call $finish (local.get 0) (local.get 1)))\n"
    "    (i64.load32_u (i32.const 68)))\n"
    "  (func (export \"ping\") (param i64 i64) (result i64) (local $n i64)\n"
    "    (drop (call $begin (i64.const 8) (i64.const 1)))\n"
    "    (loop $more\n"
    "      (call $set (i32.const 76) (i32.const 1))\n"
    "      (call $await (i32.const 76) (i32.const 0))\n"
    "      (br_if $more (i64.ne (i64.const 500)\n"
    "        (local.tee $n (i64.add (local.get $n) (i64.const 1))))))\n"
    "    (local.get $n))\n"
    "  (func (export \"grown\") (param i64 i64) (result i64)\n"
    "    (drop (call $run (local.get 0) (local.get 1)))\n"
    "    (i64.add (i64.mul (i64.const 1000) (i64.extend_i32_u (memory.size)))\n"
    "      (i64.load32_u (i32.const 80))))\n"
    "  (func (export \"left\") (param i64 i64) (result i64)\n"
    "    (i64.add (i64.load32_u (i32.const 68)) (i64.extend_i32_u (memory.size))))\n"
    ")\n";

static enum faaslet_verdict
host_snapshot(struct faaslet_call *call)
{
    return call->scratch[0]++ == 0 ? FAASLET_CALL_SNAPSHOT : FAASLET_CALL_DONE;
}

static enum faaslet_verdict
host_sleep(struct faaslet_call *call)
{
    if (call->scratch[0] == 0)
        call->scratch[0] = ~(clock_now_ns() + call->args[0]);
    if (clock_now_ns() >= ~call->scratch[0])
        return FAASLET_CALL_DONE;
    call->wait->deadline_ns = ~call->scratch[0];
    return FAASLET_CALL_PENDING;
}

static int pipes[8][2];

static enum faaslet_verdict
host_pipe(struct faaslet_call *call)
{
    int fd = pipes[call->args[0] % ARRAY_COUNT(pipes)][0];
    uint8_t byte;

    if (read(fd, &byte, 1) == 1) {
        call->args[0] = byte;
        return FAASLET_CALL_DONE;
    }
    call->wait->fds[0] = (struct faaslet_wait_fd){fd, POLLIN};
    call->wait->fd_count = 1;
    return FAASLET_CALL_PENDING;
}

static const struct faaslet_host_function functions[] = {
    {"exit", "i:", testing_exit},
    {"snapshot", ":", host_snapshot},
    {"sleep", "I:", host_sleep},
    {"pipe", "I:I", host_pipe},
};

static const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    if (module_bytes == 1 && module[0] == 't')
        return faaslet_host_find(functions, ARRAY_COUNT(functions), name, name_bytes);
    return hostcall_resolve(module, module_bytes, name, name_bytes);
}

/* ------------------------------------------------------------------------ a world */

static struct faaslet_image *image;

struct world {
    struct cell *cell;
    struct cell_function *function;
};

static void
world_init_with(struct world *w, unsigned executors, struct faaslet_config faaslet)
{
    const struct cell_config config = {.executors = executors, .slots_max = 64};
    struct cell_function_config function = {.image = image, .faaslet = faaslet};
    struct diag diag;

    diag_init(&diag);
    function.faaslet.resolve = resolve;
    function.faaslet.stack_bytes = 64 << 10;
    if (cell_create(&config, &w->cell, &diag) != 0 ||
        cell_function_create(w->cell, &function, &w->function, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
}

static void
world_init(struct world *w, unsigned executors)
{
    world_init_with(w, executors, (struct faaslet_config){.threads_max = 0});
}

static void
world_fini(struct world *w)
{
    cell_function_drop(w->function);
    cell_destroy(w->cell);
}

static uint64_t
start_call(struct world *w, struct cell_call call, struct answer *answer)
{
    uint64_t id = 0;

    answer_init(answer);
    call.on_end = on_end;
    call.context = answer;
    assert_int_equal(cell_start(w->function, &call, &id), 0);
    return id;
}

static uint64_t
start(struct world *w, const char *entry, enum kind kind, uint64_t count, struct answer *answer)
{
    return start_call(
        w,
        (struct cell_call){
            .entry = entry, .args = (uint64_t[]){kind, count}, .slot_count = 2, .result_slots = 1},
        answer);
}

static void
expect(struct world *w, const char *entry, enum kind kind, uint64_t count, uint64_t result)
{
    struct answer answer;

    (void)start(w, entry, kind, count, &answer);
    answer_wait(&answer, 1);
    if (answer.end.kind != CELL_DONE)
        fail_msg("%s: %s\n%s", entry, answer.message, answer.backtrace);
    assert_int_equal(answer.result, result);
}

/* Of threads that compute nobody is taken off where signals are held back. */
static void
skip_without_preemption(void)
{
    if (!HAS_PREEMPTION)
        skip();
}

/* ------------------------------------------------------------------------- at work */

static void
test_threads_work_for_their_call(void **state)
{
    struct world w;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        world_init(&w, EXECUTORS[i]);
        expect(&w, "run", ADD, 1, 1);
        expect(&w, "run", ADD, 40, 820);
        expect(&w, "open", GATE, 40, 40);
        expect(&w, "open", YIELDS, 10, 10);
        expect(&w, "chain", CHAIN, 50, 50);
        expect(&w, "run", SLEEP, 10, 0);
        expect(&w, "run", TIMED, 10, 0);
        expect(&w, "grown", GROW, 10, 12010);
        expect(&w, "ping", PONG, 1, PONGS);
        world_fini(&w);
    }
}

static void
test_who_spins_does_not_keep_off_the_one_it_waits_for(void **state)
{
    struct world w;

    (void)state;
    skip_without_preemption();
    for (size_t i = 0; i < 3; i++) {
        world_init(&w, EXECUTORS[i]);
        expect(&w, "open", SPIN_GATE, 6, 6);
        world_fini(&w);
    }
}

static void
test_a_thousand_threads_wait_in_one_call(void **state)
{
    /* Where it is moved again and again, all of them are. */
    const uint64_t count = getenv("WEFT_STRESS") != NULL ? 50 : 1000;
    struct world w;

    (void)state;
    world_init_with(&w, 2, (struct faaslet_config){.threads_max = 1001});
    expect(&w, "open", GATE, count, count);
    expect(&w, "run", ADD, count, count * (count + 1) / 2);
    world_fini(&w);
}

static void
test_many_calls_with_threads_at_once(void **state)
{
    static struct answer answers[CALLS];
    struct world w;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        world_init(&w, EXECUTORS[i]);
        for (unsigned j = 0; j < CALLS; j++)
            (void)start(&w, j % 2 == 0 ? "run" : "open", j % 2 == 0 ? ADD : GATE, 8, &answers[j]);
        for (unsigned j = 0; j < CALLS; j++) {
            answer_wait(&answers[j], 1);
            assert_int_equal(answers[j].end.kind, CELL_DONE);
            assert_int_equal(answers[j].result, j % 2 == 0 ? 36 : 8);
        }
        world_fini(&w);
    }
}

static void
test_threads_wait_for_descriptors_side_by_side(void **state)
{
    struct answer answer;
    struct world w;

    (void)state;
    world_init(&w, 1);
    for (size_t i = 0; i < ARRAY_COUNT(pipes); i++)
        assert_int_equal(pipe2(pipes[i], O_CLOEXEC | O_NONBLOCK), 0);
    (void)start(&w, "run", PIPE, 5, &answer);
    (void)usleep(5000);
    for (size_t i = 5; i >= 1; i--) {
        assert_int_equal(answer_count(&answer), 0);
        assert_int_equal(write(pipes[i][1], &"abcdef"[i], 1), 1);
    }
    answer_wait(&answer, 1);
    assert_int_equal(answer.result, 'b' + 'c' + 'd' + 'e' + 'f');
    for (size_t i = 0; i < ARRAY_COUNT(pipes); i++) {
        (void)close(pipes[i][0]);
        (void)close(pipes[i][1]);
    }
    world_fini(&w);
}

/* -------------------------------------------------------------------------- the end */

static void
test_the_call_ends_with_its_first_thread(void **state)
{
    struct world w;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        world_init(&w, EXECUTORS[i]);
        for (unsigned j = 0; j < 10; j++) {
            expect(&w, "leave", WAITS, 5, 5);
            expect(&w, "leave", RETURNS, 5, 5);
            expect(&w, "leave", GATE, 20, 5);
            if (HAS_PREEMPTION)
                expect(&w, "leave", SPINS, 3, 5);
            expect(&w, "left", 0, 0, 2); /* and nothing of it is left */
        }
        world_fini(&w);
    }
}

/* One thread of four does so while the first waits, or computes. */
static void
end_in_all_ways(unsigned how, void (*check)(const struct answer *answer))
{
    struct answer answer;
    struct world w;

    assert_int_equal(faaslet_image_abi(image)->meta->mode, ABI_THREADED);
    for (size_t i = 0; i < 3; i++) {
        world_init(&w, EXECUTORS[i]);
        for (unsigned j = 0; j < (HAS_PREEMPTION ? 2u : 1u); j++) {
            (void)start(&w, j == 0 ? "hang" : "spin", how, 3, &answer);
            answer_wait(&answer, 1);
            check(&answer);
        }
        world_fini(&w);
    }
}

static void
is_exit(const struct answer *answer)
{
    assert_int_equal(answer->end.kind, CELL_EXIT);
    assert_int_equal(answer->end.exit_code, 7);
}

static void
test_exit_in_any_thread_ends_the_call(void **state)
{
    (void)state;
    end_in_all_ways(EXITS, is_exit);
}

static void
is_trap(const struct answer *answer)
{
    assert_int_equal(answer->end.kind, CELL_TRAP);
    assert_int_equal(answer->end.trap, ABI_TRAP_UNREACHABLE);
    assert_memory_equal(answer->backtrace, "thread ", strlen("thread "));
    assert_non_null(strstr(answer->backtrace, "\n  #0 "));
    assert_non_null(strstr(answer->backtrace, "wasi_thread_start"));
}

static void
test_a_trap_in_any_thread_ends_the_call_with_its_backtrace(void **state)
{
    (void)state;
    end_in_all_ways(TRAPS, is_trap);
}

static void
test_limits_end_all_threads(void **state)
{
    struct answer answer;
    struct world w;

    (void)state;
    skip_without_preemption();
    world_init_with(&w, 2, (struct faaslet_config){.cpu_ns_max = 20000000});
    (void)start(&w, "hang", SPINS, 3, &answer);
    answer_wait(&answer, 1);
    assert_int_equal(answer.end.kind, CELL_KILLED);
    assert_int_equal(answer.end.limit, FAASLET_LIMIT_CPU);
    assert_true(answer.end.cpu_ns >= 20000000);
    world_fini(&w);
    world_init(&w, 1);
    (void)start_call(&w,
                     (struct cell_call){.entry = "hang",
                                        .args = (uint64_t[]){SPINS, 3},
                                        .slot_count = 2,
                                        .result_slots = 1,
                                        .deadline_ns = clock_now_ns() + 10000000},
                     &answer);
    answer_wait(&answer, 1);
    assert_int_equal(answer.end.kind, CELL_KILLED);
    assert_int_equal(answer.end.limit, FAASLET_LIMIT_TIME);
    world_fini(&w);
}

static void
test_a_call_whose_threads_sleep_ends_in_time(void **state)
{
    struct answer answer;
    struct world w;
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    for (size_t i = 0; i < ARRAY_COUNT(pipes); i++)
        pipes[i][0] = fds[0];
    world_init(&w, 2);
    (void)start_call(&w,
                     (struct cell_call){.entry = "hang",
                                        .args = (uint64_t[]){PIPE, 3},
                                        .slot_count = 2,
                                        .result_slots = 1,
                                        .deadline_ns = clock_now_ns() + 10000000},
                     &answer);
    answer_wait(&answer, 1);
    assert_int_equal(answer.end.kind, CELL_KILLED);
    assert_int_equal(answer.end.limit, FAASLET_LIMIT_TIME);
    world_fini(&w);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void
test_cancelling_ends_all_threads(void **state)
{
    static const enum kind kinds[] = {GATE, YIELDS, SPINS};
    struct answer answer;
    struct world w;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < (HAS_PREEMPTION ? 3u : 2u); j++) {
            uint64_t id;

            world_init(&w, EXECUTORS[i]);
            id = start(&w, j == 0 ? "make" : "hang", kinds[j], 8, &answer);
            (void)usleep(2000);
            assert_int_equal(cell_cancel(w.cell, id), 0);
            answer_wait(&answer, 1);
            assert_int_equal(answer.end.kind, CELL_CANCELLED);
            world_fini(&w);
        }
}

static void
test_destroying_the_cell_ends_all_threads(void **state)
{
    static const struct {
        const char *entry;
        enum kind kind;
    } kinds[] = {{"hang", YIELDS}, {"make", GATE}, {"make", RETURNS}, {"spin", WAITS}};
    static struct answer answers[8];
    struct world w;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (unsigned round = 0; round < 5; round++) {
            world_init(&w, EXECUTORS[i]);
            for (unsigned j = 0; j < 8; j++)
                (void)start(&w, kinds[j % (HAS_PREEMPTION ? 4u : 3u)].entry,
                            kinds[j % (HAS_PREEMPTION ? 4u : 3u)].kind, 10, &answers[j]);
            (void)usleep(round * 1000);
            world_fini(&w);
            for (unsigned j = 0; j < 8; j++) {
                assert_int_equal(answers[j].count, 1);
                assert_int_equal(answers[j].end.kind, CELL_CANCELLED);
            }
        }
}

static void
expect_deadlock(struct world *w, const char *entry, enum kind kind, unsigned count)
{
    struct answer answer;

    (void)start(w, entry, kind, count, &answer);
    answer_wait(&answer, 1);
    assert_int_equal(answer.end.kind, CELL_TRAP);
    assert_non_null(strstr(answer.message, "deadlock"));
    assert_non_null(strstr(answer.backtrace, "thread 0 waits:"));
    assert_non_null(strstr(answer.backtrace, "#0 "));
}

static void
test_a_deadlock_ends_the_call_and_says_where_all_wait(void **state)
{
    struct world w;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        world_init(&w, EXECUTORS[i]);
        expect_deadlock(&w, "hang", WAITS, 0);
        expect_deadlock(&w, "hang", WAITS, 2);
        expect_deadlock(&w, "run", GATE, 20);
        expect_deadlock(&w, "run", RETURNS, 3); /* the last to end leaves the first alone */
        expect_deadlock(&w, "hang", TIMED, 3);
        world_fini(&w);
    }
}

/* --------------------------------------------------------------------------- limits */

static void
test_too_many_threads_are_refused(void **state)
{
    struct answer answer;
    struct world w;

    (void)state;
    world_init_with(&w, 1, (struct faaslet_config){.threads_max = 4});
    expect(&w, "open", GATE, 3, 3);
    (void)start(&w, "run", GATE, 4, &answer);
    answer_wait(&answer, 1);
    assert_int_equal(answer.result, (uint64_t)-6); /* EAGAIN */
    assert_true((answer.end.refused & 1u << FAASLET_LIMIT_THREADS) != 0);
    expect(&w, "run", ADD, 3, 6); /* those of the last call are gone */
    world_fini(&w);
    world_init_with(&w, 1, (struct faaslet_config){.threads_max = 1});
    expect(&w, "run", ADD, 1, (uint64_t)-6);
    world_fini(&w);
}

static void
test_without_memory_for_a_thread_there_is_none(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 2);
    fault_arm("cell.thread", 2, -ENOMEM);
    expect(&w, "run", GATE, 4, (uint64_t)-48); /* ENOMEM */
    (void)fault_disarm();
    expect(&w, "run", ADD, 4, 10);
    world_fini(&w);
}

static void
test_what_cannot_have_threads_is_refused_by_name(void **state)
{
    static const struct {
        const char *text, *message;
        uint32_t threads;
    } bad[] = {
        {"(module (import \"wasi\" \"thread-spawn\" (func (param i32) (result i32)))"
         " (memory 1) (func (export \"wasi_thread_start\") (param i32 i32)))",
         "no shared memory", 0},
        {"(module (import \"wasi\" \"thread-spawn\" (func (param i32) (result i32)))"
         " (memory 1 2 shared))",
         "does not export wasi_thread_start", 0},
        {"(module (memory 1 2 shared))", "at most 4096", 4097},
    };
    struct cell_function_config config = {.faaslet = {.resolve = resolve}};
    struct cell_function *function = NULL;
    struct world w;

    (void)state;
    world_init(&w, 1);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct diag diag;

        diag_init(&diag);
        config.image = testing_image(bad[i].text, ABI_STANDALONE);
        config.faaslet.threads_max = bad[i].threads;
        assert_int_equal(cell_function_create(w.cell, &config, &function, &diag), -EINVAL);
        assert_non_null(strstr(diag_text(&diag), bad[i].message));
        faaslet_image_put(config.image);
    }
    assert_null(function);
    world_fini(&w);
}

/* --------------------------------------------------------------------- used again */

static void
test_a_place_with_threads_is_used_again(void **state)
{
    struct cell_usage usage;
    struct world w;

    (void)state;
    world_init(&w, 2);
    for (unsigned i = 0; i < 10; i++)
        expect(&w, "open", GATE, 5, 5);
    cell_usage(w.cell, &usage);
    assert_int_equal(usage.starts_warm + usage.starts_cold, 10);
    assert_true(usage.starts_cold <= 2);
    world_fini(&w);
}

/* --------------------------------------------------------------------- kept in mid-run */

struct keeper {
    struct answer answer;
    struct faaslet_frozen *frozen;
};

static void
on_end_keep(void *context, const struct cell_end *end)
{
    struct keeper *keeper = context;

    if (end->frozen != NULL)
        keeper->frozen = faaslet_frozen_get(end->frozen);
    on_end(&keeper->answer, end);
}

static struct faaslet_frozen *
save(struct world *w, enum kind kind, uint64_t count)
{
    struct keeper keeper = {.frozen = NULL};
    const struct cell_call call = {.entry = "save",
                                   .args = (uint64_t[]){kind, count},
                                   .slot_count = 2,
                                   .result_slots = 1,
                                   .save_at = "",
                                   .on_end = on_end_keep,
                                   .context = &keeper};
    uint64_t id;

    answer_init(&keeper.answer);
    assert_int_equal(cell_start(w->function, &call, &id), 0);
    answer_wait(&keeper.answer, 1);
    if (keeper.answer.end.kind != CELL_DONE)
        fail_msg("%s", keeper.answer.message);
    assert_non_null(keeper.frozen);
    return keeper.frozen;
}

static void
expect_going_on(struct world *w, struct faaslet_frozen *frozen, uint64_t result)
{
    struct cell_function_config config = {.frozen = frozen,
                                          .faaslet = {.resolve = resolve, .stack_bytes = 64 << 10}};
    struct cell_function *before = w->function;
    struct answer answer;

    assert_int_equal(cell_function_create(w->cell, &config, &w->function, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        (void)start_call(w, (struct cell_call){.result_slots = 1}, &answer);
        answer_wait(&answer, 1);
        if (answer.end.kind != CELL_DONE)
            fail_msg("%s\n%s", answer.message, answer.backtrace);
        assert_int_equal(answer.result, result);
    }
    cell_function_drop(w->function);
    w->function = before;
}

static void
test_a_proto_with_threads_goes_on_with_all_of_them(void **state)
{
    static const enum kind kinds[] = {GATE, YIELDS, SPIN_GATE};
    struct world w;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        world_init(&w, EXECUTORS[i]);
        for (size_t j = 0; j < (HAS_PREEMPTION ? 3u : 2u); j++) {
            struct faaslet_frozen *frozen = save(&w, kinds[j], 5);

            expect_going_on(&w, frozen, 5);
            faaslet_frozen_destroy(frozen);
        }
        world_fini(&w);
    }
}

static void
test_what_ends_before_it_can_be_saved_says_so(void **state)
{
    struct answer answer;
    struct world w;

    (void)state;
    world_init(&w, 2);
    (void)start_call(&w,
                     (struct cell_call){.entry = "hang",
                                        .args = (uint64_t[]){EXITS, 3},
                                        .slot_count = 2,
                                        .result_slots = 1,
                                        .save_at = ""},
                     &answer);
    answer_wait(&answer, 1);
    assert_int_equal(answer.end.kind, CELL_FAILED);
    assert_non_null(strstr(answer.message, "exit code 7"));
    world_fini(&w);
}

TESTING_IMAGE_GROUP(text)

/* ------------------------------------------------------------------ initialisation */

/* %s: what _initialize does. Threads add their argument to 64 and count at 68; of 9 it waits
 * for ever, of 8 it traps. */
#define INITIALISES \
    "(module (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))\n" \
    "  (memory (export \"memory\") 1 1 shared)\n" \
    "  (func $await (param $count i32) (local $now i32)\n" \
    "    (loop $more\n" \
    "      (local.set $now (i32.atomic.load (i32.const 68)))\n" \
    "      (if (i32.lt_u (local.get $now) (local.get $count)) (then\n" \
    "        (drop (memory.atomic.wait32 (i32.const 68) (local.get $now) (i64.const -1)))\n" \
    "        (br $more)))))\n" \
    "  (func $spin (param $count i32)\n" \
    "    (loop $more (br_if $more\n" \
    "      (i32.lt_u (i32.atomic.load (i32.const 68)) (local.get $count)))))\n" \
    "  (func $nap (drop (memory.atomic.wait32 (i32.const 72) (i32.const 0)\n" \
    "    (i64.const 1000000))))\n" \
    "  (func (export \"wasi_thread_start\") (param i32) (param $n i32)\n" \
    "    (if (i32.eq (local.get $n) (i32.const 8)) (then (unreachable)))\n" \
    "    (if (i32.eq (local.get $n) (i32.const 9)) (then (call $await (i32.const 100))))\n" \
    "    (if (i32.gt_u (local.get $n) (i32.const 1))\n" \
    "      (then (drop (call $spawn (i32.sub (local.get $n) (i32.const 1)))) (call $nap)))\n" \
    "    (drop (i32.atomic.rmw.add (i32.const 64) (local.get $n)))\n" \
    "    (drop (i32.atomic.rmw.add (i32.const 68) (i32.const 1)))\n" \
    "    (drop (memory.atomic.notify (i32.const 68) (i32.const -1))))\n" \
    "  (func (export \"_initialize\") %s)\n" \
    "  (func (export \"sum\") (param i32 i32) (result i32)\n" \
    "    (drop (call $spawn (i32.const 4))) (call $await (i32.const 7))\n" \
    "    (i32.load (i32.const 64))))"

static int
make(struct world *w, const char *does, struct diag *diag)
{
    const struct cell_config config = {.executors = 1, .slots_max = 4};
    struct cell_function_config function = {.init_ns_max = 5000000000};
    char source[sizeof(INITIALISES) + 256];
    int err;

    (void)snprintf(source, sizeof(source), INITIALISES, does);
    diag_init(diag);
    function.image = testing_image(source, ABI_THREADED);
    function.faaslet.resolve = resolve;
    assert_int_equal(cell_create(&config, &w->cell, diag), 0);
    err = cell_function_create(w->cell, &function, &w->function, diag);
    faaslet_image_put(function.image);
    return err;
}

static void
test_an_initialisation_may_have_threads_that_end(void **state)
{
    static const char *const texts[] = {
        "(drop (call $spawn (i32.const 3))) (call $await (i32.const 3))",
        "(drop (call $spawn (i32.const 3)))", /* the last ends after it */
        "(drop (call $spawn (i32.const 3))) (call $spin (i32.const 3))"};
    struct answer answer;
    struct diag diag;
    struct world w;

    (void)state;
    for (size_t i = 0; i < (HAS_PREEMPTION ? 3u : 2u); i++) {
        if (make(&w, texts[i], &diag) != 0)
            fail_msg("%s", diag_text(&diag));
        for (unsigned j = 0; j < 3; j++) {
            (void)start(&w, "sum", ADD, 0, &answer);
            answer_wait(&answer, 1);
            if (answer.end.kind != CELL_DONE)
                fail_msg("%s\n%s", answer.message, answer.backtrace);
            assert_int_equal(answer.result, (1 + 2 + 3) + (1 + 2 + 3 + 4));
        }
        world_fini(&w);
    }
}

static void
test_an_initialisation_whose_threads_do_not_end_says_so(void **state)
{
    static const char *const texts[][2] = {
        {"(drop (call $spawn (i32.const 9)))", "leaves threads that wait"},
        {"(drop (call $spawn (i32.const 9))) (call $await (i32.const 1))",
         "deadlock: every thread waits"},
        {"(drop (call $spawn (i32.const 8))) (call $await (i32.const 1))", "traps: unreachable"},
    };
    struct diag diag;
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        assert_int_equal(make(&w, texts[i][0], &diag), -EINVAL);
        if (strstr(diag_text(&diag), texts[i][1]) == NULL)
            fail_msg("%s", diag_text(&diag));
        cell_destroy(w.cell);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_work_for_their_call),
        cmocka_unit_test(test_who_spins_does_not_keep_off_the_one_it_waits_for),
        cmocka_unit_test(test_a_thousand_threads_wait_in_one_call),
        cmocka_unit_test(test_many_calls_with_threads_at_once),
        cmocka_unit_test(test_threads_wait_for_descriptors_side_by_side),
        cmocka_unit_test(test_the_call_ends_with_its_first_thread),
        cmocka_unit_test(test_exit_in_any_thread_ends_the_call),
        cmocka_unit_test(test_a_trap_in_any_thread_ends_the_call_with_its_backtrace),
        cmocka_unit_test(test_limits_end_all_threads),
        cmocka_unit_test(test_a_call_whose_threads_sleep_ends_in_time),
        cmocka_unit_test(test_cancelling_ends_all_threads),
        cmocka_unit_test(test_destroying_the_cell_ends_all_threads),
        cmocka_unit_test(test_a_deadlock_ends_the_call_and_says_where_all_wait),
        cmocka_unit_test(test_too_many_threads_are_refused),
        cmocka_unit_test(test_without_memory_for_a_thread_there_is_none),
        cmocka_unit_test(test_what_cannot_have_threads_is_refused_by_name),
        cmocka_unit_test(test_a_place_with_threads_is_used_again),
        cmocka_unit_test(test_a_proto_with_threads_goes_on_with_all_of_them),
        cmocka_unit_test(test_what_ends_before_it_can_be_saved_says_so),
        cmocka_unit_test(test_an_initialisation_may_have_threads_that_end),
        cmocka_unit_test(test_an_initialisation_whose_threads_do_not_end_says_so),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
