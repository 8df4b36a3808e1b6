/* SPDX-License-Identifier: Apache-2.0
 *
 * State over HTTP, inside: state.c asks the tier and says what went wrong, state_value.c and
 * state_other.c have the routes.
 *
 *   handler (pool): begin, fill in, ask --> parked --> tier: render, resume
 *
 * No thread waits for the tier. What is never answered (the client has gone, the gateway
 * ends) is taken by the sweep, as with calls; the tier's answer finds nobody then.
 */
#ifndef WEFT_GATEWAY_STATE_H
#define WEFT_GATEWAY_STATE_H

#include "gateway/gateway_internal.h"
#include "tier/tier.h"

#define GATEWAY_STATE_WAIT_MS     30000u  /* of a watch */
#define GATEWAY_STATE_WAIT_MS_MAX 300000u /* client and what stands between may give up earlier */
#define GATEWAY_STATE_LIVES_S_MAX UINT64_C(1000000000)

struct gateway_state;
/* On a thread of the tier, or of who asked; the request is its. Not of a failure. */
typedef enum gateway_next (*gateway_state_render)(struct gateway_request *request,
                                                  const struct gateway_state *state,
                                                  const Rpc__StateAnswer *answer);

/* What a request asks; request->state, freed with it. */
struct gateway_state {
    Rpc__StateAsk ask;
    union {
        Rpc__StateStat stat;
        Rpc__StatePull pull;
        Rpc__StatePush push;
        Rpc__StateAdd add;
        Rpc__StateAppend append;
        Rpc__StateRead read;
        Rpc__StateRemove remove;
        Rpc__StateList list;
        Rpc__StateWatch watch;
        Rpc__StateExpire expire;
    };
    Rpc__StateRun run, *runs[1];
    gateway_state_render render;
    gateway_state_render fail; /* of a failure; NULL: by its errno */
    uint64_t wait_ms;
    bool has_condition; /* -EAGAIN is of it */
    bool must_exist;    /* -ENOENT likewise */
    bool is_range, is_raw;
    char key[GATEWAY_PATH_BYTES_MAX + 1]; /* of the path; "": it names none */
};

/* With the route's key, and an ask that is initialized. NULL: answered. */
struct gateway_state *gateway_state_begin(struct gateway_request *request,
                                          Rpc__StateAsk__IsCase is);
/* From a pool's thread. */
enum gateway_next gateway_state_ask(struct gateway_request *request);
/* Of an answer that says so. */
enum gateway_next gateway_state_fail(struct gateway_request *request,
                                     const struct gateway_state *state,
                                     const Rpc__StateAnswer *answer);
/* An answer that is an object about the key: its begin, its end. */
void gateway_state_open(struct buffer *out, const struct gateway_state *state);
enum gateway_next gateway_state_close(struct gateway_request *request, struct buffer *out);
/* ETag and Weft-Version. */
void gateway_state_version(struct gateway_request *request, uint64_t version);
/* If-Match (a version, or *) and If-None-Match: *. False: answered. */
struct gateway_condition {
    bool is_there; /* a version is wanted: this */
    bool must_exist;
    uint64_t version;
};
bool gateway_state_condition(struct gateway_request *request, struct gateway_condition *out);
/* "7", or 7. */
bool gateway_state_tag(const char *text, uint64_t *version);

#endif
