/* SPDX-License-Identifier: Apache-2.0
 *
 * cell: the Faaslets of one tenant on one host: many, on few threads.
 *
 *   function = image + Proto-Faaslet + limits + Faaslets that are warm
 *   call     = one run of a function: queued -> running <-> waiting -> over
 *
 * Executors (one thread a core) take calls from one queue. A call that waits costs
 * no thread; one that computes for longer than its quantum goes to the queue's end.
 * A Faaslet holds a slot while it runs; when slots are short, the call that has
 * waited longest is parked (plain memory) and its slot goes to another.
 *
 * Every call that was accepted ends in exactly one cell_end, whatever happens.
 *
 * All functions may be called from any thread, also from host functions of a
 * running Faaslet and from on_end.
 */
#ifndef WEFT_CELL_H
#define WEFT_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "faaslet/faaslet.h"

#define CELL_SLOTS_DEFAULT   4096u
#define CELL_TICK_NS         UINT64_C(1000000)
#define CELL_INIT_NS_DEFAULT UINT64_C(10000000000)
#define CELL_RESULTS_MAX     16u

struct cell;
struct cell_function;
struct mem_share;

/* A call touches a page of a share that is absent; its record. 0: it is there now. -EINPROGRESS:
 * the call is woken when it is. Else the call ends as CELL_FAILED. On an executor's thread. */
typedef int (*cell_absent_fn)(void *process, const struct mem_share *share, uint64_t offset);

/* A call that goes on has a Faaslet that was thawed: its record maps again what it had mapped.
 * -errno: the call ends as CELL_FAILED. */
typedef int (*cell_attach_fn)(void *process, struct faaslet *faaslet);
/* The entry of a call has returned, and this is its record. 0: it is over. -EINPROGRESS: the call
 * waits, and this is called again when it is woken. Any other error ends it like 0. */
typedef int (*cell_done_fn)(void *process);

struct cell_config {
    unsigned executors;       /* 0: the cores that this process may use */
    uint32_t slots_max;       /* Faaslets that hold a slot at one time; 0: the default */
    uint64_t tick_ns;         /* half a quantum; 0: the default */
    uint32_t calls_max;       /* calls that exist at one time; 0: no limit */
    cell_attach_fn on_attach; /* NULL: nothing is mapped */
    cell_absent_fn on_absent; /* NULL: nothing can be absent */
    cell_done_fn on_done;     /* NULL: there is nothing to do */
    int epoll, event;         /* both taken, also on failure: an epoll and an eventfd that does not
                               * wait, which a sealed process cannot make; 0: none */
};

/* -ENOMEM, -EAGAIN (no threads): diag says what. */
int cell_create(const struct cell_config *config, struct cell **out, struct diag *diag) MUST_CHECK;
/* Ends all calls (CELL_CANCELLED), waits for their on_end, frees all. Not from a host
 * function or on_end. NULL is fine. Functions must have been dropped or not be used. */
void cell_destroy(struct cell *cell);

/* ----------------------------------------------------------------------- functions */

struct cell_function_config {
    /* Either an image: INIT is run, then _initialize or weft_init where exported, and
     * the result is the Proto-Faaslet. Or a Proto-Faaslet, perhaps in the middle of a
     * run: calls of such a one go on from there and name no entry. */
    struct faaslet_image *image;
    struct faaslet_frozen *frozen;
    /* resolve, ops, stack and memory; process is used for initialisation only, and
     * borrowed until cell_function_create returns. */
    struct faaslet_config faaslet;
    uint64_t wall_ns_max; /* of one call; 0: none */
    uint64_t init_ns_max; /* of initialisation, in all; 0: the default, 10 s */
    uint32_t warm_max;    /* Faaslets kept for the next call; 0: 16 */
};

/* Takes references of its own. Initialisation runs on this thread. -EINVAL with the
 * reason where it does not end well, or not in time. */
int cell_function_create(struct cell *cell, const struct cell_function_config *config,
                         struct cell_function **out, struct diag *diag) MUST_CHECK;
/* No new calls; gone when the last one is over. NULL is fine. */
void cell_function_drop(struct cell_function *function);
/* Whether an image can have the threads that it starts, and so many be had: else -EINVAL, and diag
 * says why. */
int cell_threads_check(const struct faaslet_image *image, uint32_t threads_max,
                       struct diag *diag) MUST_CHECK;
/* Borrowed: to save it, or to make others from it. */
struct faaslet_frozen *cell_function_proto(const struct cell_function *function);

/* --------------------------------------------------------------------------- calls */

enum cell_end_kind {
    CELL_DONE,      /* results; of save_at: frozen */
    CELL_EXIT,      /* exit_code */
    CELL_TRAP,      /* trap, message, backtrace */
    CELL_KILLED,    /* limit */
    CELL_CANCELLED, /* cell_cancel or cell_destroy */
    CELL_FAILED,    /* err, message: the host could not (out of memory, ...) */
};

struct cell_end {
    uint64_t id;
    enum cell_end_kind kind;
    int exit_code, err;
    enum abi_trap trap;
    enum faaslet_limit limit;
    uint32_t refused;      /* limits at which it was refused something: faaslet_refused */
    const char *message;   /* or ""; valid during on_end, as all here */
    const char *backtrace; /* or "" */
    const uint64_t *results;
    size_t result_slots;
    struct faaslet_frozen *frozen; /* of save_at, as CELL_DONE; borrowed; else NULL */
    void *process;                 /* the call's record, or the one that was made of it since */
    uint64_t wall_ns, cpu_ns;      /* since it was accepted; charged by ticks */
    uint64_t memory_bytes;         /* linear memory when it last ran */
    /* Of a member of a world: */
    uint32_t member;
    bool is_world_end; /* by this end, which should not have been, the world has ended */
    const char *story; /* lines about that for people, beside its outcome; or "" */
};

/* On an executor's thread; short: others wait. */
typedef void (*cell_end_fn)(void *context, const struct cell_end *end);

struct cell_call {
    const char *entry;    /* exported function; NULL where the proto is in mid-run */
    const uint64_t *args; /* copied */
    size_t slot_count;    /* at most CELL_RESULTS_MAX */
    size_t result_slots;  /* of the entry's type; at most CELL_RESULTS_MAX */
    void *process;        /* record of host functions, borrowed until on_end. A proto in
                           * mid-run gets one made of its own and this (ops.restart) */
    uint64_t deadline_ns; /* CLOCK_NEVER_NS or 0: the function's wall_ns_max alone */
    /* Not to run to its end, but to be frozen at a host call: its name, perhaps ':' and the
     * value of its first argument; "": at a snapshot point. Copied. What ends before it
     * comes there is CELL_FAILED (-ENOENT), and message says how. NULL: to run. */
    const char *save_at;
    /* It is never parked: others know where its memory is. There are to be slots for all of those
     * (slots_max). */
    bool keeps_seat;
    cell_end_fn on_end;
    void *context;
};

/* *id, never 0 and never used again in this cell. on_end is called if and only if this
 * succeeds. -EINVAL, -ENOMEM, -EAGAIN (calls_max), -ESHUTDOWN. */
int cell_start(struct cell_function *function, const struct cell_call *call,
               uint64_t *id) MUST_CHECK;

/* A thread that starts calls may lend itself, one at a time: between the two, calls of functions
 * that were brief the last time wake no executor, but a few of them are run by cell_lend_end on
 * this thread, which must be one for Faaslets (faaslet_thread_init). What may last longer is the
 * executors', and what turns out to is, after a quantum. */
void cell_lend_begin(struct cell *cell);
void cell_lend_end(struct cell *cell);

/* What a pending host function waits for may have happened: it is called again.
 * Never lost: a call that is just running goes on once more. -ESRCH: over. */
int cell_wake(struct cell *cell, uint64_t id);

/* Whether no call is queued, and there is more than one executor: one whose call is about to wait
 * may as well look again for a moment at what it waits for. True or false by the next moment;
 * cheap. */
bool cell_is_idle(const struct cell *cell);

/* Ends a call soon, as CELL_CANCELLED. -ESRCH: over. */
int cell_cancel(struct cell *cell, uint64_t id) MUST_CHECK;

/* In a host function: the call that runs on this thread, else 0 and NULL. */
uint64_t cell_self(void);
struct cell *cell_here(void);

struct cell_usage {
    uint64_t calls;         /* that exist */
    uint64_t slots, parked; /* Faaslets with a slot; calls without */
    uint64_t warm;          /* Faaslets without a call */
    uint64_t parked_bytes;
    uint64_t starts_warm, starts_cold; /* of calls, since the beginning; each is one */
};
void cell_usage(struct cell *cell, struct cell_usage *out);

/* --------------------------------------------------------------------------- worlds */

/* Calls that are members of one group (group.h). Each has its own end. Where one ends as it should
 * not (not by itself, or before it has left the group), the world has ended: the others end as
 * CELL_CANCELLED. A deadlock ends one of them as CELL_TRAP; its story says what each waits for. */
struct cell_world;
struct hostcall_group;

/* So many members are going to be started. -EINVAL: none, or more than a group has. -ENOMEM. */
int cell_world_create(struct cell *cell, uint32_t count, struct cell_world **out) MUST_CHECK;
/* Its calls are over, and the records of its members destroyed. NULL is fine. */
void cell_world_destroy(struct cell_world *world);
/* For the records of its members (hostcall_config.group and .member); borrowed. */
const struct hostcall_group *cell_world_group(const struct cell_world *world);
/* cell_start of this member, once; it keeps its seat. Where the world has ended before, it soon
 * ends as CELL_CANCELLED. */
int cell_world_start(struct cell_world *world, uint32_t member, struct cell_function *function,
                     const struct cell_call *call, uint64_t *id) MUST_CHECK;

/* --------------------------------------------------------------------------- serving */

/* The main function of a cell that is a process of its own (weft-cell): takes the
 * socket, opens what a sealed process cannot, calls seal (jail_seal; NULL: none), and
 * does what a worker says there (rpc/cell.proto) until the worker is gone: 0, and its
 * calls have ended. -EPROTO: it says what no worker says. */
int cell_serve(int socket, int (*seal)(struct diag *diag), struct diag *diag) MUST_CHECK;

#endif
