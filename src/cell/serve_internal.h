/* SPDX-License-Identifier: Apache-2.0
 *
 * What cell_serve is made of:
 *
 *   socket's thread (serve.c) -- put --> a thread (serve_function.c): image, proto
 *                             -- call -> record, cell_start (serve_call.c)
 *   executors -- on_end --> reply, or the call that chained it
 *   executors -- a guest chains (serve_chain.c) -> record, cell_start; or the worker
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
#include "state/state.h"

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
#define SERVE_DEPTH_MAX        256u   /* of calls that chained calls that chained ... */
#define SERVE_REMOTES_MAX      65536u /* chained calls that are the worker's */
#define SERVE_REMOTE_BUCKETS   1024u
#define SERVE_POINTER_ENTRY    "weft_pointer_entry"

/* The cell's own numbers of calls; the worker's are smaller. */
#define SERVE_CHAINED (UINT64_C(1) << 63)

enum served_state {
    SERVED_PUTTING, /* its calls wait */
    SERVED_READY,
    SERVED_FAILED, /* err, message: its calls end with that */
};

/* A function of the worker's. */
struct served {
    struct served *chain; /* of the table */
    struct served *named; /* of the same bucket of names, newest first */
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
    bool has_group; /* its program can be a member of a group */
    int err;
    char *message; /* owned */
};

/* A chained call, as the call that chained it knows it. */
struct serve_handle {
    uint32_t serial; /* of those that had this place */
    enum { SERVE_HANDLE_FREE, SERVE_HANDLE_RUNNING, SERVE_HANDLE_OVER } state;
    bool is_waited; /* the call is to be woken at its end */
    bool is_detached, is_remote;
    uint32_t next_free;
    uint64_t number; /* of the call, or of the remote */
    struct hostcall_chain_end end;
    uint8_t *bytes; /* owned: its streams, one after the other */
};

/* Those of one call: one of its own thread only changes their number. */
struct serve_handles {
    struct serve_handle *items; /* owned */
    uint32_t count, capacity, free, live;
};

/* A chained call that is the worker's. */
struct serve_remote {
    struct serve_remote *next;
    uint64_t number, parent, handle;
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
    int save_fd;               /* owned: where it is to be saved; -1: it is to run */
    uint64_t begin_ns, wall_ns;
    struct hostcall_process *process; /* owned */

    bool is_chained;
    uint64_t parent, handle; /* of a chained one: who hears of its end */
    uint64_t root;           /* the worker's number from which it descends */
    uint32_t depth, pointer;
    const struct hostcall_chain_start *start; /* of a chained one, while its record is made */
    struct serve_handles handles;
    uint64_t chained, chained_cpu_ns; /* calls that it and its own chained and that ended */
    struct serve_world *world;        /* of which it is a member; a reference, or NULL */
    uint32_t member;
};

struct serve {
    struct net_connection *connection;
    int epoll;
    int event;                  /* owned: the socket's thread is to look at `lost` */
    int cell_epoll, cell_event; /* owned, until the cell has them */
    unsigned processors, executors;
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

    struct hostcall_chain chain; /* registered */
    char *tenant;                /* owned; or NULL */
    struct served *names[SERVE_FUNCTION_BUCKETS];
    _Atomic uint64_t next_chained;
    struct serve_remote *remotes[SERVE_REMOTE_BUCKETS];
    size_t remote_count;
    struct serve_world *worlds;
    uint32_t slots_max, world_slots; /* Faaslets that hold a slot: at most, and members' */
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
int serve_chain_end(struct serve *serve, const Rpc__CellChainEnd *end,
                    struct diag *diag) MUST_CHECK;

/* With the lock. */
struct served *served_find(struct serve *serve, uint64_t number);
/* The newest of that name; NULL: there is none. */
struct served *served_named(struct serve *serve, const char *name);
struct serve_call *serve_call_find(struct serve *serve, uint64_t number);
void serve_call_enter(struct serve *serve, struct serve_call *call, struct served *served);
/* Without. */
void served_put(struct serve *serve, struct served *served);
/* The record for a run of it: of initialisation where call is NULL. */
int served_process(struct serve *serve, const struct served *served, const struct serve_call *call,
                   struct hostcall_process **out, struct diag *diag) MUST_CHECK;
/* Ends all puts, waits for those that are under way, and drops all functions. */
void serve_stop_functions(struct serve *serve);

/* Without the lock: a call whose function is no longer being put. */
void serve_call_start(struct serve_call *call);
/* When it will be stopped; CLOCK_NEVER_NS: never. */
uint64_t serve_call_deadline(const struct serve_call *call);
void serve_call_free(struct serve_call *call);

/* Of the record of a call (hostcall.h); the context is the struct serve. */
extern const struct hostcall_chain_ops serve_chain_ops;
/* With the lock: its parent hears of its end, if there is one that wants to. bytes are
 * those of serve_chain_pack, or NULL. */
void serve_chain_tell(struct serve *serve, const struct serve_call *call, const Rpc__CellEnd *end,
                      uint8_t *bytes);
uint8_t *serve_chain_pack(const Rpc__CellEnd *end);
/* Without: what a call that is over has chained ends too, unless it is detached. Takes
 * the handles. */
void serve_chain_orphan(struct serve *serve, struct serve_handles *handles);
/* With the lock, at the end of all. */
void serve_chain_fini(struct serve *serve);

/* serve_world.c, without the lock: its world, where it is a member of one. -EAGAIN, -EPROTO,
 * -ENOMEM: diag says why not. */
int serve_world_join(struct serve_call *call, struct diag *diag) MUST_CHECK;
/* Its record is gone. */
void serve_world_leave(struct serve_call *call);
struct cell_world *serve_world_of(const struct serve_call *call);

/* Without: it ends without having been started. */
void serve_call_fail(struct serve_call *call, int err, const char *message);

/* serve_state.c; hearing and the time are the socket's thread's. */
int serve_state_start(struct serve *serve) MUST_CHECK;
void serve_state_hear(struct serve *serve, const ProtobufCBinaryData *word);
int serve_state_timeout_ms(const struct serve *serve);
/* cell_done_fn, cell_attach_fn, cell_absent_fn. */
int serve_state_done(void *process);
int serve_state_attach(void *process, struct faaslet *faaslet);
int serve_state_absent(void *process, const struct mem_share *share, uint64_t offset);

#endif
