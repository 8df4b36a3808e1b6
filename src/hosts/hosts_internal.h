/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts, inside. One thread, the loop, hears all connections and is the only one that makes
 * and ends hosts and peers, and that calls the planner about hosts. The planner's wishes
 * (start, stop) come on any thread under its lock, and are sent there and then.
 *
 *   planner's lock  ->  hosts->lock  ->  locks of net and catalog
 *
 * so nothing here calls the planner with hosts->lock. What a start cannot do is noted in its
 * run as a fate, and told by the loop.
 *
 * A host is a name that the planner knows; its peer is the connection, which may break and
 * come anew. Blobs are read and written by threads of the disk, which hold a reference of
 * the peer that they work for.
 */
#ifndef WEFT_HOSTS_HOSTS_INTERNAL_H
#define WEFT_HOSTS_HOSTS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "hosts/hosts.h"
#include "rpc/rpc.h"

#define HOSTS_BEAT_NS         UINT64_C(1000000000)
#define HOSTS_STRANGER_NS     UINT64_C(5000000000) /* for the proof, the hello and the register */
#define HOSTS_STRANGERS_MAX   256u
#define HOSTS_FRAMES_A_TURN   64u
#define HOSTS_ENDS_HEARD      64u                /* are told of at once */
#define HOSTS_ANSWER_NS       UINT64_C(20000000) /* and fewer after so long */
#define HOSTS_RUN_BUCKETS     256u
#define HOSTS_KNOWN_BUCKETS   256u
#define HOSTS_KNOWN_MAX       8192u /* functions, and tenants, that a worker is told of */
#define HOSTS_CHAIN_BUCKETS   64u
#define HOSTS_SESSION_BUCKETS 64u
#define HOSTS_CHAINS_MAX      65536u /* of one worker */
#define HOSTS_DEPTH_MAX       256u   /* of calls that chained calls */
#define HOSTS_WANTS_MAX       1024u  /* blobs that one worker asks for at one time */
#define HOSTS_UPLOADS_MAX     16u    /* blobs that one worker sends at one time */
#define HOSTS_PIECE_BYTES     (1u << 20)
#define HOSTS_QUEUED_MAX      (8u << 20) /* of pieces, on one connection */
#define HOSTS_DRAINED_MAX     HOSTS_MAX  /* names, also of hosts that are away */
#define HOSTS_DISK_THREADS    4u
#define HOSTS_LOG_BYTES_MAX   (64u << 10) /* of what a call wrote to 2: its end is kept */
#define HOSTS_TEXT_BYTES_MAX  511u        /* of what a worker says of itself */

/* ---------------------------------------------------------------------------- disk */

/* A piece of work for the disk's threads: done once, or dropped at the end. */
struct disk_job {
    struct disk_job *next;
    void (*work)(struct disk_job *job);
    void (*drop)(struct disk_job *job);
};

struct disk {
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct disk_job *first, *last;
    bool is_ending;
    pthread_t threads[HOSTS_DISK_THREADS];
    uint32_t thread_count;
};

int hosts_disk_start(struct disk *disk) MUST_CHECK;
void hosts_disk_stop(struct disk *disk); /* waits for the jobs that run; drops the others */
void hosts_disk_add(struct disk *disk, struct disk_job *job);

/* ----------------------------------------------------------------------------- peers */

enum peer_state {
    PEER_NEW,     /* has said nothing */
    PEER_GREETED, /* has said its name */
    PEER_UP,      /* is a host */
    PEER_OVER,
};

/* A connection. */
struct peer {
    struct peer *next, **link; /* strangers; those that are over */
    struct hosts *hosts;
    struct host *host; /* NULL: a stranger */
    struct net_connection *connection;
    enum peer_state state; /* the loop's */
    char name[HOSTS_NAME_BYTES_MAX + 1];
    uint64_t deadline_ns;     /* of a stranger */
    bool is_unread, is_heard; /* the loop's: more waits; it spoke in this turn */
    bool is_beat_due;         /* the loop's: to be answered */
    Rpc__HostRun *ends;       /* the loop's: to be told as heard; owned */
    size_t end_count, end_capacity;
    uint64_t answer_at_ns;  /* where there are ends */
    struct upload *uploads; /* the loop's */
    uint32_t upload_count;
    struct session *sessions[HOSTS_SESSION_BUCKETS]; /* the loop's */
    uint32_t session_count;

    /* With the lock. */
    uint32_t references;
    bool is_over, is_failed; /* failed: a word to it was lost, so it is to be cut */
    struct sending *sendings;
    uint32_t sending_count;
    struct chain *chains[HOSTS_CHAIN_BUCKETS];
    uint32_t chain_count;
};

/* ----------------------------------------------------------------------------- hosts */

enum fate { FATE_NONE, FATE_LOST, FATE_FAILED, FATE_CANCELLED };

/* Members of one attempt of a call that the planner has given to a host. With the lock. */
struct run {
    struct run *next; /* of the bucket */
    struct run *next_fated;
    struct planner_run run;
    uint32_t left;   /* members */
    uint64_t number; /* of its function there */
    bool is_prepare; /* the function is its own */
    bool is_stopped; /* the planner does not want it any more */
    bool is_named;   /* by the worker that came back */
    enum fate fate;  /* what the loop has to tell of it */
    int err;         /* of a fate */
    char *reason;    /* of a fate; owned; NULL: no memory for it */
    uint8_t *unsent; /* the call, packed, where it could not be sent yet; owned */
    size_t unsent_count;
    uint32_t priority;
    char tenant[PLANNER_TENANT_BYTES_MAX + 1];
};

/* What a worker was told of: a version. With the lock. */
struct known {
    struct known *next;          /* of the bucket */
    struct known *newer, *older; /* by use */
    uint64_t number;
    uint32_t version;
    char tenant[PLANNER_TENANT_BYTES_MAX + 1];
    char function[CATALOG_NAME_BYTES_MAX + 1];
};
struct known_tenant {
    struct known_tenant *next;
    char name[PLANNER_TENANT_BYTES_MAX + 1];
};

struct host {
    struct host *next; /* by name */
    struct hosts *hosts;
    struct planner_host *planner; /* the loop's */
    char name[HOSTS_NAME_BYTES_MAX + 1];
    char address[NET_ADDRESS_MAX];
    char zone[HOSTS_TEXT_BYTES_MAX + 1], version[HOSTS_TEXT_BYTES_MAX + 1];
    char missing[HOSTS_TEXT_BYTES_MAX + 1];
    uint32_t slots, cores;
    uint64_t memory_bytes;

    /* With the lock. */
    struct peer *peer; /* NULL: it is away */
    uint64_t heard_ns;
    uint64_t told_ns; /* the loop's: when the planner was told last that it is heard */
    Rpc__HostBeat beat;
    bool is_leaving, is_drained; /* drained: as the planner was told */
    bool is_hopeless;            /* no memory for a start: it is to be put down */
    struct run *runs[HOSTS_RUN_BUCKETS];
    uint32_t used;
    struct run *fated;
    struct known *known[HOSTS_KNOWN_BUCKETS];
    struct known *newest, *oldest;
    uint32_t known_count;
    struct known_tenant *tenants[HOSTS_KNOWN_BUCKETS];
    uint32_t tenant_count;
};

struct drained {
    struct drained *next;
    char name[HOSTS_NAME_BYTES_MAX + 1];
};

struct hosts {
    struct hosts_config config;
    char *name;
    char address[NET_ADDRESS_MAX];
    struct net_secret *secret;
    uint64_t life; /* of this planner */
    int listening, epoll, event;
    pthread_t thread;
    bool has_thread;
    struct disk disk;
    struct peer *strangers, *ended; /* the loop's */
    uint32_t stranger_count;
    uint64_t look_at_ns, listen_at_ns; /* the loop's */

    pthread_mutex_t lock;
    pthread_cond_t chains_over;
    bool is_ending, has_chores; /* with the lock, as all below */
    struct host *hosts;
    uint32_t host_count;
    struct drained *drained;
    uint32_t drained_count;
    uint64_t next_number; /* of functions */
    struct upload *done;  /* by the disk */
    struct chain *chains; /* all */
};

/* Zeros, or NULL. Fault point hosts.alloc. */
void *hosts_alloc(size_t bytes) MUST_CHECK;
uint64_t hosts_hash(uint64_t seed, const char *text);
/* With the lock: the loop has something to do. */
void hosts_wake(struct hosts *hosts);
/* With the lock. NULL: there is none. */
struct host *hosts_find(const struct hosts *hosts, const char *name);
bool hosts_is_drained(const struct hosts *hosts, const char *name);

/* loop.c */
void *hosts_loop(void *hosts);

/* peer.c; the loop's */
void hosts_peer_accept(struct hosts *hosts, int fd);
void hosts_peer_event(struct peer *peer);
void hosts_peer_close(struct peer *peer);
void hosts_peer_forget(struct hosts *hosts);                /* those that are over */
void hosts_peer_answer(struct peer *peer, uint64_t now_ns); /* what it said, where that is due */
/* With the lock. */
void hosts_peer_put(struct peer *peer);
/* With the lock: sends; what cannot be sent is a word lost, and the end of the connection. */
int hosts_send(struct peer *peer, Rpc__HostDown__IsCase is, void *message) MUST_CHECK;
void hosts_say(struct peer *peer, Rpc__HostDown__IsCase is, void *message);
void hosts_peer_fail(struct peer *peer);

/* host.c; the loop's */
bool hosts_host_register(struct peer *peer, const Rpc__HostRegister *message);
void hosts_host_beat(struct host *host, const Rpc__HostBeat *beat);
void hosts_host_down(struct host *host);
bool hosts_host_may_come(struct hosts *hosts, const char *name, struct diag *diag);
void hosts_host_drain(struct host *host); /* as it is wanted now */

/* run.c */
extern const struct planner_host_ops hosts_run_ops;
/* With the lock. attempt 0: any. */
struct run *hosts_run_find(const struct host *host, uint64_t call, uint32_t attempt);
void hosts_run_resume(struct host *host);     /* with the lock: after the worker has come back */
void hosts_run_tell_fates(struct host *host); /* the loop's */
void hosts_run_end(struct peer *peer, const Rpc__HostEnd *end);
void hosts_run_free_all(struct host *host);

/* function.c; with the lock: the number of the call's function there, which is told first
 * where it is not known. */
int hosts_function(struct host *host, const Ledger__Call *call, uint64_t *number,
                   struct diag *diag) MUST_CHECK;
int hosts_function_prepare(struct host *host, const Ledger__Call *call, uint64_t *number,
                           struct diag *diag) MUST_CHECK;
void hosts_function_gone(struct host *host, uint64_t number);
void hosts_function_changed(struct host *host, const char *tenant, const char *function,
                            const struct catalog_tenant *now);
void hosts_function_forget(struct host *host, bool is_told);
/* Whether the worker was told of that tenant. */
bool hosts_function_has_tenant(const struct host *host, const char *tenant);

/* state.c; the loop's */
void hosts_state_hear(struct peer *peer, const Rpc__HostState *words);
void hosts_state_end_all(struct peer *peer);

/* chain.c; the loop's */
void hosts_chain_start(struct peer *peer, const Rpc__HostChain *message);
void hosts_chain_cancel(struct peer *peer, uint64_t number);
void hosts_chain_end_all(struct peer *peer);
void hosts_chain_await(struct hosts *hosts); /* cancels all; until none is left */

/* sending.c: blobs for workers */
void hosts_sending_start(struct peer *peer, const ProtobufCBinaryData *hash); /* the loop's */
void hosts_sending_go_on(struct peer *peer);                                  /* the loop's */
void hosts_sending_end_all(struct peer *peer);                                /* with the lock */

/* upload.c: blobs of workers; the loop's */
void hosts_upload_hear(struct peer *peer, const Rpc__HostBlob *blob);
/* What is to be known of a Proto-Faaslet before an end is told. 0: it is in the store. -EAGAIN:
 * not yet; hosts_run_end is called again. Else it is not (diag). */
int hosts_upload_ask(struct peer *peer, const Rpc__HostEnd *end, struct diag *diag) MUST_CHECK;
void hosts_upload_done(struct hosts *hosts); /* what the disk has done */
void hosts_upload_end_all(struct peer *peer);
void hosts_upload_free_done(struct hosts *hosts);

#endif
