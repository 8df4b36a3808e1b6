/* SPDX-License-Identifier: Apache-2.0
 *
 * Seating: giving a call a Faaslet to go on in.
 *
 * Who needs a Faaslet takes, in this order: one that is warm; a free slot; the slot of
 * the least recent warm one of another function; the slot of the call that has waited
 * longest, which is parked.
 */
#include <errno.h>
#include <string.h>

#include "cell/cell_internal.h"

/* What an executor found to sit in. */
struct seat {
    struct faaslet *warm;    /* of the function: ready */
    struct faaslet *foreign; /* of another: to be destroyed, its slot is ours */
    struct task *victim;     /* to be parked */
};

/* With the lock. False: nothing to be had. */
static bool
find_seat(struct cell *cell, const struct task *task, struct seat *seat)
{
    struct cell_function *function = task->function;
    bool is_start = task->parked == NULL; /* else it goes on */

    if (function->warm != NULL) {
        seat->warm = warm_take(function->warm);
        cell->usage.starts_warm += is_start;
        return true;
    }
    if (cell->slots_in_use < cell->slots_max) {
        cell->slots_in_use++;
    } else if (cell->warm.first != NULL) {
        seat->foreign = warm_take((struct warm *)cell->warm.first);
    } else if (cell->waiting.first != NULL) {
        seat->victim = (struct task *)cell->waiting.first;
        list_remove(&seat->victim->link);
        seat->victim->state = TASK_PARKING;
    } else {
        return false;
    }
    cell->usage.starts_cold += is_start;
    return true;
}

/* The victim is plain memory now, or stays where it is. */
static void
end_parking(struct cell *cell, struct task *victim, struct faaslet_parked *parked)
{
    (void)pthread_mutex_lock(&cell->lock);
    if (parked != NULL) {
        victim->faaslet = NULL;
        victim->parked = parked;
        cell->usage.parked++;
        cell->usage.parked_bytes += faaslet_parked_bytes(parked);
    }
    victim->state = TASK_WAITING;
    if (victim->is_woken || victim->is_cancelled) {
        victim->is_woken = false;
        task_wake(cell, victim);
    } else if (parked == NULL) {
        list_append(&cell->waiting, &victim->link);
    }
    (void)pthread_mutex_unlock(&cell->lock);
}

/* Parks the victim. The Faaslet is good for its function's next call, or NULL where
 * it is gone and only its slot is left. */
static int
unseat(struct cell *cell, struct task *victim, const struct cell_function *wanted,
       struct faaslet **out, struct diag *diag)
{
    struct cell_function *function = victim->function;
    struct faaslet *faaslet = victim->faaslet;
    struct faaslet_parked *parked = NULL;
    int err = faaslet_park(faaslet, function->proto, &parked, diag);
    bool is_same = function == wanted;

    end_parking(cell, victim, err == 0 ? parked : NULL);
    if (err != 0)
        return err;
    *out = NULL;
    if (is_same && faaslet_reset(faaslet, wanted->proto, cell, NULL) == 0)
        *out = faaslet;
    else
        faaslet_destroy(faaslet);
    return 0;
}

/* The slot that was counted is nobody's. */
static void
give_up_slot(struct cell *cell)
{
    (void)pthread_mutex_lock(&cell->lock);
    cell->slots_in_use--;
    cell_feed(cell);
    (void)pthread_mutex_unlock(&cell->lock);
}

static int
sit(struct cell *cell, struct task *task, const struct seat *seat, struct faaslet **out,
    struct diag *diag)
{
    struct faaslet *faaslet = seat->warm;
    int err = 0;

    faaslet_destroy(seat->foreign);
    if (seat->victim != NULL) {
        err = unseat(cell, seat->victim, task->function, &faaslet, diag);
        if (err != 0)
            return err;
    }
    if (faaslet == NULL) {
        err = faaslet_thaw(task->function->proto, &task->function->config, &faaslet, diag);
        if (err != 0)
            give_up_slot(cell);
    }
    *out = faaslet;
    return err;
}

/* A proto in mid-run goes on with a record made of its own and the caller's. */
static int
prepare_process(struct task *task, struct diag *diag)
{
    struct cell_function *function = task->function;
    const struct faaslet_process_ops *ops = function->config.ops;
    const uint8_t *bytes;
    size_t count;
    int err;

    bytes = faaslet_frozen_process(function->proto, &count);
    if (!function->is_mid_run || bytes == NULL || ops == NULL || task->own_process != NULL)
        return 0;
    err = ops->restart != NULL ? ops->restart(bytes, count, task->process, &task->own_process)
                               : ops->thaw(bytes, count, &task->own_process);
    return err == 0 ? 0
                    : diag_set(diag, err, "cannot make its record of files: %s", strerror(-err));
}

static int
attach(struct cell *cell, struct faaslet *faaslet, struct diag *diag)
{
    int err = cell->on_attach != NULL ? cell->on_attach(faaslet_process(faaslet), faaslet) : 0;

    return err == 0 ? 0 : diag_set(diag, err, "its state cannot be mapped again");
}

static int
go_on(struct cell *cell, struct task *task, struct faaslet *faaslet, struct diag *diag)
{
    struct faaslet_parked *parked = task->parked;
    uint64_t bytes;
    int err;

    if (parked == NULL) {
        err = prepare_process(task, diag);
        if (err == 0)
            faaslet_process_set(faaslet,
                                task->own_process != NULL ? task->own_process : task->process);
        if (err == 0 && task->own_process != NULL)
            err = attach(cell, faaslet, diag);
        return err;
    }
    bytes = faaslet_parked_bytes(parked);
    err = faaslet_unpark(faaslet, parked, diag);
    if (err == 0)
        err = attach(cell, faaslet, diag);
    (void)pthread_mutex_lock(&cell->lock);
    cell->usage.parked--;
    cell->usage.parked_bytes -= bytes;
    task->parked = NULL;
    (void)pthread_mutex_unlock(&cell->lock);
    faaslet_parked_destroy(parked);
    return err;
}

int
task_seat(struct cell *cell, struct task *task, struct diag *diag)
{
    struct seat seat = {0};
    struct faaslet *faaslet;
    bool is_found;
    int err;

    (void)pthread_mutex_lock(&cell->lock);
    is_found = find_seat(cell, task, &seat);
    if (!is_found) { /* in one go with looking, or the wake-up would be missed */
        list_append(&cell->starved, &task->link);
        task->state = TASK_QUEUED;
    }
    (void)pthread_mutex_unlock(&cell->lock);
    if (!is_found)
        return -EAGAIN;
    err = sit(cell, task, &seat, &faaslet, diag);
    if (err != 0)
        return err;
    err = go_on(cell, task, faaslet, diag);
    if (err != 0) {
        faaslet_destroy(faaslet);
        give_up_slot(cell);
        return err;
    }
    faaslet_mark_set(faaslet, task);
    (void)pthread_mutex_lock(&cell->lock);
    task->faaslet = faaslet;
    (void)pthread_mutex_unlock(&cell->lock);
    return 0;
}
