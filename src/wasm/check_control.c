/* SPDX-License-Identifier: Apache-2.0
 *
 * Control instructions: blocks, branches, calls, exceptions; drop and select.
 */
#include <string.h>

#include "wasm/wasm_internal.h"

/* -------------------------------------------------------------------- blocks */

static int
block_type(struct wasm_checker *checker, const struct wasm_instr *instr, struct wasm_func_type *out)
{
    struct wasm_module *module = checker->module;
    int err;

    *out = instr->block;
    if (instr->index == WASM_BLOCK_INLINE)
        return 0;
    err = wasm_check_index(checker, instr, instr->index, module->type_count, "type");
    if (err != 0)
        return err;
    *out = module->types[instr->index];
    if (out->param_count > 0 || out->result_count > 1)
        module->features |= WASM_FEATURE_MULTI_VALUE;
    return 0;
}

static int
check_block(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    struct wasm_func_type type;
    int err;

    if (instr->opcode == WASM_IF) {
        err = wasm_check_pop(checker, instr, WASM_I32, NULL);
        if (err != 0)
            return err;
    }
    err = block_type(checker, instr, &type);
    if (err == 0)
        err = wasm_check_pop_all(checker, instr, type.params, type.param_count);
    if (err == 0)
        err = wasm_check_push_frame(checker, instr, &type);
    if (err != 0)
        return err;
    return wasm_check_push_all(checker, instr, type.params, type.param_count);
}

/* else, catch, catch_all, delegate: is there a part that they go on from? */
static int
continue_frame(struct wasm_checker *checker, const struct wasm_instr *instr, struct wasm_frame *out)
{
    uint32_t opcode = checker->frames[checker->frame_count - 1].opcode;

    if (!wasm_block_continues(opcode, instr->opcode))
        return wasm_malformed(checker->reader.fail, instr->position,
                              "unexpected token: misplaced %s",
                              wasm_opcode_info(instr->opcode)->text);
    return wasm_check_pop_frame(checker, instr, out);
}

static int
check_else(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    struct wasm_frame frame;
    int err;

    err = continue_frame(checker, instr, &frame);
    if (err == 0)
        err = wasm_check_push_frame(checker, instr, &frame.type);
    if (err != 0)
        return err;
    return wasm_check_push_all(checker, instr, frame.type.params, frame.type.param_count);
}

static int
check_end(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    struct wasm_frame frame;
    const struct wasm_func_type *type = &frame.type;
    int err;

    err = wasm_check_pop_frame(checker, instr, &frame);
    if (err != 0)
        return err;
    if (frame.opcode == WASM_IF &&
        (type->param_count != type->result_count ||
         (type->param_count > 0 && memcmp(type->params, type->results, type->param_count) != 0)))
        return wasm_invalid(checker->reader.fail, instr->position,
                            "type mismatch: the if of byte 0x%x has no else, so its results must "
                            "be its parameters",
                            frame.position);
    if (checker->frame_count == 0)
        return 0;
    return wasm_check_push_all(checker, instr, type->results, type->result_count);
}

/* ------------------------------------------------------------------- branches */

/* The types that a branch to this label takes along. */
static int
label_types(struct wasm_checker *checker, const struct wasm_instr *instr, uint32_t label,
            const uint8_t **types, uint32_t *count)
{
    const struct wasm_frame *frame;
    int err;

    err = wasm_check_index(checker, instr, label, checker->frame_count, "label");
    if (err != 0)
        return err;
    frame = &checker->frames[checker->frame_count - 1 - label];
    *types = frame->opcode == WASM_LOOP ? frame->type.params : frame->type.results;
    *count = frame->opcode == WASM_LOOP ? frame->type.param_count : frame->type.result_count;
    return 0;
}

static int
check_br(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const uint8_t *types;
    uint32_t count;
    int err;

    err = label_types(checker, instr, instr->index, &types, &count);
    if (err == 0)
        err = wasm_check_pop_all(checker, instr, types, count);
    if (err != 0)
        return err;
    wasm_check_unreachable(checker);
    return 0;
}

static int
check_br_if(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const uint8_t *types;
    uint32_t count;
    int err;

    err = wasm_check_pop(checker, instr, WASM_I32, NULL);
    if (err == 0)
        err = label_types(checker, instr, instr->index, &types, &count);
    if (err == 0)
        err = wasm_check_pop_all(checker, instr, types, count);
    if (err != 0)
        return err;
    return wasm_check_push_all(checker, instr, types, count);
}

/* The operands must suit the label, and stay what they are: after an instruction
 * that never continues, another label may want another type of them. */
static int
match_operands(struct wasm_checker *checker, const struct wasm_instr *instr, const uint8_t *types,
               uint32_t count)
{
    const struct wasm_frame *frame = &checker->frames[checker->frame_count - 1];
    uint32_t have = checker->value_count - frame->height;
    uint8_t type;

    for (uint32_t i = 0; i < count; i++) {
        if (i >= have && frame->is_unreachable)
            return 0;
        type = i < have ? checker->values[checker->value_count - 1 - i] : WASM_BOTTOM;
        if (i < have && (type == WASM_BOTTOM || type == types[count - 1 - i]))
            continue;
        return wasm_invalid(checker->reader.fail, instr->position,
                            "type mismatch: br_table expected %s, found %s",
                            wasm_type_name(types[count - 1 - i]),
                            i < have ? wasm_type_name(type) : "an empty stack");
    }
    return 0;
}

static int
check_br_table(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const uint8_t *last, *types, *seen = NULL;
    uint32_t arity, count;
    int err;

    err = wasm_check_pop(checker, instr, WASM_I32, NULL);
    if (err == 0)
        err = label_types(checker, instr, instr->targets[instr->target_count - 1], &last, &arity);
    for (uint32_t i = 0; i + 1 < instr->target_count && err == 0; i++) {
        err = label_types(checker, instr, instr->targets[i], &types, &count);
        if (err == 0 && count != arity)
            return wasm_invalid(checker->reader.fail, instr->position,
                                "type mismatch: br_table expected labels of %u values, found one "
                                "of %u",
                                arity, count);
        /* Cases of a switch mostly go to labels of one type. */
        if (err == 0 && types != seen)
            err = match_operands(checker, instr, types, count);
        seen = types;
    }
    if (err == 0)
        err = wasm_check_pop_all(checker, instr, last, arity);
    if (err == 0)
        wasm_check_unreachable(checker);
    return err;
}

static int
check_return(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_func_type *type = &checker->frames[0].type;
    int err;

    err = wasm_check_pop_all(checker, instr, type->results, type->result_count);
    if (err == 0)
        wasm_check_unreachable(checker);
    return err;
}

static int
check_unreachable(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    (void)instr;
    wasm_check_unreachable(checker);
    return 0;
}

/* ---------------------------------------------------------------------- calls */

static int
apply_call(struct wasm_checker *checker, const struct wasm_instr *instr,
           const struct wasm_func_type *type)
{
    int err;

    err = wasm_check_pop_all(checker, instr, type->params, type->param_count);
    if (err != 0)
        return err;
    return wasm_check_push_all(checker, instr, type->results, type->result_count);
}

/* The callee returns in the caller's place, so the results are the same. */
static int
apply_tail_call(struct wasm_checker *checker, const struct wasm_instr *instr,
                const struct wasm_func_type *type)
{
    const struct wasm_func_type *own = &checker->frames[0].type;
    int err;

    if (type->result_count != own->result_count ||
        (own->result_count > 0 && memcmp(type->results, own->results, own->result_count) != 0))
        return wasm_invalid(checker->reader.fail, instr->position,
                            "type mismatch: %s of a function whose %u results are not the "
                            "caller's %u",
                            wasm_opcode_info(instr->opcode)->text, type->result_count,
                            own->result_count);
    err = wasm_check_pop_all(checker, instr, type->params, type->param_count);
    if (err == 0)
        wasm_check_unreachable(checker);
    return err;
}

static int
check_call(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_module *module = checker->module;
    const struct wasm_func_type *type;
    int err;

    err = wasm_check_index(checker, instr, instr->index, module->function_count, "function");
    if (err != 0)
        return err;
    type = &module->types[module->functions[instr->index].type];
    if (instr->opcode == WASM_RETURN_CALL)
        return apply_tail_call(checker, instr, type);
    return apply_call(checker, instr, type);
}

static int
check_call_indirect(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    struct wasm_module *module = checker->module;
    int err;

    err = wasm_check_index(checker, instr, instr->index2, module->table_count, "table");
    if (err == 0)
        err = wasm_check_index(checker, instr, instr->index, module->type_count, "type");
    if (err != 0)
        return err;
    if (module->tables[instr->index2].type != WASM_FUNCREF)
        return wasm_invalid(checker->reader.fail, instr->position,
                            "type mismatch: %s expected a table of funcref, found externref",
                            wasm_opcode_info(instr->opcode)->text);
    if (instr->index2 != 0)
        module->features |= WASM_FEATURE_REFERENCE_TYPES;
    err = wasm_check_pop(checker, instr, WASM_I32, NULL);
    if (err != 0)
        return err;
    if (instr->opcode == WASM_RETURN_CALL_INDIRECT)
        return apply_tail_call(checker, instr, &module->types[instr->index]);
    return apply_call(checker, instr, &module->types[instr->index]);
}

/* ----------------------------------------------------------------- exceptions */

static int
check_catch(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_module *module = checker->module;
    const struct wasm_func_type *payload;
    struct wasm_frame frame;
    int err;

    err = continue_frame(checker, instr, &frame);
    if (err == 0)
        err = wasm_check_push_frame(checker, instr, &frame.type);
    if (err != 0 || instr->opcode == WASM_CATCH_ALL)
        return err;
    err = wasm_check_index(checker, instr, instr->index, module->tag_count, "tag");
    if (err != 0)
        return err;
    payload = &module->types[module->tags[instr->index].type];
    return wasm_check_push_all(checker, instr, payload->params, payload->param_count);
}

/* Ends its try; the label counts from outside of it. */
static int
check_delegate(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    struct wasm_frame frame;
    int err;

    err = continue_frame(checker, instr, &frame);
    if (err == 0)
        err = wasm_check_index(checker, instr, instr->index, checker->frame_count, "label");
    if (err != 0)
        return err;
    return wasm_check_push_all(checker, instr, frame.type.results, frame.type.result_count);
}

static int
check_throw(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    const struct wasm_module *module = checker->module;
    const struct wasm_func_type *payload;
    int err;

    err = wasm_check_index(checker, instr, instr->index, module->tag_count, "tag");
    if (err != 0)
        return err;
    payload = &module->types[module->tags[instr->index].type];
    err = wasm_check_pop_all(checker, instr, payload->params, payload->param_count);
    if (err == 0)
        wasm_check_unreachable(checker);
    return err;
}

static int
check_rethrow(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    uint32_t opcode;
    int err;

    err = wasm_check_index(checker, instr, instr->index, checker->frame_count, "label");
    if (err != 0)
        return err;
    opcode = checker->frames[checker->frame_count - 1 - instr->index].opcode;
    if (opcode != WASM_CATCH && opcode != WASM_CATCH_ALL)
        return wasm_invalid(checker->reader.fail, instr->position,
                            "invalid rethrow label %u: it is not a catch", instr->index);
    wasm_check_unreachable(checker);
    return 0;
}

/* ----------------------------------------------------------------- parametric */

static int
check_drop(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    return wasm_check_pop(checker, instr, WASM_BOTTOM, NULL);
}

/* Without a type: numbers and vectors only, so that the type is known from the
 * operands. */
static int
check_select(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    uint8_t first = WASM_BOTTOM, second = WASM_BOTTOM;
    int err;

    err = wasm_check_pop(checker, instr, WASM_I32, NULL);
    if (err == 0)
        err = wasm_check_pop(checker, instr, WASM_BOTTOM, &second);
    if (err == 0)
        err = wasm_check_pop(checker, instr, second, &first);
    if (err != 0)
        return err;
    if (wasm_type_is_reference(first) || wasm_type_is_reference(second))
        return wasm_invalid(checker->reader.fail, instr->position,
                            "type mismatch: select without a type expected a number or vector, "
                            "found %s",
                            wasm_type_name(wasm_type_is_reference(first) ? first : second));
    return wasm_check_push(checker, instr, first == WASM_BOTTOM ? second : first);
}

static int
check_select_typed(struct wasm_checker *checker, const struct wasm_instr *instr)
{
    uint8_t types[3] = {instr->type, instr->type, WASM_I32};
    int err;

    if (instr->index != 1)
        return wasm_invalid(checker->reader.fail, instr->position,
                            "invalid result arity: select has %u types, 1 expected", instr->index);
    err = wasm_check_pop_all(checker, instr, types, 3);
    if (err != 0)
        return err;
    return wasm_check_push(checker, instr, instr->type);
}

const wasm_check_fn wasm_check_control[WASM_SLOT_COUNT] = {
    [WASM_UNREACHABLE] = check_unreachable,
    [WASM_BLOCK] = check_block,
    [WASM_LOOP] = check_block,
    [WASM_IF] = check_block,
    [WASM_TRY] = check_block,
    [WASM_ELSE] = check_else,
    [WASM_END] = check_end,
    [WASM_CATCH] = check_catch,
    [WASM_CATCH_ALL] = check_catch,
    [WASM_DELEGATE] = check_delegate,
    [WASM_THROW] = check_throw,
    [WASM_RETHROW] = check_rethrow,
    [WASM_BR] = check_br,
    [WASM_BR_IF] = check_br_if,
    [WASM_BR_TABLE] = check_br_table,
    [WASM_RETURN] = check_return,
    [WASM_CALL] = check_call,
    [WASM_CALL_INDIRECT] = check_call_indirect,
    [WASM_RETURN_CALL] = check_call,
    [WASM_RETURN_CALL_INDIRECT] = check_call_indirect,
    [WASM_DROP] = check_drop,
    [WASM_SELECT] = check_select,
    [WASM_SELECT_T] = check_select_typed,
};
