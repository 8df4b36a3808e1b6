/* SPDX-License-Identifier: Apache-2.0
 *
 * Images in this process: each is mapped once, at its own address, from a sealed
 * file, and shared by all Faaslets that run it.
 */
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/file.h"
#include "faaslet/faaslet_internal.h"

#define SEALS           (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define IMAGE_BYTES_MAX (INT64_C(4) << 30)
#define PAGE            UINT64_C(4096)

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct faaslet_image *registry; /* guarded by registry_lock */

/* ------------------------------------------------------------------------ file */

/* As sendfile, which a sealed process does not have. */
static ssize_t
copy_block(int to, int from, off_t *at)
{
    uint8_t block[16384];
    ssize_t got = pread(from, block, sizeof(block), *at), put = 0;

    while (put < got) {
        ssize_t done = pwrite(to, block + put, (size_t)(got - put), *at + put);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -1;
        put += done;
    }
    if (got > 0)
        *at += got;
    return got;
}

static int
copy_to_memory(int from, int64_t bytes, int *out)
{
    int fd = memfd_create("weft-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    off_t at = 0;
    int err = -ENOMEM;

    if (fd < 0)
        return -errno;
    while (at < bytes) {
        ssize_t done = sendfile(fd, from, &at, (size_t)(bytes - at));

        if (done < 0 && errno == ENOSYS)
            done = copy_block(fd, from, &at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            err = done < 0 ? -errno : -EIO;
            goto close_fd;
        }
    }
    err = file_seal(fd);
    if (err != 0)
        goto close_fd;
    *out = fd;
    return 0;

close_fd:
    (void)close(fd);
    return err;
}

/* A sealed descriptor of our own with the same bytes; the file's own if trusted. */
static int
open_sealed(int fd, bool is_trusted, int *out, size_t *bytes, struct diag *diag)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat stat;
    int err;

    if (fstat(fd, &stat) != 0)
        return diag_set(diag, -errno, "cannot read the image: %s", strerror(errno));
    if (!S_ISREG(stat.st_mode) || stat.st_size <= 0 || stat.st_size > IMAGE_BYTES_MAX)
        return diag_set(diag, -EINVAL, "not an image: it has %lld bytes", (long long)stat.st_size);
    *bytes = (size_t)stat.st_size;
    err = fault_point("faaslet.image");
    if (err != 0)
        return diag_set(diag, err, "cannot load the image: %s", strerror(-err));
    if (!is_trusted && (seals < 0 || (seals & SEALS) != SEALS)) {
        err = copy_to_memory(fd, stat.st_size, out);
    } else {
        *out = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        err = *out < 0 ? -errno : 0;
    }
    if (err != 0)
        return diag_set(diag, err, "cannot load the image: %s", strerror(-err));
    return 0;
}

/* ------------------------------------------------------------------------- CPU */

struct cpu_level {
    const char *name;
    uint32_t ecx1, ebx7; /* bits of cpuid leaf 1 and 7 that it needs */
    uint32_t ecx_extended;
};

static const struct cpu_level cpu_levels[] = {
    {"x86-64", 0, 0, 0},
    {"x86-64-v2", bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B, 0,
     0},
    {"x86-64-v3", bit_SSE4_2 | bit_POPCNT | bit_AVX | bit_FMA | bit_F16C | bit_MOVBE | bit_OSXSAVE,
     bit_AVX2 | bit_BMI | bit_BMI2, bit_LZCNT},
    {"x86-64-v4", bit_SSE4_2 | bit_POPCNT | bit_AVX | bit_FMA | bit_F16C | bit_MOVBE | bit_OSXSAVE,
     bit_AVX2 | bit_BMI | bit_BMI2 | bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ |
         bit_AVX512VL,
     bit_LZCNT},
};

static bool
has_cpu_level(const struct cpu_level *level)
{
    uint32_t a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & level->ecx1) != level->ecx1)
        return false;
    if (level->ebx7 != 0 &&
        (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & level->ebx7) != level->ebx7))
        return false;
    return level->ecx_extended == 0 || (__get_cpuid(0x80000001, &a, &b, &c, &d) &&
                                        (c & level->ecx_extended) == level->ecx_extended);
}

/* A name that is no level was chosen for one machine by whoever compiled. */
static int
check_cpu(const struct abi_image *image, struct diag *diag)
{
    const char *name = abi_image_range(image, image->meta->cpu);
    uint32_t count = image->meta->cpu.count;

    for (size_t i = 0; i < ARRAY_COUNT(cpu_levels); i++) {
        const struct cpu_level *level = &cpu_levels[i];

        if (strlen(level->name) == count && memcmp(level->name, name, count) == 0 &&
            !has_cpu_level(level))
            return diag_set(diag, -EINVAL,
                            "the image needs a processor with %s, which this one is not; compile "
                            "the module for this machine",
                            level->name);
    }
    return 0;
}

/* --------------------------------------------------------------------- mapping */

static void
list_segments(struct faaslet_image *image)
{
    const Elf64_Ehdr *header = (const void *)image->file;
    const Elf64_Phdr *segments = (const void *)(image->file + header->e_phoff);

    for (unsigned i = 0; i < header->e_phnum && image->segment_count < SEGMENTS_MAX; i++) {
        if (segments[i].p_type != PT_LOAD || segments[i].p_memsz == 0)
            continue;
        image->segments[image->segment_count++] = (struct image_segment){
            .first = segments[i].p_vaddr,
            .end = segments[i].p_vaddr + segments[i].p_memsz,
            .file_offset = segments[i].p_offset,
        };
    }
}

/* Nothing is ever writable: what the linker marks so, an image does not write. */
static int
map_segment(const struct faaslet_image *image, const struct image_segment *segment)
{
    uint64_t skip = segment->first % PAGE;
    bool is_code = segment->first >= image->abi.text_first && segment->first < image->abi.text_end;
    void *place = mmap((void *)(segment->first - skip), segment->end - segment->first + skip,
                       is_code ? PROT_READ | PROT_EXEC : PROT_READ, MAP_PRIVATE | MAP_FIXED,
                       image->fd, (off_t)(segment->file_offset - skip));

    return place == MAP_FAILED ? -errno : 0;
}

static int
map_image(struct faaslet_image *image, struct diag *diag)
{
    uint64_t first = image->abi.load_first & ~(PAGE - 1);
    uint64_t bytes = ROUND_UP(image->abi.load_end, PAGE) - first;
    int err = fault_point("faaslet.map");
    void *place;

    if (err != 0)
        return diag_set(diag, err, "cannot map the image: %s", strerror(-err));
    place = mmap((void *)first, bytes, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (place == MAP_FAILED)
        return diag_set(diag, errno == EEXIST ? -EEXIST : -ENOMEM,
                        "cannot map the image at 0x%llx: %s", (unsigned long long)first,
                        errno == EEXIST ? "another image is there" : strerror(errno));
    if (place != (void *)first) { /* a kernel that takes the address as a hint */
        (void)munmap(place, bytes);
        return diag_set(diag, -EEXIST, "cannot map the image at 0x%llx: another image is there",
                        (unsigned long long)first);
    }
    image->reserved_first = first;
    image->reserved_bytes = bytes;
    for (unsigned i = 0; i < image->segment_count; i++) {
        err = map_segment(image, &image->segments[i]);
        if (err != 0)
            return diag_set(diag, err, "cannot map the image: %s", strerror(-err));
    }
    return 0;
}

static void
image_free(struct faaslet_image *image)
{
    instance_free(atomic_load(&image->standalone));
    if (image->reserved_bytes != 0)
        (void)munmap((void *)image->reserved_first, image->reserved_bytes);
    if (image->file != NULL)
        (void)munmap((void *)image->file, image->file_bytes);
    if (image->fd >= 0)
        (void)close(image->fd);
    free(image);
}

static int
image_open(int fd, bool is_trusted, struct faaslet_image **out, struct diag *diag)
{
    struct faaslet_image *image = calloc(1, sizeof(*image));
    void *file;
    int err;

    if (image == NULL)
        return diag_set(diag, -ENOMEM, "cannot load the image: out of memory");
    image->fd = -1;
    image->references = 1;
    err = open_sealed(fd, is_trusted, &image->fd, &image->file_bytes, diag);
    if (err != 0)
        goto free_image;
    file = mmap(NULL, image->file_bytes, PROT_READ, MAP_PRIVATE, image->fd, 0);
    if (file == MAP_FAILED) {
        err = diag_set(diag, -ENOMEM, "cannot load the image: %s", strerror(errno));
        goto free_image;
    }
    image->file = file;
    err = abi_image_parse(image->file, image->file_bytes, &image->abi, diag);
    if (err == 0)
        err = check_cpu(&image->abi, diag);
    if (err != 0)
        goto free_image;
    list_segments(image);
    *out = image;
    return 0;

free_image:
    image_free(image);
    return err;
}

static bool
is_same(const struct faaslet_image *a, const struct faaslet_image *b)
{
    struct stat stat_a, stat_b;

    if (a->abi.load_first != b->abi.load_first || a->file_bytes != b->file_bytes)
        return false;
    if (fstat(a->fd, &stat_a) == 0 && fstat(b->fd, &stat_b) == 0 &&
        stat_a.st_dev == stat_b.st_dev && stat_a.st_ino == stat_b.st_ino)
        return true;
    return memcmp(a->file, b->file, a->file_bytes) == 0;
}

static int
load(int fd, bool is_trusted, struct faaslet_image **out, struct diag *diag)
{
    struct faaslet_image *image = NULL, *known;
    int err = image_open(fd, is_trusted, &image, diag);

    if (err != 0)
        return err;
    (void)pthread_mutex_lock(&registry_lock);
    for (known = registry; known != NULL && !is_same(known, image); known = known->next)
        ;
    if (known != NULL) {
        known->references++;
        *out = known;
    } else {
        err = map_image(image, diag);
        if (err == 0) {
            image->symbols = image_symbols_register(image);
            image->next = registry;
            registry = image;
            *out = image;
        }
    }
    (void)pthread_mutex_unlock(&registry_lock);
    if (known != NULL || err != 0)
        image_free(image);
    return err;
}

int
faaslet_image_load(int fd, struct faaslet_image **out, struct diag *diag)
{
    return load(fd, false, out, diag);
}

int
faaslet_image_load_file(int fd, struct faaslet_image **out, struct diag *diag)
{
    return load(fd, true, out, diag);
}

struct faaslet_image *
faaslet_image_get(struct faaslet_image *image)
{
    (void)pthread_mutex_lock(&registry_lock);
    image->references++;
    (void)pthread_mutex_unlock(&registry_lock);
    return image;
}

void
faaslet_image_put(struct faaslet_image *image)
{
    bool is_last;

    if (image == NULL)
        return;
    (void)pthread_mutex_lock(&registry_lock);
    ASSERT(image->references > 0);
    is_last = --image->references == 0;
    if (is_last) {
        struct faaslet_image **place = &registry;

        while (*place != image)
            place = &(*place)->next;
        *place = image->next;
        image_symbols_unregister(image->symbols);
        /* Under the lock, so that the address is free when another load asks. */
        image_free(image);
    }
    (void)pthread_mutex_unlock(&registry_lock);
}

const struct abi_image *
faaslet_image_abi(const struct faaslet_image *image)
{
    return &image->abi;
}

bool
faaslet_image_imports(const struct faaslet_image *image, const char *module)
{
    const struct abi_meta_import *imports = abi_image_range(&image->abi, image->abi.meta->imports);
    size_t bytes = strlen(module);

    for (uint32_t i = 0; i < image->abi.meta->imports.count; i++)
        if (imports[i].module.count == bytes &&
            memcmp(abi_image_range(&image->abi, imports[i].module), module, bytes) == 0)
            return true;
    return false;
}

const uint8_t *
image_bytes_at(const struct faaslet_image *image, uint64_t address, size_t count)
{
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct image_segment *segment = &image->segments[i];

        if (address >= segment->first && address < segment->end && count <= segment->end - address)
            return image->file + segment->file_offset + (address - segment->first);
    }
    return NULL;
}
