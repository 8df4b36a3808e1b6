/* SPDX-License-Identifier: Apache-2.0
 *
 * What an image has beside the module's functions: leaving and starting, init,
 * wrappers, import stubs, and the sections of abi.h.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile/compile_internal.h"

/* See "Leaving guest code" in abi.h. The return to the host is a jump, because
 * the processor's return predictor has never seen the matching call. */
#define LEAVE \
    ".text\n" \
    ".globl weft_call\n.hidden weft_call\n.type weft_call,@function\n.p2align 4\n" \
    "weft_call:\n" \
    "  pushq %%rbp\n  pushq %%rbx\n  pushq %%r12\n  pushq %%r13\n  pushq %%r14\n  pushq %%r15\n" \
    "  movl %%esi, %%gs:%zu(%%rdi)\n" \
    "  movq %%rsp, %%gs:%zu(%%rdi)\n" \
    "  movq %%gs:%zu(%%rdi), %%rsp\n" \
    "  popq %%rax\n  jmpq *%%rax\n" \
    ".size weft_call, .-weft_call\n"

#define START \
    ".globl weft_start\n.hidden weft_start\n.type weft_start,@function\n.p2align 4\n" \
    "weft_start:\n" \
    "  .cfi_startproc\n  .cfi_undefined %%rip\n" \
    "  movq %%rbx, %%rdi\n" \
    "  callq *%%gs:%zu(%%rbx)\n" \
    "  movq %%rbx, %%rdi\n  movl $%u, %%esi\n  callq weft_call\n  ud2\n" \
    "  .cfi_endproc\n.size weft_start, .-weft_start\n" \
    ".globl __gxx_personality_v0\n.hidden __gxx_personality_v0\n__gxx_personality_v0:\n  ud2\n"

static void
emit_assembly(struct unit *unit)
{
    char text[2048];
    int count =
        snprintf(text, sizeof(text), LEAVE START, offsetof(struct abi_context, call),
                 offsetof(struct abi_context, guest_sp), offsetof(struct abi_context, host_sp),
                 offsetof(struct abi_context, wrapper), (unsigned)ABI_CALL_DONE);

    LLVMSetModuleInlineAsm2(unit->llvm, text, (size_t)count);
}

/* A function of type void(), with the context's offset as parameter but in STANDALONE
 * images: the shape of wrappers and of init. */
static LLVMValueRef
add_entry(struct unit *unit, const char *name)
{
    unsigned hidden = unit->plan->mode == ABI_STANDALONE ? 0 : 1;
    LLVMTypeRef type = LLVMFunctionType(unit->types.void_, &unit->types.i64, hidden, 0);
    LLVMValueRef function = LLVMAddFunction(unit->llvm, name, type);

    LLVMSetLinkage(function, LLVMInternalLinkage);
    unit_guest_attributes(unit, function);
    return function;
}

static LLVMValueRef
emit_wrapper(struct unit *unit, uint32_t index)
{
    const struct wasm_func_type *type = &unit->module->types[index];
    uint32_t hidden = unit_hidden_count(unit, type);
    uint32_t in_registers = unit_register_params(unit, type); /* the others are in place */
    LLVMValueRef *args = emit_allocate(in_registers + hidden, sizeof(LLVMValueRef));
    LLVMValueRef function, target, call, area;
    struct emitter emitter;
    char name[64];

    (void)snprintf(name, sizeof(name), "weft_wrapper.%u", index);
    function = add_entry(unit, name);
    emit_open(&emitter, unit, function);
    area = emit_area(&emitter, offsetof(struct abi_context, args));
    if (hidden > 0)
        args[0] = emitter.context;
    if (hidden > 1)
        args[1] = area;
    emit_slots_load(&emitter, area, type->params, 0, in_registers, args + hidden);
    target = emit_load(&emitter, unit->types.pointer,
                       emit_context_address(&emitter, offsetof(struct abi_context, target)),
                       ALIAS_CONTEXT, 8);
    call = LLVMBuildCall2(unit->builder, unit_signature(unit, index), target, args,
                          in_registers + hidden, "");
    unit_set_call_convention(unit, call);
    if (type->result_count > 0)
        emit_slots_store(&emitter, area, type->results, 0, 1, &call);
    (void)LLVMBuildRetVoid(unit->builder);
    emit_close(&emitter);
    free(args);
    return function;
}

/* What the host left in the context's area goes to the caller. */
static void
return_results(struct emitter *emitter, const struct wasm_func_type *type)
{
    LLVMValueRef *results = emit_allocate(type->result_count, sizeof(LLVMValueRef));

    emit_slots_load(emitter, emit_area(emitter, offsetof(struct abi_context, args)), type->results,
                    0, type->result_count, results);
    if (unit_hidden_count(emitter->unit, type) > 1)
        emit_slots_store(emitter, LLVMGetParam(emitter->llvm, 1), type->results, 1,
                         type->result_count, results);
    if (type->result_count > 0)
        (void)LLVMBuildRet(emitter->builder, results[0]);
    else
        (void)LLVMBuildRetVoid(emitter->builder);
    free(results);
}

static void
emit_import_stub(struct unit *unit, uint32_t index)
{
    const struct wasm_func_type *type = &unit->module->types[unit->module->functions[index].type];
    uint32_t hidden = unit_hidden_count(unit, type);
    uint32_t in_registers = unit_register_params(unit, type); /* the others are in place */
    LLVMValueRef *args = emit_allocate(in_registers, sizeof(LLVMValueRef));
    LLVMValueRef function = unit_function(unit, index);
    struct emitter emitter;

    unit_set_flag(unit, function, "noinline", 0);
    emit_open(&emitter, unit, function);
    for (uint32_t i = 0; i < in_registers; i++)
        args[i] = LLVMGetParam(function, i + hidden);
    emit_slots_store(&emitter, emit_area(&emitter, offsetof(struct abi_context, args)),
                     type->params, 0, in_registers, args);
    emit_leave(&emitter, index);
    return_results(&emitter, type);
    emit_close(&emitter);
    free(args);
}

/* Those that cannot change are the process's in THREADED images, and come first: the others
 * may begin as one of them. */
static void
init_globals(struct emitter *emitter, bool is_mutable)
{
    const struct wasm_module *module = emitter->module;

    for (uint32_t i = module->imported_global_count; i < module->global_count; i++)
        if (module->globals[i].is_mutable == is_mutable)
            (void)emit_store(emitter, emit_expression(emitter, module->globals[i].init),
                             emit_global_address(emitter, i), ALIAS_GLOBAL, 8);
}

/* A segment's init and drop, by the instructions that the specification says
 * instantiation executes. */
static void
run_instruction(struct emitter *emitter, uint32_t opcode, uint32_t index, uint32_t index2)
{
    struct wasm_instr instr = {.opcode = opcode, .index = index, .index2 = index2};
    const struct emit_rule *rule = emit_rule_find(opcode);

    rule->emit(emitter, &instr, rule->argument);
}

static void
init_elements(struct emitter *emitter)
{
    const struct wasm_module *module = emitter->module;

    for (uint32_t i = 0; i < module->element_count; i++) {
        const struct wasm_element *element = &module->elements[i];

        if (element->mode == WASM_SEGMENT_PASSIVE)
            continue;
        if (element->mode == WASM_SEGMENT_ACTIVE) {
            emit_push(emitter, emit_expression(emitter, element->offset));
            emit_push(emitter, emit_i32(emitter, 0));
            emit_push(emitter, emit_i32(emitter, element->entry_count));
            run_instruction(emitter, WASM_TABLE_INIT, i, element->table);
        }
        run_instruction(emitter, WASM_ELEM_DROP, i, 0);
    }
}

static void
init_data(struct emitter *emitter)
{
    const struct wasm_module *module = emitter->module;

    for (uint32_t i = 0; i < module->data_count; i++) {
        const struct wasm_data *data = &module->data[i];

        if (data->mode != WASM_SEGMENT_ACTIVE)
            continue;
        if (!emitter->unit->plan->is_memory_mapped) {
            emit_push(emitter, emit_expression(emitter, data->offset));
            emit_push(emitter, emit_i32(emitter, 0));
            emit_push(emitter, emit_i32(emitter, data->byte_count));
            run_instruction(emitter, WASM_MEMORY_INIT, i, 0);
        }
        run_instruction(emitter, WASM_DATA_DROP, i, 0);
    }
}

/* What is the process's: in THREADED images the main context's INIT alone does it. */
static void
init_process(struct emitter *emitter)
{
    LLVMBasicBlockRef first, rest;
    LLVMValueRef is_main;

    if (emitter->unit->plan->mode != ABI_THREADED) {
        init_globals(emitter, false);
        init_elements(emitter);
        init_data(emitter);
        return;
    }
    first = emit_block(emitter, "main");
    rest = emit_block(emitter, "thread");
    is_main = LLVMBuildICmp(emitter->builder, LLVMIntEQ, emitter->context, emitter->process, "");
    (void)LLVMBuildCondBr(emitter->builder, is_main, first, rest);
    LLVMPositionBuilderAtEnd(emitter->builder, first);
    init_globals(emitter, false);
    init_elements(emitter);
    init_data(emitter);
    (void)LLVMBuildBr(emitter->builder, rest);
    LLVMPositionBuilderAtEnd(emitter->builder, rest);
}

static LLVMValueRef
emit_init(struct unit *unit)
{
    LLVMValueRef function = add_entry(unit, "weft_init");
    struct emitter emitter;

    emit_open(&emitter, unit, function);
    init_process(&emitter);
    init_globals(&emitter, true);
    if (unit->module->has_start)
        run_instruction(&emitter, WASM_CALL, unit->module->start, 0);
    (void)LLVMBuildRetVoid(unit->builder);
    emit_close(&emitter);
    return function;
}

static void
add_section(struct unit *unit, LLVMValueRef value, const char *section, unsigned align)
{
    LLVMValueRef global = LLVMAddGlobal(unit->llvm, LLVMTypeOf(value), section + 1);

    LLVMSetInitializer(global, value);
    LLVMSetGlobalConstant(global, 1);
    LLVMSetSection(global, section);
    LLVMSetAlignment(global, align);
    LLVMSetVisibility(global, LLVMHiddenVisibility);
}

static void
emit_code_table(struct unit *unit, LLVMValueRef init)
{
    const struct compile_plan *plan = unit->plan;
    uint32_t types = unit->module->type_count;
    uint32_t count = ABI_CODE_FIXED + types + plan->reference_count;
    LLVMValueRef *entries = emit_allocate(count, sizeof(LLVMValueRef));
    LLVMTypeRef type = LLVMFunctionType(unit->types.void_, NULL, 0, 0);
    LLVMValueRef start = LLVMAddFunction(unit->llvm, "weft_start", type);

    LLVMSetVisibility(start, LLVMHiddenVisibility);
    entries[ABI_CODE_START] = start;
    entries[ABI_CODE_INIT] = init;
    for (uint32_t i = 0; i < types; i++) {
        uint32_t canonical = unit->module->types[i].canonical;

        entries[abi_code_wrapper(i)] =
            canonical == i ? emit_wrapper(unit, i) : entries[abi_code_wrapper(canonical)];
    }
    for (uint32_t i = 0; i < plan->reference_count; i++)
        entries[ABI_CODE_FIXED + types + i] = unit_function(unit, plan->referenced[i]);
    add_section(unit, LLVMConstArray(unit->types.pointer, entries, count), ABI_CODE_SECTION, 8);
    free(entries);
}

static LLVMValueRef
bytes_constant(struct unit *unit, const struct buffer *buffer)
{
    return LLVMConstStringInContext(unit->context, (const char *)buffer->bytes,
                                    (unsigned)buffer->count, 1);
}

int
unit_emit_glue(struct unit *unit, struct diag *diag)
{
    struct buffer meta = {0}, memory = {0};
    int err;

    emit_assembly(unit);
    for (uint32_t i = 0; i < unit->module->imported_function_count; i++)
        emit_import_stub(unit, i);
    emit_code_table(unit, emit_init(unit));
    err = compile_meta_write(unit->plan, &meta, &memory);
    if (err == 0) {
        add_section(unit, bytes_constant(unit, &meta), ABI_META_SECTION, 16);
        if (memory.count > 0)
            add_section(unit, bytes_constant(unit, &memory), ABI_MEMORY_SECTION,
                        ABI_HOST_PAGE_BYTES);
    }
    buffer_fini(&meta);
    buffer_fini(&memory);
    return err == 0 ? 0 : diag_set(diag, err, "out of memory");
}
