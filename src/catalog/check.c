/* SPDX-License-Identifier: Apache-2.0
 *
 * What names, texts, paths and references are. What is refused is told by its place and
 * its bytes' values, never repeated: it may be anything.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"

#include "catalog/catalog_internal.h"

#define REFERENCE_BYTES_MAX (3 * CATALOG_NAME_BYTES_MAX + 2)

enum {
    LETTER = 1,
    DIGIT = 2,
    LINE = 4,
    DASH = 8,
};

static const uint8_t classes[256] = {
    ['a' ... 'z'] = LETTER, ['A' ... 'Z'] = LETTER, ['0' ... '9'] = DIGIT,
    ['_'] = LINE,           ['-'] = DASH,
};

static bool
is_digit(char c)
{
    return classes[(unsigned char)c] == DIGIT;
}

/* Where the text is no name: its length if it is one. */
static size_t
name_end(const char *name, size_t count, unsigned first, unsigned later)
{
    for (size_t i = 0; i < count; i++)
        if ((classes[(unsigned char)name[i]] & (i == 0 ? first : later)) == 0)
            return i;
    return count;
}

static int
check_name(const char *what, const char *name, size_t count, bool is_variable, struct diag *diag)
{
    const char *rule = is_variable ? "a letter or _, then letters, digits and _"
                                   : "a letter, then letters, digits, - and _";
    size_t end;

    if (count == 0)
        return diag_set(diag, -EINVAL, "%s: empty: %s is a name", what, rule);
    if (count > CATALOG_NAME_BYTES_MAX)
        return diag_set(diag, -EINVAL, "%s: longer than %u bytes", what, CATALOG_NAME_BYTES_MAX);
    end = is_variable ? name_end(name, count, LETTER | LINE, LETTER | LINE | DIGIT)
                      : name_end(name, count, LETTER, LETTER | LINE | DIGIT | DASH);
    if (end < count)
        return diag_set(diag, -EINVAL, "%s: byte %zu is 0x%02x: %s is a name", what, end + 1,
                        (unsigned char)name[end], rule);
    return 0;
}

int
catalog_check_name(const char *what, const char *name, struct diag *diag)
{
    if (name == NULL)
        return diag_set(diag, -EINVAL, "%s: missing", what);
    return check_name(what, name, strnlen(name, CATALOG_NAME_BYTES_MAX + 1), false, diag);
}

int
catalog_check_variable(const char *what, const char *name, struct diag *diag)
{
    if (name == NULL)
        return diag_set(diag, -EINVAL, "%s: missing", what);
    return check_name(what, name, strnlen(name, CATALOG_NAME_BYTES_MAX + 1), true, diag);
}

int
catalog_check_value(const char *what, const char *text, size_t bytes_max, struct diag *diag)
{
    size_t count = strnlen(text, bytes_max + 1);

    if (count > bytes_max)
        return diag_set(diag, -EINVAL, "%s: longer than %zu bytes", what, bytes_max);
    for (size_t at = 0, bytes; at < count; at += bytes) {
        bytes = utf8_character((const uint8_t *)text + at, count - at);
        if (bytes == 0)
            return diag_set(diag, -EINVAL, "%s: byte %zu: not UTF-8", what, at + 1);
    }
    return 0;
}

int
catalog_check_text(const char *what, const char *text, size_t bytes_max, struct diag *diag)
{
    int err = catalog_check_value(what, text, bytes_max, diag);

    for (size_t i = 0; err == 0 && text[i] != '\0'; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            err = diag_set(diag, -EINVAL, "%s: byte %zu is a control character", what, i + 1);
    return err;
}

int
catalog_check_number(const char *what, uint64_t number, uint64_t max, struct diag *diag)
{
    if (number <= max)
        return 0;
    return diag_set(diag, -EINVAL, "%s: %llu: at most %llu", what, (unsigned long long)number,
                    (unsigned long long)max);
}

int
catalog_check_method(const char *method, struct diag *diag)
{
    size_t count = strnlen(method, 17);

    if (count > 16)
        return diag_set(diag, -EINVAL, "method: longer than 16 bytes");
    for (size_t i = 0; i < count; i++)
        if (method[i] < 'A' || method[i] > 'Z')
            return diag_set(diag, -EINVAL,
                            "method: byte %zu is 0x%02x: capital letters are a "
                            "method, none is any",
                            i + 1, (unsigned char)method[i]);
    return 0;
}

/* ----------------------------------------------------------------------------- paths */

bool
catalog_path_is_normal(const char *path, size_t count)
{
    size_t start = 1;

    if (count == 0 || path[0] != '/')
        return false;
    for (size_t i = 1; i <= count; i++) {
        if (i < count && path[i] != '/')
            continue;
        if ((i == start && i < count) || (i - start == 1 && path[start] == '.') ||
            (i - start == 2 && path[start] == '.' && path[start + 1] == '.'))
            return false;
        start = i + 1;
    }
    return true;
}

int
catalog_check_path(const char *path, struct diag *diag)
{
    int err = catalog_check_text("path", path, CATALOG_PATH_BYTES_MAX, diag);
    size_t count, bad;

    if (err != 0)
        return err;
    count = strlen(path);
    if (!catalog_path_is_normal(path, count))
        return diag_set(diag, -EINVAL,
                        "path: begins with a /, and has no empty name, . or .. in it");
    bad = strcspn(path, "?#\\*");
    if (bad < count && !(path[bad] == '*' && bad == count - 1 && path[bad - 1] == '/'))
        return diag_set(diag, -EINVAL,
                        path[bad] == '*' ? "path: byte %zu: a * stands alone after the last /"
                                         : "path: byte %zu: no ?, # or \\ in a path",
                        bad + 1);
    return 0;
}

int
catalog_check_file(const char *path, struct diag *diag)
{
    int err = catalog_check_text("files", path, CATALOG_PATH_BYTES_MAX, diag);

    if (err == 0 && (!catalog_path_is_normal(path, strlen(path)) || path[strlen(path) - 1] == '/'))
        err = diag_set(diag, -EINVAL,
                       "files: %s: begins with a /, and has no empty name, . or .. in it", path);
    return err;
}

/* ------------------------------------------------------------------------- references */

static int
take_name(const char *what, const char *text, size_t count, char out[CATALOG_NAME_BYTES_MAX + 1],
          struct diag *diag)
{
    int err = check_name(what, text, count, false, diag);

    if (err != 0)
        return err;
    memcpy(out, text, count);
    out[count] = '\0';
    return 0;
}

static int
take_number(const char *text, size_t count, uint32_t *out, struct diag *diag)
{
    uint64_t number = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_digit(text[i]))
            return diag_set(diag, -EINVAL, "reference: version: byte %zu is 0x%02x, no digit",
                            i + 1, (unsigned char)text[i]);
        number = number * 10 + (unsigned)(text[i] - '0');
        if (number > UINT32_MAX)
            return diag_set(diag, -EINVAL, "reference: version: no such number");
    }
    if (text[0] == '0')
        return diag_set(diag, -EINVAL, "reference: version: numbers begin with 1 to 9");
    *out = (uint32_t)number;
    return 0;
}

int
catalog_reference_parse(const char *text, struct catalog_reference *out, struct diag *diag)
{
    struct catalog_reference parsed = {.alias = CATALOG_LATEST};
    const char *slash, *colon, *end;
    int err = 0;

    if (text == NULL || strnlen(text, REFERENCE_BYTES_MAX + 1) > REFERENCE_BYTES_MAX)
        return diag_set(diag, -EINVAL, "reference: longer than %u bytes, or missing",
                        REFERENCE_BYTES_MAX);
    slash = strchr(text, '/');
    if (slash != NULL) {
        err = take_name("reference: tenant", text, (size_t)(slash - text), parsed.tenant, diag);
        text = slash + 1;
    }
    colon = strchr(text, ':');
    end = colon != NULL ? colon : text + strlen(text);
    if (err == 0)
        err = take_name("reference: function", text, (size_t)(end - text), parsed.function, diag);
    if (err == 0 && colon != NULL) {
        text = colon + 1;
        if (is_digit(text[0])) {
            parsed.alias[0] = '\0';
            err = take_number(text, strlen(text), &parsed.version, diag);
        } else {
            err = take_name("reference: alias", text, strlen(text), parsed.alias, diag);
        }
    }
    if (err == 0)
        *out = parsed;
    return err;
}

uint64_t
catalog_now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec < 0 ? 0 : (uint64_t)now.tv_sec;
}
