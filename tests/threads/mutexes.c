/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutexes of every kind, and conditions.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "check.h"

#define THREADS 6
#define ROUNDS  2000

static struct timespec
soon(long nanoseconds)
{
    struct timespec time;

    CHECK(clock_gettime(CLOCK_REALTIME, &time) == 0);
    time.tv_nsec += nanoseconds;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

static void
make(pthread_mutex_t *mutex, int type, int robust)
{
    pthread_mutexattr_t attr;

    CHECK(pthread_mutexattr_init(&attr) == 0);
    CHECK(pthread_mutexattr_settype(&attr, type) == 0);
    CHECK(pthread_mutexattr_setrobust(&attr, robust) == 0);
    CHECK(pthread_mutex_init(mutex, &attr) == 0);
    CHECK(pthread_mutexattr_destroy(&attr) == 0);
}

/* ------------------------------------------------------------------------- every kind */

struct counted {
    pthread_mutex_t mutex;
    int count, is_inside;
};

static void *
count_up(void *argument)
{
    struct counted *counted = argument;

    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) {
            while (pthread_mutex_trylock(&counted->mutex) == EBUSY)
                (void)sched_yield();
        } else if (i % 3 == 1) {
            struct timespec far = soon(0);

            far.tv_sec += 600;
            CHECK(pthread_mutex_timedlock(&counted->mutex, &far) == 0);
        } else {
            CHECK(pthread_mutex_lock(&counted->mutex) == 0);
        }
        CHECK(counted->is_inside++ == 0);
        counted->count++;
        counted->is_inside--;
        CHECK(pthread_mutex_unlock(&counted->mutex) == 0);
    }
    return NULL;
}

static void
test_one_at_a_time(void)
{
    static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
                                PTHREAD_MUTEX_ERRORCHECK};

    for (int t = 0; t < 6; t++) {
        struct counted counted = {.count = 0};
        pthread_t threads[THREADS];

        make(&counted.mutex, types[t % 3], t < 3 ? PTHREAD_MUTEX_STALLED : PTHREAD_MUTEX_ROBUST);
        for (int i = 0; i < THREADS; i++)
            threads[i] = begin_thread(count_up, &counted);
        for (int i = 0; i < THREADS; i++)
            (void)join_thread(threads[i]);
        CHECK(counted.count == THREADS * ROUNDS);
        CHECK(pthread_mutex_destroy(&counted.mutex) == 0);
    }
}

static void *
try_lock(void *argument)
{
    int err = pthread_mutex_trylock(argument);

    return ARGUMENT(err == 0 ? pthread_mutex_unlock(argument) : err);
}

static void *
unlock(void *argument)
{
    return ARGUMENT(pthread_mutex_unlock(argument));
}

static void *
lock_late(void *argument)
{
    struct timespec past = soon(0), future = soon(1000000);

    CHECK(pthread_mutex_timedlock(argument, &past) == ETIMEDOUT);
    return ARGUMENT(pthread_mutex_timedlock(argument, &future));
}

static void
test_kinds(void)
{
    pthread_mutex_t normal = PTHREAD_MUTEX_INITIALIZER, recursive, errors;

    make(&recursive, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED);
    make(&errors, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED);
    CHECK(pthread_mutex_lock(&normal) == 0 && pthread_mutex_trylock(&normal) == EBUSY);
    CHECK(join_thread(begin_thread(try_lock, &normal)) == EBUSY);
    CHECK(join_thread(begin_thread(lock_late, &normal)) == ETIMEDOUT);
    CHECK(pthread_mutex_unlock(&normal) == 0);
    CHECK(join_thread(begin_thread(try_lock, &normal)) == 0);

    for (int i = 0; i < 5; i++)
        CHECK((i % 2 ? pthread_mutex_lock : pthread_mutex_trylock)(&recursive) == 0);
    CHECK(join_thread(begin_thread(unlock, &recursive)) == EPERM);
    for (int i = 0; i < 5; i++) {
        CHECK(join_thread(begin_thread(try_lock, &recursive)) == EBUSY);
        CHECK(pthread_mutex_unlock(&recursive) == 0);
    }
    CHECK(pthread_mutex_unlock(&recursive) == EPERM);
    CHECK(join_thread(begin_thread(try_lock, &recursive)) == 0);

    CHECK(pthread_mutex_unlock(&errors) == EPERM);
    CHECK(pthread_mutex_lock(&errors) == 0 && pthread_mutex_lock(&errors) == EDEADLK);
    CHECK(join_thread(begin_thread(unlock, &errors)) == EPERM);
    CHECK(join_thread(begin_thread(lock_late, &errors)) == ETIMEDOUT);
    CHECK(pthread_mutex_unlock(&errors) == 0);
}

static void *
lock_and_go(void *argument)
{
    return ARGUMENT(pthread_mutex_lock(argument));
}

static void
test_owner_died(void)
{
    pthread_mutex_t robust;

    make(&robust, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST);
    CHECK(join_thread(begin_thread(lock_and_go, &robust)) == 0);
    CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(&robust) == 0 && pthread_mutex_unlock(&robust) == 0);
    CHECK(join_thread(begin_thread(lock_and_go, &robust)) == 0);
    CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD && pthread_mutex_unlock(&robust) == 0);
    CHECK(pthread_mutex_lock(&robust) == ENOTRECOVERABLE);
}

/* ------------------------------------------------------------------------- conditions */

static struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty, not_full;
    int items[4], count, is_over, taken, sum;
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER,
           .not_empty = PTHREAD_COND_INITIALIZER,
           .not_full = PTHREAD_COND_INITIALIZER};

static void *
take(void *argument)
{
    (void)argument;
    CHECK(pthread_mutex_lock(&queue.mutex) == 0);
    for (;;) {
        while (queue.count == 0 && !queue.is_over)
            CHECK(pthread_cond_wait(&queue.not_empty, &queue.mutex) == 0);
        if (queue.count == 0)
            break;
        queue.sum += queue.items[--queue.count];
        queue.taken++;
        CHECK(pthread_cond_signal(&queue.not_full) == 0);
    }
    CHECK(pthread_mutex_unlock(&queue.mutex) == 0);
    return NULL;
}

static void *
give(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(pthread_mutex_lock(&queue.mutex) == 0);
        while (queue.count == 4)
            CHECK(pthread_cond_wait(&queue.not_full, &queue.mutex) == 0);
        queue.items[queue.count++] = NUMBER(argument);
        CHECK(pthread_cond_signal(&queue.not_empty) == 0);
        CHECK(pthread_mutex_unlock(&queue.mutex) == 0);
    }
    return NULL;
}

static void
test_queue(void)
{
    pthread_t takers[3], givers[3];

    for (int i = 0; i < 3; i++) {
        takers[i] = begin_thread(take, NULL);
        givers[i] = begin_thread(give, ARGUMENT(i + 1));
    }
    for (int i = 0; i < 3; i++)
        (void)join_thread(givers[i]);
    CHECK(pthread_mutex_lock(&queue.mutex) == 0);
    queue.is_over = 1;
    CHECK(pthread_cond_broadcast(&queue.not_empty) == 0);
    CHECK(pthread_mutex_unlock(&queue.mutex) == 0);
    for (int i = 0; i < 3; i++)
        (void)join_thread(takers[i]);
    CHECK(queue.taken == 3 * ROUNDS && queue.sum == 6 * ROUNDS);
}

/* All stand at one gate; a broadcast lets all of them through, again and again. */
static struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t opened, arrived;
    int waiting, generation;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .opened = PTHREAD_COND_INITIALIZER,
          .arrived = PTHREAD_COND_INITIALIZER};

static void *
pass_gates(void *argument)
{
    (void)pthread_mutex_lock(&gate.mutex);
    for (int i = 0; i < NUMBER(argument); i++) {
        int generation = gate.generation;

        gate.waiting++;
        (void)pthread_cond_signal(&gate.arrived);
        while (gate.generation == generation)
            CHECK(pthread_cond_wait(&gate.opened, &gate.mutex) == 0);
    }
    (void)pthread_mutex_unlock(&gate.mutex);
    return NULL;
}

static void
test_broadcast(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        threads[i] = begin_thread(pass_gates, ARGUMENT(50));
    (void)pthread_mutex_lock(&gate.mutex);
    for (int i = 0; i < 50; i++) {
        while (gate.waiting < THREADS)
            CHECK(pthread_cond_wait(&gate.arrived, &gate.mutex) == 0);
        gate.waiting = 0;
        gate.generation++;
        CHECK(pthread_cond_broadcast(&gate.opened) == 0);
    }
    (void)pthread_mutex_unlock(&gate.mutex);
    for (int i = 0; i < THREADS; i++)
        (void)join_thread(threads[i]);
}

static void
test_timed(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_condattr_t attr;
    pthread_cond_t never;
    struct timespec time;

    CHECK(pthread_condattr_init(&attr) == 0);
    for (int i = 0; i < 2; i++) {
        clockid_t clock = i == 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC;

        CHECK(pthread_condattr_setclock(&attr, clock) == 0);
        CHECK(pthread_cond_init(&never, &attr) == 0);
        CHECK(pthread_mutex_lock(&mutex) == 0);
        CHECK(clock_gettime(clock, &time) == 0);
        CHECK(pthread_cond_timedwait(&never, &mutex, &time) == ETIMEDOUT);
        time.tv_sec++;
        time.tv_nsec = 0; /* less than a second from then */
        CHECK(pthread_cond_timedwait(&never, &mutex, &time) == ETIMEDOUT);
        time.tv_nsec = 1000000000;
        CHECK(pthread_cond_timedwait(&never, &mutex, &time) == EINVAL);
        CHECK(join_thread(begin_thread(try_lock, &mutex)) == EBUSY);
        CHECK(pthread_mutex_unlock(&mutex) == 0);
        CHECK(pthread_cond_destroy(&never) == 0);
    }
}

int
main(void)
{
    test_one_at_a_time();
    test_kinds();
    test_owner_died();
    test_queue();
    test_broadcast();
    test_timed();
    return finish();
}
