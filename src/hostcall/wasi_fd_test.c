/* SPDX-License-Identifier: Apache-2.0 */
#include "hostcall/hostcall_test.h"

static void
test_prestat_names_the_directories_and_then_ends(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(CALL(guest, "fd_prestat_get", 3, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT + 4), 1);
    assert_int_equal(CALL(guest, "fd_prestat_dir_name", 3, GUEST_BUFFER, 1), 0);
    assert_int_equal(guest->memory[GUEST_BUFFER], '.');
    assert_int_equal(CALL(guest, "fd_prestat_dir_name", 3, GUEST_BUFFER, 0), E_NAMETOOLONG);
    assert_int_equal(CALL(guest, "fd_prestat_get", 4, GUEST_RESULT), E_BADF);
    assert_int_equal(CALL(guest, "fd_prestat_get", 0, GUEST_RESULT), E_BADF);
    assert_int_equal(CALL(guest, "fd_prestat_dir_name", 0, GUEST_BUFFER, 9), E_BADF);
}

static void
test_fdstat_tells_kind_flags_and_rights(void **state)
{
    struct guest *guest = *state;
    uint32_t fd;

    assert_int_equal(guest_open_with(guest, "f", WASI_OFLAG_CREAT, FILES_APPEND,
                                     WASI_RIGHT(WASI_FD_READ) | WASI_RIGHT(WASI_FD_SEEK), &fd),
                     0);
    assert_int_equal(CALL(guest, "fd_fdstat_get", fd, GUEST_RESULT), 0);
    assert_int_equal(guest->memory[GUEST_RESULT], WASI_REGULAR_FILE);
    assert_int_equal(guest->memory[GUEST_RESULT + 2], FILES_APPEND);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 8),
                     WASI_RIGHT(WASI_FD_READ) | WASI_RIGHT(WASI_FD_SEEK));
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 16), ALL_RIGHTS);
    assert_int_equal(CALL(guest, "fd_fdstat_get", GUEST_DIRECTORY, GUEST_RESULT), 0);
    assert_int_equal(guest->memory[GUEST_RESULT], WASI_DIRECTORY);
    assert_int_equal(CALL(guest, "fd_fdstat_get", 99, GUEST_RESULT), E_BADF);
    assert_int_equal(CALL(guest, "fd_fdstat_set_flags", fd, 0), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_fdstat_set_flags", 1, 32), E_INVAL);
    assert_int_equal(CALL(guest, "fd_fdstat_set_flags", 99, 0), E_BADF);
}

static void
test_rights_only_shrink(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    uint64_t read_only = WASI_RIGHT(WASI_FD_READ);

    assert_int_equal(CALL(guest, "fd_fdstat_set_rights", fd, read_only, 0), 0);
    assert_int_equal(guest_write(guest, fd, "x"), E_NOTCAPABLE);
    assert_int_equal(guest_read(guest, fd, 1), 0);
    assert_int_equal(CALL(guest, "fd_fdstat_set_rights", fd, ALL_RIGHTS, 0), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_fdstat_set_rights", fd, read_only, 1), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_fdstat_set_rights", 99, 0, 0), E_BADF);
}

static void
test_rights_are_inherited_through_directories(void **state)
{
    struct guest *guest = *state;
    uint64_t base = WASI_RIGHT(WASI_PATH_OPEN) | WASI_RIGHT(WASI_PATH_CREATE_FILE);
    uint64_t inheriting = WASI_RIGHT(WASI_FD_READ);
    uint32_t directory;

    host_mkdir(guest, "d");
    host_write(guest, "d/f", "text");
    assert_int_equal(CALL(guest, "path_open", 3, 0, PATH(guest, "d"), WASI_OFLAG_DIRECTORY, base,
                          inheriting, 0, GUEST_RESULT),
                     0);
    directory = guest_u32(guest, GUEST_RESULT);
    assert_int_equal(
        CALL(guest, "path_open", directory, 0, PATH(guest, "f"), 0, inheriting, 0, 0, GUEST_RESULT),
        0);
    assert_int_equal(CALL(guest, "path_open", directory, 0, PATH(guest, "f"), 0,
                          inheriting | WASI_RIGHT(WASI_FD_WRITE), 0, 0, GUEST_RESULT),
                     E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "path_open", directory, 0, PATH(guest, "f"), 0, 0,
                          inheriting | WASI_RIGHT(WASI_FD_WRITE), 0, GUEST_RESULT),
                     E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "path_open", directory, 0, PATH(guest, "f"), WASI_OFLAG_TRUNC, 0,
                          0, 0, GUEST_RESULT),
                     E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "path_unlink_file", directory, PATH(guest, "f")), E_NOTCAPABLE);
    assert_true(host_exists(guest, "d/f"));
}

/* The right that each function asks for, by refusing it. */
static void
test_every_function_asks_for_its_right(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    assert_int_equal(CALL(guest, "fd_fdstat_set_rights", fd, 0, 0), 0);
    assert_int_equal(CALL(guest, "fd_advise", fd, 0, 0, 0), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_allocate", fd, 0, 1), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_datasync", fd), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_sync", fd), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_RESULT), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_filestat_set_size", fd, 1), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_filestat_set_times", fd, 0, 0, 0), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_seek", fd, 1, 0, GUEST_RESULT), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_tell", fd, GUEST_RESULT), E_NOTCAPABLE);
    assert_int_equal(guest_read(guest, fd, 1), E_NOTCAPABLE);
    assert_int_equal(guest_write(guest, fd, "x"), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "fd_close", fd), 0);
    assert_int_equal(CALL(guest, "fd_fdstat_set_rights", 3, 0, 0), 0);
    assert_int_equal(CALL(guest, "fd_readdir", 3, GUEST_BUFFER, 99, 0, GUEST_RESULT), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "path_open", 3, 0, PATH(guest, "f"), 0, 0, 0, 0, GUEST_RESULT),
                     E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "path_create_directory", 3, PATH(guest, "d")), E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "path_symlink", PATH_2(guest, "x"), 3, PATH(guest, "l")),
                     E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "path_rename", 3, PATH(guest, "f"), 3, PATH_2(guest, "g")),
                     E_NOTCAPABLE);
    assert_int_equal(CALL(guest, "path_filestat_get", 3, 0, PATH(guest, "f"), GUEST_RESULT),
                     E_NOTCAPABLE);
}

static void
test_close_frees_the_lowest_number(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(guest_open(guest, "f", WASI_OFLAG_CREAT), 4);
    assert_int_equal(guest_open(guest, "f", 0), 5);
    assert_int_equal(CALL(guest, "fd_close", 4), 0);
    assert_int_equal(CALL(guest, "fd_close", 4), E_BADF);
    assert_int_equal(guest_open(guest, "f", 0), 4);
    assert_int_equal(CALL(guest, "fd_close", 1), 0);
    assert_int_equal(guest_write(guest, 1, "x"), E_BADF);
    assert_true(fcntl(guest->stdio[1], F_GETFD) >= 0); /* borrowed: still the host's */
    assert_int_equal(CALL(guest, "fd_close", UINT32_MAX), E_BADF);
}

static void
test_renumber_moves_and_closes(void **state)
{
    struct guest *guest = *state;
    uint32_t a = guest_open(guest, "a", WASI_OFLAG_CREAT);
    uint32_t b = guest_open(guest, "b", WASI_OFLAG_CREAT);

    assert_int_equal(guest_write(guest, a, "in a"), 0);
    assert_int_equal(CALL(guest, "fd_renumber", a, b), 0);
    assert_int_equal(CALL(guest, "fd_tell", a, GUEST_RESULT), E_BADF);
    assert_int_equal(CALL(guest, "fd_tell", b, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 4);
    assert_int_equal(CALL(guest, "fd_renumber", b, b), 0);
    assert_int_equal(CALL(guest, "fd_renumber", b, 55), E_BADF);
    assert_int_equal(CALL(guest, "fd_renumber", 55, b), E_BADF);
}

static void
test_too_many_descriptors_are_refused(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = 0;
    int err = 0;

    for (unsigned i = 0; i < FILES_DESCRIPTORS_MAX && err == 0; i++)
        err = guest_open_with(guest, ".", 0, 0, WASI_RIGHT(WASI_FD_READDIR), &fd);
    assert_int_equal(err, E_MFILE);
    assert_int_equal(guest_open_with(guest, "new", WASI_OFLAG_CREAT, 0, ALL_RIGHTS, &fd), E_MFILE);
    assert_false(host_exists(guest, "new"));
}

static void
test_size_allocation_advice_and_sync(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    assert_int_equal(CALL(guest, "fd_filestat_set_size", fd, 1000), 0);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 32), 1000);
    assert_int_equal(CALL(guest, "fd_allocate", fd, 500, 1500), 0);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 32), 2000);
    assert_int_equal(CALL(guest, "fd_allocate", fd, 0, 0), E_INVAL);
    assert_int_equal(CALL(guest, "fd_allocate", fd, UINT64_MAX, 1), E_INVAL);
    assert_int_equal(CALL(guest, "fd_allocate", fd, INT64_MAX, INT64_MAX), 22);
    assert_int_equal(CALL(guest, "fd_filestat_set_size", fd, UINT64_MAX), E_INVAL);
    for (uint32_t advice = 0; advice < 6; advice++)
        assert_int_equal(CALL(guest, "fd_advise", fd, 0, 100, advice), 0);
    assert_int_equal(CALL(guest, "fd_advise", fd, 0, 100, 6), E_INVAL);
    assert_int_equal(CALL(guest, "fd_advise", fd, UINT64_MAX, 100, 0), E_INVAL);
    assert_int_equal(CALL(guest, "fd_advise", GUEST_DIRECTORY, 0, 100, 0), E_BADF);
    assert_int_equal(CALL(guest, "fd_sync", fd), 0);
    assert_int_equal(CALL(guest, "fd_datasync", fd), 0);
    assert_int_equal(CALL(guest, "fd_sync", 99), E_BADF);
    assert_int_equal(CALL(guest, "fd_datasync", 99), E_BADF);
}

static void
test_filestat_has_the_layout_of_the_specification(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    char path[256];
    struct stat stat_f;

    assert_int_equal(guest_write(guest, fd, "12345"), 0);
    host_path(guest, "f", path);
    assert_int_equal(stat(path, &stat_f), 0);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), stat_f.st_dev);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 8), stat_f.st_ino);
    assert_int_equal(guest->memory[GUEST_RESULT + 16], WASI_REGULAR_FILE);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 24), 1);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 32), 5);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 48),
                     (uint64_t)stat_f.st_mtim.tv_sec * 1000000000u +
                         (uint64_t)stat_f.st_mtim.tv_nsec);
}

static void
test_times_are_set_as_the_flags_say(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);
    uint64_t then = UINT64_C(1234567890123456789);

    assert_int_equal(CALL(guest, "fd_filestat_set_times", fd, then, then + 1, 5), 0);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 40), then);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 48), then + 1);
    assert_int_equal(CALL(guest, "fd_filestat_set_times", fd, 7, 7, WASI_FSTFLAG_MTIM_NOW), 0);
    assert_int_equal(CALL(guest, "fd_filestat_get", fd, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 40), then);
    assert_true(guest_u64(guest, GUEST_RESULT + 48) > then + 1);
    assert_int_equal(CALL(guest, "fd_filestat_set_times", fd, 0, 0, 3), E_INVAL);
    assert_int_equal(CALL(guest, "fd_filestat_set_times", fd, 0, 0, 12), E_INVAL);
    assert_int_equal(CALL(guest, "fd_filestat_set_times", fd, 0, 0, 16), E_INVAL);
    assert_int_equal(CALL(guest, "fd_filestat_set_times", 99, 0, 0, 0), E_BADF);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(test_prestat_names_the_directories_and_then_ends),
        GUEST_TEST(test_fdstat_tells_kind_flags_and_rights),
        GUEST_TEST(test_rights_only_shrink),
        GUEST_TEST(test_rights_are_inherited_through_directories),
        GUEST_TEST(test_every_function_asks_for_its_right),
        GUEST_TEST(test_close_frees_the_lowest_number),
        GUEST_TEST(test_renumber_moves_and_closes),
        GUEST_TEST(test_too_many_descriptors_are_refused),
        GUEST_TEST(test_size_allocation_advice_and_sync),
        GUEST_TEST(test_filestat_has_the_layout_of_the_specification),
        GUEST_TEST(test_times_are_set_as_the_flags_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
