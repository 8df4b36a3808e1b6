/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the end of an expression: nesting is followed, nothing else.
 */
#include <stdlib.h>

#include "wasm/wasm_internal.h"

/* The open blocks of an expression, each as the opcode that began its current
 * part; the expression itself is a block. */
struct nesting {
    uint8_t *blocks; /* owned */
    uint32_t count;
    uint32_t capacity;
};

static int
nesting_push(struct nesting *nesting, const struct wasm_reader *reader, uint32_t opcode)
{
    uint8_t *blocks;

    if (nesting->count == WASM_BLOCK_DEPTH_MAX)
        return wasm_too_big(reader->fail, reader->position,
                            "blocks nested too deeply, the limit is %u", WASM_BLOCK_DEPTH_MAX);
    if (nesting->count == nesting->capacity) {
        uint32_t capacity = nesting->capacity == 0 ? 64 : nesting->capacity * 2;

        blocks = realloc(nesting->blocks, capacity);
        if (blocks == NULL)
            return wasm_no_memory(reader->fail);
        nesting->blocks = blocks;
        nesting->capacity = capacity;
    }
    nesting->blocks[nesting->count++] = (uint8_t)opcode;
    return 0;
}

static int
nesting_follow(struct nesting *nesting, const struct wasm_reader *reader,
               const struct wasm_instr *instr)
{
    uint8_t *block = &nesting->blocks[nesting->count - 1];

    switch (instr->opcode) {
    case WASM_BLOCK:
    case WASM_LOOP:
    case WASM_IF:
    case WASM_TRY:
        return nesting_push(nesting, reader, instr->opcode);
    case WASM_END:
        nesting->count--;
        return 0;
    case WASM_ELSE:
    case WASM_CATCH:
    case WASM_CATCH_ALL:
    case WASM_DELEGATE:
        if (!wasm_block_continues(*block, instr->opcode))
            return wasm_malformed(reader->fail, instr->position, "unexpected token: misplaced %s",
                                  wasm_opcode_info(instr->opcode)->text);
        *block = (uint8_t)instr->opcode;
        nesting->count -= instr->opcode == WASM_DELEGATE;
        return 0;
    default:
        return 0;
    }
}

int
wasm_code_scan(struct wasm_reader *reader, struct wasm_code *out)
{
    struct wasm_targets targets = {0};
    struct nesting nesting = {0};
    struct wasm_instr instr;
    int err;

    out->first = reader->position;
    err = nesting_push(&nesting, reader, WASM_BLOCK);
    while (err == 0 && nesting.count > 0) {
        err = wasm_instr_decode(reader, &targets, &instr);
        if (err == 0)
            err = nesting_follow(&nesting, reader, &instr);
    }
    out->end = reader->position;
    free(nesting.blocks);
    free(targets.labels);
    return err;
}
