/* SPDX-License-Identifier: Apache-2.0
 *
 * Who has not the key, at a connection that asks for it: says anything instead of a
 * handshake, or listens to a handshake of two that have it and changes bytes of it. No
 * frame comes but what was sent, and no descriptor is left. libFuzzer target.
 *
 *   input = 0 or 1, bytes...         they are said to a client, to a server
 *   input = 2 or 3, changes...       (place: 2 bytes, what to flip) of what the client
 *                                    says, of what the server says
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/net.h"

#define ROUNDS 6u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static const char word[] = "a well-kept word";

static int
lowest_free(void)
{
    int fd = dup(2);

    (void)close(fd);
    return fd;
}

static struct net_connection *
open_side(bool is_server, int *wire)
{
    static const uint8_t key[NET_SECRET_BYTES] = {1};
    static const struct net_limits limits = {1u << 20, 0, 0};
    static struct net_secret *secret;
    struct net_connection *connection;
    int ends[2];

    if ((secret == NULL && net_secret_create(key, "fuzz", &secret) != 0) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0 ||
        net_connection_create_secret(ends[0], secret, is_server, &limits, &connection) != 0 ||
        net_send(connection, word, sizeof(word), NULL, 0) != 0)
        abort();
    *wire = ends[1];
    return connection;
}

static void
hear_garbage(bool is_server, const uint8_t *bytes, size_t count)
{
    int wire;
    struct net_connection *side = open_side(is_server, &wire);
    struct net_frame frame;

    (void)send(wire, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    ASSERT(net_receive(side, &frame) != 0);
    (void)shutdown(wire, SHUT_WR);
    (void)!net_flush(side);
    ASSERT(net_receive(side, &frame) != 0 && net_receive(side, &frame) != -EAGAIN);
    ASSERT(!net_is_open(side));
    net_connection_destroy(side);
    (void)close(wire);
}

struct changes {
    const uint8_t *bytes;
    size_t count;
};

/* What a wire has heard goes to the other one, with this side's changes. */
static void
pass(int from, int to, const struct changes *changes, size_t *place)
{
    uint8_t heard[4096];
    ssize_t got = read(from, heard, sizeof(heard));

    if (got <= 0)
        return;
    for (size_t i = 0; changes != NULL && i + 3 <= changes->count; i += 3) {
        size_t at = (size_t)(changes->bytes[i] << 8 | changes->bytes[i + 1]) % 1024;

        if (at >= *place && at - *place < (size_t)got)
            heard[at - *place] ^= changes->bytes[i + 2];
    }
    *place += (size_t)got;
    (void)send(to, heard, (size_t)got, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
receive(struct net_connection *side)
{
    struct net_frame frame;

    (void)!net_flush(side);
    while (net_receive(side, &frame) == 0) {
        ASSERT(frame.count == sizeof(word) && memcmp(frame.bytes, word, sizeof(word)) == 0);
        net_frame_fini(&frame);
    }
}

static void
change_bytes(bool of_server, const struct changes *changes)
{
    struct net_connection *sides[2];
    size_t places[2] = {0, 0};
    int wires[2];

    sides[0] = open_side(false, &wires[0]);
    sides[1] = open_side(true, &wires[1]);
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (int side = 0; side < 2; side++) {
            receive(sides[side]);
            pass(wires[side], wires[1 - side], side == of_server ? changes : NULL, &places[side]);
        }
    }
    for (int side = 0; side < 2; side++) {
        net_connection_destroy(sides[side]);
        (void)close(wires[side]);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    int lowest = lowest_free();

    if (count == 0)
        return 0;
    if (bytes[0] % 4 < 2)
        hear_garbage(bytes[0] % 4 == 1, bytes + 1, count - 1);
    else
        change_bytes(bytes[0] % 4 == 3, &(struct changes){bytes + 1, count - 1});
    ASSERT(lowest_free() == lowest);
    return 0;
}
