/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc: what Weft's processes say to each other.
 *
 * Each conversation is one .proto file; the messages are protobuf-c's, generated
 * when Weft is built. A message is one frame of a connection (net.h).
 */
#ifndef WEFT_RPC_H
#define WEFT_RPC_H

#include <stddef.h>

#include "base/macros.h"
#include "net/net.h"
#include "rpc/cell.pb-c.h"

/* Packs and sends; descriptors are borrowed. Errors are net_send's. */
int rpc_send(struct net_connection *connection, const ProtobufCMessage *message, const int *fds,
             size_t fd_count) MUST_CHECK;

/* A copy for a field of text, which has to be UTF-8: what is not becomes '?'. The caller
 * frees it. NULL: no memory. */
char *rpc_text(const char *text) MUST_CHECK;

/* The frame's message; NULL: it is none of that type, is not UTF-8 where it should be,
 * has an enum's value that the schema does not know, would take much more memory than
 * its frame, or has no content (a oneof that nobody set, or that is not known here).
 * Freed with protobuf_c_message_free_unpacked(message, NULL). */
Rpc__CellRequest *rpc_cell_request(const struct net_frame *frame);
Rpc__CellReply *rpc_cell_reply(const struct net_frame *frame);

#endif
