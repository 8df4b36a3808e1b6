/* SPDX-License-Identifier: Apache-2.0
 *
 * More threads than there are executors, and all but one compute without a host call, a wait or
 * a yield: they spin until another has done something, who must get his turn all the same.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"

#define THREADS 8
#define ROUNDS  20

static atomic_int turn, ready;
static volatile int plain; /* loads that are not even atomic */

/* Each waits for its turn, in a ring. */
static void *
spin_in_turn(void *argument)
{
    ready++;
    for (int i = 0; i < ROUNDS; i++) {
        while (atomic_load_explicit(&turn, memory_order_relaxed) % THREADS != NUMBER(argument))
            ;
        turn++;
    }
    return NULL;
}

static void *
spin_plainly(void *argument)
{
    long count = 0;

    ready++;
    while (plain == 0)
        count++;
    (void)argument;
    return ARGUMENT(count >= 0);
}

static void *
open_at_last(void *argument)
{
    while (ready < THREADS)
        ;
    plain = 1;
    return argument;
}

/* Nobody calls the host, but the first thread, which joins. */
int
main(void)
{
    pthread_t threads[THREADS + 1];

    for (int i = 0; i < THREADS; i++)
        threads[i] = begin_thread(spin_in_turn, ARGUMENT(i));
    for (int i = 0; i < THREADS; i++)
        (void)join_thread(threads[i]);
    CHECK(turn == THREADS * ROUNDS);
    ready = 0;
    for (int i = 0; i < THREADS; i++)
        threads[i] = begin_thread(spin_plainly, NULL);
    threads[THREADS] = begin_thread(open_at_last, NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK(join_thread(threads[i]) == 1);
    (void)join_thread(threads[THREADS]);
    return finish();
}
