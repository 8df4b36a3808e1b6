/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes: decode and validate; what is valid is walked in full, following
 * every index as a compiler would. libFuzzer target.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "wasm/wasm.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void
check_branches(const struct wasm_instr *instr, uint32_t depth)
{
    switch (instr->opcode) {
    case WASM_BR:
    case WASM_BR_IF:
    case WASM_RETHROW:
    case WASM_DELEGATE:
        ASSERT(instr->index < depth);
        break;
    default:
        for (uint32_t i = 0; i < instr->target_count; i++)
            ASSERT(instr->targets[i] < depth);
    }
}

static void
check_indices(const struct wasm_module *module, const struct wasm_instr *instr)
{
    switch (instr->opcode) {
    case WASM_CALL:
    case WASM_RETURN_CALL:
    case WASM_REF_FUNC:
        ASSERT(instr->index < module->function_count);
        break;
    case WASM_CALL_INDIRECT:
    case WASM_RETURN_CALL_INDIRECT:
        ASSERT(instr->index < module->type_count && instr->index2 < module->table_count);
        break;
    case WASM_GLOBAL_GET:
    case WASM_GLOBAL_SET:
        ASSERT(instr->index < module->global_count);
        break;
    case WASM_THROW:
    case WASM_CATCH:
        ASSERT(instr->index < module->tag_count);
        break;
    case WASM_MEMORY_INIT:
    case WASM_DATA_DROP:
        ASSERT(instr->index < module->data_count && module->memory_count <= 1);
        break;
    case WASM_TABLE_INIT:
        ASSERT(instr->index < module->element_count && instr->index2 < module->table_count);
        break;
    default:
        break;
    }
}

/* Blocks must balance, and the last instruction is the code's own end. */
static void
walk_code(const struct wasm_module *module, struct wasm_code code)
{
    struct wasm_cursor cursor;
    struct wasm_instr instr;
    uint32_t depth = 1;

    wasm_cursor_init(&cursor, module, code);
    while (wasm_cursor_next(&cursor, &instr) == 1) {
        const struct wasm_opcode_info *info = wasm_opcode_info(instr.opcode);

        ASSERT(info != NULL && info->opcode == instr.opcode && depth > 0);
        ASSERT(info->feature == 0 || (module->features & info->feature) != 0);
        check_branches(&instr, depth);
        check_indices(module, &instr);
        depth += info->immediate == WASM_IMM_BLOCK;
        depth -= instr.opcode == WASM_END || instr.opcode == WASM_DELEGATE;
    }
    ASSERT(depth == 0 && instr.opcode == WASM_END);
    wasm_cursor_fini(&cursor);
}

static void
walk_segments(const struct wasm_module *module)
{
    for (uint32_t i = 0; i < module->element_count; i++) {
        const struct wasm_element *element = &module->elements[i];

        ASSERT((element->exprs == NULL) != (element->functions == NULL));
        if (element->mode == WASM_SEGMENT_ACTIVE)
            walk_code(module, element->offset);
        for (uint32_t k = 0; k < element->entry_count; k++)
            if (element->exprs != NULL)
                walk_code(module, element->exprs[k]);
            else
                ASSERT(module->functions[element->functions[k]].is_declared);
    }
    for (uint32_t i = 0; i < module->data_count; i++)
        if (module->data[i].mode == WASM_SEGMENT_ACTIVE)
            walk_code(module, module->data[i].offset);
}

static void
walk_module(const struct wasm_module *module)
{
    for (uint32_t i = 0; i < module->type_count; i++)
        ASSERT(module->types[i].canonical <= i);
    for (uint32_t i = 0; i < module->function_count; i++) {
        ASSERT(module->functions[i].type < module->type_count);
        if (!module->functions[i].is_imported)
            walk_code(module, module->functions[i].code);
    }
    for (uint32_t i = module->imported_global_count; i < module->global_count; i++)
        walk_code(module, module->globals[i].init);
    walk_segments(module);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct wasm_module *module;
    bool is_malformed;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = wasm_module_create(bytes, count, &module, &is_malformed, &diag);
    ASSERT(diag.is_set == (err != 0));
    if (err != 0)
        return 0;
    walk_module(module);
    wasm_module_destroy(module);
    return 0;
}
