/* SPDX-License-Identifier: Apache-2.0
 *
 * weft run --save and --from: a program kept at its snapshot point, and started there.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "cmd/run_internal.h"

#define FROM_BYTES_MAX (UINT64_C(4) << 30)

/* The host call at which to save: in whatever module it is. */
int
run_stop_at(const struct run_command *command, struct faaslet *faaslet, struct diag *diag)
{
    static const char *const modules[] = {"wasi_snapshot_preview1", "wasi_unstable", "weft"};

    if (command->save_at == NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(modules); i++)
        if (faaslet_stop_at(faaslet, modules[i], command->save_at) == 0)
            return 0;
    return diag_set(diag, -ENOENT, "%s does not import %s (weft inspect lists what it imports)",
                    command->path, command->save_at);
}

bool
run_is_save_point(const struct run_command *command, const struct faaslet *faaslet,
                  const struct faaslet_outcome *outcome)
{
    if (command->save == NULL || outcome->kind != FAASLET_SNAPSHOT ||
        outcome->at_named != (command->save_at != NULL))
        return false;
    return command->save_arg == NULL ||
           (uint32_t)faaslet_args(faaslet)[0] == (uint32_t)strtoul(command->save_arg, NULL, 0);
}

/* To a file beside, and then in its place. */
int
run_save_frozen(const struct run_command *command, const struct faaslet_frozen *frozen,
                struct diag *diag)
{
    struct buffer bytes = {0};
    int err = faaslet_frozen_save(frozen, &bytes, diag);

    if (err == 0)
        err = file_replace(command->save, bytes.bytes, bytes.count, diag);
    buffer_fini(&bytes);
    return err;
}

int
run_save(const struct run_command *command, struct faaslet *faaslet, struct diag *diag)
{
    struct faaslet_frozen *frozen;
    int err = faaslet_freeze(faaslet, &frozen, diag);

    if (err != 0)
        return err;
    err = run_save_frozen(command, frozen, diag);
    faaslet_frozen_destroy(frozen);
    return err;
}

int
run_load_from(const struct run_command *command, struct faaslet_image *image,
              struct faaslet_frozen **out, struct diag *diag)
{
    const struct faaslet_load load = {&image, 1, hostcall_resolve};
    struct buffer bytes = {0};
    int err = file_read_all(command->from, FROM_BYTES_MAX, &bytes, diag);

    if (err == 0)
        err = faaslet_frozen_load(bytes.bytes, bytes.count, &load, out, diag);
    buffer_fini(&bytes);
    if (err != 0)
        diag_prefix(diag, "%s", command->from);
    return err;
}

/* A new one from --from, with this call's arguments and streams. */
int
run_start_from(struct run_command *command, struct faaslet_image *image,
               const struct faaslet_config *config, struct faaslet **out, struct diag *diag)
{
    struct faaslet_config restarted = *config;
    void *process = NULL;
    struct faaslet_frozen *frozen;
    const uint8_t *record;
    size_t count;
    int err = run_load_from(command, image, &frozen, diag);

    if (err != 0)
        return err;
    record = faaslet_frozen_process(frozen, &count);
    if (record != NULL)
        err = config->ops->restart(record, count, command->process, &process);
    command->restarted = process;
    restarted.process = process;
    restarted.process_is_given = true;
    if (err == 0)
        err = faaslet_thaw(frozen, &restarted, out, diag);
    faaslet_frozen_destroy(frozen);
    return err == 0 ? 0 : diag_set(diag, err, "cannot start from %s", command->from);
}
