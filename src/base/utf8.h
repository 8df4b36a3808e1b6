/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8: whether bytes are UTF-8: the shortest form of each character, no surrogates,
 * nothing past U+10FFFF (Unicode 15, table 3-7).
 */
#ifndef WEFT_BASE_UTF8_H
#define WEFT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many of the count bytes, at least one, the character at their beginning has. 0:
 * none begins there, or it is cut. */
size_t utf8_character(const uint8_t *bytes, size_t count);

bool utf8_is_valid(const void *bytes, size_t count);

#endif
