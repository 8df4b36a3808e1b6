/* SPDX-License-Identifier: Apache-2.0
 *
 * state: the local tier, in a cell: values as memory that all its Faaslets see.
 *
 *   host call -> state_start -> [current: at once] or [asks the global tier] -> wake ->
 * state_finish map       -> state_map: a share (mem.h) to be mapped into a linear memory
 *
 * An entry is what the cell has of a value: its share, its base, its version, whether it is
 * current (docs/state.md). Entries that nobody maps or asks for go when room is short.
 *
 * It speaks rpc/state.proto by functions that its owner gives. All functions may be called from
 * any thread.
 */
#ifndef WEFT_STATE_H
#define WEFT_STATE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "mem/mem.h"
#include "rpc/rpc.h"

#define STATE_KEY_BYTES_MAX 255u
#define STATE_BYTES_DEFAULT (UINT64_C(4) << 30)
#define STATE_OPS_MAX       65536u
#define STATE_CHUNK_BYTES   65536u
#define STATE_LIST_MAX      1024u
/* The condition does not hold, the lock is taken: what tier.h and guests call EAGAIN, which means
 * "not yet" here. */
#define STATE_EREFUSED EBUSY

struct state;

struct state_config {
    /* Says it to the tier, borrowed; without locks; may be called on any thread, one at a time.
     * It must not wait for who is in state_lost: that waits until it has returned. */
    void (*say)(void *context, const Rpc__StateUp *up);
    /* What this waiter has started may be over: state_finish. Without locks. */
    void (*wake)(void *context, uint64_t waiter);
    void *context;
    uint64_t bytes_max; /* of shares and bases; 0: the default */
    /* A session is wanted: the first time, and whenever one was lost and there is something to
     * ask. The welcome is the answer. Without locks. */
    void (*want)(void *context); /* or NULL */
};

int state_create(const struct state_config *config, struct state **out) MUST_CHECK;
/* No mapping and no waiter exists any more. NULL is fine. */
void state_destroy(struct state *state);

/* What the tier says, borrowed. False: it breaks the rules; the connection is of no use. */
bool state_hear(struct state *state, const Rpc__StateDown *down) MUST_CHECK;
/* The connection is over: nothing is current, locks are lost, what must not be said twice ends
 * with -EIO. With the next welcome the rest is said again. */
void state_lost(struct state *state);
/* Beats, and what has waited for too long; returns when to be called again (base/clock.h). A
 * welcome, and a wait for a lock here that begins, may make it sooner. */
uint64_t state_tick(struct state *state, uint64_t now_ns);

/* -------------------------------------------------------------------------- requests */

enum state_kind {
    STATE_STAT,   /* size, version */
    STATE_GET,    /* bytes [offset, offset + count) as they are globally, cut at the end: into
                   * result.bytes */
    STATE_SET,    /* the whole value becomes these bytes, also of another size */
    STATE_CAS,    /* the same where its version is this; 0: where there is none */
    STATE_ADD,    /* number, operand, offset -> result.value */
    STATE_APPEND, /* bytes -> result.value: its index */
    STATE_READ,   /* a log's records from `offset` on, at most `count` bytes (but one) and `size`
                   * records (0: as many as may be) -> result.bytes, result.counts, result.value:
                   * the index of the first, which is later where those before were trimmed */
    STATE_TRIM,   /* a log's records before `offset` */
    STATE_REMOVE,
    STATE_LIST, /* key: a prefix; bytes: after, with a NUL, or NULL; at most `count` (0: as many
                 * as may be) -> result.bytes: "key\0", result.item_count */
    STATE_PULL, /* the entry's [offset, offset + count) is as it is globally, but for what was
                 * written here and not pushed; count 0: all */
    STATE_PUSH, /* what was written here since; offset and count as in a pull, but of whole elements
                 * (-EINVAL). With `version` not UINT64_MAX: only where the global one is that.
                 * -> result.version. Of what is added -EIO counts as done: a pull tells */
    STATE_LOCK, /* global; mode, wait_ns */
    STATE_UNLOCK,
    STATE_LOCK_HERE, /* among the Faaslets of this cell */
    STATE_UNLOCK_HERE,
    STATE_WATCH,  /* until the version is above this; wait_ns */
    STATE_EXPIRE, /* wait_ns from now; 0: never */
};

struct state_request { /* all borrowed during state_start; bytes are copied where they must be */
    enum state_kind kind;
    const char *key; /* with a NUL */
    uint64_t offset, count;
    const void *bytes;
    uint64_t version;
    uint32_t number;  /* STATE_ADD: enum Rpc__StateNumber */
    uint64_t operand; /* STATE_ADD: bits */
    uint64_t size;    /* STATE_ADD: of the value where there is none; 0: -ENOENT. STATE_MAP_CREATE:
                       * 0: offset + count */
    bool is_write;    /* of a lock */
    uint64_t wait_ns; /* of a lock or watch: UINT64_MAX: for ever */
    uint64_t owner;   /* the call: locks are its, and its pushes are under its lock */
};

struct state_result {
    uint64_t size, version, value;
    uint8_t *bytes; /* owned by the result */
    size_t count;
    uint32_t *counts;  /* owned; of STATE_READ */
    size_t item_count; /* records, or keys */
    /* STATE_STAT: */
    uint64_t lives_ns;
    bool is_log;     /* where the tier says it */
    bool is_current; /* all of it is here, and is what there is globally */
};
void state_result_fini(struct state_result *result);

/* 0: done, *result is the caller's. -EAGAIN: *op is under way; the waiter is woken. Else it is
 * refused, as tier.h says it, and nothing has changed.
 *
 * STATE_GET and STATE_PULL of what is current ask nobody. */
int state_start(struct state *state, const struct state_request *request, uint64_t waiter,
                uint64_t *op, struct state_result *result) MUST_CHECK;
/* As a read of what is current, without an allocation: 0: count bytes are at `to`. -EAGAIN: it
 * is to be asked for (state_start). -EINVAL: outside. */
int state_read_current(struct state *state, const char *key, uint64_t offset, void *to,
                       size_t count) MUST_CHECK;
/* -EAGAIN: not yet. After any other it is forgotten. -EBADF: there is no such. */
int state_finish(struct state *state, uint64_t op, struct state_result *result) MUST_CHECK;
/* Nobody waits for it any more. What waits is cancelled; a change may still happen. */
void state_forget(struct state *state, uint64_t op);
/* The call is over: its locks are let go. What it has started is forgotten before. */
void state_call_over(struct state *state, uint64_t owner);

/* -------------------------------------------------------------------------- mappings */

enum state_map_flag {
    STATE_MAP_WRITE = 1,
    STATE_MAP_LAZY = 2,   /* chunks come when they are touched */
    STATE_MAP_CREATE = 4, /* with this size and zeros, where there is none */
    STATE_MAP_SUM = 8     /* pushes add; with elements that can be added */
};
/* What the bytes are (base/element.h), in the same flags. An entry has one kind of elements, and
 * is to be added to or not, while it is mapped or has unpushed bytes; who says none takes what it
 * has, or bytes. */
#define STATE_MAP_SHIFT       8u
#define STATE_MAP_ELEMENTS    0xf00u
#define STATE_MAP_OF(element) ((uint32_t)(element) << STATE_MAP_SHIFT)

struct state_mapping {
    struct mem_share *share; /* a reference */
    uint64_t size;           /* of the value */
    uint64_t entry;          /* its number: state_unmap, state_touch */
    uint32_t elements;       /* what they are: STATE_MAP_SUM, STATE_MAP_OF */
};

/* The entry's share, with what of [offset, offset + count) is to be there in it (LAZY: with
 * nothing). offset is a multiple of 64 KiB, else -EINVAL. count 0: to the end. -EINVAL: the entry
 * has other elements. -EAGAIN: as state_start; then it is called again with the same, and op from
 * before.
 *
 * LAZY: the version is asked for where the entry is not current. Nothing older than it is there
 * then, nor comes, unless somebody has mapped the entry here or has not pushed what he wrote: then
 * what is there is as old as it is, until it is pulled. */
int state_map(struct state *state, const struct state_request *request, uint32_t flags,
              uint64_t waiter, uint64_t *op, struct state_mapping *out) MUST_CHECK;
/* The same for who was thawed: of a value of this size, which is absent as far as it is not here.
 * -EMSGSIZE: here it has another. -ENOMEM. */
int state_map_again(struct state *state, const char *key, uint64_t size, uint32_t flags,
                    struct state_mapping *out) MUST_CHECK;
void state_unmap(struct state *state, uint64_t entry);
/* A page that is absent was touched: 0: it is there now. -EAGAIN: the waiter is woken. Else it
 * is not to be had. */
int state_touch(struct state *state, uint64_t entry, uint64_t offset, uint64_t waiter) MUST_CHECK;

struct state_usage {
    uint64_t entries, bytes, locks, ops;
    uint64_t hits, pulls, pushes, bytes_pulled, bytes_pushed;
};
void state_usage(struct state *state, struct state_usage *out);

#endif
