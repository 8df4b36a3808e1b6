/* SPDX-License-Identifier: Apache-2.0
 *
 * weft invoke: one call of a function, from the command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/api.h"

#define INPUT_BYTES_MAX ((size_t)32 << 20)

static const char help[] =
    "usage: weft invoke FUNCTION [options]\n\n"
    "Calls NAME, NAME:ALIAS, NAME:VERSION, or TENANT/NAME, and writes its result to standard\n"
    "output; what it wrote to standard error comes with weft logs, or here with -v.\n\n"
    "  --input TEXT         what it is given\n"
    "  --input-file FILE    the same from a file; - is standard input\n"
    "  --arg TEXT           argument of the program (repeat it)\n"
    "  --async              do not wait: prints the call's number (weft calls NUMBER)\n"
    "  --key TEXT           with --async: the same key again is the same call\n"
    "  --wait SECONDS       at most (default 60)\n"
    "  -v                   where it ran and how long, on standard error\n\n"
    "Exit code: 0, or the program's own; 1 if it failed otherwise, 2 if the question was wrong.\n";

struct invoke {
    struct api api;
    const char *reference, *input, *input_path, *key;
    struct cmd_list args;
    bool is_async, is_verbose;
    uint64_t wait_s;
};

static void
add_query(struct buffer *url, const char *name, const char *value)
{
    char *escaped = api_path("%s", value);

    buffer_append_format(url, "%c%s=%s", memchr(url->bytes, '?', url->count) == NULL ? '?' : '&',
                         name, escaped);
    free(escaped);
}

static void
make_url(const struct invoke *invoke, struct buffer *url)
{
    char *path = api_path("/v1/invoke/%s", invoke->reference), wait[32];

    buffer_append(url, path, strlen(path));
    for (size_t i = 0; i < invoke->args.count; i++)
        add_query(url, "arg", invoke->args.items[i]);
    (void)snprintf(wait, sizeof(wait), "%llu", (unsigned long long)invoke->wait_s * 1000);
    if (invoke->wait_s > 0)
        add_query(url, "wait_ms", wait);
    if (invoke->is_async)
        add_query(url, "async", "1");
    buffer_append(url, "", 1);
    free(path);
}

static int
parse(struct invoke *invoke, int argc, char **argv)
{
    const struct cmd_option options[] = {
        {"input", CMD_TEXT, &invoke->input, 0},  {"input-file", CMD_TEXT, &invoke->input_path, 0},
        {"arg", CMD_LIST, &invoke->args, 0},     {"async", CMD_FLAG, &invoke->is_async, 0},
        {"key", CMD_TEXT, &invoke->key, 0},      {"wait", CMD_NUMBER, &invoke->wait_s, 900},
        {"v", CMD_FLAG, &invoke->is_verbose, 0},
    };
    int code = cmd_options(argc, argv, help, &invoke->api, options, ARRAY_COUNT(options));

    if (code != CMD_EXIT_OK)
        return code;
    if (optind + 1 != argc || (invoke->key != NULL && !invoke->is_async))
        return cmd_usage("invoke", optind + 1 != argc ? "one function" : "--key is for --async");
    invoke->reference = argv[optind];
    return CMD_EXIT_OK;
}

/* From a file or a pipe. */
static int
read_input(const struct invoke *invoke, struct buffer *out, struct diag *diag)
{
    char bytes[65536];
    ssize_t done = 0;

    if (invoke->input_path == NULL) {
        buffer_append(out, invoke->input != NULL ? invoke->input : "",
                      invoke->input != NULL ? strlen(invoke->input) : 0);
        return out->err;
    }
    if (strcmp(invoke->input_path, "-") != 0)
        return file_read_all(invoke->input_path, INPUT_BYTES_MAX, out, diag);
    while (out->count <= INPUT_BYTES_MAX && (done = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0)
        buffer_append(out, bytes, (size_t)done);
    if (done < 0 || out->count > INPUT_BYTES_MAX)
        return diag_set(diag, done < 0 ? -errno : -EFBIG,
                        done < 0 ? "standard input cannot be read" : "more than 32 MiB of input");
    return out->err;
}

static void
tell(const struct api_answer *answer)
{
    static const char *const names[] = {"Weft-Call",     "Weft-Host",     "Weft-Version",
                                        "Weft-Queue-Us", "Weft-Start-Us", "Weft-Run-Us",
                                        "Weft-Cpu-Us",   "Weft-Cold"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char *value = api_header(answer, names[i]);

        if (value != NULL)
            (void)fprintf(stderr, "%s%s %s", i > 0 ? ", " : "", names[i] + 5, value);
        free(value);
    }
    (void)fprintf(stderr, "\n");
}

/* The program's own exit code where it has one; what it wrote to standard error. */
static int
fail(const struct invoke *invoke, const struct api_answer *answer)
{
    json_t *all = json_loadb((const char *)answer->body.bytes, answer->body.count, 0, NULL);
    const json_t *error = json_object_get(all, "error");
    const char *log = json_string_value(json_object_get(error, "log"));
    const char *kind = json_string_value(json_object_get(error, "code"));
    json_int_t exit_code = json_integer_value(json_object_get(error, "exit_code"));
    int code;

    if (log != NULL)
        (void)fputs(log, stderr);
    if (invoke->api.is_json)
        api_print(&invoke->api, all);
    code = invoke->api.is_json ? CMD_EXIT_FAILED : api_fail(answer);
    if (kind != NULL && strcmp(kind, "function_exit") == 0 && exit_code > 0 && exit_code < 256)
        code = (int)exit_code;
    json_decref(all);
    return code;
}

/* Of an asynchronous one, its number. */
static int
print_result(const struct invoke *invoke, const struct api_answer *answer)
{
    const struct buffer *body = &answer->body;
    bool is_number = invoke->is_async && !invoke->api.is_json;
    json_t *all = is_number ? json_loadb((const char *)body->bytes, body->count, 0, NULL) : NULL;
    const char *id = json_string_value(json_object_get(all, "call"));

    if (id != NULL)
        (void)printf("%s\n", id);
    else if (fwrite(body->bytes, 1, body->count, stdout) != body->count)
        return CMD_EXIT_FAILED;
    else if (body->count > 0 && body->bytes[body->count - 1] != '\n' && isatty(STDOUT_FILENO) != 0)
        (void)putchar('\n');
    json_decref(all);
    return CMD_EXIT_OK;
}

static int
send_call(struct invoke *invoke, struct api_answer *answer, struct diag *diag)
{
    struct buffer url = {0}, input = {0};
    char key[512] = "";
    const char *headers[] = {key, NULL};
    struct api_request request = API_REQUEST("POST", NULL);
    int err = read_input(invoke, &input, diag);

    make_url(invoke, &url);
    request.path = (const char *)url.bytes;
    request.type = "application/octet-stream";
    request.body = input.bytes != NULL ? input.bytes : (const uint8_t *)"";
    request.count = input.count;
    if (invoke->key != NULL) {
        (void)snprintf(key, sizeof(key), "Idempotency-Key: %s", invoke->key);
        request.headers = headers;
    }
    if (err == 0)
        err = url.err != 0 ? url.err : api_send(&invoke->api, &request, answer, diag);
    buffer_fini(&input);
    buffer_fini(&url);
    return err;
}

static int
call(struct invoke *invoke)
{
    struct api_answer answer = {0};
    struct diag diag;
    int code, err;

    diag_init(&diag);
    err = send_call(invoke, &answer, &diag);
    if (err != 0)
        code = cmd_fail(err, &diag);
    else if (answer.status >= 300)
        code = fail(invoke, &answer);
    else
        code = print_result(invoke, &answer);
    if (invoke->is_verbose && err == 0)
        tell(&answer);
    api_answer_fini(&answer);
    return code;
}

int
cmd_invoke(int argc, char **argv)
{
    static struct invoke invoke; /* large */
    int code = parse(&invoke, argc, argv);

    if (code == CMD_EXIT_OK && api_open(&invoke.api, &code))
        code = call(&invoke);
    api_close(&invoke.api);
    return code < 0 ? CMD_EXIT_OK : code;
}
