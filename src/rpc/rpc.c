/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages in frames. What protobuf-c leaves open is done here: it takes any value for
 * an enum, any bytes for a string, and as much memory as a message asks for.
 */
#include "rpc/rpc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* A field of two bytes can take more than fifty in memory. */
#define BUDGET_BYTES     (4u << 20)
#define BUDGET_PER_BYTE  4u
#define PACKED_BYTES_MAX 4096u /* on the stack */

int
rpc_send(struct net_connection *connection, const ProtobufCMessage *message, const int *fds,
         size_t fd_count)
{
    size_t count = protobuf_c_message_get_packed_size(message);
    uint8_t small[PACKED_BYTES_MAX], *bytes = small;
    int err;

    if (count > NET_FRAME_BYTES_MAX)
        return -EMSGSIZE;
    if (count > sizeof(small)) {
        bytes = malloc(count);
        if (bytes == NULL)
            return -ENOMEM;
    }
    (void)protobuf_c_message_pack(message, bytes);
    err = net_send(connection, bytes, count, fds, fd_count);
    if (bytes != small)
        free(bytes);
    return err;
}

/* ------------------------------------------------------------------------ reading */

/* Bytes from malloc, so that any may free the message; not more than the budget. */
static void *
budget_alloc(void *budget, size_t bytes)
{
    size_t *left = budget;

    if (bytes > *left)
        return NULL;
    *left -= bytes;
    return malloc(bytes);
}

static void
budget_free(void *budget, void *bytes)
{
    (void)budget;
    free(bytes);
}

char *
rpc_text(const char *text)
{
    char *out = strdup(text);
    size_t count = out != NULL ? strlen(out) : 0;

    for (size_t at = 0, bytes; at < count; at += bytes) {
        bytes = utf8_character((const uint8_t *)out + at, count - at);
        if (bytes == 0) {
            out[at] = '?';
            bytes = 1;
        }
    }
    return out;
}

static bool message_is_valid(const ProtobufCMessage *message);

static bool
value_is_valid(const ProtobufCFieldDescriptor *field, const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_ENUM:
        return protobuf_c_enum_descriptor_get_value(field->descriptor, *(const int *)value) != NULL;
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(const char *const *)value;

        return text != NULL && utf8_is_valid(text, strlen(text));
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *inner = *(const ProtobufCMessage *const *)value;

        return inner == NULL || message_is_valid(inner);
    }
    default:
        return true;
    }
}

static size_t
value_bytes(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(int);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return 0; /* all values of it are valid */
    }
}

static bool
field_is_valid(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const uint8_t *base = (const uint8_t *)message;
    size_t unit = value_bytes(field);

    if (unit == 0)
        return true;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
        const uint8_t *values = *(uint8_t *const *)(const void *)(base + field->offset);

        for (size_t i = 0; i < count; i++)
            if (!value_is_valid(field, values + i * unit))
                return false;
        return true;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id)
        return true;
    return value_is_valid(field, base + field->offset);
}

/* As deep as the schema is. */
static bool
message_is_valid(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        if (!field_is_valid(message, &message->descriptor->fields[i]))
            return false;
    return true;
}

/* Of a oneof at the top one member is there. */
static bool
has_content(const ProtobufCMessage *message)
{
    const uint8_t *base = (const uint8_t *)message;

    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const uint32_t *is_case = (const uint32_t *)(const void *)(base + field->quantifier_offset);

        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
            continue;
        if (*is_case == 0)
            return false;
        if (*is_case == field->id && field->type == PROTOBUF_C_TYPE_MESSAGE &&
            *(void *const *)(const void *)(base + field->offset) == NULL)
            return false;
    }
    return true;
}

ProtobufCMessage *
rpc_read(const uint8_t *bytes, size_t count, const ProtobufCMessageDescriptor *descriptor)
{
    size_t budget = BUDGET_BYTES + BUDGET_PER_BYTE * count;
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, count, bytes);

    if (message != NULL && !(message_is_valid(message) && has_content(message))) {
        protobuf_c_message_free_unpacked(message, NULL);
        return NULL;
    }
    return message;
}

Rpc__CellRequest *
rpc_cell_request(const struct net_frame *frame)
{
    return (void *)rpc_read(frame->bytes, frame->count, &rpc__cell_request__descriptor);
}

Rpc__CellReply *
rpc_cell_reply(const struct net_frame *frame)
{
    return (void *)rpc_read(frame->bytes, frame->count, &rpc__cell_reply__descriptor);
}
