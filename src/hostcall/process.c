/* SPDX-License-Identifier: Apache-2.0
 *
 * The host-side record of a guest process.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/apart.h"
#include "base/clock.h"
#include "hostcall/hostcall_internal.h"

#define STRINGS_BYTES_MAX (16u << 20) /* arguments, or environment */
#define STRINGS_COUNT_MAX (1u << 20)
#define TEXT_BYTES_MAX    (64u << 20) /* of any text in a frozen record */
#define NAME_COUNT        3u          /* function, tenant, version */
#define LIST_FIRST        8u
#define PROCESS_MAGIC     0x38524c50u /* "PLR8" */

struct frozen_process {
    uint64_t magic, arg_count, arg_bytes, env_count, env_bytes;
    uint64_t starts, output_max, output_bytes;
    uint64_t stream_bytes[4], input_at;
    uint64_t name_bytes, call, left, chain, pointer; /* left: the deadline, inverted: a time
                                                      * could look like a host address */
    uint64_t device_calls, maps, keys, made_bytes, processors;
    uint64_t group, member, received;
};

void *
hostcall_grow(void *list, uint32_t *count, size_t bytes, int *err)
{
    uint32_t more = *count == 0 ? LIST_FIRST : *count * 2;
    char *grown = *count < FILES_DESCRIPTORS_MAX ? realloc(list, more * bytes) : NULL;

    *err = grown != NULL ? 0 : *count < FILES_DESCRIPTORS_MAX ? -ENOMEM : -EMFILE;
    if (grown == NULL)
        return list;
    (void)memset(grown + *count * bytes, 0, (more - *count) * bytes);
    *count = more;
    return grown;
}

static int
strings_copy(const char *const *from, size_t count, struct hostcall_strings *to)
{
    if (count > STRINGS_COUNT_MAX)
        return -E2BIG;
    for (size_t i = 0; i < count; i++) {
        buffer_append(&to->bytes, from[i], strlen(from[i]) + 1);
        if (to->bytes.count > STRINGS_BYTES_MAX)
            return -E2BIG;
    }
    to->count = (uint32_t)count;
    return to->bytes.err;
}

/* What changes the size of a file without a write is no way around the limit. */
static void
give_rights(const struct hostcall_process *process, uint32_t number)
{
    struct files_entry *entry = files_table_get(&process->files, number);

    wasi_rights_adopted(entry);
    if (process->output_max != 0)
        entry->rights &= ~(WASI_RIGHT(WASI_FD_ALLOCATE) | WASI_RIGHT(WASI_FD_FILESTAT_SET_SIZE));
}

static int
adopt(struct hostcall_process *process, int fd, struct diag *diag, const char *what, size_t index)
{
    uint32_t number;
    int err = files_table_adopt(&process->files, fd, &number);

    if (err != 0)
        return diag_set(diag, err, "%s %zu is descriptor %d: %s", what, index, fd, strerror(-err));
    give_rights(process, number);
    return 0;
}

static int
open_memory(struct hostcall_process *process, uint32_t number)
{
    int err = files_table_adopt_memory(&process->files, number, number, number > 0);

    if (err != 0)
        return err;
    give_rights(process, number);
    if (process->output_max == 0 || process->output_max > HOSTCALL_OUTPUT_BYTES_MAX)
        process->output_max = HOSTCALL_OUTPUT_BYTES_MAX;
    return 0;
}

static int
open_stdio(struct hostcall_process *process, const int stdio[3], struct diag *diag)
{
    int err = 0;

    for (uint32_t i = 0; i < 3 && err == 0; i++)
        if (stdio[i] == HOSTCALL_MEMORY)
            err = open_memory(process, i);
        else
            err = stdio[i] < 0 ? files_table_skip(&process->files)
                               : adopt(process, stdio[i], diag, "standard stream", i);
    return err;
}

static int
open_directories(struct files_table *files, const struct hostcall_config *config, struct diag *diag)
{
    struct files_entry *entry;
    int err;

    for (size_t i = 0; i < config->directory_count; i++) {
        const struct hostcall_directory *directory = &config->directories[i];

        err = directory->host_path != NULL
                  ? files_table_add_root(files, directory->host_path, directory->guest_path,
                                         directory->is_read_only, diag)
                  : files_table_add_root_fd(files, directory->fd, directory->guest_path,
                                            directory->is_read_only, diag);
        if (err != 0)
            return err;
        entry = files_table_get(files, (uint32_t)(3 + i));
        wasi_rights_adopted(entry);
    }
    return 0;
}

static int
open_files(struct hostcall_process *process, const struct hostcall_config *config,
           struct diag *diag)
{
    struct files_table *files = &process->files;
    int err = open_stdio(process, config->stdio, diag);

    if (err == 0)
        err = open_directories(files, config, diag);
    for (size_t i = 0; i < config->socket_count && err == 0; i++)
        err = adopt(process, config->sockets[i], diag, "socket", i);
    if (err == 0 && config->has_device)
        err = device_add(process);
    if (err == 0 && config->has_device)
        err = keys_add(process);
    for (uint32_t i = 0; i < 3; i++)
        files_table_unskip(files, i);
    files->open_max =
        config->files_max != 0 && config->has_device ? config->files_max + 2 : config->files_max;
    return err;
}

static int
take_identity(struct hostcall_process *process, const struct hostcall_config *config)
{
    const char *const names[] = {config->function != NULL ? config->function : "",
                                 config->tenant != NULL ? config->tenant : "",
                                 config->version != NULL ? config->version : ""};

    process->output_max = config->output_max;
    process->call = config->call;
    process->deadline_ns = config->deadline_ns != 0 ? config->deadline_ns : CLOCK_NEVER_NS;
    process->pointer = config->pointer;
    process->processors = config->processors <= INT32_MAX ? config->processors : INT32_MAX;
    process->chain = config->chain;
    process->group = config->group;
    process->member = config->member;
    buffer_append(&process->streams[0], config->input, config->input_bytes);
    return process->streams[0].err != 0 ? process->streams[0].err
                                        : strings_copy(names, ARRAY_COUNT(names), &process->names);
}

int
hostcall_process_create(const struct hostcall_config *config, struct hostcall_process **out,
                        struct diag *diag)
{
    struct hostcall_process *process = apart_calloc(sizeof(*process));
    int err;

    if (process == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a process record");
    err = take_identity(process, config);
    if (err == 0)
        err = strings_copy(config->args, config->arg_count, &process->args);
    if (err == 0)
        err = strings_copy(config->env, config->env_count, &process->env);
    if (err != 0)
        (void)diag_set(diag, err, "arguments and environment: %s (at most %u bytes each)",
                       strerror(-err), STRINGS_BYTES_MAX);
    else
        err = open_files(process, config, diag);
    if (err != 0) {
        (void)diag_set(diag, err, "files of the process: %s", strerror(-err));
        hostcall_process_destroy(process);
        return err;
    }
    *out = process;
    return 0;
}

void
hostcall_process_destroy(struct hostcall_process *process)
{
    if (process == NULL)
        return;
    files_table_fini(&process->files);
    device_fini(&process->device);
    keys_fini(&process->keys);
    state_maps_fini(process);
    buffer_fini(&process->args.bytes);
    buffer_fini(&process->env.bytes);
    buffer_fini(&process->names.bytes);
    for (size_t i = 0; i < ARRAY_COUNT(process->streams); i++)
        buffer_fini(&process->streams[i]);
    free(process);
}

/* The standard streams are each start's own. */
int
hostcall_process_can_move(const struct hostcall_process *process, struct diag *diag)
{
    const struct files_table *files = &process->files;

    if (process->group != NULL)
        return diag_set(diag, -ENOTSUP, "it is a member of a group, which is in this process");
    for (uint32_t i = 3; i < files->entry_count; i++) {
        const struct files_entry *entry = files_table_get(files, i);

        if (entry == NULL || entry->root >= 0 || keys_is(entry) ||
            (device_is(entry) && entry->memory < DEVICE_CALLS))
            continue;
        return diag_set(diag, -ENOTSUP,
                        "descriptor %u is open for what no other process can have (%s)", i,
                        device_is(entry)              ? "a call that it started"
                        : entry->kind == FILES_SOCKET ? "a socket"
                                                      : "a stream");
    }
    return 0;
}

/* --------------------------------------------------------------- freeze and thaw */

static void
header_of(const struct hostcall_process *process, struct frozen_process *header)
{
    const struct buffer *streams = process->streams;

    *header = (struct frozen_process){
        .magic = PROCESS_MAGIC,
        .arg_count = process->args.count,
        .arg_bytes = process->args.bytes.count,
        .env_count = process->env.count,
        .env_bytes = process->env.bytes.count,
        .starts = process->starts,
        .output_max = process->output_max,
        .output_bytes = process->output_bytes,
        .stream_bytes = {streams[0].count, streams[1].count, streams[2].count, streams[3].count},
        .input_at = process->input_at,
        .name_bytes = process->names.bytes.count,
        .call = process->call,
        .left = ~process->deadline_ns,
        .chain = process->chain != NULL ? process->chain->registered.number : 0,
        .pointer = process->pointer,
        .device_calls = process->device.count,
        .maps = process->map_count,
        .keys = process->keys.count,
        .made_bytes = process->keys.made.count,
        .processors = process->processors,
        .group = process->group != NULL ? process->group->registered.number : 0,
        .member = process->member,
        .received = process->received,
    };
}

static int
process_freeze(void *object, struct buffer *out)
{
    const struct hostcall_process *process = object;
    const struct buffer *streams = process->streams;
    struct frozen_process header;

    header_of(process, &header);
    buffer_append(out, &header, sizeof(header));
    files_text_freeze(&process->args.bytes, out);
    files_text_freeze(&process->env.bytes, out);
    for (size_t i = 0; i < ARRAY_COUNT(process->streams); i++)
        files_text_freeze(&streams[i], out);
    files_text_freeze(&process->names.bytes, out);
    device_freeze(&process->device, out);
    keys_freeze(&process->keys, out);
    state_maps_freeze(process, out);
    files_table_freeze(&process->files, out);
    return out->err;
}

/* Exactly count strings must be in the text. */
static int
strings_thaw(const uint8_t *bytes, size_t byte_count, uint64_t count, struct hostcall_strings *to)
{
    uint64_t seen = 0;
    int err = files_text_thaw(bytes, byte_count, &to->bytes);

    if (err != 0)
        return err;
    for (size_t i = 0; i < byte_count; i++)
        seen += to->bytes.bytes[i] == 0;
    if (seen != count || (byte_count != 0 && to->bytes.bytes[byte_count - 1] != 0))
        return -EINVAL;
    to->count = (uint32_t)count;
    return 0;
}

bool
hostcall_take(struct hostcall_reading *reading, void *to, size_t bytes)
{
    if (reading->count < bytes)
        return false;
    (void)memcpy(to, reading->bytes, bytes);
    reading->bytes += bytes;
    reading->count -= bytes;
    return true;
}

const uint8_t *
hostcall_take_text(struct hostcall_reading *reading, uint64_t bytes)
{
    const uint8_t *text = reading->bytes;
    uint64_t room = ROUND_UP(bytes, sizeof(uint64_t));

    if (bytes > TEXT_BYTES_MAX || room > reading->count)
        return NULL;
    reading->bytes += room;
    reading->count -= room;
    return text;
}

static int
texts_read(const struct frozen_process *header, struct hostcall_reading *reading,
           struct hostcall_process *process)
{
    const uint8_t *args = hostcall_take_text(reading, header->arg_bytes);
    const uint8_t *env = args == NULL ? NULL : hostcall_take_text(reading, header->env_bytes);
    int err = env == NULL ? -EINVAL : 0;

    if (err == 0)
        err = strings_thaw(args, header->arg_bytes, header->arg_count, &process->args);
    if (err == 0)
        err = strings_thaw(env, header->env_bytes, header->env_count, &process->env);
    for (size_t i = 0; i < ARRAY_COUNT(process->streams) && err == 0; i++) {
        const uint8_t *text = hostcall_take_text(reading, header->stream_bytes[i]);

        err = text == NULL ? -EINVAL
                           : files_text_thaw(text, header->stream_bytes[i], &process->streams[i]);
    }
    args = err == 0 ? hostcall_take_text(reading, header->name_bytes) : NULL;
    if (args == NULL)
        return err != 0 ? err : -EINVAL;
    return strings_thaw(args, header->name_bytes, NAME_COUNT, &process->names);
}

/* The same where each start has its own of them. */
static int
texts_skip(const struct frozen_process *header, struct hostcall_reading *reading)
{
    bool is_whole = hostcall_take_text(reading, header->arg_bytes) != NULL &&
                    hostcall_take_text(reading, header->env_bytes) != NULL;

    for (size_t i = 0; i < ARRAY_COUNT(header->stream_bytes) && is_whole; i++)
        is_whole = hostcall_take_text(reading, header->stream_bytes[i]) != NULL;
    return is_whole && hostcall_take_text(reading, header->name_bytes) != NULL ? 0 : -EINVAL;
}

static bool
is_known(const struct hostcall_process *process, uint32_t memory)
{
    const struct hostcall_keys *keys = &process->keys;
    uint32_t calls = process->device.count;

    if (memory >= KEYS_ROOT)
        return memory - KEYS_ROOT < keys->count &&
               keys->files[memory - KEYS_ROOT].kind != KEYS_FREE;
    if (memory >= DEVICE_CALLS)
        return (memory - DEVICE_CALLS) / DEVICE_STREAMS < calls;
    return memory <= 2 || (memory >= DEVICE_ROOT && memory <= DEVICE_DEADLINE);
}

static bool
is_memory_valid(const struct hostcall_process *process)
{
    const struct files_table *files = &process->files;

    for (uint32_t i = 0; i < files->entry_count; i++)
        if (files->entries[i].kind == FILES_MEMORY && !is_known(process, files->entries[i].memory))
            return false;
    return true;
}

/* What of the record is no text. */
static int
header_read(const struct frozen_process *header, struct hostcall_process *process)
{
    if (header->magic != PROCESS_MAGIC || header->input_at > header->stream_bytes[0] ||
        header->pointer > UINT32_MAX || header->processors > INT32_MAX ||
        header->member >= GROUP_MEMBERS_MAX || header->received > GROUP_MESSAGE_BYTES_MAX + 1)
        return -EINVAL;
    process->starts = header->starts;
    process->output_max = header->output_max;
    process->output_bytes = header->output_bytes;
    process->input_at = header->input_at;
    process->call = header->call;
    process->deadline_ns = ~header->left;
    process->pointer = (uint32_t)header->pointer;
    process->processors = (uint32_t)header->processors;
    process->chain = chain_find(header->chain);
    process->group = member_group_find(header->group);
    process->member = (uint32_t)header->member;
    process->received = (uint32_t)header->received;
    if (process->group != NULL && process->member >= group_count(process->group->group))
        return -EINVAL;
    return 0;
}

static int
process_read(const uint8_t *bytes, size_t count, const struct hostcall_process *fresh,
             struct hostcall_process *process)
{
    struct hostcall_reading reading = {bytes + sizeof(struct frozen_process),
                                       count - sizeof(struct frozen_process)};
    struct frozen_process header;
    size_t used;
    int err;

    if (count < sizeof(header))
        return -EINVAL;
    (void)memcpy(&header, bytes, sizeof(header));
    err = header_read(&header, process);
    if (err != 0)
        return err;
    err = fresh != NULL ? texts_skip(&header, &reading) : texts_read(&header, &reading, process);
    if (err == 0)
        err = device_thaw(&reading, header.device_calls, &process->device);
    if (err == 0)
        err = keys_thaw(&reading, header.keys, header.made_bytes, &process->keys);
    if (err == 0)
        err = state_maps_thaw(&reading, header.maps, process);
    if (err != 0)
        return err;
    err = files_table_thaw(reading.bytes, reading.count, fresh != NULL ? &fresh->files : NULL,
                           &process->files, &used);
    if (err == 0 && (used != reading.count || !is_memory_valid(process)))
        err = -EINVAL;
    return err;
}

static int
process_make(const uint8_t *bytes, size_t count, const struct hostcall_process *fresh, void **out)
{
    struct hostcall_process *process = apart_calloc(sizeof(*process));
    int err;

    if (process == NULL)
        return -ENOMEM;
    err = process_read(bytes, count, fresh, process);
    if (err != 0) {
        hostcall_process_destroy(process);
        return err;
    }
    *out = process;
    return 0;
}

static int
process_thaw(const uint8_t *bytes, size_t count, void **out)
{
    return process_make(bytes, count, NULL, out);
}

static int
take_strings(const struct hostcall_strings *from, struct hostcall_strings *to)
{
    to->bytes.count = 0;
    buffer_append(&to->bytes, from->bytes.bytes, from->bytes.count);
    to->count = from->count;
    return to->bytes.err;
}

static int
take_stream(const struct files_entry *entry, uint32_t number, struct hostcall_process *process)
{
    int err;

    if (entry != NULL && entry->kind == FILES_MEMORY)
        err = files_table_adopt_memory(&process->files, number, number, number > 0);
    else
        err = files_table_adopt_at(&process->files, number, entry != NULL ? entry->fd : -1);
    if (err == 0 && entry != NULL)
        give_rights(process, number);
    return err;
}

/* Input of this start, and output of nobody before. */
static int
take_memory(const struct hostcall_process *fresh, struct hostcall_process *process)
{
    for (size_t i = 0; i < ARRAY_COUNT(process->streams); i++)
        process->streams[i].count = 0;
    buffer_append(&process->streams[0], fresh->streams[0].bytes, fresh->streams[0].count);
    process->input_at = 0;
    return process->streams[0].err;
}

/* Arguments, environment and standard streams are this start's; what else is open
 * was opened before the snapshot and stays. */
static int
take_fresh(const struct hostcall_process *fresh, struct hostcall_process *process)
{
    int err = take_strings(&fresh->args, &process->args);

    process->output_max = fresh->output_max;
    process->call = fresh->call;
    process->deadline_ns = fresh->deadline_ns;
    process->pointer = fresh->pointer;
    process->processors = fresh->processors;
    process->chain = fresh->chain;
    process->group = fresh->group;
    process->member = fresh->member;
    process->received = 0;
    if (err == 0)
        err = take_strings(&fresh->env, &process->env);
    if (err == 0)
        err = take_strings(&fresh->names, &process->names);
    if (err == 0)
        err = take_memory(fresh, process);
    for (uint32_t i = 0; i < 3 && err == 0; i++)
        err = take_stream(files_table_get(&fresh->files, i), i, process);
    process->files.open_max = fresh->files.open_max;
    process->output_bytes = 0;
    process->starts++;
    return err;
}

static int
process_restart(const uint8_t *bytes, size_t count, const void *fresh, void **out)
{
    void *process;
    int err = process_make(bytes, count, fresh, &process);

    if (err != 0)
        return err;
    if (fresh != NULL)
        err = take_fresh(fresh, process);
    if (err != 0) {
        hostcall_process_destroy(process);
        return err;
    }
    *out = process;
    return 0;
}

static void
process_destroy(void *object)
{
    hostcall_process_destroy(object);
}

const struct faaslet_process_ops hostcall_process_ops = {
    .freeze = process_freeze,
    .thaw = process_thaw,
    .destroy = process_destroy,
    .restart = process_restart,
    .away = member_away,
    .settle = member_settle,
};
