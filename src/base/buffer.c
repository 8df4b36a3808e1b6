/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 256

void
buffer_fini(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

static int
buffer_reserve(struct buffer *buffer, size_t count)
{
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
    uint8_t *bytes;

    if (buffer->err != 0)
        return buffer->err;
    if (count <= buffer->capacity - buffer->count)
        return 0;
    while (capacity - buffer->count < count) {
        if (capacity > SIZE_MAX / 2)
            return buffer->err = -ENOMEM;
        capacity *= 2;
    }
    bytes = realloc(buffer->bytes, capacity);
    if (bytes == NULL)
        return buffer->err = -ENOMEM;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return 0;
}

void
buffer_append(struct buffer *buffer, const void *bytes, size_t count)
{
    if (count == 0 || buffer_reserve(buffer, count) != 0)
        return;
    if (bytes != NULL)
        (void)memcpy(buffer->bytes + buffer->count, bytes, count);
    else
        (void)memset(buffer->bytes + buffer->count, 0, count);
    buffer->count += count;
}

void
buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length <= 0 || buffer_reserve(buffer, (size_t)length + 1) != 0)
        return;
    va_start(args, format);
    (void)vsnprintf((char *)buffer->bytes + buffer->count, (size_t)length + 1, format, args);
    va_end(args);
    buffer->count += (size_t)length;
}

void
buffer_align(struct buffer *buffer, size_t unit)
{
    buffer_append(buffer, NULL, ROUND_UP(buffer->count, unit) - buffer->count);
}

void
buffer_trim(struct buffer *buffer)
{
    uint8_t *less;

    if (buffer->capacity == buffer->count)
        return;
    less = buffer->count > 0 ? realloc(buffer->bytes, buffer->count) : NULL;
    if (less == NULL && buffer->count > 0)
        return;
    if (buffer->count == 0)
        free(buffer->bytes);
    buffer->bytes = less;
    buffer->capacity = buffer->count;
}
