/* SPDX-License-Identifier: Apache-2.0
 *
 * Packed by hand, by the schema: so enums may have values that it does not know, texts may
 * be no UTF-8, and fields may come twice.
 */
#include "words.h"

#include <stdlib.h>
#include <string.h>

#define REPEATED_MAX 4u
#define WIRE_VARINT  0u
#define WIRE_BYTES   2u

uint8_t
words_byte(struct words *words)
{
    return words->at < words->end ? *words->at++ : 0;
}

const uint8_t *
words_bytes(struct words *words, size_t *count)
{
    const uint8_t *bytes;

    *count = words_byte(words);
    if (*count > (size_t)(words->end - words->at))
        *count = (size_t)(words->end - words->at);
    bytes = words->at;
    words->at += *count;
    return bytes;
}

/* ------------------------------------------------------------------------------ packing */

static void
put_varint(struct buffer *out, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)(value & 0x7f);

        value >>= 7;
        byte = (uint8_t)(byte | (value != 0 ? 0x80 : 0));
        buffer_append(out, &byte, 1);
    } while (value != 0);
}

static void
put_bytes(struct buffer *out, uint32_t field, const void *bytes, size_t count)
{
    put_varint(out, (uint64_t)field << 3 | WIRE_BYTES);
    put_varint(out, count);
    if (count > 0)
        buffer_append(out, bytes, count);
}

/* ------------------------------------------------------------------------------- choosing */

/* Mostly one that the other side knows, or a small one; else an edge, or any. */
static uint64_t
choose_number(struct words *words)
{
    static const uint64_t edges[] = {
        UINT32_MAX,        UINT64_MAX, INT32_MAX, UINT64_C(1) << 31,
        UINT64_C(1) << 63, 1000000000, 65536,     4096,
    };
    uint8_t kind = words_byte(words);
    uint64_t any = 0;

    if (kind < 16)
        return kind;
    if (kind < 160 && words->number_count > 0)
        return words->numbers[kind % words->number_count];
    if (kind < 224)
        return edges[kind % (sizeof(edges) / sizeof(edges[0]))];
    for (unsigned i = 0; i < 8; i++)
        any = any << 8 | words_byte(words);
    return any;
}

static void
put_text(struct words *words, uint32_t field, struct buffer *out)
{
    uint8_t kind = words_byte(words);
    const uint8_t *bytes;
    size_t count;

    if (kind < 192 && words->text_count > 0) {
        const char *text = words->texts[kind % words->text_count];

        put_bytes(out, field, text, strlen(text));
        return;
    }
    bytes = words_bytes(words, &count);
    put_bytes(out, field, bytes, count);
}

static void
put_data(struct words *words, uint32_t field, struct buffer *out)
{
    uint8_t kind = words_byte(words);
    const uint8_t *bytes;
    size_t count;

    if (kind < 160 && words->hash_count > 0) {
        put_bytes(out, field, words->hashes[kind % words->hash_count], 32);
        return;
    }
    bytes = words_bytes(words, &count);
    put_bytes(out, field, bytes, count);
}

static void
put_field(struct words *words, const ProtobufCFieldDescriptor *field, struct buffer *out)
{
    struct buffer inner = {0};

    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        put_text(words, field->id, out);
        return;
    case PROTOBUF_C_TYPE_BYTES:
        put_data(words, field->id, out);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        words_message(words, field->descriptor, &inner);
        put_bytes(out, field->id, inner.bytes, inner.count);
        buffer_fini(&inner);
        return;
    default: /* the schema has no fixed numbers, and none packed */
        put_varint(out, (uint64_t)field->id << 3 | WIRE_VARINT);
        put_varint(out, field->type == PROTOBUF_C_TYPE_ENUM || field->type == PROTOBUF_C_TYPE_BOOL
                            ? words_byte(words) % 10u
                            : choose_number(words));
    }
}

/* Once in a while a field comes twice that should not. */
static unsigned
choose_times(struct words *words, const ProtobufCFieldDescriptor *field)
{
    uint8_t kind = words_byte(words);

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return kind % (REPEATED_MAX + 1);
    return kind == 255 ? 2 : kind >= 64 ? 1 : 0;
}

static const ProtobufCFieldDescriptor *
choose_member(struct words *words, const ProtobufCMessageDescriptor *descriptor)
{
    return &descriptor->fields[words_byte(words) % descriptor->n_fields];
}

/* As deep as the schema is. */
void
words_message(struct words *words, const ProtobufCMessageDescriptor *descriptor, struct buffer *out)
{
    if (descriptor->n_fields == 0)
        return;
    if ((descriptor->fields[0].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        put_field(words, choose_member(words, descriptor), out);
        return;
    }
    for (unsigned i = 0; i < descriptor->n_fields; i++)
        for (unsigned times = choose_times(words, &descriptor->fields[i]); times > 0; times--)
            put_field(words, &descriptor->fields[i], out);
}

void
words_say(struct words *words, const ProtobufCMessageDescriptor *descriptor, words_say_fn say)
{
    struct buffer packed = {0};

    words_message(words, descriptor, &packed);
    say(packed.bytes, packed.count);
    buffer_fini(&packed);
}

void
words_say_any(struct words *words, words_say_fn say)
{
    size_t count;
    const uint8_t *bytes = words_bytes(words, &count);

    say(bytes, count);
}
