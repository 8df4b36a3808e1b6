/* SPDX-License-Identifier: Apache-2.0
 *
 * apart: memory of its own cache lines, for what one thread writes while others write what lies
 * beside it: with a line in common each write of one takes the line from the other.
 */
#ifndef WEFT_BASE_APART_H
#define WEFT_BASE_APART_H

#include <stdlib.h>
#include <string.h>

#define APART_BYTES ((size_t)64)

/* Zero; for free(). NULL: no memory. */
static inline void *
apart_calloc(size_t bytes)
{
    size_t whole = (bytes + APART_BYTES - 1) / APART_BYTES * APART_BYTES;
    void *memory = bytes <= whole ? aligned_alloc(APART_BYTES, whole) : NULL;

    return memory != NULL ? memset(memory, 0, whole) : NULL;
}

#endif
