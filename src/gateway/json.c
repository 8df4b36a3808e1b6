/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing JSON into a buffer.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "gateway/json.h"

#define BASE64_WORD 3u

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void
put(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

static bool
needs_comma(const struct buffer *out)
{
    uint8_t last = out->count > 0 ? out->bytes[out->count - 1] : '[';

    return last != '{' && last != '[' && last != ':' && last != ' ' && last != '\n';
}

static void
put_character(struct buffer *out, uint8_t c)
{
    static const char digits[] = "0123456789abcdef";
    const char control[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

    if (c == '"' || c == '\\')
        buffer_append(out, (char[2]){'\\', (char)c}, 2);
    else if (c == '\n')
        buffer_append(out, "\\n", 2);
    else
        buffer_append(out, control, sizeof(control));
}

static bool
is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void
put_quoted(struct buffer *out, const uint8_t *bytes, size_t count)
{
    size_t at = 0;

    put(out, "\"");
    while (at < count) {
        size_t first = at, width;

        while (at < count && is_plain(bytes[at]))
            at++;
        buffer_append(out, bytes + first, at - first);
        if (at == count)
            break;
        width = utf8_character(bytes + at, count - at);
        if (width > 1)
            buffer_append(out, bytes + at, width);
        else if (width == 1)
            put_character(out, bytes[at]);
        else
            put(out, "\xef\xbf\xbd");
        at += width > 0 ? width : 1;
    }
    put(out, "\"");
}

static void
put_key(struct buffer *out, const char *key)
{
    if (needs_comma(out))
        put(out, ",");
    if (key == NULL)
        return;
    put_quoted(out, (const uint8_t *)key, strlen(key));
    put(out, ":");
}

void
gateway_json_open(struct buffer *out, const char *key, char bracket)
{
    put_key(out, key);
    buffer_append(out, &bracket, 1);
}

void
gateway_json_close(struct buffer *out, char bracket)
{
    buffer_append(out, &bracket, 1);
}

void
gateway_json_bytes(struct buffer *out, const char *key, const void *bytes, size_t count)
{
    put_key(out, key);
    put_quoted(out, bytes, count);
}

void
gateway_json_text(struct buffer *out, const char *key, const char *text)
{
    gateway_json_bytes(out, key, text, strlen(text));
}

void
gateway_json_base64(struct buffer *out, const char *key, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;

    put_key(out, key);
    put(out, "\"");
    for (size_t at = 0; at < count; at += BASE64_WORD) {
        size_t left = count - at;
        uint32_t word = (uint32_t)from[at] << 16 | (uint32_t)(left > 1 ? from[at + 1] : 0) << 8 |
                        (uint32_t)(left > 2 ? from[at + 2] : 0);
        char four[4] = {base64_letters[word >> 18], base64_letters[word >> 12 & 63],
                        left > 1 ? base64_letters[word >> 6 & 63] : '=',
                        left > 2 ? base64_letters[word & 63] : '='};

        buffer_append(out, four, sizeof(four));
    }
    put(out, "\"");
}

void
gateway_json_number(struct buffer *out, const char *key, uint64_t number)
{
    put_key(out, key);
    buffer_append_format(out, "%" PRIu64, number);
}

void
gateway_json_integer(struct buffer *out, const char *key, int64_t number)
{
    put_key(out, key);
    buffer_append_format(out, "%" PRId64, number);
}

void
gateway_json_decimal(struct buffer *out, const char *key, double number)
{
    put_key(out, key);
    buffer_append_format(out, "%.15g", number);
}

void
gateway_json_double(struct buffer *out, const char *key, double number)
{
    put_key(out, key);
    buffer_append_format(out, isfinite(number) ? "%.17g" : "\"%g\"", number);
}

void
gateway_json_id(struct buffer *out, const char *key, uint64_t id)
{
    put_key(out, key);
    buffer_append_format(out, "\"%" PRIu64 "\"", id);
}

void
gateway_json_bool(struct buffer *out, const char *key, bool is)
{
    put_key(out, key);
    put(out, is ? "true" : "false");
}

void
gateway_json_null(struct buffer *out, const char *key)
{
    put_key(out, key);
    put(out, "null");
}

void
gateway_json_hash(struct buffer *out, const char *key, const uint8_t bytes[32])
{
    put_key(out, key);
    put(out, "\"");
    for (size_t i = 0; i < 32; i++)
        buffer_append_format(out, "%02x", bytes[i]);
    put(out, "\"");
}

static int
base64_value(char c)
{
    const char *at = c != '\0' ? strchr(base64_letters, c) : NULL;

    return at != NULL ? (int)(at - base64_letters) : -1;
}

int
gateway_base64_decode(const char *text, size_t count, struct buffer *out)
{
    size_t padding = 0;

    while (padding < 2 && padding < count && text[count - 1 - padding] == '=')
        padding++;
    if (count % 4 != 0)
        return -EINVAL;
    for (size_t at = 0; at < count; at += 4) {
        size_t wanted = at + 4 == count ? 4 - padding : 4;
        uint32_t word = 0;

        for (size_t i = 0; i < 4; i++) {
            int value = i < wanted ? base64_value(text[at + i]) : 0;

            if (value < 0)
                return -EINVAL;
            word = word << 6 | (uint32_t)value;
        }
        buffer_append(out, (uint8_t[3]){(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word},
                      wanted - 1);
    }
    return out->err;
}
