/* SPDX-License-Identifier: Apache-2.0
 *
 * weft calls, weft logs.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/api.h"

static const char calls_help[] =
    "usage: weft calls [FUNCTION | VERB NUMBER]\n\n"
    "  weft calls [FUNCTION]    recent ones, and those that are kept\n"
    "  weft calls show NUMBER   all that is known of one\n"
    "  weft calls wait NUMBER   until it is over; then its result (exit code 1: it failed)\n"
    "  weft calls result NUMBER, weft calls log NUMBER\n"
    "  weft calls cancel NUMBER\n"
    "  weft calls dead          asynchronous ones that failed in all their attempts\n"
    "  weft calls retry NUMBER, weft calls rm NUMBER    one of these again, or away with it\n";

static int
list(struct api *api, const char *query, const char *value)
{
    static const char *const columns[] = {
        "id",      "function",        ">version",        "state",       "kind",       "host",
        "created", ">queue_us:queue", ">start_us:start", ">run_us:run", ">cpu_us:cpu"};
    char *path = api_path(query, value);
    int code;
    json_t *answer = api_ask(api, "GET", path, NULL, &code);

    free(path);
    return answer == NULL ? code : api_show(api, answer, "calls", columns, ARRAY_COUNT(columns));
}

static int
calls_list(struct api *api, char **args, int count)
{
    return count == 0 ? list(api, "/v1/calls?count=1000%s", "")
                      : list(api, "/v1/calls?count=1000&function=%s", args[0]);
}

static int
calls_dead(struct api *api, char **args, int count)
{
    (void)args;
    (void)count;
    return list(api, "/v1/calls?state=%s", "dead");
}

static int
calls_show(struct api *api, char **args, int count)
{
    char *path = api_path("/v1/calls/%s", args[0]);
    int code;
    json_t *answer = api_ask(api, "GET", path, NULL, &code), *value;
    const char *key;

    (void)count;
    free(path);
    api_print(api, answer);
    json_object_foreach(api->is_json ? NULL : answer, key, value)
    {
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);

        if (!json_is_null(value))
            (void)printf("%-14s %s\n", key, text != NULL ? text : json_string_value(value));
        free(text);
    }
    json_decref(answer);
    return code;
}

/* Its octets as they are. */
static int
fetch(struct api *api, const char *format, const char *id)
{
    char *path = api_path(format, id);
    struct api_request get = API_REQUEST("GET", path);
    struct api_answer answer = {0};
    struct diag diag;
    int code = CMD_EXIT_OK, err;

    diag_init(&diag);
    err = api_send(api, &get, &answer, &diag);
    if (err == 0 && answer.status >= 300)
        code = api_fail(&answer);
    else if (err == 0 && answer.status == 202)
        code = cmd_usage("calls", "%s is not over", id);
    else if (err == 0)
        err = file_write_all(STDOUT_FILENO, answer.body.bytes, answer.body.count);
    api_answer_fini(&answer);
    free(path);
    return err != 0 ? cmd_fail(err, &diag) : code;
}

static int
calls_result(struct api *api, char **args, int count)
{
    (void)count;
    return fetch(api, "/v1/calls/%s/result", args[0]);
}

static int
calls_log(struct api *api, char **args, int count)
{
    (void)count;
    return fetch(api, "/v1/calls/%s/log", args[0]);
}

/* By long polls, so that a lost connection does not matter. */
static int
calls_wait(struct api *api, char **args, int count)
{
    char *path = api_path("/v1/calls/%s?wait_ms=30000", args[0]);
    bool is_open = true;
    int code = CMD_EXIT_OK;

    (void)count;
    while (is_open && code == CMD_EXIT_OK) {
        json_t *answer = api_ask(api, "GET", path, NULL, &code);
        const char *state = json_string_value(json_object_get(answer, "state"));

        is_open = state != NULL && strcmp(state, "open") == 0;
        json_decref(answer);
    }
    free(path);
    return code != CMD_EXIT_OK ? code : fetch(api, "/v1/calls/%s/result", args[0]);
}

static int
act(struct api *api, const char *method, const char *format, const char *id, const char *sentence)
{
    return api_do(api, method, api_path(format, id), NULL, sentence);
}

static int
calls_cancel(struct api *api, char **args, int count)
{
    (void)count;
    return act(api, "POST", "/v1/calls/%s/cancel", args[0], "cancelled");
}

static int
calls_retry(struct api *api, char **args, int count)
{
    (void)count;
    return act(api, "POST", "/v1/calls/%s/retry", args[0], "it is tried again");
}

static int
calls_rm(struct api *api, char **args, int count)
{
    (void)count;
    return act(api, "DELETE", "/v1/calls/%s", args[0], "removed");
}

int
cmd_calls(int argc, char **argv)
{
    static const struct api_verb verbs[] = {
        {"", 0, 1, calls_list},         {"list", 0, 1, calls_list},
        {"show", 1, 1, calls_show},     {"wait", 1, 1, calls_wait},
        {"result", 1, 1, calls_result}, {"log", 1, 1, calls_log},
        {"cancel", 1, 1, calls_cancel}, {"dead", 0, 0, calls_dead},
        {"retry", 1, 1, calls_retry},   {"rm", 1, 1, calls_rm}};

    return api_verbs(argc, argv, calls_help, verbs, ARRAY_COUNT(verbs));
}

/* --------------------------------------------------------------------------------- logs */

static const char logs_help[] =
    "usage: weft logs [-f] [FUNCTION]\n\n"
    "What calls wrote to standard error, when they ended; -f: and those to come.\n";

/* Server-sent events, as they come in pieces. */
struct stream {
    struct buffer line;
    bool is_json;
};

static void
print_log(const json_t *item, bool is_json)
{
    const char *log = json_string_value(json_object_get(item, "log"));
    const char *function = json_string_value(json_object_get(item, "function"));
    const char *call = json_string_value(json_object_get(item, "call"));
    const char *kind = json_string_value(json_object_get(item, "kind"));
    char *text = is_json ? json_dumps(item, JSON_COMPACT) : NULL;

    if (text != NULL)
        (void)printf("%s\n", text);
    else if (log != NULL)
        for (const char *line = log, *end; *line != '\0'; line = *end != '\0' ? end + 1 : end) {
            end = line + strcspn(line, "\n");
            (void)printf("%s %s  %.*s\n", function != NULL ? function : "",
                         call != NULL ? call : "", (int)(end - line), line);
        }
    if (text == NULL && kind != NULL && strcmp(kind, "done") != 0)
        (void)printf("%s %s  (%s)\n", function != NULL ? function : "", call != NULL ? call : "",
                     kind);
    (void)fflush(stdout);
    free(text);
}

static bool
on_data(void *context, const char *bytes, size_t count)
{
    struct stream *stream = context;

    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != '\n') {
            buffer_append(&stream->line, &bytes[i], 1);
            continue;
        }
        if (stream->line.count > 5 && memcmp(stream->line.bytes, "data:", 5) == 0) {
            json_t *item =
                json_loadb((const char *)stream->line.bytes + 5, stream->line.count - 5, 0, NULL);

            print_log(item, stream->is_json);
            json_decref(item);
        }
        stream->line.count = 0;
    }
    return stream->line.err == 0 && ferror(stdout) == 0;
}

static int
follow(struct api *api, const char *function)
{
    char *path =
        api_path(function != NULL ? "/v1/logs?follow=1&function=%s" : "/v1/logs?follow=1%s",
                 function != NULL ? function : "");
    struct stream stream = {.is_json = api->is_json};
    struct api_request get = API_REQUEST("GET", path);
    struct api_answer answer = {0};
    struct diag diag;
    int code = CMD_EXIT_OK, err;

    diag_init(&diag);
    get.on_data = on_data;
    get.context = &stream;
    err = api_send(api, &get, &answer, &diag);
    if (err != 0)
        code = cmd_fail(err, &diag);
    else if (answer.status >= 300)
        code = api_fail(&answer);
    buffer_fini(&stream.line);
    api_answer_fini(&answer);
    free(path);
    return code;
}

static int
recent(struct api *api, const char *function)
{
    char *path = api_path(function != NULL ? "/v1/logs?function=%s" : "/v1/logs%s",
                          function != NULL ? function : "");
    int code;
    json_t *answer = api_ask(api, "GET", path, NULL, &code), *item;
    size_t i;

    free(path);
    json_array_foreach(json_object_get(answer, "logs"), i, item) print_log(item, api->is_json);
    json_decref(answer);
    return code;
}

int
cmd_logs(int argc, char **argv)
{
    bool is_following = false;
    const struct cmd_option options[] = {{"f", CMD_FLAG, &is_following, 0},
                                         {"follow", CMD_FLAG, &is_following, 0}};
    struct api api = {0};
    int code = cmd_options(argc, argv, logs_help, &api, options, ARRAY_COUNT(options));

    if (code == CMD_EXIT_OK && argc - optind > 1)
        code = cmd_usage("logs", "one function, or none");
    if (code == CMD_EXIT_OK && api_open(&api, &code))
        code = (is_following ? follow : recent)(&api, optind < argc ? argv[optind] : NULL);
    api_close(&api);
    return code == CMD_HELPED ? CMD_EXIT_OK : code;
}
