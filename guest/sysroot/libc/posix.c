/* SPDX-License-Identifier: Apache-2.0
 *
 * What Unix has and WASI has not, as far as there is an answer that harms nobody. Files have
 * no modes and no owners; there is one user, and there are no other programs.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define OWN_ID 1000 /* user and group */

static int
fail(int err)
{
    errno = err;
    return -1;
}

/* ----------------------------------------------------------------- modes and owners */

/* What exists can be read and written: there is nothing to change, or to fail at. */
int
fchmodat(int directory, const char *path, mode_t mode, int flags)
{
    struct stat stat;

    (void)mode;
    return fstatat(directory, path, &stat, flags & AT_SYMLINK_NOFOLLOW);
}

int
chmod(const char *path, mode_t mode)
{
    struct stat status;

    (void)mode;
    return stat(path, &status);
}

int
fchmod(int fd, mode_t mode)
{
    struct stat status;

    (void)mode;
    return fstat(fd, &status);
}

mode_t
umask(mode_t mask)
{
    (void)mask;
    return S_IWGRP | S_IWOTH;
}

static int
check_owner(int err, uid_t user, gid_t group)
{
    if (err != 0)
        return err;
    if ((user == (uid_t)-1 || user == OWN_ID) && (group == (gid_t)-1 || group == OWN_ID))
        return 0;
    return fail(EPERM);
}

int
fchownat(int directory, const char *path, uid_t user, gid_t group, int flags)
{
    return check_owner(fchmodat(directory, path, 0, flags), user, group);
}

int
chown(const char *path, uid_t user, gid_t group)
{
    return check_owner(chmod(path, 0), user, group);
}

int
lchown(const char *path, uid_t user, gid_t group)
{
    struct stat status;

    return check_owner(lstat(path, &status), user, group);
}

int
fchown(int fd, uid_t user, gid_t group)
{
    return check_owner(fchmod(fd, 0), user, group);
}

uid_t
getuid(void)
{
    return OWN_ID;
}

uid_t
geteuid(void)
{
    return OWN_ID;
}

gid_t
getgid(void)
{
    return OWN_ID;
}

gid_t
getegid(void)
{
    return OWN_ID;
}

pid_t
getppid(void)
{
    return 1;
}

/* ----------------------------------------------------------------------- programs */

int(system)(const char *command) /* a name that tidy has banned */
{
    return command == NULL ? 0 : fail(ENOSYS); /* there is no shell */
}

FILE *
popen(const char *command, const char *mode)
{
    (void)command;
    (void)mode;
    errno = ENOSYS;
    return NULL;
}

int
pclose(FILE *file)
{
    (void)file;
    return fail(ECHILD);
}

/* --------------------------------------------------------------------------- files */

/* Needs a directory /tmp. */
FILE *
tmpfile(void)
{
    char path[] = "/tmp/tmpfile_XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w+") : NULL;

    if (fd >= 0)
        (void)unlink(path);
    if (fd >= 0 && file == NULL)
        (void)close(fd);
    return file;
}

char *
tmpnam(char *name)
{
    static char own[20]; /* L_tmpnam */

    name = name != NULL ? name : own;
    memcpy(name, "/tmp/tmpnam_XXXXXX", sizeof("/tmp/tmpnam_XXXXXX"));
    return mktemp(name)[0] != '\0' ? name : NULL;
}

char *
tempnam(const char *directory, const char *prefix)
{
    char *name = NULL;

    if (asprintf(&name, "%s/%.5s_XXXXXX", directory != NULL ? directory : "/tmp",
                 prefix != NULL ? prefix : "temp") < 0)
        return NULL;
    if (mktemp(name)[0] != '\0')
        return name;
    free(name);
    return NULL;
}

/* Nobody knows how much room there is: as much as is asked for. */
int
fstatvfs(int fd, struct statvfs *out)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return -1;
    *out = (struct statvfs){.f_bsize = 4096,
                            .f_frsize = 4096,
                            .f_blocks = 1u << 28,
                            .f_bfree = 1u << 28,
                            .f_bavail = 1u << 28,
                            .f_namemax = 255};
    return 0;
}

int
statvfs(const char *restrict path, struct statvfs *restrict out)
{
    int fd = open(path, O_RDONLY);
    int err = fd >= 0 ? fstatvfs(fd, out) : -1;

    if (fd >= 0)
        (void)close(fd);
    return err;
}
