/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's functions with threads: their limit, what they are told, and threads of one call
 * that wait for two things of the cell's at one time.
 */
#include "../../tests/cell_client.h"
#include "../../tests/cell_thread.h"

#define KIND(name) RPC__CELL_END_KIND__CELL_END_##name

/* 64: sum, 68: how many are over. fan: a thread for each of four, which chains a "leaf" with its
 * number, awaits it and adds what it says. nap: the same with poll_oneoff. All leave with the sum
 * as exit code; with 100 where there is no thread. */
static const char text[] =
    "(module\n"
    "  (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))\n"
    "  (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))\n"
    "  (import \"wasi_snapshot_preview1\" \"poll_oneoff\"\n"
    "    (func $poll (param i32 i32 i32 i32) (result i32)))\n"
    "  (import \"weft\" \"processors\" (func $processors (result i32)))\n"
    "  (import \"weft\" \"input_read\"\n"
    "    (func $input (param i32 i32 i32 i32) (result i32)))\n"
    "  (import \"weft\" \"output\" (func $output (param i32 i32) (result i32)))\n"
    "  (import \"weft\" \"chain\"\n"
    "    (func $chain (param i32 i32 i32 i32 i32 i64 i32) (result i32)))\n"
    "  (import \"weft\" \"await\"\n"
    "    (func $await_call (param i32 i32 i32 i64 i32 i32) (result i32)))\n"
    "  (import \"weft\" \"read\"\n"
    "    (func $read (param i64 i32 i32 i32 i32 i32) (result i32)))\n"
    "  (memory (export \"memory\") 2 2 shared)\n"
    "  (data (i32.const 16) \"leaf\")\n"
    "  (func $must (param i32) (if (local.get 0) (then (unreachable))))\n"
    "  (func $over (param $n i32)\n"
    "    (drop (i32.atomic.rmw.add (i32.const 64) (local.get $n)))\n"
    "    (drop (i32.atomic.rmw.add (i32.const 68) (i32.const 1)))\n"
    "    (drop (memory.atomic.notify (i32.const 68) (i32.const -1))))\n"
    /* 256 bytes from 4096 on are each thread's: input, handle, end, place, result, done */
    "  (func $fan (param $n i32) (param $at i32)\n"
    "    (i32.store (local.get $at) (i32.mul (local.get $n) (i32.const 3)))\n"
    "    (call $must (call $chain (i32.const 16) (i32.const 4) (local.get $at) (i32.const 4)\n"
    "      (i32.const 0) (i64.const 0) (i32.add (local.get $at) (i32.const 8))))\n"
    "    (call $must (call $await_call (i32.add (local.get $at) (i32.const 8)) (i32.const 1)\n"
    "      (i32.const 0) (i64.const -1) (i32.add (local.get $at) (i32.const 16))\n"
    "      (i32.add (local.get $at) (i32.const 32))))\n"
    "    (call $must (call $read (i64.load (i32.add (local.get $at) (i32.const 8)))\n"
    "      (i32.const 0) (i32.const 0) (i32.add (local.get $at) (i32.const 40)) (i32.const 4)\n"
    "      (i32.add (local.get $at) (i32.const 48))))\n"
    "    (call $over (i32.load (i32.add (local.get $at) (i32.const 40)))))\n"
    /* a subscription to the monotonic clock, so many milliseconds from now */
    "  (func $nap (param $n i32) (param $at i32)\n"
    "    (i32.store (i32.add (local.get $at) (i32.const 16)) (i32.const 1))\n"
    "    (i64.store (i32.add (local.get $at) (i32.const 24))\n"
    "      (i64.mul (i64.const 1000000) (i64.extend_i32_u (local.get $n))))\n"
    "    (call $must (call $poll (local.get $at) (i32.add (local.get $at) (i32.const 64))\n"
    "      (i32.const 1) (i32.add (local.get $at) (i32.const 128))))\n"
    "    (call $over (local.get $n)))\n"
    "  (func (export \"wasi_thread_start\") (param $id i32) (param $n i32) (local $at i32)\n"
    "    (local.set $at (i32.add (i32.const 4096) (i32.shl (local.get $n) (i32.const 8))))\n"
    "    (if (i32.gt_u (local.get $n) (i32.const 8))\n"
    "      (then (call $nap (i32.sub (local.get $n) (i32.const 8)) (local.get $at)))\n"
    "      (else (call $fan (local.get $n) (local.get $at)))))\n"
    "  (func $all (param $first i32) (local $i i32) (local $now i32)\n"
    "    (loop $more\n"
    "      (if (i32.lt_s (call $spawn (i32.add (local.get $first) (local.get $i)))\n"
    "        (i32.const 0)) (then (call $exit (i32.const 100))))\n"
    "      (local.set $i (i32.add (local.get $i) (i32.const 1)))\n"
    "      (br_if $more (i32.lt_u (local.get $i) (i32.const 4))))\n"
    "    (loop $wait\n"
    "      (local.set $now (i32.atomic.load (i32.const 68)))\n"
    "      (if (i32.ne (local.get $now) (i32.const 4)) (then\n"
    "        (drop (memory.atomic.wait32 (i32.const 68) (local.get $now) (i64.const -1)))\n"
    "        (br $wait))))\n"
    "    (call $exit (i32.load (i32.const 64))))\n"
    "  (func (export \"fan\") (call $all (i32.const 1)))\n"
    "  (func (export \"nap\") (call $all (i32.const 9)))\n"
    "  (func (export \"processors\") (call $exit (call $processors)))\n"
    "  (func (export \"leaf\")\n"
    "    (call $must (call $input (i32.const 0) (i32.const 1024) (i32.const 4)\n"
    "      (i32.const 1032)))\n"
    "    (call $must (call $output (i32.const 1024) (i32.const 4)))))\n";

static int image_fd;

static void
put(struct client *client, uint64_t number, const char *entry, uint32_t threads)
{
    Rpc__CellLimits limits = RPC__CELL_LIMITS__INIT;
    Rpc__CellPut words = RPC__CELL_PUT__INIT;

    limits.threads = threads;
    words.function = number;
    words.name = words.entry = (char *)(uintptr_t)entry;
    words.limits = &limits;
    client_put(client, words, &image_fd, 1);
    client_expect_put(client, number);
}

static void
expect_exit(struct client *client, uint64_t function, int code, uint32_t refused)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    Rpc__CellReply *reply;

    call.function = function;
    reply = client_end(client, client_call(client, call, NULL));
    if (reply->end->kind != KIND(EXIT))
        fail_msg("kind %d: %s\n%s", (int)reply->end->kind, reply->end->message,
                 reply->end->backtrace);
    assert_int_equal(reply->end->exit_code, code);
    assert_int_equal(reply->end->refused, refused);
    reply_free(reply);
}

static void
test_threads_of_a_call_wait_for_calls_and_times_side_by_side(void **state)
{
    struct client client;

    (void)state;
    for (uint32_t executors = 1; executors <= 2; executors++) {
        client_open(&client, executors);
        put(&client, 1, "leaf", 0);
        put(&client, 2, "fan", 0);
        put(&client, 3, "nap", 0);
        for (unsigned i = 0; i < 5; i++) {
            expect_exit(&client, 2, 3 * (1 + 2 + 3 + 4), 0);
            expect_exit(&client, 3, 1 + 2 + 3 + 4, 0);
        }
        assert_int_equal(client_close(&client), 0);
    }
}

static void
test_a_limit_of_threads_is_kept_and_told(void **state)
{
    struct client client;

    (void)state;
    client_open(&client, 2);
    put(&client, 1, "nap", 5);
    put(&client, 2, "nap", 4);
    put(&client, 3, "nap", 1);
    expect_exit(&client, 1, 10, 0);
    expect_exit(&client, 2, 100, RPC__CELL_LIMIT__CELL_LIMIT_THREADS);
    expect_exit(&client, 3, 100, RPC__CELL_LIMIT__CELL_LIMIT_THREADS);
    assert_int_equal(client_close(&client), 0);
}

static void
test_processors_are_the_cells_but_not_more_than_threads(void **state)
{
    struct client client;

    (void)state;
    client_open(&client, 3);
    put(&client, 1, "processors", 0);
    put(&client, 2, "processors", 2);
    put(&client, 3, "processors", 1);
    expect_exit(&client, 1, 3, 0);
    expect_exit(&client, 2, 2, 0);
    expect_exit(&client, 3, 1, 0);
    assert_int_equal(client_close(&client), 0);
}

static void
test_more_threads_than_can_be_are_refused_by_name(void **state)
{
    Rpc__CellLimits limits = RPC__CELL_LIMITS__INIT;
    Rpc__CellPut words = RPC__CELL_PUT__INIT;
    struct client client;
    Rpc__CellReply *reply;

    (void)state;
    client_open(&client, 1);
    limits.threads = FAASLET_THREADS_MAX + 1;
    words.function = 1;
    words.limits = &limits;
    client_put(&client, words, &image_fd, 1);
    reply = client_await(&client, RPC__CELL_REPLY__IS_PUT_DONE);
    assert_int_equal(reply->put_done->err, -EINVAL);
    assert_non_null(strstr(reply->put_done->message, "at most 4096"));
    reply_free(reply);
    assert_int_equal(client_close(&client), 0);
}

static int
setup(void **state)
{
    (void)state;
    image_fd = testing_compile(text, ABI_STANDALONE, 1);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    (void)close(image_fd);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_of_a_call_wait_for_calls_and_times_side_by_side),
        cmocka_unit_test(test_a_limit_of_threads_is_kept_and_told),
        cmocka_unit_test(test_processors_are_the_cells_but_not_more_than_threads),
        cmocka_unit_test(test_more_threads_than_can_be_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
