/* SPDX-License-Identifier: Apache-2.0
 *
 * Cancellation, deferred: it takes place where a thread waits for another one or for time
 * (conditions, semaphores, pthread_join, sleeping), and in pthread_testcancel. A thread that
 * computes or waits in a call of the host is not interrupted.
 */
#include "weft_threads.h"

#define RETRY_NS 1000000

long
__weft_cancel(void)
{
    struct pthread *self = __pthread_self();

    if (self->canceldisable == PTHREAD_CANCEL_ENABLE)
        pthread_exit(PTHREAD_CANCELED);
    self->canceldisable = PTHREAD_CANCEL_DISABLE; /* who waits cleans up first */
    return -ECANCELED;
}

void
__testcancel(void)
{
    struct pthread *self = __pthread_self();

    if (self->cancel && self->canceldisable == PTHREAD_CANCEL_ENABLE)
        (void)__weft_cancel();
}

/* It may be about to wait: woken until it does not wait there any more. */
static void
wake(struct pthread *thread)
{
    volatile int *word;

    while ((word = thread->waits_at) != NULL) {
        __wake(word, -1, 1);
        (void)__builtin_wasm_memory_atomic_wait32((int *)(uintptr_t)&thread->waits_at,
                                                  (int)(uintptr_t)word, RETRY_NS);
    }
}

int
pthread_cancel(pthread_t thread)
{
    a_store(&thread->cancel, 1);
    if (thread != __pthread_self())
        wake(thread);
    else if (thread->canceldisable == PTHREAD_CANCEL_ENABLE && thread->cancelasync)
        pthread_exit(PTHREAD_CANCELED);
    return 0;
}
