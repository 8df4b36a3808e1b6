/* SPDX-License-Identifier: Apache-2.0
 *
 * /state: values of state as files, for programs that have only those (docs/state.md, "Files").
 *
 * A key is a path; a directory is what some keys begin with. Nothing of this is in the file tree:
 * descriptors of it are FILES_MEMORY, with a number from KEYS_ROOT on, and each has a record here.
 * What is written is a copy in the record until it is saved: by closing, syncing, or the end. So
 * what waits is a step of a host call, and all else is plain data, which freezes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "hostcall/hostcall_internal.h"

#define TIME_BEGIN_S   1000000000
#define MADE_BYTES_MAX 65536u

enum { SCRATCH_OP, SCRATCH_FILE = 6, SCRATCH_CHANGES };

/* -------------------------------------------------------------------------- records */

bool
keys_is(const struct files_entry *entry)
{
    return entry->kind == FILES_MEMORY && entry->memory >= KEYS_ROOT;
}

struct keys_file *
keys_file_of(const struct hostcall_process *process, const struct files_entry *entry)
{
    return &process->keys.files[entry->memory - KEYS_ROOT];
}

uint64_t
keys_room(const struct hostcall_process *process)
{
    uint64_t used = 0;

    for (uint32_t i = 0; i < process->keys.count; i++)
        used += process->keys.files[i].bytes.count;
    return used < KEYS_BYTES_MAX ? KEYS_BYTES_MAX - used : 0;
}

void
keys_file_free(struct keys_file *file)
{
    buffer_fini(&file->bytes);
    (void)memset(file, 0, sizeof(*file));
}

void
keys_fini(struct hostcall_keys *keys)
{
    for (uint32_t i = 0; i < keys->count; i++)
        keys_file_free(&keys->files[i]);
    free(keys->files);
    buffer_fini(&keys->made);
    (void)memset(keys, 0, sizeof(*keys));
}

static int
files_grow(struct hostcall_keys *keys)
{
    int err;

    keys->files = hostcall_grow(keys->files, &keys->count, sizeof(*keys->files), &err);
    return err;
}

int
keys_add(struct hostcall_process *process)
{
    struct files_entry *entry;
    uint32_t number;
    int err = files_grow(&process->keys);

    if (err == 0)
        err = files_table_add_memory(&process->files, KEYS_ROOT, &number);
    if (err != 0)
        return err;
    process->keys.files[0].kind = KEYS_FOLDER;
    entry = files_table_get(&process->files, number);
    entry->mode = S_IFDIR | S_IRUSR | S_IWUSR | S_IXUSR;
    entry->access = O_RDONLY;
    entry->rights = wasi_rights_possible(entry);
    entry->inheriting = WASI_RIGHTS_ALL;
    return 0;
}

static uint16_t
access_of(const struct files_open *how)
{
    if (how->want_write)
        return how->want_read ? O_RDWR : O_WRONLY;
    return O_RDONLY;
}

int
keys_enter(struct hostcall_process *process, enum keys_kind kind, const char *key,
           const struct files_open *how, uint32_t *number)
{
    static const uint32_t modes[] = {[KEYS_VALUE] = S_IFREG,
                                     [KEYS_LARGE] = S_IFREG,
                                     [KEYS_LOG] = S_IFREG,
                                     [KEYS_FOLDER] = S_IFDIR | S_IXUSR,
                                     [KEYS_TALK] = S_IFIFO};
    struct hostcall_keys *keys = &process->keys;
    struct files_entry *entry;
    uint32_t slot = 1;
    int err = keys->count == 0 ? files_grow(keys) : 0;

    while (err == 0 && slot < keys->count && keys->files[slot].kind != KEYS_FREE)
        slot++;
    if (err == 0 && slot == keys->count)
        err = files_grow(keys);
    if (err == 0)
        err = files_table_add_memory(&process->files, KEYS_ROOT + slot, number);
    if (err != 0)
        return err;
    keys->files[slot].kind = (uint8_t)kind;
    (void)memcpy(keys->files[slot].key, key, strlen(key) + 1);
    entry = files_table_get(&process->files, *number);
    entry->mode = modes[kind] | S_IRUSR | S_IWUSR;
    entry->access = access_of(how);
    entry->is_own_offset = kind == KEYS_VALUE || kind == KEYS_LARGE;
    entry->flags = how->flags;
    entry->inheriting = how->inheriting;
    entry->rights = how->rights & wasi_rights_possible(entry);
    return 0;
}

void
keys_closed(struct hostcall_process *process, uint32_t memory)
{
    if (memory > KEYS_ROOT)
        keys_file_free(&process->keys.files[memory - KEYS_ROOT]);
}

/* ---------------------------------------------------------------------------- names */

/* One component more, or one less; `from` is where the directory that it starts from ends. */
static int
step(char key[STATE_KEY_BYTES_MAX + 1], size_t *count, size_t from, const char *part, size_t bytes)
{
    if (bytes == 0 || (bytes == 1 && part[0] == '.'))
        return 0;
    if (bytes == 2 && part[0] == '.' && part[1] == '.') {
        if (*count <= from)
            return -EPERM;
        while (*count > from && key[*count - 1] != '/')
            (*count)--;
        if (*count > from)
            (*count)--;
        return 0;
    }
    if (*count + (*count > 0) + bytes > STATE_KEY_BYTES_MAX)
        return -ENAMETOOLONG;
    if (*count > 0)
        key[(*count)++] = '/';
    (void)memcpy(key + *count, part, bytes);
    *count += bytes;
    return 0;
}

int
keys_resolve(const struct hostcall_process *process, const struct files_entry *directory,
             const char *path, char key[STATE_KEY_BYTES_MAX + 1], bool *is_folder)
{
    const struct keys_file *folder = keys_file_of(process, directory);
    size_t count, from;
    int err = 0;

    if (folder->kind != KEYS_FOLDER)
        return -ENOTDIR;
    if (path[0] == '/')
        return -EPERM;
    if (path[0] == '\0')
        return -ENOENT;
    count = strlen(folder->key);
    count -= count > 0; /* its slash */
    (void)memcpy(key, folder->key, count);
    from = count;
    for (const char *part = path; err == 0 && *part != '\0';) {
        size_t bytes = strcspn(part, "/");

        *is_folder = part[bytes] == '/' || (bytes <= 2 && bytes == strspn(part, "."));
        err = step(key, &count, from, part, bytes);
        part += bytes + (part[bytes] == '/');
    }
    key[count] = '\0';
    *is_folder = *is_folder || count == 0;
    return err == 0 && !utf8_is_valid(key, count) ? -EILSEQ : err;
}

bool
keys_is_dirty(const struct keys_file *file)
{
    return file->changes > file->saved && !file->is_gone;
}

struct keys_file *
keys_unsaved(const struct hostcall_process *process, const char *key)
{
    for (uint32_t i = 0; i < process->keys.count; i++) {
        struct keys_file *file = &process->keys.files[i];

        if (keys_is_dirty(file) && strcmp(file->key, key) == 0)
            return file;
    }
    return NULL;
}

/* Numbers of files, so that two names are not taken for one file (FNV-1a). */
uint64_t
keys_inode(const char *key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    return hash | 1;
}

/* The version is the time of the last change, in nanoseconds: it differs where anything has
 * changed. It is counted from 2001 on, as some archives know no time before 1980. */
void
keys_stat_of(mode_t mode, const char *key, uint64_t size, uint64_t version, struct stat *out)
{
    struct timespec time = {.tv_sec = TIME_BEGIN_S + (time_t)(version / 1000000000),
                            .tv_nsec = (long)(version % 1000000000)};

    *out = (struct stat){.st_dev = KEYS_ROOT,
                         .st_ino = keys_inode(key),
                         .st_mode = mode | S_IRUSR | S_IWUSR,
                         .st_nlink = 1,
                         .st_size = (off_t)size,
                         .st_atim = time,
                         .st_mtim = time,
                         .st_ctim = time};
}

/* ---------------------------------------------------------------------------- steps */

enum faaslet_verdict
keys_done(struct faaslet_call *call, int err)
{
    return err == -EINPROGRESS ? FAASLET_CALL_PENDING : wasi_done(call, err);
}

int
keys_ask(struct faaslet_call *call, enum state_kind kind, const char *key,
         struct state_result *result)
{
    const struct state_request request = {
        .kind = kind, .key = key, .version = UINT64_MAX, .owner = wasi_process(call)->call};

    return state_ask(call, &request, result);
}

/* What could not be saved is still to be, and what another thread has changed meanwhile. */
int
keys_save(struct faaslet_call *call, struct keys_file *file)
{
    const struct state_request request = {.kind = STATE_SET,
                                          .key = file->key,
                                          .bytes = file->bytes.bytes,
                                          .count = file->bytes.count,
                                          .version = UINT64_MAX,
                                          .owner = wasi_process(call)->call};
    struct state_result result = {0};
    int err;

    if (call->scratch[SCRATCH_OP] == 0) {
        if (!keys_is_dirty(file))
            return 0;
        call->scratch[SCRATCH_CHANGES] = file->changes;
    }
    err = state_ask(call, &request, &result);
    if (err == 0 && file->kind != KEYS_FREE) {
        if (file->saved < call->scratch[SCRATCH_CHANGES])
            file->saved = call->scratch[SCRATCH_CHANGES];
        file->version = result.version;
    }
    state_result_fini(&result);
    return err;
}

int
keys_save_key(struct faaslet_call *call, const char *key)
{
    struct hostcall_keys *keys = &wasi_process(call)->keys;
    struct keys_file *file = keys_unsaved(wasi_process(call), key);

    if (call->scratch[SCRATCH_OP] != 0) /* another thread may have saved it, or closed it */
        file = &keys->files[call->scratch[SCRATCH_FILE] % keys->count];
    if (file == NULL)
        return 0;
    call->scratch[SCRATCH_FILE] = (uint64_t)(file - keys->files);
    return keys_save(call, file);
}

int
keys_save_all(struct faaslet_call *call)
{
    struct hostcall_keys *keys = &wasi_process(call)->keys;

    for (uint32_t i = 0; i < keys->count; i++) {
        int err = keys_is_dirty(&keys->files[i]) ? keys_save(call, &keys->files[i]) : 0;

        if (err == -EINPROGRESS)
            return err;
        keys->files[i].saved = keys->files[i].changes; /* nobody is told */
    }
    return 0;
}

int
hostcall_process_leave(struct hostcall_process *process)
{
    uint64_t scratch[FAASLET_SCRATCH_COUNT] = {process->keys.leaving};
    struct faaslet_wait wait;
    struct faaslet_call call = {.process = process, .scratch = scratch, .wait = &wait};
    int err = keys_save_all(&call);

    process->keys.leaving = scratch[0];
    return err;
}

static size_t
find_made(const struct buffer *made, const char *key)
{
    size_t at = 0;

    while (at < made->count && strcmp((const char *)made->bytes + at, key) != 0)
        at += strlen((const char *)made->bytes + at) + 1;
    return at;
}

/* Whether there are keys beneath, or it was made in this call. */
int
keys_is_folder(struct faaslet_call *call, const char *key, bool *is)
{
    const struct buffer *made = &wasi_process(call)->keys.made;
    char prefix[STATE_KEY_BYTES_MAX + 2];
    const struct state_request request = {
        .kind = STATE_LIST, .key = prefix, .count = 1, .owner = wasi_process(call)->call};
    struct state_result result = {0};
    size_t count = strlen(key);
    int err = 0;

    *is = count == 0;
    if (*is)
        return 0;
    (void)memcpy(prefix, key, count);
    (void)memcpy(prefix + count, "/", 2);
    if (count < STATE_KEY_BYTES_MAX)
        err = state_ask(call, &request, &result);
    if (err == 0)
        *is = result.item_count > 0 || find_made(made, key) < made->count;
    state_result_fini(&result);
    return err;
}

/* ---------------------------------------------------------------------- directories */

/* Steps: whether it is a directory; whether it is a value. */
static int
look_up(struct faaslet_call *call, const char *key, bool *is_folder, bool *is_value)
{
    struct state_result result = {0};
    int err = 0;

    if (call->scratch[1] == 0) {
        err = keys_is_folder(call, key, is_folder);
        if (err != 0)
            return err;
        call->scratch[2] = *is_folder;
        call->scratch[1] = 1;
    }
    *is_folder = call->scratch[2] != 0;
    *is_value = keys_unsaved(wasi_process(call), key) != NULL;
    if (!*is_folder && !*is_value) {
        err = keys_ask(call, STATE_STAT, key, &result);
        *is_value = err == 0;
        state_result_fini(&result);
    }
    return err == -ENOENT ? 0 : err;
}

int
keys_make_directory(struct faaslet_call *call, const struct files_entry *directory,
                    const char *path)
{
    struct buffer *made = &wasi_process(call)->keys.made;
    char key[STATE_KEY_BYTES_MAX + 1];
    bool is_folder, is_value;
    int err = keys_resolve(wasi_process(call), directory, path, key, &is_folder);

    if (err == 0)
        err = look_up(call, key, &is_folder, &is_value);
    if (err != 0)
        return err;
    if (is_folder || is_value)
        return -EEXIST;
    if (made->count + strlen(key) + 1 > MADE_BYTES_MAX)
        return -ENOSPC;
    buffer_append(made, key, strlen(key) + 1);
    err = made->err;
    made->err = 0;
    return err;
}

static void
unmake(struct buffer *made, const char *key)
{
    size_t at = find_made(made, key), bytes = strlen(key) + 1;

    if (at == made->count)
        return;
    (void)memmove(made->bytes + at, made->bytes + at + bytes, made->count - at - bytes);
    made->count -= bytes;
}

/* One that holds nothing has gone already, with its last key. */
int
keys_remove_directory(struct faaslet_call *call, const struct files_entry *directory,
                      const char *path)
{
    struct buffer *made = &wasi_process(call)->keys.made;
    char key[STATE_KEY_BYTES_MAX + 1];
    bool is_folder, is_value;
    int err = keys_resolve(wasi_process(call), directory, path, key, &is_folder);

    if (err == 0 && key[0] == '\0')
        err = -EBUSY;
    if (err != 0)
        return err;
    unmake(made, key);
    err = look_up(call, key, &is_folder, &is_value);
    if (err == 0 && is_folder)
        err = -ENOTEMPTY;
    return err == 0 && is_value ? -ENOTDIR : err;
}

/* ------------------------------------------------------------------ freeze and thaw */

struct frozen_file {
    uint64_t kind, changes, saved, is_gone, is_whole, next, inverse_version;
    uint64_t key_bytes, after_bytes, bytes, taken;
};

static void
freeze_string(const char *text, size_t count, struct buffer *out)
{
    const struct buffer bytes = {.bytes = (uint8_t *)(uintptr_t)text, .count = count};

    files_text_freeze(&bytes, out);
}

void
keys_freeze(const struct hostcall_keys *keys, struct buffer *out)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct keys_file *file = &keys->files[i];
        const struct frozen_file frozen = {.kind = file->kind,
                                           .changes = file->changes,
                                           .saved = file->saved,
                                           .is_gone = file->is_gone,
                                           .is_whole = file->is_whole,
                                           .next = file->next,
                                           .inverse_version = ~file->version,
                                           .key_bytes = strlen(file->key),
                                           .after_bytes = strlen(file->after),
                                           .bytes = file->bytes.count,
                                           .taken = file->taken};

        buffer_append(out, &frozen, sizeof(frozen));
        freeze_string(file->key, frozen.key_bytes, out);
        freeze_string(file->after, frozen.after_bytes, out);
        files_text_freeze(&file->bytes, out);
    }
    files_text_freeze(&keys->made, out);
}

/* Text of so many bytes, without a NUL. */
static int
thaw_string(struct hostcall_reading *reading, uint64_t count, size_t max, char *to)
{
    const uint8_t *text = count <= max ? hostcall_take_text(reading, count) : NULL;
    struct buffer bytes = {0};
    int err = text == NULL ? -EINVAL : files_text_thaw(text, count, &bytes);

    if (err == 0 && count > 0)
        (void)memcpy(to, bytes.bytes, count);
    buffer_fini(&bytes);
    return err == 0 && strlen(to) != count ? -EINVAL : err;
}

static bool
is_frozen_valid(const struct frozen_file *frozen, uint64_t room)
{
    return frozen->kind < KEYS_KIND_COUNT && frozen->bytes <= room &&
           frozen->taken <= frozen->bytes && frozen->saved <= frozen->changes &&
           (frozen->changes == 0 || frozen->kind == KEYS_VALUE) &&
           (frozen->bytes == 0 || frozen->kind != KEYS_FREE) &&
           (frozen->key_bytes > 0 || frozen->kind == KEYS_FREE || frozen->kind == KEYS_FOLDER ||
            frozen->kind == KEYS_TALK);
}

/* Names end where the next begins. */
static bool
is_folder_valid(const struct keys_file *file)
{
    size_t count = strlen(file->key);

    return file->kind != KEYS_FOLDER ||
           ((file->bytes.count == 0 || file->bytes.bytes[file->bytes.count - 1] == 0) &&
            (count == 0 || file->key[count - 1] == '/'));
}

static int
file_thaw(struct hostcall_reading *reading, uint64_t *room, struct keys_file *file)
{
    struct frozen_file frozen;
    const uint8_t *text;
    int err;

    if (!hostcall_take(reading, &frozen, sizeof(frozen)) || !is_frozen_valid(&frozen, *room))
        return -EINVAL;
    file->kind = (uint8_t)frozen.kind;
    file->changes = frozen.changes;
    file->saved = frozen.saved;
    file->is_gone = frozen.is_gone != 0;
    file->is_whole = frozen.is_whole != 0;
    file->next = frozen.next;
    file->version = ~frozen.inverse_version;
    file->taken = frozen.taken;
    err = thaw_string(reading, frozen.key_bytes, sizeof(file->key) - 1, file->key);
    if (err == 0)
        err = thaw_string(reading, frozen.after_bytes, sizeof(file->after) - 1, file->after);
    if (err != 0)
        return err;
    text = hostcall_take_text(reading, frozen.bytes);
    err = text == NULL ? -EINVAL : files_text_thaw(text, frozen.bytes, &file->bytes);
    *room -= frozen.bytes;
    return err == 0 && !is_folder_valid(file) ? -EINVAL : err;
}

int
keys_thaw(struct hostcall_reading *reading, uint64_t count, uint64_t made_bytes,
          struct hostcall_keys *keys)
{
    uint64_t room = 2 * (uint64_t)KEYS_BYTES_MAX; /* answers may go beyond */
    const uint8_t *text;
    int err = 0;

    if (count > FILES_DESCRIPTORS_MAX || made_bytes > MADE_BYTES_MAX)
        return -EINVAL;
    if (count > 0) {
        keys->files = calloc(count, sizeof(*keys->files));
        if (keys->files == NULL)
            return -ENOMEM;
        keys->count = (uint32_t)count;
    }
    for (uint32_t i = 0; i < count && err == 0; i++)
        err = file_thaw(reading, &room, &keys->files[i]);
    text = err == 0 ? hostcall_take_text(reading, made_bytes) : NULL;
    if (text == NULL)
        return err != 0 ? err : -EINVAL;
    err = files_text_thaw(text, made_bytes, &keys->made);
    if (err == 0 && made_bytes > 0 && keys->made.bytes[made_bytes - 1] != 0)
        err = -EINVAL;
    return err;
}
