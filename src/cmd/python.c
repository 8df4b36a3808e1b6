/* SPDX-License-Identifier: Apache-2.0
 *
 * A Python file as a function: the text for CPython's -c, which has in it the module weft
 * (guest/python/weft.py) and the user's code, both as string literals of ASCII alone, so
 * that it is the same whatever the interpreter takes its arguments for.
 */
#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "cmd/cmd_internal.h"
#include "cmd/python_module.h" /* generated: static const char python_module[] */

/* The code point of a character that is valid. */
static uint32_t
decode(const uint8_t *bytes, size_t count)
{
    static const uint8_t first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = bytes[0] & first[count];

    for (size_t i = 1; i < count; i++)
        point = point << 6 | (bytes[i] & 0x3f);
    return point;
}

static void
append_character(struct buffer *out, uint32_t point)
{
    char plain = (char)point;

    if (point == '\n')
        buffer_append(out, "\\n", 2);
    else if (point == '"' || point == '\\')
        buffer_append_format(out, "\\%c", (int)point);
    else if (point >= ' ' && point < 0x7f)
        buffer_append(out, &plain, 1);
    else if (point <= 0xffff)
        buffer_append_format(out, "\\u%04x", point);
    else
        buffer_append_format(out, "\\U%08x", point);
}

static void
append_literal(struct buffer *out, const void *text, size_t count)
{
    const uint8_t *at = text, *end = at + count;

    buffer_append(out, "\"", 1);
    while (at < end) {
        size_t bytes = utf8_character(at, (size_t)(end - at));

        append_character(out, decode(at, bytes));
        at += bytes;
    }
    buffer_append(out, "\"", 1);
}

int
cmd_python_source(const char *path, struct buffer *out, struct diag *diag)
{
    static const char begin[] = "import sys,types\n"
                                "m=sys.modules['weft']=types.ModuleType('weft')\n"
                                "m.__file__='weft.py'\n"
                                "exec(compile(";
    static const char middle[] = ",'weft.py','exec'),m.__dict__)\nm._main(";
    const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    struct buffer source = {0};
    int err = cmd_source_read(path, &source, diag);

    if (err == 0) {
        buffer_append(out, begin, sizeof(begin) - 1);
        append_literal(out, python_module, sizeof(python_module) - 1);
        buffer_append(out, middle, sizeof(middle) - 1);
        append_literal(out, source.bytes, source.count);
        buffer_append(out, ",", 1);
        append_literal(out, name, strlen(name));
        buffer_append(out, ")\n", 2);
        err = out->err != 0 ? diag_set(diag, out->err, "no memory for %s", path)
              : out->count >= CMD_SOURCE_BYTES_MAX ? cmd_source_too_large(path, diag)
                                                   : 0;
    }
    buffer_fini(&source);
    return err;
}
