/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything in a cell is under its one lock, but what belongs to a running task:
 * its Faaslet and record are the executor's until it says otherwise.
 */
#ifndef WEFT_CELL_INTERNAL_H
#define WEFT_CELL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/apart.h"
#include "base/buffer.h"
#include "base/heap.h"
#include "cell/cell.h"

#define CELL_WARM_DEFAULT 16u
#define CELL_CALM_MAX     4u
#define CELL_LENT_NS      UINT64_C(100000) /* of brief tasks that a lent thread runs alone */

enum task_state {
    TASK_QUEUED,  /* in the queue, or starved of a slot */
    TASK_RUNNING, /* an executor has it */
    TASK_WAITING, /* until woken */
    TASK_PARKING, /* as waiting; an executor takes its slot */
    TASK_STOPPED, /* its call comes to its end: it runs no more */
    TASK_OVER,    /* its end is being told */
};

/* How a call comes to its end (end.c). */
enum ending_how {
    ENDING_NONE, /* it has not */
    ENDING_OUTCOME,
    ENDING_STOPPED,  /* cancelled, or too late */
    ENDING_FAILED,   /* err, message */
    ENDING_SAVED,    /* it stands where it was to be saved */
    ENDING_DEADLOCK, /* its threads wait for each other */
};

struct ending {
    enum ending_how how;
    struct task *task;              /* the thread by which it does */
    enum faaslet_outcome_kind kind; /* of OUTCOME, as in struct faaslet_outcome */
    int exit_code;
    enum abi_trap trap;
    enum faaslet_limit limit;
    enum cell_end_kind stopped;
    int err;
    const char *message; /* static; where the call has one thread, of its caller */
};

struct list {
    struct link *first, *last;
    _Atomic size_t count; /* written under the lock, read by anybody */
};

struct link {
    struct link *next, *previous;
    struct list *list; /* in which it is, or NULL */
};

/* A descriptor that a waiting task has in epoll. */
struct watch {
    int fd;
    bool is_own; /* a duplicate: the same one is watched for another task */
};

/* A thread of a call: what executors take. Most calls have one, which is the call; of others that
 * thread is, with which they end, and the others are only where they stand. */
struct task {
    struct link link;   /* first: in the queue, among the starved, or among those that wait */
    struct task *chain; /* hash table */
    uint64_t id;
    struct cell_function *function; /* a reference */
    enum task_state state;
    bool is_woken;             /* while it was running or being parked */
    _Atomic bool is_cancelled; /* looked at without the lock, too */
    bool is_begun;             /* its entry was invoked */
    bool has_returned;         /* it has returned, and what it leaves is brought away */
    struct faaslet *faaslet;
    struct faaslet_parked *parked;
    uint64_t begin_ns, deadline_ns;
    struct heap_item wake; /* when it waits for a time */
    struct watch *watches; /* owned */
    size_t watch_count;
    void *process;     /* the caller's */
    void *own_process; /* made for a proto in mid-run */
    char *entry;       /* owned */
    uint64_t args[CELL_RESULTS_MAX];
    size_t slot_count, result_slots;
    char *save_at; /* owned; or NULL */
    bool keeps_seat;
    uint64_t memory_bytes;
    cell_end_fn on_end;
    void *context;

    struct task *first;           /* the call's; itself */
    struct task *next, *previous; /* a ring: the threads of the call */
    bool has_threads; /* these four of the first: there was another, it keeps its seat */
    uint32_t awake;   /* threads that do not wait */
    uint32_t running; /* that are still to stop, once it ends */
    struct ending ending;
};

/* A Faaslet that is equal to its function's proto. */
struct warm {
    struct link link;     /* first: of the cell, by recent use */
    struct warm *beneath; /* of the function */
    struct cell_function *function;
    struct faaslet *faaslet;
};

struct cell_function {
    struct cell *cell;
    unsigned references; /* the owner's, and one per task */
    bool is_dropped;
    struct faaslet_frozen *proto;
    bool is_mid_run;
    struct faaslet_config config;
    uint64_t wall_ns_max;
    uint32_t warm_max, warm_count;
    struct warm *warm;       /* the most recent on top */
    _Atomic uint64_t run_ns; /* its last quantum, from the seat on: so long, likely, is the next */
};

struct executor {
    _Alignas(APART_BYTES) struct cell *cell;
    uint64_t tick_ns;        /* as it is set; 0: off */
    unsigned calm;           /* times the cell's tick, while nobody else is queued */
    const struct task *last; /* it ran; only to compare, it may have ended */
    unsigned unflushed;      /* tasks served since what they sent went out */
    pthread_t thread;
};

struct cell {
    pthread_mutex_t lock;
    pthread_cond_t work;  /* executors: the queue is not empty, or it ends */
    pthread_cond_t empty; /* destroy: no calls */
    struct list queue, starved;
    struct list waiting; /* with a slot, longest first */
    struct list warm;    /* least recent first */
    struct task **table; /* by id; chains */
    size_t table_size, task_count;
    uint32_t calls_max;
    struct heap times; /* tasks that wait for one */
    uint64_t next_id;
    uint32_t slots_max, slots_in_use;
    uint64_t tick_ns;
    cell_absent_fn on_absent;
    cell_done_fn on_done;
    cell_attach_fn on_attach;
    unsigned idle;
    bool is_waking; /* an idle executor is on its way: it wakes the next where there is more */
    bool is_ending, is_over;
    bool is_lent;
    uint64_t lent_ns; /* of what was queued since */
    struct executor lender;
    struct cell_usage usage;

    struct executor *executors;
    unsigned executor_count;
    pthread_t watcher;
    bool has_watcher;
    int epoll, event; /* event: the watcher is to look at the heap again */
    uint64_t watcher_until_ns;
};

void list_append(struct list *list, struct link *link);
void list_prepend(struct list *list, struct link *link);
void list_remove(struct link *link); /* in none is fine */

/* With the lock held unless said otherwise. */
struct task *task_find(struct cell *cell, uint64_t id);
void task_cancel(struct cell *cell, struct task *task);
int task_enter(struct cell *cell, struct task *task) MUST_CHECK;
void task_leave(struct cell *cell, struct task *task);
void task_queue(struct cell *cell, struct task *task);
/* What its quantum will take, likely. */
uint64_t task_run_ns(const struct task *task);
/* There is something in the queue. */
void task_rouse(struct cell *cell);
void task_wake(struct cell *cell, struct task *task);
/* A slot became free, or may be taken from somebody: the starved try again. */
void cell_feed(struct cell *cell);

/* A task without a call; of one that is there where first is not NULL. */
struct task *task_new(struct cell_function *function, struct task *first);

/* Without the lock, by the executor that has the task: its call ends so, as soon as its other
 * threads have stopped. */
void end_begin(struct cell *cell, struct task *task, const struct ending *ending);
/* Without the lock; all threads have stopped, and nobody else has any of them. Tells of the end;
 * the tasks are freed. */
void end_conclude(struct cell *cell, struct task *first);
/* It has returned, and all its threads have stopped: what it leaves is brought away, while it
 * waits without a host thread, and then its end is told. Or its end from outside: kind. */
void end_leave(struct cell *cell, struct task *first, enum cell_end_kind kind);
void task_end(struct cell *cell, struct task *first, struct cell_end *end);

/* Threads (thread.c). */
extern const struct faaslet_owner thread_owner;

/* A Faaslet of the function's image after its initialisation: initialise.c. */
int initialise(const struct cell_function_config *config, struct faaslet **out,
               struct diag *diag) MUST_CHECK;
/* The task that runs on this host thread, or NULL. */
extern _Thread_local struct task *thread_here;
/* Without the lock: those that a proto in mid-run has beside its first. */
int thread_enter_all(struct cell *cell, struct task *first) MUST_CHECK;
/* With the lock, of a task that ran. True: its call ends, so it has stopped; is_last: nobody else
 * runs, thread_stopped follows. */
bool thread_stops(struct task *task, bool *is_last);
/* With the lock, of a call of which all threads wait: true where nobody can wake one. It has
 * stopped then. */
bool thread_is_deadlocked(struct cell *cell, struct task *first);
/* Without the lock: all have stopped. */
void thread_stopped(struct cell *cell, struct task *first);
/* Without the lock, by its executor: it has returned and is not the first. */
void thread_done(struct cell *cell, struct task *task);
/* Without the lock: all but the first are gone. */
void thread_fini_all(struct cell *cell, struct task *first);

/* Without the lock. Gives the task a Faaslet in which it can go on. -EAGAIN: there is
 * no slot to be had now. */
int task_seat(struct cell *cell, struct task *task, struct diag *diag) MUST_CHECK;
/* Without the lock. Takes a Faaslet back: warm for the next, or gone. */
void function_return(struct cell *cell, struct cell_function *function, struct faaslet *faaslet);
void function_put(struct cell_function *function);
/* The function's warm Faaslets out of the cell's list, for the caller to destroy
 * without the lock. */
struct warm *function_take_warm(struct cell_function *function);
void warm_destroy(struct warm *warm); /* a chain by beneath */
/* With the lock. Takes one out of its function and the cell: its slot is the taker's. */
struct faaslet *warm_take(struct warm *warm);

/* With save_at; without the lock, by the executor that has the task. arm: before each
 * run, that it stops there. -ENOENT: it cannot come there. */
int save_arm(const struct task *task) MUST_CHECK;
bool save_is_there(const struct task *task, const struct faaslet_outcome *outcome);
void save_end_there(struct cell *cell, struct task *task);
/* It ended as it should not have. */
void save_end_before(struct cell *cell, struct task *task, const struct ending *ending);

/* Waiting: without the lock; the task is still running. True: something was ready
 * already. */
bool wait_watch(struct cell *cell, struct task *task, const struct faaslet_wait *wait);
void wait_unwatch(struct cell *cell, struct task *task);
/* Lock. False: what it waits for was there already, or its end. */
bool wait_begin(struct cell *cell, struct task *task, const struct faaslet_wait *wait);
int wait_until(struct cell *cell, struct task *task, uint64_t when_ns) MUST_CHECK; /* lock */
void wait_forget(struct cell *cell, struct task *task);                            /* lock */
void *wait_main(void *cell);

void *executor_main(void *executor);

#endif
