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
 * if that fails. Where the request has addresses of its own, what is given away there
 * is not given away here, either.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
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
    const struct compile_request *request;
    struct compile_range range; /* given to this image */
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

/* Takes the cache's range, or none of it. */
static int
take_units(const struct cache *cache)
{
    char name[32];

    for (uint64_t i = 0; i < cache->range.count; i++) {
        int fd;

        (void)snprintf(name, sizeof(name), "%" PRIx64, cache->range.first + i);
        fd = open_in(cache, "addresses", name, O_WRONLY | O_CREAT | O_EXCL);
        if (fd < 0) {
            give_back(cache, cache->range.first, i);
            return fd;
        }
        (void)close(fd);
    }
    return 0;
}

/* Beyond this cache. */
static int
take_elsewhere(const struct cache *cache, struct diag *diag)
{
    const struct compile_request *request = cache->request;

    return request->addresses == NULL
               ? 0
               : request->addresses->take(request->context, cache->id, cache->range, diag);
}

static void
give_all_back(const struct cache *cache)
{
    const struct compile_request *request = cache->request;

    if (request->addresses != NULL)
        request->addresses->give_back(request->context, cache->id, cache->range);
    give_back(cache, cache->range.first, cache->range.count);
}

/* An address that no other image of this cache has; by the id, so that most
 * caches agree on it. */
static int
take_address(struct cache *cache, uint64_t *address, struct diag *diag)
{
    int lock = lock_file(cache, "addresses", "lock");
    uint64_t places = UNITS - cache->range.count, wanted;
    char head[17];
    int err = lock < 0 ? lock : -EEXIST;

    (void)memcpy(head, cache->id, 16);
    head[16] = '\0';
    wanted = strtoull(head, NULL, 16) % places;
    for (unsigned probe = 0; probe < PROBES_MAX && err == -EEXIST; probe++) {
        cache->range.first = (wanted + probe * 131u) % places;
        err = take_units(cache);
        if (err != 0)
            continue;
        err = take_elsewhere(cache, diag);
        if (err != 0)
            give_back(cache, cache->range.first, cache->range.count);
    }
    *address = ABI_IMAGE_ADDRESS_FIRST + cache->range.first * ABI_IMAGE_ADDRESS_UNIT;
    file_close(&lock);
    return err;
}

/* Where an image is: the first of its units. -EIO: it is none, or larger than what it was
 * given. */
static int
find_first_unit(const struct cache *cache, int fd, uint64_t *out)
{
    struct abi_image image;
    struct stat status;
    void *bytes;
    int err;

    if (fstat(fd, &status) != 0 || status.st_size <= 0)
        return -EIO;
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return -errno;
    err = abi_image_parse(bytes, (size_t)status.st_size, &image, NULL);
    if (err == 0) {
        uint64_t first = (image.load_first - ABI_IMAGE_ADDRESS_FIRST) / ABI_IMAGE_ADDRESS_UNIT;
        uint64_t last = (image.load_end - 1 - ABI_IMAGE_ADDRESS_FIRST) / ABI_IMAGE_ADDRESS_UNIT;

        err = last - first < cache->range.count ? 0 : -EIO;
        *out = first;
    }
    (void)munmap(bytes, (size_t)status.st_size);
    return err != 0 ? -EIO : 0;
}

/* -ENOENT: there is none; -EEXIST: there is, at an address that is another's. */
static int
open_cached(struct cache *cache, int *out, struct diag *diag)
{
    int fd = open_in(cache, "images", cache->id, O_RDONLY), err;

    if (fd < 0)
        return fd;
    err = find_first_unit(cache, fd, &cache->range.first);
    /* What cannot be read was damaged: it is made anew, like what is in another's way. */
    err = err != 0 ? -EEXIST : take_elsewhere(cache, diag);
    if (err == 0)
        *out = fd;
    else
        (void)close(fd);
    return err;
}

/* Compiles into a nameless file, which gets its name when it is whole. */
static int
fill_cache(struct cache *cache, struct compile_report *report, struct diag *diag)
{
    struct compile_request copy = *cache->request;
    char from[64], to[128];
    int fd = openat(cache->directory, "images", O_RDWR | O_TMPFILE | O_CLOEXEC, 0444);
    int err = fd < 0 ? -errno : take_address(cache, &copy.options.address, diag);
    uint64_t first;

    if (err != 0) {
        file_close(&fd);
        return diag_set(diag, err, "cannot write to the cache %s: %s", cache->path, strerror(-err));
    }
    err = compile_in_child(&copy, fd, report, diag);
    if (err == 0 && find_first_unit(cache, fd, &first) != 0)
        err = diag_set(diag, -E2BIG, "the image is too large for its module");
    if (err == 0) {
        (void)snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
        (void)snprintf(to, sizeof(to), "images/%s", cache->id);
        if (linkat(AT_FDCWD, from, cache->directory, to, AT_SYMLINK_FOLLOW) != 0 && errno != EEXIST)
            err = diag_set(diag, -errno, "cannot write to the cache %s: %s", cache->path,
                           strerror(errno));
    }
    if (err != 0)
        give_all_back(cache);
    (void)close(fd);
    return err;
}

/* With the image's lock. The address of one that is in another's way stays given away in
 * this cache: whoever opened that image has it there. */
static int
make_image(struct cache *cache, struct compile_report *report, int *fd, struct diag *diag)
{
    char path[128];
    int err = open_cached(cache, fd, diag); /* another may have made it */

    report->was_cached = err == 0;
    if (err != -ENOENT && err != -EEXIST)
        return err;
    (void)snprintf(path, sizeof(path), "images/%s", cache->id);
    if (err == -EEXIST && unlinkat(cache->directory, path, 0) != 0)
        return -errno;
    err = fill_cache(cache, report, diag);
    if (err != 0)
        return err;
    *fd = open_in(cache, "images", cache->id, O_RDONLY);
    return *fd < 0 ? *fd : 0;
}

static int
get_image(struct cache *cache, int *image_fd, struct compile_report *report, struct diag *diag)
{
    int fd = -1, lock, err = open_cached(cache, &fd, diag);

    report->was_cached = err == 0;
    if (err == -ENOENT || err == -EEXIST) {
        lock = lock_file(cache, "locks", cache->id);
        if (lock < 0)
            return diag_set(diag, lock, "cannot lock the cache %s: %s", cache->path,
                            strerror(-lock));
        err = make_image(cache, report, &fd, diag);
        (void)close(lock);
    }
    if (err != 0) /* the first report wins: this one is for what has none */
        return diag_set(diag, err, "cannot read the cache %s: %s", cache->path, strerror(-err));
    *image_fd = fd;
    return 0;
}

int
compile_get(const struct compile_request *request, int *image_fd, struct compile_report *report,
            struct diag *diag)
{
    const char *path =
        request->cache_directory != NULL ? request->cache_directory : compile_cache_directory();
    uint64_t begin_ns = clock_now_ns();
    struct compile_report made = {0};
    struct cache cache = {.request = request};
    struct stat status;
    int fd = -1;
    int err = cache_open(&cache, path, diag);

    if (err == 0) {
        cache.range.count =
            request->count * IMAGE_BYTES_PER_MODULE_BYTE / ABI_IMAGE_ADDRESS_UNIT + 1;
        err = cache.range.count > COMPILE_RANGE_MAX
                  ? diag_set(diag, -E2BIG, "a module of %zu bytes is too large", request->count)
                  : name_image(request, cache.id, diag);
        if (err == 0)
            err = get_image(&cache, &fd, &made, diag);
    }
    file_close(&cache.directory);
    if (err != 0)
        return err;
    (void)memcpy(made.id, cache.id, sizeof(made.id));
    made.range = cache.range;
    made.wall_ns = clock_now_ns() - begin_ns;
    made.image_bytes = fstat(fd, &status) == 0 ? (uint64_t)status.st_size : 0;
    *report = made;
    *image_fd = fd;
    return 0;
}
