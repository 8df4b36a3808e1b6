/* SPDX-License-Identifier: Apache-2.0
 *
 * spec_value: values as wast2json writes them, and as argument slots (abi.h).
 */
#ifndef WEFT_SPEC_VALUE_H
#define WEFT_SPEC_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/macros.h"

#define SPEC_VALUES_MAX 64u

enum spec_lane_kind {
    SPEC_LANE_BITS,
    SPEC_LANE_NAN_CANONICAL,
    SPEC_LANE_NAN_ARITHMETIC,
    SPEC_LANE_NOT_NULL, /* any reference but null */
};

struct spec_lane {
    enum spec_lane_kind kind;
    uint64_t bits;
};

/* A scalar has one lane. */
struct spec_value {
    uint8_t type; /* of the binary format */
    uint8_t lane_bytes;
    uint8_t lane_count;
    struct spec_lane lanes[16];
};

/* 0, or -EINVAL where it is not a value as wast2json writes them. */
int spec_value_parse(const json_t *json, struct spec_value *out) MUST_CHECK;

/* An array of values; NULL is an empty one. */
int spec_values_parse(const json_t *json, struct spec_value *out, size_t *count) MUST_CHECK;

/* Slots that the value takes. */
size_t spec_value_slots(const struct spec_value *value);

/* As argument; only for values without patterns. */
void spec_value_store(const struct spec_value *value, uint64_t *slots);

bool spec_value_matches(const struct spec_value *value, const uint64_t *slots);

/* "i32 42 (0x2a)"; and what slots hold, read as that type. */
void spec_value_describe(const struct spec_value *value, struct buffer *out);
void spec_value_describe_slots(const struct spec_value *value, const uint64_t *slots,
                               struct buffer *out);

#endif
