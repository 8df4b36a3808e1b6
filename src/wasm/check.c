/* SPDX-License-Identifier: Apache-2.0
 *
 * Validation of expressions, in one pass over the bytes.
 *
 * The value stack holds types; the control stack says where each open block
 * began. After an instruction that never continues, the rest of a block may pop
 * any type from nothing (a frame's is_unreachable). This is the algorithm of the
 * specification's appendix, and what it accepts is exactly what the declarative
 * rules accept.
 */
#include <stdlib.h>
#include <string.h>

#include "wasm/wasm_internal.h"

#include "base/assert.h"

#define LOCALS_CAPACITY (WASM_LOCALS_MAX + WASM_VALUES_MAX)

int
wasm_checker_init(struct wasm_checker *checker, struct wasm_module *module, struct wasm_fail *fail)
{
    *checker = (struct wasm_checker){
        .module = module,
        .reader = {.bytes = module->bytes, .fail = fail},
        .value_capacity = 1024,
        .frame_capacity = 64,
    };
    checker->locals = malloc(LOCALS_CAPACITY);
    checker->values = malloc(checker->value_capacity);
    checker->frames = calloc(checker->frame_capacity, sizeof(*checker->frames));
    if (checker->locals == NULL || checker->values == NULL || checker->frames == NULL) {
        wasm_checker_fini(checker);
        return wasm_no_memory(fail);
    }
    return 0;
}

void
wasm_checker_fini(struct wasm_checker *checker)
{
    free(checker->locals);
    free(checker->values);
    free(checker->frames);
    free(checker->targets.labels);
    *checker = (struct wasm_checker){0};
}

/* ------------------------------------------------------------------- the stacks */

static const char *
text_of(const struct wasm_instr *instr)
{
    return wasm_opcode_info(instr->opcode)->text;
}

static int
grow_values(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    uint32_t capacity = checker->value_capacity * 2;
    uint8_t *values;

    if (checker->value_count >= WASM_STACK_VALUES_MAX)
        return wasm_too_big(checker->reader.fail, instr->position,
                            "too many operands: more than %u at a time", WASM_STACK_VALUES_MAX);
    values = realloc(checker->values, capacity);
    if (values == NULL)
        return wasm_no_memory(checker->reader.fail);
    checker->values = values;
    checker->value_capacity = capacity;
    return 0;
}

static inline int
push(struct wasm_checker *checker, const struct wasm_instr *instr, uint8_t type)
{
    if (checker->value_count == checker->value_capacity) {
        int err = grow_values(checker, instr);

        if (err != 0)
            return err;
    }
    checker->values[checker->value_count++] = type;
    return 0;
}

static int
mismatch(struct wasm_checker *checker, const struct wasm_instr *instr, uint8_t expected,
         const char *found)
{
    return wasm_invalid(checker->reader.fail, instr->position,
                        "type mismatch: %s expected %s, found %s", text_of(instr),
                        expected == WASM_BOTTOM ? "a value" : wasm_type_name(expected), found);
}

static inline int
pop(struct wasm_checker *checker, const struct wasm_instr *instr, uint8_t expected, uint8_t *found)
{
    const struct wasm_frame *frame = &checker->frames[checker->frame_count - 1];
    uint8_t type;

    if (checker->value_count == frame->height) {
        if (!frame->is_unreachable)
            return mismatch(checker, instr, expected, "an empty stack");
        *found = WASM_BOTTOM;
        return 0;
    }
    type = checker->values[--checker->value_count];
    if (type != expected && type != WASM_BOTTOM && expected != WASM_BOTTOM)
        return mismatch(checker, instr, expected, wasm_type_name(type));
    *found = type;
    return 0;
}

int
wasm_check_pop(struct wasm_checker *checker, const struct wasm_instr *instr, uint8_t expected,
               uint8_t *found)
{
    uint8_t ignored;

    return pop(checker, instr, expected, found == NULL ? &ignored : found);
}

int
wasm_check_push(struct wasm_checker *checker, const struct wasm_instr *instr, uint8_t type)
{
    return push(checker, instr, type);
}

int
wasm_check_pop_all(struct wasm_checker *checker, const struct wasm_instr *instr,
                   const uint8_t *types, uint32_t count)
{
    uint8_t found;

    for (uint32_t i = count; i > 0; i--) {
        int err = pop(checker, instr, types[i - 1], &found);

        if (err != 0)
            return err;
    }
    return 0;
}

int
wasm_check_push_all(struct wasm_checker *checker, const struct wasm_instr *instr,
                    const uint8_t *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int err = push(checker, instr, types[i]);

        if (err != 0)
            return err;
    }
    return 0;
}

static int
grow_frames(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    uint32_t capacity = checker->frame_capacity * 2;
    struct wasm_frame *frames;

    if (checker->frame_count >= WASM_BLOCK_DEPTH_MAX)
        return wasm_too_big(checker->reader.fail, instr->position,
                            "blocks nested too deeply, the limit is %u", WASM_BLOCK_DEPTH_MAX);
    if (checker->frame_count < checker->frame_capacity)
        return 0;
    frames = reallocarray(checker->frames, capacity, sizeof(*frames));
    if (frames == NULL)
        return wasm_no_memory(checker->reader.fail);
    checker->frames = frames;
    checker->frame_capacity = capacity;
    return 0;
}

int
wasm_check_push_frame(struct wasm_checker *checker, const struct wasm_instr *instr,
                      const struct wasm_func_type *type)
{
    int err = grow_frames(checker, instr);

    if (err != 0)
        return err;
    checker->frames[checker->frame_count++] = (struct wasm_frame){
        .type = *type,
        .opcode = instr->opcode,
        .position = instr->position,
        .height = checker->value_count,
    };
    return 0;
}

int
wasm_check_pop_frame(struct wasm_checker *checker, const struct wasm_instr *instr,
                     struct wasm_frame *out)
{
    struct wasm_frame *frame = &checker->frames[checker->frame_count - 1];
    int err;

    err = wasm_check_pop_all(checker, instr, frame->type.results, frame->type.result_count);
    if (err != 0)
        return err;
    if (checker->value_count != frame->height)
        return wasm_invalid(checker->reader.fail, instr->position,
                            "type mismatch: values remaining on stack at %s: the block of byte "
                            "0x%x gives %u, and %u more are there",
                            text_of(instr), frame->position, frame->type.result_count,
                            checker->value_count - frame->height);
    *out = *frame;
    checker->frame_count--;
    return 0;
}

void
wasm_check_unreachable(struct wasm_checker *checker)
{
    struct wasm_frame *frame = &checker->frames[checker->frame_count - 1];

    checker->value_count = frame->height;
    frame->is_unreachable = true;
}

int
wasm_check_index(struct wasm_checker *checker, const struct wasm_instr *instr, uint32_t index,
                 uint32_t count, const char *what)
{
    if (index < count)
        return 0;
    return wasm_invalid(checker->reader.fail, instr->position,
                        "unknown %s %u: %s, but there are %u", what, index, text_of(instr), count);
}

/* ------------------------------------------------------------- one instruction */

static const uint8_t type_of_letter[256] = {
    ['i'] = WASM_I32, ['I'] = WASM_I64,  ['f'] = WASM_F32,
    ['F'] = WASM_F64, ['v'] = WASM_V128, ['r'] = WASM_FUNCREF,
};

static int
apply_signature(struct wasm_checker *checker, const struct wasm_instr *instr, const char *signature)
{
    const char *colon = signature;
    uint8_t found;
    int err;

    while (*colon != ':')
        colon++;
    for (const char *letter = colon; letter > signature; letter--) {
        err = pop(checker, instr, type_of_letter[(uint8_t)letter[-1]], &found);
        if (err != 0)
            return err;
    }
    for (const char *letter = colon + 1; *letter != '\0'; letter++) {
        err = push(checker, instr, type_of_letter[(uint8_t)*letter]);
        if (err != 0)
            return err;
    }
    return 0;
}

static int
check_is_constant(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    switch (instr->opcode) {
    case WASM_I32_ADD:
    case WASM_I32_SUB:
    case WASM_I32_MUL:
    case WASM_I64_ADD:
    case WASM_I64_SUB:
    case WASM_I64_MUL:
        checker->module->features |= WASM_FEATURE_EXTENDED_CONST;
        return 0;
    case WASM_I32_CONST:
    case WASM_I64_CONST:
    case WASM_F32_CONST:
    case WASM_F64_CONST:
    case WASM_V128_CONST:
    case WASM_REF_NULL:
    case WASM_REF_FUNC:
    case WASM_GLOBAL_GET:
    case WASM_END:
        return 0;
    default:
        return wasm_invalid(checker->reader.fail, instr->position,
                            "constant expression required: %s is not constant", text_of(instr));
    }
}

static int
check_instr(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_opcode_info *info = wasm_opcode_info(instr->opcode);
    uint32_t slot = WASM_SLOT(instr->opcode);
    wasm_check_fn special;
    int err = 0;

    checker->module->features |= info->feature;
    if (checker->is_constant)
        err = check_is_constant(checker, instr);
    if (err != 0)
        return err;
    special = wasm_check_access[slot];
    if (special == NULL)
        special = wasm_check_control[slot];
    if (special == NULL)
        special = wasm_check_immediate[info->immediate];
    if (special != NULL)
        err = special(checker, instr);
    if (err == 0 && info->signature[0] != '*')
        err = apply_signature(checker, instr, info->signature);
    return err;
}

static int
check_code(struct wasm_checker *checker, struct wasm_code code, const struct wasm_func_type *type)
{
    struct wasm_reader *reader = &checker->reader;
    struct wasm_instr instr = {.opcode = WASM_BLOCK, .position = code.first};
    int err;

    reader->position = code.first;
    reader->end = code.end;
    checker->value_count = 0;
    checker->frame_count = 0;
    err = wasm_check_push_frame(checker, &instr, type);
    while (err == 0 && checker->frame_count > 0) {
        err = wasm_instr_decode(reader, &checker->targets, &instr);
        if (err == 0)
            err = check_instr(checker, &instr);
    }
    if (err == 0 && reader->position != reader->end)
        return wasm_malformed(reader->fail, reader->position,
                              "section size mismatch: %u bytes after the end of the function",
                              wasm_reader_left(reader));
    return err;
}

int
wasm_check_body(struct wasm_checker *checker, struct wasm_function *function)
{
    const struct wasm_func_type *type = &checker->module->types[function->type];
    /* A body's outermost block has no parameters: they are locals. */
    struct wasm_func_type block = {.results = type->results, .result_count = type->result_count};
    uint32_t count = type->param_count;

    if (count > 0)
        (void)memcpy(checker->locals, type->params, count);
    for (uint32_t i = 0; i < function->local_group_count; i++) {
        const struct wasm_local_group *group = &function->locals[i];

        if (group->count == 0)
            continue;
        ASSERT(count + group->count <= LOCALS_CAPACITY);
        (void)memset(checker->locals + count, group->type, group->count);
        count += group->count;
        if (group->type == WASM_V128)
            checker->module->features |= WASM_FEATURE_SIMD;
    }
    checker->local_count = count;
    checker->is_constant = false;
    return check_code(checker, function->code, &block);
}

int
wasm_check_constant(struct wasm_checker *checker, struct wasm_code code, uint8_t type)
{
    struct wasm_func_type block = {.results = &type, .result_count = 1};

    checker->local_count = 0;
    checker->is_constant = true;
    return check_code(checker, code, &block);
}
