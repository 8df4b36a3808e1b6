/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls: from a caller to a cell, and to their end.
 *
 * A record is in the table from worker_call until worker_call_take, and meanwhile in one
 * list: its tenant's queue, or its cell's calls. Only the loop takes one out and ends
 * it; a caller takes out only what it could not send, and ends it by returning so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "worker/worker_internal.h"

/* ------------------------------------------------------------------- table and lists */

static struct worker_record **
bucket(const struct worker *worker, uint64_t id)
{
    return &worker->table[id & (worker->table_size - 1)];
}

struct worker_record *
worker_call_find(const struct worker *worker, uint64_t id)
{
    struct worker_record *call = *bucket(worker, id);

    while (call != NULL && call->id != id)
        call = call->hashed;
    return call;
}

/* Without memory for a larger one the lists of the table are longer. */
static void
grow_table(struct worker *worker)
{
    size_t old_size = worker->table_size;
    struct worker_record **old = worker->table;
    struct worker_record **table = calloc(old_size * 2, sizeof(struct worker_record *));

    if (table == NULL)
        return;
    worker->table = table;
    worker->table_size = old_size * 2;
    for (size_t i = 0; i < old_size; i++)
        while (old[i] != NULL) {
            struct worker_record *call = old[i], **head = bucket(worker, call->id);

            old[i] = call->hashed;
            call->hashed = *head;
            *head = call;
        }
    free(old);
}

void
worker_call_link(struct worker_record *call, struct worker_record **list)
{
    call->next = *list;
    call->link = list;
    if (call->next != NULL)
        call->next->link = &call->next;
    *list = call;
}

static void
unlink_call(struct worker_record *call)
{
    *call->link = call->next;
    if (call->next != NULL)
        call->next->link = call->link;
    call->next = NULL;
    call->link = NULL;
}

static void
queue_call(struct worker_record *call)
{
    struct worker_tenant *tenant = call->function->tenant;

    call->next = NULL;
    call->link = tenant->queue_end;
    *tenant->queue_end = call;
    tenant->queue_end = &call->next;
    tenant->queued_bytes += call->packed.count;
}

void
worker_call_unqueue(struct worker_record *call)
{
    struct worker_tenant *tenant = call->function->tenant;

    if (call->next == NULL)
        tenant->queue_end = call->link;
    tenant->queued_bytes -= call->packed.count;
    unlink_call(call);
}

/* With the lock: its function is held as long as it is, and the tenant by that. */
static void
enter(struct worker_record *call)
{
    struct worker_tenant *tenant = call->function->tenant;
    struct worker *worker = tenant->worker;
    struct worker_record **head;

    if (worker->call_count >= worker->table_size)
        grow_table(worker);
    head = bucket(worker, call->id);
    call->hashed = *head;
    *head = call;
    worker->call_count++;
    tenant->calls++;
    call->function->references++;
}

void
worker_call_take(struct worker_record *call)
{
    struct worker_tenant *tenant = call->function->tenant;
    struct worker *worker = tenant->worker;
    struct worker_record **at = bucket(worker, call->id);

    while (*at != call)
        at = &(*at)->hashed;
    *at = call->hashed;
    if (call->cell == NULL)
        worker_call_unqueue(call);
    else
        unlink_call(call);
    worker->call_count--;
    if (--tenant->calls > 0)
        return;
    tenant->idle_at_ns = clock_now_ns() + worker->idle_ns;
    worker_look_at(worker, tenant->idle_at_ns);
}

void
worker_call_free(struct worker_record *call)
{
    for (size_t i = 0; i < call->fd_count; i++)
        file_close(&call->fds[i]);
    file_close(&call->saved_fd);
    buffer_fini(&call->packed);
    free(call);
}

/* -------------------------------------------------------------------------------- ends */

void
worker_call_end(struct worker_record *call, struct worker_end *end)
{
    struct worker *worker = call->function->tenant->worker;

    end->id = call->id;
    end->total_ns = clock_now_ns() - call->begin_ns;
    end->saved_fd = end->kind == WORKER_DONE ? call->saved_fd : -1;
    call->on_end(call->context, end);
    (void)pthread_mutex_lock(&worker->lock);
    worker_function_put(call->function);
    (void)pthread_mutex_unlock(&worker->lock);
    worker_call_free(call);
}

void
worker_call_end_as(struct worker_record *call, enum worker_end_kind kind, int err,
                   const char *reason)
{
    struct worker_end end = {.kind = kind, .err = err, .message = reason, .backtrace = ""};

    /* Who cancelled it has what he wanted. */
    if (call->is_cancelled && kind == WORKER_LOST)
        end.kind = WORKER_CANCELLED;
    worker_call_end(call, &end);
}

static int
err_of(enum worker_end_kind kind)
{
    return kind == WORKER_FAILED ? -EIO : kind == WORKER_LOST ? -ECONNRESET : 0;
}

/* Those that are there now, but not what on_end adds: that comes later. */
void
worker_call_end_queue(struct worker_tenant *tenant, enum worker_end_kind kind, const char *reason)
{
    struct worker *worker = tenant->worker;
    struct worker_record *call;
    uint64_t end_id = atomic_load_explicit(&worker->next_id, memory_order_relaxed);

    for (;;) {
        (void)pthread_mutex_lock(&worker->lock);
        call = tenant->queue;
        if (call != NULL && call->id < end_id)
            worker_call_take(call);
        else if (call != NULL)
            worker_tenant_wait(tenant);
        (void)pthread_mutex_unlock(&worker->lock);
        if (call == NULL || call->id >= end_id)
            return;
        worker_call_end_as(call, kind, err_of(kind), reason);
    }
}

void
worker_call_end_all_of(struct worker_cell *cell, enum worker_end_kind kind, const char *reason)
{
    struct worker *worker = cell->worker;
    struct worker_record *call;

    do {
        (void)pthread_mutex_lock(&worker->lock);
        call = cell->calls;
        if (call != NULL)
            worker_call_take(call);
        (void)pthread_mutex_unlock(&worker->lock);
        if (call != NULL)
            worker_call_end_as(call, kind, err_of(kind), reason);
    } while (call != NULL);
}

/* With the lock: all of them, taken out. A tenant may wait no more without one. */
static struct worker_record *
take_cancelled(struct worker *worker)
{
    struct worker_record *list = NULL, **end = &list, *next;
    struct worker_tenant *other;

    for (struct worker_tenant *tenant = worker->waiting; tenant != NULL; tenant = other) {
        other = tenant->waits;
        for (struct worker_record *call = tenant->queue; call != NULL; call = next) {
            next = call->next;
            if (!call->is_cancelled)
                continue;
            worker_call_take(call);
            call->next = NULL;
            *end = call;
            end = &call->next;
        }
    }
    return list;
}

void
worker_call_end_cancelled(struct worker *worker)
{
    struct worker_record *call, *next;

    (void)pthread_mutex_lock(&worker->lock);
    call = worker->is_cancel_due ? take_cancelled(worker) : NULL;
    worker->is_cancel_due = false;
    (void)pthread_mutex_unlock(&worker->lock);
    for (; call != NULL; call = next) {
        next = call->next;
        worker_call_end_as(call, WORKER_CANCELLED, 0, "cancelled");
    }
}

/* ---------------------------------------------------------------------------- messages */

static int
check(const struct worker_call *call)
{
    if (call->on_end == NULL || !worker_is_text(call->entry) ||
        !worker_are_texts(call->args, call->arg_count) ||
        !worker_are_texts(call->env, call->env_count) || call->value_count > WORKER_VALUES_MAX ||
        call->result_slots > WORKER_VALUES_MAX || (call->value_count > 0 && call->values == NULL) ||
        (call->input_bytes > 0 && call->input == NULL) || !worker_is_text(call->save_at) ||
        (call->save_at != NULL && strlen(call->save_at) > WORKER_SAVE_AT_MAX) ||
        (call->world != 0 && call->member >= call->members))
        return -EINVAL;
    for (int i = 0; call->stdio != NULL && i < 3; i++)
        if (call->stdio[i] < 0)
            return -EINVAL;
    return call->input_bytes > WORKER_INPUT_BYTES_MAX ? -E2BIG : 0;
}

/* What rpc.h takes is not const, but is only read. */
static void *
unconst(const void *pointer)
{
    return (void *)(uintptr_t)pointer;
}

static void
fill(Rpc__CellCall *message, const struct worker_call *call, const struct worker_function *function,
     uint64_t id)
{
    rpc__cell_call__init(message);
    message->call = id;
    message->function = function->number;
    if (call->entry != NULL)
        message->entry = unconst(call->entry);
    message->n_args = call->arg_count;
    message->args = unconst(call->args);
    message->n_env = call->env_count;
    message->env = unconst(call->env);
    message->n_values = call->value_count;
    message->values = unconst(call->values);
    message->result_slots = (uint32_t)call->result_slots;
    message->has_stdio = call->stdio != NULL;
    message->input.data = unconst(call->input);
    message->input.len = call->stdio != NULL ? 0 : call->input_bytes;
    message->wall_ns = call->wall_ns;
    message->depth = call->depth;
    message->has_save = call->save_at != NULL;
    if (call->save_at != NULL)
        message->save_at = unconst(call->save_at);
}

static void
fill_world(struct worker_outgoing *outgoing, const struct worker_call *call)
{
    if (call->world == 0)
        return;
    rpc__cell_world__init(&outgoing->world);
    outgoing->world.number = call->world;
    outgoing->world.member = call->member;
    outgoing->world.members = call->members;
    outgoing->message.world = &outgoing->world;
}

/* What the cell saves is written to a file of ours, so that no descriptor of its own
 * comes here; and sealed at the end (hear.c). */
static int
gather(struct worker_record *record, const struct worker_call *call,
       struct worker_outgoing *outgoing)
{
    rpc__cell_request__init(&outgoing->request);
    outgoing->request.is_case = RPC__CELL_REQUEST__IS_CALL;
    outgoing->request.call = &outgoing->message;
    outgoing->fd_count = call->stdio != NULL ? 3 : 0;
    for (size_t i = 0; i < outgoing->fd_count; i++)
        outgoing->fds[i] = call->stdio[i];
    fill(&outgoing->message, call, record->function, record->id);
    fill_world(outgoing, call);
    if (call->save_at == NULL)
        return 0;
    record->saved_fd = memfd_create("weft-proto", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (record->saved_fd < 0)
        return -errno;
    outgoing->fds[outgoing->fd_count++] = record->saved_fd;
    return 0;
}

/* For the queue: bytes and descriptors of our own. */
static int
pack(struct worker_record *record, const struct worker_outgoing *outgoing)
{
    size_t count = rpc__cell_request__get_packed_size(&outgoing->request);
    int err = fault_point("worker.call");

    if (err == 0 && count > NET_FRAME_BYTES_MAX)
        err = -E2BIG;
    if (err != 0)
        return err;
    buffer_append(&record->packed, NULL, count);
    if (record->packed.err != 0)
        return record->packed.err;
    (void)rpc__cell_request__pack(&outgoing->request, record->packed.bytes);
    for (size_t i = 0; i < outgoing->fd_count; i++) {
        err = fault_point("worker.call");
        record->fds[i] = err != 0 ? -1 : fcntl(outgoing->fds[i], F_DUPFD_CLOEXEC, 3);
        if (record->fds[i] < 0)
            return err != 0 ? err : errno == EBADF ? -EINVAL : -errno;
        record->fd_count++;
    }
    return 0;
}

/* ----------------------------------------------------------------------------- sending */

/* With the lock: whether it may be. */
static int
admit(const struct worker_function *function, const struct worker_record *record)
{
    const struct worker_tenant *tenant = function->tenant;
    const struct worker *worker = tenant->worker;

    if (worker->is_stopping || function->is_removed || tenant->is_removed)
        return -ESHUTDOWN;
    if ((tenant->calls_max != 0 && tenant->calls >= tenant->calls_max) ||
        worker->call_count >= WORKER_CALLS_MAX ||
        tenant->queued_bytes + record->packed.count > WORKER_WAITING_BYTES)
        return -EAGAIN;
    return 0;
}

/* With the lock: a cell that is open, with a reference and the call in its list; else
 * NULL, and the call is in the queue where it has been packed for it. */
static struct worker_cell *
place_call(struct worker_record *record)
{
    struct worker_tenant *tenant = record->function->tenant;
    struct worker_cell *cell = tenant->cell;

    if (cell != NULL && cell->state == CELL_OPEN) {
        enter(record);
        record->cell = cell;
        worker_call_link(record, &cell->calls);
        worker_place_get(cell);
        worker_look_at(tenant->worker, record->deadline_ns);
        return cell;
    }
    if (record->packed.bytes == NULL)
        return NULL;
    enter(record);
    queue_call(record);
    if (cell == NULL)
        worker_tenant_wait(tenant);
    return NULL;
}

/* With the send_lock: from here on the cell may end it. */
int
worker_call_begin_send(struct worker_cell *cell, uint64_t id, bool *is_cancelled)
{
    struct worker *worker = cell->worker;
    struct worker_function *function = NULL;
    struct worker_record *call;
    int err = 0;

    (void)pthread_mutex_lock(&worker->lock);
    call = worker_call_find(worker, id);
    if (call == NULL || call->function->tenant->cell != cell) {
        err = -EPIPE;
    } else {
        *is_cancelled = call->is_cancelled;
        call->is_sent = true;
        if (call->function->put_serial != cell->serial)
            function = call->function;
    }
    if (function != NULL) {
        function->put_serial = cell->serial;
        function->references++;
    }
    (void)pthread_mutex_unlock(&worker->lock);
    if (function == NULL)
        return err;
    err = net_send(cell->connection, function->put.bytes, function->put.count, function->fds,
                   function->fd_count);
    (void)pthread_mutex_lock(&worker->lock);
    if (err != 0 && function->put_serial == cell->serial)
        function->put_serial = 0;
    worker_function_put(function);
    (void)pthread_mutex_unlock(&worker->lock);
    return err;
}

static int
send_cancel(struct worker_cell *cell, uint64_t id)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellCancel cancel = RPC__CELL_CANCEL__INIT;

    cancel.call = id;
    request.is_case = RPC__CELL_REQUEST__IS_CANCEL;
    request.cancel = &cancel;
    return rpc_send(cell->connection, &request.base, NULL, 0);
}

void
worker_call_sent(struct worker_cell *cell, uint64_t id, bool is_cancelled)
{
    /* Where not even this can be sent, the deadline ends it. */
    if (is_cancelled)
        (void)!send_cancel(cell, id);
}

/* One that could not be sent: as if it had never been, unless it is over. */
static int
abandon(struct worker *worker, uint64_t id, int err)
{
    struct worker_record *record;

    (void)pthread_mutex_lock(&worker->lock);
    record = worker_call_find(worker, id);
    if (record != NULL) {
        worker_call_take(record);
        worker_function_put(record->function);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    if (record == NULL)
        return 0;
    return err == -ENOBUFS ? -EAGAIN : err == -EMSGSIZE ? -E2BIG : err == -EBADF ? -EINVAL : err;
}

static int
send_to(struct worker_cell *cell, const struct worker_outgoing *outgoing)
{
    struct worker *worker = cell->worker;
    uint64_t id = outgoing->message.call;
    bool is_cancelled = false;
    int err;

    (void)pthread_mutex_lock(&cell->send_lock);
    err = worker_call_begin_send(cell, id, &is_cancelled);
    if (err == 0)
        err =
            rpc_send(cell->connection, &outgoing->request.base, outgoing->fds, outgoing->fd_count);
    if (err == 0)
        worker_call_sent(cell, id, is_cancelled);
    (void)pthread_mutex_unlock(&cell->send_lock);
    (void)pthread_mutex_lock(&worker->lock);
    worker_place_put(cell);
    (void)pthread_mutex_unlock(&worker->lock);
    /* A connection that is over: the loop ends all its calls. */
    return err == 0 || err == -EPIPE ? 0 : abandon(worker, id, err);
}

/* The record is the worker's now, unless it fails. */
static int
start(struct worker_record *record, const struct worker_outgoing *outgoing)
{
    struct worker *worker = record->function->tenant->worker;
    struct worker_cell *cell;
    bool is_queued;
    int err;

    (void)pthread_mutex_lock(&worker->lock);
    err = admit(record->function, record);
    cell = err == 0 ? place_call(record) : NULL;
    is_queued = err == 0 && cell == NULL && record->packed.bytes != NULL;
    (void)pthread_mutex_unlock(&worker->lock);
    if (err != 0 || is_queued)
        return err;
    if (cell != NULL)
        return send_to(cell, outgoing);
    err = pack(record, outgoing);
    return err != 0 ? err : start(record, outgoing);
}

static uint64_t
deadline(const struct worker_function *function, const struct worker_call *call, uint64_t now_ns)
{
    uint64_t wall_ns = function->wall_ns;

    if (call->wall_ns != 0 && (wall_ns == 0 || call->wall_ns < wall_ns))
        wall_ns = call->wall_ns;
    if (wall_ns == 0 || wall_ns > CLOCK_NEVER_NS - now_ns - WORKER_STUBBORN_NS)
        return CLOCK_NEVER_NS;
    return now_ns + wall_ns + WORKER_STUBBORN_NS;
}

int
worker_call(struct worker_function *function, const struct worker_call *call, uint64_t *id)
{
    struct worker *worker = function->tenant->worker;
    struct worker_outgoing outgoing;
    struct worker_record *record;
    int err = check(call);

    if (err != 0)
        return err;
    err = fault_point("worker.call");
    record = err != 0 ? NULL : calloc(1, sizeof(*record));
    if (record == NULL)
        return -ENOMEM;
    record->id = atomic_fetch_add_explicit(&worker->next_id, 1, memory_order_relaxed);
    record->function = function;
    record->on_end = call->on_end;
    record->context = call->context;
    record->saved_fd = -1;
    record->result_slots = (uint32_t)call->result_slots;
    record->begin_ns = clock_now_ns();
    record->deadline_ns = deadline(function, call, record->begin_ns);
    /* Before it can end. */
    *id = record->id;
    err = gather(record, call, &outgoing);
    if (err == 0)
        err = start(record, &outgoing);
    if (err != 0)
        worker_call_free(record);
    return err;
}

/* -------------------------------------------------------------------------- cancelling */

/* With the lock; NULL: it is in the queue, and the loop ends it. */
static struct worker_cell *
mark_cancelled(struct worker_record *call)
{
    struct worker *worker = call->function->tenant->worker;
    uint64_t patience_ns = clock_now_ns() + WORKER_STUBBORN_NS;

    call->is_cancelled = true;
    if (call->cell == NULL) {
        worker->is_cancel_due = true;
        worker_wake(worker);
        return NULL;
    }
    if (patience_ns < call->deadline_ns)
        call->deadline_ns = patience_ns;
    worker_look_at(worker, call->deadline_ns);
    worker_place_get(call->cell);
    return call->cell;
}

int
worker_cancel(struct worker *worker, uint64_t id)
{
    struct worker_cell *cell = NULL;
    struct worker_record *call;
    bool is_sent;

    (void)pthread_mutex_lock(&worker->lock);
    call = worker_call_find(worker, id);
    if (call != NULL)
        cell = mark_cancelled(call);
    (void)pthread_mutex_unlock(&worker->lock);
    if (call == NULL)
        return -ESRCH;
    if (cell == NULL)
        return 0;
    (void)pthread_mutex_lock(&cell->send_lock);
    (void)pthread_mutex_lock(&worker->lock);
    call = worker_call_find(worker, id);
    is_sent = call != NULL && call->is_sent;
    (void)pthread_mutex_unlock(&worker->lock);
    if (is_sent)
        worker_call_sent(cell, id, true);
    (void)pthread_mutex_unlock(&cell->send_lock);
    (void)pthread_mutex_lock(&worker->lock);
    worker_place_put(cell);
    (void)pthread_mutex_unlock(&worker->lock);
    return 0;
}
