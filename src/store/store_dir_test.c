/* SPDX-License-Identifier: Apache-2.0
 *
 * Records and blobs in a directory.
 */
#include "store/blobs_testing.h"
#include "store/crash_testing.h"
#include "store/records_testing.h"

#include <sched.h>
#include <sys/mount.h>

static char directory[64], address[80];
static struct store_config config = {.is_durable = true};

static int
open_all(void **state)
{
    (void)state;
    testing_directory(directory);
    (void)snprintf(address, sizeof(address), "dir:%s/deep/er", directory);
    config.records = config.blobs = address;
    testing_store = testing_open(&config);
    return 0;
}

static int
close_all(void **state)
{
    (void)state;
    store_close(testing_store);
    testing_store = NULL;
    testing_remove(directory);
    return 0;
}

/* For tests that open and close by themselves. */
static void
begin(char own[64], char own_address[80], struct store_config *own_config)
{
    testing_directory(own);
    (void)snprintf(own_address, 80, "dir:%s", own);
    *own_config = config;
    own_config->records = own_config->blobs = own_address;
}

static void
test_all_is_there_after_closing_and_opening(void **state)
{
    char own[64], own_address[80];
    struct store_config own_config;
    struct store *store;
    struct store_hash hash;
    uint64_t version, found;
    int fd;

    (void)state;
    for (int is_durable = 0; is_durable < 2; is_durable++) {
        begin(own, own_address, &own_config);
        own_config.is_durable = is_durable == 1;
        store = testing_open(&own_config);
        version = testing_commit(store, testing_put("kept", "key", "17"));
        assert_int_equal(store_blob_put_bytes(store, "abc", 3, &hash, NULL), 0);
        store_close(store);
        own_config.is_durable = true;
        store = testing_open(&own_config);
        assert_int_equal(testing_number(store, "kept", "key", &found), 17);
        assert_int_equal(found, version);
        assert_true(testing_commit(store, testing_put("kept", "key", "18")) > version);
        assert_int_equal(store_blob_get(store, &hash, &fd, NULL), 0);
        (void)close(fd);
        store_close(store);
        testing_remove(own);
    }
}

static void
test_one_process_at_a_time_has_the_records(void **state)
{
    char pid[32];
    struct store_config again = {.records = address};

    (void)state;
    (void)snprintf(pid, sizeof(pid), "process %d", (int)getpid());
    testing_open_fails(&again, -EBUSY, pid);
}

/* Several may share the blobs: a worker beside a planner. */
static void
test_several_have_the_blobs(void **state)
{
    struct store_config again = {.blobs = address};
    struct store *other = testing_open(&again);
    struct store_hash hash = blob_put("for both", 8);
    const struct store_key key = testing_key("table", "key");
    struct buffer value = {0};
    uint64_t version;
    int fd;

    (void)state;
    assert_int_equal(store_blob_get(other, &hash, &fd, NULL), 0);
    (void)close(fd);
    assert_int_equal(store_get(other, &key, &value, &version, NULL), -EINVAL);
    store_close(other);
}

static void
test_addresses_that_are_no_directories_are_refused(void **state)
{
    const struct store_config none = {0};
    const struct store_config file = {.records = "dir:/dev/null/below"};
    const struct store_config swapped = {.blobs = "redis://127.0.0.1:1/0"};

    (void)state;
    testing_open_fails(&none, -EINVAL, "address");
    testing_open_fails(&file, -ENOTDIR, "/dev/null/below");
    testing_open_fails(&swapped, -EINVAL, "blobs are in");
}

/* ----------------------------------------------------------------------------- damage */

static void
blob_path(const struct store_hash *hash, char out[256])
{
    char hex[65];

    hash_text(hash, hex);
    (void)snprintf(out, 256, "%s/deep/er/blobs/%.2s/%s", directory, hex, hex + 2);
}

static void
damage(const char *path)
{
    int fd;

    assert_int_equal(chmod(path, 0600), 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "X", 1, 5), 1);
    (void)close(fd);
}

static void
test_a_damaged_blob_is_not_handed_out_and_a_put_mends_it(void **state)
{
    struct store_hash hash = blob_put("will be damaged", 15);
    char path[256];
    struct diag diag;
    int fd = -5;

    (void)state;
    blob_expect(&hash, "will be damaged", 15); /* and is trusted now, until it changes */
    blob_path(&hash, path);
    damage(path);
    diag_init(&diag);
    assert_int_equal(store_blob_get(testing_store, &hash, &fd, &diag), -EBADMSG);
    assert_non_null(strstr(diag_text(&diag), path));
    assert_int_equal(fd, -5);
    hash = blob_put("will be damaged", 15);
    blob_expect(&hash, "will be damaged", 15);

    /* A part only, and something that is no file. */
    assert_int_equal(truncate(path, 3), 0);
    assert_int_equal(store_blob_get(testing_store, &hash, &fd, NULL), -EBADMSG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(store_blob_get(testing_store, &hash, &fd, NULL), -EBADMSG);
    assert_int_equal(rmdir(path), 0);
    hash = blob_put("will be damaged", 15);
    blob_expect(&hash, "will be damaged", 15);
}

static void
test_what_is_put_again_is_kept_and_counts_as_new(void **state)
{
    struct store_hash hash = blob_put("put again", 9);
    struct blob_list list = {.wanted = hash};
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct stat before, after;
    char path[256];

    (void)state;
    blob_path(&hash, path);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(stat(path, &before), 0);
    (void)blob_put("put again", 9);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_true(after.st_mtim.tv_sec > 1000);
    assert_int_equal(store_blob_list(testing_store, blob_list_add, &list, NULL), 0);
    assert_true(list.wanted_changed_ns > UINT64_C(1000) * CLOCK_NS_PER_SECOND);
    assert_int_equal(after.st_mode & 0777, 0444);
}

static void *
put_one(void *context)
{
    *(struct store_hash *)context = blob_put("meets", 5);
    return NULL;
}

/* Whichever is first: what a put has said 0 to is there. */
static void
test_a_put_meets_the_removal_of_what_is_old(void **state)
{
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct store_hash hash = blob_put("meets", 5), put;
    unsigned removed = 0;
    char path[256];

    (void)state;
    blob_path(&hash, path);
    for (unsigned i = 0; i < 500; i++) {
        pthread_t thread;

        assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
        assert_int_equal(pthread_create(&thread, NULL, put_one, &put), 0);
        for (unsigned k = 0; k < i % 50; k++)
            (void)sched_yield();
        removed += store_blob_remove_old(testing_store, &hash, UINT64_C(2000) * CLOCK_NS_PER_SECOND,
                                         NULL) == 0;
        assert_int_equal(pthread_join(thread, NULL), 0);
        blob_expect(&hash, "meets", 5);
    }
    assert_true(removed > 0);
}

/* ----------------------------------------------------------------------------- crashes */

static void
test_killed_at_random_it_keeps_what_it_answered(void **state)
{
    char own[64], own_address[80], left[256];
    struct store_config own_config;
    uint64_t first = 1;

    (void)state;
    begin(own, own_address, &own_config);
    for (int round = 0; round < 8; round++) {
        uint64_t committed[CRASH_THREADS] = {0}, put[CRASH_THREADS] = {0};
        struct store *store;

        crash_once(&own_config, first, 1 + testing_random() % 400, committed, put);
        store = testing_open(&own_config);
        crash_check_records(store, committed);
        crash_check_blobs(store, first, put);
        crash_check_all_blobs(store);
        store_close(store);
        (void)snprintf(left, sizeof(left), "%s/blobs/new", own);
        assert_int_equal(rmdir(left), -1); /* holds its lock alone */
        first += 1000000;
    }
    testing_remove(own);
}

static void
test_what_a_crash_left_over_is_collected_by_who_is_alone(void **state)
{
    char own[64], own_address[80], path[256];
    struct store_config own_config;
    struct store *store, *other;

    (void)state;
    begin(own, own_address, &own_config);
    store = testing_open(&own_config);
    (void)snprintf(path, sizeof(path), "%s/blobs/new/17-abc", own);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    own_config.records = NULL;
    other = testing_open(&own_config); /* store may be writing it */
    assert_int_equal(access(path, F_OK), 0);
    store_close(other);
    store_close(store);
    store = testing_open(&own_config);
    assert_int_equal(access(path, F_OK), -1);
    store_close(store);
    testing_remove(own);
}

/* As if the machine had been started since: what was not durable is not trusted. */
static void
test_records_that_were_not_synced_do_not_outlive_the_machine(void **state)
{
    char own[64], own_address[80], path[256];
    struct store_config own_config;
    uint64_t committed[CRASH_THREADS] = {0}, put[CRASH_THREADS] = {0};
    struct store *store;
    int fd;

    (void)state;
    begin(own, own_address, &own_config);
    own_config.blobs = NULL;
    own_config.is_durable = false;
    crash_once(&own_config, 1, 50, committed, put);
    (void)snprintf(path, sizeof(path), "%s/records/unsynced", own);
    assert_int_equal(access(path, F_OK), 0);
    own_config.is_durable = true;
    store = testing_open(&own_config); /* the same boot: all is there, and is synced now */
    crash_check_records(store, committed);
    assert_int_equal(access(path, F_OK), -1);
    store_close(store);

    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "another boot\n", 13), 13);
    (void)close(fd);
    testing_open_fails(&own_config, -EBADMSG, "machine stopped");
    own_config.is_durable = false;
    testing_open_fails(&own_config, -EBADMSG, "machine stopped");
    testing_remove(own);
}

/* ------------------------------------------------------------------------------ faults */

static void
test_a_failed_write_or_sync_changes_nothing(void **state)
{
    char own[64], own_address[80];
    struct store_config own_config;
    struct store_change changes[2] = {testing_put("fault", "a", "2"),
                                      testing_put("fault", "b", "2")};
    struct store *store;
    uint64_t version = 5;
    struct diag diag;

    (void)state;
    diag_init(&diag);
    begin(own, own_address, &own_config);
    store = testing_open(&own_config);
    (void)testing_commit(store, testing_put("fault", "a", "1"));
    for (unsigned nth = 1; nth <= 2; nth++) {
        fault_arm("store.lmdb.put", nth, -EIO);
        assert_int_equal(store_commit(store, changes, 2, &version, NULL, NULL), -EIO);
        assert_true(fault_disarm());
        testing_expect(store, "fault", "a", "1");
        testing_expect(store, "fault", "b", NULL);
    }
    fault_arm("store.lmdb.commit", 1, -EIO);
    assert_int_equal(store_commit(store, changes, 2, &version, NULL, NULL), -EIO);
    assert_true(fault_disarm());
    fault_arm("store.lmdb.sync", 1, -EIO);
    assert_int_equal(store_commit(store, changes, 2, &version, NULL, &diag), -EIO);
    assert_true(fault_disarm());
    assert_true(diag.is_set);
    assert_int_equal(version, 5);
    testing_expect(store, "fault", "a", "1");
    testing_expect(store, "fault", "b", NULL);
    assert_int_equal(store_commit(store, changes, 2, &version, NULL, NULL), 0);
    testing_expect(store, "fault", "b", "2");
    store_close(store);
    testing_remove(own);
}

static void
test_a_failed_put_leaves_nothing(void **state)
{
    static const char *const points[] = {"store.blob.write", "store.blob.sync", "store.blob.rename",
                                         "store.spool"};
    struct store_hash hash, untouched = {{1}};
    char path[200], left[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        hash = untouched;
        fault_arm(points[i], 1, -EIO);
        assert_int_equal(store_blob_put_bytes(testing_store, "faulty", 6, &hash, NULL), -EIO);
        assert_true(fault_disarm());
        assert_memory_equal(&hash, &untouched, sizeof(hash));
        (void)snprintf(path, sizeof(path), "%s/deep/er/blobs/new", directory);
        (void)snprintf(left, sizeof(left), "test $(ls %s | wc -l) = 1", path);
        assert_int_equal(testing_shell(left), 0);
    }
    /* The directory's sync fails: it has its name, and may not outlive the machine. */
    fault_arm("store.dir.sync", 1, -EIO);
    assert_int_equal(store_blob_put_bytes(testing_store, "faulty", 6, &hash, NULL), -EIO);
    assert_true(fault_disarm());
    hash = blob_put("faulty", 6);
    blob_expect(&hash, "faulty", 6);
}

static void
test_opening_that_fails_can_be_tried_again(void **state)
{
    char own[64], own_address[80];
    struct store_config own_config;
    struct store *store = NULL;
    unsigned failures = 0;
    struct diag diag;
    int err;

    (void)state;
    begin(own, own_address, &own_config);
    for (unsigned nth = 1; store == NULL; nth++) {
        diag_init(&diag);
        fault_arm("store.dir.sync", nth, -EIO);
        err = store_open(&own_config, &store, &diag);
        assert_int_equal(err, store == NULL ? -EIO : 0);
        assert_int_equal(diag.is_set, store == NULL);
        failures += store == NULL;
        assert_int_equal(fault_disarm(), store == NULL);
    }
    assert_true(failures >= 3);
    store_close(store);
    testing_remove(own);
}

/* --------------------------------------------------------------------------- full disk */

static void
fill(struct store *store, const char *table, int *err)
{
    char *value = calloc(1, 100000);
    struct store_change change = {.value = value, .count = 100000};
    char key[16];

    *err = 0;
    for (unsigned i = 0; *err == 0 && i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "%u", i);
        change.key = testing_key(table, key);
        *err = store_commit(store, &change, 1, NULL, NULL, NULL);
    }
    free(value);
}

static void
test_records_that_fill_their_map_are_refused_and_room_can_be_made(void **state)
{
    const struct store_range all = {.table = "full"};
    struct store_change removal = {.is_removal = true};
    char own[64], own_address[80], key[16];
    struct store_config own_config;
    unsigned count = 0;
    struct store *store;
    int err;

    (void)state;
    begin(own, own_address, &own_config);
    own_config.bytes_max = 4 << 20;
    store = testing_open(&own_config);
    (void)testing_commit(store, testing_put("small", "key", "1"));
    fill(store, "full", &err);
    assert_int_equal(err, -ENOSPC);
    assert_int_equal(store_list(store, &all, count_records, &count, NULL), 0);
    assert_true(count > 10);
    testing_expect(store, "small", "key", "1");
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(key, sizeof(key), "%u", i);
        removal.key = testing_key("full", key);
        (void)testing_commit(store, removal);
    }
    (void)testing_commit(store, testing_put("small", "key", "2"));
    fill(store, "full", &err);
    assert_int_equal(err, -ENOSPC);
    store_close(store);

    own_config.bytes_max = 0;
    store = testing_open(&own_config);
    testing_expect(store, "small", "key", "2");
    (void)testing_commit(store, testing_put("small", "key", "3"));
    store_close(store);
    testing_remove(own);
}

/* In a mount namespace of its own; tells by its exit status. */
static void
run_on_full_disk(const char *own, const struct store_config *own_config)
{
    struct store *store;
    struct store_hash hash;
    uint8_t *big = calloc(1, 8 << 20);
    int err;

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", own, "tmpfs", 0, "size=4m") != 0)
        _exit(TESTING_SKIPPED);
    if (store_open(own_config, &store, NULL) != 0)
        _exit(2);
    if (store_blob_put_bytes(store, big, 8 << 20, &hash, NULL) != -ENOSPC)
        _exit(3);
    if (store_blob_put_bytes(store, big, 100, &hash, NULL) != 0)
        _exit(4);
    fill(store, "full", &err);
    if (err != -ENOSPC)
        _exit(5);
    /* Reading goes on, and what is small may still find room once something goes. */
    if (store_blob_remove(store, &hash, NULL) != 0)
        _exit(6);
    store_close(store);
    if (store_open(own_config, &store, NULL) != 0)
        _exit(7);
    if (store_get(store, &(struct store_key){.table = "full", .bytes = "0", .count = 1},
                  &(struct buffer){0}, NULL, NULL) != 0)
        _exit(8);
    store_close(store);
    _exit(0);
}

static void
test_a_full_disk_is_said_and_nothing_is_lost(void **state)
{
    char own[64], own_address[80];
    struct store_config own_config;
    int status;
    pid_t pid;

    (void)state;
    begin(own, own_address, &own_config);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_on_full_disk(own, &own_config);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    testing_remove(own);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == TESTING_SKIPPED) {
        print_message("no mount namespace here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RECORDS_TESTS,
        BLOBS_TESTS,
        cmocka_unit_test(test_all_is_there_after_closing_and_opening),
        cmocka_unit_test(test_one_process_at_a_time_has_the_records),
        cmocka_unit_test(test_several_have_the_blobs),
        cmocka_unit_test(test_addresses_that_are_no_directories_are_refused),
        cmocka_unit_test(test_a_damaged_blob_is_not_handed_out_and_a_put_mends_it),
        cmocka_unit_test(test_what_is_put_again_is_kept_and_counts_as_new),
        cmocka_unit_test(test_a_put_meets_the_removal_of_what_is_old),
        cmocka_unit_test(test_killed_at_random_it_keeps_what_it_answered),
        cmocka_unit_test(test_what_a_crash_left_over_is_collected_by_who_is_alone),
        cmocka_unit_test(test_records_that_were_not_synced_do_not_outlive_the_machine),
        cmocka_unit_test(test_a_failed_write_or_sync_changes_nothing),
        cmocka_unit_test(test_a_failed_put_leaves_nothing),
        cmocka_unit_test(test_opening_that_fails_can_be_tried_again),
        cmocka_unit_test(test_records_that_fill_their_map_are_refused_and_room_can_be_made),
        cmocka_unit_test(test_a_full_disk_is_said_and_nothing_is_lost),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
