/* SPDX-License-Identifier: Apache-2.0
 *
 * crash: a cluster of processes that are killed while somebody uses it.
 *
 *   crash.c     what is done, in which order, and what must be so afterwards
 *   process.c   processes: started, killed, looked at
 *   http.c      questions to whichever planner answers
 *   load.c      threads that call, and remember what they were promised
 *   history.c   calls that change state, and whether an order explains all that they saw
 *   locks.c     locks whose holder's host dies, stands still, is cut off
 *   verify.c    whether the promises were kept; what is left of a cluster that is idle
 *   network.c   workers in networks of their own, that are cut off
 *
 * All random numbers come from one seed, which is printed. Processes end with this one
 * (PR_SET_PDEATHSIG), however it ends.
 */
#ifndef WEFT_TESTS_CLUSTER_CRASH_H
#define WEFT_TESTS_CLUSTER_CRASH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/macros.h"

/* ------------------------------------------------------------------------- counting */

/* Prints and counts. True if it is so. */
bool crash_check(bool is_so, const char *format, ...) PRINTF_LIKE(2, 3);
void crash_say(const char *format, ...) PRINTF_LIKE(1, 2); /* with the time since the start */
/* SIGINT or SIGTERM came: all waits end. */
bool crash_is_interrupted(void);
/* At least 0, below the limit. */
uint64_t crash_random(uint64_t *state, uint64_t limit);
void crash_sleep_ms(unsigned ms); /* or until interrupted */

/* ------------------------------------------------------------------------ processes */

#define CRASH_WORDS_MAX 28u
#define CRASH_WORD      256u

struct crash_process {
    char name[32], log[CRASH_WORD];
    char words[CRASH_WORDS_MAX][CRASH_WORD];
    size_t word_count;
    pid_t pid;       /* 0: it does not run */
    bool is_apart;   /* in a network of its own */
    unsigned number; /* of that network */
    bool has_input;  /* a pipe that ends with this program */
};

void crash_process_word(struct crash_process *process, const char *format, ...) PRINTF_LIKE(2, 3);
bool crash_process_start(struct crash_process *process);
void crash_process_kill(struct crash_process *process); /* -9, and waits */
bool crash_process_end(struct crash_process *process);  /* SIGTERM; whether it ended well */
/* SIGSTOP, or SIGCONT, to it and others. */
void crash_pause(pid_t pid, const pid_t *others, size_t count, bool is_pause);
bool crash_process_is_alive(struct crash_process *process);
/* Runs a program to its end. */
bool crash_run(const char *const *words);
/* All below one, however deep; how many. */
size_t crash_processes_below(pid_t pid, pid_t *out, size_t max);
unsigned crash_free_port(void);
bool crash_await_port(unsigned port, unsigned seconds);

/* What a process holds. */
struct crash_held {
    size_t processes, descriptors, groups;
    uint64_t anonymous_kb; /* memory that is its own */
};
struct crash_held crash_held(pid_t pid);
size_t crash_links(void); /* network interfaces of this machine's that Weft or this test made */

/* -------------------------------------------------------------------------- cluster */

#define CRASH_WORKERS      2u
#define CRASH_PLANNERS_MAX 2u
#define CRASH_SILENCE_S    5u /* after which a host is taken for dead: the planner's default */

struct crash_cluster {
    char folder[128], build[128];
    struct crash_process planners[CRASH_PLANNERS_MAX], workers[CRASH_WORKERS], redis, s3;
    size_t planner_count;
    unsigned ports[CRASH_PLANNERS_MAX]; /* of their gateways */
    unsigned redis_port;
    char token[128];
};

enum crash_kind { CRASH_EMBEDDED, CRASH_REMOTE, CRASH_PARTITION, CRASH_QUIET };

/* Starts it and deploys "digest", which is tried again as often as hosts are lost, and
 * "once", "holder" and "history", which are not. */
bool crash_cluster_open(struct crash_cluster *cluster, enum crash_kind kind, const char *build);
/* Ends every process, with -9 what does not end by itself, and removes the folder; true if all
 * ended well. */
bool crash_cluster_close(struct crash_cluster *cluster, bool is_kept);
bool crash_cluster_await(struct crash_cluster *cluster, unsigned seconds); /* a planner leads */
bool crash_cluster_await_hosts(struct crash_cluster *cluster, unsigned seconds);
/* The planner whose gateway answers; -1. */
int crash_cluster_leader(struct crash_cluster *cluster);

/* ----------------------------------------------------------------------------- http */

struct crash_client {
    void *curl;
    struct crash_cluster *cluster;
    size_t planner; /* that answered last */
};
struct crash_request {
    const char *method, *path, *token, *tenant, *key; /* token NULL: the tenant's */
    const void *body;
    size_t count;
    unsigned timeout_ms; /* 0: 90 s */
};
struct crash_answer {
    long status; /* 0: nobody answered */
    struct buffer body;
    uint64_t took_ns;
    bool is_late; /* it did not answer within the timeout */
};
void crash_client_open(struct crash_client *client, struct crash_cluster *cluster);
void crash_client_close(struct crash_client *client);
/* The planner that answered last, else the other. */
void crash_ask(struct crash_client *client, const struct crash_request *request,
               struct crash_answer *out);
/* GET as JSON, by the administrator or the tenant; NULL. */
json_t *crash_get(struct crash_client *client, bool is_admin, const char *path);
bool crash_read_token(struct crash_cluster *cluster, char out[128]);

/* ----------------------------------------------------------------------------- load */

#define CRASH_LOADS_ASYNC 4u
#define CRASH_LOADS_SYNC  2u
#define CRASH_LOADS       (CRASH_LOADS_ASYNC + CRASH_LOADS_SYNC)
#define CRASH_ITEMS_MAX   8192u
#define CRASH_RESULT      24u

/* An asynchronous call that was asked for. */
struct crash_item {
    uint64_t seed, id; /* id 0: it was not acknowledged */
    bool is_once;      /* may be lost with its host */
    char result[CRASH_RESULT];
};

struct crash_load {
    struct crash_cluster *cluster;
    pthread_t thread;
    uint64_t seed;
    bool is_async;
    unsigned once_percent, sleep_ms_max; /* of a call */
    atomic_bool *is_over;
    struct crash_item *items;
    size_t item_count;
    uint64_t repeated, retried;       /* asynchronous: keys said twice, requests without answer */
    uint64_t answered, failed, wrong; /* synchronous */
    uint64_t longest_ns;
    char complaint[256]; /* the first broken promise; "" */
};

void crash_loads_start(struct crash_load *loads, struct crash_cluster *cluster, uint64_t seed);
void crash_loads_stop(struct crash_load *loads);
size_t crash_loads_acknowledged(const struct crash_load *loads);
/* The input that a seed makes; what its digest is. */
size_t crash_input(uint64_t seed, unsigned sleep_ms_max, uint8_t *out);
void crash_digest(const uint8_t *bytes, size_t count, char out[CRASH_RESULT]);

/* -------------------------------------------------------------------------- history */

/* Threads that call the guest "history" until they are stopped, which waits for their calls; it
 * pauses for up to so long before each operation. */
void crash_history_start(struct crash_cluster *cluster, uint64_t seed, unsigned pause_us);
void crash_history_stop(void);
void crash_history_verify(struct crash_cluster *cluster);
/* Calls that were lost and operations that may have happened. */
size_t crash_history_lost(void);
/* Operations that had begun at this moment, were over after it, and done. */
size_t crash_history_across(uint64_t ns);

/* ---------------------------------------------------------------------------- locks */

enum crash_blow { CRASH_KILLED, CRASH_STOPPED, CRASH_CUT };

/* A call on the first worker has a lock, one on the other waits for it; then this happens. */
void crash_lock_moves(struct crash_cluster *cluster, enum crash_blow blow);

/* --------------------------------------------------------------------------- verify */

/* Every acknowledged call is over, has one result, and the right one. The first time results
 * are kept, then they must be the same. */
void crash_verify(struct crash_load *loads, const char *when);
/* No slot is used, nothing runs or waits, within the seconds. */
void crash_verify_idle(struct crash_cluster *cluster, unsigned seconds);
/* Of planner and workers together. */
struct crash_held crash_cluster_held(struct crash_cluster *cluster);
void crash_verify_held(struct crash_cluster *cluster, const struct crash_held *before);

/* -------------------------------------------------------------------------- network */

/* In the child, before exec: leaves this network and waits for its own. In the parent:
 * gives it one, 10.231.NUMBER.2 with this machine at 10.231.NUMBER.1. */
bool crash_network_leave(int told, int ready);
bool crash_network_give(unsigned number, pid_t pid);
bool crash_network_cut(unsigned number, bool is_cut);
void crash_network_remove(unsigned number);

#endif
