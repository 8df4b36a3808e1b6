/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads of a guest, between the files that make them.
 */
#ifndef WEFT_SYSROOT_THREADS_H
#define WEFT_SYSROOT_THREADS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "pthread_impl.h"

/* What pthread_create takes for one thread, in one piece:
 *
 *      canary, stack, growing downwards | block | thread-local variables
 *
 * A stack that is too small overwrites what lies before the piece, but nothing by which its thread
 * ends, which notices it. start.S knows the first three. */
struct weft_block {
    void *stack;       /* its top */
    void *tls;         /* where the thread-local variables begin */
    volatile int gone; /* set last, when nothing of the piece is in use by the thread */
    struct weft_block *next_dead;
    void *piece;      /* where it begins; to be freed */
    uint32_t *canary; /* below the stack; overwritten: the stack was too small */
    void *(*entry)(void *);
    void *argument;
    int is_c11; /* entry returns int */
    struct pthread thread;
    void *keys[PTHREAD_KEYS_MAX];
};

#define WEFT_CANARY 0x57656674u

extern volatile char __weft_threaded;
extern hidden volatile int __weft_ends; /* threads that are over */
hidden int __weft_thread_number(void);
hidden void __weft_first_thread(void);
hidden long __weft_cancel(void);
_Noreturn hidden void __weft_throw_exit(void); /* unwinds to wasi_thread_start */
hidden int __weft_poll_sleep(clockid_t, int, const struct timespec *, struct timespec *);

/* NULL: of a thread that the host started. */
static inline void
weft_block_free(struct weft_block *block)
{
    if (block != NULL)
        free(block->piece);
}

/* The word that is not 0 when a thread is over. */
static inline volatile int *
weft_gone_word(struct pthread *thread)
{
    struct weft_block *block = thread->block;

    return block != NULL ? &block->gone : &thread->timer_id;
}

#endif
