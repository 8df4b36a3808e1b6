/* SPDX-License-Identifier: Apache-2.0
 *
 * compile, inside: from a module to objects in memory.
 *
 *   plan    what every partition must agree on: layout, names, references
 *   unit    one partition: one LLVM context and module, on one thread
 *   emitter one function being translated
 *
 *   plan -> units: emit -> optimise -> base becomes null -> object  -> link
 *
 * Each family of instructions is a file emit_*.c that ends with its table of
 * rules (opcode, function, argument); emit_rules.c joins them.
 */
#ifndef WEFT_COMPILE_INTERNAL_H
#define WEFT_COMPILE_INTERNAL_H

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/abi.h"
#include "base/buffer.h"
#include "base/diag.h"
#include "compile/compile.h"
#include "wasm/wasm.h"

/* ---------------------------------------------------------------------- source */

/* One row of the module's line table: holds from its address to the next row's. */
struct compile_row {
    uint32_t address; /* from the start of the code section's contents */
    uint32_t line;    /* 0: not known from here on */
    uint32_t column;
    uint32_t file;
};

struct compile_source {
    struct compile_row *rows; /* owned; by address */
    char **files;             /* owned */
    uint32_t row_count, row_capacity, file_count, file_capacity;
};

/* Reads the DWARF of a module; what is missing or broken gives fewer rows. */
void compile_source_read(const struct wasm_module *module, struct compile_source *source);
void compile_source_fini(struct compile_source *source);
/* The row that holds at an address, or UINT32_MAX. */
uint32_t compile_source_find(const struct compile_source *source, uint32_t address);

/* ------------------------------------------------------------------------ plan */

struct compile_plan {
    const struct wasm_module *module;
    const struct compile_options *options;
    enum abi_mode mode; /* THREADED where STANDALONE is asked for and memory is shared */
    struct abi_layout layout;
    struct compile_source source;
    uint32_t *references; /* function index -> place in abi_meta.functions, or none */
    uint32_t *referenced; /* its inverse: function index per reference */
    uint32_t reference_count;
    int64_t *table_base;    /* not LINKED: GS offset of each table's entries */
    uint32_t payload_slots; /* argument slots of the largest exception */
    bool has_exceptions;
    bool has_tail_calls;
    bool use_tailcc;
    bool is_memory_mapped; /* active data segments are in the image's initial pages */
    uint32_t partition_count;
    uint32_t *partition_first; /* first function of each, and one past the last */
};

#define PLAN_NO_REFERENCE UINT32_MAX

int compile_plan_create(const struct wasm_module *module, const struct compile_options *options,
                        struct compile_plan **out, struct diag *diag) MUST_CHECK;
void compile_plan_destroy(struct compile_plan *plan);

/* The name section's name, or the first it is exported by; may be empty. */
const struct wasm_string *compile_function_name(const struct wasm_module *module,
                                                uint32_t function);

/* The symbol of a function: its name, or "function", and its index. */
void compile_symbol(const struct compile_plan *plan, uint32_t function, char *out, size_t size);

/* The contents of .weft.meta and .weft.memory. */
int compile_meta_write(const struct compile_plan *plan, struct buffer *meta,
                       struct buffer *memory) MUST_CHECK;

/* The value of a constant expression that is one iXX.const; false otherwise. */
bool compile_constant_offset(const struct wasm_module *module, struct wasm_code code,
                             uint32_t *value);

/* ------------------------------------------------------------------------ unit */

struct unit_types {
    LLVMTypeRef void_, i1, i8, i16, i32, i64, f32, f64;
    LLVMTypeRef v128; /* <2 x i64>: how a v128 is kept */
    LLVMTypeRef v16i8, v8i16, v4i32, v2i64, v4f32, v2f64;
    LLVMTypeRef pointer; /* code and the host's data */
    LLVMTypeRef guest;   /* address space 256: GS */
};

/* What a memory access may alias: accesses of different kinds never do. */
enum unit_alias {
    ALIAS_MEMORY,  /* linear memory */
    ALIAS_CONTEXT, /* arguments, sizes, exceptions */
    ALIAS_GLOBAL,
    ALIAS_TABLE,    /* entries and counts */
    ALIAS_CONSTANT, /* what never changes while an instance lives */
    ALIAS_COUNT
};

struct unit {
    const struct compile_plan *plan;
    const struct wasm_module *module;
    LLVMContextRef context;
    LLVMModuleRef llvm;
    LLVMBuilderRef builder;
    LLVMTargetMachineRef machine;
    struct unit_types types;
    LLVMValueRef *functions; /* declared on first use, by index */
    LLVMTypeRef *signatures; /* LLVM function type by module type, on first use */
    LLVMValueRef base;       /* the opaque base functions */
    LLVMValueRef frame;
    LLVMValueRef call; /* weft_call */
    LLVMValueRef alias[ALIAS_COUNT];
    unsigned tbaa_kind, prof_kind;
    LLVMValueRef unlikely;       /* branch weights of checks */
    struct compile_lines *lines; /* source lines of the module, or NULL */
    uint32_t partition;
    bool has_conversions; /* between f32 and f64 */
};

#define UNIT_BASE   "weft_base"  /* the opaque base of linear memory */
#define UNIT_FRAME  "weft_frame" /* and that of everything beside it */
#define GUEST_SPACE 256u         /* LLVM's name for the GS segment */

int unit_create(const struct compile_plan *plan, uint32_t partition, struct unit **out,
                struct diag *diag) MUST_CHECK;
void unit_destroy(struct unit *unit);

/* Emits the partition's functions, and in partition 0 also start, init,
 * wrappers, import stubs, code table and the two data sections. */
int unit_emit(struct unit *unit, struct diag *diag) MUST_CHECK;
int unit_emit_glue(struct unit *unit, struct diag *diag) MUST_CHECK;

/* Shows every instruction of the unit to `visit`, which may put others behind it; the
 * builder is one to do that with. */
typedef void (*unit_visit_fn)(LLVMBuilderRef builder, LLVMValueRef instruction);
void unit_visit(struct unit *unit, unit_visit_fn visit);

/* Additions that the guest compiler wrote as `or` are marked as such (disjoint.c); where locals
 * are values already. */
void unit_mark_disjoint(struct unit *unit);

/* Moves the start of a vectorised sum behind the sum (reduction.c). */
void unit_split_sums(struct unit *unit);

/* Optimises and generates the object, which the caller disposes of. */
int unit_object(struct unit *unit, LLVMMemoryBufferRef *out, struct diag *diag) MUST_CHECK;

/* Loads for which a loop waits are made each time; where locals are values already (spin.c). */
void unit_keep_spins(struct unit *unit);

/* Hides from LLVM what it is known to get wrong: before it optimises, where locals are
 * values already; and before it generates code. */
void unit_shield_conversions(struct unit *unit);
void unit_shield_atomics(struct unit *unit);

LLVMTypeRef unit_type(const struct unit *unit, uint8_t wasm_type);
/* Parameters before the module's own: in LINKED images the context, then, where
 * there are several results, the area for all but the first: it is the caller's,
 * whose context is not the callee's. In THREADED images the thread's context alone. */
uint32_t unit_hidden_count(const struct unit *unit, const struct wasm_func_type *type);
/* How many of the module's parameters are LLVM's: under tailcc those before the first
 * that has no register. The others are in the argument area of the callee's context. */
uint32_t unit_register_params(const struct unit *unit, const struct wasm_func_type *type);
LLVMTypeRef unit_signature(struct unit *unit, uint32_t type);
LLVMTypeRef unit_signature_of(struct unit *unit, const struct wasm_func_type *type);
LLVMValueRef unit_function(struct unit *unit, uint32_t index);
/* Gives a function of the module, or a call of one, its calling convention. */
void unit_set_convention(struct unit *unit, LLVMValueRef function);
void unit_set_call_convention(struct unit *unit, LLVMValueRef call);
LLVMValueRef unit_intrinsic(struct unit *unit, const char *name, LLVMTypeRef *types,
                            unsigned count);
void unit_set_attribute(struct unit *unit, LLVMValueRef function, const char *name,
                        const char *value);
void unit_set_flag(struct unit *unit, LLVMValueRef function, const char *name, uint64_t value);
/* What every guest function has: CPU, unwind tables, stack probes, no realigning. */
void unit_guest_attributes(struct unit *unit, LLVMValueRef function);

/* Source lines: the module's DWARF, as locations of the instructions emitted.
 * open and close bracket one function; place is the wasm byte position. */
int compile_lines_create(struct unit *unit) MUST_CHECK;
void compile_lines_destroy(struct unit *unit);
void compile_lines_open(struct unit *unit, uint32_t function);
void compile_lines_place(struct unit *unit, uint32_t position);
void compile_lines_close(struct unit *unit);
void compile_lines_finish(struct unit *unit);

/* Joins objects to an ELF image at options->address, written to out_fd. */
int compile_link(const struct compile_options *options, LLVMMemoryBufferRef *objects,
                 unsigned count, int out_fd, struct diag *diag) MUST_CHECK;

/* --------------------------------------------------------------------- emitter */

enum frame_kind {
    FRAME_FUNCTION,
    FRAME_BLOCK,
    FRAME_LOOP,
    FRAME_IF,
    FRAME_ELSE,
    FRAME_TRY,
    FRAME_CATCH,
};

struct emit_frame {
    enum frame_kind kind;
    struct wasm_func_type type;
    LLVMBasicBlockRef target;   /* where a branch to its label goes */
    LLVMBasicBlockRef end;      /* what follows it; NULL for a loop: it falls through */
    LLVMValueRef *phis;         /* owned; one per value of the label, in target */
    LLVMBasicBlockRef other;    /* if: the else block; try: where the next catch continues */
    LLVMValueRef *params;       /* owned; if: for the else branch */
    LLVMBasicBlockRef dispatch; /* try: tests which catch an exception is for */
    LLVMBasicBlockRef landing;  /* try: where invokes unwind to; made on first use */
    LLVMValueRef *caught;       /* owned; catch: tag, then payload slots, for rethrow */
    uint32_t height;            /* of the value stack below its parameters */
};

struct emitter {
    struct unit *unit;
    const struct wasm_module *module;
    const struct wasm_function *function;
    struct unit_types *types;
    LLVMBuilderRef builder;
    LLVMValueRef llvm;    /* the LLVM function */
    LLVMValueRef memory;  /* base of linear memory */
    LLVMValueRef frame;   /* base of everything beside it */
    LLVMValueRef context; /* GS offset of the context, i64; THREADED: the thread's */
    LLVMValueRef process; /* of the one with tables, segments and memory's record, i64 */
    LLVMValueRef results; /* GS offset of the area for results after the first, i64 */
    LLVMValueRef *locals; /* allocas */
    uint8_t *local_types;
    LLVMValueRef *stack;
    uint32_t stack_count, stack_capacity;
    struct emit_frame *frames;
    uint32_t frame_count, frame_capacity;
    uint32_t dead_depth; /* blocks opened in unreachable code */
    bool is_dead;
};

typedef void (*emit_fn)(struct emitter *emitter, const struct wasm_instr *instr, int argument);

struct emit_rule {
    uint32_t opcode;
    emit_fn emit;
    int argument;
};

/* NULL for an opcode that no family handles (control flow is emit_control.c's). */
const struct emit_rule *emit_rule_find(uint32_t opcode);

/* Each ends with opcode 0xffffffff. */
extern const struct emit_rule emit_rules_numeric[];
extern const struct emit_rule emit_rules_memory[];
extern const struct emit_rule emit_rules_variable[];
extern const struct emit_rule emit_rules_table[];
extern const struct emit_rule emit_rules_call[];
extern const struct emit_rule emit_rules_simd[];
extern const struct emit_rule emit_rules_atomic[];
#define EMIT_RULES_END {UINT32_MAX, NULL, 0}

/* Translates one defined function. */
int emit_function(struct unit *unit, uint32_t index, struct diag *diag) MUST_CHECK;

/* Translates a constant expression at the builder's place; the emitter must be
 * one that emit_open prepared. */
LLVMValueRef emit_expression(struct emitter *emitter, struct wasm_code code);

/* Prepares an emitter for code that is no wasm function (init, wrappers, stubs):
 * positions the builder in a new entry block of llvm. */
void emit_open(struct emitter *emitter, struct unit *unit, LLVMValueRef llvm);
void emit_close(struct emitter *emitter);

/* Structured control, and everything that leaves the straight line. Knows which
 * instructions to skip where code is unreachable. */
bool emit_control(struct emitter *emitter, const struct wasm_instr *instr);
/* After an instruction that does not fall through. */
void emit_unreachable_rest(struct emitter *emitter);
struct emit_frame *emit_frame_push(struct emitter *emitter, enum frame_kind kind,
                                   const struct wasm_func_type *type);
void emit_frame_pop(struct emitter *emitter);
struct emit_frame *emit_frame_at(struct emitter *emitter, uint32_t label);
/* Branches to a label, with its values from the top of the stack. */
void emit_branch(struct emitter *emitter, const struct emit_frame *frame);
/* Leaves the frame's block: what follows continues at its end. */
void emit_finish_block(struct emitter *emitter);

/* Exceptions. The landing block for calls here, or NULL: to the caller. */
LLVMBasicBlockRef emit_landing(struct emitter *emitter);
void emit_try(struct emitter *emitter, const struct wasm_instr *instr);
void emit_catch(struct emitter *emitter, const struct wasm_instr *instr);
void emit_delegate(struct emitter *emitter, const struct wasm_instr *instr);
void emit_throw(struct emitter *emitter, const struct wasm_instr *instr);
void emit_rethrow(struct emitter *emitter, const struct wasm_instr *instr);
/* At the end of a try: what no catch took goes on outwards. */
void emit_try_end(struct emitter *emitter);

/* Value stack. */
void emit_push(struct emitter *emitter, LLVMValueRef value);
LLVMValueRef emit_pop(struct emitter *emitter);

/* Small words. */
/* Zeroed memory; the compiler process ends where there is none. */
void *emit_allocate(size_t count, size_t size);
LLVMValueRef emit_i32(const struct emitter *emitter, uint32_t value);
LLVMValueRef emit_i64(const struct emitter *emitter, uint64_t value);
LLVMBasicBlockRef emit_block(struct emitter *emitter, const char *name);
/* Calls an overloaded intrinsic on `type` with count arguments. */
LLVMValueRef emit_intrinsic(struct emitter *emitter, const char *name, LLVMTypeRef type,
                            LLVMValueRef *args, unsigned count);
/* Traps when the i1 is true. */
void emit_trap_if(struct emitter *emitter, LLVMValueRef condition, enum abi_trap trap);
void emit_trap(struct emitter *emitter, enum abi_trap trap);
/* The value as it was read, however often it is used: where threads write to what it was read
 * from, LLVM might else read again between a check and its use. */
LLVMValueRef emit_fixed(struct emitter *emitter, LLVMValueRef value);
/* The value, which LLVM can no longer see through. */
LLVMValueRef emit_opaque(struct emitter *emitter, LLVMValueRef value);

/* Addresses in address space 256. */
LLVMValueRef emit_guest_address(struct emitter *emitter, LLVMValueRef offset); /* i64 GS offset */
LLVMValueRef emit_context_address(struct emitter *emitter, uint64_t offset);
/* What all threads have in common. */
LLVMValueRef emit_process_address(struct emitter *emitter, uint64_t offset);
/* Linear memory: pops nothing; index is the i32 operand. */
LLVMValueRef emit_memory_address(struct emitter *emitter, LLVMValueRef index, uint32_t offset);
LLVMValueRef emit_load(struct emitter *emitter, LLVMTypeRef type, LLVMValueRef address,
                       enum unit_alias alias, unsigned align);
LLVMValueRef emit_store(struct emitter *emitter, LLVMValueRef value, LLVMValueRef address,
                        enum unit_alias alias, unsigned align);
/* A load or store that the program wrote, of its linear memory: strict traps
 * make it volatile. */
LLVMValueRef emit_memory_load(struct emitter *emitter, LLVMTypeRef type, LLVMValueRef address);
void emit_memory_store(struct emitter *emitter, LLVMValueRef value, LLVMValueRef address);

/* The GS offset of what is at this offset in the context. */
LLVMValueRef emit_area(struct emitter *emitter, uint64_t offset);
/* Slots of such an area (of arguments, of an exception): values first to count of a
 * list of types. */
void emit_slots_store(struct emitter *emitter, LLVMValueRef area, const uint8_t *value_types,
                      uint32_t first, uint32_t count, LLVMValueRef *values);
void emit_slots_load(struct emitter *emitter, LLVMValueRef area, const uint8_t *value_types,
                     uint32_t first, uint32_t count, LLVMValueRef *values);

/* A leaf helper of the header. Arguments are i64. */
LLVMValueRef emit_helper(struct emitter *emitter, enum abi_helper helper, LLVMValueRef *args,
                         unsigned count);
/* weft_call. */
void emit_leave(struct emitter *emitter, uint32_t call);

LLVMValueRef emit_global_address(struct emitter *emitter, uint32_t index);
LLVMValueRef emit_table_base(struct emitter *emitter, uint32_t index);         /* i64 GS offset */
LLVMValueRef emit_table_count(struct emitter *emitter, uint32_t index);        /* i32 */
LLVMValueRef emit_function_reference(struct emitter *emitter, uint32_t index); /* i64 */
LLVMValueRef emit_tag_identity(struct emitter *emitter, uint32_t tag);         /* i64 */
/* Calls code at an address or a known function, with invoke inside a try. */
LLVMValueRef emit_call(struct emitter *emitter, LLVMTypeRef type, LLVMValueRef code,
                       LLVMValueRef *args, unsigned count);

#endif
