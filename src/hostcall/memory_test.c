/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard streams in memory, directories given as descriptors, and the limit of open
 * files.
 */
#include "hostcall/hostcall_test.h"

#include "base/fault.h"

#define INPUT "first line\nsecond line\n"

static const int in_memory[3] = {HOSTCALL_MEMORY, HOSTCALL_MEMORY, HOSTCALL_MEMORY};

/* Instead of the guest's process: one with its streams in memory. */
static void
use_memory(struct guest *guest, struct hostcall_config *config)
{
    int stdio[3];

    hostcall_process_ops.destroy(guest->process);
    (void)memcpy(stdio, guest->stdio, sizeof(stdio));
    (void)memcpy(guest->stdio, in_memory, sizeof(stdio));
    config->input = INPUT;
    config->input_bytes = strlen(INPUT);
    assert_int_equal(guest_create_with(guest, config), 0);
    (void)memcpy(guest->stdio, stdio, sizeof(stdio));
}

static void
assert_output(const struct guest *guest, unsigned stream, const char *expected)
{
    size_t count;
    const uint8_t *bytes = hostcall_process_output(guest->process, stream, &count);

    assert_int_equal(count, strlen(expected));
    assert_memory_equal(bytes, expected, count);
}

static void
replace_process(struct guest *guest, void *process)
{
    hostcall_process_ops.destroy(guest->process);
    guest->process = process;
}

static void
test_input_is_read_to_its_end_and_output_is_kept(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = {0};

    use_memory(guest, &config);
    assert_int_equal(guest_read(guest, 0, 10), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 10);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "first line", 10);
    assert_int_equal(guest_read(guest, 0, 1000), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), strlen(INPUT) - 10);
    assert_int_equal(guest_read(guest, 0, 1000), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 0);
    assert_int_equal(guest_write(guest, 1, "out"), 0);
    assert_int_equal(guest_write(guest, 2, "log"), 0);
    assert_int_equal(guest_write(guest, 1, "put"), 0);
    assert_output(guest, 1, "output");
    assert_output(guest, 2, "log");
}

static void
test_streams_in_memory_are_like_pipes(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = {0};

    use_memory(guest, &config);
    assert_int_equal(guest_write(guest, 0, "x"), E_NOTCAPABLE);
    assert_int_equal(guest_read(guest, 1, 1), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_seek", 1, 0, 0, GUEST_RESULT), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_filestat_get", 0, GUEST_BUFFER), 0);
    assert_int_equal(guest->memory[GUEST_BUFFER + 16], WASI_UNKNOWN);
    assert_int_equal(CALL(guest, "fd_fdstat_get", 1, GUEST_BUFFER), 0);
    assert_int_equal(guest->memory[GUEST_BUFFER], WASI_UNKNOWN);
    assert_int_equal(CALL(guest, "fd_sync", 1), E_INVAL);
    assert_int_equal(CALL(guest, "fd_advise", 0, 0, 0, 0), E_SPIPE);
    assert_int_equal(
        CALL(guest, "fd_pread", 0, guest_iovec(guest, 0, GUEST_BUFFER, 1), 1, 0, GUEST_RESULT),
        E_SPIPE);
    assert_int_equal(CALL(guest, "fd_readdir", 0, GUEST_BUFFER, 64, 0, GUEST_RESULT), E_NOTDIR);
    assert_int_equal(CALL(guest, "sock_shutdown", 1, 1), E_NOTSOCK);
    assert_int_equal(CALL(guest, "fd_close", 1), 0);
    assert_int_equal(guest_write(guest, 1, "x"), E_BADF);
}

static void
test_a_stream_keeps_its_memory_under_another_number(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = {0};
    uint32_t fd;

    use_memory(guest, &config);
    fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    assert_int_equal(CALL(guest, "fd_renumber", 1, fd), 0);
    assert_int_equal(guest_write(guest, fd, "moved"), 0);
    assert_int_equal(guest_write(guest, 1, "x"), E_BADF);
    assert_output(guest, 1, "moved");
}

static void
test_polling_finds_memory_ready(void **state)
{
    struct guest *guest = *state;
    struct wasi_subscription subscriptions[2] = {{.userdata = 7, .type = WASI_EVENT_FD_READ},
                                                 {.userdata = 8, .type = WASI_EVENT_FD_WRITE}};
    struct wasi_event events[2];
    struct hostcall_config config = {0};

    use_memory(guest, &config);
    subscriptions[1].fd = 2;
    (void)memcpy(guest->memory + GUEST_BUFFER, subscriptions, sizeof(subscriptions));
    assert_int_equal(CALL(guest, "poll_oneoff", GUEST_BUFFER, GUEST_BUFFER + 512, 2, GUEST_RESULT),
                     0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 2);
    (void)memcpy(events, guest->memory + GUEST_BUFFER + 512, sizeof(events));
    assert_int_equal(events[0].userdata, 7);
    assert_int_equal(events[0].error, 0);
    assert_int_equal(events[0].nbytes, strlen(INPUT));
    assert_int_equal(events[1].error, 0);
    assert_true(events[1].nbytes > 0);
}

static void
test_memory_has_a_limit_even_where_none_is_asked(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = {0};
    uint64_t written = 0;

    use_memory(guest, &config);
    do {
        (void)CALL(guest, "fd_write", 1, guest_iovec(guest, 0, 0, GUEST_MEMORY_BYTES / 2), 1,
                   GUEST_RESULT);
        written += GUEST_MEMORY_BYTES / 2;
    } while (guest->verdict == FAASLET_CALL_DONE && written < 2 * HOSTCALL_OUTPUT_BYTES_MAX);
    assert_int_equal(guest->verdict, FAASLET_CALL_LIMIT);
    assert_int_equal(guest->call.limit, FAASLET_LIMIT_OUTPUT);
    assert_in_range(written, HOSTCALL_OUTPUT_BYTES_MAX,
                    HOSTCALL_OUTPUT_BYTES_MAX + GUEST_MEMORY_BYTES);
}

static void
test_a_write_without_memory_changes_nothing(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = {0};

    use_memory(guest, &config);
    assert_int_equal(guest_write(guest, 1, "a"), 0);
    fault_arm("hostcall.memory", 1, -ENOMEM);
    assert_int_equal(guest_write(guest, 1, "b"), 48);
    assert_true(fault_disarm());
    assert_int_equal(guest_write(guest, 1, "c"), 0);
    assert_output(guest, 1, "ac");
}

static void
test_a_frozen_process_goes_on_in_the_middle_of_its_input(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = {0};
    struct buffer bytes = {0};
    void *process;

    use_memory(guest, &config);
    assert_int_equal(guest_read(guest, 0, 11), 0);
    assert_int_equal(guest_write(guest, 1, "half"), 0);
    assert_int_equal(hostcall_process_ops.freeze(guest->process, &bytes), 0);
    assert_int_equal(hostcall_process_ops.thaw(bytes.bytes, bytes.count, &process), 0);
    replace_process(guest, process);
    assert_int_equal(guest_read(guest, 0, 100), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), strlen(INPUT) - 11);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "second", 6);
    assert_int_equal(guest_write(guest, 1, "whole"), 0);
    assert_output(guest, 1, "halfwhole");
    for (size_t count = 0; count < bytes.count; count++)
        assert_int_equal(hostcall_process_ops.thaw(bytes.bytes, count, &process), -EINVAL);
    buffer_fini(&bytes);
}

static void
test_a_restart_has_its_own_input_and_no_output(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = {.args = (const char *const[]){"again"}, .arg_count = 1};
    struct buffer bytes = {0};
    void *process, *fresh;

    use_memory(guest, &(struct hostcall_config){0});
    assert_int_equal(guest_read(guest, 0, 11), 0);
    assert_int_equal(guest_write(guest, 1, "before"), 0);
    assert_int_equal(hostcall_process_ops.freeze(guest->process, &bytes), 0);
    use_memory(guest, &config);
    fresh = guest->process;
    assert_int_equal(hostcall_process_ops.restart(bytes.bytes, bytes.count, fresh, &process), 0);
    replace_process(guest, process);
    assert_int_equal(guest_read(guest, 0, 100), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), strlen(INPUT));
    assert_int_equal(guest_write(guest, 1, "after"), 0);
    assert_output(guest, 1, "after");
    buffer_fini(&bytes);
}

/* ------------------------------------------------------------------------ files */

static void
test_a_directory_may_be_given_as_a_descriptor(void **state)
{
    struct guest *guest = *state;
    struct hostcall_directory directory = {NULL, "/data", false, open(guest->root, O_RDONLY)};
    struct hostcall_config config = {.directories = &directory, .directory_count = 1};
    struct buffer bytes = {0};
    void *process;
    uint32_t fd;

    assert_true(directory.fd >= 0);
    use_memory(guest, &config);
    (void)close(directory.fd);
    assert_int_equal(CALL(guest, "fd_prestat_dir_name", 3, GUEST_BUFFER, 5), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "/data", 5);
    fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    assert_int_equal(guest_write(guest, fd, "kept"), 0);
    assert_int_equal(hostcall_process_ops.freeze(guest->process, &bytes), 0);
    assert_int_equal(hostcall_process_ops.thaw(bytes.bytes, bytes.count, &process), 0);
    replace_process(guest, process);
    assert_int_equal(guest_write(guest, fd, "!"), 0);
    buffer_fini(&bytes);
}

static void
test_a_restart_finds_its_files_in_the_directory_of_the_same_name(void **state)
{
    struct guest *guest = *state;
    struct hostcall_directory directory = {NULL, "/data", false, -1};
    struct hostcall_config config = {.directories = &directory, .directory_count = 1};
    struct buffer bytes = {0};
    struct hostcall_process *other;
    void *process;
    char path[256];
    uint32_t fd;

    host_mkdir(guest, "first");
    host_path(guest, "first", path);
    directory.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    use_memory(guest, &config);
    (void)close(directory.fd);
    fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    assert_int_equal(hostcall_process_ops.freeze(guest->process, &bytes), 0);
    hostcall_process_ops.destroy(guest->process);
    guest->process = NULL;

    /* Elsewhere the same directory is another one, with a file of that name. */
    host_mkdir(guest, "second");
    host_write(guest, "second/f", "other");
    host_path(guest, "second", path);
    directory.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    config.stdio[0] = config.stdio[1] = config.stdio[2] = -1;
    assert_int_equal(hostcall_process_create(&config, &other, NULL), 0);
    host_path(guest, "first/f", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(hostcall_process_ops.restart(bytes.bytes, bytes.count, other, &process), 0);
    hostcall_process_destroy(other);
    guest->process = process;
    assert_int_equal(guest_read(guest, fd, 100), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 5);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "other", 5);
    (void)close(directory.fd);
    buffer_fini(&bytes);
}

static void
test_no_more_files_are_open_than_allowed(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = {.files_max = 6};
    uint32_t fd;

    use_memory(guest, &config);
    assert_int_equal(guest_open(guest, "a", WASI_OFLAG_CREAT), 4);
    assert_int_equal(guest_open(guest, "b", WASI_OFLAG_CREAT), 5);
    assert_int_equal(guest->refused, 0);
    assert_int_equal(guest_open_with(guest, "a", 0, 0, ALL_RIGHTS, &fd), E_MFILE);
    assert_int_equal(guest->refused, 1u << FAASLET_LIMIT_FILES);
    assert_int_equal(CALL(guest, "fd_close", 4), 0);
    assert_int_equal(guest_open(guest, "a", 0), 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(test_input_is_read_to_its_end_and_output_is_kept),
        GUEST_TEST(test_streams_in_memory_are_like_pipes),
        GUEST_TEST(test_a_stream_keeps_its_memory_under_another_number),
        GUEST_TEST(test_polling_finds_memory_ready),
        GUEST_TEST(test_memory_has_a_limit_even_where_none_is_asked),
        GUEST_TEST(test_a_write_without_memory_changes_nothing),
        GUEST_TEST(test_a_frozen_process_goes_on_in_the_middle_of_its_input),
        GUEST_TEST(test_a_restart_has_its_own_input_and_no_output),
        GUEST_TEST(test_a_directory_may_be_given_as_a_descriptor),
        GUEST_TEST(test_a_restart_finds_its_files_in_the_directory_of_the_same_name),
        GUEST_TEST(test_no_more_files_are_open_than_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
