/* SPDX-License-Identifier: Apache-2.0
 *
 * Source lines: what the module's DWARF says of an instruction becomes the
 * location of the LLVM instructions made from it, and so the image's own line
 * table, which gdb, perf and backtraces read.
 */
#include <llvm-c/DebugInfo.h>
#include <stdlib.h>
#include <string.h>

#include "compile/compile_internal.h"

struct compile_lines {
    const struct compile_source *source;
    LLVMDIBuilderRef builder;
    LLVMMetadataRef unit_file;
    LLVMMetadataRef *files; /* owned; by index, made on first use */
    LLVMMetadataRef type;   /* of every function: nothing is said of parameters */
    LLVMMetadataRef function;
    uint32_t function_file;
    uint32_t row, row_end; /* rows that hold for the position last asked for */
};

int
compile_lines_create(struct unit *unit)
{
    const struct compile_source *source = &unit->plan->source;
    struct compile_lines *lines;
    LLVMValueRef version = LLVMConstInt(unit->types.i32, 3, 0);

    if (source->row_count == 0)
        return 0;
    lines = unit->lines = emit_allocate(1, sizeof(*lines));
    lines->source = source;
    lines->files = emit_allocate(source->file_count, sizeof(LLVMMetadataRef));
    lines->builder = LLVMCreateDIBuilder(unit->llvm);
    lines->unit_file = LLVMDIBuilderCreateFile(lines->builder, "module.wasm", 11, ".", 1);
    (void)LLVMDIBuilderCreateCompileUnit(lines->builder, LLVMDWARFSourceLanguageC99,
                                         lines->unit_file, "weft", 4, 1, "", 0, 0, "", 0,
                                         LLVMDWARFEmissionLineTablesOnly, 0, 0, 0, "", 0, "", 0);
    lines->type = LLVMDIBuilderCreateSubroutineType(lines->builder, lines->unit_file, NULL, 0,
                                                    LLVMDIFlagZero);
    LLVMAddModuleFlag(unit->llvm, LLVMModuleFlagBehaviorWarning, "Debug Info Version", 18,
                      LLVMValueAsMetadata(version));
    return 0;
}

void
compile_lines_destroy(struct unit *unit)
{
    if (unit->lines == NULL)
        return;
    LLVMDisposeDIBuilder(unit->lines->builder);
    free(unit->lines->files);
    free(unit->lines);
}

static LLVMMetadataRef
file_of(struct compile_lines *lines, uint32_t index)
{
    const char *path = lines->source->files[index];

    if (lines->files[index] == NULL)
        lines->files[index] = LLVMDIBuilderCreateFile(lines->builder, path, strlen(path), "", 0);
    return lines->files[index];
}

void
compile_lines_open(struct unit *unit, uint32_t function)
{
    struct compile_lines *lines = unit->lines;
    uint32_t position = unit->module->functions[function].code.first;
    uint32_t row, line = 0;
    char name[256];
    const struct wasm_string *plain;
    LLVMMetadataRef file = lines != NULL ? lines->unit_file : NULL;

    if (lines == NULL)
        return;
    row = compile_source_find(lines->source, position - unit->module->code_section_first);
    lines->function_file = UINT32_MAX;
    if (row != UINT32_MAX && lines->source->rows[row].line != 0) {
        line = lines->source->rows[row].line;
        lines->function_file = lines->source->rows[row].file;
        file = file_of(lines, lines->function_file);
    }
    compile_symbol(unit->plan, function, name, sizeof(name));
    plain = compile_function_name(unit->module, function);
    lines->function = LLVMDIBuilderCreateFunction(lines->builder, file, plain->bytes, plain->count,
                                                  name, strlen(name), file, line, lines->type, 0, 1,
                                                  line, LLVMDIFlagZero, 1);
    LLVMSetSubprogram(unit_function(unit, function), lines->function);
    lines->row = lines->row_end = 0;
    LLVMSetCurrentDebugLocation2(unit->builder, LLVMDIBuilderCreateDebugLocation(
                                                    unit->context, line, 0, lines->function, NULL));
}

void
compile_lines_place(struct unit *unit, uint32_t position)
{
    struct compile_lines *lines = unit->lines;
    const struct compile_row *row;
    LLVMMetadataRef scope;
    uint32_t address, index;

    if (lines == NULL)
        return;
    address = position - unit->module->code_section_first;
    if (address >= lines->row && address < lines->row_end)
        return;
    index = compile_source_find(lines->source, address);
    if (index == UINT32_MAX)
        return;
    row = &lines->source->rows[index];
    lines->row = row->address;
    lines->row_end =
        index + 1 < lines->source->row_count ? lines->source->rows[index + 1].address : UINT32_MAX;
    scope = lines->function;
    if (row->line != 0 && row->file != lines->function_file)
        scope = LLVMDIBuilderCreateLexicalBlockFile(lines->builder, scope,
                                                    file_of(lines, row->file), 0);
    LLVMSetCurrentDebugLocation2(
        unit->builder,
        LLVMDIBuilderCreateDebugLocation(unit->context, row->line, row->column, scope, NULL));
}

void
compile_lines_close(struct unit *unit)
{
    if (unit->lines == NULL)
        return;
    LLVMDIBuilderFinalizeSubprogram(unit->lines->builder, unit->lines->function);
    LLVMSetCurrentDebugLocation2(unit->builder, NULL);
}

void
compile_lines_finish(struct unit *unit)
{
    if (unit->lines != NULL)
        LLVMDIBuilderFinalize(unit->lines->builder);
}
