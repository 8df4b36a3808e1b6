/* SPDX-License-Identifier: Apache-2.0
 *
 * Path resolution beneath a directory: by the kernel where it can.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files/files_internal.h"

/* openat2 says EAGAIN when a rename anywhere raced with a "..". */
#define RACE_RETRIES 64

static atomic_bool is_portable;

void
files_use_portable_walk(bool is_on)
{
    atomic_store(&is_portable, is_on);
}

static int
open_beneath(int directory_fd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = (flags & O_CREAT) != 0 ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, directory_fd, path, &how, sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

int
files_resolve_open(int directory_fd, const char *path, int flags, mode_t mode)
{
    int fd;

    if (path[0] == '\0')
        return -ENOENT;
    if (path[0] == '/')
        return -EPERM;
    for (int i = 0; i < RACE_RETRIES && !atomic_load(&is_portable); i++) {
        fd = open_beneath(directory_fd, path, flags, mode);
        if (fd == -ENOSYS) {
            atomic_store(&is_portable, true);
            break;
        }
        if (fd == -EXDEV)
            return -EPERM;
        if (fd != -EAGAIN && fd != -EINTR)
            return fd;
    }
    return files_walk_open(directory_fd, path, flags, mode);
}

/* The last component of "a/b//" is "b//"; of "a", all of it. */
static const char *
last_component(const char *path)
{
    const char *end = path + strlen(path);

    while (end > path && end[-1] == '/')
        end--;
    while (end > path && end[-1] != '/')
        end--;
    return end;
}

static bool
is_dot_dot(const char *name)
{
    return name[0] == '.' && name[1] == '.' && (name[2] == '\0' || name[2] == '/');
}

int
files_resolve_parent(int directory_fd, const char *path, const char **name)
{
    char parent[FILES_PATH_BYTES_MAX + 1];
    const char *last = last_component(path);
    size_t bytes = (size_t)(last - path);
    int fd;

    if (path[0] == '\0')
        return -ENOENT;
    if (path[0] == '/')
        return -EPERM;
    if (bytes > FILES_PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    if (is_dot_dot(last)) {
        /* Never changes anything, but whether it may be named is still asked. */
        fd = files_resolve_open(directory_fd, path, O_PATH | O_DIRECTORY, 0);
        if (fd < 0)
            return fd;
        (void)close(fd);
    }
    (void)memcpy(parent, path, bytes);
    parent[bytes] = '\0';
    fd = files_resolve_open(directory_fd, bytes == 0 ? "." : parent, O_PATH | O_DIRECTORY, 0);
    if (fd >= 0)
        *name = last;
    return fd;
}
