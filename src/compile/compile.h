/* SPDX-License-Identifier: Apache-2.0
 *
 * compile: validated module -> native image (abi.h). The only room that knows
 * LLVM; programs that only ask for images do not link it.
 *
 *   compile_get -- cached? --> image
 *        | no
 *        +-> compiler process (weft-compiler: confined, limited) -> compile_image -> cache
 *
 * Memory is addressed off one opaque base, so that LLVM's loop passes can
 * reason about it; after the optimiser the base becomes null in the GS segment
 * and every access is gs:[offset]. See docs/loops.md and docs/law-1.md.
 */
#ifndef WEFT_COMPILE_H
#define WEFT_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/abi.h"
#include "base/diag.h"
#include "base/macros.h"

#define COMPILE_CPU_DEFAULT          "x86-64-v3"
#define COMPILE_MEMORY_BYTES_DEFAULT (UINT64_C(6) << 30)
#define COMPILE_SECONDS_DEFAULT      600u

struct compile_options {
    unsigned level;     /* -O: 0 to 3 */
    const char *cpu;    /* "x86-64-v2", "x86-64-v3", "x86-64-v4", "native" or an LLVM name */
    bool strict_traps;  /* no load may be removed, even if its value cannot matter */
    enum abi_mode mode; /* STANDALONE becomes THREADED where the module's memory is shared */
    unsigned jobs;      /* partitions compiled at the same time; 0: as cores */
    uint64_t address;   /* where the image will be mapped */
};

/* -O3, the default CPU, STANDALONE, all cores, the first address. */
void compile_options_init(struct compile_options *options);

/* Decodes, validates, compiles and links a module in this process, and writes the
 * ELF image to out_fd. Needs LLVM and ld.lld. -EINVAL, -ENOTSUP, -E2BIG from the
 * module; -EIO where a tool failed. */
int compile_image(const uint8_t *bytes, size_t count, const struct compile_options *options,
                  int out_fd, struct diag *diag) MUST_CHECK;

/* The whole of the compiler process (weft-compiler): confines itself, then
 * compiles what compile_get put into its descriptors. Returns its exit code. */
int compile_main(int argc, char **argv) MUST_CHECK;

/* ------------------------------------------------- without LLVM: cache and process */

/* Address space of images, in units of ABI_IMAGE_ADDRESS_UNIT from the first address on. */
struct compile_range {
    uint64_t first, count;
};
#define COMPILE_RANGE_MAX 128u /* units of the largest image */

/* Who else gives addresses away, beside the cache's directory: a cluster's store. id: the
 * image's, as in the report. */
struct compile_addresses {
    /* -EEXIST: some of it is another image's. For the same image again is fine. */
    int (*take)(void *context, const char *id, struct compile_range range, struct diag *diag);
    /* What was taken last: its compilation failed. */
    void (*give_back)(void *context, const char *id, struct compile_range range);
};

struct compile_request {
    const uint8_t *bytes;
    size_t count;
    struct compile_options options; /* address is chosen by the cache */
    const char *cache_directory;    /* NULL: compile_cache_directory() */
    const char *compiler;           /* path of weft-compiler; NULL: beside this program */
    uint64_t memory_bytes_max;      /* of the compiler; 0: default */
    unsigned seconds_max;           /* 0: default */
    const struct compile_addresses *addresses; /* NULL: the cache alone */
    /* Asked several times a second while the compiler runs: true ends it, and compile_get
     * with -ECANCELED. NULL: never. */
    bool (*is_unwanted)(void *context);
    void *context; /* of both */
};

struct compile_report {
    bool was_cached;
    uint64_t wall_ns;
    uint64_t cpu_ns; /* of the compiler; 0 if cached */
    uint64_t memory_bytes_peak;
    uint64_t image_bytes;
    struct compile_range range;
    char id[65]; /* hexadecimal name of the image: SHA-256 of module, options, version */
};

/* $WEFT_CACHE, or $XDG_CACHE_HOME/weft, or ~/.cache/weft. Static storage. */
const char *compile_cache_directory(void);

/* Opens the image of a module, compiled now if the cache has none. Several
 * processes may ask at the same time; each image is compiled once and gets an
 * address of its own in this cache, and among request->addresses: one that is cached at
 * an address that they have given to another is compiled again. The caller closes
 * *image_fd (read-only). -ETIMEDOUT, -ENOMEM: the compiler hit its limit, diag names it.
 * -ECANCELED. A failed compilation leaves nothing in the cache. */
int compile_get(const struct compile_request *request, int *image_fd, struct compile_report *report,
                struct diag *diag) MUST_CHECK;

#endif
