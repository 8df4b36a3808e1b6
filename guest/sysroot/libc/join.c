/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting for the end of a thread, and doing without.
 */
#include <threads.h>

#include "weft_threads.h"

static int
join(struct pthread *thread, void **result, const struct timespec *at)
{
    volatile int *gone = weft_gone_word(thread);
    int cancel, err = 0;

    if (thread == __pthread_self())
        return EDEADLK;
    if (thread->detach_state >= DT_DETACHED)
        return EINVAL;
    __pthread_testcancel();
    __pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    if (cancel == PTHREAD_CANCEL_ENABLE)
        __pthread_setcancelstate(cancel, NULL);
    while (!*gone && err != ETIMEDOUT && err != EINVAL)
        err = __timedwait_cp(gone, 0, CLOCK_REALTIME, at, 1);
    __pthread_setcancelstate(cancel, NULL);
    if (!*gone)
        return err;
    if (result != NULL)
        *result = thread->result;
    weft_block_free(thread->block);
    return 0;
}

int
__pthread_join(pthread_t thread, void **result)
{
    return join(thread, result, NULL);
}

int
pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *at)
{
    return join(thread, result, at);
}

int
pthread_tryjoin_np(pthread_t thread, void **result)
{
    return *weft_gone_word(thread) ? join(thread, result, NULL) : EBUSY;
}

/* One that is over already is joined: nobody else may. */
int
__pthread_detach(pthread_t thread)
{
    if (a_cas(&thread->detach_state, DT_JOINABLE, DT_DETACHED) != DT_JOINABLE)
        return join(thread, NULL, NULL);
    return 0;
}
weak_alias(__pthread_join, pthread_join);
weak_alias(__pthread_detach, pthread_detach);
weak_alias(__pthread_detach, thrd_detach);
