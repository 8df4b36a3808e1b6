/* SPDX-License-Identifier: Apache-2.0
 *
 * agent: a worker in a cluster. It registers at the planner, starts what the planner says in
 * the cells of its worker (worker.h), tells how it ended, and keeps what it needs for that
 * (images, Proto-Faaslets, files) in a directory of its own.
 *
 *   planner <--host.proto, over TLS by the cluster's key--> agent -> worker -> cells
 *
 * It needs no store and no secret but the cluster's key: what it has not got it asks the
 * planner for, by hash, and what comes is checked against that hash.
 *
 * Names in the planner's address are looked up by the thread that also keeps the time: give
 * numbers where the resolver may be slow.
 *
 * It lives through lost connections and planners that start anew: it dials again with growing
 * pauses, says what it still runs, and goes on with what is still wanted. Where it has heard
 * nothing for the time that the planner named, it ends all calls by itself: by then they may
 * run elsewhere.
 */
#ifndef WEFT_AGENT_H
#define WEFT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "net/net.h"

#define AGENT_NAME_BYTES_MAX 63u

struct agent;

struct agent_config {
    const char *planner;   /* its address (net.h), or several with commas between: tried in turn */
    const uint8_t *key;    /* NET_SECRET_BYTES; borrowed until agent_create returns */
    const char *name;      /* of this host, unique in the cluster; NULL: the machine's */
    const char *data;      /* directory for what it keeps; is made */
    const char *zone;      /* NULL: none */
    uint32_t slots;        /* members at one time; 0: 64 a processor */
    uint64_t memory_bytes; /* for cells; 0: three quarters of the machine's */
    const char *cell_program; /* as worker.h */
    uint32_t ready;           /* cells of the pool; 0: worker.h's default */
    bool is_strict;
};

/* Starts the worker and a thread that connects; returns without waiting for it. What
 * cannot be reached is no error: it goes on trying. -EINVAL: name, address; else what
 * worker_create and the directory say. */
int agent_create(const struct agent_config *config, struct agent **out,
                 struct diag *diag) MUST_CHECK;
/* Ends its calls, cells and threads. NULL is fine. */
void agent_destroy(struct agent *agent);

/* Tells the planner that this machine goes soon: it gets no new calls. */
void agent_leave(struct agent *agent);

struct agent_view {
    bool is_registered; /* now */
    uint32_t calls;     /* that run */
    uint64_t ended;     /* since it started */
    uint64_t unheard;   /* ends that the planner has not said that it heard */
    uint32_t functions, blobs_wanted;
    char reason[512]; /* why it is not registered; "" */
};
void agent_look(struct agent *agent, struct agent_view *out);

#endif
