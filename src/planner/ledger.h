/* SPDX-License-Identifier: Apache-2.0
 *
 * ledger: asynchronous calls in the store, so that none is lost and none ends twice.
 *
 *   accept -> OPEN -> (attempts) -> end -> OVER | DEAD -> (kept for a while) -> collected
 *
 *   table call       tenant NUL id   the call
 *   table call-open  id              tenant: what a restarted planner goes on with
 *   table call-key   tenant NUL key  id: idempotency
 *   table call-age   expiry id       tenant: what is to be collected, oldest first
 *
 * Every change has the planner's term as a condition: a planner that has lost its lease
 * without noticing changes nothing (-ESTALE). An end is written only over an OPEN call, so
 * there is one. Changes of one call happen in the order in which they were asked for.
 *
 * Changes are made by threads of the ledger, which wait for the disk together; who asks is
 * told by a callback on one of them. Reads are made at once.
 */
#ifndef WEFT_PLANNER_LEDGER_H
#define WEFT_PLANNER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "planner/ledger.pb-c.h"
#include "store/store.h"

#define LEDGER_THREADS_DEFAULT 16u
#define LEDGER_QUEUE_MAX       65536u
#define LEDGER_KEY_BYTES_MAX   200u /* of an idempotency key */
#define LEDGER_TENANT_MAX      63u
#define LEDGER_COLLECT_MAX     256u

struct ledger;

struct ledger_config {
    struct store *store; /* borrowed */
    const char *lease;   /* its name, and: */
    uint64_t term;       /* as store_lease told it */
    uint32_t threads;    /* 0: the default */
    uint64_t kept_s;     /* how long ends are kept */
};

int ledger_open(const struct ledger_config *config, struct ledger **out,
                struct diag *diag) MUST_CHECK;
/* All that was asked is done, or has failed, first. NULL is fine. */
void ledger_close(struct ledger *ledger);

/* err: 0, -EEXIST (existing: the call that has this idempotency key), -ESTALE, or the
 * store's, with which the outcome may be unknown (-ETIMEDOUT, -EIO). */
typedef void (*ledger_done_fn)(void *context, int err, uint64_t existing);

/* Makes an open call of it; the call's state and expiry are set. The message is packed
 * before this returns. -EAGAIN: LEDGER_QUEUE_MAX. -EINVAL, -ENOMEM. */
int ledger_accept(struct ledger *ledger, Ledger__Call *call, ledger_done_fn done,
                  void *context) MUST_CHECK;

/* An attempt begins: how many there were is kept over a restart. done may be NULL. */
int ledger_attempt(struct ledger *ledger, Ledger__Call *call, uint32_t attempts_used,
                   ledger_done_fn done, void *context) MUST_CHECK;

/* Its end: call has its result, and is packed before this returns. is_dead: as a dead letter, with
 * its request. -ENOENT (in err): it was not open any more, and has the end that it had. */
int ledger_end(struct ledger *ledger, const Ledger__Call *call, bool is_dead, uint64_t now_s,
               ledger_done_fn done, void *context) MUST_CHECK;

/* The call as it stands; freed with ledger__call__free_unpacked. -ENOENT. -EBADMSG: the
 * record is damaged (diag names it). */
int ledger_get(struct ledger *ledger, const char *tenant, uint64_t id, Ledger__Call **out,
               struct diag *diag) MUST_CHECK;

/* Those of a tenant with numbers above `after`, at most count; until visit says false. */
typedef bool (*ledger_visit_fn)(void *context, const Ledger__Call *call);
int ledger_list(struct ledger *ledger, const char *tenant, uint64_t after, uint32_t count,
                ledger_visit_fn visit, void *context, struct diag *diag) MUST_CHECK;

/* All open calls, in the order of their numbers: at start. *last: the highest number. */
int ledger_restore(struct ledger *ledger, ledger_visit_fn visit, void *context, uint64_t *last,
                   struct diag *diag) MUST_CHECK;

/* A dead letter as an open call again, or gone. -ENOENT: it is none. Waits for the disk. */
int ledger_revive(struct ledger *ledger, const char *tenant, uint64_t id, Ledger__Call **out,
                  struct diag *diag) MUST_CHECK;
int ledger_bury(struct ledger *ledger, const char *tenant, uint64_t id,
                struct diag *diag) MUST_CHECK;

/* Removes what a tenant has that is over or dead, LEDGER_COLLECT_MAX at most; *count of them.
 * Waits for the disk. */
int ledger_forget(struct ledger *ledger, const char *tenant, size_t *count,
                  struct diag *diag) MUST_CHECK;
/* The next tenant that has calls, in the order of names; after "": the first. -ENOENT. */
int ledger_tenant_next(struct ledger *ledger, char tenant[LEDGER_TENANT_MAX + 1],
                       struct diag *diag) MUST_CHECK;

/* Removes ends that are older than they are to be kept, LEDGER_COLLECT_MAX at most; *count of
 * them. Waits for the disk. -EBADMSG: one is damaged (diag names it) and stays; the others
 * are removed. */
int ledger_collect(struct ledger *ledger, uint64_t now_s, size_t *count,
                   struct diag *diag) MUST_CHECK;

#endif
