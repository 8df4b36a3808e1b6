/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept at its snapshot point with threads of every kind, and gone on with in another process: some
 * wait for a condition, one holds a mutex and sleeps, one computes, one is over and not joined.
 */
#include <stdatomic.h>
#include <unistd.h>

#include <weft.h>

#include "check.h"

#define WAITING 4

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, held = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static atomic_int is_started, begun, holds;
static _Thread_local int own = 1;

static void *
wait_for_start(void *argument)
{
    own = NUMBER(argument);
    (void)pthread_mutex_lock(&mutex);
    begun++;
    while (!is_started)
        (void)pthread_cond_wait(&changed, &mutex);
    (void)pthread_mutex_unlock(&mutex);
    return ARGUMENT(own);
}

static void *
hold(void *argument)
{
    (void)pthread_mutex_lock(&held);
    holds = 1;
    while (!is_started)
        (void)usleep(1000);
    (void)pthread_mutex_unlock(&held);
    return argument;
}

/* The first Fibonacci numbers, modulo 2^32, until it is started; all in registers. */
static void *
compute(void *argument)
{
    unsigned a = 0, b = 1, count = 0;

    begun++;
    while (!atomic_load_explicit(&is_started, memory_order_relaxed)) {
        unsigned next = a + b;

        a = b;
        b = next;
        count++;
    }
    for (unsigned i = 0, x = 0, y = 1; i < count; i++) {
        unsigned next = x + y;

        x = y;
        y = next;
        if (i + 1 == count)
            CHECK(x == a && y == b);
    }
    return argument;
}

static void *
end(void *argument)
{
    begun++;
    return argument;
}

int
main(void)
{
    pthread_t threads[WAITING + 3];

    for (int i = 0; i < WAITING; i++)
        threads[i] = begin_thread(wait_for_start, ARGUMENT(i));
    threads[WAITING] = begin_thread(hold, ARGUMENT(WAITING));
    threads[WAITING + 1] = begin_thread(compute, ARGUMENT(WAITING + 1));
    threads[WAITING + 2] = begin_thread(end, ARGUMENT(WAITING + 2));
    while (begun < WAITING + 2 || holds == 0)
        (void)usleep(1000);
    own = 9;
    (void)weft_snapshot();
    (void)pthread_mutex_lock(&mutex);
    is_started = 1;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
    (void)pthread_mutex_lock(&held);
    for (int i = 0; i < WAITING + 3; i++)
        CHECK(join_thread(threads[i]) == i);
    CHECK(own == 9);
    return finish();
}
