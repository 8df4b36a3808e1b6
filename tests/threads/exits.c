/* SPDX-License-Identifier: Apache-2.0
 *
 * Ends of a process by its threads, and what it asks for that it may not have. The first
 * argument says which; others wait, compute and call the host meanwhile.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static sem_t never;
static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;
static volatile int sink;

static void *
wait_in_vain(void *argument)
{
    (void)sem_wait(&never);
    return argument;
}

static void *
compute(void *argument)
{
    for (;;)
        sink++;
    return argument;
}

static void *
sleep_long(void *argument)
{
    (void)sleep(1000);
    return argument;
}

static void
surround(void)
{
    (void)begin_thread(wait_in_vain, NULL);
    (void)begin_thread(compute, NULL);
    (void)begin_thread(sleep_long, NULL);
}

static __attribute__((noinline)) void
poke(volatile int *address)
{
    *address = 1;
}

static __attribute__((noinline)) int
divide(volatile int *by)
{
    return 100 / *by;
}

static __attribute__((noinline)) int
recurse(int depth)
{
    volatile char frame[4096];

    frame[depth % 4096] = (char)depth;
    return depth < 1 << 30 ? recurse(depth + 1) + frame[0] : 0;
}

static void *
do_wrong(void *argument)
{
    const char *what = argument;
    volatile int zero = 0;

    if (strcmp(what, "exit") == 0)
        exit(33);
    if (strcmp(what, "_exit") == 0)
        _exit(34);
    if (strcmp(what, "abort") == 0)
        abort();
    if (strcmp(what, "poke") == 0)
        poke((volatile int *)0xfffffff0);
    if (strcmp(what, "divide") == 0)
        sink = divide(&zero);
    if (strcmp(what, "recurse") == 0)
        sink = recurse(0);
    if (strcmp(what, "spin") == 0)
        return compute(argument);
    return NULL;
}

static void *
return_from_main(void *argument)
{
    (void)pthread_join(*(pthread_t *)argument, NULL);
    return NULL;
}

/* --------------------------------------------------------------------------- deadlocks */

static void *
lock_in_other_order(void *argument)
{
    (void)pthread_mutex_lock(&second);
    (void)pthread_barrier_wait(&both);
    (void)pthread_mutex_lock(&first);
    return argument;
}

static void
lock_each_others(void)
{
    pthread_t thread;

    (void)pthread_barrier_init(&both, NULL, 2);
    thread = begin_thread(lock_in_other_order, NULL);
    (void)pthread_mutex_lock(&first);
    (void)pthread_barrier_wait(&both);
    (void)pthread_mutex_lock(&second);
    (void)pthread_join(thread, NULL);
}

/* ------------------------------------------------------------------------------- limits */

static int
make_many(int count)
{
    int made = 0, err = 0;
    pthread_t thread;

    while (made < count && err == 0) {
        err = pthread_create(&thread, NULL, wait_in_vain, NULL);
        made += err == 0;
    }
    (void)printf("%d threads, then %s\n", made, err == EAGAIN ? "EAGAIN" : strerror(err));
    return err != 0;
}

/* Like a program that does not look: it joins what it never got. */
static int
make_many_carelessly(void)
{
    static pthread_t threads[10];

    for (int i = 0; i < 10; i++)
        if (pthread_create(&threads[i], NULL, wait_in_vain, NULL) != 0)
            abort();
    return 0;
}

/* As deep as said, in frames of 4 KiB. */
static __attribute__((noinline)) int
descend(int depth)
{
    volatile char frame[4000];

    for (unsigned i = 0; i < sizeof(frame); i++)
        frame[i] = (char)depth;
    return depth > 0 ? descend(depth - 1) + frame[0] : 0;
}

static void *
descend_some(void *argument)
{
    sink = descend(NUMBER(argument));
    return NULL;
}

static int
make_with_stack(size_t bytes, int depth)
{
    pthread_attr_t attr;
    pthread_t thread;
    int err;

    (void)pthread_attr_init(&attr);
    err = pthread_attr_setstacksize(&attr, bytes);
    if (err == 0)
        err = pthread_create(&thread, &attr, descend_some, ARGUMENT(depth));
    if (err == 0)
        err = pthread_join(thread, NULL);
    (void)printf("%s\n", err == 0 ? "ended" : err == EINVAL ? "EINVAL" : strerror(err));
    return err != 0;
}

/* Until a limit says no. */
static void *
take_memory(void *argument)
{
    for (int i = 0; i < 4096; i++) {
        char *volatile block = malloc(1 << 20);

        if (block == NULL) {
            (void)fprintf(stderr, "no memory\n");
            abort();
        }
        (void)memset(block, 1, 1 << 20);
    }
    return argument;
}

static int
run(const char *what, int number, int depth)
{
    if (strcmp(what, "many") == 0)
        return make_many(number);
    if (strcmp(what, "careless") == 0)
        return make_many_carelessly();
    if (strcmp(what, "stack") == 0)
        return make_with_stack((size_t)number, depth);
    if (strcmp(what, "deadlock") == 0)
        lock_each_others();
    else if (strcmp(what, "vain") == 0)
        return join_thread(begin_thread(wait_in_vain, NULL));
    else if (strcmp(what, "memory") == 0)
        return join_thread(begin_thread(take_memory, NULL));
    surround();
    if (strcmp(what, "return") == 0) {
        static pthread_t self;

        self = pthread_self();
        (void)begin_thread(return_from_main, &self);
        return 35;
    }
    return join_thread(begin_thread(do_wrong, (void *)(uintptr_t)what));
}

int
main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    (void)sem_init(&never, 0, 0);
    return run(argv[1], argc > 2 ? atoi(argv[2]) : 0, argc > 3 ? atoi(argv[3]) : 0);
}
