/* SPDX-License-Identifier: Apache-2.0
 *
 * weft functions, weft trigger, weft files: what is deployed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/api.h"

#define NAME_BYTES 256u

static const char functions_help[] =
    "usage: weft functions [VERB ...]\n\n"
    "  weft functions                        what there is\n"
    "  weft functions show NAME              its versions, aliases, grants\n"
    "  weft functions rm NAME[:VERSION]      all of it, or one version\n"
    "  weft functions alias NAME:ALIAS VERSION [OTHER PERCENT]\n"
    "                                        calls of NAME:ALIAS go to VERSION, so many of a\n"
    "                                        hundred to OTHER\n"
    "  weft functions unalias NAME:ALIAS\n"
    "  weft functions rollback NAME [VERSION]  calls of NAME go to the version before, or that\n"
    "  weft functions grant NAME TENANT      functions of that tenant may call it\n"
    "  weft functions revoke NAME TENANT\n";

/* "name:rest" into both; rest "" where there is none. */
static void
split(const char *text, char name[NAME_BYTES], char rest[NAME_BYTES])
{
    const char *colon = strchr(text, ':');

    (void)snprintf(name, NAME_BYTES, "%.*s",
                   colon != NULL ? (int)(colon - text) : (int)strlen(text), text);
    (void)snprintf(rest, NAME_BYTES, "%s", colon != NULL ? colon + 1 : "");
}

static int
functions_list(struct api *api, char **args, int count)
{
    static const char *const columns[] = {"name",    ">version",      "kind", "language",
                                          "created", "created_by:by", "note"};
    int code;
    json_t *answer = api_ask(api, "GET", "/v1/functions", NULL, &code);

    (void)args;
    (void)count;
    return answer == NULL ? code
                          : api_show(api, answer, "functions", columns, ARRAY_COUNT(columns));
}

static int
functions_show(struct api *api, char **args, int count)
{
    static const char *const versions[] = {">version", "kind",          "language", "entry",
                                           "created",  "created_by:by", "note"};
    static const char *const aliases[] = {"name:alias", ">version", ">other", ">other_percent:%"};
    char *path = api_path("/v1/functions/%s", args[0]);
    int code;
    json_t *answer = api_ask(api, "GET", path, NULL, &code);

    (void)count;
    free(path);
    if (answer == NULL)
        return code;
    if (api->is_json) {
        api_print(api, answer);
    } else {
        api_table(json_object_get(answer, "versions"), versions, ARRAY_COUNT(versions));
        (void)printf("\n");
        api_table(json_object_get(answer, "aliases"), aliases, ARRAY_COUNT(aliases));
    }
    json_decref(answer);
    return CMD_EXIT_OK;
}

static int
functions_rm(struct api *api, char **args, int count)
{
    char name[NAME_BYTES], version[NAME_BYTES];

    (void)count;
    split(args[0], name, version);
    return api_do(api, "DELETE",
                  version[0] != '\0' ? api_path("/v1/functions/%s/versions/%s", name, version)
                                     : api_path("/v1/functions/%s", name),
                  NULL, "removed");
}

static int
functions_alias(struct api *api, char **args, int count)
{
    char name[NAME_BYTES], alias[NAME_BYTES];
    uint64_t version = 0, other = 0, percent = 0;

    split(args[0], name, alias);
    if (alias[0] == '\0' || count == 3 || !cmd_parse_unsigned(args[1], UINT32_MAX, &version) ||
        (count == 4 && (!cmd_parse_unsigned(args[2], UINT32_MAX, &other) ||
                        !cmd_parse_unsigned(args[3], 100, &percent))))
        return cmd_usage("functions", "alias NAME:ALIAS VERSION [OTHER PERCENT]");
    return api_do(api, "PUT", api_path("/v1/functions/%s/aliases/%s", name, alias),
                  json_pack("{s:I,s:I,s:I}", "version", (json_int_t)version, "other",
                            (json_int_t)other, "other_percent", (json_int_t)percent),
                  "done");
}

static int
functions_unalias(struct api *api, char **args, int count)
{
    char name[NAME_BYTES], alias[NAME_BYTES];

    (void)count;
    split(args[0], name, alias);
    if (alias[0] == '\0')
        return cmd_usage("functions", "unalias NAME:ALIAS");
    return api_do(api, "DELETE", api_path("/v1/functions/%s/aliases/%s", name, alias), NULL,
                  "removed");
}

static int
functions_rollback(struct api *api, char **args, int count)
{
    char *path = api_path("/v1/functions/%s/rollback", args[0]);
    json_t *body = json_object(), *answer;
    uint64_t version = 0;
    int code;

    if (count == 2 && !cmd_parse_unsigned(args[1], UINT32_MAX, &version)) {
        free(path);
        json_decref(body);
        return cmd_usage("functions", "rollback: %s is no version", args[1]);
    }
    if (version > 0)
        (void)json_object_set_new(body, "to", json_integer((json_int_t)version));
    answer = api_ask(api, "POST", path, body, &code);
    if (answer != NULL && !api->is_json)
        (void)printf("%s is version %lld\n", args[0],
                     json_integer_value(json_object_get(answer, "version")));
    api_print(api, answer);
    json_decref(answer);
    json_decref(body);
    free(path);
    return code;
}

static int
functions_grant(struct api *api, char **args, int count)
{
    (void)count;
    return api_do(api, "PUT", api_path("/v1/functions/%s/grants/%s", args[0], args[1]), NULL,
                  "granted");
}

static int
functions_revoke(struct api *api, char **args, int count)
{
    (void)count;
    return api_do(api, "DELETE", api_path("/v1/functions/%s/grants/%s", args[0], args[1]), NULL,
                  "revoked");
}

int
cmd_functions(int argc, char **argv)
{
    static const struct api_verb verbs[] = {{"", 0, 0, functions_list},
                                            {"list", 0, 0, functions_list},
                                            {"show", 1, 1, functions_show},
                                            {"rm", 1, 1, functions_rm},
                                            {"alias", 2, 4, functions_alias},
                                            {"unalias", 1, 1, functions_unalias},
                                            {"rollback", 1, 2, functions_rollback},
                                            {"grant", 2, 2, functions_grant},
                                            {"revoke", 2, 2, functions_revoke}};

    return api_verbs(argc, argv, functions_help, verbs, ARRAY_COUNT(verbs));
}

/* ----------------------------------------------------------------------------- triggers */

static const char trigger_help[] =
    "usage: weft trigger [VERB ...]\n\n"
    "  weft trigger                                    what there is\n"
    "  weft trigger http NAME FUNCTION PATH [METHOD] [public]\n"
    "       requests for /t/TENANT/PATH call FUNCTION (PATH may end with /*); public: also\n"
    "       those without a token\n"
    "  weft trigger cron NAME FUNCTION SCHEDULE [INPUT]\n"
    "       \"minute hour day month weekday\" in UTC: \"*/5 * * * *\"\n"
    "  weft trigger rm NAME\n";

static int
trigger_list(struct api *api, char **args, int count)
{
    static const char *const columns[] = {"name", "kind",     "function", "method",
                                          "path", "schedule", "public",   "paused"};
    int code;
    json_t *answer = api_ask(api, "GET", "/v1/triggers", NULL, &code);

    (void)args;
    (void)count;
    return answer == NULL ? code : api_show(api, answer, "triggers", columns, ARRAY_COUNT(columns));
}

static int
trigger_http(struct api *api, char **args, int count)
{
    bool is_public = count > 3 && strcmp(args[count - 1], "public") == 0;
    const char *method = count - (is_public ? 1 : 0) > 3 ? args[3] : "";

    return api_do(api, "PUT", api_path("/v1/triggers/%s", args[0]),
                  json_pack("{s:s,s:s,s:s,s:s,s:b}", "kind", "http", "function", args[1], "path",
                            args[2], "method", method, "public", (int)is_public),
                  "done");
}

static int
trigger_cron(struct api *api, char **args, int count)
{
    return api_do(api, "PUT", api_path("/v1/triggers/%s", args[0]),
                  json_pack("{s:s,s:s,s:s,s:s}", "kind", "cron", "function", args[1], "schedule",
                            args[2], "input", count > 3 ? args[3] : ""),
                  "done");
}

static int
trigger_rm(struct api *api, char **args, int count)
{
    (void)count;
    return api_do(api, "DELETE", api_path("/v1/triggers/%s", args[0]), NULL, "removed");
}

int
cmd_trigger(int argc, char **argv)
{
    static const struct api_verb verbs[] = {{"", 0, 0, trigger_list},
                                            {"list", 0, 0, trigger_list},
                                            {"http", 3, 5, trigger_http},
                                            {"cron", 3, 4, trigger_cron},
                                            {"rm", 1, 1, trigger_rm}};

    return api_verbs(argc, argv, trigger_help, verbs, ARRAY_COUNT(verbs));
}

/* -------------------------------------------------------------------------------- files */

static const char files_help[] =
    "usage: weft files [VERB ...]\n\n"
    "Files that a tenant keeps on the cluster (what a function reads comes with it: weft\n"
    "deploy --file).\n\n"
    "  weft files [PREFIX]        what there is\n"
    "  weft files put FILE [PATH]\n"
    "  weft files get PATH [FILE] to standard output, where no FILE is given\n"
    "  weft files rm PATH\n";

static int
files_list(struct api *api, char **args, int count)
{
    static const char *const columns[] = {"path", ">bytes", "changed"};
    char *path = api_path("/v1/files?prefix=%s", count > 0 ? args[0] : "");
    int code;
    json_t *answer = api_ask(api, "GET", path, NULL, &code);

    free(path);
    return answer == NULL ? code : api_show(api, answer, "files", columns, ARRAY_COUNT(columns));
}

static int
files_put(struct api *api, char **args, int count)
{
    const char *base = strrchr(args[0], '/') != NULL ? strrchr(args[0], '/') + 1 : args[0];
    char *path = api_path("/v1/files/%s", count > 1 ? args[1] + (args[1][0] == '/') : base);
    struct api_request put = API_REQUEST("PUT", path);
    struct api_answer answer = {0};
    struct diag diag;
    int code = CMD_EXIT_OK, err;

    diag_init(&diag);
    put.body_fd = open(args[0], O_RDONLY | O_CLOEXEC);
    put.type = "application/octet-stream";
    put.progress = args[0];
    err = put.body_fd < 0 ? diag_set(&diag, -errno, "%s: %s", args[0], strerror(errno))
                          : api_send(api, &put, &answer, &diag);
    if (err != 0)
        code = cmd_fail(err, &diag);
    else if (answer.status >= 300)
        code = api_fail(&answer);
    file_close(&put.body_fd);
    api_answer_fini(&answer);
    free(path);
    return code;
}

static int
files_get(struct api *api, char **args, int count)
{
    char *path = api_path("/v1/files/%s", args[0] + (args[0][0] == '/'));
    struct api_request get = API_REQUEST("GET", path);
    struct api_answer answer = {0};
    struct diag diag;
    int code = CMD_EXIT_OK, err;

    diag_init(&diag);
    err = api_send(api, &get, &answer, &diag);
    if (err == 0 && answer.status >= 300)
        code = api_fail(&answer);
    else if (err == 0 && count > 1)
        err = file_replace(args[1], answer.body.bytes, answer.body.count, &diag);
    else if (err == 0)
        err = file_write_all(STDOUT_FILENO, answer.body.bytes, answer.body.count);
    api_answer_fini(&answer);
    free(path);
    return err != 0 ? cmd_fail(err, &diag) : code;
}

static int
files_rm(struct api *api, char **args, int count)
{
    (void)count;
    return api_do(api, "DELETE", api_path("/v1/files/%s", args[0] + (args[0][0] == '/')), NULL,
                  "removed");
}

int
cmd_files(int argc, char **argv)
{
    static const struct api_verb verbs[] = {{"", 0, 1, files_list},
                                            {"list", 0, 1, files_list},
                                            {"put", 1, 2, files_put},
                                            {"get", 1, 2, files_get},
                                            {"rm", 1, 1, files_rm}};

    return api_verbs(argc, argv, files_help, verbs, ARRAY_COUNT(verbs));
}
