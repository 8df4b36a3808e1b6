/* SPDX-License-Identifier: Apache-2.0 */
#include "wasm/wasm_internal.h"

#include "base/assert.h"

static const char *const type_names[256] = {
    [WASM_I32] = "i32",
    [WASM_I64] = "i64",
    [WASM_F32] = "f32",
    [WASM_F64] = "f64",
    [WASM_V128] = "v128",
    [WASM_FUNCREF] = "funcref",
    [WASM_EXTERNREF] = "externref",
};

/* Bytes that are types in proposals. */
struct foreign_type {
    uint8_t first, last;
    enum wasm_missing missing;
};

static const struct foreign_type foreign_types[] = {
    {0x63, 0x64, WASM_MISSING_FUNCTION_REFERENCES}, /* (ref ...), (ref null ...) */
    {0x68, 0x68, WASM_MISSING_STACK_SWITCHING},     /* contref */
    {0x69, 0x69, WASM_MISSING_EXNREF},              /* exnref */
    {0x6a, 0x6e, WASM_MISSING_GC},                  /* arrayref ... anyref */
    {0x71, 0x73, WASM_MISSING_GC},                  /* nullref ... nullfuncref */
    {0x74, 0x74, WASM_MISSING_EXNREF},              /* nullexnref */
    {0x77, 0x78, WASM_MISSING_GC},                  /* packed i16, i8 */
};

static const char *const feature_names[] = {
    "multi-value",           "bulk-memory",  "reference-types", "sign-extension",
    "saturating-conversion", "simd",         "threads",         "tail-call",
    "extended-const",        "relaxed-simd", "exceptions",
};

const char *
wasm_type_name(uint8_t type)
{
    return type_names[type] != NULL ? type_names[type] : "unknown type";
}

const char *
wasm_feature_name(uint32_t bit)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(feature_names); i++)
        if (bit == UINT32_C(1) << i)
            return feature_names[i];
    return "unknown feature";
}

bool
wasm_type_is_reference(uint8_t type)
{
    return type == WASM_FUNCREF || type == WASM_EXTERNREF;
}

bool
wasm_type_is_value(uint8_t type)
{
    return type_names[type] != NULL;
}

int
wasm_bad_value_type(struct wasm_fail *fail, uint32_t position, uint8_t type)
{
    for (size_t i = 0; i < ARRAY_COUNT(foreign_types); i++)
        if (type >= foreign_types[i].first && type <= foreign_types[i].last)
            return wasm_unsupported(fail, position, foreign_types[i].missing, true,
                                    "malformed value type");
    return wasm_malformed(fail, position, "malformed value type 0x%02x", type);
}

int
wasm_read_value_type(struct wasm_reader *reader, uint8_t *out)
{
    uint32_t first = reader->position;
    int err;

    err = wasm_read_byte(reader, out);
    if (err != 0)
        return err;
    if (!wasm_type_is_value(*out))
        return wasm_bad_value_type(reader->fail, first, *out);
    return 0;
}

int
wasm_read_reference_type(struct wasm_reader *reader, uint8_t *out)
{
    uint32_t first = reader->position;
    int err;

    err = wasm_read_byte(reader, out);
    if (err != 0)
        return err;
    if (wasm_type_is_reference(*out))
        return 0;
    if (wasm_type_is_value(*out))
        return wasm_malformed(reader->fail, first, "malformed reference type %s",
                              wasm_type_name(*out));
    return wasm_bad_value_type(reader->fail, first, *out);
}
