/* SPDX-License-Identifier: Apache-2.0
 *
 * generate, inside: the plan of a module, and the function being written.
 */
#ifndef WEFT_FUZZ_GENERATE_INTERNAL_H
#define WEFT_FUZZ_GENERATE_INTERNAL_H

#include "generate.h"
#include "wasm/wasm.h"

#define TYPES_MAX     24u
#define VALUES_MAX    8u
#define FUNCTIONS_MAX 32u
#define GLOBALS_MAX   16u
#define TABLES_MAX    3u
#define TAGS_MAX      3u
#define SEGMENTS_MAX  4u
#define LOCALS_MAX    64u
#define LABELS_MAX    40u
#define SLOTS         16u /* entries of every table at first */
#define KERNEL_DEPTH  2u  /* nested loops with an index local of their own */

struct plan_type {
    uint8_t params[VALUES_MAX], results[VALUES_MAX];
    uint32_t param_count, result_count;
};

struct plan_global {
    uint8_t type;
    bool is_mutable;
};

struct plan_table {
    uint8_t type;
    bool has_max;
};

enum label_kind { LABEL_BLOCK, LABEL_LOOP, LABEL_CATCH };

struct label {
    enum label_kind kind;
    uint8_t types[VALUES_MAX]; /* what a branch to it takes */
    uint32_t count;
};

/* Imported functions, in order. */
enum import_function {
    IMPORT_LOG_I32,
    IMPORT_LOG_I64,
    IMPORT_LOG_F32,
    IMPORT_LOG_F64,
    IMPORT_LOG_REF,
    IMPORT_HASH,
    IMPORT_MIX,
    IMPORT_TWIST,
    IMPORT_COUNT
};

/* Fixed own functions, after the imports. */
enum own_function { OWN_FUEL = IMPORT_COUNT, OWN_HASH, OWN_FIRST };

struct generator {
    struct generate_options options;
    size_t position; /* in options.bytes */
    uint64_t state;  /* of the random numbers */

    struct plan_type types[TYPES_MAX];
    uint32_t type_count;
    uint32_t functions[FUNCTIONS_MAX]; /* types; imports first */
    uint32_t function_count;
    struct plan_global globals[GLOBALS_MAX]; /* 0 is the fuel */
    uint32_t global_count;
    struct plan_table tables[TABLES_MAX]; /* 0 holds functions */
    uint32_t table_count;
    uint32_t slots[SLOTS]; /* functions in table 0 at first */
    uint32_t tags[TAGS_MAX];
    uint32_t tag_count;
    uint32_t pages_min, pages_max;

    /* The function being written. */
    struct buffer *code;
    const struct plan_type *type;
    uint8_t locals[LOCALS_MAX];
    uint32_t local_count;
    uint32_t kernel_local;           /* the first of KERNEL_DEPTH index locals, after the others */
    uint32_t kernel_depth;           /* in use */
    struct label labels[LABELS_MAX]; /* innermost last */
    uint32_t label_count;
    int budget;
    unsigned depth;
    uint32_t node; /* the next expression's or statement's number */
};

/* generate.c */
uint32_t generate_choose(struct generator *g, uint32_t count); /* [0, count) */
bool generate_one_in(struct generator *g, uint32_t count);     /* false when bytes ran out */
uint64_t generate_bits(struct generator *g);
void generate_u32(struct buffer *out, uint32_t value);
void generate_s64(struct buffer *out, int64_t value);
void generate_byte(struct buffer *out, unsigned value);
void generate_opcode(struct buffer *out, uint32_t opcode);

bool generate_is_cut(const struct generator *g, uint32_t node);

/* generate_value.c: constants and operators */
void generate_i32(struct generator *g, int32_t value);
void generate_const(struct generator *g, uint8_t type);
void generate_zero(struct generator *g, uint8_t type);
void generate_operator(struct generator *g, uint8_t type);
void generate_store(struct generator *g);
void generate_kernel(struct generator *g);
void generate_masked(struct generator *g, uint32_t mask);
uint32_t generate_local(struct generator *g, uint8_t type);
void generate_indexed(struct generator *g, uint32_t opcode, uint32_t index);

/* generate_code.c: expressions, statements, control */
void generate_expression(struct generator *g, uint8_t type);
void generate_statement(struct generator *g);
void generate_body(struct generator *g);

/* generate_call.c: calls, tables, bulk operations, exceptions */
void generate_call(struct generator *g);
bool generate_call_giving(struct generator *g, uint8_t type);
void generate_tail_call(struct generator *g);
void generate_bulk(struct generator *g);
void generate_log(struct generator *g);
void generate_reference(struct generator *g, uint8_t type);
void generate_throw(struct generator *g);

#endif
