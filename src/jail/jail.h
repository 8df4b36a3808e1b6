/* SPDX-License-Identifier: Apache-2.0
 *
 * jail: one confined process, by what the kernel offers.
 *
 *   host process --jail_start--> namespaces, control group, root, limits
 *                                --> seccomp --> main(context) of the cell
 *
 * The confined process shares nothing with the host but the descriptors named
 * in the config. What the machine cannot give is left out and reported
 * (jail_missing), or refused with is_strict.
 *
 * A jail is used by one thread of the host at a time.
 */
#ifndef WEFT_JAIL_H
#define WEFT_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"
#include "base/macros.h"

#define JAIL_PATHS_MAX       64u
#define JAIL_DESCRIPTORS_MAX 64u
#define JAIL_SYSCALLS_MAX    60u /* of the allow-list; checked at build and in tests */

/* Each is a protection that a machine may or may not offer to this user. */
enum jail_feature {
    JAIL_USER_NAMESPACE = 1 << 0,
    JAIL_MOUNT_NAMESPACE = 1 << 1, /* own root, read-only, with nothing but config.paths */
    JAIL_PID_NAMESPACE = 1 << 2,
    JAIL_IPC_NAMESPACE = 1 << 3,
    JAIL_NET_NAMESPACE = 1 << 4,
    JAIL_SECCOMP = 1 << 5,
    JAIL_NO_NEW_PRIVILEGES = 1 << 6,
    JAIL_CPU = 1 << 7,       /* share and quota */
    JAIL_MEMORY = 1 << 8,    /* a limit with its own out-of-memory killer */
    JAIL_PROCESSES = 1 << 9, /* pids of the control group */
    JAIL_FILES = 1 << 10,    /* RLIMIT_NOFILE */
    JAIL_NETWORK_RATE = 1 << 11,
};
#define JAIL_FEATURES_ALL ((1u << 12) - 1)

struct jail_limits {
    uint32_t cpu_share;    /* weight between tenants, 1..10000; 0: 100 */
    uint32_t cpu_percent;  /* quota: 100 is one core; 0: none */
    uint64_t memory_bytes; /* resident, with page cache of its own; 0: none */
    uint32_t processes;    /* processes and threads; 0: none */
    uint32_t files;        /* open descriptors; 0: none */
    uint64_t network_rate; /* bytes per second, each way; 0: no limit */
};

/* A host directory or file that the process sees. */
struct jail_path {
    const char *host_path;
    const char *path; /* absolute, in the jail */
    bool is_writable;
};

/* A veth pair: one end in the jail with this address, the other in the network namespace
 * of the host process. NULL address: no network but loopback. */
struct jail_network {
    const char *name;         /* of the host's end, at most 15 bytes */
    const char *address;      /* "10.1.0.2/30", of the jail's end */
    const char *host_address; /* "10.1.0.1/30" */
};

typedef int (*jail_main_fn)(void *context, const int *descriptors, size_t count);

struct jail_config {
    const char *name;  /* of the control group: letters, digits, - and _; unique on this host */
    jail_main_fn main; /* runs in the confined process; its result is the exit code */
    void *context;
    const int *descriptors; /* stay open as 3, 4, ...; 0, 1, 2 are /dev/null unless given below */
    size_t descriptor_count;
    int stdio[3]; /* -1: /dev/null */
    const struct jail_path *paths;
    size_t path_count;
    struct jail_limits limits;
    struct jail_network network;
    uid_t user;     /* as root: whom the process becomes; 0: nobody (65534) */
    gid_t group;    /* likewise */
    bool is_strict; /* refuse where something asked for is missing */
};

struct jail;

/* What this process could give a jail now: enum jail_feature bits. Tries each
 * once; cheap afterwards. */
uint32_t jail_features(void);
/* "mount namespace", and what to do to have it. Static. */
const char *jail_feature_name(enum jail_feature feature);
const char *jail_feature_advice(enum jail_feature feature);

/* Starts the process. On failure nothing is left: no process, group, mount or
 * link. -EINVAL: a bad name, limit or path. -EPERM with is_strict: diag names
 * what is missing. */
int jail_start(const struct jail_config *config, struct jail **out, struct diag *diag) MUST_CHECK;

/* What of the config could not be had: enum jail_feature bits. */
uint32_t jail_missing(const struct jail *jail);

pid_t jail_pid(const struct jail *jail);
/* Becomes readable when the process has ended (a pidfd); owned by the jail. */
int jail_pidfd(const struct jail *jail);

/* Sets new limits while it runs. Unchanged on failure. */
int jail_limit(struct jail *jail, const struct jail_limits *limits, struct diag *diag) MUST_CHECK;

struct jail_usage {
    uint64_t cpu_ns;
    uint64_t memory_bytes, memory_peak_bytes;
    uint64_t received_bytes, sent_bytes;
    uint32_t processes;
    uint32_t out_of_memory_kills;
};
/* As far as the control groups say; what they do not is 0. */
int jail_usage(const struct jail *jail, struct jail_usage *out) MUST_CHECK;

enum jail_end_kind {
    JAIL_RUNNING,
    JAIL_EXITED,        /* code */
    JAIL_SIGNALLED,     /* code is the signal */
    JAIL_OUT_OF_MEMORY, /* killed at its own limit */
};
struct jail_end {
    enum jail_end_kind kind;
    int code;
};
/* Without waiting. */
int jail_poll(struct jail *jail, struct jail_end *out) MUST_CHECK;

/* Ends every process of it, waits for them, removes group and link. NULL is fine. */
void jail_destroy(struct jail *jail);

/* Removes control groups of jails whose host process is gone (after a crash). */
int jail_sweep(void) MUST_CHECK;

/* In the confined process, once it has opened all it needs: only the allow-list
 * from now on. jail_start's main runs before that. Idempotent. */
int jail_seal(struct diag *diag) MUST_CHECK;

#endif
