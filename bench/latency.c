/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS          101
#define TRIPS_PER_ROUND 1000u
#define TIME_MAX_NS     1000000000
#define CACHE_LINE      64
#define STOP            UINT32_MAX

/* Odd: the first thread has thrown; even: the second has thrown back. Alone on
 * its line, and on the neighbour that processors like to fetch with it. */
struct ball {
    _Alignas(2 * CACHE_LINE) _Atomic uint32_t count;
    char rest[2 * CACHE_LINE - sizeof(uint32_t)];
};

struct game {
    struct ball ball;
    int64_t times_ns[ROUNDS];
    int rounds;
};

static int64_t
now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Release and acquire pair between the threads; nothing but the count is passed. */
static void *
throw_first(void *argument)
{
    struct game *game = argument;
    int64_t end_ns = now_ns() + TIME_MAX_NS, begin_ns;
    uint32_t count = 0;

    do {
        begin_ns = now_ns();
        for (unsigned trip = 0; trip < TRIPS_PER_ROUND; trip++) {
            atomic_store_explicit(&game->ball.count, ++count, memory_order_release);
            count++;
            while (atomic_load_explicit(&game->ball.count, memory_order_acquire) != count)
                ;
        }
        game->times_ns[game->rounds++] = now_ns() - begin_ns;
    } while (game->rounds < ROUNDS && now_ns() < end_ns);
    atomic_store_explicit(&game->ball.count, STOP, memory_order_release);
    return NULL;
}

static void *
throw_back(void *argument)
{
    struct game *game = argument;
    uint32_t count;

    while ((count = atomic_load_explicit(&game->ball.count, memory_order_acquire)) != STOP)
        if (count % 2 == 1)
            atomic_store_explicit(&game->ball.count, count + 1, memory_order_release);
    return NULL;
}

/* The first two CPUs that this process may use. */
static bool
choose_cpus(int cpus[2])
{
    cpu_set_t set;
    int count = 0;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return false;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
        if (CPU_ISSET(cpu, &set))
            cpus[count++] = (int)cpu;
    return count == 2;
}

static bool
start_on(int cpu, void *(*function)(void *), struct game *game, pthread_t *thread)
{
    pthread_attr_t attributes;
    cpu_set_t set;
    bool is_started;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (pthread_attr_init(&attributes) != 0)
        return false;
    is_started = pthread_attr_setaffinity_np(&attributes, sizeof(set), &set) == 0 &&
                 pthread_create(thread, &attributes, function, game) == 0;
    (void)pthread_attr_destroy(&attributes);
    return is_started;
}

static int
compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

struct latency
latency_measure(void)
{
    struct latency latency = {.ns = 0};
    static struct game game;
    pthread_t first, second;

    game = (struct game){.rounds = 0};
    if (!choose_cpus(latency.cpus) || !start_on(latency.cpus[1], throw_back, &game, &second))
        return latency;
    if (start_on(latency.cpus[0], throw_first, &game, &first))
        (void)pthread_join(first, NULL);
    else
        atomic_store_explicit(&game.ball.count, STOP, memory_order_release);
    (void)pthread_join(second, NULL);
    if (game.rounds == 0)
        return latency;
    qsort(game.times_ns, (size_t)game.rounds, sizeof(game.times_ns[0]), compare);
    latency.ns = (double)game.times_ns[game.rounds / 2] / (2.0 * TRIPS_PER_ROUND);
    return latency;
}

void
latency_print(const struct latency *latency)
{
    if (latency->ns == 0)
        (void)printf("Core-to-core cache-line latency: unknown, there is one CPU.\n");
    else
        (void)printf("Core-to-core cache-line latency now: %.0f ns one way (CPUs %d and %d).\n",
                     latency->ns, latency->cpus[0], latency->cpus[1]);
}

void
latency_write(const struct latency *latency, FILE *rows)
{
    (void)fprintf(rows,
                  "{\"name\":\"core-to-core cache line\",\"value\":%.1f,\"unit\":\"ns\","
                  "\"peer\":null,\"peer_value\":null,\"ratio\":null}\n",
                  latency->ns);
}
