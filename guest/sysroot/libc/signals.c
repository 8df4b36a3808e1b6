/* SPDX-License-Identifier: Apache-2.0
 *
 * The rest of signals: what a program sends to itself. A handler runs in the call that sends;
 * no thread is interrupted. What a thread holds back (blocks) waits for its sigwait, or until it
 * is held back no more; that is how a thread takes signals that others send. Only raise does not
 * ask what is held back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "weft_threads.h"

static struct sigaction actions[_NSIG];
static volatile unsigned long long sent; /* to the process, and held by who sent it */
static volatile int sends, takers;       /* of held signals; who waits for one, waits for more */

static void
call_with_information(int number)
{
    siginfo_t information = {.si_signo = number, .si_code = SI_USER};

    actions[number].sa_sigaction(number, &information, NULL);
}

int
sigaction(int number, const struct sigaction *restrict action, struct sigaction *restrict old)
{
    struct sigaction before;

    if (number <= 0 || number >= _NSIG ||
        (action != NULL && (number == SIGKILL || number == SIGSTOP))) {
        errno = EINVAL;
        return -1;
    }
    before = actions[number];
    if (action != NULL) {
        actions[number] = *action;
        (void)signal(number, (action->sa_flags & SA_SIGINFO) != 0 ? call_with_information
                                                                  : action->sa_handler);
    }
    if (old != NULL)
        *old = before;
    return 0;
}

static unsigned long long
bit_of(int number)
{
    return 1ull << (number - 1);
}

static unsigned long long
bits_of(const sigset_t *set)
{
    return (unsigned long long)set->__bits[1] << 32 | set->__bits[0];
}

static void
set_of(sigset_t *set, unsigned long long bits)
{
    memset(set, 0, sizeof(*set));
    set->__bits[0] = (unsigned long)bits;
    set->__bits[1] = (unsigned long)(bits >> 32);
}

/* Keeps a signal for who holds it back. The order: a taker counts itself, reads sends, looks. */
static void
keep(volatile unsigned long long *where, int number)
{
    (void)__atomic_fetch_or(where, bit_of(number), __ATOMIC_SEQ_CST);
    a_inc(&sends);
    if (takers)
        __wake(&sends, -1, 1);
}

int
kill(pid_t process, int number)
{
    if (number < 0 || number >= _NSIG) {
        errno = EINVAL;
        return -1;
    }
    if (process != 0 && process != getpid()) {
        errno = ESRCH;
        return -1;
    }
    if (number == 0)
        return 0;
    if ((__pthread_self()->signals_held & bit_of(number)) == 0)
        return raise(number);
    keep(&sent, number);
    return 0;
}

/* There is no interrupting another thread, so it gets what it holds back only. */
int
pthread_kill(pthread_t thread, int number)
{
    if (number < 0 || number >= _NSIG)
        return EINVAL;
    if (*weft_gone_word(thread))
        return ESRCH;
    if (number == 0)
        return 0;
    if ((thread->signals_held & bit_of(number)) != 0) {
        keep(&thread->signals_sent, number);
        return 0;
    }
    if (thread != __pthread_self())
        return ENOTSUP;
    return raise(number) == 0 ? 0 : EINVAL;
}

/* ---------------------------------------------------------------------------- held back */

/* Takes one of these signals; 0: none was sent. */
static int
take(volatile unsigned long long *from, unsigned long long bits)
{
    unsigned long long now = __atomic_load_n(from, __ATOMIC_SEQ_CST);

    while ((now & bits) != 0) {
        int number = __builtin_ctzll(now & bits) + 1;

        if (__atomic_compare_exchange_n(from, &now, now & ~bit_of(number), false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return number;
    }
    return 0;
}

static int
take_any(unsigned long long bits)
{
    int number = take(&__pthread_self()->signals_sent, bits);

    return number != 0 ? number : take(&sent, bits);
}

int
pthread_sigmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
    struct pthread *self = __pthread_self();
    unsigned long long held = self->signals_held;
    int number;

    if (set != NULL && how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK)
        return EINVAL;
    if (set != NULL) {
        unsigned long long bits = bits_of(set) & ~(bit_of(SIGKILL) | bit_of(SIGSTOP));

        self->signals_held = how == SIG_BLOCK     ? held | bits
                             : how == SIG_UNBLOCK ? held & ~bits
                                                  : bits;
    }
    if (old != NULL)
        set_of(old, held);
    while (set != NULL && (number = take_any(~self->signals_held)) != 0)
        (void)raise(number);
    return 0;
}

int
sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
    int err = pthread_sigmask(how, set, old);

    if (err != 0)
        errno = err;
    return err != 0 ? -1 : 0;
}

int
sigpending(sigset_t *set)
{
    set_of(set, __pthread_self()->signals_sent | sent);
    return 0;
}

static void
leave_takers(void *unused)
{
    (void)unused;
    a_dec(&takers);
}

/* The signal, or 0 at that time (NULL: never). */
static int
wait_for(unsigned long long bits, const struct timespec *at)
{
    int number, err = 0;

    a_inc(&takers);
    pthread_cleanup_push(leave_takers, NULL);
    for (;;) {
        int before = sends;

        number = take_any(bits);
        if (number != 0 || err == ETIMEDOUT)
            break;
        err = __timedwait_cp(&sends, before, CLOCK_MONOTONIC, at, 1);
    }
    pthread_cleanup_pop(1);
    return number;
}

int
sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict information,
             const struct timespec *restrict limit)
{
    struct timespec at;
    int number;

    if (limit != NULL) {
        if (limit->tv_nsec < 0 || limit->tv_nsec >= 1000000000) {
            errno = EINVAL;
            return -1;
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_sec += limit->tv_sec;
        at.tv_nsec += limit->tv_nsec;
        at.tv_sec += at.tv_nsec / 1000000000;
        at.tv_nsec %= 1000000000;
    }
    number = wait_for(bits_of(set), limit != NULL ? &at : NULL);
    if (number == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (information != NULL)
        *information = (siginfo_t){.si_signo = number, .si_code = SI_USER, .si_pid = getpid()};
    return number;
}

int
sigwaitinfo(const sigset_t *restrict set, siginfo_t *restrict information)
{
    return sigtimedwait(set, information, NULL);
}

int
sigwait(const sigset_t *restrict set, int *restrict number)
{
    *number = sigtimedwait(set, NULL, NULL);
    return 0;
}
