/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/utf8.h"

#include "wasm/wasm_internal.h"

int
wasm_read_u32_slow(struct wasm_reader *reader, uint32_t *out)
{
    uint32_t first = reader->position;
    uint32_t value = 0;
    uint8_t byte;
    int err;

    for (unsigned shift = 0; shift < 35; shift += 7) {
        err = wasm_read_byte(reader, &byte);
        if (err != 0)
            return err;
        if (shift == 28 && (byte & 0x80) != 0)
            return wasm_malformed(reader->fail, first, "integer representation too long");
        if (shift == 28 && byte > 0x0f)
            return wasm_malformed(reader->fail, first, "integer too large");
        value |= (uint32_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            break;
    }
    *out = value;
    return 0;
}

/* Whether the last byte of a signed LEB128, which contributes `used` bits, has
 * copies of the sign in all others. */
static bool
is_sign_extended(uint8_t byte, unsigned used)
{
    uint8_t mask = (uint8_t)(0x7f & (0xffu << (used - 1)));

    return (byte & mask) == 0 || (byte & mask) == mask;
}

int
wasm_read_signed(struct wasm_reader *reader, unsigned bits, int64_t *out)
{
    uint32_t first = reader->position;
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    int err;

    for (;;) {
        err = wasm_read_byte(reader, &byte);
        if (err != 0)
            return err;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (shift + 7 >= bits)
            break;
        shift += 7;
        if ((byte & 0x80) == 0) {
            *out = (int64_t)(value << (64 - shift)) >> (64 - shift);
            return 0;
        }
    }
    if ((byte & 0x80) != 0)
        return wasm_malformed(reader->fail, first, "integer representation too long");
    if (!is_sign_extended(byte, bits - shift))
        return wasm_malformed(reader->fail, first, "integer too large");
    *out = (int64_t)(value << (64 - bits)) >> (64 - bits);
    return 0;
}

int
wasm_read_bytes(struct wasm_reader *reader, uint32_t count, const uint8_t **out)
{
    if (count > wasm_reader_left(reader))
        return wasm_malformed(reader->fail, reader->position,
                              "unexpected end: %u bytes wanted, %u left", count,
                              wasm_reader_left(reader));
    *out = reader->bytes + reader->position;
    reader->position += count;
    return 0;
}

int
wasm_read_count(struct wasm_reader *reader, uint32_t item_bytes, uint32_t limit, const char *what,
                uint32_t *out)
{
    uint32_t first = reader->position;
    uint32_t count;
    int err;

    err = wasm_read_u32(reader, &count);
    if (err != 0)
        return err;
    if (count > wasm_reader_left(reader) / item_bytes)
        return wasm_malformed(reader->fail, first,
                              "length out of bounds, unexpected end: %u %s cannot be in %u bytes",
                              count, what, wasm_reader_left(reader));
    if (count > limit)
        return wasm_too_big(reader->fail, first, "too many %s: %u, the limit is %u", what, count,
                            limit);
    *out = count;
    return 0;
}

int
wasm_read_name(struct wasm_reader *reader, struct wasm_string *out)
{
    const uint8_t *bytes = NULL;
    uint32_t count, first;
    int err;

    err = wasm_read_count(reader, 1, WASM_NAME_BYTES_MAX, "bytes of a name", &count);
    if (err != 0)
        return err;
    first = reader->position;
    err = wasm_read_bytes(reader, count, &bytes);
    if (err != 0)
        return err;
    if (!utf8_is_valid(bytes, count))
        return wasm_malformed(reader->fail, first, "malformed UTF-8 encoding");
    *out = (struct wasm_string){.bytes = (const char *)bytes, .count = count};
    return 0;
}
