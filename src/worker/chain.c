/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that guests want of functions that their cells do not have: who they are for is
 * not known here. A record lives from the cell's wish to its end, or to the cell's.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "worker/worker_internal.h"

#define BUCKET_BITS 12
#define REFUSED_MAX 64u /* at a time */

static_assert(WORKER_CHAIN_BUCKETS == 1u << BUCKET_BITS, "bits of a bucket");

/* --------------------------------------------------------------------------- tables */

static struct worker_chained **
by_id(struct worker *worker, uint64_t id)
{
    return &worker->chains_by_id[id % WORKER_CHAIN_BUCKETS];
}

static struct worker_chained **
by_number(const struct worker_cell *cell, uint64_t number)
{
    struct worker *worker = cell->worker;
    uint64_t hash = (number + cell->serial) * worker->chain_key;

    return &worker->chains_by_number[hash >> (64 - BUCKET_BITS)];
}

static struct worker_chained *
find_number(const struct worker_cell *cell, uint64_t number)
{
    struct worker_chained *chained = *by_number(cell, number);

    while (chained != NULL && (chained->cell != cell || chained->number != number))
        chained = chained->by_number;
    return chained;
}

static struct worker_chained *
find_id(struct worker *worker, uint64_t id)
{
    struct worker_chained *chained = *by_id(worker, id);

    while (chained != NULL && chained->id != id)
        chained = chained->by_id;
    return chained;
}

static void
enter(struct worker_cell *cell, struct worker_chained *chained)
{
    struct worker *worker = cell->worker;
    struct worker_chained **at = by_id(worker, chained->id);

    chained->by_id = *at;
    *at = chained;
    at = by_number(cell, chained->number);
    chained->by_number = *at;
    *at = chained;
    chained->next = cell->chains;
    chained->link = &cell->chains;
    if (chained->next != NULL)
        chained->next->link = &chained->next;
    cell->chains = chained;
    cell->chain_count++;
}

static void
take(struct worker_chained *chained)
{
    struct worker_cell *cell = chained->cell;
    struct worker_chained **at = by_id(cell->worker, chained->id);

    while (*at != chained)
        at = &(*at)->by_id;
    *at = chained->by_id;
    at = by_number(cell, chained->number);
    while (*at != chained)
        at = &(*at)->by_number;
    *at = chained->by_number;
    *chained->link = chained->next;
    if (chained->next != NULL)
        chained->next->link = chained->link;
    cell->chain_count--;
}

/* ----------------------------------------------------------------------------- ends */

static const Rpc__CellEndKind kinds[] = {
    [WORKER_DONE] = RPC__CELL_END_KIND__CELL_END_DONE,
    [WORKER_EXIT] = RPC__CELL_END_KIND__CELL_END_EXIT,
    [WORKER_TRAP] = RPC__CELL_END_KIND__CELL_END_TRAP,
    [WORKER_LIMIT] = RPC__CELL_END_KIND__CELL_END_LIMIT,
    [WORKER_CANCELLED] = RPC__CELL_END_KIND__CELL_END_CANCELLED,
    [WORKER_FAILED] = RPC__CELL_END_KIND__CELL_END_FAILED,
    [WORKER_LOST] = RPC__CELL_END_KIND__CELL_END_LOST,
};

static ProtobufCBinaryData
bytes_of(const uint8_t *bytes, size_t count)
{
    return (ProtobufCBinaryData){count, (uint8_t *)(uintptr_t)bytes};
}

static void
fill(Rpc__CellChainEnd *message, const struct worker_end *end)
{
    rpc__cell_chain_end__init(message);
    message->kind = kinds[end->kind];
    message->exit_code = end->exit_code;
    message->err = end->err;
    message->limit = end->limit;
    message->trap = end->trap;
    message->result = bytes_of(end->result, end->result_bytes);
    message->output = bytes_of(end->output, end->output_bytes);
    message->log = bytes_of(end->log, end->log_bytes);
}

/* Where what it left is too much for one frame, that is what came of it. */
static int
send_end(struct worker_cell *cell, Rpc__CellChainEnd *end)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    int err = fault_point("worker.chain_end");

    request.is_case = RPC__CELL_REQUEST__IS_CHAIN_END;
    request.chain_end = end;
    if (err == 0)
        err = rpc_send(cell->connection, &request.base, NULL, 0);
    if (err != -EMSGSIZE)
        return err == -ENOBUFS || err == -ENOMEM ? -EAGAIN : err;
    end->kind = RPC__CELL_END_KIND__CELL_END_FAILED;
    end->err = -E2BIG;
    end->message = (char *)(uintptr_t)"its result is too large to be sent";
    end->result = end->output = end->log = (ProtobufCBinaryData){0, NULL};
    err = rpc_send(cell->connection, &request.base, NULL, 0);
    return err == -ENOBUFS || err == -ENOMEM ? -EAGAIN : err;
}

/* With a reference on the cell, which is given back. The record is found again with the
 * send_lock, under which it ends: only one of several tells it. */
static int
tell(struct worker_cell *cell, uint64_t id, Rpc__CellChainEnd *message)
{
    struct worker *worker = cell->worker;
    struct worker_chained *chained;
    int err = -ESRCH;

    (void)pthread_mutex_lock(&cell->send_lock);
    (void)pthread_mutex_lock(&worker->lock);
    chained = find_id(worker, id);
    if (chained != NULL) {
        message->chain = chained->number;
        err = 0;
    }
    (void)pthread_mutex_unlock(&worker->lock);
    if (err == 0)
        err = send_end(cell, message);
    (void)pthread_mutex_lock(&worker->lock);
    chained = err == 0 ? find_id(worker, id) : NULL;
    if (chained != NULL)
        take(chained);
    (void)pthread_mutex_unlock(&worker->lock);
    (void)pthread_mutex_unlock(&cell->send_lock);
    (void)pthread_mutex_lock(&worker->lock);
    worker_place_put(cell);
    (void)pthread_mutex_unlock(&worker->lock);
    free(chained);
    return err == -EPIPE ? -ESRCH : err;
}

int
worker_chain_end(struct worker *worker, uint64_t id, const struct worker_end *end)
{
    struct worker_chained *chained;
    struct worker_cell *cell = NULL;
    Rpc__CellChainEnd message;
    char *text;
    int err;

    (void)pthread_mutex_lock(&worker->lock);
    chained = find_id(worker, id);
    if (chained != NULL) {
        cell = chained->cell;
        worker_place_get(cell);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    if (cell == NULL)
        return -ESRCH;
    fill(&message, end);
    text = rpc_text(end->message != NULL ? end->message : "");
    if (text != NULL)
        message.message = text;
    err = tell(cell, id, &message);
    free(text);
    return err;
}

/* -------------------------------------------------------------------- what cells say */

/* With the lock. Its parent, if that is a call of the cell's. */
static uint64_t
parent_of(const struct worker_cell *cell, uint64_t id)
{
    const struct worker_record *call = worker_call_find(cell->worker, id);

    return call != NULL && call->cell == cell ? id : 0;
}

/* On the loop. A cell that does not read now is told later. */
static void
refuse(struct worker *worker, uint64_t id, const char *reason)
{
    const struct worker_end end = {
        .kind = WORKER_FAILED, .err = -ENOENT, .message = reason, .backtrace = ""};
    struct worker_chained *chained;

    if (worker_chain_end(worker, id, &end) != -EAGAIN)
        return;
    (void)pthread_mutex_lock(&worker->lock);
    chained = find_id(worker, id);
    if (chained != NULL) {
        chained->is_refused = true;
        worker->refuse_at_ns = clock_now_ns() + WORKER_RETRY_NS;
        worker_look_at(worker, worker->refuse_at_ns);
    }
    (void)pthread_mutex_unlock(&worker->lock);
}

/* With the lock: some of those that were not told, as if they had been. */
static size_t
take_refused(struct worker *worker, uint64_t ids[REFUSED_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < WORKER_CHAIN_BUCKETS; i++)
        for (struct worker_chained *chained = worker->chains_by_id[i];
             chained != NULL && count < REFUSED_MAX; chained = chained->by_id)
            if (chained->is_refused) {
                chained->is_refused = false;
                ids[count++] = chained->id;
            }
    return count;
}

void
worker_chain_refuse_due(struct worker *worker)
{
    uint64_t ids[REFUSED_MAX], now_ns = clock_now_ns();
    size_t count = 0;

    (void)pthread_mutex_lock(&worker->lock);
    if (worker->refuse_at_ns <= now_ns) {
        count = take_refused(worker, ids);
        worker->refuse_at_ns = count < REFUSED_MAX ? CLOCK_NEVER_NS : now_ns;
    }
    (void)pthread_mutex_unlock(&worker->lock);
    for (size_t i = 0; i < count; i++)
        refuse(worker, ids[i], "there is no function of this name");
}

static const char *
wrong_with(const struct worker_cell *cell, const Rpc__CellChain *wanted)
{
    if (cell->state != CELL_OPEN)
        return "it chained a call before it was set up";
    if (wanted->input.len > WORKER_INPUT_BYTES_MAX)
        return "it chained a call with more input than one can have";
    return NULL;
}

/* Its id; 0: wrong says why not. */
static uint64_t
keep(struct worker_cell *cell, uint64_t number, const char **wrong)
{
    struct worker *worker = cell->worker;
    struct worker_chained *chained =
        fault_point("worker.chain") != 0 ? NULL : calloc(1, sizeof(*chained));
    uint64_t id = 0;

    *wrong = chained == NULL ? "no memory for a call that it chained" : "it chained a call twice";
    if (chained == NULL)
        return 0;
    chained->number = number;
    chained->cell = cell;
    (void)pthread_mutex_lock(&worker->lock);
    if (cell->chain_count >= WORKER_CHAINS_MAX) {
        *wrong = "it chained more calls than it may";
    } else if (find_number(cell, number) == NULL) {
        id = chained->id = atomic_fetch_add_explicit(&worker->next_id, 1, memory_order_relaxed);
        enter(cell, chained);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    if (id == 0)
        free(chained);
    return id;
}

const char *
worker_chain_hear(struct worker_cell *cell, const Rpc__CellReply *reply)
{
    const Rpc__CellChain *wanted = reply->chain;
    struct worker *worker = cell->worker;
    struct worker_chain chain = {.tenant = cell->tenant,
                                 .reference = wanted->reference,
                                 .input = wanted->input.data,
                                 .input_bytes = wanted->input.len,
                                 .wall_ns = wanted->wall_ns,
                                 .depth = wanted->depth,
                                 .is_detached = wanted->is_detached};
    const char *wrong = wrong_with(cell, wanted);

    if (wrong != NULL)
        return wrong;
    (void)pthread_mutex_lock(&worker->lock);
    chain.parent = parent_of(cell, wanted->call);
    (void)pthread_mutex_unlock(&worker->lock);
    chain.id = keep(cell, wanted->chain, &wrong);
    if (chain.id == 0)
        return wrong;
    if (worker->on_chain != NULL) {
        worker->on_chain(worker->chain_context, &chain);
    } else {
        char reason[WORKER_REASON_MAX];

        worker_reason(reason, "there is no function \"%.256s\"", wanted->reference);
        refuse(worker, chain.id, reason);
    }
    return NULL;
}

/* Its end may be on the way: then there is nothing to cancel. */
const char *
worker_chain_hear_cancel(struct worker_cell *cell, const Rpc__CellReply *reply)
{
    struct worker *worker = cell->worker;
    const struct worker_chained *chained;
    uint64_t id = 0;

    (void)pthread_mutex_lock(&worker->lock);
    chained = find_number(cell, reply->chain_cancel->chain);
    if (chained != NULL)
        id = chained->id;
    (void)pthread_mutex_unlock(&worker->lock);
    if (id != 0 && worker->on_chain_cancel != NULL)
        worker->on_chain_cancel(worker->chain_context, id);
    return NULL;
}

void
worker_chain_cancel_all_of(struct worker_cell *cell)
{
    struct worker *worker = cell->worker;
    struct worker_chained *chained;

    do {
        (void)pthread_mutex_lock(&worker->lock);
        chained = cell->chains;
        if (chained != NULL)
            take(chained);
        (void)pthread_mutex_unlock(&worker->lock);
        if (chained != NULL && worker->on_chain_cancel != NULL)
            worker->on_chain_cancel(worker->chain_context, chained->id);
        free(chained);
    } while (chained != NULL);
}
