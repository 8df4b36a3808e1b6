/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway: Weft over HTTP (docs/openapi.json): deploy, invoke, look.
 *
 *   client --HTTP/1.1, JSON, bearer token--> gateway -> catalog, store, planner, hosts
 *
 * Nothing but health answers without a token. A token sees its own tenant; what is
 * another's is as if it were not there. Errors are JSON: a code, a sentence, what to do.
 *
 * Requests that wait (a call's result, an event stream) cost a connection and no thread.
 */
#ifndef WEFT_GATEWAY_H
#define WEFT_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "catalog/catalog.h"
#include "hosts/hosts.h"
#include "meter/meter.h"
#include "planner/planner.h"
#include "store/store.h"
#include "tier/tier.h"

#define GATEWAY_BODY_BYTES_MAX         (UINT64_C(256) << 20) /* of an upload */
#define GATEWAY_INPUT_BYTES_MAX        (UINT64_C(32) << 20)  /* of a call */
#define GATEWAY_ASYNC_BYTES_MAX        (UINT64_C(8) << 20)   /* of an asynchronous one */
#define GATEWAY_CONNECTIONS_MAX        16384u
#define GATEWAY_TENANT_CONNECTIONS_MAX 4096u

#define GATEWAY_GRACE_NEVER UINT64_MAX /* nothing is collected */

struct gateway;

struct gateway_config {
    struct planner *planner; /* all borrowed; live longer */
    struct catalog *catalog;
    struct store *store;
    struct hosts *hosts;
    struct meter *meter;
    struct tier *tier;       /* of state; NULL: none is kept */
    const char *listen;      /* "127.0.0.1:8080", "[::1]:0" */
    const char *certificate; /* PEM files; both or none: HTTP without TLS */
    const char *key;
    const char *compiler; /* weft-compiler; NULL: beside this program */
    const char *cache;    /* directory of images */
    unsigned threads;     /* 0: as cores */
    unsigned compilers;   /* at one time; 0: as cores */
    uint64_t grace_ns;    /* how long what nobody needs is kept; 0: an hour */
};

/* Listens and serves. -EADDRINUSE, -EINVAL, -ENOENT: certificate ... */
int gateway_create(const struct gateway_config *config, struct gateway **out,
                   struct diag *diag) MUST_CHECK;
/* Requests under way end with 503. Before its rooms are destroyed. NULL is fine. */
void gateway_destroy(struct gateway *gateway);
/* "127.0.0.1:34567": with the port that it got. */
const char *gateway_address(const struct gateway *gateway);

/* For planner_config.on_over: counts, keeps what is to be told of recent calls. Any thread;
 * not during gateway_destroy or after it: who connects them takes care that none is. */
void gateway_over(struct gateway *gateway, const Ledger__Call *call);

#endif
