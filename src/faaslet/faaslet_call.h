/* SPDX-License-Identifier: Apache-2.0
 *
 * faaslet_call: what a host function sees of the Faaslet that calls it. Part of faaslet.h, which
 * includes it.
 */
#ifndef WEFT_FAASLET_CALL_H
#define WEFT_FAASLET_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/abi.h"
#include "base/macros.h"

#define FAASLET_SCRATCH_COUNT 8u
#define FAASLET_WAIT_FDS_MAX  64u

enum faaslet_verdict {
    FAASLET_CALL_DONE,     /* result, if any, is in args[0] */
    FAASLET_CALL_TRAP,     /* call->trap and call->message say why */
    FAASLET_CALL_PENDING,  /* call->wait says for what; will be called again, same arguments */
    FAASLET_CALL_EXIT,     /* call->exit_code: the process ends */
    FAASLET_CALL_SNAPSHOT, /* as PENDING, but for nothing: a good place to freeze */
    FAASLET_CALL_LIMIT,    /* call->limit: the process ends, killed */
    FAASLET_CALL_ABSENT,   /* faaslet_call_absent said so: called again when it is there */
};

struct faaslet_wait_fd {
    int fd;
    short events; /* as poll(2) */
};

/* What a pending Faaslet waits for: any of the descriptors, or the time, or
 * whoever its host function told of it (none and CLOCK_NEVER_NS: only that; none
 * and 0: it lets others go first). */
struct faaslet_wait {
    uint64_t deadline_ns; /* base/clock.h; CLOCK_NEVER_NS for none */
    uint32_t fd_count;
    struct faaslet_wait_fd fds[FAASLET_WAIT_FDS_MAX];
};

enum faaslet_limit {
    FAASLET_LIMIT_TIME,    /* the run's deadline passed */
    FAASLET_LIMIT_KILL,    /* faaslet_kill */
    FAASLET_LIMIT_CPU,     /* config.cpu_ns_max of guest and host calls together */
    FAASLET_LIMIT_OUTPUT,  /* a host function said so */
    FAASLET_LIMIT_MEMORY,  /* config.memory_bytes_max: ends nobody, but refuses to grow */
    FAASLET_LIMIT_FILES,   /* of open files: likewise */
    FAASLET_LIMIT_CALLS,   /* of calls that a call starts: likewise */
    FAASLET_LIMIT_THREADS, /* config.threads_max: likewise */
};

/* One host call. Guest pointers are checked with faaslet_call_range or faaslet_call_view before
 * use and never kept. A function that cannot finish now says PENDING, and keeps what
 * is half done in scratch (zero at the first call; frozen with the Faaslet) or
 * in its process record. It checks all pointers before it does what cannot be done twice. */
struct mem_share;
struct faaslet;
struct faaslet_call {
    uint64_t *args;  /* argument slots as abi.h lays them out */
    uint8_t *memory; /* linear memory, or NULL; valid during this call only */
    uint64_t memory_bytes;
    void *process;     /* the config's */
    uint64_t *scratch; /* FAASLET_SCRATCH_COUNT values */
    uint32_t *refused; /* 1 << enum faaslet_limit: to be set where one makes a call fail */
    struct faaslet_wait *wait;
    int exit_code;
    enum abi_trap trap;
    enum faaslet_limit limit;
    const char *message;     /* static text for ABI_TRAP_HOST */
    struct faaslet *faaslet; /* who calls */
    bool has_shares;         /* it has shares mapped; */
    bool may_lack;           /* some of that memory may be absent or read-only */
};

/* Of shares: whether the host may touch them. */
bool faaslet_call_may_touch(const struct faaslet_call *call, uint64_t offset, uint64_t bytes,
                            bool is_write);
/* The host address of guest bytes [offset, offset + bytes), to be read and written, or NULL
 * where any of them is outside linear memory, or in a share that is read-only or absent. bytes 0
 * is valid up to and at the end. Where they are absent, whatever the function returns then is
 * forgotten, and the same call is made again when they are there: same arguments and scratch. */
static inline void *
faaslet_call_range(const struct faaslet_call *call, uint64_t offset, uint64_t bytes)
{
    if (offset > call->memory_bytes || bytes > call->memory_bytes - offset ||
        (call->may_lack && !faaslet_call_may_touch(call, offset, bytes, true)))
        return NULL;
    return call->memory + offset;
}
/* The same, to be read only. */
const void *faaslet_call_view(const struct faaslet_call *call, uint64_t offset, uint64_t bytes);
/* Whether any of them is absent: then the function is to return FAASLET_CALL_ABSENT. */
bool faaslet_call_absent(struct faaslet_call *call, uint64_t offset, uint64_t bytes);

/* Maps a share: linear memory grows by the WebAssembly pages that it needs, or a range that was
 * given back is used again. *offset: where. call->memory_bytes is right then. share_offset: of
 * the host page. A function that maps does not touch absent pages in the same call. -EINVAL,
 * -ENOSPC (too many shares), -ENOMEM (memory may not grow so far: noted as refused). */
int faaslet_call_share(struct faaslet_call *call, struct mem_share *share, uint64_t share_offset,
                       uint64_t bytes, bool is_writable, uint64_t *offset) MUST_CHECK;
/* What was mapped there (its first byte); the range is given back, and zero. -EINVAL, -ENOMEM. */
int faaslet_call_unshare(struct faaslet_call *call, uint64_t offset) MUST_CHECK;

/* A new thread that runs the export wasi_thread_start(id, argument), on a stack
 * of config.stack_bytes. *id: from 1. -ENOENT (the module has none, or its memory is not shared),
 * -EAGAIN (threads_max, or the owner says so), -ENOMEM. */
int faaslet_call_spawn(struct faaslet_call *call, uint32_t argument, uint32_t *id) MUST_CHECK;

typedef enum faaslet_verdict (*faaslet_host_fn)(struct faaslet_call *call);

/* type: parameters, ':', results, one letter each: i I f F v r R (i32 i64 f32 f64
 * v128 externref funcref). "iiI:i". Tables are static and immutable. */
struct faaslet_host_function {
    const char *name;
    const char *type;
    faaslet_host_fn function;
};

/* Finds a host function. NULL: there is none of that name. Strings are not terminated. */
typedef const struct faaslet_host_function *(*faaslet_resolve_fn)(const char *module,
                                                                  size_t module_bytes,
                                                                  const char *name,
                                                                  size_t name_bytes);

/* The function of a name in such a table, or NULL. */
const struct faaslet_host_function *faaslet_host_find(const struct faaslet_host_function *functions,
                                                      size_t count, const char *name,
                                                      size_t name_bytes);

#endif
