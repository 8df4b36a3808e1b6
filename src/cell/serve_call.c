/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's calls: begun on the socket's thread, or on the one that has put their
 * function; ended on an executor's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "cell/serve_internal.h"

#define ENTRY_DEFAULT     "_start"
#define MESSAGE_BYTES_MAX 160

/* ----------------------------------------------------------------------- table */

static struct serve_call **
bucket(struct serve *serve, uint64_t number)
{
    return &serve->calls[number % SERVE_CALL_BUCKETS];
}

struct serve_call *
serve_call_find(struct serve *serve, uint64_t number)
{
    struct serve_call *call = *bucket(serve, number);

    while (call != NULL && call->number != number)
        call = call->chain;
    return call;
}

static void
table_enter(struct serve *serve, struct serve_call *call)
{
    struct serve_call **at = bucket(serve, call->number);

    call->chain = *at;
    *at = call;
    serve->call_count++;
}

static void
table_leave(struct serve *serve, struct serve_call *call)
{
    struct serve_call **at = bucket(serve, call->number);

    while (*at != call)
        at = &(*at)->chain;
    *at = call->chain;
    serve->call_count--;
}

/* ------------------------------------------------------------------------- end */

void
serve_call_free(struct serve_call *call)
{
    hostcall_process_destroy(call->process);
    serve_world_leave(call);
    for (size_t i = 0; i < ARRAY_COUNT(call->stdio); i++)
        if (call->stdio[i] >= 0)
            (void)close(call->stdio[i]);
    if (call->save_fd >= 0)
        (void)close(call->save_fd);
    if (call->request != NULL)
        protobuf_c_message_free_unpacked(&call->request->base, NULL);
    if (call->served != NULL)
        served_put(call->serve, call->served);
    free(call);
}

static void
reply_end(struct serve *serve, Rpc__CellEnd *end)
{
    Rpc__CellReply reply = RPC__CELL_REPLY__INIT;

    reply.is_case = RPC__CELL_REPLY__IS_END;
    reply.end = end;
    serve_reply(serve, &reply);
}

/* It does not exist any more when anybody hears of its end. */
static void
call_end(struct serve_call *call, Rpc__CellEnd *end)
{
    struct serve *serve = call->serve;
    uint8_t *bytes = call->is_chained ? serve_chain_pack(end) : NULL;

    hostcall_process_unmap(call->process);
    state_call_over(serve->chain.state, call->number);
    (void)pthread_mutex_lock(&serve->lock);
    table_leave(serve, call);
    if (call->is_chained)
        serve_chain_tell(serve, call, end, bytes);
    (void)pthread_mutex_unlock(&serve->lock);
    end->call = call->number;
    end->chained = call->chained;
    end->chained_cpu_ns = call->chained_cpu_ns;
    if (!call->is_chained)
        reply_end(serve, end);
    serve_chain_orphan(serve, &call->handles);
    serve_call_free(call);
}

void
serve_call_fail(struct serve_call *call, int err, const char *message)
{
    Rpc__CellEnd end = RPC__CELL_END__INIT;
    char *text = rpc_text(message);

    end.kind = RPC__CELL_END_KIND__CELL_END_FAILED;
    end.err = err;
    if (text != NULL)
        end.message = text;
    end.wall_ns = clock_now_ns() - call->begin_ns;
    call_end(call, &end);
    free(text);
}

static void
end_cancelled(struct serve_call *call)
{
    Rpc__CellEnd end = RPC__CELL_END__INIT;

    end.kind = RPC__CELL_END_KIND__CELL_END_CANCELLED;
    end.wall_ns = clock_now_ns() - call->begin_ns;
    call_end(call, &end);
}

static double
seconds(uint64_t ns)
{
    return (double)ns / CLOCK_NS_PER_SECOND;
}

/* Names the limit, and its value. */
static void
describe_limit(const struct serve_call *call, enum faaslet_limit limit, Rpc__CellEnd *end,
               char text[MESSAGE_BYTES_MAX])
{
    static const Rpc__CellLimits none = RPC__CELL_LIMITS__INIT;
    const Rpc__CellLimits *limits = call->served->request->put->limits;
    uint64_t wall_ns, output;

    limits = limits != NULL ? limits : &none;
    wall_ns = limits->wall_ns;
    if (wall_ns == 0 || (call->wall_ns != 0 && call->wall_ns < wall_ns))
        wall_ns = call->wall_ns;
    output = limits->output_bytes != 0 ? limits->output_bytes : HOSTCALL_OUTPUT_BYTES_MAX;
    switch (limit) {
    case FAASLET_LIMIT_CPU:
        end->limit = RPC__CELL_LIMIT__CELL_LIMIT_CPU;
        (void)snprintf(text, MESSAGE_BYTES_MAX,
                       "it used more processor time than its limit of %g s",
                       seconds(limits->cpu_ns));
        break;
    case FAASLET_LIMIT_OUTPUT:
        end->limit = RPC__CELL_LIMIT__CELL_LIMIT_OUTPUT;
        (void)snprintf(text, MESSAGE_BYTES_MAX, "it wrote more than its output limit of %llu bytes",
                       (unsigned long long)output);
        break;
    default:
        end->limit = RPC__CELL_LIMIT__CELL_LIMIT_TIME;
        (void)snprintf(text, MESSAGE_BYTES_MAX, "it ran longer than its time limit of %g s",
                       seconds(wall_ns));
        break;
    }
    end->message = text;
}

static const Rpc__CellEndKind kinds[] = {
    [CELL_DONE] = RPC__CELL_END_KIND__CELL_END_DONE,
    [CELL_EXIT] = RPC__CELL_END_KIND__CELL_END_EXIT,
    [CELL_TRAP] = RPC__CELL_END_KIND__CELL_END_TRAP,
    [CELL_KILLED] = RPC__CELL_END_KIND__CELL_END_LIMIT,
    [CELL_CANCELLED] = RPC__CELL_END_KIND__CELL_END_CANCELLED,
    [CELL_FAILED] = RPC__CELL_END_KIND__CELL_END_FAILED,
};

static const struct {
    enum faaslet_limit limit;
    Rpc__CellLimit told;
} limits_told[] = {
    {FAASLET_LIMIT_TIME, RPC__CELL_LIMIT__CELL_LIMIT_TIME},
    {FAASLET_LIMIT_CPU, RPC__CELL_LIMIT__CELL_LIMIT_CPU},
    {FAASLET_LIMIT_OUTPUT, RPC__CELL_LIMIT__CELL_LIMIT_OUTPUT},
    {FAASLET_LIMIT_MEMORY, RPC__CELL_LIMIT__CELL_LIMIT_MEMORY},
    {FAASLET_LIMIT_FILES, RPC__CELL_LIMIT__CELL_LIMIT_FILES},
    {FAASLET_LIMIT_CALLS, RPC__CELL_LIMIT__CELL_LIMIT_CALLS},
    {FAASLET_LIMIT_THREADS, RPC__CELL_LIMIT__CELL_LIMIT_THREADS},
};

static uint32_t
tell_refused(uint32_t refused)
{
    uint32_t told = 0;

    for (size_t i = 0; i < ARRAY_COUNT(limits_told); i++)
        if ((refused & (1u << limits_told[i].limit)) != 0)
            told |= (uint32_t)limits_told[i].told;
    return told;
}

static void
take_output(const struct cell_end *from, Rpc__CellEnd *end)
{
    if (from->process == NULL)
        return;
    end->output.data =
        (uint8_t *)(uintptr_t)hostcall_process_output(from->process, 1, &end->output.len);
    end->log.data = (uint8_t *)(uintptr_t)hostcall_process_output(from->process, 2, &end->log.len);
    end->result.data = (uint8_t *)(uintptr_t)hostcall_process_output(from->process, HOSTCALL_RESULT,
                                                                     &end->result.len);
}

/* It stands where it was to be saved: to the worker's descriptor. */
static int
save(const struct serve_call *call, const struct cell_end *from, struct diag *diag)
{
    struct buffer bytes = {0};
    int err = hostcall_process_can_move(from->process, diag);

    if (err == 0)
        err = faaslet_frozen_save(from->frozen, &bytes, diag);
    if (err == 0)
        err = file_write_all(call->save_fd, bytes.bytes, bytes.count);
    buffer_fini(&bytes);
    return err == 0 ? 0
                    : diag_set(diag, err, "its Proto-Faaslet cannot be kept: %s", strerror(-err));
}

/* The message, which the caller frees; or NULL. */
static char *
take_frozen(const struct serve_call *call, const struct cell_end *from, Rpc__CellEnd *end)
{
    struct diag diag;
    char *text;

    diag_init(&diag);
    end->err = save(call, from, &diag);
    if (end->err == 0)
        return NULL;
    end->kind = RPC__CELL_END_KIND__CELL_END_FAILED;
    text = rpc_text(diag_text(&diag));
    if (text != NULL)
        end->message = text;
    return text;
}

/* Which rank, what of it, and why: the message, which the caller frees; or NULL. One that did not
 * fail by itself has failed as a part of its world. */
static char *
take_story(const struct cell_end *from, Rpc__CellEnd *end)
{
    struct buffer text = {0};

    if (from->kind == CELL_DONE || (from->kind == CELL_EXIT && from->exit_code == 0)) {
        end->kind = RPC__CELL_END_KIND__CELL_END_FAILED;
        end->err = -ECANCELED;
        end->n_results = 0;
    }
    end->is_world_end = true;
    buffer_append_format(&text, "rank %u: %s%s%s", from->member, end->message,
                         end->message[0] != '\0' ? "\n" : "", from->story);
    if (end->message[0] == '\0' && from->story[0] == '\0')
        buffer_append_format(&text, "exit code %d", from->exit_code);
    buffer_append(&text, "", 1);
    if (text.err == 0)
        end->message = (char *)text.bytes;
    return (char *)text.bytes;
}

/* cell_end_fn. */
static void
on_end(void *context, const struct cell_end *from)
{
    struct serve_call *call = context;
    Rpc__CellEnd end = RPC__CELL_END__INIT;
    char *message = from->message[0] != '\0' ? rpc_text(from->message) : NULL;
    char *backtrace = from->backtrace[0] != '\0' ? rpc_text(from->backtrace) : NULL;
    char *saving = NULL, *story = NULL;
    char limit[MESSAGE_BYTES_MAX];

    end.kind = kinds[from->kind];
    end.exit_code = from->exit_code;
    end.err = from->err;
    end.trap = (uint32_t)from->trap;
    if (message != NULL)
        end.message = message;
    if (backtrace != NULL)
        end.backtrace = backtrace;
    if (from->kind == CELL_KILLED)
        describe_limit(call, from->limit, &end, limit);
    end.results = (uint64_t *)(uintptr_t)from->results;
    end.n_results = from->result_slots;
    take_output(from, &end);
    end.refused = tell_refused(from->refused);
    end.wall_ns = from->wall_ns;
    end.cpu_ns = from->cpu_ns;
    end.memory_bytes = from->memory_bytes;
    if (from->frozen != NULL)
        saving = take_frozen(call, from, &end);
    if (from->is_world_end)
        story = take_story(from, &end);
    call_end(call, &end);
    free(story);
    free(message);
    free(backtrace);
    free(saving);
}

/* ----------------------------------------------------------------------- begin */

static uint64_t
deadline_of(const struct serve_call *call)
{
    if (call->wall_ns == 0 || call->wall_ns > CLOCK_NEVER_NS - 1 - call->begin_ns)
        return CLOCK_NEVER_NS;
    return call->begin_ns + call->wall_ns;
}

uint64_t
serve_call_deadline(const struct serve_call *call)
{
    const Rpc__CellLimits *limits = call->served->request->put->limits;
    uint64_t own = deadline_of(call);

    if (limits == NULL || limits->wall_ns == 0 ||
        limits->wall_ns >= CLOCK_NEVER_NS - 1 - call->begin_ns)
        return own;
    return own < call->begin_ns + limits->wall_ns ? own : call->begin_ns + limits->wall_ns;
}

static const char *
entry_of(const struct serve_call *call)
{
    const char *entry = call->request != NULL ? call->request->call->entry : "";

    if (call->served->is_mid_run)
        return NULL; /* it goes on where it stands */
    if (call->pointer != 0)
        return SERVE_POINTER_ENTRY;
    if (entry[0] == '\0')
        entry = call->served->request->put->entry;
    return entry[0] != '\0' ? entry : ENTRY_DEFAULT;
}

/* The lock is held while it starts, so that to cancel it finds it started or not. */
static int
start_locked(struct serve_call *call)
{
    const Rpc__CellCall *request = call->request != NULL ? call->request->call : NULL;
    bool has_values = request != NULL && !call->served->is_mid_run;
    const struct cell_call start = {
        .entry = entry_of(call),
        .args = has_values ? request->values : NULL,
        .slot_count = has_values ? request->n_values : 0,
        .result_slots = request != NULL ? request->result_slots : 0,
        .process = call->process,
        .save_at = call->save_fd >= 0 ? request->save_at : NULL,
        .deadline_ns = deadline_of(call),
        .on_end = on_end,
        .context = call,
    };
    Rpc__CellRequest *whole = call->request;
    int err;

    if (call->is_cancelled)
        return -ECANCELED;
    call->request = NULL; /* it may be over, and freed, before cell_start returns */
    err = call->world == NULL ? cell_start(call->served->function, &start, &call->id)
                              : cell_world_start(serve_world_of(call), call->member,
                                                 call->served->function, &start, &call->id);
    if (err != 0)
        call->request = whole;
    else if (whole != NULL)
        protobuf_c_message_free_unpacked(&whole->base, NULL);
    return err;
}

void
serve_call_start(struct serve_call *call)
{
    struct serve *serve = call->serve;
    struct served *served = call->served;
    struct diag diag;
    int err;

    diag_init(&diag);
    if (served->state == SERVED_FAILED) {
        serve_call_fail(call, served->err, served->message != NULL ? served->message : "");
        return;
    }
    err = serve_world_join(call, &diag);
    if (err == 0 && call->process == NULL)
        err = served_process(serve, served, call, &call->process, &diag);
    if (err != 0) {
        serve_call_fail(call, err, diag_text(&diag));
        return;
    }
    (void)pthread_mutex_lock(&serve->lock);
    err = start_locked(call);
    (void)pthread_mutex_unlock(&serve->lock);
    if (err == -ECANCELED)
        end_cancelled(call);
    else if (err != 0)
        serve_call_fail(call, err, "the call cannot be started");
}

/* -------------------------------------------------------------------- requests */

static int
check_call(struct serve *serve, const Rpc__CellCall *call, const struct net_frame *frame,
           struct diag *diag)
{
    unsigned long long number = (unsigned long long)call->call;
    size_t wanted = (call->has_stdio ? 3u : 0u) + (call->has_save ? 1u : 0u);

    if (frame->fd_count != wanted && !frame->is_short)
        return diag_set(diag, -EPROTO, "call %llu came with %zu descriptors", number,
                        frame->fd_count);
    if (call->n_values > CELL_RESULTS_MAX || call->result_slots > CELL_RESULTS_MAX)
        return diag_set(diag, -EPROTO, "call %llu has %zu values and %u results: at most %u",
                        number, call->n_values, call->result_slots, CELL_RESULTS_MAX);
    if (call->input.len > SERVE_INPUT_BYTES_MAX)
        return diag_set(diag, -EPROTO, "call %llu has %zu bytes of input: at most %u", number,
                        call->input.len, SERVE_INPUT_BYTES_MAX);
    if (call->call >= SERVE_CHAINED)
        return diag_set(diag, -EPROTO, "call %llu has a number that is the cell's", number);
    if (serve_call_find(serve, call->call) != NULL)
        return diag_set(diag, -EPROTO, "call %llu is there already", number);
    return 0;
}

/* Takes request and descriptors. */
static struct serve_call *
call_create(struct serve *serve, Rpc__CellRequest **request, struct net_frame *frame)
{
    struct serve_call *call = fault_point("serve.call") == 0 ? calloc(1, sizeof(*call)) : NULL;

    if (call == NULL)
        return NULL;
    call->serve = serve;
    call->request = *request;
    call->number = call->root = call->request->call->call;
    call->wall_ns = call->request->call->wall_ns;
    call->depth = call->request->call->depth;
    call->begin_ns = clock_now_ns();
    for (size_t i = 0; i < ARRAY_COUNT(call->stdio); i++)
        call->stdio[i] = call->request->call->has_stdio ? frame->fds[i] : HOSTCALL_MEMORY;
    call->save_fd = call->request->call->has_save ? frame->fds[frame->fd_count - 1] : -1;
    frame->fd_count = 0;
    *request = NULL;
    return call;
}

/* With the lock. What refuses the call without harm to others; 0: nothing does. */
static int
refuse(struct serve *serve, const struct served *served, const struct net_frame *frame,
       char text[MESSAGE_BYTES_MAX])
{
    if (serve->call_count >= serve->calls_max) {
        (void)snprintf(text, MESSAGE_BYTES_MAX, "the cell has %llu calls, which is its limit",
                       (unsigned long long)serve->calls_max);
        return -EAGAIN;
    }
    if (served == NULL) {
        (void)snprintf(text, MESSAGE_BYTES_MAX, "the cell has no such function");
        return -ENOENT;
    }
    if (frame->is_short) {
        (void)snprintf(text, MESSAGE_BYTES_MAX, "descriptors of it: " SERVE_NO_ROOM);
        return -EMFILE;
    }
    return 0;
}

/* With the lock. */
void
serve_call_enter(struct serve *serve, struct serve_call *call, struct served *served)
{
    call->served = served;
    served->references++;
    table_enter(serve, call);
    if (served->state == SERVED_PUTTING)
        list_append(&served->waiting, &call->link);
}

int
serve_call(struct serve *serve, Rpc__CellRequest **request, struct net_frame *frame,
           struct diag *diag)
{
    Rpc__CellEnd end = RPC__CELL_END__INIT;
    char text[MESSAGE_BYTES_MAX] = "no memory for a call";
    struct serve_call *call = NULL;
    struct served *served;
    bool is_ready = false;
    int err, refused = 0;

    end.call = (*request)->call->call;
    (void)pthread_mutex_lock(&serve->lock);
    err = check_call(serve, (*request)->call, frame, diag);
    if (err == 0) {
        served = served_find(serve, (*request)->call->function);
        refused = refuse(serve, served, frame, text);
        call = refused == 0 ? call_create(serve, request, frame) : NULL;
        if (call != NULL) {
            serve_call_enter(serve, call, served);
            is_ready = served->state != SERVED_PUTTING;
        }
    }
    (void)pthread_mutex_unlock(&serve->lock);
    if (err == 0 && call == NULL) {
        end.kind = RPC__CELL_END_KIND__CELL_END_FAILED;
        end.err = refused != 0 ? refused : -ENOMEM;
        end.message = text;
        reply_end(serve, &end);
    } else if (is_ready) {
        serve_call_start(call);
    }
    return err;
}

void
serve_cancel(struct serve *serve, uint64_t number)
{
    struct serve_call *call;
    bool is_waiting = false;

    (void)pthread_mutex_lock(&serve->lock);
    call = serve_call_find(serve, number); /* none: it ended in the meantime */
    if (call != NULL) {
        call->is_cancelled = true;
        is_waiting = call->link.list != NULL;
        list_remove(&call->link);
        if (call->id != 0)
            (void)!cell_cancel(serve->cell, call->id);
    }
    (void)pthread_mutex_unlock(&serve->lock);
    if (is_waiting)
        end_cancelled(call);
}
