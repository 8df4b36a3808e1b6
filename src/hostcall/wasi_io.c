/* SPDX-License-Identifier: Apache-2.0
 *
 * fd_read, fd_write, fd_pread, fd_pwrite, fd_seek, fd_tell, fd_readdir.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "hostcall/hostcall_internal.h"

/* --------------------------------------------------------------- read and write */

int
wasi_write_entry(struct hostcall_process *process, struct files_entry *entry,
                 const struct iovec *iov, size_t count, size_t *done)
{
    return entry->kind == FILES_MEMORY ? memory_write(process, entry, iov, count, done)
                                       : files_write(entry, iov, count, done);
}

static int
transfer(struct hostcall_process *process, struct files_entry *entry,
         const struct wasi_buffers *buffers, bool is_write, size_t *done)
{
    if (is_write)
        return wasi_write_entry(process, entry, buffers->iov, buffers->count, done);
    if (entry->kind == FILES_MEMORY)
        return memory_read(process, buffers->iov, buffers->count, done);
    return files_read(entry, buffers->iov, buffers->count, done);
}

/* By what it is, not by its number: the guest may give it another. */
static bool
is_output(const struct files_entry *entry)
{
    return entry->root < 0 && !entry->is_accepted;
}

bool
wasi_output_allows(struct faaslet_call *call, const struct files_entry *entry, uint64_t bytes)
{
    const struct hostcall_process *process = wasi_process(call);

    if (process->output_max == 0 || !is_output(entry) ||
        bytes <= process->output_max - process->output_bytes)
        return true;
    call->limit = FAASLET_LIMIT_OUTPUT;
    return false;
}

void
wasi_output_count(struct faaslet_call *call, const struct files_entry *entry, size_t bytes)
{
    if (wasi_process(call)->output_max != 0 && is_output(entry))
        wasi_process(call)->output_bytes += bytes;
}

/* Where no offset is given it is the descriptor's, which goes on. */
static enum faaslet_verdict
read_or_write_key(struct faaslet_call *call, struct files_entry *entry,
                  const struct wasi_buffers *buffers, const uint64_t *at, bool is_write)
{
    uint64_t offset = at != NULL ? *at : entry->offset;
    size_t done = 0;
    int err = is_write ? keys_write(call, entry, &offset, buffers, &done)
                       : keys_read(call, entry, offset, buffers, &done);

    if (err == 0 && at == NULL)
        entry->offset = offset + done;
    if (err == 0)
        wasi_store_u32(call, wasi_arg(call, at != NULL ? 4 : 3), (uint32_t)done);
    return keys_done(call, err);
}

static enum faaslet_verdict
read_or_write(struct faaslet_call *call, bool is_write)
{
    uint32_t result_at = wasi_arg(call, 3);
    struct wasi_buffers buffers;
    struct files_entry *entry;
    size_t done = 0;
    int err = wasi_check(call, result_at, 4);

    if (err == 0)
        err = wasi_buffers_read(call, wasi_arg(call, 1), wasi_arg(call, 2), is_write, &buffers);
    if (err != 0)
        return wasi_done(call, err);
    entry = wasi_descriptor(call, wasi_arg(call, 0), is_write ? WASI_FD_WRITE : WASI_FD_READ, &err);
    if (err != 0)
        return wasi_done(call, err);
    if (device_is(entry))
        return is_write ? device_write(call, entry, &buffers, result_at)
                        : device_read(call, entry, &buffers, result_at);
    if (keys_is(entry))
        return read_or_write_key(call, entry, &buffers, NULL, is_write);
    if (is_write && !wasi_output_allows(call, entry, buffers.total))
        return FAASLET_CALL_LIMIT;
    err = transfer(wasi_process(call), entry, &buffers, is_write, &done);
    if (is_write)
        wasi_output_count(call, entry, done);
    if (err == 0)
        wasi_store_u32(call, result_at, (uint32_t)done);
    return wasi_done_or_wait(call, err, entry, is_write ? POLLOUT : POLLIN);
}

enum faaslet_verdict
wasi_fd_read(struct faaslet_call *call)
{
    return read_or_write(call, false);
}

enum faaslet_verdict
wasi_fd_write(struct faaslet_call *call)
{
    return read_or_write(call, true);
}

static int
transfer_at(const struct files_entry *entry, const struct wasi_buffers *buffers, uint64_t offset,
            bool is_write, size_t *done)
{
    return is_write ? files_write_at(entry, buffers->iov, buffers->count, offset, done)
                    : files_read_at(entry, buffers->iov, buffers->count, offset, done);
}

/* Needs the right to seek too, as the specification has it. */
static enum faaslet_verdict
read_or_write_at(struct faaslet_call *call, bool is_write)
{
    uint32_t number = wasi_arg(call, 0), result_at = wasi_arg(call, 4);
    struct wasi_buffers buffers;
    struct files_entry *entry;
    size_t done = 0;
    int err = wasi_check(call, result_at, 4);

    if (err == 0)
        err = wasi_buffers_read(call, wasi_arg(call, 1), wasi_arg(call, 2), is_write, &buffers);
    if (err != 0)
        return wasi_done(call, err);
    entry = wasi_descriptor(call, number, is_write ? WASI_FD_WRITE : WASI_FD_READ, &err);
    if (err == 0)
        entry = wasi_descriptor(call, number, WASI_FD_SEEK, &err);
    if (err == 0 && keys_is(entry))
        return read_or_write_key(call, entry, &buffers, &call->args[3], is_write);
    if (err == 0 && is_write && !wasi_output_allows(call, entry, buffers.total))
        return FAASLET_CALL_LIMIT;
    if (err == 0)
        err = transfer_at(entry, &buffers, call->args[3], is_write, &done);
    else if (err == -HOSTCALL_ENOTCAPABLE && entry == NULL)
        err = files_table_get(&wasi_process(call)->files, number)->kind == FILES_REGULAR ? err
                                                                                         : -ESPIPE;
    if (err == 0 && is_write)
        wasi_output_count(call, entry, done);
    if (err == 0)
        wasi_store_u32(call, result_at, (uint32_t)done);
    return wasi_done(call, err);
}

enum faaslet_verdict
wasi_fd_pread(struct faaslet_call *call)
{
    return read_or_write_at(call, false);
}

enum faaslet_verdict
wasi_fd_pwrite(struct faaslet_call *call)
{
    return read_or_write_at(call, true);
}

/* -------------------------------------------------------------------------- seek */

static enum faaslet_verdict
seek(struct faaslet_call *call, const uint8_t whences[3])
{
    int64_t delta = (int64_t)call->args[1];
    uint32_t whence = wasi_arg(call, 2), result_at = wasi_arg(call, 3);
    struct files_entry *entry;
    uint64_t offset;
    int err = wasi_check(call, result_at, 8);

    if (err != 0)
        return wasi_done(call, err);
    if (whence > 2)
        return wasi_done(call, -EINVAL);
    /* Asking where one is needs less than moving. */
    entry = wasi_descriptor(call, wasi_arg(call, 0),
                            delta == 0 && whences[whence] == SEEK_CUR ? WASI_FD_TELL : WASI_FD_SEEK,
                            &err);
    if (err == 0)
        err = keys_is(entry) ? keys_seek(call, entry, delta, whences[whence], &offset)
                             : files_seek(entry, delta, whences[whence], &offset);
    if (err == 0)
        wasi_store_u64(call, result_at, offset);
    return wasi_done(call, err);
}

enum faaslet_verdict
wasi_fd_seek(struct faaslet_call *call)
{
    static const uint8_t whences[3] = {SEEK_SET, SEEK_CUR, SEEK_END};

    return seek(call, whences);
}

enum faaslet_verdict
wasi_fd_seek_unstable(struct faaslet_call *call)
{
    static const uint8_t whences[3] = {SEEK_CUR, SEEK_END, SEEK_SET};

    return seek(call, whences);
}

enum faaslet_verdict
wasi_fd_tell(struct faaslet_call *call)
{
    struct files_entry *entry;
    uint64_t offset;
    int err = wasi_check(call, wasi_arg(call, 1), 8);

    if (err != 0)
        return wasi_done(call, err);
    entry = wasi_descriptor(call, wasi_arg(call, 0), WASI_FD_TELL, &err);
    if (err == 0)
        err = keys_is(entry) ? keys_seek(call, entry, 0, SEEK_CUR, &offset)
                             : files_seek(entry, 0, SEEK_CUR, &offset);
    if (err == 0)
        wasi_store_u64(call, wasi_arg(call, 1), offset);
    return wasi_done(call, err);
}

/* ----------------------------------------------------------------------- readdir */

struct listing {
    uint8_t *at;
    size_t bytes, used;
};

static void
listing_append(struct listing *listing, const void *bytes, size_t count)
{
    size_t room = listing->bytes - listing->used;

    if (count > room)
        count = room;
    if (count != 0)
        (void)memcpy(listing->at + listing->used, bytes, count);
    listing->used += count;
}

/* The last entry may be cut: a full buffer is how the guest knows there is more. */
static bool
listing_visit(void *context, const struct files_item *item)
{
    struct listing *listing = context;
    struct wasi_dirent dirent = {
        .next = item->next,
        .ino = item->inode,
        .namlen = item->name_bytes,
        .type = wasi_filetype(item->mode, 0),
    };

    listing_append(listing, &dirent, sizeof(dirent));
    listing_append(listing, item->name, item->name_bytes);
    return listing->used < listing->bytes;
}

enum faaslet_verdict
wasi_fd_readdir(struct faaslet_call *call)
{
    uint32_t bytes = wasi_arg(call, 2), result_at = wasi_arg(call, 4);
    struct listing listing = {faaslet_call_range(call, wasi_arg(call, 1), bytes), bytes, 0};
    const struct files_entry *entry;
    int err = wasi_check(call, result_at, 4);

    if (err != 0 || listing.at == NULL)
        return wasi_done(call, -EFAULT);
    entry = wasi_descriptor(call, wasi_arg(call, 0), WASI_FD_READDIR, &err);
    if (err == 0 && bytes != 0 && keys_is(entry)) {
        err = keys_list(call, entry, call->args[3], bytes);
        if (err == 0)
            keys_visit(wasi_process(call), entry, call->args[3], listing_visit, &listing);
    } else if (err == 0 && bytes != 0) {
        err = files_list(entry, call->args[3], listing_visit, &listing);
    }
    if (err == 0)
        wasi_store_u32(call, result_at, (uint32_t)listing.used);
    return keys_done(call, err);
}
