/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers as tables, for people; and progress.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/api.h"

#define COLUMNS_MAX 16u
#define CELL_BYTES  128u

struct column {
    char name[48], title[48];
    bool is_right;
    size_t width;
};

static bool
ends_with(const char *text, const char *end)
{
    size_t count = strlen(text), end_count = strlen(end);

    return count >= end_count && strcmp(text + count - end_count, end) == 0;
}

/* ------------------------------------------------------------------------------- cells */

static void
print_duration(char *out, double seconds)
{
    if (seconds < 1e-3)
        (void)snprintf(out, CELL_BYTES, "%.0f us", seconds * 1e6);
    else if (seconds < 1)
        (void)snprintf(out, CELL_BYTES, "%.1f ms", seconds * 1e3);
    else if (seconds < 600)
        (void)snprintf(out, CELL_BYTES, "%.2f s", seconds);
    else
        (void)snprintf(out, CELL_BYTES, "%.1f h", seconds / 3600);
}

static void
print_bytes(char *out, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;

    for (; bytes >= 1000 && unit + 1 < ARRAY_COUNT(units); unit++)
        bytes /= 1000;
    (void)snprintf(out, CELL_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

static bool
is_time(const char *name)
{
    static const char *const names[] = {"created", "ended", "changed", "expires"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void
print_time(char *out, double seconds)
{
    time_t at = (time_t)seconds;
    struct tm tm;

    if (seconds > 0 && localtime_r(&at, &tm) != NULL)
        (void)strftime(out, CELL_BYTES, "%Y-%m-%d %H:%M:%S", &tm);
}

static void
print_number(char *out, const char *name, double value)
{
    if (is_time(name))
        print_time(out, value);
    else if (ends_with(name, "_us"))
        print_duration(out, value / 1e6);
    else if (ends_with(name, "_ms") || ends_with(name, "_ms_ago"))
        print_duration(out, value / 1e3);
    else if (ends_with(name, "_s") && strcmp(name, "gb_s") != 0)
        print_duration(out, value);
    else if (ends_with(name, "bytes") || ends_with(name, "memory_used") ||
             ends_with(name, "bytes_in") || ends_with(name, "bytes_out"))
        print_bytes(out, value);
    else if (value == (double)(int64_t)value)
        (void)snprintf(out, CELL_BYTES, "%" PRId64, (int64_t)value);
    else
        (void)snprintf(out, CELL_BYTES, "%.3g", value);
}

/* What could change the terminal does not get there. */
static void
print_text(char *out, const char *text)
{
    (void)snprintf(out, CELL_BYTES, "%s", text);
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

static void
print_list(char *out, const json_t *list)
{
    size_t i, count = 0;
    const json_t *item;

    out[0] = '\0';
    json_array_foreach(list, i, item)
    {
        if (json_is_string(item) && count < CELL_BYTES - 1)
            count += (size_t)snprintf(out + count, CELL_BYTES - count, "%s%s", i > 0 ? " " : "",
                                      json_string_value(item));
    }
}

static void
print_cell(char *out, const char *name, const json_t *value)
{
    out[0] = '\0';
    if (json_is_string(value))
        print_text(out, json_string_value(value));
    else if (json_is_number(value))
        print_number(out, name, json_number_value(value));
    else if (json_is_boolean(value))
        print_text(out, json_is_true(value) ? "yes" : "");
    else if (json_is_array(value))
        print_list(out, value);
}

/* ------------------------------------------------------------------------------- table */

static void
parse_column(struct column *column, const char *text)
{
    const char *colon;

    column->is_right = text[0] == '>';
    text += column->is_right ? 1 : 0;
    colon = strchr(text, ':');
    (void)snprintf(column->name, sizeof(column->name), "%.*s",
                   colon != NULL ? (int)(colon - text) : (int)strlen(text), text);
    (void)snprintf(column->title, sizeof(column->title), "%s", colon != NULL ? colon + 1 : text);
    column->width = strlen(column->title);
}

/* In characters, not bytes. */
static size_t
width_of(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static void
print_padded(const struct column *column, const char *text, bool is_last)
{
    size_t width = width_of(text), pad = column->width > width ? column->width - width : 0;

    if (column->is_right)
        (void)printf("%*s%s%s", (int)pad, "", text, is_last ? "\n" : "  ");
    else
        (void)printf("%s%*s%s", text, is_last ? 0 : (int)pad, "", is_last ? "\n" : "  ");
}

void
api_table(const json_t *rows, const char *const *columns, size_t count)
{
    struct column parsed[COLUMNS_MAX];
    char cell[CELL_BYTES];
    const json_t *row;
    size_t at;

    count = count < COLUMNS_MAX ? count : COLUMNS_MAX;
    for (size_t i = 0; i < count; i++) {
        parse_column(&parsed[i], columns[i]);
        json_array_foreach(rows, at, row)
        {
            print_cell(cell, parsed[i].name, json_object_get(row, parsed[i].name));
            parsed[i].width = width_of(cell) > parsed[i].width ? width_of(cell) : parsed[i].width;
        }
    }
    for (size_t i = 0; i < count; i++)
        print_padded(&parsed[i], parsed[i].title, i + 1 == count);
    json_array_foreach(rows, at, row)
    {
        for (size_t i = 0; i < count; i++) {
            print_cell(cell, parsed[i].name, json_object_get(row, parsed[i].name));
            print_padded(&parsed[i], cell, i + 1 == count);
        }
    }
}

void
api_print(const struct api *api, const json_t *answer)
{
    char *text = api->is_json ? json_dumps(answer, JSON_INDENT(2)) : NULL;

    if (text != NULL)
        (void)printf("%s\n", text);
    free(text);
}

int
api_show(const struct api *api, json_t *answer, const char *field, const char *const *columns,
         size_t count)
{
    const json_t *rows = json_object_get(answer, field);

    if (answer == NULL)
        return CMD_EXIT_FAILED;
    if (api->is_json)
        api_print(api, answer);
    else if (json_array_size(rows) == 0)
        (void)fprintf(stderr, "no %s\n", field);
    else
        api_table(rows, columns, count);
    json_decref(answer);
    return CMD_EXIT_OK;
}

/* ---------------------------------------------------------------------------- progress */

void
api_progress(const struct api *api, const char *format, ...)
{
    va_list args;

    if (api->is_quiet || api->is_json || isatty(STDERR_FILENO) == 0)
        return;
    va_start(args, format);
    (void)fputs("\r\033[K", stderr);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fflush(stderr);
}

void
api_progress_end(const struct api *api)
{
    if (!api->is_quiet && !api->is_json && isatty(STDERR_FILENO) != 0)
        (void)fputs("\r\033[K", stderr);
}
