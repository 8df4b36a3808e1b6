/* SPDX-License-Identifier: Apache-2.0
 *
 * Records in a directory: LMDB, one tree of all tables.
 *
 *   table 0 key    ->  version (8 bytes, little-endian) value
 *   0 "version"    ->  the last version given out
 *
 * Claim: a commit that was answered with 0 is in the file, and on the disk if durable;
 * one that was not is there whole or not at all.
 *
 * Argument: threads that commit at the same time wait in a queue. The first becomes the
 * leader, takes what is waiting, tries it all, one after the other, in one transaction of
 * LMDB, and commits that; the others wait for its answer. So they share one sync, and LMDB
 * itself orders it: data pages, fdatasync, then the page that names the new root, written
 * with O_DSYNC. (MDB_NOSYNC with a later mdb_env_sync would be quicker to write and wrong:
 * a later transaction may reuse pages of the last state on disk before it is replaced
 * there, and a crash of the machine then loses all of it, not only the last commits.)
 * Readers see only what has been synced, too.
 *
 * Where writing or syncing the data pages fails, LMDB drops the transaction: what the disk
 * has of it are pages that nothing refers to, the next transaction writes its own anew, and
 * all earlier ones had been synced before they were answered. So later commits may go on.
 * Where the page of the root fails, it is unknown which root the disk has; LMDB refuses all
 * later commits (MDB_PANIC) until the store is opened again, and finds the one or the other.
 *
 * Not durable, there is no sync at all, and the file `unsynced` says in which boot of the
 * machine that was: found after another boot, the records are refused.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "store/store_internal.h"

#define READERS_MAX      1024u
#define IDLE_READERS_MAX 64u
#define BATCH_MAX        256u
#define BATCH_BYTES_MAX  (64u << 20)
#define COMPANY_PART     8u
#define COMPANY_NS_MIN   1000000u /* a disk that is quicker needs no company */
#define FULL_BYTES       (1u << 20)
#define VERSION_BYTES    sizeof(uint64_t)
#define PATH_BYTES       (STORE_PATH_BYTES_MAX + 64)

static const char counter_key[] = "\0version";

struct lmdb_request {
    const struct store_change *changes;
    size_t count;
    uint64_t version;
    size_t failed;
    int err;
    bool is_done;
    struct diag *diag;
    struct lmdb_request *next;
};

struct lmdb {
    MDB_env *env;
    MDB_dbi tree;
    int lock_fd;
    bool is_durable;
    char path[PATH_BYTES]; /* of the directory of records */

    pthread_mutex_t mutex;
    pthread_cond_t is_answered;
    struct lmdb_request *waiting, **waiting_end; /* GUARDED_BY mutex */
    bool has_leader;                             /* GUARDED_BY mutex */
    size_t waiting_count;                        /* GUARDED_BY mutex */
    pthread_cond_t is_joined;                    /* somebody has come while a leader waits */
    size_t last_count;                           /* of the last batch; GUARDED_BY mutex */
    uint64_t last_ns;                            /* how long it took; GUARDED_BY mutex */

    pthread_mutex_t readers_mutex;
    MDB_txn *readers[IDLE_READERS_MAX]; /* GUARDED_BY readers_mutex: reset, to be renewed */
    size_t reader_count;                /* GUARDED_BY readers_mutex */
};

struct lmdb_key {
    char bytes[STORE_TABLE_BYTES_MAX + 1 + STORE_KEY_BYTES_MAX];
    size_t count;
};

static int
err_of(int result)
{
    switch (result) {
    case MDB_SUCCESS:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return -ENOSPC;
    case MDB_READERS_FULL:
        return -EMFILE;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return -EBADMSG;
    default:
        return result > 0 ? -result : -EIO;
    }
}

static int
report(const struct lmdb *lmdb, int result, const char *what, struct diag *diag)
{
    int err = err_of(result);

    if (result == MDB_READERS_FULL)
        return diag_set(diag, err, "%s: more than %u reads at once", lmdb->path, READERS_MAX);
    if (result == MDB_MAP_FULL)
        return diag_set(diag, err, "%s: cannot %s: the records fill bytes_max; raise it",
                        lmdb->path, what);
    if (result == MDB_PANIC)
        return diag_set(diag, err, "%s: cannot %s: writing has failed before; open it again",
                        lmdb->path, what);
    return diag_set(diag, err, "%s: cannot %s: %s", lmdb->path, what, mdb_strerror(result));
}

static void
make_key(struct lmdb_key *out, const char *table, const void *bytes, size_t count)
{
    size_t table_count = strlen(table);

    ASSERT(table_count <= STORE_TABLE_BYTES_MAX && count <= STORE_KEY_BYTES_MAX);
    memcpy(out->bytes, table, table_count);
    out->bytes[table_count] = '\0';
    if (count > 0)
        memcpy(out->bytes + table_count + 1, bytes, count);
    out->count = table_count + 1 + count;
}

static int
find(const struct lmdb *lmdb, MDB_txn *txn, const struct lmdb_key *key, MDB_val *value)
{
    MDB_val name = {.mv_size = key->count, .mv_data = (void *)(uintptr_t)key->bytes};
    int result = mdb_get(txn, lmdb->tree, &name, value);

    if (result == MDB_SUCCESS && value->mv_size < VERSION_BYTES)
        return MDB_CORRUPTED;
    return result;
}

static uint64_t
version_of(const MDB_val *value)
{
    uint64_t version;

    memcpy(&version, value->mv_data, sizeof(version));
    return le64toh(version);
}

/* -------------------------------------------------------------------------- readers */

static int
reader_take(struct lmdb *lmdb, MDB_txn **out, struct diag *diag)
{
    MDB_txn *txn = NULL;
    int result;

    (void)pthread_mutex_lock(&lmdb->readers_mutex);
    if (lmdb->reader_count > 0)
        txn = lmdb->readers[--lmdb->reader_count];
    (void)pthread_mutex_unlock(&lmdb->readers_mutex);
    if (txn != NULL) {
        result = mdb_txn_renew(txn);
        if (result != MDB_SUCCESS)
            mdb_txn_abort(txn);
    } else {
        result = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &txn);
    }
    if (result != MDB_SUCCESS)
        return report(lmdb, result, "read", diag);
    *out = txn;
    return 0;
}

static void
reader_give(struct lmdb *lmdb, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    (void)pthread_mutex_lock(&lmdb->readers_mutex);
    if (lmdb->reader_count < IDLE_READERS_MAX) {
        lmdb->readers[lmdb->reader_count++] = txn;
        txn = NULL;
    }
    (void)pthread_mutex_unlock(&lmdb->readers_mutex);
    if (txn != NULL)
        mdb_txn_abort(txn);
}

static int
lmdb_get(void *self, const struct store_key *key, struct buffer *out, uint64_t *version,
         struct diag *diag)
{
    struct lmdb *lmdb = self;
    struct lmdb_key name;
    MDB_val value;
    MDB_txn *txn;
    int err = reader_take(lmdb, &txn, diag);
    int result;

    if (err != 0)
        return err;
    make_key(&name, key->table, key->bytes, key->count);
    result = find(lmdb, txn, &name, &value);
    if (result == MDB_SUCCESS) {
        buffer_append(out, (uint8_t *)value.mv_data + VERSION_BYTES, value.mv_size - VERSION_BYTES);
        err = out->err;
        if (err == 0 && version != NULL)
            *version = version_of(&value);
    } else {
        err = result == MDB_NOTFOUND ? -ENOENT : report(lmdb, result, "read", diag);
    }
    reader_give(lmdb, txn);
    return err;
}

/* Tells the record at the cursor: 1, or 0 after the last of the range or when visit has
 * had enough, or -EBADMSG. */
static int
tell(const struct store_range *range, const MDB_val *name, const MDB_val *value,
     store_visit_fn visit, void *context)
{
    size_t table_count = strlen(range->table) + 1;
    struct store_record record;

    if (name->mv_size <= table_count || memcmp(name->mv_data, range->table, table_count) != 0)
        return 0;
    record.key = (const char *)name->mv_data + table_count;
    record.key_count = name->mv_size - table_count;
    if (record.key_count < range->prefix_count ||
        (range->prefix_count > 0 && memcmp(record.key, range->prefix, range->prefix_count) != 0))
        return 0;
    if (value->mv_size < VERSION_BYTES)
        return -EBADMSG;
    record.value = (const char *)value->mv_data + VERSION_BYTES;
    record.value_count = value->mv_size - VERSION_BYTES;
    record.version = version_of(value);
    return visit(context, &record) ? 1 : 0;
}

/* Where the range begins: `after` where that is beyond the prefix, else the prefix. */
static bool
is_after_first(const struct store_range *range)
{
    size_t common = range->after_count;
    int order;

    if (range->after == NULL)
        return false;
    if (common > range->prefix_count)
        common = range->prefix_count;
    order = common == 0 ? 0 : memcmp(range->after, range->prefix, common);
    return order > 0 || (order == 0 && range->after_count >= range->prefix_count);
}

static int
walk(MDB_cursor *cursor, const struct store_range *range, store_visit_fn visit, void *context)
{
    bool is_after = is_after_first(range);
    struct lmdb_key first;
    MDB_val name, value;
    uint32_t told = 0;
    int result, err;

    make_key(&first, range->table, is_after ? range->after : range->prefix,
             is_after ? range->after_count : range->prefix_count);
    name = (MDB_val){.mv_size = first.count, .mv_data = first.bytes};
    result = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
    if (is_after && result == MDB_SUCCESS && name.mv_size == first.count &&
        memcmp(name.mv_data, first.bytes, first.count) == 0)
        result = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    while (result == MDB_SUCCESS) {
        err = tell(range, &name, &value, visit, context);
        if (err <= 0)
            return err == 0 ? MDB_SUCCESS : MDB_CORRUPTED;
        if (++told == range->count_max)
            return MDB_SUCCESS;
        result = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    }
    return result == MDB_NOTFOUND ? MDB_SUCCESS : result;
}

static int
lmdb_list(void *self, const struct store_range *range, store_visit_fn visit, void *context,
          struct diag *diag)
{
    struct lmdb *lmdb = self;
    MDB_cursor *cursor;
    MDB_txn *txn;
    int err = reader_take(lmdb, &txn, diag);
    int result;

    if (err != 0)
        return err;
    result = mdb_cursor_open(txn, lmdb->tree, &cursor);
    if (result == MDB_SUCCESS) {
        result = walk(cursor, range, visit, context);
        mdb_cursor_close(cursor);
    }
    reader_give(lmdb, txn);
    return result == MDB_SUCCESS ? 0 : report(lmdb, result, "list", diag);
}

/* -------------------------------------------------------------------------- commits */

/* -EAGAIN: a condition does not hold, and nothing is to be done. */
static int
check_conditions(struct lmdb *lmdb, MDB_txn *txn, struct lmdb_request *request, struct diag *diag)
{
    for (size_t i = 0; i < request->count; i++) {
        const struct store_change *change = &request->changes[i];
        struct lmdb_key key;
        MDB_val value;
        int result;
        bool holds;

        if (change->condition == STORE_ANY)
            continue;
        make_key(&key, change->key.table, change->key.bytes, change->key.count);
        result = find(lmdb, txn, &key, &value);
        if (result != MDB_SUCCESS && result != MDB_NOTFOUND)
            return report(lmdb, result, "read", diag);
        holds = change->condition == STORE_ABSENT
                    ? result == MDB_NOTFOUND
                    : result == MDB_SUCCESS && version_of(&value) == change->version;
        if (!holds) {
            request->failed = i;
            return -EAGAIN;
        }
    }
    return 0;
}

static int
put_value(struct lmdb *lmdb, MDB_txn *txn, const struct lmdb_key *key, uint64_t version,
          const struct store_change *change)
{
    MDB_val name = {.mv_size = key->count, .mv_data = (void *)(uintptr_t)key->bytes};
    MDB_val value = {.mv_size = VERSION_BYTES + (change == NULL ? 0 : change->count)};
    int result;

    result = mdb_put(txn, lmdb->tree, &name, &value, MDB_RESERVE);
    if (result != MDB_SUCCESS)
        return result;
    version = htole64(version);
    memcpy(value.mv_data, &version, sizeof(version));
    if (change != NULL && change->count > 0)
        memcpy((uint8_t *)value.mv_data + VERSION_BYTES, change->value, change->count);
    return MDB_SUCCESS;
}

static int
apply_change(struct lmdb *lmdb, MDB_txn *txn, const struct store_change *change, uint64_t version)
{
    struct lmdb_key key;
    MDB_val name;
    int result;

    make_key(&key, change->key.table, change->key.bytes, change->key.count);
    if (change->value != NULL)
        return put_value(lmdb, txn, &key, version, change);
    if (!change->is_removal)
        return MDB_SUCCESS;
    name = (MDB_val){.mv_size = key.count, .mv_data = key.bytes};
    result = mdb_del(txn, lmdb->tree, &name, NULL);
    return result == MDB_NOTFOUND ? MDB_SUCCESS : result;
}

/* Sets request->err. What it returns ends the whole transaction. */
static int
apply_request(struct lmdb *lmdb, MDB_txn *txn, struct lmdb_request *request, uint64_t *counter,
              struct diag *diag)
{
    int result;

    request->err = check_conditions(lmdb, txn, request, diag);
    if (request->err != 0)
        return request->err == -EAGAIN ? 0 : request->err;
    request->version = ++*counter;
    for (size_t i = 0; i < request->count; i++) {
        int err = fault_point("store.lmdb.put");

        result = err != 0 ? -err : apply_change(lmdb, txn, &request->changes[i], request->version);
        if (result != MDB_SUCCESS)
            return report(lmdb, result, "write", diag);
    }
    return 0;
}

static int
counter_read(struct lmdb *lmdb, MDB_txn *txn, uint64_t *counter)
{
    struct lmdb_key key = {.count = sizeof(counter_key) - 1};
    MDB_val value;
    int result;

    memcpy(key.bytes, counter_key, key.count);
    result = find(lmdb, txn, &key, &value);
    *counter = result == MDB_SUCCESS ? version_of(&value) : 0;
    return result == MDB_NOTFOUND ? MDB_SUCCESS : result;
}

static int
counter_write(struct lmdb *lmdb, MDB_txn *txn, uint64_t counter)
{
    struct lmdb_key key = {.count = sizeof(counter_key) - 1};

    memcpy(key.bytes, counter_key, key.count);
    return put_value(lmdb, txn, &key, counter, NULL);
}

/* LMDB says EIO where the disk took a part of a write. */
static bool
is_full(const struct lmdb *lmdb)
{
    struct statvfs info;

    return statvfs(lmdb->path, &info) == 0 && info.f_bavail * info.f_frsize < FULL_BYTES;
}

static int
finish_batch(struct lmdb *lmdb, MDB_txn *txn, uint64_t counter, struct diag *diag)
{
    int err = fault_point("store.lmdb.commit");
    int result = err != 0 ? -err : counter_write(lmdb, txn, counter);

    if (result != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return report(lmdb, result, "write", diag);
    }
    err = fault_point("store.lmdb.sync");
    if (err == 0) {
        result = mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
        result = -err;
    }
    if (result == MDB_SUCCESS)
        return 0;
    if (result == EIO && is_full(lmdb))
        result = ENOSPC;
    return report(lmdb, result, "commit", diag);
}

/* Runs what is in the batch in one transaction: 0, and each has its answer; or an error
 * that is everybody's, and none of it has happened. */
static int
run_together(struct lmdb *lmdb, struct lmdb_request *batch, struct diag *diag)
{
    uint64_t counter, first;
    MDB_txn *txn;
    int err = 0;
    int result = mdb_txn_begin(lmdb->env, NULL, 0, &txn);

    if (result != MDB_SUCCESS)
        return report(lmdb, result, "begin to write", diag);
    result = counter_read(lmdb, txn, &counter);
    if (result != MDB_SUCCESS)
        err = report(lmdb, result, "read", diag);
    first = counter;
    for (struct lmdb_request *request = batch; request != NULL && err == 0; request = request->next)
        err = apply_request(lmdb, txn, request, &counter, diag);
    if (err == 0 && counter != first)
        return finish_batch(lmdb, txn, counter, diag);
    mdb_txn_abort(txn);
    return err;
}

static void
run_batch(struct lmdb *lmdb, struct lmdb_request *batch)
{
    struct diag diag;
    int err;

    diag_init(&diag);
    err = run_together(lmdb, batch, &diag);
    /* Only now: a batch that fails is run again, and no text stays after success. */
    for (struct lmdb_request *request = batch; request != NULL && err == 0; request = request->next)
        if (request->err == -EAGAIN)
            (void)diag_set(request->diag, -EAGAIN,
                           "table %s: condition %zu of the commit does not hold",
                           request->changes[request->failed].key.table, request->failed);
    if (err == 0)
        return;
    /* One that is too big for the room that is left does not take the others with it. */
    if (err == -ENOSPC && batch->next != NULL) {
        for (struct lmdb_request *request = batch, *next; request != NULL; request = next) {
            next = request->next;
            request->next = NULL;
            run_batch(lmdb, request);
            request->next = next;
        }
        return;
    }
    for (struct lmdb_request *request = batch; request != NULL; request = request->next)
        request->err = diag_set(request->diag, err, "%s", diag_text(&diag));
}

/* Cuts from the queue what one transaction takes. */
static struct lmdb_request *
take_batch(struct lmdb *lmdb)
{
    struct lmdb_request *batch = lmdb->waiting, *last = NULL;
    size_t count = 0, bytes = 0;

    for (struct lmdb_request *request = batch; request != NULL && count < BATCH_MAX;
         request = request->next) {
        for (size_t i = 0; i < request->count; i++)
            bytes += request->changes[i].count;
        if (bytes > BATCH_BYTES_MAX && last != NULL)
            break;
        last = request;
        count++;
    }
    ASSERT(last != NULL);
    lmdb->waiting_count -= count;
    lmdb->last_count = count;
    lmdb->waiting = last->next;
    if (last->next == NULL)
        lmdb->waiting_end = &lmdb->waiting;
    last->next = NULL;
    return batch;
}

/* Those whom the last batch answered are about to come back: without a pause the first of
 * them would sync alone, and the others wait for that. So the leader waits until as many
 * are there as in the last batch, but only a small part of what that took (measured: 1.2 to
 * 1.4 times the commits of 16 threads where a sync takes 4 ms; nothing where it is quick). */
static void
wait_for_company(struct lmdb *lmdb)
{
    uint64_t deadline_ns = clock_now_ns() + lmdb->last_ns / COMPANY_PART;
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_SECOND),
                                .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_SECOND)};
    int result = 0;

    if (lmdb->last_ns < COMPANY_NS_MIN)
        return;
    while (lmdb->waiting_count < lmdb->last_count && result == 0)
        result = pthread_cond_timedwait(&lmdb->is_joined, &lmdb->mutex, &deadline);
}

/* With the mutex, which is free while the batch runs. */
static void
lead(struct lmdb *lmdb)
{
    struct lmdb_request *batch;
    uint64_t start_ns;

    lmdb->has_leader = true;
    wait_for_company(lmdb);
    batch = take_batch(lmdb);
    (void)pthread_mutex_unlock(&lmdb->mutex);
    start_ns = clock_now_ns();
    run_batch(lmdb, batch);
    (void)pthread_mutex_lock(&lmdb->mutex);
    lmdb->last_ns = clock_now_ns() - start_ns;
    lmdb->has_leader = false;
    while (batch != NULL) {
        struct lmdb_request *next = batch->next;

        batch->is_done = true; /* and may be gone once the mutex is free */
        batch = next;
    }
    (void)pthread_cond_broadcast(&lmdb->is_answered);
}

static int
lmdb_commit(void *self, const struct store_change *changes, size_t count, uint64_t *version,
            size_t *failed, struct diag *diag)
{
    struct lmdb *lmdb = self;
    struct lmdb_request request = {.changes = changes, .count = count, .diag = diag};

    (void)pthread_mutex_lock(&lmdb->mutex);
    *lmdb->waiting_end = &request;
    lmdb->waiting_end = &request.next;
    lmdb->waiting_count++;
    (void)pthread_cond_signal(&lmdb->is_joined);
    while (!request.is_done)
        if (lmdb->has_leader)
            (void)pthread_cond_wait(&lmdb->is_answered, &lmdb->mutex);
        else
            lead(lmdb);
    (void)pthread_mutex_unlock(&lmdb->mutex);
    *version = request.version;
    *failed = request.failed;
    return request.err;
}

static int
lmdb_now(void *self, uint64_t *ns, struct diag *diag)
{
    struct timespec now;

    (void)self;
    (void)diag;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *ns = (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
    return 0;
}

/* --------------------------------------------------------------------- open and close */

static void
marker_path(const struct lmdb *lmdb, char out[PATH_BYTES + 16])
{
    (void)snprintf(out, PATH_BYTES + 16, "%s/unsynced", lmdb->path);
}

/* What an earlier process left unsynced is lost if the machine was started since. */
static int
marker_check(const struct lmdb *lmdb, struct diag *diag)
{
    char path[PATH_BYTES + 16];
    struct buffer then = {0}, now = {0};
    int err;

    marker_path(lmdb, path);
    if (access(path, F_OK) != 0)
        return errno == ENOENT ? 0 : -errno;
    err = file_read_all(path, 256, &then, diag);
    if (err == 0)
        err = file_read_all("/proc/sys/kernel/random/boot_id", 256, &now, diag);
    if (err == 0 && (then.count != now.count || memcmp(then.bytes, now.bytes, now.count) != 0))
        err = diag_set(diag, -EBADMSG,
                       "%s: the machine stopped while these records were not durable, and they "
                       "cannot be trusted; remove the directory to begin anew",
                       lmdb->path);
    buffer_fini(&then);
    buffer_fini(&now);
    return err;
}

static int
marker_write(const struct lmdb *lmdb, struct diag *diag)
{
    char path[PATH_BYTES + 16];
    struct buffer now = {0};
    int err;

    marker_path(lmdb, path);
    err = file_read_all("/proc/sys/kernel/random/boot_id", 256, &now, diag);
    if (err == 0)
        err = file_replace(path, now.bytes, now.count, diag);
    buffer_fini(&now);
    return err == 0 ? store_dir_sync(lmdb->path) : err;
}

/* All is on the disk now: nothing to be marked. */
static int
marker_clear(const struct lmdb *lmdb)
{
    char path[PATH_BYTES + 16];
    int result;

    marker_path(lmdb, path);
    if (access(path, F_OK) != 0)
        return 0;
    result = mdb_env_sync(lmdb->env, 1);
    if (result != MDB_SUCCESS)
        return err_of(result);
    if (unlink(path) != 0)
        return -errno;
    return store_dir_sync(lmdb->path);
}

static void
lmdb_close(void *self)
{
    struct lmdb *lmdb = self;

    ASSERT(lmdb->waiting == NULL && !lmdb->has_leader);
    for (size_t i = 0; i < lmdb->reader_count; i++)
        mdb_txn_abort(lmdb->readers[i]);
    if (lmdb->env != NULL) {
        if (!lmdb->is_durable)
            (void)marker_clear(lmdb);
        mdb_env_close(lmdb->env);
    }
    if (lmdb->lock_fd >= 0)
        (void)close(lmdb->lock_fd);
    (void)pthread_mutex_destroy(&lmdb->mutex);
    (void)pthread_mutex_destroy(&lmdb->readers_mutex);
    (void)pthread_cond_destroy(&lmdb->is_answered);
    (void)pthread_cond_destroy(&lmdb->is_joined);
    free(lmdb);
}

static int
open_tree(struct lmdb *lmdb)
{
    MDB_txn *txn;
    int result = mdb_txn_begin(lmdb->env, NULL, 0, &txn);

    if (result != MDB_SUCCESS)
        return result;
    result = mdb_dbi_open(txn, NULL, 0, &lmdb->tree);
    if (result == MDB_SUCCESS)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return result;
}

/* An empty file of LMDB, whole before it has its name: a crash in the first moments leaves
 * none, or one that can be opened. */
static int
make_file(const struct lmdb *lmdb, const char *path)
{
    char fresh[PATH_BYTES + 16], data[PATH_BYTES + 32];
    MDB_env *env;
    int result;

    (void)snprintf(fresh, sizeof(fresh), "%s/new", lmdb->path);
    (void)snprintf(data, sizeof(data), "%s/data.mdb", fresh);
    if (mkdir(fresh, 0700) != 0 && errno != EEXIST)
        return errno;
    if (unlink(data) != 0 && errno != ENOENT)
        return errno;
    result = mdb_env_create(&env);
    if (result != MDB_SUCCESS)
        return result;
    result = mdb_env_open(env, fresh, 0, 0600);
    if (result == MDB_SUCCESS)
        result = mdb_env_sync(env, 1);
    mdb_env_close(env);
    if (result == MDB_SUCCESS && rename(data, path) != 0)
        result = errno;
    if (result == MDB_SUCCESS)
        result = -store_dir_sync(lmdb->path);
    return result;
}

static int
make_file_once(const struct lmdb *lmdb)
{
    char path[PATH_BYTES + 16];

    (void)snprintf(path, sizeof(path), "%s/data.mdb", lmdb->path);
    if (access(path, F_OK) == 0)
        return MDB_SUCCESS;
    return errno == ENOENT ? make_file(lmdb, path) : errno;
}

/* The whole of bytes_max is address space from the start, so that nothing has to stop
 * for a map that grows; the file is as long as what was ever in it. */
static int
open_env(struct lmdb *lmdb, uint64_t bytes_max)
{
    unsigned flags = MDB_NOTLS | (lmdb->is_durable ? 0 : MDB_NOSYNC);
    long page = sysconf(_SC_PAGESIZE);
    int result = make_file_once(lmdb);

    if (result == MDB_SUCCESS)
        result = mdb_env_create(&lmdb->env);
    if (result != MDB_SUCCESS)
        return result;
    result = mdb_env_set_mapsize(lmdb->env, ROUND_UP((size_t)bytes_max, (size_t)page));
    if (result == MDB_SUCCESS)
        result = mdb_env_set_maxreaders(lmdb->env, READERS_MAX);
    if (result == MDB_SUCCESS)
        result = mdb_env_open(lmdb->env, lmdb->path, flags, 0600);
    if (result == MDB_SUCCESS &&
        (size_t)mdb_env_get_maxkeysize(lmdb->env) < STORE_TABLE_BYTES_MAX + 1 + STORE_KEY_BYTES_MAX)
        result = MDB_BAD_VALSIZE;
    return result == MDB_SUCCESS ? open_tree(lmdb) : result;
}

static int
open_all(struct lmdb *lmdb, const struct store_config *config, struct diag *diag)
{
    char lock[PATH_BYTES + 16];
    int err = store_dir_make(lmdb->path, config->is_durable, diag);
    int result;

    (void)snprintf(lock, sizeof(lock), "%s/lock", lmdb->path);
    if (err == 0)
        err = store_lock(lock, false, &lmdb->lock_fd, diag);
    if (err == 0)
        err = marker_check(lmdb, diag);
    if (err != 0)
        return err;
    if (!lmdb->is_durable && (err = marker_write(lmdb, diag)) != 0)
        return err;
    result = open_env(lmdb, config->bytes_max);
    if (result != MDB_SUCCESS)
        return report(lmdb, result, "open the records", diag);
    if (lmdb->is_durable && (err = marker_clear(lmdb)) == 0)
        err = store_dir_sync(lmdb->path);
    return err == 0 ? 0 : diag_set(diag, err, "%s: cannot sync: %s", lmdb->path, strerror(-err));
}

static const struct store_records_ops lmdb_ops = {
    .get = lmdb_get,
    .list = lmdb_list,
    .commit = lmdb_commit,
    .now = lmdb_now,
    .close = lmdb_close,
};

int
store_lmdb_open(const struct store_config *config, const struct store_address *address,
                struct store_records *out, struct diag *diag)
{
    struct lmdb *lmdb = calloc(1, sizeof(*lmdb));
    pthread_condattr_t monotonic;
    int err;

    if (lmdb == NULL)
        return -ENOMEM;
    lmdb->lock_fd = -1;
    lmdb->is_durable = config->is_durable;
    lmdb->waiting_end = &lmdb->waiting;
    (void)pthread_mutex_init(&lmdb->mutex, NULL);
    (void)pthread_mutex_init(&lmdb->readers_mutex, NULL);
    (void)pthread_cond_init(&lmdb->is_answered, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&lmdb->is_joined, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)snprintf(lmdb->path, sizeof(lmdb->path), "%s/records", address->path);
    err = open_all(lmdb, config, diag);
    if (err != 0) {
        lmdb_close(lmdb);
        return err;
    }
    *out = (struct store_records){.ops = &lmdb_ops, .self = lmdb};
    return 0;
}
