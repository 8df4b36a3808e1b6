/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done with paths. Every path is resolved beneath its directory: the
 * object itself (open, stat, times, readlink), or the directory that holds it
 * (whatever makes, removes or moves names), followed by one *at call that never
 * follows the last component.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "files/files_internal.h"

#define FILE_MODE       0666
#define DIRECTORY_MODE  0777
#define MEMORY_MAJOR    1
#define PROC_PATH_BYTES 32

static int
check_directory(const struct files_entry *directory)
{
    if (directory->kind != FILES_DIRECTORY)
        return -ENOTDIR;
    return directory->fd < 0 ? -EIO : 0;
}

static int
check_change(const struct files_entry *directory)
{
    int err = check_directory(directory);

    return err == 0 && directory->is_read_only ? -EROFS : err;
}

/* ------------------------------------------------------------------------ open */

static int
open_flags(const struct files_open *how)
{
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

    if (how->directory)
        flags |= O_DIRECTORY | O_RDONLY;
    else if (how->want_write)
        flags |= how->want_read ? O_RDWR : O_WRONLY;
    flags |= how->create ? O_CREAT : 0;
    flags |= how->exclusive ? O_EXCL : 0;
    flags |= how->truncate ? O_TRUNC : 0;
    flags |= how->follow ? 0 : O_NOFOLLOW;
    return flags;
}

/* On a read-only tree what exists may be opened for reading; "create" of what is
 * missing is refused, as a read-only mount does. */
static int
open_read_only(const struct files_entry *directory, const char *path, const struct files_open *how)
{
    struct files_open reading = *how;
    int fd;

    if ((how->want_write && !how->directory) || how->truncate)
        return -EROFS;
    reading.create = false;
    reading.exclusive = false;
    fd = files_resolve_open(directory->fd, path, open_flags(&reading), 0);
    if (!how->create)
        return fd;
    if (fd == -ENOENT)
        return -EROFS;
    if (fd >= 0 && how->exclusive) {
        (void)close(fd);
        return -EEXIST;
    }
    return fd;
}

/* Files and directories, pipes (opened without waiting), /dev/null and its like. */
static int
check_object(const struct files_entry *entry, int fd)
{
    struct stat stat;

    if (entry->kind != FILES_STREAM || S_ISFIFO(entry->mode))
        return entry->kind == FILES_SOCKET ? -EACCES : 0;
    if (fstat(fd, &stat) != 0)
        return -errno;
    return S_ISCHR(stat.st_mode) && major(stat.st_rdev) == MEMORY_MAJOR ? 0 : -EACCES;
}

/* The new entry's path beneath its root: the directory's, then path. Too long a
 * path is not kept; then the file cannot be opened again elsewhere. */
static int
keep_path(struct files_table *table, uint32_t directory, const char *path, struct files_range *out)
{
    const struct files_entry *entry = &table->entries[directory];
    char joined[FILES_PATH_BYTES_MAX + 1];
    const char *base = entry->is_root ? "" : files_table_name(table, entry->path);
    int bytes = snprintf(joined, sizeof(joined), "%s%s%s", base, base[0] != '\0' ? "/" : "", path);

    if ((!entry->is_root && base[0] == '\0') || bytes < 0 || (size_t)bytes >= sizeof(joined))
        bytes = 0;
    return files_table_keep_name(table, joined, (size_t)bytes, out);
}

static int
open_enter(struct files_entry *entry, const struct files_entry *directory, int fd,
           const struct files_open *how)
{
    int err = files_entry_classify(entry, fd);

    if (err == 0)
        err = check_object(entry, fd);
    if (err != 0) {
        entry->kind = FILES_FREE;
        return err;
    }
    entry->root = directory->root;
    entry->is_read_only = directory->is_read_only;
    entry->is_own_offset = entry->kind == FILES_REGULAR;
    entry->flags = how->flags;
    entry->rights = how->rights;
    entry->inheriting = how->inheriting;
    return 0;
}

int
files_path_open(struct files_table *table, uint32_t directory, const char *path,
                const struct files_open *how, uint32_t *number)
{
    const struct files_entry *entry = files_table_get(table, directory);
    struct files_range name;
    uint32_t index;
    int fd, err;

    if (entry == NULL)
        return -EBADF;
    err = check_directory(entry);
    if (err == 0 && how->create && how->directory)
        err = -EINVAL;
    if (err == 0)
        err = keep_path(table, directory, path, &name);
    if (err == 0)
        err = files_table_reserve(table, &index); /* before anything is created */
    if (err != 0)
        return err;
    entry = &table->entries[directory];
    fd = entry->is_read_only ? open_read_only(entry, path, how)
                             : files_resolve_open(entry->fd, path, open_flags(how), FILE_MODE);
    if (fd < 0)
        return fd;
    err = open_enter(&table->entries[index], entry, fd, how);
    if (err != 0) {
        (void)close(fd);
        return err;
    }
    table->entries[index].path = name;
    *number = index;
    return 0;
}

/* ------------------------------------------------------------ the object itself */

static int
open_object(const struct files_entry *directory, const char *path, bool follow)
{
    int err = check_directory(directory);

    if (err != 0)
        return err;
    return files_resolve_open(directory->fd, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0);
}

int
files_path_stat(const struct files_entry *directory, const char *path, bool follow,
                struct stat *out)
{
    int fd = open_object(directory, path, follow);
    int err;

    if (fd < 0)
        return fd;
    err = fstat(fd, out) != 0 ? -errno : 0;
    (void)close(fd);
    return err;
}

/* By the descriptor; kernels before 5.8 take it by its name in /proc. */
static int
set_times_of(int fd, const struct timespec times[2])
{
    char proc[PROC_PATH_BYTES];

    if (utimensat(fd, "", times, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    return utimensat(AT_FDCWD, proc, times, 0) != 0 ? -errno : 0;
}

int
files_path_set_times(const struct files_entry *directory, const char *path, bool follow,
                     const struct timespec times[2])
{
    int err = check_change(directory);
    int fd;

    if (err != 0)
        return err;
    fd = open_object(directory, path, follow);
    if (fd < 0)
        return fd;
    err = set_times_of(fd, times);
    (void)close(fd);
    return err;
}

int
files_path_readlink(const struct files_entry *directory, const char *path, char *target,
                    size_t bytes_max, size_t *bytes)
{
    char text[FILES_PATH_BYTES_MAX + 1];
    int fd = open_object(directory, path, false);
    ssize_t got;

    if (fd < 0)
        return fd;
    got = readlinkat(fd, "", text, sizeof(text));
    if (got < 0)
        got = errno == ENOENT ? -EINVAL : -errno; /* ENOENT: not a link */
    (void)close(fd);
    if (got < 0)
        return (int)got;
    *bytes = (size_t)got < bytes_max ? (size_t)got : bytes_max;
    (void)memcpy(target, text, *bytes);
    return 0;
}

/* ------------------------------------------------------------------------ names */

static int
open_parent(const struct files_entry *directory, const char *path, const char **name)
{
    int err = check_change(directory);

    return err != 0 ? err : files_resolve_parent(directory->fd, path, name);
}

int
files_path_make_directory(const struct files_entry *directory, const char *path)
{
    const char *name;
    int fd = open_parent(directory, path, &name);
    int err;

    if (fd < 0)
        return fd;
    err = mkdirat(fd, name, DIRECTORY_MODE) != 0 ? -errno : 0;
    (void)close(fd);
    return err;
}

static int
remove_name(const struct files_entry *directory, const char *path, int flags)
{
    const char *name;
    int fd = open_parent(directory, path, &name);
    int err;

    if (fd < 0)
        return fd;
    err = unlinkat(fd, name, flags) != 0 ? -errno : 0;
    (void)close(fd);
    return err;
}

int
files_path_remove_directory(const struct files_entry *directory, const char *path)
{
    return remove_name(directory, path, AT_REMOVEDIR);
}

int
files_path_unlink(const struct files_entry *directory, const char *path)
{
    return remove_name(directory, path, 0);
}

int
files_path_symlink(const struct files_entry *directory, const char *target, const char *path)
{
    const char *name;
    int fd, err;

    if (target[0] == '/')
        return -EPERM;
    fd = open_parent(directory, path, &name);
    if (fd < 0)
        return fd;
    err = symlinkat(target, fd, name) != 0 ? -errno : 0;
    (void)close(fd);
    return err;
}

int
files_path_rename(const struct files_entry *old_directory, const char *old_path,
                  const struct files_entry *new_directory, const char *new_path)
{
    const char *old_name, *new_name;
    int old_fd = open_parent(old_directory, old_path, &old_name);
    int new_fd, err;

    if (old_fd < 0)
        return old_fd;
    new_fd = open_parent(new_directory, new_path, &new_name);
    if (new_fd < 0) {
        (void)close(old_fd);
        return new_fd;
    }
    /* The newer call, which is the one that a sealed process has; the C library would
     * take the older one. */
    err = syscall(SYS_renameat2, old_fd, old_name, new_fd, new_name, 0) != 0 ? -errno : 0;
    (void)close(new_fd);
    (void)close(old_fd);
    return err;
}

/* By its name, where that is still the object's: its parent is confined, and a link
 * that somebody puts there is not followed. */
static int
link_by_name(const struct files_link *link, const struct stat *object, int parent_fd,
             const char *name)
{
    const char *old_name;
    struct stat stat;
    int fd = open_parent(link->old_directory, link->old_path, &old_name);
    int err;

    if (fd < 0)
        return fd;
    err = fstatat(fd, old_name, &stat, AT_SYMLINK_NOFOLLOW) != 0 ? -errno : 0;
    if (err == 0 && (stat.st_dev != object->st_dev || stat.st_ino != object->st_ino))
        err = -ENOTSUP;
    if (err == 0 && linkat(fd, old_name, parent_fd, name, 0) != 0)
        err = -errno;
    (void)close(fd);
    return err;
}

/* A jail may have no /proc. */
static int
link_object(const struct files_link *link, int fd, const struct stat *object, int parent_fd,
            const char *name)
{
    char proc[PROC_PATH_BYTES];

    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, proc, parent_fd, name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    return link_by_name(link, object, parent_fd, name);
}

/* A link to what old_path stands for, held by descriptor, so that nothing can be
 * put in its place meanwhile. A symbolic link itself has no name in /proc that
 * linkat would take; it is linked by name from its directory. */
static int
link_from(const struct files_link *link, int parent_fd, const char *name)
{
    const char *old_name;
    struct stat stat;
    int fd = open_object(link->old_directory, link->old_path, link->follow);
    int err;

    if (fd < 0)
        return fd;
    err = fstat(fd, &stat) != 0 ? -errno : 0;
    if (err == 0 && !S_ISLNK(stat.st_mode))
        err = S_ISDIR(stat.st_mode) ? -EPERM : link_object(link, fd, &stat, parent_fd, name);
    (void)close(fd);
    if (err != 0 || !S_ISLNK(stat.st_mode))
        return err;
    fd = open_parent(link->old_directory, link->old_path, &old_name);
    if (fd < 0)
        return fd;
    if (strchr(old_name, '/') != NULL)
        err = -ENOTDIR;
    else
        err = linkat(fd, old_name, parent_fd, name, 0) != 0 ? -errno : 0;
    (void)close(fd);
    return err;
}

int
files_path_link(const struct files_link *link)
{
    const char *name;
    int err = check_change(link->old_directory);
    int fd;

    if (err != 0)
        return err;
    fd = open_parent(link->new_directory, link->new_path, &name);
    if (fd < 0)
        return fd;
    err = link_from(link, fd, name);
    (void)close(fd);
    return err;
}
