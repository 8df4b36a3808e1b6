/* SPDX-License-Identifier: Apache-2.0
 *
 * Read-write locks, barriers, semaphores, spin locks and once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "check.h"

#define THREADS 6
#define ROUNDS  1000

static struct timespec
now(void)
{
    struct timespec time;

    CHECK(clock_gettime(CLOCK_REALTIME, &time) == 0);
    return time;
}

static void
all(void *(*run)(void *))
{
    CHECK(run_threads(run, THREADS) == 0);
}

/* -------------------------------------------------------------------- read-write locks */

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static atomic_int readers, writers;
static int values[2], written;

static void *
read_and_write(void *argument)
{
    for (int i = NUMBER(argument); i < ROUNDS; i++) {
        if (i % 10 == 0) {
            CHECK(pthread_rwlock_wrlock(&rwlock) == 0);
            CHECK(++writers == 1 && readers == 0);
            values[0]++;
            written++;
            values[1]++;
            writers--;
        } else {
            CHECK(pthread_rwlock_rdlock(&rwlock) == 0);
            readers++;
            CHECK(writers == 0 && values[0] == values[1]);
            readers--;
        }
        CHECK(pthread_rwlock_unlock(&rwlock) == 0);
    }
    return NULL;
}

static void *
try_write(void *argument)
{
    struct timespec time = now();
    int err;

    (void)argument;
    CHECK(pthread_rwlock_trywrlock(&rwlock) == EBUSY);
    err = pthread_rwlock_timedwrlock(&rwlock, &time);
    return ARGUMENT(err);
}

static void *
try_read(void *argument)
{
    struct timespec time = now();

    (void)argument;
    if (pthread_rwlock_tryrdlock(&rwlock) == 0)
        return ARGUMENT(pthread_rwlock_unlock(&rwlock));
    return ARGUMENT(pthread_rwlock_timedrdlock(&rwlock, &time));
}

static void
test_rwlock(void)
{
    all(read_and_write);
    CHECK(written == (ROUNDS / 10 * THREADS) - (THREADS - 1));
    CHECK(pthread_rwlock_rdlock(&rwlock) == 0 && pthread_rwlock_rdlock(&rwlock) == 0);
    CHECK(join_thread(begin_thread(try_write, NULL)) == ETIMEDOUT);
    CHECK(join_thread(begin_thread(try_read, NULL)) == 0);
    CHECK(pthread_rwlock_unlock(&rwlock) == 0 && pthread_rwlock_unlock(&rwlock) == 0);
    CHECK(pthread_rwlock_wrlock(&rwlock) == 0);
    CHECK(join_thread(begin_thread(try_write, NULL)) == ETIMEDOUT);
    CHECK(join_thread(begin_thread(try_read, NULL)) == ETIMEDOUT);
    CHECK(pthread_rwlock_unlock(&rwlock) == 0);
}

/* ------------------------------------------------------------------------------ barriers */

static pthread_barrier_t barrier;
static atomic_int serials, arrived[ROUNDS];

static void *
pass_barriers(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        int result;

        arrived[i]++;
        result = pthread_barrier_wait(&barrier);
        CHECK(arrived[i] == THREADS);
        if (result == PTHREAD_BARRIER_SERIAL_THREAD)
            serials++;
        else
            CHECK(result == 0);
    }
    (void)argument;
    return NULL;
}

static void
test_barrier(void)
{
    CHECK(pthread_barrier_init(&barrier, NULL, 0) == EINVAL);
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    all(pass_barriers);
    CHECK(serials == ROUNDS);
    CHECK(pthread_barrier_destroy(&barrier) == 0);
}

/* ---------------------------------------------------------------------------- semaphores */

static sem_t few, ping, pong;
static atomic_int inside, most;

static void *
share_three(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        int count;

        CHECK(sem_wait(&few) == 0);
        count = ++inside;
        CHECK(count <= 3);
        if (count > most)
            most = count;
        inside--;
        CHECK(sem_post(&few) == 0);
    }
    (void)argument;
    return NULL;
}

static void *
answer(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(sem_wait(&ping) == 0);
        CHECK(sem_post(&pong) == 0);
    }
    return argument;
}

static void
test_semaphores(void)
{
    struct timespec past = now();
    pthread_t thread;
    int value = -1;

    CHECK(sem_init(&few, 0, 3) == 0 && sem_init(&ping, 0, 0) == 0 && sem_init(&pong, 0, 0) == 0);
    all(share_three);
    CHECK(inside == 0 && most >= 1);
    CHECK(sem_getvalue(&few, &value) == 0 && value == 3);
    thread = begin_thread(answer, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(sem_post(&ping) == 0);
        CHECK(sem_wait(&pong) == 0);
    }
    (void)join_thread(thread);
    CHECK(sem_trywait(&ping) == -1 && errno == EAGAIN);
    CHECK(sem_timedwait(&ping, &past) == -1 && errno == ETIMEDOUT);
    CHECK(sem_destroy(&few) == 0);
}

/* ----------------------------------------------------------------- spin locks and once */

static pthread_spinlock_t spin;
static int spun;

static void *
lock_spinning(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(pthread_spin_lock(&spin) == 0);
        spun++;
        CHECK(pthread_spin_unlock(&spin) == 0);
    }
    (void)argument;
    return NULL;
}

static pthread_once_t onces[ROUNDS];
static atomic_int called;

static void
call(void)
{
    called++;
}

static void *
call_once_each(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(pthread_once(&onces[i], call) == 0);
        CHECK(called > i);
    }
    (void)argument;
    return NULL;
}

static void
test_spin_and_once(void)
{
    CHECK(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE) == 0);
    all(lock_spinning);
    CHECK(spun == THREADS * ROUNDS);
    CHECK(pthread_spin_trylock(&spin) == 0 && pthread_spin_trylock(&spin) == EBUSY);
    CHECK(pthread_spin_unlock(&spin) == 0 && pthread_spin_destroy(&spin) == 0);
    all(call_once_each);
    CHECK(called == ROUNDS);
}

int
main(void)
{
    test_rwlock();
    test_barrier();
    test_semaphores();
    test_spin_and_once();
    return finish();
}
