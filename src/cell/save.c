/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that are run to be frozen: until a certain host call, before it is made.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cell/cell_internal.h"

#define NAME_BYTES_MAX 64u

/* What stops as a snapshot point does by itself is not named. */
static bool
is_at_point(const struct task *task)
{
    return task->first->save_at[0] == '\0';
}

int
save_arm(const struct task *task)
{
    static const char *const modules[] = {"wasi_snapshot_preview1", "wasi_unstable", "weft"};
    size_t bytes = strcspn(task->first->save_at, ":");
    char name[NAME_BYTES_MAX + 1];

    if (is_at_point(task))
        return 0;
    if (bytes > NAME_BYTES_MAX)
        return -ENOENT;
    (void)memcpy(name, task->first->save_at, bytes);
    name[bytes] = '\0';
    for (size_t i = 0; i < ARRAY_COUNT(modules); i++)
        if (faaslet_stop_at(task->faaslet, modules[i], name) == 0)
            return 0;
    return -ENOENT;
}

bool
save_is_there(const struct task *task, const struct faaslet_outcome *outcome)
{
    const char *argument = strchr(task->first->save_at, ':');

    if (outcome->kind != FAASLET_SNAPSHOT || outcome->at_named == is_at_point(task))
        return false;
    return argument == NULL ||
           (uint32_t)faaslet_args(task->faaslet)[0] == (uint32_t)strtoul(argument + 1, NULL, 0);
}

void
save_end_there(struct cell *cell, struct task *task)
{
    struct cell_end end = {.kind = CELL_DONE, .message = "", .backtrace = ""};
    struct diag diag;

    diag_init(&diag);
    end.err = faaslet_freeze(task->faaslet, &end.frozen, &diag);
    if (end.err != 0) {
        end.kind = CELL_FAILED;
        end.message = diag_text(&diag);
        end.frozen = NULL;
    }
    task_end(cell, task, &end);
    faaslet_frozen_destroy(end.frozen);
}

void
save_end_before(struct cell *cell, struct task *task, const struct ending *ending)
{
    const char *where = is_at_point(task) ? "a snapshot point" : task->first->save_at;
    struct cell_end end = {.kind = CELL_FAILED, .err = -ENOENT, .backtrace = ""};
    struct buffer text = {0};
    struct diag diag;

    diag_init(&diag);
    if (ending->kind == FAASLET_EXIT) {
        (void)diag_set(&diag, end.err, "it ended with exit code %d before it came to %s",
                       ending->exit_code, where);
    } else if (ending->kind == FAASLET_TRAP) {
        (void)diag_set(&diag, end.err, "it trapped before it came to %s: %s", where,
                       ending->message[0] != '\0' ? ending->message : abi_trap_text(ending->trap));
        faaslet_backtrace(ending->task->faaslet, &text);
        buffer_append(&text, "", 1);
        if (text.err == 0)
            end.backtrace = (const char *)text.bytes;
    } else {
        (void)diag_set(&diag, end.err, "it returned before it came to %s", where);
    }
    end.message = diag_text(&diag);
    task_end(cell, task, &end);
    buffer_fini(&text);
}
