/* SPDX-License-Identifier: Apache-2.0
 *
 * How many primes there are from a number up to another, both read from standard input:
 *
 *     weft deploy examples/primes.c
 *     weft invoke primes --input "0 100"
 *
 * examples/spread.c calls it a thousand times.
 */
#include <stdio.h>

static int
is_prime(unsigned number)
{
    if (number < 4)
        return number > 1;
    if (number % 2 == 0)
        return 0;
    for (unsigned i = 3; i * i <= number; i += 2)
        if (number % i == 0)
            return 0;
    return 1;
}

int
main(void)
{
    unsigned first, end, count = 0;

    if (scanf("%u %u", &first, &end) != 2) {
        (void)fprintf(stderr, "primes: two numbers are wanted\n");
        return 2;
    }
    for (unsigned i = first; i < end; i++)
        count += (unsigned)is_prime(i);
    (void)printf("%u\n", count);
    return 0;
}
