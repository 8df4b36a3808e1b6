/* SPDX-License-Identifier: Apache-2.0
 *
 * Blobs in a directory:   blobs/ab/cdef...   the content, under its hash
 *                         blobs/new/...      what is being written
 *                         blobs/new/lock     shared by all who have the directory open
 *
 * Claim: a put that was answered with 0 is whole under its name, after a crash of the
 * machine too if durable; no name ever stands for a part.
 *
 * Argument: the content is synced before it gets its name (rename), and the directory of
 * the name after that, before the answer. What is there already has its directory synced
 * as well, because the put that wrote it may not have come so far. Names in blobs/new
 * that a crash left are removed by the next process that has the directory alone.
 *
 * A blob is hashed before it is handed out for the first time; that file (by inode, size
 * and times) is then trusted while this process lives.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "store/store_internal.h"

#define PATH_BYTES       (STORE_PATH_BYTES_MAX + 160)
#define CHECKED_COUNT    4096u /* a power of two */
#define LOCK_PATIENCE_NS UINT64_C(5000000000)

struct checked {
    struct store_hash hash;
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec written, changed;
};

struct files {
    char path[PATH_BYTES]; /* of blobs */
    bool is_durable;
    int lock_fd;
    atomic_uint_fast64_t puts;

    pthread_mutex_t mutex;
    struct checked checked[CHECKED_COUNT]; /* GUARDED_BY mutex; by the hash's first bytes */
};

static void
blob_path(const struct files *files, const struct store_hash *hash, char out[PATH_BYTES])
{
    char hex[STORE_HEX_BYTES];

    store_hash_print(hash, hex);
    (void)snprintf(out, PATH_BYTES, "%.3072s/%.2s/%s", files->path, hex, hex + 2);
}

static int
report(int err, const char *path, const char *what, struct diag *diag)
{
    return diag_set(diag, err, "cannot %s %s: %s", what, path, strerror(-err));
}

/* ----------------------------------------------------------------- what has been hashed */

static struct checked *
checked_slot(struct files *files, const struct store_hash *hash)
{
    return &files->checked[(hash->bytes[0] | (unsigned)hash->bytes[1] << 8) % CHECKED_COUNT];
}

static void
checked_fill(struct checked *out, const struct store_hash *hash, const struct stat *info)
{
    memset(out, 0, sizeof(*out));
    out->hash = *hash;
    out->device = info->st_dev;
    out->inode = info->st_ino;
    out->bytes = info->st_size;
    out->written = info->st_mtim;
    out->changed = info->st_ctim;
}

static bool
checked_has(struct files *files, const struct store_hash *hash, const struct stat *info)
{
    struct checked wanted;
    bool has;

    checked_fill(&wanted, hash, info);
    (void)pthread_mutex_lock(&files->mutex);
    has = memcmp(checked_slot(files, hash), &wanted, sizeof(wanted)) == 0;
    (void)pthread_mutex_unlock(&files->mutex);
    return has;
}

static void
checked_add(struct files *files, const struct store_hash *hash, const struct stat *info)
{
    (void)pthread_mutex_lock(&files->mutex);
    checked_fill(checked_slot(files, hash), hash, info);
    (void)pthread_mutex_unlock(&files->mutex);
}

/* -EBADMSG unless the file has the hash. The times are read before its bytes are, so that
 * a write in between is seen the next time. */
static int
check_content(struct files *files, int fd, const struct store_hash *hash)
{
    struct store_hash found;
    struct stat info;
    uint64_t bytes;
    int err;

    if (fstat(fd, &info) != 0)
        return -errno;
    if (!S_ISREG(info.st_mode))
        return -EBADMSG;
    if (checked_has(files, hash, &info))
        return 0;
    err = store_hash_fd(fd, -1, &found, &bytes);
    if (err == 0 && lseek(fd, 0, SEEK_SET) != 0)
        err = -errno;
    if (err != 0)
        return err;
    if (memcmp(&found, hash, sizeof(found)) != 0)
        return -EBADMSG;
    checked_add(files, hash, &info);
    return 0;
}

/* ------------------------------------------------------------------------------- put */

static int
sync_parent(const struct files *files, const char *path)
{
    char parent[PATH_BYTES];

    if (!files->is_durable)
        return 0;
    (void)snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
    return store_dir_sync(parent);
}

/* 0: it is there whole, and counts as put now. Otherwise it is to be written. *fd, perhaps
 * -1, is the caller's to close when that is done: while it is open, nobody removes what is
 * there for being old. */
static int
keep_old(struct files *files, const struct store_hash *hash, const char *path, int *fd)
{
    struct stat info;
    int err = 0;

    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0 || flock(*fd, LOCK_SH) != 0 || fstat(*fd, &info) != 0)
        return -errno;
    if (info.st_nlink == 0) /* removed while we waited */
        return -ENOENT;
    err = check_content(files, *fd, hash);
    if (err == 0 && futimens(*fd, NULL) != 0)
        err = -errno;
    if (err == 0 && files->is_durable && fsync(*fd) != 0)
        err = -errno;
    if (err == 0 && fstat(*fd, &info) == 0)
        checked_add(files, hash, &info);
    return err == 0 ? sync_parent(files, path) : err;
}

static int
write_new(struct files *files, int fd, const char *from, const char *path)
{
    int err;

    if (fchmod(fd, 0444) != 0)
        return -errno;
    err = fault_point("store.blob.sync");
    if (err == 0 && files->is_durable && fsync(fd) != 0)
        err = -errno;
    if (err == 0)
        err = fault_point("store.blob.rename");
    if (err == 0 && rename(from, path) != 0)
        err = -errno;
    return err == 0 ? sync_parent(files, path) : err;
}

/* Gives the new file its name. */
static int
name_new(struct files *files, int fd, const char *from, const struct store_hash *hash)
{
    char path[PATH_BYTES];
    int old = -1, err;

    blob_path(files, hash, path);
    if (keep_old(files, hash, path, &old) == 0)
        err = unlink(from) == 0 ? 0 : -errno;
    else
        err = write_new(files, fd, from, path);
    file_close(&old);
    return err;
}

static int
files_put(void *self, int fd, struct store_hash *out, struct diag *diag)
{
    struct files *files = self;
    char path[PATH_BYTES];
    uint64_t bytes;
    int copy, err;

    (void)snprintf(path, sizeof(path), "%.3072s/new/%d-%016llx-%llu", files->path, (int)getpid(),
                   (unsigned long long)store_random(),
                   (unsigned long long)atomic_fetch_add(&files->puts, 1));
    copy = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (copy < 0)
        return report(-errno, path, "make", diag);
    err = store_hash_fd(fd, copy, out, &bytes);
    if (err == 0)
        err = name_new(files, copy, path, out);
    (void)close(copy);
    if (err == 0)
        return 0;
    (void)unlink(path);
    if (err == -E2BIG)
        return diag_set(diag, err, "a blob of more than 4 GiB");
    return report(err, path, "put a blob by way of", diag);
}

/* ------------------------------------------------------------------------------- get */

static int
files_get(void *self, const struct store_hash *hash, int *fd, struct diag *diag)
{
    struct files *files = self;
    char path[PATH_BYTES];
    int found, err;

    blob_path(files, hash, path);
    found = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (found < 0)
        return errno == ENOENT ? -ENOENT : report(-errno, path, "open", diag);
    err = check_content(files, found, hash);
    if (err != 0) {
        (void)close(found);
        if (err == -EBADMSG)
            return diag_set(diag, err, "%s: the content has another hash: damaged", path);
        return report(err, path, "read", diag);
    }
    *fd = found;
    return 0;
}

static int
files_stat(void *self, const struct store_hash *hash, uint64_t *bytes, struct diag *diag)
{
    char path[PATH_BYTES];
    struct stat info;

    blob_path(self, hash, path);
    if (stat(path, &info) != 0)
        return errno == ENOENT ? -ENOENT : report(-errno, path, "look at", diag);
    *bytes = (uint64_t)info.st_size;
    return 0;
}

static int
files_remove(void *self, const struct store_hash *hash, struct diag *diag)
{
    char path[PATH_BYTES];
    int err;

    blob_path(self, hash, path);
    if (unlink(path) != 0)
        return errno == ENOENT ? 0 : report(-errno, path, "remove", diag);
    err = sync_parent(self, path);
    return err == 0 ? 0 : report(err, path, "sync the directory of", diag);
}

static uint64_t
changed_ns(const struct stat *info)
{
    return (uint64_t)info->st_mtim.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)info->st_mtim.tv_nsec;
}

/* Who puts it has it locked from looking to renaming; then it is new, or not there any more. */
static int
files_remove_old(void *self, const struct store_hash *hash, uint64_t before_ns, struct diag *diag)
{
    char path[PATH_BYTES];
    struct stat info;
    int fd, err = 0;

    blob_path(self, hash, path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : report(-errno, path, "open", diag);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &info) != 0)
        err = errno == EWOULDBLOCK ? -EAGAIN : -errno;
    else if (info.st_nlink != 0 && changed_ns(&info) >= before_ns)
        err = -EAGAIN;
    else if (info.st_nlink != 0 && unlink(path) != 0)
        err = -errno;
    (void)close(fd);
    if (err == -EAGAIN)
        return diag_set(diag, err, "%s was put again", path);
    if (err == 0)
        err = sync_parent(self, path);
    return err == 0 ? 0 : report(err, path, "remove", diag);
}

/* ------------------------------------------------------------------------------ list */

/* 1, or 0 when visit has had enough. What is not a blob by its name is not ours. */
static int
tell(const struct files *files, const char *name, unsigned first, store_blob_visit_fn visit,
     void *context)
{
    char hex[STORE_HEX_BYTES + 2], path[PATH_BYTES];
    struct store_hash hash;
    struct stat info;

    if (strlen(name) != 2 * STORE_HASH_BYTES - 2)
        return 1;
    (void)snprintf(hex, sizeof(hex), "%02x%.62s", first, name);
    if (!store_hash_parse(hex, strlen(hex), &hash))
        return 1;
    blob_path(files, &hash, path);
    if (stat(path, &info) != 0)
        return errno == ENOENT ? 1 : -errno;
    return visit(context, &hash, (uint64_t)info.st_size, changed_ns(&info)) ? 1 : 0;
}

static int
files_list(void *self, store_blob_visit_fn visit, void *context, struct diag *diag)
{
    const struct files *files = self;
    int more = 1;

    for (unsigned first = 0; first < 256 && more == 1; first++) {
        char path[PATH_BYTES];
        struct dirent **names;
        int count;

        (void)snprintf(path, sizeof(path), "%.3072s/%02x", files->path, first);
        count = scandir(path, &names, NULL, alphasort);
        if (count < 0)
            return report(-errno, path, "list", diag);
        for (int i = 0; i < count; i++) {
            if (more == 1)
                more = tell(files, names[i]->d_name, first, visit, context);
            free(names[i]);
        }
        free(names);
    }
    return more < 0 ? report(more, files->path, "list", diag) : 0;
}

/* --------------------------------------------------------------------- open and close */

/* Alone here: what is in blobs/new belongs to nobody. */
static int
collect_left_over(const char *directory)
{
    DIR *names = opendir(directory);
    struct dirent *name;
    int err = 0;

    if (names == NULL)
        return -errno;
    while (err == 0 && (name = readdir(names)) != NULL)
        if (name->d_name[0] != '.' && strcmp(name->d_name, "lock") != 0 &&
            unlinkat(dirfd(names), name->d_name, 0) != 0)
            err = -errno;
    (void)closedir(names);
    return err;
}

static int
lock_and_collect(struct files *files, const char *directory, struct diag *diag)
{
    char lock[PATH_BYTES + 8];
    struct store_retry retry;
    int err;

    (void)snprintf(lock, sizeof(lock), "%s/lock", directory);
    store_retry_init(&retry, LOCK_PATIENCE_NS);
    do { /* Another has it alone only while that one collects. */
        err = store_lock(lock, false, &files->lock_fd, NULL);
        if (err == -EBUSY && store_lock(lock, true, &files->lock_fd, NULL) == 0)
            return 0;
    } while (err == -EBUSY && store_retry_wait(&retry));
    if (err == 0)
        err = collect_left_over(directory);
    if (err == 0)
        err = store_lock_share(files->lock_fd);
    return err == 0 ? 0 : report(err, directory, "collect what is left over in", diag);
}

static int
make_directories(const struct files *files, struct diag *diag)
{
    char path[PATH_BYTES];
    int err = store_dir_make(files->path, files->is_durable, diag);

    for (unsigned first = 0; first < 256 && err == 0; first++) {
        (void)snprintf(path, sizeof(path), "%.3072s/%02x", files->path, first);
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            err = report(-errno, path, "make", diag);
    }
    if (err == 0 && files->is_durable && (err = store_dir_sync(files->path)) != 0)
        err = report(err, files->path, "sync", diag);
    return err;
}

static void
files_close(void *self)
{
    struct files *files = self;

    file_close(&files->lock_fd);
    (void)pthread_mutex_destroy(&files->mutex);
    free(files);
}

static const struct store_blobs_ops files_ops = {
    .put = files_put,
    .get = files_get,
    .stat = files_stat,
    .remove = files_remove,
    .remove_old = files_remove_old,
    .list = files_list,
    .close = files_close,
};

int
store_files_open(const struct store_config *config, const struct store_address *address,
                 struct store_blobs *out, struct diag *diag)
{
    struct files *files = calloc(1, sizeof(*files));
    char path[PATH_BYTES];
    int err;

    if (files == NULL)
        return -ENOMEM;
    files->lock_fd = -1;
    files->is_durable = config->is_durable;
    (void)pthread_mutex_init(&files->mutex, NULL);
    (void)snprintf(files->path, sizeof(files->path), "%s/blobs", address->path);
    (void)snprintf(path, sizeof(path), "%.3072s/new", files->path);
    err = make_directories(files, diag);
    if (err == 0)
        err = store_dir_make(path, files->is_durable, diag);
    if (err == 0)
        err = lock_and_collect(files, path, diag);
    if (err != 0) {
        files_close(files);
        return err;
    }
    *out = (struct store_blobs){.ops = &files_ops, .self = files};
    return 0;
}
