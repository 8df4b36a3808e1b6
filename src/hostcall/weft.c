/* SPDX-License-Identifier: Apache-2.0
 *
 * Weft's own imports: input and result, who one is, time left, log, snapshots. Those
 * about other calls are in chain.c.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>

#include "base/clock.h"
#include "base/fault.h"
#include "hostcall/hostcall_internal.h"

#define LOG_BYTES_MAX 8192u /* of one line */
#define LOG_STREAM    2u

enum faaslet_verdict
weft_snapshot(struct faaslet_call *call)
{
    const struct hostcall_process *process = call->process;

    if (call->scratch[0]++ == 0)
        return FAASLET_CALL_SNAPSHOT;
    call->args[0] = process->starts < INT32_MAX ? (uint32_t)process->starts : INT32_MAX;
    return FAASLET_CALL_DONE;
}

/* ---------------------------------------------------------------- input and result */

enum faaslet_verdict
weft_input_size(struct faaslet_call *call)
{
    size_t count = wasi_process(call)->streams[0].count;

    call->args[0] = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
    return FAASLET_CALL_DONE;
}

enum faaslet_verdict
weft_input_read(struct faaslet_call *call)
{
    const struct buffer *input = &wasi_process(call)->streams[0];
    uint32_t offset = wasi_arg(call, 0), to = wasi_arg(call, 1), bytes = wasi_arg(call, 2);
    uint32_t done_at = wasi_arg(call, 3), done = 0;
    int err = wasi_check(call, to, bytes);

    if (err == 0)
        err = wasi_check(call, done_at, sizeof(done));
    if (err != 0)
        return wasi_done(call, err);
    if (offset < input->count) {
        size_t left = input->count - offset;

        done = left < bytes ? (uint32_t)left : bytes;
        wasi_store(call, to, input->bytes + offset, done);
    }
    wasi_store_u32(call, done_at, done);
    return wasi_done(call, 0);
}

/* The limit is that of all output; without one there is still one of what is kept. */
bool
weft_output_allows(struct faaslet_call *call, uint64_t bytes)
{
    const struct hostcall_process *process = wasi_process(call);

    if ((process->output_max == 0 || bytes <= process->output_max - process->output_bytes) &&
        bytes <= HOSTCALL_OUTPUT_BYTES_MAX - process->streams[HOSTCALL_RESULT].count)
        return true;
    call->limit = FAASLET_LIMIT_OUTPUT;
    return false;
}

enum faaslet_verdict
weft_output(struct faaslet_call *call)
{
    struct hostcall_process *process = wasi_process(call);
    struct buffer *result = &process->streams[HOSTCALL_RESULT];
    uint32_t bytes = wasi_arg(call, 1);
    const void *from = faaslet_call_view(call, wasi_arg(call, 0), bytes);
    int err = fault_point("hostcall.memory");

    if (from == NULL)
        return wasi_done(call, -EFAULT);
    if (!weft_output_allows(call, bytes))
        return FAASLET_CALL_LIMIT;
    if (err == 0 && bytes != 0) {
        buffer_append(result, from, bytes);
        err = result->err;
        result->err = 0; /* the guest may try again */
    }
    if (err == 0)
        process->output_bytes += bytes;
    return wasi_done(call, err);
}

/* ------------------------------------------------------------------------ identity */

enum faaslet_verdict
weft_call_id(struct faaslet_call *call)
{
    call->args[0] = wasi_process(call)->call;
    return FAASLET_CALL_DONE;
}

enum faaslet_verdict
weft_pointer(struct faaslet_call *call)
{
    call->args[0] = wasi_process(call)->pointer;
    return FAASLET_CALL_DONE;
}

/* What its record says, or what this host gives the thread that asks. */
enum faaslet_verdict
weft_processors(struct faaslet_call *call)
{
    uint32_t count = wasi_process(call)->processors;
    cpu_set_t set;

    if (count == 0 && sched_getaffinity(0, sizeof(set), &set) == 0)
        count = (uint32_t)CPU_COUNT(&set);
    call->args[0] = count != 0 ? count : 1;
    return FAASLET_CALL_DONE;
}

/* A name, cut where there is no room for it, and the length of all of it. */
enum faaslet_verdict
weft_identity(struct faaslet_call *call)
{
    const struct hostcall_strings *names = &wasi_process(call)->names;
    uint32_t which = wasi_arg(call, 0), to = wasi_arg(call, 1), bytes = wasi_arg(call, 2);
    uint32_t length_at = wasi_arg(call, 3);
    const char *name = (const char *)names->bytes.bytes;
    uint32_t length;
    int err = wasi_check(call, to, bytes);

    if (err == 0)
        err = wasi_check(call, length_at, sizeof(length));
    if (err == 0 && which >= names->count)
        err = -EINVAL;
    if (err != 0)
        return wasi_done(call, err);
    for (; which > 0; which--)
        name += strlen(name) + 1;
    length = (uint32_t)strlen(name);
    wasi_store(call, to, name, length < bytes ? length : bytes);
    wasi_store_u32(call, length_at, length);
    return wasi_done(call, 0);
}

enum faaslet_verdict
weft_deadline_left(struct faaslet_call *call)
{
    uint64_t deadline_ns = wasi_process(call)->deadline_ns, now = clock_now_ns();

    if (deadline_ns == CLOCK_NEVER_NS || deadline_ns > INT64_MAX)
        call->args[0] = INT64_MAX;
    else
        call->args[0] = deadline_ns > now ? deadline_ns - now : 0;
    return FAASLET_CALL_DONE;
}

/* ----------------------------------------------------------------------------- log */

/* One line, whatever is in the text. */
static size_t
make_line(uint32_t level, const uint8_t *text, size_t bytes, char line[LOG_BYTES_MAX + 16])
{
    static const char *const levels[] = {"debug: ", "info: ", "warning: ", "error: "};
    size_t at = strlen(levels[level]);

    (void)memcpy(line, levels[level], at);
    for (size_t i = 0; i < bytes; i++)
        line[at++] = text[i] == '\n' || text[i] == '\r' || text[i] == '\0' ? ' ' : (char)text[i];
    line[at++] = '\n';
    return at;
}

enum faaslet_verdict
weft_log(struct faaslet_call *call)
{
    uint32_t level = wasi_arg(call, 0), bytes = wasi_arg(call, 2);
    const uint8_t *text = faaslet_call_view(call, wasi_arg(call, 1), bytes);
    char line[LOG_BYTES_MAX + 16];
    struct iovec iov = {line, 0};
    struct files_entry *entry;
    size_t done = 0;
    int err = 0;

    if (text == NULL)
        return wasi_done(call, -EFAULT);
    if (level > 3 || bytes > LOG_BYTES_MAX)
        return wasi_done(call, level > 3 ? -EINVAL : -EMSGSIZE);
    entry = wasi_descriptor(call, LOG_STREAM, WASI_FD_WRITE, &err);
    if (err != 0)
        return wasi_done(call, err);
    iov.iov_len = make_line(level, text, bytes, line);
    iov.iov_base = line + call->scratch[0]; /* where a pipe took only the first part */
    iov.iov_len -= call->scratch[0];
    if (!wasi_output_allows(call, entry, iov.iov_len))
        return FAASLET_CALL_LIMIT;
    err = wasi_write_entry(wasi_process(call), entry, &iov, 1, &done);
    wasi_output_count(call, entry, done);
    if (err == 0 && done < iov.iov_len) {
        call->scratch[0] += done;
        return wasi_wait_fd(call, entry->fd, POLLOUT);
    }
    return wasi_done_or_wait(call, err, entry, POLLOUT);
}
