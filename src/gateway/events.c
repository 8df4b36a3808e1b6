/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events, and the log of recent calls. A stream that has nothing to say is a
 * suspended connection; whoever appends to it resumes that.
 *
 * Locks: the space's (its list of streams), then the stream's. libmicrohttpd calls the
 * reader and the end of a stream without locks of its own that resuming takes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "gateway/gateway_internal.h"

#define PENDING_BYTES_MAX (1u << 20) /* for a client that does not read */
#define BLOCK_BYTES       4096u
#define LOGS_BYTES_MAX    (8u << 20)

struct gateway_stream {
    struct gateway_stream *next, **at; /* of the space, under its lock */
    struct gateway_space *space;
    struct MHD_Connection *connection;
    struct gateway_server *server; /* its */
    uint64_t id;
    char function[CATALOG_NAME_BYTES_MAX + 1];
    pthread_mutex_t lock;
    struct buffer out;
    size_t sent;
    bool is_starting, is_missed; /* its call ended before its first event was there */
    bool is_suspended, is_over;
};

void
gateway_log_json(struct buffer *out, const Ledger__Call *call)
{
    const Ledger__Result *result = call->result;

    gateway_json_open(out, NULL, '{');
    gateway_json_id(out, "call", call->id);
    gateway_json_text(out, "function", call->function);
    gateway_json_number(out, "version", call->version);
    gateway_json_decimal(out, "ended",
                         result != NULL ? (double)(result->ended_ns / 1000000) / 1e3 : 0);
    gateway_json_text(out, "kind",
                      gateway_kind_name(result != NULL ? result->kind : LEDGER__KIND__KIND_NONE));
    gateway_json_bytes(out, "log", result != NULL ? result->log.data : NULL,
                       result != NULL ? result->log.len : 0);
    gateway_json_close(out, '}');
}

/* ---------------------------------------------------------------------- with its lock */

static void
put_event(struct gateway_stream *stream, const char *name, const Ledger__Call *call)
{
    struct buffer *out = &stream->out;

    if (name != NULL)
        buffer_append_format(out, "event: %s\n", name);
    buffer_append_format(out, "data: ");
    if (stream->id != 0)
        gateway_call_json(out, NULL, call);
    else
        gateway_log_json(out, call);
    buffer_append_format(out, "\n\n");
    if (out->err != 0 || out->count > PENDING_BYTES_MAX)
        stream->is_over = true;
}

static void
wake(struct gateway_stream *stream)
{
    if (!stream->is_suspended)
        return;
    stream->is_suspended = false;
    gateway_server_resume(stream->server, stream->connection);
}

/* -------------------------------------------------------------------- libmicrohttpd's */

static ssize_t
read_stream(void *context, uint64_t position, char *bytes, size_t max)
{
    struct gateway_stream *stream = context;
    size_t left;
    ssize_t count = 0;

    (void)position;
    (void)pthread_mutex_lock(&stream->lock);
    left = stream->out.count - stream->sent;
    if (left > 0) {
        count = (ssize_t)(left < max ? left : max);
        (void)memcpy(bytes, stream->out.bytes + stream->sent, (size_t)count);
        stream->sent += (size_t)count;
        if (stream->sent == stream->out.count)
            stream->sent = stream->out.count = 0;
    } else if (stream->is_over) {
        count = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        stream->is_suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    (void)pthread_mutex_unlock(&stream->lock);
    return count;
}

static void
stream_free(void *context)
{
    struct gateway_stream *stream = context;
    struct gateway_space *space = stream->space;

    (void)pthread_mutex_lock(&space->lock);
    *stream->at = stream->next;
    if (stream->next != NULL)
        stream->next->at = stream->at;
    space->stream_count--;
    (void)pthread_mutex_unlock(&space->lock);
    (void)pthread_mutex_destroy(&stream->lock);
    buffer_fini(&stream->out);
    free(stream);
}

/* ------------------------------------------------------------------------------ begin */

static struct gateway_stream *
stream_create(struct gateway_request *request, uint64_t id, const char *function)
{
    struct gateway_space *space = request->space;
    struct gateway_stream *stream;

    ASSERT(space != NULL);
    stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return NULL;
    stream->space = space;
    stream->connection = request->connection;
    stream->server = request->server;
    stream->id = id;
    stream->is_starting = id != 0;
    if (function != NULL)
        (void)memcpy(stream->function, function, strlen(function));
    (void)pthread_mutex_init(&stream->lock, NULL);
    (void)pthread_mutex_lock(&space->lock);
    if (space->stream_count >= GATEWAY_STREAMS_MAX) {
        (void)pthread_mutex_unlock(&space->lock);
        (void)pthread_mutex_destroy(&stream->lock);
        free(stream);
        return NULL;
    }
    space->stream_count++;
    stream->next = space->streams;
    stream->at = &space->streams;
    if (space->streams != NULL)
        space->streams->at = &stream->next;
    space->streams = stream;
    (void)pthread_mutex_unlock(&space->lock);
    return stream;
}

/* How the call stands. What ended since it was asked is asked once more. */
static void
begin(struct gateway *gateway, struct gateway_stream *stream)
{
    bool is_first = true, is_settled = false;
    Ledger__Call *call;

    while (!is_settled &&
           gateway_call_find(gateway, stream->space->name, stream->id, &call, NULL) == 0) {
        bool is_open = call->state == LEDGER__STATE__STATE_OPEN;

        (void)pthread_mutex_lock(&stream->lock);
        if (is_first)
            put_event(stream, "state", call);
        is_first = false;
        is_settled = !is_open || !stream->is_missed;
        if (!is_open) {
            put_event(stream, "end", call);
            stream->is_over = true;
        }
        stream->is_missed = false;
        stream->is_starting = !is_settled;
        (void)pthread_mutex_unlock(&stream->lock);
        ledger__call__free_unpacked(call, NULL);
    }
    if (is_settled)
        return;
    (void)pthread_mutex_lock(&stream->lock);
    stream->is_over = true;
    (void)pthread_mutex_unlock(&stream->lock);
}

enum gateway_next
gateway_stream_answer(struct gateway_request *request, uint64_t id, const char *function)
{
    struct gateway_stream *stream = stream_create(request, id, function);
    struct MHD_Response *response;

    if (stream == NULL)
        return gateway_fail(request, MHD_HTTP_TOO_MANY_REQUESTS, "too_many_streams", "close some",
                            "a tenant may follow %u things at one time", GATEWAY_STREAMS_MAX);
    if (id != 0)
        begin(request->gateway, stream);
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, stream,
                                                 stream_free);
    if (response == NULL) {
        stream_free(stream);
        return gateway_refuse(request, -ENOMEM, "", NULL);
    }
    gateway_add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    gateway_add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return gateway_answer(request, MHD_HTTP_OK, response);
}

/* ------------------------------------------------------------------------------- tell */

static void
tell_one(struct gateway_stream *stream, const Ledger__Call *call)
{
    if (stream->is_over)
        return;
    if (stream->id == 0) {
        put_event(stream, NULL, call);
    } else if (stream->is_starting) {
        stream->is_missed = true;
    } else {
        put_event(stream, "end", call);
        stream->is_over = true;
    }
    wake(stream);
}

void
gateway_stream_tell(struct gateway *gateway, const Ledger__Call *call)
{
    struct gateway_space *space = gateway_space_get(gateway, call->tenant);

    if (space == NULL)
        return;
    (void)pthread_mutex_lock(&space->lock);
    for (struct gateway_stream *stream = space->streams; stream != NULL; stream = stream->next) {
        bool is_wanted = stream->id != 0 ? stream->id == call->id
                                         : stream->function[0] == '\0' ||
                                               strcmp(stream->function, call->function) == 0;

        if (!is_wanted)
            continue;
        (void)pthread_mutex_lock(&stream->lock);
        tell_one(stream, call);
        (void)pthread_mutex_unlock(&stream->lock);
    }
    (void)pthread_mutex_unlock(&space->lock);
}

static void
sweep_space(struct gateway_space *space, bool all)
{
    (void)pthread_mutex_lock(&space->lock);
    for (struct gateway_stream *stream = space->streams; stream != NULL; stream = stream->next) {
        (void)pthread_mutex_lock(&stream->lock);
        if (all)
            stream->is_over = true;
        else if (stream->out.count == 0)
            buffer_append_format(&stream->out, ": still here\n\n");
        wake(stream);
        (void)pthread_mutex_unlock(&stream->lock);
    }
    (void)pthread_mutex_unlock(&space->lock);
}

void
gateway_stream_sweep(struct gateway *gateway, bool all)
{
    for (size_t i = 0; i < GATEWAY_BUCKETS; i++)
        for (struct gateway_space *space = gateway->spaces[i]; space != NULL; space = space->next)
            sweep_space(space, all);
}

/* ------------------------------------------------------------------------------- logs */

struct logs {
    struct buffer *out;
    const char *function;
};

static bool
put_log(void *context, const Ledger__Call *call)
{
    struct logs *logs = context;

    if (logs->function == NULL || strcmp(call->function, logs->function) == 0)
        gateway_log_json(logs->out, call);
    return logs->out->count < LOGS_BYTES_MAX;
}

enum gateway_next
gateway_log_list(struct gateway_request *request)
{
    const char *follow = gateway_query(request, "follow");
    const char *function = gateway_query(request, "function");
    struct buffer out = {0};
    struct logs logs = {&out, function};

    if (function != NULL && strlen(function) > CATALOG_NAME_BYTES_MAX)
        return gateway_fail(request, MHD_HTTP_BAD_REQUEST, "query_invalid", "look at the name",
                            "function is too long for a name");
    if (follow != NULL && strcmp(follow, "1") == 0)
        return gateway_stream_answer(request, 0, function);
    gateway_json_open(&out, NULL, '{');
    gateway_json_open(&out, "logs", '[');
    gateway_recent_list(request->gateway, request->tenant, put_log, &logs);
    gateway_json_close(&out, ']');
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_OK, &out);
}
