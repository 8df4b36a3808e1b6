/* SPDX-License-Identifier: Apache-2.0
 *
 * A program that is compiled with exceptions and without: what it would throw it aborts for.
 * Nothing is thrown. It prints the nanoseconds of its work, the best of several times, and what
 * came out of it.
 */
#ifndef WEFT_BENCH_EXCEPTIONS_HPP
#define WEFT_BENCH_EXCEPTIONS_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <stdexcept>

#ifdef __cpp_exceptions
#define TRY                 try
#define CATCH(what, action) catch (what) action
#define THROW(what)         throw what
#else
#define TRY
#define CATCH(what, action)
#define THROW(what) std::abort()
#endif

static inline double
now_ns()
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* `work` gives a number. */
template <typename work>
static inline void
tell_best(work does)
{
    double best = 1e18;
    uint64_t result = 0;

    for (int i = 0; i < 15; i++) {
        double begin = now_ns(), spent;

        result = result * 31 + does();
        spent = now_ns() - begin;
        best = spent < best ? spent : best;
    }
    std::printf("%.0f %llu\n", best, (unsigned long long)result);
}

/* Numbers that look random and are the same everywhere. */
static inline uint32_t
next_number(uint32_t &state)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

#endif
