/* SPDX-License-Identifier: Apache-2.0
 *
 * store: what must survive a crash.
 *
 *   blobs     bytes under the SHA-256 of their content: modules, images, snapshots, files
 *   records   small values under (table, key), each with a version; changed together or
 *             not at all
 *
 * One door, two implementations for each, chosen by address:
 *
 *   records   dir:/var/lib/weft          LMDB in that directory (one process at a time)
 *             redis://[:password@]host:port/db
 *   blobs     dir:/var/lib/weft          files in that directory (any number of processes)
 *             s3+http://host:port/bucket, s3+https://host/bucket   (keys: config)
 *
 * What a commit or a put has said 0 to is there after a crash of this process and, if
 * is_durable, of the machine: the directory is fsync'ed (commits of several threads share
 * one fsync); Redis is asked at every connection whether it appends and syncs before it
 * answers, and refused with -ENOTSUP if not. docs/store.md has the argument.
 *
 * All functions may be called from any thread. A remote store that cannot be reached is
 * tried again with growing pauses until config.patience_ns, then -ETIMEDOUT with what was
 * tried in diag; a commit whose answer was lost is repeated safely: it happens once. After
 * -ETIMEDOUT and -EIO it is unknown whether it happened; after any other error it did not.
 *
 * -ENOENT of a record or blob sets no diag: it is an answer. All other errors but -ENOMEM do.
 */
#ifndef WEFT_STORE_H
#define WEFT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/diag.h"
#include "base/macros.h"

#define STORE_HASH_BYTES       32u
#define STORE_KEY_BYTES_MAX    400u        /* of a record's key, any bytes but none empty */
#define STORE_TABLE_BYTES_MAX  32u         /* lower-case letters and - */
#define STORE_VALUE_BYTES_MAX  (16u << 20) /* of a record */
#define STORE_BLOB_BYTES_MAX   (UINT64_C(4) << 30)
#define STORE_CHANGES_MAX      4096u
#define STORE_COMMIT_BYTES_MAX (64u << 20) /* of all values of a commit */

struct store;

struct store_config {
    const char *records, *blobs;                /* addresses as above */
    const char *s3_key, *s3_secret, *s3_region; /* NULL region: us-east-1 */
    const char *ca_path;                        /* of https; NULL: the system's */
    bool is_durable;                            /* against the machine's crash, too */
    uint64_t patience_ns; /* for a remote store that does not answer; 0: 10 s */
    uint64_t bytes_max;   /* of LMDB's file; 0: 64 GiB of address space */
};

/* Either address may be NULL, not both: calls for what is not there are -EINVAL then.
 * -EINVAL: an address, or keys of S3; -EBUSY: another process (diag: which) has the
 * directory; -EACCES: password or keys; -ENOENT: no such bucket; -ENOTSUP: see above;
 * -EBADMSG: records that were not durable when the machine stopped; -ETIMEDOUT. diag says
 * which store and what to do, and never a password. */
int store_open(const struct store_config *config, struct store **out, struct diag *diag) MUST_CHECK;
void store_close(struct store *store); /* NULL is fine */

/* ---------------------------------------------------------------------------- blobs */

struct store_hash {
    uint8_t bytes[STORE_HASH_BYTES];
};

/* Puts what can be read from fd (from its offset to its end), and tells its hash. What is
 * there already counts as put now, and is mended if it was damaged. -E2BIG, -ENOSPC, -EIO,
 * -ETIMEDOUT, or why fd cannot be read. */
int store_blob_put(struct store *store, int fd, struct store_hash *out,
                   struct diag *diag) MUST_CHECK;
int store_blob_put_bytes(struct store *store, const void *bytes, size_t count,
                         struct store_hash *out, struct diag *diag) MUST_CHECK;

/* A descriptor of the content, at offset 0, read-only; the caller's to close. It does not
 * change: a sealed memfd, or a file that nobody writes. -ENOENT. -EBADMSG: what is there
 * has another hash (diag names where), and is not handed out. */
int store_blob_get(struct store *store, const struct store_hash *hash, int *fd,
                   struct diag *diag) MUST_CHECK;

/* -ENOENT. */
int store_blob_stat(struct store *store, const struct store_hash *hash, uint64_t *bytes,
                    struct diag *diag) MUST_CHECK;
int store_blob_remove(struct store *store, const struct store_hash *hash,
                      struct diag *diag) MUST_CHECK; /* none is fine */

/* Unless it was put at this moment or later, by the clock of the store: -EAGAIN. A put that
 * comes meanwhile puts it again (dir: from any process; S3: from this one). None is fine. */
int store_blob_remove_old(struct store *store, const struct store_hash *hash, uint64_t before_ns,
                          struct diag *diag) MUST_CHECK;

/* In order of hashes, until visit says false; for collecting what nobody needs.
 * changed_ns: when it was put last, by the clock of the store (CLOCK_REALTIME). Leave alone
 * what is newer than the longest way from a put to the commit that names the blob. visit may
 * use the store. */
typedef bool (*store_blob_visit_fn)(void *context, const struct store_hash *hash, uint64_t bytes,
                                    uint64_t changed_ns);
int store_blob_list(struct store *store, store_blob_visit_fn visit, void *context,
                    struct diag *diag) MUST_CHECK;

/* -------------------------------------------------------------------------- records */

struct store_key {
    const char *table;
    const void *bytes;
    size_t count;
};

/* Appends the value to out. -ENOENT. version: never 0; another after each put. */
int store_get(struct store *store, const struct store_key *key, struct buffer *out,
              uint64_t *version, struct diag *diag) MUST_CHECK;

/* Of one table: keys that begin with prefix and come after `after` (NULL: from the first),
 * in order of their bytes, until visit says false or so many were told (0: all). A view of
 * one moment for dir:, of each page for redis:. visit may use the store. */
struct store_range {
    const char *table;
    const void *prefix;
    size_t prefix_count;
    const void *after;
    size_t after_count;
    uint32_t count_max;
};
struct store_record { /* valid during the visit */
    const void *key, *value;
    size_t key_count, value_count;
    uint64_t version;
};
typedef bool (*store_visit_fn)(void *context, const struct store_record *record);
int store_list(struct store *store, const struct store_range *range, store_visit_fn visit,
               void *context, struct diag *diag) MUST_CHECK;

enum store_condition {
    STORE_ANY,
    STORE_ABSENT,  /* there is none */
    STORE_VERSION, /* it has this version */
};

struct store_change {
    struct store_key key;
    enum store_condition condition;
    uint64_t version;
    bool is_removal; /* none is fine; with a value of NULL and no removal: only the condition */
    const void *value;
    size_t count;
};

/* All of it or nothing; every key at most once. Afterwards each changed record has the
 * version *version (of all of them the same, higher than any before). -EAGAIN: a condition
 * does not hold: *failed is the index of the first. Both may be NULL. -EINVAL, -E2BIG,
 * -ENOSPC, -ETIMEDOUT (above); -EIO: the disk. */
int store_commit(struct store *store, const struct store_change *changes, size_t count,
                 uint64_t *version, size_t *failed, struct diag *diag) MUST_CHECK;

/* ------------------------------------------------------------------------- fencing */

/* A lease on a name, for who acts alone (the planner that leads): held until `ns` after
 * the last renewal, by the store's clock. -EBUSY: another holds it. Renewing is taking it
 * again with the same holder, a name that no other process ever uses.
 *
 * *term grows with every new holder and stays while the holder stays. It is the version of
 * the record (STORE_TERM_TABLE, name), which nobody else writes; a holder puts
 *
 *   {.key = {STORE_TERM_TABLE, name, strlen(name)}, .condition = STORE_VERSION,
 *    .version = term}
 *
 * into each of its commits, so that one that lost the lease unnoticed writes nothing
 * (-EAGAIN). A released lease can be had at once; the term then changes. */
#define STORE_LEASE_TABLE "lease"
#define STORE_TERM_TABLE  "term"
int store_lease(struct store *store, const char *name, const char *holder, uint64_t ns,
                uint64_t *term, struct diag *diag) MUST_CHECK;
int store_release(struct store *store, const char *name, const char *holder,
                  struct diag *diag) MUST_CHECK;

#endif
