/* SPDX-License-Identifier: Apache-2.0
 *
 * Code, and the segments that fill memory and tables.
 */
#include <stdlib.h>

#include "wasm/wasm_internal.h"

/* Local declarations are kept as runs; their sum is limited. */
static int
read_locals(struct wasm_reader *reader, struct wasm_function *function)
{
    struct wasm_local_group *groups;
    uint32_t first = reader->position;
    uint64_t total = 0;
    uint32_t count;
    int err;

    err = wasm_read_count(reader, 2, UINT32_MAX, "local declarations", &count);
    if (err != 0)
        return err;
    if (count == 0)
        return 0;
    groups = wasm_array_extend(NULL, 0, count, sizeof(*groups));
    if (groups == NULL)
        return wasm_no_memory(reader->fail);
    function->locals = groups; /* freed with the module */
    function->local_group_count = count;
    for (uint32_t i = 0; i < count; i++) {
        err = wasm_read_u32(reader, &groups[i].count);
        if (err == 0)
            err = wasm_read_value_type(reader, &groups[i].type);
        if (err != 0)
            return err;
        total += groups[i].count;
    }
    if (total > UINT32_MAX)
        return wasm_malformed(reader->fail, first, "too many locals: 2^32 or more");
    if (total > WASM_LOCALS_MAX)
        return wasm_too_big(reader->fail, first, "too many locals: %u, the limit is %u",
                            (uint32_t)total, WASM_LOCALS_MAX);
    function->local_count = (uint32_t)total;
    return 0;
}

static int
read_body(struct wasm_reader *section, struct wasm_function *function)
{
    struct wasm_reader reader = *section;
    uint32_t first = section->position;
    uint32_t size;
    int err;

    err = wasm_read_count(section, 1, WASM_BODY_BYTES_MAX, "bytes of a function body", &size);
    if (err != 0)
        return err;
    reader.position = section->position;
    reader.end = section->position + size;
    err = read_locals(&reader, function);
    if (err != 0)
        return err;
    function->code = (struct wasm_code){.first = reader.position, .end = reader.end};
    if (reader.position == reader.end)
        return wasm_malformed(reader.fail, first,
                              "unexpected end of section or function: the body is empty, END "
                              "opcode expected");
    section->position = reader.end;
    return 0;
}

int
wasm_section_code(struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;
    struct wasm_reader *reader = &decoder->reader;
    uint32_t count;
    int err;

    module->code_section_first = reader->position;
    err = wasm_read_count(reader, 2, WASM_FUNCTIONS_MAX, "function bodies", &count);
    if (err != 0)
        return err;
    if (count != decoder->defined_count)
        return wasm_malformed(reader->fail, module->code_section_first,
                              "function and code section have inconsistent lengths: %u and %u",
                              decoder->defined_count, count);
    for (; decoder->body_count < count; decoder->body_count++) {
        uint32_t index = module->imported_function_count + decoder->body_count;

        err = read_body(reader, &module->functions[index]);
        if (err != 0)
            return err;
    }
    return 0;
}

/* Bits of an element segment's flags. */
enum element_flag {
    ELEMENT_NOT_ACTIVE = 1,
    ELEMENT_EXPLICIT = 2, /* active: has a table index; else: declarative */
    ELEMENT_EXPRESSIONS = 4,
};

static int
read_element_functions(struct wasm_reader *reader, struct wasm_element *out)
{
    uint32_t *functions;
    int err;

    functions = wasm_array_extend(NULL, 0, out->entry_count, sizeof(*functions));
    if (functions == NULL)
        return wasm_no_memory(reader->fail);
    out->functions = functions;
    for (uint32_t i = 0; i < out->entry_count; i++) {
        err = wasm_read_u32(reader, &functions[i]);
        if (err != 0)
            return err;
    }
    return 0;
}

static int
read_element_exprs(struct wasm_reader *reader, struct wasm_element *out)
{
    struct wasm_code *exprs;
    int err;

    exprs = wasm_array_extend(NULL, 0, out->entry_count, sizeof(*exprs));
    if (exprs == NULL)
        return wasm_no_memory(reader->fail);
    out->exprs = exprs;
    for (uint32_t i = 0; i < out->entry_count; i++) {
        err = wasm_code_scan(reader, &exprs[i]);
        if (err != 0)
            return err;
    }
    return 0;
}

static int
read_element_type(struct wasm_reader *reader, uint32_t flags, struct wasm_element *out)
{
    uint32_t first = reader->position;
    uint8_t kind;
    int err;

    out->type = WASM_FUNCREF;
    if ((flags & (ELEMENT_NOT_ACTIVE | ELEMENT_EXPLICIT)) == 0)
        return 0;
    if ((flags & ELEMENT_EXPRESSIONS) != 0)
        return wasm_read_reference_type(reader, &out->type);
    err = wasm_read_byte(reader, &kind);
    if (err != 0)
        return err;
    if (kind != 0)
        return wasm_malformed(reader->fail, first, "malformed element kind 0x%02x", kind);
    return 0;
}

static int
read_element_place(struct wasm_reader *reader, uint32_t flags, struct wasm_element *out)
{
    int err = 0;

    if ((flags & ELEMENT_NOT_ACTIVE) != 0) {
        out->mode =
            (flags & ELEMENT_EXPLICIT) != 0 ? WASM_SEGMENT_DECLARATIVE : WASM_SEGMENT_PASSIVE;
        return 0;
    }
    out->mode = WASM_SEGMENT_ACTIVE;
    if ((flags & ELEMENT_EXPLICIT) != 0)
        err = wasm_read_u32(reader, &out->table);
    return err != 0 ? err : wasm_code_scan(reader, &out->offset);
}

static int
read_element(struct wasm_decoder *decoder, struct wasm_element *out)
{
    struct wasm_reader *reader = &decoder->reader;
    uint32_t first = reader->position;
    uint32_t flags;
    int err;

    err = wasm_read_u32(reader, &flags);
    if (err != 0)
        return err;
    if (flags > 7)
        return wasm_malformed(reader->fail, first, "malformed elements segment kind %u", flags);
    if ((flags & ELEMENT_NOT_ACTIVE) != 0)
        decoder->module->features |= WASM_FEATURE_BULK_MEMORY;
    err = read_element_place(reader, flags, out);
    if (err == 0)
        err = read_element_type(reader, flags, out);
    if (err == 0)
        err = wasm_read_count(reader, 1, WASM_ELEMENTS_MAX, "elements", &out->entry_count);
    if (err != 0)
        return err;
    return (flags & ELEMENT_EXPRESSIONS) != 0 ? read_element_exprs(reader, out)
                                              : read_element_functions(reader, out);
}

int
wasm_section_element(struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;
    struct wasm_reader *reader = &decoder->reader;
    uint32_t count;
    int err;

    err = wasm_read_count(reader, 2, WASM_SEGMENTS_MAX, "element segments", &count);
    if (err != 0)
        return err;
    module->elements = wasm_array_extend(NULL, 0, count, sizeof(*module->elements));
    if (module->elements == NULL)
        return wasm_no_memory(reader->fail);
    while (module->element_count < count) {
        /* Counted first, so that a failed one is freed too. */
        err = read_element(decoder, &module->elements[module->element_count++]);
        if (err != 0)
            return err;
    }
    return 0;
}

int
wasm_section_data_count(struct wasm_decoder *decoder)
{
    decoder->has_data_count = true;
    decoder->module->features |= WASM_FEATURE_BULK_MEMORY;
    return wasm_read_u32(&decoder->reader, &decoder->data_count);
}

static int
read_data(struct wasm_decoder *decoder, struct wasm_data *out)
{
    struct wasm_reader *reader = &decoder->reader;
    uint32_t first = reader->position;
    uint32_t flags, memory = 0;
    int err;

    err = wasm_read_u32(reader, &flags);
    if (err != 0)
        return err;
    if (flags > 2)
        return wasm_malformed(reader->fail, first, "malformed data segment kind %u", flags);
    if (flags == 2)
        err = wasm_read_u32(reader, &memory);
    if (err != 0)
        return err;
    out->mode = flags == 1 ? WASM_SEGMENT_PASSIVE : WASM_SEGMENT_ACTIVE;
    if (flags != 1)
        err = wasm_code_scan(reader, &out->offset);
    if (err == 0)
        err = wasm_read_count(reader, 1, UINT32_MAX, "bytes of a data segment", &out->byte_count);
    if (err == 0)
        err = wasm_read_bytes(reader, out->byte_count, &out->bytes);
    if (err == 0 && memory != 0 && decoder->bad_data_position == 0) {
        /* Valid binary format; validation refuses it. */
        decoder->bad_data_position = first;
        decoder->bad_data_memory = memory;
    }
    return err;
}

int
wasm_section_data(struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;
    struct wasm_reader *reader = &decoder->reader;
    uint32_t count;
    int err;

    err = wasm_read_count(reader, 2, WASM_SEGMENTS_MAX, "data segments", &count);
    if (err != 0)
        return err;
    module->data = wasm_array_extend(NULL, 0, count, sizeof(*module->data));
    if (module->data == NULL)
        return wasm_no_memory(reader->fail);
    for (; module->data_count < count; module->data_count++) {
        err = read_data(decoder, &module->data[module->data_count]);
        if (err != 0)
            return err;
    }
    return 0;
}
