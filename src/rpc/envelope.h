/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending envelopes, private to rpc.
 */
#ifndef WEFT_RPC_ENVELOPE_H
#define WEFT_RPC_ENVELOPE_H

#include "rpc/rpc.h"

/* The head has no payload; NULL payload: none. Errors are net_send's. */
int envelope_send(struct net_connection *connection, const Rpc__Envelope *head,
                  const ProtobufCMessage *payload) MUST_CHECK;

#endif
