/* SPDX-License-Identifier: Apache-2.0
 *
 * What this machine gives this user: each is tried in a process of its own,
 * because rights, security modules and containers leave no other way to know.
 */
#include <cap-ng.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "jail/jail_internal.h"

#define FEATURE_COUNT 12u

static const struct {
    const char *name, *advice;
} texts[FEATURE_COUNT] = {
    {"user namespace", "sysctl user.max_user_namespaces, and kernel.unprivileged_userns_clone or "
                       "kernel.apparmor_restrict_unprivileged_userns, decide who may have one"},
    {"mount namespace", "run as root, or allow user namespaces; a kernel from 5.12 on; without it "
                        "a cell sees the host's files"},
    {"pid namespace", "run as root, or allow user namespaces; without it a cell sees the host's "
                      "processes"},
    {"ipc namespace", "run as root, or allow user namespaces"},
    {"network namespace", "run as root, or allow user namespaces; without it a cell has the "
                          "host's network"},
    {"seccomp", "a kernel with CONFIG_SECCOMP_FILTER"},
    {"no new privileges", "a kernel from 3.5 on"},
    {"control group for the processor", "run as root, or delegate a group (systemd: Delegate=yes "
                                        "and DelegateSubgroup=host); without it a tenant may "
                                        "compute as much as it likes"},
    {"control group for memory", "run as root, or delegate a group (systemd: Delegate=yes and "
                                 "DelegateSubgroup=host); without it a tenant may use all memory"},
    {"control group for processes", "run as root, or delegate a group (systemd: Delegate=yes and "
                                    "DelegateSubgroup=host)"},
    {"limit of open files", "setrlimit must be allowed"},
    {"network link with a rate", "run as root with CAP_NET_ADMIN, on a kernel with CONFIG_VETH and "
                                 "CONFIG_NET_SCH_TBF; without it a cell has no network"},
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t known; /* guarded by lock, like the next three */
static uid_t known_user;
static bool known_privileged, is_known;

static unsigned
index_of(enum jail_feature feature)
{
    unsigned index = (unsigned)__builtin_ctz((unsigned)feature | 1u << FEATURE_COUNT);

    ASSERT(index < FEATURE_COUNT);
    return index;
}

const char *
jail_feature_name(enum jail_feature feature)
{
    return texts[index_of(feature)].name;
}

const char *
jail_feature_advice(enum jail_feature feature)
{
    return texts[index_of(feature)].advice;
}

void
jail_feature_list(uint32_t features, char *text, size_t text_bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < FEATURE_COUNT && used < text_bytes; i++)
        if ((features & (1u << i)) != 0)
            used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", used == 0 ? "" : ", ",
                                     texts[i].name);
}

bool
jail_is_privileged(void)
{
    return geteuid() == 0 && capng_get_caps_process() == 0 &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN) &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID) &&
           /* to end what runs as another user */
           capng_have_capability(CAPNG_EFFECTIVE, CAP_KILL);
}

/* What root_enter does first, in the new namespace. */
static bool
can_mount(void)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    bool holds;
    int tree;

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false;
    tree = open_tree(-1, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    holds = tree >= 0 && mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &read_only,
                                       sizeof(read_only)) == 0;
    file_close(&tree);
    return holds && mount("weft", "/proc", "tmpfs", MS_NOSUID | MS_NODEV, "size=4k") == 0;
}

static uint32_t
try_namespaces(bool is_privileged)
{
    uint32_t features = 0;

    if (!is_privileged && unshare(CLONE_NEWUSER) == 0)
        features |= JAIL_USER_NAMESPACE;
    if (is_privileged && network_is_possible())
        features |= JAIL_NETWORK_RATE;
    if (unshare(CLONE_NEWIPC) == 0)
        features |= JAIL_IPC_NAMESPACE;
    if (unshare(CLONE_NEWNET) == 0)
        features |= JAIL_NET_NAMESPACE;
    else
        features &= ~(uint32_t)JAIL_NETWORK_RATE;
    if (unshare(CLONE_NEWPID) == 0)
        features |= JAIL_PID_NAMESPACE;
    if (can_mount())
        features |= JAIL_MOUNT_NAMESPACE;
    if (is_privileged && setresuid(JAIL_USER_DEFAULT, JAIL_USER_DEFAULT, JAIL_USER_DEFAULT) == 0 &&
        unshare(CLONE_NEWUSER) == 0)
        features |= JAIL_USER_NAMESPACE;
    return features;
}

static uint32_t
namespaces_in_a_child(bool is_privileged)
{
    uint32_t features = 0;
    int ends[2];
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return 0;
    child = fork();
    if (child == 0) {
        features = try_namespaces(is_privileged);
        _exit(file_write_all(ends[1], &features, sizeof(features)) != 0);
    }
    (void)close(ends[1]);
    if (child < 0 || read(ends[0], &features, sizeof(features)) != sizeof(features))
        features = 0;
    (void)close(ends[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    return features;
}

static uint32_t
find_features(bool is_privileged)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    uint32_t features = JAIL_FILES | namespaces_in_a_child(is_privileged);
    struct group_tree tree;

    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
        features |= JAIL_SECCOMP;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0)
        features |= JAIL_NO_NEW_PRIVILEGES;
    group_tree_find("", &tree);
    features |= group_tree_features(&tree);
    group_tree_leave(&tree);
    return features;
}

uint32_t
jail_features(void)
{
    bool is_privileged = jail_is_privileged();
    uint32_t features;

    (void)pthread_mutex_lock(&lock);
    if (!is_known || known_user != geteuid() || known_privileged != is_privileged) {
        known = find_features(is_privileged);
        known_user = geteuid();
        known_privileged = is_privileged;
        is_known = true;
    }
    features = known;
    (void)pthread_mutex_unlock(&lock);
    return features;
}
