/* SPDX-License-Identifier: Apache-2.0
 *
 * Images on disk, by content. In the cache directory:
 *
 *   images/<id>      finished images, read-only, put there by rename
 *   locks/<id>       held while an image is being compiled: once, by one process
 *   addresses/<n>    one empty file per unit of address space that is given away
 *
 * id is the SHA-256 of the module and of all that shapes its code. An address is
 * given away before compilation, because it is part of the image, and taken back
 * if that fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "compile/compile.h"
#include "compile/compile_process.h"

#define PATH_BYTES 4096u
#define UNITS      ((ABI_IMAGE_ADDRESS_END - ABI_IMAGE_ADDRESS_FIRST) / ABI_IMAGE_ADDRESS_UNIT)
/* Native code and copies of data, per byte of module: measured 1.5 to 4. */
#define IMAGE_BYTES_PER_MODULE_BYTE 6u
#define COMPILER_BYTES_MAX          ((size_t)256 << 20)
#define PROBES_MAX                  4096u

struct cache {
    int directory; /* the cache directory */
    const char *path;
    char id[65];
    uint64_t first_unit, unit_count; /* address space given to this image */
};

const char *
compile_cache_directory(void)
{
    static char path[PATH_BYTES];
    const char *own = getenv("WEFT_CACHE");
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");

    if (own != NULL && own[0] != '\0')
        return own;
    if (cache != NULL && cache[0] == '/')
        (void)snprintf(path, sizeof(path), "%s/weft", cache);
    else
        (void)snprintf(path, sizeof(path), "%s/.cache/weft", home != NULL ? home : "/tmp");
    return path;
}

static int
make_directories(const char *path)
{
    char part[PATH_BYTES];
    size_t length = strlen(path);

    if (length >= sizeof(part))
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        (void)memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static int
cache_open(struct cache *cache, const char *path, struct diag *diag)
{
    static const char *const parts[] = {"images", "locks", "addresses"};
    int err = make_directories(path);

    cache->path = path;
    cache->directory = -1;
    if (err == 0) {
        cache->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        err = cache->directory < 0 ? -errno : 0;
    }
    for (size_t i = 0; i < ARRAY_COUNT(parts) && err == 0; i++)
        if (mkdirat(cache->directory, parts[i], 0777) != 0 && errno != EEXIST)
            err = -errno;
    if (err != 0)
        return diag_set(diag, err, "cannot use the cache %s: %s; set WEFT_CACHE to a directory",
                        path, strerror(-err));
    return 0;
}

/* The compiler's own bytes are part of every name: another compiler may make
 * other code. */
static int
hash_compiler(const struct compile_request *request, EVP_MD_CTX *hash, struct diag *diag)
{
    struct buffer bytes = {0};
    char path[PATH_BYTES];
    int err;

    compile_find_compiler(request, path, sizeof(path));
    err = file_read_all(path, COMPILER_BYTES_MAX, &bytes, diag);
    if (err == 0)
        (void)EVP_DigestUpdate(hash, bytes.bytes, bytes.count);
    buffer_fini(&bytes);
    return err;
}

static int
name_image(const struct compile_request *request, char out[65], struct diag *diag)
{
    uint8_t digest[32];
    unsigned digest_bytes = sizeof(digest);
    char shape[256];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    int length = snprintf(shape, sizeof(shape), "weft %u %u %.100s %d %d", ABI_VERSION,
                          request->options.level, request->options.cpu,
                          request->options.strict_traps, (int)request->options.mode);
    int err;

    ASSERT(hash != NULL);
    (void)EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    (void)EVP_DigestUpdate(hash, shape, (size_t)length + 1);
    err = hash_compiler(request, hash, diag);
    (void)EVP_DigestUpdate(hash, request->bytes, request->count);
    (void)EVP_DigestFinal_ex(hash, digest, &digest_bytes);
    EVP_MD_CTX_free(hash);
    for (size_t i = 0; i < sizeof(digest); i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return err;
}

static int
open_in(const struct cache *cache, const char *folder, const char *name, int flags)
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = openat(cache->directory, path, flags | O_CLOEXEC, 0666);
    return fd < 0 ? -errno : fd;
}

static int
lock_file(const struct cache *cache, const char *folder, const char *name)
{
    int fd = open_in(cache, folder, name, O_RDWR | O_CREAT);

    if (fd < 0)
        return fd;
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            int err = -errno;

            (void)close(fd);
            return err;
        }
    return fd;
}

static void
give_back(const struct cache *cache, uint64_t first, uint64_t count)
{
    char path[64];

    for (uint64_t i = 0; i < count; i++) {
        (void)snprintf(path, sizeof(path), "addresses/%" PRIx64, first + i);
        (void)unlinkat(cache->directory, path, 0);
    }
}

/* Takes `count` units from `first` on, or none. */
static int
take_units(const struct cache *cache, uint64_t first, uint64_t count)
{
    char name[32];

    for (uint64_t i = 0; i < count; i++) {
        int fd;

        (void)snprintf(name, sizeof(name), "%" PRIx64, first + i);
        fd = open_in(cache, "addresses", name, O_WRONLY | O_CREAT | O_EXCL);
        if (fd < 0) {
            give_back(cache, first, i);
            return fd;
        }
        (void)close(fd);
    }
    return 0;
}

/* An address that no other image of this cache has; by the id, so that most
 * caches agree on it. */
static int
take_address(struct cache *cache, size_t module_bytes, uint64_t *address)
{
    int lock = lock_file(cache, "addresses", "lock");
    uint64_t wanted;
    char head[17];
    int err = lock < 0 ? lock : -EEXIST;

    cache->unit_count = module_bytes * IMAGE_BYTES_PER_MODULE_BYTE / ABI_IMAGE_ADDRESS_UNIT + 1;
    (void)memcpy(head, cache->id, 16);
    head[16] = '\0';
    wanted = strtoull(head, NULL, 16) % (UNITS - cache->unit_count);
    for (unsigned probe = 0; probe < PROBES_MAX && err == -EEXIST; probe++) {
        cache->first_unit = (wanted + probe * 131u) % (UNITS - cache->unit_count);
        err = take_units(cache, cache->first_unit, cache->unit_count);
    }
    *address = ABI_IMAGE_ADDRESS_FIRST + cache->first_unit * ABI_IMAGE_ADDRESS_UNIT;
    file_close(&lock);
    return err;
}

/* Compiles into a nameless file, which gets its name when it is whole. */
static int
fill_cache(struct cache *cache, const struct compile_request *request,
           struct compile_report *report, struct diag *diag)
{
    struct compile_request copy = *request;
    char from[64], to[128];
    int fd = openat(cache->directory, "images", O_RDWR | O_TMPFILE | O_CLOEXEC, 0444);
    int err = fd < 0 ? -errno : take_address(cache, request->count, &copy.options.address);

    if (err != 0) {
        file_close(&fd);
        return diag_set(diag, err, "cannot write to the cache %s: %s", cache->path, strerror(-err));
    }
    err = compile_in_child(&copy, fd, report, diag);
    if (err == 0) {
        (void)snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
        (void)snprintf(to, sizeof(to), "images/%s", cache->id);
        if (linkat(AT_FDCWD, from, cache->directory, to, AT_SYMLINK_FOLLOW) != 0 && errno != EEXIST)
            err = diag_set(diag, -errno, "cannot write to the cache %s: %s", cache->path,
                           strerror(errno));
    }
    if (err != 0)
        give_back(cache, cache->first_unit, cache->unit_count);
    (void)close(fd);
    return err;
}

static int
get_image(struct cache *cache, const struct compile_request *request, int *image_fd,
          struct compile_report *report, struct diag *diag)
{
    int fd = open_in(cache, "images", cache->id, O_RDONLY);
    int lock = -1;
    int err = 0;

    report->was_cached = fd >= 0;
    if (fd == -ENOENT) {
        lock = lock_file(cache, "locks", cache->id);
        if (lock < 0)
            return diag_set(diag, lock, "cannot lock the cache %s: %s", cache->path,
                            strerror(-lock));
        fd = open_in(cache, "images", cache->id, O_RDONLY); /* another may have made it */
        report->was_cached = fd >= 0;
        if (fd == -ENOENT)
            err = fill_cache(cache, request, report, diag);
        if (err == 0 && fd < 0)
            fd = open_in(cache, "images", cache->id, O_RDONLY);
        (void)close(lock);
    }
    if (err == 0 && fd < 0)
        err = diag_set(diag, fd, "cannot read the cache %s: %s", cache->path, strerror(-fd));
    if (err == 0)
        *image_fd = fd;
    return err;
}

int
compile_get(const struct compile_request *request, int *image_fd, struct compile_report *report,
            struct diag *diag)
{
    const char *path =
        request->cache_directory != NULL ? request->cache_directory : compile_cache_directory();
    uint64_t begin_ns = clock_now_ns();
    struct compile_report made = {0};
    struct cache cache;
    struct stat status;
    int fd = -1;
    int err = cache_open(&cache, path, diag);

    if (err == 0) {
        err = name_image(request, cache.id, diag);
        if (err == 0)
            err = get_image(&cache, request, &fd, &made, diag);
    }
    file_close(&cache.directory);
    if (err != 0)
        return err;
    (void)memcpy(made.id, cache.id, sizeof(made.id));
    made.wall_ns = clock_now_ns() - begin_ns;
    made.image_bytes = fstat(fd, &status) == 0 ? (uint64_t)status.st_size : 0;
    *report = made;
    *image_fd = fd;
    return 0;
}
