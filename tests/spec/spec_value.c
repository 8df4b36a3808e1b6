/* SPDX-License-Identifier: Apache-2.0 */
#include "spec_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "abi/abi.h"

struct type_entry {
    const char *name;
    uint8_t type;
    uint8_t bytes;
};

static const struct type_entry types[] = {
    {"i32", 0x7f, 4},  {"i64", 0x7e, 8},     {"f32", 0x7d, 4},       {"f64", 0x7c, 8},
    {"v128", 0x7b, 0}, {"funcref", 0x70, 8}, {"externref", 0x6f, 8},
};

static const struct type_entry lane_types[] = {
    {"i8", 0, 1}, {"i16", 0, 2}, {"i32", 0, 4}, {"i64", 0, 8}, {"f32", 0, 4}, {"f64", 0, 8},
};

static const struct type_entry *
find_type(const struct type_entry *table, size_t count, const json_t *name)
{
    const char *text = json_string_value(name);

    for (size_t i = 0; i < count && text != NULL; i++)
        if (strcmp(table[i].name, text) == 0)
            return &table[i];
    return NULL;
}

static int
parse_lane(const json_t *json, struct spec_lane *out)
{
    const char *text = json_string_value(json);
    char *end;

    if (text == NULL)
        return -EINVAL;
    *out = (struct spec_lane){.kind = SPEC_LANE_BITS};
    if (strcmp(text, "nan:canonical") == 0) {
        out->kind = SPEC_LANE_NAN_CANONICAL;
    } else if (strcmp(text, "nan:arithmetic") == 0) {
        out->kind = SPEC_LANE_NAN_ARITHMETIC;
    } else if (strcmp(text, "null") == 0) {
        out->bits = (uint64_t)ABI_REF_NULL;
    } else {
        errno = 0;
        out->bits = strtoull(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0')
            return -EINVAL;
    }
    return 0;
}

static int
parse_vector(const json_t *json, const json_t *values, struct spec_value *out)
{
    const struct type_entry *lane;
    int err;

    lane = find_type(lane_types, ARRAY_COUNT(lane_types), json_object_get(json, "lane_type"));
    if (lane == NULL || json_array_size(values) != 16u / lane->bytes)
        return -EINVAL;
    out->lane_bytes = lane->bytes;
    out->lane_count = (uint8_t)(16 / lane->bytes);
    for (size_t i = 0; i < out->lane_count; i++) {
        err = parse_lane(json_array_get(values, i), &out->lanes[i]);
        if (err != 0)
            return err;
    }
    return 0;
}

int
spec_value_parse(const json_t *json, struct spec_value *out)
{
    const json_t *value = json_object_get(json, "value");
    const struct type_entry *type;

    *out = (struct spec_value){0};
    type = find_type(types, ARRAY_COUNT(types), json_object_get(json, "type"));
    if (type == NULL)
        return -EINVAL;
    out->type = type->type;
    if (type->bytes == 0)
        return parse_vector(json, value, out);
    out->lane_bytes = type->bytes;
    out->lane_count = 1;
    if (value == NULL && (type->type == 0x70 || type->type == 0x6f)) {
        out->lanes[0].kind = SPEC_LANE_NOT_NULL;
        return 0;
    }
    return parse_lane(value, &out->lanes[0]);
}

int
spec_values_parse(const json_t *json, struct spec_value *out, size_t *count)
{
    int err;

    *count = json_array_size(json);
    if (*count > SPEC_VALUES_MAX)
        return -EINVAL;
    for (size_t i = 0; i < *count; i++) {
        err = spec_value_parse(json_array_get(json, i), &out[i]);
        if (err != 0)
            return err;
    }
    return 0;
}

size_t
spec_value_slots(const struct spec_value *value)
{
    return abi_value_slots(value->type);
}

void
spec_value_store(const struct spec_value *value, uint64_t *slots)
{
    uint8_t bytes[16] = {0};

    for (size_t i = 0; i < value->lane_count; i++)
        (void)memcpy(bytes + i * value->lane_bytes, &value->lanes[i].bits, value->lane_bytes);
    (void)memcpy(slots, bytes, spec_value_slots(value) * 8);
}

static uint64_t
lane_of_slots(const struct spec_value *value, const uint64_t *slots, size_t index)
{
    uint64_t bits = 0;

    (void)memcpy(&bits, (const uint8_t *)slots + index * value->lane_bytes, value->lane_bytes);
    return bits;
}

/* Canonical: quiet bit alone, any sign. Arithmetic: quiet bit and anything. */
static bool
lane_matches(const struct spec_lane *lane, unsigned bytes, uint64_t bits)
{
    uint64_t sign = UINT64_C(1) << (bytes * 8 - 1);
    uint64_t canonical = bytes == 4 ? UINT64_C(0x7fc00000) : UINT64_C(0x7ff8000000000000);

    switch (lane->kind) {
    case SPEC_LANE_BITS:
        return bits == lane->bits;
    case SPEC_LANE_NAN_CANONICAL:
        return (bits & ~sign) == canonical;
    case SPEC_LANE_NAN_ARITHMETIC:
        return (bits & canonical) == canonical;
    case SPEC_LANE_NOT_NULL:
        return bits != (uint64_t)ABI_REF_NULL;
    }
    return false;
}

bool
spec_value_matches(const struct spec_value *value, const uint64_t *slots)
{
    for (size_t i = 0; i < value->lane_count; i++)
        if (!lane_matches(&value->lanes[i], value->lane_bytes, lane_of_slots(value, slots, i)))
            return false;
    /* An i32 or f32 is zero-extended in its slot. */
    return value->lane_bytes != 4 || value->lane_count != 1 || slots[0] >> 32 == 0;
}

static const char *
type_name(uint8_t type)
{
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        if (types[i].type == type)
            return types[i].name;
    return "?";
}

void
spec_value_describe(const struct spec_value *value, struct buffer *out)
{
    static const char *const kinds[] = {"", "nan:canonical", "nan:arithmetic", "not null"};

    buffer_append_format(out, "%s", type_name(value->type));
    for (size_t i = 0; i < value->lane_count; i++)
        if (value->lanes[i].kind == SPEC_LANE_BITS)
            buffer_append_format(out, " 0x%" PRIx64, value->lanes[i].bits);
        else
            buffer_append_format(out, " %s", kinds[value->lanes[i].kind]);
}

void
spec_value_describe_slots(const struct spec_value *value, const uint64_t *slots, struct buffer *out)
{
    buffer_append_format(out, "%s", type_name(value->type));
    for (size_t i = 0; i < value->lane_count; i++)
        buffer_append_format(out, " 0x%" PRIx64, lane_of_slots(value, slots, i));
    if (value->lane_bytes == 4 && value->lane_count == 1 && slots[0] >> 32 != 0)
        buffer_append_format(out, " (slot 0x%" PRIx64 ")", slots[0]);
}
