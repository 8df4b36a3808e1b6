/* SPDX-License-Identifier: Apache-2.0
 *
 * worker, inside. Who does what:
 *
 *   callers   worker_call packs and sends to an open cell, or puts the call into its
 *             tenant's queue where there is none
 *   loop      one thread: owns the lives of all cells and calls, reads what cells say,
 *             and is the only one that calls on_end
 *   starter   one thread: starts jails and takes them down, which may take long
 *
 *   cell: GREETING --ready--> READY --a tenant's--> OPENING --queue sent--> OPEN
 *         any --its connection ends--> LEAVING --its process ended--> DOWN --starter--> gone
 *
 * Locks, in this order: tenant->limit_lock, cell->jail_lock or cell->send_lock,
 * worker->lock. The last is held for moments only; the loop takes the two of a cell only
 * where nobody holds them for long.
 */
#ifndef WEFT_WORKER_INTERNAL_H
#define WEFT_WORKER_INTERNAL_H

#include <pthread.h>

#include "base/buffer.h"
#include "net/net.h"
#include "rpc/rpc.h"
#include "worker/worker.h"

#define WORKER_REASON_MAX      512
#define WORKER_CHAINS_MAX      65536u /* of one cell, that have not ended */
#define WORKER_CHAIN_BUCKETS   4096u
#define WORKER_STATE_BUCKETS   256u
#define WORKER_NAME_MAX        40u /* of a worker: it is a part of the names of jails */
#define WORKER_TENANT_NAME_MAX 63u
#define WORKER_TENANTS_MAX     65536u
#define WORKER_FUNCTIONS_MAX   4096u /* of one tenant; a cell has room for no more */
#define WORKER_EXECUTORS_MAX   1024u
#define WORKER_STRINGS_MAX     65536u
#define WORKER_CALLS_MAX       (1u << 20)
#define WORKER_WAITING_BYTES   (UINT64_C(96) << 20)  /* of a tenant's calls without a cell */
#define WORKER_QUEUE_BYTES     (UINT64_C(128) << 20) /* to a cell that does not read them */
#define WORKER_PROGRAM_FD      4                     /* in the new process; 3 is the socket */
#define WORKER_FILES_MAX       (1u << 20)
#define WORKER_SAVE_AT_MAX     128u
#define WORKER_FRAMES_A_TURN   64u
#define WORKER_READY_NS_MAX    UINT64_C(30000000000)
#define WORKER_LEAVE_NS_MAX    UINT64_C(200000000)
#define WORKER_STUBBORN_NS     UINT64_C(10000000000)
#define WORKER_EARLY_NS        UINT64_C(1000000000)
#define WORKER_EARLY_DEATHS    3u
#define WORKER_RETRY_NS        UINT64_C(100000000)
#define WORKER_RETRY_NS_MAX    UINT64_C(10000000000)

enum cell_state {
    CELL_GREETING, /* its process runs, and has not said yet that it is ready */
    CELL_READY,    /* nobody's */
    CELL_OPENING,  /* its tenant's: the loop sends what waited; callers queue */
    CELL_OPEN,     /* callers send */
    CELL_LEAVING,  /* nobody's any more: why will be known when its process has ended */
    CELL_DOWN,     /* the starter's */
};

/* What another process of ours says: see worker.h. Guarded by worker->lock where it
 * says nothing else. */
struct worker_cell {
    struct worker *worker;
    struct worker_cell *next; /* in worker->cells, leaving or down */
    uint64_t serial;
    uint32_t references; /* the worker's own, and of who uses it without the lock */
    enum cell_state state;
    bool is_own;                   /* started for its tenant, not for the pool */
    bool is_set_up;                /* it said so */
    bool has_ended_call;           /* it was of use */
    bool is_unread;                /* the loop's: more frames may be there */
    bool is_ended;                 /* the loop's: its process has */
    struct worker_tenant *tenant;  /* NULL: nobody's */
    struct worker_tenant *owner;   /* for which it was started; until it is taken down */
    struct worker_record *calls;   /* sent to it, in no order */
    struct worker_chained *chains; /* that it asked for and that have not ended */
    uint32_t chain_count;
    uint64_t deadline_ns;          /* of GREETING and of LEAVING */
    uint64_t given_ns;             /* when it became its tenant's */
    bool has_state;                /* it has wanted a session */
    struct worker_cell *by_serial; /* of those, the next of the bucket */
    pthread_mutex_t send_lock;     /* one sender at a time: a put before its calls */
    struct net_connection *connection;
    pthread_mutex_t jail_lock; /* guards what jail points to */
    struct jail *jail;
    int pidfd; /* the jail's */
    pid_t pid;
};

struct worker_tenant {
    struct worker *worker;
    struct worker_tenant *next;
    char name[WORKER_TENANT_NAME_MAX + 1];
    pthread_mutex_t limit_lock; /* one change of limits at a time */
    struct jail_limits limits;
    struct jail_network network; /* strings owned */
    uint32_t executors, slots_max, calls_max;
    uint32_t references; /* the user's, its functions', its calls', its cells' */
    bool is_removed;
    bool has_waiter;             /* who removed it frees it */
    bool is_own;                 /* takes no cell of the pool */
    bool is_starting;            /* the starter makes one for it */
    bool is_waiting;             /* in worker->waiting */
    struct worker_tenant *waits; /* the next one there */
    uint32_t own_cells;          /* started for it, and not taken down yet */
    struct worker_cell *cell;    /* READY no more and not LEAVING yet; NULL */
    struct worker_function *functions;
    uint32_t function_count;
    struct worker_record *queue, **queue_end; /* without a cell */
    uint64_t queued_bytes;
    uint32_t calls; /* that are not over */
    uint64_t idle_at_ns;
    uint32_t cells, cells_lost, missing;
    uint32_t early_deaths; /* in a row */
    uint64_t retry_at_ns;  /* no cell before */
    char reason[WORKER_REASON_MAX];
};

struct worker_function {
    struct worker_tenant *tenant;
    struct worker_function *next;
    uint64_t number;
    uint32_t references; /* the user's, and its calls' */
    bool is_removed;
    uint64_t put_serial; /* of the cell that has it */
    struct buffer put;   /* packed */
    int fds[NET_FRAME_FDS_MAX];
    size_t fd_count;
    uint64_t wall_ns;
    char refused[WORKER_REASON_MAX]; /* why its cell could not initialise it, or "" */
};

/* A call, as it is sent. */
struct worker_outgoing {
    Rpc__CellRequest request;
    Rpc__CellCall message;
    Rpc__CellWorld world;
    int fds[4]; /* borrowed */
    size_t fd_count;
};

/* A call. */
struct worker_record {
    uint64_t id;
    struct worker_record *hashed;
    struct worker_record *next, **link; /* of its cell's calls or its tenant's queue */
    struct worker_function *function;
    struct worker_cell *cell; /* NULL: in the queue */
    worker_end_fn on_end;
    void *context;
    uint64_t begin_ns;
    uint64_t deadline_ns; /* when a cell that has not ended it is taken for broken */
    uint32_t result_slots;
    bool is_sent, is_cancelled;
    int saved_fd;         /* owned: of save_at; -1: none */
    int err;              /* why it cannot be sent */
    struct buffer packed; /* in the queue only, as the descriptors */
    int fds[4];
    size_t fd_count;
};

/* A call that a guest of a cell wants to have somewhere else. */
struct worker_chained {
    uint64_t id, number; /* the worker's; the cell's */
    bool is_refused;     /* its cell could not be told so far */
    struct worker_cell *cell;
    struct worker_chained *by_id, *by_number; /* the next of the same bucket */
    struct worker_chained *next, **link;      /* of the cell's */
};

struct worker {
    char name[WORKER_NAME_MAX + 1];
    int program_fd;
    bool is_dynamic, is_strict;
    uint32_t pool_size, files;
    uint64_t idle_ns;
    int epoll_fd, wake_fd;
    pthread_t loop, starter; /* see worker_is_loop */
    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the starter */
    pthread_cond_t changed; /* the pool, or a tenant that is being removed */
    bool is_stopping;       /* for both threads */
    bool is_loop_over;
    struct worker_cell *cells; /* up to OPEN */
    struct worker_cell *leaving, *down;
    struct worker_cell *gone; /* the loop's: down as soon as its turn is over */
    uint32_t unread;          /* the loop's: cells that may have more to say */
    bool is_removal_due;      /* of a tenant */
    bool is_cancel_due;       /* of a call that waits for a cell */
    uint32_t ready, greeting; /* cells that are nobody's */
    struct worker_tenant *tenants;
    struct worker_tenant *waiting, **waiting_end; /* for a cell */
    uint32_t waiting_pool;                        /* of these, for one of the pool */
    uint32_t tenant_count;
    struct worker_record **table; /* calls by id */
    size_t table_size;            /* a power of two */
    uint32_t call_count;
    _Atomic uint64_t next_id;
    uint64_t next_serial, next_function;
    uint64_t look_at_ns;   /* when the loop looks at all deadlines */
    uint64_t refuse_at_ns; /* when it tells cells again what they did not hear */
    worker_chain_fn on_chain;
    worker_chain_cancel_fn on_chain_cancel;
    void *chain_context;
    uint64_t chain_key; /* odd, and not known to cells: they cannot choose a bucket */
    struct worker_chained *chains_by_id[WORKER_CHAIN_BUCKETS];
    struct worker_chained *chains_by_number[WORKER_CHAIN_BUCKETS];
    worker_state_fn on_state;
    struct worker_cell *states[WORKER_STATE_BUCKETS]; /* cells with sessions, by serial */
    uint32_t failures;                                /* of starts for the pool, in a row */
    uint64_t retry_at_ns;
    char reason[WORKER_REASON_MAX];
};

/* -------------------------------------------------------------------------- worker.c */

void worker_wake(struct worker *worker);
bool worker_is_loop(const struct worker *worker);
void worker_set_loop(const struct worker *worker);
bool worker_is_name(const char *name);
bool worker_is_tenant_name(const char *name);
/* UTF-8, as texts of messages are: a cell takes what is not for a broken rule. NULL is
 * fine. */
bool worker_is_text(const char *text);
bool worker_are_texts(const char *const *texts, size_t count);
/* With the lock: the loop will look at deadlines then at the latest. */
void worker_look_at(struct worker *worker, uint64_t at_ns);
/* How long to wait after so many failures in a row. */
uint64_t worker_retry_ns(uint32_t failures);
void worker_reason(char reason[WORKER_REASON_MAX], const char *format, ...) PRINTF_LIKE(2, 3);

/* ------------------------------------------------------------------------- starter.c */

void *worker_starter_run(void *worker);

/* --------------------------------------------------------------------------- place.c */

/* A new cell of this process and socket, GREETING and watched; takes both, also on
 * failure. */
int worker_place_add(struct worker *worker, struct worker_tenant *tenant, struct jail *jail,
                     int socket);
/* With the lock. The starter frees a cell that nobody uses any more. */
void worker_place_get(struct worker_cell *cell);
void worker_place_put(struct worker_cell *cell);
/* Frees what the cell is made of. */
void worker_place_destroy(struct worker_cell *cell);
/* With the lock, after use of the jail: its end may have been overlooked meanwhile. */
void worker_place_rearm(struct worker_cell *cell);

/* On the loop. All of them may free the cell's calls and hand it to the starter. */
void worker_place_ready(struct worker_cell *cell);
void worker_place_end(struct worker_cell *cell);
/* Its connection is over; why comes later. */
void worker_place_leave(struct worker_cell *cell);
/* It says what no cell says, or is of no use: its calls end like this, it is killed. */
void worker_place_close(struct worker_cell *cell, enum worker_end_kind kind, const char *reason);
/* It is not wanted any more: its calls end as CANCELLED. */
void worker_place_dismiss(struct worker_cell *cell, const char *reason);
/* The same where it has none; else nothing. */
void worker_place_retire(struct worker_cell *cell);
/* At the end of a turn: what is gone may be freed. */
void worker_place_forget(struct worker *worker);

/* ---------------------------------------------------------------------------- open.c */

/* On the loop: gives cells to tenants that wait, and ends the calls of those that
 * cannot have one. */
void worker_open_waiting(struct worker *worker);

/* ---------------------------------------------------------------------------- loop.c */

void *worker_loop_run(void *worker);
/* ---------------------------------------------------------------------------- hear.c */

/* On the loop: reads some of what it said, and whether there may be more. */
bool worker_hear_cell(struct worker_cell *cell);

/* --------------------------------------------------------------------------- chain.c */

/* What a cell says. NULL: fine; else what is wrong with it. */
const char *worker_chain_hear(struct worker_cell *cell, const Rpc__CellReply *reply);
const char *worker_chain_hear_cancel(struct worker_cell *cell, const Rpc__CellReply *reply);
/* On the loop: refusals for which their cells had no room. */
void worker_chain_refuse_due(struct worker *worker);
/* On the loop: nobody waits for what this cell chained. */
void worker_chain_cancel_all_of(struct worker_cell *cell);

/* -------------------------------------------------------------------------- tenant.c */

/* With the lock: it wants a cell. */
void worker_tenant_wait(struct worker_tenant *tenant);
void worker_tenant_wait_over(struct worker_tenant *tenant);
/* With the lock: one reference less; frees it where it was the last. */
void worker_tenant_put(struct worker_tenant *tenant);
/* On the loop: of all tenants that are being removed. */
void worker_tenant_remove_due(struct worker *worker);

/* ------------------------------------------------------------------------ function.c */

/* With the lock. */
void worker_function_put(struct worker_function *function);
/* With the lock: what the user calls removal. */
void worker_function_dismiss(struct worker_function *function);
struct worker_function *worker_function_find(const struct worker_tenant *tenant, uint64_t number);

/* ---------------------------------------------------------------------------- call.c */

/* With the lock. */
struct worker_record *worker_call_find(const struct worker *worker, uint64_t id);
void worker_call_link(struct worker_record *call, struct worker_record **list);
/* With the lock: out of all lists and tables; the caller ends it. */
void worker_call_take(struct worker_record *call);
/* On the loop, without the lock, after worker_call_take: on_end, and gone. */
void worker_call_end(struct worker_record *call, struct worker_end *end);
/* The same for one that its cell did not end. */
void worker_call_end_as(struct worker_record *call, enum worker_end_kind kind, int err,
                        const char *reason);
/* With the lock: out of its tenant's queue, to go into its cell's calls. */
void worker_call_unqueue(struct worker_record *call);
/* All of a list, one by one. */
void worker_call_end_queue(struct worker_tenant *tenant, enum worker_end_kind kind,
                           const char *reason);
void worker_call_end_all_of(struct worker_cell *cell, enum worker_end_kind kind,
                            const char *reason);
/* On the loop: calls that were cancelled while they waited. */
void worker_call_end_cancelled(struct worker *worker);
/* With the send_lock: sends the function before where the cell lacks it; from here on
 * the cell may end the call. -EPIPE: it is over, or the cell is its tenant's no more. */
int worker_call_begin_send(struct worker_cell *cell, uint64_t id, bool *is_cancelled) MUST_CHECK;
/* With the send_lock, after it was sent. */
void worker_call_sent(struct worker_cell *cell, uint64_t id, bool is_cancelled);
void worker_call_free(struct worker_record *call);

/* --------------------------------------------------------------------------- state.c */

const char *worker_state_hear(struct worker_cell *cell, const Rpc__CellReply *reply);
/* On the loop, without the lock: the cell is about to go. */
void worker_state_end(struct worker_cell *cell);

#endif
