/* SPDX-License-Identifier: Apache-2.0
 *
 * /dev/weft in a served cell: a guest that has nothing but WASI chains.
 */
#ifndef WEFT_TESTS_DEVICE_SCENARIOS_H
#define WEFT_TESTS_DEVICE_SCENARIOS_H

#include "cell_client.h"

/* Descriptor 3 is the device, as the functions have no directories.
 *
 *   double  twice the number that it reads, as its result; traps at 0
 *   fan     doubles 1 to the number that it reads, all at a time, and adds up
 *   bad     reads the result of doubling 0: what fd_read says, then how that ended */
static const char device_guest[] =
    "(module\n"
    "(import \"wasi_snapshot_preview1\" \"fd_write\"\n"
    "  (func $fd_write (param i32 i32 i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"fd_read\"\n"
    "  (func $fd_read (param i32 i32 i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"fd_sync\" (func $fd_sync (param i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"fd_close\" (func $fd_close (param i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"path_open\"\n"
    "  (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))\n"
    "(memory (export \"memory\") 1)\n"
    "(data (i32.const 1024) \"call/double\") (data (i32.const 1040) \"result\")\n"
    "(data (i32.const 1072) \"call:4/double\")\n"
    "(data (i32.const 1056) \"end:4\")\n"
    "(func $must (param $err i32)\n"
    "  (if (local.get $err) (then (call $exit (local.get $err)))))\n"
    "(func $open (param $at i32) (param $count i32) (param $rights i64) (result i32)\n"
    "  (call $must (call $path_open (i32.const 3) (i32.const 0) (local.get $at)\n"
    "    (local.get $count) (i32.const 0) (local.get $rights) (i64.const 0) (i32.const 0)\n"
    "    (i32.const 64)))\n"
    "  (i32.load (i32.const 64)))\n"
    "(func $vector (param $at i32) (param $count i32)\n"
    "  (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $count)))\n"
    "(func $write (param $fd i32) (param $at i32) (param $count i32)\n"
    "  (call $vector (local.get $at) (local.get $count))\n"
    "  (call $must (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1)\n"
    "    (i32.const 8))))\n"
    "(func $read (param $fd i32) (result i32)\n"
    "  (call $vector (i32.const 256) (i32.const 512))\n"
    "  (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))\n"
    "(func $answer (param $value i64)\n"
    "  (i64.store (i32.const 256) (local.get $value))\n"
    "  (call $write (call $open (i32.const 1040) (i32.const 6) (i64.const 64))\n"
    "    (i32.const 256) (i32.const 8)))\n"
    "(func (export \"double\")\n"
    "  (call $must (call $read (i32.const 0)))\n"
    "  (if (i64.eqz (i64.load (i32.const 256))) (then unreachable))\n"
    "  (call $answer (i64.mul (i64.const 2) (i64.load (i32.const 256)))))\n"
    "(func (export \"fan\") (local $count i32) (local $i i32) (local $sum i64)\n"
    "  (call $must (call $read (i32.const 0)))\n"
    "  (local.set $count (i32.load (i32.const 256)))\n"
    "  (loop $start\n"
    "    (local.set $i (i32.add (local.get $i) (i32.const 1)))\n"
    "    (i32.store (i32.add (i32.const 2048) (i32.mul (local.get $i) (i32.const 4)))\n"
    "      (call $open (i32.const 1024) (i32.const 11) (i64.const 82)))\n"
    "    (i64.store (i32.const 256) (i64.extend_i32_u (local.get $i)))\n"
    "    (call $write (call $file (local.get $i)) (i32.const 256) (i32.const 8))\n"
    "    (call $must (call $fd_sync (call $file (local.get $i))))\n"
    "    (br_if $start (i32.lt_u (local.get $i) (local.get $count))))\n"
    "  (loop $take\n"
    "    (call $must (call $read (call $file (local.get $i))))\n"
    "    (local.set $sum (i64.add (local.get $sum) (i64.load (i32.const 256))))\n"
    "    (call $must (call $fd_close (call $file (local.get $i))))\n"
    "    (br_if $take (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))\n"
    "  (call $answer (local.get $sum)))\n"
    "(func $file (param $i i32) (result i32)\n"
    "  (i32.load (i32.add (i32.const 2048) (i32.mul (local.get $i) (i32.const 4)))))\n"
    "(func (export \"bad\") (local $fd i32)\n"
    "  (local.set $fd (call $open (i32.const 1072) (i32.const 13) (i64.const 82)))\n"
    "  (i64.store (i32.const 256) (i64.const 0))\n"
    "  (call $write (local.get $fd) (i32.const 256) (i32.const 8))\n"
    "  (if (i32.ne (call $read (local.get $fd)) (i32.const 29)) (then (call $exit (i32.const "
    "99))))\n"
    "  (call $must (call $read (call $open (i32.const 1056) (i32.const 5) (i64.const 2))))\n"
    "  (call $write (i32.const 1) (i32.const 256) (i32.load (i32.const 8)))))\n";

static uint64_t
device_call(struct client *client, uint64_t function, uint64_t value)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;

    call.function = function;
    call.input = (ProtobufCBinaryData){sizeof(value), (uint8_t *)&value};
    return client_call(client, call, NULL);
}

static void
device_open_cell(struct client *client)
{
    static const char *const entries[] = {"double", "fan", "bad"};
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    int image = testing_compile(device_guest, ABI_STANDALONE, 1);

    client_connect(client);
    setup.executors = 2;
    setup.slots_max = 16; /* so that some are parked */
    client_setup(client, setup);
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        put.function = i + 1;
        put.name = put.entry = (char *)(uintptr_t)entries[i];
        client_put(client, put, &image, 1);
        client_expect_put(client, i + 1);
    }
    (void)close(image);
}

static void
test_a_guest_with_nothing_but_files_chains_many(void **state)
{
    static const uint64_t counts[] = {1, 7, 500};
    struct client client;

    (void)state;
    device_open_cell(&client);
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        Rpc__CellReply *reply = client_end(&client, device_call(&client, 2, counts[i]));
        uint64_t sum;

        if (reply->end->kind != RPC__CELL_END_KIND__CELL_END_DONE)
            fail_msg("kind %d, exit code %d: %s", (int)reply->end->kind, reply->end->exit_code,
                     reply->end->message);
        assert_int_equal(reply->end->result.len, sizeof(sum));
        (void)memcpy(&sum, reply->end->result.data, sizeof(sum));
        assert_int_equal(sum, counts[i] * (counts[i] + 1));
        assert_int_equal(reply->end->chained, counts[i]);
        reply_free(reply);
    }
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_guest_with_nothing_but_files_hears_how_a_call_ended(void **state)
{
    static const char expected[] = "{\"status\":\"trap\",\"code\":";
    struct client client;
    Rpc__CellReply *reply;

    (void)state;
    device_open_cell(&client);
    reply = client_end(&client, device_call(&client, 3, 0));
    if (reply->end->kind != RPC__CELL_END_KIND__CELL_END_DONE)
        fail_msg("kind %d, exit code %d: %s", (int)reply->end->kind, reply->end->exit_code,
                 reply->end->message);
    assert_true(reply->end->output.len > sizeof(expected));
    assert_memory_equal(reply->end->output.data, expected, sizeof(expected) - 1);
    reply_free(reply);
    assert_int_equal(client_close(&client), 0);
}

#define DEVICE_SCENARIOS \
    cmocka_unit_test(test_a_guest_with_nothing_but_files_chains_many), \
        cmocka_unit_test(test_a_guest_with_nothing_but_files_hears_how_a_call_ended)

#endif
