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

/* Prints "weft: text" to standard error and returns the exit code of err. */
int cmd_fail(int err, const struct diag *diag) MUST_CHECK;
/* For a command line that is wrong: says so and where help is. CMD_EXIT_INPUT. */
int cmd_usage(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* The text for CPython's -c of a user's file, with what it needs to be a function. -EINVAL:
 * not UTF-8, or too large. */
int cmd_python_source(const char *path, struct buffer *out, struct diag *diag) MUST_CHECK;

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

/* "64K", "512M", "2G", or bytes. False where it is not a size. */
bool cmd_parse_size(const char *text, uint64_t *bytes);
bool cmd_parse_unsigned(const char *text, uint64_t max, uint64_t *value);

/* Text for people as a JSON string, with quotes. */
void cmd_json_string(struct buffer *out, const char *text, size_t count);

#endif
