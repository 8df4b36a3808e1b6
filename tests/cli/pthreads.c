/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads as C has them: mutex, condition, barrier, semaphore, thread-locals, results.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS  10000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t over;
static int is_open;
static long total;
static _Thread_local intptr_t own;

static void *
work(void *argument)
{
    own = (intptr_t)argument;
    for (int i = 0; i < ROUNDS; i++) {
        (void)pthread_mutex_lock(&mutex);
        total++;
        (void)pthread_mutex_unlock(&mutex);
    }
    (void)pthread_barrier_wait(&barrier);
    (void)pthread_mutex_lock(&mutex);
    while (!is_open)
        (void)pthread_cond_wait(&changed, &mutex);
    (void)pthread_mutex_unlock(&mutex);
    (void)sem_post(&over);
    return (void *)own;
}

int
main(void)
{
    pthread_t threads[THREADS];
    intptr_t sum = 0;

    (void)pthread_barrier_init(&barrier, NULL, THREADS + 1);
    (void)sem_init(&over, 0, 0);
    for (intptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)) != 0) {
            (void)printf("no thread %d\n", (int)i + 1);
            return EXIT_FAILURE;
        }
    (void)pthread_barrier_wait(&barrier);
    (void)pthread_mutex_lock(&mutex);
    is_open = 1;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
    for (int i = 0; i < THREADS; i++)
        (void)sem_wait(&over);
    for (int i = 0; i < THREADS; i++) {
        void *result;

        (void)pthread_join(threads[i], &result);
        sum += (intptr_t)result;
    }
    (void)printf("total %ld, sum %d, processors %ld\n", total, (int)sum,
                 sysconf(_SC_NPROCESSORS_ONLN));
    return 0;
}
