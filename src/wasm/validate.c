/* SPDX-License-Identifier: Apache-2.0
 *
 * Validation of what is outside of function bodies, then of the bodies.
 */
#include <stdlib.h>
#include <string.h>

#include "wasm/wasm_internal.h"

#include "base/assert.h"

/* Where to look for thing `index` of which the first `imported` are imports. */
static uint32_t
position_of(const struct wasm_decoder *decoder, enum wasm_section_id section, uint32_t index,
            uint32_t imported)
{
    return decoder->section_first[index < imported ? WASM_SECTION_IMPORT : section];
}

static int
validate_functions(const struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;
    uint32_t imported = module->imported_function_count;

    for (uint32_t i = 0; i < module->function_count; i++) {
        struct wasm_function *function = &module->functions[i];

        if (function->type >= module->type_count)
            return wasm_invalid(decoder->reader.fail,
                                position_of(decoder, WASM_SECTION_FUNCTION, i, imported),
                                "unknown type %u of function %u: there are %u", function->type, i,
                                module->type_count);
        function->local_count += module->types[function->type].param_count;
        if (function->local_count > WASM_LOCALS_MAX)
            return wasm_too_big(decoder->reader.fail, function->code.first,
                                "too many locals: %u with parameters, the limit is %u",
                                function->local_count, WASM_LOCALS_MAX);
    }
    return 0;
}

static int
validate_tags(const struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;

    if (module->tag_count > 0)
        module->features |= WASM_FEATURE_EXCEPTIONS;
    for (uint32_t i = 0; i < module->tag_count; i++) {
        uint32_t type = module->tags[i].type;
        uint32_t position = position_of(decoder, WASM_SECTION_TAG, i, module->imported_tag_count);

        if (type >= module->type_count)
            return wasm_invalid(decoder->reader.fail, position,
                                "unknown type %u of tag %u: there are %u", type, i,
                                module->type_count);
        if (module->types[type].result_count != 0)
            return wasm_invalid(decoder->reader.fail, position,
                                "non-empty tag result type: tag %u has %u results", i,
                                module->types[type].result_count);
    }
    return 0;
}

static int
validate_tables(const struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;

    for (uint32_t i = 0; i < module->table_count; i++) {
        const struct wasm_limits *limits = &module->tables[i].limits;

        if (limits->has_max && limits->min > limits->max)
            return wasm_invalid(
                decoder->reader.fail,
                position_of(decoder, WASM_SECTION_TABLE, i, module->imported_table_count),
                "size minimum must not be greater than maximum: table %u has %u and %u", i,
                (uint32_t)limits->min, (uint32_t)limits->max);
        if (i > 0 || module->tables[i].type != WASM_FUNCREF)
            module->features |= WASM_FEATURE_REFERENCE_TYPES;
    }
    return 0;
}

static int
validate_memories(const struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;
    struct wasm_fail *fail = decoder->reader.fail;
    const struct wasm_limits *limits;
    uint32_t position;

    if (module->memory_count == 0)
        return 0;
    position = position_of(decoder, WASM_SECTION_MEMORY, module->memory_count - 1,
                           module->imported_memory_count);
    if (module->memory_count > 1)
        return wasm_unsupported(fail, position, WASM_MISSING_MULTI_MEMORY, false,
                                "multiple memories");
    limits = &module->memories[0].limits;
    if (limits->min > WASM_PAGES_MAX || (limits->has_max && limits->max > WASM_PAGES_MAX))
        return wasm_invalid(fail, position, "memory size must be at most %u pages (4GiB), not %u",
                            WASM_PAGES_MAX,
                            (uint32_t)(limits->min > WASM_PAGES_MAX ? limits->min : limits->max));
    if (limits->has_max && limits->min > limits->max)
        return wasm_invalid(fail, position,
                            "size minimum must not be greater than maximum: memory has %u and %u "
                            "pages",
                            (uint32_t)limits->min, (uint32_t)limits->max);
    if (limits->is_shared)
        module->features |= WASM_FEATURE_THREADS;
    return 0;
}

static void
note_type_features(struct wasm_module *module, uint8_t type)
{
    if (type == WASM_V128)
        module->features |= WASM_FEATURE_SIMD;
    if (wasm_type_is_reference(type))
        module->features |= WASM_FEATURE_REFERENCE_TYPES;
}

static void
validate_types(struct wasm_module *module)
{
    for (uint32_t i = 0; i < module->type_count; i++) {
        const struct wasm_func_type *type = &module->types[i];

        for (uint32_t k = 0; k < type->param_count; k++)
            note_type_features(module, type->params[k]);
        for (uint32_t k = 0; k < type->result_count; k++)
            note_type_features(module, type->results[k]);
    }
}

static int
validate_globals(struct wasm_checker *checker)
{
    struct wasm_module *module = checker->module;

    for (uint32_t i = 0; i < module->global_count; i++) {
        const struct wasm_global *global = &module->globals[i];
        int err;

        note_type_features(module, global->type);
        if (global->is_imported)
            continue;
        err = wasm_check_constant(checker, global->init, global->type);
        if (err != 0)
            return err;
    }
    return 0;
}

/* --------------------------------------------------------------------- exports */

static uint32_t
space_count(const struct wasm_module *module, enum wasm_kind kind)
{
    switch (kind) {
    case WASM_KIND_FUNCTION:
        return module->function_count;
    case WASM_KIND_TABLE:
        return module->table_count;
    case WASM_KIND_MEMORY:
        return module->memory_count;
    case WASM_KIND_GLOBAL:
        return module->global_count;
    case WASM_KIND_TAG:
        return module->tag_count;
    }
    return 0;
}

static uint32_t
name_position(const struct wasm_module *module, const struct wasm_string *name)
{
    return (uint32_t)((const uint8_t *)name->bytes - module->bytes);
}

static int
compare_names(const void *a, const void *b)
{
    const struct wasm_string *x = *(const struct wasm_string *const *)a;
    const struct wasm_string *y = *(const struct wasm_string *const *)b;

    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    return memcmp(x->bytes, y->bytes, x->count);
}

static int
validate_export_names(struct wasm_module *module, struct wasm_fail *fail)
{
    const struct wasm_string **names;
    int err = 0;

    names = reallocarray(NULL, module->export_count + 1, sizeof(const struct wasm_string *));
    if (names == NULL)
        return wasm_no_memory(fail);
    for (uint32_t i = 0; i < module->export_count; i++)
        names[i] = &module->exports[i].name;
    qsort(names, module->export_count, sizeof(const struct wasm_string *), compare_names);
    for (uint32_t i = 1; i < module->export_count && err == 0; i++)
        if (compare_names(&names[i - 1], &names[i]) == 0)
            err = wasm_invalid(fail, name_position(module, names[i]),
                               "duplicate export name \"%.*s\"",
                               names[i]->count < 200 ? (int)names[i]->count : 200, names[i]->bytes);
    free(names);
    return err;
}

static int
validate_exports(struct wasm_module *module, struct wasm_fail *fail)
{
    static const char *const kind_names[] = {"function", "table", "memory", "global", "tag"};

    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_export *export = &module->exports[i];

        if (export->index >= space_count(module, export->kind))
            return wasm_invalid(fail, name_position(module, &export->name),
                                "unknown %s %u: exported as \"%.*s\", but there are %u",
                                kind_names[export->kind], export->index,
                                export->name.count < 200 ? (int)export->name.count : 200,
                                export->name.bytes, space_count(module, export->kind));
        if (export->kind == WASM_KIND_FUNCTION)
            module->functions[export->index].is_declared = true;
    }
    return validate_export_names(module, fail);
}

static int
validate_start(const struct wasm_decoder *decoder)
{
    const struct wasm_module *module = decoder->module;
    uint32_t position = decoder->section_first[WASM_SECTION_START];
    const struct wasm_func_type *type;

    if (!module->has_start)
        return 0;
    if (module->start >= module->function_count)
        return wasm_invalid(decoder->reader.fail, position,
                            "unknown function %u: the start function, but there are %u",
                            module->start, module->function_count);
    type = &module->types[module->functions[module->start].type];
    if (type->param_count != 0 || type->result_count != 0)
        return wasm_invalid(decoder->reader.fail, position,
                            "start function %u must have no parameters and no results, it has %u "
                            "and %u",
                            module->start, type->param_count, type->result_count);
    return 0;
}

/* -------------------------------------------------------------------- segments */

static int
validate_entries(struct wasm_checker *checker, const struct wasm_element *element, uint32_t index,
                 uint32_t position)
{
    struct wasm_module *module = checker->module;

    for (uint32_t i = 0; i < element->entry_count; i++) {
        if (element->exprs != NULL) {
            int err = wasm_check_constant(checker, element->exprs[i], element->type);

            if (err != 0)
                return err;
            continue;
        }
        if (element->functions[i] >= module->function_count)
            return wasm_invalid(checker->reader.fail, position,
                                "unknown function %u: entry %u of elem segment %u, but there are "
                                "%u",
                                element->functions[i], i, index, module->function_count);
        module->functions[element->functions[i]].is_declared = true;
    }
    return 0;
}

static int
validate_element(struct wasm_checker *checker, uint32_t index, uint32_t position)
{
    struct wasm_module *module = checker->module;
    const struct wasm_element *element = &module->elements[index];
    int err;

    err = validate_entries(checker, element, index, position);
    if (err != 0 || element->mode != WASM_SEGMENT_ACTIVE)
        return err;
    if (element->table >= module->table_count)
        return wasm_invalid(checker->reader.fail, element->offset.first,
                            "unknown table %u of elem segment %u: there are %u", element->table,
                            index, module->table_count);
    if (module->tables[element->table].type != element->type)
        return wasm_invalid(checker->reader.fail, element->offset.first,
                            "type mismatch: elem segment %u expected %s, found a table of %s",
                            index, wasm_type_name(element->type),
                            wasm_type_name(module->tables[element->table].type));
    return wasm_check_constant(checker, element->offset, WASM_I32);
}

static int
validate_data(struct wasm_checker *checker, uint32_t index)
{
    const struct wasm_module *module = checker->module;
    const struct wasm_data *data = &module->data[index];

    if (data->mode != WASM_SEGMENT_ACTIVE)
        return 0;
    if (module->memory_count == 0)
        return wasm_invalid(checker->reader.fail, data->offset.first,
                            "unknown memory 0 of data segment %u", index);
    return wasm_check_constant(checker, data->offset, WASM_I32);
}

/* ------------------------------------------------------------------ everything */

static int
validate_constants(const struct wasm_decoder *decoder, struct wasm_checker *checker)
{
    const struct wasm_module *module = checker->module;
    uint32_t position = decoder->section_first[WASM_SECTION_ELEMENT];
    int err;

    err = validate_globals(checker);
    for (uint32_t i = 0; i < module->element_count && err == 0; i++)
        err = validate_element(checker, i, position);
    for (uint32_t i = 0; i < module->data_count && err == 0; i++)
        err = validate_data(checker, i);
    return err;
}

static int
validate_spaces(const struct wasm_decoder *decoder)
{
    int err;

    validate_types(decoder->module);
    err = validate_functions(decoder);
    if (err == 0)
        err = validate_tags(decoder);
    if (err == 0)
        err = validate_tables(decoder);
    if (err == 0)
        err = validate_memories(decoder);
    if (err == 0)
        err = validate_exports(decoder->module, decoder->reader.fail);
    if (err == 0)
        err = validate_start(decoder);
    return err;
}

static int
validate_all(const struct wasm_decoder *decoder, struct wasm_checker *checker)
{
    struct wasm_module *module = decoder->module;
    int err;

    err = validate_spaces(decoder);
    if (err == 0 && decoder->bad_data_position != 0)
        err = wasm_invalid(decoder->reader.fail, decoder->bad_data_position,
                           "unknown memory %u of a data segment", decoder->bad_data_memory);
    if (err == 0)
        err = validate_constants(decoder, checker);
    for (uint32_t i = module->imported_function_count; i < module->function_count && err == 0; i++)
        err = wasm_check_body(checker, &module->functions[i]);
    return err;
}

int
wasm_validate(const struct wasm_decoder *decoder)
{
    struct wasm_checker checker;
    int err;

    err = wasm_checker_init(&checker, decoder->module, decoder->reader.fail);
    if (err != 0)
        return err;
    checker.has_data_count = decoder->has_data_count;
    err = validate_all(decoder, &checker);
    wasm_checker_fini(&checker);
    return err;
}
