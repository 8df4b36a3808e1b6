/* SPDX-License-Identifier: Apache-2.0
 *
 * spec-run: executes the specification's tests.
 *
 * Each .wast file is converted by wast2json and run in a process of its own, a
 * few at a time, so that a crash costs one file. Prints a count per file; exit
 * status 1 if anything failed, 2 if it was used wrongly.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "spec_script.h"

#define FILES_MAX    1024u
#define JOBS_MAX     64u
#define FILE_SECONDS 1800u

static const char *const folders[] = {
    "core", "simd", "threads", "tail-call", "extended-const", "relaxed-simd", "exceptions-legacy",
};

/* Shared with the processes that run the files. */
struct tally {
    unsigned passed, total, superseded;
    uint64_t moves, stress_moves;
    bool is_done;
};

struct file {
    char name[256]; /* "core/i32" */
    pid_t pid;
    int output_fd;
};

static struct file files[FILES_MAX];
static size_t file_count;
static struct tally *tallies; /* shared, one per file */

/* ------------------------------------------------------------------ in the child */

static json_t *
convert(const struct spec_options *options, const char *name)
{
    char wast[PATH_MAX], json[PATH_MAX];
    json_error_t error;
    json_t *root;

    (void)snprintf(wast, sizeof(wast), "%s/%s.wast", options->directory, name);
    (void)snprintf(json, sizeof(json), "%s/%s.json", options->out, name);
    if (spec_run_tool((const char *const[]){"wast2json", SPEC_TOOL_FLAGS, wast, "-o", json, NULL},
                      true) != 0) {
        (void)printf("%s: wast2json refuses it\n", name);
        return NULL;
    }
    root = json_load_file(json, JSON_ALLOW_NUL, &error);
    if (root == NULL)
        (void)printf("%s: %s:%d: %s\n", name, json, error.line, error.text);
    return root;
}

static void
run_file(const struct spec_options *options, const char *name, struct tally *tally)
{
    static struct spec_script script;
    char directory[PATH_MAX];
    json_t *root;
    int err;

    (void)snprintf(directory, sizeof(directory), "%s/%s", options->out, name);
    *strrchr(directory, '/') = '\0';
    err = faaslet_thread_init();
    if (err != 0) {
        (void)printf("faaslet_thread_init: %s\n", strerror(-err));
        return;
    }
    root = convert(options, name);
    if (root == NULL)
        return;
    script = (struct spec_script){.options = options, .name = name, .directory = directory};
    err = spec_script_run(&script, json_object_get(root, "commands"));
    *tally = (struct tally){.passed = script.passed,
                            .total = script.total,
                            .superseded = script.superseded,
                            .moves = script.moves,
                            .stress_moves = faaslet_stress_moves(),
                            .is_done = err == 0};
    spec_script_fini(&script);
    json_decref(root);
}

/* ----------------------------------------------------------------- in the parent */

static int
start_file(const struct spec_options *options, struct file *file, struct tally *tally)
{
    file->output_fd = memfd_create("output", MFD_CLOEXEC);
    if (file->output_fd < 0)
        return -errno;
    (void)fflush(stdout);
    file->pid = fork();
    if (file->pid < 0)
        return -errno;
    if (file->pid > 0)
        return 0;
    (void)dup2(file->output_fd, 1);
    (void)dup2(file->output_fd, 2);
    (void)alarm(FILE_SECONDS);
    /* A line is there even if the next assertion ends the process. */
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    run_file(options, file->name, tally);
    (void)fflush(stdout);
    _exit(0);
}

static void
show_output(int fd)
{
    char bytes[4096];
    ssize_t count;

    (void)lseek(fd, 0, SEEK_SET);
    while ((count = read(fd, bytes, sizeof(bytes))) > 0)
        (void)fwrite(bytes, 1, (size_t)count, stdout);
    (void)close(fd);
}

/* Whether everything passed. */
static bool
finish_file(const struct file *file, struct tally *tally, int status)
{
    show_output(file->output_fd);
    if (WIFSIGNALED(status))
        (void)printf("%s.wast: ended by signal %d (%s)\n", file->name, WTERMSIG(status),
                     strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        (void)printf("%s.wast: exit status %d\n", file->name, WEXITSTATUS(status));
    if (status != 0)
        tally->is_done = false;
    (void)printf("%s.wast %u/%u%s\n", file->name, tally->passed, tally->total,
                 tally->is_done ? "" : " NOT FINISHED");
    (void)fflush(stdout);
    return tally->is_done && tally->passed == tally->total;
}

static bool
wait_for_one(void)
{
    int status;
    pid_t pid;

    do
        pid = waitpid(-1, &status, 0);
    while (pid < 0 && errno == EINTR);
    for (size_t i = 0; i < file_count; i++)
        if (files[i].pid == pid)
            return finish_file(&files[i], &tallies[i], status);
    ASSERT(pid > 0);
    return true;
}

static bool
run_all(const struct spec_options *options)
{
    unsigned running = 0;
    bool is_good = true;

    for (size_t i = 0; i < file_count; i++) {
        int err;

        if (running == options->jobs) {
            is_good &= wait_for_one();
            running--;
        }
        err = start_file(options, &files[i], &tallies[i]);
        if (err != 0) {
            (void)fprintf(stderr, "spec-run: cannot start a process: %s\n", strerror(-err));
            is_good = false;
            break;
        }
        running++;
    }
    for (; running > 0; running--)
        is_good &= wait_for_one();
    return is_good;
}

static void
print_totals(const struct spec_options *options, bool is_good)
{
    struct tally sum = {0};

    for (size_t i = 0; i < file_count; i++) {
        sum.passed += tallies[i].passed;
        sum.total += tallies[i].total;
        sum.superseded += tallies[i].superseded;
        sum.moves += tallies[i].moves;
        sum.stress_moves += tallies[i].stress_moves;
    }
    if (sum.moves + sum.stress_moves > 0)
        (void)printf("Faaslets moved %" PRIu64 " times between calls and %" PRIu64
                     " times in host calls\n",
                     sum.moves, sum.stress_moves);
    if (sum.superseded > 0)
        (void)printf("%u assertions forbid what WebAssembly 2.0 allows (more than one table); "
                     "checked to be allowed\n",
                     sum.superseded);
    (void)printf("total %u/%u in %zu files%s%s, -O%u: %s\n", sum.passed, sum.total, file_count,
                 options->is_linked     ? ", all linked"
                 : options->is_threaded ? ", threaded"
                                        : "",
                 options->is_strict ? ", strict traps" : "", options->level,
                 is_good ? "all pass" : "FAILED");
}

/* ---------------------------------------------------------------------- the files */

static int
compare_files(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* only: NULL, or what a name must contain. */
static bool
is_wanted(const char *name, char *const *only)
{
    if (only[0] == NULL)
        return true;
    for (size_t i = 0; only[i] != NULL; i++)
        if (strstr(name, only[i]) != NULL)
            return true;
    return false;
}

static void
list_folder(const struct spec_options *options, const char *folder, char *const *only)
{
    size_t first = file_count;
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *directory;

    (void)snprintf(path, sizeof(path), "%s/%s", options->directory, folder);
    directory = opendir(path);
    if (directory == NULL)
        return;
    (void)snprintf(path, sizeof(path), "%s/%s", options->out, folder);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        (void)fprintf(stderr, "spec-run: %s: %s\n", path, strerror(errno));
    while ((entry = readdir(directory)) != NULL && file_count < FILES_MAX) {
        const char *dot = strrchr(entry->d_name, '.');
        struct file *file = &files[file_count];

        if (dot == NULL || strcmp(dot, ".wast") != 0)
            continue;
        (void)snprintf(file->name, sizeof(file->name), "%s/%.*s", folder,
                       (int)(dot - entry->d_name), entry->d_name);
        file_count += is_wanted(file->name, only);
    }
    (void)closedir(directory);
    qsort(files + first, file_count - first, sizeof(*files), compare_files);
}

static void
list_files(const struct spec_options *options, char *const *only)
{
    if (mkdir(options->out, 0777) != 0 && errno != EEXIST)
        (void)fprintf(stderr, "spec-run: %s: %s\n", options->out, strerror(errno));
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++)
        list_folder(options, folders[i], only);
}

static const char usage[] =
    "usage: spec-run [options] TESTS [NAME...]\n"
    "Runs the specification's tests in the folder TESTS; with NAMEs, files whose\n"
    "name (as core/i32) contains one.\n"
    "  --linked        all files in mode LINKED, not only those that import\n"
    "  --threaded      the others in mode THREADED, as if their memory were shared\n"
    "  --strict        no load may be removed\n"
    "  --move          every Faaslet is frozen, destroyed and thawed elsewhere before\n"
    "                  each call; WEFT_STRESS implies it\n"
    "  -O LEVEL        0 to 3 (default 3)\n"
    "  --jobs N        files at a time (default 2)\n"
    "  --out DIR       where converted files go (default build/spec)\n"
    "  --support DIR   where spectest.wat is (default tests/spec)\n";

static int
parse_option(int letter, struct spec_options *options)
{
    switch (letter) {
    case 'l':
        options->is_linked = true;
        return 0;
    case 't':
        options->is_threaded = true;
        return 0;
    case 's':
        options->is_strict = true;
        return 0;
    case 'm':
        options->is_moved = true;
        return 0;
    case 'O':
        options->level = (unsigned)strtoul(optarg, NULL, 10);
        return options->level <= 3 ? 0 : -EINVAL;
    case 'j':
        options->jobs = (unsigned)strtoul(optarg, NULL, 10);
        return options->jobs >= 1 && options->jobs <= JOBS_MAX ? 0 : -EINVAL;
    case 'o':
        options->out = optarg;
        return 0;
    case 'p':
        options->support = optarg;
        return 0;
    default:
        return -EINVAL;
    }
}

static int
parse_options(int argc, char **argv, struct spec_options *options)
{
    static const struct option names[] = {
        {"linked", no_argument, NULL, 'l'},
        {"move", no_argument, NULL, 'm'},
        {"strict", no_argument, NULL, 's'},
        {"jobs", required_argument, NULL, 'j'},
        {"out", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {"support", required_argument, NULL, 'p'},
        {"threaded", no_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    int letter;

    while ((letter = getopt_long(argc, argv, "O:j:h", names, NULL)) != -1)
        if (parse_option(letter, options) != 0)
            return -EINVAL;
    if (optind == argc)
        return -EINVAL;
    options->directory = argv[optind];
    return 0;
}

int
main(int argc, char **argv)
{
    struct spec_options options = {
        .out = "build/spec", .support = "tests/spec", .jobs = 2, .level = 3};
    bool is_good;

    options.is_moved = getenv("WEFT_STRESS") != NULL;
    if (parse_options(argc, argv, &options) != 0) {
        (void)fputs(usage, stderr);
        return 2;
    }
    list_files(&options, argv + optind + 1);
    if (file_count == 0) {
        (void)fprintf(stderr, "spec-run: no tests in %s\n", options.directory);
        return 2;
    }
    tallies = mmap(NULL, file_count * sizeof(*tallies), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tallies == MAP_FAILED) {
        (void)fprintf(stderr, "spec-run: mmap: %s\n", strerror(errno));
        return 2;
    }
    is_good = run_all(&options);
    print_totals(&options, is_good);
    return is_good ? 0 : 1;
}
