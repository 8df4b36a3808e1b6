/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that come with the program, and users' source files that become an argument of all
 * calls of a function.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/utf8.h"
#include "cmd/cmd_internal.h"

static int
check(const char *path, const struct buffer *source, struct diag *diag)
{
    if (!utf8_is_valid(source->bytes, source->count))
        return diag_set(diag, -EINVAL, "%s is not UTF-8: save it so", path);
    if (!utf8_is_valid(path, strlen(path)))
        return diag_set(diag, -EINVAL, "the file's name is not UTF-8: rename it");
    if (source->count > 0 && memchr(source->bytes, 0, source->count) != NULL)
        return diag_set(diag, -EINVAL, "%s has a byte of zero in it: it is no source", path);
    return 0;
}

int
cmd_source_too_large(const char *path, struct diag *diag)
{
    return diag_set(diag, -EINVAL,
                    "%s is too large (with what is added to it, at most %zu bytes): put parts of "
                    "it into files of the function and import them",
                    path, CMD_SOURCE_BYTES_MAX);
}

int
cmd_source_read(const char *path, struct buffer *source, struct diag *diag)
{
    struct diag own;
    int err;

    diag_init(&own);
    err = file_read_all(path, CMD_SOURCE_BYTES_MAX, source, &own);
    if (err == -EFBIG || (err == 0 && source->count >= CMD_SOURCE_BYTES_MAX))
        return cmd_source_too_large(path, diag);
    if (err != 0)
        return diag_set(diag, err, "%s", diag_text(&own));
    return check(path, source, diag);
}

bool
cmd_share_find(const char *name, char *out, size_t size)
{
    static const char *const places[] = {"share", "../share/weft", "../guest"};
    char program[4096];
    ssize_t count = readlink("/proc/self/exe", program, sizeof(program) - 1);

    program[count > 0 ? count : 0] = '\0';
    if (strrchr(program, '/') != NULL)
        *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        (void)snprintf(out, size, "%.3000s/%s/%s", program, places[i], name);
        if (access(out, R_OK) == 0)
            return true;
    }
    return false;
}
