/* SPDX-License-Identifier: Apache-2.0
 *
 * The data sections of an image: .weft.meta, what the runtime must know of the
 * module, and .weft.memory, the first pages of its linear memory.
 */
#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "compile/compile_internal.h"

/* Runs of pages closer than this become one: a mapping costs more than a page. */
#define RUN_GAP_PAGES 16u

static struct abi_range
put(struct buffer *meta, const void *bytes, size_t size, uint32_t count)
{
    struct abi_range range;

    buffer_align(meta, 8);
    range.offset = (uint32_t)meta->count;
    range.count = count;
    buffer_append(meta, bytes, size * count);
    return range;
}

static struct abi_range
put_string(struct buffer *meta, const char *bytes, uint32_t count)
{
    return put(meta, bytes, 1, count);
}

/* Writes an array that was gathered entry by entry. */
static struct abi_range
put_array(struct buffer *meta, struct buffer *array, size_t size)
{
    struct abi_range range = put(meta, array->bytes, size, (uint32_t)(array->count / size));

    meta->err = meta->err != 0 ? meta->err : array->err;
    buffer_fini(array);
    return range;
}

static struct abi_range
put_types(const struct wasm_module *module, struct buffer *meta)
{
    struct abi_meta_type *types = calloc(module->type_count + 1u, sizeof(*types));
    struct abi_range range = {0, 0};

    if (types == NULL) {
        meta->err = -ENOMEM;
        return range;
    }
    for (uint32_t i = 0; i < module->type_count; i++) {
        const struct wasm_func_type *type = &module->types[i];

        types[i].params = put(meta, type->params, 1, type->param_count);
        types[i].results = put(meta, type->results, 1, type->result_count);
        types[i].canonical = type->canonical;
    }
    range = put(meta, types, sizeof(*types), module->type_count);
    free(types);
    return range;
}

static struct abi_range
put_imports(const struct wasm_module *module, struct buffer *meta)
{
    struct buffer array = {0};

    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct wasm_import *import = &module->imports[i];
        struct abi_meta_import entry = {.kind = import->kind, .index = import->index};

        entry.module = put_string(meta, import->module.bytes, import->module.count);
        entry.name = put_string(meta, import->name.bytes, import->name.count);
        buffer_append(&array, &entry, sizeof(entry));
    }
    return put_array(meta, &array, sizeof(struct abi_meta_import));
}

static struct abi_range
put_exports(const struct wasm_module *module, struct buffer *meta)
{
    struct buffer array = {0};

    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_export *export = &module->exports[i];
        struct abi_meta_export entry = {.kind = export->kind, .index = export->index};

        entry.name = put_string(meta, export->name.bytes, export->name.count);
        buffer_append(&array, &entry, sizeof(entry));
    }
    return put_array(meta, &array, sizeof(struct abi_meta_export));
}

static struct abi_range
put_functions(const struct compile_plan *plan, struct buffer *meta)
{
    struct buffer array = {0};

    for (uint32_t i = 0; i < plan->reference_count; i++) {
        uint32_t index = plan->referenced[i];
        struct abi_meta_function entry = {
            .index = index,
            .type = plan->module->functions[index].type,
            .code = ABI_CODE_FIXED + plan->module->type_count + i,
        };

        buffer_append(&array, &entry, sizeof(entry));
    }
    return put_array(meta, &array, sizeof(struct abi_meta_function));
}

static struct abi_range
put_memories(const struct wasm_module *module, struct buffer *meta)
{
    struct buffer array = {0};

    for (uint32_t i = 0; i < module->memory_count; i++) {
        const struct wasm_memory *memory = &module->memories[i];
        struct abi_meta_memory entry = {.pages_min = memory->limits.min,
                                        .pages_max = memory->limits.has_max ? memory->limits.max
                                                                            : WASM_PAGES_MAX,
                                        .is_imported = memory->is_imported,
                                        .is_shared = memory->limits.is_shared,
                                        .has_max = memory->limits.has_max};

        buffer_append(&array, &entry, sizeof(entry));
    }
    return put_array(meta, &array, sizeof(struct abi_meta_memory));
}

static struct abi_range
put_tables(const struct wasm_module *module, struct buffer *meta)
{
    struct buffer array = {0};

    for (uint32_t i = 0; i < module->table_count; i++) {
        const struct wasm_table *table = &module->tables[i];
        struct abi_meta_table entry = {
            .count_min = (uint32_t)table->limits.min,
            .count_max = table->limits.has_max ? (uint32_t)table->limits.max : UINT32_MAX,
            .type = table->type,
            .is_imported = table->is_imported,
            .has_max = table->limits.has_max};

        buffer_append(&array, &entry, sizeof(entry));
    }
    return put_array(meta, &array, sizeof(struct abi_meta_table));
}

static struct abi_range
put_globals(const struct wasm_module *module, struct buffer *meta)
{
    struct buffer array = {0};

    for (uint32_t i = 0; i < module->global_count; i++) {
        const struct wasm_global *global = &module->globals[i];
        struct abi_meta_global entry = {.type = global->type,
                                        .is_mutable = global->is_mutable,
                                        .is_imported = global->is_imported};

        buffer_append(&array, &entry, sizeof(entry));
    }
    return put_array(meta, &array, sizeof(struct abi_meta_global));
}

static struct abi_range
put_tags(const struct wasm_module *module, struct buffer *meta)
{
    struct buffer array = {0};

    for (uint32_t i = 0; i < module->tag_count; i++) {
        struct abi_meta_tag entry = {module->tags[i].type, module->tags[i].is_imported};

        buffer_append(&array, &entry, sizeof(entry));
    }
    return put_array(meta, &array, sizeof(struct abi_meta_tag));
}

/* Segments whose bytes are in the initial pages already are stored empty. */
static struct abi_range
put_data(const struct compile_plan *plan, struct buffer *meta)
{
    const struct wasm_module *module = plan->module;
    struct buffer array = {0};

    for (uint32_t i = 0; i < module->data_count; i++) {
        const struct wasm_data *data = &module->data[i];
        bool is_mapped = plan->is_memory_mapped && data->mode == WASM_SEGMENT_ACTIVE;
        struct abi_meta_data entry;

        entry.bytes = put(meta, data->bytes, 1, is_mapped ? 0 : data->byte_count);
        buffer_append(&array, &entry, sizeof(entry));
    }
    return put_array(meta, &array, sizeof(struct abi_meta_data));
}

/* One entry of an element segment: ref.null, ref.func, or global.get. */
static uint32_t
element_entry(const struct compile_plan *plan, const struct wasm_element *element, uint32_t index)
{
    struct wasm_cursor cursor;
    struct wasm_instr instr = {.opcode = WASM_REF_NULL};

    if (element->functions != NULL)
        return plan->references[element->functions[index]];
    wasm_cursor_init(&cursor, plan->module, element->exprs[index]);
    if (wasm_cursor_next(&cursor, &instr) != 1)
        instr.opcode = WASM_REF_NULL;
    wasm_cursor_fini(&cursor);
    if (instr.opcode == WASM_REF_FUNC)
        return plan->references[instr.index];
    if (instr.opcode == WASM_GLOBAL_GET)
        return ABI_ELEMENT_GLOBAL | instr.index;
    return ABI_ELEMENT_NULL;
}

static struct abi_range
put_elements(const struct compile_plan *plan, struct buffer *meta)
{
    const struct wasm_module *module = plan->module;
    struct buffer array = {0};

    for (uint32_t i = 0; i < module->element_count; i++) {
        const struct wasm_element *element = &module->elements[i];
        struct abi_meta_element segment;

        buffer_align(meta, 8);
        segment.entries.offset = (uint32_t)meta->count;
        segment.entries.count = element->entry_count;
        for (uint32_t k = 0; k < element->entry_count; k++) {
            uint32_t entry = element_entry(plan, element, k);

            buffer_append(meta, &entry, sizeof(entry));
        }
        buffer_append(&array, &segment, sizeof(segment));
    }
    return put_array(meta, &array, sizeof(struct abi_meta_element));
}

static struct abi_range
put_features(const struct wasm_module *module, struct buffer *meta)
{
    char text[512] = "";
    size_t length = 0;

    for (uint32_t bit = 1; bit != 0 && bit <= module->features; bit <<= 1) {
        const char *name = wasm_feature_name(bit);

        if ((module->features & bit) == 0 || length + strlen(name) + 2 > sizeof(text))
            continue;
        if (length > 0)
            text[length++] = ',';
        (void)memcpy(text + length, name, strlen(name));
        length += strlen(name);
    }
    return put_string(meta, text, (uint32_t)length);
}

/* --------------------------------------------------------------- initial pages */

/* Marks the pages that any non-zero byte of an active segment falls on. */
static void
mark_pages(const struct wasm_module *module, uint8_t *is_used)
{
    for (uint32_t i = 0; i < module->data_count; i++) {
        const struct wasm_data *data = &module->data[i];
        uint32_t offset = 0;

        if (data->mode != WASM_SEGMENT_ACTIVE || data->byte_count == 0)
            continue;
        (void)compile_constant_offset(module, data->offset, &offset);
        for (uint64_t page = offset / ABI_HOST_PAGE_BYTES;
             page <= (offset + (uint64_t)data->byte_count - 1) / ABI_HOST_PAGE_BYTES; page++)
            is_used[page] = 1;
    }
}

static void
find_runs(const uint8_t *is_used, uint64_t page_count, struct buffer *runs)
{
    struct abi_meta_run run = {0};
    uint32_t stored = 0;

    for (uint64_t page = 0; page < page_count; page++) {
        if (!is_used[page])
            continue;
        if (run.page_count > 0 && page - (run.memory_page + run.page_count) < RUN_GAP_PAGES) {
            run.page_count = (uint32_t)page - run.memory_page + 1;
            continue;
        }
        if (run.page_count > 0)
            buffer_append(runs, &run, sizeof(run));
        stored += run.page_count;
        run = (struct abi_meta_run){
            .memory_page = (uint32_t)page, .file_page = stored, .page_count = 1};
    }
    if (run.page_count > 0)
        buffer_append(runs, &run, sizeof(run));
}

/* Copies a segment's bytes to where the runs put them. Segments may overlap:
 * later ones win, as instantiation would have it. */
static void
copy_segment(const struct buffer *runs, uint32_t offset, const struct wasm_data *data,
             struct buffer *memory)
{
    const struct abi_meta_run *run = (const struct abi_meta_run *)runs->bytes;
    uint64_t at = offset;
    uint64_t left = data->byte_count;

    while (left > 0) {
        uint64_t first = (uint64_t)run->memory_page * ABI_HOST_PAGE_BYTES;
        uint64_t end = first + (uint64_t)run->page_count * ABI_HOST_PAGE_BYTES;
        uint64_t part;

        if (at >= end) {
            run++;
            continue;
        }
        ASSERT(at >= first);
        part = end - at < left ? end - at : left;
        (void)memcpy(memory->bytes + (uint64_t)run->file_page * ABI_HOST_PAGE_BYTES + at - first,
                     data->bytes + (data->byte_count - left), part);
        at += part;
        left -= part;
    }
}

static struct abi_range
put_memory(const struct compile_plan *plan, struct buffer *meta, struct buffer *memory)
{
    const struct wasm_module *module = plan->module;
    struct buffer runs = {0};
    struct abi_range range = {0, 0};
    const struct abi_meta_run *last;
    uint64_t page_count;
    uint8_t *is_used;

    if (!plan->is_memory_mapped)
        return range;
    page_count = module->memories[0].limits.min * (ABI_PAGE_BYTES / ABI_HOST_PAGE_BYTES);
    is_used = calloc(page_count + 1, 1);
    if (is_used == NULL) {
        meta->err = -ENOMEM;
        return range;
    }
    mark_pages(module, is_used);
    find_runs(is_used, page_count, &runs);
    free(is_used);
    if (runs.count > 0 && runs.err == 0) {
        last = (const struct abi_meta_run *)(runs.bytes + runs.count) - 1;
        buffer_append(memory, NULL,
                      (size_t)(last->file_page + last->page_count) * ABI_HOST_PAGE_BYTES);
    }
    for (uint32_t i = 0; i < module->data_count && memory->err == 0 && runs.err == 0; i++) {
        uint32_t offset = 0;

        if (module->data[i].mode != WASM_SEGMENT_ACTIVE || module->data[i].byte_count == 0)
            continue;
        (void)compile_constant_offset(module, module->data[i].offset, &offset);
        copy_segment(&runs, offset, &module->data[i], memory);
    }
    range = put(meta, runs.bytes, sizeof(struct abi_meta_run),
                (uint32_t)(runs.count / sizeof(struct abi_meta_run)));
    meta->err = meta->err != 0 ? meta->err : runs.err;
    buffer_fini(&runs);
    return range;
}

int
compile_meta_write(const struct compile_plan *plan, struct buffer *meta, struct buffer *memory)
{
    const struct wasm_module *module = plan->module;
    struct abi_meta header = {.magic = ABI_META_MAGIC, .version = ABI_VERSION};
    uint8_t source[SHA256_DIGEST_LENGTH];

    buffer_append(meta, NULL, sizeof(header));
    (void)SHA256(module->bytes, module->byte_count, source);
    header.mode = plan->mode;
    header.has_tail_calls = plan->has_tail_calls;
    header.strict_traps = plan->options->strict_traps;
    header.cpu = put_string(meta, plan->options->cpu, (uint32_t)strlen(plan->options->cpu));
    header.source_id = put(meta, source, 1, sizeof(source));
    header.features = put_features(module, meta);
    header.layout = plan->layout;
    header.types = put_types(module, meta);
    header.imports = put_imports(module, meta);
    header.exports = put_exports(module, meta);
    header.functions = put_functions(plan, meta);
    header.memories = put_memories(module, meta);
    header.tables = put_tables(module, meta);
    header.globals = put_globals(module, meta);
    header.tags = put_tags(module, meta);
    header.data = put_data(plan, meta);
    header.elements = put_elements(plan, meta);
    header.runs = put_memory(plan, meta, memory);
    header.imported_function_count = module->imported_function_count;
    header.max_exception_slots = plan->payload_slots;
    if (meta->err == 0)
        (void)memcpy(meta->bytes, &header, sizeof(header));
    return meta->err != 0 ? meta->err : memory->err;
}
