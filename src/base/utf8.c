/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

static size_t
length_of(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* The second byte rules out what the lead alone cannot. */
static bool
is_second(uint8_t lead, uint8_t second)
{
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;

    return second >= low && second <= high;
}

size_t
utf8_character(const uint8_t *bytes, size_t count)
{
    size_t length = length_of(bytes[0]);

    if (length > count || (length > 1 && !is_second(bytes[0], bytes[1])))
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool
utf8_is_valid(const void *text, size_t count)
{
    const uint8_t *bytes = text;

    while (count > 0) {
        size_t length = utf8_character(bytes, count);

        if (length == 0)
            return false;
        bytes += length;
        count -= length;
    }
    return true;
}
