/* SPDX-License-Identifier: Apache-2.0
 *
 * Deep and broad recursion: Fibonacci, Ackermann, Tak and the N queens.
 */
#include "../kernels/kernel.h"

static uint64_t digest;

static void
init(void)
{
    digest = 0;
}

static __attribute__((noinline)) uint32_t
fibonacci(uint32_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static __attribute__((noinline)) uint32_t
ackermann(uint32_t m, uint32_t n)
{
    if (m == 0)
        return n + 1;
    if (n == 0)
        return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, n - 1));
}

static __attribute__((noinline)) int
tak(int x, int y, int z)
{
    return y >= x ? z : tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y));
}

static __attribute__((noinline)) int
queens(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    uint32_t free_places = all & ~(columns | left | right);
    int count = 0;

    if (columns == all)
        return 1;
    while (free_places != 0) {
        uint32_t place = free_places & -free_places;

        free_places ^= place;
        count += queens(all, columns | place, (left | place) << 1, (right | place) >> 1);
    }
    return count;
}

KERNEL
kernel(void)
{
    digest = digest * 31 + fibonacci(31);
    digest = digest * 31 + ackermann(2, 1000);
    digest = digest * 31 + ackermann(3, 7);
    digest = digest * 31 + (uint64_t)tak(18, 12, 6);
    digest = digest * 31 + (uint64_t)queens((1u << 10) - 1, 0, 0, 0);
}

static int64_t
checksum(void)
{
    return (int64_t)digest;
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 20);
}
