/* SPDX-License-Identifier: Apache-2.0
 *
 * Path resolution for kernels without openat2.
 *
 * Claim: the walk never holds a directory outside the one it started from.
 * It goes down one component at a time with O_NOFOLLOW from a descriptor it
 * holds, reads links itself and splices their text in, and goes up only by
 * dropping the descriptor it came by. So a component swapped for a link between
 * two steps is either opened as what it was or seen as a link.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "files/files_internal.h"

#define DEPTH_MAX 256 /* directories below the start */
#define LINKS_MAX 40  /* as the kernel */

struct walk {
    char rest[2 * FILES_PATH_BYTES_MAX + 2]; /* what is still to be resolved */
    int fds[DEPTH_MAX];                      /* fds[0] is borrowed */
    size_t depth;                            /* fds in use */
    unsigned links;
};

static int
walk_top(const struct walk *walk)
{
    ASSERT(walk->depth >= 1);
    return walk->fds[walk->depth - 1];
}

static int
walk_up(struct walk *walk)
{
    if (walk->depth == 1)
        return -EPERM;
    walk->depth--;
    (void)close(walk->fds[walk->depth]);
    return 0;
}

/* Puts the link's text before what is left. *is_link: whether name was a link. */
static int
walk_splice(struct walk *walk, const char *name, const char *rest, bool *is_link)
{
    char text[2 * FILES_PATH_BYTES_MAX + 2];
    ssize_t bytes = readlinkat(walk_top(walk), name, text, FILES_PATH_BYTES_MAX + 1);
    size_t rest_bytes = strlen(rest);

    *is_link = bytes >= 0;
    if (bytes < 0)
        return errno == EINVAL ? 0 : -errno;
    if (++walk->links > LINKS_MAX)
        return -ELOOP;
    if (bytes == 0)
        return -ENOENT;
    if (text[0] == '/')
        return -EPERM;
    if ((size_t)bytes > FILES_PATH_BYTES_MAX || (size_t)bytes + rest_bytes > FILES_PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    (void)memmove(text + bytes, rest, rest_bytes + 1);
    (void)memcpy(walk->rest, text, (size_t)bytes + rest_bytes + 1);
    return 0;
}

/* One component that is not the last. rest begins with its slash. */
static int
walk_down(struct walk *walk, const char *name, const char *rest)
{
    bool is_link;
    int fd, err;

    fd = openat(walk_top(walk), name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        if (walk->depth == DEPTH_MAX) {
            (void)close(fd);
            return -ENAMETOOLONG;
        }
        walk->fds[walk->depth++] = fd;
        (void)memmove(walk->rest, rest, strlen(rest) + 1);
        return 0;
    }
    if (errno != ENOTDIR && errno != ELOOP)
        return -errno;
    err = walk_splice(walk, name, rest, &is_link);
    return err == 0 && !is_link ? -ENOTDIR : err;
}

/* Opens the last component, or splices it where it is a link to be followed
 * (-EAGAIN: go on). */
static int
walk_last(struct walk *walk, const char *name, int flags, mode_t mode)
{
    struct stat stat;
    bool is_link;
    int fd = openat(walk_top(walk), name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    int err = fd < 0 ? -errno : 0;

    if (err == -EAGAIN) /* a lease; the word is taken here */
        err = -EBUSY;
    if ((flags & O_NOFOLLOW) != 0 || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return fd < 0 ? err : fd;
    if (fd >= 0) { /* O_PATH opens the link itself */
        if ((flags & O_PATH) == 0 || fstat(fd, &stat) != 0 || !S_ISLNK(stat.st_mode))
            return fd;
        (void)close(fd);
        err = -ELOOP;
    }
    if (err != -ELOOP && err != -ENOTDIR)
        return err;
    fd = walk_splice(walk, name, "", &is_link);
    if (fd != 0)
        return fd;
    return is_link ? -EAGAIN : err;
}

/* One step. -EAGAIN: there is more to do; else the result. */
static int
walk_step(struct walk *walk, int flags, mode_t mode)
{
    char name[FILES_PATH_BYTES_MAX + 1];
    const char *start = walk->rest + strspn(walk->rest, "/");
    size_t bytes = strcspn(start, "/");
    bool is_last = start[bytes] == '\0';
    int err;

    if (bytes > FILES_PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    (void)memcpy(name, start, bytes);
    name[bytes] = '\0';
    if (is_last && (bytes == 0 || strcmp(name, ".") == 0)) {
        if ((flags & O_CREAT) != 0)
            return (flags & O_EXCL) != 0 ? -EEXIST : -EISDIR;
        err = openat(walk_top(walk), ".", flags | O_CLOEXEC);
        return err < 0 ? -errno : err;
    }
    if (is_last && strcmp(name, "..") != 0)
        return walk_last(walk, name, flags, mode);
    /* "name/" where nothing follows: O_CREAT cannot make a directory */
    if ((flags & O_CREAT) != 0 && start[bytes + strspn(start + bytes, "/")] == '\0' && !is_last)
        return -EISDIR;
    if (strcmp(name, ".") == 0)
        err = 0;
    else if (strcmp(name, "..") == 0)
        err = walk_up(walk);
    else
        err = walk_down(walk, name, start + bytes);
    if (err == 0 && name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'))) {
        (void)memmove(walk->rest, start + bytes, strlen(start + bytes) + 1);
        if (walk->rest[0] == '\0')
            (void)memcpy(walk->rest, ".", 2);
    }
    return err != 0 ? err : -EAGAIN;
}

int
files_walk_open(int directory_fd, const char *path, int flags, mode_t mode)
{
    struct walk *walk;
    size_t bytes = strlen(path);
    int fd;

    if (bytes == 0)
        return -ENOENT;
    if (path[0] == '/')
        return -EPERM;
    if (bytes > FILES_PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    walk = malloc(sizeof(*walk));
    if (walk == NULL)
        return -ENOMEM;
    (void)memcpy(walk->rest, path, bytes + 1);
    walk->fds[0] = directory_fd;
    walk->depth = 1;
    walk->links = 0;
    do
        fd = walk_step(walk, flags, mode);
    while (fd == -EAGAIN);
    while (walk->depth > 1)
        (void)walk_up(walk);
    free(walk);
    return fd;
}
