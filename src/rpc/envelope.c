/* SPDX-License-Identifier: Apache-2.0
 *
 * Envelopes: one message inside another, and the first and last words.
 */
#include "rpc/envelope.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"

#define PACKED_BYTES_MAX 4096u /* on the stack */
#define PAYLOAD_TAG      0x32u /* field 6 of Envelope, counted bytes */
#define COUNT_BYTES_MAX  5u    /* of a count below 2^35 */
#define REASON_MAX       400u  /* of the other side's words, as much is repeated */

/* -------------------------------------------------------------------------- sending */

static size_t
count_write(uint8_t bytes[COUNT_BYTES_MAX], size_t count)
{
    size_t used = 0;

    for (; count >= 0x80; count >>= 7)
        bytes[used++] = (uint8_t)(count | 0x80);
    bytes[used++] = (uint8_t)count;
    return used;
}

/* The payload is the last field, so it is packed in its place behind the others, and
 * not once more as bytes of the envelope. */
static size_t
pack(const Rpc__Envelope *head, const ProtobufCMessage *payload, size_t payload_count,
     uint8_t *bytes)
{
    size_t used = protobuf_c_message_pack(&head->base, bytes);

    if (payload_count == 0)
        return used;
    bytes[used++] = PAYLOAD_TAG;
    used += count_write(bytes + used, payload_count);
    return used + protobuf_c_message_pack(payload, bytes + used);
}

int
envelope_send(struct net_connection *connection, const Rpc__Envelope *head,
              const ProtobufCMessage *payload)
{
    size_t payload_count = payload != NULL ? protobuf_c_message_get_packed_size(payload) : 0;
    size_t room = protobuf_c_message_get_packed_size(&head->base) + 1 + COUNT_BYTES_MAX;
    uint8_t small[PACKED_BYTES_MAX], *bytes = small;
    int err;

    ASSERT(head->payload.len == 0);
    if (payload_count > NET_FRAME_BYTES_MAX || room + payload_count > NET_FRAME_BYTES_MAX)
        return -EMSGSIZE;
    if (room + payload_count > sizeof(small)) {
        bytes = fault_point("rpc.pack") == 0 ? malloc(room + payload_count) : NULL;
        if (bytes == NULL)
            return -ENOMEM;
    }
    err = net_send(connection, bytes, pack(head, payload, payload_count, bytes), NULL, 0);
    if (bytes != small)
        free(bytes);
    return err;
}

int
rpc_reply(struct net_connection *connection, uint64_t number, const ProtobufCMessage *message)
{
    Rpc__Envelope head = RPC__ENVELOPE__INIT;

    head.kind = RPC__ENVELOPE_KIND__ENVELOPE_REPLY;
    head.number = number;
    return envelope_send(connection, &head, message);
}

int
rpc_reply_error(struct net_connection *connection, uint64_t number, int err, const char *error)
{
    Rpc__Envelope head = RPC__ENVELOPE__INIT;
    int sent;

    ASSERT(err < 0);
    head.kind = RPC__ENVELOPE_KIND__ENVELOPE_REPLY;
    head.number = number;
    head.err = err;
    head.error = rpc_text(error);
    if (head.error == NULL)
        return -ENOMEM;
    sent = envelope_send(connection, &head, NULL);
    free(head.error);
    return sent;
}

/* ------------------------------------------------------------------------ receiving */

Rpc__Envelope *
rpc_envelope(const struct net_frame *frame)
{
    Rpc__Envelope *envelope =
        (void *)rpc_read(frame->bytes, frame->count, &rpc__envelope__descriptor);
    bool is_hello;

    if (envelope == NULL)
        return NULL;
    is_hello = envelope->kind == RPC__ENVELOPE_KIND__ENVELOPE_HELLO;
    if (envelope->kind != RPC__ENVELOPE_KIND__ENVELOPE_NONE &&
        is_hello == (envelope->hello != NULL))
        return envelope;
    protobuf_c_message_free_unpacked(&envelope->base, NULL);
    return NULL;
}

void
rpc_refuse(struct net_connection *connection, const char *reason)
{
    Rpc__Envelope head = RPC__ENVELOPE__INIT;

    head.kind = RPC__ENVELOPE_KIND__ENVELOPE_REFUSAL;
    head.error = rpc_text(reason);
    if (head.error != NULL)
        (void)!envelope_send(connection, &head, NULL);
    free(head.error);
}

static bool
is_control(char character)
{
    return (unsigned char)character < ' ' || character == 0x7f;
}

int
rpc_refused(const Rpc__Envelope *refusal, struct diag *diag)
{
    char reason[REASON_MAX];

    ASSERT(refusal->kind == RPC__ENVELOPE_KIND__ENVELOPE_REFUSAL);
    (void)snprintf(reason, sizeof(reason), "%s", refusal->error);
    for (char *at = reason; *at != '\0'; at++)
        if (is_control(*at)) /* it may end up in a log or on a terminal */
            *at = '?';
    return diag_set(diag, -ECONNREFUSED, "the other side refuses: %s", reason);
}

/* ---------------------------------------------------------------------------- hello */

static bool
is_who(const char *who)
{
    size_t count = strnlen(who, RPC_WHO_MAX + 1);

    for (size_t i = 0; i < count; i++)
        if (is_control(who[i]))
            return false;
    return count > 0 && count <= RPC_WHO_MAX;
}

int
rpc_hello_send(struct net_connection *connection, const struct rpc_hello *mine)
{
    Rpc__Envelope head = RPC__ENVELOPE__INIT;
    Rpc__EnvelopeHello hello = RPC__ENVELOPE_HELLO__INIT;

    ASSERT(is_who(mine->who) && mine->version_min > 0 && mine->version_min <= mine->version_max);
    hello.protocol = (char *)(uintptr_t)mine->protocol;
    hello.version_min = mine->version_min;
    hello.version_max = mine->version_max;
    hello.who = (char *)(uintptr_t)mine->who;
    head.kind = RPC__ENVELOPE_KIND__ENVELOPE_HELLO;
    head.hello = &hello;
    return envelope_send(connection, &head, NULL);
}

static int
judge(const Rpc__EnvelopeHello *theirs, const struct rpc_hello *mine, struct diag *diag)
{
    if (!is_who(theirs->who) || theirs->version_min == 0 ||
        theirs->version_min > theirs->version_max)
        return diag_set(diag, -EPROTO, "the hello names no host or no version");
    if (strcmp(theirs->protocol, mine->protocol) != 0)
        return diag_set(diag, -EPROTONOSUPPORT, "%s speaks \"%s\", not what %.64s speaks",
                        mine->who, mine->protocol, theirs->who);
    if (theirs->version_min > mine->version_max || theirs->version_max < mine->version_min)
        return diag_set(diag, -EPROTONOSUPPORT,
                        "%s speaks versions %u to %u of \"%s\", %.64s speaks %u to %u; "
                        "update the older of the two",
                        mine->who, mine->version_min, mine->version_max, mine->protocol,
                        theirs->who, theirs->version_min, theirs->version_max);
    if (strcmp(theirs->who, mine->who) == 0)
        return diag_set(diag, -ELOOP, "both sides are called %s; each host needs its own name",
                        mine->who);
    return 0;
}

static int
hear(const Rpc__Envelope *envelope, const struct rpc_hello *mine, struct rpc_peer *out,
     struct diag *diag)
{
    const Rpc__EnvelopeHello *theirs;
    int err;

    if (envelope == NULL || envelope->kind != RPC__ENVELOPE_KIND__ENVELOPE_HELLO)
        return diag_set(diag, -EPROTO, "the first frame is no hello");
    theirs = envelope->hello;
    err = judge(theirs, mine, diag);
    if (err != 0)
        return err;
    out->version =
        theirs->version_max < mine->version_max ? theirs->version_max : mine->version_max;
    (void)snprintf(out->who, sizeof(out->who), "%s", theirs->who);
    return 0;
}

int
rpc_hello_hear(struct net_connection *connection, const struct net_frame *first,
               const struct rpc_hello *mine, struct rpc_peer *out, struct diag *diag)
{
    Rpc__Envelope *envelope = rpc_envelope(first);
    struct diag why;
    int err;

    diag_init(&why);
    if (envelope != NULL && envelope->kind == RPC__ENVELOPE_KIND__ENVELOPE_REFUSAL) {
        err = rpc_refused(envelope, &why);
    } else {
        err = hear(envelope, mine, out, &why);
        if (err != 0)
            rpc_refuse(connection, diag_text(&why));
    }
    if (envelope != NULL)
        protobuf_c_message_free_unpacked(&envelope->base, NULL);
    return err != 0 ? diag_set(diag, err, "%s", diag_text(&why)) : 0;
}
