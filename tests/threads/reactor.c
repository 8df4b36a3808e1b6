/* SPDX-License-Identifier: Apache-2.0
 *
 * A library whose constructor works with threads, before anything is called: they are over when
 * the constructor is. What it calls has threads of its own.
 */
#include <stdatomic.h>

#include "check.h"

#define THREADS 4

static atomic_int sum;

static void *
add(void *argument)
{
    sum += NUMBER(argument);
    return NULL;
}

static void
add_all(int number)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        threads[i] = begin_thread(add, ARGUMENT(number));
    for (int i = 0; i < THREADS; i++)
        (void)join_thread(threads[i]);
}

static __attribute__((constructor)) void
begin(void)
{
    add_all(10);
}

__attribute__((export_name("handle"))) int
handle(int number)
{
    add_all(number);
    return check_failed == 0 ? sum : -1;
}
