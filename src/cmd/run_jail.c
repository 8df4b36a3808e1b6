/* SPDX-License-Identifier: Apache-2.0
 *
 * weft run --jail: the program in a confined process of its own, a cell. This process
 * starts it, passes it what the command line gave, and waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cmd/run_internal.h"
#include "worker/worker.h"

/* How the call ended, as on_end left it. */
struct jailed {
    struct worker *worker;
    int signal_fd, event_fd;
    sigset_t old_signals;
    uint64_t id;
    enum worker_end_kind kind;
    int exit_code, err;
    uint32_t trap, limit, refused;
    struct buffer message, backtrace;
    int signal; /* that told us to end; 0: none */
};

/* ------------------------------------------------------------------------ what is missing */

static uint32_t
features_wanted(const struct run_command *command)
{
    uint32_t wanted = JAIL_USER_NAMESPACE | JAIL_MOUNT_NAMESPACE | JAIL_PID_NAMESPACE |
                      JAIL_IPC_NAMESPACE | JAIL_NET_NAMESPACE | JAIL_SECCOMP |
                      JAIL_NO_NEW_PRIVILEGES;

    wanted |= command->jail_limits.cpu_percent != 0 ? JAIL_CPU : 0;
    wanted |= command->jail_limits.memory_bytes != 0 ? JAIL_MEMORY : 0;
    return wanted;
}

/* One line each; with --strict the first one ends it. */
static int
tell_missing(const struct run_command *command, struct diag *diag)
{
    uint32_t missing = features_wanted(command) & ~jail_features();

    for (uint32_t bit = 1; bit < JAIL_FEATURES_ALL; bit <<= 1) {
        if ((missing & bit) == 0)
            continue;
        if (command->is_strict)
            return diag_set(diag, -EPERM, "--strict: missing on this machine: %s: %s",
                            jail_feature_name((enum jail_feature)bit),
                            jail_feature_advice((enum jail_feature)bit));
        (void)fprintf(stderr, "weft: missing on this machine: %s: %s\n",
                      jail_feature_name((enum jail_feature)bit),
                      jail_feature_advice((enum jail_feature)bit));
    }
    return 0;
}

/* ---------------------------------------------------------------------------- what it gets */

static void
close_directories(struct worker_directory *directories, size_t count)
{
    for (size_t i = 0; i < count; i++)
        file_close(&directories[i].fd);
}

static int
open_directories(const struct run_command *command, struct worker_directory *out, struct diag *diag)
{
    for (size_t i = 0; i < command->directory_count; i++) {
        const struct hostcall_directory *directory = &command->directories[i];

        out[i].guest_path = directory->guest_path;
        out[i].is_read_only = directory->is_read_only;
        out[i].fd = open(directory->host_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (out[i].fd < 0) {
            int err = -errno;

            close_directories(out, i);
            return diag_set(diag, err, "directory %s: %s", directory->host_path, strerror(-err));
        }
    }
    return 0;
}

static int
add_function(const struct run_command *command, int image_fd, struct worker_tenant *tenant,
             struct worker_function **out, struct diag *diag)
{
    struct worker_directory directories[DIRECTORIES_MAX];
    struct worker_function_config config = {
        .image_fd = image_fd,
        .proto_fd = -1,
        .limits = {.wall_ns = command->timeout_ns,
                   .cpu_ns = command->cpu_ns,
                   .memory_bytes = command->memory_bytes,
                   .output_bytes = command->output_bytes,
                   .files = command->files,
                   .threads = command->threads},
        .stack_bytes = command->stack_bytes,
        .warm_max = 1,
        .directories = directories,
        .directory_count = command->directory_count,
        .env = command->environment,
        .env_count = command->environment_count,
    };
    int err = open_directories(command, directories, diag);

    if (err != 0)
        return err;
    if (command->from != NULL) {
        config.proto_fd = open(command->from, O_RDONLY | O_CLOEXEC);
        if (config.proto_fd < 0)
            err = diag_set(diag, -errno, "cannot open %s: %s", command->from, strerror(errno));
    }
    if (err == 0)
        err = worker_function_add(tenant, &config, out, diag);
    file_close(&config.proto_fd);
    close_directories(directories, command->directory_count);
    return err;
}

/* ------------------------------------------------------------------------- the one call */

static void
on_end(void *context, const struct worker_end *end)
{
    struct jailed *jailed = context;
    const uint64_t one = 1;

    jailed->kind = end->kind;
    jailed->exit_code = end->exit_code;
    jailed->err = end->err;
    jailed->trap = end->trap;
    jailed->limit = end->limit;
    jailed->refused = end->refused;
    buffer_append(&jailed->message, end->message, strlen(end->message) + 1);
    buffer_append(&jailed->backtrace, end->backtrace, strlen(end->backtrace) + 1);
    (void)!write(jailed->event_fd, &one, sizeof(one));
}

/* Signals that ask us to end, end the call first. */
static int
await_end(struct jailed *jailed)
{
    struct pollfd fds[] = {{.fd = jailed->event_fd, .events = POLLIN},
                           {.fd = jailed->signal_fd, .events = POLLIN}};

    for (;;) {
        struct signalfd_siginfo info;

        if (poll(fds, ARRAY_COUNT(fds), -1) < 0 && errno != EINTR)
            return -errno;
        if (fds[0].revents != 0)
            return 0;
        if (fds[1].revents == 0 || read(jailed->signal_fd, &info, sizeof(info)) != sizeof(info))
            continue;
        jailed->signal = (int)info.ssi_signo;
        (void)!worker_cancel(jailed->worker, jailed->id);
    }
}

static int
call(const struct run_command *command, struct worker_function *function, struct jailed *jailed,
     struct diag *diag)
{
    static const int stdio[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    struct worker_call call = {.args = (const char *const *)command->args,
                               .arg_count = command->arg_count,
                               .stdio = stdio,
                               .on_end = on_end,
                               .context = jailed};
    int err = worker_call(function, &call, &jailed->id);

    if (err == -EINVAL)
        return diag_set(diag, err,
                        "--jail passes on arguments in UTF-8, and standard streams "
                        "that are open");
    if (err == 0)
        err = await_end(jailed);
    return err == 0 ? 0 : diag_set(diag, err, "cannot start %s: %s", command->path, strerror(-err));
}

static int
run_in(const struct run_command *command, int image_fd, struct jailed *jailed, struct diag *diag)
{
    const struct worker_tenant_config config = {.name = "run", .limits = command->jail_limits};
    struct worker_function *function;
    struct worker_tenant *tenant;
    int err = worker_tenant_add(jailed->worker, &config, &tenant, diag);

    if (err != 0)
        return err;
    err = add_function(command, image_fd, tenant, &function, diag);
    if (err == 0)
        err = call(command, function, jailed, diag);
    worker_tenant_remove(tenant);
    return err;
}

/* ---------------------------------------------------------------------------- its outcome */

static enum faaslet_limit
limit_of(uint32_t limit)
{
    return limit == WORKER_LIMIT_CPU      ? FAASLET_LIMIT_CPU
           : limit == WORKER_LIMIT_OUTPUT ? FAASLET_LIMIT_OUTPUT
                                          : FAASLET_LIMIT_TIME;
}

static uint32_t
refused_of(uint32_t refused)
{
    return ((refused & WORKER_LIMIT_MEMORY) != 0 ? 1u << FAASLET_LIMIT_MEMORY : 0) |
           ((refused & WORKER_LIMIT_FILES) != 0 ? 1u << FAASLET_LIMIT_FILES : 0) |
           ((refused & WORKER_LIMIT_CALLS) != 0 ? 1u << FAASLET_LIMIT_CALLS : 0) |
           ((refused & WORKER_LIMIT_THREADS) != 0 ? 1u << FAASLET_LIMIT_THREADS : 0);
}

static int
report(const struct run_command *command, const struct jailed *jailed, int *code, struct diag *diag)
{
    const char *message = (const char *)jailed->message.bytes;
    struct faaslet_outcome outcome = {.kind = FAASLET_DONE, .message = ""};

    if (jailed->message.err != 0 || jailed->backtrace.err != 0)
        return diag_set(diag, -ENOMEM, "no memory for the end of %s", command->path);
    switch (jailed->kind) {
    case WORKER_EXIT:
        outcome.kind = FAASLET_EXIT;
        outcome.exit_code = jailed->exit_code;
        break;
    case WORKER_TRAP:
        outcome.kind = FAASLET_TRAP;
        outcome.trap = jailed->trap < ABI_TRAP_COUNT ? (enum abi_trap)jailed->trap : ABI_TRAP_HOST;
        if (outcome.trap == ABI_TRAP_HOST)
            outcome.message = message;
        break;
    case WORKER_LIMIT:
    case WORKER_CANCELLED:
        outcome.kind = FAASLET_KILLED;
        outcome.limit = jailed->kind == WORKER_LIMIT ? limit_of(jailed->limit) : FAASLET_LIMIT_KILL;
        break;
    case WORKER_FAILED:
        return diag_set(diag, jailed->err, "%s: %s", command->path, message);
    case WORKER_LOST:
        *code = CMD_EXIT_SIGNAL + SIGKILL;
        (void)fprintf(stderr, "weft: %s: ended: %s\n", command->path, message);
        return 0;
    default:
        break;
    }
    *code = run_report_from(command, &outcome, refused_of(jailed->refused),
                            (const char *)jailed->backtrace.bytes);
    return 0;
}

/* --------------------------------------------------------------------------- from outside */

/* Those that are not ignored. Before the worker's threads are there, which then have
 * them blocked too. */
static int
take_signals(struct jailed *jailed)
{
    static const int asking[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    sigset_t signals;

    (void)sigemptyset(&signals);
    for (size_t i = 0; i < ARRAY_COUNT(asking); i++)
        if (sigaction(asking[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            (void)sigaddset(&signals, asking[i]);
    (void)sigprocmask(SIG_BLOCK, &signals, &jailed->old_signals);
    jailed->event_fd = eventfd(0, EFD_CLOEXEC);
    jailed->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return jailed->event_fd < 0 || jailed->signal_fd < 0 ? -errno : 0;
}

/* Who asked us to end with a signal sees that we did. */
static void
give_signals_back(struct jailed *jailed)
{
    file_close(&jailed->event_fd);
    file_close(&jailed->signal_fd);
    (void)sigprocmask(SIG_SETMASK, &jailed->old_signals, NULL);
    if (jailed->signal != 0)
        (void)raise(jailed->signal);
}

int
run_jailed(struct run_command *command, int image_fd, int *code, struct diag *diag)
{
    const struct worker_config config = {.name = "run", .ready = WORKER_NO_POOL};
    struct jailed jailed = {.event_fd = -1, .signal_fd = -1};
    int err = tell_missing(command, diag);

    if (err != 0)
        return err;
    err = take_signals(&jailed);
    command->created_ns = clock_now_ns();
    if (err == 0)
        err = worker_create(&config, &jailed.worker, diag);
    if (err == 0)
        err = run_in(command, image_fd, &jailed, diag);
    worker_destroy(jailed.worker);
    command->ended_ns = clock_now_ns();
    if (err == 0 && jailed.signal == 0)
        err = report(command, &jailed, code, diag);
    buffer_fini(&jailed.message);
    buffer_fini(&jailed.backtrace);
    give_signals_back(&jailed);
    return err;
}
