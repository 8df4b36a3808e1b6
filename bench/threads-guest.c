/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads as a program meets them; the same source for the host and for a Faaslet. One line each:
 * a name and nanoseconds.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CREATED 2000
#define PONGS   20000
#define LOCKS   5000000
#define GROUP   64

static uint64_t
now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
tell(const char *name, uint64_t begin_ns, unsigned count)
{
    (void)printf("%s %.2f\n", name, (double)(now_ns() - begin_ns) / count);
}

static void
create(pthread_t *thread, void *(*run)(void *))
{
    if (pthread_create(thread, NULL, run, NULL) != 0)
        exit(EXIT_FAILURE);
}

/* ------------------------------------------------------------------------ as the system has it */

#ifdef __wasm__
static void
wait_for_change(atomic_int *at, int value)
{
    (void)__builtin_wasm_memory_atomic_wait32((int *)at, value, -1);
}

static void
wake(atomic_int *at)
{
    (void)__builtin_wasm_memory_atomic_notify((int *)at, 1);
}
#else
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
wait_for_change(atomic_int *at, int value)
{
    (void)syscall(SYS_futex, at, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void
wake(atomic_int *at)
{
    (void)syscall(SYS_futex, at, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
#endif

static atomic_int turn;

static void
take_turns(int mine)
{
    for (unsigned i = 0; i < PONGS; i++) {
        while (atomic_load(&turn) != mine)
            wait_for_change(&turn, 1 - mine);
        atomic_store(&turn, 1 - mine);
        wake(&turn);
    }
}

/* ------------------------------------------------------------------------------- measured */

static void *
nothing(void *argument)
{
    return argument;
}

static void *
second(void *argument)
{
    take_turns(1);
    return argument;
}

static void
measure_create(void)
{
    uint64_t begin_ns = now_ns();
    pthread_t threads[GROUP];

    for (unsigned i = 0; i < CREATED; i++) {
        create(&threads[0], nothing);
        (void)pthread_join(threads[0], NULL);
    }
    tell("create+join", begin_ns, CREATED);
    begin_ns = now_ns();
    for (unsigned i = 0; i < CREATED; i += GROUP / 2) {
        for (unsigned j = 0; j < GROUP / 2; j++)
            create(&threads[j], nothing);
        for (unsigned j = 0; j < GROUP / 2; j++)
            (void)pthread_join(threads[j], NULL);
    }
    tell("create+join-32", begin_ns, CREATED);
}

static void
measure_futex(void)
{
    uint64_t begin_ns = now_ns();
    pthread_t thread;

    create(&thread, second);
    take_turns(0);
    (void)pthread_join(thread, NULL);
    tell("futex-wake", begin_ns, 2 * PONGS);
}

static void
measure_mutex(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    uint64_t begin_ns = now_ns();

    for (unsigned i = 0; i < LOCKS; i++) {
        (void)pthread_mutex_lock(&mutex);
        (void)pthread_mutex_unlock(&mutex);
    }
    tell("mutex", begin_ns, LOCKS);
}

int
main(void)
{
    pthread_t thread;

    create(&thread, nothing); /* the host's libc takes short cuts before its first thread */
    (void)pthread_join(thread, NULL);
    measure_mutex();
    measure_create();
    measure_futex();
    return 0;
}
