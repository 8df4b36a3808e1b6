/* SPDX-License-Identifier: Apache-2.0
 *
 * worker: the cells of one host.
 *
 *   tenant --first call--> a ready cell of the pool (jail + weft-cell, no tenant yet)
 *          limits, setup, its functions, its calls ---> ends
 *          no calls for a while, or it died: the cell goes; the next call takes another
 *
 * A cell is a process of its own: the program weft-cell, in a jail, which shares
 * nothing with this process but one socket. Cells that nobody has yet stand ready,
 * so that a tenant's first call does not wait for one to start.
 *
 * Every call that was accepted ends in exactly one worker_end, also where its cell is
 * killed. What a cell says is not trusted: it can only harm its own tenant's calls.
 *
 * All functions may be called from any thread, but worker_destroy and
 * worker_await_ready not from on_end. Texts are UTF-8.
 */
#ifndef WEFT_WORKER_H
#define WEFT_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"
#include "base/macros.h"
#include "jail/jail.h"

#define WORKER_READY_DEFAULT   2u
#define WORKER_IDLE_NS_DEFAULT UINT64_C(60000000000)
#define WORKER_DIRECTORIES_MAX 64u
#define WORKER_VALUES_MAX      16u
#define WORKER_INPUT_BYTES_MAX (32u << 20)
#define WORKER_POOL_MAX        256u

struct worker;
struct worker_tenant;
struct worker_function;

/* ------------------------------------------------------------------------- chaining */

/* A guest wants a call of a function that its cell does not have. */
struct worker_chain { /* all valid during on_chain only */
    uint64_t id;      /* never used again */
    struct worker_tenant *tenant;
    uint64_t parent;       /* the call from which it descends; 0: that is over */
    const char *reference; /* as the guest wrote it; not checked but for being UTF-8 */
    const uint8_t *input;
    size_t input_bytes;
    uint64_t wall_ns;
    uint32_t depth;   /* of calls that chained calls that ... chained it */
    bool is_detached; /* its result is of interest to nobody once the parent is over */
};

/* On a thread of the worker; short: other calls wait. May start calls. The end is told by
 * worker_chain_end, before this returns or later. */
typedef void (*worker_chain_fn)(void *context, const struct worker_chain *chain);

/* Nobody waits for it any more: the guest cancelled it, or is over, or its cell is. What is
 * kept of it goes with worker_chain_end, which is to be called all the same, once, before
 * this returns or later (kind WORKER_CANCELLED will do). */
typedef void (*worker_chain_cancel_fn)(void *context, uint64_t id);

/* ---------------------------------------------------------------------------- state */

/* What a cell says to the global tier (rpc/state.proto): passed on as it is. */
struct worker_state { /* all valid during on_state only */
    uint64_t session; /* the cell; never used again */
    const char *tenant;
    const uint8_t *bytes; /* of a packed StateUp */
    size_t count;         /* 0: a session is wanted, whatever was before */
    bool is_over;         /* the cell is gone */
};
/* On a thread of the worker; short. */
typedef void (*worker_state_fn)(void *context, const struct worker_state *words);

struct worker_config {
    const char *cell_program; /* NULL: weft-cell beside the program that runs */
    const char *name;         /* of this worker, in the names of its jails: letters, digits, - */
    uint32_t ready;           /* cells of the pool; 0: the default; WORKER_NO_POOL: none */
    uint64_t idle_ns;         /* after which a tenant's cell without calls ends; 0: the default */
    bool is_strict;           /* refuse where the machine lacks a protection */
    worker_chain_fn on_chain; /* NULL: there is no function but those of the cell: ENOENT */
    worker_chain_cancel_fn on_chain_cancel; /* or NULL */
    worker_state_fn on_state;               /* NULL: guests have no state */
    void *chain_context;                    /* of all of these */
};
#define WORKER_NO_POOL UINT32_MAX

/* Starts to fill the pool, without waiting for it. -ENOENT: no cell_program. With
 * is_strict -EPERM: diag names what is missing. */
int worker_create(const struct worker_config *config, struct worker **out,
                  struct diag *diag) MUST_CHECK;
/* Ends all calls (WORKER_CANCELLED), all cells, all threads. Tenants and functions
 * must have been removed or not be used any more. NULL is fine. */
void worker_destroy(struct worker *worker);
/* Waits until the pool is full, or says why it cannot be filled. For tests and for
 * measuring. */
int worker_await_ready(struct worker *worker, uint64_t deadline_ns, struct diag *diag) MUST_CHECK;

/* Cells of the pool that stand ready now. */
uint32_t worker_ready_cells(struct worker *worker);

/* -------------------------------------------------------------------------- tenants */

struct worker_tenant_config {
    const char *name; /* at most 63 letters, digits, - and _; unique in the worker */
    struct jail_limits limits;
    struct jail_network network;   /* address NULL: none. With one, its cell is not from the pool */
    uint32_t executors;            /* threads that run its Faaslets; 0: one a processor */
    uint32_t slots_max, calls_max; /* 0: the cell's default; no limit */
};

/* No process yet. -EEXIST, -EINVAL. */
int worker_tenant_add(struct worker *worker, const struct worker_tenant_config *config,
                      struct worker_tenant **out, struct diag *diag) MUST_CHECK;
/* For its cell that runs, and for later ones. */
int worker_tenant_limit(struct worker_tenant *tenant, const struct jail_limits *limits,
                        struct diag *diag) MUST_CHECK;
/* Ends its calls (WORKER_CANCELLED), its functions, which are not to be used any more,
 * and its cell. Waits until all their on_end have returned, unless it is called from
 * one. NULL is fine. */
void worker_tenant_remove(struct worker_tenant *tenant);

struct worker_usage {
    pid_t pid;             /* of its cell; 0: none now */
    uint32_t missing;      /* what of the limits could not be had: enum jail_feature bits */
    uint32_t cells;        /* started for it so far */
    uint32_t cells_lost;   /* of these, died by themselves */
    uint32_t calls;        /* that exist */
    struct jail_usage now; /* of its cell */
};
void worker_tenant_usage(struct worker_tenant *tenant, struct worker_usage *out);

/* ------------------------------------------------------------------------ functions */

struct worker_directory {
    int fd; /* borrowed until worker_function_add returns */
    const char *guest_path;
    bool is_read_only;
};

struct worker_limits { /* of one call; each 0: none */
    uint64_t wall_ns, cpu_ns, memory_bytes, output_bytes;
    uint32_t files;
    uint32_t threads; /* 0: the cell's default */
};

struct worker_function_config {
    int image_fd; /* borrowed likewise; best a sealed memfd, which all cells share */
    /* A saved Faaslet of that image (worker_call.save_at), borrowed likewise; -1: none.
     * Who can write one can run code in the tenant's cell: only of the tenant's own.
     *
     * One in mid-run goes on where it stands, in each call: memory and what was open stay
     * (files are opened again by their paths, directories are those of the function here).
     * A call's own are: standard streams and weft's input and result, which begin anew;
     * identity, deadline, limits, arguments and environment as a host call tells them
     * (what the program has read before is in its memory, and stays); clocks, which are
     * now's. random_get never gives anything twice, but a generator in the program's
     * memory goes on from where it stood, in every call alike: it has to be seeded after
     * the point where it is saved. */
    int proto_fd;
    const char *entry; /* NULL: "_start" */
    struct worker_limits limits;
    uint64_t stack_bytes, init_ns_max; /* 0: defaults */
    uint32_t warm_max;                 /* 0: the cell's default */
    const struct worker_directory *directories;
    size_t directory_count;
    const char *const *env;
    size_t env_count;
    /* By which guests of the tenant chain to it, where their cell has it; the newest of a
     * name that the cell got is meant. NULL: not at all. */
    const char *name, *version;
};

/* Keeps what a cell needs of it. Whether it can be initialised is known when a cell
 * has it: calls of one that cannot end as WORKER_FAILED with the reason. -ENOMEM,
 * -EMFILE, -EINVAL. */
int worker_function_add(struct worker_tenant *tenant, const struct worker_function_config *config,
                        struct worker_function **out, struct diag *diag) MUST_CHECK;
/* No new calls; those that run go on. NULL is fine. */
void worker_function_remove(struct worker_function *function);

/* ---------------------------------------------------------------------------- calls */

enum worker_end_kind {
    WORKER_DONE,      /* results */
    WORKER_EXIT,      /* exit_code */
    WORKER_TRAP,      /* message, backtrace */
    WORKER_LIMIT,     /* limit, message */
    WORKER_CANCELLED, /* worker_cancel, worker_tenant_remove or worker_destroy */
    WORKER_FAILED,    /* err, message: the host could not (no memory, no such export ...) */
    WORKER_LOST,      /* message: its cell ended under it: killed, or the tenant's memory limit */
};

enum worker_limit { /* bits */
                    WORKER_LIMIT_TIME = 1,
                    WORKER_LIMIT_CPU = 2,
                    WORKER_LIMIT_OUTPUT = 4,
                    WORKER_LIMIT_MEMORY = 8,
                    WORKER_LIMIT_FILES = 16,
                    WORKER_LIMIT_CALLS = 32, /* that it starts */
                    WORKER_LIMIT_THREADS = 64,
};

struct worker_end { /* all valid during on_end only */
    uint64_t id;
    enum worker_end_kind kind;
    int exit_code, err;
    uint32_t trap;    /* of WORKER_TRAP: the number that abi.h has for it, if the cell is right */
    uint32_t limit;   /* that ended it */
    uint32_t refused; /* at which the guest was refused something, and went on */
    const char *message, *backtrace; /* or "" */
    const uint64_t *results;
    size_t result_slots;
    const uint8_t *output, *log; /* written to 1 and to 2, where they were not descriptors */
    size_t output_bytes, log_bytes;
    const uint8_t *result; /* written by weft_output */
    size_t result_bytes;
    uint64_t chained, chained_cpu_ns; /* calls that it and its own started in the cell */
    uint64_t wall_ns, cpu_ns;         /* in the cell */
    uint64_t memory_bytes;            /* its linear memory at the end */
    uint64_t total_ns;                /* since worker_call */
    bool is_world_end;                /* of a member of a world: all others end with it */
    int saved_fd; /* of save_at, with WORKER_DONE: a memfd with the Proto-Faaslet, to be
                   * duplicated by who wants it; else -1 */
};

/* On a thread of the worker; short: other calls wait. May start calls. */
typedef void (*worker_end_fn)(void *context, const struct worker_end *end);

struct worker_call {
    const char *entry;       /* NULL: the function's */
    const char *const *args; /* argv, with the program's name; copied, as all here */
    size_t arg_count;
    const char *const *env; /* after the function's */
    size_t env_count;
    const uint64_t *values; /* parameters of the entry; at most WORKER_VALUES_MAX */
    size_t value_count;
    size_t result_slots;  /* at most WORKER_VALUES_MAX */
    const int *stdio;     /* three descriptors, duplicated; NULL: input, output and log */
    const uint8_t *input; /* at most WORKER_INPUT_BYTES_MAX */
    size_t input_bytes;
    uint64_t wall_ns; /* 0: the function's limit alone */
    uint32_t depth;   /* where it is what a guest chained: worker_chain's; else 0 */
    /* Not to run, but to stop and be frozen there: "fd_read:0", a host call, and perhaps the
     * value of its first argument; "": at weft_snapshot. Where it ends before, it is FAILED
     * and the message says how. Limits hold meanwhile, and name themselves. Also FAILED: a
     * pipe or a socket is open beside the standard streams; message names it. NULL: to run. */
    const char *save_at;
    /* A member of a world, where the function's program can be one (it imports weft_group): calls
     * of one function and one number, each with a member's number of its own. Who starts them ends
     * those that are left where one could not be started, or has ended as is_world_end. 0: of
     * none. */
    uint64_t world;
    uint32_t member, members;
    worker_end_fn on_end;
    void *context;
};

/* *id, never 0, never used again, is written before on_end can be called. on_end is
 * called if and only if this succeeds, perhaps before it returns. -EINVAL, -ENOMEM, -EMFILE, -E2BIG
 * (input), -EAGAIN (calls_max), -ESHUTDOWN (function or tenant removed). A tenant whose cell cannot
 * be started has calls that end as WORKER_FAILED with the reason. */
int worker_call(struct worker_function *function, const struct worker_call *call,
                uint64_t *id) MUST_CHECK;

/* Ends it soon, as WORKER_CANCELLED. -ESRCH: over. */
int worker_cancel(struct worker *worker, uint64_t id) MUST_CHECK;

/* Tells a guest the end of what it chained: kind, exit_code, err, limit, trap, message,
 * result, output and log are used. -ESRCH: its cell is over, or it has ended before.
 * -EAGAIN: the cell does not read now; to be tried again later. */
int worker_chain_end(struct worker *worker, uint64_t id, const struct worker_end *end) MUST_CHECK;

/* Says it to the cell of this session: a packed StateDown. count 0: the connection is new, what
 * was under way is lost. -ESRCH: it is gone. -EAGAIN: it does not read now. */
int worker_state_say(struct worker *worker, uint64_t session, const uint8_t *bytes,
                     size_t count) MUST_CHECK;
/* The same with nothing, to all that ever wanted a session. */
void worker_state_renew(struct worker *worker);

#endif
