/* SPDX-License-Identifier: Apache-2.0
 *
 * Words of a conversation from any bytes: the bytes choose which fields a message of the
 * schema has and what stands in them, so that most of what they make is read by the other
 * side, and the rest is nearly so. The same bytes make the same words.
 */
#ifndef WEFT_FUZZ_WORDS_H
#define WEFT_FUZZ_WORDS_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* What the other side may know, and so is worth saying; all borrowed. */
struct words {
    const uint8_t *at, *end; /* the input that is left; after it come zeros */
    const uint64_t *numbers; /* of calls, functions, lives */
    size_t number_count;
    const char *const *texts;
    size_t text_count;
    const uint8_t (*hashes)[32];
    size_t hash_count;
};

uint8_t words_byte(struct words *words);
/* Bytes of the input: their count is a byte of it. */
const uint8_t *words_bytes(struct words *words, size_t *count);
/* Appends one message, packed. Of a oneof at its top one member is there. */
void words_message(struct words *words, const ProtobufCMessageDescriptor *descriptor,
                   struct buffer *out);

/* To the other side. */
typedef void (*words_say_fn)(const void *bytes, size_t count);
/* One word of the schema; any bytes. */
void words_say(struct words *words, const ProtobufCMessageDescriptor *descriptor, words_say_fn say);
void words_say_any(struct words *words, words_say_fn say);

#endif
