/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cluster: workers that are started before the snapshot point wait there for
 * the input, whose first word says what they do.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

#define WORKERS 3

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char input[256];
static long count, sum; /* of the numbers below count that were taken; their sum */
static int has_input, finished;
static _Thread_local long own; /* how many of them this thread added */
static volatile int sink;

static void
answer(const char *text)
{
    if (weft_output(text, (uint32_t)strlen(text)) != 0)
        exit(90);
}

static __attribute__((noinline)) void
poke(volatile int *address)
{
    *address = 1;
}

static void
take_memory(void)
{
    for (int i = 0; i < 1000; i++) {
        char *volatile block = malloc(1 << 20);

        if (block == NULL)
            exit(3);
        (void)memset(block, 1, 1 << 20);
    }
}

static void
add(void)
{
    long most = strtol(input + 4, NULL, 10);

    while (count <= most) {
        sum += count++;
        own++;
        (void)pthread_mutex_unlock(&mutex);
        (void)pthread_mutex_lock(&mutex);
    }
    if (own > 0)
        (void)fprintf(stderr, "one added %ld\n", own);
}

static void *
work(void *argument)
{
    (void)pthread_mutex_lock(&mutex);
    while (!has_input)
        (void)pthread_cond_wait(&changed, &mutex);
    if (strncmp(input, "sum ", 4) == 0)
        add();
    finished++;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
    if (strcmp(input, "trap") == 0)
        poke((volatile int *)0xfffffff0);
    if (strcmp(input, "exit") == 0)
        exit(7);
    if (strcmp(input, "memory") == 0)
        take_memory();
    while (strcmp(input, "spin") == 0)
        sink++;
    if (strcmp(input, "sleep") == 0)
        (void)sleep(1000);
    return argument;
}

static int
make_many(int most)
{
    pthread_t thread;
    int made = 0;

    has_input = 0; /* those wait */
    while (made < most && pthread_create(&thread, NULL, work, NULL) == 0)
        made++;
    (void)snprintf(input, sizeof(input), "%d more", made);
    answer(input);
    return made < most;
}

int
main(void)
{
    pthread_t workers[WORKERS];
    uint32_t done = 0;
    char text[64];

    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&workers[i], NULL, work, NULL) != 0)
            return 4;
    (void)weft_snapshot();
    if (weft_input_read(0, input, sizeof(input) - 1, &done) != 0)
        return 5;
    if (strncmp(input, "many ", 5) == 0)
        return make_many(atoi(input + 5));
    (void)pthread_mutex_lock(&mutex);
    has_input = strcmp(input, "wait") != 0;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
    for (int i = 0; i < WORKERS; i++)
        (void)pthread_join(workers[i], NULL);
    (void)snprintf(text, sizeof(text), "%ld by %d of %ld", sum, finished,
                   sysconf(_SC_NPROCESSORS_ONLN));
    answer(text);
    return 0;
}
