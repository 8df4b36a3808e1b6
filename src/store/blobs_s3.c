/* SPDX-License-Identifier: Apache-2.0
 *
 * Blobs in S3, each an object whose key is its hash in hexadecimal.
 *
 * Putting hashes first, because the hash is the name, then sends with the hash as part of
 * what is signed: the server refuses a content that is another. What cannot be read twice
 * passes through a spool. Putting what is there already writes it again: that is one
 * request too, mends what was damaged, and makes it new for whoever collects.
 *
 * Getting writes into a spool and hashes on the way; only what has the hash is handed out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "store/store_internal.h"

#define PAGE_BYTES_MAX (4u << 20)
#define PAGES_MAX      1000000u
#define DAMAGED_NS     UINT64_C(300000000) /* for so long it is looked at again */

struct s3_blobs {
    struct s3 *s3;
    pthread_rwlock_t putting; /* for writing: what is old is removed */
};

static void
path_of(const struct store_hash *hash, char out[STORE_HEX_BYTES + 1])
{
    out[0] = '/';
    store_hash_print(hash, out + 1);
}

/* ------------------------------------------------------------------------------- put */

/* Hashes what comes, and gives a descriptor that can be read again from offset. *spool is
 * the caller's to close. */
static int
prepare(int fd, struct s3_request *request, struct store_hash *hash, int *spool)
{
    struct stat info;
    off_t offset = lseek(fd, 0, SEEK_CUR);
    int err = 0;

    if (fstat(fd, &info) != 0)
        return -errno;
    request->upload_fd = fd;
    request->upload_offset = offset;
    if (offset < 0 || !S_ISREG(info.st_mode)) {
        err = store_spool_create(UINT64_MAX, spool);
        request->upload_fd = *spool;
        request->upload_offset = 0;
    }
    if (err == 0)
        err = store_hash_fd(fd, *spool, hash, &request->upload_bytes);
    return err;
}

static int
s3_put(void *self, int fd, struct store_hash *out, struct diag *diag)
{
    struct s3_blobs *blobs = self;
    struct s3_request request = {.method = "PUT"};
    char path[STORE_HEX_BYTES + 1];
    int spool = -1;
    int err = prepare(fd, &request, out, &spool);

    if (err == -E2BIG)
        err = diag_set(diag, err, "a blob of more than 4 GiB");
    else if (err != 0)
        err = diag_set(diag, err, "cannot read the blob: %s", strerror(-err));
    if (err == 0) {
        path_of(out, path);
        request.path = path;
        request.upload_hash = path + 1;
        (void)pthread_rwlock_rdlock(&blobs->putting);
        err = s3_run(blobs->s3, &request, diag);
        (void)pthread_rwlock_unlock(&blobs->putting);
    }
    file_close(&spool);
    return err;
}

/* ------------------------------------------------------------------------------- get */

struct coming {
    int fd;
    uint64_t bytes;
    struct store_hasher hasher;
};

static void
coming_fini(struct coming *coming)
{
    file_close(&coming->fd);
    coming->fd = -1;
    store_hasher_fini(&coming->hasher);
}

/* Each attempt begins anew. */
static int
coming_start(void *context, uint64_t bytes)
{
    struct coming *coming = context;
    int err;

    coming_fini(coming);
    coming->bytes = 0;
    if (bytes > STORE_BLOB_BYTES_MAX)
        return -E2BIG;
    err = store_hasher_init(&coming->hasher);
    return err != 0 ? err : store_spool_create(bytes, &coming->fd);
}

static int
coming_take(void *context, const void *bytes, size_t count)
{
    struct coming *coming = context;

    coming->bytes += count;
    if (coming->bytes > STORE_BLOB_BYTES_MAX)
        return -E2BIG;
    store_hasher_add(&coming->hasher, bytes, count);
    return file_write_all(coming->fd, bytes, count);
}

static int
get_once(struct s3_blobs *blobs, const struct store_hash *hash, struct coming *coming,
         struct diag *diag)
{
    char path[STORE_HEX_BYTES + 1];
    struct s3_request request = {.method = "GET",
                                 .path = path,
                                 .start = coming_start,
                                 .take = coming_take,
                                 .context = coming};
    struct store_hash found;
    int err;

    path_of(hash, path);
    err = s3_run(blobs->s3, &request, diag);
    if (err != 0)
        return err;
    store_hasher_finish(&coming->hasher, &found);
    if (memcmp(&found, hash, sizeof(found)) == 0)
        return 0;
    return diag_set(diag, -EBADMSG, "%s%s: the content has another hash: damaged",
                    s3_name(blobs->s3), path);
}

/* Some servers show what is being put again: what is damaged is looked at a few times. */
static int
s3_get(void *self, const struct store_hash *hash, int *fd, struct diag *diag)
{
    struct coming coming = {.fd = -1};
    struct store_retry retry;
    struct diag why;
    int err;

    store_retry_init(&retry, DAMAGED_NS);
    do {
        diag_init(&why);
        err = get_once(self, hash, &coming, &why);
    } while (err == -EBADMSG && store_retry_wait(&retry));
    if (err == 0)
        err = store_spool_seal(&coming.fd);
    if (err == 0) {
        *fd = coming.fd;
        coming.fd = -1;
    }
    coming_fini(&coming);
    return err == 0 || err == -ENOENT ? err : diag_set(diag, err, "%s", diag_text(&why));
}

/* ------------------------------------------------------------------ stat, remove, list */

/* A request without a body about one blob. */
static int
ask_about(struct s3_blobs *blobs, const char *method, const struct store_hash *hash,
          struct s3_request *request, struct diag *why)
{
    char path[STORE_HEX_BYTES + 1];
    int err;

    path_of(hash, path);
    *request = (struct s3_request){.method = method, .path = path};
    diag_init(why);
    err = s3_run(blobs->s3, request, why);
    request->path = NULL;
    return err;
}

static int
s3_stat(void *self, const struct store_hash *hash, uint64_t *bytes, struct diag *diag)
{
    struct s3_request request;
    struct diag why;
    int err = ask_about(self, "HEAD", hash, &request, &why);

    if (err == 0)
        *bytes = request.answer_bytes;
    return err == 0 || err == -ENOENT ? err : diag_set(diag, err, "%s", diag_text(&why));
}

static int
s3_remove(void *self, const struct store_hash *hash, struct diag *diag)
{
    struct s3_request request;
    struct diag why;
    int err = ask_about(self, "DELETE", hash, &request, &why);

    return err == 0 || err == -ENOENT ? 0 : diag_set(diag, err, "%s", diag_text(&why));
}

/* Between looking and removing nobody puts it. */
static int
s3_remove_old(void *self, const struct store_hash *hash, uint64_t before_ns, struct diag *diag)
{
    struct s3_blobs *blobs = self;
    struct s3_request request;
    struct diag why;
    int err;

    (void)pthread_rwlock_wrlock(&blobs->putting);
    err = ask_about(blobs, "HEAD", hash, &request, &why);
    /* Of a whole second only that much is known: it counts as its end. */
    if (err == 0 && request.answer_changed_s >= before_ns / CLOCK_NS_PER_SECOND)
        err = diag_set(&why, -EAGAIN, "%s: the blob was put again", s3_name(blobs->s3));
    if (err == 0)
        err = ask_about(blobs, "DELETE", hash, &request, &why);
    (void)pthread_rwlock_unlock(&blobs->putting);
    return err == 0 || err == -ENOENT ? 0 : diag_set(diag, err, "%s", diag_text(&why));
}

struct listing {
    struct buffer text;
    struct store_hash last;
    uint32_t pages, blobs;
    bool is_disordered;
    store_blob_visit_fn visit;
    void *context;
};

static int
listing_start(void *context, uint64_t bytes)
{
    struct listing *listing = context;

    (void)bytes;
    listing->text.count = 0;
    return 0;
}

static int
listing_take(void *context, const void *bytes, size_t count)
{
    struct listing *listing = context;

    if (listing->text.count + count > PAGE_BYTES_MAX)
        return -E2BIG;
    buffer_append(&listing->text, bytes, count);
    return listing->text.err;
}

/* What is not a blob by its key is not ours. */
static bool
listing_visit(void *context, const struct s3_object *object)
{
    struct listing *listing = context;
    struct store_hash hash;

    if (!store_hash_parse(object->key, strlen(object->key), &hash))
        return true;
    if (listing->blobs++ > 0 && memcmp(&listing->last, &hash, sizeof(hash)) >= 0) {
        listing->is_disordered = true;
        return false;
    }
    listing->last = hash;
    return listing->visit(listing->context, &hash, object->bytes, object->changed_ns);
}

/* Names in order, values percent-encoded: this is what is signed, as it is. */
static void
make_query(struct buffer *out, const char *token)
{
    const char *plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    out->count = 0;
    if (token[0] != '\0')
        buffer_append_format(out, "continuation-token=");
    for (; *token != '\0'; token++)
        if (strchr(plain, *token) != NULL)
            buffer_append(out, token, 1);
        else
            buffer_append_format(out, "%%%02X", (unsigned)(unsigned char)*token);
    buffer_append_format(out, "%slist-type=2&max-keys=1000", out->count > 0 ? "&" : "");
    buffer_append(out, "", 1);
}

static int
read_page(struct s3_blobs *blobs, struct listing *listing, struct s3_page *page, struct diag *diag)
{
    struct s3_request request = {.method = "GET",
                                 .path = "",
                                 .start = listing_start,
                                 .take = listing_take,
                                 .context = listing};
    struct buffer query = {0};
    int err;

    make_query(&query, page->token);
    request.query = (const char *)query.bytes;
    err = query.err;
    if (err == 0)
        err = s3_run(blobs->s3, &request, diag);
    buffer_fini(&query);
    if (err != 0)
        return err;
    err = s3_page_read((const char *)listing->text.bytes, listing->text.count, page, listing_visit,
                       listing);
    if (listing->is_disordered || ++listing->pages > PAGES_MAX)
        err = -EBADMSG;
    if (err == -EBADMSG)
        return diag_set(diag, err, "%s: a listing that cannot be read", s3_name(blobs->s3));
    return err;
}

static int
s3_list(void *self, store_blob_visit_fn visit, void *context, struct diag *diag)
{
    struct listing listing = {.visit = visit, .context = context};
    struct s3_page *page = calloc(1, sizeof(*page));
    int err;

    if (page == NULL)
        return -ENOMEM;
    do {
        err = read_page(self, &listing, page, diag);
    } while (err == 0 && page->is_truncated);
    buffer_fini(&listing.text);
    free(page);
    return err == -ECANCELED ? 0 : err;
}

static void
s3_blobs_close(void *self)
{
    struct s3_blobs *blobs = self;

    s3_close(blobs->s3);
    (void)pthread_rwlock_destroy(&blobs->putting);
    free(blobs);
}

static const struct store_blobs_ops s3_ops = {
    .put = s3_put,
    .get = s3_get,
    .stat = s3_stat,
    .remove = s3_remove,
    .remove_old = s3_remove_old,
    .list = s3_list,
    .close = s3_blobs_close,
};

int
store_s3_open(const struct store_config *config, const struct store_address *address,
              struct store_blobs *out, struct diag *diag)
{
    struct s3_blobs *blobs = calloc(1, sizeof(*blobs));
    int err;

    if (blobs == NULL)
        return -ENOMEM;
    err = s3_open(config, address, &blobs->s3, diag);
    if (err != 0) {
        free(blobs);
        return err;
    }
    (void)pthread_rwlock_init(&blobs->putting, NULL);
    *out = (struct store_blobs){.ops = &s3_ops, .self = blobs};
    return 0;
}
