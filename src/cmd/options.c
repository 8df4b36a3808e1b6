/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of options, and the options that several commands share.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd_internal.h"

bool
cmd_parse_unsigned(const char *text, uint64_t max, uint64_t *value)
{
    char *end = NULL;
    unsigned long long number;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || number > max)
        return false;
    *value = number;
    return true;
}

bool
cmd_parse_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    char digits[32];
    size_t length = strlen(text);
    const char *unit;
    unsigned shift = 0;
    uint64_t number;

    if (length == 0 || length >= sizeof(digits))
        return false;
    (void)memcpy(digits, text, length + 1);
    unit = strchr(units, toupper((unsigned char)text[length - 1]));
    if (unit != NULL) {
        shift = 10u * (unsigned)(unit - units + 1);
        digits[length - 1] = '\0';
    }
    if (!cmd_parse_unsigned(digits, UINT64_MAX >> shift, &number))
        return false;
    *bytes = number << shift;
    return true;
}

static bool
is_cpu_name(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
            return false;
    return text[0] != '\0' && strlen(text) < 48;
}

bool
cmd_compile_option(int option, const char *value, struct compile_request *request,
                   struct diag *diag)
{
    uint64_t number = 0;
    bool is_valid = true;

    switch (option) {
    case 'O':
        is_valid = cmd_parse_unsigned(value, 3, &number);
        request->options.level = (unsigned)number;
        break;
    case CMD_OPTION_COMPILE_FIRST:
        is_valid = is_cpu_name(value);
        request->options.cpu = value;
        break;
    case CMD_OPTION_COMPILE_FIRST + 1:
        request->options.strict_traps = true;
        break;
    case CMD_OPTION_COMPILE_FIRST + 2:
        is_valid = cmd_parse_unsigned(value, 64, &number);
        request->options.jobs = (unsigned)number;
        break;
    case CMD_OPTION_COMPILE_FIRST + 3:
        request->cache_directory = value;
        break;
    case CMD_OPTION_COMPILE_FIRST + 4:
        is_valid = cmd_parse_size(value, &request->memory_bytes_max);
        break;
    case CMD_OPTION_COMPILE_FIRST + 5:
        is_valid = cmd_parse_unsigned(value, 86400, &number);
        request->seconds_max = (unsigned)number;
        break;
    default:
        return false;
    }
    if (!is_valid)
        (void)diag_set(diag, -EINVAL, "%s is not a value for this option", value);
    return is_valid;
}

void
cmd_json_string(struct buffer *out, const char *text, size_t count)
{
    buffer_append(out, "\"", 1);
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\')
            buffer_append_format(out, "\\%c", c);
        else if (c < 0x20)
            buffer_append_format(out, "\\u%04x", c);
        else
            buffer_append(out, &c, 1);
    }
    buffer_append(out, "\"", 1);
}
