/* SPDX-License-Identifier: Apache-2.0
 *
 * Exceptions (the legacy encoding: try, catch, catch_all, delegate, rethrow).
 *
 * Nothing is paid where nothing is thrown: calls inside a try are invokes, and
 * the tables of .gcc_except_table say where an exception continues. The one
 * being thrown is in the context (tag and payload). A try has one landing block
 * (for invokes) and one dispatch block, which compares the tag with each catch
 * in turn; what no catch takes goes to the dispatch block of the enclosing try,
 * or, where there is none, is thrown to the caller. A throw inside a try of the
 * same function is a plain branch to its dispatch block.
 */
#include <stddef.h>
#include <stdlib.h>

#include "compile/compile_internal.h"

static LLVMValueRef
tag_address(struct emitter *emitter)
{
    return emit_context_address(emitter, offsetof(struct abi_context, exception_tag));
}

static LLVMValueRef
payload_address(struct emitter *emitter, uint32_t slot)
{
    return emit_context_address(emitter, offsetof(struct abi_context, exception_args) + slot * 8u);
}

LLVMValueRef
emit_tag_identity(struct emitter *emitter, uint32_t tag)
{
    const struct abi_layout *layout = &emitter->unit->plan->layout;

    return emit_load(emitter, emitter->types->i64,
                     emit_process_address(emitter, layout->tag_offsets + tag * 8u), ALIAS_CONSTANT,
                     8);
}

/* The innermost of frames[0, count) that would handle an exception, or NULL. */
static struct emit_frame *
find_handler(struct emitter *emitter, uint32_t count)
{
    while (count-- > 0)
        if (emitter->frames[count].kind == FRAME_TRY)
            return &emitter->frames[count];
    return NULL;
}

/* The exception in the context goes to the handler, or to the caller. */
static void
propagate(struct emitter *emitter, const struct emit_frame *handler)
{
    if (handler != NULL) {
        (void)LLVMBuildBr(emitter->builder, handler->dispatch);
        return;
    }
    emit_leave(emitter, ABI_CALL_THROW);
    (void)LLVMBuildUnreachable(emitter->builder);
}

static void
set_personality(struct emitter *emitter)
{
    struct unit *unit = emitter->unit;
    const char *name = "__gxx_personality_v0";
    LLVMValueRef personality = LLVMGetNamedFunction(unit->llvm, name);
    LLVMTypeRef type = LLVMFunctionType(unit->types.i32, NULL, 0, 1);

    if (personality == NULL)
        personality = LLVMAddFunction(unit->llvm, name, type);
    LLVMSetPersonalityFn(emitter->llvm, personality);
}

LLVMBasicBlockRef
emit_landing(struct emitter *emitter)
{
    struct unit *unit = emitter->unit;
    struct emit_frame *handler = find_handler(emitter, emitter->frame_count);
    LLVMBasicBlockRef here = LLVMGetInsertBlock(emitter->builder);
    LLVMTypeRef fields[2] = {unit->types.pointer, unit->types.i32};
    LLVMValueRef pad;

    if (handler == NULL)
        return NULL;
    if (handler->landing != NULL)
        return handler->landing;
    handler->landing = emit_block(emitter, "landing");
    set_personality(emitter);
    LLVMPositionBuilderAtEnd(emitter->builder, handler->landing);
    pad = LLVMBuildLandingPad(emitter->builder,
                              LLVMStructTypeInContext(unit->context, fields, 2, 0), NULL, 1, "");
    LLVMAddClause(pad, LLVMConstNull(unit->types.pointer)); /* everything lands */
    (void)LLVMBuildBr(emitter->builder, handler->dispatch);
    LLVMPositionBuilderAtEnd(emitter->builder, here);
    return handler->landing;
}

void
emit_try(struct emitter *emitter, const struct wasm_instr *instr)
{
    struct emit_frame *frame = emit_frame_push(emitter, FRAME_TRY, &instr->block);

    frame->dispatch = frame->other = emit_block(emitter, "dispatch");
}

/* Keeps tag and payload, as a rethrow in this catch will need them. */
static void
keep_caught(struct emitter *emitter, struct emit_frame *frame)
{
    uint32_t slots = emitter->unit->plan->payload_slots;

    if (frame->caught == NULL)
        frame->caught = emit_allocate(slots + 1u, sizeof(LLVMValueRef));
    frame->caught[0] =
        emit_load(emitter, emitter->types->i64, tag_address(emitter), ALIAS_CONTEXT, 8);
    for (uint32_t i = 0; i < slots; i++)
        frame->caught[i + 1] =
            emit_load(emitter, emitter->types->i64, payload_address(emitter, i), ALIAS_CONTEXT, 8);
}

static void
push_payload(struct emitter *emitter, uint32_t tag)
{
    const struct wasm_func_type *type = &emitter->module->types[emitter->module->tags[tag].type];
    LLVMValueRef *values = emit_allocate(type->param_count, sizeof(LLVMValueRef));

    emit_slots_load(emitter, emit_area(emitter, offsetof(struct abi_context, exception_args)),
                    type->params, 0, type->param_count, values);
    for (uint32_t i = 0; i < type->param_count; i++)
        emit_push(emitter, values[i]);
    free(values);
}

void
emit_catch(struct emitter *emitter, const struct wasm_instr *instr)
{
    struct emit_frame *frame = emit_frame_at(emitter, 0);
    LLVMBasicBlockRef body = emit_block(emitter, "catch");
    LLVMBasicBlockRef rest = NULL;
    LLVMValueRef thrown, is_ours;

    if (!emitter->is_dead)
        emit_branch(emitter, frame);
    emitter->is_dead = false;
    emitter->stack_count = frame->height;
    frame->kind = FRAME_CATCH;
    LLVMPositionBuilderAtEnd(emitter->builder, frame->other);
    if (instr->opcode == WASM_CATCH) {
        rest = emit_block(emitter, "dispatch");
        thrown = emit_load(emitter, emitter->types->i64, tag_address(emitter), ALIAS_CONTEXT, 8);
        is_ours = LLVMBuildICmp(emitter->builder, LLVMIntEQ, thrown,
                                emit_tag_identity(emitter, instr->index), "");
        (void)LLVMBuildCondBr(emitter->builder, is_ours, body, rest);
    } else {
        (void)LLVMBuildBr(emitter->builder, body);
    }
    frame->other = rest;
    LLVMPositionBuilderAtEnd(emitter->builder, body);
    keep_caught(emitter, frame);
    if (instr->opcode == WASM_CATCH)
        push_payload(emitter, instr->index);
}

/* Builds what follows the last catch, then comes back. */
static void
finish_dispatch(struct emitter *emitter, LLVMBasicBlockRef block, const struct emit_frame *handler)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(emitter->builder);

    LLVMPositionBuilderAtEnd(emitter->builder, block);
    propagate(emitter, handler);
    LLVMPositionBuilderAtEnd(emitter->builder, here);
}

void
emit_try_end(struct emitter *emitter)
{
    struct emit_frame *frame = emit_frame_at(emitter, 0);

    if (frame->other != NULL)
        finish_dispatch(emitter, frame->other, find_handler(emitter, emitter->frame_count - 1));
    frame->kind = FRAME_BLOCK;
}

void
emit_delegate(struct emitter *emitter, const struct wasm_instr *instr)
{
    struct emit_frame *frame = emit_frame_at(emitter, 0);
    uint32_t outside = emitter->frame_count - 1; /* the label counts from outside the try */

    finish_dispatch(emitter, frame->other, find_handler(emitter, outside - instr->index));
    frame->kind = FRAME_BLOCK;
    emit_finish_block(emitter);
}

void
emit_throw(struct emitter *emitter, const struct wasm_instr *instr)
{
    const struct wasm_module *module = emitter->module;
    const struct wasm_func_type *type = &module->types[module->tags[instr->index].type];

    (void)emit_store(emitter, emit_tag_identity(emitter, instr->index), tag_address(emitter),
                     ALIAS_CONTEXT, 8);
    emitter->stack_count -= type->param_count;
    emit_slots_store(emitter, emit_area(emitter, offsetof(struct abi_context, exception_args)),
                     type->params, 0, type->param_count, &emitter->stack[emitter->stack_count]);
    propagate(emitter, find_handler(emitter, emitter->frame_count));
}

void
emit_rethrow(struct emitter *emitter, const struct wasm_instr *instr)
{
    const struct emit_frame *frame = emit_frame_at(emitter, instr->index);

    (void)emit_store(emitter, frame->caught[0], tag_address(emitter), ALIAS_CONTEXT, 8);
    for (uint32_t i = 0; i < emitter->unit->plan->payload_slots; i++)
        (void)emit_store(emitter, frame->caught[i + 1], payload_address(emitter, i), ALIAS_CONTEXT,
                         8);
    propagate(emitter, find_handler(emitter, emitter->frame_count));
}
