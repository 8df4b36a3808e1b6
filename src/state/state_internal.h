/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of state. One lock guards everything; functions here are called with it, unless they
 * say otherwise. What is to be said and who is to be woken is queued, and goes out when the lock
 * is let go (state_leave).
 *
 *   op     what somebody has started, by number         op.c
 *   ask    what the tier was asked, by number           ask.c, hear.c
 *   entry  what is here of a value                      entry.c, bytes.c, elements.c
 *
 * An op waits for its own ask, for a pull of its entry that others may wait for too, for its
 * turn to push, or for a lock here.
 *
 * Bytes of an entry are those of its base where it has one, else of its share: they are what was
 * last pulled or pushed, chunk by chunk with the version that they are of. A chunk is current
 * where its entry is held, the lease is not over, and its version is the entry's.
 *
 * Changes of whole values (set, add...) are said at any time; pulls of an entry together, but
 * not beside a push of what was written here: a pull that was answered before it would bring
 * back what it replaces.
 */
#ifndef WEFT_STATE_INTERNAL_H
#define WEFT_STATE_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include "base/buffer.h"
#include "base/heap.h"
#include "state/state.h"

#define STATE_PIECE_BYTES     (256u << 10)
#define STATE_PIECE_RUNS      8192u
#define STATE_VALUE_BYTES_MAX (UINT64_C(1) << 40)
#define STATE_RECORD_BYTES    (1u << 20)
#define STATE_PAGE_BYTES      4096u
#define STATE_BEATS           8u /* under way */
#define STATE_WANT_NS         UINT64_C(250000000)
#define STATE_PATIENCE_NS     UINT64_C(10000000000) /* without a connection */
#define STATE_YIELDS_MAX      65536u
#define STATE_MAP_TRIES       8u
#define STATE_VERSION_OLD     UINT64_MAX /* of a chunk: it is there, of no version that is */

/* ------------------------------------------------------------------------------- tables */

struct item { /* the first in what is in a table */
    struct item *next;
    uint64_t key;
};
struct table {
    struct item **items; /* owned */
    size_t capacity, count;
};
int table_init(struct table *table, size_t capacity) MUST_CHECK;
void table_fini(struct table *table);
void table_add(struct table *table, struct item *item, uint64_t key);
void table_remove(struct table *table, struct item *item);
/* The first with this key; then the others. */
struct item *table_find(const struct table *table, uint64_t key);
struct item *table_next(const struct item *item);

/* ------------------------------------------------------------------------------ entries */

struct op;
struct ask;
TAILQ_HEAD(ops, op);
TAILQ_HEAD(asks, ask);

struct entry {
    struct item by_key; /* the first */
    struct item by_number;
    TAILQ_ENTRY(entry) by_use;
    TAILQ_ENTRY(entry) idle; /* while idle_ns is not 0: since when nobody writes to it */
    uint64_t idle_ns;
    uint32_t pins, mappings, writers; /* writers: mappings that may be written to */
    uint64_t size, version;           /* version 0: nothing is known of it */
    bool is_held, is_mismatched;      /* mismatched: globally it has another size */
    bool is_sum;                      /* what is written here is added to what there is */
    enum element element; /* that its bytes are, while it is mapped or has unpushed ones */
    uint64_t hold_epoch;
    uint64_t takes, changes; /* that there were; changes: said */
    uint32_t changing;       /* changes under way */
    uint64_t sequence;       /* it grows when bytes change or are not current any more */
    struct mem_share *share; /* owned; NULL: none */
    uint8_t *base;           /* owned; NULL: none */
    uint64_t *versions;      /* owned; a chunk's; 0: absent. With a share or base */
    uint64_t *dirty;         /* owned; a bit a page; with a share and base */
    uint64_t present;        /* bytes in chunks that are there */
    struct ops waiting;      /* to pull or to push, in order */
    struct asks pulls;       /* under way */
    struct op *push;         /* under way */
    char key[STATE_KEY_BYTES_MAX + 1];
};
TAILQ_HEAD(entries, entry);

struct entry *entry_find(const struct state *state, const char *key);
struct entry *entry_by_number(const struct state *state, uint64_t number);
/* With a pin. -ENOMEM. */
int entry_get(struct state *state, const char *key, struct entry **out) MUST_CHECK;
struct entry *entry_pin(struct entry *entry);
void entry_put(struct state *state, struct entry *entry);
void entry_use(struct state *state, struct entry *entry);
void entry_let_go(struct entry *entry);
void entry_free_all(struct state *state);
bool entry_is_held(const struct state *state, const struct entry *entry);
/* Whether [offset, offset + count), cut at its end, is current. */
bool entry_is_current(const struct state *state, const struct entry *entry, uint64_t offset,
                      uint64_t count);
/* Its bytes are forgotten; nobody has mapped it. */
void entry_drop_bytes(struct state *state, struct entry *entry);
/* Makes room for so many bytes more. -ENOMEM: there is none. */
int entry_make_room(struct state *state, uint64_t bytes) MUST_CHECK;

/* idle.c: after the last mapping to write; before the next one, and before its bytes go. */
void idle_begin(struct state *state, struct entry *entry);
void idle_end(struct state *state, struct entry *entry);
void idle_tick(struct state *state, uint64_t now_ns);

/* bytes.c */
uint64_t chunk_count(uint64_t size);
uint64_t chunk_bytes(const struct entry *entry, uint64_t chunk);
const uint8_t *bytes_of(const struct entry *entry);
/* Makes what is missing: with_share, with_base; has_zeros: all of it is there, and zero. */
struct bytes_wanted {
    bool with_share, with_base, has_zeros;
};
int bytes_make(struct state *state, struct entry *entry, struct bytes_wanted wanted) MUST_CHECK;
/* The share has all of it. */
void bytes_drop_base(struct state *state, struct entry *entry);
/* The tier's bytes of a version, from a chunk's start to another's or the end. */
int bytes_hear(struct state *state, struct entry *entry, uint64_t offset, const uint8_t *bytes,
               uint64_t count, uint64_t version) MUST_CHECK;
/* The same of a few bytes of one chunk, which is there; its version is left. */
void bytes_patch(struct entry *entry, uint64_t offset, const uint8_t *bytes, uint64_t count);
/* Chunks of one version (0: of any) are of another. */
void bytes_renew(struct entry *entry, uint64_t from, uint64_t to);
/* Pages that were written since are noted as dirty. */
int bytes_note_written(struct entry *entry) MUST_CHECK;
bool bytes_has_unpushed(struct entry *entry);
/* The next dirty page in [page, end); end: there is none. */
uint64_t bytes_next_dirty(const struct entry *entry, uint64_t page, uint64_t end);
void bytes_clean(struct entry *entry, uint64_t page);
void bytes_free(struct state *state, struct entry *entry);

/* elements.c */
/* What a mapping says of the bytes, and what the entry says: -EINVAL: it has others. -EMSGSIZE:
 * they are to be added to, and are not whole elements. */
int elements_check(struct entry *entry, uint32_t flags) MUST_CHECK;
/* The same, and it has them from here on. */
int elements_take(struct entry *entry, uint32_t flags) MUST_CHECK;
uint32_t elements_flags(const struct entry *entry);
/* Whether nobody would miss its bytes. */
bool elements_are_free(struct entry *entry);
/* What the tier has becomes the base, and comes to what is here; both are there. */
void elements_merge(struct entry *entry, uint64_t offset, const uint8_t *theirs, uint64_t count);
/* A push of what was added is over: what was sent is in the base. is_next: the version is the next
 * after that of chunks of version_before, which were the tier's: they are again. */
void elements_added(struct entry *entry, struct ask *ask, bool is_next);

/* --------------------------------------------------------------------------------- asks */

struct run {
    uint64_t offset, count;
};

struct ask {
    struct item by_number; /* the first */
    TAILQ_ENTRY(ask) all, queued, pull, cancelling;
    struct op *op;       /* who waits for it; NULL: nobody, or all who wait for this pull */
    struct entry *entry; /* pinned; NULL: none */
    Rpc__StateAsk__IsCase is;
    uint32_t refs;
    bool is_queued, is_said, is_all_said, is_cancelling;
    bool may_repeat; /* saying it twice changes nothing */
    bool is_change;
    bool is_of_entry;               /* a pull of it, for all who wait */
    bool is_creation;               /* of a value that is to be mapped */
    bool is_push_of_entry;          /* of what was written in it */
    bool is_unknown;                /* it was said, and the answer is lost */
    uint64_t settled;               /* the session whose beginning it has seen */
    uint64_t epoch, takes, changes; /* of holds, and of the entry, when it was said */
    uint64_t version_before; /* of the entry: a pull's when it was said, a push's when it began */

    /* What is asked; each kind uses some. */
    uint64_t offset, count, size, version, fence, operand, wait_ns, owner;
    uint32_t number, count_max, bytes_max;
    bool may_create, replaces, has_condition, hold, is_write;
    enum element adds; /* of a push: its bytes are added */
    uint8_t *bytes;    /* owned */
    uint8_t *kept;     /* owned; where they are differences: what was here */
    uint64_t byte_count;
    struct run *runs; /* owned */
    size_t run_count, run_capacity;
    char *after; /* owned */

    /* What was answered so far. */
    bool has_begun;
    bool is_late; /* what is here is newer */
    uint64_t answer_size, answer_version, answer_next;
    int err; /* ours: of bytes that could not be kept */
    struct buffer gathered, counts;
    size_t item_count;
    char key[STATE_KEY_BYTES_MAX + 1];
};

/* -ENOMEM. Not queued; one reference. */
int ask_create(struct state *state, Rpc__StateAsk__IsCase is, const char *key,
               struct ask **out) MUST_CHECK;
void ask_put(struct state *state, struct ask *ask);
/* From here on it is in the table, which has the reference, until it is answered. */
void ask_queue(struct state *state, struct ask *ask);
void ask_end(struct state *state, struct ask *ask); /* out of the table */
/* Nobody waits for it any more. */
void ask_leave(struct state *state, struct ask *ask);
/* This is its last answer: whoever waits for it goes on, and it is gone. */
void ask_settle(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer);
/* The connection is over: what was said ends, or is to be said again. */
void ask_settle_lost(struct state *state);
void ask_free_all(struct state *state);
struct piece *ask_piece_create(void) MUST_CHECK;
int ask_add_run(struct ask *ask, uint64_t offset, uint64_t count) MUST_CHECK;

/* ---------------------------------------------------------------------------------- ops */

struct op {
    struct item by_number; /* the first */
    struct heap_item deadline;
    TAILQ_ENTRY(op) waiting; /* in its entry */
    TAILQ_ENTRY(op) waking;
    TAILQ_ENTRY(op) here_next;
    struct here *here;     /* where it waits */
    struct holder *holder; /* owned; what it will be there */
    enum state_kind kind;
    uint64_t waiter, owner;
    bool is_started; /* its number is known to who started it */
    bool is_over, is_waking, is_waiting;
    bool is_touch, is_map;
    bool is_asked; /* the pull that it waits for was said after it began */
    bool is_left;  /* forgotten while what was written is looked for */
    int err;
    struct state_result result;
    struct ask *ask;     /* its own; or the pull that it waits for */
    struct entry *entry; /* pinned; NULL: none */
    uint64_t offset, count, version, fence;
    uint32_t flags, tries; /* of a mapping */
    uint64_t map_offset, map_count, map_size;
    struct item by_entry; /* of a touch */
    bool is_write;
};

int op_create(struct state *state, const struct state_request *request, uint64_t waiter,
              struct op **out) MUST_CHECK;
struct op *op_find(const struct state *state, uint64_t number);
void op_free(struct state *state, struct op *op);
/* It is over: its waiter is woken. */
void op_end(struct state *state, struct op *op, int err);
void op_set_deadline(struct state *state, struct op *op, uint64_t wait_ns);
void op_free_all(struct state *state);
void op_forget(struct state *state, struct op *op);

/* ------------------------------------------------------------------------------- requests
 *
 * 0: over; -EINPROGRESS: it waits; else its error. */

int request_check(const struct state_request *request) MUST_CHECK;
int simple_start(struct state *state, struct op *op, const struct state_request *request);
void simple_piece(struct ask *ask, const Rpc__StateAnswer *answer);
void simple_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer);
int change_start(struct state *state, struct op *op, const struct state_request *request);
void change_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer);
/* Waits for its turn at its entry, and goes on there. */
int entry_wait(struct state *state, struct op *op, const char *key);
/* A pull, or a push of what was written: it is this op's turn. */
void pull_begin(struct state *state, struct op *op);
void push_begin(struct state *state, struct op *op);
void push_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer);
/* A piece of a pull, which was checked; one that was lost; the end of one. */
void pull_piece(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer);
void pull_again(struct ask *ask);
void pull_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer);
/* The value has this size: makes the place for its bytes. It may be mapped with another. */
int entry_learn(struct state *state, struct entry *entry, uint64_t size) MUST_CHECK;
void entry_is_gone(struct state *state, struct entry *entry);
/* Makes what waits for the entry go on. */
void entry_run(struct state *state, struct entry *entry);
/* A result of what is current, or was just heard. */
int get_copy(struct op *op, const struct entry *entry) MUST_CHECK;
/* A change of ours is said, or was answered; held: the tier says so. */
void change_begin(struct ask *ask);
void change_end(struct ask *ask);
void hold_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer);

/* map.c */
/* Its pull is over: goes on; true: it asks for more. */
bool map_pulled(struct state *state, struct op *op, int *err);
/* It is one mapping more, where its elements are the entry's. */
int map_entry(struct state *state, struct entry *entry, uint32_t flags,
              struct state_mapping *out) MUST_CHECK;
void map_created(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer);

/* lock.c: global */
/* Of a write lock that is held; 0: none. -ESTALE: it was lost. */
int lock_fence(const struct state *state, uint64_t owner, const char *key,
               uint64_t *fence) MUST_CHECK;
int lock_start(struct state *state, struct op *op, const struct state_request *request);
int unlock_start(struct state *state, struct op *op, const struct state_request *request);
void lock_heard(struct state *state, struct ask *ask, const Rpc__StateAnswer *answer);
/* Its op, which waits, is forgotten. */
void lock_forget(struct state *state, struct op *op);
void lock_lose_all(struct state *state);
void lock_call_over(struct state *state, uint64_t owner);
void lock_free_all(struct state *state);

/* here.c: among the calls of this cell */
struct here;
struct holder;
int here_start(struct state *state, struct op *op, const struct state_request *request);
int here_unlock(struct state *state, const char *key, uint64_t owner);
void here_leave(struct state *state, struct op *op); /* that waits */
void here_call_over(struct state *state, uint64_t owner);
void here_free_all(struct state *state);

/* -------------------------------------------------------------------------------- state */

/* session.c */
bool hear_welcome(struct state *state, const Rpc__StateWelcome *welcome);
bool hear_heard(struct state *state, const Rpc__StateHeard *heard);
/* hear.c */
bool hear_answer(struct state *state, const Rpc__StateAnswer *answer);

struct yield {
    STAILQ_ENTRY(yield) next;
    uint64_t serial;
};

struct state {
    pthread_mutex_t lock;
    struct state_config config;
    uint64_t (*now)(void); /* base/clock.h; tests have their own */
    uint64_t seed, numbers;
    struct table keys, entry_numbers, ops, asks, locks, heres, holders, touches;
    struct entries by_use; /* the last used first */
    struct entries idle;   /* the longest idle first */
    uint64_t bytes;
    struct heap deadlines;

    /* Session */
    bool is_welcome;
    uint64_t want_at_ns; /* a session is not asked for before */
    uint64_t session;
    uint64_t lost_ns; /* since when somebody waits for a connection */
    uint64_t lease_ns, lease_until_ns, hold_epoch;
    uint64_t beat, heard; /* numbers: the last said, the last heard */
    uint64_t beat_sent_ns[STATE_BEATS];
    bool is_beat_due;
    uint64_t beat_next_ns;

    /* To be said, to be woken */
    STAILQ_HEAD(, yield) yields;
    uint32_t yield_count;
    struct asks all, queue, cancels;
    struct ops wakes;
    bool is_saying; /* somebody says what is queued */
    bool is_in_say; /* and is in config.say */
    pthread_t sayer;
    pthread_cond_t quiet;
    struct piece *piece; /* owned; of who says */

    struct state_usage usage, usage_told; /* told: with the last beat */
};

void state_enter(struct state *state);
/* Says and wakes, without the lock, and lets it go. */
void state_leave(struct state *state);
uint64_t state_hash(const struct state *state, const char *key, size_t count);
bool state_key_is_valid(const char *key);

#endif
