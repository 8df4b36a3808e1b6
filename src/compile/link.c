/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects -> ELF image, by ld.lld. Objects go through memfds, the image comes
 * back on standard output: nothing is left on disk, whatever happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "compile/compile_internal.h"

#define LINKER     "ld.lld-19"
#define PATH_BYTES 40u

extern char **environ;

/* The object in a file descriptor that a child inherits. */
static int
object_fd(LLVMMemoryBufferRef object)
{
    int fd = memfd_create("object", 0);
    int err;

    if (fd < 0)
        return -errno;
    err = file_write_all(fd, LLVMGetBufferStart(object), LLVMGetBufferSize(object));
    if (err != 0) {
        (void)close(fd);
        return err;
    }
    return fd;
}

static int
run_linker(char *const arguments[], int out_fd, int error_fd, struct diag *diag)
{
    posix_spawn_file_actions_t actions;
    int status = 0;
    pid_t child;
    int err;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    err = posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    if (err == 0)
        err = posix_spawn_file_actions_adddup2(&actions, error_fd, STDERR_FILENO);
    if (err == 0)
        err = posix_spawnp(&child, LINKER, &actions, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (err != 0)
        return diag_set(diag, -err, "cannot run %s: %s; install the package lld-19", LINKER,
                        strerror(err));
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static void
report(int error_fd, struct diag *diag)
{
    char text[600];
    ssize_t count = pread(error_fd, text, sizeof(text) - 1, 0);

    text[count > 0 ? count : 0] = '\0';
    (void)diag_set(diag, -EIO, "%s failed: %s", LINKER, text);
}

static const char *const fixed_arguments[] = {LINKER,
                                              "-static",
                                              "--no-pie",
                                              "-z",
                                              "noexecstack",
                                              "-z",
                                              "norelro",
                                              "-z",
                                              "max-page-size=4096",
                                              "--eh-frame-hdr",
                                              "--build-id=none",
                                              "--no-undefined",
                                              "-e",
                                              "weft_start",
                                              "-o",
                                              "-"};

static int
link_files(const struct compile_options *options, char (*paths)[PATH_BYTES], unsigned count,
           int out_fd, struct diag *diag)
{
    char **arguments = calloc(ARRAY_COUNT(fixed_arguments) + count + 2, sizeof(char *));
    int error_fd = memfd_create("errors", MFD_CLOEXEC);
    char base[40];
    size_t at = 0;
    int err = -ENOMEM;

    if (arguments == NULL || error_fd < 0)
        goto done;
    for (; at < ARRAY_COUNT(fixed_arguments); at++)
        arguments[at] = (char *)(uintptr_t)fixed_arguments[at];
    (void)snprintf(base, sizeof(base), "--image-base=0x%" PRIx64, options->address);
    arguments[at++] = base;
    for (unsigned i = 0; i < count; i++)
        arguments[at++] = paths[i];
    err = run_linker(arguments, out_fd, error_fd, diag);
    if (err == -EIO)
        report(error_fd, diag);

done:
    if (error_fd >= 0)
        (void)close(error_fd);
    free(arguments);
    return err;
}

int
compile_link(const struct compile_options *options, LLVMMemoryBufferRef *objects, unsigned count,
             int out_fd, struct diag *diag)
{
    char(*paths)[PATH_BYTES] = calloc(count, sizeof(*paths));
    int *fds = calloc(count, sizeof(int));
    unsigned made = 0;
    int err = paths == NULL || fds == NULL ? -ENOMEM : 0;

    for (; made < count && err == 0; made++) {
        fds[made] = object_fd(objects[made]);
        if (fds[made] < 0) {
            err = fds[made];
            break;
        }
        (void)snprintf(paths[made], PATH_BYTES, "/proc/self/fd/%d", fds[made]);
    }
    if (err == 0)
        err = link_files(options, paths, count, out_fd, diag);
    while (made-- > 0)
        (void)close(fds[made]);
    free(fds);
    free(paths);
    return err == 0 ? 0 : diag_set(diag, err, "cannot link the image: %s", strerror(-err));
}
