/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd, inside: what weft planner, weft worker and weft up have in common.
 */
#ifndef WEFT_CMD_CLUSTER_INTERNAL_H
#define WEFT_CMD_CLUSTER_INTERNAL_H

#include <stdbool.h>

#include "base/diag.h"
#include "base/macros.h"
#include "net/net.h"

#define CLUSTER_KEY   "cluster.key"
#define CLUSTER_ADMIN "admin.token"

/* Files of a data directory, which is made, for its owner alone. */
int cluster_directory(const char *data, struct diag *diag) MUST_CHECK;
/* The key: 32 bytes as 64 hexadecimal digits in a file that only its owner reads. Made where
 * it is missing and is_made; -EACCES: others can read it. */
int cluster_key(const char *path, bool is_made, uint8_t key[NET_SECRET_BYTES],
                struct diag *diag) MUST_CHECK;
/* SIGINT and SIGTERM are blocked from here on, for all threads that are made later, and are
 * waited for with cluster_wait: the signal. */
void cluster_block_signals(void);
int cluster_wait(void);
/* Waits for so long at most. */
bool cluster_is_signalled(unsigned wait_ms);

#endif
