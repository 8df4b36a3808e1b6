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
    unsigned level;    /* -O: 0 to 3 */
    const char *cpu;   /* "x86-64-v2", "x86-64-v3", "x86-64-v4", "native" or an LLVM name */
    bool strict_traps; /* no load may be removed, even if its value cannot matter */
    enum abi_mode mode;
    unsigned jobs;    /* partitions compiled at the same time; 0: as cores */
    uint64_t address; /* where the image will be mapped */
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

struct compile_request {
    const uint8_t *bytes;
    size_t count;
    struct compile_options options; /* address is chosen by the cache */
    const char *cache_directory;    /* NULL: compile_cache_directory() */
    const char *compiler;           /* path of weft-compiler; NULL: beside this program */
    uint64_t memory_bytes_max;      /* of the compiler; 0: default */
    unsigned seconds_max;           /* 0: default */
};

struct compile_report {
    bool was_cached;
    uint64_t wall_ns;
    uint64_t cpu_ns; /* of the compiler; 0 if cached */
    uint64_t memory_bytes_peak;
    uint64_t image_bytes;
    char id[65]; /* hexadecimal name of the image: SHA-256 of module, options, version */
};

/* $WEFT_CACHE, or $XDG_CACHE_HOME/weft, or ~/.cache/weft. Static storage. */
const char *compile_cache_directory(void);

/* Opens the image of a module, compiled now if the cache has none. Several
 * processes may ask at the same time; each image is compiled once and gets an
 * address of its own in this cache. The caller closes *image_fd (read-only).
 * -ETIMEDOUT, -ENOMEM: the compiler hit its limit, diag names it. A failed
 * compilation leaves nothing in the cache. */
int compile_get(const struct compile_request *request, int *image_fd, struct compile_report *report,
                struct diag *diag) MUST_CHECK;

#endif
