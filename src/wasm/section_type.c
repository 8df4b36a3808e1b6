/* SPDX-License-Identifier: Apache-2.0
 *
 * Types, and the types of what can be imported.
 */
#include <stdlib.h>
#include <string.h>

#include "wasm/wasm_internal.h"

static int
read_value_types(struct wasm_reader *reader, const char *what, const uint8_t **types,
                 uint32_t *count)
{
    uint8_t type;
    int err;

    err = wasm_read_count(reader, 1, WASM_VALUES_MAX, what, count);
    if (err != 0)
        return err;
    *types = reader->bytes + reader->position;
    for (uint32_t i = 0; i < *count; i++) {
        err = wasm_read_value_type(reader, &type);
        if (err != 0)
            return err;
    }
    return 0;
}

static int
read_func_type(struct wasm_reader *reader, struct wasm_func_type *out)
{
    uint32_t first = reader->position;
    uint8_t form;
    int err;

    err = wasm_read_byte(reader, &form);
    if (err != 0)
        return err;
    if ((form >= 0x4d && form <= 0x50) || (form >= 0x5e && form <= 0x5f))
        return wasm_unsupported(reader->fail, first, WASM_MISSING_GC, true,
                                "malformed type form (rec, sub, struct or array)");
    if (form == 0x5d)
        return wasm_unsupported(reader->fail, first, WASM_MISSING_STACK_SWITCHING, true,
                                "malformed type form (cont)");
    if (form != 0x60)
        return wasm_malformed(reader->fail, first,
                              "integer representation too long or malformed type form 0x%02x",
                              form);
    err = read_value_types(reader, "parameters", &out->params, &out->param_count);
    if (err != 0)
        return err;
    return read_value_types(reader, "results", &out->results, &out->result_count);
}

static int
compare_bytes(const uint8_t *a, uint32_t a_count, const uint8_t *b, uint32_t b_count)
{
    if (a_count != b_count)
        return a_count < b_count ? -1 : 1;
    return a_count == 0 ? 0 : memcmp(a, b, a_count);
}

/* By signature, then by index: the first of equal ones comes first. */
static int
compare_types(const void *a, const void *b, void *types)
{
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const struct wasm_func_type *x = (const struct wasm_func_type *)types + i;
    const struct wasm_func_type *y = (const struct wasm_func_type *)types + k;
    int order;

    order = compare_bytes(x->params, x->param_count, y->params, y->param_count);
    if (order == 0)
        order = compare_bytes(x->results, x->result_count, y->results, y->result_count);
    if (order == 0)
        order = i < k ? -1 : i > k;
    return order;
}

static bool
types_are_equal(const struct wasm_func_type *a, const struct wasm_func_type *b)
{
    return compare_bytes(a->params, a->param_count, b->params, b->param_count) == 0 &&
           compare_bytes(a->results, a->result_count, b->results, b->result_count) == 0;
}

static int
find_canonical_types(struct wasm_module *module)
{
    uint32_t *order;

    order = reallocarray(NULL, module->type_count + 1, sizeof(*order));
    if (order == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < module->type_count; i++)
        order[i] = i;
    qsort_r(order, module->type_count, sizeof(*order), compare_types, module->types);
    for (uint32_t i = 0; i < module->type_count; i++) {
        struct wasm_func_type *type = &module->types[order[i]];

        type->canonical = order[i];
        if (i > 0 && types_are_equal(type, &module->types[order[i - 1]]))
            type->canonical = module->types[order[i - 1]].canonical;
    }
    free(order);
    return 0;
}

int
wasm_section_type(struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;
    struct wasm_reader *reader = &decoder->reader;
    uint32_t count;
    int err;

    err = wasm_read_count(reader, 3, WASM_TYPES_MAX, "types", &count);
    if (err != 0)
        return err;
    module->types = wasm_array_extend(NULL, 0, count, sizeof(*module->types));
    if (module->types == NULL)
        return wasm_no_memory(reader->fail);
    for (; module->type_count < count; module->type_count++) {
        err = read_func_type(reader, &module->types[module->type_count]);
        if (err != 0)
            return err;
        if (module->types[module->type_count].result_count > 1)
            module->features |= WASM_FEATURE_MULTI_VALUE;
    }
    if (find_canonical_types(module) != 0)
        return wasm_no_memory(reader->fail);
    return 0;
}

static int
read_limits(struct wasm_reader *reader, uint8_t flags, struct wasm_limits *out)
{
    uint32_t value;
    int err;

    *out = (struct wasm_limits){.has_max = (flags & 1) != 0, .is_shared = (flags & 2) != 0};
    err = wasm_read_u32(reader, &value);
    if (err != 0)
        return err;
    out->min = value;
    if (!out->has_max)
        return 0;
    err = wasm_read_u32(reader, &value);
    if (err != 0)
        return err;
    out->max = value;
    return 0;
}

/* flags_max: the largest that is supported. 4 is the bit of 64-bit indices, 8
 * that of a custom page size. */
static int
read_limit_flags(struct wasm_reader *reader, uint8_t flags_max, uint8_t *flags)
{
    uint32_t first = reader->position;
    int err;

    err = wasm_read_byte(reader, flags);
    if (err != 0 || *flags <= flags_max)
        return err;
    if (*flags >= 4 && *flags < 8)
        return wasm_unsupported(reader->fail, first, WASM_MISSING_MEMORY64, true,
                                "malformed limits flags");
    if (flags_max == 3 && *flags >= 8 && *flags < 16)
        return wasm_unsupported(reader->fail, first, WASM_MISSING_CUSTOM_PAGE_SIZES, true,
                                "malformed limits flags");
    if ((*flags & 0x80) != 0)
        return wasm_malformed(reader->fail, first, "integer representation too long: limits flags");
    return wasm_malformed(reader->fail, first, "malformed limits flags 0x%02x, integer too large",
                          *flags);
}

int
wasm_read_table_type(struct wasm_reader *reader, struct wasm_table *out)
{
    uint32_t first = reader->position;
    uint8_t flags;
    int err;

    if (wasm_reader_left(reader) > 0 && reader->bytes[first] == 0x40)
        return wasm_unsupported(reader->fail, first, WASM_MISSING_FUNCTION_REFERENCES, true,
                                "malformed reference type (a table with an initial value)");
    err = wasm_read_reference_type(reader, &out->type);
    if (err != 0)
        return err;
    err = read_limit_flags(reader, 1, &flags);
    if (err != 0)
        return err;
    return read_limits(reader, flags, &out->limits);
}

int
wasm_read_memory_type(struct wasm_reader *reader, struct wasm_memory *out)
{
    uint32_t first = reader->position;
    uint8_t flags;
    int err;

    err = read_limit_flags(reader, 3, &flags);
    if (err != 0)
        return err;
    if (flags == 2)
        return wasm_malformed(reader->fail, first,
                              "shared memory must have maximum: malformed limits flags 0x02, "
                              "integer too large");
    return read_limits(reader, flags, &out->limits);
}

int
wasm_read_global_type(struct wasm_reader *reader, struct wasm_global *out)
{
    uint32_t first;
    uint8_t byte;
    int err;

    err = wasm_read_value_type(reader, &out->type);
    if (err != 0)
        return err;
    first = reader->position;
    err = wasm_read_byte(reader, &byte);
    if (err != 0)
        return err;
    if (byte > 1)
        return wasm_malformed(reader->fail, first, "malformed mutability 0x%02x", byte);
    out->is_mutable = byte == 1;
    return 0;
}

int
wasm_read_tag_type(struct wasm_reader *reader, struct wasm_tag *out)
{
    uint32_t first = reader->position;
    uint8_t attribute;
    int err;

    err = wasm_read_byte(reader, &attribute);
    if (err != 0)
        return err;
    if (attribute != 0)
        return wasm_malformed(reader->fail, first, "malformed tag attribute 0x%02x", attribute);
    return wasm_read_u32(reader, &out->type);
}
