/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions: their Proto-Faaslets, and the Faaslets that are used again.
 *
 * Who needs a Faaslet takes, in this order: one that is warm; a free slot; the slot of
 * the least recent warm one of another function; the slot of the call that has waited
 * longest, which is parked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "cell/cell_internal.h"

/* ----------------------------------------------------------------- initialisation */

static int
run_to_end(struct faaslet *faaslet, const char *what, struct diag *diag)
{
    struct faaslet_outcome outcome;

    do
        faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    while (outcome.kind == FAASLET_PREEMPTED || outcome.kind == FAASLET_SNAPSHOT);
    if (outcome.kind == FAASLET_DONE)
        return 0;
    if (outcome.kind == FAASLET_TRAP)
        return diag_set(diag, -EINVAL, "%s traps: %s", what,
                        outcome.trap == ABI_TRAP_HOST ? outcome.message
                                                      : abi_trap_text(outcome.trap));
    return diag_set(diag, -EINVAL, "%s does not end by itself", what);
}

static int
initialise(struct faaslet *faaslet, struct diag *diag)
{
    static const char *const names[] = {"_initialize", "weft_init"};
    int err = faaslet_invoke_init(faaslet, 0);

    if (err == 0)
        err = run_to_end(faaslet, "initialisation", diag);
    for (size_t i = 0; i < ARRAY_COUNT(names) && err == 0; i++) {
        err = faaslet_invoke(faaslet, 0, names[i], NULL, 0);
        if (err == 0)
            err = run_to_end(faaslet, names[i], diag);
        else if (err == -ENOENT)
            err = 0;
    }
    return err;
}

static int
make_proto(const struct cell_function_config *config, struct faaslet_frozen **out,
           struct diag *diag)
{
    struct faaslet *faaslet;
    int err = faaslet_thread_init();

    if (err != 0)
        return diag_set(diag, err, "cannot prepare this thread: %s", strerror(-err));
    err = faaslet_create(config->image, &config->faaslet, &faaslet, diag);
    if (err != 0)
        return err;
    err = initialise(faaslet, diag);
    if (err == 0)
        err = faaslet_freeze(faaslet, out, diag);
    faaslet_destroy(faaslet);
    return err;
}

int
cell_function_create(struct cell *cell, const struct cell_function_config *config,
                     struct cell_function **out, struct diag *diag)
{
    struct cell_function *function;
    int err = fault_point("cell.function");

    if ((config->image == NULL) == (config->frozen == NULL))
        return diag_set(diag, -EINVAL, "a function is of an image or of a Proto-Faaslet");
    function = calloc(1, sizeof(*function));
    if (function == NULL || err != 0) {
        free(function);
        return diag_set(diag, -ENOMEM, "no memory for a function");
    }
    function->cell = cell;
    function->references = 1;
    function->config = config->faaslet;
    function->wall_ns_max = config->wall_ns_max;
    function->warm_max = config->warm_max != 0 ? config->warm_max : CELL_WARM_DEFAULT;
    if (config->frozen != NULL)
        function->proto = faaslet_frozen_get(config->frozen);
    else
        err = make_proto(config, &function->proto, diag);
    if (err != 0) {
        free(function);
        return err;
    }
    function->is_mid_run = faaslet_frozen_is_running(function->proto);
    function->config.process = NULL;
    function->config.process_is_given = true; /* every call brings its own */
    *out = function;
    return 0;
}

struct faaslet_frozen *
cell_function_proto(const struct cell_function *function)
{
    return function->proto;
}

/* ---------------------------------------------------------------------------- warm */

void
warm_destroy(struct warm *warm)
{
    while (warm != NULL) {
        struct warm *beneath = warm->beneath;

        faaslet_destroy(warm->faaslet);
        free(warm);
        warm = beneath;
    }
}

struct warm *
function_take_warm(struct cell_function *function)
{
    struct warm *all = function->warm;

    for (struct warm *warm = all; warm != NULL; warm = warm->beneath) {
        list_remove(&warm->link);
        function->cell->slots_in_use--;
        function->cell->usage.warm--;
    }
    function->warm = NULL;
    function->warm_count = 0;
    return all;
}

void
function_put(struct cell_function *function)
{
    struct cell *cell = function->cell;
    struct warm *warm = NULL;
    bool is_last;

    (void)pthread_mutex_lock(&cell->lock);
    is_last = --function->references == 0;
    if (is_last || function->is_dropped) {
        warm = function_take_warm(function);
        if (warm != NULL)
            cell_feed(cell);
    }
    (void)pthread_mutex_unlock(&cell->lock);
    warm_destroy(warm);
    if (!is_last)
        return;
    faaslet_frozen_destroy(function->proto);
    free(function);
}

void
cell_function_drop(struct cell_function *function)
{
    if (function == NULL)
        return;
    (void)pthread_mutex_lock(&function->cell->lock);
    function->is_dropped = true;
    (void)pthread_mutex_unlock(&function->cell->lock);
    function_put(function);
}

/* Takes one warm Faaslet out of its function and the cell: its slot is the taker's. */
static struct faaslet *
take(struct warm *warm)
{
    struct cell_function *function = warm->function;
    struct faaslet *faaslet = warm->faaslet;
    struct warm **at = &function->warm;

    while (*at != warm)
        at = &(*at)->beneath;
    *at = warm->beneath;
    function->warm_count--;
    function->cell->usage.warm--;
    list_remove(&warm->link);
    free(warm);
    return faaslet;
}

void
function_return(struct cell *cell, struct cell_function *function, struct faaslet *faaslet)
{
    struct warm *warm = calloc(1, sizeof(*warm));
    /* The record of the call that is over must not be used; a start sets its own. */
    bool is_kept = warm != NULL && faaslet_reset(faaslet, function->proto, cell, NULL) == 0;

    (void)pthread_mutex_lock(&cell->lock);
    is_kept = is_kept && !function->is_dropped && !cell->is_ending &&
              function->warm_count < function->warm_max;
    if (is_kept) {
        *warm = (struct warm){.beneath = function->warm, .function = function, .faaslet = faaslet};
        function->warm = warm;
        function->warm_count++;
        cell->usage.warm++;
        list_append(&cell->warm, &warm->link);
    } else {
        cell->slots_in_use--;
    }
    cell_feed(cell);
    (void)pthread_mutex_unlock(&cell->lock);
    if (is_kept)
        return;
    free(warm);
    faaslet_destroy(faaslet);
}

/* ------------------------------------------------------------------------- seating */

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
        seat->warm = take(function->warm);
        cell->usage.starts_warm += is_start;
        return true;
    }
    if (cell->slots_in_use < cell->slots_max) {
        cell->slots_in_use++;
    } else if (cell->warm.first != NULL) {
        seat->foreign = take((struct warm *)cell->warm.first);
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
        return err;
    }
    bytes = faaslet_parked_bytes(parked);
    err = faaslet_unpark(faaslet, parked, diag);
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
    (void)pthread_mutex_lock(&cell->lock);
    task->faaslet = faaslet;
    (void)pthread_mutex_unlock(&cell->lock);
    return 0;
}
