/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that guests start (docs/chain.md). One of a function of this cell is a call like
 * the worker's, but for who hears of its end; any other is the worker's to find a place
 * for, and a `remote` until its end comes.
 *
 * Parent and child know each other by numbers alone: whichever is over first is not
 * found by the other, and nothing has to be untied. The lock of the cell guards all of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "cell/serve_internal.h"

#define HANDLES_MIN 8u

/* With the lock or without. */
static uint64_t
next_number(struct serve *serve)
{
    return SERVE_CHAINED |
           (atomic_fetch_add_explicit(&serve->next_chained, 1, memory_order_relaxed) + 1);
}

/* ------------------------------------------------------------------------- handles */

static struct serve_handle *
handle_find(struct serve_call *call, uint64_t number)
{
    uint32_t place = (uint32_t)number - 1;
    struct serve_handle *handle;

    if (call == NULL || place >= call->handles.count)
        return NULL;
    handle = &call->handles.items[place];
    return handle->state == SERVE_HANDLE_FREE || handle->serial != number >> 32 ? NULL : handle;
}

static int
handles_grow(struct serve_handles *handles)
{
    uint32_t capacity = handles->capacity > 0 ? 2 * handles->capacity : HANDLES_MIN;
    struct serve_handle *items = realloc(handles->items, capacity * sizeof(*items));

    if (items == NULL)
        return -ENOMEM;
    handles->items = items;
    handles->capacity = capacity;
    return 0;
}

/* A place of its own, RUNNING. */
static int
handle_add(struct serve_handles *handles, uint64_t *number)
{
    uint32_t place = handles->free, serial = 1;

    if (handles->live >= HOSTCALL_HANDLES_MAX)
        return -EMFILE;
    if (place != 0) {
        place--;
        handles->free = handles->items[place].next_free;
        serial = handles->items[place].serial + 1;
    } else {
        if (handles->count == handles->capacity && handles_grow(handles) != 0)
            return -ENOMEM;
        place = handles->count++;
    }
    handles->live++;
    handles->items[place] = (struct serve_handle){.serial = serial, .state = SERVE_HANDLE_RUNNING};
    *number = (uint64_t)serial << 32 | (place + 1);
    return 0;
}

static void
handle_free(struct serve_handles *handles, struct serve_handle *handle)
{
    free(handle->bytes);
    handle->bytes = NULL;
    handle->state = SERVE_HANDLE_FREE;
    handle->next_free = handles->free;
    handles->free = (uint32_t)(handle - handles->items) + 1;
    handles->live--;
}

/* ---------------------------------------------------------------------------- ends */

static uint32_t
put_bytes(uint8_t **to, const void *bytes, size_t count)
{
    if (count > 0)
        (void)memcpy(*to, bytes, count);
    *to += count;
    return (uint32_t)count;
}

uint8_t *
serve_chain_pack(const Rpc__CellEnd *end)
{
    size_t message = strlen(end->message);
    uint8_t *bytes = malloc(end->result.len + end->output.len + end->log.len + message + 1);
    uint8_t *to = bytes;

    if (bytes == NULL || fault_point("serve.chain") != 0) {
        free(bytes);
        return NULL;
    }
    (void)put_bytes(&to, end->result.data, end->result.len);
    (void)put_bytes(&to, end->output.data, end->output.len);
    (void)put_bytes(&to, end->log.data, end->log.len);
    (void)put_bytes(&to, end->message, message);
    return bytes;
}

static void
describe(const Rpc__CellEnd *from, struct hostcall_chain_end *end)
{
    switch (from->kind) {
    case RPC__CELL_END_KIND__CELL_END_EXIT:
        end->kind = from->exit_code == 0 ? HOSTCALL_DONE : HOSTCALL_EXIT;
        end->code = from->exit_code;
        break;
    case RPC__CELL_END_KIND__CELL_END_TRAP:
        end->kind = HOSTCALL_TRAP;
        end->code = (int)from->trap;
        break;
    case RPC__CELL_END_KIND__CELL_END_LIMIT:
        end->kind = HOSTCALL_LIMIT;
        end->code = (int)from->limit;
        break;
    case RPC__CELL_END_KIND__CELL_END_CANCELLED:
        end->kind = HOSTCALL_CANCELLED;
        break;
    case RPC__CELL_END_KIND__CELL_END_FAILED:
        end->kind = HOSTCALL_FAILED;
        end->code = from->err < 0 ? from->err : -EIO;
        break;
    case RPC__CELL_END_KIND__CELL_END_LOST:
        end->kind = HOSTCALL_LOST;
        break;
    default:
        end->kind = HOSTCALL_DONE;
    }
}

/* With the lock. Takes bytes; NULL: there was no memory for them. */
static void
tell(struct serve *serve, struct serve_call *parent, uint64_t number, const Rpc__CellEnd *end,
     uint8_t *bytes)
{
    struct serve_handle *handle = handle_find(parent, number);

    if (handle == NULL) {
        free(bytes);
        return;
    }
    ASSERT(handle->state == SERVE_HANDLE_RUNNING);
    describe(end, &handle->end);
    if (bytes != NULL) {
        handle->end.bytes[HOSTCALL_STREAM_RESULT] = (uint32_t)end->result.len;
        handle->end.bytes[HOSTCALL_STREAM_OUTPUT] = (uint32_t)end->output.len;
        handle->end.bytes[HOSTCALL_STREAM_LOG] = (uint32_t)end->log.len;
        handle->end.bytes[HOSTCALL_STREAM_MESSAGE] = (uint32_t)strlen(end->message);
    } else {
        handle->end = (struct hostcall_chain_end){.kind = HOSTCALL_FAILED, .code = -ENOMEM};
    }
    handle->bytes = bytes;
    handle->state = SERVE_HANDLE_OVER;
    if (handle->is_waited)
        (void)cell_wake(serve->cell, parent->id);
}

void
serve_chain_tell(struct serve *serve, const struct serve_call *call, const Rpc__CellEnd *end,
                 uint8_t *bytes)
{
    struct serve_call *parent = serve_call_find(serve, call->parent);

    if (parent != NULL) {
        parent->chained += 1 + call->chained;
        parent->chained_cpu_ns += end->cpu_ns + call->chained_cpu_ns;
    }
    tell(serve, parent, call->handle, end, bytes);
}

/* ------------------------------------------------------------------------- remotes */

static struct serve_remote **
remote_at(struct serve *serve, uint64_t number)
{
    struct serve_remote **at = &serve->remotes[number % SERVE_REMOTE_BUCKETS];

    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

static struct serve_remote *
remote_add(struct serve *serve, uint64_t parent)
{
    struct serve_remote *remote = calloc(1, sizeof(*remote)), **at;

    if (remote == NULL)
        return NULL;
    remote->number = next_number(serve);
    remote->parent = parent;
    at = &serve->remotes[remote->number % SERVE_REMOTE_BUCKETS];
    remote->next = *at;
    *at = remote;
    serve->remote_count++;
    return remote;
}

static void
remote_remove(struct serve *serve, struct serve_remote **at)
{
    struct serve_remote *remote = *at;

    *at = remote->next;
    serve->remote_count--;
    free(remote);
}

/* A worker that cannot be told will end the cell by itself, or the call in time. */
static void
cancel_remote(struct serve *serve, uint64_t number)
{
    Rpc__CellChainCancel cancel = RPC__CELL_CHAIN_CANCEL__INIT;
    Rpc__CellReply reply = RPC__CELL_REPLY__INIT;

    cancel.chain = number;
    reply.is_case = RPC__CELL_REPLY__IS_CHAIN_CANCEL;
    reply.chain_cancel = &cancel;
    (void)!rpc_send(serve->connection, &reply.base, NULL, 0);
}

static int
send_chain(struct serve *serve, const struct serve_call *parent, uint64_t number,
           const struct hostcall_chain_start *start)
{
    Rpc__CellChain chain = RPC__CELL_CHAIN__INIT;
    Rpc__CellReply reply = RPC__CELL_REPLY__INIT;
    int err = fault_point("serve.remote");

    chain.chain = number;
    chain.call = serve_call_find(serve, parent->root) != NULL ? parent->root : 0;
    chain.reference = (char *)(uintptr_t)start->reference;
    chain.input.data = (uint8_t *)(uintptr_t)start->input;
    chain.input.len = start->input_bytes;
    chain.wall_ns = start->wall_ns;
    chain.is_detached = start->is_detached;
    chain.depth = parent->depth + 1;
    reply.is_case = RPC__CELL_REPLY__IS_CHAIN;
    reply.chain = &chain;
    if (err == 0 && start->input_bytes + net_queued(serve->connection) > NET_QUEUE_BYTES_MAX / 2)
        err = -ENOBUFS; /* ends must still find room */
    if (err == 0)
        err = rpc_send(serve->connection, &reply.base, NULL, 0);
    return err == -ENOBUFS ? -EAGAIN : err == -EMSGSIZE ? -E2BIG : err;
}

/* With the lock, so that its end cannot come before it is there. */
static int
start_remote(struct serve *serve, struct serve_call *parent,
             const struct hostcall_chain_start *start, uint64_t *handle)
{
    struct serve_remote *remote;
    int err;

    if (serve->remote_count >= SERVE_REMOTES_MAX)
        return -EAGAIN;
    err = handle_add(&parent->handles, handle);
    if (err != 0)
        return err;
    remote = remote_add(serve, parent->number);
    err = remote == NULL ? -ENOMEM : send_chain(serve, parent, remote->number, start);
    if (err != 0) {
        handle_free(&parent->handles, handle_find(parent, *handle));
        if (remote != NULL)
            remote_remove(serve, remote_at(serve, remote->number));
        return err;
    }
    remote->handle = *handle;
    handle_find(parent, *handle)->number = remote->number;
    handle_find(parent, *handle)->is_remote = true;
    handle_find(parent, *handle)->is_detached = start->is_detached;
    return 0;
}

int
serve_chain_end(struct serve *serve, const Rpc__CellChainEnd *from, struct diag *diag)
{
    Rpc__CellEnd end = RPC__CELL_END__INIT;
    struct serve_remote **at;
    uint8_t *bytes;
    int err = 0;

    end.kind = from->kind;
    end.exit_code = from->exit_code;
    end.err = from->err;
    end.limit = from->limit;
    end.trap = from->trap;
    end.message = from->message;
    end.result = from->result;
    end.output = from->output;
    end.log = from->log;
    bytes = serve_chain_pack(&end);
    (void)pthread_mutex_lock(&serve->lock);
    at = remote_at(serve, from->chain);
    if (*at == NULL) {
        free(bytes);
        err =
            diag_set(diag, -EPROTO, "no chained call %llu to end", (unsigned long long)from->chain);
    } else {
        tell(serve, serve_call_find(serve, (*at)->parent), (*at)->handle, &end, bytes);
        remote_remove(serve, at);
    }
    (void)pthread_mutex_unlock(&serve->lock);
    return err;
}

void
serve_chain_fini(struct serve *serve)
{
    for (size_t i = 0; i < SERVE_REMOTE_BUCKETS; i++)
        while (serve->remotes[i] != NULL)
            remote_remove(serve, &serve->remotes[i]);
    hostcall_chain_unregister(&serve->chain);
}

/* ------------------------------------------------------------------------ starting */

/* With the lock: which function of this cell is meant; NULL: none. */
static struct served *
find_served(struct serve *serve, const struct serve_call *parent,
            const struct hostcall_chain_start *start)
{
    if (start->reference == NULL)
        return parent->served;
    if (strpbrk(start->reference, ":/") != NULL)
        return NULL;
    return served_named(serve, start->reference);
}

/* Not longer than its parent, which is all that could await it. */
static uint64_t
time_for(const struct serve_call *parent, const struct hostcall_chain_start *start, uint64_t now)
{
    uint64_t deadline = serve_call_deadline(parent), left;

    if (start->is_detached || deadline == CLOCK_NEVER_NS)
        return start->wall_ns;
    left = deadline > now ? deadline - now : 1;
    return start->wall_ns == 0 || left < start->wall_ns ? left : start->wall_ns;
}

/* Its record is made here: the input is the guest's, and goes. */
static int
create_child(struct serve *serve, const struct serve_call *parent, struct served *served,
             const struct hostcall_chain_start *start, struct serve_call **out)
{
    struct serve_call *child = fault_point("serve.call") == 0 ? calloc(1, sizeof(*child)) : NULL;
    int err;

    if (child == NULL)
        return -ENOMEM;
    child->serve = serve;
    child->served = served; /* the reference is not counted yet */
    child->begin_ns = clock_now_ns();
    child->wall_ns = time_for(parent, start, child->begin_ns);
    child->number = next_number(serve);
    child->is_chained = true;
    child->parent = parent->number;
    child->root = parent->root;
    child->depth = parent->depth + 1;
    child->pointer = start->pointer;
    child->start = start;
    for (size_t i = 0; i < ARRAY_COUNT(child->stdio); i++)
        child->stdio[i] = HOSTCALL_MEMORY;
    child->save_fd = -1;
    err = served_process(serve, served, child, &child->process, NULL);
    child->start = NULL;
    if (err != 0) {
        free(child);
        return err;
    }
    *out = child;
    return 0;
}

/* With the lock. */
static int
enter_child(struct serve *serve, struct serve_call *parent, struct serve_call *child,
            const struct hostcall_chain_start *start)
{
    struct serve_handle *handle;
    int err = serve->call_count >= serve->calls_max ? -EAGAIN : 0;

    if (err == 0)
        err = handle_add(&parent->handles, &child->handle);
    if (err != 0)
        return err;
    handle = handle_find(parent, child->handle);
    handle->number = child->number;
    handle->is_detached = start->is_detached;
    serve_call_enter(serve, child, child->served);
    return 0;
}

static int
start_local(struct serve *serve, struct serve_call *parent, struct served *served,
            const struct hostcall_chain_start *start, uint64_t *handle)
{
    struct serve_call *child;
    bool is_ready;
    int err = create_child(serve, parent, served, start, &child);

    if (err != 0)
        return err;
    (void)pthread_mutex_lock(&serve->lock);
    err = enter_child(serve, parent, child, start);
    is_ready = err == 0 && served->state != SERVED_PUTTING;
    *handle = child->handle;
    (void)pthread_mutex_unlock(&serve->lock);
    if (err != 0) {
        hostcall_process_destroy(child->process);
        free(child);
        return err;
    }
    if (is_ready)
        serve_call_start(child);
    return 0;
}

/* hostcall_chain_ops, on the thread that runs the call: it is there. */
static int
chain_start(void *context, uint64_t number, const struct hostcall_chain_start *start,
            uint64_t *handle)
{
    struct serve *serve = context;
    struct served *served = NULL;
    struct serve_call *parent;
    int err = 0;

    (void)pthread_mutex_lock(&serve->lock);
    parent = serve_call_find(serve, number);
    if (parent == NULL)
        err = -ESRCH;
    else if (parent->depth >= SERVE_DEPTH_MAX)
        err = -ELOOP;
    else
        served = find_served(serve, parent, start);
    if (served != NULL)
        served->references++;
    else if (err == 0)
        err = start_remote(serve, parent, start, handle);
    (void)pthread_mutex_unlock(&serve->lock);
    if (served == NULL)
        return err;
    err = start_local(serve, parent, served, start, handle);
    served_put(serve, served);
    return err;
}

/* ---------------------------------------------------------------- after it was started */

static int64_t
chain_poll(void *context, uint64_t number, const uint64_t *handles, size_t count)
{
    struct serve *serve = context;
    struct serve_call *call;
    int64_t place = (int64_t)count;

    (void)pthread_mutex_lock(&serve->lock);
    call = serve_call_find(serve, number);
    for (size_t i = 0; i < count; i++) {
        struct serve_handle *handle = handle_find(call, handles[i]);

        if (handle != NULL && handle->state == SERVE_HANDLE_RUNNING) {
            handle->is_waited = true;
            continue;
        }
        place = handle != NULL ? (int64_t)i : -EBADF;
        break;
    }
    (void)pthread_mutex_unlock(&serve->lock);
    return place;
}

/* The handle as it is now; what is OVER does not change until it is forgotten. */
static int
look_up(struct serve *serve, uint64_t number, uint64_t handle, struct serve_handle *out)
{
    struct serve_handle *found;

    (void)pthread_mutex_lock(&serve->lock);
    found = handle_find(serve_call_find(serve, number), handle);
    if (found != NULL)
        *out = *found;
    (void)pthread_mutex_unlock(&serve->lock);
    return found != NULL ? 0 : -EBADF;
}

static int
chain_end(void *context, uint64_t number, uint64_t handle, struct hostcall_chain_end *end)
{
    struct serve_handle now;
    int err = look_up(context, number, handle, &now);

    if (err == 0 && now.state == SERVE_HANDLE_OVER)
        *end = now.end;
    return err;
}

static int
chain_read(void *context, uint64_t number, uint64_t handle, enum hostcall_stream stream,
           struct hostcall_chain_read *read)
{
    struct serve_handle now;
    uint64_t first = 0;
    int err = look_up(context, number, handle, &now);

    if (err == 0 && now.state != SERVE_HANDLE_OVER)
        err = -EAGAIN;
    if (err != 0)
        return err;
    for (unsigned i = 0; i < (unsigned)stream; i++)
        first += now.end.bytes[i];
    read->done = 0;
    if (read->offset < now.end.bytes[stream]) {
        read->done = now.end.bytes[stream] - read->offset;
        if (read->done > read->bytes)
            read->done = read->bytes;
        (void)memcpy(read->to, now.bytes + first + read->offset, read->done);
    }
    return 0;
}

static void
cancel_one(struct serve *serve, const struct serve_handle *handle)
{
    if (handle->is_remote)
        cancel_remote(serve, handle->number);
    else
        serve_cancel(serve, handle->number);
}

static int
chain_cancel(void *context, uint64_t number, uint64_t handle)
{
    struct serve_handle now;
    int err = look_up(context, number, handle, &now);

    if (err == 0 && now.state == SERVE_HANDLE_RUNNING)
        cancel_one(context, &now);
    return err;
}

static int
chain_forget(void *context, uint64_t number, uint64_t handle)
{
    struct serve *serve = context;
    struct serve_handle now;
    struct serve_call *call;
    int err = look_up(serve, number, handle, &now);

    if (err != 0)
        return err;
    if (now.state == SERVE_HANDLE_RUNNING && !now.is_detached)
        cancel_one(serve, &now);
    (void)pthread_mutex_lock(&serve->lock);
    call = serve_call_find(serve, number);
    handle_free(&call->handles, handle_find(call, handle));
    (void)pthread_mutex_unlock(&serve->lock);
    return 0;
}

void
serve_chain_orphan(struct serve *serve, struct serve_handles *handles)
{
    for (uint32_t i = 0; i < handles->count; i++) {
        struct serve_handle *handle = &handles->items[i];

        if (handle->state == SERVE_HANDLE_RUNNING && !handle->is_detached)
            cancel_one(serve, handle);
        free(handle->bytes);
    }
    free(handles->items);
    *handles = (struct serve_handles){0};
}

const struct hostcall_chain_ops serve_chain_ops = {chain_start, chain_poll,   chain_end,
                                                   chain_read,  chain_cancel, chain_forget};
