/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine stops. This program stands between the store and the kernel: it sees every
 * write and sync of one file, and keeps what a disk is sure to hold (what was synced) apart
 * from what it may hold (each sector written since, in any choice). At moments of its own
 * it writes down what a disk could hold then, and what had been answered; afterwards all
 * of these are opened. Of blobs it sees the order of syncs and renames.
 */
#include "store/crash_testing.h"

#include <sys/syscall.h>
#include <sys/uio.h>

#define DISK_BYTES   (8u << 20)
#define SECTOR       512u
#define PENDING_MAX  4096u
#define CRASHES_MAX  160u
#define CRASH_ONE_OF 4u
#define COMMITS      60u
#define EVENTS_MAX   64u

struct pending {
    size_t at, count;
    uint8_t *bytes; /* owned */
};

static struct {
    pthread_mutex_t mutex;
    char path[128]; /* of the file that is watched; "": none */
    uint8_t disk[DISK_BYTES];
    size_t disk_bytes; /* where the last write ended */
    struct pending pending[PENDING_MAX];
    size_t pending_count;

    atomic_uint_fast64_t committed[CRASH_THREADS];
    char directory[64]; /* of the crashes */
    uint64_t crashes[CRASHES_MAX][CRASH_THREADS];
    size_t crash_count;

    bool has_events;
    char events[EVENTS_MAX][160];
    size_t event_count;
} power = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* -------------------------------------------------------------------------- the disk */

static void
apply(uint8_t *disk, size_t at, const uint8_t *bytes, size_t count)
{
    if (at + count > DISK_BYTES)
        abort();
    memcpy(disk + at, bytes, count);
}

static void
write_whole(const char *path, const uint8_t *bytes, size_t count)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    for (size_t done = 0; done < count;) {
        long now = syscall(SYS_write, fd, bytes + done, count - done);

        if (now <= 0)
            abort();
        done += (size_t)now;
    }
    (void)close(fd);
}

/* What the disk could hold now, into a directory of its own. */
static void
crash(void)
{
    static uint8_t disk[DISK_BYTES];
    char path[128];

    for (size_t i = 0; i < CRASH_THREADS; i++)
        power.crashes[power.crash_count][i] = atomic_load(&power.committed[i]);
    memcpy(disk, power.disk, DISK_BYTES);
    for (size_t i = 0; i < power.pending_count; i++) {
        const struct pending *pending = &power.pending[i];
        uint64_t kind = testing_random() % 3; /* lost, there, some sectors of it */

        for (size_t at = 0; at < pending->count && kind > 0; at += SECTOR) {
            size_t count = pending->count - at < SECTOR ? pending->count - at : SECTOR;

            if (kind == 1 || testing_random() % 2 == 0)
                apply(disk, pending->at + at, pending->bytes + at, count);
        }
    }
    (void)snprintf(path, sizeof(path), "%.40s/%zu", power.directory, power.crash_count);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%.40s/%zu/records", power.directory, power.crash_count);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%.40s/%zu/records/data.mdb", power.directory,
                   power.crash_count);
    write_whole(path, disk, power.disk_bytes);
    power.crash_count++;
}

static bool
is_watched(int fd)
{
    char name[32], path[sizeof(power.path)];
    ssize_t count;

    if (power.path[0] == '\0')
        return false;
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    count = readlink(name, path, sizeof(path) - 1);
    if (count < 0)
        return false;
    path[count] = '\0';
    return strcmp(path, power.path) == 0;
}

static void
sync_all(void)
{
    for (size_t i = 0; i < power.pending_count; i++) {
        apply(power.disk, power.pending[i].at, power.pending[i].bytes, power.pending[i].count);
        free(power.pending[i].bytes);
    }
    power.pending_count = 0;
}

static void
maybe_crash(void)
{
    if (power.crash_count < CRASHES_MAX && testing_random() % CRASH_ONE_OF == 0)
        crash();
}

/* Before the kernel sees it: it may get lost on the way, wholly or in part. */
static void
on_write(int fd, const void *bytes, size_t count, size_t at)
{
    struct pending *pending;

    (void)pthread_mutex_lock(&power.mutex);
    if (power.pending_count == PENDING_MAX)
        abort();
    pending = &power.pending[power.pending_count++];
    *pending = (struct pending){.at = at, .count = count, .bytes = malloc(count)};
    memcpy(pending->bytes, bytes, count);
    if (at + count > power.disk_bytes)
        power.disk_bytes = at + count;
    maybe_crash();
    /* Such a write is synced when it returns, and the others are not for that. */
    if ((fcntl(fd, F_GETFL) & O_DSYNC) != 0) {
        apply(power.disk, at, pending->bytes, count);
        free(pending->bytes);
        power.pending_count--;
    }
    (void)pthread_mutex_unlock(&power.mutex);
}

static void
on_sync(int fd)
{
    (void)pthread_mutex_lock(&power.mutex);
    if (is_watched(fd)) {
        maybe_crash();
        sync_all();
        maybe_crash();
    }
    (void)pthread_mutex_unlock(&power.mutex);
}

/* ----------------------------------------------------- in the place of the C library's */

static void
event(const char *what, const char *path)
{
    (void)pthread_mutex_lock(&power.mutex);
    if (power.has_events && power.event_count < EVENTS_MAX)
        (void)snprintf(power.events[power.event_count++], sizeof(power.events[0]), "%s %s", what,
                       path);
    (void)pthread_mutex_unlock(&power.mutex);
}

static void
event_fd(const char *what, int fd)
{
    char name[32], path[140];
    ssize_t count;

    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    count = readlink(name, path, sizeof(path) - 1);
    path[count < 0 ? 0 : count] = '\0';
    event(what, path);
}

ssize_t
write(int fd, const void *bytes, size_t count)
{
    if (is_watched(fd))
        on_write(fd, bytes, count, (size_t)lseek(fd, 0, SEEK_CUR));
    return syscall(SYS_write, fd, bytes, count);
}

ssize_t
pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    if (is_watched(fd))
        on_write(fd, bytes, count, (size_t)at);
    return syscall(SYS_pwrite64, fd, bytes, count, at);
}

ssize_t
writev(int fd, const struct iovec *parts, int count)
{
    size_t at = (size_t)lseek(fd, 0, SEEK_CUR);

    for (int i = 0; i < count && is_watched(fd); i++) {
        on_write(fd, parts[i].iov_base, parts[i].iov_len, at);
        at += parts[i].iov_len;
    }
    return syscall(SYS_writev, fd, parts, count);
}

int
fdatasync(int fd)
{
    int result = (int)syscall(SYS_fdatasync, fd);

    on_sync(fd);
    return result;
}

int
fsync(int fd)
{
    int result = (int)syscall(SYS_fsync, fd);

    on_sync(fd);
    event_fd("sync", fd);
    return result;
}

int
rename(const char *from, const char *to)
{
    event("name", to);
    return (int)syscall(SYS_rename, from, to);
}

/* ------------------------------------------------------------------------------ tests */

static void *
commit_run(void *context)
{
    struct crash_worker *worker = context;

    for (uint64_t number = 1; number <= COMMITS; number++) {
        if (crash_commit(worker, number) != 0)
            abort();
        atomic_store(&power.committed[worker->thread], number);
    }
    return NULL;
}

static void
commit_all(struct store *store)
{
    struct crash_worker workers[CRASH_THREADS];
    pthread_t threads[CRASH_THREADS];

    for (uint32_t i = 0; i < CRASH_THREADS; i++) {
        workers[i] = (struct crash_worker){.store = store, .thread = i};
        assert_int_equal(pthread_create(&threads[i], NULL, commit_run, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < CRASH_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void
begin_watch(const char *own)
{
    struct buffer file = {0};
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/records/data.mdb", own);
    assert_int_equal(file_read_all(path, DISK_BYTES, &file, NULL), 0);
    memcpy(power.disk, file.bytes, file.count);
    power.disk_bytes = file.count;
    buffer_fini(&file);
    (void)snprintf(power.path, sizeof(power.path), "%s", path);
}

static void
test_records_outlive_the_machine_whatever_the_disk_kept(void **state)
{
    char own[64], address[80];
    struct store_config config = {.records = address, .is_durable = true};
    struct store *store;

    (void)state;
    testing_directory(own);
    testing_directory(power.directory);
    (void)snprintf(address, sizeof(address), "dir:%s", own);
    store_close(testing_open(&config)); /* makes the file, durably */
    begin_watch(own);
    store = testing_open(&config);
    commit_all(store);
    store_close(store);
    power.path[0] = '\0';
    sync_all();
    assert_true(power.crash_count > 40);
    for (size_t i = 0; i < power.crash_count; i++) {
        (void)snprintf(address, sizeof(address), "dir:%.40s/%zu", power.directory, i);
        store = testing_open(&config);
        crash_check_records(store, power.crashes[i]);
        store_close(store);
    }
    print_message("%zu crashes\n", power.crash_count);
    testing_remove(power.directory);
    testing_remove(own);
}

/* Where the event that ends so is, from a place on. */
static size_t
find_event(const char *what, const char *end, size_t from)
{
    for (size_t i = from; i < power.event_count; i++)
        if (strncmp(power.events[i], what, strlen(what)) == 0 &&
            strstr(power.events[i], end) != NULL)
            return i;
    fail_msg("no %s of %s", what, end);
    return 0;
}

static void
test_a_blob_is_synced_before_its_name_and_its_directory_after(void **state)
{
    char own[64], address[80];
    struct store_config config = {.blobs = address, .is_durable = true};
    struct store *store;
    struct store_hash hash;
    size_t content, name;

    (void)state;
    testing_directory(own);
    (void)snprintf(address, sizeof(address), "dir:%s", own);
    store = testing_open(&config);
    power.has_events = true;
    assert_int_equal(store_blob_put_bytes(store, "abc", 3, &hash, NULL), 0);
    content = find_event("sync", "/blobs/new/", 0);
    name = find_event("name", "/blobs/ba/7816bf", content);
    (void)find_event("sync", "/blobs/ba", name);
    /* Again: who put it first may not have come so far. */
    power.event_count = 0;
    assert_int_equal(store_blob_put_bytes(store, "abc", 3, &hash, NULL), 0);
    content = find_event("sync", "/blobs/ba/7816bf", 0);
    (void)find_event("sync", "/blobs/ba", content + 1);
    power.has_events = false;
    store_close(store);
    testing_remove(own);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_outlive_the_machine_whatever_the_disk_kept),
        cmocka_unit_test(test_a_blob_is_synced_before_its_name_and_its_directory_after),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
