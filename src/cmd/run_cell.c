/* SPDX-License-Identifier: Apache-2.0
 *
 * weft run of programs that need a cell within this process: those that may have several threads,
 * and those whose processes are ranks of an MPI world, all of which it runs side by side.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "cell/cell.h"
#include "cmd/run_internal.h"
#include "cmd/values.h"

/* One of its calls. */
struct rank {
    struct run *run;
    uint32_t number;
    struct hostcall_process *process; /* owned, in a world; else the command's */
};

/* How it ended, as on_end left it. */
struct run {
    pthread_mutex_t lock;
    pthread_cond_t told;
    uint32_t count, over; /* ranks; guarded by lock from their start on, as all beneath */
    bool has_end;         /* of one by which the world has ended */
    struct rank *ended;   /* whose end is told: that one, or the last */
    struct cell_end end;  /* its texts and results are: */
    struct buffer message, backtrace;
    uint64_t results[CELL_RESULTS_MAX];
    struct faaslet_frozen *frozen; /* owned; or NULL */
    struct values values;          /* of --invoke */
    char *save_at;                 /* owned; or NULL */
    struct buffer *story;          /* the command's */
    struct cell *cell;             /* owned */
    struct cell_world *world;      /* owned; or NULL */
    struct rank *ranks;            /* owned */
};

/* ----------------------------------------------------------------------- what needs one */

/* What is saved, or is a library, is a world of its own by itself. */
static bool
has_group(const struct run_command *command, const struct faaslet_image *image)
{
    return faaslet_image_imports(image, HOSTCALL_GROUP_MODULE) && command->save == NULL &&
           command->from == NULL && command->invoke == NULL;
}

bool
run_needs_cell(const struct run_command *command, const struct faaslet_image *image)
{
    struct diag diag;

    if (faaslet_image_abi(image)->meta->mode == ABI_THREADED || command->ranks != 0 ||
        has_group(command, image))
        return true;
    diag_init(&diag);
    return cell_threads_check(image, 0, &diag) != 0; /* the cell says what is missing */
}

/* -------------------------------------------------------------------------- the group */

static int
make_world(const struct run_command *command, const struct faaslet_image *image, struct run *run,
           struct diag *diag)
{
    int err;

    if (command->ranks != 0 && !faaslet_image_imports(image, HOSTCALL_GROUP_MODULE))
        return diag_set(diag, -EINVAL,
                        "%s is no MPI program: it imports nothing of weft_group; link it with "
                        "weft mpicc",
                        command->path);
    if (!has_group(command, image))
        return 0;
    err = cell_world_create(run->cell, run->count, &run->world);
    return err == 0 ? 0 : diag_set(diag, err, "cannot make a group of %u ranks", run->count);
}

/* Each its own record; only the first reads standard input. */
static int
make_processes(struct run_command *command, struct run *run, struct diag *diag)
{
    const struct run_member none = {NULL, 0};
    struct rlimit files;
    int err = run_create_process(command, &none, &command->process, diag);

    if (run->world == NULL) {
        run->ranks[0].process = command->process;
        return err;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    for (uint32_t i = 0; i < run->count && err == 0; i++) {
        const struct run_member member = {cell_world_group(run->world), i};

        err = run_create_process(command, &member, &run->ranks[i].process, diag);
    }
    return err;
}

static int
make_run(struct run_command *command, const struct faaslet_image *image, struct run *run,
         struct diag *diag)
{
    const struct cell_config config = {.executors = 0};
    int err;

    run->story = &command->story;
    run->count = command->ranks != 0 ? command->ranks : 1;
    run->ranks = calloc(run->count, sizeof(*run->ranks));
    if (run->ranks == NULL)
        return diag_set(diag, -ENOMEM, "no memory for %u ranks", run->count);
    for (uint32_t i = 0; i < run->count; i++) {
        run->ranks[i].run = run;
        run->ranks[i].number = i;
    }
    err = cell_create(&config, &run->cell, diag);
    if (err == 0)
        err = make_world(command, image, run, diag);
    return err == 0 ? make_processes(command, run, diag) : err;
}

static void
run_fini(struct run *run)
{
    cell_destroy(run->cell);
    for (uint32_t i = 0; run->world != NULL && i < run->count; i++)
        hostcall_process_destroy(run->ranks[i].process);
    cell_world_destroy(run->world);
    free(run->ranks);
    faaslet_frozen_destroy(run->frozen);
    values_fini(&run->values);
    buffer_fini(&run->message);
    buffer_fini(&run->backtrace);
    free(run->save_at);
}

/* ------------------------------------------------------------------------- the call */

/* With the lock. */
static void
keep_end(struct run *run, struct rank *rank, const struct cell_end *end)
{
    run->ended = rank;
    run->end = *end;
    run->message.count = run->backtrace.count = 0;
    buffer_append(&run->message, end->message, strlen(end->message) + 1);
    buffer_append(&run->backtrace, end->backtrace, strlen(end->backtrace) + 1);
    if (end->is_world_end)
        buffer_append(run->story, end->story, strlen(end->story));
    if (end->result_slots > 0)
        (void)memcpy(run->results, end->results, end->result_slots * sizeof(*end->results));
    if (end->frozen != NULL)
        run->frozen = faaslet_frozen_get(end->frozen);
}

static void
on_end(void *context, const struct cell_end *end)
{
    struct rank *rank = context;
    struct run *run = rank->run;

    (void)pthread_mutex_lock(&run->lock);
    if (end->is_world_end || !run->has_end)
        keep_end(run, rank, end);
    run->has_end |= end->is_world_end;
    run->over++;
    (void)pthread_cond_signal(&run->told);
    (void)pthread_mutex_unlock(&run->lock);
}

static void
await_end(struct run *run)
{
    (void)pthread_mutex_lock(&run->lock);
    while (run->over < run->count)
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
report(struct run_command *command, struct run *run, int *code, struct diag *diag)
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
    command->has_rank = command->ranks != 0 && run->has_end;
    command->rank = run->ended->number;
    *code =
        run_report_from(command, &outcome, run->end.refused, (const char *)run->backtrace.bytes);
    if (run->has_end && *code == CMD_EXIT_OK && outcome.kind != FAASLET_SNAPSHOT)
        *code = CMD_EXIT_FAILED; /* ended before its time, or aborted without a code */
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

/* One function, a call for each rank. Those of the first are as many as could be started. */
static int
start_ranks(struct run *run, struct cell_function *function, struct cell_call *call)
{
    uint64_t id;
    int err = 0;

    for (uint32_t i = 0; i < run->count && err == 0; i++) {
        call->process = run->ranks[i].process;
        call->context = &run->ranks[i];
        err = run->world == NULL ? cell_start(function, call, &id)
                                 : cell_world_start(run->world, i, function, call, &id);
    }
    return err;
}

static int
start(struct run_command *command, struct faaslet_image *image, struct cell_function *function,
      struct run *run, struct diag *diag)
{
    struct cell_call call = {.on_end = on_end};
    int err = command->from == NULL ? choose(command, image, run, &call, diag) : 0;

    if (err == 0)
        err = choose_save(command, run, &call);
    if (command->timeout_ns != 0)
        call.deadline_ns = clock_now_ns() + command->timeout_ns;
    command->created_ns = clock_now_ns();
    if (err == 0)
        err = start_ranks(run, function, &call);
    if (err != 0)
        return diag_set(diag, err, "cannot start %s: %s", command->path, strerror(-err));
    await_end(run);
    command->ended_ns = clock_now_ns();
    return 0;
}

int
run_in_cell(struct run_command *command, struct faaslet_image *image,
            const struct faaslet_config *config, int *code, struct diag *diag)
{
    struct run run = {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};
    struct faaslet_config faaslet = *config;
    struct cell_function *function = NULL;
    int err = make_run(command, image, &run, diag);

    faaslet.process = command->process; /* for initialisation, as nobody's member */
    if (err == 0)
        err = make_function(command, image, run.cell, &faaslet, &function, diag);
    if (err == 0)
        err = start(command, image, function, &run, diag);
    if (err == 0)
        err = conclude(command, &run, code, diag);
    cell_function_drop(function);
    run_fini(&run);
    return err;
}
