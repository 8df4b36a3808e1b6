/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole path with guests in weft-cell: files, environment, arguments, calls that guests
 * chain.
 */
#include "../../tests/testing.h"

#include "../../tests/chain_guest.h"
#include "agent/agent_internal.h"
#include "agent/agent_testing.h"
#include "base/fault.h"
#include "hostcall/hostcall.h"

#define DONE      RPC__HOST_END_KIND__HOST_END_DONE
#define CANCELLED RPC__HOST_END_KIND__HOST_END_CANCELLED
#define FAILED    RPC__HOST_END_KIND__HOST_END_FAILED

enum {
    WASI_EAGAIN = 6,
    WASI_ENOMEM = 48,
    WASI_EHOSTUNREACH = 23,
    WASI_EROFS = 69,
    WASI_ENOTCAPABLE = 76,
    WASI_EACCES = 2
};

static const char cell_program[] = "weft-cell";

/* Sanitizers of threads hold signals back: a guest that only computes is never taken off. */
#ifdef __SANITIZE_THREAD__
#define HAS_PREEMPTION false
#else
#define HAS_PREEMPTION true
#endif

/*   read    what is in data/model of the first directory, to standard output
 *   write   exits with what opening it for writing says
 *   args    its arguments, each with a NUL behind it
 *   env     its variables, likewise
 *   spin    for ever
 *   learn   fills memory, then standard input to standard output, then its first word */
static const char guest[] =
    "(module\n"
    "(import \"wasi_snapshot_preview1\" \"fd_write\"\n"
    "  (func $write (param i32 i32 i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"fd_read\"\n"
    "  (func $read (param i32 i32 i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"path_open\"\n"
    "  (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"args_sizes_get\"\n"
    "  (func $args_sizes (param i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"args_get\" (func $args (param i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"environ_sizes_get\"\n"
    "  (func $env_sizes (param i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"environ_get\" (func $env (param i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"fd_prestat_dir_name\"\n"
    "  (func $name (param i32 i32 i32) (result i32)))\n"
    "(memory (export \"memory\") 64)\n"
    "(data (i32.const 64) \"data/model\")\n"
    "(func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))\n"
    "(func $say (param $at i32) (param $bytes i32)\n"
    "  (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $bytes))\n"
    "  (call $must (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))\n"
    "(func $open_with (param $flags i32) (param $rights i64) (result i32)\n"
    "  (call $open (i32.const 3) (i32.const 1) (i32.const 64) (i32.const 10)\n"
    "    (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 16)))\n"
    "(func (export \"read\")\n"
    "  (call $must (call $name (i32.const 3) (i32.const 4096) (i32.const 1)))\n"
    "  (call $say (i32.const 4096) (i32.const 1))\n"
    "  (call $must (call $open_with (i32.const 0) (i64.const 2)))\n"
    "  (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 256))\n"
    "  (call $must (call $read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1)\n"
    "    (i32.const 8)))\n"
    "  (call $say (i32.const 4096) (i32.load (i32.const 8))))\n"
    "(func (export \"write\") (call $must (call $open_with (i32.const 0) (i64.const 64))))\n"
    "(func (export \"args\")\n"
    "  (call $must (call $args_sizes (i32.const 8) (i32.const 12)))\n"
    "  (call $must (call $args (i32.const 1024) (i32.const 4096)))\n"
    "  (call $say (i32.const 4096) (i32.load (i32.const 12))))\n"
    "(func (export \"env\")\n"
    "  (call $must (call $env_sizes (i32.const 8) (i32.const 12)))\n"
    "  (call $must (call $env (i32.const 1024) (i32.const 4096)))\n"
    "  (call $say (i32.const 4096) (i32.load (i32.const 12))))\n"
    "(func (export \"spin\") (loop (br 0)))\n"
    "(func (export \"learn\") (local $at i32) (local $word i64)\n"
    "  (local.set $at (i32.const 65536)) (local.set $word (i64.const 0x6174656c61746562))\n"
    "  (loop $next (i64.store (local.get $at) (local.get $word))\n"
    "    (local.set $word (i64.add (i64.const 1442695040888963407)\n"
    "      (i64.mul (local.get $word) (i64.const 6364136223846793005))))\n"
    "    (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8)))\n"
    "      (i32.const 3000000))))\n"
    "  (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 256))\n"
    "  (call $must (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))\n"
    "  (call $say (i32.const 4096) (i32.load (i32.const 8)))\n"
    "  (call $say (i32.const 65536) (i32.const 8)))\n"
    "(func (export \"_start\")))\n";

static int guest_fd, chain_fd;

static struct store_hash
put_image(struct planner *planner, int fd)
{
    struct store_hash hash;

    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(store_blob_put(planner->store, fd, &hash, NULL), 0);
    return hash;
}

static char *
text(const char *words)
{
    return (char *)(uintptr_t)words;
}

/* ------------------------------------------------------------- files, env, arguments */

static void
test_a_guest_reads_files_and_changes_none(void **state)
{
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    Rpc__HostFile file = RPC__HOST_FILE__INIT, *files[1] = {&file};
    struct store_hash image, model;
    struct planner planner;
    Rpc__HostUp *up;

    (void)state;
    planner_open(&planner, cell_program);
    image = put_image(&planner, guest_fd);
    model = planner_put(&planner, "what was learnt", 15);
    planner_tenant(&planner, "a");
    function.number = 1;
    function.tenant = text("a");
    function.image = testing_hash(&image);
    function.entry = text("read");
    function.files = files;
    function.n_files = 1;
    file.path = text("/data/model");
    file.hash = testing_hash(&model);
    planner_function(&planner, &function);
    for (uint64_t call = 1; call < 4; call++) {
        planner_call(&planner, call, 1, "");
        up = planner_hear_end(&planner, call);
        assert_int_equal(up->end->kind, DONE);
        assert_int_equal(up->end->output.len, 16);
        assert_memory_equal(up->end->output.data, "/what was learnt", 16);
        assert_int_equal(up->end->was_cold, call == 1);
        rpc__host_up__free_unpacked(up, NULL);
    }
    planner_call(&planner, 9, 1, "write");
    up = planner_hear_end(&planner, 9);
    assert_int_equal(up->end->kind, RPC__HOST_END_KIND__HOST_END_EXIT);
    assert_true(up->end->exit_code == WASI_EROFS || up->end->exit_code == WASI_ENOTCAPABLE ||
                up->end->exit_code == WASI_EACCES);
    rpc__host_up__free_unpacked(up, NULL);
    planner_stop(&planner);
}

static void
expect_output(struct planner *planner, uint64_t call, const char *bytes, size_t count)
{
    Rpc__HostUp *up = planner_hear_end(planner, call);

    if (up->end->kind != DONE)
        fail_msg("it ended as %d: %s", (int)up->end->kind, up->end->message);
    if (memmem(up->end->output.data, up->end->output.len, bytes, count) == NULL)
        fail_msg("%.*s", (int)up->end->output.len, (const char *)up->end->output.data);
    rpc__host_up__free_unpacked(up, NULL);
}

static void
open_with_arguments(struct planner *planner)
{
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    char *args[] = {text("program"), text("-v")};
    char *env[] = {text("COLOUR=blue"), text("SECRET=word")};
    struct store_hash image;

    planner_open(planner, cell_program);
    image = put_image(planner, guest_fd);
    planner_tenant(planner, "a");
    function.number = 1;
    function.tenant = text("a");
    function.image = testing_hash(&image);
    function.args = args;
    function.n_args = 2;
    function.env = env;
    function.n_env = 2;
    planner_function(planner, &function);
}

static void
test_arguments_and_variables_are_the_functions_and_the_calls(void **state)
{
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(5);
    char *more[] = {text("x")};
    struct planner planner;

    (void)state;
    open_with_arguments(&planner);
    start.run = &run;
    start.function = 1;
    start.entry = text("args");
    start.args = more;
    start.n_args = 1;
    planner_start_call(&planner, &start);
    expect_output(&planner, 5, "program\0-v\0x", 13);
    run.call = 6;
    start.entry = text("env");
    planner_start_call(&planner, &start);
    expect_output(&planner, 6, "COLOUR=blue\0SECRET=word", 24);
    run.call = 7;
    run.first_member = 2;
    run.members = 2;
    planner_start_call(&planner, &start);
    expect_output(&planner, 7,
                  "COLOUR=blue\0SECRET=word\0WEFT_MEMBER=2\0WEFT_MEMBERS=4\0"
                  "COLOUR=blue\0SECRET=word\0WEFT_MEMBER=3\0WEFT_MEMBERS=4",
                  106);
    planner_stop(&planner);
}

static void
test_limits_and_stops_end_guests(void **state)
{
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    Rpc__HostLimits limits = RPC__HOST_LIMITS__INIT;
    struct planner planner;
    struct store_hash image;
    Rpc__HostUp *up;

    (void)state;
    if (!HAS_PREEMPTION)
        skip();
    planner_open(&planner, cell_program);
    image = put_image(&planner, guest_fd);
    planner_tenant(&planner, "a");
    planner_function_of(&planner, 1, &image);
    function.number = 2;
    function.tenant = text("a");
    function.image = testing_hash(&image);
    function.limits = &limits;
    limits.wall_ns = 50 * 1000000;
    planner_function(&planner, &function);
    planner_call(&planner, 5, 2, "spin");
    up = planner_hear_end(&planner, 5);
    assert_int_equal(up->end->kind, RPC__HOST_END_KIND__HOST_END_LIMIT);
    assert_int_equal(up->end->limit, WORKER_LIMIT_TIME);
    assert_true(up->end->wall_ns >= limits.wall_ns);
    rpc__host_up__free_unpacked(up, NULL);
    planner_call(&planner, 6, 1, "spin");
    planner_call(&planner, 7, 1, "");
    planner_expect(&planner, 7, DONE, "");
    planner_say_stop(&planner, 6);
    planner_expect(&planner, 6, CANCELLED, "");
    planner_stop(&planner);
}

/* Exits with 0 where it can have two threads beside its first, else with 6: EAGAIN. */
static const char threaded[] =
    "(module\n"
    "  (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))\n"
    "  (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))\n"
    "  (memory (export \"memory\") 1 1 shared)\n"
    "  (func (export \"wasi_thread_start\") (param i32 i32)\n"
    "    (drop (memory.atomic.wait32 (i32.const 64) (i32.const 0) (i64.const -1))))\n"
    "  (func $make (local $id i32)\n"
    "    (local.set $id (call $spawn (i32.const 0)))\n"
    "    (if (i32.lt_s (local.get $id) (i32.const 0)) (then\n"
    "      (call $exit (i32.sub (i32.const 0) (local.get $id))))))\n"
    "  (func (export \"_start\") (call $make) (call $make)))\n";

static void
test_a_limit_of_threads_reaches_the_guest(void **state)
{
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    Rpc__HostLimits limits = RPC__HOST_LIMITS__INIT;
    int fd = testing_compile(threaded, ABI_STANDALONE, 1);
    struct planner planner;
    struct store_hash image;

    (void)state;
    planner_open(&planner, cell_program);
    image = put_image(&planner, fd);
    planner_tenant(&planner, "a");
    for (uint64_t i = 0; i < 2; i++) {
        Rpc__HostUp *up;

        function.number = 2 + i;
        function.tenant = text("a");
        function.image = testing_hash(&image);
        function.limits = &limits;
        limits.threads = i == 0 ? 3 : 2;
        planner_function(&planner, &function);
        planner_call(&planner, 5 + i, function.number, "");
        up = planner_hear_end(&planner, 5 + i);
        assert_int_equal(up->end->exit_code, i == 0 ? 0 : 6);
        assert_int_equal(up->end->refused, i == 0 ? 0 : WORKER_LIMIT_THREADS);
        rpc__host_up__free_unpacked(up, NULL);
    }
    planner_stop(&planner);
    (void)close(fd);
}

/* ---------------------------------------------------------------------- Proto-Faaslets */

/* Pieces that come before the end of this call, into the planner's store; how many. */
static unsigned
take_pieces(struct planner *planner, struct store_hash *out)
{
    int fd = memfd_create("proto", MFD_CLOEXEC);
    struct store_hash said;
    unsigned count = 0;
    bool is_last = false;

    while (!is_last) {
        Rpc__HostUp *up = planner_next(planner);

        assert_non_null(up);
        assert_int_not_equal(up->is_case, RPC__HOST_UP__IS_END);
        if (up->is_case == RPC__HOST_UP__IS_BLOB) {
            assert_string_equal(up->blob->error, "");
            assert_int_equal(up->blob->hash.len, sizeof(said));
            (void)memcpy(&said, up->blob->hash.data, sizeof(said));
            assert_true(up->blob->bytes.len <= 1u << 20);
            assert_int_equal(write(fd, up->blob->bytes.data, up->blob->bytes.len),
                             (ssize_t)up->blob->bytes.len);
            is_last = up->blob->is_last;
            count++;
        }
        rpc__host_up__free_unpacked(up, NULL);
    }
    *out = put_image(planner, fd);
    assert_memory_equal(out, &said, sizeof(said));
    (void)close(fd);
    return count;
}

static void
begin_save(struct planner *planner, uint64_t call, const char *entry)
{
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(call);

    start.run = &run;
    start.function = 1;
    start.entry = text(entry);
    start.has_save = true;
    start.save_at = text("fd_read:0");
    planner_start_call(planner, &start);
}

/* Told with its hash, which was sent before it; again over another connection. */
static struct store_hash
save_over_two_connections(struct planner *planner)
{
    struct store_hash proto;

    begin_save(planner, 5, "learn");
    for (int round = 0; round < 2; round++) {
        unsigned pieces = take_pieces(planner, &proto);
        Rpc__HostUp *up = planner_hear_end(planner, 5);

        assert_true(pieces > 2);
        if (up->end->kind != DONE)
            fail_msg("saving ended as %d: %s", (int)up->end->kind, up->end->message);
        assert_int_equal(up->end->proto.len, sizeof(proto));
        assert_memory_equal(up->end->proto.data, &proto, sizeof(proto));
        rpc__host_up__free_unpacked(up, NULL);
        if (round == 0) {
            planner_cut(planner);
            planner_register(planner, true);
        }
    }
    planner_heard(planner, 5);
    return proto;
}

static void
test_a_call_is_frozen_and_others_begin_there(void **state)
{
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    struct store_hash image, proto;
    struct planner planner;
    Rpc__HostUp *up;

    (void)state;
    planner_open(&planner, cell_program);
    image = put_image(&planner, guest_fd);
    planner_tenant(&planner, "a");
    planner_function_of(&planner, 1, &image);
    proto = save_over_two_connections(&planner);
    planner.asked = 0;
    function.number = 2;
    function.tenant = text("a");
    function.image = testing_hash(&image);
    function.proto = testing_hash(&proto);
    planner_function(&planner, &function);
    for (uint64_t call = 6; call < 9; call++) {
        planner_call(&planner, call, 2, "");
        up = planner_hear_end(&planner, call);
        if (up->end->kind != DONE)
            fail_msg("it ended as %d: %s", (int)up->end->kind, up->end->message);
        assert_int_equal(up->end->output.len, 12);
        assert_memory_equal(up->end->output.data, "pingbetaleta", 12);
        assert_true(up->end->memory_bytes >= 3000000);
        rpc__host_up__free_unpacked(up, NULL);
    }
    assert_int_equal(planner.asked, 0); /* who made it has it */
    planner_stop(&planner);
}

static void
test_what_ends_before_it_is_frozen_has_failed(void **state)
{
    struct planner planner;
    struct store_hash image;

    (void)state;
    planner_open(&planner, cell_program);
    image = put_image(&planner, guest_fd);
    planner_tenant(&planner, "a");
    planner_function_of(&planner, 1, &image);
    begin_save(&planner, 5, "args");
    planner_expect(&planner, 5, FAILED, "before it came to fd_read:0");
    planner_expect_none(&planner, RPC__HOST_UP__IS_BLOB);
    planner_stop(&planner);
}

/* ------------------------------------------------------------------------------ chains */

/* Function 1 chains what its input names, and tells what came of it. */
static void
say_tell(struct planner *planner)
{
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    struct store_hash image;

    planner_start_agent(planner, cell_program);
    planner_register(planner, true);
    image = put_image(planner, chain_fd);
    planner_tenant(planner, "a");
    function.number = 1;
    function.tenant = text("a");
    function.name = text("tell");
    function.version = 1;
    function.image = testing_hash(&image);
    function.entry = text("tell");
    planner_function(planner, &function);
}

static void
open_with_tell(struct planner *planner)
{
    planner_start(planner);
    say_tell(planner);
}

static void
begin_tell(struct planner *planner, uint64_t call, const char *reference)
{
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(call);
    uint8_t input[68];
    const uint32_t value = 7;
    size_t bytes = strlen(reference);

    (void)memcpy(input, &value, sizeof(value));
    (void)memcpy(input + sizeof(value), reference, bytes);
    start.run = &run;
    start.function = 1;
    start.depth = 3;
    start.input = (ProtobufCBinaryData){sizeof(value) + bytes, input};
    planner_start_call(planner, &start);
}

/* Chain's error, status, code, bytes of result and of message; these. */
static void
expect_told(struct planner *planner, uint64_t call, uint32_t status, uint32_t code,
            const char *words)
{
    Rpc__HostUp *up = planner_hear_end(planner, call);
    uint32_t told[5];

    if (up->end->kind != DONE)
        fail_msg("tell ended as %d: %s", (int)up->end->kind, up->end->message);
    assert_true(up->end->output.len >= sizeof(told));
    (void)memcpy(told, up->end->output.data, sizeof(told));
    assert_int_equal(told[0], 0);
    assert_int_equal(told[1], status);
    assert_int_equal(told[2], code);
    if (memmem(up->end->output.data, up->end->output.len, words, strlen(words)) == NULL)
        fail_msg("not %s", words);
    rpc__host_up__free_unpacked(up, NULL);
}

static void
send_chain_end(struct planner *planner, uint64_t number, Rpc__HostEnd *end)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostChainEnd words = RPC__HOST_CHAIN_END__INIT;

    words.number = number;
    words.end = end;
    down.is_case = RPC__HOST_DOWN__IS_CHAIN_END;
    down.chain_end = &words;
    planner_send(planner, &down);
}

static uint64_t
hear_chain(struct planner *planner, uint64_t call)
{
    Rpc__HostUp *up = planner_hear(planner, RPC__HOST_UP__IS_CHAIN);
    uint64_t number = up->chain->number;

    assert_int_equal(up->chain->parent, call);
    assert_string_equal(up->chain->tenant, "a");
    assert_string_equal(up->chain->reference, "b/leaf:stable");
    assert_int_equal(up->chain->input.len, 4);
    assert_int_equal(up->chain->depth, 4);
    assert_false(up->chain->is_detached);
    rpc__host_up__free_unpacked(up, NULL);
    return number;
}

static void
test_what_a_guest_chains_goes_up_and_its_end_comes_down(void **state)
{
    static const struct {
        Rpc__HostEndKind kind;
        int exit_code, err;
        uint32_t limit, trap, status, code;
    } cases[] = {
        {RPC__HOST_END_KIND__HOST_END_DONE, 0, 0, 0, 0, HOSTCALL_DONE, 0},
        {RPC__HOST_END_KIND__HOST_END_EXIT, 9, 0, 0, 0, HOSTCALL_EXIT, 9},
        {RPC__HOST_END_KIND__HOST_END_TRAP, 0, 0, 0, 4, HOSTCALL_TRAP, 4},
        {RPC__HOST_END_KIND__HOST_END_LIMIT, 0, 0, 2, 0, HOSTCALL_LIMIT, 2},
        {RPC__HOST_END_KIND__HOST_END_CANCELLED, 0, 0, 0, 0, HOSTCALL_CANCELLED, 0},
        {RPC__HOST_END_KIND__HOST_END_FAILED, 0, -ENOENT, 0, 0, HOSTCALL_FAILED, 44},
        {RPC__HOST_END_KIND__HOST_END_LOST, 0, 0, 0, 0, HOSTCALL_LOST, 0},
    };
    struct planner planner;

    (void)state;
    open_with_tell(&planner);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        Rpc__HostEnd end = RPC__HOST_END__INIT;
        uint64_t number;

        begin_tell(&planner, 50 + i, "b/leaf:stable");
        number = hear_chain(&planner, 50 + i);
        end.kind = cases[i].kind;
        end.exit_code = cases[i].exit_code;
        end.err = cases[i].err;
        end.limit = cases[i].limit;
        end.trap = cases[i].trap;
        end.message = text("these words");
        end.output = (ProtobufCBinaryData){8, (uint8_t *)(uintptr_t)"a result"};
        send_chain_end(&planner, number, &end);
        send_chain_end(&planner, number, &end); /* passed over */
        expect_told(&planner, 50 + i, cases[i].status, cases[i].code, "these words");
    }
    planner_stop(&planner);
}

static void
test_a_chain_end_without_an_end_is_a_failure(void **state)
{
    struct planner planner;
    Rpc__HostUp *up;

    (void)state;
    open_with_tell(&planner);
    begin_tell(&planner, 5, "leaf");
    up = planner_hear(&planner, RPC__HOST_UP__IS_CHAIN);
    send_chain_end(&planner, up->chain->number, NULL);
    rpc__host_up__free_unpacked(up, NULL);
    {
        Rpc__HostUp *told = planner_hear_end(&planner, 5);

        assert_non_null(memmem(told->end->output.data, told->end->output.len, "did not say", 11));
        rpc__host_up__free_unpacked(told, NULL);
    }
    planner_stop(&planner);
}

static void
test_a_cell_that_does_not_read_is_told_later(void **state)
{
    Rpc__HostEnd end = RPC__HOST_END__INIT;
    struct planner planner;
    uint64_t number;

    (void)state;
    open_with_tell(&planner);
    begin_tell(&planner, 5, "b/leaf:stable");
    number = hear_chain(&planner, 5);
    end.kind = DONE;
    end.message = text("these words");
    fault_arm("agent.answer", 1, -EAGAIN);
    send_chain_end(&planner, number, &end);
    expect_told(&planner, 5, HOSTCALL_DONE, 0, "these words");
    assert_true(fault_disarm());
    planner_stop(&planner);
}

/* The first word that is sent is the chain: beats are rare. */
static void
test_what_cannot_be_asked_for_fails(void **state)
{
    static const struct {
        const char *point;
        int err;
        uint32_t code; /* of WASI */
    } cases[] = {
        {"agent.chain", -ENOMEM, WASI_ENOMEM},
        {"agent.send", -ENOBUFS, WASI_EAGAIN},
        {"agent.send", -EPIPE, WASI_EHOSTUNREACH},
    };
    struct planner planner;

    (void)state;
    planner_start(&planner);
    planner.beat_ns = planner.silence_ns;
    say_tell(&planner);
    begin_tell(&planner, 5, "b/leaf:stable"); /* its cell is there, its blobs are */
    send_chain_end(&planner, hear_chain(&planner, 5), NULL);
    rpc__host_up__free_unpacked(planner_hear_end(&planner, 5), NULL);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        fault_arm(cases[i].point, 1, cases[i].err);
        begin_tell(&planner, 50 + i, "leaf");
        expect_told(&planner, 50 + i, HOSTCALL_FAILED, cases[i].code, "");
        assert_true(fault_disarm());
    }
    planner_stop(&planner);
}

static void
test_a_lost_connection_loses_what_was_chained(void **state)
{
    struct planner planner;
    Rpc__HostUp *up;
    uint64_t number;

    (void)state;
    open_with_tell(&planner);
    begin_tell(&planner, 5, "leaf");
    up = planner_hear(&planner, RPC__HOST_UP__IS_CHAIN);
    number = up->chain->number;
    rpc__host_up__free_unpacked(up, NULL);
    planner_cut(&planner);
    planner_register(&planner, true);
    expect_told(&planner, 5, HOSTCALL_LOST, 0, "connection to the planner was lost");
    send_chain_end(&planner, number, NULL);
    planner_expect_none(&planner, RPC__HOST_UP__IS_CHAIN);
    planner_stop(&planner);
}

/* What was asked on the old connection is lost, what is asked between the two fails, and
 * what is asked on the new one is answered: whichever it is, the guest hears an end. */
static void
test_over_a_lost_connection_each_chain_has_an_end(void **state)
{
    struct planner planner;
    Rpc__HostUp *up;
    size_t left;

    (void)state;
    open_with_tell(&planner);
    for (uint64_t call = 1; call < 8; call++)
        begin_tell(&planner, call, "leaf");
    rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_CHAIN), NULL);
    planner_cut(&planner);
    up = planner_greet(&planner);
    left = up->register_->n_runs;
    assert_true(left > 0);
    planner_welcome(&planner, up->register_->runs, left);
    while (left > 0) {
        rpc__host_up__free_unpacked(up, NULL);
        up = planner_next(&planner);
        assert_non_null(up);
        if (up->is_case == RPC__HOST_UP__IS_CHAIN)
            send_chain_end(&planner, up->chain->number, NULL);
        if (up->is_case == RPC__HOST_UP__IS_END)
            assert_int_equal(up->end->kind, DONE);
        left -= up->is_case == RPC__HOST_UP__IS_END ? 1 : 0;
    }
    rpc__host_up__free_unpacked(up, NULL);
    planner_stop(&planner);
}

static void
test_a_chain_whose_guest_is_stopped_is_cancelled(void **state)
{
    const struct worker_end end = {.kind = WORKER_CANCELLED, .message = ""};
    struct planner planner;
    Rpc__HostUp *up;
    uint64_t number;

    (void)state;
    open_with_tell(&planner);
    begin_tell(&planner, 5, "leaf");
    up = planner_hear(&planner, RPC__HOST_UP__IS_CHAIN);
    number = up->chain->number;
    rpc__host_up__free_unpacked(up, NULL);
    planner_say_stop(&planner, 5);
    up = planner_hear(&planner, RPC__HOST_UP__IS_CHAIN_CANCEL);
    assert_int_equal(up->chain_cancel->number, number);
    assert_int_equal(worker_chain_end(planner.agent->worker, number, &end), -ESRCH);
    rpc__host_up__free_unpacked(up, NULL);
    planner_expect(&planner, 5, CANCELLED, "");
    send_chain_end(&planner, number, NULL);
    planner_stop(&planner);
}

/* What is chained by name within the cell is not the planner's matter. */
static void
test_functions_of_a_tenant_chain_within_their_cell(void **state)
{
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun run = testing_run(5);
    const uint32_t value = 10;
    struct store_hash image;
    struct planner planner;
    uint64_t sum;
    Rpc__HostUp *up;

    (void)state;
    open_with_tell(&planner);
    image = put_image(&planner, chain_fd);
    function.tenant = text("a");
    function.image = testing_hash(&image);
    function.number = 2;
    function.name = function.entry = text("leaf");
    planner_function(&planner, &function);
    function.number = 3;
    function.name = function.entry = text("fan_all");
    planner_function(&planner, &function);
    start.run = &run;
    start.input = (ProtobufCBinaryData){sizeof(value), (uint8_t *)(uintptr_t)&value};
    start.function = 2; /* the cell has it from now on */
    planner_start_call(&planner, &start);
    planner_expect(&planner, 5, DONE, "");
    start.function = 3;
    run.call = 6;
    planner_start_call(&planner, &start);
    up = planner_hear_end(&planner, 6);
    assert_int_equal(up->end->kind, DONE);
    assert_int_equal(up->end->chained, 10);
    (void)memcpy(&sum, up->end->output.data, sizeof(sum));
    assert_int_equal(sum, 55);
    rpc__host_up__free_unpacked(up, NULL);
    planner_stop(&planner);
}

static int
compile_guests(void **state)
{
    (void)state;
    guest_fd = testing_compile(guest, ABI_STANDALONE, 1);
    chain_fd = testing_compile(chain_guest, ABI_STANDALONE, 1);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_guest_reads_files_and_changes_none),
        cmocka_unit_test(test_arguments_and_variables_are_the_functions_and_the_calls),
        cmocka_unit_test(test_limits_and_stops_end_guests),
        cmocka_unit_test(test_a_limit_of_threads_reaches_the_guest),
        cmocka_unit_test(test_a_call_is_frozen_and_others_begin_there),
        cmocka_unit_test(test_what_ends_before_it_is_frozen_has_failed),
        cmocka_unit_test(test_what_a_guest_chains_goes_up_and_its_end_comes_down),
        cmocka_unit_test(test_a_chain_end_without_an_end_is_a_failure),
        cmocka_unit_test(test_a_cell_that_does_not_read_is_told_later),
        cmocka_unit_test(test_what_cannot_be_asked_for_fails),
        cmocka_unit_test(test_a_lost_connection_loses_what_was_chained),
        cmocka_unit_test(test_over_a_lost_connection_each_chain_has_an_end),
        cmocka_unit_test(test_a_chain_whose_guest_is_stopped_is_cancelled),
        cmocka_unit_test(test_functions_of_a_tenant_chain_within_their_cell),
    };

    return cmocka_run_group_tests(tests, compile_guests, NULL);
}
