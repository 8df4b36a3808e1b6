/* SPDX-License-Identifier: Apache-2.0
 *
 * weft cc, weft c++: clang for guests. weft mpicc, weft mpicxx: the same with MPI.
 *
 * Loops are left to the image compiler, which knows the processor: the guest
 * compiler must not vectorise, unroll or strength-reduce them first
 * (docs/loops.md). Compiling and linking are two steps, and the link has no -O:
 * clang 19 would run whatever wasm-opt is installed, silently.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd_internal.h"

#define PATH_BYTES 4096u
#define CLANG_C    "clang-19"
#define CLANG_CXX  "clang++-19"

extern char **environ;

static const char help[] =
    "usage: weft cc [clang's options] FILES      (weft c++ for C++)\n"
    "       weft mpicc [clang's options] FILES   (weft mpicxx for C++): MPI programs, which\n"
    "                                            weft run --mpi N runs\n\n"
    "Compiles and links C for Weft: clang-19 with the right target, sysroot and flags.\n"
    "All of clang's options work, among them -pthread, -fopenmp and -fno-exceptions.\n"
    "-Wl,-z,stack-size=BYTES is the stack's size (default 1 MiB), -Wl,--max-memory=BYTES\n"
    "what a program with threads may have. Loops are left for weft compile to vectorise,\n"
    "which knows the processor.\n";

static const char *const target_flags[] = {
    "--target=wasm32-wasi",
    "-mbulk-memory",
    "-mnontrapping-fptoint",
    "-msimd128",
    "-mexception-handling", /* setjmp and longjmp are exceptions */
    "-mllvm",
    "-wasm-enable-sjlj",
};

/* Before the user's, so that those count. The stack grows towards address 0 and not into the
 * program's data. What the linker warns of is a call with another type than the function's,
 * which traps when it is made. */
static const char *const link_flags[] = {
    "-Wl,--fatal-warnings", "-Wl,--stack-first", "-Wl,-z,stack-size=1048576",
    "-Wl,--table-base=2", /* MPI_COMM_DUP_FN and others are 1, and no function is */
};

/* The largest memory that has no address of 2^32 behind it; and what a host needs that starts
 * threads by itself. */
static const char *const thread_flags[] = {
    "-pthread",
    "-Wl,--import-memory,--export-memory,--max-memory=4294901760",
    "-Wl,--export-if-defined=__stack_pointer,--export-if-defined=__wasm_init_tls",
    "-Wl,--export-if-defined=__tls_size,--export-if-defined=__tls_align",
    "-Wl,--export-if-defined=malloc,--export-if-defined=free,-u,weft_threads_begin",
};

/* Loops are the image compiler's: no vectors, no load PRE, no strength reduction.
 * Only short loops of constant length are unrolled, because the guest compiler
 * knows the constants of the program and the image compiler does not. No edge is
 * split to sink into: a load that became conditional can never be hoisted again.
 * After the user's options: clang takes an -O2 or -O3 that follows -fno-vectorize
 * as a wish to vectorise. */
static const char *const loop_flags[] = {
    "-enable-load-pre=0",       "-enable-pre=0",        "-disable-lsr",
    "-unroll-allow-partial=0",  "-unroll-runtime=0",    "-unroll-allow-peeling=0",
    "-unroll-full-max-count=8", "-machine-sink-split=0"};

struct strings { /* an argument list; borrows its strings */
    const char **items;
    size_t count, capacity;
};

struct driver {
    bool is_cxx;
    const char *clang;
    char sysroot[PATH_BYTES]; /* "--sysroot=..." */
    char library[PATH_BYTES]; /* libweft.a of it, or empty: a sysroot that has none */
    char threads[PATH_BYTES]; /* weft-pthread.o of it */
    char mpi[PATH_BYTES];     /* libmpi.a of it */
    enum { EXCEPTIONS_OF_LANGUAGE, EXCEPTIONS_ON, EXCEPTIONS_OFF } exceptions;
    bool has_threads, has_openmp, has_mpi;
    bool has_cxx;           /* of the sources one is C++, or all are */
    bool is_partial;        /* -r: an object comes out */
    char directory[64];     /* for objects; empty until needed */
    struct strings compile; /* options of compiling */
    struct strings link;    /* options of linking, inputs in their order */
    struct strings sources; /* indices into link.items are in source_places */
    size_t source_places[4096];
    const char *output;
    bool is_one_step; /* -c, -S, -E, -M, --version ...: clang does it alone */
};

static void
add(struct strings *strings, const char *text)
{
    if (strings->count + 1 >= strings->capacity) {
        strings->capacity = strings->capacity == 0 ? 64 : strings->capacity * 2;
        strings->items = realloc(strings->items, strings->capacity * sizeof(char *));
        if (strings->items == NULL)
            abort();
    }
    strings->items[strings->count++] = text;
    strings->items[strings->count] = NULL;
}

/* Of C++ are the first five. */
static const char *const endings[] = {".cc", ".cpp", ".cxx", ".C", ".ii",
                                      ".c",  ".s",   ".S",   ".i", ".ll"};
#define CXX_ENDINGS 5u

static bool
is_source(const char *text, size_t ending_count)
{
    const char *dot = strrchr(text, '.');

    for (size_t i = 0; dot != NULL && i < ending_count; i++)
        if (strcmp(dot, endings[i]) == 0)
            return true;
    return false;
}

static bool
has_value(const char *option)
{
    static const char *const with[] = {"-o",       "-I",         "-D",      "-U",
                                       "-L",       "-l",         "-x",      "-include",
                                       "-isystem", "-idirafter", "-iquote", "-mllvm",
                                       "-Xclang",  "-MF",        "-MT",     "-MQ",
                                       "-Xlinker", "-z",         "-u",      "-Xpreprocessor"};

    for (size_t i = 0; i < ARRAY_COUNT(with); i++)
        if (strcmp(option, with[i]) == 0)
            return true;
    return false;
}

static bool
is_for_linker(const char *option)
{
    return strncmp(option, "-l", 2) == 0 || strncmp(option, "-L", 2) == 0 ||
           strncmp(option, "-Wl,", 4) == 0 || strcmp(option, "-Xlinker") == 0 ||
           strcmp(option, "-z") == 0 || strcmp(option, "-u") == 0 ||
           strncmp(option, "-nostd", 6) == 0 || strncmp(option, "-nodefaultlibs", 14) == 0 ||
           strcmp(option, "-nostartfiles") == 0 || strncmp(option, "-mexec-model", 12) == 0 ||
           strcmp(option, "-s") == 0 || strcmp(option, "-r") == 0;
}

static bool
ends_early(const char *option)
{
    static const char *const alone[] = {"-c",        "-S", "-E",   "-M",    "-MM", "-fsyntax-only",
                                        "--version", "-v", "-###", "--help"};

    for (size_t i = 0; i < ARRAY_COUNT(alone); i++)
        if (strcmp(option, alone[i]) == 0)
            return true;
    return strncmp(option, "-print-", 7) == 0 || strncmp(option, "--print-", 8) == 0 ||
           strncmp(option, "-dump", 5) == 0;
}

static bool
begins(const char *option, const char *with)
{
    return strncmp(option, with, strlen(with)) == 0;
}

/* What is said once for compiling and linking. Whether it was all that the option says. */
static bool
take_mode(struct driver *driver, const char *option)
{
    bool is_openmp = strcmp(option, "-fopenmp") == 0 || begins(option, "-fopenmp=");

    driver->is_partial |= strcmp(option, "-r") == 0;
    driver->has_openmp |= is_openmp;
    driver->has_threads |= is_openmp || strcmp(option, "-pthread") == 0;
    if (strcmp(option, "-fno-openmp") == 0)
        driver->has_openmp = false;
    if (strcmp(option, "-fexceptions") == 0 || strcmp(option, "-fwasm-exceptions") == 0)
        driver->exceptions = EXCEPTIONS_ON;
    else if (strcmp(option, "-fno-exceptions") == 0)
        driver->exceptions = EXCEPTIONS_OFF;
    else
        return strcmp(option, "-pthread") == 0;
    return true;
}

/* -O, -g and the like concern both steps; only -O must not reach the link. */
static void
sort_option(struct driver *driver, const char *option, const char *value)
{
    if (strcmp(option, "-o") == 0) {
        driver->output = value;
        return;
    }
    if (take_mode(driver, option))
        return;
    if (is_for_linker(option)) {
        add(&driver->link, option);
        if (value != NULL)
            add(&driver->link, value);
        return;
    }
    add(&driver->compile, option);
    if (value != NULL)
        add(&driver->compile, value);
}

static void
sort_arguments(struct driver *driver, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];

        if (text[0] == '-' && text[1] != '\0') {
            bool takes = has_value(text) && i + 1 < argc;

            driver->is_one_step |= ends_early(text);
            sort_option(driver, text, takes ? argv[i + 1] : NULL);
            i += takes;
        } else if (is_source(text, ARRAY_COUNT(endings))) {
            driver->has_cxx |= is_source(text, CXX_ENDINGS);
            if (driver->sources.count < ARRAY_COUNT(driver->source_places))
                driver->source_places[driver->sources.count] = driver->link.count;
            add(&driver->sources, text);
            add(&driver->link, text); /* becomes its object */
        } else {
            add(&driver->link, text);
        }
    }
}

/* A file of the sysroot, or "" where there is none. */
static void
find_file(const struct driver *driver, const char *name, char path[PATH_BYTES])
{
    int length =
        snprintf(path, PATH_BYTES, "%s/lib/%s", driver->sysroot + strlen("--sysroot="), name);

    if (length < 0 || length >= (int)PATH_BYTES || access(path, R_OK) != 0)
        path[0] = '\0';
}

/* The sysroot beside this program, or $WEFT_SYSROOT. */
static void
find_sysroot(struct driver *driver)
{
    const char *own = getenv("WEFT_SYSROOT");
    char path[PATH_BYTES - 64];
    ssize_t length;
    char *slash;

    if (own != NULL) {
        (void)snprintf(driver->sysroot, sizeof(driver->sysroot), "--sysroot=%s", own);
        return;
    }
    length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[length > 0 ? length : 0] = '\0';
    slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
    (void)snprintf(driver->sysroot, sizeof(driver->sysroot), "--sysroot=%s/sysroot", path);
}

static int
run(const char *const *arguments)
{
    int status = 0;
    pid_t child;
    int err = posix_spawnp(&child, arguments[0], NULL, NULL, (char *const *)(uintptr_t)arguments,
                           environ);

    if (err != 0) {
        (void)fprintf(stderr, "weft: cannot run %s: %s; install the package clang-19\n",
                      arguments[0], strerror(err));
        return CMD_EXIT_FAILED;
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return CMD_EXIT_FAILED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : CMD_EXIT_SIGNAL + WTERMSIG(status);
}

static bool
has_option(const struct strings *options, const char *option)
{
    for (size_t i = 0; i < options->count; i++)
        if (strcmp(options->items[i], option) == 0)
            return true;
    return false;
}

static void
begin(const struct driver *driver, struct strings *command)
{
    add(command, driver->clang);
    add(command, driver->sysroot);
    for (size_t i = 0; i < ARRAY_COUNT(target_flags); i++)
        add(command, target_flags[i]);
    if (driver->has_threads)
        add(command, "-pthread");
    if (driver->exceptions == EXCEPTIONS_OFF)
        add(command, "-fno-exceptions");
    else if (driver->has_cxx || driver->exceptions == EXCEPTIONS_ON)
        add(command, "-fwasm-exceptions");
    for (size_t i = 0; i < driver->compile.count; i++)
        add(command, driver->compile.items[i]);
    if (!has_option(&driver->compile, "-fvectorize"))
        add(command, "-fno-vectorize");
    if (!has_option(&driver->compile, "-fslp-vectorize"))
        add(command, "-fno-slp-vectorize");
    for (size_t i = 0; i < ARRAY_COUNT(loop_flags); i++) {
        add(command, "-mllvm");
        add(command, loop_flags[i]);
    }
}

/* Everything in one call: there is no link. */
static int
run_one_step(const struct driver *driver)
{
    struct strings command = {0};
    int code;

    begin(driver, &command);
    for (size_t i = 0; i < driver->link.count; i++)
        add(&command, driver->link.items[i]);
    if (driver->output != NULL) {
        add(&command, "-o");
        add(&command, driver->output);
    }
    code = run(command.items);
    free(command.items);
    return code;
}

static int
compile_source(struct driver *driver, size_t index)
{
    struct strings command = {0};
    char *object = NULL;
    int code;

    if (asprintf(&object, "%s/%zu.o", driver->directory, index) < 0)
        return CMD_EXIT_FAILED;
    begin(driver, &command);
    add(&command, "-c");
    add(&command, driver->sources.items[index]);
    add(&command, "-o");
    add(&command, object);
    code = run(command.items);
    free(command.items);
    driver->link.items[driver->source_places[index]] = object; /* removed and freed at the end */
    return code;
}

static int
link_objects(const struct driver *driver)
{
    struct strings command = {0};
    bool has_threads = driver->has_threads && !driver->is_partial;
    int code;

    add(&command, driver->clang);
    add(&command, driver->sysroot);
    add(&command, target_flags[0]);
    for (size_t i = 0; !driver->is_partial && i < ARRAY_COUNT(link_flags); i++)
        add(&command, link_flags[i]);
    for (size_t i = 0; has_threads && i < ARRAY_COUNT(thread_flags); i++)
        add(&command, thread_flags[i]);
    for (size_t i = 0; i < driver->link.count; i++)
        add(&command, driver->link.items[i]);
    if (has_threads && driver->threads[0] != '\0')
        add(&command, driver->threads);
    if (driver->has_openmp && !driver->is_partial)
        add(&command, "-lomp");
    if (driver->has_mpi && !driver->is_partial)
        add(&command, driver->mpi[0] != '\0' ? driver->mpi : "-lmpi"); /* which is not found */
    if (driver->library[0] != '\0')
        add(&command, driver->library);
    add(&command, "-o");
    add(&command, driver->output != NULL ? driver->output : "a.out");
    code = run(command.items);
    free(command.items);
    return code;
}

static void
remove_objects(struct driver *driver)
{
    for (size_t i = 0; i < driver->sources.count; i++) {
        const char *object = driver->link.items[driver->source_places[i]];

        if (object == driver->sources.items[i])
            continue;
        (void)unlink(object);
        free((void *)(uintptr_t)object);
    }
    (void)rmdir(driver->directory);
}

static int
run_two_steps(struct driver *driver)
{
    int code = CMD_EXIT_OK;

    (void)snprintf(driver->directory, sizeof(driver->directory), "/tmp/weft-cc-XXXXXX");
    if (mkdtemp(driver->directory) == NULL) {
        (void)fprintf(stderr, "weft: cannot make a directory in /tmp: %s\n", strerror(errno));
        return CMD_EXIT_FAILED;
    }
    for (size_t i = 0; i < driver->sources.count && code == CMD_EXIT_OK; i++)
        code = compile_source(driver, i);
    if (code == CMD_EXIT_OK)
        code = link_objects(driver);
    remove_objects(driver);
    return code;
}

int
cmd_cc(int argc, char **argv)
{
    static struct driver driver; /* large */
    int code;

    driver.is_cxx = strcmp(argv[0], "c++") == 0 || strcmp(argv[0], "mpicxx") == 0;
    driver.has_mpi = strncmp(argv[0], "mpi", 3) == 0;
    driver.has_cxx = driver.is_cxx;
    driver.clang = driver.is_cxx ? CLANG_CXX : CLANG_C;
    if (argc < 2 || (argc == 2 && strcmp(argv[1], "--help") == 0))
        return fputs(help, argc < 2 ? stderr : stdout) < 0 || argc < 2 ? CMD_EXIT_INPUT
                                                                       : CMD_EXIT_OK;
    find_sysroot(&driver);
    find_file(&driver, "libweft.a", driver.library);
    find_file(&driver, "wasm32-wasi/weft-pthread.o", driver.threads);
    find_file(&driver, "libmpi.a", driver.mpi);
    sort_arguments(&driver, argc, argv);
    if (driver.sources.count > ARRAY_COUNT(driver.source_places))
        return cmd_usage("cc", "more than %zu source files", ARRAY_COUNT(driver.source_places));
    code = driver.is_one_step ? run_one_step(&driver) : run_two_steps(&driver);
    free(driver.compile.items);
    free(driver.link.items);
    free(driver.sources.items);
    return code;
}
