/* SPDX-License-Identifier: Apache-2.0
 *
 * The rights of the confined process: none, and no way to any.
 *
 * As root the namespaces are made with root's rights, then the process becomes an
 * ordinary user in a user namespace of its own. So even all capabilities in that
 * namespace, which it gives up as well, would say nothing about its mounts and its
 * network: those belong to the namespace outside.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "jail/jail_internal.h"

static int
write_map(int self, const char *file, const char *text)
{
    int fd = openat(self, file, O_WRONLY | O_CLOEXEC);
    int err;

    if (fd < 0)
        return -errno;
    err = file_write_all(fd, text, strlen(text));
    (void)close(fd);
    return err;
}

int
drop_map_user(int self, uid_t user, gid_t group, struct diag *diag)
{
    char text[64];
    int err = fault_point("jail.child");

    if (err == 0 && unshare(CLONE_NEWUSER) != 0)
        err = -errno;
    /* Who could leave a group could get past a file that excludes it. */
    if (err == 0)
        err = write_map(self, "setgroups", "deny");
    (void)snprintf(text, sizeof(text), "%u %u 1\n", user, user);
    if (err == 0)
        err = write_map(self, "uid_map", text);
    (void)snprintf(text, sizeof(text), "%u %u 1\n", group, group);
    if (err == 0)
        err = write_map(self, "gid_map", text);
    if (err != 0)
        return diag_set(diag, err, "cannot make a user namespace: %s", strerror(-err));
    return 0;
}

static int
become_ordinary(uid_t user, gid_t group, struct diag *diag)
{
    int err = fault_point("jail.child");

    if (err == 0 && (setgroups(0, NULL) != 0 || setresgid(group, group, group) != 0 ||
                     setresuid(user, user, user) != 0))
        err = -errno;
    if (err != 0)
        return diag_set(diag, err, "cannot become user %u, group %u: %s", user, group,
                        strerror(-err));
    /* The change of user made /proc/self root's. */
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return 0;
}

static int
drop_capabilities(struct diag *diag)
{
    int err = fault_point("jail.child");

    if (err == 0) {
        capng_clear(CAPNG_SELECT_ALL);
        /* Without a user namespace an ordinary user may not shrink the bounding
         * set; no_new_privs makes it meaningless. */
        (void)capng_apply(CAPNG_SELECT_BOUNDS);
        if (capng_apply(CAPNG_SELECT_CAPS) != 0 || capng_apply(CAPNG_SELECT_AMBIENT) != 0 ||
            capng_get_caps_process() != 0 ||
            capng_have_capabilities(CAPNG_SELECT_CAPS) > CAPNG_NONE)
            err = -EPERM;
    }
    if (err != 0)
        return diag_set(diag, err, "cannot drop capabilities: %s", strerror(-err));
    return 0;
}

int
drop_rights(const struct child_plan *plan, int self, struct diag *diag)
{
    uid_t user = plan->config->user != 0 ? plan->config->user : JAIL_USER_DEFAULT;
    gid_t group = plan->config->group != 0 ? plan->config->group : JAIL_USER_DEFAULT;
    struct rlimit none = {0, 0};
    int err = 0;

    if (plan->is_privileged) {
        err = become_ordinary(user, group, diag);
        if (err == 0 && (plan->features & JAIL_USER_NAMESPACE) != 0)
            err = drop_map_user(self, user, group, diag);
    }
    if (err == 0)
        err = drop_capabilities(diag);
    if (err != 0)
        return err;
    /* A core would carry a tenant's memory to the host's disk. */
    (void)setrlimit(RLIMIT_CORE, &none);
    if ((plan->features & JAIL_NO_NEW_PRIVILEGES) != 0 &&
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return diag_set(diag, -errno, "cannot give up new privileges: %s", strerror(errno));
    return 0;
}
