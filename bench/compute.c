/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-compute: how fast guest code runs, beside the same code compiled
 * natively and beside the same module in V8.
 *
 *      compute [--rounds N] [--out FILE] [--weft PATH] [--runner FILE] DIR NAME...
 *
 * NAME is group/program, for instance kernels/gemm. DIR holds what compute.mk
 * built: native/NAME, v3/NAME, guest/NAME.wasm and simd/NAME.wasm. Rounds go
 * over all variants in turn, so that a slow moment of the machine hits all of
 * them alike; what is reported is the median of each. Every program times its
 * own kernel (kernels/kernel.h), so start-up and compilation do not count.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "latency.h"

#define ROUNDS_MAX     101
#define PROGRAMS_MAX   256
#define OUTPUT_MAX     4096
#define PATH_BYTES     512
#define ARGUMENTS_MAX  8
#define RUN_SECONDS    120
#define CHECKSUM_BYTES 64

/* Float checksums may differ this much where one build fuses multiply and add. */
#define CHECKSUM_TOLERANCE 1e-6

enum variant { NATIVE, NATIVE_V3, WEFT, V8, V8_SIMD, VARIANTS };

static const char *const variant_names[VARIANTS] = {
    "clang -O3", "clang -O3 -march=x86-64-v3", "weft", "V8", "V8 -msimd128",
};

struct program {
    const char *name;  /* borrowed from argv */
    const char *group; /* "kernels" or "general" */
    char checksum[CHECKSUM_BYTES];
    int64_t times_ns[VARIANTS][ROUNDS_MAX];
    int64_t median_ns[VARIANTS];
};

struct settings {
    const char *directory, *out, *weft, *runner;
    int rounds;
};

extern char **environ;

static struct program programs[PROGRAMS_MAX];
static size_t programs_count;

static void
fail(const char *what, const char *name)
{
    fprintf(stderr, "bench-compute: %s: %s\n", name, what);
    exit(1);
}

static int64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads until the program closes its output or its time is over. */
static size_t
read_output(int fd, char *out, size_t size, pid_t pid)
{
    int64_t deadline_ms = now_ms() + RUN_SECONDS * 1000;
    size_t length = 0;

    while (length < size - 1) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int64_t left_ms = deadline_ms - now_ms();
        ssize_t got;

        if (left_ms <= 0 || poll(&ready, 1, (int)left_ms) == 0) {
            kill(pid, SIGKILL);
            break;
        }
        got = read(fd, out + length, size - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    out[length] = '\0';
    return length;
}

/* Runs a program and collects its standard output. Returns its exit status. */
static int
run(char *const argv[], char *out, size_t size)
{
    posix_spawn_file_actions_t actions;
    int pipe_fds[2], status, err;
    pid_t pid;

    if (pipe(pipe_fds) != 0)
        fail(strerror(errno), "pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, pipe_fds[0]);
    posix_spawn_file_actions_addclose(&actions, pipe_fds[1]);
    err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    if (err != 0)
        fail(strerror(err), argv[0]);
    read_output(pipe_fds[0], out, size, pid);
    close(pipe_fds[0]);
    if (waitpid(pid, &status, 0) != pid)
        fail(strerror(errno), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void
take_path(char *path, const struct settings *settings, const char *kind, const char *name,
          const char *suffix)
{
    int length = snprintf(path, PATH_BYTES, "%s/%s/%s%s", settings->directory, kind, name, suffix);

    if (length < 0 || length >= PATH_BYTES)
        fail("path too long", name);
}

/* Fills argv for one variant; path is the caller's and must outlive argv. V8
 * runs without its quick first compiler: its best code, from the first call. */
static void
command_of(const struct settings *settings, const struct program *program, enum variant variant,
           char *path, const char *argv[ARGUMENTS_MAX])
{
    size_t count = 0;

    if (variant == WEFT) {
        argv[count++] = settings->weft;
        argv[count++] = "run";
    }
    if (variant == V8 || variant == V8_SIMD) {
        argv[count++] = "node";
        argv[count++] = "--no-warnings";
        argv[count++] = "--no-liftoff";
        argv[count++] = settings->runner;
    }
    if (variant == NATIVE || variant == NATIVE_V3)
        take_path(path, settings, variant == NATIVE ? "native" : "v3", program->name, "");
    else
        take_path(path, settings, variant == V8_SIMD ? "simd" : "guest", program->name, ".wasm");
    argv[count++] = path;
    argv[count] = NULL;
}

/* Two checksums are the same if equal as text, or if both are decimal
 * fractions that differ in what rounding explains. */
static bool
is_same_checksum(const char *a, const char *b)
{
    double x, y;

    if (strcmp(a, b) == 0)
        return true;
    if (strpbrk(a, ".e") == NULL && strpbrk(b, ".e") == NULL && strlen(a) > 9)
        return false;
    x = strtod(a, NULL);
    y = strtod(b, NULL);
    return fabs(x - y) <= CHECKSUM_TOLERANCE * fmax(fabs(x), fabs(y));
}

/* Runs one variant once and keeps its time; the checksums must agree. */
static void
measure(const struct settings *settings, struct program *program, enum variant variant, int round)
{
    const char *argv[ARGUMENTS_MAX];
    char path[PATH_BYTES], output[OUTPUT_MAX], checksum[CHECKSUM_BYTES];
    long long time_ns;
    int status;

    command_of(settings, program, variant, path, argv);
    status = run((char *const *)argv, output, sizeof(output));
    if (status != 0 || sscanf(output, "checksum %63s time_ns %lld", checksum, &time_ns) != 2) {
        fprintf(stderr, "bench-compute: %s (%s): exit status %d\n%s", program->name,
                variant_names[variant], status, output);
        exit(1);
    }
    if (variant == NATIVE && round == 0)
        memcpy(program->checksum, checksum, sizeof(checksum));
    if (!is_same_checksum(checksum, program->checksum)) {
        fprintf(stderr, "bench-compute: %s (%s): checksum %s, native %s\n", program->name,
                variant_names[variant], checksum, program->checksum);
        exit(1);
    }
    program->times_ns[variant][round] = time_ns;
}

static int
by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void
measure_program(const struct settings *settings, struct program *program)
{
    for (int round = 0; round < settings->rounds; round++)
        for (enum variant v = 0; v < VARIANTS; v++)
            if (v != WEFT || settings->weft != NULL)
                measure(settings, program, v, round);
    for (enum variant v = 0; v < VARIANTS; v++) {
        qsort(program->times_ns[v], (size_t)settings->rounds, sizeof(int64_t), by_time);
        program->median_ns[v] = program->times_ns[v][settings->rounds / 2];
    }
    /* V8 is given both modules and judged by the faster. */
    if (program->median_ns[V8_SIMD] < program->median_ns[V8])
        program->median_ns[V8] = program->median_ns[V8_SIMD];
}

/* What is compared: Weft, or V8 while there is no build/weft. */
static enum variant
subject(const struct settings *settings)
{
    return settings->weft != NULL ? WEFT : V8;
}

static double
ratio_of(const struct settings *settings, const struct program *program, enum variant peer)
{
    return (double)program->median_ns[subject(settings)] / (double)program->median_ns[peer];
}

static void
print_row(const struct settings *settings, const struct program *program)
{
    printf("%-26s %9.1f", program->name, (double)program->median_ns[NATIVE] / 1e6);
    printf(" %9.1f", (double)program->median_ns[NATIVE_V3] / 1e6);
    printf(" %9.1f", (double)program->median_ns[WEFT] / 1e6);
    printf(" %9.1f", (double)program->median_ns[V8] / 1e6);
    printf(" %8.2f", ratio_of(settings, program, NATIVE));
    printf(" %8.2f", ratio_of(settings, program, NATIVE_V3));
    printf(" %8.2f\n", ratio_of(settings, program, V8));
    fflush(stdout);
}

static void
write_row(FILE *out, const struct settings *settings, const struct program *program,
          enum variant peer)
{
    fprintf(out,
            "{\"name\":\"%s\",\"value\":%lld,\"unit\":\"ns\",\"subject\":\"%s\",\"peer\":\"%s\","
            "\"peer_value\":%lld,\"ratio\":%.4f}\n",
            program->name, (long long)program->median_ns[subject(settings)],
            variant_names[subject(settings)], variant_names[peer],
            (long long)program->median_ns[peer], ratio_of(settings, program, peer));
}

struct summary {
    double geomean, worst;
    const char *worst_name;
    size_t count;
};

static struct summary
summarise(const struct settings *settings, const char *group, enum variant peer)
{
    struct summary summary = {.worst_name = "none"};
    double logarithms = 0;

    for (size_t i = 0; i < programs_count; i++) {
        const struct program *program = &programs[i];
        double ratio = ratio_of(settings, program, peer);

        if (strcmp(program->group, group) != 0)
            continue;
        summary.count++;
        logarithms += log(ratio);
        if (ratio > summary.worst) {
            summary.worst = ratio;
            summary.worst_name = program->name;
        }
    }
    summary.geomean = summary.count == 0 ? 0 : exp(logarithms / (double)summary.count);
    return summary;
}

/* A goal: the geometric mean and the worst program against one peer. */
struct goal {
    const char *group;
    enum variant peer;
    double geomean_max, worst_max;
};

static const struct goal goals[] = {
    {"kernels", NATIVE, 0.97, 1.2}, {"kernels", NATIVE_V3, 1.03, 1.3}, {"kernels", V8, 1.0, 1.0},
    {"general", NATIVE, 1.15, 1.4}, {"general", V8, 1.0, 1.0},
};

static void
report_goal(FILE *out, const struct settings *settings, const struct goal *goal)
{
    struct summary summary = summarise(settings, goal->group, goal->peer);
    bool is_reached = summary.geomean <= goal->geomean_max && summary.worst <= goal->worst_max;

    if (summary.count == 0)
        return;
    printf("%-8s (%zu) vs %-26s geomean %.3f (goal %.2f), worst %.2f %s (goal %.2f): %s\n",
           goal->group, summary.count, variant_names[goal->peer], summary.geomean,
           goal->geomean_max, summary.worst, summary.worst_name, goal->worst_max,
           is_reached ? "yes" : "no");
    fprintf(out,
            "{\"name\":\"geomean\",\"group\":\"%s\",\"value\":%.4f,\"unit\":\"ratio\","
            "\"subject\":\"%s\",\"peer\":\"%s\",\"peer_value\":1,\"ratio\":%.4f,\"worst\":%.4f,"
            "\"worst_name\":\"%s\",\"programs\":%zu,\"rounds\":%d}\n",
            goal->group, summary.geomean, variant_names[subject(settings)],
            variant_names[goal->peer], summary.geomean, summary.worst, summary.worst_name,
            summary.count, settings->rounds);
}

static void
report(const struct settings *settings, const struct latency *latency)
{
    FILE *out = fopen(settings->out, "w");

    if (out == NULL)
        fail(strerror(errno), settings->out);
    latency_write(latency, out);
    for (size_t i = 0; i < programs_count; i++) {
        write_row(out, settings, &programs[i], NATIVE);
        write_row(out, settings, &programs[i], NATIVE_V3);
        if (settings->weft != NULL)
            write_row(out, settings, &programs[i], V8);
    }
    printf("\nGoals (ratio of time, %s to peer; below 1 is faster):\n",
           variant_names[subject(settings)]);
    for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++)
        if (goals[i].peer != subject(settings))
            report_goal(out, settings, &goals[i]);
    if (fclose(out) != 0)
        fail(strerror(errno), settings->out);
    printf("\nwritten to %s\n", settings->out);
}

static void
usage(void)
{
    fprintf(stderr, "usage: compute [--rounds N] [--out FILE] [--weft PATH] [--runner FILE] "
                    "DIR GROUP/NAME...\n");
    exit(2);
}

static struct settings
read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'},
        {"out", required_argument, NULL, 'o'},
        {"weft", required_argument, NULL, 'w'},
        {"runner", required_argument, NULL, 'n'},
        {NULL, 0, NULL, 0},
    };
    struct settings settings = {.out = "compute.jsonl", .runner = "tools/wasi.mjs", .rounds = 9};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            settings.rounds = atoi(optarg);
            break;
        case 'o':
            settings.out = optarg;
            break;
        case 'w':
            settings.weft = optarg;
            break;
        case 'n':
            settings.runner = optarg;
            break;
        default:
            usage();
        }
    }
    if (settings.rounds < 1 || settings.rounds > ROUNDS_MAX || argc - optind < 2)
        usage();
    settings.directory = argv[optind];
    return settings;
}

int
main(int argc, char **argv)
{
    struct settings settings = read_options(argc, argv);
    struct latency latency = latency_measure();

    latency_print(&latency);
    printf("Medians of %d interleaved rounds, in ms of the kernel alone.\n\n", settings.rounds);
    printf("%-26s %9s %9s %9s %9s %8s %8s %8s\n", "program", "-O3", "-O3 v3",
           settings.weft != NULL ? "weft" : "(no weft)", "V8", "vs -O3", "vs v3", "vs V8");
    for (int i = optind + 1; i < argc && programs_count < PROGRAMS_MAX; i++) {
        struct program *program = &programs[programs_count++];

        program->name = argv[i];
        program->group = strncmp(argv[i], "general/", 8) == 0 ? "general" : "kernels";
        measure_program(&settings, program);
        print_row(&settings, program);
    }
    report(&settings, &latency);
    return 0;
}
