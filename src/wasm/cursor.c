/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "wasm/wasm_internal.h"

#include "base/assert.h"

void
wasm_cursor_init(struct wasm_cursor *cursor, const struct wasm_module *module,
                 struct wasm_code code)
{
    ASSERT(code.first <= code.end && code.end <= module->byte_count);
    *cursor = (struct wasm_cursor){.module = module, .position = code.first, .end = code.end};
}

void
wasm_cursor_fini(struct wasm_cursor *cursor)
{
    free(cursor->targets);
    *cursor = (struct wasm_cursor){0};
}

int
wasm_cursor_next(struct wasm_cursor *cursor, struct wasm_instr *instr)
{
    struct wasm_reader reader = {
        .bytes = cursor->module->bytes, .position = cursor->position, .end = cursor->end};
    struct wasm_targets targets = {.labels = cursor->targets, .capacity = cursor->target_capacity};
    int err;

    if (cursor->position == cursor->end)
        return 0;
    err = wasm_instr_decode(&reader, &targets, instr);
    cursor->targets = targets.labels;
    cursor->target_capacity = targets.capacity;
    if (err != 0) {
        /* The code was validated: only memory can be short. */
        ASSERT(err == -ENOMEM);
        return err;
    }
    cursor->position = reader.position;
    if (wasm_opcode_info(instr->opcode)->immediate == WASM_IMM_BLOCK &&
        instr->index != WASM_BLOCK_INLINE) {
        ASSERT(instr->index < cursor->module->type_count);
        instr->block = cursor->module->types[instr->index];
    }
    return 1;
}
