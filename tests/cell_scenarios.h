/* SPDX-License-Identifier: Apache-2.0
 *
 * What a served cell does, wherever it runs: in this process, or sealed in a jail.
 */
#ifndef WEFT_TESTS_CELL_SCENARIOS_H
#define WEFT_TESTS_CELL_SCENARIOS_H

#include "cell_client.h"

#include <signal.h>
#include <sys/stat.h>

#include "hostcall/hostcall.h"

/* ThreadSanitizer holds signals back until the program calls something: a guest that
 * only computes is never taken off. */
#ifdef __SANITIZE_THREAD__
#define HAS_PREEMPTION false
#else
#define HAS_PREEMPTION true
#endif

#define WASI_EMFILE 33

enum kind {
    DONE = RPC__CELL_END_KIND__CELL_END_DONE,
    EXIT = RPC__CELL_END_KIND__CELL_END_EXIT,
    TRAP = RPC__CELL_END_KIND__CELL_END_TRAP,
    LIMIT = RPC__CELL_END_KIND__CELL_END_LIMIT,
    CANCELLED = RPC__CELL_END_KIND__CELL_END_CANCELLED,
    FAILED = RPC__CELL_END_KIND__CELL_END_FAILED,
};

static int
compile(const char *text)
{
    return testing_compile(text, ABI_STANDALONE, 1);
}

static uint64_t
call_add(struct client *client, uint64_t function, uint64_t a, uint64_t b)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    uint64_t values[] = {a, b};

    call.function = function;
    call.entry = (char *)(uintptr_t)"add";
    call.values = values;
    call.n_values = 2;
    call.result_slots = 1;
    return client_call(client, call, NULL);
}

static uint64_t
call_with_result(struct client *client, uint64_t function, const char *entry, uint64_t value)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;

    call.function = function;
    call.entry = (char *)(uintptr_t)entry;
    call.values = &value;
    call.n_values = value != NO_VALUE ? 1 : 0;
    call.result_slots = 1;
    return client_call(client, call, NULL);
}

static void
test_calls_begin_in_what_initialisation_left(void **state)
{
    struct client client;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 9, NULL);
    expect_result(&client, call_add(&client, 9, 40, 2), 42);
    for (unsigned i = 0; i < 5; i++)
        expect_result(&client, call_with_result(&client, 9, "leave", NO_VALUE), 77);
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_command_has_output_and_log_of_its_own(void **state)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    struct client client;
    Rpc__CellReply *reply;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    call.function = 1;
    reply = client_end(&client, client_call(&client, call, NULL));
    assert_int_equal(reply->end->kind, DONE);
    assert_int_equal(reply->end->output.len, 8);
    assert_memory_equal(reply->end->output.data, "started\n", 8);
    assert_int_equal(reply->end->log.len, 0);
    assert_true(reply->end->wall_ns > 0);
    reply_free(reply);
    reply = client_end(&client, client_call_entry(&client, 1, "log", NO_VALUE));
    assert_int_equal(reply->end->output.len, 0);
    assert_int_equal(reply->end->log.len, 7);
    reply_free(reply);
    assert_int_equal(client_close(&client), 0);
}

static void
test_input_is_read_to_its_end(void **state)
{
    enum { BYTES = 300000 };
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    struct client client;
    Rpc__CellReply *reply;
    uint8_t *input = malloc(BYTES);

    (void)state;
    for (size_t i = 0; i < BYTES; i++)
        input[i] = (uint8_t)(i * 31 + (i >> 9));
    client_open(&client, 2);
    client_put_guest(&client, 1, NULL);
    call.function = 1;
    call.entry = (char *)(uintptr_t)"echo";
    call.result_slots = 1;
    call.input = (ProtobufCBinaryData){BYTES, input};
    reply = client_end(&client, client_call(&client, call, NULL));
    assert_int_equal(reply->end->kind, DONE);
    assert_int_equal(reply->end->results[0], BYTES);
    assert_int_equal(reply->end->output.len, BYTES);
    assert_memory_equal(reply->end->output.data, input, BYTES);
    reply_free(reply);
    free(input);
    assert_int_equal(client_close(&client), 0);
}

struct piped {
    uint64_t call;
    int in, out; /* ours */
};

static struct piped
call_piped(struct client *client, uint64_t function)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    int in[2], out[2], stdio[3];
    struct piped piped;

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    stdio[0] = in[0];
    stdio[1] = out[1];
    stdio[2] = 2;
    call.function = function;
    call.entry = (char *)(uintptr_t)"echo";
    call.result_slots = 1;
    piped.call = client_call(client, call, stdio);
    (void)close(in[0]);
    (void)close(out[1]);
    piped.in = in[1];
    piped.out = out[0];
    return piped;
}

static void
finish_piped(struct client *client, const struct piped *piped, const char *text)
{
    char got[16] = "";

    assert_int_equal(write(piped->in, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(read(piped->out, got, sizeof(got)), (ssize_t)strlen(text));
    assert_string_equal(got, text);
    (void)close(piped->in);
    expect_result(client, piped->call, strlen(text));
    assert_int_equal(read(piped->out, got, sizeof(got)), 0); /* nobody holds it any more */
    (void)close(piped->out);
}

static void
test_a_call_waits_for_a_pipe(void **state)
{
    struct client client;
    struct piped piped;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    piped = call_piped(&client, 1);
    expect_result(&client, call_add(&client, 1, 1, 2), 3); /* one executor: the other waits */
    finish_piped(&client, &piped, "hello");
    assert_int_equal(client_close(&client), 0);
}

/* Forty calls wait on two slots: most are parked, and go on in another's. */
static void
test_more_calls_wait_than_there_are_slots(void **state)
{
    enum { COUNT = 40 };
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    struct piped piped[COUNT];
    struct client client;
    Rpc__CellUsage usage;

    (void)state;
    setup.executors = 2;
    setup.slots_max = 2;
    client_connect(&client);
    client_setup(&client, setup);
    client_put_guest(&client, 1, NULL);
    for (unsigned i = 0; i < COUNT; i++)
        piped[i] = call_piped(&client, 1);
    do {
        (void)usleep(1000);
        usage = client_usage(&client);
    } while (usage.parked < COUNT - 2);
    assert_int_equal(usage.calls, COUNT);
    assert_true(usage.slots <= 2 && usage.parked_bytes > 0);
    for (unsigned i = 0; i < COUNT; i++) {
        char text[16];

        (void)snprintf(text, sizeof(text), "call %u", i);
        finish_piped(&client, &piped[i], text);
    }
    usage = client_usage(&client);
    assert_int_equal(usage.calls, 0);
    assert_int_equal(usage.parked, 0);
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_call_sleeps(void **state)
{
    struct client client;
    uint64_t calls[8];
    Rpc__CellReply *reply;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    for (unsigned i = 0; i < 8; i++)
        calls[i] = call_with_result(&client, 1, "sleep", 20 * MS);
    for (unsigned i = 0; i < 8; i++) {
        reply = client_end(&client, calls[i]);
        assert_int_equal(reply->end->kind, DONE);
        assert_int_equal(reply->end->results[0], 0);
        assert_true(reply->end->wall_ns >= 20 * MS);
        reply_free(reply);
    }
    assert_int_equal(client_close(&client), 0);
}

static void
test_every_clock_has_a_resolution(void **state)
{
    struct client client;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    for (uint64_t clock = 0; clock < 4; clock++)
        expect_result(&client, call_with_result(&client, 1, "resolution", clock), 1);
    assert_int_equal(client_close(&client), 0);
}

static void
test_standard_streams_may_be_sockets(void **state)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    struct client client;
    char got[16] = "";
    uint64_t number;
    int ends[2];

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    call.function = 1;
    call.entry = (char *)(uintptr_t)"echo";
    call.result_slots = 1;
    number = client_call(&client, call, (int[]){ends[1], ends[1], ends[1]});
    (void)close(ends[1]);
    assert_int_equal(write(ends[0], "socket", 6), 6);
    assert_int_equal(read(ends[0], got, sizeof(got)), 6);
    assert_string_equal(got, "socket");
    assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
    expect_result(&client, number, 6);
    (void)close(ends[0]);
    assert_int_equal(client_close(&client), 0);
}

static void
test_each_end_is_told_with_its_reason(void **state)
{
    struct client client;
    Rpc__CellReply *reply;

    (void)state;
    client_open(&client, 2);
    client_put_guest(&client, 1, NULL);
    reply = client_end(&client, client_call_entry(&client, 1, "exit", 42));
    assert_int_equal(reply->end->kind, EXIT);
    assert_int_equal(reply->end->exit_code, 42);
    reply_free(reply);
    reply = client_end(&client, client_call_entry(&client, 1, "bad", NO_VALUE));
    assert_int_equal(reply->end->kind, TRAP);
    assert_non_null(strstr(reply->end->message, "unreachable"));
    assert_non_null(strstr(reply->end->backtrace, "#0"));
    reply_free(reply);
    expect_end(&client, client_call_entry(&client, 1, "nothing", NO_VALUE),
               (Rpc__CellEndKind)FAILED, "no exported function");
    expect_end(&client, client_call_entry(&client, 1, "spin", 3), (Rpc__CellEndKind)FAILED,
               "arguments");
    expect_end(&client, client_call_entry(&client, 2, "add", NO_VALUE), (Rpc__CellEndKind)FAILED,
               "no such function");
    assert_int_equal(client_close(&client), 0);
}

static void
expect_limit(struct client *client, uint64_t call, unsigned limit, const char *words)
{
    Rpc__CellReply *reply = client_end(client, call);

    if (reply->end->kind != (Rpc__CellEndKind)LIMIT || strcmp(reply->end->message, words) != 0)
        fail_msg("kind %d: %s", (int)reply->end->kind, reply->end->message);
    assert_int_equal(reply->end->limit, limit);
    reply_free(reply);
}

static void
test_limits_are_named_with_their_values(void **state)
{
    Rpc__CellLimits limits = RPC__CELL_LIMITS__INIT;
    struct client client;
    Rpc__CellReply *reply;

    (void)state;
    client_open(&client, 2);
    limits.output_bytes = 100000;
    client_put_guest(&client, 1, &limits);
    expect_limit(&client, client_call_entry(&client, 1, "flood", NO_VALUE),
                 RPC__CELL_LIMIT__CELL_LIMIT_OUTPUT,
                 "it wrote more than its output limit of 100000 bytes");
    limits.output_bytes = 0;
    limits.wall_ns = 200 * MS;
    limits.memory_bytes = 20 * 65536;
    client_put_guest(&client, 2, &limits);
    expect_limit(&client, call_with_result(&client, 2, "sleep", 60000 * MS),
                 RPC__CELL_LIMIT__CELL_LIMIT_TIME, "it ran longer than its time limit of 0.2 s");
    expect_result(&client, call_with_result(&client, 2, "grow", 19), 1);
    reply = client_end(&client, call_with_result(&client, 2, "grow", 20));
    assert_int_equal(reply->end->results[0], UINT32_MAX);
    assert_int_equal(reply->end->refused, RPC__CELL_LIMIT__CELL_LIMIT_MEMORY);
    reply_free(reply);
    if (HAS_PREEMPTION) {
        expect_limit(&client, client_call_entry(&client, 2, "spin", NO_VALUE),
                     RPC__CELL_LIMIT__CELL_LIMIT_TIME,
                     "it ran longer than its time limit of 0.2 s");
        limits.cpu_ns = 50 * MS;
        limits.wall_ns = 0;
        client_put_guest(&client, 3, &limits);
        expect_limit(&client, client_call_entry(&client, 3, "spin", NO_VALUE),
                     RPC__CELL_LIMIT__CELL_LIMIT_CPU,
                     "it used more processor time than its limit of 0.05 s");
    }
    assert_int_equal(client_close(&client), 0);
}

/* Opens the directory that it has again and again; the first error. */
static const char opener[] =
    "(module\n"
    "  (import \"wasi_snapshot_preview1\" \"path_open\" (func $open\n"
    "    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))\n"
    "  (memory (export \"memory\") 1) (data (i32.const 0) \".\")\n"
    "  (func (export \"open\") (param i32) (result i32) (local $err i32)\n"
    "    (loop $more\n"
    "      (local.set $err (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1)\n"
    "        (i32.const 2) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 64)))\n"
    "      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))\n"
    "      (br_if $more (i32.and (i32.eqz (local.get $err)) (i32.ne (local.get 0) (i32.const "
    "0)))))\n"
    "    (local.get $err)))";

static void
put_opener(struct client *client, uint64_t function, uint32_t files)
{
    Rpc__CellDirectory directory = RPC__CELL_DIRECTORY__INIT, *directories = &directory;
    Rpc__CellLimits limits = RPC__CELL_LIMITS__INIT;
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), image = compile(opener);

    limits.files = files;
    directory.guest_path = (char *)(uintptr_t)".";
    directory.is_read_only = true;
    put.function = function;
    put.limits = &limits;
    put.directories = &directories;
    put.n_directories = 1;
    client_put(client, put, (int[]){image, folder}, 2);
    client_expect_put(client, function);
    (void)close(folder);
    (void)close(image);
}

static void
expect_refused(struct client *client, uint64_t call, uint64_t result, uint32_t refused)
{
    Rpc__CellReply *reply = client_end(client, call);

    assert_int_equal(reply->end->kind, DONE);
    assert_int_equal(reply->end->results[0], result);
    assert_int_equal(reply->end->refused, refused);
    reply_free(reply);
}

/* Each limit is met beside calls that wait and calls that come and go. */
static void
test_who_meets_a_limit_meets_it_alone(void **state)
{
    Rpc__CellLimits limits = RPC__CELL_LIMITS__INIT;
    struct piped neighbours[3];
    struct client client;
    uint64_t met[5];

    (void)state;
    client_open(&client, 2);
    limits.wall_ns = 150 * MS;
    limits.output_bytes = 1000;
    limits.memory_bytes = 4 * 65536;
    client_put_guest(&client, 1, NULL);
    client_put_guest(&client, 2, &limits);
    put_opener(&client, 3, 7);
    for (unsigned i = 0; i < ARRAY_COUNT(neighbours); i++)
        neighbours[i] = call_piped(&client, 1);
    for (unsigned round = 0; round < 3; round++) {
        met[0] = call_with_result(&client, 2, "sleep", 60000 * MS);
        met[1] = client_call_entry(&client, 2, "flood", NO_VALUE);
        met[2] = call_with_result(&client, 2, "grow", 4);
        met[3] = call_with_result(&client, 3, "open", 9);
        met[4] = call_with_result(&client, 3, "open", 3);
        for (uint64_t i = 0; i < 20; i++)
            expect_result(&client, call_add(&client, 1, i, round), i + round);
        expect_limit(&client, met[1], RPC__CELL_LIMIT__CELL_LIMIT_OUTPUT,
                     "it wrote more than its output limit of 1000 bytes");
        expect_refused(&client, met[2], UINT32_MAX, RPC__CELL_LIMIT__CELL_LIMIT_MEMORY);
        expect_refused(&client, met[3], WASI_EMFILE, RPC__CELL_LIMIT__CELL_LIMIT_FILES);
        expect_refused(&client, met[4], 0, 0);
        expect_limit(&client, met[0], RPC__CELL_LIMIT__CELL_LIMIT_TIME,
                     "it ran longer than its time limit of 0.15 s");
        expect_result(&client, call_with_result(&client, 1, "leave", NO_VALUE), 77);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(neighbours); i++)
        finish_piped(&client, &neighbours[i], "unharmed");
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_call_may_have_a_shorter_time_than_its_function(void **state)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    struct client client;
    uint64_t value = 60000 * MS;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    call.function = 1;
    call.entry = (char *)(uintptr_t)"sleep";
    call.values = &value;
    call.n_values = 1;
    call.wall_ns = 30 * MS;
    expect_limit(&client, client_call(&client, call, NULL), RPC__CELL_LIMIT__CELL_LIMIT_TIME,
                 "it ran longer than its time limit of 0.03 s");
    assert_int_equal(client_close(&client), 0);
}

static void
test_memory_grows(void **state)
{
    struct client client;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    for (unsigned i = 0; i < 4; i++) {
        expect_result(&client, call_with_result(&client, 1, "grow", 400), 1);
        expect_result(&client, call_with_result(&client, 1, "leave", NO_VALUE), 77);
    }
    assert_int_equal(client_close(&client), 0);
}

static void
test_computing_guests_let_others_run(void **state)
{
    struct client client;
    uint64_t spins[3];

    (void)state;
    if (!HAS_PREEMPTION)
        skip();
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    for (unsigned i = 0; i < 3; i++)
        spins[i] = client_call_entry(&client, 1, "spin", NO_VALUE);
    for (unsigned i = 0; i < 5; i++)
        expect_result(&client, call_add(&client, 1, i, 1), i + 1);
    for (unsigned i = 0; i < 3; i++)
        client_number(&client, RPC__CELL_REQUEST__IS_CANCEL, spins[i]);
    for (unsigned i = 0; i < 3; i++)
        expect_end(&client, spins[i], (Rpc__CellEndKind)CANCELLED, "");
    client_number(&client, RPC__CELL_REQUEST__IS_CANCEL, spins[0]); /* over: nothing */
    expect_result(&client, call_add(&client, 1, 1, 1), 2);
    assert_int_equal(client_close(&client), 0);
}

static void
test_many_calls_on_many_threads(void **state)
{
    enum { COUNT = 600 };
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    struct client client;

    (void)state;
    setup.executors = 8;
    setup.slots_max = 64; /* stress mode has not many places to move to */
    client_connect(&client);
    client_setup(&client, setup);
    client_put_guest(&client, 1, NULL);
    for (uint64_t i = 0; i < COUNT; i++)
        (void)call_add(&client, 1, i, 1000);
    for (uint64_t i = 0; i < COUNT; i++)
        expect_result(&client, i + 1, i + 1000);
    assert_int_equal(client_close(&client), 0);
}

/* ------------------------------------------------------------------- functions */

static void
test_a_function_that_cannot_be_put_says_why_and_so_do_its_calls(void **state)
{
    static const char trapping[] = "(module (func (export \"_initialize\") unreachable)\n"
                                   "  (func (export \"f\")))";
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    struct client client;
    Rpc__CellReply *reply;
    uint64_t call;
    int image = compile(trapping), null = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    (void)state;
    client_open(&client, 1);
    put.function = 1;
    client_put(&client, put, &image, 1);
    call = client_call_entry(&client, 1, "f", NO_VALUE); /* most likely it waits */
    reply = client_await(&client, RPC__CELL_REPLY__IS_PUT_DONE);
    assert_int_equal(reply->put_done->err, -EINVAL);
    assert_non_null(strstr(reply->put_done->message, "unreachable"));
    reply_free(reply);
    expect_end(&client, call, (Rpc__CellEndKind)FAILED, "unreachable");
    expect_end(&client, client_call_entry(&client, 1, "f", NO_VALUE), (Rpc__CellEndKind)FAILED,
               "unreachable");
    put.function = 2;
    client_put(&client, put, &null, 1);
    reply = client_await(&client, RPC__CELL_REPLY__IS_PUT_DONE);
    assert_int_equal(reply->put_done->function, 2);
    assert_non_null(strstr(reply->put_done->message, "not an image"));
    reply_free(reply);
    client_number(&client, RPC__CELL_REQUEST__IS_DROP, 1);
    client_put_guest(&client, 1, NULL); /* the number is free again */
    expect_result(&client, call_add(&client, 1, 1, 2), 3);
    (void)close(image);
    (void)close(null);
    assert_int_equal(client_close(&client), 0);
}

/* Initialisation that goes on until there is a file "go". */
static const char slow_guest[] =
    "(module\n"
    "  (import \"wasi_snapshot_preview1\" \"path_filestat_get\"\n"
    "    (func $stat (param i32 i32 i32 i32 i32) (result i32)))\n"
    "  (memory (export \"memory\") 1) (data (i32.const 0) \"go\")\n"
    "  (func (export \"_initialize\") (loop (br_if 0 (call $stat (i32.const 3) (i32.const 0)\n"
    "    (i32.const 0) (i32.const 2) (i32.const 64)))))\n"
    "  (func (export \"n\") (result i32) (i32.const 7)))";

struct slow {
    char path[32];
    int folder, image;
};

static struct slow
put_slow(struct client *client, uint64_t function)
{
    struct slow slow = {.path = "/tmp/weft-slow-XXXXXX"};
    Rpc__CellDirectory directory = RPC__CELL_DIRECTORY__INIT, *directories = &directory;
    Rpc__CellPut put = RPC__CELL_PUT__INIT;

    assert_non_null(mkdtemp(slow.path));
    assert_int_equal(chmod(slow.path, 0755), 0);
    slow.folder = open(slow.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    slow.image = compile(slow_guest);
    directory.guest_path = (char *)(uintptr_t)".";
    directory.is_read_only = true;
    put.function = function;
    put.directories = &directories;
    put.n_directories = 1;
    client_put(client, put, (int[]){slow.image, slow.folder}, 2);
    return slow;
}

static void
let_go(const struct slow *slow)
{
    int fd = openat(slow->folder, "go", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    (void)close(fd);
}

static void
slow_close(const struct slow *slow)
{
    (void)unlinkat(slow->folder, "go", 0);
    (void)rmdir(slow->path);
    (void)close(slow->folder);
    (void)close(slow->image);
}

static void
test_calls_wait_for_a_put_which_holds_nobody_else_up(void **state)
{
    struct client client;
    Rpc__CellReply *reply;
    uint64_t waiting, cancelled;
    struct slow slow;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    slow = put_slow(&client, 2);
    waiting = call_with_result(&client, 2, "n", NO_VALUE);
    cancelled = call_with_result(&client, 2, "n", NO_VALUE);
    expect_result(&client, call_add(&client, 1, 1, 2), 3);
    client_number(&client, RPC__CELL_REQUEST__IS_CANCEL, cancelled);
    expect_end(&client, cancelled, (Rpc__CellEndKind)CANCELLED, "");
    let_go(&slow);
    reply = client_hear(&client);
    assert_int_equal(reply->is_case, RPC__CELL_REPLY__IS_PUT_DONE);
    assert_int_equal(reply->put_done->err, 0);
    reply_free(reply);
    expect_result(&client, waiting, 7);
    slow_close(&slow);
    assert_int_equal(client_close(&client), 0);
}

static void
test_initialisation_that_takes_too_long_is_ended(void **state)
{
    static const char text[] = "(module (func (export \"_initialize\") (loop (br 0))))";
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    struct client client;
    Rpc__CellReply *reply;
    int image = compile(text);

    (void)state;
    if (!HAS_PREEMPTION)
        skip();
    client_open(&client, 1);
    put.function = 1;
    put.init_ns_max = 30 * MS;
    client_put(&client, put, &image, 1);
    reply = client_await(&client, RPC__CELL_REPLY__IS_PUT_DONE);
    assert_int_equal(reply->put_done->err, -EINVAL);
    assert_non_null(strstr(reply->put_done->message, "0.03"));
    reply_free(reply);
    (void)close(image);
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_function_dropped_while_it_is_put_serves_who_waits_and_is_never_told(void **state)
{
    struct client client;
    uint64_t waiting;
    struct slow slow;

    (void)state;
    client_open(&client, 1);
    slow = put_slow(&client, 2);
    waiting = call_with_result(&client, 2, "n", NO_VALUE);
    client_number(&client, RPC__CELL_REQUEST__IS_DROP, 2);
    expect_end(&client, call_with_result(&client, 2, "n", NO_VALUE), (Rpc__CellEndKind)FAILED,
               "no such function");
    let_go(&slow);
    expect_result(&client, waiting, 7); /* and no put_done before it */
    slow_close(&slow);
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_function_dropped_while_calls_run_serves_them(void **state)
{
    struct client client;
    struct piped piped;

    (void)state;
    client_open(&client, 2);
    client_put_guest(&client, 1, NULL);
    piped = call_piped(&client, 1);
    client_number(&client, RPC__CELL_REQUEST__IS_DROP, 1);
    expect_end(&client, call_add(&client, 1, 1, 1), (Rpc__CellEndKind)FAILED, "no such function");
    finish_piped(&client, &piped, "still");
    while (client_usage(&client).slots > 0) /* given back just after its end was told */
        (void)usleep(1000);
    assert_int_equal(client_close(&client), 0);
}

/* A saved Faaslet of the guest: after initialisation, or in the middle of `entry`. */
static int
save_proto(const char *entry)
{
    struct faaslet_image *image = NULL;
    struct hostcall_config files = {.stdio = {-1, -1, -1}};
    struct faaslet_config config = {.resolve = hostcall_resolve, .ops = &hostcall_process_ops};
    struct hostcall_process *process;
    struct faaslet_outcome outcome;
    struct faaslet_frozen *frozen;
    struct faaslet *faaslet;
    struct buffer bytes = {0};
    int fd = memfd_create("proto", MFD_CLOEXEC);

    assert_int_equal(faaslet_thread_init(), 0);
    assert_int_equal(hostcall_process_create(&files, &process, NULL), 0);
    assert_int_equal(faaslet_image_load(client_image(), &image, NULL), 0);
    config.process = process;
    faaslet = testing_create(image, &config);
    testing_init(faaslet, 0);
    assert_int_equal(testing_call(faaslet, "_initialize", NULL, 0).kind, FAASLET_DONE);
    if (entry != NULL) {
        assert_int_equal(faaslet_invoke(faaslet, 0, entry, NULL, 0), 0);
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
        assert_int_equal(outcome.kind, FAASLET_SNAPSHOT);
    }
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), 0);
    assert_int_equal(faaslet_frozen_save(frozen, &bytes, NULL), 0);
    assert_int_equal(write(fd, bytes.bytes, bytes.count), (ssize_t)bytes.count);
    buffer_fini(&bytes);
    faaslet_frozen_destroy(frozen);
    faaslet_destroy(faaslet);
    hostcall_process_destroy(process);
    faaslet_image_put(image);
    return fd;
}

static void
test_functions_start_from_saved_faaslets(void **state)
{
    int fds[2] = {client_image(), -1};
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    struct client client;
    Rpc__CellReply *reply;

    (void)state;
    client_open(&client, 2);
    put.has_proto = true;
    for (uint64_t i = 0; i < 3; i++) {
        put.function = i;
        fds[1] = i < 2 ? save_proto(i == 0 ? NULL : "resume") : open("/dev/null", O_RDONLY);
        client_put(&client, put, fds, 2);
        (void)close(fds[1]);
        if (i < 2)
            client_expect_put(&client, i);
    }
    reply = client_await(&client, RPC__CELL_REPLY__IS_PUT_DONE);
    assert_int_equal(reply->put_done->err, -EINVAL);
    reply_free(reply);
    expect_result(&client, call_with_result(&client, 0, "leave", NO_VALUE), 77);
    for (unsigned i = 0; i < 4; i++) {
        reply = client_end(&client, client_call_entry(&client, 1, "", NO_VALUE));
        assert_int_equal(reply->end->kind, EXIT);
        assert_int_equal(reply->end->exit_code, 82);
        assert_int_equal(reply->end->output.len, 5);
        assert_memory_equal(reply->end->output.data, "start", 5);
        reply_free(reply);
    }
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_sealed_image_is_taken_as_it_is(void **state)
{
    static const char text[] = "(module (func (export \"_start\")))";
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    struct client client;
    int image = compile(text);

    (void)state;
    assert_int_equal(
        fcntl(image, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), 0);
    client_open(&client, 1);
    put.function = 1;
    put.entry = (char *)(uintptr_t)"_start";
    client_put(&client, put, &image, 1);
    client_expect_put(&client, 1);
    expect_end(&client, client_call_entry(&client, 1, "", NO_VALUE), (Rpc__CellEndKind)DONE, "");
    (void)close(image);
    assert_int_equal(client_close(&client), 0);
}

static void
test_more_calls_than_allowed_are_refused(void **state)
{
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    struct client client;
    struct piped piped[2];

    (void)state;
    setup.calls_max = 2;
    client_connect(&client);
    client_setup(&client, setup);
    client_put_guest(&client, 1, NULL);
    for (unsigned i = 0; i < 2; i++)
        piped[i] = call_piped(&client, 1);
    expect_end(&client, call_add(&client, 1, 1, 1), (Rpc__CellEndKind)FAILED, "2 calls");
    for (unsigned i = 0; i < 2; i++)
        finish_piped(&client, &piped[i], "x");
    for (unsigned i = 0; i < 50; i++) /* there is room as soon as an end was told */
        expect_result(&client, call_add(&client, 1, 1, 1), 2);
    assert_int_equal(client_close(&client), 0);
}

/* ------------------------------------------------------------------------- end */

static void
test_without_its_worker_a_cell_ends(void **state)
{
    struct client client;
    struct piped piped;

    (void)state;
    client_connect(&client);
    assert_int_equal(client_close(&client), 0);
    client_open(&client, 2);
    client_put_guest(&client, 1, NULL);
    piped = call_piped(&client, 1);
    (void)call_with_result(&client, 1, "sleep", 60000 * MS);
    if (HAS_PREEMPTION)
        (void)client_call_entry(&client, 1, "spin", NO_VALUE);
    assert_int_equal(client_close(&client), 0);
    (void)close(piped.in);
    (void)close(piped.out);
}

static void
expect_broken(struct client *client)
{
    Rpc__CellReply *reply;

    while ((reply = client_hear(client)) != NULL)
        reply_free(reply);
    assert_int_not_equal(client_close(client), 0);
}

static void
say_garbage(struct client *client)
{
    assert_int_equal(net_send(client->connection, "\xff\xff", 2, NULL, 0), 0);
}

static void
say_cancel(struct client *client)
{
    client_number(client, RPC__CELL_REQUEST__IS_CANCEL, 1);
}

static void
say_setup_again(struct client *client)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;

    setup.version = RPC__CELL_VERSION__CELL_VERSION;
    request.is_case = RPC__CELL_REQUEST__IS_SETUP;
    request.setup = &setup;
    client_say(client, &request, NULL, 0);
}

static void
say_put_without_image(struct client *client)
{
    client_put(client, (Rpc__CellPut)RPC__CELL_PUT__INIT, NULL, 0);
}

static void
say_put_of_one_that_is_there(struct client *client)
{
    Rpc__CellPut put = RPC__CELL_PUT__INIT;

    put.function = 1;
    client_put(client, put, (int[]){2}, 1);
}

static void
say_too_many_values(struct client *client)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    uint64_t values[17] = {0};

    call.n_values = 17;
    call.values = values;
    (void)client_call(client, call, NULL);
}

static void
say_drop_of_nothing(struct client *client)
{
    client_number(client, RPC__CELL_REQUEST__IS_DROP, 5);
}

static void
say_ask_with_descriptors(struct client *client)
{
    assert_int_equal(net_send(client->connection, "\x32\x00", 2, (int[]){2, 2, 2}, 3), 0);
}

static void
test_what_no_worker_says_is_the_end(void **state)
{
    static void (*const before_setup[])(struct client *) = {say_garbage, say_cancel};
    static void (*const after_setup[])(struct client *) = {say_garbage,
                                                           say_setup_again,
                                                           say_put_without_image,
                                                           say_put_of_one_that_is_there,
                                                           say_too_many_values,
                                                           say_drop_of_nothing,
                                                           say_ask_with_descriptors};
    struct client client;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(before_setup); i++) {
        client_connect(&client);
        before_setup[i](&client);
        expect_broken(&client);
    }
    for (size_t i = 0; i < ARRAY_COUNT(after_setup); i++) {
        client_open(&client, 1);
        client_put_guest(&client, 1, NULL);
        after_setup[i](&client);
        expect_broken(&client);
    }
}

static void
test_a_worker_of_another_version_is_told(void **state)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    struct client client;
    Rpc__CellReply *reply;

    (void)state;
    client_connect(&client);
    setup.version = 7;
    request.is_case = RPC__CELL_REQUEST__IS_SETUP;
    request.setup = &setup;
    client_say(&client, &request, NULL, 0);
    reply = client_await(&client, RPC__CELL_REPLY__IS_READY);
    assert_false(reply->ready->is_set_up);
    assert_non_null(strstr(reply->ready->error, "version"));
    reply_free(reply);
    expect_broken(&client);
}

#define CELL_SCENARIOS \
    cmocka_unit_test(test_calls_begin_in_what_initialisation_left), \
        cmocka_unit_test(test_a_command_has_output_and_log_of_its_own), \
        cmocka_unit_test(test_input_is_read_to_its_end), \
        cmocka_unit_test(test_a_call_waits_for_a_pipe), \
        cmocka_unit_test(test_more_calls_wait_than_there_are_slots), \
        cmocka_unit_test(test_a_call_sleeps), cmocka_unit_test(test_every_clock_has_a_resolution), \
        cmocka_unit_test(test_standard_streams_may_be_sockets), \
        cmocka_unit_test(test_each_end_is_told_with_its_reason), \
        cmocka_unit_test(test_limits_are_named_with_their_values), \
        cmocka_unit_test(test_who_meets_a_limit_meets_it_alone), \
        cmocka_unit_test(test_a_call_may_have_a_shorter_time_than_its_function), \
        cmocka_unit_test(test_memory_grows), \
        cmocka_unit_test(test_computing_guests_let_others_run), \
        cmocka_unit_test(test_many_calls_on_many_threads), \
        cmocka_unit_test(test_a_function_that_cannot_be_put_says_why_and_so_do_its_calls), \
        cmocka_unit_test(test_initialisation_that_takes_too_long_is_ended), \
        cmocka_unit_test(test_calls_wait_for_a_put_which_holds_nobody_else_up), \
        cmocka_unit_test( \
            test_a_function_dropped_while_it_is_put_serves_who_waits_and_is_never_told), \
        cmocka_unit_test(test_a_function_dropped_while_calls_run_serves_them), \
        cmocka_unit_test(test_functions_start_from_saved_faaslets), \
        cmocka_unit_test(test_a_sealed_image_is_taken_as_it_is), \
        cmocka_unit_test(test_more_calls_than_allowed_are_refused), \
        cmocka_unit_test(test_without_its_worker_a_cell_ends), \
        cmocka_unit_test(test_what_no_worker_says_is_the_end), \
        cmocka_unit_test(test_a_worker_of_another_version_is_told)

#endif
