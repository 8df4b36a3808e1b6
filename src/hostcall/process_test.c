/* SPDX-License-Identifier: Apache-2.0
 *
 * The process record: made from a configuration, frozen, thawed; and the layouts
 * of wasi_unstable.
 */
#include "hostcall/hostcall_test.h"

#include "base/fault.h"

static struct buffer
freeze(struct guest *guest)
{
    struct buffer bytes = {0};

    assert_int_equal(hostcall_process_ops.freeze(guest->process, &bytes), 0);
    return bytes;
}

static void *
thaw(const struct buffer *bytes)
{
    void *process = NULL;

    assert_int_equal(hostcall_process_ops.thaw(bytes->bytes, bytes->count, &process), 0);
    return process;
}

static uint64_t
tell(struct guest *guest, uint32_t fd)
{
    assert_int_equal(CALL(guest, "fd_tell", fd, GUEST_RESULT), 0);
    return guest_u64(guest, GUEST_RESULT);
}

/* Runs the rest as the other process. */
static void
swap(struct guest *guest, void **process)
{
    void *mine = guest->process;

    guest->process = *process;
    *process = mine;
}

static void
test_a_clone_has_its_own_offsets(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    struct buffer bytes;
    void *clone;

    assert_int_equal(guest_write(guest, fd, "0123456789"), 0);
    assert_int_equal(CALL(guest, "fd_seek", fd, 4, 0, GUEST_RESULT), 0);
    bytes = freeze(guest);
    clone = thaw(&bytes);
    assert_read(guest, fd, "456789");
    swap(guest, &clone);
    assert_int_equal(tell(guest, fd), 4);
    assert_read(guest, fd, "456789");
    assert_int_equal(CALL(guest, "fd_close", fd), 0);
    swap(guest, &clone);
    assert_int_equal(tell(guest, fd), 10);
    assert_int_equal(guest_write(guest, fd, "x"), 0);
    hostcall_process_ops.destroy(clone);
    buffer_fini(&bytes);
}

static void
test_everything_of_a_process_survives_its_end(void **state)
{
    struct guest *guest = *state;
    struct buffer bytes;
    uint32_t fd, directory;

    host_mkdir(guest, "d");
    assert_int_equal(guest_open_with(guest, "d", WASI_OFLAG_DIRECTORY, 0, ALL_RIGHTS, &directory),
                     0);
    assert_int_equal(CALL(guest, "path_open", directory, 0, PATH(guest, "f"), WASI_OFLAG_CREAT,
                          ALL_RIGHTS, 0, FILES_APPEND, GUEST_RESULT),
                     0);
    fd = guest_u32(guest, GUEST_RESULT);
    assert_int_equal(guest_write(guest, fd, "abc"), 0);
    assert_int_equal(CALL(guest, "fd_fdstat_set_rights", 3, 0, 0), 0);
    bytes = freeze(guest);
    hostcall_process_ops.destroy(guest->process); /* its descriptors are closed */
    guest->process = thaw(&bytes);
    assert_int_equal(tell(guest, fd), 3);
    assert_int_equal(guest_write(guest, fd, "def"), 0);
    assert_int_equal(CALL(guest, "fd_seek", fd, 0, 0, GUEST_RESULT), 0);
    assert_read(guest, fd, "abcdef");
    assert_int_equal(CALL(guest, "path_filestat_get", directory, 0, PATH(guest, "f"), GUEST_RESULT),
                     0);
    assert_int_equal(CALL(guest, "fd_prestat_get", 3, GUEST_RESULT), 0);
    assert_int_equal(CALL(guest, "fd_readdir", 3, GUEST_BUFFER, 9, 0, GUEST_RESULT), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "args_sizes_get", GUEST_RESULT, GUEST_RESULT_2), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 3);
    assert_int_equal(guest_write(guest, 1, "out"), 0);
    buffer_fini(&bytes);
}

static void
test_an_unlinked_file_goes_along_with_a_clone(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    struct buffer bytes;
    void *clone;

    assert_int_equal(guest_write(guest, fd, "kept"), 0);
    assert_int_equal(CALL(guest, "path_unlink_file", 3, PATH(guest, "f")), 0);
    bytes = freeze(guest);
    clone = thaw(&bytes);
    swap(guest, &clone);
    hostcall_process_ops.destroy(clone);
    assert_int_equal(CALL(guest, "fd_seek", fd, 0, 0, GUEST_RESULT), 0);
    assert_read(guest, fd, "kept");
    buffer_fini(&bytes);
}

static void
test_what_cannot_be_opened_again_fails_when_used(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    struct buffer bytes = freeze(guest);

    assert_int_equal(CALL(guest, "path_unlink_file", 3, PATH(guest, "f")), 0);
    hostcall_process_ops.destroy(guest->process);
    guest->process = thaw(&bytes);
    assert_int_equal(guest_read(guest, fd, 1), E_IO);
    assert_int_equal(guest_write(guest, fd, "x"), E_IO);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_RESULT), E_IO);
    assert_int_equal(CALL(guest, "fd_sync", fd), E_IO);
    assert_int_equal(CALL(guest, "fd_seek", fd, 0, 0, GUEST_RESULT), E_IO);
    assert_int_equal(CALL(guest, "fd_close", fd), 0);
    buffer_fini(&bytes);
}

static void
test_a_pending_read_goes_on_in_the_thawed_process(void **state)
{
    struct guest *guest = *state;
    struct buffer bytes;
    void *clone;

    assert_int_equal(guest_read(guest, 0, 10), -1);
    bytes = freeze(guest);
    clone = thaw(&bytes);
    swap(guest, &clone);
    hostcall_process_ops.destroy(clone);
    assert_int_equal(guest_again(guest), -1);
    assert_int_equal(write(guest->peer[0], "later", 5), 5);
    assert_int_equal(guest_again(guest), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "later", 5);
    buffer_fini(&bytes);
}

static void
test_a_listing_goes_on_in_the_thawed_process(void **state)
{
    struct guest *guest = *state;
    struct buffer bytes;
    struct wasi_dirent dirent;
    void *clone;

    host_write(guest, "a", "");
    host_write(guest, "b", "");
    assert_int_equal(CALL(guest, "fd_readdir", 3, GUEST_BUFFER, 60, 0, GUEST_RESULT), 0);
    (void)memcpy(&dirent, guest->memory + GUEST_BUFFER, sizeof(dirent));
    bytes = freeze(guest);
    clone = thaw(&bytes);
    assert_int_equal(CALL(guest, "fd_readdir", 3, GUEST_BUFFER, 4096, dirent.next, GUEST_RESULT),
                     0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 3 * 24 + (5 - dirent.namlen));
    swap(guest, &clone);
    assert_int_equal(CALL(guest, "fd_readdir", 3, GUEST_BUFFER, 4096, dirent.next, GUEST_RESULT),
                     0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 3 * 24 + (5 - dirent.namlen));
    hostcall_process_ops.destroy(clone);
    buffer_fini(&bytes);
}

/* Every word of the record is small, or not an address by its upper bits: also the
 * text and the offset that a guest chose to look like one. */
static void
test_no_word_of_a_frozen_record_looks_like_an_address(void **state)
{
    struct guest *guest = *state;
    static const char *const args[] = {"sixsix", "", "abcdef", "", "x", "", ""};
    struct hostcall_config config = {.args = args, .arg_count = ARRAY_COUNT(args)};
    struct buffer bytes;
    uint32_t fd;

    hostcall_process_ops.destroy(guest->process);
    assert_int_equal(guest_create_with(guest, &config), 0);
    fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    assert_int_equal(CALL(guest, "fd_seek", fd, (uintptr_t)guest->memory, 0, GUEST_RESULT), 0);
    bytes = freeze(guest);
    assert_int_equal(bytes.count % 8, 0);
    for (size_t at = 0; at < bytes.count; at += 8) {
        uint64_t word;

        (void)memcpy(&word, bytes.bytes + at, 8);
        if (word > UINT32_MAX && word >> 47 == 0)
            fail_msg("byte %zu: %#lx", at, (unsigned long)word);
    }
    buffer_fini(&bytes);
}

static void
test_bytes_that_are_no_record_are_refused(void **state)
{
    struct guest *guest = *state;
    struct buffer bytes = freeze(guest);
    void *process = NULL;

    for (size_t count = 0; count < bytes.count; count++)
        assert_int_not_equal(hostcall_process_ops.thaw(bytes.bytes, count, &process), 0);
    for (size_t at = 0; at < bytes.count; at++) { /* damaged: refused or usable */
        bytes.bytes[at] ^= 0x41;
        if (hostcall_process_ops.thaw(bytes.bytes, bytes.count, &process) == 0)
            hostcall_process_ops.destroy(process);
        bytes.bytes[at] ^= 0x41;
    }
    buffer_fini(&bytes);
}

static unsigned
count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void
test_a_failing_thaw_leaks_nothing(void **state)
{
    struct guest *guest = *state;
    struct buffer bytes = freeze(guest);
    unsigned before = count_descriptors();
    void *process = NULL;
    unsigned nth = 1;

    for (;; nth++) {
        int err;

        fault_arm("files.thaw", nth, -EMFILE);
        err = hostcall_process_ops.thaw(bytes.bytes, bytes.count, &process);
        if (!fault_disarm())
            break;
        assert_int_equal(err, -EMFILE);
        assert_int_equal(count_descriptors(), before);
    }
    assert_int_equal(nth, 5); /* three streams and a directory */
    hostcall_process_ops.destroy(process);
    assert_int_equal(count_descriptors(), before);
    buffer_fini(&bytes);
}

/* ------------------------------------------------------------------------ create */

static void
test_create_reports_the_path_that_is_wrong(void **state)
{
    struct guest *guest = *state;
    struct hostcall_directory directory = {"/does/not/exist", "/", false, -1};
    struct hostcall_config config = {
        .directories = &directory, .directory_count = 1, .stdio = {-1, -1, -1}};
    struct hostcall_process *process = NULL;
    unsigned before = count_descriptors();
    struct diag diag;

    (void)guest;
    diag_init(&diag);
    assert_int_equal(hostcall_process_create(&config, &process, &diag), -ENOENT);
    assert_non_null(strstr(diag_text(&diag), "/does/not/exist"));
    diag_init(&diag);
    directory.host_path = "/dev/null";
    assert_int_equal(hostcall_process_create(&config, &process, &diag), -ENOTDIR);
    diag_init(&diag);
    config.directory_count = 0;
    config.stdio[2] = 1000;
    assert_int_equal(hostcall_process_create(&config, &process, &diag), -EBADF);
    assert_non_null(strstr(diag_text(&diag), "1000"));
    assert_null(process);
    assert_int_equal(count_descriptors(), before);
}

static void
test_closed_streams_keep_directories_at_three(void **state)
{
    struct guest *guest = *state;
    struct hostcall_directory directories[] = {{guest->root, "/", false, -1},
                                               {"/", "host", true, -1}};
    struct hostcall_config config = {.directories = directories, .directory_count = 2};
    int stdio[3];

    (void)memcpy(stdio, guest->stdio, sizeof(stdio));
    hostcall_process_ops.destroy(guest->process);
    guest->stdio[1] = -1;
    assert_int_equal(guest_create_with(guest, &config), 0);
    (void)memcpy(guest->stdio, stdio, sizeof(stdio));
    assert_int_equal(guest_write(guest, 1, "x"), E_BADF);
    assert_int_equal(CALL(guest, "fd_prestat_get", 3, GUEST_RESULT), 0);
    assert_int_equal(CALL(guest, "fd_prestat_dir_name", 4, GUEST_BUFFER, 4), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "host", 4);
    assert_int_equal(guest_open(guest, "f", WASI_OFLAG_CREAT), 1); /* the lowest free */
}

static void
test_redirected_streams_share_the_hosts_offset(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = {0};
    char path[256], text[16];
    int stdio[3], fd;

    host_write(guest, "log", "");
    host_path(guest, "log", path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    (void)memcpy(stdio, guest->stdio, sizeof(stdio));
    guest->stdio[1] = fd;
    guest->stdio[2] = fd;
    hostcall_process_ops.destroy(guest->process);
    assert_int_equal(guest_create_with(guest, &config), 0);
    (void)memcpy(guest->stdio, stdio, sizeof(stdio));
    assert_int_equal(guest_write(guest, 1, "out"), 0);
    assert_int_equal(guest_write(guest, 2, "err"), 0);
    assert_int_equal(write(fd, "host", 4), 4);
    assert_int_equal(tell(guest, 1), 10);
    assert_int_equal(pread(fd, text, sizeof(text), 0), 10);
    assert_memory_equal(text, "outerrhost", 10);
    (void)close(fd);
}

static void
test_a_limit_of_output_is_not_evaded_by_making_the_file_longer(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = {.output_max = 4};
    char path[256];
    int kept = guest->stdio[1], fd;

    host_path(guest, "log", path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    guest->stdio[1] = fd;
    hostcall_process_ops.destroy(guest->process);
    assert_int_equal(guest_create_with(guest, &config), 0);
    guest->stdio[1] = kept;
    assert_int_equal(CALL(guest, "fd_allocate", 1, 0, 1000), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_filestat_set_size", 1, 1000), E_NOTCAPABLE);
    assert_int_equal(guest_write(guest, 1, "1234"), 0);
    (void)close(fd);
}

/* ------------------------------------------------------------------ wasi_unstable */

static void
test_unstable_filestat_is_56_bytes(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    assert_int_equal(guest_write(guest, fd, "12345"), 0);
    guest->module = "wasi_unstable";
    (void)memset(guest->memory + GUEST_BUFFER, 0xee, 128);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_BUFFER), 0);
    assert_int_equal(guest->memory[GUEST_BUFFER + 16], WASI_REGULAR_FILE);
    assert_int_equal(guest_u32(guest, GUEST_BUFFER + 20), 1);
    assert_int_equal(guest_u64(guest, GUEST_BUFFER + 24), 5);
    assert_int_equal(guest->memory[GUEST_BUFFER + 56], 0xee);
    (void)memset(guest->memory + GUEST_BUFFER, 0xee, 128);
    assert_int_equal(CALL(guest, "path_filestat_get", 3, 0, PATH(guest, "f"), GUEST_BUFFER), 0);
    assert_int_equal(guest_u64(guest, GUEST_BUFFER + 24), 5);
    assert_true(guest_u64(guest, GUEST_BUFFER + 48) > 0);
    assert_int_equal(guest->memory[GUEST_BUFFER + 56], 0xee);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_MEMORY_BYTES - 56), 0);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_MEMORY_BYTES - 55), E_FAULT);
    assert_int_equal(CALL(guest, "fd_filestat_get", 99, GUEST_BUFFER), E_BADF);
}

static void
test_unstable_whence_is_current_end_set(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    assert_int_equal(guest_write(guest, fd, "0123456789"), 0);
    guest->module = "wasi_unstable";
    assert_int_equal(CALL(guest, "fd_seek", fd, 4, 2, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 4);
    assert_int_equal(CALL(guest, "fd_seek", fd, 1, 0, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 5);
    assert_int_equal(CALL(guest, "fd_seek", fd, (uint64_t)-3, 1, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 7);
    assert_int_equal(CALL(guest, "fd_seek", fd, 0, 3, GUEST_RESULT), E_INVAL);
}

static void
test_only_what_another_process_can_open_can_move(void **state)
{
    struct guest *guest = *state;
    struct hostcall_process *process = guest->process;
    struct diag diag;
    int ends[2];
    uint32_t number;

    diag_init(&diag);
    assert_int_equal(hostcall_process_can_move(process, &diag), 0);
    (void)guest_open(guest, "f", WASI_OFLAG_CREAT);
    assert_int_equal(hostcall_process_can_move(process, &diag), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(files_table_adopt(&process->files, ends[0], &number), 0);
    assert_int_equal(hostcall_process_can_move(process, &diag), -ENOTSUP);
    assert_non_null(strstr(diag_text(&diag), "descriptor"));
    assert_int_equal(files_table_close(&process->files, number), 0);
    assert_int_equal(hostcall_process_can_move(process, NULL), 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(test_a_clone_has_its_own_offsets),
        GUEST_TEST(test_everything_of_a_process_survives_its_end),
        GUEST_TEST(test_an_unlinked_file_goes_along_with_a_clone),
        GUEST_TEST(test_what_cannot_be_opened_again_fails_when_used),
        GUEST_TEST(test_a_pending_read_goes_on_in_the_thawed_process),
        GUEST_TEST(test_a_listing_goes_on_in_the_thawed_process),
        GUEST_TEST(test_no_word_of_a_frozen_record_looks_like_an_address),
        GUEST_TEST(test_bytes_that_are_no_record_are_refused),
        GUEST_TEST(test_a_failing_thaw_leaks_nothing),
        GUEST_TEST(test_create_reports_the_path_that_is_wrong),
        GUEST_TEST(test_closed_streams_keep_directories_at_three),
        GUEST_TEST(test_redirected_streams_share_the_hosts_offset),
        GUEST_TEST(test_a_limit_of_output_is_not_evaded_by_making_the_file_longer),
        GUEST_TEST(test_only_what_another_process_can_open_can_move),
        GUEST_TEST(test_unstable_filestat_is_56_bytes),
        GUEST_TEST(test_unstable_whence_is_current_end_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
