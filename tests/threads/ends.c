/* SPDX-License-Identifier: Apache-2.0
 *
 * How threads end: pthread_exit, cancellation, destructors of keys, detached ones, and the
 * process with its last; and what attributes say of a thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

/* ------------------------------------------------------------- ends before the end */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static atomic_int handled;
static sem_t semaphore;

static void
handle(void *argument)
{
    handled += NUMBER(argument);
}

static int
descend(int depth)
{
    if (depth == 0)
        pthread_exit(ARGUMENT(33));
    return descend(depth - 1) + 1;
}

static void *
exit_below(void *argument)
{
    int volatile sum = 0;

    pthread_cleanup_push(handle, argument);
    sum += descend(20);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *
wait_for_ever(void *argument)
{
    pthread_cleanup_push(handle, argument);
    if ((intptr_t)argument == 1)
        (void)sem_wait(&semaphore);
    else
        (void)sleep(1000);
    pthread_cleanup_pop(0);
    return NULL;
}

static void
unlock(void *argument)
{
    handled += 100;
    pthread_mutex_unlock(argument);
}

static void *
wait_with_mutex(void *argument)
{
    pthread_mutex_lock(argument);
    pthread_cleanup_push(unlock, argument);
    for (;;)
        (void)pthread_cond_wait(&condition, argument);
    pthread_cleanup_pop(1);
    return NULL;
}

static void
test_ends_before_the_end(void)
{
    pthread_t thread;
    void *result;

    CHECK(pthread_create(&thread, NULL, exit_below, ARGUMENT(5)) == 0);
    CHECK(pthread_join(thread, &result) == 0 && (intptr_t)result == 33 && handled == 5);
    CHECK(sem_init(&semaphore, 0, 0) == 0);
    for (int i = 0; i < 6; i++) {
        handled = 0;
        if (i % 3 == 0)
            thread = begin_thread(wait_with_mutex, &mutex);
        else
            thread = begin_thread(wait_for_ever, ARGUMENT(i % 3));
        if (i < 3)
            (void)usleep(20000); /* it waits already then, as a rule */
        CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
        CHECK(result == PTHREAD_CANCELED && handled == (i % 3 == 0 ? 100 : i % 3));
    }
    CHECK(pthread_mutex_trylock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
}

/* ------------------------------------------------------------------------ attributes */

static void *
post(void *argument)
{
    (void)argument;
    (void)sem_post(&semaphore);
    return NULL;
}

static void *
measure(void *argument)
{
    volatile char large[600000];
    pthread_attr_t attr;
    size_t bytes = 0;
    void *low;

    large[0] = 1;
    CHECK(pthread_getattr_np(pthread_self(), &attr) == 0);
    CHECK(pthread_attr_getstack(&attr, &low, &bytes) == 0);
    CHECK((const char *)low < (const char *)&large[0] &&
          (const char *)&large[0] < (const char *)low + bytes);
    *(size_t *)argument = bytes;
    return ARGUMENT(large[0]);
}

static sem_t go;

static void *
post_and_wait(void *argument)
{
    (void)argument;
    (void)sem_post(&semaphore);
    (void)sem_wait(&go);
    return NULL;
}

static void
test_attributes(void)
{
    int err, count = 0;
    struct timespec now;
    pthread_attr_t attr;
    pthread_t thread;
    size_t bytes = 0;

    CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 1 << 20) == 0);
    CHECK(pthread_create(&thread, &attr, measure, &bytes) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && bytes >= 1 << 20 && bytes < (1 << 20) + 4096);
    CHECK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0);
    for (int i = 0; i < 20; i++) {
        CHECK(pthread_create(&thread, &attr, post, NULL) == 0);
        CHECK(sem_wait(&semaphore) == 0);
    }
    CHECK(pthread_attr_setstacksize(&attr, 0xf0000000) == EINVAL);
    CHECK(pthread_attr_setstacksize(&attr, 0x3ff00000) == 0);
    for (err = 0; err == 0 && count < 8; count++)
        err = pthread_create(&thread, &attr, post_and_wait, NULL);
    CHECK(err == EAGAIN && count > 1);
    for (; count > 1; count--) {
        CHECK(sem_wait(&semaphore) == 0);
        CHECK(sem_post(&go) == 0);
    }
    CHECK(pthread_create(&thread, NULL, post, NULL) == 0 && pthread_detach(thread) == 0);
    CHECK(sem_wait(&semaphore) == 0);
    CHECK(pthread_join(pthread_self(), NULL) == EDEADLK);
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    CHECK(sem_timedwait(&semaphore, &now) == -1 && errno == ETIMEDOUT);
}

/* ------------------------------------------------------------------------------- keys */

static pthread_key_t first_key, second_key;
static atomic_int destroyed, rounds;

/* Sets itself again until it was called often enough: the values of a key may be so. */
static void
destroy_again(void *value)
{
    rounds++;
    CHECK(pthread_getspecific(first_key) == NULL);
    if (NUMBER(value) > 1)
        CHECK(pthread_setspecific(first_key, ARGUMENT(NUMBER(value) - 1)) == 0);
}

static void
destroy(void *value)
{
    destroyed += *(int *)value;
    free(value);
}

static void *
use_keys(void *argument)
{
    int *value = malloc(sizeof(*value));

    CHECK(value != NULL && pthread_getspecific(second_key) == NULL);
    *value = NUMBER(argument);
    CHECK(pthread_setspecific(first_key, ARGUMENT(3)) == 0);
    CHECK(pthread_setspecific(second_key, value) == 0);
    if (NUMBER(argument) % 2 == 0)
        pthread_exit(NULL);
    return NULL;
}

static void
test_keys(void)
{
    static pthread_key_t keys[PTHREAD_KEYS_MAX];
    pthread_t threads[8];
    int count = 0;

    CHECK(pthread_key_create(&first_key, destroy_again) == 0);
    CHECK(pthread_key_create(&second_key, destroy) == 0);
    for (int i = 0; i < 8; i++)
        threads[i] = begin_thread(use_keys, ARGUMENT(i));
    for (int i = 0; i < 8; i++)
        (void)join_thread(threads[i]);
    CHECK(destroyed == 28 && rounds == 24);
    CHECK(pthread_key_delete(first_key) == 0 && pthread_key_delete(second_key) == 0);
    while (count < PTHREAD_KEYS_MAX && pthread_key_create(&keys[count], NULL) == 0)
        count++;
    CHECK(count > 50 && count <= PTHREAD_KEYS_MAX);
    CHECK(count == PTHREAD_KEYS_MAX || pthread_key_create(&keys[0], NULL) == EAGAIN);
    while (count > 0)
        CHECK(pthread_key_delete(keys[--count]) == 0);
}

/* ----------------------------------------------------- more of what can be cancelled */

static sem_t begun, proceed;

static void *
cancel_at_points(void *argument)
{
    int old = -1;

    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old) == 0);
    CHECK(old == PTHREAD_CANCEL_ENABLE);
    (void)sem_post(&begun);
    while (sem_trywait(&proceed) != 0)
        (void)usleep(1000);
    pthread_testcancel(); /* it was cancelled, and does not care */
    handled = 1;
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old) == 0);
    CHECK(old == PTHREAD_CANCEL_DISABLE);
    pthread_testcancel();
    handled = 2;
    return argument;
}

static void *
wait_in_barrier_of_joins(void *argument)
{
    pthread_cleanup_push(handle, ARGUMENT(1));
    (void)pthread_join(*(pthread_t *)argument, NULL);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *
wait_for_proceed(void *argument)
{
    while (sem_wait(&proceed) != 0)
        ;
    return argument;
}

static void
test_cancellation(void)
{
    pthread_t thread, waiter;
    void *result = NULL;

    CHECK(sem_init(&begun, 0, 0) == 0 && sem_init(&proceed, 0, 0) == 0);
    thread = begin_thread(cancel_at_points, NULL);
    CHECK(sem_wait(&begun) == 0);
    CHECK(pthread_cancel(thread) == 0 && sem_post(&proceed) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED && handled == 1);
    handled = 0;
    thread = begin_thread(wait_for_proceed, NULL);
    waiter = begin_thread(wait_in_barrier_of_joins, &thread);
    CHECK(pthread_cancel(waiter) == 0);
    CHECK(pthread_join(waiter, &result) == 0 && result == PTHREAD_CANCELED && handled <= 1);
    CHECK(sem_post(&proceed) == 0 && join_thread(thread) == 0);
}

/* The process ends with its last thread. */
static void *
last(void *argument)
{
    pthread_t first = *(pthread_t *)argument;

    CHECK(pthread_join(first, NULL) == 0);
    exit(finish());
}

int
main(void)
{
    static pthread_t self;
    pthread_t thread;

    test_ends_before_the_end();
    test_attributes();
    test_keys();
    test_cancellation();
    self = pthread_self();
    if (pthread_create(&thread, NULL, last, &self) != 0)
        return 1;
    pthread_exit(NULL);
}
