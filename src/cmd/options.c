/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of options, and the options that several commands share.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/api.h"
#include "cmd/cmd_internal.h"

#define OPTIONS_MAX 32u

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

static bool
parse_seconds(const char *text, double *seconds)
{
    char *end = NULL;

    *seconds = strtod(text, &end);
    return end != text && *end == '\0' && *seconds > 0 && *seconds < 1e6;
}

static bool
take(const struct cmd_option *option, const char *value)
{
    struct cmd_list *list = option->to;

    switch (option->kind) {
    case CMD_TEXT:
    case CMD_MAYBE:
        *(const char **)option->to = value != NULL ? value : "";
        return true;
    case CMD_LIST:
        if (list->count == CMD_LIST_MAX)
            return false;
        list->items[list->count++] = value;
        return true;
    case CMD_NUMBER:
        return cmd_parse_unsigned(value, option->max, option->to);
    case CMD_SIZE:
        return cmd_parse_size(value, option->to);
    case CMD_SECONDS:
        return parse_seconds(value, option->to);
    case CMD_FLAG:
        return *(bool *)option->to = true;
    }
    return false;
}

/* For getopt: what the options of one letter are called, and the others. */
static void
describe(const struct cmd_option *options, size_t count, bool has_api, char letters[64],
         struct option out[OPTIONS_MAX])
{
    static const struct option help = {"help", no_argument, NULL, API_OPTION_FIRST + 7};
    static const struct option more[] = {API_OPTIONS};
    size_t used = 0, length = 0;

    for (size_t i = 0; i < count && used + ARRAY_COUNT(more) + 1 < OPTIONS_MAX; i++) {
        int value = options[i].kind == CMD_FLAG    ? no_argument
                    : options[i].kind == CMD_MAYBE ? optional_argument
                                                   : required_argument;

        if (options[i].name[1] != '\0')
            out[used++] = (struct option){options[i].name, value, NULL, (int)i + 256};
        else
            length += (size_t)snprintf(letters + length, 64 - length, "%s%s", options[i].name,
                                       value == no_argument ? "" : ":");
    }
    for (size_t i = 0; has_api && i < ARRAY_COUNT(more); i++)
        out[used++] = more[i];
    if (!has_api)
        out[used++] = help;
    out[used] = (struct option){NULL, 0, NULL, 0};
}

static const struct cmd_option *
find_letter(const struct cmd_option *options, size_t count, int letter)
{
    for (size_t i = 0; i < count; i++)
        if (options[i].name[0] == letter && options[i].name[1] == '\0')
            return &options[i];
    return NULL;
}

int
cmd_options(int argc, char **argv, const char *help, struct api *api,
            const struct cmd_option *options, size_t count)
{
    struct option described[OPTIONS_MAX];
    char letters[64] = "";
    int option;

    describe(options, count, api != NULL, letters, described);
    optind = 0;
    while ((option = getopt_long(argc, argv, letters, described, NULL)) != -1) {
        const struct cmd_option *one = option >= 256 && (size_t)option - 256 < count
                                           ? &options[option - 256]
                                           : find_letter(options, count, option);

        if (option == API_OPTION_FIRST + 7) {
            (void)fputs(help, stdout);
            (void)fputs(api != NULL ? API_HELP : "", stdout);
            return CMD_HELPED;
        }
        if (one == NULL && (api == NULL || !api_option(api, option, optarg)))
            return CMD_EXIT_INPUT;
        if (one != NULL && !take(one, optarg))
            return cmd_usage(argv[0], "%s is not a value for --%s", optarg, one->name);
    }
    return CMD_EXIT_OK;
}
