/* SPDX-License-Identifier: Apache-2.0
 *
 * Each thread's record. It is made at its first use where pthread_create did not make it:
 * for the main thread, and for threads that the host started itself.
 *
 * All records are in one ring, for keys that are deleted and for the end of the process;
 * its lock is __tl_lock, which the thread that has it may take again.
 */
#include <stdlib.h>

#include "pthread_impl.h"

_Thread_local struct pthread *__weft_self;

static struct pthread main_record;
static volatile int made; /* records, and so the last thread's number */
static volatile int list_waiters;
static int list_depth;
volatile int __thread_list_lock;

static void
lock_list(int tid)
{
    int owner;

    while ((owner = a_cas(&__thread_list_lock, 0, tid)))
        __wait(&__thread_list_lock, &list_waiters, owner, 1);
}

void
__tl_lock(void)
{
    int tid = __pthread_self()->tid;

    if (__thread_list_lock == tid)
        list_depth++;
    else
        lock_list(tid);
}

void
__tl_unlock(void)
{
    if (list_depth > 0) {
        list_depth--;
        return;
    }
    a_store(&__thread_list_lock, 0);
    if (list_waiters)
        __wake(&__thread_list_lock, 1, 1);
}

int
__weft_thread_number(void)
{
    return a_fetch_add(&made, 1) + 1;
}

struct pthread *
__weft_self_make(void)
{
    int tid = __weft_thread_number();
    struct pthread *self = &main_record;

    if (tid > 1) {
        self = calloc(1, sizeof(*self) + PTHREAD_KEYS_MAX * sizeof(void *));
        if (self == NULL)
            a_crash();
        self->tsd = (void **)(self + 1);
    }
    self->self = self;
    self->tid = tid;
    self->detach_state = DT_JOINABLE;
    self->robust_list.head = &self->robust_list.head;
    self->locale = &libc.global_locale;
    __weft_self = self;
    lock_list(tid);
    if (tid == 1) {
        self->next = self->prev = self;
    } else {
        self->next = &main_record;
        self->prev = main_record.prev;
        self->prev->next = self;
        main_record.prev = self;
    }
    a_store(&__thread_list_lock, 0);
    if (list_waiters)
        __wake(&__thread_list_lock, 1, 1);
    return self;
}

/* There are no signals and no mappings to guard against. */
void
__block_all_sigs(void *set)
{
    (void)set;
}

void
__block_app_sigs(void *set)
{
    (void)set;
}

void
__restore_sigs(void *set)
{
    (void)set;
}

void
__vm_lock(void)
{
}

void
__vm_unlock(void)
{
}

void
__vm_wait(void)
{
}
