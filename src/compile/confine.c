/* SPDX-License-Identifier: Apache-2.0
 *
 * The compiler reads untrusted bytes, so before it reads any it gives up what it
 * does not need: privileges, network, writing to the file system, most system
 * calls. What the kernel or our rights do not allow is left out; the limits
 * always hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "compile/compile_confine.h"
#include "compile/compile_process.h"

#define NOBODY             65534u
#define MEMORY_SLACK_BYTES (UINT64_C(320) << 20) /* a refused allocation may be large */

static uint64_t memory_bytes_max;

/* LLVM aborts when it has no memory: say so by the exit code. Only calls that a
 * signal handler may make. */
static void
on_abort(int signal_number)
{
    char text[64];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? 0 : read(fd, text, sizeof(text));
    uint64_t pages = 0;

    for (ssize_t i = 0; i < count && text[i] >= '0' && text[i] <= '9'; i++)
        pages = pages * 10 + (uint64_t)(text[i] - '0');
    if (pages * 4096u + MEMORY_SLACK_BYTES > memory_bytes_max)
        _exit(COMPILE_EXIT_MEMORY);
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static int
limit_resources(uint64_t memory_bytes, unsigned seconds)
{
    struct rlimit memory = {memory_bytes, memory_bytes};
    struct rlimit time = {(rlim_t)seconds * 64u, (rlim_t)seconds * 64u}; /* all its threads */
    struct rlimit none = {0, 0};

    memory_bytes_max = memory_bytes;
    if (setrlimit(RLIMIT_AS, &memory) != 0 || setrlimit(RLIMIT_CPU, &time) != 0 ||
        setrlimit(RLIMIT_CORE, &none) != 0)
        return -errno;
    return signal(SIGABRT, on_abort) == SIG_ERR ? -errno : 0;
}

static void
drop_privileges(void)
{
    (void)unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS);
    if (geteuid() == 0) {
        (void)setgroups(0, NULL);
        if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
            _exit(COMPILE_EXIT_REFUSED);
        /* Or /proc/self would belong to root, and objects are passed through it. */
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    }
    /* Who waits for the image may be killed: nobody wants it then. A change of user forgets
     * this, so it comes last. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

/* Reading and executing stays possible where programs and libraries are. */
static void
close_file_system(void)
{
    static const char *const readable[] = {"/usr", "/lib",  "/lib64", "/bin",
                                           "/etc", "/proc", "/sys",   "/dev/null"};
    uint64_t read_access =
        LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    struct landlock_ruleset_attr all = {.handled_access_fs =
                                            (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all.handled_access_fs), 0);

    if (rules < 0)
        return;
    for (size_t i = 0; i < ARRAY_COUNT(readable); i++) {
        struct landlock_path_beneath_attr rule = {.allowed_access = read_access};
        int fd;

        if (i == ARRAY_COUNT(readable) - 1)
            rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
        fd = open(readable[i], O_PATH | O_CLOEXEC);
        rule.parent_fd = fd;
        if (fd >= 0)
            (void)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
        file_close(&fd);
    }
    (void)syscall(SYS_landlock_restrict_self, rules, 0);
    file_close(&rules);
}

/* What LLVM and the linker use. */
static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(writev),
    SCMP_SYS(readv),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(stat),
    SCMP_SYS(fstat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),
    SCMP_SYS(getdents64),
    SCMP_SYS(fcntl),
    SCMP_SYS(ioctl),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(pipe2),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(memfd_create),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(arch_prctl),
    SCMP_SYS(prctl),
    SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(getcpu),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),

    SCMP_SYS(clone),
    SCMP_SYS(clone3),
    SCMP_SYS(vfork),
    SCMP_SYS(execve),
    SCMP_SYS(wait4),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(close_range),
    SCMP_SYS(umask),
    SCMP_SYS(membarrier),
};

static int
filter_system_calls(void)
{
    const struct scmp_arg_cmp self = {
        .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid()};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int err = filter == NULL ? -ENOMEM : 0;

    for (size_t i = 0; i < ARRAY_COUNT(allowed) && err == 0; i++)
        err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    /* Signals only to itself: abort needs that. */
    if (err == 0)
        err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, self);
    if (err == 0)
        err = seccomp_load(filter);
    if (filter != NULL)
        seccomp_release(filter);
    return err;
}

int
compile_confine(uint64_t memory_bytes, unsigned seconds)
{
    int err = limit_resources(memory_bytes, seconds);

    if (err != 0)
        return err;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    drop_privileges();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    close_file_system();
    return filter_system_calls();
}
