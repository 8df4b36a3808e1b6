/* SPDX-License-Identifier: Apache-2.0
 *
 * Many calls at one time. A call's number is its place in a table and how often the
 * client has called before, so that it is found at once and never given out twice.
 *
 * A call leaves the table before its callback is called: whatever that does, each call
 * ends once.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "rpc/envelope.h"

#define PLACE_BITS 16u
#define ERRNO_MAX  4095

static_assert(RPC_CALLS_MAX == 1u << PLACE_BITS, "a place fits its bits");

struct place {
    uint64_t number; /* 0: free */
    uint64_t deadline_ns;
    rpc_result_fn *done;
    void *context;
    uint32_t next_free; /* where it is free; places_max: none */
};

struct rpc_client {
    struct net_connection *connection; /* borrowed */
    uint64_t called;                   /* calls there were */
    uint64_t next_ns;                  /* no deadline is before */
    uint32_t places_max, first_free, count;
    uint32_t depth; /* callbacks that have not returned */
    bool is_over;
    struct place places[];
};

int
rpc_client_create(struct net_connection *connection, uint32_t calls_max, struct rpc_client **out)
{
    struct rpc_client *client = NULL;

    ASSERT(calls_max > 0 && calls_max <= RPC_CALLS_MAX);
    if (fault_point("rpc.client") == 0)
        client = calloc(1, sizeof(*client) + calls_max * sizeof(client->places[0]));
    if (client == NULL)
        return -ENOMEM;
    client->connection = connection;
    client->next_ns = CLOCK_NEVER_NS;
    client->places_max = calls_max;
    for (uint32_t i = 0; i < calls_max; i++)
        client->places[i].next_free = i + 1;
    *out = client;
    return 0;
}

void
rpc_client_destroy(struct rpc_client *client)
{
    if (client == NULL)
        return;
    ASSERT(client->depth == 0);
    rpc_client_end(client);
    ASSERT(client->count == 0);
    free(client);
}

static void
finish(struct rpc_client *client, struct place *place, const struct rpc_result *result)
{
    rpc_result_fn *done = place->done;
    void *context = place->context;

    ASSERT(place->number != 0 && client->count > 0);
    place->number = 0;
    place->next_free = client->first_free;
    client->first_free = (uint32_t)(place - client->places);
    client->count--;
    client->depth++;
    done(context, result);
    client->depth--;
}

/* With the other side told that nobody waits any more, if that can be. */
static void
give_up(struct rpc_client *client, struct place *place, int err, const char *error)
{
    const struct rpc_result result = {.err = err, .error = error};
    Rpc__Envelope head = RPC__ENVELOPE__INIT;

    head.kind = RPC__ENVELOPE_KIND__ENVELOPE_CANCEL;
    head.number = place->number;
    (void)!envelope_send(client->connection, &head, NULL);
    finish(client, place, &result);
}

static int
ask(struct rpc_client *client, uint64_t number, const ProtobufCMessage *request)
{
    Rpc__Envelope head = RPC__ENVELOPE__INIT;
    int err;

    head.kind = RPC__ENVELOPE_KIND__ENVELOPE_REQUEST;
    head.number = number;
    err = envelope_send(client->connection, &head, request);
    return err == -ENOBUFS ? -EAGAIN : err;
}

int
rpc_client_call(struct rpc_client *client, const struct rpc_call *call, uint64_t *number)
{
    uint32_t at = client->first_free;
    uint64_t name = (client->called + 1) << PLACE_BITS | at;
    struct place *place = &client->places[at];
    int err;

    if (client->is_over)
        return -EPIPE;
    if (at == client->places_max)
        return -EAGAIN;
    err = ask(client, name, call->request);
    if (err != 0)
        return err;
    client->called++;
    client->first_free = place->next_free;
    client->count++;
    *place = (struct place){.number = name,
                            .deadline_ns = call->deadline_ns,
                            .done = call->done,
                            .context = call->context};
    if (call->deadline_ns < client->next_ns)
        client->next_ns = call->deadline_ns;
    if (number != NULL)
        *number = name;
    return 0;
}

static uint64_t
place_of(uint64_t number)
{
    return number & (RPC_CALLS_MAX - 1);
}

/* NULL: it has ended. */
static struct place *
find(struct rpc_client *client, uint64_t number)
{
    uint64_t at = place_of(number);

    if (number == 0 || at >= client->places_max || client->places[at].number != number)
        return NULL;
    return &client->places[at];
}

int
rpc_client_cancel(struct rpc_client *client, uint64_t number)
{
    struct place *place = find(client, number);

    if (place == NULL)
        return -ENOENT;
    give_up(client, place, -ECANCELED, "cancelled");
    return 0;
}

int
rpc_client_hear(struct rpc_client *client, const Rpc__Envelope *reply)
{
    uint64_t calls_ago = client->called - (reply->number >> PLACE_BITS);
    bool is_ours = calls_ago < client->called && place_of(reply->number) < client->places_max;
    struct place *place = find(client, reply->number);
    const struct rpc_result result = {.err = reply->err,
                                      .error = reply->error,
                                      .is_theirs = true,
                                      .bytes = reply->payload.data,
                                      .count = reply->payload.len};

    if (reply->kind != RPC__ENVELOPE_KIND__ENVELOPE_REPLY || !is_ours || reply->err > 0 ||
        reply->err < -ERRNO_MAX)
        return -EPROTO;
    if (place != NULL)
        finish(client, place, &result);
    return 0;
}

void
rpc_client_tick(struct rpc_client *client, uint64_t now_ns)
{
    if (now_ns < client->next_ns)
        return;
    client->next_ns = CLOCK_NEVER_NS; /* and what callbacks call lowers it by itself */
    for (uint32_t i = 0; i < client->places_max; i++) {
        struct place *place = &client->places[i];

        if (place->number == 0)
            continue;
        if (place->deadline_ns <= now_ns)
            give_up(client, place, -ETIMEDOUT, "no answer before the deadline");
        else if (place->deadline_ns < client->next_ns)
            client->next_ns = place->deadline_ns;
    }
}

uint64_t
rpc_client_next_ns(const struct rpc_client *client)
{
    return client->count > 0 ? client->next_ns : CLOCK_NEVER_NS;
}

void
rpc_client_end(struct rpc_client *client)
{
    const struct rpc_result result = {.err = -EPIPE, .error = "the connection ended"};

    client->is_over = true;
    for (uint32_t i = 0; i < client->places_max; i++)
        if (client->places[i].number != 0)
            finish(client, &client->places[i], &result);
}

uint32_t
rpc_client_count(const struct rpc_client *client)
{
    return client->count;
}
