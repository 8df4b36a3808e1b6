/* SPDX-License-Identifier: Apache-2.0
 *
 * The room by its own door: descriptors, names, and resolution while others
 * rename and relink.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fault.h"
#include "files/files_internal.h"

#define RACE_ROUNDS 3000

struct tree {
    char top[64];    /* removed at the end */
    char inside[80]; /* the root */
    struct files_table table;
};

static void
make_file(const char *directory, const char *name, const char *text)
{
    char path[256];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

static void
make_directory(const char *directory, const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static int
setup(void **state)
{
    struct tree *tree = calloc(1, sizeof(*tree));
    struct diag diag;

    assert_non_null(tree);
    diag_init(&diag);
    (void)snprintf(tree->top, sizeof(tree->top),
                   "%s/weft-files-XX"
                   "XX"
                   "XX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(tree->top));
    (void)snprintf(tree->inside, sizeof(tree->inside), "%s/inside", tree->top);
    make_directory(tree->top, "inside");
    make_directory(tree->top, "outside");
    make_file(tree->top, "outside/secret", "outside");
    make_directory(tree->inside, "d");
    make_file(tree->inside, "d/secret", "inside!");
    assert_int_equal(files_table_add_root(&tree->table, tree->inside, "/", false, &diag), 0);
    *state = tree;
    return 0;
}

static int
remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int
teardown(void **state)
{
    struct tree *tree = *state;

    files_table_fini(&tree->table);
    files_use_portable_walk(false);
    assert_int_equal(nftw(tree->top, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(tree);
    return 0;
}

static int
open_file(struct tree *tree, const char *path, uint32_t *number)
{
    const struct files_open how = {.want_read = true, .want_write = true, .create = true};

    return files_path_open(&tree->table, 0, path, &how, number);
}

static int
read_file(struct tree *tree, const char *path, char text[16])
{
    const struct files_open how = {.want_read = true, .follow = true};
    struct iovec iov = {text, 15};
    uint32_t number;
    size_t done;
    int err = files_path_open(&tree->table, 0, path, &how, &number);

    if (err != 0)
        return err;
    err = files_read(files_table_get(&tree->table, number), &iov, 1, &done);
    if (err == 0)
        text[done] = '\0';
    assert_int_equal(files_table_close(&tree->table, number), 0);
    return err;
}

/* ------------------------------------------------------------------- the table */

static void
test_entries_remember_the_path_they_were_opened_by(void **state)
{
    struct tree *tree = *state;
    const struct files_open how = {.want_read = true, .directory = true};
    const struct files_open reading = {.want_read = true};
    uint32_t directory, file;
    struct files_entry *entry;

    assert_int_equal(files_path_open(&tree->table, 0, "d", &how, &directory), 0);
    assert_int_equal(files_path_open(&tree->table, directory, "secret", &reading, &file), 0);
    entry = files_table_get(&tree->table, file);
    assert_string_equal(files_table_name(&tree->table, entry->path), "d/secret");
    assert_int_equal(entry->root, 0);
    assert_string_equal(files_table_name(&tree->table, tree->table.roots[0].host_path),
                        tree->inside);
}

static void
test_names_of_closed_entries_are_let_go(void **state)
{
    struct tree *tree = *state;
    char path[200];
    uint32_t number;

    (void)memset(path, 'n', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(open_file(tree, path, &number), 0);
        assert_int_equal(files_table_close(&tree->table, number), 0);
    }
    assert_true(tree->table.names.count < 200000);
    assert_string_equal(files_table_name(&tree->table, tree->table.entries[0].path), "/");
    assert_string_equal(files_table_name(&tree->table, tree->table.roots[0].host_path),
                        tree->inside);
}

static void
test_a_failed_open_leaves_nothing(void **state)
{
    struct tree *tree = *state;
    uint32_t number = 77;

    fault_arm("files.reserve", 1, -ENOMEM);
    assert_int_equal(open_file(tree, "new", &number), -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(number, 77);
    assert_int_equal(open_file(tree, "no/new", &number), -ENOENT);
    assert_int_equal(open_file(tree, "d", &number), -EISDIR);
    assert_null(files_table_get(&tree->table, 1));
    assert_int_equal(open_file(tree, "new", &number), 0);
    assert_int_equal(number, 1);
}

static void
test_wrong_numbers_and_kinds_are_refused(void **state)
{
    struct tree *tree = *state;
    struct files_entry *root = files_table_get(&tree->table, 0);
    const struct files_open how = {.want_read = true};
    struct stat stat;
    uint32_t number;
    uint64_t offset;

    assert_int_equal(files_table_close(&tree->table, 5), -EBADF);
    assert_int_equal(files_table_renumber(&tree->table, 0, 5), -EBADF);
    assert_int_equal(files_table_adopt(&tree->table, -1, &number), -EBADF);
    assert_int_equal(files_path_open(&tree->table, 9, "d", &how, &number), -EBADF);
    assert_int_equal(open_file(tree, "f", &number), 0);
    assert_int_equal(files_path_stat(files_table_get(&tree->table, number), "x", false, &stat),
                     -ENOTDIR);
    assert_int_equal(files_list(files_table_get(&tree->table, number), 0, NULL, NULL), -ENOTDIR);
    assert_int_equal(files_accept(&tree->table, number, 0, &number), -ENOTSOCK);
    root = files_table_get(&tree->table, 0);
    assert_int_equal(files_seek(root, 0, SEEK_SET, &offset), -EBADF);
    assert_int_equal(files_seek(root, 0, 77, &offset), -EINVAL);
}

static void
test_devices_and_sockets_are_not_opened(void **state)
{
    struct tree *tree = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct files_open how = {.want_read = true};
    struct diag diag;
    uint32_t dev, number;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", tree->inside);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(files_path_open(&tree->table, 0, "s", &how, &number), -ENXIO);
    (void)close(fd);
    diag_init(&diag);
    assert_int_equal(files_table_add_root(&tree->table, "/dev", "/dev", true, &diag), 0);
    dev = 1;
    assert_int_equal(files_path_open(&tree->table, dev, "null", &how, &number), 0);
    fd = open("/dev/ptmx", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return; /* no other device to try */
    (void)close(fd);
    assert_int_equal(files_path_open(&tree->table, dev, "ptmx", &how, &number), -EACCES);
    assert_null(files_table_get(&tree->table, 3));
}

/* ------------------------------------------------------------------------ races */

struct race {
    struct tree *tree;
    atomic_bool is_over;
    void (*disturb)(struct tree *tree);
};

static void *
race_thread(void *argument)
{
    struct race *race = argument;

    while (!atomic_load(&race->is_over))
        race->disturb(race->tree);
    return NULL;
}

static void
tree_path(const struct tree *tree, const char *name, char out[256])
{
    (void)snprintf(out, 256, "%s/%s", tree->inside, name);
}

/* "d" is by turns a directory and a link to the outside. */
static void
disturb_by_links(struct tree *tree)
{
    char d[256], other[256];

    tree_path(tree, "d", d);
    tree_path(tree, "other", other);
    (void)renameat2(AT_FDCWD, d, AT_FDCWD, other, RENAME_EXCHANGE);
}

/* "a/b/c" is by turns there and next to "a", so that ".." means other things. */
static void
disturb_by_moves(struct tree *tree)
{
    char low[256], high[256];

    tree_path(tree, "a/b/c", low);
    tree_path(tree, "c", high);
    if (rename(low, high) != 0)
        (void)rename(high, low);
}

static void
start_race(struct race *race, pthread_t *thread)
{
    assert_int_equal(pthread_create(thread, NULL, race_thread, race), 0);
}

static void
assert_one_of(int err, const int *allowed, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (allowed[i] == err)
            return;
    fail_msg("unexpected result %d", err);
}

/* Whatever "d" is at the moment: the outside's names are neither seen nor changed. */
static void
try_names(struct tree *tree)
{
    static const int allowed[] = {0, -EPERM, -ENOENT, -EEXIST, -ENOTDIR, -EISDIR};
    const struct files_entry *root = files_table_get(&tree->table, 0);
    char text[16];
    struct stat stat;
    int err = read_file(tree, "d/secret", text);

    assert_one_of(err, allowed, ARRAY_COUNT(allowed));
    if (err == 0)
        assert_string_equal(text, "inside!");
    err = files_path_stat(root, "d/victim", true, &stat);
    assert_true(err == -ENOENT || err == -EPERM || err == -ENOTDIR);
    err = files_path_unlink(root, "d/victim");
    assert_true(err == -ENOENT || err == -EPERM || err == -ENOTDIR);
    err = files_path_make_directory(root, "d/made");
    assert_one_of(err, allowed, ARRAY_COUNT(allowed));
}

static void
run_link_race(struct tree *tree, const char *target)
{
    struct race race = {.tree = tree, .disturb = disturb_by_links};
    char path[256];
    pthread_t thread;

    tree_path(tree, "other", path);
    assert_int_equal(symlink(target, path), 0);
    start_race(&race, &thread);
    for (int i = 0; i < RACE_ROUNDS; i++)
        try_names(tree);
    atomic_store(&race.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    tree_path(tree, "../outside/made", path);
    assert_int_not_equal(access(path, F_OK), 0);
    tree_path(tree, "../outside/victim", path);
    assert_int_equal(access(path, F_OK), 0);
}

static void
test_links_swapped_in_never_lead_outside(void **state)
{
    struct tree *tree = *state;

    make_file(tree->top, "outside/victim", "");
    run_link_race(tree, "../outside");
}

static void
test_links_swapped_in_never_lead_outside_on_foot(void **state)
{
    files_use_portable_walk(true);
    test_links_swapped_in_never_lead_outside(state);
}

static void
test_moved_directories_never_lead_outside(void **state)
{
    struct tree *tree = *state;
    struct race race = {.tree = tree, .disturb = disturb_by_moves};
    pthread_t thread;
    char text[16];

    make_directory(tree->inside, "a");
    make_directory(tree->inside, "a/b");
    make_directory(tree->inside, "a/b/c");
    make_file(tree->top, "secret", "outside");
    make_file(tree->inside, "secret", "inside!");
    start_race(&race, &thread);
    for (int i = 0; i < RACE_ROUNDS; i++) {
        int err = read_file(tree, "a/b/c/../../../secret", text);

        /* From where c was when it was entered, it is inside; never above. */
        if (err == 0)
            assert_string_equal(text, "inside!");
        else
            assert_true(err == -ENOENT || err == -EPERM);
    }
    atomic_store(&race.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
test_moved_directories_never_lead_outside_on_foot(void **state)
{
    files_use_portable_walk(true);
    test_moved_directories_never_lead_outside(state);
}

/* ------------------------------------------------------- both ways say the same */

static const char *const agreed_paths[] = {
    "",
    ".",
    "./",
    "..",
    "/",
    "//",
    "d",
    "d/",
    "d/.",
    "d/..",
    "d/../..",
    "d/secret",
    "d/secret/",
    "d/secret/x",
    "no",
    "no/x",
    "no/..",
    "l",
    "l/",
    "l/secret",
    "l/..",
    "l/../d/secret",
    "loop",
    "loop/",
    "out",
    "out/",
    "out/secret",
    "abs",
    "abs/x",
    "d/./././/secret",
    "up/d/secret",
    "up",
    "up/",
    "up/..",
    "dangling",
    "dangling/",
    "file",
    "file/",
    "file/x",
    "d/secret/..",
};

static const char *const agreed_links[][2] = {
    {"d", "l"},     {"loop", "loop"},        {"../outside", "out"}, {"/etc", "abs"},
    {"d/..", "up"}, {"nothing", "dangling"}, {"d/secret", "file"},
};

static void
assert_agreed(int root, const char *path, int flags)
{
    struct stat kernel_stat = {0}, walk_stat = {0};
    int kernel = files_resolve_open(root, path, flags, 0);
    int walk = files_walk_open(root, path, flags, 0);

    if ((kernel < 0 || walk < 0) && kernel != walk)
        fail_msg("\"%s\" with flags %#o: kernel %d, walk %d", path, (unsigned)flags, kernel, walk);
    if (kernel < 0)
        return;
    assert_int_equal(fstat(kernel, &kernel_stat), 0);
    assert_int_equal(fstat(walk, &walk_stat), 0);
    assert_int_equal(kernel_stat.st_ino, walk_stat.st_ino);
    (void)close(kernel);
    (void)close(walk);
}

static void
test_both_resolutions_agree(void **state)
{
    static const int flags[] = {O_PATH, O_PATH | O_NOFOLLOW,   O_RDONLY, O_RDONLY | O_NOFOLLOW,
                                O_RDWR, O_RDONLY | O_DIRECTORY};
    struct tree *tree = *state;
    int root = tree->table.entries[0].fd;

    for (size_t i = 0; i < ARRAY_COUNT(agreed_links); i++)
        assert_int_equal(symlinkat(agreed_links[i][0], root, agreed_links[i][1]), 0);
    for (size_t i = 0; i < ARRAY_COUNT(agreed_paths); i++)
        for (size_t j = 0; j < ARRAY_COUNT(flags); j++)
            assert_agreed(root, agreed_paths[i], flags[j]);
}

#define FILES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FILES_TEST(test_entries_remember_the_path_they_were_opened_by),
        FILES_TEST(test_names_of_closed_entries_are_let_go),
        FILES_TEST(test_a_failed_open_leaves_nothing),
        FILES_TEST(test_wrong_numbers_and_kinds_are_refused),
        FILES_TEST(test_devices_and_sockets_are_not_opened),
        FILES_TEST(test_links_swapped_in_never_lead_outside),
        FILES_TEST(test_links_swapped_in_never_lead_outside_on_foot),
        FILES_TEST(test_moved_directories_never_lead_outside),
        FILES_TEST(test_moved_directories_never_lead_outside_on_foot),
        FILES_TEST(test_both_resolutions_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
