/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that a constructor starts, before main: some are joined by it, one still waits when
 * main begins, one ends by itself.
 */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"

static sem_t go;
static atomic_int added, is_constructed;
static pthread_t waiter;
static _Thread_local int own = 3;

static void *
add(void *argument)
{
    CHECK(own == 3);
    own = added += NUMBER(argument);
    return NULL;
}

static void *
wait_for_main(void *argument)
{
    while (sem_wait(&go) != 0)
        ;
    CHECK(is_constructed == 1);
    return argument;
}

static __attribute__((constructor)) void
begin(void)
{
    pthread_t threads[5];

    CHECK(sem_init(&go, 0, 0) == 0);
    for (int i = 0; i < 5; i++)
        threads[i] = begin_thread(add, ARGUMENT(1));
    for (int i = 1; i < 5; i++)
        (void)join_thread(threads[i]);
    CHECK(pthread_detach(threads[0]) == 0);
    waiter = begin_thread(wait_for_main, ARGUMENT(44));
}

/* atexit and destructors see the threads' work, too. */
static __attribute__((destructor)) void
end(void)
{
    (void)puts(added == 15 ? "over" : "not over");
}

static void
start_at_exit(void)
{
    (void)join_thread(begin_thread(add, ARGUMENT(10)));
}

int
main(void)
{
    while (added < 5)
        ;
    is_constructed = 1;
    CHECK(atexit(start_at_exit) == 0);
    CHECK(sem_post(&go) == 0);
    CHECK(join_thread(waiter) == 44 && added == 5);
    return finish();
}
