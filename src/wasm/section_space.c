/* SPDX-License-Identifier: Apache-2.0
 *
 * Index spaces: what is imported, then what the module defines; and exports.
 */
#include "wasm/wasm_internal.h"

static int
import_function(struct wasm_module *module, struct wasm_reader *reader, uint32_t *index)
{
    void *array;

    array =
        wasm_array_append(module->functions, module->function_count, sizeof(*module->functions));
    if (array == NULL)
        return wasm_no_memory(reader->fail);
    module->functions = array;
    *index = module->function_count++;
    module->imported_function_count++;
    module->functions[*index].is_imported = true;
    return wasm_read_u32(reader, &module->functions[*index].type);
}

static int
import_table(struct wasm_module *module, struct wasm_reader *reader, uint32_t *index)
{
    void *array;

    if (module->table_count == WASM_TABLES_MAX)
        return wasm_too_big(reader->fail, reader->position, "too many tables, the limit is %u",
                            WASM_TABLES_MAX);
    array = wasm_array_append(module->tables, module->table_count, sizeof(*module->tables));
    if (array == NULL)
        return wasm_no_memory(reader->fail);
    module->tables = array;
    *index = module->table_count++;
    module->imported_table_count++;
    module->tables[*index].is_imported = true;
    return wasm_read_table_type(reader, &module->tables[*index]);
}

static int
import_memory(struct wasm_module *module, struct wasm_reader *reader, uint32_t *index)
{
    void *array;

    array = wasm_array_append(module->memories, module->memory_count, sizeof(*module->memories));
    if (array == NULL)
        return wasm_no_memory(reader->fail);
    module->memories = array;
    *index = module->memory_count++;
    module->imported_memory_count++;
    module->memories[*index].is_imported = true;
    return wasm_read_memory_type(reader, &module->memories[*index]);
}

static int
import_global(struct wasm_module *module, struct wasm_reader *reader, uint32_t *index)
{
    void *array;

    if (module->global_count == WASM_GLOBALS_MAX)
        return wasm_too_big(reader->fail, reader->position, "too many globals, the limit is %u",
                            WASM_GLOBALS_MAX);
    array = wasm_array_append(module->globals, module->global_count, sizeof(*module->globals));
    if (array == NULL)
        return wasm_no_memory(reader->fail);
    module->globals = array;
    *index = module->global_count++;
    module->imported_global_count++;
    module->globals[*index].is_imported = true;
    return wasm_read_global_type(reader, &module->globals[*index]);
}

static int
import_tag(struct wasm_module *module, struct wasm_reader *reader, uint32_t *index)
{
    void *array;

    if (module->tag_count == WASM_TAGS_MAX)
        return wasm_too_big(reader->fail, reader->position, "too many tags, the limit is %u",
                            WASM_TAGS_MAX);
    array = wasm_array_append(module->tags, module->tag_count, sizeof(*module->tags));
    if (array == NULL)
        return wasm_no_memory(reader->fail);
    module->tags = array;
    *index = module->tag_count++;
    module->imported_tag_count++;
    module->tags[*index].is_imported = true;
    return wasm_read_tag_type(reader, &module->tags[*index]);
}

typedef int (*import_fn)(struct wasm_module *module, struct wasm_reader *reader, uint32_t *index);

/* By enum wasm_kind. */
static const import_fn importers[] = {import_function, import_table, import_memory, import_global,
                                      import_tag};

static int
read_import(struct wasm_decoder *decoder, struct wasm_import *out)
{
    struct wasm_reader *reader = &decoder->reader;
    uint32_t first;
    uint8_t kind;
    int err;

    err = wasm_read_name(reader, &out->module);
    if (err != 0)
        return err;
    err = wasm_read_name(reader, &out->name);
    if (err != 0)
        return err;
    first = reader->position;
    err = wasm_read_byte(reader, &kind);
    if (err != 0)
        return err;
    if (kind >= ARRAY_COUNT(importers))
        return wasm_malformed(reader->fail, first, "malformed import kind 0x%02x", kind);
    out->kind = kind;
    return importers[kind](decoder->module, reader, &out->index);
}

int
wasm_section_import(struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;
    struct wasm_reader *reader = &decoder->reader;
    uint32_t count;
    int err;

    /* Two names, a kind and one byte of a type. */
    err = wasm_read_count(reader, 4, WASM_IMPORTS_MAX, "imports", &count);
    if (err != 0)
        return err;
    module->imports = wasm_array_extend(NULL, 0, count, sizeof(*module->imports));
    if (module->imports == NULL)
        return wasm_no_memory(reader->fail);
    for (; module->import_count < count; module->import_count++) {
        err = read_import(decoder, &module->imports[module->import_count]);
        if (err != 0)
            return err;
    }
    return 0;
}

/* The count of a section that goes on with an index space of `have` things. */
static int
read_space_count(struct wasm_reader *reader, uint32_t item_bytes, uint32_t have, uint32_t limit,
                 const char *what, uint32_t *count)
{
    uint32_t first = reader->position;
    int err;

    err = wasm_read_count(reader, item_bytes, limit, what, count);
    if (err != 0)
        return err;
    if (have > limit - *count)
        return wasm_too_big(reader->fail, first,
                            "too many %s: %u with the imported ones, the "
                            "limit is %u",
                            what, have + *count, limit);
    return 0;
}

/* What the module defines of one space, after what it imports. */
struct space {
    size_t size;         /* of one thing */
    uint32_t item_bytes; /* that one has in the module, at least */
    uint32_t limit;
    const char *what;
    int (*read)(struct wasm_reader *reader, void *item);
};

/* *items and *count are right also after a failure. */
static int
read_space(struct wasm_reader *reader, const struct space *space, void **items, uint32_t *count)
{
    uint32_t more;
    void *array;
    int err;

    err = read_space_count(reader, space->item_bytes, *count, space->limit, space->what, &more);
    if (err != 0)
        return err;
    array = wasm_array_extend(*items, *count, more, space->size);
    if (array == NULL)
        return wasm_no_memory(reader->fail);
    *items = array;
    for (uint32_t i = 0; i < more; i++) {
        err = space->read(reader, (uint8_t *)array + *count * space->size);
        if (err != 0)
            return err;
        ++*count;
    }
    return 0;
}

static int
read_function(struct wasm_reader *reader, void *item)
{
    return wasm_read_u32(reader, &((struct wasm_function *)item)->type);
}

int
wasm_section_function(struct wasm_decoder *decoder)
{
    static const struct space functions = {sizeof(struct wasm_function), 1, WASM_FUNCTIONS_MAX,
                                           "functions", read_function};
    struct wasm_module *module = decoder->module;
    void *items = module->functions;
    int err = read_space(&decoder->reader, &functions, &items, &module->function_count);

    module->functions = items;
    decoder->defined_count = module->function_count - module->imported_function_count;
    return err;
}

static int
read_table(struct wasm_reader *reader, void *item)
{
    return wasm_read_table_type(reader, item);
}

int
wasm_section_table(struct wasm_decoder *decoder)
{
    static const struct space tables = {sizeof(struct wasm_table), 3, WASM_TABLES_MAX, "tables",
                                        read_table};
    struct wasm_module *module = decoder->module;
    void *items = module->tables;
    int err = read_space(&decoder->reader, &tables, &items, &module->table_count);

    module->tables = items;
    return err;
}

static int
read_memory(struct wasm_reader *reader, void *item)
{
    return wasm_read_memory_type(reader, item);
}

int
wasm_section_memory(struct wasm_decoder *decoder)
{
    /* More than one is refused by validation, which names the feature. */
    static const struct space memories = {sizeof(struct wasm_memory), 2, WASM_IMPORTS_MAX,
                                          "memories", read_memory};
    struct wasm_module *module = decoder->module;
    void *items = module->memories;
    int err = read_space(&decoder->reader, &memories, &items, &module->memory_count);

    module->memories = items;
    return err;
}

static int
read_tag(struct wasm_reader *reader, void *item)
{
    return wasm_read_tag_type(reader, item);
}

int
wasm_section_tag(struct wasm_decoder *decoder)
{
    static const struct space tags = {sizeof(struct wasm_tag), 2, WASM_TAGS_MAX, "tags", read_tag};
    struct wasm_module *module = decoder->module;
    void *items = module->tags;
    int err = read_space(&decoder->reader, &tags, &items, &module->tag_count);

    module->tags = items;
    return err;
}

static int
read_global(struct wasm_reader *reader, void *item)
{
    struct wasm_global *global = item;
    int err;

    err = wasm_read_global_type(reader, global);
    if (err != 0)
        return err;
    return wasm_code_scan(reader, &global->init);
}

int
wasm_section_global(struct wasm_decoder *decoder)
{
    static const struct space globals = {sizeof(struct wasm_global), 3, WASM_GLOBALS_MAX, "globals",
                                         read_global};
    struct wasm_module *module = decoder->module;
    void *items = module->globals;
    int err = read_space(&decoder->reader, &globals, &items, &module->global_count);

    module->globals = items;
    return err;
}

static int
read_export(struct wasm_reader *reader, struct wasm_export *out)
{
    uint32_t first;
    uint8_t kind;
    int err;

    err = wasm_read_name(reader, &out->name);
    if (err != 0)
        return err;
    first = reader->position;
    err = wasm_read_byte(reader, &kind);
    if (err != 0)
        return err;
    if (kind > WASM_KIND_TAG)
        return wasm_malformed(reader->fail, first, "malformed export kind 0x%02x", kind);
    out->kind = kind;
    return wasm_read_u32(reader, &out->index);
}

int
wasm_section_export(struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;
    struct wasm_reader *reader = &decoder->reader;
    uint32_t count;
    int err;

    err = wasm_read_count(reader, 3, WASM_EXPORTS_MAX, "exports", &count);
    if (err != 0)
        return err;
    module->exports = wasm_array_extend(NULL, 0, count, sizeof(*module->exports));
    if (module->exports == NULL)
        return wasm_no_memory(reader->fail);
    for (; module->export_count < count; module->export_count++) {
        err = read_export(reader, &module->exports[module->export_count]);
        if (err != 0)
            return err;
    }
    return 0;
}

int
wasm_section_start(struct wasm_decoder *decoder)
{
    decoder->module->has_start = true;
    return wasm_read_u32(&decoder->reader, &decoder->module->start);
}
