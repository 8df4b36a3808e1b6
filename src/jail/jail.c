/* SPDX-License-Identifier: Apache-2.0
 *
 * A jail seen from the host: its process, group and link, from start to end.
 */
#include "jail/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "jail/jail_internal.h"

#define START_SECONDS_MAX 60 /* for each step of the new process */
#define GROUP_ATTEMPTS    8

struct jail {
    pid_t pid; /* 0: no process */
    int pidfd;
    uint32_t features, missing;
    struct jail_limits limits;
    struct jail_group group;
    struct network *network;
    struct jail_end end;
    bool is_strict;
};

/* While some jail starts this process takes over orphans, see start_process. */
static pthread_mutex_t reaper_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned starting; /* guarded by it, like the next */
static int was_reaper_before;

static int
refuse_missing(const char *name, uint32_t missing, struct diag *diag)
{
    char list[512];

    jail_feature_list(missing, list, sizeof(list));
    return diag_set(diag, -EPERM, "jail %s: missing on this machine: %s; see weft doctor", name,
                    list);
}

static int
start_group(struct jail *jail, const struct jail_config *config, struct diag *diag)
{
    int err = -ENOENT;

    /* Another process may remove the folder weft, when empty, in between. */
    for (int i = 0; i < GROUP_ATTEMPTS && err == -ENOENT; i++) {
        struct group_tree tree;

        group_tree_find("", &tree);
        if ((jail->features & ~group_tree_features(&tree) &
             (JAIL_CPU | JAIL_MEMORY | JAIL_PROCESSES)) != 0)
            return diag_set(diag, -EIO, "jail %s: the control groups are gone", config->name);
        err = group_open(&tree, config->name, &jail->group, diag);
        if (err != 0)
            group_tree_leave(&tree);
    }
    if (err != 0)
        return diag_set(diag, err, "cannot make the control group of jail %s: %s", config->name,
                        strerror(-err));
    return group_limit(&jail->group, &config->limits, NULL, diag);
}

static int
open_control(int ends[2], struct diag *diag)
{
    struct timeval patience = {.tv_sec = START_SECONDS_MAX};
    int err = fault_point("jail.start");

    if (err == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        err = -errno;
    if (err == 0)
        (void)setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (err != 0)
        return diag_set(diag, err, "cannot make a socket pair: %s", strerror(-err));
    return 0;
}

/* The next message of the new process, which must be of this kind. */
static int
await(int control, enum child_message_kind kind, struct child_message *out, struct diag *diag)
{
    ssize_t count;

    do {
        count = recv(control, out, sizeof(*out), 0);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return diag_set(diag, -errno, "the new process says nothing: %s", strerror(errno));
    if (count != sizeof(*out))
        return diag_set(diag, -ECHILD, "the new process died before its main function");
    if (out->kind == CHILD_FAILED)
        return diag_set(diag, out->err, "%.479s", out->text);
    return out->kind == kind ? 0 : diag_set(diag, -EPROTO, "unexpected word of the new process");
}

/* Forks the first process, without this process's handlers running in it. */
static pid_t
fork_first(const struct child_plan *plan)
{
    sigset_t all, old;
    pid_t pid;
    int err = fault_point("jail.start");

    if (err != 0) {
        errno = -err;
        return -1;
    }
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    pid = fork();
    if (pid == 0)
        child_run(plan);
    err = errno;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = err;
    return pid;
}

/* Waits for the end of a child. */
static void
reap(pid_t pid, siginfo_t *info)
{
    info->si_pid = 0;
    while (waitid(P_PID, (id_t)pid, info, WEXITED) != 0 && errno == EINTR)
        continue;
}

static void
reaper_begin(void)
{
    (void)pthread_mutex_lock(&reaper_lock);
    if (starting++ == 0) {
        (void)prctl(PR_GET_CHILD_SUBREAPER, &was_reaper_before, 0, 0, 0);
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    }
    (void)pthread_mutex_unlock(&reaper_lock);
}

static void
reaper_end(void)
{
    (void)pthread_mutex_lock(&reaper_lock);
    if (--starting == 0)
        (void)prctl(PR_SET_CHILD_SUBREAPER, was_reaper_before, 0, 0, 0);
    (void)pthread_mutex_unlock(&reaper_lock);
}

/* The first process ends before the confined one, which so becomes a child of the
 * nearest process that takes orphans: for as long as that takes, this one. Its
 * parent is then the first thread of the host, not the one that happens to call
 * jail_start, whose end the kernel would take for the parent's death. */
static int
start_process(struct jail *jail, struct child_plan *plan, int control, struct diag *diag)
{
    struct child_message message;
    siginfo_t info;
    pid_t first;
    int err;

    reaper_begin();
    first = fork_first(plan);
    if (first < 0)
        err = diag_set(diag, -errno, "cannot fork: %s", strerror(errno));
    file_close(&plan->control);
    if (first > 0) {
        err = await(control, CHILD_FORKED, &message, diag);
        jail->pid = err == 0 ? message.pid : 0;
        if (err != 0)
            (void)kill(first, SIGKILL);
        reap(first, &info);
    }
    reaper_end();
    if (err != 0)
        return err;
    err = fault_point("jail.start");
    jail->pidfd = err != 0 ? -1 : (int)syscall(SYS_pidfd_open, jail->pid, 0);
    if (jail->pidfd < 0)
        return diag_set(diag, err != 0 ? err : -errno, "cannot open the new process");
    return 0;
}

static int
start_network(struct jail *jail, const struct jail_config *config, struct diag *diag)
{
    char path[48];
    int netns, err = fault_point("jail.start");

    if (config->network.address == NULL || (jail->features & JAIL_NETWORK_RATE) == 0)
        return 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)jail->pid);
    netns = err != 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0)
        return diag_set(diag, err != 0 ? err : -errno, "cannot open the jail's network");
    err =
        network_create(&config->network, netns, config->limits.network_rate, &jail->network, diag);
    (void)close(netns);
    return err;
}

/* From the process's birth to its main function. */
static int
start_confined(struct jail *jail, const struct jail_config *config, struct diag *diag)
{
    struct child_message message = {.kind = CHILD_GO};
    struct child_plan plan = {
        .config = config, .features = jail->features, .is_privileged = jail_is_privileged()};
    int ends[2], err;

    plan.join_count = group_join_open(&jail->group, plan.joins, diag);
    if (plan.join_count < 0)
        return plan.join_count;
    err = open_control(ends, diag);
    if (err != 0)
        goto close_joins;
    plan.control = ends[1];
    err = start_process(jail, &plan, ends[0], diag);
    if (err == 0)
        err = start_network(jail, config, diag);
    if (err == 0 && send(ends[0], &message, sizeof(message), MSG_NOSIGNAL) < 0)
        (void)0; /* it died: what it said before is in the socket */
    if (err == 0)
        err = await(ends[0], CHILD_READY, &message, diag);
    (void)close(ends[0]);
close_joins:
    for (int i = 0; i < plan.join_count; i++)
        (void)close(plan.joins[i]);
    return err;
}

int
jail_start(const struct jail_config *config, struct jail **out, struct diag *diag)
{
    uint32_t wanted, features;
    struct jail *jail;
    int err = jail_config_check(config, diag);

    if (err != 0)
        return err;
    wanted = jail_config_wants(config);
    features = jail_features();
    if (config->is_strict && (wanted & ~features) != 0)
        return refuse_missing(config->name, wanted & ~features, diag);
    jail = calloc(1, sizeof(*jail));
    if (jail == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a jail");
    jail->pidfd = -1;
    /* Groups count and kill also where no limit is asked. */
    jail->features = features;
    jail->missing = wanted & ~features;
    jail->limits = config->limits;
    jail->is_strict = config->is_strict;
    err = start_group(jail, config, diag);
    if (err == 0)
        err = start_confined(jail, config, diag);
    if (err != 0) {
        jail_destroy(jail);
        diag_prefix(diag, "jail %s", config->name);
        return err;
    }
    *out = jail;
    return 0;
}

uint32_t
jail_missing(const struct jail *jail)
{
    return jail->missing;
}

pid_t
jail_pid(const struct jail *jail)
{
    return jail->pid;
}

int
jail_pidfd(const struct jail *jail)
{
    return jail->pidfd;
}

static int
limit_files(const struct jail *jail, uint32_t files, struct diag *diag)
{
    struct rlimit limit = {files, files};
    int err = fault_point("jail.limit");

    if (files == jail->limits.files || jail->end.kind != JAIL_RUNNING)
        return err;
    if (files == 0)
        err = getrlimit(RLIMIT_NOFILE, &limit) != 0 ? -errno : err;
    if (err == 0 && prlimit(jail->pid, RLIMIT_NOFILE, &limit, NULL) != 0)
        err = -errno;
    if (err == -EPERM)
        return diag_set(diag, err,
                        "cannot change the limit of open files from %u to %u: more than before, "
                        "and as root any change, takes CAP_SYS_RESOURCE",
                        jail->limits.files, files);
    if (err != 0)
        return diag_set(diag, err, "cannot limit open files: %s", strerror(-err));
    return 0;
}

int
jail_limit(struct jail *jail, const struct jail_limits *limits, struct diag *diag)
{
    uint32_t missing = jail_limits_want(limits) & ~jail->features;
    int err = jail_limits_check(limits, diag);

    if (err == 0 && jail->is_strict && missing != 0)
        err = refuse_missing(jail->group.folder, missing, diag);
    if (err != 0)
        return err;
    err = group_limit(&jail->group, limits, &jail->limits, diag);
    if (err != 0)
        return err;
    /* The link before the files, whose limit cannot always be put back. */
    if (jail->network != NULL)
        err = network_limit(jail->network, limits->network_rate, diag);
    if (err != 0)
        goto restore_group;
    err = limit_files(jail, limits->files, diag);
    if (err != 0)
        goto restore_network;
    jail->limits = *limits;
    jail->missing |= missing;
    return 0;

restore_network:
    if (jail->network != NULL)
        (void)!network_limit(jail->network, jail->limits.network_rate, NULL);
restore_group:
    (void)!group_limit(&jail->group, &jail->limits, NULL, NULL);
    return err;
}

int
jail_usage(const struct jail *jail, struct jail_usage *out)
{
    struct jail_usage usage = {0};

    group_usage(&jail->group, &usage);
    /* The link goes with the process; what it counted is gone then. */
    if (jail->network != NULL)
        (void)!network_usage(jail->network, &usage.received_bytes, &usage.sent_bytes);
    *out = usage;
    return 0;
}

static void
note_end(struct jail *jail, const siginfo_t *info)
{
    bool was_killed = info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED;

    jail->end.kind = was_killed ? JAIL_SIGNALLED : JAIL_EXITED;
    jail->end.code = info->si_status;
    if (was_killed && info->si_status == SIGKILL && group_memory_kills(&jail->group) > 0)
        jail->end.kind = JAIL_OUT_OF_MEMORY;
}

int
jail_poll(struct jail *jail, struct jail_end *out)
{
    siginfo_t info = {0};

    if (jail->end.kind == JAIL_RUNNING) {
        if (waitid(P_PID, (id_t)jail->pid, &info, WEXITED | WNOHANG) != 0)
            return -errno;
        if (info.si_pid == jail->pid)
            note_end(jail, &info);
    }
    *out = jail->end;
    return 0;
}

void
jail_destroy(struct jail *jail)
{
    siginfo_t info;

    if (jail == NULL)
        return;
    if (jail->pid > 0 && jail->end.kind == JAIL_RUNNING) {
        (void)kill(jail->pid, SIGKILL);
        reap(jail->pid, &info);
    }
    network_destroy(jail->network);
    group_close(&jail->group);
    file_close(&jail->pidfd);
    free(jail);
}
