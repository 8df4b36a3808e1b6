/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc: what Weft's processes say to each other.
 *
 * Each conversation is one .proto file; the messages are protobuf-c's, generated
 * when Weft is built. Between a worker and its cells a message is one frame of a
 * connection (net.h). Between hosts it is in an envelope (envelope.proto), and a
 * conversation goes like this:
 *
 *   each    rpc_hello_send; the first frame that comes: rpc_hello_hear
 *   then    each frame: rpc_envelope, and by its kind
 *           REQUEST  rpc_read its payload; rpc_reply or rpc_reply_error, now or later
 *           REPLY    rpc_client_hear, which calls back whoever asked
 *           CANCEL   the request of that number need not be answered
 *           REFUSAL  rpc_refused tells why the other side ends it
 *
 * Nothing here has threads or a clock: the owner of the connection has them.
 */
#ifndef WEFT_RPC_H
#define WEFT_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "net/net.h"
#include "rpc/cell.pb-c.h"
#include "rpc/envelope.pb-c.h"
#include "rpc/host.pb-c.h"
#include "rpc/state.pb-c.h"

/* What planner and workers speak (host.proto): the label of the cluster's key (net.h), and
 * the protocol of the hello. */
#define HOST_LABEL    "weft-host"
#define HOST_PROTOCOL "host"

/* Packs and sends; descriptors are borrowed. Errors are net_send's. */
int rpc_send(struct net_connection *connection, const ProtobufCMessage *message, const int *fds,
             size_t fd_count) MUST_CHECK;

/* A copy for a field of text, which has to be UTF-8: what is not becomes '?'. The caller
 * frees it. NULL: no memory. */
char *rpc_text(const char *text) MUST_CHECK;

/* The message of these bytes; NULL: they are none of that type, it is not UTF-8 where it
 * should be, has an enum's value that the schema does not know, would take much more
 * memory than its bytes, or has no content (a oneof that nobody set, or that is not
 * known here). Freed with protobuf_c_message_free_unpacked(message, NULL). */
ProtobufCMessage *rpc_read(const uint8_t *bytes, size_t count,
                           const ProtobufCMessageDescriptor *descriptor);

/* The same of a frame. */
Rpc__CellRequest *rpc_cell_request(const struct net_frame *frame);
Rpc__CellReply *rpc_cell_reply(const struct net_frame *frame);

/* ------------------------------------------------------------------------ envelopes */

/* The same, of a known kind; a hello where that is its kind. */
Rpc__Envelope *rpc_envelope(const struct net_frame *frame);

/* Answers the other side's request. The error of a failure is -errno and a text, which
 * is made UTF-8. Errors are net_send's. */
int rpc_reply(struct net_connection *connection, uint64_t number,
              const ProtobufCMessage *message) MUST_CHECK;
int rpc_reply_error(struct net_connection *connection, uint64_t number, int err,
                    const char *error) MUST_CHECK;

/* Says why there is no conversation, as the last word; nothing can be done where it
 * does not go through. */
void rpc_refuse(struct net_connection *connection, const char *reason);
/* -ECONNREFUSED, with the reason that a REFUSAL gives. */
int rpc_refused(const Rpc__Envelope *refusal, struct diag *diag);

/* ---------------------------------------------------------------------------- hello */

#define RPC_WHO_MAX 64u

struct rpc_hello {
    const char *protocol;
    uint32_t version_min, version_max; /* spoken here; from 1 */
    const char *who;                   /* 1 to RPC_WHO_MAX bytes, unlike any other's */
};

struct rpc_peer {
    uint32_t version; /* the highest that both speak */
    char who[RPC_WHO_MAX + 1];
};

/* The first frame that is sent. Errors are net_send's. */
int rpc_hello_send(struct net_connection *connection, const struct rpc_hello *mine) MUST_CHECK;

/* The first frame that came. Where it is refused, the other side is told why.
 * -EPROTO: no hello. -EPROTONOSUPPORT: another protocol, or no version in common.
 * -ELOOP: it has this side's own name: its words were sent back to it, or two hosts
 * have one name. -ECONNREFUSED: the other side refuses; diag says its reason. */
int rpc_hello_hear(struct net_connection *connection, const struct net_frame *first,
                   const struct rpc_hello *mine, struct rpc_peer *out,
                   struct diag *diag) MUST_CHECK;

/* --------------------------------------------------------------------------- asking */

#define RPC_CALLS_MAX 65536u /* at one time, of one client */

/* What came of a request; all borrowed for the callback's time. */
struct rpc_result {
    int err;           /* 0; -ETIMEDOUT; -ECANCELED; -EPIPE; or the other side's */
    const char *error; /* for people; "" where there is none */
    bool is_theirs;    /* the other side answered, be it with an error */
    const uint8_t *bytes;
    size_t count; /* of the payload: see rpc_read */
};

typedef void rpc_result_fn(void *context, const struct rpc_result *result);

struct rpc_call {
    const ProtobufCMessage *request; /* borrowed for the call */
    uint64_t deadline_ns;            /* of the owner's clock; CLOCK_NEVER_NS: none */
    rpc_result_fn *done;
    void *context;
};

struct rpc_client; /* one thread */

/* Borrows the connection. calls_max: 1 to RPC_CALLS_MAX. -ENOMEM. */
int rpc_client_create(struct net_connection *connection, uint32_t calls_max,
                      struct rpc_client **out) MUST_CHECK;
/* As rpc_client_end, first. Not from a callback. NULL is fine. */
void rpc_client_destroy(struct rpc_client *client);

/* Asks. `done` is called exactly once, later, never in this call; it may call and
 * cancel. Number may be NULL. On failure there is no callback. -EAGAIN: as many calls as
 * may be are under way, or the connection's queue is full. -EPIPE: it is over.
 * -EMSGSIZE, -ENOMEM. */
int rpc_client_call(struct rpc_client *client, const struct rpc_call *call,
                    uint64_t *number) MUST_CHECK;

/* Ends a call with -ECANCELED, in this call, and tells the other side. -ENOENT: it has
 * ended. */
int rpc_client_cancel(struct rpc_client *client, uint64_t number);

/* A REPLY that came. One to a call that has ended is forgotten. -EPROTO: nobody asked. */
int rpc_client_hear(struct rpc_client *client, const Rpc__Envelope *reply) MUST_CHECK;

/* Ends what is due with -ETIMEDOUT. */
void rpc_client_tick(struct rpc_client *client, uint64_t now_ns);
/* When to tick at the latest; CLOCK_NEVER_NS: no need. May be too early. */
uint64_t rpc_client_next_ns(const struct rpc_client *client);

/* The connection is over: all calls end with -EPIPE, and so do later ones. */
void rpc_client_end(struct rpc_client *client);

uint32_t rpc_client_count(const struct rpc_client *client); /* calls under way */

#endif
