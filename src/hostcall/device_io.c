/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing the files of /dev/weft (device.c).
 */
#include <errno.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "hostcall/hostcall_internal.h"

#define MESSAGE_MAX 4096u

/* -------------------------------------------------------------------------- writing */

/* All of these buffers or nothing. */
static int
append_all(struct buffer *to, const struct wasi_buffers *from)
{
    size_t before = to->count;
    int err = 0;

    for (size_t i = 0; i < from->count && err == 0; i++) {
        buffer_append(to, from->iov[i].iov_base, from->iov[i].iov_len);
        err = to->err;
    }
    if (err != 0) { /* the guest may try again */
        to->count = before;
        to->err = 0;
    }
    return err;
}

static int
write_input(struct hostcall_process *process, struct device_call *call,
            const struct wasi_buffers *buffers)
{
    int err;

    if (call->state == DEVICE_CALL_STARTED)
        return -EBUSY;
    if (buffers->total > HOSTCALL_INPUT_BYTES_MAX - process->device.input_bytes)
        return -E2BIG; /* of all that are not started together: it is the host's memory */
    err = append_all(&call->input, buffers);
    if (err == 0)
        process->device.input_bytes += buffers->total;
    return err;
}

enum faaslet_verdict
device_write(struct faaslet_call *call, const struct files_entry *entry,
             const struct wasi_buffers *buffers, uint32_t result_at)
{
    struct hostcall_process *process = wasi_process(call);
    int err;

    if (entry->memory == DEVICE_RESULT) {
        if (!weft_output_allows(call, buffers->total))
            return FAASLET_CALL_LIMIT;
        err = append_all(&process->streams[HOSTCALL_RESULT], buffers);
        if (err == 0)
            process->output_bytes += buffers->total;
    } else {
        err = write_input(process, device_call_of(process, entry), buffers);
    }
    if (err == 0)
        wasi_store_u32(call, result_at, (uint32_t)buffers->total);
    return wasi_done(call, err);
}

enum faaslet_verdict
device_sync(struct faaslet_call *call, const struct files_entry *entry)
{
    if (entry->memory < DEVICE_CALLS)
        return wasi_done(call, 0);
    return wasi_done(call, device_start(call, device_call_of(wasi_process(call), entry)));
}

/* -------------------------------------------------------------------------- reading */

static void
append_json(struct buffer *out, const char *text, size_t bytes)
{
    bool is_utf8 = utf8_is_valid(text, bytes);

    buffer_append(out, "\"", 1);
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f)
            buffer_append_format(out, "\\u%04x", byte);
        else
            buffer_append(out, byte < 0x80 || is_utf8 ? &text[i] : "?", 1);
    }
    buffer_append(out, "\"", 1);
}

static void
append_identity(const struct hostcall_process *process, struct buffer *out)
{
    static const char *const keys[] = {"function", "tenant", "version"};
    const char *name = (const char *)process->names.bytes.bytes;

    buffer_append_format(out, "{\"call\":%llu", (unsigned long long)process->call);
    for (uint32_t i = 0; i < process->names.count && i < ARRAY_COUNT(keys); i++) {
        buffer_append_format(out, ",\"%s\":", keys[i]);
        append_json(out, name, strlen(name));
        name += strlen(name) + 1;
    }
    buffer_append(out, "}\n", 2);
}

static void
append_deadline(const struct hostcall_process *process, struct buffer *out)
{
    uint64_t deadline_ns = process->deadline_ns, now = clock_now_ns();

    if (deadline_ns != CLOCK_NEVER_NS && deadline_ns <= INT64_MAX)
        buffer_append_format(out, "%llu\n",
                             (unsigned long long)(deadline_ns > now ? deadline_ns - now : 0));
}

/* How it ended, in JSON. */
static int
append_end(const struct hostcall_process *process, const struct device_call *call,
           const struct hostcall_chain_end *end, struct buffer *out)
{
    static const char *const kinds[] = {
        [HOSTCALL_RUNNING] = "running", [HOSTCALL_DONE] = "done",
        [HOSTCALL_EXIT] = "exit",       [HOSTCALL_TRAP] = "trap",
        [HOSTCALL_LIMIT] = "limit",     [HOSTCALL_CANCELLED] = "cancelled",
        [HOSTCALL_FAILED] = "failed",   [HOSTCALL_LOST] = "lost",
    };
    char message[MESSAGE_MAX];
    struct hostcall_chain_read read = {.to = message, .bytes = sizeof(message)};
    int err = 0;

    if (end->kind != HOSTCALL_RUNNING)
        err = process->chain->ops->read(process->chain->context, process->call, call->handle,
                                        HOSTCALL_STREAM_MESSAGE, &read);
    if (err != 0)
        return err;
    buffer_append_format(
        out, "{\"status\":\"%s\",\"code\":%d,\"result_bytes\":%u,\"message\":", kinds[end->kind],
        end->kind == HOSTCALL_FAILED ? (int)wasi_errno(end->code) : end->code,
        end->bytes[HOSTCALL_STREAM_RESULT]);
    append_json(out, message, read.done);
    buffer_append(out, "}\n", 2);
    return 0;
}

/* What there is of the text from the entry's offset on. */
static size_t
copy_text(const struct buffer *text, uint64_t offset, const struct wasi_buffers *buffers)
{
    size_t done = 0;

    for (size_t i = 0; i < buffers->count && offset + done < text->count; i++) {
        size_t left = text->count - (size_t)offset - done;
        size_t part = buffers->iov[i].iov_len < left ? buffers->iov[i].iov_len : left;

        (void)memcpy(buffers->iov[i].iov_base, text->bytes + offset + done, part);
        done += part;
    }
    return done;
}

static int
copy_stream(const struct hostcall_process *process, const struct device_call *call,
            enum hostcall_stream stream, struct files_entry *entry,
            const struct wasi_buffers *buffers)
{
    const struct hostcall_chain *chain = process->chain;
    int err = 0;

    for (size_t i = 0; i < buffers->count && err == 0; i++) {
        struct hostcall_chain_read read = {.offset = entry->offset,
                                           .to = buffers->iov[i].iov_base,
                                           .bytes = buffers->iov[i].iov_len};

        err = chain->ops->read(chain->context, process->call, call->handle, stream, &read);
        if (err == 0)
            entry->offset += read.done;
        if (read.done < read.bytes)
            break;
    }
    return err;
}

/* 1: it is over. 0: it is not, and call->wait says until when to wait; -errno. */
static int
look(struct faaslet_call *call, const struct device_call *about)
{
    const struct hostcall_process *process = wasi_process(call);
    int64_t place;

    if (process->chain == NULL)
        return -EIO;
    place = process->chain->ops->poll(process->chain->context, process->call, &about->handle, 1);
    call->wait->deadline_ns = CLOCK_NEVER_NS;
    call->wait->fd_count = 0;
    return place < 0 ? (int)place : place == 0;
}

static int
read_end(struct faaslet_call *call, const struct device_call *about, struct files_entry *entry,
         const struct wasi_buffers *buffers)
{
    const struct hostcall_process *process = wasi_process(call);
    const struct hostcall_chain *chain = process->chain;
    struct hostcall_chain_end end = {.kind = HOSTCALL_RUNNING};
    struct buffer text = {0};
    uint64_t before = entry->offset;
    int err = chain->ops->end(chain->context, process->call, about->handle, &end);

    if (err == 0)
        err = append_end(process, about, &end, &text);
    if (err == 0)
        err = text.err;
    if (err == 0)
        entry->offset += copy_text(&text, before, buffers);
    buffer_fini(&text);
    return err;
}

static int
read_over(struct faaslet_call *call, const struct device_call *about, struct files_entry *entry,
          const struct wasi_buffers *buffers)
{
    static const enum hostcall_stream streams[] = {
        [DEVICE_STREAM_CALL] = HOSTCALL_STREAM_RESULT,
        [DEVICE_STREAM_OUTPUT] = HOSTCALL_STREAM_OUTPUT,
        [DEVICE_STREAM_LOG] = HOSTCALL_STREAM_LOG,
    };
    const struct hostcall_process *process = wasi_process(call);
    enum device_stream stream = device_stream_of(entry);
    struct hostcall_chain_end end = {.kind = HOSTCALL_RUNNING};
    int err = 0;

    if (stream == DEVICE_STREAM_END)
        return read_end(call, about, entry, buffers);
    if (stream == DEVICE_STREAM_CALL) {
        err = process->chain->ops->end(process->chain->context, process->call, about->handle, &end);
        if (err == 0 && end.kind != HOSTCALL_DONE)
            err = -EIO;
    }
    return err != 0 ? err : copy_stream(process, about, streams[stream], entry, buffers);
}

static enum faaslet_verdict
read_call(struct faaslet_call *call, struct files_entry *entry, const struct wasi_buffers *buffers,
          uint32_t result_at)
{
    struct device_call *about = device_call_of(wasi_process(call), entry);
    uint64_t before = entry->offset;
    int err = device_start(call, about);
    bool is_timed = entry->device != 0;
    int is_over = err == 0 ? look(call, about) : err;

    if (is_over == 0 && !(is_timed && clock_now_ns() >= entry->device)) {
        if ((entry->flags & FILES_NONBLOCK) != 0)
            return wasi_done(call, -EAGAIN);
        if (is_timed)
            call->wait->deadline_ns = entry->device;
        return FAASLET_CALL_PENDING;
    }
    err = is_over < 0 ? is_over : read_over(call, about, entry, buffers);
    if (err == 0)
        wasi_store_u32(call, result_at, (uint32_t)(entry->offset - before));
    return wasi_done(call, err);
}

enum faaslet_verdict
device_read(struct faaslet_call *call, struct files_entry *entry,
            const struct wasi_buffers *buffers, uint32_t result_at)
{
    const struct hostcall_process *process = wasi_process(call);
    struct buffer text = {0};
    size_t done;
    int err;

    if (entry->memory >= DEVICE_CALLS)
        return read_call(call, entry, buffers, result_at);
    if (entry->memory == DEVICE_IDENTITY)
        append_identity(process, &text);
    else if (entry->memory == DEVICE_DEADLINE)
        append_deadline(process, &text);
    err = text.err;
    done = err == 0 ? copy_text(&text, entry->offset, buffers) : 0;
    entry->offset += done;
    buffer_fini(&text);
    if (err == 0)
        wasi_store_u32(call, result_at, (uint32_t)done);
    return wasi_done(call, err);
}
