/* SPDX-License-Identifier: Apache-2.0
 *
 * weft: the command line.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "cmd/cmd_internal.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

static const struct command commands[] = {
    {"up", cmd_up, "a cluster on this machine"},
    {"new", cmd_new, "a project to start from"},
    {"deploy", cmd_deploy, "make a new version of a function"},
    {"invoke", cmd_invoke, "call a function"},
    {"functions", cmd_functions, "what is deployed: versions, aliases, rollback"},
    {"calls", cmd_calls, "what was called: results, cancel, retry"},
    {"logs", cmd_logs, "what calls wrote to standard error"},
    {"trigger", cmd_trigger, "calls by HTTP request, or by the clock"},
    {"files", cmd_files, "files of a tenant"},
    {"state", cmd_state, "values and logs that functions share"},
    {"variable", cmd_variable, "the environment of calls"},
    {"secret", cmd_variable, "the same, told to nobody"},
    {"usage", cmd_usage_report, "what functions have used"},
    {"top", cmd_top, "what runs and waits, every second"},
    {"hosts", cmd_hosts, "the workers of the cluster"},
    {"drain", cmd_drain, "no new calls for a host"},
    {"token", cmd_token, "who may do what"},
    {"tenant", cmd_tenant, "tenants and their limits"},
    {"config", cmd_config, "where the cluster is, and who one is"},
    {"completion", cmd_completion, "a script for the shell"},
    {"planner", cmd_planner, "serve: gateway and planner of a cluster"},
    {"worker", cmd_worker, "serve: a host of a cluster"},
    {"run", cmd_run, "run a WebAssembly program, without a cluster"},
    {"compile", cmd_compile, "compile a module to a native image"},
    {"cc", cmd_cc, "compile C for Weft (clang's options)"},
    {"c++", cmd_cc, "compile C++ for Weft (clang's options)"},
    {"mpicc", cmd_cc, "compile MPI programs in C for Weft"},
    {"mpicxx", cmd_cc, "compile MPI programs in C++ for Weft"},
    {"inspect", cmd_inspect, "show a module's imports, exports, features and limits"},
    {"doctor", cmd_doctor, "check what this machine offers"},
};

int
cmd_fail(int err, const struct diag *diag)
{
    bool is_input = err == -EINVAL || err == -ENOTSUP || err == -E2BIG || err == -ENOENT ||
                    err == -EFBIG || err == -EISDIR || err == -EACCES || err == -ENOTDIR ||
                    err == -ETIMEDOUT;

    (void)fprintf(stderr, "weft: %s\n",
                  diag != NULL && diag->is_set ? diag_text(diag) : strerror(-err));
    return is_input ? CMD_EXIT_INPUT : CMD_EXIT_FAILED;
}

int
cmd_usage(const char *command, const char *format, ...)
{
    va_list args;

    (void)fprintf(stderr, "weft %s: ", command);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "; see weft %s --help\n", command);
    return CMD_EXIT_INPUT;
}

static int
show_help(void)
{
    (void)printf("usage: weft COMMAND [options]\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        (void)printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    (void)printf("\nweft COMMAND --help tells more. A program's own exit code is weft run's; 2 "
                 "means that\nthe input is wrong, 128 and above that the program trapped or hit "
                 "a limit.\n");
    return CMD_EXIT_OK;
}

int
main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return argc < 2 ? (show_help(), CMD_EXIT_INPUT) : show_help();
    if (strcmp(argv[1], "--version") == 0)
        return printf("weft " VERSION_TEXT "\n") > 0 ? CMD_EXIT_OK : CMD_EXIT_FAILED;
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    (void)fprintf(stderr, "weft: there is no command %s; see weft --help\n", argv[1]);
    return CMD_EXIT_INPUT;
}
