/* SPDX-License-Identifier: Apache-2.0
 *
 * wasm, inside: the reader, instruction decoding, and what decoding and
 * validation share.
 *
 *   module.c    life of a module: decode everything, then validate everything
 *   section.c   the order of sections; section_*.c their contents
 *   reader.c    bytes, LEB128, names; error.c what a failure says
 *   instruction.c  one instruction; scan of an expression's structure; cursor
 *   validate.c  the rules for what is outside of expressions
 *   check.c     the rules for expressions: a value stack and a control stack;
 *   check_*.c   the rules of single instructions
 */
#ifndef WEFT_WASM_INTERNAL_H
#define WEFT_WASM_INTERNAL_H

#include <errno.h>

#include "wasm/wasm.h"

/* ---------------------------------------------------------------------- errors */

/* What went wrong first; one per wasm_module_create. */
struct wasm_fail {
    struct diag diag;
    bool is_malformed;
};

/* Bytes from position to end. fail is NULL where the bytes are known good. */
struct wasm_reader {
    const uint8_t *bytes; /* the whole module's; borrowed */
    uint32_t position;
    uint32_t end;
    struct wasm_fail *fail; /* borrowed */
};

/* Proposals that Weft does not have, each with advice. */
enum wasm_missing {
    WASM_MISSING_GC,
    WASM_MISSING_FUNCTION_REFERENCES,
    WASM_MISSING_MEMORY64,
    WASM_MISSING_MULTI_MEMORY,
    WASM_MISSING_EXNREF,
    WASM_MISSING_COMPONENT,
    WASM_MISSING_STACK_SWITCHING,
    WASM_MISSING_WIDE_ARITHMETIC,
    WASM_MISSING_HALF_PRECISION,
    WASM_MISSING_SHARED_EVERYTHING,
    WASM_MISSING_CUSTOM_PAGE_SIZES,
    WASM_MISSING_RELAXED_BFLOAT16,
    WASM_MISSING_COUNT
};

/* Each says "at byte 0x...: text" and returns the error. malformed and invalid:
 * -EINVAL; too_big: -E2BIG. */
int wasm_malformed(struct wasm_fail *fail, uint32_t position, const char *format, ...)
    PRINTF_LIKE(3, 4);
int wasm_invalid(struct wasm_fail *fail, uint32_t position, const char *format, ...)
    PRINTF_LIKE(3, 4);
int wasm_too_big(struct wasm_fail *fail, uint32_t position, const char *format, ...)
    PRINTF_LIKE(3, 4);
int wasm_no_memory(struct wasm_fail *fail);

/* -ENOTSUP: "text: Weft does not have <proposal>; <advice>". is_malformed: the
 * bytes, as opposed to the meaning, are the proposal's. */
int wasm_unsupported(struct wasm_fail *fail, uint32_t position, enum wasm_missing missing,
                     bool is_malformed, const char *text);

/* ---------------------------------------------------------------------- reader */

int wasm_read_u32_slow(struct wasm_reader *reader, uint32_t *out) MUST_CHECK;
int wasm_read_signed(struct wasm_reader *reader, unsigned bits, int64_t *out) MUST_CHECK;
int wasm_read_bytes(struct wasm_reader *reader, uint32_t count, const uint8_t **out) MUST_CHECK;
int wasm_read_name(struct wasm_reader *reader, struct wasm_string *out) MUST_CHECK;

/* A count of things of which each takes at least item_bytes; refused before
 * anything is allocated where the bytes cannot hold them, or past the limit. */
int wasm_read_count(struct wasm_reader *reader, uint32_t item_bytes, uint32_t limit,
                    const char *what, uint32_t *out) MUST_CHECK;

static inline uint32_t
wasm_reader_left(const struct wasm_reader *reader)
{
    return reader->end - reader->position;
}

static inline int
wasm_read_byte(struct wasm_reader *reader, uint8_t *out)
{
    if (reader->position == reader->end) {
        (void)wasm_malformed(reader->fail, reader->position, "unexpected end");
        return -EINVAL;
    }
    *out = reader->bytes[reader->position++];
    return 0;
}

static inline int
wasm_read_u32(struct wasm_reader *reader, uint32_t *out)
{
    if (reader->position < reader->end && reader->bytes[reader->position] < 0x80) {
        *out = reader->bytes[reader->position++];
        return 0;
    }
    return wasm_read_u32_slow(reader, out);
}

/* ----------------------------------------------------------------------- types */

bool wasm_type_is_reference(uint8_t type);
bool wasm_type_is_value(uint8_t type);
int wasm_read_value_type(struct wasm_reader *reader, uint8_t *out) MUST_CHECK;
int wasm_read_reference_type(struct wasm_reader *reader, uint8_t *out) MUST_CHECK;

/* -ENOTSUP where the byte is a type of a proposal, else "malformed value type". */
int wasm_bad_value_type(struct wasm_fail *fail, uint32_t position, uint8_t type);

/* ---------------------------------------------------------------- instructions */

/* All opcodes in one array: one-byte ones, then each prefix's. */
#define WASM_SLOT_COUNT 0x390u
#define WASM_SLOT(code) \
    ((code) < 0x100         ? (code) \
     : (code) >> 16 == 0xfc ? 0x100 + ((code) & 0xffff) \
     : (code) >> 16 == 0xfd ? 0x120 + ((code) & 0xffff) \
                            : 0x340 + ((code) & 0xffff))

/* Where block types and branch targets of an instruction are put. */
struct wasm_targets {
    uint32_t *labels; /* owned */
    uint32_t capacity;
};

/* instr.index of a block whose type is written out; else it is a type index, and
 * instr.block is not set. */
#define WASM_BLOCK_INLINE UINT32_MAX

/* Reads one instruction; what its indices refer to is not looked at. */
int wasm_instr_decode(struct wasm_reader *reader, struct wasm_targets *targets,
                      struct wasm_instr *instr) MUST_CHECK;

/* Whether opcode (else, catch, catch_all, delegate) may go on after a part that
 * was begun by `block` (if, else, try, catch ...). */
bool wasm_block_continues(uint32_t block, uint32_t opcode);

/* Reads an expression up to its end, looking at structure only. */
int wasm_code_scan(struct wasm_reader *reader, struct wasm_code *out) MUST_CHECK;

/* log2 of the bytes that a memory instruction accesses. */
unsigned wasm_opcode_access(uint32_t opcode);

/* Lanes of the vector that a lane instruction looks at. */
unsigned wasm_opcode_lanes(uint32_t opcode);

/* -------------------------------------------------------------------- decoding */

/* Numbers of sections in the binary format. */
enum wasm_section_id {
    WASM_SECTION_CUSTOM,
    WASM_SECTION_TYPE,
    WASM_SECTION_IMPORT,
    WASM_SECTION_FUNCTION,
    WASM_SECTION_TABLE,
    WASM_SECTION_MEMORY,
    WASM_SECTION_GLOBAL,
    WASM_SECTION_EXPORT,
    WASM_SECTION_START,
    WASM_SECTION_ELEMENT,
    WASM_SECTION_CODE,
    WASM_SECTION_DATA,
    WASM_SECTION_DATA_COUNT,
    WASM_SECTION_TAG,
    WASM_SECTION_COUNT
};

struct wasm_decoder {
    struct wasm_module *module;
    struct wasm_reader reader;                  /* the current section */
    uint32_t section_order;                     /* of the last section that was not custom */
    uint32_t section_first[WASM_SECTION_COUNT]; /* positions, to name in errors */
    uint32_t defined_count;                     /* functions of the function section */
    uint32_t body_count;
    bool has_data_count;
    uint32_t data_count;
    uint32_t bad_data_position; /* of a data segment for a memory other than 0; else 0 */
    uint32_t bad_data_memory;
};

/* All sections, and what their counts must have in common. */
int wasm_sections_decode(struct wasm_decoder *decoder, uint32_t end) MUST_CHECK;

int wasm_section_type(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_import(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_function(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_table(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_memory(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_tag(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_global(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_export(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_start(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_element(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_data_count(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_code(struct wasm_decoder *decoder) MUST_CHECK;
int wasm_section_data(struct wasm_decoder *decoder) MUST_CHECK;

/* Types of importable things, as imports and their own sections write them. */
int wasm_read_table_type(struct wasm_reader *reader, struct wasm_table *out) MUST_CHECK;
int wasm_read_memory_type(struct wasm_reader *reader, struct wasm_memory *out) MUST_CHECK;
int wasm_read_global_type(struct wasm_reader *reader, struct wasm_global *out) MUST_CHECK;
int wasm_read_tag_type(struct wasm_reader *reader, struct wasm_tag *out) MUST_CHECK;

/* Function names of the "name" section; a broken one changes nothing. */
void wasm_names_decode(struct wasm_module *module);

/* array with room for count + extra items of size bytes, the extra ones zero; or
 * NULL, and then array is unchanged. */
void *wasm_array_extend(void *array, uint32_t count, uint32_t extra, size_t size);
/* The same for one item more, at amortised cost. */
void *wasm_array_append(void *array, uint32_t count, size_t size);

/* ------------------------------------------------------------------ validation */

/* Everything outside of function bodies, marking declared functions; then the
 * bodies. */
int wasm_validate(const struct wasm_decoder *decoder) MUST_CHECK;

/* One part of the control stack: the function, a block, loop, if, else, try,
 * catch or catch_all. */
struct wasm_frame {
    struct wasm_func_type type;
    uint32_t opcode;
    uint32_t position; /* of the instruction that began it */
    uint32_t height;   /* of the value stack below it, without parameters */
    bool is_unreachable;
};

/* Checks expressions of one module, one after another: the algorithm of the
 * specification's appendix. */
struct wasm_checker {
    struct wasm_module *module; /* borrowed; features are added */
    struct wasm_reader reader;
    struct wasm_targets targets;
    bool has_data_count;
    bool is_constant; /* only constant instructions are allowed */

    uint8_t *locals; /* owned; WASM_LOCALS_MAX + WASM_VALUES_MAX */
    uint32_t local_count;

    uint8_t *values; /* owned; WASM_BOTTOM: any type */
    uint32_t value_count;
    uint32_t value_capacity;

    struct wasm_frame *frames; /* owned */
    uint32_t frame_count;
    uint32_t frame_capacity;
};

int wasm_checker_init(struct wasm_checker *checker, struct wasm_module *module,
                      struct wasm_fail *fail) MUST_CHECK;
void wasm_checker_fini(struct wasm_checker *checker);

int wasm_check_body(struct wasm_checker *checker, struct wasm_function *function) MUST_CHECK;

/* An expression that gives one value of this type, by constant instructions. */
int wasm_check_constant(struct wasm_checker *checker, struct wasm_code code,
                        uint8_t type) MUST_CHECK;

/* The stacks; for check_*.c. instr is the instruction to blame. expected may be
 * WASM_BOTTOM: any. */
int wasm_check_pop(struct wasm_checker *checker, const struct wasm_instr *instr, uint8_t expected,
                   uint8_t *found) MUST_CHECK;
int wasm_check_push(struct wasm_checker *checker, const struct wasm_instr *instr,
                    uint8_t type) MUST_CHECK;
int wasm_check_pop_all(struct wasm_checker *checker, const struct wasm_instr *instr,
                       const uint8_t *types, uint32_t count) MUST_CHECK;
int wasm_check_push_all(struct wasm_checker *checker, const struct wasm_instr *instr,
                        const uint8_t *types, uint32_t count) MUST_CHECK;
int wasm_check_push_frame(struct wasm_checker *checker, const struct wasm_instr *instr,
                          const struct wasm_func_type *type) MUST_CHECK;
/* Ends the innermost part: its results, and nothing else, must be there. */
int wasm_check_pop_frame(struct wasm_checker *checker, const struct wasm_instr *instr,
                         struct wasm_frame *out) MUST_CHECK;
void wasm_check_unreachable(struct wasm_checker *checker);

/* -EINVAL: "unknown <what> <index>" unless index < count. */
int wasm_check_index(struct wasm_checker *checker, const struct wasm_instr *instr, uint32_t index,
                     uint32_t count, const char *what) MUST_CHECK;

/* What is particular about an instruction: indices, alignment, lanes, and the
 * stack where its signature is "*". */
typedef int (*wasm_check_fn)(struct wasm_checker *checker, const struct wasm_instr *instr);

/* By slot, NULL where nothing is; a slot is in at most one of them. */
extern const wasm_check_fn wasm_check_control[WASM_SLOT_COUNT]; /* check_control.c */
extern const wasm_check_fn wasm_check_access[WASM_SLOT_COUNT];  /* check_access.c */
/* By enum wasm_immediate. */
extern const wasm_check_fn wasm_check_immediate[WASM_IMM_FENCE + 1];

#endif
