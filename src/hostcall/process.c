/* SPDX-License-Identifier: Apache-2.0
 *
 * The host-side record of a guest process.
 */
#include <errno.h>
#include <stdlib.h>

#include "hostcall/hostcall_internal.h"

#define STRINGS_BYTES_MAX (16u << 20) /* arguments, or environment */
#define STRINGS_COUNT_MAX (1u << 20)
#define PROCESS_MAGIC     0x31524c50u /* "PLR1" */

struct frozen_process {
    uint64_t magic, arg_count, arg_bytes, env_count, env_bytes;
    uint64_t starts, output_max, output_bytes;
};

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

static int
adopt(struct files_table *files, int fd, struct diag *diag, const char *what, size_t index)
{
    uint32_t number;
    int err = files_table_adopt(files, fd, &number);

    if (err != 0)
        return diag_set(diag, err, "%s %zu is descriptor %d: %s", what, index, fd, strerror(-err));
    wasi_rights_adopted(files_table_get(files, number));
    return 0;
}

static int
open_stdio(struct files_table *files, const int stdio[3], struct diag *diag)
{
    int err = 0;

    for (size_t i = 0; i < 3 && err == 0; i++)
        err = stdio[i] < 0 ? files_table_skip(files)
                           : adopt(files, stdio[i], diag, "standard stream", i);
    return err;
}

static int
open_directories(struct files_table *files, const struct hostcall_config *config, struct diag *diag)
{
    struct files_entry *entry;
    int err;

    for (size_t i = 0; i < config->directory_count; i++) {
        const struct hostcall_directory *directory = &config->directories[i];

        err = files_table_add_root(files, directory->host_path, directory->guest_path,
                                   directory->is_read_only, diag);
        if (err != 0)
            return err;
        entry = files_table_get(files, (uint32_t)(3 + i));
        wasi_rights_adopted(entry);
    }
    return 0;
}

static int
open_files(struct files_table *files, const struct hostcall_config *config, struct diag *diag)
{
    int err = open_stdio(files, config->stdio, diag);

    if (err == 0)
        err = open_directories(files, config, diag);
    for (size_t i = 0; i < config->socket_count && err == 0; i++)
        err = adopt(files, config->sockets[i], diag, "socket", i);
    for (uint32_t i = 0; i < 3; i++)
        files_table_unskip(files, i);
    return err;
}

int
hostcall_process_create(const struct hostcall_config *config, struct hostcall_process **out,
                        struct diag *diag)
{
    struct hostcall_process *process = calloc(1, sizeof(*process));
    int err;

    if (process == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a process record");
    process->output_max = config->output_max;
    err = strings_copy(config->args, config->arg_count, &process->args);
    if (err == 0)
        err = strings_copy(config->env, config->env_count, &process->env);
    if (err != 0)
        (void)diag_set(diag, err, "arguments and environment: %s (at most %u bytes each)",
                       strerror(-err), STRINGS_BYTES_MAX);
    else
        err = open_files(&process->files, config, diag);
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
    buffer_fini(&process->args.bytes);
    buffer_fini(&process->env.bytes);
    free(process);
}

/* --------------------------------------------------------------- freeze and thaw */

static int
process_freeze(void *object, struct buffer *out)
{
    const struct hostcall_process *process = object;
    struct frozen_process header = {
        PROCESS_MAGIC,       process->args.count,      process->args.bytes.count,
        process->env.count,  process->env.bytes.count, process->starts,
        process->output_max, process->output_bytes};

    buffer_append(out, &header, sizeof(header));
    files_text_freeze(&process->args.bytes, out);
    files_text_freeze(&process->env.bytes, out);
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

static int
process_read(const uint8_t *bytes, size_t count, struct hostcall_process *process)
{
    struct frozen_process header;
    size_t arg_room, env_room, used;
    int err;

    if (count < sizeof(header))
        return -EINVAL;
    (void)memcpy(&header, bytes, sizeof(header));
    bytes += sizeof(header);
    count -= sizeof(header);
    if (header.magic != PROCESS_MAGIC || header.arg_bytes > 2 * STRINGS_BYTES_MAX ||
        header.env_bytes > 2 * STRINGS_BYTES_MAX)
        return -EINVAL;
    arg_room = ROUND_UP(header.arg_bytes, sizeof(uint64_t));
    env_room = ROUND_UP(header.env_bytes, sizeof(uint64_t));
    if (arg_room + env_room > count)
        return -EINVAL;
    process->starts = header.starts;
    process->output_max = header.output_max;
    process->output_bytes = header.output_bytes;
    err = strings_thaw(bytes, header.arg_bytes, header.arg_count, &process->args);
    if (err == 0)
        err = strings_thaw(bytes + arg_room, header.env_bytes, header.env_count, &process->env);
    if (err != 0)
        return err;
    bytes += arg_room + env_room;
    count -= arg_room + env_room;
    err = files_table_thaw(bytes, count, &process->files, &used);
    return err == 0 && used != count ? -EINVAL : err;
}

static int
process_thaw(const uint8_t *bytes, size_t count, void **out)
{
    struct hostcall_process *process = calloc(1, sizeof(*process));
    int err;

    if (process == NULL)
        return -ENOMEM;
    err = process_read(bytes, count, process);
    if (err != 0) {
        hostcall_process_destroy(process);
        return err;
    }
    *out = process;
    return 0;
}

static int
take_strings(const struct hostcall_strings *from, struct hostcall_strings *to)
{
    to->bytes.count = 0;
    buffer_append(&to->bytes, from->bytes.bytes, from->bytes.count);
    to->count = from->count;
    return to->bytes.err;
}

/* Arguments, environment and standard streams are this start's; what else is open
 * was opened before the snapshot and stays. */
static int
take_fresh(const struct hostcall_process *fresh, struct hostcall_process *process)
{
    int err = take_strings(&fresh->args, &process->args);

    if (err == 0)
        err = take_strings(&fresh->env, &process->env);
    for (uint32_t i = 0; i < 3 && err == 0; i++) {
        const struct files_entry *entry = files_table_get(&fresh->files, i);

        err = files_table_adopt_at(&process->files, i, entry != NULL ? entry->fd : -1);
        if (err == 0 && entry != NULL)
            wasi_rights_adopted(files_table_get(&process->files, i));
    }
    process->output_max = fresh->output_max;
    process->output_bytes = 0;
    process->starts++;
    return err;
}

static int
process_restart(const uint8_t *bytes, size_t count, const void *fresh, void **out)
{
    void *process;
    int err = process_thaw(bytes, count, &process);

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
};
