/* SPDX-License-Identifier: Apache-2.0
 *
 * hash: FNV-1a, for tables whose keys nobody chooses to harm them.
 */
#ifndef WEFT_BASE_HASH_H
#define WEFT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_SEED UINT64_C(0xcbf29ce484222325)

static inline uint64_t
hash_bytes(uint64_t seed, const void *bytes, size_t count)
{
    const uint8_t *at = (const uint8_t *)bytes;

    for (size_t i = 0; i < count; i++)
        seed = (seed ^ at[i]) * UINT64_C(0x100000001b3);
    return seed;
}

static inline uint64_t
hash_text(uint64_t seed, const char *text)
{
    for (; *text != '\0'; text++)
        seed = (seed ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return seed;
}

#endif
