/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard streams in memory: a call's input and output without descriptors.
 */
#include <errno.h>

#include "base/fault.h"
#include "hostcall/hostcall_internal.h"

int
memory_read(struct hostcall_process *process, const struct iovec *iov, size_t count, size_t *done)
{
    const struct buffer *input = &process->streams[0];

    *done = 0;
    for (size_t i = 0; i < count && process->input_at < input->count; i++) {
        size_t left = input->count - process->input_at;
        size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;

        (void)memcpy(iov[i].iov_base, input->bytes + process->input_at, part);
        process->input_at += part;
        *done += part;
    }
    return 0;
}

/* How much there may be is the process's output_max, which was looked at before. */
int
memory_write(struct hostcall_process *process, const struct files_entry *entry,
             const struct iovec *iov, size_t count, size_t *done)
{
    struct buffer *stream = &process->streams[entry->memory];
    size_t before = stream->count;
    int err = fault_point("hostcall.memory");

    for (size_t i = 0; i < count && err == 0; i++) {
        buffer_append(stream, iov[i].iov_base, iov[i].iov_len);
        err = stream->err;
    }
    if (err != 0) { /* the guest may try again */
        stream->count = before;
        stream->err = 0;
        return err;
    }
    *done = stream->count - before;
    return 0;
}

const uint8_t *
hostcall_process_output(const struct hostcall_process *process, unsigned stream, size_t *count)
{
    *count = process->streams[stream].count;
    return process->streams[stream].bytes;
}
