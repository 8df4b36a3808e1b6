/* SPDX-License-Identifier: Apache-2.0
 *
 * faaslet: one guest process: load, link, run, trap, freeze, thaw, clone.
 *
 *   image --create--> Faaslet --invoke, run--> outcome
 *                     |  ^  ^                  DONE EXIT TRAP PENDING PREEMPTED
 *                freeze thaw reset             SNAPSHOT KILLED ABSENT
 *                     v  |  |
 *                   frozen (plain data; a Proto-Faaslet is one to start from)
 *                     |  ^
 *                  save  load
 *                     v  |
 *                   bytes (for another process or host)
 *
 * A Faaslet runs on the thread that calls faaslet_run, which first must have
 * called faaslet_thread_init. Between two runs it is plain data: it may run
 * next on another thread, be frozen, cloned or destroyed.
 *
 * Laws: compiled code holds no absolute address (abi.h); a host function never
 * waits (faaslet_call.h); what is not running is plain data (freeze).
 */
#ifndef WEFT_FAASLET_H
#define WEFT_FAASLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/abi.h"
#include "base/diag.h"
#include "base/macros.h"
#include "faaslet/faaslet_call.h"

#define FAASLET_INSTANCES_MAX       256u
#define FAASLET_STACK_BYTES_DEFAULT (8u << 20)
#define FAASLET_ARGS_KEPT           32u /* argument slots of a call that is made again: absent */
#define FAASLET_GIVEN_BACK_MAX      16u /* ranges of linear memory, for shares to come */

/* How the record of host functions (open files and the like) goes with a frozen
 * Faaslet. freeze appends plain data without pointers; thaw makes a new record. */
struct buffer;
struct faaslet;
struct faaslet_process_ops {
    int (*freeze)(void *process, struct buffer *out);
    int (*thaw)(const uint8_t *bytes, size_t count, void **out);
    void (*destroy)(void *process);
    /* thaw, but what belongs to this start (arguments, environment, standard
     * streams, random state) is taken from `fresh`, a record that the caller keeps.
     * NULL where a record has no such thing. */
    int (*restart)(const uint8_t *bytes, size_t count, const void *fresh, void **out);
    /* Others may know where linear memory is (faaslet_memory). It is going to be somewhere else,
     * within this host thread's next steps (stress mode): they are kept off it when this returns;
     * and it has come to a new place, or stayed, with this record or one thawed from it. NULL:
     * nobody knows. */
    void (*away)(void *process);
    void (*settle)(void *process, const struct faaslet *faaslet);
};

/* ---------------------------------------------------------------------- threads
 *
 * A process whose module has a shared memory may have several guest threads (docs/threads.md).
 * Each is a struct faaslet; they share everything but where they stand. The first is the one that
 * was created or thawed: what is said of a Faaslet is said of its process by it (freeze, reset,
 * destroy, shares, limits). Each runs by faaslet_run, several at a time on different host
 * threads; whoever changes the process has all of them stopped. */
#define FAASLET_THREADS_DEFAULT 64u
#define FAASLET_THREADS_MAX     4096u

/* Who runs its threads. Called on the host thread of one that runs; on_thread within its host call,
 * so it may not ask for another thread's. */
struct faaslet_owner {
    /* A new thread, to be run: by wasi.thread-spawn. -EAGAIN and others: it is not wanted, and is
     * gone when this returns. */
    int (*on_thread)(struct faaslet *thread);
    /* What this thread waits for by memory.atomic.wait has happened: run goes on. Never lost: also
     * told when it is just about to wait. */
    void (*on_wake)(struct faaslet *thread);
};

/* ---------------------------------------------------------------------- images */

struct faaslet_image; /* immutable, shared; mapped read-execute at its own address */

/* Maps an image. The bytes of fd are copied into a sealed memfd unless fd is one
 * already, so they cannot change under us. fd is borrowed. The caller owns one
 * reference. -EINVAL (not an image, wrong version, CPU lacks what it needs),
 * -EEXIST (its address is taken by another image), -ENOMEM. */
int faaslet_image_load(int fd, struct faaslet_image **out, struct diag *diag) MUST_CHECK;
/* The same, but maps the file itself: profilers find symbols by its path. Only for
 * files that nobody else can change. */
int faaslet_image_load_file(int fd, struct faaslet_image **out, struct diag *diag) MUST_CHECK;
struct faaslet_image *faaslet_image_get(struct faaslet_image *image);
void faaslet_image_put(struct faaslet_image *image); /* NULL is fine */
const struct abi_image *faaslet_image_abi(const struct faaslet_image *image);
/* Whether it imports anything of that module. */
bool faaslet_image_imports(const struct faaslet_image *image, const char *module);

/* -------------------------------------------------------------------- lifetime */

struct faaslet_config {
    faaslet_resolve_fn resolve;
    void *process;                         /* borrowed by the Faaslet, or NULL */
    const struct faaslet_process_ops *ops; /* NULL: process stays the same object */
    bool process_is_given;     /* a thaw uses process, or what is set later, and makes none */
    size_t stack_bytes;        /* 0: default */
    uint64_t memory_bytes_max; /* 0: what the module declares */
    uint64_t cpu_ns_max;       /* of its threads while they run, in all; 0: none */
    uint32_t threads_max;      /* of modules with shared memory; 0: FAASLET_THREADS_DEFAULT */
    const struct faaslet_owner *owner; /* borrowed; NULL: it has one thread and nobody to tell */
};

/* Links the image and lays out its slot; no guest code runs yet. Takes a reference on the image.
 * -ENOENT (an import is missing or has another type: diag names it), -ENOMEM. */
int faaslet_create(struct faaslet_image *image, const struct faaslet_config *config,
                   struct faaslet **out, struct diag *diag) MUST_CHECK;
void faaslet_destroy(struct faaslet *faaslet); /* NULL is fine */

/* LINKED images: a Faaslet without instances, and adding one: imports are looked
 * for under the given names of earlier instances, then by resolve. *instance is
 * its number; the Faaslet is unchanged on failure. An instance whose INIT traps
 * stays (its segments may be visible to others) but cannot be linked to. */
int faaslet_create_empty(const struct faaslet_config *config, struct faaslet **out) MUST_CHECK;
int faaslet_add(struct faaslet *faaslet, struct faaslet_image *image, uint32_t *instance,
                struct diag *diag) MUST_CHECK;
int faaslet_register(struct faaslet *faaslet, uint32_t instance, const char *name) MUST_CHECK;

/* --------------------------------------------------------------------- running */

enum faaslet_outcome_kind {
    FAASLET_DONE,      /* results can be read */
    FAASLET_EXIT,      /* exit_code */
    FAASLET_TRAP,      /* trap, message, backtrace */
    FAASLET_PENDING,   /* wait */
    FAASLET_PREEMPTED, /* it computes; run goes on. Cannot be frozen now: -EBUSY */
    FAASLET_SNAPSHOT,  /* at a snapshot point or where faaslet_stop_at wanted; run goes on */
    FAASLET_KILLED,    /* limit */
    FAASLET_ABSENT,    /* absent: is to be filled, run goes on. Frozen, in its code: -EBUSY */
};

struct faaslet_absent {      /* what of a share it touches; some of it may be there */
    struct mem_share *share; /* borrowed until it runs, is reset or destroyed */
    uint64_t offset, bytes;  /* in the share; whole pages, at the first absent one */
};

struct faaslet_outcome {
    enum faaslet_outcome_kind kind;
    int exit_code;
    enum abi_trap trap;
    enum faaslet_limit limit;
    bool at_named;       /* SNAPSHOT: where faaslet_stop_at wanted, not a snapshot point */
    const char *message; /* static, or "" */
    struct faaslet_absent absent;
    struct faaslet_wait wait;
};

/* Per-thread: alternate signal stack and, once per process, handlers of SIGSEGV,
 * SIGBUS, SIGILL, SIGFPE and the kill signal. Idempotent. */
int faaslet_thread_init(void) MUST_CHECK;

/* Opens what this process needs later and cannot open once it is sealed (jail_seal);
 * faaslet_thread_init of this thread with it. */
int faaslet_prepare(void) MUST_CHECK;

/* Prepares a call: of the instance's INIT, or of an exported function. args are
 * slots as abi.h says. -ENOENT: no such export, or not a function. -EINVAL:
 * slot_count is not what its type needs. -EBUSY: another call is not over. */
int faaslet_invoke_init(struct faaslet *faaslet, uint32_t instance) MUST_CHECK;
int faaslet_invoke(struct faaslet *faaslet, uint32_t instance, const char *name,
                   const uint64_t *args, size_t slot_count) MUST_CHECK;
/* The same by the export's place in the module, for names that contain NUL. */
int faaslet_invoke_export(struct faaslet *faaslet, uint32_t instance, uint32_t number,
                          const uint64_t *args, size_t slot_count) MUST_CHECK;
/* An export's place in the module. -ENOENT. */
int faaslet_export_find(const struct faaslet *faaslet, uint32_t instance, const char *name,
                        size_t name_bytes, uint32_t *number) MUST_CHECK;

/* Runs until something is to be said. After PENDING, run again goes on (calling the host function
 * again). deadline_ns: CLOCK_NEVER_NS for none. After DONE a new call may be prepared; after TRAP
 * too (the specification's tests do); after EXIT and KILLED not. */
void faaslet_run(struct faaslet *faaslet, uint64_t deadline_ns, struct faaslet_outcome *out);

/* Copies the results of the call that was DONE: slots as abi.h says. */
int faaslet_results(const struct faaslet *faaslet, uint32_t instance, uint64_t *slots,
                    size_t slot_count) MUST_CHECK;

/* Preemption on this thread, until called again with 0: every tick_ns a timer looks at what runs.
 * A guest that was running at the last tick too, in the same faaslet_run, leaves as PREEMPTED: a
 * quantum is one to two ticks. Deadlines are then looked at with the tick only, and faaslet_run
 * makes no system call for them. -ENOMEM: all is as before. */
int faaslet_thread_tick(uint64_t tick_ns) MUST_CHECK;

/* Makes the next call of this import end the run as SNAPSHOT before the host
 * function is called; then this is forgotten. -ENOENT: it imports no such thing. */
int faaslet_stop_at(struct faaslet *faaslet, const char *module, const char *name) MUST_CHECK;

/* The argument slots of the host call at which it stands (SNAPSHOT, PENDING). */
const uint64_t *faaslet_args(const struct faaslet *faaslet);

/* Ends a running Faaslet soon; any thread may ask. */
void faaslet_kill(struct faaslet *faaslet);

/* The threads of a process by number, 0 the first; NULL: there are not so many. Not while one
 * is made or ends. Numbers move down when one ends. */
struct faaslet *faaslet_thread(const struct faaslet *faaslet, uint32_t number);
/* Its first thread; itself. */
struct faaslet *faaslet_first(struct faaslet *faaslet);
/* wasi-threads' number of it; 0 of the first. */
uint32_t faaslet_thread_id(const struct faaslet *faaslet);
/* Of one that was DONE, or whose process ends; not of the first. It does not run. Its context and
 * stack are the next one's. */
void faaslet_thread_end(struct faaslet *thread);
/* It leaves as PREEMPTED soon, if it runs; any host thread may ask. It stays off: runs that
 * begin before faaslet_go_on end at once, as PREEMPTED. For who wants the whole process to stand.
 */
void faaslet_stand_still(struct faaslet *thread);
void faaslet_go_on(struct faaslet *thread);
/* Standing as it is, whether it can be frozen: it is in no code, or in code whose registers are
 * plain values. False: let it run on for a moment. */
bool faaslet_is_plain(const struct faaslet *thread);
/* Whatever its owner keeps with it; NULL at first. */
void faaslet_mark_set(struct faaslet *thread, void *mark);
void *faaslet_mark(const struct faaslet *thread);
/* Every thread stands in memory.atomic.wait, none until a time: nobody can wake any. */
bool faaslet_is_deadlocked(const struct faaslet *faaslet);

/* Exported globals, for tests and embedders: two slots. */
int faaslet_global(const struct faaslet *faaslet, uint32_t instance, const char *name,
                   uint64_t slots[2], uint8_t *type) MUST_CHECK;

/* The image of an instance; borrowed. */
struct faaslet_image *faaslet_image(const struct faaslet *faaslet, uint32_t instance);

/* What an export is (enum abi_kind), and its type's index where it is a function. -ENOENT. */
int faaslet_export_kind(const struct faaslet *faaslet, uint32_t instance, const char *name,
                        uint32_t *kind, uint32_t *type) MUST_CHECK;

/* Guest backtrace of the last trap, or of where the Faaslet stands: one line a
 * frame, innermost first: "  #0 name+0x12 (file.c:34)". Appends to out. */
void faaslet_backtrace(const struct faaslet *faaslet, struct buffer *out);

/* --------------------------------------------------------------- plain data */

struct faaslet_frozen; /* immutable; holds a reference on its images */

/* The Faaslet is not running. It is unchanged, also on failure. -ENOMEM. */
int faaslet_freeze(struct faaslet *faaslet, struct faaslet_frozen **out,
                   struct diag *diag) MUST_CHECK;

/* A new Faaslet from it, in a slot and on stacks of its own, at any address. -EAGAIN: it has more
 * threads than config.threads_max; -ENOMEM. */
int faaslet_thaw(const struct faaslet_frozen *frozen, const struct faaslet_config *config,
                 struct faaslet **out, struct diag *diag) MUST_CHECK;
void faaslet_frozen_destroy(struct faaslet_frozen *frozen);

/* Makes a Faaslet that was thawed from this frozen one (or from one with the same
 * images) equal to it again, whatever it did or was stopped at; what it wrote is gone.
 * In its slot and on its stack where it was thawed from this very one: that is quick.
 * process: NULL: a thaw of the frozen one's record, else used as config.process is.
 * After a failure only faaslet_destroy may follow. */
int faaslet_reset(struct faaslet *faaslet, const struct faaslet_frozen *frozen, void *process,
                  struct diag *diag) MUST_CHECK;

/* A Faaslet that is pending, without slot and stack: what differs from the frozen one that it was
 * thawed from, in plain memory, and its process record, which is handed over. The Faaslet is good
 * only for a reset then. Unchanged on failure. -EBUSY: preempted. */
struct faaslet_parked; /* borrows the frozen one */
int faaslet_park(struct faaslet *faaslet, const struct faaslet_frozen *frozen,
                 struct faaslet_parked **out, struct diag *diag) MUST_CHECK;
/* Into a Faaslet thawed from, or reset to, the same frozen one: its run goes on where
 * the parked one stood, with that one's process record. Only once. After a failure
 * only faaslet_destroy may follow. */
int faaslet_unpark(struct faaslet *faaslet, struct faaslet_parked *parked,
                   struct diag *diag) MUST_CHECK;
uint64_t faaslet_parked_bytes(const struct faaslet_parked *parked);
void *faaslet_parked_process(const struct faaslet_parked *parked);
void faaslet_parked_destroy(struct faaslet_parked *parked); /* NULL is fine */

/* A frozen Faaslet as bytes, for another process or host: versioned, compressed,
 * checksummed. It names its image by the image's hash; the image is not in it. Whoever
 * can write such bytes can run code, as with images: they are to be trusted alike.
 * -ENOTSUP: linked from several modules. */
int faaslet_frozen_save(const struct faaslet_frozen *frozen, struct buffer *out,
                        struct diag *diag) MUST_CHECK;
/* images: among them must be its own; resolve finds its host functions. -EINVAL
 * with the reason (damaged, other version, other image); nothing is kept. */
struct faaslet_load {
    struct faaslet_image *const *images;
    size_t image_count;
    faaslet_resolve_fn resolve;
};
int faaslet_frozen_load(const uint8_t *bytes, size_t count, const struct faaslet_load *load,
                        struct faaslet_frozen **out, struct diag *diag) MUST_CHECK;

/* A share in linear memory. Thawed, unparked or reset, a Faaslet has none: there are zeros, and
 * who keeps the process record maps them again before it runs (a move of stress mode does it). */
struct faaslet_share {
    struct mem_share *share; /* borrowed */
    uint64_t share_offset;
    uint64_t offset, bytes; /* in linear memory; of the host page */
    bool is_writable;
    uint32_t instance; /* whose memory it is */
};
/* By place, from number 0. False: there are not so many. */
bool faaslet_share_get(const struct faaslet *faaslet, unsigned number, struct faaslet_share *out);
/* Maps one where linear memory is already. Not while it runs. -EINVAL (outside, or something is
 * shared there), -ENOSPC, -ENOMEM. */
int faaslet_share_at(struct faaslet *faaslet, const struct faaslet_share *share) MUST_CHECK;

/* Another reference; faaslet_frozen_destroy gives one back. */
struct faaslet_frozen *faaslet_frozen_get(struct faaslet_frozen *frozen);

/* The bytes that the process record was frozen to; NULL where there is none. */
const uint8_t *faaslet_frozen_process(const struct faaslet_frozen *frozen, size_t *count);

/* Whether it stands in the middle of a call. */
bool faaslet_frozen_is_running(const struct faaslet_frozen *frozen);

/* Another record of host functions from now on, borrowed; one that is the Faaslet's own
 * is destroyed. Not while it runs. */
void faaslet_process_set(struct faaslet *faaslet, void *process);

/* Of its linear memory now; 0 where it has none, or several instances. */
uint64_t faaslet_memory_bytes(const struct faaslet *faaslet);

/* Where it is; the same until the Faaslet is moved, reset or destroyed. NULL likewise. */
uint8_t *faaslet_memory(const struct faaslet *faaslet);

/* Processor time that ticks have charged to it since it began (faaslet_thread_tick). */
uint64_t faaslet_cpu_ns(const struct faaslet *faaslet);

/* Limits at which it was refused something since it began, and went on: bits, 1 << enum
 * faaslet_limit. Often why it failed later. */
uint32_t faaslet_refused(const struct faaslet *faaslet);

/* The record of host functions in use: the config's, or after a thaw with ops the
 * Faaslet's own, which it destroys. */
void *faaslet_process(const struct faaslet *faaslet);

/* freeze and thaw in one: the copy goes on where the original stands. */
int faaslet_clone(struct faaslet *faaslet, const struct faaslet_config *config,
                  struct faaslet **out, struct diag *diag) MUST_CHECK;

/* Stress mode: at every n-th host call of every Faaslet, freeze it, unmap its slot and stacks,
 * thaw it elsewhere and go on; 0: off. Frozen data is scanned for words that point into the old
 * slot, the old stack or host memory; one found is a broken promise (ASSERT with a report).
 * WEFT_STRESS=move=N sets it at the first faaslet_thread_init. faaslet_stress_moves counts. Of
 * several threads all are moved; where the others do not come to stand soon that move is
 * skipped, which faaslet_stress_skips counts. */
void faaslet_stress(unsigned every_calls);
uint64_t faaslet_stress_moves(void);
uint64_t faaslet_stress_skips(void);

#endif
