/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd, inside: one file per command of `weft`.
 */
#ifndef WEFT_CMD_INTERNAL_H
#define WEFT_CMD_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/diag.h"
#include "base/macros.h"
#include "compile/compile.h"
#include "faaslet/faaslet.h"

/* Exit codes besides the guest's own. */
enum {
    CMD_EXIT_OK = 0,
    CMD_EXIT_FAILED = 1,   /* the machine refused: I/O, memory, a missing tool */
    CMD_EXIT_INPUT = 2,    /* the module or the command line is wrong */
    CMD_EXIT_SIGNAL = 128, /* + the signal that fits the trap or the limit */
};

#define CMD_MODULE_BYTES_MAX ((size_t)1 << 30)

/* argv[0] is the command's name. Returns the exit code. */
int cmd_run(int argc, char **argv) MUST_CHECK;
int cmd_compile(int argc, char **argv) MUST_CHECK;
int cmd_cc(int argc, char **argv) MUST_CHECK;
int cmd_inspect(int argc, char **argv) MUST_CHECK;
int cmd_doctor(int argc, char **argv) MUST_CHECK;
int cmd_up(int argc, char **argv) MUST_CHECK;
int cmd_planner(int argc, char **argv) MUST_CHECK;
int cmd_worker(int argc, char **argv) MUST_CHECK;
int cmd_new(int argc, char **argv) MUST_CHECK;
int cmd_deploy(int argc, char **argv) MUST_CHECK;
int cmd_invoke(int argc, char **argv) MUST_CHECK;
int cmd_functions(int argc, char **argv) MUST_CHECK;
int cmd_calls(int argc, char **argv) MUST_CHECK;
int cmd_logs(int argc, char **argv) MUST_CHECK;
int cmd_hosts(int argc, char **argv) MUST_CHECK;
int cmd_drain(int argc, char **argv) MUST_CHECK;
int cmd_top(int argc, char **argv) MUST_CHECK;
int cmd_usage_report(int argc, char **argv) MUST_CHECK;
int cmd_token(int argc, char **argv) MUST_CHECK;
int cmd_tenant(int argc, char **argv) MUST_CHECK;
int cmd_variable(int argc, char **argv) MUST_CHECK;
int cmd_trigger(int argc, char **argv) MUST_CHECK;
int cmd_state(int argc, char **argv) MUST_CHECK;
int cmd_files(int argc, char **argv) MUST_CHECK;
int cmd_config(int argc, char **argv) MUST_CHECK;
int cmd_completion(int argc, char **argv) MUST_CHECK;

/* Prints "weft: text" to standard error and returns the exit code of err. */
int cmd_fail(int err, const struct diag *diag) MUST_CHECK;
/* For a command line that is wrong: says so and where help is. CMD_EXIT_INPUT. */
int cmd_usage(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* A file that came with the program, share/NAME: beside it, or where packages put it. */
bool cmd_share_find(const char *name, char *out, size_t size);

#define CMD_SOURCE_BYTES_MAX ((size_t)1 << 20) /* an argument of a version is no longer */
/* A user's source as it is. -EINVAL: not UTF-8, or too large. */
int cmd_source_read(const char *path, struct buffer *source, struct diag *diag) MUST_CHECK;
int cmd_source_too_large(const char *path, struct diag *diag);

/* The text for CPython's -c of a user's file, with what it needs to be a function. -EINVAL:
 * not UTF-8, or too large. */
int cmd_python_source(const char *path, struct buffer *out, struct diag *diag) MUST_CHECK;

/* A Rust compiler that has the target: RUSTC if that is set, else PATH's or /usr/bin/rustc.
 * -ENOENT. */
struct cmd_rust {
    const char *compiler, *target;
};
int cmd_rust_find(struct cmd_rust *out, struct diag *diag) MUST_CHECK;

/* Compiler options that run and compile share: one long option. False where it
 * is none of them or its value is wrong (diag says so). */
enum { CMD_OPTION_COMPILE_FIRST = 1000 };
#define CMD_COMPILE_OPTIONS \
    {"cpu", required_argument, NULL, CMD_OPTION_COMPILE_FIRST}, \
        {"strict-traps", no_argument, NULL, CMD_OPTION_COMPILE_FIRST + 1}, \
        {"jobs", required_argument, NULL, CMD_OPTION_COMPILE_FIRST + 2}, \
        {"cache", required_argument, NULL, CMD_OPTION_COMPILE_FIRST + 3}, \
        {"compile-mem", required_argument, NULL, CMD_OPTION_COMPILE_FIRST + 4}, \
        {"compile-time", required_argument, NULL, CMD_OPTION_COMPILE_FIRST + 5}
bool cmd_compile_option(int option, const char *value, struct compile_request *request,
                        struct diag *diag);
#define CMD_COMPILE_HELP \
    "  -O LEVEL             0 to 3 (default 3)\n" \
    "  --cpu NAME           x86-64-v2, x86-64-v3 (default), x86-64-v4, native\n" \
    "  --strict-traps       every load of the program happens, even if its value is unused\n" \
    "  --jobs N             parts of a large module compiled at the same time\n" \
    "  --cache DIR          where images are kept (default $WEFT_CACHE or ~/.cache/weft)\n" \
    "  --compile-mem SIZE   memory limit of the compiler (default 6G)\n" \
    "  --compile-time SEC   time limit of the compiler (default 600)\n"

/* Options of a command, each with where its value goes. A name of one letter is a short
 * option (-v). */
enum cmd_option_kind {
    CMD_TEXT,    /* const char * */
    CMD_LIST,    /* struct cmd_list */
    CMD_NUMBER,  /* uint64_t, at most max */
    CMD_SIZE,    /* uint64_t, "64M" */
    CMD_SECONDS, /* double, "1.5" */
    CMD_FLAG,    /* bool */
    CMD_MAYBE,   /* const char *; "" without a value */
};
#define CMD_LIST_MAX 256u
struct cmd_list {
    const char *items[CMD_LIST_MAX];
    size_t count;
};
struct cmd_option {
    const char *name;
    enum cmd_option_kind kind;
    void *to;
    uint64_t max;
};
struct api;
/* argv[0] is the command's name; other arguments begin at optind. api: the options of api.h,
 * too, or NULL. CMD_EXIT_OK, or the exit code, or CMD_HELPED: help was asked for and told. */
#define CMD_HELPED (-1)
int cmd_options(int argc, char **argv, const char *help, struct api *api,
                const struct cmd_option *options, size_t count) MUST_CHECK;

/* "64K", "512M", "2G", or bytes. False where it is not a size. */
bool cmd_parse_size(const char *text, uint64_t *bytes);
bool cmd_parse_unsigned(const char *text, uint64_t max, uint64_t *value);

/* Text for people as a JSON string, with quotes. */
void cmd_json_string(struct buffer *out, const char *text, size_t count);

#endif
