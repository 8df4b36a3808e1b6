/* SPDX-License-Identifier: Apache-2.0
 *
 * Members with several threads each: one receives, others send and compute. Over net.h alone,
 * under a lock, as a library would.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "net.h"

#define THREADS 3u

static uint32_t me, count, rounds;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint heard;

/* With the lock. */
static void
hear_all(void)
{
    uint32_t from, bytes, head;

    while (mpi_net_receive(&from, &head, sizeof(head), &bytes)) {
        mpi_net_take(NULL, 0);
        if (head != from)
            mpi_net_abort(1, "of somebody else");
        heard++;
    }
}

static void *
say(void *context)
{
    uint32_t thread = (uint32_t)(uintptr_t)context;

    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t to = (me + thread + i) % count;

        pthread_mutex_lock(&lock);
        while (!mpi_net_send(to, &me, sizeof(me), NULL, 0)) {
            hear_all();
            pthread_mutex_unlock(&lock);
            mpi_net_wait("room");
            pthread_mutex_lock(&lock);
        }
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    uint32_t wanted;

    rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000;
    (void)mpi_net_enter(&me, &count);
    rounds = rounds / count * count; /* so each hears as many as it says */
    wanted = rounds * THREADS;
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, say, (void *)i) != 0)
            mpi_net_abort(1, "no thread");
    for (;;) {
        pthread_mutex_lock(&lock);
        hear_all();
        pthread_mutex_unlock(&lock);
        if (heard == wanted)
            break;
        mpi_net_wait("a message");
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    mpi_net_leave();
    if (me == 0)
        printf("ok\n");
    return 0;
}
