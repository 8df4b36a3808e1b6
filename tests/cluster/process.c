/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes: started so that they end with this one, killed, looked at.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash.h"

#define END_SECONDS 30u

extern char **environ;

void
crash_process_word(struct crash_process *process, const char *format, ...)
{
    va_list args;

    if (process->word_count + 1 >= CRASH_WORDS_MAX)
        abort();
    va_start(args, format);
    (void)vsnprintf(process->words[process->word_count++], CRASH_WORD, format, args);
    va_end(args);
}

/* In the child. */
static void
become(const struct crash_process *process, pid_t parent, const int *gates, int input)
{
    char *words[CRASH_WORDS_MAX + 1] = {NULL};
    int log = open(process->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    sigset_t none;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)dup2(input >= 0 ? input : open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
    (void)dup2(log, 1);
    (void)dup2(log, 2);
    if (getppid() != parent || (process->is_apart && !crash_network_leave(gates[1], gates[2])))
        _exit(126);
    (void)close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC); /* libcurl's are not */
    for (size_t i = 0; i < process->word_count; i++)
        words[i] = (char *)(uintptr_t)process->words[i];
    (void)execvp(words[0], words);
    _exit(127);
}

/* Its network comes when it has left ours. */
static bool
give_network(const struct crash_process *process, const int gates[4])
{
    char byte = 0;

    return !process->is_apart ||
           (read(gates[0], &byte, 1) == 1 && crash_network_give(process->number, process->pid) &&
            write(gates[3], &byte, 1) == 1);
}

bool
crash_process_start(struct crash_process *process)
{
    int gates[4] = {-1, -1, -1, -1}, input[2] = {-1, -1};
    pid_t parent = getpid();
    bool is_fine = pipe2(gates, O_CLOEXEC) == 0 && pipe2(gates + 2, O_CLOEXEC) == 0;

    if (is_fine && process->has_input)
        is_fine = pipe2(input, O_CLOEXEC) == 0; /* our end stays open as long as we live */
    process->pid = is_fine ? fork() : -1;
    if (process->pid == 0)
        become(process, parent, gates, input[0]);
    is_fine = process->pid > 0 && give_network(process, gates);
    for (size_t i = 0; i < 4; i++)
        (void)close(gates[i]);
    if (input[0] >= 0)
        (void)close(input[0]);
    if (process->pid < 0)
        process->pid = 0;
    if (!is_fine)
        crash_say("cannot start %s: %s", process->name, strerror(errno));
    return is_fine;
}

void
crash_process_kill(struct crash_process *process)
{
    if (process->pid <= 0)
        return;
    (void)kill(process->pid, SIGKILL);
    (void)waitpid(process->pid, NULL, 0);
    process->pid = 0;
}

bool
crash_process_end(struct crash_process *process)
{
    uint64_t until_ns = clock_now_ns() + END_SECONDS * (uint64_t)CLOCK_NS_PER_SECOND;
    int status = 0;

    if (process->pid <= 0)
        return true;
    (void)kill(process->pid, SIGTERM);
    while (waitpid(process->pid, &status, WNOHANG) == 0) {
        if (clock_now_ns() > until_ns) {
            crash_say("%s does not end", process->name);
            crash_process_kill(process);
            return false;
        }
        (void)usleep(5000);
    }
    process->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    crash_say("%s ended with %s %d", process->name, WIFSIGNALED(status) ? "signal" : "code",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

void
crash_pause(pid_t pid, const pid_t *others, size_t count, bool is_pause)
{
    int number = is_pause ? SIGSTOP : SIGCONT;

    (void)kill(pid, number);
    for (size_t i = 0; i < count; i++)
        (void)kill(others[i], number);
}

bool
crash_process_is_alive(struct crash_process *process)
{
    if (process->pid > 0 && waitpid(process->pid, NULL, WNOHANG) == process->pid)
        process->pid = 0;
    return process->pid > 0;
}

bool
crash_run(const char *const *words)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void)dup2(null, 0);
        (void)dup2(null, 1);
        (void)execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ------------------------------------------------------------------------ looking at */

/* The direct ones: those whose parent is any thread of it. */
static size_t
children_of(pid_t pid, pid_t *out, size_t max)
{
    char path[64], text[8192];
    struct dirent *task;
    size_t count = 0;
    DIR *tasks;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
    tasks = opendir(path);
    while (tasks != NULL && (task = readdir(tasks)) != NULL) {
        char file[512], *at = text, *end = text;
        FILE *children;

        (void)snprintf(file, sizeof(file), "%s/%s/children", path, task->d_name);
        children = task->d_name[0] != '.' ? fopen(file, "re") : NULL;
        if (children == NULL)
            continue;
        text[fread(text, 1, sizeof(text) - 1, children)] = '\0';
        (void)fclose(children);
        for (long child = strtol(at, &end, 10); end != at && count < max;
             child = strtol(at, &end, 10)) {
            out[count++] = (pid_t)child;
            at = end;
        }
    }
    if (tasks != NULL)
        (void)closedir(tasks);
    return count;
}

size_t
crash_processes_below(pid_t pid, pid_t *out, size_t max)
{
    size_t count = pid > 0 ? children_of(pid, out, max) : 0;

    for (size_t i = 0; i < count && count < max; i++) /* grows while it goes on */
        count += children_of(out[i], out + count, max - count);
    return count;
}

static size_t
count_names(const char *path)
{
    DIR *names = opendir(path);
    size_t count = 0;

    while (names != NULL && readdir(names) != NULL)
        count++;
    if (names != NULL)
        (void)closedir(names);
    return count > 2 ? count - 2 : 0;
}

/* Folders NAME.PID.START.NAMESPACE, whose host process it is (src/jail/sweep.c). */
static size_t
count_groups(pid_t pid)
{
    char command[160], line[32] = "";
    FILE *pipe;

    (void)snprintf(command, sizeof(command),
                   "find /sys/fs/cgroup -maxdepth 6 -type d -name '*.%d.*' 2>/dev/null | wc -l",
                   pid);
    pipe = popen(command, "re");
    if (pipe == NULL)
        return 0;
    if (fgets(line, sizeof(line), pipe) == NULL)
        line[0] = '\0';
    (void)pclose(pipe);
    return strtoul(line, NULL, 10);
}

static uint64_t
anonymous_kb(pid_t pid)
{
    char path[64], line[128];
    uint64_t kb = 0;
    FILE *status;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    status = fopen(path, "re");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        if (strncmp(line, "RssAnon:", 8) == 0)
            kb = strtoull(line + 8, NULL, 10);
    if (status != NULL)
        (void)fclose(status);
    return kb;
}

struct crash_held
crash_held(pid_t pid)
{
    struct crash_held held = {0};
    pid_t below[512];
    char path[64];

    if (pid <= 0)
        return held;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    held.processes = 1 + crash_processes_below(pid, below, ARRAY_COUNT(below));
    held.descriptors = count_names(path);
    held.groups = count_groups(pid);
    held.anonymous_kb = anonymous_kb(pid);
    return held;
}

size_t
crash_links(void)
{
    return count_names("/sys/class/net");
}

/* ------------------------------------------------------------------------------ ports */

static struct sockaddr_in
loopback(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

unsigned
crash_free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        abort();
    (void)close(fd);
    return ntohs(address.sin_port);
}

bool
crash_await_port(unsigned port, unsigned seconds)
{
    struct sockaddr_in address = loopback(port);

    for (unsigned i = 0; i < seconds * 100 && !crash_is_interrupted(); i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool is_there = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

        (void)close(fd);
        if (is_there)
            return true;
        (void)usleep(10000);
    }
    return false;
}
