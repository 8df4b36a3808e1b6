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
#include "group/group.h"

#define RANKS_TOLD_MAX 64u /* of those in a deadlock */

/* One of its calls. */
struct rank {
    struct run *run;
    uint32_t number;
    uint64_t id;
    struct hostcall_process *process; /* owned, in a group; else the command's */
};

/* How it ended, as on_end left it. */
struct run {
    pthread_mutex_t lock;
    pthread_cond_t told;
    uint32_t count, over; /* ranks; guarded by lock from their start on, as all beneath */
    bool has_end;
    struct rank *ended;  /* whose end is told: the first that was none as wished, or the last */
    struct cell_end end; /* its texts and results are: */
    struct buffer message, backtrace;
    uint64_t results[CELL_RESULTS_MAX];
    struct faaslet_frozen *frozen; /* owned; or NULL */
    struct values values;          /* of --invoke */
    char *save_at;                 /* owned; or NULL */
    bool is_world;                 /* --mpi: a rank is to say when it has done */
    struct cell *cell;             /* owned */
    struct group *group;           /* owned; or NULL */
    struct hostcall_group member_of;
    struct rank *ranks; /* owned */
};

/* ----------------------------------------------------------------------- what needs one */

static bool
imports_group(const struct faaslet_image *image)
{
    static const char module[] = "weft_group";
    const struct abi_image *abi = faaslet_image_abi(image);
    const struct abi_meta_import *imports = abi_image_range(abi, abi->meta->imports);

    for (uint32_t i = 0; i < abi->meta->imports.count; i++)
        if (imports[i].module.count == strlen(module) &&
            memcmp(abi_image_range(abi, imports[i].module), module, strlen(module)) == 0)
            return true;
    return false;
}

/* What is saved, or is a library, is a world of its own by itself. */
static bool
has_group(const struct run_command *command, const struct faaslet_image *image)
{
    return imports_group(image) && command->save == NULL && command->from == NULL &&
           command->invoke == NULL;
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

static void
on_wake(void *context, uint32_t member)
{
    struct run *run = context;

    (void)cell_wake(run->cell, run->ranks[member].id);
}

static bool
on_may_spin(void *context, uint32_t member)
{
    const struct run *run = context;

    (void)member;
    return cell_is_idle(run->cell);
}

static int
make_group(const struct run_command *command, const struct faaslet_image *image, struct run *run,
           struct diag *diag)
{
    const struct group_owner owner = {on_wake, on_may_spin, run};
    int err;

    if (command->ranks != 0 && !imports_group(image))
        return diag_set(diag, -EINVAL,
                        "%s is no MPI program: it imports nothing of weft_group; link it with "
                        "weft mpicc",
                        command->path);
    if (!has_group(command, image))
        return 0;
    err = group_create(run->count, &owner, &run->group);
    if (err == 0) {
        run->member_of.group = run->group;
        err = hostcall_group_register(&run->member_of);
    }
    return err == 0 ? 0 : diag_set(diag, err, "cannot make a group of %u ranks", run->count);
}

/* Each its own record; only the first reads standard input. */
static int
make_processes(struct run_command *command, struct run *run, struct diag *diag)
{
    const struct run_member none = {NULL, 0};
    struct rlimit files;
    int err = run_create_process(command, &none, &command->process, diag);

    if (run->group == NULL) {
        run->ranks[0].process = command->process;
        return err;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    for (uint32_t i = 0; i < run->count && err == 0; i++) {
        const struct run_member member = {&run->member_of, i};

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

    run->is_world = command->ranks != 0;
    run->count = run->is_world ? command->ranks : 1;
    run->ranks = calloc(run->count, sizeof(*run->ranks));
    if (run->ranks == NULL)
        return diag_set(diag, -ENOMEM, "no memory for %u ranks", run->count);
    for (uint32_t i = 0; i < run->count; i++) {
        run->ranks[i].run = run;
        run->ranks[i].number = i;
    }
    err = make_group(command, image, run, diag);
    if (err == 0)
        err = make_processes(command, run, diag);
    return err == 0 ? cell_create(&config, &run->cell, diag) : err;
}

static void
run_fini(struct run *run)
{
    cell_destroy(run->cell);
    hostcall_group_unregister(&run->member_of);
    for (uint32_t i = 0; run->group != NULL && i < run->count; i++)
        hostcall_process_destroy(run->ranks[i].process);
    group_destroy(run->group);
    free(run->ranks);
    faaslet_frozen_destroy(run->frozen);
    values_fini(&run->values);
    buffer_fini(&run->message);
    buffer_fini(&run->backtrace);
    free(run->save_at);
}

/* ------------------------------------------------------------------------- the call */

/* It came to an end that it should not have come to. Those that end because another has are told
 * to (CELL_CANCELLED). */
static bool
is_bad(const struct run *run, const struct cell_end *end, enum group_presence presence)
{
    if (end->kind == CELL_DONE || (end->kind == CELL_EXIT && end->exit_code == 0))
        return run->is_world && presence == GROUP_ENTERED;
    return run->group == NULL || end->kind != CELL_CANCELLED ||
           group_ended(run->group, NULL) == GROUP_GOES_ON;
}

/* One that never began with MPI has nothing to end. One that has left may exit as it likes, but a
 * trap is the end of all. */
static void
leave_group(struct run *run, const struct rank *rank, const struct cell_end *end, bool is_wrong,
            enum group_presence presence)
{
    const struct group_end lost = {.kind = GROUP_LOST, .member = rank->number};

    if (presence == GROUP_ABSENT && !is_wrong)
        group_leave(run->group, rank->number);
    (void)group_gone(run->group, rank->number, end->exit_code, "");
    if (is_wrong && end->kind != CELL_EXIT && end->kind != CELL_DONE)
        (void)group_finish(run->group, &lost, "", 0);
}

/* With the lock. */
static void
keep_end(struct run *run, struct rank *rank, const struct cell_end *end)
{
    run->ended = rank;
    run->end = *end;
    run->message.count = run->backtrace.count = 0;
    buffer_append(&run->message, end->message, strlen(end->message) + 1);
    buffer_append(&run->backtrace, end->backtrace, strlen(end->backtrace) + 1);
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
    enum group_presence presence =
        run->group != NULL ? group_presence(run->group, rank->number) : GROUP_LEFT;
    bool is_wrong = is_bad(run, end, presence);

    (void)pthread_mutex_lock(&run->lock);
    if (!run->has_end)
        keep_end(run, rank, end);
    run->has_end |= is_wrong;
    (void)pthread_mutex_unlock(&run->lock);
    if (run->group != NULL)
        leave_group(run, rank, end, is_wrong, presence);
    (void)pthread_mutex_lock(&run->lock);
    run->over++;
    (void)pthread_cond_signal(&run->told);
    (void)pthread_mutex_unlock(&run->lock);
}

/* Of a deadlock all hear: one has to tell of it. */
static bool
is_to_be_cancelled(struct run *run)
{
    enum group_end_kind kind = run->group != NULL ? group_ended(run->group, NULL) : GROUP_GOES_ON;

    return kind != GROUP_GOES_ON && kind != GROUP_DEADLOCK;
}

/* With the group all its ranks end, also those that compute. */
static void
await_end(struct run *run)
{
    bool is_cancelled = false;

    (void)pthread_mutex_lock(&run->lock);
    while (run->over < run->count) {
        if (is_cancelled || !is_to_be_cancelled(run)) {
            (void)pthread_cond_wait(&run->told, &run->lock);
            continue;
        }
        is_cancelled = true;
        (void)pthread_mutex_unlock(&run->lock);
        for (uint32_t i = 0; i < run->count; i++)
            if (cell_cancel(run->cell, run->ranks[i].id) != 0)
                continue; /* it is over */
        (void)pthread_mutex_lock(&run->lock);
    }
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

/* As many lines as people read. */
static void
tell_deadlock(const struct run *run, struct buffer *story)
{
    uint32_t told = 0, waiting = 0;

    for (uint32_t i = 0; i < run->count; i++) {
        const char *what = group_waited_for(run->group, i);

        waiting += what != NULL;
        if (what == NULL || told >= RANKS_TOLD_MAX)
            continue;
        buffer_append_format(story, "  rank %u: %s\n", i, what);
        told++;
    }
    if (waiting > told)
        buffer_append_format(story, "  and %u more\n", waiting - told);
}

/* What the outcome does not say, of the end of a rank that was not as wished. */
static void
tell_story(struct run_command *command, struct run *run)
{
    struct buffer *story = &command->story;
    struct group_end end = {.kind = GROUP_GOES_ON};

    if (run->group == NULL || !run->has_end)
        return;
    command->has_rank = run->is_world;
    command->rank = run->ended->number;
    (void)group_ended(run->group, &end);
    if (end.kind == GROUP_DEADLOCK && end.member == command->rank)
        tell_deadlock(run, story);
    if (run->end.kind != CELL_EXIT && run->end.kind != CELL_DONE)
        return;
    if (end.kind == GROUP_ABORTED && end.member == command->rank)
        buffer_append_format(story, "aborted with %d: %s\n", end.code, end.reason);
    else if (end.kind == GROUP_LOST && end.member == command->rank && run->end.exit_code != 0)
        buffer_append_format(story, "exited with %d before MPI_Finalize\n", run->end.exit_code);
    else if (end.kind == GROUP_LOST && end.member == command->rank)
        buffer_append_format(story, "ended before MPI_Finalize\n");
}

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
    tell_story(command, run);
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
    int err = 0;

    for (uint32_t i = 0; i < run->count && err == 0; i++) {
        call->process = run->ranks[i].process;
        call->context = &run->ranks[i];
        err = cell_start(function, call, &run->ranks[i].id);
    }
    return err;
}

static int
start(struct run_command *command, struct faaslet_image *image, struct cell_function *function,
      struct run *run, struct diag *diag)
{
    struct cell_call call = {.on_end = on_end, .keeps_seat = run->group != NULL};
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
