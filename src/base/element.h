/* SPDX-License-Identifier: Apache-2.0
 *
 * element: what values of state are made of, as guests (weft/state.h) and rpc/state.proto number
 * it. Integers wrap; floating point is IEEE 754, to the nearest.
 */
#ifndef WEFT_BASE_ELEMENT_H
#define WEFT_BASE_ELEMENT_H

#include <stdint.h>

enum element {
    ELEMENT_BYTE = 0, /* nothing more is known of them */
    ELEMENT_INT32 = 1,
    ELEMENT_INT64 = 2,
    ELEMENT_FLOAT = 3,
    ELEMENT_DOUBLE = 4,
};
#define ELEMENT_LAST ELEMENT_DOUBLE

static inline uint32_t
element_bytes(enum element element)
{
    if (element == ELEMENT_BYTE)
        return 1;
    return element == ELEMENT_INT64 || element == ELEMENT_DOUBLE ? 8 : 4;
}

/* Of so many bytes, which are whole elements of one that can be added; at any address. */
void element_add(enum element element, void *to, const void *more, uint64_t bytes);
/* out = now - base; out may be either. */
void element_subtract(enum element element, void *out, const void *now, const void *base,
                      uint64_t bytes);

#endif
