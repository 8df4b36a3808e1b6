/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting and ending threads, over the import wasi.thread-spawn and the export
 * wasi_thread_start (start.S).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weft_threads.h"

#include "stdio_impl.h"

#define MAIN_STACK_DEFAULT (1u << 20) /* of weft cc */

__attribute__((import_module("wasi"), import_name("thread-spawn"))) int
weft_thread_spawn(struct weft_block *block);

/* Defined by weft cc -pthread at the link. */
extern char __this_program_needs_the_option_pthread[];
void __weft_link_start(void);

extern char __stack_low[] __attribute__((__weak__)), __stack_high[] __attribute__((__weak__));

static void
nothing(void)
{
}
weak_alias(nothing, __pthread_tsd_run_dtors);
weak_alias(nothing, __do_orphaned_stdio_locks);

static struct weft_block *dead; /* detached threads that are over; under __tl_lock */

/* ---------------------------------------------------------------------------- ending */

/* Robust mutexes that it still has: the next one to lock them is told. */
static void
let_go_of_mutexes(struct pthread *self)
{
    volatile void *volatile *place;

    while ((place = self->robust_list.head) != NULL && place != &self->robust_list.head) {
        pthread_mutex_t *mutex =
            (void *)((char *)(uintptr_t)place - offsetof(pthread_mutex_t, _m_next));
        int waiters = mutex->_m_waiters;

        self->robust_list.head = *place;
        if (a_swap(&mutex->_m_lock, 0x40000000) < 0 || waiters)
            __wake(&mutex->_m_lock, 1, 1);
    }
}

/* Its name is the first of the backtrace, whatever was overwritten. */
static _Noreturn __attribute__((noinline)) void
pthread_stack_was_too_small(void)
{
    static const char text[] = "pthread: a thread's stack was too small: give it more with "
                               "pthread_attr_setstacksize or -Wl,-z,stack-size=BYTES\n";
    volatile const char *now = text;

    if (now[0] == 'p' && now[sizeof(text) - 2] == '\n')
        (void)write(2, text, sizeof(text) - 1);
    __builtin_trap();
}

static void
check_stack(const struct weft_block *block)
{
    if (*(volatile uint32_t *)block->canary != WEFT_CANARY)
        pthread_stack_was_too_small();
}

static void
leave(struct weft_block *block)
{
    struct pthread *self = &block->thread;
    int state;

    __tl_lock();
    self->next->prev = self->prev;
    self->prev->next = self->next;
    self->prev = self->next = self;
    state = a_cas(&self->detach_state, DT_JOINABLE, DT_EXITING);
    if (state == DT_DETACHED) {
        block->next_dead = dead;
        dead = block;
    }
    /* Nothing after this takes a lock that may be skipped. */
    if (--libc.threads_minus_1 == 0)
        libc.need_locks = -1;
    a_inc(&__weft_ends);
    __tl_unlock();
    __wake(&__weft_ends, -1, 1);
}

/* The last of a thread but for the store and the wake of start.S, which need no stack. */
hidden void
__weft_thread_end(struct weft_block *block)
{
    check_stack(block);
    __pthread_tsd_run_dtors();
    let_go_of_mutexes(&block->thread);
    __do_orphaned_stdio_locks();
    leave(block);
}

/* -------------------------------------------------------------------------- starting */

hidden void
__weft_thread_run(struct weft_block *block)
{
    __weft_self = &block->thread;
    if (block->is_c11)
        block->thread.result =
            (void *)(intptr_t)((int (*)(void *))(void *)block->entry)(block->argument);
    else
        block->thread.result = block->entry(block->argument);
    block->thread.canceldisable = PTHREAD_CANCEL_DISABLE;
}

/* Takes what of the dead is gone out of their list. */
static struct weft_block *
take_gone(void)
{
    struct weft_block **place = &dead, *gone = NULL;

    __tl_lock();
    while (*place != NULL) {
        struct weft_block *block = *place;

        if (block->gone) {
            *place = block->next_dead;
            block->next_dead = gone;
            gone = block;
        } else {
            place = &block->next_dead;
        }
    }
    __tl_unlock();
    return gone;
}

static void
bury(void)
{
    struct weft_block *gone = dead != NULL ? take_gone() : NULL;

    while (gone != NULL) {
        struct weft_block *next = gone->next_dead;

        weft_block_free(gone);
        gone = next;
    }
}

static uintptr_t
round_up(uintptr_t value, uintptr_t to)
{
    return (value + to - 1) & -to;
}

static struct weft_block *
make_block(const pthread_attr_t *attr)
{
    size_t align = __builtin_wasm_tls_align(), bytes = attr->_a_stacksize, after, all;
    size_t own = attr->_a_stackaddr ? 0 : bytes; /* of the piece for the stack */
    struct weft_block *block;
    char *piece, *low;

    align = align < 16 ? 16 : align;
    after = sizeof(*block) + align + __builtin_wasm_tls_size() + 32;
    if (__builtin_add_overflow(after, own, &all))
        return NULL;
    piece = malloc(all);
    if (piece == NULL)
        return NULL;
    block = (void *)round_up((uintptr_t)piece + own, 16);
    memset(block, 0, sizeof(*block));
    block->piece = piece;
    block->tls = (void *)round_up((uintptr_t)(block + 1), align);
    low = attr->_a_stackaddr ? (char *)attr->_a_stackaddr - bytes : piece;
    low = (char *)round_up((uintptr_t)low, 16);
    block->canary = (uint32_t *)(void *)low;
    *block->canary = WEFT_CANARY;
    block->stack = attr->_a_stackaddr ? (void *)(attr->_a_stackaddr & -16ul) : (void *)block;
    block->thread = (struct pthread){
        .self = &block->thread,
        .tid = __weft_thread_number(),
        .detach_state = attr->_a_detach ? DT_DETACHED : DT_JOINABLE,
        .stack = block->stack,
        .stack_size = (size_t)((char *)block->stack - low),
        .tsd = block->keys,
        .locale = &libc.global_locale,
        .block = block,
        .signals_held = __pthread_self()->signals_held,
    };
    block->thread.robust_list.head = &block->thread.robust_list.head;
    return block;
}

/* In the list before it runs: it may be over before spawn returns. */
static int
start(struct weft_block *block)
{
    struct pthread *self = __pthread_self(), *thread = &block->thread;

    __tl_lock();
    if (libc.threads_minus_1++ == 0)
        libc.need_locks = 1;
    thread->next = self->next;
    thread->prev = self;
    thread->next->prev = thread;
    self->next = thread;
    if (weft_thread_spawn(block) > 0) {
        __tl_unlock();
        return 0;
    }
    thread->next->prev = thread->prev;
    thread->prev->next = thread->next;
    if (--libc.threads_minus_1 == 0)
        libc.need_locks = -1;
    __tl_unlock();
    return EAGAIN;
}

static void
begin(void)
{
    size_t main_bytes = (size_t)(__stack_high - __stack_low);

    if (libc.threaded)
        return;
    __weft_first_thread();
    if (main_bytes > MAIN_STACK_DEFAULT && main_bytes > __default_stacksize)
        __default_stacksize = (unsigned)main_bytes;
}

int
__pthread_create(pthread_t *restrict out, const pthread_attr_t *restrict given,
                 void *(*entry)(void *), void *restrict argument)
{
    bool is_c11 = given == __ATTRP_C11_THREAD;
    pthread_attr_t attr = {0};
    struct weft_block *block;
    int err;

    (void)*(volatile char *)__this_program_needs_the_option_pthread;
    __weft_link_start();
    begin();
    bury();
    if (given != NULL && !is_c11)
        attr = *given;
    if (attr._a_stacksize == 0)
        attr._a_stacksize = __default_stacksize;
    block = make_block(&attr);
    if (block == NULL)
        return EAGAIN;
    block->entry = entry;
    block->argument = argument;
    block->is_c11 = is_c11;
    *out = &block->thread; /* the thread may read it there */
    err = start(block);
    if (err != 0)
        weft_block_free(block);
    return err;
}
weak_alias(__pthread_create, pthread_create);
