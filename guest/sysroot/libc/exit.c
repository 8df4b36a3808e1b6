/* SPDX-License-Identifier: Apache-2.0
 *
 * pthread_exit: from any depth. It throws what only the thread's start catches, so that
 * destructors of C++ run on the way. The first thread, which was not started by
 * pthread_create, waits for all others instead, and then the process ends.
 */
#include <stdlib.h>

#include "weft_threads.h"

static void
nothing(void)
{
}
weak_alias(nothing, __pthread_tsd_run_dtors);

/* Those that there are without this file do nothing: nobody would call what they keep. */
void
__do_cleanup_push(struct __ptcb *handler)
{
    struct pthread *self = __pthread_self();

    handler->__next = self->cancelbuf;
    self->cancelbuf = handler;
}

void
__do_cleanup_pop(struct __ptcb *handler)
{
    __pthread_self()->cancelbuf = handler->__next;
}

static void
run_handlers(struct pthread *self)
{
    while (self->cancelbuf != NULL) {
        struct __ptcb *handler = self->cancelbuf;

        self->cancelbuf = handler->__next;
        handler->__f(handler->__x);
    }
}

_Noreturn static void
wait_for_all(struct pthread *self)
{
    __pthread_tsd_run_dtors();
    a_store(weft_gone_word(self), 1);
    __wake(weft_gone_word(self), -1, 1);
    for (;;) {
        int ends = __weft_ends;

        if (libc.threads_minus_1 <= 0)
            exit(0);
        __futexwait(&__weft_ends, ends, 1);
    }
}

_Noreturn void
__pthread_exit(void *result)
{
    struct pthread *self = __pthread_self();

    self->canceldisable = PTHREAD_CANCEL_DISABLE;
    self->cancelasync = 0;
    self->result = result;
    run_handlers(self);
    if (self->block == NULL)
        wait_for_all(self);
    __weft_throw_exit();
}
weak_alias(__pthread_exit, pthread_exit);
