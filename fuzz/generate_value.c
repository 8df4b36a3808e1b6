/* SPDX-License-Identifier: Apache-2.0
 *
 * generate: constants, instructions by their signature, and loops over memory.
 *
 * NaN. The bits of a NaN that arithmetic makes are not determined. In a scalar
 * they are harmless until something looks at them, so the operands of what looks
 * are cleaned; in a vector anything may look, so the results are.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "generate_internal.h"

#define ADDRESS_MASK 0x3fffu
#define OPS_MAX      512u

enum op_trait {
    OP_MAY_TRAP_INT = 1,   /* division */
    OP_MAY_TRAP_FLOAT = 2, /* truncation */
    OP_OBSERVES_NAN = 4,   /* of scalar operands */
    OP_PRODUCES_NAN = 8,   /* in a vector */
    OP_IS_ATOMIC = 16,
};

struct op {
    uint32_t opcode;
    unsigned traits;
    const struct wasm_opcode_info *info;
};

struct op_list {
    struct op ops[OPS_MAX];
    uint32_t count;
};

/* By result: i I f F v, then loads of the same, then what has no result. */
enum { LIST_LOADS = 5, LIST_STORES = 10, LIST_COUNT };
static struct op_list lists[LIST_COUNT];

/* ----------------------------------------------------------------- instructions */

static bool
has(const struct wasm_opcode_info *info, const char *part)
{
    return strstr(info->text, part) != NULL;
}

static bool
makes_float_lanes(const struct wasm_opcode_info *info)
{
    static const char *const harmless[] = {".eq", ".ne", ".lt", ".gt", ".le", ".ge", ".const"};

    if (strncmp(info->text, "f32x4", 5) != 0 && strncmp(info->text, "f64x2", 5) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(harmless); i++)
        if (strcmp(info->text + 5, harmless[i]) == 0)
            return false;
    return true;
}

static unsigned
traits_of(const struct wasm_opcode_info *info)
{
    unsigned traits = 0;
    bool is_vector = (info->opcode >> 16) == 0xfd;

    if (!is_vector && info->text[0] == 'i' && (has(info, ".div_") || has(info, ".rem_")))
        traits |= OP_MAY_TRAP_INT;
    if (!is_vector && has(info, ".trunc_f"))
        traits |= OP_MAY_TRAP_FLOAT;
    if (has(info, "reinterpret") || has(info, "store") || has(info, "copysign") ||
        has(info, "splat") || has(info, "replace_lane"))
        traits |= OP_OBSERVES_NAN;
    if (is_vector && makes_float_lanes(info) && !has(info, "extract_lane"))
        traits |= OP_PRODUCES_NAN;
    if ((info->opcode >> 16) == 0xfe)
        traits |= OP_IS_ATOMIC;
    return traits;
}

/* The list of an instruction that takes plain values and needs nothing but them
 * and its immediates; -1 for the others. */
static int
list_of(const struct wasm_opcode_info *info)
{
    static const char results[] = "iIfFv";
    const char *colon = strchr(info->signature, ':');
    const char *result;

    if (colon == NULL || colon == info->signature || strchr(info->signature, 'r') != NULL)
        return -1;
    if (info->opcode >= WASM_MEMORY_ATOMIC_NOTIFY && info->opcode <= WASM_ATOMIC_FENCE)
        return -1;
    switch (info->immediate) {
    case WASM_IMM_NONE:
    case WASM_IMM_LANE:
    case WASM_IMM_V128:
        result = strchr(results, colon[1]);
        return colon[1] == '\0' ? -1 : (int)(result - results);
    case WASM_IMM_MEMARG:
    case WASM_IMM_MEMARG_LANE:
        result = strchr(results, colon[1]);
        return colon[1] == '\0' ? LIST_STORES : LIST_LOADS + (int)(result - results);
    default:
        return -1;
    }
}

static void
fill_lists(void)
{
    static const uint32_t opcodes[] = {
#define WASM_OPCODE(name, code, immediate, signature, feature, text) code,
#include "wasm/opcodes.def"
#undef WASM_OPCODE
    };

    if (lists[0].count > 0)
        return;
    for (size_t i = 0; i < ARRAY_COUNT(opcodes); i++) {
        const struct wasm_opcode_info *info = wasm_opcode_info(opcodes[i]);
        int list = list_of(info);

        if (list < 0)
            continue;
        ASSERT(lists[list].count < OPS_MAX);
        lists[list].ops[lists[list].count++] = (struct op){opcodes[i], traits_of(info), info};
    }
}

static bool
is_allowed(const struct generator *g, const struct op *op)
{
    uint32_t feature = op->info->feature;

    if (feature == WASM_FEATURE_SIMD || feature == WASM_FEATURE_RELAXED_SIMD)
        return g->options.has_simd && (feature == WASM_FEATURE_SIMD || g->options.has_relaxed);
    return true;
}

/* The first is allowed in any case: it is the result when the bytes ran out. */
static const struct op *
choose_op(struct generator *g, int list)
{
    const struct op *op;

    fill_lists();
    do
        op = &lists[list].ops[generate_choose(g, lists[list].count)];
    while (!is_allowed(g, op));
    return op;
}

/* --------------------------------------------------------------------- constants */

void
generate_i32(struct generator *g, int32_t value)
{
    generate_byte(g->code, WASM_I32_CONST);
    generate_s64(g->code, value);
}

static int64_t
choose_integer(struct generator *g)
{
    /* clang-format off */
    static const int64_t edges[] = {
        0, 1, -1, 2, 7, 8, 15, 16, 31, 32, 33, 63, 64, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff,
        0x7fffffff, -0x80000000LL, 0xffffffff, 0x100000000, INT64_MAX, INT64_MIN, -2, -127, -128,
    };
    /* clang-format on */

    switch (generate_choose(g, 3)) {
    case 0:
        return edges[generate_choose(g, ARRAY_COUNT(edges))];
    case 1:
        return (int64_t)generate_choose(g, 200) - 100;
    default:
        return (int64_t)generate_bits(g);
    }
}

static double
choose_float(struct generator *g)
{
    static const double edges[] = {0.0,
                                   1.0,
                                   -0.0,
                                   -1.0,
                                   0.5,
                                   1.5,
                                   -2.5,
                                   __builtin_inf(),
                                   -__builtin_inf(),
                                   2147483648.0,
                                   -2147483649.0,
                                   4294967296.0,
                                   9223372036854775808.0,
                                   18446744073709551616.0,
                                   1e-45,
                                   5e-324,
                                   3.4028234663852886e38,
                                   1.7976931348623157e308,
                                   16777217.0,
                                   0.1};

    if (generate_one_in(g, 2))
        return edges[generate_choose(g, ARRAY_COUNT(edges))];
    return (double)(int64_t)generate_choose(g, 1000) / 8.0 - 20.0;
}

static void
put_f32(struct generator *g)
{
    float value = (float)choose_float(g);
    uint32_t bits = (uint32_t)generate_bits(g);

    generate_byte(g->code, WASM_F32_CONST);
    if (!generate_one_in(g, 4))
        (void)memcpy(&bits, &value, 4);
    buffer_append(g->code, &bits, 4);
}

static void
put_f64(struct generator *g)
{
    double value = choose_float(g);
    uint64_t bits = generate_bits(g);

    generate_byte(g->code, WASM_F64_CONST);
    if (!generate_one_in(g, 4))
        (void)memcpy(&bits, &value, 8);
    buffer_append(g->code, &bits, 8);
}

static void
put_v128(struct generator *g)
{
    uint8_t bytes[16];

    generate_opcode(g->code, WASM_V128_CONST);
    switch (generate_choose(g, 3)) {
    case 0: /* lanes of small numbers */
        for (unsigned i = 0; i < 16; i++)
            bytes[i] = i % 4 == 0 ? (uint8_t)generate_choose(g, 16) : 0;
        break;
    case 1:
        (void)memset(bytes, (int)generate_choose(g, 2) * 0xff, 16);
        break;
    default:
        for (unsigned i = 0; i < 16; i++)
            bytes[i] = (uint8_t)generate_choose(g, 256);
    }
    buffer_append(g->code, bytes, 16);
}

void
generate_const(struct generator *g, uint8_t type)
{
    switch (type) {
    case WASM_I32:
        generate_i32(g, (int32_t)choose_integer(g));
        break;
    case WASM_I64:
        generate_byte(g->code, WASM_I64_CONST);
        generate_s64(g->code, choose_integer(g));
        break;
    case WASM_F32:
        put_f32(g);
        break;
    case WASM_F64:
        put_f64(g);
        break;
    case WASM_V128:
        put_v128(g);
        break;
    default:
        generate_byte(g->code, WASM_REF_NULL);
        generate_byte(g->code, type);
    }
}

void
generate_zero(struct generator *g, uint8_t type)
{
    static const uint8_t zeros[16] = {0};

    switch (type) {
    case WASM_I32:
    case WASM_I64:
        generate_byte(g->code, type == WASM_I32 ? WASM_I32_CONST : WASM_I64_CONST);
        buffer_append(g->code, zeros, 1);
        break;
    case WASM_F32:
    case WASM_F64:
        generate_byte(g->code, type == WASM_F32 ? WASM_F32_CONST : WASM_F64_CONST);
        buffer_append(g->code, zeros, type == WASM_F32 ? 4 : 8);
        break;
    case WASM_V128:
        generate_opcode(g->code, WASM_V128_CONST);
        buffer_append(g->code, zeros, 16);
        break;
    default:
        generate_byte(g->code, WASM_REF_NULL);
        generate_byte(g->code, type);
    }
}

void
generate_indexed(struct generator *g, uint32_t opcode, uint32_t index)
{
    generate_opcode(g->code, opcode);
    generate_u32(g->code, index);
}

/* One of the function's locals of this type; there is always one. */
uint32_t
generate_local(struct generator *g, uint8_t type)
{
    uint32_t at = generate_choose(g, g->local_count);

    while (g->locals[at] != type)
        at = (at + 1) % g->local_count;
    return at;
}

/* ----------------------------------------------------------------------- NaN */

/* A NaN on top of the stack becomes another value that has bits of its own. */
static void
clean_scalar(struct generator *g, uint8_t type)
{
    uint32_t local = generate_local(g, type);

    generate_indexed(g, WASM_LOCAL_TEE, local);
    generate_zero(g, type);
    generate_indexed(g, WASM_LOCAL_GET, local);
    generate_indexed(g, WASM_LOCAL_GET, local);
    generate_byte(g->code, type == WASM_F32 ? WASM_F32_EQ : WASM_F64_EQ);
    generate_byte(g->code, WASM_SELECT);
}

static void
clean_vector(struct generator *g, const struct wasm_opcode_info *info)
{
    uint32_t local = generate_local(g, WASM_V128);

    generate_indexed(g, WASM_LOCAL_TEE, local);
    generate_indexed(g, WASM_LOCAL_GET, local);
    generate_indexed(g, WASM_LOCAL_GET, local);
    generate_opcode(g->code, info->text[1] == '3' ? WASM_F32X4_EQ : WASM_F64X2_EQ);
    generate_opcode(g->code, WASM_V128_AND);
    generate_indexed(g, WASM_LOCAL_TEE, local); /* it is not to keep the NaN */
}

/* ------------------------------------------------------------------ immediates */

/* Number of the access's bits, from the name: "v128.load16x4_s" moves 64,
 * "i64.store32" 32, "f32.load" 32. */
static unsigned
access_bits(const char *text)
{
    const char *at = strstr(text, "load");
    unsigned bits;

    if (at == NULL)
        at = strstr(text, "store");
    if (at == NULL)
        at = strstr(text, "rmw");
    ASSERT(at != NULL);
    while (*at >= 'a' && *at <= 'z')
        at++;
    if (*at < '0' || *at > '9')
        return (unsigned)strtoul(text + 1, NULL, 10);
    bits = (unsigned)strtoul(at, NULL, 10);
    return at[strspn(at, "0123456789")] == 'x' ? 64 : bits;
}

static unsigned
lane_count(const struct wasm_opcode_info *info)
{
    const char *x = strchr(info->text, 'x');

    if (info->immediate == WASM_IMM_MEMARG_LANE)
        return 128 / access_bits(info->text);
    return (unsigned)strtoul(x + 1, NULL, 10);
}

static void
put_memarg(struct generator *g, const struct op *op)
{
    unsigned bits = access_bits(op->info->text), exponent = 0;
    static const uint32_t offsets[] = {0, 0, 4, 16, 1000, 3, 0x2000};

    while (8u << exponent < bits)
        exponent++;
    if ((op->traits & OP_IS_ATOMIC) != 0) {
        generate_u32(g->code, exponent);
        generate_u32(g->code, offsets[generate_choose(g, 3)] * 2);
        return;
    }
    generate_u32(g->code, generate_choose(g, exponent + 1));
    if (g->options.may_trap && generate_one_in(g, 60))
        generate_u32(g->code, (uint32_t)choose_integer(g));
    else
        generate_u32(g->code, offsets[generate_choose(g, ARRAY_COUNT(offsets))]);
}

static void
put_immediate(struct generator *g, const struct op *op)
{
    switch (op->info->immediate) {
    case WASM_IMM_MEMARG:
    case WASM_IMM_MEMARG_LANE:
        put_memarg(g, op);
        break;
    case WASM_IMM_V128: /* the lanes of shuffle */
        for (unsigned i = 0; i < 16; i++)
            generate_byte(g->code, generate_choose(g, 32));
        break;
    default:
        break;
    }
    if (op->info->immediate == WASM_IMM_LANE || op->info->immediate == WASM_IMM_MEMARG_LANE)
        generate_byte(g->code, generate_choose(g, lane_count(op->info)));
}

/* -------------------------------------------------------------------- operands */

void
generate_masked(struct generator *g, uint32_t mask)
{
    if (generate_one_in(g, 3)) {
        generate_i32(g, (int32_t)((uint32_t)generate_bits(g) & mask));
        return;
    }
    generate_expression(g, WASM_I32);
    generate_i32(g, (int32_t)mask);
    generate_byte(g->code, WASM_I32_AND);
}

static void
put_address(struct generator *g, const struct op *op)
{
    uint32_t low = (op->traits & OP_IS_ATOMIC) != 0 ? access_bits(op->info->text) / 8 - 1 : 0;

    if (g->options.may_trap && generate_one_in(g, 50))
        generate_expression(g, WASM_I32);
    else if (g->options.may_trap && generate_one_in(g, 30))
        generate_i32(g, (int32_t)(g->pages_min * 65536 - generate_choose(g, 40)));
    else
        generate_masked(g, ADDRESS_MASK & ~low);
}

/* A number that fits, mostly: truncation traps on the others. */
static void
put_small_float(struct generator *g, uint8_t type)
{
    generate_masked(g, 0x7fffff);
    generate_byte(g->code, type == WASM_F32 ? WASM_F32_CONVERT_I32_S : WASM_F64_CONVERT_I32_S);
}

static uint8_t
type_of_letter(char letter)
{
    switch (letter) {
    case 'i':
        return WASM_I32;
    case 'I':
        return WASM_I64;
    case 'f':
        return WASM_F32;
    case 'F':
        return WASM_F64;
    default:
        return WASM_V128;
    }
}

typedef void (*operand_fn)(struct generator *g, uint8_t type);

static void
put_operand(struct generator *g, const struct op *op, uint8_t type, operand_fn put)
{
    if ((op->traits & OP_MAY_TRAP_FLOAT) != 0 && !generate_one_in(g, 30)) {
        put_small_float(g, type);
        return;
    }
    put(g, type);
    if ((op->traits & OP_OBSERVES_NAN) != 0 && (type == WASM_F32 || type == WASM_F64))
        clean_scalar(g, type);
}

/* Makes a divisor odd. */
static void
avoid_zero(struct generator *g, uint8_t type)
{
    if (type == WASM_I32)
        generate_i32(g, 1);
    else
        buffer_append(g->code, (const uint8_t[]){WASM_I64_CONST, 1}, 2);
    generate_byte(g->code, type == WASM_I32 ? WASM_I32_OR : WASM_I64_OR);
}

static void
put_op(struct generator *g, const struct op *op, operand_fn put)
{
    const char *letter = op->info->signature;

    if (op->info->immediate == WASM_IMM_MEMARG || op->info->immediate == WASM_IMM_MEMARG_LANE) {
        put_address(g, op);
        letter++;
    }
    for (; *letter != ':'; letter++)
        put_operand(g, op, type_of_letter(*letter), put);
    if ((op->traits & OP_MAY_TRAP_INT) != 0 && !generate_one_in(g, 30))
        avoid_zero(g, type_of_letter(letter[-1]));
    generate_opcode(g->code, op->opcode);
    put_immediate(g, op);
    if ((op->traits & OP_PRODUCES_NAN) != 0)
        clean_vector(g, op->info);
}

static int
list_of_type(uint8_t type)
{
    switch (type) {
    case WASM_I32:
        return 0;
    case WASM_I64:
        return 1;
    case WASM_F32:
        return 2;
    case WASM_F64:
        return 3;
    default:
        return 4;
    }
}

/* An instruction with operands that leaves a number or vector. */
void
generate_operator(struct generator *g, uint8_t type)
{
    int list = list_of_type(type) + (generate_one_in(g, 5) ? LIST_LOADS : 0);

    put_op(g, choose_op(g, list), generate_expression);
}

void
generate_store(struct generator *g)
{
    put_op(g, choose_op(g, LIST_STORES), generate_expression);
}

/* --------------------------------------------------------------------- kernels */

/* Address of element `index << shift` plus something, of a loop's index. */
static void
put_kernel_address(struct generator *g, unsigned shift)
{
    uint32_t innermost = g->kernel_local + generate_choose(g, g->kernel_depth);

    generate_indexed(g, WASM_LOCAL_GET, innermost);
    generate_i32(g, (int32_t)shift);
    generate_byte(g->code, WASM_I32_SHL);
    if (generate_one_in(g, 2)) {
        generate_i32(g, (int32_t)generate_choose(g, 64) * 4 + 256);
        generate_byte(g->code, WASM_I32_ADD);
    }
}

static void put_kernel_value(struct generator *g, uint8_t type);

static void
put_kernel_load(struct generator *g, uint8_t type)
{
    const struct op *op;

    do
        op = choose_op(g, LIST_LOADS + list_of_type(type));
    while ((op->traits & OP_IS_ATOMIC) != 0 || op->info->immediate != WASM_IMM_MEMARG);
    put_kernel_address(g, generate_choose(g, 4));
    generate_opcode(g->code, op->opcode);
    generate_u32(g->code, 0);
    generate_u32(g->code, generate_choose(g, 16) * 8);
}

static void
put_kernel_value(struct generator *g, uint8_t type)
{
    uint32_t node = g->node++;
    size_t first = g->code->count;
    const struct op *op;

    g->budget--;
    switch (g->budget < 0 ? 1 : generate_choose(g, 5)) {
    case 0:
        generate_indexed(g, WASM_LOCAL_GET, generate_local(g, type));
        break;
    case 1:
    case 2:
        put_kernel_load(g, type);
        break;
    default:
        do
            op = choose_op(g, list_of_type(type));
        while ((op->traits & (OP_MAY_TRAP_INT | OP_MAY_TRAP_FLOAT)) != 0 ||
               ((op->info->signature[0] == 'v') != (type == WASM_V128) && !generate_one_in(g, 8)));
        put_op(g, op, put_kernel_value);
    }
    if (generate_is_cut(g, node)) {
        g->code->count = first;
        generate_zero(g, type);
    }
}

static uint8_t
choose_number(struct generator *g)
{
    static const uint8_t types[] = {WASM_I32, WASM_F64, WASM_F32, WASM_I64, WASM_I32, WASM_V128};

    return types[generate_choose(g, ARRAY_COUNT(types) - !g->options.has_simd)];
}

static void
put_kernel_store(struct generator *g)
{
    const struct op *op;
    uint8_t type;

    do
        op = choose_op(g, LIST_STORES);
    while ((op->traits & OP_IS_ATOMIC) != 0 || op->info->immediate != WASM_IMM_MEMARG);
    type = type_of_letter(op->info->signature[1]);
    put_kernel_address(g, generate_choose(g, 4));
    put_kernel_value(g, type);
    if (type == WASM_F32 || type == WASM_F64)
        clean_scalar(g, type);
    generate_opcode(g->code, op->opcode);
    generate_u32(g->code, 0);
    generate_u32(g->code, generate_choose(g, 16) * 8);
}

static void
put_kernel_statement(struct generator *g)
{
    uint32_t node = g->node++;
    size_t first = g->code->count;
    uint8_t type;

    switch (generate_choose(g, g->kernel_depth < KERNEL_DEPTH ? 5 : 4)) {
    case 0:
    case 1:
        put_kernel_store(g);
        break;
    case 2: /* a reduction, perhaps */
        type = choose_number(g);
        put_kernel_value(g, type);
        generate_indexed(g, WASM_LOCAL_SET, generate_local(g, type));
        break;
    case 3: /* a condition inside the loop */
        put_kernel_value(g, WASM_I32);
        buffer_append(g->code, (const uint8_t[]){WASM_IF, 0x40}, 2);
        put_kernel_store(g);
        generate_byte(g->code, WASM_END);
        break;
    default:
        generate_kernel(g);
    }
    if (generate_is_cut(g, node))
        g->code->count = first;
}

/* for (index = first; index < end; index += step) statements: as compilers of C
 * write it, with the condition at the end. */
void
generate_kernel(struct generator *g)
{
    uint32_t index = g->kernel_local + g->kernel_depth;
    uint32_t end = 1 + generate_choose(g, g->kernel_depth == 0 ? 150 : 20);
    uint32_t statements = 1 + generate_choose(g, 3);

    g->kernel_depth++;
    generate_i32(g, (int32_t)generate_choose(g, 4));
    generate_indexed(g, WASM_LOCAL_SET, index);
    buffer_append(g->code, (const uint8_t[]){WASM_LOOP, 0x40}, 2);
    for (uint32_t i = 0; i < statements; i++)
        put_kernel_statement(g);
    generate_indexed(g, WASM_LOCAL_GET, index);
    generate_i32(g, generate_one_in(g, 4) ? 2 : 1);
    generate_byte(g->code, WASM_I32_ADD);
    generate_indexed(g, WASM_LOCAL_TEE, index);
    generate_i32(g, (int32_t)end);
    generate_byte(g->code, generate_one_in(g, 2) ? WASM_I32_LT_S : WASM_I32_LT_U);
    buffer_append(g->code, (const uint8_t[]){WASM_BR_IF, 0, WASM_END}, 3);
    g->kernel_depth--;
}
