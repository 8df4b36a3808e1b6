/* SPDX-License-Identifier: Apache-2.0
 *
 * Structured control. A label's values are phi nodes of its target block. Code
 * that cannot be reached is skipped: it is valid, and needs only its nesting
 * counted.
 */
#include <stddef.h>
#include <stdlib.h>

#include "base/assert.h"
#include "compile/compile_internal.h"

struct emit_frame *
emit_frame_at(struct emitter *emitter, uint32_t label)
{
    ASSERT(label < emitter->frame_count);
    return &emitter->frames[emitter->frame_count - 1 - label];
}

/* Makes count phi nodes in the (still empty) block. */
static LLVMValueRef *
make_phis(struct emitter *emitter, LLVMBasicBlockRef block, const uint8_t *types, uint32_t count)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(emitter->builder);
    LLVMValueRef *phis = emit_allocate(count, sizeof(LLVMValueRef));

    LLVMPositionBuilderAtEnd(emitter->builder, block);
    for (uint32_t i = 0; i < count; i++)
        phis[i] = LLVMBuildPhi(emitter->builder, unit_type(emitter->unit, types[i]), "");
    LLVMPositionBuilderAtEnd(emitter->builder, here);
    return phis;
}

struct emit_frame *
emit_frame_push(struct emitter *emitter, enum frame_kind kind, const struct wasm_func_type *type)
{
    struct emit_frame *frame;

    if (emitter->frame_count == emitter->frame_capacity) {
        uint32_t capacity = emitter->frame_capacity == 0 ? 16 : emitter->frame_capacity * 2;

        emitter->frames = realloc(emitter->frames, capacity * sizeof(*emitter->frames));
        if (emitter->frames == NULL)
            abort();
        emitter->frame_capacity = capacity;
    }
    frame = &emitter->frames[emitter->frame_count++];
    *frame = (struct emit_frame){.kind = kind, .type = *type};
    frame->height = kind == FRAME_FUNCTION ? 0 : emitter->stack_count - type->param_count;
    frame->target = emit_block(emitter, kind == FRAME_LOOP ? "loop" : "end");
    if (kind == FRAME_LOOP) {
        frame->phis = make_phis(emitter, frame->target, type->params, type->param_count);
    } else {
        frame->end = frame->target;
        frame->phis = make_phis(emitter, frame->target, type->results, type->result_count);
    }
    return frame;
}

void
emit_frame_pop(struct emitter *emitter)
{
    struct emit_frame *frame = &emitter->frames[--emitter->frame_count];

    free(frame->phis);
    free(frame->params);
    free(frame->caught);
}

static uint32_t
label_arity(const struct emit_frame *frame)
{
    return frame->kind == FRAME_LOOP ? frame->type.param_count : frame->type.result_count;
}

/* Gives the label's phis their values for an edge from the current block. */
static void
add_incoming(struct emitter *emitter, const struct emit_frame *frame)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(emitter->builder);
    uint32_t arity = label_arity(frame);

    ASSERT(emitter->stack_count >= arity);
    for (uint32_t i = 0; i < arity; i++)
        LLVMAddIncoming(frame->phis[i], &emitter->stack[emitter->stack_count - arity + i], &here,
                        1);
}

void
emit_branch(struct emitter *emitter, const struct emit_frame *frame)
{
    add_incoming(emitter, frame);
    (void)LLVMBuildBr(emitter->builder, frame->target);
}

void
emit_unreachable_rest(struct emitter *emitter)
{
    emitter->is_dead = true;
    emitter->stack_count = emit_frame_at(emitter, 0)->height;
}

static LLVMValueRef
pop_condition(struct emitter *emitter)
{
    LLVMValueRef value = emit_pop(emitter);

    return LLVMBuildICmp(emitter->builder, LLVMIntNE, value, emit_i32(emitter, 0), "");
}

static void
open_loop(struct emitter *emitter, const struct wasm_instr *instr)
{
    struct emit_frame *frame = emit_frame_push(emitter, FRAME_LOOP, &instr->block);

    emit_branch(emitter, frame);
    LLVMPositionBuilderAtEnd(emitter->builder, frame->target);
    for (uint32_t i = 0; i < instr->block.param_count; i++)
        emitter->stack[frame->height + i] = frame->phis[i];
}

static void
open_if(struct emitter *emitter, const struct wasm_instr *instr)
{
    LLVMValueRef condition = pop_condition(emitter);
    struct emit_frame *frame = emit_frame_push(emitter, FRAME_IF, &instr->block);
    LLVMBasicBlockRef then = emit_block(emitter, "then");

    frame->other = emit_block(emitter, "else");
    frame->params = emit_allocate(instr->block.param_count, sizeof(LLVMValueRef));
    for (uint32_t i = 0; i < instr->block.param_count; i++)
        frame->params[i] = emitter->stack[frame->height + i];
    (void)LLVMBuildCondBr(emitter->builder, condition, then, frame->other);
    LLVMPositionBuilderAtEnd(emitter->builder, then);
}

/* Goes on in the else block of an if, with the parameters on the stack. */
static void
enter_else(struct emitter *emitter, struct emit_frame *frame)
{
    if (!emitter->is_dead)
        emit_branch(emitter, frame);
    LLVMPositionBuilderAtEnd(emitter->builder, frame->other);
    emitter->is_dead = false;
    emitter->stack_count = frame->height;
    for (uint32_t i = 0; i < frame->type.param_count; i++)
        emit_push(emitter, frame->params[i]);
    frame->kind = FRAME_ELSE;
}

void
emit_finish_block(struct emitter *emitter)
{
    struct emit_frame *frame = emit_frame_at(emitter, 0);
    bool is_reached;

    if (frame->kind == FRAME_LOOP) {
        emit_frame_pop(emitter); /* its results, if it ends at all, are on the stack */
        return;
    }
    if (!emitter->is_dead)
        emit_branch(emitter, frame);
    is_reached = LLVMGetFirstUse(LLVMBasicBlockAsValue(frame->end)) != NULL;
    emitter->stack_count = frame->height;
    emitter->is_dead = !is_reached;
    if (is_reached) {
        LLVMPositionBuilderAtEnd(emitter->builder, frame->end);
        for (uint32_t i = 0; i < frame->type.result_count; i++)
            emit_push(emitter, frame->phis[i]);
    } else {
        LLVMDeleteBasicBlock(frame->end);
    }
    emit_frame_pop(emitter);
}

/* The function's end: the first result is returned, the others are left where the
 * caller looks for them. */
static void
finish_function(struct emitter *emitter)
{
    struct wasm_func_type type = emit_frame_at(emitter, 0)->type;
    LLVMValueRef *results;

    emit_finish_block(emitter);
    if (emitter->is_dead)
        return;
    results = emitter->stack; /* height 0: they are all that is there */
    if (type.result_count == 0) {
        (void)LLVMBuildRetVoid(emitter->builder);
        return;
    }
    emit_slots_store(emitter, emitter->results, type.results, 1, type.result_count, results);
    (void)LLVMBuildRet(emitter->builder, results[0]);
}

static void
close_block(struct emitter *emitter)
{
    struct emit_frame *frame = emit_frame_at(emitter, 0);

    if (frame->kind == FRAME_FUNCTION) {
        finish_function(emitter);
        return;
    }
    if (frame->kind == FRAME_IF)
        enter_else(emitter, frame); /* an else that passes the parameters on */
    if (frame->kind == FRAME_TRY || frame->kind == FRAME_CATCH)
        emit_try_end(emitter);
    emit_finish_block(emitter);
}

static void
branch_if(struct emitter *emitter, const struct wasm_instr *instr)
{
    LLVMValueRef condition = pop_condition(emitter);
    struct emit_frame *frame = emit_frame_at(emitter, instr->index);
    LLVMBasicBlockRef next = emit_block(emitter, "next");

    add_incoming(emitter, frame);
    (void)LLVMBuildCondBr(emitter->builder, condition, frame->target, next);
    LLVMPositionBuilderAtEnd(emitter->builder, next);
}

/* The block that a case of the switch goes to: the target, or where it takes
 * values, a block of its own, since phis count edges. */
static LLVMBasicBlockRef
case_block(struct emitter *emitter, uint32_t label)
{
    struct emit_frame *frame = emit_frame_at(emitter, label);
    LLVMBasicBlockRef here, block;

    if (label_arity(frame) == 0)
        return frame->target;
    here = LLVMGetInsertBlock(emitter->builder);
    block = emit_block(emitter, "case");
    LLVMPositionBuilderAtEnd(emitter->builder, block);
    emit_branch(emitter, frame);
    LLVMPositionBuilderAtEnd(emitter->builder, here);
    return block;
}

static void
branch_table(struct emitter *emitter, const struct wasm_instr *instr)
{
    LLVMValueRef index = emit_pop(emitter);
    uint32_t cases = instr->target_count - 1;
    LLVMValueRef choice =
        LLVMBuildSwitch(emitter->builder, index, case_block(emitter, instr->targets[cases]), cases);

    for (uint32_t i = 0; i < cases; i++)
        LLVMAddCase(choice, emit_i32(emitter, i), case_block(emitter, instr->targets[i]));
}

/* In unreachable code; whether the instruction is to be skipped. */
static bool
skip_dead(struct emitter *emitter, uint32_t opcode)
{
    switch (opcode) {
    case WASM_BLOCK:
    case WASM_LOOP:
    case WASM_IF:
    case WASM_TRY:
        emitter->dead_depth++;
        return true;
    case WASM_END:
    case WASM_DELEGATE:
        if (emitter->dead_depth == 0)
            return false;
        emitter->dead_depth--;
        return true;
    case WASM_ELSE:
    case WASM_CATCH:
    case WASM_CATCH_ALL:
        return emitter->dead_depth > 0;
    default:
        return true;
    }
}

/* What does not fall through. */
static bool
emit_jump(struct emitter *emitter, const struct wasm_instr *instr)
{
    switch (instr->opcode) {
    case WASM_BR:
        emit_branch(emitter, emit_frame_at(emitter, instr->index));
        break;
    case WASM_BR_TABLE:
        branch_table(emitter, instr);
        break;
    case WASM_RETURN:
        emit_branch(emitter, &emitter->frames[0]);
        break;
    case WASM_THROW:
        emit_throw(emitter, instr);
        break;
    case WASM_RETHROW:
        emit_rethrow(emitter, instr);
        break;
    case WASM_UNREACHABLE:
        emit_trap(emitter, ABI_TRAP_UNREACHABLE);
        break;
    default:
        return false;
    }
    emit_unreachable_rest(emitter);
    return true;
}

bool
emit_control(struct emitter *emitter, const struct wasm_instr *instr)
{
    if (emitter->is_dead && skip_dead(emitter, instr->opcode))
        return true;
    switch (instr->opcode) {
    case WASM_BLOCK:
        (void)emit_frame_push(emitter, FRAME_BLOCK, &instr->block);
        break;
    case WASM_LOOP:
        open_loop(emitter, instr);
        break;
    case WASM_IF:
        open_if(emitter, instr);
        break;
    case WASM_ELSE:
        enter_else(emitter, emit_frame_at(emitter, 0));
        break;
    case WASM_TRY:
        emit_try(emitter, instr);
        break;
    case WASM_CATCH:
    case WASM_CATCH_ALL:
        emit_catch(emitter, instr);
        break;
    case WASM_DELEGATE:
        emit_delegate(emitter, instr);
        break;
    case WASM_END:
        close_block(emitter);
        break;
    case WASM_BR_IF:
        branch_if(emitter, instr);
        break;
    default:
        return emit_jump(emitter, instr);
    }
    return true;
}
