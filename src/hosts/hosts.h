/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts: the planner's end of the conversation with workers (rpc/host.proto).
 *
 *   planner --start, stop--> hosts --TLS by the cluster's key--> agents
 *
 * Each worker that registers becomes a host of the planner (planner.h). What a start needs
 * comes from the catalog (image, limits, environment) and the store (blobs), and is sent to a
 * host before the first start that needs it. Calls that guests chain are resolved by the
 * catalog, with the tenant's rights, and are calls of the planner.
 *
 * A worker whose connection breaks is given planner_config.silence_ns to come back and say
 * what it still runs; then what it ran is lost, and is tried elsewhere or not as its function
 * says.
 */
#ifndef WEFT_HOSTS_H
#define WEFT_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "catalog/catalog.h"
#include "net/net.h"
#include "planner/planner.h"
#include "store/store.h"
#include "tier/tier.h"

#define HOSTS_MAX            4096u
#define HOSTS_NAME_BYTES_MAX 63u

struct hosts;

struct hosts_config {
    struct planner *planner; /* all borrowed; live longer */
    struct catalog *catalog;
    struct store *store;
    struct tier *tier;   /* of state; NULL: there is none */
    const uint8_t *key;  /* NET_SECRET_BYTES */
    const char *name;    /* of this planner, in the hello; unlike any host's */
    const char *address; /* to listen at: net.h */
    uint64_t beat_ns;    /* 0: a second */
    uint64_t silence_ns; /* as planner_config has it; 0: the default */
};

/* Listens, and starts a thread. -EADDRINUSE, -EINVAL, ... */
int hosts_create(const struct hosts_config *config, struct hosts **out,
                 struct diag *diag) MUST_CHECK;
/* Closes all connections: hosts are down for the planner. Before planner_destroy. */
void hosts_destroy(struct hosts *hosts);
/* Where it listens: with the port that it got. */
const char *hosts_address(const struct hosts *hosts);

/* What the catalog has of it is another since now (a version, an alias, its variables, its
 * limits, or it is gone): what workers were told of it is taken back. function NULL: all of
 * the tenant. Any thread. */
void hosts_changed(struct hosts *hosts, const char *tenant, const char *function);

/* -ENOENT, -ENOMEM. No new calls from now on; those that run go on. Stays so until it is undone or
 * the planner starts anew. */
int hosts_drain(struct hosts *hosts, const char *name, bool is_draining) MUST_CHECK;

struct hosts_view { /* valid during the visit */
    const char *name, *address, *zone, *version;
    const char *missing; /* protections that it lacks, with commas between; "" */
    uint32_t slots, used, cores;
    uint64_t memory_bytes, memory_used;
    uint64_t cpu_ns; /* of its cells, since it started */
    uint32_t cells, ready_cells, cells_lost, busy_percent;
    uint64_t heard_ns_ago;
    bool is_draining, is_leaving, is_connected;
};
typedef bool (*hosts_fn)(void *context, const struct hosts_view *host);
/* In order of names. */
void hosts_list(struct hosts *hosts, hosts_fn visit, void *context);

#endif
