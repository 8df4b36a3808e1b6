/* SPDX-License-Identifier: Apache-2.0
 *
 * Sleeping: where there are threads it can be cancelled.
 */
#include <time.h>

#include "weft_threads.h"

int
clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *remain)
{
    struct timespec at = *request;
    volatile int word = 0;
    int err;

    if (!libc.threaded)
        return __weft_poll_sleep(clock, flags, request, remain);
    if ((flags & ~TIMER_ABSTIME) != 0 || at.tv_sec < 0 || at.tv_nsec < 0 ||
        at.tv_nsec >= 1000000000)
        return EINVAL;
    if ((flags & TIMER_ABSTIME) == 0) {
        clock = CLOCK_MONOTONIC;
        if (clock_gettime(clock, &at) != 0)
            return EINVAL;
        if (__builtin_add_overflow(at.tv_sec, request->tv_sec, &at.tv_sec))
            return EINVAL;
        at.tv_nsec += request->tv_nsec;
        if (at.tv_nsec >= 1000000000) {
            at.tv_nsec -= 1000000000;
            at.tv_sec++;
        }
    }
    do
        err = __timedwait_cp(&word, 0, clock, &at, 1);
    while (err == 0);
    return err == ETIMEDOUT ? 0 : err;
}
weak_alias(clock_nanosleep, __clock_nanosleep);
