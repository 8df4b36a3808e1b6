/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run came to: exit code, a line for people, JSON.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd/run_internal.h"

static int
trap_signal(enum abi_trap trap)
{
    switch (trap) {
    case ABI_TRAP_MEMORY_BOUNDS:
    case ABI_TRAP_TABLE_BOUNDS:
    case ABI_TRAP_STACK_EXHAUSTED:
    case ABI_TRAP_UNALIGNED_ATOMIC:
        return SIGSEGV;
    case ABI_TRAP_INTEGER_DIVIDE_BY_ZERO:
    case ABI_TRAP_INTEGER_OVERFLOW:
    case ABI_TRAP_INVALID_CONVERSION:
        return SIGFPE;
    default:
        return SIGILL;
    }
}

static const struct {
    const char *text;
    int signal;
} limits[] = {
    [FAASLET_LIMIT_TIME] = {"time limit (--timeout)", SIGXCPU},
    [FAASLET_LIMIT_KILL] = {"killed", SIGKILL},
    [FAASLET_LIMIT_CPU] = {"processor time limit (--cpu-time)", SIGXCPU},
    [FAASLET_LIMIT_OUTPUT] = {"output limit (--output)", SIGXFSZ},
    [FAASLET_LIMIT_MEMORY] = {"memory limit (--mem)", SIGKILL},
    [FAASLET_LIMIT_FILES] = {"limit of open files (--files)", SIGKILL},
    [FAASLET_LIMIT_CALLS] = {"limit of calls that it starts", SIGKILL},
    [FAASLET_LIMIT_THREADS] = {"limit of threads (--threads)", SIGKILL},
};

static int
exit_code(const struct faaslet_outcome *outcome)
{
    switch (outcome->kind) {
    case FAASLET_EXIT:
        return outcome->exit_code & 0xff;
    case FAASLET_TRAP:
        return CMD_EXIT_SIGNAL + trap_signal(outcome->trap);
    case FAASLET_KILLED:
        return CMD_EXIT_SIGNAL + limits[outcome->limit].signal;
    default:
        return CMD_EXIT_OK;
    }
}

static void
describe(const struct faaslet_outcome *outcome, struct buffer *text)
{
    if (outcome->kind == FAASLET_TRAP)
        buffer_append_format(text, "trap: %s%s%s", abi_trap_text(outcome->trap),
                             outcome->message[0] != '\0' ? ": " : "", outcome->message);
    else if (outcome->kind == FAASLET_KILLED)
        buffer_append_format(text, "ended: %s", limits[outcome->limit].text);
    else if (outcome->kind == FAASLET_EXIT)
        buffer_append_format(text, "exit");
    else if (outcome->kind == FAASLET_SNAPSHOT)
        buffer_append_format(text, "saved");
    else
        buffer_append_format(text, "done");
}

/* Limits that refused it something: often why it failed. */
static void
list_refused(uint32_t refused, struct buffer *text)
{
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++)
        if ((refused & (1u << i)) != 0)
            buffer_append_format(text, "%s%s", text->count > 0 ? ", " : "", limits[i].text);
}

/* Of a rank, which it was, and why. */
static void
append_rank(const struct run_command *command, struct buffer *text)
{
    if (command->has_rank)
        buffer_append_format(text, ",\"rank\":%u", command->rank);
    if (command->story.count == 0)
        return;
    buffer_append_format(text, ",\"reason\":");
    cmd_json_string(text, (const char *)command->story.bytes, command->story.count);
}

static void
report_json(const struct run_command *command, const struct faaslet_outcome *outcome,
            uint32_t refused, const char *backtrace)
{
    struct buffer text = {0}, what = {0};

    describe(outcome, &what);
    buffer_append_format(&text, "{\"outcome\":");
    cmd_json_string(&text, (const char *)what.bytes, what.count);
    what.count = 0;
    list_refused(refused, &what);
    buffer_append_format(&text, ",\"refused\":");
    cmd_json_string(&text, (const char *)what.bytes, what.count);
    buffer_append_format(
        &text,
        ",\"exit_code\":%d,\"cached\":%s,\"image_ms\":%.3f,\"load_ms\":%.3f,\"run_ms\":%.3f,"
        "\"moves\":%" PRIu64 ",\"backtrace\":",
        exit_code(outcome), command->report.was_cached ? "true" : "false",
        (double)command->report.wall_ns / 1e6,
        (double)(command->created_ns - command->loaded_ns) / 1e6,
        (double)(command->ended_ns - command->created_ns) / 1e6, faaslet_stress_moves());
    cmd_json_string(&text, backtrace, strlen(backtrace));
    append_rank(command, &text);
    buffer_append_format(&text, "}\n");
    (void)fwrite(text.bytes, 1, text.count, stderr);
    buffer_fini(&text);
    buffer_fini(&what);
}

static void
report_text(const struct run_command *command, const struct faaslet_outcome *outcome,
            uint32_t refused, const char *backtrace)
{
    bool has_trapped = outcome->kind == FAASLET_TRAP || outcome->kind == FAASLET_KILLED;
    struct buffer text = {0};
    char who[32] = "";

    if (command->has_rank)
        (void)snprintf(who, sizeof(who), "rank %u: ", command->rank);
    if (has_trapped) {
        describe(outcome, &text);
        (void)fprintf(stderr, "weft: %s: %s%.*s\n%s", command->path, who, (int)text.count,
                      text.bytes, backtrace);
    }
    if (command->story.count > 0 && has_trapped)
        (void)fprintf(stderr, "%.*s", (int)command->story.count, command->story.bytes);
    else if (command->story.count > 0)
        (void)fprintf(stderr, "weft: %s: %s%.*s", command->path, who, (int)command->story.count,
                      command->story.bytes);
    if (exit_code(outcome) != CMD_EXIT_OK && refused != 0) {
        text.count = 0;
        list_refused(refused, &text);
        (void)fprintf(stderr, "weft: %s: was refused more by its %.*s\n", command->path,
                      (int)text.count, text.bytes);
    }
    buffer_fini(&text);
}

int
run_report_from(const struct run_command *command, const struct faaslet_outcome *outcome,
                uint32_t refused, const char *backtrace)
{
    if (command->is_json)
        report_json(command, outcome, refused, backtrace);
    else
        report_text(command, outcome, refused, backtrace);
    return exit_code(outcome);
}

int
run_report(const struct run_command *command, const struct faaslet *faaslet,
           const struct faaslet_outcome *outcome)
{
    struct buffer backtrace = {0};
    int code;

    if (outcome->kind == FAASLET_TRAP || outcome->kind == FAASLET_KILLED)
        faaslet_backtrace(faaslet, &backtrace);
    buffer_append(&backtrace, "", 1);
    code = run_report_from(command, outcome, faaslet_refused(faaslet),
                           backtrace.err == 0 ? (const char *)backtrace.bytes : "");
    buffer_fini(&backtrace);
    return code;
}
