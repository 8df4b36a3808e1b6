/* SPDX-License-Identifier: Apache-2.0
 *
 * The one system call that musl's mutexes, conditions, semaphores, barriers and locks stand
 * on, with WebAssembly's wait and notify, and waiting that can be cancelled.
 */
#include <stdarg.h>
#include <time.h>

#include "weft_threads.h"

static long
no_cancel(void)
{
    return 0;
}
weak_alias(no_cancel, __weft_cancel); /* cancel.c, where pthread_cancel is linked */

/* Nobody can wake a process without threads. Its memory need not be shared, and waiting on
 * such memory traps: right for a wait without end, which is a deadlock. */
static long
wait_alone(volatile int *word, int value, const struct timespec *timeout)
{
    if (*word != value)
        return -EAGAIN;
    (void)__weft_poll_sleep(CLOCK_MONOTONIC, 0, timeout, NULL);
    return -ETIMEDOUT;
}

static long
wait(volatile int *word, int value, const struct timespec *timeout)
{
    long long nanoseconds = -1;

    if (timeout != NULL) {
        if (!libc.threaded)
            return wait_alone(word, value, timeout);
        nanoseconds = timeout->tv_sec > LLONG_MAX / 1000000000 - 1
                          ? LLONG_MAX
                          : timeout->tv_sec * 1000000000LL + timeout->tv_nsec;
    }
    switch (__builtin_wasm_memory_atomic_wait32((int *)word, value, nanoseconds)) {
    case 1:
        return -EAGAIN;
    case 2:
        return -ETIMEDOUT;
    default:
        return 0;
    }
}

/* Arguments as of Linux. A requeue is a wake: who is woken waits again by itself. */
long
__weft_futex(volatile void *word, int operation, ...)
{
    va_list arguments;
    long result = -ENOSYS;

    va_start(arguments, operation);
    switch (operation & ~FUTEX_PRIVATE) {
    case FUTEX_WAIT: {
        int value = va_arg(arguments, int);

        result = wait(word, value, va_arg(arguments, const struct timespec *));
        break;
    }
    case FUTEX_REQUEUE:
        (void)va_arg(arguments, int);
        /* fall through */
    case FUTEX_WAKE:
        result = __builtin_wasm_memory_atomic_notify((int *)word, (unsigned)va_arg(arguments, int));
        break;
    default:
        break;
    }
    va_end(arguments);
    return result;
}

/* From a point in time to what is left; ETIMEDOUT: nothing. */
static int
time_left(clockid_t clock, const struct timespec *at, struct timespec *left)
{
    struct timespec now;

    if (at->tv_nsec < 0 || at->tv_nsec >= 1000000000)
        return EINVAL;
    if (clock_gettime(clock, &now) != 0)
        return EINVAL;
    left->tv_sec = at->tv_sec - now.tv_sec;
    left->tv_nsec = at->tv_nsec - now.tv_nsec;
    if (left->tv_nsec < 0) {
        left->tv_sec--;
        left->tv_nsec += 1000000000;
    }
    return left->tv_sec < 0 ? ETIMEDOUT : 0;
}

int
__timedwait(volatile int *word, int value, clockid_t clock, const struct timespec *at, int priv)
{
    struct timespec left;
    int err = at != NULL ? time_left(clock, at, &left) : 0;

    (void)priv;
    if (err != 0)
        return err;
    return wait(word, value, at != NULL ? &left : NULL) == -ETIMEDOUT ? ETIMEDOUT : 0;
}

/* Says where it waits before it asks whether it is cancelled, while pthread_cancel says that
 * it is before it asks where it waits, and wakes it until it does not wait there any more. */
int
__timedwait_cp(volatile int *word, int value, clockid_t clock, const struct timespec *at, int priv)
{
    struct pthread *self = __pthread_self();
    int err = 0;

    if (self->canceldisable == PTHREAD_CANCEL_DISABLE)
        return __timedwait(word, value, clock, at, priv);
    self->waits_at = word;
    a_barrier();
    if (!self->cancel)
        err = __timedwait(word, value, clock, at, priv);
    self->waits_at = NULL;
    a_barrier();
    if (!self->cancel)
        return err;
    __wake(word, 1, 1); /* it may have been woken for what another waits for, too */
    return (int)-__weft_cancel();
}
