/* SPDX-License-Identifier: Apache-2.0
 *
 * tier: the global tier of state: the one authoritative copy of every value and log.
 *
 *   session --StateUp--> tier: a queue for each key -> holders let go -> store -> --StateDown-->
 * session
 *
 * Changes of one key happen one after the other, several that wait in one commit; those of
 * different keys at the same time. What was answered with 0 is in the store. docs/state.md says
 * what readers see, and why.
 *
 * It speaks rpc/state.proto and knows no sockets: who has the connections gives it what they
 * hear, and a function that says things to them.
 *
 *   versions  a new value's first is 1, or above all that the tenant ever removed: none comes again
 *   is_held   the session holds the version of this answer; a copy that is not current while its
 *             cell's push is under way is current with the answer, where that says so, and where
 *             its version is the next after the one that was pushed from: else pull
 *   fences    are of the lock of the same key; whoever is over gets StateTake for all he held
 *   adds      a push of differences, which are added to what is there; -EIO: once or not at all
 *   read      result and offset: the index of the first record, which is later where those before
 *             it were trimmed, also where none is left
 *   list      count_max 0: 65536, the most; the last page has fewer than were asked for
 *   watch     wait_ns 0: -EAGAIN where there is nothing to see; UINT64_MAX: for ever
 */
#ifndef WEFT_TIER_H
#define WEFT_TIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "rpc/rpc.h"
#include "store/store.h"

#define TIER_KEY_BYTES_MAX    255u
#define TIER_VALUE_BYTES_MAX  (UINT64_C(1) << 40)
#define TIER_CHUNK_BYTES      65536u
#define TIER_PIECE_BYTES      (256u << 10)
#define TIER_RECORD_BYTES_MAX (1u << 20) /* of a log */
#define TIER_ASKS_MAX         65536u     /* under way, of one session */
#define TIER_LEASE_NS         UINT64_C(2000000000)
#define TIER_CACHE_BYTES      (UINT64_C(256) << 20)

struct tier;
struct tier_session;

struct tier_limits {
    uint64_t keys, bytes;    /* of a tenant; 0: none */
    uint32_t locks, watches; /* at one time; 0: 65536 */
};

struct tier_config {
    struct store *store; /* borrowed */
    /* Every commit has the condition that this lease's term is still this (store.h); NULL:
     * nobody else writes. Fences begin with the term. */
    const char *lease;
    uint64_t term;
    uint64_t lease_ns;    /* of a session; 0: the default */
    uint64_t cache_bytes; /* of chunks; 0: the default */
    unsigned threads;     /* that wait for the store; 0: 4 */
    bool is_first;        /* surely nobody was promised anything: no pause at the beginning */
    /* What a tenant may have; any thread. NULL: no limits. */
    void (*limits)(void *context, const char *tenant, struct tier_limits *out);
    /* Whether nobody else can lead at this moment; asked before each answer that says something
     * of values, under the tier's lock. NULL: nobody ever does. */
    bool (*is_leading)(void *context);
    /* The store refused a commit for the term: another leads. Once, from a thread. Or NULL. */
    void (*on_lost)(void *context);
    void *context;
};

/* Ends what a crash has left half done. -ENOMEM, the store's. */
int tier_create(const struct tier_config *config, struct tier **out, struct diag *diag) MUST_CHECK;
/* All sessions must have been closed. What waits is answered with -ESHUTDOWN. NULL is fine. */
void tier_destroy(struct tier *tier);

/* ------------------------------------------------------------------------- sessions */

/* To the other end; borrowed during the call. On any thread, without locks, one call at a
 * time for each session, in order; also from within any function here but tier_usage, and it may
 * call tier_session_hear, but close no session. What it cannot send is its matter (the connection
 * is over). */
typedef void (*tier_say_fn)(void *context, const Rpc__StateDown *down);

/* Says the welcome. -ENOMEM, -EINVAL (the tenant's name). */
int tier_session_open(struct tier *tier, const char *tenant, tier_say_fn say, void *context,
                      struct tier_session **out) MUST_CHECK;
/* What the other end says, borrowed. False: it broke the rules; to be closed. Asks that cannot
 * be done are answered with their error, and nothing has changed then:
 *   -EINVAL        a key that is none, an offset outside, runs that are not in order, or have
 *                  parts of elements that are to be added
 *   -ENAMETOOLONG  a key of more than 255 bytes
 *   -ENOENT        there is none            -EMSGSIZE   it has another size
 *   -EAGAIN        the condition; a lock that is taken; too many asks
 *   -ESTALE        the fence is not the present holder's
 *   -EDQUOT        more keys or bytes, -ENOLCK locks, than the tenant may have
 *   -EISDIR        a log where a value is wanted, -ENOTDIR a value where a log is
 *   -EIO           the store; it may have happened, or not (a trim: a part of it)
 *   -ETIMEDOUT     a lock or watch that waited for so long
 *   -ECANCELED, -ESHUTDOWN, -ENOMEM, -E2BIG */
bool tier_session_hear(struct tier_session *session, const Rpc__StateUp *up) MUST_CHECK;
/* The connection is over: nothing is said to it any more when this returns. Its copies are let
 * go at once where the cell is gone too (is_gone); else, and its locks always unless it is gone,
 * when its lease is over. NULL is fine. */
void tier_session_close(struct tier_session *session, bool is_gone);

/* ------------------------------------------------------- for who is in this process */

/* One answer (pieces are put together); borrowed during the call; on some thread. */
typedef void (*tier_answer_fn)(void *context, const Rpc__StateAnswer *answer);
/* An ask of nobody's session: holds and locks cannot be had so (-EINVAL). has_more is not
 * allowed: all bytes at once. Copied. -ENOMEM (where too much is under way:
 * as the answer), -EINVAL: the tenant's name. */
int tier_ask(struct tier *tier, const char *tenant, const Rpc__StateAsk *ask, tier_answer_fn done,
             void *context) MUST_CHECK;
/* Of a watch with this context that has not been answered: it is, with -ECANCELED, before this
 * returns or soon after, by done as any. Nothing for an ask that is over, or that does not wait. */
void tier_ask_cancel(struct tier *tier, const void *context);
/* All that the tenant has is removed: keys that nobody holds at once, others as by StateRemove. */
int tier_forget_tenant(struct tier *tier, const char *tenant, struct diag *diag) MUST_CHECK;

struct tier_usage {
    uint64_t sessions, keys, bytes; /* keys: in memory; bytes: of cached chunks */
    uint64_t pulls, pushes, adds, appends, takes;
    uint64_t bytes_pulled, bytes_pushed;
    uint32_t locks, waiting;
};
void tier_usage(struct tier *tier, struct tier_usage *out);

/* Of the local tiers of a tenant's cells, as their beats say: what they have now, and what they
 * have done since this tier began. A cell is believed: it tells of its own tenant alone. */
struct tier_local {
    uint64_t entries, bytes;
    uint64_t hits, pulls, pushes, bytes_pulled, bytes_pushed;
};
struct tier_tenant_usage {
    const char *tenant; /* borrowed during the call */
    uint64_t keys, bytes;
    struct tier_local local;
};
/* Each tenant that has state, or had some since this tier began; or this one alone. False ends it.
 * With the tier's lock: the function may not call the tier. */
void tier_usage_tenants(struct tier *tier, const char *tenant,
                        bool (*visit)(void *context, const struct tier_tenant_usage *usage),
                        void *context);

#endif
