/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to whichever planner answers.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "crash.h"

#define ANSWER_BYTES_MAX (64u << 20)

void
crash_client_open(struct crash_client *client, struct crash_cluster *cluster)
{
    *client = (struct crash_client){.curl = curl_easy_init(), .cluster = cluster};
    if (client->curl == NULL)
        abort();
}

void
crash_client_close(struct crash_client *client)
{
    curl_easy_cleanup(client->curl);
    client->curl = NULL;
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct buffer *body = context;

    if (body->count + size * count > ANSWER_BYTES_MAX)
        return 0;
    buffer_append(body, bytes, size * count);
    return body->err == 0 ? size * count : 0;
}

static struct curl_slist *
headers_of(const struct crash_client *client, const struct crash_request *request)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    char line[512];

    (void)snprintf(line, sizeof(line), "Authorization: Bearer %s",
                   request->token != NULL ? request->token : client->cluster->token);
    list = curl_slist_append(list, line);
    if (request->tenant != NULL) {
        (void)snprintf(line, sizeof(line), "Weft-Tenant: %s", request->tenant);
        list = curl_slist_append(list, line);
    }
    if (request->key != NULL) {
        (void)snprintf(line, sizeof(line), "Idempotency-Key: %s", request->key);
        list = curl_slist_append(list, line);
    }
    return list;
}

static CURLcode
try_one(struct crash_client *client, const struct crash_request *request, struct crash_answer *out)
{
    struct curl_slist *headers = headers_of(client, request);
    CURL *curl = client->curl;
    char url[512];
    CURLcode result;

    curl_easy_reset(curl);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s",
                   client->cluster->ports[client->planner], request->path);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 2000L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                           (long)(request->timeout_ms > 0 ? request->timeout_ms : 90000));
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &out->body);
    if (strcmp(request->method, "GET") != 0) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                               request->body != NULL ? request->body : "");
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->count);
    }
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    result = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (result == CURLE_OK)
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    return result;
}

void
crash_ask(struct crash_client *client, const struct crash_request *request,
          struct crash_answer *out)
{
    uint64_t begin_ns = clock_now_ns();

    *out = (struct crash_answer){0};
    for (size_t i = 0; i < client->cluster->planner_count && out->status == 0; i++) {
        CURLcode result = try_one(client, request, out);

        out->is_late = result == CURLE_OPERATION_TIMEDOUT;
        if (result == CURLE_OK)
            break;
        out->body.count = 0;
        client->planner = (client->planner + 1) % client->cluster->planner_count;
        /* What may have been done is for the caller to ask again. */
        if (result != CURLE_COULDNT_CONNECT)
            break;
    }
    buffer_append(&out->body, "", 1);
    out->body.count -= out->body.err == 0 ? 1 : 0;
    out->took_ns = clock_now_ns() - begin_ns;
}

/* Each planner makes one where it finds none. */
bool
crash_read_token(struct crash_cluster *cluster, char out[128])
{
    struct buffer text = {0};
    char path[256];
    bool is_there;

    (void)snprintf(path, sizeof(path), "%s/data/admin.token", cluster->folder);
    is_there = file_read_all(path, 127, &text, NULL) == 0 && text.count > 0;
    if (is_there) {
        (void)memcpy(out, text.bytes, text.count);
        out[text.count] = '\0';
        out[strcspn(out, "\n")] = '\0';
    }
    buffer_fini(&text);
    return is_there;
}

json_t *
crash_get(struct crash_client *client, bool is_admin, const char *path)
{
    struct crash_request request = {.method = "GET", .path = path};
    struct crash_answer answer;
    char token[128];
    json_t *json = NULL;

    if (is_admin) {
        if (!crash_read_token(client->cluster, token))
            return NULL;
        request.token = token;
    }
    crash_ask(client, &request, &answer);
    if (answer.status == 200)
        json = json_loadb((const char *)answer.body.bytes, answer.body.count, 0, NULL);
    buffer_fini(&answer.body);
    return json;
}
