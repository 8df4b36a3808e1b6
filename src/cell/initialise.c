/* SPDX-License-Identifier: Apache-2.0
 *
 * Initialisation of a function, before its Proto-Faaslet is frozen: what the module's start
 * function, _initialize and weft_init do. It is no call, so no executor runs it but whoever makes
 * the function; threads that it starts take turns on that host thread, and have to be over when
 * it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cell/cell_internal.h"

#define TICK_NS UINT64_C(5000000) /* of turns */

struct turn { /* a thread but the first */
    struct turn *next;
    struct faaslet *faaslet;
};

/* One initialisation; of this host thread. */
struct initialisation {
    struct turn *turns;
    uint64_t ns_max, deadline_ns;
    const char *what; /* runs */
    bool is_idle;     /* in this round nobody has done anything */
    uint64_t wake_ns; /* the first time at which somebody may */
};

static _Thread_local struct initialisation *here;

/* ------------------------------------------------------------------------- its threads */

static int
on_thread(struct faaslet *faaslet)
{
    struct turn *turn = here != NULL ? calloc(1, sizeof(*turn)) : NULL;

    if (turn == NULL)
        return here == NULL ? -EAGAIN : -ENOMEM;
    turn->faaslet = faaslet;
    turn->next = here->turns;
    here->turns = turn;
    return 0;
}

/* Who waits is asked again at every turn. */
static void
on_wake(struct faaslet *faaslet)
{
    (void)faaslet;
    if (here != NULL)
        here->is_idle = false;
}

static const struct faaslet_owner owner = {on_thread, on_wake};

static int
fail(const struct initialisation *init, const struct faaslet_outcome *outcome, struct diag *diag)
{
    if (outcome->kind == FAASLET_TRAP)
        return diag_set(diag, -EINVAL, "%s traps: %s", init->what,
                        outcome->trap == ABI_TRAP_HOST ? outcome->message
                                                       : abi_trap_text(outcome->trap));
    if (outcome->kind == FAASLET_KILLED && outcome->limit == FAASLET_LIMIT_TIME)
        return diag_set(diag, -EINVAL, "%s reached its time limit of %.3f s", init->what,
                        (double)init->ns_max / CLOCK_NS_PER_SECOND);
    return diag_set(diag, -EINVAL, "%s does not end by itself", init->what);
}

/* Alone it waits for nobody; among threads it may, but for no descriptor. */
static bool
goes_on(struct initialisation *init, const struct faaslet_outcome *outcome)
{
    bool is_pending = outcome->kind == FAASLET_PENDING;
    uint64_t until_ns = is_pending ? outcome->wait.deadline_ns : 0;

    if (!is_pending && outcome->kind != FAASLET_PREEMPTED && outcome->kind != FAASLET_SNAPSHOT)
        return false;
    if (until_ns == 0)
        init->is_idle = false;
    else if (init->turns == NULL || outcome->wait.fd_count > 0)
        return false;
    if (until_ns < init->wake_ns)
        init->wake_ns = until_ns;
    return true;
}

/* One turn of each. Those that are over are gone. */
static int
run_threads(struct initialisation *init, struct diag *diag)
{
    struct turn **place = &init->turns;
    struct faaslet_outcome outcome;

    while (*place != NULL) {
        struct turn *turn = *place;

        faaslet_run(turn->faaslet, init->deadline_ns, &outcome);
        if (outcome.kind != FAASLET_DONE && !goes_on(init, &outcome))
            return fail(init, &outcome, diag);
        while (*place != turn) /* those that it has started are before it */
            place = &(*place)->next;
        if (outcome.kind == FAASLET_DONE) {
            init->is_idle = false;
            *place = turn->next;
            faaslet_thread_end(turn->faaslet);
            free(turn);
        } else {
            place = &turn->next;
        }
    }
    return 0;
}

static void
begin_round(struct initialisation *init)
{
    init->is_idle = true;
    init->wake_ns = CLOCK_NEVER_NS;
}

/* False: all wait for each other. */
static bool
end_round(const struct initialisation *init)
{
    const struct timespec moment = {.tv_nsec = 200000};

    if (init->is_idle && init->wake_ns == CLOCK_NEVER_NS)
        return false;
    if (init->is_idle)
        (void)nanosleep(&moment, NULL);
    return true;
}

static int
run_first(struct initialisation *init, struct faaslet *faaslet, struct diag *diag)
{
    struct faaslet_outcome outcome;
    int err;

    for (;;) {
        begin_round(init);
        faaslet_run(faaslet, init->deadline_ns, &outcome);
        if (outcome.kind == FAASLET_DONE)
            return 0;
        if (!goes_on(init, &outcome))
            return fail(init, &outcome, diag);
        err = run_threads(init, diag);
        if (err != 0)
            return err;
        if (!end_round(init))
            return diag_set(diag, -EINVAL, "%s does not end: deadlock: every thread waits",
                            init->what);
    }
}

static int
run_rest(struct initialisation *init, struct diag *diag)
{
    int err = 0;

    while (err == 0 && init->turns != NULL) {
        begin_round(init);
        err = run_threads(init, diag);
        if (err == 0 && init->turns != NULL && !end_round(init))
            err = diag_set(diag, -EINVAL,
                           "%s leaves threads that wait: let them end, or make them later (what a "
                           "snapshot point keeps may have threads)",
                           init->what);
    }
    return err;
}

static int
run_all(struct initialisation *init, struct faaslet *faaslet, struct diag *diag)
{
    static const char *const names[] = {"_initialize", "weft_init"};
    int err = faaslet_invoke_init(faaslet, 0);

    init->what = "initialisation";
    if (err == 0)
        err = run_first(init, faaslet, diag);
    for (size_t i = 0; i < ARRAY_COUNT(names) && err == 0; i++) {
        init->what = names[i];
        err = faaslet_invoke(faaslet, 0, names[i], NULL, 0);
        if (err == 0)
            err = run_first(init, faaslet, diag);
        else
            err = err == -ENOENT
                      ? 0
                      : diag_set(diag, err, "%s has parameters: it cannot be called", names[i]);
    }
    init->what = "initialisation";
    return err == 0 ? run_rest(init, diag) : err;
}

static void
forget_threads(struct initialisation *init)
{
    while (init->turns != NULL) {
        struct turn *turn = init->turns;

        init->turns = turn->next;
        faaslet_thread_end(turn->faaslet);
        free(turn);
    }
}

int
initialise(const struct cell_function_config *config, struct faaslet **out, struct diag *diag)
{
    uint64_t ns_max = config->init_ns_max != 0 ? config->init_ns_max : CELL_INIT_NS_DEFAULT;
    bool is_threaded = faaslet_image_abi(config->image)->meta->mode == ABI_THREADED;
    uint64_t now = clock_now_ns();
    struct initialisation init = {.ns_max = ns_max,
                                  .deadline_ns = ns_max < CLOCK_NEVER_NS - now ? now + ns_max
                                                                               : CLOCK_NEVER_NS};
    struct faaslet_config faaslet = config->faaslet;
    int err = is_threaded ? faaslet_thread_tick(TICK_NS) : 0;

    if (err != 0)
        return diag_set(diag, err, "cannot start a timer: %s", strerror(-err));
    faaslet.owner = &owner;
    here = &init;
    err = faaslet_create(config->image, &faaslet, out, diag);
    if (err == 0) {
        err = run_all(&init, *out, diag);
        forget_threads(&init);
        if (err != 0)
            faaslet_destroy(*out);
    }
    here = NULL;
    if (is_threaded && faaslet_thread_tick(0) != 0 && err == 0) {
        faaslet_destroy(*out);
        err = diag_set(diag, -EINVAL, "cannot stop a timer");
    }
    return err;
}
