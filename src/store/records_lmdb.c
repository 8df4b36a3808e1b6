/* SPDX-License-Identifier: Apache-2.0
 *
 * Records in a directory: reading, opening and closing. lmdb_commit.c writes.
 *
 * Not durable, there is no sync at all, and the file `unsynced` says in which boot of the
 * machine that was: found after another boot, the records are refused.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "store/lmdb_internal.h"

int
lmdb_err(int result)
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
        /* These two mean something else to callers. */
        return result > 0 && result != EAGAIN && result != ENOENT ? -result : -EIO;
    }
}

int
lmdb_report(const struct lmdb *lmdb, int result, const char *what, struct diag *diag)
{
    int err = lmdb_err(result);

    if (result == MDB_READERS_FULL)
        return diag_set(diag, err, "%s: more than %u reads at once", lmdb->path, LMDB_READERS_MAX);
    if (result == MDB_MAP_FULL)
        return diag_set(diag, err, "%s: cannot %s: the records fill bytes_max; raise it",
                        lmdb->path, what);
    if (result == MDB_PANIC)
        return diag_set(diag, err, "%s: cannot %s: writing has failed before; open it again",
                        lmdb->path, what);
    return diag_set(diag, err, "%s: cannot %s: %s", lmdb->path, what, mdb_strerror(result));
}

void
lmdb_key_make(struct lmdb_key *out, const char *table, const void *bytes, size_t count)
{
    size_t table_count = strlen(table);

    ASSERT(table_count <= STORE_TABLE_BYTES_MAX && count <= STORE_KEY_BYTES_MAX);
    memcpy(out->bytes, table, table_count);
    out->bytes[table_count] = '\0';
    if (count > 0)
        memcpy(out->bytes + table_count + 1, bytes, count);
    out->count = table_count + 1 + count;
}

int
lmdb_find(const struct lmdb *lmdb, MDB_txn *txn, const struct lmdb_key *key, MDB_val *value)
{
    MDB_val name = {.mv_size = key->count, .mv_data = (void *)(uintptr_t)key->bytes};
    int result = mdb_get(txn, lmdb->tree, &name, value);

    if (result == MDB_SUCCESS && value->mv_size < LMDB_VERSION_BYTES)
        return MDB_CORRUPTED;
    return result;
}

uint64_t
lmdb_version(const MDB_val *value)
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
        return lmdb_report(lmdb, result, "read", diag);
    *out = txn;
    return 0;
}

static void
reader_give(struct lmdb *lmdb, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    (void)pthread_mutex_lock(&lmdb->readers_mutex);
    if (lmdb->reader_count < LMDB_IDLE_READERS_MAX) {
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
    lmdb_key_make(&name, key->table, key->bytes, key->count);
    result = lmdb_find(lmdb, txn, &name, &value);
    if (result == MDB_SUCCESS) {
        buffer_append(out, (uint8_t *)value.mv_data + LMDB_VERSION_BYTES,
                      value.mv_size - LMDB_VERSION_BYTES);
        err = out->err;
        if (err == 0 && version != NULL)
            *version = lmdb_version(&value);
    } else {
        err = result == MDB_NOTFOUND ? -ENOENT : lmdb_report(lmdb, result, "read", diag);
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
    if (value->mv_size < LMDB_VERSION_BYTES)
        return -EBADMSG;
    record.value = (const char *)value->mv_data + LMDB_VERSION_BYTES;
    record.value_count = value->mv_size - LMDB_VERSION_BYTES;
    record.version = lmdb_version(value);
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

    lmdb_key_make(&first, range->table, is_after ? range->after : range->prefix,
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
    return result == MDB_SUCCESS ? 0 : lmdb_report(lmdb, result, "list", diag);
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
marker_path(const struct lmdb *lmdb, char out[LMDB_PATH_BYTES + 16])
{
    (void)snprintf(out, LMDB_PATH_BYTES + 16, "%s/unsynced", lmdb->path);
}

/* What an earlier process left unsynced is lost if the machine was started since. */
static int
marker_check(const struct lmdb *lmdb, struct diag *diag)
{
    char path[LMDB_PATH_BYTES + 16];
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
    char path[LMDB_PATH_BYTES + 16];
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
    char path[LMDB_PATH_BYTES + 16];
    int result;

    marker_path(lmdb, path);
    if (access(path, F_OK) != 0)
        return 0;
    result = mdb_env_sync(lmdb->env, 1);
    if (result != MDB_SUCCESS)
        return lmdb_err(result);
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
    char fresh[LMDB_PATH_BYTES + 16], data[LMDB_PATH_BYTES + 32];
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
    char path[LMDB_PATH_BYTES + 16];

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
        result = mdb_env_set_maxreaders(lmdb->env, LMDB_READERS_MAX);
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
    char lock[LMDB_PATH_BYTES + 16];
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
        return lmdb_report(lmdb, result, "open the records", diag);
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
