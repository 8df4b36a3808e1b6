/* SPDX-License-Identifier: Apache-2.0
 *
 * A host that says anything: its first frame is heard as a hello, what follows as
 * envelopes, answers to calls that are under way among them. Each call ends exactly
 * once, by an answer, its deadline, or the end. libFuzzer target.
 *
 *   input = frames: (count) bytes...; between frames the clock goes on
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "rpc/rpc.h"

#define CALLS_MAX 3u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static volatile uint64_t sink;
static unsigned begun, ended;

static void
walk_bytes(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sink += bytes[i];
}

static void
done(void *context, const struct rpc_result *result)
{
    ASSERT(context == &ended);
    ASSERT(result->err <= 0 && result->err >= -4095);
    sink += strlen(result->error);
    walk_bytes(result->bytes, result->count);
    ended++;
}

static void
call(struct rpc_client *client, uint64_t now_ns)
{
    Rpc__CellAsk request = RPC__CELL_ASK__INIT;
    const struct rpc_call one = {&request.base, now_ns + 5, done, &ended};
    int err = rpc_client_call(client, &one, NULL);

    ASSERT(err == 0 || err == -EAGAIN || err == -EPIPE);
    begun += err == 0;
}

static int
hear_hello(struct net_connection *connection, const struct net_frame *frame)
{
    static const struct rpc_hello mine = {"weft fuzz", 1, 3, "fuzz"};
    struct rpc_peer peer;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = rpc_hello_hear(connection, frame, &mine, &peer, &diag);
    ASSERT((err != 0) == diag.is_set);
    if (err == 0) {
        ASSERT(peer.version >= 1 && peer.version <= 3);
        ASSERT(strlen(peer.who) >= 1 && strlen(peer.who) <= RPC_WHO_MAX);
    }
    return err;
}

static int
hear_envelope(struct rpc_client *client, const struct net_frame *frame)
{
    Rpc__Envelope *envelope = rpc_envelope(frame);
    struct diag diag;
    int err = 0;

    diag_init(&diag);
    if (envelope == NULL)
        return -EPROTO;
    walk_bytes(envelope->payload.data, envelope->payload.len);
    sink += strlen(envelope->error);
    if (envelope->kind == RPC__ENVELOPE_KIND__ENVELOPE_REFUSAL)
        ASSERT(rpc_refused(envelope, &diag) == -ECONNREFUSED && strlen(diag_text(&diag)) > 0);
    if (envelope->kind == RPC__ENVELOPE_KIND__ENVELOPE_REPLY)
        err = rpc_client_hear(client, envelope);
    protobuf_c_message_free_unpacked(&envelope->base, NULL);
    return err;
}

static void
converse(struct net_connection *connection, struct rpc_client *client, const uint8_t *bytes,
         size_t count)
{
    struct net_frame frame = {.bytes = NULL};
    uint64_t now_ns = 0;

    while (count >= 1) {
        uint8_t *copy; /* so that reading past its end is seen */

        frame.count = bytes[0] < 250 ? bytes[0] : count;
        bytes++;
        count--;
        frame.count = frame.count < count ? frame.count : count;
        copy = malloc(frame.count + (frame.count == 0));
        if (copy == NULL)
            abort();
        (void)memcpy(copy, bytes, frame.count);
        frame.bytes = copy;
        if (now_ns == 0)
            (void)hear_hello(connection, &frame); /* a fuzzer's time is not for hellos alone */
        else
            (void)hear_envelope(client, &frame);
        free(copy);
        bytes += frame.count;
        count -= frame.count;
        rpc_client_tick(client, ++now_ns);
        call(client, now_ns);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct net_limits limits = {1u << 20, 0, 0};
    struct net_connection *connection;
    struct rpc_client *client;
    int ends[2];

    begun = ended = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 ||
        net_connection_create(ends[0], &limits, &connection) != 0 ||
        rpc_client_create(connection, CALLS_MAX, &client) != 0)
        abort();
    converse(connection, client, bytes, count);
    rpc_client_destroy(client);
    ASSERT(begun == ended);
    net_connection_destroy(connection);
    (void)close(ends[1]);
    return 0;
}
