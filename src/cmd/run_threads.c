/* SPDX-License-Identifier: Apache-2.0
 *
 * weft run of programs that may have several threads: in a cell within this process, which runs
 * them side by side.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cell/cell.h"
#include "cmd/run_internal.h"
#include "cmd/values.h"

/* How the call ended, as on_end left it. */
struct run {
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool is_over;
    struct cell_end end; /* its texts and results are: */
    struct buffer message, backtrace;
    uint64_t results[CELL_RESULTS_MAX];
    struct faaslet_frozen *frozen; /* owned; or NULL */
    struct values values;          /* of --invoke */
    char *save_at;                 /* owned; or NULL */
};

bool
run_is_threaded(const struct faaslet_image *image)
{
    struct diag diag;

    if (faaslet_image_abi(image)->meta->mode == ABI_THREADED)
        return true;
    diag_init(&diag);
    return cell_threads_check(image, 0, &diag) != 0; /* the cell says what is missing */
}

/* ------------------------------------------------------------------------- the call */

static void
on_end(void *context, const struct cell_end *end)
{
    struct run *run = context;

    (void)pthread_mutex_lock(&run->lock);
    run->end = *end;
    buffer_append(&run->message, end->message, strlen(end->message) + 1);
    buffer_append(&run->backtrace, end->backtrace, strlen(end->backtrace) + 1);
    if (end->result_slots > 0)
        (void)memcpy(run->results, end->results, end->result_slots * sizeof(*end->results));
    if (end->frozen != NULL)
        run->frozen = faaslet_frozen_get(end->frozen);
    run->is_over = true;
    (void)pthread_cond_signal(&run->told);
    (void)pthread_mutex_unlock(&run->lock);
}

static void
await_end(struct run *run)
{
    (void)pthread_mutex_lock(&run->lock);
    while (!run->is_over)
        (void)pthread_cond_wait(&run->told, &run->lock);
    (void)pthread_mutex_unlock(&run->lock);
}

/* The entry and its arguments. Types are those of a Faaslet that never runs. */
static int
choose(const struct run_command *command, struct faaslet_image *image, struct run *run,
       struct cell_call *call, struct diag *diag)
{
    const struct faaslet_config config = {.resolve = hostcall_resolve};
    struct faaslet *faaslet;
    int err = faaslet_create(image, &config, &faaslet, diag);

    if (err != 0)
        return err;
    err = run_choose_entry(command, faaslet, &call->entry, diag);
    if (err == 0 && command->invoke != NULL) {
        err = values_parse(faaslet, command->invoke, command->args + 1, command->arg_count - 1,
                           &run->values, diag);
        call->entry = command->invoke;
        call->args = run->values.slots;
        call->slot_count = run->values.slot_count;
        call->result_slots = values_result_slots(&run->values);
    }
    faaslet_destroy(faaslet);
    return err;
}

/* As struct cell_call has it. */
static int
choose_save(const struct run_command *command, struct run *run, struct cell_call *call)
{
    const char *argument = command->save_arg;

    if (command->save == NULL)
        return 0;
    if (asprintf(&run->save_at, "%s%s%s", command->save_at != NULL ? command->save_at : "",
                 argument != NULL ? ":" : "", argument != NULL ? argument : "") < 0)
        return -ENOMEM;
    call->save_at = run->save_at;
    return 0;
}

/* ----------------------------------------------------------------------- its outcome */

static int
report(struct run_command *command, const struct run *run, int *code, struct diag *diag)
{
    const char *message = (const char *)run->message.bytes;
    struct faaslet_outcome outcome = {.kind = FAASLET_DONE, .message = ""};

    if (run->message.err != 0 || run->backtrace.err != 0)
        return diag_set(diag, -ENOMEM, "no memory for the end of %s", command->path);
    switch (run->end.kind) {
    case CELL_EXIT:
        outcome.kind = FAASLET_EXIT;
        outcome.exit_code = run->end.exit_code;
        break;
    case CELL_TRAP:
        outcome.kind = FAASLET_TRAP;
        outcome.trap = run->end.trap;
        outcome.message = outcome.trap == ABI_TRAP_HOST ? message : "";
        break;
    case CELL_KILLED:
    case CELL_CANCELLED:
        outcome.kind = FAASLET_KILLED;
        outcome.limit = run->end.kind == CELL_KILLED ? run->end.limit : FAASLET_LIMIT_KILL;
        break;
    case CELL_FAILED:
        return diag_set(diag, run->end.err, "%s: %s", command->path, message);
    default:
        outcome.kind = run->frozen != NULL ? FAASLET_SNAPSHOT : FAASLET_DONE;
        break;
    }
    *code =
        run_report_from(command, &outcome, run->end.refused, (const char *)run->backtrace.bytes);
    return 0;
}

static int
conclude(struct run_command *command, struct run *run, int *code, struct diag *diag)
{
    int err = 0;

    if (run->frozen != NULL)
        err = run_save_frozen(command, run->frozen, diag);
    if (err == 0 && run->end.kind == CELL_DONE && command->invoke != NULL)
        err = values_print_slots(run->results, &run->values, stdout);
    return err == 0 ? report(command, run, code, diag) : err;
}

/* ------------------------------------------------------------------------ everything */

static int
make_function(struct run_command *command, struct faaslet_image *image, struct cell *cell,
              const struct faaslet_config *faaslet, struct cell_function **out, struct diag *diag)
{
    struct cell_function_config config = {
        .faaslet = *faaslet,
        .init_ns_max = command->timeout_ns != 0 ? command->timeout_ns : CLOCK_NEVER_NS,
    };
    int err = 0;

    if (command->from != NULL)
        err = run_load_from(command, image, &config.frozen, diag);
    else
        config.image = image;
    if (err == 0)
        err = cell_function_create(cell, &config, out, diag);
    faaslet_frozen_destroy(config.frozen);
    return err;
}

static int
start(struct run_command *command, struct faaslet_image *image, struct cell_function *function,
      struct run *run, struct diag *diag)
{
    struct cell_call call = {.process = command->process, .on_end = on_end, .context = run};
    uint64_t id;
    int err = command->from == NULL ? choose(command, image, run, &call, diag) : 0;

    if (err == 0)
        err = choose_save(command, run, &call);
    if (command->timeout_ns != 0)
        call.deadline_ns = clock_now_ns() + command->timeout_ns;
    command->created_ns = clock_now_ns();
    if (err == 0)
        err = cell_start(function, &call, &id);
    if (err != 0)
        return diag_set(diag, err, "cannot start %s: %s", command->path, strerror(-err));
    await_end(run);
    command->ended_ns = clock_now_ns();
    return 0;
}

int
run_threaded(struct run_command *command, struct faaslet_image *image,
             const struct faaslet_config *config, int *code, struct diag *diag)
{
    const struct cell_config cell_config = {.executors = 0};
    struct run run = {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};
    struct cell_function *function = NULL;
    struct cell *cell;
    int err = cell_create(&cell_config, &cell, diag);

    if (err != 0)
        return err;
    err = make_function(command, image, cell, config, &function, diag);
    if (err == 0)
        err = start(command, image, function, &run, diag);
    if (err == 0)
        err = conclude(command, &run, code, diag);
    cell_function_drop(function);
    cell_destroy(cell);
    faaslet_frozen_destroy(run.frozen);
    values_fini(&run.values);
    buffer_fini(&run.message);
    buffer_fini(&run.backtrace);
    free(run.save_at);
    return err;
}
