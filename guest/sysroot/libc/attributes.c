/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be asked and said about a thread. There is one scheduling policy and one priority,
 * every thread may run on every processor, and nobody but the thread itself is sent a signal.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "weft_threads.h"

#define NAME_BYTES 16 /* as of Linux */

extern char __stack_low[] __attribute__((__weak__)), __stack_high[] __attribute__((__weak__));

int
pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
    char *top = thread->block != NULL ? thread->stack : __stack_high;

    *attr = (pthread_attr_t){0};
    attr->_a_detach = thread->detach_state >= DT_DETACHED;
    attr->_a_stackaddr = (uintptr_t)top;
    attr->_a_stacksize =
        thread->block != NULL ? thread->stack_size : (size_t)(__stack_high - __stack_low);
    return 0;
}

int
pthread_setname_np(pthread_t thread, const char *name)
{
    (void)thread;
    return strnlen(name, NAME_BYTES) == NAME_BYTES ? ERANGE : 0;
}

int
pthread_getschedparam(pthread_t thread, int *restrict policy, struct sched_param *restrict param)
{
    (void)thread;
    *policy = SCHED_OTHER;
    *param = (struct sched_param){0};
    return 0;
}

int
pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *param)
{
    (void)thread;
    if (policy != SCHED_OTHER)
        return ENOTSUP;
    return param->sched_priority == 0 ? 0 : EINVAL;
}

int
pthread_setschedprio(pthread_t thread, int priority)
{
    (void)thread;
    return priority == 0 ? 0 : EINVAL;
}

int
pthread_getaffinity_np(pthread_t thread, size_t bytes, struct cpu_set_t *set)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    (void)thread;
    memset(set, 0, bytes);
    for (long i = 0; i < count && (size_t)i / 8 < bytes; i++)
        ((unsigned char *)set)[i / 8] |= (unsigned char)(1u << i % 8);
    return 0;
}

int
pthread_setaffinity_np(pthread_t thread, size_t bytes, const struct cpu_set_t *set)
{
    (void)thread;
    (void)bytes;
    (void)set;
    return 0;
}

int
pthread_getcpuclockid(pthread_t thread, clockid_t *clock)
{
    if (thread != __pthread_self())
        return ENOENT;
    *clock = CLOCK_THREAD_CPUTIME_ID;
    return 0;
}

int
pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    (void)prepare;
    (void)parent;
    (void)child;
    return 0; /* nothing forks */
}

int
gettid(void)
{
    return __pthread_self()->tid;
}
