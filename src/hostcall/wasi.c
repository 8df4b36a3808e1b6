/* SPDX-License-Identifier: Apache-2.0
 *
 * What every WASI function needs: results, guest memory, descriptors with rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/clock.h"
#include "hostcall/hostcall_internal.h"

/* Host errno -> the specification's; 0 where there is none. */
static const uint8_t errnos[] = {
    [E2BIG] = 1,         [EACCES] = 2,
    [EADDRINUSE] = 3,    [EADDRNOTAVAIL] = 4,
    [EAFNOSUPPORT] = 5,  [EAGAIN] = 6,
    [EALREADY] = 7,      [EBADF] = 8,
    [EBADMSG] = 9,       [EBUSY] = 10,
    [ECANCELED] = 11,    [ECHILD] = 12,
    [ECONNABORTED] = 13, [ECONNREFUSED] = 14,
    [ECONNRESET] = 15,   [EDEADLK] = 16,
    [EDESTADDRREQ] = 17, [EDOM] = 18,
    [EDQUOT] = 19,       [EEXIST] = 20,
    [EFAULT] = 21,       [EFBIG] = 22,
    [EHOSTUNREACH] = 23, [EIDRM] = 24,
    [EILSEQ] = 25,       [EINPROGRESS] = 26,
    [EINTR] = 27,        [EINVAL] = 28,
    [EIO] = 29,          [EISCONN] = 30,
    [EISDIR] = 31,       [ELOOP] = 32,
    [EMFILE] = 33,       [EMLINK] = 34,
    [EMSGSIZE] = 35,     [EMULTIHOP] = 36,
    [ENAMETOOLONG] = 37, [ENETDOWN] = 38,
    [ENETRESET] = 39,    [ENETUNREACH] = 40,
    [ENFILE] = 41,       [ENOBUFS] = 42,
    [ENODEV] = 43,       [ENOENT] = 44,
    [ENOEXEC] = 45,      [ENOLCK] = 46,
    [ENOLINK] = 47,      [ENOMEM] = 48,
    [ENOMSG] = 49,       [ENOPROTOOPT] = 50,
    [ENOSPC] = 51,       [ENOSYS] = 52,
    [ENOTCONN] = 53,     [ENOTDIR] = 54,
    [ENOTEMPTY] = 55,    [ENOTRECOVERABLE] = 56,
    [ENOTSOCK] = 57,     [EOPNOTSUPP] = 58,
    [ENOTTY] = 59,       [ENXIO] = 60,
    [EOVERFLOW] = 61,    [EOWNERDEAD] = 62,
    [EPERM] = 63,        [EPIPE] = 64,
    [EPROTO] = 65,       [EPROTONOSUPPORT] = 66,
    [EPROTOTYPE] = 67,   [ERANGE] = 68,
    [EROFS] = 69,        [ESPIPE] = 70,
    [ESRCH] = 71,        [ESTALE] = 72,
    [ETIMEDOUT] = 73,    [ETXTBSY] = 74,
    [EXDEV] = 75,
};

uint16_t
wasi_errno(int err)
{
    ASSERT(err <= 0);
    if (err == 0)
        return 0;
    if (err == -HOSTCALL_ENOTCAPABLE)
        return WASI_ENOTCAPABLE;
    if ((size_t)-err < ARRAY_COUNT(errnos) && errnos[-err] != 0)
        return errnos[-err];
    return WASI_EIO;
}

enum faaslet_verdict
wasi_done(struct faaslet_call *call, int err)
{
    call->args[0] = wasi_errno(err);
    return FAASLET_CALL_DONE;
}

enum faaslet_verdict
wasi_wait_fd(struct faaslet_call *call, int fd, short events)
{
    call->wait->deadline_ns = CLOCK_NEVER_NS;
    call->wait->fd_count = 1;
    call->wait->fds[0] = (struct faaslet_wait_fd){fd, events};
    return FAASLET_CALL_PENDING;
}

enum faaslet_verdict
wasi_done_or_wait(struct faaslet_call *call, int err, const struct files_entry *entry, short events)
{
    if (err == -EAGAIN && (entry->flags & FILES_NONBLOCK) == 0)
        return wasi_wait_fd(call, entry->fd, events);
    return wasi_done(call, err);
}

void
wasi_note_refusal(struct faaslet_call *call, int err)
{
    if (err == -EMFILE && call->refused != NULL)
        *call->refused |= 1u << FAASLET_LIMIT_FILES;
}

/* ----------------------------------------------------------------- guest memory */

int
wasi_check(const struct faaslet_call *call, uint32_t offset, uint64_t bytes)
{
    return faaslet_call_range(call, offset, bytes) == NULL ? -EFAULT : 0;
}

void
wasi_store(struct faaslet_call *call, uint32_t offset, const void *value, size_t bytes)
{
    void *target = faaslet_call_range(call, offset, bytes);

    ASSERT(target != NULL);
    if (bytes != 0)
        (void)memcpy(target, value, bytes);
}

void
wasi_store_u32(struct faaslet_call *call, uint32_t offset, uint32_t value)
{
    wasi_store(call, offset, &value, sizeof(value));
}

void
wasi_store_u64(struct faaslet_call *call, uint32_t offset, uint64_t value)
{
    wasi_store(call, offset, &value, sizeof(value));
}

int
wasi_buffers_read(const struct faaslet_call *call, uint32_t offset, uint32_t count,
                  bool is_for_reading, struct wasi_buffers *out)
{
    const uint8_t *from = faaslet_call_view(call, offset, (uint64_t)count * 8);
    struct wasi_iovec guest;

    if (from == NULL)
        return -EFAULT;
    if (count > FILES_IOVECS_MAX)
        return -EINVAL;
    out->total = 0;
    for (uint32_t i = 0; i < count; i++) {
        (void)memcpy(&guest, from + (size_t)i * sizeof(guest), sizeof(guest));
        out->iov[i].iov_base =
            is_for_reading ? (void *)(uintptr_t)faaslet_call_view(call, guest.buf, guest.buf_len)
                           : faaslet_call_range(call, guest.buf, guest.buf_len);
        out->iov[i].iov_len = guest.buf_len;
        if (out->iov[i].iov_base == NULL)
            return -EFAULT;
        out->total += guest.buf_len;
    }
    out->count = count;
    return 0;
}

int
wasi_path_read(const struct faaslet_call *call, uint32_t offset, uint32_t bytes,
               struct wasi_path *out)
{
    const void *from = faaslet_call_view(call, offset, bytes);

    if (from == NULL)
        return -EFAULT;
    if (bytes > FILES_PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    if (bytes != 0)
        (void)memcpy(out->text, from, bytes);
    out->text[bytes] = '\0';
    return strlen(out->text) != bytes ? -EINVAL : 0;
}

/* ------------------------------------------------------------------ descriptors */

#define RIGHTS_COMMON \
    (WASI_RIGHT(WASI_FD_FDSTAT_SET_FLAGS) | WASI_RIGHT(WASI_FD_FILESTAT_GET) | \
     WASI_RIGHT(WASI_POLL_FD_READWRITE))
#define RIGHTS_TRANSFER (WASI_RIGHT(WASI_FD_READ) | WASI_RIGHT(WASI_FD_WRITE))
#define RIGHTS_REGULAR \
    (RIGHTS_COMMON | RIGHTS_TRANSFER | WASI_RIGHT(WASI_FD_DATASYNC) | WASI_RIGHT(WASI_FD_SEEK) | \
     WASI_RIGHT(WASI_FD_SYNC) | WASI_RIGHT(WASI_FD_TELL) | WASI_RIGHT(WASI_FD_ADVISE) | \
     WASI_RIGHT(WASI_FD_ALLOCATE) | WASI_RIGHT(WASI_FD_FILESTAT_SET_SIZE) | \
     WASI_RIGHT(WASI_FD_FILESTAT_SET_TIMES))
#define RIGHTS_STREAM \
    (RIGHTS_REGULAR & ~(WASI_RIGHT(WASI_FD_SEEK) | WASI_RIGHT(WASI_FD_TELL) | \
                        WASI_RIGHT(WASI_FD_ALLOCATE) | WASI_RIGHT(WASI_FD_FILESTAT_SET_SIZE)))
#define RIGHTS_SOCKET \
    (RIGHTS_COMMON | RIGHTS_TRANSFER | WASI_RIGHT(WASI_SOCK_SHUTDOWN) | \
     WASI_RIGHT(WASI_SOCK_ACCEPT))
#define RIGHTS_PATHS \
    (WASI_RIGHT(WASI_PATH_CREATE_DIRECTORY) | WASI_RIGHT(WASI_PATH_CREATE_FILE) | \
     WASI_RIGHT(WASI_PATH_LINK_SOURCE) | WASI_RIGHT(WASI_PATH_LINK_TARGET) | \
     WASI_RIGHT(WASI_PATH_OPEN) | WASI_RIGHT(WASI_PATH_READLINK) | \
     WASI_RIGHT(WASI_PATH_RENAME_SOURCE) | WASI_RIGHT(WASI_PATH_RENAME_TARGET) | \
     WASI_RIGHT(WASI_PATH_FILESTAT_GET) | WASI_RIGHT(WASI_PATH_FILESTAT_SET_SIZE) | \
     WASI_RIGHT(WASI_PATH_FILESTAT_SET_TIMES) | WASI_RIGHT(WASI_PATH_SYMLINK) | \
     WASI_RIGHT(WASI_PATH_REMOVE_DIRECTORY) | WASI_RIGHT(WASI_PATH_UNLINK_FILE))
#define RIGHTS_DIRECTORY \
    (RIGHTS_COMMON | RIGHTS_PATHS | WASI_RIGHT(WASI_FD_READDIR) | WASI_RIGHT(WASI_FD_SYNC) | \
     WASI_RIGHT(WASI_FD_DATASYNC) | WASI_RIGHT(WASI_FD_FILESTAT_SET_TIMES))

static bool
is_directory(const struct files_entry *entry)
{
    return entry->kind == FILES_DIRECTORY || (keys_is(entry) && S_ISDIR(entry->mode));
}

uint64_t
wasi_rights_possible(const struct files_entry *entry)
{
    uint64_t rights;

    if (is_directory(entry))
        return RIGHTS_DIRECTORY;
    if (entry->kind == FILES_SOCKET)
        return RIGHTS_SOCKET;
    if (entry->kind == FILES_REGULAR || (keys_is(entry) && entry->is_own_offset))
        rights = RIGHTS_REGULAR;
    else /* a terminal is known by what it cannot do: seek and tell */
        rights = S_ISCHR(entry->mode) && !entry->is_terminal ? RIGHTS_REGULAR : RIGHTS_STREAM;
    if (entry->access == O_RDONLY)
        rights &= ~(WASI_RIGHT(WASI_FD_WRITE) | WASI_RIGHT(WASI_FD_ALLOCATE) |
                    WASI_RIGHT(WASI_FD_FILESTAT_SET_SIZE));
    if (entry->access == O_WRONLY)
        rights &= ~WASI_RIGHT(WASI_FD_READ);
    return rights;
}

void
wasi_rights_adopted(struct files_entry *entry)
{
    ASSERT(entry != NULL);
    entry->rights = wasi_rights_possible(entry);
    entry->inheriting =
        entry->kind == FILES_DIRECTORY || entry->kind == FILES_SOCKET ? WASI_RIGHTS_ALL : 0;
}

/* A call on the wrong kind of object says so; else it is a missing capability. */
static int
refusal(const struct files_entry *entry, enum wasi_right right)
{
    bool is_path = (WASI_RIGHT(right) & RIGHTS_PATHS) != 0 || right == WASI_FD_READDIR;

    if (is_path && !is_directory(entry))
        return -ENOTDIR;
    if (right == WASI_SOCK_ACCEPT || right == WASI_SOCK_SHUTDOWN)
        return entry->kind != FILES_SOCKET ? -ENOTSOCK : -HOSTCALL_ENOTCAPABLE;
    if (is_directory(entry) && (WASI_RIGHT(right) & RIGHTS_DIRECTORY) == 0)
        return right == WASI_FD_READ ? -EISDIR : -EBADF;
    return -HOSTCALL_ENOTCAPABLE;
}

struct files_entry *
wasi_descriptor(const struct faaslet_call *call, uint32_t number, enum wasi_right right, int *err)
{
    struct files_entry *entry = files_table_get(&wasi_process(call)->files, number);

    *err = 0;
    if (entry == NULL) {
        *err = -EBADF;
        return NULL;
    }
    if (right != WASI_NO_RIGHT && (entry->rights & WASI_RIGHT(right)) == 0) {
        *err = refusal(entry, right);
        return NULL;
    }
    return entry;
}

uint8_t
wasi_filetype(uint32_t mode, uint16_t socket_type)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return WASI_REGULAR_FILE;
    case S_IFDIR:
        return WASI_DIRECTORY;
    case S_IFLNK:
        return WASI_SYMBOLIC_LINK;
    case S_IFCHR:
        return WASI_CHARACTER_DEVICE;
    case S_IFBLK:
        return WASI_BLOCK_DEVICE;
    case S_IFSOCK:
        return socket_type == SOCK_DGRAM ? WASI_SOCKET_DGRAM : WASI_SOCKET_STREAM;
    default:
        return WASI_UNKNOWN;
    }
}
