/* SPDX-License-Identifier: Apache-2.0
 *
 * /state and /dev/weft/state, against a tier that only pretends. Each test runs twice: the second
 * time the record is frozen and thawed whenever a call waits.
 */
#include "hostcall/hostcall_test.h"
#include "state/state_testing.h"

#define SELF   3u
#define DEVICE 4u /* after the scratch directory */
#define STATE  5u
#define MANY   16u /* as many as the fake lists */

enum { E_FBIG = 22, E_ILSEQ = 25, E_XDEV = 75 };

#define READ   (WASI_RIGHT(WASI_FD_READ) | WASI_RIGHT(WASI_FD_SEEK) | WASI_RIGHT(WASI_FD_TELL))
#define WRITE  (WASI_RIGHT(WASI_FD_WRITE) | WASI_RIGHT(WASI_FD_SYNC) | READ)
#define OPEN_W (WASI_OFLAG_CREAT | WASI_OFLAG_TRUNC)

#define WORLD_TEST(t, s) {#t, t, s, teardown, NULL}

static struct fake fake;
static struct hostcall_chain chain;
static bool is_moved;

/* ------------------------------------------------------------------------- helpers */

static const struct hostcall_chain_ops no_ops;

static int
setup(void **state, bool moves)
{
    struct hostcall_config config = {
        .call = SELF, .files_max = 12, .chain = &chain, .has_device = true};
    struct guest *guest;

    is_moved = moves;
    fake_init(&fake, 0);
    chain = (struct hostcall_chain){.ops = &no_ops, .state = fake.cells[0].state};
    assert_int_equal(hostcall_chain_register(&chain), 0);
    assert_int_equal(guest_setup(state), 0);
    guest = *state;
    hostcall_process_ops.destroy(guest->process);
    assert_int_equal(guest_create_with(guest, &config), 0);
    return 0;
}

static int
setup_plain(void **state)
{
    return setup(state, false);
}

static int
setup_moved(void **state)
{
    return setup(state, true);
}

static int
teardown(void **state)
{
    int err = guest_teardown(state);

    hostcall_chain_unregister(&chain);
    fake_fini(&fake);
    return err;
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

static int
go_on(struct guest *guest, int err)
{
    while (guest->verdict == FAASLET_CALL_PENDING) {
        assert_int_equal(guest->wait.fd_count, 0);
        if (is_moved)
            move(guest);
        fake_run(&fake);
        err = guest_again(guest);
    }
    return err;
}

#define DO(guest, name, ...) go_on(guest, CALL(guest, name, __VA_ARGS__))

static int
try_open(struct guest *guest, const char *path, uint32_t oflags, uint64_t rights, uint32_t *fd)
{
    int err = DO(guest, "path_open", STATE, 1, PATH(guest, path), oflags & 0xff, rights, 0,
                 oflags >> 8, GUEST_RESULT);

    *fd = guest_u32(guest, GUEST_RESULT);
    return err;
}

static uint32_t
file(struct guest *guest, const char *path, uint32_t oflags, uint64_t rights)
{
    uint32_t fd;

    assert_int_equal(try_open(guest, path, oflags, rights, &fd), 0);
    return fd;
}

static int
refused(struct guest *guest, const char *path, uint32_t oflags, uint64_t rights)
{
    uint32_t fd;

    return try_open(guest, path, oflags, rights, &fd);
}

static int
put(struct guest *guest, uint32_t fd, const char *text)
{
    return go_on(guest, guest_write(guest, fd, text));
}

static int
shut(struct guest *guest, uint32_t fd)
{
    return DO(guest, "fd_close", fd);
}

static void
assert_holds(struct guest *guest, uint32_t fd, const char *text)
{
    assert_int_equal(go_on(guest, guest_read(guest, fd, 4096)), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), strlen(text));
    assert_memory_equal(guest->memory + GUEST_BUFFER, text, strlen(text));
}

/* What others see. */
static void
assert_global(const char *key, const char *text)
{
    const struct fake_value *value = fake_value(&fake, key);

    assert_true(value->is_there == (text != NULL));
    if (text == NULL)
        return;
    assert_int_equal(value->size, strlen(text));
    assert_memory_equal(value->bytes, text, strlen(text));
}

static void
global(const char *key, const char *text)
{
    fake_put(&fake, key, text, strlen(text));
}

/* --------------------------------------------------------------------------- files */

static void
test_the_directory_is_one_that_a_libc_finds(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(CALL(guest, "fd_prestat_get", STATE, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT + 4), 6);
    assert_int_equal(CALL(guest, "fd_prestat_dir_name", STATE, GUEST_BUFFER, 6), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "/state", 6);
    assert_int_equal(CALL(guest, "fd_prestat_get", STATE + 1, GUEST_RESULT), E_BADF);
    assert_int_equal(CALL(guest, "fd_fdstat_get", STATE, GUEST_RESULT), 0);
    assert_int_equal(guest->memory[GUEST_RESULT], WASI_DIRECTORY);
    assert_int_equal(guest_read(guest, STATE, 10), E_ISDIR);
}

static void
test_what_was_written_is_one_change_when_it_is_closed(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = file(guest, "a/b", OPEN_W, WRITE);

    assert_int_equal(put(guest, fd, "one "), 0);
    assert_int_equal(put(guest, fd, "two"), 0);
    assert_global("a/b", NULL);
    if (is_moved)
        move(guest);
    assert_int_equal(fake.pushes, 0);
    assert_int_equal(shut(guest, fd), 0);
    assert_global("a/b", "one two");
    assert_int_equal(fake.pushes, 1);
    assert_int_equal(shut(guest, fd), E_BADF);
}

static void
test_a_file_that_was_not_written_makes_no_change(void **state)
{
    struct guest *guest = *state;
    uint32_t fd;

    global("a", "text");
    fd = file(guest, "a", 0, WRITE);
    assert_holds(guest, fd, "text");
    assert_int_equal(DO(guest, "fd_sync", fd), 0);
    assert_int_equal(shut(guest, fd), 0);
    assert_int_equal(fake.pushes, 0);
    fd = file(guest, "a", WASI_OFLAG_TRUNC, WRITE); /* but this is one */
    assert_int_equal(shut(guest, fd), 0);
    assert_global("a", "");
}

static void
test_reading_shows_what_is_global_when_it_is_opened(void **state)
{
    const struct state_request elsewhere = {
        .kind = STATE_SET, .key = "a", .bytes = "two more", .count = 8};
    struct guest *guest = *state;
    uint32_t fd;
    uint64_t pulls;

    global("a", "one");
    fd = file(guest, "a", 0, READ);
    assert_int_equal(fake_try(&fake, 1, &elsewhere), 0);
    assert_holds(guest, fd, "one");
    assert_holds(guest, fd, "");
    assert_int_equal(shut(guest, fd), 0);
    fd = file(guest, "./a", 0, READ);
    assert_holds(guest, fd, "two more");
    pulls = fake.pulls;
    assert_holds(guest, file(guest, "x/../a", 0, READ), "two more"); /* nobody is asked */
    assert_int_equal(fake.pulls, pulls);
    assert_int_equal(refused(guest, "b", 0, READ), E_NOENT);
    assert_int_equal(refused(guest, "../a", 0, READ), E_PERM);
    assert_int_equal(refused(guest, "/a", 0, READ), E_PERM);
    assert_int_equal(refused(guest, "a\xff", 0, READ), E_ILSEQ);
}

static void
test_syncing_saves_and_closing_saves_the_rest(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = file(guest, "a", WASI_OFLAG_CREAT, ALL_RIGHTS);

    assert_int_equal(put(guest, fd, "one"), 0);
    assert_int_equal(DO(guest, "fd_sync", fd), 0);
    assert_global("a", "one");
    assert_int_equal(put(guest, fd, " two"), 0);
    assert_int_equal(DO(guest, "fd_datasync", fd), 0);
    assert_global("a", "one two");
    assert_int_equal(DO(guest, "fd_seek", fd, 4, 0, GUEST_RESULT), 0);
    assert_int_equal(put(guest, fd, "TWO"), 0);
    assert_int_equal(DO(guest, "fd_filestat_set_size", fd, 10), 0);
    assert_int_equal(shut(guest, fd), 0);
    assert_int_equal(fake_value(&fake, "a")->size, 10);
    assert_memory_equal(fake_value(&fake, "a")->bytes, "one TWO\0\0\0", 10);
}

static void
test_what_a_thread_writes_while_another_saves_is_saved_later(void **state)
{
    struct guest *guest = *state, other;
    uint32_t fd = file(guest, "a", WASI_OFLAG_CREAT, ALL_RIGHTS);

    assert_int_equal(put(guest, fd, "one"), 0);
    (void)CALL(guest, "fd_sync", fd);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    other = *guest;
    assert_int_equal(guest_write(&other, fd, " two"), 0);
    assert_int_equal(go_on(guest, -1), 0);
    assert_global("a", "one");
    assert_int_equal(shut(guest, fd), 0);
    assert_global("a", "one two");
}

static void
test_threads_that_save_one_file_do_not_take_each_others_answers(void **state)
{
    struct guest *guest = *state, other;
    uint32_t fd = file(guest, "a", WASI_OFLAG_CREAT, ALL_RIGHTS);

    assert_int_equal(put(guest, fd, "one"), 0);
    other = *guest;
    (void)CALL(&other, "path_open", STATE, 1, PATH(&other, "a"), 0, READ, 0, 0, GUEST_RESULT);
    assert_int_equal(other.verdict, FAASLET_CALL_PENDING);
    assert_int_equal(DO(guest, "fd_sync", fd), 0);
    other.process = guest->process; /* it may have moved */
    assert_int_equal(go_on(&other, -1), 0);
    guest->process = other.process;
    assert_holds(guest, guest_u32(guest, GUEST_RESULT), "one");
    assert_global("a", "one");
}

static void
test_what_cannot_be_saved_is_told_by_close(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = file(guest, "a", OPEN_W, WRITE);

    assert_int_equal(put(guest, fd, "text"), 0);
    fake.fail = -EDQUOT;
    assert_int_equal(DO(guest, "fd_sync", fd), 19);
    fake.fail = -EIO;
    assert_int_equal(shut(guest, fd), E_IO);
    assert_int_equal(shut(guest, fd), E_BADF); /* it is closed all the same */
    assert_global("a", NULL);
}

static void
test_positions_sizes_and_times(void **state)
{
    struct guest *guest = *state;
    uint32_t fd;

    global("a", "0123456789");
    fd = file(guest, "a", 0, ALL_RIGHTS);
    assert_int_equal(CALL(guest, "fd_seek", fd, (uint64_t)-3, 2, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 7);
    assert_holds(guest, fd, "789");
    assert_int_equal(CALL(guest, "fd_tell", fd, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 10);
    assert_int_equal(CALL(guest, "fd_seek", fd, (uint64_t)-11, 1, GUEST_RESULT), E_INVAL);
    assert_int_equal(
        DO(guest, "fd_pread", fd, guest_iovec(guest, 0, GUEST_BUFFER, 3), 1, 2, GUEST_RESULT), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "234", 3);
    (void)guest_text(guest, GUEST_BUFFER, "xyz");
    assert_int_equal(DO(guest, "fd_pwrite", fd, GUEST_IOVECS, 1, 12, GUEST_RESULT), 0);
    assert_int_equal(DO(guest, "fd_allocate", fd, 10, 10), 0);
    assert_int_equal(DO(guest, "fd_filestat_get", fd, GUEST_BUFFER), 0);
    assert_int_equal(guest_u64(guest, GUEST_BUFFER + 32), 20);
    assert_int_equal(guest->memory[GUEST_BUFFER + 16], WASI_REGULAR_FILE);
    assert_int_equal(DO(guest, "fd_filestat_set_times", fd, 5, 5, 5), 0);
    assert_int_equal(DO(guest, "fd_advise", fd, 0, 0, 0), 0);
    assert_int_equal(shut(guest, fd), 0);
    assert_memory_equal(fake_value(&fake, "a")->bytes, "0123456789\0\0xyz\0\0\0\0\0", 20);
    fd = file(guest, "a", (uint32_t)FILES_APPEND << 8, WRITE);
    assert_int_equal(put(guest, fd, "!"), 0);
    assert_int_equal(shut(guest, fd), 0);
    assert_int_equal(fake_value(&fake, "a")->size, 21);
}

static void
test_of_all_who_make_a_file_exclusively_one_does(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = file(guest, "lock", WASI_OFLAG_CREAT | WASI_OFLAG_EXCL, WRITE);

    assert_global("lock", ""); /* at once */
    assert_int_equal(refused(guest, "lock", WASI_OFLAG_CREAT | WASI_OFLAG_EXCL, WRITE), E_EXIST);
    assert_int_equal(shut(guest, fd), 0);
    assert_int_equal(DO(guest, "path_unlink_file", STATE, PATH(guest, "lock")), 0);
    assert_global("lock", NULL);
    fd = file(guest, "lock", WASI_OFLAG_CREAT | WASI_OFLAG_EXCL, WRITE);
    assert_int_equal(shut(guest, fd), 0);
}

static void
test_a_call_sees_what_it_has_not_saved(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = file(guest, "new", OPEN_W, WRITE);

    assert_int_equal(put(guest, fd, "text"), 0);
    assert_int_equal(DO(guest, "path_filestat_get", STATE, 1, PATH(guest, "new"), GUEST_BUFFER), 0);
    assert_int_equal(guest_u64(guest, GUEST_BUFFER + 32), 4);
    assert_global("new", NULL);
    assert_holds(guest, file(guest, "new", 0, READ), "text");
    assert_global("new", "text");
    assert_int_equal(put(guest, fd, " more"), 0);
    assert_int_equal(DO(guest, "path_unlink_file", STATE, PATH(guest, "new")), 0);
    assert_int_equal(shut(guest, fd), 0);
    assert_global("new", NULL); /* it was removed while it was open */
}

static void
test_the_end_saves_and_a_trap_does_not(void **state)
{
    struct guest *guest = *state;
    uint32_t fds[2] = {file(guest, "a", OPEN_W, WRITE), file(guest, "b", OPEN_W, WRITE)};

    assert_int_equal(put(guest, fds[0], "one"), 0);
    assert_int_equal(put(guest, fds[1], "two"), 0);
    assert_int_equal(DO(guest, "proc_raise", 6), -1); /* abort */
    assert_int_equal(guest->verdict, FAASLET_CALL_EXIT);
    assert_global("a", NULL);
    assert_int_equal(DO(guest, "proc_exit", 7), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_EXIT);
    assert_int_equal(guest->call.exit_code, 7);
    assert_global("a", "one");
    assert_global("b", "two");
}

static void
test_who_returns_without_closing_saves_too(void **state)
{
    struct guest *guest = *state;
    uint32_t fds[2] = {file(guest, "a", OPEN_W, WRITE), file(guest, "b", OPEN_W, WRITE)};

    assert_int_equal(put(guest, fds[0], "one"), 0);
    assert_int_equal(put(guest, fds[1], "two"), 0);
    fake.fail = -EDQUOT; /* of the first; nobody is told */
    assert_int_equal(hostcall_process_leave(guest->process), -EINPROGRESS);
    assert_int_equal(hostcall_process_leave(guest->process), -EINPROGRESS);
    fake_run(&fake);
    assert_int_equal(hostcall_process_leave(guest->process), -EINPROGRESS);
    fake_run(&fake);
    assert_int_equal(hostcall_process_leave(guest->process), 0);
    assert_global("a", NULL);
    assert_global("b", "two");
    assert_int_equal(hostcall_process_leave(guest->process), 0);
}

static void
test_another_number_for_a_file_saves_what_was_there(void **state)
{
    struct guest *guest = *state;
    uint32_t a = file(guest, "a", OPEN_W, WRITE), b = file(guest, "b", OPEN_W, WRITE);

    assert_int_equal(put(guest, a, "one"), 0);
    assert_int_equal(put(guest, b, "two"), 0);
    assert_int_equal(DO(guest, "fd_renumber", b, a), 0);
    assert_global("a", "one");
    assert_global("b", NULL);
    assert_int_equal(shut(guest, b), E_BADF);
    assert_int_equal(shut(guest, a), 0);
    assert_global("b", "two");
}

/* --------------------------------------------------------------------------- names */

static void
test_a_name_is_changed_and_others_see_the_whole_of_it(void **state)
{
    struct guest *guest = *state;
    uint32_t fd;

    global("config", "old");
    fd = file(guest, "config.tmp", OPEN_W, WRITE);
    assert_int_equal(put(guest, fd, "new"), 0);
    assert_int_equal(
        DO(guest, "path_rename", STATE, PATH(guest, "config.tmp"), STATE, PATH_2(guest, "config")),
        0); /* not closed yet */
    assert_global("config", "new");
    assert_global("config.tmp", NULL);
    assert_int_equal(put(guest, fd, "er"), 0);
    assert_int_equal(shut(guest, fd), 0);
    assert_global("config", "newer");
    assert_global("config.tmp", NULL);
    assert_int_equal(
        DO(guest, "path_rename", STATE, PATH(guest, "none"), STATE, PATH_2(guest, "config")),
        E_NOENT);
    assert_int_equal(DO(guest, "path_rename", STATE, PATH(guest, "config"), GUEST_DIRECTORY,
                        PATH_2(guest, "config")),
                     E_XDEV);
    assert_int_equal(
        DO(guest, "path_link", STATE, 0, PATH(guest, "config"), STATE, PATH_2(guest, "c")),
        E_NOTSUP);
    assert_int_equal(DO(guest, "path_symlink", PATH(guest, "config"), STATE, PATH_2(guest, "c")),
                     E_NOTSUP);
    assert_int_equal(
        DO(guest, "path_readlink", STATE, PATH(guest, "config"), GUEST_BUFFER, 10, GUEST_RESULT),
        E_INVAL);
    global("d/x", "x");
    assert_int_equal(DO(guest, "path_rename", STATE, PATH(guest, "d"), STATE, PATH_2(guest, "e")),
                     E_XDEV);
}

static void
test_directories_are_what_keys_begin_with(void **state)
{
    struct guest *guest = *state;
    uint32_t fd, sub;

    global("a/b/c", "deep");
    assert_int_equal(DO(guest, "path_filestat_get", STATE, 1, PATH(guest, "a/b"), GUEST_BUFFER), 0);
    assert_int_equal(guest->memory[GUEST_BUFFER + 16], WASI_DIRECTORY);
    sub = file(guest, "a/b", WASI_OFLAG_DIRECTORY, READ);
    assert_int_equal(DO(guest, "path_open", sub, 1, PATH(guest, "c"), 0, READ, 0, 0, GUEST_RESULT),
                     E_NOTCAPABLE);
    assert_int_equal(refused(guest, "a/b/c", WASI_OFLAG_DIRECTORY, READ), E_NOTDIR);
    assert_int_equal(refused(guest, "a/c", WASI_OFLAG_DIRECTORY, READ), E_NOENT);
    assert_int_equal(refused(guest, "a/b", OPEN_W, WRITE), E_ISDIR);
    assert_int_equal(DO(guest, "path_open", STATE, 1, PATH(guest, "a/"), WASI_OFLAG_DIRECTORY,
                        ALL_RIGHTS, ALL_RIGHTS, 0, GUEST_RESULT),
                     0);
    sub = guest_u32(guest, GUEST_RESULT);
    assert_int_equal(
        DO(guest, "path_open", sub, 1, PATH(guest, "b/c"), 0, READ, 0, 0, GUEST_RESULT), 0);
    fd = guest_u32(guest, GUEST_RESULT);
    assert_holds(guest, fd, "deep");
    assert_int_equal(
        DO(guest, "path_open", sub, 1, PATH(guest, "../x"), 0, READ, 0, 0, GUEST_RESULT), E_PERM);

    assert_int_equal(DO(guest, "path_create_directory", STATE, PATH(guest, "a")), E_EXIST);
    assert_int_equal(DO(guest, "path_create_directory", STATE, PATH(guest, "a/b/c")), E_EXIST);
    assert_int_equal(DO(guest, "path_create_directory", STATE, PATH(guest, "new/one")), 0);
    assert_int_equal(DO(guest, "path_create_directory", STATE, PATH(guest, "new/one")), E_EXIST);
    fd = file(guest, "new/one", WASI_OFLAG_DIRECTORY, READ);
    assert_int_equal(DO(guest, "path_remove_directory", STATE, PATH(guest, "new/one")), 0);
    assert_int_equal(refused(guest, "new/one", WASI_OFLAG_DIRECTORY, READ), E_NOENT);
    assert_int_equal(DO(guest, "path_remove_directory", STATE, PATH(guest, "a/b")), E_NOTEMPTY);
    assert_int_equal(DO(guest, "path_remove_directory", STATE, PATH(guest, "a/b/c")), E_NOTDIR);
    assert_int_equal(DO(guest, "path_unlink_file", STATE, PATH(guest, "a/b")), E_ISDIR);
    assert_int_equal(DO(guest, "path_unlink_file", STATE, PATH(guest, "a/b/c")), 0);
    assert_int_equal(DO(guest, "path_remove_directory", STATE, PATH(guest, "a/b")), 0);
}

/* Reads a directory as a libc does, in pieces of `room` bytes; the names one after the other. */
static void
list(struct guest *guest, uint32_t fd, uint32_t room, char *out)
{
    uint64_t cookie = 0;
    uint32_t used;

    out[0] = '\0';
    do {
        assert_int_equal(DO(guest, "fd_readdir", fd, GUEST_BUFFER, room, cookie, GUEST_RESULT), 0);
        used = guest_u32(guest, GUEST_RESULT);
        for (uint32_t at = 0; at + sizeof(struct wasi_dirent) <= used;) {
            struct wasi_dirent dirent;

            (void)memcpy(&dirent, guest->memory + GUEST_BUFFER + at, sizeof(dirent));
            at += (uint32_t)sizeof(dirent);
            if (at + dirent.namlen > used)
                break;
            out += snprintf(out, 300, "%.*s%s ", (int)dirent.namlen,
                            (char *)guest->memory + GUEST_BUFFER + at,
                            dirent.type == WASI_DIRECTORY ? "/" : "");
            at += dirent.namlen;
            cookie = dirent.next;
        }
    } while (used == room);
}

static void
test_a_directory_has_each_name_once(void **state)
{
    static const char *const keys[] = {"a", "b/1", "b/2", "b/c/3", "c-x", "d//e", "e"};
    struct guest *guest = *state;
    char names[4096];
    uint32_t fd;

    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        global(keys[i], "x");
    fd = file(guest, ".", WASI_OFLAG_DIRECTORY, ALL_RIGHTS);
    for (uint32_t room = 64; room < 300; room += 7) {
        list(guest, fd, room, names);
        assert_string_equal(names, "./ ../ a b/ c-x d/ e ");
    }
    list(guest, STATE, 100, names);
    assert_string_equal(names, "./ ../ a b/ c-x d/ e ");
    list(guest, file(guest, "b", WASI_OFLAG_DIRECTORY, ALL_RIGHTS), 100, names);
    assert_string_equal(names, "./ ../ 1 2 c/ ");
    assert_int_equal(DO(guest, "fd_readdir", fd, GUEST_BUFFER, 64, 3, GUEST_RESULT), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER + 24, "b", 1); /* after a seek */
    assert_int_equal(DO(guest, "fd_readdir", fd, GUEST_BUFFER, 64, 6, GUEST_RESULT), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER + 24, "e", 1);
    assert_int_equal(DO(guest, "fd_readdir", fd, GUEST_BUFFER, 64, 4, GUEST_RESULT), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER + 24, "c-x", 3);
    assert_int_equal(DO(guest, "fd_readdir", fd, GUEST_BUFFER, 64, 99, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 0);
}

static void
test_a_directory_may_have_any_number_of_names(void **state)
{
    struct guest *guest = *state;
    char names[4096], wanted[4096] = "./ ../ ", *end = wanted + strlen(wanted);

    for (unsigned i = 0; i < MANY; i++) {
        char key[32];

        (void)snprintf(key, sizeof(key), "many/%03u", i);
        global(key, "");
        end += snprintf(end, 30, "%s ", key + 5);
    }
    list(guest, file(guest, "many", WASI_OFLAG_DIRECTORY, ALL_RIGHTS), 200, names);
    assert_string_equal(names, wanted);
}

/* -------------------------------------------------------------------------- limits */

static void
test_there_is_a_limit_of_what_is_not_saved(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = file(guest, "a", OPEN_W, ALL_RIGHTS), other;

    assert_int_equal(DO(guest, "fd_filestat_set_size", fd, KEYS_BYTES_MAX - 1), 0);
    assert_int_equal(DO(guest, "fd_filestat_set_size", fd, UINT64_MAX), E_FBIG);
    other = file(guest, "b", OPEN_W, ALL_RIGHTS);
    assert_int_equal(put(guest, other, "x"), 0);
    assert_int_equal(put(guest, other, "y"), E_FBIG);
    assert_int_equal(DO(guest, "fd_pwrite", other, guest_iovec(guest, 0, GUEST_BUFFER, 1), 1,
                        INT64_MAX, GUEST_RESULT),
                     E_FBIG);
    assert_int_equal(DO(guest, "fd_filestat_set_size", fd, 0), 0);
    assert_int_equal(put(guest, other, "y"), 0);
    assert_int_equal(shut(guest, other), 0);
    assert_global("b", "xy");
}

/* Nor is there more of answers that nobody reads. */
static void
test_answers_that_are_not_read_have_a_limit(void **state)
{
    struct guest *guest = *state;
    uint64_t size = KEYS_BYTES_MAX - (1u << 20);
    uint32_t fds[2];

    fake_put(&fake, "large", NULL, size);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(CALL(guest, "path_open", DEVICE, 1, PATH(guest, "state"), 0,
                              WASI_RIGHT(WASI_FD_READ) | WASI_RIGHT(WASI_FD_WRITE), 0, 0,
                              GUEST_RESULT),
                         0);
        fds[i] = guest_u32(guest, GUEST_RESULT);
    }
    assert_int_equal(put(guest, fds[0], "get 5 0 33554432\nlarge"), 0);
    assert_int_equal(put(guest, fds[1], "get 5 0 33554432\nlarge"), 42);
    assert_int_equal(put(guest, fds[1], "set 1\nxy"), 0);
    assert_int_equal(put(guest, fds[0], "stat 5\nlarge"), 0); /* that answer is forgotten */
    assert_int_equal(put(guest, fds[1], "get 5 0 4\nlarge"), 0);
}

static void
test_what_is_large_is_read_where_it_is(void **state)
{
    struct guest *guest = *state;
    uint64_t size = KEYS_COPY_BYTES + 100;
    uint8_t *bytes = calloc(1, size);
    uint32_t fd;

    assert_non_null(bytes);
    (void)memcpy(bytes + size - 4, "last", 4);
    fake_put(&fake, "large", bytes, size);
    free(bytes);
    fd = file(guest, "large", 0, READ | WASI_RIGHT(WASI_FD_FILESTAT_GET));
    assert_int_equal(DO(guest, "fd_filestat_get", fd, GUEST_BUFFER), 0);
    assert_int_equal(guest_u64(guest, GUEST_BUFFER + 32), size);
    assert_int_equal(CALL(guest, "fd_seek", fd, (uint64_t)-4, 2, GUEST_RESULT), 0);
    assert_holds(guest, fd, "last");
    assert_holds(guest, fd, "");
    fd = file(guest, "large", 0, WRITE); /* a copy */
    assert_int_equal(put(guest, fd, "first"), 0);
    assert_int_equal(shut(guest, fd), 0);
    assert_memory_equal(fake_value(&fake, "large")->bytes, "first", 5);
}

static void
test_there_is_a_limit_of_open_files(void **state)
{
    struct guest *guest = *state;
    uint32_t fds[16], count = 0, exclusive;

    global("a", "x");
    while (count < 16 && try_open(guest, "a", 0, READ, &fds[count]) == 0)
        count++;
    assert_int_equal(count, 12 - 4);
    assert_int_equal(refused(guest, "a", 0, READ), E_MFILE);
    assert_int_equal(refused(guest, "lock", WASI_OFLAG_CREAT | WASI_OFLAG_EXCL, WRITE), E_MFILE);
    assert_global("lock", NULL);
    assert_int_equal(shut(guest, fds[3]), 0);
    assert_int_equal(try_open(guest, "lock", WASI_OFLAG_CREAT | WASI_OFLAG_EXCL, WRITE, &exclusive),
                     0);
}

static void
test_names_that_are_too_long_are_refused(void **state)
{
    struct guest *guest = *state;
    char name[300];

    (void)memset(name, 'n', sizeof(name));
    name[256] = '\0';
    assert_int_equal(refused(guest, name, 0, READ), E_NAMETOOLONG);
    name[255] = '\0';
    assert_int_equal(refused(guest, name, 0, READ), E_NOENT);
    assert_int_equal(shut(guest, file(guest, name, OPEN_W, WRITE)), 0);
    assert_global(name, "");
}

static void
test_without_a_tier_there_is_nothing(void **state)
{
    struct guest *guest = *state;
    uint32_t fd;

    chain.state = NULL;
    assert_int_equal(refused(guest, "a", 0, READ), 52);
    assert_int_equal(CALL(guest, "path_open", DEVICE, 1, PATH(guest, "state"), 0,
                          WASI_RIGHT(WASI_FD_READ) | WASI_RIGHT(WASI_FD_WRITE), 0, 0, GUEST_RESULT),
                     0);
    fd = guest_u32(guest, GUEST_RESULT);
    assert_int_equal(put(guest, fd, "stat 1\na"), 52);
    chain.state = fake.cells[0].state;
}

/* -------------------------------------------------------------------------- requests */

static uint32_t
talk(struct guest *guest)
{
    assert_int_equal(CALL(guest, "path_open", DEVICE, 1, PATH(guest, "state"), 0,
                          WASI_RIGHT(WASI_FD_READ) | WASI_RIGHT(WASI_FD_WRITE), 0, 0, GUEST_RESULT),
                     0);
    return guest_u32(guest, GUEST_RESULT);
}

static void
assert_answer(struct guest *guest, uint32_t fd, const char *request, const char *answer)
{
    assert_int_equal(put(guest, fd, request), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), strlen(request));
    assert_holds(guest, fd, answer);
    assert_holds(guest, fd, "");
}

static void
test_requests_are_answered(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = talk(guest);

    assert_answer(guest, fd, "set 3\na b one\ntwo", "");
    assert_global("a b", " one\ntwo");
    assert_answer(guest, fd, "get 3 1 100\na b", "1 8\none\ntwo");
    assert_answer(guest, fd, "cas 3 1\na bthree", "2\n");
    assert_int_equal(put(guest, fd, "cas 3 1\na bfour"), E_AGAIN);
    assert_holds(guest, fd, "");
    assert_answer(guest, fd, "get 3 0 2\na b", "2 5\nth");
    assert_answer(guest, fd, "add 1 8 16 -5\nn", "-5\n");
    assert_answer(guest, fd, "add 1 8 0 7\nn", "2\n");
    assert_answer(guest, fd, "append 1\nlone", "0\n");
    assert_answer(guest, fd, "append 1\nl", "1\n");
    assert_answer(guest, fd, "append 1\nlthree", "2\n");
    assert_answer(guest, fd, "read 1 0 10 1000\nl", "0 3 0 5\nonethree");
    assert_int_equal(put(guest, fd, "list 0 10\na"), 0);
    assert_int_equal(go_on(guest, guest_read(guest, fd, 100)), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 8);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "2\na b\0n", 8);
}

static void
test_locks_and_waits(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = talk(guest);

    assert_answer(guest, fd, "lock 1 1 -1\na", "");
    assert_non_null(fake_value(&fake, "a")->locker);
    assert_answer(guest, fd, "unlock 1 1\na", "");
    assert_null(fake_value(&fake, "a")->locker);
    assert_answer(guest, fd, "lock 1 3 0\na", "");
    assert_answer(guest, fd, "unlock 1 3\na", "");
    assert_int_equal(put(guest, fd, "lock 1 4 0\na"), E_INVAL);
    global("w", "one");
    assert_int_equal(guest_write(guest, fd, "watch 1 1 -1\nw"), -1);
    fake_run(&fake);
    assert_int_equal(guest_again(guest), -1);
    if (is_moved)
        move(guest);
    (void)memset(guest->memory + GUEST_BUFFER, 'x', 20); /* others may write there */
    global("w", "two");
    fake_retry(&fake);
    fake_run(&fake);
    assert_int_equal(guest_again(guest), 0);
    assert_holds(guest, fd, "2\n");
    assert_answer(guest, fd, "remove 1\nw", "");
    assert_int_equal(put(guest, fd, "remove 1\nw"), E_NOENT);
    assert_int_equal(put(guest, fd, "stat 1\nw"), E_NOENT);
}

static const char *const wrong[] = {
    "",
    "\n",
    "set",
    "set 1",
    "set\na",
    "set 1 \na",
    "set  1\na",
    "set 1 1\na",
    "set 2\na",
    "set 0\n",
    "set 1a\na",
    "sets 1\na",
    "set 18446744073709551616\na",
    "set 99999999999999999999999\na",
    "cas 1\na",
    "cas 1 -\na",
    "cas 1 --1\na",
    "cas 1 -9223372036854775809\na",
    "get 1 0 99999999999\na",
    "stat 1\nab",
    "remove 1\na ",
    "set 1\n\xff",
    "add 1 0 8\na",
    "add 1 0 8 1.5\na",
    "list 0 10 1\n",
    "lock 1 1\na",
};

static void
test_what_is_no_request_is_refused(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = talk(guest);
    char long_key[400];

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        if (put(guest, fd, wrong[i]) != E_INVAL)
            fail_msg("%s was not refused", wrong[i]);
        assert_holds(guest, fd, "");
    }
    (void)memset(long_key, 'k', sizeof(long_key));
    (void)memcpy(long_key, "set 256\n", 8);
    long_key[8 + 256] = '\0';
    assert_int_equal(put(guest, fd, long_key), E_NAMETOOLONG);
    assert_int_equal(fake.pushes, 0);
    assert_int_equal(CALL(guest, "fd_write", fd, GUEST_IOVECS, 0, GUEST_RESULT), E_INVAL);
    (void)guest_text(guest, GUEST_BUFFER, "set 1\nkv");
    (void)guest_iovec(guest, 0, GUEST_BUFFER, 5);
    (void)guest_iovec(guest, 1, GUEST_BUFFER + 5, 0);
    (void)guest_iovec(guest, 2, GUEST_BUFFER + 5, 3);
    assert_int_equal(DO(guest, "fd_write", fd, GUEST_IOVECS, 3, GUEST_RESULT), 0);
    assert_global("k", "v");
}

#define BOTH(test) \
    cmocka_unit_test_setup_teardown(test, setup_plain, teardown), \
        cmocka_unit_test_setup_teardown(test, setup_moved, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_the_directory_is_one_that_a_libc_finds),
        BOTH(test_what_was_written_is_one_change_when_it_is_closed),
        BOTH(test_a_file_that_was_not_written_makes_no_change),
        BOTH(test_reading_shows_what_is_global_when_it_is_opened),
        BOTH(test_syncing_saves_and_closing_saves_the_rest),
        BOTH(test_what_a_thread_writes_while_another_saves_is_saved_later),
        BOTH(test_threads_that_save_one_file_do_not_take_each_others_answers),
        BOTH(test_what_cannot_be_saved_is_told_by_close),
        BOTH(test_positions_sizes_and_times),
        BOTH(test_of_all_who_make_a_file_exclusively_one_does),
        BOTH(test_a_call_sees_what_it_has_not_saved),
        BOTH(test_the_end_saves_and_a_trap_does_not),
        BOTH(test_who_returns_without_closing_saves_too),
        BOTH(test_another_number_for_a_file_saves_what_was_there),
        BOTH(test_a_name_is_changed_and_others_see_the_whole_of_it),
        BOTH(test_directories_are_what_keys_begin_with),
        BOTH(test_a_directory_has_each_name_once),
        BOTH(test_a_directory_may_have_any_number_of_names),
        BOTH(test_there_is_a_limit_of_what_is_not_saved),
        BOTH(test_answers_that_are_not_read_have_a_limit),
        BOTH(test_what_is_large_is_read_where_it_is),
        BOTH(test_there_is_a_limit_of_open_files),
        BOTH(test_names_that_are_too_long_are_refused),
        BOTH(test_without_a_tier_there_is_nothing),
        BOTH(test_requests_are_answered),
        BOTH(test_locks_and_waits),
        BOTH(test_what_is_no_request_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
