/* SPDX-License-Identifier: Apache-2.0
 *
 * weft run: one program in one Faaslet, in this process or in a confined one (run_jail.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cmd/run_internal.h"
#include "cmd/values.h"
#include "group/group.h"

#define CPU_TICK_NS     10000000u
#define CPU_PERCENT_MAX 100000u

static const char help[] =
    "usage: weft run [options] PROGRAM.wasm [arguments]\n\n"
    "Compiles the program (once: images are cached) and runs it in a Faaslet.\n\n"
    "  --dir HOST[:GUEST[:ro]]  give the program a directory, at GUEST (default: as HOST)\n"
    "  --env NAME=VALUE     give it an environment variable; --env NAME passes ours on\n"
    "  --mem SIZE           limit its linear memory\n"
    "  --stack SIZE         its stack (default 8M)\n"
    "  --timeout SEC        end it after so many seconds\n"
    "  --cpu-time SEC       end it after so many seconds of processor time\n"
    "  --files N            limit the files that it has open at one time\n"
    "  --threads N          limit its threads (default 64, at most 4096)\n"
    "  --mpi N              run N ranks of it, an MPI world (at most 4096)\n"
    "  --output SIZE        end it when it writes more than this to standard output and error\n"
    "  --save FILE          stop at its snapshot point (weft_snapshot) and keep it in FILE\n"
    "  --save-at CALL[:ARG] stop at this host call instead, e.g. fd_read:0, the first read of\n"
    "                       standard input\n"
    "  --from FILE          start where --save stopped, with these standard streams\n"
    "  --invoke NAME        call this exported function with the arguments, print its results\n"
    "  --jail               run it in a confined process of its own, a cell\n"
    "  --cpu-percent N      with --jail: at most so much processor time, 100 is one core\n"
    "  --jail-memory SIZE   with --jail: limit all memory of the process\n"
    "  --strict             with --jail: refuse where this machine lacks a protection\n"
    "  --perf               map the cached image itself, so that perf finds its symbols\n"
    "  --json               the outcome as JSON, on standard error\n" CMD_COMPILE_HELP
    "\nEnvironment: WEFT_STRESS=move=N moves the Faaslet to another address at every Nth\n"
    "host call. Exit code: the program's own; 128 + a signal's number for a trap (SEGV:\n"
    "memory, tables, stack; FPE: arithmetic; ILL: others) or the time limit (XCPU).\n";

enum {
    OPTION_CPU_TIME = 512,
    OPTION_OUTPUT,
    OPTION_FILES,
    OPTION_THREADS,
    OPTION_MPI,
    OPTION_SAVE,
    OPTION_SAVE_AT,
    OPTION_FROM,
    OPTION_JAIL,
    OPTION_CPU_PERCENT,
    OPTION_JAIL_MEMORY,
    OPTION_STRICT,
};

/* ---------------------------------------------------------------- command line */

static bool
add_directory(struct run_command *command, char *text)
{
    struct hostcall_directory *directory = &command->directories[command->directory_count];
    char *guest = strchr(text, ':');
    char *flag = guest != NULL ? strchr(guest + 1, ':') : NULL;

    if (command->directory_count == DIRECTORIES_MAX)
        return false;
    if (guest != NULL)
        *guest++ = '\0';
    if (flag != NULL)
        *flag++ = '\0';
    if (text[0] == '\0' || (flag != NULL && strcmp(flag, "ro") != 0))
        return false;
    *directory = (struct hostcall_directory){
        .host_path = text,
        .guest_path = guest != NULL && guest[0] != '\0' ? guest : text,
        .is_read_only = flag != NULL,
    };
    command->directory_count++;
    return true;
}

/* NAME=VALUE, or NAME: the variable as we have it. */
static bool
add_variable(struct run_command *command, char *text)
{
    char *pair = text;

    if (command->environment_count == ENVIRONMENT_MAX || text[0] == '=' || text[0] == '\0')
        return false;
    if (strchr(text, '=') == NULL) {
        const char *value = getenv(text);

        if (value == NULL)
            return true;
        if (asprintf(&pair, "%s=%s", text, value) < 0)
            return false;
    }
    command->environment[command->environment_count++] = pair;
    return true;
}

static bool
set_seconds(const char *text, uint64_t *ns)
{
    char *end = NULL;
    double seconds = strtod(text, &end);

    if (end == text || *end != '\0' || !(seconds > 0) || seconds > 1e9)
        return false;
    *ns = (uint64_t)(seconds * CLOCK_NS_PER_SECOND);
    return true;
}

static bool
set_count(const char *text, uint32_t *count)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || text[0] == '-' || value == 0 || value > UINT32_MAX)
        return false;
    *count = (uint32_t)value;
    return true;
}

static bool
set_save_at(struct run_command *command, char *text)
{
    char *colon = strchr(text, ':');

    if (colon != NULL)
        *colon++ = '\0';
    command->save_at = text;
    command->save_arg = colon;
    return text[0] != '\0' && (colon == NULL || colon[0] != '\0');
}

static bool
set_jail_option(struct run_command *command, int option, const char *value)
{
    uint64_t number = 0;
    bool is_valid = true;

    if (option == OPTION_JAIL) {
        command->is_jailed = true;
    } else if (option == OPTION_STRICT) {
        command->is_strict = true;
    } else if (option == OPTION_JAIL_MEMORY) {
        is_valid = cmd_parse_size(value, &command->jail_limits.memory_bytes) &&
                   command->jail_limits.memory_bytes > 0;
    } else {
        is_valid = cmd_parse_unsigned(value, CPU_PERCENT_MAX, &number) && number > 0;
        command->jail_limits.cpu_percent = (uint32_t)number;
    }
    return is_valid;
}

static bool
set_limit(struct run_command *command, int option, const char *value)
{
    switch (option) {
    case 'm':
        return cmd_parse_size(value, &command->memory_bytes);
    case 's':
        return cmd_parse_size(value, &command->stack_bytes) &&
               command->stack_bytes <= (UINT64_C(1) << 32);
    case 't':
        return set_seconds(value, &command->timeout_ns);
    case OPTION_CPU_TIME:
        return set_seconds(value, &command->cpu_ns);
    case OPTION_FILES:
        return set_count(value, &command->files);
    case OPTION_MPI:
        if (!set_count(value, &command->ranks))
            command->ranks = UINT32_MAX; /* which check refuses */
        return true;
    case OPTION_THREADS:
        return set_count(value, &command->threads) && command->threads <= FAASLET_THREADS_MAX;
    default: /* OPTION_OUTPUT */
        return cmd_parse_size(value, &command->output_bytes) && command->output_bytes > 0;
    }
}

static bool
set_option(struct run_command *command, int option, char *value, struct diag *diag)
{
    switch (option) {
    case 'd':
        return add_directory(command, value);
    case 'e':
        return add_variable(command, value);
    case 'm':
    case 's':
    case 't':
    case OPTION_CPU_TIME:
    case OPTION_FILES:
    case OPTION_THREADS:
    case OPTION_MPI:
    case OPTION_OUTPUT:
        return set_limit(command, option, value);
    case OPTION_SAVE:
        command->save = value;
        return true;
    case OPTION_SAVE_AT:
        return set_save_at(command, value);
    case OPTION_FROM:
        command->from = value;
        return true;
    case 'i':
        command->invoke = value;
        return true;
    case 'j':
        command->is_json = true;
        return true;
    case 'p':
        command->is_profiled = true;
        return true;
    default:
        if (option >= OPTION_JAIL && option <= OPTION_STRICT)
            return set_jail_option(command, option, value);
        return cmd_compile_option(option, value, &command->request, diag);
    }
}

/* 0 to go on, or an exit code + 1. */
static int
check(struct run_command *command)
{
    if (command->arg_count == 0)
        return cmd_usage("run", "a program is wanted") + 1;
    if (command->save_at != NULL && command->save == NULL)
        return cmd_usage("run", "--save-at needs --save") + 1;
    if (command->from != NULL && (command->invoke != NULL || command->save != NULL))
        return cmd_usage("run", "--from goes with neither --invoke nor --save") + 1;
    if (command->ranks > GROUP_MEMBERS_MAX)
        return cmd_usage("run", "--mpi takes a number of ranks, 1 to %u", GROUP_MEMBERS_MAX) + 1;
    if (command->ranks != 0 && (command->invoke != NULL || command->save != NULL ||
                                command->from != NULL || command->is_jailed))
        return cmd_usage("run", "--mpi goes with none of --invoke, --save, --from and --jail") + 1;
    if (command->is_jailed &&
        (command->invoke != NULL || command->save != NULL || command->is_profiled))
        return cmd_usage("run", "--jail goes with none of --invoke, --save and --perf") + 1;
    if (!command->is_jailed && (command->is_strict || command->jail_limits.cpu_percent != 0 ||
                                command->jail_limits.memory_bytes != 0))
        return cmd_usage("run", "--cpu-percent, --jail-memory and --strict need --jail") + 1;
    command->path = command->args[0];
    return 0;
}

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {"json", no_argument, NULL, 'j'},
    {"dir", required_argument, NULL, 'd'},
    {"env", required_argument, NULL, 'e'},
    {"mem", required_argument, NULL, 'm'},
    {"stack", required_argument, NULL, 's'},
    {"timeout", required_argument, NULL, 't'},
    {"cpu-time", required_argument, NULL, OPTION_CPU_TIME},
    {"files", required_argument, NULL, OPTION_FILES},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"mpi", required_argument, NULL, OPTION_MPI},
    {"output", required_argument, NULL, OPTION_OUTPUT},
    {"save", required_argument, NULL, OPTION_SAVE},
    {"save-at", required_argument, NULL, OPTION_SAVE_AT},
    {"from", required_argument, NULL, OPTION_FROM},
    {"invoke", required_argument, NULL, 'i'},
    {"jail", no_argument, NULL, OPTION_JAIL},
    {"cpu-percent", required_argument, NULL, OPTION_CPU_PERCENT},
    {"jail-memory", required_argument, NULL, OPTION_JAIL_MEMORY},
    {"strict", no_argument, NULL, OPTION_STRICT},
    {"perf", no_argument, NULL, 'p'},
    CMD_COMPILE_OPTIONS,
    {NULL, 0, NULL, 0}};

/* The same. */
static int
parse(struct run_command *command, int argc, char **argv)
{
    struct diag diag;
    int option;

    while ((option = getopt_long(argc, argv, "+O:", options, NULL)) != -1) {
        diag_init(&diag);
        if (option == 'h')
            return (fputs(help, stdout) < 0 ? CMD_EXIT_FAILED : CMD_EXIT_OK) + 1;
        if (option == '?')
            return cmd_usage("run", "unknown or incomplete option") + 1;
        if (!set_option(command, option, optarg, &diag))
            return cmd_usage("run", "%s is not a value for %s", optarg != NULL ? optarg : "",
                             argv[optind - 1]) +
                   1;
    }
    command->args = argv + optind;
    command->arg_count = (size_t)(argc - optind);
    return check(command);
}

/* --------------------------------------------------------------------- running */

/* Nothing else runs here: what the Faaslet waits for is what we wait for. */
static void
wait_for(const struct faaslet_wait *wait, uint64_t deadline_ns)
{
    struct pollfd fds[FAASLET_WAIT_FDS_MAX];
    uint64_t until_ns = wait->deadline_ns < deadline_ns ? wait->deadline_ns : deadline_ns;
    uint64_t now_ns = clock_now_ns();
    struct timespec left = {0, 0};

    for (uint32_t i = 0; i < wait->fd_count; i++)
        fds[i] = (struct pollfd){.fd = wait->fds[i].fd, .events = wait->fds[i].events};
    if (until_ns > now_ns) {
        left.tv_sec = (time_t)((until_ns - now_ns) / CLOCK_NS_PER_SECOND);
        left.tv_nsec = (long)((until_ns - now_ns) % CLOCK_NS_PER_SECOND);
    }
    (void)ppoll(fds, wait->fd_count, until_ns == CLOCK_NEVER_NS ? NULL : &left, NULL);
}

/* Until it ends or, with --save, stands at its snapshot point. */
static void
run_to_end(const struct run_command *command, struct faaslet *faaslet, uint64_t deadline_ns,
           struct faaslet_outcome *outcome)
{
    for (;;) {
        faaslet_run(faaslet, deadline_ns, outcome);
        if (outcome->kind == FAASLET_PENDING)
            wait_for(&outcome->wait, deadline_ns);
        else if (run_is_save_point(command, faaslet, outcome))
            return;
        else if (outcome->kind == FAASLET_SNAPSHOT && outcome->at_named &&
                 run_stop_at(command, faaslet, NULL) != 0)
            return; /* cannot be: it was there before */
        else if (outcome->kind != FAASLET_PREEMPTED && outcome->kind != FAASLET_SNAPSHOT)
            return;
    }
}

/* A module without _start is a library: initialise it, and say what to do. */
int
run_choose_entry(const struct run_command *command, const struct faaslet *faaslet,
                 const char **entry, struct diag *diag)
{
    uint32_t kind, type;

    *entry = "_start";
    if (command->invoke == NULL && faaslet_export_kind(faaslet, 0, "_start", &kind, &type) == 0)
        return 0;
    *entry =
        faaslet_export_kind(faaslet, 0, "_initialize", &kind, &type) == 0 ? "_initialize" : NULL;
    if (command->invoke == NULL)
        return diag_set(diag, -ENOENT,
                        "%s has no _start: it is a library; call one of its functions with "
                        "--invoke (weft inspect lists them)",
                        command->path);
    return 0;
}

static int
invoke_named(const struct run_command *command, struct faaslet *faaslet, uint64_t deadline_ns,
             struct faaslet_outcome *outcome, struct diag *diag)
{
    struct values values;
    int err = values_parse(faaslet, command->invoke, command->args + 1, command->arg_count - 1,
                           &values, diag);

    if (err != 0)
        return err;
    err = faaslet_invoke(faaslet, 0, command->invoke, values.slots, values.slot_count);
    if (err == 0) {
        run_to_end(command, faaslet, deadline_ns, outcome);
        if (outcome->kind == FAASLET_DONE)
            err = values_print(faaslet, &values, stdout);
    }
    values_fini(&values);
    return err == 0 ? 0 : diag_set(diag, err, "cannot call %s", command->invoke);
}

static int
execute(struct run_command *command, struct faaslet *faaslet, struct faaslet_outcome *outcome,
        struct diag *diag)
{
    uint64_t deadline_ns =
        command->timeout_ns == 0 ? CLOCK_NEVER_NS : clock_now_ns() + command->timeout_ns;
    const char *entry;
    int err;

    if (command->from != NULL) {
        run_to_end(command, faaslet, deadline_ns, outcome);
        return 0;
    }
    err = run_choose_entry(command, faaslet, &entry, diag);
    if (err == 0)
        err = run_stop_at(command, faaslet, diag);
    if (err == 0)
        err = faaslet_invoke_init(faaslet, 0);
    if (err != 0)
        return err;
    run_to_end(command, faaslet, deadline_ns, outcome);
    if (outcome->kind == FAASLET_DONE && entry != NULL) {
        err = faaslet_invoke(faaslet, 0, entry, NULL, 0);
        if (err != 0)
            return diag_set(diag, err, "%s of %s is not a function without parameters", entry,
                            command->path);
        run_to_end(command, faaslet, deadline_ns, outcome);
    }
    if (outcome->kind == FAASLET_DONE && command->invoke != NULL)
        err = invoke_named(command, faaslet, deadline_ns, outcome, diag);
    return err;
}

/* Of threads side by side: not more than it may have. 0: as many as there are. */
static uint32_t
count_processors(const struct run_command *command)
{
    cpu_set_t set;

    if (command->threads == 0 || sched_getaffinity(0, sizeof(set), &set) != 0 ||
        command->threads >= (uint32_t)CPU_COUNT(&set))
        return 0;
    return command->threads;
}

int
run_create_process(const struct run_command *command, const struct run_member *member,
                   struct hostcall_process **out, struct diag *diag)
{
    const struct hostcall_config config = {
        .args = (const char *const *)command->args,
        .arg_count = command->invoke != NULL ? 1 : command->arg_count,
        .env = command->environment,
        .env_count = command->environment_count,
        .directories = command->directories,
        .directory_count = command->directory_count,
        .stdio = {member->number == 0 ? STDIN_FILENO : -1, STDOUT_FILENO, STDERR_FILENO},
        .output_max = command->output_bytes,
        .files_max = command->files,
        .processors = count_processors(command),
        .group = member->group,
        .member = member->number,
    };

    return hostcall_process_create(&config, out, diag);
}

static int
run_alone(struct run_command *command, struct faaslet_image *image,
          const struct faaslet_config *config, int *code, struct diag *diag)
{
    struct faaslet *faaslet = NULL;
    struct faaslet_outcome outcome = {0};
    int err = command->from != NULL ? run_start_from(command, image, config, &faaslet, diag)
                                    : faaslet_create(image, config, &faaslet, diag);

    command->created_ns = clock_now_ns();
    if (err == 0)
        err = execute(command, faaslet, &outcome, diag);
    command->ended_ns = clock_now_ns();
    if (err == 0 && command->save != NULL)
        err = outcome.kind == FAASLET_SNAPSHOT
                  ? run_save(command, faaslet, diag)
                  : diag_set(diag, -ENOENT, "%s ended before its snapshot point", command->path);
    if (err == 0)
        *code = run_report(command, faaslet, &outcome);
    faaslet_destroy(faaslet); /* with its own record, if it was moved; ours are the command's */
    return err;
}

static int
run_image(struct run_command *command, struct faaslet_image *image, int *code, struct diag *diag)
{
    const struct run_member alone = {NULL, 0};
    struct faaslet_config config = {.resolve = hostcall_resolve,
                                    .ops = &hostcall_process_ops,
                                    .stack_bytes = command->stack_bytes,
                                    .memory_bytes_max = command->memory_bytes,
                                    .cpu_ns_max = command->cpu_ns,
                                    .threads_max = command->threads};
    int err;

    if (run_needs_cell(command, image)) {
        err = run_in_cell(command, image, &config, code, diag);
    } else {
        err = run_create_process(command, &alone, &command->process, diag);
        config.process = command->process;
        if (err == 0)
            err = run_alone(command, image, &config, code, diag);
    }
    buffer_fini(&command->story);
    hostcall_process_destroy(command->process);
    hostcall_process_destroy(command->restarted);
    return err;
}

/* From the cache, or compiled now. */
static int
get_image(struct run_command *command, int *image_fd, struct diag *diag)
{
    struct buffer bytes = {0};
    int err = file_read_all(command->path, CMD_MODULE_BYTES_MAX, &bytes, diag);

    if (err == 0) {
        command->request.bytes = bytes.bytes;
        command->request.count = bytes.count;
        err = compile_get(&command->request, image_fd, &command->report, diag);
        diag_prefix(diag, "%s", command->path);
    }
    buffer_fini(&bytes);
    command->loaded_ns = clock_now_ns();
    return err;
}

static int
run_here(struct run_command *command, int image_fd, int *code, struct diag *diag)
{
    struct faaslet_image *image = NULL;
    int err = faaslet_thread_init();

    if (err == 0 && command->cpu_ns != 0)
        err = faaslet_thread_tick(CPU_TICK_NS);
    if (err == 0)
        err = command->is_profiled ? faaslet_image_load_file(image_fd, &image, diag)
                                   : faaslet_image_load(image_fd, &image, diag);
    if (err == 0)
        err = run_image(command, image, code, diag);
    faaslet_image_put(image);
    return err;
}

int
cmd_run(int argc, char **argv)
{
    static struct run_command command; /* large */
    struct diag diag;
    int code = CMD_EXIT_FAILED;
    int image_fd = -1;
    int err;

    compile_options_init(&command.request.options);
    code = parse(&command, argc, argv);
    if (code != 0)
        return code - 1;
    diag_init(&diag);
    err = get_image(&command, &image_fd, &diag);
    if (err == 0)
        err = command.is_jailed ? run_jailed(&command, image_fd, &code, &diag)
                                : run_here(&command, image_fd, &code, &diag);
    file_close(&image_fd);
    return err == 0 ? code : cmd_fail(err, &diag);
}
