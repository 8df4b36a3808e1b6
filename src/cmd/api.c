/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to a gateway, by libcurl.
 */
#include "cmd/api.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define ANSWER_BYTES_MAX  (UINT64_C(512) << 20)
#define HEADERS_BYTES_MAX 65536u
#define PROGRESS_NS       UINT64_C(100000000)

/* ---------------------------------------------------------------------------- options */

static char *
copy_of(const char *text)
{
    return text != NULL && text[0] != '\0' ? strdup(text) : NULL;
}

static void
set(char **field, const char *value)
{
    free(*field);
    *field = copy_of(value);
}

bool
api_option(struct api *api, int option, const char *value)
{
    switch (option) {
    case API_OPTION_FIRST:
        set(&api->address, value);
        break;
    case API_OPTION_FIRST + 1:
        set(&api->token, value);
        break;
    case API_OPTION_FIRST + 2:
        set(&api->tenant, value);
        break;
    case API_OPTION_FIRST + 3:
        api->ca = value;
        break;
    case API_OPTION_FIRST + 4:
        api->is_json = true;
        break;
    case API_OPTION_FIRST + 5:
        api->is_admin = true;
        break;
    case API_OPTION_FIRST + 6:
        api->is_quiet = true;
        break;
    default:
        return false;
    }
    return true;
}

bool
api_parse(struct api *api, int argc, char **argv, const char *help, int *code)
{
    *code = cmd_options(argc, argv, help, api, NULL, 0);
    if (*code == CMD_EXIT_OK)
        return true;
    api_close(api);
    *code = *code == CMD_HELPED ? CMD_EXIT_OK : *code;
    return false;
}

int
api_verbs(int argc, char **argv, const char *help, const struct api_verb *verbs, size_t count)
{
    struct api api = {0};
    int code;

    return api_parse(&api, argc, argv, help, &code) ? api_verbs_run(&api, argc, argv, verbs, count)
                                                    : code;
}

int
api_verbs_run(struct api *api, int argc, char **argv, const struct api_verb *verbs, size_t count)
{
    const struct api_verb *verb = &verbs[0];
    const char *command = argv[0];
    int code;

    argv += optind;
    argc -= optind;
    for (size_t i = 1; argc > 0 && i < count; i++)
        if (strcmp(argv[0], verbs[i].name) == 0)
            verb = &verbs[i];
    if (verb->name[0] != '\0') {
        argv++;
        argc--;
    }
    if (argc < verb->min || argc > verb->max) {
        api_close(api);
        return cmd_usage(
            command, argc < verb->min ? "%s%ssomething is missing" : "%s%s%s is not expected",
            verb->name, verb->name[0] != '\0' ? ": " : "", argc > verb->max ? argv[verb->max] : "");
    }
    if (!api_open(api, &code))
        return code;
    code = verb->run(api, argv, argc);
    api_close(api);
    return code;
}

/* Option, else environment, else settings. */
static void
settle(char **field, const char *variable, const json_t *settings, const char *name)
{
    if (*field == NULL && variable != NULL)
        set(field, getenv(variable));
    if (*field == NULL && settings != NULL)
        set(field, json_string_value(json_object_get(settings, name)));
}

bool
api_open(struct api *api, int *code)
{
    struct diag diag;
    json_t *settings;

    diag_init(&diag);
    settings = api_settings_load(&diag);
    if (settings == NULL) {
        *code = cmd_fail(-EINVAL, &diag);
        api_close(api);
        return false;
    }
    settle(&api->address, "WEFT_ADDRESS", settings, "address");
    if (api->address == NULL)
        set(&api->address, API_ADDRESS_DEFAULT);
    settle(&api->token, api->is_admin ? "WEFT_ADMIN_TOKEN" : "WEFT_TOKEN", NULL, NULL);
    /* The tenant of the settings goes with their token only. */
    settle(&api->tenant, "WEFT_TENANT", api->token == NULL ? settings : NULL, "tenant");
    settle(&api->token, NULL, settings, api->is_admin ? "admin_token" : "token");
    if (api->ca == NULL) /* as long as the program runs */
        api->ca = copy_of(json_string_value(json_object_get(settings, "ca")));
    json_decref(settings);
    api->curl = curl_easy_init();
    if (api->token == NULL || api->curl == NULL) {
        (void)fprintf(stderr, api->curl == NULL
                                  ? "weft: libcurl cannot be used\n"
                                  : "weft: no token: start a cluster with weft up, or give "
                                    "--token, WEFT_TOKEN, or weft config token ...\n");
        *code = CMD_EXIT_INPUT;
        api_close(api);
        return false;
    }
    return true;
}

void
api_use_admin(struct api *api)
{
    struct diag diag;
    json_t *settings;
    char *token = NULL;

    diag_init(&diag);
    settings = api_settings_load(&diag);
    settle(&token, "WEFT_ADMIN_TOKEN", settings, "admin_token");
    json_decref(settings);
    if (token == NULL)
        return;
    free(api->token);
    api->token = token;
}

void
api_close(struct api *api)
{
    if (api->curl != NULL)
        curl_easy_cleanup(api->curl);
    free(api->address);
    free(api->token);
    free(api->tenant);
    *api = (struct api){0};
}

/* --------------------------------------------------------------------------- requests */

/* What libcurl calls back with. */
struct transfer {
    struct api *api;
    const struct api_request *request;
    struct api_answer *answer;
    size_t sent;
    uint64_t told_ns;
    bool is_ended; /* by on_data */
};

static size_t
on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct buffer *headers = &transfer->answer->headers;

    if (headers->count + size * count > HEADERS_BYTES_MAX)
        return 0;
    buffer_append(headers, bytes, size * count);
    return size * count;
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct buffer *body = &transfer->answer->body;
    long status = 0;

    (void)curl_easy_getinfo(transfer->api->curl, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->request->on_data != NULL && status == 200) {
        transfer->is_ended =
            !transfer->request->on_data(transfer->request->context, bytes, size * count);
        return transfer->is_ended ? 0 : size * count;
    }
    if (body->count + size * count > ANSWER_BYTES_MAX)
        return 0;
    buffer_append(body, bytes, size * count);
    return body->err != 0 ? 0 : size * count;
}

static size_t
on_read(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    ssize_t done = read(transfer->request->body_fd, bytes, size * count);

    return done < 0 ? CURL_READFUNC_ABORT : (size_t)done;
}

static int
on_progress(void *context, curl_off_t to_get, curl_off_t got, curl_off_t to_send, curl_off_t sent)
{
    struct transfer *transfer = context;
    uint64_t now_ns = clock_now_ns();

    (void)to_get;
    (void)got;
    if (transfer->request->progress == NULL || now_ns - transfer->told_ns < PROGRESS_NS)
        return 0;
    transfer->told_ns = now_ns;
    if (to_send > 0 && sent < to_send)
        api_progress(transfer->api, "%s: %.1f of %.1f MB", transfer->request->progress,
                     (double)sent / 1e6, (double)to_send / 1e6);
    else
        api_progress(transfer->api, "%s: the gateway works", transfer->request->progress);
    return 0;
}

static struct curl_slist *
make_headers(const struct api *api, const struct api_request *request)
{
    struct curl_slist *list = NULL;
    char line[1024];

    (void)snprintf(line, sizeof(line), "Authorization: Bearer %s", api->token);
    list = curl_slist_append(list, line);
    (void)snprintf(line, sizeof(line), "Content-Type: %s",
                   request->type != NULL ? request->type : "application/json");
    list = curl_slist_append(list, line);
    list = curl_slist_append(list, "Expect:");
    if (api->tenant != NULL) {
        (void)snprintf(line, sizeof(line), "Weft-Tenant: %s", api->tenant);
        list = curl_slist_append(list, line);
    }
    for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
        list = curl_slist_append(list, request->headers[i]);
    return list;
}

static void
set_body(CURL *curl, struct transfer *transfer)
{
    const struct api_request *request = transfer->request;
    struct stat status;

    if (request->body == NULL && request->body_fd >= 0 && fstat(request->body_fd, &status) == 0) {
        (void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        (void)curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
        if (S_ISREG(status.st_mode))
            (void)curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)status.st_size);
    } else if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        (void)curl_easy_setopt(curl, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                               request->body != NULL ? request->body : "");
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->count);
    }
    if (strcmp(request->method, "HEAD") == 0)
        (void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
}

static int
explain(const struct api *api, CURLcode result, const char *detail, struct diag *diag)
{
    const char *text = detail[0] != '\0' ? detail : curl_easy_strerror(result);

    switch (result) {
    case CURLE_COULDNT_CONNECT:
        return diag_set(diag, -ECONNREFUSED, "nobody answers at %s: is it up (weft up)? (%s)",
                        api->address, text);
    case CURLE_PEER_FAILED_VERIFICATION:
        return diag_set(diag, -EACCES, "%s: its certificate is not trusted (--ca): %s",
                        api->address, text);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return diag_set(diag, -EINVAL, "%s is no address: http://host:port", api->address);
    case CURLE_OPERATION_TIMEDOUT:
        return diag_set(diag, -ETIMEDOUT, "%s: %s", api->address, text);
    default:
        return diag_set(diag, -EIO, "%s: %s", api->address, text);
    }
}

/* What is to be called back with what. */
static void
set_callbacks(CURL *curl, struct transfer *transfer)
{
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

int
api_send(struct api *api, const struct api_request *request, struct api_answer *out,
         struct diag *diag)
{
    struct transfer transfer = {.api = api, .request = request, .answer = out};
    struct curl_slist *headers = make_headers(api, request);
    char url[8192], detail[CURL_ERROR_SIZE] = "";
    CURL *curl = api->curl;
    CURLcode result;

    (void)memset(out, 0, sizeof(*out));
    (void)snprintf(url, sizeof(url), "%s%s", api->address, request->path);
    curl_easy_reset(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* a key may be called .. */
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    set_callbacks(curl, &transfer);
    if (api->ca != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, api->ca);
    set_body(curl, &transfer);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    result = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    api_progress_end(api);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    buffer_append(&out->body, "", 1);
    buffer_append(&out->headers, "", 1);
    if (out->body.err == 0)
        out->body.count--;
    if (result == CURLE_OK || transfer.is_ended)
        return out->body.err;
    return explain(api, result, detail, diag);
}

void
api_answer_fini(struct api_answer *answer)
{
    buffer_fini(&answer->body);
    buffer_fini(&answer->headers);
}

char *
api_header(const struct api_answer *answer, const char *name)
{
    size_t count = strlen(name);
    const char *line = (const char *)answer->headers.bytes;

    for (; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncasecmp(line, name, count) == 0 && line[count] == ':') {
            const char *value = line + count + 1 + strspn(line + count + 1, " \t");

            return strndup(value, strcspn(value, "\r\n"));
        }
    }
    return NULL;
}

/* -------------------------------------------------------------------------- for people */

static const char *
text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

int
api_fail(const struct api_answer *answer)
{
    json_t *all = json_loadb((const char *)answer->body.bytes, answer->body.count, 0, NULL);
    const json_t *error = json_object_get(all, "error");
    int code = answer->status >= 500 ? CMD_EXIT_FAILED : CMD_EXIT_INPUT;

    if (error == NULL) {
        (void)fprintf(stderr, "weft: the gateway answers %ld\n", answer->status);
    } else {
        (void)fprintf(stderr, "weft: %s\n", text_of(error, "message"));
        if (text_of(error, "backtrace")[0] != '\0')
            (void)fprintf(stderr, "%s\n", text_of(error, "backtrace"));
        if (text_of(error, "hint")[0] != '\0')
            (void)fprintf(stderr, "      %s\n", text_of(error, "hint"));
    }
    json_decref(all);
    return code;
}

json_t *
api_ask(struct api *api, const char *method, const char *path, const json_t *body, int *code)
{
    struct api_request request = API_REQUEST(method, path);
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    struct api_answer answer;
    json_t *result = NULL;
    struct diag diag;
    int err;

    diag_init(&diag);
    request.body = text;
    request.count = text != NULL ? strlen(text) : 0;
    err = api_send(api, &request, &answer, &diag);
    free(text);
    *code = CMD_EXIT_OK;
    if (err != 0) {
        *code = cmd_fail(err, &diag);
    } else if (answer.status >= 300) {
        *code = api_fail(&answer);
    } else {
        result = answer.body.count == 0
                     ? json_object()
                     : json_loadb((const char *)answer.body.bytes, answer.body.count, 0, NULL);
        if (result == NULL) {
            (void)fprintf(stderr, "weft: %s does not answer with JSON: is it a Weft gateway?\n",
                          api->address);
            *code = CMD_EXIT_FAILED;
        }
    }
    api_answer_fini(&answer);
    return result;
}

int
api_do(struct api *api, const char *method, char *path, json_t *body, const char *sentence)
{
    int code;
    json_t *answer = api_ask(api, method, path, body, &code);

    free(path);
    json_decref(body);
    if (answer == NULL)
        return code;
    if (api->is_json)
        api_print(api, answer);
    else if (sentence != NULL)
        (void)printf("%s\n", sentence);
    json_decref(answer);
    return CMD_EXIT_OK;
}

char *
api_path(const char *format, ...)
{
    struct buffer out = {0};
    va_list args;

    va_start(args, format);
    for (const char *c = format; *c != '\0'; c++) {
        char *escaped;

        if (c[0] != '%' || c[1] != 's') {
            buffer_append(&out, c, 1);
            continue;
        }
        c++;
        escaped = curl_easy_escape(NULL, va_arg(args, const char *), 0);
        if (escaped != NULL)
            buffer_append(&out, escaped, strlen(escaped));
        curl_free(escaped);
    }
    va_end(args);
    buffer_append(&out, "", 1);
    return (char *)out.bytes;
}
