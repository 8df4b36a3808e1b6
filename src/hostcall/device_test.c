/* SPDX-License-Identifier: Apache-2.0
 *
 * /dev/weft, with somebody who only pretends to start calls.
 */
#include "hostcall/hostcall_test.h"

#define CALLS  8u
#define SELF   77u
#define DEVICE 4u /* after the scratch directory */

enum { E_TOO_BIG = 1, E_BUSY = 10, E_NOSYS = 52 };

/* Handles are 1 to CALLS. */
struct owner {
    struct hostcall_chain chain;
    int err; /* of the next start */
    char reference[64];
    char input[64];
    bool is_detached;
    uint64_t count, forgotten;
    enum hostcall_end_kind kinds[CALLS + 1];
    int code;
};

static struct owner owner;

static int
owner_start(void *context, uint64_t call, const struct hostcall_chain_start *start,
            uint64_t *handle)
{
    (void)context;
    assert_int_equal(call, SELF);
    if (owner.err != 0)
        return owner.err;
    (void)snprintf(owner.reference, sizeof(owner.reference), "%s", start->reference);
    (void)snprintf(owner.input, sizeof(owner.input), "%.*s", (int)start->input_bytes,
                   (const char *)start->input);
    owner.is_detached = start->is_detached;
    *handle = ++owner.count;
    return 0;
}

static int64_t
owner_poll(void *context, uint64_t call, const uint64_t *handles, size_t count)
{
    (void)context;
    assert_int_equal(call, SELF);
    assert_int_equal(count, 1);
    assert_in_range(handles[0], 1, owner.count);
    return owner.kinds[handles[0]] == HOSTCALL_RUNNING;
}

static const char *
text_of(enum hostcall_stream stream)
{
    static const char *const texts[] = {
        [HOSTCALL_STREAM_RESULT] = "the result",
        [HOSTCALL_STREAM_OUTPUT] = "printed",
        [HOSTCALL_STREAM_LOG] = "logged",
        [HOSTCALL_STREAM_MESSAGE] = "it said \"no\"\n",
    };

    return texts[stream];
}

static int
owner_end(void *context, uint64_t call, uint64_t handle, struct hostcall_chain_end *end)
{
    (void)context;
    assert_int_equal(call, SELF);
    if (owner.kinds[handle] == HOSTCALL_RUNNING)
        return 0;
    *end = (struct hostcall_chain_end){.kind = owner.kinds[handle], .code = owner.code};
    for (unsigned i = 0; i < HOSTCALL_STREAM_COUNT; i++)
        end->bytes[i] = (uint32_t)strlen(text_of((enum hostcall_stream)i));
    return 0;
}

static int
owner_read(void *context, uint64_t call, uint64_t handle, enum hostcall_stream stream,
           struct hostcall_chain_read *read)
{
    size_t bytes = strlen(text_of(stream));

    (void)context;
    assert_int_equal(call, SELF);
    if (owner.kinds[handle] == HOSTCALL_RUNNING)
        return -EAGAIN;
    read->done = read->offset < bytes ? bytes - read->offset : 0;
    read->done = read->done < read->bytes ? read->done : read->bytes;
    (void)memcpy(read->to, text_of(stream) + read->offset, read->done);
    return 0;
}

static int
owner_cancel(void *context, uint64_t call, uint64_t handle)
{
    (void)context;
    (void)call;
    (void)handle;
    fail_msg("nobody cancels");
    return 0;
}

static int
owner_forget(void *context, uint64_t call, uint64_t handle)
{
    (void)context;
    assert_int_equal(call, SELF);
    owner.forgotten = handle;
    return 0;
}

static const struct hostcall_chain_ops owner_ops = {owner_start, owner_poll,   owner_end,
                                                    owner_read,  owner_cancel, owner_forget};

static int
device_setup(void **state)
{
    struct hostcall_config config = {.call = SELF,
                                     .function = "sum",
                                     .tenant = "a\"b",
                                     .version = "7",
                                     .files_max = 12,
                                     .chain = &owner.chain,
                                     .has_device = true};
    struct guest *guest;

    (void)memset(&owner, 0, sizeof(owner));
    owner.chain.ops = &owner_ops;
    assert_int_equal(hostcall_chain_register(&owner.chain), 0);
    assert_int_equal(guest_setup(state), 0);
    guest = *state;
    hostcall_process_ops.destroy(guest->process);
    assert_int_equal(guest_create_with(guest, &config), 0);
    return 0;
}

static int
device_teardown(void **state)
{
    int err = guest_teardown(state);

    hostcall_chain_unregister(&owner.chain);
    return err;
}

/* ------------------------------------------------------------------------- helpers */

static int
open_at(struct guest *guest, const char *path, uint64_t rights, uint32_t *fd)
{
    int err = CALL(guest, "path_open", DEVICE, 1, PATH(guest, path), 0, rights, 0, 0, GUEST_RESULT);

    *fd = guest_u32(guest, GUEST_RESULT);
    return err;
}

static uint32_t
device_file(struct guest *guest, const char *path)
{
    bool is_read = strncmp(path, "result", 6) != 0;
    bool is_written = !is_read || strncmp(path, "call", 4) == 0 || strncmp(path, "det", 3) == 0;
    uint32_t fd;

    assert_int_equal(open_at(guest, path,
                             (is_read ? WASI_RIGHT(WASI_FD_READ) : 0) | WASI_RIGHT(WASI_FD_SYNC) |
                                 (is_written ? WASI_RIGHT(WASI_FD_WRITE) : 0),
                             &fd),
                     0);
    return fd;
}

/* The record as another that was frozen and thawed. */
static void
move(struct guest *guest)
{
    struct buffer bytes = {0};
    void *moved;

    assert_int_equal(hostcall_process_ops.freeze(guest->process, &bytes), 0);
    assert_int_equal(hostcall_process_ops.thaw(bytes.bytes, bytes.count, &moved), 0);
    hostcall_process_ops.destroy(guest->process);
    guest->process = moved;
    buffer_fini(&bytes);
}

/* --------------------------------------------------------------------------- tests */

static void
test_the_device_is_a_directory_that_a_libc_finds(void **state)
{
    struct guest *guest = *state;
    uint32_t fd;

    assert_int_equal(CALL(guest, "fd_prestat_get", DEVICE, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT + 4), 9);
    assert_int_equal(CALL(guest, "fd_prestat_dir_name", DEVICE, GUEST_BUFFER, 9), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "/dev/weft", 9);
    assert_int_equal(CALL(guest, "fd_prestat_dir_name", DEVICE, GUEST_BUFFER, 8), E_NAMETOOLONG);
    assert_int_equal(CALL(guest, "fd_prestat_get", DEVICE + 2, GUEST_RESULT), E_BADF);
    assert_int_equal(CALL(guest, "fd_fdstat_get", DEVICE, GUEST_RESULT), 0);
    assert_int_equal(guest->memory[GUEST_RESULT], WASI_DIRECTORY);
    assert_int_equal(
        CALL(guest, "path_filestat_get", DEVICE, 1, PATH(guest, "identity"), GUEST_RESULT), 0);
    assert_int_equal(
        CALL(guest, "path_filestat_get", DEVICE, 1, PATH(guest, "nothing"), GUEST_RESULT), E_NOENT);
    /* It is no directory of files. */
    assert_int_equal(open_at(guest, "nothing", WASI_RIGHT(WASI_FD_READ), &fd), E_NOENT);
    assert_int_equal(open_at(guest, ".", WASI_RIGHT(WASI_FD_READ), &fd), E_ACCES);
    assert_int_equal(CALL(guest, "path_unlink_file", DEVICE, PATH(guest, "result")), E_NOTDIR);
    assert_int_equal(
        CALL(guest, "path_rename", GUEST_DIRECTORY, PATH(guest, "x"), DEVICE, PATH_2(guest, "y")),
        E_NOTDIR);
    assert_int_equal(CALL(guest, "fd_readdir", DEVICE, GUEST_BUFFER, 100, 0, GUEST_RESULT),
                     E_NOTDIR);
}

static void
test_a_call_is_written_started_awaited_and_read(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = device_file(guest, "call/bob/sum:7");

    for (unsigned is_moved = 0; is_moved < 2; is_moved++) {
        assert_int_equal(guest_write(guest, fd, is_moved ? "and more" : "one "), 0);
        move(guest);
    }
    assert_int_equal(owner.count, 0);
    assert_int_equal(guest_read(guest, fd, 4), -1); /* it waits */
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_true(guest->wait.deadline_ns == CLOCK_NEVER_NS);
    assert_string_equal(owner.reference, "bob/sum:7");
    assert_string_equal(owner.input, "one and more");
    assert_false(owner.is_detached);
    move(guest);
    assert_int_equal(guest_again(guest), -1);
    assert_int_equal(owner.count, 1);
    owner.kinds[1] = HOSTCALL_DONE;
    assert_int_equal(guest_again(guest), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 4);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "the ", 4);
    move(guest);
    assert_read(guest, fd, "result");
    assert_read(guest, fd, "");
    assert_int_equal(guest_write(guest, fd, "late"), E_BUSY);
    assert_int_equal(CALL(guest, "fd_close", fd), 0);
    assert_int_equal(owner.forgotten, 1);
}

static void
test_calls_that_are_synced_run_beside_each_other(void **state)
{
    struct guest *guest = *state;
    uint32_t fds[3];

    for (unsigned i = 0; i < 3; i++) {
        fds[i] = device_file(guest, i == 2 ? "detached/sum" : "call/sum");
        assert_int_equal(CALL(guest, i == 1 ? "fd_datasync" : "fd_sync", fds[i]),
                         i == 1 ? E_NOTCAPABLE : 0);
        assert_int_equal(CALL(guest, "fd_sync", fds[i]), 0); /* once is enough */
        assert_int_equal(owner.count, i + 1);
        assert_int_equal(owner.is_detached, i == 2);
        move(guest);
    }
    owner.kinds[2] = HOSTCALL_DONE;
    assert_read(guest, fds[1], "the result");
    assert_int_equal(guest_read(guest, fds[0], 4), -1);
    /* Who asked not to wait does not. */
    assert_int_equal(CALL(guest, "fd_close", fds[2]), 0);
    assert_int_equal(owner.forgotten, 3);
    assert_int_equal(CALL(guest, "path_open", DEVICE, 1, PATH(guest, "call/sum"), 0,
                          WASI_RIGHT(WASI_FD_READ), 0, FILES_NONBLOCK, GUEST_RESULT),
                     0);
    assert_int_equal(guest_read(guest, guest_u32(guest, GUEST_RESULT), 4), E_AGAIN);
}

static void
test_how_a_call_ended_is_told_in_json(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = device_file(guest, "call:7/sum"), end, timed;

    end = device_file(guest, "end:7");
    assert_int_equal(guest_read(guest, end, 4), -1);
    timed = device_file(guest, "end:7/0");
    assert_read(guest, timed,
                "{\"status\":\"running\",\"code\":0,\"result_bytes\":0,\"message\":\"\"}\n");
    assert_int_equal(CALL(guest, "fd_close", timed), 0);
    timed = device_file(guest, "end:7/3600000000000");
    assert_int_equal(guest_read(guest, timed, 4), -1);
    assert_true(guest->wait.deadline_ns != CLOCK_NEVER_NS);
    owner.kinds[1] = HOSTCALL_EXIT;
    owner.code = 3;
    move(guest);
    assert_read(guest, end,
                "{\"status\":\"exit\",\"code\":3,\"result_bytes\":10,"
                "\"message\":\"it said \\u0022no\\u0022\\u000a\"}\n");
    assert_read(guest, end, "");
    assert_int_equal(guest_read(guest, fd, 4), E_IO);
    assert_read(guest, device_file(guest, "output:7"), "printed");
    assert_read(guest, device_file(guest, "log:7"), "logged");
    /* The guest's own number of an error. */
    owner.kinds[1] = HOSTCALL_FAILED;
    owner.code = -ENOENT;
    assert_int_equal(guest_read(guest, timed, 4096), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "{\"status\":\"failed\",\"code\":44", 28);
    /* It is forgotten when the last file of it is closed. */
    assert_int_equal(CALL(guest, "fd_close", fd), 0);
    assert_int_equal(CALL(guest, "fd_close", end), 0);
    assert_int_equal(owner.forgotten, 0);
    assert_int_equal(CALL(guest, "fd_close", timed), 0);
    assert_int_equal(owner.forgotten, 0); /* its output, its log */
    assert_int_equal(CALL(guest, "fd_close", timed - 1), E_BADF);
}

static const struct {
    const char *path;
    int err;
} bad_names[] = {
    {"call/", E_INVAL},
    {"call/..", E_INVAL},
    {"call/a/../b", E_INVAL},
    {"call//a", E_INVAL},
    {"call/a/", E_INVAL},
    {"call/a b", E_INVAL},
    {"call/\x7f", E_INVAL},
    {"call", E_NOENT},
    {"call:0/a", E_NOENT},
    {"call:x/a", E_NOENT},
    {"call:4294967296/a", E_NOENT},
    {"call:5a/a", E_NOENT},
    {"call:5/a", E_EXIST},
    {"detached:5/a", E_EXIST},
    {"end", E_NOENT},
    {"end:6", E_NOENT},
    {"end/5", E_NOENT},
    {"end:5/x", E_NOENT},
    {"end:5/", E_NOENT},
    {"end:5/1/", E_NOENT},
    {"log:5/1", E_NOENT},
    {"result/a", E_NOENT},
    {"calls/a", E_NOENT},
    {"end:5/9223372036854775808", E_NOENT},
};

static void
test_what_is_no_name_is_refused(void **state)
{
    struct guest *guest = *state;
    char path[300] = "call/";
    uint32_t fd;

    (void)device_file(guest, "call:5/sum");
    for (size_t i = 0; i < ARRAY_COUNT(bad_names); i++)
        assert_int_equal(open_at(guest, bad_names[i].path, WASI_RIGHT(WASI_FD_READ), &fd),
                         bad_names[i].err);
    (void)memset(path + 5, 'a', sizeof(path) - 6);
    assert_int_equal(open_at(guest, path, WASI_RIGHT(WASI_FD_READ), &fd), E_NAMETOOLONG);
    assert_int_equal(open_at(guest, "identity", WASI_RIGHT(WASI_FD_WRITE), &fd), E_ACCES);
}

static void
test_what_cannot_be_started_loses_nothing(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = device_file(guest, "call/sum");

    owner.err = -ENOENT;
    assert_int_equal(CALL(guest, "fd_sync", fd), E_NOENT);
    owner.err = -EAGAIN; /* which is not to be waited for */
    assert_int_equal(guest_read(guest, fd, 4), E_AGAIN);
    assert_true((guest->refused & 1u << FAASLET_LIMIT_CALLS) != 0);
    owner.err = 0;
    assert_int_equal(guest_write(guest, fd, "input"), 0); /* nothing is lost */
    assert_int_equal(CALL(guest, "fd_sync", fd), 0);
    assert_string_equal(owner.input, "input");
    /* As many files as may be, the device itself apart. */
    for (unsigned i = 0; i < 7; i++)
        (void)device_file(guest, "call/sum");
    assert_int_equal(open_at(guest, "call/sum", WASI_RIGHT(WASI_FD_READ), &fd), E_MFILE);
    assert_true((guest->refused & 1u << FAASLET_LIMIT_FILES) != 0);
}

static void
test_inputs_that_wait_have_a_limit_together(void **state)
{
    struct guest *guest = *state;
    uint32_t a = device_file(guest, "call/sum"), b = device_file(guest, "call/sum");
    uint64_t written = 0;
    int err;

    do {
        err = CALL(guest, "fd_write", a, guest_iovec(guest, 0, GUEST_BUFFER, GUEST_BUFFER_BYTES), 1,
                   GUEST_RESULT);
        written += err == 0 ? GUEST_BUFFER_BYTES : 0;
    } while (err == 0);
    assert_int_equal(err, E_TOO_BIG);
    assert_int_equal(written, HOSTCALL_INPUT_BYTES_MAX);
    assert_int_equal(guest_write(guest, b, "x"), E_TOO_BIG);
    move(guest);
    assert_int_equal(guest_write(guest, b, "x"), E_TOO_BIG);
    assert_int_equal(CALL(guest, "fd_sync", a), 0);
    assert_int_equal(guest_write(guest, b, "x"), 0);
}

static void
test_a_result_is_what_is_written_to_it(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = device_file(guest, "result");
    const uint8_t *bytes;
    size_t count;

    assert_int_equal(guest_write(guest, fd, "one"), 0);
    move(guest);
    assert_int_equal(guest_write(guest, fd, " two"), 0);
    assert_int_equal(CALL(guest, "fd_sync", fd), 0);
    bytes = hostcall_process_output(guest->process, HOSTCALL_RESULT, &count);
    assert_int_equal(count, 7);
    assert_memory_equal(bytes, "one two", 7);
}

static void
test_who_it_is_and_what_time_it_has_are_files(void **state)
{
    struct guest *guest = *state;
    struct hostcall_process *process = guest->process;
    uint32_t fd = device_file(guest, "identity");

    assert_read(guest, fd,
                "{\"call\":77,\"function\":\"sum\",\"tenant\":\"a\\u0022b\",\"version\":\"7\"}\n");
    assert_read(guest, fd, "");
    assert_read(guest, device_file(guest, "deadline"), "");
    process->deadline_ns = clock_now_ns() + UINT64_C(3600000000000);
    assert_int_equal(guest_read(guest, device_file(guest, "deadline"), 100), 0);
    assert_in_range(strtoull((char *)guest->memory + GUEST_BUFFER, NULL, 10),
                    UINT64_C(3000000000000), UINT64_C(3600000000000));
}

static void
test_a_descriptor_of_a_call_goes_where_it_is_put(void **state)
{
    struct guest *guest = *state;
    uint32_t a = device_file(guest, "call/a"), b = device_file(guest, "call/b");

    assert_int_equal(CALL(guest, "fd_sync", a), 0);
    assert_int_equal(CALL(guest, "fd_sync", b), 0);
    assert_int_equal(CALL(guest, "fd_renumber", b, a), 0);
    assert_int_equal(owner.forgotten, 1); /* what was there is closed */
    owner.kinds[2] = HOSTCALL_DONE;
    assert_read(guest, a, "the result");
}

static void
test_who_holds_a_call_cannot_move_to_another_process(void **state)
{
    struct guest *guest = *state;
    struct diag diag;
    uint32_t fd;

    diag_init(&diag);
    (void)device_file(guest, "identity");
    assert_int_equal(hostcall_process_can_move(guest->process, &diag), 0);
    fd = device_file(guest, "call/a");
    assert_int_equal(hostcall_process_can_move(guest->process, &diag), -ENOTSUP);
    assert_non_null(strstr(diag_text(&diag), "a call that it started"));
    assert_int_equal(CALL(guest, "fd_close", fd), 0);
    assert_int_equal(hostcall_process_can_move(guest->process, NULL), 0);
    assert_int_equal(owner.forgotten, 0); /* it was never started */
}

static void
test_without_somebody_who_starts_calls_there_are_none(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = device_file(guest, "call/a");

    hostcall_chain_unregister(&owner.chain);
    move(guest);
    assert_int_equal(CALL(guest, "fd_sync", fd), E_NOSYS);
    assert_int_equal(guest_read(guest, fd, 10), E_NOSYS);
    assert_int_equal(CALL(guest, "fd_close", fd), 0);
}

static void
test_damaged_records_of_calls_are_refused(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = device_file(guest, "call/sum");
    struct buffer bytes = {0};
    unsigned refused = 0;

    assert_int_equal(guest_write(guest, fd, "input"), 0);
    assert_int_equal(hostcall_process_ops.freeze(guest->process, &bytes), 0);
    for (size_t i = 0; i < bytes.count; i++) {
        void *process;

        bytes.bytes[i] ^= 0x55;
        if (hostcall_process_ops.thaw(bytes.bytes, bytes.count, &process) == 0)
            hostcall_process_ops.destroy(process);
        else
            refused++;
        bytes.bytes[i] ^= 0x55;
        if (hostcall_process_ops.thaw(bytes.bytes, i, &process) == 0)
            fail_msg("%zu of %zu bytes are enough", i, bytes.count);
    }
    assert_true(refused > 100);
    buffer_fini(&bytes);
}

#define DEVICE_TEST(name) cmocka_unit_test_setup_teardown(name, device_setup, device_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        DEVICE_TEST(test_the_device_is_a_directory_that_a_libc_finds),
        DEVICE_TEST(test_a_call_is_written_started_awaited_and_read),
        DEVICE_TEST(test_calls_that_are_synced_run_beside_each_other),
        DEVICE_TEST(test_how_a_call_ended_is_told_in_json),
        DEVICE_TEST(test_what_is_no_name_is_refused),
        DEVICE_TEST(test_what_cannot_be_started_loses_nothing),
        DEVICE_TEST(test_inputs_that_wait_have_a_limit_together),
        DEVICE_TEST(test_a_result_is_what_is_written_to_it),
        DEVICE_TEST(test_who_it_is_and_what_time_it_has_are_files),
        DEVICE_TEST(test_a_descriptor_of_a_call_goes_where_it_is_put),
        DEVICE_TEST(test_who_holds_a_call_cannot_move_to_another_process),
        DEVICE_TEST(test_without_somebody_who_starts_calls_there_are_none),
        DEVICE_TEST(test_damaged_records_of_calls_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
