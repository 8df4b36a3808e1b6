/* SPDX-License-Identifier: Apache-2.0
 *
 * What OpenMP's constructs cost: the same program as a guest and as a native one.
 *
 *      micro CONSTRUCT         nanoseconds of one, and a checksum
 *
 * The time is the median of rounds of many; what the loop itself costs is in it.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 15

static volatile double sink;
static double checked;
static double shared_sum;
static long shared_count;

static double
now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void
do_parallel(int count)
{
    for (int i = 0; i < count; i++) {
#pragma omp parallel
        sink = i;
    }
}

static void
do_barrier(int count)
{
#pragma omp parallel
    for (int i = 0; i < count; i++) {
#pragma omp barrier
    }
}

static void
do_for_static(int count)
{
#pragma omp parallel
    for (int i = 0; i < count; i++) {
#pragma omp for schedule(static)
        for (int k = 0; k < 64; k++)
            sink = k;
    }
}

static void
do_for_dynamic(int count)
{
#pragma omp parallel
    for (int i = 0; i < count; i++) {
#pragma omp for schedule(dynamic, 4)
        for (int k = 0; k < 64; k++)
            sink = k;
    }
}

static void
do_for_guided(int count)
{
#pragma omp parallel
    for (int i = 0; i < count; i++) {
#pragma omp for schedule(guided, 4)
        for (int k = 0; k < 64; k++)
            sink = k;
    }
}

static void
do_reduction(int count)
{
    for (int i = 0; i < count; i++) {
        double sum = 0;
#pragma omp parallel reduction(+ : sum)
        sum += i;
        checked += sum;
    }
}

static void
do_critical(int count)
{
#pragma omp parallel
    for (int i = 0; i < count; i++) {
#pragma omp critical
        shared_sum += 1;
    }
}

static void
do_atomic(int count)
{
#pragma omp parallel
    for (int i = 0; i < count; i++) {
#pragma omp atomic
        shared_count += 1;
    }
}

static void
do_task(int count)
{
#pragma omp parallel
#pragma omp single
    for (int i = 0; i < count; i++) {
#pragma omp task
        sink = i;
    }
}

static const struct construct {
    const char *name;
    void (*run)(int count);
    int count;
} constructs[] = {
    {"parallel", do_parallel, 2000},
    {"barrier", do_barrier, 5000},
    {"for_static", do_for_static, 3000},
    {"for_dynamic", do_for_dynamic, 2000},
    {"for_guided", do_for_guided, 2000},
    {"reduction", do_reduction, 2000},
    {"critical", do_critical, 20000},
    {"atomic", do_atomic, 50000},
    {"task", do_task, 5000},
};

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
measure(const struct construct *construct)
{
    double times[ROUNDS];

    construct->run(construct->count / 10 + 1);
    for (int i = 0; i < ROUNDS; i++) {
        double begun = now_ns();

        construct->run(construct->count);
        times[i] = (now_ns() - begun) / construct->count;
    }
    qsort(times, ROUNDS, sizeof(times[0]), by_value);
    (void)printf("%.1f %.9e\n", times[ROUNDS / 2], shared_sum + (double)shared_count + checked);
}

int
main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(constructs) / sizeof(constructs[0]); i++)
        if (argc > 1 && strcmp(argv[1], constructs[i].name) == 0) {
            measure(&constructs[i]);
            return 0;
        }
    return 1;
}
