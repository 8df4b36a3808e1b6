/* SPDX-License-Identifier: Apache-2.0
 *
 * Instructions that name something of the function or the module: locals,
 * globals, tables, references, memory, lanes.
 */
#include "wasm/wasm_internal.h"

static int
check_local(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    uint8_t type;
    int err;

    err = wasm_check_index(checker, instr, instr->index, checker->local_count, "local");
    if (err != 0)
        return err;
    type = checker->locals[instr->index];
    if (instr->opcode != WASM_LOCAL_GET)
        err = wasm_check_pop(checker, instr, type, NULL);
    if (err == 0 && instr->opcode != WASM_LOCAL_SET)
        err = wasm_check_push(checker, instr, type);
    return err;
}

static int
check_global_get(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_module *module = checker->module;
    uint32_t count = checker->is_constant ? module->imported_global_count : module->global_count;
    int err;

    err = wasm_check_index(checker, instr, instr->index, count,
                           checker->is_constant && instr->index < module->global_count
                               ? "global (a constant may only use imported ones)"
                               : "global");
    if (err != 0)
        return err;
    if (checker->is_constant && module->globals[instr->index].is_mutable)
        return wasm_invalid(checker->reader.fail, instr->position,
                            "constant expression required: global %u is mutable", instr->index);
    return wasm_check_push(checker, instr, module->globals[instr->index].type);
}

static int
check_global_set(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_module *module = checker->module;
    int err;

    err = wasm_check_index(checker, instr, instr->index, module->global_count, "global");
    if (err != 0)
        return err;
    if (!module->globals[instr->index].is_mutable)
        return wasm_invalid(checker->reader.fail, instr->position,
                            "global is immutable: global.set of global %u", instr->index);
    return wasm_check_pop(checker, instr, module->globals[instr->index].type, NULL);
}

/* ------------------------------------------------------------------ references */

static int
check_ref_null(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    return wasm_check_push(checker, instr, instr->type);
}

static int
check_ref_is_null(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    uint8_t type = WASM_BOTTOM;
    int err;

    err = wasm_check_pop(checker, instr, WASM_BOTTOM, &type);
    if (err != 0)
        return err;
    if (type != WASM_BOTTOM && !wasm_type_is_reference(type))
        return wasm_invalid(checker->reader.fail, instr->position,
                            "type mismatch: ref.is_null expected a reference, found %s",
                            wasm_type_name(type));
    return wasm_check_push(checker, instr, WASM_I32);
}

/* A constant declares the function; a body wants it declared. */
static int
check_ref_func(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_module *module = checker->module;
    int err;

    err = wasm_check_index(checker, instr, instr->index, module->function_count, "function");
    if (err != 0)
        return err;
    if (checker->is_constant)
        module->functions[instr->index].is_declared = true;
    if (!module->functions[instr->index].is_declared)
        return wasm_invalid(checker->reader.fail, instr->position,
                            "undeclared function reference: function %u is neither exported nor "
                            "in an element segment",
                            instr->index);
    return 0;
}

/* ---------------------------------------------------------------------- tables */

static int
check_table_typed(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_module *module = checker->module;
    uint8_t type;
    int err;

    err = wasm_check_index(checker, instr, instr->index, module->table_count, "table");
    if (err != 0)
        return err;
    type = module->tables[instr->index].type;
    switch (instr->opcode) {
    case WASM_TABLE_GET:
        err = wasm_check_pop(checker, instr, WASM_I32, NULL);
        return err != 0 ? err : wasm_check_push(checker, instr, type);
    case WASM_TABLE_SET:
        return wasm_check_pop_all(checker, instr, (const uint8_t[]){WASM_I32, type}, 2);
    case WASM_TABLE_GROW:
        err = wasm_check_pop_all(checker, instr, (const uint8_t[]){type, WASM_I32}, 2);
        return err != 0 ? err : wasm_check_push(checker, instr, WASM_I32);
    case WASM_TABLE_FILL:
        return wasm_check_pop_all(checker, instr, (const uint8_t[]){WASM_I32, type, WASM_I32}, 3);
    default: /* table.size: its signature says it */
        return 0;
    }
}

static int
expect_same_type(struct wasm_checker *checker, const struct wasm_instr *instr, uint8_t expected,
                 uint8_t found)
{
    if (expected == found)
        return 0;
    return wasm_invalid(
        checker->reader.fail, instr->position, "type mismatch: %s expected %s, found %s",
        wasm_opcode_info(instr->opcode)->text, wasm_type_name(expected), wasm_type_name(found));
}

static int
check_table_copy(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_module *module = checker->module;
    int err;

    err = wasm_check_index(checker, instr, instr->index, module->table_count, "table");
    if (err == 0)
        err = wasm_check_index(checker, instr, instr->index2, module->table_count, "table");
    if (err != 0)
        return err;
    return expect_same_type(checker, instr, module->tables[instr->index].type,
                            module->tables[instr->index2].type);
}

static int
check_table_init(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_module *module = checker->module;
    int err;

    err = wasm_check_index(checker, instr, instr->index2, module->table_count, "table");
    if (err == 0)
        err = wasm_check_index(checker, instr, instr->index, module->element_count, "elem segment");
    if (err != 0)
        return err;
    return expect_same_type(checker, instr, module->tables[instr->index2].type,
                            module->elements[instr->index].type);
}

static int
check_elem_drop(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    return wasm_check_index(checker, instr, instr->index, checker->module->element_count,
                            "elem segment");
}

/* ---------------------------------------------------------------------- memory */

static int
check_memory(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    return wasm_check_index(checker, instr, 0, checker->module->memory_count, "memory");
}

/* The data count section says how many segments there are before the data
 * section does, so that one pass is enough. */
static int
check_data_index(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    int err;

    err =
        wasm_check_index(checker, instr, instr->index, checker->module->data_count, "data segment");
    if (err == 0 && !checker->has_data_count)
        return wasm_malformed(checker->reader.fail, instr->position,
                              "data count section required by %s",
                              wasm_opcode_info(instr->opcode)->text);
    return err;
}

static int
check_memory_init(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    int err = check_memory(checker, instr);

    return err != 0 ? err : check_data_index(checker, instr);
}

static int
check_memarg(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    unsigned natural = wasm_opcode_access(instr->opcode);
    int err;

    err = check_memory(checker, instr);
    if (err != 0)
        return err;
    if (instr->align > natural)
        return wasm_invalid(checker->reader.fail, instr->position,
                            "alignment must not be larger than natural: %s has 2^%u, natural is "
                            "2^%u",
                            wasm_opcode_info(instr->opcode)->text, instr->align, natural);
    if (instr->opcode >> 16 == 0xfe && instr->align != natural)
        return wasm_invalid(checker->reader.fail, instr->position,
                            "alignment must be equal to natural: %s has 2^%u, natural is 2^%u",
                            wasm_opcode_info(instr->opcode)->text, instr->align, natural);
    return 0;
}

static int
check_lane(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    unsigned lanes = wasm_opcode_lanes(instr->opcode);

    if (instr->lane < lanes)
        return 0;
    return wasm_invalid(checker->reader.fail, instr->position,
                        "invalid lane index %u: %s has %u lanes", instr->lane,
                        wasm_opcode_info(instr->opcode)->text, lanes);
}

static int
check_memarg_lane(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    int err = check_memarg(checker, instr);

    return err != 0 ? err : check_lane(checker, instr);
}

static int
check_shuffle(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    for (unsigned i = 0; i < 16; i++)
        if (instr->value.bytes[i] >= 32)
            return wasm_invalid(checker->reader.fail, instr->position,
                                "invalid lane index %u: i8x16.shuffle chooses from 32 lanes",
                                instr->value.bytes[i]);
    return 0;
}

const wasm_check_fn wasm_check_access[WASM_SLOT_COUNT] = {
    [WASM_LOCAL_GET] = check_local,
    [WASM_LOCAL_SET] = check_local,
    [WASM_LOCAL_TEE] = check_local,
    [WASM_GLOBAL_GET] = check_global_get,
    [WASM_GLOBAL_SET] = check_global_set,
    [WASM_REF_NULL] = check_ref_null,
    [WASM_REF_IS_NULL] = check_ref_is_null,
    [WASM_REF_FUNC] = check_ref_func,
    [WASM_TABLE_GET] = check_table_typed,
    [WASM_TABLE_SET] = check_table_typed,
    [WASM_SLOT(WASM_TABLE_GROW)] = check_table_typed,
    [WASM_SLOT(WASM_TABLE_SIZE)] = check_table_typed,
    [WASM_SLOT(WASM_TABLE_FILL)] = check_table_typed,
    [WASM_SLOT(WASM_TABLE_COPY)] = check_table_copy,
    [WASM_SLOT(WASM_TABLE_INIT)] = check_table_init,
    [WASM_SLOT(WASM_ELEM_DROP)] = check_elem_drop,
    [WASM_SLOT(WASM_DATA_DROP)] = check_data_index,
    [WASM_SLOT(WASM_MEMORY_INIT)] = check_memory_init,
    [WASM_SLOT(WASM_I8X16_SHUFFLE)] = check_shuffle,
};

const wasm_check_fn wasm_check_immediate[WASM_IMM_FENCE + 1] = {
    [WASM_IMM_MEMARG] = check_memarg, [WASM_IMM_MEMARG_LANE] = check_memarg_lane,
    [WASM_IMM_MEMORY] = check_memory, [WASM_IMM_MEMORY2] = check_memory,
    [WASM_IMM_LANE] = check_lane,
};
