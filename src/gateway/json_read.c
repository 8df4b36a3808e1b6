/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading JSON: whether bytes are any, and objects by tables of fields.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "gateway/json.h"

/* ------------------------------------------------------------------------- validity */

struct scan {
    const uint8_t *at, *end;
    uint32_t depth;
    uint8_t is_object[GATEWAY_JSON_DEPTH_MAX / 8];
};

static void
skip_space(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r'))
        scan->at++;
}

static bool
take(struct scan *scan, uint8_t c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static bool
take_word(struct scan *scan, const char *word)
{
    while (*word != '\0')
        if (!take(scan, (uint8_t)*word++))
            return false;
    return true;
}

static size_t
take_digits(struct scan *scan)
{
    const uint8_t *first = scan->at;

    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return (size_t)(scan->at - first);
}

static bool
take_number(struct scan *scan)
{
    (void)take(scan, '-');
    if (!take(scan, '0') && take_digits(scan) == 0)
        return false;
    if (take(scan, '.') && take_digits(scan) == 0)
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            (void)take(scan, '-');
        return take_digits(scan) > 0;
    }
    return true;
}

static bool
take_escape(struct scan *scan)
{
    if (take(scan, 'u')) {
        for (int i = 0; i < 4; i++, scan->at++)
            if (scan->at == scan->end || strchr("0123456789abcdefABCDEF", *scan->at) == NULL ||
                *scan->at == '\0')
                return false;
        return true;
    }
    if (scan->at == scan->end || *scan->at == '\0' || strchr("\"\\/bfnrt", *scan->at) == NULL)
        return false;
    scan->at++;
    return true;
}

static bool
take_string(struct scan *scan)
{
    if (!take(scan, '"'))
        return false;
    while (scan->at < scan->end && *scan->at != '"') {
        size_t width;

        if (*scan->at < 0x20)
            return false;
        if (take(scan, '\\')) {
            if (!take_escape(scan))
                return false;
            continue;
        }
        width = *scan->at < 0x80 ? 1 : utf8_character(scan->at, (size_t)(scan->end - scan->at));
        if (width == 0)
            return false;
        scan->at += width;
    }
    return take(scan, '"');
}

static bool
take_key(struct scan *scan)
{
    skip_space(scan);
    if (!take_string(scan))
        return false;
    skip_space(scan);
    return take(scan, ':');
}

static bool
is_in_object(const struct scan *scan)
{
    uint32_t top = scan->depth - 1;

    return (scan->is_object[top / 8] >> top % 8 & 1) != 0;
}

static bool
enter(struct scan *scan, bool is_object)
{
    uint8_t bit = (uint8_t)(1u << scan->depth % 8);

    if (scan->depth == GATEWAY_JSON_DEPTH_MAX)
        return false;
    if (is_object)
        scan->is_object[scan->depth / 8] |= bit;
    else
        scan->is_object[scan->depth / 8] &= (uint8_t)~bit;
    scan->depth++;
    return true;
}

static bool
take_scalar(struct scan *scan)
{
    switch (scan->at < scan->end ? *scan->at : 0) {
    case '"':
        return take_string(scan);
    case 't':
        return take_word(scan, "true");
    case 'f':
        return take_word(scan, "false");
    case 'n':
        return take_word(scan, "null");
    default:
        return take_number(scan);
    }
}

/* The beginning of a value: a whole scalar or an empty container (*is_whole), or the
 * bracket of one that has something. */
static bool
take_begin(struct scan *scan, bool *is_whole)
{
    bool is_object = scan->at < scan->end && *scan->at == '{';

    *is_whole = true;
    if (!is_object && !(scan->at < scan->end && *scan->at == '['))
        return take_scalar(scan);
    scan->at++;
    skip_space(scan);
    if (take(scan, is_object ? '}' : ']'))
        return true;
    *is_whole = false;
    return enter(scan, is_object) && (!is_object || take_key(scan));
}

/* Behind a value: a comma (and the next key), or the ends of containers. */
static bool
take_end(struct scan *scan, bool *is_over)
{
    for (; scan->depth > 0; scan->depth--) {
        skip_space(scan);
        if (take(scan, ','))
            return !is_in_object(scan) || take_key(scan);
        if (!take(scan, is_in_object(scan) ? '}' : ']'))
            return false;
    }
    *is_over = true;
    return true;
}

bool
gateway_json_is_valid(const uint8_t *bytes, size_t count)
{
    struct scan scan = {.at = bytes, .end = bytes + count};
    bool is_over = count == 0, is_whole;

    if (is_over)
        return false;
    while (!is_over) {
        skip_space(&scan);
        if (!take_begin(&scan, &is_whole))
            return false;
        if (is_whole && !take_end(&scan, &is_over))
            return false;
    }
    skip_space(&scan);
    return scan.at == scan.end;
}

/* --------------------------------------------------------------------------- fields */

static int
wrong(const struct gateway_field *field, const char *what, struct diag *diag)
{
    return diag_set(diag, -EINVAL, "field \"%s\" must be %s", field->name, what);
}

static int
read_number(const struct gateway_field *field, const json_t *value, struct diag *diag)
{
    uint64_t max = field->type == GATEWAY_SMALL ? UINT32_MAX : GATEWAY_NUMBER_MAX;
    json_int_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < 0 || (uint64_t)number > max)
        return wrong(field, "a whole number, not below 0 nor too large", diag);
    if (field->type == GATEWAY_SMALL)
        *(uint32_t *)field->out = (uint32_t)number;
    else
        *(uint64_t *)field->out = (uint64_t)number;
    return 0;
}

static int
read_field(const struct gateway_field *field, const json_t *value, struct diag *diag)
{
    switch (field->type) {
    case GATEWAY_TEXT:
        if (!json_is_string(value))
            return wrong(field, "text", diag);
        *(const char **)field->out = json_string_value(value);
        return 0;
    case GATEWAY_BOOL:
        if (!json_is_boolean(value))
            return wrong(field, "true or false", diag);
        *(bool *)field->out = json_is_true(value);
        return 0;
    case GATEWAY_OBJECT:
        if (!json_is_object(value))
            return wrong(field, "an object", diag);
        *(const json_t **)field->out = value;
        return 0;
    case GATEWAY_ARRAY:
        if (!json_is_array(value))
            return wrong(field, "an array", diag);
        *(const json_t **)field->out = value;
        return 0;
    case GATEWAY_ANY:
        *(const json_t **)field->out = value;
        return 0;
    case GATEWAY_NUMBER:
    case GATEWAY_SMALL:
        break;
    }
    return read_number(field, value, diag);
}

int
gateway_fields(const json_t *object, const struct gateway_field *fields, size_t count,
               struct diag *diag)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t i = 0;

        while (i < count && strcmp(fields[i].name, key) != 0)
            i++;
        if (i == count)
            return diag_set(diag, -EINVAL, "there is no field \"%.64s\"", key);
        if (!json_is_null(value) && read_field(&fields[i], value, diag) != 0)
            return -EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        value = json_object_get(object, fields[i].name);
        if (fields[i].is_needed && (value == NULL || json_is_null(value)))
            return diag_set(diag, -EINVAL, "field \"%s\" is missing", fields[i].name);
    }
    return 0;
}

int
gateway_json_load(const void *bytes, size_t count, json_t **out, struct diag *diag)
{
    json_error_t error;
    json_t *value = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &error);

    if (value == NULL)
        return diag_set(diag, -EINVAL, "the body is no JSON: line %d, column %d: %s", error.line,
                        error.column, error.text);
    *out = value;
    return 0;
}

bool
gateway_number_parse(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || number > (UINT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (uint64_t)(*text - '0');
    }
    if (number > max)
        return false;
    *out = number;
    return true;
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
gateway_hash_parse(const char *text, uint8_t out[32])
{
    if (strlen(text) != 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
