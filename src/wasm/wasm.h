/* SPDX-License-Identifier: Apache-2.0
 *
 * wasm: bytes -> decoded, validated, immutable module. No I/O, no recursion.
 *
 * The words are the specification's (WebAssembly 2.0, with the threads, tail
 * call, extended constant, relaxed SIMD and legacy exception proposals).
 * Anything else is refused by naming the feature. A module borrows the bytes it
 * was made from: they must outlive it and not change.
 *
 * wasm_module_create does both decoding and validation; whoever holds a module
 * may walk its function bodies with a cursor and trust what it says.
 */
#ifndef WEFT_WASM_H
#define WEFT_WASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"

/* Value types, as in the binary format. WASM_BOTTOM is only seen by validation. */
enum wasm_type {
    WASM_I32 = 0x7f,
    WASM_I64 = 0x7e,
    WASM_F32 = 0x7d,
    WASM_F64 = 0x7c,
    WASM_V128 = 0x7b,
    WASM_FUNCREF = 0x70,
    WASM_EXTERNREF = 0x6f,
    WASM_BOTTOM = 0,
};

/* Every count and size has a limit; a module past one is refused by name. */
#define WASM_MODULE_BYTES_MAX (UINT64_C(1) << 30)
#define WASM_TYPES_MAX        100000u
#define WASM_FUNCTIONS_MAX    1000000u
#define WASM_IMPORTS_MAX      100000u
#define WASM_EXPORTS_MAX      100000u
#define WASM_GLOBALS_MAX      65536u
#define WASM_TABLES_MAX       256u
#define WASM_TAGS_MAX         10000u
#define WASM_SEGMENTS_MAX     100000u
#define WASM_ELEMENTS_MAX     10000000u /* entries of one segment */
#define WASM_LOCALS_MAX       50000u    /* of one function, parameters included */
#define WASM_VALUES_MAX       1000u     /* parameters, or results, of one type */
#define WASM_BODY_BYTES_MAX   (128u << 20)
#define WASM_BLOCK_DEPTH_MAX  100000u
#define WASM_BR_TABLE_MAX     1000000u
#define WASM_PAGES_MAX        65536u
#define WASM_NAME_BYTES_MAX   100000u
#define WASM_CUSTOMS_MAX      100000u
#define WASM_STACK_VALUES_MAX 1000000u /* operands of one function at a time */

/* Features that a module uses; wasm_module_features. */
enum wasm_feature {
    WASM_FEATURE_MULTI_VALUE = 1 << 0,
    WASM_FEATURE_BULK_MEMORY = 1 << 1,
    WASM_FEATURE_REFERENCE_TYPES = 1 << 2,
    WASM_FEATURE_SIGN_EXTENSION = 1 << 3,
    WASM_FEATURE_SATURATING = 1 << 4,
    WASM_FEATURE_SIMD = 1 << 5,
    WASM_FEATURE_THREADS = 1 << 6,
    WASM_FEATURE_TAIL_CALL = 1 << 7,
    WASM_FEATURE_EXTENDED_CONST = 1 << 8,
    WASM_FEATURE_RELAXED_SIMD = 1 << 9,
    WASM_FEATURE_EXCEPTIONS = 1 << 10,
};

struct wasm_string { /* UTF-8, checked; not terminated; points into the module's bytes */
    const char *bytes;
    uint32_t count;
};

struct wasm_func_type {
    const uint8_t *params; /* enum wasm_type each; in the module's bytes */
    const uint8_t *results;
    uint32_t param_count;
    uint32_t result_count;
    uint32_t canonical; /* index of the first type with the same signature */
};

struct wasm_limits {
    uint64_t min;
    uint64_t max; /* where has_max */
    bool has_max;
    bool is_shared;
};

enum wasm_kind { /* the binary format's numbers */
                 WASM_KIND_FUNCTION = 0,
                 WASM_KIND_TABLE = 1,
                 WASM_KIND_MEMORY = 2,
                 WASM_KIND_GLOBAL = 3,
                 WASM_KIND_TAG = 4,
};

struct wasm_import {
    struct wasm_string module, name;
    enum wasm_kind kind;
    uint32_t index; /* in its kind's index space */
};

struct wasm_export {
    struct wasm_string name;
    enum wasm_kind kind;
    uint32_t index;
};

/* A piece of code: instructions with their `end`, as offsets into the bytes. */
struct wasm_code {
    uint32_t first;
    uint32_t end; /* one past the last byte */
};

struct wasm_local_group {
    uint32_t count;
    uint8_t type;
};

struct wasm_function {
    uint32_t type;
    bool is_imported;
    bool is_declared;      /* may be a value: exported, in an element segment or global, ref.func */
    struct wasm_code code; /* after the local declarations */
    const struct wasm_local_group *locals; /* without the parameters; owned by the module */
    uint32_t local_group_count;
    uint32_t local_count;    /* with the parameters */
    struct wasm_string name; /* from the name section; may be empty */
};

struct wasm_table {
    struct wasm_limits limits;
    uint8_t type;
    bool is_imported;
};

struct wasm_memory {
    struct wasm_limits limits; /* pages */
    bool is_imported;
};

struct wasm_global {
    uint8_t type;
    bool is_mutable;
    bool is_imported;
    struct wasm_code init;
};

struct wasm_tag {
    uint32_t type;
    bool is_imported;
};

enum wasm_segment_mode {
    WASM_SEGMENT_ACTIVE,
    WASM_SEGMENT_PASSIVE,
    WASM_SEGMENT_DECLARATIVE,
};

struct wasm_data {
    enum wasm_segment_mode mode;
    struct wasm_code offset; /* of an active one */
    const uint8_t *bytes;
    uint32_t byte_count;
};

struct wasm_element {
    enum wasm_segment_mode mode;
    uint8_t type;
    uint32_t table;
    struct wasm_code offset;
    uint32_t entry_count;
    const struct wasm_code *exprs; /* owned; NULL where entries are function indices */
    const uint32_t *functions;     /* owned; NULL where entries are expressions */
};

struct wasm_custom {
    struct wasm_string name;
    const uint8_t *bytes;
    uint32_t byte_count;
};

struct wasm_module {
    const uint8_t *bytes;
    size_t byte_count;
    uint32_t features; /* enum wasm_feature, used ones */

    /* Index spaces, imports first. All arrays are owned by the module. */
    struct wasm_func_type *types;
    struct wasm_function *functions;
    struct wasm_table *tables;
    struct wasm_memory *memories; /* at most one */
    struct wasm_global *globals;
    struct wasm_tag *tags;
    struct wasm_import *imports;
    struct wasm_export *exports;
    struct wasm_data *data;
    struct wasm_element *elements;
    struct wasm_custom *customs;
    uint32_t type_count, function_count, table_count, memory_count, global_count, tag_count,
        import_count, export_count, data_count, element_count, custom_count;
    uint32_t imported_function_count, imported_table_count, imported_memory_count,
        imported_global_count, imported_tag_count;
    bool has_start;
    uint32_t start;
    uint32_t code_section_first; /* offset of the code section's contents: DWARF's zero */
};

/* Decodes and validates. On failure -EINVAL (malformed or invalid), -ENOTSUP (a
 * feature Weft does not have), -E2BIG (a limit), -ENOMEM; diag: what, at which
 * byte offset ("at byte 0x1a2: type mismatch: expected i32, found f32"). For
 * -EINVAL, *is_malformed (may be NULL) says whether the binary format was
 * broken, as opposed to the validation rules. */
int wasm_module_create(const uint8_t *bytes, size_t count, struct wasm_module **out,
                       bool *is_malformed, struct diag *diag) MUST_CHECK;
void wasm_module_destroy(struct wasm_module *module); /* NULL is fine */

/* "i32", "funcref"... */
const char *wasm_type_name(uint8_t type);
/* "simd"; bit is one enum wasm_feature. */
const char *wasm_feature_name(uint32_t bit);

/* ---------------------------------------------------------------- instructions */

/* One-byte opcodes as they are; prefixed ones as prefix << 16 | number, e.g.
 * i8x16.shuffle (0xfd 0x0d) is 0xfd000d. */
enum wasm_opcode {
#define WASM_OPCODE(name, code, immediate, signature, feature, text) WASM_##name = code,
#include "wasm/opcodes.def"
#undef WASM_OPCODE
};

/* What follows an opcode; which field of struct wasm_instr is set. */
enum wasm_immediate {
    WASM_IMM_NONE,
    WASM_IMM_BLOCK,       /* block */
    WASM_IMM_INDEX,       /* index: label, function, local, global, table, tag, segment ... */
    WASM_IMM_INDEX2,      /* index, index2: call_indirect (type, table), table.copy (dst, src),
                             table.init (segment, table), memory.init (segment, memory) */
    WASM_IMM_BR_TABLE,    /* targets, target_count; the last is the default */
    WASM_IMM_SELECT,      /* type */
    WASM_IMM_REF_TYPE,    /* type */
    WASM_IMM_MEMARG,      /* offset, align (exponent) */
    WASM_IMM_MEMARG_LANE, /* offset, align, lane */
    WASM_IMM_MEMORY,      /* index (always 0): memory.size, grow, fill */
    WASM_IMM_MEMORY2,     /* memory.copy: index, index2 */
    WASM_IMM_I32,         /* value.i32 */
    WASM_IMM_I64,
    WASM_IMM_F32,   /* value.i32: the bits */
    WASM_IMM_F64,   /* value.i64: the bits */
    WASM_IMM_V128,  /* value.bytes; also the 16 lanes of shuffle */
    WASM_IMM_LANE,  /* lane */
    WASM_IMM_FENCE, /* one zero byte */
};

struct wasm_instr {
    uint32_t opcode;
    uint32_t position; /* byte offset of the opcode in the module */
    uint32_t index, index2;
    uint32_t offset; /* of a memarg */
    uint8_t align, lane, type;
    struct wasm_func_type block; /* of block, loop, if, try: params and results */
    uint32_t target_count;       /* labels with the default */
    const uint32_t *targets;     /* owned by the cursor, until the next instruction */
    union {
        int32_t i32;
        int64_t i64;
        uint8_t bytes[16];
    } value;
};

/* Walks code that is part of a valid module. */
struct wasm_cursor {
    const struct wasm_module *module;
    uint32_t position;
    uint32_t end;
    uint32_t *targets; /* owned */
    uint32_t target_capacity;
};

void wasm_cursor_init(struct wasm_cursor *cursor, const struct wasm_module *module,
                      struct wasm_code code);
void wasm_cursor_fini(struct wasm_cursor *cursor);

/* 1: *instr is the next instruction (the final `end` included); 0: after the
 * last; -ENOMEM. */
int wasm_cursor_next(struct wasm_cursor *cursor, struct wasm_instr *instr) MUST_CHECK;

/* Static facts of an opcode; NULL if there is none such. */
struct wasm_opcode_info {
    uint32_t opcode;
    enum wasm_immediate immediate;
    const char *signature; /* "ii:i" with i I f F v r; "*" where it depends on context */
    uint32_t feature;      /* enum wasm_feature, or 0 */
    const char *text;      /* "i32.add" */
};
const struct wasm_opcode_info *wasm_opcode_info(uint32_t opcode);

#endif
