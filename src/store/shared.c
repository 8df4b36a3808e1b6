/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "store/store_internal.h"

#define PAUSE_NS_FIRST UINT64_C(10000000)
#define PAUSE_NS_MAX   UINT64_C(1000000000)
#define ATTEMPTS_MAX   1000u

void
store_hash_print(const struct store_hash *hash, char out[STORE_HEX_BYTES])
{
    for (size_t i = 0; i < STORE_HASH_BYTES; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", hash->bytes[i]);
}

bool
store_hash_parse(const char *text, size_t count, struct store_hash *out)
{
    const char *digits = "0123456789abcdef";

    if (count != 2 * STORE_HASH_BYTES)
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *found = text[i] == '\0' ? NULL : strchr(digits, text[i]);

        if (found == NULL)
            return false;
        out->bytes[i / 2] = (uint8_t)(out->bytes[i / 2] << 4 | (found - digits));
    }
    return true;
}

int
store_hasher_init(struct store_hasher *hasher)
{
    hasher->context = EVP_MD_CTX_new();
    if (hasher->context == NULL)
        return -ENOMEM;
    if (EVP_DigestInit_ex(hasher->context, EVP_sha256(), NULL) != 1) {
        store_hasher_fini(hasher);
        return -ENOMEM;
    }
    return 0;
}

void
store_hasher_add(struct store_hasher *hasher, const void *bytes, size_t count)
{
    ASSERT(EVP_DigestUpdate(hasher->context, bytes, count) == 1);
}

void
store_hasher_finish(struct store_hasher *hasher, struct store_hash *out)
{
    ASSERT(EVP_DigestFinal_ex(hasher->context, out->bytes, NULL) == 1);
}

void
store_hasher_fini(struct store_hasher *hasher)
{
    EVP_MD_CTX_free(hasher->context);
    hasher->context = NULL;
}

static int
hash_pieces(int fd, int copy, struct store_hasher *hasher, uint8_t *piece, uint64_t *bytes)
{
    for (*bytes = 0;;) {
        ssize_t count = read(fd, piece, STORE_IO_BYTES);
        int err;

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        if (count == 0)
            return 0;
        *bytes += (uint64_t)count;
        if (*bytes > STORE_BLOB_BYTES_MAX)
            return -E2BIG;
        store_hasher_add(hasher, piece, (size_t)count);
        if (copy < 0)
            continue;
        err = fault_point("store.blob.write");
        if (err == 0)
            err = file_write_all(copy, piece, (size_t)count);
        if (err != 0)
            return err;
    }
}

int
store_hash_fd(int fd, int copy, struct store_hash *hash, uint64_t *bytes)
{
    struct store_hasher hasher;
    uint8_t *piece = malloc(STORE_IO_BYTES);
    int err = piece == NULL ? -ENOMEM : store_hasher_init(&hasher);

    if (err != 0)
        goto free_piece;
    err = hash_pieces(fd, copy, &hasher, piece, bytes);
    if (err == 0)
        store_hasher_finish(&hasher, hash);
    store_hasher_fini(&hasher);
free_piece:
    free(piece);
    return err;
}

int
store_spool_create(uint64_t bytes, int *fd)
{
    const char *directory = getenv("TMPDIR");
    int err = fault_point("store.spool");

    if (err != 0)
        return err;
    if (bytes <= STORE_SPOOL_MEMORY_MAX)
        *fd = memfd_create("weft-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    else
        *fd =
            open(directory != NULL ? directory : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return *fd < 0 ? -errno : 0;
}

/* A memfd takes seals; a file is opened anew for reading, and has no other name. */
int
store_spool_seal(int *fd)
{
    char path[64];
    int readable;

    if (lseek(*fd, 0, SEEK_SET) != 0)
        return -errno;
    if (file_seal(*fd) == 0)
        return 0;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
    readable = open(path, O_RDONLY | O_CLOEXEC);
    if (readable < 0)
        return -errno;
    (void)close(*fd);
    *fd = readable;
    return 0;
}

int
store_dir_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fault_point("store.dir.sync");

    if (fd < 0)
        return -errno;
    if (err == 0 && fsync(fd) != 0)
        err = -errno;
    (void)close(fd);
    return err;
}

/* Makes one directory below one that is there. */
static int
make_one(char *path, bool is_durable)
{
    char *slash;
    int err = 0;

    if (mkdir(path, 0700) != 0)
        return errno == EEXIST ? 0 : -errno;
    if (!is_durable)
        return 0;
    slash = strrchr(path, '/');
    if (slash == NULL)
        return store_dir_sync(".");
    if (slash == path)
        return store_dir_sync("/");
    *slash = '\0';
    err = store_dir_sync(path);
    *slash = '/';
    return err;
}

int
store_dir_make(const char *path, bool is_durable, struct diag *diag)
{
    char copy[STORE_PATH_BYTES_MAX + 64];
    int err = 0;

    ASSERT((size_t)snprintf(copy, sizeof(copy), "%s", path) < sizeof(copy));
    for (char *slash = strchr(copy + 1, '/'); slash != NULL && err == 0;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        err = make_one(copy, is_durable);
        *slash = '/';
    }
    if (err == 0)
        err = make_one(copy, is_durable);
    if (err != 0)
        return diag_set(diag, err, "cannot make the directory %s: %s", path, strerror(-err));
    return 0;
}

static int
lock_set(int fd, short kind)
{
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}

static int
lock_refused(int fd, const char *path, int err, struct diag *diag)
{
    char holder[32] = "";
    ssize_t count = pread(fd, holder, sizeof(holder) - 1, 0);
    size_t digits = strspn(holder, "0123456789");

    holder[digits] = '\0';
    if (err != -EBUSY)
        return diag_set(diag, err, "cannot lock %s: %s", path, strerror(-err));
    return diag_set(diag, err, "%s: process %s has it; stop that one first", path,
                    count > 0 && digits > 0 ? holder : "(unknown)");
}

int
store_lock(const char *path, bool is_shared, int *fd, struct diag *diag)
{
    char pid[32];
    int err;

    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0) {
        err = -errno;
        return diag_set(diag, err, "cannot open %s: %s", path, strerror(-err));
    }
    err = lock_set(*fd, is_shared ? F_RDLCK : F_WRLCK);
    if (err != 0) {
        err = lock_refused(*fd, path, err, diag);
        (void)close(*fd);
        *fd = -1;
        return err;
    }
    /* For people only: that it cannot be written harms nobody. */
    (void)snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (!is_shared && ftruncate(*fd, 0) == 0)
        (void)!pwrite(*fd, pid, strlen(pid), 0);
    return 0;
}

int
store_lock_share(int fd)
{
    return lock_set(fd, F_RDLCK);
}

uint64_t
store_random(void)
{
    uint64_t value;

    ASSERT(getrandom(&value, sizeof(value), 0) == (ssize_t)sizeof(value));
    return value;
}

void
store_retry_init(struct store_retry *retry, uint64_t patience_ns)
{
    *retry = (struct store_retry){.patience_ns = patience_ns};
    store_retry_extend(retry);
}

void
store_retry_extend(struct store_retry *retry)
{
    retry->deadline_ns = clock_now_ns() + retry->patience_ns;
}

uint64_t
store_retry_left_ns(const struct store_retry *retry)
{
    uint64_t now = clock_now_ns();

    return now < retry->deadline_ns ? retry->deadline_ns - now : 0;
}

bool
store_retry_wait(struct store_retry *retry)
{
    uint64_t left = store_retry_left_ns(retry);
    uint64_t pause = retry->pause_ns;
    struct timespec time;

    if (++retry->attempts > ATTEMPTS_MAX || left <= pause)
        return false;
    retry->pause_ns = pause == 0 ? PAUSE_NS_FIRST : pause * 2;
    if (retry->pause_ns > PAUSE_NS_MAX)
        retry->pause_ns = PAUSE_NS_MAX;
    if (pause == 0)
        return true;
    pause = pause / 2 + store_random() % (pause / 2);
    time = (struct timespec){.tv_sec = (time_t)(pause / CLOCK_NS_PER_SECOND),
                             .tv_nsec = (long)(pause % CLOCK_NS_PER_SECOND)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
    return true;
}

void
store_sigpipe_block(struct store_sigpipe *guard)
{
    sigset_t pipe, pending;

    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)sigpending(&pending);
    guard->was_pending = sigismember(&pending, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &guard->old);
}

void
store_sigpipe_restore(const struct store_sigpipe *guard)
{
    const struct timespec none = {0};
    sigset_t pipe;

    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    if (!guard->was_pending)
        (void)sigtimedwait(&pipe, NULL, &none);
    (void)pthread_sigmask(SIG_SETMASK, &guard->old, NULL);
}
