/* SPDX-License-Identifier: Apache-2.0
 *
 * The parent's end: start the compiler, wait for it no longer than allowed, say
 * which limit ended it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "compile/compile_process.h"

#define ARGUMENTS      8u
#define ARGUMENT_BYTES 64u
#define ASK_MS         200 /* whether it is still wanted */

enum child_end { CHILD_ENDED, CHILD_LATE, CHILD_UNWANTED };

struct child {
    const struct compile_request *request;
    uint64_t memory_bytes;
    unsigned seconds;
    int module_fd, report_fd;
    pid_t pid;
};

void
compile_options_init(struct compile_options *options)
{
    *options = (struct compile_options){
        .level = 3, .cpu = COMPILE_CPU_DEFAULT, .address = ABI_IMAGE_ADDRESS_FIRST};
}

void
compile_find_compiler(const struct compile_request *request, char *out, size_t size)
{
    ssize_t length;
    char *slash;

    if (request->compiler != NULL) {
        (void)snprintf(out, size, "%s", request->compiler);
        return;
    }
    length = readlink("/proc/self/exe", out, size - 1);
    out[length > 0 ? length : 0] = '\0';
    slash = strrchr(out, '/');
    (void)snprintf(slash != NULL ? slash + 1 : out,
                   size - (slash != NULL ? (size_t)(slash + 1 - out) : 0), "weft-compiler");
}

static void
write_arguments(const struct child *child, char values[ARGUMENTS][ARGUMENT_BYTES])
{
    const struct compile_options *options = &child->request->options;

    (void)snprintf(values[0], ARGUMENT_BYTES, "weft-compiler");
    (void)snprintf(values[1], ARGUMENT_BYTES, "%u", options->level);
    (void)snprintf(values[2], ARGUMENT_BYTES, "%s", options->cpu);
    (void)snprintf(values[3], ARGUMENT_BYTES, "%d", (int)options->strict_traps);
    (void)snprintf(values[4], ARGUMENT_BYTES, "%u,%u", (unsigned)options->mode, options->jobs);
    (void)snprintf(values[5], ARGUMENT_BYTES, "%" PRIx64, options->address);
    (void)snprintf(values[6], ARGUMENT_BYTES, "%" PRIu64, child->memory_bytes);
    (void)snprintf(values[7], ARGUMENT_BYTES, "%u", child->seconds);
}

static int
spawn(struct child *child, int image_fd, struct diag *diag)
{
    static char *const environment[] = {(char *)(uintptr_t)"PATH=/usr/bin:/bin", NULL};
    char values[ARGUMENTS][ARGUMENT_BYTES], path[4096];
    char *arguments[ARGUMENTS + 1];
    posix_spawn_file_actions_t actions;
    int err;

    compile_find_compiler(child->request, path, sizeof(path));
    write_arguments(child, values);
    for (size_t i = 0; i < ARGUMENTS; i++)
        arguments[i] = values[i];
    arguments[ARGUMENTS] = NULL;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return diag_set(diag, -ENOMEM, "out of memory");
    err = posix_spawn_file_actions_adddup2(&actions, child->module_fd, COMPILE_FD_MODULE);
    if (err == 0)
        err = posix_spawn_file_actions_adddup2(&actions, image_fd, COMPILE_FD_IMAGE);
    if (err == 0)
        err = posix_spawn_file_actions_adddup2(&actions, child->report_fd, COMPILE_FD_REPORT);
    if (err == 0)
        err = posix_spawn(&child->pid, path, &actions, NULL, arguments, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    return err == 0 ? 0
                    : diag_set(diag, -err, "cannot run the compiler %s: %s", path, strerror(err));
}

/* Descriptors above those of the child, so that none is overwritten on the way. */
static int
high_memfd(const char *name)
{
    int low = memfd_create(name, MFD_CLOEXEC);
    int high = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, 16);

    file_close(&low);
    return high;
}

static bool
is_unwanted(const struct compile_request *request)
{
    return request->is_unwanted != NULL && request->is_unwanted(request->context);
}

/* Waits until the child ends; kills it when its time is over or nobody wants its image. */
static enum child_end
wait_within(const struct child *child, int *status, struct rusage *usage)
{
    int pidfd = pidfd_open(child->pid, 0);
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    uint64_t end_ns = clock_now_ns() + (uint64_t)child->seconds * CLOCK_NS_PER_SECOND;
    enum child_end end = CHILD_ENDED;

    while (pidfd >= 0 && end == CHILD_ENDED) {
        uint64_t now_ns = clock_now_ns();
        uint64_t left_ms = now_ns >= end_ns ? 0 : (end_ns - now_ns) / 1000000u + 1;

        if (poll(&poll_fd, 1, left_ms < ASK_MS ? (int)left_ms : ASK_MS) > 0)
            break;
        if (left_ms == 0)
            end = CHILD_LATE;
        else if (is_unwanted(child->request))
            end = CHILD_UNWANTED;
    }
    if (end != CHILD_ENDED || pidfd < 0)
        (void)kill(child->pid, SIGKILL);
    while (wait4(child->pid, status, 0, usage) < 0 && errno == EINTR)
        continue;
    file_close(&pidfd);
    return end;
}

static int
report_memory(const struct child *child, struct diag *diag)
{
    return diag_set(diag, -ENOMEM,
                    "the compiler exceeded its memory limit of %" PRIu64
                    " MiB; the module may be a bomb, or raise the limit with --compile-mem",
                    child->memory_bytes >> 20);
}

/* What the compiler wrote: errno, newline, text. */
static int
read_report(const struct child *child, struct diag *diag)
{
    char text[DIAG_TEXT_MAX];
    ssize_t count = pread(child->report_fd, text, sizeof(text) - 1, 0);
    char *rest = NULL;
    long number;

    text[count > 0 ? count : 0] = '\0';
    number = strtol(text, &rest, 10);
    if (number <= 0 || number > 4095 || rest == NULL || *rest != '\n')
        return diag_set(diag, -EIO, "the compiler ended without saying why");
    if (number == ENOMEM)
        return report_memory(child, diag);
    return diag_set(diag, -(int)number, "%s", rest + 1);
}

static int
explain(const struct child *child, int status, enum child_end end, struct diag *diag)
{
    if (end == CHILD_UNWANTED)
        return diag_set(diag, -ECANCELED, "nobody waits for the image any more");
    if (end == CHILD_LATE || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU))
        return diag_set(diag, -ETIMEDOUT,
                        "the compiler exceeded its time limit of %u s; the module may be a bomb, "
                        "or raise the limit with --compile-time",
                        child->seconds);
    if (WIFEXITED(status) && WEXITSTATUS(status) == COMPILE_EXIT_MEMORY)
        return report_memory(child, diag);
    if (WIFSIGNALED(status))
        return diag_set(diag, -EIO,
                        "the compiler was ended by signal %d (%s): this is a fault of the "
                        "compiler; please report it with the module",
                        WTERMSIG(status), strsignal(WTERMSIG(status)));
    return read_report(child, diag);
}

/* What it left is what it said it would leave: -EIO if not. */
static int
check_image(int fd, struct diag *diag)
{
    struct stat status;
    struct abi_image image;
    struct diag reason;
    size_t size;
    void *bytes;
    int err;

    diag_init(&reason);
    if (fstat(fd, &status) != 0 || status.st_size <= 0)
        return diag_set(
            diag, -EIO,
            "the compiler ended without an error and without an image; run weft doctor");
    size = (size_t)status.st_size;
    bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return diag_set(diag, -errno, "cannot read the compiler's image: %s", strerror(errno));
    err = abi_image_parse(bytes, size, &image, &reason);
    (void)munmap(bytes, size);
    if (err == 0)
        return 0;
    return diag_set(diag, -EIO, "the compiler made no valid image (%s); run weft doctor",
                    diag_text(&reason));
}

static int
await_image(const struct child *child, int image_fd, struct rusage *usage, struct diag *diag)
{
    int status = 0;
    enum child_end end = wait_within(child, &status, usage);

    if (!WIFEXITED(status) || WEXITSTATUS(status) != COMPILE_EXIT_DONE)
        return explain(child, status, end, diag);
    return check_image(image_fd, diag);
}

int
compile_in_child(const struct compile_request *request, int image_fd, struct compile_report *report,
                 struct diag *diag)
{
    struct child child = {
        .request = request,
        .memory_bytes = request->memory_bytes_max != 0 ? request->memory_bytes_max
                                                       : COMPILE_MEMORY_BYTES_DEFAULT,
        .seconds = request->seconds_max != 0 ? request->seconds_max : COMPILE_SECONDS_DEFAULT,
    };
    struct rusage usage = {0};
    int high_image_fd = fcntl(image_fd, F_DUPFD_CLOEXEC, 16);
    int err = 0;

    child.module_fd = high_memfd("module");
    child.report_fd = high_memfd("report");
    if (high_image_fd < 0 || child.module_fd < 0 || child.report_fd < 0)
        err = diag_set(diag, -EMFILE, "too many open files");
    if (err == 0)
        err = file_write_all(child.module_fd, request->bytes, request->count);
    if (err != 0)
        (void)diag_set(diag, err, "cannot hand the module to the compiler: %s", strerror(-err));
    if (err == 0 && is_unwanted(request)) /* it may have waited for another's compiler */
        err = diag_set(diag, -ECANCELED, "nobody waits for the image any more");
    if (err == 0)
        err = spawn(&child, high_image_fd, diag);
    if (err == 0)
        err = await_image(&child, high_image_fd, &usage, diag);
    report->cpu_ns =
        ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * CLOCK_NS_PER_SECOND +
        ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000u;
    report->memory_bytes_peak = (uint64_t)usage.ru_maxrss << 10;
    file_close(&high_image_fd);
    file_close(&child.module_fd);
    file_close(&child.report_fd);
    return err;
}
