/* SPDX-License-Identifier: Apache-2.0
 *
 * peer: one long-lived `node peer.mjs`, asked over pipes.
 */
#ifndef WEFT_FUZZ_PEER_H
#define WEFT_FUZZ_PEER_H

#include <sys/types.h>

#include "base/buffer.h"
#include "base/macros.h"

#define PEER_SECONDS      8
#define PEER_REQUESTS_MAX 400u /* then a new one is started: it keeps what it compiled */

struct peer {
    const char *program; /* path of peer.mjs; borrowed */
    const char *option;  /* of node, or NULL; borrowed */
    pid_t pid;           /* 0: not started */
    int to, from;
    unsigned requests;
};

/* Runs a script (side.h) on the module in the file, and appends the log. Starts
 * the process where there is none. -ETIMEDOUT: it took too long, and was ended;
 * -EIO: it died. */
int peer_run(struct peer *peer, const char *path, const char *script,
             struct buffer *log) MUST_CHECK;
void peer_stop(struct peer *peer);

#endif
