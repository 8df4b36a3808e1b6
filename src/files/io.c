/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done with an open descriptor. Nothing waits for another party, and no
 * flag of an open file description is changed, for others may share it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "files/files_internal.h"

#define LIST_BYTES 32768u

static bool
is_ready(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int count;

    do
        count = poll(&poll_fd, 1, 0);
    while (count < 0 && errno == EINTR);
    return count > 0;
}

/* Without a descriptor: gone since it was thawed; or in memory, with a pipe's answer. */
static int
no_descriptor(const struct files_entry *entry, int err_of_memory)
{
    return entry->kind == FILES_MEMORY ? err_of_memory : -EIO;
}

/* ------------------------------------------------------------------- streams */

static bool
is_unsupported(int err)
{
    return err == EOPNOTSUPP || err == EINVAL || err == ENOSYS || err == ESPIPE;
}

/* The kernel's own "now or never", where the file has it (pipes since 6.5); else
 * asking first. Between asking and reading, a process that shares the descriptor
 * may take the data; that is all the old way cannot exclude. */
static ssize_t
stream_read(int fd, const struct iovec *iov, int count)
{
    ssize_t got = preadv2(fd, iov, count, -1, RWF_NOWAIT);

    if (got >= 0 || !is_unsupported(errno))
        return got;
    if (!is_ready(fd, POLLIN)) {
        errno = EAGAIN;
        return -1;
    }
    return readv(fd, iov, count);
}

/* A writable pipe has room for PIPE_BUF bytes, so no more are offered to it. */
static ssize_t
stream_write_some(int fd, const struct iovec *iov, int count)
{
    struct iovec some[16];
    size_t left = PIPE_BUF;
    int used = 0;

    if (!is_ready(fd, POLLOUT)) {
        errno = EAGAIN;
        return -1;
    }
    for (int i = 0; i < count && used < (int)ARRAY_COUNT(some) && left > 0; i++) {
        some[used] = iov[i];
        if (some[used].iov_len > left)
            some[used].iov_len = left;
        left -= some[used].iov_len;
        if (iov[i].iov_len > 0)
            used++;
    }
    return writev(fd, some, used);
}

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100 /* since 6.18 */
#endif

/* Whoever embeds us may not ignore SIGPIPE: it is held back during the write and
 * taken out if it was ours. (Who is sealed ignores it, and cannot ask.) */
static ssize_t
stream_write_quietly(int fd, const struct iovec *iov, int count)
{
    static const struct timespec now = {0, 0};
    sigset_t pipe_signal, pending, before;
    bool was_pending;
    ssize_t got;
    int err;

    (void)sigemptyset(&pending);
    (void)sigemptyset(&pipe_signal);
    (void)sigaddset(&pipe_signal, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    (void)sigpending(&pending);
    was_pending = sigismember(&pending, SIGPIPE) == 1;
    got = pwritev2(fd, iov, count, -1, RWF_NOWAIT);
    if (got < 0 && is_unsupported(errno))
        got = stream_write_some(fd, iov, count);
    err = errno;
    if (got < 0 && err == EPIPE && !was_pending)
        (void)sigtimedwait(&pipe_signal, NULL, &now);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = err;
    return got;
}

static ssize_t
stream_write(int fd, const struct iovec *iov, int count)
{
    ssize_t got = pwritev2(fd, iov, count, -1, RWF_NOWAIT | RWF_NOSIGNAL);

    if (got >= 0 || !is_unsupported(errno))
        return got;
    return stream_write_quietly(fd, iov, count);
}

static ssize_t
socket_transfer(int fd, const struct iovec *iov, size_t count, bool is_write)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};

    return is_write ? sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
                    : recvmsg(fd, &message, MSG_DONTWAIT);
}

/* --------------------------------------------------------------- read and write */

static int
sync_flags(const struct files_entry *entry)
{
    if ((entry->flags & FILES_SYNC) != 0)
        return RWF_SYNC;
    return (entry->flags & FILES_DSYNC) != 0 ? RWF_DSYNC : 0;
}

static ssize_t
regular_read(struct files_entry *entry, const struct iovec *iov, int count)
{
    ssize_t got;

    if (!entry->is_own_offset)
        return readv(entry->fd, iov, count);
    if (entry->offset > INT64_MAX)
        return 0;
    got = preadv(entry->fd, iov, count, (off_t)entry->offset);
    if (got > 0)
        entry->offset += (uint64_t)got;
    return got;
}

/* An appending write is one step of the kernel's; where it ended is asked
 * afterwards, so with several writers at once the offset is theirs or ours. */
static ssize_t
regular_write(struct files_entry *entry, const struct iovec *iov, int count)
{
    bool is_append = (entry->flags & FILES_APPEND) != 0;
    int flags = sync_flags(entry) | (is_append ? RWF_APPEND : 0);
    struct stat stat;
    ssize_t got;

    if (!entry->is_own_offset)
        return pwritev2(entry->fd, iov, count, -1, flags);
    if (entry->offset > INT64_MAX) {
        errno = EFBIG;
        return -1;
    }
    got = pwritev2(entry->fd, iov, count, (off_t)entry->offset, flags);
    if (got > 0 && is_append && fstat(entry->fd, &stat) == 0)
        entry->offset = (uint64_t)stat.st_size;
    else if (got > 0)
        entry->offset += (uint64_t)got;
    return got;
}

static int
check_transfer(const struct files_entry *entry, size_t count, bool is_write)
{
    if (entry->fd < 0)
        return no_descriptor(entry, -ESPIPE);
    if (count > FILES_IOVECS_MAX)
        return -EINVAL;
    if (entry->kind == FILES_DIRECTORY)
        return -EISDIR;
    return is_write && entry->is_read_only ? -EROFS : 0;
}

static size_t
iov_total(const struct iovec *iov, size_t count)
{
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += iov[i].iov_len;
    return total;
}

static ssize_t
transfer(struct files_entry *entry, const struct iovec *iov, size_t count, bool is_write)
{
    if (entry->kind == FILES_REGULAR)
        return is_write ? regular_write(entry, iov, (int)count)
                        : regular_read(entry, iov, (int)count);
    if (entry->kind == FILES_SOCKET)
        return socket_transfer(entry->fd, iov, count, is_write);
    if (iov_total(iov, count) == 0)
        return 0;
    return is_write ? stream_write(entry->fd, iov, (int)count)
                    : stream_read(entry->fd, iov, (int)count);
}

static int
transfer_all(struct files_entry *entry, const struct iovec *iov, size_t count, bool is_write,
             size_t *done)
{
    int err = check_transfer(entry, count, is_write);
    ssize_t got;

    if (err != 0)
        return err;
    do
        got = transfer(entry, iov, count, is_write);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    *done = (size_t)got;
    return 0;
}

int
files_read(struct files_entry *entry, const struct iovec *iov, size_t count, size_t *done)
{
    return transfer_all(entry, iov, count, false, done);
}

int
files_write(struct files_entry *entry, const struct iovec *iov, size_t count, size_t *done)
{
    return transfer_all(entry, iov, count, true, done);
}

static int
transfer_at(const struct files_entry *entry, const struct iovec *iov, size_t count, uint64_t offset,
            bool is_write, size_t *done)
{
    ssize_t got;

    if (entry->kind == FILES_STREAM || entry->kind == FILES_SOCKET)
        return -ESPIPE;
    if (offset > INT64_MAX)
        return -EINVAL;
    do
        got = is_write ? pwritev2(entry->fd, iov, (int)count, (off_t)offset, sync_flags(entry))
                       : preadv(entry->fd, iov, (int)count, (off_t)offset);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    *done = (size_t)got;
    return 0;
}

int
files_read_at(const struct files_entry *entry, const struct iovec *iov, size_t count,
              uint64_t offset, size_t *done)
{
    int err = check_transfer(entry, count, false);

    return err != 0 ? err : transfer_at(entry, iov, count, offset, false, done);
}

int
files_write_at(const struct files_entry *entry, const struct iovec *iov, size_t count,
               uint64_t offset, size_t *done)
{
    int err = check_transfer(entry, count, true);

    return err != 0 ? err : transfer_at(entry, iov, count, offset, true, done);
}

/* ---------------------------------------------------------------------- offsets */

static int
seek_own(struct files_entry *entry, int64_t delta, int whence, uint64_t *out)
{
    struct stat stat;
    int64_t base = 0, target;

    if (whence == SEEK_CUR)
        base = (int64_t)entry->offset;
    if (whence == SEEK_END) {
        if (fstat(entry->fd, &stat) != 0)
            return -errno;
        base = stat.st_size;
    }
    if (__builtin_add_overflow(base, delta, &target))
        return -EOVERFLOW;
    if (target < 0)
        return -EINVAL;
    entry->offset = (uint64_t)target;
    *out = entry->offset;
    return 0;
}

int
files_seek(struct files_entry *entry, int64_t delta, int whence, uint64_t *out)
{
    off_t offset;

    if (entry->fd < 0)
        return no_descriptor(entry, -ESPIPE);
    if (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END)
        return -EINVAL;
    if (entry->kind == FILES_DIRECTORY)
        return -EBADF;
    if (entry->is_own_offset)
        return seek_own(entry, delta, whence, out);
    offset = lseek(entry->fd, delta, whence);
    if (offset < 0)
        return -errno;
    *out = (uint64_t)offset;
    return 0;
}

/* ------------------------------------------------------------------- the file */

int
files_stat(const struct files_entry *entry, struct stat *out)
{
    if (entry->kind == FILES_MEMORY) {
        *out = (struct stat){.st_mode = entry->mode, .st_nlink = 1};
        return 0;
    }
    if (entry->fd < 0)
        return -EIO;
    return fstat(entry->fd, out) != 0 ? -errno : 0;
}

int
files_sync(const struct files_entry *entry, bool data_only)
{
    int result;

    if (entry->fd < 0)
        return no_descriptor(entry, -EINVAL);
    result = data_only ? fdatasync(entry->fd) : fsync(entry->fd);
    return result != 0 ? -errno : 0;
}

static int
check_change(const struct files_entry *entry)
{
    if (entry->fd < 0)
        return no_descriptor(entry, -EINVAL);
    return entry->is_read_only ? -EROFS : 0;
}

int
files_allocate(const struct files_entry *entry, uint64_t offset, uint64_t bytes)
{
    int err = check_change(entry);

    if (err != 0)
        return err;
    if (offset > INT64_MAX || bytes > INT64_MAX || bytes == 0)
        return -EINVAL;
    if (offset + bytes > INT64_MAX)
        return -EFBIG;
    return fallocate(entry->fd, 0, (off_t)offset, (off_t)bytes) != 0 ? -errno : 0;
}

int
files_advise(const struct files_entry *entry, uint64_t offset, uint64_t bytes, int advice)
{
    int err;

    if (entry->fd < 0)
        return no_descriptor(entry, -ESPIPE);
    if (entry->kind == FILES_DIRECTORY)
        return -EBADF;
    if (offset > INT64_MAX || bytes > INT64_MAX)
        return -EINVAL;
    err = posix_fadvise(entry->fd, (off_t)offset, (off_t)bytes, advice);
    return err == ENOSYS ? 0 : -err; /* a sealed process cannot pass the advice on */
}

int
files_resize(const struct files_entry *entry, uint64_t bytes)
{
    int err = check_change(entry);

    if (err != 0)
        return err;
    if (bytes > INT64_MAX)
        return -EINVAL;
    return ftruncate(entry->fd, (off_t)bytes) != 0 ? -errno : 0;
}

int
files_set_times(const struct files_entry *entry, const struct timespec times[2])
{
    int err = check_change(entry);

    if (err != 0)
        return err;
    return futimens(entry->fd, times) != 0 ? -errno : 0;
}

/* ------------------------------------------------------------------ directories */

struct kernel_item { /* linux_dirent64 */
    uint64_t inode;
    int64_t next;
    uint16_t bytes;
    uint8_t type;
    char name[];
};

static bool
list_visit(const uint8_t *bytes, size_t count, files_visit_fn visit, void *context)
{
    for (size_t at = 0; at < count;) {
        const struct kernel_item *kernel = (const void *)(bytes + at);
        struct files_item item = {
            .next = (uint64_t)kernel->next,
            .inode = kernel->inode,
            .mode = (uint32_t)DTTOIF(kernel->type),
            .name_bytes = (uint32_t)strlen(kernel->name),
            .name = kernel->name,
        };

        if (!visit(context, &item))
            return false;
        at += kernel->bytes;
    }
    return true;
}

int
files_list(const struct files_entry *entry, uint64_t cookie, files_visit_fn visit, void *context)
{
    _Alignas(8) uint8_t bytes[LIST_BYTES];
    long got;

    if (entry->kind != FILES_DIRECTORY)
        return -ENOTDIR;
    if (entry->fd < 0)
        return -EIO;
    if (cookie > INT64_MAX || lseek(entry->fd, (off_t)cookie, SEEK_SET) < 0)
        return -EINVAL;
    for (;;) {
        got = syscall(SYS_getdents64, entry->fd, bytes, sizeof(bytes));
        if (got < 0)
            return errno == ENOENT ? 0 : -errno; /* the directory itself was removed */
        if (got == 0 || !list_visit(bytes, (size_t)got, visit, context))
            return 0;
    }
}

/* -------------------------------------------------------------------- sockets */

int
files_accept(struct files_table *table, uint32_t number, uint16_t flags, uint32_t *out)
{
    struct files_entry *entry = files_table_get(table, number);
    int listening, fd, err;
    uint32_t index;

    if (entry == NULL)
        return -EBADF;
    if (entry->kind != FILES_SOCKET)
        return -ENOTSOCK;
    if (entry->fd < 0)
        return -EIO;
    listening = entry->fd;
    if (!is_ready(listening, POLLIN))
        return -EAGAIN;
    err = files_table_reserve(table, &index);
    if (err != 0)
        return err;
    fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    err = files_entry_classify(&table->entries[index], fd);
    if (err != 0) {
        table->entries[index].kind = FILES_FREE;
        (void)close(fd);
        return err;
    }
    table->entries[index].flags = flags;
    table->entries[index].is_accepted = 1;
    *out = index;
    return 0;
}
