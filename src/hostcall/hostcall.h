/* SPDX-License-Identifier: Apache-2.0
 *
 * hostcall: what a guest may import.
 *
 * Module "weft": what a program can ask of Weft: its input and result, who it is, its
 * log, a good place to make a Proto-Faaslet, and calls that it starts and awaits
 * (guest/include/weft.h says what a guest sees; docs/chain.md why it is so).
 *
 * Module "wasi_*": WASI preview 1 (wasi_snapshot_preview1) in full and wasi_unstable with
 * its own layouts. Every function checks guest pointers before anything else,
 * never waits (faaslet.h: PENDING), and keeps nothing on a stack in between.
 *
 * Module "weft_group": the host's side of MPI (guest/mpi/net.h is the guest's): messages to the
 * other members of a group, their memory, waiting, the end.
 *
 * Module "wasi": thread-spawn, of wasi-threads. Host functions are called one at a time for each
 * process (faaslet.h), so a record needs no lock; but another thread of the process may have run
 * between a PENDING and the call that is made again, so what was looked at is looked at again.
 *
 * One hostcall_process is the host-side record of one guest process: arguments,
 * environment, descriptors. It freezes to plain data.
 */
#ifndef WEFT_HOSTCALL_H
#define WEFT_HOSTCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "faaslet/faaslet.h"

/* Streams that are kept: 0 to 2 where they are in memory, and what weft_output wrote. */
#define HOSTCALL_RESULT 3u

/* In stdio: what is read is config.input, what is written is kept. */
#define HOSTCALL_MEMORY           (-2)
#define HOSTCALL_OUTPUT_BYTES_MAX (32u << 20) /* kept of 1, 2 and the result together */
#define HOSTCALL_INPUT_BYTES_MAX  (32u << 20) /* of a call that a guest starts */
#define HOSTCALL_NAME_BYTES_MAX   255u        /* of a function's reference */
#define HOSTCALL_HANDLES_MAX      65536u      /* calls of one call that are not forgotten */

/* ------------------------------------------------------------------------ chaining */

/* What a guest wants started: a function by its reference, or by a pointer into its own
 * table. Borrowed for the call. */
struct hostcall_chain_start {
    const char *reference; /* NULL: by pointer; printable and not empty */
    uint32_t pointer;
    const uint8_t *input;
    size_t input_bytes;
    bool is_detached; /* goes on when the call that started it is over */
    uint64_t wall_ns; /* 0: no limit of the starter's */
};

/* The guest sees these numbers. */
enum hostcall_end_kind {
    HOSTCALL_RUNNING,
    HOSTCALL_DONE,      /* returned, or exited with 0 */
    HOSTCALL_EXIT,      /* code: another exit code */
    HOSTCALL_TRAP,      /* code: enum abi_trap */
    HOSTCALL_LIMIT,     /* code: enum hostcall_limit */
    HOSTCALL_CANCELLED, /* by whoever could */
    HOSTCALL_FAILED,    /* code: -errno; the guest sees its own number for it */
    HOSTCALL_LOST,      /* the process that ran it died */
};

enum hostcall_limit { HOSTCALL_LIMIT_TIME = 1, HOSTCALL_LIMIT_CPU = 2, HOSTCALL_LIMIT_OUTPUT = 4 };

/* What of a call that ended can be read. */
enum hostcall_stream {
    HOSTCALL_STREAM_RESULT,
    HOSTCALL_STREAM_OUTPUT, /* written to 1 */
    HOSTCALL_STREAM_LOG,    /* and to 2 */
    HOSTCALL_STREAM_MESSAGE,
    HOSTCALL_STREAM_COUNT
};

struct hostcall_chain_end {
    enum hostcall_end_kind kind;
    int code;
    uint32_t bytes[HOSTCALL_STREAM_COUNT];
};

struct hostcall_chain_read {
    uint64_t offset;
    void *to;
    size_t bytes, done;
};

/* Who starts calls for calls. Handles are numbers, never 0, that mean something to one
 * `call` (config.call) only; all on the thread that runs it, and none waits. Those that
 * take a handle fail with -EBADF where the call has no such. */
struct hostcall_chain_ops {
    /* -ENOENT, -EMFILE (handles), -ELOOP (depth), -EAGAIN (calls of the tenant),
     * -ENOMEM, -ENOSYS. */
    int (*start)(void *context, uint64_t call, const struct hostcall_chain_start *start,
                 uint64_t *handle);
    /* The place in handles of the first that is over. count: none is; the call is woken
     * when one of them is. */
    int64_t (*poll)(void *context, uint64_t call, const uint64_t *handles, size_t count);
    /* Writes nothing where it is not over. */
    int (*end)(void *context, uint64_t call, uint64_t handle, struct hostcall_chain_end *end);
    /* Copies what there is of [offset, offset + bytes). -EAGAIN: it is not over. */
    int (*read)(void *context, uint64_t call, uint64_t handle, enum hostcall_stream stream,
                struct hostcall_chain_read *read);
    int (*cancel)(void *context, uint64_t call, uint64_t handle);
    /* Cancels it, unless it is detached: nobody can await it any more. */
    int (*forget)(void *context, uint64_t call, uint64_t handle);
};

/* What records name by a number, so that they freeze to plain data. Written by registration. */
enum hostcall_registered_kind { HOSTCALL_REGISTERED_CHAIN = 1, HOSTCALL_REGISTERED_GROUP };
struct hostcall_registered {
    uint64_t number;
    enum hostcall_registered_kind kind;
    struct hostcall_registered *next;
};

/* Thawed in a process where it is not registered, a record can start no calls. */
struct hostcall_chain {
    const struct hostcall_chain_ops *ops;
    void *context;
    struct state *state; /* of the guests that have this; borrowed; NULL: none */
    struct hostcall_registered registered;
};
int hostcall_chain_register(struct hostcall_chain *chain) MUST_CHECK;
/* No record with it exists any more. One that is not registered is fine. */
void hostcall_chain_unregister(struct hostcall_chain *chain);

/* -------------------------------------------------------------------------- groups */

struct group;

/* The group of which guests are members (weft_group). Thawed in a process where it is not
 * registered, a record is in no group.
 *
 * Who runs a member (config.group and .member) tells the group when its call is over, while its
 * Faaslet is still there (group_gone): others may be copying its memory. A member of several maps
 * no state (-ENOTSUP), and one that has mapped some cannot enter: its memory could be absent where
 * others copy it. */
struct hostcall_group {
    struct group *group; /* borrowed */
    struct hostcall_registered registered;
};
int hostcall_group_register(struct hostcall_group *group) MUST_CHECK;
void hostcall_group_unregister(struct hostcall_group *group);
#define HOSTCALL_GROUP_MODULE "weft_group" /* that members import */

/* ------------------------------------------------------------------------- records */

struct hostcall_directory {
    const char *host_path;  /* or NULL */
    const char *guest_path; /* "/", "/data", "." */
    bool is_read_only;
    int fd; /* where host_path is NULL: a directory, borrowed during create only */
};

struct hostcall_config {
    const char *const *args; /* argv, with the program's name; arg_count of them */
    size_t arg_count;
    const char *const *env; /* "NAME=value" */
    size_t env_count;
    const struct hostcall_directory *directories;
    size_t directory_count;
    int stdio[3];      /* borrowed descriptors for 0, 1, 2; -1: closed; HOSTCALL_MEMORY */
    const void *input; /* copied */
    size_t input_bytes;
    uint32_t files_max;  /* open at one time, the standard streams included; 0: as many as can be */
    uint64_t output_max; /* bytes that may be written to stdio in all, whatever numbers
                          * the guest gives it later; 0: no limit */
    const int *sockets;  /* borrowed listening sockets, next after the directories */
    size_t socket_count;
    uint64_t call;                      /* its number, for the guest and for chain */
    const char *function, *tenant;      /* names, or NULL */
    const char *version;                /* of the function, or NULL */
    uint64_t deadline_ns;               /* as the guest is told; 0: none */
    uint32_t pointer;                   /* the function of its table that it is to run; 0: none */
    uint32_t processors;                /* that it is told of; 0: those of the calling thread */
    const struct hostcall_chain *chain; /* registered, borrowed; NULL: it can start none */
    bool has_device; /* /dev/weft and /state, as the next descriptors after the sockets */
    const struct hostcall_group *group; /* registered, borrowed; NULL: it is in none */
    uint32_t member;                    /* of the group: its number there */
};

struct hostcall_process;
struct mem_share;

/* Copies everything it needs; opens the directories. -ENOENT, -ENOTDIR: diag
 * names the path. */
int hostcall_process_create(const struct hostcall_config *config, struct hostcall_process **out,
                            struct diag *diag) MUST_CHECK;
void hostcall_process_destroy(struct hostcall_process *process); /* NULL is fine */
/* Its guest has ended, and what it has mapped of state is not mapped any more to who maps it next.
 * NULL is fine. */
void hostcall_process_unmap(struct hostcall_process *process);

/* What was written to 1 or 2 in memory, or as the result, so far; valid until the
 * process goes on. */
const uint8_t *hostcall_process_output(const struct hostcall_process *process, unsigned stream,
                                       size_t *count);

/* Maps what it has of state into a Faaslet that was thawed with this record and has none of it.
 * -ESTALE: one cannot be: its value has another size by now, or there was no room for it. -ENOMEM,
 * -ENOSPC, -EINVAL. */
int hostcall_process_attach(struct hostcall_process *process, struct faaslet *faaslet) MUST_CHECK;

/* A page of a share that it has mapped is absent (faaslet.h: FAASLET_ABSENT). 0: it is there now.
 * -EINPROGRESS: the call is woken when it is. Else it is not to be had. */
int hostcall_process_touch(struct hostcall_process *process, const struct mem_share *share,
                           uint64_t offset) MUST_CHECK;

/* It has returned: files of /state that are open are saved. -EINPROGRESS: the call is woken, and
 * this is called again. */
int hostcall_process_leave(struct hostcall_process *process) MUST_CHECK;

/* Whether it can be started from a frozen copy of it in another process: -ENOTSUP, and
 * diag names the descriptor that cannot go there (a pipe, a socket), or says that it is a member
 * of a group. */
int hostcall_process_can_move(const struct hostcall_process *process, struct diag *diag) MUST_CHECK;

/* For faaslet_config: the import resolver, and how a process record freezes. */
const struct faaslet_host_function *hostcall_resolve(const char *module, size_t module_bytes,
                                                     const char *name, size_t name_bytes);
extern const struct faaslet_process_ops hostcall_process_ops;

#endif
