/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes with a request: small things on the heap, uploads in a nameless file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "gateway/gateway_internal.h"

#define FIRST_BYTES 4096u

static bool
is_asynchronous(const struct gateway_request *request)
{
    const char *async = gateway_query(request, "async");
    const char *prefer = gateway_header(request, "Prefer");

    return (async != NULL && strcmp(async, "1") == 0) ||
           (prefer != NULL && strstr(prefer, "respond-async") != NULL);
}

static int
open_file(const struct gateway_request *request)
{
    int fd = open(request->gateway->config.cache, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        fd = memfd_create("upload", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void
gateway_body_begin(struct gateway_request *request)
{
    static const uint64_t most[] = {[GATEWAY_NOTHING] = GATEWAY_NOTHING_BYTES_MAX,
                                    [GATEWAY_JSON] = GATEWAY_JSON_BYTES_MAX,
                                    [GATEWAY_INPUT] = GATEWAY_INPUT_BYTES_MAX,
                                    [GATEWAY_BATCH] = GATEWAY_BATCH_BYTES_MAX,
                                    [GATEWAY_UPLOAD] = GATEWAY_BODY_BYTES_MAX};
    enum gateway_intake intake = request->route->intake;
    struct gateway_body *body = &request->body;

    body->max = most[intake];
    if (intake == GATEWAY_INPUT && is_asynchronous(request))
        body->max = GATEWAY_ASYNC_BYTES_MAX;
    if (intake == GATEWAY_UPLOAD) {
        body->fd = open_file(request);
        if (body->fd < 0) {
            body->err = body->fd;
            body->fd = -1;
        }
    }
}

/* What all bodies together may take of the heap is counted in steps of their capacity. */
static int
grow(struct gateway_request *request, size_t count)
{
    struct gateway_body *body = &request->body;
    _Atomic uint64_t *all = &request->gateway->heap_bytes;
    size_t capacity = body->capacity == 0 ? FIRST_BYTES : body->capacity;
    uint8_t *bytes;

    while (capacity < body->count + count)
        capacity *= 2;
    if (capacity == body->capacity)
        return 0;
    if (atomic_fetch_add_explicit(all, capacity - body->capacity, memory_order_relaxed) + capacity -
            body->capacity >
        GATEWAY_HEAP_BYTES_MAX) {
        (void)atomic_fetch_sub_explicit(all, capacity - body->capacity, memory_order_relaxed);
        return -ENOMEM;
    }
    bytes = realloc(body->bytes, capacity);
    if (bytes == NULL) {
        (void)atomic_fetch_sub_explicit(all, capacity - body->capacity, memory_order_relaxed);
        return -ENOMEM;
    }
    body->bytes = bytes;
    body->capacity = capacity;
    return 0;
}

void
gateway_body_append(struct gateway_request *request, const void *bytes, size_t count)
{
    struct gateway_body *body = &request->body;

    if (body->is_too_large || count > body->max - body->count) {
        body->is_too_large = true;
        body->count += count;
        return;
    }
    if (body->err == 0 && body->fd >= 0)
        body->err = file_write_all(body->fd, bytes, count);
    else if (body->err == 0)
        body->err = grow(request, count);
    if (body->err == 0 && body->fd < 0)
        (void)memcpy(body->bytes + body->count, bytes, count);
    body->count += count;
}

/* Whether it came as it may: else an answer says why not. */
void
gateway_body_end(struct gateway_request *request)
{
    const struct gateway_body *body = &request->body;

    if (body->is_too_large)
        (void)gateway_fail(request, MHD_HTTP_CONTENT_TOO_LARGE, "too_large",
                           "send less, or keep it as a file or blob and name that",
                           "the body has more than the %llu bytes that may be sent here",
                           (unsigned long long)body->max);
    else if (body->err == -ENOMEM)
        (void)gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "try again in a moment",
                           "there is no memory for more bodies at this moment");
    else if (body->err != 0)
        (void)gateway_fail(request, MHD_HTTP_INSUFFICIENT_STORAGE, "upload_failed",
                           "ask whoever runs this cluster to look at its disk",
                           "the body cannot be kept: %s", strerror(-body->err));
}

void
gateway_body_fini(struct gateway_request *request)
{
    struct gateway_body *body = &request->body;

    if (body->is_mapped)
        (void)munmap(body->bytes, body->count);
    else
        free(body->bytes);
    if (body->capacity > 0)
        (void)atomic_fetch_sub_explicit(&request->gateway->heap_bytes, body->capacity,
                                        memory_order_relaxed);
    file_close(&body->fd);
}

bool
gateway_body_map(struct gateway_request *request, uint64_t max)
{
    struct gateway_body *body = &request->body;
    void *bytes;

    if (body->count > max) {
        body->max = max;
        body->is_too_large = true;
        gateway_body_end(request);
        return false;
    }
    if (body->is_mapped || body->fd < 0 || body->count == 0)
        return true;
    bytes = mmap(NULL, body->count, PROT_READ, MAP_PRIVATE, body->fd, 0);
    if (bytes == MAP_FAILED) {
        (void)gateway_refuse(request, -errno, "upload_failed", NULL);
        return false;
    }
    body->bytes = bytes;
    body->is_mapped = true;
    return true;
}

json_t *
gateway_body_json(struct gateway_request *request)
{
    const struct gateway_body *body = &request->body;
    json_t *object = NULL;
    struct diag diag;

    diag_init(&diag);
    if (body->count == 0)
        return json_object();
    if (gateway_json_load(body->bytes, body->count, &object, &diag) != 0)
        (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "json_invalid",
                           "send JSON as /openapi.json describes it", "%s", diag_text(&diag));
    return object;
}

json_t *
gateway_body_fields(struct gateway_request *request, const struct gateway_field *fields,
                    size_t count)
{
    json_t *object = gateway_body_json(request);
    struct diag diag;

    diag_init(&diag);
    if (object == NULL)
        return NULL;
    if (!json_is_object(object))
        (void)diag_set(&diag, -EINVAL, "the body must be an object");
    if (!diag.is_set && gateway_fields(object, fields, count, &diag) == 0)
        return object;
    json_decref(object);
    (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "field_invalid",
                       "send JSON as /openapi.json describes it", "%s", diag_text(&diag));
    return NULL;
}
