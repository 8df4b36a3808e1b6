/* SPDX-License-Identifier: Apache-2.0
 *
 * What cells and the global tier of state say to each other, on its way through. A cell that has
 * wanted a session is in a table by its serial, which is the session's number, until it leaves.
 */
#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "worker/worker_internal.h"

static struct worker_cell **
bucket(struct worker *worker, uint64_t serial)
{
    return &worker->states[serial % WORKER_STATE_BUCKETS];
}

static void
enter(struct worker_cell *cell)
{
    struct worker_cell **head = bucket(cell->worker, cell->serial);

    if (cell->has_state)
        return;
    cell->has_state = true;
    cell->by_serial = *head;
    *head = cell;
}

const char *
worker_state_hear(struct worker_cell *cell, const Rpc__CellReply *reply)
{
    struct worker *worker = cell->worker;
    char tenant[WORKER_TENANT_NAME_MAX + 1];
    struct worker_state words = {.session = cell->serial,
                                 .tenant = tenant,
                                 .bytes = reply->state.data,
                                 .count = reply->state.len};

    if (worker->on_state == NULL)
        return NULL;
    if (cell->state != CELL_OPEN)
        return "it spoke of state before it was set up";
    (void)pthread_mutex_lock(&worker->lock);
    enter(cell);
    (void)snprintf(tenant, sizeof(tenant), "%s", cell->tenant->name);
    (void)pthread_mutex_unlock(&worker->lock);
    worker->on_state(worker->chain_context, &words);
    return NULL;
}

void
worker_state_end(struct worker_cell *cell)
{
    struct worker *worker = cell->worker;
    const struct worker_state words = {.session = cell->serial, .tenant = "", .is_over = true};
    struct worker_cell **at = bucket(worker, cell->serial);

    if (!cell->has_state)
        return;
    (void)pthread_mutex_lock(&worker->lock);
    while (*at != cell)
        at = &(*at)->by_serial;
    *at = cell->by_serial;
    cell->has_state = false;
    (void)pthread_mutex_unlock(&worker->lock);
    worker->on_state(worker->chain_context, &words);
}

/* ------------------------------------------------------------------------------- down */

/* With a reference on the cell, which is given back. */
static int
say(struct worker_cell *cell, const uint8_t *bytes, size_t count)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    int err;

    request.is_case = RPC__CELL_REQUEST__IS_STATE;
    request.state = (ProtobufCBinaryData){count, (uint8_t *)(uintptr_t)bytes};
    err = rpc_send(cell->connection, &request.base, NULL, 0);
    (void)pthread_mutex_lock(&cell->worker->lock);
    worker_place_put(cell);
    (void)pthread_mutex_unlock(&cell->worker->lock);
    return err == -EPIPE ? -ESRCH : err == -ENOBUFS || err == -ENOMEM ? -EAGAIN : err;
}

int
worker_state_say(struct worker *worker, uint64_t session, const uint8_t *bytes, size_t count)
{
    struct worker_cell *cell;

    (void)pthread_mutex_lock(&worker->lock);
    cell = *bucket(worker, session);
    while (cell != NULL && cell->serial != session)
        cell = cell->by_serial;
    if (cell != NULL)
        worker_place_get(cell);
    (void)pthread_mutex_unlock(&worker->lock);
    return cell == NULL ? -ESRCH : say(cell, bytes, count);
}

/* One after the other by their numbers, which only grow: the table may change in between. */
void
worker_state_renew(struct worker *worker)
{
    for (size_t i = 0; i < WORKER_STATE_BUCKETS; i++) {
        uint64_t before = UINT64_MAX;

        for (;;) {
            struct worker_cell *next = NULL;

            (void)pthread_mutex_lock(&worker->lock);
            for (struct worker_cell *cell = worker->states[i]; cell != NULL; cell = cell->by_serial)
                if (cell->serial < before && (next == NULL || cell->serial > next->serial))
                    next = cell;
            if (next != NULL) {
                before = next->serial;
                worker_place_get(next);
            }
            (void)pthread_mutex_unlock(&worker->lock);
            if (next == NULL)
                break;
            (void)!say(next, NULL, 0); /* one that does not read ends what waits by itself */
        }
    }
}
