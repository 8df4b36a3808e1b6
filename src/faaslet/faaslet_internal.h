/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEFT_FAASLET_INTERNAL_H
#define WEFT_FAASLET_INTERNAL_H

#include <assert.h> /* static_assert */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "faaslet/faaslet.h"
#include "mem/mem.h"

#define SEGMENTS_MAX 32u

/* In context.call beside enum abi_call: a signal handler made the guest leave. */
#define CALL_STOPPED 0x50000000u
/* A helper found that it cannot touch what it is to: it is made as a host call is. */
#define CALL_HELPER(helper) (0x50000100u + (unsigned)(helper))

/* ---------------------------------------------------------------------- images */

struct image_segment {
    uint64_t first, end; /* addresses */
    uint64_t file_offset;
};

struct faaslet_image {
    struct faaslet_image *next; /* registry; guarded by its lock */
    unsigned references;        /* guarded by the registry's lock */
    int fd;                     /* owned, sealed */
    const uint8_t *file;        /* the whole file, read-only */
    size_t file_bytes;
    struct abi_image abi;
    struct image_segment segments[SEGMENTS_MAX];
    unsigned segment_count;
    uint64_t reserved_first, reserved_bytes;
    _Atomic(struct instance *) standalone; /* owned; linked once, for all Faaslets */
    struct image_symbols *symbols; /* owned; what gdb knows, guarded by the registry's lock */
};

/* Tells a debugger of an image that is mapped, and that it is no more. Under the
 * registry's lock. */
struct image_symbols *image_symbols_register(const struct faaslet_image *image);
void image_symbols_unregister(struct image_symbols *symbols); /* NULL is fine */

/* Bytes of the image at an address, NULL where not all of them are inside one
 * segment. Reads the file's copy: never faults. */
const uint8_t *image_bytes_at(const struct faaslet_image *image, uint64_t address, size_t count);

/* ------------------------------------------------------------------- instances */

/* What an import of an instance is: of which instance, and there which object.
 * Never itself an import. */
struct instance_source {
    uint32_t instance;
    uint32_t index;
};

/* One module in a slot. Immutable once linked, the same in every copy of the
 * Faaslet, so copies share it. */
struct instance {
    atomic_uint references;
    bool is_cached;              /* belongs to its image; counted there */
    struct faaslet_image *image; /* a reference, unless cached */
    faaslet_resolve_fn resolve;  /* cached: what it was linked with */
    uint32_t number;
    int64_t context;
    int64_t memory;         /* GS offset of its struct abi_memory, or 0 */
    int window;             /* of its own memory, or -1 */
    size_t below_bytes;     /* STANDALONE: what the slot needs */
    faaslet_host_fn *hosts; /* owned; per imported function; NULL: another instance's */
    uint32_t host_count;
    struct instance_source *sources; /* owned; LINKED: per import */
    uint8_t *template;               /* owned; the first bytes of the context */
    size_t template_bytes;
    int template_fd; /* the same from byte 0 of a sealed file, or -1 */
};

struct instance *instance_get(struct instance *instance);
void instance_put(struct instance *instance); /* NULL is fine */
void instance_free(struct instance *instance);

/* ------------------------------------------------------------------- Faaslets */

enum state {
    STATE_IDLE,    /* a call may be prepared */
    STATE_READY,   /* prepared or interrupted: guest code goes on */
    STATE_CALLING, /* a host call is to be made (again) */
    STATE_OVER,    /* exited or killed */
};

/* Registers of a guest frame, by what unwinding needs. */
struct guest_registers {
    uint64_t pc, sp, rbp, rbx, r12, r13, r14, r15;
    bool is_exact; /* pc is an instruction, not a return address */
};

struct registered_name {
    char *name; /* owned */
    uint32_t instance;
};

enum {
    STOP_NONE = 0,
    STOP_KILL = 1,
    STOP_TIME = 2,
    STOP_CPU = 3,
    STOP_PREEMPT = 4, /* not for good */
};

/* All registers of a guest that was taken off in the middle of its code: what the
 * kernel put on the signal stack. Plain data but for the place of the floating
 * point part, which is set when it goes on. */
struct machine;

/* Where a Faaslet stands, in plain values. As a whole it is frozen, saved, parked and
 * set back, so that no part of it is forgotten. Saved bytes have it as it is here. */
struct given_back {
    uint32_t window;
    uint32_t page, page_count; /* of WebAssembly's */
};

struct stand {
    int64_t call_context; /* of the call that was prepared */
    int64_t stop_context; /* through which it stopped; guest_sp is there */
    uint64_t scratch[FAASLET_SCRATCH_COUNT];
    uint64_t cpu_ns;     /* charged so far, by ticks */
    uint32_t call_slots; /* of the prepared call's results */
    uint32_t stop_at;    /* import at which to end as SNAPSHOT, or UINT32_MAX */
    enum state state;
    enum faaslet_outcome_kind last; /* what the last run came to */
    uint32_t is_init;               /* the prepared call is INIT */
    uint32_t refused;               /* 1 << enum faaslet_limit */
    uint32_t given_back_count;
    uint32_t place;      /* of its context: 0 is the main one */
    uint32_t id;         /* wasi-threads' */
    uint32_t argument;   /* of wasi_thread_start, which follows its INIT */
    uint64_t wait_order; /* among those who wait for memory */
    struct given_back given_back[FAASLET_GIVEN_BACK_MAX]; /* where shares may go */
};
static_assert(sizeof(struct stand) ==
                  4 * 8 + FAASLET_SCRATCH_COUNT * 8 + 10 * 4 + FAASLET_GIVEN_BACK_MAX * 12,
              "no gaps: it is saved");

/* What the threads of a process have in common beside what each has a copy of (slot, origin,
 * instances, configuration: they change only while all stand). Of modules with shared memory. */
struct space;

struct faaslet {
    struct faaslet_config config;
    bool process_is_own;
    enum abi_mode mode;
    struct mem_slot *slot; /* owned */
    uint8_t *origin;
    struct mem_stack stack; /* owned */

    struct instance **instances; /* owned; references */
    int64_t *contexts;           /* owned; of all instances, for abi_enter */
    uint8_t *is_dead;            /* owned; instances whose INIT trapped */
    uint32_t instance_count, instance_capacity;
    struct registered_name *names; /* owned */
    uint32_t name_count;
    int64_t below_next;   /* LINKED: contexts and tables grow down from here */
    unsigned window_next; /* LINKED */
    struct buffer types;  /* LINKED: the signatures, see faaslet_link.c */
    uint32_t type_count;

    struct space *space; /* NULL: its memory is not shared. Owned by the first thread */
    struct faaslet *wait_next, *wait_previous; /* guarded by space->wait_lock; also of idle ones */
    uint64_t wait_address;                     /* likewise */
    bool is_listed;                            /* likewise */
    bool holds_host;                           /* space->host_lock */
    atomic_uint held;                          /* HELD_*: faaslet_run returns at once */
    uint64_t kept_sp;                          /* of freeze_pointers */

    struct stand stand;
    enum abi_trap trap;           /* by a signal handler */
    const char *trap_message;     /* likewise; static, or NULL */
    struct faaslet_absent absent; /* what it cannot touch now; share NULL: nothing */
    struct kept_call *kept;       /* owned; NULL before it has shares */
    struct guest_registers stopped;
    struct faaslet_call call;
    struct faaslet_outcome outcome;
    struct machine *machine; /* owned; preempted in the middle of its code, or NULL */
    bool has_registers;      /* stopped is where it trapped or was killed */
    bool has_said;           /* outcome is what this run came to */

    atomic_uint stop;  /* STOP_*: leave as soon as you can */
    atomic_int runner; /* thread that runs it, or 0 */
    uint64_t deadline_ns;
    void *mark; /* the owner's */
};

static inline struct abi_context *
context_at(const struct faaslet *faaslet, int64_t offset)
{
    return (struct abi_context *)(faaslet->origin + offset);
}

static inline void *
offset_at(const struct faaslet *faaslet, int64_t offset)
{
    return faaslet->origin + offset;
}

/* A thread of a process: none but the first has an instance's context. */
static inline bool
is_first(const struct faaslet *faaslet)
{
    return faaslet->stand.place == 0;
}

/* Where tables, segments and the like are: what a context has in common with the others. */
static inline struct abi_context *
process_context(const struct faaslet *faaslet, struct abi_context *context)
{
    return faaslet->mode == ABI_LINKED ? context : context_at(faaslet, faaslet->contexts[0]);
}

/* Of a memory that others may grow at this moment. */
static inline uint64_t
pages_of(const struct abi_memory *memory)
{
    return memory == NULL ? 0 : __atomic_load_n(&memory->pages, __ATOMIC_ACQUIRE);
}

/* The linear memory's record of a context, or NULL. */
static inline struct abi_memory *
memory_of(const struct faaslet *faaslet, const struct abi_context *context)
{
    return context->memory == 0 ? NULL : offset_at(faaslet, context->memory);
}

/* Where it begins. Its record says so too, but that lies in a cache line that the first thread
 * writes whenever it calls, so the others do not look there. */
static inline uint8_t *
base_of(const struct faaslet *faaslet, const struct abi_memory *memory)
{
    return faaslet->origin + (faaslet->mode == ABI_LINKED ? memory->base : 0);
}

struct instance *faaslet_instance(const struct faaslet *faaslet, uint32_t number);

/* The instance whose image has code at pc, or NULL. */
const struct faaslet_image *faaslet_image_at(const struct faaslet *faaslet, uint64_t pc);

/* Fills the header, which holds the host's addresses. */
void faaslet_header_fill(struct faaslet *faaslet);

/* ------------------------------------------------------------------------ link */

int link_standalone(struct faaslet_image *image, const struct faaslet_config *config,
                    struct instance **out, struct diag *diag) MUST_CHECK;

/* Index into the image's functions of a function of the module, or UINT32_MAX. */
uint32_t link_find_function(const struct abi_image *image, uint32_t index);
const struct abi_meta_export *link_find_export(const struct abi_image *image, const char *name,
                                               size_t name_bytes);
/* "iI:f" of a type. */
void link_type_letters(const struct abi_image *image, uint32_t type, struct buffer *out);
uint32_t link_value_slots(const struct abi_image *image, struct abi_range values);

/* --------------------------------------------------------------------- threads */

/* The Faaslet that runs on this thread, or NULL. Read by signal handlers. */
struct runner {
    struct faaslet *volatile current;
    void *alternate_stack; /* owned */
    void *previous_stack;
    size_t previous_bytes;
    int previous_flags;
    timer_t timer;
    pid_t tid;
    bool is_ready;
    bool is_armed;      /* the timer */
    uint64_t tick_ns;   /* 0: no ticks */
    uint64_t run_count; /* faaslet_run calls; what the last tick saw follows */
    uint64_t tick_run;
    uint64_t tick_cpu_ns;
    struct machine *machine; /* owned; where a handler saves what it preempts */
};

struct runner *runner_here(void);
void runner_arm(struct runner *runner, uint64_t deadline_ns);
void runner_disarm(struct runner *runner);
void runner_set_gs(const uint8_t *origin);
void runner_interrupt(pid_t tid);

/* ------------------------------------------------------------------- preemption */

/* Whether the thread has a record to save a preempted guest in; makes one. */
bool runner_can_preempt(struct runner *runner);
struct machine *machine_new(void);
/* In a signal handler: saves what the kernel left. False: it does not fit. */
bool machine_save(struct machine *machine, const void *ucontext, uint32_t call);
/* For the thread that goes on with it: pointers and signal stack are its own. Sets
 * the context's call back to what it was. */
const void *machine_ready(struct machine *machine, struct abi_context *context);

/* Whether no register but the stack pointer is an address of the stack or of a helper, and it
 * stands in the image's code. */
bool machine_is_plain(const struct faaslet *faaslet);
/* The lowest byte of the stack in use: below rsp there is the red zone. */
uint64_t machine_stack_first(const struct machine *machine);
/* As plain data: the stack pointer as distance from the top; and back. */
void machine_freeze(const struct machine *machine, uint64_t top, struct buffer *out);
int machine_thaw(const struct buffer *bytes, uint64_t top, struct machine **out) MUST_CHECK;

/* --------------------------------------------------------------------- unwinding */

/* One frame outwards. False at the end of the stack, or where the tables do not
 * tell. landing: NULL, or set to the address of the landing pad that the frame
 * had for this call, before stepping (0: none). */
bool unwind_step(const struct faaslet *faaslet, struct guest_registers *registers);
uint64_t unwind_landing(const struct faaslet *faaslet, const struct guest_registers *registers,
                        uint64_t *args_bytes);

void registers_of_frame(const struct faaslet *faaslet, int64_t context,
                        struct guest_registers *out);

/* Continues the Faaslet at the landing pad that catches what the context throws.
 * False: there is none. */
bool throw_exception(struct faaslet *faaslet, int64_t context);

/* -------------------------------------------------------------------- waiting */

enum faaslet_verdict wait_call(struct faaslet *faaslet, uint32_t call);
/* It waits no more, whatever it waited for. */
void waiter_forget(struct faaslet *faaslet);
/* All threads that stand in a wait, in their order: after a thaw. */
void waiter_list_all(struct space *space);
bool waiter_is_for_ever(const struct faaslet *faaslet);

/* ------------------------------------------------------------------ several threads */

/* Who wants it to stand still. */
enum { HELD_BY_OWNER = 1, HELD_BY_MOVE = 2 };
void thread_hold(struct faaslet *thread, unsigned who);
void thread_release(struct faaslet *thread, unsigned who);

#define WAIT_BUCKETS 64u
#define SPARE_STACKS 16u

struct wait_bucket {
    struct faaslet *first, *last;
};

struct space {
    pthread_mutex_t lock;      /* threads, places, stacks; the slot's size and shares */
    pthread_mutex_t host_lock; /* host functions, one at a time */
    pthread_mutex_t wait_lock; /* compare and wait, notify */
    pthread_mutex_t move_lock; /* stress mode: who moves them */
    struct faaslet **threads;  /* owned, but for the first; guarded by lock */
    atomic_uint count;         /* guarded by lock; read without */
    uint32_t places;           /* room for contexts beside the main one; fixed */
    uint32_t threads_max;
    uint64_t *used;       /* owned; a bit per place */
    struct faaslet *idle; /* owned; of threads that ended, longest first */
    struct faaslet *idle_last;
    struct mem_stack spares[SPARE_STACKS]; /* owned */
    uint32_t spare_count;
    uint32_t next_id;
    uint64_t start_code, start_wrapper; /* wasi_thread_start, or 0 */
    uint64_t wait_order;                /* guarded by wait_lock, as these: */
    struct wait_bucket buckets[WAIT_BUCKETS];
};

static inline struct faaslet *
first_of(const struct faaslet *faaslet)
{
    return faaslet->space == NULL ? (struct faaslet *)(uintptr_t)faaslet
                                  : faaslet->space->threads[0];
}

/* Nobody makes, ends or moves its threads meanwhile. */
static inline void
space_hold(struct space *space)
{
    if (space != NULL)
        (void)pthread_mutex_lock(&space->lock);
}

static inline void
space_release(struct space *space)
{
    if (space != NULL)
        (void)pthread_mutex_unlock(&space->lock);
}

static inline uint32_t
thread_count(const struct faaslet *faaslet)
{
    return faaslet->space == NULL ? 1 : atomic_load(&faaslet->space->count);
}

/* Bytes below the slot's origin, with contexts for so many threads; 0: the module has none. */
uint64_t space_below_bytes(const struct instance *instance, uint32_t threads_max);
/* Of the first thread, which has its instance. below_bytes: of the slot. */
int space_create(struct faaslet *first, uint64_t below_bytes) MUST_CHECK;
void space_destroy(struct space *space); /* NULL is fine; all but the first are destroyed */
/* All but the first end. */
void space_clear(struct space *space);
/* A thread in a place (0: any), without context; its stack is there. -EAGAIN, -ENOMEM. */
int space_thread_new(struct space *space, uint32_t place, struct faaslet **out) MUST_CHECK;
/* The first thread has another slot: the others too. */
void space_follow(struct space *space);
int64_t space_context(const struct space *space, uint32_t place);

/* Prepares the call of code in a context; weft_start comes first. */
void run_prepare(struct faaslet *faaslet, int64_t context, uint64_t wrapper, uint64_t target);

/* ------------------------------------------------------------------------- shares */

extern const char share_read_only[]; /* why a write trapped */

/* What a host call that is made again must find as it was. */
struct kept_call {
    uint64_t args[FAASLET_ARGS_KEPT];
    uint64_t scratch[FAASLET_SCRATCH_COUNT];
};
/* Before a host call of a Faaslet with shares; and after it: true where it is to be made again,
 * and all is as it was. */
void share_keep_call(struct faaslet *faaslet, const struct abi_context *context);
bool share_undo_call(struct faaslet *faaslet, struct abi_context *context);

/* Whether a helper may touch both; bytes 0: it may. Else absent or trap_message say why not. */
bool share_may_touch(struct faaslet *faaslet, const struct abi_memory *memory, uint64_t offset,
                     uint64_t bytes, bool is_write);
/* The helper at which the Faaslet stands. */
enum faaslet_verdict helper_call(struct faaslet *faaslet, uint32_t helper);
/* The same shares in the slot that it has now. */
int share_move(struct faaslet *faaslet, const struct mem_slot *from) MUST_CHECK;
/* All of them are gone. */
void share_forget(struct faaslet *faaslet);

/* As memory.grow: old pages, or UINT64_MAX. */
uint64_t memory_grow(struct faaslet *faaslet, struct abi_memory *memory, uint64_t delta);

static inline unsigned
window_of(const struct abi_memory *memory)
{
    return (unsigned)(memory->base / mem_window_offset(1));
}

/* ------------------------------------------------------------------------ stress */

extern unsigned stress_every;

/* Whether this host call is one at which to move. */
bool stress_is_due(void);
void stress_move(struct faaslet *faaslet);

/* ------------------------------------------------------------------------- frozen */

/* One of several threads, beside its context, which is in the slot. */
struct frozen_thread {
    struct stand stand;
    struct buffer stack;   /* from the stack pointer to the top */
    struct buffer machine; /* registers, where it was preempted in its code */
};

struct faaslet_frozen {
    atomic_uint references;
    struct mem_snapshot *memory;
    struct buffer stack; /* from guest_sp to the top */
    struct buffer machine;
    struct frozen_thread *threads; /* owned; all but the first */
    uint32_t thread_count;
    struct buffer process;
    bool has_process;
    size_t stack_bytes;
    struct faaslet state; /* plain values; no slot, stack, process or runner */
};

/* Copies what is plain data and takes references. */
int state_copy(const struct faaslet *from, struct faaslet *to) MUST_CHECK;
void state_fini(struct faaslet *faaslet);
/* Stack pointers of all threads as distances from their stack's top, and no host address in
 * the slot; and back. */
void freeze_pointers(struct faaslet *faaslet);
void thaw_pointers(struct faaslet *faaslet);
/* What of its stack is in use, while it stands. */
void stack_append(const struct faaslet *faaslet, struct buffer *out);
bool has_stack(const struct stand *stand);
/* Gives the Faaslet a slot and a stack from the frozen one. */
int frozen_restore(const struct faaslet_frozen *frozen, bool random_place,
                   struct faaslet *faaslet) MUST_CHECK;
/* A stack in use, where the context says how much of it that is; of one that was preempted, where
 * it last left. */
int stack_restore(struct faaslet *faaslet, const struct buffer *bytes,
                  bool is_preempted) MUST_CHECK;
/* Stack and registers of all threads, in a slot that is equal to the frozen one. Threads that
 * are there take theirs, others are made. */
int threads_restore(struct faaslet *first, const struct faaslet_frozen *frozen,
                    bool random_place) MUST_CHECK;
/* Gives the Faaslet the record that ops make of the bytes; what it owned goes. */
int process_restore(struct faaslet *faaslet, const struct buffer *bytes) MUST_CHECK;

/* Helper thunks (faaslet_thunks.S) and what they call. */
void faaslet_thunk_memory_grow(void);
void faaslet_thunk_memory_copy(void);
void faaslet_thunk_memory_fill(void);
void faaslet_thunk_memory_init(void);
void faaslet_thunk_table_grow(void);
void faaslet_thunk_table_fill(void);
void faaslet_thunk_table_copy(void);
void faaslet_thunk_table_init(void);
/* The code with which a helper makes the guest leave: on the guest's stack, as guest code. */
void faaslet_thunk_leave(void);
void faaslet_thunk_end(void);

#endif
