/* SPDX-License-Identifier: Apache-2.0
 *
 * Names beneath /state: removing and renaming them, and what a directory has (keys.c).
 */
#include <errno.h>
#include <stdio.h>

#include "hostcall/hostcall_internal.h"

#define WINDOW_MAX (4u << 20)         /* bytes of names that are kept of one directory */
#define PAGE_BYTES (256u << 10)       /* that one list of keys may have */
#define LAST       "\xf4\x8f\xbf\xbf" /* U+10FFFF: no name begins so */

/* ------------------------------------------------------------------------- removing */

static void
forget_unsaved(const struct hostcall_process *process, const char *key, bool *had)
{
    struct keys_file *file;

    *had = false;
    while ((file = keys_unsaved(process, key)) != NULL)
        file->is_gone = *had = true;
}

int
keys_unlink(struct faaslet_call *call, const struct files_entry *directory, const char *path)
{
    char key[STATE_KEY_BYTES_MAX + 1];
    struct state_result result = {0};
    bool is_folder, had = false;
    int err = keys_resolve(wasi_process(call), directory, path, key, &is_folder);

    if (err != 0 || is_folder)
        return err != 0 ? err : -EISDIR;
    if (call->scratch[1] == 0) {
        err = keys_ask(call, STATE_REMOVE, key, &result);
        state_result_fini(&result);
        if (err == 0 || err == -ENOENT)
            forget_unsaved(wasi_process(call), key, &had);
        if (err != -ENOENT || had)
            return err == -ENOENT ? 0 : err;
        call->scratch[1] = 1;
    }
    err = keys_is_folder(call, key, &is_folder);
    if (err != 0)
        return err;
    return is_folder ? -EISDIR : -ENOENT;
}

/* ------------------------------------------------------------------------- renaming */

enum { RENAME_SAVE, RENAME_GET, RENAME_SET, RENAME_REMOVE, RENAME_DONE, RENAME_NONE };

struct renaming {
    struct faaslet_call *call;
    char from[STATE_KEY_BYTES_MAX + 1], to[STATE_KEY_BYTES_MAX + 1];
};

/* Files that are open go along; what was open by the new name is of none. */
static void
take_names(const struct hostcall_process *process, const struct renaming *renaming)
{
    for (uint32_t i = 0; i < process->keys.count; i++) {
        struct keys_file *file = &process->keys.files[i];

        if (file->kind == KEYS_VALUE && strcmp(file->key, renaming->to) == 0)
            file->is_gone = true;
        else if (file->kind == KEYS_VALUE && strcmp(file->key, renaming->from) == 0)
            (void)memcpy(file->key, renaming->to, sizeof(renaming->to));
    }
}

/* It is read whole and set under the new name: two steps that are one where nobody else
 * writes the old name. */
static int
copy(struct renaming *renaming)
{
    struct faaslet_call *call = renaming->call;
    struct hostcall_process *process = wasi_process(call);
    struct state_request request = {.key = renaming->from, .owner = process->call};
    struct state_result result = {0}, set = {0};
    int err;

    if (call->scratch[1] == RENAME_GET) {
        request.kind = STATE_GET;
        request.count = KEYS_BYTES_MAX;
        err = state_ask(call, &request, &result);
        if (err == 0 && result.size > result.count)
            err = -EXDEV; /* whoever moves it copies it, then */
        if (err == 0) {
            call->scratch[1] = RENAME_SET;
            request.kind = STATE_SET;
            request.key = renaming->to;
            request.bytes = result.bytes;
            request.count = result.count;
            err = state_ask(call, &request, &set);
        }
        state_result_fini(&result);
    } else {
        request.kind = STATE_SET;
        err = state_ask(call, &request, &set);
    }
    state_result_fini(&set);
    if (err == 0)
        take_names(process, renaming);
    if (err == -ENOENT) { /* is it a directory? */
        call->scratch[1] = RENAME_NONE - 1;
        return 0;
    }
    return err == -EISDIR ? -EXDEV : err; /* a log */
}

static int
rename_step(struct renaming *renaming)
{
    struct faaslet_call *call = renaming->call;
    struct state_result result = {0};
    bool is_folder;
    int err = 0;

    switch (call->scratch[1]) {
    case RENAME_SAVE:
        err = keys_save_key(call, renaming->from);
        break;
    case RENAME_GET:
    case RENAME_SET:
        err = copy(renaming);
        break;
    case RENAME_REMOVE:
        err = keys_ask(call, STATE_REMOVE, renaming->from, &result);
        state_result_fini(&result);
        err = err == -ENOENT ? 0 : err;
        break;
    default:
        err = keys_is_folder(call, renaming->from, &is_folder);
        if (err == 0)
            return is_folder ? -EXDEV : -ENOENT;
        break;
    }
    if (err == 0)
        call->scratch[1]++;
    return err;
}

int
keys_rename(struct faaslet_call *call, const struct keys_names *names)
{
    const struct hostcall_process *process = wasi_process(call);
    struct renaming renaming = {.call = call};
    bool is_folder = false;
    int err = keys_is(names->old_directory) && keys_is(names->new_directory) ? 0 : -EXDEV;

    if (err == 0)
        err =
            keys_resolve(process, names->old_directory, names->old_path, renaming.from, &is_folder);
    if (err == 0 && is_folder)
        err = -EXDEV;
    if (err == 0)
        err = keys_resolve(process, names->new_directory, names->new_path, renaming.to, &is_folder);
    if (err == 0 && is_folder)
        err = -EISDIR;
    if (err == 0 && strcmp(renaming.from, renaming.to) == 0)
        return 0;
    while (err == 0 && call->scratch[1] != RENAME_DONE)
        err = rename_step(&renaming);
    return err;
}

/* -------------------------------------------------------------------------- listing */

/* "." and ".." have the numbers 0 and 1; the others are numbered as keys are ordered. A window of
 * them is kept, from file->next on. */

static void
window_clear(struct keys_file *file)
{
    file->bytes.count = 0;
    file->next = 0;
    file->is_whole = false;
    file->after[0] = '\0';
}

static const char *
name_at(const struct keys_file *file, size_t at)
{
    return (const char *)file->bytes.bytes + at;
}

/* The names before this one are of no use any more. */
static void
window_move(struct keys_file *file, uint64_t number)
{
    size_t at = 0;

    while (file->next < number && at < file->bytes.count) {
        at += strlen(name_at(file, at)) + 1;
        file->next++;
    }
    if (at > 0)
        (void)memmove(file->bytes.bytes, file->bytes.bytes + at, file->bytes.count - at);
    file->bytes.count -= at;
    if (file->bytes.capacity > 2 * file->bytes.count + PAGE_BYTES)
        buffer_trim(&file->bytes);
}

/* A directory is named once, and what is in it is skipped. */
static void
window_add(struct keys_file *file, const char *key)
{
    const char *name = key + strlen(file->key);
    size_t bytes = strcspn(name, "/"), prefix = (size_t)(name - key) + bytes;
    bool is_folder = name[bytes] == '/';

    (void)memcpy(file->after, key, strlen(key) + 1);
    if (is_folder && prefix + sizeof("/" LAST) - 1 <= STATE_KEY_BYTES_MAX)
        (void)memcpy(file->after + prefix, "/" LAST, sizeof("/" LAST));
    if (bytes == 0)
        return; /* "a//b" is the name of no file */
    buffer_append(&file->bytes, is_folder ? "d" : "f", 1);
    buffer_append(&file->bytes, name, bytes);
    buffer_append(&file->bytes, "", 1);
}

static bool
is_same_folder(const struct keys_file *file, const char *key)
{
    size_t bytes = strcspn(key + strlen(file->key), "/") + strlen(file->key);

    return key[bytes] == '/' && strncmp(key, file->after, bytes + 1) == 0;
}

static int
bring_names(struct faaslet_call *call, struct keys_file *file)
{
    const struct state_request request = {.kind = STATE_LIST,
                                          .key = file->key,
                                          .bytes = file->after,
                                          .owner = wasi_process(call)->call};
    struct state_result result = {0};
    size_t at = 0;
    int err = state_ask(call, &request, &result);

    for (size_t i = 0; err == 0 && i < result.item_count; i++) {
        const char *key = (const char *)result.bytes + at;

        if (!is_same_folder(file, key))
            window_add(file, key);
        else if (strcmp(key, file->after) > 0)
            (void)memcpy(file->after, key, strlen(key) + 1);
        at += strlen(key) + 1;
    }
    if (err == 0) {
        file->is_whole = result.item_count == 0;
        err = file->bytes.err;
        file->bytes.err = 0;
    }
    state_result_fini(&result);
    return err;
}

static uint64_t
names_in(const struct keys_file *file, uint64_t *bytes)
{
    uint64_t count = 0;

    *bytes = 0;
    for (size_t at = 0; at < file->bytes.count; at += strlen(name_at(file, at)) + 1) {
        *bytes += strlen(name_at(file, at)) - 1 + sizeof(struct wasi_dirent);
        count++;
    }
    return count;
}

/* Until there are as many names from the cookie on as fit, or all. */
int
keys_list(struct faaslet_call *call, const struct files_entry *entry, uint64_t cookie,
          uint32_t bytes)
{
    struct keys_file *file = keys_file_of(wasi_process(call), entry);
    uint64_t number = cookie > 2 ? cookie - 2 : 0, count, used;
    int err = 0;

    if (file->kind != KEYS_FOLDER)
        return -ENOTDIR;
    if (call->scratch[0] == 0 && (number < file->next || cookie == 0))
        window_clear(file); /* from the start; names may have come and gone */
    for (;;) {
        window_move(file, number);
        count = names_in(file, &used);
        if (file->is_whole || (file->next + count >= number && used >= bytes))
            return 0;
        if (file->bytes.count > WINDOW_MAX || keys_room(wasi_process(call)) < PAGE_BYTES)
            return -ENOBUFS;
        err = bring_names(call, file);
        if (err != 0)
            return err;
    }
}

void
keys_visit(const struct hostcall_process *process, const struct files_entry *entry, uint64_t cookie,
           files_visit_fn visit, void *context)
{
    const struct keys_file *file = keys_file_of(process, entry);
    char key[2 * STATE_KEY_BYTES_MAX + 4];
    struct files_item item;
    uint64_t number = file->next + 2;

    for (; cookie < 2; cookie++) {
        item = (struct files_item){.next = cookie + 1,
                                   .inode = keys_inode(file->key),
                                   .name_bytes = (uint32_t)cookie + 1,
                                   .mode = S_IFDIR,
                                   .name = ".."};
        if (!visit(context, &item))
            return;
    }
    for (size_t at = 0; at < file->bytes.count; at += strlen(name_at(file, at)) + 1) {
        const char *name = name_at(file, at) + 1;
        bool is_folder = name[-1] == 'd';

        (void)snprintf(key, sizeof(key), "%s%s%s", file->key, name, is_folder ? "/" : "");
        item = (struct files_item){.next = ++number,
                                   .inode = keys_inode(key),
                                   .name_bytes = (uint32_t)strlen(name),
                                   .mode = is_folder ? S_IFDIR : S_IFREG,
                                   .name = name};
        if (!visit(context, &item))
            return;
    }
}
