/* SPDX-License-Identifier: Apache-2.0
 *
 * Files beneath /state: opening, reading, writing (keys.c).
 */
#include <errno.h>
#include <stdio.h>

#include "hostcall/hostcall_internal.h"

#define READ_BYTES (1u << 20) /* that are asked for at a time */

/* -------------------------------------------------------------------------- opening */

enum { STEP_SAVE, STEP_MAKE, STEP_GET, STEP_FOLDER, STEP_VALUE };

struct opening {
    struct faaslet_call *call;
    const struct files_open *how;
    char key[STATE_KEY_BYTES_MAX + 1];
    uint32_t *number;
};

static struct keys_file *
enter(struct opening *opening, enum keys_kind kind, int *err)
{
    struct hostcall_process *process = wasi_process(opening->call);

    *err = keys_enter(process, kind, opening->key, opening->how, opening->number);
    return *err != 0 ? NULL
                     : keys_file_of(process, files_table_get(&process->files, *opening->number));
}

static int
open_folder(struct opening *opening)
{
    const struct files_open *how = opening->how;
    struct keys_file *file;
    size_t count = strlen(opening->key);
    int err;

    if (!how->directory && (how->want_write || how->create))
        return -EISDIR;
    file = enter(opening, KEYS_FOLDER, &err);
    if (err == 0 && count > 0)
        (void)memcpy(file->key + count, "/", 2);
    return err;
}

/* There is none: a new value, or with O_APPEND a log, which is made by its first record. */
static int
open_new(struct opening *opening)
{
    bool is_log = (opening->how->flags & FILES_APPEND) != 0;
    struct keys_file *file;
    int err;

    if (!opening->how->create)
        return -ENOENT;
    if (!opening->how->want_write)
        return -EINVAL;
    file = enter(opening, is_log ? KEYS_LOG : KEYS_VALUE, &err);
    if (err == 0)
        file->changes = !is_log;
    return err;
}

static int
open_log(struct opening *opening)
{
    int err;

    if (opening->how->exclusive)
        return -EEXIST;
    if (opening->how->truncate ||
        (opening->how->want_write && (opening->how->flags & FILES_APPEND) == 0))
        return -EPERM; /* as of a file that one may only append to */
    (void)enter(opening, KEYS_LOG, &err);
    return err;
}

static int
open_value(struct opening *opening, const struct state_result *result)
{
    const struct files_open *how = opening->how;
    bool is_large = result->size > result->count && !how->truncate;
    struct buffer bytes = {0};
    struct keys_file *file;
    int err = 0;

    if (is_large && how->want_write)
        return -EFBIG;
    if (!is_large && !how->truncate)
        buffer_append(&bytes, result->bytes, result->count);
    err = bytes.err;
    file = err == 0 ? enter(opening, is_large ? KEYS_LARGE : KEYS_VALUE, &err) : NULL;
    if (err != 0) {
        buffer_fini(&bytes);
        return err;
    }
    file->bytes = bytes;
    file->next = is_large ? result->size : 0;
    file->version = result->version;
    file->changes = how->truncate;
    return 0;
}

/* A lock file: of all who make it, on all hosts, one does. */
static int
make(struct opening *opening)
{
    struct hostcall_process *process = wasi_process(opening->call);
    const struct state_request request = {
        .kind = STATE_CAS, .key = opening->key, .bytes = "", .owner = process->call};
    struct state_result result = {0};
    struct keys_file *file;
    int err = 0;

    if (opening->call->scratch[0] == 0) { /* what would fail later does so now */
        file = enter(opening, KEYS_VALUE, &err);
        if (err != 0)
            return err;
        keys_file_free(file);
        err = files_table_close(&process->files, *opening->number);
    }
    if (err == 0)
        err = state_ask(opening->call, &request, &result);
    file = err == 0 ? enter(opening, KEYS_VALUE, &err) : NULL;
    if (err == 0)
        file->version = result.version;
    state_result_fini(&result);
    return err == -EAGAIN ? -EEXIST : err;
}

static int
get(struct opening *opening)
{
    struct faaslet_call *call = opening->call;
    const struct hostcall_process *process = wasi_process(call);
    uint64_t room = opening->how->want_write ? keys_room(process) : KEYS_COPY_BYTES;
    struct state_request request = {.kind = STATE_GET,
                                    .key = opening->key,
                                    .count = opening->how->truncate || room == 0 ? 1 : room,
                                    .owner = process->call};
    struct state_result result = {0};
    int err;

    if (!opening->how->want_write && keys_room(process) < room)
        request.count = 1; /* it is read where it is */
    err = state_ask(call, &request, &result);
    if (err == 0)
        err = open_value(opening, &result);
    else if (err == -EISDIR)
        err = open_log(opening);
    else if (err == -ENOENT)
        call->scratch[1] = STEP_FOLDER;
    state_result_fini(&result);
    return err;
}

/* Where there is no value: a directory, or nothing. */
static int
find_folder(struct opening *opening)
{
    bool is_folder = false;
    int err = keys_is_folder(opening->call, opening->key, &is_folder);

    if (err == 0)
        err = is_folder ? open_folder(opening) : open_new(opening);
    return err;
}

/* A directory is wanted. */
static int
want_folder(struct opening *opening)
{
    struct faaslet_call *call = opening->call;
    struct state_result result = {0};
    bool is_folder = false;
    int err = 0;

    if (call->scratch[1] != STEP_VALUE) {
        err = keys_is_folder(call, opening->key, &is_folder);
        if (err != 0 || is_folder)
            return err != 0 ? err : open_folder(opening);
        call->scratch[1] = STEP_VALUE;
    }
    err = keys_ask(call, STATE_STAT, opening->key, &result);
    state_result_fini(&result);
    return err == 0 ? -ENOTDIR : err;
}

int
keys_open(struct faaslet_call *call, const struct files_entry *directory, const char *path,
          const struct files_open *how, uint32_t *number)
{
    struct hostcall_process *process = wasi_process(call);
    struct opening opening = {.call = call, .how = how, .number = number};
    bool is_folder;
    int err = keys_resolve(process, directory, path, opening.key, &is_folder);

    if (err != 0 || is_folder || how->directory)
        return err != 0 ? err : want_folder(&opening);
    if (call->scratch[1] == STEP_SAVE) {
        err = keys_save_key(call, opening.key);
        if (err != 0)
            return err;
        call->scratch[1] = how->exclusive && how->create ? STEP_MAKE : STEP_GET;
    }
    if (call->scratch[1] == STEP_MAKE)
        return make(&opening);
    if (call->scratch[1] == STEP_GET) {
        err = get(&opening);
        if (call->scratch[1] != STEP_FOLDER)
            return err;
    }
    return find_folder(&opening);
}

/* -------------------------------------------------------------------------- reading */

static size_t
copy_out(const struct buffer *from, uint64_t offset, const struct wasi_buffers *buffers)
{
    size_t done = 0;

    for (size_t i = 0; i < buffers->count && offset + done < from->count; i++) {
        size_t left = from->count - (size_t)offset - done;
        size_t part = buffers->iov[i].iov_len < left ? buffers->iov[i].iov_len : left;

        if (part > 0)
            (void)memcpy(buffers->iov[i].iov_base, from->bytes + offset + done, part);
        done += part;
    }
    return done;
}

static int
read_large(struct faaslet_call *call, const struct keys_file *file, uint64_t offset,
           const struct wasi_buffers *buffers, size_t *done)
{
    const struct state_request request = {.kind = STATE_GET,
                                          .key = file->key,
                                          .offset = offset,
                                          .count = buffers->total < READ_BYTES ? buffers->total
                                                                               : READ_BYTES,
                                          .owner = wasi_process(call)->call};
    struct state_result result = {0};
    int err;

    if (offset >= file->next || request.count == 0)
        return 0;
    err = state_ask(call, &request, &result);
    if (err == 0) {
        const struct buffer bytes = {.bytes = result.bytes, .count = result.count};

        *done = copy_out(&bytes, 0, buffers);
    }
    state_result_fini(&result);
    if (err == -EINVAL) /* it is shorter now */
        return 0;
    return err == -ENOENT || err == -EISDIR ? -ESTALE : err;
}

/* The next of what is read once; the last gives its room back. */
static size_t
take(struct keys_file *file, const struct wasi_buffers *buffers)
{
    size_t done = copy_out(&file->bytes, file->taken, buffers);

    file->taken += done;
    if (file->taken == file->bytes.count) {
        buffer_fini(&file->bytes);
        file->taken = 0;
    }
    return done;
}

/* More records, many at a time. */
static int
bring_records(struct faaslet_call *call, struct keys_file *file, bool *is_end)
{
    uint64_t room = keys_room(wasi_process(call));
    const struct state_request request = {.kind = STATE_READ,
                                          .key = file->key,
                                          .offset = file->next,
                                          .count = room < READ_BYTES ? room : READ_BYTES,
                                          .owner = wasi_process(call)->call};
    struct state_result result = {0};
    int err = room == 0 ? -ENOBUFS : state_ask(call, &request, &result);

    *is_end = result.item_count == 0;
    if (err == 0 && result.count > 0) {
        buffer_append(&file->bytes, result.bytes, result.count);
        err = file->bytes.err;
        file->bytes.err = 0;
    }
    if (err == 0) /* the oldest may be forgotten: then the first is another than was asked for */
        file->next = (result.value > file->next ? result.value : file->next) + result.item_count;
    state_result_fini(&result);
    return err;
}

/* At the end there may be more later. */
static int
read_log(struct faaslet_call *call, struct keys_file *file, const struct wasi_buffers *buffers,
         size_t *done)
{
    bool is_end = buffers->total == 0;
    int err = 0;

    while (err == 0 && file->bytes.count == 0 && !is_end)
        err = bring_records(call, file, &is_end);
    if (err != 0)
        return err == -ENOENT ? 0 : err;
    *done = take(file, buffers);
    return 0;
}

int
keys_read(struct faaslet_call *call, const struct files_entry *entry, uint64_t offset,
          const struct wasi_buffers *buffers, size_t *done)
{
    struct keys_file *file = keys_file_of(wasi_process(call), entry);

    *done = 0;
    if (file->kind == KEYS_FOLDER)
        return -EISDIR;
    if (file->kind == KEYS_LARGE)
        return read_large(call, file, offset, buffers, done);
    if (file->kind == KEYS_LOG)
        return read_log(call, file, buffers, done);
    *done = file->kind == KEYS_TALK ? take(file, buffers) : copy_out(&file->bytes, offset, buffers);
    return 0;
}

/* -------------------------------------------------------------------------- writing */

static int
resize(struct faaslet_call *call, struct keys_file *file, uint64_t size)
{
    if (size > file->bytes.count) {
        if (size - file->bytes.count > keys_room(wasi_process(call)))
            return -EFBIG;
        buffer_append(&file->bytes, NULL, (size_t)size - file->bytes.count);
        if (file->bytes.err != 0) {
            file->bytes.err = 0;
            return -ENOMEM;
        }
    }
    if (size < file->bytes.count) {
        file->bytes.count = (size_t)size;
        buffer_trim(&file->bytes);
    }
    return 0;
}

static int
write_value(struct faaslet_call *call, struct keys_file *file, uint64_t offset,
            const struct wasi_buffers *buffers, size_t *done)
{
    int err = 0;

    if (buffers->total > KEYS_BYTES_MAX || offset > KEYS_BYTES_MAX)
        return -EFBIG;
    if (buffers->total > 0 && offset + buffers->total > file->bytes.count)
        err = resize(call, file, offset + buffers->total);
    if (err != 0)
        return err;
    for (size_t i = 0; i < buffers->count; i++) {
        size_t part = buffers->iov[i].iov_len;

        if (part > 0)
            (void)memcpy(file->bytes.bytes + offset + *done, buffers->iov[i].iov_base, part);
        *done += part;
    }
    file->changes += *done > 0;
    return 0;
}

/* One record; what is in several buffers is put together. */
static int
append_record(struct faaslet_call *call, const struct keys_file *file,
              const struct wasi_buffers *buffers, size_t *done)
{
    struct state_request request = {.kind = STATE_APPEND,
                                    .key = file->key,
                                    .count = buffers->total,
                                    .owner = wasi_process(call)->call};
    struct state_result result = {0};
    struct buffer whole = {0};
    int err = 0;

    if (buffers->total == 0)
        return 0;
    if (buffers->total > KEYS_COPY_BYTES)
        return -EMSGSIZE;
    for (size_t i = 0; call->scratch[0] == 0 && i < buffers->count; i++)
        buffer_append(&whole, buffers->iov[i].iov_base, buffers->iov[i].iov_len);
    request.bytes = whole.bytes;
    err = whole.err != 0 ? whole.err : state_ask(call, &request, &result);
    if (err == 0)
        *done = (size_t)buffers->total;
    buffer_fini(&whole);
    state_result_fini(&result);
    return err;
}

int
keys_write(struct faaslet_call *call, const struct files_entry *entry, uint64_t *offset,
           const struct wasi_buffers *buffers, size_t *done)
{
    struct keys_file *file = keys_file_of(wasi_process(call), entry);
    int err;

    *done = 0;
    if (file->kind == KEYS_FOLDER || file->kind == KEYS_LARGE)
        return file->kind == KEYS_LARGE ? -EBADF : -EISDIR;
    if (file->kind == KEYS_LOG)
        return append_record(call, file, buffers, done);
    if (file->kind == KEYS_TALK) {
        err = keys_talk(call, file, buffers);
        *done = err == 0 ? (size_t)buffers->total : 0;
        return err;
    }
    if ((entry->flags & FILES_APPEND) != 0)
        *offset = file->bytes.count;
    return write_value(call, file, *offset, buffers, done);
}

int
keys_resize(struct faaslet_call *call, const struct files_entry *entry, uint64_t bytes,
            bool only_grows)
{
    struct keys_file *file = keys_file_of(wasi_process(call), entry);
    int err = 0;

    if (file->kind != KEYS_VALUE)
        return -EINVAL;
    if (!only_grows || bytes > file->bytes.count)
        err = resize(call, file, bytes);
    file->changes += err == 0;
    return err;
}

int
keys_sync(struct faaslet_call *call, const struct files_entry *entry)
{
    return keys_save(call, keys_file_of(wasi_process(call), entry));
}

/* ------------------------------------------------------------------- where and what */

static uint64_t
size_of(const struct keys_file *file)
{
    return file->kind == KEYS_LARGE ? file->next : file->bytes.count;
}

int
keys_seek(struct faaslet_call *call, struct files_entry *entry, int64_t delta, int whence,
          uint64_t *out)
{
    const struct keys_file *file = keys_file_of(wasi_process(call), entry);
    uint64_t from, to;

    if (file->kind != KEYS_VALUE && file->kind != KEYS_LARGE)
        return file->kind == KEYS_FOLDER ? -EBADF : -ESPIPE;
    from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? entry->offset : size_of(file);
    if (delta < 0 && (uint64_t)-(delta + 1) + 1 > from)
        return -EINVAL;
    to = from + (uint64_t)delta;
    if (to > INT64_MAX)
        return -EOVERFLOW;
    entry->offset = *out = to;
    return 0;
}

int
keys_file_stat(struct faaslet_call *call, const struct files_entry *entry, struct stat *out)
{
    const struct keys_file *file = keys_file_of(wasi_process(call), entry);
    struct state_result result = {0};
    int err = 0;

    if (file->kind == KEYS_LOG) {
        err = keys_ask(call, STATE_STAT, file->key, &result);
        state_result_fini(&result);
        if (err == 0 || err == -ENOENT)
            keys_stat_of(entry->mode, file->key, result.size, result.version, out);
        return err == -ENOENT ? 0 : err;
    }
    keys_stat_of(entry->mode, file->key, file->kind != KEYS_FOLDER ? size_of(file) : 0,
                 file->version, out);
    return 0;
}

/* Steps: a value; a directory. */
int
keys_path_stat(struct faaslet_call *call, const struct files_entry *directory, const char *path,
               struct stat *out)
{
    const struct hostcall_process *process = wasi_process(call);
    char key[STATE_KEY_BYTES_MAX + 2];
    const struct keys_file *unsaved;
    struct state_result result = {0};
    bool is_folder = false;
    int err = keys_resolve(process, directory, path, key, &is_folder);

    unsaved = err == 0 ? keys_unsaved(process, key) : NULL;
    if (unsaved != NULL)
        keys_stat_of(S_IFREG, key, unsaved->bytes.count, unsaved->version, out);
    if (err != 0 || unsaved != NULL)
        return err;
    if (call->scratch[1] == 0 && !is_folder) {
        err = keys_ask(call, STATE_STAT, key, &result);
        if (err == 0)
            keys_stat_of(S_IFREG, key, result.size, result.version, out);
        state_result_fini(&result);
        if (err != -ENOENT)
            return err;
        call->scratch[1] = 1;
    }
    err = keys_is_folder(call, key, &is_folder);
    if (err == 0 && !is_folder)
        err = -ENOENT;
    if (err == 0 && key[0] != '\0')
        (void)memcpy(key + strlen(key), "/", 2); /* as of one that is open */
    if (err == 0)
        keys_stat_of(S_IFDIR | S_IXUSR, key, 0, 0, out);
    return err;
}
