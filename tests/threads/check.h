/* SPDX-License-Identifier: Apache-2.0
 *
 * For the guests of tests/threads: what does not hold is printed and counted, by any thread; a
 * program closes with finish(), which says "ok" where all held.
 */
#ifndef CHECK_H
#define CHECK_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#define ARGUMENT(number) ((void *)(intptr_t)(number))
#define NUMBER(pointer)  ((int)(intptr_t)(pointer))

static int check_failed;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            if (__atomic_fetch_add(&check_failed, 1, __ATOMIC_SEQ_CST) < 20) \
                (void)printf("%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
        } \
    } while (0)

static inline int
finish(void)
{
    int failed = __atomic_load_n(&check_failed, __ATOMIC_SEQ_CST);

    (void)puts(failed == 0 ? "ok" : "failed");
    return failed != 0;
}

static inline pthread_t
begin_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, run, argument) == 0);
    return thread;
}

static inline int
join_thread(pthread_t thread)
{
    void *result = NULL;

    CHECK(pthread_join(thread, &result) == 0);
    return NUMBER(result);
}

#define THREADS_MAX 16

/* run(number) in so many threads (THREADS_MAX at most), to their end. How many said other than 0.
 */
static inline int
run_threads(void *(*run)(void *), int count)
{
    pthread_t threads[THREADS_MAX];
    int others = 0;

    CHECK(count <= THREADS_MAX);
    for (int i = 0; i < count; i++)
        threads[i] = begin_thread(run, ARGUMENT(i));
    for (int i = 0; i < count; i++)
        others += join_thread(threads[i]) != 0;
    return others;
}

#endif
