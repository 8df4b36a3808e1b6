/* SPDX-License-Identifier: Apache-2.0
 *
 * Many threads: a thousand alive at one time, also without a join, and what each has of its own
 * while all use the same libc: errno, thread-local variables, stacks; malloc and stdio.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define MANY    1000
#define THREADS 6
#define ROUNDS  2000

/* ---------------------------------------------------------------------- a thousand */

static pthread_barrier_t barrier;
static atomic_int alive, sum;
static _Thread_local int own = 7, zero;
static _Thread_local char *own_text = NULL;

static void *
live(void *argument)
{
    char text[32];

    CHECK(own == 7 && zero == 0 && own_text == NULL);
    own = zero = NUMBER(argument);
    (void)snprintf(text, sizeof(text), "thread %d", own);
    own_text = text;
    alive++;
    (void)pthread_barrier_wait(&barrier); /* all live */
    CHECK(alive == MANY);
    (void)pthread_barrier_wait(&barrier);
    CHECK(own == NUMBER(argument) && zero == own && atoi(own_text + 7) == own);
    sum += own;
    return ARGUMENT(own);
}

static void
test_a_thousand(void)
{
    static pthread_t threads[MANY];
    pthread_attr_t attr;

    CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 16384) == 0);
    CHECK(pthread_barrier_init(&barrier, NULL, MANY + 1) == 0);
    for (int round = 0; round < 2; round++) { /* the second time with the first one's stacks */
        alive = sum = 0;
        for (int i = 0; i < MANY; i++)
            CHECK(pthread_create(&threads[i], &attr, live, ARGUMENT(i)) == 0);
        (void)pthread_barrier_wait(&barrier);
        CHECK(alive == MANY);
        (void)pthread_barrier_wait(&barrier);
        for (int i = 0; i < MANY; i++)
            CHECK(join_thread(threads[i]) == i);
        CHECK(sum == MANY * (MANY - 1) / 2 && own == 7);
    }
}

/* They run before anyone joins: some never are. Each passes on what it was given. */
static sem_t relays[THREADS + 1];

static void *
relay(void *argument)
{
    for (int i = 0; i < 100; i++) {
        CHECK(sem_wait(&relays[NUMBER(argument)]) == 0);
        CHECK(sem_post(&relays[NUMBER(argument) + 1]) == 0);
    }
    return NULL;
}

static void
test_without_a_join(void)
{
    for (int i = 0; i <= THREADS; i++)
        CHECK(sem_init(&relays[i], 0, 0) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_detach(begin_thread(relay, ARGUMENT(i))) == 0);
    for (int i = 0; i < 100; i++) {
        CHECK(sem_post(&relays[0]) == 0);
        CHECK(sem_wait(&relays[THREADS]) == 0);
    }
}

/* Each makes the next, and joins it. */
static void *
nest(void *argument)
{
    if (NUMBER(argument) == 0)
        return NULL;
    return ARGUMENT(1 + join_thread(begin_thread(nest, ARGUMENT(NUMBER(argument) - 1))));
}

/* -------------------------------------------------------------------- all use one libc */

static void *
err_alone(void *argument)
{
    static const int errors[] = {ERANGE, EBADF, EINVAL};
    int kind = NUMBER(argument) % 3;
    struct timespec time = {.tv_nsec = -1};

    for (int i = 0; i < ROUNDS; i++) {
        if (kind == 0)
            CHECK(strtol("99999999999999", NULL, 10) == LONG_MAX);
        else if (kind == 1)
            CHECK(close(1000) == -1);
        else
            CHECK(nanosleep(&time, NULL) == -1);
        CHECK(errno == errors[kind]);
        errno = 1000 + NUMBER(argument);
        (void)sched_yield();
        CHECK(errno == 1000 + NUMBER(argument));
    }
    return NULL;
}

static char *shared_blocks[64];

static void *
allocate(void *argument)
{
    unsigned seed = (unsigned)NUMBER(argument) + 1;

    for (int i = 0; i < ROUNDS; i++) {
        size_t bytes = 8 + (size_t)rand_r(&seed) % 3000;
        char *block = i % 2 ? malloc(bytes) : calloc(bytes, 1), *other;

        CHECK(block != NULL && (i % 2 || block[bytes - 1] == 0));
        (void)memset(block, 'a' + NUMBER(argument), bytes);
        block = realloc(block, bytes + 500);
        CHECK(block != NULL && block[0] == 'a' + NUMBER(argument) && block[bytes - 1] == block[0]);
        block[1] = '\0';
        /* what one allocates another frees */
        other = __atomic_exchange_n(&shared_blocks[rand_r(&seed) % 64], block, __ATOMIC_SEQ_CST);
        CHECK(other == NULL || (other[0] >= 'a' && other[0] < 'a' + THREADS && other[1] == '\0'));
        free(other);
    }
    return NULL;
}

static void *
print(void *argument)
{
    for (int i = 0; i < 200; i++)
        (void)fprintf(stderr, "<%d %d of %s>\n", NUMBER(argument), i, "several words");
    flockfile(stderr);
    for (int i = 0; i < 10; i++)
        (void)putc_unlocked('0' + NUMBER(argument), stderr);
    (void)putc_unlocked('\n', stderr);
    funlockfile(stderr);
    return NULL;
}

static void
all(void *(*run)(void *))
{
    (void)run_threads(run, THREADS);
}

static void
test_one_libc(void)
{
    all(err_alone);
    all(allocate);
    for (int i = 0; i < 64; i++)
        free(shared_blocks[i]);
    (void)setvbuf(stderr, NULL, _IOLBF, 512);
    all(print);
}

int
main(void)
{
    test_a_thousand();
    test_without_a_join();
    CHECK(join_thread(begin_thread(nest, ARGUMENT(30))) == 30);
    test_one_libc();
    return finish();
}
