/* SPDX-License-Identifier: Apache-2.0
 *
 * buffer: bytes that grow at the end. Zero-initialised is empty.
 *
 * The first failed append is remembered, later ones do nothing, so a writer
 * may append a whole record and ask once.
 */
#ifndef WEFT_BASE_BUFFER_H
#define WEFT_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct buffer {
    uint8_t *bytes; /* owned */
    size_t count;   /* bytes in use */
    size_t capacity;
    int err; /* 0, or -ENOMEM since the first append that failed */
};

void buffer_fini(struct buffer *buffer);

/* Appends count bytes; NULL bytes append zeros. */
void buffer_append(struct buffer *buffer, const void *bytes, size_t count);
void buffer_append_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/* Gives back what is reserved beyond count, where the allocator can. */
void buffer_trim(struct buffer *buffer);

/* Appends zeros until count is a multiple of unit, a power of two. */
void buffer_align(struct buffer *buffer, size_t unit);

#endif
