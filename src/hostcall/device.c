/* SPDX-License-Identifier: Apache-2.0
 *
 * /dev/weft: what weft.h gives, as files, for programs that have only those.
 *
 *     call/REFERENCE           written: the input; read: the result of that call
 *     detached/REFERENCE       the same, and it goes on when nobody can await it
 *     call:TAG/REFERENCE ...   the same with a number, not 0, by which others name it:
 *     end:TAG, end:TAG/NS      how it ended; waits at most so many nanoseconds for it
 *     output:TAG, log:TAG      what it wrote to 1 and 2
 *     result                   written: appended to this call's own result
 *     identity, deadline       read: who it is; the time that it has left
 *     state                    written: a request; read: its answer (keys_talk.c)
 *
 * (A tag, not the descriptor's number: libraries between a program and WASI may have
 * numbers of their own.)
 *
 * A call is started by the first read of any of its files, or by syncing it, which does
 * not wait; it is forgotten when the last of its files is closed. Nothing of this is in
 * the file tree: descriptors of it are FILES_MEMORY, with a number from DEVICE_ROOT on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/clock.h"
#include "hostcall/hostcall_internal.h"

/* -------------------------------------------------------------------------- names */

static const struct name {
    const char *name;
    uint32_t memory;
    uint16_t access;
} names[] = {
    {"result", DEVICE_RESULT, O_WRONLY},
    {"identity", DEVICE_IDENTITY, O_RDONLY},
    {"deadline", DEVICE_DEADLINE, O_RDONLY},
    {"state", DEVICE_TALK, O_RDWR},
};

/* Those after which something is named. */
static const struct about {
    const char *name;
    bool is_reference, is_detached;
    enum device_stream stream;
} abouts[] = {
    {"call", true, false, DEVICE_STREAM_CALL}, {"detached", true, true, DEVICE_STREAM_CALL},
    {"end", false, false, DEVICE_STREAM_END},  {"output", false, false, DEVICE_STREAM_OUTPUT},
    {"log", false, false, DEVICE_STREAM_LOG},
};

/* "call:7/bob/sum", in parts. */
struct parts {
    const struct about *about;
    uint32_t tag;     /* 0: none */
    const char *rest; /* after the slash; NULL: there is none */
};

static const struct name *
find_name(const char *path)
{
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(path, names[i].name) == 0)
            return &names[i];
    return NULL;
}

/* As weft_chain has it; besides, no part of it is empty or only dots. */
static int
check_reference(const char *text)
{
    const char *part = text;

    if (strlen(text) > HOSTCALL_NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    for (const char *at = text; *at != '\0'; at++)
        if (*at <= ' ' || *at > '~')
            return -EINVAL;
    for (;;) {
        size_t bytes = strcspn(part, "/");

        if (bytes == strspn(part, "."))
            return -EINVAL;
        if (part[bytes] == '\0')
            return 0;
        part += bytes + 1;
    }
}

/* A decimal number and what is after it. */
static bool
read_number(const char **text, uint64_t max, uint64_t *out)
{
    const char *at = *text;

    for (*out = 0; *at >= '0' && *at <= '9'; at++) {
        if (*out > (max - (uint64_t)(*at - '0')) / 10)
            return false;
        *out = *out * 10 + (uint64_t)(*at - '0');
    }
    if (at == *text)
        return false;
    *text = at;
    return true;
}

static int
split(const char *path, struct parts *out)
{
    size_t bytes = strcspn(path, ":/");
    uint64_t tag = 0;

    *out = (struct parts){.about = NULL};
    for (size_t i = 0; i < ARRAY_COUNT(abouts); i++)
        if (strlen(abouts[i].name) == bytes && memcmp(path, abouts[i].name, bytes) == 0)
            out->about = &abouts[i];
    path += bytes;
    if (*path == ':') {
        path++;
        if (!read_number(&path, UINT32_MAX, &tag) || tag == 0)
            return -ENOENT;
    }
    out->tag = (uint32_t)tag;
    out->rest = *path == '/' ? path + 1 : NULL;
    return out->about == NULL || (*path != '/' && *path != '\0') ? -ENOENT : 0;
}

/* -------------------------------------------------------------------------- calls */

bool
device_is(const struct files_entry *entry)
{
    return entry->kind == FILES_MEMORY && entry->memory >= DEVICE_ROOT && !keys_is(entry);
}

struct device_call *
device_call_of(const struct hostcall_process *process, const struct files_entry *entry)
{
    return &process->device.calls[(entry->memory - DEVICE_CALLS) / DEVICE_STREAMS];
}

enum device_stream
device_stream_of(const struct files_entry *entry)
{
    return (enum device_stream)((entry->memory - DEVICE_CALLS) % DEVICE_STREAMS);
}

/* NULL: there is none with that tag. */
static struct device_call *
find_tag(const struct hostcall_device *device, uint32_t tag)
{
    for (uint32_t i = 0; i < device->count; i++)
        if (device->calls[i].state != DEVICE_CALL_FREE && device->calls[i].tag == tag)
            return &device->calls[i];
    return NULL;
}

static int
call_create(struct hostcall_device *device, const struct parts *parts, uint32_t *slot)
{
    struct device_call *call;
    uint32_t i = 0;
    int err = 0;

    if (parts->tag != 0 && find_tag(device, parts->tag) != NULL)
        return -EEXIST;
    while (i < device->count && device->calls[i].state != DEVICE_CALL_FREE)
        i++;
    if (i == device->count)
        device->calls = hostcall_grow(device->calls, &device->count, sizeof(*call), &err);
    if (err != 0)
        return err;
    call = &device->calls[i];
    buffer_append(&call->reference, parts->rest, strlen(parts->rest) + 1);
    err = call->reference.err;
    if (err != 0) {
        buffer_fini(&call->reference);
        return err;
    }
    call->state = DEVICE_CALL_OPEN;
    call->is_detached = parts->about->is_detached;
    call->tag = parts->tag;
    *slot = i;
    return 0;
}

static void
call_free(struct hostcall_device *device, struct device_call *call)
{
    device->input_bytes -= call->input.count;
    buffer_fini(&call->reference);
    buffer_fini(&call->input);
    (void)memset(call, 0, sizeof(*call));
}

void
device_fini(struct hostcall_device *device)
{
    for (uint32_t i = 0; i < device->count; i++)
        call_free(device, &device->calls[i]);
    free(device->calls);
    (void)memset(device, 0, sizeof(*device));
}

static bool
is_referred_to(const struct hostcall_process *process, uint32_t slot)
{
    for (uint32_t i = 0; i < process->files.entry_count; i++) {
        const struct files_entry *entry = files_table_get(&process->files, i);

        if (entry != NULL && device_is(entry) && entry->memory >= DEVICE_CALLS &&
            (entry->memory - DEVICE_CALLS) / DEVICE_STREAMS == slot)
            return true;
    }
    return false;
}

void
device_closed(struct hostcall_process *process, uint32_t memory)
{
    const struct hostcall_chain *chain = process->chain;
    struct device_call *call;
    uint32_t slot;

    if (memory < DEVICE_CALLS)
        return;
    slot = (memory - DEVICE_CALLS) / DEVICE_STREAMS;
    if (is_referred_to(process, slot))
        return;
    call = &process->device.calls[slot];
    if (call->state == DEVICE_CALL_STARTED && chain != NULL) /* where it is none, so be it */
        (void)chain->ops->forget(chain->context, process->call, call->handle);
    call_free(&process->device, call);
}

/* It is tried again where it cannot be: the input stays. */
int
device_start(struct faaslet_call *host, struct device_call *call)
{
    struct hostcall_process *process = wasi_process(host);
    const struct hostcall_chain_start wanted = {
        .reference = (const char *)call->reference.bytes,
        .input = call->input.bytes != NULL ? call->input.bytes : (const uint8_t *)"",
        .input_bytes = call->input.count,
        .is_detached = call->is_detached,
    };
    int err;

    if (call->state == DEVICE_CALL_STARTED)
        return 0;
    if (call->state == DEVICE_CALL_FREE) /* of a process before this one */
        return -EIO;
    err = chain_start(host, &wanted, &call->handle);
    if (err != 0)
        return err;
    process->device.input_bytes -= call->input.count;
    buffer_fini(&call->input);
    call->state = DEVICE_CALL_STARTED;
    return 0;
}

/* -------------------------------------------------------------------------- opening */

int
device_add(struct hostcall_process *process)
{
    struct files_entry *entry, like = {.mode = S_IFIFO, .access = O_RDWR};
    uint32_t number;
    int err = files_table_add_memory(&process->files, DEVICE_ROOT, &number);

    if (err != 0)
        return err;
    entry = files_table_get(&process->files, number);
    entry->mode = S_IFDIR | S_IRUSR | S_IWUSR | S_IXUSR;
    entry->access = O_RDONLY;
    entry->rights = WASI_RIGHT(WASI_PATH_OPEN) | WASI_RIGHT(WASI_PATH_CREATE_FILE) |
                    WASI_RIGHT(WASI_PATH_FILESTAT_SET_SIZE) | WASI_RIGHT(WASI_PATH_FILESTAT_GET) |
                    WASI_RIGHT(WASI_FD_FILESTAT_GET);
    entry->inheriting = wasi_rights_possible(&like);
    return 0;
}

static int
enter(struct hostcall_process *process, uint32_t memory, uint16_t access,
      const struct files_open *how, uint32_t *number)
{
    struct files_entry *entry;
    int err;

    if ((how->want_write && access == O_RDONLY) || (how->want_read && access == O_WRONLY))
        return -EACCES;
    err = files_table_add_memory(&process->files, memory, number);
    if (err != 0)
        return err;
    entry = files_table_get(&process->files, *number);
    entry->mode = S_IFIFO | S_IRUSR | S_IWUSR;
    entry->access = access;
    entry->rights = how->rights;
    entry->flags = how->flags;
    return 0;
}

static int
open_call(struct hostcall_process *process, const struct parts *parts, const struct files_open *how,
          uint32_t *number)
{
    struct hostcall_device *device = &process->device;
    uint32_t slot = 0;
    int err = parts->rest != NULL ? check_reference(parts->rest) : -ENOENT;

    if (err == 0)
        err = call_create(device, parts, &slot);
    if (err != 0)
        return err;
    err = enter(process, DEVICE_CALLS + slot * DEVICE_STREAMS, O_RDWR, how, number);
    if (err != 0)
        call_free(device, &device->calls[slot]);
    return err;
}

static int
open_about(struct hostcall_process *process, const struct parts *parts,
           const struct files_open *how, uint32_t *number)
{
    struct device_call *call = parts->tag != 0 ? find_tag(&process->device, parts->tag) : NULL;
    enum device_stream stream = parts->about->stream;
    const char *rest = parts->rest;
    uint64_t left = 0;
    int err = call == NULL ? -ENOENT : 0;

    if (err == 0 && rest != NULL &&
        (stream != DEVICE_STREAM_END || !read_number(&rest, INT64_MAX, &left) || *rest != '\0'))
        err = -ENOENT;
    if (err == 0)
        err = enter(process,
                    DEVICE_CALLS + (uint32_t)(call - process->device.calls) * DEVICE_STREAMS +
                        (uint32_t)stream,
                    O_RDONLY, how, number);
    if (err == 0 && rest != NULL)
        files_table_get(&process->files, *number)->device = clock_now_ns() + left;
    return err;
}

int
device_open(struct hostcall_process *process, const char *path, const struct files_open *how,
            uint32_t *number)
{
    const struct name *name = find_name(path);
    struct parts parts;

    if (name == NULL && split(path, &parts) != 0)
        return device_stat(path, NULL) == 0 ? -EACCES : -ENOENT;
    if (how->directory || how->exclusive)
        return how->directory ? -ENOTDIR : -EEXIST;
    if (name != NULL && name->memory == DEVICE_TALK)
        return keys_enter(process, KEYS_TALK, "", how, number);
    if (name != NULL)
        return enter(process, name->memory, name->access, how, number);
    return parts.about->is_reference ? open_call(process, &parts, how, number)
                                     : open_about(process, &parts, how, number);
}

int
device_stat(const char *path, struct stat *out)
{
    bool is_folder = path[0] == '\0' || strcmp(path, ".") == 0;
    struct parts parts;

    if (!is_folder && find_name(path) == NULL && split(path, &parts) != 0)
        return -ENOENT;
    if (out != NULL)
        *out =
            (struct stat){.st_mode = (is_folder ? S_IFDIR | S_IXUSR : S_IFIFO) | S_IRUSR | S_IWUSR,
                          .st_nlink = 1};
    return 0;
}

/* ------------------------------------------------------------------ freeze and thaw */

struct frozen_call {
    uint64_t state, is_detached, inverse_handle, reference_bytes, input_bytes, inverse_tag;
};

void
device_freeze(const struct hostcall_device *device, struct buffer *out)
{
    for (uint32_t i = 0; i < device->count; i++) {
        const struct device_call *call = &device->calls[i];
        const struct frozen_call frozen = {call->state,       call->is_detached,
                                           ~call->handle,     call->reference.count,
                                           call->input.count, ~(uint64_t)call->tag};

        buffer_append(out, &frozen, sizeof(frozen));
        files_text_freeze(&call->reference, out);
        files_text_freeze(&call->input, out);
    }
}

static int
call_thaw(struct hostcall_reading *reading, struct hostcall_device *device,
          struct device_call *call)
{
    struct frozen_call frozen;
    const uint8_t *text;
    int err;

    if (!hostcall_take(reading, &frozen, sizeof(frozen)) ||
        frozen.state >= DEVICE_CALL_STATE_COUNT ||
        frozen.reference_bytes > HOSTCALL_NAME_BYTES_MAX + 1 ||
        (frozen.reference_bytes == 0) != (frozen.state == DEVICE_CALL_FREE) ||
        frozen.input_bytes > HOSTCALL_INPUT_BYTES_MAX - device->input_bytes ||
        ~frozen.inverse_tag > UINT32_MAX)
        return -EINVAL;
    call->state = (uint8_t)frozen.state;
    call->is_detached = frozen.is_detached != 0;
    call->handle = ~frozen.inverse_handle;
    call->tag = (uint32_t)~frozen.inverse_tag;
    text = hostcall_take_text(reading, frozen.reference_bytes);
    err = text == NULL ? -EINVAL : files_text_thaw(text, frozen.reference_bytes, &call->reference);
    text = err == 0 ? hostcall_take_text(reading, frozen.input_bytes) : NULL;
    if (text == NULL)
        return err != 0 ? err : -EINVAL;
    device->input_bytes += frozen.input_bytes;
    err = files_text_thaw(text, frozen.input_bytes, &call->input);
    if (err == 0 && call->reference.count > 0 &&
        call->reference.bytes[call->reference.count - 1] != 0)
        err = -EINVAL;
    return err;
}

int
device_thaw(struct hostcall_reading *reading, uint64_t count, struct hostcall_device *device)
{
    int err = 0;

    if (count > FILES_DESCRIPTORS_MAX)
        return -EINVAL;
    if (count == 0)
        return 0;
    device->calls = calloc(count, sizeof(*device->calls));
    if (device->calls == NULL)
        return -ENOMEM;
    device->count = (uint32_t)count;
    for (uint32_t i = 0; i < count && err == 0; i++)
        err = call_thaw(reading, device, &device->calls[i]);
    return err;
}
