/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of functions:  files/SERIAL/data/model   a hard link of the cache's, or a copy
 *
 * The guest has the directory as its "/", read-only: so a file's path is the guest's.
 * Cells get the directory as a descriptor. Those above it are closed to others: whoever
 * breaks out of a guest as another user finds no other function's files by "..". The files
 * themselves are read-only, and a sealed cell cannot change that.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_internal.h"
#include "base/assert.h"
#include "base/fault.h"
#include "base/file.h"

#define PATH_BYTES (AGENT_PATH_MAX + 64)
#define TREE_FDS   16
#define COPY_BYTES ((size_t)1 << 30)

static int
remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

static void
directory_path(const struct agent *agent, uint64_t serial, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/files/%llu", agent->data, (unsigned long long)serial);
}

int
agent_files_open(struct agent *agent, struct diag *diag)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/files", agent->data);
    (void)nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS);
    if (mkdir(path, 0700) != 0)
        return diag_set(diag, -errno, "cannot make the directory %.256s: %s", path,
                        strerror(errno));
    return 0;
}

void
agent_files_remove(struct agent *agent, uint64_t serial)
{
    char path[PATH_BYTES];

    directory_path(agent, serial, path);
    (void)nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS);
}

/* From /, with no empty name, . or .. */
bool
agent_files_is_path(const char *path)
{
    const char *part = path;

    if (path[0] != '/' || strlen(path) > AGENT_FILE_PATH_MAX)
        return false;
    while (*part != '\0') {
        size_t length = strcspn(++part, "/");

        if (length == 0 || length > 255 || (length == 1 && part[0] == '.') ||
            (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += length;
    }
    return true;
}

/* Beneath the root, which only this process writes. *name is of the last part. */
static int
open_parent(int root, const char *path, const char **name)
{
    int fd = fcntl(root, F_DUPFD_CLOEXEC, 3);
    const char *part = path + 1, *slash;

    while (fd >= 0 && (slash = strchr(part, '/')) != NULL) {
        char word[256];
        int next;

        (void)snprintf(word, sizeof(word), "%.*s", (int)(slash - part), part);
        if (mkdirat(fd, word, 0755) != 0 && errno != EEXIST) {
            int err = -errno;

            (void)close(fd);
            return err;
        }
        next = openat(fd, word, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        (void)close(fd);
        fd = next;
        part = slash + 1;
    }
    *name = part;
    return fd >= 0 ? fd : -errno;
}

static int
copy_file(int from, int to)
{
    ssize_t done;

    do
        done = sendfile(to, from, NULL, COPY_BYTES);
    while (done > 0 || (done < 0 && errno == EINTR));
    return done < 0 ? -errno : 0;
}

static int
place_copy(int parent, const char *name, int blob)
{
    int err, fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    err = copy_file(blob, fd);
    if (err == 0 && fchmod(fd, 0444) != 0)
        err = -errno;
    (void)close(fd);
    if (err != 0)
        (void)unlinkat(parent, name, 0);
    return err;
}

/* A blob that is no file of this file system, or has too many names, is copied. */
static int
place_file(struct agent *agent, int root, const Rpc__HostFile *file, struct diag *diag)
{
    char blob_name[64];
    struct store_hash hash;
    int blob = -1, parent, err;
    const char *name = "";

    ASSERT(agent_files_is_path(file->path));
    err = agent_hash_of(&file->hash, &hash) ? agent_cache_get(agent, &hash, &blob, diag) : -EINVAL;
    if (err != 0)
        return err;
    parent = open_parent(root, file->path, &name);
    if (parent < 0) {
        (void)close(blob);
        return diag_set(diag, parent, "cannot place the file %.256s: %s", file->path,
                        strerror(-parent));
    }
    (void)snprintf(blob_name, sizeof(blob_name), "/proc/self/fd/%d", blob);
    err = fault_point("agent.files");
    if (err == 0 && linkat(AT_FDCWD, blob_name, parent, name, AT_SYMLINK_FOLLOW) != 0)
        err = errno == EEXIST ? -EEXIST : place_copy(parent, name, blob);
    (void)close(parent);
    (void)close(blob);
    if (err != 0)
        return diag_set(diag, err, "cannot place the file %.256s: %s", file->path, strerror(-err));
    return 0;
}

int
agent_files_make(struct agent *agent, uint64_t serial, const Rpc__HostFunction *function, int *fd,
                 struct diag *diag)
{
    char path[PATH_BYTES];
    int root, err = 0;

    directory_path(agent, serial, path);
    /* The umask is who uses us's. */
    if (mkdir(path, 0755) != 0 || chmod(path, 0755) != 0)
        return diag_set(diag, -errno, "cannot make the directory %.256s: %s", path,
                        strerror(errno));
    root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        err = diag_set(diag, -errno, "cannot open the directory %.256s: %s", path, strerror(errno));
    for (size_t i = 0; i < function->n_files && err == 0; i++)
        err = place_file(agent, root, function->files[i], diag);
    if (err == 0) {
        *fd = root;
        return 0;
    }
    file_close(&root);
    agent_files_remove(agent, serial);
    return err;
}
