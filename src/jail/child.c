/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of the new process:
 *
 *   host --fork--> first: signals, descriptors, namespaces --fork--> confined
 *          first tells the confined one's pid and ends
 *          confined: waits for the host's word (the network); joins its groups;
 *                    root, rights, limits; tells that it is ready; main
 *
 * Two forks, because a pid namespace begins with the children of who made it. The
 * confined process is process 1 there, so nothing of it outlives it. It becomes a
 * child of the host when the first one ends (see jail.c).
 *
 * The host may have had many threads: until main, only what is safe in the child
 * of such a process (the C library's fork keeps malloc usable).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/file.h"
#include "jail/jail_internal.h"

#define CHILD_FDS_MAX (3 + JAIL_DESCRIPTORS_MAX + 1 + GROUP_CONTROLLERS)

/* What both processes keep. */
struct child {
    const struct child_plan *plan;
    int control;
    int joins[GROUP_CONTROLLERS];
};

static bool
tell(const struct child *child, const struct child_message *message)
{
    return send(child->control, message, sizeof(*message), MSG_NOSIGNAL) == sizeof(*message);
}

NORETURN static void
fail(const struct child *child, int err, const struct diag *diag)
{
    struct child_message message = {.kind = CHILD_FAILED, .err = err};

    (void)snprintf(message.text, sizeof(message.text), "%.479s", diag_text(diag));
    (void)tell(child, &message);
    _exit(1);
}

/* Handlers and masks of the host mean nothing here. */
static void
reset_signals(void)
{
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The descriptors to keep, in the order in which they will be numbered. */
static int
list_fds(const struct child_plan *plan, int null, int fds[CHILD_FDS_MAX])
{
    int count = 0;

    for (int i = 0; i < 3; i++)
        fds[count++] = plan->config->stdio[i] < 0 ? null : plan->config->stdio[i];
    for (size_t i = 0; i < plan->config->descriptor_count; i++)
        fds[count++] = plan->config->descriptors[i];
    fds[count++] = plan->control;
    for (int i = 0; i < plan->join_count; i++)
        fds[count++] = plan->joins[i];
    return count;
}

/* Numbers the descriptors 0, 1, 2, ... and closes all others. Copies above the
 * range come first, so that none is overwritten before it is moved. */
static int
arrange_fds(struct child *child, struct diag *diag)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fds[CHILD_FDS_MAX], count = list_fds(child->plan, null, fds);
    int given = 3 + (int)child->plan->config->descriptor_count;
    int err = null < 0 ? -errno : fault_point("jail.child");

    for (int i = 0; i < count && err == 0; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, count);
        err = fds[i] < 0 ? -errno : 0;
    }
    if (err != 0)
        return diag_set(diag, err, "cannot pass the descriptors on: %s", strerror(-err));
    child->control = fds[given];
    for (int i = 0; i < count; i++)
        if (dup3(fds[i], i, i < given ? 0 : O_CLOEXEC) < 0)
            return diag_set(diag, -errno, "cannot pass the descriptors on: %s", strerror(errno));
    child->control = given;
    for (int i = 0; i < child->plan->join_count; i++)
        child->joins[i] = given + 1 + i;
    closefrom(count);
    return 0;
}

static int
make_user_namespace(struct diag *diag)
{
    int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int err;

    if (self < 0)
        return diag_set(diag, -errno, "cannot open /proc/self: %s", strerror(errno));
    err = drop_map_user(self, geteuid(), getegid(), diag);
    (void)close(self);
    return err;
}

static int
make_namespaces(const struct child_plan *plan, struct diag *diag)
{
    static const struct {
        enum jail_feature feature;
        int flag;
    } spaces[] = {{JAIL_MOUNT_NAMESPACE, CLONE_NEWNS},
                  {JAIL_IPC_NAMESPACE, CLONE_NEWIPC},
                  {JAIL_NET_NAMESPACE, CLONE_NEWNET},
                  {JAIL_PID_NAMESPACE, CLONE_NEWPID}};

    if (!plan->is_privileged && (plan->features & JAIL_USER_NAMESPACE) != 0) {
        int err = make_user_namespace(diag);

        if (err != 0)
            return err;
    }
    for (size_t i = 0; i < ARRAY_COUNT(spaces); i++) {
        int err;

        if ((plan->features & (uint32_t)spaces[i].feature) == 0)
            continue;
        err = fault_point("jail.child");
        if (err == 0 && unshare(spaces[i].flag) != 0)
            err = -errno;
        if (err != 0)
            return diag_set(diag, err, "cannot make a %s: %s", jail_feature_name(spaces[i].feature),
                            strerror(-err));
    }
    return 0;
}

static int
join_groups(const struct child *child, struct diag *diag)
{
    for (int i = 0; i < child->plan->join_count; i++) {
        int err = fault_point("jail.child");

        if (err == 0)
            err = file_write_all(child->joins[i], "0\n", 2);
        (void)close(child->joins[i]);
        if (err != 0)
            return diag_set(diag, err, "cannot join the control group: %s", strerror(-err));
    }
    /* Its own groups are then all that it sees of them; not worth failing for. */
    (void)unshare(CLONE_NEWCGROUP);
    return 0;
}

/* Waits until the host has done its part. */
static void
await_go(const struct child *child)
{
    struct child_message message;

    if (recv(child->control, &message, sizeof(message), 0) != sizeof(message) ||
        message.kind != CHILD_GO)
        _exit(1);
}

static int
limit_files(const struct child_plan *plan, struct diag *diag)
{
    rlim_t files = plan->config->limits.files;
    struct rlimit limit = {files, files};
    int err = fault_point("jail.child");

    if (files == 0)
        return 0;
    if (err == 0 && setrlimit(RLIMIT_NOFILE, &limit) != 0)
        err = -errno;
    if (err != 0)
        return diag_set(diag, err, "cannot limit open files to %llu: %s", (unsigned long long)files,
                        strerror(-err));
    return 0;
}

static int
confine(const struct child *child, int self, struct diag *diag)
{
    const struct child_plan *plan = child->plan;
    int err = 0;

    if ((plan->features & JAIL_NET_NAMESPACE) != 0) {
        err = network_loopback_up();
        if (err != 0)
            return diag_set(diag, err, "cannot switch the loopback on: %s", strerror(-err));
    }
    if ((plan->features & JAIL_MOUNT_NAMESPACE) != 0)
        err = root_enter(plan->config, (plan->features & JAIL_PID_NAMESPACE) != 0, diag);
    if (err == 0)
        err = drop_rights(plan, self, diag);
    if (err == 0)
        err = limit_files(plan, diag);
    return err;
}

NORETURN static void
run_main(const struct child_plan *plan)
{
    int descriptors[JAIL_DESCRIPTORS_MAX + 1];

    for (size_t i = 0; i < plan->config->descriptor_count; i++)
        descriptors[i] = 3 + (int)i;
    /* Without the host's handlers at exit and what its streams still hold. */
    _exit(plan->config->main(plan->config->context, descriptors, plan->config->descriptor_count));
}

NORETURN static void
run_confined(const struct child *child)
{
    struct child_message ready = {.kind = CHILD_READY};
    struct diag diag;
    int self, err;

    diag_init(&diag);
    self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* Says nothing before, so that the host first hears of its pid. */
    await_go(child);
    err = join_groups(child, &diag);
    if (err == 0)
        err = confine(child, self, &diag);
    file_close(&self);
    if (err != 0)
        fail(child, err, &diag);
    /* After the last change of user, which resets it. Who died before that no
     * longer listens, and who dies later takes this process with it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || !tell(child, &ready))
        _exit(1);
    (void)close(child->control);
    run_main(child->plan);
}

void
child_run(const struct child_plan *plan)
{
    struct child child = {.plan = plan, .control = plan->control};
    struct child_message forked = {.kind = CHILD_FORKED};
    struct diag diag;
    int err;

    diag_init(&diag);
    reset_signals();
    err = arrange_fds(&child, &diag);
    if (err == 0)
        err = make_namespaces(plan, &diag);
    if (err == 0)
        err = fault_point("jail.child");
    if (err != 0)
        fail(&child, err, &diag);
    forked.pid = fork();
    if (forked.pid < 0)
        fail(&child, -errno, &diag);
    if (forked.pid == 0)
        run_confined(&child);
    _exit(tell(&child, &forked) ? 0 : 1);
}
