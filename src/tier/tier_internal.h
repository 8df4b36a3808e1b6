/* SPDX-License-Identifier: Apache-2.0
 *
 * tier, inside. One lock guards all that is in memory but the cache of chunks, which has its own:
 *
 *   tier->lock  ->  cache->lock
 *
 * Nothing waits for the store, says anything, or asks for limits with a lock held. What is to be
 * said is put into a session's list; whoever gives the lock back (tier_unlock) says it, one
 * thread at a time for each session, so its words are in order.
 *
 * A key's asks (ops) stand in its queue. Either several read it (key->reading), or one thread
 * changes it (key->is_changing): takes what stands at the front of the queue and is a change (a
 * batch), has all holders let go, applies all to a draft, commits the draft, answers. So no hold
 * is given and no read happens between the first take and the answer.
 *
 *   queue: [read read] [add push add] [read]      a batch is one commit
 */
#ifndef WEFT_TIER_TIER_INTERNAL_H
#define WEFT_TIER_TIER_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include "base/element.h"
#include "base/heap.h"
#include "tier/tier.h"

#define TIER_TENANT_BYTES_MAX 127u
#define TIER_TENANT_BUCKETS   1024u
#define TIER_KEY_BUCKETS      65536u
#define TIER_IDLE_KEYS_MAX    65536u  /* in memory that nobody uses */
#define TIER_ASK_BUCKETS      1024u   /* of a session */
#define TIER_HOLDS_MAX        262144u /* of a session: more are pulled without */
#define TIER_GATHERS_MAX      64u     /* pushes whose pieces come, of a session */
#define TIER_RUNS_MAX         (1u << 26)
#define TIER_PUSH_BYTES_MAX   (UINT64_C(1) << 30) /* and of the chunks that it touches */
#define TIER_GATHER_BYTES_MAX (UINT64_C(2) << 30) /* of all pushes that are not over */
#define TIER_BATCH_OPS_MAX    1024u
#define TIER_BATCH_BYTES_MAX  (16u << 20) /* of the chunks that several changes touch */
#define TIER_COMMIT_BYTES_MAX (48u << 20)
#define TIER_COMMIT_PARTS_MAX 3000u /* chunks and records */
#define TIER_REDO_CHANGES_MAX 1024u /* of one commit of many */
#define TIER_UNSAID_BYTES_MAX (16u << 20)
#define TIER_INLINE_BYTES_MAX (1u << 20) /* a pull that is answered where it is heard */
#define TIER_WHOLE_BYTES_MAX  (256u << 20)
#define TIER_LIST_MAX         65536u
#define TIER_LIST_PAGE        512u
#define TIER_READ_BYTES_MAX   TIER_RECORD_BYTES_MAX
#define TIER_SWEEP_PAGE       256u
#define TIER_SWEEP_AGAIN_NS   UINT64_C(1000000000)
#define TIER_COUNT_DEFAULT    65536u /* locks, watches */
#define TIER_THREADS_MAX      256u
#define TIER_FENCE_BITS       40u /* of the counter; above it is the epoch */
#define TIER_FOLDER_BYTES_MAX (TIER_TENANT_BYTES_MAX + 1 + TIER_KEY_BYTES_MAX + 1)

/* --------------------------------------------------------------------------- time */

struct tier_clock {
    uint64_t (*mono_ns)(void *context);
    uint64_t (*real_ns)(void *context); /* of the world: it goes on while nobody runs */
    void *context;
    bool is_manual; /* nobody waits: tier_tick is called */
};

/* NULL: the machine's. */
int tier_create_clocked(const struct tier_config *config, const struct tier_clock *clock,
                        struct tier **out, struct diag *diag) MUST_CHECK;
/* Does what is due, as the thread of time does. */
void tier_tick(struct tier *tier);

struct timer {
    struct heap_item item; /* the first */
    void (*fire)(struct tier *tier, struct timer *timer);
};

/* --------------------------------------------------------------------------- words */

/* One thing to be said; as a part of an op, or alone. */
struct word {
    STAILQ_ENTRY(word) next;
    Rpc__StateDown down;
    union {
        Rpc__StateWelcome welcome;
        Rpc__StateHeard heard;
        Rpc__StateTake take;
        Rpc__StateAnswer answer;
    };
    void *owned;           /* bytes */
    char *text;            /* owned */
    Rpc__StateItem *items; /* owned, with their keys */
    struct op *op;         /* that it is a part of */
};
STAILQ_HEAD(words, word);

/* ------------------------------------------------------------------- things in memory */

struct tenant {
    struct tenant *next;
    uint64_t keys, bytes;
    uint32_t locks, watches;
    struct tier_local local;
    uint64_t floor;        /* every value that was removed had a lower version, or this */
    uint64_t floor_stored; /* at least the floor of any removal that is in the store */
    char name[];
};

enum tier_kind { TIER_NONE, TIER_VALUE, TIER_LOG };

struct head {
    enum tier_kind kind;
    uint64_t size, version;
    uint64_t expires_ns; /* 0: never */
    uint64_t first;      /* record that is left of a log */
    uint64_t stored;     /* the store's version of it */
};

struct job {
    TAILQ_ENTRY(job) next;
    void (*run)(struct tier *tier, struct job *job); /* with the lock, which it may give back */
    bool is_queued;
};

struct hold {
    LIST_ENTRY(hold) of_key, of_session;
    struct key *key;
    struct tier_session *session;
    uint64_t serial; /* of the take; 0: not taken */
};
LIST_HEAD(holds, hold);

/* Held, or waiting (op). */
struct lock {
    TAILQ_ENTRY(lock) of_key;
    LIST_ENTRY(lock) of_session;
    struct key *key;
    struct tier_session *session;
    struct op *op;
    uint64_t owner, fence;
    bool is_write;
};
TAILQ_HEAD(locks, lock);

struct chunk;
LIST_HEAD(chunks, chunk);
TAILQ_HEAD(ops, op);

struct key {
    struct job job; /* the first */
    struct key *next;
    struct tenant *tenant;
    TAILQ_ENTRY(key) idle;
    uint32_t refs; /* ops, holds, locks */
    struct head head;
    bool is_known;     /* head is what the store has */
    bool is_uncertain; /* a commit's outcome is unknown: look for a redo record */
    uint64_t counted;  /* bytes, in the tenant's */
    bool is_counted;   /* in the tenant's keys */
    bool is_changing;
    uint32_t reading;
    struct ops queue, batch, watches;
    struct holds holds;
    uint32_t takes; /* that are not answered */
    struct locks locked, waiting;
    struct chunks chunks; /* with the cache's lock */
    size_t count;
    char name[];
};

struct run {
    uint64_t offset, count;
};

struct op {
    struct word word;
    TAILQ_ENTRY(op) next;
    struct job job;      /* of a list */
    struct timer timer;  /* of what waits */
    struct op *next_ask; /* of the session's bucket */
    LIST_ENTRY(op) here; /* nobody's: by context */
    struct key *key;
    struct tenant *tenant;
    struct tier_session *session; /* NULL: nobody's */
    tier_answer_fn done;
    void *context;
    uint64_t number;
    Rpc__StateAsk__IsCase is; /* NOT_SET: the tier's own, to remove what is due */
    struct tier_limits limits;

    /* What was asked; each kind uses some. */
    uint64_t offset, size, version, fence, lives_ns, wait_ns, operand, owner;
    uint32_t count_max, bytes_max;
    enum element adds; /* of a push: its bytes are added to what is there */
    bool has_condition, may_create, replaces, hold, is_float, is_write;
    bool is_waiting;               /* for a lock, or something to see */
    bool is_cancelled;             /* it must not begin to wait */
    bool is_gathering, is_refused; /* refused: its answer comes with its last piece */
    struct run *runs;
    size_t run_count, run_capacity;
    struct buffer bytes;
    uint64_t gathered; /* counted in tier->gathered */
    char *prefix, *after;
    struct lock *lock;

    int err;
    bool is_changed; /* the draft has it */
    uint64_t result;
    struct head head; /* as it was after it */
};

struct tier_session {
    LIST_ENTRY(tier_session) all;
    STAILQ_ENTRY(tier_session) unsaid;
    struct tier *tier;
    struct tenant *tenant;
    tier_say_fn say;
    void *context;
    uint32_t refs; /* the owner's, the lease's, ops', holds', locks' */
    bool is_closed, is_alive, is_saying;
    struct words words;
    size_t word_bytes;
    uint64_t local_entries, local_bytes; /* as its last beat said */
    struct timer lease;
    struct holds holds, taken;
    LIST_HEAD(, lock) locks;
    uint64_t serial; /* the last take's */
    struct op *asks[TIER_ASK_BUCKETS];
    uint32_t ask_count, gather_count, hold_count;
};

/* --------------------------------------------------------------------------- cache */

struct chunk {
    LIST_ENTRY(chunk) of_key;
    TAILQ_ENTRY(chunk) by_use;
    struct chunk *next;
    struct key *key; /* NULL: not in the cache any more */
    uint64_t number;
    uint32_t refs;
    uint32_t count; /* bytes; those behind are zero */
    uint8_t *bytes; /* owned */
};

struct cache {
    pthread_mutex_t lock;
    struct chunk **buckets;
    size_t bucket_count;
    TAILQ_HEAD(chunk_list, chunk) by_use; /* the newest first */
    uint64_t bytes, bytes_max;
};

int tier_cache_init(struct cache *cache, uint64_t bytes_max) MUST_CHECK;
void tier_cache_fini(struct cache *cache);
/* A reference, or NULL. */
struct chunk *tier_cache_get(struct cache *cache, const struct key *key, uint64_t number);
/* Takes the bytes, replaces what is there; a reference. NULL: no memory (bytes are freed, and
 * what was there is forgotten). */
struct chunk *tier_cache_put(struct cache *cache, struct key *key, uint64_t number, uint8_t *bytes,
                             uint32_t count);
void tier_cache_release(struct cache *cache, struct chunk *chunk);
void tier_cache_forget(struct cache *cache, struct key *key);

/* ---------------------------------------------------------------------------- tier */

struct tier {
    struct tier_config config;
    char *lease;
    struct tier_clock clock;
    struct cache cache;

    pthread_mutex_t lock;
    pthread_cond_t work, time, quiet; /* quiet: something is over that somebody waits for */
    bool is_ending, is_lost, is_paused;
    TAILQ_HEAD(, job) jobs;
    struct heap timers;
    size_t timer_count; /* that are or may be set */
    struct timer pause, sweep;
    struct job sweep_job;
    uint64_t sweep_ns;  /* when, by the real clock; 0: nothing is due */
    uint32_t sweeping;  /* removals that are under way */
    bool is_sweep_late; /* one of them failed */
    STAILQ_HEAD(, tier_session) unsaid;
    struct words answered; /* of nobody's session */
    LIST_HEAD(, op) here[TIER_ASK_BUCKETS];
    LIST_HEAD(, tier_session) sessions;
    struct tenant *tenants[TIER_TENANT_BUCKETS];
    struct key *keys[TIER_KEY_BUCKETS];
    TAILQ_HEAD(, key) idle;
    uint64_t key_count, idle_count, gathered, fence;
    uint64_t under_way; /* asks */
    uint32_t saying;    /* answers of nobody's session */
    struct tier_usage usage;
    pthread_t *threads, timekeeper;
    uint32_t thread_count;
    bool has_timekeeper;
    size_t commit_parts_max, redo_changes_max; /* tests lower them */
    pthread_mutex_t floor_lock;                /* alone, before a commit that raises a floor */
};

void *tier_alloc(size_t bytes) MUST_CHECK; /* zeros, or NULL; fault point tier.alloc */
void tier_lock(struct tier *tier);
void tier_unlock(struct tier *tier); /* says what is to be said */
uint64_t tier_now(const struct tier *tier);
uint64_t tier_real(const struct tier *tier);
/* With the lock. */
void tier_job_add(struct tier *tier, struct job *job);
int tier_timer_reserve(struct tier *tier) MUST_CHECK; /* room for one that will be set */
void tier_timer_release(struct tier *tier, struct timer *timer);
void tier_timer_set(struct tier *tier, struct timer *timer, uint64_t at_ns); /* reserved */
void tier_timer_clear(struct tier *tier, struct timer *timer);
/* NULL: no memory. */
struct tenant *tier_tenant(struct tier *tier, const char *name);
/* The term is over: tells on_lost once. Without the lock. */
void tier_lose(struct tier *tier);

/* session.c; with the lock */
void tier_say(struct tier_session *session, struct word *word); /* takes the word */
void tier_session_put(struct tier_session *session);
void tier_session_lapse(struct tier_session *session, bool is_told);
struct op *tier_session_find(struct tier_session *session, uint64_t number);
void tier_session_free_all(struct tier *tier); /* at the end */
void tier_word_init(struct word *word, Rpc__StateDown__IsCase is);
void tier_word_free(struct word *word); /* also without */

/* op.c */
struct op *tier_op_new(Rpc__StateAsk__IsCase is) MUST_CHECK;
void tier_op_free(struct op *op);
/* With the lock: says the answer, with head, result and err as they are in it; the op is gone. */
void tier_op_answer(struct tier *tier, struct op *op, const char *why);
void tier_op_fail(struct tier *tier, struct op *op, int err, const char *why);
/* With the lock: a word of its own before the answer; takes the bytes. */
void tier_op_piece(struct tier *tier, struct op *op, const struct head *head, uint64_t offset,
                   struct buffer *bytes);
bool tier_op_is_change(const struct op *op);
/* With the lock: into its key's queue; answered there and then where that can be. */
void tier_op_start(struct tier *tier, struct op *op, const char *key, size_t count);

/* ask.c: an op of an ask, checked. 0; -errno and why. */
int tier_ask_read(struct op *op, const Rpc__StateAsk *ask, bool is_whole, const char **why);
int tier_ask_piece(struct op *op, const Rpc__StateAsk *ask, const char **why);
int tier_ask_end(struct op *op, const char **why); /* all pieces are there */

/* key.c; with the lock */
struct key *tier_key_get(struct tier *tier, struct tenant *tenant, const char *name, size_t count);
void tier_key_put(struct tier *tier, struct key *key);
void tier_key_fill(struct key *key);                    /* its batch, from the queue */
void tier_key_take(struct tier *tier, struct key *key); /* for its batch */
bool tier_key_has_push(const struct key *key, const struct tier_session *session);
void tier_key_poke(struct tier *tier, struct key *key); /* whatever can go on goes on */
void tier_key_free_all(struct tier *tier);
struct hold *tier_hold_find(const struct key *key, const struct tier_session *session);
bool tier_hold_add(struct tier *tier, struct key *key, struct tier_session *session);
void tier_hold_drop(struct tier *tier, struct hold *hold);

/* lock.c; with the lock */
void tier_lock_ask(struct tier *tier, struct op *op);
void tier_lock_unlock(struct tier *tier, struct op *op);
void tier_lock_grant(struct tier *tier, struct key *key); /* what can be */
void tier_lock_drop(struct tier *tier, struct lock *lock);
bool tier_lock_is_fence(const struct key *key, uint64_t fence);
void tier_watch_ask(struct tier *tier, struct op *op);
void tier_watch_tell(struct tier *tier, struct key *key);
void tier_wait_cancel(struct tier *tier, struct op *op, int err);

/* record.c: what is in the store; without the lock */
struct folder { /* tenant NUL key NUL, and a number */
    size_t count;
    uint8_t bytes[TIER_FOLDER_BYTES_MAX + 8];
};
extern const char tier_table_head[], tier_table_chunk[], tier_table_record[], tier_table_due[],
    tier_table_redo[], tier_table_part[], tier_table_tenant[], tier_table_epoch[];
#define TIER_HEAD_BYTES 40u
void tier_folder(const struct key *key, struct folder *out);
void tier_folder_number(struct folder *folder, uint64_t number); /* sets or appends */
void tier_name(const struct key *key, struct folder *out);       /* tenant NUL key */
void tier_due(const struct key *key, uint64_t expires_ns, struct folder *out);
void tier_number_write(uint8_t *bytes, uint64_t number); /* the highest byte first */
uint64_t tier_number_read(const uint8_t *bytes);
void tier_head_write(const struct head *head, uint8_t bytes[TIER_HEAD_BYTES]);
int tier_head_read(const uint8_t *bytes, size_t count, struct head *out) MUST_CHECK;
/* Reads the head where it is not known, after ending a change that is half done. */
int tier_head_load(struct tier *tier, struct key *key, struct diag *diag) MUST_CHECK;
int tier_chunk_load(struct tier *tier, struct key *key, uint64_t number, struct chunk **out,
                    struct diag *diag) MUST_CHECK;

/* commit.c; without the lock */
struct commit { /* changes of one commit; the bytes they name live until it is over */
    struct tier *tier;
    struct store_change *list;
    size_t count, capacity;
    struct folder *keys;
    size_t bytes;
    int err;
};
/* Of at most so many changes, the term among them. -ENOMEM */
int tier_commit_init(struct commit *commit, struct tier *tier, size_t capacity) MUST_CHECK;
void tier_commit_fini(struct commit *commit);
struct store_change *tier_commit_add(struct commit *commit, const char *table,
                                     const struct folder *key);
/* -ESHUTDOWN: the term is over. *failed as the store says. */
int tier_commit(struct commit *commit, uint64_t *version, size_t *failed,
                struct diag *diag) MUST_CHECK;
bool tier_is_unknown(int err); /* it may have happened, or not */

/* draft.c: what a batch makes of a key */
struct draft_chunk {
    uint64_t number;
    uint32_t count;
    uint8_t *bytes; /* owned */
    bool is_changed;
};
struct draft_chunks { /* in order of their numbers */
    struct draft_chunk *list;
    size_t count, capacity;
};
struct draft {
    struct tier *tier;
    struct key *key;
    struct head before, after;
    bool is_changed;
    bool is_fresh; /* nothing of what was there is left */
    bool is_large; /* it goes by a redo record */
    struct draft_chunks chunks;
    struct op *records[TIER_BATCH_OPS_MAX]; /* appended; borrowed */
    size_t record_count;
    uint64_t floor;                         /* 0: no value was removed */
    uint64_t bytes_reserved, keys_reserved; /* in the tenant's */
};
void tier_draft_init(struct draft *draft, struct tier *tier, struct key *key);
void tier_draft_fini(struct draft *draft);
/* Sets op->err and the answer; where it is an error, nothing has changed. */
void tier_draft_apply(struct draft *draft, struct op *op, const char **why);
void tier_draft_remove(struct draft *draft);
void tier_draft_settle(struct draft *draft, bool is_done); /* with the lock: the tenant's counts */
size_t tier_significant(const uint8_t *bytes, size_t count); /* without the zeros at the end */

/* settle.c: in the store, and in the cache */
int tier_draft_commit(struct draft *draft, struct diag *diag) MUST_CHECK;
int tier_trim(struct tier *tier, struct key *key, struct op *op, struct diag *diag) MUST_CHECK;
/* The head as it is after, with what is due; the bytes live as long as the commit. */
int tier_commit_head(struct commit *commit, const struct key *key, const struct head *before,
                     const struct head *after, uint8_t bytes[TIER_HEAD_BYTES]);

/* redo.c */
int tier_redo_write(struct draft *draft, struct diag *diag) MUST_CHECK;
int tier_redo_end(struct tier *tier, struct key *key, uint64_t *stored,
                  struct diag *diag) MUST_CHECK;
int tier_redo_end_all(struct tier *tier, struct diag *diag) MUST_CHECK;

/* change.c */
void tier_change_run(struct tier *tier, struct key *key); /* with the lock */

/* read.c */
void tier_read_run(struct tier *tier, struct key *key);  /* with the lock */
bool tier_read_inline(struct tier *tier, struct op *op); /* with the lock; it was answered */
void tier_list_run(struct tier *tier, struct job *job);

/* sweep.c */
int tier_scan(struct tier *tier, struct diag *diag) MUST_CHECK; /* counts; what is due */
void tier_sweep_due(struct tier *tier, uint64_t expires_ns);    /* with the lock */
void tier_sweep_done(struct tier *tier, int err);               /* with the lock */
void tier_sweep_run(struct tier *tier, struct job *job);
void tier_sweep_fire(struct tier *tier, struct timer *timer);

#endif
