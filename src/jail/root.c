/* SPDX-License-Identifier: Apache-2.0
 *
 * The root of a jail: a file system in memory with the paths of the config and
 * /proc of its own processes, read-only once it stands.
 *
 * The trees of the config are taken first, as descriptors, so that it does not
 * matter where the new root is mounted and what that covers. Nothing of the old
 * root stays: pivot_root and umount leave no mount to climb back to.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "jail/jail_internal.h"

#define ROOT_OPTIONS "mode=0755,size=1m,nr_inodes=4096"

/* A folder that every machine has: what it covers comes to light again with the
 * end of the namespace, and nobody else sees it covered. */
static const char *const places[] = {"/tmp", "/run", "/mnt", "/usr"};

static int
take_tree(const struct jail_path *path, int *out, struct diag *diag)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    int err = fault_point("jail.child");
    int tree = -1;

    if (!path->is_writable)
        attributes.attr_set |= MOUNT_ATTR_RDONLY;
    if (err == 0) {
        tree = open_tree(-1, path->host_path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        err = tree < 0 ? -errno : 0;
    }
    if (err == 0 &&
        mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) != 0)
        err = -errno;
    if (err != 0) {
        file_close(&tree);
        return diag_set(diag, err, "cannot take %s into the jail: %s", path->host_path,
                        strerror(-err));
    }
    *out = tree;
    return 0;
}

/* Opens the entry of a folder, made before where it is not there. Never follows
 * a link: a tree of the config may belong to the tenant. */
static int
enter(int folder, const char *name, bool is_folder)
{
    int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC | (is_folder ? O_DIRECTORY : 0);
    int fd = openat(folder, name, flags);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (is_folder ? mkdirat(folder, name, 0755) != 0
                  : mknodat(folder, name, S_IFREG | 0644, 0) != 0)
        return -1;
    return openat(folder, name, flags);
}

/* Opens path below root, making what is missing. -errno. */
static int
open_target(int root, const char *path, bool is_folder)
{
    char name[256];
    int folder = fcntl(root, F_DUPFD_CLOEXEC, 0);

    while (folder >= 0 && *path != '\0') {
        size_t length = strcspn(++path, "/");
        int next;

        (void)snprintf(name, sizeof(name), "%.*s", (int)length, path);
        path += length;
        next = enter(folder, name, is_folder || *path != '\0');
        if (next < 0)
            next = -errno;
        (void)close(folder);
        folder = next;
    }
    return folder == -1 ? -errno : folder;
}

static int
place_tree(int root, int tree, const struct jail_path *path, struct diag *diag)
{
    struct stat status;
    int err = fault_point("jail.child");
    int target = -1;

    if (err == 0 && fstat(tree, &status) != 0)
        err = -errno;
    if (err == 0) {
        target = open_target(root, path->path, S_ISDIR(status.st_mode));
        err = target < 0 ? target : 0;
    }
    if (err == 0 &&
        move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        err = -errno;
    file_close(&target);
    if (err == 0)
        return 0;
    return diag_set(diag, err, "cannot place %s at %s in the jail: %s", path->host_path, path->path,
                    strerror(-err));
}

static int
make_mounts_private(struct diag *diag)
{
    int err = fault_point("jail.child");

    if (err == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        err = -errno;
    if (err != 0)
        return diag_set(diag, err, "cannot make the mounts private: %s", strerror(-err));
    return 0;
}

/* Mounts the new root over some folder and goes there. */
static int
mount_root(int *out, struct diag *diag)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    int err = fault_point("jail.child");
    size_t i = 0;

    while (err == 0 && mount("weft", places[i], "tmpfs", flags, ROOT_OPTIONS) != 0)
        err = ++i < ARRAY_COUNT(places) ? 0 : -errno;
    if (err == 0) {
        *out = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        err = *out < 0 || fchdir(*out) != 0 ? -errno : 0;
    }
    if (err != 0)
        return diag_set(diag, err, "cannot mount a root in memory: %s", strerror(-err));
    return 0;
}

/* In the new root. Where a machine allows no fresh /proc (it covers parts of its
 * own), the jail has none. */
static void
mount_proc(void)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;

    if (mkdir("proc", 0555) != 0)
        return;
    if (mount("proc", "proc", "proc", flags, "subset=pid") != 0 &&
        mount("proc", "proc", "proc", flags, NULL) != 0)
        (void)rmdir("proc");
}

static int
pivot(struct diag *diag)
{
    struct mount_attr closed = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                            MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    int err = fault_point("jail.child");

    /* The old root lands on the new one, and is taken off. */
    if (err == 0 && (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 ||
                     chdir("/") != 0))
        err = -errno;
    if (err == 0)
        err = fault_point("jail.child");
    if (err == 0 && mount_setattr(-1, "/", 0, &closed, sizeof(closed)) != 0)
        err = -errno;
    if (err != 0)
        return diag_set(diag, err, "cannot enter the jail's root: %s", strerror(-err));
    return 0;
}

int
root_enter(const struct jail_config *config, bool has_proc, struct diag *diag)
{
    int trees[JAIL_PATHS_MAX];
    int root = -1;
    size_t taken = 0;
    int err = make_mounts_private(diag);

    (void)umask(022);
    while (err == 0 && taken < config->path_count) {
        err = take_tree(&config->paths[taken], &trees[taken], diag);
        taken += err == 0;
    }
    if (err == 0)
        err = mount_root(&root, diag);
    for (size_t i = 0; i < taken; i++) {
        if (err == 0)
            err = place_tree(root, trees[i], &config->paths[i], diag);
        (void)close(trees[i]);
    }
    if (err == 0 && has_proc)
        mount_proc();
    if (err == 0)
        err = pivot(diag);
    file_close(&root);
    return err;
}
