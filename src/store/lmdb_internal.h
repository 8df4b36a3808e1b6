/* SPDX-License-Identifier: Apache-2.0
 *
 * Records in a directory: LMDB, one tree of all tables.
 *
 *   table 0 key    ->  version (8 bytes, little-endian) value
 *   0 "version"    ->  the last version given out
 */
#ifndef WEFT_STORE_LMDB_INTERNAL_H
#define WEFT_STORE_LMDB_INTERNAL_H

#include <lmdb.h>

#include "store/store_internal.h"

#define LMDB_READERS_MAX      1024u
#define LMDB_IDLE_READERS_MAX 64u
#define LMDB_VERSION_BYTES    sizeof(uint64_t)
#define LMDB_PATH_BYTES       (STORE_PATH_BYTES_MAX + 64)

struct lmdb_request;

struct lmdb {
    MDB_env *env;
    MDB_dbi tree;
    int lock_fd;
    bool is_durable;
    char path[LMDB_PATH_BYTES]; /* of the directory of records */

    pthread_mutex_t mutex;
    pthread_cond_t is_answered;
    struct lmdb_request *waiting, **waiting_end; /* GUARDED_BY mutex */
    bool has_leader;                             /* GUARDED_BY mutex */
    size_t waiting_count;                        /* GUARDED_BY mutex */
    pthread_cond_t is_joined;                    /* somebody has come while a leader waits */
    size_t last_count;                           /* of the last batch; GUARDED_BY mutex */
    uint64_t last_ns;                            /* how long it took; GUARDED_BY mutex */

    pthread_mutex_t readers_mutex;
    MDB_txn *readers[LMDB_IDLE_READERS_MAX]; /* GUARDED_BY readers_mutex: reset, to be renewed */
    size_t reader_count;                     /* GUARDED_BY readers_mutex */
};

struct lmdb_key {
    char bytes[STORE_TABLE_BYTES_MAX + 1 + STORE_KEY_BYTES_MAX];
    size_t count;
};

/* What a result of LMDB means here, without and with words. */
int lmdb_err(int result);
int lmdb_report(const struct lmdb *lmdb, int result, const char *what, struct diag *diag);

void lmdb_key_make(struct lmdb_key *out, const char *table, const void *bytes, size_t count);

/* A result of LMDB; MDB_CORRUPTED: shorter than a version. */
int lmdb_find(const struct lmdb *lmdb, MDB_txn *txn, const struct lmdb_key *key, MDB_val *value);
uint64_t lmdb_version(const MDB_val *value);

/* Of store_records_ops. */
int lmdb_commit(void *self, const struct store_change *changes, size_t count, uint64_t *version,
                size_t *failed, struct diag *diag);

#endif
