/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES 65536u
#define SEAL_TRIES  8

int
file_write_all(int fd, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;

    while (count > 0) {
        ssize_t written = write(fd, at, count);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        at += written;
        count -= (size_t)written;
    }
    return 0;
}

static int
read_to_end(int fd, size_t bytes_max, struct buffer *out)
{
    uint8_t chunk[CHUNK_BYTES];
    size_t total = 0;
    ssize_t count;

    while ((count = read(fd, chunk, sizeof(chunk))) != 0) {
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        if ((size_t)count > bytes_max - total)
            return -EFBIG;
        total += (size_t)count;
        buffer_append(out, chunk, (size_t)count);
        if (out->err != 0)
            return out->err;
    }
    return 0;
}

int
file_read_all(const char *path, size_t bytes_max, struct buffer *out, struct diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int err = fd < 0 ? -errno : read_to_end(fd, bytes_max, out);

    file_close(&fd);
    if (err == -EFBIG)
        return diag_set(diag, err, "%s: larger than the limit of %zu bytes", path, bytes_max);
    return err == 0 ? 0 : diag_set(diag, err, "%s: %s", path, strerror(-err));
}

int
file_replace(const char *path, const void *bytes, size_t count, struct diag *diag)
{
    char *beside;
    int fd, err;

    if (asprintf(&beside, "%s.XXXXXX", path) < 0)
        return diag_set(diag, -ENOMEM, "%s: out of memory", path);
    fd = mkostemp(beside, O_CLOEXEC);
    err = fd < 0 ? -errno : file_write_all(fd, bytes, count);
    if (err == 0 && fsync(fd) != 0)
        err = -errno;
    if (err == 0 && rename(beside, path) != 0)
        err = -errno;
    if (err != 0 && fd >= 0)
        (void)unlink(beside);
    file_close(&fd);
    free(beside);
    return err == 0 ? 0 : diag_set(diag, err, "%s: %s", path, strerror(-err));
}

/* One call waits for 150 ms itself, but not at all for one who has it mapped for writing. */
int
file_seal(int fd)
{
    for (int i = 0; i < SEAL_TRIES; i++)
        if (fcntl(fd, F_ADD_SEALS, FILE_SEALS) == 0)
            return 0;
        else if (errno != EBUSY && errno != EINTR)
            break;
    return -errno;
}

void
file_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}
