/* SPDX-License-Identifier: Apache-2.0
 *
 * Every pointer argument of every function, pointing outside: EFAULT, and neither
 * guest memory nor the scratch directory nor the table has changed.
 */
#include "hostcall/hostcall_test.h"

#include <dirent.h>

#define FD 4u /* a file open for everything, "f" */

/* A valid call; P marks its pointer arguments by bit. */
struct pointer_case {
    const char *name;
    uint64_t args[9];
    size_t count;
    unsigned pointers; /* bit per argument */
};

#define P(index)  (1u << (index))
#define ARGS(...) {__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8

static const struct pointer_case cases[] = {
    {"args_get", ARGS(GUEST_RESULT, GUEST_BUFFER), P(0) | P(1)},
    {"args_sizes_get", ARGS(GUEST_RESULT, GUEST_RESULT_2), P(0) | P(1)},
    {"environ_get", ARGS(GUEST_RESULT, GUEST_BUFFER), P(0) | P(1)},
    {"environ_sizes_get", ARGS(GUEST_RESULT, GUEST_RESULT_2), P(0) | P(1)},
    {"clock_res_get", ARGS(0, GUEST_RESULT), P(1)},
    {"clock_time_get", ARGS(0, 0, GUEST_RESULT), P(2)},
    {"fd_fdstat_get", ARGS(FD, GUEST_RESULT), P(1)},
    {"fd_filestat_get", ARGS(FD, GUEST_RESULT), P(1)},
    {"fd_pread", ARGS(FD, GUEST_IOVECS, 1, 0, GUEST_RESULT), P(1) | P(4)},
    {"fd_prestat_get", ARGS(3, GUEST_RESULT), P(1)},
    {"fd_prestat_dir_name", ARGS(3, GUEST_BUFFER, 2), P(1)},
    {"fd_pwrite", ARGS(FD, GUEST_IOVECS, 1, 0, GUEST_RESULT), P(1) | P(4)},
    {"fd_read", ARGS(FD, GUEST_IOVECS, 1, GUEST_RESULT), P(1) | P(3)},
    {"fd_readdir", ARGS(3, GUEST_BUFFER, 100, 0, GUEST_RESULT), P(1) | P(4)},
    {"fd_seek", ARGS(FD, 1, 0, GUEST_RESULT), P(3)},
    {"fd_tell", ARGS(FD, GUEST_RESULT), P(1)},
    {"fd_write", ARGS(FD, GUEST_IOVECS, 1, GUEST_RESULT), P(1) | P(3)},
    {"path_create_directory", ARGS(3, GUEST_PATH, 3), P(1)},
    {"path_filestat_get", ARGS(3, 0, GUEST_PATH_2, 3, GUEST_RESULT), P(2) | P(4)},
    {"path_filestat_set_times", ARGS(3, 0, GUEST_PATH_2, 3, 0, 0, 5), P(2)},
    {"path_link", ARGS(3, 0, GUEST_PATH_2, 3, 3, GUEST_PATH, 3), P(2) | P(5)},
    {"path_open", ARGS(3, 0, GUEST_PATH, 3, 1, 2, 0, 0, GUEST_RESULT), P(2) | P(8)},
    {"path_readlink", ARGS(3, GUEST_PATH_2 + 4, 3, GUEST_BUFFER, 9, GUEST_RESULT),
     P(1) | P(3) | P(5)},
    {"path_remove_directory", ARGS(3, GUEST_PATH_2 + 8, 3), P(1)},
    {"path_rename", ARGS(3, GUEST_PATH_2, 3, 3, GUEST_PATH, 3), P(1) | P(4)},
    {"path_symlink", ARGS(GUEST_PATH_2, 3, 3, GUEST_PATH, 3), P(0) | P(3)},
    {"path_unlink_file", ARGS(3, GUEST_PATH_2, 3), P(1)},
    {"poll_oneoff", ARGS(GUEST_BUFFER, GUEST_BUFFER + 4096, 2, GUEST_RESULT), P(0) | P(1) | P(3)},
    {"random_get", ARGS(GUEST_BUFFER, 16), P(0)},
    {"sock_accept", ARGS(3, 0, GUEST_RESULT), P(2)},
    {"sock_recv", ARGS(0, GUEST_IOVECS, 1, 0, GUEST_RESULT, GUEST_RESULT_2), P(1) | P(4) | P(5)},
    {"sock_send", ARGS(1, GUEST_IOVECS, 1, 0, GUEST_RESULT), P(1) | P(4)},
};

/* "new" does not exist; "old" is a file, "lnk" a link, "dir" a directory. */
static void
prepare(struct guest *guest)
{
    assert_int_equal(guest_open(guest, "f", WASI_OFLAG_CREAT), FD);
    host_write(guest, "old", "content");
    host_write(guest, "f", "content");
    host_mkdir(guest, "dir");
    assert_int_equal(CALL(guest, "path_symlink", PATH(guest, "old"), 3, PATH_2(guest, "lnk")), 0);
    (void)guest_text(guest, GUEST_PATH, "new");
    (void)guest_text(guest, GUEST_PATH_2, "old lnk dir");
    (void)guest_iovec(guest, 0, GUEST_BUFFER, 5);
}

static unsigned
count_names(const struct guest *guest)
{
    DIR *directory = opendir(guest->root);
    unsigned count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

static void
assert_unchanged(struct guest *guest, const uint8_t *before, unsigned names)
{
    struct hostcall_process *process = guest->process;
    char path[256];
    struct stat stat_f;

    assert_memory_equal(guest->memory, before, GUEST_MEMORY_BYTES);
    assert_int_equal(count_names(guest), names);
    host_path(guest, "f", path);
    assert_int_equal(stat(path, &stat_f), 0);
    assert_int_equal(stat_f.st_size, 7);
    host_path(guest, "old", path);
    assert_int_equal(stat(path, &stat_f), 0);
    assert_true(stat_f.st_mtim.tv_sec != 0);
    assert_int_equal(files_table_get(&process->files, FD)->offset, 0);
    assert_null(files_table_get(&process->files, FD + 1));
}

static void
try_pointer(struct guest *guest, const struct pointer_case *one, unsigned index, uint64_t pointer)
{
    uint64_t args[9];
    uint8_t *before = malloc(GUEST_MEMORY_BYTES);
    unsigned names = count_names(guest);

    assert_non_null(before);
    (void)memcpy(args, one->args, sizeof(args));
    args[index] = pointer;
    (void)memcpy(before, guest->memory, GUEST_MEMORY_BYTES);
    if (guest_call_array(guest, one->name, args, one->count) != E_FAULT)
        fail_msg("%s: argument %u = %#lx is not EFAULT", one->name, index, (unsigned long)pointer);
    assert_unchanged(guest, before, names);
    free(before);
}

static void
try_all(struct guest *guest)
{
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        if (strcmp(cases[i].name, "sock_accept") == 0 &&
            strcmp(guest->module, "wasi_unstable") == 0)
            continue;
        for (unsigned index = 0; index < cases[i].count; index++) {
            if ((cases[i].pointers & P(index)) == 0)
                continue;
            try_pointer(guest, &cases[i], index, UINT32_MAX);
            try_pointer(guest, &cases[i], index, GUEST_MEMORY_BYTES - 1);
        }
    }
}

static void
test_every_bad_pointer_is_a_fault(void **state)
{
    struct guest *guest = *state;

    prepare(guest);
    try_all(guest);
    guest->module = "wasi_unstable";
    try_all(guest);
}

static void
test_a_bad_buffer_in_a_vector_is_a_fault(void **state)
{
    static const char *const names[] = {"fd_read",   "fd_write",  "fd_pread",
                                        "fd_pwrite", "sock_recv", "sock_send"};
    struct guest *guest = *state;

    prepare(guest);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        for (size_t j = 0; j < ARRAY_COUNT(names); j++) {
            if (strcmp(cases[i].name, names[j]) != 0)
                continue;
            (void)guest_iovec(guest, 0, GUEST_MEMORY_BYTES - 1, 2);
            try_pointer(guest, &cases[i], 1, GUEST_IOVECS);
            (void)guest_iovec(guest, 0, UINT32_MAX, 0);
            try_pointer(guest, &cases[i], 1, GUEST_IOVECS);
            (void)guest_iovec(guest, 0, GUEST_BUFFER, UINT32_MAX);
            try_pointer(guest, &cases[i], 1, GUEST_IOVECS);
        }
}

/* The cases name pointers by hand; the count of them is from the specification. */
static void
test_no_pointer_is_forgotten(void **state)
{
    unsigned count = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        count += (unsigned)__builtin_popcount(cases[i].pointers);
    assert_int_equal(ARRAY_COUNT(cases), 32);
    assert_int_equal(count, 53);
}

static void
test_without_memory_every_pointer_is_a_fault(void **state)
{
    struct guest *guest = *state;
    uint8_t *memory = guest->memory;

    prepare(guest);
    guest->memory = NULL;
    guest->function = hostcall_resolve("wasi_unstable", 13, "fd_tell", 7);
    guest->args[0] = FD;
    guest->args[1] = 0;
    guest->call = (struct faaslet_call){.args = guest->args,
                                        .process = guest->process,
                                        .scratch = guest->scratch,
                                        .wait = &guest->wait};
    assert_int_equal(guest->function->function(&guest->call), FAASLET_CALL_DONE);
    assert_int_equal(guest->args[0], E_FAULT);
    guest->memory = memory;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(test_every_bad_pointer_is_a_fault),
        GUEST_TEST(test_a_bad_buffer_in_a_vector_is_a_fault),
        cmocka_unit_test(test_no_pointer_is_forgotten),
        GUEST_TEST(test_without_memory_every_pointer_is_a_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
