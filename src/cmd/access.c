/* SPDX-License-Identifier: Apache-2.0
 *
 * weft token, tenant, variable, secret: who may, and with what.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cmd/api.h"

static int
list(struct api *api, const char *path, const char *field, const char *const *columns, size_t count)
{
    int code;
    json_t *answer = api_ask(api, "GET", path, NULL, &code);

    return answer == NULL ? code : api_show(api, answer, field, columns, count);
}

/* -------------------------------------------------------------------------------- token */

static const char token_help[] =
    "usage: weft token [VERB ...]\n\n"
    "  weft token                            what there is\n"
    "  weft token create NAME ROLES [DAYS]   prints a new one, this once; roles: read, invoke,\n"
    "                                        deploy, manage, with commas between; with --admin:\n"
    "                                        admin\n"
    "  weft token rm NAME\n";

static int
token_list(struct api *api, char **args, int count)
{
    static const char *const columns[] = {"name", "roles", "expires"};

    (void)args;
    (void)count;
    return list(api, "/v1/tokens", "tokens", columns, ARRAY_COUNT(columns));
}

static int
token_create(struct api *api, char **args, int count)
{
    json_t *roles = json_array(), *body, *answer;
    uint64_t days = 0;
    int code;

    for (const char *role = args[1]; *role != '\0';) {
        size_t length = strcspn(role, ",");

        (void)json_array_append_new(roles, json_stringn(role, length));
        role += length + (role[length] == ',' ? 1 : 0);
    }
    body = json_pack("{s:s,s:o}", "name", args[0], "roles", roles);
    if (count > 2 && !cmd_parse_unsigned(args[2], 36500, &days)) {
        json_decref(body);
        return cmd_usage("token", "create: %s: a number of days", args[2]);
    }
    if (days > 0)
        (void)json_object_set_new(body, "expires_s", json_integer((json_int_t)days * 86400));
    answer = api_ask(api, "POST", "/v1/tokens", body, &code);
    if (answer != NULL && !api->is_json)
        (void)printf("%s\n", json_string_value(json_object_get(answer, "token")));
    api_print(api, answer);
    json_decref(answer);
    json_decref(body);
    return code;
}

static int
token_rm(struct api *api, char **args, int count)
{
    (void)count;
    return api_do(api, "DELETE", api_path("/v1/tokens/%s", args[0]), NULL, "removed");
}

int
cmd_token(int argc, char **argv)
{
    static const struct api_verb verbs[] = {{"", 0, 0, token_list},
                                            {"list", 0, 0, token_list},
                                            {"create", 2, 3, token_create},
                                            {"rm", 1, 1, token_rm}};

    return api_verbs(argc, argv, token_help, verbs, ARRAY_COUNT(verbs));
}

/* ------------------------------------------------------------------------------- tenant */

static const char tenant_help[] =
    "usage: weft tenant [VERB ...]        (with the cluster's token)\n\n"
    "  weft tenant                        what there is\n"
    "  weft tenant put NAME [LIMIT=VALUE ...]   made, or changed: cpu_share, cpu_percent,\n"
    "       memory_bytes, files, network_rate, calls_max, queue_max, priority, storage_bytes\n"
    "  weft tenant rm NAME                with all it has\n";

static int
tenant_list(struct api *api, char **args, int count)
{
    static const char *const columns[] = {
        "name",          ">cpu_share", ">cpu_percent", ">memory_bytes", ">files",
        ">network_rate", ">calls_max", ">queue_max",   ">priority",     ">storage_bytes"};

    (void)args;
    (void)count;
    api_use_admin(api);
    return list(api, "/v1/tenants", "tenants", columns, ARRAY_COUNT(columns));
}

static int
tenant_put(struct api *api, char **args, int count)
{
    json_t *body = json_object();

    for (int i = 1; i < count; i++) {
        char *equals = strchr(args[i], '=');
        uint64_t value = 0;

        if (equals == NULL || !cmd_parse_size(equals + 1, &value)) {
            json_decref(body);
            return cmd_usage("tenant", "put: %s: a limit is NAME=NUMBER", args[i]);
        }
        *equals = '\0';
        (void)json_object_set_new(body, args[i], json_integer((json_int_t)value));
    }
    api_use_admin(api);
    return api_do(api, "PUT", api_path("/v1/tenants/%s", args[0]), body, "done");
}

static int
tenant_rm(struct api *api, char **args, int count)
{
    (void)count;
    api_use_admin(api);
    return api_do(api, "DELETE", api_path("/v1/tenants/%s", args[0]), NULL, "removed");
}

int
cmd_tenant(int argc, char **argv)
{
    static const struct api_verb verbs[] = {{"", 0, 0, tenant_list},
                                            {"list", 0, 0, tenant_list},
                                            {"put", 1, 10, tenant_put},
                                            {"rm", 1, 1, tenant_rm}};

    return api_verbs(argc, argv, tenant_help, verbs, ARRAY_COUNT(verbs));
}

/* ------------------------------------------------------------------ variables and secrets */

static const char variable_help[] =
    "usage: weft variable [VERB ...]      weft secret [VERB ...]\n\n"
    "Variables are in the environment of all of a tenant's calls; secrets of those of\n"
    "functions that were deployed with --secret NAME, and are told to nobody else.\n\n"
    "  weft variable                      what there is; of secrets the names\n"
    "  weft variable set NAME VALUE\n"
    "  weft secret set NAME               the value is read from standard input\n"
    "  weft variable rm NAME, weft secret rm NAME\n";

static int
variable_list(struct api *api, char **args, int count)
{
    static const char *const columns[] = {"name", "value", "secret", "changed"};

    (void)args;
    (void)count;
    return list(api, "/v1/variables", "variables", columns, ARRAY_COUNT(columns));
}

static int
variable_set(struct api *api, char **args, int count)
{
    (void)count;
    return api_do(api, "PUT", api_path("/v1/variables/%s", args[0]),
                  json_pack("{s:s}", "value", args[1]), "set");
}

static int
variable_rm(struct api *api, char **args, int count)
{
    (void)count;
    return api_do(api, "DELETE", api_path("/v1/variables/%s", args[0]), NULL, "removed");
}

/* One line from a terminal, which does not show it; else all there is, without the last
 * newline. */
static bool
read_secret(char *out, size_t size)
{
    struct termios before, silent;
    bool is_terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    size_t count = 0;
    ssize_t done = 1;

    if (is_terminal) {
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        (void)fputs("value: ", stderr);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    while (count < size - 1 && done > 0) {
        done = read(STDIN_FILENO, out + count, size - 1 - count);
        count += done > 0 ? (size_t)done : 0;
        if (is_terminal && count > 0 && out[count - 1] == '\n')
            break;
    }
    if (is_terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        (void)fputs("\n", stderr);
    }
    count -= count > 0 && out[count - 1] == '\n' ? 1 : 0;
    out[count] = '\0';
    return count < size - 1 && strlen(out) == count;
}

static int
secret_set(struct api *api, char **args, int count)
{
    static char value[65538];
    int code;

    (void)count;
    if (!read_secret(value, sizeof(value)))
        return cmd_usage("secret", "set: at most 65,535 bytes of text");
    code = api_do(api, "PUT", api_path("/v1/secrets/%s", args[0]),
                  json_pack("{s:s}", "value", value), "set");
    explicit_bzero(value, sizeof(value));
    return code;
}

static int
secret_rm(struct api *api, char **args, int count)
{
    (void)count;
    return api_do(api, "DELETE", api_path("/v1/secrets/%s", args[0]), NULL, "removed");
}

int
cmd_variable(int argc, char **argv)
{
    static const struct api_verb variables[] = {{"", 0, 0, variable_list},
                                                {"list", 0, 0, variable_list},
                                                {"set", 2, 2, variable_set},
                                                {"rm", 1, 1, variable_rm}};
    static const struct api_verb secrets[] = {{"", 0, 0, variable_list},
                                              {"list", 0, 0, variable_list},
                                              {"set", 1, 1, secret_set},
                                              {"rm", 1, 1, secret_rm}};

    return strcmp(argv[0], "secret") == 0
               ? api_verbs(argc, argv, variable_help, secrets, ARRAY_COUNT(secrets))
               : api_verbs(argc, argv, variable_help, variables, ARRAY_COUNT(variables));
}
