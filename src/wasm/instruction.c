/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "wasm/wasm_internal.h"

/* Opcodes of proposals that Weft does not have. */
struct foreign_opcode {
    uint32_t first, last;
    enum wasm_missing missing;
};

static const struct foreign_opcode foreign_opcodes[] = {
    {0x0a, 0x0a, WASM_MISSING_EXNREF},              /* throw_ref */
    {0x14, 0x15, WASM_MISSING_FUNCTION_REFERENCES}, /* call_ref, return_call_ref */
    {0x1f, 0x1f, WASM_MISSING_EXNREF},              /* try_table */
    {0xd3, 0xd3, WASM_MISSING_GC},                  /* ref.eq */
    {0xd4, 0xd6, WASM_MISSING_FUNCTION_REFERENCES}, /* ref.as_non_null, br_on_null ... */
    {0xe0, 0xe6, WASM_MISSING_STACK_SWITCHING},
    {0xfb0000, 0xfb00ff, WASM_MISSING_GC},
    {0xfc0013, 0xfc0016, WASM_MISSING_WIDE_ARITHMETIC},
    {0xfd0114, 0xfd0114, WASM_MISSING_RELAXED_BFLOAT16},
    {0xfd0120, 0xfd014f, WASM_MISSING_HALF_PRECISION},
    {0xfe004f, 0xfe007f, WASM_MISSING_SHARED_EVERYTHING},
};

static int
bad_opcode(const struct wasm_reader *reader, const struct wasm_instr *instr)
{
    uint32_t code = instr->opcode;

    for (size_t i = 0; i < ARRAY_COUNT(foreign_opcodes); i++)
        if (code >= foreign_opcodes[i].first && code <= foreign_opcodes[i].last)
            return wasm_unsupported(reader->fail, instr->position, foreign_opcodes[i].missing, true,
                                    "illegal opcode");
    if (code > 0xff)
        return wasm_malformed(reader->fail, instr->position, "illegal opcode 0x%02x 0x%02x",
                              code >> 16, code & 0xffff);
    return wasm_malformed(reader->fail, instr->position, "illegal opcode 0x%02x", code);
}

static int
read_opcode(struct wasm_reader *reader, struct wasm_instr *instr)
{
    uint32_t number;
    uint8_t byte;
    int err;

    instr->position = reader->position;
    if (reader->position == reader->end)
        return wasm_malformed(reader->fail, reader->position,
                              "unexpected end of section or function, END opcode expected");
    byte = reader->bytes[reader->position++];
    instr->opcode = byte;
    if (byte < 0xfb || byte > 0xfe)
        return 0;
    err = wasm_read_u32(reader, &number);
    if (err != 0)
        return err;
    if (number > 0xffff)
        return wasm_malformed(reader->fail, instr->position, "illegal opcode 0x%02x 0x%x", byte,
                              number);
    instr->opcode = (uint32_t)byte << 16 | number;
    return 0;
}

static int
read_block_type(struct wasm_reader *reader, struct wasm_instr *instr)
{
    uint32_t first = reader->position;
    const uint8_t *byte = reader->bytes + first;
    int64_t index;
    int err;

    instr->index = WASM_BLOCK_INLINE;
    if (wasm_reader_left(reader) > 0 && (*byte == 0x40 || wasm_type_is_value(*byte))) {
        reader->position++;
        instr->block.result_count = *byte == 0x40 ? 0 : 1;
        instr->block.results = byte;
        return 0;
    }
    err = wasm_read_signed(reader, 33, &index);
    if (err != 0)
        return err;
    if (index < 0 || index >= WASM_BLOCK_INLINE)
        return wasm_bad_value_type(reader->fail, first, *byte);
    instr->index = (uint32_t)index;
    return 0;
}

static int
reserve_targets(struct wasm_targets *targets, uint32_t count)
{
    uint32_t *labels;

    if (count <= targets->capacity)
        return 0;
    labels = reallocarray(targets->labels, count, sizeof(*labels));
    if (labels == NULL)
        return -ENOMEM;
    targets->labels = labels;
    targets->capacity = count;
    return 0;
}

static int
read_br_table(struct wasm_reader *reader, struct wasm_targets *targets, struct wasm_instr *instr)
{
    uint32_t count;
    int err;

    err = wasm_read_count(reader, 1, WASM_BR_TABLE_MAX, "targets of br_table", &count);
    if (err != 0)
        return err;
    count++;
    if (reserve_targets(targets, count) != 0)
        return wasm_no_memory(reader->fail);
    for (uint32_t i = 0; i < count; i++) {
        err = wasm_read_u32(reader, &targets->labels[i]);
        if (err != 0)
            return err;
    }
    instr->targets = targets->labels;
    instr->target_count = count;
    return 0;
}

/* The typed select has a list of types; validation wants exactly one. */
static int
read_select(struct wasm_reader *reader, struct wasm_instr *instr)
{
    uint8_t type;
    int err;

    err = wasm_read_count(reader, 1, WASM_VALUES_MAX, "types of select", &instr->index);
    for (uint32_t i = 0; i < instr->index && err == 0; i++) {
        err = wasm_read_value_type(reader, &type);
        if (err == 0)
            instr->type = type;
    }
    return err;
}

static int
read_memarg(struct wasm_reader *reader, struct wasm_instr *instr)
{
    uint32_t first = reader->position;
    uint32_t align;
    int err;

    err = wasm_read_u32(reader, &align);
    if (err != 0)
        return err;
    if (align >= 0x40 && align < 0x80)
        return wasm_unsupported(reader->fail, first, WASM_MISSING_MULTI_MEMORY, true,
                                "malformed memop flags");
    if (align >= 32)
        return wasm_malformed(reader->fail, first, "malformed memop flags 0x%x", align);
    instr->align = (uint8_t)align;
    return wasm_read_u32(reader, &instr->offset);
}

static int
read_zero(struct wasm_reader *reader, bool is_memory)
{
    uint32_t first = reader->position;
    uint8_t byte;
    int err;

    err = wasm_read_byte(reader, &byte);
    if (err != 0 || byte == 0)
        return err;
    if (is_memory && byte < 0x80)
        return wasm_unsupported(reader->fail, first, WASM_MISSING_MULTI_MEMORY, true,
                                "zero byte expected");
    return wasm_malformed(reader->fail, first, "zero byte expected, found 0x%02x", byte);
}

static int
read_index_pair(struct wasm_reader *reader, struct wasm_instr *instr)
{
    int err;

    err = wasm_read_u32(reader, &instr->index);
    if (err != 0)
        return err;
    if (instr->opcode == WASM_MEMORY_INIT)
        return read_zero(reader, true);
    return wasm_read_u32(reader, &instr->index2);
}

static int
read_fixed(struct wasm_reader *reader, void *out, uint32_t count)
{
    const uint8_t *bytes = NULL;
    int err;

    err = wasm_read_bytes(reader, count, &bytes);
    if (err == 0)
        (void)memcpy(out, bytes, count);
    return err;
}

static int
read_integer(struct wasm_reader *reader, struct wasm_instr *instr, unsigned bits)
{
    int64_t value;
    int err;

    err = wasm_read_signed(reader, bits, &value);
    if (err != 0)
        return err;
    if (bits == 32)
        instr->value.i32 = (int32_t)value;
    else
        instr->value.i64 = value;
    return 0;
}

static int
read_constant(struct wasm_reader *reader, enum wasm_immediate immediate, struct wasm_instr *instr)
{
    switch (immediate) {
    case WASM_IMM_I32:
        return read_integer(reader, instr, 32);
    case WASM_IMM_I64:
        return read_integer(reader, instr, 64);
    case WASM_IMM_F32:
        return read_fixed(reader, &instr->value, 4);
    case WASM_IMM_F64:
        return read_fixed(reader, &instr->value, 8);
    default:
        return read_fixed(reader, &instr->value, 16);
    }
}

static int
read_immediate(struct wasm_reader *reader, enum wasm_immediate immediate,
               struct wasm_targets *targets, struct wasm_instr *instr)
{
    int err = 0;

    switch (immediate) {
    case WASM_IMM_NONE:
        return 0;
    case WASM_IMM_BLOCK:
        return read_block_type(reader, instr);
    case WASM_IMM_INDEX:
        return wasm_read_u32(reader, &instr->index);
    case WASM_IMM_INDEX2:
        return read_index_pair(reader, instr);
    case WASM_IMM_BR_TABLE:
        return read_br_table(reader, targets, instr);
    case WASM_IMM_SELECT:
        return read_select(reader, instr);
    case WASM_IMM_REF_TYPE:
        return wasm_read_reference_type(reader, &instr->type);
    case WASM_IMM_MEMARG:
        return read_memarg(reader, instr);
    case WASM_IMM_MEMARG_LANE:
        err = read_memarg(reader, instr);
        return err != 0 ? err : wasm_read_byte(reader, &instr->lane);
    case WASM_IMM_MEMORY:
        return read_zero(reader, true);
    case WASM_IMM_MEMORY2:
        err = read_zero(reader, true);
        return err != 0 ? err : read_zero(reader, true);
    case WASM_IMM_I32:
    case WASM_IMM_I64:
    case WASM_IMM_F32:
    case WASM_IMM_F64:
    case WASM_IMM_V128:
        return read_constant(reader, immediate, instr);
    case WASM_IMM_LANE:
        return wasm_read_byte(reader, &instr->lane);
    case WASM_IMM_FENCE:
        return read_zero(reader, false);
    }
    return -EINVAL;
}

int
wasm_instr_decode(struct wasm_reader *reader, struct wasm_targets *targets,
                  struct wasm_instr *instr)
{
    const struct wasm_opcode_info *info;
    int err;

    *instr = (struct wasm_instr){0};
    err = read_opcode(reader, instr);
    if (err != 0)
        return err;
    info = wasm_opcode_info(instr->opcode);
    if (info == NULL)
        return bad_opcode(reader, instr);
    return read_immediate(reader, info->immediate, targets, instr);
}

bool
wasm_block_continues(uint32_t block, uint32_t opcode)
{
    switch (opcode) {
    case WASM_ELSE:
        return block == WASM_IF;
    case WASM_CATCH:
    case WASM_CATCH_ALL:
        return block == WASM_TRY || block == WASM_CATCH;
    case WASM_DELEGATE:
        return block == WASM_TRY;
    default:
        return false;
    }
}
