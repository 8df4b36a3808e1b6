/* SPDX-License-Identifier: Apache-2.0
 *
 * agent, inside. Who does what:
 *
 *   link     one thread: dials, hears the planner, owns tenants, functions and wants, starts
 *            and stops calls
 *   disk     one thread: the cache of blobs, files, tenants and functions of the worker:
 *            what may take long. Jobs go to it in order, and come back done to the link
 *   worker's on_end packs what came of a run and sends it at once; on_chain likewise
 *
 *   run: WAITING (for its function) -> RUNNING -> ENDED (told, until it is heard)
 *                                         \-> SAVING -> UPLOADING -/  with a Proto-Faaslet
 *
 * Locks, in this order: start_lock, lock, send_lock; disk_lock alone, or within lock. The
 * worker's functions may be called with any of them: it calls back with none of its own.
 *
 *   start_lock  the link, from worker_call until the call can be found by its number; who
 *               looks for one that is not there yet waits for it
 *   lock        runs, chains, references and what else is marked so
 *   send_lock   the connection, which only the link changes, with both
 *   disk_lock   the queues of jobs
 */
#ifndef WEFT_AGENT_INTERNAL_H
#define WEFT_AGENT_INTERNAL_H

#include <pthread.h>

#include "agent/agent.h"
#include "jail/jail.h"
#include "rpc/rpc.h"
#include "store/store.h"
#include "worker/worker.h"

#define AGENT_ADDRESSES_MAX    16u
#define AGENT_REASON_MAX       512
#define AGENT_PATH_MAX         3072
#define AGENT_BUCKETS          4096u /* of each table; a power of two */
#define AGENT_SLOTS_A_CPU      64u
#define AGENT_SLOTS_MAX        65536u
#define AGENT_RUNS_MORE        4096u                 /* than twice the slots: ends not heard */
#define AGENT_END_BYTES_MAX    (UINT64_C(512) << 20) /* of all ends that are not heard */
#define AGENT_LOG_BYTES_MAX    (64u << 10)           /* of a member, its end */
#define AGENT_LOGS_BYTES_MAX   (1u << 20)            /* of all members, their end */
#define AGENT_WAITING_BYTES    (UINT64_C(256) << 20) /* of starts that wait for functions */
#define AGENT_STRINGS_MAX      8192u                 /* args, env */
#define AGENT_FILES_MAX        4096u                 /* of a function */
#define AGENT_FILE_PATH_MAX    1024u
#define AGENT_TENANTS_MAX      16384u
#define AGENT_FUNCTIONS_MAX    65536u
#define AGENT_CHAINS_MAX       262144u               /* open at one time */
#define AGENT_FETCHES_MAX      4u                    /* blobs that come at one time */
#define AGENT_FETCH_BYTES_MAX  STORE_BLOB_BYTES_MAX  /* of these together */
#define AGENT_FETCH_ROUNDS_MAX 4u                    /* until a function's blobs are there */
#define AGENT_FETCH_NS         UINT64_C(60000000000) /* without a piece of a blob */
#define AGENT_CACHE_BYTES_MAX  (UINT64_C(8) << 30)
#define AGENT_PIECE_BYTES      (1u << 20)
#define AGENT_UPLOAD_QUEUE     (UINT64_C(8) << 20)    /* of the connection's, while uploading */
#define AGENT_GREETING_NS      UINT64_C(10000000000)  /* from dialling to the welcome */
#define AGENT_RETRY_NS         UINT64_C(20000000)     /* what a queue had no room for */
#define AGENT_IDLE_NS          WORKER_IDLE_NS_DEFAULT /* a cell ends after */
#define AGENT_STALE_NS         UINT64_C(60000000000)  /* another planner's tenants are kept */

struct agent_function;

/* ------------------------------------------------------------------------------- jobs */

enum agent_job_kind {
    JOB_LIMIT,   /* tenant */
    JOB_REMOVE,  /* tenant; comes back */
    JOB_PREPARE, /* function; comes back */
    JOB_DROP,    /* function; comes back */
    JOB_PUT,     /* want; comes back */
    JOB_SAVE,    /* run; comes back */
    JOB_USAGE,   /* comes back */
};

struct agent_job { /* a part of what it is about: so none needs memory */
    enum agent_job_kind kind;
    void *about;
    struct agent_job *next;
};

struct agent_jobs {
    struct agent_job *first, **end;
};

/* ----------------------------------------------------------------- tenants, functions */

struct agent_tenant {
    struct agent_tenant *next; /* the link's: those that are known */
    char name[AGENT_NAME_BYTES_MAX + 1];
    uint32_t references;          /* lock: being known, its functions */
    bool is_stale;                /* the link's: of another planner's life */
    bool is_gone;                 /* the link's */
    struct jail_limits limits;    /* lock */
    bool is_limit_queued;         /* lock */
    struct worker_tenant *handle; /* the disk's; lock to write and for others to read */
    uint32_t runs;                /* lock: that have begun */
    uint64_t last_end_ns;         /* lock */
    uint64_t cells;               /* lock: raised where its cell is known to be another */
    struct agent_job limit_job, remove_job;
    struct agent_tenant *disk_next; /* the disk's: those with a handle */
    pid_t pid;                      /* the disk's, of the last look */
    uint64_t cpu_ns;
    uint32_t cells_lost;
};

enum agent_function_state {
    FUNCTION_PREPARING, /* the disk has it */
    FUNCTION_FETCHING,  /* waits for wants */
    FUNCTION_READY,
    FUNCTION_BROKEN, /* reason */
};

/* The link's, where it says nothing else. */
struct agent_function {
    struct agent_function *next;        /* of its bucket, while it is known */
    struct agent_function *every_next;  /* lock: of all that exist */
    struct agent_function **every_link; /* lock */
    struct agent_tenant *tenant;
    Rpc__HostDown *down; /* what the planner said; not changed */
    uint64_t number, serial;
    uint32_t references; /* lock: being known, runs, jobs, wants */
    enum agent_function_state state;
    bool is_known;
    bool was_fetched; /* until its first call */
    uint64_t cells;   /* its tenant's at its last call */
    uint32_t missing; /* wants that it waits for */
    uint32_t rounds;
    struct worker_function *handle;
    struct agent_run *waiting, **waiting_end;
    char reason[AGENT_REASON_MAX];
    struct agent_job job, drop_job;
    /* The disk's while it prepares. */
    struct store_hash *lacks;
    size_t lack_count;
    bool has_blobs, has_files;
};

/* -------------------------------------------------------------------------------- runs */

enum agent_run_state {
    RUN_WAITING,
    RUN_RUNNING,
    RUN_SAVING,
    RUN_UPLOADING,
    RUN_ENDED,
};

struct agent_member {
    struct agent_run *run;
    struct agent_member *by_id; /* lock: of its bucket */
    uint64_t id;                /* the worker's; 0: none */
    bool is_listed, is_over;    /* lock */
    struct buffer output, log;  /* of one of several, copied */
};

struct agent_key {
    uint64_t call;
    uint32_t attempt, first_member, members;
};

/* lock, where it says nothing else. */
struct agent_run {
    struct agent *agent;
    struct agent_run *next; /* of its bucket, while it is known */
    struct agent_key key;
    uint32_t references; /* being known; its work */
    enum agent_run_state state;
    bool is_doomed;  /* a world that has ended by one of its members */
    bool is_dropped; /* the planner does not want it any more: nothing is told */
    bool was_cold;
    uint32_t running; /* members that are not over */
    struct agent_function *function;
    struct agent_run *waits; /* the link's: the next of the same function */
    Rpc__HostDown *down;     /* the link's: its start, until it has begun */
    size_t waiting_bytes;    /* the link's */
    struct agent_member *members;
    uint64_t arrived_ns, accepted_ns;
    bool has_end;              /* of one member at least */
    Rpc__HostEnd end;          /* the worst so far, without texts and bytes */
    char *message, *backtrace; /* of it; owned, or NULL */
    struct buffer packed;      /* as it is told; empty: there was no memory */
    uint64_t told_epoch, kept_epoch;
    bool is_save;
    int saved_fd; /* the Proto-Faaslet's, until it is heard */
    int save_err;
    struct store_hash saved;
    uint64_t uploaded; /* the link's */
    struct agent_job job;
};

/* ------------------------------------------------------------------------------- chains */

/* One that the planner was asked for; then, where its cell does not take the end at once,
 * the end. */
struct agent_chain {
    struct agent_chain *next; /* lock: of its bucket, or of those that are late */
    uint64_t id;              /* the worker's, and the planner's number for it */
    Rpc__HostDown *down;      /* its end; owned. NULL: this one */
    enum worker_end_kind kind;
    int err;
    const char *message; /* static */
};

/* -------------------------------------------------------------------------------- wants */

enum agent_want_state { WANT_QUEUED, WANT_ASKED, WANT_PUTTING };

struct agent_waiter {
    struct agent_waiter *next;
    struct agent_function *function; /* a reference */
};

/* A blob that is missing; the link's. */
struct agent_want {
    struct agent_want *next;
    struct store_hash hash;
    enum agent_want_state state;
    int fd;
    uint64_t bytes, heard_ns;
    struct agent_waiter *waiters;
    struct agent_job job;
    int err; /* of the put */
    char reason[AGENT_REASON_MAX];
};

/* ------------------------------------------------------------------------------- agent */

enum agent_link_state {
    LINK_DOWN, /* until dial_at_ns */
    LINK_DIALLING,
    LINK_GREETING,
    LINK_REGISTERING,
    LINK_REGISTERED,
};

struct agent_usage {
    uint64_t cpu_ns, memory_bytes;
    uint32_t cells, ready_cells, cells_lost;
};

struct agent_cache; /* cache.c; the disk's */

struct agent {
    char name[AGENT_NAME_BYTES_MAX + 1];
    char zone[AGENT_NAME_BYTES_MAX + 1];
    char data[AGENT_PATH_MAX];
    char *addresses; /* owned; cut into address */
    const char *address[AGENT_ADDRESSES_MAX];
    unsigned address_count;
    uint32_t slots, cores;
    uint64_t memory_bytes;
    int lock_fd;
    struct net_secret *secret;
    struct worker *worker;
    pthread_mutex_t start_lock, lock, send_lock, disk_lock;
    bool has_link, has_disk; /* their threads */

    /* send_lock to read, with lock to write. */
    struct net_connection *connection; /* or NULL */
    uint64_t epoch;                    /* of the connection; lock suffices to read */
    bool is_registered;                /* the same */

    /* The link's. */
    pthread_t link;
    int epoll_fd, wake_fd, stat_fd;
    enum agent_link_state state;
    int dialling_fd; /* until there is a connection */
    bool is_unread;  /* there may be more to hear */
    struct net_backoff backoff;
    uint64_t dial_at_ns, deadline_ns, beat_at_ns, heard_ns, retry_at_ns, welcome_ns;
    uint64_t planner, beat_ns, silence_ns; /* of the last welcome; 0: none yet */
    bool is_told_leaving;
    uint64_t stat_busy, stat_all;
    struct agent_tenant *tenants;
    uint32_t tenant_count, function_count;
    struct agent_function *functions[AGENT_BUCKETS];
    uint64_t next_serial;
    struct agent_want *wants;
    uint32_t fetches;
    uint64_t waiting_bytes, fetch_bytes;
    bool is_draining;

    /* lock. */
    bool is_stopping, is_leaving;
    bool is_retry_due; /* something is to be told or answered later */
    struct agent_run *runs[AGENT_BUCKETS];
    struct agent_member *members[AGENT_BUCKETS];
    uint32_t run_count, members_used, calls, unheard, uploads;
    uint64_t ended, end_bytes;
    uint64_t next_world; /* the link's */
    struct agent_chain *chains[AGENT_BUCKETS];
    uint32_t chain_count;
    struct agent_chain *late;
    struct agent_function *every_function;
    struct agent_usage usage; /* of the last look */
    uint32_t view_functions, view_wants;
    char reason[AGENT_REASON_MAX];

    /* The disk's. */
    pthread_t disk;
    pthread_cond_t disk_work;
    struct agent_jobs todo, done; /* disk_lock, as is_disk_stopping */
    bool is_disk_stopping, is_usage_busy;
    struct agent_job usage_job;
    struct agent_cache *cache;
    struct agent_tenant *disk_tenants;
    struct agent_usage past; /* of cells that are gone */
};

void agent_wake(struct agent *agent);
void agent_reason(char reason[AGENT_REASON_MAX], const char *format, ...) PRINTF_LIKE(2, 3);

/* ------------------------------------------------------------------------------ link.c */

void *agent_link_run(void *agent);
/* Any thread, without locks: nothing is sent where the connection is another by now.
 * Errors are net_send's. */
int agent_send(struct agent *agent, uint64_t epoch, Rpc__HostUp *up) MUST_CHECK;
int agent_send_bytes(struct agent *agent, uint64_t epoch, const void *bytes,
                     size_t count) MUST_CHECK;
/* With the lock: the present epoch, or 0 where it is not registered. */
uint64_t agent_epoch(const struct agent *agent);
/* Something is to be tried again soon. Without locks. */
void agent_retry(struct agent *agent);

/* ------------------------------------------------------------------------------ talk.c */

/* On the link: a word of the planner after its welcome; takes it. */
void agent_hear(struct agent *agent, Rpc__HostDown *down);
int agent_register(struct agent *agent) MUST_CHECK;
void agent_beat(struct agent *agent, uint64_t now_ns);

/* -------------------------------------------------------------------------- function.c */

void agent_hear_tenant(struct agent *agent, const Rpc__HostTenant *tenant);
void agent_hear_tenant_gone(struct agent *agent, const char *name);
void agent_hear_function(struct agent *agent, Rpc__HostDown *down); /* takes it */
void agent_hear_function_gone(struct agent *agent, uint64_t number);
struct agent_function *agent_function_find(const struct agent *agent, uint64_t number);
/* With the lock. */
void agent_function_get(struct agent_function *function);
void agent_function_put(struct agent *agent, struct agent_function *function);
/* On the link: has come back from the disk. */
void agent_function_prepared(struct agent *agent, struct agent_function *function);
void agent_function_dropped(struct agent *agent, struct agent_function *function);
void agent_tenant_removed(struct agent *agent, struct agent_tenant *tenant);
/* One blob less to wait for; err: that one cannot be had. Gives the reference back. */
void agent_function_supplied(struct agent *agent, struct agent_function *function, int err,
                             const char *reason);
/* Another planner's life. */
void agent_function_forget_all(struct agent *agent);
void agent_tenant_sweep(struct agent *agent, uint64_t now_ns);
/* When all threads are over. */
void agent_function_free_all(struct agent *agent);
void agent_function_free(struct agent_function *function);

/* ------------------------------------------------------------------------------- run.c */

void agent_hear_start(struct agent *agent, Rpc__HostDown *down); /* takes it */
void agent_hear_stop(struct agent *agent, const Rpc__HostRun *run);
void agent_hear_heard(struct agent *agent, const Rpc__HostHeard *heard);
/* Those that waited for this function begin, or, with a reason, end like this. */
void agent_run_release(struct agent *agent, struct agent_function *function,
                       enum worker_end_kind kind, const char *reason);
/* All whose key is not among these are ended, and not told. */
void agent_run_keep(struct agent *agent, Rpc__HostRun *const *keep, size_t count);
/* Nobody waits any more for what has not ended. */
/* With the lock: its members that run end soon. */
void agent_run_cancel(struct agent_run *run);
void agent_run_give_up(struct agent *agent);
/* Tells all ends that were not told on this connection. */
void agent_run_tell_all(struct agent *agent);
void agent_run_saved(struct agent *agent, struct agent_run *run);
/* Sends pieces of Proto-Faaslets as long as there is room. */
void agent_run_upload(struct agent *agent);
/* The list is the caller's to free; the messages are in it. -ENOMEM. */
int agent_run_list(struct agent *agent, Rpc__HostRun ***out, size_t *count) MUST_CHECK;
/* With the lock: the call of the planner's to which this call of the worker's belongs, and
 * its tenant's name; 0: none. */
uint64_t agent_run_parent(struct agent *agent, uint64_t id, const char **tenant);
void agent_run_free_all(struct agent *agent);

/* -------------------------------------------------------------------------------- end.c */

/* worker_call's; the context is an agent_member. */
void agent_end_heard(void *member, const struct worker_end *end);
/* A run that did not begin: all its members have ended like this. Without locks. */
void agent_end_run(struct agent_run *run, enum worker_end_kind kind, int err, const char *message);
/* Tells it, with a reference that it gives back. */
void agent_end_tell(struct agent_run *run, uint64_t epoch);
/* On the link: packed anew with its Proto-Faaslet, or with why there is none. */
void agent_end_pack_saved(struct agent_run *run, const char *reason);
/* With the lock. */
void agent_run_put(struct agent_run *run);
void agent_run_forget(struct agent_run *run); /* is not known any more */

/* ------------------------------------------------------------------------------ chain.c */

void agent_chain_heard(void *agent, const struct worker_chain *chain);
void agent_chain_cancelled(void *agent, uint64_t id);
void agent_hear_chain_end(struct agent *agent, Rpc__HostDown *down); /* takes it */
/* The connection is lost. */
void agent_chain_lose_all(struct agent *agent);
/* What a cell did not take. */
void agent_chain_retry(struct agent *agent);
void agent_chain_free_all(struct agent *agent);

/* ------------------------------------------------------------------------------- blob.c */

/* Waits with a reference of the function's, which is taken. */
int agent_want_add(struct agent *agent, const struct store_hash *hash,
                   struct agent_function *function) MUST_CHECK;
void agent_hear_blob(struct agent *agent, const Rpc__HostBlob *blob);
void agent_want_put(struct agent *agent, struct agent_want *want); /* has come back */
void agent_want_ask(struct agent *agent, uint64_t now_ns);
/* Those that were asked for are to be asked for again. */
void agent_want_reset(struct agent *agent);
void agent_want_forget_all(struct agent *agent);
void agent_want_free_all(struct agent *agent);
bool agent_hash_of(const ProtobufCBinaryData *bytes, struct store_hash *out);
#define AGENT_HEX_BYTES (2 * STORE_HASH_BYTES + 1)
void agent_hash_print(const struct store_hash *hash, char out[AGENT_HEX_BYTES]);

/* ------------------------------------------------------------------------------- disk.c */

void *agent_disk_run(void *agent);
void agent_disk_push(struct agent *agent, struct agent_job *job, enum agent_job_kind kind,
                     void *about);
/* The next that has come back, or NULL. */
struct agent_job *agent_disk_take(struct agent *agent);

/* ------------------------------------------------------------------------------ cache.c */

int agent_cache_open(struct agent *agent, struct diag *diag) MUST_CHECK;
void agent_cache_close(struct agent *agent);
/* On the disk. A descriptor of it, to be closed. -ENOENT: it is missing. */
int agent_cache_get(struct agent *agent, const struct store_hash *hash, int *fd,
                    struct diag *diag) MUST_CHECK;
/* The same as sealed memory, which all that hold the blob share; it must be held. */
int agent_cache_get_sealed(struct agent *agent, const struct store_hash *hash, int *fd,
                           struct diag *diag) MUST_CHECK;
bool agent_cache_has(const struct agent *agent, const struct store_hash *hash);
int agent_cache_put(struct agent *agent, int fd, struct store_hash *hash,
                    struct diag *diag) MUST_CHECK;
/* What is held is not removed to make room. -ENOENT. */
int agent_cache_hold(struct agent *agent, const struct store_hash *hash) MUST_CHECK;
void agent_cache_release(struct agent *agent, const struct store_hash *hash);

/* ------------------------------------------------------------------------------ files.c */

/* Empties the directory of all functions' files, or makes it. */
int agent_files_open(struct agent *agent, struct diag *diag) MUST_CHECK;
bool agent_files_is_path(const char *path);
/* On the disk: the directory of a function, whose blobs are there. */
int agent_files_make(struct agent *agent, uint64_t serial, const Rpc__HostFunction *function,
                     int *fd, struct diag *diag) MUST_CHECK;
void agent_files_remove(struct agent *agent, uint64_t serial);

/* ----------------------------------------------------------------------------- state.c */

/* worker_state_fn. */
void agent_state_heard(void *agent, const struct worker_state *words);
/* On the link. */
void agent_hear_state(struct agent *agent, const Rpc__HostState *state);

#endif
