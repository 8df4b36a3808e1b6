/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"

#define LARGE_BYTES (200u << 10)

static uint8_t large[LARGE_BYTES];

/* A file in memory with these bytes, and a path that opens it. */
static int
make_file(const void *bytes, size_t count, char path[64])
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, bytes, count), 0);
    (void)snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static void
test_what_was_written_is_read(void **state)
{
    struct buffer buffer = {0};
    struct diag diag;
    char path[64];
    int fd = make_file(large, sizeof(large), path);

    (void)state;
    diag_init(&diag);
    buffer_append(&buffer, "head", 4);
    assert_int_equal(file_read_all(path, 1u << 20, &buffer, &diag), 0);
    assert_string_equal(diag_text(&diag), "");
    assert_int_equal(buffer.count, 4 + sizeof(large));
    assert_memory_equal(buffer.bytes, "head", 4);
    assert_memory_equal(buffer.bytes + 4, large, sizeof(large));
    buffer_fini(&buffer);
    file_close(&fd);
}

static void
test_a_file_may_be_as_large_as_the_limit_and_no_larger(void **state)
{
    struct buffer buffer = {0};
    struct diag diag;
    char path[64];
    int fd = make_file("0123456789", 10, path);

    (void)state;
    diag_init(&diag);
    assert_int_equal(file_read_all(path, 10, &buffer, &diag), 0);
    assert_int_equal(buffer.count, 10);
    buffer_fini(&buffer);
    assert_int_equal(file_read_all(path, 9, &buffer, &diag), -EFBIG);
    assert_non_null(strstr(diag_text(&diag), path));
    assert_non_null(strstr(diag_text(&diag), "limit of 9 bytes"));
    buffer_fini(&buffer);
    assert_int_equal(file_read_all(path, 0, &buffer, NULL), -EFBIG);
    buffer_fini(&buffer);
    file_close(&fd);
}

static void
test_the_limit_is_the_files_and_not_the_buffers(void **state)
{
    struct buffer buffer = {0};
    char path[64];
    int fd = make_file("0123456789", 10, path);

    (void)state;
    buffer_append(&buffer, NULL, 20);
    assert_int_equal(file_read_all(path, 10, &buffer, NULL), 0);
    assert_int_equal(buffer.count, 30);
    assert_int_equal(file_read_all(path, 9, &buffer, NULL), -EFBIG);
    buffer_fini(&buffer);
    file_close(&fd);
}

static void
test_a_file_that_cannot_be_read_is_named(void **state)
{
    struct buffer buffer = {0};
    struct diag diag;

    (void)state;
    diag_init(&diag);
    assert_int_equal(file_read_all("/nowhere/file", 10, &buffer, &diag), -ENOENT);
    assert_string_equal(diag_text(&diag), "/nowhere/file: No such file or directory");
    diag_init(&diag);
    assert_int_equal(file_read_all("/proc", 10, &buffer, &diag), -EISDIR);
    assert_non_null(strstr(diag_text(&diag), "/proc: "));
    assert_int_equal(buffer.count, 0);
    buffer_fini(&buffer);
}

static void *
drain(void *argument)
{
    const int *fd = argument;
    static uint8_t chunk[777];
    size_t total = 0;
    ssize_t count;

    while ((count = read(*fd, chunk, sizeof(chunk))) > 0)
        total += (size_t)count;
    return (void *)total;
}

static void
test_a_write_goes_on_until_all_is_written(void **state)
{
    pthread_t reader;
    void *total = NULL;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&reader, NULL, drain, &ends[0]), 0);
    assert_int_equal(file_write_all(ends[1], large, sizeof(large)), 0);
    file_close(&ends[1]);
    assert_int_equal(pthread_join(reader, &total), 0);
    assert_int_equal((size_t)total, sizeof(large));
    file_close(&ends[0]);
}

static void
test_a_write_that_fails_says_why(void **state)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(file_write_all(-1, "x", 1), -EBADF);
    assert_int_equal(file_write_all(-1, NULL, 0), 0);
    assert_true(full >= 0);
    assert_int_equal(file_write_all(full, "x", 1), -ENOSPC);
    file_close(&full);
}

static void
test_a_closed_descriptor_is_not_closed_again(void **state)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int number = fd;

    (void)state;
    assert_true(fd >= 0);
    file_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(fcntl(number, F_GETFD), -1);
    file_close(&fd);
    assert_int_equal(fd, -1);
}

static int
make_sealable(void)
{
    int fd = memfd_create("file", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, large, sizeof(large)), 0);
    return fd;
}

static void
test_a_sealed_file_is_what_it_is(void **state)
{
    int fd = make_sealable(), other = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    assert_int_equal(file_seal(fd), 0);
    assert_int_equal(fcntl(fd, F_GET_SEALS), FILE_SEALS);
    assert_int_equal(file_write_all(fd, "x", 1), -EPERM);
    assert_int_equal(file_seal(other), -EINVAL);
    file_close(&other);
    file_close(&fd);
}

static void
test_a_file_mapped_for_writing_is_not_sealed(void **state)
{
    int fd = make_sealable();
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    (void)state;
    assert_ptr_not_equal(at, MAP_FAILED);
    assert_int_equal(file_seal(fd), -EBUSY);
    assert_int_equal(munmap(at, 4096), 0);
    assert_int_equal(file_seal(fd), 0);
    file_close(&fd);
}

static void *
drain_late(void *argument)
{
    (void)usleep(400000); /* longer than one F_ADD_SEALS waits */
    return drain(argument);
}

static void
test_pages_in_the_kernels_hands_are_waited_for(void **state)
{
    int fd = make_sealable();
    pthread_t reader;
    off_t from = 0;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(splice(fd, &from, ends[1], NULL, 8192, 0) > 0);
    assert_int_equal(pthread_create(&reader, NULL, drain_late, &ends[0]), 0);
    file_close(&ends[1]);
    assert_int_equal(file_seal(fd), 0);
    assert_int_equal(pthread_join(reader, NULL), 0);
    file_close(&ends[0]);
    file_close(&fd);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_a_file_may_be_as_large_as_the_limit_and_no_larger),
        cmocka_unit_test(test_the_limit_is_the_files_and_not_the_buffers),
        cmocka_unit_test(test_a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(test_a_write_goes_on_until_all_is_written),
        cmocka_unit_test(test_a_write_that_fails_says_why),
        cmocka_unit_test(test_a_closed_descriptor_is_not_closed_again),
        cmocka_unit_test(test_a_sealed_file_is_what_it_is),
        cmocka_unit_test(test_a_file_mapped_for_writing_is_not_sealed),
        cmocka_unit_test(test_pages_in_the_kernels_hands_are_waited_for),
    };

    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (uint8_t)(i * 7 % 253);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
