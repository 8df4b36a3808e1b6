/* SPDX-License-Identifier: Apache-2.0
 *
 * Every test runs twice: with the kernel's resolution and with the portable walk.
 */
#include "hostcall/hostcall_test.h"

static int
open_path(struct guest *guest, const char *path, uint32_t lookup, uint32_t oflags, uint64_t rights)
{
    int err = CALL(guest, "path_open", GUEST_DIRECTORY, lookup, PATH(guest, path), oflags, rights,
                   ALL_RIGHTS, 0, GUEST_RESULT);

    if (err == 0) {
        assert_int_equal(CALL(guest, "fd_close", guest_u32(guest, GUEST_RESULT)), 0);
        return 0;
    }
    return err;
}

#define READ WASI_RIGHT(WASI_FD_READ)

static int
stat_path(struct guest *guest, const char *path, uint32_t lookup)
{
    return CALL(guest, "path_filestat_get", GUEST_DIRECTORY, lookup, PATH(guest, path),
                GUEST_RESULT);
}

static void
host_symlink(const struct guest *guest, const char *target, const char *name)
{
    char path[256];

    host_path(guest, name, path);
    assert_int_equal(symlink(target, path), 0);
}

static void
test_open_honours_its_flags(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(open_path(guest, "f", 0, 0, READ), E_NOENT);
    assert_int_equal(open_path(guest, "f", 0, WASI_OFLAG_CREAT, ALL_RIGHTS), 0);
    assert_int_equal(open_path(guest, "f", 0, WASI_OFLAG_CREAT, ALL_RIGHTS), 0);
    assert_int_equal(open_path(guest, "f", 0, WASI_OFLAG_CREAT | WASI_OFLAG_EXCL, ALL_RIGHTS),
                     E_EXIST);
    assert_int_equal(open_path(guest, "f", 0, WASI_OFLAG_DIRECTORY, READ), E_NOTDIR);
    assert_int_equal(open_path(guest, "d", 0, WASI_OFLAG_DIRECTORY | WASI_OFLAG_CREAT, READ),
                     E_INVAL);
    assert_int_equal(open_path(guest, "f", 0, 16, READ), E_INVAL);
    assert_int_equal(open_path(guest, "f", 2, 0, READ), E_INVAL);
    host_write(guest, "f", "12345");
    assert_int_equal(open_path(guest, "f", 0, WASI_OFLAG_TRUNC, ALL_RIGHTS), 0);
    assert_int_equal(stat_path(guest, "f", 0), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 32), 0);
    assert_int_equal(open_path(guest, ".", 0, 0, WASI_RIGHT(WASI_FD_WRITE)), E_ISDIR);
    assert_int_equal(open_path(guest, ".", 0, WASI_OFLAG_DIRECTORY, ALL_RIGHTS), 0);
    /* all ones: bits that are no rights do not matter */
    assert_int_equal(open_path(guest, "f", 0, 0, UINT64_MAX), 0);
}

static void
test_paths_are_what_posix_says(void **state)
{
    struct guest *guest = *state;
    char long_path[5000];

    host_mkdir(guest, "d");
    host_mkdir(guest, "d/e");
    host_write(guest, "d/f", "");
    assert_int_equal(open_path(guest, "", 0, 0, READ), E_NOENT);
    assert_int_equal(open_path(guest, "d/../d/./f", 0, 0, READ), 0);
    assert_int_equal(open_path(guest, "d//e/..//f", 0, 0, READ), 0);
    assert_int_equal(open_path(guest, "d/f/", 0, 0, READ), E_NOTDIR);
    assert_int_equal(open_path(guest, "d/f/.", 0, 0, READ), E_NOTDIR);
    assert_int_equal(open_path(guest, "d/f/x", 0, 0, READ), E_NOTDIR);
    assert_int_equal(open_path(guest, "d/e/", 0, 0, READ), 0);
    assert_int_equal(open_path(guest, "d/e/.", 0, 0, READ), 0);
    assert_int_equal(open_path(guest, "d/e/..", 0, 0, READ), 0);
    assert_int_equal(open_path(guest, "new/", 0, WASI_OFLAG_CREAT, READ), E_ISDIR);
    (void)memset(long_path, 'a', sizeof(long_path));
    long_path[300] = '\0';
    assert_int_equal(open_path(guest, long_path, 0, 0, READ), E_NAMETOOLONG);
    long_path[300] = 'a';
    long_path[4500] = '\0';
    assert_int_equal(open_path(guest, long_path, 0, 0, READ), E_NAMETOOLONG);
}

static void
test_a_nul_inside_a_path_is_refused(void **state)
{
    struct guest *guest = *state;

    host_write(guest, "f", "");
    (void)memcpy(guest->memory + GUEST_PATH, "f\0x", 3);
    assert_int_equal(CALL(guest, "path_filestat_get", 3, 0, GUEST_PATH, 3, GUEST_RESULT), E_INVAL);
    assert_int_equal(CALL(guest, "path_unlink_file", 3, GUEST_PATH, 2), E_INVAL);
    assert_true(host_exists(guest, "f"));
}

/* --------------------------------------------------------------- confinement */

static const char *const escapes[] = {
    "..",     "../",          "../x", "/",        "/etc/passwd", "d/../..",   "d/../../x",
    "./../x", "up",           "up/x", "absolute", "absolute/x",  "d/e/climb", "d/e/climb/x",
    "chain",  "d/e/../../..", "up/d", "//",       "d/../up/..",  "absolute/",
};

static void
make_escapes(const struct guest *guest)
{
    host_mkdir(guest, "d");
    host_mkdir(guest, "d/e");
    host_symlink(guest, "..", "up");
    host_symlink(guest, "/etc", "absolute");
    host_symlink(guest, "../../..", "d/e/climb");
    host_symlink(guest, "d/e/climb", "chain");
}

/* Paths whose last component is a link in the tree, slash or not. */
static bool
is_own_name(const char *path)
{
    static const char *const names[] = {"up", "absolute", "absolute/", "chain", "d/e/climb"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(names[i], path) == 0)
            return true;
    return false;
}

static void
test_no_path_leaves_its_directory(void **state)
{
    struct guest *guest = *state;

    make_escapes(guest);
    for (size_t i = 0; i < ARRAY_COUNT(escapes); i++) {
        const char *path = escapes[i];
        bool is_link = is_own_name(path);

        assert_int_equal(open_path(guest, path, 1, 0, READ), E_PERM);
        assert_int_equal(stat_path(guest, path, 1), E_PERM);
        assert_int_equal(CALL(guest, "path_filestat_set_times", 3, 1, PATH(guest, path), 0, 0, 10),
                         E_PERM);
        if (is_link) /* the link itself may be seen, renamed and removed */
            continue;
        assert_int_equal(stat_path(guest, path, 0), E_PERM);
        assert_int_equal(CALL(guest, "path_create_directory", 3, PATH(guest, path)), E_PERM);
        assert_int_equal(CALL(guest, "path_unlink_file", 3, PATH(guest, path)), E_PERM);
        assert_int_equal(CALL(guest, "path_remove_directory", 3, PATH(guest, path)), E_PERM);
        assert_int_equal(CALL(guest, "path_rename", 3, PATH(guest, path), 3, PATH_2(guest, "n")),
                         E_PERM);
        assert_int_equal(CALL(guest, "path_rename", 3, PATH(guest, "d"), 3, PATH_2(guest, path)),
                         E_PERM);
        assert_int_equal(CALL(guest, "path_symlink", PATH(guest, "t"), 3, PATH_2(guest, path)),
                         E_PERM);
        assert_int_equal(CALL(guest, "path_link", 3, 0, PATH(guest, path), 3, PATH_2(guest, "n")),
                         E_PERM);
        assert_int_equal(
            CALL(guest, "path_readlink", 3, PATH(guest, path), GUEST_BUFFER, 99, GUEST_RESULT),
            E_PERM);
    }
}

static void
test_links_inside_the_tree_are_followed_when_asked(void **state)
{
    struct guest *guest = *state;

    host_mkdir(guest, "d");
    host_write(guest, "d/f", "12345");
    host_symlink(guest, "d/f", "file");
    host_symlink(guest, "d", "dir");
    host_symlink(guest, "../d/f", "d/back");
    host_symlink(guest, "nothing", "dangling");
    host_symlink(guest, "loop", "loop");
    assert_int_equal(open_path(guest, "file", 0, 0, READ), E_LOOP);
    assert_int_equal(open_path(guest, "file", 1, 0, READ), 0);
    assert_int_equal(open_path(guest, "dir/f", 0, 0, READ), 0);
    assert_int_equal(open_path(guest, "dir/", 0, 0, READ), 0);
    assert_int_equal(open_path(guest, "dir/back", 1, 0, READ), 0);
    assert_int_equal(open_path(guest, "loop", 1, 0, READ), E_LOOP);
    assert_int_equal(open_path(guest, "loop/x", 0, 0, READ), E_LOOP);
    assert_int_equal(open_path(guest, "dangling", 1, 0, READ), E_NOENT);
    assert_int_equal(
        open_path(guest, "dangling", 1, WASI_OFLAG_CREAT | WASI_OFLAG_EXCL, ALL_RIGHTS), E_EXIST);
    assert_int_equal(open_path(guest, "dangling", 1, WASI_OFLAG_CREAT, ALL_RIGHTS), 0);
    assert_true(host_exists(guest, "nothing"));
    assert_int_equal(stat_path(guest, "file", 0), 0);
    assert_int_equal(guest->memory[GUEST_RESULT + 16], WASI_SYMBOLIC_LINK);
    assert_int_equal(stat_path(guest, "file", 1), 0);
    assert_int_equal(guest->memory[GUEST_RESULT + 16], WASI_REGULAR_FILE);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 32), 5);
}

static void
test_special_files_do_not_block_or_open(void **state)
{
    struct guest *guest = *state;
    char path[256];

    host_path(guest, "fifo", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(open_path(guest, "fifo", 0, 0, READ), 0);
    assert_int_equal(open_path(guest, "fifo", 0, 0, WASI_RIGHT(WASI_FD_WRITE)), E_NXIO);
}

/* ------------------------------------------------------------------------ names */

static void
test_directories_are_made_and_removed(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(CALL(guest, "path_create_directory", 3, PATH(guest, "d")), 0);
    assert_int_equal(CALL(guest, "path_create_directory", 3, PATH(guest, "d")), E_EXIST);
    assert_int_equal(CALL(guest, "path_create_directory", 3, PATH(guest, "d/e/")), 0);
    assert_int_equal(CALL(guest, "path_create_directory", 3, PATH(guest, "no/e")), E_NOENT);
    assert_int_equal(CALL(guest, "path_create_directory", 3, PATH(guest, "")), E_NOENT);
    assert_int_equal(CALL(guest, "path_create_directory", 3, PATH(guest, "d/.")), E_EXIST);
    assert_int_equal(CALL(guest, "path_create_directory", 3, PATH(guest, "d/..")), E_EXIST);
    assert_int_equal(CALL(guest, "path_create_directory", 0, PATH(guest, "x")), E_NOTDIR);
    assert_int_equal(CALL(guest, "path_create_directory", 9, PATH(guest, "x")), E_BADF);
    assert_int_equal(CALL(guest, "path_remove_directory", 3, PATH(guest, "d")), E_NOTEMPTY);
    assert_int_equal(CALL(guest, "path_unlink_file", 3, PATH(guest, "d/e")), E_ISDIR);
    assert_int_equal(CALL(guest, "path_remove_directory", 3, PATH(guest, "d/e/.")), E_INVAL);
    assert_int_equal(CALL(guest, "path_remove_directory", 3, PATH(guest, "d/e/")), 0);
    assert_int_equal(CALL(guest, "path_remove_directory", 3, PATH(guest, "d")), 0);
    assert_int_equal(CALL(guest, "path_remove_directory", 3, PATH(guest, "d")), E_NOENT);
}

static void
test_files_are_unlinked_with_their_slashes_minded(void **state)
{
    struct guest *guest = *state;

    host_write(guest, "f", "");
    assert_int_equal(CALL(guest, "path_unlink_file", 3, PATH(guest, "f/")), E_NOTDIR);
    assert_int_equal(CALL(guest, "path_remove_directory", 3, PATH(guest, "f")), E_NOTDIR);
    assert_int_equal(CALL(guest, "path_unlink_file", 3, PATH(guest, "f")), 0);
    assert_int_equal(CALL(guest, "path_unlink_file", 3, PATH(guest, "f")), E_NOENT);
    assert_int_equal(CALL(guest, "path_unlink_file", 9, PATH(guest, "f")), E_BADF);
}

static void
test_rename_moves_between_directories(void **state)
{
    struct guest *guest = *state;

    host_mkdir(guest, "d");
    host_write(guest, "f", "text");
    assert_int_equal(CALL(guest, "path_rename", 3, PATH(guest, "f"), 3, PATH_2(guest, "d/g")), 0);
    assert_true(host_exists(guest, "d/g") && !host_exists(guest, "f"));
    assert_int_equal(CALL(guest, "path_rename", 3, PATH(guest, "d/g/"), 3, PATH_2(guest, "f")),
                     E_NOTDIR);
    assert_int_equal(CALL(guest, "path_rename", 3, PATH(guest, "no"), 3, PATH_2(guest, "f")),
                     E_NOENT);
    assert_int_equal(CALL(guest, "path_rename", 3, PATH(guest, "d"), 3, PATH_2(guest, "d/x")),
                     E_INVAL);
    assert_int_equal(CALL(guest, "path_rename", 3, PATH(guest, "d/g"), 0, PATH_2(guest, "f")),
                     E_NOTDIR);
    assert_int_equal(CALL(guest, "path_rename", 3, PATH(guest, "d/"), 3, PATH_2(guest, "e/")), 0);
    assert_true(host_exists(guest, "e/g"));
}

static void
test_links_are_made_and_read(void **state)
{
    struct guest *guest = *state;

    host_write(guest, "f", "text");
    assert_int_equal(CALL(guest, "path_link", 3, 0, PATH(guest, "f"), 3, PATH_2(guest, "hard")), 0);
    assert_int_equal(stat_path(guest, "hard", 0), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 24), 2);
    assert_int_equal(CALL(guest, "path_link", 3, 0, PATH(guest, "f"), 3, PATH_2(guest, "hard")),
                     E_EXIST);
    assert_int_equal(CALL(guest, "path_link", 3, 0, PATH(guest, "."), 3, PATH_2(guest, "h2")),
                     E_PERM);
    assert_int_equal(CALL(guest, "path_link", 3, 0, PATH(guest, "f"), 3, PATH_2(guest, "h2/")),
                     E_NOENT);
    assert_int_equal(CALL(guest, "path_symlink", PATH(guest, "f"), 3, PATH_2(guest, "soft")), 0);
    assert_int_equal(
        CALL(guest, "path_readlink", 3, PATH(guest, "soft"), GUEST_BUFFER, 99, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 1);
    assert_int_equal(guest->memory[GUEST_BUFFER], 'f');
    assert_int_equal(
        CALL(guest, "path_readlink", 3, PATH(guest, "f"), GUEST_BUFFER, 99, GUEST_RESULT), E_INVAL);
    assert_int_equal(
        CALL(guest, "path_readlink", 3, PATH(guest, "no"), GUEST_BUFFER, 99, GUEST_RESULT),
        E_NOENT);
    /* a symbolic link by itself, or what it stands for */
    assert_int_equal(CALL(guest, "path_link", 3, 0, PATH(guest, "soft"), 3, PATH_2(guest, "s2")),
                     0);
    assert_int_equal(stat_path(guest, "s2", 0), 0);
    assert_int_equal(guest->memory[GUEST_RESULT + 16], WASI_SYMBOLIC_LINK);
    assert_int_equal(CALL(guest, "path_link", 3, 1, PATH(guest, "soft"), 3, PATH_2(guest, "h3")),
                     0);
    assert_int_equal(stat_path(guest, "h3", 0), 0);
    assert_int_equal(guest->memory[GUEST_RESULT + 16], WASI_REGULAR_FILE);
}

static void
test_absolute_link_targets_are_refused_and_long_ones_cut(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(CALL(guest, "path_symlink", PATH(guest, "/etc"), 3, PATH_2(guest, "l")),
                     E_PERM);
    assert_int_equal(CALL(guest, "path_symlink", PATH(guest, ""), 3, PATH_2(guest, "l")), E_NOENT);
    assert_int_equal(CALL(guest, "path_symlink", PATH(guest, "abcdef"), 3, PATH_2(guest, "l")), 0);
    assert_int_equal(CALL(guest, "path_symlink", PATH(guest, "a"), 3, PATH_2(guest, "l")), E_EXIST);
    guest->memory[GUEST_BUFFER + 3] = '#';
    assert_int_equal(
        CALL(guest, "path_readlink", 3, PATH(guest, "l"), GUEST_BUFFER, 3, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 3);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "abc#", 4);
}

static void
test_times_of_a_link_or_of_its_target(void **state)
{
    struct guest *guest = *state;
    uint64_t then = UINT64_C(1000000000000000000);

    host_write(guest, "f", "");
    host_symlink(guest, "f", "l");
    assert_int_equal(CALL(guest, "path_filestat_set_times", 3, 0, PATH(guest, "l"), then, then, 5),
                     0);
    assert_int_equal(stat_path(guest, "f", 0), 0);
    assert_int_not_equal(guest_u64(guest, GUEST_RESULT + 48), then);
    assert_int_equal(stat_path(guest, "l", 0), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 48), then);
    assert_int_equal(CALL(guest, "path_filestat_set_times", 3, 1, PATH(guest, "l"), then, then, 5),
                     0);
    assert_int_equal(stat_path(guest, "f", 0), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT + 48), then);
    assert_int_equal(CALL(guest, "path_filestat_set_times", 3, 1, PATH(guest, "l"), 0, 0, 3),
                     E_INVAL);
    assert_int_equal(CALL(guest, "path_filestat_set_times", 3, 1, PATH(guest, "no"), 0, 0, 5),
                     E_NOENT);
}

static void
make_read_only(struct guest *guest)
{
    struct hostcall_directory directory = {guest->root, "ro", true, -1};
    struct hostcall_config config = {.directories = &directory, .directory_count = 1};

    hostcall_process_ops.destroy(guest->process);
    assert_int_equal(guest_create_with(guest, &config), 0);
}

static void
test_a_read_only_directory_stays_as_it_is(void **state)
{
    struct guest *guest = *state;
    uint32_t fd;

    host_write(guest, "f", "text");
    host_mkdir(guest, "d");
    make_read_only(guest);
    assert_int_equal(open_path(guest, "f", 0, 0, ALL_RIGHTS), E_ROFS);
    assert_int_equal(open_path(guest, "f", 0, 0, READ), 0);
    assert_int_equal(open_path(guest, "f", 0, WASI_OFLAG_CREAT, READ), 0);
    assert_int_equal(open_path(guest, "f", 0, WASI_OFLAG_CREAT | WASI_OFLAG_EXCL, READ), E_EXIST);
    assert_int_equal(open_path(guest, "new", 0, WASI_OFLAG_CREAT, READ), E_ROFS);
    assert_int_equal(open_path(guest, "f", 0, WASI_OFLAG_TRUNC, READ), E_ROFS);
    assert_int_equal(CALL(guest, "path_create_directory", 3, PATH(guest, "x")), E_ROFS);
    assert_int_equal(CALL(guest, "path_remove_directory", 3, PATH(guest, "d")), E_ROFS);
    assert_int_equal(CALL(guest, "path_unlink_file", 3, PATH(guest, "f")), E_ROFS);
    assert_int_equal(CALL(guest, "path_rename", 3, PATH(guest, "f"), 3, PATH_2(guest, "g")),
                     E_ROFS);
    assert_int_equal(CALL(guest, "path_link", 3, 0, PATH(guest, "f"), 3, PATH_2(guest, "g")),
                     E_ROFS);
    assert_int_equal(CALL(guest, "path_symlink", PATH(guest, "f"), 3, PATH_2(guest, "g")), E_ROFS);
    assert_int_equal(CALL(guest, "path_filestat_set_times", 3, 0, PATH(guest, "f"), 0, 0, 10),
                     E_ROFS);
    /* also through a directory opened beneath it */
    assert_int_equal(guest_open_with(guest, "d", WASI_OFLAG_DIRECTORY, 0, ALL_RIGHTS, &fd), 0);
    assert_int_equal(CALL(guest, "path_create_directory", fd, PATH(guest, "x")), E_ROFS);
    assert_int_equal(CALL(guest, "fd_filestat_set_times", fd, 0, 0, 10), E_ROFS);
    assert_int_equal(
        guest_open_with(guest, "f", 0, 0, READ | WASI_RIGHT(WASI_FD_FILESTAT_SET_TIMES), &fd), 0);
    assert_int_equal(CALL(guest, "fd_filestat_set_times", fd, 0, 0, 10), E_ROFS);
}

static int
use_kernel(void **state)
{
    (void)state;
    files_use_portable_walk(false);
    return 0;
}

static int
use_walk(void **state)
{
    (void)state;
    files_use_portable_walk(true);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(test_open_honours_its_flags),
        GUEST_TEST(test_paths_are_what_posix_says),
        GUEST_TEST(test_a_nul_inside_a_path_is_refused),
        GUEST_TEST(test_no_path_leaves_its_directory),
        GUEST_TEST(test_links_inside_the_tree_are_followed_when_asked),
        GUEST_TEST(test_special_files_do_not_block_or_open),
        GUEST_TEST(test_directories_are_made_and_removed),
        GUEST_TEST(test_files_are_unlinked_with_their_slashes_minded),
        GUEST_TEST(test_rename_moves_between_directories),
        GUEST_TEST(test_links_are_made_and_read),
        GUEST_TEST(test_absolute_link_targets_are_refused_and_long_ones_cut),
        GUEST_TEST(test_times_of_a_link_or_of_its_target),
        GUEST_TEST(test_a_read_only_directory_stays_as_it_is),
    };
    int failed = cmocka_run_group_tests_name("openat2", tests, use_kernel, NULL);

    return failed + cmocka_run_group_tests_name("portable walk", tests, use_walk, NULL);
}
