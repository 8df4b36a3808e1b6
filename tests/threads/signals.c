/* SPDX-License-Identifier: Apache-2.0
 *
 * Signals that a thread holds back, and takes when it waits for them.
 */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* As a thread that is there for them. */
static void *
take_signals(void *argument)
{
    const sigset_t *set = argument;
    siginfo_t information = {0};
    int number = 0;

    CHECK(sigwait(set, &number) == 0 && number == SIGUSR1);
    CHECK(sigwaitinfo(set, &information) == SIGTERM && information.si_signo == SIGTERM);
    return NULL;
}

int
main(void)
{
    struct timespec short_time = {.tv_nsec = 1000000};
    pthread_t thread;
    sigset_t set, old;

    CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR1) == 0 && sigaddset(&set, SIGTERM) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0 && pthread_sigmask(0, NULL, &old) == 0);
    CHECK(sigismember(&old, SIGTERM) == 1 && sigismember(&old, SIGINT) == 0);
    CHECK(sigtimedwait(&set, NULL, &short_time) == -1 && errno == EAGAIN);
    thread = begin_thread(take_signals, &set); /* holds back what this one does */
    CHECK(pthread_kill(thread, SIGINT) == ENOTSUP);
    CHECK(pthread_kill(thread, SIGUSR1) == 0); /* before it waits, or then */
    (void)usleep(1000);
    CHECK(kill(getpid(), SIGTERM) == 0); /* whoever takes it */
    CHECK(join_thread(thread) == 0);
    CHECK(sigpending(&old) == 0 && sigismember(&old, SIGTERM) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
    return finish();
}
