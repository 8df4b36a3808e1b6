/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to S3 by libcurl, which signs them (Signature Version 4, path style). Handles
 * are kept with their connections while nobody uses them.
 */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fault.h"
#include "store/store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#define IDLE_MAX         16u
#define ATTEMPTS_MAX     16u
#define PROGRESS_BYTES   (1u << 20) /* of one attempt, after which patience begins anew */
#define ERROR_BYTES_MAX  2048u
#define HEADER_BYTES_MAX 128u
#define EMPTY_HASH       "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct s3 {
    char base[400]; /* https://host:port/bucket */
    char name[320];
    char sign[128];
    char *credentials; /* key:secret; owned */
    char *ca_path;     /* owned; NULL: the system's */
    uint64_t patience_ns;

    pthread_mutex_t mutex;
    CURL *idle[IDLE_MAX]; /* GUARDED_BY mutex */
    size_t idle_count;    /* GUARDED_BY mutex */
};

/* One attempt. */
struct attempt {
    struct s3_request *request;
    CURL *curl;
    uint64_t sent, received;
    int err; /* of the caller's functions or the file */
    bool is_started;
    char error[ERROR_BYTES_MAX]; /* what the server says about a failure */
    size_t error_count;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_result;

static void
global_init(void)
{
    global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* --------------------------------------------------------------------- curl's questions */

static size_t
on_read(char *out, size_t size, size_t count, void *context)
{
    struct attempt *attempt = context;
    uint64_t left = attempt->request->upload_bytes - attempt->sent;
    size_t wanted = size * count < left ? size * count : (size_t)left;
    ssize_t got;

    if (wanted == 0)
        return 0;
    got = pread(attempt->request->upload_fd, out, wanted,
                attempt->request->upload_offset + (off_t)attempt->sent);
    if (got <= 0) {
        attempt->err = got < 0 ? -errno : -EIO; /* it has become shorter */
        return CURL_READFUNC_ABORT;
    }
    attempt->sent += (uint64_t)got;
    return (size_t)got;
}

static long
status_of(CURL *curl)
{
    long status = 0;

    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static uint64_t
changed_of(CURL *curl)
{
    curl_off_t changed_s = -1;

    (void)curl_easy_getinfo(curl, CURLINFO_FILETIME_T, &changed_s);
    return changed_s < 0 ? UINT64_MAX : (uint64_t)changed_s;
}

static uint64_t
length_of(CURL *curl)
{
    curl_off_t length = -1;

    (void)curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length < 0 ? 0 : (uint64_t)length;
}

static int
take(struct attempt *attempt, const char *bytes, size_t count)
{
    struct s3_request *request = attempt->request;
    int err = 0;

    if (!attempt->is_started && request->start != NULL)
        err = request->start(request->context, length_of(attempt->curl));
    attempt->is_started = true;
    if (err == 0 && request->take != NULL && count > 0)
        err = request->take(request->context, bytes, count);
    return err;
}

static size_t
on_write(char *bytes, size_t size, size_t count, void *context)
{
    struct attempt *attempt = context;
    size_t room = ERROR_BYTES_MAX - 1 - attempt->error_count;

    count *= size;
    attempt->received += count;
    if (status_of(attempt->curl) == 200) {
        attempt->err = take(attempt, bytes, count);
        return attempt->err == 0 ? count : 0;
    }
    memcpy(attempt->error + attempt->error_count, bytes, count < room ? count : room);
    attempt->error_count += count < room ? count : room;
    return count;
}

/* -------------------------------------------------------------------------- one attempt */

static int
set_common(const struct s3 *s3, struct attempt *attempt, const char *url, uint64_t left_ns)
{
    CURL *curl = attempt->curl;
    long patience_ms = (long)(s3->patience_ns / 1000000);
    CURLcode result = CURLE_OK;

#define SET(option, value) \
    if (result == CURLE_OK) \
    result = curl_easy_setopt(curl, option, value)
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_AWS_SIGV4, s3->sign);
    SET(CURLOPT_USERPWD, s3->credentials);
    SET(CURLOPT_CONNECTTIMEOUT_MS, patience_ms / 3 + 1);
    SET(CURLOPT_WRITEFUNCTION, on_write);
    SET(CURLOPT_WRITEDATA, attempt);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_READDATA, attempt);
    if (s3->ca_path != NULL)
        SET(CURLOPT_CAINFO, s3->ca_path);
    /* What may be long has patience as long as bytes come; what is short has only so much. */
    if (attempt->request->take != NULL || attempt->request->upload_bytes > 0) {
        SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
        SET(CURLOPT_LOW_SPEED_TIME, patience_ms / 3000 + 1);
    } else {
        SET(CURLOPT_TIMEOUT_MS, (long)(left_ns / 1000000) + 1);
    }
    return result == CURLE_OK ? 0 : -ENOMEM;
}

static int
set_method(struct attempt *attempt)
{
    const struct s3_request *request = attempt->request;
    CURL *curl = attempt->curl;
    CURLcode result = CURLE_OK;

    if (strcmp(request->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        SET(CURLOPT_FILETIME, 1L);
    } else if (strcmp(request->method, "PUT") == 0) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->upload_bytes);
    } else {
        SET(CURLOPT_HTTPGET, 1L);
        SET(CURLOPT_CUSTOMREQUEST, request->method);
    }
#undef SET
    return result == CURLE_OK ? 0 : -ENOMEM;
}

static bool
add_header(struct curl_slist **headers, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*headers, text);

    if (longer == NULL)
        return false;
    *headers = longer;
    return true;
}

/* The hash of the content is part of what is signed, and the server checks it. */
static int
set_headers(struct attempt *attempt, struct curl_slist **headers)
{
    const struct s3_request *request = attempt->request;
    char text[HEADER_BYTES_MAX];

    (void)snprintf(text, sizeof(text), "x-amz-content-sha256: %s",
                   request->upload_hash == NULL ? EMPTY_HASH : request->upload_hash);
    if (!add_header(headers, text) || !add_header(headers, "Expect:") ||
        !add_header(headers, "Content-Type: application/octet-stream") ||
        curl_easy_setopt(attempt->curl, CURLOPT_HTTPHEADER, *headers) != CURLE_OK)
        return -ENOMEM;
    return 0;
}

/* The first of the server's words about a failure: <Code>NoSuchKey</Code>. */
static const char *
error_code(struct attempt *attempt)
{
    char *code, *end;

    attempt->error[attempt->error_count] = '\0';
    code = strstr(attempt->error, "<Code>");
    if (code == NULL)
        return "";
    code += strlen("<Code>");
    end = strchr(code, '<');
    if (end != NULL)
        *end = '\0';
    return code;
}

static bool
is_passing_status(long status)
{
    return status >= 500 || status == 408 || status == 429;
}

static int
judge(const struct s3 *s3, struct attempt *attempt, bool *is_passing, struct diag *diag)
{
    long status = status_of(attempt->curl);
    const char *code = error_code(attempt);

    *is_passing = is_passing_status(status) || strcmp(code, "RequestTimeout") == 0;
    /* What comes with another status than 200 was not handed on. */
    if (status == 200 || (status > 200 && status < 300 && attempt->request->take == NULL)) {
        attempt->request->answer_bytes = length_of(attempt->curl);
        attempt->request->answer_changed_s = changed_of(attempt->curl);
        /* An empty body was not either. */
        return attempt->is_started || status != 200 ? 0 : take(attempt, "", 0);
    }
    if (status == 404)
        return diag_set(diag, -ENOENT, "%s%s: not found (404 %.100s)", s3->name,
                        attempt->request->path, code);
    if (status == 401 || status == 403)
        return diag_set(diag, -EACCES,
                        "%s: refused (%ld %.100s): see the key, the secret, the region and the "
                        "time of this machine",
                        s3->name, status, code);
    return diag_set(diag, *is_passing ? -ETIMEDOUT : -EIO, "%s: %s %s: status %ld %.100s", s3->name,
                    attempt->request->method, attempt->request->path, status, code);
}

/* What trying again can help against. */
static bool
is_passing_result(CURLcode result)
{
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

static int
perform(const struct s3 *s3, struct attempt *attempt, bool *is_passing, struct diag *diag)
{
    char reason[CURL_ERROR_SIZE] = "";
    int err = fault_point("store.s3.run");
    CURLcode result = CURLE_RECV_ERROR;

    (void)curl_easy_setopt(attempt->curl, CURLOPT_ERRORBUFFER, reason);
    if (err == 0)
        result = curl_easy_perform(attempt->curl);
    (void)curl_easy_setopt(attempt->curl, CURLOPT_ERRORBUFFER, NULL);
    if (attempt->err != 0) {
        *is_passing = false;
        return diag_set(diag, attempt->err, "%s%s: %s", s3->name, attempt->request->path,
                        strerror(-attempt->err));
    }
    if (result == CURLE_OK)
        return judge(s3, attempt, is_passing, diag);
    *is_passing = is_passing_result(result);
    return diag_set(diag, *is_passing ? -ETIMEDOUT : -EIO, "%s: %s", s3->name,
                    reason[0] != '\0' ? reason : curl_easy_strerror(result));
}

static int
run_once(const struct s3 *s3, struct attempt *attempt, uint64_t left_ns, bool *is_passing,
         struct diag *diag)
{
    const struct s3_request *request = attempt->request;
    struct curl_slist *headers = NULL;
    struct buffer url = {0};
    int err;

    *is_passing = false;
    buffer_append_format(&url, "%s%s%s%s", s3->base, request->path,
                         request->query == NULL ? "" : "?",
                         request->query == NULL ? "" : request->query);
    buffer_append(&url, "", 1);
    err = url.err;
    if (err == 0)
        err = set_common(s3, attempt, (const char *)url.bytes, left_ns);
    if (err == 0)
        err = set_method(attempt);
    if (err == 0)
        err = set_headers(attempt, &headers);
    if (err == 0)
        err = perform(s3, attempt, is_passing, diag);
    curl_easy_reset(attempt->curl); /* the connection stays */
    curl_slist_free_all(headers);
    buffer_fini(&url);
    return err;
}

/* ------------------------------------------------------------------------------- door */

static CURL *
take_handle(struct s3 *s3)
{
    CURL *curl = NULL;

    (void)pthread_mutex_lock(&s3->mutex);
    if (s3->idle_count > 0)
        curl = s3->idle[--s3->idle_count];
    (void)pthread_mutex_unlock(&s3->mutex);
    return curl != NULL ? curl : curl_easy_init();
}

static void
give_handle(struct s3 *s3, CURL *curl)
{
    (void)pthread_mutex_lock(&s3->mutex);
    if (s3->idle_count < IDLE_MAX) {
        s3->idle[s3->idle_count++] = curl;
        curl = NULL;
    }
    (void)pthread_mutex_unlock(&s3->mutex);
    if (curl != NULL)
        curl_easy_cleanup(curl);
}

int
s3_run(struct s3 *s3, struct s3_request *request, struct diag *diag)
{
    struct attempt attempt;
    struct store_sigpipe guard;
    struct store_retry retry;
    struct diag last;
    bool is_passing;
    int err;

    attempt.curl = take_handle(s3);
    if (attempt.curl == NULL)
        return -ENOMEM;
    store_retry_init(&retry, s3->patience_ns);
    store_sigpipe_block(&guard);
    for (;;) {
        attempt = (struct attempt){.request = request, .curl = attempt.curl};
        diag_init(&last);
        err = run_once(s3, &attempt, store_retry_left_ns(&retry), &is_passing, &last);
        if (err == 0 || !is_passing || retry.attempts >= ATTEMPTS_MAX)
            break;
        if (attempt.sent + attempt.received >= PROGRESS_BYTES)
            store_retry_extend(&retry);
        if (!store_retry_wait(&retry))
            break;
    }
    store_sigpipe_restore(&guard);
    give_handle(s3, attempt.curl);
    if (err != 0 && is_passing)
        return diag_set(diag, -ETIMEDOUT, "no answer after %u attempts: %s", retry.attempts,
                        diag_text(&last));
    return err == 0 ? 0 : diag_set(diag, err, "%s", diag_text(&last));
}

const char *
s3_name(const struct s3 *s3)
{
    return s3->name;
}

void
s3_close(struct s3 *s3)
{
    for (size_t i = 0; i < s3->idle_count; i++)
        curl_easy_cleanup(s3->idle[i]);
    if (s3->credentials != NULL)
        explicit_bzero(s3->credentials, strlen(s3->credentials));
    free(s3->credentials);
    free(s3->ca_path);
    (void)pthread_mutex_destroy(&s3->mutex);
    free(s3);
}

static bool
is_region(const char *region)
{
    size_t count = strlen(region);

    return count >= 1 && count <= 40 &&
           strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == count;
}

static int
set_credentials(struct s3 *s3, const struct store_config *config, struct diag *diag)
{
    const char *region = config->s3_region == NULL ? "us-east-1" : config->s3_region;

    if (!is_region(region))
        return diag_set(diag, -EINVAL, "%s: the region is lower-case letters, digits and -",
                        s3->name);
    /* libcurl splits the two at the first colon. */
    if (config->s3_key == NULL || config->s3_secret == NULL || config->s3_key[0] == '\0' ||
        strchr(config->s3_key, ':') != NULL)
        return diag_set(diag, -EINVAL, "%s: needs a key (without a colon) and a secret", s3->name);
    (void)snprintf(s3->sign, sizeof(s3->sign), "aws:amz:%s:s3", region);
    if (asprintf(&s3->credentials, "%s:%s", config->s3_key, config->s3_secret) < 0) {
        s3->credentials = NULL;
        return -ENOMEM;
    }
    if (config->ca_path == NULL)
        return 0;
    s3->ca_path = strdup(config->ca_path);
    return s3->ca_path == NULL ? -ENOMEM : 0;
}

int
s3_open(const struct store_config *config, const struct store_address *address, struct s3 **out,
        struct diag *diag)
{
    struct s3_request head = {.method = "HEAD", .path = ""};
    struct s3 *s3 = calloc(1, sizeof(*s3));
    int err;

    if (s3 == NULL)
        return -ENOMEM;
    (void)pthread_mutex_init(&s3->mutex, NULL);
    s3->patience_ns = config->patience_ns;
    (void)snprintf(s3->name, sizeof(s3->name), "%s", address->name);
    (void)snprintf(s3->base, sizeof(s3->base), "%s", address->name);
    (void)pthread_once(&global_once, global_init);
    err = global_result == CURLE_OK ? set_credentials(s3, config, diag) : -ENOMEM;
    if (err == 0)
        err = s3_run(s3, &head, diag);
    if (err != 0) {
        s3_close(s3);
        return err;
    }
    *out = s3;
    return 0;
}
