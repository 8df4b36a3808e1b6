/* SPDX-License-Identifier: Apache-2.0
 *
 * abi: what compiled guest code and the host agree on.
 *
 * Neither the compiler nor the runtime knows the other; both know this door.
 *
 * The slot. Every Faaslet has one reservation, and compiled code reaches all of
 * it as gs:[offset], with GS at the start of linear memory:
 *
 *   lower addresses                          GS                          higher
 *   | tables | functions, context | header | linear memory, 4 GiB | guard, 4 GiB + 64 KiB |
 *                                   4 KiB
 *
 * - header: the host's. Filled whenever a Faaslet gets a slot, never frozen; the
 *   only place with host addresses.
 * - context: one per instance and thread: the fixed part below, then globals,
 *   table and segment records, function records. Plain data: offsets from GS,
 *   and addresses inside the image (an image is mapped at the same address
 *   everywhere).
 *
 * Three modes of compiled code:
 * - STANDALONE: one module in the slot. The context is at a fixed offset
 *   (abi_main_context), memory at offset 0.
 * - LINKED: several instances in one slot. Every function takes the context's offset
 *   as a hidden first argument, and finds imported memory, tables, globals and
 *   functions through offsets in its context.
 * - THREADED: STANDALONE for modules whose memory is shared (docs/threads.md). Every function
 *   takes the offset of its thread's context as a hidden first argument: globals, arguments,
 *   results and exceptions are there. Tables, segments, function records, tags and the
 *   memory's record are those of the main context, at constant offsets.
 *
 * Function references and external references are 64-bit values. A function
 * reference is the GS offset of a struct abi_function; null is ABI_REF_NULL,
 * the offset of an all-zero record at the header's end.
 *
 * Calling convention of guest functions: C (System V) or, in LINKED images and
 * images that use tail calls, LLVM's tailcc. LINKED: hidden context first, and
 * with several results the GS offset of the caller's argument area. THREADED: the
 * thread's context in r13, which the callee keeps (wrappers and INIT: in rdi). Then the
 * parameters: i32, i64, float, double, <2 x i64>; references are i64. tailcc:
 * from the first one without a register on they are in the argument area of the
 * callee's context, so no call moves its caller's stack pointer. Result 0 returns
 * in its register, the others in their slots of the area of the caller's context.
 * Slots are 8 bytes, two for a v128, in order; i32, f32 zero-extended.
 *
 * Leaving guest code. Image code `weft_call(context, call)` pushes the
 * callee-saved registers as a struct abi_frame, stores the stack pointer in
 * context.guest_sp and the call's number in context.call, and continues on
 * context.host_sp: abi_enter returns to the host. Resuming is abi_enter again.
 * So a host call, a wait, an end and a throw are one mechanism, nothing of the host
 * is ever on a guest stack, and a PENDING host function is called again for free.
 *
 * Helpers (memory.copy ...) are leaf calls through the header, on the executor's
 * stack; the guest is not frozen in one. memory.copy, fill and init may leave instead, as
 * weft_call does, and are done when the guest is resumed: they return 0 then.
 *
 * Traps are `ud1` instructions whose immediate is the enum abi_trap, or faults in the
 * slot's guard (memory) or the guest stack's guard (stack exhausted).
 */
#ifndef WEFT_ABI_H
#define WEFT_ABI_H

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define ABI_VERSION              4u
#define ABI_PAGE_BYTES           65536u /* a WebAssembly page */
#define ABI_HOST_PAGE_BYTES      4096u
#define ABI_HEADER_BYTES         4096u
#define ABI_MEMORY_RESERVE_BYTES (UINT64_C(4) << 30)
#define ABI_GUARD_BYTES          ((UINT64_C(4) << 30) + ABI_PAGE_BYTES)
#define ABI_ARGS_MAX             2048u /* argument slots of one call */
#define ABI_VALUES_MAX           1000u /* parameters, or results, of one function type */
#define ABI_PAYLOAD_MAX          16u   /* argument slots of one exception */
#define ABI_TABLE_ENTRIES_MAX    (UINT32_C(1) << 22)
#define ABI_BELOW_BYTES_MAX      (UINT64_C(1) << 30) /* all that lies below GS */

/* Images are mapped in [FIRST, END) at multiples of UNIT. TSan keeps its own there. */
#ifdef __SANITIZE_THREAD__
#define ABI_IMAGE_ADDRESS_FIRST UINT64_C(0x550100000000)
#define ABI_IMAGE_ADDRESS_END   UINT64_C(0x554000000000)
#else
#define ABI_IMAGE_ADDRESS_FIRST UINT64_C(0x200000000000)
#define ABI_IMAGE_ADDRESS_END   UINT64_C(0x400000000000)
#endif
#define ABI_IMAGE_ADDRESS_UNIT (UINT64_C(64) << 20)

enum abi_mode {
    ABI_STANDALONE = 0,
    ABI_LINKED = 1,
    ABI_THREADED = 2,
};

/* Why a guest stopped for good. The numbers are immediates of ud1. */
enum abi_trap {
    ABI_TRAP_NONE = 0,
    ABI_TRAP_UNREACHABLE,
    ABI_TRAP_INTEGER_DIVIDE_BY_ZERO,
    ABI_TRAP_INTEGER_OVERFLOW,
    ABI_TRAP_INVALID_CONVERSION, /* float to integer, not representable */
    ABI_TRAP_MEMORY_BOUNDS,
    ABI_TRAP_TABLE_BOUNDS,
    ABI_TRAP_UNDEFINED_ELEMENT, /* call_indirect past the table's end */
    ABI_TRAP_UNINITIALIZED_ELEMENT,
    ABI_TRAP_INDIRECT_CALL_TYPE,
    ABI_TRAP_UNALIGNED_ATOMIC,
    ABI_TRAP_EXPECTED_SHARED_MEMORY,
    ABI_TRAP_STACK_EXHAUSTED,
    ABI_TRAP_UNCAUGHT_EXCEPTION,
    ABI_TRAP_HOST, /* a host function refused; it says why */
    ABI_TRAP_COUNT
};

/* The specification's wording. */
const char *abi_trap_text(enum abi_trap trap);

/* Numbers in context.call from here on are not imports. */
enum abi_call {
    ABI_CALL_DONE = 0x40000000, /* the invocation returned; results are in args */
    ABI_CALL_THROW,             /* context.exception is set: unwind */
    ABI_CALL_WAIT32,            /* args: address, expected, timeout in ns; result: args[0] */
    ABI_CALL_WAIT64,
    ABI_CALL_NOTIFY, /* args: address, count; result: woken */
};

/* Leaf helpers. All take the context's offset first, then 64-bit values (i32
 * zero-extended), and return a 64-bit value. "trap": non-zero if it must trap,
 * as memory or table bounds after the kind of instruction; nothing is changed
 * then. Segment and table numbers are the module's indices. */
enum abi_helper {
    ABI_HELPER_MEMORY_GROW, /* (delta pages) -> old pages, or 0xffffffff */
    ABI_HELPER_MEMORY_COPY, /* (dst, src, bytes) -> trap */
    ABI_HELPER_MEMORY_FILL, /* (dst, value, bytes) -> trap */
    ABI_HELPER_MEMORY_INIT, /* (segment, dst, src, bytes) -> trap */
    ABI_HELPER_TABLE_GROW,  /* (table, reference, delta) -> old size, or 0xffffffff */
    ABI_HELPER_TABLE_FILL,  /* (table, index, reference, count) -> trap */
    ABI_HELPER_TABLE_COPY,  /* (dst table << 32 | src table, dst, src, count) -> trap */
    ABI_HELPER_TABLE_INIT,  /* (table << 32 | segment, dst, src, count) -> trap */
    ABI_HELPER_COUNT
};

/* At GS - ABI_HEADER_BYTES: the only place of absolute addresses. */
struct abi_header {
    uint64_t helpers[ABI_HELPER_COUNT]; /* thunks */
    void *host;                         /* the runtime's object for this Faaslet */
};

/* A function as seen by references. code is called with `context` as hidden
 * argument in LINKED images. type is compared by call_indirect. */
struct abi_function {
    uint64_t code;
    uint32_t type;   /* 0 only in the null record */
    int32_t context; /* GS offset */
};

#define ABI_REF_NULL (-(int64_t)sizeof(struct abi_function))

/* A linear memory. */
struct abi_memory {
    int64_t base;       /* GS offset of its first byte; 0 in STANDALONE images */
    uint64_t pages;     /* current size */
    uint64_t pages_max; /* what the module declares, or 65536 */
    uint64_t is_shared;
};

struct abi_table {
    int64_t base; /* GS offset of entry 0; entries are 8-byte references */
    uint32_t count;
    uint32_t count_max;
};

/* A global is 16 bytes, whatever its type. */
#define ABI_GLOBAL_BYTES 16u

/* What weft_call leaves on the guest stack, from guest_sp upwards. */
struct abi_frame {
    uint64_t r15, r14, r13, r12, rbx, rbp;
    uint64_t pc;
};

/* The fixed part of a context. */
struct abi_context {
    uint64_t guest_sp; /* while stopped */
    uint64_t host_sp;  /* while running, else 0 */
    uint32_t call;     /* why it left: import index or enum abi_call */
    uint32_t instance; /* the host's number for this instance */
    int64_t self;      /* own GS offset */
    uint64_t wrapper;  /* code of the invocation's wrapper (abi_code_wrapper) */
    uint64_t target;   /* code that the wrapper calls */
    int64_t memory;    /* GS offset of the struct abi_memory in use, or 0 for none */
    struct abi_memory own_memory;
    int64_t exception_tag; /* identity: GS offset of the tag's cell */
    uint64_t exception_args[ABI_PAYLOAD_MAX];
    uint64_t args[ABI_ARGS_MAX];
    /* then the image's variable part, struct abi_layout */
};

/* Offsets in bytes from the start of the context. All arrays are indexed by the
 * module's index spaces, imports first. A LINKED image reaches what may be
 * imported through the *_offsets arrays (int64_t GS offsets, own objects
 * included); a STANDALONE image uses its own objects directly, and treats an
 * imported memory or table as its own and an imported global as a copy. */
struct abi_layout {
    uint32_t context_bytes;    /* everything, a multiple of ABI_HOST_PAGE_BYTES */
    uint32_t globals;          /* ABI_GLOBAL_BYTES each */
    uint32_t tables;           /* struct abi_table each */
    uint32_t data_bytes;       /* uint32_t each: usable bytes, 0 once dropped */
    uint32_t element_counts;   /* uint32_t each: usable entries, 0 once dropped */
    uint32_t functions;        /* struct abi_function per referenceable function */
    uint32_t global_offsets;   /* LINKED: int64_t per global */
    uint32_t table_offsets;    /* LINKED: int64_t per table: GS offset of its struct abi_table */
    uint32_t import_functions; /* LINKED: int64_t reference per imported function */
    uint32_t type_ids;         /* LINKED: uint32_t per type: its number in this Faaslet, > 0 */
    uint32_t tag_offsets;      /* int64_t per tag: GS offset of its cell, its identity */
    uint32_t tags;             /* 8 bytes per own tag */
};

/* GS offset of the context of a STANDALONE image's main instance. */
static inline int64_t
abi_main_context(uint32_t context_bytes)
{
    return -(int64_t)ABI_HEADER_BYTES - (int64_t)context_bytes;
}

/* GS offset of table `index`'s entries in a STANDALONE image: below the context,
 * table 0 highest, each with room for count_max entries, page-aligned. reserve
 * is abi_table_reserve of that table and of all before it, summed. */
static inline int64_t
abi_main_table(uint32_t context_bytes, uint64_t reserve)
{
    return abi_main_context(context_bytes) - (int64_t)reserve;
}

static inline uint64_t
abi_table_reserve(uint32_t count_max)
{
    uint64_t count = count_max < ABI_TABLE_ENTRIES_MAX ? count_max : ABI_TABLE_ENTRIES_MAX;

    return ROUND_UP(count * 8u, (uint64_t)ABI_HOST_PAGE_BYTES);
}

/* Slots that a value type (a byte of the binary format) takes. */
static inline uint32_t
abi_value_slots(uint8_t type)
{
    return type == 0x7b ? 2 : 1;
}

/* Runs guest code from the frame at context.guest_sp; GS is the slot's origin.
 * When it leaves, dispatch is called with the context that it left through:
 * non-zero resumes it, zero makes abi_enter return that context. others: all
 * contexts of LINKED images, where any may leave. */
typedef int (*abi_dispatch_fn)(int64_t context);
int64_t abi_enter(int64_t context, abi_dispatch_fn dispatch, const int64_t *others, uint64_t count);
/* For a guest taken off in the middle of its code; machine: the signal's ucontext. */
int64_t abi_enter_at(int64_t context, abi_dispatch_fn dispatch, const int64_t *others,
                     uint64_t count, const void *machine);

#include "abi/abi_image.h"

#endif
