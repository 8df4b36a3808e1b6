/* SPDX-License-Identifier: Apache-2.0 */
#include "wasm/wasm_internal.h"

#include "base/assert.h"

static const struct wasm_opcode_info opcode_table[WASM_SLOT_COUNT] = {
#define WASM_OPCODE(name, code, immediate, signature, feature, text) \
    [WASM_SLOT(code)] = {code, WASM_IMM_##immediate, signature, feature, text},
#include "wasm/opcodes.def"
#undef WASM_OPCODE
};

const struct wasm_opcode_info *
wasm_opcode_info(uint32_t opcode)
{
    const struct wasm_opcode_info *info;
    uint32_t slot;

    if (opcode >= 0x100 && (opcode >> 16 < 0xfc || opcode >> 16 > 0xfe))
        return NULL;
    slot = WASM_SLOT(opcode);
    if (slot >= WASM_SLOT_COUNT)
        return NULL;
    info = &opcode_table[slot];
    /* The slots of two prefixes overlap at their ends: compare the code. */
    return info->text != NULL && info->opcode == opcode ? info : NULL;
}

/* Ranges of codes, most of them of one family. */
struct code_range {
    uint32_t first, last;
    uint8_t value;
};

static const struct code_range access_ranges[] = {
    {WASM_I32_LOAD, WASM_I32_LOAD, 2},
    {WASM_I64_LOAD, WASM_I64_LOAD, 3},
    {WASM_F32_LOAD, WASM_F32_LOAD, 2},
    {WASM_F64_LOAD, WASM_F64_LOAD, 3},
    {WASM_I32_LOAD8_S, WASM_I32_LOAD8_U, 0},
    {WASM_I32_LOAD16_S, WASM_I32_LOAD16_U, 1},
    {WASM_I64_LOAD8_S, WASM_I64_LOAD8_U, 0},
    {WASM_I64_LOAD16_S, WASM_I64_LOAD16_U, 1},
    {WASM_I64_LOAD32_S, WASM_I64_LOAD32_U, 2},
    {WASM_I32_STORE, WASM_I32_STORE, 2},
    {WASM_I64_STORE, WASM_I64_STORE, 3},
    {WASM_F32_STORE, WASM_F32_STORE, 2},
    {WASM_F64_STORE, WASM_F64_STORE, 3},
    {WASM_I32_STORE8, WASM_I32_STORE8, 0},
    {WASM_I32_STORE16, WASM_I32_STORE16, 1},
    {WASM_I64_STORE8, WASM_I64_STORE8, 0},
    {WASM_I64_STORE16, WASM_I64_STORE16, 1},
    {WASM_I64_STORE32, WASM_I64_STORE32, 2},
    {WASM_V128_LOAD, WASM_V128_LOAD, 4},
    {WASM_V128_LOAD8X8_S, WASM_V128_LOAD32X2_U, 3},
    {WASM_V128_LOAD8_SPLAT, WASM_V128_LOAD8_SPLAT, 0},
    {WASM_V128_LOAD16_SPLAT, WASM_V128_LOAD16_SPLAT, 1},
    {WASM_V128_LOAD32_SPLAT, WASM_V128_LOAD32_SPLAT, 2},
    {WASM_V128_LOAD64_SPLAT, WASM_V128_LOAD64_SPLAT, 3},
    {WASM_V128_STORE, WASM_V128_STORE, 4},
    {WASM_V128_LOAD8_LANE, WASM_V128_LOAD8_LANE, 0},
    {WASM_V128_LOAD16_LANE, WASM_V128_LOAD16_LANE, 1},
    {WASM_V128_LOAD32_LANE, WASM_V128_LOAD32_LANE, 2},
    {WASM_V128_LOAD64_LANE, WASM_V128_LOAD64_LANE, 3},
    {WASM_V128_STORE8_LANE, WASM_V128_STORE8_LANE, 0},
    {WASM_V128_STORE16_LANE, WASM_V128_STORE16_LANE, 1},
    {WASM_V128_STORE32_LANE, WASM_V128_STORE32_LANE, 2},
    {WASM_V128_STORE64_LANE, WASM_V128_STORE64_LANE, 3},
    {WASM_V128_LOAD32_ZERO, WASM_V128_LOAD32_ZERO, 2},
    {WASM_V128_LOAD64_ZERO, WASM_V128_LOAD64_ZERO, 3},
    {WASM_MEMORY_ATOMIC_NOTIFY, WASM_MEMORY_ATOMIC_WAIT32, 2},
    {WASM_MEMORY_ATOMIC_WAIT64, WASM_MEMORY_ATOMIC_WAIT64, 3},
};

static const struct code_range lane_ranges[] = {
    {WASM_I8X16_EXTRACT_LANE_S, WASM_I8X16_REPLACE_LANE, 16},
    {WASM_I16X8_EXTRACT_LANE_S, WASM_I16X8_REPLACE_LANE, 8},
    {WASM_I32X4_EXTRACT_LANE, WASM_I32X4_REPLACE_LANE, 4},
    {WASM_I64X2_EXTRACT_LANE, WASM_I64X2_REPLACE_LANE, 2},
    {WASM_F32X4_EXTRACT_LANE, WASM_F32X4_REPLACE_LANE, 4},
    {WASM_F64X2_EXTRACT_LANE, WASM_F64X2_REPLACE_LANE, 2},
    {WASM_V128_LOAD8_LANE, WASM_V128_LOAD8_LANE, 16},
    {WASM_V128_LOAD16_LANE, WASM_V128_LOAD16_LANE, 8},
    {WASM_V128_LOAD32_LANE, WASM_V128_LOAD32_LANE, 4},
    {WASM_V128_LOAD64_LANE, WASM_V128_LOAD64_LANE, 2},
    {WASM_V128_STORE8_LANE, WASM_V128_STORE8_LANE, 16},
    {WASM_V128_STORE16_LANE, WASM_V128_STORE16_LANE, 8},
    {WASM_V128_STORE32_LANE, WASM_V128_STORE32_LANE, 4},
    {WASM_V128_STORE64_LANE, WASM_V128_STORE64_LANE, 2},
};

static unsigned
range_find(const struct code_range *ranges, size_t count, uint32_t code)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return ranges[i].value;
    assert_failed("every opcode of this family is in its table", __FILE__, __LINE__);
}

unsigned
wasm_opcode_access(uint32_t opcode)
{
    /* Atomic loads, stores and each read-modify-write come in sevens: i32, i64,
     * i32 of 8 and 16 bits, i64 of 8, 16 and 32 bits. */
    static const uint8_t atomic_sevens[7] = {2, 3, 0, 1, 0, 1, 2};

    if (opcode >= WASM_I32_ATOMIC_LOAD)
        return atomic_sevens[(opcode - WASM_I32_ATOMIC_LOAD) % 7];
    return range_find(access_ranges, ARRAY_COUNT(access_ranges), opcode);
}

unsigned
wasm_opcode_lanes(uint32_t opcode)
{
    return range_find(lane_ranges, ARRAY_COUNT(lane_ranges), opcode);
}
