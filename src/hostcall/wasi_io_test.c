/* SPDX-License-Identifier: Apache-2.0 */
#include "hostcall/hostcall_test.h"

#include <poll.h>
#include <sys/socket.h>

static void
test_written_bytes_are_read_back_at_the_offset(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    assert_int_equal(guest_write(guest, fd, "hello"), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 5);
    assert_int_equal(CALL(guest, "fd_tell", fd, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 5);
    assert_int_equal(CALL(guest, "fd_seek", fd, (uint64_t)-3, 1, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 2);
    assert_read(guest, fd, "llo");
    assert_read(guest, fd, "");
}

static void
test_vectors_scatter_and_gather(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    (void)guest_text(guest, GUEST_BUFFER, "abcdef");
    (void)guest_iovec(guest, 0, GUEST_BUFFER + 3, 3);
    (void)guest_iovec(guest, 1, GUEST_BUFFER, 0);
    (void)guest_iovec(guest, 2, GUEST_BUFFER, 3);
    assert_int_equal(CALL(guest, "fd_write", fd, GUEST_IOVECS, 3, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 6);
    (void)guest_iovec(guest, 0, GUEST_BUFFER + 100, 4);
    (void)guest_iovec(guest, 1, GUEST_BUFFER + 200, 9);
    assert_int_equal(CALL(guest, "fd_pread", fd, GUEST_IOVECS, 2, 0, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 6);
    assert_memory_equal(guest->memory + GUEST_BUFFER + 100, "defa", 4);
    assert_memory_equal(guest->memory + GUEST_BUFFER + 200, "bc", 2);
}

static void
test_too_many_vectors_are_refused(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    assert_int_equal(CALL(guest, "fd_write", fd, GUEST_BUFFER, 1024, GUEST_RESULT), 0);
    assert_int_equal(CALL(guest, "fd_write", fd, GUEST_BUFFER, 1025, GUEST_RESULT), E_INVAL);
    /* count * 8 overflows 32 bits */
    assert_int_equal(CALL(guest, "fd_write", fd, GUEST_BUFFER, 0x20000001, GUEST_RESULT), E_FAULT);
}

static void
test_a_bad_buffer_among_good_ones_changes_nothing(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    (void)guest_text(guest, GUEST_BUFFER, "abc");
    (void)guest_iovec(guest, 0, GUEST_BUFFER, 3);
    (void)guest_iovec(guest, 1, GUEST_MEMORY_BYTES - 1, 2);
    assert_int_equal(CALL(guest, "fd_write", fd, GUEST_IOVECS, 2, GUEST_RESULT), E_FAULT);
    assert_int_equal(CALL(guest, "fd_pwrite", fd, GUEST_IOVECS, 2, 0, GUEST_RESULT), E_FAULT);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 32), 0);
}

static void
test_positioned_transfers_leave_the_offset_alone(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    assert_int_equal(guest_write(guest, fd, "0123456789"), 0);
    (void)guest_text(guest, GUEST_BUFFER, "XY");
    (void)guest_iovec(guest, 0, GUEST_BUFFER, 2);
    assert_int_equal(CALL(guest, "fd_pwrite", fd, GUEST_IOVECS, 1, 4, GUEST_RESULT), 0);
    assert_int_equal(CALL(guest, "fd_tell", fd, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 10);
    assert_int_equal(CALL(guest, "fd_seek", fd, 0, 0, GUEST_RESULT), 0);
    assert_read(guest, fd, "0123XY6789");
    (void)guest_iovec(guest, 0, GUEST_BUFFER, 2);
    assert_int_equal(CALL(guest, "fd_pread", fd, GUEST_IOVECS, 1, UINT64_MAX, GUEST_RESULT),
                     E_INVAL);
    assert_int_equal(CALL(guest, "fd_pread", 0, GUEST_IOVECS, 1, 0, GUEST_RESULT), E_SPIPE);
    assert_int_equal(CALL(guest, "fd_pwrite", 1, GUEST_IOVECS, 1, 0, GUEST_RESULT), E_SPIPE);
}

static void
test_seek_says_what_is_wrong(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    assert_int_equal(CALL(guest, "fd_seek", fd, (uint64_t)-1, 0, GUEST_RESULT), E_INVAL);
    assert_int_equal(CALL(guest, "fd_seek", fd, 0, 3, GUEST_RESULT), E_INVAL);
    assert_int_equal(CALL(guest, "fd_seek", fd, 100, 2, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 100);
    assert_int_equal(CALL(guest, "fd_seek", fd, INT64_MAX, 1, GUEST_RESULT), 61);
    assert_int_equal(CALL(guest, "fd_seek", 0, 0, 1, GUEST_RESULT), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_seek", GUEST_DIRECTORY, 0, 1, GUEST_RESULT), E_BADF);
    assert_int_equal(CALL(guest, "fd_tell", 77, GUEST_RESULT), E_BADF);
    assert_int_equal(CALL(guest, "fd_tell", 0, GUEST_RESULT), E_NOTCAPABLE);
}

static void
test_append_goes_to_the_end_and_can_be_switched(void **state)
{
    struct guest *guest = *state;
    uint32_t fd;

    host_write(guest, "f", "base");
    assert_int_equal(guest_open_with(guest, "f", 0, FILES_APPEND, ALL_RIGHTS, &fd), 0);
    assert_int_equal(guest_write(guest, fd, "+1"), 0);
    assert_int_equal(CALL(guest, "fd_tell", fd, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 6);
    assert_int_equal(CALL(guest, "fd_seek", fd, 0, 0, GUEST_RESULT), 0);
    assert_int_equal(guest_write(guest, fd, "+2"), 0);
    assert_int_equal(CALL(guest, "fd_fdstat_set_flags", fd, 0), 0);
    assert_int_equal(CALL(guest, "fd_seek", fd, 0, 0, GUEST_RESULT), 0);
    assert_int_equal(guest_write(guest, fd, "B"), 0);
    assert_int_equal(CALL(guest, "fd_seek", fd, 0, 0, GUEST_RESULT), 0);
    assert_read(guest, fd, "Base+1+2");
}

static void
test_a_closed_descriptor_or_a_directory_cannot_be_read(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(guest_read(guest, 99, 4), E_BADF);
    assert_int_equal(guest_read(guest, GUEST_DIRECTORY, 4), E_ISDIR);
    assert_int_equal(guest_write(guest, GUEST_DIRECTORY, "x"), E_BADF);
    assert_int_equal(guest_read(guest, 1, 4), E_NOTCAPABLE);
    assert_int_equal(guest_write(guest, 0, "x"), E_NOTCAPABLE);
}

static void
test_reading_an_empty_pipe_is_pending_and_resumes(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(guest_read(guest, 0, 10), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(guest->wait.fd_count, 1);
    assert_int_equal(guest->wait.fds[0].fd, guest->stdio[0]);
    assert_int_equal(guest->wait.fds[0].events, POLLIN);
    assert_true(guest->wait.deadline_ns == CLOCK_NEVER_NS);
    assert_int_equal(guest_again(guest), -1);
    assert_int_equal(write(guest->peer[0], "data", 4), 4);
    assert_int_equal(guest_again(guest), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 4);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "data", 4);
    assert_int_equal(fcntl(guest->stdio[0], F_GETFL) & O_NONBLOCK, 0);
}

static void
test_nonblock_says_again_instead_of_pending(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(CALL(guest, "fd_fdstat_set_flags", 0, FILES_NONBLOCK), 0);
    assert_int_equal(guest_read(guest, 0, 10), E_AGAIN);
    assert_int_equal(fcntl(guest->stdio[0], F_GETFL) & O_NONBLOCK, 0);
}

static void
test_the_end_of_a_pipe_is_zero_bytes(void **state)
{
    struct guest *guest = *state;

    (void)close(guest->peer[0]);
    guest->peer[0] = -1;
    assert_int_equal(guest_read(guest, 0, 10), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 0);
}

static void
test_writing_to_a_full_pipe_is_short_then_pending(void **state)
{
    struct guest *guest = *state;
    static char sink[1 << 20];
    uint64_t total = 0;
    int err;

    for (int i = 0; i < 1000; i++) {
        err = CALL(guest, "fd_write", 1, guest_iovec(guest, 0, GUEST_BUFFER, GUEST_BUFFER_BYTES), 1,
                   GUEST_RESULT);
        if (err != 0)
            break;
        total += guest_u32(guest, GUEST_RESULT);
    }
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(guest->wait.fds[0].events, POLLOUT);
    assert_true(total >= 4096);
    assert_int_equal(read(guest->peer[1], sink, sizeof(sink)), total);
    assert_int_equal(guest_again(guest), 0);
    assert_true(guest_u32(guest, GUEST_RESULT) > 0);
    assert_int_equal(fcntl(guest->stdio[1], F_GETFL) & O_NONBLOCK, 0);
}

static void
test_a_pipe_without_reader_is_an_error_not_a_signal(void **state)
{
    struct guest *guest = *state;

    (void)close(guest->peer[1]);
    guest->peer[1] = -1;
    assert_int_equal(guest_write(guest, 1, "x"), E_PIPE);
    assert_int_equal(guest_write(guest, 1, "x"), E_PIPE);
}

static void
test_a_terminal_is_told_by_its_rights(void **state)
{
    struct guest *guest = *state;
    struct files_table *files = &((struct hostcall_process *)guest->process)->files;
    uint64_t seek_tell = WASI_RIGHT(WASI_FD_SEEK) | WASI_RIGHT(WASI_FD_TELL);
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    uint32_t number;

    if (fd < 0)
        skip(); /* no pseudo-terminals here */
    assert_int_equal(files_table_adopt(files, fd, &number), 0);
    wasi_rights_adopted(files_table_get(files, number));
    assert_int_equal(CALL(guest, "fd_fdstat_get", number, GUEST_RESULT), 0);
    assert_int_equal(guest->memory[GUEST_RESULT], WASI_CHARACTER_DEVICE);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 8) & seek_tell, 0);
    assert_int_equal(CALL(guest, "fd_close", number), 0);
    (void)close(fd);
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(files_table_adopt(files, fd, &number), 0);
    wasi_rights_adopted(files_table_get(files, number));
    assert_int_equal(CALL(guest, "fd_fdstat_get", number, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 8) & seek_tell, seek_tell);
    assert_int_equal(guest_write(guest, number, "gone"), 0);
    assert_read(guest, number, "");
    (void)close(fd);
}

static void
test_a_terminal_that_nobody_reads_is_pending(void **state)
{
    struct guest *guest = *state;
    struct files_table *files = &((struct hostcall_process *)guest->process)->files;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave, err = 0;
    uint32_t number;

    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        skip(); /* no pseudo-terminals here */
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    assert_int_equal(files_table_adopt(files, slave, &number), 0);
    wasi_rights_adopted(files_table_get(files, number));
    assert_int_equal(guest_read(guest, number, 10), -1);
    assert_int_equal(write(master, "typed\n", 6), 6);
    assert_int_equal(guest_again(guest), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "typed\n", 6);
    for (int i = 0; i < 1000 && err == 0; i++)
        err = CALL(guest, "fd_write", number, guest_iovec(guest, 0, GUEST_BUFFER, 10000), 1,
                   GUEST_RESULT);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
    (void)close(slave);
    (void)close(master);
}

/* A named pipe has no "now or never" in the kernel: here the old way is taken. */
static void
test_a_named_pipe_waits_and_breaks_like_a_pipe(void **state)
{
    struct guest *guest = *state;
    struct files_table *files = &((struct hostcall_process *)guest->process)->files;
    uint32_t reader, writer, written = 0;
    char path[256];
    int ends[2], err = 0;

    host_path(guest, "fifo", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    ends[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ends[1] = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(ends[0] >= 0 && ends[1] >= 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
    assert_int_equal(files_table_adopt(files, ends[0], &reader), 0);
    wasi_rights_adopted(files_table_get(files, reader));
    assert_int_equal(files_table_adopt(files, ends[1], &writer), 0);
    wasi_rights_adopted(files_table_get(files, writer));
    assert_int_equal(guest_read(guest, reader, 10), -1);
    for (int i = 0; i < 1000 && err == 0; i++) {
        err = CALL(guest, "fd_write", writer, guest_iovec(guest, 0, GUEST_BUFFER, 10000), 1,
                   GUEST_RESULT);
        written += err == 0 ? guest_u32(guest, GUEST_RESULT) : 0;
    }
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_true(written >= 4096);
    assert_int_equal(guest_read(guest, reader, 100), 0);
    assert_int_equal(CALL(guest, "fd_close", reader), 0);
    (void)close(ends[0]);
    assert_int_equal(guest_write(guest, writer, "x"), E_PIPE);
    (void)close(ends[1]);
}

/* ------------------------------------------------------------------ the output limit */

/* The guest again, with a limit, and a file of the host as its standard output. */
static void
limit_output(struct guest *guest, uint64_t bytes)
{
    struct hostcall_config config = {.output_max = bytes};
    char path[256];

    host_path(guest, "output", path);
    (void)close(guest->stdio[1]);
    guest->stdio[1] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    assert_true(guest->stdio[1] >= 0);
    hostcall_process_ops.destroy(guest->process);
    assert_int_equal(guest_create_with(guest, &config), 0);
}

static void
assert_limit(const struct guest *guest)
{
    assert_int_equal(guest->verdict, FAASLET_CALL_LIMIT);
    assert_int_equal(guest->call.limit, FAASLET_LIMIT_OUTPUT);
}

static void
test_the_output_limit_holds_for_the_stream_at_any_number(void **state)
{
    struct guest *guest = *state;
    uint32_t fd;

    limit_output(guest, 10);
    fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    assert_int_equal(guest_write(guest, 1, "123456"), 0);
    assert_int_equal(CALL(guest, "fd_renumber", 1, fd), 0);
    assert_int_equal(guest_write(guest, fd, "7890"), 0);
    assert_int_equal(guest_write(guest, fd, "1"), -1);
    assert_limit(guest);
}

static void
test_the_output_limit_spares_a_file_at_a_streams_number(void **state)
{
    struct guest *guest = *state;

    limit_output(guest, 10);
    assert_int_equal(CALL(guest, "fd_renumber", guest_open(guest, "f", WASI_OFLAG_CREAT), 1), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(guest_write(guest, 1, "12345678"), 0);
    assert_int_equal(guest_write(guest, 2, "1234567890"), 0);
    assert_int_equal(guest_write(guest, 2, "1"), -1);
    assert_limit(guest);
}

static int
write_at(struct guest *guest, uint64_t offset, const char *text)
{
    uint32_t bytes = guest_text(guest, GUEST_BUFFER, text);

    return CALL(guest, "fd_pwrite", 1, guest_iovec(guest, 0, GUEST_BUFFER, bytes), 1, offset,
                GUEST_RESULT);
}

static void
test_the_output_limit_holds_for_positioned_writes(void **state)
{
    struct guest *guest = *state;

    limit_output(guest, 10);
    assert_int_equal(write_at(guest, 100, "123456"), 0);
    assert_int_equal(write_at(guest, 200, "12345"), -1);
    assert_limit(guest);
    assert_int_equal(guest_write(guest, 1, "1234"), 0);
    assert_int_equal(guest_write(guest, 1, "5"), -1);
    assert_limit(guest);
}

/* ----------------------------------------------------------------------- readdir */

#define NAMES 300

struct seen {
    unsigned count, dots;
    bool names[NAMES];
};

/* Returns the last whole entry's cookie, or UINT64_MAX if there was none. */
static uint64_t
parse_entries(const struct guest *guest, uint32_t used, struct seen *seen)
{
    uint64_t cookie = UINT64_MAX;

    for (uint32_t at = 0; at + 24 <= used;) {
        const uint8_t *entry = guest->memory + GUEST_BUFFER + at;
        struct wasi_dirent dirent;
        char name[256] = "";
        unsigned index;

        (void)memcpy(&dirent, entry, sizeof(dirent));
        if (at + 24 + dirent.namlen > used)
            break;
        (void)memcpy(name, entry + 24, dirent.namlen);
        if (name[0] == '.') {
            seen->dots++;
            assert_int_equal(dirent.type, WASI_DIRECTORY);
        } else {
            assert_int_equal(sscanf(name, "file-%u", &index), 1);
            assert_true(index < NAMES && !seen->names[index]);
            assert_int_equal(dirent.type, WASI_REGULAR_FILE);
            seen->names[index] = true;
            seen->count++;
        }
        cookie = dirent.next;
        at += 24 + dirent.namlen;
    }
    return cookie;
}

static void
read_all_entries(struct guest *guest, uint32_t buffer_bytes)
{
    struct seen seen = {0};
    uint64_t cookie = 0, next;
    uint32_t used;

    do {
        assert_int_equal(CALL(guest, "fd_readdir", GUEST_DIRECTORY, GUEST_BUFFER, buffer_bytes,
                              cookie, GUEST_RESULT),
                         0);
        used = guest_u32(guest, GUEST_RESULT);
        assert_true(used <= buffer_bytes);
        next = parse_entries(guest, used, &seen);
        if (next != UINT64_MAX)
            cookie = next;
    } while (used == buffer_bytes);
    assert_int_equal(seen.count, NAMES);
    assert_int_equal(seen.dots, 2);
}

static void
test_readdir_shows_every_name_once_whatever_the_buffer(void **state)
{
    static const uint32_t sizes[] = {48, 100, 257, 4096, GUEST_BUFFER_BYTES};
    struct guest *guest = *state;
    char name[32];

    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof(name), "file-%d", i);
        host_write(guest, name, "");
    }
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        read_all_entries(guest, sizes[i]);
}

static void
test_readdir_refuses_files_and_wild_cookies(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    assert_int_equal(CALL(guest, "fd_readdir", fd, GUEST_BUFFER, 100, 0, GUEST_RESULT), E_NOTDIR);
    assert_int_equal(CALL(guest, "fd_readdir", 99, GUEST_BUFFER, 100, 0, GUEST_RESULT), E_BADF);
    assert_int_equal(
        CALL(guest, "fd_readdir", GUEST_DIRECTORY, GUEST_BUFFER, 100, UINT64_MAX, GUEST_RESULT),
        E_INVAL);
    assert_int_equal(CALL(guest, "fd_readdir", GUEST_DIRECTORY, GUEST_BUFFER, 0, 0, GUEST_RESULT),
                     0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(test_written_bytes_are_read_back_at_the_offset),
        GUEST_TEST(test_vectors_scatter_and_gather),
        GUEST_TEST(test_too_many_vectors_are_refused),
        GUEST_TEST(test_a_bad_buffer_among_good_ones_changes_nothing),
        GUEST_TEST(test_positioned_transfers_leave_the_offset_alone),
        GUEST_TEST(test_seek_says_what_is_wrong),
        GUEST_TEST(test_append_goes_to_the_end_and_can_be_switched),
        GUEST_TEST(test_a_closed_descriptor_or_a_directory_cannot_be_read),
        GUEST_TEST(test_reading_an_empty_pipe_is_pending_and_resumes),
        GUEST_TEST(test_nonblock_says_again_instead_of_pending),
        GUEST_TEST(test_the_end_of_a_pipe_is_zero_bytes),
        GUEST_TEST(test_writing_to_a_full_pipe_is_short_then_pending),
        GUEST_TEST(test_a_pipe_without_reader_is_an_error_not_a_signal),
        GUEST_TEST(test_a_terminal_is_told_by_its_rights),
        GUEST_TEST(test_a_terminal_that_nobody_reads_is_pending),
        GUEST_TEST(test_a_named_pipe_waits_and_breaks_like_a_pipe),
        GUEST_TEST(test_the_output_limit_holds_for_the_stream_at_any_number),
        GUEST_TEST(test_the_output_limit_spares_a_file_at_a_streams_number),
        GUEST_TEST(test_the_output_limit_holds_for_positioned_writes),
        GUEST_TEST(test_readdir_shows_every_name_once_whatever_the_buffer),
        GUEST_TEST(test_readdir_refuses_files_and_wild_cookies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
