/* SPDX-License-Identifier: Apache-2.0
 *
 * fd_*: what concerns the descriptor and its file, without moving data.
 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "base/clock.h"
#include "hostcall/hostcall_internal.h"

static struct files_table *
files_of(const struct faaslet_call *call)
{
    return &wasi_process(call)->files;
}

static struct files_entry *
descriptor(const struct faaslet_call *call, enum wasi_right right, int *err)
{
    return wasi_descriptor(call, wasi_arg(call, 0), right, err);
}

enum faaslet_verdict
wasi_fd_advise(struct faaslet_call *call)
{
    static const int advices[] = {POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                                  POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE};
    uint32_t advice = wasi_arg(call, 3);
    int err;
    const struct files_entry *entry = descriptor(call, WASI_FD_ADVISE, &err);

    if (err == 0 && advice >= ARRAY_COUNT(advices))
        err = -EINVAL;
    if (err == 0 && keys_is(entry))
        return wasi_done(call, 0);
    if (err == 0)
        err = files_advise(entry, call->args[1], call->args[2], advices[advice]);
    return wasi_done(call, err);
}

enum faaslet_verdict
wasi_fd_allocate(struct faaslet_call *call)
{
    int err;
    const struct files_entry *entry = descriptor(call, WASI_FD_ALLOCATE, &err);

    if (err == 0 && keys_is(entry))
        err = call->args[2] == 0 || call->args[1] > UINT64_MAX - call->args[2]
                  ? -EINVAL
                  : keys_resize(call, entry, call->args[1] + call->args[2], true);
    else if (err == 0)
        err = files_allocate(entry, call->args[1], call->args[2]);
    return wasi_done(call, err);
}

/* Of a descriptor of /dev/weft or /state; 0: it is none. */
static uint32_t
memory_of(const struct faaslet_call *call, uint32_t number)
{
    const struct files_entry *entry = files_table_get(files_of(call), number);

    return entry != NULL && (device_is(entry) || keys_is(entry)) ? entry->memory : 0;
}

static void
closed(const struct faaslet_call *call, uint32_t memory)
{
    if (memory >= KEYS_ROOT)
        keys_closed(wasi_process(call), memory);
    else
        device_closed(wasi_process(call), memory);
}

/* Before it is closed: what was written there is saved. */
static int
save(struct faaslet_call *call, uint32_t number)
{
    const struct files_entry *entry = files_table_get(files_of(call), number);

    return entry != NULL && keys_is(entry) ? keys_sync(call, entry) : 0;
}

enum faaslet_verdict
wasi_fd_close(struct faaslet_call *call)
{
    uint32_t number = wasi_arg(call, 0), memory = memory_of(call, number);
    int saved = save(call, number), err;

    if (saved == -EINPROGRESS)
        return FAASLET_CALL_PENDING;
    err = files_table_close(files_of(call), number);
    if (err == 0)
        closed(call, memory);
    return wasi_done(call, err != 0 ? err : saved);
}

enum faaslet_verdict
wasi_fd_renumber(struct faaslet_call *call)
{
    uint32_t from = wasi_arg(call, 0), to = wasi_arg(call, 1), memory = memory_of(call, to);
    int err = from != to && files_table_get(files_of(call), from) != NULL ? save(call, to) : 0;

    if (err != 0)
        return keys_done(call, err);
    err = files_table_renumber(files_of(call), from, to);
    if (err == 0 && from != to)
        closed(call, memory);
    return wasi_done(call, err);
}

enum faaslet_verdict
wasi_fd_datasync(struct faaslet_call *call)
{
    int err;
    const struct files_entry *entry = descriptor(call, WASI_FD_DATASYNC, &err);

    if (err == 0 && device_is(entry))
        return device_sync(call, entry);
    if (err == 0 && keys_is(entry))
        return keys_done(call, keys_sync(call, entry));
    return wasi_done(call, err != 0 ? err : files_sync(entry, true));
}

enum faaslet_verdict
wasi_fd_sync(struct faaslet_call *call)
{
    int err;
    const struct files_entry *entry = descriptor(call, WASI_FD_SYNC, &err);

    if (err == 0 && device_is(entry))
        return device_sync(call, entry);
    if (err == 0 && keys_is(entry))
        return keys_done(call, keys_sync(call, entry));
    return wasi_done(call, err != 0 ? err : files_sync(entry, false));
}

/* ----------------------------------------------------------------------- fdstat */

enum faaslet_verdict
wasi_fd_fdstat_get(struct faaslet_call *call)
{
    struct wasi_fdstat result = {0};
    const struct files_entry *entry;
    int err = wasi_check(call, wasi_arg(call, 1), sizeof(result));

    if (err != 0)
        return wasi_done(call, err);
    entry = descriptor(call, WASI_NO_RIGHT, &err);
    if (err == 0) {
        result.filetype = wasi_filetype(entry->mode, entry->socket_type);
        result.flags = entry->flags;
        result.rights_base = entry->rights;
        result.rights_inheriting = entry->inheriting;
        wasi_store(call, wasi_arg(call, 1), &result, sizeof(result));
    }
    return wasi_done(call, err);
}

enum faaslet_verdict
wasi_fd_fdstat_set_flags(struct faaslet_call *call)
{
    uint32_t flags = wasi_arg(call, 1);
    int err;
    struct files_entry *entry = descriptor(call, WASI_FD_FDSTAT_SET_FLAGS, &err);

    if (err == 0 && (flags & ~(uint32_t)FILES_FLAGS_ALL) != 0)
        err = -EINVAL;
    if (err == 0)
        entry->flags = (uint16_t)flags;
    return wasi_done(call, err);
}

/* Rights only ever shrink. */
enum faaslet_verdict
wasi_fd_fdstat_set_rights(struct faaslet_call *call)
{
    uint64_t base = call->args[1], inheriting = call->args[2];
    int err;
    struct files_entry *entry = descriptor(call, WASI_NO_RIGHT, &err);

    if (err == 0 && ((base & ~entry->rights) != 0 || (inheriting & ~entry->inheriting) != 0))
        err = -HOSTCALL_ENOTCAPABLE;
    if (err == 0) {
        entry->rights = base;
        entry->inheriting = inheriting;
    }
    return wasi_done(call, err);
}

/* --------------------------------------------------------------------- filestat */

static uint64_t
nanoseconds(const struct timespec *time)
{
    if (time->tv_sec < 0) /* before 1970: timestamps have no sign */
        return 0;
    return (uint64_t)time->tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)time->tv_nsec;
}

void
wasi_filestat_from(const struct stat *stat, uint16_t socket_type, struct wasi_filestat *out)
{
    *out = (struct wasi_filestat){
        .dev = stat->st_dev,
        .ino = stat->st_ino,
        .filetype = wasi_filetype(stat->st_mode, socket_type),
        .nlink = stat->st_nlink,
        .size = (uint64_t)stat->st_size,
        .atim = nanoseconds(&stat->st_atim),
        .mtim = nanoseconds(&stat->st_mtim),
        .ctim = nanoseconds(&stat->st_ctim),
    };
}

void
wasi_unstable_filestat_from(const struct wasi_filestat *from, struct wasi_unstable_filestat *out)
{
    *out = (struct wasi_unstable_filestat){
        .dev = from->dev,
        .ino = from->ino,
        .filetype = from->filetype,
        .nlink = from->nlink > UINT32_MAX ? UINT32_MAX : (uint32_t)from->nlink,
        .size = from->size,
        .atim = from->atim,
        .mtim = from->mtim,
        .ctim = from->ctim,
    };
}

static int
filestat_get(struct faaslet_call *call, struct wasi_filestat *out)
{
    struct stat stat;
    int err;
    const struct files_entry *entry = descriptor(call, WASI_FD_FILESTAT_GET, &err);

    if (err == 0)
        err = keys_is(entry) ? keys_file_stat(call, entry, &stat) : files_stat(entry, &stat);
    if (err == 0)
        wasi_filestat_from(&stat, entry->socket_type, out);
    return err;
}

enum faaslet_verdict
wasi_fd_filestat_get(struct faaslet_call *call)
{
    struct wasi_filestat result;
    int err = wasi_check(call, wasi_arg(call, 1), sizeof(result));

    if (err == 0)
        err = filestat_get(call, &result);
    if (err == 0)
        wasi_store(call, wasi_arg(call, 1), &result, sizeof(result));
    return keys_done(call, err);
}

enum faaslet_verdict
wasi_fd_filestat_get_unstable(struct faaslet_call *call)
{
    struct wasi_unstable_filestat result;
    struct wasi_filestat filestat;
    int err = wasi_check(call, wasi_arg(call, 1), sizeof(result));

    if (err == 0)
        err = filestat_get(call, &filestat);
    if (err == 0) {
        wasi_unstable_filestat_from(&filestat, &result);
        wasi_store(call, wasi_arg(call, 1), &result, sizeof(result));
    }
    return keys_done(call, err);
}

enum faaslet_verdict
wasi_fd_filestat_set_size(struct faaslet_call *call)
{
    int err;
    const struct files_entry *entry = descriptor(call, WASI_FD_FILESTAT_SET_SIZE, &err);

    if (err == 0 && keys_is(entry))
        err = keys_resize(call, entry, call->args[1], false);
    else if (err == 0)
        err = files_resize(entry, call->args[1]);
    return wasi_done(call, err);
}

static struct timespec
time_of(uint64_t ns, bool is_set, bool is_now)
{
    if (is_now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (!is_set)
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    return (struct timespec){.tv_sec = (time_t)(ns / CLOCK_NS_PER_SECOND),
                             .tv_nsec = (long)(ns % CLOCK_NS_PER_SECOND)};
}

int
wasi_times(uint64_t atim, uint64_t mtim, uint32_t flags, struct timespec out[2])
{
    bool set_atim = (flags & WASI_FSTFLAG_ATIM) != 0,
         atim_now = (flags & WASI_FSTFLAG_ATIM_NOW) != 0;
    bool set_mtim = (flags & WASI_FSTFLAG_MTIM) != 0,
         mtim_now = (flags & WASI_FSTFLAG_MTIM_NOW) != 0;

    if (flags > 15 || (set_atim && atim_now) || (set_mtim && mtim_now))
        return -EINVAL;
    out[0] = time_of(atim, set_atim, atim_now);
    out[1] = time_of(mtim, set_mtim, mtim_now);
    return 0;
}

enum faaslet_verdict
wasi_fd_filestat_set_times(struct faaslet_call *call)
{
    struct timespec times[2];
    int err;
    const struct files_entry *entry = descriptor(call, WASI_FD_FILESTAT_SET_TIMES, &err);

    if (err == 0)
        err = wasi_times(call->args[1], call->args[2], wasi_arg(call, 3), times);
    if (err == 0 && !keys_is(entry)) /* a value has none of its own */
        err = files_set_times(entry, times);
    return wasi_done(call, err);
}

/* ---------------------------------------------------------------------- prestat */

/* Of directories that are in no tree; NULL: it is none. */
static const char *
name_of_memory(const struct files_entry *entry)
{
    if (entry->kind != FILES_MEMORY)
        return NULL;
    if (entry->memory == DEVICE_ROOT)
        return DEVICE_PATH;
    return entry->memory == KEYS_ROOT ? KEYS_PATH : NULL;
}

static const char *
name_of(const struct faaslet_call *call, const struct files_entry *entry, uint32_t *bytes)
{
    const char *name = name_of_memory(entry);

    if (name != NULL) {
        *bytes = (uint32_t)strlen(name);
        return name;
    }
    *bytes = entry->path.bytes;
    return files_table_name(files_of(call), entry->path);
}

static const struct files_entry *
preopened(const struct faaslet_call *call, int *err)
{
    const struct files_entry *entry = descriptor(call, WASI_NO_RIGHT, err);

    if (entry != NULL && !entry->is_root && name_of_memory(entry) == NULL) {
        *err = -EBADF; /* this is how a libc finds the last of them */
        return NULL;
    }
    return entry;
}

enum faaslet_verdict
wasi_fd_prestat_get(struct faaslet_call *call)
{
    struct wasi_prestat result = {0};
    const struct files_entry *entry;
    int err = wasi_check(call, wasi_arg(call, 1), sizeof(result));

    if (err != 0)
        return wasi_done(call, err);
    entry = preopened(call, &err);
    if (err == 0) {
        (void)name_of(call, entry, &result.name_len);
        wasi_store(call, wasi_arg(call, 1), &result, sizeof(result));
    }
    return wasi_done(call, err);
}

enum faaslet_verdict
wasi_fd_prestat_dir_name(struct faaslet_call *call)
{
    uint32_t at = wasi_arg(call, 1), bytes = wasi_arg(call, 2), name_bytes = 0;
    const struct files_entry *entry;
    const char *name;
    int err = wasi_check(call, at, bytes);

    if (err != 0)
        return wasi_done(call, err);
    entry = preopened(call, &err);
    name = err == 0 ? name_of(call, entry, &name_bytes) : NULL;
    if (err == 0 && bytes < name_bytes)
        err = -ENAMETOOLONG;
    if (err == 0)
        wasi_store(call, at, name, name_bytes);
    return wasi_done(call, err);
}
