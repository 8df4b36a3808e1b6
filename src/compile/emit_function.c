/* SPDX-License-Identifier: Apache-2.0
 *
 * One function, or one constant expression, from instructions to LLVM's IR.
 */
#include <errno.h>
#include <llvm-c/Analysis.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/assert.h"
#include "compile/compile_internal.h"

static void
emit_instr(struct emitter *emitter, const struct wasm_instr *instr)
{
    const struct emit_rule *rule;

    if (emit_control(emitter, instr))
        return;
    rule = emit_rule_find(instr->opcode);
    ASSERT(rule != NULL);
    rule->emit(emitter, instr, rule->argument);
}

static int
emit_code(struct emitter *emitter, struct wasm_code code)
{
    struct wasm_cursor cursor;
    struct wasm_instr instr;
    int more;

    wasm_cursor_init(&cursor, emitter->module, code);
    while ((more = wasm_cursor_next(&cursor, &instr)) > 0) {
        compile_lines_place(emitter->unit, instr.position);
        emit_instr(emitter, &instr);
    }
    wasm_cursor_fini(&cursor);
    return more;
}

static void
declare_local(struct emitter *emitter, uint32_t index, uint8_t type)
{
    emitter->local_types[index] = type;
    emitter->locals[index] = LLVMBuildAlloca(emitter->builder, unit_type(emitter->unit, type), "");
}

static LLVMValueRef
initial_value(struct emitter *emitter, uint8_t type)
{
    if (type == WASM_FUNCREF || type == WASM_EXTERNREF)
        return emit_i64(emitter, (uint64_t)ABI_REF_NULL);
    return LLVMConstNull(unit_type(emitter->unit, type));
}

/* The first locals: from registers and, those that had none, from the context. */
static void
declare_params(struct emitter *emitter, const struct wasm_func_type *type)
{
    uint32_t hidden = unit_hidden_count(emitter->unit, type);
    uint32_t in_registers = unit_register_params(emitter->unit, type);
    LLVMValueRef *values = emit_allocate(type->param_count, sizeof(LLVMValueRef));

    for (uint32_t i = 0; i < in_registers; i++)
        values[i] = LLVMGetParam(emitter->llvm, i + hidden);
    if (in_registers < type->param_count)
        emit_slots_load(emitter, emit_area(emitter, offsetof(struct abi_context, args)),
                        type->params, in_registers, type->param_count, values);
    for (uint32_t i = 0; i < type->param_count; i++) {
        declare_local(emitter, i, type->params[i]);
        (void)LLVMBuildStore(emitter->builder, values[i], emitter->locals[i]);
    }
    free(values);
}

static void
declare_locals(struct emitter *emitter, const struct wasm_func_type *type)
{
    const struct wasm_function *function = emitter->function;
    uint32_t index = type->param_count;

    emitter->locals = emit_allocate(function->local_count, sizeof(LLVMValueRef));
    emitter->local_types = emit_allocate(function->local_count, sizeof(uint8_t));
    declare_params(emitter, type);
    for (uint32_t group = 0; group < function->local_group_count; group++) {
        const struct wasm_local_group *locals = &function->locals[group];

        for (uint32_t i = 0; i < locals->count; i++, index++) {
            declare_local(emitter, index, locals->type);
            (void)LLVMBuildStore(emitter->builder, initial_value(emitter, locals->type),
                                 emitter->locals[index]);
        }
    }
    ASSERT(index == function->local_count);
}

int
emit_function(struct unit *unit, uint32_t index, struct diag *diag)
{
    const struct wasm_function *function = &unit->module->functions[index];
    const struct wasm_func_type *type = &unit->module->types[function->type];
    struct wasm_func_type frame_type = *type;
    struct emitter emitter;
    int err;

    frame_type.param_count = 0; /* they are locals, not values on the stack */
    compile_lines_open(unit, index);
    emit_open(&emitter, unit, unit_function(unit, index));
    emitter.function = function;
    emitter.results = unit_hidden_count(unit, type) > 1
                          ? LLVMGetParam(emitter.llvm, 1)
                          : emit_area(&emitter, offsetof(struct abi_context, args));
    declare_locals(&emitter, type);
    (void)emit_frame_push(&emitter, FRAME_FUNCTION, &frame_type);
    err = emit_code(&emitter, function->code);
    emit_close(&emitter);
    compile_lines_close(unit);
    if (err != 0)
        return diag_set(diag, err, "out of memory");
    if (LLVMVerifyFunction(unit_function(unit, index), LLVMReturnStatusAction))
        return diag_set(diag, -EIO,
                        "function %u became invalid LLVM code: this is a fault of the compiler; "
                        "please report it with the module",
                        index);
    return 0;
}

LLVMValueRef
emit_expression(struct emitter *emitter, struct wasm_code code)
{
    struct wasm_cursor cursor;
    struct wasm_instr instr;

    wasm_cursor_init(&cursor, emitter->module, code);
    while (wasm_cursor_next(&cursor, &instr) > 0)
        if (instr.opcode != WASM_END)
            emit_instr(emitter, &instr);
    wasm_cursor_fini(&cursor);
    return emit_pop(emitter);
}
