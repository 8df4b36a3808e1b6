/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that run Faaslets, and the signals that stop guests: faults of guest
 * code are traps; the interrupt signal (a timer's, or faaslet_kill's) takes a
 * guest that computes off the thread.
 *
 * A handler never unwinds: it records where the guest was and lets the thread
 * continue where abi_enter receives guests that leave. That is right from any
 * guest instruction, because nothing of the host is on the guest's stack.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "faaslet/faaslet_internal.h"

#define INTERRUPT_SIGNAL      (SIGRTMIN + 1)
#define INTERRUPT_INTERVAL_NS 1000000 /* again, until it found guest code */
#define HELD_INTERVAL_NS      100000
#define ALTERNATE_BYTES       (128u << 10)
#define HWCAP2_HAS_FSGSBASE   (1u << 1)
#define ARCH_PRCTL_SET_GS     0x1001
#define DIRECTION_FLAG        0x400
#define ERROR_WRITE           0x2 /* of a page fault */

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static _Thread_local struct runner here;

static pthread_once_t process_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;
static int process_err;
static bool has_fsgsbase;

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
static struct sigaction previous_actions[ARRAY_COUNT(fault_signals)];

struct runner *
runner_here(void)
{
    return &here;
}

void
runner_set_gs(const uint8_t *origin)
{
    if (has_fsgsbase)
        __asm__ volatile("wrgsbase %0" ::"r"(origin));
    else
        (void)syscall(SYS_arch_prctl, ARCH_PRCTL_SET_GS, origin);
}

/* ----------------------------------------------------------------------- timers */

static void
set_timer(struct runner *runner, uint64_t first_ns, int flags)
{
    struct itimerspec spec = {.it_interval = {0, INTERRUPT_INTERVAL_NS}};

    spec.it_value.tv_sec = (time_t)(first_ns / CLOCK_NS_PER_SECOND);
    spec.it_value.tv_nsec = (long)(first_ns % CLOCK_NS_PER_SECOND);
    runner->is_armed = true;
    (void)timer_settime(runner->timer, flags, &spec, NULL);
}

void
runner_arm(struct runner *runner, uint64_t deadline_ns)
{
    if (deadline_ns != CLOCK_NEVER_NS && runner->tick_ns == 0)
        set_timer(runner, deadline_ns > 0 ? deadline_ns : 1, TIMER_ABSTIME);
}

void
runner_disarm(struct runner *runner)
{
    struct itimerspec none = {0};

    if (!runner->is_armed)
        return;
    runner->is_armed = false;
    (void)timer_settime(runner->timer, 0, &none, NULL);
}

void
runner_interrupt(pid_t tid)
{
    /* A thread that is gone, or runs something else by now, does not care. */
    (void)syscall(SYS_tgkill, getpid(), tid, INTERRUPT_SIGNAL);
}

/* --------------------------------------------------------------------- handlers */

static enum abi_trap
trap_of_instruction(const struct faaslet_image *image, uint64_t pc)
{
    static const uint8_t ud1[] = {0x0f, 0xb9, 0x40};
    const uint8_t *bytes = (const uint8_t *)pc;
    uint64_t left = image->abi.text_end - pc;
    unsigned kind;

    if (left > 0 && bytes[0] == 0x67) {
        bytes++;
        left--;
    }
    if (left < sizeof(ud1) + 1 || memcmp(bytes, ud1, sizeof(ud1)) != 0)
        return ABI_TRAP_NONE;
    kind = bytes[sizeof(ud1)];
    return kind < ABI_TRAP_COUNT ? (enum abi_trap)kind : ABI_TRAP_NONE;
}

static enum abi_trap
trap_of_access(const struct faaslet *faaslet, const siginfo_t *info)
{
    uintptr_t address = (uintptr_t)info->si_addr;

    if (info->si_code <= 0 || info->si_code == SI_KERNEL)
        return ABI_TRAP_NONE;
    if (address >= faaslet->stack.guard_first && address < faaslet->stack.first)
        return ABI_TRAP_STACK_EXHAUSTED;
    if (address >= mem_slot_first(faaslet->slot) && address < mem_slot_end(faaslet->slot))
        return ABI_TRAP_MEMORY_BOUNDS;
    return ABI_TRAP_NONE;
}

static enum abi_trap
trap_of_signal(const struct faaslet *faaslet, int number, const siginfo_t *info, uint64_t pc)
{
    const struct faaslet_image *image = faaslet_image_at(faaslet, pc);

    if (image == NULL) {
        bool is_leaving = pc >= (uint64_t)faaslet_thunk_leave && pc < (uint64_t)faaslet_thunk_end;

        return is_leaving && number == SIGSEGV ? trap_of_access(faaslet, info) : ABI_TRAP_NONE;
    }
    switch (number) {
    case SIGILL:
        return trap_of_instruction(image, pc);
    case SIGFPE:
        return info->si_code == FPE_INTDIV ? ABI_TRAP_INTEGER_DIVIDE_BY_ZERO : ABI_TRAP_NONE;
    default:
        return trap_of_access(faaslet, info);
    }
}

/* Makes the interrupted guest leave to the host. */
static void
leave_guest(struct faaslet *faaslet, ucontext_t *machine, enum abi_trap trap)
{
    greg_t *r = machine->uc_mcontext.gregs;
    struct abi_context *context = context_at(faaslet, faaslet->stand.stop_context);

    faaslet->stopped = (struct guest_registers){
        .pc = (uint64_t)r[REG_RIP],
        .sp = (uint64_t)r[REG_RSP],
        .rbp = (uint64_t)r[REG_RBP],
        .rbx = (uint64_t)r[REG_RBX],
        .r12 = (uint64_t)r[REG_R12],
        .r13 = (uint64_t)r[REG_R13],
        .r14 = (uint64_t)r[REG_R14],
        .r15 = (uint64_t)r[REG_R15],
        .is_exact = true,
    };
    faaslet->trap = trap;
    context->call = CALL_STOPPED;
    r[REG_RIP] = *(const greg_t *)context->host_sp;
    r[REG_RSP] = (greg_t)(context->host_sp + sizeof(uint64_t));
    r[REG_RDI] = faaslet->stand.stop_context;
    r[REG_EFL] &= ~(greg_t)DIRECTION_FLAG;
}

static uint32_t
context_call(const struct faaslet *faaslet)
{
    return context_at(faaslet, faaslet->stand.stop_context)->call;
}

/* On its own stack: not in the few instructions in which it leaves or enters. */
static bool
is_in_guest(const struct faaslet *faaslet, const ucontext_t *machine)
{
    const greg_t *r = machine->uc_mcontext.gregs;

    return faaslet_image_at(faaslet, (uint64_t)r[REG_RIP]) != NULL &&
           (uintptr_t)r[REG_RSP] >= faaslet->stack.first &&
           (uintptr_t)r[REG_RSP] <= faaslet->stack.top;
}

/* A write to what is mapped to be read only, and pages that are not there: both faults are of
 * guest code, in the slot. True: the guest leaves. */
static bool
fault_in_share(struct faaslet *faaslet, int number, const siginfo_t *info, ucontext_t *machine)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    bool is_write = (machine->uc_mcontext.gregs[REG_ERR] & ERROR_WRITE) != 0;
    struct faaslet_absent *absent = &faaslet->absent;
    bool is_read_only, is_absent;

    if ((number != SIGSEGV && number != SIGBUS) || info->si_code <= 0 ||
        info->si_code == SI_KERNEL || !is_in_guest(faaslet, machine))
        return false;
    faaslet->trap_message = NULL;
    /* It was in guest code, so it has no lock; who has it does not wait for this thread. */
    space_hold(faaslet->space);
    is_read_only = is_write && mem_share_is_read_only(faaslet->slot, address);
    is_absent =
        !is_read_only && mem_share_fault(faaslet->slot, address, &absent->share, &absent->offset);
    space_release(faaslet->space);
    if (is_read_only) {
        faaslet->trap_message = share_read_only;
        leave_guest(faaslet, machine, ABI_TRAP_MEMORY_BOUNDS);
        return true;
    }
    if (!is_absent)
        return false;
    absent->bytes = ABI_HOST_PAGE_BYTES;
    if (here.machine != NULL && machine_save(here.machine, machine, context_call(faaslet))) {
        leave_guest(faaslet, machine, ABI_TRAP_NONE);
        return true;
    }
    absent->share = NULL;
    faaslet->trap_message = "no memory to wait for a page of a share";
    leave_guest(faaslet, machine, ABI_TRAP_HOST);
    return true;
}

static bool
preempt_guest(struct faaslet *faaslet, ucontext_t *machine)
{
    /* Host code may be moving its slot at this moment. */
    if (here.machine == NULL || !is_in_guest(faaslet, machine))
        return false;
    if (!machine_save(here.machine, machine, context_call(faaslet)))
        return false;
    leave_guest(faaslet, machine, ABI_TRAP_NONE);
    return true;
}

static uint64_t
thread_cpu_ns(void)
{
    struct timespec used;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)used.tv_nsec;
}

/* Charges what the thread has used since the last tick to what runs now; NULL: to
 * nobody. */
static void
charge(struct faaslet *faaslet)
{
    uint64_t now = thread_cpu_ns();

    if (faaslet != NULL) /* of all its threads together */
        (void)__atomic_fetch_add(&first_of(faaslet)->stand.cpu_ns, now - here.tick_cpu_ns,
                                 __ATOMIC_RELAXED);
    here.tick_cpu_ns = now;
}

static void
tick(struct faaslet *faaslet)
{
    uint64_t limit = faaslet->config.cpu_ns_max;
    unsigned none = STOP_NONE;

    charge(faaslet);
    if (limit != 0 && faaslet_cpu_ns(faaslet) > limit)
        (void)atomic_compare_exchange_strong(&faaslet->stop, &none, STOP_CPU);
    else if (here.tick_run == here.run_count)
        (void)atomic_compare_exchange_strong(&faaslet->stop, &none, STOP_PREEMPT);
    here.tick_run = here.run_count;
}

/* Not the guest's doing: whoever was there before us decides. */
static void
forward(int number, siginfo_t *info, void *machine)
{
    const struct sigaction *previous = NULL;
    struct sigaction fallback = {.sa_handler = SIG_DFL};

    for (size_t i = 0; i < ARRAY_COUNT(fault_signals); i++)
        if (fault_signals[i] == number)
            previous = &previous_actions[i];
    if (previous != NULL && (previous->sa_flags & SA_SIGINFO) != 0) {
        previous->sa_sigaction(number, info, machine);
    } else if (previous != NULL && previous->sa_handler != SIG_DFL &&
               previous->sa_handler != SIG_IGN) {
        previous->sa_handler(number);
    } else {
        /* The instruction is executed again, and ends the process. */
        (void)sigaction(number, &fallback, NULL);
        if (info->si_code <= 0)
            (void)raise(number);
    }
}

static void
on_fault(int number, siginfo_t *info, void *machine)
{
    ucontext_t *m = machine;
    struct faaslet *faaslet = here.current;
    enum abi_trap trap = ABI_TRAP_NONE;

    if (number == SIGSEGV && info->si_code == SEGV_ACCERR &&
        mem_track_fault((uintptr_t)info->si_addr))
        return;
    if (faaslet != NULL && faaslet->call.has_shares && fault_in_share(faaslet, number, info, m))
        return;
    if (faaslet != NULL)
        trap = trap_of_signal(faaslet, number, info, (uint64_t)m->uc_mcontext.gregs[REG_RIP]);
    if (trap != ABI_TRAP_NONE) {
        faaslet->trap_message = NULL;
        leave_guest(faaslet, m, trap);
    } else
        forward(number, info, machine);
}

static void
on_interrupt(int number, siginfo_t *info, void *machine)
{
    ucontext_t *m = machine;
    struct faaslet *faaslet = here.current;
    unsigned stop, none = STOP_NONE;
    int saved = errno;

    (void)number;
    (void)info;
    if (faaslet == NULL) {
        if (here.tick_ns != 0)
            charge(NULL);
        errno = saved;
        return;
    }
    if (clock_now_ns() >= faaslet->deadline_ns) {
        unsigned wish = STOP_PREEMPT;

        (void)atomic_compare_exchange_strong(&faaslet->stop, &wish, STOP_NONE);
        (void)atomic_compare_exchange_strong(&faaslet->stop, &none, STOP_TIME);
    }
    if (here.tick_ns != 0)
        tick(faaslet);
    stop = atomic_load(&faaslet->stop);
    if (stop == STOP_PREEMPT) {
        /* Who wants it to stand still waits: where it is between two things now, soon again. */
        if (!preempt_guest(faaslet, m) && atomic_load(&faaslet->held) != 0 && here.tick_ns == 0)
            set_timer(&here, HELD_INTERVAL_NS, 0);
    } else if (stop != STOP_NONE &&
               faaslet_image_at(faaslet, (uint64_t)m->uc_mcontext.gregs[REG_RIP]) != NULL)
        leave_guest(faaslet, m, ABI_TRAP_NONE);
    else if (stop != STOP_NONE && here.tick_ns == 0)
        set_timer(&here, INTERRUPT_INTERVAL_NS, 0); /* host code looks, but may just have */
    errno = saved;
}

/* ------------------------------------------------------------------ preparation */

static void
fini_thread(void *unused)
{
    stack_t stack = {.ss_flags = SS_DISABLE};

    (void)unused;
    if (!here.is_ready)
        return;
    free(here.machine);
    here.machine = NULL;
    here.tick_ns = 0;
    if (here.previous_stack != NULL)
        stack = (stack_t){.ss_sp = here.previous_stack,
                          .ss_size = here.previous_bytes,
                          .ss_flags = here.previous_flags};
    (void)timer_delete(here.timer);
    (void)sigaltstack(&stack, NULL);
    (void)munmap(here.alternate_stack, ALTERNATE_BYTES);
    here.is_ready = false;
}

int
faaslet_thread_tick(uint64_t tick_ns)
{
    struct itimerspec spec = {.it_interval.tv_sec = (time_t)(tick_ns / CLOCK_NS_PER_SECOND),
                              .it_interval.tv_nsec = (long)(tick_ns % CLOCK_NS_PER_SECOND)};

    ASSERT(here.is_ready && here.current == NULL);
    spec.it_value = spec.it_interval;
    if (tick_ns != 0 && !runner_can_preempt(&here))
        return -ENOMEM;
    here.tick_cpu_ns = thread_cpu_ns(); /* what was before is no Faaslet's */
    if (timer_settime(here.timer, 0, &spec, NULL) != 0)
        return -errno;
    here.tick_ns = tick_ns;
    return 0;
}

bool
runner_can_preempt(struct runner *runner)
{
    if (runner->machine == NULL && fault_point("faaslet.preempt") == 0)
        runner->machine = machine_new();
    return runner->machine != NULL;
}

static int
install_handlers(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};

    action.sa_sigaction = on_fault;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaddset(&action.sa_mask, INTERRUPT_SIGNAL);
    for (size_t i = 0; i < ARRAY_COUNT(fault_signals); i++)
        if (sigaction(fault_signals[i], &action, &previous_actions[i]) != 0)
            return -errno;
    action.sa_sigaction = on_interrupt;
    action.sa_flags |= SA_RESTART;
    return sigaction(INTERRUPT_SIGNAL, &action, NULL) == 0 ? 0 : -errno;
}

static void
init_process(void)
{
    const char *stress = getenv("WEFT_STRESS");
    unsigned long every;

    has_fsgsbase = (getauxval(AT_HWCAP2) & HWCAP2_HAS_FSGSBASE) != 0;
    if (stress != NULL && strncmp(stress, "move=", 5) == 0) {
        every = strtoul(stress + 5, NULL, 10);
        faaslet_stress(every < UINT32_MAX ? (unsigned)every : UINT32_MAX);
    }
    process_err = -pthread_key_create(&thread_end, fini_thread);
    if (process_err == 0)
        process_err = install_handlers();
}

static int
set_alternate_stack(void)
{
    stack_t stack = {.ss_size = ALTERNATE_BYTES}, previous;
    int err;

    ASSERT(getauxval(AT_MINSIGSTKSZ) < ALTERNATE_BYTES / 2);
    stack.ss_sp = mmap(NULL, ALTERNATE_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack.ss_sp == MAP_FAILED)
        return -ENOMEM;
    if (sigaltstack(&stack, &previous) != 0) {
        err = -errno;
        (void)munmap(stack.ss_sp, ALTERNATE_BYTES);
        return err;
    }
    here.alternate_stack = stack.ss_sp;
    here.previous_stack = (previous.ss_flags & SS_DISABLE) != 0 ? NULL : previous.ss_sp;
    here.previous_bytes = previous.ss_size;
    here.previous_flags = previous.ss_flags;
    return 0;
}

static int
create_timer(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = INTERRUPT_SIGNAL};
    sigset_t set;

    here.tid = gettid();
    event._sigev_un._tid = here.tid;
    if (timer_create(CLOCK_MONOTONIC, &event, &here.timer) != 0)
        return -errno;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, INTERRUPT_SIGNAL);
    return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int
faaslet_thread_init(void)
{
    int err;

    if (here.is_ready)
        return 0;
    (void)pthread_once(&process_once, init_process);
    if (process_err != 0)
        return process_err;
    err = fault_point("faaslet.thread");
    if (err == 0)
        err = create_timer();
    if (err != 0)
        return err;
    err = set_alternate_stack();
    if (err != 0) {
        (void)timer_delete(here.timer);
        return err;
    }
    here.is_ready = true;
    (void)pthread_setspecific(thread_end, &here);
    return 0;
}
