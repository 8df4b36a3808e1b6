/* SPDX-License-Identifier: Apache-2.0
 *
 * What cell_serve is made of:
 *
 *   socket's thread (serve.c) -- put --> a thread (serve_function.c): image, proto
 *                             -- call -> record, cell_start (serve_call.c)
 *   executors -- on_end --> reply
 *
 * The one lock guards tables, states and references. It may be held when the cell's own
 * lock is taken, never the other way round.
 */
#ifndef WEFT_CELL_SERVE_INTERNAL_H
#define WEFT_CELL_SERVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "cell/cell_internal.h"
#include "hostcall/hostcall.h"
#include "rpc/rpc.h"

#define SERVE_FUNCTIONS_MAX    4096u
#define SERVE_FUNCTION_BUCKETS 1024u
#define SERVE_CALLS_MAX        (1u << 20)
#define SERVE_CALL_BUCKETS     16384u
#define SERVE_PUT_THREADS_MAX  8u
#define SERVE_DIRECTORIES_MAX  64u
#define SERVE_INPUT_BYTES_MAX  (32u << 20)
#define SERVE_PROTO_BYTES_MAX  (INT64_C(2) << 30)
#define SERVE_NO_ROOM          "the cell has no room for more open files"
#define SERVE_FDS_MAX          (2u + SERVE_DIRECTORIES_MAX)

enum served_state {
    SERVED_PUTTING, /* its calls wait */
    SERVED_READY,
    SERVED_FAILED, /* err, message: its calls end with that */
};

/* A function of the worker's. */
struct served {
    struct served *chain; /* of the table */
    struct served *next;  /* to be put */
    unsigned references;  /* the table's, the put's, one a call */
    enum served_state state;
    bool is_dropped;
    Rpc__CellRequest *request; /* owned; the put */
    int fds[SERVE_FDS_MAX];    /* owned: image, proto, directories; -1: closed */
    size_t fd_count;
    struct list waiting;            /* calls, while it is being put */
    struct cell_function *function; /* of READY */
    bool is_mid_run;
    int err;
    char *message; /* owned */
};

struct serve_call {
    struct link link; /* first: among those that wait for the put */
    struct serve_call *chain;
    struct serve *serve;
    uint64_t number;       /* the worker's */
    uint64_t id;           /* the cell's; 0: not started */
    struct served *served; /* a reference */
    bool is_cancelled;
    Rpc__CellRequest *request; /* owned; until it is started */
    int stdio[3];              /* owned, or HOSTCALL_MEMORY */
    uint64_t begin_ns, wall_ns;
    struct hostcall_process *process; /* owned */
};

struct serve {
    struct net_connection *connection;
    int epoll;
    int event;                  /* owned: the socket's thread is to look at `lost` */
    int cell_epoll, cell_event; /* owned, until the cell has them */
    unsigned processors;
    _Atomic int lost; /* -errno: a reply could not be told, and there is no way to go on */
    struct cell *cell;
    uint64_t calls_max;

    pthread_mutex_t lock;
    pthread_cond_t quiet; /* no put is under way */
    struct served *functions[SERVE_FUNCTION_BUCKETS];
    size_t function_count;
    struct serve_call *calls[SERVE_CALL_BUCKETS];
    size_t call_count;
    struct served *first_put, *last_put;
    unsigned put_threads;
    bool is_ending;
};

/* Any thread, with the lock or without. A reply that cannot be sent ends the cell. */
void serve_reply(struct serve *serve, Rpc__CellReply *reply);

/* A request of the socket's thread, which takes what it needs of request and frame (sets
 * it NULL, or -1). -EPROTO. */
int serve_put(struct serve *serve, Rpc__CellRequest **request, struct net_frame *frame,
              struct diag *diag) MUST_CHECK;
int serve_drop(struct serve *serve, uint64_t number, struct diag *diag) MUST_CHECK;
int serve_call(struct serve *serve, Rpc__CellRequest **request, struct net_frame *frame,
               struct diag *diag) MUST_CHECK;
void serve_cancel(struct serve *serve, uint64_t number);

/* With the lock. */
struct served *served_find(struct serve *serve, uint64_t number);
/* Without. */
void served_put(struct serve *serve, struct served *served);
/* The record for a run of it: of initialisation where call is NULL. */
int served_process(const struct served *served, const struct serve_call *call,
                   struct hostcall_process **out, struct diag *diag) MUST_CHECK;
/* Ends all puts, waits for those that are under way, and drops all functions. */
void serve_stop_functions(struct serve *serve);

/* Without the lock: a call whose function is no longer being put. */
void serve_call_start(struct serve_call *call);
/* Without: it ends without having been started. */
void serve_call_fail(struct serve_call *call, int err, const char *message);

#endif
