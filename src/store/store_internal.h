/* SPDX-License-Identifier: Apache-2.0
 *
 * store, inside: one struct of functions for records, one for blobs, and what the
 * implementations share. store.c has checked every argument before it calls them.
 */
#ifndef WEFT_STORE_INTERNAL_H
#define WEFT_STORE_INTERNAL_H

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>

#include <openssl/evp.h>

#include "store/store.h"

#define STORE_PATIENCE_NS      (UINT64_C(10) * 1000000000u)
#define STORE_LMDB_BYTES_MAX   (UINT64_C(64) << 30)
#define STORE_PATH_BYTES_MAX   3000u /* of a dir: address */
#define STORE_SPOOL_MEMORY_MAX (UINT64_C(64) << 20)
#define STORE_IO_BYTES         (256u << 10) /* read and written at a time */
#define STORE_HEX_BYTES        (2 * STORE_HASH_BYTES + 1)

/* ------------------------------------------------------------------------ addresses */

enum store_scheme {
    STORE_DIR,
    STORE_REDIS,
    STORE_S3,
};

struct store_address {
    enum store_scheme scheme;
    char path[STORE_PATH_BYTES_MAX + 1]; /* dir: */
    char host[256];                      /* without brackets */
    bool is_ipv6, is_tls;
    unsigned port, db;
    char password[256]; /* "" is none */
    char bucket[64];
    char name[320]; /* for diag: never with a password */
};

/* Strict: nothing is guessed, nothing may follow. -EINVAL. */
int store_address_parse(const char *text, struct store_address *out, struct diag *diag) MUST_CHECK;

/* --------------------------------------------------------------------------- records */

struct store_records_ops {
    int (*get)(void *self, const struct store_key *key, struct buffer *out, uint64_t *version,
               struct diag *diag);
    int (*list)(void *self, const struct store_range *range, store_visit_fn visit, void *context,
                struct diag *diag);
    int (*commit)(void *self, const struct store_change *changes, size_t count, uint64_t *version,
                  size_t *failed, struct diag *diag);
    int (*now)(void *self, uint64_t *ns, struct diag *diag); /* the clock of leases */
    void (*close)(void *self);
};
struct store_records {
    const struct store_records_ops *ops;
    void *self; /* owned */
};

int store_lmdb_open(const struct store_config *config, const struct store_address *address,
                    struct store_records *out, struct diag *diag) MUST_CHECK;
int store_redis_open(const struct store_config *config, const struct store_address *address,
                     struct store_records *out, struct diag *diag) MUST_CHECK;

int store_now(struct store *store, uint64_t *ns, struct diag *diag) MUST_CHECK;

/* ----------------------------------------------------------------------------- blobs */

struct store_blobs_ops {
    int (*put)(void *self, int fd, struct store_hash *out, struct diag *diag);
    int (*get)(void *self, const struct store_hash *hash, int *fd, struct diag *diag);
    int (*stat)(void *self, const struct store_hash *hash, uint64_t *bytes, struct diag *diag);
    int (*remove)(void *self, const struct store_hash *hash, struct diag *diag);
    int (*remove_old)(void *self, const struct store_hash *hash, uint64_t before_ns,
                      struct diag *diag);
    int (*list)(void *self, store_blob_visit_fn visit, void *context, struct diag *diag);
    void (*close)(void *self);
};
struct store_blobs {
    const struct store_blobs_ops *ops;
    void *self; /* owned */
};

int store_files_open(const struct store_config *config, const struct store_address *address,
                     struct store_blobs *out, struct diag *diag) MUST_CHECK;
int store_s3_open(const struct store_config *config, const struct store_address *address,
                  struct store_blobs *out, struct diag *diag) MUST_CHECK;

/* ---------------------------------------------------------------------------- shared */

/* Lower-case hexadecimal. parse: false unless it is exactly that. */
void store_hash_print(const struct store_hash *hash, char out[STORE_HEX_BYTES]);
bool store_hash_parse(const char *text, size_t count, struct store_hash *out);

/* The hash of bytes that come in pieces. */
struct store_hasher {
    EVP_MD_CTX *context;
};
int store_hasher_init(struct store_hasher *hasher) MUST_CHECK;
void store_hasher_add(struct store_hasher *hasher, const void *bytes, size_t count);
void store_hasher_finish(struct store_hasher *hasher, struct store_hash *out);
void store_hasher_fini(struct store_hasher *hasher);

/* Reads fd from its offset to its end, hashes, and writes to copy unless that is
 * negative. -E2BIG past STORE_BLOB_BYTES_MAX, else what read and write say. */
int store_hash_fd(int fd, int copy, struct store_hash *hash, uint64_t *bytes) MUST_CHECK;

/* What a blob passes through that has no name: memory up to STORE_SPOOL_MEMORY_MAX, a
 * file in TMPDIR or /var/tmp above. seal: nobody writes it from now on, offset 0. */
int store_spool_create(uint64_t bytes, int *fd) MUST_CHECK;
int store_spool_seal(int *fd) MUST_CHECK;

/* A directory and the ones above it that are not there; durable if so asked. */
int store_dir_make(const char *path, bool is_durable, struct diag *diag) MUST_CHECK;
int store_dir_sync(const char *path) MUST_CHECK;

/* A lock on the file, which ends with the descriptor or the process. is_shared: several
 * may have it, and none that is alone. -EBUSY: diag names the process that has it. */
int store_lock(const char *path, bool is_shared, int *fd, struct diag *diag) MUST_CHECK;
int store_lock_share(int fd) MUST_CHECK; /* from alone to shared */

/* Attempts with growing pauses and jitter, until patience is over. The first pause is
 * none: a connection that the other side has closed is opened anew at once. */
struct store_retry {
    uint64_t patience_ns, deadline_ns, pause_ns;
    unsigned attempts; /* that have failed */
};
void store_retry_init(struct store_retry *retry, uint64_t patience_ns);
bool store_retry_wait(struct store_retry *retry); /* false: enough */
void store_retry_extend(struct store_retry *retry);
uint64_t store_retry_left_ns(const struct store_retry *retry);

/* hiredis and TLS write to sockets that may be closed: keeps SIGPIPE from this thread. */
struct store_sigpipe {
    sigset_t old;
    bool was_pending;
};
void store_sigpipe_block(struct store_sigpipe *guard);
void store_sigpipe_restore(const struct store_sigpipe *guard);

uint64_t store_random(void);

/* ------------------------------------------------------------------------------ Redis */

struct redis_link;
struct redisReply;
struct redis_slot; /* a connection, while somebody has it */

int redis_link_open(const struct store_config *config, const struct store_address *address,
                    struct redis_link **out, struct diag *diag) MUST_CHECK;
void redis_link_close(struct redis_link *link);

/* -ETIMEDOUT: all are taken. Commands run on a slot one after the other. */
int redis_link_take(struct redis_link *link, struct redis_slot **out, struct diag *diag) MUST_CHECK;
void redis_link_give(struct redis_link *link, struct redis_slot *slot);

/* "client:slot", and a number that grows with each call: together, never twice. */
const char *redis_slot_name(const struct redis_slot *slot);
uint64_t redis_slot_next(struct redis_slot *slot);

/* Runs a command until it is answered, which may be more than once: `again`, unless NULL,
 * is called before every attempt after the first. An answer that is an error is an error
 * here. The reply is the caller's to free (freeReplyObject). */
struct redis_command {
    size_t count;
    const char **words;
    const size_t *lengths;
    void (*again)(void *context);
    void *context;
};
int redis_slot_run(struct redis_slot *slot, const struct redis_command *command,
                   struct redisReply **out, struct diag *diag) MUST_CHECK;

/* --------------------------------------------------------------------------------- S3 */

struct s3;

/* One request, repeated until answered. Paths and queries are percent-encoded already;
 * queries in order of their names, each with a value. */
struct s3_request {
    const char *method;
    const char *path;  /* below the bucket: "" or "/key" */
    const char *query; /* NULL is none */
    int upload_fd;     /* of PUT, from upload_offset */
    off_t upload_offset;
    uint64_t upload_bytes;
    const char *upload_hash; /* in hexadecimal */

    /* What comes back, in pieces; start before each attempt's first. NULL: dropped. */
    int (*start)(void *context, uint64_t bytes);
    int (*take)(void *context, const void *bytes, size_t count);
    void *context;

    uint64_t answer_bytes;     /* out: Content-Length */
    uint64_t answer_changed_s; /* out: Last-Modified; UINT64_MAX: it does not say */
};
int s3_open(const struct store_config *config, const struct store_address *address, struct s3 **out,
            struct diag *diag) MUST_CHECK;
void s3_close(struct s3 *s3);
const char *s3_name(const struct s3 *s3);

/* -ENOENT (404), -EACCES (401, 403), -EIO (others of 4xx), -ETIMEDOUT, or what start and
 * take said. */
int s3_run(struct s3 *s3, struct s3_request *request, struct diag *diag) MUST_CHECK;

/* One page of ListObjectsV2. Elements that nobody asked for are skipped, but the whole
 * must be well-formed. -EBADMSG, or -ECANCELED when visit said false. */
#define S3_TOKEN_BYTES_MAX 2048u
struct s3_page {
    bool is_truncated;
    char token[S3_TOKEN_BYTES_MAX];
};
struct s3_object {
    char key[1025];
    uint64_t bytes, changed_ns;
};
typedef bool (*s3_object_fn)(void *context, const struct s3_object *object);
int s3_page_read(const char *text, size_t count, struct s3_page *page, s3_object_fn visit,
                 void *context) MUST_CHECK;

#endif
