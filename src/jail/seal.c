/* SPDX-License-Identifier: Apache-2.0
 *
 * The system calls of a cell that runs guests: at most JAIL_SYSCALLS_MAX, some
 * only with certain arguments.
 *
 * What is not on the list has one of two ends. Calls that no library makes by
 * itself, and that who has taken over a cell would try first (new programs, other
 * processes' memory, namespaces, mounts, kernel modules), kill the process: the
 * attempt is news, and there is no second one. All others say ENOSYS: the C library
 * probes for newer calls and has another way if there is none, and a tenant must
 * not die of a newer C library. (With EPERM it would not look for another way.)
 *
 * Not on the list because they can be done before: sockets and userfaultfd are
 * opened, epoll and eventfd are created, the number of cores is asked before jail_seal;
 * brk, mremap, sendfile, sched_yield and nanosleep have another way each (mmap, a copy,
 * futex).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "jail/jail_internal.h"

#define ARCH_SET_GS       0x1001
#define ARCH_GET_GS       0x1004
#define PAGEMAP_SCAN_CODE 0xc0606610u /* 6.7; older headers do not have it */
#define NAMESPACE_FLAGS \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
     CLONE_NEWNET)
#define THREAD_FLAGS (CLONE_VM | CLONE_THREAD | CLONE_SIGHAND)

static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(preadv),
    SCMP_SYS(preadv2),
    SCMP_SYS(pwritev2),

    SCMP_SYS(openat),
    SCMP_SYS(openat2),
    SCMP_SYS(close),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstat), /* newer C libraries */
    SCMP_SYS(lseek),
    SCMP_SYS(getdents64),
    SCMP_SYS(unlinkat),
    SCMP_SYS(renameat2),
    SCMP_SYS(mkdirat),
    SCMP_SYS(symlinkat),
    SCMP_SYS(linkat),
    SCMP_SYS(readlinkat),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(utimensat),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),

    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(memfd_create),

    SCMP_SYS(futex),
    SCMP_SYS(rseq),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(restart_syscall), /* the kernel's own, after a stop */
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),

    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(timer_create),
    SCMP_SYS(timer_settime),
    SCMP_SYS(timer_delete),
    SCMP_SYS(clock_gettime), /* a system call where the clock source is slow */

    SCMP_SYS(poll),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(accept4),
    SCMP_SYS(shutdown),
    SCMP_SYS(getrandom),
};

/* Allowed only where (argument & mask) == value; several rows are alternatives. */
static const struct {
    int call;
    unsigned argument;
    uint64_t mask, value;
} filtered[] = {
#define COMMAND(number) UINT32_MAX, (uint32_t)(number)
    {SCMP_SYS(ioctl), 1, COMMAND(FIONREAD)},
    {SCMP_SYS(ioctl), 1, COMMAND(TCGETS)}, /* isatty */
    {SCMP_SYS(ioctl), 1, COMMAND(PAGEMAP_SCAN_CODE)},
    {SCMP_SYS(ioctl), 1, COMMAND(UFFDIO_REGISTER)},
    {SCMP_SYS(ioctl), 1, COMMAND(UFFDIO_UNREGISTER)},
    {SCMP_SYS(ioctl), 1, COMMAND(UFFDIO_WAKE)},
    {SCMP_SYS(ioctl), 1, COMMAND(UFFDIO_COPY)},
    {SCMP_SYS(ioctl), 1, COMMAND(UFFDIO_ZEROPAGE)},
    {SCMP_SYS(ioctl), 1, COMMAND(UFFDIO_WRITEPROTECT)},
    {SCMP_SYS(ioctl), 1, COMMAND(UFFDIO_CONTINUE)},

    {SCMP_SYS(fcntl), 1, COMMAND(F_DUPFD)},
    {SCMP_SYS(fcntl), 1, COMMAND(F_DUPFD_CLOEXEC)},
    {SCMP_SYS(fcntl), 1, COMMAND(F_GETFD)},
    {SCMP_SYS(fcntl), 1, COMMAND(F_SETFD)},
    {SCMP_SYS(fcntl), 1, COMMAND(F_GETFL)},
    {SCMP_SYS(fcntl), 1, COMMAND(F_SETFL)},
    {SCMP_SYS(fcntl), 1, COMMAND(F_ADD_SEALS)},
    {SCMP_SYS(fcntl), 1, COMMAND(F_GET_SEALS)},
    {SCMP_SYS(fcntl), 1, COMMAND(F_OFD_SETLK)},
    {SCMP_SYS(fcntl), 1, COMMAND(F_OFD_SETLKW)},

    /* Never writable and executable at once. */
    {SCMP_SYS(mmap), 2, PROT_WRITE | PROT_EXEC, 0},
    {SCMP_SYS(mmap), 2, PROT_WRITE | PROT_EXEC, PROT_WRITE},
    {SCMP_SYS(mmap), 2, PROT_WRITE | PROT_EXEC, PROT_EXEC},
    {SCMP_SYS(mprotect), 2, PROT_WRITE | PROT_EXEC, 0},
    {SCMP_SYS(mprotect), 2, PROT_WRITE | PROT_EXEC, PROT_WRITE},
    {SCMP_SYS(mprotect), 2, PROT_WRITE | PROT_EXEC, PROT_EXEC},

    /* Threads. clone3 has its flags in memory, where no filter sees them: it says
     * ENOSYS, and the C library takes clone. */
    {SCMP_SYS(clone), 0, THREAD_FLAGS | NAMESPACE_FLAGS, THREAD_FLAGS},

    /* Processors on which a process may not write the GS base itself. */
    {SCMP_SYS(arch_prctl), 0, COMMAND(ARCH_SET_GS)},
    {SCMP_SYS(arch_prctl), 0, COMMAND(ARCH_GET_GS)},
#undef COMMAND
};
/* Of filtered: ioctl, fcntl, mmap, mprotect, clone, arch_prctl; and tgkill. */
#define FILTERED_CALLS 7u

static_assert(ARRAY_COUNT(allowed) + FILTERED_CALLS <= JAIL_SYSCALLS_MAX,
              "the list of allowed system calls is too long");

static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
    SCMP_SYS(personality),
};

static atomic_bool is_sealed;

size_t
seal_allowed_count(void)
{
    size_t count = ARRAY_COUNT(allowed) + 1; /* tgkill */

    for (size_t i = 0; i < ARRAY_COUNT(filtered); i++)
        count += i == 0 || filtered[i].call != filtered[i - 1].call;
    return count;
}

static int
add_rules(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp self = {
        .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid()};
    int err = 0;

    for (size_t i = 0; i < ARRAY_COUNT(allowed) && err == 0; i++)
        err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < ARRAY_COUNT(filtered) && err == 0; i++) {
        const struct scmp_arg_cmp match = {.arg = filtered[i].argument,
                                           .op = SCMP_CMP_MASKED_EQ,
                                           .datum_a = filtered[i].mask,
                                           .datum_b = filtered[i].value};

        err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, filtered[i].call, 1, match);
    }
    /* The C library takes any result of brk for an address, and one below what it asked
     * for as a no: -ENOSYS would be a heap at the end of the address space. */
    if (err == 0)
        err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(0), SCMP_SYS(brk), 0);
    /* Signals to its own threads: preemption and abort. */
    if (err == 0)
        err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, self);
    /* A library of seccomp may not know the newest of them: those say ENOSYS. */
    for (size_t i = 0; i < ARRAY_COUNT(deadly) && err == 0; i++)
        (void)seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    return err;
}

static int
load_filter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int err = filter == NULL ? -ENOMEM : 0;

    if (err == 0) /* of another machine word: x32 and 32 bits have other numbers */
        err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (err == 0) /* all threads, or none */
        err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (err == 0) /* a balanced tree of comparisons instead of a chain */
        err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (err == 0)
        err = add_rules(filter);
    if (err == 0)
        err = fault_point("jail.seal");
    if (err == 0)
        err = seccomp_load(filter);
    if (filter != NULL)
        seccomp_release(filter);
    return err;
}

int
jail_seal(struct diag *diag)
{
    int err;

    if (atomic_load(&is_sealed))
        return 0;
    err = load_filter();
    if (err != 0)
        return diag_set(diag, err, "cannot filter system calls: %s", strerror(-err));
    atomic_store(&is_sealed, true);
    return 0;
}
