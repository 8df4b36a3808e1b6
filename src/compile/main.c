/* SPDX-License-Identifier: Apache-2.0
 *
 * The compiler process's end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "compile/compile.h"
#include "compile/compile_confine.h"
#include "compile/compile_process.h"

static int
fail(int err, const char *text)
{
    char report[DIAG_TEXT_MAX + 32];
    int length = snprintf(report, sizeof(report), "%d\n%s", -err, text);

    if (file_write_all(COMPILE_FD_REPORT, report, (size_t)length) != 0)
        return EXIT_FAILURE;
    return COMPILE_EXIT_REFUSED;
}

/* The argument list of process.c, write_arguments. */
static bool
parse(char **argv, struct compile_options *options)
{
    unsigned mode, jobs;

    compile_options_init(options);
    options->level = (unsigned)strtoul(argv[1], NULL, 10);
    options->cpu = argv[2];
    options->strict_traps = argv[3][0] == '1';
    if (sscanf(argv[4], "%u,%u", &mode, &jobs) != 2)
        return false;
    options->mode = mode <= ABI_THREADED ? (enum abi_mode)mode : ABI_STANDALONE;
    options->jobs = jobs;
    options->address = strtoull(argv[5], NULL, 16);
    return options->level <= 3;
}

int
compile_main(int argc, char **argv)
{
    struct compile_options options;
    struct diag diag;
    struct stat status;
    void *bytes = NULL;
    int err;

    if (argc != 8 || !parse(argv, &options)) {
        (void)fprintf(stderr, "weft-compiler is started by weft, not by hand\n");
        return EXIT_FAILURE;
    }
    diag_init(&diag);
    err = compile_confine(strtoull(argv[6], NULL, 10), (unsigned)strtoul(argv[7], NULL, 10));
    if (err != 0)
        return fail(err, "the compiler cannot confine itself");
    if (fstat(COMPILE_FD_MODULE, &status) != 0)
        return fail(-errno, "the compiler got no module");
    if (status.st_size > 0) {
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, COMPILE_FD_MODULE, 0);
        if (bytes == MAP_FAILED)
            return fail(-errno, "the compiler cannot map the module");
    }
    err = compile_image(bytes, (size_t)status.st_size, &options, COMPILE_FD_IMAGE, &diag);
    if (err != 0)
        return fail(err, diag_text(&diag));
    return COMPILE_EXIT_DONE;
}
