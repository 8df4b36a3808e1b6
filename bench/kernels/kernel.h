/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame of every benchmark program: prepare, run and time the kernel,
 * print what it computed. Only the kernel is timed, so start-up, preparation
 * and compilation do not count. The output is two lines:
 *
 *      checksum 123.456789
 *      time_ns 104857600
 */
#ifndef BENCH_KERNEL_H
#define BENCH_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* The kernel is never merged into the frame: each build times the same work. */
#define KERNEL static __attribute__((noinline)) void

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline int64_t
bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Prepares and runs the kernel `repeats` times; the sum of the kernels' time. */
static inline int64_t
bench_time_ns(void (*init)(void), void (*kernel)(void), int repeats)
{
    int64_t total_ns = 0;

    for (int r = 0; r < repeats; r++) {
        int64_t start_ns;

        init();
        start_ns = bench_now_ns();
        kernel();
        total_ns += bench_now_ns() - start_ns;
    }
    return total_ns;
}

static inline int
bench_float(void (*init)(void), void (*kernel)(void), double (*checksum)(void), int repeats)
{
    int64_t time_ns = bench_time_ns(init, kernel, repeats);

    printf("checksum %.9g\n", checksum());
    printf("time_ns %lld\n", (long long)time_ns);
    return 0;
}

static inline int
bench_integer(void (*init)(void), void (*kernel)(void), int64_t (*checksum)(void), int repeats)
{
    int64_t time_ns = bench_time_ns(init, kernel, repeats);

    printf("checksum %lld\n", (long long)checksum());
    printf("time_ns %lld\n", (long long)time_ns);
    return 0;
}

/* A sum that depends on where each value stands. */
static inline double
bench_sum(const double *values, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += values[i] * (double)(1 + i % 13);
    return sum;
}

static inline int64_t
bench_sum_int(const int32_t *values, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum = sum * 31 + (uint64_t)(int64_t)values[i];
    return (int64_t)sum;
}

/* Values in (0, 1] that look irregular and are the same everywhere. */
static inline double
bench_value(int i, int j)
{
    return (double)((i * 37 + j * 101 + 7) % 251 + 1) / 251.0;
}

/* A linear congruential generator; the state is the caller's. */
static inline uint32_t
bench_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#endif
