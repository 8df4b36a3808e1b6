/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads as the language has them since C11.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

#include "check.h"

#define THREADS 4
#define ROUNDS  500

static mtx_t plain, nested, timed;
static cnd_t changed;
static once_flag once = ONCE_FLAG_INIT;
static tss_t key;
static atomic_int called, destroyed;
static int guarded, is_open;
static thread_local int own = 5;

static void
call(void)
{
    called++;
}

static void
destroy(void *value)
{
    destroyed += *(int *)value;
    free(value);
}

static int
work(void *argument)
{
    int *mine = malloc(sizeof(*mine));

    CHECK(mine != NULL && own == 5);
    *mine = 1;
    own = NUMBER(argument);
    call_once(&once, call);
    CHECK(tss_get(key) == NULL && tss_set(key, mine) == thrd_success && tss_get(key) == mine);
    CHECK(mtx_lock(&plain) == thrd_success);
    while (!is_open)
        CHECK(cnd_wait(&changed, &plain) == thrd_success);
    CHECK(mtx_unlock(&plain) == thrd_success);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(mtx_lock(&nested) == thrd_success && mtx_lock(&nested) == thrd_success);
        guarded++;
        CHECK(mtx_unlock(&nested) == thrd_success && mtx_unlock(&nested) == thrd_success);
        thrd_yield();
    }
    CHECK(own == NUMBER(argument));
    if (own % 2 == 0)
        thrd_exit(10 * own);
    return 10 * own;
}

static int
lock_late(void *argument)
{
    struct timespec past;

    CHECK(timespec_get(&past, TIME_UTC) == TIME_UTC);
    CHECK(mtx_trylock(argument) == thrd_busy);
    CHECK(mtx_timedlock(argument, &past) == thrd_timedout);
    return 1;
}

static void
test_all(void)
{
    thrd_t threads[THREADS];
    int result, sum = 0;

    for (int i = 0; i < THREADS; i++)
        CHECK(thrd_create(&threads[i], work, ARGUMENT(i)) == thrd_success);
    CHECK(mtx_lock(&plain) == thrd_success);
    is_open = 1;
    CHECK(cnd_broadcast(&changed) == thrd_success);
    CHECK(mtx_unlock(&plain) == thrd_success);
    for (int i = 0; i < THREADS; i++) {
        CHECK(!thrd_equal(threads[i], thrd_current()));
        CHECK(thrd_join(threads[i], &result) == thrd_success && result == 10 * i);
        sum += result;
    }
    CHECK(sum == 60 && called == 1 && guarded == THREADS * ROUNDS && destroyed == THREADS);
    CHECK(own == 5);
}

static int
signal_one(void *argument)
{
    CHECK(mtx_lock(&plain) == thrd_success);
    is_open = 2;
    CHECK(cnd_signal(argument) == thrd_success && mtx_unlock(&plain) == thrd_success);
    return 0;
}

static void
test_timed_and_detached(void)
{
    struct timespec past = {.tv_sec = 1}, nap = {.tv_nsec = 1000000};
    thrd_t thread;
    int result = 0;

    CHECK(mtx_lock(&timed) == thrd_success);
    CHECK(thrd_create(&thread, lock_late, &timed) == thrd_success);
    CHECK(thrd_join(thread, &result) == thrd_success && result == 1);
    CHECK(mtx_unlock(&timed) == thrd_success);
    CHECK(mtx_lock(&plain) == thrd_success);
    CHECK(cnd_timedwait(&changed, &plain, &past) == thrd_timedout);
    CHECK(thrd_create(&thread, signal_one, &changed) == thrd_success);
    CHECK(thrd_detach(thread) == thrd_success);
    while (is_open != 2)
        CHECK(cnd_wait(&changed, &plain) == thrd_success);
    CHECK(mtx_unlock(&plain) == thrd_success);
    CHECK(thrd_sleep(&nap, NULL) == 0);
}

int
main(void)
{
    CHECK(mtx_init(&plain, mtx_plain) == thrd_success);
    CHECK(mtx_init(&nested, mtx_plain | mtx_recursive) == thrd_success);
    CHECK(mtx_init(&timed, mtx_timed) == thrd_success);
    CHECK(cnd_init(&changed) == thrd_success && tss_create(&key, destroy) == thrd_success);
    test_all();
    test_timed_and_detached();
    return finish();
}
