/* SPDX-License-Identifier: Apache-2.0
 *
 * weft state: what functions share.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/api.h"

#define PART_BYTES (UINT64_C(32) << 20) /* of a value, at one time */
#define WATCH_MS   "30000"
#define PARTS_MAX  100000u /* also of a value that changes while it is read */

static const char help[] =
    "usage: weft state [VERB ...]\n\n"
    "Values and logs that a tenant's functions share (docs/state.md).\n\n"
    "  weft state ls [PREFIX]       what there is\n"
    "  weft state get KEY [-o FILE] a value's bytes; of a log, its records, a line each\n"
    "  weft state put KEY FILE|-    a value of these bytes, whatever it was (-: standard input)\n"
    "  weft state add KEY N         adds to a number (8 bytes; with a point in it: a float)\n"
    "                               (below zero: weft state add KEY -- -1)\n"
    "  weft state append KEY TEXT   a record at a log's end\n"
    "  weft state expire KEY N      it is removed after N seconds (0: not by itself)\n"
    "  weft state watch KEY         a line for every change, until it is gone\n"
    "  weft state rm KEY\n\n"
    "  -o FILE          of get: there, not to standard output\n"
    "  --if VERSION     of put and rm: only where it has this version (0: where there is none)\n"
    "  --lives SECONDS  of put: it is removed after so long\n"
    "  --count N        of watch: ends after so many changes\n";

static struct {
    const char *output, *condition;
    uint64_t lives_s, count;
} options; /* of this command line */

/* "If-Match: ..." of --if; "" where there is none. */
struct condition {
    char line[64];
    const char *headers[2];
};

static bool
make_condition(struct condition *out)
{
    uint64_t version;

    *out = (struct condition){{0}, {NULL, NULL}};
    if (options.condition == NULL)
        return true;
    if (!cmd_parse_unsigned(options.condition, INT64_MAX, &version))
        return false;
    if (version == 0)
        (void)snprintf(out->line, sizeof(out->line), "If-None-Match: *");
    else
        (void)snprintf(out->line, sizeof(out->line), "If-Match: \"%" PRIu64 "\"", version);
    out->headers[0] = out->line;
    return true;
}

/* The JSON of an answer that is one; NULL and the exit code else. */
static json_t *
send_json(struct api *api, const struct api_request *request, int *code)
{
    struct api_answer answer = {0};
    json_t *json = NULL;
    struct diag diag;
    int err;

    diag_init(&diag);
    *code = CMD_EXIT_OK;
    err = api_send(api, request, &answer, &diag);
    if (err != 0) {
        *code = cmd_fail(err, &diag);
    } else if (answer.status >= 300) {
        *code = api_fail(&answer);
    } else {
        json = json_loadb((const char *)answer.body.bytes, answer.body.count, 0, NULL);
        if (json == NULL)
            *code = CMD_EXIT_FAILED;
    }
    api_answer_fini(&answer);
    return json;
}

static long long
number_of(const json_t *json, const char *name)
{
    return (long long)json_integer_value(json_object_get(json, name));
}

/* ------------------------------------------------------------------------------- ls */

/* Of the page's answer, all of it moved to the end of `all`. The next page's after, or NULL. */
static const char *
take_page(json_t *all, json_t *page)
{
    (void)json_array_extend(json_object_get(all, "state"), json_object_get(page, "state"));
    return json_string_value(json_object_get(page, "next"));
}

static int
state_list(struct api *api, char **args, int count)
{
    static const char *const columns[] = {"key", "kind", ">bytes", ">version", ">lives_s:lives"};
    json_t *all = json_pack("{s:[]}", "state"), *page = NULL;
    const char *after = "";
    int code = CMD_EXIT_OK;

    while (after != NULL) {
        char *path =
            api_path("/v1/state?limit=1000&prefix=%s&after=%s", count > 0 ? args[0] : "", after);

        json_decref(page);
        page = api_ask(api, "GET", path, NULL, &code);
        free(path);
        after = page != NULL ? take_page(all, page) : NULL;
    }
    if (page != NULL)
        return json_decref(page), api_show(api, all, "state", columns, ARRAY_COUNT(columns));
    json_decref(all);
    return code;
}

/* ------------------------------------------------------------------------------ records */

static int
digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* What the gateway wrote; ends where it is none. */
static void
decode(const char *text, struct buffer *out)
{
    uint32_t bits = 0;
    unsigned count = 0;

    for (int digit; (digit = digit_of(*text)) >= 0; text++) {
        bits = bits << 6 | (uint32_t)digit;
        count += 6;
        if (count >= 8) {
            const uint8_t byte = (uint8_t)(bits >> (count - 8));

            buffer_append(out, &byte, 1);
            count -= 8;
        }
    }
}

static int
write_records(const json_t *page, int fd)
{
    struct buffer out = {0};
    const json_t *record;
    size_t i;
    int err;

    json_array_foreach(json_object_get(page, "records"), i, record)
    {
        const char *text = json_string_value(json_object_get(record, "base64"));

        decode(text != NULL ? text : "", &out);
        buffer_append(&out, "\n", 1);
    }
    err = out.err != 0 ? out.err : file_write_all(fd, out.bytes, out.count);
    buffer_fini(&out);
    return err;
}

/* -------------------------------------------------------------------------------- get */

/* A value that is read part by part. */
struct reading {
    struct api *api;
    const char *key;
    int fd;          /* -1: not opened yet */
    char part[4096]; /* beside the file of -o, which it replaces; "": none */
    uint64_t offset, size;
    char *version; /* owned; NULL: nothing was read */
    bool is_log;
};

/* A file is replaced by the whole value, or left as it is. */
static int
open_output(struct reading *reading, struct diag *diag)
{
    const char *path = options.output;
    struct stat status;

    if (reading->fd >= 0)
        return 0;
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode)) {
        (void)snprintf(reading->part, sizeof(reading->part), "%.4000s.part", path);
        path = reading->part;
    }
    reading->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (reading->fd >= 0)
        return 0;
    reading->part[0] = '\0';
    return diag_set(diag, -errno, "%s: %s", path, strerror(errno));
}

static int
close_output(struct reading *reading, bool is_whole)
{
    int err = 0;

    if (reading->fd < 0 || options.output == NULL)
        return 0;
    if (close(reading->fd) != 0)
        err = -errno;
    if (reading->part[0] != '\0' && is_whole && err == 0 &&
        rename(reading->part, options.output) != 0)
        err = -errno;
    if (reading->part[0] != '\0' && (!is_whole || err != 0))
        (void)unlink(reading->part);
    return err;
}

static uint64_t
header_number(const struct api_answer *answer, const char *name)
{
    char *text = api_header(answer, name);
    uint64_t number = 0;

    if (text == NULL || !cmd_parse_unsigned(text, UINT64_MAX, &number))
        number = 0;
    free(text);
    return number;
}

/* From the beginning again, where what was written can be taken back. */
static int
start_again(struct reading *reading, struct diag *diag)
{
    free(reading->version);
    reading->version = NULL;
    if (reading->offset > 0 &&
        (ftruncate(reading->fd, 0) != 0 || lseek(reading->fd, 0, SEEK_SET) != 0))
        return diag_set(diag, -EAGAIN, "%s has changed while it was read: try again, or use -o",
                        reading->key);
    reading->offset = 0;
    return 0;
}

static int
take_part(struct reading *reading, const struct api_answer *answer, struct diag *diag)
{
    char *version = api_header(answer, "Weft-Version");
    int err;

    if (reading->version != NULL && version != NULL && strcmp(version, reading->version) != 0) {
        free(version);
        return start_again(reading, diag);
    }
    free(reading->version);
    reading->version = version;
    reading->size = header_number(answer, "Weft-Size");
    err = open_output(reading, diag);
    if (err == 0)
        err = file_write_all(reading->fd, answer->body.bytes, answer->body.count);
    reading->offset += answer->body.count;
    return err;
}

static bool
is_log(const struct api_answer *answer)
{
    return answer->status == 409 &&
           strstr((const char *)answer->body.bytes, "\"state_is_log\"") != NULL;
}

/* Sets is_log where it is one: nothing is read then. */
static int
read_part(struct reading *reading, int *code, struct diag *diag)
{
    char *name = api_path("/v1/state/%s", reading->key), path[2048];
    struct api_request get = API_REQUEST("GET", path);
    struct api_answer answer = {0};
    int err;

    (void)snprintf(path, sizeof(path), "%s?offset=%" PRIu64 "&count=%" PRIu64, name,
                   reading->offset, PART_BYTES);
    err = api_send(reading->api, &get, &answer, diag);
    if (err == 0 && is_log(&answer))
        reading->is_log = true;
    else if (err == 0 && answer.status == 416 && reading->offset > 0)
        err = start_again(reading, diag); /* it is shorter now */
    else if (err == 0 && answer.status >= 300)
        *code = api_fail(&answer);
    else if (err == 0)
        err = take_part(reading, &answer, diag);
    api_answer_fini(&answer);
    free(name);
    return err;
}

static int
read_value(struct reading *reading)
{
    struct diag diag;
    int code = CMD_EXIT_OK, err = 0;
    unsigned parts = 0;

    diag_init(&diag);
    do {
        err = read_part(reading, &code, &diag);
        if (++parts > PARTS_MAX)
            err = diag_set(&diag, -EAGAIN, "%s changes all the time", reading->key);
    } while (err == 0 && code == CMD_EXIT_OK && !reading->is_log &&
             (reading->version == NULL || reading->offset < reading->size));
    free(reading->version);
    return err != 0 ? cmd_fail(err, &diag) : code;
}

static int
get_records(struct reading *reading)
{
    struct api *api = reading->api;
    long long from = 0;
    bool is_end = false;
    struct diag diag;
    int code = CMD_EXIT_OK, err;

    diag_init(&diag);
    err = open_output(reading, &diag);

    while (err == 0 && !is_end && code == CMD_EXIT_OK) {
        char *name = api_path("/v1/state/%s/records", reading->key), path[2048];
        json_t *page;

        (void)snprintf(path, sizeof(path), "%s?limit=1000&from=%lld", name, from);
        page = api_ask(api, "GET", path, NULL, &code);
        is_end = json_array_size(json_object_get(page, "records")) == 0;
        if (page != NULL && api->is_json && !is_end)
            api_print(api, page);
        else if (page != NULL)
            err = write_records(page, reading->fd);
        from = number_of(page, "next");
        json_decref(page);
        free(name);
    }
    return err != 0 ? cmd_fail(err, &diag) : code;
}

static int
state_get(struct api *api, char **args, int count)
{
    struct reading reading = {
        .api = api, .key = args[0], .fd = options.output != NULL ? -1 : STDOUT_FILENO};
    int code = read_value(&reading), err;

    (void)count;
    if (reading.is_log)
        code = get_records(&reading);
    err = close_output(&reading, code == CMD_EXIT_OK);
    return code == CMD_EXIT_OK && err != 0 ? cmd_fail(err, NULL) : code;
}

/* --------------------------------------------------------------------- put, rm, add */

/* Prints the answer, or this of it. */
static int
tell(struct api *api, json_t *answer, int code, const char *name)
{
    if (answer == NULL)
        return code;
    if (api->is_json)
        api_print(api, answer);
    else if (json_is_real(json_object_get(answer, name)))
        (void)printf("%.17g\n", json_real_value(json_object_get(answer, name)));
    else if (json_is_string(json_object_get(answer, name)))
        (void)printf("%s\n", json_string_value(json_object_get(answer, name)));
    else
        (void)printf("%s%lld\n", strcmp(name, "version") == 0 ? "version " : "",
                     number_of(answer, name));
    json_decref(answer);
    return CMD_EXIT_OK;
}

static int
state_put(struct api *api, char **args, int count)
{
    bool is_input = strcmp(args[1], "-") == 0;
    char *name = api_path("/v1/state/%s", args[0]), path[2048];
    struct api_request put = API_REQUEST("PUT", path);
    struct condition condition;
    json_t *answer;
    int code;

    (void)count;
    (void)snprintf(path, sizeof(path), "%s?lives_s=%" PRIu64, name, options.lives_s);
    free(name);
    if (!make_condition(&condition))
        return cmd_usage("state", "put: %s is no version", options.condition);
    put.headers = condition.headers;
    put.type = "application/octet-stream";
    put.progress = args[1];
    put.body_fd = is_input ? STDIN_FILENO : open(args[1], O_RDONLY | O_CLOEXEC);
    if (put.body_fd < 0) {
        (void)fprintf(stderr, "weft: %s: %s\n", args[1], strerror(errno));
        return CMD_EXIT_INPUT;
    }
    answer = send_json(api, &put, &code);
    if (!is_input)
        (void)close(put.body_fd);
    return tell(api, answer, code, "version");
}

static int
state_rm(struct api *api, char **args, int count)
{
    struct condition condition;
    char *path;
    json_t *answer;
    int code;

    (void)count;
    if (!make_condition(&condition))
        return cmd_usage("state", "rm: %s is no version", options.condition);
    path = api_path("/v1/state/%s", args[0]);
    {
        struct api_request rm = API_REQUEST("DELETE", path);

        rm.headers = condition.headers;
        answer = send_json(api, &rm, &code);
    }
    if (answer != NULL && !api->is_json)
        (void)printf("removed\n");
    api_print(api, answer);
    json_decref(answer);
    free(path);
    return code;
}

/* A whole number or a float, as it looks. NULL: neither. */
static json_t *
make_addition(const char *text)
{
    bool is_float = strpbrk(text, ".eE") != NULL;
    char *end = NULL;
    long long integer;
    double number;

    errno = 0;
    if (is_float) {
        number = strtod(text, &end);
        return *end != '\0' || errno != 0 ? NULL
                                          : json_pack("{s:f,s:s}", "add", number, "as", "f64");
    }
    integer = strtoll(text, &end, 10);
    return end == text || *end != '\0' || errno != 0
               ? NULL
               : json_pack("{s:I}", "add", (json_int_t)integer);
}

static int
state_add(struct api *api, char **args, int count)
{
    json_t *body = make_addition(args[1]), *answer;
    char *path;
    int code;

    (void)count;
    if (body == NULL)
        return cmd_usage("state", "add: %s is no number", args[1]);
    path = api_path("/v1/state/%s/add", args[0]);
    answer = api_ask(api, "POST", path, body, &code);
    json_decref(body);
    free(path);
    return tell(api, answer, code, "sum");
}

static int
state_append(struct api *api, char **args, int count)
{
    char *path = api_path("/v1/state/%s/append", args[0]);
    struct api_request append = API_REQUEST("POST", path);
    json_t *answer;
    int code;

    (void)count;
    append.type = "application/octet-stream";
    append.body = args[1];
    append.count = strlen(args[1]);
    answer = send_json(api, &append, &code);
    free(path);
    return tell(api, answer, code, "index");
}

static int
state_expire(struct api *api, char **args, int count)
{
    json_t *body, *answer;
    uint64_t lives_s;
    char *path;
    int code;

    (void)count;
    if (!cmd_parse_unsigned(args[1], UINT32_MAX, &lives_s))
        return cmd_usage("state", "expire: %s is no number of seconds", args[1]);
    body = json_pack("{s:I}", "lives_s", (json_int_t)lives_s);
    path = api_path("/v1/state/%s/expire", args[0]);
    answer = api_ask(api, "POST", path, body, &code);
    json_decref(body);
    free(path);
    if (answer != NULL && !api->is_json)
        (void)printf(lives_s == 0 ? "lives for ever\n" : "lives %lld s\n",
                     number_of(answer, "lives_s"));
    api_print(api, answer);
    json_decref(answer);
    return code;
}

/* ------------------------------------------------------------------------------ watch */

static void
print_event(const struct api *api, const json_t *event)
{
    char *text = api->is_json ? json_dumps(event, JSON_COMPACT) : NULL;
    const char *what = json_string_value(json_object_get(event, "what"));

    if (text != NULL)
        (void)printf("%s\n", text);
    else if (what != NULL && strcmp(what, "gone") == 0)
        (void)printf("gone\n");
    else
        (void)printf("version %lld\n", number_of(event, "version"));
    (void)fflush(stdout);
    free(text);
}

static int
state_watch(struct api *api, char **args, int count)
{
    char *name = api_path("/v1/state/%s/watch", args[0]), path[2048];
    long long version = 0;
    uint64_t told = 0;
    bool is_gone = false;
    int code = CMD_EXIT_OK;

    (void)count;
    while (code == CMD_EXIT_OK && !is_gone && (options.count == 0 || told < options.count)) {
        const char *what;
        json_t *event;

        (void)snprintf(path, sizeof(path), "%s?wait_ms=" WATCH_MS "&version=%lld", name, version);
        event = api_ask(api, "GET", path, NULL, &code);
        what = json_string_value(json_object_get(event, "what"));
        is_gone = what != NULL && strcmp(what, "gone") == 0;
        if (what != NULL && strcmp(what, "same") != 0) {
            print_event(api, event);
            version = number_of(event, "version");
            told++;
        }
        json_decref(event);
    }
    free(name);
    return code;
}

int
cmd_state(int argc, char **argv)
{
    static const struct api_verb verbs[] = {
        {"", 0, 0, state_list},       {"ls", 0, 1, state_list}, {"get", 1, 1, state_get},
        {"put", 2, 2, state_put},     {"add", 2, 2, state_add}, {"append", 2, 2, state_append},
        {"watch", 1, 1, state_watch}, {"rm", 1, 1, state_rm},   {"expire", 2, 2, state_expire}};
    const struct cmd_option known[] = {{"o", CMD_TEXT, &options.output, 0},
                                       {"if", CMD_TEXT, &options.condition, 0},
                                       {"lives", CMD_NUMBER, &options.lives_s, UINT32_MAX},
                                       {"count", CMD_NUMBER, &options.count, UINT64_MAX}};
    struct api api = {0};
    int code = cmd_options(argc, argv, help, &api, known, ARRAY_COUNT(known));

    if (code == CMD_EXIT_OK)
        return api_verbs_run(&api, argc, argv, verbs, ARRAY_COUNT(verbs));
    api_close(&api);
    return code == CMD_HELPED ? CMD_EXIT_OK : code;
}
