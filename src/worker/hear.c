/* SPDX-License-Identifier: Apache-2.0
 *
 * What a cell says, on the loop. It runs guests: nothing of it is trusted. What no
 * cell of ours says ends it, and with it no more than its own tenant's calls.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "worker/worker_internal.h"

/* NULL: fine. Else what is wrong with it; it is about to be killed. */
typedef const char *(*hear_fn)(struct worker_cell *cell, const Rpc__CellReply *reply);

/* For a cell that said itself why it is of no use. */
static const char *const told_why = "";

static const char *
hear_ready(struct worker_cell *cell, const Rpc__CellReply *reply)
{
    const Rpc__CellReady *ready = reply->ready;

    if (ready->error[0] != '\0') {
        char reason[WORKER_REASON_MAX];

        worker_reason(reason, "its cell is of no use: %.400s", ready->error);
        worker_place_close(cell, WORKER_FAILED, reason);
        return told_why;
    }
    if (ready->is_set_up != (cell->state != CELL_GREETING) || cell->is_set_up ||
        (cell->state != CELL_GREETING && cell->state != CELL_OPEN))
        return "it said twice that it is ready";
    if (ready->version != RPC__CELL_VERSION__CELL_VERSION)
        return "it is of another version";
    if (cell->state == CELL_GREETING)
        worker_place_ready(cell);
    else
        cell->is_set_up = true;
    return NULL;
}

/* It may be about a function that was removed in the meantime, but not about one that
 * never was. */
static const char *
hear_put_done(struct worker_cell *cell, const Rpc__CellReply *reply)
{
    const Rpc__CellPutDone *done = reply->put_done;
    struct worker *worker = cell->worker;
    struct worker_function *function;
    bool is_known;

    if (cell->state != CELL_OPEN)
        return "it spoke of a function before it was set up";
    (void)pthread_mutex_lock(&worker->lock);
    is_known = done->function != 0 && done->function < worker->next_function;
    function = worker_function_find(cell->tenant, done->function);
    if (function != NULL && function->put_serial == cell->serial)
        worker_reason(function->refused, "%.400s", done->err != 0 ? done->message : "");
    (void)pthread_mutex_unlock(&worker->lock);
    return is_known ? NULL : "it spoke of a function that is not";
}

/* ------------------------------------------------------------------------------- ends */

static bool
is_end(const Rpc__CellEnd *end, const struct worker_record *call)
{
    bool has_results = end->kind == RPC__CELL_END_KIND__CELL_END_DONE;

    return end->kind != RPC__CELL_END_KIND__CELL_END_NONE &&
           end->kind <= RPC__CELL_END_KIND__CELL_END_FAILED &&
           end->n_results <= (has_results ? call->result_slots : 0);
}

/* From here on it is as it is: also its cell, which has written it, cannot change it. */
static void
seal(int fd, struct worker_end *end)
{
    struct stat stat;

    if (file_seal(fd) == 0 && fstat(fd, &stat) == 0 && stat.st_size > 0)
        return;
    end->kind = WORKER_FAILED;
    end->err = -EIO;
    end->message = "its cell has not saved it, or does not let go of it";
}

static void
end_call(struct worker_record *call, const Rpc__CellEnd *end)
{
    static const enum worker_end_kind kinds[] = {
        [RPC__CELL_END_KIND__CELL_END_DONE] = WORKER_DONE,
        [RPC__CELL_END_KIND__CELL_END_EXIT] = WORKER_EXIT,
        [RPC__CELL_END_KIND__CELL_END_TRAP] = WORKER_TRAP,
        [RPC__CELL_END_KIND__CELL_END_LIMIT] = WORKER_LIMIT,
        [RPC__CELL_END_KIND__CELL_END_CANCELLED] = WORKER_CANCELLED,
        [RPC__CELL_END_KIND__CELL_END_FAILED] = WORKER_FAILED,
    };
    struct worker_end out = {.kind = kinds[end->kind],
                             .exit_code = end->exit_code,
                             .trap = end->trap,
                             .err = end->err,
                             .limit = end->limit,
                             .refused = end->refused,
                             .message = end->message,
                             .backtrace = end->backtrace,
                             .results = end->results,
                             .result_slots = end->n_results,
                             .output = end->output.data,
                             .output_bytes = end->output.len,
                             .log = end->log.data,
                             .log_bytes = end->log.len,
                             .result = end->result.data,
                             .result_bytes = end->result.len,
                             .is_world_end = end->is_world_end,
                             .chained = end->chained,
                             .chained_cpu_ns = end->chained_cpu_ns,
                             .wall_ns = end->wall_ns,
                             .cpu_ns = end->cpu_ns,
                             .memory_bytes = end->memory_bytes};

    if (end->kind == RPC__CELL_END_KIND__CELL_END_FAILED && end->message[0] == '\0')
        out.message = call->function->refused;
    if (call->saved_fd >= 0 && out.kind == WORKER_DONE)
        seal(call->saved_fd, &out);
    worker_call_end(call, &out);
}

static const char *
hear_end(struct worker_cell *cell, const Rpc__CellReply *reply)
{
    const Rpc__CellEnd *end = reply->end;
    struct worker *worker = cell->worker;
    struct worker_record *call;
    bool is_known, is_good = false;

    (void)pthread_mutex_lock(&worker->lock);
    call = worker_call_find(worker, end->call);
    is_known = call != NULL && call->cell == cell && call->is_sent;
    if (is_known && (is_good = is_end(end, call))) {
        cell->has_ended_call = true;
        worker_call_take(call);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    if (!is_known)
        return "it ended a call that it does not have";
    if (!is_good)
        return "it ended a call as no call ends";
    end_call(call, end);
    return NULL;
}

static const char *
hear_usage(struct worker_cell *cell, const Rpc__CellReply *reply)
{
    (void)cell;
    (void)reply;
    return "it answered what nobody asked";
}

static const char *
hear_reply(struct worker_cell *cell, const Rpc__CellReply *reply)
{
    static const hear_fn words[] = {
        [RPC__CELL_REPLY__IS_READY] = hear_ready,
        [RPC__CELL_REPLY__IS_PUT_DONE] = hear_put_done,
        [RPC__CELL_REPLY__IS_END] = hear_end,
        [RPC__CELL_REPLY__IS_USAGE] = hear_usage,
        [RPC__CELL_REPLY__IS_CHAIN] = worker_chain_hear,
        [RPC__CELL_REPLY__IS_CHAIN_CANCEL] = worker_chain_hear_cancel,
        [RPC__CELL_REPLY__IS_STATE] = worker_state_hear,
    };

    if (reply->is_case >= ARRAY_COUNT(words) || words[reply->is_case] == NULL)
        return "it said what is not known";
    return words[reply->is_case](cell, reply);
}

/* ---------------------------------------------------------------------------- frames */

static void
accuse(struct worker_cell *cell, const char *what)
{
    char reason[WORKER_REASON_MAX];

    if (what == told_why)
        return;
    worker_reason(reason, "its cell broke the rules of its connection: %s", what);
    worker_place_close(cell, WORKER_LOST, reason);
}

static void
hear_frame(struct worker_cell *cell, struct net_frame *frame)
{
    Rpc__CellReply *reply = rpc_cell_reply(frame);
    const char *wrong = reply == NULL ? "it sent no message" : hear_reply(cell, reply);

    if (reply != NULL)
        rpc__cell_reply__free_unpacked(reply, NULL);
    if (wrong != NULL)
        accuse(cell, wrong);
}

bool
worker_hear_cell(struct worker_cell *cell)
{
    for (unsigned i = 0; i < WORKER_FRAMES_A_TURN; i++) {
        struct net_frame frame;
        int err;

        if (cell->state >= CELL_LEAVING)
            return false;
        err = net_receive(cell->connection, &frame);
        if (err == -EAGAIN)
            return false;
        if (err == -EPROTO)
            accuse(cell, "no frame of it, or descriptors");
        else if (err == -ENOMEM || err == -EMFILE)
            worker_place_close(cell, WORKER_LOST, "no memory for what its cell said");
        else if (err != 0)
            worker_place_leave(cell);
        if (err != 0)
            return false;
        hear_frame(cell, &frame);
        net_frame_fini(&frame);
    }
    return true;
}
