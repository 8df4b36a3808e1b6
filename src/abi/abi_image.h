/* SPDX-License-Identifier: Apache-2.0
 *
 * abi_image: the file that the compiler makes and the runtime maps. Part of abi.h, which includes
 * it.
 */
#ifndef WEFT_ABI_IMAGE_H
#define WEFT_ABI_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "abi/abi.h"
#include "base/diag.h"
#include "base/macros.h"

/* The image: an ELF executable with fixed addresses. Besides code and unwind
 * tables (.eh_frame, .eh_frame_hdr, .gcc_except_table) and symbols, it has
 *   .weft.meta   struct abi_meta and what it refers to, by offset from its start
 *   .weft.code   uint64_t addresses of functions, relocated; see enum abi_code
 *   .weft.memory the initial pages of linear memory, file-aligned to pages
 * All arrays are {offset, count}; strings are {offset, bytes}, not terminated.
 */
#define ABI_META_SECTION   ".weft.meta"
#define ABI_CODE_SECTION   ".weft.code"
#define ABI_MEMORY_SECTION ".weft.memory"
#define ABI_META_MAGIC     0x0031474d49544657u /* "WFTIMG1" */

struct abi_range {
    uint32_t offset;
    uint32_t count;
};

/* Indices into .weft.code; then a wrapper per type, then the referenceable
 * functions in the order of abi_meta.functions. */
enum abi_code {
    ABI_CODE_START, /* weft_start: pc of a new guest stack's first frame */
    ABI_CODE_INIT,  /* () -> (): globals, active segments (once), start function, in order */
    ABI_CODE_FIXED
};

/* The binary format's numbers. */
enum abi_kind { ABI_KIND_FUNCTION, ABI_KIND_TABLE, ABI_KIND_MEMORY, ABI_KIND_GLOBAL, ABI_KIND_TAG };

struct abi_meta_type {
    struct abi_range params; /* bytes: value types of the binary format */
    struct abi_range results;
    uint32_t canonical; /* first type of this module with the same signature */
};

struct abi_meta_import {
    struct abi_range module, name;
    uint32_t kind;  /* enum abi_kind */
    uint32_t index; /* in the index space of its kind */
};

struct abi_meta_export {
    struct abi_range name;
    uint32_t kind;
    uint32_t index;
};

/* A function that may be referenced from outside or as a value: exported,
 * in an element segment, named by ref.func; every imported one too. */
struct abi_meta_function {
    uint32_t index; /* in the module */
    uint32_t type;
    uint32_t code; /* index into .weft.code */
};

struct abi_meta_memory {           /* at most one */
    uint64_t pages_min, pages_max; /* pages_max as declared, or 65536 */
    uint32_t is_imported, is_shared, has_max, pad;
};

struct abi_meta_table {
    uint32_t count_min, count_max; /* count_max as declared, or UINT32_MAX */
    uint8_t type, is_imported, has_max, pad;
};

struct abi_meta_global {
    uint8_t type, is_mutable, is_imported, pad;
};

struct abi_meta_tag {
    uint32_t type;
    uint32_t is_imported;
};

struct abi_meta_data { /* a data segment that memory.init may still use */
    struct abi_range bytes;
};

/* entries: uint32_t each: index into abi_meta.functions, or ABI_ELEMENT_NULL,
 * or ABI_ELEMENT_GLOBAL | global index (its value at instantiation). */
struct abi_meta_element {
    struct abi_range entries;
};
#define ABI_ELEMENT_NULL   UINT32_MAX
#define ABI_ELEMENT_GLOBAL UINT32_C(0x80000000)

/* Pages of .weft.memory that are mapped at instantiation, before INIT runs. */
struct abi_meta_run {
    uint32_t memory_page; /* host pages from the start of linear memory */
    uint32_t file_page;   /* host pages from the start of the section */
    uint32_t page_count;
    uint32_t pad;
};

struct abi_meta {
    uint64_t magic;
    uint32_t version;
    uint32_t mode;           /* enum abi_mode */
    uint32_t has_tail_calls; /* tailcc */
    uint32_t strict_traps;
    struct abi_range cpu;       /* "x86-64-v3" */
    struct abi_range source_id; /* 32 bytes: SHA-256 of the module */
    struct abi_range features;  /* names, comma-separated: "simd,threads" */
    struct abi_layout layout;
    struct abi_range types, imports, exports, functions, memories, tables, globals, tags, data,
        elements, runs;
    uint32_t imported_function_count;
    uint32_t max_exception_slots;
};

/* A parsed image: views into bytes that the caller keeps. */
struct abi_image {
    const uint8_t *file;
    size_t file_bytes;
    const struct abi_meta *meta;
    const uint8_t *meta_bytes; /* base of all ranges */
    size_t meta_size;
    const uint64_t *code;
    uint32_t code_count;
    uint64_t memory_file_offset; /* of .weft.memory; page-aligned */
    uint64_t memory_bytes;
    uint64_t text_first, text_end; /* addresses of executable code */
    uint64_t load_first, load_end; /* of everything */
    uint64_t eh_frame_hdr;         /* or 0 */
};

/* Checks every offset, count and index of the ELF and of the metadata, so that the
 * runtime may follow them. -EINVAL with the reason. Nothing is kept but views. */
int abi_image_parse(const uint8_t *bytes, size_t size, struct abi_image *out,
                    struct diag *diag) MUST_CHECK;

/* The bytes of a range of the image's metadata. */
static inline const void *
abi_image_range(const struct abi_image *image, struct abi_range range)
{
    return image->meta_bytes + range.offset;
}

/* Index into .weft.code of the wrapper of a type. */
static inline uint32_t
abi_code_wrapper(uint32_t type)
{
    return ABI_CODE_FIXED + type;
}

#endif
