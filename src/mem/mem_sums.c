/* SPDX-License-Identifier: Apache-2.0
 *
 * Elements that are added to: what others have added goes on top of what is here, while guests
 * add to it at the same moment.
 */
#include <string.h>

#include "base/assert.h"
#include "mem/mem.h"

#define BLOCK 64u

/* Guests write meanwhile, and are meant to. */
#define RACY __attribute__((no_sanitize("thread")))

/* Where nothing was added here since base, it becomes exactly theirs: a sum of differences would
 * be rounded, and hosts would end with numbers that are not quite the same. */
#define ADDER(name, type, word) \
    RACY static void name(uint8_t *now, const uint8_t *base, const uint8_t *theirs) \
    { \
        word *place = (word *)(void *)now; \
        word old = __atomic_load_n(place, __ATOMIC_RELAXED), b, t, sum; \
        type x, y, z; \
\
        (void)memcpy(&b, base, sizeof(b)); \
        (void)memcpy(&t, theirs, sizeof(t)); \
        if (b == t) \
            return; \
        (void)memcpy(&y, &t, sizeof(y)); \
        (void)memcpy(&z, &b, sizeof(z)); \
        do { \
            (void)memcpy(&x, &old, sizeof(x)); \
            x = x + (y - z); \
            (void)memcpy(&sum, &x, sizeof(sum)); \
            if (old == b) \
                sum = t; \
        } while (!__atomic_compare_exchange_n(place, &old, sum, true, __ATOMIC_RELAXED, \
                                              __ATOMIC_RELAXED)); \
    }
ADDER(add_int32, uint32_t, uint32_t)
ADDER(add_int64, uint64_t, uint64_t)
ADDER(add_float, float, uint32_t)
ADDER(add_double, double, uint64_t)

RACY void
mem_merge_sums(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes,
               enum element element)
{
    static void (*const adders[])(uint8_t *now, const uint8_t *base, const uint8_t *theirs) = {
        [ELEMENT_INT32] = add_int32,
        [ELEMENT_INT64] = add_int64,
        [ELEMENT_FLOAT] = add_float,
        [ELEMENT_DOUBLE] = add_double,
    };
    uint32_t unit = element_bytes(element);

    ASSERT(unit > 1 && (uintptr_t)now % unit == 0 && bytes % unit == 0);
    for (uint64_t at = 0; at < bytes; at += BLOCK) {
        uint64_t count = bytes - at < BLOCK ? bytes - at : BLOCK;

        if (memcmp(base + at, theirs + at, count) == 0)
            continue;
        for (uint64_t i = at; i < at + count; i += unit)
            adders[element](now + i, base + i, theirs + i);
        (void)memcpy(base + at, theirs + at, count);
    }
}

#define READER(type) \
    for (uint64_t at = 0; at < bytes; at += sizeof(type)) { \
        type value = __atomic_load_n((const type *)(const void *)(from + at), __ATOMIC_RELAXED); \
\
        (void)memcpy(to + at, &value, sizeof(value)); \
    }

RACY void
mem_read(uint8_t *to, const uint8_t *from, uint64_t bytes, uint32_t unit)
{
    uint64_t rest = bytes % unit;

    ASSERT((unit == 1 || unit == 4 || unit == 8) && (uintptr_t)from % unit == 0);
    bytes -= rest;
    if (unit == 8) {
        READER(uint64_t)
    } else if (unit == 4) {
        READER(uint32_t)
    } else {
        (void)memcpy(to, from, bytes);
    }
    if (rest > 0)
        (void)memcpy(to + bytes, from + bytes, rest);
}
