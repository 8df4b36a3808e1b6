/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "base/element.h"

/* out[i] = a[i] OPERATOR b[i], with elements at any address. */
#define EACH(type, operator) \
    for (uint64_t at = 0; at < bytes; at += sizeof(type)) { \
        type x, y; \
        (void)memcpy(&x, (const uint8_t *)a + at, sizeof(x)); \
        (void)memcpy(&y, (const uint8_t *)b + at, sizeof(y)); \
        x = x operator y; \
        (void)memcpy((uint8_t *)out + at, &x, sizeof(x)); \
    }

void
element_add(enum element element, void *out, const void *b, uint64_t bytes)
{
    const void *a = out;

    ASSERT(element != ELEMENT_BYTE && bytes % element_bytes(element) == 0);
    if (element == ELEMENT_INT32)
        EACH(uint32_t, +)
    else if (element == ELEMENT_INT64)
        EACH(uint64_t, +)
    else if (element == ELEMENT_FLOAT)
        EACH(float, +)
    else
        EACH(double, +)
}

void
element_subtract(enum element element, void *out, const void *a, const void *b, uint64_t bytes)
{
    ASSERT(element != ELEMENT_BYTE && bytes % element_bytes(element) == 0);
    if (element == ELEMENT_INT32)
        EACH(uint32_t, -)
    else if (element == ELEMENT_INT64)
        EACH(uint64_t, -)
    else if (element == ELEMENT_FLOAT)
        EACH(float, -)
    else
        EACH(double, -)
}
